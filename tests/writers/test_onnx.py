"""`to_onnx`: equal to the network when read again and when run by others, dynamic in the batch, atomic."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

import oamip
from oamip.decision import Decision
from oamip.errors import InputError, MismatchError, MissingDependency, ModelFileError
from oamip.network import find_groups
from oamip.readers import read
from oamip.writers import to_onnx, to_torch

ONNX = ["ACASXU_run2a_1_1_batch_2000", "Convnet_avgpool", "Convnet_maxpool", "cartpole", "cifar_base_kw"]
ONNX += ["mnist-net_256x2", "resnet_2b"]


def run(path, x):
    model = onnx.load(path)
    return ReferenceEvaluator(model).run(None, {model.graph.input[0].name: x})[0]


def test_every_animal_is_the_same_in_torch_and_in_the_onnx_reference(animal, tmp_path):
    to_onnx(animal.network, tmp_path / "net.onnx", dtype="float64")
    expected = animal.module(animal.x).detach().numpy()  # the source itself, not our reading of it
    np.testing.assert_allclose(run(tmp_path / "net.onnx", animal.x.numpy()), expected, rtol=1e-9, atol=1e-9)
    again = oamip.read(tmp_path / "net.onnx")
    np.testing.assert_allclose(again(animal.x.numpy()), expected, rtol=1e-9, atol=1e-9)
    assert find_groups(again).size >= animal.groups.size


def test_random_networks_are_the_same_when_read_and_when_run(random_one, tmp_path):
    to_onnx(random_one, tmp_path / "net.onnx", dtype="float64")
    x = np.random.default_rng(3).standard_normal((4, *random_one["x"].shape))
    np.testing.assert_allclose(run(tmp_path / "net.onnx", x), random_one(x), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(oamip.read(tmp_path / "net.onnx")(x), random_one(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ONNX)
def test_onnx_files_go_round(name, shared, tmp_path):
    network = oamip.read(shared / "networks" / f"{name}.onnx")
    to_onnx(network, tmp_path / "net.onnx")
    again = oamip.read(tmp_path / "net.onnx")
    x = np.random.default_rng(0).random((2, *network[network.inputs[0]].shape))
    np.testing.assert_allclose(again(x), network(x), rtol=1e-5, atol=1e-5)
    assert find_groups(again).size == find_groups(network).size
    assert [g.name for g in find_groups(again).groups] == [g.name for g in find_groups(network).groups]


def test_the_file_says_what_it_is(zoo, tmp_path):
    to_onnx(zoo("convnet").network, tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    sizes = model.graph.input[0].type.tensor_type.shape.dim
    assert (sizes[0].dim_param, [size.dim_value for size in sizes[1:]]) == ("batch", [2, 8, 10])
    assert {tensor.data_type for tensor in model.graph.initializer if "weight" in tensor.name} == {
        onnx.TensorProto.FLOAT
    }
    assert {"0.0.weight", "2.weight", "4.bias"} <= {tensor.name for tensor in model.graph.initializer}
    assert not any(node.op_type == "Slice" for node in model.graph.node)


@pytest.mark.parametrize(
    "module",
    [
        torch.nn.AvgPool2d(3, 2, padding=1, ceil_mode=True),
        torch.nn.AvgPool2d(2, 3, ceil_mode=True, count_include_pad=False),
        torch.nn.AvgPool2d(2, divisor_override=3),
        torch.nn.AdaptiveAvgPool2d((2, 3)),
        torch.nn.AdaptiveMaxPool2d((2, 3)),
        torch.nn.MaxPool2d(2, 4),
        torch.nn.MaxPool2d(3, 2, padding=1, dilation=2, ceil_mode=True),
        torch.nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1),
        torch.nn.ConvTranspose2d(2, 3, 2, stride=3, dilation=3),
        torch.nn.Upsample(scale_factor=2),
        torch.nn.ReflectionPad2d(2),
        torch.nn.CircularPad2d((1, 0, 2, 1)),
        torch.nn.ConstantPad2d((1, 2, 0, 3), 0.7),
    ],
    ids=repr,
)
def test_layers_of_every_shape_of_window_come_out_right(module, tmp_path):
    x = torch.randn(3, 2, 8, 7, dtype=torch.float64)
    network = read(torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1), torch.nn.ReLU(), module).double(), x)
    to_onnx(network, tmp_path / "net.onnx", dtype="float64")
    np.testing.assert_allclose(run(tmp_path / "net.onnx", x.numpy()), network(x.numpy()), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "module",
    [
        torch.nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
        torch.nn.ConvTranspose2d(4, 4, 2, groups=4, bias=False),
        torch.nn.Sequential(torch.nn.ZeroPad2d((1, 0, 1, 0)), torch.nn.ConvTranspose2d(4, 2, 3, groups=2)),
    ],
    ids=repr,
)
def test_grouped_transposed_convolutions_are_one_node(module, tmp_path):
    x = torch.randn(3, 4, 5, 4, dtype=torch.float64)
    network = read(torch.nn.Sequential(torch.nn.Conv2d(4, 4, 1), torch.nn.ReLU(), module).double(), x)
    to_onnx(network, tmp_path / "net.onnx", dtype="float64")  # which the reference's kernel would get wrong
    assert [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node].count("ConvTranspose") == 1
    np.testing.assert_allclose(oamip.read(tmp_path / "net.onnx")(x.numpy()), network(x.numpy()), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("side", ["SAME_UPPER", "SAME_LOWER"])
def test_maxima_padded_at_one_end_alone_are_written(side, tmp_path):
    node = onnx.helper.make_node("MaxPool", ["x"], ["y"], auto_pad=side, kernel_shape=[2, 3])
    ends = [
        onnx.helper.make_tensor_value_info("x", 1, ["n", 2, 5, 4]),
        onnx.helper.make_tensor_value_info("y", 1, None),
    ]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", ends[:1], ends[1:])), tmp_path / "net.onnx")
    network, x = oamip.read(tmp_path / "net.onnx"), np.random.default_rng(0).standard_normal((2, 2, 5, 4))
    to_onnx(network, tmp_path / "again.onnx")
    np.testing.assert_array_equal(oamip.read(tmp_path / "again.onnx")(x), network(x))


def test_what_the_reference_cannot_run_is_a_mismatch(monkeypatch, zoo, tmp_path):
    monkeypatch.setattr(ReferenceEvaluator, "run", lambda *_: 1 / 0)
    with pytest.raises(MismatchError, match=r"onnx\.reference cannot run the file \(division by zero\)"):
        to_onnx(zoo("mlp").network, tmp_path / "net.onnx")


def test_writing_and_reading_need_no_torch(shared, tmp_path):
    source = shared / "networks" / "cartpole.onnx"
    code = f"""
import sys, oamip
from oamip.writers import to_onnx
to_onnx(oamip.read({str(source)!r}), {str(tmp_path / "net.onnx")!r})
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert oamip.read(tmp_path / "net.onnx")([[0.0] * 4]).shape == (1, 2)


def test_a_wrong_file_is_never_put_in_place(monkeypatch, zoo, tmp_path):
    from oamip.writers import onnx_graph
    from oamip.writers.steps import Positive

    (tmp_path / "net.onnx").write_bytes(b"before")
    monkeypatch.setitem(onnx_graph.RULES, Positive, lambda w, step, _: w.node("Abs", [w.input(step)], step.name))
    with pytest.raises(MismatchError, match=r"net\.onnx.*differs from the network"):
        to_onnx(zoo("mlp").network, tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_written_is_refused_with_the_way_out(monkeypatch, zoo, tmp_path):
    network = zoo("mlp").network
    with pytest.raises(InputError, match="float16"):
        to_onnx(network, tmp_path / "net.onnx", dtype="float16")
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelFileError, match="cannot be written"):
        to_onnx(network, tmp_path / "file" / "net.onnx")
    with pytest.raises(ModelFileError, match="there is no folder"):
        to_onnx(network, tmp_path / "mistyped" / "net.onnx")
    with pytest.raises(ModelFileError, match="is a folder"):
        to_onnx(network, ".")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"oamip\[onnx\]"):
        to_onnx(network, tmp_path / "net.onnx")


FIXED_IN_TORCH = {"padded_shortcut", "pooling"}
"""Added channels, whose number stands in the code of a module; two pools in one, for which torch has no operator."""


def test_shrunk_and_simplified_networks_go_out_in_both_forms(animal, tmp_path):
    keep = {group.name: np.arange(group.size) % 2 == 0 for group in animal.groups.groups}
    smaller = animal.network.shrink(Decision(keep))
    x = animal.x.numpy()
    for network in (smaller, smaller.simplify(), animal.network.simplify()):
        to_onnx(network, tmp_path / "net.onnx", dtype="float64")
        expected = network(x)
        np.testing.assert_allclose(run(tmp_path / "net.onnx", x), expected, rtol=1e-9, atol=1e-9)
        module = to_torch(network, dtype=torch.float64)
        np.testing.assert_allclose(module(animal.x).detach(), expected, rtol=1e-9, atol=1e-9)
        if animal.name not in FIXED_IN_TORCH:
            assert find_groups(read(module, animal.x[:2])).size >= find_groups(network).size
