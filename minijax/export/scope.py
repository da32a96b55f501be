"""Symbolic shapes: scopes with their constraints, and the text that names sizes.

    b, n = symbolic_shape("b, 2*n", constraints=["n >= 4", "mod(b, 2) == 0"])
    specs = symbolic_args_specs((x, y), ("b, _", "b, ..."))      # for `export`
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from minijax.api.misc import ShapeDtypeStruct
from minijax.base import source, tree
from minijax.base.dims import SymbolicDim, max_dim, min_dim
from minijax.base.errors import InconclusiveDimensionOperation
from minijax.export.bounds import (INF, Interval, Pairs, Unsatisfiable, bounds, interval, meet,
                                   tightened, total)
from minijax.export.dims import (Dim, Operation, Term, make, multiply, quotient, terms_of)

_DOCS = "https://docs.jax.dev/en/latest/export/shape_poly.html"


class Constraint(NamedTuple):
    """A constraint that the user wrote: `left >= right` or `left == right`."""

    text: str
    equal: bool
    difference: Any


class SymbolicScope:
    """What the dimension variables of one or several shapes have in common: constraints.

    constraints_str: texts like "a >= b + 1", "a <= 10", "mod(a, 2) == 0", "2*a == b". The left
    side of an equality is a single term, which is replaced by the right side from then on.
    """

    def __init__(self, constraints_str: Sequence[str] = ()):
        if isinstance(constraints_str, str):
            raise ValueError("The symbolic constraints should be a sequence of strings. Got "
                             f"{constraints_str!r}")
        self.location = source.current_user_frame()
        self.constraints: list[Constraint] = []
        self.facts: list[Pairs] = []
        self.known: dict[Term, Interval] = {}
        self.rules: list[tuple[Term, int, Any]] = []
        self._bounds: dict[Any, Interval] = {}
        for text in constraints_str:
            self._constrain(text)

    def __str__(self) -> str:
        place = ""
        if self.location is not None:
            place = (f" created at {self.location.file}:{self.location.line} "
                     f"({self.location.function})")
        told = "".join(f"\n  {c.text}" for c in self.constraints)
        return f"{id(self)}{place}" + (f" with constraints:{told}" if told else "")

    __repr__ = __str__

    # --- constraints ------------------------------------------------------------------------

    def _constrain(self, text: str) -> None:
        sides = re.split("(==|>=|<=)", text)
        if len(sides) != 3:
            raise ValueError("Constraint parsing error: must contain one of '==' or '>=' or '<='")
        left, right = [_Parser(side, None, self).dimensions()[0] for side in (sides[0], sides[2])]
        equal = sides[1] == "=="
        difference = right - left if sides[1] == "<=" else left - right
        if not isinstance(difference, Dim):
            if difference < 0 or (equal and difference):
                raise ValueError(f"Unsatisfiable explicit constraint: {text}")
            return
        if equal:
            self._replace(text, left, right)
        self.constraints.append(Constraint(text, equal, difference))
        self._assume(difference, equal)
        self._learn()

    def _assume(self, difference: Any, equal: bool) -> None:
        self.facts += [total((sign, difference)) for sign in ((1, -1) if equal else (1,))]

    def _learn(self) -> None:
        """Bounds of single terms: those that a constraint names, then what follows from all."""
        for fact in map(tightened, self.facts):
            if len([term for term, _ in fact if term]) == 1:
                (term, sign), rest = next(p for p in fact if p[0]), dict(fact).get((), 0)
                found = (-rest, INF) if sign > 0 else (-INF, rest)
                self.known[term] = meet(found, self.known.get(term))
        self._bounds.clear()
        try:
            for term in {term for fact in self.facts for term, _ in fact if term}:
                self.known[term] = self.bounds(Dim(((term, 1),), self))
        except ValueError:  # contradictions are an error of the comparison that needs to know
            pass
        self._bounds.clear()

    def _replace(self, text: str, left: Any, right: Any) -> None:
        pairs = terms_of(left)
        if len(pairs) != 1 or not pairs[0][0]:
            raise ValueError(f"Invalid equality constraint: {text}. The left-hand-side must be of "
                             "the form `term * coefficient`.")
        term, count = pairs[0]
        factor = term[0][0]
        if (count == 1 and right == 0 and len(term) == 1 and isinstance(factor, Operation)
                and factor.name == "mod" and isinstance(factor.y, int)):
            whole = ((Operation("floordiv", factor.x, factor.y), 1),)
            exact = total((factor.y, ((whole, 1),)), (-1, factor.x))
            self.constraints.append(Constraint(
                f"{factor.y}*{whole[0][0]} == {factor.x}", True, Dim(exact, self)))
            self._assume(exact, True)
            self.rules.append((whole, factor.y, factor.x))
        if not any(quotient(t, term) is not None for t, _ in terms_of(right)):
            self.rules.append((term, count, right))

    def normalize(self, coefficients: Mapping[Term, int]) -> Mapping[Term, int]:
        """Coefficients of terms after all replacements that equalities demand."""
        if not self.rules:
            return coefficients
        result = dict(coefficients)
        for _ in range(100):
            for rule, count, value in self.rules:
                found = next(((t, quotient(t, rule)) for t, n in result.items()
                              if n and n % count == 0 and quotient(t, rule) is not None), None)
                if found is not None:
                    break
            else:
                break
            times = result.pop(found[0]) // count
            for term, n in terms_of(multiply(value, Dim(((found[1], times),), self))):
                result[term] = result.get(term, 0) + n
        return result

    def atom(self, operation: Operation) -> Any:
        """The size that an operation gives."""
        return make({((operation, 1),): 1}, self)

    # --- decisions --------------------------------------------------------------------------

    def bounds(self, x: Any) -> Interval:
        """The least and the greatest value of a size."""
        if not isinstance(x, Dim):
            return x, x
        found = self._bounds.get(x)
        if found is None:
            try:
                found = self._bounds[x] = bounds(x, self)
            except Unsatisfiable:
                told = ", ".join(c.text for c in self.constraints)
                raise ValueError(f"Unsatisfiable constraints: {told}") from None
        return found

    def sign(self, x: Any) -> Interval:
        """Bounds of a size that may be wider than the best if they tell its sign."""
        found = interval(x, self)
        return found if found[0] >= 0 or found[1] < 0 else self.bounds(x)

    def check_same(self, other: Any, what: str, mine: str = "", place: str = "") -> None:
        """ValueError if the size `other` belongs to another scope."""
        if isinstance(other, Dim) and other.scope is not self:
            raise ValueError(
                f"Invalid mixing of symbolic scopes {what}.\nExpected {mine}scope {self}\n"
                f"and found for '{other}'{place} scope {other.scope}\n"
                f"See {_DOCS}#user-specified-symbolic-constraints.")

    def inconclusive(self, text: str) -> InconclusiveDimensionOperation:
        """The error for a question that has no answer for all values of the variables."""
        told = f"\nUsing symbolic scope {self}" if self.constraints else ""
        return InconclusiveDimensionOperation(f"{text}{told}")


# --- Text ---------------------------------------------------------------------------------------

_TOKEN = re.compile(r"\s*(?:(?P<number>\d+(?![\w.]))|(?P<name>[A-Za-z_]\w*)|(?P<dots>\.\.\.)"
                    r"|(?P<sign>[-+*^(),])|(?P<end>$)|(?P<other>\S+))")
_FUNCTIONS = {"floordiv": lambda x, y: x // y, "mod": lambda x, y: x % y,
              "max": max_dim, "min": min_dim}


class _Parser:
    """Reads a shape. Each method takes tokens from the front."""

    def __init__(self, text: str | None, like: Sequence[int | None] | None, scope: SymbolicScope):
        self.original, self.like, self.scope = text, like, scope
        text = "..." if text is None else text.strip()
        if text.startswith("(") and text.endswith(")"):
            text = text[1:-1]
        self.text, self.place, self.sizes = text, 0, []
        self.next()

    def next(self) -> str:
        """Go on to the next token; gives the last one."""
        last = getattr(self, "token", "")
        self.start = self.place
        match = _TOKEN.match(self.text, self.place)
        self.kind, self.token, self.place = match.lastgroup, match[match.lastgroup], match.end()
        return last

    def fail(self, why: str) -> ValueError:
        shown = repr(self.original) if self.original is not None else "None"
        return ValueError(
            f"syntax error in symbolic shape {shown} in dimension {len(self.sizes)}: {why}. "
            f"Parsed {self.text[:self.start]!r}, remaining {self.text[self.start:].lstrip()!r}.")

    def expect(self, *tokens: str) -> str:
        if self.token not in tokens:
            raise self.fail(f"expecting one of {tokens} but found {self.token!r}")
        return self.next()

    def shape(self) -> tuple:
        """The whole shape."""
        if self.kind != "end":
            self.dimensions()
        if self.like is not None and len(self.sizes) != len(self.like):
            raise self.fail(f"there are {len(self.sizes)} dimensions and 'like' shape has "
                            f"{len(self.like)}")
        return tuple(self.sizes)

    def dimensions(self) -> list:
        while self.kind != "end":
            self.entry()
            if self.kind == "end":
                break
            self.expect(",")
        return self.sizes

    def entry(self) -> None:
        if self.token not in ("...", "_"):
            size = self.sum()
            wanted = self.like_size(len(self.sizes))
            if isinstance(size, int) and wanted not in (None, size):
                raise self.fail(f"different size {size} for known dimension; like={self.like}")
            self.sizes.append(size)
            return
        if self.like is None:
            raise self.fail("spec contains ... but no 'like' shape was given")
        if self.token == "..." and len(self.sizes) <= len(self.like):
            self.sizes += [self.known(n) for n in self.like[len(self.sizes):]]
        elif len(self.sizes) < len(self.like):
            self.sizes.append(self.known(self.like[len(self.sizes)]))
        else:
            raise self.fail(f"cannot resolve placeholder '{self.token}' because we parsed "
                            f"{len(self.sizes)} already and 'like' shape has only "
                            f"{len(self.like)} dimensions")
        dots = self.next() == "..."
        if dots and self.kind != "end":
            raise self.fail("nothing may follow ...")

    def like_size(self, i: int) -> Any:
        return self.like[i] if self.like is not None and i < len(self.like) else None

    def known(self, size: Any) -> Any:
        if not isinstance(size, (int, SymbolicDim)):
            raise self.fail(f"the size of 'like' shape {self.like} is not known")
        return size

    def sum(self) -> Any:
        total: Any = 0
        sign = self.next() if self.token in ("+", "-") else "+"
        while True:
            term = self.product()
            total = total + term if sign == "+" else total - term
            if self.token not in ("+", "-"):
                return total
            sign = self.next()

    def product(self) -> Any:
        total = self.power()
        while self.token == "*":
            self.next()
            total = total * self.power()
        return total

    def power(self) -> Any:
        base = self.atom()
        if self.token != "^":
            return base
        self.next()
        if self.kind != "number":
            raise self.fail(f"expecting an integer but found {self.token!r}")
        return base ** int(self.next())

    def atom(self) -> Any:
        if self.kind == "sign" and self.token in "+-":  # as in 2 + -1*a
            return self.power() if self.next() == "+" else -self.power()
        if self.kind == "number":
            return int(self.next())
        if self.kind != "name" or self.token == "_":
            raise self.fail(f"expecting integer, found {self.token or 'the end'}")
        name = self.next()
        if name not in _FUNCTIONS:
            return make({((name, 1),): 1}, self.scope)
        self.expect("(")
        x = self.sum()
        self.expect(",")
        y = self.sum()
        self.expect(")")
        return _FUNCTIONS[name](x, y)


# --- Public functions ---------------------------------------------------------------------------


def symbolic_shape(shape_spec: str | None, *, constraints: Sequence[str] = (),
                   scope: SymbolicScope | None = None,
                   like: Sequence[int | None] | None = None) -> tuple:
    """A shape whose sizes may be symbolic, from text like "b, 2*n + 1, _, ...".

    like: where `_`, and `...` for all that follow, take their sizes from.
    constraints: of a new scope; see `SymbolicScope`. scope: one that exists.
    """
    if shape_spec is not None and not isinstance(shape_spec, str):
        raise ValueError("polymorphic shape spec should be None or a string. Found "
                         f"{shape_spec}.")
    return _Parser(shape_spec, like, _scope(scope, constraints)).shape()


def _scope(scope: SymbolicScope | None, constraints: Sequence[str]) -> SymbolicScope:
    if scope is None:
        return SymbolicScope(constraints)
    if constraints:
        raise ValueError("Cannot specify both a `scope` and `constraints`.")
    return scope


def symbolic_args_specs(args: Any, shapes_specs: Any, constraints: Sequence[str] = (),
                        scope: SymbolicScope | None = None) -> Any:
    """ShapeDtypeStructs for the arguments `args`, with the shapes that `shapes_specs` names.

    shapes_specs: a prefix of the tree `args` whose leaves are texts, or None for the shape as is.
    """
    scope = _scope(scope, constraints)
    if isinstance(shapes_specs, list) and isinstance(args, tuple):
        shapes_specs = tuple(shapes_specs)
    leaves, structure = tree.flatten(args)
    specs = tree.broadcast_prefix(shapes_specs, args, is_leaf=lambda x: x is None)
    made = [ShapeDtypeStruct.like(x) for x in leaves]
    return tree.unflatten(structure, [
        x.update(shape=symbolic_shape(spec, scope=scope, like=x.shape))
        for x, spec in zip(made, specs)])
