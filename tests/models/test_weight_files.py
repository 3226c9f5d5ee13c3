"""Published weight files, written here in their layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from edgevit.errors import InputError
from edgevit.models.registry import ARCHITECTURES
from edgevit.models.weight_files import read_keras_h5

KERNEL = np.arange(54, dtype=np.float32).reshape(3, 3, 3, 2)
BIAS = np.array([1, 2], dtype=np.float32)


def write_keras_2(file: h5py.File) -> None:
    """The layout of keras-applications' downloads."""
    layer = file.create_group("block1_conv1")
    layer["block1_conv1_W_1:0"] = KERNEL
    layer["block1_conv1_b_1:0"] = BIAS


def write_keras_2_model(file: h5py.File) -> None:
    """The layout of a whole model that Keras 2 saved."""
    layer = file.create_group("model_weights/block1_conv1/block1_conv1")
    layer["kernel:0"] = KERNEL
    layer["bias:0"] = BIAS


def write_keras_3(file: h5py.File) -> None:
    """The layout of Keras 3's ``.weights.h5``: names are attributes."""
    variables = file.create_group("block1/layers/conv2d/vars")
    variables.attrs["name"] = "block1_conv1"
    variables["0"] = KERNEL
    variables["1"] = BIAS


@pytest.mark.parametrize("write", [write_keras_2, write_keras_2_model, write_keras_3])
def test_layers_are_found_when_the_layout_is_known(tmp_path: Path, write: Any) -> None:
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        write(file)
    kernel, bias = read_keras_h5(tmp_path / "weights.h5")["block1_conv1"]
    np.testing.assert_array_equal(kernel, KERNEL)
    np.testing.assert_array_equal(bias, BIAS)


def test_file_is_refused_when_it_is_no_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_text("not weights")
    with pytest.raises(InputError, match="is not an HDF5 file"):
        read_keras_h5(path)


def test_vgg16_takes_the_trunk_when_the_file_fits(tmp_path: Path) -> None:
    import keras

    architecture = ARCHITECTURES.get("vgg16")
    spec = architecture.spec(3, 32)
    donor = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    donor.save_weights(tmp_path / "vgg.weights.h5")
    model = architecture.build_keras(spec)
    architecture.load_weight_file(model, spec, tmp_path / "vgg.weights.h5")
    for name in ("block1_conv1", "block5_conv3"):
        loaded = model.get_layer("vgg16").get_layer(name).get_weights()
        for mine, theirs in zip(loaded, donor.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_vgg16_names_the_layer_when_the_file_does_not_fit(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        write_keras_2(file)
    architecture = ARCHITECTURES.get("vgg16")
    spec = architecture.spec(3, 32)
    model = architecture.build_keras(spec)
    with pytest.raises(InputError, match=r"the layer block1_conv1 should hold .*it holds \(3, 3"):
        architecture.load_weight_file(model, spec, tmp_path / "weights.h5")


def official_vit_arrays(trunk: Any, grid: int, blocks: int) -> dict[str, np.ndarray]:
    """Random arrays in the Flax layout of Google's ViT files, for a trunk's dimensions."""
    random = np.random.default_rng(0)
    hidden = trunk.output.shape[-1]
    heads = trunk.get_layer("Transformer_encoderblock_0").num_heads
    mlp = trunk.get_layer("Transformer_encoderblock_0").mlp_dim
    patch = trunk.get_layer("embedding").kernel_size[0]
    shapes: dict[str, tuple[int, ...]] = {
        "embedding/kernel": (patch, patch, 3, hidden),
        "embedding/bias": (hidden,),
        "cls": (1, 1, hidden),
        "head/kernel": (hidden, 1000),
        "head/bias": (1000,),
        "Transformer/encoder_norm/scale": (hidden,),
        "Transformer/encoder_norm/bias": (hidden,),
        "Transformer/posembed_input/pos_embedding": (1, grid * grid + 1, hidden),
    }
    for block in range(blocks):
        prefix = f"Transformer/encoderblock_{block}"
        attention = f"{prefix}/MultiHeadDotProductAttention_1"
        for part in ("query", "key", "value"):
            shapes[f"{attention}/{part}/kernel"] = (hidden, heads, hidden // heads)
            shapes[f"{attention}/{part}/bias"] = (heads, hidden // heads)
        shapes[f"{attention}/out/kernel"] = (heads, hidden // heads, hidden)
        shapes[f"{attention}/out/bias"] = (hidden,)
        for norm in ("LayerNorm_0", "LayerNorm_2"):
            shapes[f"{prefix}/{norm}/scale"] = (hidden,)
            shapes[f"{prefix}/{norm}/bias"] = (hidden,)
        shapes[f"{prefix}/MlpBlock_3/Dense_0/kernel"] = (hidden, mlp)
        shapes[f"{prefix}/MlpBlock_3/Dense_0/bias"] = (mlp,)
        shapes[f"{prefix}/MlpBlock_3/Dense_1/kernel"] = (mlp, hidden)
        shapes[f"{prefix}/MlpBlock_3/Dense_1/bias"] = (hidden,)
    return {name: random.normal(size=s).astype(np.float32) for name, s in shapes.items()}


@pytest.mark.parametrize("grid", [8, 12])
def test_vit_takes_the_trunk_when_the_file_is_official(tmp_path: Path, grid: int) -> None:
    architecture = ARCHITECTURES.get("vit-tiny")
    spec = architecture.spec(3)
    model = architecture.build_keras(spec)
    trunk = model.get_layer("trunk")
    arrays = official_vit_arrays(trunk, grid, blocks=4)
    np.savez(tmp_path / "vit.npz", **arrays)
    architecture.load_weight_file(model, spec, tmp_path / "vit.npz")
    loaded = {weight.path: weight.numpy() for weight in model.weights}
    attention = "MultiHeadDotProductAttention_1/query/kernel"
    np.testing.assert_array_equal(
        loaded[f"Transformer_encoderblock_3/{attention}"],
        arrays[f"Transformer/encoderblock_3/{attention}"].reshape(128, 128),
    )
    positions = loaded["Transformer_posembed_input/pos_embedding"]
    assert positions.shape == (1, 65, 128)  # resampled where the file's grid is another
    expected = arrays["Transformer/posembed_input/pos_embedding"]
    np.testing.assert_array_equal(positions[0, 0], expected[0, 0])


def test_vit_refuses_the_file_when_it_holds_another_architecture(tmp_path: Path) -> None:
    architecture = ARCHITECTURES.get("vit-tiny")
    spec = architecture.spec(3)
    model = architecture.build_keras(spec)
    arrays = official_vit_arrays(model.get_layer("trunk"), 8, blocks=2)
    np.savez(tmp_path / "vit.npz", **arrays)
    with pytest.raises(InputError, match="holds 2 encoder blocks, the model has 4"):
        architecture.load_weight_file(model, spec, tmp_path / "vit.npz")


def test_vit_names_the_tensor_when_the_file_lacks_it(tmp_path: Path) -> None:
    architecture = ARCHITECTURES.get("vit-tiny")
    spec = architecture.spec(3)
    model = architecture.build_keras(spec)
    arrays = official_vit_arrays(model.get_layer("trunk"), 8, blocks=4)
    del arrays["Transformer/encoder_norm/scale"]
    np.savez(tmp_path / "vit.npz", **arrays)
    with pytest.raises(InputError, match="encoder_norm/scale"):
        architecture.load_weight_file(model, spec, tmp_path / "vit.npz")


@pytest.mark.parametrize("kind", ["empty", "text", "npy", "cut"])
def test_vit_refuses_the_file_in_our_words_when_it_is_no_npz(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "vit.npz"
    np.savez(path, cls=np.zeros(100))
    contents = {"empty": b"", "text": b"not weights", "cut": path.read_bytes()[:-50]}
    if kind == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:
        path.write_bytes(contents[kind])
    with pytest.raises(InputError, match=r"is not an \.npz file of ViT weights\. Give"):
        ARCHITECTURES.get("vit-tiny").check_weight_file(path)


def test_vit_names_the_file_when_its_bytes_are_damaged(tmp_path: Path) -> None:
    architecture = ARCHITECTURES.get("vit-tiny")
    spec = architecture.spec(3)
    model = architecture.build_keras(spec)
    path = tmp_path / "vit.npz"
    np.savez(path, **official_vit_arrays(model.get_layer("trunk"), 8, blocks=4))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"vit\.npz is damaged .*Download it again"):
        architecture.load_weight_file(model, spec, path)


def test_weights_are_refused_when_the_family_has_none(tmp_path: Path) -> None:
    architecture = ARCHITECTURES.get("vit-scratch")
    with pytest.raises(InputError, match="vit-scratch has no published weights"):
        architecture.load_weight_file(None, architecture.spec(3), tmp_path)
