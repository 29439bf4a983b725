"""Where in a file something is wrong."""

from __future__ import annotations

from pathlib import Path

from oamip.errors import InputError

__all__ = ["ADVICE", "Place"]

ADVICE = "oamip reads mixed-integer linear models"


class Place:
    """A line of a file, for messages."""

    def __init__(self, file: Path) -> None:
        self.file, self.line = file, 0

    def at(self, line: int) -> Place:
        """The place, moved to a line."""
        self.line = line
        return self

    def refuse(self, text: str) -> InputError:
        """An error that names the place."""
        return InputError(f"{self.file}, line {self.line}: {text}")
