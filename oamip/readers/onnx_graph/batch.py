"""A batch of any size is told from a batch of one.

A tensor is read as it is for one sample. Where a file leaves the size of the batch open, every tensor must keep the
samples apart along axis 0. Whether an operator that moves entries does so is seen on the numbers of the entries of
several samples; other operators must leave axis 0 alone. A constant that is computed from the size of the batch is
computed for two sizes side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oamip.readers.onnx_graph.draft import Constant, Draft, Signal

__all__ = ["SIZES", "Varying", "folded", "joined", "keep_samples_apart", "moved", "settled"]

SIZES = (7, 11)
"""Of the batches that are looked at; hardly an axis that a file counts by number has both."""

_MIXES = (
    "it takes single samples out of the batch, or mixes them, and the file leaves the size of the batch open; keep "
    "axis 0 as it is, or fix it: read(path, shapes={'input': (1, …)})"
)
_BROADCASTING = ("Add", "Div", "Gemm", "Max", "Mean", "Min", "Mul", "PRelu", "Sub", "Sum")


@dataclass(frozen=True, eq=False)
class Varying:
    """A constant that depends on the size of the batch: one array for each of `SIZES`."""

    values: tuple[Constant, ...]


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
    budget, results = draft.budget, []
    draft.reserve([SIZES[-1] * index.size])
    for number in range(len(SIZES) if _varies(inputs) else 1):
        several = np.concatenate([index + index.size * sample for sample in range(SIZES[number])])
        try:
            result = function(several, *_of(inputs, number))
        except ValueError:
            function(index, *_of(inputs, number))  # which tells what is wrong with one sample too
            draft.refuse(_MIXES)
        parts = result if isinstance(result, tuple) else (result,)
        results.append([_sample(draft, part, SIZES[number], index.size) for part in parts])
    draft.budget = budget  # the numbers of further samples are gone by now
    if any(not np.array_equal(parts[0], parts[-1]) for parts in zip(*results, strict=True)):
        draft.refuse(_MIXES)
    return tuple(results[0]) if isinstance(result, tuple) else results[0][0]


def _sample(draft: Draft, part: NDArray[np.intp], size: int, entries: int) -> NDArray[np.intp]:
    """The first sample of a result, if the others are like it."""
    shift = entries * np.arange(size).reshape(-1, *(1 for _ in part.shape[1:]))
    if part.shape[:1] != (size,) or not np.array_equal(part, np.where(part[:1] >= 0, part[:1] + shift, -1)):
        draft.refuse(_MIXES)
    return part[:1]


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
    mixes = len(ranks) > 1 or 0 in (axis % rank for axis in axes)
    if operator in _BROADCASTING:
        constants = [np.shape(value) for value in inputs if value is not None and not isinstance(value, Signal)]
        constants = constants[1:] if operator == "Gemm" else constants
        mixes |= any(len(shape) > rank or (len(shape) == rank and shape[0] != 1) for shape in constants)
    if operator == "Gemm":
        mixes |= bool(attributes["transA"]) or isinstance(inputs[1], Signal)
    if operator == "MatMul":
        least = 2 if isinstance(inputs[0], Signal) else 3
        mixes |= rank < least or any(np.ndim(value) > rank for value in inputs if not isinstance(value, Signal))
    if mixes:
        draft.refuse(_MIXES)
