"""`vmap`: run a function on whole batches as if on one element."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from minijax import core
from minijax.api.containers import ContainerCall, is_vmappable, spec_types, vmappables
from minijax.api.flatten import Call, boundary, check_callable, flatten_axes, wraps
from minijax.base import errors, tree
from minijax.core import AxisData, Dims, Ref, aval_of
from minijax.lax.explicit import explicit_split
from minijax.passes.discharge import check_distinct
from minijax.passes.leaks import watched
from minijax.runtime import arguments
from minijax.runtime.place import as_array

__all__ = ["vmap"]


def vmap(fun: Callable, in_axes: Any = 0, out_axes: Any = 0, axis_name: Any = None,
         axis_size: int | None = None, spmd_axis_name: Any = None,
         sum_match: bool = False) -> Callable:
    """A version of `fun` that maps over an axis of its arguments.

    in_axes: which axis of each positional argument is mapped: an int, None (not mapped), or a
      tuple of these or of trees that are prefixes of the arguments; keyword arguments are always
      mapped over axis 0. out_axes: where the axis goes in the results. axis_name: the name by which
      collective operations in `fun` refer to the axis. axis_size: its size, needed if no argument
      is mapped. sum_match: a mapped result for which out_axes is None is summed over the axis.
    Raises ValueError when sizes disagree or an axis does not exist.
    """
    check_callable(fun)
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    _check_axes(in_axes, out_axes)
    place = _place_or_sum if sum_match else _place_output

    @wraps(fun, "vmap")
    @boundary
    def vmap_fun(*args: Any, **kwargs: Any) -> Any:
        if type(in_axes) is tuple and len(in_axes) != len(args):
            raise ValueError(errors.describe(
                "vmap in_axes must be an int, None, or a tuple of entries corresponding to the "
                "positional arguments passed to the function, but got "
                f"len(in_axes)={len(in_axes)}, len(args)={len(args)}",
                fix="give one entry of in_axes for each positional argument"))
        is_leaf = is_vmappable if vmappables else None
        leaves, in_tree = tree.flatten((args, kwargs), is_leaf)
        if type(in_axes) is int and in_axes == 0:
            dims: list = [0] * len(leaves)
        else:
            dims = flatten_axes("vmap in_axes", in_axes, args, is_leaf)
            dims += [0] * (len(leaves) - len(dims))
        if Ref in map(type, leaves):
            check_distinct((), leaves, leaf_names(fun, args, kwargs, ""), "the function of vmap")
        size, specs = _axis_size(fun, args, kwargs, leaves, dims, axis_size)
        dims = specs
        if is_leaf is not None:
            dims = [None if is_leaf(x) else d for x, d in zip(leaves, specs)]
        axis = AxisData(axis_name, size, spmd_axis_name, None,
                        explicit_split(leaves, dims, spmd_axis_name))
        if is_leaf is not None:
            call = ContainerCall(fun, in_tree, specs, axis, out_axes, place)
            return _of_containers(call, leaves, dims)
        call = Call(lambda a, k: fun(*a, **k), in_tree, (), None, {})
        outs, out_dims = watched(core.batch, call, axis, leaves, dims, ("vmap(",))
        _check_outputs(outs)
        if type(out_axes) is int:
            wanted: Sequence[Any] = [out_axes] * len(outs)
        else:
            wanted = flatten_axes("vmap out_axes", out_axes, tree.unflatten(call.out_tree, outs))
        return tree.unflatten(call.out_tree, [
            place(x, d, w, axis, (call.out_tree, i))
            for i, (x, d, w) in enumerate(zip(outs, out_dims, wanted))])
    return vmap_fun


def _of_containers(call: ContainerCall, leaves: Sequence[Any], dims: Dims) -> Any:
    outs, out_dims = core.batch(call, call.axis, leaves, dims, ("vmap(",))
    return tree.unflatten(call.out_tree, [
        x if is_vmappable(x) else call.place(x, d, wanted, call.axis)
        for x, d, wanted in zip(outs, out_dims, call.wanted)])


def _check_outputs(outs: Sequence[Any]) -> None:
    for x in outs:
        if not isinstance(x, core.Tracer) and not core.is_valid(x):
            raise TypeError(errors.describe(
                f"Output from batched function {x!r} with type {type(x)} is not a valid JAX type",
                fix="return arrays and numbers only, in tuples, lists and dicts"))


def _place_output(x: Any, dim: int | None, wanted: int | None, axis: AxisData,
                  at: tuple[Any, int] | None = None) -> Any:
    """Move the mapped axis; `at` is the structure of all results, and which leaf this one is."""
    if wanted is None:
        if dim is not None:
            path = "" if at is None else _path(*at)
            what = (f"at vmap out_axes{path}, got axis spec None but output was batched on axis "
                    f"{dim}")
            if axis.name is not None:
                what = (f"vmap has mapped output (axis_name={axis.name}) but out_axes is None; "
                        + what)
            raise ValueError(errors.describe(
                what, fix="out_axes=None needs a result that is the same for every element"))
        return as_array(x)
    ndim = aval_of(x).ndim + (dim is None)
    if not -ndim <= wanted < ndim:
        raise ValueError(errors.describe(
            f"axis {wanted} is out of bounds for array of dimension {ndim}",
            because="out_axes names the place of the mapped axis in the result",
            fix=f"choose out_axes between {-ndim} and {ndim - 1}"))
    return as_array(core.materialize_output(x, dim, axis, wanted % ndim))


def _path(structure: Any, i: int) -> str:
    numbered = tree.unflatten(structure, range(structure.num_leaves))
    return tree.keystr(tree.leaves_with_path(numbered)[i][0])


def _place_or_sum(x: Any, dim: int | None, wanted: int | None, axis: AxisData,
                  at: tuple[Any, int] | None = None) -> Any:
    if wanted is None and dim is not None:
        return core.reduce_sum(x, (dim,))
    return _place_output(x, dim, wanted, axis, at)


def _check_axes(in_axes: Any, out_axes: Any) -> None:
    if isinstance(in_axes, bool) or not (
            in_axes is None or type(in_axes) in (int, tuple, *spec_types)
            or hasattr(in_axes, "__index__")):
        raise TypeError(errors.describe(
            "vmap in_axes must be an int, None, or a tuple of entries corresponding to the "
            f"positional arguments passed to the function, but got {in_axes}.",
            fix="jax.vmap(f, in_axes=(0, None))"))
    _check_axis_leaves(in_axes, "in_axes")
    _check_axis_leaves(out_axes, "out_axes")


def _check_axis_leaves(axes: Any, name: str) -> None:
    for leaf in tree.leaves(axes):
        if type(leaf) not in (int, bool, *spec_types) and not _is_integer(leaf):
            raise TypeError(errors.describe(
                f"vmap {name} must be an int, None, or (nested) container with those types as "
                f"leaves, but got {axes}.", fix=f"jax.vmap(f, {name}=0)"))


def _is_integer(x: Any) -> bool:
    try:
        operator.index(x)
    except TypeError:
        return False
    return True


def _axis_size(fun: Callable, args: tuple, kwargs: dict, leaves: Sequence[Any], dims: Dims,
               given: int | None) -> tuple[int, list]:
    """The size of the mapped axis and the dims as non-negative ints."""
    size, out = given, []
    for x, d in zip(leaves, dims):
        if d is None or is_vmappable(x):
            out.append(d)
            continue
        shape = aval_of(x).shape
        if not -len(shape) <= d < len(shape):
            raise ValueError(errors.describe(
                f"vmap was requested to map its argument along axis {d}, which implies that its "
                f"rank should be at least {d + 1 if d >= 0 else -d}, but is only {len(shape)} "
                f"(its shape is {shape})",
                fix="in_axes=None passes an argument to every element as it is"))
        d %= len(shape)
        out.append(d)
        if size is None:
            size = shape[d]
        elif size != shape[d]:
            raise _inconsistent_sizes(fun, args, kwargs, leaves, dims, given)
    if size is None:
        if not leaves:
            raise ValueError(errors.describe(
                "vmap wrapped function must be passed at least one argument containing an array "
                f"or axis_size must be specified, got empty *args={args} and **kwargs={kwargs}",
                fix="jax.vmap(f, axis_size=n)()"))
        raise ValueError(errors.describe(
            "vmap must have at least one non-None value in in_axes or axis_size must be specified",
            fix="map at least one argument, or give axis_size"))
    return size, out


def _inconsistent_sizes(fun: Callable, args: tuple, kwargs: dict, leaves: Sequence[Any], dims: Dims,
                        given: int | None) -> ValueError:
    names = leaf_names(fun, args, kwargs)
    lines = ["vmap got inconsistent sizes for array axes to be mapped:"]
    if given is not None:
        lines.append(f"  * the `axis_size` argument was {given};")
    by_size: dict[int, list[str]] = {}
    for x, d, name in zip(leaves, dims, names):
        if d is not None:
            aval = aval_of(x)
            text = f"axis {d} of {name} of type {aval.str_short(False)}"
            by_size.setdefault(aval.shape[d], []).append(text)
    for n, found in sorted(by_size.items(), key=lambda item: -len(item[1])):
        count = len(found)
        if count == 1:
            lines.append(f"  * one axis had size {n}: {found[0]};")
        else:
            many = "most" if len(lines) == 1 else "some"
            lines.append(f"  * {many} axes ({count} of them) had size {n}, e.g. {found[0]};")
    return ValueError(errors.describe(
        "\n".join(lines).rstrip(";"), fix="mapped axes must have one common size; "
        "in_axes=None keeps an argument from being mapped"))


def leaf_names(fun: Callable, args: tuple, kwargs: dict, what: str = "argument ") -> list[str]:
    """`argument x['a']` or `kwargs['y']` for each leaf of the call."""
    found = [f"{what}{name}{tree.keystr(path)}"
             for name, value in zip(_positional_names(fun, len(args)), args)
             for path, _ in tree.leaves_with_path(value)]
    return found + [f"kwargs{tree.keystr(path)}" for path, _ in tree.leaves_with_path(kwargs)]


def _positional_names(fun: Callable, count: int) -> list[str]:
    """Names of the positional arguments of a call, those of `*args` by number."""
    known = arguments.parameters_of(fun)
    own = known.positional if known else ()
    varargs = known.varargs or "args" if known else "args"
    return [own[i] if i < len(own) else f"{varargs}[{i - len(own)}]" for i in range(count)]
