"""The cost model counts what torch counts, for the whole network and for what is left of it."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from oamip.network import cost_of


def real(module: torch.nn.Module, x: torch.Tensor) -> tuple[int, int]:
    """(parameters, MACs for one sample) by torch's own count."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(x[:1])
    return sum(p.numel() for p in module.parameters()), counter.get_total_flops() // 2


def test_cost_of_the_whole_network(animal):
    assert cost_of(animal.groups).count() == real(animal.module, animal.x)


def test_cost_falls_with_every_unit_and_never_below_what_is_fixed(animal, rng):
    cost = cost_of(animal.groups)
    keep = np.ones(animal.groups.size, dtype=bool)
    last = cost.count(keep)
    for unit in rng.permutation(animal.groups.size):
        keep[unit] = False
        now = cost.count(keep)
        assert now[0] < last[0] or animal.name == "depthwise_multiplier"
        assert now[1] <= last[1]
        last = now
    assert min(last) >= 0


def test_parameters_without_bias_and_norms_without_scale(zoo):
    layers = {layer.path: layer for layer in cost_of(zoo("mlp_with_norms").groups).layers}
    assert [layers[path].bias for path in ("0", "1", "3", "6", "8", "9")] == [1, 2, 0, 1, 2, 1]
    assert {layer.path: layer.bias for layer in cost_of(zoo("mlp").groups).layers} == {"0": 1, "2": 0, "4": 1}
