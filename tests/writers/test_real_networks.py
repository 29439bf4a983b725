"""Real trained networks: the published accuracies through our own reading, the same numbers as torch and ONNX give."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

import oamip
from oamip.data import Data, Split
from oamip.data.cifar import read_batch
from oamip.data.sources import read_idx
from oamip.learning import accuracy
from oamip.network import Network
from oamip.readers import read
from oamip.weights import load_weights
from oamip.writers import to_onnx, to_torch

IMAGENET = (0.485, 0.456, 0.406)
CIFAR = (0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)


def mlp() -> nn.Module:
    layers = [part for a, b in pairwise((784, 50, 50, 10)) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def convolutional(channels: tuple[int, int, int], features: int, padding: int) -> nn.Module:
    a, b, c = channels
    first = [nn.Conv2d(a, b, 4, 2, padding), nn.ReLU(), nn.Conv2d(b, c, 4, 2, padding), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*first, nn.Linear(features, 100), nn.ReLU(), nn.Linear(100, 10))


MODULES = {
    "cifar_base_kw.pth": lambda: convolutional((3, 8, 16), 1024, 1),
    "mnist_convSmallRELU__Point.pyt": lambda: convolutional((1, 16, 32), 800, 0),
    "mnist_2_50_flattened.pyt": mlp,
}
# file, mean, std, number of test images, accuracy: the table of the folder's README
PUBLISHED = [
    ("cifar_base_kw.pth", IMAGENET, 0.225, 10_000, 0.5853),
    ("cifar_base_kw.onnx", IMAGENET, 0.225, 10_000, 0.5853),
    ("mnist_convSmallRELU__Point.pyt", 0.1307, 0.3081, 10_000, 0.9825),
    ("mnist_2_50_flattened.pyt", 0.0, 1.0, 10_000, 0.9588),
    ("mnist-net_256x2.onnx", 0.0, 1.0, 2_000, 0.974),
    ("Convnet_maxpool.onnx", 0.0, 1.0, 2_000, 0.971),
    ("Convnet_avgpool.onnx", 0.0, 1.0, 2_000, 0.9695),
    ("resnet_2b.onnx", *CIFAR, 1_000, 0.703),
    pytest.param("resnet20_cifar10.th", IMAGENET, (0.229, 0.224, 0.225), 10_000, 0.9173, marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def tested(shared):
    """The official test images and labels by the first letters of a network's name."""
    raw = shared / "data" / "MNIST" / "raw"
    images = read_idx(raw / "t10k-images-idx3-ubyte", 3)[:, None].astype(np.float32) / 255
    mnist = Split(images, read_idx(raw / "t10k-labels-idx1-ubyte", 1).astype(np.int64))
    cifar = Split(*read_batch(shared / "data" / "cifar-10-batches-py" / "test_batch"))
    return lambda name: cifar if name.startswith(("cifar", "resnet")) else mnist


def three_parts(split: Split, size: int, name: str) -> Data:
    """Disjoint parts of the test images, enough to prune on."""
    parts = (split.take(np.arange(start, start + size)) for start in (0, size, 2 * size))
    return Data(*parts, name, 10)


@pytest.fixture
def module_of(shared, resnet20):
    """The module of a file of weights."""

    def build(name: str) -> nn.Module:
        if name == "resnet20_cifar10.th":
            return copy.deepcopy(resnet20)
        module, path = MODULES[name]().eval(), shared / "networks" / name
        if name == "cifar_base_kw.pth":  # its state dict lies in a list
            module.load_state_dict(torch.load(path, weights_only=True, map_location="cpu")["state_dict"][0])
        else:
            load_weights(module, path)
        return module

    return build


@pytest.fixture
def network_of(shared, module_of):
    """The network of a file."""

    def build(name: str) -> Network:
        if name.endswith(".onnx"):
            return oamip.read(shared / "networks" / name)
        shape = {"cifar": (3, 32, 32), "resne": (3, 32, 32), "mnist": (1, 28, 28)}[name[:5]]
        return read(module_of(name), torch.zeros(1, *((784,) if "flattened" in name else shape)))

    return build


@pytest.mark.parametrize(("name", "mean", "std", "count", "published"), PUBLISHED)
def test_the_published_accuracy_comes_out(name, mean, std, count, published, module_of, network_of, tested):
    split = tested(name)
    part = Split(split.x[:count], split.y[:count])
    data = Data(part, part, part, name, 10).normalised(mean, std)
    network = network_of(name)
    fit = data.reshaped(network[network.inputs[0]].shape)
    assert accuracy(to_torch(network), fit.test) == pytest.approx(published, abs=1e-9)
    x = fit.test.x[:20].astype(np.float64)
    found = to_torch(network, dtype=torch.float64)(torch.from_numpy(x)).detach().numpy()
    for one in (network, network.simplify()):
        np.testing.assert_allclose(found, one(x), rtol=0, atol=1e-9 * np.abs(found).max())
    if not name.endswith(".onnx"):  # the module as its owner has it, in torch's own double precision
        source = module_of(name).double()
        np.testing.assert_allclose(
            network(x), source(torch.from_numpy(x)).detach(), rtol=0, atol=1e-9 * np.abs(found).max()
        )


@pytest.mark.parametrize(
    "name", [entry[0] for entry in PUBLISHED[:-1] if entry[0].endswith(".onnx")] + ["cartpole.onnx"]
)
def test_onnx_files_give_what_the_reference_gives(name, shared):
    model = onnx.load(shared / "networks" / name)
    network = oamip.read(shared / "networks" / name)
    given = model.graph.input[0]
    sizes = [size.dim_value or 1 for size in given.type.tensor_type.shape.dim]
    for sample in np.random.default_rng(0).random((3, *network[network.inputs[0]].shape)).astype(np.float32):
        expected = ReferenceEvaluator(model).run(None, {given.name: sample.reshape(sizes)})[0].ravel()
        np.testing.assert_allclose(
            network(sample[None])[0], expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max())
        )


def test_one_network_in_two_files_is_one_network(network_of):
    torch_, onnx_ = (network_of(f"cifar_base_kw.{kind}") for kind in ("pth", "onnx"))
    x = np.random.default_rng(0).standard_normal((3, 3, 32, 32))
    np.testing.assert_allclose(torch_(x), onnx_(x), rtol=0, atol=1e-9 * np.abs(torch_(x)).max())


@pytest.mark.parametrize(
    "criterion",
    ["l1", *(pytest.param(name, marks=pytest.mark.slow) for name in ("activation", "jacobian", "importance"))],
)
def test_resnet20_loses_half_its_channels_and_goes_out_as_onnx(criterion, resnet20, tested, tmp_path):
    data = three_parts(tested("cifar"), 60, "cifar10").normalised(IMAGENET, (0.229, 0.224, 0.225))
    scoring = oamip.Scoring(criterion, samples=20)
    result = oamip.prune(resnet20, data, budget="units=0.5/layer", scoring=scoring, refit=False)  # proves its equality
    assert result.report.result.measured.units == 176  # of 16 + 3·(16 + 32 + 64) coupled channels
    result.save(tmp_path, ("safetensors", "pt2", "onnx"))
    x = torch.from_numpy(data.test.x)
    expected = result.module(x)
    for kind in ("safetensors", "pt2", "onnx"):
        again = oamip.load(tmp_path / f"model.{kind}")
        torch.testing.assert_close(again(x), expected, rtol=1e-4, atol=1e-4)
        assert sum(p.numel() for p in again.parameters()) == sum(p.numel() for p in result.module.parameters())
    to_onnx(read(result.module, x[:1]), tmp_path / "double.onnx", dtype="float64")
    double = result.module.double()(x[:4].double()).detach()
    np.testing.assert_allclose(oamip.read(tmp_path / "double.onnx")(x[:4].numpy()), double, rtol=0, atol=1e-9)


def test_an_onnx_file_is_pruned_on_its_own_data(shared, tested):
    data = three_parts(tested("mnist"), 600, "mnist")
    result = oamip.prune(shared / "networks" / "Convnet_maxpool.onnx", data, budget="units=0.5", scoring="l2")
    assert result.report.result.measured.units == 16
    assert result.report.result.measured.score > 0.8
