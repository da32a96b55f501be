"""Making arrays: from Python and NumPy values, filled with one value, and ranges.

Invariant: eagerly nothing here compiles a program; values are made by NumPy and put on the
device.  While a function is being staged, filled arrays and ranges are operations of its program,
so that they need not be stored with it.

    array([1, 2.5])                 # float32, not weak
    array(3)                        # weak int32, as Python scalars are
    full((2, 3), 7, dtype="int8")
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import dims, dtypes, errors, tree
from minijax.base.dtypes import DTypeLike
from minijax.base.jaxlib import Array, ArrayImpl, Device, JaxRuntimeError, Sharding, _jax
from minijax.base.source import warn
from minijax.core import ShapedArray, Tracer, get_aval, is_tracer, state, structural
from minijax.lax.placement import committed_device, like
from minijax.lax.rules import ArrayLike, asked
from minijax.numpy.promotion import (
    COMPLEX, array_operand, as_array, broadcast, check_array_like, convert, operand, shape_of)
from minijax.runtime import place
from minijax.runtime.call import fused
from minijax.sharding import PartitionSpec
from minijax.sharding.context import get_mesh
from minijax.sharding.named import make, padded

Place = Device | Sharding | None
Shape = int | Sequence[int]

_NUMBERS = frozenset((bool, int, float, complex))
# Lists that hold more elements than this in arrays are put together on the device.
_HOST_LIMIT = 1 << 16

# --- From values -------------------------------------------------------------------------------


def array(object: Any, dtype: DTypeLike | None = None, copy: bool = True,
          order: str | None = "K", ndmin: int = 0, *, device: Place = None,
          out_sharding: Sharding | None = None) -> Array:
    """An array of the values of `object`: a number, an array, or nested lists of such.

    The dtype of a list is that to which its elements promote, and never weak.  With `copy` the
    result shares no memory with an array given.
    """
    if order is not None and order != "K":
        raise NotImplementedError(errors.describe("Only implemented for order='K'"))
    if dtype is not None:
        dtype = dtypes.check_user_dtype(dtype, "array")
    device = device if out_sharding is None else asked(out_sharding, "jnp.array")
    if isinstance(object, (Array, Tracer)):
        return _from_array(object, dtype, copy, ndmin, device)
    if copy and isinstance(object, np.ma.MaskedArray):
        object = object.data  # as a copy made by NumPy has no mask
    value, weak = _host_value(object, dtype)
    if isinstance(value, (Array, Tracer)):
        return _from_array(value, dtype, False, ndmin, device)
    if ndmin > value.ndim:
        value = value.reshape((1,) * (ndmin - value.ndim) + value.shape)
    return _put(value, ShapedArray(value.shape, value.dtype, weak), device)


def asarray(a: Any, dtype: DTypeLike | None = None, order: str | None = None, *,
            copy: bool | None = None, device: Place = None,
            out_sharding: Sharding | None = None) -> Array:
    """The value as an array; an array that has the dtype already is returned as it is."""
    if dtype is None and type(a) is ArrayImpl and not copy and device is out_sharding is None:
        return a
    return array(a, dtype, copy=bool(copy), order=order, device=device, out_sharding=out_sharding)


def copy(a: ArrayLike, order: str | None = None) -> Array:
    """A new array with the values of a."""
    a = operand("copy", a)
    return array(a, copy=True, order=order)


def _put(value: np.ndarray, aval: ShapedArray, device: Place, owned: bool = False,
         range_: bool = False) -> Array:
    sharding = place.target_sharding(device)
    if sharding is None and not state.trace.staging and not get_mesh().empty:
        sharding = make(get_mesh(), PartitionSpec())  # values are where programs run
    if owned or device is not None:
        sharding = padded(sharding, value.ndim)
    try:
        return place.from_numpy(value, aval, sharding, sharding is not None, owned)
    except JaxRuntimeError:
        if not range_:
            raise
        # A transfer guard forbids implicit transfers; positions are none in user terms.
        guards = _jax.guard_lib.thread_local_state()
        guards.explicit_device_put = True
        try:
            return place.from_numpy(value, aval, sharding, sharding is not None, owned)
        finally:
            guards.explicit_device_put = False


def _from_array(x: Any, dtype: Any, copy: bool, ndmin: int, device: Place) -> Any:
    aval = x.aval
    if dtype is not None and (dtype != aval.dtype or aval.weak_type):
        x = _converted(x, dtype)
    elif copy:
        x = place.copy(x) if type(x) is ArrayImpl else lax.copy_p.bind(x)
    if ndmin > aval.ndim:
        x = _filled_up(x, ndmin)
    return x if device is None else place.device_put(x, padded(device, x.ndim))


@fused(static_argnums=(1,))
def _converted(x: Array, dtype: Any) -> Array:
    aval = x.aval
    if aval.dtype in COMPLEX and dtype not in COMPLEX and dtype != np.bool_:
        x = lax.real(x)
    return structural.convert_element_type(x, dtype)


@fused(static_argnums=(1,))
def _filled_up(x: Array, ndmin: int) -> Array:
    return broadcast(x, (1,) * (ndmin - x.ndim) + x.shape)


def _host_value(object: Any, dtype: Any) -> tuple[Any, bool]:
    """(NumPy array of canonical dtype, or an array if there is one in it; whether it is weak)."""
    kind = type(object)
    if kind in _NUMBERS:
        if dtype is not None:
            return np.array(object, dtype), False
        dtype = dtypes.scalar_dtype(kind)
        try:
            return np.array(object, dtype), kind is not bool
        except OverflowError:
            raise OverflowError(f"Python int {object} too large to convert to {dtype}") from None
    if isinstance(object, (np.ndarray, np.generic)):
        if isinstance(object, np.ma.MaskedArray):
            get_aval(object)  # refuses it
        return _canonical(object, dtype), False
    if object is None:
        raise ValueError(errors.describe("None is not a valid value for jnp.array"))
    if hasattr(object, "__jax_array__"):
        return object.__jax_array__(), False
    if isinstance(object, (list, tuple)):
        return _from_list(object, dtype), False
    return _canonical(np.asarray(object), dtype, object), False


def _canonical(value: Any, dtype: Any, shown: Any = None) -> np.ndarray:
    value = np.asarray(value)
    if value.dtype.kind in "OSUMmT":
        shown = value if shown is None else shown
        raise TypeError(errors.describe(
            f"Value '{str(shown):.200}' with dtype {value.dtype} is not a valid JAX array type. "
            "Only arrays of numeric types are supported by JAX.",
            fix="convert it to numbers first, e.g. with np.asarray(x, dtype='float32')"))
    if dtype is None:
        dtype = dtypes.canonicalize_dtype(value.dtype)
    if value.dtype.kind == "c" and dtype not in COMPLEX and dtype != np.bool_:
        value = value.real
    return value.astype(dtype, copy=False)


def _from_list(values: Sequence, dtype: Any) -> Any:
    leaves = tree.leaves(values)
    kinds, count = set(map(type, leaves)), len(leaves)
    if not kinds <= _NUMBERS:
        values = tree.map(_unwrapped, values, is_leaf=_is_wrapped)
        leaves = tree.leaves(values)
        if any(isinstance(x, (Tracer, Array)) for x in leaves):
            return _from_arrays(values, leaves, dtype)
        count = sum(getattr(x, "size", 1) for x in leaves)
        leaves = {(type(x), getattr(x, "dtype", None)): x for x in leaves}.values()
    else:
        leaves = [kind() for kind in kinds]
    if dtype is None:
        dtype = _common_dtype(leaves)
    value = np.array(values) if dtype is None else _as_numpy(values, dtype)
    if value.size > count and value.dtype.kind != "O":  # NumPy made a nan of it
        raise ValueError(errors.describe("None is not a valid value for jnp.array"))
    return _canonical(value, dtype, values)


def _is_wrapped(x: Any) -> bool:
    return hasattr(x, "__jax_array__")


def _unwrapped(x: Any) -> Any:
    return x.__jax_array__() if _is_wrapped(x) else x


def _as_numpy(values: Sequence, dtype: Any) -> np.ndarray:
    try:
        return np.array(values, dtype)
    except TypeError:
        if None in tree.leaves(values, is_leaf=lambda x: x is None):
            raise ValueError(errors.describe("None is not a valid value for jnp.array")) from None
        return np.array(values)


def _common_dtype(leaves: Any) -> Any:
    """The dtype of a list with these elements; None when they are no numbers."""
    if not leaves:
        return dtypes.default_float()
    if any(isinstance(x, (str, bytes)) for x in leaves):
        return None
    try:
        return dtypes.lattice_result_type(*leaves)[0]
    except TypeError:
        return None


def _from_arrays(values: Sequence, leaves: list, dtype: Any) -> Any:
    """Nested lists that hold arrays or tracers."""
    if dtype is None:
        dtype = leaves[0].dtype if _is_extended(leaves[0]) else dtypes.lattice_result_type(
            *leaves)[0]
    host = not state.trace.staging and not any(isinstance(x, Tracer) for x in leaves)
    small = sum(map(np.size, leaves)) <= _HOST_LIMIT
    if host and small and isinstance(dtype, np.dtype):
        return np.array(tree.map(np.asarray, values)).astype(dtype, copy=False)
    return _stacked(values, dtype)


def _is_extended(x: Any) -> bool:
    return isinstance(getattr(x, "dtype", None), dtypes.ExtendedDType)


@fused(static_argnums=(1,))
def _stacked(values: Any, dtype: Any) -> Any:
    if isinstance(values, (list, tuple)):
        if not values:
            return full((0,), 0, dtype)
        return lax.stack([_stacked.body(x, dtype) for x in values], 0)
    x = array_operand("array", values)
    return structural.convert_element_type(convert(x, dtype), dtype)


def astype(x: ArrayLike, dtype: DTypeLike | None, /, *, copy: bool = False,
           device: Place = None) -> Array:
    """x converted to the dtype (None: the default float); of complex numbers the real part."""
    if type(x) in _NUMBERS or isinstance(x, np.generic):
        x = array(x)
    x = operand("astype", x)
    target = dtypes.check_user_dtype(dtype, "astype")
    aval = getattr(x, "aval", None)
    if aval is not None and aval.dtype == target and not aval.weak_type:
        return _from_array(x, None, copy, 0, device)
    if target not in COMPLEX and target != np.bool_ and x.dtype.kind == "c":
        warn("Casting from complex to real dtypes will soon raise a ValueError. Please first use "
             "jnp.real or jnp.imag to take the real/imaginary component of your input.",
             DeprecationWarning)
    return _from_array(_astype(x, target), None, False, 0, device)


@fused(static_argnums=(1,))
def _astype(x: ArrayLike, dtype: Any) -> Array:
    return _converted.body(as_array(x), dtype)


# --- Filled with one value ---------------------------------------------------------------------


def zeros(shape: Any, dtype: DTypeLike | None = None, *, device: Place = None,
          out_sharding: Sharding | None = None) -> Array:
    """An array of zeros, by default of the default float dtype."""
    device = device if out_sharding is None else asked(out_sharding, "jnp.zeros")
    return _constant("zeros", shape, 0, dtype, device)


def ones(shape: Any, dtype: DTypeLike | None = None, *, device: Place = None,
         out_sharding: Sharding | None = None) -> Array:
    """An array of ones, by default of the default float dtype."""
    device = device if out_sharding is None else asked(out_sharding, "jnp.ones")
    return _constant("ones", shape, 1, dtype, device)


def empty(shape: Any, dtype: DTypeLike | None = None, *, device: Place = None,
          out_sharding: Sharding | None = None) -> Array:
    """An array of zeros: there are no uninitialised arrays."""
    device = device if out_sharding is None else asked(out_sharding, "jnp.empty")
    return _constant("empty", shape, 0, dtype, device)


def _constant(name: str, shape: Any, value: int, dtype: Any, device: Place) -> Array:
    if isinstance(dtype, int) and isinstance(shape, int):
        raise TypeError(errors.describe(
            f"Did you accidentally write `jax.numpy.{name}({shape}, {dtype})` "
            f"when you meant `jax.numpy.{name}(({shape}, {dtype}))`?",
            because=f"the second argument of {name} is a dtype",
            fix=f"jnp.{name}(({shape}, {dtype}))"))
    return _filled(shape, value, dtypes.check_user_dtype(dtype, name), False, device)


def full(shape: Any, fill_value: ArrayLike, dtype: DTypeLike | None = None, *,
         device: Place = None, out_sharding: Sharding | None = None) -> Array:
    """An array with fill_value (broadcast to `shape`) in it, in its dtype unless one is given."""
    if dtype is not None:
        dtype = dtypes.check_user_dtype(dtype, "full")
    device = device if out_sharding is None else asked(out_sharding, "full")
    return _full("full", shape, fill_value, dtype, False, device)


def zeros_like(a: Any, dtype: DTypeLike | None = None, shape: Any = None, *,
               device: Place = None, out_sharding: Sharding | None = None) -> Array:
    """Zeros with the shape and dtype of a, unless others are given."""
    device = device if out_sharding is None else asked(out_sharding, "jnp.zeros_like")
    return _filled_like("zeros_like", a, 0, dtype, shape, device)


def ones_like(a: Any, dtype: DTypeLike | None = None, shape: Any = None, *,
              device: Place = None, out_sharding: Sharding | None = None) -> Array:
    """Ones with the shape and dtype of a, unless others are given."""
    device = device if out_sharding is None else asked(out_sharding, "jnp.ones_like")
    return _filled_like("ones_like", a, 1, dtype, shape, device)


def empty_like(prototype: Any, dtype: DTypeLike | None = None, shape: Any = None, *,
               device: Place = None) -> Array:
    """Zeros with the shape and dtype of the prototype, unless others are given."""
    return _filled_like("empty_like", prototype, 0, dtype, shape, device)


def full_like(a: Any, fill_value: ArrayLike, dtype: DTypeLike | None = None, shape: Any = None, *,
              device: Place = None, out_sharding: Sharding | None = None) -> Array:
    """An array with fill_value in it and the shape and dtype of a, unless others are given."""
    device = device if out_sharding is None else asked(out_sharding, "full_like")
    return _filled_like("full_like", a, fill_value, dtype, shape, device,
                        functools.partial(_full, "full_like"))


def _filled_like(name: str, a: Any, value: Any, dtype: Any, shape: Any, device: Place,
                 fill: Callable | None = None) -> Array:
    device, typed = _like_device(a, shape, device), is_tracer(a) and shape is None
    shape, dtype, weak = _like(name, a, dtype, shape)
    out = (fill or _filled)(shape, value, dtype, weak, device)
    return like(out, a) if typed and device is None else out


def _like_device(a: Any, shape: Any, device: Place) -> Place:
    """Where an array like `a` lives: with it, if that was committed to a place, or says one."""
    if device is None and shape is None:
        if type(a) is ArrayImpl:
            return a._sharding if a._committed else None
        return None if is_tracer(a) else committed_device(a)
    return device


def _like(name: str, a: Any, dtype: DTypeLike | None, shape: Any) -> tuple[Any, Any, bool]:
    """(shape, dtype, weak) of an array like `a`, which need only have a shape and a dtype."""
    weak = False
    if dtype is not None:
        dtype = dtypes.check_user_dtype(dtype, name)
        if shape is not None:
            return shape, dtype, False
    if hasattr(a, "shape") and hasattr(a, "dtype"):
        own_shape, own_dtype = a.shape, dtypes.canonicalize_dtype(a.dtype, True)
        weak = bool(getattr(a, "weak_type", False))
    else:
        a = operand(name, a)
        aval = get_aval(a)
        own_shape, own_dtype, weak = aval.shape, aval.dtype, aval.weak_type
    shape = own_shape if shape is None else shape
    return (shape, own_dtype, weak) if dtype is None else (shape, dtype, False)


def shape_tuple(shape: Any, context: str = "") -> tuple[int, ...]:
    """The shape as a tuple of ints; TypeError for sizes that are no concrete integers."""
    try:
        if type(shape) is not tuple:
            shape = (operator.index(shape),) if not np.ndim(shape) else tuple(shape)
        shape = tuple(map(operator.index, shape))
    except TypeError:
        symbolic = dims.symbolic_shape_or_none(shape)
        if symbolic is not None:
            return symbolic
        shown = shape if isinstance(shape, tuple) else (shape,)
        raise TypeError(errors.describe(
            f"Shapes must be 1D sequences of concrete values of integer type, got {shown}."
            + (f" {context}" if context else "") + errors.unavailable(shown),
            fix="under jit, make the argument that the shape comes from static, "
                "e.g. jax.jit(f, static_argnums=0)")) from None
    if shape and min(shape) < 0:
        raise TypeError(errors.describe(
            f"broadcast_in_dim shape must have every element be nonnegative, got {shape}.",
            fix="give sizes that are 0 or more"))
    return shape


def _filled(shape: Any, value: int, dtype: Any, weak: bool, device: Place) -> Array:
    shape = shape_tuple(shape)
    if isinstance(dtype, dtypes.ExtendedDType):
        return dtype.full(shape, value)
    if dtype == dtypes.float0:  # no device has it
        return np.zeros(shape, dtype)
    if state.trace.staging:
        return _staged_full(np.array(value, dtype)[()], ShapedArray(shape, dtype, weak), device)
    host = np.zeros(shape, dtype) if value == 0 else np.full(shape, value, dtype)
    return _put(host, ShapedArray(shape, dtype, weak), device, True)


def _staged_full(value: Any, aval: ShapedArray, device: Place) -> Any:
    if aval.weak_type:
        value = structural.convert_element_type(value, aval.dtype, True)
    full = structural.broadcast_in_dim(value, aval.shape, ()) if aval.shape else as_array(value)
    return full if device is None else place.device_put(full, device)


def _full(name: str, shape: Any, value: Any, dtype: Any, weak: bool, device: Place) -> Array:
    if not isinstance(value, (list, tuple)):
        check_array_like(name, value)
    shape = shape_tuple(shape)
    if dtype == dtypes.float0:
        return np.zeros(shape, dtype)
    if isinstance(dtype, dtypes.ExtendedDType):
        return dtype.full(shape, value)
    if isinstance(value, (Array, Tracer)) or hasattr(value, "__jax_array__"):
        return _from_array(_broadcast_fill(value, shape, dtype, weak), None, False, 0, device)
    if type(value) is int and dtype is not None:
        value = np.array(value).astype(dtype)  # it may be too large for an int32
    host, own_weak = _host_value(value, None)
    if dtype is None:
        dtype, weak = host.dtype, own_weak
    host = _canonical(host, dtype)
    if state.trace.staging and not host.ndim:
        return _staged_full(host[()], ShapedArray(shape, dtype, weak), device)
    host = np.full(shape, host, dtype)
    return _put(host, ShapedArray(shape, dtype, weak and device is None), device, True)


@fused(static_argnums=(1, 2, 3))
def _broadcast_fill(value: Any, shape: tuple[int, ...], dtype: Any, weak: bool) -> Array:
    value = array_operand("full", value)
    if dtype is not None:
        value = structural.convert_element_type(convert(value, dtype), dtype, weak)
    lax.broadcast_shapes(shape_of(value), shape)
    return broadcast(value, shape)


# --- Ranges ------------------------------------------------------------------------------------


def arange(start: ArrayLike, stop: ArrayLike | None = None, step: ArrayLike | None = None,
           dtype: DTypeLike | None = None, *, device: Place = None,
           out_sharding: Sharding | None = None) -> Array:
    """start, start + step, ... up to but without stop; arange(n) counts from 0.

    The arguments must be concrete numbers.  The dtype is that to which they promote.
    """
    dtype = None if dtype is None else dtypes.check_user_dtype(dtype, "arange")
    device = device if out_sharding is None else asked(out_sharding, "jnp.arange")
    if type(start) is int and stop is None and step is None:  # by far the most frequent call
        aval = ShapedArray((max(start, 0),), dtypes.default_int() if dtype is None else dtype)
        line = None
    else:
        aval, line = _range_line(start, stop, step, dtype)
    if aval.dtype == np.bool_:
        raise TypeError(errors.describe(
            "iota does not accept dtype bool. Accepted dtypes are subtypes of integer, floating, "
            "complexfloating.", fix="jnp.arange(n) and a comparison"))
    if state.trace.staging:
        out = _staged_range(aval, line)
        return out if device is None else place.device_put(out, device)
    return _put(_host_range(aval, line), aval, device, True, True)


def _range_line(start: Any, stop: Any, step: Any, dtype: Any) -> tuple[ShapedArray, Any]:
    """The type of a range, and its (first, step) unless these are 0 and 1."""
    if start is None:
        raise TypeError(errors.describe("must be real number, not NoneType"))
    given = {"start": start, "stop": stop, "step": step}
    if stop is None:
        given = {"stop": start, "step": step}
    given = {name: _bound(name, x) for name, x in given.items() if x is not None}
    if not dims.constant(*given.values()):
        return _symbolic_range(given, dtype)
    if dtype is None:
        dtype = dtypes.result_type(*given.values())
        if dtype in COMPLEX:
            raise ValueError("Passing complex start/stop/step to jnp.arange is no longer "
                             "supported starting in JAX v0.10.0.")
    first, last, by = given.get("start", 0), given["stop"], given.get("step", 1)
    size = max(int(np.ceil((last - first) / by)), 0) if by else _zero_step()
    return ShapedArray((size,), dtype), None if (first, by) == (0, 1) else (first, by)


def _symbolic_range(given: dict[str, Any], dtype: Any) -> tuple[ShapedArray, Any]:
    first, last, by = given.get("start", 0), given["stop"], given.get("step", 1)
    dtype = dtypes.default_int() if dtype is None else dtype
    count = (last - first + by - 1) // by if by > 0 else (first - last - by - 1) // -by
    simple = "start" not in given and "step" not in given
    return ShapedArray((dims.max_dim(count, 0),), dtype), None if simple else (first, by)


def _zero_step() -> int:
    raise ZeroDivisionError("division by zero")


def _bound(name: str, x: Any) -> Any:
    """A concrete number of Python or NumPy."""
    if isinstance(x, (Array, Tracer)):
        concrete = x if not isinstance(x, Tracer) else x.concrete()
        if concrete is None:
            raise errors.ConcretizationTypeError(
                x, f"It arose in the jnp.arange argument '{name}'")
        x = np.asarray(concrete)
    if dims.is_symbolic_dim(x):
        return x
    if np.ndim(x):
        raise ValueError(errors.describe(
            f"jax.numpy.arange: arguments must be scalars; got {name}={x}", fix="jnp.arange(n)"))
    if type(x) not in _NUMBERS:
        if not isinstance(x, (np.ndarray, np.generic)):
            raise TypeError(errors.describe(f"must be real number, not {type(x).__name__}"))
        get_aval(x)
        x = x[()]
    return x


def _host_range(aval: ShapedArray, line: tuple | None) -> np.ndarray:
    dtype = aval.dtype
    if line is None and dtype.kind in "iu" and dtype.itemsize > 2:
        return np.arange(aval.size, dtype=dtype)
    steps = np.arange(aval.size, dtype=np.int64)
    if line is None:
        return steps.astype(dtype)
    first, by = (np.asarray(x).astype(dtype) for x in line)
    with np.errstate(all="ignore"):
        return first + by * steps.astype(dtype)


def _staged_range(aval: ShapedArray, line: tuple | None) -> Any:
    steps = lax.iota(aval.dtype, aval.size)
    if line is None:
        return steps
    first, by = (np.asarray(x).astype(aval.dtype)[()] for x in line)
    if by != 1:
        steps = lax.mul(by, steps)
    return lax.add(first, steps)
