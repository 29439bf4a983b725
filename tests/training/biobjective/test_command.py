"""``oamip front``, run as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from calling import oamip, refusal
from oamip.commands.front import _show
from oamip.data import load
from oamip.readers import saved
from oamip.training.biobjective.front import Front
from oamip.training.biobjective.point import Point

CALL = (
    "front",
    "digits-mlp",
    "--epochs",
    "6",
    "--solves",
    "4",
    "--smgd",
    "--learning-rate",
    "0.01",
    "--threshold",
    "0.02",
    "--batch",
    "32",
    "--out",
    "out",
)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("front")
    out, err = oamip(*CALL, "--search", "grid", cwd=folder)
    assert "λ2 = 0.1" in err  # progress
    return folder, out


def test_front_writes_its_files_and_prints_knee_and_hypervolume(found: tuple[Path, str]) -> None:
    folder, out = found
    front = Front.load(folder / "out")
    assert [point.epochs for point in front.points] == [2] * 4  # a third of --epochs
    assert [point.weights[1] for point in front.points][-1] == 0
    for name in ("front.json", "front.csv", "front.svg"):
        assert (folder / "out" / name).stat().st_size > 100
    assert all((folder / "out" / point.file).exists() for point in front.points)
    assert f"Hypervolume {front.hypervolume:.4g}" in out
    assert front.knee is not None
    assert f"The knee (chord) is point {front.knee}" in out
    assert front.final is not None
    assert (front.final.epochs, front.others[0].epochs) == (6, 6)
    assert json.loads((folder / "out/front.json").read_text())["facts"]["search"]["kind"] == "grid"


def test_the_same_command_trains_nothing_again(found: tuple[Path, str]) -> None:
    folder, out = found
    again, err = oamip(*CALL, "--search", "grid", cwd=folder)
    assert again == out
    assert "epoch 1/" not in err


def test_processes_find_a_users_own_class_and_give_the_same_front(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.first, self.last = nn.Linear(64, 9), nn.Linear(9, 10)\n"
        "    def forward(self, x):\n        return self.last(torch.relu(self.first(x.flatten(1))))\n"
        "def net():\n    torch.manual_seed(0)\n    return Net()\n"
    )
    parts = {"train": load("digits").train, "test": load("digits").test}
    np.savez(
        tmp_path / "few.npz", **{f"{of}_{name}": vars(part)[of][:200] for name, part in parts.items() for of in "xy"}
    )
    found = []
    for jobs in ("1", "2"):
        args = (
            "--data",
            "few.npz",
            "--epochs",
            "3",
            "--solves",
            "3",
            "--no-retrain",
            "--batch",
            "32",
            "--jobs",
            jobs,
            "--out",
            jobs,
        )
        oamip("front", "mine:net", *args, cwd=tmp_path)
        found.append([replace(p, seconds=0, cpu=0) for p in Front.load(tmp_path / jobs).points])
    assert found[0] == found[1]
    assert len(found[0]) == 3


WORKERS = """
import time
from oamip.commands.front import _processes
with _processes(2) as executor:
    futures = [executor.submit(time.sleep, 60) for _ in range(2)]
    while not all(future.running() for future in futures):
        time.sleep(0.01)
    print(*executor._processes, flush=True)
    futures[0].result()
"""


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_its_parent(ended_by: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", WORKERS], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(number) for number in parent.stdout.readline().split()]
        parent.send_signal(ended_by)
    assert len(workers) == 2
    until = time.monotonic() + 20  # a busy machine; they are gone within a second
    while any(map(alive, workers)):
        assert time.monotonic() < until
        time.sleep(0.02)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()  # nobody may wait for an orphan
    except OSError:
        return False


def test_a_front_in_double_precision_is_exported(tmp_path: Path) -> None:
    (tmp_path / "exact.py").write_text(
        "from torch import nn\ndef net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double()\n"
    )
    oamip("front", "exact:net", "--epochs", "1", "--solves", "1", "--no-retrain", "--out", "out", cwd=tmp_path)
    assert "proven equal" in oamip("front", "--out", "out", "--export", "0", cwd=tmp_path).stdout


def test_a_knee_by_all_three_rules_leaves_room_for_the_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    points = [Point((1 - w, w), f1, f2, 0.9, 12345, 123, epochs=100, seconds=1234.5, test=0.9) for w, f1, f2 in CURVE]
    front = Front(tuple(points), (1.0, 10000.0))
    assert set(front.knees.values()) == {1}
    _show(front)
    line = next(line for line in capsys.readouterr().out.splitlines() if "knee" in line)
    assert "123" in line.split()
    assert "1234.5" in line
    assert "…" not in line


CURVE = [(0.5, 1.0, 0.0), (0.1, 0.1, 100.0), (1e-5, 0.0, 10000.0)]


@pytest.mark.parametrize("name", ["0", "knee", "final", "smgd"])
def test_a_point_is_exported_as_a_smaller_network(found: tuple[Path, str], name: str) -> None:
    folder, _ = found
    out = oamip("front", "--out", "out", "--export", name, "--to", f"{name}.safetensors", cwd=folder).stdout
    point = Front.load(folder / "out").point(name)
    whole, small = saved.load(folder / "out" / point.file), saved.load(folder / f"{name}.safetensors")
    assert sum(p.numel() for p in small.parameters()) == point.parameters
    assert f"{point.parameters:,} without dead units" in out
    if name == "smgd":
        assert point.parameters is not None
        assert point.parameters < 3000  # of 3,466
    x = torch.rand(50, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(small(x), whole(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "give a network"),
        (("resnet",), "resnet"),
        (("digits-mlp", "--search", "random"), "search"),
        (("digits-mlp", "--solves", "0"), "solves=0"),
        (("digits-mlp", "--jobs", "0"), "--jobs 0"),
        (("digits-mlp", "--epochs", "0"), "at least 1"),
        (("digits-mlp", "--threshold", "-1"), "threshold"),
        (("digits-mlp", "--optimiser", "lion"), "lion"),
        (("digits-mlp", "--schedule", "linear"), "linear"),
        (("digits-mlp", "--include", "conv*"), "matches no dense layer"),
        (("digits-mlp", "--data", "none.npz"), "none.npz"),
        (("digits-mlp", "--to", "x.safetensors"), "--export"),
        (("--export", "knee"), "front.json"),
        (("--out", "file"), "is a file"),
    ],
    ids=str,
)
def test_wrong_calls_get_one_clear_line(tmp_path: Path, args: tuple[str, ...], message: str) -> None:
    (tmp_path / "file").write_text("")
    assert message in refusal("front", *args, cwd=tmp_path)


def test_data_that_does_not_fit_gets_one_clear_line(found: tuple[Path, str]) -> None:
    folder, _ = found
    assert "shape" in refusal("front", "lenet5", "--data", "digits", "--out", "other", cwd=folder)
    assert "0 to 3, knee, final, smgd" in refusal("front", "--out", "out", "--export", "77", cwd=folder)


def test_a_front_of_another_run_is_not_written_over(found: tuple[Path, str]) -> None:
    folder, _ = found
    before = (folder / "out/front.json").read_bytes()
    told = refusal(*CALL, "--search", "grid", "--mask", cwd=folder)
    assert "holds a front of another run (its method: see front.json" in told
    assert (folder / "out/front.json").read_bytes() == before
    (folder / "out/front.json").write_text("{}")
    assert "delete that file" in refusal(*CALL, "--search", "grid", cwd=folder)
    (folder / "out/front.json").write_bytes(before)
    assert "its network" in refusal("front", "digits-cnn", *CALL[2:], cwd=folder)
