/* A LiteRT delegate for tests: what it does is chosen with -D when it is compiled.
 *
 * The structs are the first members of those in LiteRT's C interface (tflite/core/c/common.h), which
 * the Python wheels do not bring.
 *
 *   -DTAKES=0   takes no op
 *   -DTAKES=25  takes every SOFTMAX (its number in the TFLite schema)
 *   -DWRONG=1   returns NaN, -DWRONG=2 returns the same numbers for every photo
 *   -DREFUSES   says that there is no device
 *   -DFAILS     fails when it is given a model
 *   -DABORTS    ends the process when it is loaded
 */
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#ifndef TAKES
#define TAKES 0
#endif
#ifndef WRONG
#define WRONG 0
#endif

typedef struct {
    int size;
    int data[];
} IntArray;

typedef struct {
    int type;
    float *data;
    IntArray *dims;
    struct { float scale; int32_t zero_point; } params;
    int allocation_type;
    size_t bytes;
    const void *allocation;
    const char *name;
    void *delegate;
    int buffer_handle;
    bool data_is_stale, is_variable;
    struct { int type; void *params; } quantization;
    void *sparsity;
    const IntArray *dims_signature;
} Tensor;

typedef struct {
    IntArray *inputs, *outputs;
} Node;

struct Context;

typedef struct {
    void *(*init)(struct Context *, const char *, size_t);
    void (*free)(struct Context *, void *);
    int (*prepare)(struct Context *, Node *);
    int (*invoke)(struct Context *, Node *);
    const char *(*profiling_string)(const struct Context *, const Node *);
    int32_t builtin_code;
    const char *custom_name;
    int version;
    void *external, *async;
    uint64_t inplace;
    void *later[4];
} Registration;

typedef struct Delegate {
    void *data;
    int (*prepare)(struct Context *, struct Delegate *);
    void *copy_from, *copy_to, *free_handle;
    int64_t flags;
    void *opaque;
} Delegate;

typedef struct Context {
    size_t tensors_size;
    int (*execution_plan)(struct Context *, IntArray **);
    Tensor *tensors;
    void *impl, *resize, *report, *add;
    int (*node_and_registration)(struct Context *, int, Node **, Registration **);
    int (*replace)(struct Context *, Registration, const IntArray *, Delegate *);
} Context;

static int prepare_op(Context *context, Node *node) { return 0; }

static int softmax(Context *context, Node *node) {
    const Tensor *input = &context->tensors[node->inputs->data[0]];
    Tensor *output = &context->tensors[node->outputs->data[0]];
    size_t count = output->bytes / sizeof(float);
    float largest = -INFINITY, sum = 0;
    for (size_t i = 0; i < count; i++) largest = fmaxf(largest, input->data[i]);
    for (size_t i = 0; i < count; i++) sum += output->data[i] = expf(input->data[i] - largest);
    for (size_t i = 0; i < count; i++) {
        output->data[i] /= sum;
        if (WRONG == 1) output->data[i] = NAN;
        if (WRONG == 2) output->data[i] = i == 0;
    }
    return 0;
}

static int prepare(Context *context, Delegate *delegate) {
#ifdef FAILS
    return 1;
#endif
    IntArray *plan;
    if (context->execution_plan(context, &plan)) return 1;
    IntArray *taken = malloc(sizeof(IntArray) + plan->size * sizeof(int));
    taken->size = 0;
    for (int i = 0; i < plan->size; i++) {
        Node *node;
        Registration *registration;
        if (context->node_and_registration(context, plan->data[i], &node, &registration)) return 1;
        if (TAKES && registration->builtin_code == TAKES) taken->data[taken->size++] = plan->data[i];
    }
    Registration kernel = {.prepare = prepare_op, .invoke = softmax, .custom_name = "Test"};
    int failed = taken->size && context->replace(context, kernel, taken, delegate);
    free(taken);
    return failed;
}

static Delegate the_delegate = {.prepare = prepare};

Delegate *tflite_plugin_create_delegate(
    char **keys, char **values, size_t count, void (*report)(const char *)) {
#ifdef ABORTS
    abort();
#endif
#ifdef REFUSES
    report("no device\nis plugged in");
    return NULL;
#endif
    return &the_delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) {}
