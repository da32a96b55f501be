"""`pmap`: axes, collectives, composition, fast path and errors."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax
from tests.helpers import assert_close, error_of

X = np.arange(16.0, dtype=np.float32).reshape(8, 2)


def test_collectives():
    f = jax.pmap(lambda x: (lax.psum(x, "i"), x - lax.pmean(x, "i"), lax.axis_index("i"),
                            lax.all_gather(x, "i")), axis_name="i")
    total, centred, index, everything = f(X)
    assert_close(total, np.tile(X.sum(0), (8, 1)))
    assert_close(centred, X - X.mean(0))
    assert_close(index, np.arange(8))
    assert_close(everything, np.tile(X, (8, 1, 1)))


def test_axes():
    f = jax.pmap(lambda x, y: {"a": x + y, "b": x}, in_axes=(1, None), out_axes={"a": 1, "b": 0})
    out = f(X.T, np.float32(3))
    assert_close(out, {"a": (X + 3).T, "b": X})
    assert_close(jax.pmap(lambda x: x.sum(), out_axes=None)(np.ones((8, 3))), 3.0)
    assert_close(jax.pmap(lambda x, *, y: x * y)(X, y=X), X * X)
    f = jax.pmap(lambda x, y: (x, [None], {}), in_axes=(0, (None, 0)), out_axes=(0, [-1], -5))
    assert_close(f(X, (None, X))[0], X)  # no leaf is out of bounds, and None has no axis
    assert_close(jax.pmap(lambda x, n: x * n, static_broadcasted_argnums=1)(X, 3), X * 3)


def test_composition():
    def f(w, x):
        return jnp.sum(jnp.sin(w * x))

    xs = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    ws = np.arange(4.0, dtype=np.float32)
    grads = jax.pmap(jax.vmap(jax.jit(jax.grad(f)), (None, 0)))(ws, xs)
    assert_close(grads, xs * np.cos(ws[:, None] * xs), atol=1e-5)
    loss = jax.pmap(lambda w, x: lax.psum(jnp.sin(w * x), "i"), axis_name="i", in_axes=(None, 0))
    x = np.arange(8.0, dtype=np.float32)
    total = jax.grad(lambda w: loss(w, x)[0])(0.5)
    assert_close(total, np.sum(x * np.cos(0.5 * x)), rtol=1e-4)
    assert_close(jax.vmap(jax.pmap(lambda x: x * 2), in_axes=1)(X), X.T * 2)
    assert_close(jax.jit(jax.pmap(jnp.sin))(X), np.sin(X))


def test_one_device_and_keys():
    assert_close(jax.pmap(lambda x: lax.psum(x, "i"), axis_name="i")(X[:1]), X[:1])
    keys = jax.random.split(jax.random.key(1), 8)
    assert_close(jax.pmap(lambda k: jax.random.uniform(k, (2,)))(keys),
                 np.stack([jax.random.uniform(k, (2,)) for k in keys]))


def test_placement():
    out = jax.pmap(lambda x: x + 1)(X)
    assert len(out.sharding.device_set) == 8 and out.addressable_shards[2].data.shape == (1, 2)
    few = jax.pmap(lambda x: x, devices=jax.devices()[4:6])(X[:2])
    assert {d.id for d in few.devices()} == {4, 5}
    elsewhere = jax.device_put(X, jax.devices()[3])
    assert_close(jax.pmap(lambda x: x * 2)(elsewhere), X * 2)


def test_the_second_call_stays_in_c():
    traced = []

    @jax.pmap
    def f(x):
        traced.append(1)
        return x + 1

    x = f(f(X))
    size = f._cache_size()
    for _ in range(3):
        x = f(x)
    assert len(traced) == 1 and f._cache_size() == size
    assert_close(x, X + 5)


def test_donation():
    f = jax.pmap(lambda x: x + 1, donate_argnums=0)
    x = f(X)
    y = f(x)
    assert x.is_deleted()
    assert_close(y, X + 2)


@pytest.mark.parametrize("call, cls, text", [
    (lambda: jax.pmap(lambda x: x)(np.ones(9)), ValueError, "requires 9 logical devices"),
    (lambda: jax.pmap(lambda x, y: x)(np.ones(8), np.ones(4)), ValueError,
     "pmap got inconsistent sizes"),
    (lambda: jax.pmap(lambda x: x)(3.0), ValueError, "is only 0 (its shape is ())"),
    (lambda: jax.pmap(lambda x: x, in_axes=False)(X), TypeError, "pmap in_axes must be an int"),
    (lambda: jax.pmap(lambda x, n: x, static_broadcasted_argnums=1)(X, n=3), ValueError,
     "static_broadcasted_argnums=(1,) but was called with only 1 positional argument."),
    (lambda: jax.pmap(lambda x: x, in_axes=None)(X), ValueError,
     "requires at least one argument with a mapped axis"),
    (lambda: jax.pmap(lambda x: x, axis_size=4)(X), ValueError, "doesn't match received"),
    (lambda: jax.pmap(lambda x: x, devices=jax.devices()[:2])(X), ValueError,
     "num_local_devices=2"),
    (lambda: jax.pmap(lambda x: x, devices=[]), ValueError, "must be non-empty, or None"),
    (lambda: jax.pmap(lambda x: x, in_axes="a")(X), TypeError, "pmap in_axes must be an int"),
    (lambda: jax.pmap(lambda x: x, out_axes=3)(X), ValueError, "axis 3 is out of bounds"),
    (lambda: jax.pmap(lambda x: x, out_axes=-1)(X), ValueError, "must not be negative"),
    (lambda: jax.pmap(lambda x: lax.psum(x, "j"))(X), NameError, "unbound axis name: j"),
])
def test_errors(call, cls, text):
    assert text in error_of(cls, call)


def test_pmap_knows_what_it_was_made_of():
    def f(x, y):
        return x
    assert jax.pmap(f).__wrapped__ is f
    x = jnp.ones(1)
    with pytest.raises(ValueError, match=r"pmap in_axes\[0\]"):
        jax.pmap(f, in_axes=((0, 0, 0), 0))((x, x), x)
    with pytest.raises(ValueError, match="each argument passed by keyword is mapped"):
        jax.pmap(f, in_axes=((0, 0), 0))(x=(x, x), y=x)
