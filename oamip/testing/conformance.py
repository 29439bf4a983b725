"""Put a pair through the cases and report."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from oamip.solving import Backend, Driver, find_backend, find_driver
from oamip.testing.case import Case, ConformanceError, Kind, Native, Subject
from oamip.testing.suite import CASES

__all__ = ["Report", "Result", "cases", "check", "conformance"]


@dataclass(frozen=True)
class Result:
    """How one case went: ``ok``, ``failed`` or ``skipped``, with what to know about it."""

    case: str
    outcome: str
    seconds: float
    text: str = ""


@dataclass(frozen=True)
class Report:
    """How a pair went through its cases; as text, a table."""

    backend: str
    solver: str
    results: tuple[Result, ...]

    @property
    def passed(self) -> bool:
        """True when no case failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[Result, ...]:
        """The cases that failed."""
        return tuple(result for result in self.results if result.outcome == "failed")

    @property
    def summary(self) -> str:
        """``6/6 ok``, or the first failure: ``4/6, infeasible``."""
        ran = [result for result in self.results if result.outcome != "skipped"]
        good = len(ran) - len(self.failures)
        return f"{good}/{len(ran)} ok" if self.passed else f"{good}/{len(ran)}, {self.failures[0].case}"

    def __str__(self) -> str:
        width = max((len(result.case) for result in self.results), default=0)
        lines = [f"{self.backend} × {self.solver}: {self.summary}"]
        lines += [f"  {r.case:<{width}}  {r.outcome:<7}  {r.seconds:5.2f} s  {r.text}".rstrip() for r in self.results]
        return "\n".join(lines)


def cases(kind: Kind | None = None) -> tuple[Case, ...]:
    """The cases about solvers, about languages, the core of six for every pair, or all of them."""
    found = CASES.values()
    return tuple(case for case in found if kind is None or (case.core if kind == "core" else case.kind == kind))


def check(
    case: Case | str,
    *,
    backend: str | Backend = "matrix",
    solver: str | Driver = "highs",
    native: Native | None = None,
) -> bool:
    """Put a pair through one case; False when the case does not apply (`Case.lacks` says why).

    Args:
        case: or its name.
        backend: by name or as an object.
        solver: by name or as an object.
        native: how users of the language work on a model; without it, cases about that do not apply.

    Raises:
        ConformanceError: the pair does not do what it must; names case, pair, what was expected and what came.
        InputError: no such backend or solver.
        MissingDependency: the language or the solver is not installed.
    """
    chosen = CASES[case] if isinstance(case, str) else case
    subject = Subject(find_backend(backend), find_driver(solver), native)
    if chosen.lacks(subject):
        return False
    where = f"case '{chosen.name}' of {subject.backend.name} × {subject.driver.name}"
    try:
        chosen.run(subject)
    except ConformanceError as difference:
        raise ConformanceError(f"{where}: {difference}") from None
    except Exception as error:
        raise ConformanceError(f"{where}: expected an answer; came {type(error).__name__}: {error}") from error
    return True


def conformance(
    *,
    backend: str | Backend = "matrix",
    solver: str | Driver = "highs",
    chosen: Iterable[Case] | None = None,
    native: Native | None = None,
) -> Report:
    """Put a pair through the cases, all of them unless some are ``chosen``, to the end.

    Raises:
        InputError: no such backend or solver.
        MissingDependency: the language or the solver is not installed.
    """
    subject = Subject(find_backend(backend), find_driver(solver), native)
    results = tuple(_result(case, subject) for case in (cases() if chosen is None else chosen))
    return Report(subject.backend.name, subject.driver.name, results)


def _result(case: Case, subject: Subject) -> Result:
    began = time.perf_counter()
    try:
        ran = check(case, backend=subject.backend, solver=subject.driver, native=subject.native)
    except ConformanceError as difference:
        return Result(case.name, "failed", time.perf_counter() - began, str(difference).partition(": ")[2])
    text = "" if ran else f"needs {', '.join(case.lacks(subject))}"
    return Result(case.name, "ok" if ran else "skipped", time.perf_counter() - began, text)
