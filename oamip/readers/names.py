"""Names from files that may go into a torch.fx graph.

torch.fx writes the names of nodes and modules into Python source that it then executes, so only plain names may pass:
letters, digits and underscores, no keyword, nothing that would hide a part of `torch.fx.GraphModule` itself.
"""

from __future__ import annotations

import keyword
import re

from torch import fx

__all__ = ["is_identifier", "is_path", "legal"]


def is_identifier(name: str) -> bool:
    """Whether a name can stand for a value or an argument.

    Example:
        >>> is_identifier("conv_1"), is_identifier("1 + f()"), is_identifier("lambda"), is_identifier("__class__")
        (True, False, False, False)
    """
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
    return plain is not None and not keyword.iskeyword(name) and not name.startswith("__")


def is_path(path: str) -> bool:
    """Whether a dotted path can lead to a module or tensor.

    Example:
        >>> is_path("features.0.weight"), is_path("features..0"), is_path("forward")
        (True, False, False)
    """
    return all(
        re.fullmatch(r"[A-Za-z0-9_]+", part)
        and not (part.startswith("__") or keyword.iskeyword(part))
        and not hasattr(fx.GraphModule, part)
        for part in path.split(".")
    )


def legal(name: str) -> str:
    """The nearest plain name.

    Example:
        >>> legal("a.b"), legal("1 + f()"), legal("forward")
        ('a_b', 'value_1___f', 'value_forward')
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", name).strip("_") or "value"
    return f"value_{name}" if name[0].isdigit() or keyword.iskeyword(name) or hasattr(fx.GraphModule, name) else name
