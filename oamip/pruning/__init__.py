"""From a trained module to a smaller one.

`Pruning` is the whole line: read, score, decide, remove, refit, fine-tune, measure. Each step is a function of its own:

* `scoring`: a formulation's name and samples to scores;
* `selection`: scores and a budget, or a threshold, to a decision;
* `removal` (with `coupling`, the adapter to Torch-Pruning): a decision to a smaller module, proven equal to the masked;
* `silent`: units that are constant, or that nobody reads, removed without a change of the outputs;
* `refit` (with `moments`): least squares of the layers behind a removal;
* `finetune`: a few epochs of training;
* `baselines`: simple scores to compare with;
* `measure` and `bench`: quality, size, and times taken in turns; `report` and `wording`: what they mean in words.

Nothing here imports a solver: `Pruning` is given ``solve``.
"""

from oamip.pruning.baselines import BASELINES, baseline
from oamip.pruning.finetune import finetune
from oamip.pruning.measure import Measured, measure
from oamip.pruning.pipeline import Pruning
from oamip.pruning.refit import refit
from oamip.pruning.removal import remove
from oamip.pruning.report import Report
from oamip.pruning.result import Result, Scoring
from oamip.pruning.selection import select, threshold
from oamip.pruning.silent import remove_silent

__all__ = [
    "BASELINES",
    "Measured",
    "Pruning",
    "Report",
    "Result",
    "Scoring",
    "baseline",
    "finetune",
    "measure",
    "refit",
    "remove",
    "remove_silent",
    "select",
    "threshold",
]
