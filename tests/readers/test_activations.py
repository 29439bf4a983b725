"""Piecewise-linear activations, transposed convolutions and a softmax at the end, in all the forms that torch has."""

from __future__ import annotations

import copy
import logging
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from oamip.decision import Decision
from oamip.errors import UnsupportedOperator
from oamip.network import Affine, Network, TransposedConvolution, cost_of, find_groups
from oamip.pruning.removal import remove
from oamip.readers import read
from oamip.readers.saved import load, save


class Calls(nn.Module):
    """A forward function with submodules."""

    def __init__(self, forward: Any, **parts: nn.Module) -> None:
        super().__init__()
        self._forward = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        return self._forward(self, x)


def agree(module: nn.Module, shape: tuple[int, ...]) -> Network:
    """The network of a module has its outputs in double precision, near 0, at the kinks and far out."""
    network = read(module, torch.randn(2, *shape))
    x = torch.cat([torch.randn(8, *shape) * 10.0**k for k in (-2, 0, 2)]).double()
    x[0], x[1], x[2] = 0.0, 0.5, -3.0
    with torch.no_grad():
        expected = copy.deepcopy(module).double().eval()(x.clone()).numpy()
    np.testing.assert_allclose(network(x.numpy()), expected, rtol=1e-9, atol=1e-9)
    return network


# ── activations ──────────────────────────────────────────────────────────────────────────────────────────────────────

MODULES = [
    nn.LeakyReLU(),
    nn.LeakyReLU(0.3, inplace=True),
    nn.RReLU(),
    nn.PReLU(init=-0.2),
    nn.PReLU(4),
    nn.ReLU6(),
    nn.ReLU6(inplace=True),
    nn.Hardtanh(),
    nn.Hardtanh(0.2, 5.0, inplace=True),
    nn.Hardsigmoid(),
    nn.Softshrink(0.3),
    nn.Threshold(0.5, 0.5),
    nn.AdaptiveMaxPool2d((2, None)),
    nn.Softmax(dim=1),
]


@pytest.mark.parametrize("layer", MODULES[:-1], ids=str)
def test_modules(layer):
    if isinstance(layer, nn.PReLU) and layer.num_parameters > 1:
        nn.init.uniform_(layer.weight, -1, 2)
    module = nn.Sequential(nn.Conv2d(2, 4, 3), layer)
    agree(module, (2, 6, 5))


@pytest.mark.parametrize("layer", MODULES, ids=str)
def test_modules_are_saved(layer, tmp_path):
    module = nn.Sequential(nn.Conv2d(2, 4, 3), layer).eval()
    x = torch.randn(2, 2, 6, 5)
    save(module, x, tmp_path / "net.safetensors")
    expected = read(module, x)(x.numpy())
    np.testing.assert_array_equal(read(load(tmp_path / "net.safetensors"), x)(x.numpy()), expected)


def test_all_modules_come_through_torch_export():
    layers = nn.Sequential(nn.Conv2d(2, 4, 3), *MODULES[:-1], nn.ConvTranspose2d(4, 3, 2), nn.Flatten(2), MODULES[-1])
    x = torch.randn(2, 2, 6, 5)
    through = Calls(lambda m, x: m.net(x) if x.shape[1] == 2 else x, net=layers.eval())  # only torch.export decides it
    np.testing.assert_allclose(read(through, x)(x.numpy()), read(layers, x)(x.numpy()), rtol=1e-12, atol=1e-12)


BOUND = torch.tensor([[-0.5], [0.0], [0.3]], dtype=torch.float64)
HALF = torch.tensor(0.5, dtype=torch.float64)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: functional.leaky_relu(x, 0.2),
        lambda x: functional.leaky_relu(x, 0.2, True),
        lambda x: functional.prelu(x, torch.tensor([0.1, -0.5, 2.0], dtype=x.dtype)),
        lambda x: functional.relu6(x),
        lambda x: functional.hardtanh(x, -2.0, 0.5, inplace=True),
        lambda x: functional.hardsigmoid(x),
        lambda x: functional.threshold(x, -0.4, -0.4),
        lambda x: functional.softshrink(x, 0.2),
        lambda x: functional.rrelu(x, 0.2, 0.4),
        lambda x: torch.clamp(x, 0, 6),
        lambda x: torch.clamp(x, max=0.5),
        lambda x: x.clamp(min=0.25),
        lambda x: x.clip(-1, 1e9),
        lambda x: x.clamp(2.0, -2.0),
        lambda x: torch.clamp_min(x, -0.1).clamp_max(0.4),
        lambda x: x.clamp(min=-float("inf"), max=0.2),
        lambda x: torch.clamp(x, BOUND, max=BOUND + 1),
        lambda x: torch.clamp(x, -x.abs(), x + 1.0),
        lambda x: abs(x) + torch.abs(x - 1.0) + x.abs(),
        lambda x: torch.maximum(x, 0.5 - x),
        lambda x: torch.max(x, x.mean(2, keepdim=True)),
        lambda x: torch.max(x, x.mean(1, keepdim=True)),
        lambda x: x.sum((1, 2), keepdim=True) - x,
        lambda x: torch.minimum(x[:, :1], x).min(2.0 * x),
        lambda x: torch.maximum(0.5 * HALF, x).minimum(HALF),
        lambda x: (x + 1.0).clamp_(0.0, 1.0) + (x - 1.0).abs_(),
        lambda x: functional.adaptive_max_pool1d(x, 2),
    ],
)
def test_functions(function):
    module = Calls(lambda m, x: m.last(function(m.first(x))), first=nn.Conv1d(2, 3, 2), last=nn.Identity())
    agree(module, (2, 6))


@pytest.mark.parametrize("layer", [nn.Conv2d(2, 2, 1), nn.ConvTranspose2d(2, 2, 1)])
def test_a_module_called_twice_is_one_set_of_weights(layer):
    module = Calls(
        lambda m, x: m.head(m.part(m.act(m.part(x))).flatten(1)), part=layer, act=nn.PReLU(2), head=nn.Linear(18, 2)
    )
    groups = find_groups(agree(module, (2, 3, 3)))
    assert groups.frozen["part"] == "module 'part' is called more than once"
    assert groups.size == 0


def test_slopes_of_channels_go_with_them():
    module = nn.Sequential(nn.Conv2d(1, 6, 3), nn.PReLU(6), nn.Flatten(), nn.Linear(24, 5), nn.PReLU(), nn.Linear(5, 2))
    nn.init.uniform_(module[1].weight, -1, 2)
    x = torch.randn(2, 1, 4, 4)
    groups = find_groups(agree(module, (1, 4, 4)))
    keep = {"0": np.array([True, False, True, False, False, True])}
    small = remove(module, x, groups, Decision(keep))
    torch.testing.assert_close(small[1].weight, module[1].weight[keep["0"]])
    counted = cost_of(groups).count(Decision(keep).flat(groups))[0]
    assert counted == sum(p.numel() for p in small.parameters())


def test_slopes_without_a_module_stay():
    slopes = nn.Parameter(torch.rand(6))
    module = Calls(
        lambda m, x: m.last(functional.prelu(m.first(x), m.slopes)), first=nn.Linear(3, 6), last=nn.Linear(6, 2)
    )
    module.slopes = slopes
    assert "has a slope for each channel" in find_groups(agree(module, (3,))).frozen["first"]


def test_bounds_of_channels_stay():
    bound = torch.rand(6, dtype=torch.float64)
    module = Calls(lambda m, x: m.last(m.first(x).clamp(max=bound)), first=nn.Linear(3, 6), last=nn.Linear(6, 2))
    assert "constant of 6 numbers" in find_groups(agree(module, (3,))).frozen["first"]


# ── transposed convolutions ──────────────────────────────────────────────────────────────────────────────────────────

SMALL = st.integers(1, 3)


@settings(max_examples=25)
@given(data=st.data(), axes=st.integers(1, 2))
def test_transposed_convolutions_of_any_geometry(data, axes):
    groups = data.draw(SMALL)
    stride, dilation, kernel = (data.draw(st.tuples(*[SMALL] * axes)) for _ in range(3))
    padding = tuple(data.draw(st.integers(0, d * (k - 1) // 2 + 1)) for d, k in zip(dilation, kernel, strict=True))
    sides = [
        data.draw(st.integers(0, max(0, min(max(s, d), s + p) - 1)))
        for s, d, p in zip(stride, dilation, padding, strict=True)
    ]
    kind = (nn.ConvTranspose1d, nn.ConvTranspose2d)[axes - 1]
    module = kind(
        groups * data.draw(SMALL),
        groups * data.draw(SMALL),
        kernel,
        stride,
        padding,
        tuple(sides),
        groups,
        data.draw(st.booleans()),
        dilation,
    )
    shape = (module.in_channels, *data.draw(st.tuples(*[st.integers(3, 5)] * axes)))
    network = agree(nn.Sequential(module), shape)
    (node,) = network.nodes(Affine)
    map_ = network.edges(node.name)[0][1]
    assert isinstance(map_, TransposedConvolution)
    assert node.layer is not None
    assert node.layer.path == "0"
    function = (functional.conv_transpose1d, functional.conv_transpose2d)[axes - 1]
    weight, bias = (None if p is None else p.detach().double() for p in (module.weight, module.bias))
    agree(
        Calls(lambda _, x: function(x, weight, bias, stride, padding, tuple(sides), groups, dilation)).double(), shape
    )


def test_a_decoder_is_cut():
    layers = [nn.Conv2d(1, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.LeakyReLU(), nn.ConvTranspose2d(4, 5, 3, 2)]
    layers += [
        nn.BatchNorm2d(5),
        nn.ReLU6(),
        nn.ConvTranspose2d(5, 5, 2, groups=5),
        nn.ReLU(),
        nn.ConvTranspose2d(5, 1, 3),
    ]
    module = nn.Sequential(*layers).eval()
    x = torch.randn(2, 1, 10, 10)
    groups = find_groups(agree(module, (1, 10, 10)))
    assert {group.name: group.layers for group in groups.groups} == {"0": ("0",), "2": ("2",), "4": ("4", "7")}
    small = remove(module, x, groups, Decision({g.name: np.arange(g.size) % 2 == 0 for g in groups.groups}))
    assert [small[i].out_channels for i in (0, 2, 4, 7, 9)] == [3, 2, 3, 3, 1]


def test_output_padding_beyond_the_input_is_refused():
    with pytest.raises(UnsupportedOperator, match="rows that see no input"):
        read(nn.Sequential(nn.ConvTranspose1d(1, 1, 2, stride=1, dilation=3, output_padding=2)), torch.randn(1, 1, 4))


# ── a softmax at the end ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "score",
    [
        nn.Softmax(dim=1),
        nn.LogSoftmax(-1),
        lambda x: functional.softmax(x, dim=1),
        lambda x: functional.log_softmax(x, 1),
        lambda x: torch.softmax(x, -1),
        lambda x: x.log_softmax(1),
    ],
    ids=lambda score: type(score).__name__,
)
def test_a_softmax_at_the_end_is_left_out_and_said_so(score, caplog):
    module = Calls(lambda m, x: m.score(m.last(m.first(x).relu())), first=nn.Linear(3, 5), last=nn.Linear(5, 4))
    module.score = score
    x = torch.randn(3, 3)
    with caplog.at_level(logging.WARNING, "oamip"):
        network = read(module, x)
    assert "is left out: the network gives the logits" in caplog.text
    expected = module.last(module.first(x).relu()).detach().numpy()
    np.testing.assert_allclose(network(x.numpy()), expected, rtol=1e-5, atol=1e-6)
    groups = find_groups(network)
    small = remove(module, x, groups, Decision({"first": np.arange(5) < 2}))
    torch.testing.assert_close(small(x).exp().sum(1) if small(x).max() <= 0 else small(x).sum(1), torch.ones(3))


def test_logits_and_scores_of_one_module():
    module = Calls(lambda m, x: (m.last(x), m.last(x).softmax(1)), last=nn.Linear(3, 4))
    network = read(module, torch.randn(2, 3))
    values = network.evaluate(np.ones((1, 3)))
    assert np.array_equal(*(values[name] for name in network.outputs))


def test_a_softmax_of_constants_is_a_constant():
    module = Calls(lambda m, x: m.last(x) * m.mix.softmax(0), last=nn.Linear(3, 4))
    module.mix = nn.Parameter(torch.randn(4))
    agree(module, (3,))


@pytest.mark.parametrize(
    ("function", "remedy"),
    [
        (lambda x: x.softmax(1) * 2.0, "only one that comes last"),
        (lambda x: torch.softmax(x, 0), "goes over the classes"),
    ],
)
def test_other_softmaxes_are_refused(function, remedy):
    with pytest.raises(UnsupportedOperator, match=remedy):
        read(Calls(lambda _, x: function(x)), torch.randn(2, 3))


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("layer", "remedy"),
    [
        (nn.Hardswish(), "not piecewise linear"),
        (nn.ELU(), "not piecewise linear"),
        (nn.Hardshrink(), "not continuous"),
        (nn.Threshold(0.0, -1.0), "it jumps at 0"),
        (nn.GroupNorm(2, 4), "use BatchNorm"),
        (nn.LayerNorm(4), "use BatchNorm"),
        (nn.InstanceNorm1d(4), "use BatchNorm"),
    ],
    ids=str,
)
def test_refused_by_name_and_place(layer, remedy):
    module = nn.Sequential(nn.Conv1d(2, 4, 1), nn.Sequential(layer))
    with pytest.raises(UnsupportedOperator, match=remedy) as caught:
        read(module, torch.randn(2, 2, 4))
    assert (caught.value.operator, caught.value.module) == (type(layer).__name__, "1.0")


# ── what torch.fx cannot trace ───────────────────────────────────────────────────────────────────────────────────────


class Awkward(nn.Module):
    """Decisions and loops over sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        n, channels, *_ = x.shape
        assert channels == 1
        x = self.stem(x)
        total = x.new_zeros(()) if len(x.shape) != 4 else x[:, :, 0]
        for row in range(1, x.shape[2]):
            total = torch.maximum(total, x[:, :, row])
        return self.head(total.mean(2).reshape(n, -1))


def test_torch_export_follows_what_torch_fx_cannot(caplog):
    module = Awkward().eval()
    with caplog.at_level(logging.INFO, "oamip"):
        network = agree(module, (1, 5, 6))
    assert "cannot be traced (test_activations.py, line" in caplog.text
    paths = {node.layer.path for node in network.nodes(Affine) if node.layer}
    assert paths == {"stem.0", "stem.1", "head"}
    groups = find_groups(network)
    assert groups.size == 0
    assert "torch.fx cannot trace" in groups.frozen["stem.0"]
    assert cost_of(groups).count()[0] == sum(p.numel() for p in module.parameters())


# ── ResNet-20 ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_resnet20_loses_half_of_its_channels(resnet20):
    module, x = resnet20, torch.randn(2, 3, 32, 32)
    groups = find_groups(read(module, x))
    sizes = {group.name: group.size for group in groups.groups}
    inner = {f"layer{s}.{b}.conv1": 8 * 2**s for s in (1, 2, 3) for b in range(3)}
    assert sizes == {"conv1": 16, **inner}
    assert groups["conv1"].layers == ("conv1", *(f"layer{s}.{b}.conv2" for s in (1, 2, 3) for b in range(3)))
    assert {("layer2.0.conv2", 8), ("layer3.2.conv2", 24)} <= set(groups["conv1"].units[0])
    small = remove(module, x, groups, Decision({g.name: np.arange(g.size) % 2 == 0 for g in groups.groups}))
    assert (small.conv1.out_channels, small.layer3[0].conv1.out_channels, small.linear.in_features) == (8, 32, 56)
