"""Structured perspective regularisation (SPR): whole filters and neurons become zero while a network is trained.

The mixed-integer model behind it keeps (y_i = 1) or drops each group of weights w_i (a filter, a neuron):

    min  loss + λ Σ_i share_i [ α‖w_i‖² + (1−α) y_i ],    |w_i| ≤ M y_i,   y_i ∈ {0, 1},   share_i = |E_i| / Σ|E|

Its perspective relaxation, y projected out, is a regulariser in w alone: `SPR`. It is exact, it is used in anybody's
loop or in ours (`Regularised`), and its proximal step makes groups exactly zero:

    >>> import torch
    >>> from oamip.training.spr import SPR
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> penalty = SPR.of(net, torch.randn(2, 4), reference=1.0, alpha=0.1)
    >>> len(penalty.groups), float(penalty().detach()) > 0
    (8, True)
    >>> penalty.prox_(5.0)
    >>> int(penalty.groups.silent().sum()) > 0
    True

* `groups`: which weights live and die together; `bounds`: M, from a reference network;
* `terms`: values and proximal maps of single groups; `penalties`: over a whole module, with group lasso, ridge and the
  plain big-M relaxation to compare with;
* `method`: training under a penalty; `threshold`: the authors' cut after subgradients; `removal`: a smaller network;
* `recipe`: all of it in one call.
"""

from oamip.training.spr.bounds import weight_bounds
from oamip.training.spr.groups import WeightGroups
from oamip.training.spr.method import Held, Regularised
from oamip.training.spr.penalties import SPR, BigMRelaxation, GroupLasso, Penalty, Ridge
from oamip.training.spr.recipe import PENALTIES, Counts, Recipe, Trained, train_and_shrink
from oamip.training.spr.removal import shrink
from oamip.training.spr.threshold import Cut, cut_groups

__all__ = [
    "PENALTIES",
    "SPR",
    "BigMRelaxation",
    "Counts",
    "Cut",
    "GroupLasso",
    "Held",
    "Penalty",
    "Recipe",
    "Regularised",
    "Ridge",
    "Trained",
    "WeightGroups",
    "cut_groups",
    "shrink",
    "train_and_shrink",
    "weight_bounds",
]
