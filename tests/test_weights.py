"""Weights go into the network that they were made from, and everything else is refused by name."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from oamip.errors import ModelFileError
from oamip.weights import load_weights


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def equal(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def mine(tmp_path, monkeypatch) -> nn.Module:
    """A network whose weights are to be kept; the working directory is empty."""
    monkeypatch.chdir(tmp_path)
    return small()


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {f"module.{k}": v for k, v in s.items()}]
)
def test_weights_of_training_scripts_are_found(mine, tmp_path, wrap):
    torch.save(wrap(mine.state_dict()), "w.pt")
    module = small()
    load_weights(module, tmp_path / "w.pt")
    assert equal(module, mine)


def test_weights_may_be_safetensors(mine, tmp_path):
    save_file(mine.state_dict(), "w.safetensors")
    module = small()
    load_weights(module, tmp_path / "w.safetensors")
    assert equal(module, mine)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "2.bias"}, r"1 missing: 2\.bias"),
        (lambda s: {**s, **{f"extra{i}": torch.ones(1) for i in range(5)}}, "5 unexpected: extra0, extra1, extra2, …"),
        (lambda s: {**s, "0.bias": torch.ones(7)}, r"1 of another shape: 0\.bias \(7,\) for \(4,\)"),
        (lambda s: {**s, "0.bias": torch.tensor([0, 0, torch.inf, 0])}, r"tensor '0\.bias' holds NaN or infinity"),
        (lambda s: [1, 2], "no state dict"),
        (lambda s: {}, "no state dict"),
        (lambda s: nn.Linear(2, 2), "could run code"),
    ],
)
def test_weights_that_do_not_fit_are_described(mine, tmp_path, change, words):
    torch.save(change(mine.state_dict()), "w.pt")
    with pytest.raises(ModelFileError, match=words):
        load_weights(small(), tmp_path / "w.pt")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04junk", b"\x80\x02]q\x00."])
@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_damaged_weights_are_named(mine, tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelFileError, match=name):
        load_weights(small(), tmp_path / name)


def test_a_truncated_checkpoint_is_named(mine, tmp_path):
    torch.save(mine.state_dict(), "w.pt")
    whole = (tmp_path / "w.pt").read_bytes()
    for size in (10, len(whole) // 2, len(whole) - 5):
        (tmp_path / "w.pt").write_bytes(whole[:size])
        with pytest.raises(ModelFileError, match=r"w\.pt"):
            load_weights(small(), tmp_path / "w.pt")


def test_missing_weights_name_their_path(mine, tmp_path):
    with pytest.raises(ModelFileError, match=r"nowhere\.pt is missing"):
        load_weights(small(), tmp_path / "nowhere.pt")
