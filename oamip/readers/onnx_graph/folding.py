"""What a graph computes from constants alone, mostly sizes: done at once, in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from onnx import TensorProto

from oamip.readers.onnx_graph.batch import SIZES, joined
from oamip.readers.onnx_graph.draft import Constant, Draft, Shape, Signal
from oamip.readers.onnx_graph.moves import MOVES, pad_constant
from oamip.readers.onnx_graph.tensors import INTEGERS, REALS

__all__ = ["FOLDS", "cast", "shape_of", "size_of"]


def shape_of(draft: Draft, x: Any, *, start: int = 0, end: int | None = None) -> Any:
    """``Shape``, also of a tensor that depends on the input."""
    return _sized(draft, x, lambda sizes: np.array(sizes[start:end], dtype=np.int64))


def size_of(draft: Draft, x: Any) -> Any:
    """``Size``, also of a tensor that depends on the input."""
    return _sized(draft, x, lambda sizes: np.array(math.prod(sizes), dtype=np.int64))


def _sized(draft: Draft, x: Any, function: Callable[[Shape], Constant]) -> Any:
    """A function of sizes, which vary with an open batch."""
    if not isinstance(x, Signal):
        return function(np.shape(x))
    if not draft.batched:
        return function(x.sizes)
    return joined([function((size, *x.sizes[1:])) for size in SIZES])


def cast(draft: Draft, x: Any, *, to: int, saturate: int = 1, round_mode: str = "") -> Any:  # noqa: ARG001  # of float8
    """``Cast``; one precision for all reals, so between those it changes nothing."""
    if isinstance(x, Signal):
        if to not in REALS:
            draft.refuse("it rounds a tensor that depends on the input to integers, which is not continuous")
        return x
    if to in REALS:
        return x.astype(np.float64)
    if to not in (*INTEGERS, TensorProto.BOOL):
        draft.refuse(f"it casts to type number {to}; real numbers, integers and truth values are read")
    return x.astype(np.bool_ if to == TensorProto.BOOL else np.int64)


def _constant(
    _: Draft,
    *,
    value: Constant | None = None,
    value_float: float | None = None,
    value_floats: Sequence[float] | None = None,
    value_int: int | None = None,
    value_ints: Sequence[int] | None = None,
) -> Constant:
    if value is not None:
        return value
    real = value_float if value_float is not None else value_floats
    if real is not None:
        return np.array(real, dtype=np.float64)
    return np.array(value_int if value_int is not None else value_ints, dtype=np.int64)


def _constant_of_shape(draft: Draft, shape: Constant, *, value: Constant | None = None) -> Constant:
    sizes = draft.integers(shape)
    draft.reserve(sizes)
    return np.broadcast_to(np.zeros(()) if value is None else value.reshape(()), sizes)


def _range(draft: Draft, start: Constant, limit: Constant, delta: Constant) -> Constant:
    count = max(math.ceil((limit.item() - start.item()) / delta.item()), 0)
    draft.reserve((count,))
    result: Constant = start + np.arange(count) * delta
    return result


def _divide(a: Constant, b: Constant) -> Constant:
    """Towards zero for integers, as ONNX rounds."""
    real = a.dtype.kind == "f"
    result: Constant = a / b if real else np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))
    return result


def _mod(draft: Draft, a: Constant, b: Constant, *, fmod: int) -> Constant:
    draft.reserve(np.broadcast_shapes(a.shape, b.shape))
    result: Constant = np.fmod(a, b) if fmod else np.mod(a, b)
    return result


def _matmul(draft: Draft, a: Constant, b: Constant) -> Constant:
    draft.reserve((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *a.shape[-2:-1], *b.shape[-1:]))
    result: Constant = np.matmul(a, b)
    return result


def _gemm(
    draft: Draft, a: Constant, b: Constant, c: Any = 0.0, *, alpha: float, beta: float, transA: int, transB: int
) -> Constant:
    product = alpha * _matmul(draft, a.T if transA else a, b.T if transB else b)
    return product + beta * np.broadcast_to(c, product.shape)


def _concat(draft: Draft, parts: Sequence[Constant], *, axis: int) -> Constant:
    draft.reserve([sum(part.size for part in parts)])
    return np.concatenate(parts, axis)


def _clip(_: Draft, a: Constant, min: Any = None, max: Any = None) -> Constant:  # noqa: A002  # ONNX's own names
    low, high = (None if bound is None else np.reshape(bound, ()) for bound in (min, max))
    return a if low is None and high is None else np.clip(a, low, high).astype(a.dtype)


def _entrywise(function: Callable[..., Any]) -> Callable[..., Constant]:
    def fold(draft: Draft, *inputs: Constant) -> Constant:
        draft.reserve(np.broadcast_shapes(*(np.shape(value) for value in inputs)))
        return np.asarray(function(*inputs))

    return fold


def _gathered(function: Callable[..., Any]) -> Callable[..., Constant]:
    def fold(draft: Draft, parts: Sequence[Constant]) -> Constant:
        draft.reserve(np.broadcast_shapes(*(part.shape for part in parts)))
        return np.asarray(reduce(function, parts))

    return fold


def _reducing(function: Callable[..., Any]) -> Callable[..., Constant]:
    def fold(
        draft: Draft, a: Constant, axes: Any = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Constant:
        over = None if axes is None else draft.integers(axes) or None
        if over is None and noop_with_empty_axes:
            return a
        return np.asarray(function(a, axis=over, keepdims=bool(keepdims)))

    return fold


_ENTRYWISE: dict[str, Callable[..., Any]] = {
    "Abs": np.abs,
    "Add": np.add,
    "And": np.logical_and,
    "Ceil": np.ceil,
    "Div": _divide,
    "Equal": np.equal,
    "Exp": np.exp,
    "Floor": np.floor,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Log": np.log,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "Pow": np.power,
    "Reciprocal": np.reciprocal,
    "Relu": lambda a: np.maximum(a, 0),
    "Round": np.round,
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
    "Where": np.where,
}
_GATHERED: dict[str, Callable[..., Any]] = {"Max": np.maximum, "Min": np.minimum, "Sum": np.add}
_REDUCING: dict[str, Callable[..., Any]] = {
    "ReduceMax": np.max,
    "ReduceMean": np.mean,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceSum": np.sum,
}

FOLDS: dict[str, Callable[..., Any]] = {
    **MOVES,
    **{name: _entrywise(function) for name, function in _ENTRYWISE.items()},
    **{name: _gathered(function) for name, function in _GATHERED.items()},
    **{name: _reducing(function) for name, function in _REDUCING.items()},
    "Cast": cast,
    "Clip": _clip,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Mod": _mod,
    "Pad": pad_constant,
    "Range": _range,
    "Shape": shape_of,
    "Size": size_of,
}
"""Operator to a function of constants; it takes the draft, then inputs and attributes as the operator does."""
