"""Linear maps: what an edge of a network does to the array that flows along it.

Every map knows its input and output shape (one sample, no batch axis) and gives

* ``apply(x)``: A x, for a batch (n, *in_shape) → (n, *out_shape);
* ``magnitude(x)``: |A| x, for interval arithmetic and rounding errors;
* ``adjoint(y)``: Aᵀ y, (n, *out_shape) → (n, *in_shape), for gradients and backward bounds;
* ``matrix()``: A as CSR (out_size × in_size), made only when a program needs rows;
* ``fan_in``: the largest number of terms in one output, which bounds the rounding error of ``apply``;
* ``nonzeros``: how many entries of A are not zero.

`Dense`, `Convolution`, `TransposedConvolution` and `Channelwise` mix entries; `Scale` and `Selection` move them. A
convolution is never unrolled unless ``matrix()`` is called. Two edges between the same nodes are one edge with a `Sum`
map.

    >>> import numpy as np
    >>> from oamip.network.maps import Dense, Selection, flatten
    >>> double = Dense(2 * np.eye(3), (3,))
    >>> double.apply(np.ones((1, 3)))
    array([[2., 2., 2.]])
"""

from typing import TypeAlias

from oamip.network.maps.base import LinearMap
from oamip.network.maps.channelwise import Channelwise, average_pool
from oamip.network.maps.convolution import Convolution
from oamip.network.maps.dense import Dense
from oamip.network.maps.scale import Scale
from oamip.network.maps.selection import Selection, flatten, identity
from oamip.network.maps.sum import Sum
from oamip.network.maps.transposed import TransposedConvolution

Weighted: TypeAlias = Dense | Convolution | TransposedConvolution
"""The maps with weights of their own, which have `rows`, `positions` and a slot for each channel they read or make."""

__all__ = [
    "Channelwise",
    "Convolution",
    "Dense",
    "LinearMap",
    "Scale",
    "Selection",
    "Sum",
    "TransposedConvolution",
    "Weighted",
    "average_pool",
    "flatten",
    "identity",
]
