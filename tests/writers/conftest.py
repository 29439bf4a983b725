"""Random networks that no reader would make: odd moves, sums of everything, windows of all kinds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp

from oamip.network import (
    Affine,
    Channelwise,
    Convolution,
    Dense,
    Input,
    LinearMap,
    Max,
    Network,
    ReLU,
    Scale,
    Selection,
    TransposedConvolution,
    identity,
)

Rng = np.random.Generator


def _dense(rng: Rng, shape: tuple[int, ...]) -> LinearMap:
    return Dense(rng.standard_normal((int(rng.integers(1, 5)), shape[-1])), shape)


def _convolution(rng: Rng, shape: tuple[int, ...]) -> LinearMap:
    if len(shape) < 2:
        return _dense(rng, shape)
    axes = len(shape) - 1
    kernel = tuple(int(rng.integers(1, min(4, size) + 1)) for size in shape[1:])
    stride, dilation = (tuple(int(n) for n in rng.integers(1, 3, axes)) for _ in range(2))
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple(
        (int(rng.integers(0, 3)), int(rng.integers(0, 3)) + max(0, r - size))
        for r, size in zip(reach, shape[1:], strict=True)
    )
    groups = int(rng.choice([1, shape[0]]))
    weight = rng.standard_normal((groups * int(rng.integers(1, 3)), shape[0] // groups, *kernel))
    return Convolution(weight, shape, stride, padding, dilation, groups)


def _transposed(rng: Rng, shape: tuple[int, ...]) -> LinearMap:
    if len(shape) < 2:
        return _dense(rng, shape)
    spatial = []
    kernel, strides, padding = [], [], []
    for size in shape[1:]:
        k, s = int(rng.integers(1, 4)), int(rng.integers(1, 3))
        before, after = (int(n) for n in rng.integers(0, k, 2))
        extra = int(rng.integers(0, s))
        full = (size - 1) * s + k - before - after + extra
        if full < 1:
            before, after, full = 0, 0, (size - 1) * s + k + extra
        kernel.append(k), strides.append(s), padding.append((before, after)), spatial.append(full)
    out = int(rng.integers(1, 4))
    weight = rng.standard_normal((shape[0], out, *kernel))
    ones = tuple(1 for _ in kernel)
    return TransposedConvolution(Convolution(weight, (out, *spatial), tuple(strides), tuple(padding), ones, 1))


def _selection(rng: Rng, shape: tuple[int, ...]) -> LinearMap:
    """A chain of moves on the numbers of the entries, or anything at all."""
    index = np.arange(int(np.prod(shape))).reshape(shape)
    for _ in range(int(rng.integers(1, 4))):
        kind = int(rng.integers(0, 9))
        axis = int(rng.integers(0, index.ndim))
        if kind == 0:
            index = index.transpose(rng.permutation(index.ndim))
        elif kind == 1:
            index = index.reshape(-1)
        elif kind == 2 and index.shape[axis] > 1:
            start = int(rng.integers(0, index.shape[axis] - 1))
            index = np.moveaxis(np.moveaxis(index, axis, 0)[start :: int(rng.integers(1, 3))], 0, axis)
        elif kind == 3:
            index = np.pad(index, [tuple(rng.integers(0, 3, 2)) for _ in index.shape], constant_values=-1)
        elif kind == 4:
            index = np.take(index, rng.integers(0, index.shape[axis], 3), axis)
        elif kind == 5:
            index = np.expand_dims(index, axis)
        elif kind == 6:
            index = np.repeat(index, 2, axis)
        elif kind == 7 and index.shape[axis] % 2 == 0 and index.ndim < 4:
            index = index.reshape(*index.shape[:axis], 2, -1, *index.shape[axis + 1 :])
        elif kind == 8 and rng.random() < 0.3:
            index = rng.permutation(index.ravel()).reshape(index.shape)
        if index.size > 400:
            index = index.reshape(-1)[:100]
    if index.ndim > 3:
        index = index.reshape(index.shape[0], -1)
    return Selection(np.ascontiguousarray(index, dtype=np.intp), shape)


def _scale(rng: Rng, shape: tuple[int, ...]) -> LinearMap:
    kept = [size if rng.random() < 0.5 else 1 for size in shape]
    factor = rng.standard_normal(kept) if rng.random() < 0.6 else rng.integers(-1, 2, kept).astype(float)
    return Scale(factor, shape)


def _channelwise(rng: Rng, shape: tuple[int, ...]) -> LinearMap:
    if len(shape) < 2:
        return _scale(rng, shape)
    positions = int(np.prod(shape[1:]))
    weights = sp.csr_array(rng.standard_normal((3, positions)) * (rng.random((3, positions)) < 0.6))
    weights.eliminate_zeros()
    return Channelwise(weights, shape, (3,))


MAPS: tuple[Callable[[Rng, tuple[int, ...]], LinearMap], ...] = (
    *(_dense, _convolution, _transposed),
    *(_selection, _selection, _scale, _channelwise),
)


def _bias(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    kind = int(rng.integers(0, 4))
    if kind == 0:
        return np.zeros(shape)
    if kind == 1:
        return np.full(shape, rng.standard_normal())
    if kind == 2:
        return np.broadcast_to(rng.standard_normal((shape[0], *(1 for _ in shape[1:]))), shape).copy()
    return rng.standard_normal(shape)


def random_network(seed: int) -> Network:
    """Up to eight nodes of all kinds behind one input."""
    rng = np.random.default_rng(seed)
    network = Network()
    shape = tuple(int(n) for n in rng.integers(1, 5, int(rng.integers(1, 4))))
    names = [network.add(Input("x", shape, "x"))]
    for number in range(int(rng.integers(2, 9))):
        source = names[-1] if rng.random() < 0.7 else names[int(rng.integers(0, len(names)))]
        shape, kind = network[source].shape, int(rng.integers(0, 6))
        name, place = f"n{number}", str(rng.choice(["body.0", "1", f"part.{number}", "forward", "a b"]))
        if kind == 0:
            names.append(network.add(ReLU(name, shape, place), (source, None)))
        elif kind == 1:
            size, count = int(np.prod(shape)), int(rng.integers(1, 5))
            index = np.array([rng.choice(size, min(3, size), replace=False) for _ in range(count)], dtype=np.intp)
            index[:, 1:][rng.random(index[:, 1:].shape) < 0.3] = -1
            names.append(network.add(Max(name, (count,), place, index), (source, None)))
        elif kind == 2:
            same = [other for other in names if network[other].shape == shape]
            partner = same[int(rng.integers(0, len(same)))]
            edges = [(source, identity(shape)), (partner, _scale(rng, shape))]
            names.append(network.add(Affine(name, shape, place, _bias(rng, shape)), *edges))
        else:
            map_ = MAPS[int(rng.integers(0, len(MAPS)))](rng, shape)
            bias = _bias(rng, map_.out_shape)
            names.append(network.add(Affine(name, map_.out_shape, place, bias), (source, map_)))
    network.outputs = (names[-1],)
    return network


@pytest.fixture(params=range(30))
def random_one(request: pytest.FixtureRequest) -> Network:
    """Random networks, one after another."""
    return random_network(request.param)
