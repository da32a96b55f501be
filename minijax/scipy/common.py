"""Operands of the SciPy functions, and small numerics that several families share.

Invariant: what `operands` returns is one dtype (floating or complex), ranks that broadcast, and
arrays or tracers, so that operators work on them without further care.

    x, loc, scale = operands("norm.logpdf", x, loc, scale)
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.core import convert_element_type, get_aval
from minijax.numpy import promotion
from minijax.runtime.call import fused


def operands(name: str, *args: Any) -> list:
    """The arguments of the function `name`, promoted to one inexact dtype and to equal ranks."""
    return promotion.promote_shapes(name, *promotion.promoted_inexact(name, *args))


def strong_operands(name: str, *args: Any) -> list:
    """As `operands`, never weakly typed."""
    return [promotion.strong(x) for x in operands(name, *args)]


def scalar_operands(name: str, *args: Any) -> list:
    """As `operands`, weakly typed only where every argument is."""
    weak = all(get_aval(x).weak_type for x in promotion.arguments(name, *args))
    return (operands if weak else strong_operands)(name, *args)


def real_operands(name: str, *args: Any) -> list:
    """As `strong_operands`; ValueError for complex numbers."""
    given = strong_operands(name, *args)
    if given[0].dtype.kind == "c":
        raise ValueError(f"Argument `x` to {name} must be real-valued.")
    return given


def of_operands(fun: Callable | None = None, *, promote: Callable = operands) -> Callable:
    """Decorator of functions of distributions: `fused`, their arguments promoted by `operands`."""
    if fun is None:
        return functools.partial(of_operands, promote=promote)
    return _promoting(fun, f"{fun.__module__.rpartition('.')[2]}.{fun.__name__}", promote)


def _promoting(fun: Callable, name: str, promote: Callable) -> Callable:
    signature = inspect.signature(fun)
    most = len(signature.parameters)

    @functools.wraps(fun)
    def promoted(*args: Any, **kwargs: Any) -> Any:
        if kwargs or len(args) != most:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError:
                return fun(*args, **kwargs)  # Python's own words
            bound.apply_defaults()
            args = bound.args
        return fun(*promote(name, *args))
    return fused(promoted)


def formula(name: str, doc: str, body: Callable, promote: Callable = operands) -> Callable:
    """The function `name` ("erf", or "norm.cdf") of a formula, its arguments promoted first."""
    body.__name__ = body.__qualname__ = name.rpartition(".")[2]
    body.__doc__ = doc
    body.__annotations__ = dict.fromkeys(inspect.signature(body).parameters, "ArrayLike")
    body.__annotations__["return"] = "Array"
    return _promoting(body, name, promote)


def composed(outer: Callable, inner: Callable, doc: str) -> Callable:
    """outer(inner(...)) with the signature of `inner`: of logpdf it is pdf, of cdf it is logcdf."""
    @functools.wraps(inner, updated=())
    def fun(*args: Any, **kwargs: Any) -> Any:
        return outer(inner(*args, **kwargs))
    name = inner.__name__
    fun.__name__ = fun.__qualname__ = name[3:] if name.startswith("log") else f"log{name}"
    fun.__doc__ = doc
    return fused(fun)


def widened(fun: Callable) -> Callable:
    """`fun` of arrays of one dtype, computed in single precision where that dtype is shorter."""
    @functools.wraps(fun)
    def wide(*args: Any) -> Any:
        dtype = args[0].dtype
        if dtype.itemsize >= 4:
            return fun(*args)
        out = fun(*[convert_element_type(x, np.dtype(np.float32)) for x in args])
        if isinstance(out, tuple):
            return tuple(convert_element_type(x, dtype) for x in out)
        return convert_element_type(out, dtype)
    return wide


def polynomial(x: Any, coefficients: Sequence[float]) -> Any:
    """The polynomial whose coefficients are given from the highest power down."""
    total = lax.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        total = total * x + c
    return total


def together(*args: Any) -> list:
    """The arrays repeated to their joint shape, as loops need them."""
    shape = lax.broadcast_shapes(*[x.shape for x in args])
    return [promotion.broadcast(x, shape) for x in args]


def log1mexp(z: Any) -> Any:
    """log(1 - exp(-z)) for z > 0, by the form that does not cancel."""
    small = z < math.log(2)
    return jnp.where(small, jnp.log(-jnp.expm1(-z)), jnp.log1p(-jnp.exp(-z)))
