"""`x.at[index]`: updates of arrays that cannot be changed.

Invariant: `x.at[index].op(y)` is a new array equal to a copy of `x` after NumPy's in-place
update, with repeated positions applied one after the other and positions outside dropped.

    x.at[2].set(7.0)
    x.at[jnp.array([0, 0])].add(1)        # adds twice
    x.at[5].get(mode="fill", fill_value=0)
    x.at[x < 0].set(0)                    # a mask: also under jit
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import config, dtypes, errors
from minijax.base.jaxlib import Array
from minijax.core import (AbstractRef, Tracer, eval_trace, get_aval, is_concrete, refs, state,
                          structural)
from minijax.lax.explicit import left_to_compiler
from minijax.numpy import indexing, promotion, ufuncs
from minijax.runtime.call import fused

_SCATTERS = {
    "set": lax.scatter,
    "add": lax.scatter_add,
    "subtract": lax.scatter_sub,
    "multiply": lax.scatter_mul,
    "min": lax.scatter_min,
    "max": lax.scatter_max,
}
_INT32_MAX = np.iinfo(np.int32).max
_BY_FACTOR = {"divide": ufuncs.divide, "power": ufuncs.power}
_WHOLE = {
    "set": lambda x, y: y,
    "add": ufuncs.add,
    "subtract": ufuncs.subtract,
    "multiply": ufuncs.multiply,
    "min": ufuncs.minimum,
    "max": ufuncs.maximum,
    **_BY_FACTOR,
}


class _IndexUpdateHelper:
    """`x.at`: what is indexed next."""

    __slots__ = ("array",)

    def __init__(self, array: Any):
        self.array = array

    def __getitem__(self, index: Any) -> "_IndexUpdateRef":
        if type(getattr(self.array, "aval", None)) is AbstractRef:
            return refs.view(self.array, index)
        return _IndexUpdateRef(self.array, index)

    def __repr__(self) -> str:
        return f"_IndexUpdateHelper({self.array!r})"


def _updater(op: str, doc: str) -> Callable[..., Any]:
    """The method of `x.at[index]` for one operation."""
    def update(self: "_IndexUpdateRef", values: Any, *, indices_are_sorted: bool = False,
               unique_indices: bool = False, mode: Any = None, out_sharding: Any = None,
               wrap_negative_indices: bool = True) -> Any:
        def run(x: Any, index: Any, y: Any) -> Any:
            return _update(x, index, y, op, indices_are_sorted, unique_indices, mode,
                           wrap_negative_indices)

        if out_sharding is None:
            return run(self.array, self.index, values)
        return left_to_compiler(f".{op}", run, out_sharding, self.array, self.index, values)

    update.__name__ = op
    update.__qualname__ = f"_IndexUpdateRef.{op}"
    update.__doc__ = doc
    return update


class _IndexUpdateRef:
    """`x.at[index]`: the place to read or to update.

    The options of all methods: `mode` says what positions outside the array mean ("fill" or
    "drop", "clip", "promise_in_bounds"); `indices_are_sorted` and `unique_indices` are promises
    that allow faster code; `wrap_negative_indices=False` makes negative positions outside ones.
    """

    __slots__ = ("array", "index")

    def __init__(self, array: Any, index: Any):
        self.array = array
        self.index = index

    def __repr__(self) -> str:
        return f"_IndexUpdateRef({self.array!r}, {self.index!r})"

    def get(self, *, indices_are_sorted: bool = False, unique_indices: bool = False,
            mode: Any = None, fill_value: Any = None, out_sharding: Any = None,
            wrap_negative_indices: bool = True) -> Any:
        """`x[index]`; with mode "fill", elements outside are `fill_value` (NaN, or an extreme)."""
        if isinstance(fill_value, Array):
            fill_value = fill_value.item()

        def run(x: Any, index: Any) -> Any:
            return indexing.lookup(x, index, mode=mode, fill_value=fill_value,
                                   indices_are_sorted=indices_are_sorted,
                                   unique_indices=unique_indices, wrap=wrap_negative_indices)

        if out_sharding is None:
            return run(self.array, self.index)
        return left_to_compiler(".get", run, out_sharding, self.array, self.index)

    set = _updater("set", "A copy with `x[index] = values`.")
    add = _updater("add", "A copy with `x[index] += values`, once for every naming of a position.")
    subtract = _updater("subtract", "A copy with `x[index] -= values`.")
    multiply = mul = _updater("multiply", "A copy with `x[index] *= values`.")
    divide = _updater("divide", "A copy with `x[index] /= values`, floating if x is not.")
    power = _updater("power", "A copy with `x[index] **= values`.")
    min = _updater("min", "A copy with `x[index] = minimum(x[index], values)`.")
    max = _updater("max", "A copy with `x[index] = maximum(x[index], values)`.")

    def apply(self, func: Callable[[Any], Any], *, indices_are_sorted: bool = False,
              unique_indices: bool = False, mode: Any = None,
              wrap_negative_indices: bool = True) -> Any:
        """A copy with `x[index] = func(x[index])`; `func` works on single elements."""
        x = self.array
        mask = _Selection.read(x, self.index)
        # The derivative of func may be NaN where the mask does not hold: only a mask of unknown
        # content makes a traced x go this way.
        if mask is not None and (isinstance(x, Array) or not is_concrete(mask.mask)):
            return lax.select(mask.expanded(x), func(x), x)
        form, operands, _ = indexing.parse(x.shape, self.index, wrap=wrap_negative_indices,
                                           clamp=False)
        plan = indexing.plan(x.shape, form, operands, wrap_negative_indices)
        sure = indexing.ARRAY not in form
        return lax.scatter_apply(
            x, plan.indices, func, _scatter_numbers(plan), update_shape=plan.shape,
            indices_are_sorted=sure or indices_are_sorted, mode=_mode(mode),
            unique_indices=sure or unique_indices)


def _mode(mode: Any) -> Any:
    return lax.GatherScatterMode.FILL_OR_DROP if mode is None else (
        lax.GatherScatterMode.from_any(mode))


def _scatter_numbers(plan: indexing.Plan) -> Any:
    return lax.ScatterDimensionNumbers(plan.offset_dims, plan.collapsed, plan.index_map)


# --- Updates -----------------------------------------------------------------------------------


def _update(x: Any, index: Any, values: Any, op: str, indices_are_sorted: bool,
            unique_indices: bool, mode: Any, wrap: bool) -> Any:
    if type(values) is int and values > _INT32_MAX and x.dtype in promotion.UNSIGNED:
        values = np.asarray(values, x.dtype)[()]  # as an operand it would be an int32
    eager = state.trace is eval_trace and isinstance(x, Array) and not isinstance(values, Tracer)
    if type(index) is int and eager and x.ndim:
        size = x.shape[0]
        position = index + size if index < 0 and wrap else index
        plain = op == "set" and mode is None and type(values) is not list
        if plain and 0 <= position < size:
            return _set_row(x, values, position)
    if isinstance(values, (list, tuple)):
        values = _as_values(values)
        eager = eager and not isinstance(values, Tracer)
    if type(index) is not int and type(index) is not slice:
        mask = _Selection.read(x, index)
        if mask is not None and mask.accepts(x, values):
            return _select(x, values, mask.mask, (op, mask.axis))
    form, operands, inside = indexing.parse(x.shape, index, host=eager, wrap=wrap, clamp=False)
    if mode is not None:
        mode = _mode(mode)
    spec = (op, form, indices_are_sorted, unique_indices, mode, wrap, inside)
    if eager and not any(isinstance(v, Tracer) for v in operands):
        return _scatter(x, values, spec, *operands)
    return _scatter.body(x, values, spec, *operands)


def _as_values(values: Any) -> Any:
    """A list of numbers, arrays and tracers as one array."""
    if not any(isinstance(v, Tracer) for v in values):
        return np.asarray(values)
    rows = promotion.promote(*[_as_values(v) if isinstance(v, (list, tuple)) else v
                               for v in values])
    return lax.concatenate([lax.expand_dims(promotion.as_array(row), (0,)) for row in rows], 0)


@fused
def _set_row(x: Any, y: Any, position: Any) -> Any:
    """x.at[position].set(y) for a position within x."""
    position = indexing.cast_index(position, np.dtype(np.int32))
    x, y, done = _common(x, y, "set")
    y = _fit(y, x.shape[1:])
    starts = (position, *[np.int32(0)] * (x.ndim - 1))
    y = lax.expand_dims(promotion.as_array(y), (0,))
    return done(lax.dynamic_update_slice(x, y, starts, allow_negative_indices=False))


@fused(static_argnums=2)
def _scatter(x: Any, y: Any, spec: tuple, *operands: Any) -> Any:
    """The update of `x` that `spec` names; `operands` are those of the form of its index."""
    op, form, indices_are_sorted, unique_indices, mode, wrap, inside = spec
    if op in _BY_FACTOR:
        ones = structural.broadcast_in_dim(np.ones((), x.dtype)[()], x.shape, ())
        factor = _scatter.body(ones, y, ("multiply", *spec[1:]), *operands)
        return _BY_FACTOR[op](x, factor)
    x, y, done = _common(x, y, op)
    if op == "set" and inside and _is_block(form):
        return done(_set_block(x, y, form, operands))
    plan = indexing.plan(x.shape, form, operands, wrap)
    y = _fit(y, _with_new_axes(plan.shape, plan.new_axes))
    if plan.new_axes:
        y = lax.squeeze(y, plan.new_axes)
    if not all(plan.batch_shape):
        return done(x)
    if indexing.ARRAY not in form:
        unique_indices = True
        indices_are_sorted = not any(type(i) is tuple and i[2] < 0 for i in form)
    return done(_SCATTERS[op](x, plan.indices, y, _scatter_numbers(plan), mode=_mode(mode),
                              indices_are_sorted=indices_are_sorted,
                              unique_indices=unique_indices))


def _with_new_axes(shape: tuple[int, ...], new_axes: tuple[int, ...]) -> tuple[int, ...]:
    out = list(shape)
    for axis in new_axes:
        out.insert(axis, 1)
    return tuple(out)


def _is_block(form: tuple) -> bool:
    """Whether the index is a box of neighbouring elements: positions and slices of step 1."""
    return all(i is None or type(i) is int or i is indexing.HOST
               or (type(i) is tuple and i[2] == 1) for i in form)


def _set_block(x: Any, y: Any, form: tuple, operands: tuple) -> Any:
    """An update of a box within bounds: dynamic_update_slice, which needs no loop."""
    values = iter(operands)
    starts, sizes, shape = [], [], []
    for item in form:
        if item is None:
            shape.append(1)
        elif type(item) is tuple:
            starts.append(next(values) if item[0] is indexing.HOST else item[0])
            sizes.append(item[1])
            shape.append(item[1])
        else:
            starts.append(next(values) if item is indexing.HOST else item)
            sizes.append(1)
    y = promotion.as_array(_fit(y, tuple(shape)))
    if tuple(shape) != tuple(sizes):
        y = structural.reshape(y, tuple(sizes))
    dtype = indexing.index_dtype(starts, x.shape)
    starts = [indexing.cast_index(s, dtype) for s in starts]
    return lax.dynamic_update_slice(x, y, starts, allow_negative_indices=False)


def _common(x: Any, y: Any, op: str) -> tuple[Any, Any, Callable[[Any], Any]]:
    """Both at the dtype of the computation, and the function that goes back to that of `x`."""
    y = promotion.operand(f"scatter {op}", y)
    aval = get_aval(x)
    other = get_aval(y)
    dtype, weak = aval.dtype, aval.weak_type
    if other.dtype == dtype:
        return x, y, lambda out: structural.convert_element_type(out, dtype, weak)
    common, _ = dtypes.promote_avals((aval, other))
    if common != dtype:
        warnings.warn(
            "scatter inputs have incompatible types: cannot safely cast value from "
            f"dtype={other.dtype} to dtype={dtype} with jax_numpy_dtype_promotion="
            f"{config.numpy_dtype_promotion.value}. In future JAX releases this will result in "
            "an error.", FutureWarning, stacklevel=4)
    x, y = promotion.promote(x, y)
    return x, y, lambda out: structural.convert_element_type(
        promotion.convert(out, dtype, weak), dtype, weak)


def _fit(y: Any, shape: tuple[int, ...]) -> Any:
    """`y` broadcast to `shape`; ValueError if it does not fit."""
    own = np.shape(y)
    if own == shape:
        return y
    offset = len(shape) - len(own)
    if offset < 0 or any(n not in (1, shape[offset + i]) for i, n in enumerate(own)):
        raise ValueError(errors.describe(
            f"Incompatible types for broadcasting: input type={_type_name(y, own)} and requested "
            f"type={_type_name(y, shape)}", fix="the values must broadcast to x[index].shape"))
    return structural.broadcast_in_dim(y, shape, tuple(range(offset, len(shape))))


def _type_name(y: Any, shape: tuple[int, ...]) -> str:
    return f"{get_aval(y).dtype}[{','.join(map(str, shape))}]"


# --- Masks -------------------------------------------------------------------------------------


class _Selection:
    """A boolean mask over some neighbouring axes of x, and nothing else selected.

    `x.at[mask].set(y)` with one value for all selected elements is `where(mask, y, x)`, which
    needs no positions: it works on traced masks, and compiles once for masks of any content.
    """

    __slots__ = ("mask", "axis")

    def __init__(self, mask: Any, axis: int):
        self.mask = mask
        self.axis = axis

    @classmethod
    def read(cls, x: Any, index: Any) -> "_Selection | None":
        """The mask in an index that consists of one mask and full slices; else None."""
        entries = index if type(index) is tuple else (index,)
        masks = [i for i, e in enumerate(entries)
                 if getattr(e, "dtype", None) == np.bool_ and getattr(e, "ndim", 0)]
        if len(masks) != 1:
            return None
        place = masks[0]
        mask = entries[place]
        rest = [*entries[:place], *entries[place + 1:]]
        dots = [i for i, e in enumerate(rest) if e is Ellipsis]
        if len(dots) > 1 or not all(e is Ellipsis or _is_full(e) for e in rest):
            return None
        axis = x.ndim - mask.ndim - (len(rest) - place) if dots and dots[0] < place else place
        if axis < 0 or tuple(mask.shape) != tuple(x.shape[axis:axis + mask.ndim]):
            return None
        return cls(mask, axis)

    def accepts(self, x: Any, values: Any) -> bool:
        """Whether all selected elements get the same value, or one by their trailing axes."""
        return np.ndim(values) <= x.ndim - self.axis - self.mask.ndim

    def expanded(self, x: Any) -> Any:
        """The mask in the shape of x."""
        dims = tuple(range(self.axis, self.axis + self.mask.ndim))
        if tuple(self.mask.shape) == tuple(x.shape):
            return self.mask
        return structural.broadcast_in_dim(self.mask, tuple(x.shape), dims)


def _is_full(entry: Any) -> bool:
    return type(entry) is slice and entry == slice(None)


@fused(static_argnums=3)
def _select(x: Any, y: Any, mask: Any, spec: tuple) -> Any:
    op, axis = spec
    mask = _Selection(mask, axis).expanded(x)
    if op in _BY_FACTOR:
        one = structural.broadcast_in_dim(np.ones((), x.dtype)[()], x.shape, ())
        wide, y, _ = _common(one, y, op)
        return _BY_FACTOR[op](x, lax.select(mask, promotion.as_array(_fit(y, x.shape)), wide))
    x, y, done = _common(x, y, op)
    new = _WHOLE[op](x, _fit(y, x.shape))
    return done(lax.select(mask, new, x))
