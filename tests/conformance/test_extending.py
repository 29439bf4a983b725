"""What a stranger is told to do works: the page on extending, and the example of a driver."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oamip.testing import Case, cases, check

ROOT = Path(__file__).parents[2]
DRIVER = "scipy_driver.py"


def test_the_page_on_extending_runs_as_it_stands() -> None:
    page = ROOT / "docs" / "extending.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    names: dict[str, Any] = {"__name__": "extending"}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)


@pytest.fixture(scope="module")
def stranger() -> Callable[[], Any]:
    driver: Callable[[], Any] = runpy.run_path(str(ROOT / "examples" / DRIVER))["ScipyDriver"]
    return driver


@pytest.mark.parametrize("case", cases("driver"), ids=lambda case: case.name)
def test_a_strangers_driver_goes_through_the_suite(case: Case, stranger: Callable[[], Any]) -> None:
    driver = stranger()
    ran = check(case, solver=driver)
    assert ran == (case.needs <= set(driver.support.abilities))
