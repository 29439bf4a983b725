"""Seconds and memory of reading, against the size of what is read.

A torch module is traced, read and compared with the network on its example; an ONNX file is parsed. ``weights`` are the
parameters in single precision, as the source holds them; ``network`` is what the arrays of the network take in
double precision, indices included; ``peak`` is the most that Python allocated on the way, torch's own tensors left
out (tracemalloc, in a run of its own, since it slows). Seconds are the least of the repeats. The last two modules have
random weights: what they say is size.

    python benchmarks/reading.py --networks ../shared/networks
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from resnet20 import resnet20
from torch import nn

from oamip import Network, read
from oamip.network import Affine, Max, cost_of, find_groups


def vgg(widths: tuple[int, ...], side: int) -> nn.Module:
    """Convolutions and pools as in VGG (Simonyan and Zisserman, 2015), then one linear layer; 0 stands for a pool."""
    layers: list[nn.Module] = []
    channels = 3
    for width in widths:
        if width == 0:
            layers.append(nn.MaxPool2d(2))
            side //= 2
            continue
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * side * side, 10)).eval()


def sources(folder: Path) -> Iterator[tuple[str, Callable[[], Network]]]:
    """What is read, and how."""
    image = torch.zeros(1, 3, 32, 32)
    yield "ResNet-20, torch", partial(read, resnet20(folder / "resnet20_cifar10.th"), image)
    for path in sorted(folder.glob("*.onnx")):
        yield path.name, partial(read, path)
    vgg11 = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)
    yield "VGG-11, 32×32, torch", partial(read, vgg(vgg11, 32), image)
    yield "VGG-11, 128×128, torch", partial(read, vgg(vgg11, 128), torch.zeros(1, 3, 128, 128))


def arrays(part: Any, seen: set[int]) -> int:
    """Bytes of all arrays in maps and nodes, those that are shared counted once."""
    if isinstance(part, np.ndarray):
        base = part if part.base is None else part.base
        if id(base) in seen:
            return 0
        seen.add(id(base))
        return int(getattr(base, "nbytes", part.nbytes))
    if isinstance(part, tuple | list):
        return sum(arrays(one, seen) for one in part)
    return sum(arrays(one, seen) for one in vars(part).values()) if hasattr(part, "__dict__") else 0


def held(network: Network) -> int:
    """Bytes that a network takes."""
    seen: set[int] = set()
    maps = [[map_ for _, map_ in network.edges(node.name)] for node in network.nodes(Affine)]
    return arrays([maps, [node.bias for node in network.nodes(Affine)], [n.index for n in network.nodes(Max)]], seen)


def measured(make: Callable[[], Network], repeats: int) -> tuple[str, ...]:
    """Parameters, MiB of weights, of the network and at the peak, and seconds."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        network = make()
        times.append(time.perf_counter() - started)
    tracemalloc.start()
    make()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    parameters = cost_of(find_groups(network)).count()[0]
    sizes = [size / 2**20 for size in (4 * parameters, held(network), peak)]
    return f"{parameters:,}", *(f"{size:.2f}" for size in sizes), f"{min(times):.3f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=Path, default=Path("../shared/networks"))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print("| source | parameters | weights MiB | network MiB | peak MiB | seconds |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, make in sources(options.networks):
        print(f"| {name} | {' | '.join(measured(make, options.repeats))} |", flush=True)


if __name__ == "__main__":
    main()
