import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from oamip.data import Data, Split, as_data, choose, load
from oamip.errors import DataError

PARTS = ("train", "score", "test")


def numbered(n: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Samples that carry their own number, so that a part can be recognised."""
    return np.arange(n, dtype=float).reshape(n, 1), np.random.default_rng(n).permutation(np.arange(n) % classes)


def numbers(data: Data, part: str) -> list[int]:
    return getattr(data, part).x.ravel().astype(int).tolist()


@settings(deadline=None)
@given(n=st.integers(5, 200), classes=st.integers(1, 5), seed=st.integers(0, 2**32))
def test_the_parts_are_disjoint_and_complete(n, classes, seed):
    data = as_data(numbered(n, classes), seed=seed)
    assert sorted(i for part in PARTS for i in numbers(data, part)) == list(range(n))
    assert min(len(getattr(data, part)) for part in PARTS) == n // 5


@settings(deadline=None)
@given(n=st.integers(20, 300), classes=st.integers(2, 6), seed=st.integers(0, 1000))
def test_every_part_holds_the_classes_in_their_proportions(n, classes, seed):
    x, y = numbered(n, classes)
    data = as_data((x, y), seed=seed)
    for part in PARTS:
        split = getattr(data, part)
        expected = np.bincount(y, minlength=classes) * len(split) / n
        assert np.abs(np.bincount(split.y, minlength=classes) - expected).max() <= 2


@settings(deadline=None)
@given(seed=st.integers(0, 1000))
def test_labels_stay_with_their_samples(seed):
    x, y = numbered(50)
    data = as_data((x, y), seed=seed)
    for part in PARTS:
        np.testing.assert_array_equal(getattr(data, part).y, y[numbers(data, part)])


def test_equal_seeds_split_equally_and_others_do_not():
    first, again, other = (as_data(numbered(60), seed=seed) for seed in (1, 1, 2))
    assert numbers(first, "score") == numbers(again, "score") != numbers(other, "score")


def test_all_forms_of_the_same_samples_give_the_same_data():
    x, y = numbered(40)
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    forms = [
        (x, y),
        tensors,
        {"x": x, "y": y},
        TensorDataset(*tensors),
        DataLoader(TensorDataset(*tensors), batch_size=7),
    ]
    found = [as_data(form, seed=3) for form in forms]
    for data in found:
        assert (data.classes, data.train.x.dtype, data.train.y.dtype) == (3, np.float32, np.int64)
        assert [numbers(data, part) for part in PARTS] == [numbers(found[0], part) for part in PARTS]
        assert "split by seed 3" in data.describe()


def test_a_shuffling_loader_gives_the_same_data_twice():
    loader = DataLoader(TensorDataset(torch.arange(30.0)[:, None], torch.arange(30) % 2), batch_size=8, shuffle=True)
    state = torch.random.get_rng_state()
    assert numbers(as_data(loader), "train") == numbers(as_data(loader), "train")
    assert torch.equal(state, torch.random.get_rng_state())


def test_samples_without_labels_and_with_targets_are_kept_apart_from_classes():
    x, _ = numbered(10)

    class Stream(IterableDataset):
        def __iter__(self):
            return iter(torch.from_numpy(x))

    for form in (x, torch.from_numpy(x), (x, None), Stream(), TensorDataset(torch.from_numpy(x))):
        assert (as_data(form).train.y, as_data(form).classes) == (None, None)
        assert "no labels" in as_data(form).describe()
    regression = as_data((x, np.c_[x, x]))
    assert regression.classes is None
    assert regression.test.y.dtype == np.float32
    assert "regression" in regression.describe()


def test_given_parts_stay_as_they_are_and_score_comes_out_of_train():
    x, y = numbered(50)
    whole = {
        f"{axis}_{part}": v[a:b]
        for part, a, b in (("train", 0, 30), ("score", 30, 40), ("test", 40, 50))
        for axis, v in (("x", x), ("y", y))
    }
    data = as_data(whole)
    assert [numbers(data, part) for part in PARTS] == [list(range(30)), list(range(30, 40)), list(range(40, 50))]
    assert "all three parts given" in data.describe()
    two = as_data({key: value for key, value in whole.items() if "score" not in key})
    assert numbers(two, "test") == list(range(40, 50))
    assert sorted(numbers(two, "train") + numbers(two, "score")) == list(range(30))
    assert "out of the training part" in two.describe()


def test_a_rare_class_is_still_trained_on():
    y = np.r_[np.zeros(30, int), 1]
    assert 1 in as_data((np.ones((31, 2)), y)).train.y


def test_describe_names_what_each_part_is_for():
    lines = as_data(numbered(20), name="mine").describe().splitlines()
    assert lines[0].startswith("mine: 3 classes")
    for line, role in zip(lines[1:], ("refits and fine-tunes", "scores", "reports"), strict=True):
        assert role in line


X = np.ones((10, 2))
Y = np.arange(10) % 2
FIVE = Split(np.ones((5, 1), np.float32), np.arange(5))
TOO_FEW_CLASSES = Data(FIVE, FIVE, FIVE, classes=4)


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        ((np.where(np.arange(20).reshape(10, 2) == 7, np.nan, 1.0), Y), "NaN or infinity, 1 values, first in sample 3"),
        ((np.full((10, 2), 1e300), Y), "infinity"),
        ((X, Y[:9]), "10 samples and y has 9"),
        ((X, Y - 1), "label -1 is negative"),
        ((X, Y + 0.5), "not whole"),
        ((X, np.full(10, np.nan)), "y holds NaN"),
        ((X, np.ones((10, 2), int)), r"y has shape \(10, 2\)"),
        ((X[:0], Y[:0]), "empty"),
        ((X[:4], Y[:4]), "at least 5"),
        ((np.ones(10), Y), "reshape"),
        ((X.astype(str), Y), "give numbers"),
        (([[1.0], [1.0, 2.0]], Y), "one array"),
        ((X, Y, X), "tuple of 3"),
        ({"x_train": X, "labels": Y}, "labels, x_train"),
        ({"x_train": X, "y_train": Y}, "x_test"),
        ({"x_train": X, "y_train": Y, "x_test": X}, "different kinds"),
        ({"x_train": X, "x_test": np.ones((10, 3))}, r"shape \(3,\)"),
        (TensorDataset(torch.ones(0, 2)), "empty"),
        (TensorDataset(torch.ones(9, 2), torch.ones(9), torch.ones(9)), "tuples of 3"),
        (TOO_FEW_CLASSES, "label 4 is out of range for 4 classes"),
        ("nonsense", "give numbers"),
    ],
)
def test_what_is_wrong_is_named(obj, words):
    with pytest.raises(DataError, match=words):
        as_data(obj)


# --- files ---


def test_digits_lie_between_zero_and_one():
    data = load("digits", seed=0)
    assert (data.train.shape, data.classes, data.name) == ((1, 8, 8), 10, "digits")
    assert sum(len(getattr(data, part)) for part in PARTS) == 1797
    assert (data.train.x.min(), data.train.x.max()) == (0, 1)


@pytest.mark.parametrize("spec", ["mnist", "fashion"])
def test_official_parts_of_image_sets_are_kept(spec, shared):
    data = load(spec, data_dir=shared / "data")
    assert [len(getattr(data, part)) for part in PARTS] == [55_000, 5_000, 10_000]
    first = {"mnist": [7, 2, 1, 0, 4, 1, 4, 9, 5, 9], "fashion": [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]}
    assert data.test.y[:10].tolist() == first[spec]
    assert data.test.x.mean() == pytest.approx({"mnist": 0.1325, "fashion": 0.2868}[spec], abs=1e-4)
    np.testing.assert_allclose(np.bincount(data.score.y), np.bincount(data.train.y) / 11, atol=2)


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


@pytest.fixture
def small_mnist(tmp_path: Path) -> Path:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix, n in (("train", 40), ("t10k", 20)):
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx(np.full((n, 28, 28), 255)))
        (raw / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.arange(n) % 10)))
    return tmp_path


def test_idx_files_are_read_gzipped_or_not(small_mnist):
    data = load("mnist", data_dir=small_mnist)
    assert [len(getattr(data, part)) for part in PARTS] == [32, 8, 20]
    assert data.train.x.max() == 1
    assert data.classes == 10


@pytest.mark.parametrize(
    "content",
    [b"", b"\x1f\x8b\x08\0", gzip.compress(b"short"), gzip.compress(idx(np.ones(20)))[:-9], b"no gzip"],
    ids=["empty", "header", "short", "truncated", "no gzip"],  # a gzip holds the time, and an id must not change
)
def test_damaged_idx_files_are_named(small_mnist, content):
    file = small_mnist / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    file.write_bytes(content)
    with pytest.raises(DataError, match="t10k-labels"):
        load("mnist", data_dir=small_mnist)


def test_missing_image_files_tell_where_they_were_sought(tmp_path):
    with pytest.raises(DataError, match="--data-dir"):
        load("mnist")
    with pytest.raises(DataError, match=r"FashionMNIST/raw/train-images-idx3-ubyte\.gz is missing"):
        load("fashion", data_dir=tmp_path)


def test_npz_files_are_read_and_named_after_their_file(tmp_path):
    x, y = numbered(30)
    np.savez(tmp_path / "mine.npz", x=x, y=y)
    data = load(str(tmp_path / "mine.npz"), seed=4)
    assert data.name == "mine"
    assert numbers(data, "train") == numbers(as_data((x, y), seed=4), "train")


def test_damaged_npz_files_are_named(tmp_path):
    path = tmp_path / "bad.npz"
    with pytest.raises(DataError, match=r"bad\.npz is missing"):
        load(str(path))
    np.savez_compressed(path, x=np.random.default_rng(0).random((100, 10)), y=np.zeros(100, int))
    whole = path.read_bytes()
    hurt = bytearray(whole)
    hurt[200:400] = bytes(200)
    np.savez(tmp_path / "pickle.npz", x=np.array([{}, []], dtype=object))
    for content in (b"", b"text", whole[:-30], bytes(hurt), (tmp_path / "pickle.npz").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"bad\.npz"):
            load(str(path))
    with path.open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(DataError, match="single array"):
        load(str(path))


def test_a_factory_beside_the_user_is_called(tmp_path, monkeypatch):
    (tmp_path / "mydata_factory.py").write_text(
        "import numpy as np\n"
        "def make():\n    return np.ones((10, 2)), np.arange(10) % 2\n"
        "def broken():\n    raise RuntimeError('no disk')\n"
    )
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert load("mydata_factory:make").classes == 2
    assert sys.path == before
    for spec, words in {
        "mydata_factory:other": "has no callable 'other'; it has broken, make",
        "mydata_factory:broken": "RuntimeError: no disk",
        "mydata_absent:make": "there is no module 'mydata_absent'",
        "cifar": "digits, mnist, fashion",
    }.items():
        with pytest.raises(DataError, match=words):
            load(spec)


def test_reading_data_does_not_load_torch():
    code = "import sys, numpy as np, oamip.data as d; d.as_data(np.ones((9, 2))); sys.exit('torch' in sys.modules)"
    environment = {"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": ""}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


# --- choosing ---


@settings(deadline=None)
@given(n=st.integers(1, 30), classes=st.integers(1, 6), seed=st.integers(0, 1000))
def test_chosen_samples_are_different_balanced_and_correct(n, classes, seed):
    y = np.random.default_rng(seed).permutation(np.arange(120) % classes)
    correct = np.arange(120) % 4 != 0
    split = Split(np.ones((120, 1), np.float32), y)
    try:
        index = choose(split, n, seed=seed, classes=classes, correct=correct)
    except DataError:
        least = min(np.count_nonzero(correct & (y == c)) for c in range(classes))
        assert least < -(-n // classes)
        return
    assert len(set(index.tolist())) == n
    assert correct[index].all()
    counts = np.bincount(y[index], minlength=classes)
    assert counts.max() - counts.min() <= (n % classes > 0)
    np.testing.assert_array_equal(index, choose(split, n, seed=seed, classes=classes, correct=correct))


def test_choosing_never_gives_fewer():
    split = Split(np.ones((10, 1), np.float32), np.r_[np.zeros(8, int), 1, 1])
    with pytest.raises(DataError, match="class 1 has 2 of 3"):
        choose(split, 6, seed=0)
    with pytest.raises(DataError, match="class 2 has 0 of 1"):
        choose(split, 3, seed=0, classes=3)
    with pytest.raises(DataError, match="there are 1 that the network gets right"):
        choose(Split(split.x), 2, seed=0, correct=np.arange(10) == 3)
    with pytest.raises(DataError, match="at least one"):
        choose(split, 0, seed=0)
    with pytest.raises(DataError, match=r"shape \(3,\)"):
        choose(split, 2, seed=0, correct=np.ones(3, bool))


def test_parts_may_come_as_loaders() -> None:
    """A train and a test loader is what every user of torch has."""
    x, y = torch.rand(100, 3), torch.arange(100) % 4
    loaders = {part: DataLoader(TensorDataset(x + i, y), batch_size=16) for i, part in enumerate(("train", "test"))}
    data = as_data(loaders)
    assert (len(data.train), len(data.score), len(data.test)) == (80, 20, 100)
    np.testing.assert_array_equal(data.test.x, (x + 1).numpy())
    whole = as_data({**loaders, "score": (x.numpy(), y.numpy())})
    assert len(whole.score) == 100
    assert len(as_data(Data(loaders["train"], (x, y), loaders["test"])).score) == 100  # type: ignore[arg-type]
    assert len(as_data([x, y]).train) == 60  # a list is as good as a tuple


def test_one_hot_labels_are_refused() -> None:
    with pytest.raises(DataError, match=r"one-hot; give class numbers, y\.argmax\(1\)"):
        as_data((np.zeros((9, 2)), np.eye(3)[np.arange(9) % 3]))


def test_filling_takes_all_of_a_rare_class_and_the_rest_from_others() -> None:
    split = Split(np.zeros((100, 2), np.float32), np.repeat([0, 1, 2], [3, 40, 57]))
    chosen = choose(split, 60, seed=0, fill=True)
    assert np.bincount(split.y[chosen]).tolist() in ([3, 28, 29], [3, 29, 28])
    assert len(choose(split, 500, seed=0, fill=True)) == 100
    with pytest.raises(DataError, match="class 0 has 3 of 20"):
        choose(split, 60, seed=0)
    absent = choose(split, 20, seed=0, classes=5, fill=True)  # a class that does not occur is no reason to refuse
    assert np.bincount(split.y[absent]).tolist()[0] == 3
