"""Names of what clashes."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from oamip.options import Options
from oamip.program import Program, StandardForm
from oamip.solving import solve, solve_form
from oamip.solving.infeasible import clash
from oamip.testing.liars import Liar


def test_only_the_rows_that_clash_are_named() -> None:
    program = Program()
    x = program.variables("x", 4, 0, 1)
    program.add("harmless", x[:2] <= 0.9)
    program.add("much", x.sum() >= 3)
    program.add("idle", x[0] + x[1] <= 2)
    program.add("little", x[1:].sum() <= 1.5)
    program.add("half", x[0] <= 0.5)
    solution = solve(program)
    assert (solution.reason, set(solution.clash)) == ("infeasible", {"much", "little"})


def test_integers_alone_can_clash() -> None:
    program = Program()
    n = program.variables("n", 2, 0, 5, domain="integer")
    program.add("odd", 2 * n.sum() == 5)
    program.add("other", n[0] <= 4)
    assert solve(program).clash == ("odd",)


def test_bounds_alone_are_named() -> None:
    program = Program()
    x = program.variables("x", 3, 0, 1)
    program.restrict("crossing", x[1] >= 2)
    program.minimize(x.sum())
    assert solve(program).clash == ("bounds of x[1]",)
    hollow = Program()
    hollow.variables("n", 1, 0.2, 0.8, domain="integer")
    assert solve(hollow).clash == ("bounds of n[0]",)


def test_integers_between_which_none_lies_are_named_by_block() -> None:
    program = Program()
    program.variables("n", 2, 0, 3, domain="integer")
    form = replace(program.compile(), column_lower=np.full(2, 0.2), column_upper=np.full(2, 0.8))  # as a file may say
    assert solve_form(form).clash == ("bounds of n",)


def test_every_named_set_is_irreducible() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        program = Program()
        x = program.variables("x", 3, -5, 5)
        for number in range(6):
            program.add(f"r{number}", (rng.normal(size=(2, 3)) @ x) >= rng.normal(size=2) + 1.5)
        solution = solve(program)
        if solution.reason != "infeasible":
            continue
        assert solution.clash
        for left_out in (None, *solution.clash):
            part = Program()
            part.variables("x", 3, -5, 5)
            for name in solution.clash:
                if name != left_out:
                    part.rows[name] = program.rows[name]
            assert (solve(part).reason == "infeasible") == (left_out is None)


def test_a_filter_that_runs_out_of_time_names_too_much_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program()
    x = program.variables("x", 3, 0, 1)
    for number in range(12):
        program.add(f"idle{number}", x.sum() <= 4 + number)
    program.add("much", x.sum() >= 2)
    program.add("little", x.sum() <= 1)

    def slowly(form: StandardForm, options: Options) -> tuple[StandardForm, Options]:
        time.sleep(0.05)
        return form, options

    found = clash(program.compile(), Liar(turn=slowly), Options(), seconds=0.35)
    assert not found.complete
    assert {"much", "little"} < set(found.names) < set(program.rows)
    whole = clash(program.compile(), Liar(), Options(), seconds=20.0)
    assert (whole.complete, set(whole.names)) == (True, {"much", "little"})
    monkeypatch.setattr("oamip.solving.second.clash", lambda *_, **__: found)
    assert "may name more row blocks than needed" in solve(program).warnings[-1]
    monkeypatch.setattr("oamip.solving.second.clash", lambda *_, **__: whole)
    assert solve(program).warnings == ()
