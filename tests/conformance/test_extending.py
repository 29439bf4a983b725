"""What a stranger is told to do works: the pages on solving and extending, and the example of a driver."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oamip.testing import Case, cases, check

ROOT = Path(__file__).parents[2]
DRIVER = "scipy_driver.py"


@pytest.mark.parametrize(("page", "count"), [("extending.md", 5), ("solving.md", 8)])
def test_a_page_runs_as_it_stands(page: str, count: int, run_page: Callable[[str], int]) -> None:
    assert run_page(page) == count


@pytest.fixture(scope="module")
def stranger() -> Callable[[], Any]:
    driver: Callable[[], Any] = runpy.run_path(str(ROOT / "examples" / DRIVER))["ScipyDriver"]
    return driver


@pytest.mark.parametrize("case", cases("driver"), ids=lambda case: case.name)
def test_a_strangers_driver_goes_through_the_suite(case: Case, stranger: Callable[[], Any]) -> None:
    driver = stranger()
    ran = check(case, solver=driver)
    assert ran == (case.needs <= set(driver.support.abilities))
