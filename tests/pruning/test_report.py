"""Measuring modules, and reports that say in words what the numbers mean."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from oamip.decision import Decision
from oamip.errors import DataError
from oamip.network import find_groups
from oamip.pruning.measure import Measured, Row, measure
from oamip.pruning.report import GroupCount, Report, SolverFacts, group_counts, versions
from oamip.readers import read
from oamip.solution import Seconds, Solution


def module() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 36, 4))


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_parameters_macs_and_bytes_are_those_of_the_layers() -> None:
    measured = measure(module(), np.zeros((5, 3, 8, 8)), np.zeros(5, int), units=16, rounds=1)
    assert measured.params == 16 * 27 + 16 + 2 * 16 + 4 * 576 + 4
    assert measured.macs == 16 * 27 * 36 + 4 * 576
    assert measured.flops == 2 * measured.macs
    assert measured.bytes == 4 * (measured.params + 2 * 16) + 8  # running mean and variance, and a counter of 8 bytes
    assert (measured.units, measured.batch, measured.threads, measured.device) == (16, 32, 1, "cpu")
    assert 0 < measured.seconds < 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_accuracy_is_that_of_the_module_in_evaluation_mode(dtype: torch.dtype) -> None:
    net, x = module().to(dtype), torch.randn(600, 3, 8, 8)
    y = net.eval()(x.to(dtype)).argmax(dim=1).numpy()
    y[:150] = (y[:150] + 1) % 4
    net.train()
    net[1].eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    measured = measure(net, x.numpy(), y, rounds=1)
    assert (measured.metric, measured.score) == ("accuracy", 0.75)
    assert [part.training for part in net] == [True, False, True, True, True]
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_real_targets_give_the_mean_squared_error() -> None:
    net, x = nn.Linear(4, 2), np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    outputs = net(torch.from_numpy(x)).detach().numpy()
    measured = measure(net, x, (outputs + np.array([1.0, 3.0])).astype(np.float32), rounds=1)
    assert measured.metric == "mse"
    assert measured.score == pytest.approx(5.0)
    assert measured.macs == 8


def test_timing_leaves_the_number_of_threads_as_it_was() -> None:
    before = torch.get_num_threads()
    measured = measure(nn.Linear(2, 2), np.zeros((1, 2)), np.zeros(1, int), batch=7, threads=1, rounds=1)
    assert measured.batch == 7
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((3, 2)), None, "give labels"),
        (np.zeros((0, 2)), np.zeros(0, int), "0 samples"),
        (np.zeros((3, 2)), np.zeros(2, int), "3 samples with 2 targets"),
        (np.zeros((3, 2)), np.zeros((3, 5), np.float32), "gives .* values, y has"),
    ],
)
def test_data_that_do_not_fit_are_refused(x: np.ndarray, y: np.ndarray | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        measure(nn.Linear(2, 4), x, y)


def test_groups_are_counted_also_where_the_decision_is_silent() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    groups = find_groups(read(net, torch.zeros(1, 2)))
    decision = Decision({"2": np.array([True, False, False, True, False])})
    assert group_counts(groups, decision) == (GroupCount("0", 3, 3), GroupCount("2", 2, 5))


# ── reporting ────────────────────────────────────────────────────────────────────────────────────────────────────────

ORIGINAL = Measured("accuracy", 0.981, 10_000, 61_706, 416_520, 246_824, 9.4e-4, 32, 1, "cpu", 226, 9.0e-4, 9.9e-4)
SMALL = replace(
    ORIGINAL,
    score=0.962,
    params=31_655,
    macs=210_000,
    bytes=126_620,
    seconds=5.2e-4,
    units=120,
    fastest=5.0e-4,
    slowest=6e-4,
)


def report(*rows: Row, **facts: object) -> Report:
    return Report("lenet5", [Row("original", "", ORIGINAL), *rows], **facts)


PRUNED = (Row("importance", "removed", SMALL), Row("importance", "refit", replace(SMALL, score=0.978)))
BASELINES = (
    Row("l2", "removed", replace(SMALL, score=0.99), baseline=True),
    Row("random", "refit", replace(SMALL, score=0.52), baseline=True),
    Row("l2", "refit", replace(SMALL, score=0.969), baseline=True),
)
FULL = report(
    *PRUNED,
    *BASELINES,
    method="importance (linear)",
    budget="params=0.52",
    data="mnist: 10 classes\n  test  5,000 samples",
    seed=3,
    groups=[GroupCount("conv1", 4, 6), GroupCount("fc1", 40, 120)],
    solver=SolverFacts("pyomo", "highs", "1.14.0", "optimal", "proven", 1.5, -math.inf, 1894, 241, 0.43),
    versions={"torch": "2.13.0"},
)


def test_the_conclusion_says_what_came_of_it() -> None:
    assert FULL.conclusion() == (
        "The network keeps 51.3 % of its parameters and 97.8 % accuracy (was 98.1 %). "
        "It is 1.8 times as fast here: 520 µs instead of 940 µs for 32 samples on cpu. "
        "At the same budget and stage (refit), importance is better than the best simple baseline, l2: "
        "97.8 % against 96.9 %."
    )


def test_the_conclusion_is_as_plain_about_bad_news() -> None:
    slower = replace(SMALL, seconds=2e-3, fastest=1.5e-3, slowest=3e-3)
    text = report(Row("importance", "removed", slower), BASELINES[0]).conclusion()
    assert "It is slower here: 2 ms instead of 940 µs" in text
    assert "importance is worse than the best simple baseline, l2: 96.2 % against 99.0 %" in text
    alike = replace(SMALL, seconds=8e-4, fastest=7e-4, slowest=9.1e-4)  # its slowest round is no faster
    assert "this machine's own fluctuations" in report(Row("importance", "removed", alike)).conclusion()
    assert report().conclusion() == "Nothing was removed: all 61,706 parameters are still there."


def test_a_fine_tuned_network_is_not_held_against_baselines_that_are_not() -> None:
    tuned = Row("importance", "fine-tuned", replace(SMALL, score=0.999))
    text = report(*PRUNED, tuned, *BASELINES).conclusion()
    assert "99.9 % accuracy" in text
    assert "stage (refit)" in text
    assert "baseline" not in report(tuned, *BASELINES).conclusion()


def test_a_smaller_squared_error_is_better() -> None:
    rows = [Row("importance", "refit", replace(SMALL, metric="mse", score=0.25))]
    rows += [Row("l1", "refit", replace(SMALL, metric="mse", score=score), baseline=True) for score in (0.5, 0.3)]
    regression = Report("fit", [Row("original", "", replace(ORIGINAL, metric="mse", score=0.125)), *rows])
    assert "has a mean squared error of 0.25 (was 0.125)" in regression.conclusion()
    assert "better than the best simple baseline, l1: 0.25 against 0.3" in regression.conclusion()
    assert "squared error ↓" in regression.table()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_table_shows_every_number_whole_at_any_width(width: int) -> None:
    text = FULL.table(width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "\x1b" not in text
    for part in ("61,706", "31,655", "51.3 %", "210,000", "246.8 kB", "520 µs", "97.8 %", "conv1 keeps 4 of 6 units"):
        assert part in text
    words = " ".join(text.split())
    assert FULL.conclusion() in words
    for part in ("MACs are multiply-adds", "32 samples on cpu, 1 thread", "mnist: 10 classes", "Seed: 3, torch 2.13.0"):
        assert part in words
    assert "highs 1.14.0 through pyomo, 1,894 rows × 241 columns, optimal in 430 ms" in words


def test_the_table_has_colours_when_asked_for() -> None:
    assert "\x1b[" in FULL.table(colour=True)


def test_names_in_brackets_are_not_taken_for_markup() -> None:
    text = Report("net[bold]", [Row("[red]", "", ORIGINAL)], groups=[GroupCount("a[0]", 1, 2)]).table()
    assert all(name in text for name in ("net[bold]", "[red]", "a[0] keeps"))


def test_the_markdown_has_tables_of_one_width_each() -> None:
    lines = FULL.markdown().splitlines()
    assert lines[0] == "## lenet5 pruned by importance (linear) to params=0.52"
    assert FULL.conclusion() in lines
    assert {line.count("|") for line in lines if line.startswith("|")} == {9, 4}
    assert "| random, refit (baseline) | 52.0 % | 31,655 | 51.3 % | 210,000 | 50.4 % | 126.6 kB | 520 µs |" in lines
    assert "* Data: mnist: 10 classes; test  5,000 samples" in lines


def test_the_dictionary_is_plain_json_with_raw_flops() -> None:
    data = json.loads(json.dumps(FULL.to_dict(), allow_nan=False))
    assert data["rows"][0]["measured"]["flops"] == 833_040
    assert [row["stage"] for row in data["rows"]] == ["", "removed", "refit", "removed", "refit", "refit"]
    assert data["solver"]["bound"] is None
    assert data["groups"][1] == {"name": "fc1", "kept": 40, "total": 120}
    assert data["conclusion"] == FULL.conclusion()
    assert report().to_dict()["solver"] is None


def test_solver_facts_are_those_of_the_solution() -> None:
    solution = Solution("optimal", "proven", 1.0, 0.5, {}, "pyomo", "highs", "1.14", Seconds(1.0, 2.0, 3.0), rows=4)
    facts = SolverFacts.of([solution])
    assert (facts.backend, facts.solver, facts.held, facts.bound, facts.rows) == ("pyomo", "highs", "proven", 0.5, 4)
    assert facts.seconds == 6.0
    assert not facts.warning()


def test_scores_that_are_not_proven_are_said_to_be_so() -> None:
    proven = Solution("optimal", "proven", 1.0, 1.0, {}, "matrix", "highs", "1.14", Seconds(1.0))
    stopped = replace(proven, reason="time_limit", held="feasible", bound=0.5)
    facts = SolverFacts.of([stopped, proven])
    assert facts.solves == 2
    assert (
        facts.warning() == "The scores are not proven optimal: the solver stopped with 'time limit' and a gap of 50.0%."
    )
    assert facts.warning() in report(*PRUNED, solver=facts).conclusion()


def test_layers_that_stay_whole_are_named_with_the_reason() -> None:
    text = report(*PRUNED, whole={"conv": "view at 'x' hard-codes 96"})
    assert "conv stays whole: view at 'x' hard-codes 96" in text.table()
    assert "conv stays whole" in text.markdown()
    assert text.to_dict()["whole"] == {"conv": "view at 'x' hard-codes 96"}


def test_versions_leave_out_what_is_not_installed() -> None:
    assert set(versions("numpy", "surely-not-a-distribution")) >= {"python", "torch", "numpy"}
    assert "surely-not-a-distribution" not in versions("surely-not-a-distribution")


def test_rich_waits_until_a_table_is_asked_for() -> None:
    code = "import sys, oamip.pruning.report; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bytes_have_the_right_unit() -> None:
    from oamip.pruning.wording import bytes_

    assert [bytes_(count) for count in (388, 1000, 13_900, 2_500_000)] == ["388 B", "1.0 kB", "13.9 kB", "2.5 MB"]
