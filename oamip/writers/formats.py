"""A module in one of three files; each is loaded again and compared before it takes its place.

.safetensors    weights and graph, loads without the class that made it (`oamip.readers.saved`)
.pt2            a torch.export archive with a free batch, for torch's own tools (torch 2.8 or newer)
.onnx           for everything else
"""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oamip.errors import InputError, MismatchError, ModelFileError, UnsupportedOperator
from oamip.files import write_atomically
from oamip.readers import read, saved
from oamip.readers.exported import load_exported
from oamip.writers.onnx_file import to_onnx

__all__ = ["FORMATS", "save"]

_AGREEMENT = 1e-5
"""Relative, in single precision: the reader makes the same layers, whose sums torch may order in another way."""


def save(module: nn.Module, example_input: torch.Tensor, path: Path | str) -> None:
    """Write a module to a file of the kind that its name ends in, load it again and compare.

    What is written is the module in evaluation mode, in its own precision; an ONNX file is in double precision if the
    module is, in single otherwise. A softmax at the end is left out of an ONNX file.

    Args:
        module: not changed.
        example_input: a batch (n, *shape) that it takes.
        path: of the file, which appears whole or not at all.

    Raises:
        InputError: another ending.
        ModelFileError: the file cannot be written, or torch cannot export the module.
        UnsupportedOperator: the format has no place for an operator, which is named.
        MismatchError: what is loaded again gives other outputs.
        MissingDependency: onnx is not installed.
    """
    kind = Path(path).suffix.removeprefix(".")
    if kind not in FORMATS:
        raise InputError(f"{path}: the name must end in one of {', '.join(f'.{name}' for name in FORMATS)}")
    FORMATS[kind](module, example_input, Path(path))


def _exported(module: nn.Module, example_input: torch.Tensor, path: Path) -> None:
    """A torch.export archive; the batch is free where the module allows it."""
    private = copy.deepcopy(module).cpu().eval()
    x = example_input.detach().cpu()
    x = x if len(x) > 1 else x.repeat(2, *(1 for _ in x.shape[1:]))  # a batch of one would be taken for a constant
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch tells about its own future
        try:
            program = torch.export.export(private, (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
            torch.export.save(program, file)
        except Exception as error:  # torch.export has no common type of error
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelFileError(f"{path}: torch.export cannot follow {type(module).__name__}: {first}") from error
        expected = private(x)
    write_atomically(
        path,
        file.getvalue(),
        check=lambda written: _compare(load_exported(written), x, expected, path),
        folders=False,
        error=ModelFileError,
    )


def _onnx(module: nn.Module, example_input: torch.Tensor, path: Path) -> None:
    double = next((p.dtype for p in module.parameters()), torch.float32) == torch.float64
    to_onnx(read(module, example_input), path, dtype="float64" if double else "float32")


def _compare(loaded: nn.Module, x: torch.Tensor, expected: Any, path: Path) -> None:
    with torch.no_grad():
        found = loaded(x)
    for wanted, given in zip(map(torch.detach, _tensors(expected)), _tensors(found), strict=True):
        size = float(wanted.abs().max().clamp(min=1.0))
        if wanted.shape != given.shape or not float((wanted - given).abs().max()) <= _AGREEMENT * size:
            raise MismatchError(f"{path}: the archive gives other outputs when it is loaded again; it was not written")


def _tensors(output: Any) -> list[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        return [output]
    if isinstance(output, tuple | list):
        return [tensor for item in output for tensor in _tensors(item)]
    raise UnsupportedOperator(type(output).__name__, "output", "return a tensor or a tuple of tensors")


FORMATS: Mapping[str, Callable[[nn.Module, torch.Tensor, Path], None]] = {
    "safetensors": saved.save,
    "pt2": _exported,
    "onnx": _onnx,
}
"""Ending of the name to what writes such a file."""
