"""The page on networks runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"


def test_the_page_runs_and_shows_what_it_prints(tmp_path, monkeypatch, capsys) -> None:
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 8
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "page"}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"networks.md, block {number}", "exec"), names)
    assert (tmp_path / "network.svg").stat().st_size > 10_000
    printed = capsys.readouterr().out.split("\n")
    shown = re.search(r"^    node .*?^    …$", text, flags=re.MULTILINE | re.DOTALL)
    assert shown is not None
    assert [line[4:] for line in shown.group().split("\n")][:-1] == printed[: shown.group().count("\n")]
