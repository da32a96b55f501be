"""Keys: how they are made, and that arrays of them behave as arrays."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp

R = jax.random
KEYS = R.split(R.key(0), 6).reshape(2, 3)
WORDS = np.asarray(R.key_data(KEYS))


def same(keys, words):
    np.testing.assert_array_equal(R.key_data(keys), words)


# --- Making keys -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed,words", [
    (0, [0, 0]), (-1, [0, 2 ** 32 - 1]), (2 ** 31 + 5, [0, 2 ** 31 + 5]), (True, [0, 1]),
    (2 ** 40 + 1, [0, 1]), (np.uint8(3), [0, 3])])
def test_seeds(seed, words):
    same(R.key(seed), words)
    np.testing.assert_array_equal(R.PRNGKey(seed), words)
    same(R.key(seed, impl="rbg"), words * 2)


def test_seeds_of_64_bits():
    with jax.enable_x64(True):
        same(R.key(2 ** 40 + 1), [256, 1])
        same(jax.jit(R.key)(-1), [2 ** 32 - 1, 2 ** 32 - 1])


def test_the_same_key_comes_from_known_and_traced_seeds():
    for impl in ("threefry2x32", "rbg", "philox2x32", "threefry4x32"):
        same(jax.jit(lambda s: R.key(s, impl=impl))(7), R.key_data(R.key(7, impl=impl)))
    same(jax.vmap(R.key)(jnp.arange(2)), [[0, 0], [0, 1]])


def test_generators_are_chosen_by_name_dtype_or_configuration():
    rbg = R.key_dtype("rbg")
    for key in (R.key(0, impl="rbg"), R.key(0, dtype=rbg), R.key(0, impl=rbg),
                R.wrap_key_data(np.zeros(4, np.uint32), impl="rbg"),
                R.wrap_key_data(np.zeros(4, np.uint32), dtype=rbg)):
        assert key.dtype == rbg and R.key_impl(key) == "rbg" and str(key.dtype) == "key<rbg>"
    with jax.default_prng_impl("philox4x32"):
        assert R.key_impl(R.key(0)) == R.key_impl(R.PRNGKey(0)) == "philox4x32"
        assert R.bits(R.PRNGKey(0)).shape == ()
    assert R.key_dtype() == R.key_dtype("threefry2x32") != rbg


def test_options():
    with jax.enable_custom_prng(True):
        assert R.PRNGKey(0).dtype == R.key_dtype()
    raw = R.PRNGKey(0)
    with jax.legacy_prng_key("error"):
        with pytest.raises(ValueError, match="Legacy uint32 key array passed as key"):
            R.bits(raw)
        assert R.bits(R.key(0)).shape == ()
    with jax.legacy_prng_key("warn"), warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        R.bits(raw)
    assert ["Legacy uint32" in str(w.message) for w in found] == [True]
    jax.config.update("jax_random_seed_offset", 5)
    try:
        same(R.key(0), [0, 5])
        same(R.key(2 ** 32 - 2), [0, 3])
        same(jax.jit(R.key)(1), [0, 6])
    finally:
        jax.config.update("jax_random_seed_offset", 0)


def leaked():
    seen = []
    jax.jit(lambda k: seen.append(k))(R.PRNGKey(0))
    return seen[0]


@pytest.mark.parametrize("call,error,text", [
    (lambda: R.key(1.5), TypeError, "PRNG key seed must be an integer; got 1.5"),
    (lambda: R.key(KEYS[0, 0]), TypeError, "key accepts a scalar seed, but was given a PRNG key"),
    (lambda: R.PRNGKey(np.arange(3)), TypeError,
     r"PRNGKey accepts a scalar seed, but was given an array of shape \(3,\) != \(\)"),
    (lambda: R.key(2 ** 64), OverflowError, "too large"),
    (lambda: R.key(0, impl="mt"), ValueError, 'unrecognized PRNG implementation "mt"'),
    (lambda: R.key(0, impl=3), TypeError, "unrecognized type <class 'int'>"),
    (lambda: R.key(0, impl="rbg", dtype=R.key_dtype()), ValueError,
     "Cannot specify both `impl` and `dtype` arguments to jax.random.key"),
    (lambda: R.wrap_key_data(np.zeros((3, 4), np.uint32)), TypeError,
     r"expected key_data.shape to end with \(2,\); got shape=\(3, 4\)"),
    (lambda: R.wrap_key_data(np.zeros(2, np.int32)), TypeError, "expected key_data.dtype = uint32"),
    (lambda: R.wrap_key_data([0, 1]), TypeError, "expected key_data to have ndim, shape"),
    (lambda: R.normal(KEYS), ValueError,
     r"normal accepts a single key, but was given a key array of shape \(2, 3\) != \(\)"),
    (lambda: R.fold_in(R.key(0), jnp.arange(2)), TypeError, "fold_in accepts a scalar"),
    (lambda: np.asarray(KEYS), TypeError, "cannot be converted to a NumPy array"),
    (lambda: bool(KEYS[0, 0]), TypeError, "key array cannot be converted to boolean"),
    (lambda: jnp.sort(KEYS), TypeError, "lt_to does not accept dtype key<fry>"),
    (lambda: KEYS + 1, TypeError, "key<fry>"),
    (lambda: hash(KEYS), TypeError, "unhashable"),
    (lambda: jax.grad(lambda k: R.normal(k))(R.key(0)), TypeError,
     "grad requires real- or complex-valued inputs"),
    (lambda: R.poisson(R.key(0, impl="rbg"), 2.0), NotImplementedError,
     "`poisson` is only implemented for the threefry2x32 RNG"),
    (lambda: R.rayleigh(R.key(0), 1j), ValueError,
     "In arguments to rayleigh, cannot safely cast argument of type complex64 to float32"),
    (lambda: R.uniform(leaked()), jax.errors.UnexpectedTracerError, "unexpected tracer"),
])
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call()


# --- Arrays of keys ----------------------------------------------------------------------------

MOVES = {
    "index": lambda x: x[1, 0], "slice": lambda x: x[:, 1:], "list": lambda x: x[jnp.array([1, 0])],
    "mask": lambda x: x[np.array([True, False])], "new axis": lambda x: x[None, :, 0],
    "T": lambda x: x.swapaxes(0, 1), "reshape": lambda x: x.reshape((3, 2) + x.shape[2:]),
    "stack": lambda x: jnp.stack([x[0], x[1]], 1), "flip": lambda x: jnp.flip(x, 0),
    "concatenate": lambda x: jnp.concatenate([x, x]), "roll": lambda x: jnp.roll(x, 1, 0),
    "broadcast_to": lambda x: jnp.broadcast_to(x, (4,) + x.shape),
    "expand_dims": lambda x: jnp.expand_dims(x, 1), "squeeze": lambda x: jnp.squeeze(x[:1], 0),
    "repeat": lambda x: jnp.repeat(x, 2, axis=0), "take": lambda x: jnp.take(x, 1, axis=1),
    "split": lambda x: jnp.split(x, 3, axis=1)[2], "append": lambda x: jnp.append(x, x, axis=0),
    "set": lambda x: x.at[0, 1].set(x[1, 1]), "get": lambda x: x.at[1].get(),
    "moveaxis": lambda x: jnp.moveaxis(x, 1, 0), "array": jnp.array, "copy": lambda x: x.copy(),
}


@pytest.mark.parametrize("name", MOVES)
def test_moving_keys_is_moving_their_words(name):
    move = MOVES[name]
    expected = move(jnp.asarray(WORDS))
    same(move(KEYS), expected)
    same(jax.jit(move)(KEYS), expected)


def test_choosing_and_comparing():
    mask = jnp.array([True, False, True])
    same(jnp.where(mask, KEYS, KEYS[::-1]), np.where(mask[:, None], WORDS, WORDS[::-1]))
    np.testing.assert_array_equal(KEYS == KEYS[0], [[True] * 3, [False] * 3])
    np.testing.assert_array_equal(KEYS != KEYS[0], [[False] * 3, [True] * 3])
    same(KEYS.at[9].get(mode="fill"), np.full((3, 2), 2 ** 32 - 1))
    same(jnp.zeros_like(KEYS), np.zeros((2, 3, 2)))
    same(jnp.full_like(KEYS, KEYS[0, 0]), np.broadcast_to(WORDS[0, 0], (2, 3, 2)))
    same(R.permutation(R.key(1), KEYS[0]), WORDS[0][np.asarray(R.permutation(R.key(1), 3))])


def test_attributes():
    assert KEYS.shape == (2, 3) and KEYS.ndim == 2 and KEYS.size == 6 and len(KEYS) == 2
    assert KEYS.itemsize == 8 and KEYS.nbytes == 48 and KEYS.on_device_size_in_bytes() >= 48
    assert isinstance(KEYS, jax.Array) and KEYS.is_fully_replicated
    assert KEYS.addressable_shards[0].data.shape == (2, 3)
    assert jnp.issubdtype(KEYS.dtype, jax.dtypes.prng_key)
    assert not jnp.issubdtype(KEYS.dtype, np.integer)
    assert [k.shape for k in KEYS] == [(3,), (3,)]
    assert repr(KEYS[0, 0]) == f"Array((), dtype=key<fry>) overlaying:\n{WORDS[0, 0]}"


def test_copies():
    for other in (copy.copy(KEYS), copy.deepcopy(KEYS), pickle.loads(pickle.dumps(KEYS)),
                  jax.device_put(KEYS), jax.tree.map(lambda x: x, [KEYS])[0], R.clone(KEYS)):
        same(other, WORDS)
    assert pickle.loads(pickle.dumps(KEYS.dtype)) == KEYS.dtype
    np.testing.assert_array_equal(R.clone(R.PRNGKey(3)), [0, 3])


def test_transformations():
    each = [[R.bits(k) for k in row] for row in KEYS]
    np.testing.assert_array_equal(jax.vmap(jax.vmap(R.bits))(KEYS), each)
    _, scanned = jax.lax.scan(lambda c, k: (R.fold_in(c, 1), R.bits(k)), KEYS[0, 0], KEYS[1])
    np.testing.assert_array_equal(scanned, each[1])
    looped = jax.lax.fori_loop(0, 3, lambda i, k: R.fold_in(k, i), KEYS[0, 0])
    same(looped, R.key_data(R.fold_in(R.fold_in(R.fold_in(KEYS[0, 0], 0), 1), 2)))
    same(jax.lax.cond(True, lambda k: k, R.clone, KEYS[0, 0]), WORDS[0, 0])
    x, slope = jax.value_and_grad(lambda x, k: x * R.normal(k))(2.0, KEYS[0, 0])
    np.testing.assert_allclose(x, 2 * slope)
    assert jax.grad(lambda k: R.normal(k), allow_int=True)(KEYS[0, 0]).dtype == jax.float0
    out = jax.eval_shape(lambda k: R.split(k, 4), jax.ShapeDtypeStruct((), KEYS.dtype))
    assert out.shape == (4,) and out.dtype == KEYS.dtype


@pytest.mark.parametrize("impl", ["threefry2x32", "philox4x32", "threefry4x32"])
def test_batches_are_loops(impl):
    keys = R.split(R.key(3, impl=impl), 3)
    numbers = jnp.arange(3)
    same(jax.vmap(R.split)(keys), [R.key_data(R.split(k)) for k in keys])
    same(jax.vmap(R.fold_in)(keys, numbers),
         [R.key_data(R.fold_in(k, i)) for k, i in zip(keys, range(3))])
    same(jax.vmap(R.fold_in, (None, 0))(keys[0], numbers),
         [R.key_data(R.fold_in(keys[0], i)) for i in range(3)])
    same(jax.vmap(R.fold_in, (0, None))(keys, 7), [R.key_data(R.fold_in(k, 7)) for k in keys])


def test_raw_keys_give_what_typed_keys_give():
    raw, typed = R.PRNGKey(4), R.key(4)
    np.testing.assert_array_equal(R.split(raw, (2, 2)), R.key_data(R.split(typed, (2, 2))))
    np.testing.assert_array_equal(R.fold_in(raw, 9), R.key_data(R.fold_in(typed, 9)))
    np.testing.assert_array_equal(R.uniform(raw, (3,)), R.uniform(typed, (3,)))
    assert R.key_impl(raw) == "threefry2x32"
