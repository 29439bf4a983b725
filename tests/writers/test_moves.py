"""Index arrays are recognised as what people write, and always reproduced."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oamip.writers import steps as s
from oamip.writers.boxes import box_of
from oamip.writers.moves import moves


def played(chain, x):
    """The moves on a numpy array, by numpy."""
    for move in chain:
        match move:
            case s.Merge(start, stop):
                x = x.reshape(*x.shape[:start], -1, *x.shape[stop + 1 :])
            case s.Squeeze(axis):
                x = x.squeeze(axis)
            case s.Unsqueeze(axis):
                x = np.expand_dims(x, axis)
            case s.Reshape(shape):
                x = x.reshape(shape)
            case s.Permute(axes):
                x = x.transpose(axes)
            case s.Take(slices):
                x = x[tuple(slice(None) if cut is None else slice(*cut) for cut in slices)]
            case s.Pick(axis, positions):
                x = np.take(x, positions, axis)
            case s.Expand(shape):
                x = np.broadcast_to(x, shape)
            case s.Gather(index):
                x = np.append(x.ravel(), 0)[index]
    return x


def kinds(chain):
    return [type(move).__name__ for move in chain]


A = np.arange(2 * 6 * 4).reshape(2, 6, 4)


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (A, []),
        (A.reshape(-1), ["Merge"]),
        (A.reshape(2, -1), ["Merge"]),
        (A.reshape(12, 4), ["Merge"]),
        (A[None], ["Unsqueeze"]),
        (A.reshape(2, 2, 3, 4), ["Reshape"]),
        (A.transpose(2, 0, 1), ["Permute"]),
        (A.transpose(1, 2, 0).reshape(-1), ["Permute", "Merge"]),
        (A[:, ::2], ["Take"]),
        (A[:, 1], ["Take", "Merge"]),
        (A[1:, 1:3, ::2], ["Take"]),
        (A[:, ::-1], ["Pick"]),
        (A[:, [0, 3, 1]], ["Pick"]),
        (A[:, :, :2].reshape(2, -1), ["Take", "Merge"]),
        (np.broadcast_to(A[:, :1, :1], A.shape), ["Take", "Expand"]),
        (A.reshape(2, 3, 2, 4).transpose(0, 2, 1, 3).reshape(2, 6, 4), ["Pick"]),
        (A.reshape(2, 3, 2, 4).transpose(0, 1, 3, 2).reshape(2, 3, 8), ["Reshape", "Permute", "Merge"]),
        (np.random.default_rng(0).permutation(A.ravel()).reshape(A.shape), ["Gather"]),
        (np.pad(A, 1, constant_values=-1), ["Gather"]),
    ],
)
def test_what_people_write_is_recognised(index, expected):
    chain = moves(index, A.shape)
    assert kinds(chain) == expected
    np.testing.assert_array_equal(played(chain, A), np.where(index >= 0, index, 0))


@given(st.integers(0, 10**6))
def test_any_chain_of_moves_is_reproduced(seed):
    from tests.writers.conftest import _selection

    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 5, int(rng.integers(1, 4))))
    index = _selection(rng, shape).index
    x = np.arange(1, int(np.prod(shape)) + 1).reshape(shape)
    expected = np.append(x.ravel(), 0)[index]
    np.testing.assert_array_equal(played(moves(index, shape), x), expected)


def test_a_box_is_found_only_where_entries_fill_it():
    index = np.full((4, 5), -1)
    assert box_of(index) is None
    index[1:3, 2:] = 7
    assert box_of(index) == ((1, 3), (2, 5))
    index[2, 3] = -1
    assert box_of(index) is None
