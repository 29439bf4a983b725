"""Simple scores that need no solver, to be reported beside every program at the same budget.

=============  ========================================================================================================
``random``     a random order of all units, without replacement
``l1``         ‖w‖₁ of the unit's incoming weights, without bias (Li et al. 2017)
``l2``         ‖w‖₂ of the same
``activation`` mean of |h| over samples and positions
``taylor``     mean over samples of |Σ_positions h · ∂loss/∂h| (Molchanov et al. 2017)
``jacobian``   root mean square over samples of ‖J − mean over classes of J‖₂, J_c = Σ_positions h · ∂o_c/∂h: how much
               the unit moves the logits apart, the loss not asked
=============  ========================================================================================================

A sum over positions, where Molchanov et al. take a mean, is the first-order change of the loss itself. Nothing is
rescaled per layer: a global budget compares the raw numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from oamip.decision import Scores
from oamip.errors import DataError, InputError
from oamip.network import Affine, Groups, Network, Weighted
from oamip.network.sensitivity import batch_size, contributions, jacobian_norm, membership, taylor_batches

__all__ = ["BASELINES", "baseline"]

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class _Task:
    network: Network
    groups: Groups
    x: Array
    y: NDArray[np.float64] | NDArray[np.int64] | None
    seed: int

    @property
    def labelled(self) -> bool:
        """Whether the outputs are logits of classes; taken for granted when there are no targets."""
        return self.y is None or (self.y.ndim == 1 and np.issubdtype(self.y.dtype, np.integer))

    def batches(self) -> Iterator[slice]:
        size = batch_size(self.network)
        return (slice(start, start + size) for start in range(0, len(self.x), size))


def baseline(
    name: str, network: Network, groups: Groups, x: ArrayLike, y: ArrayLike | None = None, *, seed: int
) -> Scores:
    """Score all units by one of `BASELINES`.

    Args:
        name: which; see the module's page.
        network: with one output, (classes,) logits or (k,) numbers.
        groups: its units.
        x: samples (n, *input shape); ``random``, ``l1`` and ``l2`` do not look at them.
        y: integer labels (n,): the loss is the cross-entropy; or real targets (n, k): it is the squared error, and
            ``jacobian`` is the plain norm. Only ``taylor`` needs it.
        seed: of ``random``.

    Raises:
        InputError: there is no such baseline.
        DataError: there are no samples, or the targets do not fit the output.
    """
    if name not in _RULES:
        raise InputError(f"no baseline '{name}'; there are {', '.join(BASELINES)}")
    samples, targets = np.asarray(x, dtype=np.float64), None if y is None else np.asarray(y)
    if len(samples) == 0 or (targets is not None and len(targets) != len(samples)):
        count = "no" if targets is None else len(targets)
        raise DataError(f"baseline {name} got {len(samples)} samples and {count} targets; give as many of each")
    values = _RULES[name](_Task(network, groups, samples, targets, seed))
    return Scores.of(groups, values, method=name, samples=len(samples), seed=seed)


def _random(task: _Task) -> Array:
    return np.random.default_rng(task.seed).permutation(task.groups.size).astype(np.float64)


def _magnitude(order: int) -> Callable[[_Task], Array]:
    """Norm of all weights that make the unit in one layer; the mean over the layers that it is coupled across.

    A mean, and not the norm of all weights together: a unit of a residual stream would else look more important than
    one of a plain layer only because more layers write to it.
    """

    def score(task: _Task) -> Array:
        rows = _row_norms(task.network, order)
        result = np.empty(task.groups.size)
        for group in task.groups.groups:
            for number, channels in enumerate(group.units, group.start):
                layers: dict[str, list[float]] = {}
                for layer, row in channels:
                    layers.setdefault(layer, []).append(rows[layer][row])
                result[number] = np.mean([np.linalg.norm(norms, order) for norms in layers.values()])
        return result

    return score


def _row_norms(network: Network, order: int) -> dict[str, Array]:
    """Layer path to the norm of each row of its weight."""
    norms = {}
    for node in network.nodes(Affine):
        map_ = network.edges(node.name)[0][1]
        if node.layer is not None and isinstance(map_, Weighted):
            norms[node.layer.path] = np.linalg.norm(map_.rows.reshape(len(map_.rows), -1), order, axis=1)
    return norms


def _activation(task: _Task) -> Array:
    total, entries = np.zeros(task.groups.size), np.zeros(task.groups.size)
    members = {name: membership(task.groups.labels[name], task.groups.size) for name in task.groups.sites}
    for part in task.batches():
        values = task.network.evaluate(task.x[part])
        for name, member in members.items():
            total += np.abs(values[name]).reshape(len(values[name]), -1).sum(axis=0) @ member
    for member in members.values():
        entries += member.sum(axis=0)
    result: Array = total / (len(task.x) * entries)
    return result


def _taylor(task: _Task) -> Array:
    total = np.zeros(task.groups.size)
    for part in task.batches():
        values = task.network.evaluate(task.x[part])
        slope = _loss_gradient(task, values[task.network.output.name], part)
        total += np.abs(contributions(task.groups, values, slope[None])[0]).sum(axis=0)
    return total / len(task.x)


def _loss_gradient(task: _Task, output: Array, part: slice) -> Array:
    """∂loss/∂o of each sample, in the shape of ``output``."""
    if task.y is None:
        raise DataError("the baseline taylor needs labels or targets; give y, or leave it out of the baselines")
    target = task.y[part]
    if not task.labelled:
        if target.size != output.size:
            raise DataError(f"targets of shape {task.y.shape[1:]} do not fit outputs of shape {output.shape[1:]}")
        return 2 * (output - target.reshape(output.shape))
    if output.ndim != 2 or target.min() < 0 or target.max() >= output.shape[1]:
        raise DataError(
            f"labels {target.min()} to {target.max()} do not fit outputs of shape {output.shape[1:]}; for a regression "
            "give real targets (n, k)"
        )
    slope: Array = softmax(output, axis=1)
    slope[np.arange(len(target)), target] -= 1
    return slope


def _jacobian(task: _Task) -> Array:
    squares = np.zeros(task.groups.size)
    for _, _, J in taylor_batches(task.network, task.groups, task.x):
        squares += len(J) * jacobian_norm(J, centred=task.labelled) ** 2
    result: Array = np.sqrt(squares / len(task.x))
    return result


_RULES: Mapping[str, Callable[[_Task], Array]] = {
    "random": _random,
    "l1": _magnitude(1),
    "l2": _magnitude(2),
    "activation": _activation,
    "taylor": _taylor,
    "jacobian": _jacobian,
}

BASELINES = tuple(_RULES)
"""Names that `baseline` takes."""
