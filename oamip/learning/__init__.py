"""Training a network with the one loop that everything here trains with, and measuring it.

`train` is the plain way; `fit` is the loop itself: a `Method` says what one batch does to the weights (its loss, its
gradients, its optimiser, a proximal step, pruning while it trains), a `Plan` says how long and how fast, and `fit`
turns the batches, validates, stops early, keeps checkpoints and goes on from them to the very same weights:

    >>> import numpy as np, torch
    >>> from oamip.data import as_data
    >>> from oamip.learning import Descent, Plan, fit
    >>> x = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
    >>> data = as_data((x, (x[:, 0] > x[:, 1]).astype("int64")))
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Linear(4, 2)
    >>> history = fit(net, Descent(net, "adam"), data, Plan(epochs=20, batch=16, learning_rate=0.05))
    >>> history.rows[-1]["accuracy"] > 0.9
    True

``data.train`` trains, ``data.score`` validates, ``data.test`` is never looked at.
"""

from oamip.learning.loop import History, Plan, Row, fit
from oamip.learning.measuring import accuracy, doubt_untrained, evaluating, mean_squared_error, outputs
from oamip.learning.method import OPTIMISERS, Descent, Method, Observed, loss_of
from oamip.learning.plain import Progress, train
from oamip.learning.schedules import Logistic, Schedule, Steps, constant, cosine, parse_schedule

__all__ = [
    "OPTIMISERS",
    "Descent",
    "History",
    "Logistic",
    "Method",
    "Observed",
    "Plan",
    "Progress",
    "Row",
    "Schedule",
    "Steps",
    "accuracy",
    "constant",
    "cosine",
    "doubt_untrained",
    "evaluating",
    "fit",
    "loss_of",
    "mean_squared_error",
    "outputs",
    "parse_schedule",
    "train",
]
