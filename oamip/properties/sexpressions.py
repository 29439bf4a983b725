"""S-expressions: nested lists of words."""

from __future__ import annotations

import re
from typing import TypeAlias

__all__ = ["Expression", "Malformed", "parse", "shown"]

Expression: TypeAlias = "str | list[Expression]"

_WORD = re.compile(r"[()]|[^\s()]+")
_DEPTH = 100


class Malformed(ValueError):
    """The text is not of the expected form."""


def parse(text: str) -> list[Expression]:
    """All expressions of a text; comments run from a semicolon to the end of the line.

    Raises:
        Malformed: parentheses do not match, or nest too deeply.

    Example:
        >>> parse("(assert (<= X_0 1)) ; one")
        [['assert', ['<=', 'X_0', '1']]]
    """
    stack: list[list[Expression]] = [[]]
    for line in text.splitlines():
        for word in _WORD.findall(line.partition(";")[0]):
            if word == "(":
                stack.append([])
                if len(stack) > _DEPTH:
                    raise Malformed(f"parentheses nest deeper than {_DEPTH}")
            elif word == ")":
                closed = stack.pop()
                if not stack:
                    raise Malformed("a parenthesis is closed that was never opened")
                stack[-1].append(closed)
            else:
                stack[-1].append(word)
    if len(stack) > 1:
        raise Malformed("a parenthesis is not closed; is the file complete?")
    return stack[0]


def shown(expression: Expression, depth: int = 3) -> str:
    """An expression as text, shortened, for messages."""
    if isinstance(expression, str):
        text = expression
    else:
        text = f"({' '.join(shown(part, depth - 1) for part in expression[:4])})" if depth else "(…)"
    return text if len(text) <= 60 else f"{text[:57]}…"
