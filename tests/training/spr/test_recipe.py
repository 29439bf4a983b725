"""The whole line, on a residual network: what stays zero, what is counted, what is compared."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from oamip.budget import Budget
from oamip.data import Data, Split
from oamip.errors import BudgetError, InputError
from oamip.learning import Plan
from oamip.pruning.result import Scoring
from oamip.solving import solver_for
from oamip.training.compare import compare
from oamip.training.spr import Recipe, WeightGroups, train_and_shrink

PLAN = Plan(epochs=2, batch=16, learning_rate=0.05)


@pytest.fixture
def data(rng) -> Data:
    y = rng.integers(0, 3, 80)
    x = (rng.normal(size=(80, 2, 6, 6)) + y[:, None, None, None]).astype(np.float32)
    parts = [Split(x[part], y[part]) for part in (slice(0, 40), slice(40, 60), slice(60, 80))]
    return Data(*parts, classes=3)


@pytest.mark.parametrize("coupled", [True, False])
def test_residual_networks_are_trained_small(zoo, data, coupled):
    module = copy.deepcopy(zoo("residual").module).float()
    recipe = Recipe(lam=150.0, coupled=coupled, finetune=2, finetune_rate=0.05)
    result = train_and_shrink(module, data, recipe, PLAN, reference=module)
    counts, small = result.counts, result.module
    assert 0 < counts.zero < counts.groups
    assert counts.removed == result.decision.removed if coupled else counts.removed < counts.zero
    assert f"{counts.zero} of {counts.groups} groups are zero" in str(counts)
    assert f"{counts.removed} are removed, {counts.params[0] - counts.params[1]:,} parameters" in str(counts)
    assert counts.params == tuple(sum(map(torch.numel, one.parameters())) for one in (module, small))
    left = WeightGroups.of(small, zoo("residual").x.float(), coupled=coupled)
    kept_zero = sum(int(zero.sum()) for zero in left.zero())
    if coupled:
        assert counts.params[1] < counts.params[0]
        assert kept_zero == 0
    else:
        assert kept_zero > 0  # filters of a stream that lives on: zero, there, and still zero after fine-tuning
        assert result.history.rows[-1]["zero_groups"] == counts.zero / counts.groups


def test_recipes_refuse_what_they_cannot_do(zoo, data):
    words = ({"penalty": "magic"}, {"descent": "magic"})
    numbers = ({"alpha": 0.0}, {"alpha": 1.0}, {"lam": -1.0}, {"scale": 0.0}, {"finetune": -1}, {"finetune": 1.5})
    numbers += ({"finetune_rate": 0.0}, {"finetune_rate": float("inf")}, {"finetune_rate": float("nan")})
    for wrong in (*words, *numbers):
        with pytest.raises(InputError):
            Recipe(**wrong)
    with pytest.raises(InputError, match="reference network"):
        train_and_shrink(zoo("residual").module, data, Recipe(), PLAN)


def test_a_comparison_counts_parameters(zoo, data):
    reference = copy.deepcopy(zoo("residual").module).float()
    solve = solver_for("matrix", "highs")
    with pytest.raises(BudgetError, match="write params"):
        compare(reference, reference, data, solve, budget=Budget.parse("macs=0.5"))
    report, both = compare(
        reference, reference, data, solve, budget=Budget.parse("params=0.6"), scoring=Scoring("l2"), epochs=0
    )
    assert [str(row) for row in report.rows] == ["reference", "trained small", "l2, refit", "trained small + l2, refit"]
    total, _, alone, together = (row.measured.params for row in report.rows)
    assert alone == together <= 0.6 * total
    assert both is not None
