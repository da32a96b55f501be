"""Samples of loops, branches, solvers and functions with rules of their own.

Their parameters are jaxprs, so operands keep their types (float64) whatever dtype is under test,
and entries are functions: tracing happens when a test asks.
"""

from __future__ import annotations

import numpy as np

import minijax as jax
from minijax import lax
from minijax.core import ShapedArray, trace_to_jaxpr
from minijax.lax.control_flow.solvers import LinearSolve

from .sample import Sample, Samples

F = np.dtype("float64")
_RNG = np.random.default_rng(7)
X = _RNG.uniform(0.4, 1.2, (2,))
Y = _RNG.uniform(0.4, 1.2, (2,))
S = np.asarray(0.7)
XS = _RNG.uniform(0.4, 1.2, (3, 2))


def aval(x):
    return ShapedArray(np.shape(x), np.asarray(x).dtype)


def jaxpr(fun, *examples):
    """The jaxpr of a flat function at the types of the examples, which it may not close over."""
    with jax.enable_x64(True):
        traced, captured = trace_to_jaxpr(fun, [aval(x) for x in examples])
    assert not captured
    return traced


def sample(args, params, **more):
    return Sample(args=tuple(args), params=params, keep=tuple(range(len(args))), **more)


# --- loops -------------------------------------------------------------------------------------


def _scan(reverse, unroll=1, length=3):
    def body(a, c, n, x):
        c = lax.mul(lax.sin(lax.mul(a, c)), x)
        return [c, lax.add(n, np.int64(1)), lax.mul(c, c), lax.cos(a)]
    n = np.asarray(0)
    return sample([X, Y, n, XS], dict(
        jaxpr=jaxpr(body, X, Y, n, XS[0]), length=length, reverse=reverse, unroll=unroll,
        num_consts=1, num_carry=2))


def _while():
    def body(a, i, c):
        return [lax.add(i, np.int64(1)), lax.sin(lax.mul(a, c))]
    i = np.asarray(0)
    return sample([np.asarray(3), X, i, Y], dict(
        cond_jaxpr=jaxpr(lambda n, i, c: [lax.lt(i, n)], i, i, Y), cond_nconsts=1,
        body_jaxpr=jaxpr(body, X, i, Y), body_nconsts=1), grad=False,
        reason="reverse mode of a while loop is an error; tests/lax checks forward mode")


def _cond(index):
    branches = (jaxpr(lambda x, y: [lax.mul(lax.sin(x), y), y], X, Y),
                jaxpr(lambda x, y: [lax.exp(lax.mul(x, y)), x], X, Y),
                jaxpr(lambda x, y: [y, x], X, Y))
    return sample([np.asarray(index, np.int32), X, Y], dict(branches=branches))


# --- solvers -----------------------------------------------------------------------------------


def _linear_solve():
    scale = jaxpr(lambda d, b: [lax.mul(d, b)], X, Y)
    divide = jaxpr(lambda d, b: [lax.div(b, d)], X, Y)
    return sample([X, X, X, X, Y], dict(const_lengths=LinearSolve(1, 1, 1, 1),
                                        jaxprs=LinearSolve(scale, scale, divide, divide)),
                  grad=False, reason="its four consts must be one value; tests/lax checks it")


def _root():
    residual = jaxpr(lambda a, x: [lax.sub(lax.mul(x, x), a)], X, Y)
    solve = jaxpr(lambda a, x: [lax.sqrt(a)], X, Y)
    tangent = jaxpr(lambda x, y: [lax.div(y, lax.mul(np.float64(2), x))], X, Y)
    return sample([X, X, Y], dict(const_lengths=(1, 1, 0), jaxprs=(residual, solve, tangent)),
                  grad=False, reason="its two consts must be one value; tests/lax checks it")


# --- functions with rules of their own ---------------------------------------------------------


def _sine(x):
    return [lax.sin(x)]


def _custom_jvp():
    def rule(primals, tangents):
        (x,), (t,) = primals, tangents
        return [lax.sin(x)], [lax.mul(t, lax.cos(x))]
    return sample([X], dict(name="sine", call_jaxpr=_sine, jvp_jaxpr_fun=rule, num_consts=0,
                            symbolic_zeros=False))


def _custom_vjp():
    def forward(primals, nonzero):
        return [lax.sin(primals[0])], [primals[0]], None

    def backward(structure, residuals, cts, in_avals):
        return [lax.mul(cts[0], lax.cos(residuals[0]))]
    return sample([X], dict(name="sine", call_jaxpr=_sine, fwd_jaxpr_thunk=forward, bwd=backward,
                            num_consts=0, symbolic_zeros=False), grad=False,
                  reason="forward mode is an error; tests/api checks reverse mode")


def _custom_lin():
    def backward(residuals, cts):
        return [lax.mul(cts[0], residuals[0])]
    return sample([X, Y], dict(num_res=1, bwd=backward, in_zeros=(False,), out_avals=(aval(Y),),
                               symbolic_zeros=False), runs=False, grad=False,
                  reason="exists to be transposed")


def _remat(differentiated):
    return sample([X, Y], dict(
        jaxpr=jaxpr(lambda x, y: [lax.sin(lax.mul(lax.sin(x), y)), y], X, Y), prevent_cse=True,
        differentiated=differentiated, policy=None))


def _replaceable():
    return sample([X, Y], dict(
        fwd_jaxpr=jaxpr(lambda x, y: [lax.mul(lax.sin(x), y), lax.cos(x)], X, Y),
        fun_jaxpr=jaxpr(lambda x, y: [lax.mul(lax.sin(x), y)], X, Y), num_consts=(0, 0), num_res=1))


SAMPLES: Samples = {
    "scan": [lambda: _scan(False), lambda: _scan(True), lambda: _scan(False, unroll=2)],
    "while": [_while],
    "cond": [lambda: _cond(0), lambda: _cond(1), lambda: _cond(2)],
    "platform_index": [Sample(args=(), params=dict(platforms=(("tpu",), ("cpu", "cuda"))),
                              dtypes=("i",))],
    "custom_linear_solve": [_linear_solve],
    "custom_root": [_root],
    "custom_jvp_call": [_custom_jvp],
    "custom_vjp_call": [_custom_vjp],
    "custom_lin": [_custom_lin],
    "remat2": [lambda: _remat(False), lambda: _remat(True)],
    "remat_opt": [_replaceable],
    "name": [Sample(args=((2, 3),), params=dict(name="a"))],
}
