import logging
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from oamip.data import Split, as_data, load
from oamip.errors import DataError, InputError, ModelFileError
from oamip.models import BUILT_IN, accuracy, mean_squared_error, open_model, train
from oamip.readers import saved


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


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
    [("digits-mlp", 3466), ("fc3", 266_610), ("fc4", 188_210), ("lenet5", 61_706), ("digits-cnn", 3674)],
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


# --- training ---


def test_training_depends_on_the_seed_alone(digits):
    torch.manual_seed(5)
    one = open_model("digits-cnn", data=digits, epochs=1, seed=1)
    torch.manual_seed(6)
    before = torch.random.get_rng_state()
    again = open_model("digits-cnn", data=digits, epochs=1, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert equal(one, again)
    assert not equal(one, open_model("digits-cnn", data=digits, epochs=1, seed=2))


def test_progress_is_told_once_per_epoch_and_the_loss_falls(digits):
    told = []
    open_model("digits-mlp", data=digits, epochs=4, progress=lambda *now: told.append(now))
    assert [(epoch, epochs) for epoch, epochs, _ in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert told[-1][2] < told[0][2]


def test_a_loss_that_diverges_names_epoch_and_learning_rate(digits):
    module = BUILT_IN["digits-mlp"].build()
    with pytest.raises(InputError, match=r"epoch \d+ at learning rate 1e\+30"):
        train(module, digits, epochs=3, optimiser="sgd", learning_rate=1e30)


def test_a_last_batch_of_one_does_not_stop_batch_norm():
    data = as_data((np.random.default_rng(0).random((25, 4)), np.arange(25) % 2))
    assert len(data.train) == 15
    train(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)), data, epochs=1, batch=7)


def test_impossible_training_is_refused(digits):
    module = nn.Linear(2, 2)
    for wrong in ({"optimiser": "magic"}, {"batch": 0}, {"learning_rate": -1.0}):
        with pytest.raises(InputError):
            train(module, digits, **{"epochs": 1, **wrong})
    with pytest.raises(DataError, match="no labels"):
        train(module, as_data(np.ones((9, 2))), epochs=1)


# --- measuring ---


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_accuracy_is_the_fraction_of_highest_scores_at_their_labels(batch):
    x = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 3]]
    assert accuracy(nn.Identity(), Split(x, np.array([0, 1, 2, 3, 0])), batch) == 0.8


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_squared_error_does_not_depend_on_the_batch(batch):
    x = np.random.default_rng(0).random((10, 2)).astype(np.float32)
    split = Split(x, x + np.array([[1.0, 3.0]], np.float32))
    assert mean_squared_error(nn.Identity(), split, batch) == pytest.approx(5)
    with pytest.raises(DataError, match=r"gives \(2,\) values"):
        mean_squared_error(nn.Identity(), Split(x, x[:, :1]))


def test_measuring_restores_the_mode_of_every_submodule(digits):
    module = BUILT_IN["digits-cnn"].build().train()
    module[1].eval()
    before = [part.training for part in module.modules()], state(module)
    accuracy(module, digits.test)
    assert [part.training for part in module.modules()] == before[0]
    assert all(torch.equal(tensor, before[1][name]) for name, tensor in module.state_dict().items())


def test_measures_refuse_the_other_kind_of_target():
    x = np.ones((3, 1), np.float32)
    with pytest.raises(DataError, match="mean_squared_error"):
        accuracy(nn.Identity(), Split(x, x))
    with pytest.raises(DataError, match="accuracy"):
        mean_squared_error(nn.Identity(), Split(x, np.zeros(3, np.int64)))


def test_precision_follows_the_network():
    split = Split(np.ones((3, 2), np.float32), np.zeros(3, np.int64))
    assert 0 <= accuracy(nn.Linear(2, 2).double(), split) <= 1


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


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {f"module.{k}": v for k, v in s.items()}]
)
def test_weights_of_training_scripts_go_into_a_factory(mine, tmp_path, wrap):
    torch.save(wrap(mine.state_dict()), "w.pt")
    module = open_model("my_networks:small", weights=tmp_path / "w.pt")
    assert equal(module, mine)
    assert not module.training


def test_weights_may_be_safetensors_and_may_replace_training(mine, tmp_path):
    save_file(mine.state_dict(), "w.safetensors")
    assert equal(open_model("my_networks:small", weights=tmp_path / "w.safetensors"), mine)
    network = BUILT_IN["fc4"].build()
    save_file(network.state_dict(), "fc4.safetensors")
    assert equal(open_model("fc4", weights=tmp_path / "fc4.safetensors"), network)


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
        open_model("my_networks:small", weights=tmp_path / "w.pt")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04junk", b"\x80\x02]q\x00."])
@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_damaged_weights_are_named(mine, tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelFileError, match=name):
        open_model("my_networks:small", weights=tmp_path / name)


def test_a_truncated_checkpoint_is_named(mine, tmp_path):
    torch.save(mine.state_dict(), "w.pt")
    whole = (tmp_path / "w.pt").read_bytes()
    for size in (10, len(whole) // 2, len(whole) - 5):
        (tmp_path / "w.pt").write_bytes(whole[:size])
        with pytest.raises(ModelFileError, match=r"w\.pt"):
            open_model("my_networks:small", weights=tmp_path / "w.pt")


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


def test_missing_weights_name_their_path(mine, tmp_path):
    with pytest.raises(ModelFileError, match=r"nowhere\.pt is missing"):
        open_model("my_networks:small", weights=tmp_path / "nowhere.pt")


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
