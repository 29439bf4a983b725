"""A picture of a network: boxes with names, maps and shapes; with bounds, how stable each ReLU is."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch, Rectangle
from matplotlib.path import Path as Curve
from matplotlib.textpath import TextPath

from oamip.errors import InputError
from oamip.files import write_atomically
from oamip.network.layout import Place, Point, arrange
from oamip.network.nodes import Affine, Input, Max, Node, ReLU
from oamip.network.summary import Stable, map_kind, shape_text, stable_counts

if TYPE_CHECKING:
    from oamip.network.network import Network

__all__ = ["FORMATS", "Picture", "draw"]

FORMATS = (".svg", ".png", ".pdf")

# Okabe and Ito's colours, which the colour-blind can tell apart, mixed with white
_KINDS = {Input: "#f6e9c8", Affine: "#ffffff", ReLU: "#dbeaf5", Max: "#ecdff0"}
_ON, _OFF, _UNSTABLE = "#7fcfb5", "#d5d5d5", "#f0b27f"
_INK, _LINE = "#222222", "#667085"

# inches
_SIZE = 7.5  # of the letters, in points
_TEXT, _STEP, _GAP, _MARGIN, _BAR = 0.125, 0.64, 0.22, 0.22, 0.075
_HEIGHT = 2 * _TEXT + 0.09
_TALLEST = 15  # layers of a column
_LONGEST = 30  # letters of a line
_ENTRY = 0.95  # inches of an entry of the legend
_LEGEND: dict[str, Any] = {
    "loc": "upper center",
    "frameon": False,
    "fontsize": _SIZE,
    "borderaxespad": 0.8,
    "handlelength": 1.4,
    "columnspacing": 1.0,
}


class Picture(Figure):
    """A figure that a notebook shows by itself."""

    def _repr_svg_(self) -> str:
        return _written(self, ".svg").decode()


def draw(network: Network, path: Path | str | None = None, bounds: Stable | None = None) -> Picture:
    """Draw a network from its inputs, at the top, to its outputs.

    Args:
        network: any.
        path: where to write the picture; its suffix says how: ``.svg``, ``.png`` or ``.pdf``.
        bounds: of this network; then each ReLU is coloured by the shares of its entries, over all boxes, that are
            always on, always off, or neither.

    Returns:
        The figure; a notebook shows it.

    Raises:
        InputError: the suffix is none of these, or the bounds belong to another network.
    """
    if path is not None and Path(path).suffix.lower() not in FORMATS:
        raise InputError(f"{path}: pictures end in {', '.join(FORMATS)}")
    stability = stable_counts(network, bounds)
    texts = {name: _text(network, network[name]) for name in network.order}
    widths = {name: max(_width(line) for line in lines) + 0.2 for name, lines in texts.items()}
    place = arrange(network.graph, widths, step=_STEP, gap=_GAP, tallest=_TALLEST)
    entries = _legend(bool(stability), bool(place.references))
    columns = max(3, min(len(entries), int(place.width / _ENTRY)))
    width, head = max(place.width, columns * _ENTRY), 0.1 + 0.16 * -(-len(entries) // columns)
    figure = Picture(figsize=(width + 2 * _MARGIN, place.height + _HEIGHT + 2 * _MARGIN + head))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    left = (place.width - width) / 2 - _MARGIN
    axes.set_xlim(left, left + width + 2 * _MARGIN)
    axes.set_ylim(-place.height - _HEIGHT / 2 - _MARGIN, _HEIGHT / 2 + _MARGIN + head)
    axes.set_axis_off()
    _arrows(axes, place)
    for name, point in place.references:
        _box(axes, point, widths[name], texts[name][:1], "#ffffff", dashed=True)
    for name, point in place.nodes.items():
        _box(axes, point, widths[name], texts[name], _KINDS[type(network[name])], bold=name in network.outputs)
        if name in stability:
            _bar(axes, point, widths[name], stability[name])
    axes.legend(handles=entries, ncols=columns, **_LEGEND)
    if path is not None:
        write_atomically(Path(path), _written(figure, Path(path).suffix.lower()), folders=False)
    return figure


def _written(figure: Figure, suffix: str) -> bytes:
    """The same bytes for the same picture: without the date, and with fixed identifiers."""
    dates: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "oamip"}):
        figure.savefig(buffer, format=suffix[1:], dpi=150, metadata=dates[suffix])
    return buffer.getvalue()


# ── boxes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _text(network: Network, node: Node) -> tuple[str, str]:
    what = type(node).__name__
    if isinstance(node, Affine):
        what = map_kind([map_ for _, map_ in network.edges(node.name)]) or "constant"
    return _short(node.name), f"{_short(what)}  {shape_text(node)}"


def _short(text: str) -> str:
    half = _LONGEST // 2 - 1
    return text if len(text) <= _LONGEST else f"{text[:half]}…{text[-half:]}"


def _width(line: str) -> float:
    return float(TextPath((0, 0), line, size=_SIZE, prop=FontProperties()).vertices[:, 0].max()) / 72


def _box(
    axes: Axes,
    point: Point,
    width: float,
    lines: tuple[str, ...],
    colour: str,
    *,
    bold: bool = False,
    dashed: bool = False,
) -> None:
    x, y = point
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - _HEIGHT / 2),
            width,
            _HEIGHT,
            boxstyle="round,pad=0,rounding_size=0.05",
            facecolor=colour,
            edgecolor=_INK if bold else _LINE,
            linewidth=1.6 if bold else 0.8,
            linestyle=(0, (3, 2)) if dashed else "solid",
            zorder=3,
        )
    )
    for number, line in enumerate(lines):
        height = y + _TEXT * ((len(lines) - 1) / 2 - number)
        colour = _INK if number == 0 and not dashed else _LINE
        axes.text(x, height, line, fontsize=_SIZE, ha="center", va="center", color=colour, zorder=5)


def _bar(axes: Axes, point: Point, width: float, counts: tuple[int, int, int]) -> None:
    """Shares of always on, always off and unstable entries, as a bar under the box."""
    x, y = point[0] - width / 2, point[1] - _HEIGHT / 2 - _BAR / 2
    for count, colour in zip(counts, (_ON, _OFF, _UNSTABLE), strict=True):
        part = width * count / max(1, sum(counts))
        axes.add_patch(Rectangle((x, y), part, _BAR, facecolor=colour, edgecolor="none", zorder=4))
        x += part
    axes.add_patch(
        Rectangle((point[0] - width / 2, y), width, _BAR, fill=False, edgecolor=_LINE, linewidth=0.6, zorder=4)
    )


# ── edges ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _arrows(axes: Axes, place: Place) -> None:
    for points in place.paths.values():
        axes.add_patch(
            FancyArrowPatch(
                path=_curve(points),
                arrowstyle="-|>,head_length=3,head_width=1.6",
                color=_LINE,
                linewidth=0.8,
                shrinkA=0,
                shrinkB=0,
                zorder=2,
            )
        )


def _curve(points: Sequence[Point]) -> Curve:
    """A smooth line down through all points that bends between the layers only, where there are no boxes."""
    x, y = points[0]
    vertices, codes = [(x, y - _HEIGHT / 2)], [Curve.MOVETO]
    for (x0, y0), (x1, y1) in pairwise(points):
        leaves, arrives = y0 - _HEIGHT / 2 - _BAR, y1 + _HEIGHT / 2
        half = (leaves - arrives) / 2
        vertices += [(x0, leaves), (x0, leaves - half), (x1, arrives + half), (x1, arrives)]
        codes += [Curve.LINETO, *[Curve.CURVE4] * 3]
    return Curve(vertices, codes)


def _legend(stable: bool, continued: bool) -> list[Patch]:
    entries = [Patch(facecolor=colour, edgecolor=_LINE, label=kind.__name__) for kind, colour in _KINDS.items()]
    entries.append(Patch(facecolor="#ffffff", edgecolor=_INK, linewidth=1.6, label="output"))
    if continued:
        entries.append(Patch(facecolor="#ffffff", edgecolor=_LINE, linestyle="--", label="continued"))
    if stable:
        colours = {"always on": _ON, "always off": _OFF, "unstable": _UNSTABLE}
        entries += [Patch(facecolor=colour, edgecolor=_LINE, label=name) for name, colour in colours.items()]
    return entries
