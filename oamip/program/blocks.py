"""What a program is declared in: blocks of variables and of rows, epigraphs, indicators and sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.program.expression import Expression
from oamip.program.form import CompiledEpigraph
from oamip.program.functions import ConvexFunction
from oamip.program.logic import CompiledIndicator, CompiledSOS1

__all__ = ["SOS1", "Block", "Domain", "Epigraph", "Indicator", "RowBlock"]

Vector: TypeAlias = NDArray[np.float64]
Domain: TypeAlias = Literal["continuous", "integer", "binary"]
Flatten: TypeAlias = Callable[[Expression], sp.csr_array]


class Block(Expression):
    """A named array of variables; used in arithmetic it is the expression that picks them.

    ``lower`` and ``upper`` are flat arrays of bounds; ``label`` says where the block comes from (a module path).
    """

    __slots__ = ("domain", "label", "lower", "name", "upper")

    def __init__(
        self, name: str, shape: tuple[int, ...], lower: Vector, upper: Vector, domain: Domain, label: str
    ) -> None:
        size = lower.size
        each, starts = np.arange(size, dtype=np.int32), np.arange(size + 1, dtype=np.int32)
        identity = sp.csr_array((np.ones(size), each, starts), shape=(size, size))
        super().__init__({name: identity}, np.zeros(size), shape)
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

    def compiled(self, flatten: Flatten) -> CompiledEpigraph:
        """Over all columns, as ``flatten`` puts them."""
        argument, bound = self.argument, self.bound
        return CompiledEpigraph(
            self.name, self.function, flatten(argument), argument.constant, flatten(bound), bound.constant
        )


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

    def compiled(self, flatten: Flatten) -> CompiledIndicator:
        """Over all columns, as ``flatten`` puts them."""
        shift = self.expression.constant
        return CompiledIndicator(
            name=self.name,
            switch=_picked(self.switch, flatten),
            on=self.on,
            R=flatten(self.expression),
            lower=self.lower - shift,
            upper=self.upper - shift,
            lowest=self.lowest,
            highest=self.highest,
        )


@dataclass(frozen=True)
class SOS1:
    """Of the variables in each row of ``members`` (n, k), one at most is not zero."""

    name: str
    members: Expression

    def compiled(self, flatten: Flatten) -> CompiledSOS1:
        """Over all columns, as ``flatten`` puts them."""
        return CompiledSOS1(self.name, _picked(self.members, flatten).reshape(self.members.shape))


def _picked(expression: Expression, flatten: Flatten) -> NDArray[np.intp]:
    """The column numbers of an expression whose every entry is one plain variable."""
    columns: NDArray[np.intp] = flatten(expression.reshape(-1)).indices.astype(np.intp)
    return columns
