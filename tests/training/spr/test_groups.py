"""A group that is zero is a unit that is silent, in every network of the zoo; and it can be cut off for nothing."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from oamip.budget import Scope
from oamip.errors import InputError
from oamip.learning import evaluating
from oamip.readers import read
from oamip.training.spr import WeightGroups, shrink


def silence(groups: WeightGroups, units: np.ndarray) -> None:
    for stack in groups.stacks:
        W = stack.read().detach().clone()
        W[torch.from_numpy(units[stack.units])] = 0
        stack.write(W)


CONSTANTS_BEHIND = {"mlp_with_norms", "normalised_input", "in_place", "bent_and_clamped"}
"""Networks in which something behind a unit, such as the shift of a normalisation or ``x + 1``, wakes it again."""


WHOLE = {"functional_weights", "tied_weights"}
"""Networks of which every layer must stay whole."""


@pytest.fixture
def grouped(animal):
    """A copy of each network of the zoo in turn."""
    return copy.deepcopy(animal.module)


def test_a_network_without_removable_units_has_no_groups(zoo):
    for name in WHOLE:
        with pytest.raises(InputError, match="nothing to prune"):
            WeightGroups.of(zoo(name).module, zoo(name).x)


@pytest.mark.parametrize("coupled", [True, False])
def test_silenced_units_are_the_masked_network(animal, grouped, coupled):
    if animal.name in WHOLE:
        return
    groups = WeightGroups.of(grouped, animal.x, coupled=coupled)
    units = np.arange(groups.units.size) % 2 == 0
    silence(groups, units)
    expected = animal.network(animal.x.numpy(), groups.units.mask(~units))
    with evaluating(grouped):
        same = np.allclose(grouped(animal.x).numpy(), expected, atol=1e-12)
    assert same == (animal.name not in CONSTANTS_BEHIND)
    assert (groups.silent() == units).all()


@pytest.mark.parametrize(
    "name", ["mlp", "mlp_with_norms", "convnet", "sequence", "grouped", "depthwise", "residual", "concatenation"]
)
def test_a_smaller_network_without_the_silent_units_computes_the_same(zoo, name):
    specimen = zoo(name)
    module = copy.deepcopy(specimen.module)
    groups = WeightGroups.of(module, specimen.x)
    silence(groups, np.random.default_rng(1).random(groups.units.size) < 0.6)
    small, decision = shrink(module, specimen.x, groups)
    assert decision.removed > 0
    with evaluating(module), evaluating(small):
        np.testing.assert_allclose(small(specimen.x).numpy(), module(specimen.x).numpy(), atol=1e-12)
    assert sum(map(torch.numel, small.parameters())) < sum(map(torch.numel, module.parameters()))


@pytest.mark.parametrize("padding", [0, 1])
def test_a_constant_behind_a_unit_goes_into_the_next_bias_if_a_bias_can_say_it(padding, caplog):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 6, 3),
        nn.BatchNorm2d(6, affine=False),
        nn.ReLU(),
        nn.Conv2d(6, 2, 3, padding=padding),
        nn.Flatten(),
    ).double()
    module[1].running_mean.fill_(-0.5)
    x = torch.randn(3, 1, 7, 7, dtype=torch.float64)
    groups = WeightGroups.of(module, x)
    silence(groups, np.arange(6) < 4)
    small, decision = shrink(module, x, groups)
    assert decision.removed == (0 if padding else 4)
    assert ("4 units have zero weights and a constant" in caplog.text) == bool(padding)
    with evaluating(module), evaluating(small):
        np.testing.assert_allclose(small(x).numpy(), module(x).numpy(), atol=1e-12)


@pytest.mark.parametrize("size", [1.0, 1e4])
def test_large_constants_go_into_biases_that_round_as_much(size):
    """A normalisation behind the layer takes the constants off again, but not the rounding of the bias."""
    torch.manual_seed(0)
    hidden = [nn.Linear(16, 64), nn.BatchNorm1d(64, affine=False), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU()]
    module, x = nn.Sequential(*hidden, nn.Linear(32, 5)).eval(), torch.randn(500, 16)
    with torch.no_grad():
        module[1].running_mean.normal_().mul_(size)
        module[0].weight[:32], module[0].bias[:32] = 0, 0
        module[3].running_mean.copy_(module[:3](x).mean(0))
    small, decision = shrink(module, x[:2], WeightGroups.of(module, x[:2]))
    assert decision.removed == 32
    torch.testing.assert_close(small(x), module(x), rtol=0, atol=1e-5 + 1e-6 * size)


def test_units_that_were_not_to_die_stay(zoo):
    specimen = zoo("mlp")
    module = copy.deepcopy(specimen.module)
    every = WeightGroups.of(module, specimen.x)
    silence(every, np.arange(every.units.size) % 2 == 0)
    first = every.units.groups[0]
    scoped = WeightGroups.of(module, specimen.x, scope=Scope(include=(first.name,)))
    _, decision = shrink(module, specimen.x, scoped)
    assert list(decision.keep) == [first.name]
    assert decision.removed == -(-first.size // 2)


def test_a_filter_takes_its_bias_and_the_normalisation_behind_it_along(zoo):
    specimen = zoo("convnet")
    groups = WeightGroups.of(specimen.module, specimen.x)
    sizes = {stack.name: (len(stack), stack.size) for stack in groups.stacks}
    # 2 × 9 weights, bias, scale and shift; 4 × 6 weights without a bias, scale and shift; 24 weights and a bias
    assert sizes == {"0.0": (4, 18 + 1 + 2), "0.4": (6, 24 + 2), "2": (5, 24 + 1)}
    convolution, norm = specimen.module.get_submodule("0.0"), specimen.module.get_submodule("0.1")
    W = groups.stacks[0].read().detach()
    assert torch.equal(W[:, :18], convolution.weight.flatten(1))
    assert torch.equal(W[:, 18:], torch.stack([convolution.bias, norm.weight, norm.bias], dim=1))
    assert groups.scalars == 4 * 21 + 6 * 26 + 5 * 25


def test_a_residual_stream_is_one_group_or_one_for_each_layer(zoo):
    specimen = zoo("residual")
    together = WeightGroups.of(specimen.module, specimen.x)
    apart = WeightGroups.of(specimen.module, specimen.x, coupled=False)
    assert together.scalars == apart.scalars
    assert len(together) == together.units.size < len(apart)
    assert "stem.0 + blocks.0.conv2" in {stack.name for stack in together.stacks}
    assert {"stem.0", "blocks.0.conv2"} <= {stack.name for stack in apart.stacks}
    stem = next(stack for stack in apart.stacks if stack.name == "stem.0")
    module = copy.deepcopy(specimen.module)
    apart = WeightGroups.of(module, specimen.x, coupled=False)
    for stack in apart.stacks:
        if stack.name == stem.name:
            stack.write(torch.zeros_like(stack.read()))
    assert not apart.silent().any()  # the other layer of the stream still speaks


def test_every_parameter_entry_is_in_one_group_at_most(animal, grouped):
    if animal.name in WHOLE:
        return
    module = grouped
    groups = WeightGroups.of(module, animal.x)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        for stack in groups.stacks:
            stack.write(stack.read() + 1)
    assert all(set(parameter.unique().tolist()) <= {0.0, 1.0} for parameter in module.parameters())
    assert sum(int(parameter.sum()) for parameter in module.parameters()) == groups.scalars


def test_linear_layers_can_be_left_out(zoo):
    specimen = zoo("convnet")
    groups = WeightGroups.of(specimen.module, specimen.x, linear=False)
    assert {stack.name for stack in groups.stacks} == {"0.0", "0.4"}
    scoped = WeightGroups.of(specimen.module, specimen.x, scope=Scope(include=("2",)))
    assert {stack.name for stack in scoped.stacks} == {"2"}
    with pytest.raises(InputError, match="linear"):
        WeightGroups.of(zoo("mlp").module, zoo("mlp").x, linear=False)


def test_a_layer_that_died_whole_keeps_one_silent_unit_and_is_told(zoo, caplog):
    specimen = zoo("mlp")
    module = copy.deepcopy(specimen.module)
    groups = WeightGroups.of(module, specimen.x)
    silence(groups, np.ones(groups.units.size, dtype=bool))
    small, decision = shrink(module, specimen.x, groups)
    assert [int(mask.sum()) for mask in decision.keep.values()] == [1, 1]
    assert caplog.text.count("take a smaller λ") == 2
    with evaluating(small):
        assert torch.equal(small(specimen.x), module(specimen.x))


def test_groups_follow_the_module_to_another_precision(zoo):
    module = copy.deepcopy(zoo("residual").module)
    groups = WeightGroups.of(module, zoo("residual").x)
    module.float()
    W = groups.stacks[0].read()
    assert W.dtype == torch.float32
    groups.stacks[0].write(torch.zeros(W.shape, dtype=torch.float64))
    assert not groups.stacks[0].read().any()
    assert read(module, zoo("residual").x.float()) is not None
