"""Products, einsum and linear algebra without factorizations."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import minijax as jax
import minijax.numpy as jnp
from tests.data import record_results
from tests.numpy import recorded

RECORDED = recorded.load("products")
SCOPE = recorded.scope()


@pytest.mark.parametrize("text", RECORDED)
def test_as_jax(text):
    recorded.check(text, RECORDED[text], record_results.evaluate(text, SCOPE))


def integers(*shape, seed=0):
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(np.float32)


SIZES = {"a": 2, "b": 3, "c": 4, "d": 2, "e": 3}


@st.composite
def subscripts(draw):
    terms = draw(st.lists(st.text("abcde", min_size=0, max_size=3), min_size=1, max_size=4))
    letters = sorted(set("".join(terms)))
    output = draw(st.permutations(letters))[:draw(st.integers(0, 3))]
    return ",".join(terms) + draw(st.sampled_from(["", "->" + "".join(output)]))


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(subscripts(), st.sampled_from(["auto", "optimal", False]))
def test_einsum_as_numpy(text, optimize):
    terms = text.split("->")[0].split(",")
    operands = [integers(*[SIZES[c] for c in term], seed=i) for i, term in enumerate(terms)]
    expected = np.einsum(text, *operands)
    got = jax.jit(lambda *xs: jnp.einsum(text, *xs, optimize=optimize))(*operands)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True)
@hypothesis.given(st.lists(st.sampled_from([1, 2, 3]), max_size=2),
                  st.lists(st.sampled_from([1, 2, 3]), max_size=2),
                  st.integers(1, 2), st.integers(1, 2))
def test_matmul_as_numpy(a_lead, b_lead, a_rank, b_rank):
    a = integers(*(a_lead if a_rank == 2 else []), *(5, 4)[2 - a_rank:])
    b = integers(*(b_lead if b_rank == 2 else []), *(4, 2)[:b_rank])
    try:
        expected = np.matmul(a, b)
    except ValueError:
        with pytest.raises(ValueError, match="Incompatible"):
            jnp.matmul(a, b)
        return
    np.testing.assert_allclose(jnp.matmul(a, b), expected)


def names(fun, *args):
    return [eqn.primitive.name for eqn in jax.make_jaxpr(fun)(*args).eqns]


def test_one_dot_general():
    x = jnp.ones((3, 4))
    z = jnp.ones((2, 3, 4))
    assert names(jnp.matmul, x, x.T) == ["dot_general"]
    assert names(lambda a: jnp.einsum("ij,kj->ki", a, a), x) == ["dot_general"]
    assert names(lambda a: jnp.einsum("bij,bkj->bik", a, a), z) == ["dot_general"]
    assert names(lambda a: jnp.einsum("bij,bkj->ikb", a, a), z) == ["dot_general", "transpose"]
    assert names(lambda a: jnp.einsum("ij->ji", a), x) == ["transpose"]
    assert names(lambda a: jnp.einsum("ij,kl->i", a, a), x) == [
        "reduce_sum", "reduce_sum", "dot_general"]


def test_einsum_with_a_dot_of_ones_own():
    seen = []

    def dot(a, b, dims, **options):
        seen.append(dims)
        return jax.lax.dot_general(a, b, dims, **options)

    x = jnp.ones((2, 3))
    jnp.einsum("ij,kj->ik", x, x, _dot_general=dot)
    assert seen == [(((1,), (1,)), ((), ()))]


def test_einsum_path_reports():
    path, report = jnp.einsum_path("ij,jk,kl", *[np.ones((3, 3))] * 3)
    assert len(path) == 2 and "Complete contraction" in str(report)


def test_einsum_names_sizes_that_differ():
    x = jnp.ones((3, 4))
    with pytest.raises(ValueError, match="Size of label 'j' for operand 1"):
        jnp.einsum("ij,jk", x, x)


def test_gradients_of_norms_at_ordinary_points():
    x = jnp.array([3.0, -4.0])
    np.testing.assert_allclose(jax.grad(jnp.linalg.norm)(x), [0.6, -0.8], rtol=1e-6)
    np.testing.assert_allclose(jax.grad(lambda v: jnp.linalg.norm(v, 1))(x), [1, -1])
