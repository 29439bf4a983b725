"""Where the executable of CBC is: ``OAMIP_CBC``, else the search path, else the one that PuLP 3 brings."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from oamip.errors import InputError, MissingDependency

__all__ = ["VARIABLE", "find_executable", "version_of"]

VARIABLE = "OAMIP_CBC"  # the environment variable that names an executable
INSTALL = "pip install 'pulp>=3.3.2,<4'"


def find_executable() -> str:
    """The path of the executable.

    Raises:
        InputError: the environment variable names something else than an executable.
        MissingDependency: there is none anywhere.
    """
    named = os.environ.get(VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            raise InputError(f"{VARIABLE} is '{named}', which is no executable file; unset it or name one")
        return str(Path(found).absolute())
    found = shutil.which("cbc") or shutil.which(_bundled())
    if found is None:
        raise MissingDependency("pulp", "solver 'cbc' (PuLP 3 brings an executable, PuLP 4 does not)", install=INSTALL)
    return str(Path(found).absolute())  # the run has a working folder of its own


def _bundled() -> str:
    """Where PuLP 3 keeps its executable; a modelling language is never imported here, only located."""
    spec = importlib.util.find_spec("pulp")
    if spec is None or spec.origin is None:
        return ""
    system = "osx" if sys.platform == "darwin" else sys.platform
    arm = system == "linux" and platform.machine() in ("aarch64", "arm64")  # on a Mac the i64 one runs on either
    machine = "arm64" if arm else "i64" if sys.maxsize > 2**32 else "i32"
    return str(Path(spec.origin).parent / "solverdir" / "cbc" / system / machine / "cbc")


def version_of(executable: str) -> str | None:
    """What the executable says its version is; ``None`` when it does not run."""
    try:
        return _said_version(executable)
    except (OSError, subprocess.TimeoutExpired):
        return None


@cache  # which keeps no failure: it may run the next time
def _said_version(executable: str) -> str:
    said = subprocess.run(  # noqa: S603  # a list of arguments, no shell
        [executable, "-quit"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10
    )
    found = re.search(r"Version: (\S+)", said.stdout)
    return found[1] if found else "unknown"
