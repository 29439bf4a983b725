"""The page on two objectives, and the benchmark behind its table, run as they stand."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def test_the_page_runs_as_it_stands(run_page: Callable[[str], int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_page("biobjective.md") == 3
    assert "knee: λ2" in capsys.readouterr().out


def test_the_benchmark_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--data", "digits", "--solves", "3", "--search-epochs", "2", "--epochs", "3", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["biobjective.py", *flags])
    runpy.run_path(str(ROOT / "benchmarks/biobjective.py"), run_name="__main__")
    out = capsys.readouterr().out
    assert "| point | λ2 |" in out
    assert "| SMGD |" in out
    assert (tmp_path / "front.svg").exists()
