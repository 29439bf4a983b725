"""What goes into a pruning run beside data and budget, and what comes out of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from oamip.decision import Decision
from oamip.errors import InputError
from oamip.files import write_atomically
from oamip.pruning.report import Report
from oamip.readers import saved
from oamip.solution import Solution

__all__ = ["Result", "Scoring"]


@dataclass(frozen=True)
class Scoring:
    """How units are scored.

    Args:
        formulation: name of a scoring formulation (`oamip.pruning.scoring`), or of a baseline such as ``l2``.
        samples: how many samples of ``data.score`` it sees, as many of each class; by default 200, or one per class for
            the published program (``bounds`` other than ``linear``).
        by_class: one program per class, scores averaged.
        steps: share of the units removed between linearisations; ``auto`` takes 0.1 when more than 40 % of the units
            must go or convolutions are scored; ``once`` scores once.
    """

    formulation: str = "importance"
    samples: int | None = None
    by_class: bool = False
    steps: float | Literal["auto", "once"] = "auto"


@dataclass(frozen=True)
class Result:
    """What pruning gave.

    Args:
        module: the smaller module, of the user's own class.
        decision: which units stay, with the scores.
        report: before and after, beside baselines.
        solution: of the last program that was solved; ``None`` when no solver was asked.
    """

    module: nn.Module
    decision: Decision
    report: Report
    solution: Solution | None
    example_input: torch.Tensor

    def save(self, folder: Path | str) -> None:
        """Write ``model.safetensors`` (loads without the class), ``decision.json``, ``report.json``, ``report.md``.

        Raises:
            UnsupportedOperator: the module uses an operator that the file format does not know.
        """
        folder = Path(folder)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; give the name of a folder")
        self.decision.save(folder / "decision.json")
        write_atomically(folder / "report.json", json.dumps(self.report.to_dict(), indent=1))
        write_atomically(folder / "report.md", self.report.markdown())
        saved.save(self.module, self.example_input, folder / "model.safetensors")
