"""Names, versions, and what is said about what is not there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from oamip import plugins as plugins_module
from oamip.errors import InputError, MissingDependency
from oamip.options import Options
from oamip.program import Program, StandardForm
from oamip.solving import (
    Backend,
    Driver,
    Session,
    Support,
    backend_names,
    driver_names,
    find_backend,
    find_driver,
    overview,
)
from oamip.solving import registry as registry_module


def test_what_is_registered_is_listed_and_keeps_the_protocols() -> None:
    assert {"matrix", "pyomo"} <= set(backend_names())
    assert "highs" in driver_names()
    assert all(isinstance(find_backend(name), Backend) for name in ("matrix", "pyomo"))
    assert isinstance(find_driver("highs"), Driver)


def test_asking_around_imports_neither_languages_nor_solvers() -> None:
    code = (
        "import sys; from oamip.solving import overview, backend_names; backend_names(); "
        "rows = overview(); assert all(row.installed for row in rows if row.solver == 'highs'); "
        "print([name for name in ('pyomo', 'highspy', 'cvxpy', 'torch') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


def test_overview_has_every_pair_with_versions_and_abilities() -> None:
    rows = {(row.backend, row.solver): row for row in overview()}
    row = rows["pyomo", "highs"]
    assert row.installed
    assert row.install == ""
    assert "integer" in row.abilities
    assert "memory_limit" not in row.abilities


@pytest.mark.parametrize("find", [find_backend, find_driver])
def test_unknown_names_are_answered_with_the_known_ones(find: object) -> None:
    with pytest.raises(InputError, match=r"no (backend|solver) 'nope'; there are .*(matrix|highs).*pip install -e"):
        find("nope")  # type: ignore[operator]


class Absent:
    """A driver whose solver nobody has."""

    name = "absent"
    support = Support("no-such-distribution", "pip install no-such-distribution")

    def open(self, form: StandardForm, options: Options) -> Session:
        raise AssertionError


def test_a_missing_package_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        def load(self) -> type[Absent]:
            return Absent

    known = plugins_module.entries

    def more(group: str) -> dict[str, object]:
        return {**known(group), "absent": Entry()} if group == "oamip.drivers" else dict(known(group))

    monkeypatch.setattr(plugins_module, "entries", more)
    monkeypatch.setattr(registry_module, "entries", more)
    with pytest.raises(MissingDependency, match=r"solver 'absent' needs .*: pip install no-such-distribution"):
        find_driver("absent")
    row = next(row for row in overview() if row.solver == "absent")
    assert not row.installed
    assert row.install == "pip install no-such-distribution"


def test_objects_are_taken_as_they_are() -> None:
    driver = Absent()
    assert find_driver(driver) is driver
    assert Program  # programs know nothing of all this
