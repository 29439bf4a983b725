"""Importance scores: the program as published, as linearised, and as sound."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from torch import nn

from oamip.bounds import Box, interval
from oamip.decision import Scores
from oamip.errors import DataError, InputError, UncheckedAnswer
from oamip.formulations import (
    Importance,
    ImportanceByClass,
    ImportanceInSteps,
    ImportanceOptions,
    importance_procedures,
)
from oamip.formulations.activations import Activations
from oamip.formulations.sparsity import SPARSITIES, add_sparsity
from oamip.network import Groups, find_groups
from oamip.options import Options
from oamip.program import Program
from oamip.readers import read
from oamip.solving import solve

from .conftest import make

PUBLISHED = ImportanceOptions.published()


@pytest.fixture(scope="module")
def digits() -> tuple[Groups, np.ndarray, np.ndarray]:
    """A trained network on scikit-learn's digits with ten samples, one of each class, that it classifies right."""
    from oamip.data import choose, load
    from oamip.models import open_model

    data = load("digits")
    module = open_model("digits-mlp", data=data, epochs=10)
    groups = find_groups(read(module, torch.from_numpy(data.train.x[:2])))
    right = groups.network(data.score.x).argmax(1) == data.score.y
    chosen = data.score.take(choose(data.score, 10, seed=0, correct=right))
    assert chosen.y is not None
    return groups, chosen.x.astype(np.float64), chosen.y


def variants() -> list[ImportanceOptions]:
    return [
        ImportanceOptions(bounds=bounds, loss=loss, sparsity=sparsity)
        for bounds in ("linear", "intact")
        for loss in ("hinge", "cross_entropy")
        for sparsity in ("layers", "published")
    ]


@pytest.mark.parametrize("options", variants(), ids=lambda o: f"{o.bounds}-{o.loss}-{o.sparsity}")
def test_objective_is_the_loss_of_the_gated_network_plus_the_sparsity(digits, options) -> None:
    groups, x, y = digits
    formulation = Importance(groups, x, y, options)
    solution = solve(formulation.program(), Options(gap_relative=1e-7))
    assert solution.held == "proven"
    scores = formulation.interpret(solution)
    s, _ = scores.flat(groups)
    assert (s >= 0).all()
    assert (s <= 1).all()
    assert s.min() < 0.5  # something can go
    outputs = gated_outputs(groups, x, s, options)
    loss = hinge(outputs, y) if options.loss == "hinge" else cross_entropy(outputs, y)
    expected = options.weight * loss + sparsity(groups, s, options.sparsity)
    assert solution.objective == pytest.approx(expected, abs=2e-5)


def gated_outputs(groups: Groups, x: np.ndarray, s: np.ndarray, options: ImportanceOptions) -> np.ndarray:
    """The outputs at scores s without any program: the published shift, or the linearisation by differences."""
    network = groups.network
    if options.bounds == "linear":
        # About s = 1: outputs(1) plus, for every unit, its first-order change by central differences.
        base, eps = network(x), 1e-6
        total = base.copy()
        for unit in range(groups.size):
            if s[unit] == 1:
                continue
            nudged = np.ones(groups.size)
            ends = []
            for sign in (1, -1):
                nudged[unit] = 1 + sign * eps
                scale = {name: scaling(groups, name, nudged) for name in groups.sites}
                ends.append(network(x, scale))
            total += (ends[0] - ends[1]) / (2 * eps) * (s[unit] - 1)
        return total
    bounds = interval(network, Box.around(x, options.radius))
    values = {network.inputs[0]: x}
    for name in network.order[1:]:
        node = network[name]
        if name in groups.sites:
            before = network.predecessor(name)
            top = np.maximum(bounds[before][1], 0)
            values[name] = np.maximum(0, values[before] - (1 - s[groups.labels[name]]) * top)
        elif hasattr(node, "bias"):
            values[name] = node.bias + sum(map_.apply(values[source]) for source, map_ in network.edges(name))
        else:
            values[name] = np.maximum(0, values[network.predecessor(name)])
    return values[network.output.name]


def scaling(groups: Groups, name: str, s: np.ndarray):
    factor = np.append(s, (1, 1))[groups.labels[name]].reshape(groups.network[name].shape)
    return lambda h: h * factor


def hinge(o: np.ndarray, y: np.ndarray) -> float:
    margins = 1 + o - np.take_along_axis(o, y[:, None], 1)
    np.put_along_axis(margins, y[:, None], 0.0, 1)
    return float(np.maximum(0, margins.max(1)).mean())


def cross_entropy(o: np.ndarray, y: np.ndarray) -> float:
    top = o.max(1)
    return float((top + np.log(np.exp(o - top[:, None]).sum(1)) - np.take_along_axis(o, y[:, None], 1)[:, 0]).mean())


def sparsity(groups: Groups, s: np.ndarray, kind: str) -> float:
    layers = [s[group.slice] for group in groups.groups]
    if kind == "layers":
        return float(np.mean([layer.mean() for layer in layers]))
    if kind == "units":
        return float(s.mean())
    terms = [(layer - 2).sum() if kind == "published" else (layer - 2).mean() for layer in layers]
    largest = sum(sorted(terms)[1:]) if len(terms) > 1 else terms[0]
    return float(largest / (s.size if kind == "published" else 1))


@pytest.mark.parametrize("kind", SPARSITIES)
@pytest.mark.parametrize("sizes", [(4,), (3, 5), (2, 3, 4)], ids=str)
def test_sparsity_terms_equal_their_formula(kind: str, sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    s = rng.random(sum(sizes))
    program = Program()
    keep = program.variables("keep", s.size, s, s)
    bounds = np.cumsum([0, *sizes])
    layers = [np.arange(a, b) for a, b in itertools.pairwise(bounds)]
    program.minimize(add_sparsity(program, kind, keep, layers))  # type: ignore[arg-type]

    class Fake:
        groups = tuple(type("G", (), {"slice": slice(a, b)})() for a, b in itertools.pairwise(bounds))

    assert solve(program).objective == pytest.approx(sparsity(Fake(), s, kind), abs=1e-7)  # type: ignore[arg-type]


def test_linear_and_intact_agree_near_the_intact_network(digits) -> None:
    """With a radius of zero and every score 1, both describe the same outputs."""
    groups, x, y = digits
    for bounds in ("linear", "intact"):
        radius = {"radius": 1e-9} if bounds == "intact" else {}
        formulation = Importance(groups, x, y, ImportanceOptions(bounds=bounds, weight=0.0, **radius))
        program = formulation.program()
        program.blocks["keep"].lower[:] = 1.0
        program.maximize(program.blocks["keep"].sum())
        solution = solve(program)
        assert solution.held == "proven"
        if formulation.activations is not None:
            np.testing.assert_allclose(solution.value(formulation.activations.output), groups.network(x), atol=1e-6)


def test_stable_units_make_no_columns() -> None:
    """LeNet-5 with ten samples has 65,080 ReLUs; its published program has a column for each unit and little else."""
    from oamip.models import BUILT_IN

    torch.manual_seed(0)
    groups = find_groups(read(BUILT_IN["lenet5"].build(), torch.rand(2, 1, 28, 28)))
    x = np.random.default_rng(0).random((10, 1, 28, 28))
    formulation = Importance(groups, x, np.arange(10), ImportanceOptions(bounds="intact"))
    form = formulation.program().compile()
    assert formulation.activations is not None
    counts = formulation.activations.counts
    assert counts["on"] + counts["off"] + counts["unstable"] == 65_080
    assert counts["unstable"] < 200
    assert form.shape[1] <= groups.size + len(x) + 2 * counts["unstable"]
    assert form.shape[0] <= 18_040 + 9 * len(x) + 4 * counts["unstable"]  # none for the first layer's 47,040


def test_whole_layer_cannot_go_under_the_published_bounds(digits) -> None:
    groups, x, y = digits
    for group in groups.groups:
        program = Importance(groups, x, y, PUBLISHED).program()
        program.blocks["keep"].upper[group.slice] = 0.0
        assert solve(program).reason == "infeasible"


def test_dropping_the_trust_region_frees_the_program(digits) -> None:
    groups, x, y = digits
    options = ImportanceOptions(bounds="intact")
    tight = solve(Importance(groups, x, y, options).program())
    free = solve(Importance(groups, x, y, dataclasses.replace(options, trust_region=False)).program())
    assert free.rows < tight.rows
    assert free.objective < tight.objective - 1e-6


def test_larger_weight_of_the_loss_keeps_more(digits) -> None:
    groups, x, y = digits
    kept = []
    for weight in (0.01, 1.0, 100.0):
        formulation = Importance(groups, x, y, ImportanceOptions(loss="cross_entropy", weight=weight))
        scores, _ = formulation.interpret(solve(formulation.program())).flat(groups)
        kept.append(scores.sum())
    assert kept[0] < kept[1] < kept[2]


def test_gated_program_is_sound() -> None:
    """Solved to optimality, the network with its fractional gates gives the very outputs that the program claims."""
    _, groups, x = make("mlp")
    samples = x.double().numpy()
    y = groups.network(samples).argmax(1)
    formulation = Importance(groups, samples, y, ImportanceOptions(bounds="gated", weight=1.0))
    solution = solve(formulation.program())
    assert solution.held == "proven"
    assert formulation.activations is not None
    assert formulation.activations.determined(solution)
    s, _ = formulation.interpret(solution).flat(groups)
    outputs = formulation.groups.network(samples, formulation.activations._edits(solution))
    assert solution.objective == pytest.approx(hinge(outputs, y) + sparsity(groups, s, "layers"), abs=1e-5)


def test_relaxing_the_gated_program_says_nothing(digits) -> None:
    """Its optimum removes everything at no loss, so the scores rank nothing: z has to be integer."""
    groups, x, y = digits
    program = Importance(groups, x, y, ImportanceOptions(bounds="gated")).program()
    for block in program.blocks.values():
        block.domain = "continuous"
    solution = solve(program)
    assert solution.objective == pytest.approx(0, abs=1e-6)
    assert solution["keep"].max() < 1e-6


@pytest.mark.parametrize("kind", ["max_pool", "residual", "norm_after_relu", "no_relu"])
@pytest.mark.parametrize("bounds", ["linear", "intact"])
def test_works_on_every_kind_of_network(kind: str, bounds: str) -> None:
    _, groups, x = make(kind)
    samples = x.double().numpy()
    y = groups.network(samples).argmax(1)
    formulation = Importance(groups, samples, y, ImportanceOptions(bounds=bounds))  # type: ignore[arg-type]
    solution = solve(formulation.program())
    assert solution.held == "proven"
    scores, _ = formulation.interpret(solution).flat(groups)
    assert scores.shape == (groups.size,)


def test_regression_with_squared_error() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    x = torch.randn(20, 3)
    groups = find_groups(read(module, x[:2]))
    with torch.no_grad():
        y = module(x).numpy()
    formulation = Importance(groups, x.double().numpy(), y, ImportanceOptions(loss="squared", weight=50.0))
    solution = solve(formulation.program())
    assert solution.held == "proven"
    s, _ = formulation.interpret(solution).flat(groups)
    scaled = groups.network(x.double().numpy(), {groups.sites[0]: lambda h: h * s})  # one layer: exact
    error = ((scaled - y) ** 2).sum(1).mean()
    assert solution.objective == pytest.approx(50 * error + s.mean(), rel=1e-4)


def test_by_class_averages_the_programs_of_the_classes(digits) -> None:
    groups, x, y = digits
    together = ImportanceByClass(groups, x, y, ImportanceOptions()).run(solve)
    parts = []
    for label in np.unique(y):
        formulation = Importance(groups, x[y == label], y[y == label], ImportanceOptions())
        parts.append(formulation.interpret(solve(formulation.program())).flat(groups)[0])
    np.testing.assert_allclose(together.flat(groups)[0], np.mean(parts, axis=0))


@pytest.mark.parametrize("per", ["layer", "global"])
def test_steps_remove_in_order_and_stop_when_it_is_enough(digits, per: str) -> None:
    groups, x, y = digits
    seen: list[np.ndarray] = []

    def enough(alive: np.ndarray) -> bool:
        seen.append(alive.copy())
        return alive.sum() <= 0.5 * alive.size

    scores = ImportanceInSteps(groups, x, y, ImportanceOptions(), 0.1, per, enough).run(solve)  # type: ignore[arg-type]
    assert all((later <= earlier).all() for earlier, later in itertools.pairwise(seen))
    value, tie = scores.flat(groups)
    for alive in seen:  # ranking by the result repeats the removals
        if not alive.all():
            assert value[~alive].max() < value[alive].min()
    assert seen[-1].sum() <= 0.5 * groups.size < seen[-2].sum()
    assert np.isfinite(tie).all()


def test_removed_units_are_seen_as_removed_by_the_next_linearisation() -> None:
    """The outputs of the linear program on a partly pruned network are those of the masked network."""
    for kind in ("mlp", "max_pool", "residual"):
        _, groups, x = make(kind)
        samples = x.double().numpy()
        alive = np.arange(groups.size) % 3 != 0
        formulation = Importance(groups, samples, groups.network(samples).argmax(1), alive=alive)
        program = formulation.program()
        program.blocks["keep"].lower[:] = alive
        outputs, slopes = formulation._taylor
        np.testing.assert_allclose(outputs, groups.network(samples, groups.mask(alive)), atol=1e-12)
        assert not slopes[:, :, ~alive].any()


@pytest.mark.parametrize(
    ("labels", "loss", "message"),
    [
        (None, "hinge", "needs labels"),
        (np.array([0, 1, 2, 3, 4, 11]), "hinge", "labels run from 0 to 11"),
        (np.array([0.5] * 6), "cross_entropy", "needs class numbers"),
        (np.zeros((6, 7)), "squared", "targets have 7"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, loss: str, message: str) -> None:
    _, groups, x = make("mlp")
    with pytest.raises(DataError, match=message):
        Importance(groups, x.double().numpy(), labels, ImportanceOptions(loss=loss))  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"bounds": "none"}, {"loss": "l0"}, {"weight": -1.0}, {"radius": float("nan")}])
def test_unknown_options_are_refused(change) -> None:
    with pytest.raises(InputError, match="importance"):
        ImportanceOptions(**change)


def test_contested_maxima_are_known_to_be_free_in_a_relaxation() -> None:
    """Where two candidates of a pool are closer than the radius, the relaxed program may choose between them."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3))
    nn.init.constant_(module[0].bias, 1.0)
    x = torch.zeros(3, 1, 4, 4)  # equal activations everywhere, in intervals that are narrower at the border
    groups = find_groups(read(module, x))
    samples = x.double().numpy()
    y = groups.network(samples).argmax(1)
    formulation = Importance(groups, samples, y, ImportanceOptions(bounds="intact"))
    solution = solve(formulation.program())
    assert formulation.activations is not None
    assert formulation.activations.counts["contested"] > 0
    assert not formulation.activations.determined(solution)
    formulation.interpret(solution)


def test_radius_and_clamp_are_in_pixels() -> None:
    """A network that takes normalised images gives the program of the network that normalises by itself."""
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    pixels = torch.rand(6, 1, 4, 4).double()
    pixels[0, 0, 0] = 0.0  # at the end of the range, where the clamp acts
    normal = (pixels - 0.4) / 0.2
    groups = find_groups(read(inner, normal[:2]))
    y = groups.network(normal.numpy()).argmax(1)
    raw = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), *inner[2:]).double()
    with torch.no_grad():
        raw[1].weight.copy_(inner[1].weight / 0.2)
        raw[1].bias.copy_(inner[1].bias - 2.0 * inner[1].weight.sum(1))
    twin = find_groups(read(raw, pixels[:2]))
    setting = {"bounds": "intact", "radius": 0.01, "clamp": (0.0, 1.0)}
    one = solve(Importance(groups, normal.numpy(), y, ImportanceOptions(**setting, mean=0.4, std=0.2)).program())
    two = solve(Importance(twin, pixels.numpy(), y, ImportanceOptions(**setting)).program())
    assert one.objective == pytest.approx(two.objective, abs=1e-5)


@pytest.mark.parametrize("change", [{"radius": 0.1}, {"clamp": (0, 1)}, {"trust_region": False}, {"mean": 0.5}])
def test_options_that_would_not_be_heard_are_refused(change) -> None:
    with pytest.raises(InputError, match="belong to bounds='intact'"):
        ImportanceOptions(**change)


@pytest.mark.parametrize("kind", ["mlp", "residual"])
def test_an_answer_that_the_gated_network_contradicts_is_refused(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, groups, x = make(kind)
    samples = x.double().numpy()
    formulation = Importance(groups, samples, groups.network(samples).argmax(1), ImportanceOptions(bounds="intact"))
    solution = solve(formulation.program())
    assert formulation.activations is not None
    assert formulation.activations.determined(solution)
    replayed, replay = [], Activations.replay

    def watched(self: Activations, *given):
        replayed.append((self, *given))
        return replay(self, *given)

    monkeypatch.setattr(Activations, "replay", watched)
    formulation.interpret(solution)
    assert [(a, s) for a, s, _ in replayed] == [(formulation.activations, solution)]
    np.testing.assert_array_equal(replayed[0][2], samples)
    # Without its first layer the network leaves the trust region, and the rows that forbid it are not looked at here.
    keep = np.where(np.arange(groups.size) < groups.groups[0].size, 0.0, 1.0)
    corrupt = dataclasses.replace(solution, values={**solution.values, "keep": keep})
    with pytest.raises(UncheckedAnswer, match="differ"):
        formulation.interpret(corrupt)


@pytest.mark.parametrize("per", ["layer", "global"])
def test_within_a_step_a_larger_score_ranks_higher(per: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, groups, x = make("mlp")
    told: list[np.ndarray] = []  # the scores of each step
    alive: list[np.ndarray] = []

    class Told:
        """Answers each step with scores of its own."""

        def __init__(self, groups: Groups, *_, alive: np.ndarray) -> None:
            drawn = np.random.default_rng(len(told)).permutation(groups.size) / (groups.size - 1)
            told.append(np.where(alive, drawn, 0.0))

        def program(self) -> Program:
            return Program()

        def interpret(self, _: object) -> Scores:
            ties = np.zeros(groups.size)
            return Scores.of(groups, told[-1], ties, method="told", seconds=0.0, objective=0.0)

    def enough(now: np.ndarray) -> bool:
        alive.append(now.copy())
        return len(alive) == 3

    monkeypatch.setattr(importance_procedures, "Importance", Told)
    procedure = ImportanceInSteps(groups, x.numpy(), None, ImportanceOptions(), 0.3, per, enough)  # type: ignore[arg-type]
    value, _ = procedure.run(lambda *_: None).flat(groups)  # type: ignore[arg-type,return-value]
    went = [before & ~after for before, after in itertools.pairwise(alive)]
    for batch, scores in zip([*went, alive[-1]], told, strict=True):
        assert batch.sum() > 1
        np.testing.assert_array_equal(value[batch].argsort(), scores[batch].argsort())
