"""Read a model file, ``.mps`` or ``.lp``, packed by gzip or not; what readers understand differently is refused.

LP files are read by `oamip.solving.scanning`, MPS files by HiGHS, which passes over more than is safe: it skips a pair
too many on a line, and takes ``two`` for 0. So their text is scanned first, whatever HiGHS warns of is an error, and
what is not mixed-integer linear is refused by name.
"""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import scipy.sparse as sp

from oamip.errors import InputError
from oamip.program import Span, StandardForm
from oamip.solving.scanning import read_lp, scan_mps

__all__ = ["read_form"]

LARGEST = 2**31  # bytes of text: more is taken for an attack, not for a model
HARMLESS = "inconsistent bounds"  # for which we have names
SMALLEST = 1e-12  # HiGHS drops smaller coefficients, and would drop all below 1e-9


def read_form(path: str | os.PathLike[str]) -> StandardForm:
    """Read a mixed-integer linear model; every column and every row is a span of its own, named as in the file.

    Raises:
        InputError: there is no such file, it is no model, or not one that is mixed-integer linear; or it says something
            that readers understand differently. The message names the file and the place.
    """
    file = Path(path)
    kinds = [suffix.lower() for suffix in file.suffixes[-2:]]
    packed = kinds[-1:] == [".gz"]
    kind = (kinds[:-1] if packed else kinds)[-1:]
    if kind not in ([".mps"], [".lp"]):
        raise InputError(f"{file}: not a model file; its name must end in .mps, .lp, .mps.gz or .lp.gz")
    text = _text(file, packed=packed)
    form = read_lp(text, file) if kind == [".lp"] else _read_mps(text, file)
    _refuse_names(form, file)
    _refuse_numbers(form, file)
    return form


def _read_mps(text: str, file: Path) -> StandardForm:
    scan_mps(text, file)
    with TemporaryDirectory(prefix="oamip-read-") as folder:
        copy = Path(folder) / "model.mps"
        copy.write_text(text, encoding="utf-8")
        return _form(_parsed(copy, file), file)


def _text(file: Path, *, packed: bool) -> str:
    try:
        with gzip.open(file) if packed else file.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as failed:  # a wrong gzip file is an OSError too
        reason = getattr(failed, "strerror", None) or failed
        raise InputError(f"{file}: cannot be read ({reason})") from None
    if len(content) > LARGEST:
        raise InputError(f"{file}: larger than {LARGEST >> 30} GiB, so it is not read")
    if b"\0" in content:
        raise InputError(f"{file}: not a text file")
    if not content.strip():
        raise InputError(f"{file}: the file is empty")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # most likely a comment


def _parsed(copy: Path, file: Path) -> Any:
    import highspy

    highs = highspy._core._Highs()
    log: list[str] = []
    highs.setOptionValue("log_to_console", False)
    highs.setOptionValue("small_matrix_value", SMALLEST)
    highs.setCallback(lambda _kind, message, *_: log.append(message.strip()), None)
    highs.startCallback(highspy.cb.HighsCallbackType.kCallbackLogging)
    status = highs.readModel(str(copy))
    highs.setCallback(None, None)
    said = [line.replace(str(copy), "it") for line in log if line.startswith(("ERROR", "WARNING"))]
    said = [line.partition(":")[2].strip() for line in said if HARMLESS not in line]
    if status == highspy.HighsStatus.kError or said:
        raise InputError(f"{file}: {said[0].removesuffix(': ignored') if said else 'not a model that HiGHS can read'}")
    return highs.getModel()


def _form(model: Any, file: Path) -> StandardForm:
    import highspy

    lp = model.lp_
    columns, rows = list(lp.col_names_), list(lp.row_names_)
    if model.hessian_.dim_:
        raise InputError(f"{file}: the objective is quadratic; oamip solves mixed-integer linear models")
    kinds = list(lp.integrality_) or [highspy.HighsVarType.kContinuous] * len(columns)
    for name, kind in zip(columns, kinds, strict=True):
        if kind not in (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger):
            raise InputError(f"{file}: column '{name}' is semi-continuous; oamip solves mixed-integer linear models")
    rowwise = lp.a_matrix_.format_ == highspy.MatrixFormat.kRowwise
    triple = (lp.a_matrix_.value_, lp.a_matrix_.index_, lp.a_matrix_.start_)
    A = (sp.csr_array if rowwise else sp.csc_array)(triple, shape=(len(rows), len(columns)), dtype=np.float64)
    return StandardForm(
        A=A.tocsr(),
        row_lower=np.array(lp.row_lower_, dtype=np.float64),
        row_upper=np.array(lp.row_upper_, dtype=np.float64),
        column_lower=np.array(lp.col_lower_, dtype=np.float64),
        column_upper=np.array(lp.col_upper_, dtype=np.float64),
        integer=np.array([kind == highspy.HighsVarType.kInteger for kind in kinds], dtype=np.bool_),
        cost=np.array(lp.col_cost_, dtype=np.float64),
        constant=float(lp.offset_),
        sense="max" if lp.sense_ == highspy.ObjSense.kMaximize else "min",
        columns=tuple(Span(name, j, ()) for j, name in enumerate(columns)),
        rows=tuple(Span(name, i, ()) for i, name in enumerate(rows)),
    )


def _refuse_names(form: StandardForm, file: Path) -> None:
    if not form.columns:
        raise InputError(f"{file}: the model has no columns")
    for what, spans in (("column", form.columns), ("row", form.rows)):
        seen: set[str] = set()
        for span in spans:
            if span.name in seen:
                raise InputError(f"{file}: {what} '{span.name}' occurs twice")
            seen.add(span.name)


def _refuse_numbers(form: StandardForm, file: Path) -> None:
    if not (np.isfinite(form.A.data).all() and np.isfinite(form.cost).all() and np.isfinite(form.constant)):
        raise InputError(f"{file}: a coefficient is infinite or not a number")
    sides = (
        ("column", form.columns, form.column_lower, form.column_upper),
        ("row", form.rows, form.row_lower, form.row_upper),
    )
    for what, spans, lower, upper in sides:
        wrong = np.flatnonzero(~(lower <= upper) | (lower == np.inf) | (upper == -np.inf))
        if wrong.size:
            i = int(wrong[0])
            raise InputError(
                f"{file}: {what} '{spans[i].name}' has bounds [{lower[i]:g}, {upper[i]:g}], which nothing meets; "
                "state both of them, as a lower bound that is left out is 0"
            )
