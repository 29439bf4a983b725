"""The page on files runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "files.md").read_text(), flags=re.M | re.S)
    assert len(blocks) == 5
    names: dict[str, Any] = {"__name__": "page"}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"files.md, block {number}", "exec"), names)
    assert {path.name for path in (tmp_path / "small").glob("model.*")} == {
        *(f"model.{kind}" for kind in ("safetensors", "pt2", "onnx"))
    }
