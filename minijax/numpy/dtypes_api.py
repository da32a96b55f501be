"""The dtypes of jnp as callable objects, and questions about dtypes, shapes and kinds of values.

Invariant: a scalar type such as `float32` stands for its dtype wherever NumPy takes one, and is
equal to (and hashes as) NumPy's type of that name, so either may be a key or a static argument.

    float32(3)                      # an array of dtype float32
    x.astype(bfloat16), np.dtype(int8)
"""

import builtins
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minijax.base import dtypes, errors
from minijax.base.dtypes import DTypeLike
from minijax.base.jaxlib import Array
from minijax.base.source import warn
from minijax.base.util import canonicalize_axis
from minijax.core import get_aval
from minijax.numpy.creation import asarray
from minijax.numpy.promotion import is_array_like


class ScalarType(type):
    """The class of `float32` and its kin: classes that cannot be instantiated, but called."""

    dtype: np.dtype

    def __call__(cls, x: Any) -> Array:
        return asarray(x, dtype=cls.dtype)

    def __eq__(cls, other: object) -> bool:
        return cls is other or cls.dtype.type == other

    def __ne__(cls, other: object) -> bool:
        return not cls == other

    def __hash__(cls) -> int:
        return hash(cls.dtype.type)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.dtype.type)


def _scalar_type(kind: Any) -> ScalarType:
    dtype = np.dtype(kind)
    doc = f"The scalar type of {dtype.name}: called, it makes an array of that dtype."
    return ScalarType(dtype.name, (), {
        "dtype": dtype, "__doc__": doc, "__module__": "minijax.numpy"})


bool = bool_ = _scalar_type(np.bool_)
int2 = _scalar_type(dtypes.int2)
int4 = _scalar_type(dtypes.int4)
int8 = _scalar_type(np.int8)
int16 = _scalar_type(np.int16)
int32 = _scalar_type(np.int32)
int64 = _scalar_type(np.int64)
uint2 = _scalar_type(dtypes.uint2)
uint4 = _scalar_type(dtypes.uint4)
uint8 = _scalar_type(np.uint8)
uint16 = _scalar_type(np.uint16)
uint32 = _scalar_type(np.uint32)
uint64 = _scalar_type(np.uint64)
float4_e2m1fn = _scalar_type(dtypes.float4_e2m1fn)
float6_e2m3fn = _scalar_type(dtypes.float6_e2m3fn)
float6_e3m2fn = _scalar_type(dtypes.float6_e3m2fn)
float8_e3m4 = _scalar_type(dtypes.float8_e3m4)
float8_e4m3 = _scalar_type(dtypes.float8_e4m3)
float8_e4m3b11fnuz = _scalar_type(dtypes.float8_e4m3b11fnuz)
float8_e4m3fn = _scalar_type(dtypes.float8_e4m3fn)
float8_e4m3fnuz = _scalar_type(dtypes.float8_e4m3fnuz)
float8_e5m2 = _scalar_type(dtypes.float8_e5m2)
float8_e5m2fnuz = _scalar_type(dtypes.float8_e5m2fnuz)
float8_e8m0fnu = _scalar_type(dtypes.float8_e8m0fnu)
bfloat16 = _scalar_type(dtypes.bfloat16)
float16 = _scalar_type(np.float16)
float32 = single = _scalar_type(np.float32)
float64 = double = float_ = _scalar_type(np.float64)
complex64 = csingle = _scalar_type(np.complex64)
complex128 = cdouble = complex_ = _scalar_type(np.complex128)
int_, uint = int64, uint64
if dtypes.int1 is not None and dtypes.uint1 is not None:
    int1, uint1 = _scalar_type(dtypes.int1), _scalar_type(dtypes.uint1)

dtype = np.dtype
generic = np.generic
number = np.number
integer = np.integer
signedinteger = np.signedinteger
unsignedinteger = np.unsignedinteger
inexact = np.inexact
floating = np.floating
complexfloating = np.complexfloating
flexible = np.flexible
character = np.character
object_ = np.object_
ComplexWarning = np.exceptions.ComplexWarning
finfo = dtypes.finfo
iinfo = dtypes.iinfo
can_cast = np.can_cast


def promote_types(a: DTypeLike, b: DTypeLike) -> np.dtype:
    """The smallest dtype that both convert to."""
    return dtypes.promote_types(a, b)


def result_type(*args: Any) -> np.dtype:
    """The dtype of an operation on these arrays, numbers and dtypes."""
    return dtypes.result_type(*args)


def issubdtype(arg1: DTypeLike, arg2: DTypeLike) -> builtins.bool:
    """Whether a dtype is below another one, e.g. bfloat16 below floating."""
    return dtypes.issubdtype(arg1, arg2)


def isdtype(dtype: DTypeLike, kind: Any) -> builtins.bool:
    """Whether a dtype is of a kind such as "real floating", or one of several kinds and dtypes."""
    return dtypes.isdtype(dtype, kind)


# --- Questions about values --------------------------------------------------------------------


def shape(a: Any) -> tuple[int, ...]:
    """The shape of an array; () for a number."""
    return _shape("shape", a)


def _shape(name: str, a: Any) -> tuple[int, ...]:
    own = getattr(a, "shape", None)
    if own is not None:
        return own
    if hasattr(a, "__jax_array__"):
        a = a.__jax_array__()
    elif not is_array_like(a):
        warn(f"{name} requires ndarray or scalar arguments, got {type(a)} at position 0. In a "
             "future JAX release this will be an error.", DeprecationWarning)
    return np.shape(a)


def ndim(a: Any) -> int:
    """The number of axes of an array; 0 for a number."""
    return len(_shape("ndim", a))


def size(a: Any, axis: int | Sequence[int] | None = None) -> int:
    """The number of elements, or of those along the axes."""
    sizes = _shape("size", a)
    if axis is None:
        return math.prod(sizes)
    axes = [canonicalize_axis(i, len(sizes)) for i in ((axis,) if np.ndim(axis) == 0 else axis)]
    if len(set(axes)) != len(axes):
        raise ValueError(errors.describe(f"repeated axis: {axis}"))
    return math.prod(sizes[i] for i in axes)


def isscalar(element: Any) -> builtins.bool:
    """Whether the value is a number or an array of rank 0 (or a string)."""
    if is_array_like(element):
        return not shape(element)
    return np.isscalar(element)


def iscomplexobj(x: Any) -> builtins.bool:
    """Whether the dtype is complex, whatever the values are."""
    own = getattr(x, "dtype", None)
    if own is None:
        try:
            own = get_aval(x).dtype if is_array_like(x) else np.asarray(x).dtype
        except TypeError:
            return False
    return dtypes.issubdtype(own, np.complexfloating)


def isrealobj(x: Any) -> builtins.bool:
    """Whether the dtype is not complex, whatever the values are."""
    return not iscomplexobj(x)


def iterable(y: Any) -> builtins.bool:
    """Whether the value can be iterated over."""
    return np.iterable(y) if not hasattr(y, "aval") else isinstance(y, Iterable) and y.ndim > 0
