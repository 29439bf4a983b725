"""Options take what is meant, and refuse what is not, by name."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oamip.errors import InputError
from oamip.options import Options


def test_paths_and_numpy_scalars_become_what_solvers_take() -> None:
    options = Options(log_file="run.log", threads=np.int64(2), time_limit=np.float32(0.5))  # type: ignore[arg-type]
    assert options.log_file == Path("run.log")
    assert isinstance(options.log_file, Path)
    assert (type(options.threads), type(options.time_limit)) == (int, float)
    assert options == Options(log_file=Path("run.log"), threads=2, time_limit=0.5)
    assert Options(stop_at_bound=math.inf, node_limit=0).with_(time_limit=3).time_limit == 3


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("time_limit", None, "math.inf is no limit"),
        ("time_limit", "10", "is '10'; it must be a number"),
        ("time_limit", math.nan, "≥ 0"),
        ("time_limit", -1, "≥ 0"),
        ("gap_relative", "1%", "must be a number"),
        ("gap_absolute", None, "must be a number"),
        ("feasibility", True, "must be a number"),
        ("integrality", np.bool_(True), "must be a number"),
        ("threads", "2", "is '2'; it must be an integer"),
        ("threads", 1.5, "must be an integer"),
        ("threads", True, "must be an integer"),
        ("threads", None, "must be an integer"),
        ("threads", 0, "at least 1"),
        ("seed", 0.5, "must be an integer"),
        ("seed", -1, "at least 0"),
        ("node_limit", 1e3, "must be an integer"),
        ("node_limit", math.inf, "must be an integer"),
        ("memory_limit", "2G", "must be an integer"),
        ("memory_limit", 0, "at least 1"),
        ("stop_at_objective", "3", "must be a number"),
        ("stop_at_bound", math.nan, "NaN"),
        ("log_file", 1, "must be a path"),
        ("log_file", True, "must be a path"),
    ],
)
def test_wrong_options_are_refused_by_name(name: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"option {name} .*{message}"):
        Options(**{name: value})
