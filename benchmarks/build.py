"""CPU seconds and memory from a network to a model inside HiGHS, per backend and per peer library, against the floor.

The model is "maximise output 0 minus output 1" over the box [−1, 1] of a random dense ReLU network, by interval bounds
and big-M. The floor (`floor.py`) fills one CSR matrix in place and passes it in one call. Ours starts from a `Network`,
embeds it, builds in the language, compiles, and opens a session of HiGHS; a peer starts from its own description of the
network and ends inside HiGHS, or inside its own solver where it has only that. Seconds are those of the CPU, and runs
alternate, so that a busy machine slows all alike; each ratio is the median over rounds of (route ÷ floor in the same
round). Memory is what Python allocates at the peak (tracemalloc, in a run of its own, since it slows).

    python benchmarks/build.py --repeats 7
"""

from __future__ import annotations

import argparse
import gc
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from floor import Layer, floor, random_layers
from peers import peers, torch_module

from oamip import Box, Network, Options, Program, interval, read
from oamip.formulations import embed
from oamip.solving import backend_names, find_backend, find_driver

NETWORKS = ((10, 50, 50, 10), (50, 200, 200, 10), (784, 256, 256, 10))


def extremum(network: Network) -> Program:
    """Maximise output 0 minus output 1 over the box."""
    shape = (1, *network[network.inputs[0]].shape)
    program = Program("extremum")
    x = program.variables("x", shape, -1.0, 1.0)
    bounds = interval(network, Box(np.full(shape, -1.0), np.full(shape, 1.0)))
    output = embed(program, network, bounds, x).output
    program.maximize(output[0, 0] - output[0, 1])
    return program


def through(backend: str, network: Network) -> Callable[[], None]:
    """The whole way through one of our backends."""
    language, driver = find_backend(backend), find_driver("highs")

    def run() -> None:
        form = language.compile(language.build(extremum(network)))
        driver.open(form, Options()).close()

    return run


def seconds(run: Callable[[], Any]) -> float:
    """CPU seconds of one run, with the garbage of earlier ones out of the way; all runs keep to one thread."""
    gc.collect()
    began = time.process_time()
    run()
    return time.process_time() - began


def megabytes(run: Callable[[], Any]) -> float:
    """Peak of what Python allocates in one run."""
    gc.collect()
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def measure(sizes: Sequence[int], repeats: int, seed: int, *, others: bool) -> list[str]:
    """The lines of the table for one network."""
    layers: list[Layer] = random_layers(sizes, seed)
    network = read(torch_module(layers), torch.zeros(1, sizes[0], dtype=torch.float64))
    runs: dict[str, Callable[[], Any]] = {"floor": partial(floor, layers)}
    runs |= {name: through(name, network) for name in ("matrix", *sorted(set(backend_names()) - {"matrix"}))}
    if others:
        runs |= {name: make(layers) for name, (_, make) in peers().items()}
    for run in runs.values():
        run()  # imports and caches
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(seconds(run))
    lines = []
    for name, took in times.items():
        ratios = [mine / least for mine, least in zip(took, times["floor"], strict=True)]
        spread = f"{statistics.median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})"
        net = "-".join(map(str, sizes))
        lines.append(
            f"| {net} | {name} | {1e3 * statistics.median(took):.1f} | {spread} | {megabytes(runs[name]):.1f} |"
        )
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--networks", type=int, default=len(NETWORKS), help="only the first so many")
    parser.add_argument("--no-peers", action="store_true", help="leave other libraries out")
    given = parser.parse_args()
    torch.set_num_threads(1)
    packages = ["numpy", "scipy", "highspy", "pyomo", "cvxpy", "pulp"]
    packages += [] if given.no_peers else [distribution for distribution, _ in peers().values()]
    print(f"seed {given.seed}, {given.repeats} rounds, {platform.machine()}, Python {platform.python_version()}")
    print("; ".join(f"{name} {version(name)}" for name in packages), end="\n\n")
    print("| network | route | CPU ms | × floor (least-most) | peak MiB |")
    print("| --- | --- | ---: | ---: | ---: |")
    for sizes in NETWORKS[: given.networks]:
        print("\n".join(measure(sizes, given.repeats, given.seed, others=not given.no_peers)), flush=True)


if __name__ == "__main__":
    main()
