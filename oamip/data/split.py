"""Samples drawn by seed, every class in its proportion: parts of a whole, and a choice of n."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oamip.data.check import checked
from oamip.data.parts import Data, Split
from oamip.errors import DataError

__all__ = ["SCORE_SAMPLES", "choose", "divided", "with_score"]

SCORE_SAMPLES = 5_000
"""How many samples the score part takes from a training part, where that is at most a fifth of it."""


def divided(whole: Split, seed: int, name: str) -> Data:
    """Divide one part into three: 60 % train, 20 % score, 20 % test.

    Raises:
        DataError: there are fewer than five samples.
    """
    fifth = len(whole) // 5
    if not fifth:
        raise DataError(f"{name}: {len(whole)} samples cannot be split into three parts; give at least 5")
    order = _order(whole, seed)
    score, test, train = np.split(order, [fifth, 2 * fifth])
    parts = {"train": whole.take(train), "score": whole.take(score), "test": whole.take(test)}
    how = "stratified by class" if whole.labelled else "at random"
    return checked(parts, name, f"one part given, split by seed {seed} into 60/20/20, {how}")


def with_score(train: Split, test: Split, seed: int, name: str, classes: int | None = None) -> Data:
    """Take the score part out of the training part.

    Raises:
        DataError: too few samples train, or the parts do not agree.
    """
    size = min(SCORE_SAMPLES, len(train) // 5)
    if not size:
        raise DataError(f"{name}: {len(train)} training samples are too few to score on some; give x_score too")
    score, rest = np.split(_order(train, seed), [size])
    parts = {"train": train.take(rest), "score": train.take(score), "test": test}
    how = "stratified by class" if train.labelled else "at random"
    return checked(parts, name, f"score taken out of the training part by seed {seed}, {how}", classes)


def _order(split: Split, seed: int) -> NDArray[np.int64]:
    """All indices in a random order in which every stretch holds the classes in their proportions.

    The r-th of the m samples of a class is put at (r + 1/2)/m; chance breaks ties.
    """
    order = np.random.default_rng(seed).permutation(len(split))
    if split.y is None or not split.labelled:
        return order
    labels = split.y[order]
    place = np.empty(len(order))
    for label in np.unique(labels):
        here = labels == label
        place[here] = (np.arange(np.count_nonzero(here)) + 0.5) / np.count_nonzero(here)
    return order[np.argsort(place, kind="stable")]


def choose(
    split: Split,
    n: int,
    *,
    seed: int,
    classes: int | None = None,
    correct: NDArray[np.bool_] | None = None,
    fill: bool = False,
) -> NDArray[np.int64]:
    """Choose ``n`` different samples by seed, as many of each class (the remainder goes to classes by chance).

    Args:
        split: where to choose; without class labels the choice is uniform.
        n: how many.
        seed: equal seeds give equal choices.
        classes: number of classes; by default the classes that occur in ``split``.
        correct: mask (len(split),): choose among these only, for example those that the network gets right.
        fill: where a class has too few, take all of it and fill up from the others; what is left of ``n`` is dropped.

    Returns:
        Sorted indices into ``split``, (n,).

    Raises:
        DataError: some class, or the whole part, has too few samples; fewer are never returned, unless ``fill``.
    """
    if n < 1:
        raise DataError(f"cannot choose {n} samples; choose at least one")
    allowed = np.ones(len(split), bool) if correct is None else np.asarray(correct, dtype=bool)
    if allowed.shape != (len(split),):
        raise DataError(f"the mask of correct samples has shape {allowed.shape}; the part has {len(split)} samples")
    among = "" if correct is None else " that the network gets right"
    rng = np.random.default_rng(seed)
    if split.y is None or not split.labelled:
        pool = np.flatnonzero(allowed)
        n = min(n, len(pool)) if fill else n
        if len(pool) < n:
            raise DataError(f"{n} samples are asked for and there are {len(pool)}{among}; ask for fewer")
        return np.sort(rng.choice(pool, n, replace=False))
    labels = np.unique(split.y) if classes is None else np.arange(classes)
    pools = [np.flatnonzero(allowed & (split.y == label)) for label in labels]
    wanted = np.zeros(len(labels), dtype=np.int64)
    room = np.array([len(pool) if fill else n for pool in pools])
    while wanted.sum() < n and (wanted < room).any():  # as evenly as the classes allow, the remainder by chance
        open_ = np.flatnonzero(wanted < room)
        share, rest = divmod(n - int(wanted.sum()), len(open_))
        extra = np.zeros(len(open_), dtype=np.int64)
        extra[rng.choice(len(open_), rest, replace=False)] = 1
        wanted[open_] = np.minimum(wanted[open_] + share + extra, room[open_])
    short = [
        f"class {label} has {len(pool)} of {k}"
        for label, pool, k in zip(labels, pools, wanted, strict=True)
        if len(pool) < k
    ]
    if short:
        raise DataError(f"too few samples{among} to choose {n} evenly: {', '.join(short)}; ask for fewer samples")
    return np.sort(np.concatenate([rng.choice(pool, k, replace=False) for pool, k in zip(pools, wanted, strict=True)]))
