"""Layers with weights: Gemm, MatMul, convolutions and their transposes, batch normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from oamip.network import Convolution, Dense, Layer, Scale, TransposedConvolution
from oamip.readers.onnx_graph.draft import Array, Draft, Shape, Signal, sample
from oamip.readers.onnx_graph.linear import combination
from oamip.readers.onnx_graph.windows import AUTO_PADS, Options, axes_of, channels_first

__all__ = ["batch_norm", "conv", "conv_transpose", "gemm", "matmul"]

Ints: TypeAlias = Sequence[int] | None

_PRODUCT = "it multiplies two tensors that depend on the input, which is not piecewise linear"


def gemm(
    draft: Draft,
    a: Any,
    b: Any,
    c: Any = None,
    *,
    alpha: float,
    beta: float,
    transA: int,
    transB: int,
) -> Signal:
    """``alpha A' B' + beta C``, one of A and B constant."""
    if isinstance(a, Signal) and isinstance(b, Signal):
        draft.refuse(_PRODUCT)
    if isinstance(b, Signal):  # A' B' = (B'ᵀ A'ᵀ)ᵀ
        weight = _times(draft, alpha, _matrix(draft, a, turned=transA))
        product = _turned(draft, _dense(draft, _rows(draft, b, turned=not transB), weight, 0))
    else:
        shift = np.zeros(()) if c is None or isinstance(c, Signal) else beta * draft.numbers(c)
        weight = _times(draft, alpha, _matrix(draft, b, turned=not transB))
        product = _dense(draft, _rows(draft, a, turned=transA), weight, 1, shift)
        if not isinstance(c, Signal):
            return product
    if c is None:
        return product
    result = combination(draft, [(product, 1.0), (c, beta)])
    if result.sizes != product.sizes:
        draft.refuse(f"its C enlarges a product of sizes {product.sizes}; export the network again")
    return result


def matmul(draft: Draft, a: Any, b: Any) -> Signal:
    """``MatMul`` as in numpy, one of the two a constant matrix or vector."""
    if isinstance(a, Signal) and isinstance(b, Signal):
        draft.refuse(_PRODUCT)
    x, constant = (a, b) if isinstance(a, Signal) else (b, a)
    matrix = draft.numbers(constant)
    extra = max(matrix.ndim - max(len(x.sizes), 2), 0)  # leading axes of 1 that only the constant has
    if math.prod(matrix.shape[:-2]) != 1:
        draft.refuse("its weights are a stack of matrices; export with one matrix, or one node for each")
    matrix = matrix.reshape(matrix.shape[-2:])
    if x is a:
        weight = matrix[None] if matrix.ndim == 1 else matrix.T
        y = _dense(draft, x, weight, 1)
        y = _reshaped(draft, y, y.sizes[:-1]) if matrix.ndim == 1 else y
    elif len(x.sizes) == 1:
        y = _dense(draft, x, np.atleast_2d(matrix), 0)
        y = _reshaped(draft, y, ()) if matrix.ndim == 1 else y
    else:
        y = _dense(draft, _turned(draft, x), np.atleast_2d(matrix), 0)
        y = _reshaped(draft, y, y.sizes[:-1]) if matrix.ndim == 1 else _turned(draft, y)
    return _reshaped(draft, y, (*(1,) * extra, *y.sizes)) if extra else y


def _dense(draft: Draft, x: Signal, weight: Array, operand: int, bias: ArrayLike = 0.0) -> Signal:
    """``x Wᵀ + bias`` along the last axis; ``operand`` is the number of the input that holds the weights."""
    if not x.sizes or x.sizes[-1] != weight.shape[1]:
        draft.refuse(f"its input has sizes {x.sizes} and its weights take {weight.shape[1]}; export the network again")
    sizes = (*x.sizes[:-1], weight.shape[0])
    constant = np.broadcast_to(bias, sizes).reshape(sample(sizes))
    layer = Layer(draft.path(operand), "linear", bias=np.ndim(bias) > 0)
    return replace(draft.affine(sample(sizes), (x, Dense(weight, x.shape)), bias=constant, layer=layer), sizes=sizes)


def _times(draft: Draft, factor: float, weight: Array) -> Array:
    if factor == 1:
        return weight
    draft.reserve(weight.shape)
    return factor * weight


def _matrix(draft: Draft, value: Any, *, turned: Any) -> Array:
    matrix = draft.numbers(value)
    if matrix.ndim != 2:
        draft.refuse(f"its weights have shape {matrix.shape}, and a matrix is needed; export the network again")
    return matrix.T if turned else matrix


def _rows(draft: Draft, x: Signal, *, turned: Any) -> Signal:
    if len(x.sizes) != 2:
        draft.refuse(f"its input has sizes {x.sizes}, and a matrix is needed; export the network again")
    return _turned(draft, x) if turned else x


def _turned(draft: Draft, x: Signal) -> Signal:
    return draft.move(x, draft.index(x).swapaxes(-1, -2))


def _reshaped(draft: Draft, x: Signal, sizes: Shape) -> Signal:
    return draft.move(x, draft.index(x).reshape(sizes))


def conv(
    draft: Draft,
    x: Signal,
    w: Any,
    b: Any = None,
    *,
    auto_pad: str,
    group: int,
    dilations: Ints = None,
    kernel_shape: Ints = None,
    pads: Ints = None,
    strides: Ints = None,
) -> Signal:
    """``Conv`` in any number of dimensions."""
    weight = _kernels(draft, w, x, kernel_shape)
    shape = channels_first(draft, x)
    if group < 1 or weight.shape[1] * group != shape[0] or weight.shape[0] % group:
        draft.refuse(f"weights {weight.shape} in {group} groups do not fit {shape[0]} channels; export it again")
    axes = axes_of(draft, shape[1:], weight.shape[2:], Options(auto_pad, pads, strides, dilations))
    padding = tuple((axis.before, axis.after) for axis in axes)
    strided, spread = tuple(axis.stride for axis in axes), tuple(axis.dilation for axis in axes)
    return _correlated(draft, x, Convolution(weight, shape, strided, padding, spread, group), b)


def conv_transpose(
    draft: Draft,
    x: Signal,
    w: Any,
    b: Any = None,
    *,
    auto_pad: str,
    group: int,
    dilations: Ints = None,
    kernel_shape: Ints = None,
    pads: Ints = None,
    strides: Ints = None,
    output_padding: Ints = None,
    output_shape: Ints = None,
) -> Signal:
    """``ConvTranspose``: the adjoint of a convolution from its output to its input."""
    weight = _kernels(draft, w, x, kernel_shape)
    shape, count = channels_first(draft, x), len(x.sizes) - 2
    if group < 1 or weight.shape[0] != shape[0] or shape[0] % group:
        draft.refuse(f"weights {weight.shape} in {group} groups do not fit {shape[0]} channels; export it again")
    steps, spread = tuple(strides or (1,) * count), tuple(dilations or (1,) * count)
    behind, wanted = tuple(output_padding or (0,) * count), output_shape and tuple(output_shape)[-count:]
    odd = auto_pad not in AUTO_PADS or len(pads or [0] * 2 * count) != 2 * count
    if odd or not len(steps) == len(spread) == len(behind) == count or min(*steps, *spread, 1) < 1:
        draft.refuse(f"its strides, dilations or output_padding do not fit {count} spatial axes")
    padding, spatial = [], []
    for axis, (size, kernel) in enumerate(zip(shape[1:], weight.shape[2:], strict=True)):
        full = steps[axis] * (size - 1) + behind[axis] + spread[axis] * (kernel - 1) + 1
        before, after = _cut(draft, axis, full, size * steps[axis], auto_pad, pads, wanted)
        if not 0 <= behind[axis] < steps[axis] or before + after >= full or min(before, after) < 0:
            draft.refuse("its output_padding must be smaller than its stride, and its pads than its output")
        padding.append((before, after))
        spatial.append(full - before - after)
    out = (weight.shape[1] * group, *spatial)
    draft.reserve(out)
    return _correlated(
        draft, x, TransposedConvolution(Convolution(weight, out, steps, tuple(padding), spread, group)), b
    )


def _cut(
    draft: Draft, axis: int, full: int, same: int, auto_pad: str, pads: Ints, output_shape: Ints
) -> tuple[int, int]:
    """How many entries a transposed convolution leaves out at both ends of an axis that it makes ``full`` long."""
    if output_shape is None and auto_pad in ("NOTSET", "VALID"):
        return (pads[axis], pads[len(pads) // 2 + axis]) if pads else (0, 0)
    surplus = full - (same if output_shape is None else output_shape[axis])
    if surplus < 0:
        draft.refuse(f"its output is longer than its windows reach along axis {axis}; give output_padding instead")
    half = surplus // 2
    return (half, surplus - half) if auto_pad == "SAME_UPPER" else (surplus - half, half)


def _kernels(draft: Draft, value: Any, x: Signal, kernel_shape: Ints) -> Array:
    weight = draft.numbers(value)
    if weight.ndim != len(x.sizes) or tuple(kernel_shape or weight.shape[2:]) != weight.shape[2:]:
        draft.refuse(f"weights of shape {weight.shape} do not fit kernel {kernel_shape} and an input {x.sizes}")
    return weight


def _correlated(draft: Draft, x: Signal, map_: Convolution | TransposedConvolution, b: Any) -> Signal:
    if min(map_.out_shape) < 1:
        draft.refuse(f"its kernel does not fit its input of sizes {x.sizes}")
    bias = np.zeros(1) if b is None else draft.numbers(b)
    if b is not None and bias.shape != map_.out_shape[:1]:
        draft.refuse(f"its bias has shape {bias.shape} for {map_.out_shape[0]} channels; export the network again")
    layer = Layer(draft.path(1), "conv", bias=b is not None)
    per_channel = bias.reshape(-1, *(1 for _ in map_.kernel))
    y = draft.affine(map_.out_shape, (x, map_), bias=per_channel, layer=layer)
    return replace(y, sizes=(1, *map_.out_shape))


def batch_norm(
    draft: Draft,
    x: Signal,
    scale: Any,
    shift: Any,
    mean: Any,
    variance: Any,
    *,
    epsilon: float,
    momentum: float,  # noqa: ARG001  # of training
    spatial: int = 1,
    training_mode: int = 0,
) -> Signal:
    """``BatchNormalization`` in evaluation: a scale and a shift per channel (axis 1)."""
    if training_mode or any(draft.call.outputs[1:]) or not spatial:
        draft.refuse("it normalises with statistics of the batch or for each position; export in evaluation mode")
    if len(x.sizes) < 2:
        draft.refuse(f"its input has sizes {x.sizes}; it needs a batch and channels")
    learnt, means, variances = draft.numbers(scale), draft.numbers(mean), draft.numbers(variance)
    if not learnt.shape == np.shape(shift) == means.shape == variances.shape == x.sizes[1:2]:
        draft.refuse(f"its statistics do not fit {x.sizes[1]} channels; export the network again")
    if (variances + epsilon <= 0).any():
        draft.refuse("a variance is not positive; train the network again")
    factor = learnt / np.sqrt(variances + epsilon)
    offset = draft.numbers(shift) - means * factor
    channels = (-1, *(1 for _ in x.sizes[2:]))
    layer = Layer(draft.path(1), "norm", bias=True) if x.sizes[0] == 1 else None
    map_ = Scale(factor.reshape(channels), x.shape)
    return replace(draft.affine(x.shape, (x, map_), bias=offset.reshape(channels), layer=layer), sizes=x.sizes)
