"""Small ONNX models from a line of text, and what ONNX's own reference makes of them in double precision."""

from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from oamip.readers.onnx_graph import read_onnx

REAL = TensorProto.FLOAT


def build(body, inputs, weights=None, *, opset=13, outputs=("y",), rng=None):
    """A model in single precision.

    Args:
        body: nodes in ONNX's text form, as ``h = Relu(x) y = Neg(h)``.
        inputs: name to sizes; a string is a symbolic size.
        weights: name to array, or to a shape that is filled at random.
        opset: of ONNX's own domain.
        outputs: names.
        rng: for the random weights.
    """
    rng = rng or np.random.default_rng(0)
    nodes = parser.parse_graph(f"g () => () {{ {body} }}").node
    tensors = [_tensor(name, value, rng) for name, value in (weights or {}).items()]
    ends = [helper.make_tensor_value_info(name, REAL, sizes) for name, sizes in inputs.items()]
    results = [helper.make_tensor_value_info(name, REAL, None) for name in outputs]
    graph = helper.make_graph(nodes, "g", ends, results, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def _tensor(name, value, rng):
    if isinstance(value, tuple):
        value = rng.normal(size=value)
    array = np.asarray(value)
    return numpy_helper.from_array(array.astype(np.float32) if array.dtype.kind == "f" else array, name)


def saved(model, folder):
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def doubled(model):
    """The same model with every single-precision number and type in double precision."""
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    graph = twin.graph
    for tensor in graph.initializer:
        _double(tensor)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type in (TensorProto.FLOAT, TensorProto.FLOAT16):
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for node in graph.node:
        if node.op_type == "ConstantOfShape" and not node.attribute:
            node.attribute.append(helper.make_attribute("value", numpy_helper.from_array(np.zeros(1))))
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                _double(attribute.t)
            if attribute.name in ("value_float", "value_floats"):
                value = np.array(helper.get_attribute_value(attribute), dtype=np.float64)
                attribute.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(value)))
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i in (REAL, TensorProto.FLOAT16):
                attribute.i = TensorProto.DOUBLE
    return twin


def _double(tensor):
    if tensor.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16):
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))


def reference(model, inputs):
    """Outputs in the precision of the inputs."""
    return [np.asarray(y) for y in ReferenceEvaluator(model).run(None, inputs)]


def compare(model, folder, samples=3, *, shapes=None, single=True):
    """Read a model and compare it with the reference on random inputs, in double and in single precision.

    Where the batch is symbolic, three samples at once.
    """
    network = read_onnx(saved(model, folder), shapes=shapes)
    stored = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in stored]
    rng = np.random.default_rng(1)
    for _ in range(samples):
        x = {name: rng.normal(size=_sizes(model, name, shapes or {}), scale=2).astype(np.float32) for name in names}
        given = {
            node: x[name].reshape(-1, *network[node].shape) for node, name in zip(network.inputs, names, strict=True)
        }
        values = network.evaluate(given)
        exact = reference(doubled(model), {name: value.astype(np.float64) for name, value in x.items()})
        rounded = reference(model, x) if single else exact
        for node, want, near in zip(network.outputs, exact, rounded, strict=True):
            found, size = values[node].ravel(), max(1.0, np.abs(want).max(initial=0.0))
            assert want.dtype == np.float64
            np.testing.assert_allclose(found, want.ravel(), rtol=0, atol=1e-9 * size)
            np.testing.assert_allclose(found, near.ravel(), rtol=0, atol=1e-5 * size)
    return network


def _sizes(model, name, shapes):
    value = next(value for value in model.graph.input if value.name == name)
    return shapes.get(name) or [dim.dim_value or 3 for dim in value.type.tensor_type.shape.dim]


@pytest.fixture(scope="session")
def models():
    """The functions of this file."""
    return SimpleNamespace(build=build, compare=compare, doubled=doubled, reference=reference, saved=saved)
