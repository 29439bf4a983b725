"""``oamip train``: small networks out of the command line, through a kill, and on into pruning."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from calling import oamip, refusal
from oamip.data import load
from oamip.learning import accuracy
from oamip.models import BUILT_IN
from oamip.readers import read, saved
from oamip.writers import to_onnx

SHORT = ("--lam", "8", "--epochs", "6", "--batch", "32", "--finetune", "1")


def weights(file: Path) -> dict[str, torch.Tensor]:
    return dict(saved.load(file).state_dict())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which ``small`` has been trained, compared, and what was printed."""
    folder = tmp_path_factory.mktemp("trained")
    told = oamip(
        "train", "digits-mlp", *SHORT, "--out", "small", "--then-prune", "params=0.3", "--formulation", "l2", cwd=folder
    )
    return folder, told.text


def test_a_smaller_network_is_written_with_all_that_is_known_of_it(trained):
    folder, told = trained
    small, facts = (
        saved.load(folder / "small/model.safetensors"),
        json.loads((folder / "small/training.json").read_text()),
    )
    before, after = facts["counts"]["params"]
    assert after == sum(map(torch.numel, small.parameters())) < before == 3466
    assert facts["counts"]["own"] < before - after  # what reads the units that went, goes too
    assert f"{facts['counts']['zero']} of 64 groups are zero" in told
    assert f"{facts['counts']['removed']} are removed" in told
    assert "training: epoch 6/6" in told
    assert "fine tuning: epoch 1/1" in told
    report = json.loads((folder / "small/report.json").read_text())
    assert [row["name"] + row["stage"] for row in report["rows"]] == ["reference", "spr", "sprremoved", "sprfine-tuned"]
    assert report["rows"][1]["measured"]["score"] == report["rows"][2]["measured"]["score"]  # zeros are exact
    assert accuracy(small, load("digits").test) == report["rows"][3]["measured"]["score"] > 0.7


def test_training_pruning_and_both_stand_in_one_table(trained):
    folder, told = trained
    rows = json.loads((folder / "small/compared.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["reference", "spr", "l2", "l2", "spr + l2"]
    total, size, equal, alone, both = (row["measured"]["params"] for row in rows)
    assert equal <= size < total
    assert max(alone, both) <= 0.3 * total
    assert saved.load(folder / "small/pruned/model.safetensors") is not None
    assert "spr + l2, fine-tuned" in told


def test_what_training_wrote_goes_straight_into_prune(trained):
    folder, _ = trained
    told = oamip(
        "prune", "small/model.safetensors", "--budget", "units=0.7", "--formulation", "l2", "--out", "cut", cwd=folder
    ).text
    assert "The network keeps" in told
    sizes = [
        sum(t.numel() for t in weights(folder / f"{name}/model.safetensors").values()) for name in ("small", "cut")
    ]
    assert sizes[1] < sizes[0]


def test_a_killed_command_goes_on_to_the_same_network(trained, tmp_path):
    folder, _ = trained
    script = "import sys; from oamip.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", script, "train", "digits-mlp", *SHORT, "--out", "small"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    options = {"cwd": tmp_path, "env": environment, "stdout": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, stderr=subprocess.PIPE, **options) as run:
        for line in run.stderr:
            if "training: epoch 2/6" in line:
                run.send_signal(signal.SIGKILL)
                break
    assert run.returncode == -signal.SIGKILL
    assert not (tmp_path / "small/model.safetensors").exists()
    assert "say resume" in oamip("train", "digits-mlp", *SHORT, "--out", "small", cwd=tmp_path, status=2).text
    told = oamip("train", "digits-mlp", *SHORT, "--out", "small", "--resume", cwd=tmp_path).text
    assert "reference: epoch" not in told
    assert "training: epoch 1/6" not in told
    one, other = weights(tmp_path / "small/model.safetensors"), weights(folder / "small/model.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("method", "flags"),
    [
        ("spr", ["--descent", "subgradient", "--patience", "2"]),
        ("group-lasso", ["--lam", "3"]),
        ("bigm", []),
        ("weighted-sum", ["--lam", "0.01"]),
        ("smgd", []),
        ("plain", ["--patience", "1", "--learning-rate", "0.01"]),
    ],
)
def test_every_method_trains(trained, tmp_path, method, flags):
    reference = trained[0] / "reference.safetensors"
    if not reference.exists():
        module = BUILT_IN["digits-mlp"].build()
        torch.save(module.state_dict(), reference.with_suffix(".pt"))
    flags = [*flags, "--epochs", "2", "--out", "out"]
    if method in ("spr", "group-lasso", "bigm"):
        flags += ["--finetune", "0"]
    if method in ("spr", "bigm"):
        flags += ["--reference", str(reference.with_suffix(".pt"))]
    told = oamip("train", "digits-mlp", "--method", method, *flags, cwd=tmp_path).stdout
    assert "Written to out: model.safetensors" in told
    assert set(told.rpartition("Written to out: ")[2].strip().split(", ")) == {
        str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").iterdir() if file.is_file()
    }
    assert (tmp_path / "out/report.md").stat().st_size > 100
    history = json.loads((tmp_path / "out/training.json").read_text())["history"]
    assert 1 <= len(history["rows"]) <= 2
    assert saved.load(tmp_path / "out/model.safetensors")(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


FACTORY = """
from torch import nn
def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.ReLU(), nn.Linear(9, 10))
"""


def test_a_factory_begins_anew_with_a_reference_of_its_own_and_goes_on(tmp_path):
    (tmp_path / "mine.py").write_text(FACTORY)
    call = ("train", "mine:net", "--epochs", "2", "--learning-rate", "0.2", "--finetune", "0", "--out", "out")
    told = oamip(*call, cwd=tmp_path).text
    assert "reference: epoch 2/2" in told
    assert json.loads((tmp_path / "out/report.json").read_text())["rows"][0]["measured"]["score"] > 0.5
    again = oamip(*call, "--resume", cwd=tmp_path).text  # its random weights are those of the seed
    assert "epoch" not in again


def test_weights_that_are_given_are_the_reference_and_one_that_guesses_is_told(tmp_path, caplog):
    (tmp_path / "mine.py").write_text(FACTORY)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.ReLU(), nn.Linear(9, 10))
    torch.save(module.state_dict(), tmp_path / "w.pt")
    call = ("train", "mine:net", "--weights", "w.pt", "--epochs", "1", "--finetune", "0", "--out", "out")
    told = oamip(*call, cwd=tmp_path).text
    assert "reference: epoch" not in told
    assert "the reference network gets only" in caplog.text


def test_another_network_or_other_weights_are_not_gone_on_with(trained):
    folder, _ = trained
    told = refusal("train", "digits-cnn", *SHORT, "--out", "small", "--resume", cwd=folder)
    assert "not with the same network" in told
    torch.save(BUILT_IN["digits-mlp"].build().state_dict(), folder / "w.pt")
    told = refusal("train", "digits-mlp", *SHORT, "--weights", "w.pt", "--out", "small", "--resume", cwd=folder)
    assert "another run" in told


def test_an_onnx_file_is_trained_on_with_samples_in_its_shape_and_the_scale_asked_for(tmp_path):
    pytest.importorskip("onnx")
    module = nn.Sequential(nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))
    to_onnx(read(module, torch.zeros(1, 64)), tmp_path / "net.onnx")
    flags = ["--method", "plain", "--epochs", "1", "--mean", "0.3", "--std", "0.4", "--out", "out"]
    told = oamip("train", "net.onnx", *flags, cwd=tmp_path).text
    assert "(64,)" in told
    assert "normalised by mean 0.3, std 0.4" in " ".join(told.split())
    assert saved.load(tmp_path / "out/model.safetensors")(torch.zeros(1, 64)).shape == (1, 10)


def test_a_wrong_scope_is_told_before_anything_is_trained(tmp_path):
    told = oamip(
        "train", "digits-mlp", "--epochs", "1", "--include", "nothing", "--out", "x", cwd=tmp_path, status=2
    ).text
    assert "matches no layer" in told
    assert "epoch" not in told


def test_an_interrupted_run_says_how_to_go_on(tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("oamip.data.load", interrupted)
    told = oamip("train", "digits-mlp", "--epochs", "1", "--out", "x", cwd=tmp_path, status=130).text
    assert "--resume" in told


def test_wrong_calls_are_told_in_a_line(tmp_path):
    for flags, message in (
        (["--alpha", "1"], "alpha=1"),
        (["--then-prune", "units=0.5"], "write params=0.3"),
        (["--least", "2"], "--least is for --then-prune"),
        (["--schedule", "magic"], "no schedule 'magic'"),
        (["--include", "nothing"], "matches no layer"),
    ):
        told = oamip(
            "train", "digits-mlp", "--epochs", "0", "--finetune", "0", "--out", "x", *flags, cwd=tmp_path, status=2
        ).text
        assert message in told


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--alpha", "0"], "alpha=0.0"),
        (["--lam", "nan"], "lam=nan"),
        (["--scale", "0"], "scale=0.0"),
        (["--method", "group-lasso", "--alpha", "0.5"], "--alpha means nothing"),
        (["--method", "smgd", "--lam", "0.1"], "--lam means nothing"),
        (["--method", "plain", "--finetune", "2"], "--finetune means nothing"),
        (["--method", "weighted-sum", "--weight-decay", "0.1"], "--weight-decay means nothing"),
        (["--method", "plain", "--include", "1"], "--include is for --then-prune"),
        (["--method", "plain", "--reference", "x.pt"], "--reference is for --then-prune"),
        (["--formulation", "l2"], "--formulation is for --then-prune"),
        (["--solver", "scip"], "--solver is for --then-prune"),
        (["--no-isolate"], "--no-isolate is for --then-prune"),
        (["--then-prune", "params=0.5", "--explain"], "--explain means nothing"),
        (["--finetune-rate", "inf"], "finetune_rate=inf"),
    ],
    ids=" ".join,
)
def test_wrong_and_idle_flags_are_told_before_anything_is_trained(tmp_path, flags, told):
    said = oamip("train", "digits-mlp", *flags, "--out", "out", cwd=tmp_path, status=2).text
    assert told in said
    assert "epoch" not in said


def test_the_norm_counts_the_layers_that_are_included(tmp_path):
    flags = ["--method", "weighted-sum", "--lam", "0.05", "--epochs", "15", "--learning-rate", "0.01"]
    oamip("train", "digits-mlp", *flags, "--include", "3", "--out", "out", cwd=tmp_path)
    state = weights(tmp_path / "out/model.safetensors")
    first, second = (state[name] for name in sorted(name for name in state if name.endswith("weight"))[:2])
    assert (first == 0).float().mean() < 0.1 < (second == 0).float().mean()
