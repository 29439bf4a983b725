"""A network as an ONNX file, read back, run by another program and compared before it takes its place."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Literal

import numpy as np

from oamip.errors import InputError, MismatchError, MissingDependency, ModelFileError
from oamip.files import write_atomically
from oamip.network import Network
from oamip.network.comparison import outputs_of, random_inputs, worst_difference
from oamip.writers.lowering import lower

__all__ = ["to_onnx"]

_AGREEMENT = {"float32": 1e-4, "float64": 1e-9}
"""Relative. In single precision the real networks of the tests, and 300 random ones, are off by 4e-7 at most."""
_LARGEST = 2**31 - 2**16
"""Protocol buffers end at 2 GiB."""


def to_onnx(network: Network, path: Path | str, *, dtype: Literal["float32", "float64"] = "float32") -> None:
    """Write a network to an ONNX file (opset 17), which appears whole and checked, or not at all.

    The first axis of inputs and outputs is the batch, of any size. Layers keep the names of the source. The file is
    checked by ``onnx.checker``, read again by `oamip.read`, and run by ``onnx.reference``; both must give what the
    network gives. torch is not needed.

    Args:
        network: any, from a torch module, an ONNX file, or made by hand.
        path: of the file, by custom ending in ``.onnx``.
        dtype: of inputs, weights and outputs.

    Raises:
        MissingDependency: onnx is not installed.
        InputError: another dtype.
        ModelFileError: the file cannot be written, or would be larger than 2 GiB.
        MismatchError: the file does not compute what the network computes.
        UnsupportedOperator: a linear map of a kind that is not ours.
    """
    if dtype not in _AGREEMENT:
        raise InputError(f"dtype={dtype!r} is not one of {', '.join(_AGREEMENT)}")
    if importlib.util.find_spec("onnx") is None:
        raise MissingDependency("onnx", "writing ONNX files", "onnx")
    from oamip.writers.onnx_graph import model_of

    target = Path(path)
    model = model_of(lower(network), np.float32 if dtype == "float32" else np.float64)
    if model.ByteSize() > _LARGEST:
        raise ModelFileError(f"{target}: the network takes {model.ByteSize()} bytes, and an ONNX file holds 2 GiB")
    write_atomically(
        target,
        model.SerializeToString(deterministic=True),
        check=lambda written: _check(written, target, network, _AGREEMENT[dtype], np.dtype(dtype)),
        folders=False,
        error=ModelFileError,
    )


def _check(written: Path, target: Path, network: Network, tolerance: float, dtype: Any) -> None:
    import onnx

    from oamip.readers.onnx_graph import read_onnx
    from oamip.readers.onnx_graph.reference import outputs_by_reference

    model = onnx.load(written)
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.checker.ValidationError as error:
        raise MismatchError(f"{target}: onnx.checker refuses the file ({error}); please report this network") from error
    samples = random_inputs(network, 3)
    expected, again = outputs_of(network, samples), read_onnx(written)
    given = dict(zip(again.inputs, samples.values(), strict=True))
    _compare(expected, outputs_of(again, given), tolerance, f"{target}: the file, read again,")
    names = [value.name for value in model.graph.input]
    feed = {name: x.astype(dtype) for name, x in zip(names, samples.values(), strict=True)}
    try:
        found = outputs_by_reference(model, feed)
    except Exception as error:  # its kernels raise anything
        raise MismatchError(
            f"{target}: onnx.reference cannot run the file ({error}); please report this network"
        ) from error
    _compare(expected, found, tolerance, f"{target}: the file, run by onnx.reference,")


def _compare(expected: list[Any], found: list[Any], tolerance: float, what: str) -> None:
    worst = worst_difference(expected, found)
    if not worst <= tolerance:
        raise MismatchError(f"{what} differs from the network by {worst:.2g}; it was not written")
