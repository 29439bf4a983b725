"""Networks out again: as a torch module, as an ONNX file, as a torch.export archive.

    to_torch(network)             a plain torch module of ordinary layers, which can be read and pruned like any other
    to_onnx(network, path)        an ONNX file; torch is not needed
    save(module, x, path)         a module as .safetensors, .pt2 or .onnx, by the ending of the path

A `Network` may come from anywhere; what is written computes the same, which is checked before it is handed out.

    >>> import numpy as np
    >>> from oamip.network import Affine, Dense, Input, Layer, Network, ReLU
    >>> net = Network()
    >>> x = net.add(Input("x", (2,), "x"))
    >>> layer = Layer("body.fc", "linear", bias=False)
    >>> a = net.add(Affine("a", (1,), "body.fc", np.zeros(1), layer), (x, Dense(np.array([[1.0, -2.0]]), (2,))))
    >>> net.outputs = (net.add(ReLU("y", (1,), "body.relu"), (a, None)),)
    >>> from oamip.writers import to_torch
    >>> to_torch(net)
    PiecewiseLinear(
      (body): Module(
        (fc): Linear(in_features=2, out_features=1, bias=False)
        (relu): ReLU()
      )
    )

The files: `lowering` takes a network apart into the `steps` that torch and ONNX both have; `moves`, `boxes` and `pools`
find out what arrays of indices mean; `torch_rules` and `onnx_graph` write the steps down, one rule for each;
`onnx_file` and `formats` put files in place, after they were loaded again and compared.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oamip.writers.formats import FORMATS, save
    from oamip.writers.onnx_file import to_onnx
    from oamip.writers.torch_module import INPUT_SHAPES, to_torch

_HOMES = {
    "FORMATS": "oamip.writers.formats",
    "INPUT_SHAPES": "oamip.writers.torch_module",
    "save": "oamip.writers.formats",
    "to_onnx": "oamip.writers.onnx_file",
    "to_torch": "oamip.writers.torch_module",
}

__all__ = ["FORMATS", "INPUT_SHAPES", "save", "to_onnx", "to_torch"]


def __getattr__(name: str) -> Any:  # imported when asked for: to_onnx needs no torch
    if name not in _HOMES:
        raise AttributeError(f"module 'oamip.writers' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
