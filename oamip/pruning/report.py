"""What pruning did to a network: measured numbers side by side, and what they mean in plain words.

Conventions, repeated wherever numbers are shown: accuracy and squared error are those of the samples given; MACs are
multiply-adds of convolutions and linear layers for one sample, half of the FLOPs that torch counts; bytes are those of
parameters and buffers, not of a file; time is the median of repeated forward passes of a batch of stated size.
"""

from __future__ import annotations

import io
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any, Literal, TypeAlias

from oamip.decision import Decision
from oamip.network import Groups
from oamip.pruning.measure import Measured
from oamip.solution import Solution

__all__ = ["GroupCount", "Report", "Row", "SolverFacts", "group_counts", "versions"]

Stage: TypeAlias = Literal["", "removed", "refit", "fine-tuned"]


@dataclass(frozen=True)
class Row:
    """One network of the report.

    Args:
        name: ``original``, or what chose the units (``importance``, ``l2``).
        stage: the last thing done to it: ``removed``, then ``refit``, then ``fine-tuned``; empty for the original.
        measured: its numbers.
        baseline: whether it stands here for comparison only.
    """

    name: str
    stage: Stage
    measured: Measured
    baseline: bool = False

    def __str__(self) -> str:
        return f"{self.name}, {self.stage}" if self.stage else self.name


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

    @staticmethod
    def of(solution: Solution) -> SolverFacts:
        """The facts of one solution."""
        s = solution
        return SolverFacts(
            s.backend, s.solver, s.version, s.reason, s.held, s.objective, s.bound, s.rows, s.columns, s.seconds.total
        )

    def __str__(self) -> str:
        size = f"{self.rows:,} rows × {self.columns:,} columns"
        return f"{self.solver} {self.version} through {self.backend}, {size}, {self.reason} in {_time(self.seconds)}"


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
        return " ".join(filter(None, [_on_size(before, after), _on_time(before, after), _on_baselines(self.rows)]))

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
        console.print("", self.conclusion(), "", sep="\n", style="bold")
        console.print("\n".join(self._facts), style="dim")
        return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())  # type: ignore[attr-defined]

    def markdown(self) -> str:
        """As a section of a Markdown page."""
        lines = [f"## {self._title}", "", self.conclusion(), ""]
        lines += [*_pipes(self._header, map(self._cells, self.rows)), "", "↑ more is better, ↓ less is better"]
        if self.groups:
            cells = [(group.name, f"{group.kept:,}", f"{group.total:,}") for group in self.groups]
            lines += ["", *_pipes(["layer", "units kept", "of"], cells)]
        facts = (" ".join(fact.split()) for fact in self._facts)
        return "\n".join([*lines, "", *(f"* {fact}" for fact in facts), ""])

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types, raw FLOPs included; numbers that are not finite become None."""
        rows = [{**asdict(row), "measured": {**asdict(row.measured), "flops": row.measured.flops}} for row in self.rows]
        parts = {"groups": list(map(asdict, self.groups)), "solver": self.solver and asdict(self.solver)}
        own = {name: getattr(self, name) for name in ("network", "method", "budget", "data", "seed")}
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
        params, macs = (f"{m.params:,}", _share(m.params, o.params)), (f"{m.macs:,}", _share(m.macs, o.macs))
        return name, _score(m), *params, *macs, _bytes(m.bytes), _time(m.seconds)

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


# ── sentences ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _on_size(before: Measured, after: Measured) -> str:
    if after.params == before.params:
        return f"Nothing was removed: all {before.params:,} parameters are still there."
    if after.metric == "accuracy":
        quality = f"{_score(after)} accuracy (was {_score(before)})"
    else:
        quality = f"has a mean squared error of {_score(after)} (was {_score(before)})"
    return f"The network keeps {_share(after.params, before.params)} of its parameters and {quality}."


def _on_time(before: Measured, after: Measured) -> str:
    if after.params == before.params:
        return ""
    times = f"{_time(after.seconds)} instead of {_time(before.seconds)} for {after.batch} samples on {after.device}"
    ratio = before.seconds / after.seconds
    if ratio > 1.05:
        return f"It is {ratio:.1f} times as fast: {times}."
    return f"It is not faster here: {times}." if ratio > 0.95 else f"It is slower here: {times}."


def _on_baselines(rows: Sequence[Row]) -> str:
    """The best baseline against ours, at the last stage that both have reached: anything else would be unfair."""
    for stage in ("fine-tuned", "refit", "removed"):
        ours = [row for row in rows if row.stage == stage and not row.baseline]
        theirs = [row for row in rows if row.stage == stage and row.baseline]
        if ours and theirs:
            sign = 1 if ours[0].measured.metric == "accuracy" else -1
            best = max(theirs, key=lambda row: sign * row.measured.score)
            lead = sign * (ours[0].measured.score - best.measured.score)
            noise = _noise(ours[0].measured, best.measured)
            verdict = "about as good as" if abs(lead) <= noise else "better than" if lead > 0 else "worse than"
            return (
                f"At the same budget and stage ({stage}), {ours[0].name} is {verdict} the best simple baseline, "
                f"{best.name}: {_score(ours[0].measured)} against {_score(best.measured)}."
            )
    return ""


def _noise(one: Measured, other: Measured) -> float:
    """Two standard errors of the difference of two accuracies; for squared errors it is not known."""
    if one.metric != "accuracy":
        return 0.0
    return 2 * math.sqrt(sum(m.score * (1 - m.score) / m.samples for m in (one, other)))


# ── numbers as text ──────────────────────────────────────────────────────────────────────────────────────────────────


def _score(measured: Measured) -> str:
    return f"{100 * measured.score:.1f} %" if measured.metric == "accuracy" else f"{measured.score:.4g}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _bytes(count: int) -> str:
    return next(f"{count / size:,.1f} {unit}" for size, unit in ((1e6, "MB"), (1e3, "kB"), (0.1, "B")) if count >= size)


def _time(seconds: float) -> str:
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _pipes(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, numbers to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def group_counts(groups: Groups, decision: Decision) -> tuple[GroupCount, ...]:
    """Units kept in every group of the network, in network order."""
    keep = decision.flat(groups)
    return tuple(GroupCount(group.name, int(keep[group.slice].sum()), group.size) for group in groups.groups)


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python, oamip, torch and more distributions; those that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in ("oamip", "torch", *packages):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
