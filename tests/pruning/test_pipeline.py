"""The whole line: which part of the data every stage sees, and that every baseline is scored by its own name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from oamip.budget import Budget
from oamip.data import Data, Split
from oamip.decision import Decision, Scores
from oamip.learning import accuracy
from oamip.network import Groups
from oamip.pruning import bench, pipeline
from oamip.pruning.baselines import baseline
from oamip.pruning.measure import Latency
from oamip.pruning.pipeline import Pruning
from oamip.pruning.result import Result, Scoring
from oamip.pruning.selection import same_counts, select

CLASSES, PARTS = 3, ("train", "score", "test")
HALF = Budget("units", 0.5)


def _net() -> nn.Module:
    torch.manual_seed(325)  # every class is right for some samples of each part, and wrong for some
    return nn.Sequential(nn.Linear(5, 9), nn.ReLU(), nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, CLASSES)).eval()


def _data(kind: str) -> Data:
    """Three parts of unlike sizes whose samples carry the number of their part in the last feature."""
    rng, net = np.random.default_rng(0), _net()
    splits = []
    for number, size in enumerate((70, 60, 50)):
        x = 2 * rng.normal(size=(size, 5)).astype(np.float32)
        x[:, -1] = number
        with torch.no_grad():
            outputs = net(torch.from_numpy(x)).numpy()
        y = outputs + 0.15 * rng.normal(size=outputs.shape).astype(np.float32)
        splits.append(Split(x, y if kind == "regression" else y.argmax(1)))
    return Data(*splits, name="three", classes=None if kind == "regression" else CLASSES)


class Watch:
    """Stands in the pipeline's own names and notes the samples and labels that each stage is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: dict[str, list[tuple[np.ndarray, np.ndarray | None]]] = {}
        self.decisions: list[Decision] = []
        self._real = {name: getattr(pipeline, name) for name in ("baseline", "outputs", "remove")}
        self._measure = bench.measure
        for name in ("baseline", "finetune", "find_formulation", "outputs", "refit", "remove"):
            monkeypatch.setattr(pipeline, name, getattr(self, name))
        monkeypatch.setattr(bench, "measure", self.measure)
        monkeypatch.setattr(bench, "latencies", self.latencies)

    def note(self, stage: str, x: Any, y: Any = None) -> None:
        self.seen.setdefault(stage, []).append((np.asarray(x), None if y is None else np.asarray(y)))

    def find_formulation(self, _: str) -> Callable[..., Any]:
        watch = self

        class Fifths:
            """A procedure: scores 0, 1, 2, 3, 4 in turn."""

            def __init__(self, groups: Groups, x: Any, y: Any, _: Any) -> None:
                watch.note("formulation", x, y)
                self.groups = groups

            def run(self, _: Any) -> Scores:
                return Scores.of(self.groups, np.arange(self.groups.size) % 5.0, method="mine")

        return Fifths

    def baseline(self, name: str, network: Any, groups: Groups, x: Any, y: Any, **more: Any) -> Scores:
        self.note("baseline", x, y)
        scores: Scores = self._real["baseline"](name, network, groups, x, y, **more)
        return scores

    def outputs(self, module: nn.Module, split: Split) -> Any:
        self.note("outputs", split.x, split.y)
        return self._real["outputs"](module, split)

    def remove(self, module: nn.Module, example: Any, groups: Groups, decision: Decision, **more: Any) -> nn.Module:
        self.decisions.append(decision)
        small: nn.Module = self._real["remove"](module, example, groups, decision, **more)
        return small

    def refit(self, small: nn.Module, _: nn.Module, x: Any, *__: Any) -> nn.Module:
        self.note("refit", x)
        return small

    def finetune(self, small: nn.Module, x: Any, y: Any, **_: Any) -> nn.Module:
        self.note("finetune", x, y)
        return small

    def measure(self, module: nn.Module, x: Any, y: Any, **more: Any) -> Any:
        self.note("measure", x, y)
        return self._measure(module, x, y, **more)

    def latencies(self, modules: list[nn.Module], x: torch.Tensor, **_: Any) -> list[Latency]:
        self.note("latencies", x.numpy())
        return [Latency() for _ in modules]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


def _run(kind: str, *, seed: int = 0, **asked: Any) -> tuple[Pruning, Result]:
    def unsolved(*_: Any) -> Any:
        raise AssertionError("nothing here needs a solver")

    pruning = Pruning(_net(), _data(kind), unsolved, seed=seed)
    return pruning, pruning.run(**asked)


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _assert_from(data: Data, part: str, x: np.ndarray, y: np.ndarray | None) -> None:
    """Every sample is one of that part, with the very label that it has there."""
    split: Split = getattr(data, part)
    assert [PARTS[int(tag)] for tag in np.unique(x[:, -1])] == [part]
    place = (x[:, None].astype(np.float32) == split.x[None]).all(-1)
    assert (place.sum(1) == 1).all()
    if y is not None:
        np.testing.assert_array_equal(y, split.y[place.argmax(1)])


@pytest.mark.parametrize("kind", ["classes", "regression"])
@pytest.mark.parametrize(("formulation", "samples"), [("mine", None), ("mine", 9), ("taylor", 9)])
def test_scores_refits_and_reports_come_from_parts_of_their_own(
    watch: Watch, kind: str, formulation: str, samples: int | None
) -> None:
    scoring = Scoring(formulation, samples=samples)
    pruning, _ = _run(kind, budget=HALF, scoring=scoring, refit_samples=20, epochs=1, baselines=("activation", "l2"))
    whose = {"formulation": "score", "baseline": "score", "outputs": "score", "refit": "train", "finetune": "train"}
    whose |= {"measure": "test", "latencies": "test"}
    expected = set(whose) - ({"formulation"} if formulation == "taylor" else set())
    assert set(watch.seen) == expected - ({"outputs"} if kind == "regression" else set())
    for stage, calls in watch.seen.items():
        for x, y in calls:
            _assert_from(pruning.data, whose[stage], x, y)
    assert all(y is not None for stage in ("baseline", "finetune", "measure") for _, y in watch.seen[stage])
    assert [len(x) for x, _ in watch.seen["refit"]] == [20] * 3
    assert [len(x) for x, _ in watch.seen["finetune"]] == [len(pruning.data.train)]
    heard = {len(x) for stage in ("formulation", "baseline") for x, _ in watch.seen.get(stage, ())}
    assert heard == {samples or max(heard)}  # baselines hear as many as the formulation


def test_every_number_of_the_report_is_one_of_the_test_part(watch: Watch) -> None:
    pruning, result = _run("classes", budget=HALF, scoring=Scoring("mine"), baselines=("l2",))
    rows = result.report.rows
    assert [row.measured.samples for row in rows] == [len(pruning.data.test)] * 5
    assert rows[0].measured.score == accuracy(pruning.module, pruning.data.test)
    assert rows[2].measured.score == accuracy(result.module, pruning.data.test)
    others = [accuracy(pruning.module, split) for split in (pruning.data.train, pruning.data.score)]
    assert rows[0].measured.score not in others  # else the parts could not be told apart by it


# ── baselines ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("rule", ["budget", "threshold"])
def test_every_baseline_keeps_the_units_that_its_own_scores_choose(watch: Watch, rule: str) -> None:
    names = ("random", "activation", "l1", "taylor")
    asked: dict[str, Any] = {"budget": HALF} if rule == "budget" else {"tau": 2.0}
    scoring = Scoring("mine", samples=12)
    pruning, result = _run("classes", seed=3, scoring=scoring, baselines=names, refitting=False, **asked)
    groups = pruning.groups
    x, y = pruning.samples(12)
    kept = []
    for name, decision in zip(names, watch.decisions[1:], strict=True):
        scores = baseline(name, groups.network, groups, x, y, seed=3)
        wanted = select(scores, groups, HALF) if rule == "budget" else same_counts(scores, groups, result.decision)
        np.testing.assert_array_equal(decision.flat(groups), wanted.flat(groups), err_msg=name)
        kept.append(tuple(wanted.flat(groups)))
    assert len({*kept, tuple(result.decision.flat(groups))}) == len(names) + 1  # no two choose alike
    rows = result.report.rows[2:]
    assert [(row.name, row.stage, row.baseline) for row in rows] == [(name, "removed", True) for name in names]
    small = [pipeline.remove(pruning.module, pruning.example_input, groups, each) for each in watch.decisions[1:]]
    assert [row.measured.score for row in rows] == [accuracy(module, pruning.data.test) for module in small]
