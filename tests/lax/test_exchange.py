"""Uneven exchanges and single messages: errors, modules, and values under vmap of the axis."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax
from minijax.sharding import AxisType
from tests.helpers import assert_close, error_of

MESH = jax.make_mesh((1,), ("i",), (AxisType.Auto,))
VECTOR = np.zeros(2, np.int32)


def exchange(*args):
    return lax.ragged_all_to_all(*args, axis_name="i")


def test_runs_arrive_where_their_senders_say():
    def both(*rows):
        return jnp.array(rows, jnp.int32)
    operand, output = jnp.array([[1., 2., 2.], [3., 4., 0.]]), jnp.full((2, 4), 9.0)
    args = (operand, output, both([0, 1], [0, 1]), both([1, 2], [1, 1]), both([0, 0], [1, 2]),
            both([1, 1], [2, 1]))
    run = jax.vmap(exchange, axis_name="i")
    assert_close(run(*args), np.float32([[1, 3, 9, 9], [2, 2, 4, 9]]))
    ct = np.arange(8, dtype=np.float32).reshape(2, 4) + 1
    moved, kept = jax.vjp(lambda a, b: run(a, b, *args[2:]), operand, output)[1](ct)
    assert_close(moved, np.float32([[1, 5, 6], [2, 7, 0]]))
    assert_close(kept, np.float32([[0, 0, 3, 4], [0, 0, 0, 8]]))


@pytest.mark.parametrize("place,name", list(enumerate(
    ["input_offsets", "send_sizes", "output_offsets", "recv_sizes"])))
def test_vectors_are_checked(place, name):
    def given(vector):
        vectors = [VECTOR] * 4
        vectors[place] = vector
        return jax.vmap(lambda x: exchange(x, x, *vectors), axis_name="i")
    text = error_of(ValueError, lambda: given(VECTOR.astype(np.float32))(jnp.zeros((2, 3))))
    assert text.startswith(f"ragged_all_to_all {name} must be integer type.")
    text = error_of(ValueError, lambda: given(VECTOR[:0])(jnp.zeros((2, 3))))
    assert text.startswith(f"ragged_all_to_all {name} must be rank 1 with positive dimension size"
                           ", but got shape (0,)")


def on_mesh(f):
    return jax.jit(jax.shard_map(f, mesh=MESH, in_specs=jax.P("i"), out_specs=jax.P("i")))


def test_the_module_of_an_exchange_is_well_formed():
    run = on_mesh(lambda x: exchange(x, x, *[VECTOR[:1]] * 4))
    text = run.lower(jnp.zeros((4, 3))).as_text()
    assert "stablehlo.custom_call @ragged_all_to_all(" in text
    assert "{channel_id = 1 : i64, replica_groups = dense<0> : tensor<1x1xi64>}" in text


def test_exchanges_of_a_batch_are_one():
    def many(x):
        return jax.vmap(exchange)(x, x, *[np.zeros((4, 1), np.int32)] * 4)
    text = str(jax.make_jaxpr(on_mesh(many))(jnp.zeros((4, 3))))
    assert text.count("ragged_all_to_all[") == 1


def message(perm):
    def f(x):
        return lax.precv(lax.psend(x, "i", perm), jax.typeof(x), "i", perm)
    return jax.jit(jax.shard_map(f, mesh=MESH, in_specs=jax.P("i"), out_specs=jax.P("i"),
                                 check_vma=False))


def test_messages_are_for_gpus():
    x = jnp.zeros((4, 3))
    text = message([(0, 0)]).trace(x).lower(lowering_platforms=("cuda",)).as_text()
    assert "stablehlo.send" in text and "stablehlo.recv" in text
    assert text.count("source_target_pairs = dense<0> : tensor<1x2xi64>") == 2
    text = error_of(NotImplementedError, lambda: message([(0, 0)])(x))
    assert text.startswith("psend is currently only implemented on GPU")
    text = error_of(ValueError, lambda: message([(0, 0), (0, 0)]).trace(x).lower(
        lowering_platforms=("cuda",)))
    assert text.startswith("psend sources and destinations must be unique, got ((0, 0), (0, 0)).")
