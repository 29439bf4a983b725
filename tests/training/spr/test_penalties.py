"""A penalty over a module: weighted by size, bounded by a reference network, and a step that acts on every group."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from oamip.errors import InputError
from oamip.training.spr import SPR, BigMRelaxation, GroupLasso, Ridge, WeightGroups, weight_bounds

X = torch.zeros(2, 2, 8, 10, dtype=torch.float64)


@pytest.fixture
def convnet(zoo) -> nn.Module:
    return copy.deepcopy(zoo("convnet").module)


def test_the_value_is_the_mean_over_groups_weighted_by_their_sizes(convnet):
    penalty = SPR.of(convnet, X, reference=2.0, alpha=0.3)
    c, total, weight = math.sqrt(0.3 / 0.7), 0.0, 0
    first, norm, second = (convnet.get_submodule(path) for path in ("0.0", "0.1", "0.4"))
    last, second_norm = convnet.get_submodule("2"), convnet.get_submodule("0.5")
    filters = [
        torch.cat([first.weight[i].flatten(), first.bias[i : i + 1], norm.weight[i : i + 1], norm.bias[i : i + 1]])
        for i in range(4)
    ]
    filters += [
        torch.cat([second.weight[i].flatten(), second_norm.weight[i : i + 1], second_norm.bias[i : i + 1]])
        for i in range(6)
    ]
    filters += [torch.cat([last.weight[i], last.bias[i : i + 1]]) for i in range(5)]
    for w in filters:
        w = w.detach().numpy()
        y = min(1.0, max(np.abs(w).max() / 2.0, c * np.linalg.norm(w)))
        total += len(w) * (0.3 * (w @ w) / y + 0.7 * y)
        weight += len(w)
    assert penalty().item() == pytest.approx(total / weight, rel=1e-12)


@pytest.mark.parametrize("make", [SPR, BigMRelaxation, GroupLasso, Ridge])
def test_gradients_reach_every_parameter_of_a_group_and_stay_finite_at_zero(convnet, make):
    groups = WeightGroups.of(convnet, X)
    penalty = make(groups, weight_bounds(groups, 1.0), 0.2) if make in (SPR, BigMRelaxation) else make(groups)
    groups.stacks[0].write(torch.zeros_like(groups.stacks[0].read()))
    penalty().backward()
    grouped = {id(part.parameter) for stack in groups.stacks for part in stack.parts}
    for name, parameter in convnet.named_parameters():
        if id(parameter) in grouped:
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any() == (name.split(".")[:2] not in (["0", "0"], ["0", "1"])), name
        else:
            assert parameter.grad is None, name


@pytest.mark.parametrize("make", [SPR, BigMRelaxation, GroupLasso, Ridge])
def test_a_proximal_step_lowers_step_times_penalty_by_more_than_it_moves(convnet, make):
    groups = WeightGroups.of(convnet, X)
    penalty = make(groups, weight_bounds(groups, convnet), 0.2) if make in (SPR, BigMRelaxation) else make(groups)
    before = [stack.read().detach().clone() for stack in groups.stacks]
    value = penalty().item()
    for _ in range(3):
        penalty.prox_(0.5)
    moved = sum(((stack.read() - W) ** 2).sum().item() for stack, W in zip(groups.stacks, before, strict=True))
    assert moved > 0
    assert penalty().item() < value - moved / (2 * 3 * 0.5)


def test_a_large_step_silences_every_group_except_under_the_ridge(convnet):
    for make, silenced in ((SPR, True), (BigMRelaxation, True), (GroupLasso, True), (Ridge, False)):
        module = copy.deepcopy(convnet)
        groups = WeightGroups.of(module, X)
        penalty = make(groups, weight_bounds(groups, module), 0.1) if make in (SPR, BigMRelaxation) else make(groups)
        penalty.prox_(1e4)
        assert groups.silent().all() == silenced
        assert groups.silent().any() == silenced


def test_bounds_are_the_largest_weights_of_the_reference_layer_by_layer(convnet):
    reference = copy.deepcopy(convnet)
    with torch.no_grad():
        reference.get_submodule("0.0").weight[1, 0, 2, 2] = -7.0
        reference.get_submodule("0.5").bias[0] = 9.0  # the normalisation belongs to the filter before it
        for parameter in reference.get_submodule("2").parameters():
            parameter.mul_(1e-9)  # a layer that has died
    groups = WeightGroups.of(convnet, X)
    bounds = {
        stack.name: set(M.tolist())
        for stack, M in zip(groups.stacks, weight_bounds(groups, reference, scale=2.0), strict=True)
    }
    assert bounds == {"0.0": {14.0}, "0.4": {18.0}, "2": {1e-2}}
    given = weight_bounds(groups, {"0.0": 1.0, "0.4": 2.0, "2": 3.0})
    assert [set(M.tolist()) for M in given] == [{1.0}, {2.0}, {3.0}]


def test_a_coupled_group_has_the_bounds_of_each_of_its_layers(zoo):
    specimen = zoo("residual")
    reference = copy.deepcopy(specimen.module)
    with torch.no_grad():
        reference.get_submodule("stem.0").weight[0, 0, 0, 0] = 50.0
        reference.get_submodule("blocks.0.conv2").weight[0, 0, 0, 0] = 80.0
    groups = WeightGroups.of(specimen.module, specimen.x)
    at = [stack.name for stack in groups.stacks].index("stem.0 + blocks.0.conv2")
    assert {50.0, 80.0} == set(weight_bounds(groups, reference)[at].tolist())


def test_impossible_penalties_are_refused(convnet, zoo):
    for alpha in (0.0, 1.0, -0.1, math.nan):
        with pytest.raises(InputError, match="alpha"):
            SPR.of(convnet, X, reference=1.0, alpha=alpha)
    with pytest.raises(InputError, match="same architecture"):
        SPR.of(convnet, X, reference=zoo("mlp").module, alpha=0.1)
    with pytest.raises(InputError, match=r"no bound for layer 0\.4"):
        SPR.of(convnet, X, reference={"0.0": 1.0}, alpha=0.1)
    with pytest.raises(InputError, match="positive"):
        SPR.of(convnet, X, reference=0.0, alpha=0.1)
    with pytest.raises(InputError, match="finite bounds"):
        BigMRelaxation.of(convnet, X, reference=math.inf, alpha=0.1)
