"""Weights and constants of a model as numpy arrays: no entry that the file does not hold, none from outside its folder.

Reals become float64, integers int64. A tensor whose declared size and bytes disagree is refused before anything of
that size is made.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from oamip.errors import ModelFileError

__all__ = ["INTEGERS", "REALS", "Constant", "decode"]

Constant: TypeAlias = NDArray[Any]

REALS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
"""Types whose values stand for real numbers."""
INTEGERS = (
    *(TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64),
    *(TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64),
)
_BYTES: dict[int, int] = {
    kind: onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize for kind in (*REALS, *INTEGERS, TensorProto.BOOL)
}


def decode(tensor: TensorProto, folder: Path, name: str = "") -> Constant:
    """A tensor as float64, int64 or bool.

    Args:
        tensor: as the file has it.
        folder: of the model file; weights kept outside the model are read from here and from nowhere else.
        name: for messages, where the tensor itself has none.

    Raises:
        ModelFileError: its size and its bytes disagree, its type is not a number, its bytes lie outside the folder, or
            a weight is NaN or infinite. A single number may be infinite: some exporters clip at infinity.
    """
    label = tensor.name or name
    if tensor.data_type not in _BYTES:
        kind = _type_name(tensor.data_type)
        raise ModelFileError(f"tensor '{label}' has type {kind}; real numbers, integers and truth values are read")
    dims = tuple(tensor.dims)
    if min(dims, default=1) < 0:
        raise ModelFileError(f"tensor '{label}' has the impossible shape {dims}; export the network again")
    size = math.prod(dims)
    if tensor.data_location == TensorProto.EXTERNAL:
        itemsize = _BYTES[tensor.data_type]
        raw = _external(tensor, folder, label, size * itemsize)
        tensor = TensorProto(dims=dims, data_type=tensor.data_type, raw_data=raw)
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, OverflowError) as error:
        raise ModelFileError(f"tensor '{label}' does not hold the {size} numbers of shape {dims}: {error}") from error
    if array.shape != dims:
        raise ModelFileError(f"tensor '{label}' has shape {dims} and {array.size} numbers; export the network again")
    if array.dtype == np.bool_:
        return array
    if tensor.data_type in INTEGERS:
        return array.astype(np.int64)
    with np.errstate(invalid="ignore"):  # NaN, which is told apart below
        reals = array.astype(np.float64)
    if reals.size > 1 and not np.isfinite(reals).all():
        raise ModelFileError(f"tensor '{label}' holds NaN or infinity; train the network again")
    return reals


def _external(tensor: TensorProto, folder: Path, label: str, wanted: int) -> bytes:
    """Bytes from a file beside the model; no link and no ``..`` leads out of its folder."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    root = folder.resolve()
    try:
        path = (root / location).resolve()
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", wanted))
        if not location or Path(location).is_absolute() or not path.is_relative_to(root):
            raise ModelFileError(f"tensor '{label}' lies at '{location}', outside the folder of the model; refused")
        if not path.is_file():
            raise ModelFileError(f"tensor '{label}' lies in '{location}', which is missing beside the model; copy it")
        available = path.stat().st_size - offset
        if offset < 0 or length != wanted or length > available:
            raise ModelFileError(
                f"tensor '{label}' needs {wanted} bytes and '{location}' has {min(length, available)} for it; "
                "copy the file again"
            )
        with path.open("rb") as file:
            file.seek(offset)
            content: bytes = file.read(length)
            return content
    except (OSError, ValueError, TypeError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"tensor '{label}' cannot be read from '{location}': {error}") from error


def _type_name(kind: int) -> str:
    return str(TensorProto.DataType.Name(kind)) if kind in TensorProto.DataType.values() else f"number {kind}"
