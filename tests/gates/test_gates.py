"""A gate keeps a unit at 1, removes it at 0, and its bounds hold in between."""

from __future__ import annotations

import numpy as np
import pytest

from oamip.gates import ExactGate, Gate, ShiftGate, switch
from oamip.program import Program
from oamip.solving import solve

GATES = [pytest.param(ShiftGate(), id="shift"), pytest.param(ExactGate(), id="exact")]


def gated(gate: Gate, m: np.ndarray, value: np.ndarray, low: np.ndarray, high: np.ndarray):
    program = Program()
    keep = program.variables("m", m.size, 0, 1)
    a = program.variables("a", m.size, low, high)
    return gate(a, low, high, keep), {"m": m, "a": value}


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("m", [0.0, 1.0])
def test_ends_are_the_masked_relu(gate: Gate, m: float) -> None:
    rng = np.random.default_rng(0)
    low, high = rng.normal(size=50) - 1, rng.normal(size=50) + 1
    low, high = np.minimum(low, high), np.maximum(low, high)
    value = rng.uniform(low, high)
    pre, point = gated(gate, np.full(50, m), value, low, high)
    # What the encoding leaves for h: max(0, lower) ≤ h ≤ min(high z, upper − low (1 − z)) for some z ≤ cap.
    lower, upper = pre.lower.value(point), pre.upper.value(point)
    cap = np.ones(50) if pre.cap is None else pre.cap.value(point)
    least = np.maximum(0, lower)
    off = np.minimum(0.0, upper - pre.low)
    on = np.where(cap >= 1, np.minimum(pre.high, upper), -np.inf)
    np.testing.assert_allclose(np.maximum(off, on), m * np.maximum(0, value), atol=1e-12)
    np.testing.assert_allclose(least, m * np.maximum(0, value), atol=1e-12)
    np.testing.assert_allclose(gate.activation(value, high, np.full(50, m)), m * np.maximum(0, value), atol=1e-12)


@pytest.mark.parametrize("gate", GATES)
def test_bounds_hold_for_every_gate(gate: Gate) -> None:
    rng = np.random.default_rng(1)
    low = rng.normal(size=200) - 0.5
    high = low + rng.random(200) * 2
    pre, point = gated(gate, rng.integers(0, 2, 200).astype(float), rng.uniform(low, high), low, high)
    for side in (pre.lower, pre.upper):
        value = side.value(point)
        if isinstance(gate, ShiftGate):
            assert (value >= pre.low - 1e-12).all()
        assert (value <= np.maximum(pre.high, 0) + 1e-12).all()


def test_published_gate_keeps_the_intact_interval() -> None:
    pre, _ = gated(ShiftGate(assumed=True), np.ones(1), np.ones(1), np.array([0.5]), np.array([1.5]))
    assert pre.assumed
    assert pre.low[0] == 0.5


@pytest.mark.parametrize("m", [0.0, 1.0])
@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (0.5, 2.0), (-2.0, -0.5)])
@pytest.mark.parametrize("sense", ["minimize", "maximize"])
def test_switch_is_a_product(m: float, low: float, high: float, sense: str) -> None:
    program = Program()
    gate = program.variables("m", 1, m, m)
    a = program.variables("a", 1, 0.25 * low + 0.75 * high, 0.25 * low + 0.75 * high)
    y = switch(program, "y", a, np.array([low]), np.array([high]), gate)
    getattr(program, sense)(y.sum())
    assert solve(program).objective == pytest.approx(m * (0.25 * low + 0.75 * high), abs=1e-7)
