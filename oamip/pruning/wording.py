"""Measured numbers in plain words: sentences for a newcomer, and numbers as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from oamip.pruning.measure import Measured, Row

__all__ = ["bytes_", "on_baselines", "on_size", "on_time", "pipes", "score", "share", "time"]


def on_size(before: Measured, after: Measured) -> str:
    """How much is left, and how good it is."""
    if after.params == before.params:
        return f"Nothing was removed: all {before.params:,} parameters are still there."
    if after.metric == "accuracy":
        quality = f"{score(after)} accuracy (was {score(before)})"
    else:
        quality = f"has a mean squared error of {score(after)} (was {score(before)})"
    return f"The network keeps {share(after.params, before.params)} of its parameters and {quality}."


def on_time(before: Measured, after: Measured) -> str:
    """A claim about speed only where the rounds of timing do not overlap."""
    if after.params == before.params:
        return ""
    times = f"{time(after.seconds)} instead of {time(before.seconds)} for {after.batch} samples on {after.device}"
    if before.fastest > after.slowest:
        return f"It is {before.seconds / after.seconds:.1f} times as fast here: {times}."
    if after.fastest > before.slowest:
        return f"It is slower here: {times}."
    return f"Its time differs by no more than this machine's own fluctuations: {times}."


def on_baselines(rows: Sequence[Row]) -> str:
    """The best baseline against ours, at the last stage that both have reached: anything else would be unfair."""
    for stage in ("fine-tuned", "refit", "removed"):
        ours = [row for row in rows if row.stage == stage and not row.baseline]
        theirs = [row for row in rows if row.stage == stage and row.baseline]
        if ours and theirs:
            sign = 1 if ours[0].measured.metric == "accuracy" else -1
            best = max(theirs, key=lambda row: sign * row.measured.score)
            lead = sign * (ours[0].measured.score - best.measured.score)
            noise = _noise(ours[0].measured, best.measured)
            alike = abs(lead) <= noise or score(ours[0].measured) == score(best.measured)
            verdict = "about as good as" if alike else "better than" if lead > 0 else "worse than"
            return (
                f"At the same budget and stage ({stage}), {ours[0].name} is {verdict} the best simple baseline, "
                f"{best.name}: {score(ours[0].measured)} against {score(best.measured)}."
            )
    return ""


def _noise(one: Measured, other: Measured) -> float:
    """Two standard errors of the difference of two accuracies; for squared errors it is not known."""
    if one.metric != "accuracy":
        return 0.0
    return 2 * math.sqrt(sum(m.score * (1 - m.score) / m.samples for m in (one, other)))


# ── numbers as text ──────────────────────────────────────────────────────────────────────────────────────────────────


def score(measured: Measured) -> str:
    """Accuracy in percent, or the squared error."""
    return f"{100 * measured.score:.1f} %" if measured.metric == "accuracy" else f"{measured.score:.4g}"


def share(part: int, whole: int) -> str:
    """In percent."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def bytes_(count: int) -> str:
    """With a unit."""
    for size, unit in ((1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count} B"


def time(seconds: float) -> str:
    """With a unit, three digits."""
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def pipes(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, numbers to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]
