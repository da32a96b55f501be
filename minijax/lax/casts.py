"""What holds along the axes of `shard_map`: `pcast` and the operations that change it.

Under `check_vma` the type of a value says of each manual axis one of four things. The value is
the same along it (invarying, said by silence), or varies; it is a sum whose terms are on the
devices (unreduced); or it is the same and its cotangents are unreduced (reduced). Operands of an
operation must agree; what can be converted without communication is, by operations from here.

Transposition exchanges unreduced and reduced, and turns a cast from the invarying into a sum: so a
gradient with respect to something that all devices share comes out right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minijax.base import errors, tree
from minijax.core import (ManualAxisType, Primitive, aval_of, axis_data, linear, manual_type, state,
                          varying_axes, visible_axes, with_manual)
from minijax.sharding.context import get_abstract_mesh

__all__ = ["pcast", "reduced_vary_cast", "vary"]


def names_of(axis_name: Any) -> tuple:
    """One name, or a tuple of names, as a tuple."""
    return axis_name if isinstance(axis_name, tuple) else (axis_name,)


def bound(axis_name: Any, user: str) -> tuple:
    """The names as a tuple, after the check that each is the name of an axis."""
    names = names_of(axis_name)
    for name in names:
        axis_data(name, user)
    return names


def typed_axes(names: Sequence[Any]) -> list:
    """Those of the axes that types keep account of."""
    typed = {axis.name for axis in reversed(visible_axes(state.trace)) if axis.manual}
    return [name for name in names if name in typed]


def moved(aval: Any, axes: Sequence[Any], source: str | None, target: str | None) -> Any:
    """The type after the axes went from one of its sets (None: no set) to another."""
    found = manual_type(aval)._asdict()
    for name in found:
        found[name] = found[name].difference(axes) if name != target else found[name].union(axes)
    return with_manual(aval, ManualAxisType(**found))


def placed(source: str | None, target: str | None) -> Any:
    """The `place` rule of an operation that moves `axes` (or `axis_name`) between sets."""
    def place(avals: Sequence[Any], outs: Sequence[Any], **params: Any) -> list:
        axes = params["axes"] if "axes" in params else names_of(params["axis_name"])
        return [with_manual(outs[0], manual_type(moved(avals[0], axes, source, target)))]
    return place


def _cast(name: str, source: str | None, target: str, back: Any) -> Primitive:
    """An operation on types alone; `back(ct, axes)` is its transpose."""
    primitive = Primitive(
        name, shape=lambda x, **_: x, place=placed(source, target), jvp=linear,
        vmap=lambda axis, args, dims, *, axes: (primitive.bind(*args, axes=axes), dims[0]),
        transpose=lambda ct, x, *, axes: back(ct, axes))
    return primitive


pvary_p = _cast("pvary", None, "varying", lambda ct, axes: psum_invariant_p.bind(
    vary(ct, axes), axes=axes, axis_index_groups=None))
preduced_p = _cast("preduced", None, "reduced",
                   lambda ct, axes: unreduced_psum_p.bind(ct, axes=axes))
reduced_vary_cast_p = _cast("reduced_vary_cast_p", "reduced", "varying",
                            lambda ct, axes: vary_unreduced_cast_p.bind(vary(ct, axes), axes=axes))
vary_unreduced_cast_p = _cast("vary_unreduced_cast_p", "varying", "unreduced",
                              lambda ct, axes: reduced_vary_cast(ct, axes))

# Set by collectives.py, which needs `vary`: the sums that transposes need.
psum_invariant_p: Primitive
unreduced_psum_p: Primitive


def vary(x: Any, names: Sequence[Any]) -> Any:
    """`x` as a value that may differ along the axes, where types keep account of that."""
    aval = aval_of(x)
    missing = [name for name in typed_axes(names) if name not in varying_axes(aval)]
    reduced = manual_type(aval).reduced
    if reduced.intersection(missing):
        raise ValueError(errors.describe(
            f"pvary cannot accept args which are reduced. Got {aval.str_short()} and "
            f"axes={set(missing)}", fix="jax.lax.pcast(x, axis_name, to='varying') first"))
    return pvary_p.bind(x, axes=tuple(missing)) if missing else x


def vary_as(x: Any, *others: Any) -> Any:
    """`x`, a pytree, as values that may differ along the axes that any of the others varies over.

    What a loop starts with must be of the type of what its body returns.
    """
    axes = frozenset().union(*[varying_axes(aval_of(leaf)) for leaf in tree.leaves(others)])
    return tree.map(lambda leaf: vary(leaf, axes), x) if axes else x


def reduced_vary_cast(x: Any, axis_name: Any) -> Any:
    """`x`, reduced along the axes, as a value that may differ along them."""
    return reduced_vary_cast_p.bind(x, axes=names_of(axis_name))


def manual_casts(have: ManualAxisType, want: ManualAxisType) -> list:
    """The casts from one account of the manual axes to another, as far as they are free."""
    steps = []
    freed = (want.varying | want.unreduced) & have.reduced
    new = (want.varying | want.unreduced) - have.varying - have.unreduced - have.reduced
    for primitive, axes in ((reduced_vary_cast_p, freed), (pvary_p, new),
                            (vary_unreduced_cast_p, want.unreduced - have.unreduced),
                            (preduced_p, want.reduced - have.reduced - have.varying
                             - have.unreduced)):
        if axes:
            steps.append((primitive, {"axes": tuple(sorted(axes, key=str))}))
    return steps


_CASTS = {("invarying", "varying"): pvary_p, ("reduced", "varying"): reduced_vary_cast_p,
          ("invarying", "reduced"): preduced_p, ("varying", "unreduced"): vary_unreduced_cast_p}


def pcast(x: Any, axis_name: Any, *, to: str) -> Any:
    """`x`, a pytree, seen otherwise along the axes; no device sends anything.

    to: "varying" from invarying or reduced, "reduced" from invarying, "unreduced" from varying.
    """
    if not isinstance(axis_name, (str, tuple)):
        raise TypeError(errors.describe(
            f"`axis_name` must be a tuple or a str, but got {axis_name!r} of type "
            f"{type(axis_name)}", fix='pcast(x, "x", to="varying")'))
    if to not in ("varying", "reduced", "unreduced"):
        raise ValueError(errors.describe(
            f"Got unexpected `to` value for `jax.lax.pcast`: {to!r}. Allowed `to` values are: "
            "{'varying', 'unreduced', 'reduced'}", fix='pcast(x, axis_name, to="varying")'))
    if get_abstract_mesh().explicit_axes and not visible_axes(state.trace):
        raise ValueError(errors.describe(
            "pvary should be called under jax.shard_map", fix="jax.shard_map(f, ...)(x)"))
    names = bound(axis_name, "pcast")

    def cast(leaf: Any) -> Any:
        source = _kind_of(aval_of(leaf), names)
        primitive = _CASTS.get((source, to))
        if primitive is None:
            raise ValueError(errors.describe(
                f"Unsupported pcast from={source}, to={to!r}",
                because=f"the operand has the type {aval_of(leaf).str_short()}",
                fix="leave it out"))
        axes = tuple(typed_axes(names))
        return primitive.bind(leaf, axes=axes) if axes else leaf
    return tree.map(cast, x)


def _kind_of(aval: Any, names: tuple) -> str:
    """What the type says of the axes, of all of them alike."""
    found = {next((kind for kind, axes in manual_type(aval)._asdict().items() if name in axes),
                  "invarying") for name in names}
    if len(found) > 1:
        raise ValueError(errors.describe(
            "jax.lax.pcast can only accept axis_name which corresponds to one of varying, "
            f"unreduced, reduced or invarying, but {names} are {sorted(found)} in the type "
            f"{aval.str_short()}", fix="cast the axes one after the other"))
    return found.pop()
