"""How operations split their results over explicit mesh axes: the `split` rules, and `reshard`.

The type of an array on a mesh with explicit axes says how it is split. Elementwise operations need
no rule; the others get theirs here. A rule gives None where it cannot tell: then the compiler
decides, and the type says nothing.

    y = jax.reshard(x, P("x", None))        # the one way to change how a value is split
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from minijax.base import errors, tree
from minijax.base.jaxlib import NamedSharding
from minijax.core import (Primitive, ShapedArray, ShardingTypeError, Where, add_any_p, aval_of,
                          broadcast_in_dim_p, convert_element_type_p, dual, linear, manual_type,
                          reduce_sum_p, reshape_p, sharding_of, transpose_p)
from minijax.lax import cumulative, logic, reduction, shapes, slicing, sorting, types, window
from minijax.lax.casts import manual_casts
from minijax.lax.conv import conv_general_dilated_p
from minijax.lax.dot import dot_general_p
from minijax.lax.placement import sharding_constraint_p, with_sharding_constraint
from minijax.lax.placing import sums_of
from minijax.lax.ragged import ragged_dot_general_p
from minijax.sharding import AxisType, PartitionSpec
from minijax.sharding.context import get_abstract_mesh, named, use_abstract_mesh
from minijax.sharding.named import make, padded, typed
from minijax.sharding.spec import axes_of

__all__ = ["auto_axes", "explicit_axes", "reshard"]


def _unplaced(ndim: int) -> NamedSharding:
    """What `typeof(x).sharding` is where the type says nothing."""
    return make(get_abstract_mesh(), PartitionSpec(*[None] * ndim))


ShapedArray.unplaced = staticmethod(_unplaced)


def _asked(avals: Sequence[Any], outs: Sequence[Any], sharding: Any) -> list | None:
    """The sharding that the user asked for by a parameter, if any."""
    if sharding is None:
        return None
    found = named(sharding, "out_sharding")
    if isinstance(found, NamedSharding) and found.mesh.manual_axes:
        return None
    return [typed(found, outs[0].ndim)] * len(outs)


def _split(name: str, rule: Callable) -> Callable:
    """A `split` rule: what `out_sharding` or `sharding` asks for, else `rule` if it applies."""
    def split(avals: Sequence[Any], outs: Sequence[Any], **params: Any) -> list:
        asked = _asked(avals, outs, params.get("out_sharding", params.get("sharding")))
        if asked is not None:
            if asked[0] is not None and name in _TERMS:
                _TERMS[name](avals, frozenset(asked[0].spec.unreduced), **params)
            return asked
        if not any(map(sharding_of, avals)):
            return [None] * len(outs)
        unreduced, reduced = sums_of(name, avals)
        found = [rule(avals, [out], **params) for out in outs]
        if unreduced or reduced:
            found = [s or _with(avals, [None] * out.ndim) for s, out in zip(found, outs)]
        return [s and s.update(spec=s.spec.update(unreduced=unreduced, reduced=reduced))
                for s in found]
    return split


def _sum_terms(avals: Sequence[Any], unreduced: frozenset, *, axes: tuple, **_: Any) -> None:
    """The terms of a sum that is left undone are the parts of dimensions summed over."""
    (aval,) = avals
    summed = {a for e in axes_of([_entries(aval)[i] for i in axes]) for a in e}
    own = getattr(sharding_of(aval), "spec", PartitionSpec()).unreduced
    if unreduced - summed - own:
        raise ShardingTypeError(errors.describe(
            "out_sharding's unreduced axes should be in operand's specs that were summed over. "
            f"Got operand={aval!r}, axes={set(axes)}, unreduced_spec={set(unreduced)}",
            fix="jax.reshard(x, sharding) the operand"))


def _dot_terms(avals: Sequence[Any], unreduced: frozenset, *, dimension_numbers: tuple,
               **_: Any) -> None:
    lhs, rhs = (tuple(_entries(aval)[i] for i in dims)
                for aval, dims in zip(avals, dimension_numbers[0]))
    if unreduced and lhs != rhs:
        raise ShardingTypeError(errors.describe(
            "lhs and rhs contracting dims should be sharded identically when out_sharding provided "
            "to dot_general mentions unreduced_axes. Got "
            f"lhs_contracting_spec={lhs}, rhs_contracting_spec={rhs}",
            fix="jax.reshard(x, sharding) one operand"))
    if unreduced and unreduced != {a for e in axes_of(lhs) for a in e}:
        raise ShardingTypeError(errors.describe(
            "out_sharding's unreduced axes should be equal to the contracting specs. Got unreduced "
            f"axes={set(unreduced)} and contracting spec={lhs}",
            fix="P(..., unreduced=...) of those axes"))


_TERMS = {"reduce_sum": _sum_terms, "dot_general": _dot_terms}  # may leave sums undone


def _entries(aval: Any) -> tuple:
    sharding = sharding_of(aval)
    return (None,) * aval.ndim if sharding is None else sharding.spec.partitions


def _mesh_of(avals: Sequence[Any]) -> Any:
    return next(sharding_of(a) for a in avals if sharding_of(a) is not None)


def _with(avals: Sequence[Any], entries: Sequence[Any]) -> Any:
    return _mesh_of(avals).update(spec=PartitionSpec(*entries))


# --- Rules --------------------------------------------------------------------------------------


def _transpose(avals: Sequence[Any], outs: Sequence[Any], *, permutation: tuple) -> Any:
    return _with(avals, [_entries(avals[0])[i] for i in permutation])


def _broadcast(avals: Sequence[Any], outs: Sequence[Any], *, broadcast_dimensions: tuple,
               **_: Any) -> Any:
    entries: list = [None] * outs[0].ndim
    for dim, size, entry in zip(broadcast_dimensions, avals[0].shape, _entries(avals[0])):
        entries[dim] = entry if size == outs[0].shape[dim] else None
    return _with(avals, entries)


def _reduce(avals: Sequence[Any], outs: Sequence[Any], *, axes: tuple, **_: Any) -> Any:
    return _with(avals, [e for i, e in enumerate(_entries(avals[0])) if i not in axes])


def _squeeze(avals: Sequence[Any], outs: Sequence[Any], *, dimensions: tuple) -> Any:
    return _with(avals, [e for i, e in enumerate(_entries(avals[0])) if i not in dimensions])


def _sizes(avals: Sequence[Any]) -> dict:
    return dict(_mesh_of(avals).mesh.shape_tuple)


def _divided(avals: Sequence[Any], entries: Sequence[Any], shape: Sequence[int]) -> Any:
    """The entries, if each divides its dimension; otherwise nothing is known."""
    sizes = _sizes(avals)
    for axes, n in zip(axes_of(entries), shape):
        if n % math.prod(sizes[a] for a in axes):
            return None
    return _with(avals, entries)


def _kept_dims(avals: Sequence[Any], outs: Sequence[Any], **_: Any) -> Any:
    """Entries of dimensions that kept their size, and of others where they divide it."""
    return _divided(avals, _entries(avals[0]), outs[0].shape)


def _cut(what: str) -> Callable:
    """The rule of operations that give dimensions other sizes, which their parts must divide."""
    def rule(avals: Sequence[Any], outs: Sequence[Any], **_: Any) -> Any:
        entries, sizes = _entries(avals[0]), _sizes(avals)
        for entry, axes, n in zip(entries, axes_of(entries), outs[0].shape):
            parts = math.prod(sizes[a] for a in axes)
            if n % parts:
                raise ShardingTypeError(errors.describe(
                    f"{what} on sharded dims where out dim ({n}) is not divisible by mesh axes "
                    f"({parts}) with spec ({entry}) is not implemented. Got input type="
                    f"{avals[0].str_short(True)} and output shape={outs[0].shape}",
                    fix="jax.reshard(x, sharding) first"))
        return _with(avals, entries)
    return rule


def _first_operand(avals: Sequence[Any], outs: Sequence[Any], **_: Any) -> Any:
    return sharding_of(avals[0])


def _concatenate(avals: Sequence[Any], outs: Sequence[Any], *, dimension: int) -> Any:
    entries: list = [None] * outs[0].ndim
    for aval in avals:
        for i, entry in enumerate(_entries(aval)):
            if entry is not None and entries[i] not in (None, entry):
                raise ShardingTypeError(errors.describe(
                    "All operands should have the same sharding. Got shardings "
                    + ", ".join(str(a.sharding.spec) for a in avals),
                    fix="jax.reshard(x, sharding) the operands"))
            entries[i] = entry or entries[i]
    return _divided(avals, entries, outs[0].shape)


def _whole_along(name: str, entries: Sequence[Any], axis: int, text: str) -> None:
    if entries[axis] is not None:
        raise ShardingTypeError(errors.describe(
            f"{text}. Got {tuple(entries)} and axis {axis} in {name}",
            fix="jax.reshard(x, sharding) first"))


def _bitcast(avals: Sequence[Any], outs: Sequence[Any], *, new_dtype: Any) -> Any:
    entries, ndim = _entries(avals[0]), outs[0].ndim
    if ndim < len(entries):
        _whole_along("bitcast_convert_type", entries, ndim,
                     "The dimension that is merged into elements should not be split")
    return _with(avals, (*entries, None)[:ndim])


def _cumulate(avals: Sequence[Any], outs: Sequence[Any], *, axis: int, **_: Any) -> Any:
    _whole_along("cumulative operation", _entries(avals[0]), axis,
                 "Input should be unsharded over the axis being reduced")
    return sharding_of(avals[0])


def _sort(avals: Sequence[Any], outs: Sequence[Any], *, dimension: int, **_: Any) -> Any:
    found = next(a for a in avals if sharding_of(a) is not None)
    _whole_along("sort", _entries(found), dimension,
                 "Arguments to sort must be unsharded along the sorting dimension")
    return sharding_of(found)


def _stack(avals: Sequence[Any], outs: Sequence[Any], *, axis: int) -> Any:
    entries = _entries(next(a for a in avals if sharding_of(a) is not None))
    return _with(avals, (*entries[:axis], None, *entries[axis:]))


def _unstack(avals: Sequence[Any], outs: Sequence[Any], *, axis: int) -> Any:
    entries = _entries(avals[0])
    return _with(avals, entries[:axis] + entries[axis + 1:])


def _top_k(avals: Sequence[Any], outs: Sequence[Any], **_: Any) -> Any:
    return _with(avals, _entries(avals[0]))


def _conv(avals: Sequence[Any], outs: Sequence[Any], *, dimension_numbers: Any, **_: Any) -> Any:
    lhs, rhs = _entries(avals[0]), _entries(avals[1])
    batch, feature, *spatial = dimension_numbers.lhs_spec
    if lhs[feature] is not None:
        raise ShardingTypeError(errors.describe(
            "Please specify the output sharding via `out_sharding` parameter of "
            f"`conv_general_dilated`: the features are split over {lhs[feature]}",
            fix="jax.reshard(lhs, sharding) first"))
    entries: list = [None] * outs[0].ndim
    out_batch, out_feature, *out_spatial = dimension_numbers.out_spec
    entries[out_batch], entries[out_feature] = lhs[batch], rhs[dimension_numbers.rhs_spec[0]]
    for i, j in zip(spatial, out_spatial):
        entries[j] = lhs[i]
    return _divided(avals, entries, outs[0].shape)


def _reshape(avals: Sequence[Any], outs: Sequence[Any], *, new_sizes: tuple, dimensions: Any = None,
             **_: Any) -> Any:
    """Entries go to the leading one of the dimensions that theirs becomes part of."""
    old, entries, sizes = avals[0].shape, axes_of(_entries(avals[0])), _sizes(avals)
    result: list = [None] * len(new_sizes)
    groups = _factor_groups(old, tuple(new_sizes))
    changed = [(ins, news) for ins, news in groups if len(ins) > 1 or len(news) > 1]
    if any(entries) and (len(changed) > 1 or changed and min(map(len, changed[0])) > 1):
        raise _ambiguous_reshape(avals[0], new_sizes)
    for ins, news in groups:
        axes: list = []
        whole = True  # the dimensions so far leave one element to each device
        for i in ins:
            if entries[i]:
                if not whole:
                    raise _ambiguous_reshape(avals[0], new_sizes)
                axes += entries[i]
            whole = whole and old[i] == math.prod(sizes[a] for a in entries[i])
        for j in news:
            taken: list = []
            while axes and new_sizes[j] % math.prod(sizes[a] for a in [*taken, axes[0]]) == 0:
                taken.append(axes.pop(0))
            result[j] = tuple(taken) or None
            if math.prod(sizes[a] for a in taken) != new_sizes[j]:
                break
        if axes:
            raise _ambiguous_reshape(avals[0], new_sizes)
    return _with(avals, result)


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
    lhs, rhs = _entries(avals[0]), _entries(avals[1])
    for what, pairs in (("lhs batch dimensions and rhs batch dimensions to have the consistent",
                         (lhs_batch, rhs_batch)),
                        ("contracting dimensions to have consistent", (lhs_sum, rhs_sum))):
        specs = tuple(lhs[i] for i in pairs[0]), tuple(rhs[i] for i in pairs[1])
        if any(a != b for a, b in zip(*specs) if a is not None and b is not None):
            raise ShardingTypeError(errors.describe(
                f"dot_general requires {what} sharding, got {specs[0]} and {specs[1]}.",
                fix="jax.reshard(x, sharding) one operand"))
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
        raise ShardingTypeError(errors.describe(
            f"dot_general operation with inputs: {operands} produces an illegally sharded result "
            f"with the entries {tuple(entries)}", fix="jax.reshard(x, sharding) one operand"))
    return _with(avals, entries)


def _unknown(avals: Sequence[Any], outs: Sequence[Any], **_: Any) -> None:
    return None


def _attach() -> None:
    rules = {
        _transpose: [transpose_p], _broadcast: [broadcast_in_dim_p], _squeeze: [shapes.squeeze_p],
        _reshape: [reshape_p], _dot_general: [dot_general_p],
        _concatenate: [shapes.concatenate_p],
        _cut("split"): [shapes.split_p], _cut("slicing"): [slicing.slice_p],
        _cut("dynamic_slice"): [slicing.dynamic_slice_p], _cut("padding"): [shapes.pad_p],
        _kept_dims: [window.reduce_window_sum_p, window.reduce_window_max_p,
                     window.reduce_window_min_p],
        _cumulate: [cumulative.cumsum_p, cumulative.cumprod_p, cumulative.cummax_p,
                    cumulative.cummin_p, cumulative.cumlogsumexp_p],
        _stack: [shapes.stack_p], _unstack: [shapes.unstack_p], _sort: [sorting.sort_p],
        _top_k: [sorting.top_k_p], _conv: [conv_general_dilated_p],
        _bitcast: [types.bitcast_convert_type_p],
        _first_operand: [
            add_any_p, convert_element_type_p, shapes.rev_p, slicing.dynamic_update_slice_p],
        _reduce: [
            reduce_sum_p, reduction.reduce_max_p, reduction.reduce_min_p, reduction.reduce_prod_p,
            reduction.reduce_and_p, reduction.reduce_or_p, reduction.argmax_p,
            reduction.argmin_p],
        _unknown: [shapes.iota_p, ragged_dot_general_p],
    }
    for rule, primitives in rules.items():
        for primitive in primitives:
            primitive.split = _split(primitive.name, rule)
    for primitive in (logic.select_n_p, logic.clamp_p):
        primitive.pointwise = True
    sharding_constraint_p.split = lambda avals, outs, **_: [sharding_of(avals[0])]


_attach()

def explicit_split(leaves: Sequence[Any], dims: Sequence[int | None], spmd_name: Any) -> Any:
    """How explicit mesh axes split the dimension that `vmap` maps, which must be all the same."""
    found = {}
    for x, dim in zip(leaves, dims):
        sharding = None if dim is None else sharding_of(aval_of(x))
        if sharding is not None:
            found[sharding.spec.partitions[dim]] = sharding
    if len(found) > 1:
        raise ValueError(errors.describe(
            "Mapped away dimension of inputs passed to vmap should be sharded the same. Got "
            f"inconsistent axis specs: {', '.join(map(str, found))}",
            fix="jax.reshard the arguments alike along the mapped axis"))
    entry = next(iter(found), None)
    if entry is None:
        return None
    if spmd_name not in (None, entry):
        raise ValueError(errors.describe(
            "Only one of spmd_axis_name or arrays sharded on `Explicit` mesh axis type is allowed. "
            f"Got arrays sharded on {entry} and spmd_axis_name={spmd_name!r}",
            fix="leave out spmd_axis_name"))
    return found[entry].update(spec=PartitionSpec(entry))


# --- reshard ------------------------------------------------------------------------------------


def reshard(xs: Any, out_shardings: Any) -> Any:
    """The values of `xs`, a pytree, split as `out_shardings` (a prefix tree) says.

    Shardings and PartitionSpecs are over explicit axes; data moves between devices as needed.
    """
    leaves, treedef = tree.flatten(xs)
    given = tree.broadcast_prefix(out_shardings, xs, is_leaf=lambda s: s is None)
    return treedef.unflatten([
        x if s is None else _reshard(x, s) for x, s in zip(leaves, given, strict=True)])


def split_as(x: Any, out_sharding: Any, what: str) -> Any:
    """A result split as `out_sharding` asks: by its type over explicit axes, else as a demand."""
    sharding = named(out_sharding, what)
    if isinstance(sharding, NamedSharding) and not sharding.mesh.empty:
        if sharding.mesh.explicit_axes:
            return _reshard(x, padded(sharding, aval_of(x).ndim))
        return with_sharding_constraint(x, sharding)
    return x


def whole(x: Any) -> Any:
    """`x` with all of it on each device, where its type says that it is split."""
    sharding = sharding_of(aval_of(x))
    if sharding is None or not any(sharding.spec.partitions):
        return x
    return reshard_p.bind(x, dst_sharding=_with([aval_of(x)], [None] * aval_of(x).ndim))


def check_same_sums(x: Any, out_sharding: Any, what: str) -> None:
    """ValueError if the sharding asked for would sum terms, or count a value as reduced."""
    asked = getattr(out_sharding, "spec", out_sharding)
    own = getattr(sharding_of(aval_of(x)), "spec", PartitionSpec())
    for kind in ("unreduced", "reduced"):
        has, wants = getattr(own, kind), getattr(asked, kind, frozenset())
        if has and has != wants:
            raise ValueError(errors.describe(
                f"out_sharding passed to {what} must be {kind} over the same mesh axes as operand, "
                f"{set(has)}, but it is {asked}", fix="jax.reshard(x, sharding) first"))
        if wants and not has:
            raise ValueError(errors.describe(
                f"out_sharding passed to {what} cannot contain {kind} axes, but it is {asked}",
                fix="jax.reshard(result, sharding)"))


def _reshard(x: Any, given: Any) -> Any:
    sharding = named(given, "reshard")
    if not isinstance(sharding, NamedSharding):
        raise ValueError(errors.describe(
            f"Invalid sharding {given!r} passed to reshard: it takes PartitionSpecs and "
            "NamedShardings", fix="jax.reshard(x, P('x'))"))
    aval = aval_of(x)
    sharding.check_compatible_aval(aval.shape)
    sharding.shard_shape(aval.shape)
    return reshard_p.bind(x, dst_sharding=sharding)


def _casts(have: Any, want: Any) -> list:
    """The operations that place a value of one type as values of another are."""
    if have is want or not hasattr(have, "placement"):
        return []
    steps = manual_casts(manual_type(have), manual_type(want))
    target = sharding_of(want)
    if target is not None and sharding_of(have) != target:
        steps.append((reshard_p, {"dst_sharding": target}))
    return steps


Where.casts = staticmethod(_casts)


def _reshard_split(avals: Sequence[Any], outs: Sequence[Any], *, dst_sharding: Any) -> list:
    return [typed(dst_sharding, outs[0].ndim)]


def _reshard_transpose(ct: Any, x: Any, *, dst_sharding: Any) -> Any:
    source = sharding_of(x.aval)
    return ct if source is None else reshard_p.bind(
        ct, dst_sharding=source.update(spec=dual(source.spec)))


def _reshard_vmap(axis: Any, args: Sequence[Any], dims: Sequence[int], *,
                  dst_sharding: Any) -> tuple:
    (x,), (dim,) = args, dims
    entries = list(dst_sharding.spec) + [None] * (aval_of(x).ndim - 1 - len(dst_sharding.spec))
    entries.insert(dim, axis.spmd_name or _entries(aval_of(x))[dim])
    spec = dst_sharding.spec.update(tuple(entries))
    return reshard_p.bind(x, dst_sharding=dst_sharding.update(spec=spec)), dim


reshard_p = Primitive("reshard", shape=lambda x, **_: x, jvp=linear, vmap=_reshard_vmap,
                      transpose=_reshard_transpose, split=_reshard_split)
reshard_p.show = lambda params: {}


# --- Axes of another type for a while -----------------------------------------------------------


def auto_axes(f: Callable | None = None, /, *, axes: Any = None, out_sharding: Any = None) -> Any:
    """`f` with (some) explicit axes left to the compiler inside; results are `out_sharding`."""
    if f is None:
        return lambda f: auto_axes(f, axes=axes, out_sharding=out_sharding)

    def run(*args: Any, **kwargs: Any) -> Any:
        asked = kwargs.pop("out_sharding", None) if out_sharding is None else out_sharding
        mesh = _retyped(args, kwargs, axes, AxisType.Auto)
        if asked is None:
            raise TypeError(errors.describe("Missing required keyword argument: 'out_sharding'",
                                            fix="auto_axes(f, out_sharding=P('x'))"))
        given = tree.map(lambda x: _mesh_cast(x, mesh), (args, kwargs))
        with use_abstract_mesh(mesh):
            out = f(*given[0], **given[1])
        return reshard(out, asked)
    return run


def explicit_axes(f: Callable | None = None, /, *, axes: Any = None,
                  in_sharding: Any = None) -> Any:
    """`f` with (some) axes explicit inside; arguments are split as `in_sharding` says."""
    if f is None:
        return lambda f: explicit_axes(f, axes=axes, in_sharding=in_sharding)

    def run(*args: Any, **kwargs: Any) -> Any:
        outer = get_abstract_mesh()
        asked = kwargs.pop("in_sharding", None) if in_sharding is None else in_sharding
        mesh = _retyped(args, kwargs, axes, AxisType.Explicit)
        if asked is None:
            raise TypeError(errors.describe("Missing required keyword argument: 'in_sharding'",
                                            fix="explicit_axes(f, in_sharding=P('x'))"))
        with use_abstract_mesh(mesh):
            given = reshard(args, asked if isinstance(asked, (tuple, list))
                            else (asked,) * len(args))
            out = f(*given, **kwargs)
        return tree.map(lambda x: _mesh_cast(x, outer), out)
    return run


def _retyped(args: tuple, kwargs: dict, axes: Any, kind: AxisType) -> Any:
    """The mesh in context (or of the arguments), with axes of another type."""
    mesh = get_abstract_mesh()
    if mesh.empty:
        found = [sharding_of(aval_of(x)) for x in tree.leaves((args, kwargs))]
        mesh = next((s.mesh for s in found if s is not None), mesh)
    chosen = mesh.axis_names if axes is None else (axes,) if isinstance(axes, str) else axes
    return mesh.update(axis_types=tuple(
        kind if name in chosen else old for name, old in zip(mesh.axis_names, mesh.axis_types)))


def _mesh_cast(x: Any, mesh: Any) -> Any:
    sharding = sharding_of(aval_of(x))
    if sharding is None:
        return x
    return mesh_cast_p.bind(x, dst_sharding=make(mesh, sharding.spec))


mesh_cast_p = Primitive("mesh_cast", shape=lambda x, **_: x, jvp=linear, split=_reshard_split,
                        transpose=lambda ct, x, **_: ct, decompose=lambda x, **_: x,
                        vmap=lambda axis, args, dims, **_: (args[0], dims[0]))
