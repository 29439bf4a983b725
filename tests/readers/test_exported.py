import json
import pickle
import zipfile
from contextlib import suppress

import pytest
import torch
import torch_pruning
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import fx, nn
from torch.nn import functional

from oamip.errors import MismatchError, ModelFileError, UnsupportedOperator
from oamip.readers import saved
from oamip.readers.aten import RULES
from oamip.readers.exported import load_exported

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding="same", bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.LeakyReLU(0.2), nn.Dropout(0.3))
        self.head = nn.Linear(4, 6)
        self.scale = nn.Parameter(torch.rand(6))
        self.register_buffer("offset", torch.rand(6), persistent=False)
        self.constant = torch.rand(6)

    def forward(self, x):
        x = self.relu(self.norm(self.conv(x)))
        x = functional.max_pool2d(x + self.relu(self.block(x)), 2)
        x += 1.0
        y = functional.hardtanh(self.head(x.mean((2, 3)))) * self.scale - self.offset + self.constant
        left, right = torch.chunk(y, 2, dim=1)
        return torch.cat([right, left], dim=1).reshape(x.size(0), 2, 3), torch.clamp(2 - y, min=0)[:, 1:]


class Views(nn.Module):
    """The ways in which people flatten."""

    def __init__(self, flatten):
        super().__init__()
        self.conv, self.pool, self.flatten, self.linear = nn.Conv2d(1, 3, 3), nn.AvgPool2d(2), flatten, nn.Linear(27, 2)

    def forward(self, x):
        return self.linear(self.flatten(self.pool(self.conv(x))))


FLATTENS = {
    "size": lambda x: x.view(x.size(0), -1),
    "shape": lambda x: x.reshape(x.shape[0], 27),
    "minus one": lambda x: x.view(-1, 27),
    "function": lambda x: torch.flatten(x, 1),
    "twice": lambda x: x.flatten(2).unsqueeze(1).squeeze(1).flatten(1),
}


def with_statistics(module):
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    return module.eval()


def images(*layers):
    return nn.Sequential(nn.Conv2d(1, 4, 3), *layers), (1, 8, 8)


CASES = {
    "residual": lambda: (Residual(), (1, 8, 8)),
    "mlp": lambda: (nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU6(), nn.Linear(3, 2, bias=False)), (2, 2)),
    "pools": lambda: images(nn.MaxPool2d(2, padding=1), nn.AdaptiveAvgPool2d(2), nn.AvgPool2d(2, ceil_mode=True)),
    "transposed": lambda: images(nn.ConvTranspose2d(4, 2, 3, stride=2, output_padding=1), nn.Hardtanh(0, 0.5)),
    "series": lambda: (nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.MaxPool1d(2)), (2, 9)),
    "series pool": lambda: (nn.Sequential(nn.Conv1d(2, 4, 3), nn.AvgPool1d(2), nn.AdaptiveAvgPool1d(2)), (2, 9)),
    "shared": lambda: (nn.Sequential(linear := nn.Linear(3, 3), nn.ReLU(), linear), (3,)),
    **{f"flatten by {name}": lambda f=f: (Views(f), (1, 8, 8)) for name, f in FLATTENS.items()},
}


def export(module, shape, path, *, dynamic=True, decompose=False):
    sizes = ({0: torch.export.Dim("batch")},) if dynamic else None
    program = torch.export.export(module, (torch.rand(2, *shape),), dynamic_shapes=sizes)
    torch.export.save(program.run_decompositions() if decompose else program, path)
    return path


def outputs(module, x):
    made = module(x.clone())
    return made if isinstance(made, tuple) else (made,)


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("decompose", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_the_modules_compute_what_was_exported_at_any_batch_size(case, dynamic, decompose, tmp_path):
    module, shape = CASES[case]()
    with_statistics(module)
    loaded = load_exported(export(module, shape, tmp_path / "net.pt2", dynamic=dynamic, decompose=decompose))
    x = torch.randn(5, *shape)
    for expected, found in zip(outputs(module, x), outputs(loaded, x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    # A shared layer has two names; the archive picks the other one.
    wanted = {name: p.shape for name, p in module.named_parameters(remove_duplicate=case != "shared")}
    assert {name: p.shape for name, p in loaded.named_parameters()}.items() <= wanted.items()
    assert sum(p.numel() for p in loaded.parameters()) == sum(p.numel() for p in module.parameters())
    assert not loaded.training


def test_the_result_can_be_traced_saved_and_pruned(tmp_path):
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
    loaded = load_exported(export(module, (1, 8, 8), tmp_path / "net.pt2"))
    x = torch.rand(3, 1, 8, 8)
    kinds = {type(part) for part in loaded.modules() if not list(part.children())}
    assert kinds == {nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Flatten, nn.Linear}
    assert torch.equal(fx.symbolic_trace(loaded)(x), loaded(x))
    saved.save(loaded, x, tmp_path / "net.safetensors")
    graph = torch_pruning.DependencyGraph().build_dependency(loaded, x)
    convolution = loaded.get_submodule("0")
    graph.get_pruning_group(convolution, torch_pruning.prune_conv_out_channels, idxs=[1]).prune()
    assert loaded(x).shape == (3, 2)
    assert loaded.get_submodule("4").in_features == 108


def test_a_saved_network_can_be_exported_and_comes_back(tmp_path):
    module = with_statistics(Residual())
    saved.save(module, torch.rand(2, 1, 8, 8), tmp_path / "net.safetensors")
    loaded = load_exported(export(saved.load(tmp_path / "net.safetensors"), (1, 8, 8), tmp_path / "net.pt2"))
    x = torch.rand(3, 1, 8, 8)
    for expected, found in zip(outputs(module, x), outputs(loaded, x), strict=True):
        torch.testing.assert_close(found, expected)


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.SiLU()), r"aten\.silu\.default at '1'"),
        (Calls(lambda x: x.cumsum(1)), "cumsum"),
        (Calls(lambda x: x.view(-1)), "mixes the batch"),
        (Calls(lambda x: torch.add(x, x, alpha=2)), "multiply by the factor"),
        (nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).train(), "evaluation mode"),
        (nn.Sequential(nn.Linear(4, 4), nn.Dropout()).train(), "evaluation mode"),
    ],
)
def test_what_has_no_rule_is_refused_by_name(module, words, tmp_path):
    with pytest.raises(UnsupportedOperator, match=words):
        load_exported(export(module, (4,), tmp_path / "net.pt2"))


def test_a_value_changed_through_a_view_is_noticed(tmp_path):
    """In-place operators are followed by name; a view that shares memory with its base is caught by the comparison."""

    def function(x):
        y = x + 1
        functional.relu_(y.view(-1, 4))
        return y

    with pytest.raises(MismatchError, match="differs from the archive"):
        load_exported(export(Calls(function), (2, 2), tmp_path / "net.pt2"))


# --- files from strangers ---


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "net.pt2"
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    return export(module, (3,), path)


def rewrite(archive, name, change):
    """A copy with the content of one entry, or of all, changed."""
    other = archive.with_name("changed.pt2")
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(other, "w") as target:
        for entry in source.namelist():
            content = source.read(entry)
            target.writestr(entry, change(content) if entry.endswith(name) else content)
    return other


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("the file was unpickled",))


def test_no_pickle_is_opened(archive):
    bomb = pickle.dumps(Bomb())
    load_exported(rewrite(archive, "sample_inputs/model.pt", lambda _: bomb))

    def as_pickle(content):
        config = json.loads(content)
        config["config"]["0.weight"]["use_pickle"] = True
        return json.dumps(config).encode()

    with pytest.raises(ModelFileError, match=r"'0\.weight' as a pickle"):
        load_exported(rewrite(archive, "model_weights_config.json", as_pickle))


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("models/model.json", b'"major": 8', b'"major": 9', "schema is 9"),
        ("models/model.json", b"{", b"[", "not a whole"),
        ("models/model.json", b'"name": "relu"', b'"name": "later"', "before it is made"),
        ("byteorder", b"little", b"big", "big-endian"),
        ("model_weights_config.json", b'"as_int": 3}', b'"as_int": 3000000000}', "only 48 bytes"),
    ],
)
def test_changed_archives_are_described(archive, name, old, new, words):
    with pytest.raises(ModelFileError, match=words):
        load_exported(rewrite(archive, name, lambda content: content.replace(old, new, 2)))


def test_names_never_become_source_code(archive):
    def rename(content):
        name = b'"x=exit()): #"'
        return content.replace(b'{"name": "input"}', b'{"name": ' + name + b"}").replace(b'"input": {', name + b": {")

    loaded = load_exported(rewrite(archive, "models/model.json", rename))
    assert "exit()" not in loaded.code


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_damaged_archive_is_opened_or_refused_with_one_error(archive, data):
    whole = archive.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.booleans())
    other = archive.with_name("damaged.pt2")
    other.write_bytes(whole[:at] if cut else whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
    try:
        load_exported(other)
    except (ModelFileError, UnsupportedOperator, MismatchError):
        return
    assert not cut


HOSTILE = [None, -1, 10**12, "", "x", "torch.ops.os.system.default", "__class__", [], {}, {"as_int": 3}, True]


@settings(deadline=None, max_examples=150)
@given(data=st.data(), value=st.sampled_from(HOSTILE))
def test_changed_json_is_opened_or_refused_with_one_error(archive, data, value):
    def change(content):
        tree = json.loads(content)
        inner, last, place = tree, None, tree
        while isinstance(inner, (dict, list)) and inner:
            place, last = (
                inner,
                data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner)))),
            )
            inner = inner[last]
        place[last] = value
        return json.dumps(tree).encode()

    entry = data.draw(st.sampled_from(["models/model.json", "model_weights_config.json"]))
    with suppress(ModelFileError, UnsupportedOperator, MismatchError):
        load_exported(rewrite(archive, entry, change))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(number, tmp_path):
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    module[2].weight.data[1, 3] = number
    with pytest.raises(ModelFileError, match=r"net\.pt2.*'2\.weight' holds NaN or infinity"):
        load_exported(export(module, (3,), tmp_path / "net.pt2"))


def test_other_files_are_named(tmp_path, archive):
    with pytest.raises(ModelFileError, match="is missing"):
        load_exported(tmp_path / "nowhere.pt2")
    (tmp_path / "text.pt2").write_text("text")
    with pytest.raises(ModelFileError, match=r"text\.pt2"):
        load_exported(tmp_path / "text.pt2")
    with zipfile.ZipFile(tmp_path / "old.pt2", "w") as file:
        file.writestr("serialized_exported_program.json", "{}")
    with pytest.raises(ModelFileError, match="old layout"):
        load_exported(tmp_path / "old.pt2")


def test_every_rule_names_an_operator_that_torch_has():
    for name in RULES:
        namespace, operator, overload = name.split(".")
        assert namespace == "aten"
        assert hasattr(getattr(torch.ops.aten, operator), overload)
