"""The graph of a model file as a list of calls in order, checked against the schemas: those that the outputs need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import onnx
from onnx import AttributeProto, NodeProto, defs

from oamip.errors import ModelFileError, UnsupportedOperator
from oamip.readers.onnx_graph.draft import Call, printable
from oamip.readers.onnx_graph.tensors import decode

__all__ = ["calls_of"]

_OLDEST = 7
"""Before opset 7, an addition did not broadcast by numpy's rules."""

_READ: dict[int, Callable[[AttributeProto], Any]] = {
    AttributeProto.FLOAT: lambda a: a.f,
    AttributeProto.INT: lambda a: a.i,
    AttributeProto.STRING: lambda a: a.s.decode(),
    AttributeProto.FLOATS: lambda a: list(a.floats),
    AttributeProto.INTS: lambda a: list(a.ints),
}
_DECLARED = {
    kind: getattr(defs.OpSchema.AttrType, AttributeProto.AttributeType.Name(kind))
    for kind in AttributeProto.AttributeType.values()
    if hasattr(defs.OpSchema.AttrType, AttributeProto.AttributeType.Name(kind))
}


def calls_of(model: onnx.ModelProto, outputs: Iterable[str], known: Iterable[str], folder: Path) -> list[Call]:
    """The calls that the outputs need, every one after those whose tensors it takes.

    Args:
        model: parsed.
        outputs: names of the tensors that are wanted.
        known: names of the inputs and weights.
        folder: of the file, for constants that are kept beside it.

    Raises:
        ModelFileError: a tensor is made twice, by nobody, or by way of itself; a node does not fit its schema; the
            opset is not known.
        UnsupportedOperator: operators of other domains than ONNX's own, or with graphs inside.
    """
    opset = _opset(model)
    given, makers = set(known), dict[str, int]()
    nodes = list(model.graph.node)
    for number, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in makers or name in given:
                raise ModelFileError(
                    f"tensor '{name}' is made twice, by '{_place(node)}' too; export the network again"
                )
            makers[name] = number
    needed: dict[int, set[int]] = {}
    wanted = [(name, "the outputs") for name in outputs]
    while wanted:
        name, reader = wanted.pop()
        if name in given:
            continue
        if name not in makers:
            raise ModelFileError(f"no node makes the tensor '{name}', which {reader} need; export the network again")
        number = makers[name]
        if number not in needed:
            sources = [source for source in nodes[number].input if source]
            needed[number] = {makers[source] for source in sources if source in makers}
            wanted += [(source, f"inputs of '{_place(nodes[number])}'") for source in sources]
    return [_call(nodes[number], opset, folder) for number in _ordered(needed, nodes)]


def _ordered(needed: Mapping[int, set[int]], nodes: Sequence[NodeProto]) -> list[int]:
    """The file's own order if it is one, else a topological one."""
    if all(source < number for number, sources in needed.items() for source in sources):
        return sorted(needed)
    try:
        return list(TopologicalSorter(needed).static_order())
    except CycleError as error:
        place = _place(nodes[error.args[1][0]])
        raise ModelFileError(f"node '{place}' takes a tensor that it makes itself; export the network again") from None


def _opset(model: onnx.ModelProto) -> int:
    versions = {entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")}
    if len(versions) > 1:
        raise ModelFileError(f"the model names several opsets of ONNX, {sorted(versions)}; export the network again")
    opset = next(iter(versions), 0)
    newest = defs.onnx_opset_version()
    if not _OLDEST <= opset <= newest:
        way = "pip install -U onnx" if opset > newest else "convert it with onnx.version_converter"
        raise ModelFileError(
            f"the model uses opset {opset}, and {_OLDEST} to {newest} are read by the onnx installed here; {way}"
        )
    return int(opset)


def _place(node: NodeProto) -> str:
    return printable(str(node.name or next(iter(node.output), "") or node.op_type))


def _call(node: NodeProto, opset: int, folder: Path) -> Call:
    place = _place(node)
    if node.domain not in ("", "ai.onnx"):
        raise UnsupportedOperator(
            f"{node.domain}.{node.op_type}",
            place,
            "it is not of ONNX's own operators; export with those alone, or inline functions with onnx.inliner",
        )
    try:
        schema = defs.get_schema(node.op_type, opset, "")
    except defs.SchemaError:
        raise UnsupportedOperator(node.op_type, place, f"opset {opset} has no such operator; export again") from None
    least, most = schema.min_input, schema.max_input
    if not (least <= len(node.input) <= most and schema.min_output <= len(node.output) <= schema.max_output):
        raise ModelFileError(
            f"{node.op_type} at '{place}' has {len(node.input)} inputs and {len(node.output)} outputs, which opset "
            f"{opset} does not allow; export the network again"
        )
    if not all(node.input[:least]):
        raise ModelFileError(f"{node.op_type} at '{place}' leaves out an input that it needs; export the network again")
    attributes = {
        name: _value(declared.default_value, folder, place)
        for name, declared in schema.attributes.items()
        if declared.default_value.name
    }
    for attribute in node.attribute:
        declared = schema.attributes.get(attribute.name)
        if declared is None or attribute.ref_attr_name or declared.type != _DECLARED.get(attribute.type):
            raise ModelFileError(
                f"{node.op_type} at '{place}' has an attribute '{attribute.name}' that opset {opset} does not know in "
                "this form; export the network again"
            )
        if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
            raise UnsupportedOperator(node.op_type, place, "branches and loops are not read; export a fixed network")
        attributes[attribute.name] = _value(attribute, folder, place)
    missing = [name for name, declared in schema.attributes.items() if declared.required and name not in attributes]
    if missing:
        raise ModelFileError(f"{node.op_type} at '{place}' lacks the attribute '{missing[0]}'; export it again")
    gathers = most > 1 and schema.inputs[-1].option == defs.OpSchema.FormalParameterOption.Variadic
    inputs, outputs = tuple(node.input), tuple(node.output)
    return Call(node.op_type, schema.since_version, place, inputs, outputs, attributes, gathers)


def _value(attribute: AttributeProto, folder: Path, place: str) -> Any:
    if attribute.type == AttributeProto.TENSOR:
        return decode(attribute.t, folder, place)
    if attribute.type not in _READ:
        kind = AttributeProto.AttributeType.Name(attribute.type)
        raise ModelFileError(f"attribute '{attribute.name}' of '{place}' is of type {kind}, which is not read")
    try:
        return _READ[attribute.type](attribute)
    except UnicodeDecodeError:
        raise ModelFileError(
            f"attribute '{attribute.name}' of '{place}' is damaged; export the network again"
        ) from None
