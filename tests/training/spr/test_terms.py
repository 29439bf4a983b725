"""The perspective term and its proximal map, against numeric minimisation, differences, a conic solver, and by hand."""

from __future__ import annotations

import math

import cvxpy as cp
import numpy as np
import pytest
import torch

from oamip.training.spr.terms import bigm, bigm_prox, lasso_prox, spr, spr_prox

VECTORS = [
    ((0.3, -0.4), 0.3, 1.0, 0.4675),
    ((0.3, -0.4), 0.3, 2.0, 0.4582575695),
    ((0.3, -0.4), 0.9, 1.0, 0.325),
    ((0.3, -0.4), 0.3, 0.45, 0.7065972222),
    ((0.1, 0.1, 0.1, 0.1), 0.01, 1.0, 0.103),
    ((0.05, 0.0, 0.0), 0.5, 10.0, 0.05),
    ((0.6, 0.8), 0.5, 1.0, 1.0),
    ((0.0, 0.0, 0.0), 0.3, 1.0, 0.0),
]


def term(W, M, alpha: float) -> np.ndarray:
    return spr(torch.as_tensor(W), torch.as_tensor(M), alpha).numpy()


def cases(n: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, float]:
    """Groups of very different lengths inside the bounds of one draw, and its alpha."""
    rng = np.random.default_rng(seed)
    M = 10.0 ** rng.uniform(-1, 1, k)
    directions = rng.uniform(-1, 1, (n, k)) ** rng.choice([1, 3], (n, 1))
    W = directions * M * 10.0 ** rng.uniform(-2, 0, (n, 1))
    return W, M, float(rng.choice([0.003, 0.05, 0.3, 0.5, 0.9]))


def pieces(W: np.ndarray, M: np.ndarray, alpha: float) -> np.ndarray:
    """0 linear by the norm, 1 by the largest weight, 2 saturated."""
    largest = (np.abs(W) / M).max(axis=1)
    norm = math.sqrt(alpha / (1 - alpha)) * np.linalg.norm(W, axis=1)
    return np.where(np.maximum(largest, norm) >= 1, 2, np.where(largest > norm, 1, 0))


# ── value and gradient ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("w", "alpha", "M", "z"), VECTORS)
def test_values_that_were_worked_out_by_hand(w, alpha, M, z):
    assert term(np.array([w]), np.full(len(w), M), alpha)[0] == pytest.approx(z, rel=1e-9)


def test_closed_form_is_the_minimum_over_the_switch():
    total, seen = 0, set()
    for seed in range(20):
        W, M, alpha = cases(500, 1 + seed % 6, seed)
        square, low = (W**2).sum(axis=1), (np.abs(W) / M).max(axis=1)
        a, b = low.copy(), np.ones(len(W))
        for _ in range(200):  # golden section on the convex function of y
            inner = (math.sqrt(5) - 1) / 2
            left, right = b - inner * (b - a), a + inner * (b - a)
            better = alpha * square / left + (1 - alpha) * left < alpha * square / right + (1 - alpha) * right
            a, b = np.where(better, a, left), np.where(better, right, b)
        ends = [alpha * square / y + (1 - alpha) * y for y in (a, low, np.ones(len(W)))]
        np.testing.assert_allclose(term(W, M, alpha), np.min(ends, axis=0), rtol=1e-12)
        total += len(W)
        seen |= set(pieces(W, M, alpha))
    assert total == 10_000
    assert seen == {0, 1, 2}


def test_gradients_are_central_differences_on_every_piece():
    seen = np.zeros(3, dtype=int)
    for seed in range(12):
        W, M, alpha = cases(120, 4, seed)
        X = torch.tensor(W, requires_grad=True)
        spr(X, torch.tensor(M), alpha).sum().backward()
        h = 1e-6 * np.abs(W).max(axis=1)
        kind = pieces(W, M, alpha)
        smooth = np.ones(len(W), dtype=bool)
        numeric = np.empty_like(W)
        for j in range(W.shape[1]):
            up, down = W.copy(), W.copy()
            up[:, j] += h
            down[:, j] -= h
            numeric[:, j] = (term(up, M, alpha) - term(down, M, alpha)) / (2 * h)
            smooth &= (pieces(up, M, alpha) == kind) & (pieces(down, M, alpha) == kind)
            smooth &= (np.abs(up) / M).argmax(axis=1) == (np.abs(down) / M).argmax(axis=1)
        np.testing.assert_allclose(X.grad.numpy()[smooth], numeric[smooth], rtol=2e-6, atol=1e-7)
        seen += np.bincount(kind[smooth], minlength=3)
    assert seen.min() > 50


def test_a_group_of_zeros_has_gradient_zero():
    X = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    spr(X, torch.ones(3, dtype=torch.float64), 0.2).sum().backward()
    assert torch.equal(X.grad, torch.zeros(2, 3, dtype=torch.float64))


def test_convex_inside_the_bounds_and_not_outside():
    rng = np.random.default_rng(0)
    broken = 0
    for seed in range(10):
        W, M, alpha = cases(2000, 3, seed)
        U, share = rng.permutation(W), rng.uniform(0, 1, (2000, 1))

        def excess(scale, W=W, U=U, share=share, M=M, alpha=alpha):
            middle = term(scale * (share * W + (1 - share) * U), M, alpha)
            chord = share[:, 0] * term(scale * W, M, alpha) + (1 - share[:, 0]) * term(scale * U, M, alpha)
            return middle - chord

        assert excess(1.0).max() <= 1e-12
        broken += int((excess(3.0) > 1e-9).sum())
    assert broken > 0


def test_never_below_the_big_m_relaxation_and_never_above_ridge_and_charge():
    for seed in range(5):
        W, M, alpha = cases(500, 4, seed)
        z, plain = term(W, M, alpha), bigm(torch.tensor(W), torch.tensor(M), alpha).numpy()
        assert (z >= plain - 1e-12).all()
        assert (z <= alpha * (W**2).sum(axis=1) + 1 - alpha + 1e-12).all()
        assert (z > plain + 1e-3).any()


# ── proximal maps ────────────────────────────────────────────────────────────────────────────────────────────────────


def conic(v: np.ndarray, M: np.ndarray, alpha: float, t: float, *, perspective: bool) -> np.ndarray:
    """The proximal map as a program in (w, y), by Clarabel."""
    w, y = cp.Variable(len(v)), cp.Variable()
    ridge = cp.quad_over_lin(w, y) if perspective else cp.sum_squares(w)
    limits = [cp.abs(w) <= M * y] if np.isfinite(M).all() else []
    objective = 0.5 * cp.sum_squares(w - v) + t * (alpha * ridge + (1 - alpha) * y)
    cp.Problem(cp.Minimize(objective), [*limits, y <= 1, y >= 0]).solve(solver=cp.CLARABEL)
    return w.value


@pytest.mark.parametrize("perspective", [True, False])
def test_proximal_maps_solve_the_conic_program(perspective, rng):
    zeros = 0
    for trial in range(25):
        k = int(rng.integers(1, 5))
        M, t, alpha = rng.uniform(0.2, 2, k), 10 ** rng.uniform(-1.5, 1), float(rng.uniform(0.01, 0.95))
        if perspective and trial % 5 == 0:
            M = np.full(k, np.inf)
        v = rng.normal(size=k)
        prox = spr_prox if perspective else bigm_prox
        w = prox(torch.tensor(v[None]), torch.tensor(M), alpha, t).numpy()[0]
        np.testing.assert_allclose(w, conic(v, M, alpha, t, perspective=perspective), atol=2e-4)
        zeros += not w.any()
    assert 2 < zeros < 20


def test_no_neighbour_of_the_proximal_point_is_better(rng):
    for seed in range(6):
        V, M, alpha = cases(300, 5, seed)
        V = 3 * V  # also from outside the bounds
        for t in (1e-6, 0.01, 1.0):
            W = spr_prox(torch.tensor(V), torch.tensor(M), alpha, t).numpy()
            assert (np.abs(W) <= M * (1 + 1e-15)).all()

            def value(W, V=V, M=M, alpha=alpha, t=t):
                return 0.5 * ((W - V) ** 2).sum(axis=1) + t * term(W, M, alpha)

            best = value(W)
            for scale in (1e-6, 1e-3, 0.1):
                other = np.clip(W + scale * M * rng.normal(size=W.shape), -M, M)
                assert (value(other) >= best * (1 - 1e-13)).all()
                assert (value(W * (1 - scale)) >= best * (1 - 1e-13)).all()
            assert (value(np.zeros_like(W)) >= best * (1 - 1e-13)).all()


def test_groups_are_zero_exactly_where_the_switch_pays_more_than_the_weights_are_worth():
    # Without bounds the rule is ‖v‖ ≤ 2t√(α(1−α)), and beyond it the shrinkage of a group lasso, then that of a ridge.
    alpha, t = 0.2, 0.5
    force = 2 * t * math.sqrt(alpha * (1 - alpha))
    lengths = np.array([0.0, 0.5 * force, force * (1 - 1e-12), force * (1 + 1e-9), 1.0, 50.0])
    V = torch.tensor(lengths[:, None] * np.array([[0.6, -0.8]]))
    W = spr_prox(V, torch.full((2,), math.inf, dtype=torch.float64), alpha, t).numpy()
    assert not W[:3].any()
    assert W[3].any()
    np.testing.assert_allclose(W[4], V[4].numpy() * (1 - force), rtol=1e-14)
    np.testing.assert_allclose(W[5], V[5].numpy() / (1 + 2 * t * alpha), rtol=1e-14)
    np.testing.assert_allclose(lasso_prox(V, force).numpy()[:5], W[:5], atol=1e-15)


def test_without_a_step_only_the_bounds_act():
    V, M = torch.tensor([[0.5, -3.0]], dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    assert spr_prox(V, M, 0.3, 0.0).tolist() == [[0.5, -1.0]]
