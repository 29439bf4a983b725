"""Training under a penalty: exact zeros by proximal steps, thresholds after subgradients, removal, fine-tuning."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from oamip.data import Data, Split, load
from oamip.errors import DataError, InputError
from oamip.learning import Descent, Plan, accuracy, fit
from oamip.models import open_model
from oamip.training.spr import SPR, GroupLasso, Held, Regularised, Ridge, WeightGroups, cut_groups, shrink

PLAN = Plan(epochs=6, batch=32, learning_rate=0.1)


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


@pytest.fixture(scope="module")
def reference(digits) -> nn.Module:
    return open_model("digits-mlp", data=digits, epochs=6)


def example(data: Data) -> torch.Tensor:
    return torch.from_numpy(data.train.x[:2])


def fresh(reference: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    module = copy.deepcopy(reference)
    for part in module:
        if isinstance(part, nn.Linear):
            part.reset_parameters()
    return module


def test_proximal_steps_silence_units_that_can_then_be_removed(digits, reference):
    module = fresh(reference)
    penalty = SPR.of(module, example(digits), reference=reference, alpha=0.1)
    method = Regularised(module, penalty, 3.0, momentum=0.9)
    history = fit(module, method, digits, PLAN)
    assert 0.05 < history.rows[-1]["zero_groups"] < 0.95
    assert history.rows[-1]["zero_groups"] == pytest.approx(penalty.groups.silent().mean())
    small, decision = shrink(module, example(digits), penalty.groups, samples=digits.score.x[:16])
    assert decision.removed == penalty.groups.silent().sum()
    assert accuracy(small, digits.test) == accuracy(module, digits.test) > 0.8
    for stack, M in zip(penalty.groups.stacks, penalty.bounds, strict=True):
        assert (stack.read().abs() <= M * (1 + 1e-6)).all()


def test_subgradients_give_no_zeros_and_thresholds_lose_no_more_than_allowed(digits, reference):
    module = fresh(reference)
    penalty = SPR.of(module, example(digits), reference=reference, alpha=0.1)
    fit(module, Regularised(module, penalty, 1.0, proximal=False, momentum=0.9), digits, PLAN)
    assert not penalty.groups.silent().any()
    before, weights = accuracy(module, digits.score), [s.read().detach().clone() for s in penalty.groups.stacks]
    cut = cut_groups(module, penalty.groups, digits.score, lost_by_threshold=0.01, lost_by_groups=0.0)
    assert cut.accuracy[0] == before
    assert accuracy(module, digits.score) == cut.accuracy[2]
    assert cut.accuracy[1] >= before - 0.01
    assert cut.gone > 0
    assert cut.gone == sum(zero.sum() for zero in penalty.groups.zero())
    for stack, W, zero in zip(penalty.groups.stacks, weights, penalty.groups.zero(), strict=True):
        stays = torch.from_numpy(~zero)
        assert torch.equal(stack.read()[stays], W[stays])  # survivors have all their weights back
        rest = (W[~stays].abs() > cut.threshold).double().mean(dim=1)
        assert (rest <= cut.share).all()


def test_a_cut_that_fails_leaves_the_weights_as_they_were(digits, reference):
    module = copy.deepcopy(reference)
    groups = WeightGroups.of(module, example(digits))
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(DataError, match="class labels"):
        cut_groups(module, groups, Split(digits.score.x, None))
    with pytest.raises(DataError):
        cut_groups(module, groups, Split(digits.score.x, np.ones((len(digits.score), 10), np.float32)))
    with pytest.raises(InputError):
        cut_groups(module, groups, digits.score, lost_by_groups=-1.0)
    calls = []

    def interrupt(*_):
        calls.append(0)
        if len(calls) == 3:
            raise KeyboardInterrupt

    handle = module.register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        cut_groups(module, groups, digits.score)
    handle.remove()
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_groups_that_are_zero_stay_zero_in_fine_tuning(zoo, rng):
    # One layer of a residual stream is silent, the others are not, so that gradients do reach it.
    module = copy.deepcopy(zoo("residual").module)
    groups = WeightGroups.of(module, zoo("residual").x, coupled=False)
    silent = next(stack for stack in groups.stacks if stack.name == "blocks.0.conv2")
    silent.write(torch.zeros_like(silent.read()))
    part = Split(rng.normal(size=(60, 2, 6, 6)).astype(np.float32), rng.integers(0, 3, 60))
    data, plan = Data(part, part, part, classes=3), Plan(epochs=1, learning_rate=0.1)
    plain = copy.deepcopy(module)
    fit(plain, Descent(plain, "adam"), data, plan)
    assert plain.blocks[0].norm2.bias.any()
    before = module.blocks[1].conv1.weight.detach().clone()
    fit(module, Held(module, groups, "adam"), data, plan)
    assert not silent.read().any()
    assert not torch.equal(module.blocks[1].conv1.weight, before)


def test_a_regularised_run_goes_on_where_it_was(digits, reference, tmp_path):
    def run(folder, resume, stop=None):
        module = fresh(reference)
        penalty = GroupLasso(WeightGroups.of(module, example(digits)))

        def told(row):
            if row["epoch"] == stop:
                raise KeyboardInterrupt

        method = Regularised(module, penalty, 0.01, momentum=0.9)
        fit(module, method, digits, Plan(3, 32, 0.1), folder=folder, resume=resume, progress=told)
        return module.state_dict()

    whole = run(None, False)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, False, stop=2)
    again = run(tmp_path, True)
    assert all(torch.equal(again[name], value) for name, value in whole.items())


def test_settings_tell_runs_apart(digits, reference):
    module = fresh(reference)
    groups = WeightGroups.of(module, example(digits))
    one = Regularised(module, Ridge(groups), 0.1).settings()
    assert one != Regularised(module, Ridge(groups), 0.2).settings()
    assert one != Regularised(module, GroupLasso(groups), 0.1).settings()
    with pytest.raises(InputError, match="lam"):
        Regularised(module, Ridge(groups), -1.0)
    module[3].requires_grad_(False)
    with pytest.raises(InputError, match="layer 3 is frozen"):
        Regularised(module, Ridge(groups), 0.1)
