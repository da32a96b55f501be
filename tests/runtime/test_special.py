"""NaN and infinity checks name the operation and the user's line."""

import re
import sys

import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax

key = jax.random.key(0)


def blamed(fun, *args):
    with jax.debug_nans(True), pytest.raises(FloatingPointError) as error:
        fun(*args)
    what, where = re.match(
        r"invalid value \(nan\) encountered in (\S+)\n  at \S*?(\w+\.py:\d+)", str(error.value)
    ).groups()
    return what, where


def here(offset=0):
    return f"test_special.py:{sys._getframe(1).f_lineno + offset}"


def test_operations_eager_and_jitted():
    zero = jnp.zeros(())
    assert blamed(lambda x: x / x, zero) == ("div", here())
    f = jax.jit(lambda x: jnp.log(x) * 2)
    f(1.0)
    assert blamed(f, -1.0) == ("log", here(-2))


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "complex64"])
def test_every_inexact_dtype_and_no_other(dtype):
    x = jnp.zeros((), dtype)
    assert blamed(lambda x: x / x, x) == ("div", here())
    assert blamed(lambda x: (jax.random.split(key), x / x), x)[0] == "div"  # keys hold no numbers


def test_the_backward_pass_names_the_forward_line():
    f = lambda x: jnp.sqrt(x) * 0.0  # noqa: E731
    assert blamed(jax.grad(f), 0.0) == ("mul", here(-1))
    assert blamed(jax.jit(jax.grad(f)), 0.0) == ("mul", here(-2))


def test_inside_loops_and_branches():
    def body(c, x):
        return jnp.log(c - 1), x
    assert blamed(lambda c: lax.scan(body, c, jnp.arange(4.0))[0], 3.0) == ("log", here(-1))
    loop = jax.jit(lambda x: lax.while_loop(lambda c: c > -1, lambda c: jnp.sqrt(c - 1), x))
    assert blamed(loop, 3.0) == ("sqrt", here(-1))
    branch = jax.jit(lambda x: lax.cond(x > 0, lambda x: x, jnp.log, x))
    assert blamed(branch, -1.0)[0] == "log"
    literal = jax.jit(lambda x: lax.cond(x > 0, lambda: jnp.nan, lambda: 1.0))
    assert blamed(literal, 1.0)[0] == "cond"


def test_nothing_is_blamed_for_a_given_nan():
    with jax.debug_nans(True), pytest.raises(
            FloatingPointError, match="the de-optimized function did not make one: it is an input"):
        jax.jit(lambda x: x * 3.0)(jnp.nan)


def test_donated_operands_are_still_there_for_the_search():
    assert blamed(jax.jit(lambda x: 0.0 / x, donate_argnums=0), jnp.zeros(()))[0] == "div"


def test_infinities():
    with jax.debug_infs(True), pytest.raises(FloatingPointError, match=r"\(inf\) .* in div"):
        1.0 / jnp.zeros(())
    assert jnp.isinf(1.0 / jnp.zeros(()))
