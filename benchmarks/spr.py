"""Training small: structured perspective regularisation beside group lasso, the big-M penalty, and ridge + magnitude.

    python benchmarks/spr.py grid --data digits
    python benchmarks/spr.py grid --data mnist --data-dir ../shared/data --samples 10000 --epochs 6 --begin trained
    python benchmarks/spr.py grid --data cifar10 --data-dir ../shared/data --weights resnet20_cifar10.th
    python benchmarks/spr.py relaxation

``grid`` prints a Markdown table, row by row as runs end: accuracy of the test part against parameters removed. All runs
take proximal steps from one seed, SGD with momentum 0.9 and a cosine schedule, then fine-tuning with the groups gone.
CIFAR-10 begins with the trained ResNet-20 (`--weights`), the others with random weights, or with the plainly trained
network (`--begin trained`), which needs fewer epochs.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from oamip.budget import Budget
from oamip.data import Data, load
from oamip.learning import Descent, Plan, accuracy, constant, cosine, fit
from oamip.models import open_model
from oamip.network import find_groups
from oamip.pruning import baseline, remove, select
from oamip.readers import read
from oamip.training.spr import Recipe, train_and_shrink

GRIDS: dict[str, dict[str, list[tuple[float, float]]]] = {  # (λ, α)
    "digits": {
        "spr": [(lam, alpha) for alpha in (0.01, 0.1, 0.5) for lam in (1, 3, 6, 12)],
        "bigm": [(12, 0.1), (12, 0.5)],
        "group-lasso": [(lam, 0.5) for lam in (3, 6, 12, 24)],
    },
    "mnist": {
        "spr": [(lam, alpha) for alpha in (0.1, 0.5) for lam in (5, 10, 20)],
        "bigm": [(20, 0.1), (10, 0.5)],
        "group-lasso": [(10, 0.5), (20, 0.5)],
    },
    "cifar10": {"spr": [(100, 0.1), (200, 0.1)]},
}
NETWORKS = {"digits": "digits-cnn", "mnist": "lenet5"}


# ── CIFAR-10 ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def cifar10(folder: Path, samples: int, seed: int) -> Data:
    """Training images by seed, 1,000 for validation, the first 2,000 of the test batch; as the network was trained."""
    data = load("cifar10", data_dir=folder, seed=seed)
    data = data.normalised(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    parts = {"train": samples, "score": 1000, "test": 2000}
    return replace(data, **{name: getattr(data, name).take(np.arange(count)) for name, count in parts.items()})


def flip_and_crop(x: Tensor) -> Tensor:
    """Each image flipped half of the time, and a crop of 32 × 32 out of 40 × 40 padded by zeros."""
    n, size = len(x), x.shape[-1]
    x = torch.where(torch.rand(n, 1, 1, 1) < 0.5, x.flip(3), x)
    padded = functional.pad(x, (4, 4, 4, 4))
    i, j = torch.randint(0, 9, (2, n))
    rows, columns = i[:, None] + torch.arange(size), j[:, None] + torch.arange(size)
    return padded[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


# ── the grid ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def grid(args: argparse.Namespace) -> None:
    if args.data == "cifar10":
        data = cifar10(args.data_dir, args.samples or 5000, args.seed)
        reference = open_model("resnet20", weights=args.weights)

        def start() -> nn.Module:
            return copy.deepcopy(reference)

        plan = Plan(args.epochs or 2, 128, 0.05, cosine, seed=args.seed, augment=flip_and_crop)
    else:
        data = load(args.data, data_dir=args.data_dir, seed=args.seed)
        if args.samples:
            data = replace(data, train=data.train.take(np.arange(args.samples)))
        spec = NETWORKS[args.data]

        def start() -> nn.Module:
            return open_model(spec, data=data, epochs=0, seed=args.seed + 1)

        plan = Plan(args.epochs or 20, 32 if args.data == "digits" else 128, 0.1, cosine, seed=args.seed)
        reference = start()
        fit(reference, Descent(reference, "sgd", momentum=0.9), data, replace(plan, validate=False))
        if args.begin == "trained":

            def start() -> nn.Module:
                return copy.deepcopy(reference)

    origin = "trained" if args.data == "cifar10" else args.begin
    print(
        f"{args.data}: {len(data.train):,} samples, {plan.epochs} epochs from {origin} weights and {args.finetune} of "
        f"fine-tuning, batches of {plan.batch}, learning rate {plan.learning_rate}; the plain network gets "
        f"{accuracy(reference, data.test):.2%} of {len(data.test):,} right\n"
    )
    print("| method | λ | α | parameters removed | of their own | MACs removed | removed | fine-tuned | CPU s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    common = {"finetune": args.finetune, "finetune_rate": 0.2 * plan.learning_rate}
    sizes = set()
    grid = {args.only or "spr": [(args.lam, args.alpha)]} if args.lam else GRIDS[args.data]
    wanted = [(penalty, *pair) for penalty, pairs in grid.items() for pair in pairs]
    for penalty, lam, alpha in wanted:
        if args.only not in (None, penalty):
            continue
        begun = time.process_time()
        recipe = Recipe(penalty, lam, alpha, **common)
        result = train_and_shrink(start(), data, recipe, plan, reference=reference)
        counts, rows = result.counts, {str(row): row.measured for row in result.report.rows}
        last = rows.get(f"{penalty}, fine-tuned", rows[f"{penalty}, removed"])
        row(penalty, lam, alpha, counts, rows[f"{penalty}, removed"].score, last.score, begun)
        if penalty == "spr" and counts.params[1] < counts.params[0]:
            sizes.add(counts.params[1])
    if args.only is None:
        magnitude(data, plan, args, start, sorted(sizes, reverse=True))


def row(name: str, lam: float, alpha: float, counts: Any, removed: float, tuned: float, begun: float) -> None:
    (before, after), macs = counts.params, counts.macs
    shares = (1 - after / before, counts.own / before, 1 - macs[1] / macs[0])
    alpha_told = f"{alpha:g}" if name in ("spr", "bigm") else ""
    cells = [name, f"{lam:g}", alpha_told, *(f"{share:.1%}" for share in shares), f"{removed:.2%}", f"{tuned:.2%}"]
    print(f"| {' | '.join(cells)} | {time.process_time() - begun:.0f} |", flush=True)


def magnitude(
    data: Data, plan: Plan, args: argparse.Namespace, start: Callable[[], nn.Module], sizes: list[int]
) -> None:
    """One run under the ridge, then the filters and neurons of least norm go, down to the sizes that SPR reached."""
    begun = time.process_time()
    module = start()
    trained = train_and_shrink(module, data, Recipe("ridge", args.ridge), plan)
    example = trained.example_input
    groups = find_groups(read(module, example))
    before = trained.counts.params[0]
    for size in sizes[:: max(1, len(sizes) // 4)]:
        scores = baseline("l2", groups.network, groups, data.score.x[:10], seed=0)
        decision = select(scores, groups, Budget("params", size))
        small = remove(module, example, groups, decision)
        removed = accuracy(small, data.test)
        tuned = copy.deepcopy(small)
        how = replace(plan, epochs=args.finetune, learning_rate=0.2 * plan.learning_rate, schedule=constant)
        fit(tuned, Descent(tuned, "sgd", momentum=0.9), data, how)
        share = 1 - sum(parameter.numel() for parameter in small.parameters()) / before
        cells = ["ridge + magnitude", f"{args.ridge:g}", "", f"{share:.1%}", "", "", f"{removed:.2%}"]
        cells += [f"{accuracy(tuned, data.test):.2%}", f"{time.process_time() - begun:.0f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


# ── how much weaker the plain big-M relaxation is ────────────────────────────────────────────────────────────────────


def relaxation(args: argparse.Namespace) -> None:
    """Regression on scikit-learn's diabetes data: ten features and their squares, a switch for each feature."""
    from sklearn.datasets import load_diabetes

    from oamip import Options, solve
    from oamip.formulations import LayerFit

    x, y = load_diabetes(return_X_y=True)
    chosen = np.random.default_rng(args.seed).permutation(len(x))[:80]
    x = np.column_stack([x, x**2])[chosen]
    x, y = (x - x.mean(axis=0)) / x.std(axis=0), (y[chosen] - y[chosen].mean()) / y[chosen].std()
    groups = np.tile(np.arange(10), 2)
    print("| λ | α | features | big-M | perspective | optimum | big-M closes | perspective closes |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for alpha in (0.01, 0.1, 0.5):
        for lam in (0.2, 0.5, 1.0):
            model = LayerFit(x, y[:, None], groups, 1.0, lam, alpha)
            plain, tight, whole, free = (
                solve(one.program(), Options(gap_relative=1e-6), solver="cplex")
                for one in (
                    replace(model, relaxed=True, ridge="bigm"),
                    replace(model, relaxed=True),
                    model,
                    replace(model, lam=0.0, relaxed=True),
                )
            )
            assert {one.held for one in (plain, tight, whole, free)} == {"proven"}
            kept = int(model.interpret(whole).keep.sum())
            shares = [(one.objective - free.objective) / (whole.objective - free.objective) for one in (plain, tight)]
            cells = [f"{lam:g}", f"{alpha:g}", f"{kept} of 10"]
            cells += [*(f"{one.objective:.4f}" for one in (plain, tight, whole)), *(f"{share:.0%}" for share in shares)]
            print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["grid", "relaxation"])
    parser.add_argument("--data", choices=list(GRIDS), default="digits")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--samples", type=int, help="training samples; all by default, 5,000 for cifar10")
    parser.add_argument("--epochs", type=int, help="20 by default, 2 for cifar10")
    parser.add_argument("--finetune", type=int, default=1)
    parser.add_argument("--begin", choices=["random", "trained"], default="random", help="with which weights")
    parser.add_argument("--only", choices=["spr", "bigm", "group-lasso"], help="only the rows of this penalty")
    parser.add_argument("--lam", type=float, help="only this λ, and --alpha, in place of a grid")
    parser.add_argument("--alpha", type=float, default=0.1)
    parser.add_argument("--ridge", type=float, default=0.1, help="λ of the ridge before magnitude decides")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    {"grid": grid, "relaxation": relaxation}[args.what](args)


if __name__ == "__main__":
    main()
