"""The small network is the masked network, costs what was promised, and a wrong one is never handed out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from oamip.decision import Decision
from oamip.errors import InputError, MismatchError
from oamip.network import (
    Affine,
    Convolution,
    Dense,
    Input,
    Layer,
    Max,
    Network,
    Scale,
    Selection,
    Sum,
    average_pool,
    cost_of,
    cuts,
    find_groups,
)
from oamip.network.comparison import random_inputs
from oamip.network.shrink import shrink
from oamip.readers import read
from oamip.writers import to_onnx, to_torch


def agree(small, groups, keep, seed=7):
    """Outputs on inputs that the proof did not see, with both sides of a unit's absence recomputed here."""
    inputs = random_inputs(groups.network, 5, seed)
    masked, values = groups.network.evaluate(inputs, groups.mask(keep)), small.evaluate(inputs)
    for name in groups.network.outputs:
        size = max(1.0, np.abs(masked[name]).max())
        np.testing.assert_allclose(values[name], masked[name], rtol=0, atol=1e-9 * size)


def test_the_small_network_is_the_masked_one(animal, rng, random_keep):
    groups = animal.groups
    for share in (0.2, 0.5, 0.9):
        keep = random_keep(groups, rng, share)
        small = shrink(groups, keep)
        agree(small, groups, keep)
        assert small.order == groups.network.order
        assert cost_of(find_groups(small)).count() == cost_of(groups).count(keep)
        layers = {node.name: node.layer for node in animal.network.nodes(Affine)}
        assert {node.name: node.layer for node in small.nodes(Affine)} == layers


@settings(max_examples=80)
@given(seed=st.integers(0, 10**6))
def test_random_networks_shrink(random_network, random_keep, seed):
    groups = find_groups(random_network(seed))
    keep = random_keep(groups, np.random.default_rng(seed))
    agree(shrink(groups, keep), groups, keep)


def test_what_is_small_can_shrink_again(zoo, rng, random_keep):
    network = zoo("residual").network
    sizes = []
    for _ in range(4):
        groups = find_groups(network)
        network = shrink(groups, random_keep(groups, rng, 0.7))
        sizes.append(cost_of(find_groups(network)).count()[0])
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0]


FILES = {  # parameters of the whole, and with one unit of each group, counted by hand
    "ACASXU_run2a_1_1_batch_2000.onnx": (13305, 26),
    "Convnet_avgpool.onnx": (11690, 375),
    "Convnet_maxpool.onnx": (11690, 375),
    "cartpole.onnx": (4610, 11),
    "cifar_base_kw.onnx": (105966, 151),
    "mnist-net_256x2.onnx": (269322, 807),
    "resnet_2b.onnx": (112006, 155),
}


@pytest.mark.parametrize("name", FILES)
def test_onnx_files_shrink(name, shared, rng, random_keep):
    groups = find_groups(read(shared / "networks" / name))
    keep = random_keep(groups, rng)
    agree(shrink(groups, keep), groups, keep)
    least = random_keep(groups, rng, 0.0)
    small = groups.network.shrink(Decision.of(groups, least))
    agree(small, groups, least)
    fresh = cost_of(find_groups(small)).count()[0]
    assert (cost_of(groups).count()[0], fresh) == FILES[name]


def test_resnet20_loses_half_of_every_group(resnet20):
    network = read(resnet20, torch.zeros(1, 3, 32, 32))
    groups = find_groups(network)
    keep = np.concatenate([np.arange(group.size) % 2 == 0 for group in groups.groups])
    small = network.shrink(Decision.of(groups, keep))
    agree(small, groups, keep)
    assert cost_of(find_groups(small)).count() == cost_of(groups).count(keep)


@pytest.mark.parametrize("name", ["convnet", "residual", "concatenation", "padded_shortcut", "grouped"])
def test_what_is_simplified_and_shrunk_leaves_as_a_torch_module_and_as_an_onnx_file(
    zoo, name, rng, random_keep, tmp_path
):
    simple = zoo(name).network.simplify()
    groups = find_groups(simple)
    small = shrink(groups, random_keep(groups, rng)).simplify()
    x = zoo(name).x
    expected = small(x.numpy())
    with torch.no_grad():
        np.testing.assert_allclose(to_torch(small, dtype=torch.float64)(x), expected, rtol=1e-9, atol=1e-9)
    to_onnx(small, tmp_path / "small.onnx")
    np.testing.assert_allclose(read(tmp_path / "small.onnx")(x.numpy()), expected, rtol=1e-4, atol=1e-4)


def test_only_some_groups_shrink(zoo):
    whole = zoo("convnet").groups
    small = shrink(whole.only(["0.4"]), np.arange(6) % 2 == 0)
    by_layer = {node.layer.path: node.shape for node in small.nodes(Affine) if node.layer}
    assert (by_layer["0.0"][0], by_layer["0.4"][0], by_layer["2"]) == (4, 3, (5,))


def test_nothing_removed_is_the_network_itself(zoo):
    groups = zoo("convnet").groups
    assert shrink(groups, np.ones(groups.size, dtype=bool)) is groups.network
    assert groups.network.shrink(Decision({})) is groups.network


def test_several_inputs_and_outputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right, self.a, self.b = nn.Linear(3, 4), nn.Linear(2, 4), nn.Linear(4, 2), nn.Linear(4, 3)

        def forward(self, x, y):
            z = (self.left(x) + self.right(y)).relu()
            return self.a(z), self.b(z)

    network = read(Two(), (torch.rand(2, 3), torch.rand(2, 2)))
    groups = find_groups(network)
    keep = np.array([True, False, True, False])
    small = shrink(groups, keep)
    assert (small.inputs, small.outputs) == (network.inputs, network.outputs)
    agree(small, groups, keep)


def test_padding_inside_a_channel_goes_with_it(rng):
    """A maximum and a sum over channels that are padded along their positions."""
    net = Network()
    x = net.add(Input("x", (1, 3), "x"))
    conv = Convolution(rng.normal(size=(3, 1, 2)), (1, 3), (1,), ((0, 0),), (1,))
    a = net.add(Affine("a", (3, 2), "a", np.ones((3, 2)), Layer("a", "conv", bias=True)), (x, conv))
    index = np.pad(np.arange(6).reshape(3, 2), ((0, 0), (1, 1)), constant_values=-1)
    both = Sum((Selection(index, (3, 2)), Selection(index[:, ::-1], (3, 2))))
    pad = net.add(Affine("pad", (3, 4), "pad", np.zeros((3, 4))), (a, both))
    best = net.add(Max("max", (3,), "max", np.arange(12).reshape(3, 4)), (pad, None))
    last = Dense(rng.normal(size=(2, 3)), (3,))
    net.outputs = (net.add(Affine("y", (2,), "y", np.zeros(2), Layer("y", "linear", bias=False)), (best, last)),)
    groups = find_groups(net)
    keep = np.array([True, False, True])
    small = shrink(groups, keep)
    assert (small["pad"].shape, small["max"].shape) == ((2, 4), (2,))
    agree(small, groups, keep)


def test_channels_over_zeros_that_others_still_read_can_go(rng):
    """a − pad(b) + pool(pad(b)): what reads the padding loses channels that the padding itself keeps for a third."""
    net = Network()
    x = net.add(Input("x", (2, 3), "x"))
    for name, channels in (("a", 4), ("b", 2)):
        conv = Convolution(rng.normal(size=(channels, 2, 1)), (2, 3), (1,), ((0, 0),), (1,))
        shape = (channels, 3)
        net.add(
            Affine(name, shape, name, rng.normal(size=(channels, 1)) + np.zeros(shape), Layer(name, "conv", True)),
            (x, conv),
        )
    index = np.pad(np.arange(6).reshape(2, 3), ((1, 1), (0, 0)), constant_values=-1)
    pad = net.add(Affine("pad", (4, 3), "pad", np.zeros((4, 3))), ("b", Selection(index, (2, 3))))
    pool = average_pool((4, 3), [[(0, 2, 2), (1, 3, 2), (0, 3, 3)]], (3,))
    mixed = (("a", Scale(np.array(0.5), (4, 3))), (pad, Scale(np.array(-1.0), (4, 3))), (pad, pool))
    s = net.add(Affine("s", (4, 3), "s", np.zeros((4, 3))), *mixed)
    for name, source in (("y", s), ("z", pad)):
        last = Convolution(rng.normal(size=(2, 4, 1)), (4, 3), (1,), ((0, 0),), (1,))
        net.add(Affine(name, (2, 3), name, np.zeros((2, 3)), Layer(name, "conv", False)), (source, last))
    net.outputs = ("y", "z")
    groups = find_groups(net)
    assert sorted(len(unit) for group in groups.groups for unit in group.units) == [1, 1, 2, 2]
    for _ in range(10):
        keep = rng.random(groups.size) < 0.5
        for group in groups.groups:
            keep[group.start] = True
        agree(shrink(groups, keep), groups, keep)
    first = groups.labels["a"][0]
    small = shrink(groups, np.arange(groups.size) != first)
    assert (small["s"].shape, small["pad"].shape, small["pad_left"].shape) == ((3, 3), (4, 3), (3, 3))


def test_a_difference_with_padded_channels_loses_units(rng, random_keep):
    class Difference(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.head = nn.Conv2d(1, 6, 3), nn.Conv2d(1, 4, 3), nn.Linear(6 * 16, 2)

        def forward(self, x):
            wide = nn.functional.pad(self.b(x).relu(), (0, 0, 0, 0, 1, 1))
            return self.head((self.a(x) - wide).relu().flatten(1) + wide.flatten(1))

    network = read(Difference(), torch.zeros(1, 1, 6, 6)).simplify()
    groups = find_groups(network)
    picked = 0
    for _ in range(5):
        keep = random_keep(groups, rng)
        small = shrink(groups, keep)
        picked += any(name.endswith("_left") for name in small.order)
        agree(small, groups, keep)
    assert picked


def test_factors_are_cut_where_they_follow_the_channels(rng):
    for shape in ((), (1,), (4,), (3, 1), (1, 4), (3, 4)):
        factor = rng.normal(size=shape)
        before = cuts.Cut((3, 4), 0, np.array([0, 2]))
        small = cuts.cut_map(Scale(factor, (3, 4)), before, before)
        np.testing.assert_array_equal(np.broadcast_to(small.factor, (2, 4)), np.broadcast_to(factor, (3, 4))[[0, 2]])


# ── refused ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        (np.ones(3, dtype=bool), "one bool for each of 15 units, not bool of shape"),
        (np.ones(15), "not float64"),
        (np.arange(15) > 4, r"every unit of group '0\.0' would go"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(zoo, keep, words):
    with pytest.raises(InputError, match=words):
        shrink(zoo("convnet").groups, keep)


def test_a_decision_for_another_network_is_refused(zoo):
    with pytest.raises(InputError, match="names group 'conv9'"):
        zoo("convnet").network.shrink(Decision({"conv9": np.array([True, False])}))


def test_parts_of_a_grouped_convolution_cannot_differ(rng):
    map_ = Convolution(rng.normal(size=(4, 2, 1)), (4, 3), (1,), ((0, 0),), (1,), groups=2)
    with pytest.raises(MismatchError, match="different channels"):
        cuts.cut_map(map_, cuts.Cut((4, 3), 0, np.array([0, 1, 2])), cuts.Cut((4, 3), None, np.arange(0)))


def test_units_that_are_no_rows_are_refused():
    labels = np.array([0, 1, 1, 0])
    with pytest.raises(MismatchError, match="along no axis"):
        cuts.cut_of("a", (2, 2), labels, np.array([True, False]))
    with pytest.raises(MismatchError, match="nothing is left of node 'a'"):
        cuts.cut_of("a", (4,), np.zeros(4, dtype=int), np.array([False]))


# ── sabotage ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wrong_row_is_caught(zoo, monkeypatch):
    groups = zoo("mlp").groups
    monkeypatch.setitem(
        cuts._CUTS,
        Dense,
        lambda map_, before, after: Dense(map_.weight[: after.left[0], : before.left[0]], before.left),
    )
    with pytest.raises(MismatchError, match="differs from the masked network"):
        shrink(groups, np.arange(groups.size) % 2 == 1)


def test_surplus_parameters_are_caught(zoo, monkeypatch):
    original = cuts._CUTS[Convolution]

    def framed(map_, before, after):
        """The same function with a kernel that is framed by zeros."""
        small = original(map_, before, after)
        weight = np.pad(small.weight, ((0, 0), (0, 0), (1, 1), (1, 1)))
        return replace(small, weight=weight, padding=tuple((a + 1, b + 1) for a, b in small.padding))

    monkeypatch.setitem(cuts._CUTS, Convolution, framed)
    groups = zoo("residual").groups
    with pytest.raises(MismatchError, match="parameters; the cost model promised"):
        shrink(groups, np.arange(groups.size) % 2 == 1)
