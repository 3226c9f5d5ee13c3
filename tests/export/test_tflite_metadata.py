"""TFLite's metadata, read back without the code that wrote it."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from flatbuffers import number_types
from flatbuffers.table import Table
from litert_quantizer import qtyping, quantizer

from edgevit.export import ops
from edgevit.export.card import ModelCard
from edgevit.export.graph import DeployGraph
from edgevit.export.lower_tflite import write_float
from edgevit.export.tflite_metadata import with_metadata
from edgevit.preprocessing import Preprocessing
from edgevit.runtimes.tflite import TFLiteRuntime

# Files below 256 KB are quantised without parts behind the flatbuffer.
HEIGHT, WIDTH = 128, 192
LABELS = ("café, noir", "tabby cat", " Ärger é\t", '"日本", 😀')
CARD = ModelCard(
    name="tiny – été",
    description="Four sorts of noise",
    labels=LABELS,
    preprocessing=Preprocessing(HEIGHT, WIDTH),
    version="0123456789ab",
)


def write_model() -> bytes:
    random = np.random.default_rng(0)
    pixels = ops.Input(name="pixels", inputs=(), height=HEIGHT, width=WIDTH)
    scale, offset = np.full(3, 1 / 127.5, np.float32), np.full(3, -1, np.float32)
    small = ops.Normalise(
        name="small", inputs=("pixels",), scale=scale, offset=offset, swap_channels=False
    )
    flat = ops.Reshape(name="flat", inputs=("small",), target=(HEIGHT * WIDTH * 3,))
    kernel = random.normal(size=(HEIGHT * WIDTH * 3, len(LABELS))).astype(np.float32)
    bias = random.normal(size=len(LABELS)).astype(np.float32)
    dense = ops.Dense(name="dense", inputs=("flat",), kernel=kernel / 128, bias=bias)
    return write_float(
        DeployGraph((pixels, small, flat, dense, ops.Softmax(name="y", inputs=("dense",))))
    )


def write_quantised_model() -> bytes:
    """Return a file with its weights behind the flatbuffer, named by their place in the file."""
    quantiser = quantizer.Quantizer(write_model())
    quantiser.add_dynamic_config(".*", qtyping.TFLOperationName.FULLY_CONNECTED, 8)
    data = bytes(quantiser.quantize(enable_progress_report=False).quantized_model)
    model = schema.Model.GetRootAs(data, 0)
    assert any(model.Buffers(n).Offset() > 1 for n in range(model.BuffersLength()))
    return data


@pytest.fixture(params=[write_model, write_quantised_model], ids=["fp32", "int8"], scope="module")
def model(request: pytest.FixtureRequest) -> bytes:
    write: Callable[[], bytes] = request.param
    return write()


def weights_of(data: bytes) -> dict[str, bytes]:
    unpacked = flatbuffer_utils.read_model_from_bytearray(data)
    buffers = [b"" if buffer.data is None else bytes(buffer.data) for buffer in unpacked.buffers]
    return {t.name.decode(): buffers[t.buffer] for t in unpacked.subgraphs[0].tensors}


def metadata_of(data: bytes) -> Node:
    model = schema.Model.GetRootAs(data, 0)
    entries = [model.Metadata(number) for number in range(model.MetadataLength())]
    (entry,) = (entry for entry in entries if entry.Name() == b"TFLITE_METADATA")
    content = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
    assert content[4:8] == b"M001"
    return Node(Table(content, struct.unpack_from("<I", content)[0]))


class Node:
    """A table, read by the numbers of its fields in metadata_schema.fbs."""

    def __init__(self, table: Any) -> None:
        self.table = table

    def place(self, field: int) -> int:
        offset = int(self.table.Offset(4 + 2 * field))
        assert offset, f"field {field} is absent"
        return offset + int(self.table.Pos)

    def absent(self, field: int) -> bool:
        return self.table.Offset(4 + 2 * field) == 0

    def string(self, field: int) -> str:
        return bytes(self.table.String(self.place(field))).decode()

    def byte(self, field: int) -> int:
        return int(self.table.Get(number_types.Uint8Flags, self.place(field)))

    def node(self, field: int) -> Node:
        return Node(Table(self.table.Bytes, self.table.Indirect(self.place(field))))

    def only(self, field: int) -> Node:
        """Return the one element of a vector of tables."""
        offset = self.place(field) - self.table.Pos
        assert self.table.VectorLen(offset) == 1
        return Node(Table(self.table.Bytes, self.table.Indirect(self.table.Vector(offset))))

    def floats(self, field: int) -> list[float]:
        offset = self.place(field) - self.table.Pos
        count = self.table.VectorLen(offset)
        return list(struct.unpack_from(f"<{count}f", self.table.Bytes, self.table.Vector(offset)))


def test_answers_stay_the_same_when_metadata_is_added(model: bytes, tmp_path: Path) -> None:
    photos = np.random.default_rng(1).integers(0, 256, (8, 1, HEIGHT, WIDTH, 3), dtype=np.uint8)
    answers = []
    for name, data in {"bare": model, "described": with_metadata(model, CARD)}.items():
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(data)
        session = TFLiteRuntime().open(path, threads=1)
        answers.append([session.invoke(photo).copy() for photo in photos])
    assert np.ptp(answers[0]) > 0.5
    np.testing.assert_array_equal(answers[0], answers[1])


def test_weights_stay_the_same_when_the_file_is_unpacked(model: bytes) -> None:
    before, after = weights_of(model), weights_of(with_metadata(model, CARD))
    assert len(before["dense/kernel"]) >= HEIGHT * WIDTH * 3 * len(LABELS)
    assert after == before


def test_weights_keep_their_alignment_when_metadata_is_added(model: bytes) -> None:
    assert with_metadata(model, CARD).index(model) % 16 == 0


def test_labels_come_out_when_the_file_is_opened_as_a_zip(model: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(with_metadata(model, CARD))
    with zipfile.ZipFile(path) as archive:
        (info,) = archive.infolist()
        assert info.filename == "labels.txt"
        assert info.compress_type == zipfile.ZIP_STORED
        assert archive.read(info).decode().splitlines() == list(LABELS)


def test_archive_names_places_in_the_whole_file_when_it_is_appended(model: bytes) -> None:
    data = with_metadata(model, CARD)
    (directory,) = struct.unpack("<I", data[-6:-2])
    assert data[directory : directory + 4] == b"PK\x01\x02"
    (file,) = struct.unpack_from("<I", data, directory + 42)
    assert data[file : file + 4] == b"PK\x03\x04"


def test_bytes_are_the_same_when_written_twice(model: bytes) -> None:
    first, second = (with_metadata(model, CARD) for _ in range(2))
    assert first == second
    (info,) = zipfile.ZipFile(io.BytesIO(first)).infolist()
    assert info.date_time == (1980, 1, 1, 0, 0, 0)


def test_card_is_in_the_metadata_when_it_is_decoded(model: bytes) -> None:
    root = metadata_of(with_metadata(model, CARD))
    assert root.string(0) == "tiny – été"
    assert root.string(1) == "Four sorts of noise"
    assert root.string(2) == "0123456789ab"
    assert root.string(4) == "edgevit"
    assert root.string(7) == "1.0.0"


def test_input_is_described_as_an_rgb_image_when_metadata_is_decoded(model: bytes) -> None:
    pixels = metadata_of(with_metadata(model, CARD)).only(3).only(2)
    assert pixels.string(0) == "pixels"
    assert "centred part of the photo" in pixels.string(1)
    assert f"{WIDTH}×{HEIGHT}" in pixels.string(1)
    content, unit, stats = pixels.node(3), pixels.only(4), pixels.node(5)
    assert (content.byte(0), content.node(1).byte(0)) == (2, 1)  # ImageProperties, RGB
    assert unit.byte(0) == 1  # NormalizationOptions
    assert (unit.node(1).floats(0), unit.node(1).floats(1)) == ([0], [1])
    assert (stats.floats(1), stats.floats(0)) == ([0], [255])


def test_output_names_the_labels_when_metadata_is_decoded(model: bytes) -> None:
    probabilities = metadata_of(with_metadata(model, CARD)).only(3).only(3)
    assert probabilities.string(0) == "probabilities"
    content, stats, labels = probabilities.node(3), probabilities.node(5), probabilities.only(6)
    assert content.byte(0) == 1  # FeatureProperties
    assert probabilities.absent(4)
    assert (stats.floats(1), stats.floats(0)) == ([0], [1])
    assert labels.string(0) == "labels.txt"
    assert labels.byte(2) == 2  # TENSOR_AXIS_LABELS


def test_range_is_that_of_the_integers_when_the_output_is_quantised() -> None:
    unpacked = flatbuffer_utils.read_model_from_bytearray(write_model())
    graph = unpacked.subgraphs[0]
    graph.tensors[graph.outputs[0]].type = schema.TensorType.UINT8
    data = bytes(flatbuffer_utils.convert_object_to_bytearray(unpacked))
    stats = metadata_of(with_metadata(data, CARD)).only(3).only(3).node(5)
    assert (stats.floats(1), stats.floats(0)) == ([0], [255])


def test_other_entries_stay_when_metadata_is_added() -> None:
    unpacked = flatbuffer_utils.read_model_from_bytearray(write_model())
    version = schema.BufferT()
    version.data = np.frombuffer(b"1.14.0", dtype=np.uint8)
    unpacked.buffers.append(version)
    entry = schema.MetadataT()
    entry.name, entry.buffer = "min_runtime_version", len(unpacked.buffers) - 1
    unpacked.metadata = [entry]
    data = with_metadata(bytes(flatbuffer_utils.convert_object_to_bytearray(unpacked)), CARD)
    after = flatbuffer_utils.read_model_from_bytearray(data)
    kept, added = after.metadata
    assert (kept.name, added.name) == (b"min_runtime_version", b"TFLITE_METADATA")
    assert bytes(after.buffers[kept.buffer].data) == b"1.14.0"
    assert bytes(after.buffers[added.buffer].data)[4:8] == b"M001"


def test_file_is_refused_when_it_has_metadata_already(model: bytes) -> None:
    with pytest.raises(ValueError, match="TFLITE_METADATA already"):
        with_metadata(with_metadata(model, CARD), CARD)
