"""A property: for which inputs, which outputs are unsafe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oamip.bounds import Box
from oamip.errors import InputError

__all__ = ["Case", "Polyhedron", "Property"]

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Polyhedron:
    """All outputs y with ``A y ≤ b``.

    Args:
        A: (rows, outputs); no rows: every y.
        b: (rows,).
    """

    A: Array
    b: Array

    def contains(self, y: Array, tolerance: float = 0.0) -> NDArray[np.bool_]:
        """For each row of ``y`` (n, outputs) whether it lies inside, or outside by no more than ``tolerance``."""
        inside: NDArray[np.bool_] = np.logical_and.reduce(y @ self.A.T <= self.b + tolerance, axis=1)
        return inside


@dataclass(frozen=True, eq=False)
class Case:
    """Inputs of one box, and the outputs that are unsafe for them: any of several polyhedra.

    Args:
        box: of one flat input, (1, inputs).
        unsafe: at least one.
    """

    box: Box
    unsafe: tuple[Polyhedron, ...]


@dataclass(frozen=True, eq=False)
class Property:
    """A condition on inputs x and outputs y = net(x): any of several cases.

    A pair that fulfils it is a counterexample (``sat``); if there is none, the property is proven (``unsat``).
    Arrays are flat: X_i is entry i of the network's input in C order, Y_j entry j of its output.

    Args:
        inputs, outputs: how many numbers go in and come out.
        cases: none: nothing is unsafe.
    """

    inputs: int
    outputs: int
    cases: tuple[Case, ...]

    def holds(self, x: ArrayLike, y: ArrayLike, tolerance: float = 0.0) -> NDArray[np.bool_]:
        """For each sample whether it is a counterexample.

        Args:
            x: (n, *shape) inputs.
            y: (n, *shape) what the network makes of them.
            tolerance: by how much a bound or row may be missed.

        Raises:
            InputError: a sample does not have the property's number of inputs or outputs.
        """
        points, values = (np.asarray(array, dtype=np.float64) for array in (x, y))
        points, values = points.reshape(len(points), -1), values.reshape(len(values), -1)
        if points.shape != (len(values), self.inputs) or values.shape[1] != self.outputs:
            raise InputError(
                f"the property is about {self.inputs} inputs and {self.outputs} outputs; arrays of {points.shape} and "
                f"{values.shape} were given"
            )
        found = np.zeros(len(points), dtype=np.bool_)
        for case in self.cases:
            inside = ((case.box.lower - tolerance <= points) & (points <= case.box.upper + tolerance)).all(axis=1)
            if inside.any():
                found |= inside & np.logical_or.reduce([part.contains(values, tolerance) for part in case.unsafe])
        return found
