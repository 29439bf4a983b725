"""A driver by reference, so that another process can make one like it."""

from __future__ import annotations

import importlib
from typing import Any

from oamip.errors import InputError
from oamip.solving.driver import Driver
from oamip.solving.isolation.wire import Message, pack

__all__ = ["made_from", "reference"]


def reference(driver: Driver) -> Message:
    """Where the class of a driver is found, and the state of the object.

    Raises:
        InputError: the class cannot be imported by another process, or the state cannot travel.
    """
    kind, state = type(driver), dict(getattr(driver, "__dict__", {}))
    place = f"{kind.__module__}:{kind.__qualname__}"
    if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__ or _found(place) is not kind:
        raise InputError(
            f"driver '{driver.name}' ({place}) cannot be imported by another process: define its class at the top of a "
            "module that can be imported, best one registered as an entry point of the group 'oamip.drivers', or "
            "solve without isolation"
        )
    pack({f"driver {driver.name}": state})  # says what cannot travel
    return {"place": place, "state": state}


def made_from(reference: Message) -> Driver:
    """A driver like the one that was referred to.

    Raises:
        InputError: its class cannot be imported here.
    """
    kind = _found(reference["place"])
    if kind is None:
        raise InputError(f"the process of an isolated solver cannot import {reference['place']}")
    driver: Driver = object.__new__(kind)
    vars(driver).update(reference["state"])
    return driver


def _found(place: str) -> Any:
    module, _, path = place.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError):
        return None
    return found
