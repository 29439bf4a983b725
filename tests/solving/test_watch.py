"""A watched run stops when it must, and whoever fails meanwhile is heard."""

from __future__ import annotations

import math
import threading

import pytest

from oamip.options import Options, Progress
from oamip.solving.watch import Watch


@pytest.mark.parametrize("minimise", [True, False])
def test_targets_are_met_when_they_are_reached_exactly(minimise: bool) -> None:
    sign = 1.0 if minimise else -1.0
    for options, seen in (
        (Options(stop_at_bound=sign * 5.0), (math.nan, sign * 5.0)),
        (Options(stop_at_objective=sign * 5.0), (sign * 5.0, math.nan)),
    ):
        watch: Watch[None] = Watch(options, minimise=minimise)
        watch.saw(seen[0] + sign, seen[1] - sign, 1)  # not yet
        assert watch.stopped is None
        watch.saw(*seen, 1)
        assert watch.stopped == "objective_limit"


def test_a_solver_that_is_only_halted_from_outside_ends_when_progress_fails() -> None:
    halted = threading.Event()

    def fail(progress: Progress) -> bool:
        raise RuntimeError("mine")

    watch: Watch[bool] = Watch(Options(progress=fail), minimise=True, halt=halted.set)
    with pytest.raises(RuntimeError, match="mine"):
        watch.run(lambda: halted.wait(20))
    assert halted.is_set()


def test_the_first_reason_counts() -> None:
    watch: Watch[None] = Watch(Options(), minimise=True)
    watch.stop("objective_limit")
    watch.stop("interrupted")
    assert watch.stopped == "objective_limit"


def test_a_second_run_is_waited_for_as_the_first_was() -> None:
    watch: Watch[int] = Watch(Options(), minimise=True)
    assert watch.run(lambda: 1) == 1
    assert watch.run(lambda: threading.Event().wait(0.2) or 2) == 2
