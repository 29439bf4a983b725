"""The common descent direction, against a bounded least-squares solver and against torchjd."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear
from torchjd.aggregation import MGDA

from oamip.training.biobjective.direction import least_norm


def pairs() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Random gradients of many lengths and scales: at all angles, opposite, nearly equal, one of them zero."""
    generator = torch.Generator().manual_seed(0)
    for number in range(300):
        n = int(torch.randint(1, 40, (), generator=generator))
        g1, g2 = torch.randn(2, n, generator=generator, dtype=torch.float64)
        scales = 10.0 ** torch.randint(-8, 9, (2,), generator=generator)
        kind = number % 5
        if kind == 1:
            g2 = -g1 * torch.rand((), generator=generator)
        elif kind == 2:
            g2, scales = g1 + 1e-5 * g2, scales[:1].repeat(2)
        elif kind == 3:
            g2 = torch.sign(g2)
        elif kind == 4 and number % 3 == 0:
            g1 = torch.zeros(n, dtype=torch.float64)
        yield g1 * scales[0], g2 * scales[1]


def direction(g1: torch.Tensor, g2: torch.Tensor) -> torch.Tensor:
    c1, c2 = least_norm([(g1, g2)])
    assert 0 <= c1 <= 1
    assert c1 + c2 == 1
    return c1 * g1 + c2 * g2


def test_direction_is_the_shortest_combination() -> None:
    """``min ‖g2 + c (g1 − g2)‖`` over 0 ≤ c ≤ 1, by scipy's bounded least squares."""
    for g1, g2 in pairs():
        size = float(max(g1.norm(), g2.norm()))
        found = lsq_linear((g1 - g2).numpy()[:, None] / size, -g2.numpy() / size, bounds=(0, 1), tol=1e-14).x[0]
        shortest = float((found * g1 + (1 - found) * g2).norm())
        assert float(direction(g1, g2).norm()) <= shortest * (1 + 1e-9) + 1e-15 * size


def test_direction_is_that_of_torchjd() -> None:
    for g1, g2 in pairs():
        size = float(max(g1.norm(), g2.norm()))
        theirs = MGDA(epsilon=1e-12)(torch.stack([g1, g2]) / size) * size
        torch.testing.assert_close(direction(g1, g2), theirs, rtol=1e-6, atol=1e-7 * size)


def test_direction_descends_on_both_objectives() -> None:
    for g1, g2 in pairs():
        d = direction(g1, g2)
        size = float(max(g1.norm(), g2.norm()) ** 2)
        for gradient in (g1, g2):
            assert float(d @ gradient) >= float(d @ d) - 1e-14 * size


def test_direction_of_many_parameters_is_that_of_one_long_one() -> None:
    for g1, g2 in pairs():
        cut = len(g1) // 2
        whole = least_norm([(g1, g2)])
        assert least_norm([(g1[:cut], g2[:cut]), (g1[cut:], g2[cut:])]) == pytest.approx(whole, rel=1e-9, abs=1e-15)


def test_a_weight_too_small_to_be_what_is_left_of_the_other_keeps_its_digits() -> None:
    g1, g2 = torch.tensor([1.0, 1.0], dtype=torch.float64), torch.tensor([1e20, -1.0], dtype=torch.float64)
    for swapped in (False, True):
        c = least_norm([(g2, g1)] if swapped else [(g1, g2)])[0 if swapped else 1]
        assert c == 0.0  # g1 alone is shorter
        c = least_norm([(g2, -g1)] if swapped else [(-g1, g2)])[0 if swapped else 1]
        assert c == pytest.approx(1e-20, rel=1e-9, abs=0)


def test_equal_gradients_count_as_the_first_and_single_precision_loses_nothing() -> None:
    g = torch.tensor([1.0, 2.0])
    assert least_norm([(g, g.clone())]) == (1.0, 0.0)
    assert least_norm([(torch.zeros(3), torch.zeros(3))]) == (1.0, 0.0)
    rng = np.random.default_rng(0)
    g1, g2 = torch.from_numpy(rng.normal(size=(2, 50_000)).astype("float32"))
    for scale in (1e-25, 1.0, 1e25):  # squares of single precision would vanish or overflow
        exact = least_norm([(g1.double(), g2.double())])
        assert least_norm([(g1 * scale, g2 * scale)]) == pytest.approx(exact, rel=1e-6)
