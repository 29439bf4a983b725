"""A process and all that it has started, the executables of its drivers among them; and the memory they take.

Where there is /proc, a mark in the environment tells them, which is inherited whatever becomes of parents, groups and
sessions; elsewhere it is the process group.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

__all__ = ["MARK", "family", "kill", "resident"]

MARK = "OAMIP_PROCESS"  # an environment variable
PROC = Path("/proc")


def family(leader: int, mark: str) -> frozenset[int]:
    """The numbers of the living members, itself included."""
    if not (PROC / "self/environ").exists():
        return frozenset({leader, *(pid for pid, group, _ in _table() if group == leader)})
    wanted = f"{MARK}={mark}\0".encode()
    return frozenset({leader, *(int(pid.name) for pid in PROC.iterdir() if pid.name.isdecimal() and _has(pid, wanted))})


def resident(members: frozenset[int]) -> int:
    """Bytes of resident memory; a process that has ended has none."""
    if not (PROC / "self/statm").exists():
        return sum(size for pid, _, size in _table() if pid in members)
    pages = 0
    for pid in members:
        with suppress(OSError):
            pages += int((PROC / str(pid) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def kill(leader: int, mark: str) -> None:
    """Kill all members, even when the leader has ended already; the caller itself last, if it is one."""
    for pid in family(leader, mark) - {leader, os.getpid()}:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with suppress(ProcessLookupError, PermissionError):  # macOS forbids it for a group of zombies
        os.killpg(leader, signal.SIGKILL)


def _has(folder: Path, wanted: bytes) -> bool:
    try:
        return wanted in (folder / "environ").read_bytes()
    except OSError:  # it is another user's, or has ended meanwhile
        return False


def _table() -> list[tuple[int, int, int]]:
    """Every process with its group and its resident bytes, where there is no /proc."""
    command = ["ps", "-A", "-o", "pid=,pgid=,rss="]
    table = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
    return [(int(pid), int(group), 1024 * int(size)) for pid, group, size in map(str.split, table.splitlines())]
