"""Errors that oamip raises on purpose cross from one process to another as they are."""

from __future__ import annotations

import oamip.errors as errors
from oamip.errors import OamipError
from oamip.solving.isolation.wire import Message

__all__ = ["error_in", "told"]


def told(error: OamipError) -> Message:
    """An error as a message: the nearest class of `oamip.errors`, its text, and its own plain fields."""
    kind = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    state = {name: value for name, value in vars(error).items() if isinstance(value, str | tuple)}
    return {"say": "raised", "kind": kind.__name__, "text": str(error), "state": state}


def error_in(message: Message) -> OamipError | None:
    """The error that a message tells of, or ``None`` when it tells of none."""
    kind = getattr(errors, str(message.get("kind")), None)
    if message.get("say") != "raised" or not (isinstance(kind, type) and issubclass(kind, OamipError)):
        return None
    error = kind.__new__(kind, str(message.get("text")))  # constructors of some make the text from their own fields
    vars(error).update(message["state"] if isinstance(message.get("state"), dict) else {})
    return error
