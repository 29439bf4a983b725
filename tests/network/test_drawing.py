"""Pictures in which nothing overlaps, edges go down, and colours are shares."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from itertools import combinations, pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch, Rectangle

from oamip.bounds import Box, interval
from oamip.errors import InputError, MissingDependency
from oamip.network import drawing
from oamip.network.layout import arrange
from oamip.readers import read


def assert_readable(graph, widths, tallest):
    place = arrange(graph, widths, step=1.0, gap=0.2, tallest=tallest)
    boxes = [(name, *place.nodes[name]) for name in graph] + [(name, *at) for name, at in place.references]
    for (one, x, y), (other, u, v) in combinations(boxes, 2):
        assert abs(y - v) > 0.99 or abs(x - u) >= (widths[one] + widths[other]) / 2 + 0.19, (one, other)
    assert {name for name, _, _ in boxes} == set(graph)
    assert set(place.paths) == set(graph.edges)
    for (source, target), points in place.paths.items():
        assert points[-1] == place.nodes[target]
        assert points[0] in [place.nodes[source], *(at for name, at in place.references if name == source)]
        for (_, y), (_, v) in pairwise(points):
            assert v == pytest.approx(y - 1.0)  # one layer down each time
        for x, y in points[1:-1]:  # and beside the boxes of the layers between
            assert all(abs(y - v) > 0.99 or abs(x - u) > widths[name] / 2 for name, u, v in boxes)
    left = min(x - widths[name] / 2 for name, x, _ in boxes)
    right = max(x + widths[name] / 2 for name, x, _ in boxes)
    assert left >= -1e-9
    assert right <= place.width + 1e-9
    assert min(y for _, _, y in boxes) == pytest.approx(-place.height)


@settings(max_examples=40)
@given(count=st.integers(1, 25), share=st.floats(0.05, 0.4), tallest=st.integers(2, 9), seed=st.integers(0, 10**6))
def test_random_graphs_are_readable(count, share, tallest, seed):
    rng = np.random.default_rng(seed)
    graph = nx.DiGraph()
    graph.add_nodes_from(str(k) for k in range(count))
    graph.add_edges_from((str(i), str(j)) for i, j in combinations(range(count), 2) if rng.random() < share)
    graph.add_edges_from((str(k), str(k + 1)) for k in range(count - 1) if rng.random() < 0.7)
    assert_readable(graph, {name: rng.uniform(0.3, 2.0) for name in graph}, tallest)


def test_networks_of_the_zoo_are_readable(animal):
    assert_readable(animal.network.graph, dict.fromkeys(animal.network.order, 1.0), 8)


def test_a_long_chain_goes_on_in_further_columns():
    graph = nx.path_graph(40, create_using=nx.DiGraph)
    graph = nx.relabel_nodes(graph, str)
    place = arrange(graph, dict.fromkeys(graph, 1.0), step=1.0, gap=0.2, tallest=10)
    assert len({x for x, _ in place.nodes.values()}) == 4
    assert [name for name, _ in place.references] == ["9", "19", "29"]
    assert place.height == 10


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_files_of_each_kind(zoo, tmp_path):
    network = zoo("residual").network
    starts = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    for suffix, start in starts.items():
        figure = network.draw(tmp_path / f"net{suffix}")
        content = (tmp_path / f"net{suffix}").read_bytes()
        assert content.startswith(start)
        assert isinstance(figure, drawing.Picture)
    network.draw(str(tmp_path / "again.svg"))
    assert (tmp_path / "again.svg").read_bytes() == (tmp_path / "net.svg").read_bytes()
    svg = figure._repr_svg_()
    assert all(f"<!-- {name} -->" in svg for name in network.order)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.svg", "net.pdf", "net.png", "net.svg"]


def test_a_mistyped_folder_is_told(zoo, tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        zoo("mlp").network.draw(tmp_path / "mistyped" / "net.svg")


def test_another_suffix_is_refused(zoo, tmp_path):
    with pytest.raises(InputError, match=r"net\.jpg: pictures end in \.svg, \.png, \.pdf"):
        zoo("mlp").network.draw(tmp_path / "net.jpg")


def test_colours_are_shares_of_stable_entries(zoo):
    specimen = zoo("convnet")
    bounds = interval(specimen.network, Box.around(specimen.x[:2].numpy(), 0.05))
    (axes,) = specimen.network.draw(bounds=bounds).axes
    bars = {drawing._ON: 0.0, drawing._OFF: 0.0, drawing._UNSTABLE: 0.0}
    widths = {}
    for patch in axes.patches:
        if isinstance(patch, Rectangle) and to_hex(patch.get_facecolor()) in bars and patch.get_fill():
            widths.setdefault(round(patch.get_y(), 6), []).append(patch.get_width())
    found = [tuple(np.array(parts) / sum(parts)) for _, parts in sorted(widths.items(), reverse=True)]
    expected = [np.array(counts) / sum(counts) for counts in bounds.stability(specimen.network).values()]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    words = {text.get_text() for text in axes.get_legend().get_texts()}
    assert {"always on", "always off", "unstable"} <= words


def test_boxes_hold_their_words(shared):
    """No text is wider than its box, measured by the renderer."""
    network = read(shared / "networks" / "resnet_2b.onnx")
    figure = network.draw()
    (axes,) = figure.axes
    figure.draw_without_rendering()
    boxes = [patch.get_window_extent() for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    for text in axes.texts:
        inner = text.get_window_extent()
        assert any(
            box.x0 <= inner.x0 and inner.x1 <= box.x1 and box.y0 <= inner.y0 and inner.y1 <= box.y1 for box in boxes
        ), text


def test_matplotlib_is_asked_for_by_name_and_loaded_only_then(zoo, monkeypatch):
    code = "import oamip, oamip.network, sys; oamip.read; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match=r"drawing a network needs the package 'matplotlib'.*oamip\[plot\]"):
        zoo("mlp").network.draw()
