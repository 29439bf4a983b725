"""What pruning did to a network: measured numbers side by side, and what they mean in plain words.

Conventions, repeated wherever numbers are shown: accuracy and squared error are those of the samples given; MACs are
multiply-adds of convolutions and linear layers for one sample, half of the FLOPs that torch counts; bytes are those of
parameters and buffers, not of a file; time is the median of repeated forward passes of a batch of stated size.
"""

from __future__ import annotations

import io
import math
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

from oamip.decision import Decision
from oamip.network import Groups
from oamip.pruning import wording
from oamip.pruning.measure import Measured, Row
from oamip.solution import Solution

__all__ = ["GroupCount", "Report", "SolverFacts", "group_counts", "versions"]


@dataclass(frozen=True)
class GroupCount:
    """How many units of a group stay."""

    name: str
    kept: int
    total: int


@dataclass(frozen=True)
class SolverFacts:
    """How the program was solved; the words are those of `oamip.solution.Solution`."""

    backend: str
    solver: str
    version: str
    reason: str
    held: str
    objective: float
    bound: float
    rows: int
    columns: int
    seconds: float
    solves: int = 1
    gap: float = 0.0

    @staticmethod
    def of(solutions: Sequence[Solution]) -> SolverFacts:
        """The facts of the last of some solutions, and the seconds of all; the worst gap of them."""
        s = solutions[-1]
        names = ("backend", "solver", "version", "reason", "held", "objective", "bound", "rows", "columns")
        worst = min(solutions, key=lambda one: (one.held == "proven", -one.gap))
        return SolverFacts(
            **{name: getattr(worst if name in ("reason", "held") else s, name) for name in names},
            seconds=sum(one.seconds.total for one in solutions),
            solves=len(solutions),
            gap=worst.gap,
        )

    def __str__(self) -> str:
        size = f"{self.rows:,} rows × {self.columns:,} columns"
        many = f"{self.solves} programs, the last of " if self.solves > 1 else ""
        made = f"{self.solver} {self.version} through {self.backend}"
        return f"{made}, {many}{size}, {self.reason.replace('_', ' ')} in {wording.time(self.seconds)}"

    def warning(self) -> str:
        """A sentence when the scores are not proven optimal."""
        if self.held == "proven":
            return ""
        gap = f"a gap of {self.gap:.1%}" if math.isfinite(self.gap) else "no bound"
        return (
            f"The scores are not proven optimal: the solver stopped with '{self.reason.replace('_', ' ')}' and {gap}."
        )


@dataclass(frozen=True)
class Report:
    """Everything there is to say about one pruning run.

    Args:
        network: its name.
        rows: first the original, then the pruned network after each stage, then baselines at the same budget.
        method: what scored the units.
        budget: what was asked for.
        data: what the numbers were measured on, and what scored.
        seed: of everything random.
        groups: units kept, group by group.
        whole: paths of layers that cannot lose units, with the reason.
        solver: how the program was solved, if there was one.
        versions: package to version.
    """

    network: str
    rows: Sequence[Row]
    method: str = ""
    budget: str = ""
    data: str = ""
    seed: int = 0
    groups: Sequence[GroupCount] = ()
    whole: Mapping[str, str] = field(default_factory=dict)
    solver: SolverFacts | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def original(self) -> Measured:
        """The network as it came."""
        return self.rows[0].measured

    @property
    def result(self) -> Row:
        """The pruned network after its last stage."""
        return [row for row in self.rows if not row.baseline][-1]

    def conclusion(self) -> str:
        """What came of it, good or bad, in up to three sentences."""
        before, after = self.original, self.result.measured
        sentences = [wording.on_size(before, after), wording.on_time(before, after), wording.on_baselines(self.rows)]
        return " ".join(filter(None, [*sentences, self.solver.warning() if self.solver else ""]))

    def table(self, *, width: int = 100, colour: bool = False) -> str:
        """For a terminal of ``width`` columns; ANSI codes only when asked for."""
        from rich.console import Console
        from rich.table import Table

        console = Console(
            file=io.StringIO(),
            width=width,
            force_terminal=colour,
            no_color=not colour,
            highlight=False,
            markup=False,  # names in brackets are names
            emoji=False,
        )
        numbers = Table(title=self._title, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0))
        for title in self._header:
            name = title == "network"  # the only column that may wrap where the terminal is narrow
            numbers.add_column(title, justify="left" if name else "right", no_wrap=not name, min_width=12 * name)
        for row in self.rows:
            numbers.add_row(*self._cells(row), style="dim" if row.baseline else "bold" if row is self.result else "")
        console.print(numbers, "↑ more is better, ↓ less is better", "", sep="\n")
        for group in self.groups:
            bar = "█" * round(20 * group.kept / group.total)
            console.print(f"{bar:░<20}  {group.name} keeps {group.kept:,} of {group.total:,} units")
        for layer, reason in self.whole.items():
            console.print(f"{'█' * 20}  {layer} stays whole: {reason}", markup=False)
        console.print("", self.conclusion(), "", sep="\n", style="bold")
        console.print("\n".join(self._facts), style="dim")
        return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())  # type: ignore[attr-defined]

    def markdown(self) -> str:
        """As a section of a Markdown page."""
        lines = [f"## {self._title}", "", self.conclusion(), ""]
        lines += [*wording.pipes(self._header, map(self._cells, self.rows)), "", "↑ more is better, ↓ less is better"]
        if self.groups:
            cells = [(group.name, f"{group.kept:,}", f"{group.total:,}") for group in self.groups]
            lines += ["", *wording.pipes(["layer", "units kept", "of"], cells)]
        lines += [f"* {layer} stays whole: {reason}" for layer, reason in self.whole.items()]
        facts = ("; ".join(line.strip() for line in fact.splitlines()) for fact in self._facts)
        return "\n".join([*lines, "", *(f"* {fact}" for fact in facts), ""])

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types, raw FLOPs included; numbers that are not finite become None."""
        rows = [{**asdict(row), "measured": {**asdict(row.measured), "flops": row.measured.flops}} for row in self.rows]
        parts = {"groups": list(map(asdict, self.groups)), "solver": self.solver and asdict(self.solver)}
        own = {name: getattr(self, name) for name in ("network", "method", "budget", "data", "seed")}
        own["whole"] = dict(self.whole)
        plain: dict[str, Any] = _finite({**own, "rows": rows, **parts, "versions": dict(self.versions)})
        return {**plain, "conclusion": self.conclusion()}

    @property
    def _title(self) -> str:
        made = [self.network, self.method and f"pruned by {self.method}", self.budget and f"to {self.budget}"]
        return " ".join(filter(None, made))

    @property
    def _header(self) -> tuple[str, ...]:
        score = "accuracy ↑" if self.original.metric == "accuracy" else "squared error ↓"
        return "network", score, "parameters ↓", "left", "MACs ↓", "left", "size ↓", "time ↓"

    def _cells(self, row: Row) -> tuple[str, ...]:
        m, o = row.measured, self.original
        name = f"{row} (baseline)" if row.baseline else str(row)
        params, macs = (
            (f"{m.params:,}", wording.share(m.params, o.params)),
            (f"{m.macs:,}", wording.share(m.macs, o.macs)),
        )
        return name, wording.score(m), *params, *macs, wording.bytes_(m.bytes), wording.time(m.seconds)

    @property
    def _facts(self) -> list[str]:
        m = self.original
        device = f"{m.device}, {m.threads} thread{'s' if m.threads > 1 else ''}"
        facts = [
            "MACs are multiply-adds of convolutions and linear layers for one sample.",
            f"Size is that of parameters and buffers; time, the median of passes of {m.batch} samples on {device}.",
            f"Data: {self.data}" if self.data else "",
            f"Solver: {self.solver}" if self.solver else "",
            ", ".join([f"Seed: {self.seed}", *(f"{name} {version}" for name, version in self.versions.items())]),
        ]
        return [fact for fact in facts if fact]


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def group_counts(groups: Groups, decision: Decision) -> tuple[GroupCount, ...]:
    """Units kept in every group of the network, in network order."""
    keep = decision.flat(groups)
    return tuple(
        GroupCount(" + ".join(group.layers), int(keep[group.slice].sum()), group.size) for group in groups.groups
    )


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python, oamip, torch and more distributions; those that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in ("oamip", "torch", *packages):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
