"""A network that was read computes what its module computes, and what cannot be read is refused by name."""

from __future__ import annotations

import copy
import gzip
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

from oamip.errors import InputError, MismatchError, UnsupportedOperator
from oamip.network import Affine, Network, find_groups
from oamip.readers import read


class Calls(nn.Module):
    """A forward function with submodules."""

    def __init__(self, forward: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self._forward = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        return self._forward(self, x)


def agree(module: nn.Module, network: Network, x: Tensor) -> None:
    with torch.no_grad():
        expected = copy.deepcopy(module).double().eval()(x.double()).numpy()
    gap = np.abs(network(x.double().numpy()) - expected).max()
    assert gap <= 1e-10 * max(1.0, np.abs(expected).max())


# ── what is read ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_evaluation_equals_the_module(animal, scale):
    agree(animal.module, animal.network, scale * torch.randn(7, *animal.x.shape[1:]))


def test_paths_are_those_of_the_module(animal):
    modules = dict(animal.module.named_modules())
    for node in animal.network.nodes(Affine):
        if node.layer is not None:
            module = modules[node.layer.path]
            assert node.module == node.layer.path
            assert node.layer.bias == (getattr(module, "bias", None) is not None)


def test_parameters_are_all_counted(animal):
    held = {node.layer.path for node in animal.network.nodes(Affine) if node.layer}
    counted = sum(p.numel() for path in held for p in animal.module.get_submodule(path).parameters(recurse=False))
    assert animal.network.extra_parameters + counted == sum(p.numel() for p in animal.module.parameters())


def test_what_does_nothing_makes_no_node(zoo):
    assert len(zoo("mlp_with_norms").network.order) == 9  # the input and eight of ten modules


def test_calls_whose_result_is_not_used_are_read_too():
    """They run in the module, so a removal must keep them in step."""

    def forward(self: Any, x: Tensor) -> Tensor:
        x = self.first(x)
        self.idle(x) + x
        return self.used(x)

    module = Calls(forward, first=nn.Linear(3, 4), idle=nn.Linear(4, 4), used=nn.Linear(4, 2), absent=nn.Linear(1, 1))
    network = read(module, torch.randn(1, 3))
    assert network.output.name == "used"
    assert network.extra_parameters == 2
    assert find_groups(network)["first"].layers == ("first", "idle")


def test_node_names_are_identifiers(animal):
    assert all(name.isidentifier() and name.islower() and name[0].isalpha() for name in animal.network.order)


def test_several_inputs_and_outputs():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(2, 4)

        def forward(
            self, x: Tensor, y: Tensor, scale: float = 2.0, mask: Tensor | None = None
        ) -> tuple[Tensor, Tensor]:
            both = self.a(x) + scale * self.b(y)
            if mask is not None:
                both = both * mask
            return both.relu(), both

    module = Two()
    x, y = torch.randn(4, 3), torch.randn(4, 2)
    network = read(module, (x, y))
    assert network.inputs == ("x", "y")
    values = network.evaluate({"x": x.double().numpy(), "y": y.double().numpy()})
    for name, expected in zip(network.outputs, module.double()(x.double(), y.double()), strict=True):
        np.testing.assert_allclose(values[name], expected.detach().numpy(), rtol=1e-12, atol=1e-12)


def test_a_subclass_that_keeps_forward_is_a_layer():
    class Named(nn.Linear):
        pass

    class Doubled(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002
            return functional.linear(input, 2 * self.weight, self.bias)

    x = torch.randn(2, 3)
    for kind, layers in ((Named, 2), (Doubled, 1)):
        module = nn.Sequential(kind(3, 4), nn.ReLU(), nn.Linear(4, 2))
        network = read(module, x)
        assert sum(node.layer is not None for node in network.nodes(Affine)) == layers
        agree(module, network, x)


def test_a_module_that_is_a_single_layer():
    module = nn.Linear(3, 2)
    network = read(module, torch.randn(1, 3))
    agree(module, network, torch.randn(4, 3))
    assert network.extra_parameters == 8


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_of_any_precision(dtype):
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).to(dtype)
    agree(module, read(module, torch.randn(2, 3, dtype=dtype)), torch.randn(2, 3))


# ── geometry ─────────────────────────────────────────────────────────────────────────────────────────────────────────

SMALL = st.integers(1, 3)


@given(data=st.data(), axes=st.integers(1, 2))
def test_convolutions_of_any_geometry(data, axes):
    groups = data.draw(SMALL)
    options: dict[str, Any] = {"groups": groups, "bias": data.draw(st.booleans())}
    options["dilation"] = data.draw(st.tuples(*[SMALL] * axes))
    options["padding"] = data.draw(
        st.one_of(st.sampled_from(["same", "valid"]), st.tuples(*[st.integers(0, 3)] * axes))
    )
    if options["padding"] != "same":
        options["stride"] = data.draw(st.tuples(*[SMALL] * axes))
    kind = (nn.Conv1d, nn.Conv2d)[axes - 1]
    kernel = data.draw(st.tuples(*[st.integers(1, 4)] * axes))
    module = kind(groups * data.draw(SMALL), groups * data.draw(SMALL), kernel, **options)
    check(module, (module.in_channels, *data.draw(st.tuples(*[st.integers(3, 9)] * axes))))


@given(data=st.data(), axes=st.integers(1, 2), ceil_mode=st.booleans())
def test_max_pools_of_any_geometry(data, axes, ceil_mode):
    kernel = data.draw(st.tuples(*[st.integers(1, 4)] * axes))
    stride = data.draw(st.one_of(st.none(), st.tuples(*[SMALL] * axes)))
    padding = tuple(data.draw(st.integers(0, size // 2)) for size in kernel)
    dilation = data.draw(st.tuples(*[SMALL] * axes))
    module = (nn.MaxPool1d, nn.MaxPool2d)[axes - 1](kernel, stride, padding, dilation, ceil_mode=ceil_mode)
    shape = (2, *data.draw(st.tuples(*[st.integers(3, 9)] * axes)))
    check(module, shape)
    if stride is not None:
        pool = (functional.max_pool1d, functional.max_pool2d)[axes - 1]
        check(Calls(lambda _, x: pool(x, kernel, stride, padding, dilation, ceil_mode=ceil_mode)), shape)


@given(data=st.data(), axes=st.integers(1, 2), ceil_mode=st.booleans(), count=st.booleans())
def test_average_pools_of_any_geometry(data, axes, ceil_mode, count):
    kernel = data.draw(st.tuples(*[st.integers(1, 4)] * axes))
    options: dict[str, Any] = {"stride": data.draw(st.one_of(st.none(), st.tuples(*[SMALL] * axes)))}
    options["padding"] = tuple(data.draw(st.integers(0, size // 2)) for size in kernel)
    if axes == 2:
        options["divisor_override"] = data.draw(st.one_of(st.none(), SMALL))
    kind = (nn.AvgPool1d, nn.AvgPool2d)[axes - 1]
    shape = (2, *data.draw(st.tuples(*[st.integers(3, 9)] * axes)))
    check(kind(kernel, ceil_mode=ceil_mode, count_include_pad=count, **options), shape)


@given(size=st.tuples(st.integers(1, 9), st.integers(1, 9)), out=st.tuples(st.none() | SMALL, st.integers(1, 6)))
def test_adaptive_pools_of_any_geometry(size, out):
    check(nn.AdaptiveAvgPool2d(out), (2, *size))
    check(nn.AdaptiveAvgPool1d(out[1]), (2, size[0]))


def check(module: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(3, *shape)
    module.double()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch tells that even kernels with padding='same' are slow
            result = module(x.double())
            assume(result.isfinite().all() and result.numel() > 0)
            agree(module, read(module, x), x)
    except RuntimeError as error:  # torch itself does not take this geometry
        assert "size" in str(error) or "pad" in str(error)  # noqa: PT017
        assume(False)


# ── what stays as it is ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_module_is_untouched():
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(4, 2))
    module[4].eval()
    module[0].weight.requires_grad_(False)
    module(torch.randn(5, 3)).sum().backward()
    seen: list[Tensor] = []
    module[2].register_forward_hook(lambda *_: seen.append(torch.zeros(1)))
    module[4].register_forward_pre_hook(lambda *_: seen.append(torch.zeros(1)))
    before, tensors = copy.deepcopy(module.state_dict()), [*module.parameters(), *module.buffers()]
    grads = [p.grad for p in module.parameters()]
    modes, random = [part.training for part in module.modules()], torch.get_rng_state()
    x = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))
    x_before = x.clone()

    read(module, x)

    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert all(a is b for a, b in zip(tensors, [*module.parameters(), *module.buffers()], strict=True))
    assert all(a is p.grad for a, p in zip(grads, module.parameters(), strict=True))
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in tensors)
    assert [part.training for part in module.modules()] == modes
    assert [p.requires_grad for p in module.parameters()] == [False, True, True, True, True, True]
    assert (len(module[2]._forward_hooks), len(module[4]._forward_pre_hooks)) == (1, 1)
    assert seen == []
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(x, x_before)
    assert x.dtype == torch.float32


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("layer", "operator", "remedy"),
    [
        (nn.SiLU(), "SiLU", "not piecewise linear; replace it by ReLU"),
        (nn.Softmin(dim=1), "Softmin", "return the logits"),
        (nn.LayerNorm(4), "LayerNorm", "use BatchNorm"),
        (nn.BatchNorm1d(4, track_running_stats=False), "BatchNorm1d", "mixes samples"),
        (nn.Flatten(0), "Flatten", r"write flatten\(x, 1\)"),
    ],
)
def test_modules_refused_by_name(layer, operator, remedy):
    module = nn.Sequential(nn.Linear(3, 4), nn.Sequential(layer))
    with pytest.raises(UnsupportedOperator, match=remedy) as caught:
        read(module, torch.randn(2, 3))
    assert (caught.value.operator, caught.value.module) == (operator, "1.0")


@pytest.mark.parametrize(
    ("forward", "operator", "remedy"),
    [
        (lambda x: functional.silu(x), "silu", "replace it by ReLU"),
        (lambda x: x.sign(), "sign", "not continuous"),
        (lambda x: x * x, "mul", "product of two tensors"),
        (lambda x: 1 / x, "truediv", "division by a tensor"),
        (lambda x: x @ x.transpose(1, 2), "matmul", "multiplies tensors"),
        (lambda x: functional.linear(x, x[0]), "getitem", "single samples"),
        (lambda x: x.flatten(), "flatten", "mixes samples"),
        (lambda x: x.view(-1, 2), "view", "batch axis"),
        (lambda x: x.view(2, -1), "view", "fixes the batch to 2"),
        (lambda x: x.transpose(0, 1), "transpose", "batch axis"),
        (lambda x: x.permute(1, 0, 2), "permute", "batch axis"),
        (lambda x: torch.cat([x, x]), "cat", "mixes samples"),
        (lambda x: torch.cat([x, torch.zeros(4, 1, 4)], 1), "cat", "constant"),
        (lambda x: x.mean(), "mean", "mixes samples"),
        (lambda x: x.mean(0), "mean", "mixes samples"),
        (lambda x: x.squeeze(), "squeeze", r"squeeze\(1\)"),
        (lambda x: x.unsqueeze(0), "unsqueeze", "before the batch"),
        (lambda x: x + torch.arange(4.0).view(4, 1, 1), "add", "differs from sample to sample"),
        (lambda x: x / torch.zeros(4), "truediv", "divides by zero"),
        (lambda x: x + x.mean(2), "add", "batch axes do not meet"),
        (lambda x: functional.dropout(x), "dropout", r"training=self\.training"),
        (lambda x: x.half(), "half", "leave the cast out"),
        (lambda x: x.to(torch.float32), "to", "leave the cast out"),
        (lambda x: torch.div(x, 2, rounding_mode="floor"), "div", "leave rounding_mode out"),
        (lambda x: functional.max_pool1d(x, 2, return_indices=True)[0], "max_pool1d_with_indices", "no rule"),
        (lambda x: x.requires_grad_(False), "requires_grad_", "no rule"),
    ],
)
def test_calls_refused_by_name(forward, operator, remedy):
    module = nn.Sequential(nn.Identity(), Calls(lambda _, x: forward(x)))
    with pytest.raises(UnsupportedOperator, match=remedy) as caught:
        read(module, torch.randn(4, 4, 4))
    assert caught.value.operator == operator
    assert caught.value.module == "1"


def test_control_flow_on_data_names_the_line(capfd):
    def forward(_: Any, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x

    with pytest.raises(
        InputError, match=r"cannot be traced \(test_torch_module.py, line \d+\).*take them out of forward"
    ):
        read(Calls(forward), torch.randn(1, 3))
    assert capfd.readouterr() == ("", "")  # torch.export, which is asked next, does not tell its own story


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (torch.randn(2, 4), r"fails on the example input of shape \(2, 4\)"),
        (torch.zeros(2, 3, dtype=torch.int64), "dtype torch.int64"),
        (torch.randn(0, 3), "n ≥ 1"),
        (torch.tensor(1.0), "n ≥ 1"),
        (torch.full((1, 3), torch.nan), "NaN"),
        (np.zeros((1, 3)), "not ndarray"),
        ((torch.randn(2, 3), torch.randn(3, 3)), "one batch size"),
    ],
)
def test_wrong_examples(example, message):
    with pytest.raises(InputError, match=message):
        read(nn.Sequential(nn.Linear(3, 2)), example)


@pytest.mark.parametrize(("name", "value"), [("0.weight", torch.nan), ("1.running_var", torch.inf)])
def test_weights_that_are_not_finite(name, value):
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    module.state_dict()[name].view(-1)[1] = value
    with pytest.raises(InputError, match=f"'{name}' contains NaN or infinity"):
        read(module, torch.randn(1, 3))


@pytest.mark.parametrize(
    ("result", "message"),
    [(lambda x: {"y": x}, "is a dict"), (lambda x: (x, 3), "output 1 .* is a int"), (lambda x: None, "NoneType")],
)
def test_other_outputs_are_refused(result, message):
    with pytest.raises(InputError, match=message):
        read(Calls(lambda _, x: result(x.relu())), torch.randn(1, 3))


def test_computed_weights_are_refused():
    masked = nn.Sequential(nn.Linear(3, 2))
    prune.l1_unstructured(masked[0], "weight", amount=1)
    normed = nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 2)))
    for module in (masked, normed):
        with pytest.raises(InputError, match=r"weight of '0' is computed.*make it permanent"):
            read(module, torch.randn(1, 3))


def test_wrappers_and_other_objects_are_refused():
    with pytest.raises(InputError, match=r"read the module inside it: module\.module"):
        read(nn.DataParallel(nn.Linear(3, 2)), torch.randn(1, 3))
    with pytest.raises(InputError, match=r"read the module inside it: module\._orig_mod"):
        read(Calls(lambda _, x: x, _orig_mod=nn.Linear(3, 2)), torch.randn(1, 3))  # the shape of a compiled module
    with pytest.raises(InputError, match="run one batch through"):
        read(nn.Sequential(nn.LazyLinear(2)), torch.randn(1, 3))
    with pytest.raises(InputError, match="not a function"):
        read(lambda x: x, torch.randn(1, 3))


def through_a_view(_: Any, x: Tensor) -> Tensor:
    y = x * 1.0
    y.flatten(1).relu_()  # changes y, which the trace does not show
    return y


def through_a_part(_: Any, x: Tensor) -> Tensor:
    y = x * 1.0
    y[:, :1].relu_()
    return y


def test_a_change_through_a_view_is_refused():
    for forward in (through_a_view, through_a_part):
        with pytest.raises(UnsupportedOperator, match=r"relu_.*through a view.*torch\.cat"):
            read(Calls(forward), torch.zeros(1, 2, 2))


def test_what_the_example_does_not_show_is_seen_on_random_inputs():
    def forward(_: Any, x: Tensor) -> Tensor:
        y = x * 1.0
        part = y[:, :1]
        part.relu_()
        return y + part

    with pytest.raises(MismatchError, match="in place"):
        read(Calls(forward), torch.zeros(1, 2))


def test_a_module_need_not_take_random_inputs():
    def forward(_: Any, x: Tensor) -> Tensor:
        if isinstance(x, Tensor) and x.min() < 0:
            raise ValueError("images are not negative")
        return (x - 1.0).relu()

    x = torch.rand(3, 2) * 2
    agree(Calls(forward), read(Calls(forward), x[:1]), x)


def test_another_device_is_no_other_precision():
    module = nn.Sequential(Calls(lambda _, x: x.to("cpu").cpu().to(x.device, torch.float64)), nn.ReLU()).double()
    agree(module, read(module, torch.zeros(1, 3)), torch.randn(4, 3))


def test_one_number_for_each_sample():
    module = Calls(lambda _, x: x.relu().sum((1, 2)))
    network = read(module, torch.zeros(1, 3, 2))
    assert network.output.shape == ()
    agree(module, network, torch.randn(4, 3, 2))


def test_an_example_without_a_batch_is_told():
    with pytest.raises(InputError, match=r"shape \(3,\); give a batch"):
        read(nn.Linear(3, 2), torch.zeros(3))
    with pytest.raises(InputError, match="needs an axis for the batch"):
        read(nn.Conv2d(2, 2, 3), torch.zeros(2, 8, 8))


def test_what_an_example_of_one_sample_hides_is_named():
    with pytest.raises(InputError, match=r"leave casts such as x\.float\(\) out"):
        read(Calls(lambda module, x: module.layer(x.float()), layer=nn.Linear(3, 2)), torch.zeros(1, 3))
    with pytest.raises(MismatchError, match="size of the batch"):
        read(Calls(lambda _, x: x * 2 if x.shape[0] == 1 else x.relu()), torch.ones(1, 3))


# ── real networks ────────────────────────────────────────────────────────────────────────────────────────────────────


def mnist_test(shared: Path) -> tuple[np.ndarray, np.ndarray]:
    folder = shared / "data" / "MNIST" / "raw"
    images = np.frombuffer(gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    return images.reshape(-1, 1, 28, 28) / 255.0, labels


def weights(path: Path) -> dict[str, Tensor]:
    loaded = torch.load(path, weights_only=True, map_location="cpu")
    return loaded.get("state_dict", loaded)


def test_accuracy_of_a_fully_connected_network(shared):
    sizes = (784, 50, 50, 10)
    layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    module = nn.Sequential(*layers[:-1])
    module.load_state_dict(weights(shared / "networks" / "mnist_2_50_flattened.pyt"))
    images, labels = mnist_test(shared)
    network = read(module, torch.zeros(1, 784))
    assert np.mean(network(images.reshape(-1, 784)).argmax(axis=1) == labels) == pytest.approx(0.9588, abs=5e-5)


def test_accuracy_of_a_convolutional_network(shared):
    convolutions = [nn.Conv2d(1, 16, 4, 2), nn.ReLU(), nn.Conv2d(16, 32, 4, 2), nn.ReLU(), nn.Flatten()]
    module = nn.Sequential(*convolutions, nn.Linear(800, 100), nn.ReLU(), nn.Linear(100, 10))
    module.load_state_dict(weights(shared / "networks" / "mnist_convSmallRELU__Point.pyt"))
    images, labels = mnist_test(shared)
    network = read(module, torch.zeros(1, 1, 28, 28))
    right = [
        network((images[i : i + 500] - 0.1307) / 0.3081).argmax(axis=1) == labels[i : i + 500]
        for i in range(0, 10_000, 500)
    ]
    assert np.mean(right) == pytest.approx(0.9825, abs=5e-5)
