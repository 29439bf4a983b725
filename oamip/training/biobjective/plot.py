"""The front as a picture: cross-entropy against the norm, and accuracy against the weights that are left."""

from __future__ import annotations

import importlib.util
import io
from typing import TYPE_CHECKING, Any, Literal

from oamip.errors import InputError, MissingDependency
from oamip.training.biobjective import pareto
from oamip.training.biobjective.front import Front

if TYPE_CHECKING:
    from oamip.training.biobjective.point import Point

__all__ = ["draw"]

_BLUE, _GREY, _RED, _GREEN = "#1f5fa8", "#9aa0a6", "#c0392b", "#2e8b57"


def draw(front: Front, kind: Literal["svg", "png", "pdf"] = "svg") -> bytes:
    """Two panels: f1 against f2, and accuracy on ``data.score`` against non-zero weights.

    The second shows accuracies down to 10 points under the best, and says how many points lie below. Equal fronts give
    equal files.

    Args:
        front: with at least one point.
        kind: of the file.

    Returns:
        The content of the file.

    Raises:
        InputError: the front has no points.
        MissingDependency: matplotlib is not installed.
    """
    if not front.points:
        raise InputError("the front has no points to draw")
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingDependency("matplotlib", "drawing a front", "plot")
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A figure of its own, without pyplot: the user's settings and open figures stay as they are.
    with mpl.rc_context(
        {"svg.hashsalt": "oamip", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure = Figure(figsize=(11, 4.4), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        _objectives(left, front)
        _accuracies(right, front)
        content = io.BytesIO()
        metadata: Any = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
        figure.savefig(content, format=kind, dpi=150, metadata=metadata)
    return content.getvalue()


def _objectives(axes: Any, front: Front) -> None:
    points = front.points
    kept = [points[i] for i in pareto.efficient([point.values for point in points])]
    _scatter(axes, front, lambda point: point.f2, lambda point: point.f1)
    axes.step([p.f2 for p in kept], [p.f1 for p in kept], where="post", color=_BLUE, linewidth=1, alpha=0.6, zorder=1)
    axes.set_yscale("log")
    _plain(axes.yaxis)
    axes.set_xlabel("f2: L1 norm of the chosen kernels")
    axes.set_ylabel("f1: mean loss on validation data")
    axes.grid(alpha=0.25)
    axes.set_title(f"Two objectives; hypervolume {front.hypervolume:.4g}", loc="left", fontsize=10)
    axes.legend(frameon=False)


def _accuracies(axes: Any, front: Front) -> None:
    if any(point.accuracy is None for point in front.points):
        axes.set_axis_off()
        axes.text(0.5, 0.5, "regression: no accuracy", ha="center", transform=axes.transAxes)
        return
    _scatter(axes, front, lambda point: point.nonzeros, lambda point: 100 * (point.accuracy or 0.0))
    every = [*front.points, *front.others, *([front.final] if front.final else [])]
    best = max(point.accuracy or 0.0 for point in every)
    shown = [point for point in every if (point.accuracy or 0.0) >= best - 0.1 and point.nonzeros > 0]
    axes.set_xscale("log")
    _plain(axes.xaxis)
    axes.set_xlim(min(p.nonzeros for p in shown) / 1.3, max(p.nonzeros for p in shown) * 1.3)
    low = 100 * min(point.accuracy or 0.0 for point in shown)
    room = 0.06 * (100 * best - low) + 0.1
    axes.set_ylim(low - room, 100 * best + room)
    axes.set_xlabel(
        f"non-zero weights, of {front.facts['weights']:,}" if "weights" in front.facts else "non-zero weights"
    )
    axes.set_ylabel("accuracy on validation data, %")
    axes.set_title("Accuracy and weights that are left", loc="left", fontsize=10)
    axes.grid(alpha=0.25)
    if len(shown) < len(every):
        text = f"{len(every) - len(shown)} below {100 * best - 10:.0f} % are not shown"
        axes.text(0.99, 0.02, text, transform=axes.transAxes, ha="right", color=_GREY, fontsize=9)


def _scatter(axes: Any, front: Front, across: Any, up: Any) -> None:
    """Efficient and dominated points, the knee, the knee trained on, and the others."""
    efficient = set(front.efficient)
    groups = (
        ("efficient", [p for n, p in enumerate(front.points) if n in efficient], {"color": _BLUE, "s": 28}),
        (
            "dominated",
            [p for n, p in enumerate(front.points) if n not in efficient],
            {"facecolors": "none", "edgecolors": _GREY, "s": 28},
        ),
    )
    for name, points, style in groups:
        if points:
            axes.scatter([across(p) for p in points], [up(p) for p in points], label=name, zorder=2, **style)
    if front.knee is not None:
        _mark(axes, front.points[front.knee], across, up, "knee", marker="o", facecolors="none", edgecolors=_RED, s=130)
    if front.final is not None:
        name = f"knee, {front.final.epochs} epochs"
        _mark(axes, front.final, across, up, name, marker="*", color=_RED, s=110)
    for point in front.others:
        _mark(axes, point, across, up, point.method.upper(), marker="D", color=_GREEN, s=34)


def _mark(axes: Any, point: Point, across: Any, up: Any, label: str, **style: Any) -> None:
    axes.scatter([across(point)], [up(point)], label=label, zorder=3, **style)


def _plain(axis: Any) -> None:
    """Ticks of a logarithmic axis at 1, 2 and 5 of each decade, in plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axis.set_minor_formatter(NullFormatter())
