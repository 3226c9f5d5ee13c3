"""The grammar of precisions: what each name promises, whatever the format.

``fp32``
    Every op computes in float32.
``int8``
    Every convolution, dense layer and attention projection computes in int8 with one weight scale
    per output channel; layer norm, GELU, softmax and residual adds stay float32. Activation
    ranges are taken at run time or calibrated, as the format does best; the bundle says which.

A (format, precision) pair that cannot be made is an error that lists the valid ones, never a
silent substitute. Which pairs there are is stated by each lowering
(:mod:`edgevit.export.registry`).
"""

from __future__ import annotations

from typing import Literal, get_args

Precision = Literal["fp32", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
