import logging
import zipfile

import onnx
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from oamip.data import as_data, load
from oamip.errors import DataError, InputError, ModelFileError, UnsupportedOperator
from oamip.learning import accuracy
from oamip.models import BUILT_IN, fitted, open_model
from oamip.readers import read, saved
from oamip.writers import to_onnx, to_torch


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def equal(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- built-in networks ---


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_networks_map_a_batch_to_ten_scores(name):
    assert BUILT_IN[name].build().eval()(torch.rand(3, *BUILT_IN[name].shape)).shape == (3, 10)


@pytest.mark.parametrize(
    ("name", "parameters"),
    # Σ (inputs + 1) · outputs over the layers, by hand
    [
        ("digits-mlp", 3466),
        ("fc3", 266_610),
        ("fc4", 188_210),
        ("lenet5", 61_706),
        ("digits-cnn", 3674),
        ("resnet20", 269_722),
    ],
)
def test_built_in_networks_have_the_published_sizes(name, parameters):
    assert sum(p.numel() for p in BUILT_IN[name].build().parameters()) == parameters


@pytest.mark.parametrize("name", ["digits-mlp", "digits-cnn"])
def test_digits_are_learned(name, digits):
    module = open_model(name, data=digits, epochs=15)
    assert not module.training
    assert accuracy(module, digits.test) > 0.9


def test_a_published_network_learns_mnist_in_one_epoch(shared):
    data = load("mnist", data_dir=shared / "data")
    assert accuracy(open_model("fc4", data=data, epochs=1), data.test) > 0.92


def test_data_that_does_not_fit_is_refused(digits):
    with pytest.raises(DataError, match=r"shape \(1, 28, 28\)"):
        open_model("fc3", data=digits)
    with pytest.raises(DataError, match="--data-dir"):
        open_model("fc3")


def test_what_a_name_was_meant_to_be_is_told():
    with pytest.raises(ModelFileError, match=r"pickled modules are not loaded.*--weights whole\.pt"):
        open_model("whole.pt")
    with pytest.raises(ModelFileError, match=r"as in an import, mine\.net:make"):
        open_model("./mine/net.py:make")


# --- the cache ---


def test_the_cache_gives_back_the_same_weights_and_trains_once(tmp_path, digits):
    epochs = []
    first, again = (
        open_model(
            "digits-cnn", data=digits, epochs=2, cache=tmp_path / "kept", progress=lambda e, *_: epochs.append(e)
        )
        for _ in range(2)
    )
    assert epochs == [1, 2]
    assert equal(first, again)
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_the_cache_tells_data_seed_and_epochs_apart(tmp_path, digits):
    other = as_data(
        {f"{axis}_{part}": getattr(getattr(digits, part), axis)[::-1] for part in ("train", "test") for axis in "xy"}
    )
    for change in ({}, {"seed": 1}, {"epochs": 2}, {"data": other}):
        open_model("digits-mlp", **{"data": digits, "epochs": 1, "cache": tmp_path, **change})
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "nan"])
def test_a_damaged_cache_is_trained_again_with_a_warning(tmp_path, digits, damage, caplog):
    first = open_model("digits-mlp", data=digits, epochs=1, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    if damage == "other":
        save_file({"weight": torch.ones(2)}, file)
    elif damage == "nan":
        save_file({name: tensor * torch.nan for name, tensor in first.state_dict().items()}, file)
    else:
        file.write_bytes(file.read_bytes()[: 100 if damage == "cut" else 0])
    with caplog.at_level(logging.WARNING):
        again = open_model("digits-mlp", data=digits, epochs=1, cache=tmp_path)
    assert equal(first, again)
    assert file.name in caplog.text
    caplog.clear()
    assert equal(first, open_model("digits-mlp", data=digits, epochs=1, cache=tmp_path))
    assert not caplog.text


# --- files and factories ---


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A user's module in the working directory, and weights for it."""
    (tmp_path / "my_networks.py").write_text(
        "from torch import nn\n"
        "def small():\n    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))\n"
        "def number():\n    return 3\n"
        "def broken():\n    return nn.Linear('a', 2)\n"
    )
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def test_weights_go_into_a_factory_and_may_replace_training(mine, tmp_path):
    save_file(mine.state_dict(), "w.safetensors")
    module = open_model("my_networks:small", weights=tmp_path / "w.safetensors")
    assert equal(module, mine)
    assert not module.training
    network = BUILT_IN["fc4"].build()
    save_file(network.state_dict(), "fc4.safetensors")
    assert equal(open_model("fc4", weights=tmp_path / "fc4.safetensors"), network)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("my_networks:large", "has no callable 'large'; it has broken, number, small"),
        ("my_networks:", "has no callable ''"),
        ("my_networks:number", "returns int"),
        ("my_networks:broken", "raised TypeError"),
        ("not_there.at_all:make", "there is no module 'not_there'"),
        ("resnet", "digits-mlp"),
        ("absent.safetensors", "is missing"),
        ("absent.pt2", "is missing"),
    ],
)
def test_models_that_are_not_there_say_what_is(mine, spec, words):
    with pytest.raises(ModelFileError, match=words):
        open_model(spec)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_saved_and_exported_files_are_opened_by_their_ending(mine, tmp_path):
    x = torch.rand(2, 3)
    saved.save(mine, x, tmp_path / "a.safetensors")
    torch.export.save(torch.export.export(mine.eval(), (x,)), tmp_path / "a.pt2")
    assert zipfile.is_zipfile(tmp_path / "a.pt2")
    for name in ("a.safetensors", "a.pt2"):
        assert torch.equal(open_model(str(tmp_path / name))(x), mine(x))
    mine[0].bias.data[0] = torch.nan
    saved.save(mine, x, tmp_path / "a.safetensors")
    with pytest.raises(ModelFileError, match="NaN"):
        open_model(str(tmp_path / "a.safetensors"))


# --- ONNX files ---


def test_an_onnx_file_is_opened_and_data_takes_its_shape(shared):
    module = open_model(str(shared / "networks" / "mnist-net_256x2.onnx"))
    data = load("mnist", data_dir=shared / "data")
    fit = fitted(data, module)
    assert fit.test.shape == (784, 1)
    assert "reshaped from (1, 28, 28) to (784, 1)" in fit.note
    assert accuracy(module, fit.test) > 0.97
    again = fitted(data.reshaped((784,)), module)
    assert again.test.x.shape == (10_000, 784, 1)
    with pytest.raises(DataError, match=r"\(1, 8, 8\), the network takes \(784, 1\)"):
        fitted(load("digits"), module)


def test_data_that_fill_in_sizes_leave_the_batch_open(digits, tmp_path):
    ends = [
        onnx.helper.make_tensor_value_info("x", 1, ["n", 1, "h", "w"]),
        onnx.helper.make_tensor_value_info("y", 1, None),
    ]
    node = onnx.helper.make_node("ReduceMean", ["x"], ["y"], axes=[0])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", ends[:1], ends[1:]))
    model.opset_import[0].version = 13
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(UnsupportedOperator, match=r"shapes=\{'x': \(1, 1, 8, 8\)"):
        open_model(str(tmp_path / "net.onnx"), data=digits)


def test_a_network_of_several_inputs_is_refused_on_data_of_one(digits):
    class Two(nn.Module):
        def forward(self, a, b):
            return a.relu() + b

    network = read(Two(), (torch.ones(1, 3), torch.ones(1, 3)))
    with pytest.raises(DataError, match="takes 2 inputs, and 'digits' has one"):
        fitted(digits, to_torch(network))


def test_other_networks_leave_the_data_as_it_is(digits):
    assert fitted(digits, BUILT_IN["digits-cnn"].build()) is digits


def test_sizes_that_an_onnx_file_leaves_open_are_those_of_the_data(tmp_path, digits):
    import onnx

    module = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10))
    to_onnx(read(module, torch.zeros(1, 1, 8, 8)), tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    for axis, name in ((2, "height"), (3, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(InputError, match="not all fixed"):
        open_model(str(tmp_path / "net.onnx"))
    again = open_model(str(tmp_path / "net.onnx"), data=digits)
    x = torch.from_numpy(digits.test.x[:5])
    torch.testing.assert_close(again(x), module(x))


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x08"])
def test_a_damaged_onnx_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"net\.onnx"):
        open_model(str(tmp_path / "net.onnx"))
