"""The whole line: a trained module in, a smaller module, its decision and an honest report out.

    read → groups in scope → score → decide → remove → refit → fine-tune → measure, beside baselines at the same budget

Scoring uses ``data.score``, refit and fine-tuning use ``data.train``, the report uses ``data.test``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from oamip.budget import Budget, Scope
from oamip.data import Data, choose
from oamip.decision import Decision, Scores
from oamip.errors import BudgetError, DataError, InputError
from oamip.formulations.importance import ImportanceOptions
from oamip.learning import doubt_untrained, outputs
from oamip.network import OUTPUT, Groups, cost_of, find_groups
from oamip.options import Options
from oamip.pruning.baselines import BASELINES, baseline
from oamip.pruning.bench import Bench
from oamip.pruning.finetune import LEARNING_RATE, finetune
from oamip.pruning.recording import Recording
from oamip.pruning.refit import refit
from oamip.pruning.removal import remove
from oamip.pruning.report import Report, SolverFacts, group_counts, versions
from oamip.pruning.result import Result, Scoring
from oamip.pruning.scoring import Question, Request, find_formulation, score
from oamip.pruning.selection import meets, same_counts, select, threshold
from oamip.readers import read
from oamip.solution import Solution, Solve

__all__ = ["Pruning"]

Tell: TypeAlias = Callable[[str], None]
Mask: TypeAlias = NDArray[np.bool_]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pruning:
    """A module and data, ready to be scored and pruned.

    Args:
        module: trained; never changed.
        data: three parts.
        solve: solves a program; `oamip.solving.solver_for` makes one.
        name: of the network, for the report.
        scope: which groups may lose units.
        options: of every solve.
        seed: of everything random: samples, baselines, fine-tuning.
        progress: called with a line of text at every step.
    """

    module: nn.Module
    data: Data
    solve: Solve
    name: str = "network"
    scope: Scope = field(default_factory=Scope)
    options: Options = field(default_factory=Options)
    seed: int = 0
    progress: Tell | None = None

    # ── the network ────────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def groups(self) -> Groups:
        """All removable units of the network.

        Raises:
            InputError: the module cannot be read, or does not fit the data.
        """
        self._tell(f"reading {self.name}")
        groups = find_groups(read(self.module, self.example_input))
        if self.data.classes is None:
            return groups
        shape = groups.network.output.shape
        if shape == ():
            raise DataError(
                f"'{self.data.name}' has class labels, and the network gives one number for each sample; to predict "
                "that, give targets of real numbers, y.reshape(-1, 1)"
            )
        if len(shape) != 1:
            raise DataError(
                f"'{self.data.name}' has one label for each sample, and the network gives {shape} numbers for each, "
                "not one score per class; let it end in one, as with a mean over the positions"
            )
        (outputs,) = shape
        if self.data.classes > outputs:
            raise DataError(
                f"the labels of '{self.data.name}' run to {self.data.classes - 1}, "
                f"the network has {outputs} outputs (classes 0 to {outputs - 1})"
            )
        return groups

    @cached_property
    def scoped(self) -> Groups:
        """The units in scope."""
        return self.scope.select(self.groups)

    @cached_property
    def example_input(self) -> torch.Tensor:
        """Two samples, on the module's device and in its precision."""
        like = next(self.module.parameters(), torch.empty(0))
        return torch.from_numpy(self.data.train.x[:2]).to(like.device, like.dtype)

    # ── scoring ────────────────────────────────────────────────────────────────────────────────────────────────────

    def score(
        self,
        scoring: Scoring | None = None,
        importance: ImportanceOptions | None = None,
        budget: Budget | None = None,
    ) -> tuple[Scores | Decision, tuple[Solution, ...]]:
        """Score the units in scope, looking ahead to a budget if there is one.

        Returns:
            Scores (or the decision of a formulation that decides by itself), and all solutions in order.
        """
        scoring, importance = scoring or Scoring(), self._importance(importance)
        if scoring.formulation in BASELINES:
            self._refuse_unheard(scoring)
            return self._baseline(scoring.formulation, *self._hear(scoring.samples, importance)), ()
        question = self.question(scoring, importance, budget)
        solve = Recording(self.solve, self.options)
        return score(question, solve), tuple(solve.solutions)

    def question(
        self,
        scoring: Scoring | None = None,
        importance: ImportanceOptions | None = None,
        budget: Budget | None = None,
    ) -> Question:
        """What `score` asks of the solver: a formulation, whose program can be exported, or a procedure.

        Raises:
            InputError: no such formulation, or options that do not go together.
        """
        scoring, importance, scoped = scoring or Scoring(), self._importance(importance), self.scoped
        make = find_formulation(scoring.formulation)
        x, y = self._hear(scoring.samples, importance)
        self._tell(f"scoring {scoped.size} units on {len(x)} samples: {scoring.formulation}")
        request = Request(
            importance,
            scoring.by_class,
            None if scoring.steps == "once" or (budget is None and scoring.steps == "auto") else scoring.steps,
            budget.per if budget else "global",
            self._share(budget),
            None if budget is None else meets(budget, self.groups, scoped),
            self.progress,
        )
        return make(scoped, x, y, request)

    def samples(self, count: int, *, fill: bool = False) -> tuple[NDArray[np.float64], NDArray[Any] | None]:
        """``count`` samples of ``data.score`` by seed, class-balanced, among those that the network gets right.

        With ``fill``, classes that have too few give all they have, and the others make up for them.
        """
        split, classes = self.data.score, self.data.classes
        chosen = split.take(choose(split, count, seed=self.seed, classes=classes, correct=self._correct, fill=fill))
        if fill and classes and chosen.y is not None:
            rarest = np.bincount(chosen.y, minlength=classes)
            if rarest.min() < count // classes:
                heard = f"only {rarest.min()} samples" if rarest.min() else "no sample"
                _log.warning("scoring hears %s of class %d", heard, rarest.argmin())
        return chosen.x.astype(np.float64), chosen.y

    @cached_property
    def _correct(self) -> Mask | None:
        """Which samples of ``data.score`` the network gets right; ``None`` for all of them.

        That is so without class labels, and where some class is never right: it must be heard all the same.
        """
        split = self.data.score
        if split.y is None or not split.labelled:
            return None
        right: Mask = outputs(self.module, split).argmax(axis=1) == split.y
        unheard = sorted(set(split.y.tolist()) - set(split.y[right].tolist()))
        if unheard:
            _log.warning("the network gets no sample of class %s right; scoring on wrong ones too", unheard[0])
            return None
        return right

    def _importance(self, importance: ImportanceOptions | None) -> ImportanceOptions:
        """The options, with the squared loss where the data is a regression and nothing else was said.

        A box in pixels goes through the normalisation of the data.

        Raises:
            InputError: the options name another normalisation than the data has.
        """
        if importance is not None:
            return self._in_pixels(importance) if importance.bounds == "intact" and self.data.mean else importance
        return ImportanceOptions(loss="squared") if self.data.regression else ImportanceOptions()

    def _in_pixels(self, importance: ImportanceOptions) -> ImportanceOptions:
        mean, std = self.data.mean, self.data.std
        for word, numbers in (("mean", mean), ("std", std)):
            given = getattr(importance, word)
            if given is not None and tuple(np.atleast_1d(given)) != numbers:
                raise InputError(f"importance: {word}={given}, and the data is normalised with {word}={numbers}")
        return replace(importance, mean=mean, std=std)

    @staticmethod
    def _refuse_unheard(scoring: Scoring) -> None:
        if scoring.by_class or scoring.steps not in ("auto", "once"):
            raise InputError(f"by_class and steps belong to formulation 'importance', not to '{scoring.formulation}'")

    def _hear(
        self, count: int | None, importance: ImportanceOptions
    ) -> tuple[NDArray[np.float64], NDArray[Any] | None]:
        """The samples asked for; by default 200, or one of each class for a program with a row per activation."""
        if count is not None:
            return self.samples(count)
        return self.samples(200 if importance.bounds == "linear" else max(10, self.data.classes or 1), fill=True)

    def _baseline(self, name: str, x: NDArray[np.float64], y: NDArray[Any] | None) -> Scores:
        return baseline(name, self.groups.network, self.scoped, x, y, seed=self.seed)

    def _share(self, budget: Budget | None) -> float | None:
        """About how many of the units a budget keeps: exact for units, a hint for parameters and MACs."""
        if budget is None or budget.keep <= 1:
            return None if budget is None else budget.keep
        params, macs = cost_of(self.groups).count()
        return budget.keep / {"units": self.groups.size, "params": params, "macs": macs}[budget.measure]

    # ── deciding ───────────────────────────────────────────────────────────────────────────────────────────────────

    def decide(self, scores: Scores | Decision, budget: Budget | None, tau: float | None) -> Decision:
        """Pick the units that stay.

        Raises:
            BudgetError: neither or both of budget and threshold are given, or they cannot be met.
        """
        if isinstance(scores, Decision):
            return scores
        if (budget is None) == (tau is None):
            raise BudgetError(
                "say how much to keep: a budget such as units=0.5 or params=0.7, or a threshold, not both"
            )
        if budget is not None:
            return select(scores, self.groups, budget, self.scope)
        assert tau is not None
        return threshold(scores, self.groups, tau, self.scope)

    # ── the whole line ─────────────────────────────────────────────────────────────────────────────────────────────

    def run(
        self,
        *,
        budget: Budget | None = None,
        tau: float | None = None,
        scoring: Scoring | None = None,
        importance: ImportanceOptions | None = None,
        scores: Scores | None = None,
        decision: Decision | None = None,
        refitting: bool = True,
        refit_samples: int = 2000,
        epochs: int = 0,
        learning_rate: float = LEARNING_RATE,
        baselines: tuple[str, ...] = (),
    ) -> Result:
        """Score (unless scores or a decision are given), decide, remove, refit, fine-tune, and measure every stage."""
        self._check(budget, refit_samples, epochs, learning_rate)
        if sum(given is not None for given in (scoring, scores, decision)) > 1:
            raise InputError("give one of scoring, scores and decision: the others would not be looked at")
        solutions: tuple[Solution, ...] = ()
        if decision is None:
            answer: Scores | Decision
            answer, solutions = (scores, ()) if scores is not None else self.score(scoring, importance, budget)
            decision = self.decide(answer, budget, tau)
        if not decision.removed:
            raise BudgetError(f"nothing would be removed: {decision.note or 'the decision keeps every unit'}")
        bench = Bench(self.data.test)
        reference = bench.add("reference", "", self.module, self.groups.size)
        doubt_untrained(reference.score, self.data.classes, "the network itself")
        name = decision.scores.method.split(" ")[0] if decision.scores and decision.scores.method else "decision"
        fit = self._refit_data(refit_samples) if refitting else None
        small = self._shrink(bench, name, decision, fit)
        if epochs:
            self._finetune(small, epochs, learning_rate)
            bench.add(name, "fine-tuned", small, self._left(decision))
        if baselines:
            x, y = self._hear((scoring or Scoring()).samples, self._importance(importance))
        for simple in baselines:
            theirs = self._baseline(simple, x, y)
            if budget is not None:
                other = select(theirs, self.groups, budget, self.scope)
            else:
                other = same_counts(theirs, self.groups, decision)
            self._shrink(bench, simple, other, fit, baseline=True)
        self._tell("measuring times")
        report = Report(
            self.name,
            bench.rows(),
            method=decision.scores.method if decision.scores else "a given decision",
            budget=str(budget) if budget else (f"threshold {tau:g}" if tau is not None else ""),
            data=self.data.describe(),
            seed=self.seed,
            groups=group_counts(self.groups, decision),
            solver=SolverFacts.of(solutions) if solutions else None,
            whole={layer: reason for layer, reason in self.groups.frozen.items() if reason != OUTPUT},
            versions=versions(),
        )
        return Result(small, decision, report, solutions[-1] if solutions else None, self.example_input)

    def _check(self, budget: Budget | None, refit_samples: int, epochs: int, learning_rate: float) -> None:
        """Refuse what could only fail later, before any work is done."""
        if self.data.test.y is None:
            raise DataError("nothing to report on: the data has no labels; give (x, y)")
        if epochs < 0 or refit_samples < 1 or not learning_rate > 0:
            raise InputError(
                f"epochs={epochs} must be at least 0, refit_samples={refit_samples} at least 1, "
                f"learning_rate={learning_rate} positive"
            )
        if budget is not None and budget.keep == 1:
            raise BudgetError(f"nothing would be removed: the budget {budget} keeps everything")
        if budget is not None:  # what cannot be met by any scores is refused before they are made
            select(Scores.of(self.groups, np.zeros(self.groups.size), method="none"), self.groups, budget, self.scope)

    def _shrink(
        self, bench: Bench, name: str, decision: Decision, fit: NDArray[np.float32] | None, *, baseline: bool = False
    ) -> nn.Module:
        """Remove, and refit on ``fit``, measured after each."""
        self._tell(f"removing {decision.removed} units ({name})")
        small = remove(self.module, self.example_input, self.groups, decision, samples=self.data.score.x[:16])
        bench.add(name, "removed", small, self._left(decision), baseline=baseline)
        if fit is not None:
            self._tell(f"refitting ({name})")
            refit(small, self.module, fit, self.groups, decision)
            bench.add(name, "refit", small, self._left(decision), baseline=baseline)
        return small

    def _refit_data(self, count: int) -> NDArray[np.float32]:
        """So many training samples by seed, or all of them."""
        total = len(self.data.train)
        chosen = np.random.default_rng(self.seed).choice(total, min(count, total), replace=False)
        return self.data.train.x[np.sort(chosen)]

    def _finetune(self, small: nn.Module, epochs: int, learning_rate: float) -> None:
        train = self.data.train
        if train.y is None:
            raise DataError("fine-tuning needs labels, and the data has none: drop epochs")

        def told(epoch: int, total: int, loss: float) -> None:
            self._tell(f"fine-tuning: epoch {epoch}/{total}, loss {loss:.4f}")

        finetune(small, train.x, train.y, epochs=epochs, learning_rate=learning_rate, seed=self.seed, progress=told)

    def _left(self, decision: Decision) -> int:
        return self.groups.size - decision.removed

    def _tell(self, text: str) -> None:
        _log.info("%s", text)
        if self.progress is not None:
            self.progress(text)
