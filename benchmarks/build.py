"""Seconds and memory from a `Program` to a model inside HiGHS, per backend, against the floor.

The floor fills one CSR matrix from the same coordinates in place and passes it in one call: nothing can do less. Each
backend builds its model, compiles it and opens a session. The runs alternate, so that a busy machine slows all alike;
medians are printed. Memory is what Python allocates at the peak (tracemalloc, in a run of its own, since it slows).

    python benchmarks/build.py --repeats 7
"""

from __future__ import annotations

import argparse
import gc
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import highspy
import numpy as np
import scipy.sparse as sp

from oamip.options import Options
from oamip.program import Program
from oamip.solving import find_backend, find_driver

BACKENDS = ("matrix", "pyomo")


@dataclass(frozen=True)
class Case:
    """A random program: blocks of rows, each over every block of variables, ``density`` of the entries nonzero."""

    name: str
    rows: int
    columns: int
    density: float
    blocks: int

    def program(self, seed: int) -> Program:
        """The program that this seed gives."""
        rng = np.random.default_rng(seed)
        program = Program(self.name)
        width, height = self.columns // self.blocks, self.rows // self.blocks
        parts = [
            program.variables(f"x{number}", width, 0, 1, domain="binary" if number % 2 else "continuous")
            for number in range(self.blocks)
        ]
        for number in range(self.blocks):
            total = sum((self._matrix(rng, height, width) @ part for part in parts), start=0.0)
            program.add(f"r{number}", total <= rng.uniform(1, 5, height))
        program.minimize(sum((part.sum() for part in parts), start=0.0))
        return program

    def _matrix(self, rng: np.random.Generator, height: int, width: int) -> sp.csr_array:
        matrix = sp.random_array((height, width), density=self.density, rng=rng, format="csr")
        matrix.data = rng.normal(size=matrix.nnz)
        return matrix


CASES = (
    Case("tall and sparse", 18_000, 260, 0.047, 4),
    Case("dense", 1_000, 500, 1.0, 2),
    Case("square and sparse", 5_000, 5_000, 0.012, 5),
)


class Floor:
    """One CSR filled in place and one ``passModel``, from the entries as a list of rows."""

    def __init__(self, program: Program) -> None:
        self.form = program.compile()
        self.lengths = np.diff(self.form.A.indptr)

    def __call__(self) -> None:
        """Fill and pass once."""
        form, nonzeros = self.form, self.form.A.nnz
        starts = np.zeros(form.shape[0] + 1, dtype=np.int32)
        np.cumsum(self.lengths, out=starts[1:])
        indices, data = np.empty(nonzeros, dtype=np.int32), np.empty(nonzeros)
        indices[:], data[:] = form.A.indices, form.A.data
        highs = highspy._Highs()
        highs.setOptionValue("output_flag", False)
        sizes = form.shape[1], form.shape[0], nonzeros, 2, 1, form.constant
        columns = form.cost, form.column_lower, form.column_upper
        rows = form.row_lower, form.row_upper
        highs.passModel(*sizes, *columns, *rows, starts, indices, data, form.integer.astype(np.int32))


def through(backend: str, program: Program) -> Callable[[], None]:
    language, driver = find_backend(backend), find_driver("highs")

    def run() -> None:
        form = language.compile(language.build(program))
        driver.open(form, Options()).close()

    return run


def seconds(run: Callable[[], None]) -> float:
    gc.collect()
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def megabytes(run: Callable[[], None]) -> float:
    gc.collect()
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def measure(case: Case, repeats: int, seed: int) -> list[str]:
    program = case.program(seed)
    floor = Floor(program)
    runs: dict[str, Callable[[], None]] = {"floor": floor, **{name: through(name, program) for name in BACKENDS}}
    for run in runs.values():
        run()  # imports and caches
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(seconds(run))
    least = statistics.median(times["floor"])
    rows, columns = floor.form.shape
    size = f"{rows:,} × {columns:,}, {floor.form.A.nnz:,}"
    return [
        f"| {case.name} | {size} | {name} | {1e3 * statistics.median(took):.1f} | "
        f"{statistics.median(took) / least:.1f} | {megabytes(runs[name]):.1f} |"
        for name, took in times.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    packages = ("numpy", "scipy", "highspy", "pyomo")
    print(f"seed {given.seed}, median of {given.repeats}, {platform.machine()}, Python {platform.python_version()}")
    print("; ".join(f"{name} {version(name)}" for name in packages), end="\n\n")
    print("| program | rows × columns, nonzeros | backend | ms | × floor | peak MiB |")
    print("| --- | --- | --- | ---: | ---: | ---: |")
    for case in CASES:
        print("\n".join(measure(case, given.repeats, given.seed)), flush=True)


if __name__ == "__main__":
    main()
