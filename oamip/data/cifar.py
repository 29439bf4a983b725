"""CIFAR-10 as its makers publish it: pickles, read by a machine that can build nothing but what they hold.

A batch is a dictionary of the images, an array of bytes (10000, 3072), and of labels and file names. A pickle may ask
for any function to be called; here it gets dictionaries, lists, text, numbers and arrays of bytes, and any other wish
is refused by name. Arrays are put together by our own few lines, never larger than the bytes that the file holds.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from oamip.errors import DataError
from oamip.files import read_bytes

__all__ = ["cifar10"]

_FOLDER = "cifar-10-batches-py"
_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_LARGEST = 2**26
"""A batch has 31 MB."""

Part = tuple[NDArray[np.float32], NDArray[np.int64]]


def cifar10(data_dir: Path | None) -> tuple[Part, Part, str]:
    """Training images and labels from the batches that are there, the test ones, and how many batches that was.

    Args:
        data_dir: the folder that holds ``cifar-10-batches-py``, or that folder itself.

    Returns:
        (x, y) twice, images (n, 3, 32, 32) in [0, 1], and a note for the data.

    Raises:
        DataError: a file is missing, damaged, or asks for more than the official ones do.
    """
    if data_dir is None:
        raise DataError(f"data 'cifar10' is read from files; give the folder that holds {_FOLDER}: --data-dir DIR")
    folder = Path(data_dir)
    folder = folder if folder.name == _FOLDER else folder / _FOLDER
    found = [name for name in _BATCHES if (folder / name).is_file()]
    if not found:
        raise DataError(
            f"{folder} holds none of data_batch_1 to data_batch_5; --data-dir is the folder above {_FOLDER}"
        )
    images, labels = zip(*(read_batch(folder / name) for name in found), strict=True)
    train = np.concatenate(images), np.concatenate(labels)
    missing = "" if len(found) == len(_BATCHES) else f" ({', '.join(found)})"
    return train, read_batch(folder / "test_batch"), f"{len(found)} of {len(_BATCHES)} training batches{missing}"


def read_batch(path: Path) -> Part:
    content = _plain(path)
    content = {_text(key): value for key, value in content.items()} if isinstance(content, dict) else {}
    pixels, labels = content.get("data"), content.get("labels")
    pixels = pixels.array(path) if isinstance(pixels, _Array) else None
    if pixels is None or pixels.ndim != 2 or pixels.shape[1] != 3072 or not isinstance(labels, list):
        raise DataError(f"{path} holds no rows of 3072 bytes with labels; get the python version of CIFAR-10 again")
    if len(labels) != len(pixels) or not all(isinstance(y, int) and 0 <= y < 10 for y in labels):
        raise DataError(f"{path}: {len(pixels)} images and labels 0 to 9 do not go together; get the file again")
    x: NDArray[np.float32] = np.divide(pixels.reshape(-1, 3, 32, 32), np.float32(255), dtype=np.float32)
    return x, np.array(labels, dtype=np.int64)


def _plain(path: Path) -> Any:
    content = read_bytes(path, _LARGEST, error=DataError)
    try:
        return _Plain(io.BytesIO(content), encoding="bytes").load()
    except DataError as error:
        raise DataError(f"{path} is not opened: {error}") from None
    except Exception as error:  # a damaged pickle makes the machine raise anything
        raise DataError(f"{path} is damaged ({type(error).__name__}: {error}); get the file again") from error


def _text(value: Any) -> Any:
    return value.decode("latin1") if isinstance(value, bytes) else value


class _Array:
    """What a pickle says about an array of bytes."""

    def __init__(self) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self, path: Path) -> NDArray[np.uint8]:
        """The array itself, if shape and bytes go together."""
        try:
            _, shape, kind, by_columns, content = self.state
            if not isinstance(kind, _Kind) or kind.name not in ("u1", "uint8") or not isinstance(content, bytes):
                raise DataError(f"{path} is not opened: its images are no bytes")
            flat = np.frombuffer(content, np.uint8)
            return flat.reshape(tuple(shape), order="F" if by_columns else "C")
        except (TypeError, ValueError) as error:
            raise DataError(f"{path} is damaged: its array does not fit its shape ({error})") from None


class _Kind:
    """A type of numbers by its name."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = _text(name)

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like mean nothing for bytes."""


def _empty_array(*_: Any) -> _Array:
    return _Array()


def _encoded(text: Any, *_: Any) -> bytes:
    """What Python 3 makes of bytes in the old protocol: text whose characters are the bytes."""
    return str(text).encode("latin1")


_BUILDERS: dict[tuple[str, str], Callable[..., Any]] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _empty_array for core in ("core", "_core")},
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
    ("_codecs", "encode"): _encoded,
}


class _Plain(pickle._Unpickler):
    """The machine written in Python: unlike the one in C, it takes no memory for a size that a file merely claims."""

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        code: run
        for code, run in pickle._Unpickler.dispatch.items()
        if code not in {op[0] for op in (pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.EXT1, pickle.EXT2, pickle.EXT4)}
    }

    def find_class(self, module: str, name: str) -> Any:
        """One of our own builders; nothing is imported."""
        if (module, name) not in _BUILDERS:
            raise DataError(f"it asks for {module}.{name}, which no file of CIFAR-10 does; it may be hostile")
        return _BUILDERS[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Nothing outside of the file."""
        raise DataError(f"it asks for the object {pid!r} outside of it, which no file of CIFAR-10 does")
