"""Importance scores that take several solves.

* `ImportanceByClass`: one program per class, scores averaged; the programs are small and independent.
* `ImportanceInSteps`: score, remove a tenth of the units, linearise anew on what is left, and so on. One linearisation
  is good near the intact network only; removing half of a convolution's channels is far from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.decision import Scores
from oamip.errors import InputError
from oamip.formulations.importance import Importance, ImportanceOptions
from oamip.network import Groups
from oamip.program import Program
from oamip.solution import Solve, solve_all

__all__ = ["ImportanceByClass", "ImportanceInSteps"]

Vector: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class ImportanceByClass:
    """The importance program of each class on its own, scores averaged over classes.

    Source: arXiv 2002.07259, "decoupling classes". Averaged scores are seldom exactly 1, so a threshold means something
    else than for the joint program; at 50 % and more the joint program ranks better.

    Args:
        groups, x, y, options: as for `Importance`; ``y`` must be class numbers.
        progress: called with (class, number of classes) before each solve.
    """

    groups: Groups
    x: Vector
    y: NDArray[Any]
    options: ImportanceOptions
    progress: Callable[[int, int], None] | None = None

    def run(self, solve: Solve) -> Scores:
        """Solve all, side by side where ``solve`` can, and average.

        Raises:
            InputError: the loss has no classes.
        """
        if self.options.loss == "squared":
            raise InputError("importance by class needs classes; loss='squared' has none")
        asked = [
            Importance(self.groups, self.x[self.y == label], self.y[self.y == label], self.options)
            for label in np.unique(self.y)
        ]
        solutions = solve_all(solve, self._programs(asked))
        parts = [question.interpret(solution) for question, solution in zip(asked, solutions, strict=True)]
        scores, ties = zip(*(part.flat(self.groups) for part in parts), strict=True)
        facts = {
            "objective": [part.facts["objective"] for part in parts],
            "samples": len(self.x),
            "seconds": sum(part.facts["seconds"] for part in parts),
        }
        method = f"{parts[0].method} by class"
        return Scores.of(self.groups, np.mean(scores, axis=0), np.mean(ties, axis=0), method=method, **facts)

    def _programs(self, asked: list[Importance]) -> Iterator[Program]:
        for number, question in enumerate(asked):
            if self.progress:
                self.progress(number, len(asked))
            yield question.program()


@dataclass(frozen=True)
class ImportanceInSteps:
    """Scores by removing a share of the units at a time and linearising anew.

    A unit removed in step t gets a score in [t, t + 1) / steps, by its score in that step; what survives is ranked by
    the last step, above all others. Ranking by the result therefore repeats the removals in order.

    Args:
        groups, x, y, options: as for `Importance`, with ``bounds="linear"``.
        share: of all units, removed in each step.
        per: ``layer`` removes this share of every group, ``global`` of all units together.
        enough: told the surviving units after each step; True stops. Without it, steps go on until nothing can go.
        progress: called with (units removed, all units) before each solve.
    """

    groups: Groups
    x: Vector
    y: NDArray[Any] | None
    options: ImportanceOptions
    share: float = 0.1
    per: Literal["layer", "global"] = "layer"
    enough: Callable[[Mask], bool] | None = None
    progress: Callable[[int, int], None] | None = None

    def run(self, solve: Solve) -> Scores:
        """Score and remove until it is enough.

        Raises:
            InputError: bounds are not ``linear``, or the share is not in (0, 1].
        """
        if self.options.bounds != "linear" or not 0 < self.share <= 1:
            raise InputError(f"importance in steps needs bounds='linear' and a share in (0, 1], not {self.share}")
        alive = np.ones(self.groups.size, dtype=np.bool_)
        total, ties = np.zeros(self.groups.size), np.zeros(self.groups.size)
        seconds, step, part = 0.0, 0, None
        while True:
            if self.progress:
                self.progress(int((~alive).sum()), alive.size)
            formulation = Importance(self.groups, self.x, self.y, self.options, alive=alive)
            part = formulation.interpret(solve(formulation.program()))
            seconds += part.facts["seconds"]
            score, tie = part.flat(self.groups)
            # Half a step for the score itself: a 1 in this step still ranks below a 0 in the next.
            total[alive], ties[alive] = step + 0.5 * score[alive], tie[alive]
            going = self._weakest(score, tie, alive)
            if not going.size or (self.enough and self.enough(alive)):
                break
            alive = alive.copy()
            alive[going] = False
            step += 1
        facts = {"samples": len(self.x), "steps": step + 1, "seconds": seconds, "objective": part.facts["objective"]}
        return Scores.of(
            self.groups, total / (step + 1), ties, method=f"{part.method} in steps of {self.share:.0%}", **facts
        )

    def _weakest(self, score: Vector, tie: Vector, alive: Mask) -> NDArray[np.intp]:
        """The units to remove next; one unit of every group always stays."""
        going = [units for units in self._batches(score, tie, alive) if units.size]
        return np.concatenate(going) if going else np.empty(0, dtype=np.intp)

    def _batches(self, score: Vector, tie: Vector, alive: Mask) -> Iterator[NDArray[np.intp]]:
        candidates = []
        for group in self.groups.groups:
            units = np.arange(group.start, group.start + group.size)[alive[group.slice]]
            ranked = units[np.lexsort((tie[units], score[units]))][: max(0, units.size - 1)]
            if self.per == "layer":
                yield ranked[: max(1, round(self.share * group.size))]
            else:
                candidates.append(ranked)
        if candidates:
            together = np.concatenate(candidates)
            order = np.lexsort((tie[together], score[together]))
            yield together[order][: max(1, round(self.share * alive.size))]
