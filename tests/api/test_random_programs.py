"""Random programs: nests of operations, loops, branches and rules, under every transformation.

A program maps two vectors of three numbers to one. Whatever it is, jit changes nothing, vmap is a
loop, forward and reverse mode agree, and second derivatives do not depend on the order of modes.
`python -m pytest -m slow tests/api/test_random_programs.py` runs many; a seed names a program.
"""

import random

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax


@pytest.fixture(autouse=True)
def wide_types():
    with jax.enable_x64(True):
        yield


UNARY = [
    jnp.sin, jnp.tanh, lambda v: v * v, lambda v: 2 * v + 1.5, lambda v: jnp.exp(-v * v),
    lambda v: jnp.where(v > 0.1, v, 0.5 * v), jnp.cumsum, lambda v: v[::-1],
    lambda v: jnp.roll(v, 1), jnp.sort, lambda v: v - v.mean(), lambda v: v.at[0].set(1.0),
    lambda v: v.at[jnp.array([0, 2])].add(v[1]), lambda v: jnp.concatenate([v[1:], v[:1]]),
    lambda v: jnp.pad(v, 1)[:-2], lambda v: v[jnp.array([2, 0, 1])],
    lambda v: lax.dynamic_slice(jnp.concatenate([v, v]), (jnp.argmax(v),), (3,)),
    lambda v: jnp.outer(v, v).sum(0), lambda v: jnp.dot(v, v) * v, jax.nn.softmax,
    lambda v: jnp.maximum(v, v[::-1]), lambda v: lax.cummax(v) + lax.cumprod(v),
]
BINARY = [
    jnp.add, jnp.multiply, jnp.minimum, lambda a, b: a / (2 + b * b),
    lambda a, b: jnp.where(a > b, a, 2 * b), lambda a, b: jnp.arctan2(a, 1 + b * b),
]


def with_rule(g, wrap):
    """`g` with a derivative rule of its own, which is its derivative."""
    def apply(v, w):
        fun = jax.custom_jvp(lambda a, b: g(a, b))
        fun.defjvp(wrap(lambda primals, tangents: jax.jvp(g, primals, tangents)))
        return fun(v, w)
    return apply


def reversed_rule(g):
    """`g` with a reverse rule of its own where only reverse mode is asked for: here, inside it."""
    def apply(v, w):
        return v + jax.grad(lambda a: jnp.sum(jnp.tanh(g(a, w))))(v)
    return apply


NESTS = [
    lambda g: jax.jit(g),
    lambda g: lambda v, w: jax.jit(lambda a: g(a, w))(v),
    lambda g: jax.checkpoint(g),
    lambda g: lambda v, w: lax.scan(lambda c, _: (jnp.tanh(g(c, w)), c), v, None, length=2)[0],
    lambda g: lambda v, w: lax.scan(lambda c, a: (jnp.tanh(g(c, w) * a), c), v, w)[1].sum(0),
    lambda g: lambda v, w: lax.cond(v[0] > w[1], lambda a: g(a, w), lambda a: a * w, v),
    lambda g: lambda v, w: lax.switch(
        (v[0] > 0).astype(int) + (w[0] > 0), [lambda a: g(a, w), lambda a: a * w, jnp.sin], v),
    lambda g: lambda v, w: lax.fori_loop(0, 2, lambda i, c: jnp.tanh(g(c, w)) + i, v),
    lambda g: lambda v, w: jax.vmap(g, (0, None))(jnp.stack([v, w]), w).sum(0),
    lambda g: lambda v, w: lax.map(lambda a: g(a, w), jnp.stack([v, w])).sum(0),
    lambda g: lambda v, w: jax.jvp(lambda a: g(a, w), (v,), (w,))[1],
    lambda g: with_rule(g, lambda rule: rule),
    lambda g: with_rule(g, jax.jit),
    lambda g: with_rule(g, jax.checkpoint),
    reversed_rule,
]


def program(choose, depth):
    """A random function of two vectors, with `depth` levels of nesting."""
    steps = []
    for _ in range(choose.randint(1, 3)):
        kind = choose.random()
        if kind < 0.45 or depth == 0:
            steps.append(lambda v, w, f=choose.choice(UNARY): f(v))
        elif kind < 0.6:
            steps.append(choose.choice(BINARY))
        else:
            steps.append(choose.choice(NESTS)(program(choose, depth - 1)))

    def run(v, w):
        for step in steps:
            v = step(v, w)
        return v
    return run


def close(got, expected, rtol=1e-7):
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=rtol, atol=1e-8)


def check(seed):
    f = program(random.Random(seed), 2)
    v, w, dv, dw, ct = jnp.asarray(np.random.RandomState(seed).randn(5, 3))
    value = f(v, w)
    close(jax.jit(f)(v, w), value)
    vs, ws = jnp.stack([v, w]), jnp.stack([w, v])
    rows = jnp.stack([value, f(w, v)])
    close(jax.vmap(f)(vs, ws), rows)
    close(jax.jit(jax.vmap(f, 1, 1))(vs.T, ws.T), rows.T)
    close(jax.vmap(f, (0, None))(vs, w), jnp.stack([value, f(w, w)]))
    out, tangent = jax.jvp(f, (v, w), (dv, dw))
    close(out, value)
    close(jax.linearize(f, v, w)[1](dv, dw), tangent)
    cts = jax.vjp(f, v, w)[1](ct)
    close(jnp.dot(cts[0], dv) + jnp.dot(cts[1], dw), jnp.dot(ct, tangent))
    close(jax.jit(lambda v, w: jax.vjp(f, v, w)[1](ct))(v, w), cts)
    loss = lambda v, w: jnp.dot(f(v, w), ct)  # noqa: E731
    slopes = jax.vmap(jax.grad(loss))(vs, ws)
    close(slopes[0], cts[0])
    close(jax.grad(lambda vs: (jax.vmap(f)(vs, ws) * ct).sum())(vs), slopes)
    close(jax.jacrev(f)(v, w), jax.jacfwd(f)(v, w))
    if seed % 4 == 0:
        hessian = jax.hessian(loss)(v, w)
        close(jax.jacrev(jax.jacrev(loss))(v, w), hessian, 1e-6)
        close(jax.jacrev(jax.jacfwd(loss))(v, w), hessian, 1e-6)
    close(jax.grad(jax.checkpoint(loss))(v, w), cts[0])


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_some_programs(seed):
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(150))
def test_many_programs(seed):
    check(seed)
