"""ONNX's own reference as the second opinion on a file, with two kernels put right.

As of onnx 1.23, its ConvTranspose gives every group the channels of the first, and its MaxPool of stride 1 loses
padding that differs at the two ends. Their own general forms are used for those.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops.op_conv_transpose import ConvTranspose as _ConvTranspose
from onnx.reference.ops.op_max_pool import MaxPool as _MaxPool

from oamip.network import Network
from oamip.network.comparison import outputs_of, random_inputs, worst_difference
from oamip.readers.onnx_graph.draft import Call, Constant
from oamip.readers.onnx_graph.tensors import REALS

__all__ = ["keeps_samples_apart", "outputs_by_reference"]

_log = logging.getLogger(__name__)
_BATCHES = (3, 7)
_AGREEMENT = 1e-9
_GROWING = {"ConstantOfShape", "Expand", "Range", "Tile"}
"""They may make far more of several samples than of one; nothing counts the numbers here."""


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


def keeps_samples_apart(
    network: Network, model: onnx.ModelProto, calls: Sequence[Call], weights: Mapping[str, Constant]
) -> bool:
    """Whether a model computes of several samples at once what a network, read for one, computes of each.

    Args:
        network: read for a batch of one.
        model: that it was read from.
        calls: those of the model that were read; no others are run.
        weights: of the model, by name.
    """
    if any(call.operator in _GROWING for call in calls):
        return False
    try:
        return all(_agrees(network, model, calls, weights, size) for size in _BATCHES)
    except Exception as error:  # its kernels raise anything
        _log.debug("onnx.reference cannot say whether samples are kept apart: %s", error)
        return False


def _agrees(
    network: Network, model: onnx.ModelProto, calls: Sequence[Call], weights: Mapping[str, Constant], size: int
) -> bool:
    made = {name: call for call in calls for name in call.outputs if name}
    ends = [value.name for value in model.graph.output]
    # A softmax at the end is not read, so what it takes is compared; none may go over the batch.
    scores = {name: made[name] for name in ends if name in made and "Softmax" in made[name].operator}
    twin = _doubled(model, made, [scores[name].inputs[0] if name in scores else name for name in ends], weights)
    samples = random_inputs(network, size)
    feed = {value.name: x for value, x in zip(twin.graph.input, samples.values(), strict=True)}
    found = dict(zip(ends, outputs_by_reference(twin, feed), strict=True))
    over = any(call.attributes["axis"] % found[name].ndim == 0 for name, call in scores.items())
    if over or any(len(part) != size for part in found.values()):
        return False
    expected = outputs_of(network, samples)
    parts = [part.reshape(wanted.shape) for part, wanted in zip(found.values(), expected, strict=True)]
    return worst_difference(expected, parts) <= _AGREEMENT


def _doubled(
    model: onnx.ModelProto, made: Mapping[str, Call], ends: Iterable[str], weights: Mapping[str, Constant]
) -> onnx.ModelProto:
    """The nodes of a model that make some tensors, in double precision."""
    calls = [next((made[name] for name in node.output if name in made), None) for node in model.graph.node]
    nodes = [_node(node, call) for node, call in zip(model.graph.node, calls, strict=True) if call]
    stored = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in stored]
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, None) for name in part] for part in (names, ends)
    )
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "double", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=model.opset_import)


def _node(node: onnx.NodeProto, call: Call) -> onnx.NodeProto:
    """The node of a call with all its numbers of the types that constants are read in."""
    twin = onnx.NodeProto()
    twin.CopyFrom(node)
    for attribute in twin.attribute:
        value = call.attributes[attribute.name]
        if attribute.name in ("value_float", "value_floats"):
            attribute.CopyFrom(
                helper.make_attribute("value", numpy_helper.from_array(np.array(value, dtype=np.float64)))
            )
        elif attribute.type == AttributeProto.TENSOR:
            attribute.t.CopyFrom(numpy_helper.from_array(np.asarray(value)))
        elif node.op_type == "Cast" and attribute.name == "to" and value != TensorProto.BOOL:
            attribute.i = TensorProto.DOUBLE if value in REALS else TensorProto.INT64
    return twin
