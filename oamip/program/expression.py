"""Affine expressions over blocks of variables, held as sparse matrices.

An expression of shape ``s`` is the vector ``Σ_b M_b x_b + c`` with one sparse matrix per block ``b``, one row per entry
of ``s`` in C order. Arithmetic never loops over rows: a thousand activations cost one matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from oamip.errors import InputError

__all__ = ["Expression", "Rows", "concatenate", "constant"]

Shape: TypeAlias = tuple[int, ...]
Vector: TypeAlias = NDArray[np.float64]


class Expression:
    """An array of affine functions of the program's variables.

    Args:
        terms: block name to a sparse matrix of shape (size, block size).
        constant: the constant part, ``size`` numbers.
        shape: the shape in which the entries are seen; ``size = prod(shape)``.
    """

    __array_ufunc__ = None  # numpy hands `array + expression` over to us
    __slots__ = ("constant", "shape", "terms")

    def __init__(self, terms: Mapping[str, sp.csr_array], constant: Vector, shape: Shape) -> None:
        self.terms = dict(terms)
        self.constant = constant
        self.shape = shape

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    @property
    def is_constant(self) -> bool:
        """True when no variable occurs."""
        return all(matrix.nnz == 0 for matrix in self.terms.values())

    def __len__(self) -> int:
        if not self.shape:
            raise InputError("an expression of one entry, shape (), has no length and cannot be gone through")
        return self.shape[0]

    def __iter__(self) -> Iterator[Expression]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        raise InputError("an expression has no truth value; ask for its value at a point, or `x is None`")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.object_]:
        # A single object, by which scipy knows that `sparse @ expression` is ours; nobody shall get numbers out of it.
        if dtype is not None and dtype != np.object_:
            raise InputError("an expression stands where numbers are wanted; for its value at a point use x.value(...)")
        whole = np.empty((), dtype=np.object_)
        whole[()] = self
        return whole

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Expression:
        if function in (np.sum, np.mean) and args:
            return getattr(args[0], function.__name__)(*args[1:], **kwargs)  # type: ignore[no-any-return]
        raise InputError(
            f"numpy.{function.__name__} does not take expressions; use +, −, a * x, a @ x, x[i], x.sum(), x.mean(), "
            "x.reshape(...), x.T and oamip.program.concatenate"
        )

    def __repr__(self) -> str:
        blocks = ", ".join(f"{name}: {matrix.nnz} nonzeros" for name, matrix in self.terms.items())
        return f"Expression(shape={self.shape}, {blocks or 'constant'})"

    # ── rearranging ────────────────────────────────────────────────────────────────────────────────────────────────

    def reshape(self, *shape: int) -> Expression:
        """The same entries in another shape (one dimension may be −1)."""
        return Expression(self.terms, self.constant, np.empty(self.shape).reshape(shape).shape)

    @property
    def T(self) -> Expression:  # noqa: N802 (as numpy calls it)
        """The same entries with the dimensions in reverse order."""
        positions = np.arange(self.size).reshape(self.shape).T
        return self.take(positions.ravel(), positions.shape)

    def __getitem__(self, index: Any) -> Expression:
        positions = np.arange(self.size).reshape(self.shape)[index]
        return self.take(positions.ravel(), positions.shape)

    def take(self, positions: NDArray[np.intp], shape: Shape | None = None) -> Expression:
        """The entries at flat ``positions``, in that order, repeats allowed; −1 gives the constant 0."""
        absent = positions < 0
        if positions.size == self.size and (positions == np.arange(self.size)).all():
            return Expression(self.terms, self.constant, shape if shape is not None else positions.shape)
        if absent.any():
            keep = sp.diags_array(np.where(absent, 0.0, 1.0), format="csr")
            taken = self.take(np.where(absent, 0, positions), shape)
            terms = {}
            for name, matrix in taken.terms.items():
                terms[name] = (keep @ matrix).tocsr()
                terms[name].eliminate_zeros()
            return Expression(terms, np.where(absent, 0.0, taken.constant), taken.shape)
        terms = {name: matrix[positions] for name, matrix in self.terms.items()}
        return Expression(terms, self.constant[positions], shape if shape is not None else positions.shape)

    # ── arithmetic ─────────────────────────────────────────────────────────────────────────────────────────────────

    def __add__(self, other: Expression | ArrayLike) -> Expression:
        if not isinstance(other, Expression):
            other = constant(other)
        left, right = _broadcast(self, other)
        terms = dict(left.terms)
        for name, matrix in right.terms.items():
            terms[name] = terms[name] + matrix if name in terms else matrix
        return Expression(terms, left.constant + right.constant, left.shape)

    __radd__ = __add__

    def __neg__(self) -> Expression:
        return Expression({name: -matrix for name, matrix in self.terms.items()}, -self.constant, self.shape)

    def __sub__(self, other: Expression | ArrayLike) -> Expression:
        return self + (-other if isinstance(other, Expression) else -_numbers(other))

    def __rsub__(self, other: ArrayLike) -> Expression:
        return -self + other

    def __mul__(self, factor: ArrayLike) -> Expression:
        """Multiply entry by entry with numbers (broadcast); a product of two expressions is not affine."""
        if isinstance(factor, Expression):
            raise InputError("a product of two expressions is not affine; use a formulation that linearises it")
        numbers = _finite(factor)
        try:
            scale = np.broadcast_arrays(numbers, np.empty(self.shape))[0]
        except ValueError:
            raise InputError(f"factors of shape {numbers.shape} do not go with an expression of {self.shape}") from None
        left = self if scale.shape == self.shape else _stretch(self, scale.shape)
        factors = scale.ravel()
        terms = {name: _scaled(matrix, factors) for name, matrix in left.terms.items()}
        return Expression(terms, factors * left.constant, left.shape)

    __rmul__ = __mul__

    def __truediv__(self, divisor: ArrayLike) -> Expression:
        numbers = _numbers(divisor)
        if not numbers.all():
            raise InputError("an expression is divided by 0")
        return self * (1.0 / numbers)

    def transform(self, matrix: Any) -> Expression:
        """The vector ``matrix @ entries`` for a dense or sparse matrix of shape (k, size); a scalar for (size,)."""
        if np.ndim(matrix) == 1 and not sp.issparse(matrix):
            return self.transform(np.reshape(matrix, (1, -1))).reshape()
        csr = sp.csr_array(matrix)
        if csr.shape[1] != self.size:
            raise InputError(f"a matrix of shape {csr.shape} does not act on an expression of {self.size} entries")
        terms = {name: (csr @ block).tocsr() for name, block in self.terms.items()}
        return Expression(terms, csr @ self.constant, (csr.shape[0],))

    def __rmatmul__(self, matrix: Any) -> Expression:
        return self.transform(matrix)

    def __matmul__(self, matrix: Any) -> Expression:
        if isinstance(matrix, Expression):
            raise InputError("a product of two expressions is not affine; use a formulation that linearises it")
        return self.transform(np.transpose(matrix) if not sp.issparse(matrix) else matrix.T)

    def sum(self, axis: int | Sequence[int] | None = None) -> Expression:
        """Sum over all entries (a scalar, shape ``()``), or along one axis or several."""
        if axis is None:
            return self.transform(np.ones((1, self.size))).reshape()
        axes = (axis,) if isinstance(axis, int) else tuple(axis)
        try:
            positions = np.moveaxis(np.arange(self.size).reshape(self.shape), axes, range(-len(axes), 0))
        except (TypeError, ValueError):
            raise InputError(f"an expression of shape {self.shape} has no axis {axis}, or it is told twice") from None
        kept = positions.shape[: len(self.shape) - len(axes)]
        rows = np.repeat(np.arange(math.prod(kept)), math.prod(positions.shape[len(kept) :]))
        summing = sp.csr_array((np.ones(self.size), (rows, positions.ravel())), shape=(math.prod(kept), self.size))
        return self.transform(summing).reshape(*kept)

    def mean(self, axis: int | Sequence[int] | None = None) -> Expression:
        """Mean over all entries, or along one axis or several."""
        total = self.sum(axis)
        return total * (total.size / self.size) if self.size else total

    # ── rows ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def __le__(self, other: Expression | ArrayLike) -> Rows:
        return _rows(self, other, -np.inf, 0.0)

    def __ge__(self, other: Expression | ArrayLike) -> Rows:
        return _rows(self, other, 0.0, np.inf)

    def __eq__(self, other: Expression | ArrayLike) -> Rows:  # type: ignore[override]
        return _rows(self, other, 0.0, 0.0)

    def __ne__(self, other: object) -> bool:
        raise InputError("≠ is no row of a mathematical program; state it with a binary variable")

    __hash__ = None  # type: ignore[assignment]

    # ── numbers ────────────────────────────────────────────────────────────────────────────────────────────────────

    def value(self, values: Mapping[str, ArrayLike]) -> Vector:
        """The entries at a point, given as block name to array."""
        total = self.constant.copy()
        for name, matrix in self.terms.items():
            total += matrix @ np.asarray(values[name], dtype=np.float64).ravel()
        return total.reshape(self.shape)


@dataclass(frozen=True)
class Rows:
    """``lower ≤ expression ≤ upper``, entry by entry; the constant of the expression is still inside it."""

    expression: Expression
    lower: Vector
    upper: Vector

    def __bool__(self) -> bool:
        # `0 <= x <= 1` and `a and b` ask for a truth value, and would silently keep one of two comparisons.
        raise InputError("rows have no truth value: instead of 0 <= x <= 1 add two rows, x >= 0 and x <= 1")


def constant(value: ArrayLike) -> Expression:
    """An expression without variables.

    Raises:
        InputError: the value is no array of finite numbers.
    """
    array = _finite(value)
    return Expression({}, array.ravel().copy(), array.shape)


def concatenate(parts: list[Expression]) -> Expression:
    """One flat vector of all entries of ``parts``, in order."""
    names = list(dict.fromkeys(name for part in parts for name in part.terms))
    terms = {}
    for name in names:
        width = next(part.terms[name].shape[1] for part in parts if name in part.terms)
        stacked = [part.terms.get(name, sp.csr_array((part.size, width))) for part in parts]
        terms[name] = sp.vstack(stacked, format="csr")
    flat = np.concatenate([part.constant for part in parts]) if parts else np.empty(0)
    return Expression(terms, flat, flat.shape)


def _numbers(value: ArrayLike) -> Vector:
    try:
        return np.asarray(value, dtype=np.float64)
    except InputError:
        raise
    except (TypeError, ValueError):
        raise InputError(f"{value!r} stands where a number or an array of numbers is wanted") from None


def _finite(value: ArrayLike) -> Vector:
    numbers = _numbers(value)
    if not np.isfinite(numbers).all():
        raise InputError(
            "a factor or summand of an expression is infinite or NaN; only a whole side of a comparison may be infinite"
        )
    return numbers


def _stretch(expression: Expression, shape: Shape) -> Expression:
    positions = np.broadcast_to(np.arange(expression.size).reshape(expression.shape), shape)
    return expression.take(positions.ravel(), shape)


def _scaled(matrix: sp.csr_array, factors: Vector) -> sp.csr_array:
    """Each row times its factor; entries that become zero are gone."""
    scaled = matrix.copy()
    scaled.data *= np.repeat(factors, np.diff(matrix.indptr))
    if not factors.all():
        scaled.eliminate_zeros()
    return scaled


def _broadcast(left: Expression, right: Expression) -> tuple[Expression, Expression]:
    if left.shape == right.shape:
        return left, right
    try:
        shape = np.broadcast_shapes(left.shape, right.shape)
    except ValueError:
        raise InputError(f"expressions of shapes {left.shape} and {right.shape} do not go together") from None
    return (
        left if left.shape == shape else _stretch(left, shape),
        right if right.shape == shape else _stretch(right, shape),
    )


def _rows(left: Expression, right: Expression | ArrayLike, lower: float, upper: float) -> Rows:
    if isinstance(right, Expression):
        endless = np.zeros((), dtype=np.bool_)
    else:
        right = _numbers(right)
        if np.isnan(right).any():
            raise InputError("a row compares with a number that is not one (NaN)")
        endless = np.isinf(right)
        # x ≤ inf and x ≥ −inf say nothing; the others, x = ±inf among them, no number fulfils.
        if (endless & (right != -(lower + upper))).any():
            raise InputError(
                "a row compares with an infinite number that nothing reaches; only x <= inf and x >= -inf hold"
            )
        right = np.where(endless, 0.0, right)
    difference = left - right
    free = np.broadcast_to(endless, difference.shape).ravel()
    return Rows(difference, np.where(free, -np.inf, lower), np.where(free, np.inf, upper))
