"""LP files, read line by line: what all readers understand alike is taken, the rest refused by line.

A bare number in the objective is its constant, as the format has it; Gurobi 13 takes it for a column of that name.

HiGHS is no help with this format: of a column twice in the objective it takes the last coefficient, ``2 x y`` is
2 x + y to it, and a lone sign the number 1.
"""

from __future__ import annotations

import re
from pathlib import Path

from oamip.errors import InputError
from oamip.program import StandardForm
from oamip.solving.scanning.draft import Draft
from oamip.solving.scanning.place import ADVICE, Place
from oamip.solving.scanning.plain import plain_row
from oamip.solving.scanning.words import RELATIONS, Word, amount, split, terms, words_of

__all__ = ["read_lp"]

_SENSE = re.compile(r"\s*(minimi[sz]e|minimum|min|maximi[sz]e|maximum|max)\b(?!\s*:)", re.IGNORECASE)
_ROWS = re.compile(r"\s*(subject\s+to|such\s+that|s\.t\.|st\.?)(?=\s|$)", re.IGNORECASE)
_LATER = re.compile(
    r"\s*(?:(?P<bounds>bounds?)|(?P<binaries>bin(?:ar(?:y|ies))?)|(?P<generals>gen(?:erals?)?)|(?P<integers>int(?:egers?)?)"
    r"|(?P<end>end))\s*$",
    re.IGNORECASE,
)
SHORT = 200  # characters; longer lines are no headings
_MARKS = ("->", "[", "::")  # what is foreign within a line of any length
_FOREIGN = (
    (re.compile(r"->"), "an indicator"),
    (re.compile(r"\["), "a quadratic term"),
    (re.compile(r"^\s*sos[12]?\s*$|::", re.IGNORECASE), "a special ordered set"),
    (re.compile(r"^\s*semi([-_](continuous|integers?))?s?\s*$", re.IGNORECASE), "a semi-continuous column"),
    (re.compile(r"^\s*gen(eral)?\s+cons(traints?)?\s*$", re.IGNORECASE), "a general constraint"),
    (re.compile(r"^\s*lazy\s+constraints?\s*$", re.IGNORECASE), "lazy rows"),
    (re.compile(r"^\s*user\s+cuts?\s*$", re.IGNORECASE), "cuts"),
    (re.compile(r"^\s*pwlobj\s*$", re.IGNORECASE), "a piecewise linear objective"),
    (re.compile(r"multi-?objectives?\s*$", re.IGNORECASE), "several objectives"),
)


def read_lp(text: str, file: Path) -> StandardForm:
    """The model of an LP file.

    Raises:
        InputError: what the file says is not in the format, not mixed-integer linear, or understood differently by the
            readers that there are; with the line.
    """
    place = Place(file)
    lp = _Lp(place)
    for place.line, line in enumerate(text.splitlines(), start=1):
        line = line.partition("\\")[0]
        if len(line) < SHORT or any(mark in line for mark in _MARKS):
            for pattern, what in _FOREIGN:
                if pattern.search(line):
                    raise place.refuse(f"{what} is not read; {ADVICE}")
        if line.strip():
            lp.read(line)
    if lp.section != "end":
        missing = "an LP file begins with Minimize or Maximize" if not lp.section else ""
        raise InputError(f"{file}: {missing or 'the file does not finish with End; it may be cut off'}")
    return lp.draft.form(file)


class _Lp:
    """The section that is read, what it has said so far, and the words of a row that goes on."""

    def __init__(self, place: Place) -> None:
        self.place, self.draft, self.section = place, Draft(), ""
        self._words: list[Word] = []
        self._lines: list[tuple[str, int]] = []  # of a row that goes on,
        self._related = False  # and whether its relation has come

    def read(self, line: str) -> None:
        """Take one line that is not empty."""
        if not self.section:
            line = self._begin(line)
        elif self.section == "end":
            raise self.place.refuse("there is more behind End")
        elif self.section == "objective" and (found := _ROWS.match(line)):
            self._objective()
            self.section, line = "rows", line[found.end() :]
        elif header := _LATER.match(line):
            self._header(header)
            return
        if self.section == "rows":
            self._lines.append((line, self.place.line))
            self._related = self._related or "=" in line or "<" in line or ">" in line
            if self._related and line.rstrip()[-1:] not in ("<", ">", "=", "+", "-", ""):
                self._row()
            return
        words = words_of(line, self.place.line)
        if self.section == "objective":
            self._words += words
        elif self.section == "bounds":
            self._bound(words)
        else:
            self._kinds(line.split())

    def _begin(self, line: str) -> str:
        found = _SENSE.match(line)
        if found is None:
            raise self.place.refuse("an LP file begins with Minimize or Maximize")
        self.section, self.draft.sense = "objective", "min" if found[1].lower().startswith("min") else "max"
        return line[found.end() :]

    def _header(self, header: re.Match[str]) -> None:
        if self.section == "objective":
            raise self.place.refuse("there is no section Subject To in front of this one")
        if self._lines:
            self._row()
        if header["bounds"] and self.section in ("generals", "binaries"):
            raise self.place.refuse(
                "put section Bounds in front of Generals and Binaries; some readers pass over it here"
            )
        self.section = header.lastgroup or ""
        if self.section == "integers":
            raise self.place.refuse(
                f"section {header[0].strip()} means Generals to some readers and Binaries to others; write one of these"
            )

    def _objective(self) -> None:
        words, self._words = self._words, []
        for value, word in terms(words[bool(words) and words[0].kind == "label" :], self.place):
            if word.kind == "number":
                self.draft.constant += value
            else:
                self.draft.add_cost(word.text, value)

    def _row(self) -> None:
        lines, self._lines, self._related = self._lines, [], False
        plain = plain_row(" ".join(line for line, _ in lines))
        if plain is not None:
            self.draft.add_row(*plain)
            return
        words = [word for line, number in lines for word in words_of(line, number)]
        label = words[0].text if words[0].kind == "label" else None
        parts, relations = split(words[label is not None :], self.place)
        row: dict[str, float] = {}
        for value, word in terms(parts[0], self.place):
            if word.kind == "number":
                raise self.place.at(word.line).refuse(
                    f"the number {word.text} in a row is no coefficient; bring constants to the right-hand side, and "
                    "write a row of two sides as two rows"
                )
            row[word.text] = row.get(word.text, 0.0) + value
        self.place.at(words[-1].line)
        if not row:
            raise self.place.refuse("a row has no terms; write 0 x for none, x being any column")
        if len(relations) != 1:
            wrong = "is not finished; want a relation and a number" if not relations else "has two relations"
            raise self.place.refuse(f"the row that ends here {wrong}")
        side = amount(parts[1])
        if side is None:
            raise self._no_side(parts[1], relations[0])
        self.draft.add_row(label, list(row), list(row.values()), RELATIONS[relations[0].text], side)

    def _no_side(self, words: list[Word], relation: Word) -> InputError:
        name = next((word for word in words if word.kind in ("name", "label")), None)
        if name is None:
            return self.place.refuse(f"want a single number behind '{relation.text}'")
        if name is words[0] or any(word.kind == "sign" for word in words[1:]):
            return self.place.at(name.line).refuse(
                f"'{name.text[:40]}' stands to the right of '{relation.text}'; bring all columns to the left, so that "
                "a single number is left on the right"
            )
        return self.place.at(name.line).refuse(
            f"'{name.text[:40]}' stands behind the right-hand side of a row; begin a new line, and write no ';'"
        )

    def _bound(self, words: list[Word]) -> None:
        parts, relations = split(words, self.place)
        values = [amount(part) for part in parts]
        signs = [RELATIONS[word.text] for word in relations]
        at = values.index(None) if None in values else 0
        names = [word for word in parts[at] if word.kind == "name"]
        if not relations and [word.text.lower() for word in words[1:]] == ["free"]:
            if not self.draft.free(self._known(words[0].text)):
                raise self.place.refuse(
                    f"column '{words[0].text[:40]}' has an upper bound already, which 'free' takes away to some "
                    "readers only; take one of them out"
                )
        elif len(names) == len(parts[at]) == 1 and (
            len(signs) == 1 or (len(signs) == 2 and at == 1 and signs[0] == signs[1] != "=")
        ):
            column = self._known(names[0].text)
            for i, value in enumerate(values):
                if i != at:
                    if value is None:
                        raise self._no_bound(words)
                    sign = signs[min(i, at)]
                    self.draft.bound(column, sign if i > at else {"<": ">", ">": "<", "=": "="}[sign], value)
        else:
            raise self._no_bound(words)

    def _no_bound(self, words: list[Word]) -> InputError:
        said = " ".join(word.text for word in words)
        hint = f"; is '{said[:40]}' a misspelt section?" if len(words) == 1 else ""
        return self.place.refuse(f"want one bound on a line, such as x <= 3, -1 <= x <= 3, x = 3, or x free{hint}")

    def _kinds(self, names: list[str]) -> None:
        chosen = self.draft.binary if self.section == "binaries" else self.draft.integer
        for name in names:
            chosen[self._known(name)] = self.place.line

    def _known(self, name: str) -> str:
        if name not in self.draft.columns:
            raise self.place.refuse(
                f"column '{name[:40]}' stands in no objective or row, only behind them; is it, or a section, misspelt?"
            )
        return name
