"""Compiled functions as bytes: loaded in the same process and in another one."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.experimental.serialize_executable import deserialize_and_load, serialize

ROOT = Path(__file__).parent.parent.parent
TABLE = jnp.arange(100.0)
LOAD = """
import pickle, sys
import minijax as jax, minijax.numpy as jnp
from minijax.experimental.serialize_executable import deserialize_and_load
payload = pickle.load(sys.stdin.buffer)
_, in_tree = jax.tree.flatten((({"x": 0, "n": 0},), {"key": 0}))
_, out_tree = jax.tree.flatten((0, 0))
f = deserialize_and_load(payload, in_tree, out_tree)
y, key = f({"x": jnp.arange(3.0), "n": jnp.int32(4)}, key=jax.random.key(1))
print(y.tolist(), jax.random.key_data(key).tolist())
"""


def f(values, key):
    return TABLE[values["n"]] * values["x"] + TABLE[:3], jax.random.fold_in(key, 7)


def arguments():
    return {"x": jnp.arange(3.0), "n": jnp.int32(4)}, jax.random.key(1)


def test_another_process_gets_the_same_results():
    values, key = arguments()
    payload, in_tree, out_tree = serialize(jax.jit(f).lower(values, key=key).compile())
    assert in_tree == jax.tree.structure(((values,), {"key": key}))
    expected = f(values, key)
    again = deserialize_and_load(payload, in_tree, out_tree)
    got = again(values, key=key)
    assert got[0].tolist() == expected[0].tolist()
    assert got[1] == expected[1]
    done = subprocess.run([sys.executable, "-c", LOAD], input=pickle.dumps(payload), cwd=ROOT,
                          capture_output=True, timeout=300)
    assert done.stdout.decode().strip() == (
        f"{expected[0].tolist()} {jax.random.key_data(expected[1]).tolist()}"), done.stderr


def test_what_is_loaded_is_a_compiled_function():
    x = np.float32([1, 2])
    compiled = jax.jit(lambda x: x + 1, donate_argnums=0).lower(x).compile()
    again = deserialize_and_load(*serialize(compiled), backend="cpu",
                                 execution_devices=jax.devices())
    assert isinstance(again, jax.stages.Compiled)
    assert again.as_text() == compiled.as_text()
    assert again.args_info == compiled.args_info
    assert again.out_info == compiled.out_info
    assert again.input_shardings == compiled.input_shardings
    with pytest.raises(TypeError, match="called with int32"):
        again(np.int32([1, 2]))
    with pytest.raises(TypeError, match="does not match the input pytree"):
        again(x, x)


def test_what_cannot_be_serialized():
    ref = jax.new_ref(0.0)

    def count(x):
        ref[...] += x

    with pytest.raises(ValueError, match="can't serialize with a closed-over mutable array ref"):
        serialize(jax.jit(count).lower(1.0).compile())
    with pytest.raises(ValueError, match="does not support serialization"):
        serialize(jax.jit(lambda x: jax.debug.print("{}", x)).lower(1.0).compile())
