"""A fresh function is taken for an earlier one only where nobody could tell the two apart."""

import gc
import math
import weakref
from typing import NamedTuple

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax, nn
from minijax.lax.control_flow import common
from minijax.passes.alike import alike, clear_caches

LEAF = jax.tree.structure((0.0,))
NUMBER = 1.5


def helper(c):
    return jnp.sin(c) * NUMBER


def scaled_by(k):
    return lambda c: c * k


def with_default(k):
    return lambda c, k=k: c * k


def first_argument(c, *, scale=2.0):
    return c * scale


def stateless():
    """Functions that are new at each call and have no state."""
    k = 2.0
    offsets = (1, 2.5, "a")
    sub = lambda c: helper(c) + k  # noqa: E731
    return {
        "operators": lambda c: c[0] < 5,
        "modules": lambda c: jnp.sin(c) + nn.relu(c) + lax.exp(c) + jax.numpy.cos(c) + math.pi,
        "numbers": lambda c: c * k + NUMBER + offsets[0],
        "builtins": lambda c: sum([abs(x) for x in (c, -c)]) + len(offsets),
        "helpers": lambda c: helper(c) + sub(c),
        "inner functions": lambda c: lax.fori_loop(0, 3, lambda i, x: x + i * k, c),
        "defaults": lambda c, k=3: c + k,
        "attributes": lambda c: c.T.sum().astype(int),
    }


def stateful():
    """Functions that depend on what may change, or change something."""
    numbers, counter = [1.0], 0
    array, table = np.ones(3), {"a": 1}

    def counting(c):
        nonlocal counter
        counter += 1
        return c

    def globally(c):
        global NUMBER
        NUMBER = 1.5
        return c

    def attribute(c):
        jnp.marker = 1
        return c

    def importing(c):
        import time
        return c + time.time()

    def defining(c):
        class Local:
            value = NUMBER
        return c + Local.value

    def recursive(c):
        return recursive(c) if c.ndim else c

    def generator(c):
        yield c

    def unset(c):
        return c + later

    def marked(c):
        return c
    marked.note = 1
    if counter:
        later = 1
    return {
        "a list": lambda c: c + numbers[0], "an array": lambda c: c + array,
        "a dict": lambda c: c + table["a"], "another module": lambda c: c + np.random.rand(),
        "printing": lambda c: print(c) or c, "reading a file": lambda c: c + jnp.load("a.npy"),
        "configuration": lambda c: c if jax.config.jax_enable_x64 else -c,
        "a class": lambda c: Point(c, c).x, "a helper with state": lambda c: counting(c),
        "a missing name": lambda c: c + no_such_name,  # noqa: F821
        "counting": counting, "a global": globally, "an attribute": attribute,
        "an import": importing, "defining a class": defining, "recursion": recursive,
        "a generator": generator,
        "a variable without a value": unset, "a function with attributes": marked,
        "keywords": first_argument, "a builtin": len, "a bound method": numbers.append,
        "a complex number": (lambda k: lambda c: c + k)(-0j)}


@pytest.fixture(autouse=True)
def forgotten():
    clear_caches()


@pytest.mark.parametrize("name", stateless())
def test_functions_without_state_are_alike(name):
    first, second = stateless()[name], stateless()[name]
    assert first is not second
    found = alike(first, LEAF)
    assert found is alike(second, LEAF)
    x = jnp.full((3, 3), 0.7)
    np.testing.assert_array_equal(found(x), second(x))


@pytest.mark.parametrize("name", stateful())
def test_functions_with_state_are_themselves(name):
    fun = stateful()[name]
    assert alike(fun, LEAF) is fun


@pytest.mark.parametrize("make", [scaled_by, with_default])
def test_values_that_python_calls_equal_are_told_apart(make):
    values = [0, 0.0, -0.0, False, None, (0,), (0.0,), (-0.0,), (False,), "0", 1, True, 1.0]
    assert len({id(alike(make(k), LEAF)) for k in values}) == len(values)
    assert all(alike(make(k), LEAF) is alike(make(k), LEAF) for k in values)


class Point(NamedTuple):
    x: float
    y: float

    def norm(self):
        return self.x


def test_methods_of_users_classes_may_do_anything():
    fun = lambda m: m.norm()  # noqa: E731
    for arguments in ((Point(1.0, 2.0),), ([{"a": Point(1.0, 2.0)}],)):
        assert alike(fun, jax.tree.structure(arguments)) is fun
    assert alike(fun, jax.tree.structure(({"a": [1.0, (2.0, None)]},))) is not fun


def test_what_a_function_finds_is_looked_up_at_each_call(monkeypatch):
    got = []
    for k in (1.0, 2.0, 1.0):
        got.append(float(lax.fori_loop(0, 2, lambda i, c: c + k * NUMBER, 0.0)))  # noqa: B023
        monkeypatch.setitem(globals(), "NUMBER", NUMBER + 1)
    assert got == [3.0, 10.0, 7.0]


def test_redefined_helpers_and_builtins_are_seen(monkeypatch):
    run = lambda: float(lax.while_loop(lambda c: c < 1, lambda c: abs(helper(c)), 0.5))  # noqa: E731
    monkeypatch.setitem(globals(), "helper", lambda c: c + 1)
    assert run() == 1.5
    monkeypatch.setitem(globals(), "helper", lambda c: c + 2)
    assert run() == 2.5
    monkeypatch.setitem(globals(), "abs", lambda c: c + 10)
    assert run() == 12.5


def test_side_effects_happen_at_each_call():
    seen = []
    for i in range(3):
        lax.scan(lambda c, _: (c, seen.append(i)), 0.0, None, length=2)  # noqa: B023
    assert seen == [0, 1, 2]


def test_later_assignments_do_not_reach_an_earlier_function():
    k = 2.0
    fun = lambda c: c * k  # noqa: E731
    found = alike(fun, LEAF)
    k = 3.0
    assert (found(1.0), fun(1.0)) == (2.0, 3.0)
    assert alike(fun, LEAF)(1.0) == 3.0


def test_nothing_but_what_was_compared_stays_alive():
    class Data:
        pass

    data = Data()
    held = weakref.ref(data)
    space = {"jnp": jnp, "data": data, "__name__": "other"}
    fun = eval("lambda c: jnp.sin(c)", space)
    found, gone = alike(fun, LEAF), weakref.ref(fun)
    assert found.__globals__.keys() == {"jnp", "__name__", "__builtins__"}
    assert (found.__name__, found.__module__) == ("<lambda>", "other")
    del fun, data, space
    gc.collect()
    assert gone() is None and held() is None


def test_messages_name_the_users_function():
    for _ in range(2):
        with pytest.raises(TypeError, match="carry") as caught:
            lax.while_loop(lambda value: value < 3, lambda value: (value, 1), 0)
        assert "value" in str(caught.value)
        with pytest.raises(TypeError, match=r"function <lambda> at .*test_alike.py:\d+ traced for "
                                            "while_loop returned a value of type <class 'str'>"):
            lax.while_loop(lambda value: value < 3, lambda value: "text", 0)


def test_fresh_functions_are_traced_once(monkeypatch):
    traced, trace = [], common.trace_to_jaxpr
    monkeypatch.setattr(common, "trace_to_jaxpr", lambda *a: traced.append(a) or trace(*a))
    x = jnp.ones(3)
    for _ in range(3):
        lax.while_loop(lambda c: c[0] < 3, lambda c: c + 1, x)
        lax.cond(True, lambda c: helper(c), lambda c: -c, x)
        lax.scan(lambda c, y: (c + y, y), 0.0, x)
        lax.fori_loop(0, 3, lambda i, c: c * i, x)
    assert len(traced) == 6
