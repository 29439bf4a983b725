"""``oamip export``."""

from __future__ import annotations

from pathlib import Path

from oamip.commands.flags import Importance, Model, Source, Units, Way, Where, check_output, open_pruning, progress
from oamip.commands.solving import Solving

__all__ = ["export"]


def export(
    model: Model,
    *,
    out: Path,
    where: Where = Where(),  # noqa: B008
    source: Source = Source(),  # noqa: B008
    way: Way = Way(),  # noqa: B008
    solving: Solving = Solving(),  # noqa: B008
    importance: Importance = Importance(),  # noqa: B008
    units: Units = Units(),  # noqa: B008
) -> None:
    """Write the program that scores the units of a network, for any other solver: oamip export fc3 --out fc3.mps ...

    A program with cross-entropy or squares is first refined by tangents; the comment at the top of the file tells how
    far its optimum may be off.

    Args:
        out: the file, ending in .mps or .lp.
    """
    from oamip.commands.prune import importance_options
    from oamip.errors import InputError

    check_output(out, folder=False)
    if out.suffix not in (".mps", ".lp"):
        raise InputError(f"--out {out}: the name must end in .mps or .lp")
    with progress() as tell:
        job = open_pruning(model, where, source, solving, units, tell)
        from oamip.formulations import Procedure
        from oamip.pruning.baselines import BASELINES
        from oamip.pruning.result import Scoring
        from oamip.solving import export as write

        if way.formulation in BASELINES:
            raise InputError(f"'{way.formulation}' is a baseline and asks no solver; --formulation importance does")
        scoring = Scoring(way.formulation, way.samples, way.by_class, way.steps)
        question = job.question(scoring, importance_options(importance, regression=job.data.regression))
        if isinstance(question, Procedure):
            raise InputError("--by-class and --steps take many programs; leave them out to export one")
        tell(f"writing {out}")
        written = write(question.program(), out, job.options, solver=solving.solver)
    if solving.explain:
        print(*written.steps, sep="\n")
    refined = f", {written.cuts} tangents, relative gap {written.gap:.2g}" if written.cuts else ""
    print(f"Written to {out}{refined}; solve it with: oamip solve {out} --solver {solving.solver}")
