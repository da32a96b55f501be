"""Putting arrays together and taking them apart: concatenate, stack, split and their kin.

Invariant: the operands are brought to one dtype and then handed to one `lax` operation; a list
of n arrays costs one operation, not n.

    concatenate([x, y], axis=1), stack([x, y]), split(x, 3), unstack(x)
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import dtypes, errors
from minijax.base.dtypes import DTypeLike
from minijax.base.jaxlib import Array
from minijax.base.util import canonicalize_axis
from minijax.core import Tracer, structural
from minijax.lax.rules import ArrayLike
from minijax.numpy.manipulation import _at_least
from minijax.numpy.promotion import (
    array_operand, as_array, convert, indexed_axes, is_array_like, operand, promote, refuse_out,
    shape_of, to_rank)
from minijax.runtime.call import fused

Arrays = Array | np.ndarray | Sequence[ArrayLike]


def _parts(name: str, array: Any) -> list:
    array = array_operand(name, array)
    if not array.ndim:
        raise TypeError(errors.describe(f"{name} needs a sequence of arrays, got a single number",
                                        fix=f"jnp.{name}([x, y])"))
    return lax.unstack(array, 0)


def _operands(name: str, arrays: Any, dtype: Any) -> list:
    """The arrays of a sequence (or the parts of one array) at one dtype."""
    if not isinstance(arrays, (list, tuple)):
        arrays = _parts(name, arrays)
    xs = [operand(name, x, i) for i, x in enumerate(arrays)]
    if not xs:
        raise ValueError(errors.describe("Need at least one array to "
                                         f"{'stack' if name == 'stack' else 'concatenate'}.",
                                         fix="test for an empty list first"))
    if dtype is not None:
        dtype = dtypes.check_user_dtype(dtype, name)
        return [as_array(structural.convert_element_type(convert(as_array(x), dtype), dtype))
                for x in xs]
    return [as_array(x) for x in promote(*xs)]


def _of_sequence(fun: Callable, error: type[Exception] = ValueError) -> Callable:
    """`fun`, which says so when it is given arrays one by one, where an axis should be."""
    @functools.wraps(fun)
    def checked(*args: Any, **kwargs: Any) -> Array:
        if len(args) > 1 and isinstance(args[1], (Array, np.ndarray)) and args[1].ndim:
            name, shapes = fun.__name__, ", ".join(str(np.shape(x)) for x in args)
            raise error(errors.describe(
                f"jnp.{name} takes one sequence of arrays; got {len(args)} arrays of the shapes "
                f"{shapes}", fix=f"jnp.{name}([x, y])"))
        return fun(*args, **kwargs)
    return checked


@_of_sequence
@fused(static_argnames=("axis", "dtype"))
def concatenate(arrays: Arrays, axis: int | None = 0, dtype: DTypeLike | None = None) -> Array:
    """The arrays one after the other along an axis; without an axis (None) all flattened."""
    xs = _operands("concatenate", arrays, dtype)
    return _concatenated(xs, axis)


def _concatenated(xs: list, axis: int | None) -> Any:
    if axis is None:
        xs, axis = [structural.reshape(x, (x.size,)) for x in xs], 0
    if not xs[0].ndim:
        raise ValueError(errors.describe("Zero-dimensional arrays cannot be concatenated.",
                                         fix="jnp.stack(arrays)"))
    axis = canonicalize_axis(axis, xs[0].ndim)
    return lax.concatenate(xs, axis) if len(xs) > 1 else xs[0]


@fused(static_argnames=("axis",))
def concat(arrays: Sequence[ArrayLike], /, *, axis: int | None = 0) -> Array:
    """The arrays one after the other along an axis; without an axis (None) all flattened."""
    return _concatenated(_operands("concat", arrays, None), axis)


@functools.partial(_of_sequence, error=TypeError)
@fused(static_argnames=("axis", "dtype"))
def stack(arrays: Arrays, axis: int = 0, out: None = None,
          dtype: DTypeLike | None = None) -> Array:
    """The arrays, all of one shape, along a new axis."""
    refuse_out("stack", out)
    xs = _operands("stack", arrays, dtype)
    shape = xs[0].shape
    axis = canonicalize_axis(axis, len(shape) + 1)
    if any(x.shape != shape for x in xs):
        ranks = len({x.ndim for x in xs}) > 1
        shapes = ", ".join(str(x.shape) for x in xs)
        raise ValueError(errors.describe(
            f"Cannot stack arrays with different numbers of dimensions: got {shapes}." if ranks
            else f"All input arrays must have the same shape. Got {shapes}.",
            fix="jnp.concatenate joins along an existing axis"))
    return lax.stack(xs, axis)


def _raised(name: str, tup: Any, dtype: Any, rank: int, axis: int) -> Any:
    """The arrays, brought to a rank, along the axis, or along the only axis of vectors."""
    if not isinstance(tup, (list, tuple)):
        tup = _parts(name, tup)
    xs = _operands(name, [_at_least(name, x, rank) for x in tup], dtype)
    return _concatenated(xs, min(axis, xs[0].ndim - 1))


@_of_sequence
@fused(static_argnames=("dtype",))
def vstack(tup: Arrays, dtype: DTypeLike | None = None) -> Array:
    """The arrays, vectors as rows, along the first axis."""
    return _raised("vstack", tup, dtype, 2, 0)


@_of_sequence
@fused(static_argnames=("dtype",))
def hstack(tup: Arrays, dtype: DTypeLike | None = None) -> Array:
    """The arrays along the second axis, vectors along their only one."""
    return _raised("hstack", tup, dtype, 1, 1)


@_of_sequence
@fused(static_argnames=("dtype",))
def dstack(tup: Arrays, dtype: DTypeLike | None = None) -> Array:
    """The arrays along the third axis."""
    return _raised("dstack", tup, dtype, 3, 2)


@fused
def column_stack(tup: Arrays) -> Array:
    """Matrices side by side, vectors as columns."""
    if not isinstance(tup, (list, tuple)):
        tup = _parts("column_stack", tup)
    return _concatenated(_operands("column_stack", [_as_column(x) for x in tup], None), 1)


def _as_column(x: Any) -> Any:
    x = array_operand("column_stack", x)
    return structural.reshape(x, (x.size, 1)) if x.ndim < 2 else x


# --- Nested lists ------------------------------------------------------------------------------


@fused
def block(arrays: ArrayLike | list[ArrayLike]) -> Array:
    """An array put together from nested lists of blocks: inner lists along the last axis."""
    return _block(arrays)[0]


def _block(arrays: Any) -> tuple[Any, int]:
    """(array, depth of the lists that it is made of)."""
    if is_array_like(arrays):
        return array_operand("block", arrays), 0
    if not isinstance(arrays, list):
        raise TypeError(errors.describe(
            f"{arrays} is a tuple. Only lists can be used to arrange blocks, and np.block does not "
            "allow implicit conversion from tuple to ndarray." if isinstance(arrays, tuple) else
            f"block requires ndarray or scalar arguments, got {type(arrays)}",
            fix="nest lists of arrays: jnp.block([[a, b], [c, d]])"))
    if not arrays:
        raise ValueError(errors.describe("jax.numpy.block does not allow empty list arguments"))
    parts = [_block(x) for x in arrays]
    if len({depth for _, depth in parts}) > 1:
        raise ValueError(errors.describe("Mismatched list depths in jax.numpy.block",
                                         fix="nest all lists equally deep"))
    depth = parts[0][1] + 1
    rank = max(depth, *[x.ndim for x, _ in parts])
    xs = [to_rank(x, rank) for x, _ in parts]
    return _concatenated(_operands("block", xs, None), -depth), depth


# --- Taking apart ------------------------------------------------------------------------------


def split(ary: ArrayLike, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """The parts of the array along an axis: equally many, or those between the indices."""
    return _split("split", ary, indices_or_sections, axis)


def array_split(ary: ArrayLike, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """As `split`, but parts need not be equal: the first ones are longer by one."""
    return _split("array_split", ary, indices_or_sections, axis)


def vsplit(ary: ArrayLike, indices_or_sections: Any) -> list[Array]:
    """The parts of the array along the first axis."""
    return _split("vsplit", ary, indices_or_sections, 0)


def hsplit(ary: ArrayLike, indices_or_sections: Any) -> list[Array]:
    """The parts of the array along the second axis, of a vector along its only one."""
    return _split("hsplit", ary, indices_or_sections, 0 if np.ndim(ary) == 1 else 1)


def dsplit(ary: ArrayLike, indices_or_sections: Any) -> list[Array]:
    """The parts of the array along the third axis."""
    return _split("dsplit", ary, indices_or_sections, 2)


def _split(name: str, ary: Any, sections: Any, axis: Any) -> list:
    ary = operand(name, ary)
    shape = shape_of(ary)
    axis, = indexed_axes(axis, len(shape))
    sizes = _section_sizes(name, shape[axis], sections)
    if any(size < 0 for size in sizes):
        raise ValueError(errors.describe(
            f"Sizes passed to split must be nonnegative, got {list(sizes)}",
            because=f"axis {axis} has size {shape[axis]} and the indices are {sections}",
            fix="give increasing indices up to the size of the axis"))
    return _split_sizes(ary, sizes, axis)


def _section_sizes(name: str, size: int, sections: Any) -> tuple[int, ...]:
    if isinstance(sections, Tracer):
        raise errors.ConcretizationTypeError(
            sections, f"in jax.numpy.{name} argument 1")
    if np.ndim(sections):
        cuts = [operator.index(i) for i in np.asarray(sections)]
        return tuple(b - a for a, b in zip([0, *cuts], [*cuts, size]))
    count = operator.index(sections)
    each, rest = divmod(size, count)
    if rest and name != "array_split":
        raise ValueError(errors.describe(
            f"array split does not result in an equal division: rest is {rest}",
            because=f"{size} elements are split into {count} parts", fix="jnp.array_split"))
    return (each + 1,) * rest + (each,) * (count - rest)


@fused(static_argnums=(1, 2))
def _split_sizes(ary: ArrayLike, sizes: tuple[int, ...], axis: int) -> list[Array]:
    return list(lax.split(as_array(ary), sizes, axis))


@fused(static_argnames=("axis",))
def unstack(x: ArrayLike, /, *, axis: int = 0) -> tuple[Array, ...]:
    """The slices of x along an axis, as a tuple."""
    x = array_operand("unstack", x)
    axis = canonicalize_axis(axis, x.ndim)
    return tuple(lax.unstack(x, axis)) if x.shape[axis] else ()
