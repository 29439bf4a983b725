"""The page on networks runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"


def test_the_page_runs_and_shows_what_it_prints(run_page, tmp_path, capsys) -> None:
    assert run_page("networks.md") == 8
    assert (tmp_path / "network.svg").stat().st_size > 10_000
    text = PAGE.read_text(encoding="utf-8")
    printed = capsys.readouterr().out.split("\n")
    shown = re.search(r"^    node .*?^    …$", text, flags=re.MULTILINE | re.DOTALL)
    assert shown is not None
    assert [line[4:] for line in shown.group().split("\n")][:-1] == printed[: shown.group().count("\n")]
