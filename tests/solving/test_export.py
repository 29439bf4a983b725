"""Exported files: exact without epigraphs, refined with them."""

from __future__ import annotations

from pathlib import Path

import highspy
import numpy as np
import pytest

from oamip.errors import SolveError
from oamip.program import LogSumExp, Program
from oamip.solving import export, solve


def optimum(path: Path) -> float:
    highs = highspy._Highs()
    highs.setOptionValue("output_flag", False)
    highs.readModel(str(path))
    highs.run()
    return float(highs.getInfo().objective_function_value)


def soft(*, least: float = 1.0) -> Program:
    program = Program("soft")
    keep, loss = program.variables("keep", 5, 0, 1), program.variables("loss", 3)
    scores = (np.random.default_rng(0).normal(size=(12, 5)) @ keep).reshape(3, 4)
    program.epigraph("softmax", LogSumExp(), scores, loss)
    program.add("least", keep.sum() >= least)
    program.minimize(loss.sum())
    return program


def test_a_linear_program_is_written_exactly(tmp_path: Path) -> None:
    program = Program("plain")
    x = program.variables("x", 2, 0, 3, domain="integer")
    program.add("cap", x.sum() <= 4.5)
    program.maximize((x * [2.0, 1.0]).sum() - 1)
    written = export(program, tmp_path / "plain.mps")
    assert (written.cuts, written.gap) == (0, 0.0)
    assert optimum(written.path) == pytest.approx(solve(program).objective)


def test_epigraphs_are_written_as_tangents_and_the_file_says_so(tmp_path: Path) -> None:
    program = soft()
    written = export(program, tmp_path / "soft.mps", header=("seed 0",))
    head = written.path.read_text().splitlines()[:3]
    assert written.cuts > 0
    assert written.gap <= 1e-6
    assert f"{written.cuts} tangents" in head[1]
    assert "softmax" in head[1]
    assert head[2] == "* seed 0"
    assert optimum(written.path) == pytest.approx(solve(program).objective, rel=2e-6)


def test_an_infeasible_program_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(SolveError, match="infeasible"):
        export(soft(least=6.0), tmp_path / "no.mps")
    assert not list(tmp_path.iterdir())
