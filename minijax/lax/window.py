"""Reductions over sliding windows (pooling), and the derivative of max-pooling.

A window may have strides, gaps between its elements (`window_dilation`), gaps put between the
elements of the operand (`base_dilation`), and padding with the initial value.

    >>> reduce_window(x, -jnp.inf, lax.max, (2, 2), (2, 2), "VALID")    # 2x2 max-pooling

The one invariant: every window parameter of a primitive is a tuple with an entry per dimension.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minijax.base import errors, tree
from minijax.base.dims import index, indices, max_dim
from minijax.core import (Dims, Jaxpr, Primitive, ShapedArray, Values, aval_of, each_operand,
                          linear, materialize)
from minijax.core.primitive import Deferred
from minijax.lax import elementwise, logic, reduction, shapes
from minijax.lax.reduction import (apply_elementwise, highest, lowest, monoid, reduce_max_p,
                                   reduce_min_p, reduce_sum_p, reducer_jaxpr)
from minijax.lax.rules import ANY, check_dtype, fill_like, remembered, scalar_like
from minijax.lax.slicing import slice as lax_slice


class Window(NamedTuple):
    """The geometry of a windowed reduction."""

    window_dimensions: tuple[int, ...]
    window_strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    base_dilation: tuple[int, ...]
    window_dilation: tuple[int, ...]

    def out_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """How many windows fit, in each dimension."""
        return tuple([positions(*spec) for spec in zip(shape, *self)])


def positions(size: int, window: int, stride: int, pads: tuple[int, int], base: int,
              spread: int) -> int:
    """How often a window fits."""
    length = dilated(size, base) + pads[0] + pads[1]
    extent = dilated(window, spread)
    return (length - extent) // stride + 1 if length >= extent else 0


def dilated(size: int, dilation: int) -> int:
    """The extent of `size` elements with `dilation - 1` holes between neighbours."""
    return (size - 1) * dilation + 1 if size else 0


# --- User functions ----------------------------------------------------------------------------


def padtype_to_pads(in_shape: Sequence[int], window_shape: Sequence[int],
                    window_strides: Sequence[int], padding: Any) -> list[tuple[int, int]]:
    """Explicit padding for "VALID", "SAME" or "SAME_LOWER"; other padding is returned as it is.

    "SAME" gives ceil(size / stride) windows; "SAME_LOWER" puts the odd element in front.
    """
    if not isinstance(padding, str):
        return [(index(low), index(high)) for low, high in padding]
    kind = padding.upper()
    if kind == "VALID":
        return [(0, 0)] * len(in_shape)
    if kind not in ("SAME", "SAME_LOWER"):
        raise RuntimeError(errors.describe(
            f"Unrecognized padding type: expected 'VALID', 'SAME', or 'SAME_LOWER', got {padding}.",
            fix='use padding="SAME", or a sequence of (low, high) pairs'))
    pads = []
    sizes = map(indices, (in_shape, window_shape, window_strides))
    for size, window, stride in zip(*sizes, strict=True):
        count = -(-size // stride)
        total = max_dim((count - 1) * stride + window - size, 0)
        low = total // 2 if kind == "SAME" else total - total // 2
        pads.append((low, total - low))
    return pads


@remembered(1024)
def _geometry(shape: Sequence[int], window_dimensions: Sequence[int],
              window_strides: Sequence[int] | None, padding: Any,
              base_dilation: Sequence[int] | None,
              window_dilation: Sequence[int] | None) -> Window:
    """The window with its defaults filled in; sizes are checked in the shape rules."""
    window = tuple(map(index, window_dimensions))
    ones = (1,) * len(window)
    strides, base, spread = [
        ones if given is None else tuple(map(index, given))
        for given in (window_strides, base_dilation, window_dilation)]
    if isinstance(padding, str):
        if any(len(v) != len(shape) or min(v, default=1) < 1
               for v in (window, strides, base, spread)):
            pads = ((0, 0),) * len(window)
            _check_window("reduce_window", shape, Window(window, strides, pads, base, spread))
        # "SAME" means as many windows as without base_dilation
        padding = padtype_to_pads(shape, [dilated(n, d) for n, d in zip(window, spread)], strides,
                                  padding)
    pads = tuple([(index(low), index(high)) for low, high in padding])
    return Window(window, strides, pads, base, spread)


def reduce_window(operand: Any, init_value: Any, computation: Callable,
                  window_dimensions: Sequence[int], window_strides: Sequence[int] | None = None,
                  padding: str | Sequence[tuple[int, int]] = "VALID",
                  base_dilation: Sequence[int] | None = None,
                  window_dilation: Sequence[int] | None = None) -> Any:
    """Combine the elements in each window with an associative function of scalars.

    `operand` may be a tree of arrays of one shape, with `init_value` a tree of scalars of the same
    structure. `lax.add`, `lax.max` and `lax.min` with their identities are recognised.
    """
    flat, inits, structure = reduction.flat_operands(operand, init_value)
    if not flat:
        raise ValueError(errors.describe("reduce_window must have at least one operand.",
                                         fix="pass an array"))
    window = _geometry(aval_of(flat[0]).shape, window_dimensions, window_strides, padding,
                       base_dilation, window_dilation)
    if len(flat) == 1:
        primitive = _WINDOWED.get(monoid(computation, aval_of(flat[0]), inits[0]))
        if primitive is not None:
            return tree.unflatten(structure, [primitive.bind(flat[0], **window._asdict())])
    jaxpr = reducer_jaxpr("Reduction", computation, structure, flat, inits)
    outs = reduce_window_p.bind(*flat, *inits, jaxpr=jaxpr, consts=(), **window._asdict())
    return tree.unflatten(structure, outs)


def reduce_window_shape_tuple(operand_shape: Sequence[int], window_dimensions: Sequence[int],
                              window_strides: Sequence[int], padding: Sequence[tuple[int, int]],
                              base_dilation: Sequence[int] | None = None,
                              window_dilation: Sequence[int] | None = None) -> tuple[int, ...]:
    """The shape of the result of a windowed reduction."""
    return _geometry(operand_shape, window_dimensions, window_strides, padding, base_dilation,
                     window_dilation).out_shape(operand_shape)


# --- Types -------------------------------------------------------------------------------------


def _check_window(name: str, shape: Sequence[int], window: Window) -> None:
    sizes = window.window_dimensions
    fail = None
    if len(sizes) != len(shape):
        fail = (f"got the wrong number of window_dimensions for operand: got operand shape "
                f"{tuple(shape)} with window_dimensions {sizes}.")
    for field, values in zip(Window._fields, window):
        if fail is None and len(values) != len(sizes):
            fail = (f"got inconsistent {field} and window_dimensions: got {field} {values} and "
                    f"window_dimensions {sizes}.")
        if fail is None and field != "padding" and any(v <= 0 for v in values):
            fail = f"{field} must have every element be strictly positive, got {values}."
    if fail:
        raise TypeError(errors.describe(
            f"{name} {fail}", fix=f"give one positive entry for each of the {len(shape)} "
            "dimensions; 1 has no effect"))


def _windowed_shape(name: str, kinds: Sequence[str]) -> Callable[..., ShapedArray]:
    def shape(x: ShapedArray, **params: Any) -> ShapedArray:
        check_dtype(name, x.dtype, kinds)
        window = Window(**params)
        _check_window("reduce_window", x.shape, window)
        return ShapedArray(window.out_shape(x.shape), x.dtype, x.weak_type)
    return shape


def _one_more(window: Window, at: int) -> dict[str, tuple]:
    """The parameters with a dimension put in at `at` in which windows have one element."""
    def insert(values: tuple, entry: Any) -> tuple:
        return (*values[:at], entry, *values[at:])
    return Window(insert(window.window_dimensions, 1), insert(window.window_strides, 1),
                  insert(window.padding, (0, 0)), insert(window.base_dilation, 1),
                  insert(window.window_dilation, 1))._asdict()


def _windowed_vmap(primitive: Primitive) -> Callable:
    def vmap(axis: Any, args: Values, dims: Sequence[int], **params: Any) -> tuple:
        d = dims[0]
        return primitive.bind(args[0], **_one_more(Window(**params), d)), d
    return vmap


# --- Sums --------------------------------------------------------------------------------------


def _window_sum_transpose(ct: Any, x: Any, **params: Any) -> Any:
    """Each element collects the cotangents of the windows that it is in.

    The cotangent is spread out to the places where windows begin, and summed over the windows
    looking back. Elements of the base are `base_dilation` apart there, so that is the stride.
    """
    window = Window(**params)
    shape = x.aval.shape
    config = []
    for n, m, (size, stride, pads, base, spread) in zip(shape, aval_of(ct).shape,
                                                        zip(*window)):
        reach = dilated(size, spread) - 1
        low = reach - pads[0]
        length = dilated(m, stride)
        config.append((low, dilated(n, base) + reach - low - length, stride - 1))
    spread_out = shapes.pad(ct, scalar_like(ct, 0), tuple(config))
    ones = (1,) * len(shape)
    return reduce_window_sum_p.bind(
        spread_out, window_dimensions=window.window_dimensions,
        window_strides=window.base_dilation, padding=((0, 0),) * len(shape), base_dilation=ones,
        window_dilation=window.window_dilation)


reduce_window_sum_p = Primitive(
    "reduce_window_sum", shape=_windowed_shape("reduce_window_sum", ("number",)), jvp=linear,
    transpose=_window_sum_transpose, vmap=Deferred(_windowed_vmap))


# --- Extrema -----------------------------------------------------------------------------------


def _extremum_jvp(primitive: Primitive) -> Callable:
    """The tangent of the first element of each window that attains the extremum."""
    def rule(primals: Values, tangents: Values, **params: Any) -> tuple:
        x, t = primals[0], tangents[0]
        window = Window(**params)
        if _plain(window) and all(
                w <= s for w, s in zip(window.window_dimensions, window.window_strides)):
            return _by_blocks(primitive, x, t, window)
        out = primitive.bind(x, **params)
        if not _plain(window):
            return out, _pick_in_patches(primitive, x, t, window)
        return out, select_and_gather_add_p.bind(t, x, select_prim=_SELECTORS[primitive],
                                                 **params)
    return rule


def _plain(window: Window) -> bool:
    """Whether select-and-scatter can undo it: no gaps, and nothing is cut off."""
    return _undilated(window) and all(pad >= 0 for pads in window.padding for pad in pads)


def _undilated(window: Window) -> bool:
    return all(d == 1 for d in (*window.base_dilation, *window.window_dilation))


def _by_blocks(primitive: Primitive, x: Any, t: Any, window: Window) -> tuple:
    """Windows that do not overlap: split each dimension in two, reduce, compare and select.

    The derivative is then a select, half the time of select-and-scatter on CPU.
    """
    shape = aval_of(x).shape
    count = window.out_shape(shape)
    blocks, kept, config, inner = [], [], [], []
    for n, m, size, stride, (low, _) in zip(shape, count, *window[:3]):
        config.append((low, m * stride - low - n, 0))
        blocks.append(m)
        kept.append(m)
        if stride > 1:
            inner.append(len(blocks))
            blocks.append(stride)
            kept.append(size)

    def split(value: Any, fill: Any) -> Any:
        if any(c != (0, 0, 0) for c in config):
            value = shapes.pad(value, fill, tuple(config))
        value = shapes.reshape(value, tuple(blocks))
        return value if blocks == kept else lax_slice(value, [0] * len(kept), kept)

    elements = split(x, _IDENTITIES[primitive](aval_of(x).dtype))
    out = _REDUCERS[primitive].bind(elements, axes=tuple(inner))
    best = shapes.reshape(out, tuple([1 if i in inner else n for i, n in enumerate(kept)]))
    hit = logic.bitwise_or(logic.eq(elements, best), logic.ne(elements, elements))
    mine = _first(hit, inner)
    pieces = split(t, scalar_like(t, 0))
    return out, reduction.reduce_sum(logic.select(mine, pieces, fill_like(pieces, 0)), inner)


def _first(mask: Any, axes: Sequence[int]) -> Any:
    """Of the true elements of each block, only the first in row-major order."""
    shape = aval_of(mask).shape
    number = _block_numbers(shape, axes)
    # A fill just above the numbers, not the largest integer: 1.5 times faster on CPU.
    beyond = fill_like(number, math.prod([shape[i] for i in axes]))
    ranked = logic.select(mask, number, beyond)
    first = reduction.reduce_min(ranked, axes)
    kept = tuple([i for i in range(len(shape)) if i not in axes])
    return logic.eq(number, shapes.broadcast_in_dim(first, shape, kept))


def _block_numbers(shape: tuple[int, ...], axes: Sequence[int]) -> Any:
    """The row-major number of each element among those of its block."""
    number, weight = None, 1
    for axis in reversed(axes):
        if shape[axis] > 1:
            part = shapes.broadcasted_iota(np.dtype(np.int32), shape, axis)
            if weight > 1:
                part = elementwise.mul(part, np.int32(weight))
            number = part if number is None else elementwise.add(number, part)
            weight *= shape[axis]
    return shapes.full(shape, np.int32(0)) if number is None else number


def _patches(x: Any, fill: Any, window: Window) -> list:
    """For each place in the window, the elements there of all windows."""
    shape = aval_of(x).shape
    config = tuple([(low, high, base - 1)
                    for (low, high), base in zip(window.padding, window.base_dilation)])
    count = window.out_shape(shape)
    padded = shapes.pad(x, fill, config)
    patches = []
    for place in itertools.product(*map(range, window.window_dimensions)):
        starts = [i * d for i, d in zip(place, window.window_dilation)]
        limits = [start + dilated(m, s)
                  for start, m, s in zip(starts, count, window.window_strides)]
        patches.append(lax_slice(padded, starts, limits, window.window_strides))
    return patches


def _pick_in_patches(primitive: Primitive, x: Any, t: Any, window: Window) -> Any:
    """Windows with gaps: keep the best element so far and its tangent."""
    better = logic.gt if primitive is reduce_window_max_p else logic.lt
    values = _patches(x, _IDENTITIES[primitive](aval_of(x).dtype), window)
    tangents = _patches(t, scalar_like(t, 0), window)
    best, chosen = values[0], tangents[0]
    for value, tangent in zip(values[1:], tangents[1:]):
        wins = logic.bitwise_or(better(value, best), logic.bitwise_and(
            logic.ne(value, value), logic.eq(best, best)))
        best = logic.select(wins, value, best)
        chosen = logic.select(wins, tangent, chosen)
    return chosen


def _windowed_extremum(name: str) -> Primitive:
    return Primitive(name, shape=_windowed_shape(name, ANY), jvp=Deferred(_extremum_jvp),
                     vmap=Deferred(_windowed_vmap))


reduce_window_max_p = _windowed_extremum("reduce_window_max")
reduce_window_min_p = _windowed_extremum("reduce_window_min")

_WINDOWED = {reduce_sum_p: reduce_window_sum_p, reduce_max_p: reduce_window_max_p,
             reduce_min_p: reduce_window_min_p}
_REDUCERS = {reduce_window_max_p: reduce_max_p, reduce_window_min_p: reduce_min_p}
_IDENTITIES = {reduce_window_max_p: lowest, reduce_window_min_p: highest}
_SELECTORS = {reduce_window_max_p: logic.ge_p, reduce_window_min_p: logic.le_p}


# --- Selected elements: the derivative of overlapping extrema, and its transpose ----------------


def _select_and_gather_add_shape(tangents: ShapedArray, operand: ShapedArray, *,
                                 select_prim: Primitive, **params: Any) -> ShapedArray:
    window = Window(**params)
    _check_window("select_and_gather_add", operand.shape, window)
    if tangents.shape != operand.shape:
        raise TypeError(errors.describe(
            "select_and_gather_add tangents and operand shapes must match, got "
            f"{tangents.shape} and {operand.shape}.", fix="give one tangent per element"))
    return ShapedArray(window.out_shape(operand.shape), tangents.dtype, tangents.weak_type)


def _select_and_gather_add_transpose(ct: Any, tangents: Any, operand: Any, *,
                                     select_prim: Primitive, window_dimensions: tuple,
                                     window_strides: tuple, padding: tuple, base_dilation: tuple,
                                     window_dilation: tuple) -> list:
    if any(d != 1 for d in (*base_dilation, *window_dilation)):
        raise NotImplementedError(errors.describe(
            "select_and_gather_add transpose with dilation is not implemented",
            fix="differentiate reduce_window, which avoids this operation for such windows"))
    out = select_and_scatter_add_p.bind(
        ct, operand, select_prim=select_prim, window_dimensions=window_dimensions,
        window_strides=window_strides, padding=padding)
    return [out, None]


def _select_and_gather_add_vmap(axis: Any, args: Values, dims: Dims, *, select_prim: Primitive,
                                **params: Any) -> tuple:
    at = dims[0] if dims[0] is not None else dims[1]
    tangents, operand = [materialize(x, d, axis.size, at) for x, d in zip(args, dims)]
    out = select_and_gather_add_p.bind(tangents, operand, select_prim=select_prim,
                                       **_one_more(Window(**params), at))
    return out, at


def _named_selection(params: dict[str, Any]) -> dict[str, Any]:
    """What a printed equation says: the comparison by its name."""
    return dict(sorted({**params, "select_prim": params["select_prim"].name}.items()))


# Linear in the tangents; which element is selected does not change with the operand.
select_and_gather_add_p = Primitive(
    "select_and_gather_add", shape=_select_and_gather_add_shape,
    jvp=each_operand(lambda g, out, tangents, operand, **params: select_and_gather_add_p.bind(
        g, operand, **params)),
    transpose=_select_and_gather_add_transpose, vmap=_select_and_gather_add_vmap,
    show=_named_selection)


def _select_and_scatter_add_shape(source: ShapedArray, operand: ShapedArray, *,
                                  select_prim: Primitive, window_dimensions: tuple,
                                  window_strides: tuple, padding: tuple) -> ShapedArray:
    _check_source("select_and_scatter_add", operand, source, window_dimensions, window_strides,
                  padding)
    return ShapedArray(operand.shape, source.dtype, source.weak_type)


def _check_source(name: str, operand: ShapedArray, source: ShapedArray, dimensions: tuple,
                  strides: tuple, padding: tuple) -> None:
    """TypeError unless `source` has one element for each window of `operand`."""
    ones = (1,) * len(dimensions)
    window = Window(dimensions, strides, padding, ones, ones)
    _check_window(name, operand.shape, window)
    if source.shape != window.out_shape(operand.shape):
        raise TypeError(errors.describe(
            f"{name} source must have the shape of the windows, got {source.shape} for "
            f"{window.out_shape(operand.shape)}.", fix="give one value for each window"))


def _select_and_scatter_add_transpose(ct: Any, source: Any, operand: Any,
                                      **params: Any) -> list:
    ones = (1,) * len(params["window_dimensions"])
    out = select_and_gather_add_p.bind(ct, operand, base_dilation=ones, window_dilation=ones,
                                       **params)
    return [out, None]


def _select_and_scatter_add_vmap(axis: Any, args: Values, dims: Dims, *, select_prim: Primitive,
                                 window_dimensions: tuple, window_strides: tuple,
                                 padding: tuple) -> tuple:
    source, operand = [materialize(x, d, axis.size) for x, d in zip(args, dims)]
    out = select_and_scatter_add_p.bind(
        source, operand, select_prim=select_prim, window_dimensions=(1, *window_dimensions),
        window_strides=(1, *window_strides), padding=((0, 0), *padding))
    return out, 0


select_and_scatter_add_p = Primitive(
    "select_and_scatter_add", shape=_select_and_scatter_add_shape,
    jvp=each_operand(lambda g, out, source, operand, **params: select_and_scatter_add_p.bind(
        g, operand, **params)),
    transpose=_select_and_scatter_add_transpose, vmap=_select_and_scatter_add_vmap,
    show=_named_selection)


# --- reduce_window with any computation --------------------------------------------------------


def _reduce_window_shape(*avals: ShapedArray, jaxpr: Jaxpr, consts: tuple,
                         **params: Any) -> list[ShapedArray]:
    half = len(avals) // 2
    operands, inits = avals[:half], avals[half:]
    window = Window(**params)
    if any(x.shape != operands[0].shape for x in operands):
        raise ValueError(errors.describe(
            "reduce_window requires all operands to have the same shape, got "
            f"{[x.shape for x in operands]}", fix="broadcast the operands first"))
    if any(i.shape for i in inits):
        raise TypeError(errors.describe(
            f"reduce_window expected init_values to be scalars but init_values have shapes "
            f"{[i.shape for i in inits]}.", fix="use scalars as initial values"))
    if [x.dtype for x in operands] != [i.dtype for i in inits]:
        raise TypeError(errors.describe(
            "reduce_window got inconsistent dtypes for operands and init_values: got operand "
            f"dtypes {[x.dtype for x in operands]} and init_value dtypes "
            f"{[i.dtype for i in inits]}.",
            fix="convert the initial value, e.g. np.float32(0)"))
    _check_window("reduce_window", operands[0].shape, window)
    shape = window.out_shape(operands[0].shape)
    return [ShapedArray(shape, x.dtype) for x in operands]


def _fold_windows(args: Values, *, jaxpr: Jaxpr, consts: tuple, **params: Any) -> list:
    """The reduction as one elementwise step for each place in the window.

    Places in the padding do not count: the initial value, if it is not neutral, counts once.
    """
    half, window = len(args) // 2, Window(**params)
    operands, inits = args[:half], args[half:]
    in_shape = aval_of(operands[0]).shape
    shape = window.out_shape(in_shape)
    patches = [_patches(x, i, window) for x, i in zip(operands, inits)]
    full = _undilated(window) and not any(pad > 0 for pads in window.padding for pad in pads)
    inside = [] if full else _patches(shapes.full(in_shape, True), np.False_, window)
    totals = [shapes.broadcast(i, shape) for i in inits]
    for place, elements in enumerate(zip(*patches)):
        new = apply_elementwise(jaxpr, *totals, *elements)
        totals = new if full else [logic.select(inside[place], n, t)
                                   for n, t in zip(new, totals)]
    return totals


reduce_window_p = Primitive(
    "reduce_window", shape=_reduce_window_shape, multiple_results=True,
    **reduction.in_steps(_fold_windows, lambda params: {**params, **_one_more(
        Window(*[params[name] for name in Window._fields]), 0)}))


# --- select_and_scatter with any computations --------------------------------------------------


def _select_and_scatter_shape(operand: ShapedArray, source: ShapedArray, start: ShapedArray, *,
                              window_dimensions: tuple, window_strides: tuple, padding: tuple,
                              **_: Any) -> ShapedArray:
    _check_source("select_and_scatter", operand, source, window_dimensions, window_strides,
                  padding)
    return operand


def _select_and_scatter_vmap(axis: Any, args: Values, dims: Dims, *, window_dimensions: tuple,
                             window_strides: tuple, padding: tuple, **params: Any) -> tuple:
    operand, source = [materialize(x, d, axis.size) for x, d in zip(args, dims[:2])]
    if dims[2] is not None:
        raise NotImplementedError(errors.describe(
            "Batching rule for 'select_and_scatter' over the initial value not implemented",
            fix="use one initial value for all"))
    out = select_and_scatter_p.bind(
        operand, source, args[2], window_dimensions=(1, *window_dimensions),
        window_strides=(1, *window_strides), padding=((0, 0), *padding), **params)
    return out, 0


select_and_scatter_p = Primitive("select_and_scatter", shape=_select_and_scatter_shape,
                                 vmap=_select_and_scatter_vmap)
