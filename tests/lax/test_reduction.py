"""Reductions against NumPy: values, ties and NaN, `reduce` with computations, errors."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax

X = np.array([[1, 3, 3, 2, 3], [0, -1, 0.5, 4, 1]], np.float32)
NUMPY = {"reduce_sum": np.sum, "reduce_max": np.max, "reduce_min": np.min, "reduce_prod": np.prod}


def equal(actual, expected):
    np.testing.assert_array_equal(np.asarray(actual), expected)


@pytest.mark.parametrize("name", NUMPY)
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1), ()])
def test_values(name, axes):
    equal(getattr(lax, name)(X, axes), NUMPY[name](X, axes))


@pytest.mark.parametrize("name, function", [
    ("reduce_and", np.bitwise_and), ("reduce_or", np.bitwise_or), ("reduce_xor", np.bitwise_xor)])
@pytest.mark.parametrize("dtype", [np.bool_, np.int32, np.uint8])
def test_logical(name, function, dtype):
    x = np.array([[3, 1, 0], [1, 1, 0]]).astype(dtype)
    equal(getattr(lax, name)(x, (0,)), function.reduce(x, 0))


def test_empty():
    empty = X[:0]
    equal(lax.reduce_max(empty, (0,)), np.full(5, -np.inf))
    equal(lax.reduce_min(empty.astype(np.int8), (0,)), np.full(5, 127))
    equal(lax.reduce_prod(empty, (0,)), np.ones(5))


@pytest.mark.parametrize("call, kind, message", [
    (lambda: lax.reduce_max(X, (-1,)), ValueError,
     "reduction axes (-1,) contains out-of-bounds indices for float32[2,5]."),
    (lambda: lax.reduce_prod(X, (0, 0)), ValueError,
     "duplicate value in 'axes' of reduction: (0, 0)"),
    (lambda: lax.reduce_prod(X > 0, (0,)), TypeError,
     "reduce_prod does not accept dtype bool. Accepted dtypes are subtypes of number."),
    (lambda: lax.reduce_or(X, (0,)), TypeError,
     "logical reduction requires operand dtype bool or int, got float32."),
    (lambda: lax.argmax(X, -1, np.int32), ValueError,
     "Invalid axis -1 for operand shape (2, 5)"),
    (lambda: lax.argmin(X, 0, np.float32), TypeError,
     "index_dtype must be an integer type, but got float32"),
    (lambda: lax.argmin(X[:0], 0, np.int32), ValueError,
     "argmin and argmax require non-empty reduced dimension. operand.shape=(0, 5) axis=0"),
    (lambda: lax.reduce(X, X, lax.add, (0,)), ValueError,
     "reduce found non-scalar initial value: [(2, 5)]"),
    (lambda: lax.reduce((X, X), 0.0, lax.add, (0,)), ValueError,
     "Operands must have the same tree structure as init_values: PyTreeDef((*, *)) vs. "
     "PyTreeDef(*)"),
])
def test_errors(call, kind, message):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value).splitlines()[0] == message
    assert "fix: " in str(error.value)


def test_extremum_shares_its_derivative_among_ties():
    grad = jax.grad(lambda x: jnp.sum(lax.reduce_max(x, (1,))))(X)
    np.testing.assert_allclose(grad, [[0, 1 / 3, 1 / 3, 0, 1 / 3], [0, 0, 0, 1, 0]], rtol=1e-6)


def test_derivative_of_a_product_with_zeros():
    grad = jax.grad(lambda x: lax.reduce_prod(x, (0,)))
    equal(grad(np.array([2, 0, 3], np.float32)), [0, 6, 0])
    equal(grad(np.array([0, 0, 3], np.float32)), [0, 0, 0])
    equal(jax.jacfwd(grad)(np.array([0, 0, 3], np.float32)), [[0, 3, 0], [3, 0, 0], [0, 0, 0]])


def test_positions():
    nan = np.array([1, np.nan, 3, np.nan], np.float32)
    ties = np.array([2, 5, 5, -1, -1], np.int32)
    assert int(lax.argmax(nan, 0, np.int32)) == int(lax.argmin(nan, 0, np.int32)) == 1
    assert int(lax.argmax(ties, 0, np.uint8)) == 1
    assert int(lax.argmin(ties, 0, np.uint8)) == 3
    assert lax.argmax(X, 1, np.uint8).dtype == np.uint8


@pytest.mark.parametrize("computation, init, primitive", [
    (lax.add, 0.0, "reduce_sum"), (lax.add, 0, "reduce_sum"), (lax.max, -np.inf, "reduce_max"),
    (lax.min, np.inf, "reduce_min"), (lax.mul, np.float32(1), "reduce_prod"),
    (lax.add, 1.0, "reduce"), (lambda a, b: lax.add(a, b), 0.0, "reduce")])
def test_known_computations(computation, init, primitive):
    fun = lambda x: lax.reduce(x, init, computation, (0,))
    assert [e.primitive.name for e in jax.make_jaxpr(fun)(X).eqns] == [primitive]


def test_logical_computations_are_known():
    fun = lambda x: lax.reduce(x, True, lax.bitwise_and, (0,))
    assert [e.primitive.name for e in jax.make_jaxpr(fun)(X > 0).eqns] == ["reduce_and"]


def test_reduce_trees():
    def both(a, b):
        return {"sum": lax.add(a["sum"], b["sum"]), "product": lax.mul(a["product"], b["product"])}

    out = lax.reduce({"sum": X, "product": X}, {"sum": 0.0, "product": 2.0}, both, (1,))
    equal(out["sum"], X.sum(1))
    equal(out["product"], 2 * X.prod(1))


def test_reduce_counts_the_initial_value():
    fun = lambda x, init: lax.reduce(x, init, lambda a, b: a * b, (0,))
    x = np.array([2, 3, 5], np.float32)
    assert float(fun(x, 7.0)) == 210
    dx, dinit = jax.grad(fun, (0, 1))(x, 7.0)
    equal(dx, [105, 70, 42])
    assert float(dinit) == 30
    equal(jax.vmap(fun)(X, np.array([1, 2], np.float32)), X.prod(1) * [1, 2])


def test_reduce_cannot_capture_tracers():
    with pytest.raises(NotImplementedError, match="can't close over Tracers"):
        jax.jit(lambda s: lax.reduce(X, 0.0, lambda a, b: a + b * s, (0,)))(2.0)
    scale = jnp.float32(2)  # a scalar that is known is a constant of the computation
    floor = lambda a, b: lax.max(lax.max(a, b), scale)
    equal(lax.reduce(X, -np.inf, floor, (0,)), np.maximum(X.max(0), 2))


def test_weak_types():
    weak = jax.ShapeDtypeStruct((4,), np.float32, weak_type=True)
    assert jax.eval_shape(lambda x: lax.reduce_max(x, (0,)), weak).weak_type
    integer = jax.ShapeDtypeStruct((4,), np.int32, weak_type=True)
    assert not jax.eval_shape(lambda x: lax.reduce_and(x, (0,)), integer).weak_type


def test_sums_in_half_precision_can_be_refused():
    half = jnp.ones((1, 3), "bfloat16")

    def loss(y):
        return (half * y).astype("float32").sum()

    lax.reduce_sum(half, (1,)), jax.grad(loss)(jnp.bfloat16(1))
    with jax.allow_f16_reductions(False):
        for program in (lambda: lax.reduce_sum(half, (1,)), lambda: jax.grad(loss)(half[0, 0]),
                        lambda: jax.jit(lambda x: lax.reduce_sum(x, (1,)))(half)):
            with pytest.raises(ValueError, match=r"reduce_sum on operand bf16\[1,3\] is not "
                               r"allowed when jax_allow_f16_reductions=False.*\n.*\n  fix: "):
                program()
        equal(lax.reduce_sum(half, (0,)), np.ones(3))
        equal(jnp.sum(half), 3)
    equal(lax.reduce_sum(half, (1,)), [3])
