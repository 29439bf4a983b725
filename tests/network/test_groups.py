"""Units are what can be removed: masking them equals cutting them out of the module."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from oamip.errors import InputError
from oamip.network import (
    ABSENT,
    FIXED,
    Affine,
    Channel,
    Convolution,
    Dense,
    Groups,
    Input,
    Layer,
    Max,
    Network,
    ReLU,
    Scale,
    Selection,
    cost_of,
    find_groups,
    flatten,
    identity,
)
from oamip.readers import read


def random_keep(groups: Groups, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Any units, but at least one of each group."""
    keep = rng.random(groups.size) < 0.6
    for group in groups.groups:
        keep[group.start + rng.integers(group.size)] = True
    return keep


def cut(module: nn.Module, groups: Groups, keep: NDArray[np.bool_]) -> nn.Module:
    """The module with the units that are not kept sliced out of its weights."""
    module, alive = copy.deepcopy(module), np.append(keep, (True, True))
    for cost in cost_of(groups).layers:
        part: Any = dict(module.named_modules()).get(cost.path)
        if part is None or not cost.counted:
            continue
        rows = torch.from_numpy(alive[cost.rows])
        tensors = {name: value for name, value in part.state_dict().items() if value.ndim}
        sliced = {name: value[rows] for name, value in tensors.items()}
        if cost.weighted:
            blocks = alive[cost.columns].reshape(cost.blocks, -1)
            assert (blocks == blocks[0]).all(), "the parts of a grouped convolution must lose the same positions"
            sliced["weight"] = sliced["weight"][:, torch.from_numpy(blocks[0])]
        if isinstance(part, nn.Conv1d | nn.Conv2d) and part.groups > 1 and cost.blocks == 1:
            part.groups = int(rows.sum())
        for name, value in sliced.items():
            held = getattr(part, name)
            setattr(part, name, nn.Parameter(value) if isinstance(held, nn.Parameter) else value)
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.num_features = int(rows.sum())
    return module


def test_masking_equals_cutting(animal, rng):
    for _ in range(5):
        keep = random_keep(animal.groups, rng)
        small = cut(animal.module, animal.groups, keep)
        masked = animal.network(animal.x.numpy(), animal.groups.mask(keep))
        np.testing.assert_allclose(masked, small(animal.x).detach().numpy(), rtol=1e-10, atol=1e-10)


def test_gates_at_sites_suffice(animal, rng):
    groups, network = animal.groups, animal.network
    for _ in range(5):
        keep = random_keep(groups, rng)
        everywhere = groups.mask(keep)
        edits = {name: everywhere[name] for name in groups.sites if name in everywhere}
        at_sites, masked = (network.evaluate(animal.x.numpy(), which) for which in (edits, everywhere))
        np.testing.assert_array_equal(at_sites[network.output.name], masked[network.output.name])
        gone = np.append(~keep, (False, False))
        for name in network.order:
            if any(
                isinstance(map_, Dense | Convolution)
                for after in network.successors(name)
                for map_ in maps(network, after)
            ):
                dead = gone[groups.labels[name]]
                assert (at_sites[name].reshape(len(animal.x), -1)[:, dead] == 0).all()


def maps(network: Network, name: str) -> list[Any]:
    node = network[name]
    return [map_ for _, map_ in network.edges(name)] if isinstance(node, Affine) and node.layer else []


def test_units_are_numbered_through_and_own_their_channels(animal):
    groups, found = animal.groups, set()
    for labels in groups.labels.values():
        found |= set(np.unique(labels)) - {FIXED, ABSENT}
    assert found == set(range(groups.size))
    assert [group.start for group in groups.groups] == [g.slice.stop - g.size for g in groups.groups]
    channels = [channel for group in groups.groups for unit in group.units for channel in unit]
    assert len(channels) == len(set(channels))
    assert not {channel.layer for channel in channels} - set(dict(animal.module.named_modules()))


class Tangle(nn.Module):
    """A random network of convolutions, sums and concatenations on images of one size."""

    def __init__(self, rng: np.random.Generator, steps: int = 9) -> None:
        super().__init__()
        self.steps: list[tuple[Any, ...]] = []
        self.parts = nn.ModuleList()
        widths = [2]
        for _ in range(steps):
            source = int(rng.integers(max(0, len(widths) - 3), len(widths)))
            width = widths[source]
            kind = str(rng.choice(["conv", "conv", "relu", "norm", "depthwise", "grouped", "pool", "sum", "cat"]))
            if kind in ("sum", "cat"):
                partners = [i for i, other in enumerate(widths) if kind == "cat" or other == width]
                partner = int(rng.choice(partners))
                widths.append(width + widths[partner] if kind == "cat" else width)
                self.steps.append((kind, source, partner))
                continue
            parts = int(rng.choice([n for n in range(1, width + 1) if width % n == 0]))
            out = {"conv": int(rng.integers(2, 5)), "grouped": parts * int(rng.integers(1, 4))}.get(kind, width)
            self.parts.append(
                {
                    "conv": lambda w=width, o=out: nn.Conv2d(w, o, 3, padding=1),
                    "relu": nn.ReLU,
                    "norm": lambda w=width: nn.BatchNorm2d(w),
                    "depthwise": lambda w=width: nn.Conv2d(w, w, 2, padding="same", dilation=2, groups=w),
                    "grouped": lambda w=width, o=out, g=parts: nn.Conv2d(w, o, 1, groups=g),
                    "pool": lambda: (
                        nn.MaxPool2d(3, 1, padding=1) if rng.random() < 0.5 else nn.AvgPool2d(3, 1, padding=1)
                    ),
                }[kind]()
            )
            widths.append(out)
            self.steps.append((len(self.parts) - 1, source))
        self.head = nn.Linear(widths[-1] * 9, 3)

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for what, *sources in self.steps:
            inputs = [values[i] for i in sources]
            values.append(
                sum(inputs) if what == "sum" else torch.cat(inputs, 1) if what == "cat" else self.parts[what](*inputs)
            )
        return self.head(values[-1].flatten(1))


@pytest.mark.parametrize("seed", range(40))
def test_masking_equals_cutting_in_random_networks(seed):
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    module = Tangle(rng).double().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.bias)
            nn.init.normal_(part.running_mean)
    x = torch.randn(3, 2, 3, 3, dtype=torch.float64)
    groups = find_groups(read(module, x))
    network, cost = groups.network, cost_of(groups)
    for _ in range(5):
        keep = random_keep(groups, rng)
        small, everywhere = cut(module, groups, keep), groups.mask(keep)
        masked = network(x.numpy(), everywhere)
        np.testing.assert_allclose(masked, small(x).detach().numpy(), rtol=1e-9, atol=1e-9)
        at_sites = network(x.numpy(), {name: everywhere[name] for name in groups.sites if name in everywhere})
        np.testing.assert_array_equal(at_sites, masked)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            small(x[:1])
        assert cost.count(keep) == (sum(p.numel() for p in small.parameters()), counter.get_total_flops() // 2)


def sizes(groups: Groups) -> dict[str, int]:
    return {group.name: group.size for group in groups.groups}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("convnet", {"0.0": 4, "0.4": 6, "2": 5}),
        ("grouped", {"0": 2, "2": 3, "4": 4}),  # 6 inputs and 9 outputs in 3 parts
        ("depthwise", {"0": 5, "6": 6}),
        ("depthwise_multiplier", {"0": 1, "2": 2}),
        ("residual", {"stem.0": 4, "blocks.0.conv1": 4, "blocks.1.conv1": 6, "blocks.1.shortcut.0": 6}),
        ("concatenation", {"left": 3, "right": 4, "join": 2}),
        ("linear_over_positions", {"embed": 5, "inner": 6, "conv": 4}),
        ("both_signs", {"first": 6}),
    ],
)
def test_groups_of_known_networks(zoo, name, expected):
    assert sizes(zoo(name).groups) == expected


def test_a_sum_ties_the_channels_of_its_sides(zoo):
    groups = zoo("residual").groups
    assert groups["stem.0"].units[1] == (Channel("stem.0", 1), Channel("blocks.0.conv2", 1))
    assert groups["blocks.1.shortcut.0"].layers == ("blocks.1.shortcut.0", "blocks.1.conv2")


def test_grouped_channels_go_together(zoo):
    assert zoo("grouped").groups["2"].units[1] == (Channel("2", 1), Channel("2", 4), Channel("2", 7))


def test_a_depthwise_channel_belongs_to_its_input(zoo):
    assert zoo("depthwise").groups["0"].units[2] == (Channel("0", 2), Channel("3", 2))


@pytest.mark.parametrize(
    ("name", "layer", "reason"),
    [
        ("mlp", "4", "outputs of the network"),
        ("hard_coded_view", "conv", r"hard-codes 36; write flatten\(x, 1\)"),
        ("learnt_scale", "second", "a constant of 5 numbers, which cannot be cut"),
        ("called_twice", "first", "'second' is called more than once"),
        ("called_twice", "second", "'second' is called more than once"),
        ("tied_weights", "first", "first, second share one parameter"),
        ("functional_weights", "conv", "mixes its channels without being a layer"),
    ],
)
def test_frozen_layers_say_why(zoo, name, layer, reason):
    groups = zoo(name).groups
    assert re.search(reason, groups.frozen[layer])
    assert all(layer not in group.layers for group in groups.groups)


def test_a_parameter_used_directly_freezes_its_layer():
    class Reused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(x).relu() * self.first.weight.sum())

    groups = find_groups(read(Reused(), torch.randn(1, 3)))
    assert groups.size == 0
    assert groups.frozen["first"] == "the forward method also uses 'first.weight' directly"


@pytest.mark.parametrize("sizes", [(-1, 4, 9), (2, -1), (2, 2, 9)])
def test_views_that_split_channels_freeze_them(sizes):
    class Split(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 4, 3), nn.LazyLinear(2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x).relu()
            return self.head(x.view(x.size(0), *sizes).flatten(1))

    module = Split()
    module(torch.randn(1, 1, 5, 5))
    assert "hard-codes" in find_groups(read(module, torch.randn(1, 1, 5, 5))).frozen["conv"]


# ── networks built by hand ───────────────────────────────────────────────────────────────────────────────────────────


def layer(net: Network, name: str, source: str, weight: NDArray[np.float64], bias: float = 0.5) -> str:
    map_ = Dense(weight, net[source].shape)
    return net.add(
        Affine(name, map_.out_shape, name, np.full(map_.out_shape, bias), Layer(name, "linear", bias=True)),
        (source, map_),
    )


def padded(rng: np.random.Generator, hidden: int = 2) -> Network:
    """x → a (2) → relu, padded on both sides and added to b (4): a shortcut as in ResNet for CIFAR."""
    net = Network()
    x = net.add(Input("x", (3,), "x"))
    a = net.add(ReLU("ra", (2,), "ra"), (layer(net, "a", x, rng.normal(size=(2, 3))), None))
    b = layer(net, "b", a, rng.normal(size=(4, 2)))
    pad = Selection(np.array([-1, 0, 1, -1]), (2,))
    both = net.add(Affine("sum", (4,), "sum", np.zeros(4)), (a, pad), (b, identity((4,))))
    net.outputs = (layer(net, "c", net.add(ReLU("r", (4,), "r"), (both, None)), rng.normal(size=(2, 4))),)
    return net


def test_a_padded_shortcut_ties_only_the_channels_that_it_carries(rng):
    groups = find_groups(padded(rng))
    assert sizes(groups) == {"a": 2, "b": 2}
    assert groups["a"].units[0] == (Channel("a", 0), Channel("b", 1))
    assert groups["b"].units[1] == (Channel("b", 3),)
    assert find_groups(padded(rng)).labels["sum"].tolist() == [2, 0, 1, 3]


def test_a_bias_on_padding_stays(rng):
    net = padded(rng)
    shifted = net.add(Affine("shift", (4,), "shift", np.ones(4)), ("ra", Selection(np.array([-1, 0, 1, -1]), (2,))))
    net.outputs = (layer(net, "d", shifted, rng.normal(size=(1, 4))),)
    assert find_groups(net).labels["shift"].tolist() == [FIXED, 0, 1, FIXED]


def test_a_normalisation_or_depthwise_channel_over_padding_stays(rng):
    net = Network()
    x = net.add(Input("x", (1, 3), "x"))
    conv = Convolution(rng.normal(size=(1, 1, 1)), (1, 3), (1,), ((0, 0),), (1,))
    a = net.add(Affine("a", (1, 3), "a", np.zeros((1, 3)), Layer("a", "conv", bias=False)), (x, conv))
    pad = net.add(
        Affine("pad", (2, 3), "pad", np.zeros((2, 3))), (a, Selection(np.array([[0, 1, 2], [-1] * 3]), (1, 3)))
    )
    depthwise = Convolution(rng.normal(size=(2, 1, 1)), (2, 3), (1,), ((0, 0),), (1,), groups=2)
    norm = net.add(
        Affine("n", (2, 3), "n", np.zeros((2, 3)), Layer("n", "norm", bias=True)), (pad, Scale(np.ones(1), (2, 3)))
    )
    deep = net.add(Affine("d", (2, 3), "d", np.ones((2, 3)), Layer("d", "conv", bias=True)), (pad, depthwise))
    net.outputs = (norm, deep)
    search = find_groups(net)
    assert search.labels["pad"].tolist() == [FIXED] * 3 + [ABSENT] * 3
    assert search.labels["n"].tolist() == search.labels["d"].tolist() == [FIXED] * 6


def test_a_maximum_over_different_channels_freezes_them(rng):
    for tied in (False, True):
        net = Network()
        x = net.add(Input("x", (3,), "x"))
        a = layer(net, "a", x, rng.normal(size=(2, 3)))
        b = layer(net, "b", x, rng.normal(size=(2, 3)))
        total = net.add(Affine("s", (2,), "s", np.zeros(2)), (a, identity((2,))), (b, identity((2,))))
        both = net.add(
            Affine("cat", (4,), "cat", np.zeros(4)),
            (a, Selection(np.array([0, 1, -1, -1]), (2,))),
            (total, Selection(np.array([-1, -1, 0, 1]), (2,))),
        )
        index = np.array([[0, 2], [1, 3]]) if tied else np.array([[0, 1], [2, 3]])
        best = net.add(Max("m", (2,), "m", index), (both, None))
        net.outputs = (layer(net, "c", best, rng.normal(size=(1, 2))),)
        groups = find_groups(net)
        assert sizes(groups) == ({"a": 2} if tied else {})
        assert tied or "maximum over different channels" in groups.frozen["a"]


def test_a_shift_behind_a_relu_is_a_site(rng):
    net = Network()
    x = net.add(Input("x", (3,), "x"))
    a = net.add(ReLU("r", (2,), "r"), (layer(net, "a", x, rng.normal(size=(2, 3))), None))
    shift = net.add(Affine("n", (2,), "n", np.ones(2), Layer("n", "norm", bias=True)), (a, Scale(np.ones(2), (2,))))
    flat = net.add(Affine("f", (2,), "f", np.zeros(2)), (shift, flatten((2,))))
    net.outputs = (layer(net, "b", flat, rng.normal(size=(1, 2))),)
    assert find_groups(net).sites == ("r", "f")


def test_only_some_groups(zoo):
    whole = zoo("convnet").groups
    part = whole.only(["0.4"])
    assert sizes(part) == {"0.4": 6}
    assert part["0.4"].slice == slice(0, 6)
    kept = np.arange(6) % 2 == 0
    full = np.ones(whole.size, dtype=bool)
    full[whole["0.4"].slice] = kept
    x = zoo("convnet").x.numpy()
    assert np.array_equal(whole.network(x, part.mask(kept)), whole.network(x, whole.mask(full)))
    nothing = part.only([]).only([])
    assert (nothing.size, nothing.sites, nothing.mask(np.ones(0, dtype=bool))) == (0, (), {})
    with pytest.raises(InputError, match=r"no group '0'; there are 0\.0, 0\.4, 2"):
        whole["0"]


def test_maps_joined_along_their_height_lose_the_same_channels() -> None:
    """No tensor has a ragged edge: cutting channels of one part alone would make the concatenation impossible."""

    class Stacked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.head = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 3), nn.Linear(4 * 8 * 4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.cat([torch.relu(self.a(x)), torch.relu(self.b(x))], 2).flatten(1))

    groups = find_groups(read(Stacked(), torch.rand(2, 1, 6, 6)))
    assert [{channel.layer for channel in unit} for group in groups.groups for unit in group.units] == [{"a", "b"}] * 4
