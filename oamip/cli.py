"""The command line: ``oamip prune``, ``score``, ``train``, ``front``, ``export``, ``solve`` and ``solvers``.

Commands are named here by text and imported when they are called, so that ``oamip --help`` loads neither torch nor a
solver. Errors that oamip raises on purpose become one line on standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError

from oamip.errors import InputError, MissingDependency, OamipError

__all__ = ["app", "main"]

app = App(
    name="oamip",
    help="Make trained neural networks smaller by mathematical optimisation, on any solver.",
    version=lambda: f"oamip {version('oamip')}",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app.command(
    "oamip.commands.prune:prune",
    name="prune",
    help="Make a trained network smaller, and report on it.\n\n"
    "For example: oamip prune lenet5 --data mnist --data-dir data --budget units=0.5 --epochs 1 --out pruned",
)
app.command("oamip.commands.score:score", name="score", help="Score the units of a network; cut later, often.")
app.command(
    "oamip.commands.train:train",
    name="train",
    help="Train a network so that whole filters and neurons die, and cut them off.\n\n"
    "For example: oamip train digits-cnn --lam 6 --alpha 0.1 --epochs 15 --batch 32 --out small",
)
app.command(
    "oamip.commands.front:front",
    name="front",
    help="Train a front of networks between cross-entropy and the L1 norm of the weights, and find its knee.\n\n"
    "For example: oamip front lenet5 --data mnist --data-dir data --jobs 2 --out front",
)
app.command(
    "oamip.commands.export:export",
    name="export",
    help="Write the program that scores a network as an .mps or .lp file, for any other solver.\n\n"
    "For example: oamip export digits-mlp --published --out digits.mps",
)
app.command(
    "oamip.commands.solve:solve",
    name="solve",
    help="Solve an .mps or .lp file with any solver, and check the answer.\n\n"
    "For example: oamip solve digits.mps --solver scip --time-limit 60",
)
app.command(
    "oamip.commands.solvers:solvers", name="solvers", help="Show which solvers can be used, and how to get others."
)


_GOES_ON = {"train": ", and --resume goes on from the last epoch", "front": ", and the same command goes on from there"}
"""What becomes of an interrupted run, by command."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (of this process by default); exits 1 if it failed, 2 on wrong input, 130 if interrupted."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        app(given, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _fail(f"{error} (see oamip --help)", 2)
    except OamipError as error:
        _fail(str(error), 2 if isinstance(error, InputError | MissingDependency) else 1)
    except KeyboardInterrupt:
        _fail(f"interrupted; nothing more is written{_GOES_ON.get(given[0] if given else '', '')}", 130)
    except BrokenPipeError:
        # The reader of our output went away (oamip ... | head); nothing is left to tell it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, status: int) -> None:
    line = " ".join(message.split())
    print(f"oamip: {line}", file=sys.stderr)  # noqa: T201
    sys.exit(status)
