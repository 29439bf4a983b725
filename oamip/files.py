"""Files: written whole or not at all, and read only as far as their size promises."""

from __future__ import annotations

import gzip
import secrets
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from oamip.errors import InputError

__all__ = ["read_bytes", "write_atomically"]

_EXPANSION = 64
"""Weights and decimal numbers hardly compress; what grows by more was made to fill the memory."""
_HARMLESS = 2**26


def read_bytes(path: Path, largest: int, *, error: type[InputError] = InputError) -> bytes:
    """Read a file whole, unpacked if its name ends in ``.gz``.

    Args:
        path: of the file.
        largest: number of bytes, unpacked, that are still read.
        error: raised where it cannot be.

    Raises:
        InputError: of the kind ``error``; the file is missing, too long, or packed and damaged.
    """
    if not path.is_file():
        raise error(f"{path} is missing; give the path of an existing file")
    try:
        packed, size = path.suffix == ".gz", path.stat().st_size
        limit = min(largest, max(_HARMLESS, _EXPANSION * size)) if packed else largest
        with gzip.open(path) if packed else path.open("rb") as file:
            content = file.read(limit + 1) if packed or size > limit else file.read()
    except (OSError, EOFError, zlib.error) as failed:
        raise error(f"{path} cannot be read: {failed}") from failed
    if len(content) > limit:
        raise error(f"{path} holds more than {limit} bytes, which is too long for what it is; check where it is from")
    return content


def write_atomically(
    path: Path,
    content: str | bytes,
    *,
    check: Callable[[Path], object] | None = None,
    folders: bool = True,
    error: type[InputError] = InputError,
) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new and never half of it.

    Args:
        path: where to.
        content: text is written as UTF-8.
        check: looks at the new file before it takes its place; what it raises keeps the old one.
        folders: make those that are missing; else a mistyped folder is told, not made.
        error: raised where the file cannot be written.

    Raises:
        InputError: of the kind ``error``; the file cannot be written there.
    """
    if not folders and not path.parent.is_dir():
        raise error(f"{path}: cannot be written (there is no folder {path.parent})")
    if not path.name:
        raise error(f"'{path}' is a folder; give the name of a file")
    data = content.encode() if isinstance(content, str) else content
    # In the same folder, since `replace` is atomic within one file system only.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        if check is not None:
            check(temporary)
        temporary.replace(path)
    except OSError as failed:
        raise error(f"{path}: cannot be written ({failed.strerror or failed})") from None
    finally:
        with suppress(OSError):
            temporary.unlink()
