"""One walk through the calls; each becomes a node, a constant, or a refusal."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from oamip.errors import InputError, ModelFileError
from oamip.readers.onnx_graph.batch import folded, keep_samples_apart, settled
from oamip.readers.onnx_graph.draft import Call, Draft, Signal, printable
from oamip.readers.onnx_graph.moves import MOVES
from oamip.readers.onnx_graph.operators import FOLDS, RULES, remedy

__all__ = ["walk"]

_log = logging.getLogger(__name__)


def walk(draft: Draft, calls: Sequence[Call], values: dict[str, Any], outputs: Collection[str]) -> None:
    """Read all calls into the draft's network.

    Args:
        draft: with the inputs in its network, and nothing else.
        calls: in order.
        values: tensor name to `Signal` or array, for the inputs and weights; the calls' results are added.
        outputs: names of the network's outputs.

    Raises:
        UnsupportedOperator: a call has no rule, or its rule refuses it.
        ModelFileError: sizes do not fit together, or reading would make more numbers than the file allows.
    """
    for call in calls:
        draft.call = call
        try:
            with np.errstate(divide="raise", invalid="raise", over="raise"):
                result = _value(draft, values, outputs)
        except InputError:
            raise
        # Rules leave it to numpy to find sizes, axes and indices that do not fit together.
        except Exception as error:
            raise ModelFileError(
                f"{call.operator} at '{call.place}' does not fit its inputs ({error}); export the network again"
            ) from error
        results = result if isinstance(result, tuple) else (result,)
        values.update({name: value for name, value in zip(call.outputs, results, strict=False) if name})


def _value(draft: Draft, values: dict[str, Any], outputs: Collection[str]) -> Any:
    call = draft.call
    missing = [name for name in call.inputs if name and name not in values]
    if missing:
        draft.refuse(f"it takes '{missing[0]}', a further output of an operator of which only the first is read")
    inputs = [values[name] if name else None for name in call.inputs]
    live = any(isinstance(value, Signal) for value in inputs)
    rule = (RULES if live else FOLDS).get(call.operator)
    score = live and call.operator in ("Softmax", "LogSoftmax") and _ends(draft, outputs)
    if rule is None and not score:
        draft.refuse(remedy(call.operator) if live else "it computes constants in a way that is not read; fold them")
    if live and draft.batched and call.operator not in (*MOVES, "Pad"):
        inputs = [settled(draft, value) for value in inputs]
        keep_samples_apart(draft, inputs)
    if rule is None:
        _log.warning(
            "%s at '%s' ends the network and is left out: output '%s' holds its logits",
            *(call.operator, call.place, printable(call.outputs[0])),
        )
        return inputs[0]
    arguments = [inputs] if call.gathers else inputs
    try:
        inspect.signature(rule).bind(draft, *arguments, **call.attributes)
    except TypeError as error:
        draft.refuse(f"it is used in a form that is not read ({error})")
    if not live:
        return folded(rule, draft, arguments, call.attributes)
    return rule(draft, *arguments, **call.attributes)


def _ends(draft: Draft, outputs: Collection[str]) -> bool:
    """Whether nothing but the user reads what the present call makes."""
    return draft.call.outputs[0] in outputs and draft.readers[draft.call.outputs[0]] == 1
