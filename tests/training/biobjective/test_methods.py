"""Objectives, update rules, both methods and pruning while they train."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from oamip.data import Data, as_data, load
from oamip.errors import InputError
from oamip.learning import Descent, Method, Plan, accuracy, fit
from oamip.training.biobjective.direction import least_norm
from oamip.training.biobjective.methods import MultiGradient, WeightedSum
from oamip.training.biobjective.objectives import Objectives
from oamip.training.biobjective.zeroing import Zeroing

OFF = Zeroing(None)


def small() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 12), nn.ReLU(), nn.Linear(12, 10)]
    return nn.Sequential(*layers)


def digits() -> Data:
    return load("digits")


# ── objectives ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_objectives_are_loss_and_norm_of_dense_kernels_with_the_ridge_in_both() -> None:
    module, data = small().double(), digits()
    objectives = Objectives(module, ridge=1e-2)
    assert objectives.layers == ("3", "5")
    f1, f2, right = objectives.measure(data.score, batch=7)
    x, y = torch.from_numpy(data.score.x).double(), torch.from_numpy(data.score.y)
    ridge = 1e-2 * float((module[0].weight.detach() ** 2).sum())
    assert f1 == pytest.approx(functional.cross_entropy(module(x), y).item() + ridge, rel=1e-9)
    kernels = np.concatenate([module[i].weight.detach().numpy().ravel() for i in (3, 5)])
    assert f2 == pytest.approx(np.abs(kernels).sum() + ridge, rel=1e-9)
    assert right == pytest.approx(accuracy(module, data.score))
    assert (objectives.size, objectives.nonzeros()) == (1848, np.count_nonzero(kernels))
    assert module.training


def test_gradients_are_those_of_autograd() -> None:
    module = small().double()
    objectives = Objectives(module, include=("0", "5"), ridge=0.0)
    ridged = Objectives(module, ridge=0.3)
    x, y = torch.randn(6, 1, 8, 8, dtype=torch.float64), torch.arange(6)
    parameters = list(module.parameters())
    loss = functional.cross_entropy(module(x), y)
    for each, penalty in ((objectives, 0.0), (ridged, 0.3 * (module[0].weight ** 2).sum())):
        norm = sum(module.get_submodule(path).weight.abs().sum() for path in each.layers)
        module.zero_grad()
        loss.backward(retain_graph=True)
        found = [[g.clone() for g in pair] for pair in each.gradients(parameters)]
        for column, value in ((0, loss + penalty), (1, norm + penalty)):
            exact = torch.autograd.grad(value, parameters, retain_graph=True, materialize_grads=True)
            for pair, wanted in zip(found, exact, strict=True):
                torch.testing.assert_close(pair[column], wanted)


def test_patterns_choose_layers_and_say_what_there_is() -> None:
    module = small()
    assert Objectives(module, exclude=("5",)).layers == ("3",)
    assert Objectives(module, include=("*",)).layers == ("0", "3", "5")
    for wrong in ({"include": ("fc*",)}, {"exclude": ("3", "5")}, {"ridge": -1.0}):
        with pytest.raises(InputError, match=r"0, 3, 5|ridge"):
            Objectives(module, **wrong)
    with pytest.raises(InputError, match="no kernel"):
        Objectives(nn.Conv2d(1, 1, 1))
    shared = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    shared[1].weight = shared[0].weight
    assert Objectives(shared).size == 9


# ── update rules ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Penalised(Descent):
    """The weighted sum by autograd and torch's own optimiser: the independent road."""

    def __init__(self, module: nn.Module, weights: tuple[float, float], optimiser: str, **options: float) -> None:
        super().__init__(module, optimiser, **options)
        self.weights = weights

    def step(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, float]:
        self.optimiser.zero_grad()
        loss = functional.cross_entropy(self.module(x), y)
        norm = sum(p.weight.abs().sum() for p in self.module.modules() if isinstance(p, nn.Linear))
        (self.weights[0] * loss + self.weights[1] * norm).backward()
        self.optimiser.step()
        return {"loss": loss.item()}


OPTIONS = {"adam": {}, "rmsprop": {"alpha": 0.9}, "sgd": {"momentum": 0.9}}


@pytest.mark.parametrize("optimiser", ["adam", "rmsprop", "sgd"])
def test_weighted_sum_is_torchs_optimiser_on_the_weighted_loss(optimiser: str) -> None:
    module, data, weights = small().double(), digits(), (0.9, 0.01)
    other = copy.deepcopy(module)
    plan = Plan(epochs=1, batch=64, learning_rate=2e-3)
    fit(module, WeightedSum(Objectives(module), weights, optimiser=optimiser, zeroing=OFF), data, plan)
    fit(other, Penalised(other, weights, optimiser, **OPTIONS[optimiser]), data, plan)
    for ours, theirs in zip(module.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("optimiser", ["adam", "rmsprop"])
def test_separate_moments_add_the_steps_that_torch_takes_for_each_objective(optimiser: str) -> None:
    """Given gradients that do not depend on the weights, the step for two is the weighted sum of the single steps."""
    torch.manual_seed(1)
    c, rate = (0.7, 0.3), 1e-2
    gradients = torch.randn(20, 2, 5, dtype=torch.float64) * torch.tensor([1.0, 1e3]).view(1, 2, 1)
    start = torch.randn(5, dtype=torch.float64)
    together = nn.Parameter(start.clone())
    from oamip.training.biobjective.rules import RULES

    rule = RULES[optimiser]([together], 2)
    singles = [nn.Parameter(start.clone()) for _ in range(2)]
    kinds = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}
    theirs = [kinds[optimiser]([p], lr=rate, **OPTIONS[optimiser]) for p in singles]
    for pair in gradients:
        rule.step([pair], c, rate)
        for single, gradient, optim in zip(singles, pair, theirs, strict=True):
            single.grad = gradient
            optim.step()
    wanted = sum(weight * (single - start) for weight, single in zip(c, singles, strict=True))
    torch.testing.assert_close(together - start, wanted)


def test_multi_gradient_steps_along_the_shortest_combination_of_the_batch() -> None:
    module = small().double()
    objectives = Objectives(module)
    method = MultiGradient(objectives, optimiser="sgd", zeroing=OFF)
    method.set_rate(1e-3)
    x, y = torch.randn(8, 1, 8, 8, dtype=torch.float64), torch.arange(8)
    before = [p.detach().clone() for p in module.parameters()]
    first = torch.autograd.grad(functional.cross_entropy(module(x), y), list(module.parameters()))
    second = [torch.sign(p) if i in (2, 4) else torch.zeros_like(p) for i, p in enumerate(before)]
    c1, c2 = least_norm(zip(first, second, strict=True))
    assert 0 < c2 < 1
    told = method.step(x, y)
    assert told["c2"] == pytest.approx(c2)
    for p, old, g1, g2 in zip(module.parameters(), before, first, second, strict=True):
        torch.testing.assert_close(p.detach(), old - 1e-3 * (c1 * g1 + c2 * g2))


def test_a_small_multi_gradient_step_decreases_both_objectives() -> None:
    module, data = small().double(), digits()
    objectives = Objectives(module)
    part = data.train.take(np.arange(200))
    x, y = torch.from_numpy(part.x).double(), torch.from_numpy(part.y)
    method = MultiGradient(objectives, optimiser="sgd", zeroing=OFF)
    method.set_rate(1e-3)
    last = objectives.measure(part)[:2]
    method.step(x, y)
    now = objectives.measure(part)[:2]
    assert now[0] < last[0]
    assert now[1] < last[1]


@pytest.mark.parametrize("optimiser", ["adam", "rmsprop", "sgd"])
def test_both_methods_shrink_the_norm_and_keep_the_accuracy(optimiser: str) -> None:
    data = digits()
    plan = Plan(epochs=7, batch=32, learning_rate=0.06 if optimiser == "sgd" else 3e-3)
    plain, summed, multi = small(), small(), small()
    fit(plain, WeightedSum(Objectives(plain), (1.0, 0.0), optimiser=optimiser, zeroing=OFF), data, plan)
    fit(summed, WeightedSum(Objectives(summed), (0.999, 0.001), optimiser=optimiser), data, plan)
    history = fit(multi, MultiGradient(Objectives(multi), optimiser=optimiser, moments="joint"), data, plan)
    norm = Objectives(plain).norm()
    assert Objectives(summed).norm() < 0.7 * norm
    assert Objectives(multi).norm() < norm
    for module in (plain, summed, multi):
        assert accuracy(module, data.score) > 0.8
    assert all(0 < row["c2"] < 1 for row in history.rows)


# ── pruning while training ───────────────────────────────────────────────────────────────────────────────────────────


def dense(module: nn.Module) -> list[torch.Tensor]:
    return [t.detach() for part in module.modules() if isinstance(part, nn.Linear) for t in (part.weight, part.bias)]


@pytest.mark.parametrize("mask", [False, True])
def test_after_every_batch_small_dense_parameters_are_zero_and_others_are_untouched(mask: bool) -> None:
    module = small()
    twin = copy.deepcopy(module)
    ours = WeightedSum(Objectives(module), (0.99, 0.01), zeroing=Zeroing(0.02, mask), optimiser="sgd")
    plain = WeightedSum(Objectives(twin), (0.99, 0.01), zeroing=OFF, optimiser="sgd")
    x, y = torch.randn(8, 1, 8, 8), torch.arange(8)
    returned = 0
    for _ in range(8):
        with torch.no_grad():  # what is pruned before the first batch, by hand
            for t in dense(twin):
                t[t.abs() <= 0.02] = 0.0
        zero = [t == 0 for t in dense(twin)]
        for method in (ours, plain):
            method.set_rate(0.3)
            method.step(x, y)
        for here, there, was in zip(dense(module), dense(twin), zero, strict=True):
            there[there.abs() <= 0.02] = 0.0
            returned += int((there[was] != 0).sum())
            if mask:
                there[was] = 0.0
            torch.testing.assert_close(here, there, rtol=0, atol=0)
            assert not ((here != 0) & (here.abs() <= 0.02)).any()
        torch.testing.assert_close(module[0].weight, twin[0].weight, rtol=0, atol=0)
    assert returned > 0  # so that the two rules differ here


def test_with_a_mask_zeros_only_become_more() -> None:
    module = small()
    method = MultiGradient(Objectives(module), optimiser="adam", zeroing=Zeroing(0.01, mask=True))
    zeros: list[torch.Tensor] = [t == 0 for t in dense(module)]
    for seed in range(15):
        torch.manual_seed(seed)
        method.set_rate(5e-3)
        method.step(torch.randn(8, 1, 8, 8), torch.arange(8))
        assert all(bool((t == 0)[z].all()) for t, z in zip(dense(module), zeros, strict=True))
        zeros = [t == 0 for t in dense(module)]
    assert sum(int(z.sum()) for z in zeros) > 100


def test_wrong_settings_are_refused() -> None:
    objectives = Objectives(small())
    wrong: list[Callable[[], object]] = [
        lambda: Zeroing(-1.0),
        lambda: Zeroing(None, mask=True),
        lambda: WeightedSum(objectives, (-0.1, 1.1)),
        lambda: WeightedSum(objectives, (0.0, 0.0)),
        lambda: WeightedSum(objectives, (1.0, 0.0), optimiser="lion"),
        lambda: MultiGradient(objectives, moments="both"),  # type: ignore[arg-type]
    ]
    for call in wrong:
        with pytest.raises(InputError):
            call()
    frozen = small()
    frozen[3].requires_grad_(False)
    with pytest.raises(InputError, match="unfreeze"):
        MultiGradient(Objectives(frozen))


# ── going on after a kill ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("kind", ["sum", "multi"])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path: Path, kind: str, mask: bool) -> None:
    data = as_data((digits().train.x, digits().train.y))

    def method(module: nn.Module) -> Method:
        objectives, zeroing = Objectives(module), Zeroing(3e-3, mask)
        return WeightedSum(objectives, (0.99, 0.01), moments="separate", zeroing=zeroing) if kind == "sum" else (
            MultiGradient(objectives, zeroing=zeroing)
        )  # fmt: skip

    plan = Plan(epochs=4, batch=32, learning_rate=3e-3)
    whole = small()
    history = fit(whole, method(whole), data, plan)

    class Stop(Exception):
        pass

    def stop(row: object) -> None:
        if row["epoch"] == 2:  # type: ignore[index]
            raise Stop

    cut = small()
    with pytest.raises(Stop):
        fit(cut, method(cut), data, plan, folder=tmp_path, progress=stop)
    again = small()
    rest = fit(again, method(again), data, plan, folder=tmp_path, resume=True)
    assert rest.rows == history.rows
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
