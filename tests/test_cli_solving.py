"""``oamip export``, ``oamip solve`` and ``oamip solvers``: a model travels, and any solver solves it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calling import oamip

MODEL = """\\* ten coins *\\
Maximize
 obj: 3 a + 4 b + 6 c + 5
Subject To
 weight: 2 a + 3 b + 4 c <= 10.5
Bounds
 a <= 4
 b <= 4
 c <= 4
General
 a b c
End
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "coins.lp").write_text(MODEL)
    return tmp_path


@pytest.mark.parametrize("solver", ["highs", "scip", "cbc", "gurobi", "cplex"])
def test_a_file_is_solved_by_every_solver_alike(folder: Path, solver: str) -> None:
    flags = ("--solver", solver, "--json", "answer.json", *(["--no-isolate"] if solver == "highs" else []))
    out, _ = oamip("solve", "coins.lp", *flags, cwd=folder)
    answer = json.loads((folder / "answer.json").read_text())
    assert (answer["reason"], answer["held"], answer["objective"], answer["bound"]) == ("optimal", "proven", 20, 20)
    assert answer["verified"]
    assert sum(answer["values"][name] * weight for name, weight in (("a", 2), ("b", 3), ("c", 4))) <= 10.5
    assert "proven" in out
    assert f"solver     {solver} " in out


def test_the_solvers_log_and_the_explanation_are_shown(folder: Path) -> None:
    out, _ = oamip("solve", "coins.lp", "--log", "--explain", "--no-isolate", cwd=folder)
    assert "HiGHS" in out
    assert "no atoms: every row reached the solver as it is" in out


def test_infeasible_is_an_answer_and_no_point_is_a_failure(folder: Path) -> None:
    (folder / "never.lp").write_text(MODEL.replace("c <= 10.5", "c >= 100"))
    out, _ = oamip("solve", "never.lp", "--no-isolate", cwd=folder)
    assert "infeasible" in out
    assert "weight" in out
    _, err = oamip(
        "solve", "coins.lp", "--time-limit", "0", "--no-isolate", "--json", "left.json", cwd=folder, status=1
    )
    assert "holds no point" in err.splitlines()[-1]
    assert json.loads((folder / "left.json").read_text())["objective"] is None  # written all the same


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("solve", "none.lp"), "none.lp"),
        (("solve", "coins.txt"), "coins.txt"),
        (("solve", "coins.lp", "--solver", "nonesuch"), "no solver 'nonesuch'"),
        (("solve", "coins.lp", "--backend", "pyomo"), "a file is a model already"),
        (("solve", "coins.lp", "--jobs", "2"), "--jobs 2: a file is one program"),
        (("solve", "coins.lp", "--raw", "no_such_option=1", "--no-isolate"), "no_such_option"),
        (("solve", "coins.lp", "--raw", "no_such_option=1"), "no_such_option"),  # from the other process too
        (("export", "digits-mlp", "--out", "model.txt"), "must end in .mps or .lp"),
        (("export", "digits-mlp", "--out", "m.mps", "--jobs", "0"), "--jobs 0: at least 1"),
    ],
)
def test_wrong_calls_get_one_clear_line(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    (folder / "coins.txt").write_text(MODEL)
    _, err = oamip(*arguments, cwd=folder, status=2)
    lines = [line for line in err.splitlines() if line.startswith("oamip: ")]
    assert len(lines) == 1
    assert message in lines[0]


@pytest.mark.parametrize("ending", ["mps", "lp"])
def test_an_exported_program_gives_the_same_answer_elsewhere(folder: Path, ending: str) -> None:
    flags = ("--train-epochs", "2", "--samples", "20", "--cache", "cache")
    oamip("score", "digits-mlp", *flags, "--json", "facts.json", "--no-isolate", cwd=folder)
    facts = json.loads((folder / "facts.json").read_text())["facts"]
    out, _ = oamip("export", "digits-mlp", *flags, "--out", f"digits.{ending}", "--explain", cwd=folder)
    assert f"Written to digits.{ending}" in out
    oamip("solve", f"digits.{ending}", "--solver", "scip", "--json", "answer.json", cwd=folder)
    answer = json.loads((folder / "answer.json").read_text())
    assert answer["objective"] == pytest.approx(facts["objective"], rel=1e-5)


def test_export_refines_cross_entropy_and_says_how_well(folder: Path) -> None:
    flags = ("--train-epochs", "2", "--published", "--cache", "cache")
    out, _ = oamip("export", "digits-mlp", *flags, "--out", "digits.mps", cwd=folder)
    assert "tangents, relative gap" in out
    assert "stand for the convex epigraphs" in (folder / "digits.mps").read_text()[:2000]


def test_export_wants_one_program(folder: Path) -> None:
    flags = ("--train-epochs", "1", "--cache", "cache", "--out", "digits.mps")
    for more, message in ((["--by-class"], "many programs"), (["--formulation", "l2"], "is a baseline")):
        _, err = oamip("export", "digits-mlp", *flags, *more, cwd=folder, status=2)
        assert message in err
    assert not (folder / "digits.mps").exists()


def test_by_class_runs_side_by_side_and_comes_out_the_same(folder: Path) -> None:
    flags = ("--train-epochs", "2", "--samples", "40", "--cache", "cache", "--by-class")
    oamip("score", "digits-mlp", *flags, "--out", "one.json", "--no-isolate", cwd=folder)
    oamip("score", "digits-mlp", *flags, "--out", "many.json", "--jobs", "3", cwd=folder)
    one, many = (json.loads((folder / name).read_text())["scores"]["values"] for name in ("one.json", "many.json"))
    assert one == many


def test_solvers_shows_the_grid_and_probes_licences(folder: Path) -> None:
    out, _ = oamip("solvers", "--json", "solvers.json", cwd=folder)
    pairs = json.loads((folder / "solvers.json").read_text())
    assert {(pair["backend"], pair["solver"]) for pair in pairs} >= {
        (backend, solver)
        for backend in ("matrix", "pyomo", "cvxpy", "pulp")
        for solver in ("highs", "scip", "cbc", "gurobi", "cplex")
    }
    assert all(pair["licence"] is None for pair in pairs)
    assert "Backends × solvers" in out


def test_solvers_check_says_what_each_licence_allows(folder: Path) -> None:
    oamip("solvers", "--check", "--json", "solvers.json", cwd=folder)
    licences = {pair["solver"]: pair["licence"] for pair in json.loads((folder / "solvers.json").read_text())}
    assert [licences[name] for name in ("highs", "scip", "cbc")] == ["full"] * 3
    for name in ("gurobi", "cplex"):
        assert licences[name].split(":")[0] in ("full", "limited", "none")


def test_a_language_may_solve_its_own_model(folder: Path) -> None:
    flags = ("--train-epochs", "2", "--published", "--cache", "cache", "--json", "facts.json")
    oamip("score", "digits-mlp", *flags, "--no-isolate", cwd=folder)
    tangents = json.loads((folder / "facts.json").read_text())["facts"]["objective"]
    native = ("--backend", "cvxpy", "--solver", "clarabel", "--route", "native")
    oamip("score", "digits-mlp", *flags, *native, cwd=folder)
    assert json.loads((folder / "facts.json").read_text())["facts"]["objective"] == pytest.approx(tangents, rel=1e-4)


def test_the_version_of_an_executable_is_its_own(folder: Path) -> None:
    oamip("solve", "coins.lp", "--solver", "cbc", "--json", "answer.json", cwd=folder)
    assert json.loads((folder / "answer.json").read_text())["version"].startswith("2.")
