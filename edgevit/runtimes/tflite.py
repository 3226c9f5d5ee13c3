"""TFLite files through LiteRT (``ai-edge-litert``), or ``tflite-runtime`` on 32-bit Arm.

TensorFlow is never imported: a Raspberry Pi runs the same file that is timed here.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit import console
from edgevit.errors import InputError, MissingDependencyError
from edgevit.machine import version_of
from edgevit.metrics import Scores
from edgevit.preprocessing import Pixels
from edgevit.runtimes import delegates
from edgevit.runtimes.base import (
    CPU_DEVICE,
    Availability,
    Device,
    DeviceKind,
    DeviceSupport,
    Placement,
    Port,
    Session,
    check_classifier,
)
from edgevit.runtimes.devices import not_installed, share_of

# (distribution, module), in the order of preference; 32-bit Arm only has the second.
_PACKAGES = (
    ("ai-edge-litert", "ai_edge_litert.interpreter"),
    ("tflite-runtime", "tflite_runtime.interpreter"),
)
_INSTALL = "pip install 'edgevit[tflite]'"
_DAMAGED_REMEDY = "Copy the file again, or export it again"
# tflite-runtime's last release knows fewer ops than LiteRT: int8-full's are not among them.
_OLD_REMEDY = "Export it as fp16 for tflite-runtime, or use ai-edge-litert on a 64-bit system"
_FOREIGN_REMEDY = "Export the model with edgevit: edgevit export RUN --format tflite"
_DELEGATE_REMEDY = "Measure it on the CPU, or give a model that this delegate takes"

# Bytes 4–8 of a TFLite flatbuffer.
_IDENTIFIER = b"TFL3"
_XNNPACK, _KERNELS = "XNNPACK", "CPU kernels"
_DELEGATE = "DELEGATE"
_NAMED_KINDS = 3


class TFLiteRuntime:
    """Runs ``.tflite`` files: on the CPU with LiteRT's default XNNPACK, or through a delegate."""

    name = "tflite"

    def availability(self) -> Availability:
        """Say which interpreter is installed, without importing it."""
        for package, _ in _PACKAGES:
            if version := version_of(package):
                return Availability(package, version, remedy="")
        return Availability(_PACKAGES[0][0], None, remedy=_INSTALL)

    def preload(self) -> None:
        """Import the interpreter.

        Raises:
            MissingDependencyError: if it is not installed or cannot be imported.
        """
        _interpreter_module()

    def open(self, path: Path, threads: int, device: Device = CPU_DEVICE) -> Session:
        """Open a ``.tflite`` file.

        Args:
            path: The file.
            threads: Of what the CPU computes.
            device: The CPU, or a delegate's library; XNNPACK takes what that leaves.

        Raises:
            MissingDependencyError: if no interpreter is installed or it cannot be imported.
            InputError: if the file is missing, damaged, or no classifier of pixels, or the
                delegate cannot be used.
        """
        return _open(path, threads, device)

    def devices(self, kind: DeviceKind, delegate: Path | None) -> tuple[DeviceSupport, ...]:
        """Say which delegates there are for a kind of device."""
        availability = self.availability()
        if not availability.available:
            return not_installed(kind, "CPU" if kind == "cpu" else "delegate", availability)
        return delegates.delegate_devices(kind, delegate)

    def accelerator_share(
        self, path: Path, threads: int, device: Device, pixels: Pixels
    ) -> tuple[float | None, float | None, str]:
        """Count the ops that the delegate took; LiteRT's Python interface gives no time of an op.

        The photos are not needed: a delegate takes its ops when the model is loaded.
        """
        placement = _open(path, threads, device).placement()
        if not placement.ops:
            return None, None, placement.summary
        here = 1.0 if device.kind == "cpu" else share_of(placement.ops, Path(device.name).name)
        return here, None, f"{placement.summary}; LiteRT does not give the time of an op"


def _open(path: Path, threads: int, device: Device) -> TFLiteSession:
    interpreter_class, load_delegate = _interpreter_module()
    _check_identifier(path)
    accelerated = device.kind != "cpu"
    is_old = interpreter_class.__module__.startswith("tflite_runtime")
    taken = [delegates.load(Path(device.name), load_delegate)] if accelerated else None
    try:
        with console.without_native_chatter():
            interpreter = interpreter_class(
                model_path=str(path), num_threads=threads, experimental_delegates=taken
            )
            # Before XNNPACK takes the rest, all delegated ops are the accelerator's.
            partitions = _delegated(interpreter) if accelerated else ()
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        # Truncated and scrambled files end here too: LiteRT verifies the flatbuffer first.
        reason = " ".join(str(error).split())
        where = f" on {device}" if accelerated else ""
        remedy = _DAMAGED_REMEDY
        if accelerated:
            remedy = _DELEGATE_REMEDY
        elif is_old:
            remedy = _OLD_REMEDY
        raise InputError(f"{path} cannot be loaded{where} ({reason})", remedy) from error
    if is_old:
        _refuse_run_time_ranges(interpreter, path)
    return TFLiteSession(
        interpreter, str(path), Path(device.name).name if accelerated else None, partitions
    )


def _delegated(interpreter: Any) -> tuple[int, ...]:
    """Return the numbers of the ops that stand for a delegate's partition."""
    try:
        details = interpreter._get_ops_details()
        return tuple(int(op["index"]) for op in details if op["op_name"] == _DELEGATE)
    except _UNKNOWN_OPS:
        return ()


class TFLiteSession:
    """An opened TFLite classifier.

    The contract for integer models is that the input tensor's *real* value is the pixel, 0–255,
    and the output tensor's real value is the probability; both are converted by the scale and
    zero point that the file states. A ``uint8`` input of scale 1 takes the pixels as they are.

    Args:
        interpreter: With its tensors allocated.
        name: The file, for error messages.
        accelerator: Name of the delegate that was given ops before XNNPACK was.
        accelerated: Numbers of the ops that stand for its partitions.

    Raises:
        InputError: if the inputs or outputs are not those of a classifier of pixels.
    """

    def __init__(
        self,
        interpreter: Any,
        name: str,
        accelerator: str | None = None,
        accelerated: Collection[int] = (),
    ) -> None:
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        check_classifier(
            name,
            [_port(details) for details in inputs],
            [_port(details) for details in outputs],
            format_name="tflite",
            pixel_dtypes=("uint8", "int8"),
            score_dtypes=("float32", "uint8", "int8", "int16"),
        )
        self._interpreter = interpreter
        self._accelerator, self._accelerated = accelerator, accelerated
        self._input_index: int = inputs[0]["index"]
        self._output_index: int = outputs[0]["index"]
        self._input_table = _input_table(inputs[0], name)
        self._output_scale, self._output_zero_point = _output_quantisation(outputs[0], name)

    def invoke(self, pixels: Pixels) -> Scores:
        """Run one image, ``uint8 [1, height, width, 3]``; returns ``float32 [1, classes]``."""
        # set_tensor copies 150 KB in 3.5 µs; writing through interpreter.tensor() takes 3.8.
        if self._input_table is None:
            self._interpreter.set_tensor(self._input_index, pixels)
        else:
            self._interpreter.set_tensor(self._input_index, self._input_table[pixels])
        self._interpreter.invoke()
        scores: Scores = self._interpreter.get_tensor(self._output_index)
        if self._output_scale is not None:
            scores = self._output_scale * (scores.astype(np.float32) - self._output_zero_point)
        return scores

    def placement(self) -> Placement:
        """Count the ops inside each delegate's partitions and those left to built-in kernels."""
        try:
            return placement_of(
                self._interpreter._get_ops_details(), self._accelerator, self._accelerated
            )
        except _UNKNOWN_OPS:
            # A private method, the only one that tells: it may go away.
            return Placement("unknown: this interpreter does not list its ops", {}, 0)


_UNKNOWN_OPS = (AttributeError, KeyError, TypeError, ValueError, RuntimeError)


def placement_of(
    details: Sequence[Mapping[str, Any]],
    accelerator: str | None = None,
    accelerated: Collection[int] = (),
) -> Placement:
    """Read the placement from an interpreter's list of ops.

    After delegation LiteRT lists the file's own ops first and then one ``DELEGATE`` op per
    partition, whichever delegate it is of. An op runs inside a partition if it lies on a path from
    what the partition takes to what it gives, so walking back from the outputs finds the members.

    Args:
        details: Ops with ``index``, ``op_name``, ``inputs`` and ``outputs`` (tensor numbers).
        accelerator: Name of the delegate other than XNNPACK, if there is one.
        accelerated: ``index`` of the partitions that are its.
    """
    own = [op for op in details if op["op_name"] != _DELEGATE]
    partitions = [op for op in details if op["op_name"] == _DELEGATE]
    producer = {int(tensor): op for op in own for tensor in op["outputs"]}
    members = {int(op["index"]): _members(op, producer) for op in partitions}
    theirs = set[int]().union(*(members[index] for index in members if index in accelerated))
    delegated = set[int]().union(*members.values())
    left = Counter(str(op["op_name"]) for op in own if op["index"] not in delegated)
    ops = {_XNNPACK: len(delegated - theirs), _KERNELS: left.total()}
    counts = {_XNNPACK: len(members.keys() - set(accelerated))}
    if accelerator is not None:
        ops = {accelerator: len(theirs), **ops}
        counts = {accelerator: len(members.keys() & set(accelerated)), **counts}
    return Placement(_summary(ops, left, counts), ops, len(partitions))


def _members(partition: Mapping[str, Any], producer: Mapping[int, Mapping[str, Any]]) -> set[int]:
    """Return the ``index`` of the ops inside a partition."""
    given = {int(tensor) for tensor in partition["inputs"]}
    pending = [int(tensor) for tensor in partition["outputs"]]
    found: set[int] = set()
    while pending:
        op = producer.get(pending.pop())
        if op is None or op["index"] in found:
            continue
        found.add(op["index"])
        pending += [int(tensor) for tensor in op["inputs"] if int(tensor) not in given]
    return found


def _summary(ops: Mapping[str, int], left: Counter[str], partitions: Mapping[str, int]) -> str:
    parts = []
    for name, count in partitions.items():
        plural = "partition" if count == 1 else "partitions"
        inside = f"{name}: {ops[name]} of {sum(ops.values())} ops, {count} {plural}"
        parts += [inside] if count or name != _XNNPACK else []
    kinds = ", ".join(kind for kind, _ in left.most_common(_NAMED_KINDS))
    more = ", …" if len(left) > _NAMED_KINDS else ""
    kernels = [f"{_KERNELS}: {ops[_KERNELS]} ({kinds}{more})"] if left else []
    if not partitions[_XNNPACK] and left:
        kernels = [f"{kernels[0]}, no {_XNNPACK}"]
    return "; ".join([*parts, *kernels])


def _interpreter_module() -> tuple[Any, Any]:
    """Return the interpreter's class and the function that loads its delegates."""
    broken: list[str] = []
    for package, name in _PACKAGES:
        if version_of(package) is None:
            continue
        try:
            module = importlib.import_module(name)
            return module.Interpreter, module.load_delegate
        except (ImportError, AttributeError) as error:
            # Such as a wheel that was built for another NumPy or a newer C library.
            broken.append(f"{package} is installed but broken: {' '.join(str(error).split())}")
    reason = f" ({'; '.join(broken)})" if broken else ""
    raise MissingDependencyError(f"running TFLite files needs ai-edge-litert{reason}", _INSTALL)


def _refuse_run_time_ranges(interpreter: Any, path: Path) -> None:
    """Refuse what tflite-runtime 2.14 computes wrongly without a word.

    In a dense layer with a float input it takes the first channel's scale for all of them:
    ViT-B32's int8 answers agree with the right ones on no photo.
    """
    tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    for op in interpreter._get_ops_details():
        if op["op_name"] != "FULLY_CONNECTED":
            continue
        value, kernel = (tensors.get(int(index)) for index in op["inputs"][:2])
        if value is None or kernel is None or np.dtype(value["dtype"]) != np.float32:
            continue
        if len(kernel["quantization_parameters"]["scales"]) > 1:
            raise InputError(
                f"{path} takes its int8 ranges at run time, which tflite-runtime computes wrongly",
                "Export it as fp16 for this device, or use ai-edge-litert where it has a wheel",
            )


def _check_identifier(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path} does not exist", "Give a .tflite file")
    with path.open("rb") as file:
        head = file.read(8)
    if head[4:] != _IDENTIFIER:
        raise InputError(f"{path} is not a TFLite file", _DAMAGED_REMEDY)


def _port(details: Mapping[str, Any]) -> Port:
    return Port(np.dtype(details["dtype"]).name, tuple(details["shape"].tolist()))


def _input_table(
    details: Mapping[str, Any], name: str
) -> npt.NDArray[np.uint8] | npt.NDArray[np.int8] | None:
    """Return the stored value of every pixel value, or ``None`` where they are the same."""
    dtype = np.dtype(details["dtype"])
    scale, zero_point = details["quantization"]
    if dtype == np.uint8 and (scale == 0 or (scale == 1 and zero_point == 0)):
        return None
    limits = np.iinfo(dtype)
    low, high = scale * (limits.min - zero_point), scale * (limits.max - zero_point)
    # Half a pixel value may be lost at the ends by rounding.
    if scale <= 0 or low > 0.5 or high < 254.5:
        raise InputError(
            f"the {dtype} input of {name} holds {low:g} to {high:g}, pixels are 0 to 255",
            _FOREIGN_REMEDY,
        )
    stored = np.rint(np.arange(256) / scale) + zero_point
    table: npt.NDArray[np.uint8] | npt.NDArray[np.int8]
    table = stored.clip(limits.min, limits.max).astype(dtype)
    return table


def _output_quantisation(details: Mapping[str, Any], name: str) -> tuple[np.float32 | None, int]:
    dtype = np.dtype(details["dtype"])
    scale, zero_point = details["quantization"]
    if dtype == np.float32:
        return None, 0
    if dtype.kind not in "iu" or scale <= 0:
        raise InputError(
            f"{name} returns {dtype} without a scale, probabilities are float32 or quantised",
            _FOREIGN_REMEDY,
        )
    return np.float32(scale), int(zero_point)
