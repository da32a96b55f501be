"""What samplers share: checking their arguments, and pieces of their bodies.

Invariant: a body is jitted, with `shape` and `dtype` static, so an eager call of a sampler is one
dispatch, and a traced one is one equation.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.api.jit import jit
from minijax.base import dtypes, errors
from minijax.base.dims import symbolic_shape_or_none
from minijax.core import aval_of
from minijax.lax.explicit import split_as
from minijax.random.keys import as_key, random_split_p
from minijax.runtime.place import device_put
from minijax.sharding import NamedSharding, PartitionSpec

Shape = Sequence[int] | int

# --- Arguments ---------------------------------------------------------------------------------


def canonical_shape(name: str, shape: Any) -> tuple[int, ...]:
    """`shape` as a tuple of ints; TypeError if it is not one, ValueError for negative sizes."""
    if isinstance(shape, (int, np.integer)):
        shape = (shape,)
    try:
        sizes = tuple(map(operator.index, shape))
    except TypeError:
        symbolic = symbolic_shape_or_none(shape)
        if symbolic is not None:
            return symbolic
        raise TypeError(errors.describe(
            f"Shapes must be 1D sequences of concrete values of integer type, got {shape}.",
            fix=f"jax.random.{name}(key, (3, 4))")) from None
    if sizes and min(sizes) < 0:
        raise ValueError(errors.describe(
            f"{name} got a negative size in the shape {sizes}", fix="sizes start at 0"))
    return sizes


def result_shape(name: str, shape: Any, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a result whose parameters have these shapes: theirs, or one they fit into."""
    if shape is None:
        return lax.broadcast_shapes(*shapes)
    shape = canonical_shape(name, shape)
    found = lax.broadcast_shapes(shape, *shapes)
    if found != shape:
        raise ValueError(errors.describe(
            f"{name} parameter shapes must be broadcast-compatible with shape argument, and the "
            "result of broadcasting the shapes must equal the shape argument, but got result "
            f"{found} for shape argument {shape}.", fix=f"shape={found}"))
    return shape


def float_dtype(name: str, dtype: Any, complex_too: bool = False) -> np.dtype:
    """The dtype of a sampler of floats, by default the widest enabled one."""
    if dtype is None:
        return dtypes.default_float()
    dtype = dtypes.check_user_dtype(dtype)
    kinds = "float or complex" if complex_too else "float"
    if not (dtypes.issubdtype(dtype, np.floating)
            or (complex_too and dtypes.issubdtype(dtype, np.complexfloating))):
        raise ValueError(errors.describe(
            f"dtype argument to `{name}` must be a {kinds} dtype, got {dtype}",
            fix=f"jax.random.{name}(key, ..., dtype='float32')"))
    return dtype


def integer_dtype(name: str, dtype: Any, error: type = TypeError, text: str = "") -> np.dtype:
    """The dtype of a sampler of integers, by default the widest enabled one."""
    if dtype is None:
        return dtypes.default_int()
    dtype = dtypes.check_user_dtype(dtype)
    if not dtypes.issubdtype(dtype, np.integer):
        raise error(errors.describe(
            (text or "{name} only accepts integer dtypes, got {dtype}").format(
                name=name, dtype=dtype),
            fix=f"jax.random.{name}(key, ..., dtype='int32')"))
    return dtype


def check_width(name: str, dtype: Any, *params: Any) -> None:
    """TypePromotionError when a parameter would lose digits at the dtype of the result."""
    for x in params:
        aval = aval_of(x)
        lossless = aval.weak_type and aval.dtype.kind != "c"
        if not lossless and dtypes.promote_types(aval.dtype, dtype) != dtype:
            raise dtypes.TypePromotionError(errors.describe(
                f"In arguments to {name}, cannot safely cast argument of type {aval.dtype} to "
                f"{dtype}", fix=f"dtype='{aval.dtype}', or param.astype('{dtype}')"))


def placed(out: Any, out_sharding: Any) -> Any:
    """The result where `out_sharding` wants it."""
    if out_sharding is None or getattr(getattr(out_sharding, "mesh", None), "empty", False):
        return out  # the sharding in a type names no axes where there is no mesh
    if isinstance(out_sharding, (NamedSharding, PartitionSpec)):
        return split_as(out, out_sharding, "a sampler")
    return device_put(out, out_sharding)


# --- Bodies ------------------------------------------------------------------------------------


def body(*static: str) -> Callable[[Callable], Any]:
    """Jit a body whose arguments of these names, by default shape and dtype, are static."""
    return lambda fun: jit(fun, static_argnames=static or ("shape", "dtype"))


_LENIENT = {"gamma", "truncated_normal", "binomial"}  # these cast their parameters to any dtype


def draw(name: str, compiled: Callable, key: Any, params: Sequence[Any], shape: Any, dtype: Any,
         out_sharding: Any) -> Any:
    """Call the body of a sampler of floats that has parameters, in the order key, parameters."""
    key, _ = as_key(name, key)
    dtype = float_dtype(name, dtype)
    if name not in _LENIENT:
        check_width(name, dtype, *params)
    shape = result_shape(name, shape, *[aval_of(x).shape for x in params])
    return placed(compiled(key, *params, shape=shape, dtype=dtype), out_sharding)


def split_keys(key: Any, count: int = 2) -> tuple[Any, ...]:
    """New keys, in a tuple."""
    keys = random_split_p.bind(key, shape=(count,))
    return tuple(lax.index_in_dim(keys, i, keepdims=False) for i in range(count))


def constant(value: Any, dtype: Any) -> Any:
    """A number as a literal of the dtype."""
    return np.asarray(value, dtype)[()]


def aligned(x: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
    """A parameter at `dtype`, a scalar or of the rank of `shape`, with sizes 1 where it repeats."""
    x = lax.convert_element_type(x, dtype)
    own = aval_of(x).shape
    if not own or len(own) >= len(shape):
        return x
    lead = len(shape) - len(own)
    return lax.broadcast_in_dim(x, (1,) * lead + own, tuple(range(lead, len(shape))))


def spread(x: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
    """A parameter at `dtype`, repeated to `shape`."""
    x = lax.convert_element_type(x, dtype)
    own = aval_of(x).shape
    if own == shape:
        return x
    return lax.broadcast_in_dim(x, shape, tuple(range(len(shape) - len(own), len(shape))))
