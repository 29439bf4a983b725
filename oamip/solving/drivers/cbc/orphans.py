"""A program that we run must not outlive us, even if we are killed and can do nothing about it any more.

A shell waits at the other end of a pipe that only we hold open. When we are gone, for whatever reason, it reads the end
of the pipe and ends the program's process group. That works wherever there is a shell, and runs no Python between fork
and exec, as a death signal asked of Linux (``PR_SET_PDEATHSIG``) would.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["ended_with_us"]

WATCH = 'read -r _; kill -KILL -"$1"'


@contextmanager
def ended_with_us(group: int) -> Iterator[None]:
    """Within the block, a process group that is ended when this process is."""
    watcher = subprocess.Popen(  # noqa: S603  # the one argument is a number
        ["/bin/sh", "-c", WATCH, "sh", str(group)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # what ends our group must not end it
    )
    try:
        yield
    finally:
        watcher.kill()  # before the pipe is closed: the group may be another's by now
        watcher.wait()
        assert watcher.stdin is not None
        watcher.stdin.close()
