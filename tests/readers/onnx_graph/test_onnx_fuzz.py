"""Files that nobody should have made: one clear error, no crash, and no more memory than a small file deserves."""

import gzip
import os
import resource
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from oamip.errors import InputError, ModelFileError
from oamip.readers.onnx_graph import read_onnx

ROW = {"x": ["n", 6]}
HUGE = np.array([10**7, 10**7])

# name → (nodes, weights); each asks for far more numbers than the file holds
GREEDY = {
    "constant of shape": ("c = ConstantOfShape (s) y = Add (x, c)", {"s": HUGE}),
    "expand": ("y = Expand (x, s)", {"s": np.array([10**7, 1, 6])}),
    "expand a constant": ("c = Expand (v, s) y = Add (x, c)", {"v": (1,), "s": HUGE}),
    "tile": ("y = Tile (x, s)", {"s": HUGE}),
    "tile a constant": ("c = Tile (v, s) y = Add (x, c)", {"v": (1, 6), "s": HUGE}),
    "range": ("c = Range (a, b, d) y = Add (x, c)", {"a": np.array(0), "b": np.array(10**15), "d": np.array(1)}),
    "pad": ("y = Pad (x, s)", {"s": np.array([0, 0, 10**7, 10**7])}),
    "pad a constant": ("c = Pad (v, s) y = Add (x, c)", {"v": (1, 6), "s": np.array([0, 0, 10**7, 10**7])}),
    "broadcast": ("c = Mul (v, w) y = Add (x, c)", {"v": (20000, 1), "w": (1, 20000)}),
    "broadcast with the input": (
        "h = Gather <axis=1> (x, i) y = Add (h, v)",
        {"i": np.zeros(20000, dtype=np.int64), "v": (20000, 1)},
    ),
    "gather": ("h = Gather <axis=0> (x, i) y = Gather <axis=1> (h, i)", {"i": np.zeros(20000, dtype=np.int64)}),
    "product": ("c = MatMul (v, w) y = Add (x, c)", {"v": (20000, 1), "w": (1, 20000)}),
    "doubling": (
        " ".join(f"t{k + 1} = Concat <axis=1> (t{k}, t{k})" for k in range(40)).replace("t0", "x") + " y = Relu (t40)",
        {},
    ),
    "doubling of constants": (
        " ".join(f"t{k + 1} = Concat <axis=0> (t{k}, t{k})" for k in range(60)).replace("(t0, t0)", "(v, v)")
        + " y = Add (x, t60)",
        {"v": (6,)},
    ),
}
IMAGES = {
    "pool": "y = MaxPool <kernel_shape=[100000, 100000], pads=[50000, 50000, 50000, 50000]> (x)",
    "average": "y = AveragePool <kernel_shape=[1, 1], pads=[90000, 90000, 90000, 90000], count_include_pad=1> (x)",
    "conv": "y = Conv <pads=[1000000, 1000000, 1000000, 1000000]> (x, w)",
    "conv transpose": "y = ConvTranspose <strides=[1000000, 1000000]> (x, w)",
    "huge split": "y = Split <axis=1, num_outputs=1000000000> (x)",
}


@pytest.mark.parametrize("name", [*GREEDY, *IMAGES])
def test_a_small_file_cannot_ask_for_much_memory(name, models, tmp_path):
    if name in GREEDY:
        body, weights = GREEDY[name]
        model = models.build(body, ROW, weights, opset=13)
    else:
        model = models.build(IMAGES[name], {"x": [1, 2, 4, 4]}, {"w": (2, 2, 2, 2)}, opset=18)
    path = models.saved(model, tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    with pytest.raises(InputError) as told:
        read_onnx(path)
    assert "\n" not in str(told.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1.5e6  # kB
    assert time.monotonic() - started < 10


def _with_tensor(models, **fields):
    """A model whose weight is replaced by what the fields say."""
    model = models.build("y = Gemm (x, w)", ROW, {"w": (6, 3)})
    model.graph.initializer[0].CopyFrom(TensorProto(name="w", **fields))
    return model


RAW = np.zeros(18, dtype=np.float32).tobytes()
TENSORS = {
    "more dims than bytes": ({"dims": [10**6, 10**6], "data_type": 1, "raw_data": RAW}, "'w' does not hold"),
    "dims beyond 64 bits": ({"dims": [2**62, 2**62], "data_type": 1, "raw_data": RAW}, "'w' does not hold"),
    "fewer dims than bytes": ({"dims": [2, 3], "data_type": 1, "raw_data": RAW}, "'w'"),
    "negative": ({"dims": [-1, 3], "data_type": 1, "raw_data": RAW}, "impossible shape"),
    "odd bytes": ({"dims": [6, 3], "data_type": 1, "raw_data": RAW[:-3]}, "'w' does not hold"),
    "no bytes": ({"dims": [6, 3], "data_type": 1}, "'w' does not hold"),
    "listed": ({"dims": [6, 30], "data_type": 1, "float_data": [1.0] * 18}, "'w' does not hold"),
    "text": ({"dims": [1], "data_type": 8, "string_data": [b"weights"]}, "type STRING"),
    "unknown type": ({"dims": [6, 3], "data_type": 777, "raw_data": RAW}, "type number 777"),
    "complex": ({"dims": [3, 3], "data_type": 14, "raw_data": RAW}, "type COMPLEX64"),
    "nan": ({"dims": [6, 3], "data_type": 1, "float_data": [np.nan] * 18}, "'w' holds NaN or infinity"),
    "infinity": ({"dims": [6, 3], "data_type": 1, "float_data": [1.0] * 17 + [np.inf]}, "'w' holds NaN or infinity"),
    "rank": ({"dims": [6, 3, 1], "data_type": 1, "raw_data": RAW}, "matrix is needed"),
    "sizes": ({"dims": [9, 2], "data_type": 1, "raw_data": RAW}, r"Gemm at 'y'.*\(1, 6\)"),
}


@pytest.mark.parametrize("name", TENSORS)
def test_a_weight_that_is_not_what_it_says_is_named(name, models, tmp_path):
    fields, words = TENSORS[name]
    path = models.saved(_with_tensor(models, **fields), tmp_path)
    with pytest.raises(InputError, match=words):
        read_onnx(path)


def test_one_infinite_number_is_refused_where_it_is_used(models, tmp_path):
    path = models.saved(models.build("y = Add (x, c)", ROW, {"c": np.array(np.nan)}), tmp_path)
    with pytest.raises(ModelFileError, match="constant of Add at 'y' is NaN or infinite"):
        read_onnx(path)
    path = models.saved(models.build("y = Clip (x, c)", ROW, {"c": np.array(np.nan)}), tmp_path)
    with pytest.raises(ModelFileError, match="constant of Clip at 'y' is NaN or infinite"):
        read_onnx(path)


def _external(models, location, **entries):
    model = _with_tensor(models, dims=[6, 3], data_type=1, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        entry = model.graph.initializer[0].external_data.add()
        entry.key, entry.value = key, value
    return model


def test_weights_beside_the_file_are_read(models, tmp_path):
    weights = np.arange(18, dtype=np.float32)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(b"12345678" + weights.tobytes())
    path = models.saved(_external(models, "data/w.bin", offset="8", length="72"), tmp_path)
    np.testing.assert_array_equal(read_onnx(path)(np.eye(6)), weights.reshape(6, 3))


@pytest.mark.parametrize(
    ("location", "entries", "words"),
    [
        ("../secret.bin", {}, "outside the folder"),
        ("inner/../../secret.bin", {}, "outside the folder"),
        ("{secret}", {}, "outside the folder"),
        ("link.bin", {}, "outside the folder"),
        ("linked/secret.bin", {}, "outside the folder"),
        ("", {}, "outside the folder"),
        (".", {}, "is missing beside the model"),
        ("w\0.bin", {}, "cannot be read"),
        ("none.bin", {}, "is missing beside the model"),
        ("w.bin", {"length": "99999999999"}, "needs 72 bytes"),
        ("w.bin", {"length": "8"}, "needs 72 bytes"),
        ("w.bin", {"offset": "10"}, "needs 72 bytes"),
        ("w.bin", {"offset": "-8"}, "needs 72 bytes"),
        ("w.bin", {"offset": "eight"}, "cannot be read"),
    ],
)
def test_weights_elsewhere_are_not_touched(location, entries, words, models, tmp_path):
    folder, secret = tmp_path / "model", tmp_path / "secret.bin"
    folder.mkdir()
    secret.write_bytes(RAW)
    (folder / "w.bin").write_bytes(RAW)
    (folder / "link.bin").symlink_to(secret)
    (folder / "linked").symlink_to(tmp_path)
    path = models.saved(_external(models, location.format(secret=secret), **entries), folder)
    with pytest.raises(ModelFileError, match=words):
        read_onnx(path)


def test_a_graph_in_a_circle_is_told(models, tmp_path):
    path = models.saved(models.build("a = Add (x, b) b = Relu (a) y = Neg (b)", ROW), tmp_path)
    with pytest.raises(ModelFileError, match="takes a tensor that it makes itself"):
        read_onnx(path)


def test_a_graph_with_holes_or_doubles_is_told(models, tmp_path):
    for body, words in (
        ("y = Add (x, b)", "no node makes the tensor 'b', which inputs of 'y' need"),
        ("z = Relu (x)", "no node makes the tensor 'y', which the outputs need"),
        ("y = Relu (x) y = Neg (x)", "'y' is made twice"),
        ("x = Relu (x) y = Neg (x)", "'x' is made twice"),
    ):
        with pytest.raises(ModelFileError, match=words):
            read_onnx(models.saved(models.build(body, ROW), tmp_path))


@pytest.mark.parametrize(
    ("opset", "words"), [(5, "onnx.version_converter"), (999, "pip install -U onnx"), (0, "opset 0")]
)
def test_an_unknown_opset_is_told(opset, words, models, tmp_path):
    path = models.saved(models.build("y = Relu (x)", ROW, opset=opset), tmp_path)
    with pytest.raises(ModelFileError, match=words):
        read_onnx(path)


def test_two_opsets_are_told(models, tmp_path):
    model = models.build("y = Relu (x)", ROW, opset=13)
    model.opset_import.add(domain="", version=7)
    with pytest.raises(ModelFileError, match=r"several opsets of ONNX, \[7, 13\]"):
        read_onnx(models.saved(model, tmp_path))


def test_names_with_line_breaks_and_orders_to_a_terminal_are_shown_as_text(models, tmp_path):
    wild = "a\nb\x1b[31m\u202e"
    for node in (helper.make_node("Foo", ["x"], ["y"], wild), helper.make_node(wild, ["x"], ["y"])):
        model = models.build("y = Relu (x)", ROW)
        model.graph.node[0].CopyFrom(node)
        with pytest.raises(InputError) as told:
            read_onnx(models.saved(model, tmp_path))
        assert str(told.value).isprintable()
        assert "a\\nb\\x1b[31m" in str(told.value)
    model = models.build("y = Relu (x)", ROW)
    model.graph.node[0].name = wild
    model.graph.input[0].name = model.graph.node[0].input[0] = wild
    summary = read_onnx(models.saved(model, tmp_path)).summary()
    assert len(summary.split("\n")) == 4
    assert all(line.isprintable() for line in summary.split("\n"))


def test_an_input_left_out_is_told(models, tmp_path):
    model = models.build("y = Relu (x)", ROW)
    model.graph.node[0].input[0] = ""
    with pytest.raises(ModelFileError, match="Relu at 'y' leaves out an input that it needs"):
        read_onnx(models.saved(model, tmp_path))


def test_a_node_that_does_not_fit_its_schema_is_told(models, tmp_path):
    for body, words in (
        ("y = Relu (x, x)", "2 inputs and 1 outputs"),
        ("y = Relu <alpha=1.0> (x)", "attribute 'alpha'"),
        ("y = LeakyRelu <alpha=[1.0, 2.0]> (x)", "attribute 'alpha'"),
        ("y = Squeeze <axes=[0]> (x)", "attribute 'axes'"),
        ("y = MaxPool (x)", "lacks the attribute 'kernel_shape'"),
        ("y = Transpose <perm=[0, 0]> (x)", "Transpose at 'y' does not fit its inputs"),
    ):
        with pytest.raises(ModelFileError, match=words):
            read_onnx(models.saved(models.build(body, ROW), tmp_path))


def test_inputs_that_are_no_real_tensors_are_told(models, tmp_path):
    model = models.build("y = Relu (x)", ROW)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(ModelFileError, match="input 'x' is no tensor of real numbers"):
        read_onnx(models.saved(model, tmp_path))
    model.graph.input[0].type.Clear()
    with pytest.raises(ModelFileError, match="input 'x' is no tensor of real numbers"):
        read_onnx(models.saved(model, tmp_path))


def test_an_output_without_the_input_is_told(models, tmp_path):
    model = models.build("h = Relu (x) y = Neg (c)", ROW, {"c": (3,)})
    with pytest.raises(InputError, match="output 'y' does not depend on the input"):
        read_onnx(models.saved(model, tmp_path))


@pytest.mark.parametrize("content", [b"", b"\x00", b"PK\x03\x04", b"{}", b"not a model at all", bytes(1000)])
def test_a_file_that_is_no_model_is_told(content, tmp_path):
    for name, packed in (("net.onnx", content), ("net.onnx.gz", gzip.compress(content)), ("bad.onnx.gz", content)):
        (tmp_path / name).write_bytes(packed)
        with pytest.raises(ModelFileError, match=name):
            read_onnx(tmp_path / name)
    with pytest.raises(ModelFileError, match="missing"):
        read_onnx(tmp_path / "none.onnx")
    with pytest.raises(ModelFileError, match="missing"):
        read_onnx(tmp_path)


def test_a_long_chain_is_read_in_time_that_grows_with_it(models, tmp_path):
    nodes = [helper.make_node("Relu", [f"t{k}"], [f"t{k + 1}"], "same name") for k in range(3000)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in ("t0", "t3000")]
    model = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:]))
    network = read_onnx(models.saved(model, tmp_path))
    assert len(network.order) == 3001


# ── damaged bytes ────────────────────────────────────────────────────────────────────────────────────────────────────


def _corpus(models):
    image, weights = {"x": ["n", 2, 5, 5]}, {"w": (3, 2, 2, 2), "b": (3,), "v": (12, 2)}
    bodies = (
        ("a = Conv <strides=[2, 2]> (x, w, b) c = Relu (a) d = Flatten (c) y = MatMul (d, v)", 13),
        ("a = ConvTranspose (x, t) c = Clip <min=0.0, max=6.0> (a) y = ReduceMean <axes=[2, 3]> (c)", 9),
        ("a = MaxPool <kernel_shape=[2, 2], pads=[0, 1, 0, 1]> (x) y = LeakyRelu (a)", 11),
        ("a = Pad <pads=[0, 0, 1, 1, 0, 0, 1, 1]> (x) y = AveragePool <kernel_shape=[3, 3]> (a)", 9),
        ("s = Shape (x) n = Gather (s, i) m = Concat <axis=0> (n, j) y = Reshape (x, m)", 13),
        ("a = Slice (x, i, j) c = Transpose <perm=[0, 2, 3, 1]> (x) y = Expand (c, s)", 13),
    )
    weights |= {"t": (2, 2, 2, 2), "i": np.array([0]), "j": np.array([-1]), "s": np.array([1, 5, 5, 2])}
    return [models.build(body, image, weights, opset=opset).SerializeToString() for body, opset in bodies]


def _survives(content, path):
    """Read and evaluate; nothing but an `InputError` may come."""
    path.write_bytes(content)
    with suppress(InputError):
        network = read_onnx(path)
        with np.errstate(all="ignore"):
            network.evaluate({name: np.zeros((1, *network[name].shape)) for name in network.inputs})


@settings(max_examples=300)
@given(st.data())
def test_damaged_bytes_never_end_in_another_error(models, tmp_path_factory, data):
    content = bytearray(data.draw(st.sampled_from(_corpus(models))))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(["flip", "byte", "cut", "drop", "repeat", "number"])):
            case "flip":
                content[at] ^= 1 << data.draw(st.integers(0, 7))
            case "byte":
                content[at] = data.draw(st.integers(0, 255))
            case "cut":
                content = content[: at + 1]
            case "drop":
                del content[at : at + data.draw(st.integers(1, 20))]
                content = content or bytearray(1)
            case "repeat":
                content[at:at] = content[at : at + 20]
            case "number":
                content[at : at + 1] = b"\xff\xff\xff\xff\x7f"
    _survives(bytes(content), tmp_path_factory.getbasetemp() / "damaged.onnx")


def test_a_file_cut_anywhere_is_told(models, tmp_path):
    content = _corpus(models)[0]
    for end in range(0, len(content), 7):
        (tmp_path / "net.onnx").write_bytes(content[:end])
        with pytest.raises(InputError):
            read_onnx(tmp_path / "net.onnx")


@settings(max_examples=150)
@given(st.data())
def test_wild_attributes_never_end_in_another_error(models, tmp_path_factory, data):
    model = onnx.ModelProto.FromString(data.draw(st.sampled_from(_corpus(models))))
    wild = st.sampled_from([-(2**63), -(10**9), -3, -2, -1, 0, 1, 2, 3, 100, 10**9, 2**63 - 1])
    attributes = [attribute for node in model.graph.node for attribute in node.attribute]
    sizes = [tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.INT64]
    for _ in range(data.draw(st.integers(1, 3))):
        if attributes and data.draw(st.booleans()):
            chosen = data.draw(st.sampled_from(range(len(attributes))))
            if attributes[chosen].ints:
                attributes[chosen].ints[data.draw(st.integers(0, len(attributes[chosen].ints) - 1))] = data.draw(wild)
            attributes[chosen].f = data.draw(st.sampled_from([0.0, -1.0, 1e38, float("inf"), float("nan")]))
        else:
            chosen = data.draw(st.sampled_from(range(len(sizes))))
            array = numpy_helper.to_array(sizes[chosen]).copy()
            array[data.draw(st.integers(0, array.size - 1))] = data.draw(wild)
            sizes[chosen].CopyFrom(numpy_helper.from_array(array, sizes[chosen].name))
    _survives(model.SerializeToString(), tmp_path_factory.getbasetemp() / "wild.onnx")


_LONG = """
import random, resource, sys, time
from pathlib import Path
import numpy as np
from oamip.errors import InputError
from oamip.readers.onnx_graph import read_onnx
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
path, draw, end, runs = Path(sys.argv[1]), random.Random(0), time.monotonic() + float(sys.argv[2]), 0
corpus = [file.read_bytes() for file in sorted(path.parent.glob("seed*.onnx"))]
while time.monotonic() < end:
    content = bytearray(draw.choice(corpus))
    for _ in range(draw.choice((1, 1, 2, 5))):
        content[draw.randrange(len(content))] = draw.choice((0, 1, 127, 128, 255, draw.randrange(256)))
    path.write_bytes(content)
    runs += 1
    try:
        network = read_onnx(path)
        with np.errstate(all="ignore"):
            network.evaluate({name: np.zeros((1, *network[name].shape)) for name in network.inputs})
    except InputError:
        pass
print(runs)
"""


@pytest.mark.slow
def test_a_minute_of_damaged_files_stays_within_memory(models, shared, tmp_path):
    seeds = _corpus(models) + [
        (shared / "networks" / name).read_bytes() for name in ("cartpole.onnx", "Convnet_maxpool.onnx")
    ]
    for number, content in enumerate(seeds):
        (tmp_path / f"seed{number}.onnx").write_bytes(content)
    command = [sys.executable, "-W", "error", "-c", _LONG, str(tmp_path / "net.onnx"), "60"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 1000
