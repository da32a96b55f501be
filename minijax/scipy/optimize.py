"""Minimization of smooth functions, `scipy.optimize`: BFGS and L-BFGS.

Invariant: the loops work on a real vector; complex unknowns are given as real and imaginary
parts, for which the gradient is the usual one.

    minimize(lambda x: jnp.sum((x - 1) ** 2), jnp.zeros(3), method="BFGS").x
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minijax import lax, numpy as jnp
from minijax.api.autodiff import value_and_grad
from minijax.base import errors
from minijax.base.jaxlib import Array

__all__ = ["OptimizeResults", "minimize"]

ValueAndGrad = Callable[[Array], tuple[Array, Array]]


class OptimizeResults(NamedTuple):
    """What `minimize` found.

    status is 0 if the gradient became small, 1 after too many iterations, 2 after too many
    evaluations, 3 if no step along a direction made the value smaller, 4 if it changes too little.
    """

    x: Any
    success: Any
    status: Any
    fun: Any
    jac: Any
    hess_inv: Any
    nfev: Any
    njev: Any
    nit: Any


def minimize(fun: Callable, x0: Any, args: tuple = (), *, method: str, tol: float | None = None,
             options: Mapping[str, Any] | None = None) -> OptimizeResults:
    """The x [n] near x0 where the number fun(x, *args) is least.

    method: "BFGS" (options maxiter, norm, gtol, line_search_maxiter), or
    "l-bfgs-experimental-do-not-rely-on-this" (maxiter, norm, maxcor, ftol, gtol, maxfun, maxgrad,
    maxls). `tol` stands for gtol. Not differentiable in reverse mode.
    """
    options = {} if options is None else dict(options)
    if not isinstance(args, tuple):
        raise TypeError(errors.describe(
            f"args argument to jax.scipy.optimize.minimize must be a tuple, got {args}",
            fix="args=(value,)"))
    x0 = jnp.asarray(x0)
    if x0.ndim != 1:
        raise ValueError(errors.describe("minimize: x0 must be a vector",
                                         because=f"its shape is {x0.shape}", fix="x0.ravel()"))
    complex_ = x0.dtype.kind == "c"
    start = jnp.concatenate([jnp.real(x0), jnp.imag(x0)]) if complex_ else x0
    start = start.astype(jnp.result_type(start, float)) if start.dtype.kind != "f" else start

    def restored(v: Any) -> Any:
        return lax.complex(*jnp.split(v, 2)) if complex_ else v

    both = value_and_grad(lambda v: fun(restored(v), *args))
    solvers = {"bfgs": _bfgs, "l-bfgs-experimental-do-not-rely-on-this": _lbfgs}
    if method.lower() not in solvers:
        raise ValueError(errors.describe(f"Method {method} not recognized", fix="method='BFGS'"))
    if tol is not None:
        options.setdefault("gtol", tol)
    found = solvers[method.lower()](both, start, **options)
    slope = found.jac
    if complex_:
        slope = jnp.conj(restored(slope))
    return found._replace(x=restored(found.x), jac=slope)


# --- Line search -------------------------------------------------------------------------------


class _Point(NamedTuple):
    """A place on the line: step, value, slope along the line, gradient."""

    step: Any
    value: Any
    slope: Any
    grad: Any


class _Search(NamedTuple):
    """`low` has the least value so far; with `bracketed`, a minimum lies between it and `high`."""

    low: _Point
    high: _Point
    trial: Any
    bracketed: Any
    done: Any
    count: Any


def _chosen(condition: Any, a: _Point, b: _Point) -> _Point:
    return _Point(*[jnp.where(condition, x, y) for x, y in zip(a, b)])


def _line_search(both: ValueAndGrad, x: Any, direction: Any, value: Any, grad: Any, previous: Any,
                 limit: int) -> tuple[_Point, Any, Any]:
    """(the point, whether its value is small enough, evaluations), for Wolfe's strong conditions.

    J. Nocedal, S. Wright, Numerical Optimization, algorithms 3.5 and 3.6: steps are doubled until
    they bracket a minimum; then the bracket shrinks by cubic interpolation.
    """
    slope = jnp.dot(grad, direction)
    zero = jnp.zeros_like(value)
    origin = _Point(zero, value, slope, grad)
    guess = 1.01 * 2 * (value - previous) / slope
    guess = jnp.where(guess > 0, jnp.minimum(1, guess), 1).astype(value.dtype)

    def step(state: _Search) -> _Search:
        f, g = both(x + state.trial * direction)
        here = _Point(state.trial, f, jnp.dot(g, direction), g)
        low, high = state.low, state.high
        worse = ~(f <= value + 1e-4 * here.step * slope)
        worse = worse | ((f >= low.value) & (state.count > 0))
        fine = ~worse & (jnp.abs(here.slope) <= -0.9 * slope)
        reach = jnp.where(state.bracketed, high.step - low.step, 1)
        turned = ~worse & (here.slope * reach >= 0)
        new_high = _chosen(worse, here, _chosen(turned, low, high))
        new_low = _chosen(worse, low, here)
        bracketed = state.bracketed | worse | turned
        trial = jnp.where(bracketed, _between(new_low, new_high), 2 * here.step)
        stuck = bracketed & (jnp.abs(new_high.step - new_low.step) <= 1e-12 * new_low.step)
        return _Search(new_low, new_high, trial, bracketed, fine | stuck, state.count + 1)

    start = _Search(origin, origin, guess, False, slope >= 0, 0)
    found = lax.while_loop(lambda s: ~s.done & (s.count < limit), step, start)
    return found.low, found.low.step > 0, found.count


def _between(low: _Point, high: _Point) -> Any:
    """The minimum of the cubic through both points; the middle if that is too near an end."""
    width = high.step - low.step
    safe = jnp.where(width == 0, 1, width)
    a = low.slope + high.slope - 3 * (high.value - low.value) / safe
    root = jnp.sqrt(jnp.maximum(a * a - low.slope * high.slope, 0)) * jnp.sign(width)
    bottom = high.slope - low.slope + 2 * root
    share = 1 - (high.slope + root - a) / jnp.where(bottom == 0, 1, bottom)
    usable = jnp.isfinite(share) & (share > 0.1) & (share < 0.9) & (bottom != 0)
    return low.step + width * jnp.where(usable, share, 0.5)


# --- BFGS --------------------------------------------------------------------------------------


class _State(NamedTuple):
    """Where the minimization is; `memory` belongs to the method."""

    x: Any
    value: Any
    grad: Any
    previous: Any
    memory: Any
    status: Any
    nit: Any
    nfev: Any


def _descend(both: ValueAndGrad, x0: Any, memory: Any, direction_of: Callable, update: Callable,
             *, gtol: float, norm: float, ftol: float, maxiter: float, maxfun: float,
             maxls: int) -> _State:
    """Line searches along directions, until the gradient is small or something stops them."""
    value, grad = both(x0)
    small = jnp.linalg.norm(grad, norm) < gtol

    def step(state: _State) -> _State:
        direction = direction_of(state)
        point, lower, count = _line_search(both, state.x, direction, state.value, state.grad,
                                           state.previous, maxls)
        move = point.step * direction
        memory = update(state, move, point.grad - state.grad, lower)
        nit, nfev = state.nit + 1, state.nfev + count
        status = jnp.where(state.value - point.value < ftol, 4, -1)
        status = jnp.where(nfev >= maxfun, 2, status)
        status = jnp.where(nit >= maxiter, 1, status)
        status = jnp.where(lower, status, 3)
        status = jnp.where(jnp.linalg.norm(point.grad, norm) < gtol, 0, status)
        return _State(state.x + move, point.value, point.grad, state.value, memory,
                      status.astype(state.status.dtype), nit, nfev)

    status = jnp.where(small, 0, jnp.where(jnp.isfinite(value), -1, 3))
    previous = value + jnp.linalg.norm(grad) / 2
    start = _State(x0, value, grad, previous, memory, status, 0, 1)
    return lax.while_loop(lambda s: (s.status < 0) & (s.nit < maxiter), step, start)


def _result(state: _State, inverse: Any) -> OptimizeResults:
    return OptimizeResults(state.x, state.status == 0, state.status, state.value, state.grad,
                           inverse, state.nfev, state.nfev, state.nit)


def _bfgs(both: ValueAndGrad, x0: Any, maxiter: int | None = None, norm: float = np.inf,
          gtol: float = 1e-5, line_search_maxiter: int = 10) -> OptimizeResults:
    one = jnp.eye(x0.shape[0], dtype=x0.dtype)

    def direction_of(state: _State) -> Any:
        return -(state.memory @ state.grad)

    def update(state: _State, s: Any, y: Any, lower: Any) -> Any:
        curvature = jnp.dot(y, s)
        usable = lower & (curvature > 0)
        rho = 1 / jnp.where(usable, curvature, 1)
        # before the first update, a multiple of the identity of the right size
        size = jnp.dot(y, y)
        scale = jnp.where((state.nit == 0) & usable, curvature / jnp.where(usable, size, 1), 1)
        side = one - rho * jnp.outer(s, y)
        new = side @ (scale * state.memory) @ side.T + rho * jnp.outer(s, s)
        return jnp.where(usable, new, state.memory)

    limit = 200 * x0.shape[0] if maxiter is None else maxiter
    state = _descend(both, x0, one, direction_of, update, gtol=gtol, norm=norm, ftol=-math.inf,
                     maxiter=limit, maxfun=math.inf, maxls=line_search_maxiter)
    return _result(state, state.memory)


# --- L-BFGS ------------------------------------------------------------------------------------


class _History(NamedTuple):
    """The last steps and changes of the gradient, newest last; rho is 0 in unused rows."""

    s: Any
    y: Any
    rho: Any


def _lbfgs(both: ValueAndGrad, x0: Any, maxiter: float | None = None, norm: float = np.inf,
           maxcor: int = 10, ftol: float = 2.220446049250313e-09, gtol: float = 1e-05,
           maxfun: float | None = None, maxgrad: float | None = None,
           maxls: int = 20) -> OptimizeResults:
    n = x0.shape[0]
    empty = jnp.zeros((maxcor, n), x0.dtype)

    def direction_of(state: _State) -> Any:
        return -_two_loops(state.memory, state.grad)

    def update(state: _State, s: Any, y: Any, lower: Any) -> _History:
        curvature = jnp.dot(y, s)
        usable = lower & (curvature > 0)
        rho = 1 / jnp.where(usable, curvature, 1)
        shifted = [jnp.concatenate([old[1:], new[None]])
                   for old, new in zip(state.memory, (s, y, rho))]
        return _History(*[jnp.where(usable, new, old)
                          for new, old in zip(shifted, state.memory)])

    evaluations = min(math.inf if m is None else m for m in (maxfun, maxgrad))
    memory = _History(empty, empty, jnp.zeros(maxcor, x0.dtype))
    state = _descend(both, x0, memory, direction_of, update, gtol=gtol, norm=norm, ftol=ftol,
                     maxiter=math.inf if maxiter is None else maxiter, maxfun=evaluations,
                     maxls=maxls)
    return _result(state, None)


def _two_loops(history: _History, grad: Any) -> Any:
    """The inverse Hessian that the history describes, times the gradient."""
    def back(q: Any, row: _History) -> tuple:
        alpha = row.rho * jnp.dot(row.s, q)
        return q - alpha * row.y, alpha

    def forth(r: Any, rows: tuple) -> tuple:
        row, alpha = rows
        return r + row.s * (alpha - row.rho * jnp.dot(row.y, r)), None

    q, alphas = lax.scan(back, grad, history, reverse=True)
    y = history.y[-1]
    square = jnp.dot(y, y)
    gamma = jnp.where(square > 0, jnp.dot(history.s[-1], y) / jnp.where(square > 0, square, 1), 1)
    return lax.scan(forth, gamma * q, (history, alphas))[0]
