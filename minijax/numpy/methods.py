"""Operators and NumPy's methods on arrays and tracers; importing this module attaches them.

Invariant: `x.sum()` is `jnp.sum(x)`.  On arrays a binary operator is a compiled function itself,
without a Python frame in front; on tracers it is the plain body.  Both give NotImplemented for
operands that they do not know, so that those get their turn, and refuse Python containers.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minijax.base import errors
from minijax.base.dtypes import DTypeLike
from minijax.base.jaxlib import Array, ArrayImpl
from minijax.base.source import warn
from minijax.core import Tracer
from minijax.lax.rules import ArrayLike
from minijax.numpy import called as _called  # noqa: F401  (errors name the function called)
from minijax.numpy import (
    arithmetic, creation, diagonals, floats, indexing, joining, manipulation, products,
    reductions, selection, sorting, ufuncs, views)
from minijax.numpy.at import _IndexUpdateHelper
from minijax.runtime.array import _namespace, set_item
from minijax.runtime.call import fused

_ACCEPTED = (Tracer, Array, np.ndarray, np.generic, int, float, complex)
_REFUSED = frozenset((list, tuple, set, dict))

# --- Binary operators --------------------------------------------------------------------------


def _other(other: Any, symbol: str, reflected: bool) -> Any:
    """The operand that an unusual `other` stands for, or NotImplemented."""
    if hasattr(other, "__jax_array__"):
        return other.__jax_array__()
    if type(other) in _REFUSED:  # not their subclasses: named tuples may define operators
        names = ["ArrayImpl", type(other).__name__]
        left, right = reversed(names) if reflected else names
        raise TypeError(errors.describe(
            f"unsupported operand type(s) for {symbol}: '{left}' and '{right}'"))
    return NotImplemented


def _operator(name: str, body: Callable, symbol: str, reflected: bool = False) -> Callable:
    """The method `name` of arrays: body(self, other), or body(other, self) if reflected."""
    def method(self: Any, other: Any) -> Any:
        if not isinstance(other, _ACCEPTED):
            other = _other(other, symbol, reflected)
            if other is NotImplemented:
                return other
        return body(other, self) if reflected else body(self, other)

    method.__name__ = method.__qualname__ = name
    return method


_OPERATORS: dict[str, tuple[Callable, str]] = {
    "add": (ufuncs.add.body, "+"),
    "sub": (ufuncs.subtract.body, "-"),
    "mul": (ufuncs.multiply.body, "*"),
    "truediv": (ufuncs.true_divide.body, "/"),
    "floordiv": (arithmetic.floor_divide.body, "//"),
    "mod": (arithmetic.remainder.body, "%"),
    "divmod": (arithmetic.divmod.body, "divmod()"),
    "matmul": (products.matmul.body, "@"),
    "and": (ufuncs.bitwise_and.body, "&"),
    "or": (ufuncs.bitwise_or.body, "|"),
    "xor": (ufuncs.bitwise_xor.body, "^"),
    "lshift": (ufuncs.left_shift.body, "<<"),
    "rshift": (ufuncs.right_shift.body, ">>"),
}
_COMPARISONS: dict[str, tuple[Callable, str]] = {
    "eq": (ufuncs.equal.body, "=="),
    "ne": (ufuncs.not_equal.body, "!="),
    "lt": (ufuncs.less.body, "<"),
    "le": (ufuncs.less_equal.body, "<="),
    "gt": (ufuncs.greater.body, ">"),
    "ge": (ufuncs.greater_equal.body, ">="),
}


def _binary_methods() -> dict[str, Callable]:
    methods = {}
    for name, (body, symbol) in _OPERATORS.items():
        methods[f"__{name}__"] = _operator(f"__{name}__", body, symbol)
        methods[f"__r{name}__"] = _operator(f"__r{name}__", body, symbol, reflected=True)
    for name, (body, symbol) in _COMPARISONS.items():
        methods[f"__{name}__"] = _operator(f"__{name}__", body, symbol)
    return methods


_tracer_pow = _operator("__pow__", ufuncs._power.body, "**")
_tracer_rpow = _operator("__rpow__", ufuncs._power.body, "**", reflected=True)
_array_pow, _array_rpow = fused(_tracer_pow), fused(_tracer_rpow)


def _pow(self: Any, other: Any) -> Any:
    """self ** other: an integer known now is an exponent of the program, not an operand."""
    exponent = ufuncs.static_integer(other)
    if exponent is not None:
        return ufuncs._integer_power(self, exponent)
    return _array_pow(self, other)


def _pow_traced(self: Any, other: Any) -> Any:
    exponent = ufuncs.static_integer(other)
    if exponent is not None:
        return ufuncs._integer_power.body(self, exponent)
    return _tracer_pow(self, other)


# --- Methods whose arguments differ from the function's ----------------------------------------


def reshape(self: Array, *args: Any, order: str = "C", out_sharding: Any = None) -> Array:
    """The elements in another shape, given as one tuple or as several sizes, one of them -1."""
    shape = args[0] if len(args) == 1 and not isinstance(args[0], int) else args
    return manipulation.reshape(self, shape, order, out_sharding=out_sharding)


def transpose(self: Array, *args: Any) -> Array:
    """The array with its axes in another order, given as one tuple or as several axes."""
    if not args:
        return manipulation._transpose(self)
    axes = args[0] if len(args) == 1 else args
    return manipulation.transpose(self, (axes,) if isinstance(axes, int) else axes)


def flatten(self: Array, order: str = "C", *, out_sharding: Any = None) -> Array:
    """The elements in a vector; order "C" or "F"."""
    return manipulation.ravel(self, order, out_sharding=out_sharding)


def astype(self: Array, dtype: DTypeLike | None, copy: bool = False, device: Any = None) -> Array:
    """The array converted to the dtype; of complex numbers the real part."""
    return creation.astype(self, dtype, copy=copy, device=device)


def copy(self: Array) -> Array:
    """A new array with the same values."""
    return creation.copy(self)


def clip(self: Array, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Array:
    """The array with values below min raised to it and values above max lowered to it."""
    return arithmetic.clip(self, min, max)


def compress(self: Array, condition: ArrayLike, axis: int | None = None, *, out: None = None,
             size: int | None = None, fill_value: ArrayLike = 0) -> Array:
    """The slices along the axis where the condition holds."""
    return selection.compress(condition, self, axis, size=size, fill_value=fill_value, out=out)


def _contains(self: Array, other: ArrayLike) -> Array:
    if self.ndim != 1:
        raise ValueError("Array.__contains__: search array must be one-dimensional, "
                         f"got arr.shape={self.shape}.")
    return reductions.any(ufuncs.equal(self, other))


def _array_module(self: Array, types: Any) -> Any:
    mine = all(issubclass(kind, (Array, Tracer)) for kind in types)
    return _namespace[0] if mine else NotImplemented


def _numpy_dtype(self: Array) -> Any:
    warn("Implicit conversion of an array to a dtype is deprecated; rather than dtype=arr use "
         "dtype=arr.dtype. In the future this will result in an error.", DeprecationWarning)
    return self.dtype


def _round(number: Array, ndigits: int | None = None) -> Array:
    out = floats.round(number, decimals=ndigits or 0)
    return creation.astype(out, int) if ndigits is None else out


def _to_bytes(self: Tracer, order: str = "C") -> bytes:
    raise errors.ConcretizationTypeError(
        self, "The tobytes() method was called on traced array.")


def _iterate(self: Tracer) -> Iterator[Array]:
    if not self.ndim:
        raise TypeError(errors.describe("iteration over a 0-d array"))
    return iter(joining.unstack.body(self))


# --- Attaching ---------------------------------------------------------------------------------

_FUNCTIONS = {  # whose first argument is the array, by their module
    reductions: "all any argmax argmin cumprod cumsum max mean min prod ptp std sum var",
    manipulation: "ravel repeat squeeze swapaxes",
    sorting: "argpartition argsort searchsorted sort",
    selection: "choose nonzero take",
    products: "dot trace",
    ufuncs: "conj conjugate",
    views: "byteswap view",
    diagonals: "diagonal",
    floats: "round",
    sys.modules[__name__]: "astype clip compress copy flatten reshape transpose",
}
_METHODS: dict[str, Callable] = {
    "__abs__": ufuncs.abs,
    "__contains__": _contains,
    "__invert__": ufuncs.invert,
    "__neg__": ufuncs.negative,
    "__pos__": ufuncs.positive,
    "__round__": _round,
    **{name: getattr(module, name) for module, names in _FUNCTIONS.items()
       for name in names.split()},
}
_PROPERTIES: dict[str, Callable] = {
    "T": manipulation._transpose,
    "at": _IndexUpdateHelper,
    "imag": ufuncs.imag,
    "mT": manipulation.matrix_transpose,
    "real": ufuncs.real,
}


def attach_bodies(kind: type) -> None:
    """Give a class of arrays that jaxlib does not know the operators and methods, uncompiled."""
    for name, method in _binary_methods().items():
        setattr(kind, name, method)
    kind.__pow__, kind.__rpow__ = _pow_traced, _tracer_rpow
    for name, method in _METHODS.items():
        setattr(kind, name, getattr(method, "body", method))
    for name, read in _PROPERTIES.items():
        setattr(kind, name, property(getattr(read, "body", read)))
    kind.__getitem__ = indexing.getitem_traced
    kind.__iter__ = _iterate
    kind.__setitem__ = set_item
    kind.itemsize = property(lambda self: self.aval.dtype.itemsize)
    kind.nbytes = property(lambda self: self.aval.size * self.aval.dtype.itemsize)
    kind.__array_namespace__ = ArrayImpl.__array_namespace__


def _attach_compiled() -> None:
    """Give arrays the same, each call one compiled program."""
    for name, method in _binary_methods().items():
        setattr(ArrayImpl, name, fused(method))
    ArrayImpl.__pow__, ArrayImpl.__rpow__ = _pow, _array_rpow
    for name, method in _METHODS.items():
        setattr(ArrayImpl, name, method)
    for name, read in _PROPERTIES.items():
        setattr(ArrayImpl, name, property(read))
    ArrayImpl.__getitem__ = indexing.getitem
    ArrayImpl.__array_module__ = _array_module
    ArrayImpl.__numpy_dtype__ = property(_numpy_dtype)


def _attach_to_base() -> None:
    """Let `jax.Array` itself have the names of its instances: libraries look methods up there."""
    operators = {*_METHODS, *_binary_methods()}
    for name, value in vars(ArrayImpl).items():
        if not hasattr(Array, name) and (name[0] != "_" or name in operators):
            setattr(Array, name, value)


_attach_compiled()
_attach_to_base()
attach_bodies(Tracer)
Tracer.tobytes = _to_bytes
_namespace.append(sys.modules["minijax.numpy"])
