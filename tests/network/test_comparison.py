"""What is not a number, or of another shape, is never equal; each sample is measured by its own size."""

import numpy as np
import pytest

from oamip.network.comparison import worst_difference


def test_not_a_number_never_passes_for_equal():
    assert worst_difference([np.zeros((1, 2))], [np.array([[0.0, np.nan]])]) == np.inf


def test_another_shape_is_no_broadcast():
    assert worst_difference([np.zeros((2, 1))], [np.zeros((2, 3))]) == np.inf


def test_a_large_sample_hides_no_small_one():
    assert worst_difference([np.array([[1e6], [2.0]])], [np.array([[1e6], [3.0]])]) == pytest.approx(0.5)
