"""jax_debug_key_reuse: keys used twice are found, in programs and from call to call."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax, random
from minijax.errors import KeyReuseError


@pytest.fixture(autouse=True)
def _on():
    with jax.debug_key_reuse(True):
        yield


def split_and_use(key):
    a, b = random.split(key)
    keys = random.split(b, 3)
    c = random.fold_in(a, 1)
    return (random.uniform(c) + random.normal(keys[0]) + random.uniform(a)
            + jax.vmap(random.normal)(keys[1:]).sum())


def carried(key):
    def body(key, _):
        key, subkey = random.split(key)
        return key, random.bits(subkey)
    return lax.scan(body, key, None, length=4)


def carried_by_while(key):
    def body(state):
        key, subkey = random.split(state[0])
        return key, state[1] + random.uniform(subkey)
    return lax.while_loop(lambda state: state[1] < 2, body, (key, 0.0))


GOOD = {
    "split": split_and_use,
    "scan": carried,
    "while": carried_by_while,
    "map": lambda key: lax.map(random.bits, random.split(key, 5)),
    "clone": lambda key: random.uniform(key) + random.uniform(random.clone(key)),
    "one branch": lambda key: lax.cond(True, random.uniform, lambda key: 1.0, key),
    "moved": lambda key: random.bits(random.split(key, 4).reshape(2, 2).T[1, 0]),
    "checkpoint": lambda key: jax.grad(jax.checkpoint(lambda x, k: x * random.uniform(k)))(
        1.0, key),
    "poisson": lambda key: random.poisson(key, 3.0),
    "binomial": lambda key: random.binomial(key, 5, 0.5),
    "choice": lambda key: random.choice(key, 10, (3,), replace=False),
    "gamma": lambda key: random.gamma(key, 2.0),
    "no keys": lambda key: jax.vmap(lambda k: sum(map(random.bits, random.split(k))))(
        random.split(key, 0)),
}


def _twice_in_while(key):
    return lax.while_loop(lambda s: s[1] < 5, lambda s: (s[0], s[1] + random.uniform(s[0])),
                          (key, 0.0))


def _in_condition(key):
    return lax.while_loop(lambda i: i < random.uniform(key), lambda i: i + 1, 0.0)


BAD = {
    "two draws": (lambda key: random.uniform(key) + random.normal(key), "already consumed"),
    "split and draw": (lambda key: (random.split(key), random.bits(key)), "already consumed"),
    "part of an array": (lambda key: (lambda ks: random.bits(ks[1]) + jax.vmap(random.bits)(ks))(
        random.split(key)), "already consumed"),
    "const of scan": (lambda key: lax.scan(lambda c, _: (c, random.uniform(key)), None, None,
                                           length=3), "scan body function leads to key reuse"),
    "carry of scan": (lambda key: lax.scan(lambda k, _: (k, random.bits(k)), key, None, length=3),
                      "scan body function leads to key reuse"),
    "while": (_twice_in_while, "while_loop body function leads to key reuse"),
    "condition": (_in_condition, "while_loop cond function leads to key reuse"),
    "branch": (lambda key: lax.cond(True, random.uniform, lambda key: 1.0, key)
               + random.uniform(key), "already consumed"),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_programs_pass(name):
    jax.jit(GOOD[name])(random.key(0))
    GOOD[name](random.key(0))


@pytest.mark.parametrize("name", BAD)
def test_bad_programs_are_refused(name):
    f, text = BAD[name]
    with pytest.raises(KeyReuseError, match=text) as error:
        jax.jit(f)(random.key(0))
    assert "test_key_reuse.py" in str(error.value)
    assert "split" in str(error.value)
    with jax.debug_key_reuse(False):
        jax.jit(f)(random.key(0))


def test_from_call_to_call():
    key = random.key(0)
    draw = jax.jit(random.bits)
    draw(key)
    with pytest.raises(KeyReuseError, match="passed to jit-compiled function at index 0"):
        draw(key)
    with pytest.raises(KeyReuseError, match="Previously-consumed key"):
        random.split(key)
    closed = random.key(1)
    draw = jax.jit(lambda: random.uniform(closed))
    draw()
    with pytest.raises(KeyReuseError, match="at index 0"):
        draw()
    with jax.disable_jit():
        key = random.key(2)
        random.bits(key)
        with pytest.raises(KeyReuseError, match="passed to random_bits at index 0"):
            random.bits(key)


def test_parts_of_an_array_of_keys():
    keys = random.split(random.key(0), 3)
    first = jax.jit(lambda keys: random.bits(keys[0]))
    first(keys)
    assert np.asarray(keys._consumed).tolist() == [True, False, False]
    jax.jit(lambda keys: random.bits(keys[1]))(keys)
    with pytest.raises(KeyReuseError):
        first(keys)
    again = random.clone(keys)
    assert again._consumed is False
    assert first(again).shape == ()
    same = jax.jit(lambda keys: keys[::-1])(keys)
    assert np.asarray(same._consumed).tolist() == [False, True, True]
