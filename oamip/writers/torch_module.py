"""A network as a plain torch module: a `torch.fx.GraphModule` of ordinary layers under the names of the source.

No width is written down where torch can find it out (`torch_rules`), so the module can be pruned like one that a person
wrote.
"""

from __future__ import annotations

import torch
from torch import fx, nn

from oamip.errors import InputError, MismatchError
from oamip.network import Network
from oamip.network.comparison import outputs_of, random_inputs, worst_difference
from oamip.readers.names import legal
from oamip.writers.lowering import Lowered, lower
from oamip.writers.torch_graph import Writer
from oamip.writers.torch_rules import RULES

__all__ = ["INPUT_SHAPES", "to_torch"]

INPUT_SHAPES = "input_shapes"
"""Under this name ``module.meta`` holds the shape of one sample of each input."""
_AGREEMENT = 1e-9


def to_torch(network: Network, *, dtype: torch.dtype = torch.float32) -> fx.GraphModule:
    """A torch module that computes what a network computes.

    Layers keep the paths and parameters of the source where its names allow it; a module that the source calls twice is
    one module here too. Weights that the source shares between two layers are copied. Batch normalisations come back as
    a factor and a shift per channel (`oamip.readers.norms`), activations as the ReLUs that they were read as.

    Args:
        network: any, from a torch module, an ONNX file, or made by hand.
        dtype: of parameters and buffers.

    Returns:
        The module in evaluation mode, on the CPU; ``module.meta["input_shapes"]`` tells the shape of one sample of each
        input. It is traceable by torch.fx, can be read, pruned, saved and exported.

    Raises:
        InputError: the dtype is no floating-point type.
        MismatchError: the module does not compute what the network computes, in double precision on random samples.
        UnsupportedOperator: a linear map of a kind that is not ours.

    Example:
        >>> from oamip.readers import read
        >>> layers = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten())
        >>> network = read(layers, torch.zeros(1, 1, 5, 5))
        >>> module = to_torch(network)
        >>> print(module.code.strip())
        def forward(self, input):
            input_1 = input
            n0 = getattr(self, "0")(input_1);  input_1 = None
            n1 = getattr(self, "1")(n0);  n0 = None
            flatten = torch.flatten(n1, 1, -1);  n1 = None
            return flatten
    """
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InputError(f"dtype={dtype} is no floating-point type; give torch.float32 or torch.float64")
    module = _written(lower(network))
    module.meta[INPUT_SHAPES] = tuple(network[name].shape for name in network.inputs)
    _prove(module, network)
    return module.to(dtype)


def _prove(module: nn.Module, network: Network) -> None:
    inputs = random_inputs(network, 3)
    with torch.no_grad():
        answer = module(*(torch.from_numpy(value) for value in inputs.values()))
    found = [part.numpy() for part in (answer if isinstance(answer, tuple) else (answer,))]
    worst = worst_difference(outputs_of(network, inputs), found)
    if not worst <= _AGREEMENT:
        raise MismatchError(f"the torch module differs from the network by {worst:.2g}; please report this network")


def _written(lowered: Lowered) -> fx.GraphModule:
    writer, arguments = Writer(lowered), set[str]()
    for step in lowered.inputs:
        name = legal(step.path) if legal(step.path) not in arguments else step.name
        arguments.add(name)
        writer.values[step.name] = writer.graph.placeholder(name)
    for step in lowered.steps:
        writer.values[step.name] = RULES[type(step.operator)](writer, step, step.operator)
    outputs = tuple(writer.values[name] for name in lowered.outputs)
    writer.graph.output(outputs[0] if len(outputs) == 1 else outputs)
    writer.graph.lint()
    return fx.GraphModule(writer.root, writer.graph, class_name="PiecewiseLinear").eval()
