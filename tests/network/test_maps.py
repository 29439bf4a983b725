"""Every linear map is linear, and its four faces (apply, magnitude, adjoint, matrix) are of one matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oamip.errors import InputError
from oamip.network import (
    Affine,
    Channelwise,
    Convolution,
    Dense,
    Input,
    LinearMap,
    Network,
    Scale,
    Selection,
    Sum,
    TransposedConvolution,
    average_pool,
    flatten,
    identity,
)

Shape = tuple[int, ...]
SIZE = st.integers(1, 4)
SHAPES = st.lists(SIZE, min_size=1, max_size=3).map(tuple)
SEEDS = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@st.composite
def dense(draw) -> LinearMap:
    shape, rng = draw(SHAPES), draw(SEEDS)
    return Dense(rng.normal(size=(draw(SIZE), shape[-1])), shape)


@st.composite
def convolution(draw) -> LinearMap:
    axes, groups, rng = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(SEEDS)
    per_axis = st.tuples(*[st.integers(1, 3)] * axes)
    pads = st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * axes)
    weight = rng.normal(size=(groups * draw(SIZE), draw(SIZE), *draw(per_axis)))
    shape = (groups * weight.shape[1], *draw(st.tuples(*[st.integers(1, 6)] * axes)))
    map_ = Convolution(weight, shape, draw(per_axis), draw(pads), draw(per_axis), groups)
    assume(all(length > 0 for length in map_.out_shape))
    return map_


@st.composite
def channelwise(draw) -> LinearMap:
    shape = draw(st.lists(SIZE, min_size=2, max_size=3).map(tuple))
    windows = []
    for size in shape[1:]:
        starts = draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=3))
        windows.append([(start, draw(st.integers(start + 1, size)), draw(SIZE)) for start in starts])
    return average_pool(shape, windows, tuple(len(side) for side in windows))


@st.composite
def scale(draw) -> LinearMap:
    shape, rng = draw(SHAPES), draw(SEEDS)
    return Scale(rng.normal(size=tuple(n if draw(st.booleans()) else 1 for n in shape)), shape)


@st.composite
def selection(draw) -> LinearMap:
    shape, out, rng = draw(SHAPES), draw(SHAPES), draw(SEEDS)
    return Selection(rng.integers(-1, int(np.prod(shape)), size=out), shape)


@st.composite
def total(draw) -> LinearMap:
    part, rng = draw(st.one_of(scale(), convolution().filter(lambda c: c.in_shape == c.out_shape))), draw(SEEDS)
    return Sum((part, identity(part.in_shape), Scale(rng.normal(size=part.in_shape), part.in_shape)))


MAPS = st.one_of(
    dense(), convolution(), convolution().map(TransposedConvolution), channelwise(), scale(), selection(), total()
)


@given(map_=MAPS, rng=SEEDS, n=st.integers(0, 3))
def test_matrix_is_the_map(map_, rng, n):
    x = rng.normal(size=(n, *map_.in_shape))
    expected = x.reshape(n, int(np.prod(map_.in_shape))) @ map_.matrix().toarray().T
    assert map_.apply(x).shape == (n, *map_.out_shape)
    np.testing.assert_allclose(map_.apply(x).reshape(expected.shape), expected, rtol=1e-12, atol=1e-12)


@given(map_=MAPS, rng=SEEDS, n=st.integers(0, 3))
def test_adjoint_is_the_transpose(map_, rng, n):
    x, y = rng.normal(size=(n, *map_.in_shape)), rng.normal(size=(n, *map_.out_shape))
    assert map_.adjoint(y).shape == x.shape
    np.testing.assert_allclose(np.sum(map_.apply(x) * y), np.sum(x * map_.adjoint(y)), rtol=1e-10, atol=1e-10)
    expected = y.reshape(n, int(np.prod(map_.out_shape))) @ map_.matrix().toarray()
    np.testing.assert_allclose(map_.adjoint(y).reshape(expected.shape), expected, rtol=1e-12, atol=1e-12)


@given(map_=MAPS, rng=SEEDS)
def test_magnitude_is_that_of_the_absolute_matrix(map_, rng):
    x = np.abs(rng.normal(size=(2, *map_.in_shape)))
    expected = (x.reshape(2, -1) @ np.abs(map_.matrix().toarray()).T).reshape(2, *map_.out_shape)
    if isinstance(map_, Sum):
        assert (map_.magnitude(x) >= expected - 1e-12).all()
    else:
        np.testing.assert_allclose(map_.magnitude(x), expected, rtol=1e-12, atol=1e-12)


@given(map_=MAPS)
def test_fan_in_bounds_the_terms_of_an_output(map_):
    matrix = map_.matrix()
    matrix.eliminate_zeros()
    assert map_.fan_in >= np.diff(matrix.indptr).max(initial=0)


@given(map_=MAPS)
def test_nonzeros_are_those_of_the_matrix(map_):
    matrix = map_.matrix()
    matrix.eliminate_zeros()
    assert map_.nonzeros >= matrix.nnz
    assert map_.nonzeros == matrix.nnz or isinstance(map_, Sum)


@given(shape=SHAPES, rng=SEEDS)
def test_selections_without_change(shape, rng):
    x = rng.normal(size=(2, *shape))
    assert np.array_equal(identity(shape).apply(x), x)
    assert np.array_equal(flatten(shape).apply(x), x.reshape(2, -1))


def test_channelwise_and_a_mean_over_everything():
    map_ = average_pool((2, 2, 3), [[(0, 2, 2)], [(0, 3, 3)]], ())
    assert isinstance(map_, Channelwise)
    np.testing.assert_allclose(map_.apply(np.arange(12.0).reshape(1, 2, 2, 3)), [[2.5, 8.5]])


# ── the graph that holds them ────────────────────────────────────────────────────────────────────────────────────────


def test_parallel_edges_add_up(rng):
    net = Network()
    x = net.add(Input("x", (3,), "x"))
    maps = [Dense(rng.normal(size=(2, 3)), (3,)) for _ in range(3)]
    y = net.add(Affine("y", (2,), "y", np.ones(2)), *((x, map_) for map_ in maps))
    net.outputs = (y,)
    point = rng.normal(size=(4, 3))
    np.testing.assert_allclose(net(point), 1 + sum(map_.apply(point) for map_ in maps))
    assert len(net.edges(y)) == 1


def test_order_follows_later_additions():
    net = Network()
    x = net.add(Input("x", (1,), "x"))
    assert net.order == ("x",)
    net.add(Affine("y", (1,), "y", np.zeros(1)), (x, identity((1,))))
    assert net.order == ("x", "y")


@pytest.mark.parametrize(
    ("node", "map_", "message"),
    [
        (Affine("x", (2,), "", np.zeros(2)), identity((2,)), "exists already"),
        (Affine("y", (2,), "", np.zeros(2)), identity((3,)), "the nodes have shapes"),
        (Affine("y", (2,), "", np.zeros(1)), identity((2,)), "a bias of shape"),
    ],
)
def test_what_does_not_fit_is_refused(node, map_, message):
    net = Network()
    net.add(Input("x", (2,), "x"))
    with pytest.raises(InputError, match=message):
        net.add(node, ("x", map_))


def test_wrong_inputs_are_refused():
    net = Network()
    a, b = net.add(Input("a", (2,), "a")), net.add(Input("b", (), "b"))
    with pytest.raises(InputError, match=r"has inputs \['a', 'b'\].*as in network\(\{'a': …, 'b': …\}\)"):
        net.evaluate(np.zeros((1, 2)))
    with pytest.raises(InputError, match=r"'a' takes arrays \(n, 2\), not \(1, 3\)"):
        net.evaluate({a: np.zeros((1, 3)), b: np.zeros(1)})
    with pytest.raises(InputError, match=r"'b' takes arrays \(n\), not \(1, 1\)"):
        net.evaluate({a: np.zeros((1, 2)), b: np.zeros((1, 1))})
    with pytest.raises(InputError, match="one number of samples"):
        net.evaluate({a: np.zeros((1, 2)), b: np.zeros(2)})
