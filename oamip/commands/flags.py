"""Flags that several commands share. Names and meanings are those of the Python interface."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from collections.abc import Callable

    from oamip.pruning.pipeline import Pruning

__all__ = ["Importance", "Source", "Units", "Way", "console", "open_pruning", "progress"]


@Parameter(name="*")
@dataclass(frozen=True)
class Source:
    """Where the network and the data come from.

    Args:
        model: digits-mlp, digits-cnn, fc3, fc4 or lenet5 (trained on the data first); a file that oamip saved
            (.safetensors) or a torch.export archive (.pt2); or package.module:factory with --weights.
        data: digits, mnist, fashion, FILE.npz or package.module:factory.
        data_dir: folder with MNIST/raw and FashionMNIST/raw, as torchvision lays them out.
        weights: a state dict for the model (safetensors, or torch.save; loaded with weights_only).
        train_epochs: epochs of training for a built-in model, in place of its recipe's.
        cache: folder that keeps trained built-in models.
        seed: of every random choice.
    """

    model: str
    data: Annotated[str, Parameter(name="--data")] = "digits"
    data_dir: Annotated[Path | None, Parameter(name="--data-dir")] = None
    weights: Annotated[Path | None, Parameter(name="--weights")] = None
    train_epochs: Annotated[int | None, Parameter(name="--train-epochs")] = None
    cache: Annotated[Path | None, Parameter(name="--cache")] = None
    seed: Annotated[int, Parameter(name="--seed")] = 0


@Parameter(name="*")
@dataclass(frozen=True)
class Way:
    """How units are scored and programs are solved.

    Args:
        formulation: importance, or a baseline: random, l1, l2, activation, taylor, jacobian.
        samples: how many samples are scored on; 200, or one per class with --bounds intact or gated.
        by_class: one program per class, scores averaged.
        steps: share of the units removed between linearisations; auto takes 0.1 when it helps; once scores once.
        backend: modelling language: matrix (none) or pyomo.
        solver: highs.
        time_limit: wall seconds for each solve.
        gap: relative gap at which a solve may stop.
        threads: of the solver.
        explain: print the solver's log.
    """

    formulation: str = "importance"
    samples: int | None = None
    by_class: Annotated[bool, Parameter(name="--by-class")] = False
    steps: float | Literal["auto", "once"] = "auto"
    backend: str = "matrix"
    solver: str = "highs"
    time_limit: Annotated[float | None, Parameter(name="--time-limit")] = None
    gap: float = 1e-6
    threads: int = 1
    explain: bool = False


@Parameter(name="*")
@dataclass(frozen=True)
class Importance:
    """The importance program; ``--published`` is the setting of the OAMIP paper.

    Args:
        published: bounds intact, cross-entropy, the paper's sparsity term, λ 5, radius 1e-5, one sample per class.
        bounds: linear, intact (as published) or gated (sound, for small networks).
        loss: hinge, cross_entropy, or squared for regression; by default what the data calls for.
        sparsity: layers, published, normalised or units.
        weight: λ, the weight of the loss; larger prunes less.
        radius: half width of the box about each sample, with --bounds intact.
        trust_region: keep the rows of inactive units, with --bounds intact.
    """

    published: bool = False
    bounds: Literal["linear", "intact", "gated"] | None = None
    loss: Literal["hinge", "cross_entropy", "squared"] | None = None
    sparsity: Literal["layers", "published", "normalised", "units"] | None = None
    weight: float | None = None
    radius: float | None = None
    trust_region: Annotated[bool | None, Parameter(name="--trust-region")] = None


@Parameter(name="*")
@dataclass(frozen=True)
class Units:
    """Which layers may lose units.

    Args:
        include: patterns of layer paths, for example features.* (repeat the flag for several); all by default.
        exclude: patterns of layer paths that stay whole.
        least: every layer keeps at least this many units.
        multiple: the number of units kept in a layer is a multiple of this.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    least: int = 1
    multiple: int = 1


def open_pruning(source: Source, way: Way, units: Units, tell: Callable[[str], None]) -> Pruning:
    """Open data and model, and join them with a solver."""
    tell("loading torch")
    from oamip.data import load
    from oamip.decision import Scope
    from oamip.models import open_model
    from oamip.options import Options
    from oamip.pruning.pipeline import Pruning
    from oamip.solving import solver_for

    options = Options(
        gap_relative=way.gap,
        threads=way.threads,
        seed=source.seed,
        **({} if way.time_limit is None else {"time_limit": way.time_limit}),
    )
    solve = solver_for(way.backend, way.solver)
    tell(f"loading {source.data}")
    data = load(source.data, data_dir=source.data_dir, seed=source.seed)
    tell(f"opening {source.model}")
    module = open_model(
        source.model,
        weights=source.weights,
        data=data,
        seed=source.seed,
        epochs=source.train_epochs,
        cache=source.cache,
        progress=lambda epoch, epochs, loss: tell(f"training {source.model}: epoch {epoch}/{epochs}, loss {loss:.4f}"),
    )
    scope = Scope(units.include, units.exclude, units.least, units.multiple)
    return Pruning(module, data, solve, source.model, scope, options, source.seed, tell)


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A line that says what is going on: a spinner on a terminal, plain lines elsewhere."""
    from rich.console import Console

    logging.basicConfig(level=logging.WARNING, format="oamip: %(message)s")
    screen = Console(stderr=True)
    if not screen.is_terminal:
        yield lambda text: screen.print(text, highlight=False)
        return
    with screen.status("starting") as status:
        yield status.update


def console() -> tuple[int, bool]:
    """Width of the terminal and whether it shows colours."""
    from rich.console import Console

    screen = Console()
    return (screen.width if screen.is_terminal else 110), screen.is_terminal and "NO_COLOR" not in os.environ
