"""What all tests share: one torch thread, seeds, the folder of real networks, and a zoo of small ones."""

from __future__ import annotations

import functools
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import hypothesis
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from oamip.models import open_model
from oamip.network import Groups, Network, find_groups
from oamip.readers import read

torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts us behind `&` has it ignored
hypothesis.settings.register_profile("oamip", deadline=None, derandomize=True, max_examples=40)
hypothesis.settings.load_profile("oamip")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    np.random.seed(0)  # noqa: NPY002 some libraries still draw from it
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real networks and data, beside the project."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("the folder of real networks and data, ../shared, is not here")
    return folder


# ── the zoo ──────────────────────────────────────────────────────────────────────────────────────────────────────────

Shape: TypeAlias = tuple[int, ...]
Built: TypeAlias = tuple[nn.Module, Shape]
ZOO: dict[str, Callable[[], Built]] = {}


@dataclass(frozen=True)
class Specimen:
    """A module in evaluation mode and double precision, five inputs, and what we make of it. Not to be changed."""

    name: str
    module: nn.Module
    x: Tensor
    network: Network
    groups: Groups


@functools.cache
def specimen(name: str) -> Specimen:
    torch.manual_seed(0)
    module, shape = ZOO[name]()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
            if part.affine:
                nn.init.uniform_(part.weight, -1.5, 1.5)
                nn.init.normal_(part.bias)
    module = module.double().eval()
    x = torch.randn(5, *shape, dtype=torch.float64)
    network = read(module, x[:2])
    return Specimen(name, module, x, network, find_groups(network))


def _zoo(build: Callable[[], Built]) -> Callable[[], Built]:
    ZOO[build.__name__] = build
    return build


class Forward(nn.Module):
    """Submodules and a forward function in one line."""

    def __init__(self, forward: Callable[..., Tensor], **parts: nn.Module | nn.Parameter | Tensor) -> None:
        super().__init__()
        self._call = forward
        for name, part in parts.items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self._call(self, x)


@_zoo
def mlp() -> Built:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 7, bias=False), nn.ReLU(), nn.Linear(7, 3)), (6,)


@_zoo
def mlp_with_norms() -> Built:
    hidden = [
        nn.Linear(6, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.BatchNorm1d(8, affine=False),
        nn.Dropout(),
        nn.Identity(),
    ]
    return nn.Sequential(*hidden, nn.Linear(8, 5), nn.ReLU(), nn.BatchNorm1d(5), nn.Linear(5, 3)), (6,)


@_zoo
def linear_chain() -> Built:
    return nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 3)), (6,)


@_zoo
def convnet() -> Built:
    features = [nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    features += [nn.Conv2d(4, 6, (3, 2), stride=(2, 1), bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout2d()]
    return nn.Sequential(nn.Sequential(*features), nn.Flatten(), nn.Linear(24, 5), nn.ReLU(), nn.Linear(5, 3)), (
        2,
        8,
        10,
    )


@_zoo
def sequence() -> Built:
    layers = [
        nn.Conv1d(3, 6, 4, padding="same", dilation=2),
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.MaxPool1d(3, 2, padding=1),
    ]
    layers += [nn.Conv1d(6, 5, 3, padding="valid"), nn.ReLU(), nn.AvgPool1d(2, ceil_mode=True), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(10, 2)), (3, 10)


@_zoo
def grouped() -> Built:
    layers = [nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 9, 3, padding=1, groups=3), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(9, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)), (2, 6, 6)


@_zoo
def depthwise() -> Built:
    layers = [
        nn.Conv2d(2, 5, 3),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.Conv2d(5, 5, 3, padding=1, groups=5),
        nn.BatchNorm2d(5),
    ]
    layers += [nn.ReLU(), nn.Conv2d(5, 6, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)]
    return nn.Sequential(*layers), (2, 6, 6)


@_zoo
def depthwise_multiplier() -> Built:
    layers = [nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 6, 3, groups=3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3)]
    return nn.Sequential(*layers), (2, 6, 6)


class Block(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer)
        self.conv2, self.norm2 = nn.Conv2d(outer, outer, 3, padding=1, bias=False), nn.BatchNorm2d(outer)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential()
        if stride != 1 or inner != outer:
            self.shortcut = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.norm1(self.conv1(x)))
        out = self.norm2(self.conv2(out))
        out += self.shortcut(x)
        return functional.relu(out, inplace=True)


@_zoo
def residual() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x))
        x = functional.avg_pool2d(x, x.size()[3])
        return self.head(x.view(x.size(0), -1))

    stem = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    blocks = nn.Sequential(Block(4, 4), Block(4, 6, stride=2))
    return Forward(forward, stem=stem, blocks=blocks, head=nn.Linear(6, 3)), (2, 6, 6)


@_zoo
def before_and_after_add() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        a = self.first(x)
        b = torch.add(a, self.second(torch.relu(a)), alpha=0.5)
        return self.third(b.relu()) - self.fourth(a)

    layers = [nn.Linear(*sizes) for sizes in ((5, 6), (6, 6), (6, 3), (6, 3))]
    return Forward(forward, **dict(zip(("first", "second", "third", "fourth"), layers, strict=True))), (5,)


@_zoo
def concatenation() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        a, b = self.left(x).relu(), self.right(x).relu()
        x = torch.relu(self.join(torch.cat([a, b, x], dim=1)))
        return self.head(torch.cat((x, a), 1).flatten(1))

    convolutions = {"left": nn.Conv2d(2, 3, 3, padding=1), "right": nn.Conv2d(2, 4, 1), "join": nn.Conv2d(9, 2, 1)}
    return Forward(forward, **convolutions, head=nn.Linear(80, 3)), (2, 4, 4)


@_zoo
def concatenation_along_positions() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = torch.cat([self.left(x), self.right(x)], dim=-1)
        return self.head(self.mix(x.relu()).relu().mean(-1))

    layers = {"left": nn.Conv1d(2, 4, 3), "right": nn.Conv1d(2, 4, 1), "mix": nn.Conv1d(4, 5, 2)}
    return Forward(forward, **layers, head=nn.Linear(5, 2)), (2, 6)


@_zoo
def nested_and_shared_paths() -> Built:
    inner = nn.Sequential(nn.Linear(4, 6), nn.Sequential(nn.ReLU(), nn.Identity(), nn.Linear(6, 5)), nn.ReLU())
    return nn.Sequential(inner, nn.ModuleDict({"out": nn.Linear(5, 2)})["out"]), (4,)


@_zoo
def functional_style() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.dropout(functional.relu(self.conv2(x)), training=self.training)
        x = functional.adaptive_avg_pool2d(x, (2, 1)).contiguous()
        x = torch.reshape(x, (x.shape[0], -1))
        return self.fc2(torch.relu(self.fc1(x)))

    layers = {"conv1": nn.Conv2d(1, 4, 3), "conv2": nn.Conv2d(4, 5, 2), "fc1": nn.Linear(10, 6), "fc2": nn.Linear(6, 3)}
    return Forward(forward, **layers), (1, 8, 8)


@_zoo
def hard_coded_view() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return self.fc(self.hidden(self.conv(x).relu().view(-1, 36)).relu())

    return Forward(forward, conv=nn.Conv2d(1, 4, 3), hidden=nn.Linear(36, 5), fc=nn.Linear(5, 3)), (1, 5, 5)


@_zoo
def pooling() -> Built:
    layers = [nn.Conv2d(1, 3, 3, padding=1), nn.MaxPool2d(3, 2, padding=1, dilation=(2, 1), ceil_mode=True), nn.ReLU()]
    layers += [nn.AvgPool2d(3, 2, padding=1, ceil_mode=True, count_include_pad=False), nn.Conv2d(3, 4, 2), nn.ReLU()]
    layers += [nn.AvgPool2d(2, 1, padding=1, divisor_override=3), nn.AdaptiveAvgPool2d((None, 2)), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(24, 3)), (1, 11, 9)


@_zoo
def global_mean() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = self.conv(x).relu()
        return self.fc(torch.mean(x, dim=(2, 3)) + x.mean((-1, -2), keepdim=True).squeeze(3).squeeze(2))

    return Forward(forward, conv=nn.Conv2d(2, 5, 3), fc=nn.Linear(5, 3)), (2, 5, 5)


@_zoo
def normalised_input() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = (x - self.mean) / self.std
        return self.fc((2 * self.conv(x) + 1).relu().flatten(1)) * 0.5

    constants = {"mean": torch.rand(1, 2, 1, 1), "std": torch.rand(2, 1, 1) + 0.5}
    return Forward(forward, **constants, conv=nn.Conv2d(2, 4, 3), fc=nn.Linear(16, 3)), (2, 4, 4)


@_zoo
def learnt_scale() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return self.last((self.second(self.first(x).relu()) * self.scale - self.shift.sum()).relu())

    parts = {"scale": nn.Parameter(torch.rand(5)), "shift": nn.Parameter(torch.rand(2))}
    return Forward(forward, **parts, first=nn.Linear(4, 6), second=nn.Linear(6, 5), last=nn.Linear(5, 2)), (4,)


@_zoo
def functional_weights() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = functional.conv2d(self.conv(x).relu(), self.kernel, padding="same")
        return functional.linear(self.fc(x.relu().flatten(1)).relu(), self.weight, self.bias)

    parts = {"kernel": nn.Parameter(torch.randn(3, 4, 3, 3)), "weight": nn.Parameter(torch.randn(2, 6))}
    parts["bias"] = nn.Parameter(torch.randn(2))
    return Forward(forward, **parts, conv=nn.Conv2d(1, 4, 3), fc=nn.Linear(12, 6)), (1, 4, 4)


@_zoo
def called_twice() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        for _ in range(2):
            x = self.second(x).relu()
        return self.last(self.third(x).relu())

    layers = {"first": nn.Linear(4, 5), "second": nn.Linear(5, 5), "third": nn.Linear(5, 4), "last": nn.Linear(4, 2)}
    return Forward(forward, **layers), (4,)


@_zoo
def linear_over_positions() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = self.inner(self.embed(x).relu()).relu()  # (n, positions, features)
        return self.head(self.conv(x.transpose(1, 2)).relu().flatten(1))

    layers = {"embed": nn.Linear(3, 5), "inner": nn.Linear(5, 6), "conv": nn.Conv1d(6, 4, 2), "head": nn.Linear(12, 2)}
    return Forward(forward, **layers), (4, 3)


@_zoo
def axes_moved() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = self.conv(x.unsqueeze(1)).relu().permute(0, 2, 3, 1)
        return self.head(self.fc(x).relu().flatten(1, -2).transpose(-1, 1).mean(2))

    return Forward(forward, conv=nn.Conv2d(1, 4, 2), fc=nn.Linear(4, 5), head=nn.Linear(5, 2)), (4, 5)


@_zoo
def both_signs() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.last(functional.relu(x) - 0.1 * torch.relu(-x))

    return Forward(forward, first=nn.Linear(4, 6), last=nn.Linear(6, 2)), (4,)


@_zoo
def broadcast_add() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.last((x + x.mean((2, 3), keepdim=True)).relu().flatten(1))

    return Forward(forward, first=nn.Conv2d(1, 3, 2), last=nn.Linear(27, 2)), (1, 4, 4)


@_zoo
def twice_the_same() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = self.first(x)
        y = (x + x).relu()
        return self.last(torch.cat([y, y], 1))

    return Forward(forward, first=nn.Linear(4, 5), last=nn.Linear(10, 2)), (4,)


@_zoo
def in_place() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        before = self.first(x)
        after = self.relu(before)  # changes `before` as well
        kept = after.clone()
        after.add_(1.0)
        return self.last(before + kept)

    return Forward(forward, first=nn.Linear(4, 5), relu=nn.ReLU(inplace=True), last=nn.Linear(5, 2)), (4,)


@_zoo
def tied_weights() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x).relu()).relu())

    module = Forward(forward, first=nn.Linear(5, 5), second=nn.Linear(5, 5), last=nn.Linear(5, 2))
    module.second.weight = module.first.weight
    return module, (5,)


@_zoo
def bent_and_clamped() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = functional.relu6(self.slope(self.first(x)))
        x = torch.maximum(functional.leaky_relu(self.second(x), 0.1), (self.third(x) / 6 + 0.5).clamp(0, 1))
        return self.last(x.clamp(0.1, 0.9) - abs(self.fourth(x)))

    layers = {"first": nn.Linear(4, 5), "second": nn.Linear(5, 6), "third": nn.Linear(5, 6), "fourth": nn.Linear(6, 6)}
    return Forward(forward, **layers, slope=nn.PReLU(5), last=nn.Linear(6, 2)), (4,)


@_zoo
def padded_shortcut() -> Built:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        out = self.norm(self.second(self.inner(x).relu()))
        out += functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2), "constant", 0)
        return self.head(out.relu().mean((2, 3)))

    layers = {"first": nn.Conv2d(1, 4, 3), "inner": nn.Conv2d(4, 5, 3, 2, 1), "second": nn.Conv2d(5, 8, 1)}
    return Forward(forward, **layers, norm=nn.BatchNorm2d(8), head=nn.Linear(8, 3)), (1, 6, 6)


@pytest.fixture(params=list(ZOO))
def animal(request: pytest.FixtureRequest) -> Specimen:
    """Each network of the zoo in turn; not to be changed."""
    return specimen(request.param)


@pytest.fixture
def zoo() -> Callable[[str], Specimen]:
    """A network of the zoo by name; not to be changed."""
    return specimen


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def resnet20(shared: Path) -> nn.Module:
    """ResNet-20 for CIFAR-10 with the trained weights of `../shared/networks`; not to be changed."""
    return open_model("resnet20", weights=shared / "networks" / "resnet20_cifar10.th")


@pytest.fixture
def run_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """Runs the blocks of a page of `docs` one after the other, in an empty folder, and tells how many there are."""

    def run(page: str) -> int:
        text = (Path(__file__).parents[1] / "docs" / page).read_text(encoding="utf-8")
        blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
        monkeypatch.chdir(tmp_path)
        names: dict[str, Any] = {"__name__": "page"}
        for number, block in enumerate(blocks, 1):
            exec(compile(block, f"{page}, block {number}", "exec"), names)
        return len(blocks)

    return run


# ── seconds per folder ───────────────────────────────────────────────────────────────────────────────────────────────

BUDGETS = {  # seconds of tests in a folder, added up over two cores, told beside what it took; nothing fails by it
    "backends": 30,
    "bounds": 5,
    "conformance": 240,
    "encodings": 5,
    "formulations": 55,
    "gates": 5,
    "learning": 10,
    "network": 30,
    "program": 20,
    "properties": 10,
    "pruning": 90,
    "readers": 60,
    "solving": 240,
    "writers": 40,
    "training": 70,
    "tests": 170,  # files beside the folders
    "doctests": 10,
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print seconds per folder beside its budget, with its slowest test."""
    took: dict[str, float] = {}
    slowest: dict[str, tuple[float, str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if not isinstance(report, pytest.TestReport):
                continue
            area = _area(report.nodeid)
            took[area] = took.get(area, 0.0) + report.duration
            slowest[area] = max(slowest.get(area, (0.0, "")), (report.duration, report.nodeid.rpartition("/")[2]))
    if sum(took.values()) < 1.0:
        return
    terminalreporter.section("seconds per folder")
    for area, seconds in sorted(took.items(), key=lambda item: -item[1]):
        budget = BUDGETS.get(area)
        over = "  OVER" if budget is not None and seconds > budget else ""
        worst, name = slowest[area]
        terminalreporter.line(f"{area:<13}{seconds:7.1f} of {budget or '-':>4}{over:<6}  slowest {worst:5.1f}  {name}")


def _area(nodeid: str) -> str:
    parts = nodeid.partition("::")[0].split("/")
    if parts[0] != "tests":
        return "doctests"
    return parts[1] if len(parts) > 2 else "tests"
