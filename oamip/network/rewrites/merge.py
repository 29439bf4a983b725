"""An affine node goes into the affine nodes that read it, where that makes no more non-zeros.

    y = A x + b,  x = Σ_f B_f f + c      ⟶      y = Σ_f (A B_f) f + (b + A c)

Batch normalisation so folds into the layer before it, or into the one after it; chains of reshapes, slices and pads
become one selection; a copy disappears.

A layer is more than its map: units are found in it and parameters counted. So the node that is left takes the layer of
the one that has weights, and a merge that no layer could describe does not happen: when the layer would have several
inputs, or be there twice, or get a bias that differs between positions of a channel, as a shift before a padded
convolution would make.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from oamip.network.labels import output_slots
from oamip.network.maps import LinearMap, Scale, Weighted
from oamip.network.network import Network
from oamip.network.nodes import Affine, Layer
from oamip.network.rewrites.algebra import is_identity, per_slot, product, total
from oamip.network.rewrites.sketch import Sketch

__all__ = ["merge_affine"]

Array: TypeAlias = NDArray[np.float64]
Merged: TypeAlias = tuple[Affine, dict[str, LinearMap]]

_ROUNDING = 1e-12
"""Relative difference up to which biases of one channel are one number, computed in two orders."""


def merge_affine(network: Network) -> Network:
    """Merge affine nodes into their readers, the first ones first."""
    calls = Counter(node.layer.path for node in network.nodes(Affine) if node.layer)
    sketch, changed = Sketch(network), False
    for name in sketch.affine():
        node = sketch.nodes[name]
        assert isinstance(node, Affine)
        changed = (_is_copy(sketch, node) and _drop(sketch, node)) or _merge(sketch, node, calls) or changed
    return sketch.network() if changed else network


def _is_copy(sketch: Sketch, node: Affine) -> bool:
    maps = list(sketch.maps(node.name).values())
    return len(maps) == 1 and is_identity(maps[0]) and not node.bias.any() and node.layer is None and not node.rigid


def _drop(sketch: Sketch, node: Affine) -> bool:
    if node.name in sketch.outputs or not sketch.readers(node.name):
        return False
    (source,) = sketch.maps(node.name)
    sketch.redirect(node.name, source)
    return True


def _merge(sketch: Sketch, node: Affine, calls: Mapping[str, int]) -> bool:
    """Put a node into all its readers, if it can vanish by that and non-zeros do not grow."""
    readers = [sketch.nodes[name] for name in sketch.readers(node.name)]
    if node.name in sketch.outputs or not readers or not sketch.maps(node.name):
        return False
    if len(readers) > 1 and node.layer is not None and node.layer.kind != "norm":
        return False
    merged: list[Merged] = []
    for reader in readers:
        one = _merged(sketch, node, reader, calls) if isinstance(reader, Affine) else None
        if one is None:
            return False
        merged.append(one)
    before = sum(_nonzeros(sketch.maps(each.name)) for each in (node, *readers))
    if sum(_nonzeros(maps) for _, maps in merged) > before:
        return False
    for reader, maps in merged:
        sketch.put(reader, dict(maps))
    return True


def _nonzeros(maps: Mapping[str, LinearMap]) -> int:
    return sum(map_.nonzeros for map_ in maps.values())


def _merged(sketch: Sketch, node: Affine, reader: Affine, calls: Mapping[str, int]) -> Merged | None:
    if node.rigid or reader.rigid:
        return None
    maps = sketch.maps(reader.name)
    outer = maps.pop(node.name)
    for source, inner in sketch.maps(node.name).items():
        one = product(outer, inner)
        if one is None:
            return None
        maps[source] = total(maps[source], one) if source in maps else one
    bias = reader.bias + outer.apply(node.bias[None])[0]
    layers = [each.layer for each in (node, reader) if each.layer is not None]
    if not layers:
        return replace(reader, bias=bias), maps
    if len(maps) > 1 or any(layer.kind == "slope" or calls[layer.path] > 1 for layer in layers):
        return None
    return _layered(node, reader, bias, maps, layers)


def _layered(
    node: Affine, reader: Affine, bias: Array, maps: dict[str, LinearMap], layers: list[Layer]
) -> Merged | None:
    """The merged node with the layer that its map is now."""
    (map_,) = maps.values()
    weighted = [layer for layer in layers if layer.kind != "norm"]
    layer = (weighted or layers)[-1]
    if bool(weighted) != isinstance(map_, Weighted) or not isinstance(map_, Weighted | Scale):
        return None
    if isinstance(map_, Weighted):
        slots = output_slots(map_)
        numbers = per_slot(bias.ravel(), slots, _ROUNDING)
        if numbers is None:
            return None
        bias = numbers[slots].reshape(bias.shape)
        layer = replace(layer, bias=layer.bias or bool(bias.any()))
    owner = node if node.layer is not None and node.layer.path == layer.path else reader
    return replace(reader, module=owner.module, bias=bias, layer=layer), maps
