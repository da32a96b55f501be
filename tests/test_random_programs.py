"""Random programs agree with themselves under every transformation, and with JAX.

Whatever a program is (see programs.py): jit changes nothing, vmap is a loop, forward mode is the
limit of differences, reverse mode is its transpose. `tests/data/random_programs.json` has what JAX
0.10.2 computes for some seeds; tests/data/record_programs.py made it.

Compiling a program takes seconds, tracing it a tenth of one: 100 are traced under every
transformation, type-checked and lowered each time, a few are run.
`python -m pytest -m slow tests/test_random_programs.py` runs 2,000.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import minijax as jax
from minijax.passes.check import check_jaxpr
from tests.programs import Programs

STORED = json.loads((Path(__file__).parent / "data" / "random_programs.json").read_text())
FAST = {"xla_backend_optimization_level": 0}


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


def points(seed: int, count: int) -> list[tuple]:
    random = np.random.RandomState(seed)
    return [point(random) for _ in range(count)]


def close(got, expected, rtol=1e-8, atol=1e-9):
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=rtol, atol=atol)


def dot(a, b):
    return sum(np.vdot(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def everything(f):
    """Value, forward and reverse mode, and the map over two points, in one program."""
    def run(x, other, dx, ct):
        stacked = [jax.numpy.stack(pair) for pair in zip(x, other)]
        return (f(*x), jax.jvp(f, x, dx)[1], jax.vjp(f, *x)[1](ct), jax.vmap(f)(*stacked))
    return run


def check(f, seed, eager=False):
    x, other, dx, ct = points(seed, 4)
    run = jax.jit(everything(f), compiler_options=FAST)
    value, tangent, cts, rows = run(x, other, dx, ct)
    close(rows, jax.tree.map(lambda *pair: np.stack(pair), value, run(other, x, dx, ct)[0]))
    close(dot(cts, dx), dot(ct, tangent))
    eps = 1e-6
    plus, minus = [run(tuple(a + h * b for a, b in zip(x, dx)), other, dx, ct)[0]
                   for h in (eps, -eps)]
    close(tangent, jax.tree.map(lambda a, b: (np.asarray(a) - np.asarray(b)) / (2 * eps),
                                plus, minus), 1e-4, 1e-6)
    if eager:
        close(everything(f)(x, other, dx, ct), (value, tangent, cts, rows))


@pytest.mark.parametrize("first", range(0, 100, 10))
def test_programs_are_well_typed_under_every_transformation(programs, first):
    for seed in range(first, first + 10):
        f = programs.make(seed)
        arguments = points(seed, 4)
        traced = jax.jit(everything(f)).trace(*arguments)
        check_jaxpr(traced.jaxpr)
        assert [a.shape for a in jax.tree.leaves(traced.out_info)] == [
            (), (3,), (3, 3), (), (3,), (3, 3), (), (3,), (3, 3), (2,), (2, 3), (2, 3, 3)]
        assert traced.lower().as_text().count("func.func public @main") == 1


@pytest.mark.parametrize("seed", [7, 24])
def test_programs_agree_with_themselves(programs, seed):
    check(programs.make(seed), seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 2000, 20))
def test_many_programs(programs, first):
    for seed in range(first, first + 20):
        check(programs.make(seed), seed, eager=seed % 10 == 0)


def compare(programs, seed):
    x, _, _, ct = points(seed, 4)
    f = programs.make(seed)

    def both(x, ct):
        out, pullback = jax.vjp(f, *x)
        return (*out, *pullback(ct))
    outs = jax.jit(both, compiler_options=FAST)(x, ct)
    found = [float(a) for leaf in outs for a in np.ravel(np.asarray(leaf))]
    np.testing.assert_allclose(found, STORED[str(seed)], rtol=1e-7, atol=1e-8)


def test_a_program_computes_what_jax_computes(programs):
    compare(programs, 3000)


@pytest.mark.slow
@pytest.mark.parametrize("seed", sorted(map(int, STORED)))
def test_programs_compute_what_jax_computes(programs, seed):
    compare(programs, seed)
