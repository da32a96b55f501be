"""Communication between pairs of devices: uneven parts to each other one, and single messages.

XLA runs these on GPUs and TPUs (`psend` and `precv` on GPUs only), not on CPUs.

    token = lax.psend(x, "i", [(0, 1)])          # device 0 sends, device 1 receives
    y = lax.precv(token, jax.typeof(x), "i", [(0, 1)])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax.base import errors, tree
from minijax.base.jaxlib import Array
from minijax.core import (Primitive, ShapedArray, Token, Values, abstract_token, aval_of,
                          convert_element_type, is_linear, materialize, zeros)
from minijax.lax.casts import bound, names_of, vary
from minijax.lax.collectives import AxisName, _in_groups, all_to_all
from minijax.lax.elementwise import add, div, mul, sub
from minijax.lax.gather import index_take
from minijax.lax.logic import bitwise_and, ge, lt, select
from minijax.lax.reduction import argmax, reduce_or
from minijax.lax.rules import linear_in_values, no_rule, scalar_like
from minijax.lax.shapes import (broadcast_in_dim, broadcasted_iota, expand_dims, full_like, iota,
                                reshape, transpose)

__all__ = ["precv", "psend", "ragged_all_to_all"]


# --- Uneven parts to all -----------------------------------------------------------------------


def ragged_all_to_all(operand: Array, output: Array, input_offsets: Array, send_sizes: Array,
                      output_offsets: Array, recv_sizes: Array, *, axis_name: AxisName,
                      axis_index_groups: Any = None) -> Array:
    """`output` with runs of rows that others send from their `operand`, along the named axis.

    The four vectors of integers have the same number of entries for each receiver. Run i is
    `operand[input_offsets[i]:][:send_sizes[i]]`; it arrives at row `output_offsets[i]` of the
    receiver's output, whose `recv_sizes` say how much comes from each sender.
    """
    names = bound(axis_name, "ragged_all_to_all")
    groups = _in_groups(names, axis_index_groups)[1]
    args = (operand, output, input_offsets, send_sizes, output_offsets, recv_sizes)
    _ragged_shape(*map(aval_of, args))
    return ragged_all_to_all_p.bind(*[vary(x, names) for x in args], axis_name=names,
                                    axis_index_groups=groups)


def _ragged_shape(operand: ShapedArray, output: ShapedArray, *vectors: ShapedArray,
                  **_: Any) -> ShapedArray:
    for name, vector in zip(("input_offsets", "send_sizes", "output_offsets", "recv_sizes"),
                            vectors):
        if vector.dtype.kind not in "iu":
            raise ValueError(errors.describe(
                f"ragged_all_to_all {name} must be integer type.",
                because=f"it has the type {vector.str_short()}", fix=f"{name}.astype(int)"))
        if vector.ndim != 1 or not vector.size:
            raise ValueError(errors.describe(
                f"ragged_all_to_all {name} must be rank 1 with positive dimension size, but got "
                f"shape {vector.shape}", fix="one integer for each run of rows"))
    return output.strip_weak_type()


def _ragged_transpose(ct: Any, operand: Any, output: Any, starts: Any, sizes: Any,
                      targets: Any, received: Any, *, axis_name: tuple,
                      axis_index_groups: Any) -> list:
    def told(vector: Any) -> Any:  # what the others say of their runs to this position
        return all_to_all(vector, axis_name, 0, 0, axis_index_groups=axis_index_groups, tiled=True)
    arrived = told(targets)
    cts = [None] * 6
    if is_linear(operand):
        cts[0] = ragged_all_to_all_p.bind(
            ct, vary(zeros(operand.aval), axis_name), arrived, received, told(starts), sizes,
            axis_name=axis_name, axis_index_groups=axis_index_groups)
    if is_linear(output):
        kept = _inside(arrived, received, aval_of(ct).shape[0])
        covered = broadcast_in_dim(reduce_or(kept, (0,)), aval_of(ct).shape, (0,))
        cts[1] = select(covered, full_like(ct, 0), ct)
    return cts


def _inside(starts: Any, sizes: Any, rows: int) -> Any:
    """[i, r]: whether row r belongs to run i."""
    starts, sizes = expand_dims(starts, (1,)), expand_dims(sizes, (1,))
    shape = (aval_of(starts).shape[0], rows)
    row = broadcasted_iota(aval_of(starts).dtype, shape, 1)
    return bitwise_and(ge(row, _spread(starts, shape)), lt(row, _spread(add(starts, sizes), shape)))


def _spread(x: Any, shape: tuple) -> Any:
    return broadcast_in_dim(x, shape, tuple(range(len(shape))))


def _ragged_vmap(axis: Any, args: Values, dims: Sequence[Any], *, axis_name: Any,
                 axis_index_groups: Any) -> tuple:
    args = [materialize(x, dim, axis.size) for x, dim in zip(args, dims)]
    if axis.name in names_of(axis_name):
        if len(names_of(axis_name)) > 1 or axis_index_groups is not None:
            raise NotImplementedError(errors.describe(
                "ragged_all_to_all over several axes, or in groups, under vmap of one of them",
                fix="use it in jax.shard_map, or along one axis"))
        return _exchanged(*args), 0
    # One exchange for all elements: their rows and runs one after the other, runs sorted by
    # receivers.
    operand, output, *vectors = args
    for place, rows in ((0, operand), (2, output)):
        step = scalar_like(vectors[place], aval_of(rows).shape[1])
        first = mul(iota(aval_of(vectors[place]).dtype, axis.size), step)
        vectors[place] = add(vectors[place], broadcast_in_dim(
            first, aval_of(vectors[place]).shape, (0,)))
    flat = [reshape(x, (math.prod(aval_of(x).shape[:2]), *aval_of(x).shape[2:]))
            for x in (operand, output, *[transpose(v, (1, 0)) for v in vectors])]
    moved = ragged_all_to_all_p.bind(*flat, axis_name=axis_name,
                                     axis_index_groups=axis_index_groups)
    return reshape(moved, aval_of(output).shape), 0


def _exchanged(operand: Any, output: Any, starts: Any, sizes: Any, targets: Any,
               received: Any) -> Any:
    """The exchange between the elements of a batch: each row looks up where it comes from."""
    size, rows = aval_of(output).shape[:2]
    count = aval_of(starts).shape[1] // size

    def told(vector: Any) -> Any:  # [receiver, sender * count]
        split = reshape(vector, (size, size, count))
        return reshape(transpose(split, (1, 0, 2)), (size * size * count,))
    starts, targets, runs = told(starts), told(targets), size * count
    kept = _inside(targets, reshape(received, (size * runs,)), rows)
    kept = reshape(kept, (size, runs, rows))
    index = np.dtype(np.int32)
    run = reshape(argmax(kept, 1, index), (size * rows,))
    place = add(run, np.repeat(np.arange(size, dtype=index), rows) * np.int32(runs))
    start, target = [convert_element_type(index_take(v, (place,), (0,)), index)
                     for v in (starts, targets)]
    row = add(np.tile(np.arange(rows, dtype=index), size), sub(start, target))
    found = index_take(operand, (div(run, scalar_like(run, count)), row), (0, 1))
    found = reshape(found, aval_of(output).shape)
    covered = broadcast_in_dim(reduce_or(kept, (1,)), aval_of(output).shape, (0, 1))
    return select(covered, found, output)


ragged_all_to_all_p = Primitive(
    "ragged_all_to_all", shape=_ragged_shape, jvp=linear_in_values, transpose=_ragged_transpose,
    vmap=_ragged_vmap, axes=lambda params: names_of(params["axis_name"]))


# --- Single messages ---------------------------------------------------------------------------


def psend(x: Any, axis_name: AxisName, perm: Sequence[tuple[int, int]]) -> Any:
    """Send each leaf along the axis, from src to dst for each pair; gives a token per leaf."""
    names = bound(axis_name, "psend")
    perm = tuple(map(tuple, perm))
    return tree.map(lambda leaf: psend_p.bind(leaf, axis_name=names, perm=perm), x)


def precv(token: Token, out_shape: Any, axis_name: AxisName,
          perm: Sequence[tuple[int, int]]) -> Any:
    """The value of the type `out_shape` that `psend` sent along the axis with the same pairs."""
    return precv_p.bind(token, axis_name=bound(axis_name, "precv"), perm=tuple(map(tuple, perm)),
                        out_shape=ShapedArray(out_shape.shape, np.dtype(out_shape.dtype)))


_no_vmap = no_rule(NotImplementedError, "psend and precv under vmap are not supported",
                   "lax.ppermute")
psend_p = Primitive("psend", shape=lambda x, **_: abstract_token, vmap=_no_vmap,
                    axes=lambda params: names_of(params["axis_name"]))
precv_p = Primitive("precv", shape=lambda token, *, out_shape, **_: out_shape, vmap=_no_vmap,
                    axes=lambda params: names_of(params["axis_name"]))
