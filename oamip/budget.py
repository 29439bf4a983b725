"""How much may stay, and where: a budget, and the part of the network that is in scope."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from oamip.errors import BudgetError, InputError
from oamip.network import Groups

__all__ = ["EVERYTHING", "Budget", "Measure", "Scope"]

Measure: TypeAlias = Literal["units", "params", "macs"]


@dataclass(frozen=True)
class Budget:
    """How much may stay; never exceeded.

    Args:
        measure: what is counted: ``units``, ``params`` or ``macs`` (multiply-adds of linear layers and convolutions).
        keep: a fraction of the original in (0, 1], or a count (a whole number above 1).
        per: ``layer``: the same fraction in every group (only for ``units``); ``global``: over the whole network.

    Example:
        >>> Budget.parse("params=0.7")
        Budget(measure='params', keep=0.7, per='global')
        >>> Budget.parse("units=50%/layer")
        Budget(measure='units', keep=0.5, per='layer')
    """

    measure: Measure
    keep: float
    per: Literal["layer", "global"] = "global"

    def __post_init__(self) -> None:
        if self.measure not in ("units", "params", "macs"):
            raise BudgetError(f"a budget counts units, params or macs, not '{self.measure}'")
        if self.per not in ("layer", "global"):
            raise BudgetError(f"a budget holds per 'layer' or 'global', not '{self.per}'")
        if not 0 < self.keep < math.inf or (self.keep > 1 and self.keep != int(self.keep)):
            raise BudgetError(f"a budget keeps a fraction in (0, 1] or a whole number above 1, not {self.keep}")
        if self.per == "layer" and (self.measure != "units" or self.keep > 1):
            raise BudgetError("a budget per layer is a fraction of units: write units=0.5/layer")

    @staticmethod
    def parse(text: str) -> Budget:
        """From ``measure=keep``, ``/layer`` after it if so: ``0.7`` or ``70%`` is a fraction, ``40000`` a count.

        Raises:
            BudgetError: the text does not read so.
        """
        measure, _, rest = text.partition("=")
        amount, slash, per = rest.partition("/")
        percent = amount.endswith("%")
        try:
            keep = Fraction(amount.removesuffix("%")) / (100 if percent else 1)
        except (ValueError, ZeroDivisionError):
            keep = Fraction(0)
        if keep <= 0 or (percent and keep > 1) or (slash and not per):
            raise BudgetError(
                f"budget '{text}' cannot be read; write it as units=0.5, units=0.5/layer, params=70% or macs=40000"
            )
        return Budget(measure, float(keep), per or "global")  # type: ignore[arg-type]

    def allowed(self, total: int) -> int:
        """The largest count that may stay, of ``total``.

        A fraction is taken as the decimal that was written: 0.29 of 100 is 29, though 0.29 * 100 < 29 in floats.
        """
        return int(self.keep) if self.keep > 1 else math.floor(Fraction(str(self.keep)) * total)

    def __str__(self) -> str:
        amount = str(float(self.keep)) if self.keep <= 1 else str(int(self.keep))
        return f"{self.measure}={amount}{'/layer' if self.per == 'layer' else ''}"


@dataclass(frozen=True)
class Scope:
    """Which groups may lose units, and how many each must keep.

    Args:
        include: patterns (``fnmatch``) of layer paths; empty means all.
        exclude: patterns of layer paths that stay whole.
        least: a group keeps at least this many units (all, where it has fewer).
        multiple: the number of units kept in a group is a multiple of this (or all of them).

    Raises:
        InputError: ``least`` or ``multiple`` is below 1.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    least: int = 1
    multiple: int = 1

    def __post_init__(self) -> None:
        for name in ("include", "exclude"):
            if isinstance(getattr(self, name), str):  # include="fc1" is one pattern, not three letters
                object.__setattr__(self, name, (getattr(self, name),))
        if self.least < 1 or self.multiple < 1:
            raise InputError(f"least={self.least} and multiple={self.multiple} must be at least 1")

    def select(self, groups: Groups) -> Groups:
        """Only the groups in scope; a group is left out when any of its layers is excluded.

        Raises:
            InputError: a pattern matches no layer, or nothing is left to prune (with the reasons).
        """
        layers = {layer for group in groups.groups for layer in group.layers} | set(groups.frozen)
        for pattern in (*self.include, *self.exclude):
            if not any(fnmatchcase(layer, pattern) for layer in layers):
                raise InputError(f"'{pattern}' matches no layer; there are {', '.join(sorted(layers))}")
        names = {
            group.name
            for group in groups.groups
            if (not self.include or any(_matches(layer, self.include) for layer in group.layers))
            and not any(_matches(layer, self.exclude) for layer in group.layers)
        }
        if not names:
            reasons = "; ".join(f"'{layer}': {reason}" for layer, reason in groups.frozen.items())
            raise InputError(f"nothing to prune: no group of channels is removable and in scope ({reasons or 'scope'})")
        return groups.only(names)

    def smallest(self, size: int, wanted: int = 0) -> int:
        """The smallest number of units ≥ ``wanted`` that a group of ``size`` units may keep (``size`` if none is)."""
        return min(size, math.ceil(max(wanted, self.least) / self.multiple) * self.multiple)

    def largest(self, size: int, allowed: int) -> int:
        """The largest number of units ≤ ``allowed`` that a group of ``size`` units may keep; 0 if there is none."""
        count = size if allowed >= size else allowed // self.multiple * self.multiple
        return count if count >= self.smallest(size) else 0

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)


EVERYTHING = Scope()
"""Every group may lose all units but one."""


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
