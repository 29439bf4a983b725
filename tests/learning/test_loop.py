"""The loop: one seed, one result, also through a kill; early stop keeps the best weights; test data stays unseen."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from oamip.data import Data, Split, as_data
from oamip.errors import InputError, ModelFileError
from oamip.learning import Descent, Logistic, Plan, Steps, accuracy, constant, cosine, fit, loss_of, parse_schedule
from oamip.learning.checkpoint import identity

PLAN = Plan(epochs=6, batch=16, learning_rate=0.02, schedule=cosine, seed=3)


def blobs() -> Data:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 5)).astype(np.float32)
    return as_data((x, (x[:, 0] * x[:, 1] > 0).astype(np.int64)))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.3), nn.Linear(12, 2))


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def run(folder: Path | None, plan: Plan = PLAN, *, resume: bool = False, progress=None) -> tuple[nn.Module, list]:
    module = network()
    history = fit(module, Descent(module, "adam"), blobs(), plan, folder=folder, resume=resume, progress=progress)
    return module, history.rows


# ── resuming ─────────────────────────────────────────────────────────────────────────────────────────────────────────

KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import test_loop

def told(row):
    if row["epoch"] == 3:
        os.kill(os.getpid(), signal.SIGKILL)

import torch
torch.set_num_threads(1)
test_loop.run(test_loop.Path({folder!r}), progress=told)
"""


def test_a_killed_run_goes_on_to_the_very_same_weights(tmp_path):
    whole, rows = run(tmp_path / "whole")
    script = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "killed"))
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(json.loads((tmp_path / "killed" / "history.json").read_text())["rows"]) == 3
    epochs = []
    module, again = run(tmp_path / "killed", resume=True, progress=lambda row: epochs.append(row["epoch"]))
    assert epochs == [4, 5, 6]
    assert same(state(module), state(whole))
    assert again == rows


def test_going_on_with_patience_keeps_the_best_weights_of_before(tmp_path):
    plan = replace(PLAN, epochs=30, patience=4, learning_rate=0.1)

    class Interrupted(Exception):
        pass

    def interrupt(row):
        if row["epoch"] == 3:
            raise Interrupted

    whole, rows = run(None, plan)
    assert len(rows) < 30
    with pytest.raises(Interrupted):
        run(tmp_path, plan, progress=interrupt)
    module, again = run(tmp_path, plan, resume=True)
    assert again == rows
    assert same(state(module), state(whole))
    finished, final = run(tmp_path, plan, resume=True, progress=interrupt)
    assert final == rows
    assert same(state(finished), state(whole))


def test_a_folder_with_another_run_is_refused(tmp_path):
    run(tmp_path, replace(PLAN, epochs=1))
    with pytest.raises(InputError, match="say resume"):
        run(tmp_path, replace(PLAN, epochs=1))
    with pytest.raises(InputError, match="batch was 16, now it is 8"):
        run(tmp_path, replace(PLAN, epochs=1, batch=8), resume=True)


def moved(module: nn.Module) -> nn.Module:
    nn.init.zeros_(module[4].bias)
    return module


def frozen(module: nn.Module) -> nn.Module:
    module[0].bias.requires_grad_(False)
    return module


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda module, data: (nn.Sequential(nn.Linear(5, 2)), data), "the same network"),
        (lambda module, data: (nn.Sequential(*module[:2], nn.ELU(), *module[3:]), data), "the same network"),
        (lambda module, data: (frozen(module), data), "frozen was"),
        (lambda module, data: (moved(module), data), "the same initial weights"),
        (lambda module, data: (module, replace(data, train=data.test)), "same training data"),
        (lambda module, data: (module, replace(data, score=data.test)), "same validation data"),
    ],
)
def test_a_run_goes_on_with_the_network_and_data_that_it_began_with(tmp_path, change, told):
    plan = replace(PLAN, epochs=1)
    run(tmp_path, plan)
    module, data = change(network(), blobs())
    with pytest.raises(InputError, match=told):
        fit(module, Descent(module, "adam"), data, plan, folder=tmp_path, resume=True)


class Stateful(nn.Module):
    """With all that a state can hold beside parameters."""

    def __init__(self, extra: object = 1, hidden: float = 0.0, tied: bool = False) -> None:
        super().__init__()
        self.first, self.second, self.extra = nn.Linear(3, 3), nn.Linear(3, 3), extra
        if tied:
            self.second.weight = self.first.weight
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.fill_(0.5)
        self.register_buffer("hidden", torch.tensor(hidden), persistent=False)

    def get_extra_state(self) -> object:
        return self.extra

    def set_extra_state(self, state: object) -> None:
        self.extra = state


def test_networks_are_told_apart_by_all_that_they_hold() -> None:
    plain = identity(Stateful())
    assert identity(Stateful()) == plain
    assert identity(Stateful(tied=True))[0] != plain[0]
    assert identity(Stateful(extra={"steps": 2}))[1] != plain[1]
    assert identity(Stateful(hidden=1.0))[1] != plain[1]
    assert identity(Stateful().bfloat16())[0] != plain[0]
    with pytest.raises(InputError, match="has no numbers yet"):
        identity(nn.Linear(2, 2, device="meta"))
    with pytest.raises(InputError, match="has no numbers yet"):
        identity(nn.LazyLinear(2))


@pytest.mark.parametrize("wrong", [{"augment": lambda x: x}, {"schedule": object()}], ids=["lambda", "address"])
def test_a_function_that_looks_like_any_other_on_disk_is_refused_in_a_folder(tmp_path, wrong):
    with pytest.raises(InputError, match="cannot be told from another"):
        run(tmp_path, replace(PLAN, **wrong))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"x" * 1000])
def test_a_damaged_checkpoint_is_told(tmp_path, content):
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"checkpoint\.pt"):
        run(tmp_path, resume=True)


# ── what the loop promises ───────────────────────────────────────────────────────────────────────────────────────────


def test_early_stop_gives_the_weights_of_the_lowest_objective():
    module, rows = run(None, replace(PLAN, epochs=60, patience=3, learning_rate=0.1))
    objectives = [row["objective"] for row in rows]
    best = int(np.argmin(objectives))
    assert len(rows) == best + 1 + 3 < 60
    score = blobs().score
    with torch.no_grad():
        loss = loss_of(module(torch.from_numpy(score.x)), torch.from_numpy(score.y)).item()
    assert loss == pytest.approx(objectives[best], rel=1e-6)
    assert accuracy(module, score) == rows[best]["accuracy"]


def test_an_objective_that_is_no_number_is_never_the_best():
    class Begun(Descent):
        begun = False

        def objective(self, loss):
            self.begun, before = True, self.begun
            return loss if before else math.nan

    module = network()
    history = fit(module, Begun(module), blobs(), replace(PLAN, patience=3))
    assert math.isnan(history.rows[0]["objective"])
    assert history.best > 1
    assert len(history.rows) > 3


def test_test_data_is_never_looked_at():
    class Untouchable:
        def __getattr__(self, name):
            raise AssertionError(f"somebody asked the test data for {name}")

    data = blobs()
    module = network()
    fit(module, Descent(module), Data(data.train, data.score, Untouchable(), classes=2), PLAN)
    assert not module.training


def test_generators_are_left_alone_and_seeds_matter():
    torch.manual_seed(9)
    before = torch.random.get_rng_state()
    module = nn.Linear(5, 2)
    before = torch.random.get_rng_state()
    fit(module, Descent(module), blobs(), PLAN)
    assert torch.equal(before, torch.random.get_rng_state())
    assert same(state(run(None)[0]), state(run(None)[0]))
    assert not same(state(run(None)[0]), state(run(None, replace(PLAN, seed=4))[0]))


def test_augmentation_changes_what_is_trained_on_only():
    seen = []

    def shift(x):
        seen.append(len(x))
        return x + 1

    train = as_data((np.ones((40, 5), np.float32), np.zeros(40, np.int64))).train
    module = nn.Linear(5, 2)
    plan = replace(PLAN, augment=shift, epochs=1)
    fit(module, Descent(module, "sgd"), Data(train, train, train, classes=1), plan)
    assert sum(seen) == len(train)


def test_regression_is_validated_by_its_squared_error():
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    split = Split(x, x[:, :1] * 2)
    module = nn.Linear(3, 1)
    history = fit(module, Descent(module), Data(split, split, split), Plan(epochs=200, learning_rate=0.05))
    assert history.rows[-1]["validation_loss"] < 1e-4
    assert "accuracy" not in history.rows[-1]


def test_impossible_plans_are_refused():
    numbers = ({"epochs": -1}, {"epochs": 2.5}, {"batch": 1.5}, {"patience": 0}, {"patience": 1.5})
    for wrong in (*numbers, {"patience": 3, "validate": False}, {"learning_rate": math.nan}):
        with pytest.raises(InputError):
            Plan(**{"epochs": 1, **wrong})
    with pytest.raises(InputError, match="no parameter"):
        Descent(nn.Linear(2, 2).requires_grad_(False))


# ── schedules ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_schedules_have_their_textbook_values():
    assert [constant(epoch, 10) for epoch in range(3)] == [1, 1, 1]
    assert cosine(0, 10) == 1
    assert cosine(5, 10) == pytest.approx(0.5)
    assert [Steps((2, 4))(epoch, 10) for epoch in (0, 1, 2, 3, 4, 9)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    logistic = Logistic()
    assert logistic(75, 100) == pytest.approx(0.55)  # half way between 1 and 0.1, three quarters into the run
    assert logistic(0, 100) == pytest.approx(1, abs=1e-4)
    assert logistic(100, 100) == pytest.approx(0.1 + 0.9 / (1 + math.exp(10 / 3)))
    assert [Logistic(width=1e-9)(epoch, 100) for epoch in (74, 75, 76)] == pytest.approx([1, 0.55, 0.1])
    with pytest.raises(InputError, match="width=0"):
        Logistic(width=0)


def test_schedules_are_found_by_name():
    assert parse_schedule("steps=150,100") == Steps((100, 150))
    assert parse_schedule("logistic") == Logistic()
    assert parse_schedule("cosine") is cosine
    for wrong in ("linear", "steps", "steps=a"):
        with pytest.raises(InputError, match="no schedule"):
            parse_schedule(wrong)
