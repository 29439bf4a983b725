"""Physical removal: the same class of module with fewer channels, proven equal to the masked network.

    small = remove(module, example_input, groups, decision)

A unit that is removed is zero at every node that carries it, so `network(x, groups.mask(keep))` says what the small
module must compute. The surgery (`oamip.pruning.coupling`) works on a copy; the copy is then compared with the masked
network in float64, and its parameters and multiply-adds are counted. What does not match is never returned.

That holds for a unit that is a constant c ≠ 0 too: without it the layers behind lack what c gave them, as they do under
the mask. A refit finds it again; `oamip.pruning.silent` removes such units without a change.
"""

from __future__ import annotations

import copy
import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from oamip.decision import Decision
from oamip.errors import InputError, MismatchError
from oamip.network import Groups, Network, cost_of
from oamip.network.comparison import random_inputs, worst_difference
from oamip.pruning.coupling import cut
from oamip.readers.scores import logits

__all__ = ["TOLERANCE", "Inputs", "as_tensors", "duplicate", "remove", "restore"]

Inputs: TypeAlias = torch.Tensor | NDArray[np.floating] | tuple[torch.Tensor | NDArray[np.floating], ...]
"""A batch (n, *shape) for a module with one input, else a tuple of batches in the order of its arguments."""

TOLERANCE = 1e-9
"""Largest ‖small − masked‖∞ / max(1, ‖masked‖∞) in float64. Sums in another order differ by about 1e-15 per term."""

_PROOF_SAMPLES, _PROOF_BATCH = 16, 32
_log = logging.getLogger(__name__)


def remove(
    module: nn.Module,
    example_input: Inputs,
    groups: Groups,
    decision: Decision,
    *,
    samples: Inputs | None = None,
) -> nn.Module:
    """A smaller copy of a module, without the units that a decision removes.

    The copy has the modes, device, precision, ``requires_grad`` and hooks of the module, which is not touched. A
    decision that removes nothing gives an equal copy and says so in the log.

    Args:
        module: what the network of ``groups`` was read from.
        example_input: a batch that the module accepts.
        groups: the removable units.
        decision: which of them stay.
        samples: real inputs on which the result is proven too, besides random ones and the example.

    Raises:
        InputError: the decision does not fit the groups, or the inputs do not fit the network.
        MismatchError: Torch-Pruning couples other channels than our units, or the result is not the masked network.
    """
    keep = decision.flat(groups)
    # autograd traces the coupling, so the caller's no_grad() or inference_mode() must not reach it
    with torch.inference_mode(False), torch.enable_grad():
        small = duplicate(module)
        if keep.all():
            _log.info("the decision removes no unit; the module is copied unchanged")
        else:
            cut(small, as_tensors(example_input, module), groups, keep)
            proof = _proof_inputs(groups.network, *(x for x in (example_input, samples) if x is not None))
            _prove_equal(small, module, groups, keep, proof)
            _prove_counts(small, groups, keep)
    restore(small, module)
    return small


# ── copies ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def duplicate(module: nn.Module) -> nn.Module:
    """A deep copy without hooks: running it for our purposes must not call the user's code.

    Raises:
        InputError: the module cannot be copied.
    """
    # deepcopy takes what the memo already holds, here an empty dictionary for each dictionary of hooks
    memo: dict[int, object] = {id(hooks): OrderedDict() for _, _, hooks in _hooks(module)}
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:  # whatever the user's attributes raise
        raise InputError(f"the module cannot be copied ({type(error).__name__}: {error})") from error


def _hooks(module: nn.Module) -> Iterator[tuple[str, str, OrderedDict[int, object]]]:
    """(path, attribute, hooks) for every dictionary of hooks in the module and below."""
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if name.endswith(("_hooks", "_hooks_with_kwargs", "_hooks_always_called")):
                yield path, name, value


def restore(small: nn.Module, module: nn.Module) -> None:
    """Give the copy the original's modes, trainable parameters and hooks."""
    for path, part in module.named_modules():
        small.get_submodule(path).training = part.training
    for path, parameter in module.named_parameters():
        small.get_parameter(path).requires_grad_(parameter.requires_grad)
    for path, name, hooks in _hooks(module):
        getattr(small.get_submodule(path), name).update(hooks)


def as_tensors(inputs: Inputs, like: nn.Module) -> tuple[torch.Tensor, ...]:
    """New tensors on the device and in the precision of a module's parameters."""
    first = next((p for p in like.parameters() if p.is_floating_point()), torch.empty(0))
    parts = inputs if isinstance(inputs, tuple) else (inputs,)
    return tuple(torch.as_tensor(part).detach().to(first.device, first.dtype, copy=True) for part in parts)


# ── the proof ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _proof_inputs(network: Network, *given: Inputs) -> tuple[NDArray[np.float64], ...]:
    """Per input of the network: random samples from small to large, then the given ones."""
    parts = [[noise] for noise in random_inputs(network, _PROOF_SAMPLES).values()]
    for inputs in given:
        tensors = inputs if isinstance(inputs, tuple) else (inputs,)
        if len(tensors) != len(parts):
            raise InputError(f"{len(tensors)} inputs were given; the network has {', '.join(network.inputs)}")
        for part, tensor in zip(parts, tensors, strict=True):
            part.append(torch.as_tensor(tensor).detach().cpu().double().numpy())
    return tuple(np.concatenate(part) for part in parts)


def _prove_equal(
    small: nn.Module, module: nn.Module, groups: Groups, keep: NDArray[np.bool_], inputs: Sequence[NDArray[np.float64]]
) -> None:
    try:
        difference = _difference(small, groups, keep, inputs)
    except MismatchError:
        raise
    except Exception as error:  # whatever the user's forward raises
        raise MismatchError(
            f"the module does not run without the removed channels ({type(error).__name__}: {error}); "
            "its code probably states a width: use -1 or x.shape there, or exclude the layers before it"
        ) from error
    if difference <= TOLERANCE:
        return
    intact = _difference(duplicate(module), groups, np.ones_like(keep), inputs)
    cause = (
        f"the intact module differs from its network too ({intact:.2g}): read the network again from this very module"
        if not intact <= TOLERANCE
        else "the intact module equals its network, so the removal is wrong: some code or tensor outside the layers "
        "depends on the removed channels; exclude the layers before it"
    )
    raise MismatchError(f"the small module differs from the masked network by {difference:.3g} (relative); {cause}")


def _difference(
    module: nn.Module, groups: Groups, keep: NDArray[np.bool_], inputs: Sequence[NDArray[np.float64]]
) -> float:
    """Largest relative difference over the outputs, float64, in evaluation mode."""
    network, mask = groups.network, groups.mask(keep)
    double = copy.deepcopy(module).to("cpu", torch.float64).eval()
    worst = 0.0
    for start in range(0, len(inputs[0]), _PROOF_BATCH):
        batch = [part[start : start + _PROOF_BATCH] for part in inputs]
        values = network.evaluate(dict(zip(network.inputs, batch, strict=True)), mask)
        outputs = logits(double, *map(torch.tensor, batch))  # copies: forward may write into its inputs
        expected = [values[name] for name in network.outputs]
        worst = max(worst, worst_difference(expected, [output.numpy() for output in outputs]))
    return worst


def _prove_counts(small: nn.Module, groups: Groups, keep: NDArray[np.bool_]) -> None:
    """Parameters and multiply-adds are those that the cost model promised to the optimisation."""
    promised = cost_of(groups).count(keep)
    one = [np.zeros((1, *groups.network[name].shape)) for name in groups.network.inputs]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        small(*as_tensors(tuple(one), small))
    counted = (sum(parameter.numel() for parameter in small.parameters()), counter.get_total_flops() // 2)
    for what, real, expected in zip(("parameters", "multiply-adds"), counted, promised, strict=True):
        if real != expected:
            raise MismatchError(f"the small module has {real} {what}; the cost model promised {expected}")
