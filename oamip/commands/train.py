"""``oamip train``."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from oamip.commands.flags import Flag, Units, Way, Where, check_output, console, progress
from oamip.commands.solving import Solving
from oamip.commands.training import ON_GROUPS, Penalty, Training, check_pruning, check_used

if TYPE_CHECKING:
    from torch import nn

    from oamip.budget import Scope
    from oamip.data import Data
    from oamip.learning import Descent, Method, Plan, Row
    from oamip.pruning.report import Report
    from oamip.training.spr import Trained

__all__ = ["train"]


def train(
    model: Annotated[
        str,
        Parameter(
            help="digits-mlp, digits-cnn, fc3, fc4, lenet5, resnet20 or package.module:factory, begun anew (a factory: "
            "with the weights that it gives) unless --weights are given; or a file that oamip saved (.safetensors) or "
            "an ONNX file, trained on from its weights."
        ),
    ],
    *,
    method: Literal["spr", "group-lasso", "ridge", "bigm", "weighted-sum", "smgd", "plain"] = "spr",
    out: Path,
    resume: Flag = False,
    then_prune: str | None = None,
    weights: Path | None = None,
    training: Training = Training(),  # noqa: B008
    penalty: Penalty = Penalty(),  # noqa: B008
    where: Where = Where(),  # noqa: B008
    units: Units = Units(),  # noqa: B008
    way: Way = Way(),  # noqa: B008
    solving: Solving = Solving(),  # noqa: B008
) -> None:
    """Train a network so that whole filters and neurons die, cut them off, and report.

    For example: oamip train digits-cnn --lam 6 --alpha 0.1 --epochs 15 --batch 32 --out small

    A run that was killed goes on to the same result with --resume. What is written goes into oamip prune as it is.

    Args:
        method: spr (structured perspective regularisation); group-lasso, ridge or bigm to compare with; weighted-sum or
            smgd (cross-entropy against the L1 norm of the dense layers); or plain.
        out: folder for model.safetensors, report.json, report.md, training.json and checkpoints; with a penalty on
            groups also decision.json, with --then-prune compared.json and the pruned network.
        resume: go on with the run in --out.
        then_prune: also prune the result to this share of the plain network's parameters, and the plain network to the
            same and to the size of the result, for example params=0.2: one table for all.
        weights: a state dict to begin with (safetensors, or torch.save; loaded with weights_only).
    """
    from oamip.budget import Budget

    wanted = None if then_prune is None else Budget.parse(then_prune)
    check_used(method, penalty, training, solving)
    if wanted is None:
        check_pruning(method, penalty, units, way, solving)
    check_output(out, folder=True)
    with progress() as tell:
        if wanted is not None:
            from oamip.training.compare import check_budget

            check_budget(wanted)
        run = _Run(model, method, out, resume, training, penalty, where, weights, units, tell)
        report, small = run.grouped() if method in ON_GROUPS else run.other()
        print(_table(report), end="")
        for note in run.notes:
            print(note)
        if wanted is not None:
            _then_prune(run, small, wanted, way, solving)
    print(f"Written to {out}: {', '.join(run.written)}")


class _Run:
    """One call: data, network and reference opened, a method chosen, files written."""

    def __init__(
        self,
        model: str,
        method: str,
        out: Path,
        resume: bool,
        training: Training,
        penalty: Penalty,
        where: Where,
        weights: Path | None,
        units: Units,
        tell: Callable[[str], None],
    ) -> None:
        tell("loading torch")
        from oamip.budget import Scope

        self.model, self.method, self.out, self.resume = model, method, out, resume
        self.training, self.penalty, self.tell = training, penalty, tell
        self.seed, self.weights = where.seed, weights
        self.optimiser = training.optimiser or ("sgd" if method in ON_GROUPS else "adam")
        self.scope: Scope = Scope(units.include, units.exclude, units.least, units.multiple)
        self.plan = self._plan()
        tell(f"loading {where.data}")
        self.data: Data = where.open()
        self._reference: nn.Module | None = None
        self.notes: list[str] = []
        self.written: list[str] = []

    def _plan(self) -> Plan:
        from oamip.learning import Plan, parse_schedule

        rate = self.training.learning_rate
        return Plan(
            self.training.epochs,
            self.training.batch,
            rate if rate is not None else (0.1 if self.optimiser == "sgd" else 1e-3),
            parse_schedule(self.training.schedule),
            self.training.patience,
            self.seed,
        )

    # ── networks ───────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> nn.Module:
        """Where the training begins: random weights of the seed for a built-in network, else what the network has."""
        import torch

        from oamip.models import fitted, open_model

        self.tell(f"opening {self.model}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)  # a factory draws weights too
            module = open_model(self.model, weights=self.weights, data=self.data, seed=self.seed, epochs=0)
        self.data = fitted(self.data, module)  # an ONNX file fixes the shape of samples
        return module

    def reference(self) -> nn.Module:
        """The plainly trained network, made once."""
        from oamip.learning import accuracy, doubt_untrained, fit
        from oamip.models import FILES
        from oamip.weights import load_weights

        if self._reference is None:
            module = self._reference = self.start()
            if self.penalty.reference is not None:
                load_weights(module, self.penalty.reference)
            elif self.weights is None and not self.model.endswith(tuple(FILES)):  # nobody has trained it
                told = partial(self._epoch, "reference")
                where = self.out / "reference"
                fit(module, self._plain(module), self.data, self.plan, folder=where, resume=self.resume, progress=told)
            doubt_untrained(accuracy(module.eval(), self.data.score), self.data.classes, "the reference network")
        return self._reference

    # ── methods ────────────────────────────────────────────────────────────────────────────────────────────────────

    def grouped(self) -> tuple[Report, nn.Module]:
        """A penalty on groups of weights, removal, fine-tuning."""
        import torch

        from oamip.training.spr import Recipe, WeightGroups, train_and_shrink

        p, module = self.penalty, self.start()
        recipe = Recipe(
            penalty=self.method,  # type: ignore[arg-type]
            lam=1.0 if p.lam is None else p.lam,
            alpha=p.alpha,
            descent=p.descent,
            scale=p.scale,
            coupled=not p.apart,
            linear=p.linear,
            optimiser=self.optimiser,
            weight_decay=self.training.weight_decay,
            finetune=p.finetune,
            finetune_rate=p.finetune_rate,
        )
        example = torch.from_numpy(self.data.train.x[:2])
        WeightGroups.of(module, example, linear=p.linear, scope=self.scope)  # a wrong scope is told before any training
        needed = self.method in ("spr", "bigm") or p.reference is not None
        result: Trained = train_and_shrink(
            module,
            self.data,
            recipe,
            self.plan,
            reference=self.reference() if needed else None,
            scope=self.scope,
            name=Path(self.model).name,
            folder=self.out,
            resume=self.resume,
            progress=self._epoch,
            tell=self.tell,
        )
        result.save(self.out)
        self._write("training.json", {**result.facts(), "plan": self.plan.settings()})
        self.written = ["model.safetensors", "decision.json", "report.json", "report.md", "training.json"]
        self.notes.append(str(result.counts))
        if result.cut is not None:
            cut = result.cut
            self.notes.append(
                f"Weights up to {cut.threshold:.4g} count as zero, groups with {cut.share:.4g} of theirs above it too; "
                f"validation accuracy {cut.accuracy[0]:.2%} before, {cut.accuracy[2]:.2%} after."
            )
        return result.report, result.module

    def other(self) -> tuple[Report, nn.Module]:
        """Any other method of the loop, its dead units cut off."""
        from oamip.files import write_atomically
        from oamip.readers import saved
        from oamip.training.by_method import train_by

        module = self.start()
        outcome = train_by(
            module,
            self._method(module),
            self.data,
            self.plan,
            name=Path(self.model).name,
            label=self.method,
            folder=self.out,
            resume=self.resume,
            progress=self._epoch,
        )
        saved.save(outcome.module, outcome.example_input, self.out / "model.safetensors")
        self._write("report.json", outcome.report.to_dict())
        write_atomically(self.out / "report.md", outcome.report.markdown())
        self._write("training.json", {"history": outcome.history.to_dict(), "plan": self.plan.settings()})
        self.written = ["model.safetensors", "report.json", "report.md", "training.json"]
        return outcome.report, outcome.module

    def _method(self, module: nn.Module) -> Method:
        from oamip.training.biobjective.methods import MultiGradient, WeightedSum
        from oamip.training.biobjective.objectives import Objectives

        if self.method == "plain":
            return self._plain(module)
        objectives = Objectives(module, include=self.scope.include, exclude=self.scope.exclude)
        if self.method == "smgd":
            return MultiGradient(objectives, optimiser=self.optimiser)
        lam = 3e-4 if self.penalty.lam is None else self.penalty.lam
        return WeightedSum(objectives, (1.0 - lam, lam), optimiser=self.optimiser)

    def _plain(self, module: nn.Module) -> Descent:
        from oamip.learning import Descent

        momentum = {"momentum": 0.9} if self.optimiser == "sgd" else {}
        return Descent(module, self.optimiser, weight_decay=self.training.weight_decay, **momentum)

    # ── told and written ───────────────────────────────────────────────────────────────────────────────────────────

    def _epoch(self, stage: str, row: Row) -> None:
        names = {"loss": "loss {:.4f}", "zero_groups": "{:.1%} of groups zero", "accuracy": "accuracy {:.2%}"}
        told = [text.format(row[name]) for name, text in names.items() if name in row]
        epochs = self.penalty.finetune if stage == "fine tuning" else self.training.epochs
        self.tell(f"{stage}: epoch {int(row['epoch'])}/{epochs}, {', '.join(told)}")

    def _write(self, name: str, content: dict[str, Any]) -> None:
        from oamip.files import write_atomically

        write_atomically(self.out / name, json.dumps(content, indent=1))


def _then_prune(run: _Run, small: nn.Module, budget: Any, way: Way, solving: Solving) -> None:
    from oamip.pruning.result import Scoring
    from oamip.training.compare import compare

    report, both = compare(
        run.reference(),
        small,
        run.data,
        solving.open(),
        budget=budget,
        scoring=Scoring(way.formulation, way.samples, way.by_class, way.steps),
        name=Path(run.model).name,
        trained=run.method,
        scope=run.scope,
        options=solving.options(run.seed),
        seed=run.seed,
        progress=run.tell,
    )
    print(_table(report), end="")
    run._write("compared.json", report.to_dict())
    run.written.append("compared.json")
    if both is not None:
        both.save(run.out / "pruned")
        run.written.append("pruned/model.safetensors")


def _table(report: Report) -> str:
    width, colour = console()
    return report.table(width=width, colour=colour)
