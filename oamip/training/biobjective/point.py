"""One trained network of the front, as numbers and the file of its weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from oamip.errors import InputError
from oamip.training.biobjective.search import Weights

__all__ = ["Point"]


@dataclass(frozen=True)
class Point:
    """What one training gave. All but ``test`` is measured on ``data.score``, in evaluation mode.

    Args:
        weights: (λ1, λ2); for stochastic multi-gradient the mean (c1, c2) of its last epoch.
        f1: mean loss, with the ridge if there is one.
        f2: L1 norm of the chosen kernels, with the ridge if there is one.
        accuracy: fraction of samples; ``None`` for regression.
        nonzeros: of the chosen kernels.
        dead: units that could be removed and nothing would change; ``None`` where the network cannot be read.
        parameters: that are left when those units are removed; likewise.
        seconds: wall time of the training; of its last part, if it was killed and went on.
        cpu: seconds of them that its thread had a processor.
        epochs: that it was trained for.
        file: the network, in the folder of the front (its weights alone, where `oamip.readers.saved` cannot write it).
        method: ``weighted-sum`` or ``smgd``.
        c2: of stochastic multi-gradient, the mean weight of the second objective in each epoch.
        test: accuracy on ``data.test``: measured once the front is known, and no choice depends on it.
    """

    weights: Weights
    f1: float
    f2: float
    accuracy: float | None = None
    nonzeros: int = 0
    dead: int | None = None
    parameters: int | None = None
    seconds: float = 0.0
    cpu: float = 0.0
    epochs: int = 0
    file: str = ""
    method: str = "weighted-sum"
    c2: tuple[float, ...] = ()
    test: float | None = None

    @property
    def values(self) -> tuple[float, float]:
        """(f1, f2)."""
        return self.f1, self.f2

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {**asdict(self), "weights": list(self.weights), "c2": list(self.c2)}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Point:
        """The inverse of `to_dict`.

        Raises:
            InputError: something is missing, unknown, or no number.
        """
        try:
            known = {field.name for field in fields(Point)}
            first, second = (float(weight) for weight in data["weights"])
            point = Point(
                **{name: value for name, value in data.items() if name in known - {"weights", "c2"}},
                weights=(first, second),
                c2=tuple(float(value) for value in data["c2"]),
            )
            if not (math.isfinite(point.f1) and math.isfinite(point.f2)):
                raise InputError(f"this is no point of a front: f1 = {point.f1}, f2 = {point.f2}")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"this is no point of a front: {error}") from None
        return point
