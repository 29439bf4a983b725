"""Messages between a solve and its process: JSON, and numbers as raw bytes. Nothing is pickled, so nothing is run.

A message is a dictionary. On the wire it is a head of 16 bytes (`MAGIC`, length of the JSON, length of everything
behind the head), the JSON, and then the arrays one after the other, each on a multiple of 8 bytes. In the JSON a plain
list stands for a tuple, and an object with the key ``@`` for everything that JSON does not know: lists, arrays, sparse
matrices, paths, the convex functions that travel by name, and the dataclasses of `RECORDS`.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oamip.errors import InputError
from oamip.options import Options, Progress
from oamip.program import (
    CompiledEpigraph,
    CompiledIndicator,
    CompiledSOS1,
    LogSumExp,
    Perspective,
    Span,
    StandardForm,
    SumSquares,
)
from oamip.solving.outcome import Outcome

__all__ = ["Inbox", "Message", "WireError", "pack"]

Message: TypeAlias = dict[str, Any]
Buffers: TypeAlias = list[NDArray[Any]]

MAGIC = b"oam1"
HEAD = struct.Struct("<4sIQ")
TYPES = ("|b1", "<i4", "<i8", "<f8")  # of the elements of arrays
RECORDS = (CompiledEpigraph, CompiledIndicator, CompiledSOS1, Options, Outcome, Progress, Span, StandardForm)
FUNCTIONS = (LogSumExp, Perspective, SumSquares)

_FUNCTIONS: dict[str, type] = {function.name: function for function in FUNCTIONS}


class WireError(Exception):
    """What came is no message."""


# ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def pack(message: Mapping[str, Any]) -> bytes:
    """A message as bytes.

    Raises:
        InputError: something in it cannot travel; names its place.
    """
    buffers: Buffers = []
    text = json.dumps(_out(message, "", buffers)).encode()
    parts = [text, bytes(-len(text) % 8)]
    for buffer in buffers:
        parts += [buffer.tobytes(), bytes(-buffer.nbytes % 8)]
    body = b"".join(parts)
    return HEAD.pack(MAGIC, len(text), len(body)) + body


def _out(value: Any, place: str, buffers: Buffers) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray) and value.dtype.newbyteorder("<").str in TYPES:
        buffers.append(value.astype(value.dtype.newbyteorder("<"), copy=False))
        return {"@": "array", "dtype": buffers[-1].dtype.str, "shape": list(value.shape)}
    if isinstance(value, np.bool_ | np.integer):
        return value.item()
    if isinstance(value, tuple | list):
        items = [_out(item, f"{place}[{position}]", buffers) for position, item in enumerate(value)]
        return items if isinstance(value, tuple) else {"@": "list", "items": items}
    if isinstance(value, Mapping) and all(isinstance(key, str) and key != "@" for key in value):
        return {key: _out(item, f"{place}.{key}".lstrip("."), buffers) for key, item in value.items()}
    tagged = _tagged(value, place)
    return {"@": tagged.pop("@"), **{key: _out(item, f"{place}.{key}", buffers) for key, item in tagged.items()}}


def _tagged(value: Any, place: str) -> dict[str, Any]:
    """The name of a kind, and its parts."""
    kind = type(value)
    if kind in RECORDS:
        return {"@": kind.__name__, **{field.name: getattr(value, field.name) for field in fields(value)}}
    if kind in FUNCTIONS:
        return {"@": "function", "name": value.name, **vars(value)}
    if sp.issparse(value):
        csr = sp.csr_array(value)
        return {"@": "csr", "data": csr.data, "indices": csr.indices, "indptr": csr.indptr, "shape": csr.shape}
    if isinstance(value, Path):
        return {"@": "path", "absolute": str(value.absolute())}
    raise InputError(
        f"{place} is of type {kind.__name__}, which cannot be sent to the process of an isolated solver: only numbers, "
        "text, lists, dictionaries and arrays can; solve without isolation, or leave it out"
    )


# ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Inbox:
    """Bytes as they come, and the messages that are complete."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take some bytes and give every message that is now whole.

        Raises:
            WireError: these bytes are no message.
        """
        self._bytes += data
        while len(self._bytes) >= HEAD.size:
            magic, text, body = HEAD.unpack_from(self._bytes)
            if magic != MAGIC or text > body:
                raise WireError(f"{bytes(self._bytes[:20])!r} begins no message")
            if len(self._bytes) < HEAD.size + body:
                return
            whole = self._bytes[HEAD.size : HEAD.size + body]
            del self._bytes[: HEAD.size + body]
            yield _unpack(whole, text)


def _unpack(body: bytearray, text: int) -> Message:
    try:
        message = _in(json.loads(body[:text]), _Buffers(body, text + -text % 8))
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        raise WireError(f"a message cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(message, dict):
        raise WireError(f"a message is a {type(message).__name__}")
    return message


class _Buffers:
    def __init__(self, body: bytearray, position: int) -> None:
        self._body, self._position = body, position

    def take(self, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        if dtype not in TYPES or any(length < 0 for length in shape):
            raise ValueError(f"no array of type {dtype} and shape {shape}")
        array = np.frombuffer(self._body, dtype, math.prod(shape), self._position).reshape(shape)
        self._position += array.nbytes + -array.nbytes % 8
        return array


def _in(value: Any, buffers: _Buffers) -> Any:
    """The value that a piece of JSON stands for; in the order in which it was written, as arrays follow one another."""
    if isinstance(value, list):
        return tuple(_in(item, buffers) for item in value)
    if not isinstance(value, dict):
        return value
    kind = value.pop("@", None)
    parts = {key: _in(item, buffers) for key, item in value.items()}
    if kind is None:
        return parts
    return buffers.take(**parts) if kind == "array" else _MAKERS[kind](**parts)


def _function(name: str, **parameters: Any) -> Any:
    return _FUNCTIONS[name](**parameters)


def _csr(data: Any, indices: Any, indptr: Any, shape: Any) -> sp.csr_array:
    return sp.csr_array((data, indices, indptr), shape=shape)


def _path(absolute: str) -> Path:
    return Path(absolute)


def _list(items: tuple[Any, ...]) -> list[Any]:
    return list(items)


_MAKERS: dict[str, Callable[..., Any]] = {
    **{record.__name__: record for record in RECORDS},
    "csr": _csr,
    "function": _function,
    "list": _list,
    "path": _path,
}
