"""One door for all sources of networks; what a source needs is imported when it comes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from oamip.errors import InputError
from oamip.network import Network

__all__ = ["read"]


def read(
    source: Any, example_input: Any = None, *, shapes: Mapping[str, Sequence[int | None]] | None = None
) -> Network:
    """Read a trained network into affine, ReLU and max nodes in float64.

    Args:
        source: a torch module, or the path of an ONNX file (``.onnx``, ``.onnx.gz``).
        example_input: for a torch module a batch (n, *shape), or a tuple of them for several inputs.
        shapes: for an ONNX file, sizes of inputs that it leaves open: ``{"image": (1, 3, 32, 32)}``.

    Returns:
        The network; its nodes carry the module paths or node names of the source.

    Raises:
        InputError: neither of the two, an argument is missing or does not belong to the source, or a weight is not
            finite.
        ModelFileError: the file is missing or damaged.
        UnsupportedOperator: names the operator, its place and what to do instead.
        MismatchError: what was read from a module does not compute what the module computes on the example or on random
            inputs.
    """
    if isinstance(source, str | os.PathLike):
        if not str(os.fspath(source)).endswith((".onnx", ".onnx.gz")):
            raise InputError(f"{source}: networks are read from torch modules and from files ending in .onnx")
        if example_input is not None:
            raise InputError(
                "example_input is for torch modules; for an ONNX file give shapes={...} if it leaves any open"
            )
        from oamip.readers.onnx_graph import read_onnx

        return read_onnx(os.fspath(source), shapes=shapes)
    if shapes is not None:
        raise InputError("shapes= is for ONNX files; for a torch module give an example_input")
    if example_input is None:
        raise InputError("a torch module is read with an example_input: read(module, torch.zeros(1, 3, 32, 32))")
    from oamip.readers.torch_module import read as read_module

    return read_module(source, example_input)
