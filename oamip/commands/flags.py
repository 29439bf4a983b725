"""Flags that several commands share. Names and meanings are those of the Python interface."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from cyclopts import Group, Parameter

if TYPE_CHECKING:
    from collections.abc import Callable

    from oamip.commands.solving import Solving
    from oamip.data import Data
    from oamip.pruning.pipeline import Pruning

Flag: TypeAlias = Annotated[bool, Parameter(negative="")]
"""A switch that is off unless given."""
Patterns: TypeAlias = Annotated[tuple[str, ...], Parameter(negative="")]
Numbers: TypeAlias = Annotated[tuple[float, ...], Parameter(negative="", consume_multiple=True)]
"""One number or several, behind one flag."""
Model: TypeAlias = Annotated[
    str,
    Parameter(
        help="digits-mlp, digits-cnn, fc3, fc4, lenet5 or resnet20 (trained on the data first, or --weights); a file "
        "that oamip saved (.safetensors), a torch.export archive (.pt2) or an ONNX file (.onnx); or "
        "package.module:factory with --weights."
    ),
]

__all__ = [
    "Flag",
    "Importance",
    "Model",
    "Patterns",
    "Source",
    "Units",
    "Way",
    "Where",
    "check_output",
    "console",
    "open_pruning",
    "progress",
]


@Parameter(name="*", group=Group("Data", sort_key=1))
@dataclass(frozen=True)
class Where:
    """The data, and the seed of everything random.

    Args:
        data: digits, mnist, fashion, cifar10, FILE.npz (arrays x, y; or x_train, y_train, x_test, y_test and maybe
            x_score, y_score) or package.module:factory.
        data_dir: folder with MNIST/raw, FashionMNIST/raw or cifar-10-batches-py, as torchvision lays them out.
        mean: normalise samples as in training, (x - mean) / std; one number, or one for each channel (0.49 0.48 0.45).
        std: likewise.
        seed: of every random choice.
    """

    data: str = "digits"
    data_dir: Path | None = None
    mean: Numbers = ()
    std: Numbers = ()
    seed: int = 0

    def open(self) -> Data:
        """Load it."""
        from oamip.data import load

        return load(self.data, data_dir=self.data_dir, seed=self.seed, mean=self.mean or None, std=self.std or None)


@Parameter(name="*", group=Group("Network", sort_key=1))
@dataclass(frozen=True)
class Source:
    """Where the network's weights come from.

    Args:
        weights: a state dict for the model (safetensors, or torch.save; loaded with weights_only).
        train_epochs: epochs of training for a built-in model, in place of its recipe's.
        cache: folder that keeps trained built-in models.
    """

    weights: Path | None = None
    train_epochs: int | None = None
    cache: Path | None = None


@Parameter(name="*", group=Group("Scoring", sort_key=3))
@dataclass(frozen=True)
class Way:
    """How units are scored.

    Args:
        formulation: importance, or a baseline: random, l1, l2, activation, taylor, jacobian.
        samples: how many samples are scored on; 200, or one per class with --bounds intact or gated.
        by_class: one program per class, solved side by side, scores averaged.
        steps: share of the units removed between linearisations; auto takes 0.1 when it helps; once scores once.
    """

    formulation: str = "importance"
    samples: int | None = None
    by_class: Flag = False
    steps: float | Literal["auto", "once"] = "auto"


@Parameter(name="*", group=Group("The importance program", sort_key=4))
@dataclass(frozen=True)
class Importance:
    """The importance program; ``--published`` is the setting of the OAMIP paper.

    Args:
        published: bounds intact, cross-entropy, the paper's sparsity term, λ 5, radius 1e-5, one sample per class.
        bounds: linear, intact (as published) or gated (sound, for small networks).
        loss: hinge, cross_entropy, or squared for regression; by default what the data calls for.
        sparsity: layers, published, normalised or units.
        weight: λ, the weight of the loss; larger prunes less.
        radius: half width of the box about each sample in pixels (before --mean and --std), with --bounds intact.
        clamp: least and largest value of a pixel (before --mean and --std), 0 1 for images, with --bounds intact.
        trust_region: keep the rows of inactive units, with --bounds intact.
    """

    published: Flag = False
    bounds: Literal["linear", "intact", "gated"] | None = None
    loss: Literal["hinge", "cross_entropy", "squared"] | None = None
    sparsity: Literal["layers", "published", "normalised", "units"] | None = None
    weight: float | None = None
    radius: float | None = None
    clamp: tuple[float, float] | None = None
    trust_region: bool | None = None


@Parameter(name="*", group=Group("Which units may go", sort_key=2))
@dataclass(frozen=True)
class Units:
    """Which layers may lose units.

    Args:
        include: patterns of layer paths, for example features.* (repeat the flag for several); all by default.
        exclude: patterns of layer paths that stay whole.
        least: every layer keeps at least this many units.
        multiple: the number of units kept in a layer is a multiple of this, or all of them.
    """

    include: Patterns = ()
    exclude: Patterns = ()
    least: int = 1
    multiple: int = 1


def open_pruning(
    model: str, where: Where, source: Source, solving: Solving, units: Units, tell: Callable[[str], None]
) -> Pruning:
    """Open data and model, and join them with a solver."""
    tell("loading torch")
    from oamip.budget import Scope
    from oamip.models import fitted, open_model
    from oamip.pruning.pipeline import Pruning

    options, solve = solving.options(where.seed), solving.open()
    tell(f"loading {where.data}")
    data = where.open()
    tell(f"opening {model}")
    module = open_model(
        model,
        weights=source.weights,
        data=data,
        seed=where.seed,
        epochs=source.train_epochs,
        cache=source.cache,
        progress=lambda epoch, epochs, loss: tell(f"training {model}: epoch {epoch}/{epochs}, loss {loss:.4f}"),
    )
    scope = Scope(units.include, units.exclude, units.least, units.multiple)
    return Pruning(module, fitted(data, module), solve, Path(model).name, scope, options, where.seed, tell)


def check_output(path: Path | None, *, folder: bool) -> None:
    """Refuse, before any work, a folder where a file must go, the other way round, or where nothing can be written."""
    from oamip.errors import InputError

    if path is None:
        return
    if path.exists() and path.is_dir() != folder:
        kind, other = ("folder", "file") if folder else ("file", "folder")
        raise InputError(f"{path} is a {other}; give the name of a {kind}")
    above = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not path.exists() and not above.is_dir():
        raise InputError(f"{path} cannot be written: {above} is a file; give a folder")
    if not os.access(above, os.W_OK):
        raise InputError(f"{path} cannot be written: no permission to write to {above}; give another place")


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
