"""Slips of callers are told in their own words, and wrong points are never cut to fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oamip.errors import InputError
from oamip.options import Options
from oamip.program import Program, SumSquares
from oamip.solving import solve
from oamip.solving.drivers.highs import HighsDriver
from oamip.testing.liars import Liar


@pytest.fixture
def program() -> Program:
    built = Program()
    x = built.variables("x", 3, 0, 4, domain="integer")
    built.add("sum", x.sum() <= 7)
    built.maximize((x * [1.0, 2.0, 3.0]).sum())
    return built


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"options": {"time_limit": 3}}, "options must be Options"),
        ({"solver": None}, "solver must be a name"),
        ({"solver": HighsDriver}, "solver must be a name such as 'highs', or a driver object"),
        ({"solver": 3}, "solver must be a name"),
        ({"program": "model.lp"}, "solve takes a Program, not str"),
    ],
)
def test_what_cannot_be_meant_is_told(program: Program, arguments: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"program": program, "options": None, "solver": "highs", **arguments}
    with pytest.raises(InputError, match=message):
        solve(given["program"], given["options"], solver=given["solver"])


def test_the_folder_of_a_log_is_made(program: Program, tmp_path: Path) -> None:
    solve(program, Options(log_file=tmp_path / "deep" / "run.log"))
    assert "HiGHS" in (tmp_path / "deep" / "run.log").read_text()


def test_a_point_that_is_too_long_is_refused_and_not_cut(program: Program) -> None:
    longer = Liar(lambda _form, _, claim: replace(claim, x=np.concatenate([claim.x, np.zeros(96)])))
    solution = solve(program, solver=longer)
    assert (solution.reason, solution.held) == ("error", "none")
    assert "the shape of the point, (99,) for 3 columns" in solution.warnings[-1]


def test_the_gap_that_stops_is_the_gap_that_is_told(program: Program) -> None:
    short = Liar(lambda _form, _, claim: replace(claim, x=np.array([0.0, 3.0, 4.0]), bound=20.0))
    solution = solve(program, Options(gap_relative=0.101), solver=short)
    assert solution.gap == pytest.approx(0.1)
    assert (solution.reason, solution.held) == ("gap_limit", "proven")


def test_bounds_that_are_huge_on_one_side_lose_no_rows() -> None:
    program = Program()
    x = program.variables("x", 1, -3, 1e20)
    program.restrict("least", x >= -1)
    program.minimize(x.sum())
    assert solve(program).objective == -1.0


def test_infeasible_is_told_where_the_second_solver_cannot_be_asked() -> None:
    pytest.importorskip("pyscipopt")
    program = Program()
    on, x = program.variables("on", 1, domain="binary"), program.variables("x", 1)
    program.indicator("far", on, x >= 1)
    program.add("never", on >= 2)
    program.minimize(x.sum() + on.sum())
    solution = solve(program, solver="scip")
    assert (solution.reason, solution.held) == ("infeasible", "none")
    assert "highs could not be asked" in solution.warnings[-1]


def test_a_start_that_tangents_cannot_take_is_a_warning(program: Program) -> None:
    cost = program.variables("cost", 1)
    program.epigraph("square", SumSquares(), program.blocks["x"].reshape(1, 3), cost)
    program.minimize(cost.sum() - program.blocks["x"].sum())
    solution = solve(program, Options(start=np.array([1.0, np.nan, 0.0, 9.0])))
    assert solution.held == "proven"
    assert any(text.startswith("option start") for text in solution.warnings)
