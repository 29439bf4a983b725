"""Files of weights: a state dict goes into the network that it was made from, or is refused by name."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from oamip.errors import ModelFileError

__all__ = ["load_weights", "refuse_not_finite"]


def load_weights(module: nn.Module, path: Path) -> None:
    """Put a file's state dict into a module; names and shapes must agree.

    Args:
        module: changed in place, and only when everything in the file fits.
        path: safetensors, or what ``torch.save`` wrote of a state dict, bare or as training scripts wrap it.

    Raises:
        ModelFileError: the file is missing, damaged, a pickle that could run code, of another network, or not finite.
    """
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
    refuse_not_finite(found, str(path))
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


def refuse_not_finite(tensors: Mapping[str, torch.Tensor], place: str) -> None:
    """Refuse NaN and infinity.

    Raises:
        ModelFileError: a tensor holds one; it and the ``place`` where it was found are named.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelFileError(f"{place}: tensor '{name}' holds NaN or infinity; train the network again")
