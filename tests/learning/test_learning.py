"""Training depends on the seed alone, and measuring changes nothing."""

import numpy as np
import pytest
import torch
from torch import nn

from oamip.data import Split, as_data, load
from oamip.errors import DataError, InputError
from oamip.learning import accuracy, mean_squared_error, train
from oamip.models import BUILT_IN, open_model


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def equal(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


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
