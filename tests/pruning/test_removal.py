"""The small module is the masked network, whatever the architecture; what cannot be so is refused."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch_pruning
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

from oamip.decision import Decision
from oamip.errors import InputError, MismatchError, OamipError
from oamip.network import Groups, cost_of, find_groups
from oamip.pruning.removal import remove
from oamip.readers import read

# ── a zoo ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Functional(nn.Module):
    """Layers as attributes, everything else as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(1, 5, 3, padding=1), nn.BatchNorm2d(5)
        self.conv2, self.fc1, self.fc2 = nn.Conv2d(5, 4, 3), nn.Linear(16, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(functional.relu(self.norm(self.conv1(x)), inplace=True), 2)
        x = functional.relu(self.conv2(x))
        return self.fc2(functional.relu(self.fc1(x.view(x.size(0), -1))))


class Residual(nn.Module):
    """Two blocks, the first with a 1×1 shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.b = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(6, 5, 3, padding=1)
        self.short, self.c = nn.Conv2d(4, 5, 1, bias=False), nn.Conv2d(5, 5, 3, padding=1)
        self.norm, self.head = nn.BatchNorm2d(5), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.stem(x))
        x = functional.relu(self.b(functional.relu(self.a(x))) + self.short(x))
        x = functional.relu(self.norm(self.c(x)) + x)
        return self.head(functional.adaptive_avg_pool2d(x, 1).flatten(1))


class Branches(nn.Module):
    """Two branches joined along the channels, then whatever ``tail`` says."""

    def __init__(self, tail: Callable[[int], nn.Module], image_too: bool = False) -> None:
        super().__init__()
        self.a, self.b, self.image_too = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(1, 5, 1), image_too
        self.tail = tail(9 if image_too else 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [functional.relu(self.a(x)), functional.relu(self.b(x))]
        return self.tail(torch.cat([x, *parts] if self.image_too else parts, dim=1))


class FlattenedBranches(nn.Module):
    """Two branches flattened, then joined."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.fc = nn.Conv2d(1, 3, 3), nn.Conv2d(1, 4, 3, stride=2), nn.Linear(3 * 36 + 4 * 9, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.cat([self.a(x).relu().flatten(1), self.b(x).relu().flatten(1)], dim=1))


class Dense(nn.Module):
    """Every layer reads all before it, and a sum ties the joined channels to a third convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
        self.c, self.side, self.fc = nn.Conv2d(7, 2, 3), nn.Conv2d(1, 7, 1), nn.Linear(2 * 36, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = functional.relu(self.a(x))
        joined = torch.cat([first, functional.relu(self.b(first))], dim=1) + self.side(x)
        return self.fc(functional.relu(self.c(joined)).flatten(1))


class Leaky(nn.Module):
    """A leaky ReLU of the operators that are read."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(x) - 0.2 * functional.relu(-x)


class TwoInputs(nn.Module):
    """Two images in, one vector out."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.fc = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.fc(functional.relu(self.left(x) + self.right(y)).mean((2, 3)))


def _flat_head(channels: int) -> nn.Module:
    return nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(channels * 16, 3))


def _conv_head(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.BatchNorm2d(channels), nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
    )


def _block(before: int, after: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU())


def _conv_net(*middle: nn.Module, channels: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), *middle, nn.ReLU(), nn.Flatten(), nn.Linear(channels * 36, 3))


ZOO: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 7), nn.ReLU(), nn.Linear(7, 5), nn.ReLU(),
                                 nn.Linear(5, 3)),
    "mlp_norm": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 7), nn.ReLU(), nn.BatchNorm1d(7), nn.Linear(7, 3)),
    "nested": lambda: nn.Sequential(_block(1, 4), nn.Sequential(_block(4, 3), nn.MaxPool2d(2)), _flat_head(3)[1:-1],
                                    nn.Linear(48, 3)),
    "functional": Functional,
    "residual": Residual,
    "cat_conv": lambda: Branches(_conv_head),
    "cat_linear": lambda: Branches(lambda n: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n, 3))),
    "cat_flatten": lambda: Branches(lambda n: nn.Sequential(nn.Flatten(), nn.Linear(64 * n, 3))),
    "cat_pool_flatten": lambda: Branches(_flat_head),
    "cat_image": lambda: Branches(_flat_head, image_too=True),
    "flatten_cat": FlattenedBranches,
    "dense": Dense,
    "depthwise": lambda: _conv_net(nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.BatchNorm2d(6), channels=6),
    "grouped": lambda: _conv_net(nn.Conv2d(6, 8, 3, padding=1, groups=2), nn.BatchNorm2d(8), channels=8),
    "multiplied": lambda: _conv_net(nn.Conv2d(6, 12, 3, padding=1, groups=6), channels=12),
    "conv1d": lambda: nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 5, 4), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(5, 4, 3),
                                    nn.ReLU(), nn.Flatten(), nn.Linear(4 * 28, 3)),
    "leaky": lambda: nn.Sequential(nn.Conv2d(1, 4, 3), Leaky(), nn.Flatten(), nn.Dropout(0.4), nn.Linear(144, 3)),
}  # fmt: skip


def _made(name: str, seed: int = 0) -> nn.Module:
    """A member of the zoo with weights, biases and statistics that are nowhere trivial."""
    torch.manual_seed(seed)
    module = ZOO[name]()
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(part.weight), nn.init.normal_(part.bias), nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
    return module


def _example(seed: int = 1, n: int = 2) -> torch.Tensor:
    return torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def _groups(module: nn.Module) -> Groups:
    return find_groups(read(module, _example()))


def _random(groups: Groups, seed: int) -> Decision:
    """Any number of units of any groups, but never a whole group."""
    generator = np.random.default_rng(seed)
    keep = generator.random(groups.size) < generator.random()
    for group in groups.groups:
        keep[group.start + generator.integers(group.size)] = True
    return Decision.of(groups, keep)


def _state(module: nn.Module) -> dict[str, torch.Tensor]:
    return copy.deepcopy(module.state_dict())


def _equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def _agree(module: nn.Module, groups: Groups, decision: Decision) -> None:
    x = _example(seed=5, n=7)
    with torch.no_grad():
        small = copy.deepcopy(module).eval().double()(x.double()).numpy()
    masked = groups.network(x.numpy(), groups.mask(decision.flat(groups)))
    np.testing.assert_allclose(small, masked, rtol=0, atol=1e-9 * max(1.0, np.abs(masked).max()))


# ── removal is masking ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ZOO)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_small_module_is_the_masked_network(name: str, seed: int) -> None:
    module = _made(name)
    groups = _groups(module)
    decision, before = _random(groups, seed), _state(module)
    small = remove(module, _example(), groups, decision, samples=_example(2, 3))
    _agree(small, groups, decision)
    assert sum(p.numel() for p in small.parameters()) == cost_of(groups).count(decision.flat(groups))[0]
    assert type(small) is type(module)
    assert _equal(_state(module), before)


@pytest.mark.parametrize("name", ZOO)
def test_everything_but_one_unit_of_each_group_can_go(name: str) -> None:
    module = _made(name)
    groups = _groups(module)
    decision = Decision({group.name: np.arange(group.size) == group.size - 1 for group in groups.groups})
    small = remove(module, _example(), groups, decision)
    _agree(small, groups, decision)


@pytest.mark.parametrize("name", ["mlp_norm", "residual", "grouped", "depthwise"])
def test_attributes_of_layers_follow_their_tensors(name: str) -> None:
    module = _made(name)
    groups = _groups(module)
    for part in remove(module, _example(), groups, _random(groups, 3)).modules():
        if isinstance(part, nn.Linear):
            assert part.weight.shape == (part.out_features, part.in_features)
        elif isinstance(part, nn.Conv2d):
            assert part.weight.shape[:2] == (part.out_channels, part.in_channels // part.groups)
        elif isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            assert part.weight.shape == part.bias.shape == part.running_mean.shape == (part.num_features,)


def test_several_inputs() -> None:
    torch.manual_seed(0)
    module, example = TwoInputs(), (_example(1), _example(2))
    groups = find_groups(read(module, example))
    small = remove(module, example, groups, Decision({groups.groups[0].name: np.array([True, False, True, False])}))
    assert isinstance(small, TwoInputs)
    assert small.left.out_channels == small.right.out_channels == small.fc.in_features == 2


def test_small_module_can_be_read_and_cut_again() -> None:
    module = _made("residual")
    for seed in (1, 2, 3):
        groups = _groups(module)
        module = remove(module, _example(), groups, _random(groups, seed))
    assert module(_example()).shape == (2, 3)


def test_half_of_the_network_can_be_excluded() -> None:
    module = _made("functional")
    groups = _groups(module).only({"conv2"})
    small = remove(module, _example(), groups, Decision({"conv2": np.array([True, False, False, True])}))
    assert isinstance(small, Functional)
    assert (small.conv1.out_channels, small.conv2.out_channels, small.fc1.out_features) == (5, 2, 6)


# ── the copy is the user's module ────────────────────────────────────────────────────────────────────────────────────


def test_modes_and_frozen_parameters_survive() -> None:
    module = _made("functional").train()
    module.norm.eval()
    module.conv1.requires_grad_(False)
    groups = _groups(module)
    small = remove(module, _example(n=1), groups, _random(groups, 1))
    for one in (module, small):
        assert {name: part.training for name, part in one.named_modules()} == {
            name: name != "norm" for name, _ in module.named_modules()
        }
        assert {name for name, p in one.named_parameters() if not p.requires_grad} == {"conv1.weight", "conv1.bias"}


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_gradient_mode_of_the_caller_does_not_matter(context: Callable[[], torch.no_grad]) -> None:
    module = _made("cat_flatten").requires_grad_(False)
    groups = _groups(module)
    decision = _random(groups, 2)
    with context():
        small = remove(module, _example(), groups, decision)
    _agree(small, groups, decision)
    small.requires_grad_(True)(_example()).sum().backward()  # no inference tensors in it


def test_hooks_move_to_the_copy_and_do_not_run() -> None:
    module, calls = _made("mlp"), []
    handle = module[1].register_forward_hook(lambda *_: calls.append("hook"))
    module.register_forward_pre_hook(lambda *_: calls.append("before"))
    groups = _groups(module)
    calls.clear()
    small = remove(module, _example(), groups, _random(groups, 1))
    assert calls == []
    handle.remove()
    small(_example())
    assert calls == ["before", "hook"]
    calls.clear()
    module(_example())
    assert calls == ["before"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_precision_survives(dtype: torch.dtype) -> None:
    module = _made("functional").to(dtype)
    groups = _groups(module)
    small = remove(module, _example(), groups, _random(groups, 1))
    assert {p.dtype for p in small.parameters()} == {dtype}


def test_nothing_removed_is_an_equal_copy_and_said_so(caplog: pytest.LogCaptureFixture) -> None:
    module = _made("mlp")
    groups = _groups(module)
    with caplog.at_level(logging.INFO, "oamip"):
        small = remove(module, _example(), groups, Decision({}))
    assert "removes no unit" in caplog.text
    assert small is not module
    assert _equal(_state(small), _state(module))


# ── traps ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_decision_that_empties_a_group_is_refused() -> None:
    groups = _groups(_made("mlp"))
    with pytest.raises(InputError, match="every unit"):
        remove(_made("mlp"), _example(), groups, Decision({groups.groups[0].name: np.zeros(7, dtype=np.bool_)}))


def test_network_of_another_module_is_noticed() -> None:
    module = _made("mlp")
    groups = _groups(_made("mlp", seed=1))
    with pytest.raises(MismatchError, match="read the network again"):
        remove(module, _example(), groups, _random(groups, 1))


@pytest.mark.parametrize(
    "spoil",
    [lambda fc: prune.l1_unstructured(fc, "weight", amount=0.3), parametrizations.weight_norm],
    ids=["pruning mask", "weight norm"],
)
def test_a_module_whose_weights_became_computed_after_reading_is_refused(
    spoil: Callable[[nn.Module], nn.Module],
) -> None:
    module = _made("mlp")
    groups = _groups(module)
    spoil(module[3])
    with pytest.raises(OamipError):
        remove(module, _example(), groups, _random(groups, 1))


def test_tied_weights_stay_whole_and_the_rest_can_go() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 5))
    module.append(nn.Linear(5, 4)).append(nn.ReLU()).append(nn.Linear(4, 3))
    module[5].weight = module[3].weight
    groups = _groups(module)
    assert "5" not in {layer for group in groups.groups for layer in group.layers}
    decision = _random(groups, 4)
    assert decision.removed
    _agree(remove(module, _example(), groups, decision), groups, decision)


# ── sabotage: a wrong removal is never returned ──────────────────────────────────────────────────────────────────────


def _sabotage(monkeypatch: pytest.MonkeyPatch, kind: type, change: Callable[[nn.Module], None]) -> None:
    """After Torch-Pruning's pruner of this kind cuts rows, change something."""
    original = kind.prune_out_channels

    def broken(self: object, layer: nn.Module, idxs: list[int]) -> nn.Module:
        original(self, layer, idxs)
        change(layer)
        return layer

    monkeypatch.setattr(kind, "prune_out_channels", broken)


@torch.no_grad()
def _nudge(layer: nn.Module) -> None:
    layer.bias[0] += 1e-3


def test_a_wrong_number_in_the_small_module_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    module = _made("mlp")
    groups = _groups(module)
    _sabotage(monkeypatch, torch_pruning.pruner.function.LinearPruner, _nudge)
    with pytest.raises(MismatchError, match=r"differs from the masked network by .*so the removal is wrong"):
        remove(module, _example(), groups, _random(groups, 1))


def test_surplus_parameters_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    module = _made("mlp")
    groups = _groups(module)
    change = lambda layer: layer.register_parameter("surplus", nn.Parameter(torch.zeros(2)))  # noqa: E731
    _sabotage(monkeypatch, torch_pruning.pruner.function.LinearPruner, change)
    with pytest.raises(MismatchError, match="parameters; the cost model promised"):
        remove(module, _example(), groups, _random(groups, 1))
