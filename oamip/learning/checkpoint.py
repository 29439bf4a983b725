"""A run on disk: one file for everything it goes on from, so that no kill can leave half of it.

``checkpoint.pt`` is written by ``torch.save`` and read with ``weights_only=True``: tensors and plain data, no classes.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from oamip.data import Data, Split
from oamip.errors import InputError, ModelFileError
from oamip.files import write_atomically

if TYPE_CHECKING:
    from oamip.learning.loop import Plan
    from oamip.learning.method import Method

__all__ = ["Checkpoint", "fingerprint", "identity"]

_FORMAT, _VERSION = "oamip-training", 2
_DIGEST = "sha256:"


def fingerprint(module: nn.Module, method: Method, plan: Plan, data: Data) -> dict[str, str]:
    """Everything that changes the weights at the end of a run, and so must be equal for it to go on.

    Args:
        module: with the weights that the run begins with.
        method: how it is trained.
        plan: for how long.
        data: its parts that train and validate.

    Raises:
        InputError: a function of the plan has no name by which it could be told from another.
    """
    planned = plan.settings()
    for name in ("schedule", "augment"):
        if "<" in planned[name]:  # a lambda, a function within another, an object that tells its address
            raise InputError(
                f"{name}={planned[name]} cannot be told from another when a run goes on: with a folder give a function "
                "at the top of a module, or an object whose repr tells its fields"
            )
    layout, weights = identity(module)
    settings: Mapping[str, Any] = {
        **planned,
        "network": layout,
        "frozen": [name for name, parameter in module.named_parameters() if not parameter.requires_grad],
        **method.settings(),
        "initial weights": weights,
        "training data": _digest(*_content(data.train)),
        "validation data": _digest(*_content(data.score)),
    }
    return {name: json.dumps(value) for name, value in settings.items()}


def identity(module: nn.Module) -> tuple[str, str]:
    """Digests of what a network is (modules, shapes, types, what is shared) and of all numbers in it.

    Raises:
        InputError: a parameter has no numbers yet.
    """
    tensors = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    first: dict[int, str] = {}
    shared = {name: first.setdefault(id(tensor), name) for name, tensor in tensors.items()}
    extra = {name: value for name, value in module.state_dict().items() if name not in tensors}  # `get_extra_state`
    try:
        shapes = [(name, shared[name], str(tensor.dtype), tuple(tensor.shape)) for name, tensor in tensors.items()]
        numbers = [
            tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy() for tensor in tensors.values()
        ]
    except (NotImplementedError, RuntimeError, ValueError) as error:
        raise InputError(f"a parameter of {type(module).__name__} has no numbers yet: {error}") from None
    kept = io.BytesIO()
    torch.save(extra, kept)
    layout = re.sub(r" at 0x[0-9a-f]+", "", str(module))  # an address changes from run to run
    return _digest(f"{layout} {shapes}".encode()), _digest(*(part.data for part in numbers), kept.getvalue())


def _digest(*parts: bytes | memoryview) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return _DIGEST + digest.hexdigest()[:32]


def _content(split: Split) -> Iterator[bytes | memoryview]:
    for array in (split.x, split.y):
        if array is not None:
            yield f"{array.dtype} {array.shape}".encode()
            yield np.ascontiguousarray(array).data


class Checkpoint:
    """The files of one run.

    Args:
        folder: that keeps them.
        wanted: its fingerprint.
    """

    def __init__(self, folder: Path, wanted: dict[str, str]) -> None:
        self.file, self.table, self._wanted = folder / "checkpoint.pt", folder / "history.json", wanted

    def exists(self, *, resume: bool) -> bool:
        """Whether there is something to go on from.

        Raises:
            InputError: there is, and nobody said that the run should go on.
        """
        if self.file.exists() and not resume:
            raise InputError(f"{self.file} holds a run: say resume to go on with it, or give another folder")
        return self.file.exists()

    def save(self, state: Mapping[str, Any], history: Mapping[str, Any]) -> None:
        """Write the state, whole or not at all, and the history for people to read."""
        content = io.BytesIO()
        torch.save({"format": _FORMAT, "version": _VERSION, "run": self._wanted, **state}, content)
        write_atomically(self.file, content.getvalue())
        write_atomically(self.table, json.dumps(history, indent=1))

    def load(self) -> dict[str, Any]:
        """The state that `save` wrote.

        Raises:
            InputError: it is of another run.
            ModelFileError: it is damaged, or no checkpoint.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch warns of archives it then refuses
                state = torch.load(self.file, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise ModelFileError(f"{self.file} is damaged ({reason}); delete it to begin anew") from None
        if not isinstance(state, dict) or (state.get("format"), state.get("version")) != (_FORMAT, _VERSION):
            raise ModelFileError(f"{self.file} is no checkpoint of this version of oamip; delete it to begin anew")
        found: dict[str, str] = state["run"]
        other = [name for name in {**self._wanted, **found} if found.get(name) != self._wanted.get(name)]
        if other:
            name = other[0]
            was, now = found.get(name), self._wanted.get(name)
            differ = f"not with the same {name}" if _DIGEST in f"{was}" else f"{name} was {was}, now it is {now}"
            raise InputError(f"{self.file} is of another run: {differ}; give the same settings, or another folder")
        return state
