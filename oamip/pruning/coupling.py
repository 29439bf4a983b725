"""Which channels of which layers go together: our answer, Torch-Pruning's, and the cut on which both agree.

Our answer follows from the labels of `oamip.network.Groups`. Torch-Pruning (Fang et al., DepGraph, CVPR 2023) finds its
own from an autograd trace. Two programs that share no line and agree on every index are worth more than one, so `cut`
compares them before it touches a tensor; Torch-Pruning's functions then do the cutting. This is the only file that
imports it.

Where Torch-Pruning has to guess how wide a value is, it guesses wrong: `cat` then `flatten` then `Linear` cuts the
indices of one branch from all branches, `flatten` then `cat` cuts features that do not exist, and an input of the
network that is concatenated is not seen at all. So it is shown a torch.fx view of the module in which a batch
normalisation stands, as a signpost that states the width, behind every input and every call that is no layer. Nor does
it see that padding the channels moves them, or that a slice along positions moves none: the view joins zeros to the
channels instead, and hides slices in an operation that it takes for an activation.
The view shares its layers with the module: cutting them cuts the module, whose own class and code never change.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
import torch_pruning
from numpy.typing import NDArray
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional

from oamip.errors import MismatchError
from oamip.network import Affine, Groups, Network, cost_of
from oamip.readers.tracing import trace

__all__ = ["COLUMNS", "ROWS", "Cuts", "cut", "planned_cuts"]

Side: TypeAlias = tuple[str, str]
"""(layer path, ``rows`` or ``columns``): the output or the input channels of a layer."""

Cuts: TypeAlias = dict[Side, frozenset[int]]
"""Per side of a layer, the indices that go. Normalisations and depthwise convolutions have rows only."""

ROWS, COLUMNS = "rows", "columns"


def planned_cuts(groups: Groups, keep: NDArray[np.bool_]) -> Cuts:
    """What every layer loses, by the labels of our units (one bool per unit in ``keep``)."""
    alive = np.append(keep, (True, True))  # the negative labels: entries of no unit stay
    cuts: Cuts = {}
    for layer in cost_of(groups).layers:
        for side, labels in ((ROWS, layer.rows), (COLUMNS, layer.columns)):
            gone = np.flatnonzero(~alive[labels])
            if gone.size:
                cuts[layer.path, side] = frozenset(gone.tolist())
    return cuts


def cut(module: nn.Module, example: Sequence[torch.Tensor], groups: Groups, keep: NDArray[np.bool_]) -> None:
    """Remove channels from the layers of a module in place; leaves it in evaluation mode, all parameters trainable.

    Args:
        module: with the layers that ``groups`` names.
        example: its inputs, on its device.
        groups: its units.
        keep: one bool per unit.

    Raises:
        MismatchError: Torch-Pruning would cut other channels than our units consist of, or cannot follow the module.
    """
    ours = planned_cuts(groups, keep)
    roots = _roots(groups, keep)
    with _its_errors_as_ours(roots):
        theirs, knives = _traced_cuts(module, example, groups.network, roots)
    if ours != theirs:
        raise MismatchError(_disagreement(ours, theirs))
    with _its_errors_as_ours(roots):
        for side, knife in knives.items():
            knife(sorted(theirs[side]))


def _roots(groups: Groups, keep: NDArray[np.bool_]) -> dict[str, set[int]]:
    """The rows of each group's first layer that go; the rest of a unit must follow by coupling."""
    roots: dict[str, set[int]] = {}
    for group in groups.groups:
        for unit, stays in zip(group.units, keep[group.slice], strict=True):
            if not stays:
                roots.setdefault(group.layers[0], set()).update(c.row for c in unit if c.layer == group.layers[0])
    return roots


def _traced_cuts(
    module: nn.Module, example: Sequence[torch.Tensor], network: Network, roots: Mapping[str, Iterable[int]]
) -> tuple[Cuts, dict[Side, Callable[[list[int]], Any]]]:
    """What Torch-Pruning would cut from the layers of the network, and its functions that would do it.

    All groups are asked for before any is cut: indices shift with the first cut, and the graph is not rebuilt.
    """
    module.eval().requires_grad_(True)  # the trace follows autograd, which does not pass a frozen layer
    view = signposted(module, example)
    graph = torch_pruning.DependencyGraph()
    found: dict[Side, set[int]] = {}
    knives: dict[Side, Callable[[list[int]], Any]] = {}
    layers = {module.get_submodule(node.layer.path): node.layer.path for node in network.nodes(Affine) if node.layer}
    graph.build_dependency(view, tuple(example), verbose=False)
    for path, rows in roots.items():
        layer = module.get_submodule(path)
        function = graph.get_pruner_of_module(layer).prune_out_channels
        for dependency, indices in graph.get_pruning_group(layer, function, sorted(rows)):
            target = dependency.target.module
            if target in layers:  # not a signpost, nor a stand-in for an operator
                side = (layers[target], ROWS if graph.is_out_channel_pruning_fn(dependency.handler) else COLUMNS)
                found.setdefault(side, set()).update(indices)
                knives[side] = dependency  # calling it runs its pruning function on its layer
    return {side: frozenset(indices) for side, indices in found.items()}, knives


@contextmanager
def _its_errors_as_ours(roots: Iterable[str]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # its failures have no common type: assertions, key and index errors
        raise MismatchError(
            f"Torch-Pruning cannot follow or cut the module ({type(error).__name__}: {error}); "
            f"exclude {', '.join(roots)} from pruning"
        ) from error


def _disagreement(ours: Cuts, theirs: Cuts) -> str:
    side = next(s for s in sorted({*ours, *theirs}) if ours.get(s) != theirs.get(s))
    lines = [f"our units and Torch-Pruning's differ at the {side[1]} of layer '{side[0]}':"]
    for name, cuts in (("ours lose", ours), ("Torch-Pruning's lose", theirs)):
        indices = sorted(cuts.get(side, ()))
        shown = ", ".join(map(str, indices[:8])) + (f", … ({len(indices)})" if len(indices) > 8 else "")
        lines.append(f"{name} {shown or 'none'};")
    return " ".join([*lines, "nothing was removed; exclude the layer, or what feeds it, from pruning"])


# ── signposts ────────────────────────────────────────────────────────────────────────────────────────────────────────

_SIGNPOSTS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
_LAYERS = (nn.Linear, nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm)


def signposted(module: nn.Module, example: Sequence[torch.Tensor]) -> fx.GraphModule:
    """A view that shares the module's layers, with a batch normalisation behind everything that is no layer."""
    view = fx.GraphModule(module, trace(module, len(example)))
    with torch.no_grad():
        ShapeProp(view).propagate(*example)
        for node in list(view.graph.nodes):
            if node.target is functional.pad:
                _join_padding(view.graph, node)
            elif node.target is operator.getitem and _shape(node.args[0]):
                node.target = _part
        view.recompile()
        ShapeProp(view).propagate(*example)
    for node in list(view.graph.nodes):
        if _needs_signpost(view, node):
            shape = _shape(node)
            post = _SIGNPOSTS[len(shape)](shape[1]).eval().to(example[0])
            name = f"signpost_{node.name}"
            view.add_submodule(name, post)
            with view.graph.inserting_after(node):
                after = view.graph.call_module(name, (node,))
            node.replace_all_uses_with(after, delete_user_cb=lambda user, after=after: user is not after)
    view.recompile()
    return view


def _join_padding(graph: fx.Graph, node: fx.Node) -> None:
    """Write padding of the channels as a concatenation."""
    shape = _shape(node)
    arguments = dict(zip(("input", "pad", "mode", "value"), node.args, strict=False), **node.kwargs)
    sides: Any = arguments["pad"]
    position = 2 * (len(shape) - 2)
    if len(sides) <= position:
        return
    front, back = sides[position : position + 2]
    if min(front, back) < 0:
        return  # cropped channels are frozen, so nobody asks
    with graph.inserting_before(node):
        inner = graph.call_function(functional.pad, (node.args[0], tuple(sides[:position])), {})
        parts = [
            graph.call_function(
                torch.zeros, ((shape[0], width, *shape[2:]),), {"dtype": node.meta["tensor_meta"].dtype}
            )
            for width in (front, back)
            if width
        ]
        joined = graph.call_function(torch.cat, ([*parts[: front > 0], inner, *parts[front > 0 :]], 1), {})
    node.replace_all_uses_with(joined)
    graph.erase_node(node)


class _Part(torch.autograd.Function):
    """``x[index]`` as one operation without a name that means something."""

    @staticmethod
    def forward(x: torch.Tensor, index: Any) -> torch.Tensor:
        return x[index].clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        """Nothing is kept: nobody asks for gradients."""


def _part(x: torch.Tensor, index: Any) -> torch.Tensor:
    part: torch.Tensor = _Part.apply(x, index)  # type: ignore[no-untyped-call]
    return part


def _needs_signpost(view: fx.GraphModule, node: fx.Node) -> bool:
    """A tensor whose width no layer states: an input, or what a function or a module without channels gives."""
    if len(_shape(node)) not in _SIGNPOSTS:
        return False
    if node.op == "call_module":
        part = view.get_submodule(str(node.target))
        return not isinstance(part, _LAYERS) and getattr(part, "num_parameters", 1) == 1  # a PReLU may state a width
    return node.op in ("placeholder", "call_function", "call_method")


def _shape(node: Any) -> tuple[int, ...]:
    """Shape of a node that is one tensor; empty for anything else."""
    meta = node.meta.get("tensor_meta") if isinstance(node, fx.Node) else None
    return tuple(getattr(meta, "shape", ()))
