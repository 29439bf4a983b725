"""Model files are read as they are meant, or refused by name."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oamip.errors import InputError
from oamip.options import Options
from oamip.program import Program, Rows, StandardForm
from oamip.program.lp import write_lp
from oamip.program.mps import write_mps
from oamip.solving import reading
from oamip.solving.drivers.highs import HighsDriver
from oamip.solving.reading import read_form

MPS = """NAME t
ROWS
 N cost
 L cap
 G low
 E tie
 N other
COLUMNS
 x cost 1.5 cap 1
 x other 9
 M1 'MARKER' 'INTORG'
 y cost -2 cap 1
 y tie 1
 M2 'MARKER' 'INTEND'
 z low 1 cap 3
 z tie -1
RHS
 RHS cap 10 low 1
 RHS cost -7.5
RANGES
 RNG cap 4
BOUNDS
 LO BND x -3
 UP BND x 1e30
 UP BND y 4
 FR BND z
ENDATA
"""
LP = """\\ a comment -> with [ signs
Maximize
 cost: 1.5 x - 2 y
  + 0 z + 7.5
Subject To
 cap: x + y + 3 z <= 10
 low: z >= 1e0
 tie: y - z = 0
 12: x + x >= -5
 - x - y >= -1e2
Bounds
 x >= -3
 y <= 4
 z free
Generals
 y
End
"""


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def solved(form: StandardForm) -> float:
    with HighsDriver().open(form, Options()) as session:
        return session.solve().bound


# ── what is read ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_mps_file(tmp_path: Path) -> None:
    form = read_form(written(tmp_path, "t.mps", MPS))
    assert [span.name for span in form.columns] == ["x", "y", "z"]
    assert [span.name for span in form.rows] == ["cap", "low", "tie"]
    assert all(span.shape == () for span in (*form.columns, *form.rows))
    assert [form.column_name(j) for j in range(3)] == ["x", "y", "z"]
    np.testing.assert_array_equal(form.A.toarray(), [[1, 1, 3], [0, 0, 1], [0, 1, -1]])
    np.testing.assert_array_equal([form.row_lower, form.row_upper], [[6, 1, 0], [10, np.inf, 0]])
    np.testing.assert_array_equal([form.column_lower, form.column_upper], [[-3, 0, -np.inf], [np.inf, 4, np.inf]])
    np.testing.assert_array_equal(form.cost, [1.5, -2, 0])
    assert (form.sense, form.constant, form.integer.tolist()) == ("min", 7.5, [False, True, False])


def test_an_lp_file(tmp_path: Path) -> None:
    form = read_form(written(tmp_path, "t.LP", LP))
    assert [span.name for span in form.columns] == ["x", "y", "z"]
    assert [span.name for span in form.rows][:4] == ["cap", "low", "tie", "12"]
    np.testing.assert_array_equal(form.A.toarray(), [[1, 1, 3], [0, 0, 1], [0, 1, -1], [2, 0, 0], [-1, -1, 0]])
    np.testing.assert_array_equal(form.row_lower, [-np.inf, 1, 0, -5, -100])
    np.testing.assert_array_equal([form.column_lower, form.column_upper], [[-3, 0, -np.inf], [np.inf, 4, np.inf]])
    assert (form.sense, form.constant, form.integer.tolist()) == ("max", 7.5, [False, True, False])
    np.testing.assert_array_equal(form.cost, [1.5, -2, 0])


@pytest.mark.parametrize(("name", "text"), [("t.mps", MPS), ("t.lp", LP)])
def test_packed_and_plain_are_the_same(tmp_path: Path, name: str, text: str) -> None:
    plain = read_form(written(tmp_path, name, text.replace("\n", "\r\n")))
    packed = read_form(written(tmp_path, f"{name}.gz", gzip.compress(text.encode())))
    assert (plain.A != packed.A).nnz == 0
    np.testing.assert_array_equal(plain.row_upper, packed.row_upper)
    assert plain.columns == packed.columns


def test_an_mps_file_may_maximise(tmp_path: Path) -> None:
    text = MPS.replace("ROWS", "OBJSENSE\n    MAX\nROWS", 1)
    assert read_form(written(tmp_path, "t.mps", text)).sense == "max"


def mixed(seed: int) -> StandardForm:
    rng = np.random.default_rng(seed)
    program = Program()
    n = program.variables("n", 3, -2.0, 1 + rng.random(3).round(3) * 4, domain="integer")
    y = program.variables("y", (2, 2), np.where(rng.random((2, 2)) < 0.4, -np.inf, -1 / 3), 5.0)
    program.variables("spare", (), 1, 2)
    program.add("rows", Rows(rng.normal(size=(4, 3)) @ n + rng.normal(size=(4, 4)) @ y.reshape(4), -5 / 3, 7 / 3))
    program.add("low", y.reshape(4) >= -9)
    objective = (n * rng.normal(size=3)).sum() + y.sum() * 1e-7 + rng.normal()
    (program.minimize if seed % 2 else program.maximize)(objective)
    return program.compile()


@given(st.integers(0, 2**32 - 1))
def test_what_we_write_is_what_we_read(seed: int) -> None:
    form = mixed(seed)
    with TemporaryDirectory() as folder:
        for write, name in ((write_mps, "it.mps"), (write_lp, "it.lp")):
            write(form, Path(folder) / name)
            back, width = read_form(Path(folder) / name), form.shape[1]
            extra = np.append(np.zeros(width), 1.0)[: back.shape[1]]  # LP says the constant as a column
            assert back.objective(extra) == back.constant + back.cost[width:].sum() == form.constant
            np.testing.assert_array_equal(back.cost[:width], form.cost)
            np.testing.assert_array_equal(back.column_lower[:width], form.column_lower)
            np.testing.assert_array_equal(back.column_upper[:width], form.column_upper)
            np.testing.assert_array_equal(back.integer[:width], form.integer)
            np.testing.assert_array_equal(back.A.toarray()[: form.shape[0], :width], form.A.toarray())
            assert back.sense == form.sense


def test_what_is_read_has_the_optimum_that_was_written(tmp_path: Path) -> None:
    for seed in range(6):
        form = mixed(seed)
        for write, name in ((write_mps, "it.mps"), (write_lp, "it.lp")):
            write(form, tmp_path / name)
            assert solved(read_form(tmp_path / name)) == pytest.approx(solved(form), abs=1e-7)


def test_small_coefficients_are_kept(tmp_path: Path) -> None:
    form = read_form(written(tmp_path, "t.mps", MPS.replace("cap 3", "cap 1e-10")))
    assert form.A[0, 2] == 1e-10


def test_a_latin_letter_in_a_comment_is_no_harm(tmp_path: Path) -> None:
    assert read_form(written(tmp_path, "t.mps", b"* na\xefve\n" + MPS.encode())).shape == (3, 3)


HABITS = """max
 obj: 3 x + 2 y + 5 x - y
st
 x+y<4
 c1: 2 x + 3 y - x
   => -1
 c2: y =< 9
 d: x - x + y > -2
Bounds
 x < 3
 x >= -2
 x <= 2
 0 <= y <= 1
Binary
 y
End
"""


def test_an_lp_file_written_by_hand(tmp_path: Path) -> None:
    form = read_form(written(tmp_path, "t.lp", HABITS))
    assert (form.sense, form.cost.tolist(), form.integer.tolist()) == ("max", [8, 1], [False, True])
    assert [span.name for span in form.rows] == ["c1_", "c1", "c2", "d"]
    np.testing.assert_array_equal(form.A.toarray(), [[1, 1], [1, 3], [0, 1], [0, 1]])
    np.testing.assert_array_equal(form.row_lower, [-np.inf, -1, -np.inf, -2])
    np.testing.assert_array_equal(form.row_upper, [4, np.inf, 9, np.inf])
    np.testing.assert_array_equal([form.column_lower, form.column_upper], [[-2, 0], [2, 1]])


def sums(rng: np.random.Generator) -> str:
    signs, names = rng.choice(["+", "-"], 6), rng.choice(["x", "y", "e1_", "free", "a,b"], 6)
    numbers = rng.choice(["2", "0.25", ".5", "4.", "1e1", "0"], 6)
    return " ".join(f"{s} {n} {c}" for s, n, c in zip(signs, numbers, names, strict=True) if c != "e1_")


@pytest.mark.parametrize("seed", range(12))
def test_cplex_and_gurobi_read_the_same(tmp_path: Path, seed: int) -> None:
    cplex, gurobipy = pytest.importorskip("cplex"), pytest.importorskip("gurobipy")
    rng = np.random.default_rng(seed)
    rows = [f" r{i}: {sums(rng)} + 0 x {rng.choice(['<=', '>=', '=', '<', '>'])} {i}" for i in range(4)]
    bounds = [f" {name} {rng.choice(['>= -3', '<= 2', '= 1', '< 5'])}" for name in rng.choice(["x", "y"], 5)]
    text = [f"Maximize\n obj: {sums(rng)} + x + y", "st", *rows, "Bounds", *bounds, "Generals\n y", "End\n"]
    path = written(tmp_path, "t.lp", "\n".join(text))
    form = read_form(path)
    names = [span.name for span in form.columns]
    theirs = cplex.Cplex()
    for mute in (theirs.set_results_stream, theirs.set_log_stream, theirs.set_warning_stream):
        mute(None)
    theirs.read(str(path))
    assert theirs.variables.get_names() == names
    np.testing.assert_allclose(theirs.objective.get_linear(), form.cost, atol=1e-12)
    with gurobipy.Env(params={"OutputFlag": 0}) as env, gurobipy.read(str(path), env) as model:
        columns = model.getVars()
        assert [column.VarName for column in columns] == names
        np.testing.assert_allclose([column.Obj for column in columns], form.cost, atol=1e-12)
        np.testing.assert_allclose(model.getA().toarray(), form.A.toarray(), atol=1e-12)
        np.testing.assert_array_equal([column.LB for column in columns], form.column_lower)
        np.testing.assert_array_equal([column.UB for column in columns], form.column_upper)
    expected = [
        ("G" if np.isinf(b) else "L" if np.isinf(a) else "E")
        for a, b in zip(form.row_lower, form.row_upper, strict=True)
    ]
    assert theirs.linear_constraints.get_senses() == expected


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


def ends(section: str) -> Callable[[str], str]:
    return lambda text: text.replace("ENDATA", f"{section}\nENDATA")


def swaps(old: str, new: str) -> Callable[[str], str]:
    assert old in MPS + LP
    return lambda text: text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (ends("QUADOBJ\n x x 2"), r"line 27: section QUADOBJ \(a quadratic objective\)"),
        (ends("QMATRIX\n x x 2"), "section QMATRIX"),
        (ends("QCMATRIX cap\n x x 2"), r"section QCMATRIX \(quadratic rows\)"),
        (ends("CSECTION k 0.0 QUAD\n x"), r"section CSECTION \(cones\)"),
        (ends("SOS\n S1 s\n    x 1"), r"section SOS \(special ordered sets\)"),
        (ends("SOS1\n S1 s\n    x 1"), "section SOS1"),
        (ends("SETS\n S1 SET s\n SET x 1"), "section SETS"),
        (ends("INDICATORS\n IF cap y 1"), r"section INDICATORS \(indicators\)"),
        (ends("GENCONS\n MIN g\n x"), "section GENCONS"),
        (swaps("COLUMNS", "LAZYCONS\n L lazy\nCOLUMNS"), r"line 8: section LAZYCONS \(lazy rows\)"),
        (swaps("COLUMNS", "USERCUTS\n L cut\nCOLUMNS"), "section USERCUTS"),
        (swaps("ROWS", "OBJNAME\n other\nROWS"), "section OBJNAME"),
        (swaps("ROWS", "OBJSENSE MAX\nROWS"), "'MAX' stands behind the name of section OBJSENSE"),
        (swaps("ROWS", "OBJSENSE\n    UPWARDS\nROWS"), "'UPWARDS' is no sense"),
        (ends("WHATEVER\n x 1"), r"section WHATEVER \(not known\)"),
        (swaps(" UP BND y 4", " SC BND y 4"), "line 25: a semi-continuous column"),
        (swaps("'INTORG'", "'SOSORG'"), "marker 'SOSORG'"),
        (swaps("cap 1\n y tie", "cap one\n y tie"), "'one' is no number"),
        (swaps("cost -2", "cost nan"), "'nan' is no number"),
        (swaps("cost -2", "cost inf"), "'inf' is no number"),
        (swaps("cap 3", "cap 3D2"), "'3D2' is no number"),
        (swaps("cap 3", "cap 1e40"), "greater than 1e"),
        (swaps("cap 3", "cap 1e-14"), r"less than or equal to 1e-12$"),
        (swaps("low 1 cap 3", "low 1 cap 3 tie -1"), "one or two pairs"),
        (swaps("cap 10 low 1", "cap 10 low 1 tie 3"), "one or two pairs"),
        (swaps("z tie -1", "z tye -1"), "'tye' is no row"),
        (swaps("UP BND y 4", "UP BND yy 4"), "'yy' is no column"),
        (swaps("UP BND y 4", "XX BND y 4"), "'XX' is no kind of bound"),
        (swaps(" FR BND z", " FR BND zz"), "'zz' is no column"),
        (swaps("G low", "G cap"), "row 'cap' occurs twice"),
        (swaps("z tie -1", "x tie -1"), "column 'x' occurs twice"),
        (swaps("z tie -1", "z cap -1"), "line 16: row 'cap' occurs twice in section COLUMNS of column 'z'"),
        (swaps("RHS cost -7.5", "RHS cap 3"), "line 19: row 'cap' occurs twice in section RHS"),
        (swaps("RHS cost -7.5", "OTHER tie 3"), "line 19: section RHS has two vectors, 'RHS' and 'OTHER'"),
        (swaps("RNG cap 4", "RNG cap 4 cap 5"), "line 21: row 'cap' occurs twice in section RANGES"),
        (swaps("UP BND y 4", "UP BND y 4\n UP BND y 5"), "line 26: the upper bound of column 'y' occurs twice"),
        (swaps("UP BND y 4", "UP BND y 4\n BV BND y"), "line 26: the upper bound of column 'y' occurs twice"),
        (swaps("UP BND y 4", "UP OTHER y 4"), "line 25: section BOUNDS has two vectors"),
        (swaps("BOUNDS", "RHS\n RHS tie 3\nBOUNDS"), "line 22: section RHS occurs twice"),
        (swaps("RNG cap 4", "RNG cost 4"), "is not valid"),
        (swaps("UP BND y 4", "UP BND y -4"), r"column 'y' has bounds \[0, -4\], which nothing meets; state both"),
        (swaps("L cap", "Q cap"), "want a kind of row"),
        (swaps("ENDATA\n", ""), "ends in section BOUNDS, before ENDATA"),
        (swaps("ENDATA\n", "ENDATA\nNAME again\n"), "more behind ENDATA"),
        (lambda text: text[: text.index("COLUMNS")], "ends in section ROWS, before ENDATA"),
        (lambda text: text[:60], "want one or two pairs"),
        (lambda text: " x 1\n" + text, "line 1: data in no section"),
        (lambda text: "<html><body>404</body></html>", "section <html>"),
    ],
)
def test_mps_that_is_not_what_it_seems(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    path = written(tmp_path, "t.mps", change(MPS))
    with pytest.raises(InputError, match=message) as caught:
        read_form(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (swaps("+ 7.5", "+ [ x^2 ] / 2"), "line 4: a quadratic term"),
        (swaps("low: z >= 1e0", "low: z + [ x^2 ] <= 1"), "line 7: a quadratic term"),
        (swaps("low: z >= 1e0", "low: y = 1 -> z >= 1"), "line 7: an indicator"),
        (swaps("End", "SOS\n s: S1:: x:1 y:2\nEnd"), "line 17: a special ordered set"),
        (swaps("End", "sos2\n s: x:1,y:2 <= 2\nEnd"), "a special ordered set"),
        (swaps("End", "Semi-Continuous\n x\nEnd"), "a semi-continuous column"),
        (swaps("End", "General Constraints\n g: x = MAX ( y , z )\nEnd"), "a general constraint"),
        (swaps("End", "PWLObj\n x: (1,1) (2,3)\nEnd"), "a piecewise linear objective"),
        (swaps("Bounds", "Lazy Constraints\n c: x <= 2\nBounds"), "lazy rows"),
        (swaps("Bounds", "User Cuts\n c: x <= 2\nBounds"), "cuts"),
        (swaps("Maximize", "Maximize multi-objectives"), "several objectives"),
        (swaps("cap: x", "cap: 4 + x"), "line 6: the number 4 in a row is no coefficient"),
        (swaps("+ 3 z", "+ 3 z - 4"), "the number 4 in a row"),
        (swaps("low: z", "low: -2 <= z"), "line 7: the number 2 in a row"),
        (swaps("Maximize", "max:"), "begins with Minimize or Maximize"),
        (lambda text: "Dear all, this is no model. The end", "begins with Minimize or Maximize"),
        (lambda text: "/* lp_solve */\nmax: 3x+2y;\nc1: x+y<=4;\n", "begins with Minimize"),
        (swaps("End\n", ""), "does not finish with End"),
        (lambda text: text[:90], "does not finish with End"),
        (lambda text: text + text, "line 19: there is more behind End"),
        (swaps("Subject To\n", ""), "no section Subject To"),
        (swaps(" y <= 4", " yy <= 4"), "column 'yy' stands in no objective or row"),
        (swaps("Generals\n y", "Generals\n w"), "column 'w' stands in no objective or row"),
        (swaps(" y <= 4", " y <= -4"), r"column 'y' has bounds \[0, -4\], which nothing meets"),
        (swaps("low:", "cap:"), "row 'cap' occurs twice"),
        (swaps("- 2 y", "- nan y"), "line 3: 'nan' is no coefficient"),
        (swaps("z >= 1e0", "z >= y"), "line 7: 'y' stands to the right of '>='"),
        (swaps("z >= 1e0", "z >= 2 y + 1"), "line 7: 'y' stands to the right of '>='"),
        (swaps("z >= 1e0", "z >= 1;"), "line 7: '1;' stands to the right|line 7: ';' stands behind"),
        (swaps("z >= 1e0", "z >= 1 y <= 2"), "line 7: the row that ends here has two relations"),
        (swaps("z >= 1e0", "2 * z >= 1"), r"line 7: '\*': an LP file knows no product sign"),
        (swaps("z >= 1e0", "z == 1"), "line 7: '==' is no relation"),
        (swaps("z >= 1e0", "z - >= 1"), "line 7: nothing stands behind the last '-'"),
        (swaps("- 2 y", "- 2 y x"), r"line 3: want \+ or - between 'y' and 'x'"),
        (swaps("- 2 y", "- 2 3 y"), r"line 3: want \+ or - between '2' and '3'"),
        (swaps("- 2 y", "- 2 y + 3 e5"), "line 3: '3 e5' begins with a power of ten to some readers"),
        (swaps("End", "Bounds\n x <= 3\nEnd"), "line 17: put section Bounds in front of Generals"),
        (swaps(" z free", " y free"), "line 14: column 'y' has an upper bound already, which 'free' takes away"),
        (swaps("- 2 y", "- 2y"), "line 3: '2y' is a product to some readers"),
        (swaps("+ 7.5", "+"), r"line 4: nothing stands behind the last '\+'"),
        (swaps("Bounds", "Bonds"), r"line 12: want \+ or - between 'Bonds' and 'x' \(is one of them a misspelt sec"),
        (swaps("Generals", "Generels"), "line 15: want one bound on a line.* 'Generels' a misspelt section"),
        (swaps("Generals", "Integers"), "line 15: section Integers means Generals to some readers and Binaries to"),
        (swaps("Generals", "Generals\n x\nBinry"), "line 17: column 'Binry' stands in no objective or row"),
        (swaps("Generals", "Binaries"), r"line 16: column 'y' is binary, and has the bounds \[0, 4\]"),
        (swaps(" y <= 4", " y >= inf"), r"column 'y' has bounds \[inf, inf\]"),
        (swaps(" y <= 4", " y <= 4 x >= 2"), "line 13: want one bound on a line"),
        (swaps(" y <= 4", " y >= 1 <= 4"), "line 13: want one bound on a line"),
        (swaps(" y <= 4", " 2 y <= 4"), "line 13: want one bound on a line"),
        (swaps(" y <= 4", " 1 <= y >= 4"), "line 13: want one bound on a line"),
    ],
)
def test_lp_that_is_not_what_it_seems(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    path = written(tmp_path, "t.lp", change(LP))
    with pytest.raises(InputError, match=message) as caught:
        read_form(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.mps", b"", "the file is empty"),
        ("t.lp", b" \n\n", "the file is empty"),
        ("t.mps", b"\x00\x01\xff" * 100, "not a text file"),
        ("t.mps.gz", MPS.encode(), "cannot be read"),
        ("t.mps.gz", gzip.compress(MPS.encode())[:-20], "cannot be read"),
        ("t.lp.gz", gzip.compress(LP.encode())[:30] + b"\0" * 90, "cannot be read"),
        ("t.sol", b"x 1", "must end in .mps"),
        ("mps", b"x 1", "must end in .mps"),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_form(written(tmp_path, name, content))


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.mps: cannot be read \(No such file"):
        read_form(tmp_path / "no.mps")
    (tmp_path / "folder.lp").mkdir()
    with pytest.raises(InputError, match=r"folder\.lp: cannot be read \(Is a directory"):
        read_form(str(tmp_path / "folder.lp"))


def test_a_file_that_unpacks_to_too_much_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LARGEST", 1000)
    path = written(tmp_path, "t.lp.gz", gzip.compress(b" " * 10**6))
    with pytest.raises(InputError, match="larger than"):
        read_form(path)


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    read_form(written(tmp_path, "t.lp", LP))
    with pytest.raises(InputError):
        read_form(written(tmp_path, "u.lp", LP.replace("low: z", "low: y = 1 -> z")))
    assert capfd.readouterr() == ("", "")


@given(st.integers(0, 2**32 - 1), st.sampled_from([("t.mps", MPS), ("t.lp", LP)]))
def test_damaged_files_are_read_or_refused_and_nothing_else(seed: int, file: tuple[str, str]) -> None:
    rng, (name, text) = np.random.default_rng(seed), file
    content = bytearray(text.encode())
    for _ in range(int(rng.integers(1, 6))):
        i = int(rng.integers(len(content) - 10))
        content[i : i + int(rng.integers(0, 4))] = (
            rng.integers(1, 256, int(rng.integers(0, 4))).astype(np.uint8).tobytes()
        )
    with TemporaryDirectory() as folder:
        try:
            form = read_form(written(Path(folder), name, bytes(content)))
        except InputError:
            return
        assert np.isfinite(form.A.data).all()
        assert (form.column_lower <= form.column_upper).all()


# ── as other readers read ──────────────────────────────────────────────────────────────────────────────────────────


def random_lp(seed: int) -> str:
    """A file in the words that all readers share: wrapped, spaced and abbreviated as it happens."""
    rng = np.random.default_rng(seed)
    columns = [str(name) for name in rng.permutation(["x", "y", "z", "x1", "y_2", "abc", "a.b", "Z(1)", "x#3"])[:5]]

    def number() -> str:
        size = rng.random() * 10
        return [f"{size:.3g}", f"{size:.0f}", f"{size:.0f}e{rng.integers(-2, 3)}", f".{rng.integers(1, 9)}"][
            rng.integers(4)
        ]

    def total(names: list[str]) -> str:
        text = ""
        for position, name in enumerate(names):
            sign = ["+", "-"][rng.integers(2)] if position or rng.random() < 0.5 else ""
            gap = [" ", "  ", "\n "][rng.integers(3)]
            text += f"{gap}{sign} {number() if rng.random() < 0.8 else ''} {name}"
        return text

    lines = [["Minimize", "MAXIMIZE", "max"][rng.integers(3)], ["", " obj:"][rng.integers(2)] + total(columns)]
    lines.append(["Subject To", "st", "s.t.", "such that"][rng.integers(4)])
    for row in range(rng.integers(1, 5)):
        names = [columns[j] for j in rng.integers(len(columns), size=rng.integers(1, 5))]  # one may come twice
        side = ["", "-"][rng.integers(2)] + number()
        lines.append(
            f"{['', f' row{row}:'][rng.integers(2)]}{total(names)} {['<=', '>=', '=', '<'][rng.integers(4)]} {side}"
        )
    lines.append("Bounds")
    for name in columns[:3]:
        low, high = f"-{number()}", number()
        ways = [
            f"{name} >= {low}",
            f"{low} <= {name} <= {high}",
            f"{name} = {high}",
            f"{name} free",
            f"-inf <= {name} <= {high}",
        ]
        lines.append(f" {ways[rng.integers(len(ways))]}")
    lines += ["Generals", f" {columns[3]}", "End"]
    return "\n".join(lines) + "\n"


def test_files_mean_what_they_mean_to_gurobi(tmp_path: Path) -> None:
    gurobipy = pytest.importorskip("gurobipy")
    with gurobipy.Env(params={"OutputFlag": 0}) as environment:
        for seed in range(60):
            path = written(tmp_path, "it.lp", random_lp(seed))
            form = read_form(path)
            with gurobipy.read(str(path), environment) as model:
                columns, rows, A = model.getVars(), model.getConstrs(), model.getA().toarray()
                order = [[column.VarName for column in columns].index(span.name) for span in form.columns]
                np.testing.assert_allclose(A[:, order], form.A.toarray(), atol=1e-12)
                np.testing.assert_allclose([columns[j].Obj for j in order], form.cost, atol=1e-12)
                np.testing.assert_array_equal([columns[j].LB for j in order], form.column_lower)
                np.testing.assert_array_equal([columns[j].UB for j in order], form.column_upper)
                assert [columns[j].VType == "I" for j in order] == form.integer.tolist()
                assert (model.ModelSense > 0) == (form.sense == "min")
                senses = {"<": "row_upper", ">": "row_lower", "=": "row_lower"}
                sides = [getattr(form, senses[row.Sense])[i] for i, row in enumerate(rows)]
                np.testing.assert_array_equal([row.RHS for row in rows], sides)
                equal = form.row_lower == form.row_upper
                assert [row.Sense == "=" for row in rows] == equal.tolist()


@pytest.mark.parametrize(
    "row",
    [
        "3 x + 2 y <= 4",
        "x + y + x >= -1e2",
        "a: - .5 x - y = 3",
        "a : + 2.e1 x\n -y\n <=\n 7",
        "2 x + 0 y => - 3",
        "x < 1",
    ],
)
def test_plain_rows_are_read_as_they_are_word_by_word(
    row: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "it.lp", f"min\n x + y\nst\n {row}\nEnd\n")
    fast = read_form(path)
    monkeypatch.setattr("oamip.solving.scanning.lp.plain_row", lambda text: None)
    slow = read_form(path)
    np.testing.assert_array_equal(fast.A.toarray(), slow.A.toarray())
    assert (fast.rows, fast.columns) == (slow.rows, slow.columns)
    assert (fast.row_lower[0], fast.row_upper[0]) == (slow.row_lower[0], slow.row_upper[0])


@pytest.mark.parametrize(
    "row", ["2x <= 1", "3 e5 <= 1", "x + inf <= 1", "x y <= 1", "x <= y", "x^2 <= 1", "2 <= x", "x == 1"]
)
def test_rows_that_are_not_plain_are_refused_by_line(row: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 4"):
        read_form(written(tmp_path, "it.lp", f"min\n x + y\nst\n {row}\nEnd\n"))
