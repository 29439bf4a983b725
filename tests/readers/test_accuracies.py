"""The reported accuracies of real networks, reproduced on the real test sets by our own evaluation."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from oamip.data import load
from oamip.network import Network
from oamip.readers import read

Samples = tuple[np.ndarray, np.ndarray]


def mnist(folder: Path) -> Samples:
    test = load("mnist", data_dir=folder).test
    return test.x, test.y


def cifar(folder: Path, mean: tuple[float, ...], std: tuple[float, ...]) -> Samples:
    content = pickle.loads((folder / "cifar-10-batches-py" / "test_batch").read_bytes(), encoding="latin1")
    shift, scale = (np.array(numbers).reshape(3, 1, 1) for numbers in (mean, std))
    return (content["data"].reshape(-1, 3, 32, 32) / 255 - shift) / scale, np.array(content["labels"])


def accuracy(network: Network, samples: Samples, count: int) -> float:
    x, y = (part[:count] for part in samples)
    shape = network[network.inputs[0]].shape
    right = [network(x[i : i + 100].reshape(-1, *shape)).argmax(1) == y[i : i + 100] for i in range(0, count, 100)]
    return float(np.mean(right))


IMAGENET = (0.485, 0.456, 0.406)
CIFAR = (0.4914, 0.4822, 0.4465)
FILES: dict[str, tuple[Callable[[Path], Samples], int, float]] = {
    "mnist-net_256x2.onnx": (mnist, 2000, 0.974),
    "Convnet_maxpool.onnx": (mnist, 2000, 0.971),
    "Convnet_avgpool.onnx": (mnist, 2000, 0.9695),
    "resnet_2b.onnx": (lambda folder: cifar(folder, CIFAR, (0.2471, 0.2435, 0.2616)), 1000, 0.703),
    "cifar_base_kw.onnx": (lambda folder: cifar(folder, IMAGENET, (0.225, 0.225, 0.225)), 10_000, 0.5853),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_onnx_files(name: str, shared: Path) -> None:
    samples, count, reported = FILES[name]
    network = read(shared / "networks" / name)
    for one in (network, network.simplify()):
        assert accuracy(one, samples(shared / "data"), count) == pytest.approx(reported, abs=5e-5)


@pytest.mark.slow
def test_resnet20(resnet20: nn.Module, shared: Path) -> None:
    network = read(resnet20, torch.zeros(1, 3, 32, 32)).simplify()
    samples = cifar(shared / "data", IMAGENET, (0.229, 0.224, 0.225))
    assert accuracy(network, samples, 10_000) == pytest.approx(0.9173, abs=5e-5)
