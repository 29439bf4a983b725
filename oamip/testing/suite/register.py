"""The list of all cases; a decorator puts a function on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from oamip.testing.case import Case, Subject

__all__ = ["CASES", "case"]

CASES: dict[str, Case] = {}


def case(
    *, kind: Literal["driver", "backend"] = "driver", core: bool = False, needs: tuple[str, ...] = ()
) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    """Register a function as the case of its name, whose docstring says what it shows; arguments as in `Case`."""

    def register(run: Callable[[Subject], None]) -> Callable[[Subject], None]:
        name, shows = run.__name__, (run.__doc__ or "").partition("\n")[0]
        CASES[name] = Case(name, shows, run, kind, core, frozenset(needs))
        return run

    return register
