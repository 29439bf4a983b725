"""The data sets that a command line can name: digits, IDX files of images, an npz file, a user's factory."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oamip.data.check import split_of
from oamip.data.cifar import cifar10
from oamip.data.factory import call_factory
from oamip.data.objects import as_data
from oamip.data.parts import Data
from oamip.data.split import with_score
from oamip.errors import DataError

__all__ = ["load"]

_IDX_FOLDERS = {"mnist": "MNIST", "fashion": "FashionMNIST"}


def load(
    spec: str,
    *,
    data_dir: Path | None = None,
    seed: int = 0,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
) -> Data:
    """The data set that a command line names.

    Args:
        spec: ``digits`` (scikit-learn's, in [0, 1], (1, 8, 8)); ``mnist`` or ``fashion`` (in [0, 1], (1, 28, 28),
            the official training and test parts); ``cifar10`` (in [0, 1], (3, 32, 32), those of the official training
            batches that are there, and the test part); ``FILE.npz`` with ``x_train, y_train, x_test, y_test`` and maybe
            ``x_score, y_score``, or ``x, y``; or ``package.module:factory``, called without arguments, whose answer
            goes to `as_data` (the working directory is importable).
        data_dir: the folder that holds ``MNIST/raw`` or ``FashionMNIST/raw``, gzipped or not, or
            ``cifar-10-batches-py`` (torchvision's ``root``).
        seed: of every split that is not official.
        mean: normalise the samples by it, as `Data.normalised` does.
        std: likewise.

    Raises:
        DataError: the spec is unknown, or a file is missing, damaged or holds what cannot be used.
    """
    data = _named(spec, data_dir, seed)
    if mean is None and std is None:
        return data
    return data.normalised(0.0 if mean is None else mean, 1.0 if std is None else std)


def _named(spec: str, data_dir: Path | None, seed: int) -> Data:
    if spec == "digits":
        return _digits(seed)
    if spec == "cifar10":
        return _cifar10(data_dir, seed)
    if spec in _IDX_FOLDERS:
        return _idx(spec, data_dir, seed)
    if spec.endswith(".npz"):
        return as_data(_npz(Path(spec)), seed=seed, name=Path(spec).stem)
    if ":" in spec:
        return as_data(call_factory(spec, error=DataError), seed=seed, name=spec)
    raise DataError(
        f"data {spec!r} is unknown; give digits, mnist, fashion, cifar10, FILE.npz or package.module:factory"
    )


def _digits(seed: int) -> Data:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return as_data((x.reshape(-1, 1, 8, 8) / 16, y), seed=seed, name="digits")


def _cifar10(data_dir: Path | None, seed: int) -> Data:
    train, test, note = cifar10(data_dir)
    parts = [split_of(*part, f"cifar10: {name}") for name, part in (("train", train), ("test", test))]
    data = with_score(parts[0], parts[1], seed, "cifar10", classes=10)
    return replace(data, note=f"{note}; {data.note}")


def _idx(spec: str, data_dir: Path | None, seed: int) -> Data:
    if data_dir is None:
        raise DataError(
            f"data '{spec}' is read from files; give the folder that holds {_IDX_FOLDERS[spec]}/raw: --data-dir DIR"
        )
    raw = Path(data_dir) / _IDX_FOLDERS[spec] / "raw"
    parts = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images = read_idx(raw / f"{prefix}-images-idx3-ubyte", 3)
        labels = read_idx(raw / f"{prefix}-labels-idx1-ubyte", 1)
        parts[part] = split_of(images[:, None].astype(np.float32) / 255, labels, f"{spec}: {part}")
    return with_score(parts["train"], parts["test"], seed, spec, classes=10)


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """An IDX file of bytes: 0 0 8 d, then d sizes as big-endian 32-bit integers, then the values."""
    zipped = path.with_name(f"{path.name}.gz")
    if not path.exists() and not zipped.exists():
        raise DataError(
            f"{zipped} is missing (and so is {path.name} beside it); --data-dir is the folder above MNIST/raw"
        )
    try:
        content = path.read_bytes() if path.exists() else gzip.decompress(zipped.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path if path.exists() else zipped} cannot be read ({error}); get the file again") from None
    start = 4 + 4 * dimensions
    sizes = np.frombuffer(content[4:start].ljust(start - 4, b"\0"), ">u4").astype(int)
    if content[:4] != bytes([0, 0, 8, dimensions]) or len(content) - start != sizes.prod():
        raise DataError(f"{path} is not an IDX file of {dimensions} dimensions, or is cut short; get the file again")
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)


def _npz(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise DataError(f"{path} is missing; give the path of an existing npz file")
    try:
        with path.open("rb") as file:  # numpy would leave a damaged file open
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{path} holds a single array; save x and y with numpy.savez")
            return {key: archive[key] for key in archive.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        reason = "it is none, or holds pickles" if isinstance(error, ValueError) else error  # numpy's says to load them
        raise DataError(
            f"{path} cannot be read as an npz file ({reason}); save arrays of numbers with numpy.savez"
        ) from None
