"""Learning-rate schedules: by how much the rate of an epoch differs from the first one's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from oamip.errors import InputError

__all__ = ["Logistic", "Schedule", "Steps", "constant", "cosine", "parse_schedule"]

Schedule: TypeAlias = Callable[[int, int], float]
"""The factor on the learning rate in an epoch, counted from 0, out of so many; a function of these two alone."""


def constant(epoch: int, epochs: int) -> float:  # noqa: ARG001
    """1 throughout."""
    return 1.0


def cosine(epoch: int, epochs: int) -> float:
    """From 1 towards 0 along half a cosine (Loshchilov and Hutter 2017, without restarts)."""
    return 0.5 * (1.0 + math.cos(math.pi * epoch / epochs))


@dataclass(frozen=True)
class Steps:
    """Times ``factor`` at each milestone, an epoch counted from 0."""

    milestones: tuple[int, ...]
    factor: float = 0.1

    def __call__(self, epoch: int, epochs: int) -> float:  # noqa: ARG002, D102
        return self.factor ** sum(epoch >= milestone for milestone in self.milestones)


@dataclass(frozen=True)
class Logistic:
    """From 1 down to ``final`` along a logistic curve; centre and width are shares of all epochs.

    The defaults are those of Reiners, Klamroth and Stiglmayr (arXiv 2008.13590) for adaptive optimisers.
    """

    final: float = 0.1
    centre: float = 0.75
    width: float = 0.075

    def __post_init__(self) -> None:
        if not self.width > 0:
            raise InputError(f"width={self.width}: give a share of all epochs above 0")

    def __call__(self, epoch: int, epochs: int) -> float:  # noqa: D102
        t = (epoch - self.centre * epochs) / (self.width * epochs)
        return self.final + (1.0 - self.final) / (1.0 + math.exp(min(t, 700.0)))  # beyond, exp overflows


def parse_schedule(text: str) -> Schedule:
    """A schedule by name: ``constant``, ``cosine``, ``logistic`` or ``steps=100,150`` (times 0.1 at each).

    Raises:
        InputError: there is no such schedule.
    """
    name, _, rest = text.partition("=")
    named: Mapping[str, Schedule] = {"constant": constant, "cosine": cosine, "logistic": Logistic()}
    if text in named:
        return named[text]
    parts = rest.split(",")
    if name == "steps" and all(part.strip().isdecimal() for part in parts):
        return Steps(tuple(sorted(map(int, parts))))
    raise InputError(f"no schedule '{text}'; give constant, cosine, logistic or steps=100,150 (times 0.1 at each)")
