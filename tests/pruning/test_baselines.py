"""Baselines against their definitions, written with torch."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from oamip.errors import DataError, InputError
from oamip.network import Groups, Network, find_groups
from oamip.network.sensitivity import taylor_terms
from oamip.pruning.baselines import BASELINES, baseline
from oamip.readers import read


def convolutional() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 2), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(20, 6), nn.ReLU(), nn.Linear(6, 3)),
    ).double()


MODULE = convolutional()
X = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.double)
Y = torch.arange(40) % 3
NETWORK = read(MODULE, X)
GROUPS = find_groups(NETWORK)
RELUS = {"0": 1, "3": 4, "6": 7}


def score(name: str, y: object = Y, network: Network = NETWORK, groups: Groups = GROUPS, seed: int = 0) -> np.ndarray:
    return baseline(name, network, groups, X, y, seed=seed).flat(groups)[0]


def activations() -> dict[str, Tensor]:
    """Group name to the output of its ReLU (n, units, positions), with gradients kept by the caller."""
    values, x = {}, X
    for number, module in enumerate(MODULE):
        x = module(x)
        for name, relu in RELUS.items():
            if relu == number:
                x.retain_grad()
                values[name] = x
    values["output"] = x
    return values


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_scores_every_unit_and_says_how(name: str) -> None:
    scores = baseline(name, NETWORK, GROUPS, X, Y, seed=0)
    values, _ = scores.flat(GROUPS)
    assert values.shape == (15,)
    assert (values >= 0).all()
    assert len(np.unique(values)) > 5
    assert (scores.method, scores.facts["samples"], scores.facts["seed"]) == (name, 40, 0)


def test_random_is_an_order_that_its_seed_repeats() -> None:
    assert sorted(score("random")) == list(range(15))
    np.testing.assert_array_equal(score("random"), score("random"))
    assert (score("random", seed=1) != score("random")).any()


@pytest.mark.parametrize(("name", "order"), [("l1", 1), ("l2", 2)])
def test_magnitude_is_the_norm_of_the_incoming_weights(name: str, order: int) -> None:
    for layer in RELUS:
        weight = MODULE[int(layer)].weight.detach().flatten(1)
        np.testing.assert_allclose(score(name)[GROUPS[layer].slice], torch.linalg.vector_norm(weight, order, dim=1))


def test_magnitude_is_the_mean_over_coupled_layers_and_joint_within_one() -> None:
    class Coupled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.parted = (
                nn.Conv2d(1, 4, 1),
                nn.Conv2d(1, 4, 3, padding=1),
                nn.Conv2d(4, 4, 1, groups=2),
            )
            self.head = nn.Conv2d(4, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.parted(torch.relu(self.a(x) + self.b(x)))).mean((2, 3))

    module = Coupled()
    network = read(module, X)
    groups = find_groups(network)
    a, b, parted = (layer.weight.detach().double().flatten(1) for layer in (module.a, module.b, module.parted))
    pairs = [[0, 2], [1, 3]]  # a channel of one part lives with the same one of the other
    mean = [(a[pair].norm() + b[pair].norm()) / 2 for pair in pairs]
    np.testing.assert_allclose(score("l2", network=network, groups=groups)[groups["a"].slice], mean, rtol=1e-6)
    joint = [parted[pair].norm() for pair in pairs]
    np.testing.assert_allclose(score("l2", network=network, groups=groups)[groups["parted"].slice], joint, rtol=1e-6)


def test_activation_is_the_mean_over_samples_and_positions() -> None:
    for name, h in activations().items():
        if name in RELUS:
            mean = h.detach().abs().flatten(2).mean(dim=(0, 2)) if h.ndim > 2 else h.detach().abs().mean(dim=0)
            np.testing.assert_allclose(score("activation")[GROUPS[name].slice], mean)


@pytest.mark.parametrize("regression", [False, True])
def test_taylor_is_the_mean_of_the_absolute_change_of_the_loss(regression: bool) -> None:
    values = activations()
    target = torch.randn(40, 3, dtype=torch.double) if regression else Y
    if regression:
        ((values["output"] - target) ** 2).sum().backward()
    else:
        nn.functional.cross_entropy(values["output"], target, reduction="sum").backward()
    for name in RELUS:
        products = (values[name] * values[name].grad).detach().reshape(40, GROUPS[name].size, -1)
        np.testing.assert_allclose(
            score("taylor", target)[GROUPS[name].slice], products.sum(2).abs().mean(0), atol=1e-12
        )


def test_jacobian_is_the_spread_over_classes_and_plain_for_a_regression() -> None:
    _, J = taylor_terms(NETWORK, GROUPS, X)
    spread = J - J.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(score("jacobian"), np.sqrt((spread**2).sum(axis=1).mean(axis=0)))
    np.testing.assert_allclose(score("jacobian", None), score("jacobian"))
    np.testing.assert_allclose(score("jacobian", np.zeros((40, 3))), np.sqrt((J**2).sum(axis=1).mean(axis=0)))


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: score(name) for name in BASELINES}
    monkeypatch.setattr("oamip.network.sensitivity._BYTES", 40_000)
    for name in BASELINES:
        np.testing.assert_allclose(score(name), before[name], atol=1e-12)


def test_a_dead_unit_scores_nothing_where_data_speak() -> None:
    module = convolutional()
    with torch.no_grad():
        module[0].bias[2] = -1e3
    network = read(module, X)
    groups = find_groups(network)
    for name in ("activation", "taylor", "jacobian"):
        values = score(name, network=network, groups=groups)
        assert values[groups["0"].start + 2] == 0
        assert values[groups["0"].start] > 0


def test_only_taylor_needs_targets() -> None:
    for name in BASELINES:
        if name != "taylor":
            assert score(name, None).shape == (15,)
    with pytest.raises(DataError, match="taylor needs labels"):
        score("taylor", None)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y + 1, r"labels 1 to 3 do not fit outputs of shape \(3,\)"),
        (np.zeros((40, 2)), r"targets of shape \(2,\) do not fit outputs of shape \(3,\)"),
        (Y[:7], "40 samples and 7 targets"),
    ],
)
def test_targets_that_do_not_fit_are_refused(y: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        score("taylor", y)


def test_an_unknown_baseline_lists_the_known() -> None:
    with pytest.raises(InputError, match="no baseline 'magnitude'; there are random, l1, l2, activation"):
        score("magnitude")
