"""Between which integers a symbolic size lies, given the constraints of its scope.

Two means: interval arithmetic, and, where that is not exact, linear programming over the terms of
the expression.  The facts of the program are the scope's constraints and what the operations mean,
for instance 0 <= x - 4*floordiv(x, 4) <= 3.  The one invariant: bounds are true, but need not be
the best ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from minijax.export.dims import (Dim, Factor, Operation, Term, substitute, terms_of,
                                 times)

INF = math.inf
Interval = tuple[float, float]


class Unsatisfiable(Exception):
    """No values of the variables satisfy the constraints."""


def bounds(x: Any, scope: Any) -> Interval:
    """The least and the greatest value that `x` may have; `Unsatisfiable` if it has none."""
    if not isinstance(x, Dim):
        return x, x
    low, high = interval(x, scope)
    facts = _facts(x, scope)
    best = _least(x.terms, facts)
    worst = _least(total((-1, x)), facts)
    low, high = max(low, _ceil(best)), min(high, -_ceil(worst))
    return meet((low, high), _by_cases(x, scope))


def _by_cases(x: Dim, scope: Any) -> Interval | None:
    """Bounds from putting either operand in the place of the first max or min."""
    for term, _ in x.terms:
        for factor, _ in term:
            if isinstance(factor, Operation) and factor.name in ("max", "min"):
                cases = [scope.bounds(substitute(x, factor, y)) for y in (factor.x, factor.y)]
                return min(low for low, _ in cases), max(high for _, high in cases)
    return None


def _ceil(x: Any) -> Any:
    return x if x == -INF else math.ceil(x)


# --- Intervals ----------------------------------------------------------------------------------


def interval(x: Any, scope: Any) -> Interval:
    """Bounds by interval arithmetic, from what the scope knows of single terms."""
    low = high = 0
    for term, count in terms_of(x):
        ends = [count * end if end else 0 for end in _term_interval(term, scope)]
        low, high = low + min(ends), high + max(ends)
    return low, high


def _term_interval(term: Term, scope: Any) -> Interval:
    result = (1, 1)
    for factor, power in term:
        one = _factor_interval(factor, scope)
        for _ in range(power):
            result = _corners(result, one, lambda x, y: x * y if x and y else 0)
        if power % 2 == 0:
            result = max(result[0], 0), result[1]
    return meet(result, scope.known.get(term))


def meet(one: Interval, other: Interval | None) -> Interval:
    """The integers that are in both intervals; None has all."""
    return one if other is None else (max(one[0], other[0]), min(one[1], other[1]))


def _factor_interval(factor: Factor, scope: Any) -> Interval:
    if isinstance(factor, str):
        return meet((1, INF), scope.known.get(((factor, 1),)))
    x, y = interval(factor.x, scope), interval(factor.y, scope)
    return meet(_INTERVALS[factor.name](x, y), scope.known.get(((factor, 1),)))


def _corners(x: Interval, y: Interval, function: Any) -> Interval:
    ends = [function(a, b) for a in x for b in y]
    return min(ends), max(ends)


def _floordiv_interval(x: Interval, y: Interval) -> Interval:
    if y[0] <= 0 <= y[1]:
        return -INF, INF
    def quotient(a: float, b: float) -> float:
        if abs(b) == INF:  # of something finite: 0 or, rounded down, -1
            return 0 if a == 0 or (a > 0) == (b > 0) else -1
        return a * (1 if b > 0 else -1) if abs(a) == INF else a // b
    return _corners(x, y, quotient)


def _mod_interval(x: Interval, y: Interval) -> Interval:
    if y[0] > 0:
        return 0, min(y[1] - 1, x[1] if x[0] >= 0 else INF)
    return (y[0] + 1, 0) if y[1] < 0 else (-INF, INF)


_INTERVALS = {"floordiv": _floordiv_interval, "mod": _mod_interval,
              "max": lambda x, y: (max(x[0], y[0]), max(x[1], y[1])),
              "min": lambda x, y: (min(x[0], y[0]), min(x[1], y[1]))}


# --- Facts: expressions that are not negative ---------------------------------------------------

Pairs = tuple[tuple[Term, int], ...]


def total(*parts: tuple[int, Any]) -> Pairs:
    """The sum of multiples of sizes, terms or pairs of terms, without the scope's replacements."""
    found: dict[Term, int] = {}
    for times, part in parts:
        for term, n in part if isinstance(part, tuple) else terms_of(part):
            found[term] = found.get(term, 0) + times * n
    return tuple([(term, n) for term, n in found.items() if n])


def _facts(x: Dim, scope: Any) -> list[Pairs]:
    """What is known of the terms of `x`, and of the terms that this mentions."""
    found, done, waiting = list(scope.facts), set(), [x.terms, *scope.facts]
    while waiting:
        for term, _ in waiting.pop():
            if term and term not in done:
                done.add(term)
                new = list(_about(term, scope))
                waiting += new
                found += new
    return [fact for fact in map(tightened, found) if fact]


def tightened(fact: Pairs) -> Pairs:
    """A fact divided by what divides all coefficients; the constant rounds down."""
    divisor = math.gcd(*[n for term, n in fact if term])
    return tuple([(term, n // divisor) for term, n in fact]) if divisor else ()


def _about(term: Term, scope: Any) -> Iterator[Pairs]:
    low, high = _term_interval(term, scope)
    this = ((term, 1),)
    if low > -INF:
        yield total((1, this), (-1, low))
    if high < INF:
        yield total((1, high), (-1, this))
    if len(term) > 1 or term[0][1] > 1:
        yield from _about_product(this, term, scope)
    elif isinstance(term[0][0], Operation):
        yield from _about_operation(this, term[0][0], scope)


def _about_product(this: Pairs, term: Term, scope: Any) -> Iterator[Pairs]:
    """(first - its bound) * (rest - its bound) has a sign."""
    (factor, power), *others = term
    first = ((factor, 1),)
    rest = (((factor, power - 1),) if power > 1 else ()) + tuple(others)
    f, r = ((first, 1),), ((rest, 1),)
    (low, high), (least, most) = _term_interval(first, scope), _term_interval(rest, scope)
    if -INF < low and -INF < least:
        yield total((1, this), (-least, f), (-low, r), (1, low * least))
    if high < INF and -INF < least:
        yield total((high, r), (least, f), (-1, high * least), (-1, this))


def _about_operation(this: Pairs, operation: Operation, scope: Any) -> Iterator[Pairs]:
    name, x, y = operation
    if name in ("max", "min"):
        sign = 1 if name == "max" else -1
        yield total((sign, this), (-sign, x))
        yield total((sign, this), (-sign, y))
        return
    low, high = interval(y, scope)
    if low <= 0 <= high:
        if name == "floordiv":
            raise scope.inconclusive(f"Possible division by 0 in division by {y}")
        return
    sign = 1 if low > 0 else -1
    whole = ((((Operation("floordiv", x, y), 1),), 1),)
    rest = total((1, x), *[(-n, ((times(term, whole[0][0]), 1),)) for term, n in terms_of(y)])
    yield total((sign, rest))
    yield total((sign, y), (-1, 1), (-sign, rest))
    if name == "mod":
        yield total((1, this), (-1, rest))
        yield total((1, rest), (-1, this))


# --- Linear programming -------------------------------------------------------------------------


def _least(x: Pairs, facts: Sequence[Pairs]) -> Any:
    """The least value of a linear function where no fact is negative; -inf without one.

    This is the greatest c for which x - c is a sum of facts with weights >= 0: the dual program,
    solved by the simplex method with Bland's rule, in two phases, with fractions.
    """
    rows: dict[Term, int] = {}
    for pairs in (x, *facts):
        for term, _ in pairs:
            if term:
                rows.setdefault(term, len(rows))
    height, width = len(rows), len(facts)
    table = [[Fraction(0)] * (width + height + 1) for _ in range(height)]
    costs = [Fraction(0)] * (width + height)
    for column, pairs in enumerate(facts):
        for term, n in pairs:
            if term:
                table[rows[term]][column] = Fraction(n)
            else:
                costs[column] = Fraction(n)
    for term, n in x:
        if term:
            table[rows[term]][-1] = Fraction(n)
    for i, row in enumerate(table):
        if row[-1] < 0:
            row[:] = [-v for v in row]
        row[width + i] = Fraction(1)
    basis = list(range(width, width + height))
    phase = [Fraction(0)] * width + [Fraction(1)] * height
    if _minimize(table, basis, phase, width + height) > 0:
        return -INF
    spent = _minimize(table, basis, costs, width)
    if spent == -INF:
        raise Unsatisfiable
    return dict(x).get((), 0) - spent


def _minimize(table: list[list[Fraction]], basis: list[int], costs: Sequence[Fraction],
              width: int) -> Any:
    """Pivot until no column below `width` lowers the costs of the basis; gives these costs."""
    while True:
        column = next((j for j in range(width) if j not in basis and costs[j] < sum(
            [costs[b] * row[j] for b, row in zip(basis, table) if row[j]])), None)
        if column is None:
            return sum([costs[b] * row[-1] for b, row in zip(basis, table)], Fraction(0))
        ratios = [(row[-1] / row[column], basis[i], i) for i, row in enumerate(table)
                  if row[column] > 0 or (row[column] < 0 and basis[i] >= width and row[-1] == 0)]
        if not ratios:
            return -INF
        pivot = min(ratios)[2]
        basis[pivot] = column
        line = table[pivot]
        line[:] = [v / line[column] for v in line]
        for i, row in enumerate(table):
            if i != pivot and row[column]:
                factor = row[column]
                row[:] = [v - factor * p if p else v for v, p in zip(row, line)]
