"""Programs that several files solve."""

from __future__ import annotations

import numpy as np
import pytest

from oamip.program import Program


@pytest.fixture
def knapsack() -> Program:
    """Twenty rows and 120 binaries: a point at once, a proof only after minutes."""
    rng = np.random.default_rng(1)
    weights = rng.integers(1, 1000, (20, 120))
    program = Program("knapsack")
    take = program.variables("take", 120, domain="binary")
    program.add("capacity", weights @ take <= weights.sum(axis=1) / 2)
    program.maximize((take * (weights.mean(axis=0) + rng.integers(0, 500, 120))).sum())
    return program


@pytest.fixture
def split() -> Program:
    """A market split of 5 × 40: nothing finds a point in seconds."""
    rng = np.random.default_rng(4)
    parts = rng.integers(0, 100, (5, 40))
    program = Program("split")
    side = program.variables("side", 40, domain="binary")
    program.add("balance", parts @ side == parts.sum(axis=1) // 2)
    program.minimize(side.sum())
    return program
