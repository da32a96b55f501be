"""Products against NumPy's einsum; dtypes, precision, layouts of derivatives, errors."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 5)).astype(np.float32)
Y = RNG.standard_normal((5, 3)).astype(np.float32)

CASES = [
    ("ij,jk->ik", (((1,), (0,)), ((), ()))),
    ("bij,bjk->bik", (((2,), (1,)), ((0,), (0,)))),
    ("ijb,kbj->bik", (((1,), (2,)), ((2,), (1,)))),
    ("abcd,dbea->bce", (((0, 3), (3, 0)), ((1,), (1,)))),
    ("ij,k->ijk", (((), ()), ((), ()))),
]
SIZES = dict(zip("abcdeijk", (2, 3, 4, 2, 3, 4, 5, 3)))


def operands(spec):
    return [RNG.standard_normal([SIZES[c] for c in term]).astype(np.float32)
            for term in spec.split("->")[0].split(",")]


@pytest.mark.parametrize("spec, dimension_numbers", CASES)
def test_values_and_derivatives(spec, dimension_numbers):
    x, y = operands(spec)
    out, pull = jax.vjp(lambda x, y: lax.dot_general(x, y, dimension_numbers), x, y)
    np.testing.assert_allclose(out, np.einsum(spec, x, y), rtol=1e-5, atol=1e-5)
    terms, result = spec.split("->")
    left, right = terms.split(",")
    ct = RNG.standard_normal(out.shape).astype(np.float32)
    dx, dy = pull(ct)
    np.testing.assert_allclose(dx, np.einsum(f"{result},{right}->{left}", ct, y), rtol=1e-4,
                               atol=1e-4)
    np.testing.assert_allclose(dy, np.einsum(f"{left},{result}->{right}", x, ct), rtol=1e-4,
                               atol=1e-4)


@pytest.mark.parametrize("axes", [(0, 0), (1, None), (None, 2), (2, 1)])
def test_vmap_is_one_product(axes):
    sizes = [(4, 5), (5, 3)]
    xs = [RNG.standard_normal((6, *s)).astype(np.float32) for s in sizes]
    args = [x[0] if a is None else np.moveaxis(x, 0, a) for x, a in zip(xs, axes)]
    fun = jax.vmap(lax.dot, axes)
    names = [e.primitive.name for e in jax.make_jaxpr(fun)(*args).eqns]
    assert names.count("dot_general") == 1 and set(names) <= {"dot_general", "transpose"}
    full = [np.broadcast_to(x[0], x.shape) if a is None else x for x, a in zip(xs, axes)]
    np.testing.assert_allclose(fun(*args), full[0] @ full[1], rtol=1e-4, atol=1e-5)


def test_dot_of_vectors_and_matrices():
    np.testing.assert_allclose(lax.dot(X, Y), X @ Y, rtol=1e-5)
    np.testing.assert_allclose(lax.dot(X, Y[:, 0]), X @ Y[:, 0], rtol=1e-5)
    np.testing.assert_allclose(lax.batch_matmul(X[None], Y[None]), (X @ Y)[None], rtol=1e-5)
    with pytest.raises(ValueError, match="jax.lax.dot: dimension_numbers must be specified"):
        lax.dot(X, X)
    with pytest.raises(ValueError, match="Arguments to batch_matmul must have same ndim, got 2, 3"):
        lax.batch_matmul(X, Y[None])


@pytest.mark.parametrize("left, right, preferred, result", [
    ("float32", "int8", None, "float32"), ("bfloat16", "float32", None, "float32"),
    ("int8", "int8", None, "int8"), ("int8", "int8", "int32", "int32"),
    ("bfloat16", "bfloat16", "float32", "float32"), ("complex64", "float32", None, "complex64")])
def test_result_dtype(left, right, preferred, result):
    x, y = jnp.asarray(X, left), jnp.asarray(Y, right)
    out = lax.dot(x, y, preferred_element_type=preferred)
    assert out.dtype == result
    expected = np.asarray(x).astype(out.dtype) @ np.asarray(y).astype(out.dtype)
    np.testing.assert_allclose(np.asarray(out, np.complex64), expected, rtol=1e-6, atol=1e-6)


def test_cotangents_have_the_operands_dtypes():
    x, y = jnp.asarray(X, jnp.bfloat16), jnp.asarray(Y, jnp.bfloat16)
    fun = lambda x, y: jnp.sum(lax.dot(x, y, preferred_element_type=np.float32))
    assert [g.dtype for g in jax.grad(fun, (0, 1))(x, y)] == [x.dtype, y.dtype]
    assert jax.grad(lambda x: jnp.sum(lax.dot(x, Y)))(x).dtype == x.dtype


DEFAULT, HIGH, HIGHEST = lax.Precision


def precision_of(**options):
    return jax.make_jaxpr(lambda x, y: lax.dot(x, y, **options))(X, Y).eqns[0].params["precision"]


@pytest.mark.parametrize("given, parsed", [
    (None, None), ("highest", (HIGHEST, HIGHEST)), ("float32", (HIGHEST, HIGHEST)),
    ("tensorfloat32", (HIGH, HIGH)), (DEFAULT, (DEFAULT, DEFAULT)),
    (("high", "default"), (HIGH, DEFAULT)),
    ("BF16_BF16_F32", lax.DotAlgorithmPreset.BF16_BF16_F32)])
def test_precision(given, parsed):
    assert precision_of(precision=given) == parsed


def test_precision_from_the_configuration():
    with jax.default_matmul_precision("highest"):
        assert precision_of() == (HIGHEST, HIGHEST)
        assert precision_of(precision="default") == (DEFAULT, DEFAULT)
    with pytest.raises(ValueError, match="Precision argument must be one of"):
        precision_of(precision="exact")


@pytest.mark.parametrize("dimension_numbers, message", [
    ((((-1,), (0,)), ((), ())), "dot_general requires lhs dimension numbers to be nonnegative and "
     "less than the number of axes of the lhs value, got lhs_batch of () and lhs_contracting of "
     "(-1,) for lhs of rank 2"),
    ((((1,), (1,)), ((), ())), "dot_general requires contracting dimensions to have the same "
     "shape, got (5,) and (3,)."),
    ((((1, 1), (0, 0)), ((), ())), "dot_general requires lhs contracting dimensions to be "
     "distinct, got lhs_contracting (1, 1)."),
    ((((1,), (0,)), ((0,), (1,))), "dot_general requires lhs batch dimensions and rhs batch "
     "dimensions to have the same shape, got (4,) and (3,)."),
    ((((1,), (0,)), ((1,), (0,))), "dot_general requires lhs batch dimensions to be disjoint from "
     "contracting dimensions, got lhs_batch (1,) and lhs_contracting (1,)."),
])
def test_errors(dimension_numbers, message):
    with pytest.raises(TypeError) as error:
        lax.dot_general(X, Y, dimension_numbers)
    text = str(error.value)
    assert text.splitlines()[0] == message
    assert "float32[4,5] and float32[5,3]" in text and "fix: " in text


def test_printed_equations_leave_defaults_out():
    assert "dot_general[dimension_numbers=(([1], [0]), ([], []))] a b" in str(
        jax.make_jaxpr(lax.dot)(X, Y))
