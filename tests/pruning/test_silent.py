"""Units that say nothing go, what they said stays, and the user's class keeps computing what it did."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from oamip.decision import Decision
from oamip.errors import MismatchError
from oamip.network import find_groups
from oamip.pruning import silent
from oamip.pruning.refit import refit
from oamip.pruning.removal import remove
from oamip.pruning.silent import remove_silent
from oamip.readers import read


def _mlp(bias: bool = True) -> nn.Sequential:
    """Unit 1 of the first layer is the constant 0.5, unit 4 the constant 0; nobody reads unit 2."""
    module = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3, bias=bias))
    with torch.no_grad():
        module[0].weight[[1, 4]] = 0.0
        module[0].bias[1], module[0].bias[4] = 0.5, -1.0
        module[2].weight[:, 2] = 0.0
    return module


def _equal(small: nn.Module, module: nn.Module, x: torch.Tensor) -> bool:
    with torch.no_grad():
        return torch.allclose(small.eval()(x), module.eval()(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_constant_and_unread_units_go_without_a_change(bias: bool) -> None:
    module = _mlp(bias).train()
    before = copy.deepcopy(module.state_dict())
    small = remove_silent(module, torch.randn(2, 4))
    assert (small[0].out_features, small[2].in_features) == (3, 3)
    assert small[2].bias is not None
    assert small.training
    assert _equal(small, module, torch.randn(50, 4))
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_a_mask_forgets_the_constant_and_a_refit_finds_it_again() -> None:
    """`remove` reproduces the mask, since the decision says zero. The refit, on by default, moves the constant."""
    module, x = _mlp(), torch.randn(60, 4)
    groups = find_groups(read(module, x[:2]))
    decision = Decision({"0": np.array([True, False, False, True, False, True])})
    small = remove(module, x[:2], groups, decision)
    shift = module(x) - small(x)
    assert shift.abs().min() > 1e-3
    torch.testing.assert_close(shift, (0.5 * module[2].weight[:, 1]).expand_as(shift), rtol=1e-4, atol=1e-5)
    refit(small, module, x, groups, decision)
    torch.testing.assert_close(small(x), module(x), rtol=1e-3, atol=1e-3)


def _convolutions(padding: int, shift: float) -> nn.Sequential:
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=padding, bias=False), nn.ReLU()
    )
    module.extend([nn.Flatten(), nn.LazyLinear(2)])
    module.eval()(torch.zeros(1, 1, 7, 7))
    with torch.no_grad():
        module[1].weight[2], module[1].bias[2] = 0.0, shift
    return module


@pytest.mark.parametrize(("padding", "shift", "left"), [(0, 2.0, 3), (1, 2.0, 4), (1, -2.0, 3), (0, 0.0, 3)])
def test_behind_zero_padding_only_zeros_go(padding: int, shift: float, left: int) -> None:
    module = _convolutions(padding, shift)
    small = remove_silent(module, torch.randn(2, 1, 7, 7))
    assert small[0].out_channels == left
    assert (small[3].bias is not None) == (padding == 0 and shift > 0)
    assert _equal(small, module, torch.randn(20, 1, 7, 7))


def test_what_an_unstructured_pruning_empties_is_removed() -> None:
    module = nn.Sequential(nn.Linear(8, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 3))
    for layer in (module[0], module[2]):
        prune.ln_structured(layer, "weight", amount=0.5, n=2, dim=0)
        prune.remove(layer, "weight")
    small = remove_silent(module, torch.randn(2, 8))
    assert (small[0].out_features, small[2].out_features) == (10, 10)
    assert _equal(small, module, torch.randn(50, 8))


def test_a_module_without_silent_units_is_copied() -> None:
    module = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)).double()
    small = remove_silent(module, torch.randn(2, 4))
    assert small is not module
    assert all(torch.equal(a, b) for a, b in zip(small.parameters(), module.parameters(), strict=True))


def test_hooks_move_to_the_copy() -> None:
    module, calls = _mlp(), []
    module[1].register_forward_hook(lambda *_: calls.append(1))
    remove_silent(module, torch.randn(2, 4))(torch.randn(2, 4))
    assert calls == [1]


def test_a_constant_that_is_lost_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    forgets: Callable[..., None] = lambda *_: None  # noqa: E731
    monkeypatch.setattr(silent, "_tell", forgets)
    with pytest.raises(MismatchError, match="without its silent units the module differs"):
        remove_silent(_mlp(), torch.randn(2, 4))


def test_a_network_without_units_is_copied() -> None:
    """Its padding is no unit either, nor one of those of which there are none."""
    module, x = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ZeroPad2d(1)), torch.randn(1, 1, 6, 6)
    assert _equal(remove_silent(module, x), module, x)
