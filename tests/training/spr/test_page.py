"""The page on training runs as it stands, and so does the benchmark behind its tables."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


def test_the_page_runs_as_it_stands() -> None:
    text = (ROOT / "docs/training.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, Any] = {"__name__": "page"}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"training.md, block {number}", "exec"), names)


@pytest.mark.slow
def test_the_benchmark_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["spr.py", "grid", "--epochs", "1"])
    runpy.run_path(str(ROOT / "benchmarks/spr.py"), run_name="__main__")
    out = capsys.readouterr().out
    assert out.count("| spr |") == 12
    assert out.count("| group-lasso |") == 4
