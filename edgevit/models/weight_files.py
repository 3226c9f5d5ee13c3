"""Reading published weight files: Keras ``.h5`` in each of its layouts, and ViT's ``.npz``."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.errors import InputError, MissingDependencyError

Arrays = list[npt.NDArray[np.float32]]

_VIT_REMEDY = "Give an official ViT .npz file of the same architecture"


@contextmanager
def open_keras_h5(path: Path) -> Iterator[Any]:
    """Open a Keras ``.h5`` for reading.

    Raises:
        InputError: if the file is no HDF5 file, or reading it inside the block fails.
    """
    try:
        import h5py
    except ImportError:
        raise MissingDependencyError(
            "reading a Keras .h5 file needs h5py", "pip install 'edgevit[train]'"
        ) from None
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise InputError(
            f"{path} is not an HDF5 file, or is damaged", "Give the .h5 file that Keras wrote"
        ) from error


def read_keras_h5(path: Path) -> dict[str, Arrays]:
    """Read the weights of every named layer, kernel before bias.

    Three layouts are understood: Keras 2 weights (``LAYER/LAYER/kernel:0`` and the older
    ``LAYER/LAYER_W_1:0``), Keras 2 whole models (the same below ``model_weights``) and Keras 3
    (``…/vars/0`` with the layer's name as an attribute of ``vars``).

    Raises:
        InputError: if the file is no HDF5 file.
    """
    layers: dict[str, Arrays] = {}

    def visit(name: str, item: Any) -> None:
        # Groups have no shape, and scalars – counters of an optimiser – are no weights.
        if getattr(item, "shape", None):
            layers.setdefault(_layer_name(name, item), []).append(np.asarray(item, np.float32))

    with open_keras_h5(path) as file:
        file.visititems(visit)
    # Kernels have more dimensions than biases, whatever the alphabet says of their names.
    return {name: sorted(arrays, key=lambda a: -a.ndim) for name, arrays in layers.items()}


def _layer_name(name: str, item: Any) -> str:
    if item.parent.name.endswith("/vars"):
        return str(item.parent.attrs.get("name", item.parent.parent.name.rsplit("/", 1)[-1]))
    parts = name.split("/")
    if parts[0] == "model_weights":
        parts = parts[1:]
    return parts[0]


def load_vit_npz(trunk: Any, path: Path, *, blocks: int, grid_height: int, grid_width: int) -> None:
    """Load a Google ViT ``.npz`` (Flax layout) into a vit-keras trunk without a top.

    The position embedding is resampled when the image size differs from the file's.

    Raises:
        InputError: if the file is no ``.npz``, holds another architecture, or lacks a tensor.
    """
    import warnings

    from vit_keras import utils

    check_vit_npz(path, blocks)
    try:
        with warnings.catch_warnings():
            # It warns of the head, which is not loaded, and of the resampling, which is meant.
            warnings.simplefilter("ignore", UserWarning)
            utils.load_weights_numpy(
                trunk,
                path,
                pretrained_top=False,
                num_x_patches=grid_width,
                num_y_patches=grid_height,
            )
    except (KeyError, ValueError, AssertionError) as error:
        raise InputError(f"{path} does not fit {trunk.name} ({error})", _VIT_REMEDY) from error
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error})", "Download it again") from error


def check_vit_npz(path: Path, blocks: int) -> None:
    """Check, by its table of contents, that a file is a ViT ``.npz`` with so many blocks.

    Raises:
        InputError: if it is not.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        raise InputError(f"{path} is not an .npz file of ViT weights", _VIT_REMEDY) from None
    found = len({n.split("/")[1] for n in names if n.startswith("Transformer/encoderblock_")})
    if found != blocks:
        raise InputError(
            f"{path} holds {found} encoder blocks, the model has {blocks}", _VIT_REMEDY
        )
