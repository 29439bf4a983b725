"""The scan of MPS files: sections, words on a line, names, numbers."""

from __future__ import annotations

import math
from pathlib import Path

from oamip.errors import InputError
from oamip.solving.scanning.place import ADVICE, Place

__all__ = ["scan_mps"]

_SECTIONS = ("NAME", "OBJSENSE", "ROWS", "COLUMNS", "RHS", "RANGES", "BOUNDS", "ENDATA")
_FOREIGN = {
    "QUADOBJ": "a quadratic objective",
    "QMATRIX": "a quadratic objective",
    "QSECTION": "a quadratic objective",
    "QCMATRIX": "quadratic rows",
    "CSECTION": "cones",
    "SOS": "special ordered sets",
    "SOS1": "special ordered sets",
    "SOS2": "special ordered sets",
    "SETS": "special ordered sets",
    "INDICATORS": "indicators",
    "GENCONS": "general constraints",
    "PWLOBJ": "a piecewise linear objective",
    "LAZYCONS": "lazy rows",
    "USERCUTS": "cuts",
    "OBJNAME": "a choice among objectives",
}
_LOWER = ("LO", "LI", "MI", "FX", "FR", "BV")
_UPPER = ("UP", "UI", "PL", "FX", "FR", "BV")


def scan_mps(text: str, file: Path) -> None:
    """Look through an MPS file.

    Raises:
        InputError: a section that is not mixed-integer linear or not known, too many or too few words on a line, a
            number that is none, an unknown or repeated name, something said twice.
    """
    place, scan = Place(file), _Mps()
    for place.line, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("*"):
            continue
        try:
            if line[0] in " \t":
                scan.data(line.split())
            else:
                scan.header(line.split())
        except ValueError as wrong:
            raise place.refuse(str(wrong)) from None
    if scan.section != "ENDATA":
        raise InputError(f"{file}: the file ends in section {scan.section or 'none'}, before ENDATA; it may be cut off")


class _Mps:
    """Where the scan stands; its methods raise ``ValueError`` with the words for the place."""

    def __init__(self) -> None:
        self.section = ""
        self._seen: set[str] = set()
        self.rows: set[str] = set()
        self.columns: set[str] = set()
        self._last = ""
        self._said: set[str] = set()  # rows of this column or vector, or bounds: "upper bound of column 'x'"
        self._vector: str | None = None

    def header(self, words: list[str]) -> None:
        word = words[0]
        if self.section == "ENDATA":
            raise ValueError("there is more behind ENDATA")
        if word not in _SECTIONS:
            raise ValueError(f"section {word[:40]} ({_FOREIGN.get(word, 'not known')}) is not read; {ADVICE}")
        if word != "NAME" and len(words) > 1:
            raise ValueError(f"'{' '.join(words[1:])[:40]}' stands behind the name of section {word}, not below it")
        if word in self._seen:
            raise ValueError(f"section {word} occurs twice")
        self._seen.add(word)
        self._said, self._vector = set(), None
        self.section = word

    def data(self, words: list[str]) -> None:
        check = {
            "OBJSENSE": self._sense,
            "ROWS": self._row,
            "COLUMNS": self._column,
            "RHS": self._sides,
            "RANGES": self._sides,
            "BOUNDS": self._bound,
        }.get(self.section)
        if check is None:
            raise ValueError(f"data in {'section ' + self.section if self.section else 'no section'}")
        check(words)

    def _sense(self, words: list[str]) -> None:
        if words not in (["MAX"], ["MIN"], ["MAXIMIZE"], ["MINIMIZE"]):
            raise ValueError(f"'{' '.join(words)[:40]}' is no sense of an objective; write MAX or MIN")

    def _row(self, words: list[str]) -> None:
        if len(words) != 2 or words[0] not in ("N", "E", "L", "G"):
            raise ValueError("want a kind of row (N, E, L, G) and a name without spaces")
        if words[1] in self.rows:
            raise ValueError(f"row '{words[1]}' occurs twice")
        self.rows.add(words[1])

    def _column(self, words: list[str]) -> None:
        if len(words) == 3 and words[1] == "'MARKER'":
            if words[2] not in ("'INTORG'", "'INTEND'"):
                raise ValueError(f"marker {words[2][:40]} is not read; {ADVICE}")
            return
        if words[0] != self._last and words[0] in self.columns:
            raise ValueError(f"column '{words[0]}' occurs twice")
        if words[0] != self._last:
            self._said = set()
        self._last = words[0]
        self.columns.add(words[0])
        self._pairs(words[1:])

    def _sides(self, words: list[str]) -> None:
        named = len(words) % 2  # the name of the vector may be left out
        self._one_vector(words[0] if named else "")
        self._pairs(words[named:])

    def _one_vector(self, name: str) -> None:
        if self._vector not in (None, name):
            raise ValueError(
                f"section {self.section} has two vectors, '{self._vector}' and '{name[:40]}'; some readers take the "
                "first only, others both"
            )
        self._vector = name

    def _once(self, what: str) -> None:
        if what in self._said:
            of = f" of column '{self._last}'" if self.section == "COLUMNS" else ""
            raise ValueError(f"{what} occurs twice in section {self.section}{of}; take one of them out")
        self._said.add(what)

    def _pairs(self, words: list[str]) -> None:
        if len(words) not in (2, 4):
            raise ValueError("want one or two pairs of a row, its name without spaces, and a number")
        for row, number in zip(words[::2], words[1::2], strict=True):
            if row not in self.rows:
                raise ValueError(f"'{row[:40]}' is no row of this file")
            _number(number)
            self._once(f"row '{row}'")

    def _bound(self, words: list[str]) -> None:
        if words[0] in ("SC", "SI"):
            raise ValueError(f"a semi-continuous column ({words[0]}) is not read; {ADVICE}")
        if words[0] in ("LO", "UP", "FX", "LI", "UI"):
            if len(words) not in (3, 4):
                raise ValueError("want a kind of bound, the name of the vector, a column and a number")
            column = words[-2]
            _number(words[-1], infinite=True)
        elif words[0] in ("FR", "MI", "PL", "BV"):
            column = next((word for word in words[1:3] if word in self.columns), words[-1])
        else:
            raise ValueError(f"'{words[0][:40]}' is no kind of bound")
        if column not in self.columns:
            raise ValueError(f"'{column[:40]}' is no column of this file")
        self._one_vector(words[1] if words[1] != column else "")
        for side, kinds in (("lower", _LOWER), ("upper", _UPPER)):
            if words[0] in kinds:
                self._once(f"the {side} bound of column '{column}'")


def _number(text: str, *, infinite: bool = False) -> None:
    try:
        value = float(text.replace("_", "?"))
    except ValueError:
        value = math.nan
    if math.isnan(value) or (math.isinf(value) and not infinite):
        raise ValueError(f"'{text[:40]}' is no number that can stand here")
