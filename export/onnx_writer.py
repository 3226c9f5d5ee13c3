"""Writing ONNX files: constants and nodes, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.errors import MissingDependencyError

# 20 is the first with Gelu; later ones would need newer runtimes and bring nothing here.
OPSET = 20
_IR_VERSION = 9  # the one that opset 20 came with


def load_onnx() -> Any:
    """Import onnx.

    Raises:
        MissingDependencyError: naming the command that installs it.
    """
    try:
        import onnx
    except ImportError:
        raise MissingDependencyError(
            "writing ONNX and OpenVINO needs onnx", "pip install 'edgevit[export]'"
        ) from None
    return onnx


class OnnxWriter:
    """Collects one graph's constants and nodes; :meth:`render` gives the file."""

    def __init__(self) -> None:
        self.onnx = load_onnx()
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def constant(self, name: str, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """Add a constant, once, and return its name.

        Raises:
            ValueError: if another constant has that name.
        """
        array = np.ascontiguousarray(value, dtype=dtype).reshape(np.shape(value))
        constant = self.onnx.numpy_helper.from_array(array, name)
        if self._constants.setdefault(name, constant) != constant:
            raise ValueError(f"two constants are named {name!r}")
        return name

    def node(self, kind: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> str:
        """Add a node that is named as its first output, and return that name."""
        self._nodes.append(
            self.onnx.helper.make_node(
                kind, list(inputs), list(outputs), name=outputs[0], **attributes
            )
        )
        return outputs[0]

    def reshape(self, x: str, output: str, shape: Sequence[int]) -> str:
        """Add a reshape."""
        return self.node("Reshape", (x, self.constant(f"{output}/shape", shape, np.int64)), output)

    def cast(self, x: str, output: str, dtype: npt.DTypeLike) -> str:
        """Add a cast."""
        to = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.node("Cast", (x,), output, to=to)

    def render(
        self,
        pixels: tuple[str, Sequence[int]],
        probabilities: tuple[str, Sequence[int]],
        metadata: Mapping[str, str],
    ) -> bytes:
        """Return the file.

        Args:
            pixels: Name and shape of the ``uint8`` input.
            probabilities: Name and shape of the ``float32`` output.
            metadata: For ``metadata_props``.
        """
        helper, types = self.onnx.helper, self.onnx.TensorProto
        graph = helper.make_graph(
            self._nodes,
            "edgevit",
            [helper.make_tensor_value_info(pixels[0], types.UINT8, pixels[1])],
            [helper.make_tensor_value_info(probabilities[0], types.FLOAT, probabilities[1])],
            list(self._constants.values()),
        )
        model = helper.make_model(
            graph,
            producer_name="edgevit",
            ir_version=_IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        helper.set_model_props(model, dict(metadata))
        data: bytes = model.SerializeToString(deterministic=True)
        return data
