"""An ONNX file as a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ValueInfoProto

from oamip.errors import InputError, ModelFileError
from oamip.network import Network, Selection
from oamip.readers.onnx_graph.batch import Mixing
from oamip.readers.onnx_graph.draft import ENTRIES, Draft, Shape, Signal
from oamip.readers.onnx_graph.file import read_model
from oamip.readers.onnx_graph.graph import calls_of
from oamip.readers.onnx_graph.tensors import REALS, decode
from oamip.readers.onnx_graph.walk import walk

__all__ = ["declared_sizes", "read_file"]

_PER_WEIGHT = 16
"""How many numbers reading may make further for each weight; a DenseNet, with all its concatenations, needs ten."""


def read_file(path: Path, shapes: Mapping[str, Sequence[int | None]]) -> Network:
    """Read a file; see `oamip.readers.onnx_graph.read_onnx`."""
    model = read_model(path)
    graph = model.graph
    if graph.sparse_initializer:
        raise ModelFileError(f"{path} keeps weights as sparse tensors, which are not read; export dense ones")
    weights = {tensor.name: tensor for tensor in graph.initializer}
    inputs = {value.name: _sizes(value, shapes) for value in graph.input if value.name not in weights}
    outputs = [value.name for value in graph.output]
    if not inputs or not outputs or len(weights) < len(graph.initializer) or len({*outputs}) < len(outputs):
        raise ModelFileError(f"{path} has no inputs or outputs, or two tensors of one name; export the network again")
    unknown = [name for name in shapes if name not in inputs]
    if unknown:
        raise InputError(f"shapes name the input '{unknown[0]}'; the inputs of {path} are {', '.join(inputs)}")
    calls = calls_of(model, outputs, {*inputs, *weights}, path.parent)
    readers = Counter([*(name for call in calls for name in call.inputs), *outputs])
    values: dict[str, Any] = {name: decode(tensor, path.parent) for name, tensor in weights.items() if name in readers}
    budget = ENTRIES + _PER_WEIGHT * sum(array.size for array in values.values())
    batched = all(_open(value, shapes) for value in graph.input if value.name in inputs)

    def network(*, batched: bool) -> Network:
        draft = Draft(readers, weights, budget, batched=batched)
        found = values | {name: draft.input(name, sizes) for name, sizes in inputs.items()}
        walk(draft, calls, found, set(outputs))
        draft.network.outputs = tuple(_output(draft, name, found) for name in outputs)
        return draft.network

    try:
        return network(batched=batched)
    except Mixing:
        from oamip.readers.onnx_graph.reference import keeps_samples_apart

        with suppress(InputError):
            alone = network(batched=False)
            if keeps_samples_apart(alone, model, calls, values):
                return alone
        raise


def declared_sizes(path: Path) -> dict[str, tuple[int | None, ...]]:
    """Name to sizes of each input as a file declares them, the batch included; ``None`` for what it leaves open.

    Raises:
        ModelFileError: the file is missing, damaged, or no ONNX model.
    """
    graph = read_model(path).graph
    stored = {tensor.name for tensor in graph.initializer}
    return {
        value.name: tuple(size.dim_value if size.dim_value > 0 else None for size in value.type.tensor_type.shape.dim)
        for value in graph.input
        if value.name not in stored
    }


def _sizes(value: ValueInfoProto, shapes: Mapping[str, Sequence[int | None]]) -> Shape:
    """The sizes of an input for a batch of one."""
    declared = value.type.tensor_type
    if not value.type.HasField("tensor_type") or declared.elem_type not in REALS:
        raise ModelFileError(f"input '{value.name}' is no tensor of real numbers; export a network that takes one")
    known = [dim.dim_value if dim.dim_value > 0 else None for dim in declared.shape.dim]
    if value.name in shapes:
        filled = [1, *shapes[value.name][1:]] if _open(value, shapes) else shapes[value.name]
        given = tuple(int(size or 0) for size in filled)
        if min(given, default=1) < 1 or (declared.HasField("shape") and not _agree(given, known)):
            raise InputError(f"input '{value.name}' has sizes {_shown(value)}, and shapes gives {given} for it")
        return given
    if len(known) > 1 and known[0] is None:
        known[0] = 1
    sizes = tuple(size for size in known if size is not None)
    if not declared.HasField("shape") or len(sizes) < len(known):
        raise InputError(
            f"input '{value.name}' has sizes {_shown(value)}, which are not all fixed; give them, with a batch of one: "
            f"read_onnx(path, shapes={{'{value.name}': (1, …)}})"
        )
    return sizes


def _open(value: ValueInfoProto, shapes: Mapping[str, Sequence[int | None]]) -> bool:
    """Whether the size of the batch is left open."""
    sizes = value.type.tensor_type.shape.dim
    return len(sizes) > 1 and sizes[0].dim_value <= 0 and (*shapes.get(value.name, ()), None)[0] is None


def _agree(given: Shape, known: Sequence[int | None]) -> bool:
    return len(given) == len(known) and all(k in (None, g) for g, k in zip(given, known, strict=True))


def _shown(value: ValueInfoProto) -> str:
    if not value.type.tensor_type.HasField("shape"):
        return "(unknown)"
    return f"({', '.join(str(d.dim_value or d.dim_param or '?') for d in value.type.tensor_type.shape.dim)})"


def _output(draft: Draft, name: str, values: Mapping[str, Any]) -> str:
    value = values.get(name)
    if not isinstance(value, Signal):
        raise InputError(f"output '{name}' does not depend on the input, or is not read; export the network without it")
    if draft.batched and len(value.sizes) == 1:  # one number for each sample
        value = draft.affine((), (value, Selection(np.zeros((), dtype=np.intp), value.shape)))
    return value.node
