"""The operators that can be read, each with its rule, and what to do instead of the others.

A rule takes the draft, then the inputs in ONNX's order, then the attributes by ONNX's names. What an older opset keeps
in an attribute and a newer one in an input is the same parameter, so that one rule serves both. Tensors that depend on
the input arrive as `Signal`, all others as numpy arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oamip.readers.onnx_graph import activations, layers, linear, moves, pooling
from oamip.readers.onnx_graph.batch import moved
from oamip.readers.onnx_graph.draft import Draft, Signal
from oamip.readers.onnx_graph.folding import FOLDS, cast, shape_of, size_of

__all__ = ["FOLDS", "RULES", "remedy"]


def _moving(function: Callable[..., Any]) -> Callable[..., Any]:
    """The rule for a signal from the function that moves an array."""

    def rule(draft: Draft, x: Any, *inputs: Any, **attributes: Any) -> Any:
        if not isinstance(x, Signal):
            draft.refuse("it takes entries of a constant from places that depend on the input")
        result = moved(draft, x, lambda a, *others: function(draft, a, *others, **attributes), *inputs)
        return tuple(draft.move(x, part) for part in result) if isinstance(result, tuple) else draft.move(x, result)

    return rule


def _dropout(
    draft: Draft,
    x: Signal,
    ratio: Any = None,  # noqa: ARG001
    training_mode: Any = None,
    *,
    seed: int = 0,  # noqa: ARG001
) -> Signal:
    if training_mode is not None and draft.numbers(training_mode).any():
        draft.refuse("it is random in training mode; export in evaluation mode")
    return x


RULES: dict[str, Callable[..., Any]] = {
    **{name: _moving(function) for name, function in moves.MOVES.items()},
    "Abs": activations.absolute,
    "Add": linear.add,
    "AveragePool": pooling.average_pool,
    "BatchNormalization": layers.batch_norm,
    "Cast": cast,
    "Clip": activations.clip,
    "Concat": linear.concat,
    "Conv": layers.conv,
    "ConvTranspose": layers.conv_transpose,
    "Div": linear.divide,
    "Dropout": _dropout,
    "Gemm": layers.gemm,
    "GlobalAveragePool": pooling.global_average,
    "GlobalMaxPool": pooling.global_max,
    "HardSigmoid": activations.hard_sigmoid,
    "LeakyRelu": activations.leaky_relu,
    "MatMul": layers.matmul,
    "Max": activations.maximum,
    "MaxPool": pooling.max_pool,
    "Mean": linear.mean,
    "Min": activations.minimum,
    "Mul": linear.multiply,
    "Neg": linear.negate,
    "PRelu": activations.parametric_relu,
    "Pad": moves.pad,
    "ReduceMax": pooling.reduce_max,
    "ReduceMean": pooling.reduce_mean,
    "ReduceMin": pooling.reduce_min,
    "ReduceSum": pooling.reduce_sum,
    "Relu": activations.relu,
    "Shape": shape_of,
    "Size": size_of,
    "Sub": linear.subtract,
    "Sum": linear.total,
}
"""Operator to its rule, for at least one input that depends on the network's input."""

_SMOOTH = "it is not piecewise linear; replace it by ReLU and train again"
_JUMP = "it is not continuous, so no linear pieces describe it; train the network without it"
_SAMPLE = "it divides by a statistic of each sample, which is not piecewise linear; use BatchNormalization"
_SEQUENCE = "recurrent and attention layers are not piecewise linear; use linear layers or convolutions over time"
_SCORES = "it is not piecewise linear; export the network without it, and apply it to the outputs"
_QUANTISED = "it rounds; export the network in floating point"

_REMEDIES = {
    _SMOOTH: "Sigmoid Tanh Gelu Elu Selu Celu Mish Swish HardSwish Softplus Softsign Erf Exp Log Sqrt Pow Reciprocal "
    "Sin Cos LpPool GlobalLpPool",
    _JUMP: "ThresholdedRelu Shrink Sign Floor Ceil Round Equal Greater Less Where Not And Or",
    _SAMPLE: "LayerNormalization InstanceNormalization GroupNormalization RMSNormalization LpNormalization LRN "
    "MeanVarianceNormalization",
    _SEQUENCE: "RNN LSTM GRU Attention Einsum",
    _SCORES: "Softmax LogSoftmax Hardmax ArgMax ArgMin TopK",
    _QUANTISED: "QuantizeLinear DequantizeLinear QLinearConv QLinearMatMul ConvInteger MatMulInteger",
    "branches and loops are not read; export a fixed network": "If Loop Scan",
}
_BY_NAME = {name: text for text, names in _REMEDIES.items() for name in names.split()}


def remedy(operator: str) -> str:
    """The way out for an operator without a rule.

    Example:
        >>> remedy("Sigmoid")
        'it is not piecewise linear; replace it by ReLU and train again'
    """
    return _BY_NAME.get(operator, "there is no rule for it; docs/files.md lists the operators that are read")
