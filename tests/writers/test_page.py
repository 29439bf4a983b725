"""The page on files runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from oamip.readers.onnx_graph.operators import RULES
from oamip.writers import to_onnx

ROOT = Path(__file__).parents[2]


def test_the_page_runs(run_page, tmp_path):
    assert run_page("files.md") == 5
    assert {path.name for path in (tmp_path / "small").glob("model.*")} == {
        *(f"model.{kind}" for kind in ("safetensors", "pt2", "onnx"))
    }


def test_the_page_names_every_operator_of_onnx_that_is_read():
    words = set(re.findall(r"\w+", (ROOT / "docs" / "files.md").read_text(encoding="utf-8")))
    assert words >= {*RULES}


def test_the_benchmark_of_reading_prints_a_row_for_each_file(zoo, tmp_path):
    to_onnx(zoo("mlp").network, tmp_path / "net.onnx")
    command = [sys.executable, str(ROOT / "benchmarks" / "reading.py"), str(tmp_path), "--repeats", "1"]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    assert re.search(r"^\| net\.onnx \| 6 \| 39 \|", run.stdout, flags=re.M)
