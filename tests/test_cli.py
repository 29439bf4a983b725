"""The command line, run as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from calling import oamip, refusal
from oamip.data import load
from oamip.decision import Decision
from oamip.models import BUILT_IN, open_model
from oamip.readers import read, saved
from oamip.writers import to_onnx


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained digits-mlp as a state dict and as a saved file."""
    folder = tmp_path_factory.mktemp("trained")
    data = load("digits")
    module = open_model("digits-mlp", data=data, epochs=5)
    torch.save(module.state_dict(), folder / "weights.pt")
    saved.save(module, torch.from_numpy(data.train.x[:2]), folder / "mlp.safetensors")
    return folder


def test_prune_writes_a_smaller_network_that_loads_without_its_class(tmp_path: Path, trained: Path) -> None:
    run = oamip(
        "prune", "digits-mlp", "--weights", str(trained / "weights.pt"), "--budget", "units=0.5/layer",
        "--samples", "50", "--epochs", "1", "--baselines", "l2,random", "--out", "out", "--json", "report.json",
        cwd=tmp_path,
    )  # fmt: skip
    assert "importance, fine-tuned" in run.stdout
    assert "The network keeps" in run.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report == json.loads((tmp_path / "out/report.json").read_text())
    small = saved.load(tmp_path / "out/model.safetensors")
    assert sum(p.numel() for p in small.parameters()) == report["rows"][3]["measured"]["params"] < 3466
    decision = Decision.load(tmp_path / "out/decision.json")
    assert [int(mask.sum()) for mask in decision.keep.values()] == [16, 16]
    assert [row["name"] for row in report["rows"] if row["baseline"]] == ["l2", "l2", "random", "random"]


def test_score_once_cut_often(tmp_path: Path, trained: Path) -> None:
    model = str(trained / "mlp.safetensors")
    run = oamip("score", model, "--samples", "50", "--out", "scores.json", "--json", "facts.json", cwd=tmp_path)
    assert json.loads((tmp_path / "facts.json").read_text())["solver"]["held"] == "proven"
    assert "Written to scores.json" in run.stdout
    kept = []
    for budget in ("units=0.8", "params=0.3"):
        oamip(
            "prune", model, "--scores", "scores.json", "--budget", budget, "--no-refit", "--out", budget, cwd=tmp_path
        )
        kept.append(Decision.load(tmp_path / budget / "decision.json").keep)
    assert all((kept[1][name] <= kept[0][name]).all() for name in kept[0])
    oamip("prune", model, "--decision", "params=0.3/decision.json", "--out", "again", cwd=tmp_path)
    again = Decision.load(tmp_path / "again/decision.json").keep
    assert all((again[name] == kept[1][name]).all() for name in again)


def test_pyomo_and_matrix_choose_the_same_units(tmp_path: Path, trained: Path) -> None:
    decisions = []
    for backend in ("matrix", "pyomo"):
        oamip("prune", str(trained / "mlp.safetensors"), "--budget", "units=0.5", "--steps", "once", "--samples", "30",
              "--backend", backend, "--out", backend, cwd=tmp_path)  # fmt: skip
        decisions.append(Decision.load(tmp_path / backend / "decision.json"))
    for name, values in decisions[0].scores.values.items():  # type: ignore[union-attr]
        np.testing.assert_allclose(values, decisions[1].scores.values[name], atol=1e-6)  # type: ignore[union-attr]


def test_published_program_with_a_threshold(tmp_path: Path, trained: Path) -> None:
    run = oamip("prune", str(trained / "mlp.safetensors"), "--published", "--threshold", "0.3", cwd=tmp_path)
    assert "(intact, cross_entropy, λ = 5)" in run.stdout


def test_an_onnx_file_is_pruned_into_three_files_that_are_pruned_again(tmp_path: Path, trained: Path) -> None:
    to_onnx(read(saved.load(trained / "mlp.safetensors"), torch.zeros(1, 1, 8, 8)), tmp_path / "mlp.onnx")
    formats = ["--formats", "onnx,pt2,safetensors"]
    run = oamip(
        "prune", "mlp.onnx", "--budget", "units=0.5", "--formulation", "l2", "--out", "out", *formats, cwd=tmp_path
    )
    assert "mlp.onnx pruned by l2" in run.stdout
    assert "model.onnx, model.pt2, model.safetensors" in run.stdout
    for kind in ("onnx", "pt2", "safetensors"):
        oamip("score", f"out/model.{kind}", "--formulation", "l2", "--out", f"{kind}.json", cwd=tmp_path)
    found = [Decision.load(tmp_path / f"{kind}.json").scores for kind in ("onnx", "pt2", "safetensors")]
    for scores in found:  # the names of layers may differ
        for one, other in zip(scores.values.values(), found[0].values.values(), strict=True):  # type: ignore[union-attr]
            np.testing.assert_allclose(one, other, rtol=1e-6)
    oamip("export", "out/model.onnx", "--samples", "10", "--steps", "once", "--out", "net.mps", cwd=tmp_path)
    assert "no format 'h5'" in refusal("prune", "mlp.onnx", "--budget", "units=0.5", "--formats", "h5", cwd=tmp_path)
    assert "--out" in refusal("prune", "mlp.onnx", "--budget", "units=0.5", "--formats", "onnx", cwd=tmp_path)


def test_a_file_that_cannot_be_written_costs_no_answer(tmp_path: Path, trained: Path) -> None:
    call = ("prune", str(trained / "mlp.safetensors"), "--budget", "units=0.5", "--formulation", "l2", "--no-refit")
    (tmp_path / "file").touch()
    for out in ("--out", "--json"):
        assert "file is a file; give a folder" in refusal(*call, out, "file/deep/er", cwd=tmp_path)
    (tmp_path / "out/model.safetensors").mkdir(parents=True)  # in the way
    run = oamip(*call, "--out", "out", cwd=tmp_path, status=2)
    assert "The network keeps" in run.stdout
    assert "model.safetensors" in run.stderr
    assert Decision.load(tmp_path / "out/decision.json").keep


def test_samples_are_normalised_by_one_number_or_one_per_channel(tmp_path: Path, trained: Path) -> None:
    model = str(trained / "mlp.safetensors")
    wanted = ["--budget", "units=0.5", "--formulation", "l2", "--no-refit"]
    run = oamip("prune", model, "--mean", "0.5", "--std", "0.25", *wanted, cwd=tmp_path)
    assert "normalised by mean 0.5, std 0.25" in " ".join(run.stdout.split())
    assert "1 channels" in refusal("prune", model, "--mean", "0.5", "0.4", *wanted, cwd=tmp_path)
    published = ["--published", "--threshold", "0.3", "--clamp", "0", "1"]
    oamip("prune", model, "--mean", "0.5", "--std", "0.25", *published, cwd=tmp_path)


def test_users_own_data_and_model(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\nfrom torch import nn\n"
        "def net():\n    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))\n"
        "def data():\n    x = np.random.default_rng(0).normal(size=(200, 3)); return x, x.sum(1, keepdims=True)\n"
    )
    run = oamip("prune", "mine:net", "--data", "mine:data", "--budget", "units=4", "--samples", "20", cwd=tmp_path)
    assert "squared error" in run.stdout  # a regression


def test_the_installed_command_answers(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("oamip"))]
    assert "prune" in subprocess.run([*command, "--help"], check=True, capture_output=True, text=True).stdout
    wrong = subprocess.run([*command, "prune", "none.pt2", "--budget", "units=0.5"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "none.pt2" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_help_and_solvers_load_no_torch_and_no_solver(tmp_path: Path) -> None:
    for command in (["--help"], ["solvers"], ["--version"]):
        code = (
            "import sys\nfrom oamip.cli import main\n"
            f"sys.argv = ['oamip', *{command}]\n"
            "try:\n    main()\nexcept SystemExit:\n    pass\n"
            "heavy = {'torch', 'pyomo', 'cvxpy', 'pulp', 'highspy'} & set(sys.modules)\n"
            "assert not heavy, heavy\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=tmp_path)
    for command in ("prune", "score", "solvers"):
        assert "Usage: oamip" in oamip(command, "--help", cwd=tmp_path).stdout
    assert "highs" in oamip("solvers", "--json", "solvers.json", cwd=tmp_path).stdout
    assert {pair["solver"] for pair in json.loads((tmp_path / "solvers.json").read_text())} >= {"highs"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["prune", "digits-mlp", "--buget", "units=0.5"], "Unknown option"),
        (["prune"], "requires an argument"),
        (["prune", "digits-mlp"], "say what to keep"),
        (["prune", "digits-mlp", "--budget", "units=0.5", "--threshold", "0.1"], "say what to keep"),
        (["prune", "digits-mlp", "--budget", "units=lots"], "units=0.5"),
        (["prune", "digits-mlp", "--budget", "units=0.5", "--baselines", "l3"], "no baseline 'l3'"),
        (["prune", "digits-mlp", "--budget", "units=0.5", "--data", "cifar"], "cifar"),
        (["prune", "digits-mlp", "--budget", "units=0.5", "--data", "none.npz"], "none.npz"),
        (["prune", "digits-mlp", "--budget", "units=0.5", "--solver", "nosuch"], "nosuch"),
        (["prune", "digits-mlp", "--budget", "units=0.5", "--backend", "nosuch"], "nosuch"),
        (["prune", "resnet", "--budget", "units=0.5"], "resnet"),
        (["prune", "digits-mlp", "--budget", "units=0.5", "--decision", "x.json"], "x.json"),
        (["prune", "digits-mlp", "--budget", "units=0.5", "--time-limit", "-1"], "time_limit"),
        (["prune", "none.safetensors", "--budget", "units=0.5"], "none.safetensors"),
        (["prune", "digits-mlp", "--weights", "w.pt", "--budget", "units=0.5"], "w.pt"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else None,
)
def test_wrong_calls_get_one_clear_line(tmp_path: Path, args: list[str], message: str) -> None:
    assert message in refusal(*args, cwd=tmp_path)


def test_wrong_weights_data_and_budgets_get_one_clear_line(tmp_path: Path, trained: Path) -> None:
    call = ("prune", "digits-mlp", "--weights", str(trained / "weights.pt"))
    for spec, message in [
        ({"x": np.zeros((30, 5)), "y": np.arange(30) % 10}, "shape"),
        ({"x": np.zeros((60, 1, 8, 8)), "y": np.arange(60) % 12}, "outputs"),
        ({"x": np.full((30, 1, 8, 8), np.nan), "y": np.arange(30) % 10}, "NaN"),
        ({"x": np.zeros((30, 1, 8, 8)), "y": np.arange(29) % 10}, "30"),
        ({"x": np.zeros((30, 1, 8, 8))}, "no labels"),
    ]:
        np.savez(tmp_path / "data.npz", **spec)
        assert message in refusal(*call, "--data", "data.npz", "--budget", "units=0.5", cwd=tmp_path)
    state = BUILT_IN["digits-mlp"].build().state_dict()
    state["1.weight"][3, 2] = float("nan")
    torch.save(state, tmp_path / "nan.pt")
    assert "1.weight" in refusal("prune", "digits-mlp", "--weights", "nan.pt", "--budget", "units=0.5", cwd=tmp_path)
    assert "smallest reachable" in refusal(*call, "--budget", "params=10", cwd=tmp_path)
    assert "write name=value" in refusal(*call, "--budget", "units=0.5", "--raw", "presolve", cwd=tmp_path)
    assert "no_such" in refusal(*call, "--budget", "units=0.5", "--raw", "no_such=1", cwd=tmp_path)
    assert "bounds='intact'" in refusal(*call, "--budget", "units=0.5", "--clamp", "0", "1", cwd=tmp_path)
    assert "nothing would be removed" in refusal(*call, "--budget", "units=64", "--formulation", "l2", cwd=tmp_path)
    (tmp_path / "file").write_text("")
    assert "is a file" in refusal(*call, "--budget", "units=0.5", "--out", "file", cwd=tmp_path)
    assert "is a folder" in refusal(*call, "--budget", "units=0.5", "--json", ".", cwd=tmp_path)
    assert "not a number" in refusal(*call, "--threshold", "nan", "--steps", "once", cwd=tmp_path)
    assert "matches no layer" in refusal(*call, "--budget", "units=0.5", "--include", "conv*", cwd=tmp_path)
