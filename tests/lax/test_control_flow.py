"""Loops and branches against plain Python, under every transformation; and their errors."""

from __future__ import annotations

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax
from minijax.core import dce_jaxpr
from minijax.passes.check import check_jaxpr

X = np.float32(0.7)
V = np.linspace(-1, 1, 5).astype(np.float32)
M = (np.arange(12, dtype=np.float32) / 10).reshape(4, 3)
W = (np.random.default_rng(0).standard_normal((3, 3)) * 0.4).astype(np.float32)


def close(actual, expected, tol=2e-4):
    a, b = jax.tree.leaves(actual), jax.tree.leaves(expected)
    assert len(a) == len(b)
    for x, y in zip(a, b):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=tol, atol=tol)


def names(fun, *args):
    return [e.primitive.name for e in jax.make_jaxpr(fun)(*args).eqns]


def stacked(args):
    return tuple(np.stack([x, x * 1.5, x - 0.3]).astype(x.dtype) for x in args)


# --- one program in two ways: with control flow operations, and unrolled in Python -------------


def rnn(w, h, xs):
    def step(h, x):
        h = jnp.tanh(w @ h + x * jnp.sin(jnp.sum(w)))
        return h, (jnp.sum(h), x)
    h, (s, _) = lax.scan(step, h, xs)
    return jnp.sum(h * s[-1]) + jnp.sum(s)


def rnn_python(w, h, xs):
    total = 0.0
    for x in xs:
        h = jnp.tanh(w @ h + x * jnp.sin(jnp.sum(w)))
        total = total + jnp.sum(h)
    return jnp.sum(h) * jnp.sum(h) + total


def backwards(w, h, xs):
    def step(carry, x):
        h, i = carry
        h = jnp.tanh(w @ h + x) * (1 + i)
        return (h, i + 1), h * x
    (h, _), s = lax.scan(step, (h, 0), xs, reverse=True, unroll=2)
    return jnp.sum(h) + jnp.sum(s ** 2)


def backwards_python(w, h, xs):
    total = 0.0
    for i, x in enumerate(xs[::-1]):
        h = jnp.tanh(w @ h + x) * (1 + i)
        total = total + jnp.sum((h * x) ** 2)
    return jnp.sum(h) + total


def swapping(a, b):
    (_, _), ys = lax.scan(lambda c, _: ((c[1] * b, c[0] + a), c[0]), (a, b), None, length=4)
    return jnp.sum(ys)


def swapping_python(a, b):
    c, total = (a, b), 0.0
    for _ in range(4):
        total = total + c[0]
        c = c[1] * b, c[0] + a
    return total


def invariant(a, b):
    c, ys = lax.scan(lambda c, y: ((c[0], jnp.cos(a) * c[1]), c[0] * y), (a, b), V)
    return c[1] + jnp.sum(ys * a)


def invariant_python(a, b):
    total = 0.0
    for y in V:
        total = total + a * y * a
        b = jnp.cos(a) * b
    return b + total


def branching(a, b):
    def step(c, y):
        return lax.cond(y > 0, lambda c: jnp.sin(c * a), lambda c: c * b * y, c), c
    c, ys = lax.scan(step, a * b, V)
    return c + jnp.sum(ys * ys)


def branching_python(a, b):
    c, total = a * b, 0.0
    for y in V:
        total = total + c * c
        c = jnp.sin(c * a) if y > 0 else c * b * y
    return c + total


def switching(a, b):
    branches = [lambda c, y: c * a + y, lambda c, y: jnp.exp(c) * y, lambda c, y: b + 0 * c]
    c, ys = lax.scan(lambda c, iy: (lax.switch(iy[0], branches, c, iy[1]), c), a,
                     (np.array([0, 1, 2, 5, -1]), V))
    return c + jnp.sum(ys * ys)


def switching_python(a, b):
    c, total = a, 0.0
    for i, y in zip([0, 1, 2, 2, 0], V):
        total = total + c * c
        c = [c * a + y, jnp.exp(c) * y, b + 0 * c][i]
    return c + total


def counting(a, b):
    return lax.fori_loop(0, 5, lambda i, c: (c[0] * a + i * b, c[1] + c[0]), (a, b))[1]


def counting_python(a, b):
    c = (a, b)
    for i in range(5):
        c = c[0] * a + i * b, c[1] + c[0]
    return c[1]


def nested(w, h):
    def outer(c, x):
        c, ys = lax.scan(lambda c, row: (jnp.sin(c @ w + row), c), c, M[1:3] * x)
        return c, jnp.sum(ys)
    c, s = lax.scan(outer, h, V[::2])
    return jnp.sum(c) * jnp.sum(s)


def nested_python(w, h):
    total = 0.0
    for x in V[::2]:
        for row in M[1:3] * x:
            total = total + jnp.sum(h)
            h = jnp.sin(h @ w + row)
    return jnp.sum(h) * total


def closing(a, b):
    w = a * 2
    return lax.cond(a < b, lambda: jnp.sin(w) * b, lambda: b) * w


def solving(a, b):
    matrix = W * a / 8 + jnp.eye(3, dtype=W.dtype)

    def solve(matvec, b):
        return lax.fori_loop(0, 6, lambda _, z: z + b - matvec(z), jnp.zeros_like(b))
    x = lax.custom_linear_solve(lambda z: matrix @ z, M[1] * b, solve, transpose_solve=solve)
    return jnp.sum(x ** 2)


def solving_python(a, b):
    matrix = W * a / 8 + jnp.eye(3, dtype=W.dtype)
    x = jnp.zeros(3, W.dtype)
    for _ in range(6):
        x = x + M[1] * b - matrix @ x
    return jnp.sum(x ** 2)


def root(a, b):
    def newton(f, x):
        return lax.fori_loop(0, 5, lambda _, x: x - f(x) / jax.grad(f)(x), x)
    return lax.custom_root(lambda x: x ** 3 + b * x - a, np.float32(1), newton,
                           lambda g, y: y / g(np.float32(1)))


def root_python(a, b):
    x = np.float32(1)
    for _ in range(5):
        x = x - (x ** 3 + b * x - a) / (3 * x ** 2 + b)
    return x


PROGRAMS = {
    "rnn": (rnn, rnn_python, (W, M[0], M[1:3])),
    "backwards": (backwards, backwards_python, (W, M[0], M[1:])),
    "swapping": (swapping, swapping_python, (X, X)),
    "invariant": (invariant, invariant_python, (X, X)),
    "branching": (branching, branching_python, (X, X + 1)),
    "switching": (switching, switching_python, (X, X + 1)),
    "counting": (counting, counting_python, (X, X)),
    "nested": (nested, nested_python, (W, M[1])),
    "closing": (closing, lambda a, b: jnp.sin(2 * a) * b * 2 * a, (X, X + 1)),
    "solving": (solving, solving_python, (X, X)),
    "root": (root, root_python, (X, X + 1)),
}


@pytest.fixture(params=PROGRAMS)
def program(request):
    return PROGRAMS[request.param]


def test_values(program):
    fun, python, args = program
    close(fun(*args), python(*args))
    close(jax.jit(fun)(*args), python(*args))


def test_forward_mode(program):
    fun, python, args = program
    ones = tuple(map(np.ones_like, args))
    expected = jax.jit(lambda *a: jax.jvp(python, a, ones))(*args)
    close(jax.jit(lambda *a: jax.jvp(fun, a, ones))(*args), expected)
    close(jax.linearize(fun, *args)[1](*ones), expected[1])


def test_reverse_mode(program):
    fun, python, args = program
    places = tuple(range(len(args)))
    expected = jax.jit(jax.grad(python, places))(*args)
    close(jax.grad(fun, places)(*args), expected)
    close(jax.jit(jax.grad(fun, places))(*args), expected)
    close(jax.grad(jax.jit(fun), places)(*args), expected)


def test_second_order(program):
    fun, python, args = program
    direction = np.ones_like(args[0])
    expected = jax.jit(lambda *a: jax.jvp(lambda x: jax.grad(python)(x, *a[1:]), a[:1],
                                          (direction,)))(*args)[1]
    forward_reverse = jax.jit(lambda *a: jax.jvp(lambda x: jax.grad(fun)(x, *a[1:]), a[:1],
                                                 (direction,)))
    reverse_reverse = jax.jit(jax.grad(lambda *a: jnp.sum(jax.grad(fun)(*a))))
    close(forward_reverse(*args)[1], expected, 2e-3)
    close(reverse_reverse(*args), expected, 2e-3)


def test_vmap(program):
    fun, _, args = program
    batch = stacked(args)
    places = tuple(range(len(args)))
    both = jax.value_and_grad(fun, places)
    one = jax.jit(both)
    for axes in [tuple(0 if i == j else None for i in places) for j in places]:
        given = [b if d == 0 else a for a, b, d in zip(args, batch, axes)]
        rows = [one(*[b[i] if d == 0 else a for a, b, d in zip(args, batch, axes)])
                for i in range(3)]
        values = np.stack([v for v, _ in rows])
        gradients = [np.stack([g[k] for _, g in rows]) for k in places]
        close(jax.jit(jax.vmap(both, axes))(*given), (values, gradients))
        summed = jax.jit(jax.grad(lambda *a, axes=axes: jnp.sum(jax.vmap(fun, axes)(*a)), places))
        close(summed(*given), [g if d == 0 else g.sum(0) for g, d in zip(gradients, axes)])


def test_jaxprs_are_well_typed(program):
    fun, _, args = program
    places = tuple(range(len(args)))
    check_jaxpr(jax.make_jaxpr(fun)(*args))
    check_jaxpr(jax.make_jaxpr(jax.grad(fun, places))(*args))
    check_jaxpr(jax.make_jaxpr(lambda *a: jax.jvp(fun, a, a))(*args))
    check_jaxpr(jax.make_jaxpr(jax.vmap(jax.grad(fun)))(*stacked(args)))


def test_disable_jit(program):
    fun, _, args = program
    with jax.disable_jit():
        value = fun(*args)
    close(value, fun(*args))


# --- while loops -------------------------------------------------------------------------------


def powers(a, n):
    _, x, total = lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * a, c[2] + c[1]),
                                 (0, a, M[0] * 0))
    return x, total


def powers_python(a, n):
    x, total = a, M[0] * 0
    for _ in range(n):
        x, total = x * a, total + x
    return x, total


COUNTS = np.array([0, 3, 5])


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit])
def test_while_batched_predicate(wrap):
    outs = wrap(jax.vmap(powers, (None, 0)))(X, COUNTS)
    rows = [powers_python(X, n) for n in COUNTS]
    close(outs, [np.stack(column) for column in zip(*rows)])


@pytest.mark.parametrize("inner, outer", [
    ((None, 0), (0, None)), ((0, None), (None, 0)), ((None, 0), (None, 0)), ((0, 0), (0, 0))])
def test_while_nested_vmap(inner, outer):
    a, n = np.asarray(X), np.asarray(2)
    for axes in (inner, outer):
        a = np.stack([a, a + 0.1]).astype(np.float32) if axes[0] == 0 else a
        n = np.stack([n, n + 2]) if axes[1] == 0 else n
    outs = jax.vmap(jax.vmap(powers, inner), outer)(a, n)
    rows = []
    for i in range(2):
        for j in range(2):
            own = []
            for x, ax_in, ax_out in zip((a, n), inner, outer):
                x = x[i] if ax_out == 0 else x
                own.append(x[j] if ax_in == 0 else x)
            rows.append(powers_python(np.float32(own[0]), int(own[1])))
    close(outs, [np.stack(c).reshape(2, 2, *np.shape(c[0])) for c in zip(*rows)])


def test_while_forward_mode():
    def f(a, b):
        return lax.while_loop(lambda c: c[0] < 4, lambda c: (c[0] + 1, jnp.sin(c[1]) * b + a),
                              (0, a))[1]

    def python(a, b):
        x = a
        for _ in range(4):
            x = jnp.sin(x) * b + a
        return x
    close(jax.jvp(f, (X, X), (X, X)), jax.jvp(python, (X, X), (X, X)))
    close(jax.linearize(f, X, X)[1](X, X), jax.jvp(python, (X, X), (X, X))[1])
    close(jax.jacfwd(jax.jacfwd(f))(X, X), jax.jacfwd(jax.jacfwd(python))(X, X))
    batch = stacked((X, X))
    close(jax.jvp(jax.vmap(f), batch, batch), jax.jvp(jax.vmap(python), batch, batch))
    close(jax.vmap(lambda a, b: jax.jvp(f, (a, b), (a, b)))(*batch),
          jax.vmap(lambda a, b: jax.jvp(python, (a, b), (a, b)))(*batch))


def test_while_reverse_mode_names_the_line_and_the_fix():
    def f(x):
        return lax.while_loop(lambda c: c < 9, lambda c: c * x, x)
    with pytest.raises(ValueError) as error:
        jax.grad(f)(np.float32(2))
    text = str(error.value)
    assert text.startswith("Reverse-mode differentiation does not work for lax.while_loop or "
                           "lax.fori_loop with dynamic start/stop values. Try using lax.scan, or "
                           "using fori_loop with static start/stop.")
    assert "test_control_flow.py" in text
    assert "fix: jax.lax.fori_loop(0, 10, body, init)" in text


def test_while_reverse_mode_of_what_does_not_pass_through_it():
    def f(x):
        n = lax.while_loop(lambda n: n < 5, lambda n: n + 2, 0)
        return x * n
    assert jax.grad(f)(X) == 6


def test_constant_carries_leave_the_loop():
    eqn = jax.make_jaxpr(lambda x, v: lax.while_loop(
        lambda c: c[0] < x, lambda c: (c[0] + jnp.sum(c[1]), c[1]), (x, v)))(X, V).eqns[0]
    assert len(eqn.outvars) == 1
    assert (eqn.params["cond_nconsts"], eqn.params["body_nconsts"]) == (1, 1)


def test_fori_loop_with_traced_bounds():
    f = jax.jit(lambda a, n: lax.fori_loop(1, n, lambda i, c: c * a + i, a))
    close(f(X, 4), ((X * X + 1) * X + 2) * X + 3)
    close(jax.vmap(f, (None, 0))(X, np.array([0, 1, 2])), np.stack([X, X, X * X + 1]))


# --- scan: structure, weak types, optimizations ------------------------------------------------


def test_scan_takes_and_gives_trees():
    carry, ys = lax.scan(lambda c, x: ({"a": c["a"] + x["u"], "n": None}, {"z": c["a"]}),
                         {"a": np.float32(0), "n": None}, {"u": V})
    assert set(carry) == {"a", "n"} and carry["n"] is None
    close(ys["z"], np.concatenate([[0], np.cumsum(V)[:-1]]))
    assert lax.scan(lambda c, x: (c, None), X, V)[1] is None


def test_scan_promotes_a_weak_carry():
    carry, _ = lax.scan(lambda c, x: (c * x, None), 1, V)
    assert carry.dtype == np.float32
    value = lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + X, c[1] + 1), (0, 0))
    assert [x.dtype for x in value] == [np.float32, np.int32]
    assert lax.fori_loop(0, 3, lambda i, c: c * X, 1).dtype == np.float32


def test_scan_keeps_weak_types():
    carry, _ = lax.scan(lambda c, x: (c + 1, None), 1.0, V)
    assert carry.weak_type and carry.dtype == np.float32


@pytest.mark.parametrize("unroll", [1, 2, 5, 7, True, False])
@pytest.mark.parametrize("reverse", [False, True])
def test_unroll(unroll, reverse):
    carry, ys = lax.scan(lambda c, x: (c * 2 + x, c), X, V, reverse=reverse, unroll=unroll)
    c, expected = X, []
    for x in V[::-1] if reverse else V:
        expected.append(c)
        c = c * 2 + x
    close((carry, ys), (c, np.array(expected[::-1] if reverse else expected)))


def test_scan_over_nothing():
    carry, ys = lax.scan(lambda c, x: (c * x, c + x), X, V[:0])
    assert carry == X and ys.shape == (0,)
    assert jax.grad(lambda a: lax.scan(lambda c, x: (c * x, None), a, V[:0])[0])(X) == 1


def test_forwarded_outputs_are_not_computed():
    eqn = jax.make_jaxpr(lambda x: lax.scan(
        lambda c, y: ((c[0], c[1] * y), y), (x, x), V))(X).eqns[0]
    assert len(eqn.outvars) == 1 and eqn.params["num_carry"] == 1
    assert names(lambda x: lax.cond(x > 0, lambda x: x, lambda x: x, x), X) == []


def test_loop_invariant_residuals_are_hoisted():
    jaxpr = jax.make_jaxpr(jax.grad(
        lambda x: lax.scan(lambda c, _: (c * jnp.cos(x), None), x, None, length=4)[0]))(X)
    forward = next(e for e in jaxpr.eqns if e.primitive.name == "scan")
    assert "cos" not in [e.primitive.name for e in forward.params["jaxpr"].eqns]
    assert [v.aval.shape for v in forward.outvars] == [(), (4,)]


def test_inputs_are_not_saved_again_as_residuals():
    jaxpr = jax.make_jaxpr(jax.grad(
        lambda c, xs: lax.scan(lambda c, x: (c * x, None), c, xs)[0]))(X, V)
    forward = next(e for e in jaxpr.eqns if e.primitive.name == "scan")
    assert len(forward.outvars) == 1


def test_dead_carries_are_dropped():
    def three(x):
        return lax.scan(lambda c, y: ((c[0] + y, c[1] * c[0], c[2] + 1), y), (x, x, 0), V)[0]

    def loop(x):
        return lax.while_loop(lambda c: c[2] < 4, lambda c: (c[0] * 2, c[1] * c[0], c[2] + 1),
                              (x, x, 0))
    kept = [dce_jaxpr(jax.make_jaxpr(f)(X), used)[0].eqns[0] for f, used in [
        (three, (True, False, False)), (three, (False, True, False)), (loop, (True, False, False)),
        (loop, (False, True, False))]]
    assert [len(eqn.outvars) for eqn in kept] == [1, 2, 2, 3]
    assert [eqn.params.get("num_carry") for eqn in kept] == [1, 2, None, None]
    branches = jax.make_jaxpr(lambda x, y: lax.cond(
        x > 0, lambda x, y: (jnp.sin(x), y * 2), lambda x, y: (x, y), x, y))(X, X)
    eqn = dce_jaxpr(branches, (False, True))[0].eqns[-1]
    assert (len(eqn.invars), len(eqn.outvars)) == (2, 1)


def test_same_function_is_traced_once():
    traces = []

    def step(c, x):
        traces.append(None)
        return c + x, c
    for _ in range(3):
        lax.scan(step, X, V)
    lax.scan(step, X, V[:2])
    assert len(traces) == 1
    lax.scan(step, M[0], np.stack([M[0]]))
    assert len(traces) == 2


def test_a_body_that_closes_over_a_tracer_is_traced_again():
    def outer(a):
        return lax.scan(lambda c, x: (c * a, None), X, V)[0]
    close(jax.vmap(outer)(V), X * V ** 5)
    close(jax.vmap(jax.grad(outer))(V), 5 * X * V ** 4)


def test_linear_transpose_of_a_loop_with_a_counter():
    def f(x):
        def step(carry, y):
            n, c = carry
            return (n * 2, W @ (c * n) + x * y), c * n
        (_, c), ys = lax.scan(step, (np.float32(1), jnp.zeros(3)), V)
        return c, ys
    ct = (M[0], np.ones((5, 3), np.float32))
    close(jax.linear_transpose(f, M[0])(ct), jax.vjp(f, M[1])[1](ct))


# --- cond and switch ---------------------------------------------------------------------------


def test_cond_forms():
    double, negate = (lambda x: 2 * x), (lambda x: -x)
    assert lax.cond(True, double, negate, X) == 2 * X
    assert lax.cond(False, double, negate, operand=X) == -X
    assert lax.cond(True, X, double, X + 1, negate) == 2 * X
    assert lax.cond(0.0, lambda: 1, lambda: 2) == 2
    assert lax.cond(jnp.array(3), lambda: 1, lambda: 2) == 1


def test_switch_clamps():
    branches = [lambda: 10, lambda: 20, lambda: 30]
    assert [int(lax.switch(i, branches)) for i in (-4, 0, 1, 2, 9)] == [10, 10, 20, 30, 30]
    assert lax.switch(7, [lambda x: x], X) == X


def test_unmapped_predicate_stays_a_branch():
    f = jax.vmap(lambda p, x: lax.cond(p, jnp.sin, lambda x: x, x), (None, 0))
    assert "cond" in names(f, True, V)
    mapped = jax.vmap(lambda x: lax.cond(x > 0, jnp.sin, jnp.cos, x))
    assert "cond" not in names(mapped, V)
    close(mapped(V), np.where(V > 0, np.sin(V), np.cos(V)))


def test_mapped_cond_does_not_spoil_gradients():
    f = jax.vmap(lambda x: lax.cond(x > 0, jnp.sqrt, lambda x: 0 * x, x))
    xs = np.array([-1.0, 0.0, 4.0], np.float32)
    close(jax.grad(lambda x: jnp.sum(f(x)))(xs), np.array([0, 0, 0.25]))


def test_branches_share_places_for_residuals():
    jaxpr = jax.make_jaxpr(jax.grad(lambda x: lax.cond(
        x > 0, lambda x: jnp.sin(x) * 2, lambda x: jnp.exp(x), x)))(X)
    first = next(e for e in jaxpr.eqns if e.primitive.name == "cond")
    assert len(first.outvars) == 2


def test_integers_pass_through_branches():
    def f(x):
        return lax.cond(x > 0, lambda x: (x, 3, True), lambda x: (x * 2, 4, False), x)
    close(jax.vmap(f)(V)[1], np.where(V > 0, 3, 4))
    assert jax.grad(lambda x: f(x)[0])(X) == 1
    assert jax.jvp(f, (X,), (X,))[1][1].dtype == jax.float0


def test_platform_dependent():
    def f(x):
        return lax.platform_dependent(x, tpu=lambda x: x * 2, cpu=lambda x: x * 3,
                                      default=lambda x: x * 5)
    other = lax.platform_dependent(X, tpu=lambda x: x * 2, default=lambda x: x * 5)
    close((f(X), jax.grad(f)(X), jax.vmap(f)(V), other), (3 * X, 3, 3 * V, 5 * X))


# --- map, associative_scan ---------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 1, 2, 3, 4, 9])
def test_map(size):
    out = lax.map(lambda row: (jnp.sin(row), jnp.sum(row)), M, batch_size=size)
    close(out, (np.sin(M), M.sum(1)))
    gradient = jax.grad(lambda m: jnp.sum(lax.map(jnp.sin, m, batch_size=size)))(M)
    close(gradient, np.cos(M))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_associative_scan(n):
    x = np.arange(1, n + 1).astype(np.float32)
    close(lax.associative_scan(jnp.add, x), np.cumsum(x))
    close(lax.associative_scan(jnp.add, x, reverse=True), np.cumsum(x[::-1])[::-1])
    a, b = lax.associative_scan(lambda p, q: (p[0] * q[0], p[1] * q[0] + q[1]),
                                (M[:, :n], M[:, :n] + 1), axis=1)
    close(a, np.cumprod(M[:, :n], 1))
    assert b.shape == a.shape


def test_associative_scan_of_matrices_and_flags():
    ms = np.stack([W, W.T, W])
    close(lax.associative_scan(jnp.matmul, ms), np.stack([W, W @ W.T, W @ W.T @ W]))
    flags = np.array([False, True, False])
    assert lax.associative_scan(jnp.logical_or, flags).tolist() == [False, True, True]
    total = jax.jit(jax.grad(lambda x: jnp.sum(lax.associative_scan(jnp.multiply, x))))
    close(total(V + 2), jax.grad(lambda x: jnp.sum(jnp.cumprod(x)))(V + 2))


def test_a_carry_that_changes_dtype_is_not_weak():
    assert not lax.fori_loop(0, 3, lambda i, c: c + 1.0, 0).weak_type
    assert not lax.while_loop(lambda c: c < 3, lambda c: c + 1.0, 0).weak_type
    carry, ys = lax.scan(lambda c, _: (c + 1.0, c), 0, None, length=2)
    assert not carry.weak_type and not ys.weak_type
    assert lax.fori_loop(0, 3, lambda i, c: c + i, 0).weak_type
