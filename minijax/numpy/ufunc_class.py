"""`ufunc`: elementwise functions with the methods reduce, accumulate, at, outer and reduceat.

Invariant: a function of jnp that NumPy calls a ufunc is a compiled function with these methods as
attributes; `frompyfunc` makes a `ufunc` object of any scalar function.  Methods that have no
special form here run the function once per element, in a loop on the device.

    add.reduce(x, axis=1), multiply.outer(x, y)
    frompyfunc(lambda x, y: x * y + 1, 2, 1).accumulate(x)
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from minijax import lax
from minijax.api.misc import ShapeDtypeStruct, eval_shape
from minijax.api.vmap import vmap
from minijax.base import dtypes, errors
from minijax.base.dtypes import DTypeLike
from minijax.base.jaxlib import Array, PjitFunction
from minijax.base.util import canonicalize_axis
from minijax.core import structural
from minijax.lax.rules import ArrayLike
from minijax.numpy import arithmetic, indexing, manipulation, reductions, ufuncs
from minijax.numpy.at import _IndexUpdateHelper
from minijax.numpy.promotion import (
    array_operand, as_array, broadcast, convert, keep_axes, operand, scalar, strong)
from minijax.numpy.ufuncs import pick
from minijax.runtime.call import fused


class _UfuncMeta(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        if isinstance(instance, PjitFunction):
            return hasattr(instance, "reduceat")
        return type.__instancecheck__(cls, instance)


class ufunc(metaclass=_UfuncMeta):
    """A scalar function applied to all elements of broadcast arrays, with methods as in NumPy."""

    def __init__(self, func: Callable[..., Any], /, nin: int, nout: int, *,
                 name: str | None = None, nargs: int | None = None, identity: Any = None,
                 call: Callable[..., Any] | None = None, reduce: Callable[..., Any] | None = None,
                 accumulate: Callable[..., Any] | None = None,
                 at: Callable[..., Any] | None = None,
                 reduceat: Callable[..., Any] | None = None):
        self.__doc__ = func.__doc__
        self.__name__ = name or func.__name__
        self._function = func
        self._nin, self._nout = operator.index(nin), operator.index(nout)
        self._nargs = self._nin if nargs is None else operator.index(nargs)
        self._identity = identity
        self._call = call or _mapped(func, self.__name__)
        self._reduce, self._accumulate = reduce, accumulate
        self._at, self._reduceat = at, reduceat

    _func = property(operator.attrgetter("_function"), doc="The scalar function.")
    nin = property(operator.attrgetter("_nin"), doc="Number of arguments.")
    nout = property(operator.attrgetter("_nout"), doc="Number of results.")
    nargs = property(operator.attrgetter("_nargs"), doc="Number of arguments.")
    identity = property(operator.attrgetter("_identity"), doc="What changes no other value.")

    def _key(self) -> tuple:
        return self._func, self.__name__, self._nin, self._nout, self._nargs, self._identity

    def __eq__(self, other: object) -> bool:
        return type(other) is ufunc and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"<jnp.ufunc '{self.__name__}'>"

    def __call__(self, *args: ArrayLike, out: None = None, where: None = None) -> Any:
        _refuse(self, out=out, where=where)
        return self._call(*args)

    def reduce(self, a: ArrayLike, axis: Any = 0, dtype: DTypeLike | None = None,
               out: None = None, keepdims: bool = False, initial: ArrayLike | None = None,
               where: ArrayLike | None = None) -> Array:
        """The function applied to all elements along the axis, from the first to the last."""
        self._check_binary("reduce")
        _refuse(self, out=out)
        axis = reductions.static_axis(axis)
        if self._reduce is not None:
            return self._reduce(a, axis=axis, dtype=dtype, keepdims=keepdims, initial=initial,
                                where=where)
        if isinstance(axis, tuple):
            raise NotImplementedError(errors.describe("tuple of axes"))
        return _reduce(self, a, axis, dtype, bool(keepdims), initial, where)

    def accumulate(self, a: ArrayLike, axis: int = 0, dtype: DTypeLike | None = None,
                   out: None = None) -> Array:
        """What `reduce` gives for the first elements along the axis, for each number of them."""
        self._check_binary("accumulate")
        _refuse(self, out=out)
        axis = operator.index(axis)
        if self._accumulate is not None:
            return self._accumulate(a, axis=axis, dtype=dtype)
        return _accumulate(self, a, axis, dtype)

    def at(self, a: ArrayLike, indices: Any, b: ArrayLike | None = None, /, *,
           inplace: bool = True) -> Array:
        """a with the function applied at the positions, one after the other (inplace=False)."""
        if inplace:
            raise NotImplementedError(errors.describe(
                "Because JAX arrays are immutable, jnp.ufunc.at() cannot operate inplace like "
                "np.ufunc.at().", fix="x = jnp.add.at(x, indices, b, inplace=False)"))
        if self._at is not None:
            return getattr(_IndexUpdateHelper(operand("at", a))[indices], self._at)(b)
        return _at(self, array_operand("at", a), indices, b)

    def outer(self, A: ArrayLike, B: ArrayLike, /) -> Array:
        """The function applied to all pairs of elements of A and B."""
        self._check_binary("outer")
        left, right = operand("outer", A), operand("outer", B, 1)
        ones = (1,) * np.ndim(left), (1,) * np.ndim(right)
        return self._call(manipulation.reshape(left, np.shape(left) + ones[1]),
                          manipulation.reshape(right, ones[0] + np.shape(right)))

    def reduceat(self, a: ArrayLike, indices: Any, axis: int = 0,
                 dtype: DTypeLike | None = None, out: None = None) -> Array:
        """`reduce` over the parts of a that begin at the indices, one element if they fall."""
        self._check_binary("reduceat")
        _refuse(self, out=out)
        return _reduceat(self, a, indices, operator.index(axis), dtype)

    def _check_binary(self, method: str) -> None:
        if (self.nin, self.nout) != (2, 1):
            raise ValueError(errors.describe(f"{method} only supported for binary ufuncs"))


def frompyfunc(func: Callable[..., Any], /, nin: int, nout: int, *,
               identity: Any = None) -> ufunc:
    """A ufunc of a function of nin scalars that gives nout scalars."""
    return ufunc(func, nin, nout, identity=identity)


def _refuse(function: ufunc, **options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise NotImplementedError(errors.describe(f"{name} argument of {function!r}",
                                                      fix="use the result and jnp.where"))


def _mapped(func: Callable, name: str) -> Callable:
    """A function of arrays that maps `func` over their elements."""
    def call(*args: Any) -> Any:
        xs = [array_operand(name, x, i) for i, x in enumerate(args)]
        shape = lax.broadcast_shapes(*[x.shape for x in xs])
        mapped = func
        for _ in shape:
            mapped = vmap(mapped)
        return mapped(*[broadcast(x, shape) for x in xs])

    call.__name__ = name
    return fused(call)


# --- Methods as loops --------------------------------------------------------------------------


def _rows(name: str, a: Any, axis: int | None, dtype: Any) -> Any:
    """The operand with the axis in front, flattened for None."""
    a = array_operand(name, a)
    if dtype is not None:
        a = strong(a, dtypes.check_user_dtype(dtype, name))
    if axis is None:
        return structural.reshape(a, (a.size,))
    return manipulation._moveaxis.body(a, canonicalize_axis(axis, a.ndim), 0)


def _row(a: Any, i: Any) -> Any:
    return lax.dynamic_index_in_dim(a, i, 0, False)


def _start(function: ufunc, a: Any, value: Any) -> Any:
    """The first value of a running result, in the dtype that the function gives."""
    value = broadcast(as_array(convert(operand("reduce", value), a.dtype)), a.shape[1:])
    return strong(value, _result_dtype(function, value.dtype, value.dtype))


def _result_dtype(function: ufunc, *dtypes: Any) -> Any:
    return eval_shape(function._call, *[ShapeDtypeStruct((), dtype) for dtype in dtypes]).dtype


@fused(static_argnums=(0, 2, 3, 4))
def _reduce(function: ufunc, a: ArrayLike, axis: int | None, dtype: Any, keepdims: bool,
            initial: Any, where: Any) -> Array:
    ndim = np.ndim(a)
    rows = _rows("reduce", a, axis, dtype)
    if initial is None:
        initial = function.identity
        if initial is None and (where is not None or not rows.shape[0]):
            raise ValueError(errors.describe(
                f"reduction operation '{function.__name__}' does not have an identity, so "
                "one has to specify 'initial'", fix="initial=0"))
    mask = None if where is None else _rows(
        "reduce", broadcast(array_operand("reduce", where), np.shape(a)), axis, None)
    first = 0
    if initial is None:
        initial, first = rows[0], 1

    def step(i: Any, total: Any) -> Any:
        new = function._call(total, _row(rows, i))
        return new if mask is None else pick(_row(mask, i), new, total)

    out = _start(function, rows, initial)
    if rows.shape[0] > first:
        out = lax.fori_loop(first, rows.shape[0], step, out)
    if not keepdims:
        return out
    axes = tuple(range(ndim)) if axis is None else (canonicalize_axis(axis, ndim),)
    return keep_axes(out, axes, ndim)


@fused(static_argnums=(0, 2, 3))
def _accumulate(function: ufunc, a: ArrayLike, axis: int, dtype: Any) -> Array:
    rows = _rows("accumulate", a, axis, dtype)
    if not rows.shape[0]:
        row = lax.full(rows.shape[1:], 0, rows.dtype)
        out = lax.full(rows.shape, 0, _start(function, rows, row).dtype)
        return manipulation._moveaxis.body(out, 0, axis)

    def step(total: Any, row: Any) -> tuple[Any, Any]:
        new = function._call(total, row)
        return new, new

    start = _start(function, rows, rows[0])
    _, rest = lax.scan(step, start, rows[1:])
    out = lax.concatenate([structural.reshape(start, (1, *start.shape)), rest], 0)
    return manipulation._moveaxis.body(out, 0, axis)


def _at(function: ufunc, a: Any, indices: Any, b: Any) -> Any:
    """The function applied position by position, as repeated positions demand."""
    numbers = manipulation.reshape(lax.iota(np.dtype(np.int32), a.size), a.shape)
    positions = indexing.lookup(numbers, indices)
    operands = [] if b is None else [broadcast(array_operand("at", b), positions.shape)]
    flat = [manipulation.reshape(x, (-1,)) for x in (positions, *operands)]
    dtype = _result_dtype(function, a.dtype, *[x.dtype for x in operands])

    def step(i: Any, x: Any) -> Any:
        at, *values = [_row(v, i) for v in flat]
        return _IndexUpdateHelper(x)[at].set(function._call(x[at], *values))

    out = lax.fori_loop(0, positions.size, step, strong(manipulation.reshape(a, (-1,)), dtype))
    return manipulation.reshape(out, a.shape)


@fused(static_argnums=(0, 3, 4))
def _reduceat(function: ufunc, a: ArrayLike, indices: ArrayLike, axis: int, dtype: Any) -> Array:
    rows = _rows("reduceat", a, axis, dtype)
    starts = array_operand("reduceat", indices, 1)
    if not starts.size:
        return manipulation._moveaxis.body(lax.slice_in_dim(rows, 0, 0), 0, axis)
    size = rows.shape[0]
    end = lax.full((1,), size, starts.dtype)
    stops = lax.concatenate([lax.slice_in_dim(starts, 1, starts.size), end], 0)

    def part(start: Any, stop: Any) -> Any:
        def step(i: Any, total: Any) -> Any:
            inside = lax.bitwise_and(lax.gt(i, start), lax.lt(i, stop))
            return pick(inside, function._call(total, _row(rows, i)), total)

        return lax.fori_loop(np.asarray(0, starts.dtype)[()], end[0], step,
                             _start(function, rows, _row(rows, start)))

    return manipulation._moveaxis.body(vmap(part)(starts, stops), 0, axis)


# --- The ufuncs of jnp -------------------------------------------------------------------------


def _log_sum(exp: Callable, log: Callable, combine: Callable) -> Callable:
    def reduce(a: Any, axis: Any, dtype: Any, keepdims: bool, initial: Any, where: Any) -> Any:
        a = operand("logaddexp", a) if dtype is None else strong(operand("logaddexp", a), dtype)
        top = lax.stop_gradient(reductions.max(a, axis, keepdims=True, initial=-np.inf,
                                               where=where))
        top = ufuncs.pick(lax.is_finite(top), top, 0)
        total = reductions.sum(exp(ufuncs.subtract(a, top)), axis, keepdims=keepdims, where=where)
        top = top if keepdims else manipulation.reshape(top, total.shape)
        out = ufuncs.add(log(total), top)
        return out if initial is None else combine(out, initial)

    return reduce


def _bits(op: Callable, neutral: Any, combine: Callable) -> Callable:
    def reduce(a: Any, axis: Any, dtype: Any, keepdims: bool, initial: Any, where: Any) -> Any:
        a = array_operand("reduce", a)
        a = a if dtype is None else strong(a, dtypes.check_user_dtype(dtype, "reduce"))
        if where is not None:
            a = pick(where, a, scalar(neutral, a.dtype))
        axes = reductions.canonicalize_axes(axis, a.ndim)
        out = op(a, axes)
        out = keep_axes(out, axes, a.ndim) if keepdims else out
        return out if initial is None else combine(out, initial)

    return reduce


def _truths(reduction: Callable, combine: Callable) -> Callable:
    def reduce(a: Any, axis: Any, dtype: Any, keepdims: bool, initial: Any, where: Any) -> Any:
        out = reduction(a, axis, keepdims=keepdims, where=where)
        return out if initial is None else combine(out, initial)

    return reduce


def _extreme(reduction: Callable) -> Callable:
    def reduce(a: Any, axis: Any, dtype: Any, keepdims: bool, initial: Any, where: Any) -> Any:
        a = a if dtype is None else strong(operand("reduce", a), dtype)
        return reduction(a, axis, keepdims=keepdims, initial=initial, where=where)

    return reduce


def _parity(a: Any, axes: tuple[int, ...]) -> Any:
    return lax.reduce_xor(ufuncs.truth(a), axes)


_ADD = {"identity": 0, "reduce": reductions.sum, "accumulate": reductions.cumsum, "at": "add"}
_MULTIPLY = {"identity": 1, "reduce": reductions.prod, "accumulate": reductions.cumprod,
             "at": "multiply"}
_METHODS: dict[Callable, dict[str, Any]] = {
    ufuncs.add: _ADD,
    ufuncs.multiply: _MULTIPLY,
    ufuncs.subtract: {"at": "subtract"},
    ufuncs.negative: {},
    ufuncs.maximum: {"reduce": _extreme(reductions.max), "at": "max"},
    ufuncs.minimum: {"reduce": _extreme(reductions.min), "at": "min"},
    ufuncs.logical_and: {"identity": True, "reduce": _truths(reductions.all,
                                                             ufuncs.logical_and)},
    ufuncs.logical_or: {"identity": False, "reduce": _truths(reductions.any, ufuncs.logical_or)},
    ufuncs.logical_xor: {"identity": False, "reduce": _bits(_parity, False, ufuncs.logical_xor)},
    arithmetic.logaddexp: {"identity": -np.inf,
                           "reduce": _log_sum(ufuncs.exp, ufuncs.log, arithmetic.logaddexp)},
    arithmetic.logaddexp2: {"identity": -np.inf,
                            "reduce": _log_sum(ufuncs.exp2, ufuncs.log2, arithmetic.logaddexp2)},
    ufuncs.bitwise_and: {"identity": -1, "reduce": _bits(lax.reduce_and, -1, ufuncs.bitwise_and)},
    ufuncs.bitwise_or: {"identity": 0, "reduce": _bits(lax.reduce_or, 0, ufuncs.bitwise_or)},
    ufuncs.bitwise_xor: {"identity": 0, "reduce": _bits(lax.reduce_xor, 0, ufuncs.bitwise_xor)},
}


def _attach() -> None:
    """Give the functions of jnp their methods; once, at import."""
    for function, options in _METHODS.items():
        nin = 1 if function is ufuncs.negative else 2
        function._ufunc = made = ufunc(function, nin, 1, call=function, **options)
        for name in ("reduce", "accumulate", "at", "outer", "reduceat"):
            setattr(function, name, getattr(made, name))
    # Compiled functions are all of one C++ class, so it is this that says "read-only".
    for name in ("nin", "nout", "nargs", "identity", "_func"):
        setattr(PjitFunction, name, property(_fact(name)))


def _fact(name: str) -> Callable:
    def read(self: Any) -> Any:
        made = self.__dict__.get("_ufunc")
        if made is None:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return getattr(made, name)

    return read


_attach()
