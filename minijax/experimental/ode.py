"""Ordinary differential equations, solved with steps of adaptive length.

Invariant: the solver works on one flat vector. Reverse-mode derivatives solve the adjoint equation
backwards in time, so memory does not grow with the number of steps; there is no forward mode.

    ys = odeint(lambda y, t: -y, jnp.array(1.0), jnp.linspace(0.0, 1.0, 5))
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.api.autodiff import vjp
from minijax.api.custom_vjp import closure_convert, custom_vjp
from minijax.api.jit import jit
from minijax.api.vmap import vmap
from minijax.base import dtypes, errors, tree
from minijax.base.jaxlib import Array
from minijax.flatten_util import ravel_pytree
from minijax.numpy import promotion

__all__ = ["abs2", "fit_4th_order_polynomial", "initial_step_size", "interp_fit_dopri",
           "mean_error_ratio", "odeint", "optimal_step_size", "runge_kutta_step"]

Field = Callable[..., Any]


def odeint(func: Field, y0: Any, t: Array, *args: Any, rtol: float = 1.4e-8,
           atol: float = 1.4e-8, mxstep: float = np.inf, hmax: float = np.inf) -> Any:
    """The solution of dy/dt = func(y, t, *args), y(t[0]) = y0, at the ascending times t [n].

    y0 is an array or a tree; the result has a leading axis n. At most `mxstep` steps are made
    between two times, none longer than `hmax`. J. R. Dormand, P. J. Prince, A family of embedded
    Runge-Kutta formulae, J. Comp. Appl. Math. 6 (1980).
    """
    for arg in tree.leaves(args):
        if not promotion.is_array_like(arg):
            raise TypeError(errors.describe(
                f"The contents of odeint *args must be arrays or scalars, but got\n{arg}.",
                fix="close over other values"))
    t = jnp.asarray(t)
    if not jnp.issubdtype(t.dtype, jnp.floating):
        raise TypeError(errors.describe(f"t must be an array of floats, but got {t}.",
                                        fix="jnp.linspace(0.0, 1.0, 10)"))
    converted, captured = closure_convert(func, y0, t[0], *args)
    return _solved(converted, rtol, atol, mxstep, hmax, y0, t, *args, *captured)


@partial(jit, static_argnums=(0, 1, 2, 3, 4))
def _solved(func: Field, rtol: float, atol: float, mxstep: float, hmax: float, y0: Any, ts: Any,
            *args: Any) -> Any:
    y0 = tree.map(jnp.asarray, y0)
    y0, split = ravel_pytree(y0)

    def flat(y: Any, t: Any, *args: Any) -> Any:
        return ravel_pytree(func(split(y), t, *args))[0].astype(y.dtype)

    out = _odeint(flat, rtol, atol, mxstep, hmax, y0, ts, *args)
    return vmap(split)(out)


# --- Steps -------------------------------------------------------------------------------------

# The tableau of Dormand and Prince; the last row of A is also the solution of order 5.
_TIMES = np.array([1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1, 0])
_A = np.array([
    [1 / 5, 0, 0, 0, 0, 0, 0],
    [3 / 40, 9 / 40, 0, 0, 0, 0, 0],
    [44 / 45, -56 / 15, 32 / 9, 0, 0, 0, 0],
    [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0, 0, 0],
    [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0, 0],
    [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0],
])
_SOLUTION = np.array([35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0])
_LOWER = np.array([5179 / 57600, 0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40])
# L. F. Shampine, Some practical Runge-Kutta formulas, Math. Comp. 46 (1986): the middle of a step.
_MIDDLE = np.array([6025192743 / 30085553152, 0, 51252292925 / 65400821598,
                    -2691868925 / 45128329728, 187940372067 / 1594534317056,
                    -1776094331 / 19743644256, 11237099 / 235043384]) / 2


def _combined(weights: np.ndarray, k: Any) -> Any:
    """The sum of the rows of k with weights."""
    return jnp.dot(weights.astype(dtypes.to_real(k.dtype)).astype(k.dtype), k,
                   precision=lax.Precision.HIGHEST)


def runge_kutta_step(func: Field, y0: Any, f0: Any, t0: Any, dt: Any) -> tuple:
    """(y1, f1, error estimate of y1, slopes k [7, n]) of one step from (y0, t0)."""
    size = dt.astype(y0.dtype)
    k = jnp.zeros((7, *f0.shape), f0.dtype).at[0].set(f0)
    for i, (row, share) in enumerate(zip(_A, _TIMES)):
        slope = func(y0 + size * _combined(row, k), t0 + dt * share)
        k = k.at[i + 1].set(slope)
    y1 = y0 + size * _combined(_SOLUTION, k)
    return y1, k[-1], size * _combined(_SOLUTION - _LOWER, k), k


def fit_4th_order_polynomial(y0: Any, y1: Any, y_mid: Any, dy0: Any, dy1: Any, dt: Any) -> tuple:
    """Coefficients, highest first, on [0, 1], from values at 0, 1/2, 1 and slopes at 0, 1."""
    a = -2 * dt * dy0 + 2 * dt * dy1 - 8 * y0 - 8 * y1 + 16 * y_mid
    b = 5 * dt * dy0 - 3 * dt * dy1 + 18 * y0 + 14 * y1 - 32 * y_mid
    c = -4 * dt * dy0 + dt * dy1 - 11 * y0 - 5 * y1 + 16 * y_mid
    return a, b, c, dt * dy0, y0


def interp_fit_dopri(y0: Any, y1: Any, k: Any, dt: Any) -> Any:
    """Coefficients [5, n] of the solution inside a step."""
    size = dt.astype(y0.dtype)
    middle = y0 + size * _combined(_MIDDLE, k)
    return jnp.asarray(fit_4th_order_polynomial(y0, y1, middle, k[0], k[-1], size))


def abs2(x: Any) -> Any:
    """|x|**2."""
    if jnp.iscomplexobj(x):
        return jnp.real(x) ** 2 + jnp.imag(x) ** 2
    return x ** 2


def mean_error_ratio(error_estimate: Any, rtol: float, atol: float, y0: Any, y1: Any) -> Any:
    """Root of the mean square of errors over what is tolerated: at most 1 in a good step."""
    tolerated = atol + rtol * jnp.maximum(jnp.abs(y0), jnp.abs(y1))
    return jnp.sqrt(jnp.mean(abs2(error_estimate / tolerated.astype(error_estimate.dtype))))


def optimal_step_size(last_step: Any, mean_error_ratio: Any, safety: float = 0.9,
                      ifactor: float = 10.0, dfactor: float = 0.2, order: float = 5.0) -> Any:
    """The next step: longer by at most `ifactor`, and after a good one never shorter."""
    least = jnp.where(mean_error_ratio < 1, 1.0, dfactor)
    zero = mean_error_ratio == 0
    power = jnp.where(zero, 1, mean_error_ratio) ** (-1 / order)
    factor = jnp.minimum(ifactor, jnp.maximum(power * safety, least))
    return last_step * jnp.where(zero, ifactor, factor).astype(last_step.dtype)


def initial_step_size(fun: Field, t0: Any, y0: Any, order: int, rtol: float, atol: float,
                      f0: Any) -> Any:
    """A first step (E. Hairer, S. Norsett, G. Wanner, Solving ODEs I, section II.4)."""
    dtype = y0.dtype
    scale = (atol + jnp.abs(y0) * rtol).astype(dtype)

    def size(x: Any) -> Any:
        return jnp.linalg.norm(x / scale)

    d0, d1 = size(y0), size(f0)
    tiny = (d0 < 1e-5) | (d1 < 1e-5)
    h0 = jnp.where(tiny, 1e-6, 0.01 * d0 / jnp.where(tiny, 1, d1))
    f1 = fun(y0 + h0.astype(dtype) * f0, t0 + h0.astype(t0.dtype))
    d2 = size(f1 - f0) / h0
    flat = (d1 <= 1e-15) & (d2 <= 1e-15)
    curve = (0.01 / jnp.where(flat, 1, jnp.maximum(d1, d2))) ** (1 / (order + 1))
    h1 = jnp.where(flat, jnp.maximum(1e-6, h0 * 1e-3), curve)
    return jnp.minimum(100 * h0, h1)


# --- The solver and its adjoint ----------------------------------------------------------------


@partial(custom_vjp, nondiff_argnums=(0, 1, 2, 3, 4))
def _odeint(func: Field, rtol: float, atol: float, mxstep: float, hmax: float, y0: Any, ts: Any,
            *args: Any) -> Any:
    def field(y: Any, t: Any) -> Any:
        return func(y, t, *args)

    def advance(state: tuple, target: Any) -> tuple:
        def going(state: tuple) -> Any:
            _, _, t, dt, _, _, count = state
            return (t < target) & (count < mxstep) & (dt > 0)

        def step(state: tuple) -> tuple:
            y, f, t, dt, before, fit, count = state
            new, slope, error, k = runge_kutta_step(field, y, f, t, dt)
            ratio = mean_error_ratio(error, rtol, atol, y, new)
            good = ratio <= 1
            longer = jnp.clip(optimal_step_size(dt, ratio), 0, hmax)
            fit = jnp.where(good, interp_fit_dopri(y, new, k, dt), fit)
            return (jnp.where(good, new, y), jnp.where(good, slope, f),
                    jnp.where(good, t + dt, t), longer, jnp.where(good, t, before), fit, count + 1)

        *moved, _ = lax.while_loop(going, step, (*state, 0))
        y, f, t, dt, before, fit = moved
        share = (target - before) / jnp.where(t == before, 1, t - before)
        return tuple(moved), _polynomial(fit, share.astype(fit.dtype))

    f0 = field(y0, ts[0])
    dt = jnp.clip(initial_step_size(field, ts[0], y0, 4, rtol, atol, f0), 0, hmax)
    fit = jnp.stack([jnp.zeros_like(y0)] * 4 + [y0])
    start = y0, f0, ts[0], dt.astype(ts.dtype), ts[0], fit
    _, ys = lax.scan(advance, start, ts[1:])
    return jnp.concatenate([y0[None], ys])


def _polynomial(coefficients: Any, x: Any) -> Any:
    total = coefficients[0]
    for i in range(1, 5):
        total = total * x + coefficients[i]
    return total


def _odeint_fwd(func: Field, rtol: float, atol: float, mxstep: float, hmax: float, y0: Any,
                ts: Any, *args: Any) -> tuple:
    ys = _odeint(func, rtol, atol, mxstep, hmax, y0, ts, *args)
    return ys, (ys, ts, args)


def _odeint_rev(func: Field, rtol: float, atol: float, mxstep: float, hmax: float,
                residuals: tuple, g: Any) -> tuple:
    """From the last time to the first, with y, its cotangent and the arguments' cotangents.

    In the time -t, so that the solver again runs forwards.
    """
    ys, ts, args = residuals

    def field(state: tuple, t: Any, *args: Any) -> tuple:
        y, ct = state[0], state[1]
        slope, pull = vjp(lambda y, t, *args: func(y, t, *args), y, -t, *args)
        return (-slope, *pull(ct))

    def back(carry: tuple, i: Any) -> tuple:
        ct, first_ct, arg_cts = carry
        time_ct = jnp.real(jnp.dot(func(ys[i], ts[i], *args), g[i])).astype(ts.dtype)
        first_ct = first_ct - time_ct
        start = ys[i], ct, first_ct, arg_cts
        pair = jnp.stack([-ts[i], -ts[i - 1]])
        found = odeint(lambda s, t, *args: _packed(field(s, t, *args)), start, pair, *args,
                       rtol=rtol, atol=atol, mxstep=mxstep, hmax=hmax)
        _, ct, first_ct, arg_cts = tree.map(lambda x: x[1], found)
        return (ct + g[i - 1], first_ct, arg_cts), time_ct

    n = ts.shape[0]
    start = g[-1], jnp.zeros((), ts.dtype), tree.map(jnp.zeros_like, args)
    (ct, first_ct, arg_cts), time_cts = lax.scan(back, start, jnp.arange(n - 1, 0, -1))
    time_cts = jnp.concatenate([first_ct[None], jnp.flip(time_cts)])
    return (ct, time_cts, *arg_cts)


def _packed(slopes: tuple) -> tuple:
    """(dy, d ct, d time ct, tuple of the arguments' parts)."""
    y, ct, time_ct, *rest = slopes
    return y, ct, time_ct, tuple(rest)


_odeint.defvjp(_odeint_fwd, _odeint_rev)
