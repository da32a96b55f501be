"""Layers and optimisers: shapes that are promised, formulas by hand, and training."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.example_libraries import optimizers, stax

KEY = jax.random.key(0)


@pytest.mark.parametrize("layer, shape", [
    (stax.Dense(7), (3, 5)), (stax.Conv(6, (3, 2), (2, 1), "SAME"), (2, 8, 9, 3)),
    (stax.ConvTranspose(4, (3, 3), (2, 2), "VALID"), (2, 4, 5, 3)),
    (stax.Conv1DTranspose(4, (3,), padding="SAME"), (2, 6, 3)),
    (stax.BatchNorm(), (4, 5, 6, 2)), (stax.MaxPool((2, 2), (2, 2)), (2, 7, 8, 3)),
    (stax.AvgPool((3, 3), padding="SAME"), (2, 7, 8, 3)), (stax.SumPool((2,)), (2, 7, 3)),
    (stax.MaxPool((2, 2), spec="NCHW"), (2, 3, 7, 8)),
    (stax.Flatten, (2, 3, 4)), (stax.Relu, (2, 3)), (stax.Gelu, (2, 3)),
    (stax.serial(stax.Conv(4, (2, 2)), stax.Relu, stax.Flatten, stax.Dense(3), stax.LogSoftmax),
     (2, 5, 5, 1)),
    (stax.serial(stax.FanOut(2), stax.parallel(stax.Dense(3), stax.Dense(3)), stax.FanInSum),
     (2, 4)),
    (stax.serial(stax.FanOut(2), stax.parallel(stax.Dense(3), stax.Identity),
                 stax.FanInConcat()), (2, 4)),
    (stax.shape_dependent(lambda shape: stax.Dense(shape[-1] + 1)), (2, 4)),
    (stax.serial(stax.Dense(3), stax.Dropout(0.5)), (2, 4))])
def test_shapes_are_as_promised(layer, shape):
    init, apply = layer
    promised, params = init(KEY, shape)
    out = apply(params, jnp.ones(shape), rng=KEY)
    assert out.shape == tuple(promised)
    free, _ = init(KEY, (-1, *shape[1:]))
    assert tuple(free) == (-1, *promised[1:])


def test_values():
    x = jax.random.normal(KEY, (4, 6, 6, 3))
    pooled = stax.AvgPool((2, 2), (2, 2))[1]((), x)
    np.testing.assert_allclose(pooled, x.reshape(4, 3, 2, 3, 2, 3).mean((2, 4)), rtol=1e-5,
                               atol=1e-6)
    _, params = stax.BatchNorm()[0](KEY, x.shape)
    normal = stax.BatchNorm()[1](params, x)
    np.testing.assert_allclose(normal.mean((0, 1, 2)), np.zeros(3), atol=1e-6)
    np.testing.assert_allclose(normal.var((0, 1, 2)), np.ones(3), rtol=1e-4)


def test_dropout():
    _, apply = stax.Dropout(0.8)
    out = apply((), jnp.ones(10000), rng=KEY)
    assert set(np.unique(out)) == {0.0, np.float32(1.25)}
    assert abs(float(out.mean()) - 1) < 0.02
    assert (stax.Dropout(0.8, mode="test")[1]((), jnp.ones(9), rng=KEY) == 1).all()
    with pytest.raises(ValueError, match="rng=key"):
        apply((), jnp.ones(3))


MAKERS = [
    ("sgd", lambda: optimizers.sgd(0.1)), ("momentum", lambda: optimizers.momentum(0.05, 0.9)),
    ("nesterov", lambda: optimizers.nesterov(0.05, 0.9)),
    ("adagrad", lambda: optimizers.adagrad(0.5)), ("rmsprop", lambda: optimizers.rmsprop(0.05)),
    ("rmsprop_momentum", lambda: optimizers.rmsprop_momentum(0.02)),
    ("adam", lambda: optimizers.adam(0.1)), ("adamax", lambda: optimizers.adamax(0.1)),
    ("sm3", lambda: optimizers.sm3(0.5))]


@pytest.mark.parametrize("maker", [m for _, m in MAKERS], ids=[n for n, _ in MAKERS])
def test_each_optimiser_finds_a_minimum(maker):
    init, update, get_params = maker()
    target = {"a": jnp.array([1.0, -2.0]), "b": (jnp.float32(0.5),)}

    def loss(params):
        return sum(jax.tree.leaves(jax.tree.map(lambda x, t: ((x - t) ** 2).sum(), params,
                                                target)))
    state = jax.lax.fori_loop(
        0, 300, lambda i, s: update(i, jax.grad(loss)(get_params(s)), s),
        init(jax.tree.map(jnp.zeros_like, target)))
    assert loss(get_params(state)) < 1e-2
    again = optimizers.pack_optimizer_state(optimizers.unpack_optimizer_state(state))
    assert jax.tree.structure(again) == jax.tree.structure(state)
    assert jax.tree.all(jax.tree.map(lambda x, y: (x == y).all(), again, state))


def test_first_steps_by_hand():
    def step(opt, *gradients):
        state = opt.init_fn(jnp.float32(1))
        for i, g in enumerate(gradients):
            state = opt.update_fn(i, jnp.float32(g), state)
        return float(opt.params_fn(state))
    assert step(optimizers.sgd(0.1), 2) == pytest.approx(0.8)
    assert step(optimizers.momentum(0.1, 0.5), 2, 2) == pytest.approx(1 - 0.2 - 0.3)
    assert step(optimizers.nesterov(0.1, 0.5), 2) == pytest.approx(1 - 0.3)
    assert step(optimizers.adam(0.1), 2) == pytest.approx(0.9, abs=1e-6)
    assert step(optimizers.adamax(0.1), 2) == pytest.approx(0.9, abs=1e-6)
    assert step(optimizers.rmsprop(0.1, 0.9), 2) == pytest.approx(1 - 0.2 / np.sqrt(0.4))


def test_a_gradient_of_another_structure_is_refused():
    init, update, _ = optimizers.sgd(0.1)
    with pytest.raises(TypeError, match="did not match the parameter tree structure"):
        update(0, (jnp.ones(1),), init([jnp.ones(1)]))


def test_schedules():
    assert optimizers.exponential_decay(1.0, 2, 0.25)(1) == pytest.approx(0.5)
    assert optimizers.inverse_time_decay(1.0, 2, 1.0)(1) == pytest.approx(1 / 1.5)
    assert optimizers.inverse_time_decay(1.0, 2, 1.0, staircase=True)(1) == 1
    assert optimizers.polynomial_decay(1.0, 4, 0.2)(2) == pytest.approx(0.6)
    assert [float(optimizers.piecewise_constant([1, 3], [5, 6, 7])(i)) for i in range(5)] == [
        5, 5, 6, 6, 7]
    assert optimizers.make_schedule(3)(99) == 3
    with pytest.raises(ValueError, match="one shorter"):
        optimizers.piecewise_constant([1], [1])
    with pytest.raises(TypeError):
        optimizers.make_schedule(jnp.ones(2))


def test_norms():
    gradients = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    assert optimizers.l2_norm(gradients) == 5
    assert optimizers.l2_norm(optimizers.clip_grads(gradients, 1.0)) == pytest.approx(1)
    assert optimizers.clip_grads(gradients, 9.0)["a"] == 3
