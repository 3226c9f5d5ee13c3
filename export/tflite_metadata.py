"""What a TFLite file says about itself – names, ranges and labels – by TFLite's own convention.

The model's metadata has an entry ``TFLITE_METADATA`` whose buffer is a second flatbuffer, and a zip
archive behind the model holds the labels. MediaPipe Tasks and Android's tools read both.

Source: mediapipe/tasks/metadata/metadata_schema.fbs, version 1.5.0. MediaPipe's own writer is no
way: its wheel 1.2.2 cannot import it, and it loses the weights of litert-quantizer's files, which
lie behind the flatbuffer.

MediaPipe takes files with a ``uint8`` input, into which it puts the pixels whatever its scale, and
a ``float32`` or ``uint8`` output; it refuses ``int8`` and ``int16``.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, Union

import numpy as np
import numpy.typing as npt

from edgevit.bundle import LABELS_FILE, render_labels
from edgevit.export.card import ModelCard
from edgevit.export.lower_tflite import INPUT_NAME, OUTPUT_NAME
from edgevit.export.tflite_writer import load_schema
from edgevit.preprocessing import Preprocessing

_MODEL_IDENTIFIER, _METADATA_IDENTIFIER = b"TFL3", b"M001"
_ENTRY = "TFLITE_METADATA"
# The schema wants the data of tensors at multiples of 16 bytes.
_ALIGNMENT = 16
# The fields of a model after its version are positions of tables and vectors.
_MODEL_FIELDS = range(1, 10)
_BUFFERS, _METADATA = 4, 6

# The fields of the metadata's tables, as in the schema up to the last one that is used. A union
# takes two fields: its type and its table.
_FIELDS = {
    "ModelMetadata": "name description version subgraph_metadata author license associated_files "
    "min_parser_version",
    "SubGraphMetadata": "name description input_tensor_metadata output_tensor_metadata",
    "TensorMetadata": "name description dimension_names content process_units stats "
    "associated_files",
    "AssociatedFile": "name description type",
    "Content": "content_properties_type content_properties",
    "FeatureProperties": "",
    "ImageProperties": "color_space",
    "ProcessUnit": "options_type options",
    "NormalizationOptions": "mean std",
    "Stats": "max min",
}
_FEATURE_PROPERTIES, _IMAGE_PROPERTIES = 1, 2
_NORMALIZATION_OPTIONS = 1
_RGB = 1
_TENSOR_AXIS_LABELS = 2
# No field or value is used that came after the schema's first version.
_MIN_PARSER_VERSION = "1.0.0"

_PHOTO_PART = {
    "crop": "the largest centred part of the photo with the same aspect ratio",
    "squash": "the whole photo",
}


def with_metadata(model: bytes, card: ModelCard) -> bytes:
    """Return a TFLite file with the card's facts and labels.

    The model's own bytes stay as they are, between a new beginning and the labels: 351 MB take as
    long as one copy of them (0.3 s), where unpacking and packing them again takes 3.7 s.

    Args:
        model: One graph of builtin operators that turns pixels of an integer type into
            probabilities.
        card: With the labels in the order of the probabilities.

    Raises:
        InputError: if a label holds a line break.
        ValueError: if the model has such metadata already.
    """
    metadata = _render(_describe(model, card))
    # How far the beginning pushes the model back is only known once it is written.
    shift = len(_beginning(model, metadata, shift=0))
    archive = _archive(render_labels(card.labels), start=shift + len(model))
    return b"".join((_beginning(model, metadata, shift), model, archive))


def _beginning(model: bytes, metadata: bytes, shift: int) -> bytes:
    """Return a new root for the model, whose bytes follow it.

    A builder writes from back to front and counts positions from its end. What follows it
    therefore has negative positions: byte ``p`` of the model is at ``-p``.

    Args:
        model: The file, with a root that nothing will point to any more.
        metadata: What the new entry's buffer holds.
        shift: By how many bytes the model moves.
    """
    import flatbuffers

    schema = load_schema()
    old = schema.Model.GetRootAs(model, 0)
    builder = flatbuffers.Builder()
    builder.Prep(_ALIGNMENT, len(metadata))
    data = builder.CreateByteVector(metadata)
    schema.BufferStart(builder)
    schema.BufferAddData(builder, data)
    metadata_buffer = schema.BufferEnd(builder)
    buffers = _moved_buffers(builder, old, shift)
    new = {
        _BUFFERS: _vector(builder, [*buffers, metadata_buffer]),
        _METADATA: _vector(builder, _entries(builder, old, buffer=len(buffers))),
    }
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, old.Version())
    for field in _MODEL_FIELDS:
        position = new.get(field) or -_target(old, field)
        builder.PrependUOffsetTRelativeSlot(field, position, 0)
    # Pads to the largest alignment in use, so that the model keeps its own.
    builder.Finish(schema.ModelEnd(builder), _MODEL_IDENTIFIER)
    return bytes(builder.Output())


def _moved_buffers(builder: Any, old: Any, shift: int) -> list[int]:
    """Return the buffers' positions; those that name a place in the file are written anew."""
    schema = load_schema()
    positions = []
    for number in range(old.BuffersLength()):
        buffer = old.Buffers(number)
        if buffer.Offset() > 1:  # 0 and 1 name none
            schema.BufferStart(builder)
            schema.BufferAddOffset(builder, buffer.Offset() + shift)
            schema.BufferAddSize(builder, buffer.Size())
            positions.append(schema.BufferEnd(builder))
        else:
            positions.append(-buffer._tab.Pos)
    return positions


def _entries(builder: Any, old: Any, buffer: int) -> list[int]:
    """Return the positions of the model's entries and of a new one that names a buffer."""
    schema = load_schema()
    entries = [old.Metadata(number) for number in range(old.MetadataLength())]
    if any(entry.Name() == _ENTRY.encode() for entry in entries):
        raise ValueError(f"the model has an entry {_ENTRY} already")
    name = builder.CreateString(_ENTRY)
    schema.MetadataStart(builder)
    schema.MetadataAddName(builder, name)
    schema.MetadataAddBuffer(builder, buffer)
    return [*(-entry._tab.Pos for entry in entries), schema.MetadataEnd(builder)]


def _target(table: Any, field: int) -> int:
    """Return the byte that a table's field points to, 0 where it is absent."""
    offset = table._tab.Offset(4 + 2 * field)
    return int(table._tab.Indirect(table._tab.Pos + offset)) if offset else 0


def _vector(builder: Any, positions: list[int]) -> int:
    builder.StartVector(4, len(positions), 4)
    for position in reversed(positions):
        builder.PrependUOffsetTRelative(position)
    return int(builder.EndVector())


class _Tail(io.BytesIO):
    """The end of a file whose positions are counted from the file's beginning."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self._start = start

    def tell(self) -> int:
        return self._start + super().tell()

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        inside = position - self._start if whence == io.SEEK_SET else position
        return self._start + super().seek(inside, whence)


def _archive(labels: bytes, start: int) -> bytes:
    """Return the zip archive, uncompressed and without today's date."""
    info = zipfile.ZipInfo(LABELS_FILE)
    info.create_system, info.external_attr = 3, 0o644 << 16  # Unix, whatever this machine is
    tail = _Tail(start)
    with zipfile.ZipFile(tail, "w") as archive:
        archive.writestr(info, labels)
    return tail.getvalue()


@dataclass(frozen=True)
class _Table:
    """A table of the metadata's schema. Integers are single bytes, arrays vectors of floats."""

    kind: str
    values: dict[str, _Value]


_Value: TypeAlias = Union[int, str, npt.NDArray[np.float32], "_Table", Sequence["_Table"]]


def _table(kind: str, **values: _Value) -> _Table:
    return _Table(kind, values)


def _describe(model: bytes, card: ModelCard) -> _Table:
    graph = load_schema().Model.GetRootAs(model, 0).Subgraphs(0)
    taken, given = graph.Tensors(graph.Inputs(0)), graph.Tensors(graph.Outputs(0))
    pixels = _table(
        "TensorMetadata",
        name=INPUT_NAME,
        description=_describe_pixels(card.preprocessing),
        content=_table(
            "Content",
            content_properties_type=_IMAGE_PROPERTIES,
            content_properties=_table("ImageProperties", color_space=_RGB),
        ),
        process_units=[
            # None: the graph normalises.
            _table(
                "ProcessUnit",
                options_type=_NORMALIZATION_OPTIONS,
                options=_table("NormalizationOptions", mean=_floats(0), std=_floats(1)),
            )
        ],
        stats=_stats(taken.Type()),
    )
    probabilities = _table(
        "TensorMetadata",
        name=OUTPUT_NAME,
        description="The probability of each label.",
        content=_table(
            "Content",
            content_properties_type=_FEATURE_PROPERTIES,
            content_properties=_table("FeatureProperties"),
        ),
        stats=_stats(given.Type()),
        associated_files=[
            _table(
                "AssociatedFile",
                name=LABELS_FILE,
                description="One label a line, in the order of the probabilities.",
                type=_TENSOR_AXIS_LABELS,
            )
        ],
    )
    return _table(
        "ModelMetadata",
        name=card.name,
        description=card.description,
        version=card.version,
        subgraph_metadata=[
            _table(
                "SubGraphMetadata",
                input_tensor_metadata=[pixels],
                output_tensor_metadata=[probabilities],
            )
        ],
        author="edgevit",
        min_parser_version=_MIN_PARSER_VERSION,
    )


def _describe_pixels(preprocessing: Preprocessing) -> str:
    part, filter_name = _PHOTO_PART[preprocessing.resize_mode], preprocessing.interpolation
    size = f"{preprocessing.width}×{preprocessing.height}"
    return (
        f"RGB pixels from 0 to 255: {part}, resized to {size} by an antialiased {filter_name} "
        "filter. The model normalises them itself."
    )


def _stats(tensor_type: int) -> _Table:
    """Return the range of a tensor's values as they are stored."""
    from ai_edge_litert.tools import flatbuffer_utils

    dtype = np.dtype(flatbuffer_utils.type_to_name(tensor_type).lower())
    low, high = (0, 1) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return _table("Stats", max=_floats(high), min=_floats(low))


def _floats(*values: float) -> npt.NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def _render(root: _Table) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder()
    builder.Finish(_write(builder, root), _METADATA_IDENTIFIER)
    return bytes(builder.Output())


def _write(builder: Any, value: str | npt.NDArray[np.float32] | _Table | Sequence[_Table]) -> int:
    """Write what a table does not hold itself, and return its position."""
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, np.ndarray):
        return int(builder.CreateNumpyVector(value))
    if isinstance(value, Sequence):
        return _vector(builder, [_write(builder, table) for table in value])
    fields = _FIELDS[value.kind].split()
    held = {name: x for name, x in value.values.items() if isinstance(x, int)}
    written = {
        name: _write(builder, x) for name, x in value.values.items() if not isinstance(x, int)
    }
    builder.StartObject(len(fields))
    for name, number in held.items():
        builder.PrependUint8Slot(fields.index(name), number, 0)
    for name, position in written.items():
        builder.PrependUOffsetTRelativeSlot(fields.index(name), position, 0)
    return int(builder.EndObject())
