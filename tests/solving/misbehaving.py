"""Drivers that do what no driver should, and what pools of processes run; importable by other processes."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oamip.options import Options, Progress
from oamip.program import Program, StandardForm
from oamip.solving import Outcome, Session, solve
from oamip.solving.drivers.highs import HighsDriver
from oamip.solving.isolation import Isolated


@dataclass
class Misbehaving:
    """HiGHS, until something happens.

    Args:
        how: what happens, a key of `WAYS`.
        when: ``opening``, ``solving`` (at the first progress), ``incumbent`` (once it has point and bound), ``answer``.
        solves: how many solves go well before.
        once: a file that is made when it happens; while it exists nothing happens.
    """

    how: str
    when: str = "solving"
    solves: int = 0
    once: str = ""

    name = "misbehaving"
    support = HighsDriver.support

    def open(self, form: StandardForm, options: Options) -> Session:
        if self.when == "opening":
            self.misbehave()
        return _Session(form, options, self)

    def misbehave(self) -> Any:
        if self.once and Path(self.once).exists():
            return None
        if self.once:
            Path(self.once).touch()
        return WAYS[self.how]()


class _Session(Session):
    def __init__(self, form: StandardForm, options: Options, driver: Misbehaving) -> None:
        super().__init__(form, options)
        self._driver, self._left = driver, driver.solves
        self._inner = HighsDriver().open(form, options)

    def __getattribute__(self, name: str) -> Any:
        changes = (
            "add_rows",
            "drop_rows",
            "set_bounds",
            "set_integer",
            "set_objective",
            "set_start",
            "restart",
            "close",
        )
        return getattr(self._inner, name) if name in changes else super().__getattribute__(name)

    def solve(self, **changes: Any) -> Outcome:
        self._left -= 1
        if self._left >= 0:
            return self._inner.solve(**changes)
        if self._driver.when == "answer":
            return self._driver.misbehave() or self._inner.solve(**changes)
        return self._inner.solve(**changes, progress=self._progress)

    def _progress(self, told: Progress) -> bool | None:
        assert self.options.progress is not None
        stop = self.options.progress(told)
        if self._driver.when == "solving" or (told.x is not None and math.isfinite(told.bound)):
            self._driver.misbehave()
        return stop


def _hang() -> None:
    while True:
        time.sleep(1.0)


def _raise() -> None:
    raise RuntimeError("mine")


def _hog() -> None:
    hoard = []
    while True:
        hoard.append(np.ones(1 << 21))  # 16 MiB, resident
        time.sleep(0.01)


def _hoard_by_another() -> None:
    script = "import time; hoard = b'x' * (300 << 20); time.sleep(100)"
    subprocess.Popen([sys.executable, "-c", script])
    _hang()


def _babble() -> None:
    library = ctypes.CDLL(None)
    library.printf(b"on standard output, from C\n")
    os.write(2, b"on standard error\n")


def _lie() -> None:
    os.write(int(sys.argv[1]), b"no message at all, but long enough for one")
    _hang()


def _litter() -> None:
    print("left behind:", tempfile.mkdtemp())
    os.kill(os.getpid(), signal.SIGKILL)


WAYS: dict[str, Callable[[], Any]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "exit": lambda: os._exit(3),
    "raise": _raise,
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "hang": _hang,
    "hog": _hog,
    "hog by another process": _hoard_by_another,
    "huge allocation": lambda: np.ones(1 << 38),
    "babble": _babble,
    "lie": _lie,
    "litter": _litter,
    "no outcome": lambda: "an outcome",
    "foreign point": lambda: Outcome("optimal", np.zeros(7), 0.0),
    "foreign reason": lambda: Outcome("done", None, 0.0),  # type: ignore[arg-type]
}


def small_knapsack(seed: int) -> Program:
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 100, (3, 15))
    program = Program("small knapsack")
    take = program.variables("take", 15, domain="binary")
    program.add("capacity", weights @ take <= weights.sum(axis=1) / 2)
    program.maximize((take * rng.integers(1, 100, 15)).sum())
    return program


def best(seed: int) -> float:
    """The optimum of a small knapsack, found by an isolated HiGHS."""
    return solve(small_knapsack(seed), solver=Isolated(HighsDriver())).objective


def report_best(seed: int, connection: Any) -> None:
    connection.send(best(seed))
    connection.close()


def slowly_best(seed: int, flags: str) -> float:
    """As `best`; the first to come here for a seed leaves its process number behind and waits to be killed."""
    flag = Path(flags) / str(seed)
    if seed == 3 and not flag.exists():
        flag.with_suffix(".new").write_text(str(os.getpid()))
        flag.with_suffix(".new").rename(flag)
        time.sleep(60.0)
    return best(seed)


def orphan_maker() -> None:
    """Open a session, say the number of its process, and solve what takes minutes; a fork keeps the line open."""
    rng = np.random.default_rng(4)
    parts = rng.integers(0, 100, (5, 40))
    program = Program("split")
    side = program.variables("side", 40, domain="binary")
    program.add("balance", parts @ side == parts.sum(axis=1) // 2)
    program.minimize(side.sum())
    session = Isolated(HighsDriver()).open(program.compile(), Options())
    pid = session.pid
    if "fork" in sys.argv and os.fork() == 0:
        time.sleep(20.0)
        os._exit(0)
    print(pid, flush=True)
    if "solve" in sys.argv:
        session.solve()
    time.sleep(60.0)


def forked() -> None:
    """Solve in a fork, and then here, with a driver and a session that were opened before."""
    program, optimum = small_knapsack(0), best(0)
    with Isolated(HighsDriver()) as driver, driver.open(program.compile(), Options()) as session:
        driver.open(program.compile(), Options()).close()
        pid = os.fork()
        found = [session.solve().bound, solve(program, solver=driver).objective]
        right = np.allclose(found, optimum)
        if pid == 0:
            session.close()
            os._exit(0 if right else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), int(not right), session.restarts)


if __name__ == "__main__":
    forked() if "forked" in sys.argv else orphan_maker()
