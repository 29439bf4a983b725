"""The page on training runs as it stands, and so does the benchmark behind its tables."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def test_the_page_runs_as_it_stands(run_page: Callable[[str], int]) -> None:
    assert run_page("training.md") == 3


@pytest.mark.slow
def test_the_benchmark_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["spr.py", "grid", "--epochs", "1"])
    runpy.run_path(str(ROOT / "benchmarks/spr.py"), run_name="__main__")
    out = capsys.readouterr().out
    assert out.count("| spr |") == 12
    assert out.count("| group-lasso |") == 4
