"""Cross-entropy against the L1 norm: the front of a LeNet-5 on MNIST, its knee, and SMGD beside it.

    python benchmarks/biobjective.py --data-dir data [--search-epochs 10] [--epochs 20] [--solves 14]

The network is that of Reiners, Klamroth and Stiglmayr (arXiv 2008.13590): two convolutions, 6 and 16 filters of 3 × 3,
each with ReLU and average pooling, then dense layers of 120, 84 and 10: 58,920 dense weights. Adam, batches of 128 (the
authors: 32), logistic schedule, ridge 1e-4 on the convolutions, threshold 1e-3. The knee is trained again for all
epochs, and so is a network with the authors' hand-tuned weight; stochastic multi-gradient is trained as long as one
point of the front.

Everything solved is kept under --out and not solved again. Prints Markdown tables; seconds are those that the training
had a processor, one thread.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import nn

from oamip.data import load
from oamip.learning import Logistic, Plan, accuracy
from oamip.models import BUILT_IN
from oamip.training.biobjective.front import Front
from oamip.training.biobjective.plot import draw
from oamip.training.biobjective.point import Point
from oamip.training.biobjective.tracing import Search, trace
from oamip.training.biobjective.trainer import Recipe, Trainer

HAND_TUNED = 3e-4
"""The authors' weight of the norm where there is one objective."""

MULTI_GRADIENT = (  # optimiser, moments, learning rate
    ("adam", "joint", 3e-3),
    ("sgd", "joint", 0.05),
    ("adam", "separate", 1e-2),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="mnist", help="mnist or fashion; digits takes digits-mlp, as a quick trial")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--search", default="dichotomic")
    parser.add_argument("--solves", type=int, default=14)
    parser.add_argument("--search-epochs", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/biobjective"))
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    module = BUILT_IN["digits-mlp"].build() if args.data == "digits" else lenet5()
    plan = Plan(args.search_epochs, args.batch, 3e-3, schedule=Logistic(), seed=args.seed)
    data = partial(load, args.data, data_dir=args.data_dir, seed=args.seed)
    trainer = Trainer(module, data, args.out, plan, Recipe(ridge=1e-4))
    how = Search(args.search, solves=args.solves, seed=args.seed)
    front = trace(trainer, how, full_epochs=args.epochs, tell=lambda text: print(text, flush=True))
    (args.out / "front.svg").write_text(draw(front, "svg").decode())
    baseline = trainer.for_epochs(args.epochs)((1.0 - HAND_TUNED, HAND_TUNED))
    print_front(front, baseline, accuracy(trainer.open(baseline), trainer.open_data().test))
    others = [(name, multi_gradient(trainer, *name)) for name in MULTI_GRADIENT]
    print_others(others, trainer)


def lenet5() -> nn.Module:
    """The published network for MNIST: valid padding, 400 features before the dense layers."""
    layers = [nn.Conv2d(1, 6, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 3), nn.ReLU(), nn.AvgPool2d(2)]
    head = [nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]
    return nn.Sequential(*layers, nn.Flatten(), *head)


def multi_gradient(trainer: Trainer, optimiser: str, moments: str, rate: float) -> Point:
    recipe = replace(trainer.recipe, optimiser=optimiser, moments=moments)  # type: ignore[arg-type]
    return replace(trainer, recipe=recipe, plan=replace(trainer.plan, learning_rate=rate))(None)


def print_front(front: Front, baseline: Point, tested: float) -> None:
    efficient, total = set(front.efficient), front.facts["weights"]
    print("\n| point | λ2 | f1 | f2 | validation accuracy | test accuracy | non-zeros | dead units | epochs | CPU s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    rows = [(str(n) + ("" if n in efficient else ", dominated"), p) for n, p in enumerate(front.points)]
    for name, point in [*rows, *([("knee, trained on", front.final)] if front.final else [])]:
        knee = ", knee" if name == str(front.knee) else ""
        print(row(name + knee, f"{point.weights[1]:.3g}", point, point.test, total))
    print(row("tuned by hand", f"{HAND_TUNED:.3g}", baseline, tested, total))
    print(
        f"\nHypervolume {front.hypervolume:.1f} below (f1, f2) = ({front.reference[0]:.4f}, {front.reference[1]:.1f});"
    )
    print(f"knees {front.knees}; points that dominate the knee trained on: {list(front.better_than_final)}")
    print(f"CPU seconds of all solves: {sum(p.cpu for p in front.points):.0f}; {front.facts['versions']}")


def print_others(points: list[tuple[tuple[str, str, float], Point]], trainer: Trainer) -> None:
    total, test = trainer.recipe.objectives(trainer.module).size, trainer.open_data().test
    print("\n| SMGD | c2, first to last epoch | f1 | f2 | validated | test | non-zeros | dead units | epochs | CPU s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for (optimiser, moments, rate), point in points:
        tested = accuracy(trainer.open(point), test)
        name = f"{optimiser}, {moments} moments, rate {rate:g}"
        print(row(name, f"{point.c2[0]:.2g}, {point.c2[-1]:.2g}", point, tested, total))


def row(name: str, weight: str, point: Point, test: float | None, total: int) -> str:
    right = " | ".join("" if value is None else f"{100 * value:.2f} %" for value in (point.accuracy, test))
    nonzeros = f"{point.nonzeros:,} ({100 * point.nonzeros / total:.1f} %)"
    cells = (name, weight, f"{point.f1:.4f}", f"{point.f2:.1f}", right, nonzeros, point.dead, point.epochs)
    return f"| {' | '.join(map(str, cells))} | {point.cpu:.0f} |"


if __name__ == "__main__":
    main()
