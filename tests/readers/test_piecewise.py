"""Nodes that stand for a piecewise-linear function compute it, and interval arithmetic knows its range."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oamip.bounds import Box, interval
from oamip.network import Affine, Input, Max, Network, ReLU
from oamip.readers import piecewise

SEEDS = st.integers(0, 2**32 - 1).map(np.random.default_rng)
ENDS = st.floats(-3, 3) | st.sampled_from([0.0, 1e7, -1e7, 1e30, np.inf, -np.inf])


@dataclass
class Node:
    name: str
    shape: tuple[int, ...]


@dataclass
class Bare:
    """The least that can be written to: a network without torch or ONNX."""

    network: Network = field(default_factory=Network)

    def _add(self, kind: type, shape: tuple[int, ...], *rest: Any, edges: Any) -> Node:
        name = f"n{len(self.network.graph)}"
        return Node(self.network.add(kind(name, shape, "", *rest), *edges), shape)

    def input(self, shape: tuple[int, ...]) -> Node:
        return self._add(Input, shape, edges=())

    def affine(self, shape, *edges, bias=0.0, layer=None, rigid=""):
        constant = np.broadcast_to(np.asarray(bias, dtype=np.float64), shape)
        return self._add(Affine, shape, constant, layer, rigid, edges=[(x.name, map_) for x, map_ in edges])

    def relu(self, x):
        return self._add(ReLU, x.shape, edges=[(x.name, None)])

    def maximum(self, x, shape, index):
        return self._add(Max, shape, index, edges=[(x.name, None)])


def built(rule: Callable[..., Node]) -> Network:
    """The network of a rule on an input of shape (4, 3)."""
    draft = Bare()
    x = draft.input((4, 3))
    draft.network.outputs = (rule(draft, x).name,)
    return draft.network


def samples(rng: np.random.Generator) -> np.ndarray:
    x = rng.normal(size=(50, 4, 3)) * rng.choice([0.1, 1.0, 10.0], size=(50, 1, 1))
    x[0], x[1, 0] = 0.0, (0.3, -0.3, 3.0)
    return x


@given(low=st.none() | ENDS, high=st.none() | ENDS, rng=SEEDS)
def test_clamp(low, high, rng):
    network, x = built(lambda draft, x: piecewise.clamp(draft, x, low, high)), samples(rng)
    expected = x if low is None else np.maximum(x, low)
    expected = expected if high is None else np.minimum(expected, high)
    if np.isfinite(expected).all():
        np.testing.assert_allclose(network(x), expected, rtol=1e-12, atol=1e-9)


@given(slope=st.floats(-2, 3), rng=SEEDS)
def test_leaky(slope, rng):
    network, x = built(lambda draft, x: piecewise.leaky(draft, x, slope)), samples(rng)
    np.testing.assert_allclose(network(x), np.where(x > 0, x, slope * x), rtol=1e-13, atol=1e-13)
    assert len(network.nodes(ReLU)) == 1


def test_bounds_and_slopes_differ_by_entry(rng):
    x, slope, low = samples(rng), np.array([[-1.0], [0.0], [0.5], [2.0]]), np.array([[-1.0], [0.0], [1e8], [0.2]])
    leaky = built(lambda draft, x: piecewise.leaky(draft, x, slope))
    np.testing.assert_allclose(leaky(x), np.where(x > 0, x, slope * x), rtol=1e-13)
    clamp = built(lambda draft, x: piecewise.clamp(draft, x, low, low + 1.0))
    np.testing.assert_allclose(clamp(x), np.clip(x, low, low + 1), rtol=1e-13, atol=1e-13)


RULES: dict[str, tuple[Callable[..., Node], Callable[[np.ndarray], np.ndarray]]] = {
    "absolute": (piecewise.absolute, np.abs),
    "hard sigmoid": (piecewise.hard_sigmoid, lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    "hard sigmoid of ONNX": (
        lambda draft, x: piecewise.hard_sigmoid(draft, x, 0.2, 0.4),
        lambda x: np.clip(0.2 * x + 0.4, 0, 1),
    ),
    "soft shrink": (
        lambda draft, x: piecewise.soft_shrink(draft, x, 0.4),
        lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.4, 0),
    ),
    "largest": (lambda draft, x: piecewise.largest(draft, x, [0]), lambda x: x.max(1)),
    "largest kept": (
        lambda draft, x: piecewise.largest(draft, x, [1], keepdims=True),
        lambda x: x.max(2, keepdims=True),
    ),
    "smallest of all": (lambda draft, x: piecewise.largest(draft, x, [0, 1], sign=-1.0), lambda x: x.min((1, 2))),
    "maximum": (
        lambda draft, x: piecewise.maximum(draft, x, piecewise.absolute(draft, x)),
        lambda x: np.maximum(x, np.abs(x)),
    ),
    "minimum, broadcast": (
        lambda draft, x: piecewise.minimum(draft, piecewise.largest(draft, x, [1], keepdims=True), x),
        lambda x: np.minimum(x.max(2, keepdims=True), x),
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_rules_compute_what_they_say(name, rng):
    rule, function = RULES[name]
    x = samples(rng)
    np.testing.assert_allclose(built(rule)(x), function(x), rtol=1e-13, atol=1e-13)


MONOTONE: dict[str, tuple[Callable[..., Node], Callable[[np.ndarray], np.ndarray]]] = {
    "relu6": (lambda draft, x: piecewise.clamp(draft, x, 0.0, 6.0), lambda x: np.clip(x, 0, 6)),
    "clamp": (lambda draft, x: piecewise.clamp(draft, x, -0.5, 0.75), lambda x: np.clip(x, -0.5, 0.75)),
    "far": (lambda draft, x: piecewise.clamp(draft, x, -1e30, 1e30), lambda x: x),
    "leaky": (lambda draft, x: piecewise.leaky(draft, x, 0.1), lambda x: np.where(x > 0, x, 0.1 * x)),
    "steep": (lambda draft, x: piecewise.leaky(draft, x, 2.5), lambda x: np.where(x > 0, x, 2.5 * x)),
    "hard sigmoid": RULES["hard sigmoid"],
    "soft shrink": RULES["soft shrink"],
}


@pytest.mark.parametrize("name", MONOTONE)
@given(rng=SEEDS)
def test_the_range_of_a_monotone_function_is_exact(name, rng):
    rule, function = MONOTONE[name]
    network = built(rule)
    middle, radius = samples(rng)[:5], rng.uniform(0, 9, size=(5, 4, 3))
    low, high = interval(network, Box(middle - radius, middle + radius))[network.output.name]
    np.testing.assert_allclose(low, function(middle - radius), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(high, function(middle + radius), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", RULES)
def test_the_range_of_any_function_holds_its_samples(name, rng):
    network = built(RULES[name][0])
    x = rng.uniform(-1, 2, size=(500, 4, 3))
    low, high = interval(network, Box(np.full((1, 4, 3), -1.0), np.full((1, 4, 3), 2.0)))[network.output.name]
    assert ((low <= network(x)) & (network(x) <= high)).all()


def test_no_torch_is_needed():
    code = (
        "import sys, importlib.util as u; s = u.spec_from_file_location('p', sys.argv[1]); m = u.module_from_spec(s); "
    )
    code += "sys.modules['p'] = m; s.loader.exec_module(m); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, piecewise.__file__], check=False).returncode == 0
