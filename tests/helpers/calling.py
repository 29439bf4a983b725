"""The command line, called as a user calls it but in this process: importing torch anew each time would take longer."""

from __future__ import annotations

import io
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

from oamip.cli import main


class Run(NamedTuple):
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """Both."""
        return self.stdout + self.stderr


def oamip(*args: str, cwd: Path, status: int = 0) -> Run:
    """What one call prints; its exit status must be the one that is named."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    before = set(sys.modules)
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err):
        try:
            main(args)
        except SystemExit as stopped:
            code = int(stopped.code or 0)
    for name in set(sys.modules) - before:  # a user's own modules, which another test may call the same
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(cwd)):
            del sys.modules[name]
    assert code == status, out.getvalue() + err.getvalue()
    return Run(out.getvalue(), err.getvalue())


def refusal(*args: str, cwd: Path, status: int = 2) -> str:
    """The one line that a wrong call answers with."""
    run = oamip(*args, cwd=cwd, status=status)
    lines = [line for line in run.stderr.splitlines() if line.startswith("oamip: ")]
    assert len(lines) == 1, run.stderr
    return lines[0]
