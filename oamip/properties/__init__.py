"""What is asked of a network: VNN-LIB properties as boxes of inputs and polyhedra of outputs.

A property describes the *unsafe* set, as VNN-LIB does. ``sat`` means that some input has an output inside it: a
counterexample. ``unsat`` means that the network is proven safe.

    >>> from oamip.properties import parse_vnnlib
    >>> asked = parse_vnnlib('''
    ...     (declare-const X_0 Real) (declare-const Y_0 Real) (declare-const Y_1 Real)
    ...     (assert (<= X_0 1)) (assert (>= X_0 -1))
    ...     (assert (or (>= Y_0 2.5) (and (<= Y_0 Y_1) (<= Y_1 0))))
    ... ''')
    >>> asked.cases[0].box.upper, len(asked.cases[0].unsafe)
    (array([[1.]]), 2)
    >>> asked.holds([[0.5], [0.5]], [[3.0, 0.0], [1.0, 0.0]])
    array([ True, False])
"""

from oamip.properties.property import Case, Polyhedron, Property
from oamip.properties.vnnlib import parse_vnnlib, read_vnnlib

__all__ = ["Case", "Polyhedron", "Property", "parse_vnnlib", "read_vnnlib"]
