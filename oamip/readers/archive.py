"""What a torch.export archive (``.pt2``) says, in plain dataclasses: the calls in order, their arguments, the weights.

An archive is a zip of JSON (the ATen graph) and raw numbers (the weights). torch's own loader would unpickle parts of
it with ``weights_only=False`` and parse symbolic sizes with sympy, so it is not used: this file takes the JSON and the
numbers and nothing else. No pickle is opened, not even the example inputs, and no expression is evaluated; a weight
that the archive keeps as a pickle is refused.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from oamip.errors import UnsupportedOperator
from oamip.readers.refusals import remedy

__all__ = ["EVALUATE", "Call", "Malformed", "Program", "Ref", "read_archive"]

EVALUATE = "export the network in evaluation mode: model.eval() first"
"""The way out for what only training mode writes."""

_SCHEMA = 8
"""Major version of the JSON; torch raises it when an old reader would misread."""

_DTYPES = {5: torch.int64, 6: torch.float16, 7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16}


@dataclass(frozen=True)
class Ref:
    """The name of a value that an earlier call, or an input, makes."""

    name: str


@dataclass(frozen=True)
class Call:
    """One ATen call: its operator (``aten.conv2d.default``), arguments by schema name, and the values it makes."""

    operator: str
    name: str
    origin: str
    arguments: dict[str, Any]
    outputs: list[str]

    def unsupported(self, remedy: str) -> UnsupportedOperator:
        """The error that refuses this call, with the way out."""
        return UnsupportedOperator(self.operator, self.origin or self.name, remedy)


@dataclass(frozen=True)
class Program:
    """What an archive holds.

    Args:
        inputs: names of the inputs, with the shape they had when the network was exported and their dtype.
        calls: in order.
        outputs: names of the outputs.
        shapes: of every value, ``None`` for a symbolic size.
        weights: value → path in the module and tensor.
        parameters: the values that are parameters; the other weights are buffers.
    """

    inputs: dict[str, tuple[list[int], torch.dtype]]
    calls: list[Call]
    outputs: list[str]
    shapes: dict[str, list[int | None]]
    weights: dict[str, tuple[str, torch.Tensor]]
    parameters: frozenset[str]


class Malformed(ValueError):
    """The file is not what torch.export writes."""


def read_archive(file: Path | IO[bytes]) -> Program:
    """Read the one program of an archive.

    Raises:
        Malformed: the zip is of another layout, version or byte order, or keeps weights as pickles.
        UnsupportedOperator: inputs, outputs or arguments that are no tensors, or a network in training mode.
    """
    with zipfile.ZipFile(file) as archive:
        # Everything lies in one folder, named as the file was when it was written.
        files = {name.partition("/")[2]: name for name in archive.namelist()}
        if "serialized_exported_program.json" in {*files, *archive.namelist()}:
            raise Malformed("it is of an old layout; export it again with torch 2.8 or newer")
        models = [name[7:-5] for name in files if name.startswith("models/") and name.endswith(".json")]
        if len(models) != 1:
            raise Malformed(f"it holds {len(models)} models and one is needed; export one network to one file")

        def read(name: str) -> bytes:
            return archive.read(files[name])

        if read("byteorder").strip() != b"little":
            raise Malformed("its numbers are big-endian; export it again on a little-endian machine")
        tensors = {
            **_payload(read, "constants", f"{models[0]}_constants_config.json"),
            **_payload(read, "weights", f"{models[0]}_weights_config.json"),
        }
        program = json.loads(read(f"models/{models[0]}.json"))
    version = program["schema_version"]["major"]
    if version != _SCHEMA:
        raise Malformed(f"its schema is {version}, this oamip reads {_SCHEMA}; use a torch of 2.8 to 2.13")
    return _program(program["graph_module"], tensors)


def _payload(read: Callable[[str], bytes], folder: str, config: str) -> dict[str, torch.Tensor]:
    """Tensors by their path in the module."""
    tensors = {}
    for name, entry in json.loads(read(f"data/{folder}/{config}"))["config"].items():
        if entry["use_pickle"]:
            raise Malformed(f"it keeps '{name}' as a pickle, which could run code; export a network of plain tensors")
        meta = entry["tensor_meta"]
        content = bytearray(read(f"data/{folder}/{entry['path_name']}"))
        dtype = _DTYPES[meta["dtype"]]
        sizes = [size["as_int"] for size in meta["sizes"]]
        # A stride of 0 could claim more than the file holds.
        if math.prod(sizes) * dtype.itemsize > len(content):
            raise Malformed(f"'{name}' has shape {sizes} and only {len(content)} bytes")
        flat = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        strides = [stride["as_int"] for stride in meta["strides"]]
        tensors[name] = flat.as_strided(sizes, strides, meta["storage_offset"]["as_int"]).clone()
    return tensors


def _program(module: dict[str, Any], tensors: Mapping[str, torch.Tensor]) -> Program:
    graph, signature = module["graph"], module["signature"]
    metas = graph["tensor_values"]
    inputs, parameters = {}, set()
    weights: dict[str, tuple[str, torch.Tensor]] = {}
    for spec in signature["input_specs"]:
        ((kind, content),) = spec.items()
        if kind == "user_input" and "as_tensor" in content["arg"]:
            name = content["arg"]["as_tensor"]["name"]
            inputs[name] = ([_example(size) for size in metas[name]["sizes"]], _DTYPES[metas[name]["dtype"]])
        elif kind in ("parameter", "buffer", "tensor_constant"):
            path = content[f"{kind}_name"]
            weights[content["arg"]["name"]] = (path, tensors[path])
            if kind == "parameter":
                parameters.add(content["arg"]["name"])
        else:
            raise UnsupportedOperator(f"input of kind {kind}", "forward", "export a network whose inputs are tensors")
    for spec in signature["output_specs"]:
        if "user_output" not in spec:
            raise UnsupportedOperator(f"output of kind {next(iter(spec))}", "forward", EVALUATE)
    return Program(
        inputs=inputs,
        calls=[_call(node) for node in graph["nodes"]],
        outputs=[output["as_tensor"]["name"] for output in graph["outputs"]],
        shapes={name: [size.get("as_int") for size in meta["sizes"]] for name, meta in metas.items()},
        weights=weights,
        parameters=frozenset(parameters),
    )


def _example(size: dict[str, Any]) -> int:
    """A size, or for a symbolic one the size it had on the example inputs."""
    if "as_int" in size:
        return int(size["as_int"])
    hint = size["as_expr"].get("hint") or {}
    return int(hint.get("as_int", 2))


def _call(node: dict[str, Any]) -> Call:
    target = node["target"].removeprefix("torch.ops.")
    outputs = [name for output in node["outputs"] for name in _names(output, target)]
    return Call(
        operator=target,
        name=node.get("name") or outputs[0],
        origin=_origin(node["metadata"].get("nn_module_stack", "")),
        arguments={item["name"]: _argument(item["arg"], target) for item in node["inputs"]},
        outputs=outputs,
    )


def _names(output: dict[str, Any], target: str) -> list[str]:
    ((kind, content),) = output.items()
    if kind == "as_tensors":
        return [item["name"] for item in content]
    if kind == "as_tensor":
        return [content["name"]]
    if kind == "as_sym_int":
        return [content["as_name"]]
    raise UnsupportedOperator(target, "forward", "replace it by an operator that makes tensors")


def _argument(argument: dict[str, Any], target: str) -> Any:
    ((kind, content),) = argument.items()
    if kind in ("as_none", "as_memory_format"):
        return None
    if kind in ("as_int", "as_float", "as_bool", "as_string", "as_ints", "as_floats", "as_bools"):
        return content
    if kind in ("as_tensor", "as_optional_tensor"):
        return Ref(content["name"]) if "name" in content else _argument(content, target)
    if kind == "as_tensors":
        return [Ref(item["name"]) for item in content]
    if kind == "as_sym_int":
        return _symbolic(content)
    if kind == "as_sym_ints":
        return [_symbolic(item) for item in content]
    unknown = f"it takes an argument of kind {kind}, which has no rule here"
    raise UnsupportedOperator(target, "forward", remedy(target.split(".")[1], unknown) if "." in target else unknown)


def _symbolic(item: dict[str, Any]) -> Any:
    return Ref(item["as_name"]) if "as_name" in item else item["as_int"]


def _origin(stack: str) -> str:
    """Path of the torch module that a call came from; empty for a call that the user's own forward makes."""
    _, path, kind = ([*stack.split(";")[-1].split(","), "", "", ""])[:3]
    return path if kind.startswith("torch.nn.modules.") else ""
