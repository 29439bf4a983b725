"""The program behind perspective training: its relaxation is the regulariser, whoever solves it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear

from oamip.errors import DataError, InputError
from oamip.formulations import LayerFit, last_features
from oamip.learning import evaluating
from oamip.options import Options
from oamip.pruning import remove
from oamip.solving import solve
from oamip.training.spr.terms import bigm, bigm_prox, spr, spr_prox

GROUPS = np.array([0, 0, 1, 1, 1, 2, 3, 3, -1])
BOUNDS = np.array([1.0, 0.5, 2.0, 0.7])
ALPHA, LAM, EXACT = 0.3, 2.0, Options(gap_relative=1e-8)
PAIRS = [
    *({"backend": backend} for backend in ("matrix", "pyomo", "cvxpy", "pulp")),
    *({"solver": solver} for solver in ("scip", "gurobi", "cplex")),
    {"backend": "cvxpy", "solver": "clarabel", "route": "native"},
]
TERMS = {"perspective": spr, "bigm": bigm}
PROXES = {"perspective": spr_prox, "bigm": bigm_prox}


def regression(seed: int = 0, n: int = 14, outputs: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, GROUPS.size))
    truth = rng.normal(size=(GROUPS.size, outputs)) * (np.isin(GROUPS, [0, 2, -1]))[:, None]
    return x, x @ truth + 0.5 + 0.3 * rng.normal(size=(n, outputs))


def rows_of(group: int) -> np.ndarray:
    return np.flatnonzero(group == GROUPS)


def weights(seed: int, outputs: int) -> np.ndarray:
    """Groups of all lengths, one of them zero."""
    rng = np.random.default_rng(seed)
    scale = np.append(BOUNDS, 1.0)[GROUPS][:, None] * 10.0 ** rng.uniform(-2, 0, 5)[GROUPS][:, None]
    W = scale * rng.uniform(-1, 1, (GROUPS.size, outputs))
    W[rows_of(seed % 4)] = 0
    return W


def shares() -> np.ndarray:
    return np.bincount(GROUPS[GROUPS >= 0]) / np.count_nonzero(GROUPS >= 0)


def penalty(W: np.ndarray, ridge: str, alpha: float = ALPHA) -> float:
    """λ · closed form."""
    values = [
        TERMS[ridge](torch.tensor(W[rows_of(g)].reshape(1, -1)), torch.full((W[rows_of(g)].size,), M).double(), alpha)
        for g, M in enumerate(BOUNDS)
    ]
    return LAM * float(shares() @ [value.item() for value in values])


def squared_loss(x: np.ndarray, y: np.ndarray, W: np.ndarray, b: np.ndarray) -> float:
    return float(((x @ W + b - y) ** 2).sum() / len(x))


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "-".join(pair.values()))
@pytest.mark.parametrize("ridge", ["perspective", "bigm"])
def test_with_fixed_weights_the_relaxation_is_the_closed_form(pair, ridge):
    for seed, outputs, alpha in ((0, 1, ALPHA), (1, 2, ALPHA), (2, 3, ALPHA), (1, 2, 0.01), (3, 2, 0.01)):
        x, y = regression(seed, outputs=outputs)
        W = weights(seed, outputs)
        fit = LayerFit(x, y, GROUPS, BOUNDS, LAM, alpha, ridge=ridge, relaxed=True, weights=W)
        solution = solve(fit.program(), EXACT, **pair)
        assert solution.held == "proven"
        expected = squared_loss(x, y, W, (y - x @ W).mean(axis=0)) + penalty(W, ridge, alpha)
        assert solution.objective == pytest.approx(expected, abs=1e-6)
        assert solution.bound == pytest.approx(expected, abs=1e-6)


def minimum(x: np.ndarray, y: np.ndarray, ridge: str) -> tuple[np.ndarray, float]:
    """By accelerated proximal gradient on loss + closed form (Beck and Teboulle 2009), no program anywhere."""
    centred, target = x - x.mean(axis=0), y - y.mean(axis=0)  # the bias fitted
    step = len(x) / (2 * np.linalg.norm(centred, 2) ** 2)
    W = before = np.zeros((x.shape[1], y.shape[1]))
    for k in range(1000):
        V = W + k / (k + 3) * (W - before)
        V = V - step * 2 / len(x) * centred.T @ (centred @ V - target)
        before, W = W, V.copy()
        for g, (M, share) in enumerate(zip(BOUNDS, shares(), strict=True)):
            v = torch.tensor(V[rows_of(g)].reshape(1, -1))
            w = PROXES[ridge](v, torch.full((v.shape[1],), M).double(), ALPHA, step * LAM * share)
            W[rows_of(g)] = w.numpy().reshape(-1, y.shape[1])
        if k and np.abs(W - before).max() < 1e-13:
            break
    return W, squared_loss(centred, target, W, np.zeros(y.shape[1])) + penalty(W, ridge)


@pytest.mark.parametrize("ridge", ["perspective", "bigm"])
def test_with_free_weights_the_relaxation_is_the_minimum_that_training_finds(ridge):
    x, y = regression(1)
    W, value = minimum(x, y, ridge)
    assert [bool(W[rows_of(g)].any()) for g in range(4)] == [True, False, True, False]
    fit = LayerFit(x, y, GROUPS, BOUNDS, LAM, ALPHA, ridge=ridge, relaxed=True)
    for pair in ({}, {"solver": "gurobi"}, {"backend": "cvxpy", "solver": "clarabel", "route": "native"}):
        solution = solve(fit.program(), EXACT, **pair)
        assert solution.objective == pytest.approx(value, abs=1e-6)
        np.testing.assert_allclose(fit.interpret(solution).weights, W, atol=2e-3)


def brute_force(x: np.ndarray, y: np.ndarray) -> tuple[float, tuple[int, ...]]:
    """All 16 subsets, each a bounded least-squares problem."""
    best = (np.inf, ())
    centred, target = x - x.mean(axis=0), y - y.mean(axis=0)
    for keep in itertools.product((0, 1), repeat=4):
        columns = [j for j, g in enumerate(GROUPS) if g < 0 or keep[g]]
        ridge = [0.0 if GROUPS[j] < 0 else LAM * ALPHA * shares()[GROUPS[j]] for j in columns]
        limit = np.array([np.inf if GROUPS[j] < 0 else BOUNDS[GROUPS[j]] for j in columns])
        A = np.vstack([centred[:, columns] / np.sqrt(len(x)), np.diag(np.sqrt(ridge))])
        value = LAM * (1 - ALPHA) * float(shares() @ keep)
        for output in target.T:
            b = np.concatenate([output / np.sqrt(len(x)), np.zeros(len(columns))])
            value += 2 * lsq_linear(A, b, (-limit, limit), method="bvls", tol=1e-13).cost
        best = min(best, (value, keep))
    return best


@pytest.mark.parametrize("ridge", ["perspective", "bigm"])
def test_with_integers_both_ridges_find_the_best_subset(ridge):
    x, y = regression(1)
    value, keep = brute_force(x, y)
    assert 0 < sum(keep) < 4
    fit = LayerFit(x, y, GROUPS, BOUNDS, LAM, ALPHA, ridge=ridge)
    for solver, gap in (("gurobi", 1e-8), ("highs", 1e-3)):
        solution = solve(fit.program(), Options(gap_relative=gap), solver=solver)
        found = fit.interpret(solution)
        assert solution.objective == pytest.approx(value, rel=2 * gap, abs=1e-6)
        assert tuple(found.keep.astype(int)) == keep
        assert all(found.weights[rows_of(g)].any() == bool(keep[g]) for g in range(4))


def test_the_perspective_relaxation_lies_between_the_big_m_one_and_the_optimum():
    for seed in range(3):
        x, y = regression(seed)
        plain, tight, whole = (
            solve(
                LayerFit(x, y, GROUPS, BOUNDS, LAM, ALPHA, ridge=ridge, relaxed=relaxed).program(),
                EXACT,
                solver="gurobi",
            ).objective
            for ridge, relaxed in (("bigm", True), ("perspective", True), ("perspective", False))
        )
        assert plain < tight - 0.01
        assert tight < whole - 0.01


@pytest.mark.parametrize("loss", ["hinge", "cross_entropy"])
def test_a_hidden_layer_loses_the_neurons_whose_switch_is_off(zoo, loss):
    specimen = zoo("mlp")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6))
    y = specimen.network(x).argmax(axis=1)
    features, numbers, inside = last_features(specimen.groups, x)
    np.testing.assert_array_equal(numbers, np.arange(7))
    assert [group.name for group in inside.groups] == ["2"]
    fit = LayerFit(features, y, numbers, 3.0, 0.4, 0.1, loss=loss, outputs=3)
    solution = solve(fit.program(), Options(gap_relative=1e-3))
    found = fit.interpret(solution)
    decision = found.decision(inside)
    assert 0 < decision.removed < 7
    small = remove(specimen.module, specimen.x, specimen.groups, decision)
    kept = np.flatnonzero(decision.keep["2"])
    with torch.no_grad(), evaluating(small):
        small[4].weight.copy_(torch.from_numpy(found.weights[kept].T))
        small[4].bias.copy_(torch.from_numpy(found.bias))
        outputs = small(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(outputs, features @ found.weights + found.bias, atol=1e-9)
    assert (outputs.argmax(axis=1) == y).mean() > 0.8


def test_impossible_fits_are_refused():
    x, y = regression()
    fit = LayerFit(x, y, GROUPS, BOUNDS, LAM, ALPHA)
    for wrong in (
        {"alpha": 0.0},
        {"alpha": 1.0},
        {"lam": -1.0},
        {"loss": "magic"},
        {"ridge": "magic"},
        {"bounds": 0.0},
    ):
        with pytest.raises(InputError):
            replace(fit, outputs=None, **wrong)
    with pytest.raises(InputError, match="one for each of 4"):
        replace(fit, bounds=[1.0, 2.0])
    with pytest.raises(InputError, match="without a gap"):
        replace(fit, bounds=1.0, groups=np.where(GROUPS == 1, 5, GROUPS))
    with pytest.raises(DataError, match="do not go with"):
        replace(fit, groups=GROUPS[:3])
    with pytest.raises(DataError, match="weights have shape"):
        replace(fit, weights=np.zeros((3, 2)))
    with pytest.raises(DataError):
        replace(fit, y=y[:, 0], loss="hinge", outputs=3)
