"""A torch.export archive (``.pt2``) as a network of ordinary modules.

The `archive` is read without opening a pickle. Each of its ATen calls becomes the module or function that a person
would have written (a convolution becomes `nn.Conv2d` under the name that its weights have), by the rules in `aten`.
The result is then compared, on random input, with the archive's own calls run one by one.

`exported_module` takes the same way without a file, for modules that torch.fx cannot trace.
"""

from __future__ import annotations

import io
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from oamip.errors import MismatchError, ModelFileError, UnsupportedOperator
from oamip.readers.archive import Malformed, Program, Ref, read_archive
from oamip.readers.aten import RULES
from oamip.readers.builder import Builder
from oamip.readers.draft import BATCH
from oamip.readers.names import legal
from oamip.readers.refusals import remedy

__all__ = ["exported_module", "load_exported"]


def load_exported(path: Path | str) -> fx.GraphModule:
    """Open a file that `torch.export.save` wrote (torch 2.8 or newer) as a module that torch.fx can trace.

    The batch dimension stays free: a view that keeps it becomes `nn.Flatten` or a reshape with −1. Modules keep the
    paths they had where the archive tells them. The network is returned in evaluation mode, on the CPU.

    Raises:
        ModelFileError: the file is missing, damaged, of another version, keeps weights as pickles, or holds a NaN.
        UnsupportedOperator: an ATen operator without a rule, by name, or a network exported in training mode.
        MismatchError: the modules do not compute what the archive computes.
    """
    source = Path(path)
    if not source.is_file():
        raise ModelFileError(f"{source} is missing; give the path of an existing file")
    try:
        program = read_archive(source)
        _refuse_not_finite(program)
        network = _build(program)
        _compare(program, network, source)
    except (UnsupportedOperator, MismatchError):
        raise
    except Malformed as error:
        raise ModelFileError(f"{source} cannot be opened: {error}") from None
    # Damaged JSON may be wrong in any place; the user gets one error that names the file.
    except Exception as error:
        raise ModelFileError(
            f"{source} is not a whole torch.export archive ({type(error).__name__}: {error}); export it again"
        ) from error
    return network


def exported_module(module: nn.Module, examples: tuple[torch.Tensor, ...]) -> fx.GraphModule:
    """A module rebuilt from what torch.export sees of it, which needs no file and can be traced by torch.fx.

    Args:
        module: in evaluation mode.
        examples: its inputs; their batch dimension stays free.

    Raises:
        UnsupportedOperator: an ATen operator without a rule, by name.
        Exception: whatever torch.export raises where it cannot follow the module either.
    """
    # A batch size like no other size, so that a shape that fixes it can be told from one that does not.
    inputs = tuple(x[:1].expand(BATCH, *x.shape[1:]).clone() for x in examples)
    file = io.BytesIO()
    with warnings.catch_warnings(), _silence(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch tells about its own future
        free = tuple({0: torch.export.Dim.AUTO} for _ in inputs)
        torch.export.save(torch.export.export(module, inputs, dynamic_shapes=free), file)
    return _build(read_archive(file))


@contextmanager
def _silence() -> Iterator[None]:
    """Keep torch.export from telling at length what comes as one error."""
    logger = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def _build(program: Program) -> fx.GraphModule:
    builder = Builder(program)
    for name in program.inputs:
        builder.values[name] = builder.graph.placeholder(legal(name))
    for call in program.calls:
        rule = RULES.get(call.operator)
        if rule is None:
            raise call.unsupported(remedy(call.operator.split(".")[1]))
        made = rule(builder, call)
        if made is not None:
            builder.values[call.outputs[0]] = made
            if call.operator.split(".")[1].endswith("_"):  # in place: the old name means the new value from here on
                builder.values[call.arguments["self"].name] = made
    outputs = tuple(builder.node(Ref(name)) for name in program.outputs)
    builder.graph.output(outputs[0] if len(outputs) == 1 else outputs)
    builder.graph.lint()
    network = fx.GraphModule(builder.root, builder.graph, class_name="ExportedNetwork").eval()
    network.graph.eliminate_dead_code()  # sizes that only a view asked for
    network.recompile()
    return network


def _refuse_not_finite(program: Program) -> None:
    for place, tensor in program.weights.values():
        if not tensor.isfinite().all():
            raise Malformed(f"tensor '{place}' holds NaN or infinity; train the network again")


def _compare(program: Program, network: nn.Module, path: Path) -> None:
    """Run the archive's own calls and the new modules on the same random input."""
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(shape, generator=generator, dtype=dtype) for shape, dtype in program.inputs.values()]
    with torch.no_grad():
        expected = _evaluate(program, [x.clone() for x in inputs])
        found = network(*inputs)
    for a, b in zip(expected, [found] if isinstance(found, torch.Tensor) else found, strict=True):
        # Relative to the largest output: a decomposed batch norm rounds in another order.
        error = float((a - b).abs().max() / a.abs().max().clamp(min=1e-30)) if a.shape == b.shape else math.inf
        if not error <= 1e-4:
            raise MismatchError(
                f"{path}: the rebuilt network differs from the archive by {error:.1e}; please report it"
            )


def _evaluate(program: Program, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """The archive's calls, one by one; only operators that have a rule can come here."""
    values: dict[str, Any] = {name: tensor for name, (_, tensor) in program.weights.items()}
    values.update(zip(program.inputs, inputs, strict=True))

    def value(item: Any) -> Any:
        if isinstance(item, list):
            return [value(part) for part in item]
        return values[item.name] if isinstance(item, Ref) else item

    for call in program.calls:
        _, name, overload = call.operator.split(".")
        function = getattr(getattr(torch.ops.aten, name), overload)
        arguments = {key: value(item) for key, item in call.arguments.items()}
        made = function(**arguments)
        values.update(zip(call.outputs, made if isinstance(made, (tuple, list)) else [made], strict=True))
    return [values[name] for name in program.outputs]
