"""Accuracy after pruning on MNIST or Fashion-MNIST: the importance program, the published one, and every baseline.

    python benchmarks/pruning.py --data-dir data [--data mnist] [--networks fc3,lenet5] [--seeds 3] [--train-epochs 5]

For each network and seed (of training, samples and everything else): the reference; `linear` importance with 200
samples at 70, 50 and 30 % of the units kept in every layer; and the published program (intact bounds, cross-entropy,
λ = 5, one sample of each class) at the paper's threshold. Each after removal, after refit, and after one epoch of
fine-tuning, beside all baselines at the same budget (or, for the threshold, at the same counts in every layer), removed
and refitted.

One JSON line for each run is appended to --out; runs that are there already are not repeated. Prints Markdown tables
with mean ± standard deviation over seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import defaultdict
from pathlib import Path

import torch

from oamip.budget import Budget
from oamip.data import load
from oamip.formulations import ImportanceOptions
from oamip.models import open_model
from oamip.pruning.baselines import BASELINES
from oamip.pruning.pipeline import Pruning
from oamip.pruning.result import Scoring
from oamip.solving import solver_for

THRESHOLD = defaultdict(lambda: 0.1, lenet5=0.2)
STAGES = ("removed", "refit", "fine-tuned")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--networks", default="fc3,lenet5")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train-epochs", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--out", type=Path, default=Path("runs/pruning.jsonl"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    done = [json.loads(line) for line in args.out.read_text().splitlines()] if args.out.exists() else []
    for network in args.networks.split(","):
        for seed in range(args.seeds):
            for keep in (0.7, 0.5, 0.3, None):
                key = {"data": args.data, "network": network, "seed": seed, "keep": keep, "epochs": args.train_epochs}
                if any(all(run[name] == value for name, value in key.items()) for run in done):
                    continue
                done.append({**key, **prune(args, network, seed, keep)})
                with args.out.open("a") as file:
                    file.write(json.dumps(done[-1]) + "\n")
    for network in args.networks.split(","):
        for keep in (0.7, 0.5, 0.3, None):
            runs = [r for r in done if r["network"] == network and r["keep"] == keep and r["data"] == args.data]
            print_table(network, keep, runs)


def prune(args: argparse.Namespace, network: str, seed: int, keep: float | None) -> dict[str, object]:
    data = load(args.data, data_dir=args.data_dir, seed=seed)
    module = open_model(network, data=data, seed=seed, epochs=args.train_epochs, cache=args.cache)
    job = Pruning(module, data, solver_for("matrix", "highs"), network, seed=seed)
    started = time.perf_counter()
    if keep is None:
        scores, solutions = job.score(Scoring(steps="once"), ImportanceOptions.published())
        scored = time.perf_counter() - started
        result = job.run(scores=scores, tau=THRESHOLD[network], epochs=1, baselines=BASELINES)  # type: ignore[arg-type]
    else:
        budget = Budget("units", keep, "layer")
        scores, solutions = job.score(budget=budget)
        scored = time.perf_counter() - started
        result = job.run(scores=scores, budget=budget, epochs=1, baselines=BASELINES)  # type: ignore[arg-type]
    rows = {f"{row.name}|{row.stage}": row.measured.score for row in result.report.rows}
    measured = result.report.result.measured
    return {
        "rows": rows,
        "params": measured.params / result.report.original.params,
        "macs": measured.macs / result.report.original.macs,
        "units": (measured.units or 0) / job.groups.size,
        "speed": result.report.original.seconds / measured.seconds,
        "scoring_seconds": scored,
        "reason": solutions[-1].reason if solutions else "",
    }


def print_table(network: str, keep: float | None, runs: list[dict[str, dict[str, float]]]) -> None:
    if not runs:
        return
    name = (
        f"published program, τ = {THRESHOLD[network]}"
        if keep is None
        else f"{keep:.0%} of the units of every layer kept"
    )
    share = {key: spread([run[key] for run in runs]) for key in ("units", "params", "macs")}  # type: ignore[misc]
    seconds = statistics.median(run["scoring_seconds"] for run in runs)  # type: ignore[type-var]
    print(
        f"\n**{network}, {name}** ({len(runs)} seeds): kept units {share['units']}, parameters {share['params']}, ",
        end="",
    )
    print(f"MACs {share['macs']} %; scoring {seconds:.1f} s\n")
    print("| method | removed | + refit | + 1 epoch |\n| --- | ---: | ---: | ---: |")
    cells: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for label, score in run["rows"].items():
            method, stage = label.split("|")
            cells[method][stage].append(score)
    for method, stages in cells.items():
        if method == "reference":
            print(f"| reference (intact) | {spread(stages[''])} | | |")
        else:
            print(f"| {method} | " + " | ".join(spread(stages[s]) if s in stages else "" for s in STAGES) + " |")


def spread(values: list[float]) -> str:
    deviation = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{deviation}"


if __name__ == "__main__":
    main()
