"""``oamip front``."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from oamip.commands.flags import Flag, Patterns, Where, check_output, console, progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from oamip.training.biobjective.front import Front
    from oamip.training.biobjective.trainer import Trainer

__all__ = ["front"]


@Parameter(name="*", group=Group("Training each point", sort_key=2))
@dataclass(frozen=True)
class PointTraining:
    """How each point is trained.

    Args:
        epochs: of the knee's second training, and of --smgd.
        search_epochs: of each point of the search; by default a third of --epochs, as published.
        batch: samples per step.
        optimiser: adam, rmsprop or sgd (momentum 0.9).
        learning_rate: of the first epoch.
        schedule: of the learning rate: constant, cosine, logistic (as published) or steps=100,150.
        moments: joint minimises the weighted sum; separate is the authors' step, see docs/biobjective.md.
        threshold: after every batch, parameters of the chosen layers up to this size become zero.
        mask: what has become zero stays zero.
        ridge: of the convolutions that are not chosen, in both objectives (the authors: 1e-4 for MNIST).
        include: patterns of paths of dense layers and convolutions whose kernels the norm sums up; by default all dense
            layers (repeat the flag for several).
        exclude: patterns of layers that it leaves out.
    """

    epochs: int = 30
    search_epochs: int | None = None
    batch: int = 128
    optimiser: str = "adam"
    learning_rate: float = 3e-3
    schedule: str = "logistic"
    moments: Literal["joint", "separate"] = "joint"
    threshold: float = 1e-3
    mask: Flag = False
    ridge: float = 0.0
    include: Patterns = ()
    exclude: Patterns = ()


@Parameter(name="*", group=Group("Which points", sort_key=1))
@dataclass(frozen=True)
class Points:
    """Which points are searched for.

    Args:
        search: dichotomic, stochastic (dichotomic, with draws where that stalls), bisection or grid.
        solves: at most so many trainings of the search.
        levels: at most so many rounds; by default 15, and 5 for bisection.
        knee: which point is trained again: chord (farthest below the line between the extremes), jump (as published:
            largest rise of λ1/λ2 between neighbours) or bend (the same on a logarithmic scale).
        retrain: train the knee again, for all epochs.
        smgd: add one run of stochastic multi-gradient.
        jobs: points that are trained side by side, each in a process of its own.
    """

    search: Literal["dichotomic", "stochastic", "bisection", "grid"] = "dichotomic"
    solves: int = 20
    levels: int | None = None
    knee: Literal["chord", "jump", "bend"] = "chord"
    retrain: bool = True
    smgd: Flag = False
    jobs: int = 1


def front(
    model: Annotated[
        str | None,
        Parameter(
            help="digits-mlp, digits-cnn, fc3, fc4, lenet5, resnet20 or package.module:factory, begun anew (a factory: "
            "with the weights that it gives); or a file that oamip saved (.safetensors), trained on from its weights. "
            "Not needed with --export."
        ),
    ] = None,
    *,
    out: Path = Path("front"),
    export: str | None = None,
    to: Path | None = None,
    points: Points = Points(),
    training: PointTraining = PointTraining(),
    where: Where = Where(),  # noqa: B008
) -> None:
    """Trade cross-entropy for the L1 norm of the weights: train a front of networks, find its knee.

    For example: oamip front lenet5 --data mnist --data-dir data --ridge 1e-4 --jobs 2 --out front

    A run that was killed goes on where it stopped when the same command is given again. Dead units of a point are cut
    off by: oamip front --out front --export knee --to knee.safetensors

    Args:
        out: folder for front.json, front.csv, front.svg and points/*.safetensors.
        export: write one point of the front in --out as a network without its dead units: its number, knee, final (the
            knee after its second training) or smgd.
        to: the file for --export; by default OUT/POINT.safetensors.
    """
    check_output(out, folder=True)
    if export is not None:
        _export(out, export, to or out / f"{export}.safetensors")
        return
    from oamip.errors import InputError

    if model is None:
        raise InputError(
            "give a network, for example: oamip front digits-mlp --out front; or --export knee --out front"
        )
    if to is not None:
        raise InputError(f"--to {to} belongs to --export")
    if points.jobs < 1:
        raise InputError(f"--jobs {points.jobs}: at least 1")
    with progress() as tell, _processes(points.jobs) as executor:
        tell("loading torch")
        from oamip.training.biobjective.tracing import Search, trace

        how = Search(points.search, points.solves, points.levels, where.seed)
        trainer = _trainer(model, out, training, where, tell)
        found = trace(
            trainer,
            how,
            full_epochs=training.epochs if points.retrain else 0,
            multi_gradient=points.smgd,
            rule=points.knee,
            executor=executor,
            tell=tell,
        )
        written = ["front.json", "front.csv", *_drawn(found, out)]
    _show(found)
    print(f"Written to {out}: {', '.join(written)}, points/*.safetensors")


def _trainer(model: str, out: Path, training: PointTraining, where: Where, tell: Callable[[str], None]) -> Trainer:

    from oamip.errors import InputError
    from oamip.learning import Plan, parse_schedule
    from oamip.training.biobjective.trainer import Recipe, Trainer
    from oamip.training.biobjective.zeroing import Zeroing

    if training.epochs < 1 or (training.search_epochs or 1) < 1:
        raise InputError("--epochs and --search-epochs: at least 1")
    plan = Plan(
        training.search_epochs or math.ceil(training.epochs / 3),
        training.batch,
        training.learning_rate,
        parse_schedule(training.schedule),
        seed=where.seed,
    )
    zeroing = Zeroing(training.threshold, training.mask)
    recipe = Recipe(training.include, training.exclude, training.ridge, training.optimiser, training.moments, zeroing)
    tell(f"loading {where.data}")
    trainer = Trainer(_start(model, where.seed), where.open, out, plan, recipe)
    trainer.open_data()
    return trainer


def _start(model: str, seed: int) -> nn.Module:
    """A network that begins anew, with its initial weights; others as they come."""
    import torch

    from oamip.models import BUILT_IN, open_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BUILT_IN[model].build() if model in BUILT_IN else open_model(model)


@contextmanager
def _processes(jobs: int) -> Iterator[Executor | None]:
    """Processes that begin anew: a fork would inherit torch's locked threads. None outlives the command."""
    if jobs == 1:
        yield None
        return
    from multiprocessing import get_context

    executor = ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=_begin, initargs=(str(Path.cwd()),)
    )
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler) if main else None  # it ends us as Ctrl-C does
    try:
        yield executor
    finally:
        running = list(executor._processes.values())
        executor.shutdown(wait=False, cancel_futures=True)
        for process in running:  # a training that is cut off goes on from its checkpoint
            process.terminate()
        for process in running:
            process.join()
        if main:
            signal.signal(signal.SIGTERM, before)


def _begin(here: str) -> None:
    """In each process: leave Ctrl-C to the parent, and find a user's own class where the factory was found."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_outlived, daemon=True).start()
    sys.path.append(here)


def _outlived() -> None:
    """End this process with its parent, which a kill leaves no time to end it."""
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _drawn(found: Front, out: Path) -> list[str]:
    import logging

    from oamip.errors import MissingDependency
    from oamip.files import write_atomically
    from oamip.training.biobjective.plot import draw

    try:
        write_atomically(out / "front.svg", draw(found, "svg"))
    except MissingDependency as error:
        logging.getLogger(__name__).warning("%s", error)
        return []
    return ["front.svg"]


def _export(out: Path, name: str, to: Path) -> None:
    check_output(to, folder=False)
    import torch

    from oamip.readers import saved
    from oamip.training.biobjective.dead import compact
    from oamip.training.biobjective.front import Front

    found = Front.load(out)
    point = found.point(name)
    module = saved.load(out / point.file)
    example = torch.zeros((2, *found.facts["shape"]), dtype=next(module.parameters()).dtype)
    small = compact(module, example)
    saved.save(small, example, to)
    before, after = (sum(parameter.numel() for parameter in net.parameters()) for net in (module, small))
    print(f"Written to {to}: {before:,} parameters before, {after:,} without dead units; the outputs are proven equal")


def _show(found: Front) -> None:
    from rich.console import Console
    from rich.table import Table

    screen, efficient, knees = Console(width=console()[0]), set(found.efficient), found.knees
    table = Table(title="Front, measured on validation data (test: the test part)", title_justify="left")
    for title in ("point", "λ2", "f1", "f2", "accuracy", "test", "non-zeros", "dead", "epochs", "s"):
        table.add_column(title, justify="left" if title == "point" else "right", no_wrap=True)
    rows = [(str(number), point) for number, point in enumerate(found.points)]
    rows += [("final", found.final)] if found.final else []
    rows += [(point.method, point) for point in found.others]
    for name, point in rows:
        rules = [rule for rule, number in knees.items() if str(number) == name]
        mark = "knee" if found.rule in rules else ", ".join(rules)
        if name.isdecimal() and int(name) not in efficient:
            mark = "dominated"
        table.add_row(
            f"{name} {mark}",
            f"{point.weights[1]:.3g}",
            f"{point.f1:.4f}",
            f"{point.f2:.1f}",
            *("" if value is None else f"{100 * value:.2f} %" for value in (point.accuracy, point.test)),
            f"{point.nonzeros:,}",
            "" if point.dead is None else str(point.dead),
            str(point.epochs),
            f"{point.seconds:.1f}",
        )
    screen.print(table)
    f1, f2 = found.reference
    screen.print(f"Hypervolume {found.hypervolume:.4g} below f1 = {f1:.4f}, f2 = {f2:.1f}.", highlight=False)
    if found.knee is None:
        screen.print("No knee: fewer than three points are efficient; more --solves may find some.", highlight=False)
    elif found.final is not None:
        better = found.better_than_final
        told = f"is dominated by point {', '.join(map(str, better))}" if better else "is dominated by no point"
        screen.print(f"The knee ({found.rule}) is point {found.knee}; trained on, it {told}.", highlight=False)
