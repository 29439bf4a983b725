"""First-order contributions of units, against autograd, finite differences and the removal itself."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from oamip.network import Groups, Network, find_groups
from oamip.network.sensitivity import contributions, jacobian_norm, membership, taylor_batches, taylor_terms
from oamip.readers import read

Gate = Callable[[str, Tensor], Tensor]


class Chain(nn.Sequential):
    """A sequence; ``gates`` says after which of its modules the units of which group are switched."""

    def __init__(self, *modules: nn.Module, gates: dict[int, str]) -> None:
        super().__init__(*modules)
        self.gates = gates

    def gated(self, x: Tensor, gate: Gate) -> Tensor:
        for number, module in enumerate(self):
            x = module(x)
            x = gate(self.gates[number], x) if number in self.gates else x
        return x


class Residual(nn.Module):
    """The stream is written by two layers and read by two; ``inner`` is a group of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner, self.outer = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 3, 3, padding=1), nn.Conv2d(3, 4, 1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.gated(x, lambda _, h: h)

    def gated(self, x: Tensor, gate: Gate) -> Tensor:
        stream = self.stem(x)
        # `inner` reads the stream before the addition and `head` after it; each reader is gated once.
        inner = gate("inner", torch.relu(self.inner(gate("stem", stream))))
        stream = gate("stem", stream + self.outer(inner))
        return self.head(torch.flatten(torch.nn.functional.adaptive_avg_pool2d(stream, 1), 1))


class Branches(nn.Module):
    """Two branches side by side, one with its ReLU before and one with none at all."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = nn.Linear(5, 3), nn.Linear(5, 4), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.gated(x, lambda _, h: h)

    def gated(self, x: Tensor, gate: Gate) -> Tensor:
        left, right = gate("left", torch.relu(self.left(x))), gate("right", self.right(x))
        return self.head(torch.cat([left, right], dim=1))


def batch_norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    return norm


def make(name: str) -> tuple[nn.Module, Tensor]:
    """A module and five samples."""
    torch.manual_seed(7)
    image, flat = torch.randn(5, 2, 7, 7), torch.randn(5, 5)
    modules: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
        "linear layers": lambda: (
            Chain(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3), gates={1: "0", 3: "2"}),
            flat,
        ),
        "no activation": lambda: (
            Chain(nn.Linear(5, 6), nn.Linear(6, 4), nn.Linear(4, 3), gates={0: "0", 1: "1"}),
            flat,
        ),
        "convolutions and pools": lambda: (
            Chain(
                *(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 6, 2), nn.ReLU()),
                *(nn.MaxPool2d(2, stride=1), nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)),
                gates={1: "0", 4: "3", 8: "7"},
            ),
            image,
        ),
        "normalised after the activation": lambda: (
            Chain(
                *(nn.Conv2d(2, 4, 3), nn.ReLU(), batch_norm(4), nn.Conv2d(4, 3, 3), nn.ReLU()),
                *(nn.Flatten(), nn.Linear(27, 3)),
                gates={2: "0", 4: "3"},
            ),
            image,
        ),
        "depthwise": lambda: (
            Chain(
                *(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), nn.ReLU(), nn.Conv2d(4, 3, 1)),
                *(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3)),
                gates={3: "0", 5: "4"},
            ),
            image,
        ),
        "residual": lambda: (Residual(), image),
        "concatenation": lambda: (Branches(), flat),
    }
    module, x = modules[name]()
    return module.double().eval(), x.double()


NAMES = (
    *("linear layers", "no activation", "convolutions and pools", "normalised after the activation"),
    *("depthwise", "residual", "concatenation"),
)


def understood(name: str) -> tuple[nn.Module, Tensor, Network, Groups]:
    module, x = make(name)
    network = read(module, x)
    return module, x, network, find_groups(network)


def by_autograd(module: nn.Module, x: Tensor, groups: Groups, keep: np.ndarray) -> np.ndarray:
    """s · ∂o/∂s at s = keep, with one gate per sample and unit in the module's own code: (n, C, units)."""
    gates = torch.tensor(np.tile(keep.astype(float), (len(x), 1)), requires_grad=True)

    def gate(name: str, h: Tensor) -> Tensor:
        return h * gates[:, groups[name].slice].reshape(len(h), -1, *[1] * (h.ndim - 2))

    outputs = module.gated(x, gate)
    slopes = [torch.autograd.grad(outputs[:, c].sum(), gates, retain_graph=True)[0] for c in range(outputs.shape[1])]
    return (torch.stack(slopes, dim=1) * gates[:, None]).detach().numpy()


@pytest.mark.parametrize("name", NAMES)
def test_contributions_are_the_slopes_of_gates_in_the_module(name: str) -> None:
    module, x, network, groups = understood(name)
    outputs, J = taylor_terms(network, groups, x)
    assert groups.size > 0
    np.testing.assert_allclose(outputs, module(x).detach().numpy(), atol=1e-10)
    np.testing.assert_allclose(J, by_autograd(module, x, groups, np.ones(groups.size)), atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_contributions_around_a_partly_pruned_network(name: str) -> None:
    module, x, network, groups = understood(name)
    keep = np.arange(groups.size) % 3 != 1
    outputs, J = taylor_terms(network, groups, x, keep=keep)
    np.testing.assert_allclose(outputs, network(x.numpy(), groups.mask(keep)), atol=1e-10)
    np.testing.assert_allclose(J, by_autograd(module, x, groups, keep), atol=1e-10)
    assert not J[:, :, ~keep].any()


@pytest.mark.parametrize("name", ["linear layers", "convolutions and pools"])
def test_contributions_are_the_slopes_of_scaled_activations(name: str) -> None:
    _, x, network, groups = understood(name)
    _, J = taylor_terms(network, groups, x)
    step = 1e-6

    def scaled(unit: int, factor: float) -> np.ndarray:
        factors = {site: np.where(groups.labels[site] == unit, factor, 1.0) for site in groups.sites}
        edits = {site: lambda h, f=f: h * f.reshape(h.shape[1:]) for site, f in factors.items()}
        return network(x, edits)

    for unit in range(groups.size):
        slope = (scaled(unit, 1 + step) - scaled(unit, 1 - step)) / (2 * step)
        np.testing.assert_allclose(J[:, :, unit], slope, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("linear layers", "2"),
        ("convolutions and pools", "7"),
        ("normalised after the activation", "3"),
        ("concatenation", "left"),
        ("concatenation", "right"),
        ("no activation", "0"),
    ],
)
def test_contributions_are_exact_where_nothing_behind_bends(name: str, group: str) -> None:
    _, x, network, groups = understood(name)
    outputs, J = taylor_terms(network, groups, x)
    for unit in range(groups.size)[groups[group].slice]:
        removed = network(x, groups.mask(np.arange(groups.size) != unit))
        np.testing.assert_allclose(outputs - J[:, :, unit], removed, atol=1e-10)


def test_without_biases_every_layer_contributes_the_whole_output() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(16, 5, bias=False), nn.ReLU(), nn.Linear(5, 3, bias=False)),
    )
    x = torch.randn(6, 1, 6, 6)
    network = read(module, x)
    groups = find_groups(network)
    outputs, J = taylor_terms(network, groups, x)
    for group in groups.groups:
        np.testing.assert_allclose(J[:, :, group.slice].sum(axis=2), outputs, atol=1e-12)


def test_the_size_of_a_batch_changes_nothing() -> None:
    _, x, network, groups = understood("convolutions and pools")
    outputs, J = taylor_terms(network, groups, x, batch=5)
    for batch in (1, 2, 99, None):
        again, terms = taylor_terms(network, groups, x, batch=batch)
        np.testing.assert_allclose(again, outputs, atol=1e-12)
        np.testing.assert_allclose(terms, J, atol=1e-12)
    assert [part for part, *_ in taylor_batches(network, groups, x, 2)] == [slice(0, 2), slice(2, 4), slice(4, 5)]


def test_contributions_are_linear_in_the_function() -> None:
    _, x, network, groups = understood("residual")
    _, J = taylor_terms(network, groups, x)
    weights = np.random.default_rng(0).normal(size=(2, len(x), 3))
    terms = contributions(groups, network.evaluate(x), weights)
    np.testing.assert_allclose(terms, np.einsum("fnc,ncu->fnu", weights, J), atol=1e-12)


def test_units_out_of_scope_leave_the_others_as_they_were() -> None:
    _, x, network, groups = understood("residual")
    _, J = taylor_terms(network, groups, x)
    _, part = taylor_terms(network, groups.only({"inner"}), x)
    np.testing.assert_array_equal(part, J[:, :, groups["inner"].slice])


def test_the_jacobian_norm_ignores_what_moves_all_logits_alike() -> None:
    J = np.random.default_rng(0).normal(size=(4, 3, 5))
    np.testing.assert_allclose(jacobian_norm(J + 7.0), jacobian_norm(J))
    np.testing.assert_allclose(jacobian_norm(J, centred=False) ** 2, (J**2).sum(axis=(0, 1)) / 4)
    np.testing.assert_allclose(jacobian_norm(J[:, :1]), jacobian_norm(J[:, :1], centred=False))


def test_membership_sums_the_entries_of_each_unit() -> None:
    assert (np.array([1.0, 2, 4, 8, 16]) @ membership(np.array([1, -1, 0, 1, -2]), 3)).tolist() == [4, 9, 0]
