"""Seconds and memory to read each network of a folder, beside the size of what it is read from.

Every file is read in a process of its own, by `oamip.read`: ONNX files as they are; state dicts of the networks known
here after they were put into their module. Time is the median of several readings, in milliseconds of one core, which
other users of the machine hardly lengthen. The source's size is that of its
parameters and buffers as stored; memory is what reading adds at its peak, as Python's allocator sees it (tracemalloc,
numpy included, in a reading of its own), and the growth of the process's largest resident set over the first reading;
libraries are loaded before.

    python benchmarks/reading.py ../shared/networks --repeats 21
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import platform
import resource
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

COLUMNS = ("file", "nodes", "entries", "source KiB", "CPU ms", "peak MiB", "resident MiB")
"""``entries``: numbers in one sample at all nodes together."""


def source_of(path: Path) -> tuple[Callable[[], Any], int]:
    """How to read a file, and the bytes of its parameters and buffers."""
    import oamip

    if path.suffix == ".onnx":
        import onnx
        from onnx import numpy_helper

        import oamip.readers.onnx_graph.reader

        tensors = [numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer]
        return lambda: oamip.read(path), sum(tensor.nbytes for tensor in tensors)
    import torch

    import oamip.readers.torch_module

    torch.set_num_threads(1)
    module, shape = known_module(path)
    tensors = [*module.parameters(), *module.buffers()]
    x = torch.zeros(1, *shape)
    return lambda: oamip.read(module, x), sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def known_module(path: Path) -> tuple[Any, tuple[int, ...]]:
    """The module of a state dict, by the names and shapes of its weights, and the shape of a sample."""
    import torch
    from torch import nn

    from oamip.resnet import ResNet20

    stored = torch.load(path, weights_only=True, map_location="cpu")
    stored = stored.get("state_dict", stored)
    stored = stored[0] if isinstance(stored, list) else stored
    if "module.conv1.weight" in stored:
        module, shape = ResNet20(), (3, 32, 32)
        stored = {name.removeprefix("module."): tensor for name, tensor in stored.items()}
    elif stored["0.weight"].ndim == 2:
        sizes = [stored["0.weight"].shape[1], *(tensor.shape[0] for name, tensor in stored.items() if "weight" in name)]
        layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
        module, shape = nn.Sequential(*layers[:-1]), (sizes[0],)
    else:
        channels = stored["0.weight"].shape[1]
        shape, padding = ((3, 32, 32), 1) if channels == 3 else ((1, 28, 28), 0)
        first, second, third = (stored[f"{place}.weight"].shape for place in (0, 2, 5))
        layers = [
            nn.Conv2d(channels, first[0], 4, 2, padding),
            nn.ReLU(),
            nn.Conv2d(first[0], second[0], 4, 2, padding),
        ]
        layers += [nn.ReLU(), nn.Flatten(), nn.Linear(third[1], third[0]), nn.ReLU(), nn.Linear(third[0], 10)]
        module = nn.Sequential(*layers)
    module.load_state_dict(stored)
    return module.eval(), shape


def measure(path: Path, repeats: int) -> dict[str, Any]:
    """One row of the table, measured in this process."""
    read, size = source_of(path)
    gc.collect()
    before = resident()
    network = read()
    grown = resident() - before
    times = []
    for _ in range(repeats):
        gc.collect()
        began = time.process_time()
        read()
        times.append(time.process_time() - began)
    gc.collect()
    tracemalloc.start()
    read()
    peak = tracemalloc.get_traced_memory()[1]
    entries = sum(math.prod(network[name].shape) for name in network.order)
    values = (path.name, len(network.order), entries, size / 2**10, 1e3 * statistics.median(times), peak / 2**20, grown)
    return dict(zip(COLUMNS, values, strict=True))


def resident() -> float:
    """The largest resident set of this process so far, in MiB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 2**10


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", action="store_true", help="the folder is one file: print its row as JSON")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.folder, given.repeats)))
        return
    files = sorted(path for path in given.folder.iterdir() if path.suffix in (".onnx", ".th", ".pth", ".pyt"))
    names = ", ".join(f"{name} {version(name)}" for name in ("torch", "onnx", "numpy"))
    print(f"{given.repeats} readings, {platform.machine()}, Python {platform.python_version()}, {names}\n")
    print(f"| {' | '.join(COLUMNS)} |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for path in files:
        command = [sys.executable, __file__, str(path), "--one", "--repeats", str(given.repeats)]
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        cells = [f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" for value in list(row.values())[1:]]
        print(f"| {row['file']} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
