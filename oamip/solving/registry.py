"""Backends and drivers by name, through entry points; asking for names imports nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from oamip.errors import MissingDependency
from oamip.plugins import entries
from oamip.plugins import load as load_plugin
from oamip.solving.backend import Backend
from oamip.solving.driver import Driver, Versioned

__all__ = [
    "Pair",
    "backend_names",
    "driver_names",
    "driver_version",
    "find_backend",
    "find_driver",
    "installed_version",
    "overview",
]


@dataclass(frozen=True)
class Pair:
    """A modelling language with a solver. A version is ``None`` when the distribution is not installed."""

    backend: str
    backend_version: str | None
    solver: str
    solver_version: str | None
    abilities: tuple[str, ...]
    atoms: tuple[str, ...]
    backend_install: str
    solver_install: str

    @property
    def install(self) -> str:
        """The command that installs what is missing; empty when nothing is."""
        missing = [self.backend_install] if self.backend_version is None else []
        missing += [self.solver_install] if self.solver_version is None else []
        return " && ".join(filter(None, missing))

    @property
    def installed(self) -> bool:
        """True when both are."""
        return self.backend_version is not None and self.solver_version is not None


def backend_names() -> tuple[str, ...]:
    """Names of all registered backends."""
    return tuple(sorted(entries("oamip.backends")))


def driver_names() -> tuple[str, ...]:
    """Names of all registered drivers."""
    return tuple(sorted(entries("oamip.drivers")))


def find_backend(backend: str | Backend) -> Backend:
    """A backend by name; an object that is one already is given back.

    Raises:
        InputError: no such name.
        MissingDependency: its language is not installed.
    """
    if not isinstance(backend, str):
        return backend
    found: Backend = _load("oamip.backends", backend, "backend")
    if installed_version(found.language) is None:
        raise MissingDependency(found.language, f"backend '{backend}'", install=found.install)
    return found


def find_driver(solver: str | Driver) -> Driver:
    """A driver by name; an object that is one already is given back.

    Raises:
        InputError: no such name.
        MissingDependency: its solver is not installed.
    """
    if not isinstance(solver, str):
        return solver
    found: Driver = _load("oamip.drivers", solver, "solver")
    if driver_version(found) is None:
        raise MissingDependency(found.support.distribution, f"solver '{solver}'", install=found.support.install)
    return found


def installed_version(distribution: str) -> str | None:
    """The version of a distribution, found without importing it; ``None`` when it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def driver_version(driver: Driver) -> str | None:
    """The version of a driver's solver, found without importing it; ``None`` when it is not installed."""
    return driver.version() if isinstance(driver, Versioned) else installed_version(driver.support.distribution)


def overview() -> tuple[Pair, ...]:
    """Every backend with every solver: installed or not, which version, what it can do.

    Plug-ins are imported, languages and solvers are not; a plug-in that cannot be imported counts as not installed.
    """
    languages = [(name, _attempt(_load, "oamip.backends", name, "backend")) for name in backend_names()]
    solvers = [(name, _attempt(_load, "oamip.drivers", name, "solver")) for name in driver_names()]
    return tuple(
        _pair(language, backend, solver, driver) for language, backend in languages for solver, driver in solvers
    )


def _pair(language: str, backend: Backend | None, solver: str, driver: Driver | None) -> Pair:
    language_version = None if backend is None else installed_version(backend.language)
    solver_version = None if driver is None else driver_version(driver)
    abilities, atoms = ((), ()) if driver is None else (driver.support.abilities, tuple(sorted(driver.support.atoms)))
    installs = "" if backend is None else backend.install, "" if driver is None else driver.support.install
    return Pair(language, language_version, solver, solver_version, abilities, atoms, *installs)


def _load(group: str, name: str, kind: str) -> Any:
    return load_plugin(group, name, kind)()


def _attempt(load: Callable[..., Any], *arguments: str) -> Any:
    try:
        return load(*arguments)
    except (ImportError, AttributeError):
        return None
