"""Several networks on one bench: the same samples, and times taken in turns.

Machines are noisy and slow down and recover within seconds. Timing one network after the other would credit that to
the networks, so all are timed in rounds and each gets the median of its rounds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from oamip.data import Split
from oamip.pruning.measure import Measured, Row, Stage, latencies, measure

__all__ = ["Bench"]


@dataclass
class Bench:
    """Collects networks and measures them.

    Args:
        split: what they are measured on.
        batch: samples in each forward pass that is timed.
        threads: torch's, while timing.
    """

    split: Split
    batch: int = 32
    threads: int = 1
    _rows: list[Row] = field(default_factory=list)
    _modules: list[nn.Module] = field(default_factory=list)

    def add(self, name: str, stage: Stage, module: nn.Module, units: int, *, baseline: bool = False) -> Measured:
        """Measure quality and size now; weights may change afterwards, the size, and so the time, may not."""
        measured = measure(
            module, self.split.x, self.split.y, units=units, batch=self.batch, threads=self.threads, rounds=0
        )
        self._rows.append(Row(name, stage, measured, baseline))
        self._modules.append(module)
        return measured

    def rows(self) -> list[Row]:
        """All rows, with times."""
        distinct = list(dict.fromkeys(self._modules))
        times = dict(zip(distinct, latencies(distinct, self._batch(), threads=self.threads), strict=True))
        return [
            replace(row, measured=replace(row.measured, **asdict(times[module])))
            for row, module in zip(self._rows, self._modules, strict=True)
        ]

    def _batch(self) -> torch.Tensor:
        some: NDArray[Any] = np.resize(self.split.x, (self.batch, *self.split.shape))
        return torch.from_numpy(some)
