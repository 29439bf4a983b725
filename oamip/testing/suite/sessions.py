"""A session says of every form that it went through what a fresh one says, and what enumeration says."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from oamip.options import Options
from oamip.program import Program, StandardForm, check
from oamip.solving import Session
from oamip.testing import instances
from oamip.testing.case import Subject
from oamip.testing.exact import enumerate_points
from oamip.testing.expect import close, that
from oamip.testing.suite.register import case


@case()
def session(subject: Subject) -> None:
    """A session agrees with enumeration and with fresh sessions through every change."""
    for seed, maximise in ((0, True), (1, False)):
        _walk(subject, _form(seed, maximise=maximise), np.random.default_rng(seed))


@case()
def session_options(subject: Subject) -> None:
    """What a session is told for one solve holds for that one only."""
    form = instances.many_knapsacks().program.compile()
    with subject.open(form, time_limit=0.3) as running:
        that(running.solve().reason == "time_limit", "the session's own time limit", running.options.time_limit)
        running.set_bounds(np.arange(225), np.zeros(225), np.zeros(225))
        that(running.solve(time_limit=20.0).reason == "optimal", "an optimum once most items are fixed", "none")
        running.set_bounds(np.arange(225), np.zeros(225), np.ones(225))
        that(running.solve().reason == "time_limit", "the session's own time limit again", "another end")


def _form(seed: int, *, maximise: bool) -> StandardForm:
    rng = np.random.default_rng(seed)
    program = Program("session")
    x = program.variables("x", 6, 0, 4, domain="integer")
    rows = rng.integers(0, 6, (4, 6)) @ x
    program.add("rows", rows <= rng.integers(15, 40, 4)) if maximise else program.add("rows", rows >= [6, 9, 12, 7])
    (program.maximize if maximise else program.minimize)((x * rng.integers(1, 9, 6)).sum() + 3)
    return program.compile()


def _walk(subject: Subject, form: StandardForm, rng: np.random.Generator) -> None:
    infinite = np.full(2, np.inf)
    steps: list[tuple[str, tuple[Any, ...]]] = [
        ("add_rows", (sp.csr_array(rng.integers(1, 4, (2, 6)).astype(float)), -infinite, np.array([17.0, 23.0]))),
        ("add_rows", (sp.csr_array(np.ones((1, 6))), np.array([2.0]), np.array([9.0]))),
        ("drop_rows", (np.array([1, 0]),)),
        ("set_bounds", (np.array([5, 2]), np.array([1.0, 0.0]), np.array([3.0, 0.0]))),
        ("set_objective", (rng.integers(1, 6, 6) + 0.5, -1.0)),
        ("set_integer", (np.arange(6) < 3,)),
        ("set_integer", (np.zeros(6, dtype=bool),)),
        ("add_rows", (sp.csr_array(np.eye(6)[[0]] + np.eye(6)[[1]]), np.array([0.7]), np.array([2.6]))),
        ("set_integer", (np.ones(6, dtype=bool),)),
        ("set_start", (np.ones(6),)),
        ("set_start", (None,)),
        ("add_rows", (sp.csr_array(np.ones((1, 6))), np.array([99.0]), np.array([np.inf]))),  # infeasible
        ("drop_rows", (np.array([2]),)),
        ("restart", ()),
    ]
    with subject.open(form) as hot, Session(form, Options(), _never) as told:
        _agree(subject, hot, told.form, "at first")
        for number, (change, arguments) in enumerate(steps, 1):
            for running in (hot, told):
                getattr(running, change)(*arguments)
            place = f"after change {number}, {change}"
            same = hot.form.shape == told.form.shape and (hot.form.A != told.form.A).nnz == 0
            that(same, f"`Session.form` as it now stands {place}", f"a form of {hot.form.shape}")
            _agree(subject, hot, told.form, place)


def _agree(subject: Subject, hot: Session, form: StandardForm, place: str) -> None:
    with subject.open(form) as fresh:
        came, cold = hot.solve(), fresh.solve()
    that(came.reason == cold.reason, f"reason '{cold.reason}' of a fresh session {place}", f"'{came.reason}'")
    best = enumerate_points(form) if form.integer.all() else cold.bound
    if best is None:
        that(came.reason == "infeasible" and came.x is None, f"reason 'infeasible' {place}", f"'{came.reason}'")
        return
    that(came.reason == "optimal" and came.x is not None, f"an optimal point {place}", f"reason '{came.reason}'")
    assert came.x is not None
    verdict = check(form, came.x)
    that(verdict.accepted, f"a feasible point {place}", f"{verdict.worst} violated by {verdict.violation:.2g}")
    close(f"{place}: objective", form.objective(came.x), best)
    close(f"{place}: bound", came.bound, best)


def _never(form: StandardForm, options: Options) -> Any:
    raise NotImplementedError("this session only keeps account of the form")
