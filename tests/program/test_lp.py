"""LP files read back by four solvers are the form, and their optimum is that of the form."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cplex
import gurobipy
import highspy
import numpy as np
import pyscipopt
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from oamip.errors import InputError
from oamip.program import LogSumExp, Program, Rows, Span, StandardForm, concatenate
from oamip.program.lp import write_lp
from oamip.program.mps import write_mps

# ── readers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def highs(path: Path) -> Any:
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    assert solver.readModel(str(path)) == highspy.HighsStatus.kOk
    return solver


def by_highs(path: Path) -> float:
    solver = highs(path)
    solver.setOptionValue("threads", 1)
    solver.run()
    assert solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return float(solver.getInfo().objective_function_value)


def by_scip(path: Path) -> float:
    model = pyscipopt.Model()
    model.hideOutput()
    model.readProblem(str(path))
    model.optimize()
    assert model.getStatus() == "optimal"
    return float(model.getObjVal())


def by_gurobi(path: Path) -> float:
    with gurobipy.Env(params={"OutputFlag": 0}) as environment, gurobipy.read(str(path), env=environment) as model:
        model.optimize()
        assert model.Status == gurobipy.GRB.OPTIMAL
        return float(model.ObjVal)


def by_cplex(path: Path) -> float:
    model = cplex.Cplex()
    for silence in (model.set_log_stream, model.set_results_stream, model.set_warning_stream, model.set_error_stream):
        silence(None)
    model.read(str(path))
    model.solve()
    assert "optimal" in model.solution.get_status_string()
    return float(model.solution.get_objective_value())


# ── forms ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def random_form(seed: int) -> StandardForm:
    """Bounds and rows of every kind, with numbers that no short decimal can write."""
    rng = np.random.default_rng(seed)
    program = Program()
    blocks = []
    for number, domain in enumerate(("continuous", "integer", "binary", "continuous")):
        lower = np.where(rng.random(4) < 0.3, -np.inf, -rng.integers(0, 3, 4) / 3)
        upper = np.where(rng.random(4) < 0.3, np.inf, rng.integers(0, 3, 4) / 7)
        blocks.append(program.variables(f"x{number}", (2, 2), lower.reshape(2, 2), upper.reshape(2, 2), domain=domain))
    program.variables("e", (1,))
    A = sp.random_array((9, 16), density=0.4, rng=rng, data_sampler=rng.normal, format="csr")
    lower, upper = np.sort(rng.normal(size=(2, 9)), axis=0)
    lower[:2], upper[2:4], lower[4] = -np.inf, np.inf, upper[4]
    program.add("row", Rows(A @ concatenate(blocks), lower, upper))
    objective = (blocks[0] * rng.normal(size=(2, 2))).sum() + blocks[1].sum() / 7
    (program.minimize if rng.random() < 0.5 else program.maximize)(objective)
    return program.compile()


def solvable(seed: int, *, logic: bool) -> tuple[Program, float]:
    """A bounded program with all that the format has, and its optimum by enumeration of its integers."""
    rng = np.random.default_rng(seed)
    program = Program()
    z = program.variables("z", 3, domain="binary")
    n = program.variables("n", 2, -1.0, 2.0, domain="integer")
    program.variables("end", (), 1, 1)
    W, V = rng.integers(-4, 5, (2, 3)), rng.integers(-4, 5, (2, 2))
    program.add("range", Rows(W @ z + V @ n, np.array([-4.0, -6.0]), np.array([5.0, 3.0])))
    program.add("free", Rows(z[:1], np.array([-np.inf]), np.array([np.inf])))
    program.add("empty", 0 * z[0] <= 3)
    c, d = rng.integers(-9, 10, 3), rng.integers(-9, 10, 2)
    if logic:
        program.indicator("when", z[:2], Rows(V @ n, np.array([0.0, 1.0]), np.array([2.0, np.inf])), on=[True, False])
        program.sos1("one", n.reshape(1, 2))
    sense = program.minimize if seed % 2 else program.maximize
    sense((z * c).sum() + (n * d).sum() + 7.25)

    def allowed(a: np.ndarray, b: np.ndarray) -> bool:
        rows, inner = W @ a + V @ b, V @ b
        fine = (rows >= [-4, -6]).all() and (rows <= [5, 3]).all()
        on = (not a[0] or 0 <= inner[0] <= 2) and (a[1] or inner[1] >= 1) and not b.all()
        return bool(fine and (on or not logic))

    points = [(np.array(p[:3]), np.array(p[3:])) for p in itertools.product(*[(0, 1)] * 3, *[range(-1, 3)] * 2)]
    values = [float(c @ a + d @ b + 7.25) for a, b in points if allowed(a, b)]
    return program, min(values) if seed % 2 else max(values)


# ── tests ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.integers(0, 2**32 - 1))
def test_a_file_reads_back_as_the_form(seed: int) -> None:
    form = random_form(seed)
    with TemporaryDirectory() as folder:
        write_lp(form, Path(folder) / "it.lp")
        lp = highs(Path(folder) / "it.lp").getLp()
    kind = sp.csr_array if lp.a_matrix_.format_ == highspy.MatrixFormat.kRowwise else sp.csc_array
    A = kind((lp.a_matrix_.value_, lp.a_matrix_.index_, lp.a_matrix_.start_), shape=(lp.num_row_, lp.num_col_))
    ranged = np.isfinite(form.row_lower) & np.isfinite(form.row_upper) & (form.row_lower != form.row_upper)
    np.testing.assert_array_equal(A.toarray(), np.vstack([form.A.toarray(), form.A.toarray()[ranged]]))
    np.testing.assert_array_equal(lp.row_lower_[:9], np.where(ranged, -np.inf, form.row_lower))
    np.testing.assert_array_equal(lp.row_upper_[:9], form.row_upper)
    np.testing.assert_array_equal(lp.row_lower_[9:], form.row_lower[ranged])
    np.testing.assert_array_equal(lp.col_cost_, form.cost)
    np.testing.assert_array_equal(lp.col_lower_, form.column_lower)
    np.testing.assert_array_equal(lp.col_upper_, form.column_upper)
    np.testing.assert_array_equal([kind == highspy.HighsVarType.kInteger for kind in lp.integrality_], form.integer)
    assert (lp.sense_ == highspy.ObjSense.kMaximize) == (form.sense == "max")
    names = [form.row_name(i) for i in range(9)] + [f"{form.row_name(i)}.low" for i in np.flatnonzero(ranged)]
    names += [form.column_name(j) for j in range(17)]
    assert [*lp.row_names_, *lp.col_names_] == [name.replace("[", "(").replace("]", ")") for name in names]


@pytest.mark.parametrize("write", [write_lp, write_mps])
@pytest.mark.parametrize("solver", [by_highs, by_scip, by_gurobi, by_cplex])
def test_four_readers_find_the_optimum(tmp_path: Path, solver: Callable[[Path], float], write: Callable) -> None:
    path = tmp_path / ("it.lp" if write is write_lp else "it.mps")
    for seed in range(4):
        program, optimum = solvable(seed, logic=False)
        write(program.compile(), path)
        assert solver(path) == pytest.approx(optimum)


@pytest.mark.parametrize("write", [write_lp, write_mps])
@pytest.mark.parametrize("solver", [by_scip, by_gurobi, by_cplex])
def test_three_readers_take_indicators_and_sets(
    tmp_path: Path, solver: Callable[[Path], float], write: Callable
) -> None:
    path = tmp_path / ("it.lp" if write is write_lp else "it.mps")
    differ = 0
    for seed in range(6):
        program, optimum = solvable(seed, logic=True)
        write(program.compile(), path)
        assert solver(path) == pytest.approx(optimum)
        differ += optimum != solvable(seed, logic=False)[1]
    assert differ >= 3


WORDS = (
    "free",
    "End",
    "st",
    "inf",
    "e12",
    "E",
    "2x",
    "a-b",
    "x y",
    "sos1",
    "Bounds",
    "a:b",
    "naïve",
    "max",
    "constant",
)


@pytest.mark.parametrize("solver", [by_highs, by_scip, by_gurobi, by_cplex])
def test_no_name_is_taken_for_something_else(tmp_path: Path, solver: Callable[[Path], float]) -> None:
    size = len(WORDS)
    spans = tuple(Span(word, j, ()) for j, word in enumerate(WORDS))
    ones = np.ones(size)
    form = StandardForm(
        sp.csr_array(np.eye(size)), -ones, ones * np.inf, -2 * ones, ones, ones == 0, ones, 0.5, "min", spans, spans
    )
    write_lp(form, tmp_path / "names.lp")
    assert solver(tmp_path / "names.lp") == pytest.approx(0.5 - size)


def test_long_rows_stay_readable(tmp_path: Path) -> None:
    program = Program()
    x = program.variables("a_rather_long_name_for_a_variable_that_nobody_would_type", 500, 0, 1)
    program.add("sum", x.sum() / 3 <= 100)
    program.maximize(x.sum())
    write_lp(program.compile(), tmp_path / "long.lp")
    assert max(map(len, (tmp_path / "long.lp").read_text().splitlines())) < 560
    assert by_cplex(tmp_path / "long.lp") == pytest.approx(300)


def test_the_header_is_a_comment_at_the_top(tmp_path: Path) -> None:
    program = Program()
    program.minimize(program.variables("x", 1, 0, 1).sum())
    write_lp(program.compile(), tmp_path / "new" / "it.lp", header=("made for a test", "λ\nlines"))
    assert (tmp_path / "new" / "it.lp").read_text().startswith("\\ made for a test\n\\ ?\n\\ lines\nMinimize\n")
    assert by_highs(tmp_path / "new" / "it.lp") == 0


def with_epigraph() -> StandardForm:
    program = Program()
    x = program.variables("x", 2)
    program.epigraph("soft", LogSumExp(), x.reshape(1, 2), x[:1])
    return program.compile()


def with_indicator(side: float) -> StandardForm:
    program = Program()
    z = program.variables("z", 2, domain="binary")
    program.indicator("when", z[:1], z[1:] <= 1)
    form = program.compile()
    return replace(form, indicators=(replace(form.indicators[0], upper=np.array([side])),))


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (with_epigraph(), r"LP has no convex epigraphs \(soft\); `oamip.solving.export`"),
        (replace(random_form(0), row_lower=np.full(9, np.inf)), r"row row\[0\] has bounds \[inf"),
        (with_indicator(-np.inf), r"row when\[0\] has bounds \[-inf, -inf\]"),
        (replace(random_form(0), cost=np.full(17, np.nan)), "a coefficient .* which LP cannot say"),
    ],
)
def test_what_the_format_cannot_say_is_refused_and_nothing_is_left(
    tmp_path: Path, form: StandardForm, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write_lp(form, tmp_path / "no.lp")
    assert not list(tmp_path.iterdir())
