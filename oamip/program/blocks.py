"""What a program is declared in: blocks of variables and of rows, epigraphs, indicators and sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.program.expression import Expression
from oamip.program.functions import ConvexFunction

__all__ = ["SOS1", "Block", "Domain", "Epigraph", "Indicator", "RowBlock"]

Vector: TypeAlias = NDArray[np.float64]
Domain: TypeAlias = Literal["continuous", "integer", "binary"]


class Block(Expression):
    """A named array of variables; used in arithmetic it is the expression that picks them.

    ``lower`` and ``upper`` are flat arrays of bounds; ``label`` says where the block comes from (a module path).
    """

    __slots__ = ("domain", "label", "lower", "name", "upper")

    def __init__(
        self, name: str, shape: tuple[int, ...], lower: Vector, upper: Vector, domain: Domain, label: str
    ) -> None:
        size = lower.size
        super().__init__({name: sp.eye_array(size, format="csr")}, np.zeros(size), shape)
        self.name, self.lower, self.upper, self.domain, self.label = name, lower, upper, domain, label

    def __repr__(self) -> str:
        return f"Block({self.name!r}, shape={self.shape}, {self.domain})"


@dataclass(frozen=True)
class RowBlock:
    """Named rows ``lower ≤ expression ≤ upper``."""

    name: str
    expression: Expression
    lower: Vector
    upper: Vector


@dataclass(frozen=True)
class Epigraph:
    """``function(argument[i, :]) ≤ bound[i]`` for each of n rows; ``argument`` is (n, k) and ``bound`` is (n,)."""

    name: str
    function: ConvexFunction
    argument: Expression
    bound: Expression


@dataclass(frozen=True)
class Indicator:
    """``switch[i] = on[i]  ⇒  lower[i] ≤ expression[i] ≤ upper[i]``.

    The linear part of the expression, without its constant, is known to lie in [lowest, highest] whatever the switch
    says; infinite where nothing is known but the bounds of the variables.
    """

    name: str
    switch: Expression
    on: NDArray[np.bool_]
    expression: Expression
    lower: Vector
    upper: Vector
    lowest: Vector
    highest: Vector


@dataclass(frozen=True)
class SOS1:
    """Of the variables in each row of ``members`` (n, k), one at most is not zero."""

    name: str
    members: Expression
