import gzip
import itertools
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oamip.bounds import interval
from oamip.errors import InputError, ModelFileError
from oamip.network import pullback
from oamip.properties import parse_vnnlib, read_vnnlib

onnx = pytest.importorskip("onnx")
reference = pytest.importorskip("onnx.reference")

HEAD = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)"
BOX = "(assert (<= X_0 1)) (assert (>= X_0 -1)) (assert (<= X_1 2)) (assert (>= X_1 0))"

# file, network, answer, (boxes, polyhedra per box, rows per polyhedron)
REAL = [
    ("prop_1", "ACASXU_run2a_1_1_batch_2000", "unsat", (1, 1, 1)),
    ("prop_2", "ACASXU_run2a_1_1_batch_2000", "unsat", (1, 1, 4)),
    ("prop_3", "ACASXU_run2a_1_1_batch_2000", "unsat", (1, 1, 4)),
    ("prop_4", "ACASXU_run2a_1_1_batch_2000", "unsat", (1, 1, 4)),
    ("prop_0_0.03", "mnist-net_256x2", "unsat", (1, 9, 1)),
    ("prop_3_0.03", "mnist-net_256x2", "unsat", (1, 9, 1)),
    ("prop_4_0.03", "mnist-net_256x2", "unsat", (1, 9, 1)),
    ("prop_1_0.03", "mnist-net_256x2", "sat", (1, 9, 1)),
    ("prop_1_0.05", "mnist-net_256x2", "sat", (1, 9, 1)),
    ("cifar_base_kw-img2908-eps0.019869281045751634", "cifar_base_kw", "unsat", (1, 9, 1)),
    ("cifar_base_kw-img4549-eps0.00392156862745098", "cifar_base_kw", "unsat", (1, 9, 1)),
    ("cartpole_case_safe_50", "cartpole", "unsat", (1, 1, 1)),
    ("cartpole_case_unsafe_0", "cartpole", "unsat", (1, 1, 1)),
]


@pytest.mark.parametrize(("name", "net", "answer", "form"), REAL)
def test_real_properties_have_their_known_answer_on_attacked_points(name, net, answer, form, shared, rng):
    from oamip.readers.onnx_graph import read_onnx

    asked = read_vnnlib(shared / "networks" / f"{name}.vnnlib")
    network = read_onnx(shared / "networks" / f"{net}.onnx")
    boxes, polyhedra, rows = form
    assert len(asked.cases) == boxes
    assert {len(case.unsafe) for case in asked.cases} == {polyhedra}
    assert {part.A.shape for case in asked.cases for part in case.unsafe} == {(rows, asked.outputs)}
    shape = network[network.inputs[0]].shape
    assert (int(np.prod(shape)), network.output.shape) == (asked.inputs, (asked.outputs,))
    (case,) = asked.cases
    found = False
    for part in case.unsafe:
        x = _attacked(network, case.box, part, shape, rng)
        counterexample = asked.holds(x, network(x))
        found |= bool(counterexample.any())
        if counterexample.any():  # in single precision too, as ONNX's own reference computes it
            point = x[counterexample.argmax()][None]
            model = onnx.load(shared / "networks" / f"{net}.onnx")
            (y,) = reference.ReferenceEvaluator(model).run(None, {"0": point.astype(np.float32)})
            assert asked.holds(point, y).all()
    assert found == (answer == "sat")


def _attacked(network, box, part, shape, rng, steps=6):
    """Points of the box that gradient steps have moved towards a polyhedron."""
    x = box.sample(rng, 2).reshape(2, -1)
    width = box.upper - box.lower
    for step in range(steps):
        values = network.evaluate(x.reshape(-1, *shape))
        worst = (values[network.output.name] @ part.A.T - part.b).argmax(axis=1)
        slope = pullback(network, values, part.A[worst][None])[network.inputs[0]].reshape(len(x), -1)
        x = np.clip(x - width * np.sign(slope) / (1 + step), box.lower, box.upper)
    return x.reshape(-1, *shape)


def test_bounds_prove_what_they_can(shared):
    # Interval arithmetic on a box shrunk to a point around its centre decides the property there.
    from oamip.bounds import Box
    from oamip.readers.onnx_graph import read_onnx

    asked = read_vnnlib(shared / "networks" / "cartpole_case_safe_50.vnnlib")
    network = read_onnx(shared / "networks" / "cartpole.onnx")
    (case,) = asked.cases
    centre = (case.box.lower + case.box.upper) / 2
    lower, upper = interval(network, Box.of(centre, centre))[network.output.name]
    (part,) = case.unsafe
    least = np.maximum(part.A, 0) @ lower[0] + np.minimum(part.A, 0) @ upper[0]
    assert (least > part.b).any()
    assert not asked.holds(centre, network(centre)).any()


# ── semantics ────────────────────────────────────────────────────────────────────────────────────────────────────────

CONDITIONS = st.recursive(
    st.tuples(
        st.sampled_from(["<=", ">="]),
        st.sampled_from(["X_0", "X_1", "Y_0", "Y_1", "(- Y_0 Y_1)", "(+ (* 2 Y_0) (* Y_1 -0.5) 1)", "(/ Y_1 2.0)"]),
        st.sampled_from(["0", "-0.5", "1e0", "(- 1)", "0.25", "(* 2 0.5)"]),
    ),
    lambda inner: st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3)),
    max_leaves=6,
)


def _text(condition):
    if len(condition) == 3:
        operator, left, right = condition
        return f"({operator} {left} {right})"
    operator, parts = condition
    return f"({operator} {' '.join(map(_text, parts))})"


def _truth(condition, values):
    """The condition as Python understands it."""
    if len(condition) == 3:
        operator, left, right = condition
        a, b = (_number(side, values) for side in (left, right))
        return a <= b if operator == "<=" else a >= b
    operator, parts = condition
    return (all if operator == "and" else any)(_truth(part, values) for part in parts)


def _number(side, values):
    words = {
        "(- Y_0 Y_1)": values["Y_0"] - values["Y_1"],
        "(+ (* 2 Y_0) (* Y_1 -0.5) 1)": 2 * values["Y_0"] - 0.5 * values["Y_1"] + 1,
        "(/ Y_1 2.0)": values["Y_1"] / 2,
        "(- 1)": -1.0,
        "(* 2 0.5)": 1.0,
        **values,
    }
    return words[side] if side in words else float(side)


@given(st.lists(CONDITIONS, min_size=1, max_size=3))
def test_a_property_holds_exactly_where_its_text_does(conditions):
    asked = parse_vnnlib(HEAD + BOX + "".join(f"(assert {_text(condition)})" for condition in conditions))
    grid = [-1.25, -1.0, -0.5, 0.0, 0.25, 1.0, 1.75]
    points = np.array(list(itertools.product(grid, repeat=4)))
    held = asked.holds(points[:, :2], points[:, 2:])
    for point, answer in zip(points[::5], held[::5], strict=True):
        values = dict(zip(("X_0", "X_1", "Y_0", "Y_1"), point, strict=True))
        inside = -1 <= point[0] <= 1 and 0 <= point[1] <= 2
        assert answer == (inside and all(_truth(condition, values) for condition in conditions))


def test_boxes_that_differ_are_cases_and_equal_ones_share_theirs():
    halves = [f"(and (>= X_0 {a}) (<= X_0 {b}) (<= Y_0 {c}))" for a, b, c in ((-1, 0, 1), (0, 1, 2), (-1, 0, -3))]
    asked = parse_vnnlib(f"{HEAD}{BOX}(assert (or {' '.join(halves)}))")
    assert [len(case.unsafe) for case in asked.cases] == [2, 1]
    np.testing.assert_array_equal(asked.cases[1].box.lower, [[0, 0]])


def test_what_no_input_fulfils_leaves_no_case():
    assert parse_vnnlib(f"{HEAD}{BOX}(assert (>= X_0 3))").cases == ()
    assert parse_vnnlib(f"{HEAD}{BOX}(assert (<= 1 0))").cases == ()
    asked = parse_vnnlib(f"{HEAD}{BOX}(assert (or (and (<= X_0 -2) (<= Y_0 0)) (<= Y_1 0)))")
    assert [len(case.unsafe) for case in asked.cases] == [1]
    assert not parse_vnnlib(f"{HEAD}{BOX}(assert (or))").cases


def test_an_equation_is_two_rows():
    (case,) = parse_vnnlib(f"{HEAD}{BOX}(assert (= X_0 0.5)) (assert (= Y_0 Y_1))").cases
    assert case.box.lower[0, 0] == case.box.upper[0, 0] == 0.5
    assert case.unsafe[0].A.tolist() == [[1, -1], [-1, 1]]


def test_other_spellings_are_read():
    text = """; a comment with (assert
        (set-logic QF_LRA) (declare-fun X_0 () Real) (declare-fun Y_0 () Real) ; (assert (<= Y_0 5))
        (assert (and (<= X_0 (- 0.5)) (>= X_0 -1.5e+0) (<= 2.5e-1 Y_0))) (check-sat)"""
    (case,) = parse_vnnlib(text).cases
    assert (case.box.lower.item(), case.box.upper.item()) == (-1.5, -0.5)
    assert (case.unsafe[0].A.item(), case.unsafe[0].b.item()) == (-1, -0.25)


def test_a_packed_file_is_read(tmp_path):
    (tmp_path / "p.vnnlib.gz").write_bytes(gzip.compress((HEAD + BOX + "(assert (<= Y_0 0))").encode()))
    assert len(read_vnnlib(tmp_path / "p.vnnlib.gz").cases) == 1


def test_a_tolerance_widens_boxes_and_rows():
    asked = parse_vnnlib(f"{HEAD}{BOX}(assert (<= Y_0 0))")
    near = [[1.0 + 1e-7, 0.0]], [[1e-7, 5.0]]
    assert not asked.holds(*near).any()
    assert asked.holds(*near, tolerance=1e-6).all()


def test_samples_of_other_sizes_are_refused():
    asked = parse_vnnlib(f"{HEAD}{BOX}(assert (<= Y_0 0))")
    for x, y in (([[0, 0, 0]], [[0, 0]]), ([[0, 0]], [[0]]), ([[0, 0]], [[0, 0], [0, 0]])):
        with pytest.raises(InputError, match="2 inputs and 2 outputs"):
            asked.holds(x, y)


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────

WRONG = {
    "open": (f"{HEAD}{BOX}(assert (<= Y_0 0)", "not closed"),
    "closed": (f"{HEAD}{BOX}(assert (<= Y_0 0)))", "never opened"),
    "deep": ("(" * 5000 + ")" * 5000, "deeper"),
    "no condition": (f"{HEAD}{BOX}(assert)", "'assert'"),
    "strict": (f"{HEAD}{BOX}(assert (< Y_0 0))", r"\(< Y_0 0\).*write it with and, or"),
    "negation": (f"{HEAD}{BOX}(assert (not (<= Y_0 0)))", "not"),
    "three sides": (f"{HEAD}{BOX}(assert (<= 0 Y_0 1))", "two sides"),
    "product": (f"{HEAD}{BOX}(assert (<= (* Y_0 Y_1) 0))", r"\(\* Y_0 Y_1\)' is no linear term"),
    "by zero": (f"{HEAD}{BOX}(assert (<= (/ Y_0 0) 0))", "no linear term"),
    "infinite": (f"{HEAD}{BOX}(assert (<= Y_0 1e999))", "too large"),
    "nan": (f"{HEAD}{BOX}(assert (<= Y_0 nan))", "'nan' is used and not declared"),
    "undeclared": (f"{HEAD}{BOX}(assert (<= Y_2 0))", "'Y_2' is used and not declared"),
    "gap": ("(declare-const X_0 Real)(declare-const X_2 Real)(declare-const Y_0 Real)", "without gaps"),
    "huge": ("(declare-const X_999999999999 Real)", "real number X_i"),
    "twice": (f"{HEAD}(declare-const X_0 Real)", "each once"),
    "integer": ("(declare-const X_0 Int)", "real number"),
    "nothing": ("", "declare X_0"),
    "no bound": (f"{HEAD}(assert (<= X_0 1))(assert (<= Y_0 1))", "X_0 has no lower bound"),
    "mixed": (f"{HEAD}{BOX}(assert (<= X_0 Y_0))", "relates X_0, Y_0"),
    "input row": (f"{HEAD}{BOX}(assert (<= (+ X_0 X_1) 1))", "relates X_0, X_1"),
    "version 2": ("(vnnlib-version <2.0>)", "'vnnlib-version'"),
    "too many": (f"{HEAD}{BOX}" + "(assert (or (<= Y_0 0) (<= Y_1 0)))" * 40, "more than 100000 cases"),
    "too many inside": (f"{HEAD}{BOX}(assert (and {'(or (<= Y_0 0) (<= Y_1 0))' * 40}))", "more than 100000 cases"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_told_in_one_error(name, tmp_path):
    text, words = WRONG[name]
    (tmp_path / "p.vnnlib").write_text(text)
    with pytest.raises(ModelFileError, match=words) as told:
        read_vnnlib(tmp_path / "p.vnnlib")
    assert "p.vnnlib" in str(told.value)
    assert len(str(told.value)) < 400


def test_files_that_are_no_text_or_missing_are_told(tmp_path):
    (tmp_path / "p.vnnlib").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelFileError, match="no text"):
        read_vnnlib(tmp_path / "p.vnnlib")
    with pytest.raises(ModelFileError, match="missing"):
        read_vnnlib(tmp_path / "q.vnnlib")
    (tmp_path / "p.vnnlib.gz").write_bytes(gzip.compress(b" " * (2**26 + 1)))
    with pytest.raises(ModelFileError, match="more than"):
        read_vnnlib(tmp_path / "p.vnnlib.gz")
    (tmp_path / "p.vnnlib.gz").write_bytes(gzip.compress(b"(assert)")[:-9])
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_vnnlib(tmp_path / "p.vnnlib.gz")


@given(st.data())
def test_damaged_text_never_ends_in_another_error(data):
    text = HEAD + BOX + "(assert (or (and (<= Y_0 0) (>= Y_1 (* 2 Y_0))) (<= Y_1 -1)))"
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 12))
    extra = data.draw(st.text("()<=>XY_019.e+-*/ andor;\n", max_size=8))
    with suppress(InputError):
        parse_vnnlib(text[:at] + extra + text[at + cut :])
