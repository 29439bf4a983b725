"""Solvers behind CVXPY print their log; here is how it gets into a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

__all__ = ["log_to"]


@contextmanager
def log_to(path: Path | None) -> Iterator[None]:
    """Turn the standard output of the process, solvers' own code included, aside into a file."""
    if path is None:
        yield
        return
    with path.open("w", encoding="utf-8") as file:
        sys.stdout.flush()
        saved = os.dup(1)
        try:
            os.dup2(file.fileno(), 1)
            with redirect_stdout(file):
                yield
        finally:
            file.flush()
            os.dup2(saved, 1)
            os.close(saved)
