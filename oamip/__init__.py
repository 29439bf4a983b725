"""oamip: mathematical optimisation over trained neural networks, on any solver.

    >>> import numpy, torch, oamip
    >>> x = numpy.random.default_rng(0).normal(size=(300, 4)).astype("float32")
    >>> y = (x[:, 0] > x[:, 1]).astype("int64")
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 12), torch.nn.ReLU(), torch.nn.Linear(12, 2))
    >>> result = oamip.prune(net, (x, y), budget="units=0.5")
    >>> result.module[0]
    Linear(in_features=4, out_features=6, bias=True)

`prune` and `score` are the doors for a trained torch module; `read` gives its network, `solve` solves a `Program`.
Everything is imported when it is first used, so that ``import oamip`` loads neither torch nor a solver.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oamip.bounds import Bounds, Box, interval
    from oamip.budget import Budget, Scope
    from oamip.data import Data, Split
    from oamip.decision import Decision, Scores
    from oamip.errors import OamipError
    from oamip.facade import load, prune, score
    from oamip.formulations import Importance, ImportanceOptions
    from oamip.network import Network, find_groups
    from oamip.options import Options
    from oamip.program import Program
    from oamip.pruning.result import Result, Scoring
    from oamip.readers import read
    from oamip.solution import Solution
    from oamip.solving import solve
    from oamip.writers import to_onnx, to_torch

__version__ = "0.1.0"

_HOMES = {
    "Bounds": "oamip.bounds",
    "Box": "oamip.bounds",
    "Budget": "oamip.budget",
    "Data": "oamip.data",
    "Decision": "oamip.decision",
    "Importance": "oamip.formulations",
    "ImportanceOptions": "oamip.formulations",
    "Network": "oamip.network",
    "OamipError": "oamip.errors",
    "Options": "oamip.options",
    "Program": "oamip.program",
    "Result": "oamip.pruning.result",
    "Scope": "oamip.budget",
    "Scores": "oamip.decision",
    "Scoring": "oamip.pruning.result",
    "Solution": "oamip.solution",
    "Split": "oamip.data",
    "find_groups": "oamip.network",
    "interval": "oamip.bounds",
    "load": "oamip.facade",
    "prune": "oamip.facade",
    "read": "oamip.readers",
    "score": "oamip.facade",
    "solve": "oamip.solving",
    "to_onnx": "oamip.writers",
    "to_torch": "oamip.writers",
}

__all__ = [
    "Bounds",
    "Box",
    "Budget",
    "Data",
    "Decision",
    "Importance",
    "ImportanceOptions",
    "Network",
    "OamipError",
    "Options",
    "Program",
    "Result",
    "Scope",
    "Scores",
    "Scoring",
    "Solution",
    "Split",
    "find_groups",
    "interval",
    "load",
    "prune",
    "read",
    "score",
    "solve",
    "to_onnx",
    "to_torch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'oamip' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
