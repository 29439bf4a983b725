"""From an ONNX file to the graph that everything else works on; torch is not needed.

    >>> import numpy as np, onnx, tempfile
    >>> from onnx import TensorProto, helper, numpy_helper
    >>> from oamip.readers.onnx_graph import read_onnx
    >>> weights = [
    ...     numpy_helper.from_array(np.array([[1.0, -1.0, 2.0], [0.5, 0.0, 1.0]]), "fc.weight"),
    ...     numpy_helper.from_array(np.array([0.0, -1.0]), "fc.bias"),
    ... ]
    >>> nodes = [
    ...     helper.make_node("Gemm", ["x", "fc.weight", "fc.bias"], ["a"], "fc", transB=1),
    ...     helper.make_node("Relu", ["a"], ["y"], "relu"),
    ... ]
    >>> real = TensorProto.DOUBLE
    >>> ends = [helper.make_tensor_value_info(*end) for end in (("x", real, ["batch", 3]), ("y", real, ["batch", 2]))]
    >>> model = helper.make_model(helper.make_graph(nodes, "net", ends[:1], ends[1:], weights))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     onnx.save(model, f"{folder}/net.onnx")
    ...     network = read_onnx(f"{folder}/net.onnx")
    >>> print(network.summary())
    node  kind    shape  map    parameters  non-zeros  source
    x     Input   3                                    x
    fc    Affine  2      Dense           8          5  fc
    relu  ReLU    2                                    relu
    total: 3 nodes, 8 parameters, 5 non-zeros, 2 ReLUs, 0 maxima

The files: `file` parses the bytes, `tensors` decodes weights, `graph` puts the nodes in order and completes them from
the schema of their opset; `walk` goes through them and looks each one up in `operators`, whose rules live in `layers`,
`linear`, `pooling`, `activations` and `moves`; a rule writes nodes into the `draft`. What depends on constants alone,
shapes above all, is computed on the way (`folding`); `batch` sees to it that samples of a batch stay apart;
where they do in the end only, `reference` tells.

A file is not trusted: nothing in it is executed, no size it declares is believed before the bytes are there, weights
beside it are read from its own folder only, and reading makes a bounded number of numbers.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

from oamip.errors import InputError, MissingDependency
from oamip.network import Network

__all__ = ["read_onnx"]


def read_onnx(path: Path | str, *, shapes: Mapping[str, Sequence[int | None]] | None = None) -> Network:
    """Read an ONNX file into a network of affine, ReLU and max nodes in float64.

    What is read is the model for a batch of one. A first axis that is symbolic, or 1 while others follow, is the batch
    and not part of the network's inputs, which are arrays (n, …) of n samples. A model without such an axis takes one
    sample whole. Where all inputs leave the batch open, what mixes samples along axis 0 is refused, unless the
    network gives what ``onnx.reference`` gives for several samples at once. A softmax that ends the network is left
    out, with a warning in the log.

    Args:
        path: ``.onnx``, or gzipped ``.onnx.gz``; opset 7 to the newest that the installed onnx knows.
        shapes: sizes of the inputs that the file leaves open, beside the batch: ``{"image": (1, 3, 32, 32)}``; with
            ``None`` in front, the batch stays open.

    Returns:
        The network. Inputs are named after the file's; nodes carry the name of the ONNX node that they come from.

    Raises:
        MissingDependency: onnx is not installed.
        ModelFileError: the file is missing, damaged, inconsistent, unsafe or too large, or a weight is not finite.
        UnsupportedOperator: names the operator, the node and what to do instead.
        InputError: sizes are left open, or given for an input that has others.
    """
    if importlib.util.find_spec("onnx") is None:
        raise MissingDependency("onnx", "reading ONNX files", "onnx")
    from oamip.readers.onnx_graph.draft import printable
    from oamip.readers.onnx_graph.reader import read_file

    try:
        return read_file(Path(path), shapes or {})
    except InputError as error:
        error.args = (printable(str(error)),)  # a name from the file may hold line breaks, or orders to a terminal
        raise
