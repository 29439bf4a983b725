"""Files that appear whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from oamip.errors import InputError

__all__ = ["write_atomically"]


def write_atomically(
    path: Path,
    content: str | bytes,
    *,
    check: Callable[[Path], object] | None = None,
    error: type[InputError] = InputError,
) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new and never half of it.

    Args:
        path: where to; folders are made.
        content: text is written as UTF-8.
        check: looks at the new file before it takes its place; what it raises keeps the old one.
        error: raised where the file cannot be written.

    Raises:
        InputError: of the kind ``error``; the file cannot be written there.
    """
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
