"""Expressions for sizes: polynomials in dimension variables, `floordiv`, `mod`, `max` and `min`.

Invariant: an expression is in normal form when it is made, and a constant one is an `int`.  Equal
expressions are therefore equal tuples, and equality and hashing cost as little as for tuples.

    a, b = symbolic_shape("a, b")
    (a + b) * 2 - a         # 2*b + a
    (6 * a + 3) // 3        # 2*a + 1
    a >= 1, a + b > a       # True, True; what cannot be decided raises
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minijax.base import dtypes, errors
from minijax.base.dims import SymbolicDim, max_dim, min_dim
from minijax.base.jaxlib import Array
from minijax.core import Primitive, ShapedArray, Tracer, nondifferentiable, register_aval

# A factor is the name of a variable or an Operation; a term is a product of powers of factors,
# ((factor, power), ...) in ascending order, () for the constant; a polynomial is a dict from terms
# to coefficients.


class Operation(NamedTuple):
    """An operation on sizes that is no polynomial: "floordiv", "mod", "max" or "min"."""

    name: str
    x: Any
    y: Any

    def __str__(self) -> str:
        x, y = [f"- {-n}" if isinstance(n, int) and n < 0 else n for n in (self.x, self.y)]
        return f"{self.name}({x}, {y})"


Factor = str | Operation
Term = tuple[tuple[Factor, int], ...]


class Dim(SymbolicDim):
    """A symbolic size.  `terms` are pairs of term and coefficient, the greatest term first."""

    __slots__ = ("terms", "scope", "_hash")
    __array_priority__ = 1000  # NumPy leaves binary operations to this class

    def __init__(self, terms: tuple[tuple[Term, int], ...], scope: Any):
        self.terms = terms
        self.scope = scope
        self._hash = hash((terms, id(scope)))

    # --- arithmetic -------------------------------------------------------------------------

    def _binary(self, other: Any, function: Callable, symbolic: Callable) -> Any:
        """`symbolic` of sizes, or else `function` of arrays."""
        other = size_of(other)
        if other is None:
            return NotImplemented
        if is_dim(other):
            self.scope.check_same(other, f"for {function.__name__} of '{self}'")
            return symbolic(self, other)
        return function(self.dimension_as_value(), other)

    def __add__(self, other: Any) -> Any:
        return self._binary(other, operator.add, add)

    def __radd__(self, other: Any) -> Any:
        return self._binary(other, _swapped(operator.add), add)

    def __sub__(self, other: Any) -> Any:
        return self._binary(other, operator.sub, lambda x, y: add(x, y, -1))

    def __rsub__(self, other: Any) -> Any:
        return self._binary(other, _swapped(operator.sub), lambda x, y: add(y, x, -1))

    def __mul__(self, other: Any) -> Any:
        return self._binary(other, operator.mul, multiply)

    def __rmul__(self, other: Any) -> Any:
        return self._binary(other, _swapped(operator.mul), multiply)

    def __neg__(self) -> Any:
        return multiply(self, -1)

    def __floordiv__(self, other: Any) -> Any:
        return self._binary(other, operator.floordiv, lambda x, y: divide(x, y)[0])

    def __rfloordiv__(self, other: Any) -> Any:
        return self._binary(other, _swapped(operator.floordiv), lambda x, y: divide(y, x)[0])

    def __mod__(self, other: Any) -> Any:
        return self._binary(other, operator.mod, lambda x, y: divide(x, y)[1])

    def __rmod__(self, other: Any) -> Any:
        return self._binary(other, _swapped(operator.mod), lambda x, y: divide(y, x)[1])

    def __divmod__(self, other: Any) -> Any:
        return self._binary(other, divmod, divide)

    def __rdivmod__(self, other: Any) -> Any:
        return self._binary(other, _swapped(divmod), lambda x, y: divide(y, x))

    def __truediv__(self, other: Any) -> Any:
        return operator.truediv(self.dimension_as_value(), other)

    def __rtruediv__(self, other: Any) -> Any:
        return operator.truediv(other, self.dimension_as_value())

    def __pow__(self, power: Any, modulo: None = None) -> Any:
        if isinstance(power, (int, np.integer)):
            if power < 0:
                raise ValueError("Symbolic dimension cannot be raised to negative powers: "
                                 f"'{self}' ** '{power}'")
            return functools.reduce(operator.mul, [self] * int(power), 1)
        if isinstance(power, (float, np.floating)):
            raise ValueError("Symbolic dimension cannot be raised to non-integer powers: "
                             f"'{self}' ** '{power}'")
        return self.dimension_as_value() ** power

    def __rpow__(self, base: Any) -> Any:
        return base ** self.dimension_as_value()

    def extreme(self, name: str, x: Any, y: Any) -> Any:
        """The `name` ("max" or "min") of two sizes of which this is one."""
        self.scope.check_same(x, f"for {name}")
        self.scope.check_same(y, f"for {name}")
        low, high = self.scope.sign(x - y)
        if low >= 0 or high <= 0:
            return x if (low >= 0) == (name == "max") else y
        return self.scope.atom(Operation(name, x, y))

    # --- comparison -------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        return (self is other or isinstance(other, Dim) and self.terms == other.terms
                and self.scope is other.scope)

    def __hash__(self) -> int:
        return self._hash

    def _compare(self, other: Any, function: Callable, sign: str, less: bool, strict: bool) -> Any:
        other = size_of(other)
        if other is None:
            return NotImplemented
        if not is_dim(other):
            return function(self.dimension_as_value(), other)
        self.scope.check_same(other, f"for comparison of '{self}'")
        low, high = self.scope.sign((other - self if less else self - other) - strict)
        if low >= 0:
            return True
        if high < 0:
            return False
        raise self.scope.inconclusive(
            f"Symbolic dimension comparison '{self}' {sign} '{other}' is inconclusive.")

    def __ge__(self, other: Any) -> Any:
        return self._compare(other, operator.ge, ">=", False, False)

    def __gt__(self, other: Any) -> Any:
        return self._compare(other, operator.gt, ">", False, True)

    def __le__(self, other: Any) -> Any:
        return self._compare(other, operator.le, "<=", True, False)

    def __lt__(self, other: Any) -> Any:
        return self._compare(other, operator.lt, "<", True, True)

    # --- other uses -------------------------------------------------------------------------

    def __bool__(self) -> bool:
        return True

    def __int__(self) -> int:
        raise self.scope.inconclusive(
            f"Symbolic dimension '{self}' used in a context that requires a constant")

    def __jax_array__(self) -> Any:
        return self.dimension_as_value()

    def dimension_as_value(self) -> Any:
        """The size as a weakly typed integer scalar, in the program that is traced."""
        return dim_as_value_p.bind(dim=self)

    def variables(self) -> set[str]:
        """The names of the dimension variables."""
        found: set[str] = set()
        for term, _ in self.terms:
            for factor, _ in term:
                found |= ({factor} if isinstance(factor, str)
                          else variables(factor.x) | variables(factor.y))
        return found

    def evaluate(self, env: Mapping[str, Any]) -> Any:
        """The value for given values of the variables, which may be of any type that computes."""
        total = None
        for term, count in self.terms:
            value = None
            for factor, power in term:
                known = (_operate(factor, env) if not isinstance(factor, str)
                         else env[factor] if factor in env else _unexpected(factor, env))
                for _ in range(power):
                    value = known if value is None else value * known
            value = count if value is None else value if count == 1 else value * count
            total = value if total is None else total + value
        return total

    def __copy__(self) -> Dim:
        return self

    def __deepcopy__(self, memo: dict) -> Dim:
        return self

    def __repr__(self) -> str:
        parts = []
        for term, count in self.terms:
            factors = [str(f) if power == 1 else f"{f}^{power}" for f, power in term]
            if abs(count) != 1 or not factors:
                factors.insert(0, str(abs(count)))
            sign = "-" if count < 0 else "+" if parts else ""
            parts.append(f"{sign} {'*'.join(factors)}" if sign else "*".join(factors))
        return " ".join(parts)

    __str__ = __repr__


class UnexpectedDimVar(Exception):
    """A program has a size that the shapes of its arguments do not tell."""


def _unexpected(name: str, env: Mapping[str, Any]) -> None:
    raise UnexpectedDimVar(errors.describe(
        f"Encountered dimension variable '{name}' that is not appearing in the shapes of the "
        "function arguments.\nThe following dimension variables are appearing in the shapes of "
        f"the function arguments: {sorted(env)}.",
        fix=f"pass an array that has '{name}' in its shape, if only one of shape (0, {name})"))


def is_dim(x: Any) -> bool:
    """Whether `x` is a size: an integer or a symbolic one."""
    return isinstance(x, (Dim, int))


def size_of(x: Any) -> Any:
    """`x` with integers of NumPy made Python's; None for what no operation of sizes takes."""
    if isinstance(x, (Dim, int)):
        return x
    if isinstance(x, np.integer) or (isinstance(x, np.ndarray) and x.ndim == 0
                                     and x.dtype.kind in "iu"):
        return int(x)
    takes = isinstance(x, (float, complex, np.generic, np.ndarray, Array, Tracer))
    return x if takes else None


def _swapped(function: Callable) -> Callable:
    @functools.wraps(function)
    def swapped(x: Any, y: Any) -> Any:
        return function(y, x)
    return swapped


def variables(x: Any) -> set[str]:
    """The names of the dimension variables of a size."""
    return x.variables() if isinstance(x, Dim) else set()


def evaluate(x: Any, env: Mapping[str, Any]) -> Any:
    """The value of a size for given values of its variables."""
    return x.evaluate(env) if isinstance(x, Dim) else x


_OPERATIONS = {"floordiv": operator.floordiv, "mod": operator.mod, "max": max_dim, "min": min_dim}


def _operate(operation: Operation, env: Mapping[str, Any]) -> Any:
    x, y = evaluate(operation.x, env), evaluate(operation.y, env)
    if isinstance(x, (int, Dim)) and isinstance(y, (int, Dim)):
        return _OPERATIONS[operation.name](x, y)
    return (x if not isinstance(x, int) else y).operate(operation.name, x, y)


# --- Polynomials --------------------------------------------------------------------------------


def terms_of(x: Any) -> tuple[tuple[Term, int], ...]:
    """The pairs of term and coefficient of a size."""
    return x.terms if isinstance(x, Dim) else (((), x),) if x else ()


def make(coefficients: Mapping[Term, int], scope: Any) -> Any:
    """The size with the given coefficients, in normal form."""
    coefficients = scope.normalize(coefficients)
    order = sorted([pair for pair in coefficients.items() if pair[1]],
                   key=lambda pair: term_key(pair[0]), reverse=True)
    if not order:
        return 0
    return order[0][1] if order[0][0] == () else Dim(tuple(order), scope)


def _scope(x: Any, y: Any) -> Any:
    return x.scope if isinstance(x, Dim) else y.scope


def add(x: Any, y: Any, times: int = 1) -> Any:
    """`x + times * y`."""
    if not isinstance(x, Dim) and not isinstance(y, Dim):
        return x + times * y
    total = dict(terms_of(x))
    for term, count in terms_of(y):
        total[term] = total.get(term, 0) + times * count
    return make(total, _scope(x, y))


def multiply(x: Any, y: Any) -> Any:
    """`x * y`."""
    if not isinstance(x, Dim) and not isinstance(y, Dim):
        return x * y
    total: dict[Term, int] = {}
    for s, m in terms_of(x):
        for t, n in terms_of(y):
            term = times(s, t)
            total[term] = total.get(term, 0) + m * n
    return make(total, _scope(x, y))


def times(s: Term, t: Term) -> Term:
    """The product of two terms."""
    powers = dict(s)
    for factor, power in t:
        powers[factor] = powers.get(factor, 0) + power
    return tuple(sorted(powers.items(), key=lambda pair: factor_key(pair[0])))


def substitute(x: Dim, factor: Factor, value: Any) -> Any:
    """`x` with a size in place of a factor."""
    total: Any = 0
    for term, count in x.terms:
        rest = tuple([pair for pair in term if pair[0] != factor])
        part = make({rest: count}, x.scope)
        for _ in range(dict(term).get(factor, 0)):
            part = multiply(part, value)
        total = add(total, part)
    return total


def quotient(s: Term, t: Term) -> Term | None:
    """The term by which `t` must be multiplied to give `s`; None if there is none."""
    powers = dict(s)
    for factor, power in t:
        left = powers.pop(factor, 0) - power
        if left < 0:
            return None
        if left:
            powers[factor] = left
    return tuple([(f, powers[f]) for f, _ in s if f in powers])


_DIVISION_STEPS = 32


def divide(x: Any, y: Any) -> tuple[Any, Any]:
    """`divmod(x, y)`, by long division where that leaves no symbolic remainder."""
    if y == 0:
        raise ZeroDivisionError("integer division or modulo by zero")
    scope = _scope(x, y)
    (lead, count), whole, rest = terms_of(y)[0], 0, x
    for _ in range(_DIVISION_STEPS):
        if not isinstance(rest, Dim):
            break
        term, n = rest.terms[0]
        ratio = quotient(term, lead)
        if ratio is None or n % count:
            break
        step = make({ratio: n // count}, scope)
        whole, rest = add(whole, step), add(rest, multiply(step, y), -1)
    if isinstance(rest, int) and (isinstance(y, int) or rest == 0):
        return add(whole, rest // y) if rest else whole, rest % y if rest else 0
    return scope.atom(Operation("floordiv", x, y)), scope.atom(Operation("mod", x, y))


# --- The order of terms -------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def factor_key(factor: Factor) -> tuple:
    """Variables come before operations, and those in the order of their sizes as text."""
    if isinstance(factor, str):
        return (1, factor)
    x, y = _dim_key(factor.x), _dim_key(factor.y)
    return (1 + x[0] + y[0], factor.name, x, y)


@functools.lru_cache(maxsize=4096)
def term_key(term: Term) -> tuple:
    """First by size, then by the last factors."""
    keys = [(factor_key(f), power) for f, power in reversed(term)]
    return (sum([key[0] + power for key, power in keys]), keys)


def _dim_key(x: Any) -> tuple:
    pairs = [(term_key(t), n) for t, n in terms_of(x)]
    return (sum([key[0] * abs(n) + 1 for key, n in pairs]), pairs)


# --- A size as a value in a program -------------------------------------------------------------


def _dim_as_value_impl(*, dim: Dim) -> Any:
    raise NotImplementedError(
        "Evaluation rule for 'dim_as_value' is not implemented. It seems that you are using shape "
        "polymorphism outside jax.export.")


def _dim_as_value_shape(*, dim: Dim) -> ShapedArray:
    return ShapedArray((), dtypes.scalar_dtype(int), True)


dim_as_value_p = Primitive("dim_as_value", shape=_dim_as_value_shape, impl=_dim_as_value_impl,
                           jvp=nondifferentiable)
register_aval(Dim, lambda x: _dim_as_value_shape(dim=x))
