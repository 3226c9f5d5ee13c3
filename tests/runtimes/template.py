"""What every runtime of model files must do; a new one is tested by one subclass."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest

from edgevit.errors import InputError, MissingDependencyError
from edgevit.export.card import ModelCard
from edgevit.export.graph import DeployGraph
from edgevit.export.ops import Dense, Input, Reshape, Softmax
from edgevit.export.precision import Precision
from edgevit.export.registry import LOWERINGS
from edgevit.preprocessing import Preprocessing
from edgevit.runtimes.base import CPU_DEVICE, DeviceKind, Runtime, Session
from edgevit.runtimes.classifier import predict_all
from edgevit.runtimes.registry import RUNTIMES
from tests.bench.standin import CHANNEL, COLOURS, SIZE, photo_of
from tests.export.files import source_of

CARD = ModelCard("colours", "", COLOURS, Preprocessing(SIZE, SIZE), "0")
PHOTOS = np.stack([photo_of(colour, seed) for seed in range(3) for colour in COLOURS])
PHOTOS.setflags(write=False)  # as in a data set's memory map
LABELS = [0, 1, 2] * 3

# What each kind of foreign file is refused for.
FOREIGN = {
    "float": r"takes float\w* \[1, 16, 16, 3\], pixels are uint8",
    "two inputs": "has 2 inputs and 1 outputs, one of each is needed",
    "two outputs": "has 1 inputs and 2 outputs, one of each is needed",
    "channels first": r"takes uint8 \[1, 3, 16, 16\], pixels are uint8 \[1, height, width, 3\]",
    "any size": r"takes uint8 \[1, \S+, \S+, 3\], pixels are",
    "any batch": r"takes uint8 \[\S+, 16, 16, 3\], pixels are",
    "image": r"returns float32 \[1, 16, 16, 3\], probabilities are float32 \[1, classes\]",
    "levels": r"returns u?int8 \[1, 768\], probabilities are float32 \[1, classes\]",
}


@cache
def colour_graph() -> DeployGraph:
    """The mean of each channel, over the labels: one dense layer."""
    kernel = np.zeros((SIZE * SIZE, 3, len(COLOURS)), dtype=np.float32)
    for label, colour in enumerate(COLOURS):
        kernel[:, CHANNEL[colour], label] = 1 / 64 / SIZE**2
    return DeployGraph(
        (
            Input(name="pixels", inputs=(), height=SIZE, width=SIZE),
            Reshape(name="flat", inputs=("pixels",), target=(SIZE * SIZE * 3,)),
            Dense(
                name="logits",
                inputs=("flat",),
                kernel=kernel.reshape(-1, len(COLOURS)),
                bias=np.float32([0, 0.125, 0]),
            ),
            Softmax(name="answer", inputs=("logits",)),
        )
    )


@cache
def colour_files(format_name: str, precision: Precision) -> Mapping[str, bytes]:
    """Write the graph as an export does."""
    recipe = LOWERINGS.get(format_name).recipes(colour_graph())[precision]
    return recipe.write(source_of(colour_graph(), recipe, PHOTOS, CARD))


class _BrokenFinder(MetaPathFinder):
    """Fails to import one module, as a wheel for another system does."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> None:
        if name == self._name:
            raise ImportError("libnone.so.6:\n  cannot open shared object file")


class RuntimeTemplate:
    """Subclass with the format's name and the module that the runtime imports.

    Attributes:
        foreign: Kinds of :data:`FOREIGN` that a file of this format can be.
    """

    format_name: ClassVar[str]
    module: ClassVar[str]
    foreign: ClassVar[tuple[str, ...]] = tuple(FOREIGN)

    def write_foreign(self, folder: Path, kind: str) -> Path:
        """Write a file of one of the kinds, and return what the runtime opens."""
        raise NotImplementedError

    @property
    def runtime(self) -> Runtime:
        return RUNTIMES.get(self.format_name)

    def write(self, folder: Path, precision: Precision = "fp32") -> Path:
        for name, data in colour_files(self.format_name, precision).items():
            (folder / name).write_bytes(data)
        return folder / LOWERINGS.get(self.format_name).model_file

    def opened(self, folder: Path, precision: Precision = "fp32", threads: int = 1) -> Session:
        return self.runtime.open(self.write(folder, precision), threads)

    @contextmanager
    def refused(self, complaint: str) -> Iterator[None]:
        """Expect an error of one line."""
        with pytest.raises(InputError, match=complaint) as caught:
            yield
        assert "\n" not in str(caught.value)

    def test_answers_are_the_graphs_when_the_file_has_any_precision(self, tmp_path: Path) -> None:
        expected = colour_graph().evaluate(PHOTOS)
        for precision in LOWERINGS.get(self.format_name).recipes(colour_graph()):
            answers = predict_all(self.opened(tmp_path, precision), PHOTOS)
            assert answers.dtype == np.float32
            assert answers.argmax(axis=1).tolist() == LABELS, precision
            tolerance = 1e-6 if precision == "fp32" else 0.01
            np.testing.assert_allclose(answers, expected, atol=tolerance, err_msg=precision)

    def test_answers_are_the_same_when_there_are_more_threads(self, tmp_path: Path) -> None:
        one, two = (predict_all(self.opened(tmp_path, threads=n), PHOTOS) for n in (1, 2))
        np.testing.assert_allclose(one, two, atol=1e-6)

    def test_answer_is_right_when_pixels_are_a_view(self, tmp_path: Path) -> None:
        session = self.opened(tmp_path)
        for step in (1, -1):  # the mirrored photo has the same mean
            answer = session.invoke(PHOTOS[:1, :, ::step])
            np.testing.assert_allclose(answer, colour_graph().evaluate(PHOTOS[:1]), atol=1e-6)

    @pytest.mark.parametrize("shape", [(1, 8, 8, 3), (2, SIZE, SIZE, 3), (SIZE, SIZE, 3)])
    def test_pixels_are_refused_when_their_shape_is_another(
        self, tmp_path: Path, shape: tuple[int, ...]
    ) -> None:
        session = self.opened(tmp_path)
        with pytest.raises(ValueError, match=r"\d"):
            session.invoke(np.zeros(shape, dtype=np.uint8))
        assert session.invoke(PHOTOS[:1]).argmax() == LABELS[0]  # it still works

    @pytest.mark.parametrize("dtype", [np.float32, np.uint16])
    def test_pixels_are_refused_when_they_are_not_uint8(self, tmp_path: Path, dtype: Any) -> None:
        with pytest.raises(ValueError, match=r"float|FLOAT|uint16|UINT16"):
            self.opened(tmp_path).invoke(PHOTOS[:1].astype(dtype))

    def test_placement_names_every_place_when_asked(self, tmp_path: Path) -> None:
        placement = self.opened(tmp_path).placement()
        assert sum(placement.ops.values()) >= 3  # dense, softmax and at least a cast
        assert all(place in placement.summary for place in placement.ops)

    @pytest.mark.parametrize("length", [0, 8, 1000, -1000])
    def test_open_refuses_when_a_file_is_truncated(
        self, tmp_path: Path, length: int, capfd: pytest.CaptureFixture[str]
    ) -> None:
        path = self.write(tmp_path)
        for part in sorted(tmp_path.iterdir()):
            whole = part.read_bytes()
            part.write_bytes(whole[:length])
            with self.refused(f"{path.name} .*again"):
                self.runtime.open(path, 1)
            part.write_bytes(whole)
        self.runtime.open(path, 1)
        assert capfd.readouterr() == ("", "")  # what is wrong stands in the error

    def test_open_refuses_when_the_file_is_something_else(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        path = self.write(tmp_path)
        random = np.random.default_rng(0).bytes(path.stat().st_size)
        for data in (random, b"\xff\xd8\xff\xe0 a photo, not a model", b"\n\n{}\n"):
            path.write_bytes(data)
            with self.refused("again"):
                self.runtime.open(path, 1)
        assert capfd.readouterr() == ("", "")

    def test_open_refuses_when_a_file_is_missing(self, tmp_path: Path) -> None:
        path = self.write(tmp_path)
        for part in sorted(tmp_path.iterdir()):
            moved = part.rename(tmp_path / "moved")
            with self.refused(f"{part} does not exist"):
                self.runtime.open(path, 1)
            moved.rename(part)
        path.unlink()
        path.mkdir()
        with self.refused(f"{path} does not exist"):
            self.runtime.open(path, 1)

    def test_open_refuses_when_the_model_is_foreign(self, tmp_path: Path) -> None:
        for kind in self.foreign:
            path = self.write_foreign(tmp_path, kind)
            with self.refused(rf"{path.name} {FOREIGN[kind]}.*--format {self.format_name}"):
                self.runtime.open(path, 1)

    def test_availability_gives_the_version_when_installed(self) -> None:
        availability = self.runtime.availability()
        module = importlib.import_module(self.module.partition(".")[0])
        assert availability.available
        assert availability.remedy == ""
        assert availability.version is not None
        assert module.__version__.startswith(availability.version)

    def test_availability_names_the_command_when_not_installed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        module = f"edgevit.runtimes.{self.format_name}"
        monkeypatch.setattr(f"{module}.version_of", lambda package: None)
        availability = self.runtime.availability()
        assert not availability.available
        assert availability.remedy == f"pip install 'edgevit[{self.format_name}]'"

    def test_open_names_the_command_when_the_runtime_is_not_installed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = self.write(tmp_path)
        monkeypatch.setitem(sys.modules, self.module, None)
        with pytest.raises(MissingDependencyError) as caught:
            self.runtime.open(path, 1)
        assert caught.value.remedy == f"pip install 'edgevit[{self.format_name}]'"

    def test_open_says_why_when_the_runtime_cannot_be_imported(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = self.write(tmp_path)
        monkeypatch.delitem(sys.modules, self.module, raising=False)
        monkeypatch.setattr(sys, "meta_path", [_BrokenFinder(self.module), *sys.meta_path])
        with pytest.raises(MissingDependencyError, match=r"libnone\.so\.6: cannot open"):
            self.runtime.open(path, 1)  # in one line

    def test_preload_imports_what_open_needs_when_installed(self, tmp_path: Path) -> None:
        code = (
            "import sys; from pathlib import Path\n"
            "from edgevit.runtimes.registry import RUNTIMES\n"
            f"RUNTIMES.get({self.format_name!r}).preload()\n"
            f"assert {self.module!r} in sys.modules\n"
            "before = set(sys.modules)\n"
            f"RUNTIMES.get({self.format_name!r}).open(Path(sys.argv[1]), 1)\n"
            "packages = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
            f"assert {self.module.partition('.')[0]!r} not in packages, packages"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(self.write(tmp_path))],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_preload_names_the_command_when_the_runtime_is_not_installed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, self.module, None)
        with pytest.raises(MissingDependencyError) as caught:
            self.runtime.preload()
        assert caught.value.remedy == f"pip install 'edgevit[{self.format_name}]'"

    def test_devices_begin_with_the_cpu_when_asked_for_cpus(self) -> None:
        first = self.runtime.devices("cpu", None)[0]
        assert (first.device, first.absent) == (CPU_DEVICE, "")

    @pytest.mark.parametrize("kind", ["npu", "gpu"])
    def test_devices_say_why_when_there_is_none(self, kind: DeviceKind) -> None:
        supports = self.runtime.devices(kind, None)
        assert supports
        for support in supports:
            assert support.device.kind == kind
            assert support.device.name
            assert "\n" not in support.absent
        if all(support.absent for support in supports):  # as on a machine without an accelerator
            assert any(word in supports[0].absent for word in ("install", "give"))  # the remedy

    @pytest.mark.parametrize("kind", ["cpu", "npu", "gpu"])
    def test_devices_name_the_command_when_the_runtime_is_not_installed(
        self, kind: DeviceKind, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(f"edgevit.runtimes.{self.format_name}.version_of", lambda package: None)
        (support,) = self.runtime.devices(kind, None)
        assert support.device.kind == kind
        assert support.absent.endswith(
            f"is not installed: pip install 'edgevit[{self.format_name}]'"
        )

    def test_share_is_whole_when_the_cpu_is_the_device(self, tmp_path: Path) -> None:
        path = self.write(tmp_path)
        ops, times, detail = self.runtime.accelerator_share(path, 1, CPU_DEVICE, PHOTOS[:2])
        assert ops == 1
        assert times in (1, None)
        assert "ops" in detail or "nodes" in detail

    def test_answers_are_the_same_when_the_cpu_is_named(self, tmp_path: Path) -> None:
        path = self.write(tmp_path)
        named = predict_all(self.runtime.open(path, 1, CPU_DEVICE), PHOTOS)
        np.testing.assert_array_equal(named, predict_all(self.runtime.open(path, 1), PHOTOS))

    def test_nothing_is_printed_and_no_toolchain_loaded_when_all_is_well(
        self, tmp_path: Path
    ) -> None:
        code = (
            "import sys; from pathlib import Path\n"
            "import numpy as np\n"
            "from edgevit.runtimes.registry import RUNTIMES\n"
            f"session = RUNTIMES.get({self.format_name!r}).open(Path(sys.argv[1]), 1)\n"
            f"session.invoke(np.zeros((1, {SIZE}, {SIZE}, 3), np.uint8))\n"
            "session.placement()\n"
            "assert not {'tensorflow', 'keras', 'onnx', 'edgevit.export'} & set(sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(self.write(tmp_path))],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
