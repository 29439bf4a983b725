import copy
import json
import operator
from contextlib import suppress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import fx, nn
from torch.nn import functional

from oamip.errors import MismatchError, ModelFileError, UnsupportedOperator
from oamip.readers import operators, saved, vocabulary


class Residual(nn.Module):
    """Every kind of node: modules, functions, methods, a parameter and a buffer of its own, two outputs."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding="same", bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.LeakyReLU(0.2), nn.Dropout(0.3))
        self.head = nn.Linear(4, 6)
        self.scale = nn.Parameter(torch.rand(6))
        self.register_buffer("offset", torch.rand(6))
        self.constant = torch.rand(6)

    def forward(self, x):
        x = functional.relu(self.norm(self.conv(x)))
        x = functional.max_pool2d(x + self.block(x), 2)
        x += 1.0
        y = self.head(x.mean((2, 3))) * self.scale - self.offset + self.constant + self.head.bias
        left, right = y[:, :3], y[..., 3:]
        return torch.cat([right, left], dim=1).view(x.size(0), 2, 3), torch.clamp(y, min=0)


def images(*layers):
    return nn.Sequential(nn.Conv2d(1, 4, 3), *layers), torch.rand(2, 1, 8, 8)


def series(*layers):
    return nn.Sequential(nn.Conv1d(2, 4, 3, stride=2), *layers), torch.rand(3, 2, 11)


class Shuffle(nn.Module):
    """Sizes that the graph asks for, in every way that torch has."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, groups=1)

    def forward(self, x):
        x = self.conv(x)
        batch, channels, height, width = x.shape
        x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, channels, height, width)
        return x.repeat(1, 2, 1, 1).reshape(x.shape[0], x.ndim * 2, -1).movedim(1, -1).clamp_min(0)


CASES = {
    "shuffle": lambda: (Shuffle(), torch.rand(2, 1, 8, 8)),
    "residual": lambda: (Residual(), torch.rand(2, 1, 8, 8)),
    "mlp": lambda: (
        nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU6(), nn.Linear(3, 2, bias=False)),
        torch.rand(2, 2, 2),
    ),
    "images": lambda: images(
        nn.BatchNorm2d(4, affine=False), nn.ReLU(True), nn.MaxPool2d(2, padding=1), nn.AvgPool2d(2)
    ),
    "pools": lambda: images(nn.Hardtanh(0, 0.5), nn.AdaptiveAvgPool2d((2, None)), nn.Identity(), nn.Flatten(1, 2)),
    "transposed": lambda: images(nn.ConvTranspose2d(4, 2, 3, stride=2, output_padding=1)),
    "statistics": lambda: images(nn.BatchNorm2d(4, track_running_stats=False)),
    "series": lambda: series(nn.BatchNorm1d(4), nn.MaxPool1d(2), nn.AvgPool1d(2, 1), nn.AdaptiveAvgPool1d(1)),
    "double": lambda: (nn.Linear(3, 2).double(), torch.rand(4, 3, dtype=torch.float64)),
    "empty metadata": lambda: (nn.Identity(), torch.rand(2)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_network_comes_back_bit_for_bit(case, tmp_path):
    module, x = CASES[case]()
    for part in module.modules():  # statistics that are not those of a fresh network
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None:
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    saved.save(module, x, tmp_path / "net.safetensors")
    loaded = saved.load(tmp_path / "net.safetensors")
    other = torch.randn(5, *x.shape[1:], dtype=x.dtype)
    for expected, found in zip(outputs(module.eval(), other), outputs(loaded, other), strict=True):
        assert torch.equal(expected, found)
    assert not loaded.training
    assert sum(p.numel() for p in loaded.parameters() if p.requires_grad) == sum(p.numel() for p in module.parameters())
    if not isinstance(module, nn.Linear):  # a single layer becomes layer 0
        assert {name for name, _ in loaded.named_parameters()} == {name for name, _ in module.named_parameters()}
    assert isinstance(loaded, fx.GraphModule)
    saved.save(loaded, x, tmp_path / "again.safetensors")


def outputs(module, x):
    made = module(x.clone())
    return made if isinstance(made, tuple) else (made,)


def test_equal_networks_are_equal_files(tmp_path):
    """The order in which safetensors writes metadata is drawn anew each time."""
    module, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), torch.ones(1, 3)
    for number in range(8):
        saved.save(module, x, tmp_path / f"{number}.safetensors")
    assert len({file.read_bytes() for file in tmp_path.iterdir()}) == 1


def test_saving_leaves_the_module_as_it_was(tmp_path):
    module = Residual().train()
    module.norm.eval()
    before = copy.deepcopy(module.state_dict()), [part.training for part in module.modules()]
    saved.save(module, torch.rand(2, 1, 8, 8), tmp_path / "net.safetensors")
    assert [part.training for part in module.modules()] == before[1]
    assert all(torch.equal(tensor, before[0][name]) for name, tensor in module.state_dict().items())


def test_a_loaded_network_can_be_trained(tmp_path):
    saved.save(Residual(), torch.rand(2, 1, 8, 8), tmp_path / "net.safetensors")
    loaded = saved.load(tmp_path / "net.safetensors").train()
    sum(output.sum() for output in loaded(torch.rand(2, 1, 8, 8))).backward()
    assert all(p.grad is not None for p in loaded.parameters())


def test_several_inputs_and_another_memory_format(tmp_path):
    class Add(nn.Module):
        def forward(self, a, b):
            return a - b

    saved.save(Add(), (torch.ones(2), torch.ones(2)), tmp_path / "add.safetensors")
    assert saved.load(tmp_path / "add.safetensors")(torch.tensor(3), torch.tensor(1)) == 2
    wide = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3)).to(memory_format=torch.channels_last)
    saved.save(wide, torch.rand(2, 3, 9, 9), tmp_path / "wide.safetensors")


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    ("module", "operator_name"),
    [
        (nn.Sequential(nn.Linear(3, 3), nn.SiLU()), "SiLU"),
        (nn.Sequential(nn.Sequential(nn.Softmin(1))), "Softmin"),
        (nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)), "Parametrization"),
        (Calls(torch.sigmoid), "sigmoid"),
        (Calls(lambda x: x.exp()), "exp"),
        (Calls(lambda x: x.mean(dtype=torch.float64)), "float64"),
        (Calls(lambda x: x.T), "attribute 'T'"),
    ],
)
def test_what_is_not_on_the_list_is_refused_by_name(module, operator_name, tmp_path):
    with pytest.raises(UnsupportedOperator, match=operator_name):
        saved.save(module, torch.rand(2, 3), tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_traced_or_kept_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="cannot trace Calls"):
        saved.save(Calls(lambda x: x if x.sum() > 0 else -x), torch.rand(2), tmp_path / "net.safetensors")
    hooked = nn.Sequential(nn.Linear(2, 2))
    hooked[0].register_forward_hook(lambda module, args, output: output + 1)
    with pytest.raises(MismatchError, match="hooks"):
        saved.save(hooked, torch.rand(1, 2), tmp_path / "net.safetensors")
    with pytest.raises(ModelFileError, match="cannot be written"):
        saved.save(nn.Linear(2, 2), torch.rand(1, 2), tmp_path / "absent" / "net.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seed", range(12))
def test_what_is_loaded_gives_the_very_same_outputs(seed, tmp_path):
    torch.manual_seed(seed)  # matrix products round by where in memory the weights begin, and files begin anywhere
    net = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1))
    x = torch.randn(2, 10)
    saved.save(net, x, tmp_path / "net.safetensors")
    assert torch.equal(saved.load(tmp_path / "net.safetensors")(x), net(x))


def test_a_failed_save_keeps_the_old_file(tmp_path):
    path = tmp_path / "net.safetensors"
    saved.save(nn.Linear(2, 2), torch.rand(1, 2), path)
    before = path.read_bytes()
    with pytest.raises(UnsupportedOperator):
        saved.save(nn.GELU(), torch.rand(1, 2), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# --- files from strangers ---


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A sound file, and what is inside."""
    path = tmp_path_factory.mktemp("saved") / "net.safetensors"
    saved.save(Residual(), torch.rand(2, 1, 8, 8), path)
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return path, json.loads(file.metadata()["graph"]), tensors


def rewrite(path, graph, tensors, version="1"):
    text = graph if isinstance(graph, str) else json.dumps(graph)
    save_file(tensors, path, {"format": "oamip-network", "version": version, "graph": text})


def leaves(tree, path=()):
    if isinstance(tree, (dict, list)) and tree:
        for key, item in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(item, (*path, key))
    else:
        yield path


HOSTILE = [
    None,
    -1,
    10**12,
    1e308,
    "",
    "x",
    "__class__",
    "a;import os",
    'a"]+exit()',
    [],
    {},
    {"node": "x"},
    [[]],
    True,
]


@settings(deadline=None, max_examples=150)
@given(data=st.data(), value=st.sampled_from(HOSTILE))
def test_a_changed_graph_is_loaded_or_refused_with_one_error(written, data, value):
    path, graph, tensors = written
    graph = copy.deepcopy(graph)
    *places, last = data.draw(st.sampled_from(list(leaves(graph))))
    inner = graph
    for place in places:
        inner = inner[place]
    inner[last] = value
    other = path.with_name("changed.safetensors")
    rewrite(other, graph, tensors)
    with suppress(ModelFileError, UnsupportedOperator):
        saved.load(other)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_damaged_file_is_loaded_or_refused_with_one_error(written, data):
    path, _, _ = written
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.booleans())
    other = path.with_name("damaged.safetensors")
    other.write_bytes(whole[:at] if cut else whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
    try:
        saved.load(other)
    except (ModelFileError, UnsupportedOperator):
        return
    assert not cut


@pytest.mark.parametrize(
    "name", ["x=__import__('os').abort()", "x: exit() = 1", "class", "a b", "__init__", "a\nexit()", "ä", "", "a.b"]
)
def test_names_that_would_become_source_code_are_refused(written, name):
    path, graph, tensors = written
    other = path.with_name("names.safetensors")
    changes = []
    for key in ("name", "target"):
        changed = copy.deepcopy(graph)
        changed["nodes"][0][key] = name
        changes.append(changed)
    keyword = copy.deepcopy(graph)
    keyword["nodes"][1]["kwargs"] = {name: 1}
    for changed in [*changes, keyword]:
        rewrite(other, changed, tensors)
        with pytest.raises(ModelFileError):
            saved.load(other)


@pytest.mark.parametrize("path_", ['a"+exit()+"', "conv.__class__", "forward", "conv..weight", "a b"])
def test_module_paths_that_are_none_are_refused(written, path_):
    path, graph, tensors = written
    changed = copy.deepcopy(graph)
    changed["modules"][path_] = changed["modules"].pop("conv")
    next(node for node in changed["nodes"] if node["target"] == "conv")["target"] = path_
    rewrite(path.with_name("paths.safetensors"), changed, tensors)
    with pytest.raises(ModelFileError, match="no path"):
        saved.load(path.with_name("paths.safetensors"))


def test_only_listed_operators_are_looked_up(written):
    path, graph, tensors = written
    other = path.with_name("operators.safetensors")
    for op, target in (
        ("call_function", "os.system"),
        ("call_function", "torch.load"),
        ("call_method", "__reduce__"),
        ("call_method", "numpy"),
    ):
        changed = copy.deepcopy(graph)
        changed["nodes"][-2].update(op=op, target=target)
        rewrite(other, changed, tensors)
        with pytest.raises(UnsupportedOperator, match=target):
            saved.load(other)
    for arguments in (["__class__"], ["shape", 0], []):
        changed = copy.deepcopy(graph)
        changed["nodes"][-2].update(op="call_function", target="getattr", args=[{"node": "x"}, *arguments], kwargs={})
        rewrite(other, changed, tensors)
        with pytest.raises(UnsupportedOperator, match="getattr"):
            saved.load(other)
    changed = copy.deepcopy(graph)
    changed["modules"]["conv"]["kind"] = "Transformer"
    rewrite(other, changed, tensors)
    with pytest.raises(UnsupportedOperator, match="Transformer"):
        saved.load(other)


def test_whatever_is_read_can_be_saved():
    assert operators.MODULES.keys() <= vocabulary.MODULES.keys()
    assert operators.FUNCTIONS.keys() <= vocabulary.FUNCTION_NAMES.keys()
    devices = {"cpu", "to"}  # what a file holds has none
    assert operators.METHODS.keys() - devices <= vocabulary.METHODS
    assert {name: vocabulary.FUNCTIONS[name] for name in vocabulary.FUNCTION_NAMES.values()} == vocabulary.FUNCTIONS


def test_sizes_that_the_weights_do_not_have_take_no_memory(written):
    path, graph, tensors = written
    changed = copy.deepcopy(graph)
    changed["modules"]["head"]["arguments"].update(in_features=10**7, out_features=10**7)
    rewrite(path.with_name("huge.safetensors"), changed, tensors)
    with pytest.raises(ModelFileError, match=r"disagree on 2 tensors, first 'head\.bias'"):
        saved.load(path.with_name("huge.safetensors"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda g, t: t.pop("head.weight"), r"'head\.weight': .* the weights have none"),
        (lambda g, t: t.update(stray=torch.ones(2)), "'stray': the graph has none"),
        (lambda g, t: g["nodes"].pop(), "one output"),
        (lambda g, t: g["nodes"].append(g["nodes"][-1]), "one output"),
        (lambda g, t: operator.setitem(g["inputs"], 0, [[2, 3, 8, 8], "float32"]), "channel"),
        (lambda g, t: operator.setitem(g["inputs"], 0, [[2, 1, 8, 8], "load"]), "no type of numbers"),
        (lambda g, t: g["nodes"].insert(0, g["nodes"].pop(2)), "no node before it makes"),
    ],
)
def test_graphs_and_weights_that_disagree_are_described(written, change, words):
    path, graph, tensors = written
    graph, tensors = copy.deepcopy(graph), dict(tensors)
    change(graph, tensors)
    rewrite(path.with_name("disagree.safetensors"), graph, tensors)
    with pytest.raises(ModelFileError, match=words):
        saved.load(path.with_name("disagree.safetensors"))


def test_other_safetensors_files_are_told_apart(written):
    path, graph, tensors = written
    other = path.with_name("other.safetensors")
    save_file(tensors, other)
    with pytest.raises(ModelFileError, match="no network; give a factory"):
        saved.load(other)
    rewrite(other, graph, tensors, version="9")
    with pytest.raises(ModelFileError, match="version 9"):
        saved.load(other)
    rewrite(other, "[" * 100_000, tensors)
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        saved.load(other)
    with pytest.raises(ModelFileError, match="is missing"):
        saved.load(path.with_name("nowhere.safetensors"))
