"""The data sets that a command line can name: digits, IDX files of images, an npz file, a user's factory."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oamip.data.check import split_of
from oamip.data.factory import call_factory
from oamip.data.objects import as_data
from oamip.data.parts import Data
from oamip.data.split import with_score
from oamip.errors import DataError

__all__ = ["load"]

_IDX_FOLDERS = {"mnist": "MNIST", "fashion": "FashionMNIST"}


def load(spec: str, *, data_dir: Path | None = None, seed: int = 0) -> Data:
    """The data set that a command line names.

    Args:
        spec: ``digits`` (scikit-learn's, in [0, 1], (1, 8, 8)); ``mnist`` or ``fashion`` (in [0, 1], (1, 28, 28),
            the official training and test parts); ``FILE.npz`` with ``x_train, y_train, x_test, y_test`` and maybe
            ``x_score, y_score``, or ``x, y``; or ``package.module:factory``, called without arguments, whose answer
            goes to `as_data` (the working directory is importable).
        data_dir: the folder that holds ``MNIST/raw`` or ``FashionMNIST/raw`` (torchvision's ``root``), gzipped or not.
        seed: of every split that is not official.

    Raises:
        DataError: the spec is unknown, or a file is missing, damaged or holds what cannot be used.
    """
    if spec == "digits":
        return _digits(seed)
    if spec in _IDX_FOLDERS:
        return _idx(spec, data_dir, seed)
    if spec.endswith(".npz"):
        return as_data(_npz(Path(spec)), seed=seed, name=Path(spec).stem)
    if ":" in spec:
        return as_data(call_factory(spec, error=DataError), seed=seed, name=spec)
    raise DataError(f"data {spec!r} is unknown; give digits, mnist, fashion, FILE.npz or package.module:factory")


def _digits(seed: int) -> Data:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return as_data((x.reshape(-1, 1, 8, 8) / 16, y), seed=seed, name="digits")


def _idx(spec: str, data_dir: Path | None, seed: int) -> Data:
    if data_dir is None:
        raise DataError(
            f"data '{spec}' is read from files; give the folder that holds {_IDX_FOLDERS[spec]}/raw: --data-dir DIR"
        )
    raw = Path(data_dir) / _IDX_FOLDERS[spec] / "raw"
    parts = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images = _idx_array(raw / f"{prefix}-images-idx3-ubyte", 3)
        labels = _idx_array(raw / f"{prefix}-labels-idx1-ubyte", 1)
        parts[part] = split_of(images[:, None].astype(np.float32) / 255, labels, f"{spec}: {part}")
    return with_score(parts["train"], parts["test"], seed, spec, classes=10)


def _idx_array(path: Path, dimensions: int) -> NDArray[np.uint8]:
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
        raise DataError(f"{path} cannot be read as an npz file without pickles ({error}); save it again") from None
