"""Reductions over axes: sums, extrema, products, logical ones, positions of extrema, and `reduce`
with a computation of the caller's.

The one invariant: `axes` are distinct, nonnegative and in range; they vanish from the result.

    >>> reduce_max(jnp.array([[1, 2], [3, 0]]), (0,))
    Array([3, 2], dtype=int32)
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from minijax.base import dtypes, errors, tree
from minijax.base.jaxlib import Array
from minijax.core import (AxisData, Dims, Jaxpr, Primitive, ShapedArray, Values, Zero, aval_of,
                          batch, convert_element_type, each_operand, eval_jaxpr, is_tracer, jvp,
                          materialize, nondifferentiable, reduce_axes, reduce_sum_p, zero_tangent)
from minijax.core.primitive import Deferred
from minijax.lax import elementwise, logic, shapes
from minijax.lax.computation import trace_computation
from minijax.lax.rules import ANY, ArrayLike, asked, check_dtype
from minijax.lax.slicing import slice_in_dim

# --- User functions ----------------------------------------------------------------------------


def reduce_sum(operand: ArrayLike, axes: Sequence[int], *, out_sharding: Any = None) -> Array:
    """The sum over `axes`."""
    return reduce_sum_p.bind(operand, axes=tuple(map(operator.index, axes)),
                             out_sharding=None if out_sharding is None else asked(
                                 out_sharding, "reduce_sum"))


def reduce_max(operand: ArrayLike, axes: Sequence[int]) -> Array:
    """The maximum over `axes`; complex numbers compare by real part, then by imaginary part."""
    return reduce_max_p.bind(operand, axes=tuple(map(operator.index, axes)))


def reduce_min(operand: ArrayLike, axes: Sequence[int]) -> Array:
    """The minimum over `axes`; complex numbers compare by real part, then by imaginary part."""
    return reduce_min_p.bind(operand, axes=tuple(map(operator.index, axes)))


def reduce_prod(operand: ArrayLike, axes: Sequence[int]) -> Array:
    """The product over `axes`."""
    return reduce_prod_p.bind(operand, axes=tuple(map(operator.index, axes)))


def reduce_and(operand: ArrayLike, axes: Sequence[int]) -> Array:
    """Bitwise "and" of booleans or integers over `axes`."""
    return reduce_and_p.bind(operand, axes=tuple(map(operator.index, axes)))


def reduce_or(operand: ArrayLike, axes: Sequence[int]) -> Array:
    """Bitwise "or" of booleans or integers over `axes`."""
    return reduce_or_p.bind(operand, axes=tuple(map(operator.index, axes)))


def reduce_xor(operand: ArrayLike, axes: Sequence[int]) -> Array:
    """Bitwise "exclusive or" of booleans or integers over `axes`."""
    return reduce_xor_p.bind(operand, axes=tuple(map(operator.index, axes)))


def argmax(operand: ArrayLike, axis: int, index_dtype: Any) -> Array:
    """The first position of the maximum along `axis` (of the first NaN, if there is one)."""
    return argmax_p.bind(operand, axes=(operator.index(axis),),
                         index_dtype=dtypes.canonicalize_dtype(index_dtype))


def argmin(operand: ArrayLike, axis: int, index_dtype: Any) -> Array:
    """The first position of the minimum along `axis` (of the first NaN, if there is one)."""
    return argmin_p.bind(operand, axes=(operator.index(axis),),
                         index_dtype=dtypes.canonicalize_dtype(index_dtype))


# --- The reductions by name --------------------------------------------------------------------


def _reduced(name: str, x: ShapedArray, axes: tuple, weak: bool) -> ShapedArray:
    if len(set(axes)) != len(axes):
        raise ValueError(errors.describe(
            f"duplicate value in 'axes' of reduction: {axes}", fix="name each axis once"))
    if any(not 0 <= a < x.ndim for a in axes):
        raise ValueError(errors.describe(
            f"reduction axes {axes} contains out-of-bounds indices for "
            f"{x.str_short(short_dtypes=False)}.",
            fix="count axes from 0; jnp functions also accept negative ones"))
    return ShapedArray(tuple([n for i, n in enumerate(x.shape) if i not in axes]), x.dtype, weak)


def _reduction_shape(name: str, kinds: Sequence[str]) -> Callable[..., ShapedArray]:
    def shape(x: ShapedArray, *, axes: tuple) -> ShapedArray:
        check_dtype(name, x.dtype, kinds)
        return _reduced(name, x, axes, x.weak_type)
    return shape


def _logical_shape(name: str) -> Callable[..., ShapedArray]:
    def shape(x: ShapedArray, *, axes: tuple) -> ShapedArray:
        if x.dtype.kind not in "biu":  # int4 and its kin are not accepted
            raise TypeError(errors.describe(
                f"logical reduction requires operand dtype bool or int, got {x.dtype.name}.",
                fix="compare first: lax.reduce_and(x != 0, axes)"))
        return _reduced(name, x, axes, False)
    return shape


def _restore(x: Any, shape: tuple, axes: tuple) -> Any:
    """A reduced array with the reduced axes put back, with size 1."""
    return shapes.reshape(x, tuple([1 if i in axes else n for i, n in enumerate(shape)]))


def _extremum_tangent(g: Any, out: Any, x: Any, *, axes: tuple) -> Any:
    """The mean of the tangents at all places where the extremum is attained."""
    aval = aval_of(x)
    hit = logic.eq(x, _restore(out, aval.shape, axes))
    weight = convert_element_type(hit, aval.dtype)
    count = reduce_sum(weight, axes)
    return elementwise.div(reduce_sum(elementwise.mul(g, weight), axes), count)


def _halve(x: Any, axis: int) -> tuple[Any, Any, Any]:
    """Both halves of `x` along an axis, and what is left over when the size is odd (or None)."""
    size = aval_of(x).shape[axis]
    half = size // 2
    rest = slice_in_dim(x, 2 * half, size, 1, axis) if size % 2 else None
    return slice_in_dim(x, 0, half, 1, axis), slice_in_dim(x, half, 2 * half, 1, axis), rest


def _tree_product(x: Any, axes: tuple) -> Any:
    """The product as a tree of elementwise products: its derivative needs no division."""
    for axis in axes:
        if not aval_of(x).shape[axis]:
            return reduce_prod(x, axes)
        while aval_of(x).shape[axis] > 1:
            low, high, rest = _halve(x, axis)
            x = elementwise.mul(low, high)
            if rest is not None:
                x = shapes.concatenate([x, rest], axis)
    return shapes.squeeze(x, axes)


def _prod_jvp(primals: Values, tangents: Values, *, axes: tuple) -> tuple:
    (out,), (tangent,) = jvp(lambda x: [_tree_product(x, axes)], primals, tangents)
    return out, tangent


def _reduction(name: str, shape: Callable, rule: Any) -> Primitive:
    return Primitive(name, shape=shape, jvp=rule, vmap=reduce_axes)


reduce_max_p = _reduction("reduce_max", _reduction_shape("reduce_max", ANY),
                          each_operand(_extremum_tangent))
reduce_min_p = _reduction("reduce_min", _reduction_shape("reduce_min", ANY),
                          each_operand(_extremum_tangent))
reduce_prod_p = _reduction("reduce_prod", _reduction_shape("reduce_prod", ("number",)), _prod_jvp)
reduce_and_p = _reduction("reduce_and", _logical_shape("reduce_and"), nondifferentiable)
reduce_or_p = _reduction("reduce_or", _logical_shape("reduce_or"), nondifferentiable)
reduce_xor_p = _reduction("reduce_xor", _logical_shape("reduce_xor"), nondifferentiable)


# --- argmax, argmin ----------------------------------------------------------------------------


def _argument_shape(x: ShapedArray, *, axes: tuple, index_dtype: Any) -> ShapedArray:
    axis, = axes
    if not 0 <= axis < x.ndim:
        raise ValueError(errors.describe(
            f"Invalid axis {axis} for operand shape {x.shape}",
            fix="count the axis from 0; jnp.argmax also accepts negative ones"))
    if x.dtype.kind == "c":
        raise TypeError(errors.describe(
            f"argmin and argmax do not accept dtype {x.dtype.name}: complex numbers have no order",
            fix="take jnp.abs(x) or x.real first"))
    if not dtypes.issubdtype(index_dtype, np.integer):
        raise TypeError(errors.describe(
            f"index_dtype must be an integer type, but got {np.dtype(index_dtype).name}",
            fix="pass index_dtype=jnp.int32"))
    if x.shape[axis] < 1:
        raise ValueError(errors.describe(
            "argmin and argmax require non-empty reduced dimension. "
            f"operand.shape={x.shape} axis={axis}", fix="handle empty arrays before"))
    return ShapedArray(x.shape[:axis] + x.shape[axis + 1:], np.dtype(index_dtype))


argmax_p = _reduction("argmax", _argument_shape, nondifferentiable)
argmin_p = _reduction("argmin", _argument_shape, nondifferentiable)


# --- reduce ------------------------------------------------------------------------------------


def reduce(operands: Any, init_values: Any, computation: Callable[[Any, Any], Any],
           dimensions: Sequence[int], out_sharding: Any = None) -> Any:
    """Combine elements over `dimensions` with an associative function of scalars.

    `operands` is a tree of arrays of one shape, `init_values` a tree of scalars of the same
    structure, and `computation(accumulated, element)` takes and returns such trees. A known
    function with its identity as the initial value becomes the reduction of its name.
    """
    flat, inits, structure = flat_operands(operands, init_values)
    dimensions = tuple(map(operator.index, dimensions))
    if len(flat) == 1:
        primitive = monoid(computation, aval_of(flat[0]), inits[0])
        if primitive is not None:
            params = {"out_sharding": None} if primitive is reduce_sum_p else {}
            out = primitive.bind(flat[0], axes=dimensions, **params)
            return tree.unflatten(structure, [out])
    jaxpr = reducer_jaxpr("Reduction", computation, structure, flat, inits)
    outs = reduce_p.bind(*flat, *inits, computation=computation, jaxpr=jaxpr,
                         dimensions=dimensions)
    return tree.unflatten(structure, outs)


def flat_operands(operands: Any, init_values: Any) -> tuple[list, list, Any]:
    """The leaves of both, and their structure, which must be one."""
    flat, structure = tree.flatten(operands)
    inits, init_structure = tree.flatten(init_values)
    if structure != init_structure:
        raise ValueError(errors.describe(
            "Operands must have the same tree structure as init_values: "
            f"{structure} vs. {init_structure}", fix="give one initial value per operand"))
    return flat, inits, structure


def reducer_jaxpr(what: str, computation: Callable, structure: Any, operands: Values,
                  inits: Sequence[Any]) -> Jaxpr:
    """The scalar jaxpr of `computation`: accumulated values, then elements, to new values."""
    def flat_computation(*args: Any) -> list:
        n = len(operands)
        out = computation(tree.unflatten(structure, args[:n]), tree.unflatten(structure, args[n:]))
        leaves, out_structure = tree.flatten(out)
        if out_structure != structure:
            raise ValueError(errors.describe(
                f"{what} computation must return a tree like its arguments: {structure}, got "
                f"{out_structure}", fix="return one value per operand"))
        return leaves

    scalars = [ShapedArray((), aval_of(x).dtype) for x in inits]
    return trace_computation(flat_computation, scalars + scalars, what)


def monoid(computation: Callable, aval: ShapedArray, init: Any) -> Primitive | None:
    """The reduction that `computation` with `init` is, if both are recognised."""
    try:
        found = _MONOIDS.get(computation)
    except TypeError:  # not hashable
        return None
    if found is None or is_tracer(init):
        return None
    value = np.asarray(init)
    python = isinstance(init, (bool, int, float, complex))  # takes the operand's dtype
    if value.shape or not (python or value.dtype == aval.dtype):
        return None
    primitive, identity = found
    expected = identity(aval.dtype)
    return primitive if expected is not None and value == expected else None


def _bound(infinity: float, end: str, truth: np.bool_) -> Callable[[Any], Any]:
    """The first or last number of a dtype, as a function of that; None for complex numbers."""
    @lru_cache(maxsize=None)
    def bound(dtype: Any) -> Any:
        if dtypes.issubdtype(dtype, np.floating):
            return np.asarray(infinity, dtype)[()]
        if dtypes.issubdtype(dtype, np.integer):
            return np.asarray(getattr(dtypes.iinfo(dtype), end), dtype)[()]
        return truth if dtype == np.bool_ else None
    return bound


lowest = _bound(-np.inf, "min", np.False_)  # the identity of maximum
highest = _bound(np.inf, "max", np.True_)  # the identity of minimum


def _all_bits(dtype: Any) -> Any:
    """The identity of "and": True, or all bits set."""
    return np.True_ if dtype == np.bool_ else np.asarray(-1).astype(dtype)[()]


_MONOIDS: dict[Callable, tuple[Primitive, Callable[[Any], Any]]] = {
    elementwise.add: (reduce_sum_p, lambda dtype: 0),
    elementwise.mul: (reduce_prod_p, lambda dtype: 1),
    elementwise.max: (reduce_max_p, lowest),
    elementwise.min: (reduce_min_p, highest),
    logic.bitwise_and: (reduce_and_p, _all_bits),
    logic.bitwise_or: (reduce_or_p, lambda dtype: 0),
    logic.bitwise_xor: (reduce_xor_p, lambda dtype: 0),
}


def _reduce_shape(*avals: ShapedArray, computation: Callable, jaxpr: Jaxpr,
                  dimensions: tuple) -> list[ShapedArray]:
    operands, inits = _split(avals)
    if any(x.shape != operands[0].shape for x in operands):
        raise ValueError(errors.describe(
            f"reduce requires all operands to have the same shape, got "
            f"{[x.shape for x in operands]}", fix="broadcast the operands first"))
    if any(i.shape for i in inits):
        raise ValueError(errors.describe(
            f"reduce found non-scalar initial value: {[i.shape for i in inits]}",
            fix="use scalars as initial values"))
    if [x.dtype for x in operands] != [i.dtype for i in inits]:
        raise TypeError(errors.describe(
            "reduce operand dtypes should match corresponding initial value dtypes, got "
            f"operands={list(operands)} and initial_values={list(inits)}",
            fix="convert the initial value, e.g. np.float32(0)"))
    for out, init in zip(jaxpr.out_avals, inits):
        if out.shape or out.dtype != init.dtype:
            raise TypeError(errors.describe(
                f"reduce computation must return scalars of the types it takes, got "
                f"{out.str_short()} for {init.str_short()}",
                fix="convert the result inside the computation"))
    reduced = [_reduced("reduce", x, dimensions, x.weak_type and i.weak_type)
               for x, i in zip(operands, inits)]
    return reduced


def _split(items: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    """Operands and initial values."""
    half = len(items) // 2
    return items[:half], items[half:]


def apply_elementwise(jaxpr: Jaxpr, *args: Any) -> list:
    """A scalar jaxpr applied to each element of arrays of one shape."""
    shape = aval_of(args[0]).shape
    size = math.prod(shape)
    flat = [shapes.reshape(x, (size,)) for x in args]
    outs, dims = batch(lambda *xs: eval_jaxpr(jaxpr, (), *xs), AxisData(None, size), flat,
                       [0] * len(flat))
    return [shapes.reshape(materialize(x, d, size), shape) for x, d in zip(outs, dims)]


def _tree_reduce(args: Values, *, jaxpr: Jaxpr, dimensions: tuple, **_: Any) -> list:
    """`reduce` as a tree of elementwise steps."""
    operands, inits = _split(args)
    shape = aval_of(operands[0]).shape
    kept = [i for i in range(len(shape)) if i not in dimensions]
    count = math.prod([shape[i] for i in dimensions])
    out_shape = tuple([shape[i] for i in kept])
    columns = [shapes.reshape(shapes.transpose(x, (*dimensions, *kept)), (count, *out_shape))
               for x in operands]
    while aval_of(columns[0]).shape[0] > 1:
        lows, highs, rests = zip(*[_halve(x, 0) for x in columns])
        columns = apply_elementwise(jaxpr, *lows, *highs)
        if rests[0] is not None:
            columns = [shapes.concatenate([x, rest], 0) for x, rest in zip(columns, rests)]
    inits = [i if aval_of(i).shape == out_shape else shapes.broadcast(i, out_shape)
             for i in inits]
    if not count:
        return inits
    return apply_elementwise(jaxpr, *inits, *[shapes.squeeze(x, (0,)) for x in columns])


def in_steps(steps: Callable, over_batch: Callable[[dict], dict]) -> dict[str, Deferred]:
    """The rules of a reduction by any computation, of operands followed by initial values.

    `steps(args, **params)` does it in elementwise steps, which can be differentiated and batched;
    `over_batch(params)` are the parameters for operands with one more axis in front.
    """
    def make_jvp(primitive: Primitive) -> Callable:
        def rule(primals: Values, tangents: Values, **params: Any) -> tuple:
            if all(type(t) is Zero for t in tangents):
                outs = primitive.bind(*primals, **params)
                return outs, [zero_tangent(x) for x in outs]
            return jvp(lambda *args: steps(args, **params), primals, tangents)
        return rule

    def make_vmap(primitive: Primitive) -> Callable:
        def rule(axis: Any, args: Values, dims: Dims, **params: Any) -> tuple:
            operand_dims, init_dims = _split(dims)
            if any(d is not None for d in init_dims):  # the operation takes scalars there
                return batch(lambda *xs: steps(xs, **params), axis, args, dims)
            operands, inits = _split(args)
            operands = [materialize(x, d, axis.size) for x, d in zip(operands, operand_dims)]
            outs = primitive.bind(*operands, *inits, **over_batch(params))
            return outs, [0] * len(outs)
        return rule
    return {"jvp": Deferred(make_jvp), "vmap": Deferred(make_vmap)}


reduce_p = Primitive(
    "reduce", shape=_reduce_shape, multiple_results=True, **in_steps(_tree_reduce, lambda params: {
        **params, "dimensions": tuple([d + 1 for d in params["dimensions"]])}))
