import contextlib
import gzip
import pickle
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


def test_one_real_number_for_each_sample_is_a_target():
    data = as_data((np.ones((10, 2)), np.arange(10) / 4 + 0.1))
    assert (data.regression, data.train.y.dtype, data.train.y.shape[1:]) == (True, np.float32, (1,))


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
        with pytest.raises(DataError, match=r"bad\.npz(?!.*allow_pickle)"):
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


# --- CIFAR-10 ---


def cifar_folder(folder: Path, batches=(1, 3), n: int = 20, protocol: int = 2, **changes) -> Path:
    """Files as the official ones, small."""
    rng = np.random.default_rng(0)
    home = folder / "cifar-10-batches-py"
    home.mkdir(parents=True)
    for name in (*(f"data_batch_{number}" for number in batches), "test_batch"):
        batch = {
            b"data": rng.integers(0, 256, (n, 3072), dtype=np.uint8),
            b"labels": [int(y) for y in rng.permutation(np.arange(n) % 10)],
            b"filenames": [f"{i}.png".encode() for i in range(n)],
            b"batch_label": b"batch",
        }
        (home / name).write_bytes(pickle.dumps(batch | changes, protocol=protocol))
    return folder


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_cifar10_is_read_from_the_batches_that_are_there(tmp_path, protocol):
    data = load("cifar10", data_dir=cifar_folder(tmp_path, protocol=protocol))
    assert [len(getattr(data, part)) for part in PARTS] == [32, 8, 20]
    assert data.train.shape == (3, 32, 32)
    assert data.classes == 10
    assert "2 of 5 training batches (data_batch_1, data_batch_3)" in data.describe()
    stored = pickle.loads((tmp_path / "cifar-10-batches-py" / "test_batch").read_bytes())
    np.testing.assert_array_equal(data.test.x.reshape(20, -1), stored[b"data"].astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(data.test.y, stored[b"labels"])


def test_the_official_cifar10_files_are_what_is_known_of_them(shared):
    data = load("cifar10", data_dir=shared / "data")
    assert data.test.y[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]  # the facts of the folder's README
    assert np.bincount(data.test.y).tolist() == [1000] * 10
    np.testing.assert_allclose(data.test.x.mean((0, 2, 3)), [0.4942, 0.4851, 0.4504], atol=5e-5)
    assert len(data.train) + len(data.score) == 10_000 * len(list((shared / "data").glob("*/data_batch_*")))


class Hostile:
    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


@pytest.mark.parametrize(
    ("function", "args", "name"),
    [
        (exec, ("open('hostile-was-here', 'w')",), "__builtin__.exec"),
        (np.load, ("x.npy",), "numpy.load"),
        (np.zeros, (2**40,), "numpy.zeros"),
        (bytearray, (2**40,), "__builtin__.bytearray"),
    ],
)
def test_a_pickle_that_asks_for_more_is_refused_by_name_and_not_run(tmp_path, monkeypatch, function, args, name):
    monkeypatch.chdir(tmp_path)
    cifar_folder(tmp_path, more=Hostile(function, *args))
    with pytest.raises(DataError, match=rf"data_batch_1.*asks for {name}"):
        load("cifar10", data_dir=tmp_path)
    assert not Path("hostile-was-here").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged"),
        (b"\x80\x02}q\x00.", "3072"),
        (b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\x00\x00.", "damaged"),  # 2^48 bytes of nothing
        (b"\x80\x02r\xff\xff\xff\x7f.", "damaged"),  # a memo of 2^31 entries
        (b"\x80\x02K\x01Q.", "outside of it"),
        (pickle.dumps({b"data": np.zeros((2, 3072)), b"labels": [0, 1]}, 2), "no bytes"),
        (pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 10]}, 2), "do not go together"),
        (pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]}, 2), "do not go together"),
        (pickle.dumps({b"data": [1, 2], b"labels": [0]}, 2), "3072"),
    ],
)
def test_damaged_batches_are_refused_with_the_file(tmp_path, content, message):
    cifar_folder(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(content)
    with pytest.raises(DataError, match=rf"data_batch_3.*{message}"):
        load("cifar10", data_dir=tmp_path)


def test_an_array_cannot_be_larger_than_its_bytes(tmp_path):
    cifar_folder(tmp_path)
    file = tmp_path / "cifar-10-batches-py" / "data_batch_1"
    content, shape = file.read_bytes(), b"K\x14M\x00\x0c"  # (20, 3072) in the bytes of the protocol
    assert content.count(shape) == 1
    file.write_bytes(content.replace(shape, b"J\xff\xff\xff\x7fM\x00\x0c"))
    with pytest.raises(DataError, match=r"data_batch_1.*does not fit its shape"):
        load("cifar10", data_dir=tmp_path)


def test_bytes_flipped_anywhere_are_an_error_or_other_data(tmp_path):
    file = cifar_folder(tmp_path, n=12) / "cifar-10-batches-py" / "data_batch_1"
    content, rng = file.read_bytes(), np.random.default_rng(0)
    heads = np.flatnonzero(np.frombuffer(content, np.uint8) < 128)[:300]
    for position in rng.choice(heads, 60, replace=False):
        file.write_bytes(content[:position] + bytes([rng.integers(256)]) + content[position + 1 :])
        with contextlib.suppress(DataError):
            load("cifar10", data_dir=tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="--data-dir"):
        load("cifar10")
    with pytest.raises(DataError, match="data_batch_1"):
        load("cifar10", data_dir=tmp_path)


# --- scale and shape ---


def images(n: int = 20) -> Data:
    return as_data((np.random.default_rng(0).random((n, 3, 4, 5)), np.arange(n) % 2))


def test_normalised_data_is_what_arithmetic_says_and_remembers_it():
    data, mean, std = images(), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    scaled = data.normalised(mean, std)
    for part in PARTS:
        expected = (getattr(data, part).x - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
        np.testing.assert_allclose(getattr(scaled, part).x, expected, rtol=1e-6, atol=1e-6)
    assert (scaled.mean, scaled.std) == (mean, std)
    assert as_data(scaled).std == std
    assert "normalised by mean 0.5 0.4 0.3, std 0.2 0.3 0.4" in scaled.describe()
    np.testing.assert_allclose(data.normalised(std=2.0).test.x, data.test.x / 2)
    np.testing.assert_array_equal(load("digits", mean=0.5).test.x, load("digits").normalised(0.5).test.x)


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [((0.1, 0.2), 1, "3 channels"), (0, 0, "positive"), (0, (1, 1, -1), "positive"), (np.nan, 1, "nan")],
)
def test_a_normalisation_that_cannot_be_is_refused(mean, std, message):
    with pytest.raises(DataError, match=message):
        images().normalised(mean, std)


def test_nothing_is_normalised_twice():
    with pytest.raises(DataError, match=r"already, by mean 0.5, std 2"):
        images().normalised(0.5, 2).normalised(0.5, 2)


@pytest.mark.parametrize("shape", [(60,), (3, 20), (1, 3, 4, 5), (60, 1), (12, 5), (3, 4, 5, 1)])
def test_shapes_that_keep_the_order_are_reshaped_and_said(shape):
    data = images().reshaped(shape)
    assert data.train.shape == shape
    np.testing.assert_array_equal(data.test.x.reshape(-1, 60), images().test.x.reshape(-1, 60))
    assert f"reshaped from (3, 4, 5) to {shape}" in data.note
    assert data.reshaped((3, 4, 5)).train.shape == (3, 4, 5)


@pytest.mark.parametrize(("shape", "message"), [((4, 5, 3), "transpose"), ((5, 4, 3), "transpose"), ((61,), "takes")])
def test_axes_that_would_trade_places_are_refused(shape, message):
    with pytest.raises(DataError, match=message):
        images().reshaped(shape)
