"""A torch module as a network: copied, traced, read and compared."""

from __future__ import annotations

import copy
import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.parameter import UninitializedParameter

from oamip.errors import InputError, MismatchError, UnsupportedOperator
from oamip.network import Affine, Network
from oamip.network.comparison import outputs_of, random_inputs, worst_difference
from oamip.readers.draft import Draft
from oamip.readers.exported import exported_module
from oamip.readers.operators import module_rule
from oamip.readers.scores import logits
from oamip.readers.tracing import trace
from oamip.readers.walk import walk

__all__ = ["read"]

_log = logging.getLogger(__name__)
_COMPARED, _RANDOM = 1, 3
"""Samples of the example, and random ones, that are evaluated on both sides at the end."""
_AGREEMENT = 1e-9


def read(module: nn.Module, example_input: Tensor | tuple[Tensor, ...]) -> Network:
    """Read a trained torch module into a network of affine, ReLU and max nodes in float64.

    What is read is the module in evaluation mode, without its hooks and without a softmax at its end. The module itself
    is not changed, nor called.

    Args:
        module: traceable by torch.fx, or else by torch.export; built from the operators in `oamip.readers.operators`.
        example_input: a batch (n, *shape) of any real dtype and n ≥ 1, or a tuple of them for several inputs.

    Returns:
        The network; a node of a layer with parameters has the path of its module, as in ``named_modules``.
        ``network.outputs`` lists the tensors that forward returns.

    Raises:
        InputError: the example does not fit, a weight is NaN or infinite, or forward cannot be traced.
        UnsupportedOperator: names the operator, the place and what to write instead.
        MismatchError: what was read does not compute what the module computes on the example or on random inputs.
    """
    examples = _examples(example_input)
    private = _private_copy(module)
    expected = _forward(private, examples)
    graph, source, uncut = _traced(private, examples)
    draft = Draft(source, _shared_parameters(source, graph) | uncut)
    network = walk(graph, draft, [tuple(example.shape[1:]) for example in examples])
    network.extra_parameters = sum(p.numel() for p in private.parameters()) - _held_by_layers(source, network)
    _compare(network, private, examples, expected)
    return network


def _examples(given: Any) -> tuple[Tensor, ...]:
    examples = tuple(given) if isinstance(given, tuple | list) else (given,)
    for example in examples:
        if not isinstance(example, Tensor):
            raise InputError(f"example_input must be a tensor or a tuple of tensors, not {type(example).__name__}")
        if not example.is_floating_point():
            raise InputError(f"example_input has dtype {example.dtype}; give floating-point numbers")
        if example.ndim < 2 or len(example) == 0:
            raise InputError(
                f"example_input has shape {tuple(example.shape)}; give a batch (n, …) with n ≥ 1, as torch.zeros(1, 3)"
            )
        if not example.isfinite().all():
            raise InputError("example_input contains NaN or infinity")
    if len({len(example) for example in examples}) != 1:
        raise InputError(f"example_input needs tensors with one batch size, not {[len(e) for e in examples]}")
    return tuple(example.detach().cpu().double() for example in examples)


def _private_copy(module: Any) -> nn.Module:
    """The module in evaluation mode and double precision on the CPU, without hooks."""
    if not isinstance(module, nn.Module) or isinstance(module, torch.jit.ScriptModule):
        raise InputError(f"read takes a torch.nn.Module written in Python, not a {type(module).__name__}")
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise InputError(f"{type(module).__name__} is a wrapper; read the module inside it: module.module")
    if hasattr(module, "_orig_mod"):
        raise InputError("this module was compiled; read the module inside it: module._orig_mod")
    if any(isinstance(parameter, UninitializedParameter) for parameter in module.parameters()):
        raise InputError("a lazy layer has no weights yet; run one batch through the module first")
    for path, part in module.named_modules():
        if module_rule(part) is not None:
            _refuse_computed(path, part)
    try:
        private = copy.deepcopy(module).cpu().double().eval()
    except (RuntimeError, ValueError, NotImplementedError, TypeError) as error:
        raise InputError(f"{type(module).__name__} cannot be copied to read it: {error}") from error
    for path, part in private.named_modules():  # a hook may write into something of the user's
        if part._forward_hooks or part._forward_pre_hooks:
            _log.warning(
                "forward hooks of '%s' are not read; put what changes values into forward", path or "the module"
            )
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
    for kind, tensors in (("parameter", private.named_parameters()), ("buffer", private.named_buffers())):
        for name, tensor in tensors:
            if not tensor.isfinite().all():
                raise InputError(f"{kind} '{name}' contains NaN or infinity; the network cannot be read")
    return private


def _refuse_computed(path: str, module: nn.Module) -> None:
    """Weights made anew by a hook or parametrization are not what a removal would cut."""
    for name in ("weight", "bias"):
        if isinstance(getattr(module, name, None), Tensor) and name not in module._parameters:
            raise InputError(
                f"{name} of '{path}' is computed from other parameters; make it permanent first with "
                "torch.nn.utils.prune.remove or torch.nn.utils.parametrize.remove_parametrizations"
            )


def _forward(module: nn.Module, examples: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The module's own answer, without a softmax at its end."""
    shapes = ", ".join(str(tuple(example.shape)) for example in examples)
    try:
        return logits(module, *(example.clone() for example in examples))  # clones, as it may write into them
    except Exception as error:  # the user's code runs in here and may raise anything
        cast = "; it is read in double precision: leave casts such as x.float() out" if "dtype" in str(error) else ""
        raise InputError(
            f"{type(module).__name__} fails on the example input of shape {shapes}: {error}{cast}"
        ) from error


def _traced(module: nn.Module, examples: tuple[Tensor, ...]) -> tuple[fx.Graph, nn.Module, dict[int, str]]:
    """The calls of a module, the module they are calls of, and by parameter why it cannot be cut.

    By torch.fx, or else by torch.export, which follows sizes and loops but makes a module of its own: that can be read,
    but not cut in the user's code.
    """
    try:
        return trace(module, len(examples)), module, {}
    except InputError as untraceable:
        try:
            rebuilt = exported_module(module, examples)
        except UnsupportedOperator:
            raise
        except Exception as error:  # torch.export has no common type of error; the first one names the user's line
            _log.debug("torch.export cannot follow %s either: %s", type(module).__name__, error)
            raise untraceable from None
        _log.info("%s; it was read through torch.export", untraceable)
        reason = (
            "torch.fx cannot trace the forward method; prune what oamip.readers.exported.exported_module makes of it"
        )
        return trace(rebuilt, len(examples)), rebuilt, {id(p): reason for p in rebuilt.parameters()}


def _shared_parameters(module: nn.Module, graph: fx.Graph) -> dict[int, str]:
    """Parameters that are used in more than one way, by identity, with the reason why they cannot be cut."""
    owners: dict[int, list[str]] = defaultdict(list)
    for path, part in module.named_modules():
        for parameter in part._parameters.values():
            if parameter is not None:
                owners[id(parameter)].append(path)
    shared = {key: f"modules {', '.join(paths)} share one parameter" for key, paths in owners.items() if len(paths) > 1}
    parameters = dict(module.named_parameters(remove_duplicate=False))
    for call in graph.nodes:
        if call.op == "get_attr" and call.target in parameters:
            shared[id(parameters[call.target])] = f"the forward method also uses '{call.target}' directly"
    return shared


def _held_by_layers(module: nn.Module, network: Network) -> int:
    """Parameters of the layers; more than the module has if layers share some, as each layer counts its own."""
    layers = {node.layer.path for node in network.nodes(Affine) if node.layer is not None}
    return sum(p.numel() for path in layers for p in module.get_submodule(path).parameters(recurse=False))


def _compare(network: Network, module: nn.Module, examples: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    """The network computes what the module does, on the example and, as that may be all zeros, on random inputs."""
    inputs, answers = [[x[:_COMPARED]] for x in examples], [[y[:_COMPARED]] for y in expected]
    noise = [torch.from_numpy(x) for x in random_inputs(network, _RANDOM).values()]
    try:
        more = logits(module, *(x.clone() for x in noise))
    except Exception as error:  # not every module takes every number
        _log.debug("%s fails on random inputs: %s", type(module).__name__, error)
    else:
        for parts, part in zip((*inputs, *answers), (*noise, *more), strict=True):
            parts.append(part)
    found = outputs_of(network, {name: torch.cat(x).numpy() for name, x in zip(network.inputs, inputs, strict=True)})
    for name, parts, values in zip(network.outputs, answers, found, strict=True):
        if not all(part.isfinite().all() for part in parts):
            raise InputError(f"output '{name}' of the module is not finite on the example input, or on random ones")
        fits = len({part.shape[1:] for part in parts}) == 1
        worst = worst_difference([torch.cat(parts).numpy()], [values]) if fits else float("inf")
        if worst > _AGREEMENT:
            raise MismatchError(
                f"output '{name}' as it was read differs from the module's by {worst:.2g}; does forward change a "
                "tensor in place that it uses again, cast to another precision, draw random numbers, or decide on the "
                "size of the batch?"
            )
