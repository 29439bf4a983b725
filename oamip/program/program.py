"""A mathematical program: blocks of variables, blocks of rows, convex epigraphs, one objective.

It knows no network, no modelling language and no solver. A backend turns it into a model of its language; the standard
form (`Program.compile`) is what every backend must agree with.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from oamip.errors import InputError
from oamip.program.assembly import assemble, join, spans
from oamip.program.blocks import SOS1, Block, Domain, Epigraph, Indicator, RowBlock
from oamip.program.declarations import check_blocks, check_name, check_picks, check_rows, inwards, shape_of, sides_of
from oamip.program.expression import Expression, Rows, constant
from oamip.program.form import Atoms, Span, StandardForm
from oamip.program.functions import Confined, ConvexFunction, Perspective
from oamip.program.intervals import interval_product

__all__ = ["Program"]

Vector: TypeAlias = NDArray[np.float64]


class Program:
    """Collects variables, rows and atoms in the order in which they are declared.

    Example:
        >>> program = Program("knapsack")
        >>> take = program.variables("take", 3, domain="binary")
        >>> program.add("weight", np.array([[2.0, 3.0, 4.0]]) @ take <= 5)
        >>> program.maximize(np.array([[3.0, 4.0, 6.0]]) @ take)
        >>> program.compile().shape
        (1, 3)
    """

    def __init__(self, name: str = "program") -> None:
        self.name = name
        self.blocks: dict[str, Block] = {}
        self.rows: dict[str, RowBlock] = {}
        self.epigraphs: dict[str, Epigraph] = {}
        self.indicators: dict[str, Indicator] = {}
        self.sets: dict[str, SOS1] = {}
        self.sense: Literal["min", "max"] = "min"
        self.objective: Expression = constant(0.0)

    # ── declaring ──────────────────────────────────────────────────────────────────────────────────────────────────

    def variables(
        self,
        name: str,
        shape: int | tuple[int, ...] = (),
        lower: ArrayLike = -np.inf,
        upper: ArrayLike = np.inf,
        *,
        domain: Domain = "continuous",
        label: str = "",
    ) -> Block:
        """A new block of variables. Binary blocks are bounded by [0, 1] whatever ``lower`` and ``upper`` say.

        Bounds of integer blocks are rounded inwards; where no integer lies between them they cross, and the solver
        reports an infeasible program.

        Raises:
            InputError: the name is taken or no identifier ``[a-z][a-z0-9_]*``, the domain is unknown, the shape is no
                shape, or the bounds are no numbers of that shape, or crossed, or leave no finite value.
        """
        check_name(self.name, name, self.blocks, "variables")
        if domain not in get_args(Domain):
            raise InputError(f"variables '{name}': domain '{domain}' is not one of {', '.join(get_args(Domain))}")
        full = shape_of(name, shape)
        low, high = sides_of(f"variables '{name}'", lower, upper, full)
        if domain == "binary":
            low, high = sides_of(f"variables '{name}'", np.maximum(low, 0.0), np.minimum(high, 1.0), low.shape)
        if domain != "continuous":
            low, high = inwards(low, high)
        block = Block(name, full, low, high, domain, label)
        self.blocks[name] = block
        return block

    def add(self, name: str, rows: Rows) -> None:
        """Add rows, made by comparing expressions: ``program.add("budget", weights @ keep <= 10)``.

        Raises:
            InputError: the name is taken, these are no rows, a coefficient or side is not a number, or the rows use
                variables of another program.
        """
        check_name(self.name, name, self.rows, "rows")
        check_rows(self.blocks, name, rows)
        self.rows[name] = RowBlock(name, rows.expression, rows.lower, rows.upper)

    def restrict(self, name: str, rows: Rows) -> int:
        """Add only what the column bounds do not already say: implied rows are dropped, rows in one column tighten it.

        Returns:
            The number of rows that were really added (under ``name``, if any).

        Raises:
            InputError: as `add`; or a row without variables is violated.
        """
        check_rows(self.blocks, name, rows)
        lowest, highest = self.activity(rows.expression)
        slack = 1e-12 * np.maximum(1.0, np.abs(rows.expression.constant))
        needed = (lowest < rows.lower - slack) | (highest > rows.upper + slack)
        remaining = np.flatnonzero(needed)
        remaining = remaining[~self._tighten_singletons(rows, remaining)]
        if remaining.size:
            self.add(name, Rows(rows.expression.reshape(-1)[remaining], rows.lower[remaining], rows.upper[remaining]))
        return int(remaining.size)

    def epigraph(self, name: str, function: ConvexFunction, argument: Expression, bound: Expression) -> None:
        """Add ``function(argument[i, :]) ≤ bound[i]``; of a function that is not defined everywhere, the domain too.

        Raises:
            InputError: the name is taken, the function is none, or the shapes are not (n, k) and (n,).
        """
        check_name(self.name, name, self.epigraphs, "epigraph")
        if isinstance(function, type) or not isinstance(function, ConvexFunction):
            said = function.__name__ if isinstance(function, type) else repr(function)
            raise InputError(f"epigraph '{name}': {said} is no convex function; give an object, such as SumSquares()")
        check_blocks(self.blocks, name, argument)
        check_blocks(self.blocks, name, bound)
        if len(argument.shape) != 2 or bound.shape != argument.shape[:1]:
            raise InputError(
                f"epigraph '{name}': argument has shape {argument.shape} and bound {bound.shape}; want (n, k) and (n,)"
            )
        least = 2 if isinstance(function, Perspective) else 1
        if argument.shape[1] < least:
            raise InputError(
                f"epigraph '{name}': {function.name} has {argument.shape[1]} arguments; want {least} or more"
            )
        if isinstance(function, Confined):
            n, k = argument.shape
            D = function.domain(k)
            self.restrict(f"{name}_domain", sp.kron(sp.eye_array(n), D, format="csr") @ argument.reshape(-1) <= 0)
        self.epigraphs[name] = Epigraph(name, function, argument, bound)

    def indicator(
        self,
        name: str,
        switch: Expression,
        rows: Rows,
        *,
        on: ArrayLike = True,
        activity: tuple[ArrayLike, ArrayLike] = (-np.inf, np.inf),
    ) -> None:
        """Add rows of which the i-th must hold where ``switch[i]`` is ``on[i]`` (1 by default).

        Args:
            name: of the atom.
            switch: binary variables, as many as there are rows.
            rows: made by comparing expressions, as for `add`.
            on: the values of the switches at which the rows hold; one for all, or one each.
            activity: least and largest value of what varies in the rows (``a x`` in ``a x + 3 ≤ b``), where more is
                known than the bounds of the variables say, from CROWN for example. A solver without indicators gets a
                big-M of that size, or of what the bounds say where that is less.

        Raises:
            InputError: the name is taken, a switch is no binary variable, their number is not that of the rows, or
                ``on`` or ``activity`` is not what it must be.
        """
        check_name(self.name, name, self.indicators, "indicator")
        check_rows(self.blocks, name, rows)
        check_blocks(self.blocks, name, switch)
        flat = switch.reshape(-1)
        check_picks(self.blocks, name, flat, binary=True)
        size = rows.expression.size
        if flat.size != size:
            raise InputError(f"indicator '{name}' has {flat.size} switches for {size} rows; give one for each")
        states = np.asarray(on)
        if states.dtype.kind not in "biuf" or states.shape not in ((), (size,)) or not np.isin(states, (0, 1)).all():
            raise InputError(
                f"indicator '{name}': on is {on!r}; it must be True or False, one for all or {size} of them"
            )
        at = np.broadcast_to(states.astype(np.bool_), (size,)).copy()
        if not isinstance(activity, tuple | list) or len(activity) != 2:
            raise InputError(f"indicator '{name}': activity is {activity!r}; it must be a pair (least, largest)")
        lowest, highest = sides_of(f"indicator '{name}', activity", *activity, (size,))
        flat_rows = rows.expression.reshape(-1)
        self.indicators[name] = Indicator(name, flat, at, flat_rows, rows.lower, rows.upper, lowest, highest)

    def sos1(self, name: str, members: Expression) -> None:
        """Of the variables in each row of ``members`` (n, k), let one at most be different from zero.

        Raises:
            InputError: the name is taken, the shape is not (n, k), an entry is not one plain variable, or a set has
                one variable twice.
        """
        check_name(self.name, name, self.sets, "SOS1 set")
        check_blocks(self.blocks, name, members)
        if len(members.shape) != 2:
            raise InputError(f"SOS1 set '{name}' has shape {members.shape}; want (sets, members of each)")
        check_picks(self.blocks, name, members.reshape(-1), binary=False)
        picked = np.sort(self.flatten(members.reshape(-1)).indices.reshape(members.shape), axis=1)
        twice = np.flatnonzero((picked[:, 1:] == picked[:, :-1]).any(axis=1))
        if twice.size:
            raise InputError(f"SOS1 set '{name}': set {twice[0]} has one variable twice; name each once")
        self.sets[name] = SOS1(name, members)

    def minimize(self, objective: Expression) -> None:
        """Set a one-entry expression as the objective to minimise."""
        self._set_objective("min", objective)

    def maximize(self, objective: Expression) -> None:
        """Set a one-entry expression as the objective to maximise."""
        self._set_objective("max", objective)

    # ── asking ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def activity(self, expression: Expression) -> tuple[Vector, Vector]:
        """Least and largest value of every entry over the column bounds alone (flat arrays, may be infinite)."""
        lowest, highest = expression.constant.copy(), expression.constant.copy()
        for name, matrix in expression.terms.items():
            block = self.blocks[name]
            low, high = interval_product(matrix, block.lower, block.upper)
            lowest += low
            highest += high
        return lowest, highest

    def columns(self) -> tuple[Span, ...]:
        """The blocks as spans of columns."""
        return spans([(block.name, block.shape) for block in self.blocks.values()])

    def flatten(self, expression: Expression, width: int | None = None) -> sp.csr_array:
        """The matrix of an expression over all columns, in block order."""
        starts = {span.name: span.start for span in self.columns()}
        width = sum(block.size for block in self.blocks.values()) if width is None else width
        return assemble([expression], starts, width)

    def compile(self) -> StandardForm:
        """The standard form, with a column for every variable, used or not."""
        columns = self.columns()
        starts = {span.name: span.start for span in columns}
        width = sum(span.size for span in columns)
        rows = spans([(row.name, row.expression.shape) for row in self.rows.values()])
        shift = [row.expression.constant for row in self.rows.values()]
        blocks = list(self.blocks.values())
        return StandardForm(
            A=assemble([row.expression for row in self.rows.values()], starts, width),
            row_lower=join([row.lower - c for row, c in zip(self.rows.values(), shift, strict=True)]),
            row_upper=join([row.upper - c for row, c in zip(self.rows.values(), shift, strict=True)]),
            column_lower=join([block.lower for block in blocks]),
            column_upper=join([block.upper for block in blocks]),
            integer=join([np.full(block.size, block.domain != "continuous") for block in blocks]).astype(bool),
            cost=assemble([self.objective.reshape(-1)], starts, width).toarray()[0],
            constant=float(self.objective.constant[0]),
            sense=self.sense,
            columns=columns,
            rows=rows,
            **self.atoms(width),
        )

    def atoms(self, width: int | None = None) -> Atoms:
        """Epigraphs, indicators and sets, compiled over ``width`` columns (more than ours when users added theirs)."""

        def flatten(expression: Expression) -> sp.csr_array:
            return self.flatten(expression, width)

        return Atoms(
            epigraphs=tuple(epigraph.compiled(flatten) for epigraph in self.epigraphs.values()),
            indicators=tuple(indicator.compiled(flatten) for indicator in self.indicators.values()),
            sos1=tuple(sos1.compiled(flatten) for sos1 in self.sets.values()),
        )

    # ── within ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _set_objective(self, sense: Literal["min", "max"], objective: Expression) -> None:
        if not isinstance(objective, Expression):
            raise InputError(
                f"the objective {objective!r} is no expression of variables; wrap a number, constant(5), or leave the "
                "objective out where any feasible point will do"
            )
        if objective.size != 1:
            raise InputError(f"the objective has shape {objective.shape}; it must be a single number: sum it up first")
        check_blocks(self.blocks, "objective", objective)
        self.sense, self.objective = sense, objective

    def _tighten_singletons(self, rows: Rows, candidates: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Turn the candidate rows that hold a single column into bounds; tell which those were."""
        expression = rows.expression
        counts = np.zeros(candidates.size, dtype=np.intp)
        selected = {name: matrix[candidates] for name, matrix in expression.terms.items()}
        for matrix in selected.values():
            matrix.eliminate_zeros()
            counts += np.diff(matrix.indptr)
        if (counts == 0).any():
            raise InputError("a row without variables cannot hold: the program is infeasible by construction")
        for name, matrix in selected.items():
            lone = np.flatnonzero((counts == 1) & (np.diff(matrix.indptr) == 1))
            column, factor = matrix.indices[matrix.indptr[lone]], matrix.data[matrix.indptr[lone]]
            shift = expression.constant[candidates[lone]]
            low, high = (rows.lower[candidates[lone]] - shift) / factor, (rows.upper[candidates[lone]] - shift) / factor
            block = self.blocks[name]
            np.maximum.at(block.lower, column, np.where(factor > 0, low, high))
            np.minimum.at(block.upper, column, np.where(factor > 0, high, low))
            if block.domain != "continuous":
                block.lower[:], block.upper[:] = inwards(block.lower, block.upper)
            crossed = block.lower > block.upper
            # Bounds that cross by rounding alone meet in the middle; others stay crossed, for the solver to report.
            near = crossed & (block.lower - block.upper <= 1e-9 * np.maximum(1.0, np.abs(block.upper)))
            middle = (block.lower[near] + block.upper[near]) / 2
            block.lower[near] = block.upper[near] = middle
        result: NDArray[np.bool_] = counts == 1
        return result
