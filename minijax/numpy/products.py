"""Products of vectors, matrices and tensors: dot, matmul, tensordot, cross, kron and friends.

Every contraction is described by labels on the axes of both operands and becomes one
`dot_general`, with a transpose only if the result's order cannot be had otherwise.

    matmul(a, b)                                     # [..., n, k], [..., k, m] -> [..., n, m]
    contract(a, b, contraction(tuple("ik"), tuple("kj"), tuple("ij")), Dot(dtype))
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minijax import lax
from minijax.base import dtypes, errors
from minijax.base.util import canonicalize_axes, canonicalize_axis
from minijax.core import Tracer, get_aval, structural
from minijax.lax.rules import ArrayLike
from minijax.numpy import promotion, reductions, ufuncs
from minijax.runtime.call import fused

Label = Hashable


class Dot(NamedTuple):
    """How products are computed: the result's dtype, and options of `lax.dot_general`."""

    dtype: Any
    weak: bool = False
    precision: Any = None
    out_sharding: Any = None
    dot_general: Callable[..., Any] = lax.dot_general

    def __call__(self, a: Any, b: Any, contracting: tuple, batch: tuple = ((), ())) -> Any:
        out = self.dot_general(a, b, (contracting, batch), precision=self.precision,
                               preferred_element_type=self.dtype, **self.extra())
        return structural.convert_element_type(out, self.dtype, self.weak)

    def before(self, permutation: tuple[int, ...]) -> "Dot":
        """The same for a result that is transposed afterwards, and only then split as asked."""
        asked = self.out_sharding
        spec = getattr(asked, "spec", asked)
        entries = [*spec.partitions, *[None] * (len(permutation) - len(spec.partitions))]
        spec = spec.update(tuple(entries[permutation.index(i)] for i in range(len(permutation))))
        return self._replace(
            out_sharding=asked.update(spec=spec) if hasattr(asked, "spec") else spec)

    def extra(self) -> dict[str, Any]:
        return {} if self.out_sharding is None else {"out_sharding": self.out_sharding}


def factors(name: str, args: Sequence[Any], preferred: Any, precision: Any = None,
            out_sharding: Any = None) -> tuple[list, Dot]:
    """The operands as arrays, and how to multiply them: mixed dtypes stay mixed."""
    first = getattr(args[0], "aval", None)
    if preferred is None and first is not None and not first.weak_type:
        dtype = first.dtype
        avals = [getattr(x, "aval", None) for x in args]
        if all([a is not None and a.dtype is dtype and not a.weak_type for a in avals]):
            return list(args), Dot(dtype, False, precision, out_sharding)
    args = [promotion.operand(name, x, i) for i, x in enumerate(args)]
    dtype, weak = promotion.common_dtype(*args)
    if preferred is not None:
        dtype, weak = dtypes.check_user_dtype(preferred, name), False
    arrays = [promotion.as_array(x) for x in args]
    return arrays, Dot(dtype, weak, precision, out_sharding)


class Contraction(NamedTuple):
    """A product of two operands in terms of axis numbers.

    swapped: the second operand comes first; permutation: of the result, None for none.
    """

    swapped: bool
    contracting: tuple[tuple[int, ...], tuple[int, ...]]
    batch: tuple[tuple[int, ...], tuple[int, ...]]
    permutation: tuple[int, ...] | None


@functools.lru_cache(maxsize=4096)
def contraction(a: tuple[Label, ...], b: tuple[Label, ...],
                out: tuple[Label, ...]) -> Contraction:
    """How to sum `a[...] * b[...]`, axes labelled, over the labels that are not in the result.

    Labels are distinct within an operand; those of one operand only are in the result.
    """
    batch = tuple(label for label in out if label in a and label in b)
    summed = tuple(label for label in a if label in b and label not in out)
    a_rest = tuple(label for label in a if label not in b)
    b_rest = tuple(label for label in b if label not in a)
    swapped = batch + a_rest + b_rest != out == batch + b_rest + a_rest
    if swapped:
        a, a_rest, b, b_rest = b, b_rest, a, a_rest
    have = batch + a_rest + b_rest
    return Contraction(swapped, (_places(summed, a), _places(summed, b)),
                       (_places(batch, a), _places(batch, b)),
                       None if have == out else _places(out, have))


def _places(labels: tuple[Label, ...], within: tuple[Label, ...]) -> tuple[int, ...]:
    return tuple(within.index(label) for label in labels)


def contract(a: Any, b: Any, how: Contraction, dot: Dot) -> Any:
    """The contraction of two arrays."""
    if how.swapped:
        a, b = b, a
    if dot.out_sharding is not None and how.permutation is not None:
        dot = dot.before(how.permutation)
    out = dot(a, b, how.contracting, how.batch)
    return out if how.permutation is None else structural.transpose(out, how.permutation)


# --- Vectors and matrices ----------------------------------------------------------------------


@fused(static_argnames=("precision", "preferred_element_type", "out_sharding"))
def dot(a: ArrayLike, b: ArrayLike, *, precision: Any = None, preferred_element_type: Any = None,
        out_sharding: Any = None) -> Any:
    """Dot product: over the last axis of `a` and the last but one (or only one) of `b`."""
    (a, b), product = factors("dot", (a, b), preferred_element_type, precision, out_sharding)
    if not a.ndim or not b.ndim:
        return product(a, b, ((), ()))
    return product(a, b, ((a.ndim - 1,), (max(0, b.ndim - 2),)))


@fused(static_argnames=("precision", "preferred_element_type", "out_sharding"))
def matmul(a: ArrayLike, b: ArrayLike, *, precision: Any = None,
           preferred_element_type: Any = None, out_sharding: Any = None) -> Any:
    """Matrix product over the last axes, leading axes broadcast; vectors are rows or columns."""
    (a, b), product = factors("matmul", (a, b), preferred_element_type, precision, out_sharding)
    for position, x in enumerate((a, b)):
        if not x.ndim:
            raise ValueError(errors.describe(
                f"matmul input operand {position} must have ndim at least 1, but it has ndim 0",
                fix="multiply by a scalar with a * b"))
    if a.ndim <= 2 and b.ndim <= 2:
        return product(a, b, ((a.ndim - 1,), (max(0, b.ndim - 2),)))
    a_core, b_core = ("i", "k")[2 - min(a.ndim, 2):], ("k", "j")[:b.ndim]
    return _batched("matmul", a, a_core, b, b_core, product)


def _batched(name: str, a: Any, a_core: Sequence[str], b: Any, b_core: Sequence[str],
             product: Dot) -> Any:
    """Contract the label "k" of the last axes, with leading axes broadcast against each other."""
    a_lead, b_lead = a.shape[:a.ndim - len(a_core)], b.shape[:b.ndim - len(b_core)]
    rank = max(len(a_lead), len(b_lead))
    a_sizes = (1,) * (rank - len(a_lead)) + a_lead
    b_sizes = (1,) * (rank - len(b_lead)) + b_lead
    if any(m != n and 1 not in (m, n) for m, n in zip(a_sizes, b_sizes)):
        raise ValueError(errors.describe(
            f"Incompatible types for {name} arguments: {_type(a)} and {_type(b)}",
            because="their leading axes do not broadcast",
            fix="leading sizes must be equal, or 1"))
    both = [i for i in range(rank) if a_sizes[i] == b_sizes[i]]
    a, a_labels = _squeezed(a, a_sizes, both, rank - len(a_lead), a_core)
    b, b_labels = _squeezed(b, b_sizes, both, rank - len(b_lead), b_core)
    core = [label for label in (*a_core, *b_core) if label != "k"]
    lead = [i for i in range(rank) if i in a_labels or i in b_labels]
    out = contract(a, b, contraction(a_labels, b_labels, (*lead, *core)), product)
    lost = tuple(i for i in range(rank) if i not in lead)
    return lax.expand_dims(out, lost) if lost else out


def _type(x: Any) -> str:
    return f"{x.dtype}[{','.join(map(str, x.shape))}]"


def _squeezed(x: Any, sizes: Sequence[int], both: Sequence[int], missing: int,
              core: Sequence[str]) -> tuple[Any, tuple]:
    """`x` without leading axes of size 1 that the other operand stretches; its labels."""
    rank = len(sizes)
    kept = [i for i in range(missing, rank) if sizes[i] != 1 or i in both]
    gone = tuple(i - missing for i in range(missing, rank) if i not in kept)
    return (lax.squeeze(x, gone) if gone else x), (*kept, *core)


@fused
def matvec(x1: ArrayLike, x2: ArrayLike, /) -> Any:
    """Matrices times vectors: [..., n, k] and [..., k] to [..., n]."""
    (a, b), product = factors("matvec", (x1, x2), None)
    _check_core("matvec", (a, 2), (b, 1))
    return _batched("matvec", a, ("i", "k"), b, ("k",), product)


@fused
def vecmat(x1: ArrayLike, x2: ArrayLike, /) -> Any:
    """Vectors, conjugated, times matrices: [..., k] and [..., k, m] to [..., m]."""
    (a, b), product = factors("vecmat", (x1, x2), None)
    _check_core("vecmat", (a, 1), (b, 2))
    return _batched("vecmat", _conj(a), ("k",), b, ("k", "j"), product)


@fused(static_argnames=("axis", "precision", "preferred_element_type"))
def vecdot(x1: ArrayLike, x2: ArrayLike, /, *, axis: int = -1, precision: Any = None,
           preferred_element_type: Any = None) -> Any:
    """Dot products of conjugated vectors along `axis`, other axes broadcast."""
    (a, b), product = factors("vecdot", (x1, x2), preferred_element_type, precision)
    _check_core("vecdot", (a, 1), (b, 1))
    sizes = a.shape[canonicalize_axis(axis, a.ndim)], b.shape[canonicalize_axis(axis, b.ndim)]
    if sizes[0] != sizes[1]:
        raise ValueError(errors.describe(
            f"axes must match; got shapes {tuple(a.shape)} and {tuple(b.shape)} with {axis=}",
            fix="choose an axis of equal sizes"))
    a, b = structural.move_axis(a, axis, -1), structural.move_axis(b, axis, -1)
    return _batched("vecdot", _conj(a), ("k",), b, ("k",), product)


def _check_core(name: str, *pairs: tuple[Any, int]) -> None:
    for position, (x, rank) in enumerate(pairs):
        if x.ndim < rank:
            raise ValueError(errors.describe(
                f"{name} input operand {position} must have ndim at least {rank}, "
                f"but it has ndim {x.ndim}", fix="add axes with x[None]"))


def _conj(x: Any) -> Any:
    return lax.conj(x) if x.dtype in promotion.COMPLEX else x


@fused(static_argnames=("precision", "preferred_element_type"))
def vdot(a: ArrayLike, b: ArrayLike, *, precision: Any = None,
         preferred_element_type: Any = None) -> Any:
    """Dot product of `a`, conjugated and flattened, with `b` flattened."""
    (a, b), product = factors("vdot", (a, b), preferred_element_type, precision)
    return product(_ravel(_conj(a)), _ravel(b), ((0,), (0,)))


def _ravel(x: Any) -> Any:
    return x if x.ndim == 1 else structural.reshape(x, (x.size,))


@fused(static_argnames=("precision", "preferred_element_type"))
def inner(a: ArrayLike, b: ArrayLike, *, precision: Any = None,
          preferred_element_type: Any = None) -> Any:
    """Products over the last axis of both operands."""
    (a, b), product = factors("inner", (a, b), preferred_element_type, precision)
    if not a.ndim or not b.ndim:
        return product(a, b, ((), ()))
    return product(a, b, ((a.ndim - 1,), (b.ndim - 1,)))


@fused(static_argnames="out")
def outer(a: ArrayLike, b: ArrayLike, out: None = None) -> Any:
    """All products of an element of `a` and one of `b`, both flattened."""
    promotion.refuse_out("outer", out)
    a, b = map(_ravel, promotion.promoted("outer", a, b))
    return ufuncs.multiply(structural.broadcast_in_dim(a, (a.size, 1), (0,)),
                           structural.broadcast_in_dim(b, (1, b.size), (1,)))


def tensordot(a: ArrayLike, b: ArrayLike, axes: Any = 2, *, precision: Any = None,
              preferred_element_type: Any = None, out_sharding: Any = None) -> Any:
    """Sums of products over `axes`: a number of axes, or a list of axes for each operand."""
    if isinstance(axes, (list, tuple, np.ndarray)):
        axes = tuple(tuple(map(int, part)) if isinstance(part, (list, tuple, np.ndarray))
                     else part for part in axes)
    return _tensordot(a, b, axes, precision, preferred_element_type, out_sharding)


@fused(static_argnums=(2, 3, 4, 5))
def _tensordot(a: Any, b: Any, axes: Any, precision: Any, preferred: Any,
               out_sharding: Any) -> Any:
    (a, b), product = factors("tensordot", (a, b), preferred, precision, out_sharding)
    return product(a, b, _tensordot_axes(a, b, axes))


def _tensordot_axes(a: Any, b: Any, axes: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    fix = "axes=2, or axes=((1, 2), (0, 1))"
    if type(axes) is not tuple:
        count = operator.index(axes)
        if count > min(a.ndim, b.ndim):
            raise TypeError(errors.describe(
                f"Number of tensordot axes (axes {count}) exceeds input ranks "
                f"({tuple(a.shape)} and {tuple(b.shape)})", fix=fix))
        return tuple(range(a.ndim - count, a.ndim)), tuple(range(count))
    if len(axes) != 2:
        raise TypeError(errors.describe(
            "tensordot axes argument must be an int, a pair of ints, or a pair of lists/tuples "
            "of ints.", fix=fix))
    left, right = axes
    if isinstance(left, tuple) != isinstance(right, tuple):
        raise TypeError(errors.describe(
            "tensordot requires both axes lists to be either ints, tuples or lists, got "
            f"{left} and {right}", fix=fix))
    if not isinstance(left, tuple):
        left, right = (left,), (right,)
    if len(left) != len(right):
        raise TypeError(errors.describe(
            "tensordot requires axes lists to have equal length, got "
            f"{list(left)} and {list(right)}.", fix=fix))
    return canonicalize_axes(left, a.ndim), canonicalize_axes(right, b.ndim)


# --- kron, cross, trace ------------------------------------------------------------------------


@fused
def kron(a: ArrayLike, b: ArrayLike) -> Any:
    """Kronecker product: every element of `a` times a copy of `b`."""
    a, b = promotion.promoted("kron", a, b)
    rank = max(a.ndim, b.ndim)
    a, b = promotion.to_rank(a, rank), promotion.to_rank(b, rank)
    a_shape = tuple(n for size in a.shape for n in (size, 1))
    b_shape = tuple(n for size in b.shape for n in (1, size))
    wide = ufuncs.multiply(
        structural.broadcast_in_dim(a, a_shape, tuple(range(0, 2 * rank, 2))),
        structural.broadcast_in_dim(b, b_shape, tuple(range(1, 2 * rank, 2))))
    return structural.reshape(wide, tuple(map(operator.mul, a.shape, b.shape)))


@fused(static_argnames=("axisa", "axisb", "axisc", "axis"))
def cross(a: ArrayLike, b: ArrayLike, axisa: int = -1, axisb: int = -1, axisc: int = -1,
          axis: int | None = None) -> Any:
    """Cross products of vectors of length 3, or 2 (then the z component alone)."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = [structural.move_axis(x, canonicalize_axis(place, x.ndim), -1)
            for x, place in zip(promotion.promoted("cross", a, b), (axisa, axisb))]
    if a.shape[-1] not in (2, 3) or b.shape[-1] not in (2, 3):
        raise ValueError(errors.describe(
            "Dimension must be either 2 or 3 for cross product",
            because=f"shapes {tuple(a.shape)} and {tuple(b.shape)}",
            fix="choose the axes of the vectors with axisa and axisb"))
    times, minus = ufuncs.multiply, ufuncs.subtract
    x, y = lax.unstack(a, a.ndim - 1), lax.unstack(b, b.ndim - 1)
    z_part = minus(times(x[0], y[1]), times(x[1], y[0]))
    if len(x) == len(y) == 2:
        return z_part
    shape = lax.broadcast_shapes(a.shape[:-1], b.shape[:-1])
    parts = (_difference(x, y, 1, 2), _difference(x, y, 2, 0), z_part)
    rank = len(shape)
    columns = [lax.expand_dims(promotion.broadcast(p, shape), (rank,)) for p in parts]
    return structural.move_axis(lax.concatenate(columns, rank), -1,
                                canonicalize_axis(axisc, rank + 1))


def _difference(x: Sequence[Any], y: Sequence[Any], i: int, j: int) -> Any:
    """x[i] * y[j] - x[j] * y[i], where a third component that is missing counts as zero."""
    left = ufuncs.multiply(x[i], y[j]) if i < len(x) and j < len(y) else None
    right = ufuncs.multiply(x[j], y[i]) if j < len(x) and i < len(y) else None
    if right is None:
        return left
    return ufuncs.negative(right) if left is None else ufuncs.subtract(left, right)


@fused(static_argnames=("axis1", "axis2", "dtype", "out"))
def trace(a: ArrayLike, offset: ArrayLike = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None,
          out: None = None) -> Any:
    """The sum along a diagonal; `offset` may be traced."""
    promotion.refuse_out("trace", out)
    a = promotion.array_operand("trace", a)
    first, second = canonicalize_axis(axis1, a.ndim), canonicalize_axis(axis2, a.ndim)
    if first == second:
        raise ValueError(errors.describe(
            f"axis1 and axis2 can not be same. {axis1=} and {axis2=}",
            fix="choose two different axes"))
    order = [i for i in range(a.ndim) if i not in (first, second)]
    a = structural.transpose(a, (*order, first, second))
    index = np.dtype(np.int32)
    rows = lax.broadcasted_iota(index, a.shape[-2:], 0)
    columns = lax.broadcasted_iota(index, a.shape[-2:], 1)
    if isinstance(offset, Tracer) or offset:
        offset = promotion.convert(promotion.operand("trace", offset, 1), index)
        rows = lax.add(rows, offset)
    mask = structural.broadcast_in_dim(lax.eq(rows, columns), a.shape, (a.ndim - 2, a.ndim - 1))
    kept = lax.select(mask, a, structural.zeros(get_aval(a)))
    return reductions.sum(kept, axis=(a.ndim - 2, a.ndim - 1), dtype=dtype)
