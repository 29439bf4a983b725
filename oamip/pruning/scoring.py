"""From a formulation's name and some samples to scores.

A scoring formulation is anything that can be called as ``make(groups, x, y, request)`` and returns a `Formulation` or a
`Procedure` whose result is `Scores` (then a budget picks the units) or a `Decision` (then it has picked them itself).
Strangers register theirs under the entry-point group ``oamip.formulations``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.decision import Decision, Scores
from oamip.errors import InputError
from oamip.formulations.importance import Importance, ImportanceOptions
from oamip.formulations.importance_procedures import ImportanceByClass, ImportanceInSteps
from oamip.formulations.protocol import Formulation, Procedure
from oamip.network import Convolution, Groups, TransposedConvolution
from oamip.network.nodes import Affine
from oamip.plugins import load as load_plugin
from oamip.pruning.baselines import BASELINES
from oamip.solution import Solve

__all__ = ["Question", "Request", "find_formulation", "importance", "score"]

Mask: TypeAlias = NDArray[np.bool_]
Question: TypeAlias = Formulation[Scores | Decision] | Procedure[Scores | Decision]
Make: TypeAlias = Callable[[Groups, NDArray[np.float64], NDArray[Any] | None, "Request"], Question]

FEW_UNITS = 0.6
"""Keeping less than this share of the units, one linearisation no longer ranks well: steps are taken instead."""


@dataclass(frozen=True)
class Request:
    """What a scoring formulation may want to know beside network and samples.

    Args:
        options: of the importance program.
        by_class: one program per class, scores averaged.
        steps: share of the units removed between linearisations; ``auto`` takes 0.1 when more than 40 % of the units
            must go or convolutions are scored; ``None`` scores once.
        per: whether units will be ranked in each ``layer`` or over all (``global``).
        share: of the units that the budget keeps, where that is known.
        enough: whether a set of surviving units meets the budget.
        progress: called with a line of text now and then.
    """

    options: ImportanceOptions = field(default_factory=ImportanceOptions)
    by_class: bool = False
    steps: float | Literal["auto"] | None = None
    per: Literal["layer", "global"] = "global"
    share: float | None = None
    enough: Callable[[Mask], bool] | None = None
    progress: Callable[[str], None] | None = None


def importance(groups: Groups, x: NDArray[np.float64], y: NDArray[Any] | None, request: Request) -> Question:
    """The OAMIP importance scores: once, in steps, or class by class."""
    share = _share_of_a_step(groups, request)
    if request.by_class and request.steps not in ("auto", None):
        raise InputError("importance by class makes one linearisation for each class; leave steps out")
    if request.by_class:
        if y is None:
            raise InputError("importance by class needs labels, and the samples have none: give (x, y)")
        return ImportanceByClass(groups, x, y, request.options, _tell(request, "class {} of {}"))
    if share is None:
        return Importance(groups, x, y, request.options)
    told = _tell(request, "{} of {} units removed, linearising anew")
    return ImportanceInSteps(groups, x, y, request.options, share, request.per, request.enough, told)


def score(question: Question, solve: Solve) -> Scores | Decision:
    """Answer a question: solve its program and interpret, or run the procedure."""
    if isinstance(question, Procedure):
        return question.run(solve)
    return question.interpret(solve(question.program()))


def find_formulation(name: str) -> Make:
    """The scoring formulation registered under a name.

    Raises:
        InputError: there is none; new entry points need a reinstall.
    """
    baselines = f", and the baselines {', '.join(BASELINES)}"
    make: Make = load_plugin("oamip.formulations", name, "formulation", besides=baselines)
    return make


def _share_of_a_step(groups: Groups, request: Request) -> float | None:
    if request.steps != "auto":
        return request.steps
    if request.options.bounds != "linear" or request.by_class or request.enough is None:
        return None
    many = request.share is not None and request.share < FEW_UNITS
    return 0.1 if many or _has_convolutions(groups) else None


def _has_convolutions(groups: Groups) -> bool:
    layers = {layer for group in groups.groups for layer in group.layers}
    network = groups.network
    return any(
        isinstance(network.edges(node.name)[0][1], Convolution | TransposedConvolution)
        for node in network.nodes(Affine)
        if node.layer is not None and node.layer.path in layers
    )


def _tell(request: Request, text: str) -> Callable[[int, int], None] | None:
    progress = request.progress
    return None if progress is None else lambda done, total: progress(text.format(done, total))
