"""Size and time of the importance programs, on every backend: build, compile, solve, peak memory.

    python benchmarks/importance.py --data-dir data [--repeats 3]

Networks are the built-in ones, trained here (two epochs on MNIST); samples are ten, one of each class, by seed 0. Each
row is a fresh process that has solved a tiny program first, backends alternate, figures are medians. Peak memory is
what the process grew by from just before the program was built. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path

NETWORKS = {"digits-mlp": "digits", "digits-cnn": "digits", "fc3": "mnist", "lenet5": "mnist"}
PROGRAMS = {
    "published": {"bounds": "intact", "loss": "cross_entropy", "sparsity": "published"},
    "intact hinge": {"bounds": "intact", "loss": "hinge", "sparsity": "normalised"},
    "linear": {"bounds": "linear"},
}
BACKENDS = ("matrix", "pyomo")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--time-limit", type=float, default=120)
    parser.add_argument("--one", nargs=3, metavar=("NETWORK", "PROGRAM", "BACKEND"), help="one cell, in this process")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(*args.one, args)))
        return
    print(
        "| network | program | backend | rows × columns | nonzeros | objective | build s | compile s | solve s | MiB |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for network, data in NETWORKS.items():
        if data == "mnist" and args.data_dir is None:
            continue
        for program in PROGRAMS:
            runs: dict[str, list[dict[str, float]]] = {backend: [] for backend in BACKENDS}
            for _ in range(args.repeats):
                for backend in BACKENDS:
                    runs[backend].append(child(network, program, backend))
            for backend in BACKENDS:
                print(row(network, program, backend, runs[backend]), flush=True)


def child(*cell: str) -> dict[str, float]:
    """One cell in a fresh process, with the same flags."""
    output = subprocess.run([sys.executable, *sys.argv, "--one", *cell], check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(output.stdout.splitlines()[-1])
    return result


def measure(network: str, program: str, backend: str, args: argparse.Namespace) -> dict[str, float | str]:
    import time

    import torch

    from oamip.data import load
    from oamip.formulations import Importance, ImportanceOptions
    from oamip.models import open_model
    from oamip.options import Options
    from oamip.program import Program
    from oamip.pruning.pipeline import Pruning
    from oamip.solving import solver_for

    torch.set_num_threads(1)
    data = load(NETWORKS[network], data_dir=args.data_dir)
    module = open_model(network, data=data, epochs=None if NETWORKS[network] == "digits" else 2, cache=args.cache)
    solve = solver_for(backend, "highs")
    job = Pruning(module, data, solve)
    x, y = job.samples(10)
    warm = Program()  # importing the language is not building with it
    warm.minimize(warm.variables("x", 1, 0, 1).sum())
    solve(warm)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    formulation = Importance(job.scoped, x, y, ImportanceOptions(**PROGRAMS[program]))  # type: ignore[arg-type]
    started = time.perf_counter()
    built = formulation.program()
    embedded = time.perf_counter() - started
    solution = solve(built, Options(time_limit=args.time_limit))
    if solution.held != "none":
        formulation.interpret(solution)
    return {
        "objective": solution.objective,
        "reason": solution.reason,
        "rows": solution.rows,
        "columns": solution.columns,
        "nonzeros": solution.nonzeros,
        "build": embedded + solution.seconds.build,
        "compile": solution.seconds.compile,
        "solve": solution.seconds.solve,
        "rounds": solution.rounds,
        "memory": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    }


def row(network: str, program: str, backend: str, runs: list[dict[str, float]]) -> str:
    first = runs[0]
    middle = {key: statistics.median(run[key] for run in runs) for key in ("build", "compile", "solve", "memory")}
    size = f"{first['rows']:,.0f} × {first['columns']:,.0f} | {first['nonzeros']:,.0f}"
    note = "" if first["reason"] == "optimal" else f" ({first['reason']})"
    rounds = f" ({first['rounds']:.0f} rounds)" if first["rounds"] > 1 else ""
    return (
        f"| {network} | {program} | {backend} | {size} | {first['objective']:.6f}{note} | {middle['build']:.2f} "
        f"| {middle['compile']:.2f} | {middle['solve']:.2f}{rounds} | {middle['memory']:.0f} |"
    )


if __name__ == "__main__":
    main()
