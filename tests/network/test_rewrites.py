"""Every rewrite computes the same with less, over networks of all kinds; and each does what it is there for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from oamip.bounds import Box, interval
from oamip.decision import Decision
from oamip.errors import MismatchError
from oamip.network import (
    Affine,
    Channelwise,
    Convolution,
    Dense,
    Input,
    Layer,
    Max,
    Network,
    ReLU,
    Scale,
    Selection,
    Sum,
    average_pool,
    cost_of,
    find_groups,
    flatten,
    identity,
    shrink,
    simplify,
)
from oamip.network.comparison import random_inputs
from oamip.network.ranges import ranges
from oamip.network.rewrites import REWRITES, drop_silent_units, fold_constants, merge_affine
from oamip.network.rewrites.algebra import product, total
from oamip.pruning.removal import remove
from oamip.readers import read

# ── all of them, over networks of all kinds ──────────────────────────────────────────────────────────────────────────


def nonzeros(network):
    """Those of the maps, and what ReLUs and maxima read."""
    affine = sum(map_.nonzeros for node in network.nodes(Affine) for _, map_ in network.edges(node.name))
    bent = sum(int(np.prod(node.shape)) for node in network.nodes(ReLU))
    return affine + bent + sum(int((node.index >= 0).sum()) for node in network.nodes(Max))


def assert_equal(small, network):
    """Same ends, and same values wherever a node is left whole."""
    assert (small.inputs, small.outputs) == (network.inputs, network.outputs)
    inputs = random_inputs(network, 6, seed=3)
    before, after = network.evaluate(inputs), small.evaluate(inputs)
    whole = [name for name in small.order if name in before and after[name].shape == before[name].shape]
    assert set(network.outputs) <= set(whole)
    for name in whole:
        size = max(1.0, np.abs(before[name]).max())
        np.testing.assert_allclose(after[name], before[name], rtol=0, atol=1e-9 * size, err_msg=name)


def assert_rewritten(network, rewrite):
    small = rewrite(network)
    if small is network:
        return small
    assert_equal(small, network)
    assert set(small.order) <= set(network.order) or rewrite in (drop_silent_units, simplify)
    if set(small.order) <= set(network.order):  # where units go, a node that picks what is left may come
        assert nonzeros(small) <= nonzeros(network)
    return small


def assert_simplified(network, keep_of, rng):
    """Everything that must hold for any network; units and costs of the result are consistent with it."""
    for rewrite in REWRITES:
        assert_rewritten(network, rewrite)
    small = assert_rewritten(network, simplify)
    assert simplify(small) is small
    groups = find_groups(small)
    keep = keep_of(groups, rng)
    again = shrink(groups, keep)
    assert cost_of(find_groups(again)).count() == cost_of(groups).count(keep)
    assert_equal(simplify(again), again)
    return small


def test_the_zoo(animal, rng, random_keep):
    assert_simplified(animal.network, random_keep, rng)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_random_networks(random_network, random_keep, seed):
    assert_simplified(random_network(seed), random_keep, np.random.default_rng(seed))


FILES = {  # nodes before and after
    "ACASXU_run2a_1_1_batch_2000.onnx": (16, 15),
    "Convnet_avgpool.onnx": (6, 6),
    "Convnet_maxpool.onnx": (6, 6),
    "cartpole.onnx": (6, 6),
    "cifar_base_kw.onnx": (9, 9),
    "mnist-net_256x2.onnx": (7, 7),
    "resnet_2b.onnx": (18, 18),
}


@pytest.mark.parametrize("name", FILES)
def test_onnx_files(name, shared, rng, random_keep):
    network = read(shared / "networks" / name)
    small = assert_simplified(network, random_keep, rng)
    assert (len(network.order), len(small.order)) == FILES[name]


def test_resnet20_keeps_its_units_and_loses_its_normalisations(resnet20):
    network = read(resnet20, torch.zeros(1, 3, 32, 32))
    small = network.simplify()
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).numpy()
    np.testing.assert_allclose(small(x), network(x), rtol=1e-9, atol=1e-9)
    before, after = find_groups(network), find_groups(small)
    padded = {"layer2.0.conv2": 16, "layer3.0.conv2": 32}  # channels over the shortcut's zeros, which the code counts
    sizes = {group.name: group.size for group in before.groups}
    assert {group.name: group.size for group in after.groups} == {**sizes, **padded}
    assert not [node for node in small.nodes(Affine) if node.layer and node.layer.kind == "norm"]
    assert cost_of(after).count()[0] == cost_of(before).count()[0] - 16 * 7 - 32 * 6 - 64 * 6  # scales, not shifts


# ── ranges ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_ranges_contain_every_value(random_network, seed):
    network = random_network(seed)
    values = network.evaluate(random_inputs(network, 20, seed))
    for name, (low, high) in ranges(network).items():
        slack = 1e-9 * max(1.0, np.abs(values[name]).max())
        assert ((low - slack <= values[name]) & (values[name] <= high + slack)).all()


def test_a_tiny_weight_of_the_other_sign_is_not_lost():
    """|A| − A of the row would be 0 in floating point; the entry is unbounded below all the same."""
    net = Network()
    x = net.add(ReLU("x", (2,), ""), (net.add(Input("i", (2,), "i")), None))
    net.outputs = (net.add(Affine("y", (1,), "", np.zeros(1)), (x, Dense(np.array([[1.0, -1e-20]]), (2,)))),)
    assert ranges(net)["y"][0] == -np.inf


# ── networks by hand ─────────────────────────────────────────────────────────────────────────────────────────────────


class Hand:
    """Nodes in one line each."""

    def __init__(self, *shape):
        self.net = Network()
        self.net.add(Input("x", shape, "x"))

    def affine(self, name, *edges, bias=0.0, layer=None):
        shape = edges[0][1].out_shape
        kind = None if layer is None else Layer(name, layer, bias=bool(np.any(bias)) or layer == "norm")
        self.net.add(Affine(name, shape, name, np.broadcast_to(bias, shape).astype(float), kind), *edges)
        return self

    def relu(self, name, source):
        self.net.add(ReLU(name, self.net[source].shape, name), (source, None))
        return self

    def ends(self, *names):
        self.net.outputs = names
        return self.net


def conv(weight, shape, padding=0, groups=1):
    return Convolution(weight, shape, (1, 1), ((padding, padding),) * 2, (1, 1), groups)


def channels(*numbers):
    return np.array(numbers, dtype=float).reshape(-1, 1, 1)


def test_a_normalisation_folds_into_the_layer_before_it_and_takes_its_name_from_it(rng):
    net = (
        Hand(1, 4, 4)
        .affine("c", ("x", conv(rng.normal(size=(2, 1, 3, 3)), (1, 4, 4), 1)), layer="conv")
        .affine("n", ("c", Scale(channels(2, -3), (2, 4, 4))), bias=channels(1, 5), layer="norm")
        .relu("r", "n")
        .ends("r")
    )
    small = assert_rewritten(net, merge_affine)
    assert small.order == ("x", "n", "r")
    assert (small["n"].layer, small["n"].module) == (Layer("c", "conv", bias=True), "c")
    assert cost_of(find_groups(small)).count() == (9 * 2 + 2, 9 * 2 * 16)


@pytest.mark.parametrize(("padding", "shift", "folds"), [(0, 1.0, True), (1, 1.0, False), (1, 0.0, True)])
def test_a_normalisation_folds_into_the_layer_behind_it_only_where_that_is_exact(rng, padding, shift, folds):
    net = (
        Hand(2, 4, 4)
        .affine("n", ("x", Scale(channels(2, -3), (2, 4, 4))), bias=channels(shift, -shift), layer="norm")
        .affine("c", ("n", conv(rng.normal(size=(3, 2, 3, 3)), (2, 4, 4), padding)), layer="conv")
        .ends("c")
    )
    small = assert_rewritten(net, merge_affine)
    assert small.order == (("x", "c") if folds else ("x", "n", "c"))
    assert not folds or small["c"].layer == Layer("c", "conv", bias=bool(shift))


def test_two_normalisations_are_one_with_the_parameters_of_a_learnt_one(rng):
    net = Hand(3).affine("a", ("x", Scale(rng.normal(size=3), (3,))), bias=1.0, layer="norm").net
    fixed = Affine("b", (3,), "b", np.ones(3), Layer("b", "norm", bias=False))
    net.add(fixed, ("a", Scale(rng.normal(size=3), (3,))))
    net.outputs = ("b",)
    small = assert_rewritten(net, merge_affine)
    assert small.order == ("x", "b")
    assert cost_of(find_groups(small)).count() == cost_of(find_groups(net)).count() == (6, 0)


def test_a_normalisation_before_a_sum_stays_a_layer(rng):
    net = (
        Hand(3)
        .affine("n", ("x", Scale(rng.normal(size=3), (3,))), bias=rng.normal(size=3), layer="norm")
        .relu("r", "x")
        .affine("s", ("n", identity((3,))), ("r", identity((3,))))
        .ends("s")
    )
    assert merge_affine(net) is net


@pytest.mark.parametrize(("hidden", "merges"), [(1, False), (2, True), (9, True)])
def test_linear_layers_multiply_where_that_is_smaller(rng, hidden, merges):
    net = (
        Hand(4)
        .affine("a", ("x", Dense(rng.normal(size=(hidden, 4)), (4,))), bias=1.0, layer="linear")
        .affine("b", ("a", Dense(rng.normal(size=(4, hidden)), (hidden,))), bias=2.0, layer="linear")
        .ends("b")
    )
    small = assert_rewritten(net, merge_affine)
    assert (small is not net) == merges
    if merges:
        assert small["b"].layer == Layer("b", "linear", bias=True)
        assert cost_of(find_groups(small)).count() == (20, 16)


def test_a_layer_that_is_called_twice_or_read_twice_stays(zoo, rng):
    assert simplify(zoo("called_twice").network) is zoo("called_twice").network
    net = (
        Hand(4)
        .affine("a", ("x", Dense(rng.normal(size=(4, 4)), (4,))), layer="linear")
        .affine("b", ("a", Scale(rng.normal(size=4), (4,))), layer="norm")
        .affine("c", ("a", Scale(rng.normal(size=4), (4,))), layer="norm")
        .ends("b", "c")
    )
    assert simplify(net) is net


def test_moves_become_one_selection_and_copies_disappear():
    numbers = np.arange(6).reshape(2, 3)
    net = (
        Hand(2, 3)
        .affine("pad", ("x", Selection(np.pad(numbers, 1, constant_values=-1), (2, 3))))
        .affine("flip", ("pad", Selection(np.arange(20).reshape(4, 5)[:, ::-1], (4, 5))))
        .affine("copy", ("flip", identity((4, 5))))
        .relu("r", "copy")
        .affine("flat", ("r", flatten((4, 5))))
        .ends("flat")
    )
    small = assert_rewritten(net, simplify)
    assert small.order == ("x", "copy", "r", "flat")
    ((_, map_),) = small.edges("copy")
    np.testing.assert_array_equal(map_.index[1], [-1, 2, 1, 0, -1])


def test_padding_goes_into_the_convolution_or_the_average_behind_it(rng):
    numbers = np.pad(np.arange(9).reshape(1, 3, 3), ((0, 0), (1, 0), (0, 2)), constant_values=-1)
    pool = average_pool((2, 4, 5), [[(0, 2, 2), (2, 4, 2)], [(0, 5, 5)]], (2, 1))
    many = np.concatenate([numbers, np.where(numbers >= 0, numbers + 9, -1)])
    for map_, pad in ((conv(rng.normal(size=(1, 1, 2, 2)), (1, 4, 5)), numbers), (pool, many)):
        shape = (len(pad), 3, 3)
        net = Hand(*shape).affine("p", ("x", Selection(pad, shape))).affine("y", ("p", map_)).ends("y")
        small = assert_rewritten(net, simplify)
        assert small.order == ("x", "y")
        assert isinstance(small.edges("y")[0][1], Convolution | Channelwise)


def test_relus_of_what_is_never_negative_disappear(rng):
    pool = average_pool((2, 4), [[(0, 2, 2), (2, 4, 2)]], (2,))
    net = (
        Hand(2, 4)
        .relu("a", "x")
        .relu("b", "a")
        .affine("mean", ("b", pool))
        .relu("c", "mean")
        .affine("six", ("c", Scale(np.array(-1.0), (2, 2))), bias=6.0)
        .relu("d", "six")
        .affine("y", ("d", Scale(np.array(-1.0), (2, 2))), bias=6.0)
        .relu("e", "y")
        .ends("e")
    )
    small = assert_rewritten(net, simplify)
    assert [node.name for node in small.nodes(ReLU)] == ["a", "d"]
    assert small.outputs == ("e",)


def test_a_maximum_of_one_candidate_is_a_selection():
    net = Hand(4).net
    net.add(Max("m", (2,), "m", np.array([[3, -1], [-1, 0]])), ("x", None))
    net.outputs = ("m",)
    assert np.array_equal(assert_rewritten(net, simplify).edges("m")[0][1].index, [3, 0])


def test_constants_go_into_biases_and_a_constant_output_stays(rng):
    hand = Hand(2)
    hand.affine("c", ("x", Dense(np.zeros((3, 2)), (2,))), bias=[-1.0, 2.0, 3.0]).relu("r", "c")
    hand.affine("y", ("r", Dense(rng.normal(size=(2, 3)), (3,))), ("x", identity((2,))))
    net = hand.affine("z", ("r", identity((3,)))).ends("y", "z")
    small = assert_rewritten(net, simplify)
    assert set(small.order) == {"x", "y", "z"}
    assert small.edges("z") == []
    assert small["z"].bias.tolist() == [0.0, 2.0, 3.0]
    assert cost_of(find_groups(small)).count() == (0, 0)
    assert fold_constants(small) is small
    low, high = interval(small, Box.of(np.zeros((2, 2)), np.ones((2, 2))))["z"]
    assert low.tolist() == high.tolist() == [[0.0, 2.0, 3.0]] * 2


# ── silent units ─────────────────────────────────────────────────────────────────────────────────────────────────────


def norm_net(padding, shift=2.0):
    """conv → norm → relu → conv; channel 0 of the first is switched off by the norm's factor and has a shift."""
    rng = np.random.default_rng(0)
    return (
        Hand(1, 5, 5)
        .affine("a", ("x", conv(rng.normal(size=(3, 1, 3, 3)), (1, 5, 5), 1)), layer="conv")
        .affine("n", ("a", Scale(channels(0, 1, 2), (3, 5, 5))), bias=channels(shift, 0, 1), layer="norm")
        .relu("r", "n")
        .affine("b", ("r", conv(rng.normal(size=(2, 3, 3, 3)), (3, 5, 5), padding)), layer="conv")
        .ends("b")
    )


@pytest.mark.parametrize(
    ("padding", "shift", "goes"), [(0, 2.0, True), (1, 2.0, False), (1, -2.0, True), (1, 0.0, True)]
)
def test_a_constant_unit_moves_into_the_next_bias_where_that_is_exact(padding, shift, goes):
    net = norm_net(padding, shift)
    small = assert_rewritten(net, drop_silent_units)
    assert small["r"].shape[0] == (2 if goes else 3)
    assert small["b"].layer.bias == (goes and shift > 0)
    groups = find_groups(net)
    masked = net(random_inputs(net)["x"], groups.mask(np.array([False, True, True])))
    difference = np.abs(masked - net(random_inputs(net)["x"])).max()
    assert (difference > 0.1) == (shift > 0)  # a mask forgets the constant; that is why it is moved


def test_a_dead_relu_with_a_shift_behind_it_is_folded(rng):
    """Linear, ReLU, BatchNorm: where the ReLU is dead, the unit is the constant shift of the normalisation."""
    weight = rng.normal(size=(3, 4))
    weight[1] = 0.0
    net = (
        Hand(4)
        .affine("a", ("x", Dense(weight, (4,))), bias=[1.0, -1.0, 0.5], layer="linear")
        .relu("r", "a")
        .affine("n", ("r", Scale(np.array([1.0, 2.0, 3.0]), (3,))), bias=[0.5, 7.0, 0.0], layer="norm")
        .affine("y", ("n", Dense(rng.normal(size=(2, 3)), (3,))), layer="linear")
        .ends("y")
    )
    small = assert_rewritten(net, drop_silent_units)
    assert small["r"].shape == (2,)
    assert np.abs(small["y"].bias).max() > 1


def test_units_that_nobody_reads_go_but_never_a_whole_group(rng):
    weight = rng.normal(size=(2, 3))
    weight[:, [0, 2]] = 0.0
    hand = Hand(4).affine("a", ("x", Dense(rng.normal(size=(3, 4)), (4,))), layer="linear").relu("r", "a")
    small = assert_rewritten(hand.affine("y", ("r", Dense(weight, (3,))), layer="linear").ends("y"), drop_silent_units)
    assert small["a"].shape == (1,)
    hand = Hand(4).affine("a", ("x", Dense(rng.normal(size=(3, 4)), (4,))), layer="linear").relu("r", "a")
    empty = hand.affine("y", ("r", Dense(0 * weight, (3,))), layer="linear").ends("y")
    assert assert_rewritten(empty, drop_silent_units)["a"].shape == (1,)
    assert assert_rewritten(empty, simplify).order == ("x", "y")


def test_tied_channels_go_only_if_all_are_silent(rng):
    weight = rng.normal(size=(3, 3))
    weight[0] = 0.0
    net = (
        Hand(3)
        .affine("a", ("x", Dense(weight, (3,))), layer="linear")
        .affine("b", ("x", Dense(rng.normal(size=(3, 3)), (3,))), layer="linear")
        .affine("s", ("a", identity((3,))), ("b", identity((3,))))
        .affine("y", ("s", Dense(rng.normal(size=(2, 3)), (3,))), layer="linear")
        .ends("y")
    )
    assert drop_silent_units(net) is net


# ── the algebra ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_products_and_sums_are_those_of_the_matrices(rng):
    """Every pair of a few maps on the same shapes; where no kind of map holds the product there is none."""
    wide = conv(rng.normal(size=(4, 2, 3, 3)), (4, 3, 3), 1, groups=2)
    maps = [
        wide,
        conv(rng.normal(size=(4, 1, 3, 3)), (4, 3, 3), 1, groups=4),
        Dense(rng.normal(size=(3, 3)), (4, 3, 3)),
        Scale(rng.normal(size=(4, 1, 1)), (4, 3, 3)),
        Scale(rng.normal(size=3), (4, 3, 3)),
        Scale(np.array(2.0), (4, 3, 3)),
        identity((4, 3, 3)),
        Selection(rng.integers(-1, 36, size=(4, 3, 3)), (4, 3, 3)),
        average_pool((4, 3, 3), [[(0, 1, 1), (0, 2, 2), (1, 3, 2)]] * 2, (3, 3)),
        Sum((identity((4, 3, 3)), Scale(np.array(3.0), (4, 3, 3)))),
    ]
    found = 0
    for outer in maps:
        for inner in maps:
            one = product(outer, inner)
            if one is not None:
                found += 1
                expected = outer.matrix() @ inner.matrix()
                np.testing.assert_allclose(one.matrix().toarray(), expected.toarray(), rtol=1e-12, atol=1e-12)
            both = total(outer, inner)
            expected = outer.matrix() + inner.matrix()
            np.testing.assert_allclose(both.matrix().toarray(), expected.toarray(), rtol=1e-12, atol=1e-12)
    assert found > 45


# ── the source's own module ──────────────────────────────────────────────────────────────────────────────────────────


def test_units_of_a_simplified_network_do_not_cut_the_sources_module():
    """They are about other weights; the proof of the removal says so, and nothing wrong is handed out."""
    module = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2)).eval()
    x = torch.randn(3, 4)
    groups = find_groups(read(module, x).simplify())
    decision = Decision({"0": np.array([True, False, True, True, True, True])})
    with pytest.raises(MismatchError):
        remove(module, x, groups, decision)


def test_a_simplified_network_may_lose_what_the_sources_code_fixes(zoo):
    network = zoo("learnt_scale").network
    assert "second" in find_groups(network).frozen
    assert find_groups(network.simplify())["second"].size == 5
