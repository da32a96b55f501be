"""Transformations of transformations, in every order, against mathematics done without them.

Every function under test is a polynomial of one number, written with another part of the language
each: loops, branches, indexing, rules of the user's own. What three transformations make of it is
then known exactly.
"""

import itertools

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax

P = np.polynomial.Polynomial
POINT = 0.7


@pytest.fixture(autouse=True)
def wide_types():
    with jax.enable_x64(True):
        yield


# --- One polynomial per part of the language ---------------------------------------------------


def elementwise(x):
    return 2 * x ** 3 - x * x / 4 + 1


def matmul(x):
    v = jnp.stack([x, x ** 2])
    return v @ jnp.array([[1.0, 2.0], [3.0, 4.0]]) @ v


def reductions(x):
    v = x * jnp.arange(4.0)
    return jnp.sum(v ** 2) - jnp.max(v) + jnp.prod(v[1:]) + jnp.mean(jnp.cumsum(v))


def indexing(x):
    v = jnp.zeros(4).at[1].set(x).at[jnp.array([2, 3])].add(x ** 2).at[3].multiply(x)
    return jnp.sum(v[1:] * v[jnp.array([3, 1, 2])]) + lax.dynamic_slice(v, (1,), (1,))[0]


def scanned(x):
    """Horner's rule; every intermediate value is a result too."""
    total, steps = lax.scan(lambda c, a: (c * x + a, c), 0.0 * x, jnp.array([2.0, -1.0, 0.5, 3.0]))
    return total + jnp.sum(steps)


def looped(x):
    return lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * x + 1), (0, x))[1]


def counted(x):
    return lax.fori_loop(0, 3, lambda i, c: c * x + i, x)


def branching(x):
    return lax.cond(x > 0, lambda x: x ** 3 - x, lambda x: x, x) + lax.switch(
        1, [lambda x: x, lambda x: 2 * x ** 2], x)


@jax.custom_jvp
def cube(x):
    return x ** 3


@cube.defjvp
def cube_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    return cube(x), 3 * x ** 2 * dx


@jax.custom_vjp
def fourth(x):
    return x ** 4


fourth.defvjp(lambda x: (x ** 4, x), lambda x, ct: (4 * x ** 3 * ct,))


def forward_rule(x):
    return cube(2 * x) + x


def reverse_rule(x):
    return fourth(x) * 2 + x


def jitted(x):
    @jax.jit
    def f(y, b):
        return y * b["w"] + x * y  # x is a value of the enclosing function

    return f(x ** 2, {"w": x}) + f(x, {"w": jnp.float64(2.0)})


FUNCTIONS = {
    elementwise: P([1, 0, -0.25, 2]),
    matmul: P([0, 0, 1, 5, 4]),
    reductions: P([0, -3 + 10 / 4, 14, 6]),
    indexing: P([0, 1, 0, 1, 1, 1]),
    scanned: P([3, 0.5, -1, 2]) + P([2]) + P([-1, 2]) + P([0.5, -1, 2]),  # the steps of Horner
    looped: P([1, 1, 1, 0, 1]),
    counted: P([2, 1, 0, 0, 1]),
    branching: P([0, -1, 2, 1]),
    forward_rule: P([0, 1, 0, 8]),
    reverse_rule: P([0, 1, 0, 0, 2]),
    jitted: P([0, 2, 1, 2]),
}


# --- Transformations, and what they do to a polynomial -----------------------------------------


def derivative(p):
    return p.deriv()


def twice(p):
    """p(x) + p(2x)."""
    return p + P([c * 2 ** i for i, c in enumerate(p.coef)])


TRANSFORMS = {
    "jit": (jax.jit, lambda p: p),
    "checkpoint": (jax.checkpoint, lambda p: p),
    "vmap": (lambda f: lambda x: jnp.sum(jax.vmap(f)(x * jnp.array([1.0, 2.0]))), twice),
    "grad": (jax.grad, derivative),
    "jvp": (lambda f: lambda x: jax.jvp(f, (x,), (jnp.ones_like(x),))[1], derivative),
    "linearize": (lambda f: lambda x: jax.linearize(f, x)[1](jnp.ones_like(x)), derivative),
    "jacfwd": (jax.jacfwd, derivative),
    "jacrev": (jax.jacrev, derivative),
}
REVERSE = {"grad", "jacrev"}
DERIVATIVES = REVERSE | {"jvp", "linearize", "jacfwd"}


def possible(fun, order):
    """Whether JAX can do this: `order` lists the transformations from the innermost."""
    derivatives = [t for t in order if t in DERIVATIVES]
    if fun is looped:
        return not REVERSE & set(order)
    if fun is reverse_rule:
        return not derivatives or derivatives[0] in REVERSE
    return True


ORDERS = list(itertools.product(TRANSFORMS, repeat=3))


def check(fun, order):
    f, expected = fun, FUNCTIONS[fun]
    for name in order:
        transform, meaning = TRANSFORMS[name]
        f, expected = transform(f), meaning(expected)
    np.testing.assert_allclose(f(POINT), expected(POINT), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("fun", FUNCTIONS, ids=lambda f: f.__name__)
def test_the_polynomials(fun):
    np.testing.assert_allclose(fun(POINT), FUNCTIONS[fun](POINT), rtol=1e-12)


@pytest.mark.parametrize("inner", TRANSFORMS)
def test_every_order_of_three(inner):
    for order in ORDERS:
        if order[0] == inner:
            check(elementwise, order)


@pytest.mark.parametrize(("number", "fun"), list(enumerate(FUNCTIONS)),
                         ids=lambda f: getattr(f, "__name__", ""))
def test_some_orders_of_three(number, fun):
    """Every function in another eleventh of the orders."""
    for order in ORDERS[number::4 * len(FUNCTIONS)]:
        if possible(fun, order):
            check(fun, order)


@pytest.mark.slow
@pytest.mark.parametrize("inner", TRANSFORMS)
@pytest.mark.parametrize("fun", FUNCTIONS, ids=lambda f: f.__name__)
def test_every_order_of_three_of_every_function(fun, inner):
    for order in ORDERS:
        if order[0] == inner and possible(fun, order):
            check(fun, order)


@pytest.mark.parametrize("fun", [f for f in FUNCTIONS if f not in (looped, reverse_rule)],
                         ids=lambda f: f.__name__)
def test_third_derivatives(fun):
    third = FUNCTIONS[fun].deriv(3)(POINT)
    for transform in (jax.grad, jax.jacfwd):
        np.testing.assert_allclose(transform(transform(transform(fun)))(POINT), third, rtol=1e-9)


# --- Pairs that deserve a test of their own ----------------------------------------------------


def close(got, expected):
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=1e-9, atol=1e-12)


def test_grad_of_jit_and_jit_of_grad():
    f = lambda x: jnp.sum(jnp.sin(x) * x)  # noqa: E731
    x = np.linspace(0, 1, 5)
    expected = np.cos(x) * x + np.sin(x)
    close(jax.grad(jax.jit(f))(x), expected)
    close(jax.jit(jax.grad(f))(x), expected)
    close(jax.jit(jax.grad(jax.jit(f)))(x), expected)


def test_vmap_of_grad_of_scan():
    def power(x, w):
        return lax.scan(lambda c, _: (c * x + w, None), 1.0, None, length=3)[0]

    x, w = np.array([0.5, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])
    dx, dw = jax.vmap(jax.grad(power, (0, 1)))(x, w)  # x^3 + w (x^2 + x + 1)
    close(dx, 3 * x ** 2 + w * (2 * x + 1))
    close(dw, x ** 2 + x + 1)
    dx, dw = jax.jit(jax.vmap(jax.grad(power, (0, 1)), (0, None)))(x, 2.0)
    close(dx, 3 * x ** 2 + 2 * (2 * x + 1))


def test_jvp_of_vjp():
    def f(x):
        return jnp.sin(x) * x

    def gradient(x, ct):
        return jax.vjp(f, x)[1](ct)[0]

    x, dx = 0.3, 2.0
    out, tangent = jax.jvp(lambda x: gradient(x, 1.0), (x,), (dx,))
    close(out, np.cos(x) * x + np.sin(x))
    close(tangent, dx * (2 * np.cos(x) - x * np.sin(x)))
    out, tangent = jax.jvp(gradient, (x, 1.0), (0.0, dx))  # linear in the cotangent
    close(tangent, dx * out)


def test_vjp_of_jvp():
    _, pullback = jax.vjp(lambda x, t: jax.jvp(jnp.sin, (x,), (t,))[1], 0.3, 2.0)
    close(pullback(1.0), (-2 * np.sin(0.3), np.cos(0.3)))


def test_hessian_vector_products():
    f = lambda x: jnp.sum(x ** 3) * x[0]  # noqa: E731
    x, v = np.array([1.0, 2.0]), np.array([0.5, -1.0])
    expected = np.array([[12.0, 12.0], [12.0, 12.0]]) @ v
    forward = lambda x: jax.jvp(jax.grad(f), (x,), (v,))[1]  # noqa: E731
    close(forward(x), expected)
    close(jax.grad(lambda x: jnp.vdot(jax.grad(f)(x), v))(x), expected)
    close(jax.linearize(jax.grad(f), x)[1](v), expected)
    close(jax.grad(lambda x: jax.jvp(f, (x,), (v,))[1])(x), expected)
    close(jax.vmap(lambda v: jax.jvp(jax.grad(f), (x,), (v,))[1])(np.eye(2)), np.full((2, 2), 12))


def test_a_gradient_step_inside_a_gradient():
    """The derivative of what one step of training leads to, by the step's length."""
    loss = lambda w: (w - 3) ** 2  # noqa: E731
    after = lambda rate: loss(1.0 - rate * jax.grad(loss)(1.0))  # noqa: E731
    close(jax.grad(after)(0.1), 2 * (1 + 0.4 - 3) * 4)
    close(jax.jit(jax.vmap(jax.grad(after)))(np.array([0.1, 0.2])), [-12.8, -9.6])


def test_values_of_the_user_stay_visible():
    """Python may look at values under eager grad, jvp, and at what vmap does not map."""
    def f(x, n):
        total = 0.0
        while total < 3.0:
            total = total + x
        return total * n if x > 1.2 else total ** 2 * n

    close(jax.grad(f)(1.3, 2.0), 6.0)
    close(jax.grad(f)(1.0, 2.0), 2 * 3 * 3 * 2)
    close(jax.jvp(f, (1.3, 2.0), (1.0, 0.0))[1], 6.0)
    close(jax.grad(jax.grad(f))(1.0, 2.0), 36.0)
    close(jax.vmap(lambda x, n: x * 2 if n > 1 else x, (0, None))(np.ones(2), 2.0), [2.0, 2.0])
    close(jax.vmap(lambda y: jax.grad(f)(1.3, 2.0) * y)(np.ones(2)), [6.0, 6.0])


# --- Closures ----------------------------------------------------------------------------------


def test_jit_inside_grad_inside_vmap():
    def outer(w):
        def middle(x):
            @jax.jit
            def inner(y):
                return w * x * y ** 2 + jnp.sin(x)

            return inner(x)

        return jax.grad(middle)(2.0)

    w = np.array([1.0, 2.0, 3.0])
    expected = w * 3 * 4 + np.cos(2.0)
    close(jax.vmap(outer)(w), expected)
    close(jax.jit(jax.vmap(outer))(w), expected)
    close(jax.vmap(jax.grad(outer))(w), np.full(3, 12.0))
    close(jax.vmap(jax.jit(jax.grad(outer)))(w), np.full(3, 12.0))


def test_the_same_jitted_function_closing_over_other_tracers():
    """A trace that captured a tracer must not be found again by the next call."""
    found = []
    for factor in (1.0, 2.0):
        def f(x, factor=factor):
            g = jax.jit(lambda y: y * x * factor)
            return g(x) + g(3.0)

        found.append(jax.grad(f)(2.0))
    close(found, [7.0, 14.0])

    def twice(x):
        g = jax.jit(lambda y: y * x)
        return g(1.0) + g(2.0)

    close(jax.vmap(jax.grad(twice))(np.ones(2)), [3.0, 3.0])


def test_one_closure_under_two_transformations():
    """The same function object traced under jvp, then vmap, then alone."""
    scale = jnp.arange(3.0)
    g = jax.jit(lambda y: jnp.sum(scale * y))
    close(jax.jvp(g, (2.0,), (1.0,)), (6.0, 3.0))
    close(jax.vmap(g)(np.array([1.0, 2.0])), [3.0, 6.0])
    close(g(2.0), 6.0)
    close(jax.grad(lambda y: g(y) * y)(2.0), 12.0)


def test_nested_jits_that_capture_arrays():
    a, b = jnp.arange(3.0), jnp.ones(3) * 2

    @jax.jit
    def outer(x):
        @jax.jit
        def inner(y):
            return jnp.sum(y * a) + jnp.sum(b)

        return inner(x * b) + inner(x)

    close(outer(np.ones(3)), 6 + 6 + 3 + 6)
    close(jax.grad(outer)(np.ones(3)), np.arange(3.0) * 3)
    close(jax.vmap(outer)(np.ones((2, 3))), [21.0, 21.0])


def test_loops_that_capture_tracers_of_several_levels():
    def f(w, x):
        def body(carry, a):
            return carry * w + a * x, lax.cond(a > 1, lambda: w * x, lambda: carry)

        return jnp.sum(lax.scan(body, x, jnp.arange(3.0))[1])

    w, x = 0.5, 2.0  # x + (x w) + w x
    close(f(w, x), x + x * w + w * x)
    close(jax.grad(f, (0, 1))(w, x), (2 * x, 1 + 2 * w))
    close(jax.jit(jax.grad(f, (0, 1)))(w, x), (2 * x, 1 + 2 * w))
    close(jax.vmap(jax.grad(f), (0, None))(np.array([w, w]), x), [2 * x, 2 * x])
    close(jax.hessian(f, 0)(w, x), 0.0)
    close(jax.jacfwd(jax.grad(f), 1)(w, x), 2.0)


def test_custom_rules_that_close_over_tracers():
    def f(w, x):
        @jax.custom_jvp
        def g(y):
            return y * 2

        g.defjvp(lambda p, t: (g(*p), 5 * t[0]))
        return g(x) * w

    close(jax.grad(f, (0, 1))(3.0, 2.0), (4.0, 15.0))
    close(jax.vmap(jax.grad(f, 1), (0, None))(np.array([1.0, 2.0]), 2.0), [5.0, 10.0])
    close(jax.jit(jax.grad(f, (0, 1)))(3.0, 2.0), (4.0, 15.0))


def test_checkpoint_recomputes_what_it_closes_over():
    def f(w, x):
        return jax.checkpoint(lambda y: jnp.sin(w * jnp.sin(y)))(x)

    w, x = 0.5, 2.0
    inner = np.cos(w * np.sin(x))
    close(jax.grad(f, (0, 1))(w, x), (inner * np.sin(x), inner * w * np.cos(x)))
    close(jax.jit(jax.grad(f, (0, 1)))(w, x), (inner * np.sin(x), inner * w * np.cos(x)))


def test_a_function_that_returns_its_input_and_constants():
    def f(x):
        return x, 2.0, jnp.arange(2.0)

    for g in (jax.jit(f), jax.checkpoint(f), jax.jit(jax.jit(f))):
        out, tangent = jax.jvp(g, (3.0,), (1.0,))
        close(out[0], 3.0), close(out[2], [0.0, 1.0])
        close(tangent[0], 1.0), close(tangent[1], 0.0), close(tangent[2], [0.0, 0.0])
        close(jax.vmap(g)(np.ones(2))[2], [[0.0, 1.0]] * 2)


# --- Rules of the user's own that work on values and tangents together --------------------------

# One polynomial, x^3 + x^2, with its value read once more after an inner program gave it.
INNER = {
    "plain": lambda x: x ** 3 + x ** 2,
    "jit": lambda x: jax.jit(lambda y: y ** 2)(x) * (x + 1),
    "checkpoint": lambda x: jax.checkpoint(lambda y: y ** 2)(x) * (x + 1),
    "scan": lambda x: lax.scan(lambda c, _: (c * x, None), 1.0, None, length=2)[0] * (x + 1),
    "cond": lambda x: lax.cond(x > 0, lambda y: y ** 2, lambda y: y, x) * (x + 1),
    "custom_jvp": lambda x: cube(x) + x ** 2,
    "nested": lambda x: jax.jit(lambda y: jax.jit(lambda z: z * z)(y) * (y + 1))(x),
}


def in_a_loop(rule):
    def looped(primals, tangents):
        outs = lax.scan(lambda c, _: (c, rule(*c)), (primals, tangents), None, length=1)[1]
        return jax.tree.map(lambda x: x[0], outs)
    return looped


def in_a_batch(rule):
    def batched(primals, tangents):
        pairs = jax.tree.map(lambda x: jnp.stack([x, x]), (primals, tangents))
        return jax.tree.map(lambda x: x[1], jax.vmap(rule)(*pairs))
    return batched


RULES = {
    "as it is": lambda rule: rule,
    "jit": jax.jit,
    "jit of the tangent": lambda rule: lambda p, t: (rule(p, t)[0], jax.jit(rule)(p, t)[1]),
    "checkpoint": jax.checkpoint,
    "cond": lambda rule: lambda p, t: lax.cond(p[0] > 0, rule, lambda p, t: (p[0], t[0]), p, t),
    "scan": in_a_loop,
    "vmap": in_a_batch,
}


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("rule", RULES)
def test_rules_that_mix_values_and_tangents(inner, rule):
    fun = jax.custom_jvp(INNER[inner])
    fun.defjvp(RULES[rule](lambda primals, tangents: jax.jvp(INNER[inner], primals, tangents)))
    x = 0.7
    value, slope = x ** 3 + x ** 2, 3 * x ** 2 + 2 * x
    close(jax.jvp(fun, (x,), (1.0,)), (value, slope))
    close(jax.grad(lambda x: fun(x) ** 2)(x), 2 * value * slope)
    close(jax.jit(jax.grad(lambda x: fun(x) ** 2))(x), 2 * value * slope)
    if rule in ("as it is", "jit"):
        close(jax.grad(jax.grad(fun))(x), 6 * x + 2)
        close(jax.vmap(jax.grad(fun))(np.array([x, x])), [slope, slope])


# --- Leaks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", [jax.jit, jax.vmap, jax.grad, jax.checkpoint],
                         ids=lambda t: t.__name__)
def test_leaked_tracers(transform):
    kept = []

    def f(x):
        kept.append(x * 2)
        return jnp.sum(x)

    x = np.ones(2) if transform is jax.vmap else 1.0
    transform(f)(x)
    with pytest.raises(jax.errors.UnexpectedTracerError) as raised:
        jax.jit(lambda y: y + kept[0])(x)
    assert str(raised.value).startswith(
        "Encountered an unexpected tracer. A function transformed by JAX had a side effect, "
        "allowing for a reference to an intermediate value with type float64[]")


def test_a_leak_from_the_body_of_a_loop():
    kept = []
    lax.scan(lambda c, x: (kept.append(c) or c + x, None), 0.0, jnp.arange(3.0))
    with pytest.raises(jax.errors.UnexpectedTracerError):
        kept[0] + 1


def test_after_an_error_inside_a_transformation():
    def f(x):
        raise ValueError("mine")

    for transform in (jax.jit, jax.grad, jax.vmap, jax.checkpoint, jax.jacfwd, jax.make_jaxpr):
        with pytest.raises(ValueError, match="mine"):
            transform(f)(jnp.ones(2) if transform is jax.vmap else 1.0)
    with pytest.raises(ValueError, match="mine"):
        lax.scan(lambda c, _: f(c), 0.0, jnp.arange(2.0))
    close(jnp.sin(1.0) + jax.grad(jnp.sin)(0.0), np.sin(1.0) + 1)
