"""What goes into a pruning run beside data and budget, and what comes out of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from oamip.decision import Decision
from oamip.errors import InputError, ModelFileError, OamipError
from oamip.files import write_atomically
from oamip.pruning.report import Report
from oamip.solution import Solution
from oamip.writers import FORMATS, save

__all__ = ["Result", "Scoring", "checked_formats"]


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

    def save(self, folder: Path | str, formats: Sequence[str] = ("safetensors",)) -> None:
        """Write ``decision.json``, ``report.json``, ``report.md`` and ``model.*`` in each of some formats.

        Every file of the network is loaded again and compared before it takes its place; `oamip.load` opens them all.
        A ``model.*`` of an earlier result that this one does not replace is removed, as it belongs to another decision.

        Args:
            folder: made if it is not there.
            formats: ``safetensors`` (loads without the class), ``pt2`` (a torch.export archive), ``onnx``.

        Raises:
            InputError: an unknown format, before anything is written.
            UnsupportedOperator: the module uses an operator that the one format does not know.
            ModelFileError: one of several formats failed; it is named, and the others are written.
        """
        formats, folder = checked_formats(formats), Path(folder)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; give the name of a folder")
        failed: dict[str, OamipError] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from None
        for name in formats:
            try:
                save(self.module, self.example_input, folder / f"model.{name}")
            except OamipError as error:
                failed[name] = error
        self.decision.save(folder / "decision.json")  # also where no network was written: scoring may have taken hours
        write_atomically(folder / "report.json", json.dumps(self.report.to_dict(), indent=1))
        write_atomically(folder / "report.md", self.report.markdown())
        for name in set(FORMATS) - (set(formats) - failed.keys()):
            stale = folder / f"model.{name}"
            if stale.is_file():
                stale.unlink()
        if failed and len(formats) == 1:
            raise failed[formats[0]]
        if failed:
            reasons = "; ".join(f"model.{name} is not written: {error}" for name, error in failed.items())
            written = ", ".join(f"model.{name}" for name in formats if name not in failed) or "no network"
            raise ModelFileError(f"{reasons} (written to {folder}: {written})") from next(iter(failed.values()))


def checked_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """Names of formats, each once.

    Raises:
        InputError: a name is unknown, or there is none.
    """
    names = (formats,) if isinstance(formats, str) else tuple(dict.fromkeys(formats))
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise InputError(f"no format '{', '.join(unknown)}'; there are {', '.join(FORMATS)}")
    return names
