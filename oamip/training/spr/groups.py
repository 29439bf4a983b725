"""Which weights live and die together: everything that must be zero so that one unit of a network is silent.

The group of a filter is its kernel, its bias, and the scale and shift of the batch normalisation behind it; that of a
neuron its row of weights and its bias. Which units there are, and what is coupled to what, the `oamip.network.Groups`
say. In a residual stream one unit has filters in several layers:

* ``coupled=True``: they are one group, so a group that becomes zero can always be removed physically;
* ``coupled=False``: each layer's filter is a group of its own, as in Cacciola et al.; a filter that is zero in one
  layer of a stream stays in the file until its unit is zero in all of them.

Groups of equal make-up are stacked, so that all of them are one dense matrix (groups, scalars of each).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from oamip.budget import Scope
from oamip.errors import InputError
from oamip.network import Affine, Groups, Network, cost_of, find_groups
from oamip.readers import read

__all__ = ["Part", "Stack", "WeightGroups"]


@dataclass(frozen=True)
class Part:
    """What a stack takes from one parameter.

    Args:
        block: path of the layer that makes the channels; a normalisation behind it belongs to its block.
        path: of the module that holds the parameter.
        parameter: (rows, ...).
        rows: (groups, k), the rows of each group; ``None`` for row i alone in group i.
    """

    block: str
    path: str
    parameter: nn.Parameter
    rows: torch.Tensor | None

    @property
    def width(self) -> int:
        """Scalars of each group."""
        fan = self.parameter[0].numel()
        return fan if self.rows is None else fan * self.rows.shape[1]

    def read(self) -> torch.Tensor:
        """(groups, width), differentiable."""
        flat = self.parameter.reshape(len(self.parameter), -1)
        if self.rows is None:
            return flat
        rows = self.rows.to(flat.device)
        return flat.index_select(0, rows.reshape(-1)).reshape(len(rows), -1)

    def write(self, values: torch.Tensor) -> None:
        """Put (groups, width) back, in place."""
        with torch.no_grad():
            flat = self.parameter.reshape(len(self.parameter), -1)
            values = values.to(flat.dtype)
            if self.rows is None:
                flat.copy_(values)
            else:
                rows = self.rows.to(flat.device).reshape(-1)
                flat.index_copy_(0, rows, values.reshape(len(rows), -1))


@dataclass(frozen=True)
class Stack:
    """Groups of one make-up.

    Args:
        name: of the layers that they live in.
        units: the unit of the network that each belongs to, (groups,).
        parts: what they consist of.
    """

    name: str
    units: NDArray[np.intp]
    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return len(self.units)

    @cached_property
    def size(self) -> int:
        """Scalars of each group."""
        return sum(part.width for part in self.parts)

    def read(self) -> torch.Tensor:
        """The weights, (groups, size), differentiable."""
        return torch.cat([part.read() for part in self.parts], dim=1)

    def write(self, values: torch.Tensor) -> None:
        """Put weights (groups, size) back, in place."""
        for part, piece in zip(
            self.parts, torch.split(values, [part.width for part in self.parts], dim=1), strict=True
        ):
            part.write(piece)


@dataclass(frozen=True)
class WeightGroups:
    """All groups of weights of a module, each parameter entry in one group at most.

    Args:
        units: the removable units of its network.
        stacks: the groups.
    """

    units: Groups
    stacks: tuple[Stack, ...]

    @staticmethod
    def of(
        module: nn.Module,
        example_input: torch.Tensor,
        *,
        coupled: bool = True,
        linear: bool = True,
        scope: Scope | None = None,
    ) -> WeightGroups:
        """Find the groups of a module.

        Args:
            module: what `oamip.read` reads.
            example_input: a batch that it takes.
            coupled: one group for all filters of a unit, not one for each layer.
            linear: whether neurons of linear layers are groups too.
            scope: patterns of the layers whose units are.

        Raises:
            UnsupportedOperator: the module cannot be read.
            InputError: no unit is in scope.
        """
        units = find_groups(read(module, example_input))
        inside = (scope or Scope()).select(units)
        kinds = {node.layer.path: node.layer.kind for node in units.network.nodes(Affine) if node.layer}
        names = [group.name for group in inside.groups if linear or kinds[group.layers[0]] != "linear"]
        if not names:
            raise InputError("every unit in scope is a neuron of a linear layer; let linear layers be grouped too")
        inside = inside.only(names)
        return WeightGroups(inside, tuple(_stacks(module, inside, coupled=coupled)))

    def __len__(self) -> int:
        return sum(map(len, self.stacks))

    @cached_property
    def scalars(self) -> int:
        """Σ|E_i|: how many parameter entries are in a group."""
        return sum(len(stack) * stack.size for stack in self.stacks)

    def zero(self) -> list[NDArray[np.bool_]]:
        """Per stack, which of its groups are exactly zero."""
        return [(stack.read().detach() == 0).all(dim=1).cpu().numpy() for stack in self.stacks]

    def silent(self) -> NDArray[np.bool_]:
        """Which units (of ``units``) have groups, all of which are zero."""
        seen, alive = np.zeros((2, self.units.size), dtype=np.bool_)
        for stack, zero in zip(self.stacks, self.zero(), strict=True):
            seen[stack.units] = True
            alive[stack.units[~zero]] = True
        return seen & ~alive

    def held(self) -> Sequence[tuple[Stack, torch.Tensor]]:
        """Stacks with the groups that are zero now: (stack, (groups, 1) mask of those that are not)."""
        masks = [torch.from_numpy(~zero)[:, None] for zero in self.zero()]
        return [(stack, mask) for stack, mask in zip(self.stacks, masks, strict=True) if not mask.all()]


def _stacks(module: nn.Module, units: Groups, *, coupled: bool) -> Iterator[Stack]:
    """Units, or the parts of units in one block, gathered by make-up."""
    blocks = _blocks(units.network)
    members: dict[tuple[int, str], dict[str, list[int]]] = defaultdict(dict)
    for layer in cost_of(units).layers:
        if layer.counted and layer.path in blocks:
            for row in np.flatnonzero(layer.rows >= 0).tolist():
                key = int(layer.rows[row]), "" if coupled else blocks[layer.path]
                members[key].setdefault(layer.path, []).append(row)
    make_ups: dict[tuple[str, tuple[tuple[str, int], ...]], list[tuple[int, dict[str, list[int]]]]] = defaultdict(list)
    for (unit, block), rows in members.items():
        make_ups[block, tuple((path, len(rows[path])) for path in rows)].append((unit, rows))
    home: dict[int, str] = {}  # a parameter that two layers share is grouped with the first
    for (_, make_up), groups in make_ups.items():
        parts = []
        for path, _ in make_up:
            index = np.array([rows[path] for _, rows in groups])
            parts += [
                Part(blocks[path], path, parameter, _rows(index, parameter))
                for parameter in module.get_submodule(path).parameters(recurse=False)
                if home.setdefault(id(parameter), path) == path
            ]
        if parts:
            name = " + ".join(dict.fromkeys(part.block for part in parts))
            yield Stack(name, np.array([unit for unit, _ in groups]), tuple(parts))


def _rows(index: NDArray[np.intp], parameter: nn.Parameter) -> torch.Tensor | None:
    plain = index.shape == (len(parameter), 1) and (index[:, 0] == np.arange(len(parameter))).all()
    return None if plain else torch.from_numpy(index)


def _blocks(network: Network) -> Mapping[str, str]:
    """Path of each layer with weights or a normalisation to the layer whose channels it scales (or itself)."""
    owner: dict[str, str | None] = {}
    blocks: dict[str, str] = {}
    for name in network.order:
        before = list(network.graph.predecessors(name))
        node = network[name]
        owner[name] = owner[before[0]] if len(before) == 1 else None
        if isinstance(node, Affine) and node.layer is not None and node.layer.kind != "slope":
            if node.layer.kind != "norm" or owner[name] is None:
                owner[name] = node.layer.path
            blocks[node.layer.path] = str(owner[name])
    return blocks
