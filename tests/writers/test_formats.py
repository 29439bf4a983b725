"""Three kinds of file; what cannot be written is refused and leaves nothing behind."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import oamip
from oamip.errors import InputError, MismatchError, ModelFileError, UnsupportedOperator
from oamip.writers import FORMATS, save


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", ["convnet", "residual", "concatenation", "linear_over_positions"])
def test_every_kind_of_file_loads_again_and_takes_any_batch(kind, name, zoo, tmp_path):
    animal = zoo(name)
    module, x = animal.module.float(), animal.x.float()
    try:
        save(module, x[:1], tmp_path / f"net.{kind}")
        torch.testing.assert_close(oamip.load(tmp_path / f"net.{kind}")(x), module(x), rtol=1e-4, atol=1e-5)
        assert len(list(tmp_path.iterdir())) == 1
    finally:
        module.double()  # the zoo is shared


class Loop(nn.Module):
    def forward(self, x):
        return x.relu() if x.sum() > 0 else x


class Silu(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.act = nn.Linear(2, 2), nn.SiLU()

    def forward(self, x):
        return self.act(self.fc(x))


@pytest.mark.parametrize(
    ("module", "kind", "error", "message"),
    [
        (Loop(), "pt2", ModelFileError, "torch.export cannot follow Loop"),
        (Loop(), "onnx", InputError, "cannot be traced"),
        (Silu(), "pt2", UnsupportedOperator, "silu"),
        (Silu(), "onnx", UnsupportedOperator, "SiLU at 'act'"),
        (Silu(), "safetensors", UnsupportedOperator, "SiLU"),
        (nn.Linear(2, 2), "pth", InputError, r"must end in one of \.safetensors, \.pt2, \.onnx"),
    ],
)
def test_what_cannot_be_written_leaves_nothing_behind(module, kind, error, message, tmp_path):
    with pytest.raises(error, match=message):
        save(module, torch.zeros(2, 2), tmp_path / f"net.{kind}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", FORMATS)
def test_a_mistyped_folder_is_told(kind, tmp_path):
    with pytest.raises(ModelFileError, match="no folder"):
        save(nn.Linear(2, 2), torch.zeros(2, 2), tmp_path / "none" / f"net.{kind}")


@pytest.mark.parametrize("wrong", [lambda y: y + 1e-2, lambda y: torch.full_like(y, torch.nan), lambda y: y[:, :1]])
def test_an_archive_that_gives_other_outputs_takes_no_place(wrong, tmp_path, monkeypatch):
    module = nn.Linear(2, 2)
    monkeypatch.setattr("oamip.writers.formats.load_exported", lambda _: lambda x: wrong(module(x)))
    with pytest.raises(MismatchError, match="other outputs"):
        save(module, torch.ones(2, 2), tmp_path / "net.pt2")
    assert not list(tmp_path.iterdir())
