"""VNN-LIB files: what a property asserts, brought into disjunctive normal form.

Read are ``declare-const`` and ``declare-fun`` of reals ``X_i`` and ``Y_j``, and assertions built from ``and``, ``or``,
``<=``, ``>=`` and ``=`` between linear terms of either inputs or outputs. Bounds of inputs make boxes, everything
about outputs makes rows. A formula that needs more cases than `CASES` is refused: it would not be solved either.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.bounds import Box
from oamip.errors import InputError, ModelFileError
from oamip.files import read_bytes
from oamip.properties.formula import Clause, Row, clauses, conjunction
from oamip.properties.property import Case, Polyhedron, Property
from oamip.properties.sexpressions import Expression, Malformed, parse

__all__ = ["CASES", "parse_vnnlib", "read_vnnlib"]

CASES = 100_000
"""The most conjunctions that a formula may unfold to."""
_LARGEST = 2**28
_NUMBERS = 2**24

_IGNORED = {"set-logic", "set-info", "set-option", "check-sat", "get-model", "get-value", "exit"}
Array: TypeAlias = NDArray[np.float64]

_VARIABLE = re.compile(r"([XY])_(0|[1-9]\d{0,8})")


def read_vnnlib(path: Path | str) -> Property:
    """Read a property, plain or gzipped (``.vnnlib.gz``).

    Raises:
        ModelFileError: the file is missing, damaged, or asserts what is not read; names the expression.
    """
    path = Path(path)
    try:
        return parse_vnnlib(read_bytes(path, _LARGEST, error=ModelFileError).decode())
    except UnicodeDecodeError:
        raise ModelFileError(f"{path} is no text, and so no VNN-LIB file") from None
    except ModelFileError:
        raise
    except InputError as error:
        raise ModelFileError(f"{path}: {error}") from None


def parse_vnnlib(text: str) -> Property:
    """A property from the text of a VNN-LIB file.

    Raises:
        InputError: it is malformed, leaves an input without bounds, or asserts what is not read.
    """
    declared: Counter[str] = Counter()
    asserted: list[list[Clause]] = []
    try:
        for command in parse(text):
            if not isinstance(command, list) or not command or not isinstance(command[0], str):
                raise Malformed("there is something that is no command, as (assert …) is one")
            if command[0] in ("declare-const", "declare-fun"):
                declared[_declared(command)] += 1
            elif command[0] == "assert" and len(command) == 2:
                asserted.append(clauses(command[1], CASES))
            elif command[0] not in _IGNORED:
                raise Malformed(f"the command '{command[0]}' is not read; VNN-LIB 1 with declare-const and assert is")
        shared, choices = conjunction(asserted, CASES)
    except Malformed as error:
        raise InputError(f"the VNN-LIB text cannot be read: {error}") from None
    inputs, outputs = (_count(declared, letter) for letter in "XY")
    used = {name for row in (*shared, *(row for choice in choices for row in choice)) for name in row.terms}
    strangers = sorted(used - set(declared))
    if strangers:
        raise InputError(f"'{strangers[0]}' is used and not declared; add (declare-const {strangers[0]} Real)")
    return Property(inputs, outputs, _cases(shared, choices, inputs, outputs))


def _declared(command: list[Expression]) -> str:
    name, kind = command[1:2], command[-1:]
    middle = command[2:-1] == ([[]] if command[0] == "declare-fun" else [])
    if not middle or kind != ["Real"] or not isinstance(name[0], str) or not _VARIABLE.fullmatch(name[0]):
        raise Malformed("a declaration must be of a real number X_i or Y_i, as (declare-const X_0 Real)")
    return name[0]


def _count(declared: Mapping[str, int], letter: str) -> int:
    numbers = [int(name[2:]) for name in declared if name[0] == letter]
    if not numbers or max(numbers) + 1 != len(numbers) or max(declared.values()) > 1:
        raise InputError(f"declare {letter}_0, {letter}_1, … each once and without gaps")
    return len(numbers)


def _cases(shared: list[Row], choices: list[Clause], inputs: int, outputs: int) -> tuple[Case, ...]:
    """Cases by their boxes, those of one box together."""
    lower, upper = np.full(inputs, -np.inf), np.full(inputs, np.inf)
    always = _split(shared, lower, upper)
    if always is None:
        return ()
    boxes: dict[bytes, tuple[Box, list[Polyhedron]]] = {}
    for choice in choices:
        low, high = lower.copy(), upper.copy()
        rows = _split(choice, low, high)
        if rows is None or (low > high).any():
            continue  # no input is in this box, or no output fulfils 0 ≤ −1
        _refuse_open(low, high)
        key = low.tobytes() + high.tobytes()
        if key not in boxes:
            boxes[key] = Box.of(low[None], high[None]), []
            if len(boxes) * inputs > _NUMBERS:
                raise InputError(f"the property has more than {len(boxes) - 1} boxes; split it into several files")
        boxes[key][1].append(_polyhedron([*always, *rows], outputs))
    return tuple(Case(box, tuple(unsafe)) for box, unsafe in boxes.values())


def _split(rows: Iterable[Row], lower: Array, upper: Array) -> list[Row] | None:
    """Put bounds of inputs into the arrays; give the rows over outputs, or None if a row can never hold."""
    others = []
    for row in rows:
        letters = {name[0] for name in row.terms}
        if not letters:
            if row.bound < 0:
                return None
        elif letters == {"Y"}:
            others.append(row)
        elif letters == {"X"} and len(row.terms) == 1:
            ((name, factor),) = row.terms.items()
            number, bound = int(name[2:]), row.bound / factor
            if factor > 0:
                upper[number] = min(upper[number], bound)
            else:
                lower[number] = max(lower[number], bound)
        else:
            raise InputError(
                f"a constraint relates {', '.join(sorted(row.terms))}; inputs are read with fixed bounds only"
            )
    return others


def _refuse_open(lower: Array, upper: Array) -> None:
    for side, bounds in (("lower", lower), ("upper", upper)):
        if np.isinf(bounds).any():
            raise InputError(f"input X_{np.isinf(bounds).argmax()} has no {side} bound; assert one")


def _polyhedron(rows: list[Row], outputs: int) -> Polyhedron:
    matrix = np.zeros((len(rows), outputs))
    for number, row in enumerate(rows):
        for name, factor in row.terms.items():
            matrix[number, int(name[2:])] = factor
    return Polyhedron(matrix, np.array([row.bound for row in rows], dtype=np.float64))
