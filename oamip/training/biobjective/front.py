"""The front as data: all points of a search, which of them are efficient, its hypervolume and its knee."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from oamip.errors import InputError
from oamip.files import write_atomically
from oamip.training.biobjective import pareto
from oamip.training.biobjective.point import Point

__all__ = ["KNEES", "Front"]

KNEES = ("chord", "jump", "bend")
"""The rules of `oamip.training.biobjective.pareto.knee`."""

_COLUMNS = ("lambda1", "lambda2", "f1", "f2", "accuracy", "nonzeros", "dead", "parameters", "epochs", "seconds", "cpu")


@dataclass(frozen=True)
class Front:
    """Points between two objectives, in ascending f2.

    Args:
        points: all that were solved.
        reference: (f1, f2) of the hypervolume: what is not better than it in both adds nothing.
        rule: which knee is *the* knee.
        final: the knee, trained for all epochs.
        others: points of other methods to compare with; neither knee nor hypervolume looks at them.
        facts: what else is worth keeping: network, data, settings.

    Raises:
        InputError: there is no such rule.
    """

    points: tuple[Point, ...]
    reference: tuple[float, float]
    rule: str = "chord"
    final: Point | None = None
    others: tuple[Point, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rule not in KNEES:
            raise InputError(f"knee {self.rule!r}: choose {', '.join(KNEES)}")
        object.__setattr__(self, "points", tuple(sorted(self.points, key=lambda point: (point.f2, point.f1))))

    # ── what follows from the points ───────────────────────────────────────────────────────────────────────────────

    @property
    def _values(self) -> list[tuple[float, float]]:
        return [point.values for point in self.points]

    @property
    def efficient(self) -> tuple[int, ...]:
        """Numbers of the points that no other dominates."""
        return tuple(pareto.efficient(self._values).tolist())

    @property
    def hypervolume(self) -> float:
        """Area that the points dominate below the reference."""
        return pareto.hypervolume(self._values, self.reference)

    @property
    def knees(self) -> dict[str, int | None]:
        """Number of the knee by each rule, among the efficient points on or below the chord of the extremes."""
        below = pareto.below_chord(self._values)
        found = {rule: pareto.knee([self.points[i].values for i in below], rule) for rule in KNEES}
        return {rule: None if index is None else int(below[index]) for rule, index in found.items()}

    @property
    def knee(self) -> int | None:
        """Number of the knee; ``None`` with fewer than three efficient points."""
        return self.knees[self.rule]

    @property
    def better_than_final(self) -> tuple[int, ...]:
        """Numbers of the points that dominate the knee trained for all epochs; there should be none."""
        if self.final is None:
            return ()
        f1, f2 = self.final.values
        return tuple(
            number
            for number, point in enumerate(self.points)
            if point.f1 <= f1 and point.f2 <= f2 and point.values != (f1, f2)
        )

    def point(self, number: int | str) -> Point:
        """A point by number, or ``knee``, ``final``, or ``smgd`` for the first of the others.

        Raises:
            InputError: there is no such point.
        """
        if number == "final" and self.final is not None:
            return self.final
        if number == "smgd" and self.others:
            return self.others[0]
        index = self.knee if number == "knee" else number
        text = str(index)
        if text.isdecimal() and int(text) < len(self.points):
            return self.points[int(text)]
        known = [f"0 to {len(self.points) - 1}"] * bool(self.points)
        known += ["knee"] * (self.knee is not None) + ["final"] * (self.final is not None)
        known += ["smgd"] * bool(self.others)
        raise InputError(f"there is no point {number}; give {', '.join(known) or 'a front with points'}")

    # ── files ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types, with what follows from the points beside them."""
        efficient = set(self.efficient)
        rows = [{"number": n, "efficient": n in efficient, **p.to_dict()} for n, p in enumerate(self.points)]
        return {
            "oamip_front": 1,
            "facts": dict(self.facts),
            "reference": list(self.reference),
            "hypervolume": self.hypervolume,
            "rule": self.rule,
            "knees": self.knees,
            "final": None if self.final is None else self.final.to_dict(),
            "better_than_final": list(self.better_than_final),
            "others": [point.to_dict() for point in self.others],
            "points": rows,
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Front:
        """The inverse of `to_dict`; what follows from the points is computed anew.

        Raises:
            InputError: something is missing, or of an unknown version.
        """
        try:
            if data["oamip_front"] != 1:
                raise InputError(f"front format {data['oamip_front']!r} is not known to this version")
            first, second = (float(value) for value in data["reference"])
            return Front(
                tuple(Point.from_dict(row) for row in data["points"]),
                (first, second),
                data["rule"],
                None if data["final"] is None else Point.from_dict(data["final"]),
                tuple(Point.from_dict(row) for row in data["others"]),
                dict(data["facts"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"this is no front: {error}") from None

    def csv(self) -> str:
        """One line for each point, in the order of their numbers; then the knee trained on, and the others."""
        text, efficient, knee = io.StringIO(), set(self.efficient), self.knee
        rows: list[tuple[int | str, Point]] = [*enumerate(self.points)]
        rows += [("final", self.final)] if self.final else []
        rows += [(point.method, point) for point in self.others]
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["number", *_COLUMNS, "test", "method", "efficient", "knee", "file"])
        for number, point in rows:
            row = dict(point.to_dict(), lambda1=point.weights[0], lambda2=point.weights[1])
            marks = [point.test, point.method, int(number in efficient), int(number == knee), point.file]
            writer.writerow(["" if v is None else v for v in (number, *(row[name] for name in _COLUMNS), *marks)])
        return text.getvalue()

    def save(self, folder: Path | str) -> None:
        """Write ``front.json`` and ``front.csv``, atomically."""
        write_atomically(Path(folder) / "front.json", json.dumps(self.to_dict(), indent=1))
        write_atomically(Path(folder) / "front.csv", self.csv())

    @staticmethod
    def load(folder: Path | str) -> Front:
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing, or holds no front.
        """
        path = Path(folder) / "front.json"
        try:
            return Front.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); oamip front ... --out {folder} writes it"
            ) from None
        except ValueError as error:  # an InputError too
            raise InputError(f"{path}: {error}") from None

    def tested(self, accuracies: Mapping[str, float]) -> Front:
        """The same with accuracies on ``data.test``, by file."""

        def told(points: Sequence[Point]) -> tuple[Point, ...]:
            return tuple(replace(p, test=accuracies.get(p.file, p.test)) for p in points)

        final = None if self.final is None else told([self.final])[0]
        return replace(self, points=told(self.points), final=final, others=told(self.others))
