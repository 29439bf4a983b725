"""What the output loses, to first order, when units are switched off.

Let h be the entries of unit i where other layers read them. Then

    J[n, c, i] = Σ_entries h · ∂o_c/∂h        (sample n, output c)

is the derivative of o_c with respect to a common factor s_i on those entries: o(s) ≈ o(1) + J (s − 1), with equality
for the units of one layer while no ReLU or max behind it changes its pattern. The sum over a channel's positions is
taken before any norm or absolute value, as in Molchanov et al. (2017).

Everything between a unit's last gate (`Groups.sites`) and its readers is linear or a maximum, hence homogeneous, so it
makes no difference where on that stretch the products are summed. Where a unit passes several gates (ReLU, then a batch
normalisation with a shift) only the last one counts: a unit that is off must vanish there, and adding the earlier ones
would count one and the same contribution twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from oamip.network.groups import Groups
from oamip.network.labels import is_depthwise
from oamip.network.maps import LinearMap, Weighted
from oamip.network.network import Edit, Network, Values, pullback

__all__ = ["contributions", "jacobian_norm", "membership", "taylor_batches", "taylor_terms"]

Array: TypeAlias = NDArray[np.float64]

_BYTES = 2**24
"""About how much the gradients of one batch may take; larger batches fall out of the cache and are slower."""


def taylor_terms(
    network: Network, groups: Groups, x: ArrayLike, batch: int | None = None, *, keep: NDArray[np.bool_] | None = None
) -> tuple[Array, Array]:
    """Outputs and first-order contributions of every unit to every output.

    Args:
        network: with one output of C entries.
        groups: the units, of this network.
        x: samples (n, *input shape).
        batch: samples per sweep; by default as many as keep the gradients near 16 MiB.
        keep: units that are still there, if some are removed already; the others contribute nothing.

    Returns:
        Outputs (n, C), and J (n, C, units) as the module's page defines it.

    Raises:
        InputError: ``x`` has the wrong shape, or the network has several outputs.
    """
    x = np.asarray(x, dtype=np.float64)
    outputs = np.empty((len(x), math.prod(network.output.shape)))
    terms = np.empty((*outputs.shape, groups.size))
    for part, logits, J in taylor_batches(network, groups, x, batch, keep=keep):
        outputs[part], terms[part] = logits, J
    return outputs, terms


def taylor_batches(
    network: Network, groups: Groups, x: ArrayLike, batch: int | None = None, *, keep: NDArray[np.bool_] | None = None
) -> Iterator[tuple[slice, Array, Array]]:
    """As `taylor_terms`, one batch at a time: (its place in ``x``, outputs (b, C), J (b, C, units))."""
    x = np.asarray(x, dtype=np.float64)
    shape = network.output.shape
    count = math.prod(shape)
    batch = batch or batch_size(network, count)
    masks = None if keep is None or keep.all() else groups.mask(keep)
    for start in range(0, len(x), batch):
        values = network.evaluate(x[start : start + batch], masks)
        n = len(values[network.output.name])
        every_output = np.broadcast_to(np.eye(count)[:, None], (count, n, count)).reshape(count, n, *shape)
        terms = contributions(groups, values, every_output, masks)
        yield slice(start, start + n), values[network.output.name].reshape(n, count), terms.swapaxes(0, 1)


def jacobian_norm(J: Array, *, centred: bool = True) -> Array:
    """Root mean square over samples of ``‖J_i − mean over outputs of J_i‖₂``, one number per unit.

    Adding the same amount to all logits changes no classification, so their mean does not count.

    Args:
        J: (n, C, units), from `taylor_terms`.
        centred: False for outputs that are no logits: the plain norm. A single output is never centred.
    """
    spread = J - J.mean(axis=1, keepdims=True) if centred and J.shape[1] > 1 else J
    result: Array = np.sqrt(np.einsum("ncu,ncu->u", spread, spread) / len(J))
    return result


def contributions(groups: Groups, values: Values, cotangent: Array, masks: Mapping[str, Edit] | None = None) -> Array:
    """First-order contributions of every unit to some linear functions of the output.

    Args:
        groups: the units.
        values: node values (n, *shape) from `Network.evaluate`.
        cotangent: (c, n, *output shape), as `pullback` takes it.
        masks: what the values were evaluated with.

    Returns:
        Σ h · ∂f/∂h per function, sample and unit, (c, n, units).
    """
    gradients = pullback(groups.network, values, cotangent, masks)
    c, n = cotangent.shape[:2]
    total = np.zeros((c, n, groups.size))
    for name, labels in groups.labels.items():
        gradient = _gradient_from_readers(groups.network, name, gradients) if (labels >= 0).any() else None
        if gradient is not None:
            products = (gradient * values[name]).reshape(c * n, labels.size)
            total += (products @ membership(labels, groups.size)).reshape(total.shape)
    return total


def membership(labels: NDArray[np.intp], units: int) -> sp.csr_array:
    """The 0-1 matrix (entries, units) that sums the entries of each unit; FIXED and ABSENT entries have empty rows."""
    owned = np.flatnonzero(labels >= 0)
    return sp.csr_array((np.ones(owned.size), (owned, labels[owned])), shape=(labels.size, units))


def batch_size(network: Network, functions: int = 1) -> int:
    """Samples for which values and the gradients of so many functions stay near 16 MiB."""
    entries = sum(math.prod(network[name].shape) for name in network.order)
    return max(1, _BYTES // (8 * entries * (functions + 1)))


def _gradient_from_readers(network: Network, name: str, gradients: Values) -> Array | None:
    """The part of a node's gradient (c, n, *shape) that comes through layers which read it; None if there is none."""
    successors = network.successors(name)
    readers = {target: network.graph.edges[name, target]["map"] for target in successors}
    readers = {target: map_ for target, map_ in readers.items() if _reads(map_)}
    if not readers or name not in gradients:
        return None
    if len(readers) == len(successors):
        return gradients[name]
    total = np.zeros_like(gradients[name])  # others carry the unit on, to be read, and counted, further down
    c, n, *shape = total.shape
    for target, map_ in readers.items():
        if target in gradients:
            behind = gradients[target]
            total += map_.adjoint(behind.reshape(c * n, *behind.shape[2:])).reshape(c, n, *shape)
    return total


def _reads(map_: LinearMap | None) -> bool:
    """Whether a unit ends at this edge; every other kind carries its channels on or has frozen them."""
    return isinstance(map_, Weighted) and not is_depthwise(map_)
