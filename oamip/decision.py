"""What is kept: scores of units, and the decision that follows.

Scores and decisions are plain data keyed by group name, saved as JSON: score once, cut often.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.errors import InputError
from oamip.files import write_atomically
from oamip.network import Groups

__all__ = ["Decision", "Scores"]

Vector: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Scores:
    """How important each unit is; a larger score is kept longer.

    Args:
        values: group name to one score per unit.
        ties: group name to one number per unit that orders units of equal score; missing groups use 0.
        method: what made them, for the report.
        facts: anything worth keeping beside them (objective, seconds, samples); must be JSON.

    Raises:
        InputError: a score or tie is not finite, which no ranking can place.
    """

    values: Mapping[str, Vector]
    ties: Mapping[str, Vector] = field(default_factory=dict)
    method: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, array in (*self.values.items(), *self.ties.items()):
            if not np.isfinite(array).all():
                raise InputError(f"the scores of group '{name}' contain numbers that are not finite")

    def flat(self, groups: Groups) -> tuple[Vector, Vector]:
        """Scores and ties of all units in the order of ``groups``, each (units,); other groups are not looked at.

        Raises:
            InputError: a group is missing or has another number of units.
        """
        values = [
            _checked(self.values.get(group.name, ()), group.name, group.size, "scores") for group in groups.groups
        ]
        ties = [
            _checked(self.ties.get(group.name, np.zeros(group.size)), group.name, group.size, "ties")
            for group in groups.groups
        ]
        return (np.concatenate(values), np.concatenate(ties)) if values else (np.empty(0), np.empty(0))

    @staticmethod
    def of(groups: Groups, values: Vector, ties: Vector | None = None, *, method: str, **facts: Any) -> Scores:
        """Scores from one flat array (units,) over all units of ``groups``."""
        return Scores(
            {group.name: values[group.slice] for group in groups.groups},
            {} if ties is None else {group.name: ties[group.slice] for group in groups.groups},
            method,
            facts,
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "values": {name: array.tolist() for name, array in self.values.items()},
            "ties": {name: array.tolist() for name, array in self.ties.items()},
            "method": self.method,
            "facts": dict(self.facts),
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Scores:
        """The inverse of `to_dict`.

        Raises:
            InputError: something is missing or no finite number.
        """
        try:
            values = {name: np.asarray(array, dtype=np.float64) for name, array in data["values"].items()}
            ties = {name: np.asarray(array, dtype=np.float64) for name, array in data.get("ties", {}).items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"these are not scores: {_reason(error)}") from None
        return Scores(values, ties, str(data.get("method", "")), data.get("facts", {}))


@dataclass(frozen=True, eq=False)
class Decision:
    """Which units stay.

    Args:
        keep: group name to one bool per unit.
        scores: the scores it was made from, if any.
        note: how it was made (budget, threshold), for the report.
    """

    keep: Mapping[str, Mask]
    scores: Scores | None = None
    note: str = ""

    def flat(self, groups: Groups) -> Mask:
        """One bool per unit of ``groups``, (units,); groups that the decision does not name are kept whole.

        Raises:
            InputError: a named group does not exist, has another number of units, or would lose all its units.
        """
        sizes = {group.name: group.size for group in groups.groups}
        for name, mask in self.keep.items():
            if name not in sizes:
                raise InputError(f"the decision names group '{name}'; the network has {', '.join(sizes) or 'none'}")
            if mask.shape != (sizes[name],):
                raise InputError(
                    f"the decision has {mask.size} units for group '{name}', which has {sizes[name]}; "
                    "was it made for another network?"
                )
            if not mask.any():
                raise InputError(f"the decision removes every unit of group '{name}'; at least one must stay")
        parts = [np.asarray(self.keep.get(name, np.ones(size)), dtype=np.bool_) for name, size in sizes.items()]
        return np.concatenate(parts) if parts else np.ones(0, dtype=np.bool_)

    @staticmethod
    def of(groups: Groups, keep: Mask, scores: Scores | None = None, note: str = "") -> Decision:
        """A decision from one flat mask (units,) over all units of ``groups``.

        Raises:
            InputError: the mask has another size or kind.
        """
        mask = np.asarray(keep)
        if mask.shape != (groups.size,) or mask.dtype != np.bool_:
            raise InputError(
                f"keep needs one bool for each of {groups.size} units, not {mask.dtype} of shape {mask.shape}"
            )
        return Decision({group.name: mask[group.slice] for group in groups.groups}, scores, note)

    @property
    def removed(self) -> int:
        """Number of units that go."""
        return int(sum((~mask).sum() for mask in self.keep.values()))

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "oamip_decision": 1,
            "note": self.note,
            "keep": {name: mask.astype(int).tolist() for name, mask in self.keep.items()},
            "scores": None if self.scores is None else self.scores.to_dict(),
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Decision:
        """The inverse of `to_dict`.

        Raises:
            InputError: something is missing, of an unknown version, or a mark is neither 0 nor 1.
        """
        try:
            if data["oamip_decision"] != 1:
                raise InputError(f"decision format {data['oamip_decision']!r} is not known to this version")
            marks = {name: np.asarray(array) for name, array in data["keep"].items()}
            if not all(np.isin(array, (0, 1)).all() for array in marks.values()):
                raise InputError("units are kept (1) or removed (0); there is another mark")
            scores = None if data["scores"] is None else Scores.from_dict(data["scores"])
            return Decision({name: array == 1 for name, array in marks.items()}, scores, str(data["note"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"this is no decision: {_reason(error)}") from None

    def save(self, path: Path | str) -> None:
        """Write as JSON, atomically."""
        write_atomically(Path(path), json.dumps(self.to_dict(), indent=1))

    @staticmethod
    def load(path: Path | str) -> Decision:
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing, or holds no decision.
        """
        try:
            return Decision.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        except ValueError as error:  # an InputError too
            raise InputError(f"{path}: {error}") from None


def _checked(numbers: Any, name: str, size: int, kind: str) -> Vector:
    array = np.asarray(numbers, dtype=np.float64)
    if array.shape != (size,):
        raise InputError(
            f"the {kind} have {array.size} numbers for group '{name}', which has {size} units; "
            "were they made for another network?"
        )
    return array


def _reason(error: Exception) -> str:
    return f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)
