"""MPS files read back by HiGHS are the form to the last digit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import highspy
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from oamip.errors import InputError
from oamip.program import LogSumExp, Program, Rows, Span, StandardForm, concatenate
from oamip.program.mps import write_mps


def read(path: Path) -> Any:
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    assert highs.readModel(str(path)) == highspy.HighsStatus.kOk
    return highs.getLp()


def matrix(lp: Any) -> np.ndarray:
    kind = sp.csr_array if lp.a_matrix_.format_ == highspy.MatrixFormat.kRowwise else sp.csc_array
    triple = (lp.a_matrix_.value_, lp.a_matrix_.index_, lp.a_matrix_.start_)
    return kind(triple, shape=(lp.num_row_, lp.num_col_)).toarray()


def random_form(seed: int) -> StandardForm:
    """Bounds and rows of every kind, with numbers that no short decimal can write."""
    rng = np.random.default_rng(seed)
    program = Program()
    blocks = []
    for number, domain in enumerate(("continuous", "integer", "binary", "continuous")):
        lower = np.where(rng.random(4) < 0.3, -np.inf, -rng.integers(0, 3, 4) / 3)
        upper = np.where(rng.random(4) < 0.3, np.inf, rng.integers(0, 3, 4) / 7)
        blocks.append(program.variables(f"x{number}", (2, 2), lower.reshape(2, 2), upper.reshape(2, 2), domain=domain))
    program.variables("spare", ())
    A = sp.random_array((9, 16), density=0.4, rng=rng, data_sampler=rng.normal, format="csr")
    expression = A @ concatenate(blocks)
    lower, upper = np.sort(rng.normal(size=(2, 9)), axis=0)
    lower[:2], upper[2:4], lower[4] = -np.inf, np.inf, upper[4]
    program.add("row", Rows(expression, lower, upper))
    objective = (blocks[0] * rng.normal(size=(2, 2))).sum() + blocks[1].sum() / 7 + rng.normal()
    (program.minimize if rng.random() < 0.5 else program.maximize)(objective)
    return program.compile()


@pytest.mark.parametrize("huge", [1e9, 1e15])
def test_a_range_keeps_the_side_nearer_to_zero_to_the_last_digit(huge: float, tmp_path: Path) -> None:
    program = Program()
    x = program.variables("x", 2)
    program.add("rows", Rows(x * 1.0, np.array([-1 / 3, -huge]), np.array([huge, 2 / 7])))
    write_mps(program.compile(), tmp_path / "it.mps")
    lp = read(tmp_path / "it.mps")
    assert (lp.row_lower_[0], lp.row_upper_[1]) == (-1 / 3, 2 / 7)
    np.testing.assert_allclose([lp.row_upper_[0], -lp.row_lower_[1]], huge, rtol=1e-15)


@given(st.integers(0, 2**32 - 1))
def test_a_file_reads_back_as_the_form(seed: int) -> None:
    form = random_form(seed)
    with TemporaryDirectory() as folder:
        write_mps(form, Path(folder) / "it.mps")
        lp = read(Path(folder) / "it.mps")
    np.testing.assert_array_equal(matrix(lp), form.A.toarray())
    np.testing.assert_array_equal(lp.col_cost_, form.cost)
    np.testing.assert_array_equal(lp.col_lower_, form.column_lower)
    np.testing.assert_array_equal(lp.col_upper_, form.column_upper)
    np.testing.assert_array_equal([kind == highspy.HighsVarType.kInteger for kind in lp.integrality_], form.integer)
    # Only the far side of a range goes through a sum.
    np.testing.assert_allclose(lp.row_lower_, form.row_lower, rtol=0, atol=1e-15 * 4)
    np.testing.assert_allclose(lp.row_upper_, form.row_upper, rtol=0, atol=1e-15 * 4)
    single = np.isinf(form.row_lower) | np.isinf(form.row_upper) | (form.row_lower == form.row_upper)
    np.testing.assert_array_equal(np.array(lp.row_lower_)[single], form.row_lower[single])
    assert lp.offset_ == form.constant
    assert (lp.sense_ == highspy.ObjSense.kMaximize) == (form.sense == "max")
    names = [form.row_name(i) for i in range(9)] + [form.column_name(j) for j in range(17)]
    assert [*lp.row_names_, *lp.col_names_] == [name.replace("[", "(").replace("]", ")") for name in names]


def form_of_three(names: tuple[Span, ...]) -> StandardForm:
    zeros, ones = np.zeros(3), np.ones(3)
    return StandardForm(
        sp.csr_array(np.eye(3)), zeros, ones, zeros, ones, zeros.astype(bool), ones, 0.0, "min", names, names
    )


def test_names_are_readable_and_none_occurs_twice(tmp_path: Path) -> None:
    spans = (Span("price of x[a]", 0, ()), Span("price_of_x(a)", 1, ()), Span("objective", 2, ()))
    write_mps(form_of_three(spans), tmp_path / "names.mps")
    lp = read(tmp_path / "names.mps")
    assert list(lp.col_names_) == ["price_of_x(a)", "price_of_x(a)~2", "objective"]
    assert list(lp.row_names_) == ["price_of_x(a)", "price_of_x(a)~2", "objective~2"]


def test_names_that_look_like_something_else_are_changed(tmp_path: Path) -> None:
    spans = (Span("*note", 0, ()), Span("1e5", 1, ()), Span("naïve $", 2, ()))
    write_mps(form_of_three(spans), tmp_path / "names.mps")
    assert list(read(tmp_path / "names.mps").col_names_) == ["_note", "_1e5", "na_ve__"]


def test_free_rows_are_left_out(tmp_path: Path) -> None:
    form = form_of_three((Span("r", 0, (3,)),))
    free = np.array([0.0, -np.inf, 0.0]), np.array([1.0, np.inf, 1.0])
    write_mps(replace(form, row_lower=free[0], row_upper=free[1]), tmp_path / "free.mps")
    assert list(read(tmp_path / "free.mps").row_names_) == ["r(0)", "r(2)"]


def test_the_header_is_a_comment_at_the_top(tmp_path: Path) -> None:
    path = tmp_path / "new" / "it.mps"
    write_mps(form_of_three((Span("r", 0, (3,)),)), path, header=("made for a test", "two\nlines"))
    assert path.read_text().startswith("* made for a test\n* two\n* lines\nNAME it\n")
    assert read(path).num_col_ == 3


def with_epigraph() -> StandardForm:
    program = Program()
    x = program.variables("x", 2)
    program.epigraph("soft", LogSumExp(), x.reshape(1, 2), x[:1])
    return program.compile()


def changed(**fields: Any) -> StandardForm:
    return replace(form_of_three((Span("r", 0, (3,)),)), **fields)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (with_epigraph(), r"epigraphs \(soft\); `oamip.solving.export`"),
        (changed(row_lower=np.array([0.0, 2.0, 0.0])), r"row r\[1\] has bounds \[2, 1\]"),
        (changed(row_upper=np.array([np.nan, 1.0, 1.0])), r"row r\[0\]"),
        (changed(column_lower=np.array([0.0, 0.0, np.inf])), r"column r\[2\] has bounds"),
        (changed(cost=np.array([0.0, np.nan, 0.0])), "a coefficient"),
    ],
)
def test_what_the_format_cannot_say_is_refused_and_nothing_is_left(
    tmp_path: Path, form: StandardForm, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write_mps(form, tmp_path / "no.mps")
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "folder.mps").mkdir()
    with pytest.raises(InputError, match=r"folder\.mps: cannot be written"):
        write_mps(form_of_three((Span("r", 0, (3,)),)), tmp_path / "folder.mps")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.mps"]


def test_a_comment_may_hold_any_letter(tmp_path: Path) -> None:
    program = Program()
    program.minimize(program.variables("x", 1, 0, 1).sum())
    write_mps(program.compile(), str(tmp_path / "a.mps"), header=("λ = 5",))
    assert (tmp_path / "a.mps").read_text().startswith("* ? = 5\n")


def test_indicators_and_sets_stand_behind_the_rows_they_switch(tmp_path: Path) -> None:
    program = Program()
    z, x = program.variables("z", 2, domain="binary"), program.variables("x", (2, 2), 0, 4)
    program.add("sum", x.sum() <= 5)
    band = Rows(x[0] - x[1], np.array([-1.0, 2.0]), np.array([3.0, np.inf]))
    program.indicator("when", z, band, on=[True, False])
    program.sos1("one", x)
    program.maximize(x.sum())
    write_mps(program.compile(), tmp_path / "it.mps")
    lines = (tmp_path / "it.mps").read_text().splitlines()
    assert lines[4:10] == [" N objective", " L sum", " L when(0)", " G when(1)", " G when(0).low", "COLUMNS"]
    assert lines[lines.index("SOS") :] == [
        "SOS",
        *(" S1 one(0)", "    x(0,0) 1", "    x(0,1) 2", " S1 one(1)", "    x(1,0) 1", "    x(1,1) 2"),
        "INDICATORS",
        *(" IF when(0) z(0) 1", " IF when(1) z(1) 0", " IF when(0).low z(0) 1"),
        "ENDATA",
    ]
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    assert highs.readModel(str(tmp_path / "it.mps")) == highspy.HighsStatus.kError  # it does not read half of it
