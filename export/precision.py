"""The grammar of precisions: what each name promises, whatever the format.

``fp32``
    Every op computes in float32.
``fp16``
    Weights are stored in float16, half the size. A GPU or NPU computes in float16 too; a CPU
    without float16 arithmetic widens the weights and gains nothing but the size.
``int8``
    Every convolution, dense layer and attention projection computes in int8 with one weight scale
    per output channel; layer norm, GELU, softmax and residual adds stay float. Activation ranges
    are calibrated or taken at run time, as the format does best; the bundle says which. Single
    layers stay float only where a user or a budget asks for it, and the bundle names them.
``int8-dynamic``
    As ``int8``, but every activation range is taken at run time: nothing is calibrated.
``int8-full``
    Integers from end to end, input and output included, for accelerators without float units.

A (format, precision) pair that cannot be made is an error that lists the valid ones, never a
silent substitute. Which pairs there are is stated by each lowering's table
(:mod:`edgevit.export.registry`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Precision = Literal["fp32", "fp16", "int8", "int8-full", "int8-dynamic"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True)
class Promise:
    """What a file of a precision must keep, by measurement in its real runtime.

    Attributes:
        integer_products: No convolution and no dense layer computes in float.
        integer_only: No op computes in float; input and output are integers.
        cosine: Least mean cosine similarity with the graph's answers: of the centred
            log-probabilities, or of the centred probabilities where the output is an integer.
        decisive_agreement: Least share of the same top-1 label among the images on which the
            graph is sure (:data:`edgevit.export.ladder.DECISIVE_MARGIN`).
        weight_sqnr_db: Least signal-to-quantisation-noise ratio of any weight tensor, decibels.
    """

    integer_products: bool
    integer_only: bool
    cosine: float
    decisive_agreement: float
    weight_sqnr_db: float


# Of 32 held-out images three may flip in int8: a file that changes more of the clear answers is not
# kept. What a smaller loss may cost is the user's budget (--max-drop).
PROMISES: dict[Precision, Promise] = {
    "fp32": Promise(False, False, cosine=0.9999, decisive_agreement=1.0, weight_sqnr_db=100.0),
    "fp16": Promise(False, False, cosine=0.999, decisive_agreement=1.0, weight_sqnr_db=50.0),
    "int8": Promise(True, False, cosine=0.98, decisive_agreement=0.9, weight_sqnr_db=25.0),
    "int8-dynamic": Promise(True, False, cosine=0.98, decisive_agreement=0.9, weight_sqnr_db=25.0),
    # Probabilities in steps of 1/256 have no logarithm below that, and small ones are coarse.
    "int8-full": Promise(True, True, cosine=0.9, decisive_agreement=0.9, weight_sqnr_db=25.0),
}
