"""The public surface and the three-line doors."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import oamip
import oamip.data
from oamip.decision import Decision
from oamip.errors import BudgetError, DataError, InputError, MismatchError, ModelFileError, UnsupportedOperator


@pytest.fixture(scope="module")
def task() -> tuple[nn.Module, np.ndarray, np.ndarray]:
    torch.manual_seed(0)
    x = torch.randn(400, 4)
    y = (x[:, 0] > x[:, 1]).long() + (x[:, 2] > 0).long()
    net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3))
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(150):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimiser.step()
    return net.eval(), x.numpy(), y.numpy()


def test_everything_public_is_there() -> None:
    assert oamip.__all__ == sorted(oamip.__all__, key=lambda name: (not name[0].isupper(), name))
    for name in oamip.__all__:
        assert getattr(oamip, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = oamip.nothing


def test_import_is_light() -> None:
    code = "import sys, oamip; assert not {'torch', 'numpy', 'scipy', 'highspy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_prune_leaves_the_module_alone_and_keeps_its_class(task) -> None:
    net, x, y = task
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    result = oamip.prune(net, (x, y), budget="units=0.5", scoring=oamip.Scoring(samples=30), baselines=("random",))
    assert type(result.module) is type(net)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert result.report.result.measured.units == 14
    assert result.solution is not None
    assert result.solution.verified
    assert result.report.result.measured.score > 0.6


def test_a_network_that_labels_every_position_takes_no_single_labels() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    x = torch.rand(40, 1, 5, 5)
    with pytest.raises(DataError, match=r"\(2, 3, 3\) numbers for each, not one score per class"):
        oamip.prune(net, (x, torch.arange(40) % 2), budget="units=0.5", scoring="l2")


def test_any_kind_of_data_will_do(task) -> None:
    net, x, y = task
    dataset = TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    for data in ((torch.from_numpy(x), torch.from_numpy(y)), dataset, DataLoader(dataset, batch_size=32)):
        result = oamip.prune(net, data, budget="params=0.6", scoring="l2", refit=False)
        assert result.report.result.measured.params <= 0.6 * result.report.original.params


def test_equal_seeds_give_equal_results(task) -> None:
    net, x, y = task
    scoring = oamip.Scoring(samples=20)
    one, two, three = (
        oamip.prune(net, (x, y), budget="units=0.5", scoring=scoring, epochs=1, seed=seed).module for seed in (0, 0, 1)
    )
    same = [torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True)]
    assert all(same)
    assert not all(
        a.shape == b.shape and torch.equal(a, b) for a, b in zip(one.parameters(), three.parameters(), strict=True)
    )


def test_scores_are_cut_as_often_as_wanted(task) -> None:
    net, x, y = task
    scores = oamip.score(net, (x, y), scoring=oamip.Scoring(samples=30))
    for keep in (0.75, 0.5, 0.25):
        result = oamip.prune(net, (x, y), budget=oamip.Budget("units", keep), scores=scores, refit=False)
        assert result.report.result.measured.units == int(keep * 28)
        assert result.solution is None


def test_baselines_meet_the_same_budget(task) -> None:
    net, x, y = task
    report = oamip.prune(
        net, (x, y), budget="macs=0.5", scoring="jacobian", baselines=("l1", "random"), refit=False
    ).report
    assert all(row.measured.macs <= 0.5 * report.original.macs for row in report.rows[1:])


def test_threshold_keeps_equal_counts_for_the_baselines(task) -> None:
    net, x, y = task
    result = oamip.prune(net, (x, y), threshold=0.5, scoring=oamip.Scoring(samples=30), baselines=("l2",), refit=False)
    assert len({row.measured.params for row in result.report.rows[1:]}) == 1


def test_strangers_formulations_are_found_and_may_decide_by_themselves(task, monkeypatch) -> None:
    import oamip.pruning.pipeline as pipeline

    net, x, y = task

    class FirstHalf:
        def __init__(self, groups, x, y, request):
            self.groups = groups

        def program(self):
            program = oamip.Program()
            keep = program.variables("keep", self.groups.size, domain="binary")
            for number, group in enumerate(self.groups.groups):
                program.add(f"half_{number}", keep[group.slice].sum() == group.size // 2)
            program.minimize((keep * np.arange(self.groups.size)).sum())
            return program

        def interpret(self, solution):
            return Decision.of(self.groups, solution["keep"] > 0.5)

    monkeypatch.setattr(pipeline, "find_formulation", lambda name: FirstHalf)
    result = oamip.prune(net, (x, y), scoring="first-half")
    assert [mask.tolist() for mask in result.decision.keep.values()] == [
        [True] * 8 + [False] * 8,
        [True] * 6 + [False] * 6,
    ]


def test_clear_refusals(task) -> None:
    net, x, y = task
    with pytest.raises(BudgetError, match="say how much to keep"):
        oamip.prune(net, (x, y))
    with pytest.raises(DataError, match="no labels"):
        oamip.prune(net, x, budget="units=0.5")
    with pytest.raises(InputError, match="no formulation 'magic'"):
        oamip.prune(net, (x, y), budget="units=0.5", scoring="magic")
    with pytest.raises(DataError, match="outputs"):
        oamip.prune(net, (x, np.arange(400) % 7), budget="units=0.5")
    with pytest.raises(DataError, match="choose 4000"):
        oamip.prune(net, (x, y), budget="units=0.5", scoring=oamip.Scoring(samples=4000))
    with pytest.raises(UnsupportedOperator, match="SiLU at '1'"):
        oamip.prune(nn.Sequential(nn.Linear(4, 3), nn.SiLU(), nn.Linear(3, 3)), (x, y), budget="units=0.5")
    with pytest.raises(InputError, match="shape"):
        oamip.prune(nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 3)), (x, y), budget="units=0.5")


def test_slips_of_python_users_get_a_way_out(task) -> None:
    net, x, y = task
    for change, error, message in [
        ({"budget": 0.5}, BudgetError, "write 'units=0.5'"),
        ({"options": {"time_limit": 3}}, InputError, "options must be Options, not dict"),
        ({"epochs": -1}, InputError, "epochs=-1"),
        ({"learning_rate": 0.0}, InputError, "learning_rate"),
        ({"budget": "units=1"}, BudgetError, "keeps everything"),
        ({"scoring": oamip.Scoring(samples=0)}, DataError, "at least one"),
    ]:
        with pytest.raises(error, match=message):
            oamip.prune(net, (x, y), **{"budget": "units=0.5", **change})
    with pytest.raises(InputError, match="model must be Module, not OrderedDict"):
        oamip.prune(net.state_dict(), (x, y), budget="units=0.5")
    report = oamip.prune(net, (x, y), budget="units=0.5", scoring="l2", baselines="l1,random", refit=False).report
    assert [row.name for row in report.rows] == ["reference", "l2", "l1", "random"]
    assert oamip.Scope(include="0").include == ("0",)


def test_layers_that_a_view_freezes_are_named(task) -> None:
    class Rigid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.hidden, self.head = nn.Conv1d(1, 3, 1), nn.Linear(12, 8), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.conv(x.unsqueeze(1))).view(-1, 12)
            return self.head(torch.relu(self.hidden(x)))

    _, x, y = task
    report = oamip.prune(Rigid(), (x, y), budget="units=0.5", scoring="l2", refit=False).report
    assert "12" in report.whole["conv"]
    assert "conv stays whole" in report.table()
    assert set(report.whole) == {"conv"}  # that the last layer stays is no news


def test_a_network_that_only_guesses_is_doubted(task, caplog) -> None:
    _, x, y = task
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    nn.init.constant_(net[2].bias, 0.0)
    net[2].bias.data[2] = 100.0
    oamip.prune(net, (x, y), budget="units=0.5", scoring="l2", refit=False)
    assert "is it trained" in caplog.text


def test_a_saved_result_loads_without_its_class(task, tmp_path) -> None:
    net, x, y = task
    result = oamip.prune(net, (x, y), budget="units=0.5", scoring="l2")
    result.save(tmp_path)
    again = oamip.load(tmp_path / "model.safetensors")
    torch.testing.assert_close(again(torch.from_numpy(x)), result.module(torch.from_numpy(x)))


@pytest.fixture(scope="module")
def pruned(task):
    net, x, y = task
    return oamip.prune(net, (x, y), budget="units=0.5", scoring="l2"), torch.from_numpy(x)


def test_a_result_is_saved_in_three_forms_that_all_load(pruned, tmp_path) -> None:
    result, x = pruned
    result.save(tmp_path, ("safetensors", "pt2", "onnx"))
    for ending in ("safetensors", "pt2", "onnx"):
        again = oamip.load(tmp_path / f"model.{ending}")
        torch.testing.assert_close(again(x), result.module(x))
        assert again(x[:1]).shape == (1, 3)
        assert sum(p.numel() for p in again.parameters()) == sum(p.numel() for p in result.module.parameters())


def test_a_format_that_fails_is_named_and_the_others_stay(pruned, tmp_path, monkeypatch) -> None:
    from oamip.writers import onnx_graph
    from oamip.writers.steps import Positive

    result, _ = pruned
    monkeypatch.setitem(onnx_graph.RULES, Positive, lambda w, step, _: w.input(step))
    with pytest.raises(ModelFileError, match=r"model\.onnx is not written.*: model\.pt2, model\.safetensors"):
        result.save(tmp_path, ("onnx", "pt2", "safetensors"))
    assert {path.name for path in tmp_path.glob("model.*")} == {"model.pt2", "model.safetensors"}
    with pytest.raises(MismatchError, match=r"model\.onnx"):
        result.save(tmp_path, ["onnx"])
    assert not (tmp_path / "model.pt2").exists()  # of the decision before
    assert (tmp_path / "decision.json").exists()
    with pytest.raises(InputError, match="no format 'pth'; there are safetensors, pt2, onnx"):
        result.save(tmp_path / "new", ("safetensors", "pth"))
    assert not (tmp_path / "new").exists()


def test_no_network_of_an_earlier_decision_stays(pruned, tmp_path) -> None:
    (tmp_path / "model.onnx").write_text("of another decision")
    (tmp_path / "model.mine").write_text("not of oamip")
    pruned[0].save(tmp_path)
    assert {path.name for path in tmp_path.glob("model.*")} == {"model.safetensors", "model.mine"}


class OneNumber(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 8), nn.Linear(8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).relu()).squeeze(-1)


@pytest.mark.parametrize("targets", [(300,), (300, 1)])
def test_a_network_that_gives_one_number_for_each_sample_is_pruned(targets, tmp_path) -> None:
    torch.manual_seed(0)
    net, x = OneNumber().eval(), torch.randn(300, 4)
    y = net(x).detach() + 0.1 * torch.randn(300)
    options = {"budget": "units=0.5", "scoring": "taylor", "epochs": 1}
    oamip.to_onnx(oamip.read(net, x[:1]), tmp_path / "net.onnx")
    assert oamip.read(tmp_path / "net.onnx")(x[:3].numpy()).shape == (3,)
    result = oamip.prune(net, (x, y.reshape(targets)), **options)
    assert result.module(x).shape == (300,)
    assert result.report.table()
    assert result.report.original.metric == "mse"
    with pytest.raises(DataError, match="one number for each sample"):
        oamip.prune(net, (x, (y > 0).long()), **options)


def test_a_softmax_at_the_end_is_told_when_a_format_cannot_have_it(task, tmp_path, caplog) -> None:
    net, x, y = task
    result = oamip.prune(nn.Sequential(*net, nn.Softmax(dim=1)), (x, y), budget="units=0.5", scoring="l2")
    result.save(tmp_path, ("safetensors", "onnx"))
    assert "left out" in caplog.text
    with_it, without = (oamip.load(tmp_path / f"model.{kind}")(torch.from_numpy(x)) for kind in ("safetensors", "onnx"))
    torch.testing.assert_close(without.softmax(1), with_it)


def test_files_are_pruned_and_scored_like_modules(pruned, task, tmp_path) -> None:
    _, x, y = task
    pruned[0].save(tmp_path, ("safetensors", "pt2", "onnx"))
    kept = []
    for ending in ("safetensors", "pt2", "onnx"):
        path = tmp_path / f"model.{ending}"
        result = oamip.prune(path, (x, y), budget="units=0.5", scoring="l2", refit=False)
        assert result.report.network == path.name
        kept.append([mask.tolist() for mask in result.decision.keep.values()])
        assert oamip.score(str(path), (x, y), scoring="l2").values
    assert kept[0] == kept[1] == kept[2]
    with pytest.raises(DataError, match=r"\(3,\), the network takes \(4,\)"):
        oamip.prune(tmp_path / "model.onnx", (x[:, :3], y), budget="units=0.5")
    with pytest.raises(ModelFileError, match="ending in"):
        oamip.prune("digits-mlp", (x, y), budget="units=0.5")
    with pytest.raises(ModelFileError, match=r"none\.onnx is missing"):
        oamip.load("none.onnx")


def test_a_box_in_pixels_goes_through_the_normalisation_of_the_data(task) -> None:
    net, x, y = task
    options = oamip.ImportanceOptions.published(clamp=(-5.0, 5.0), radius=1e-2)
    data = oamip.data.as_data((x, y))
    raw = oamip.score(net, data.normalised(0.5, 2.0), importance=options)
    by_hand = oamip.data.as_data((x, y)).normalised(0.5, 2.0)
    said = oamip.score(net, replace(by_hand, mean=(), std=()), importance=replace(options, mean=0.5, std=2.0))
    for name, values in raw.values.items():
        np.testing.assert_allclose(values, said.values[name], atol=1e-6)
    with pytest.raises(InputError, match=r"mean=0.4, and the data is normalised with mean=\(0.5,\)"):
        oamip.score(net, data.normalised(0.5, 2.0), importance=replace(options, mean=0.4))


def test_ctrl_c_while_solving_stops_the_run(task, monkeypatch) -> None:
    import oamip.facade as facade
    from oamip.solving import solver_for

    net, x, y = task

    def interrupted(backend: str, solver: str, **_: object):
        solve = solver_for(backend, solver)
        return lambda program, options=None: replace(solve(program, options), reason="interrupted")

    monkeypatch.setattr(facade, "solver_for", interrupted)
    with pytest.raises(KeyboardInterrupt):
        oamip.prune(net, (x, y), budget="units=0.5")


def test_an_infeasible_program_names_the_rows_that_clash(task, monkeypatch) -> None:
    import oamip.pruning.pipeline as pipeline
    from oamip.errors import InfeasibleProgram
    from oamip.formulations import Importance

    net, x, y = task

    class Impossible(Importance):
        def __init__(self, groups, x, y, request):
            super().__init__(groups, x, y)

        def program(self):
            program = super().program()
            keep = program.blocks["keep"]
            program.add("at_most_two", keep.sum() <= 2)
            program.add("at_least_three", keep[:20].sum() >= 3)
            return program

    monkeypatch.setattr(pipeline, "find_formulation", lambda name: Impossible)
    with pytest.raises(InfeasibleProgram, match="at_most_two, at_least_three") as caught:
        oamip.prune(net, (x, y), budget="units=0.5")
    assert caught.value.rows == ("at_most_two", "at_least_three")


def test_a_rare_class_does_not_shrink_the_samples(task, caplog) -> None:
    net, x, y = task
    rare = np.flatnonzero(y == 2)[10:]
    keep = np.setdiff1d(np.arange(len(y)), rare)
    scores = oamip.score(net, (x[keep], y[keep]))
    assert scores.facts["samples"] > 30
    assert "of class 2" in caplog.text


def test_choices_that_would_not_be_heard_are_refused(task) -> None:
    net, x, y = task
    scores = oamip.score(net, (x, y), scoring="l2")
    for change, message in [
        ({"scores": scores, "scoring": "l1"}, "give one of scoring, scores and decision"),
        ({"scoring": oamip.Scoring(by_class=True, steps=0.1)}, "leave steps out"),
        ({"scoring": oamip.Scoring("l2", by_class=True)}, "belong to formulation 'importance'"),
    ]:
        with pytest.raises(InputError, match=message):
            oamip.prune(net, (x, y), budget="units=0.5", **change)


def test_impossible_budgets_are_refused_before_anything_is_solved(task, monkeypatch) -> None:
    import oamip.facade as facade

    def never(backend: str, solver: str, **_: object):
        return lambda program, options=None: pytest.fail("a program was solved")

    monkeypatch.setattr(facade, "solver_for", never)
    net, x, y = task
    with pytest.raises(BudgetError, match="smallest reachable"):
        oamip.prune(net, (x, y), budget="params=5")
