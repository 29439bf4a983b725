"""One door: modules with an example, ONNX files by path, everything else refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import oamip
from oamip.errors import InputError


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)).double().eval()


def export(module: nn.Module, path: Path) -> None:
    torch.onnx.export(module, (torch.zeros(1, 3, dtype=torch.float64),), str(path), dynamo=False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_module_and_its_onnx_file_read_alike(module: nn.Module, tmp_path: Path) -> None:
    export(module, tmp_path / "net.onnx")
    from_file, from_module = oamip.read(tmp_path / "net.onnx"), oamip.read(module, torch.zeros(1, 3))
    x = np.random.default_rng(0).normal(size=(20, 3))
    np.testing.assert_allclose(from_file(x), from_module(x), rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_onnx_file_is_read_without_torch(module: nn.Module, tmp_path: Path) -> None:
    export(module, tmp_path / "net.onnx")
    code = "import sys, oamip; oamip.read('net.onnx'); print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_what_does_not_belong_together_is_refused(module: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="read with an example_input"):
        oamip.read(module)
    with pytest.raises(InputError, match="shapes= is for ONNX files"):
        oamip.read(module, torch.zeros(1, 3), shapes={"x": (1, 3)})
    with pytest.raises(InputError, match=r"net\.pt: networks are read from torch modules and from files ending"):
        oamip.read("net.pt")
    with pytest.raises(InputError, match="example_input is for torch modules"):
        oamip.read("net.onnx", torch.zeros(1, 3))
