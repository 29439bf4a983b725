"""`Options` in the words of HiGHS."""

from __future__ import annotations

import math
from typing import Any

import highspy

from oamip.errors import InputError
from oamip.options import Options
from oamip.solving.drivers.ranges import THREADS, within

__all__ = ["LEAST_ENTRY", "apply"]

LARGEST = 2**31 - 1
TOLERANCE = (1e-10, math.inf)
LEAST_ENTRY = 1e-12  # HiGHS drops smaller coefficients without a word, and by default all up to 1e-9; no less is taken


def apply(highs: Any, options: Options, *, integer: bool) -> tuple[str, ...]:
    """Set every option of one solve, raw ones last, and the rest to its default; gives warnings for what was changed.

    Raises:
        InputError: a raw option that HiGHS does not know, or a value that it does not take.
    """
    highs.resetOptions()
    options, warnings = within(
        options, "HiGHS", feasibility=TOLERANCE, integrality=TOLERANCE, threads=(1, THREADS), seed=(0, LARGEST)
    )
    for name, value in _settings(highs, options, integer=integer).items():
        _set(highs, name, value)
    for name, value in options.raw.items():
        _set(highs, name, value)
    return warnings


def _settings(highs: Any, options: Options, *, integer: bool) -> dict[str, Any]:
    # The clock of the simplex method runs on from solve to solve of one model; that of branch and bound begins anew.
    elapsed = 0.0 if integer else highs.getRunTime()
    return {
        "log_to_console": False,
        "output_flag": True,
        "time_limit": elapsed + options.time_limit if math.isfinite(options.time_limit) else highspy.kHighsInf,
        "mip_max_nodes": LARGEST if options.node_limit is None else min(options.node_limit, LARGEST),
        "mip_rel_gap": options.gap_relative,
        "mip_abs_gap": options.gap_absolute,
        "primal_feasibility_tolerance": options.feasibility,
        "dual_feasibility_tolerance": options.feasibility,
        "small_matrix_value": LEAST_ENTRY,
        "mip_feasibility_tolerance": options.integrality,
        "threads": options.threads,
        "random_seed": options.seed,
    }


def _set(highs: Any, name: str, value: Any) -> None:
    known, kind = highs.getOptionType(name)
    if known != highspy.HighsStatus.kOk:
        raise InputError(f"raw option '{name}' is not an option of HiGHS {highs.version()}")
    if kind == highspy.HighsOptionType.kDouble and not isinstance(value, bool | str):
        value = float(value)
    try:
        status = highs.setOptionValue(name, value)
    except TypeError:
        status = highspy.HighsStatus.kError
    if status == highspy.HighsStatus.kError:
        raise InputError(f"option '{name}' of HiGHS does not take the value {value!r}")
