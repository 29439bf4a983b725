"""The bytes of a model file, as protocol buffers; nothing of it is trusted yet."""

from __future__ import annotations

from pathlib import Path

import onnx

from oamip.errors import ModelFileError
from oamip.files import read_bytes

__all__ = ["read_model"]

_LARGEST = 2**31
"""Protocol buffers end here; larger networks keep their weights beside the file."""


def read_model(path: Path) -> onnx.ModelProto:
    """Parse a file, plain or gzipped (``.gz``); weights kept in other files are not loaded.

    Raises:
        ModelFileError: it is missing, empty, damaged, or no ONNX model.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(read_bytes(path, _LARGEST, error=ModelFileError))
    except ModelFileError:
        raise
    # What the parser raises differs between its versions.
    except Exception as error:
        raise ModelFileError(f"{path} is damaged or no ONNX model: {error}") from error
    if not model.graph.node:
        raise ModelFileError(f"{path} is no ONNX model, or one without nodes; export the network again")
    graph = model.graph
    names = [entry.name for entry in (*graph.node, *graph.input, *graph.output, *graph.initializer)]
    for node in graph.node:
        names += [node.op_type, node.domain, *node.input, *node.output, *(entry.name for entry in node.attribute)]
    if not all(isinstance(name, str) for name in names):  # the parser hands out bytes that are no text as bytes
        raise ModelFileError(f"{path} is damaged: a name in it is no text; export the network again")
    return model
