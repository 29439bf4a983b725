"""`to_torch`: equal to the network, readable, traceable, savable, exportable, prunable."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import fx, nn

import oamip
from oamip.decision import Decision
from oamip.errors import InputError, MismatchError, UnsupportedOperator
from oamip.network import Affine, Dense, Input, Network, ReLU, find_groups, identity
from oamip.pruning.removal import remove
from oamip.readers import read, saved
from oamip.readers.exported import load_exported
from oamip.writers import save, to_onnx, to_torch

ONNX = ["ACASXU_run2a_1_1_batch_2000", "Convnet_avgpool", "Convnet_maxpool", "cartpole", "cifar_base_kw"]
ONNX += ["mnist-net_256x2", "resnet_2b"]


def assert_same(network: Network, module: nn.Module, tolerance: float = 1e-9) -> None:
    x = np.random.default_rng(1).standard_normal((3, *network[network.inputs[0]].shape))
    dtype = next(module.parameters(), torch.zeros(1, dtype=torch.float64)).dtype
    expected, found = network(x), module(torch.tensor(x, dtype=dtype)).detach().numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max(initial=0)))


def test_every_animal_computes_the_same_and_reads_back_as_an_equal_network(animal):
    module = to_torch(animal.network, dtype=torch.float64)
    again = read(module, animal.x[:2])
    np.testing.assert_allclose(module(animal.x).detach(), animal.network(animal.x.numpy()), atol=1e-9)
    np.testing.assert_allclose(again(animal.x.numpy()), animal.network(animal.x.numpy()), atol=1e-9)
    assert find_groups(again).size >= animal.groups.size  # what the source states in numbers may be free here


def test_random_networks_compute_the_same_and_read_back(random_one):
    module = to_torch(random_one, dtype=torch.float64)
    assert_same(random_one, module)
    x = torch.from_numpy(np.random.default_rng(2).standard_normal((2, *random_one["x"].shape)))
    np.testing.assert_allclose(read(module, x)(x.numpy()), random_one(x.numpy()), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ONNX)
def test_onnx_files_become_modules_with_as_many_removable_units(name, shared):
    network = oamip.read(shared / "networks" / f"{name}.onnx")
    module = to_torch(network, dtype=torch.float64)
    assert_same(network, module)
    x = torch.randn(2, *network[network.inputs[0]].shape, dtype=torch.float64)
    again = read(module, x)
    assert find_groups(again).size == find_groups(network).size > 0
    np.testing.assert_allclose(again(x.numpy()), network(x.numpy()), rtol=1e-9, atol=1e-9)


def test_layers_keep_the_paths_parameters_and_kinds_of_the_source(zoo):
    animal = zoo("residual")
    module = to_torch(animal.network, dtype=torch.float64)
    theirs, ours = (dict(part.named_modules()) for part in (animal.module, module))
    for path, layer in theirs.items():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            assert isinstance(ours[path], type(layer))
            assert sum(p.numel() for p in ours[path].parameters()) == sum(p.numel() for p in layer.parameters())
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert torch.equal(ours[path].weight, layer.weight)


def test_a_module_that_is_called_twice_is_one_module(zoo):
    module = to_torch(zoo("called_twice").network)
    calls = [node.target for node in module.graph.nodes if node.op == "call_module"]
    assert calls.count("second") == 2
    assert sum(p.numel() for p in module.parameters()) == sum(
        p.numel() for p in zoo("called_twice").module.parameters()
    )


def test_layers_of_one_path_with_other_weights_are_two_modules():
    net = Network()
    x = net.add(Input("x", (2,), "x"))
    layer = oamip.network.Layer("fc", "linear", bias=False)
    a = net.add(Affine("a", (2,), "fc", np.zeros(2), layer), (x, Dense(np.eye(2), (2,))))
    b = net.add(Affine("b", (2,), "fc", np.zeros(2), layer), (a, Dense(2 * np.eye(2), (2,))))
    net.outputs = (b,)
    assert_same(net, to_torch(net, dtype=torch.float64))


@pytest.mark.parametrize("path", ["forward", "a.b", "a", "__class__", "lambda", "a b", "", "x"])
def test_paths_that_torch_cannot_have_get_another_name(path):
    net = Network()
    x = net.add(Input("x", (2,), path))
    layer = oamip.network.Layer
    a = net.add(
        Affine("a", (3,), path, np.ones(3), layer(path, "linear", bias=True)), (x, Dense(np.ones((3, 2)), (2,)))
    )
    r = net.add(ReLU("relu", (3,), path), (a, None))
    b = net.add(Affine("b", (1,), "a", np.ones(1), layer("a", "linear", bias=True)), (r, Dense(np.ones((1, 3)), (3,))))
    net.outputs = (b,)
    module = to_torch(net, dtype=torch.float64)
    assert_same(net, module)
    assert sum(p.numel() for p in module.parameters()) == 13


@pytest.mark.parametrize(
    "name", ["convnet", "residual", "concatenation", "padded_shortcut", "bent_and_clamped", "pooling"]
)
def test_it_can_be_traced_saved_exported_and_pruned(name, zoo, tmp_path):
    animal = zoo(name)
    module, x = to_torch(animal.network, dtype=torch.float64), animal.x
    expected = module(x)
    assert torch.equal(fx.symbolic_trace(module)(x), expected)
    saved.save(module, x, tmp_path / "net.safetensors")
    assert torch.equal(saved.load(tmp_path / "net.safetensors")(x), expected)
    program = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    torch.export.save(program, tmp_path / "net.pt2")
    torch.testing.assert_close(load_exported(tmp_path / "net.pt2")(x[:3]), expected[:3])
    groups = find_groups(read(module, x[:2]))
    keep = np.random.default_rng(0).random(groups.size) < 0.5
    keep[[group.start for group in groups.groups]] = True
    small = remove(module, x[:2], groups, Decision.of(groups, keep, None, "test"))  # proves itself
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("kind", ["", "safetensors", "pt2", "onnx"])
def test_normalisations_do_not_learn_from_batches_also_from_files(kind, zoo, tmp_path):
    animal = zoo("depthwise")
    module, x = to_torch(animal.network), animal.x.float()
    if kind:
        save(module, x, tmp_path / f"net.{kind}")
        module = oamip.load(tmp_path / f"net.{kind}")
    expected = module(x)
    module.train()(100 * x + 5)
    assert torch.equal(module(x), expected)


def test_single_precision_is_the_default_and_the_shape_of_a_sample_is_told(zoo):
    module = to_torch(zoo("convnet").network)
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    assert module.meta["input_shapes"] == ((2, 8, 10),)
    assert_same(zoo("convnet").network, module, 1e-5)
    with pytest.raises(InputError, match="floating-point"):
        to_torch(zoo("mlp").network, dtype=torch.int64)


def test_several_inputs_and_outputs_keep_their_order():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 2), nn.Linear(4, 2)

        def forward(self, right, left):
            a, b = self.first(right), self.second(left)
            return a + b.relu(), b

    inputs = torch.randn(5, 3).double(), torch.randn(5, 4).double()
    source = Two().double()
    module = to_torch(read(source, inputs), dtype=torch.float64)
    for found, expected in zip(module(*inputs), source(*inputs), strict=True):
        torch.testing.assert_close(found, expected)


def test_inputs_whose_names_are_alike_in_python_are_told_apart():
    net = Network()
    first, second = net.add(Input("one", (2,), "a.b")), net.add(Input("two", (2,), "a_b"))
    net.outputs = (net.add(Affine("y", (2,), "y", np.zeros(2)), (first, identity((2,))), (second, identity((2,)))),)
    assert to_torch(net)(torch.ones(1, 2), torch.ones(1, 2)).tolist() == [[2.0, 2.0]]


def test_a_wrong_translation_is_never_handed_out(monkeypatch, zoo):
    from oamip.writers.steps import Positive
    from oamip.writers.torch_rules import RULES

    monkeypatch.setitem(RULES, Positive, lambda writer, step, _: writer.input(step))
    with pytest.raises(MismatchError, match="differs from the network"):
        to_torch(zoo("mlp").network)


class Turned:
    """A linear map of a stranger's: each entry is the sum of two others."""

    in_shape, out_shape = (2, 3), (3, 2)

    def apply(self, x):
        return (self.matrix() @ x.reshape(len(x), -1).T).T.reshape(len(x), *self.out_shape)

    def matrix(self):
        return sp.csr_array(np.eye(6) + np.eye(6, k=1))


def test_linear_maps_of_strangers_are_written_as_matrices(monkeypatch, tmp_path):
    net = Network()
    x = net.add(Input("x", (2, 3), "x"))
    net.outputs = (net.add(Affine("y", (3, 2), "y", np.arange(6.0).reshape(3, 2)), (x, Turned())),)
    assert_same(net, to_torch(net, dtype=torch.float64))
    to_onnx(net, tmp_path / "net.onnx", dtype="float64")
    monkeypatch.setattr("oamip.writers.lowering._DENSE", 35)
    with pytest.raises(UnsupportedOperator, match=r"Turned at 'y'.*6 × 6"):
        to_torch(net)


def test_constants_are_written_for_any_batch(tmp_path):
    net = Network()
    constant = net.add(Affine("constant", (2, 3), "constant", np.arange(6.0).reshape(2, 3)))
    x = net.add(Input("x", (2, 3), "x"))
    total = net.add(Affine("y", (2, 3), "y", np.zeros((2, 3))), (x, identity((2, 3))), (constant, identity((2, 3))))
    net.outputs = (total, constant)
    module, x = to_torch(net, dtype=torch.float64), torch.randn(4, 2, 3, dtype=torch.float64)
    for found in (module(x), read(module, x[:1]).evaluate(x.numpy()).values()):
        assert any(np.array_equal(part, np.broadcast_to(np.arange(6.0).reshape(2, 3), (4, 2, 3))) for part in found)
    to_onnx(net, tmp_path / "net.onnx", dtype="float64")
    again = oamip.read(tmp_path / "net.onnx")
    np.testing.assert_array_equal(again.evaluate(x.numpy())[again.outputs[0]], net.evaluate(x.numpy())["y"])
