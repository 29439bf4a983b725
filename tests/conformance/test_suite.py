"""The suite itself: a driver or a language with one thing wrong fails in the case about that thing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from oamip.errors import SolveError
from oamip.options import Options, Progress
from oamip.program import StandardForm
from oamip.solving import Built, Driver, Outcome, Session, Support, find_backend, find_driver
from oamip.testing import ConformanceError, Native, Report, Result, cases, check, conformance
from oamip.testing.__main__ import main
from oamip.testing.case import Subject
from oamip.testing.exact import best_knapsack, enumerate_points, fractional_knapsack
from oamip.testing.liars import FalseIntegers, FalsePoint, Liar
from oamip.testing.suite import limits

Twist = Callable[[StandardForm, Options, Outcome], Outcome]
HIGHS = find_driver("highs").support


def asked(change: Callable[[StandardForm, Options], dict[str, Any]]) -> Liar:
    """HiGHS, asked for another form."""
    return Liar(turn=lambda form, options: (replace(form, **change(form, options)), options))


def told(**changes: Any) -> Liar:
    """HiGHS, with other options than ours."""
    return Liar(turn=lambda form, options: (form, options.with_(**changes)))


def said(twist: Twist, *, support: Support | None = None) -> Liar:
    """HiGHS, with another claim."""
    return Liar(twist, support=support)


def when(holds: Callable[[Outcome], bool], **changes: Any) -> Liar:
    return said(lambda form, _, claim: replace(claim, **changes) if holds(claim) else claim)


def clipped(low: float, high: float) -> Liar:
    return asked(
        lambda form, _: {
            "column_lower": np.maximum(form.column_lower, low),
            "column_upper": np.minimum(form.column_upper, high),
        }
    )


def relaxed_point(form: StandardForm, options: Options, claim: Outcome) -> Outcome:
    """The point of the relaxation, where there is none: what some solvers leave behind at a limit."""
    if claim.x is not None or claim.reason != "time_limit":
        return claim
    with find_driver("highs").open(replace(form, integer=np.zeros_like(form.integer)), options) as session:
        return replace(claim, x=session.solve().x)


def printing(form: StandardForm, options: Options, claim: Outcome) -> Outcome:
    os.write(1, b"(c) Solver Ltd\n")
    return claim


def in_a_thread(form: StandardForm, options: Options) -> tuple[StandardForm, Options]:
    """Progress from the wrong thread."""

    def elsewhere(now: Progress) -> bool:
        results: list[Any] = []
        thread = threading.Thread(target=lambda: results.append(options.progress(now)))  # type: ignore[misc]
        thread.start()
        thread.join()
        return bool(results[0])

    return form, options.with_(progress=elsewhere) if options.progress else options


def refusing(error: Exception) -> Liar:
    def too_large(form: StandardForm, options: Options) -> tuple[StandardForm, Options]:
        if form.shape[1] > 2000:
            raise error
        return form, options

    return Liar(turn=too_large)


def licence_of(*warnings: str) -> Twist:
    def claim(form: StandardForm, _: Options, honest: Outcome) -> Outcome:
        return honest if form.shape[1] <= 2000 else Outcome("licence", None, np.inf, warnings=warnings)

    return claim


class Forgetful(Liar):
    """Its sessions do not hear of one kind of change."""

    def __init__(self, change: str) -> None:
        super().__init__()
        self.change = change

    def open(self, form: StandardForm, options: Options) -> Session:
        stale = Session(form, options, self._run)
        session = Session(form, options, lambda _, now: self._run(stale.form, now))
        for name in ("add_rows", "drop_rows", "set_bounds", "set_integer", "set_objective"):
            if name != self.change:
                setattr(session, name, _both(getattr(session, name), getattr(stale, name)))
        return session


def _both(first: Callable[..., None], second: Callable[..., None]) -> Callable[..., None]:
    def call(*arguments: Any) -> None:
        first(*arguments)
        second(*arguments)

    return call


MUTANTS: dict[str, tuple[Driver, str]] = {
    "lower_sides_lost": (asked(lambda form, _: {"row_lower": np.full_like(form.row_lower, -np.inf)}), "ranged_rows"),
    "upper_sides_lost": (asked(lambda form, _: {"row_upper": np.full_like(form.row_upper, np.inf)}), "linear"),
    "range_one_sided": (
        asked(
            lambda f, _: {
                "row_upper": np.where(np.isfinite(f.row_lower) & (f.row_lower < f.row_upper), np.inf, f.row_upper)
            }
        ),
        "ranged_rows",
    ),
    "equality_as_inequality": (
        asked(lambda f, _: {"row_lower": np.where(f.row_lower == f.row_upper, -np.inf, f.row_lower)}),
        "equalities",
    ),
    "integers_relaxed": (FalseIntegers(), "knapsack"),
    "false_point": (FalsePoint(), "knapsack"),
    "nothing_below_zero": (clipped(0, np.inf), "free_and_integer"),
    "integers_small": (clipped(-1e4, 1e4), "unbounded_integers"),
    "constant_forgotten": (said(lambda form, _, claim: replace(claim, bound=claim.bound - form.constant)), "constants"),
    "bound_negated": (said(lambda form, _, claim: replace(claim, bound=-claim.bound)), "senses"),
    "always_minimised": (asked(lambda form, _: {"sense": "min"}), "senses"),
    "default_gap": (told(gap_relative=1e-4), "near_ties"),
    "start_ignored": (told(start=None), "start"),
    "gap_ignored": (told(gap_relative=1e-6, gap_absolute=1e-9), "gap"),
    "nodes_ignored": (told(node_limit=None), "node_limit"),
    "clock_ignored": (told(time_limit=2.5), "time_limit_with_point"),
    "clock_without_point_ignored": (told(time_limit=2.5), "time_limit_without_point"),
    "objective_stop_ignored": (told(stop_at_objective=None), "stop_at_objective"),
    "bound_stop_ignored": (told(stop_at_bound=None), "stop_at_bound"),
    "seed_ignored": (told(seed=0), "seed"),
    "threads_fail": (Liar(turn=lambda form, options: (form, options) if options.threads == 1 else 1 / 0), "threads"),
    "raw_ignored": (told(raw={}), "raw_options"),
    "progress_ignored": (told(progress=None), "progress"),
    "progress_elsewhere": (Liar(turn=in_a_thread), "progress"),
    "log_file_ignored": (told(log_file=None), "log"),
    "prints": (said(printing), "log"),
    "infeasible_called_unbounded": (
        when(lambda c: c.reason == "infeasible", reason="unbounded"),
        "infeasible_or_unbounded",
    ),
    "unbounded_called_infeasible": (when(lambda c: c.reason == "unbounded", reason="infeasible"), "unbounded"),
    "infeasible_called_error": (when(lambda c: c.reason == "infeasible", reason="error"), "infeasible"),
    "fractional_point_at_the_limit": (said(relaxed_point), "time_limit_without_point"),
    "limit_called_error": (when(lambda c: c.reason == "time_limit", reason="error"), "time_limit_without_point"),
    "incumbent_lost": (when(lambda c: c.reason == "time_limit", x=None), "time_limit_with_point"),
    "incumbent_called_optimal": (when(lambda c: c.reason == "time_limit", reason="optimal"), "time_limit_with_point"),
    "bound_too_tight": (
        said(
            lambda form, _, c: (
                c if c.x is None else replace(c, bound=form.objective(c.x) - (1 if form.sense == "max" else -1))
            )
        ),
        "time_limit_with_point",
    ),
    "bound_beyond_feasible_points": (when(lambda c: c.reason == "time_limit", bound=1e4), "time_limit_without_point"),
    "duals_negated": (
        said(lambda _, __, c: c if c.duals is None else replace(c, duals=-c.duals), support=HIGHS),
        "duals",
    ),
    "licence_raises": (refusing(RuntimeError("Model too large for size-limited license")), "licence"),
    "licence_as_solve_error": (refusing(SolveError("Model too large for size-limited license")), "licence"),
    "licence_without_a_word": (said(licence_of()), "licence"),
    "licence_without_the_limit": (said(licence_of("the licence does not allow this")), "licence"),
    "indicators_dropped": (
        said(lambda _, __, c: c, support=replace(HIGHS, atoms=frozenset({"indicator"}))),
        "indicator",
    ),
    "sets_dropped": (said(lambda _, __, c: c, support=replace(HIGHS, atoms=frozenset({"sos1"}))), "sos1"),
    "epigraphs_dropped": (
        said(lambda _, __, c: c, support=replace(HIGHS, atoms=frozenset({"sum_squares"}))),
        "sum_squares",
    ),
    **{
        f"forgets_{change}": (Forgetful(change), "session")
        for change in ("add_rows", "drop_rows", "set_bounds", "set_integer", "set_objective")
    },
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_driver_with_one_thing_wrong_fails(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    driver, case = MUTANTS[mutant]
    monkeypatch.setattr("oamip.testing.case.PATIENCE", 2.0)  # what never ends must end here too
    monkeypatch.setattr(limits, "LATE", 1.5)
    monkeypatch.setattr(limits, "LIMIT", 0.3)
    with pytest.raises(ConformanceError, match=f"case '{case}' of matrix × "):
        check(case, solver=driver)


def test_a_driver_with_nothing_wrong_passes() -> None:
    slow = (
        "seed",
        "near_ties",
        "gap",
        "progress",
        "start",
        "time_limit",
        "node_limit",
        "partial",
        "stop_at",
        "session",
        "indicator",
        "sum_squares",
    )
    report = conformance(solver=Liar(), chosen=[case for case in cases("driver") if not case.name.startswith(slow)])
    assert report.passed, report
    assert len(report.results) > 20


# ── languages ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Bent:
    """The matrix backend, with one thing wrong."""

    name, language, install = "bent", "oamip", ""

    def __init__(self, change: Callable[[StandardForm], dict[str, Any]]) -> None:
        self.change, self.inner = change, find_backend("matrix")

    def build(self, program: Any) -> Built:
        return self.inner.build(program)

    def compile(self, built: Built) -> StandardForm:
        form = self.inner.compile(built)
        return replace(form, **self.change(form))

    def load(self, built: Built, values: Any) -> None:
        self.inner.load(built, values)


BENT: dict[str, tuple[Callable[[StandardForm], dict[str, Any]], str]] = {
    "range_lost": (lambda f: {"row_upper": np.where(f.row_lower > -np.inf, np.inf, f.row_upper)}, "same_form"),
    "coefficient": (lambda f: {"A": 1.001 * f.A}, "same_form"),
    "bounds": (lambda f: {"column_lower": np.maximum(f.column_lower, 0.0)}, "same_form"),
    "integers": (lambda f: {"integer": np.zeros_like(f.integer)}, "same_form"),
    "constant": (lambda f: {"constant": 0.0}, "same_form"),
    "sense": (lambda f: {"sense": "min"}, "same_form"),
    "names_of_columns": (lambda f: {"columns": tuple(replace(s, name=f"x_{s.name}") for s in f.columns)}, "same_form"),
    "names_of_rows": (lambda f: {"rows": tuple(replace(s, name=f"c_{s.name}") for s in f.rows)}, "row_names"),
    "atoms": (lambda f: {"sos1": ()}, "atoms_come_back"),
}


@pytest.mark.parametrize("bent", BENT)
def test_a_language_with_one_thing_wrong_fails(bent: str) -> None:
    change, case = BENT[bent]
    with pytest.raises(ConformanceError, match=f"case '{case}' of bent × highs"):
        check(case, backend=Bent(change))


def test_rows_that_do_not_arrive_and_answers_that_are_not_loaded_fail() -> None:
    blank = Native(extend=lambda built, row: built, read=lambda built, name: np.zeros(built.program.blocks[name].shape))
    for case in ("users_rows", "answer_in_the_model"):
        assert not check(case)  # nobody said how users write and read
        with pytest.raises(ConformanceError, match=case):
            check(case, native=blank)


def test_models_that_are_one_fail(native: dict[str, Native]) -> None:
    class Shared(Bent):
        def build(self, program: Any) -> Built:
            self.built = getattr(self, "built", None) or super().build(program)
            return self.built

    with pytest.raises(ConformanceError, match="separate_models"):
        check("separate_models", backend=Shared(lambda form: {}), native=native["matrix"])


# ── references, reports, the command ───────────────────────────────────────────────────────────────────────────────


def test_exact_methods_agree_with_each_other() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        weights, values = rng.integers(1, 20, 12), rng.integers(1, 30, 12)
        chosen = (np.arange(2**12)[:, None] >> np.arange(12)) & 1
        best = (chosen @ values)[chosen @ weights <= 40].max()
        assert best_knapsack(weights, values, 40) == best
        assert best <= fractional_knapsack(weights.astype(float), values.astype(float), 40.0) <= best + values.max()


def test_only_small_boxes_are_enumerated() -> None:
    from oamip.testing.instances import knapsack, linear

    for instance in (knapsack(), linear()):
        with pytest.raises(ValueError, match="small box"):
            enumerate_points(instance.program.compile())


def test_every_program_but_one_fits_the_smallest_licence(monkeypatch: pytest.MonkeyPatch) -> None:
    largest: dict[str, int] = {}
    honest = Subject.solve

    def measured(self: Subject, program: Any, **options: Any) -> Any:
        name = program.name
        largest[name] = max(program.compile().shape)
        return honest(self, program, **{**options, "time_limit": 0.05})

    monkeypatch.setattr(Subject, "solve", measured)
    for case in cases("driver"):
        if case.name not in ("session", "session_options", "seed"):
            try:
                check(case)
            except ConformanceError:
                continue  # there was no time; only the sizes matter here
    assert {name for name, size in largest.items() if size >= 1000} == {"wide"}
    assert len(largest) > 20


def test_cases_have_a_sentence_and_the_core_has_six() -> None:
    assert len(cases("core")) == 6
    assert {case.kind for case in cases()} == {"driver", "backend"}
    assert len(cases("driver")) + len(cases("backend")) == len(cases())
    for case in cases():
        assert case.shows.endswith("."), case.name
        assert case.needs <= {"extend", "read", *HIGHS.abilities, "memory_limit"}, case.name


def test_the_report_counts_and_names() -> None:
    results = (
        Result("a", "ok", 0.1),
        Result("b", "failed", 0.2, "expected 1; came 2"),
        Result("c", "skipped", 0.0, "needs seed"),
    )
    report = Report("matrix", "cbc", results)
    assert (report.passed, report.summary) == (False, "1/2, b")
    assert str(report).splitlines() == [
        "matrix × cbc: 1/2, b",
        "  a  ok        0.10 s",
        "  b  failed    0.20 s  expected 1; came 2",
        "  c  skipped   0.00 s  needs seed",
    ]


def test_a_failure_names_what_was_expected_and_what_came() -> None:
    with pytest.raises(ConformanceError) as caught:
        check("knapsack", solver=FalsePoint())
    pair, _, difference = str(caught.value).partition(": ")
    assert pair == "case 'knapsack' of matrix × false_point"
    assert difference.startswith("expected reason 'optimal' and held 'proven'; came reason 'error', held 'none'")
    assert "row weight" in difference


def test_the_command_prints_a_table_of_pairs_and_of_cases(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [case for case in cases("core") if case.name in ("linear", "knapsack")]
    monkeypatch.setattr("oamip.testing.__main__.cases", lambda kind=None: few)
    assert main(["--solver", "highs"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["highs"]
    assert table[1].split() == ["matrix", "2/2", "ok"]
    assert main(["--backend", "matrix", "--solver", "highs"]) == 0
    assert "knapsack  ok" in capsys.readouterr().out
    monkeypatch.setattr("oamip.solving.registry.installed_version", lambda name: None if name == "highspy" else "1")
    assert main(["--backend", "matrix", "--solver", "highs"]) == 1
    assert "not installed" in capsys.readouterr().out
