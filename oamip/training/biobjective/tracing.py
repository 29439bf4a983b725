"""The whole line: search, put dominated points aside, find the knee, train it for all epochs, test at the very end."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

from oamip.data import Data
from oamip.errors import DataError, InputError, OamipError
from oamip.learning import accuracy
from oamip.learning.checkpoint import identity
from oamip.pruning.report import versions
from oamip.training.biobjective import search
from oamip.training.biobjective.front import KNEES, Front
from oamip.training.biobjective.point import Point
from oamip.training.biobjective.search import SolveAll, Weights
from oamip.training.biobjective.trainer import Trainer

__all__ = ["SEARCHES", "Search", "trace"]

SEARCHES = ("dichotomic", "stochastic", "bisection", "grid")
Tell: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Search:
    """Which weights are solved for; see `oamip.training.biobjective.search`.

    Args:
        kind: one of `SEARCHES`.
        solves: at most so many, the two at the start included; for a grid, ``None`` takes all of its weights.
        levels: at most so many; by default 15, and 5 for bisection.
        seed: of the stochastic search.

    Raises:
        InputError: there is no such search, or a number is below 1.
    """

    kind: str = "dichotomic"
    solves: int | None = 20
    levels: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in SEARCHES:
            raise InputError(f"search {self.kind!r} is unknown; choose one of {', '.join(SEARCHES)}")
        for name in ("solves", "levels"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name}={value}: give at least 1")

    def __call__(self, solve_all: SolveAll[Point]) -> list[Point]:
        """Run it."""
        if self.kind == "grid":
            return search.grid(solve_all, solves=self.solves)
        options: dict[str, Any] = {"solves": self.solves or 20}
        if self.levels is not None:
            options["levels"] = self.levels
        if self.kind == "stochastic":
            return search.stochastic(solve_all, seed=self.seed, **options)
        return {"dichotomic": search.dichotomic, "bisection": search.bisection}[self.kind](solve_all, **options)


def trace(
    trainer: Trainer,
    how: Search | None = None,
    *,
    full_epochs: int = 0,
    multi_gradient: bool = False,
    rule: str = "chord",
    reference: tuple[float, float] | None = None,
    executor: Executor | None = None,
    tell: Tell | None = None,
) -> Front:
    """Find the front between the objectives of a network, and write it into the trainer's folder.

    Run again after a kill, with the same settings, it reads what was solved and goes on to the same front.

    Args:
        trainer: trains one point; its epochs are those of the search.
        how: which weights; dichotomic by default.
        full_epochs: epochs of the knee's second training; 0 leaves it out.
        multi_gradient: add the point of one run of stochastic multi-gradient, for as many epochs as the knee's
            (or the search's). The search does not see it.
        rule: which knee.
        reference: of the hypervolume; by default f1 before training and the largest f2 of a point, which is as a rule
            that of λ2 = 0: a network that has learnt nothing, and one that was not pruned.
        executor: runs the solves of one level side by side.
        tell: called with a line of text at every step.

    Raises:
        DataError: the data has no labels or targets.
        InputError: an option is unknown, or the folder holds a front of other settings, which is found before anything
            is trained; or a training fails, and what was solved until then is kept.
        OamipError: the executor broke; likewise.
    """
    say: Tell = tell or (lambda _: None)
    data = trainer.open_data()
    start = _checked(trainer, data, rule)
    how = how or Search()
    facts = _facts(trainer, how, data)
    _refuse_another(trainer, facts)
    solved = 0

    def counted(weights: Sequence[Weights]) -> Sequence[Point]:
        nonlocal solved
        say(f"{solved} points; solving λ2 = {', '.join(f'{second:.3g}' for _, second in weights)}")
        points = solve_all(weights)
        solved += len(points)
        return points

    def one(point: Point) -> None:
        right = "" if point.accuracy is None else f", accuracy {100 * point.accuracy:.2f} %"
        say(f"λ2 = {point.weights[1]:.3g}: f1 {point.f1:.4f}, f2 {point.f2:.1f}, {point.nonzeros:,} non-zeros{right}")

    solve: Callable[[Weights], Point] = replace(trainer, progress=say)
    solve_all = search.in_turn(solve, one) if executor is None else search.side_by_side(solve, executor, one)
    try:
        points = tuple(how(counted))
    except BrokenExecutor as error:
        raise OamipError(
            f"a process that trained a point was ended, perhaps for want of memory ({error}); what was solved is kept "
            f"in {trainer.folder}: do the same again, with fewer processes"
        ) from error
    front = Front(points, reference or (start, max(point.f2 for point in points)), rule)
    final, others = None, tuple[Point, ...]()
    if full_epochs and front.knee is not None:
        say(f"training the knee for {full_epochs} epochs")
        final = replace(trainer.for_epochs(full_epochs), progress=say)(front.points[front.knee].weights)
    if multi_gradient:
        say("training by stochastic multi-gradient")
        found = replace(trainer.for_epochs(full_epochs or trainer.plan.epochs), progress=say)(None)
        others = (found,)
    front = replace(front, final=final, others=others, facts=facts)
    front = _tested(front, data, trainer)
    front.save(trainer.folder)
    return front


def _checked(trainer: Trainer, data: Data, rule: str) -> float:
    """f1 before training; whatever could only fail after the first training fails here."""
    if rule not in KNEES:
        raise InputError(f"knee {rule!r} is unknown; choose one of {', '.join(KNEES)}")
    trainer.recipe.method(trainer.module, (1.0, 0.0))
    try:
        trainer.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{trainer.folder}: cannot be made ({error.strerror})") from None
    objectives = trainer.recipe.objectives(trainer.module)
    try:
        return objectives.measure(data.score)[0]
    except OamipError:
        raise
    except Exception as error:  # whatever the network's forward raises, or a label beyond its outputs
        raise DataError(
            f"the network does not fit '{data.name}', samples of shape {data.score.shape}: {error}; give other data"
        ) from error


def _refuse_another(trainer: Trainer, facts: dict[str, Any]) -> None:
    """A front in the folder may be searched further, but not written over by one of other settings."""
    if not (trainer.folder / "front.json").exists():
        return
    try:
        before, now = Front.load(trainer.folder).facts, json.loads(json.dumps(facts))
    except InputError as error:
        raise InputError(f"{error}; delete that file to write another") from None
    other = [key for key in ("data", "network", "method", "plan") if before.get(key) != now[key]]
    if other:
        names = ", ".join(other)
        raise InputError(
            f"{trainer.folder} holds a front of another run (its {names}: see front.json); give another folder, or "
            "delete that file"
        )


def _tested(front: Front, data: Data, trainer: Trainer) -> Front:
    """With the accuracies on the test part, which nothing has looked at until now."""
    if not data.test.labelled:
        return front
    points = (*front.points, *([front.final] if front.final else []), *front.others)
    return front.tested({point.file: accuracy(trainer.open(point), data.test) for point in points})


def _facts(trainer: Trainer, how: Search, data: Data) -> dict[str, Any]:
    objectives = trainer.recipe.objectives(trainer.module)
    return {
        "data": data.describe(),
        "samples": len(data.score),
        "shape": list(data.train.shape),
        "network": list(identity(trainer.module)),
        "weights": objectives.size,
        "parameters": sum(parameter.numel() for parameter in trainer.module.parameters()),
        "method": dict(trainer.recipe.method(trainer.module, (1.0, 0.0)).settings()) | {"weights": None},
        "plan": trainer.plan.settings(),
        "search": asdict(how),
        "versions": versions(),
    }
