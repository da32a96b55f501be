"""How operations split their results over explicit mesh axes: the `split` rules.

The type of an array on a mesh with explicit axes says how it is split. Elementwise operations need
no rule; the others get theirs here. Invariant: a rule that cannot tell raises ShardingTypeError
and says how to ask for a split; without a rule the compiler decides, and the type says nothing.

    jax.typeof(x @ w).sharding.spec         # P('x', 'y') when x is P('x', None), w P(None, 'y')
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from minijax.base import errors
from minijax.core import (ShardingTypeError, add_any_p, broadcast_in_dim_p, convert_element_type_p,
                          reduce_sum_p, reshape_p, sharding_of, transpose_p)
from minijax.lax import cumulative, logic, reduction, shapes, slicing, sorting, types, window
from minijax.lax.conv import conv_general_dilated_p
from minijax.lax.dot import dot_general_p
from minijax.lax.fft import fft_p
from minijax.lax.gather import (
    GatherDimensionNumbers, ScatterDimensionNumbers, gather_p, scatter_add_p, scatter_max_p,
    scatter_min_p, scatter_mul_p, scatter_p, scatter_sub_p)
from minijax.lax.linalg import eigen, factor, solve
from minijax.lax.placement import sharding_constraint_p
from minijax.lax.placing import sums_of
from minijax.lax.ragged import ragged_dot_general_p
from minijax.lax.random_bits import rng_bit_generator_p
from minijax.sharding import PartitionSpec
from minijax.sharding.named import typed
from minijax.sharding.spec import axes_of


def _refused(text: str) -> ShardingTypeError:
    return ShardingTypeError(errors.describe(text, fix="jax.reshard(x, sharding) an operand"))


def _split(name: str, rule: Callable) -> Callable:
    """A `split` rule: what `out_sharding` or `sharding` asks for, else `rule` if it applies."""
    def split(avals: Sequence[Any], outs: Sequence[Any], **params: Any) -> list:
        asked = params.get("out_sharding", params.get("sharding"))
        if asked is not None:
            found = typed(asked, outs[-1].ndim)
            if found is not None and name in _TERMS:
                _TERMS[name](avals, frozenset(found.spec.unreduced), **params)
            return [None] * (len(outs) - 1) + [found]
        if not any(map(sharding_of, avals)):
            return [None] * len(outs)
        unreduced, reduced = sums_of(name, avals)
        found = [rule(avals, [out], **params) for out in outs]
        if unreduced or reduced:
            found = [s or with_entries(avals, [None] * out.ndim) for s, out in zip(found, outs)]
        return [s and s.update(spec=s.spec.update(unreduced=unreduced, reduced=reduced))
                for s in found]
    return split


def _sum_terms(avals: Sequence[Any], unreduced: frozenset, *, axes: tuple, **_: Any) -> None:
    """The terms of a sum that is left undone are the parts of dimensions summed over."""
    (aval,) = avals
    summed = {a for e in axes_of([entries_of(aval)[i] for i in axes]) for a in e}
    own = getattr(sharding_of(aval), "spec", PartitionSpec()).unreduced
    if unreduced - summed - own:
        raise _refused(
            "out_sharding's unreduced axes should be in operand's specs that were summed over. "
            f"Got operand={aval!r}, axes={set(axes)}, unreduced_spec={set(unreduced)}")


def _dot_terms(avals: Sequence[Any], unreduced: frozenset, *, dimension_numbers: tuple,
               **_: Any) -> None:
    lhs, rhs = (tuple(entries_of(aval)[i] for i in dims)
                for aval, dims in zip(avals, dimension_numbers[0]))
    if unreduced and lhs != rhs:
        raise _refused(
            "lhs and rhs contracting dims should be sharded identically when out_sharding provided "
            "to dot_general mentions unreduced_axes. Got "
            f"lhs_contracting_spec={lhs}, rhs_contracting_spec={rhs}")
    if unreduced and unreduced != {a for e in axes_of(lhs) for a in e}:
        raise ShardingTypeError(errors.describe(
            "out_sharding's unreduced axes should be equal to the contracting specs. Got unreduced "
            f"axes={set(unreduced)} and contracting spec={lhs}",
            fix="P(..., unreduced=...) of those axes"))


_TERMS = {"reduce_sum": _sum_terms, "dot_general": _dot_terms}  # may leave sums undone


def entries_of(aval: Any) -> tuple:
    """For each dimension the explicit axes that split it, as in a PartitionSpec."""
    sharding = sharding_of(aval)
    return (None,) * aval.ndim if sharding is None else sharding.spec.partitions


def _mesh_of(avals: Sequence[Any]) -> Any:
    return next(sharding_of(a) for a in avals if sharding_of(a) is not None)


def with_entries(avals: Sequence[Any], entries: Sequence[Any]) -> Any:
    """The sharding with these entries, over the mesh of the operands."""
    return _mesh_of(avals).update(spec=PartitionSpec(*entries))


# --- Rules --------------------------------------------------------------------------------------


def _transpose(avals: Sequence[Any], outs: Sequence[Any], *, permutation: tuple) -> Any:
    return with_entries(avals, [entries_of(avals[0])[i] for i in permutation])


def _broadcast(avals: Sequence[Any], outs: Sequence[Any], *, broadcast_dimensions: tuple,
               **_: Any) -> Any:
    entries: list = [None] * outs[0].ndim
    for dim, size, entry in zip(broadcast_dimensions, avals[0].shape, entries_of(avals[0])):
        entries[dim] = entry if size == outs[0].shape[dim] else None
    return with_entries(avals, entries)


def _reduce(avals: Sequence[Any], outs: Sequence[Any], *, axes: tuple, **_: Any) -> Any:
    return with_entries(avals, [e for i, e in enumerate(entries_of(avals[0])) if i not in axes])


def _squeeze(avals: Sequence[Any], outs: Sequence[Any], *, dimensions: tuple, **_: Any) -> Any:
    return _reduce(avals, outs, axes=dimensions)


def _sizes(avals: Sequence[Any]) -> dict:
    return dict(_mesh_of(avals).mesh.shape_tuple)


def _divided(avals: Sequence[Any], entries: Sequence[Any], shape: Sequence[int]) -> Any:
    """The entries, if each divides its dimension; otherwise nothing is known."""
    sizes = _sizes(avals)
    for axes, n in zip(axes_of(entries), shape):
        if n % math.prod(sizes[a] for a in axes):
            return None
    return with_entries(avals, entries)


def _cut(what: str) -> Callable:
    """The rule of operations that give dimensions other sizes, which their parts must divide."""
    def rule(avals: Sequence[Any], outs: Sequence[Any], **_: Any) -> Any:
        entries, sizes = entries_of(avals[0]), _sizes(avals)
        for entry, axes, n in zip(entries, axes_of(entries), outs[0].shape):
            parts = math.prod(sizes[a] for a in axes)
            if n % parts:
                raise _refused(
                    f"{what} on sharded dims where out dim ({n}) is not divisible by mesh axes "
                    f"({parts}) with spec ({entry}) is not implemented. Got input type="
                    f"{avals[0].str_short(True)} and output shape={outs[0].shape}")
        return with_entries(avals, entries)
    return rule


def _first_operand(avals: Sequence[Any], outs: Sequence[Any], **_: Any) -> Any:
    return sharding_of(avals[0])


def _tile(avals: Sequence[Any], outs: Sequence[Any], *, reps: tuple) -> Any:
    entries = entries_of(avals[0])
    for i, count in enumerate(reps):
        if count != 1:
            _whole_along("tile", entries, i, "Operand cannot be sharded on a dimension when the "
                         "tiling is non-trivial")
    return sharding_of(avals[0])


def _concatenate(avals: Sequence[Any], outs: Sequence[Any], **_: Any) -> Any:
    found = {entries_of(a): a for a in avals}
    if len(found) > 1:
        raise _refused(
            "All operands should have the same sharding. Got shardings "
            + ", ".join(str(a.sharding.spec) for a in found.values()))
    return with_entries(avals, entries_of(avals[0]))


def _update(avals: Sequence[Any], outs: Sequence[Any], **_: Any) -> Any:
    pairs = zip(entries_of(avals[0]), entries_of(avals[1]))
    if any(update not in (None, entry) for entry, update in pairs):
        raise _refused(
            "dynamic_update_slice operand sharding must be equal to update sharding, got operand "
            f"sharding {avals[0].sharding.spec} and update sharding {avals[1].sharding.spec}.")
    return sharding_of(avals[0])


def _whole_along(name: str, entries: Sequence[Any], axis: int, text: str) -> None:
    if entries[axis] is not None:
        raise _refused(
            f"{text}. Got {tuple(entries)} and axis {axis} in {name}")


def _bitcast(avals: Sequence[Any], outs: Sequence[Any], *, new_dtype: Any) -> Any:
    entries, ndim = entries_of(avals[0]), outs[0].ndim
    if ndim < len(entries):
        _whole_along("bitcast_convert_type", entries, ndim,
                     "The dimension that is merged into elements should not be split")
    return with_entries(avals, (*entries, None)[:ndim])


def _cumulate(avals: Sequence[Any], outs: Sequence[Any], *, axis: int, **_: Any) -> Any:
    _whole_along("cumulative operation", entries_of(avals[0]), axis,
                 "Input should be unsharded over the axis being reduced")
    return sharding_of(avals[0])


def _sort(avals: Sequence[Any], outs: Sequence[Any], *, dimension: int, **_: Any) -> Any:
    found = next(a for a in avals if sharding_of(a) is not None)
    _whole_along("sort", entries_of(found), dimension,
                 "Arguments to sort must be unsharded along the sorting dimension")
    return sharding_of(found)


def _stack(avals: Sequence[Any], outs: Sequence[Any], *, axis: int) -> Any:
    _concatenate(avals, avals)
    entries = entries_of(avals[0])
    return with_entries(avals, (*entries[:axis], None, *entries[axis:]))


def _unstack(avals: Sequence[Any], outs: Sequence[Any], *, axis: int) -> Any:
    entries = entries_of(avals[0])
    _whole_along("unstack", entries, axis,
                 "unstack operand cannot be sharded on the unstacking axis")
    return with_entries(avals, entries[:axis] + entries[axis + 1:])


def _top_k(avals: Sequence[Any], outs: Sequence[Any], *, axis: int = -1, **_: Any) -> Any:
    _whole_along("top_k", entries_of(avals[0]), axis,
                 "The input should be unsharded over the axis along which to compute the top_k "
                 "values")
    return with_entries(avals, entries_of(avals[0]))


def _conv(avals: Sequence[Any], outs: Sequence[Any], *, dimension_numbers: Any, **_: Any) -> Any:
    lhs, rhs = entries_of(avals[0]), entries_of(avals[1])
    batch, feature, *spatial = dimension_numbers.lhs_spec
    if lhs[feature] is not None:
        raise _refused(
            "Please specify the output sharding via `out_sharding` parameter of "
            f"`conv_general_dilated`: the features are split over {lhs[feature]}")
    entries: list = [None] * outs[0].ndim
    out_batch, out_feature, *out_spatial = dimension_numbers.out_spec
    entries[out_batch], entries[out_feature] = lhs[batch], rhs[dimension_numbers.rhs_spec[0]]
    for i, j in zip(spatial, out_spatial):
        entries[j] = lhs[i]
    return _divided(avals, entries, outs[0].shape)


def _reshape(avals: Sequence[Any], outs: Sequence[Any], *, new_sizes: tuple, dimensions: Any = None,
             **_: Any) -> Any:
    """Entries go to the leading one of the dimensions that theirs becomes part of."""
    old, entries, sizes = avals[0].shape, axes_of(entries_of(avals[0])), _sizes(avals)
    result: list = [None] * len(new_sizes)
    if any(entries) and 0 in old:
        raise _ambiguous_reshape(avals[0], new_sizes)
    groups = _factor_groups(old, tuple(new_sizes))
    changed = [(ins, news) for ins, news in groups if len(ins) > 1 or len(news) > 1]
    if any(entries) and (len(changed) > 1 or changed and min(map(len, changed[0])) > 1):
        raise _ambiguous_reshape(avals[0], new_sizes)
    for ins, news in groups:
        axes: list = []
        for i in ins:
            if entries[i] and not all(map(entries.__getitem__, ins[:ins.index(i)])):
                raise _ambiguous_reshape(avals[0], new_sizes)
            axes += entries[i]
        for j in news:
            taken: list = []
            while axes and new_sizes[j] % math.prod(sizes[a] for a in [*taken, axes[0]]) == 0:
                taken.append(axes.pop(0))
            result[j] = tuple(taken) or None
            if math.prod(sizes[a] for a in taken) != new_sizes[j]:
                break
        if axes:
            raise _ambiguous_reshape(avals[0], new_sizes)
    return with_entries(avals, result)


def _ambiguous_reshape(aval: Any, new_sizes: tuple) -> ShardingTypeError:
    return ShardingTypeError(errors.describe(
        "This reshape is not supported. Please specify the sharding of the output via the "
        f"`sharding` argument of jax.lax.reshape. Got operand {aval} and new sizes {new_sizes}",
        fix="jnp.reshape(x, shape, out_sharding=P(...))"))


def _factor_groups(old: tuple[int, ...], new: tuple[int, ...]) -> list[tuple[list, list]]:
    """The dimensions cut into groups of equal products, in order; those of size 1 stand alone."""
    groups, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        if i < len(old) and old[i] == 1 and not (j < len(new) and new[j] == 1):
            groups.append(([i], []))
            i += 1
            continue
        if j < len(new) and new[j] == 1 and not (i < len(old) and old[i] == 1):
            groups.append(([], [j]))
            j += 1
            continue
        ins, news, a, b = [i], [j], old[i], new[j]
        while a != b:
            if a < b:
                ins.append(ins[-1] + 1)
                a *= old[ins[-1]]
            else:
                news.append(news[-1] + 1)
                b *= new[news[-1]]
        groups.append((ins, news))
        i, j = ins[-1] + 1, news[-1] + 1
    return groups


def _dot_general(avals: Sequence[Any], outs: Sequence[Any], *, dimension_numbers: tuple,
                 **_: Any) -> Any:
    (lhs_sum, rhs_sum), (lhs_batch, rhs_batch) = dimension_numbers
    lhs, rhs = entries_of(avals[0]), entries_of(avals[1])
    for what, pairs in (("lhs batch dimensions and rhs batch dimensions to have the consistent",
                         (lhs_batch, rhs_batch)),
                        ("contracting dimensions to have consistent", (lhs_sum, rhs_sum))):
        specs = tuple(lhs[i] for i in pairs[0]), tuple(rhs[i] for i in pairs[1])
        if any(a != b for a, b in zip(*specs) if a is not None and b is not None):
            raise _refused(
                f"dot_general requires {what} sharding, got {specs[0]} and {specs[1]}.")
    summed = tuple(lhs[i] for i in lhs_sum), tuple(rhs[i] for i in rhs_sum)
    if any(a is not None and b is not None for a, b in zip(*summed)):
        raise ShardingTypeError(errors.describe(
            "Contracting dimensions are sharded and it is ambiguous how the output should be "
            "sharded. Please specify the output sharding via the `out_sharding` parameter. Got "
            f"lhs_contracting_spec={summed[0]} and rhs_contracting_spec={summed[1]}",
            fix="jnp.einsum(..., out_sharding=P(...))"))
    entries = [lhs[i] if lhs[i] is not None else rhs[j] for i, j in zip(lhs_batch, rhs_batch)]
    entries += [e for i, e in enumerate(lhs) if i not in (*lhs_sum, *lhs_batch)]
    entries += [e for i, e in enumerate(rhs) if i not in (*rhs_sum, *rhs_batch)]
    used = [a for axes in axes_of(entries) for a in axes]
    if len(set(used)) < len(used):
        operands = ", ".join(a.str_short() for a in avals)
        raise _refused(
            f"dot_general operation with inputs: {operands} produces an illegally sharded result "
            f"with the entries {tuple(entries)}")
    return with_entries(avals, entries)


def _batched(rank: int) -> Callable:
    """The rule of operations on matrices (rank 2) or vectors that stand in batches."""
    def rule(avals: Sequence[Any], outs: Sequence[Any], **_: Any) -> Any:
        count = avals[0].ndim - rank
        entries: list = [None] * count
        for aval in avals:
            own = entries_of(aval)
            if any(own[count:]) or any(None not in (e, f) and e != f for e, f in zip(entries, own)):
                raise _refused(
                    "The dimensions of matrices should be unsharded, and batches sharded alike. "
                    f"Got the operands {', '.join(a.str_short(True) for a in avals)}")
            entries = [e or f for e, f in zip(entries, own)]
        return with_entries(avals, entries + [None] * (outs[0].ndim - count))
    return rule


# --- Indexing -----------------------------------------------------------------------------------


def _gather(avals: Sequence[Any], outs: Sequence[Any], *,
            dimension_numbers: GatherDimensionNumbers, slice_sizes: tuple, **_: Any) -> Any:
    """Whole dimensions keep their entries; those along which indices select must have none."""
    dnums, operand = dimension_numbers, entries_of(avals[0])
    rows = _index_rows(avals, dnums.operand_batching_dims, dnums.start_indices_batching_dims)
    cut = [i for i, (n, size) in enumerate(zip(avals[0].shape, slice_sizes))
           if n != size and i not in dnums.operand_batching_dims]
    if rows is None or any(operand[i] for i in cut):
        raise _ambiguous_indexing("get", "gather indexing", avals)
    absent = (*dnums.collapsed_slice_dims, *dnums.operand_batching_dims)
    window = iter([e for i, e in enumerate(operand) if i not in absent])
    rest = iter(rows)
    return with_entries(avals, [next(window if i in dnums.offset_dims else rest)
                                for i in range(outs[0].ndim)])


def _scatter(avals: Sequence[Any], outs: Sequence[Any], *,
             dimension_numbers: ScatterDimensionNumbers, **_: Any) -> Any:
    dnums, entries = dimension_numbers, list(entries_of(avals[0]))
    rows = _index_rows(avals, dnums.operand_batching_dims, dnums.scatter_indices_batching_dims)
    absent = (*dnums.inserted_window_dims, *dnums.operand_batching_dims)
    window = iter([avals[2].shape[d] for d in dnums.update_window_dims])
    sizes = [1 if i in absent else next(window) for i in range(len(entries))]
    if rows is None or any(entry for i, entry in enumerate(entries)
                           if sizes[i] != avals[0].shape[i]
                           and i not in dnums.operand_batching_dims):
        raise _ambiguous_indexing("set/add/mul/...", "scatter update", avals)
    for i, j in zip(dnums.operand_batching_dims, dnums.scatter_indices_batching_dims):
        entries[i] = rows[j]
    return with_entries(avals, entries)


def _index_rows(avals: Sequence[Any], operand_dims: Sequence[int],
                index_dims: Sequence[int]) -> list | None:
    """The entries of the dimensions that indices run over; None where other than batches are split.
    """
    operand, rows = entries_of(avals[0]), list(entries_of(avals[1])[:-1])
    if any(entry for i, entry in enumerate(rows) if i not in index_dims):
        return None
    for i, j in zip(operand_dims, index_dims):
        if None not in (rows[j], operand[i]) and rows[j] != operand[i]:
            return None
        rows[j] = rows[j] or operand[i]
    return rows


def _ambiguous_indexing(method: str, what: str, avals: Sequence[Any]) -> ShardingTypeError:
    return ShardingTypeError(errors.describe(
        f"Use `.at[...].{method}(out_sharding=)` to provide output PartitionSpec for the {what} as "
        "out sharding could not be resolved unambiguously (or would require collectives on "
        f"inputs). Got operand={avals[0].str_short(True)}, indices={avals[1].str_short(True)}",
        fix=f"x.at[index].{method.split('/')[0]}(..., out_sharding=P(...))"))


def _unknown(avals: Sequence[Any], outs: Sequence[Any], **_: Any) -> None:
    return None


def _attach() -> None:
    rules = {
        _transpose: [transpose_p], _broadcast: [broadcast_in_dim_p],
        _squeeze: [shapes.squeeze_p, reduction.reduce_p],
        _reshape: [reshape_p], _dot_general: [dot_general_p],
        _concatenate: [shapes.concatenate_p], _tile: [shapes.tile_p],
        _cut("split"): [shapes.split_p], _cut("slicing"): [slicing.slice_p],
        _cut("dynamic_slice"): [slicing.dynamic_slice_p], _cut("padding"): [shapes.pad_p],
        _cut("reduce_window"): [window.reduce_window_sum_p, window.reduce_window_max_p,
                                window.reduce_window_min_p],
        _cumulate: [cumulative.cumsum_p, cumulative.cumprod_p, cumulative.cummax_p,
                    cumulative.cummin_p, cumulative.cumlogsumexp_p],
        _stack: [shapes.stack_p], _unstack: [shapes.unstack_p], _sort: [sorting.sort_p],
        _top_k: [sorting.top_k_p], _conv: [conv_general_dilated_p],
        _bitcast: [types.bitcast_convert_type_p],
        _first_operand: [add_any_p, convert_element_type_p, shapes.rev_p, fft_p],
        _update: [slicing.dynamic_update_slice_p], _gather: [gather_p],
        _scatter: [scatter_p, scatter_add_p, scatter_sub_p, scatter_mul_p, scatter_min_p,
                   scatter_max_p],
        _batched(1): [factor.lu_pivots_to_permutation_p],
        _batched(2): [
            eigen.eigh_p, eigen.eig_p, eigen.svd_p, eigen.schur_p, eigen.hessenberg_p,
            factor.cholesky_p, factor.lu_p, factor.qr_p, factor.geqrf_p, solve.triangular_solve_p],
        _reduce: [
            reduce_sum_p, reduction.reduce_max_p, reduction.reduce_min_p, reduction.reduce_prod_p,
            reduction.reduce_and_p, reduction.reduce_or_p, reduction.reduce_xor_p,
            reduction.argmax_p, reduction.argmin_p],
        _unknown: [shapes.iota_p, ragged_dot_general_p, rng_bit_generator_p],
    }
    for rule, primitives in rules.items():
        for primitive in primitives:
            primitive.split = _split(primitive.name, rule)
    for primitive in (logic.select_n_p, logic.clamp_p):
        primitive.pointwise = True
    sharding_constraint_p.split = lambda avals, outs, **_: [sharding_of(avals[0])]


_attach()
