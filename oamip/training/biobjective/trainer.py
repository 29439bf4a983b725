"""One solve: weights in, a trained network and its point out, kept on disk.

A `Trainer` is what searches call. It can be pickled, so that any `concurrent.futures.Executor` runs it, and everything
that it finds is in its folder: asked again for the same weights with the same settings, also by another process after a
kill, it reads the point instead of training, and a training that was cut off goes on from its last epoch.
"""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as serialise
from torch import nn

from oamip.data import Data
from oamip.errors import InputError, ModelFileError, UnsupportedOperator
from oamip.files import write_atomically
from oamip.learning import Method, Plan, Row, fit
from oamip.learning.checkpoint import fingerprint
from oamip.pruning.removal import duplicate
from oamip.readers import saved
from oamip.training.biobjective.dead import count_dead
from oamip.training.biobjective.methods import Moments, MultiGradient, WeightedSum
from oamip.training.biobjective.objectives import Objectives
from oamip.training.biobjective.point import Point
from oamip.training.biobjective.search import Weights
from oamip.training.biobjective.zeroing import Zeroing
from oamip.weights import load_weights

__all__ = ["Recipe", "Trainer"]

_log = logging.getLogger(__name__)
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Recipe:
    """How each point is trained, beside its weights and the `Plan`.

    Args:
        include, exclude, ridge: of `Objectives`.
        optimiser: ``adam``, ``rmsprop`` or ``sgd``.
        moments: ``joint`` or ``separate``.
        zeroing: pruning while it trains.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    ridge: float = 0.0
    optimiser: str = "adam"
    moments: Moments = "joint"
    zeroing: Zeroing = field(default_factory=Zeroing)

    def objectives(self, module: nn.Module) -> Objectives:
        """The two objectives of a module."""
        return Objectives(module, include=self.include, exclude=self.exclude, ridge=self.ridge)

    def method(self, module: nn.Module, weights: Weights | None) -> Method:
        """Weighted sum for some weights, multi-gradient for ``None``."""
        objectives, moments, zeroing = self.objectives(module), self.moments, self.zeroing
        if weights is None:
            return MultiGradient(objectives, optimiser=self.optimiser, moments=moments, zeroing=zeroing)
        return WeightedSum(objectives, weights, optimiser=self.optimiser, moments=moments, zeroing=zeroing)


@dataclass(frozen=True, eq=False)
class Trainer:
    """Trains a copy of one network for the weights it is called with.

    Args:
        module: where every training starts; never changed.
        data: three parts, or a function without arguments that gives them: where processes train and the data is
            large, a function that can be pickled (``functools.partial(oamip.data.load, "mnist", data_dir=...)``) spares
            sending it, and each process calls it once.
        folder: keeps the points.
        plan: epochs, batch, learning rate, schedule, seed.
        recipe: the rest.
        progress: told of every epoch; it does not travel to other processes.
    """

    module: nn.Module
    data: Data | Callable[[], Data]
    folder: Path
    plan: Plan
    recipe: Recipe = field(default_factory=Recipe)
    progress: Callable[[str], None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "progress": None}

    def __call__(self, weights: Weights | None) -> Point:
        """The point for some weights; ``None`` trains by stochastic multi-gradient.

        Torch has one generator for each process and one number of threads, so trainings in threads of one process take
        turns, on one torch thread each: executors of processes are what makes them run side by side.
        """
        with _one_at_a_time, _one_torch_thread():
            module, data = duplicate(self.module), self.open_data()
            method = self.recipe.method(module, weights)
            name = self._name(method, data)
            return self._kept(name) or self._trained(name, weights, module, method, data)

    def for_epochs(self, epochs: int) -> Trainer:
        """The same for another number of epochs."""
        return replace(self, plan=replace(self.plan, epochs=epochs))

    def open_data(self) -> Data:
        """The data, called for once in each process."""
        return self.data if isinstance(self.data, Data) else _opened(self.data)

    def open(self, point: Point) -> nn.Module:
        """The network of a point, in evaluation mode.

        Raises:
            ModelFileError: its file is missing or damaged.
        """
        path = self.folder / point.file
        try:
            return saved.load(path)
        except ModelFileError:  # weights alone
            module = duplicate(self.module)
            load_weights(module, path)
            return module.eval()

    # ── one training ───────────────────────────────────────────────────────────────────────────────────────────────

    def _trained(self, name: str, weights: Weights | None, module: nn.Module, method: Method, data: Data) -> Point:
        running, started, worked = self._points / f"{name}.run", time.perf_counter(), time.thread_time()
        what = "multi-gradient" if weights is None else f"λ2 = {weights[1]:.3g}"

        def told(row: Row) -> None:
            if self.progress is not None:
                epochs = self.plan.epochs
                self.progress(f"training, {what}: epoch {row['epoch']:.0f}/{epochs}, loss {row['loss']:.4f}")

        history = fit(module, method, data, self.plan, folder=running, resume=True, progress=told)
        seconds, cpu = time.perf_counter() - started, time.thread_time() - worked
        objectives = self.recipe.objectives(module)
        f1, f2, right = objectives.measure(data.score)
        example = torch.from_numpy(data.train.x[:2]).to(objectives.kernels[0])
        dead, parameters = self._dead(module, example)
        c2 = tuple(row["c2"] for row in history.rows) if weights is None else ()
        last = c2[-1] if c2 else 0.0
        point = Point(
            weights=(1.0 - last, last) if weights is None else weights,
            f1=f1,
            f2=f2,
            accuracy=None if np.isnan(right) else right,
            nonzeros=objectives.nonzeros(),
            dead=dead,
            parameters=parameters,
            seconds=seconds,
            cpu=cpu,
            epochs=len(history.rows),
            file=f"points/{name}.safetensors",
            method="smgd" if weights is None else "weighted-sum",
            c2=c2,
        )
        self._write(module, example, self.folder / point.file)
        write_atomically(self._points / f"{name}.json", json.dumps(point.to_dict(), indent=1))  # last: it says "done"
        shutil.rmtree(running, ignore_errors=True)
        return point

    def _write(self, module: nn.Module, example: torch.Tensor, path: Path) -> None:
        """The network, so that it loads without its class; its weights alone where it has operators without a name."""
        try:
            saved.save(module, example, path)
        except UnsupportedOperator as error:
            _log.info("the weights alone are kept: %s", error)
            state = {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}
            write_atomically(path, serialise(state))

    def _dead(self, module: nn.Module, example: torch.Tensor) -> tuple[int | None, int | None]:
        try:
            return count_dead(module, example)
        except UnsupportedOperator as error:
            _log.info("dead units are not counted: %s", error)
            return None, None

    # ── what is kept ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _points(self) -> Path:
        return self.folder / "points"

    def _name(self, method: Method, data: Data) -> str:
        """A name that changes with everything that changes the point."""
        told = json.dumps(fingerprint(self.module, method, self.plan, data), sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def _kept(self, name: str) -> Point | None:
        file = self._points / f"{name}.json"
        if not file.exists():
            return None
        try:
            point = Point.from_dict(json.loads(file.read_text(encoding="utf-8")))
            self.open(point)
        except (OSError, ValueError) as error:  # an InputError too
            _log.warning("training again, %s cannot be used: %s", file, error)
            return None
        return point


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Sums in another number of threads round in another order, and the weights would differ."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


_latest: tuple[bytes, Data] | None = None


def _opened(source: Callable[[], Data]) -> Data:
    """What a source gives; the last one is remembered by its pickle, so that a process calls it once."""
    global _latest
    try:
        key = pickle.dumps(source)
    except Exception:  # whatever a source that cannot be pickled raises: it then serves this process alone
        key = repr(source).encode()
    if _latest is None or _latest[0] != key:
        data = source()
        if not isinstance(data, Data):
            raise InputError(f"the source of the data gives {type(data).__name__}; let it return an oamip.data.Data")
        _latest = key, data
    return _latest[1]
