"""How a form reaches a solver: as it is, or through the cut loop."""

from __future__ import annotations

from dataclasses import replace

from oamip.errors import InputError
from oamip.options import Options
from oamip.program import StandardForm
from oamip.solving.cutloop import solve_with_cuts
from oamip.solving.driver import Driver, unsupported
from oamip.solving.outcome import Outcome

__all__ = ["route"]


def route(form: StandardForm, driver: Driver, options: Options) -> tuple[Outcome, int]:
    """Solve a form: the claim of the solver, and how many times it was called.

    Raises:
        InputError: the form has integers and the solver takes none.
    """
    support, integer = driver.support, bool(form.integer.any())
    if integer and not support.integer:
        count = int(form.integer.sum())
        raise InputError(f"solver '{driver.name}' takes no integers and the program has {count}; name another solver")
    if all(epigraph.function.name in support.atoms for epigraph in form.epigraphs):
        with driver.open(form, options) as session:
            outcome, rounds = session.solve(), 1
        missing = unsupported(support, options, integer=integer)
    else:
        refined = solve_with_cuts(form, driver, options)
        outcome, rounds = refined.outcome, refined.rounds
        # The loop itself brings the start, the gap, progress and stops at an objective.
        only = Options(
            node_limit=options.node_limit,
            memory_limit=options.memory_limit,
            threads=options.threads,
            seed=options.seed,
        )
        missing = unsupported(support, only, integer=integer)
    return replace(outcome, warnings=(*missing, *outcome.warnings)), rounds
