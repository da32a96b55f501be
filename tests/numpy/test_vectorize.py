"""`vectorize`: signatures, broadcasting, excluded arguments, errors."""

import dataclasses

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp


def test_signature_names_the_core_axes():
    matvec = jnp.vectorize(jnp.dot, signature="(m,n),(n)->(m)")
    a, b = np.ones((2, 1, 4, 3), np.float32), np.arange(15.0, dtype=np.float32).reshape(5, 3)
    np.testing.assert_allclose(matvec(a, b), np.einsum("xymn,yn->xym", np.ones((2, 5, 4, 3)), b))
    total, size = jnp.vectorize(lambda x: (x.sum(), x * 2), signature="(n)->(),(n)")(b)
    assert total.shape == (5,) and size.shape == (5, 3)


def test_traced_once_on_core_arrays():
    shapes = []

    def add(x, y):
        shapes.append((x.shape, y.shape))
        return x + y

    out = jnp.vectorize(add)(jnp.ones((3, 1)), jnp.ones((1, 4)))
    assert out.shape == (3, 4) and shapes == [((), ())]


def test_excluded_arguments_and_none():
    scaled = jnp.vectorize(lambda x, n, name="a": x * n + len(name), excluded={1, "name"})
    np.testing.assert_array_equal(scaled(jnp.arange(3), 2, name="abc"), [3, 5, 7])
    optional = jnp.vectorize(lambda x, y: x if y is None else x + y)
    np.testing.assert_array_equal(optional(jnp.arange(3), None), [0, 1, 2])


@pytest.mark.parametrize("call, error, text", [
    (lambda: jnp.vectorize(jnp.dot, signature="(n)(n)->()"), ValueError, "not a valid gufunc"),
    (lambda: jnp.vectorize(jnp.dot, excluded={-1}), ValueError, "contains negative numbers"),
    (lambda: jnp.vectorize(jnp.dot, excluded={1.5}), TypeError, "can only exclude"),
    (lambda: jnp.vectorize(jnp.dot, signature="(n),(n)->()")(jnp.ones(2)), TypeError,
     "wrong number of positional arguments: expected 2, got 1"),
    (lambda: jnp.vectorize(jnp.sum, signature="(n)->()")(1), ValueError,
     "does not have enough dimensions"),
    (lambda: jnp.vectorize(jnp.dot, signature="(n),(n)->()")(jnp.ones(2), jnp.ones(3)),
     ValueError, "inconsistent size for core dimension 'n'"),
    (lambda: jnp.vectorize(lambda x: x, signature="()->(),()")(1), TypeError,
     "output must be a tuple"),
    (lambda: jnp.vectorize(lambda x: x, signature="(n)->()")(jnp.ones(2)), ValueError,
     r"output shape \(2,\) does not match core dimensions"),
])
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_results_may_be_containers_with_a_shape():
    @jax.tree_util.register_dataclass
    @dataclasses.dataclass
    class Wrapped:
        data: jax.Array
        shape = property(lambda self: self.data.shape)

    with_signature = jnp.vectorize(lambda x: Wrapped(2 * x), signature="(n)->(n)")
    out = with_signature(jnp.ones((3, 2)))
    assert type(out) is Wrapped and out.data.tolist() == [[2, 2]] * 3
    with pytest.raises(ValueError, match="does not match core dimensions"):
        jnp.vectorize(lambda x: Wrapped(x[None]), signature="(n)->(n)")(jnp.ones((3, 2)))


def test_composes_with_grad_and_jit():
    norm = jnp.vectorize(lambda x: jnp.sqrt(jnp.sum(x**2)), signature="(n)->()")
    x = jnp.arange(1.0, 7.0).reshape(2, 3)
    want = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(jax.jit(jax.grad(lambda x: norm(x).sum()))(x), want, rtol=1e-6)
