"""Products of matrices whose rows come in groups: `ragged_dot`, as in mixtures of experts.

One dimension of the left operand is ragged: `group_sizes` cuts it into runs, one for each group.
What a group does depends on where that dimension is:

- left over: every run is multiplied by the right operand's slice of its group;
- contracted: the product is summed within each run, and groups are the result's first dimension;
- batch: the runs play no part, the product is that of `dot_general`.

    >>> ragged_dot(x, w, np.array([2, 3]))      # x[:2] @ w[0], then x[2:5] @ w[1]

The one invariant: rows after the last run count as zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.core import (Dims, Primitive, ShapedArray, Values, aval_of, convert_element_type,
                          each_operand, is_linear, materialize, move_axis)
from minijax.lax import elementwise, logic, shapes
from minijax.lax.cumulative import cumsum
from minijax.lax.dot import (DotDimensionNumbers, PrecisionLike, canonicalize_precision,
                             dot_general, dot_general_p, left_over)
from minijax.lax.rules import asked, fill_like


@dataclass(frozen=True)
class RaggedDotDimensionNumbers:
    """The part that each dimension plays in :func:`ragged_dot_general`.

    dot_dimension_numbers: as for `dot_general`.
    lhs_ragged_dimensions: the one dimension of the left operand that comes in groups.
    rhs_group_dimensions: the dimension of the right operand that runs over the groups, if the
      ragged dimension is neither contracted nor batch; else none.
    """

    dot_dimension_numbers: DotDimensionNumbers
    lhs_ragged_dimensions: Sequence[int]
    rhs_group_dimensions: Sequence[int]

    def __post_init__(self) -> None:
        (left, right), (left_batch, right_batch) = self.dot_dimension_numbers
        dot = ((tuple(left), tuple(right)), (tuple(left_batch), tuple(right_batch)))
        for name, value in (("dot_dimension_numbers", dot),
                            ("lhs_ragged_dimensions", tuple(self.lhs_ragged_dimensions)),
                            ("rhs_group_dimensions", tuple(self.rhs_group_dimensions))):
            object.__setattr__(self, name, value)


_ROWS = RaggedDotDimensionNumbers((((1,), (1,)), ((), ())), (0,), (0,))


def ragged_dot(lhs: Array, rhs: Array, group_sizes: Array, precision: PrecisionLike = None,
               preferred_element_type: Any = None, group_offset: Array | None = None,
               out_sharding: Any = None) -> Array:
    """Runs of rows of `lhs` [m, k], each times the matrix of its group in `rhs` [g, k, n].

    `group_sizes` [g] are the lengths of the runs; the result is [m, n], zero after the last run.
    """
    return ragged_dot_general(lhs, rhs, group_sizes, _ROWS, precision, preferred_element_type,
                              group_offset, out_sharding)


def ragged_dot_general(lhs: Array, rhs: Array, group_sizes: Array,
                       ragged_dot_dimension_numbers: RaggedDotDimensionNumbers,
                       precision: PrecisionLike = None, preferred_element_type: Any = None,
                       group_offset: Array | None = None, out_sharding: Any = None) -> Array:
    """The product of two arrays where one dimension of `lhs` comes in groups.

    `group_sizes` are integers [g], or [..., g] with the batch dimensions and those that stand
    before the ragged one in its list (what is left over of `lhs`, or is contracted).
    """
    if group_offset is not None:
        raise NotImplementedError(errors.describe(
            "Unimplemented group_offset support.", fix="leave out group_offset"))
    if preferred_element_type is not None:
        preferred_element_type = dtypes.check_user_dtype(preferred_element_type,
                                                         "ragged_dot_general")
    return ragged_dot_general_p.bind(
        lhs, rhs, group_sizes, ragged_dot_dimension_numbers=ragged_dot_dimension_numbers,
        precision=canonicalize_precision(precision),
        preferred_element_type=preferred_element_type, group_offset=None,
        out_sharding=asked(out_sharding, "ragged_dot_general"))


# --- Which dimension is ragged -----------------------------------------------------------------

_FREE, _CONTRACTED, _BATCH = "free", "contracted", "batch"


def _mode(numbers: RaggedDotDimensionNumbers) -> str:
    ragged = numbers.lhs_ragged_dimensions[0]
    (contracting, _), (batch, _) = numbers.dot_dimension_numbers
    return _BATCH if ragged in batch else _CONTRACTED if ragged in contracting else _FREE


def _outer(numbers: RaggedDotDimensionNumbers, ndim: int) -> tuple[int, ...]:
    """The dimensions of the left operand for each of which there can be group sizes."""
    ragged = numbers.lhs_ragged_dimensions[0]
    (contracting, _), (batch, _) = numbers.dot_dimension_numbers
    mode = _mode(numbers)
    if mode is _BATCH:
        return batch[:batch.index(ragged)]
    listed = contracting if mode is _CONTRACTED else left_over(ndim, contracting, batch)
    return (*batch, *listed[:listed.index(ragged)])


def _fail(text: str, fix: str) -> None:
    raise TypeError(errors.describe(text, fix=fix))


def _check_numbers(x: ShapedArray, y: ShapedArray, numbers: RaggedDotDimensionNumbers) -> None:
    ragged, group = numbers.lhs_ragged_dimensions, numbers.rhs_group_dimensions
    (_, contracting), (_, batch) = numbers.dot_dimension_numbers
    if len(ragged) != 1:
        _fail("ragged_dot_general expects exactly one lhs ragged dimension.",
              "name one dimension in lhs_ragged_dimensions")
    for side, what, dims, aval in (("lhs", "ragged", ragged, x), ("rhs", "group", group, y)):
        if any(not 0 <= d < aval.ndim for d in dims):
            _fail(f"ragged_dot_general requires {side} {what} dimension numbers to be nonnegative "
                  f"and less than the number of axes of the {side} value, got {dims[0]} for "
                  f"{side} of rank {aval.ndim}.", f"use numbers in range({aval.ndim})")
    if _mode(numbers) is not _FREE:
        if group:
            _fail("ragged_dot_general requires zero group dimensions in the rhs when lhs ragged "
                  "dimension is contracting or batch.", "use rhs_group_dimensions=()")
    elif set(group) & {*contracting, *batch}:
        _fail("ragged_dot_general requires rhs group dimension numbers to be distinct from "
              "contracting and batch dimensions.", "give rhs a dimension for the groups")
    elif len(group) != 1:
        _fail("ragged_dot_general requires exactly one rhs group dimension when lhs ragged "
              "dimension is noncontracting.", "name one dimension in rhs_group_dimensions")


def _check_sizes(x: ShapedArray, y: ShapedArray, sizes: ShapedArray,
                 numbers: RaggedDotDimensionNumbers) -> None:
    fix = "give one integer for each group"
    if not dtypes.issubdtype(sizes.dtype, np.integer):
        _fail("ragged_dot_general requires that group_sizes.dtype is subtype of np.integer.", fix)
    if not sizes.ndim:
        _fail("expected rank of group_sizes to be >=1.", fix)
    count = sizes.shape[-1]
    expected = (*[x.shape[d] for d in _outer(numbers, x.ndim)], count)
    if sizes.ndim > 1 and sizes.shape != expected:
        _fail(f"expected group_sizes to have shape {expected}, got {sizes.shape}.", fix)
    for d in numbers.rhs_group_dimensions:
        if y.shape[d] != count:
            _fail(f"expected rhs group dimension size to be {count}, got {y.shape[d]}.", fix)


def _ragged_dot_shape(x: ShapedArray, y: ShapedArray, sizes: ShapedArray, *,
                      ragged_dot_dimension_numbers: RaggedDotDimensionNumbers, precision: Any,
                      preferred_element_type: Any, group_offset: Any,
                      out_sharding: Any) -> ShapedArray:
    numbers = ragged_dot_dimension_numbers
    out = dot_general_p.shape(
        x, y, dimension_numbers=numbers.dot_dimension_numbers, precision=precision,
        preferred_element_type=preferred_element_type, out_sharding=None)
    _check_numbers(x, y, numbers)
    _check_sizes(x, y, sizes, numbers)
    if _mode(numbers) is _CONTRACTED:
        return out.update(shape=(sizes.shape[-1], *out.shape))
    if _mode(numbers) is _FREE:
        (xc, yc), (xb, yb) = numbers.dot_dimension_numbers
        left = left_over(x.ndim, xc, xb)
        right = left_over(y.ndim, yc, yb, numbers.rhs_group_dimensions)
        shape = [x.shape[d] for d in (*xb, *left)] + [y.shape[d] for d in right]
        return out.update(shape=tuple(shape))
    return out


# --- In other operations -----------------------------------------------------------------------


def _masked(x: Any, sizes: Any, numbers: RaggedDotDimensionNumbers) -> Any:
    """`x` once for each group, in a new first dimension, with zeros outside of the group's run."""
    aval, ragged = aval_of(x), numbers.lhs_ragged_dimensions[0]
    rank = aval_of(sizes).ndim
    ends = cumsum(sizes, rank - 1)
    starts = elementwise.sub(ends, sizes)
    outer = _outer(numbers, aval.ndim) if rank > 1 else ()
    shape = (aval_of(sizes).shape[-1], *aval.shape)
    place = shapes.broadcasted_iota(aval_of(sizes).dtype, shape, ragged + 1)

    def spread(bound: Any) -> Any:
        """Groups in front, the others where they are in `x`."""
        order = sorted(range(len(outer)), key=outer.__getitem__)
        bound = shapes.transpose(bound, (rank - 1, *order))
        return shapes.broadcast_in_dim(bound, shape, (0, *[outer[i] + 1 for i in order]))

    inside = logic.bitwise_and(logic.ge(place, spread(starts)), logic.lt(place, spread(ends)))
    repeated = shapes.broadcast_in_dim(x, shape, tuple(range(1, len(shape))))
    return logic.select(inside, repeated, fill_like(repeated, 0))


def _ragged_dot_decompose(x: Any, y: Any, sizes: Any, *,
                          ragged_dot_dimension_numbers: RaggedDotDimensionNumbers,
                          precision: Any, preferred_element_type: Any, group_offset: Any,
                          out_sharding: Any) -> Any:
    """A product with as many times the left operand as there are groups."""
    numbers = ragged_dot_dimension_numbers
    (xc, yc), (xb, yb) = numbers.dot_dimension_numbers
    mode = _mode(numbers)
    if mode is _BATCH:
        return dot_general(x, y, numbers.dot_dimension_numbers, precision,
                           preferred_element_type)
    x = _masked(x, sizes, numbers)
    xc, xb = [tuple(d + 1 for d in dims) for dims in (xc, xb)]
    if mode is _FREE:  # groups are one more dimension to sum over, of which one term is not 0
        xc, yc = (0, *xc), (*numbers.rhs_group_dimensions, *yc)
    out = dot_general(x, y, ((xc, yc), (xb, yb)), precision, preferred_element_type)
    return move_axis(out, len(xb), 0) if mode is _CONTRACTED else out


# --- Derivatives -------------------------------------------------------------------------------


def _bind(x: Any, y: Any, sizes: Any, numbers: RaggedDotDimensionNumbers, aval: ShapedArray,
          order: Sequence[int], params: dict[str, Any]) -> Any:
    """A product as the cotangent of an operand, whose dimension `order[i]` is the product's i."""
    out = ragged_dot_general_p.bind(x, y, sizes, ragged_dot_dimension_numbers=numbers, **params)
    out = shapes.transpose(out, sorted(range(aval.ndim), key=order.__getitem__))
    return convert_element_type(out, aval.dtype) if aval_of(out).dtype != aval.dtype else out


def _transpose_free(ct: Any, x: Any, y: Any, sizes: Any, numbers: RaggedDotDimensionNumbers,
                    params: dict[str, Any]) -> list:
    """ct[b, m, n] is the sum over k of x[b, m, k] y[b, group of m, k, n]."""
    (xc, yc), (xb, yb) = numbers.dot_dimension_numbers
    group, = numbers.rhs_group_dimensions
    batch = tuple(range(len(xb)))
    left = left_over(aval_of(x).ndim, xc, xb)
    right = left_over(aval_of(y).ndim, yc, yb, (group,))
    in_ct = tuple(range(len(batch), len(batch) + len(left)))
    ragged = left.index(numbers.lhs_ragged_dimensions[0])
    if is_linear(x):
        over = tuple(range(len(batch) + len(left), len(batch) + len(left) + len(right)))
        rows = RaggedDotDimensionNumbers(((over, right), (batch, yb)), (in_ct[ragged],), (group,))
        summed = sorted(range(len(yc)), key=yc.__getitem__)
        order = (*xb, *left, *[xc[i] for i in summed])
        return [_bind(ct, y, sizes, rows, x.aval, order, params), None, None]
    sums = RaggedDotDimensionNumbers(((left, in_ct), (xb, batch)), (left[ragged],), ())
    kept = sorted(range(len(xc)), key=xc.__getitem__)
    order = (group, *yb, *[yc[i] for i in kept], *right)
    return [None, _bind(x, ct, sizes, sums, y.aval, order, params), None]


def _transpose_contracted(ct: Any, x: Any, y: Any, sizes: Any,
                          numbers: RaggedDotDimensionNumbers, params: dict[str, Any]) -> list:
    """ct[g, b, m, n] is the sum over the k of group g of x[b, m, k] y[b, k, n]."""
    (xc, yc), (xb, yb) = numbers.dot_dimension_numbers
    batch = tuple(range(1, len(xb) + 1))
    left = left_over(aval_of(x).ndim, xc, xb)
    right = left_over(aval_of(y).ndim, yc, yb)
    left_in_ct = tuple(range(len(batch) + 1, len(batch) + 1 + len(left)))
    right_in_ct = tuple(range(len(batch) + 1 + len(left), aval_of(ct).ndim))
    place = xc.index(numbers.lhs_ragged_dimensions[0])
    # The operand at hand is the left one of the new product, its contracted dimensions left over.
    if is_linear(x):
        here, theirs, own, rest, at = y, right_in_ct, yc, right, yb
        aval, lead, others = x.aval, xb, (xc, left)
    else:
        here, theirs, own, rest, at = x, left_in_ct, xc, left, xb
        aval, lead, others = y.aval, yb, (yc, right)
    if aval_of(sizes).ndim > 1 and list(own) != sorted(own):
        raise NotImplementedError(errors.describe(
            "the derivative of ragged_dot_general with group sizes for each contracted dimension "
            "needs these in increasing order", fix="transpose the operands first"))
    rows = RaggedDotDimensionNumbers(((rest, theirs), (at, batch)), (own[place],), (0,))
    kept = sorted(range(len(own)), key=own.__getitem__)
    order = (*lead, *[others[0][i] for i in kept], *others[1])
    out = _bind(here, ct, sizes, rows, aval, order, params)
    return [out, None, None] if is_linear(x) else [None, out, None]


def _ragged_dot_transpose(ct: Any, x: Any, y: Any, sizes: Any, *,
                          ragged_dot_dimension_numbers: RaggedDotDimensionNumbers,
                          **params: Any) -> list:
    numbers = ragged_dot_dimension_numbers
    mode = _mode(numbers)
    if mode is _FREE:
        return _transpose_free(ct, x, y, sizes, numbers, params)
    if mode is _CONTRACTED:
        return _transpose_contracted(ct, x, y, sizes, numbers, params)
    cts = dot_general_p.transpose(
        ct, x, y, dimension_numbers=numbers.dot_dimension_numbers, precision=params["precision"],
        preferred_element_type=params["preferred_element_type"], out_sharding=None)
    return [*cts, None]


# --- vmap --------------------------------------------------------------------------------------


def _ragged_dot_vmap(axis: Any, args: Values, dims: Dims, *,
                     ragged_dot_dimension_numbers: RaggedDotDimensionNumbers,
                     **params: Any) -> tuple:
    """The mapped axis is one more batch dimension, the first."""
    numbers = ragged_dot_dimension_numbers
    mode = _mode(numbers)
    x, y = [materialize(v, d, axis.size) for v, d in zip(args[:2], dims[:2])]
    outer = [aval_of(x).shape[d + 1] for d in _outer(numbers, aval_of(x).ndim - 1)]
    sizes = args[2]
    single = aval_of(sizes).ndim - (dims[2] is not None) == 1
    if dims[2] is not None or not single:
        sizes = materialize(sizes, dims[2], axis.size)
        if single and outer:
            count = aval_of(sizes).shape[-1]
            sizes = shapes.broadcast_in_dim(sizes, (axis.size, *outer, count),
                                            (0, len(outer) + 1))
    (xc, yc), (xb, yb) = numbers.dot_dimension_numbers
    xc, yc, xb, yb, ragged, group = [tuple(d + 1 for d in dims) for dims in (
        xc, yc, xb, yb, numbers.lhs_ragged_dimensions, numbers.rhs_group_dimensions)]
    moved = RaggedDotDimensionNumbers(((xc, yc), ((0, *xb), (0, *yb))), ragged, group)
    out = ragged_dot_general_p.bind(x, y, sizes, ragged_dot_dimension_numbers=moved, **params)
    return out, int(mode is _CONTRACTED)


ragged_dot_general_p = Primitive(
    "ragged_dot_general", shape=_ragged_dot_shape, transpose=_ragged_dot_transpose,
    vmap=_ragged_dot_vmap, decompose=_ragged_dot_decompose,
    jvp=each_operand(
        lambda g, out, x, y, sizes, **params: ragged_dot_general_p.bind(g, y, sizes, **params),
        lambda g, out, x, y, sizes, **params: ragged_dot_general_p.bind(x, g, sizes, **params),
        None))
