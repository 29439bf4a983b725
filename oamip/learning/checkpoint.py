"""A run on disk: one file for everything it goes on from, so that no kill can leave half of it.

``checkpoint.pt`` is written by ``torch.save`` and read with ``weights_only=True``: tensors and plain data, no classes.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from oamip.data import Split
from oamip.errors import InputError, ModelFileError
from oamip.files import write_atomically

if TYPE_CHECKING:
    from oamip.learning.loop import Plan
    from oamip.learning.method import Method

__all__ = ["Checkpoint", "fingerprint"]

_FORMAT, _VERSION = "oamip-training", 1


def fingerprint(method: Method, plan: Plan, train: Split) -> dict[str, str]:
    """What must be equal for a run to go on: the method, the plan, and the training data."""
    digest = hashlib.sha256(np.ascontiguousarray(train.x).data)
    if train.y is not None:
        digest.update(np.ascontiguousarray(train.y).data)
    settings: Mapping[str, Any] = {**plan.settings(), **method.settings(), "data": digest.hexdigest()[:16]}
    return {name: json.dumps(value) for name, value in settings.items()}


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
        other = sorted(name for name in found.keys() | self._wanted if found.get(name) != self._wanted.get(name))
        if other:
            name = other[0]
            raise InputError(
                f"{self.file} is of another run: {name} was {found.get(name)}, now it is {self._wanted.get(name)}; "
                "give the same settings, or another folder"
            )
        return state
