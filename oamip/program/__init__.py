"""What the problem is: variables in named blocks, expressions on sparse matrices, rows, convex and logical atoms.

A `Program` is written once, against arrays, and knows no network, no modelling language and no solver:

    >>> import numpy as np
    >>> from oamip.program import Program
    >>> program = Program("transport")
    >>> ship = program.variables("ship", (2, 3), lower=0)
    >>> program.add("supply", ship.sum(axis=1) <= [4, 6])
    >>> program.add("demand", ship.sum(axis=0) >= [3, 3, 3])
    >>> program.minimize((ship * np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 2.0]])).sum())
    >>> form = program.compile()
    >>> form.shape, form.row_name(4), form.column_name(5)
    ((5, 6), 'demand[2]', 'ship[1,2]')
"""

from oamip.program.blocks import SOS1, Block, Domain, Epigraph, Indicator, RowBlock
from oamip.program.check import Verdict, check
from oamip.program.expression import Expression, Rows, concatenate, constant
from oamip.program.form import Atoms, CompiledEpigraph, Span, StandardForm
from oamip.program.functions import ConvexFunction, LogSumExp, Perspective, SumSquares
from oamip.program.logic import CompiledIndicator, CompiledSOS1
from oamip.program.program import Program
from oamip.program.sealed import read_only

__all__ = [
    "SOS1",
    "Atoms",
    "Block",
    "CompiledEpigraph",
    "CompiledIndicator",
    "CompiledSOS1",
    "ConvexFunction",
    "Domain",
    "Epigraph",
    "Expression",
    "Indicator",
    "LogSumExp",
    "Perspective",
    "Program",
    "RowBlock",
    "Rows",
    "Span",
    "StandardForm",
    "SumSquares",
    "Verdict",
    "check",
    "concatenate",
    "constant",
    "read_only",
]
