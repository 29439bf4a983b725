"""Every feasible point of the big-M rows is a true ReLU or a true maximum."""

from __future__ import annotations

import numpy as np
import pytest

from oamip.encodings import BigM, find_encoding
from oamip.errors import InputError
from oamip.gates import plain
from oamip.program import Program, constant
from oamip.solving import solve


@pytest.mark.parametrize("sense", ["min", "max"])
def test_relu_has_only_one_value(sense: str) -> None:
    rng = np.random.default_rng(0)
    low, high = -rng.random(40) - 0.1, rng.random(40) + 0.1
    value = rng.uniform(low, high)
    value[:3] = (low[0], high[1], 0.0)
    program = Program()
    a = program.variables("a", 40, value, value)
    h = BigM().relu(program, "unit", plain(a, low, high))
    (program.minimize if sense == "min" else program.maximize)(h.sum())
    np.testing.assert_allclose(solve(program).value(h), np.maximum(0, value), atol=1e-7)


def test_relaxed_relu_lies_between_the_relu_and_its_chord() -> None:
    low, high = np.full(21, -2.0), np.full(21, 1.0)
    value = np.linspace(-2, 1, 21)
    ends = []
    for sense in ("minimize", "maximize"):
        program = Program()
        h = BigM(relaxed=True).relu(program, "unit", plain(program.variables("a", 21, value, value), low, high))
        getattr(program, sense)(h.sum())
        assert all(block.domain == "continuous" for block in program.blocks.values())
        ends.append(solve(program).value(h))
    np.testing.assert_allclose(ends[0], np.maximum(0, value), atol=1e-7)
    np.testing.assert_allclose(ends[1], (value + 2) / 3, atol=1e-7)


@pytest.mark.parametrize("sense", ["minimize", "maximize"])
@pytest.mark.parametrize("seed", range(3))
def test_maximum_has_only_one_value(sense: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    starts = np.array([0, 2, 6, 9])
    low = rng.normal(size=9)
    high = low + rng.random(9)
    value = rng.uniform(low, high)
    program = Program()
    a = program.variables("a", 9, value, value)
    h = BigM().max(program, "pool", a, low, high, starts)
    getattr(program, sense)(h.sum())
    np.testing.assert_allclose(solve(program).value(h), np.maximum.reduceat(value, starts[:-1]), atol=1e-7)


def test_constants_go_through_as_well() -> None:
    program = Program()
    h = BigM().max(program, "pool", constant([1.0, 3.0, 2.0]), np.zeros(3), np.full(3, 4.0), np.array([0, 3]))
    program.minimize(h.sum())
    assert solve(program).objective == pytest.approx(3)


def test_encodings_are_found_by_name() -> None:
    assert find_encoding("bigm") == BigM()
    assert find_encoding(BigM(relaxed=True)).exact is False
    with pytest.raises(InputError, match="no encoding 'magic'; there are bigm"):
        find_encoding("magic")
