"""The softmax at the end of a classifier, which is left out: networks are read up to their logits.

A softmax is not piecewise linear, but it changes no ranking, so one that comes last is left out, with a warning.
Wherever a module is compared with its network, `logits` is asked for the module's side.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from oamip.readers.draft import Draft, Signal
from oamip.readers.shapes import axis_of

__all__ = ["logits", "score", "score_module"]

_log = logging.getLogger(__name__)

_SCORES = {functional.softmax, functional.log_softmax, torch.softmax, torch.log_softmax} | {
    Tensor.softmax,
    Tensor.log_softmax,
}


def logits(module: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
    """The outputs of a module, in place of a softmax the values that it was given.

    Example:
        >>> logits(nn.Softmax(dim=1), torch.tensor([[1.0, 2.0]]))
        (tensor([[1., 2.]]),)
    """
    with torch.no_grad(), _Listener() as heard:
        answer = module(*inputs)
    outputs = tuple(answer) if isinstance(answer, tuple | list) else (answer,)
    return tuple(heard.given.get(id(output), (output, output))[1] for output in outputs)


class _Listener(TorchFunctionMode):
    """Remembers what each softmax was given, by the identity of its result."""

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _SCORES:
            self.given[id(result)] = result, args[0] if args else (kwargs or {})["input"]
        return result


def score(draft: Draft, x: Signal, dim: int | None = None, *_options: Any, **_more: Any) -> Signal:
    """``softmax`` and ``log_softmax`` where nothing but the output follows."""
    if any(user.op != "output" for user in draft.call.users):
        draft.refuse("it is not piecewise linear; only one that comes last can be left out, as that changes no ranking")
    if dim is None or axis_of(draft, x, dim) == 0:
        draft.refuse("it does not say that it goes over the classes; write dim=1")
    _log.warning("%s at '%s' is left out: the network gives the logits before it", draft.operator, draft.place)
    return replace(x)


def score_module(draft: Draft, module: nn.Softmax | nn.LogSoftmax, x: Signal) -> Signal:
    """`torch.nn.Softmax` and `torch.nn.LogSoftmax` where nothing but the output follows."""
    return score(draft, x, module.dim)
