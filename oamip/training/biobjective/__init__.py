"""Cross-entropy against the L1 norm: training with two objectives, and the front between them.

    min_w ( f1(w), f2(w) )      f1 = mean loss,  f2 = ‖chosen kernels‖₁

Reiners, Klamroth and Stiglmayr, arXiv 2008.13590. What one training does is a `oamip.learning.Method`:

* `objectives`: f1, f2 and their gradients; `zeroing`: small weights become zero after every batch;
* `methods`: `WeightedSum` and `MultiGradient`, with the update `rules` and the common descent `direction`.

What many trainings give is a `Front`:

* `trainer`: one solve, from weights to a `point`, kept on disk; `search`: which weights next; `tracing`: all of it;
* `pareto`: efficient points, hypervolume, knees; `front`: the points as data; `plot`: as a picture;
* `dead`: a point as a network without the units that died.

    >>> import tempfile, torch
    >>> from pathlib import Path
    >>> from oamip.data import load
    >>> from oamip.learning import Plan
    >>> from oamip.training.biobjective import Search, Trainer, trace
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     trainer = Trainer(net, load("digits"), Path(folder), Plan(epochs=3, batch=64, learning_rate=0.03))
    ...     front = trace(trainer, Search("grid", solves=3))
    >>> [point.nonzeros for point in front.points] == sorted(point.nonzeros for point in front.points)
    True
"""

from oamip.training.biobjective.dead import compact, count_dead
from oamip.training.biobjective.direction import least_norm
from oamip.training.biobjective.front import Front
from oamip.training.biobjective.methods import MultiGradient, WeightedSum
from oamip.training.biobjective.objectives import Objectives
from oamip.training.biobjective.plot import draw
from oamip.training.biobjective.point import Point
from oamip.training.biobjective.tracing import Search, trace
from oamip.training.biobjective.trainer import Recipe, Trainer
from oamip.training.biobjective.zeroing import Zeroing

__all__ = [
    "Front",
    "MultiGradient",
    "Objectives",
    "Point",
    "Recipe",
    "Search",
    "Trainer",
    "WeightedSum",
    "Zeroing",
    "compact",
    "count_dead",
    "draw",
    "least_norm",
    "trace",
]
