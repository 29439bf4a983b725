"""Bounds contain every value that the network can take, masked or not, in exact arithmetic and in floating point."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oamip.bounds import Bounds, Box, Stability, interval
from oamip.errors import InputError, MismatchError
from oamip.network import Affine, Dense, Groups, Input, Max, Network, ReLU, Selection, find_groups, identity


def corners(box: Box, rng: np.random.Generator, count: int) -> np.ndarray:
    return np.where(rng.random((count, *box.lower.shape)) < 0.5, box.lower, box.upper)


def masks(groups: Groups, rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Everything, nothing, and random subsets."""
    return [np.ones(groups.size, bool), np.zeros(groups.size, bool), *(rng.random((count, groups.size)) < 0.5)]


@pytest.mark.parametrize("radius", [0.0, 1e-9, 0.1, 3.0])
def test_bounds_contain_every_sample(animal, rng, radius):
    box = Box.around(animal.x.numpy(), radius)
    bounds = interval(animal.network, box)
    for x in (*box.sample(rng, 6), *corners(box, rng, 6)):
        assert bounds.contains(animal.network.evaluate(x))


@pytest.mark.parametrize("radius", [0.0, 0.3])
def test_gated_bounds_contain_every_masked_sample(animal, rng, radius):
    box = Box.around(animal.x.numpy(), radius)
    bounds = interval(animal.network, box, animal.groups)
    for keep in masks(animal.groups, rng, 6):
        edits = animal.groups.mask(keep)
        at_sites = {name: edits[name] for name in animal.groups.sites if name in edits}
        for x in (*box.sample(rng, 2), *corners(box, rng, 2)):
            assert bounds.contains(animal.network.evaluate(x, at_sites))


def test_smaller_boxes_and_fewer_freedoms_give_smaller_bounds(animal):
    x = animal.x.numpy()
    plain = [interval(animal.network, Box.around(x, radius)) for radius in (0.01, 0.1, 1.0)]
    gated = [interval(animal.network, Box.around(x, radius), animal.groups) for radius in (0.01, 0.1, 1.0)]
    for inner, outer in (*pairwise(plain), *pairwise(gated)):
        assert inside(inner, outer)
    assert all(inside(a, b) for a, b in zip(plain, gated, strict=True))


def inside(inner: Bounds, outer: Bounds) -> bool:
    slack = 1e-12  # two centres are not rounded alike
    return all((inner[n][0] >= outer[n][0] - slack).all() and (inner[n][1] <= outer[n][1] + slack).all() for n in outer)


def test_a_point_has_bounds_as_wide_as_rounding(animal):
    x = animal.x.numpy()
    bounds, values = interval(animal.network, Box.of(x, x)), animal.network.evaluate(x)
    for name, width in bounds.widths().items():
        assert width.max() <= 1e-11 * max(1.0, np.abs(values[name]).max())


def test_boxes_are_independent(animal):
    boxes = Box.around(animal.x.numpy(), 0.2)
    together = interval(animal.network, boxes)
    for i in range(len(boxes)):
        alone = interval(animal.network, Box.of(boxes.lower[i : i + 1], boxes.upper[i : i + 1]))
        for name in together:
            for a, b in zip(together[name], alone[name], strict=True):
                np.testing.assert_allclose(a[i], b[0], rtol=1e-12, atol=1e-12)


def one_layer(weight: np.ndarray, bias: np.ndarray) -> Network:
    net = Network()
    x = net.add(Input("x", (weight.shape[1],), "x"))
    net.outputs = (net.add(Affine("y", bias.shape, "y", bias), (x, Dense(weight, (weight.shape[1],)))),)
    return net


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 40), spread=st.integers(0, 12))
def test_rounding_never_hides_the_exact_range(seed, size, spread):
    """Against rational arithmetic, with terms that cancel over many orders of magnitude."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(1, size)) * 10.0 ** rng.integers(-spread, spread + 1, size=(1, size))
    lower = rng.normal(size=(1, size)) * 10.0 ** rng.integers(-spread, spread + 1, size=(1, size))
    upper = lower + np.abs(lower) * rng.choice([0.0, 1e-15, 1.0], size=(1, size))
    bias = -(weight @ lower.T)[0]
    low, high = interval(one_layer(weight, bias), Box.of(lower, upper))["y"]
    ends = [
        Fraction(bias[0]) + sum(choose(Fraction(a) * Fraction(p), Fraction(a) * Fraction(q)) for a, p, q in terms)
        for choose, terms in ((c, zip(weight[0], lower[0], upper[0], strict=True)) for c in (min, max))
    ]
    assert Fraction(low.item()) <= ends[0] <= ends[1] <= Fraction(high.item())


def test_one_layer_is_exact_up_to_rounding(rng):
    weight, bias = rng.normal(size=(4, 3)), rng.normal(size=4)
    box = Box.around(rng.normal(size=(2, 3)), 0.5)
    low, high = interval(one_layer(weight, bias), box)["y"]
    np.testing.assert_allclose(low, np.minimum(weight * box.lower[:, None], weight * box.upper[:, None]).sum(2) + bias)
    np.testing.assert_allclose(high, np.maximum(weight * box.lower[:, None], weight * box.upper[:, None]).sum(2) + bias)


def test_copies_are_not_widened(rng):
    net = Network()
    x = net.add(Input("x", (4,), "x"))
    moved = net.add(
        Affine("s", (5,), "s", np.array([0, 0, 0, 0, 7.0])), (x, Selection(np.array([3, 2, 1, 0, -1]), (4,)))
    )
    clipped = net.add(ReLU("r", (5,), "r"), (moved, None))
    net.outputs = (net.add(Max("m", (2,), "m", np.array([[0, 1, -1], [2, 3, 4]])), (clipped, None)),)
    box = Box.around(rng.normal(size=(3, 4)) / 3, 0.1)
    bounds = interval(net, box)
    assert np.array_equal(bounds["s"][0][:, :4], box.lower[:, ::-1])
    assert np.array_equal(bounds["s"][1][:, 4], [7.0] * 3)
    assert np.array_equal(bounds["m"][0][:, 0], np.maximum(box.lower[:, 2:].max(axis=1), 0))
    assert np.array_equal(bounds["m"][1][:, 1], [7.0] * 3)


def test_absent_candidates_of_a_maximum_are_not_zero():
    net = Network()
    x = net.add(Input("x", (2,), "x"))
    net.outputs = (net.add(Max("m", (1,), "m", np.array([[1, -1]])), (x, None)),)
    low, high = interval(net, Box.of([[0.0, -3.0]], [[0.0, -2.0]]))["m"]
    assert (low.item(), high.item()) == (-3.0, -2.0)


def test_a_sum_of_two_copies_is_widened():
    net = Network()
    x, y = net.add(Input("x", (1,), "x")), net.add(Input("y", (1,), "y"))
    net.outputs = (net.add(Affine("z", (1,), "z", np.zeros(1)), (x, identity((1,))), (y, identity((1,)))),)
    low, high = interval(net, {"x": Box.of([[0.1]], [[0.1]]), "y": Box.of([[0.2]], [[0.2]])})["z"]
    assert Fraction(low.item()) < Fraction(0.1) + Fraction(0.2) < Fraction(high.item())


def test_only_gated_sites_reach_down_to_zero(zoo):
    mlp = zoo("mlp")
    x = mlp.x.numpy()
    plain, gated = interval(mlp.network, Box.of(x, x)), interval(mlp.network, Box.of(x, x), mlp.groups)
    assert np.array_equal(plain["n0"], gated["n0"])  # before the first gate
    assert (gated["n1"][0] == 0).all()
    assert np.array_equal(plain["n1"][1], gated["n1"][1])
    part = interval(mlp.network, Box.of(x, x), mlp.groups.only(["2"]))
    assert np.array_equal(plain["n1"][0], part["n1"][0])
    assert (part["n3"][0] == 0).all()


# ── the record ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_stability_counts():
    net = Network()
    x = net.add(Input("x", (4,), "x"))
    net.outputs = (net.add(ReLU("r", (4,), "r"), (x, None)),)
    bounds = interval(net, Box.of([[-2.0, -1.0, 0.0, 0.0]] * 2, [[-1.0, 1.0, 1.0, 0.0]] * 2))
    assert bounds.stability(net) == {"r": Stability(on=2, off=4, unstable=2)}


def bounds_of(low: list[float], high: list[float], name: str, gated: bool = False) -> Bounds:
    return Bounds.of({"a": (np.array([low]), np.array([high]))}, name, gated=gated)


def test_intersections_are_tighter_and_remember_who_set_what():
    first = bounds_of([0, 0, 0], [4, 4, 4], "interval")
    both = first.intersect(bounds_of([1, -1, 0], [5, 3, 4], "crown"))
    assert [end.tolist() for end in both["a"]] == [[[1, 0, 0]], [[4, 3, 4]]]
    assert both.passes == ("interval", "crown")
    assert [by.tolist() for by in both.setters["a"]] == [[[1, 0, 0]], [[0, 1, 0]]]
    assert both.shares() == {"interval": pytest.approx(4 / 6), "crown": pytest.approx(2 / 6)}
    third = both.intersect(Bounds.of({"b": (np.zeros((1, 1)), np.ones((1, 1)))}, "lp"))
    assert set(third) == {"a", "b"}
    assert third.passes[third.setters["b"][0].item()] == "lp"


def test_wrong_bounds_are_noticed():
    with pytest.raises(MismatchError, match=r"bounds of 'a' .* exclude each other"):
        bounds_of([0], [1], "interval").intersect(bounds_of([2], [3], "crown"))
    with pytest.raises(InputError, match="intersect like ones"):
        bounds_of([0], [1], "interval").intersect(bounds_of([0], [1], "crown", gated=True))


def test_boxes_that_do_not_fit_are_refused(zoo):
    mlp = zoo("mlp")
    with pytest.raises(InputError, match=r"'input' has shape \(6,\), its box has shape \(5,\)"):
        interval(mlp.network, Box.around(np.zeros((1, 5)), 0.1))
    with pytest.raises(InputError, match="boxes were given for"):
        interval(mlp.network, {"x": Box.around(np.zeros((1, 6)), 0.1)})
    with pytest.raises(InputError, match="another network"):
        interval(mlp.network, Box.around(np.zeros((1, 6)), 0.1), find_groups(zoo("linear_chain").network))
