"""What the introduction to JAX promises, one test per promise."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp

from .helpers import assert_close, finite_difference


def selu(x, alpha=1.67, scale=1.05, np=jnp):
    return scale * np.where(x > 0, x, alpha * np.exp(x) - alpha)


def sum_logistic(x):
    return jnp.sum(1.0 / (1.0 + jnp.exp(-x)))


# --- NumPy with another import -----------------------------------------------------------------


def standardize(np, x):
    """A program in NumPy, whatever module it is given."""
    x = np.asarray(x)
    centred = x - x.mean(axis=0, keepdims=True)
    spread = np.sqrt(np.sum(centred ** 2, axis=0) / x.shape[0])
    scaled = np.where(spread > 0, centred / np.maximum(spread, 1e-6), 0)
    order = np.argsort(scaled[:, 0])
    stacked = np.concatenate([scaled[order], np.ones((1, x.shape[1]))])[::-1, 1:]
    return np.einsum("ij,ik->jk", stacked, stacked) + np.linalg.norm(x, axis=1).max()


def test_numpy_programs_run_after_swapping_the_module():
    x = np.random.RandomState(0).randn(6, 4).astype(np.float32)
    got = standardize(jnp, x)
    assert isinstance(got, jax.Array)
    assert_close(got, standardize(np, x), rtol=1e-4, atol=1e-4)


def test_arrays_work_in_numpy():
    x = jnp.arange(4.0)
    assert_close(np.sin(x), np.sin(np.arange(4.0)))
    assert np.asarray(x).dtype == np.float32
    assert f"{x[1]:.1f}" == "1.0" and float(x[2]) == 2.0 and x.tolist() == [0, 1, 2, 3]
    assert repr(x) == "Array([0., 1., 2., 3.], dtype=float32)"
    assert str(x) == "[0. 1. 2. 3.]"


def test_where_arrays_are():
    x = jnp.ones(3)
    assert x.devices() == {jax.devices()[0]}
    assert x.sharding.device_set == {jax.devices()[0]}
    assert jax.device_get(x).tolist() == [1, 1, 1]
    assert jax.device_put(np.ones(3)).dtype == jnp.float32


def test_arrays_are_immutable():
    x = jnp.arange(10)
    with pytest.raises(TypeError, match=r"immutable.*x = x\.at\[idx\]\.set\(y\)"):
        x[0] = 10


def test_updates_make_new_arrays():
    x = jnp.arange(5)
    y = x.at[0].set(10)
    assert (x.tolist(), y.tolist()) == ([0, 1, 2, 3, 4], [10, 1, 2, 3, 4])
    assert x.at[1:3].add(100).tolist() == [0, 101, 102, 3, 4]
    assert x.at[jnp.array([0, 0, 4])].add(1).tolist() == [2, 1, 2, 3, 5]
    assert x.at[x > 2].multiply(2).tolist() == [0, 1, 2, 6, 8]
    assert x.at[-1].get() == 4


def test_out_of_range_indices_do_not_raise():
    x = jnp.arange(5)
    assert x[11] == 4
    assert x.at[11].set(1).tolist() == x.tolist()
    assert x.at[11].get(mode="fill", fill_value=-1) == -1


def test_single_precision_is_the_default():
    assert jnp.ones(2).dtype == jnp.float32 and jnp.arange(2).dtype == jnp.int32
    with jax.enable_x64(True):
        assert jnp.ones(2).dtype == jnp.float64
    assert (jnp.ones(2, jnp.bfloat16) * 2.0).dtype == jnp.bfloat16


# --- jit ---------------------------------------------------------------------------------------


def test_jit_gives_what_eager_execution_gives():
    x = jnp.linspace(-2.0, 2.0, 11)
    expected = selu(np.linspace(-2, 2, 11, dtype=np.float32), np=np)
    assert_close(selu(x), expected)
    assert_close(jax.jit(selu, static_argnames="np")(x), expected)


def test_jit_compiles_once_per_type():
    traces = []

    @jax.jit
    def f(x):
        traces.append(x.shape)
        return x * 2

    for shape in ((2,), (2,), (3,), (2,)):
        assert_close(f(jnp.ones(shape)), np.full(shape, 2.0))
    assert traces == [(2,), (3,)]


@pytest.mark.parametrize(("fun", "fix"), [
    (lambda x: x[x < 0], "jnp.where"),
    (lambda x: jnp.zeros(x.sum().astype(int)), "static"),
    (lambda x: jnp.nonzero(x), "static"),
])
def test_shapes_must_not_depend_on_values(fun, fix):
    x = jnp.array([1.0, -1.0, 3.0])
    fun(x)  # fine, while it runs step by step
    with pytest.raises((TypeError, IndexError)) as raised:
        jax.jit(fun)(x)
    lines = str(raised.value).splitlines()
    assert any("test_quickstart.py" in line for line in lines)
    (advice,) = [line for line in lines if line.startswith("  fix: ")]
    assert fix in advice


def test_branches_on_values_need_static_arguments_or_cond():
    def f(x, flag):
        return x if flag > 0 else -x

    with pytest.raises(jax.errors.TracerBoolConversionError):
        jax.jit(f)(1.0, 1)
    assert jax.jit(f, static_argnames="flag")(1.0, 1) == 1.0
    assert jax.jit(lambda x, flag: jax.lax.cond(flag > 0, lambda: x, lambda: -x))(1.0, 0) == -1.0


# --- Derivatives -------------------------------------------------------------------------------


def test_grad_against_finite_differences():
    with jax.enable_x64(True):
        x = jnp.arange(3.0)
        got = jax.grad(sum_logistic)(x)
        expected = [finite_difference(sum_logistic, x, unit) for unit in jnp.eye(3)]
        assert_close(got, np.stack(expected), rtol=1e-8)
    assert_close(got, [0.25, 0.19661193, 0.10499359] @ np.eye(3))


def test_grad_and_jit_compose():
    f = jax.grad(jax.jit(jax.grad(jax.jit(jax.grad(sum_logistic)))))
    assert_close(f(1.0), -0.03532558, rtol=1e-4)


def test_jacobian():
    assert_close(jax.jacobian(jnp.exp)(jnp.arange(3.0)), np.diag(np.exp(np.arange(3.0))))


def test_hessian_by_forward_over_reverse():
    x = jnp.arange(3.0)
    s = 1 / (1 + np.exp(-np.arange(3.0)))
    expected = np.diag(s * (1 - s) * (1 - 2 * s))
    assert_close(jax.jit(jax.jacfwd(jax.jacrev(sum_logistic)))(x), expected)
    assert_close(jax.hessian(sum_logistic)(x), expected)


# --- vmap --------------------------------------------------------------------------------------


def test_vmap_against_batching_by_hand():
    key1, key2 = jax.random.split(jax.random.key(1701))
    matrix = jax.random.normal(key1, (15, 10))
    batch = jax.random.normal(key2, (4, 10))
    apply_matrix = lambda x: jnp.dot(matrix, x)  # noqa: E731
    by_loop = jnp.stack([apply_matrix(v) for v in batch])
    by_hand = jnp.dot(batch, matrix.T)
    by_vmap = jax.jit(jax.vmap(apply_matrix))(batch)
    assert by_vmap.shape == (4, 15)
    assert_close(by_vmap, by_loop, rtol=1e-4, atol=1e-5)
    assert_close(by_vmap, by_hand, rtol=1e-4, atol=1e-5)


def test_gradients_of_each_example():
    w, xs, ys = jnp.array([1.0, 2.0]), jnp.arange(6.0).reshape(3, 2), jnp.ones(3)
    loss = lambda w, x, y: (jnp.dot(x, w) - y) ** 2  # noqa: E731
    got = jax.vmap(jax.grad(loss), in_axes=(None, 0, 0))(w, xs, ys)
    residual = np.asarray(xs) @ [1.0, 2.0] - 1
    assert_close(got, 2 * residual[:, None] * np.asarray(xs))


# --- Random numbers ----------------------------------------------------------------------------


def test_keys_decide_the_numbers():
    key = jax.random.key(43)
    one, again = jax.random.normal(key, (3,)), jax.random.normal(key, (3,))
    assert one.tolist() == again.tolist()
    new_key, subkey = jax.random.split(key)
    assert jax.random.normal(subkey, (3,)).tolist() != one.tolist()
    assert not (jax.random.key_data(new_key) == jax.random.key_data(subkey)).all()
    assert jax.random.normal(jax.random.key(43), (3,)).tolist() == one.tolist()


def test_keys_under_jit_and_vmap():
    keys = jax.random.split(jax.random.key(0), 4)
    expected = [float(jax.random.uniform(k)) for k in keys]
    assert_close(jax.vmap(jax.random.uniform)(keys), np.array(expected))
    assert_close(jax.jit(jax.vmap(jax.random.uniform))(keys), np.array(expected))


# --- Trees -------------------------------------------------------------------------------------


def test_trees_of_parameters():
    params = [{"w": jnp.ones((2, 3)), "b": jnp.zeros(3)}, (jnp.ones(3), None)]
    assert [x.shape for x in jax.tree.leaves(params)] == [(3,), (2, 3), (3,)]

    def loss(params, x):
        hidden = jnp.tanh(x @ params[0]["w"] + params[0]["b"])
        return jnp.sum(hidden * params[1][0])

    gradients = jax.grad(loss)(params, jnp.ones(2))
    stepped = jax.tree.map(lambda p, g: p - 0.1 * g, params, gradients)
    assert jax.tree.structure(stepped) == jax.tree.structure(params)
    assert loss(stepped, jnp.ones(2)) < loss(params, jnp.ones(2))


def test_computation_is_asynchronous_and_can_be_awaited():
    x = jax.jit(lambda x: x @ x)(jnp.ones((64, 64)))
    assert jax.block_until_ready({"x": x})["x"] is x
    assert x.block_until_ready().is_ready()
