"""Making arrays: values, dtypes, and that eager calls compile nothing."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.runtime import compile as compiling
from tests.data import record_results
from tests.numpy import recorded

RECORDED = recorded.load("creation")
SCOPE = recorded.scope()


@pytest.mark.parametrize("text", RECORDED)
def test_as_jax(text):
    recorded.check(text, RECORDED[text], record_results.evaluate(text, SCOPE))


def programs():
    return compiling.compile_jaxpr.cache_info().misses


@pytest.mark.parametrize("make", [
    lambda: jnp.zeros((3, 5)), lambda: jnp.ones(4, int), lambda: jnp.full((2, 7), 2.5),
    lambda: jnp.empty(6), lambda: jnp.zeros_like(np.ones(9)), lambda: jnp.full_like(np.ones(8), 3),
    lambda: jnp.arange(11), lambda: jnp.arange(0.0, 1.0, 0.07), lambda: jnp.eye(7, k=1),
    lambda: jnp.tri(6), lambda: jnp.array([1, 2.5, 3]), lambda: jnp.array(np.arange(13)),
    lambda: jnp.asarray(2), lambda: jnp.array([jnp.float32(1), 2.0]), lambda: jnp.identity(3),
    lambda: jnp.indices((2, 3)), lambda: jnp.float32(3)])
def test_eager_calls_compile_nothing(make):
    value = jnp.float32(1)  # what building lists needs besides
    before = programs()
    assert make().dtype and value is not None
    assert programs() == before


def test_staged_constants_are_operations():
    def names(fun):
        return [e.primitive.name for e in jax.make_jaxpr(fun)().eqns]

    assert names(lambda: jnp.zeros(3)) == ["broadcast_in_dim"]
    assert names(lambda: jnp.arange(3)) == ["iota"]
    assert names(lambda: jnp.arange(1, 7, 2)) == ["iota", "mul", "add"]
    assert "iota" in names(lambda: jnp.eye(3))
    assert names(lambda: jnp.array([1, 2])) == []
    assert names(lambda: jnp.array(2.0) + jnp.array(3.0)) == ["add"]


def test_ranges_are_few_operations():
    def names(*args, **options):
        made = jax.make_jaxpr(lambda: jnp.arange(*args, **options))()
        return [e.primitive.name for e in made.eqns]

    assert names(5) == names(0, 5) == names(0, 5, 1) == ["iota"]
    assert names(1, 5) == ["iota", "add"]
    assert names(5, device=jax.devices()[0]) == ["iota", "device_put"]


def test_masks_of_numpy_arrays():
    masked = np.ma.array([1, 2], mask=[True, False])
    np.testing.assert_array_equal(jnp.array(masked), [1, 2])
    with pytest.raises(ValueError, match="masked arrays are not supported"):
        jnp.asarray(masked)


def test_array_copies():
    host = np.arange(64.0, dtype=np.float32)
    x = jnp.array(host)
    y = jnp.asarray(x)
    host[0] = 7
    assert x[0] == 0 and y is x
    z = jnp.array(x)
    assert z is not x
    z.delete()
    assert x[1] == 1
    assert jnp.array(host, np.int32, False, "K", 3).shape == (1, 1, 64)  # JAX's old signature


def test_arrays_of_traced_values():
    def f(a, b):
        return jnp.array([[a, 1.0], [2.0, b]]), jnp.asarray([a, b], dtype=jnp.bfloat16)

    x, y = jax.jit(f)(3.0, 4)
    np.testing.assert_array_equal(x, [[3, 1], [2, 4]])
    assert x.dtype == np.float32 and y.dtype == jnp.bfloat16
    assert jax.grad(lambda a: jnp.array([a, a * a]).sum())(3.0) == 7
    np.testing.assert_array_equal(jax.vmap(lambda a: jnp.array([a, 0]))(jnp.arange(2)),
                                  [[0, 0], [1, 0]])


def test_traced_bounds_are_refused():
    with pytest.raises(jax.errors.ConcretizationTypeError, match="jnp.arange argument 'stop'"):
        jax.jit(jnp.arange)(3)
    with pytest.raises(TypeError, match="Shapes must be 1D sequences of concrete values"):
        jax.jit(jnp.zeros)(3)
    with pytest.raises(TypeError, match="This BatchTracer with object id"):
        jax.vmap(lambda n: jnp.zeros((2, n)))(jnp.arange(3))
    with pytest.raises(TypeError, match=r"when you meant `jax.numpy.ones\(\(2, 3\)\)`"):
        jnp.ones(2, 3)


def test_where_arrays_are_put():
    device = jax.devices()[0]
    for x in (jnp.zeros(3, device=device), jnp.arange(3, device=device),
              jnp.array([1], device=device)):
        assert x.committed and x.device == device
    assert not jnp.zeros(3).committed


@pytest.mark.parametrize("k", [-2, 0, 1, 5])
def test_diagonals_as_numpy(k):
    x = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(jnp.diagonal(x, k), np.diagonal(x, k))
    np.testing.assert_array_equal(jnp.diag(x[0], k), np.diag(x[0], k))
    np.testing.assert_array_equal(jnp.tril(x, k), np.tril(x, k))
    np.testing.assert_array_equal(jnp.triu(x, k), np.triu(x, k))
    np.testing.assert_array_equal(jax.jit(lambda: jnp.eye(3, 4, k))(), np.eye(3, 4, k))
    z = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(jnp.diagonal(z, k, 2, 0), np.diagonal(z, k, 2, 0))
    grad = jax.grad(lambda x: jnp.diagonal(x, k).sum())(x)
    np.testing.assert_array_equal(grad, np.eye(3, 4, k))


def test_cotangents_of_diagonals_are_scattered():
    x = np.ones((2, 3, 3), np.float32)
    jaxpr = jax.make_jaxpr(jax.grad(lambda x: jnp.diagonal(x, 1, 1, 2).sum()))(x)
    names = [eqn.primitive.name for eqn in jaxpr.eqns]
    assert "scatter-add" in names and "pad" not in names
    assert jnp.diagonal(jnp.ones((2, 0, 3)), 1, 1, 2).shape == (2, 0)


def test_scalar_types():
    assert jnp.float32 == np.float32 and hash(jnp.float32) == hash(np.float32)
    assert np.dtype(jnp.bfloat16) == jnp.bfloat16(1).dtype
    assert jnp.zeros(2, jnp.int8).dtype == jnp.int8 == np.dtype("int8")
    assert isinstance(np.float32(1), jnp.float32) and jnp.issubdtype(jnp.bfloat16, jnp.floating)
    assert repr(jnp.float32) == "<class 'minijax.numpy.float32'>"


def test_grids_as_numpy():
    x, y = np.arange(3.0), np.arange(4.0)
    for indexing in ("xy", "ij"):
        for sparse in (False, True):
            ours = jnp.meshgrid(x, y, x, indexing=indexing, sparse=sparse)
            for a, b in zip(ours, np.meshgrid(x, y, x, indexing=indexing, sparse=sparse)):
                np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(jnp.fromfunction(lambda i, j: i * 10 + j, (2, 3)),
                                  np.fromfunction(lambda i, j: i * 10 + j, (2, 3)))
    np.testing.assert_array_equal(jnp.linspace(-5.0, 5.0, 99),
                                  jnp.linspace(jnp.float32(-5), np.float32(5), 99))
    for axis in (0, 1, -1):
        np.testing.assert_allclose(jnp.linspace(x, x + 1, 5, axis=axis),
                                   np.linspace(x, x + 1, 5, axis=axis), rtol=1e-6)


def test_arrays_written_with_brackets():
    for ours, theirs in [
        (jnp.mgrid[0:3, 1:9:4], np.mgrid[0:3, 1:9:4]), (jnp.mgrid[0:1:5j], np.mgrid[0:1:5j]),
        (jnp.r_[0:3, 7, [1, 2]], np.r_[0:3, 7, [1, 2]]), (jnp.c_[[1, 2], [3, 4]], [[1, 3], [2, 4]]),
        (jnp.r_["0,2", [1, 2], [3, 4]], [[1, 2], [3, 4]]), (jnp.r_["c", [1, 2]], [[1], [2]])]:
        np.testing.assert_allclose(ours, theirs)
    for ours, theirs in zip(jnp.ogrid[0:3, 0:2], np.ogrid[0:3, 0:2]):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="could not understand directive"):
        jnp.r_["what", [1]]
    with pytest.raises(jax.errors.ConcretizationTypeError, match="slice start of jnp.mgrid"):
        jax.jit(lambda n: jnp.mgrid[n:5])(1)


def test_files(tmp_path):
    path = tmp_path / "x.npy"
    for x in (jnp.arange(3), jnp.ones(2, jnp.bfloat16)):
        jnp.save(path, x)
        y = jnp.load(path)
        assert isinstance(y, jax.Array) and y.dtype == x.dtype
        np.testing.assert_array_equal(y, x)
