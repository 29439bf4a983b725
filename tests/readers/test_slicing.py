"""Parts, paddings and other moves of entries are those of torch, and units pass where no numbers are picked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from oamip.decision import Decision
from oamip.errors import UnsupportedOperator
from oamip.network import find_groups
from oamip.pruning.removal import remove
from oamip.readers import read


class Calls(nn.Module):
    """A forward function with submodules."""

    def __init__(self, forward: Any, **parts: nn.Module) -> None:
        super().__init__()
        self._forward = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        return self._forward(self, x)


def moves(function: Any, shape: tuple[int, ...] = (4, 5, 6)) -> None:
    """The network of a function gives exactly its entries, for any batch."""
    module = function if isinstance(function, nn.Module) else Calls(lambda _, x: function(x))
    network = read(module, torch.randn(2, *shape))
    for n in (1, 3):
        x = torch.randn(n, *shape, dtype=torch.float64)
        np.testing.assert_array_equal(network(x.numpy()), function(x).numpy())


# ── what is read ─────────────────────────────────────────────────────────────────────────────────────────────────────

SLICE = st.builds(slice, st.none() | st.integers(-6, 5), st.none() | st.integers(-6, 6), st.none() | st.integers(1, 3))
PART = st.one_of(
    SLICE,
    st.integers(-4, 3),
    st.none(),
    st.lists(st.integers(-4, 3), min_size=1, max_size=3),
    st.lists(st.integers(-4, 3), min_size=1, max_size=3).map(torch.tensor),
)


@given(parts=st.lists(PART, max_size=4), ellipsis=st.sampled_from(["no", "first", "last"]))
def test_any_index(parts, ellipsis):
    index = (slice(None), *parts) if ellipsis == "no" else (slice(None), *parts, ...)
    index = (..., *parts) if ellipsis == "first" else index
    x = torch.randn(2, 4, 5, 6)
    try:
        result = x[index]
    except IndexError:
        assume(False)
    assume(result.numel() > 0)
    # two gathers that stand apart put their axis before the batch
    if result.ndim and len(result) == 2 and torch.equal(result[:1], x[:1][index]):
        moves(lambda x: x[index])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
        lambda x: torch.chunk(x, 3, dim=-1)[1],
        lambda x: x.split((1, 3), dim=1)[1],
        lambda x: torch.split(x, 4, 2)[1],
        lambda x: torch.tensor_split(x, 3, dim=3)[2],
        lambda x: sum(x.unbind(2)),  # a loop that torch.fx cannot trace
        lambda x: x.unbind(3)[1],
        lambda x: x.narrow(1, 1, 2),
        lambda x: torch.narrow(x, -1, 0, 3),
        lambda x: x.select(2, -1),
        lambda x: x.index_select(1, torch.tensor([2, 0, 0])),
        lambda x: x[:, torch.tensor([True, False, True, True])],
        lambda x: x.flip(1, -1),
        lambda x: x.roll(2, 1),
        lambda x: x.repeat(1, 2, 1, 3),
        lambda x: torch.repeat_interleave(x, 2, dim=1),
        lambda x: x.movedim(1, -1),
        lambda x: torch.stack([x, -x], dim=1),
        lambda x: torch.stack((x, x + 1.0), -1),
        lambda x: x[:, :1].expand(-1, 3, -1, -1),
        lambda x: x[:, :, :1].expand_as(x),
        lambda x: functional.pixel_shuffle(x, 2),
        lambda x: functional.channel_shuffle(x, 2),
        lambda x: functional.unfold(x, (2, 3), padding=1),
        lambda x: functional.interpolate(x, scale_factor=2),
        lambda x: functional.interpolate(x, size=(3, 4), mode="nearest-exact"),
        lambda x: x[: x.size(0)][:, : x.shape[1] // 2],
        lambda x: x.sum((2, 3)),
        lambda x: x.amax(-1) - x.amin((2, 3), keepdim=True).squeeze(3),
        lambda x: x.unflatten(1, (2, -1)).swapdims(2, 3),
        lambda x: torch.rsub(x, 1.5, alpha=2) + (1 - x),
        lambda x: torch.cat([x.new_zeros(x.size(0), 2, 5, 6), x, torch.zeros_like(x)], 1),
        lambda x: torch.cat([x, x.new_zeros((x.shape[0], 4, 5, 1))], -1),
        lambda x: torch.cat([x.new_zeros(x.size(0), 1, 5, 6) + 3.0, x], 1),
        lambda x: x @ torch.arange(12.0, dtype=torch.float64).reshape(6, 2),
    ],
)
def test_moves_of_any_kind(function):
    module = Calls(lambda _, x: function(x))
    network = read(module, torch.randn(2, 4, 5, 6))
    x = torch.randn(3, 4, 5, 6, dtype=torch.float64)
    np.testing.assert_allclose(network(x.numpy()), function(x).numpy(), rtol=1e-13, atol=1e-13)


@given(
    sides=st.lists(st.integers(-1, 3), min_size=1, max_size=3).map(lambda s: [*s, *s]),
    value=st.sampled_from([None, 0.0, 0.5]),
)
def test_constant_padding(sides, value):
    assume(not value or min(sides[:4]) >= 0)
    moves(lambda x: functional.pad(x, sides, value=value))


@pytest.mark.parametrize(
    "layer",
    [
        nn.ZeroPad2d((1, 0, 2, 1)),
        nn.ConstantPad2d(1, -0.5),
        nn.ReflectionPad2d((1, 2, 3, 0)),
        nn.ReplicationPad2d(2),
        nn.CircularPad2d((0, 1, 2, 0)),
        nn.Upsample(size=(7, 9)),
        nn.Unflatten(1, (2, 2)),
        nn.PixelShuffle(2),
        nn.PixelUnshuffle(1),
    ],
)
def test_modules_that_move(layer):
    moves(layer)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes_of_convolutions(mode):
    module = nn.Sequential(nn.Conv2d(2, 3, (3, 2), padding="same", padding_mode=mode), nn.ReLU()).double()
    x = torch.randn(2, 2, 5, 6, dtype=torch.float64)
    np.testing.assert_allclose(read(module, x)(x.numpy()), module(x).detach().numpy(), rtol=1e-12, atol=1e-12)


# ── units ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def images(step: Any) -> dict[str, int]:
    """Removable units of a convolution with a step behind it."""
    wide = step(torch.zeros(1, 6, 8, 8)).shape[1]
    module = Calls(
        lambda m, x: m.head(m.mix(step(m.conv(x))).relu().mean((2, 3))),
        conv=nn.Conv2d(1, 6, 1),
        mix=nn.Conv2d(wide, 3, 1),
        head=nn.Linear(3, 2),
    )
    return sizes_after_removal(module, torch.randn(2, 1, 8, 8))


def tokens(step: Any) -> dict[str, int]:
    """Removable units of a linear layer over positions, with a step behind it."""
    wide = step(torch.zeros(1, 4, 6)).shape[-1]
    module = Calls(
        lambda m, x: m.head(m.mix(step(m.embed(x))).relu()),
        embed=nn.Linear(3, 6),
        mix=nn.Linear(wide, 5),
        head=nn.Linear(5, 2),
    )
    return sizes_after_removal(module, torch.randn(2, 4, 3))


def sizes_after_removal(module: nn.Module, x: Tensor) -> dict[str, int]:
    """Sizes of the groups, after the last half of every group was removed, and the removal proven."""
    groups = find_groups(read(module, x))
    keep = {group.name: np.arange(group.size) < (group.size + 1) // 2 for group in groups.groups}
    remove(module, x, groups, Decision(keep))
    return {group.name: group.size for group in groups.groups}


@pytest.mark.parametrize(
    ("step", "free"),
    [
        (lambda x: x[:, :, ::2, 1:], True),
        (lambda x: x[..., 0:3].flip(2), True),
        (lambda x: functional.pad(x, (1, 1, 0, 2), value=0.3), True),
        (lambda x: functional.pad(x, (1, 1, 2, 0), mode="reflect"), True),
        (lambda x: functional.pad(x, (0, 0, 0, 1, 1, 2)), True),
        (lambda x: functional.pad(x, (0, 0, 0, 0, 2, 0), value=0.3), True),
        (lambda x: x.split(3, 2)[1], True),
        (lambda x: x[:, :4], False),
        (lambda x: x[:, ::2], False),
        (lambda x: x[:, [0, 1, 2, 3, 4, 5, 5]], False),
        (lambda x: torch.cat(x.chunk(2, 1), 1), False),
        (lambda x: functional.pad(x, (0, 0, 0, 0, 1, -1)), False),
        (lambda x: functional.pixel_shuffle(x[:, :4], 2), False),
    ],
)
def test_channels_pass_where_positions_are_picked(step, free):
    assert images(step) == ({"conv": 6, "mix": 3} if free else {"mix": 3})


@pytest.mark.parametrize(
    ("step", "free"),
    [
        (lambda x: x[:, 0], True),
        (lambda x: x[:, 1:].flip(1), True),
        (lambda x: x.amax(1), True),
        (lambda x: x[:, :, :4], False),
        (lambda x: x[..., 2], False),
        (lambda x: functional.pad(x, (0, 0, 1, 0), value=1.0), False),
        (lambda x: functional.pad(x, (0, 2), value=1.0), False),
    ],
)
def test_features_pass_where_positions_are_picked(step, free):
    assert ("embed" in tokens_or_frozen(step)) == free


def tokens_or_frozen(step: Any) -> dict[str, int]:
    """As `tokens`, for a step that may leave no axis of features."""
    try:
        return tokens(step)
    except RuntimeError:
        return {}


def test_channels_go_through_a_padded_shortcut_and_the_padding_stays():
    def forward(m: Any, x: Tensor) -> Tensor:
        x = m.first(x).relu()
        out = m.second(m.inner(x).relu()) + functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2), "constant", 0)
        return m.head(out.relu().mean((2, 3)))

    parts = {"first": nn.Conv2d(1, 4, 3, padding=1), "inner": nn.Conv2d(4, 5, 3, 2, 1), "second": nn.Conv2d(5, 8, 1)}
    module = Calls(forward, **parts, head=nn.Linear(8, 2))
    groups = find_groups(read(module, torch.randn(2, 1, 6, 6)))
    assert [tuple(channel) for channel in groups["first"].units[0]] == [("first", 0), ("second", 2)]
    assert (groups["first"].size, groups["inner"].size, "second" in groups.frozen) == (4, 5, True)
    small = remove(module, torch.randn(2, 1, 6, 6), groups, Decision({"first": np.array([False, True, False, True])}))
    assert (small.first.out_channels, small.second.out_channels, small.head.in_features) == (2, 6, 6)


@pytest.mark.parametrize("average", [lambda x: x.mean((1, 2)), lambda x: x.mean(1).mean(1)])
def test_features_behind_the_positions_go_through_a_mean_over_them(average):
    """Channels last, as in mixers and token networks."""

    def forward(m: Any, x: Tensor) -> Tensor:
        x = m.embed(m.first(x).permute(0, 2, 3, 1)).relu()
        return m.head(average(x))

    torch.manual_seed(0)
    module = Calls(forward, first=nn.Conv2d(1, 4, 3), embed=nn.Linear(4, 6), head=nn.Linear(6, 2))
    x = torch.randn(2, 1, 5, 5)
    groups = find_groups(read(module, x))
    assert {group.name: group.size for group in groups.groups} == {"first": 4, "embed": 6}
    keep = {"first": np.arange(4) != 1, "embed": np.arange(6) % 2 == 0}
    small = remove(module, x, groups, Decision(keep))
    assert (small.embed.in_features, small.embed.out_features, small.head.in_features) == (3, 3, 3)


@pytest.mark.parametrize("before", [0, 1])
def test_channels_go_through_a_shortcut_joined_with_zeros_and_the_zeros_stay(before):
    """Option A as a concatenation: the joined zeros are counted in the source, so the channels over them stay."""

    def forward(module, x):
        x = module.first(x).relu()
        zeros = [x.new_zeros(x.size(0), 2 - before, 4, 4)] * (1 + before)
        out = module.second(module.inner(x).relu()) + torch.cat([*zeros[:before], x, zeros[0]], 1)
        return module.head(out.relu().mean((2, 3)))

    torch.manual_seed(0)
    layers = {"first": nn.Conv2d(1, 4, 3), "inner": nn.Conv2d(4, 5, 1), "second": nn.Conv2d(5, 6, 1)}
    module = Calls(forward, **layers, head=nn.Linear(6, 3))
    x = torch.randn(2, 1, 6, 6)
    groups = find_groups(read(module, x))
    assert [tuple(channel) for channel in groups["first"].units[1]] == [("first", 1), ("second", 1 + before)]
    assert (groups["first"].size, groups["inner"].size, "second" in groups.frozen) == (4, 5, True)
    small = remove(module, x, groups, Decision({"first": np.array([False, True, False, True])}))
    assert (small.first.out_channels, small.second.out_channels, small.head.in_features) == (2, 4, 4)


def test_zeros_joined_beside_the_positions_freeze_the_channels():
    """Their number of channels stands in the source, so a channel cannot go."""

    def forward(module, x):
        x = module.first(x).relu()
        return module.head(torch.cat([x, x.new_zeros(x.size(0), 4, 4, 1)], -1).flatten(1))

    module = Calls(forward, first=nn.Conv2d(1, 4, 3), head=nn.Linear(80, 3))
    groups = find_groups(read(module, torch.randn(2, 1, 6, 6)))
    assert groups.size == 0
    assert "joins a constant" in groups.frozen["first"]


@pytest.mark.parametrize(
    "zeros",
    [
        torch.zeros_like,
        lambda x: x.new_zeros(x.size()),
        lambda x: x.new_zeros(x.size(0), 8 - x.shape[1], 4, 4),
        lambda x: torch.zeros_like(x) + 0.5,
    ],
)
def test_zeros_as_wide_as_a_tensor_freeze_its_channels(zeros):
    """Torch-Pruning sees no tie between them; 0 * x is one that it sees."""

    def forward(module, x):
        x = module.first(x).relu()
        return module.head((module.second(x) + torch.cat([x, zeros(x)], 1)).relu().mean((2, 3)))

    torch.manual_seed(0)
    layers = {"first": nn.Conv2d(1, 4, 3), "second": nn.Conv2d(4, 8, 1), "head": nn.Linear(8, 3)}
    x = torch.randn(2, 1, 6, 6)
    groups = find_groups(read(Calls(forward, **layers), x))
    assert groups.size == 0
    assert "0 * x" in groups.frozen["first"]
    zeros = lambda x: 0 * x  # noqa: E731
    module = Calls(forward, **layers)
    groups = find_groups(read(module, x))
    small = remove(module, x, groups, Decision({"first": np.array([False, True, False, True])}))
    assert (small.first.out_channels, small.second.out_channels, small.head.in_features) == (2, 4, 4)


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("function", "operator", "remedy"),
    [
        (lambda x: x[0], "getitem", "single samples"),
        (lambda x: x[:1], "getitem", "single samples"),
        (lambda x: x[None], "getitem", "single samples"),
        (lambda x: x.unbind(0)[0], "unbind", "single samples"),
        (lambda x: x.flip(0), "flip", "single samples"),
        (lambda x: functional.pad(x, (0, 0, 0, 0, 0, 0, 1, 0)), "pad", "pads the batch"),
        (lambda x: functional.pad(x, (1, -1), value=1.0), "pad", "slice first"),
        (lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear"), "interpolate", "mode='nearest'"),
        (lambda x: torch.stack([x, x]), "stack", "before the batch"),
        (lambda x: torch.stack([x, torch.zeros(2, 4, 5, 6)], 1), "stack", "constant"),
        (lambda x: x.expand(2, 2, 4, 5, 6), "expand", "adds axes"),
        (lambda x: torch.max(x, 1)[0], "max", "amax or amin"),
        (lambda x: x.amax(), "amax", "samples of the batch"),
        (lambda x: x.max(dim=1).values, "max", "amax or amin"),
        (lambda x: torch.where(x > 0, x, 0.1 * x), "gt", "leaky_relu"),
        (lambda x: torch.ones(5, 5, dtype=torch.float64) @ x, "matmul", "x @ matrix"),
        (lambda x: torch.cat([x, torch.zeros(2, 3, 5, 6)], 1), "cat", "fixes the batch"),
    ],
)
def test_what_mixes_samples_is_refused(function, operator, remedy):
    with pytest.raises(UnsupportedOperator, match=remedy) as caught:
        read(Calls(lambda _, x: function(x)), torch.randn(2, 4, 5, 6))
    assert caught.value.operator == operator
