"""One rule for each kind of step: the torch module or function that it is.

No width is written down where torch can find it out: axes merge by ``flatten``, untouched axes of a slice are ``:``,
the batch is −1.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn
from torch.nn import functional

from oamip.readers.norms import FixedNorm1d, FixedNorm2d, FixedNorm3d
from oamip.readers.pooling import pooled_length
from oamip.writers import steps as s
from oamip.writers.pools import weights_of
from oamip.writers.torch_graph import Writer, filled

__all__ = ["RULES"]

Rule: TypeAlias = Callable[[Writer, s.Step, Any], fx.Node]

# ── layers ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_NORM = {1: FixedNorm1d, 2: FixedNorm1d, 3: FixedNorm2d, 4: FixedNorm3d}
_MAX = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
_AVERAGE = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}


def _linear(w: Writer, step: s.Step, op: s.Linear) -> fx.Node:
    outputs, inputs = op.weight.shape
    tensors = {"weight": op.weight, "bias": op.bias}
    return w.layer(step, w.input(step), filled(nn.Linear, inputs, outputs, op.bias is not None, tensors=tensors))


def _conv(w: Writer, step: s.Step, op: s.Conv) -> fx.Node:
    m, x = op.map, w.input(step)
    sides = m.padding
    if any(before != after for before, after in sides):
        x = w.call(functional.pad, x, _flat(sides), "constant", 0.0)
        sides = tuple((0, 0) for _ in sides)
    channels = m.in_shape[0], m.weight.shape[0]
    plain = (m.kernel, m.stride, tuple(before for before, _ in sides), m.dilation, m.groups, op.bias is not None)
    tensors = {"weight": m.weight, "bias": op.bias}
    return w.layer(step, x, filled(_CONV[len(m.kernel)], *channels, *plain, tensors=tensors))


def _conv_transpose(w: Writer, step: s.Step, op: s.ConvTranspose) -> fx.Node:
    """With torch's padding and output_padding where they do, else whole and cut to size."""
    c = op.map.convolution
    sizes = zip(op.map.in_shape[1:], c.in_shape[1:], c.kernel, c.stride, c.dilation, c.padding, strict=True)
    extra, sides = [], []
    for length, size, kernel, stride, dilation, (before, _) in sizes:
        full = (length - 1) * stride + dilation * (kernel - 1) + 1
        extra.append(size - (full - 2 * before))
        sides.append((-before, size + before - full))
    behind = tuple(before for before, _ in c.padding)
    fits = all(0 <= e < max(st, d) for e, st, d in zip(extra, c.stride, c.dilation, strict=True))
    own = op.bias if fits else None
    made = filled(
        _TRANSPOSED[len(c.kernel)],
        *(op.map.in_shape[0], c.in_shape[0], c.kernel, c.stride),
        padding=behind if fits else 0,
        output_padding=tuple(extra) if fits else 0,
        groups=c.groups,
        bias=own is not None,
        dilation=c.dilation,
        tensors={"weight": c.weight, "bias": own},
    )
    if fits:
        return w.layer(step, w.input(step), made)
    node = w.call(functional.pad, w.layer(step, w.input(step), made), _flat(sides), "constant", 0.0)
    if op.bias is None:
        return node
    shift = torch.tensor(op.bias).reshape(1, -1, *(1 for _ in c.kernel))
    return w.call(operator.add, node, w.constant(step, "bias", shift))


def _norm(w: Writer, step: s.Step, op: s.Norm) -> fx.Node:
    """Learnt numbers are weight and bias; others are put into the statistics."""
    channels = len(op.factor)
    tensors: dict[str, Any] = {"running_mean": np.zeros(channels), "running_var": np.ones(channels)}
    if op.learnt:
        tensors |= {"weight": op.factor, "bias": op.shift}
    else:
        tensors = {"running_mean": -op.shift / op.factor, "running_var": op.factor**-2.0}
    made = filled(_NORM[len(step.shape)], channels, tensors=tensors, eps=0.0, affine=op.learnt)
    return w.layer(step, w.input(step), made)


def _bend(w: Writer, step: s.Step, op: s.Bend) -> fx.Node:
    return w.layer(step, w.input(step), filled(nn.PReLU, len(op.slope), tensors={"weight": op.slope}))


# ── element by element ───────────────────────────────────────────────────────────────────────────────────────────────


def _positive(w: Writer, step: s.Step, _: s.Positive) -> fx.Node:
    return w.layer(step, w.input(step), nn.ReLU())


def _scaled(w: Writer, step: s.Step, op: s.Scaled) -> fx.Node:
    if op.factor.size == 1 and float(op.factor) == -1.0:
        return w.call(operator.neg, w.input(step))
    return w.call(operator.mul, w.input(step), _number(w, step, "factor", op.factor))


def _shifted(w: Writer, step: s.Step, op: s.Shifted) -> fx.Node:
    return w.call(operator.add, w.input(step), _number(w, step, "shift", op.shift))


def _number(w: Writer, step: s.Step, kind: str, array: NDArray[np.float64]) -> Any:
    if array.size == 1:
        return float(array)
    return w.constant(step, kind, torch.tensor(array[None]))


def _total(w: Writer, step: s.Step, op: s.Total) -> fx.Node:
    terms = [w.values[name] for name in step.inputs]
    total = terms[0] if op.signs[0] > 0 else w.call(operator.neg, terms[0])
    for term, sign in zip(terms[1:], op.signs[1:], strict=True):
        total = w.call(operator.add if sign > 0 else operator.sub, total, term)
    return total


# ── pools ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _symmetric(windows: tuple[s.Window, ...]) -> tuple[bool, bool]:
    """Whether torch makes these windows from one padding for both ends, and whether with ``ceil_mode``."""
    for ceil in (False, True):
        lengths = (
            pooled_length(n.size, n.dilation * (n.kernel - 1) + 1, n.stride, n.before, ceil_mode=ceil) for n in windows
        )
        if all(length == n.length and 2 * n.before <= n.kernel for length, n in zip(lengths, windows, strict=True)):
            return True, ceil
    return False, False


def _max_pool(w: Writer, step: s.Step, op: s.MaxPool) -> fx.Node:
    windows = op.windows
    fits, ceil = _symmetric(windows)
    if not fits or len(windows) not in _MAX:
        return _picked_maxima(w, step, windows)
    kernel, stride, before, dilation = zip(*((n.kernel, n.stride, n.before, n.dilation) for n in windows), strict=True)
    return w.layer(step, w.input(step), _MAX[len(windows)](kernel, stride, before, dilation, ceil_mode=ceil))


def _picked_maxima(w: Writer, step: s.Step, windows: tuple[s.Window, ...]) -> fx.Node:
    """Windows that torch has no pool for: entries picked axis by axis, then maxima; an absent one repeats another."""
    node = w.input(step)
    for axis, n in enumerate(windows, 1):
        entries = (np.arange(n.length) * n.stride - n.before)[:, None] + np.arange(n.kernel) * n.dilation
        inside = np.where((entries >= 0) & (entries < n.size), entries, -1)
        inside = np.where(inside >= 0, inside, inside.max(axis=1, keepdims=True))
        picks = [
            w.call(torch.index_select, node, axis + 1, w.constant(step, "positions", torch.tensor(inside[:, k])))
            for k in range(n.kernel)
        ]
        node = picks[0]
        for other in picks[1:]:
            node = w.call(torch.maximum, node, other)
    return node


def _average_pool(w: Writer, step: s.Step, op: s.AveragePool) -> fx.Node:
    windows = op.windows
    fits, ceil = _symmetric(windows)
    if not fits or len(windows) not in _AVERAGE or any(n.dilation > 1 for n in windows):
        return _channels(w, step, s.Channels(weights_of(op), step.shape[1:]))
    kernel, stride, before = zip(*((n.kernel, n.stride, n.before) for n in windows), strict=True)
    made = _AVERAGE[len(windows)](kernel, stride, before, ceil_mode=ceil, count_include_pad=op.counted)
    return w.layer(step, w.input(step), made)


def _mean(w: Writer, step: s.Step, op: s.Mean) -> fx.Node:
    return _reduced(w, step, torch.mean, op)


def _largest(w: Writer, step: s.Step, op: s.Largest) -> fx.Node:
    return _reduced(w, step, torch.amax, op)


def _reduced(w: Writer, step: s.Step, function: Callable[..., Any], op: s.Mean | s.Largest) -> fx.Node:
    axes = tuple(axis + 1 for axis in op.axes)
    return w.graph.call_function(function, (w.input(step), axes), {"keepdim": True} if op.keep else {})


def _channels(w: Writer, step: s.Step, op: s.Channels) -> fx.Node:
    x = w.input(step)
    flat = w.call(torch.flatten, x, 2, -1) if len(w.before(step)) > 2 else x
    weights = w.constant(step, "weights", torch.tensor(op.weights.toarray()))
    made = w.call(functional.linear, flat, weights)
    return _reshaped(w, made, step.shape) if len(step.shape) != 2 else made


# ── moves ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _merge(w: Writer, step: s.Step, op: s.Merge) -> fx.Node:
    last = len(w.before(step)) - 1
    return w.call(torch.flatten, w.input(step), op.start + 1, -1 if op.stop == last else op.stop + 1)


def _squeeze(w: Writer, step: s.Step, op: s.Squeeze) -> fx.Node:
    return w.call(torch.squeeze, w.input(step), op.axis + 1)


def _unsqueeze(w: Writer, step: s.Step, op: s.Unsqueeze) -> fx.Node:
    return w.call(torch.unsqueeze, w.input(step), op.axis + 1)


def _reshape(w: Writer, step: s.Step, op: s.Reshape) -> fx.Node:
    return _reshaped(w, w.input(step), op.shape)


def _reshaped(w: Writer, x: fx.Node, shape: s.Shape) -> fx.Node:
    return w.call(torch.reshape, x, (-1, *shape))


def _permute(w: Writer, step: s.Step, op: s.Permute) -> fx.Node:
    return w.call(torch.permute, w.input(step), (0, *(axis + 1 for axis in op.axes)))


def _take(w: Writer, step: s.Step, op: s.Take) -> fx.Node:
    cuts = [slice(None)]
    for cut, size in zip(op.slices, w.before(step), strict=True):
        start, stop, pace = cut or (0, size, 1)
        cuts.append(slice(start or None, stop if stop < size else None, pace if pace > 1 else None))
    while cuts[-1] == slice(None):
        cuts.pop()
    return w.call(operator.getitem, w.input(step), tuple(cuts))


def _pick(w: Writer, step: s.Step, op: s.Pick) -> fx.Node:
    positions = w.constant(step, "positions", torch.tensor(op.positions))
    return w.call(torch.index_select, w.input(step), op.axis + 1, positions)


def _pad(w: Writer, step: s.Step, op: s.Pad) -> fx.Node:
    return w.call(functional.pad, w.input(step), _flat(op.sides), "constant", op.value)


def _flat(sides: Any) -> tuple[int, ...]:
    """(before, after) of each axis as torch wants them: last axis first, untouched leading axes left out."""
    touched = list(sides)
    while touched and not any(touched[0]):
        touched.pop(0)
    return tuple(number for side in reversed(touched) for number in side)


def _expand(w: Writer, step: s.Step, op: s.Expand) -> fx.Node:
    kept = zip(op.shape, w.before(step), strict=True)
    return w.graph.call_method("expand", (w.input(step), -1, *(-1 if size == own else size for size, own in kept)))


def _gather(w: Writer, step: s.Step, op: s.Gather) -> fx.Node:
    before, node = w.before(step), w.input(step)
    if len(before) != 1:
        node = w.call(torch.flatten, node, 1, -1) if before else w.call(torch.unsqueeze, node, 1)
    index = op.index.ravel()
    if (index < 0).any():  # one zero behind all entries
        node = w.call(functional.pad, node, (0, 1), "constant", 0.0)
        index = np.where(index < 0, math.prod(before), index)
    node = w.call(torch.index_select, node, 1, w.constant(step, "positions", torch.tensor(index)))
    return node if len(step.shape) == 1 else _reshaped(w, node, step.shape)


def _cat(w: Writer, step: s.Step, op: s.Cat) -> fx.Node:
    return w.call(torch.cat, [w.values[name] for name in step.inputs], op.axis + 1)


RULES: dict[type, Rule] = {
    s.Linear: _linear,
    s.Conv: _conv,
    s.ConvTranspose: _conv_transpose,
    s.Norm: _norm,
    s.Bend: _bend,
    s.Positive: _positive,
    s.Scaled: _scaled,
    s.Shifted: _shifted,
    s.Total: _total,
    s.MaxPool: _max_pool,
    s.AveragePool: _average_pool,
    s.Mean: _mean,
    s.Largest: _largest,
    s.Channels: _channels,
    s.Merge: _merge,
    s.Squeeze: _squeeze,
    s.Unsqueeze: _unsqueeze,
    s.Reshape: _reshape,
    s.Permute: _permute,
    s.Take: _take,
    s.Pick: _pick,
    s.Pad: _pad,
    s.Expand: _expand,
    s.Gather: _gather,
    s.Cat: _cat,
}
