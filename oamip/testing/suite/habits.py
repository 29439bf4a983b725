"""Options that change how a solver works and not what it finds; what it writes; what it refuses."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oamip.errors import InputError
from oamip.options import Options, Progress
from oamip.testing import instances
from oamip.testing.case import Subject
from oamip.testing.expect import close, ended, proven, that, valid_bound
from oamip.testing.suite.register import case


@case(needs=("seed",))
def seed(subject: Subject) -> None:
    """One seed gives one run, several seeds give several, and all the same optimum."""
    program = instances.many_knapsacks(10, 38).program
    first, again = subject.solve(program, seed=0), subject.solve(program, seed=0)
    ended(first, "optimal", "proven")
    same = first.nodes == again.nodes and (first["take"] == again["take"]).all()
    that(bool(same), "the same nodes and point from the same seed", f"{first.nodes} and {again.nodes} nodes")
    for number in range(1, 6):
        other = subject.solve(program, seed=number)
        ended(other, "optimal", "proven")
        close("the objective of another seed", other.objective, first.objective)
        if other.nodes != first.nodes:
            return
    that(False, "a run that depends on the seed", f"{first.nodes} nodes with each of six")


@case(needs=("threads",))
def threads(subject: Subject) -> None:
    """The number of threads may change from solve to solve."""
    instance = instances.knapsack()
    for number in (1, 2, 1):
        proven(subject.solve(instance.program, threads=number), instance.optimum)


@case()
def log(subject: Subject) -> None:
    """The log is kept and written where asked, and nothing is printed."""
    instance = instances.knapsack()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "solver.log"
        with _captured() as printed:
            solution = subject.solve(instance.program, log_file=path)
        proven(solution, instance.optimum)
        that(not printed, "nothing on standard output and error", repr("".join(printed)[:200]))
        if solution.log:
            written = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
            that(bool(written.strip()), "the log in the file that was asked for", f"an empty {path.name}")
        else:
            _named(solution.warnings, "log_file")


@case(needs=("progress",))
def progress(subject: Subject) -> None:
    """Progress is told, by the thread that asked, and interrupts."""
    hard, seen = instances.many_knapsacks(), list[Progress]()
    here = threading.current_thread()
    elsewhere = list[str]()

    def watch(now: Progress) -> bool:
        seen.append(now)
        if threading.current_thread() is not here:
            elsewhere.append(threading.current_thread().name)
        return now.seconds > 0.5

    solution = subject.solve(hard.program, progress=watch)
    that(bool(seen), "calls of progress", "none")
    that(not elsewhere, "progress told by the thread that asked for the solve", f"calls from {set(elsewhere)}")
    that(solution.reason == "interrupted", "reason 'interrupted'", solution)
    that(seen[-1].seconds < 4.0, "an end soon after the interrupt", f"{seen[-1].seconds:.1f} s")
    valid_bound(solution, hard.value, minimise=False)


@case()
def unsupported_options(subject: Subject) -> None:
    """Options that the solver cannot honour are named in a warning, others are not."""
    instance, abilities = instances.knapsack(), subject.driver.support.abilities
    asked: dict[str, dict[str, Any]] = {
        "start": {"start": instance.program.compile().cost * 0},
        "gap": {"gap_relative": 1e-4},
        "node_limit": {"node_limit": 10**6},
        "memory_limit": {"memory_limit": 8 * 10**9},
        "threads": {"threads": 2},
        "seed": {"seed": 3},
        "progress": {"progress": lambda _: False},
        "objective_limit": {"stop_at_objective": instance.optimum + 1},
    }
    for ability, options in asked.items():
        solution = subject.solve(instance.program, **options)
        words = [text for text in solution.warnings if text.startswith(f"option {ability}")]
        that(solution.held == "proven", f"a proven answer with {', '.join(options)}", solution)
        if ability in abilities:
            words = [text for text in words if text.endswith("it is not applied")]
            that(not words, f"{ability} honoured, as the solver says it can be", words)
        else:
            that(bool(words), f"a warning that names option {ability}", solution)


@case()
def raw_options(subject: Subject) -> None:
    """A raw option that the solver does not know is an error that names it."""
    form = instances.knapsack().program.compile()
    try:
        with subject.driver.open(form, Options(raw={"no_such_option": 1})) as session:
            outcome = session.solve()
    except InputError as error:
        that("no_such_option" in str(error), "an error that names 'no_such_option'", error)
    else:
        that(False, "InputError for the raw option 'no_such_option'", f"reason '{outcome.reason}'")


@case()
def licence(subject: Subject) -> None:
    """A program too large for a licence is solved, or refused as 'licence' with the limit named."""
    instance = instances.wide()
    solution = subject.solve(instance.program)
    if solution.reason != "licence":
        proven(solution, instance.optimum)
        return
    ended(solution, "licence", "none")
    text = " ".join(solution.warnings)
    that("licen" in text.lower() and any(c.isdigit() for c in text), "a warning that names the limit", text or "none")


def _named(warnings: tuple[str, ...], what: str) -> None:
    that(any(what in text for text in warnings), f"a warning that names '{what}'", warnings)


@contextmanager
def _captured() -> Iterator[list[str]]:
    """What anything in this process writes to its standard output and error, C libraries included."""
    texts = list[str]()
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        kept = os.dup(1), os.dup(2)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield texts
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, descriptor)
                os.close(copy)
            file.seek(0)
            texts += [text for text in [file.read().decode(errors="replace")] if text]
