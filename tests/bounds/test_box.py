"""Boxes are what their formula says, computed by hand, and bad ones are refused with the entry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oamip.bounds import Box
from oamip.errors import InputError


def test_radius_is_measured_in_pixels():
    # One pixel of each of two channels: p = (0.5, 0.25), mean (0.5, 0), std (0.5, 0.25), so x = (0, 1).
    x = np.array([0.0, 1.0]).reshape(1, 2, 1, 1)
    box = Box.around(x, 0.125, mean=[0.5, 0.0], std=[0.5, 0.25])
    assert box.lower.ravel().tolist() == [-0.25, 0.5]
    assert box.upper.ravel().tolist() == [0.25, 1.5]


def test_clamp_acts_on_pixels():
    # Pixels 0, 0.5 and 1, mean 0.5, std 0.25: x = (−2, 0, 2); [0, 1] is [−2, 2] and the radius 0.75 is 3.
    box = Box.around([[-2.0, 0.0, 2.0]], 0.75, mean=0.5, std=0.25, clamp=(0, 1))
    assert box.lower.tolist() == [[-2.0, -2.0, -1.0]]
    assert box.upper.tolist() == [[1.0, 2.0, 2.0]]


def test_without_normalisation():
    box = Box.around([[0.1, 0.9]], 0.2, clamp=(0.0, 1.0))
    np.testing.assert_allclose(box.lower, [[0.0, 0.7]])
    np.testing.assert_allclose(box.upper, [[0.3, 1.0]])
    assert (len(box), box.shape) == (1, (2,))


def test_one_radius_per_sample_or_entry():
    box = Box.around(np.zeros((2, 3)), [[1.0], [2.0]])
    assert box.upper.tolist() == [[1.0] * 3, [2.0] * 3]
    assert Box.around(np.zeros((2, 3)), [0, 1, 2]).lower.tolist() == [[0, -1, -2]] * 2


def test_rounding_in_single_precision_stays_inside():
    pixels = np.array([[0.0, 1.0]], dtype=np.float32)
    x = (pixels - np.float32(0.1307)) / np.float32(0.3081)
    box = Box.around(x, 0.0, mean=0.1307, std=0.3081, clamp=(0, 1))
    assert box.contains(x).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    radius=st.floats(0, 1e6),
    clamp=st.booleans(),
)
def test_boxes_contain_their_centre_and_samples(seed, shape, radius, clamp):
    rng = np.random.default_rng(seed)
    channels = shape[1] if len(shape) > 1 else 1
    mean, std = rng.random(channels), rng.random(channels) + 0.1
    along = (-1, *(1 for _ in shape[2:])) if len(shape) > 1 else ()
    x = (rng.random(shape) - mean.reshape(along)) / std.reshape(along)
    box = Box.around(x, radius, mean=mean, std=std, clamp=(0, 1) if clamp else None)
    assert box.contains(x).shape == (shape[0],)
    assert box.contains(x).all()
    samples = box.sample(rng, 5)
    assert samples.shape == (5, *shape)
    assert all(box.contains(sample).all() for sample in samples)


def test_contains_tells_each_box():
    box = Box.of([[0.0, 0.0], [1.0, 1.0]], [[1.0, 1.0], [2.0, 2.0]])
    assert box.contains([0.5, 0.5]).tolist() == [True, False]
    assert box.contains([[0.5, 0.5], [2.0, 1.5]]).tolist() == [True, True]
    assert box.contains([[0.5, np.nan], [1.0, 2.5]]).tolist() == [False, False]


@pytest.mark.parametrize(
    ("lower", "upper", "message"),
    [
        ([[0.0, 2.0]], [[1.0, 1.0]], r"empty at entry \(0, 1\): lower 2, upper 1"),
        ([[0.0, -np.inf]], [[1.0, 1.0]], r"not finite at entry \(0, 1\): lower -inf"),
        ([[0.0]], [[np.nan]], r"not finite at entry \(0, 0\)"),
        ([[0.0]], [[0.0, 1.0]], r"not \(1, 1\) and \(1, 2\)"),
        (0.0, 1.0, "two arrays of one shape"),
    ],
)
def test_boxes_that_are_none(lower, upper, message):
    with pytest.raises(InputError, match=message):
        Box.of(lower, upper)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": -0.1}, "must not be negative"),
        ({"radius": np.nan}, "must not be negative"),
        ({"radius": 0.1, "std": [1.0, 0.0]}, "std must be positive"),
        ({"radius": 0.1, "mean": [0.0, 0.0, 0.0]}, "one for each of 2 channels"),
        ({"radius": 0.1, "clamp": (0, 1), "mean": 0.5}, r"outside the pixel range \(0, 1\) at entry \(0, 1, 0\)"),
    ],
)
def test_neighbourhoods_that_are_none(options, message):
    with pytest.raises(InputError, match=message):
        Box.around(np.array([[[0.2], [0.9]]]), **options)
