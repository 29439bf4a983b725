"""A driver is a solver: it says what the solver can do, and opens sessions on standard forms."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

from oamip.options import Options
from oamip.program import StandardForm
from oamip.solving.outcome import Outcome
from oamip.solving.session import Session

__all__ = ["Driver", "Outcome", "Support", "Versioned", "unsupported"]


@dataclass(frozen=True)
class Support:
    """What a solver can do, known without importing it.

    Args:
        distribution: the distribution that must be installed, whose version is reported.
        install: the exact command that installs it.
        atoms: kinds of atoms that it takes as they are: ``indicator``, ``sos1``, names of convex functions. Others are
            bridged (`oamip.program.bridges`) or go through the cut loop.
        integer: integer columns.
        start: a first point (`Options.start`).
        gap: a relative and an absolute gap at which to stop.
        node_limit, memory_limit, threads, seed, progress: the options of those names.
        objective_limit: `Options.stop_at_objective` and `Options.stop_at_bound`.
        hot: its sessions keep the model in memory between solves.
        duals: row duals of a linear program.
        objective_options: raw options whose values are values of the objective. The objective that a solver is given
            may be scaled (`oamip.solving.scale`), and is not where one of these is set.
    """

    distribution: str
    install: str
    atoms: frozenset[str] = frozenset()
    integer: bool = True
    start: bool = False
    gap: bool = False
    node_limit: bool = False
    memory_limit: bool = False
    threads: bool = False
    seed: bool = False
    progress: bool = False
    objective_limit: bool = False
    hot: bool = False
    duals: bool = False
    objective_options: frozenset[str] = frozenset()

    @property
    def abilities(self) -> tuple[str, ...]:
        """Names of all options that it honours, and of what else it can do; its atoms apart."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is True)


@runtime_checkable
class Driver(Protocol):
    """One solver. Register it as an entry point of the group ``oamip.drivers``.

    A driver for an executable needs one function, ``run(form, options) -> Outcome``, and
    ``return Session(form, options, run)`` in `open`; a driver that keeps its model hot overrides `Session`.
    """

    name: str
    support: Support

    def open(self, form: StandardForm, options: Options) -> Session:
        """A session on a form; atoms that are not among `Support.atoms` are never in it.

        Raises:
            InputError: a raw option that the solver does not know, or a value that it does not take.
            SolveError: the solver does not take the model.
        """
        ...


@runtime_checkable
class Versioned(Protocol):
    """A driver whose solver is no distribution, an executable for example, and who looks for its version itself."""

    def version(self) -> str | None:
        """The version, found without importing much; ``None`` when the solver is not installed."""
        ...


def unsupported(name: str, support: Support, options: Options, *, integer: bool) -> tuple[str, ...]:
    """A warning for each option that differs from its default and that the solver cannot honour."""
    asked = {
        "start": options.start is not None,
        "gap": integer and (options.gap_relative > Options.gap_relative or options.gap_absolute > Options.gap_absolute),
        "node_limit": options.node_limit is not None,
        "memory_limit": options.memory_limit is not None,
        "threads": options.threads != Options.threads,
        "seed": options.seed != Options.seed,
        "progress": options.progress is not None,
        "objective_limit": options.stop_at_objective is not None or options.stop_at_bound is not None,
    }
    return tuple(
        f"option {option}: solver '{name}' has none, so it is not applied"
        for option, wanted in asked.items()
        if wanted and not getattr(support, option)
    )
