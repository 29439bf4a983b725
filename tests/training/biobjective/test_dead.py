"""Networks without their dead units compute the same, and are smaller."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from oamip.errors import UnsupportedOperator
from oamip.network import find_groups
from oamip.readers import read
from oamip.training.biobjective.dead import compact, count_dead


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3)).double()


def cnn() -> nn.Module:
    torch.manual_seed(0)
    features = [
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 5, 2),
        nn.ReLU(),
    ]
    module = nn.Sequential(*features, nn.Flatten(), nn.Linear(20, 6), nn.ReLU(), nn.Linear(6, 3))
    nn.init.uniform_(module[1].running_var, 0.5, 2.0)
    return module.double().eval()


def zero(*tensors: torch.Tensor) -> None:
    with torch.no_grad():
        for tensor in tensors:
            tensor.zero_()


def put(tensor: torch.Tensor, value: float) -> None:
    with torch.no_grad():
        tensor.fill_(value)


def same(small: nn.Module, module: nn.Module, shape: tuple[int, ...]) -> float:
    x = 3 * torch.randn(200, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        return float((small(x) - module(x)).abs().max())


def test_a_neuron_without_input_and_bias_goes() -> None:
    module = mlp()
    zero(module[0].weight[2], module[0].bias[2])
    assert count_dead(module, torch.zeros(1, 5).double()) == (1, 5 * 7 + 7 + 7 * 6 + 6 + 6 * 3 + 3)
    small = compact(module, torch.zeros(1, 5).double())
    assert small[0].out_features == 7
    assert same(small, module, (5,)) < 1e-14


def test_a_neuron_whose_constant_relu_cuts_off_goes() -> None:
    module = mlp()
    zero(module[0].weight[2])
    put(module[0].bias[2], -0.3)
    small = compact(module, torch.zeros(1, 5).double())
    assert small[0].out_features == 7
    torch.testing.assert_close(small[2].bias, module[2].bias, rtol=0, atol=0)
    assert same(small, module, (5,)) < 1e-14


def test_a_constant_neuron_goes_into_the_biases_behind_it() -> None:
    module = mlp()
    zero(module[0].weight[2], module[2].weight[4])
    put(module[0].bias[2], 0.7)
    put(module[2].bias[4], 0.2)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    small = compact(module, torch.zeros(1, 5).double())
    assert (small[0].out_features, small[2].out_features) == (7, 5)
    keep = [0, 1, 2, 3, 5]
    torch.testing.assert_close(small[2].bias, module[2].bias[keep] + 0.7 * module[2].weight[keep, 2])
    assert same(small, module, (5,)) < 1e-14
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_a_constant_neuron_goes_into_a_bias_that_is_made_for_it() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3, bias=False)).double()
    zero(module[0].weight[2])
    put(module[0].bias[2], 0.7)
    small = compact(module, torch.zeros(1, 5).double())
    assert (small[0].out_features, small[2].bias is not None) == (7, True)
    assert same(small, module, (5,)) < 1e-14
    put(module[0].bias[2], -0.7)
    assert compact(module, torch.zeros(1, 5).double())[0].out_features == 7


def test_a_neuron_that_nobody_reads_goes_whatever_comes_in() -> None:
    module = mlp()
    zero(module[2].weight[:, 3])
    small = compact(module, torch.zeros(1, 5).double())
    assert small[0].out_features == 7
    assert same(small, module, (5,)) < 1e-14


def test_death_spreads_forwards_and_backwards() -> None:
    """Only unit 5 behind reads unit 1 in front, and only unit 0 in front feeds unit 2 behind."""
    module = mlp()
    zero(module[2].weight[:5, 1], module[4].weight[:, 5])
    zero(module[0].weight[0], module[0].bias[0], module[2].weight[2, 1:], module[2].bias[2])
    small = compact(module, torch.zeros(1, 5).double())
    assert (small[0].out_features, small[2].out_features) == (6, 4)
    assert same(small, module, (5,)) < 1e-14


def test_a_layer_keeps_one_unit() -> None:
    module = mlp()
    zero(*module.parameters())
    put(module[4].bias, 0.5)
    small = compact(module, torch.zeros(1, 5).double())
    assert (small[0].out_features, small[2].out_features) == (1, 1)
    assert same(small, module, (5,)) == 0.0


def test_channels_die_through_batch_norm_and_flattening() -> None:
    module = cnn()
    zero(module[0].weight[1], module[4].weight[3], module[4].bias[3])  # the norm makes a constant out of channel 1
    put(module[1].bias[1], -5.0)  # which the ReLU cuts off
    zero(module[7].weight[:, 4:8])  # nobody reads channel 1 behind
    small = compact(module, torch.zeros(1, 1, 6, 6).double())
    assert (small[0].out_channels, small[4].out_channels, small[7].in_features) == (3, 3, 12)
    assert same(small, module, (1, 6, 6)) < 1e-13


def test_a_constant_channel_goes_into_what_reads_it_all_alike() -> None:
    module = cnn()
    zero(module[4].weight[3])
    put(module[4].bias[3], 0.4)
    small = compact(module, torch.zeros(1, 1, 6, 6).double())
    assert (small[4].out_channels, small[7].in_features) == (4, 16)
    assert same(small, module, (1, 6, 6)) < 1e-13
    other = cnn()
    zero(other[0].weight[1])
    put(other[1].bias[1], 5.0)
    small = compact(other, torch.zeros(1, 1, 6, 6).double())
    assert small[0].out_channels == 3
    assert same(small, other, (1, 6, 6)) < 1e-13
    padded = cnn()
    padded[4] = nn.Conv2d(4, 4, 3, padding=1).double()  # behind padding it is not constant at the border
    padded[7] = nn.Linear(4 * 9, 6).double()
    zero(padded[0].weight[1])
    put(padded[1].bias[1], 5.0)
    assert compact(padded, torch.zeros(1, 1, 6, 6).double())[0].out_channels == 4


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner = nn.Linear(4, 6), nn.Linear(6, 6)
        self.last = nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).relu()
        return self.last((x + self.inner(x)).relu())


def test_a_unit_of_a_residual_sum_dies_only_with_both_sides() -> None:
    torch.manual_seed(0)
    module = Residual().double()
    zero(module.first.weight[2], module.first.bias[2])
    assert compact(module, torch.zeros(1, 4).double()).first.out_features == 6
    zero(module.inner.weight[2], module.inner.bias[2])
    small = compact(module, torch.zeros(1, 4).double())
    assert small.first.out_features == 5
    assert same(small, module, (4,)) < 1e-14
    put(module.first.bias[2], 0.3)  # a constant that a layer reads whose row it is: it stays, or is folded rightly
    assert same(compact(module, torch.zeros(1, 4).double()), module, (4,)) < 1e-14


def test_grouped_convolutions_keep_their_units() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 2, groups=4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2)]
    module = nn.Sequential(*layers).double()
    zero(module[0].weight[1], module[0].bias[1])
    assert same(compact(module, torch.zeros(1, 1, 6, 6).double()), module, (1, 6, 6)) < 1e-14


@pytest.mark.parametrize("build", [mlp, cnn])
@pytest.mark.parametrize("seed", range(6))
def test_random_sparse_networks_compute_the_same(build: Callable[[], nn.Module], seed: int) -> None:
    module = build()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Linear | nn.Conv2d):
                for tensor in (part.weight, part.bias):
                    tensor.mul_(torch.rand(tensor.shape, generator=generator) < 0.12)
    shape = (5,) if build is mlp else (1, 6, 6)
    example = torch.zeros(1, *shape).double()
    dead, parameters = count_dead(module, example)
    small = compact(module, example)
    before, after = (find_groups(read(net, example)).size for net in (module, small))
    assert dead == before - after
    assert dead > 0
    assert sum(p.numel() for p in small.parameters()) == parameters
    assert same(small, module, shape) < 1e-13
    assert count_dead(small, example)[0] == 0


def test_single_precision_folds_to_its_own_rounding() -> None:
    module = mlp().float()
    zero(module[0].weight[2])
    put(module[0].bias[2], 0.7)
    small = compact(module, torch.zeros(1, 5))
    assert small[0].out_features == 7
    assert 0 < same(small.double(), module.double(), (5,)) < 1e-6


def test_what_cannot_be_read_says_so() -> None:
    with pytest.raises(UnsupportedOperator):
        count_dead(nn.Sequential(nn.Linear(3, 3), nn.ELU(), nn.Linear(3, 2)), torch.zeros(1, 3))
