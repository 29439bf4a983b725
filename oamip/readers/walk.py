"""One walk through the recorded calls; each becomes a node, a constant, or a refusal."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from oamip.errors import InputError
from oamip.network import Network
from oamip.readers.draft import Draft, Shape, Signal
from oamip.readers.operators import FUNCTIONS, METHODS, Rule, module_rule
from oamip.readers.refusals import remedy

__all__ = ["walk"]


def walk(graph: fx.Graph, draft: Draft, inputs: Sequence[Shape]) -> Network:
    """Read all calls of a graph into the draft's network.

    Also calls whose result is not used: they run in the user's module, so what they add up or read must stay in step.

    Args:
        graph: of the draft's module.
        draft: empty.
        inputs: shape of one sample of each input.

    Raises:
        UnsupportedOperator: a call has no rule, or its rule refuses it.
        InputError: the module returns something else than tensors that depend on the input.
    """
    shapes = iter(inputs)
    for call in graph.nodes:
        draft.call = call
        if call.op == "placeholder":
            shape = next(shapes, None)
            draft.values[call] = draft.input(shape) if shape is not None else next(iter(call.args), None)
        elif call.op == "get_attr":
            draft.values[call] = _attribute(draft.module, str(call.target))
        elif call.op == "output":
            draft.network.outputs = _outputs(draft, _resolved(call.args[0], draft))
        else:
            draft.values[call] = _value(draft)
    return draft.network


def _value(draft: Draft) -> Any:
    """The value of one call: by its rule if it depends on the input, else by calling it."""
    call = draft.call
    args, kwargs = _resolved(call.args, draft), _resolved(call.kwargs, draft)
    if not any(
        isinstance(draft.values[source], Signal) or _holds(draft.values[source]) for source in call.all_input_nodes
    ):
        return _call(draft, args, kwargs)
    if call.op == "call_module":
        module = draft.module.get_submodule(str(call.target))
        return _apply(draft, module_rule(module), (module, *args), kwargs)
    rules: dict[Any, Rule] = FUNCTIONS if call.op == "call_function" else METHODS
    return _apply(draft, rules.get(call.target), args, kwargs)


def _apply(draft: Draft, rule: Rule | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if rule is None:
        draft.refuse(remedy(draft.operator))
    if "input" in kwargs:
        kwargs = dict(kwargs)
        args = (kwargs.pop("input"), *args)
    try:
        inspect.signature(rule).bind(draft, *args, **kwargs)
    except TypeError as error:
        draft.refuse(f"it is called in a form that is not read ({error})")
    try:
        return rule(draft, *args, **kwargs)
    except InputError:
        raise
    except (ValueError, IndexError) as error:  # rules leave it to numpy to find shapes that do not fit
        raise InputError(
            f"{draft.operator} at '{draft.place}' does not fit its input ({error}); example_input needs an axis for "
            "the batch in front, as torch.zeros(1, 3, 32, 32) for one image"
        ) from error


def _call(draft: Draft, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call whose arguments are all constant."""
    target: Any = draft.call.target
    with torch.no_grad():
        if draft.call.op == "call_module":
            return draft.module.get_submodule(target)(*args, **kwargs)
        if draft.call.op == "call_method":
            return getattr(args[0], target)(*args[1:], **kwargs)
        return target(*args, **kwargs)


def _resolved(argument: Any, draft: Draft) -> Any:
    """An argument of a call with other calls replaced by their values."""
    return fx.node.map_aggregate(argument, lambda leaf: draft.values[leaf] if isinstance(leaf, fx.Node) else leaf)


def _holds(value: Any) -> bool:
    """Whether a tuple or list contains a tensor that depends on the input."""
    return isinstance(value, list | tuple) and any(isinstance(part, Signal) for part in value)


def _attribute(module: Any, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name)
    return module


def _outputs(draft: Draft, result: Any) -> tuple[str, ...]:
    results = result if isinstance(result, list | tuple) else (result,)
    for number, signal in enumerate(results):
        if not isinstance(signal, Signal):
            kind = "dict" if isinstance(signal, dict) else type(signal).__name__
            raise InputError(
                f"output {number} of {type(draft.module).__name__} is a {kind} and not a tensor that "
                "depends on the input; let forward return a tensor or a tuple of tensors"
            )
    if not results:
        raise InputError(f"the forward method of {type(draft.module).__name__} returns nothing")
    return tuple(signal.node for signal in results)
