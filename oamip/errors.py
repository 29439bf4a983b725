"""Every error that oamip raises on purpose.

    OamipError
    ├── InputError                 what the user gave cannot be used (also a ValueError)
    │   ├── UnsupportedOperator    the network has an operator that is not piecewise linear, or not known
    │   ├── DataError              samples, labels or a data file are wrong
    │   ├── ModelFileError         a saved network or its weights cannot be loaded
    │   └── BudgetError            a budget that no allowed removal can meet
    ├── MissingDependency          an optional package is not installed
    ├── MismatchError              two things that must be equal are not (removal, groups, backends)
    └── SolveError                 a solver gave no usable answer
        ├── InfeasibleProgram      proven infeasible; names the rows that clash
        └── UncheckedAnswer        a solver's point or status failed our own check

A message names the thing, the place and the way out. The command line prints it as one line and exits with status 2
(`InputError`, `MissingDependency`) or 1 (the rest).
"""


class OamipError(Exception):
    """Base of all errors raised on purpose."""


class InputError(OamipError, ValueError):
    """What the user gave cannot be used."""


class UnsupportedOperator(InputError):
    """The network contains an operator that cannot be expressed by affine, ReLU and max nodes.

    Args:
        operator: its name, as the user wrote it (``SiLU``).
        module: path of the module it stands in (``features.3``), or the name of the graph node.
        remedy: what to do instead.
    """

    def __init__(self, operator: str, module: str, remedy: str) -> None:
        self.operator, self.module, self.remedy = operator, module, remedy
        super().__init__(f"{operator} at '{module}' cannot be read: {remedy}")


class DataError(InputError):
    """Samples, labels or a data file are wrong."""


class ModelFileError(InputError):
    """A saved network or its weights cannot be loaded."""


class BudgetError(InputError):
    """No removal that is allowed meets the budget."""


class MissingDependency(OamipError):
    """An optional package is not installed.

    Args:
        package: the import name that was looked for.
        purpose: what needs it.
        extra: the extra of oamip that installs it.
        install: the exact command, where no extra of oamip does it.
    """

    def __init__(self, package: str, purpose: str, extra: str = "", *, install: str = "") -> None:
        command = install or f"pip install 'oamip[{extra}]'"
        super().__init__(f"{purpose} needs the package '{package}': {command}")


class MismatchError(OamipError):
    """Two things that must be equal are not."""


class SolveError(OamipError):
    """A solver gave no usable answer."""


class InfeasibleProgram(SolveError):
    """The program has no feasible point; ``rows`` names row blocks that cannot hold together."""

    def __init__(self, message: str, rows: tuple[str, ...] = ()) -> None:
        self.rows = rows
        super().__init__(message)


class UncheckedAnswer(SolveError):
    """A solver's point, bound or status failed our own check."""
