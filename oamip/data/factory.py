"""A user's own function, named on a command line."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oamip.errors import InputError

__all__ = ["call_factory"]


def call_factory(spec: str, *, error: type[InputError]) -> Any:
    """Call ``package.module:factory`` without arguments; the working directory is importable meanwhile.

    Raises:
        InputError: of the kind ``error``; the module or the factory is not found (what there is, is listed), or
            importing or calling it failed.
    """
    module_name, _, factory_name = spec.partition(":")
    if module_name.endswith(".py") or "/" in module_name:
        named = module_name.removesuffix(".py").strip("./").replace("/", ".")
        raise error(f"{spec}: name the module as in an import, {named}:{factory_name}")
    with _working_directory_importable():
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as missing:
            if missing.name is None or not f"{module_name}.".startswith(f"{missing.name}."):
                raise error(
                    f"{spec}: importing {module_name} needs the module '{missing.name}', not installed"
                ) from missing
            raise error(f"{spec}: there is no module '{missing.name}', neither installed nor in {Path.cwd()}") from None
        except Exception as failed:
            raise error(f"{spec}: importing {module_name} failed with {type(failed).__name__}: {failed}") from failed
        factory: Callable[[], Any] | None = getattr(module, factory_name, None) if factory_name else None
        if not callable(factory):
            names = sorted(k for k, v in vars(module).items() if callable(v) and not k.startswith("_"))
            raise error(f"{spec}: {module_name} has no callable '{factory_name}'; it has {', '.join(names) or 'none'}")
        try:
            return factory()
        except Exception as failed:
            raise error(f"{spec} raised {type(failed).__name__}: {failed}") from failed


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    # Appended, not put first: a file random.py of the user's must not hide the standard library.
    here = str(Path.cwd())
    sys.path.append(here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(here)
