"""What `Network.simplify` does to a network, and to the programs that it is embedded in.

Each network is taken as it was read, and simplified. Nodes and non-zeros are those of the network and its maps. Two
programs follow, by big-M: the values over a box of the given radius around a fixed random input, by interval bounds;
and the importance of units on one sample, by gated bounds. Rows, columns and non-zeros are those of the compiled
matrix. ``clamped`` and ``half off`` are made here: linear layers with normalisations on both sides of ReLU6, LeakyReLU
and Hardtanh; and a convolutional network of which every second channel is switched off by its normalisation.

    python benchmarks/simplify.py --networks ../shared/networks
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from oamip import Box, Importance, ImportanceOptions, Network, Program, find_groups, interval, read
from oamip.formulations import embed
from oamip.network import Affine
from oamip.solving import find_backend


def clamped() -> tuple[nn.Module, tuple[int, ...]]:
    """Linear layers with activations that are read as several nodes, and normalisations on both sides of them."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Linear(20, 50)]
    for activation in (nn.ReLU6(), nn.LeakyReLU(0.1), nn.Hardtanh()):
        layers += [nn.BatchNorm1d(50), activation, nn.BatchNorm1d(50), nn.Linear(50, 50)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Linear(50, 10)), (20,)


def half_off() -> tuple[nn.Module, tuple[int, ...]]:
    """A convolutional network in which a normalisation made every second channel a constant."""
    torch.manual_seed(0)
    first, second = nn.BatchNorm2d(16), nn.BatchNorm2d(32)
    for norm in (first, second):
        nn.init.zeros_(norm.weight[::2])
        nn.init.uniform_(norm.bias, -1.0, 0.0)
    features = [nn.Conv2d(1, 16, 5, 2), first, nn.ReLU(), nn.Conv2d(16, 32, 5, 2), second, nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*features, nn.Linear(32 * 16, 10)), (1, 28, 28)


def networks(folder: Path) -> Iterator[tuple[str, Network]]:
    """Names and networks, made here and read from the folder."""
    for name, make in (("clamped", clamped), ("half off", half_off)):
        with torch.no_grad():
            module, shape = make()
        yield name, read(module.eval(), torch.zeros(1, *shape))
    for path in sorted(folder.glob("*.onnx")):
        yield path.stem, read(path)


def measured(network: Network, radius: float) -> list[str]:
    """Nodes, non-zeros of the maps, units; rows, columns and non-zeros of both programs."""
    x = np.random.default_rng(0).normal(size=(1, *network[network.inputs[0]].shape))
    bounds = interval(network, Box.around(x, radius))
    box = Program("box")
    embed(box, network, bounds, box.variables("x", x.shape, x - radius, x + radius))
    groups, label = find_groups(network), network(x).reshape(1, -1).argmax(axis=1)
    importance = Importance(groups, x, label, ImportanceOptions(bounds="gated")).program()
    nonzeros = sum(map_.nonzeros for node in network.nodes(Affine) for _, map_ in network.edges(node.name))
    sizes = [len(network.order), nonzeros, groups.size, *_size(box), *_size(importance)]
    return [f"{size:,}" for size in sizes]


def _size(program: Program) -> tuple[int, int, int]:
    backend = find_backend("matrix")
    matrix = backend.compile(backend.build(program)).A
    return (*matrix.shape, matrix.nnz)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=Path, default=Path("../shared/networks"))
    parser.add_argument("--radius", type=float, default=0.05)
    options = parser.parse_args()
    head = "nodes, non-zeros, units, box: rows, columns, non-zeros, importance: rows, columns, non-zeros"
    print(f"| network | | {head.replace(', ', ' | ')} |")
    print(f"| --- | --- |{' ---: |' * 9}")
    for name, network in networks(options.networks):
        for which, one in (("read", network), ("simplified", network.simplify())):
            print(f"| {name} | {which} | {' | '.join(measured(one, options.radius))} |", flush=True)


if __name__ == "__main__":
    main()
