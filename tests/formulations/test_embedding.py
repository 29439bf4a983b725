"""The program and the network must say the same, for every encoding, gate and choice of units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from oamip.bounds import Box, interval
from oamip.encodings import BigM
from oamip.errors import InputError, UncheckedAnswer
from oamip.formulations import Gates, embed
from oamip.gates import ExactGate, Gate, ShiftGate
from oamip.network import Groups, find_groups
from oamip.program import Program
from oamip.readers import read
from oamip.solving import solve

Small = tuple[nn.Module, Groups, torch.Tensor]


def masks(groups: Groups, count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.ones(groups.size, dtype=bool), *(rng.random(groups.size) < 0.6 for _ in range(count))]


@pytest.mark.parametrize("gate", [ShiftGate(), ExactGate()], ids=["shift", "exact"])
def test_gated_samples_reproduce_the_masked_network(small: Small, gate: Gate) -> None:
    _, groups, x = small
    samples = x[:2].double().numpy()
    bounds = interval(groups.network, Box.of(samples, samples), groups)
    for keep in masks(groups, 3):
        program = Program()
        m = program.variables("keep", groups.size, keep.astype(float), keep.astype(float))
        activations = embed(program, groups.network, bounds, samples, Gates(groups, m, gate))
        program.minimize(m.sum())
        solution = solve(program)
        assert solution.held == "proven"
        assert activations.determined(solution)
        masked = groups.network(samples, groups.mask(keep))
        np.testing.assert_allclose(solution.value(activations.output), masked, atol=2e-6)
        assert activations.replay(solution, samples) <= 2e-6


@pytest.mark.parametrize("gate", [ShiftGate(), ExactGate()], ids=["shift", "exact"])
def test_one_layer_on_samples_needs_no_rows_and_no_columns(gate: Gate) -> None:
    module = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 2))
    x = torch.rand(5, 1, 6, 6)
    groups = find_groups(read(module, x))
    samples = x.double().numpy()
    program = Program()
    m = program.variables("keep", groups.size, 0, 1)
    activations = embed(
        program,
        groups.network,
        interval(groups.network, Box.of(samples, samples), groups),
        samples,
        Gates(groups, m, gate),
    )
    assert list(program.blocks) == ["keep"]
    assert not program.rows
    keep = np.array([0.3, 1.0, 0.0])  # also for fractional m: the activation is m · a⁺
    expected = groups.network(samples, {groups.sites[0]: lambda h: h * keep[:, None, None]})
    np.testing.assert_allclose(activations.output.value({"keep": keep}), expected, atol=1e-12)


def test_maximum_over_a_box_is_attained_and_not_beaten_by_sampling(small: Small) -> None:
    module, groups, x = small
    network = groups.network
    box = Box.around(x[:1].double().numpy(), 0.15)
    bounds = interval(network, box)
    program = Program()
    inputs = program.variables("x", (1, *network[network.inputs[0]].shape), box.lower, box.upper)
    activations = embed(program, network, bounds, inputs)
    program.maximize(activations.output[0, 0] - activations.output[0, 1])
    solution = solve(program)
    assert solution.held == "proven"
    best = solution["x"]
    assert activations.replay(solution, best) <= 1e-6
    rng = np.random.default_rng(0)
    drawn = rng.uniform(box.lower[0], box.upper[0], (3000, *best.shape[1:]))
    outputs = network(drawn)
    assert (outputs[:, 0] - outputs[:, 1]).max() <= solution.objective + 1e-6
    with torch.no_grad():
        y = module.double()(torch.from_numpy(best))[0]
    assert float(y[0] - y[1]) == pytest.approx(solution.objective, abs=1e-6)


def test_relaxation_bounds_the_exact_optimum(small: Small) -> None:
    _, groups, x = small
    box = Box.around(x[:1].double().numpy(), 0.15)
    values = []
    for relaxed in (False, True):
        program = Program()
        inputs = program.variables("x", box.lower.shape, box.lower, box.upper)
        out = embed(
            program, groups.network, interval(groups.network, box), inputs, encoding=BigM(relaxed=relaxed)
        ).output
        program.maximize(out[0, 0])
        values.append(solve(program).objective)
    assert values[1] >= values[0] - 1e-7


def test_two_copies_of_a_network_live_in_one_program() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    network = read(module, torch.rand(1, 2))
    box = Box.of(np.zeros((1, 2)), np.ones((1, 2)))
    program = Program()
    x = program.variables("x", (1, 2), 0, 1)
    first = embed(program, network, interval(network, box), x, prefix="a_").output
    second = embed(program, network, interval(network, box), x, prefix="b_").output
    program.maximize((first - second).reshape(-1)[0])
    assert solve(program).objective == pytest.approx(0, abs=1e-7)


def test_wrong_bounds_are_caught_by_replaying(monkeypatch: pytest.MonkeyPatch) -> None:
    module = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2))
    torch.manual_seed(1)
    groups = find_groups(read(module, torch.rand(1, 2)))
    box = Box.of(np.full((1, 2), -1.0), np.full((1, 2), 1.0))
    bounds = interval(groups.network, box)
    before = groups.network.predecessor(groups.sites[0])
    wrong = {name: bounds[name] for name in groups.network.order}
    wrong[before] = (wrong[before][0], -np.abs(wrong[before][1]))  # claims that every unit is off
    program = Program()
    x = program.variables("x", (1, 2), -1, 1)
    activations = embed(program, groups.network, wrong, x)
    program.maximize(x.sum())
    solution = solve(program)
    with pytest.raises(UncheckedAnswer, match="differ"):
        activations.replay(solution, solution["x"])


def test_inputs_of_another_shape_are_refused(small: Small) -> None:
    _, groups, x = small
    samples = x.double().numpy()
    bounds = interval(groups.network, Box.of(samples, samples))
    with pytest.raises(InputError, match="samples of shape"):
        embed(Program(), groups.network, bounds, samples[..., :-1])


@pytest.mark.parametrize("trust_region", [True, False])
def test_a_rival_may_not_overtake_the_winner_of_a_pool_inside_the_trust_region(trust_region: bool) -> None:
    """Activations x and 1.1 − x are pooled as 2 m x + (1.1 − x) at x = 1 and x = 0.2: the first wins for m ≥ 1/2."""
    module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 1, 1), nn.MaxPool2d((1, 2)), nn.Flatten())
    with torch.no_grad():
        module[0].weight[:], module[0].bias[:] = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1), torch.tensor([0.0, 1.1])
        module[2].weight[:], module[2].bias[:] = torch.tensor([2.0, 1.0]).reshape(1, 2, 1, 1), 0.0
    samples = np.array([1.0, 0.2]).reshape(1, 1, 1, 2)
    groups = find_groups(read(module, torch.from_numpy(samples).float()))
    assert groups.size == 2
    program = Program()
    keep = program.variables("keep", 2, [0.0, 1.0], 1.0)
    bounds = interval(groups.network, Box.around(samples, 1e-7))
    gates = Gates(groups, keep, ShiftGate(assumed=True), trust_region)
    activations = embed(program, groups.network, bounds, samples, gates, BigM(relaxed=True))
    assert (activations.counts["contested"], activations.counts["unstable"]) == (0, 0)
    program.minimize(keep.sum())
    solution = solve(program)
    assert solution.held == "proven"
    assert any("_stays_largest" in str(rows) for rows in program.rows) == trust_region
    if trust_region:
        assert solution["keep"][0] == pytest.approx(0.5, abs=1e-5)
        assert activations.replay(solution, samples) <= 1e-6
    else:  # and this is what the rows are for
        assert solution["keep"][0] < 1e-5
        with pytest.raises(UncheckedAnswer, match="differ"):
            activations.replay(solution, samples)
