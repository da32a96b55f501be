"""Random programs agree with themselves under every transformation, and with JAX.

Whatever a program is (see programs.py): running it operation by operation changes nothing, vmap is
a loop, forward mode is the limit of differences, reverse mode is its transpose.
`tests/data/random_programs.json` has what JAX 0.10.2 computes for some seeds;
tests/data/record_programs.py made it.

A program is compiled once, for a batch of points, values and derivatives together: XLA takes most
of the time. Operation by operation it runs under `disable_jit`, where the few operations on a few
shapes that all programs consist of are compiled for the first of them only.
`python -m pytest -m slow tests/test_random_programs.py` runs more than 2,000.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import minijax as jax
from minijax.passes.check import check_jaxpr
from tests.programs import Programs

STORED = json.loads((Path(__file__).parent / "data" / "random_programs.json").read_text())
STEP = 1e-6
# Rounding decides a comparison wherever these are evaluated.
JUMPING = {272, 577, 1858}


@pytest.fixture(autouse=True)
def wide_types():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def programs():
    with jax.enable_x64(True):
        return Programs(jax)


@pytest.fixture(scope="module")
def options():
    """What makes XLA compile three times as fast; not every jaxlib knows all of it."""
    wanted = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False,
              "xla_cpu_parallel_codegen_split_count": 1,
              "xla_llvm_enable_alias_scope_metadata": False,
              "xla_llvm_enable_noalias_metadata": False}
    known = {}
    for name, value in wanted.items():
        try:
            jax.jit(lambda x: x + 1, compiler_options={name: value})(1.0)
            known[name] = value
        except jax.errors.JaxRuntimeError:
            pass
    return known


def point(random: np.random.RandomState) -> tuple:
    return tuple(jax.numpy.asarray(random.uniform(-1, 1, shape)) for shape in ((), (3,), (3, 3)))


def points(seed: int, count: int) -> list[tuple]:
    random = np.random.RandomState(seed)
    return [point(random) for _ in range(count)]


def close(got, expected, rtol=1e-8, atol=1e-9):
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=rtol, atol=atol)


def dot(a, b):
    return sum(np.vdot(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def both_modes(f):
    """Value, tangent and cotangents."""
    def run(x, dx, ct):
        return (*jax.jvp(f, x, dx), jax.vjp(f, *x)[1](ct))
    return run


def check(f, seed, options):
    try:
        check_compiled(f, seed, options)
    except AssertionError:
        # A point may lie where the program jumps, or closer to it than the step of the differences;
        # and with these options XLA's exponential is wrong once in a while.
        check_compiled(f, seed + 10_000, None)


def check_compiled(f, seed, options):
    x, other, dx, ct = points(seed, 4)
    # Two points, and one step to either side of the first.
    places = [x, other, *[tuple(a + h * b for a, b in zip(x, dx)) for h in (STEP, -STEP)]]
    batch = jax.tree.map(lambda *rows: np.stack(rows), *places)
    traced = jax.jit(jax.vmap(both_modes(f), (0, None, None)),
                     compiler_options=options).trace(batch, dx, ct)
    check_jaxpr(traced.jaxpr)
    values, tangents, cts = jax.tree.map(np.asarray, traced.lower().compile()(batch, dx, ct))
    rows = [jax.tree.map(lambda a, i=i: a[i], (values, tangents, cts)) for i in range(4)]
    with jax.disable_jit():
        close(f(*other), rows[1][0])
        if not all(np.isfinite(x).all() for x in jax.tree.leaves((values, tangents, cts))):
            return  # a derivative at a singular point: XLA may take 0 * nan for 0, or not
        close(both_modes(f)(x, dx, ct), rows[0])
    for _, tangent, pulled in rows:
        close(dot(pulled, dx), dot(ct, tangent))
    slope = jax.tree.map(lambda a: (a[2] - a[3]) / (2 * STEP), values)
    close(rows[0][1], slope, 1e-4, 1e-6)


@pytest.mark.parametrize("first", range(0, 100, 10))
def test_programs_agree_with_themselves(programs, options, first):
    for seed in range(first, first + 10):
        check(programs.make(seed), seed, options)


@pytest.mark.parametrize("seed", [629, 641, 988, 1310])
def test_programs_that_xla_would_compile_wrongly(programs, seed):
    """For arrays with two names (see lowering/barriers.py); for what is compared with its maximum,
    computed twice (see lowering/fusion.py)."""
    check_compiled(programs.make(seed), seed, None)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 2020, 20))
def test_many_programs(programs, options, first):
    for seed in sorted({*range(first, first + 20)} - JUMPING):
        check(programs.make(seed), seed, options)


@pytest.mark.parametrize("seed", [2, 5, *(pytest.param(n, marks=pytest.mark.slow)
                                          for n in range(10, 210, 5))])
def test_second_derivatives_do_not_depend_on_the_order_of_modes(programs, options, seed):
    f = programs.make(seed)
    x, _, dx, ct = points(seed, 4)
    along = lambda g, by: lambda *x: sum((a * b).sum() for a, b in zip(g(*x), by))  # noqa: E731
    slope = jax.grad(along(f, ct), (0, 1, 2))
    forward = lambda *x: jax.jvp(slope, x, dx)[1]  # noqa: E731
    reverse = jax.grad(along(slope, dx), (0, 1, 2))
    both = jax.jit(lambda *x: (forward(*x), reverse(*x)), compiler_options=options)
    close(*both(*x), 1e-7)


def compare(programs, seed, run):
    x, _, _, ct = points(seed, 4)
    f = programs.make(seed)

    def both(x, ct):
        out, pullback = jax.vjp(f, *x)
        return (*out, *pullback(ct))
    outs = run(both)(x, ct)
    found = [float(a) for leaf in outs for a in np.ravel(np.asarray(leaf))]
    np.testing.assert_allclose(found, STORED[str(seed)], rtol=1e-7, atol=1e-8)


def test_programs_compute_what_jax_computes(programs):
    with jax.disable_jit():
        for seed in map(int, STORED):
            compare(programs, seed, lambda f: f)


@pytest.mark.slow
@pytest.mark.parametrize("seed", sorted(map(int, STORED)))
def test_compiled_programs_compute_what_jax_computes(programs, options, seed):
    compare(programs, seed, lambda f: jax.jit(f, compiler_options=options))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(0, 100, 5))
def test_eager_loops_and_branches_compute_what_compiled_ones_do(programs, options, seed):
    f = programs.make(seed)
    x, _, dx, ct = points(seed, 4)
    run = both_modes(f)
    close(run(x, dx, ct), jax.jit(run, compiler_options=options)(x, dx, ct))
