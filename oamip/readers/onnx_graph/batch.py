"""A batch of any size is told from a batch of one.

A tensor is read as it is for one sample. Where a file leaves the size of the batch open, every tensor must keep the
samples apart along axis 0. Whether an operator that moves entries does so is seen on the numbers of several samples;
other operators must leave axis 0 alone. A constant that is computed from the size of the batch is computed for two
sizes side by side. What is refused so may still come out right at the end (`oamip.readers.onnx_graph.reference`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from oamip.errors import UnsupportedOperator
from oamip.readers.onnx_graph.draft import Constant, Draft, Signal

__all__ = ["SIZES", "Mixing", "Varying", "folded", "joined", "keep_samples_apart", "moved", "settled"]

SIZES = (7, 11)
"""Of the batches that are looked at; hardly an axis that a file counts by number has both."""

_ALL = 2**31 - 1
"""The end that exporters write for all samples, or a larger one."""

_BROADCASTING = ("Add", "Div", "Gemm", "Max", "Mean", "Min", "Mul", "PRelu", "Sub", "Sum")


class Mixing(UnsupportedOperator):
    """A call mixes samples, or moves the axis of the batch; a later one may put it right."""


@dataclass(frozen=True, eq=False)
class Varying:
    """A constant that depends on the size of the batch: one array for each of `SIZES`."""

    values: tuple[Constant, ...]


def mixes(draft: Draft) -> NoReturn:
    """Refuse the present call: it does not keep samples apart."""
    raise Mixing(draft.operator, draft.place, _remedy(draft, "takes single samples out of the batch, or mixes them"))


def _remedy(draft: Draft, fault: str) -> str:
    node = draft.network[draft.network.inputs[0]]
    return (
        f"it {fault}, and the file leaves the size of the batch open; keep axis 0 as it is, or fix it: "
        f"read(path, shapes={{'{node.module}': {(1, *node.shape)}}}), or export it with a fixed batch of one"
    )


def _of(value: Any, number: int) -> Any:
    """A value, or several, for one of the sizes."""
    if isinstance(value, list | tuple):
        return [_of(part, number) for part in value]
    return value.values[number] if isinstance(value, Varying) else value


def _varies(value: Any) -> bool:
    return any(map(_varies, value)) if isinstance(value, list | tuple) else isinstance(value, Varying)


def folded(rule: Callable[..., Any], draft: Draft, arguments: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    """What a rule makes of constants, some of which may vary."""
    if not _varies(arguments):
        return rule(draft, *arguments, **attributes)
    results = [rule(draft, *_of(arguments, number), **attributes) for number in range(len(SIZES))]
    if isinstance(results[0], tuple):
        return tuple(joined(parts) for parts in zip(*results, strict=True))
    return joined(results)


def joined(values: Sequence[Constant]) -> Any:
    """A constant from what it is for each of `SIZES`."""
    first, second = values
    return first if np.array_equal(first, second) else Varying(tuple(values))


def settled(draft: Draft, value: Any) -> Any:
    """A constant operand for one sample: the sample that all samples of a varying one are alike."""
    if not isinstance(value, Varying):
        return value
    samples = [array[:1] for array, size in zip(value.values, SIZES, strict=True) if array.shape[:1] == (size,)]
    alike = len(samples) == len(SIZES) and np.array_equal(samples[0], samples[-1])
    if not alike or any((array != array[:1]).any() for array in value.values):
        draft.refuse("it takes numbers that depend on the size of the batch; export the network without them")
    return samples[0]


def moved(draft: Draft, x: Signal, function: Callable[..., Any], *inputs: Any) -> Any:
    """What a function of an array, and of constants, makes of the positions of one sample: one array, or a tuple."""
    index = draft.index(x)
    if not draft.batched:
        return function(index, *inputs)
    if draft.operator == "Slice" and not _varies(inputs):
        _keep_all(draft, function(np.broadcast_to(np.int8(0), (_ALL, *x.sizes[1:])), *inputs))
    budget = draft.budget
    for number, size in enumerate(SIZES):
        draft.budget = size * budget  # of single bytes, which are gone soon
        samples = np.arange(size, dtype=np.int8).reshape(-1, *(1 for _ in x.sizes[1:]))
        try:
            result = function(np.broadcast_to(samples, (size, *x.sizes[1:])), *_of(inputs, number))
        except ValueError:
            draft.budget = budget
            function(index, *_of(inputs, number))  # which tells what is wrong with one sample too
            mixes(draft)
        for part in _parts(result):
            _check_samples(draft, part, size)
    draft.budget = budget
    return _varying(draft, index, function, inputs) if _varies(inputs) else function(index, *inputs)


def _keep_all(draft: Draft, part: NDArray[Any]) -> None:
    """Refuse a slice that ends at a number of samples, which a small batch does not show."""
    if part.shape[0] != _ALL:
        draft.refuse(_remedy(draft, "takes a number of samples out of the batch"))


def _check_samples(draft: Draft, part: NDArray[np.int8], size: int) -> None:
    """Refuse a result whose rows are not the samples in their order; −1 stands for padding."""
    rows = np.arange(size, dtype=np.int8).reshape(-1, *(1 for _ in part.shape[1:]))
    if part.shape[:1] != (size,) or not ((part == rows) | (part == -1)).all():
        mixes(draft)


def _varying(draft: Draft, index: NDArray[np.intp], function: Callable[..., Any], inputs: Sequence[Any]) -> Any:
    """The positions of the first sample, if they are alike for all `SIZES`."""
    budget, results = draft.budget, []
    for number, size in enumerate(SIZES):
        draft.budget = budget
        result = function(np.broadcast_to(index, (size, *index.shape[1:])), *_of(inputs, number))
        results.append([part[:1] for part in _parts(result)])
    if any(not np.array_equal(*parts) for parts in zip(*results, strict=True)):
        mixes(draft)
    return tuple(results[0]) if isinstance(result, tuple) else results[0][0]


def _parts(result: Any) -> tuple[NDArray[Any], ...]:
    return result if isinstance(result, tuple) else (result,)


def keep_samples_apart(draft: Draft, inputs: Sequence[Any]) -> None:
    """Refuse a call that works along axis 0, or on tensors whose axes 0 do not meet.

    Args:
        draft: at a call that moves no entries.
        inputs: of the call.
    """
    attributes, operator = draft.call.attributes, draft.call.operator
    ranks = {len(value.sizes) for value in inputs if isinstance(value, Signal)}
    rank = max(ranks)
    axes: Sequence[int] = [attributes["axis"]] if operator in ("Concat", "LogSoftmax", "Softmax") else ()
    if operator.startswith("Reduce"):
        given = attributes.get("axes", inputs[1] if len(inputs) > 1 else None)
        axes = () if given is None else draft.integers(given)
        axes = axes if axes or attributes.get("noop_with_empty_axes") else range(rank)
    mixed = len(ranks) > 1 or 0 in (axis % rank for axis in axes)
    if operator in _BROADCASTING:
        constants = [np.shape(value) for value in inputs if value is not None and not isinstance(value, Signal)]
        constants = constants[1:] if operator == "Gemm" else constants
        mixed |= any(len(shape) > rank or (len(shape) == rank and shape[0] != 1) for shape in constants)
    if operator == "Gemm":
        mixed |= bool(attributes["transA"]) or isinstance(inputs[1], Signal)
    if operator == "MatMul":
        least = 2 if isinstance(inputs[0], Signal) else 3
        mixed |= rank < least or any(np.ndim(value) > rank for value in inputs if not isinstance(value, Signal))
    if mixed:
        mixes(draft)
