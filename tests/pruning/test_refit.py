"""A refit lowers the residual of every layer it touches, and touches nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from oamip.decision import Decision
from oamip.errors import DataError, InputError, MismatchError
from oamip.network import Affine, Groups, find_groups
from oamip.pruning import moments
from oamip.pruning.coupling import COLUMNS, planned_cuts
from oamip.pruning.refit import refit
from oamip.pruning.removal import remove
from oamip.readers import read


class Residual(nn.Module):
    """A convolution without bias, a shortcut, a strided and padded convolution, and a linear end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.norm, self.b = nn.BatchNorm2d(6), nn.Conv2d(6, 5, 3, padding=1, stride=2)
        self.head = nn.Linear(45, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.stem(x))
        x = functional.relu(self.norm(self.a(x)) + x)
        return self.head(functional.relu(self.b(x)).flatten(1))


NETS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(),
                                 nn.Linear(7, 3)),
    "residual": Residual,
    "grouped": lambda: nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3, groups=2), nn.ReLU(),
                                     nn.Flatten(), nn.Linear(64, 3)),
    "conv1d": lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(2), nn.Conv1d(1, 6, 3), nn.ReLU(inplace=True),
                                    nn.Conv1d(6, 5, 3, dilation=2), nn.ReLU(inplace=True), nn.Flatten(),
                                    nn.Linear(5 * 58, 3)),
}  # fmt: skip


def _made(name: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    module = NETS[name]()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.bias), nn.init.normal_(part.running_mean), nn.init.uniform_(part.weight, 0.5, 2.0)
    return module.eval()


def _samples(n: int, seed: int = 1) -> torch.Tensor:
    """Images with common structure, as pictures have: a few patterns, mixed."""
    patterns = torch.randn(6, 64, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 6, generator=generator) @ patterns / 2 + 0.2 * torch.randn(n, 64, generator=generator)
    return x.reshape(n, 1, 8, 8)


def _groups(module: nn.Module) -> Groups:
    return find_groups(read(module, _samples(2)))


def _random(groups: Groups, seed: int) -> Decision:
    """About a third of the units go, at least one of each group stays."""
    generator = np.random.default_rng(seed)
    keep = generator.random(groups.size) < 0.67
    for group in groups.groups:
        keep[group.start + generator.integers(group.size)] = True
    return Decision.of(groups, keep)


def _pruned(module: nn.Module, seed: int) -> tuple[nn.Module, Groups, Decision]:
    groups = _groups(module)
    decision = _random(groups, seed)
    return remove(module, _samples(2), groups, decision), groups, decision


def _state(module: nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(module.state_dict())


def _equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def _output_of(module: nn.Module, path: str, x: torch.Tensor) -> torch.Tensor:
    """What a layer computes, float64."""
    seen: list[torch.Tensor] = []
    double = copy.deepcopy(module).double()
    double.get_submodule(path).register_forward_hook(lambda _, __, output: seen.append(output.clone()))
    with torch.no_grad():
        double(x.double())
    return seen[0]


def _residual(module: nn.Module, wanted: torch.Tensor, path: str, x: torch.Tensor) -> float:
    return float((_output_of(module, path, x) - wanted).square().sum())


# ── least squares ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NETS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.sampled_from([1, 5, 60]), ridge=st.sampled_from([0.0, 1e-3, 1.0]))
def test_no_layer_fits_its_samples_worse_than_before(name: str, seed: int, n: int, ridge: float) -> None:
    module, x = _made(name), _samples(n, seed)
    pruned, groups, decision = _pruned(module, seed)
    refitted = refit(copy.deepcopy(pruned), module, x, groups, decision, ridge=ridge)
    keep = decision.flat(groups)
    cuts = planned_cuts(groups, keep)
    for node in groups.network.nodes(Affine):
        if node.layer is None or (node.layer.path, COLUMNS) not in cuts:
            continue
        path = node.layer.path
        hybrid = copy.deepcopy(refitted)  # every layer before this one is refitted, this one is not
        hybrid.get_submodule(path).load_state_dict(pruned.get_submodule(path).state_dict())
        axis = -1 if node.layer.kind == "linear" else 1
        wanted = _output_of(module, path, x)
        rows = [row for row in range(wanted.shape[axis]) if row not in cuts.get((path, "rows"), ())]
        wanted = wanted.index_select(axis, torch.tensor(rows))
        before, after = _residual(hybrid, wanted, path, x), _residual(refitted, wanted, path, x)
        assert after <= before + 1e-9 * float(wanted.square().sum())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("ridge", [1e-3, 0.3])
def test_refit_is_the_solution_of_the_stated_problem(bias: bool, ridge: float) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.ReLU(), nn.Linear(9, 4, bias=bias)).double()
    groups = _groups(module)
    decision = Decision({groups.groups[0].name: np.arange(9) % 3 > 0})
    x = _samples(50).double()
    pruned = remove(module, x[:2], groups, decision)
    start = pruned[3].weight.detach().numpy().copy()
    refit(pruned, module, x, groups, decision, ridge=ridge)
    with torch.no_grad():
        H, Y = pruned[:3](x).numpy(), module(x).numpy()
    if bias:  # an unpenalised constant is the same as centring
        H, Y = H - H.mean(0), Y - Y.mean(0)
    with torch.no_grad():
        scale = float(pruned[:3](x).square().sum(0).mean())
    V = np.linalg.solve(H.T @ H + ridge * scale * np.eye(6), H.T @ Y + ridge * scale * start.T)
    np.testing.assert_allclose(pruned[3].weight.detach().numpy(), V.T, rtol=1e-9, atol=1e-12)


def test_grouped_convolution_is_refitted_group_by_group() -> None:
    module, x = _made("grouped").double(), _samples(40).double()
    groups = _groups(module)
    decision = Decision({"0": np.array([True, False, True, True])})
    pruned = remove(module, x[:2], groups, decision)
    refit(pruned, module, x, groups, decision, ridge=0.0)
    with torch.no_grad():
        inputs, outputs, wanted = pruned[:2](x), pruned[:3](x), module[:3](x)
    error = (wanted - outputs).unflatten(1, (2, 2)).flatten(3)  # (n, groups, rows, positions)
    patches = functional.unfold(inputs, 3).unflatten(1, (2, 27))  # (n, groups, columns, positions)
    stationary = torch.einsum("ngcp,ngrp->gcr", patches, error)
    assert float(stationary.abs().max()) < 1e-8 * float(wanted.square().sum())
    assert float(error.sum((0, 3)).abs().max()) < 1e-8 * float(wanted.square().sum())


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 10.0])
def test_a_constant_unit_moves_into_the_bias(ridge: float) -> None:
    module, x = _made("mlp").double(), _samples(30).double()
    with torch.no_grad():
        module[1].weight[4], module[1].bias[4] = 0.0, 1.7
    groups = _groups(module)
    decision = Decision({"1": np.arange(9) != 4})
    pruned = remove(module, x[:2], groups, decision)
    weights = pruned[3].weight.detach().clone()
    refit(pruned, module, x, groups, decision, ridge=ridge)
    torch.testing.assert_close(pruned(_samples(9, 2).double()), module(_samples(9, 2).double()), rtol=0, atol=1e-9)
    torch.testing.assert_close(pruned[3].weight.detach(), weights, rtol=0, atol=1e-8)


def test_a_twin_takes_over_from_its_removed_twin() -> None:
    module, x = _made("residual").double(), _samples(60).double()
    with torch.no_grad():
        module.b.weight[3], module.b.bias[3] = module.b.weight[1], module.b.bias[1]
    groups = _groups(module)
    decision = Decision({"b": np.arange(5) != 3})
    pruned = refit(remove(module, x[:2], groups, decision), module, x, groups, decision, ridge=0.0)
    torch.testing.assert_close(pruned(x), module(x), rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("seed", range(3))
def test_outputs_on_new_samples_come_closer(name: str, seed: int) -> None:
    module, new = _made(name, seed), _samples(300, 99)
    pruned, groups, decision = _pruned(module, seed)
    with torch.no_grad():
        wanted = module(new)
        before = float((pruned(new) - wanted).square().sum())
        refit(pruned, module, _samples(500, seed), groups, decision)
        after = float((pruned(new) - wanted).square().sum())
    assert after < 0.5 * before


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("worse", [-1.0, 2.5])
def test_a_step_that_would_raise_the_residual_is_not_stored(
    name: str, worse: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As rounding may give one: the exact step without ridge, backwards or more than twice as far, fits worse."""
    module, x = _made(name), _samples(200)
    pruned, groups, decision = _pruned(module, 1)
    before, steps, step = _state(pruned), [], moments.Moments.step

    def misled(self: moments.Moments, _: float, constant: bool) -> torch.Tensor:
        steps.append(worse * step(self, 0.0, constant))
        assert self.gain(steps[-1]) < 0
        return steps[-1]

    monkeypatch.setattr(moments.Moments, "step", misled)
    refit(pruned, module, x, groups, decision)
    assert steps
    assert _equal(_state(pruned), before)


# ── what does not matter ─────────────────────────────────────────────────────────────────────────────────────────────


def test_batches_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    module, x = _made("residual").double(), _samples(30).double()
    pruned, groups, decision = _pruned(module, 1)
    whole = refit(copy.deepcopy(pruned), module, x, groups, decision)
    parts = refit(copy.deepcopy(pruned), module, x, groups, decision, batch=7)
    monkeypatch.setattr(moments, "_ENTRIES", 1)
    small = refit(copy.deepcopy(pruned), module, x, groups, decision, batch=7)
    for other in (parts, small):
        for left, right in zip(whole.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(left, right, rtol=1e-7, atol=1e-9)


def test_equal_calls_give_equal_weights_in_any_gradient_mode() -> None:
    module, x = _made("residual"), _samples(30).numpy()
    pruned, groups, decision = _pruned(module, 1)
    once = refit(copy.deepcopy(pruned), module, x, groups, decision)
    with torch.inference_mode():
        again = refit(copy.deepcopy(pruned), module, x, groups, decision)
    assert _equal(_state(once), _state(again))


def test_nothing_removed_changes_nothing() -> None:
    module = _made("residual")
    groups = _groups(module)
    same = remove(module, _samples(2), groups, Decision({}))
    refit(same, module, _samples(10), groups, Decision({}))
    assert _equal(_state(same), _state(module))


def test_the_original_the_modes_and_the_hooks_stay() -> None:
    module, calls = _made("residual").train(), []
    module.head.register_forward_hook(lambda *_: calls.append(1))
    module.a.requires_grad_(False)
    before = _state(module)
    pruned, groups, decision = _pruned(module, 2)
    calls.clear()
    parameters = dict(pruned.named_parameters())
    assert refit(pruned, module, _samples(20), groups, decision) is pruned
    assert calls == []
    assert _equal(_state(module), before)
    assert all(part.training for part in (*module.modules(), *pruned.modules()))
    assert all(parameter is parameters[name] for name, parameter in pruned.named_parameters())
    assert not pruned.a.weight.requires_grad
    assert pruned.head.weight.requires_grad
    assert torch.equal(pruned.norm.running_mean, module.norm.running_mean[decision.flat(groups)[groups["stem"].slice]])


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_values_that_are_not_finite_are_refused_and_leave_the_module_alone() -> None:
    module, x = _made("mlp"), _samples(10)
    pruned, groups, decision = _pruned(module, 1)
    before = _state(pruned)
    x[3, 0, 2, 2] = float("nan")
    with pytest.raises(DataError, match=r"layer '3' .*not finite"):
        refit(pruned, module, x, groups, decision)
    assert _equal(_state(pruned), before)
    with pytest.raises(DataError, match="needs samples"):
        refit(pruned, module, x[:0], groups, decision)
    with pytest.raises(InputError, match="ridge"):
        refit(pruned, module, x, groups, decision, ridge=-1.0)


def test_a_module_that_another_decision_made_is_refused() -> None:
    module = _made("mlp")
    groups = _groups(module)
    pruned = remove(module, _samples(2), groups, Decision({"3": np.arange(7) > 0}))
    with pytest.raises(MismatchError, match="layer '3' has 6 outputs; the decision leaves it 5"):
        refit(pruned, module, _samples(9), groups, Decision({"1": np.arange(9) > 1, "3": np.arange(7) > 1}))
