"""The values of dimension variables, from the shapes of arguments.

`solve` works with any numbers: integers when a program is called, symbolic sizes when it is called
within another one, and values of a module when a program is lowered, which then checks its
arguments itself.

    plan = Shapes([("args[0]", (a, 2 * b + a))])
    plan.solve(size=lambda argument, axis: (3, 7)[axis], check=...)    # {"a": 3, "b": 2}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minijax.base import tree
from minijax.base.errors import InconclusiveDimensionOperation
from minijax.export.dims import Dim, evaluate, terms_of, variables

_WRONG = "Input shapes do not match the polymorphic shapes specification. "
_PAGE = "Please see https://docs.jax.dev/en/latest/export/shape_poly.html"
_DOCS = f"{_PAGE}#shape-assertion-errors for more details."
_SOLVABLE = (f"{_PAGE}#dimension-variables-must-be-solvable-from-the-input-shapes for more details."
             )


class Equation(NamedTuple):
    """The size of one axis of an argument."""

    argument: int
    axis: int
    name: str
    size: Any


class Step(NamedTuple):
    """`equation` gives `variable` (None: all are known, it is checked)."""

    equation: Equation
    variable: str | None
    factor: int


class Shapes:
    """How to find dimension variables: the specifications of arguments, as (name, shape)."""

    def __init__(self, arguments: Sequence[tuple[str, tuple]]):
        self.text = ",".join(f"{name}.shape = {_tuple(shape)}" for name, shape in arguments
                             if any([isinstance(n, Dim) for n in shape]))
        equations = [Equation(i, axis, f"{name}.shape[{axis}]", size)
                     for i, (name, shape) in enumerate(arguments)
                     for axis, size in enumerate(shape) if isinstance(size, Dim)]
        self.scope = equations[0].size.scope if equations else None
        for equation in equations:
            self.scope.check_same(equation.size, "in shapes of arguments")
        self.steps, self.unsolved = _plan(equations)
        self.names = tuple(sorted(s.variable for s in self.steps if s.variable))
        self.asked = {name for e in equations for name in variables(e.size)}

    def check_solvable(self) -> None:
        """ValueError if the shapes of the arguments do not tell all variables."""
        for constraint in self.scope.constraints if self.scope is not None else ():
            replaced = {term[0][0] for term, _, _ in self.scope.rules}
            unknown = variables(constraint.difference) - self.asked - replaced
            if unknown:
                raise ValueError(
                    f"Encountered dimension variable '{min(unknown)}' that is not appearing in the "
                    "shapes of the function arguments.\n"
                    f"  because of the constraint {constraint.text}\n  {_SOLVABLE}")
        if self.unsolved:
            names = {n for e in self.unsolved for n in variables(e.size)} - set(self.names)
            told = ", ".join(f"'{e.size}' for dimension size {e.name}" for e in self.unsolved)
            raise ValueError(
                f"Cannot solve for values of dimension variables {names}. We can only solve "
                "linear uni-variate constraints. Using the following polymorphic shapes "
                f"specifications: {self.text}. Unprocessed specifications: {told}. {_SOLVABLE}")

    def solve(self, size: Callable[[int, int], Any], check: Callable) -> dict[str, Any]:
        """The values of the variables.

        size: argument and axis to a number. check: (value, least, text, shown numbers); `least` is
        the least allowed value, None if only zero is; texts say {0}, {1} for the numbers.
        """
        env: dict[str, Any] = {}
        found: list[tuple[str, Any]] = []  # pieces of text, and the number after each
        for equation, variable, factor in self.steps:
            given = size(equation.argument, equation.axis)
            if variable is None:
                wanted = evaluate(equation.size, env)
                self._check(check, given - wanted, None, found,
                            [f"Found inconsistency between dimension size {equation.name} (= ",
                             given, f") and the specification '{equation.size}' (= ", wanted,
                             "). "])
                continue
            rest = evaluate(equation.size, {**env, variable: 0})
            value = given if isinstance(rest, int) and rest == 0 else given - rest
            if factor != 1:
                left = value % abs(factor)
                self._check(check, left, None, found,
                            ["Division had remainder ", left,
                             f" when computing the value of '{variable}'. "])
                value = value // factor
            env[variable] = value
            found += [(f"'{variable}' = ", value),
                      (f" from specification '{equation.size}' for dimension {equation.name} (= ",
                       given), ("), ", None)]
            self._check(check, value - 1, 0, found,
                        [f"Expected value >= 1 for dimension variable '{variable}'. "])
        self._constraints(env, check, found)
        return env

    def _constraints(self, env: dict[str, Any], check: Callable, found: list) -> None:
        if self.scope is None:
            return
        env = dict(env)
        for term, count, value in self.scope.rules:  # variables that others replace
            if count == 1 and len(term) == 1 and isinstance(term[0][0], str):
                if variables(value) <= set(env):
                    env[term[0][0]] = evaluate(value, env)
        for text, equal, difference in self.scope.constraints:
            if variables(difference) <= set(env):
                value = evaluate(difference, env)
                kind = "equal to" if equal else "greater or equal to"
                self._check(check, value, None if equal else 0, found,
                            [f"Expected '{difference}' to be {kind} 0, but found ", value, ".  "],
                            "Input shapes do not match the symbolic shape constraint "
                            f"{text}. ")

    def _check(self, check: Callable, value: Any, least: int | None, found: list, parts: list,
               beginning: str = _WRONG) -> None:
        pieces = [*parts, f"Using the following polymorphic shapes specifications: {self.text}. "
                  "Obtained dimension variables: "]
        for text, number in found:
            pieces += [text] if number is None else [text, number]
        text, shown = beginning, []
        for piece in [*pieces, f". {_DOCS}"]:
            if isinstance(piece, str):
                text += piece
            else:
                text += f"{{{len(shown)}}}"
                shown.append(piece)
        check(value, least, text, shown)


def _tuple(shape: Sequence[Any]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _plan(equations: Sequence[Equation]) -> tuple[list[Step], list[Equation]]:
    """Steps in which each equation has at most one unknown, to the first power; and the rest."""
    steps: list[Step] = []
    known: set[str] = set()
    waiting = list(equations)
    progress = True
    while progress:
        progress = False
        for equation in list(waiting):
            unknown = variables(equation.size) - known
            factor = _factor(equation.size, unknown)
            if factor is not None:
                steps.append(Step(equation, next(iter(unknown), None), factor))
                known |= unknown
                waiting.remove(equation)
                progress = True
    return steps, waiting


def _factor(size: Any, unknown: set[str]) -> int | None:
    """The coefficient of the only unknown variable of a linear equation; None if it is another."""
    if not unknown:
        return 1
    name = next(iter(unknown))
    pairs = [(term, n) for term, n in terms_of(size)
             if any([name == f or (not isinstance(f, str) and name in variables(f.x)
                                   | variables(f.y)) for f, _ in term])]
    if len(unknown) > 1 or len(pairs) != 1 or pairs[0][0] != ((name, 1),):
        return None
    return pairs[0][1]


def refuse(value: Any, least: int | None, text: str, shown: Sequence[Any]) -> None:
    """A `check` for integers and symbolic sizes: ValueError unless the condition surely holds."""
    try:
        holds = value == 0 if least is None else value >= least
    except InconclusiveDimensionOperation:
        holds = False
    if not holds:
        raise ValueError(text.format(*shown))


def argument_names(in_tree: tree.PyTreeDef) -> list[str]:
    """`args[0]`, `kwargs['x']`: how messages call the arguments."""
    paths = [tree.keystr(path) for path, _ in tree.leaves_with_path(
        tree.unflatten(in_tree, range(in_tree.num_leaves)))]
    return [f"args{path[3:]}" if path.startswith("[0]") else f"kwargs{path[3:]}" for path in paths]
