"""Whatever a solver does in its process: the caller gets an outcome, and nothing is left behind."""

from __future__ import annotations

import gc
import math
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import fields, replace
from multiprocessing import resource_tracker
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import strategies as st

from oamip.errors import InfeasibleProgram, InputError, OamipError, SolveError
from oamip.options import Options, Progress
from oamip.program import LogSumExp, Perspective, Program, StandardForm, SumSquares, constant
from oamip.solution import Solution
from oamip.solving import Driver, Outcome, solve
from oamip.solving.drivers.highs import HighsDriver
from oamip.solving.isolation import Isolated, RemoteSession, family, raising, wire

LINUX = sys.platform == "linux"
MEBI = 1 << 20


@pytest.fixture(autouse=True)
def bad(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of drivers that misbehave, where other processes find it too."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import misbehaving

    return misbehaving


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """No test leaves a process, a zombie, an open file or a temporary one behind."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    resource_tracker.ensure_running()  # multiprocessing keeps a line to it open
    before = _open_files()
    yield
    assert not list(folder.glob("oamip-*"))
    if LINUX:
        deadline = time.monotonic() + 5.0  # event loops of a cluster are closed by their own threads
        while _open_files() > before and time.monotonic() < deadline:
            gc.collect()
            time.sleep(0.05)
        assert _open_files() <= before
        mark = f"{family.MARK}={folder}".encode()
        assert not [entry for entry in Path("/proc").glob("[0-9]*") if family._has(entry, mark)]


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if LINUX else 0


def small() -> Program:
    program = Program()
    x = program.variables("x", 3, domain="binary")
    program.add("one", x.sum() <= 1)
    program.maximize((x * [1.0, 3.0, 2.0]).sum())
    return program


def cross_entropy() -> Program:
    rng = np.random.default_rng(0)
    program = Program("cross entropy")
    keep, loss = program.variables("keep", 12, domain="binary"), program.variables("loss", 10)
    program.epigraph("softmax", LogSumExp(), (rng.normal(size=(40, 12)) @ keep).reshape(10, 4), loss)
    program.add("budget", keep.sum() >= 5)
    program.minimize(loss.mean())
    return program


# ── the matrix of crashes ────────────────────────────────────────────────────────────────────────────────────────────

ENDS = {
    "kill": ("error", "was killed by signal 9"),
    "segfault": ("error", "was killed by signal 11"),
    "abort": ("error", "was killed by signal 6"),
    "exit": ("error", "ended with exit status 3"),
    "raise": ("error", "raised RuntimeError: mine"),
    "stop": ("time_limit", "did not keep its time limit of 3 s and was killed"),
    "hang": ("time_limit", "did not keep its time limit of 3 s and was killed"),
    "lie": ("error", "broke the protocol"),
}
LIMITS = {"stop": 3.0, "hang": 3.0}  # until then it must have come to a point, however busy the machine


def ended(program: Program, driver: Driver, **options: Any) -> Solution:
    return solve(program, Options(**{"time_limit": 20.0, **options}), solver=Isolated(driver, grace=0.3, patience=0.3))


@pytest.mark.parametrize("how", ENDS)
def test_a_point_and_a_bound_that_were_told_outlive_the_process(how: str, bad: ModuleType, knapsack: Program) -> None:
    solution = ended(knapsack, bad.Misbehaving(how, "incumbent"), time_limit=LIMITS.get(how, 20.0))
    reason, text = ENDS[how]
    assert (solution.reason, solution.held) == (reason, "feasible")
    assert solution.verified
    assert solution.objective <= solution.bound < math.inf
    assert any(text in warning for warning in solution.warnings)
    assert "binary" in solution.log  # what HiGHS itself had written until then


@pytest.mark.parametrize("how", ["kill", "segfault", "raise", "stop"])
def test_a_process_that_ends_without_a_point_leaves_none(how: str, bad: ModuleType, split: Program) -> None:
    solution = ended(split, bad.Misbehaving(how, "solving"), time_limit=LIMITS.get(how, 20.0))
    reason, text = ENDS[how]
    assert (solution.reason, solution.held) == (reason, "none")
    assert any(text in warning for warning in solution.warnings)
    if how in ("segfault", "raise"):
        assert "misbehave" in solution.log  # the stack of calls, from the standard error of the process


@pytest.mark.parametrize("how", ["abort", "raise"])
def test_a_driver_that_dies_while_it_opens_is_an_error_after_two_attempts(how: str, bad: ModuleType) -> None:
    with Isolated(bad.Misbehaving(how, "opening")) as driver, driver.open(small().compile(), Options()) as session:
        first, second = session.solve(), session.solve()
        assert session.restarts == 1
    assert (first.reason, first.x, first.bound) == ("error", None, math.inf)
    assert len([warning for warning in first.warnings if ENDS[how][1] in warning]) == 2
    assert "so no other was started" in second.warnings[-1]


def test_a_driver_that_hangs_while_it_opens_is_a_time_limit(bad: ModuleType) -> None:
    solution = ended(small(), bad.Misbehaving("hang", "opening"), time_limit=0.2)
    assert (solution.reason, solution.held) == ("time_limit", "none")


def test_a_process_killed_between_two_solves_costs_neither() -> None:
    form = small().compile()
    with Isolated(HighsDriver()) as driver, driver.open(form, Options()) as session:
        session.add_rows(sp.csr_array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), np.zeros(2), np.zeros(2))
        assert session.solve().bound == pytest.approx(1.0)
        _kill(session, signal.SIGKILL)
        session.drop_rows(np.array([0]))
        again = session.solve()
        assert again.bound == pytest.approx(3.0)
        assert again.warnings == ("the process of highs was killed by signal 9",)
        assert session.restarts == 1
        assert session.solve().warnings == ()


def test_an_idle_process_that_was_killed_is_replaced() -> None:
    with Isolated(HighsDriver()) as driver:
        with driver.open(small().compile(), Options()) as session:
            _kill(session, signal.SIGSEGV)
        assert solve(small(), solver=driver).held == "proven"


def test_a_process_stopped_between_two_solves_is_killed_and_replaced() -> None:
    driver = Isolated(HighsDriver(), grace=0.2)
    with driver.open(small().compile(), Options()) as session:
        assert session.pid is not None
        os.kill(session.pid, signal.SIGSTOP)
        assert session.solve(time_limit=0.2).reason == "time_limit"
        assert session.solve(time_limit=20.0).reason == "optimal"


def _kill(session: RemoteSession, number: int) -> None:
    assert session.pid is not None
    os.kill(session.pid, number)
    while not session._counterpart.process.death:  # type: ignore[union-attr]
        time.sleep(0.005)


@pytest.mark.parametrize("how", ["kill", "raise"])
def test_the_cut_loop_goes_on_when_a_process_dies_in_the_middle(how: str, bad: ModuleType, tmp_path: Path) -> None:
    inside = solve(cross_entropy())
    driver = bad.Misbehaving(how, "answer", solves=3, once=str(tmp_path / "happened"))
    with Isolated(driver) as isolated:
        outside = solve(cross_entropy(), solver=isolated)
    assert (tmp_path / "happened").exists()
    assert (outside.reason, outside.held) == (inside.reason, inside.held) == ("optimal", "proven")
    assert outside.objective == pytest.approx(inside.objective)
    assert any(ENDS[how][1] in warning for warning in outside.warnings)


@pytest.mark.parametrize("how", ["no outcome", "foreign point", "foreign reason"])
def test_an_answer_that_cannot_be_is_an_error(how: str, bad: ModuleType) -> None:
    solution = ended(small(), bad.Misbehaving(how, "answer"))
    assert (solution.reason, solution.held) == ("error", "none")
    assert "broke the protocol" in solution.warnings[-1]


def test_a_memory_hog_is_killed_and_its_point_kept(bad: ModuleType, knapsack: Program) -> None:
    if not LINUX:
        pytest.skip("needs a system that tells resident memory quickly")
    solution = ended(knapsack, bad.Misbehaving("hog", "incumbent"), memory_limit=200 * MEBI)
    assert (solution.reason, solution.held) == ("memory_limit", "feasible")
    assert f"took more than its memory limit of {200 * MEBI} bytes" in solution.warnings[-1]
    assert not any(warning.startswith("option memory_limit") for warning in solution.warnings)


def test_memory_of_what_a_driver_starts_counts_and_it_is_killed_too(bad: ModuleType, split: Program) -> None:
    driver = bad.Misbehaving("hog by another process", "solving")
    solution = ended(split, driver, memory_limit=200 * MEBI)
    assert solution.reason == "memory_limit"


def test_one_huge_allocation_is_a_memory_limit(bad: ModuleType, split: Program) -> None:
    solution = ended(split, bad.Misbehaving("huge allocation"), memory_limit=500 * MEBI)
    assert solution.reason == "memory_limit"
    assert "MemoryError" in solution.log


def test_memory_limits_that_suffice_change_nothing() -> None:
    assert solve(small(), Options(memory_limit=500 * MEBI), solver=Isolated(HighsDriver())).held == "proven"


def test_what_a_solver_prints_comes_back_in_the_log(bad: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    with Isolated(bad.Misbehaving("babble", "answer")) as driver:
        first, second = (solve(small(), solver=driver) for _ in range(2))
    for solution in (first, second):
        assert solution.held == "proven"
        assert solution.log.count("on standard output, from C") == solution.log.count("on standard error") == 1
    assert capfd.readouterr() == ("", "")


def test_temporary_files_of_a_killed_solver_are_removed(bad: ModuleType) -> None:
    solution = ended(small(), bad.Misbehaving("litter", "answer"))
    (path,) = [line.removeprefix("left behind: ") for line in solution.log.splitlines() if line.startswith("left")]
    assert not Path(path).exists()


# ── the same as in this process ──────────────────────────────────────────────────────────────────────────────────────


def random_form(seed: int) -> StandardForm:
    rng = np.random.default_rng(seed)
    program = Program()
    x = program.variables("x", 8, 0, 10, domain="integer")
    program.add("rows", rng.integers(0, 9, (5, 8)) @ x <= rng.integers(20, 60, 5))
    program.maximize((x * rng.integers(1, 9, 8)).sum() + 3)
    return program.compile()


def test_sessions_agree_through_every_change() -> None:
    rng, form = np.random.default_rng(0), random_form(0)
    everything = np.arange(8)
    changes: list[tuple[str, tuple[Any, ...]]] = [
        ("add_rows", (sp.csr_array(rng.random((3, 8))), np.full(3, -np.inf), np.array([3.0, 2.0, 4.0]))),
        ("add_rows", (sp.csr_array(np.ones((1, 8))), np.array([0.5]), np.array([2.5]))),
        ("drop_rows", (np.array([1, 0]),)),
        ("set_bounds", (np.array([2, 5]), np.zeros(2), np.array([0.0, 1.0]))),
        ("set_objective", (rng.normal(size=8), -1.0)),
        ("set_integer", (everything < 4,)),
        ("set_start", (np.zeros(8),)),
        ("restart", ()),
        ("set_integer", (everything < 0,)),
    ]
    with (
        Isolated(HighsDriver()) as driver,
        driver.open(form, Options()) as there,
        HighsDriver().open(form, Options()) as here,
    ):
        for change, arguments in changes:
            for session in (there, here):
                getattr(session, change)(*arguments)
            ours, theirs = here.solve(), there.solve()
            assert ours.x is not None
            assert np.array_equal(ours.x, theirs.x)
            assert (ours.reason, ours.bound, ours.nodes) == (theirs.reason, theirs.bound, theirs.nodes)
        assert ours.duals is not None
        assert np.array_equal(ours.duals, theirs.duals)
        assert (here.form.A != there.form.A).nnz == 0


def test_a_solve_is_the_same_solve(knapsack: Program, tmp_path: Path) -> None:
    start = solve(knapsack, Options(stop_at_objective=50_000.0))["take"].copy()
    cases: list[tuple[Program, dict[str, Any], str]] = [
        (small(), {}, "optimal"),
        (cross_entropy(), {}, "optimal"),
        (knapsack, {"gap_relative": 0.05}, "gap_limit"),
        (knapsack, {"node_limit": 0, "start": start}, "node_limit"),
        (knapsack, {"stop_at_objective": 50_000.0}, "objective_limit"),
        (knapsack, {"raw": {"mip_max_nodes": 0}, "log_file": tmp_path / "log"}, "node_limit"),
        (knapsack, {"time_limit": 1.0}, "time_limit"),
    ]
    with Isolated(HighsDriver()) as driver:
        for program, options, reason in cases:
            here, there = solve(program, Options(**options)), solve(program, Options(**options), solver=driver)
            assert there.reason == here.reason == reason
            assert (there.held, there.clash, there.warnings) == (here.held, here.clash, here.warnings)
            if "start" in options:
                assert there.objective >= knapsack.objective.value({"take": start})
            if "log_file" in options:
                assert (tmp_path / "log").read_text() == there.log


def test_errors_come_back_as_they_are(knapsack: Program) -> None:
    with Isolated(HighsDriver()) as driver:
        with pytest.raises(InputError, match="raw option 'no_such' is not an option of HiGHS"):
            solve(knapsack, Options(raw={"no_such": 1}), solver=driver)
        with pytest.raises(InputError, match=r"options\.raw\.odd is of type object, which cannot be sent"):
            solve(knapsack, Options(raw={"odd": object()}), solver=driver)
        broken = knapsack.compile()
        with pytest.raises(SolveError, match="HiGHS does not take the model"):
            driver.open(replace(broken, A=broken.A * np.inf), Options())
        assert solve(small(), solver=driver).held == "proven"


def test_every_error_of_ours_can_be_told() -> None:
    def all_of(kind: type[OamipError]) -> list[type[OamipError]]:
        return [kind, *(other for below in kind.__subclasses__() for other in all_of(below))]

    for kind in all_of(OamipError):
        if kind.__module__ == "oamip.errors":
            error = kind.__new__(kind, "the text")
            back = raising.error_in(next(wire.Inbox().feed(wire.pack(raising.told(error)))))
            assert type(back) is kind
            assert str(back) == "the text"
    back = raising.error_in(raising.told(InfeasibleProgram("no way", ("a", "b"))))
    assert isinstance(back, InfeasibleProgram)
    assert back.rows == ("a", "b")


# ── progress and interrupts ──────────────────────────────────────────────────────────────────────────────────────────


def test_progress_stays_here_and_interrupts_there(knapsack: Program) -> None:
    seen: list[Progress] = []

    def watch(progress: Progress) -> bool:
        seen.append(progress)
        assert threading.current_thread() is threading.main_thread()
        return progress.x is not None and progress.seconds > 0.2

    with Isolated(HighsDriver()) as driver:
        solution = solve(knapsack, Options(progress=watch), solver=driver)
        assert (solution.reason, solution.held) == ("interrupted", "feasible")
        assert seen[-1].bound >= seen[-1].objective
        assert solution.objective >= seen[-1].objective
        assert solve(small(), solver=driver).held == "proven"  # an interrupt is for one solve only

        def fail(progress: Progress) -> bool:
            raise RuntimeError("mine")

        with pytest.raises(RuntimeError, match="mine"):
            solve(knapsack, Options(progress=fail), solver=driver)


@pytest.mark.parametrize("hung", [False, True])
def test_control_c_keeps_the_incumbent_even_of_a_process_that_does_not_listen(
    hung: bool, bad: ModuleType, knapsack: Program
) -> None:
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))

    def watch(progress: Progress) -> None:
        if progress.x is not None and timer.ident is None:
            timer.start()

    driver = bad.Misbehaving("stop", "incumbent") if hung else HighsDriver()
    solution = ended(knapsack, driver, progress=watch)
    timer.join()
    assert (solution.reason, solution.held) == ("interrupted", "feasible")
    assert any("did not stop within 0.3 s" in warning for warning in solution.warnings) == hung


# ── nothing is left behind ───────────────────────────────────────────────────────────────────────────────────────────


def test_one_process_serves_many_sessions_and_none_without_the_block() -> None:
    form = small().compile()
    with Isolated(HighsDriver()) as driver:
        pids = set()
        for _ in range(20):
            with driver.open(form, Options()) as session:
                pids.add(session.pid)
                assert session.solve().reason == "optimal"
        assert len(pids) == 1
        with driver.open(form, Options()) as session, driver.open(form, Options()) as other:
            assert session.pid != other.pid
    with driver.open(form, Options()) as session:
        pid = session.pid
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("doing", [["idle"], ["solve"], ["solve", "fork"]])
def test_the_process_ends_with_its_parent(doing: list[str], bad: ModuleType) -> None:
    environment = {**os.environ, "TMPDIR": tempfile.gettempdir()}
    command = [sys.executable, str(bad.__file__), *doing]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.2)
        os.kill(pid, 0)
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 5.0
        while _alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not _alive(pid)
        os.killpg(parent.pid, signal.SIGKILL) if "fork" in doing else None


def _alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state) and not state.startswith("Z")


def test_the_family_is_found_without_proc_too(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    environment = {**os.environ, family.MARK: "here"}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, env=environment, start_new_session=True
    ) as leader:
        for proc in (family.PROC, Path("/no/such/folder")):
            monkeypatch.setattr(family, "PROC", proc)
            deadline = time.monotonic() + 5.0
            while len(members := family.family(leader.pid, "here")) < 2 and time.monotonic() < deadline:
                time.sleep(0.02)
            assert len(members) == 2
            assert leader.pid in members
            assert MEBI < family.resident(members) < 200 * MEBI
        family.kill(leader.pid, "here")
        assert leader.wait() == -signal.SIGKILL


# ── side by side ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_threads_share_one_isolated_driver(bad: ModuleType) -> None:
    expected = [solve(bad.small_knapsack(seed)).objective for seed in range(6)]
    with Isolated(HighsDriver()) as driver, ThreadPoolExecutor(3) as pool:
        found = pool.map(lambda seed: solve(bad.small_knapsack(seed), solver=driver).objective, range(6))
        assert list(found) == pytest.approx(expected)


def test_in_a_pool_of_processes_and_in_a_daemonic_one(bad: ModuleType) -> None:
    context = multiprocessing.get_context("spawn")
    expected = [solve(bad.small_knapsack(seed)).objective for seed in range(2)]
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert list(pool.map(bad.best, range(2))) == pytest.approx(expected)
    ours, theirs = context.Pipe()
    daemon = context.Process(target=bad.report_best, args=(0, theirs), daemon=True)
    daemon.start()
    assert ours.recv() == pytest.approx(expected[0])
    daemon.join()
    daemon.close()
    ours.close()
    theirs.close()


def test_a_fork_takes_processes_of_its_own(bad: ModuleType) -> None:
    environment = {**os.environ, "TMPDIR": tempfile.gettempdir()}
    command = [sys.executable, str(bad.__file__), "forked"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert done.stdout.split() == ["0", "0", "0"], done.stderr


def test_a_copy_works_elsewhere_and_shares_nothing() -> None:
    with Isolated(HighsDriver(), grace=3.0) as driver:
        copy = pickle.loads(pickle.dumps(driver))
        assert (copy.name, copy.grace, copy._idle) == ("highs", 3.0, None)


def test_a_killed_dask_worker_loses_nothing(bad: ModuleType, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    expected = [solve(bad.small_knapsack(seed)).objective for seed in range(6)]
    flags = tmp_path / "flags"
    flags.mkdir()
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        futures = client.map(bad.slowly_best, range(6), flags=str(flags), pure=False)
        while not (flags / "3").exists():
            time.sleep(0.05)
        os.kill(int((flags / "3").read_text()), signal.SIGKILL)
        assert client.gather(futures) == pytest.approx(expected)


# ── drivers by reference ─────────────────────────────────────────────────────────────────────────────────────────────


def test_it_is_a_driver_with_a_hard_memory_limit() -> None:
    driver = Isolated(HighsDriver())
    assert isinstance(driver, Driver)
    assert driver.name == "highs"
    assert driver.support == replace(HighsDriver.support, memory_limit=True)


def test_drivers_that_no_process_can_make_are_refused(bad: ModuleType) -> None:
    class Local(HighsDriver):
        pass

    with pytest.raises(InputError, match=r"Local\) cannot be imported by another process: .* 'oamip.drivers'"):
        Isolated(Local())
    with pytest.raises(InputError, match=r"driver misbehaving\.how is of type function"):
        Isolated(bad.Misbehaving(lambda: None))


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def back(value: Any) -> Any:
    (message,) = wire.Inbox().feed(wire.pack({"value": value}))
    return message["value"]


def full_form() -> StandardForm:
    program = Program()
    x, t = program.variables("x", (2, 3), 0, 4), program.variables("t", 2)
    on = program.variables("on", 2, domain="binary")
    program.add("sum", x.sum(axis=1) <= [1.0, 2.0])
    program.epigraph("soft", LogSumExp(), x, t)
    program.epigraph("squares", SumSquares(), x, t + constant(1.0))
    program.epigraph("switched", Perspective(steepest=50.0), x, t)
    program.indicator("switch", on, x.sum(axis=1) <= 2)
    program.sos1("exclusive", x)
    program.minimize(t.sum() + 0.5)
    return program.compile()


def same(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    if sp.issparse(first):
        return first.shape == second.shape and all(
            same(getattr(first, part), getattr(second, part)) for part in ("data", "indices", "indptr")
        )
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if hasattr(first, "__dataclass_fields__"):
        return all(same(getattr(first, field.name), getattr(second, field.name)) for field in fields(first))
    return type(first) is type(second) and (vars(first) == vars(second) if hasattr(first, "value") else first == second)


def test_every_part_of_a_form_travels_bit_by_bit() -> None:
    form = full_form()
    assert form.kinds == {"log_sum_exp", "sum_squares", "perspective", "indicator", "sos1"}
    assert same(form, back(form))
    outcome = Outcome(
        "gap_limit", np.array([1.0, np.nan]), -math.inf, 3, 0.5, (np.zeros(2),), None, ("odd é",), "log\n"
    )
    assert repr(back(outcome)) == repr(outcome)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.builds(lambda: Path("/a/b")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3).filter(lambda key: key != "@"), inner, max_size=3)
    ),
    max_leaves=8,
)


@hypothesis.given(plain)
def test_plain_values_travel_as_they_are(value: Any) -> None:
    assert repr(back(value)) == repr(value)


@hypothesis.given(st.data())
def test_bytes_that_are_no_message_are_refused_and_nothing_else(data: st.DataObject) -> None:
    packed = bytearray(wire.pack({"form": full_form(), "raw": {"a": [1, 2.0]}}))
    for _ in range(data.draw(st.integers(1, 8))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    inbox = wire.Inbox()
    try:
        cut = data.draw(st.integers(0, len(packed)))
        messages = [*inbox.feed(bytes(packed[:cut])), *inbox.feed(bytes(packed[cut:]))]
    except wire.WireError:
        return
    assert all(isinstance(message, dict) for message in messages)
