"""Dtypes, weak types and ranks of operands."""

import json
import pathlib

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.numpy import promotion
from tests.data import record_dtypes

PATH = pathlib.Path(__file__).parent.parent / "data" / "numpy_dtypes.json"
RECORDED = json.loads(PATH.read_text())


def names(rows):
    return sorted({row.split(" ")[0] for row in rows})


def check(part, name, dtypes, unary, binary):
    found = record_dtypes.table(
        jax, dtypes, [name] if name in unary else [], [name] if name in binary else [])
    assert found
    for row, codes in found.items():
        assert codes == RECORDED[part][row], row


@pytest.mark.parametrize("name", names(RECORDED["x32"]))
def test_dtypes_as_jax(name):
    check("x32", name, record_dtypes.DTYPES, record_dtypes.UNARY, record_dtypes.BINARY)


@pytest.mark.parametrize("name", names(RECORDED["x64"]))
def test_wide_dtypes_as_jax(name):
    with jax.enable_x64(True):
        check("x64", name, record_dtypes.WIDE, record_dtypes.WIDE_UNARY,
              record_dtypes.WIDE_BINARY)


def primitives(fun, *args):
    return [eqn.primitive.name for eqn in jax.make_jaxpr(fun)(*args).eqns]


def test_no_more_operations_than_needed():
    x, n = jnp.ones((2, 3)), jnp.ones((2, 3), int)
    assert primitives(lambda x: x * 2.0, x) == ["mul"]
    assert primitives(lambda x: 1 + x, x) == ["add"]
    assert primitives(lambda x, y: x + y, x, jnp.float32(1)) == ["add"]
    assert primitives(lambda x, y: x + y, x, jnp.ones((2, 1))) == ["add"]
    assert primitives(lambda x, y: x + y, x, jnp.ones(3)) == ["broadcast_in_dim", "add"]
    assert primitives(lambda n: n * 1.5, n) == ["convert_element_type", "mul"]
    assert primitives(lambda x: x.astype(jnp.bfloat16) * 2, x) == ["convert_element_type", "mul"]


def test_scalars_become_literals_of_the_operand_dtype():
    jaxpr = jax.make_jaxpr(lambda x: x + 300)(jnp.ones(3, "int8"))
    literal = jaxpr.eqns[0].invars[1]
    assert literal.aval.dtype == np.int8 and literal.val == 44


def test_promote_leaves_ranks_alone():
    x, y = promotion.promote(jnp.ones((2, 3)), 1)
    assert jnp.shape(y) == () and x.dtype == jnp.result_type(y)
    x, y = promotion.promote_inexact(jnp.ones(2, int), jnp.ones(2, "int8"))
    assert x.dtype == y.dtype == np.float32


def test_rank_promotion_option():
    x, y = jnp.ones((2, 3)), jnp.ones(3)
    with jax.numpy_rank_promotion("raise"):
        with pytest.raises(ValueError, match="could not be broadcast together for add on shapes"):
            x + y
        assert (x + 1).shape == (2, 3)
    with jax.numpy_rank_promotion("warn"), pytest.warns(UserWarning, match="rank promotion"):
        jax.make_jaxpr(jnp.multiply)(x, y)


def test_strict_promotion():
    with jax.numpy_dtype_promotion("strict"):
        assert (jnp.ones(2) * 2).dtype == np.float32
        with pytest.raises(ValueError, match="no available implicit dtype promotion path"):
            jnp.ones(2) * jnp.ones(2, int)


def test_lists_are_refused_and_jax_array_is_called():
    with pytest.raises(TypeError, match="sin requires ndarray or scalar arguments, got <class 'li"):
        jnp.sin([1.0])

    class Wrapped:
        def __jax_array__(self):
            return jnp.arange(3.0)

    np.testing.assert_array_equal(jnp.add(Wrapped(), 1), [1, 2, 3])
    np.testing.assert_array_equal(jnp.ones(3) + Wrapped(), [1, 2, 3])
