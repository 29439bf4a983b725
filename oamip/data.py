"""Data in, in three disjoint parts: one trains, one scores, one reports.

>>> data = as_data((np.arange(40.0).reshape(20, 2), np.arange(20) % 2))
>>> print(data.describe())
data: 2 classes; one part given, split by seed 0 into 60/20/20, stratified by class
  train  12 samples of shape (2,)  trains, refits and fine-tunes
  score  4 samples of shape (2,)  scores; neither trains nor reports
  test   4 samples of shape (2,)  reports

torch is never imported here: an object of torch can only arrive when somebody else has imported it.
"""

from __future__ import annotations

import gzip
import importlib
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oamip.errors import DataError, InputError

__all__ = ["Data", "Split", "as_data", "call_factory", "choose", "load"]

SCORE_SAMPLES = 5_000
"""How many samples the score part takes from a training part, where that is at most a fifth of it."""

_ROLES = {
    "train": "trains, refits and fine-tunes",
    "score": "scores; neither trains nor reports",
    "test": "reports",
}
_PARTS = tuple(_ROLES)


@dataclass(frozen=True, eq=False)
class Split:
    """One part of the data.

    Args:
        x: samples, float32, (n, *shape).
        y: class labels, int64, (n,); or regression targets, float32, (n, k); or ``None``.
    """

    x: NDArray[np.float32]
    y: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.x.shape[1:]

    @property
    def labelled(self) -> bool:
        """Whether ``y`` holds class labels."""
        return self.y is not None and self.y.ndim == 1

    def take(self, index: NDArray[np.int64]) -> Split:
        """The samples at these places."""
        return Split(self.x[index], None if self.y is None else self.y[index])


@dataclass(frozen=True, eq=False)
class Data:
    """Three disjoint parts of one data set.

    Args:
        train: trains; refit and fine-tuning use it too.
        score: what importance scores are computed on; neither training nor reporting uses it.
        test: what accuracies are reported on.
        name: shown in reports.
        classes: number of classes; ``None`` for regression or no labels.
        note: how the parts came to be.
    """

    train: Split
    score: Split
    test: Split
    name: str = "data"
    classes: int | None = None
    note: str = ""

    def describe(self) -> str:
        """The name and what is known of the labels, then one line per part: its size and what it is for."""
        if self.classes is not None:
            labels = f"{self.classes} classes"
        else:
            labels = "no labels" if self.train.y is None else "regression"
        lines = [f"{self.name}: {labels}" + (f"; {self.note}" if self.note else "")]
        for part, role in _ROLES.items():
            split: Split = getattr(self, part)
            lines.append(f"  {part:<5}  {len(split):,} samples of shape {split.shape}  {role}")
        return "\n".join(lines)


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


def as_data(obj: Any, *, seed: int = 0, name: str = "data") -> Data:
    """Make three parts out of what a user has.

    Numbers are taken as they are (no scaling); a part that is missing is split off by seed, stratified by class, and
    `Data.describe` says so.

    Args:
        obj: a `Data`; a tuple ``(x, y)`` of arrays or tensors; ``x`` alone; a mapping with the array names of an npz
            file (see `load`); a torch Dataset or DataLoader of ``(x, y)`` pairs or of ``x``.
        seed: of the split.
        name: for reports; a `Data` keeps its own.

    Raises:
        DataError: NaN or infinity in x, lengths that differ, labels that are negative, not whole or out of range, an
            empty part, or an object of another kind.
    """
    if isinstance(obj, Data):
        return _checked({part: getattr(obj, part) for part in _PARTS}, obj.name, obj.note, obj.classes)
    if isinstance(obj, Mapping):
        return _from_arrays(obj, seed, name)
    if isinstance(obj, tuple):
        if len(obj) != 2:
            raise DataError(f"{name}: a tuple of {len(obj)} was given; give (x, y)")
        return _divided(_split(obj[0], obj[1], name), seed, name)
    return _divided(_split(*_samples(obj, seed, name), name), seed, name)


def choose(
    split: Split,
    n: int,
    *,
    seed: int,
    classes: int | None = None,
    correct: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Choose ``n`` different samples by seed, as many of each class (the remainder goes to classes by chance).

    Args:
        split: where to choose; without class labels the choice is uniform.
        n: how many.
        seed: equal seeds give equal choices.
        classes: number of classes; by default the classes that occur in ``split``.
        correct: mask (len(split),): choose among these only, for example those that the network gets right.

    Returns:
        Sorted indices into ``split``, (n,).

    Raises:
        DataError: some class, or the whole part, has too few samples; fewer are never returned.
    """
    if n < 1:
        raise DataError(f"cannot choose {n} samples; choose at least one")
    allowed = np.ones(len(split), bool) if correct is None else np.asarray(correct, dtype=bool)
    if allowed.shape != (len(split),):
        raise DataError(f"the mask of correct samples has shape {allowed.shape}; the part has {len(split)} samples")
    among = "" if correct is None else " that the network gets right"
    rng = np.random.default_rng(seed)
    if split.y is None or not split.labelled:
        pool = np.flatnonzero(allowed)
        if len(pool) < n:
            raise DataError(f"{n} samples are asked for and there are {len(pool)}{among}; ask for fewer")
        return np.sort(rng.choice(pool, n, replace=False))
    labels = np.unique(split.y) if classes is None else np.arange(classes)
    wanted = np.full(len(labels), n // len(labels))
    wanted[rng.choice(len(labels), n % len(labels), replace=False)] += 1
    pools = [np.flatnonzero(allowed & (split.y == label)) for label in labels]
    short = [
        f"class {label} has {len(pool)} of {k}"
        for label, pool, k in zip(labels, pools, wanted, strict=True)
        if len(pool) < k
    ]
    if short:
        raise DataError(f"too few samples{among} to choose {n} evenly: {', '.join(short)}; ask for fewer samples")
    return np.sort(np.concatenate([rng.choice(pool, k, replace=False) for pool, k in zip(pools, wanted, strict=True)]))


def call_factory(spec: str, *, error: type[InputError]) -> Any:
    """Call ``package.module:factory`` without arguments; the working directory is importable meanwhile.

    Raises:
        InputError: of the kind ``error``; the module or the factory is not found (what there is, is listed), or
            importing or calling it failed.
    """
    module_name, _, factory_name = spec.partition(":")
    with _working_directory_importable():
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as missing:
            if missing.name is None or not f"{module_name}.".startswith(f"{missing.name}."):
                raise error(
                    f"{spec}: importing {module_name} needs the module '{missing.name}', not installed"
                ) from missing
            raise error(f"{spec}: there is no module '{missing.name}', neither installed nor in {Path.cwd()}") from None
        except Exception as failed:
            raise error(f"{spec}: importing {module_name} failed with {type(failed).__name__}: {failed}") from failed
        factory: Callable[[], Any] | None = getattr(module, factory_name, None) if factory_name else None
        if not callable(factory):
            names = sorted(k for k, v in vars(module).items() if callable(v) and not k.startswith("_"))
            raise error(f"{spec}: {module_name} has no callable '{factory_name}'; it has {', '.join(names) or 'none'}")
        try:
            return factory()
        except Exception as failed:
            raise error(f"{spec} raised {type(failed).__name__}: {failed}") from failed


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    # Appended, not put first: a file random.py of the user's must not hide the standard library.
    here = str(Path.cwd())
    sys.path.append(here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(here)


# --- from anything to checked arrays ---


def _array(value: Any, place: str) -> NDArray[Any]:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{place}: the samples do not form one array ({error}); give them all the same shape") from None
    if array.dtype.kind not in "biuf":
        raise DataError(f"{place}: an array of {array.dtype} was given; give numbers")
    return array


def _split(x: Any, y: Any, place: str) -> Split:
    samples = _array(x, f"{place}: x")
    if samples.ndim < 2:
        raise DataError(f"{place}: x has shape {samples.shape}; give (n, *shape), for one feature x.reshape(-1, 1)")
    if not samples.size:
        raise DataError(f"{place}: x is empty, shape {samples.shape}; give at least one sample")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused below
        samples = np.ascontiguousarray(samples, dtype=np.float32)
    finite = np.isfinite(samples)
    if not finite.all():
        first = np.argwhere(~finite)[0]
        raise DataError(
            f"{place}: x holds NaN or infinity, {finite.size - np.count_nonzero(finite)} values, first in sample "
            f"{first[0]} at {tuple(map(int, first[1:]))}; remove or replace such samples"
        )
    if y is None:
        return Split(samples)
    targets = _targets(_array(y, f"{place}: y"), place)
    if len(samples) != len(targets):
        raise DataError(f"{place}: x has {len(samples)} samples and y has {len(targets)}; give one label per sample")
    return Split(samples, targets)


def _targets(y: NDArray[Any], place: str) -> NDArray[Any]:
    if not np.isfinite(y).all():
        raise DataError(f"{place}: y holds NaN or infinity; remove those samples")
    if y.dtype.kind == "f" and y.ndim == 2:
        return np.ascontiguousarray(y, dtype=np.float32)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(f"{place}: y has shape {y.shape} and type {y.dtype}; give labels (n,) or float targets (n, k)")
    labels = y.astype(np.int64)
    if (labels != y).any():
        raise DataError(f"{place}: labels are not whole, first {y[labels != y][0]}; regression takes y.reshape(-1, 1)")
    if (labels < 0).any():
        raise DataError(f"{place}: label {labels.min()} is negative; number the classes from 0")
    return labels


def _checked(parts: Mapping[str, Split], name: str, note: str, classes: int | None = None) -> Data:
    """The three parts as one `Data`, if each is sound and all agree."""
    splits = {part: _split(split.x, split.y, f"{name}: {part}") for part, split in parts.items()}
    train = splits["train"]
    for part, split in splits.items():
        if split.shape != train.shape:
            raise DataError(f"{name}: samples of {part} have shape {split.shape}, those of train {train.shape}")
        if (split.y is None, split.labelled) != (train.y is None, train.labelled):
            raise DataError(
                f"{name}: y of {part} and y of train are of different kinds; give labels in all parts or none"
            )
        if split.y is not None and train.y is not None and split.y.shape[1:] != train.y.shape[1:]:
            raise DataError(
                f"{name}: targets of {part} have shape {split.y.shape[1:]}, those of train {train.y.shape[1:]}"
            )
    if not train.labelled:
        classes = None
    else:
        highest = max(int(split.y.max()) for split in splits.values() if split.y is not None)
        classes = highest + 1 if classes is None else classes
        if highest >= classes:
            raise DataError(f"{name}: label {highest} is out of range for {classes} classes (0 to {classes - 1})")
    return Data(splits["train"], splits["score"], splits["test"], name, classes, note)


# --- splitting by seed ---


def _order(split: Split, seed: int) -> NDArray[np.int64]:
    """All indices in a random order in which every stretch holds the classes in their proportions.

    The r-th of the m samples of a class is put at (r + 1/2)/m; chance breaks ties.
    """
    order = np.random.default_rng(seed).permutation(len(split))
    if split.y is None or not split.labelled:
        return order
    labels = split.y[order]
    place = np.empty(len(order))
    for label in np.unique(labels):
        here = labels == label
        place[here] = (np.arange(np.count_nonzero(here)) + 0.5) / np.count_nonzero(here)
    return order[np.argsort(place, kind="stable")]


def _divided(whole: Split, seed: int, name: str) -> Data:
    fifth = len(whole) // 5
    if not fifth:
        raise DataError(f"{name}: {len(whole)} samples cannot be split into three parts; give at least 5")
    order = _order(whole, seed)
    score, test, train = np.split(order, [fifth, 2 * fifth])
    parts = {"train": whole.take(train), "score": whole.take(score), "test": whole.take(test)}
    how = "stratified by class" if whole.labelled else "at random"
    return _checked(parts, name, f"one part given, split by seed {seed} into 60/20/20, {how}")


def _with_score(train: Split, test: Split, seed: int, name: str, classes: int | None = None) -> Data:
    """Take the score part out of the training part."""
    size = min(SCORE_SAMPLES, len(train) // 5)
    if not size:
        raise DataError(f"{name}: {len(train)} training samples are too few to score on some; give x_score too")
    score, rest = np.split(_order(train, seed), [size])
    parts = {"train": train.take(rest), "score": train.take(score), "test": test}
    how = "stratified by class" if train.labelled else "at random"
    return _checked(parts, name, f"score taken out of the training part by seed {seed}, {how}", classes)


# --- files and torch objects ---


def _digits(seed: int) -> Data:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return as_data((x.reshape(-1, 1, 8, 8) / 16, y), seed=seed, name="digits")


_IDX_FOLDERS = {"mnist": "MNIST", "fashion": "FashionMNIST"}


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
        parts[part] = _split(images[:, None].astype(np.float32) / 255, labels, f"{spec}: {part}")
    return _with_score(parts["train"], parts["test"], seed, spec, classes=10)


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


def _from_arrays(arrays: Mapping[str, Any], seed: int, name: str) -> Data:
    """Arrays by the names of an npz file; those that are absent are split off."""
    known = {f"{axis}_{part}" for axis in "xy" for part in _PARTS}
    given = set(arrays)
    if given <= {"x", "y"} and "x" in given:
        return _divided(_split(arrays["x"], arrays.get("y"), name), seed, name)
    if not given <= known or not {"x_train", "x_test"} <= given:
        raise DataError(
            f"{name}: the arrays are {', '.join(sorted(map(str, given))) or 'none'}; "
            "give x_train, y_train, x_test, y_test (and x_score, y_score), or x, y"
        )
    parts = {
        part: _split(arrays[f"x_{part}"], arrays.get(f"y_{part}"), f"{name}: {part}")
        for part in _PARTS
        if f"x_{part}" in given
    }
    if "score" in parts:
        return _checked(parts, name, "all three parts given")
    return _with_score(parts["train"], parts["test"], seed, name)


def _samples(obj: Any, seed: int, name: str) -> tuple[Any, Any]:
    """Samples and labels of a torch Dataset or DataLoader; samples alone of anything that is an array."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(obj, torch.utils.data.DataLoader):
        with torch.random.fork_rng(devices=[]):  # a shuffling loader draws from the global generator
            torch.manual_seed(seed)
            return _joined(list(obj), np.concatenate, name)
    if torch is not None and isinstance(obj, torch.utils.data.IterableDataset):
        return _joined(list(obj), np.stack, name)
    if torch is not None and isinstance(obj, torch.utils.data.Dataset):
        return _joined([obj[i] for i in range(len(obj))], np.stack, name)
    return obj, None


def _joined(items: list[Any], join: Callable[[list[NDArray[Any]]], NDArray[Any]], name: str) -> tuple[Any, Any]:
    if not items:
        raise DataError(f"{name}: the data set is empty; give at least one sample")
    paired = isinstance(items[0], (tuple, list))
    if paired and len(items[0]) not in (1, 2):
        raise DataError(f"{name}: the data set yields tuples of {len(items[0])}; let it yield (x, y)")
    columns = list(zip(*items, strict=True)) if paired else [tuple(items)]
    try:
        arrays = [join([_array(value, name) for value in column]) for column in columns]
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name}: the samples do not form one array ({error}); give them all the same shape") from None
    return arrays[0], arrays[1] if len(arrays) == 2 else None
