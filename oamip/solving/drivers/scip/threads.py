"""A fixed number of threads for nonlinear programs, because SCIP dies in the 64th thread that evaluates one.

SCIP 10 numbers the threads in which it differentiates (with CppAD), never takes a number back, and has 64 of them. A
`Watch` starts a thread for every run, so nonlinear runs are handed on to threads that stay. Linear ones need no number.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

__all__ = ["in_lasting_thread"]

THREADS = 16  # a forked process goes on counting where its parent stood


def in_lasting_thread(work: Callable[[], None]) -> None:
    """Do ``work`` in one of the threads that stay, and wait for it; when all are busy, for one of them as well."""
    _lasting.submit(work).result()


def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="nonlinear")


def _begin_anew() -> None:
    global _lasting
    _lasting = _pool()


_lasting = _pool()
os.register_at_fork(after_in_child=_begin_anew)  # threads do not survive a fork, and the pool would wait for them
