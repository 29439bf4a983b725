"""Cut loops hot against cold: the same tangents with a session that keeps its model, and with one that starts anew.

The program is cross-entropy over random logits: minimise λ · mean of log Σ exp(o) − o_y plus a price per unit kept,
with units in [0, 1] or binary. It stays under 1000 rows and columns, tangents included: limited licences solve it.
Hot and cold runs alternate; the ratio is the median over rounds.

    python benchmarks/cutloop.py --repeats 3
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass

import numpy as np

from oamip import Options, Program
from oamip.program import LogSumExp, StandardForm
from oamip.solving import Driver, Outcome, Session, Support, driver_names, find_driver, solve_with_cuts
from oamip.solving.registry import driver_version
from oamip.solving.scale import Scale, unit_of


def cross_entropy(samples: int, units: int, *, integer: bool, seed: int = 0) -> StandardForm:
    """Scores of units whose logits are linear in them."""
    rng = np.random.default_rng(seed)
    program = Program("cross-entropy")
    keep = program.variables("keep", units, 0, 1, domain="binary" if integer else "continuous")
    loss = program.variables("loss", samples)
    weights, labels = rng.normal(size=(samples, 10, units)) / np.sqrt(units), rng.integers(0, 10, samples)
    weights[np.arange(samples), labels] += 0.3 * rng.random((samples, units))
    logits = (weights.reshape(-1, units) @ keep).reshape(samples, 10)
    program.epigraph("softmax", LogSumExp(), logits, loss)
    right = logits[np.arange(samples), labels]
    program.minimize(5.0 / samples * (loss - right).sum() + keep.sum() * (0.5 / units))
    return program.compile()


@dataclass(frozen=True)
class Cold:
    """A driver whose every solve starts from nothing."""

    driver: Driver

    @property
    def name(self) -> str:
        """That of the solver."""
        return self.driver.name

    @property
    def support(self) -> Support:
        """That of the solver."""
        return self.driver.support

    def open(self, form: StandardForm, options: Options) -> Session:
        """A session that opens another for each solve."""
        return Session(form, options, self._once)

    def _once(self, form: StandardForm, options: Options) -> Outcome:
        with self.driver.open(form, options) as session:
            return session.solve()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--units", type=int, default=60)
    parser.add_argument("--solvers", default=",".join(driver_names()), help="only these, with commas between")
    given = parser.parse_args()
    print("| program | solver | rounds hot, cold | hot s | cold s | cold ÷ hot | objective |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    for integer in (False, True):
        units = given.units // 3 if integer else given.units
        form = cross_entropy(given.samples, units, integer=integer)
        form = Scale(unit_of(form.cost)).form(form)  # as `oamip.solving.solve` hands it to the loop
        kind = f"{given.samples} samples, {units} {'binaries' if integer else 'columns'}"
        for solver in given.solvers.split(","):
            driver = find_driver(solver)
            took: dict[str, list[float]] = {"hot": [], "cold": []}
            rounds, value = {}, float("nan")
            for _ in range(given.repeats):
                for name, way in (("hot", driver), ("cold", Cold(driver))):
                    began = time.perf_counter()
                    refined = solve_with_cuts(form, way, Options(time_limit=60.0))
                    took[name].append(time.perf_counter() - began)
                    rounds[name] = refined.rounds
                    value = form.objective(refined.outcome.x) if refined.outcome.x is not None else float("nan")
            ratio = statistics.median(c / h for c, h in zip(took["cold"], took["hot"], strict=True))
            hot, cold = statistics.median(took["hot"]), statistics.median(took["cold"])
            version = driver_version(driver)
            print(
                f"| {kind} | {solver} {version} | {rounds['hot']}, {rounds['cold']} | {hot:.2f} | {cold:.2f} "
                f"| {ratio:.1f} | {value:.6f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
