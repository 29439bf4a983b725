"""Fronts of real trainings: kept, resumed after a kill, the same side by side, written, drawn, exported."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from oamip.data import Data, as_data, load
from oamip.errors import InputError, OamipError
from oamip.learning import Plan, accuracy
from oamip.readers import saved
from oamip.training.biobjective import pareto
from oamip.training.biobjective.front import Front
from oamip.training.biobjective.plot import draw
from oamip.training.biobjective.point import Point
from oamip.training.biobjective.tracing import Search, trace
from oamip.training.biobjective.trainer import Recipe, Trainer
from oamip.training.biobjective.zeroing import Zeroing

SEARCH = Search("dichotomic", solves=6)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 12), nn.ReLU(), nn.Linear(12, 10))


def trainer(folder: Path, epochs: int = 6) -> Trainer:
    return Trainer(network(), partial(load, "digits"), folder, Plan(epochs, 64, 1e-2))


def comparable(front: Front) -> Front:
    """Without the times, and the settings beside."""

    def still(point: Point) -> Point:
        return replace(point, seconds=0.0, cpu=0.0)

    final = None if front.final is None else still(front.final)
    return replace(
        front, points=tuple(map(still, front.points)), final=final, others=tuple(map(still, front.others)), facts={}
    )


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Front]:
    folder = tmp_path_factory.mktemp("front")
    lines: list[str] = []
    front = trace(trainer(folder), SEARCH, full_epochs=15, multi_gradient=True, tell=lines.append)
    assert any("epoch 6/6" in line for line in lines)
    return folder, front


# ── the points ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_points_are_measured_on_validation_data_and_test_data_only_at_the_end(traced: tuple[Path, Front]) -> None:
    folder, front = traced
    data = load("digits")
    assert len(front.points) == 6
    for point in (*front.points, front.final, *front.others):
        assert point is not None
        module = saved.load(folder / point.file)
        f1, f2, right = Recipe().objectives(module).measure(data.score)
        assert (point.f1, point.f2) == pytest.approx((f1, f2), rel=1e-5)
        assert (point.accuracy, point.test) == (right, accuracy(module, data.test))
        assert point.nonzeros == sum(int((m.weight != 0).sum()) for m in module.modules() if isinstance(m, nn.Linear))
        kept = json.loads((folder / point.file).with_suffix(".json").read_text())
        assert kept["test"] is None  # when it was trained, nobody had looked
        assert len(point.c2) == (point.epochs if point.method == "smgd" else 0)


def test_the_front_spans_from_accurate_to_empty(traced: tuple[Path, Front]) -> None:
    _, front = traced
    first, last = front.points[front.efficient[0]], front.points[front.efficient[-1]]
    assert first.accuracy is not None
    assert last.accuracy is not None
    assert first.accuracy < 0.2
    assert last.accuracy > 0.9
    assert first.f2 < 0.01 * last.f2
    assert front.reference[1] == front.points[-1].f2
    assert front.hypervolume == pytest.approx(pareto.hypervolume([p.values for p in front.points], front.reference))


def test_the_knee_trained_for_all_epochs_is_dominated_by_no_point(traced: tuple[Path, Front]) -> None:
    _, front = traced
    assert front.knee is not None
    assert front.final is not None
    knee = front.points[front.knee]
    assert (front.final.weights, front.final.epochs, knee.epochs) == (knee.weights, 15, 6)
    assert front.better_than_final == ()
    worse = replace(front, final=replace(front.final, f1=knee.f1 + 0.1, f2=knee.f2 + 0.1))
    assert front.knee in worse.better_than_final
    assert front.others[0].method == "smgd"


# ── kept and resumed ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_solved_is_read_and_not_trained_again(traced: tuple[Path, Front]) -> None:
    folder, front = traced
    lines: list[str] = []
    again = trace(trainer(folder), SEARCH, full_epochs=15, multi_gradient=True, tell=lines.append)
    assert again.points == front.points  # seconds included
    assert not any("epoch" in line and "loss" in line for line in lines)


def test_other_settings_are_other_points(tmp_path: Path) -> None:
    one = trainer(tmp_path, epochs=1)
    frozen = network()
    frozen[1].bias.requires_grad_(False)
    others = [
        replace(one, module=frozen),
        one.for_epochs(2),
        replace(one, recipe=Recipe(zeroing=Zeroing(1e-2))),
        replace(one, plan=replace(one.plan, seed=1)),
        replace(one, data=load("digits", seed=1)),
        replace(one, module=nn.Sequential(nn.Flatten(), nn.Linear(64, 10))),
    ]
    files = [each((0.99, 0.01)).file for each in (one, *others)] + [one((0.98, 0.02)).file, one(None).file]
    assert len(set(files)) == len(files)
    assert one((0.99, 0.01)).file == files[0]


def test_a_damaged_or_missing_file_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = trainer(tmp_path, epochs=1)
    point = one((0.99, 0.01))
    for damage in (
        lambda f: f.unlink(),
        lambda f: f.write_bytes(f.read_bytes()[:-5]),
        lambda f: f.with_suffix(".json").write_text('{"weights": 3}'),
    ):
        damage(tmp_path / point.file)
        caplog.clear()
        assert replace(one((0.99, 0.01)), seconds=0, cpu=0) == replace(point, seconds=0, cpu=0)
        assert "training again" in caplog.text
        one.open(point)


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from pathlib import Path
from test_front import SEARCH, trace, trainer
trace(trainer(Path({folder!r})), SEARCH, full_epochs=15, multi_gradient=True, tell=lambda text: print(text, flush=True))
"""


def test_a_search_that_was_killed_goes_on_to_the_same_front(tmp_path: Path, traced: tuple[Path, Front]) -> None:
    """SIGKILL in the midst of the third training."""
    script = SCRIPT.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout is not None
        solved = 0
        for line in run.stdout:
            solved += line.startswith("λ2")
            if "epoch 3/6" in line and solved >= 2:
                run.send_signal(signal.SIGKILL)
                break
    assert run.returncode == -signal.SIGKILL
    assert list(tmp_path.glob("points/*.run/checkpoint.pt"))  # it was in the midst of one
    assert not (tmp_path / "front.json").exists()
    lines: list[str] = []
    resumed = trace(trainer(tmp_path), SEARCH, full_epochs=15, multi_gradient=True, tell=lines.append)
    assert sum("epoch 1/6" in line for line in lines) == 3  # the last three trainings began; the third went on
    assert comparable(resumed) == comparable(traced[1])
    assert not list(tmp_path.glob("points/*.run"))
    for point in resumed.points:
        one, other = (saved.load(folder / point.file).state_dict() for folder in (tmp_path, traced[0]))
        assert all(torch.equal(one[name], other[name]) for name in one)


# ── side by side ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_threads_give_the_same_front(tmp_path: Path, traced: tuple[Path, Front]) -> None:
    """And so do processes: see test_command."""
    with ThreadPoolExecutor(3) as threads:
        front = trace(trainer(tmp_path), SEARCH, full_epochs=15, multi_gradient=True, executor=threads)
    assert comparable(front) == comparable(traced[1])


class Broken(ThreadPoolExecutor):
    """What an executor of processes does when one of them is killed."""

    def submit(self, *args: object, **kwargs: object) -> Future[Point]:
        future: Future[Point] = Future()
        future.set_exception(BrokenProcessPool("a process was terminated abruptly"))
        return future


def test_a_broken_executor_says_what_is_kept_and_how_to_go_on(tmp_path: Path) -> None:
    with Broken(1) as broken, pytest.raises(OamipError, match="do the same again, with fewer processes"):
        trace(trainer(tmp_path), SEARCH, executor=broken)


def test_threads_of_torch_and_its_generator_are_left_alone(tmp_path: Path) -> None:
    one = trainer(tmp_path, epochs=1)
    torch.set_num_threads(2)
    before = torch.random.get_rng_state()
    try:
        one((1.0, 0.0))
        assert torch.get_num_threads() == 2
        assert torch.equal(before, torch.random.get_rng_state())
    finally:
        torch.set_num_threads(1)


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_front_comes_back_from_its_files(traced: tuple[Path, Front]) -> None:
    folder, front = traced
    assert Front.load(folder) == front
    told = json.loads((folder / "front.json").read_text())
    assert told["hypervolume"] == front.hypervolume
    assert told["facts"]["weights"] == 64 * 24 + 24 * 12 + 12 * 10
    rows = list(csv.DictReader((folder / "front.csv").read_text().splitlines()))
    assert [row["number"] for row in rows] == [*map(str, range(6)), "final", "smgd"]
    assert [float(row["f2"]) for row in rows[:6]] == [p.f2 for p in front.points]
    assert [n for n, row in enumerate(rows[:6]) if row["efficient"] == "1"] == sorted(front.efficient)
    assert [n for n, row in enumerate(rows) if row["knee"] == "1"] == [front.knee]


def test_picture_is_drawn_the_same_each_time_and_touches_no_global_state(traced: tuple[Path, Front]) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    svg = draw(traced[1], "svg")
    assert svg == draw(traced[1], "svg")
    assert b"knee" in svg or b"<svg" in svg
    assert draw(traced[1], "png").startswith(b"\x89PNG")
    assert dict(mpl.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or mpl.get_backend()
    few = replace(traced[1], points=traced[1].points[:1], final=None, others=(), facts={})
    assert draw(few).startswith(b"<?xml")
    with pytest.raises(InputError, match="no points"):
        draw(replace(few, points=()))


def test_points_are_found_by_name_and_others_are_refused(traced: tuple[Path, Front], tmp_path: Path) -> None:
    folder, front = traced
    assert front.knee is not None
    assert front.point("knee") == front.point(front.knee) == front.point(str(front.knee))
    assert front.point("final") == front.final
    assert front.point("smgd") == front.others[0]
    for wrong in (6, -1, "7", "best"):
        with pytest.raises(InputError, match="0 to 5, knee, final, smgd"):
            front.point(wrong)
    with pytest.raises(InputError, match="cannot be read"):
        Front.load(tmp_path)
    told = json.loads((folder / "front.json").read_text())
    for key, value in (("oamip_front", 2), ("points", [{"f1": 1}]), ("reference", [1]), ("rule", "elbow")):
        (tmp_path / "front.json").write_text(json.dumps({**told, key: value}))
        with pytest.raises(InputError, match=r"front\.json"):
            Front.load(tmp_path)


# ── what cannot be trained ───────────────────────────────────────────────────────────────────────────────────────────


def test_errors_come_before_any_training(tmp_path: Path) -> None:
    started = time.perf_counter()
    one = trainer(tmp_path, epochs=1000)
    for wrong in (
        lambda: trace(one, rule="elbow"),
        lambda: trace(replace(one, recipe=Recipe(optimiser="lion"))),
        lambda: trace(replace(one, recipe=Recipe(include=("fc*",)))),
        lambda: trace(replace(one, data=lambda: 3)),  # type: ignore[arg-type, return-value]
        lambda: Search("random"),
        lambda: Search(solves=0),
    ):
        with pytest.raises(InputError):
            wrong()
    (tmp_path / "file").write_text("")
    with pytest.raises(OamipError, match="file"):
        trace(replace(one, folder=tmp_path / "file"))
    assert time.perf_counter() - started < 5


def test_a_network_that_cannot_be_read_keeps_its_weights_and_counts_no_dead_units(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ELU(), nn.Linear(8, 10))
    one = replace(trainer(tmp_path, epochs=1), module=module)
    point = one((1.0, 0.0))
    assert (point.dead, point.parameters) == (None, None)
    assert Recipe().objectives(one.open(point)).norm() == pytest.approx(point.f2, rel=1e-6)
    assert isinstance(one.open(point)[2], nn.ELU)  # type: ignore[index]


def test_regression_has_no_accuracy(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(300, 6)).astype("float32")
    data: Data = as_data((x, x[:, :2].sum(1, keepdims=True).astype("float32")))
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
    front = trace(Trainer(module, data, tmp_path, Plan(20, 16, 1e-2)), Search("grid", solves=4))
    assert {point.accuracy for point in front.points} == {None}
    assert front.points[-1].f1 < 0.1
    assert draw(front).startswith(b"<?xml")
