"""Operands of the jnp functions: accepted types, common dtypes, common ranks.

Invariant: as few operations as possible.  An operand that has the dtype of the result already is
returned as it is, a Python scalar becomes a literal of that dtype, and rank 0 stays rank 0
(elementwise primitives take scalars beside arrays).

    x, y = promote(x, 2)                         # one dtype, ranks untouched
    x, y = promote_shapes("add", x, y)           # equal ranks, scalars left alone
    x, y, dtype = operands("add", x, y)          # both, with a fast path
"""

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from minijax import lax
from minijax.base import config, dtypes, errors
from minijax.base.dims import is_symbolic_dim
from minijax.base.jaxlib import Array
from minijax.base.util import canonicalize_axes, canonicalize_axis
from minijax.core import Tracer, get_aval, state, structural
from minijax.lax.rules import scalar_like
from minijax.runtime import place


def _named(prefixes: tuple[str, ...]) -> frozenset:
    found = [getattr(ml_dtypes, name) for name in dir(ml_dtypes) if name.startswith(prefixes)]
    return frozenset(map(np.dtype, found))


BOOL = np.dtype(np.bool_)
SIGNED = frozenset(map(np.dtype, ("i1", "i2", "i4", "i8"))) | _named(("int",))
UNSIGNED = frozenset(map(np.dtype, ("u1", "u2", "u4", "u8"))) | _named(("uint",))
INTEGER = SIGNED | UNSIGNED
FLOATING = frozenset(map(np.dtype, ("f2", "f4", "f8"))) | _named(("bfloat", "float"))
COMPLEX = frozenset(map(np.dtype, ("c8", "c16")))
INEXACT = FLOATING | COMPLEX

_NUMBERS = frozenset((bool, int, float, complex))
_ARRAY_LIKE = (Tracer, Array, np.ndarray, np.generic, bool, int, float, complex)

# --- What is accepted --------------------------------------------------------------------------


def is_array_like(x: Any) -> bool:
    """Whether jnp functions accept `x`: arrays, tracers, NumPy arrays and numbers, not lists."""
    return isinstance(x, _ARRAY_LIKE) or hasattr(x, "__jax_array__")


def check_array_like(name: str, *args: Any) -> None:
    """TypeError unless all arguments of the function `name` are arrays or numbers."""
    for position, arg in enumerate(args):
        if is_array_like(arg):
            continue
        raise TypeError(errors.describe(
            f"{name} requires ndarray or scalar arguments, got {type(arg)} at position {position}.",
            fix="pass jnp.asarray(x)"))


def shape_error(what: str, x: Any, fix: str) -> ValueError:
    """A ValueError that says `what`, because of the shape of x."""
    return ValueError(errors.describe(what, because=f"its shape is {shape_of(x)}", fix=fix))


def refuse_out(name: str, out: Any) -> None:
    """NotImplementedError if an `out` argument was given: arrays cannot be written to."""
    if out is not None:
        raise NotImplementedError(errors.describe(
            f"The 'out' argument to jnp.{name} is not supported.",
            fix=f"use the result: y = jnp.{name}(x)"))


def operand(name: str, x: Any, position: int = 0) -> Any:
    """The argument as what `lax` takes; `__jax_array__` is called, lists are a TypeError."""
    if isinstance(x, _ARRAY_LIKE):
        return x
    if hasattr(x, "__jax_array__"):
        return x.__jax_array__()
    raise TypeError(errors.describe(
        f"{name} requires ndarray or scalar arguments, got {type(x)} at position {position}.",
        fix="pass jnp.asarray(x)"))


def arguments(name: str, *args: Any) -> list:
    """`operand` of each argument of a function; None stays None."""
    return [None if x is None else operand(name, x, i) for i, x in enumerate(args)]


def as_array(x: Any) -> Any:
    """An operand as an array or tracer, also when it is a Python or NumPy number or array."""
    if isinstance(x, (Tracer, Array)):
        return x
    if hasattr(x, "__jax_array__"):
        return as_array(x.__jax_array__())
    lift = getattr(state.trace, "lift", None)
    if lift is None or getattr(x, "ndim", 0):
        return place.from_value(x)
    return lift(x if type(x) in _NUMBERS else np.asarray(x, get_aval(x).dtype)[()])


def array_operand(name: str, x: Any, position: int = 0) -> Any:
    """The argument as an array or tracer; TypeError as `operand` has it."""
    return x if isinstance(x, (Tracer, Array)) else as_array(operand(name, x, position))


def along(name: str, x: Any, axis: int | None) -> tuple[Any, int]:
    """The argument as an array, flat if the axis is None, and the axis counted from the front."""
    x = array_operand(name, x)
    if axis is None:
        return structural.reshape(x, (x.size,)), 0
    return x, canonicalize_axis(axis, x.ndim)


def strong(x: Any, dtype: Any = None) -> Any:
    """An operand as an array of the dtype (its own by default) that is not weak."""
    aval = getattr(x, "aval", None)
    if aval is not None and not aval.weak_type and (dtype is None or aval.dtype is dtype):
        return x
    x = as_array(x if dtype is None else convert(x, dtype))
    return structural.convert_element_type(x, x.dtype)


def dtype_of(x: Any) -> Any:
    """The canonical dtype of an operand."""
    aval = getattr(x, "aval", None)
    return get_aval(x).dtype if aval is None else aval.dtype


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an operand, () for numbers."""
    aval = getattr(x, "aval", None)
    return get_aval(x).shape if aval is None else aval.shape


# --- Dtypes ------------------------------------------------------------------------------------


def promote(*args: Any) -> list:
    """The arguments at their common dtype; TypeError where there is no implicit promotion."""
    dtype, weak = common_dtype(*args)
    return [convert(arg, dtype, weak) for arg in args]


def promote_inexact(*args: Any) -> list:
    """The arguments at their common dtype, or the default float where that is an integer."""
    dtype, weak = common_dtype(*args)
    dtype = inexact_dtype(dtype)
    return [convert(arg, dtype, weak) for arg in args]


def promoted(name: str, *args: Any) -> list:
    """The arguments of a function as arrays of their common dtype."""
    return [as_array(x) for x in promote(*[operand(name, x, i) for i, x in enumerate(args)])]


def promoted_inexact(name: str, *args: Any) -> list:
    """The arguments of a function as arrays of their common dtype, or of the default float."""
    given = [operand(name, x, i) for i, x in enumerate(args)]
    return [as_array(x) for x in promote_inexact(*given)]


def promote_numeric(*args: Any) -> list:
    """The arguments at their common dtype, or int32 where that is bool."""
    dtype, weak = common_dtype(*args)
    dtype = numeric_dtype(dtype)
    return [convert(arg, dtype, weak) for arg in args]


def common_dtype(*args: Any) -> tuple[Any, bool]:
    """(dtype, weak_type) to which the arguments promote."""
    return dtypes.promote_avals([get_aval(arg) for arg in args])


def inexact_dtype(dtype: Any) -> Any:
    """The dtype itself if it is floating or complex, else the default float dtype."""
    return dtype if dtype in INEXACT else dtypes.to_inexact(dtype)


def numeric_dtype(dtype: Any) -> Any:
    """The dtype itself, or int32 for bool."""
    return dtypes.to_numeric(dtype) if dtype is BOOL else dtype


def convert(x: Any, dtype: Any, weak: bool = False) -> Any:
    """The operand `x` at the dtype; its weak type changes only where its dtype does."""
    if type(x) in _NUMBERS:
        return literal(x, dtype, weak)
    if isinstance(x, (np.ndarray, np.generic)) and isinstance(dtype, np.dtype):
        return _cast_numpy(x, dtype)
    aval = get_aval(x)
    if aval.dtype == dtype:
        return x
    if aval.dtype in COMPLEX and dtype not in COMPLEX and dtype is not BOOL:
        x = lax.real(x)
    return structural.convert_element_type(x, dtype, weak)


@functools.lru_cache(maxsize=4096)
def scalar(value: Any, dtype: Any) -> Any:
    """The number as a NumPy scalar of the dtype: a literal that is not weak."""
    return np.asarray(value).astype(dtype)[()]


def number(size: Any, dtype: Any) -> Any:
    """A size, which may be symbolic, at the dtype."""
    if is_symbolic_dim(size):
        return structural.convert_element_type(size.dimension_as_value(), dtype)
    return scalar(size, dtype)


def constant_for(x: Any, value: Any) -> Any:
    """The number as a literal beside the operand `x`: weak only where x is a weak scalar."""
    aval = get_aval(x)
    if aval.weak_type and not aval.shape:
        return scalar_like(x, value)
    return scalar(value, aval.dtype)


def _cast_numpy(x: Any, dtype: Any) -> Any:
    if x.dtype == dtype:
        return x
    if x.dtype.kind == "c" and dtype not in COMPLEX:
        x = x.real
    return np.asarray(x).astype(dtype)[() if isinstance(x, np.generic) else ...]


def literal(x: Any, dtype: Any, weak: bool = False) -> Any:
    """The Python number `x` as a scalar that has the dtype, as NumPy casts it."""
    kind = type(x)
    own = dtypes.scalar_dtype(kind)
    if own == dtype and weak == (kind is not bool):
        return x
    if weak:
        for other in (int, float, complex):
            if dtypes.scalar_dtype(other) == dtype:
                return other(x)
        return structural.convert_element_type(x, dtype, True)
    value = np.asarray(x, own)
    return (value.real if dtype not in COMPLEX else value).astype(dtype)[()]


# --- Ranks -------------------------------------------------------------------------------------


def promote_shapes(name: str, *args: Any) -> list:
    """The arguments with leading axes of size 1, so that all ranks but 0 are equal.

    Obeys the option `jax_numpy_rank_promotion`; ValueError when the shapes do not broadcast.
    """
    shapes = [shape_of(arg) for arg in args]
    ranks = {len(shape) for shape in shapes if shape}
    if len(ranks) < 2:
        return list(args)
    if config.numpy_rank_promotion.value != "allow":
        _rank_promotion(name, shapes)
    lax.broadcast_shapes(*shapes)
    rank = max(ranks)
    return [to_rank(arg, rank) if shape else arg for arg, shape in zip(args, shapes)]


def to_rank(x: Any, rank: int) -> Any:
    """`x` with axes of size 1 in front, up to the given rank."""
    shape = shape_of(x)
    missing = rank - len(shape)
    if not missing:
        return x
    return structural.broadcast_in_dim(x, (1,) * missing + shape, tuple(range(missing, rank)))


def keep_axes(x: Any, axes: Sequence[int], ndim: int) -> Any:
    """The array with axes of size 1 at these places of its new rank, as where it was reduced."""
    if not axes:
        return x
    kept = tuple(i for i in range(ndim) if i not in axes)
    shape = [1] * ndim
    for i, size in zip(kept, x.shape):
        shape[i] = size
    return structural.broadcast_in_dim(x, tuple(shape), kept)


def indexed_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes counted from the front; IndexError for one that is not there.

    JAX has this class, instead of ValueError, in the functions that read the axis' size first.
    """
    try:
        return canonicalize_axes(axis, ndim)
    except ValueError as error:
        if "out of bounds" not in str(error):
            raise
        raise IndexError(str(error)) from None


def broadcast(x: Any, shape: tuple[int, ...]) -> Any:
    """The operand repeated to `shape`, its axes being the last ones."""
    have = shape_of(x)
    if have == shape:
        return x
    return structural.broadcast_in_dim(x, shape, tuple(range(len(shape) - len(have), len(shape))))


def _rank_promotion(name: str, shapes: list[tuple[int, ...]]) -> None:
    mode = config.numpy_rank_promotion.value
    listed = " ".join(map(str, (shape for shape in shapes if shape)))
    if mode == "warn":
        warnings.warn(
            f"Following NumPy automatic rank promotion for {name} on shapes {listed}. Set the "
            "jax_numpy_rank_promotion config option to 'allow' to disable this warning.",
            stacklevel=4)
        return
    raise ValueError(errors.describe(
        f"Operands could not be broadcast together for {name} on shapes {listed} "
        f"and with the config option jax_numpy_rank_promotion={mode!r}.",
        fix="give the operands equal ranks, e.g. x[None, :], or "
            "jax.config.update('jax_numpy_rank_promotion', 'allow')"))


# --- The operands of elementwise functions -----------------------------------------------------

# (dtype of a strong array, type of a number) -> function that makes the number's literal, or None
_casts: dict[tuple[Any, type], Callable[[Any], Any] | None] = {}


def operands(name: str, x: Any, y: Any) -> tuple[Any, Any, Any]:
    """(x, y, dtype): two operands at their common dtype and at ranks that lax takes."""
    a = getattr(x, "aval", None)
    b = getattr(y, "aval", None)
    if a is not None:
        if b is not None:
            if a.dtype is b.dtype:
                if a.shape == b.shape or a.ndim == b.ndim or not a.shape or not b.shape:
                    return x, y, a.dtype
        else:
            value = _number(a, y)
            if value is not None:
                return x, value, a.dtype
    elif b is not None:
        value = _number(b, x)
        if value is not None:
            return value, y, b.dtype
    x, y = operand(name, x), operand(name, y, 1)
    given = dtype_of(x), dtype_of(y)
    if given[0] != given[1] and any(isinstance(d, dtypes.ExtendedDType) for d in given):
        raise TypeError(errors.describe(
            f"{name} does not accept dtypes {given[0]}, {given[1]}.",
            fix="jax.random.key_data(key) gives the numbers of a key"))
    x, y = promote_shapes(name, *promote(x, y))
    return x, y, dtype_of(x)


def inexact_operands(name: str, x: Any, y: Any) -> tuple[Any, Any, Any]:
    """As `operands`, integers and bools made the default float."""
    x, y, dtype = operands(name, x, y)
    if dtype in INEXACT:
        return x, y, dtype
    x, y = promote_inexact(x, y)
    return x, y, dtype_of(x)


def numeric_operands(name: str, x: Any, y: Any) -> tuple[Any, Any, Any]:
    """As `operands`, bools made int32."""
    x, y, dtype = operands(name, x, y)
    if dtype is not BOOL:
        return x, y, dtype
    x, y = promote_numeric(x, y)
    return x, y, dtype_of(x)


def inexact_operand(name: str, x: Any) -> Any:
    """The operand of a function such as sin: integers and bools made the default float."""
    aval = getattr(x, "aval", None)
    if aval is not None and aval.dtype in INEXACT:
        return x
    x = operand(name, x)
    aval = get_aval(x)
    return convert(x, inexact_dtype(aval.dtype), aval.weak_type)


def _number(aval: Any, x: Any) -> Any:
    """The literal for a number beside an array of that type, None if that needs thought."""
    dtype = aval.dtype
    if aval.weak_type:
        return x if type(x) in _NUMBERS and get_aval(x).dtype is dtype else None
    try:
        cast = _casts[dtype, type(x)]
    except KeyError:
        cast = _find_cast(dtype, type(x))
    if cast is None:
        return None
    try:
        return cast(x)
    except OverflowError:  # 300 beside int8: wrapped like any conversion, on the slow path
        return None


def _find_cast(dtype: Any, kind: type) -> Callable[[Any], Any] | None:
    # bool is left out: it is not weak, so strict promotion refuses some of its pairs
    keeps = ((kind is int and (dtype in INTEGER or dtype in INEXACT))
             or (kind is float and dtype in INEXACT)
             or (kind is complex and dtype in COMPLEX))
    cast = _casts[dtype, kind] = dtype.type if keeps else None
    return cast
