"""ONNX's own reference as the second opinion on a file, with two kernels put right.

As of onnx 1.23, its ConvTranspose gives every group the channels of the first, and its MaxPool of stride 1 loses
padding that differs at the two ends. Their own general forms are used for those.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops.op_conv_transpose import ConvTranspose as _ConvTranspose
from onnx.reference.ops.op_max_pool import MaxPool as _MaxPool

__all__ = ["outputs_by_reference"]


class ConvTranspose(_ConvTranspose):
    """One group after the other."""

    op_domain = ""

    def _run(self, x, w, b=None, group=1, **attributes):  # type: ignore[no-untyped-def,override]  # as its own are
        shifts = [None] * group if b is None else np.split(b, group)
        parts = zip(np.split(x, group, axis=1), np.split(w, group), shifts, strict=True)
        one: Any = _ConvTranspose._run
        return (np.concatenate([one(self, *part, group=1, **attributes)[0] for part in parts], axis=1),)


class MaxPool(_MaxPool):
    """The form that it has for strides and dilations."""

    op_domain = ""

    def _run(self, x, **attributes):  # type: ignore[no-untyped-def,override]
        return self._max_pool(x, **attributes)  # type: ignore[no-untyped-call]


def outputs_by_reference(model: onnx.ModelProto, feed: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """What a model gives."""
    with np.errstate(all="ignore"):  # its kernels may touch what they do not use
        found = ReferenceEvaluator(model, new_ops=[ConvTranspose, MaxPool]).run(None, feed)
    return [np.asarray(part) for part in found]
