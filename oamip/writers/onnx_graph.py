"""Steps as the nodes of an ONNX graph.

Weights are named after the layer that holds them, ``conv1.weight``, as torch's own exporter does, so that reading the
file again finds the layers of the source. The first axis of every tensor is the batch, of any size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from oamip.writers import steps as s
from oamip.writers.lowering import Lowered
from oamip.writers.pools import weights_of

__all__ = ["IR_VERSION", "OPSET", "RULES", "model_of"]

OPSET, IR_VERSION = 17, 8
"""Of 2022: every runtime in use reads them, and nothing here needs more."""

Rule: TypeAlias = Callable[["_Writer", s.Step, Any], str]


def model_of(lowered: Lowered, dtype: type[np.floating[Any]]) -> onnx.ModelProto:
    """The model for the steps of a network, weights in float32 or float64."""
    return _Writer(lowered, dtype).model()


class _Writer:
    """Gathers nodes and weights; a tensor has the name of its step."""

    def __init__(self, lowered: Lowered, dtype: type[np.floating[Any]]) -> None:
        self.lowered, self.dtype = lowered, np.dtype(dtype)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, NDArray[Any]] = {}
        self.shapes = {step.name: step.shape for step in (*lowered.inputs, *lowered.steps)}
        self.tensors = {step.name: step.name for step in lowered.steps}  # step → tensor
        self.taken = {*self.tensors}
        self.labels: set[str] = set()

    def model(self) -> onnx.ModelProto:
        inputs = []
        for step in self.lowered.inputs:
            name = self._fresh(step.path or step.name)
            self.tensors[step.name] = name
            inputs.append(self._value(name, step.shape))
        for step in self.lowered.steps:
            self.tensors[step.name] = RULES[type(step.operator)](self, step, step.operator)
        outputs: list[onnx.ValueInfoProto] = []
        for name in self.lowered.outputs:
            tensor, given = self.tensors[name], {value.name for value in (*inputs, *outputs)}
            if tensor in given:  # an output needs a name of its own
                tensor = self.node("Identity", [tensor], self._fresh(f"{tensor}_output"))
            outputs.append(self._value(tensor, self.shapes[name]))
        stored = [numpy_helper.from_array(array, name) for name, array in self.weights.items()]
        graph = helper.make_graph(self.nodes, "network", inputs, outputs, stored)
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="oamip")

    def _value(self, name: str, shape: s.Shape) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(self.dtype), ["batch", *shape])

    def _fresh(self, name: str) -> str:
        base, number = name, 1
        while name in self.taken:
            number += 1
            name = f"{base}_{number}"
        self.taken.add(name)
        return name

    # ── what the rules use ─────────────────────────────────────────────────────────────────────────────────────────

    def input(self, step: s.Step) -> str:
        """The only input of a step."""
        return self.tensors[step.inputs[0]]

    def before(self, step: s.Step) -> s.Shape:
        """The shape of one sample of it."""
        return self.shapes[step.inputs[0]]

    def node(self, operator: str, inputs: Sequence[str], output: str, label: str = "", **attributes: Any) -> str:
        """Add a node and return its output."""
        label = label if label and label not in self.labels else output
        self.labels.add(label)
        self.nodes.append(helper.make_node(operator, list(inputs), [output], label, **attributes))
        return output

    def part(self, operator: str, inputs: Sequence[str], step: s.Step, **attributes: Any) -> str:
        """Add a node that makes an intermediate result of a step."""
        return self.node(operator, inputs, self._fresh(f"{step.name}_{operator.lower()}"), **attributes)

    def weight(self, name: str, array: NDArray[Any]) -> str:
        """Store real numbers; equal ones of one name once."""
        return self._stored(name, np.ascontiguousarray(array, dtype=self.dtype))

    def integers(self, step: s.Step, kind: str, values: Any) -> str:
        """Store sizes or positions."""
        return self._stored(f"{step.name}.{kind}", np.array(values, dtype=np.int64))

    def _stored(self, name: str, array: NDArray[Any]) -> str:
        if name in self.weights and np.array_equal(self.weights[name], array):
            return name
        name = self._fresh(name)
        self.weights[name] = array
        return name


# ── layers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _linear(w: _Writer, step: s.Step, op: s.Linear) -> str:
    x = w.input(step)
    bias = [] if op.bias is None else [w.weight(f"{step.path}.bias", op.bias)]
    if len(step.shape) == 1:
        inputs = [x, w.weight(f"{step.path}.weight", op.weight), *bias]
        return w.node("Gemm", inputs, step.name, step.path, transB=1)
    inputs = [x, w.weight(f"{step.path}.weight", op.weight.T)]
    if not bias:
        return w.node("MatMul", inputs, step.name, step.path)
    return w.node("Add", [w.part("MatMul", inputs, step), *bias], step.name, step.path)


def _conv(w: _Writer, step: s.Step, op: s.Conv) -> str:
    m = op.map
    before, after = zip(*m.padding, strict=True)
    attributes: dict[str, Any] = {"kernel_shape": m.kernel, "strides": m.stride, "pads": (*before, *after)}
    inputs = [w.input(step), *_kernels(w, step, m.weight, op.bias)]
    return w.node("Conv", inputs, step.name, step.path, **attributes, dilations=m.dilation, group=m.groups)


def _conv_transpose(w: _Writer, step: s.Step, op: s.ConvTranspose) -> str:
    """Where the output reaches further than the windows and output_padding, zeros are added, then the bias."""
    c = op.map.convolution
    before, after, behind, missing = [], [], [], []
    sizes = zip(op.map.in_shape[1:], c.in_shape[1:], c.kernel, c.stride, c.dilation, c.padding, strict=True)
    for length, size, kernel, stride, dilation, (front, _) in sizes:
        surplus = (length - 1) * stride + dilation * (kernel - 1) + 1 - front - size
        extra = min(max(-surplus, 0), stride - 1)
        before.append(front)
        after.append(max(surplus, 0))
        behind.append(extra)
        missing.append(max(-surplus - extra, 0))
    attributes: dict[str, Any] = {
        "kernel_shape": c.kernel,
        "strides": c.stride,
        "pads": (*before, *after),
        "dilations": c.dilation,
    }
    attributes |= {"output_padding": behind, "group": c.groups}
    x = w.input(step)
    if not any(missing):
        inputs = [x, *_kernels(w, step, c.weight, op.bias)]
        return w.node("ConvTranspose", inputs, step.name, step.path, **attributes)
    x = w.part("ConvTranspose", [x, *_kernels(w, step, c.weight, None)], step, **attributes)
    none = [0] * (len(missing) + 2)
    pads = w.integers(step, "pads", [*none, 0, 0, *missing])
    if op.bias is None:
        return w.node("Pad", [x, pads], step.name, step.path)
    shift = w.weight(f"{step.path}.bias", op.bias.reshape(-1, *(1 for _ in c.kernel)))
    return w.node("Add", [w.part("Pad", [x, pads], step), shift], step.name, step.path)


def _kernels(w: _Writer, step: s.Step, weight: NDArray[Any], bias: NDArray[Any] | None) -> list[str]:
    names = [w.weight(f"{step.path}.weight", weight)]
    return names if bias is None else [*names, w.weight(f"{step.path}.bias", bias)]


def _norm(w: _Writer, step: s.Step, op: s.Norm) -> str:
    channels = len(op.factor)
    stored = {
        "weight": op.factor,
        "bias": op.shift,
        "running_mean": np.zeros(channels),
        "running_var": np.ones(channels),
    }
    names = [w.weight(f"{step.path}.{name}", array) for name, array in stored.items()]
    return w.node("BatchNormalization", [w.input(step), *names], step.name, step.path, epsilon=0.0)


def _bend(w: _Writer, step: s.Step, op: s.Bend) -> str:
    slope = op.slope.reshape(-1, *(1 for _ in step.shape[1:]))
    return w.node("PRelu", [w.input(step), w.weight(f"{step.path}.weight", slope)], step.name, step.path)


# ── element by element ───────────────────────────────────────────────────────────────────────────────────────────────


def _positive(w: _Writer, step: s.Step, _: s.Positive) -> str:
    return w.node("Relu", [w.input(step)], step.name, step.path)


def _scaled(w: _Writer, step: s.Step, op: s.Scaled) -> str:
    if op.factor.size == 1 and float(op.factor) == -1.0:
        return w.node("Neg", [w.input(step)], step.name, step.path)
    return w.node("Mul", [w.input(step), w.weight(f"{step.name}.factor", op.factor)], step.name, step.path)


def _shifted(w: _Writer, step: s.Step, op: s.Shifted) -> str:
    return w.node("Add", [w.input(step), w.weight(f"{step.name}.shift", op.shift)], step.name, step.path)


def _total(w: _Writer, step: s.Step, op: s.Total) -> str:
    terms = [w.tensors[name] for name in step.inputs]
    total = terms[0] if op.signs[0] > 0 else w.part("Neg", terms[:1], step)
    for number, sign in enumerate(op.signs[1:], 1):
        inputs, operator = [total, terms[number]], "Add" if sign > 0 else "Sub"
        last = number == len(terms) - 1
        total = w.node(operator, inputs, step.name, step.path) if last else w.part(operator, inputs, step)
    return total


# ── pools ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _max_pool(w: _Writer, step: s.Step, op: s.MaxPool) -> str:
    dilations = [n.dilation for n in op.windows]
    return w.node(
        "MaxPool", [_seen(w, step, op.windows)], step.name, step.path, **_frame(op.windows), dilations=dilations
    )


def _average_pool(w: _Writer, step: s.Step, op: s.AveragePool) -> str:
    windows = op.windows
    if any(n.dilation > 1 for n in windows) or (op.counted and any(n.after > n.before for n in windows)):
        return _channels(w, step, s.Channels(weights_of(op), step.shape[1:]))
    attributes = {**_frame(windows), "count_include_pad": int(op.counted)}
    return w.node("AveragePool", [_seen(w, step, windows)], step.name, step.path, **attributes)


def _frame(windows: Sequence[s.Window]) -> dict[str, Any]:
    pads = [n.before for n in windows] + [max(n.after, 0) for n in windows]
    return {"kernel_shape": [n.kernel for n in windows], "strides": [n.stride for n in windows], "pads": pads}


def _seen(w: _Writer, step: s.Step, windows: Sequence[s.Window]) -> str:
    """The input, cut where another window would fit behind the last one."""
    ends = [n.size + n.after if n.after <= -n.stride else n.size for n in windows]
    if ends == [n.size for n in windows]:
        return w.input(step)
    axes = range(2, len(ends) + 2)
    numbers = [w.integers(step, *entry) for entry in (("starts", [0] * len(ends)), ("ends", ends), ("axes", [*axes]))]
    return w.part("Slice", [w.input(step), *numbers], step)


def _mean(w: _Writer, step: s.Step, op: s.Mean) -> str:
    return _reduced(w, step, "ReduceMean", op)


def _largest(w: _Writer, step: s.Step, op: s.Largest) -> str:
    return _reduced(w, step, "ReduceMax", op)


def _reduced(w: _Writer, step: s.Step, operator: str, op: s.Mean | s.Largest) -> str:
    axes = [axis + 1 for axis in op.axes]
    return w.node(operator, [w.input(step)], step.name, step.path, axes=axes, keepdims=int(op.keep))


def _channels(w: _Writer, step: s.Step, op: s.Channels) -> str:
    before = w.before(step)
    flat = w.integers(step, "flat", [-1, before[0], math.prod(before[1:])])
    weights = w.weight(f"{step.name}.weights", op.weights.toarray().T)
    y = w.part("MatMul", [w.part("Reshape", [w.input(step), flat], step), weights], step)
    return w.node("Reshape", [y, w.integers(step, "shape", [-1, *step.shape])], step.name, step.path)


# ── moves ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _reshape(w: _Writer, step: s.Step, _: s.Move) -> str:
    if len(step.shape) == 1:
        return w.node("Flatten", [w.input(step)], step.name, step.path, axis=1)
    return w.node("Reshape", [w.input(step), w.integers(step, "shape", [-1, *step.shape])], step.name, step.path)


def _permute(w: _Writer, step: s.Step, op: s.Permute) -> str:
    perm = [0, *(axis + 1 for axis in op.axes)]
    return w.node("Transpose", [w.input(step)], step.name, step.path, perm=perm)


def _take(w: _Writer, step: s.Step, op: s.Take) -> str:
    cuts = {axis + 1: cut for axis, cut in enumerate(op.slices) if cut is not None}
    starts, ends, paces = zip(*cuts.values(), strict=True)
    given = {"starts": starts, "ends": ends, "axes": [*cuts], "steps": paces}
    numbers = [w.integers(step, kind, values) for kind, values in given.items()]
    return w.node("Slice", [w.input(step), *numbers], step.name, step.path)


def _pick(w: _Writer, step: s.Step, op: s.Pick) -> str:
    positions = w.integers(step, "positions", op.positions)
    return w.node("Gather", [w.input(step), positions], step.name, step.path, axis=op.axis + 1)


def _pad(w: _Writer, step: s.Step, op: s.Pad) -> str:
    before, after = zip((0, 0), *op.sides, strict=True)
    pads = w.integers(step, "pads", (*before, *after))
    value = [w.weight(f"{step.name}.value", np.array(op.value))] if op.value else []
    return w.node("Pad", [w.input(step), pads, *value], step.name, step.path)


def _expand(w: _Writer, step: s.Step, op: s.Expand) -> str:
    return w.node("Expand", [w.input(step), w.integers(step, "shape", [1, *op.shape])], step.name, step.path)


def _gather(w: _Writer, step: s.Step, op: s.Gather) -> str:
    x, before, index = w.input(step), w.before(step), op.index
    if len(before) != 1:
        x = w.part("Flatten", [x], step, axis=1)
    if (index < 0).any():  # one zero behind all entries
        x = w.part("Pad", [x, w.integers(step, "pads", [0, 0, 0, 1])], step)
        index = np.where(index < 0, math.prod(before), index)
    return w.node("Gather", [x, w.integers(step, "positions", index)], step.name, step.path, axis=1)


def _cat(w: _Writer, step: s.Step, op: s.Cat) -> str:
    return w.node("Concat", [w.tensors[name] for name in step.inputs], step.name, step.path, axis=op.axis + 1)


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
    **dict.fromkeys((s.Merge, s.Squeeze, s.Unsqueeze, s.Reshape), _reshape),
    s.Permute: _permute,
    s.Take: _take,
    s.Pick: _pick,
    s.Pad: _pad,
    s.Expand: _expand,
    s.Gather: _gather,
    s.Cat: _cat,
}
