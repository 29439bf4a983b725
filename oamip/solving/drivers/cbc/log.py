"""What CBC says in its log: where it stands while it runs, and its bound and nodes at the end.

All numbers are those of a minimisation, the constant of the objective included. Values on the way and the best possible
one have eight digits; the ``Lower bound`` at the end has three decimals, which is nothing for a small objective, so the
finer number is taken wherever the two agree. Either is moved outwards by what may have been rounded off.
"""

from __future__ import annotations

import math
import re

__all__ = ["complaint", "final_bound", "nodes", "standing", "start_was_taken"]

NONE = 1e49  # from here on a number stands for none at all
_NUMBER = r"(-?[0-9.]+(?:e[-+]?\d+)?)"
_TREE = re.compile(rf"After (\d+) nodes, \d+ on tree, {_NUMBER} best solution, best possible {_NUMBER}")
_FOUND = re.compile(rf"Integer solution of {_NUMBER} found .*?(?:and (\d+) nodes)?(?: \(|$)")
_ROOT = re.compile(rf"At root node, .* changed objective from {_NUMBER} to {_NUMBER}")
_PARTIAL = re.compile(rf"Partial search - best objective {_NUMBER} \(best possible {_NUMBER}\)")
_COMPLETED = re.compile(rf"Search completed - best objective {_NUMBER}")
_GAP = re.compile(rf"Exiting as integer gap of {_NUMBER}")
_LOWER = re.compile(rf"^Lower bound:\s+{_NUMBER}", re.MULTILINE)
_NODES = re.compile(r"^Enumerated nodes:\s+(\d+)", re.MULTILINE)
_COMPLAINT = re.compile(
    r"No match for|(?:Short match|Multiple matches) for|was provided for .* valid range|is illegal for"
    r"|Possible options for"
)


def standing(line: str, before: tuple[float, float, int]) -> tuple[float, float, int]:
    """Objective, bound and nodes after a line, given those before it; NaN for what is not known."""
    if found := _TREE.search(line):
        return _value(found[2]), _outwards(found[3]), int(found[1])
    if found := _FOUND.search(line):
        return _value(found[1]), before[1], int(found[2] or before[2])
    if found := _ROOT.search(line):
        return before[0], _outwards(found[2]), before[2]
    return before


def complaint(line: str) -> str | None:
    """What CBC says of an option that it does not take; it goes on as if nothing had happened."""
    return line.strip() if _COMPLAINT.search(line) else None


def final_bound(log: str) -> float:
    """The bound when the search ended early or within its gap; ``−inf`` when there is none."""
    rough = _LOWER.findall(log)
    if not rough or abs(float(rough[-1])) >= NONE:
        return -math.inf
    lower, fine = float(rough[-1]), [float(best) for _, best in _PARTIAL.findall(log)[-1:]]
    if _GAP.search(log) and _COMPLETED.search(log):
        fine.append(float(_COMPLETED.findall(log)[-1]) - float(_GAP.findall(log)[-1]))
    agreeing = [value - 5e-8 * abs(value) for value in fine if abs(value - lower) <= 1e-3 + 1e-7 * abs(value)]
    return max([lower - 5e-4, *agreeing])


def nodes(log: str) -> int:
    """Branch-and-bound nodes; 0 where the log names none."""
    return int(_NODES.findall(log)[-1]) if _NODES.search(log) else 0


def start_was_taken(log: str) -> bool:
    """Whether the first point was used."""
    return "MIPStart provided solution with cost" in log


def _value(text: str) -> float:
    value = float(text)
    return math.nan if abs(value) >= NONE else value


def _outwards(text: str) -> float:
    value = _value(text)
    return value - 5e-8 * abs(value)
