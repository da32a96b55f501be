"""Symbolic sizes: normal forms, text, decisions, constraints, scopes."""

import itertools
import math
import re

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import export
from minijax.base.dims import max_dim, min_dim
from minijax.errors import InconclusiveDimensionOperation

a, b, c = export.symbolic_shape("a, b, c")


@pytest.mark.parametrize("size, text", [
    (2 * a * b * a - 3, "2*a^2*b - 3"), (a - b, "- b + a"), (-a, "- a"), (3 - 2 * a, "- 2*a + 3"),
    ((a + 1) ** 2, "a^2 + 2*a + 1"), (a * b + b * b + a * a + a + b, "a*b + b^2 + a^2 + b + a"),
    (a * c * c + b * b * c, "a*c^2 + b^2*c"), (a % 4 + a // 4 + a * a, "mod(a, 4) + floordiv(a, 4)"
                                               " + a^2"),
    (b * (a // 4), "b*floordiv(a, 4)"), ((6 * a + 5) // 3, "2*a + 1"), ((4 * a + 7) % 4, "3"),
    ((a * a - b * b) // (a + b), "- b + a"), ((3 * a) // 2, "floordiv(3*a, 2)"),
    ((-a) // 2, "floordiv(- a, 2)"), (7 // a, "floordiv(7, a)"), ((a * b + a) // a, "b + 1"),
    (a * 2 // a, "2"), (a + (2 - a), "2"), (max_dim(a, b), "max(a, b)"),
    (max_dim(a, a + 2), "a + 2"),
    (max_dim(a, -3), "a"), (min_dim(a, a - 2), "a - 2"), (min_dim(a % 2, -1), "-1"),
    (max_dim(b - a, -3), "max(b - a, - 3)")])
def test_normal_forms_and_their_text(size, text):
    assert str(size) == text
    assert export.symbolic_shape(text, scope=a.scope) == (size,)


def test_arithmetic_is_that_of_integers():
    """Every operation, on expressions and on the values that they have."""
    sizes = [a, b, a + b, 2 * a - 3, a * b + 1, -b, a // 2, b % 3, max_dim(a, 4),
             min_dim(a, b), 5, -2]
    operations = [lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, lambda x, y: x // y,
                  lambda x, y: x % y, max_dim, min_dim]
    for env in ({"a": 1, "b": 7}, {"a": 6, "b": 1}, {"a": 12, "b": 5}):
        def value(x):
            return x.evaluate(env) if export.is_symbolic_dim(x) else x
        for x, y, operation in itertools.product(sizes, sizes, operations):
            if value(y) != 0:
                assert value(operation(x, y)) == operation(value(x), value(y)), (x, y, env)


def test_bounds_hold_for_all_values():
    x, y = export.symbolic_shape("x, y", constraints=["x >= 3", "y <= 9", "x + y >= 7"])
    sizes = [x, x - y, 5 * x - 2 * y, x // 2, x % 4, (x - 5) // 3, 10 % x, -7 // x,
             max_dim(x - 6, y),
             min_dim(x, 6) - y, x * y - x, x * x - 2 * x, y % (x + 1), x // (y + 2), (y - 4) // -2]
    for size in sizes:
        low, high = size.scope.bounds(size)
        for m, n in itertools.product(range(3, 12), range(1, 10)):
            if m + n >= 7:
                assert low <= size.evaluate({"x": m, "y": n}) <= high, size


@pytest.mark.parametrize("size, low, high", [
    (a - 1, 0, math.inf), (2 * a - 3 * b + 5 * c - 1, -math.inf, math.inf), ((b + 1) % 2, 0, 1),
    ((b + 1) % -2, -1, 0), ((a + 5) // 2, 3, math.inf), (11 // (a + 1), 0, 5),
    (a - a // 2, 1, math.inf),
    (a - 2 * (a // 2), 0, 1), (max_dim(15 - a, 0) // 3, 0, 4), (a - 5 % a, 1, math.inf),
    (b - max_dim(b - a, 0), 1, math.inf), (max_dim(a, b) - min_dim(a, b), 0, math.inf),
    (-2 * ((-b) // 2) - b, 0, 1), (max_dim(min_dim(a, b + 10), b) - b, 0, 10)])
def test_bounds(size, low, high):
    assert a.scope.bounds(size) == (low, high)


def test_decisions():
    assert a >= 1 and a > 0 and 4 * a + b + 3 >= 8 and not a < 1 and -a <= -1
    assert a == a + 0 and a != b and a != 1 and hash(a) == hash(a * 1)
    with pytest.raises(InconclusiveDimensionOperation, match=re.escape(
            "Symbolic dimension comparison 'b + 4*a + 3' > '9' is inconclusive")):
        4 * a + b + 3 > 9  # noqa: B015
    with pytest.raises(InconclusiveDimensionOperation, match="requires a constant"):
        int(a)
    with pytest.raises(InconclusiveDimensionOperation, match="Possible division by 0"):
        a // (a - 3) >= 0  # noqa: B015
    with pytest.raises(ZeroDivisionError):
        a // 0
    with pytest.raises(ValueError, match="negative powers"):
        a ** -1
    with pytest.raises(ValueError, match="non-integer powers"):
        a ** 1.5
    with pytest.raises(TypeError):
        range(a)
    with pytest.raises(NotImplementedError, match="outside jax.export"):
        jnp.ones(3) * a


def test_constraints():
    x, y = export.symbolic_shape("x, y", constraints=("x + 2 <= y", "y <= x + 5"))
    assert x.scope.bounds(y - x - 7) == (-5, -2) and max_dim(x, y) == y and y >= 3
    with pytest.raises(InconclusiveDimensionOperation, match="with constraints:\n  x \\+ 2 <= y"):
        x >= 6  # noqa: B015
    x, = export.symbolic_shape("x", constraints=("2*x >= 5", "3*x <= 10"))
    assert x.scope.bounds(5 * x - 2) == (13, 13)
    x, y, z = export.symbolic_shape("x, y, z", constraints=("y == x", "z == 5", "4*w == y"))
    assert y == x and z == 5
    x, y = export.symbolic_shape("x, y", constraints=("4*x == y",))
    assert y >= 3 * x and 5 * x >= y
    x, y = export.symbolic_shape("x, y", constraints=("mod(x, 4) == 0",))
    assert 4 * (x // 4) == x and math.prod([x, y]) == math.prod([x // 4, y, 2, 2])
    x, = export.symbolic_shape("x", constraints=["floordiv(x + 1, 2) == - floordiv(- x, 2)"])
    assert (x + 1) // 2 == -((-x) // 2)


@pytest.mark.parametrize("constraints, text", [
    ("a >= 1", "should be a sequence of strings"), (["a != 1"], "must contain one of"),
    (["a >= a + 1"], re.escape("Unsatisfiable explicit constraint: a >= a + 1")),
    (["a == a + 1"], "Unsatisfiable explicit constraint"), (["a + b == c"], "Invalid equality")])
def test_mistaken_constraints(constraints, text):
    with pytest.raises(ValueError, match=text):
        export.symbolic_shape("a", constraints=constraints)


def test_contradictions_are_found():
    x, y = export.symbolic_shape("x, y", constraints=("x >= z + 1", "z >= 4", "x <= 4"))
    with pytest.raises(ValueError, match="Unsatisfiable constraints"):
        x >= y  # noqa: B015


def test_scopes():
    other, = export.symbolic_shape("a", constraints=["a >= 5"])
    assert other != a and hash(other) != hash(a)
    for operation in (lambda: a + other, lambda: a // other, lambda: a >= other,
                      lambda: max_dim(a, other)):
        with pytest.raises(ValueError, match="(?s)Invalid mixing of symbolic scopes.*a >= 5"):
            operation()
    assert export.symbolic_shape("a", scope=a.scope) == (a,)
    with pytest.raises(ValueError, match="both a `scope` and `constraints`"):
        export.symbolic_shape("a", scope=a.scope, constraints=["a >= 2"])


def test_shapes_from_text():
    assert export.symbolic_shape("(2, 3,)") == (2, 3) and export.symbolic_shape("") == ()
    assert export.symbolic_shape("2, _", like=(2, 3)) == (2, 3)
    assert export.symbolic_shape("(a, ...)", like=(None, 3), scope=a.scope) == (a, 3)
    assert export.symbolic_shape(None, like=(2, 3)) == (2, 3)
    assert not export.is_symbolic_dim(3) and export.is_symbolic_dim(a)


@pytest.mark.parametrize("text", ["2.5", "a + a a", "a ^ a", "a; a", "_", "...", ")(", "2a", "a@",
                                  "'a'", "mod(a)", "floordiv(a, b, c)", "..., 3", "foo(a)"])
def test_errors_of_text(text):
    with pytest.raises(ValueError, match="syntax error in symbolic shape"):
        export.symbolic_shape(text)


@pytest.mark.parametrize("text, like, why", [
    ("b, 3", (None, 4), "different size 3 for known dimension"),
    ("b, 5, _", None, "no 'like' shape was given"),
    ("b, 7, c, ...", (4, 7), "we parsed 3 already and 'like' shape has only 2 dimensions")])
def test_shapes_that_do_not_fit(text, like, why):
    with pytest.raises(ValueError, match=f"syntax error in symbolic shape .*{why}"):
        export.symbolic_shape(text, like=like)


def test_specs_of_arguments():
    x, y = np.ones((3, 2), np.float32), np.ones(3, np.int32)
    one, two = export.symbolic_args_specs((x, y), ("b, _", "b"))
    assert one.shape[0] == two.shape[0] and one.shape[1] == 2 and two.dtype == np.int32
    specs = export.symbolic_args_specs({"x": x, "y": y}, "b, ...")
    assert [len(s.shape) for s in jax.tree.leaves(specs)] == [2, 1]
    with pytest.raises(ValueError, match="should be None or a string"):
        export.symbolic_args_specs((x,), (3,))
