"""Random programs agree with themselves under every transformation, and with JAX.

Whatever a program is (see programs.py): jit changes nothing, vmap is a loop, forward mode is the
limit of differences, reverse mode is its transpose. `tests/data/random_programs.json` has what JAX
0.10.2 computes for some seeds; tests/data/record_programs.py made it.
`python -m pytest -m slow tests/test_random_programs.py` runs 2,000 programs.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import minijax as jax
from tests.programs import Programs

STORED = json.loads((Path(__file__).parent / "data" / "random_programs.json").read_text())


@pytest.fixture(autouse=True)
def wide_types():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def programs():
    with jax.enable_x64(True):
        return Programs(jax)


def point(random: np.random.RandomState) -> tuple:
    return tuple(np.asarray(random.uniform(-1, 1, shape)) for shape in ((), (3,), (3, 3)))


def close(got, expected, rtol=1e-8, atol=1e-9):
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=rtol, atol=atol)


def dot(a, b):
    return sum(np.vdot(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def differences(f, x, dx, eps=1e-6):
    plus = f(*[a + eps * b for a, b in zip(x, dx)])
    minus = f(*[a - eps * b for a, b in zip(x, dx)])
    return jax.tree.map(lambda a, b: (np.asarray(a) - np.asarray(b)) / (2 * eps), plus, minus)


def check(f, seed, compiled):
    random = np.random.RandomState(seed)
    x, other, dx, ct = (point(random) for _ in range(4))
    value = f(*x)
    tangent = jax.jvp(f, x, dx)[1]
    close(tangent, differences(f, x, dx), 1e-4, 1e-6)
    out, pullback = jax.vjp(f, *x)
    close(out, value)
    cts = pullback(ct)
    close(dot(cts, dx), dot(ct, tangent))
    rows = jax.vmap(f)(*[np.stack(pair) for pair in zip(x, other)])
    close(rows, jax.tree.map(lambda *pair: np.stack(pair), value, f(*other)))
    if compiled:
        def everything(x, other, dx, ct):
            stacked = [jax.numpy.stack(pair) for pair in zip(x, other)]
            return (f(*x), jax.jvp(f, x, dx)[1], jax.vjp(f, *x)[1](ct), jax.vmap(f)(*stacked))
        close(jax.jit(everything)(x, other, dx, ct), (value, tangent, cts, rows))


@pytest.mark.parametrize("seed", range(100))
def test_programs(programs, seed):
    check(programs.make(seed), seed, compiled=seed % 20 == 0)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 2000, 20))
def test_many_programs(programs, first):
    for seed in range(first, first + 20):
        check(programs.make(seed), seed, compiled=True)


@pytest.mark.parametrize("seed", sorted(map(int, STORED)))
def test_programs_compute_what_jax_computes(programs, seed):
    random = np.random.RandomState(seed)
    x, _, _, ct = (point(random) for _ in range(4))
    out, pullback = jax.vjp(programs.make(seed), *x)
    found = [float(a) for leaf in (*out, *pullback(ct)) for a in np.ravel(np.asarray(leaf))]
    np.testing.assert_allclose(found, STORED[str(seed)], rtol=1e-7, atol=1e-8)
