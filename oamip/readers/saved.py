"""One file that brings a network back without the class that made it.

A safetensors file holds the weights; its metadata holds the torch.fx graph as JSON (`blueprint`): the constructors of
the modules with plain arguments, and the nodes. Everything is looked up in the tables of the `vocabulary`; nothing is
evaluated or unpickled, so a file from a stranger can at worst be refused.

    save(module, example, path)   trace, write, read again, compare bit for bit
    load(path)                    rebuild, run once on shapes alone, put the weights in

The network comes back as a `torch.fx.GraphModule` of ordinary modules under their own names, in evaluation mode, on the
CPU. Parameters that two modules share come back as equal copies; a single layer comes back as layer ``0`` of a network.
"""

from __future__ import annotations

import copy
import json
import operator
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import fx, nn

from oamip.errors import MismatchError, ModelFileError, UnsupportedOperator
from oamip.files import write_atomically
from oamip.readers.blueprint import (
    Blueprint,
    Malformed,
    checked_path,
    read_graph,
    read_module,
    written_modules,
    written_node,
)
from oamip.readers.vocabulary import MODULES

__all__ = ["load", "save"]

_FORMAT = "oamip-network"
_VERSION = 1


def save(module: nn.Module, example_input: torch.Tensor | tuple[torch.Tensor, ...], path: Path | str) -> None:
    """Write a network, weights and graph, to one file, then read it again and compare.

    The module itself is left as it is; what is written is its behaviour in evaluation mode.

    Args:
        module: traceable by torch.fx, made of the modules and functions in `oamip.readers.vocabulary`.
        example_input: input of the network, or a tuple of inputs, any batch size.
        path: the file to write; it appears whole or not at all.

    Raises:
        UnsupportedOperator: a module, function, method or argument that is not in the vocabulary, by name.
        ModelFileError: torch.fx cannot trace the network, or the file cannot be written.
        MismatchError: the network that comes back gives other outputs (a hook, a parametrisation).
    """
    inputs = (example_input,) if isinstance(example_input, torch.Tensor) else tuple(example_input)
    inputs = tuple(value.detach().cpu() for value in inputs)
    # A channels-last weight multiplies in another order; the file stores rows, so the comparison is made on rows too.
    original = copy.deepcopy(module).cpu().eval()
    original.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # missing in torch's stub
    if type(original) in MODULES:  # torch.fx would look into a module that stands alone
        original = nn.Sequential(original)
    try:
        traced = fx.GraphModule(original, _Tracer().trace(original))
    except Exception as error:
        raise ModelFileError(
            f"torch.fx cannot trace {type(module).__name__}: {error}; remove what depends on values"
        ) from error
    attributes = {str(node.target) for node in traced.graph.nodes if node.op == "get_attr"}
    graph = {
        "modules": written_modules(traced),
        "nodes": [written_node(node) for node in traced.graph.nodes],
        "parameters": [name for name, _ in traced.named_parameters() if name in attributes],
        "inputs": [[list(value.shape), str(value.dtype).removeprefix("torch.")] for value in inputs],
    }
    metadata = {"format": _FORMAT, "version": str(_VERSION), "graph": json.dumps(graph)}
    content = _in_order(serialise(_written_tensors(traced), metadata))
    target = Path(path)
    write_atomically(
        target,
        content,
        check=lambda written: _compare(original, load(written), inputs, target),
        folders=False,
        error=ModelFileError,
    )


class _Tracer(fx.Tracer):
    """Looks into no module of the vocabulary, whoever wrote it."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in MODULES or super().is_leaf_module(m, module_qualified_name)


def _compare(original: nn.Module, loaded: nn.Module, inputs: tuple[torch.Tensor, ...], path: Path) -> None:
    with torch.no_grad():
        expected, found = original(*(x.clone() for x in inputs)), loaded(*(x.clone() for x in inputs))
    pairs = zip(_tensors(expected), _tensors(found), strict=True)
    if not all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs):
        raise MismatchError(
            f"{path}: the saved network gives other outputs; remove hooks and parametrisations before saving"
        )


def _tensors(output: Any) -> list[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        return [output]
    if isinstance(output, (tuple, list)):
        return [tensor for item in output for tensor in _tensors(item)]
    raise UnsupportedOperator(type(output).__name__, "output", "return a tensor or a tuple of tensors")


def _written_tensors(traced: fx.GraphModule) -> dict[str, torch.Tensor]:
    """The tensors that the graph uses: those of its modules, and those it reads by itself."""
    state = traced.state_dict()
    used = {str(node.target) for node in traced.graph.nodes if node.op == "get_attr"}
    modules = {str(node.target) for node in traced.graph.nodes if node.op == "call_module"}
    for path in modules:
        used |= {f"{path}.{name}" for name in traced.get_submodule(path).state_dict()}
    tensors = {}
    for path in sorted(used):
        value = state[path] if path in state else operator.attrgetter(path)(traced)  # a buffer that is not persistent
        if not isinstance(value, torch.Tensor):
            raise UnsupportedOperator(f"attribute of {type(value).__name__}", path, "keep constants in buffers")
        tensors[path] = value.detach().clone(memory_format=torch.contiguous_format)  # safetensors refuses shared memory
    return tensors


def _in_order(content: bytes) -> bytes:
    """The same file with its header in a fixed order: safetensors writes metadata as they lie in its hash map."""
    size = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[8 + size :]


def load(path: Path | str) -> fx.GraphModule:
    """Read a network that `save` wrote.

    Returns:
        The network in evaluation mode, on the CPU, with parameters that can be trained.

    Raises:
        ModelFileError: the file is missing, cut short, of another kind or version, or graph and weights disagree.
        UnsupportedOperator: the graph names an operator that is not in the vocabulary.
    """
    source = Path(path)
    if not source.is_file():
        raise ModelFileError(f"{source} is missing; give the path of an existing file")
    try:
        with safe_open(source, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copied: the file's own memory begins anywhere, where products round in another way, and is the file's.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  # not a mapping
        return _rebuilt(_blueprint(metadata), tensors)
    except UnsupportedOperator:
        raise
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{source} is not a whole safetensors file: {error}; save it again") from None
    except Malformed as error:
        raise ModelFileError(f"{source} cannot be loaded: {error}") from None
    # Whatever a hostile graph makes json, torch.fx or a shape rule raise, the user gets one error that names the file.
    except Exception as error:
        raise ModelFileError(f"{source} cannot be loaded: {type(error).__name__}: {error}; save it again") from error


def _blueprint(metadata: Mapping[str, str]) -> Blueprint:
    if metadata.get("format") != _FORMAT:
        raise Malformed("it holds weights but no network; give a factory as the model and this file as its weights")
    if metadata.get("version") != str(_VERSION):
        raise Malformed(
            f"it is of version {metadata.get('version')}, this oamip reads {_VERSION}; save it again with this one"
        )
    graph = json.loads(metadata["graph"])
    return Blueprint(graph["modules"], graph["nodes"], graph["parameters"], graph["inputs"])


def _rebuilt(blueprint: Blueprint, tensors: dict[str, torch.Tensor]) -> fx.GraphModule:
    with torch.device("meta"):  # no memory is taken for a size that the file merely claims
        root: dict[str, Any] = {checked_path(path): read_module(spec, path) for path, spec in blueprint.modules.items()}
    for node in blueprint.nodes:
        if node["op"] == "get_attr":
            root[checked_path(node["target"])] = _attribute(node["target"], root, tensors, blueprint.parameters)
        elif node["op"] == "call_module" and node["target"] not in blueprint.modules:
            raise Malformed(
                f"node {node['name']!r} calls the module {node['target']!r}, which the file does not describe"
            )
    network = fx.GraphModule(root, read_graph(blueprint.nodes), class_name="SavedNetwork")
    _agree(network, tensors)
    # On shapes first: what does not fit together is found before any of it costs memory or time.
    network.load_state_dict({name: tensor.to("meta") for name, tensor in tensors.items()}, assign=True)
    network.eval()
    with torch.no_grad():
        network(*(_meta_input(shape, dtype) for shape, dtype in blueprint.inputs))
    network.load_state_dict(tensors, assign=True)
    return network


def _attribute(
    path: str, root: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], parameters: Sequence[str]
) -> torch.Tensor:
    """What a get_attr node reads: a tensor of a module that the graph calls too, or one that stands alone."""
    owner, _, name = path.rpartition(".")
    if owner in root:
        return operator.attrgetter(name)(root[owner])  # type: ignore[no-any-return]
    tensor = tensors[path].to("meta")
    return nn.Parameter(tensor) if path in parameters else tensor


def _agree(network: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        name = wrong[0]
        raise Malformed(
            f"graph and weights disagree on {len(wrong)} tensors, first '{name}': "
            f"the graph has {wanted.get(name, 'none')}, the weights have {found.get(name, 'none')}"
        )


def _meta_input(shape: list[int], dtype: str) -> torch.Tensor:
    kind = getattr(torch, dtype, None)
    if not isinstance(kind, torch.dtype):
        raise Malformed(f"{dtype!r} is no type of numbers")
    return torch.empty(shape, dtype=kind, device="meta")
