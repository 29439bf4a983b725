"""Where a network comes from: a built-in one with its recipe, a file, or the user's own class.

The inputs of the built-in networks lie in [0, 1]; each ends in ten scores without a softmax.
"""

from __future__ import annotations

import hashlib
import logging
import math
import pickle
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save as serialise
from torch import nn
from torch.nn import functional

from oamip.data import Data, Split, call_factory, load
from oamip.errors import DataError, InputError, ModelFileError

__all__ = [
    "BUILT_IN",
    "BuiltIn",
    "Recipe",
    "accuracy",
    "evaluating",
    "mean_squared_error",
    "open_model",
    "outputs",
    "train",
]

_log = logging.getLogger(__name__)

Progress = Callable[[int, int, float], None]
"""Called after each epoch with its number (from 1), the number of epochs, and the mean loss over it."""


@dataclass(frozen=True)
class Recipe:
    """How a built-in network is trained.

    Args:
        data: the data set it is meant for, as `oamip.data.load` names it.
        epochs: passes over the training part.
        batch: samples per step.
        optimiser: a key of `OPTIMISERS`.
        learning_rate: of the optimiser; constant.
    """

    data: str
    epochs: int
    batch: int
    optimiser: str
    learning_rate: float


@dataclass(frozen=True)
class BuiltIn:
    """A network that comes with oamip: its constructor, the shape of one sample, and its recipe."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    recipe: Recipe


def _fully_connected(*widths: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _digits_cnn() -> nn.Module:
    features = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)]
    features += [nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*features, nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def _lenet5() -> nn.Module:
    """LeNet-5 with ReLU; the padding lets images of 28 × 28 come down to the 400 features of the published layers."""
    features = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2)]
    features += [nn.Conv2d(6, 16, 5), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten()]
    head = [nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]
    return nn.Sequential(*features, *head)


_DIGITS = Recipe("digits", epochs=30, batch=32, optimiser="adam", learning_rate=2e-3)

# The paper trains for 30 epochs; fc3 with seed 0 then gets 98.3 % right, after 5 epochs 97.5 %.
_MNIST = Recipe("mnist", epochs=5, batch=128, optimiser="rmsprop", learning_rate=1e-3)

BUILT_IN: Mapping[str, BuiltIn] = {
    "digits-mlp": BuiltIn(lambda: _fully_connected(64, 32, 32, 10), (1, 8, 8), _DIGITS),
    "digits-cnn": BuiltIn(_digits_cnn, (1, 8, 8), _DIGITS),
    "fc3": BuiltIn(lambda: _fully_connected(784, 300, 100, 10), (1, 28, 28), _MNIST),
    "fc4": BuiltIn(lambda: _fully_connected(784, 200, 100, 100, 10), (1, 28, 28), _MNIST),
    "lenet5": BuiltIn(_lenet5, (1, 28, 28), _MNIST),
}
"""The built-in networks. `fc3`, `fc4` and `lenet5` follow the recipe of the OAMIP paper (RMSprop, 10⁻³, batches of
128) with 5 epochs where the paper took 30: give ``epochs=30`` for the paper's own."""

OPTIMISERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


# --- training and measuring ---


def train(
    module: nn.Module,
    data: Data,
    *,
    epochs: int,
    batch: int = 64,
    optimiser: str = "adam",
    learning_rate: float = 1e-3,
    seed: int = 0,
    progress: Progress | None = None,
) -> nn.Module:
    """Train a network in place on ``data.train``: cross entropy for labels, squared error for targets.

    Equal seeds give equal weights (one machine, one number of threads); torch's own generator is left as it was.

    Returns:
        The same module, in evaluation mode.

    Raises:
        DataError: the data has no labels or targets.
        InputError: the optimiser is unknown, a number is not positive, or the loss is no longer finite.
    """
    if optimiser not in OPTIMISERS:
        raise InputError(f"optimiser {optimiser!r} is unknown; choose one of {', '.join(OPTIMISERS)}")
    if epochs < 0 or batch < 1 or not learning_rate > 0:
        raise InputError(f"epochs={epochs}, batch={batch}, learning_rate={learning_rate}: all must be positive")
    x, y = _tensors(data.train, module)
    loss_of = functional.cross_entropy if data.train.labelled else functional.mse_loss
    steps = OPTIMISERS[optimiser]((p for p in module.parameters() if p.requires_grad), lr=learning_rate)
    module.train()
    with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
        torch.manual_seed(seed)
        for epoch in range(1, epochs + 1):
            total = 0.0
            for index in _batches(len(x), batch):
                steps.zero_grad()
                loss = loss_of(module(x[index]), y[index])
                loss.backward()  # type: ignore[no-untyped-call]
                steps.step()
                total += loss.item() * len(index)
            if not math.isfinite(total):
                raise InputError(
                    f"the loss became {total} in epoch {epoch} at learning rate {learning_rate}; take a smaller one"
                )
            if progress is not None:
                progress(epoch, epochs, total / len(x))
    return module.eval()


def _batches(n: int, size: int) -> Iterator[torch.Tensor]:
    order = torch.randperm(n)
    for start in range(0, n, size):
        index = order[start : start + size]
        if len(index) > 1 or n == 1 or size == 1:  # batch norm cannot train on a last batch of one
            yield index


def _tensors(split: Split, module: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples and targets, on the device and in the precision of the module."""
    if split.y is None:
        raise DataError("the data has no labels; give y to train or to measure accuracy")
    like = next(module.parameters(), torch.empty(0))
    x = torch.from_numpy(split.x).to(like.device, like.dtype)
    y = torch.from_numpy(split.y)
    return x, y.to(like.device) if split.labelled else y.to(like.device, like.dtype)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients; every submodule gets back the mode it had."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def outputs(module: nn.Module, split: Split, batch: int = 1000) -> NDArray[np.float64]:
    """What a network gives for all samples, in evaluation mode: (n, *output shape), its mode and hooks left alone."""
    like = next(module.parameters(), torch.empty(0))
    parts = []
    with evaluating(module):
        for start in range(0, len(split), batch):
            x = torch.from_numpy(split.x[start : start + batch]).to(like.device, like.dtype)
            parts.append(module(x).double().cpu().numpy())
    return np.concatenate(parts)


def accuracy(module: nn.Module, split: Split, batch: int = 1000) -> float:
    """Fraction of samples whose highest score is at their label, in evaluation mode.

    Raises:
        DataError: the split has no class labels.
    """
    if split.y is None or not split.labelled:
        raise DataError("accuracy needs class labels (n,); use mean_squared_error for regression")
    return float((outputs(module, split, batch).argmax(axis=1) == split.y).mean())


def mean_squared_error(module: nn.Module, split: Split, batch: int = 1000) -> float:
    """Squared error, the mean over samples and targets, in evaluation mode.

    Raises:
        DataError: the split has no targets (n, k), or the network gives another number of them.
    """
    if split.y is None or split.labelled:
        raise DataError("the mean squared error needs float targets (n, k); use accuracy for class labels")
    given = outputs(module, split, batch)
    if given.shape != split.y.shape:
        raise DataError(f"the network gives {given.shape[1:]} values, y has {split.y.shape[1:]}")
    return float(((given - split.y) ** 2).mean())


# --- opening ---


def open_model(
    spec: str,
    *,
    weights: Path | None = None,
    data: Data | None = None,
    seed: int = 0,
    epochs: int | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> nn.Module:
    """The network that a command line names, in evaluation mode.

    Args:
        spec: a key of `BUILT_IN`; a ``.safetensors`` file of `oamip.readers.saved`; a ``.pt2`` file of torch.export; or
            ``package.module:factory``, called without arguments (the working directory is importable).
        weights: a state dict for the network, safetensors or ``torch.save``; a built-in is then not trained.
        data: what a built-in trains on; by default the data set of its recipe.
        seed: of a built-in's initial weights and training.
        epochs: in place of the recipe's.
        cache: a folder that keeps trained built-ins, found again by network, data, seed and epochs.
        progress: see `train`.

    Raises:
        ModelFileError: a file or factory is missing, or does not hold what it should; it says what to do.
        DataError: the data does not fit the built-in network.
        UnsupportedOperator: a file holds an operator that cannot be read.
    """
    if spec in BUILT_IN:
        if weights is None:
            return _trained(spec, data, seed, epochs, cache, progress)
        module = BUILT_IN[spec].build()
    elif spec.endswith(".safetensors"):
        from oamip.readers import saved

        module = saved.load(spec)
    elif spec.endswith(".pt2"):
        from oamip.readers.exported import load_exported

        module = load_exported(spec)
    elif ":" in spec:
        module = call_factory(spec, error=ModelFileError)
        if not isinstance(module, nn.Module):
            raise ModelFileError(f"{spec} returns {type(module).__name__}; let it return a torch.nn.Module")
    else:
        kinds = f"{', '.join(BUILT_IN)}, FILE.safetensors, FILE.pt2 or package.module:factory"
        raise ModelFileError(f"model {spec!r} is unknown; give {kinds}")
    if weights is not None:
        _load_weights(module, Path(weights))
    _refuse_not_finite(module.state_dict(), spec)
    return module.eval()


def _trained(
    name: str, data: Data | None, seed: int, epochs: int | None, cache: Path | None, progress: Progress | None
) -> nn.Module:
    built_in = BUILT_IN[name]
    recipe = built_in.recipe
    data = load(recipe.data, seed=seed) if data is None else data
    epochs = recipe.epochs if epochs is None else epochs
    if data.train.shape != built_in.shape or data.classes is None or data.classes > 10:
        raise DataError(
            f"{name} takes samples of shape {built_in.shape} in at most 10 classes; "
            f"'{data.name}' has shape {data.train.shape} and {data.classes} classes"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = built_in.build()
    file = None if cache is None else Path(cache) / _cache_name(name, data, seed, epochs)
    if file is not None and _from_cache(module, file):
        return module.eval()
    train(
        module,
        data,
        epochs=epochs,
        batch=recipe.batch,
        optimiser=recipe.optimiser,
        learning_rate=recipe.learning_rate,
        seed=seed,
        progress=progress,
    )
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}")  # same folder: only there is replacing atomic
        temporary.write_bytes(serialise(module.state_dict()))
        temporary.replace(file)
    return module


def _cache_name(name: str, data: Data, seed: int, epochs: int) -> str:
    """A file name that changes with everything that changes the weights."""
    digest = hashlib.sha256(repr((name, BUILT_IN[name].recipe, data.name, seed, epochs, data.train.shape)).encode())
    digest.update(np.ascontiguousarray(data.train.x).data)
    if data.train.y is not None:
        digest.update(np.ascontiguousarray(data.train.y).data)
    return f"{name}-{digest.hexdigest()[:20]}.safetensors"


def _from_cache(module: nn.Module, file: Path) -> bool:
    if not file.exists():
        return False
    try:
        _load_weights(module, file)
    except ModelFileError as error:
        _log.warning("training again, the kept weights cannot be used: %s", error)
        return False
    return True


def _load_weights(module: nn.Module, path: Path) -> None:
    """Put a file's state dict into a module; names and shapes must agree."""
    found = _state_dict(path)
    wanted = module.state_dict()
    # Files from before batch norm counted its batches lack the count, and evaluation does not use it.
    missing = [name for name in wanted if name not in found and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in found if name not in wanted]
    other = [
        f"{name} {tuple(found[name].shape)} for {tuple(wanted[name].shape)}"
        for name in wanted
        if name in found and found[name].shape != wanted[name].shape
    ]
    faults = {"missing": missing, "unexpected": unexpected, "of another shape": other}
    if any(faults.values()):
        text = "; ".join(f"{len(names)} {fault}: {_few(names)}" for fault, names in faults.items() if names)
        raise ModelFileError(f"{path} does not fit {type(module).__name__}: {text}; give weights of the same network")
    _refuse_not_finite(found, str(path))
    module.load_state_dict(found, strict=False)


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _state_dict(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise ModelFileError(f"{path} is missing; give the path of an existing file of weights")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                content: Any = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ModelFileError(
            f"{path} is damaged, or a pickle that could run code; write it with torch.save(model.state_dict(), FILE)"
        ) from None
    # A damaged file makes torch raise almost anything; the user gets one error that names the file.
    except Exception as error:
        raise ModelFileError(f"{path} cannot be read as weights: {type(error).__name__}: {error}") from error
    for wrapper in ("state_dict", "model_state_dict"):  # what training scripts save beside optimiser and epoch
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(v, torch.Tensor) for v in content.values())
    ):
        raise ModelFileError(f"{path} holds no state dict; write it with torch.save(model.state_dict(), FILE)")
    parallel = all(str(name).startswith("module.") for name in content)  # as DataParallel names them
    return {str(name)[7 if parallel else 0 :]: tensor for name, tensor in content.items()}


def _refuse_not_finite(tensors: Mapping[str, torch.Tensor], place: str) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelFileError(f"{place}: tensor '{name}' holds NaN or infinity; train the network again")
