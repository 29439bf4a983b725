"""What is peculiar to CBC, an executable; what every solver must do is asked in `test_every_driver.py`."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from oamip.errors import InputError, MissingDependency, SolveError
from oamip.options import Options, Progress
from oamip.program import Program
from oamip.solution import Solution
from oamip.solving import Outcome, solve
from oamip.solving.drivers.cbc import CbcDriver, executable, process
from oamip.solving.drivers.cbc.executable import VARIABLE, find_executable


def cbc(program: Program, **options: object) -> Solution:
    return solve(program, Options(**options), solver="cbc")


def outcome(program: Program, **options: object) -> Outcome:
    with CbcDriver().open(program.compile(), Options(**options)) as session:
        return session.solve()


def small() -> Program:
    program = Program()
    program.maximize(program.variables("n", 2, 0.2, 3.5).sum())
    return program


# ── the numbers in its log ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_small_objective_is_solved_to_the_gap_that_was_asked() -> None:
    # By default CBC gives up what is not better by 1e-5, and calls that optimal.
    for seed in range(4):
        rng = np.random.default_rng(seed)
        W = rng.integers(1, 1000, (5, 30))
        program = Program()
        take = program.variables("take", 30, domain="binary")
        program.add("capacity", W @ take <= W.sum(axis=1) / 2)
        worth = W.mean(axis=0) + rng.integers(0, 500, 30)
        program.maximize((take * worth).sum())
        best = solve(program).objective
        program.maximize((take * (1e-8 * worth)).sum())
        assert cbc(program, gap_absolute=0.0).objective == pytest.approx(1e-8 * best, rel=1e-9)


def test_a_limit_on_a_small_objective_still_has_a_bound_of_eight_digits(knapsack: Program) -> None:
    large = cbc(knapsack, node_limit=3)
    knapsack.maximize(knapsack.objective * 1e-6)
    small = cbc(knapsack, node_limit=3)
    assert small.reason == "node_limit"
    assert small.bound == pytest.approx(1e-6 * large.bound, rel=1e-4)
    assert small.bound >= small.objective


# ── starts, threads, options ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_start_that_is_no_point_is_a_named_warning(split: Program) -> None:
    assert outcome(split, start=np.zeros(40), time_limit=0.2).warnings == ("option start: CBC did not take it",)


def test_threads_are_used_and_seeds_are_declared_useless(knapsack: Program) -> None:
    solution = cbc(knapsack, threads=2, node_limit=20, seed=5)
    assert "Thread 1 used" in solution.log
    assert "randomSeed was changed from 1234567 to 5" in solution.log
    assert solution.warnings == ("option seed: solver 'cbc' has none, so it is not applied",)


def test_the_default_seed_is_not_the_time_of_day(knapsack: Program) -> None:
    assert "time of day" not in outcome(knapsack, node_limit=0).log


def test_wrong_raw_options_are_named_at_once(knapsack: Program) -> None:
    wrong = [
        ({"no_such": 1}, r"'no_such' = 1: CBC says 'No match for no_such"),
        ({"cuts": "maybe"}, r"'cuts' = 'maybe'.*Possible options for cutsOnOff"),
        ({"ratio": "abc"}, r"'ratio' = 'abc'.*String of abc is illegal"),
        ({"threads": -5000}, r"valid range is -100"),
        ({"s": 3}, r"Multiple matches for s"),
    ]
    for raw, message in wrong:
        began = time.perf_counter()
        with pytest.raises(InputError, match=message):
            cbc(knapsack, raw=raw)
        assert time.perf_counter() - began < 15.0  # and not when all is solved, in hours


def test_tolerances_that_cbc_does_not_take_are_named_warnings() -> None:
    warnings = cbc(small(), memory_limit=10**9, integrality=0.0).warnings
    assert [warning.partition(":")[0] for warning in warnings] == ["option memory_limit", "option integrality"]


# ── stopping ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def children() -> set[str]:
    listed = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "pid=,comm="], capture_output=True, text=True)
    return {line.split()[0] for line in listed.stdout.splitlines() if line.split()[1] == "cbc"}


def test_nothing_runs_on_after_an_interrupt_or_an_error(knapsack: Program) -> None:
    def fail(progress: Progress) -> bool:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        cbc(knapsack, progress=fail)
    assert not children()
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    assert cbc(knapsack, time_limit=20).reason == "interrupted"
    timer.join()
    assert not children()


def test_nothing_runs_on_when_it_cannot_be_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def no_watcher(group: int) -> None:
        raise OSError(24, "Too many open files")

    for where, name, fails, error in (
        (threading.Thread, "start", no_thread, RuntimeError),
        (process, "ended_with_us", no_watcher, SolveError),
    ):
        run = process.Process(["/bin/sleep", "60"], tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(where, name, fails)
            with pytest.raises(error):
                run.run(lambda line: None)
        assert run._child is not None
        assert run._child.returncode == -signal.SIGKILL  # killed, and waited for


def test_a_child_that_is_killed_is_an_error_with_its_name(knapsack: Program) -> None:
    killed: list[str] = []

    def kill(progress: Progress) -> None:
        if not killed and progress.bound == progress.bound:
            killed.extend(children())
            os.kill(int(killed[0]), signal.SIGKILL)

    solution = cbc(knapsack, progress=kill, time_limit=20)
    assert (solution.reason, solution.held) == ("error", "none")
    assert solution.warnings == ("CBC was ended by SIGKILL, which oamip did not send, so its best point is lost",)


ORPHAN = """
import numpy as np
from oamip.options import Options, Progress
from oamip.solving import solve
from oamip.testing.instances import split

def told(progress: Progress) -> None:
    print("running", flush=True)

solve(split().program, Options(time_limit=60, progress=told), solver="cbc")
"""


def test_none_outlives_a_parent_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "running\n"
        listed = subprocess.run(["ps", "--ppid", str(parent.pid), "-o", "pid=,comm="], capture_output=True, text=True)
        names = dict(reversed(line.split()) for line in listed.stdout.splitlines())
        parent.kill()
    deadline = time.monotonic() + 5.0
    while Path(f"/proc/{names['cbc']}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{names['cbc']}").exists()


def pretender(folder: Path, body: str) -> Path:
    path = folder / "cbc"
    path.write_text(f"#!{sys.executable}\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_one_that_does_not_listen_is_ended_by_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, knapsack: Program
) -> None:
    deaf = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(60)"
    monkeypatch.setenv(VARIABLE, str(pretender(tmp_path, deaf)))
    monkeypatch.setattr(process.Process.__init__, "__kwdefaults__", {"patience": 0.3})
    began = time.perf_counter()
    claim = outcome(knapsack, time_limit=0.0)
    assert time.perf_counter() - began < 15.0
    assert (claim.reason, claim.x) == ("time_limit", None)
    assert claim.warnings == ("CBC did not stop when asked and was ended by force, so its best point is lost",)


def test_one_that_leaves_no_answer_is_an_error_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, knapsack: Program
) -> None:
    monkeypatch.setenv(VARIABLE, str(pretender(tmp_path, "print('no licence for you')")))
    solution = cbc(knapsack)
    assert (solution.reason, solution.held) == ("error", "none")
    assert solution.warnings == ("CBC left no answer (exit status 0); its log ends with: no licence for you",)


# ── the executable ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_executable_named_by_the_user_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = find_executable()
    on_path = pretender(tmp_path, "pass")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_executable() == str(on_path)
    monkeypatch.setenv(VARIABLE, bundled)
    assert find_executable() == bundled
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    with pytest.raises(InputError, match=f"{VARIABLE} is '.*none', which is no executable"):
        find_executable()


def test_without_one_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(executable.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match=r"pip install 'pulp>=3\.3\.2,<4'"):
        CbcDriver().open(small().compile(), Options())


def test_one_that_cannot_be_started_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pretender(tmp_path, "")
    path.write_bytes(b"\x7fELF nonsense")
    monkeypatch.setenv(VARIABLE, str(path))
    with pytest.raises(SolveError, match=r"cbc cannot be started: Exec format error"):
        outcome(small())


def test_one_that_could_not_be_started_once_is_tried_again(tmp_path: Path) -> None:
    path = pretender(tmp_path, "print('Version: 7')")
    path.chmod(0o600)
    assert executable.version_of(str(path)) is None
    path.chmod(0o700)
    assert executable.version_of(str(path)) == "7"


@pytest.mark.parametrize("channel", [os.openpty, os.pipe])
def test_all_that_it_wrote_is_heard_however_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channel: Callable[[], tuple[int, int]]
) -> None:
    monkeypatch.setattr(process, "_channel", channel)
    heard: list[str] = []

    def slowly(line: str) -> None:
        time.sleep(0.2 if not heard else 0.0)  # by then it has ended
        heard.append(line)

    wrote = process.Process(["/bin/sh", "-c", "for i in 1 2 3; do echo $i; done; printf last; exit 7"], tmp_path)
    assert wrote.run(slowly) == 7
    assert heard == ["1\n", "2\n", "3\n", "last"]


def test_it_has_ended_even_if_something_holds_on_to_its_terminal(tmp_path: Path) -> None:
    began, heard = time.perf_counter(), []
    assert process.Process(["/bin/sh", "-c", "sleep 20 & echo said"], tmp_path).run(heard.append) == 0
    assert heard == ["said\n"]
    assert time.perf_counter() - began < 10


def test_a_log_that_breaks_off_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A terminal has been seen to tell of its end before all of it was read: bound and reason were lost with the log.
    closed, opened = os.openpty(), os.openpty()
    os.close(closed[1])
    monkeypatch.setattr(process, "_channel", lambda: (closed[0], opened[1]))
    with pytest.raises(SolveError, match="what the solver writes"):
        process.Process(["/bin/sh", "-c", "echo said; sleep 20"], tmp_path).run(lambda line: None)
    os.close(opened[0])


def test_without_pseudo_terminals_a_pipe_will_do(monkeypatch: pytest.MonkeyPatch, knapsack: Program) -> None:
    def none() -> tuple[int, int]:
        raise OSError("out of pty devices")

    monkeypatch.setattr(process.os, "openpty", none)
    solution = cbc(knapsack, node_limit=3)
    assert (solution.reason, solution.held) == ("node_limit", "feasible")


# ── unbounded programs ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("domain", ["continuous", "integer"])
def test_an_unbounded_program_without_rows_is_called_so(domain: str) -> None:
    program = Program()
    x = program.variables("x", 3, [-np.inf, 1, 2], [np.inf, np.inf, 7], domain=domain)
    program.maximize((x * [3.0, -3.0, 0.0]).sum())
    claim = outcome(program)
    assert (claim.reason, claim.x, claim.bound, claim.warnings) == ("unbounded", None, np.inf, ())


def test_without_rows_and_between_bounds_that_no_integer_meets_it_is_infeasible() -> None:
    program = Program()
    program.variables("n", 1, 0.2, 0.8, domain="integer")
    program.maximize(program.variables("x", 1).sum())
    assert cbc(program).reason == "infeasible"


def test_an_unbounded_linear_program_is_not_called_optimal() -> None:
    # CBC says 'Optimal - objective value -997.25', and 'Dual inf 4e+18' before it.
    program = Program()
    x = program.variables("x", 3, [-1, -np.inf, -1], [4, np.inf, np.inf])
    W = np.array([[-4.0, 0.0, -4.0], [-3.0, 0.0, -3.0], [0.0, 0.0, -4.0]])
    program.add("above", W @ x >= [-15.0, -12.0, -11.0])
    program.add("below", W @ x <= [-12.0, -8.0, -8.0])
    program.minimize((x * [-3.0, 4.0, 4.0]).sum() - 1000)
    assert outcome(program).reason == "unbounded"
    assert cbc(program).reason == "unbounded"


def test_a_relaxation_that_is_unbounded_says_nothing_of_feasibility() -> None:
    program = Program()
    n = program.variables("n", 2, [-1, -2], [-1, 1], domain="integer")
    x = program.variables("x", 2, [-np.inf, -3], [np.inf, 1])
    program.sos1("set", n.reshape(1, 2))
    program.minimize((n * [3.0, 2.0]).sum() + 2 * x.sum())
    assert cbc(program).reason == "unbounded"
