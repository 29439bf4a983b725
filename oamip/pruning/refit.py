"""Least-squares refit: the layers behind a removal learn to do without the units that went.

For a layer that lost input channels let H be its inputs in the pruned network (for a convolution, unfolded patches), Z
its outputs there, and Y what the *intact* network computes at the surviving rows, before any normalisation. The refit
moves weights V₀ and bias b₀ by

    min_Δ,δ  ‖(Y − Z) − H Δ − 1 δ‖² + ρ ‖Δ‖²,        ρ = ridge × mean diagonal of HᵀH,

so that V = V₀ + Δ minimises ‖Y − H V − b‖² + ρ ‖V − V₀‖² with a bias that costs nothing: what a removed unit held
constant moves into the bias for free. Δ = 0 is allowed, so a refit cannot make the residual on its samples larger. Only
HᵀH and Hᵀ(Y − Z) are kept, in float64, so memory does not grow with the number of samples.

Layers are refitted from input to output, each with H and Z from the net whose earlier layers are refitted already and
Y from the intact one, so later layers repair what earlier ones could not (as in channel pruning by He, Zhang and Sun,
ICCV 2017, and ThiNet, Luo, Wu and Lin, ICCV 2017, with this asymmetric target).

Batch normalisation behind a refitted layer keeps its statistics: the targets are the outputs that those statistics were
gathered on, so the better the fit the better they hold; new statistics from a few samples would only add noise.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator

import torch
from torch import nn

from oamip.decision import Decision
from oamip.errors import DataError, InputError, MismatchError
from oamip.network import Affine, Groups
from oamip.pruning.coupling import COLUMNS, ROWS, Cuts, planned_cuts
from oamip.pruning.moments import Moments, Weighted, channel_axis, parameters_of, set_parameters
from oamip.pruning.removal import Inputs, as_tensors, duplicate

__all__ = ["RIDGE", "refit"]

# Chosen on digits: nets 64-64-32-10 and conv16-conv24-32-10 (normalised), a random quarter of every group removed (mean
# of four draws), refitted on n training samples. Below: squared error of the test logits over the logits' own square.
#
#                  no refit    ridge 0      1e-4      1e-3      1e-2      1e-1
#   mlp   n = 20      0.298     0.0194    0.0047    0.0032    0.0032    0.0076
#       n = 1000      0.298     0.0009    0.0009    0.0009    0.0014    0.0051
#   conv  n = 20      0.576      0.565    0.0435    0.0369    0.0373    0.0527
#       n = 1000      0.576     0.0081    0.0081    0.0079    0.0076    0.0130
#
# Removing a half orders them alike. Few samples need a ridge, and this one does not hurt many.
RIDGE = 1e-3

_log = logging.getLogger(__name__)


def refit(
    pruned: nn.Module,
    original: nn.Module,
    x: Inputs,
    groups: Groups,
    decision: Decision,
    *,
    ridge: float = RIDGE,
    batch: int = 256,
) -> nn.Module:
    """Refit, in place, every linear layer and convolution (but transposed ones) whose input lost units.

    Args:
        pruned: what `oamip.pruning.removal.remove` returned; its weights and biases are replaced.
        original: the intact module, which is not touched.
        x: samples (n, *shape), or a tuple of such arrays for several inputs.
        groups: the removable units of the original.
        decision: which of them stayed.
        ridge: what holds the weights back from moving, relative to the mean square of the inputs.
        batch: samples per forward pass.

    Returns:
        ``pruned``, its modes, gradients and hooks as they were.

    Raises:
        DataError: there are no samples, or the networks give values on them that are not finite.
        InputError: ridge or batch is out of range.
        MismatchError: ``pruned`` is not what the decision makes of the original, or one of its layers is not called.
    """
    if not ridge >= 0 or batch < 1:
        raise InputError(f"ridge={ridge} must not be negative and batch={batch} must be at least 1")
    keep = decision.flat(groups)
    with torch.inference_mode(False), torch.no_grad():
        samples = as_tensors(x, original)
        if not len(samples[0]):
            raise DataError("a refit needs samples; there are none")
        # copies: no hooks of the user run, no mode changes, and an error leaves the user's module as it was
        intact, working = duplicate(original).eval(), duplicate(pruned).eval()
        refitted = list(_refit_all(working, intact, samples, planned_cuts(groups, keep), groups, ridge, batch))
    with torch.no_grad():
        for path in refitted:
            for name, parameter in working.get_submodule(path).named_parameters():
                pruned.get_submodule(path).get_parameter(name).copy_(parameter)
    return pruned


def _refit_all(
    working: nn.Module,
    intact: nn.Module,
    samples: tuple[torch.Tensor, ...],
    cuts: Cuts,
    groups: Groups,
    ridge: float,
    batch: int,
) -> Iterator[str]:
    """Refit the layers of ``working`` that lost input channels, and yield their paths, in the order of the network."""
    for path in _consumers(groups, cuts):
        layer = working.get_submodule(path)
        if isinstance(layer, nn.modules.conv._ConvTransposeNd):
            _log.info("'%s' is a transposed convolution, which is not refitted; fine-tuning reaches it", path)
            continue
        assert isinstance(layer, Weighted)
        moments = Moments.empty(layer)
        kept = _kept(intact.get_submodule(path), cuts.get((path, ROWS), frozenset()))
        if len(kept) != len(layer.weight):
            raise MismatchError(f"layer '{path}' has {len(layer.weight)} outputs; the decision leaves it {len(kept)}")
        for inputs, outputs, wanted in _observed(working, intact, path, samples, batch):
            moments.add(layer, inputs, outputs, wanted.index_select(channel_axis(layer), kept))
        _move(layer, moments, ridge, path)
        yield path


def _consumers(groups: Groups, cuts: Cuts) -> Iterator[str]:
    """Paths of the layers with weights that lost input channels, every one after those it reads from."""
    for node in groups.network.nodes(Affine):
        if node.layer is not None and (node.layer.path, COLUMNS) in cuts:
            yield node.layer.path


# ── what the layers see ──────────────────────────────────────────────────────────────────────────────────────────────


def _observed(
    working: nn.Module, intact: nn.Module, path: str, samples: tuple[torch.Tensor, ...], batch: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Batch by batch: inputs and outputs of a layer in the pruned net, and its outputs in the intact one."""
    for start in range(0, len(samples[0]), batch):
        part = [tensor[start : start + batch] for tensor in samples]
        inputs, outputs = _at_layer(working, path, part)
        wanted = _at_layer(intact, path, part)[1]
        yield inputs, outputs, wanted


class _Reached(Exception):
    """Ends a forward pass at the layer of interest: what comes behind is not needed, and cannot write into this."""


def _at_layer(module: nn.Module, path: str, inputs: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Input and output of one layer, which the module runs no further than."""

    def stop(_: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        raise _Reached(given[0], output)

    handle = module.get_submodule(path).register_forward_hook(stop)
    try:
        module(*(tensor.clone() for tensor in inputs))  # forward may write into its inputs
    except _Reached as reached:
        heard, said = reached.args
        return heard, said
    finally:
        handle.remove()
    raise MismatchError(f"layer '{path}' was not called; was the module changed since its network was read?")


def _kept(layer: nn.Module, gone: frozenset[int]) -> torch.Tensor:
    weight = layer.get_parameter("weight")
    return torch.tensor([row for row in range(len(weight)) if row not in gone], device=weight.device)


def _move(layer: Weighted, moments: Moments, ridge: float, path: str) -> None:
    """Refit one layer in place; left alone where nothing is lost or won."""
    if not math.isfinite(moments.residual) or not bool(torch.isfinite(moments.gram).all()):
        raise DataError(f"layer '{path}' sees or makes values that are not finite; check the samples")
    if moments.residual <= (8 * torch.finfo(layer.weight.dtype).eps) ** 2 * moments.power:
        return  # no more than what rounding loses
    old = parameters_of(layer)
    new = (old + moments.step(ridge, layer.bias is not None)).to(layer.weight.dtype)
    gain = moments.gain(new - old)  # of the weights as they will be stored
    if gain > 0:
        set_parameters(layer, new)
        _log.info("refit of '%s': squared residual %.4g → %.4g", path, moments.residual, moments.residual - gain)
