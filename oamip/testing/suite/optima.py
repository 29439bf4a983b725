"""Programs that end with an optimum: all kinds of rows, columns, constants, and both senses."""

from __future__ import annotations

import numpy as np

from oamip.program import Program, Rows, SumSquares, constant
from oamip.testing import instances
from oamip.testing.case import Subject
from oamip.testing.exact import enumerate_mixed, enumerate_points
from oamip.testing.expect import close, ended, proven, that
from oamip.testing.suite.register import case


@case(core=True)
def linear(subject: Subject) -> None:
    """A linear program with all kinds of rows and bounds, in both senses."""
    for seed, maximise in ((0, False), (1, True)):
        instance = instances.linear(seed, maximise=maximise)
        proven(subject.solve(instance.program), instance.optimum)


@case()
def small_mixed(subject: Subject) -> None:
    """Sixty programs of a few columns, integer and continuous, whose optima are enumerated.

    Presolve decides such programs nearly alone; HiGHS 1.14.0 was wrong on one in twenty and called it optimal.
    """
    for seed in range(60):
        program = instances.small_mixed(seed)
        best = enumerate_mixed(program.compile())
        if best is None:
            ended(subject.solve(program), "infeasible", "none")
        else:
            proven(subject.solve(program), best)


@case(core=True)
def knapsack(subject: Subject) -> None:
    """Thirty binaries."""
    instance = instances.knapsack()
    proven(subject.solve(instance.program), instance.optimum)


@case(core=True)
def location(subject: Subject) -> None:
    """300 binaries with continuous and general integer columns and a ranged row."""
    instance = instances.location()
    solution = subject.solve(instance.program)
    proven(solution, instance.optimum)
    shapes = {name: values.shape for name, values in solution.values.items()}
    that(shapes == {name: block.shape for name, block in instance.program.blocks.items()}, "blocks in shape", shapes)


@case()
def near_ties(subject: Subject) -> None:
    """The gap is the one asked for, not the solver's own default of 1e-4."""
    for seed in range(3):
        instance = instances.near_ties(seed)
        proven(subject.solve(instance.program), instance.optimum)


@case()
def ranged_rows(subject: Subject) -> None:
    """Either side of a ranged row holds, and rows free on both sides do nothing."""
    rng = np.random.default_rng(0)
    coefficients = rng.integers(-3, 6, (4, 5))
    for maximise in (False, True):
        program = Program("ranged_rows")
        x = program.variables("x", 5, -2, 3, domain="integer")
        lower, upper = np.array([2.0, -4.0, -np.inf, -1.0]), np.array([7.0, 5.0, np.inf, 1.0])
        program.add("bands", Rows(coefficients @ x, lower, upper))
        objective = (x * np.array([2, 1, 3, 1, 2])).sum()
        (program.maximize if maximise else program.minimize)(objective)
        proven(subject.solve(program), _enumerated(program))


@case()
def equalities(subject: Subject) -> None:
    """Equalities of integers."""
    program = Program("equalities")
    x = program.variables("x", 5, 0, 6, domain="integer")
    program.add("ties", np.array([[3, 5, 7, 0, 2], [1, -2, 0, 4, 1]]) @ x == [26, 5])
    program.minimize((x * [4, 3, 9, 5, 6]).sum())
    proven(subject.solve(program), _enumerated(program))


@case()
def free_and_integer(subject: Subject) -> None:
    """Free continuous columns, and integers below zero, scalar blocks too."""
    program = Program("free_and_integer")
    n, y = program.variables("n", 2, -5, 5, domain="integer"), program.variables("y", ())
    program.add("tie", 2 * n.sum() + y == 3.5)
    program.add("cap", y <= 0.75)
    program.maximize(y - 0.1 * n[0])
    # y is 3.5 less an even number, so −0.5 at best; the two n then sum to 2, and n[0] = −3 is the least of them
    proven(subject.solve(program), -0.5 + 0.3)


@case()
def unbounded_integers(subject: Subject) -> None:
    """Integers without bounds are found far from zero."""
    program = Program("unbounded_integers")
    n = program.variables("n", 2, domain="integer")
    program.add("far", n[0] + n[1] == -25001)
    program.add("apart", Rows(n[0] - n[1], np.array([10.5]), np.array([20.5])))
    program.maximize(n[1] * 2 - n[0])
    # the difference is odd, so 11 at least: n = (−12495, −12506)
    proven(subject.solve(program), 2 * -12506 + 12495)


@case()
def constants(subject: Subject) -> None:
    """Constants in rows and objective count in objective and bound, also where nothing else does."""
    program = Program("constants")
    x = program.variables("x", 3, -1, 2, domain="integer")
    program.add("shifted", x.sum() + 100 <= 102)
    program.maximize((x * [1, 2, 3]).sum() - 1000)
    proven(subject.solve(program), _enumerated(program))
    only = Program("constant_only")
    block = only.variables("x", 2, -1, 1)
    only.minimize(block.sum() * 0 + 4.5)
    proven(subject.solve(only), 4.5)


@case()
def senses(subject: Subject) -> None:
    """Max f and min −f have opposite optima and bounds."""
    rng = np.random.default_rng(5)
    weights, values = rng.integers(1, 9, (3, 8)), rng.integers(1, 9, 8)
    for maximise in (False, True):
        program = Program("senses")
        x = program.variables("x", 8, domain="binary")
        program.add("weight", weights @ x <= 15)
        f = (x * values).sum() + 3
        (program.maximize if maximise else program.minimize)(f if maximise else -f)
        proven(subject.solve(program), _enumerated(program))


@case()
def unused(subject: Subject) -> None:
    """Columns in no row and no objective, empty blocks, no rows, no columns."""
    program = Program("unused")
    program.variables("before", (2, 2), 1, 2)
    x = program.variables("x", 2, 0, 3, domain="integer")
    program.variables("nothing", 0)
    program.variables("after", (), -7, -5, domain="integer")
    program.add("sum", x.sum() <= 4)
    program.add("empty", Rows(x * 0, np.array([-1.0, -np.inf]), np.array([1.0, 0.0])))
    program.maximize((x * [1, 2]).sum())
    solution = subject.solve(program)
    proven(solution, 7.0)
    within = [(solution[name], program.blocks[name]) for name in ("before", "after")]
    inside = all(((v >= b.lower.min()) & (v <= b.upper.max())).all() for v, b in within)
    that(inside and solution["nothing"].shape == (0,), "unused columns within their bounds, in shape", solution.values)
    free = Program("rowless")
    free.maximize(free.variables("x", 3, 0, [1, 2, 3]).sum())
    proven(subject.solve(free), 6.0)
    blank = Program("blank")
    blank.minimize(constant(2.0))
    proven(subject.solve(blank), 2.0)


@case()
def big_m(subject: Subject) -> None:
    """A switch that lets 1e5 through is on for a flow of 3: 3e-5 is not an integer."""
    program = Program("big_m")
    on, flow = program.variables("on", 6, domain="binary"), program.variables("flow", 6, 0)
    program.add("switch", flow - 1e5 * on <= 0)
    program.add("demand", flow.sum() >= 3)
    program.minimize((on * [7, 5, 6, 9, 8, 7]).sum())
    proven(subject.solve(program), 5.0)


@case()
def scaled_costs(subject: Subject) -> None:
    """Costs of 1e-12 and of 1e12 have the optima of ordinary ones: tolerances are no matter of the unit of money."""
    for factor in (1e-12, 1e-9, 1e9, 1e12):
        item = instances.knapsack()
        _proven_in_units(subject, item.program, item.optimum, factor)
        for maximise in (False, True):
            plain = instances.linear(maximise=maximise)
            _proven_in_units(subject, plain.program, plain.optimum, factor)
        curved = Program("nearest")
        n, t = curved.variables("n", 3, -3, 3, domain="integer"), curved.variables("t", 1)
        curved.epigraph("distance", SumSquares(), (n - [0.4, -1.3, 2.2]).reshape(1, 3), t)
        curved.add("even", n.sum() == 2)
        curved.minimize(t.sum())
        _proven_in_units(subject, curved, 0.6**2 + 0.3**2 + 0.2**2, factor)  # n = (1, −1, 2)


def _proven_in_units(subject: Subject, program: Program, optimum: float, unit: float) -> None:
    """Demand a proven optimum to as many digits as ever, when every cost is multiplied by ``unit``."""
    (program.minimize if program.sense == "min" else program.maximize)(program.objective * unit)
    solution = subject.solve(program)
    ended(solution, "optimal", "proven")
    close("objective in units of the costs", solution.objective / unit, optimum)
    close("bound in units of the costs", solution.bound / unit, optimum)


@case(needs=("duals",))
def duals(subject: Subject) -> None:
    """Row duals of a linear program prove its bound."""
    for seed, maximise in ((0, False), (1, True)):
        instance = instances.linear(seed, maximise=maximise)
        form = instance.program.compile()
        with subject.open(form) as session:
            y = session.solve().duals
        that(y is not None and y.shape == form.row_lower.shape, "a dual value for every row", y)
        assert y is not None
        reduced = form.cost - y @ form.A
        sign = -1.0 if maximise else 1.0
        value = _support(sign * y, form.row_lower, form.row_upper)
        value += _support(sign * reduced, form.column_lower, form.column_upper)
        close("the dual objective", sign * value + form.constant, instance.optimum)


def _support(price: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    """The least of ``price · s`` over ``lower ≤ s ≤ upper``; prices that are zero but for rounding cost nothing."""
    used = np.abs(price) > 1e-7
    return float((price[used] * np.where(price[used] > 0, lower[used], upper[used])).sum())


def _enumerated(program: Program) -> float:
    optimum = enumerate_points(program.compile())
    assert optimum is not None, f"program '{program.name}' of the suite is infeasible"
    return optimum
