"""What bounds alone, and duals, say of an objective."""

from __future__ import annotations

import numpy as np
import pytest

from oamip.program import Program, StandardForm
from oamip.solving.bounded import bounded, bounded_by


def form(sign: float, unit: float = 1.0) -> StandardForm:
    """``x₀ + x₁ ≥ 3`` (or ≤ −3 for −x), of which the first costs more; without a best value but for the row."""
    program = Program()
    x = program.variables("x", 2, *((0, np.inf) if sign > 0 else (-np.inf, 0)))
    program.variables("free", 1)
    program.add("row", x.sum() >= 3 if sign > 0 else x.sum() <= -3)
    (program.minimize if sign > 0 else program.maximize)((x * [2.0, 1.0]).sum() * unit - 5)
    return program.compile()


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("unit", [1.0, 2.0**-40, 2.0**40])
def test_duals_bound_a_linear_program_by_its_rows(sign: float, unit: float) -> None:
    asked = form(sign, unit)
    assert bounded(asked)
    assert bounded_by(asked, np.array([unit]))
    assert not bounded(asked, -asked.cost)
    assert not bounded_by(asked, np.array([3.0 * unit]))  # reduced costs −1 and −2 of columns without end
    assert not bounded_by(asked, np.array([-unit]))  # a side that the row does not have


def test_reduced_costs_within_the_tolerances_are_none() -> None:
    assert bounded_by(form(1.0), np.array([1.0 + 1e-7]))
    assert not bounded_by(form(1.0), np.array([1.0 + 1e-3]))
