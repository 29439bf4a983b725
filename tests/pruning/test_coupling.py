"""Our units and Torch-Pruning's agree on every index, or nothing is cut."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn import functional

from oamip.decision import Decision
from oamip.errors import MismatchError
from oamip.network import Groups, find_groups
from oamip.pruning.coupling import planned_cuts
from oamip.pruning.removal import remove
from oamip.readers import read


class Net(nn.Module):
    """Layers by name, and a forward method given as a function of the module and its input."""

    def __init__(self, code: Callable[[Net, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.code = code
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.code(self, x)


def _conv(before: int, after: int, kernel: int = 3, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel, padding=kernel // 2, groups=groups)


def _twins(net: Net, x: Tensor) -> Tensor:
    y = net.a(x)
    return net.head(torch.cat([y.relu(), (-y).relu()], 1).flatten(1))


def _nested(net: Net, x: Tensor) -> Tensor:
    return net.head(torch.cat([torch.cat([net.a(x), net.b(x)], 1).relu(), net.c(x)], -3).flatten(1))


def _crossed(net: Net, x: Tensor) -> Tensor:
    return net.head((torch.cat([net.a(x), net.b(x)], 1) + torch.cat([net.c(x), net.d(x)], 1)).relu().flatten(1))


def _inverted(net: Net, x: Tensor) -> Tensor:
    y = net.a(x).relu()
    return net.head((net.project(net.depth(net.expand(y).relu()).relu()) + y).relu().flatten(1))


def _grouped(net: Net, x: Tensor) -> Tensor:
    y = net.a(x).relu()
    return net.head((net.g(y) + y).relu().flatten(1))


def _moved(net: Net, x: Tensor) -> Tensor:
    return net.head(net.l(net.a(x).relu().permute(0, 2, 3, 1)).permute(0, 3, 1, 2).mean((2, 3)))


NETS: dict[str, Callable[[], Net]] = {
    "crelu": lambda: Net(_twins, a=_conv(1, 3), head=nn.Linear(6 * 64, 3)),
    "nested_cat": lambda: Net(_nested, a=_conv(1, 3), b=_conv(1, 5), c=_conv(1, 2), head=nn.Linear(640, 3)),
    "crossed_cats": lambda: Net(_crossed, a=_conv(1, 3), b=_conv(1, 5), c=_conv(1, 5), d=_conv(1, 3),
                                head=nn.Linear(512, 3)),
    "inverted_residual": lambda: Net(_inverted, a=_conv(1, 4), expand=_conv(4, 8, 1), depth=_conv(8, 8, groups=8),
                                     project=_conv(8, 4, 1), head=nn.Linear(256, 3)),
    "grouped_residual": lambda: Net(_grouped, a=_conv(1, 6), g=_conv(6, 6, groups=2), head=nn.Linear(384, 3)),
    "channels_last": lambda: Net(_moved, a=_conv(1, 5), l=nn.Linear(5, 4), head=nn.Linear(4, 3)),
    "mean_twice": lambda: Net(lambda n, x: n.head(n.a(x).relu().mean(3).mean(2)), a=_conv(1, 4), head=nn.Linear(4, 3)),
    "two_by_two": lambda: Net(lambda n, x: n.head(functional.adaptive_avg_pool2d(n.a(x), 2).flatten(1)),
                              a=_conv(1, 4), head=nn.Linear(16, 3)),
    "flat_then_conv1d": lambda: Net(lambda n, x: n.head(n.b(n.a(x).relu().flatten(2)).relu().flatten(1)),
                                    a=_conv(1, 5), b=nn.Conv1d(5, 4, 3), head=nn.Linear(4 * 62, 3)),
}  # fmt: skip


def _example() -> Tensor:
    return torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def _read(net: nn.Module) -> Groups:
    return find_groups(read(net, _example()))


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("seed", range(4))
def test_both_couple_alike(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    net, generator = NETS[name](), np.random.default_rng(seed)
    groups = _read(net)
    keep = generator.random(groups.size) < 0.6
    for group in groups.groups:
        keep[group.start + generator.integers(group.size)] = True
    remove(net, _example(), groups, Decision.of(groups, keep))


def test_planned_cuts_name_both_sides_of_every_layer() -> None:
    groups = _read(NETS["nested_cat"]())
    keep = np.ones(groups.size, dtype=np.bool_)
    keep[groups["b"].start + 4] = False
    assert planned_cuts(groups, keep) == {
        ("b", "rows"): frozenset({4}),
        ("head", "columns"): frozenset(range(7 * 64, 8 * 64)),
    }
    keep[:] = True
    assert planned_cuts(groups, keep) == {}


def _twice(net: Net, x: Tensor) -> Tensor:
    x = net.twice(net.twice(net.first(x.flatten(1)).relu()).relu()).relu()
    return net.head(net.last(x).relu())


def test_a_module_called_twice_stays_whole_and_the_rest_can_go() -> None:
    net = Net(_twice, first=nn.Linear(64, 6), twice=nn.Linear(6, 6), last=nn.Linear(6, 5), head=nn.Linear(5, 3))
    groups = _read(net)
    assert [group.name for group in groups.groups] == ["last"]
    small = remove(net, _example(), groups, Decision({"last": np.array([True, False, False, True, True])}))
    assert small.head.in_features == 3


# ── refused ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_features_behind_positions_are_refused_with_both_sides() -> None:
    """A linear layer at eight positions, flattened: Torch-Pruning takes the features for the slow axis."""
    net = Net(lambda n, x: n.head(n.fc(x.flatten(1, 2)).relu().flatten(1)), fc=nn.Linear(8, 5), head=nn.Linear(40, 3))
    decision = Decision({"fc": np.array([True, False, True, True, True])})
    with pytest.raises(MismatchError, match=r"columns of layer 'head'.*ours lose 1, 6, 11.*Torch-Pruning's lose"):
        remove(net, _example(), _read(net), decision)


def test_a_grouped_convolution_taken_for_depthwise_is_refused() -> None:
    net = Net(
        lambda n, x: n.head(n.g(n.a(x)).flatten(1)), a=_conv(1, 6), g=_conv(6, 3, groups=3), head=nn.Linear(192, 3)
    )
    with pytest.raises(MismatchError, match="layer 'g'"):
        remove(net, _example(), _read(net), Decision({"a": np.array([True, False])}))


# ── sabotage ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_wrong_row_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    net = NETS["inverted_residual"]()
    original = torch_pruning.DependencyGraph.get_pruning_group

    def shifted(self: object, module: nn.Module, function: object, indices: list[int]) -> object:
        return original(self, module, function, [(index + 1) % 4 for index in indices])

    monkeypatch.setattr(torch_pruning.DependencyGraph, "get_pruning_group", shifted)
    with pytest.raises(MismatchError, match="our units and Torch-Pruning's differ"):
        remove(net, _example(), _read(net), Decision({"a": np.array([True, True, False, True])}))


@pytest.mark.parametrize("step", ["build_dependency", "get_pruning_group"])
def test_a_failure_inside_torch_pruning_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    net = NETS["crelu"]()

    def broken(*_: object, **__: object) -> None:
        raise KeyError("inside")

    monkeypatch.setattr(torch_pruning.DependencyGraph, step, broken)
    with pytest.raises(MismatchError, match=r"cannot follow or cut the module \(KeyError: 'inside'\); exclude a"):
        remove(net, _example(), _read(net), Decision({"a": np.array([True, True, False])}))
