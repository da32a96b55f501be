"""Abstract values: what a trace knows of an array without having one.

The one invariant: a `ShapedArray` is interned for the life of the process, so equal types are the
same object, and caches keyed on avals compare and hash by identity.

    >>> ShapedArray((3,), np.float32) is ShapedArray((3,), np.float32)
    True
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax.base import dims, dtypes, errors, tree
from minijax.base.config import enable_x64
from minijax.base.memory import Space
from minijax.core.placement import ManualAxisType, Placement
from minijax.core.placement import placement as make_placement

_interned: dict[tuple, "ShapedArray"] = {}


class AbstractValue:
    """What is known of a value while it is traced: the base of all avals."""

    __slots__ = ()


class ShapedArray(AbstractValue):
    """The type of an array: shape, dtype, whether the dtype is weak, and where it lives.

    `placement` is None unless the program uses explicit shardings, varying axes or memory spaces.
    """

    __slots__ = ("shape", "dtype", "weak_type", "placement", "ndim", "size", "__weakref__")

    # Set by lax/explicit.py: the sharding that says nothing; what a type says of a sharding.
    unplaced: Callable[[int], Any]
    said: Callable[[Any, tuple], Any]

    def __new__(cls, shape: tuple[int, ...], dtype: Any, weak_type: bool = False,
                placement: Any = None, *, sharding: Any = None,
                manual_axis_type: Any = None, memory_space: Space | None = None) -> "ShapedArray":
        if not sharding is manual_axis_type is memory_space is None:
            manual, split, memory = placement or Placement()
            placement = make_placement(
                manual_axis_type or manual, ShapedArray.said(sharding, shape) or split,
                memory_space or memory)
        try:
            return _interned[shape, dtype, weak_type, placement]
        except (KeyError, TypeError):
            return _intern(shape, dtype, bool(weak_type), placement)

    def update(self, **changes: Any) -> "ShapedArray":
        """The same type with some of shape, dtype, weak_type, placement changed."""
        return ShapedArray(changes.pop("shape", self.shape), changes.pop("dtype", self.dtype),
                           changes.pop("weak_type", self.weak_type),
                           changes.pop("placement", self.placement), **changes)

    def strip_weak_type(self) -> "ShapedArray":
        return self.update(weak_type=False) if self.weak_type else self

    def to_tangent_aval(self) -> "ShapedArray":
        """The type of a tangent: the same for inexact dtypes, `float0` for most others."""
        if dtypes.issubdtype(self.dtype, np.inexact):
            return self
        return ShapedArray(self.shape, getattr(self.dtype, "tangent_dtype", dtypes.float0))

    def str_short(self, short_dtypes: bool = True) -> str:
        """`f32[3,4]`, the form used in printed jaxprs and in error messages."""
        name = "float0" if self.dtype == dtypes.float0 else self.dtype.name
        return (dtypes.short_name(self.dtype) if short_dtypes else name) + self._shape_text()

    def _shape_text(self) -> str:
        """`<host>[8@x,4]{V:y}`: the shape with what the placement says."""
        dims = list(map(str, self.shape))
        if self.placement is None:
            return f"[{','.join(dims)}]"
        manual, sharding, memory = self.placement
        if sharding is not None:
            for i, entry in enumerate(sharding.spec):
                dims[i] += "" if entry is None else f"@{_axes_text(entry)}"
        spec = getattr(sharding, "spec", None)
        marks = []
        for letter, axes in (("V", manual.varying),
                             ("U", manual.unreduced | getattr(spec, "unreduced", frozenset())),
                             ("R", manual.reduced | getattr(spec, "reduced", frozenset()))):
            if axes:
                marks.append(f"{letter}:{_axes_text(sorted(map(str, axes)))}")
        return (f"<{memory.name.lower()}>" if memory else "") + f"[{','.join(dims)}]" + (
            f"{{{', '.join(marks)}}}" if marks else "")

    @property
    def sharding(self) -> Any:
        """How explicit mesh axes split the array."""
        found = None if self.placement is None else self.placement.sharding
        return ShapedArray.unplaced(self.ndim) if found is None else found

    @property
    def vma(self) -> frozenset:
        """The manual axes along which the value may differ."""
        return self.mat.varying

    @property
    def mat(self) -> ManualAxisType:
        """What differs along the manual axes, and what is not summed yet."""
        return ManualAxisType() if self.placement is None else self.placement.manual

    manual_axis_type = mat

    @property
    def memory_space(self) -> Space:
        return self.placement and self.placement.memory or Space.Device

    def __repr__(self) -> str:
        weak = ", weak_type=True" if self.weak_type else ""
        return f"ShapedArray({self.str_short(False)}{weak})"

    def __str__(self) -> str:
        return "~" * self.weak_type + self.str_short(False)

    def __reduce__(self) -> tuple:
        return ShapedArray, (self.shape, self.dtype, self.weak_type, self.placement)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]


def _intern(shape: Any, dtype: Any, weak_type: bool, placement: Any) -> ShapedArray:
    shape = dims.indices(shape)
    if not isinstance(dtype, (np.dtype, dtypes.ExtendedDType)):
        dtype = np.dtype(dtype)
    key = (shape, dtype, weak_type, placement)
    found = _interned.get(key)
    if found is not None:
        return found
    aval = object.__new__(ShapedArray)
    aval.shape, aval.dtype, aval.weak_type, aval.placement = key
    aval.ndim = len(shape)
    aval.size = math.prod(shape)
    return _interned.setdefault(key, aval)


def _axes_text(axes: Any) -> str:
    axes = axes if isinstance(axes, (tuple, list)) else (axes,)
    return str(axes[0]) if len(axes) == 1 else f"({','.join(map(str, axes))})"


class AbstractToken(AbstractValue):
    """The type of the token that orders side effects."""

    shape, ndim = (), 0
    weak_type = False
    dtype = placement = None

    def str_short(self, short_dtypes: bool = True) -> str:
        return "Tok"

    def to_tangent_aval(self) -> "AbstractToken":
        return self


abstract_token = AbstractToken()


class Token:
    """A token outside of any program."""

    def __init__(self, buf: Any = None):
        self.buf = buf
        self.aval = abstract_token


class Zero:
    """A tangent or cotangent known to be zero everywhere; `aval` is its type."""

    __slots__ = ("aval",)

    def __init__(self, aval: ShapedArray):
        self.aval = aval

    @staticmethod
    def from_primal_value(x: Any) -> "Zero":
        """The symbolic zero tangent of the value `x`."""
        return zero_tangent(x)

    def __repr__(self) -> str:
        return f"Zero({self.aval.str_short()})"


# In rules of libraries that are themselves mapped, a zero is structure: nothing of it is batched.
tree.register_pytree_node(Zero, lambda zero: ((), zero.aval), lambda aval, _: Zero(aval))


def zero_tangent(x: Any) -> Zero:
    """The symbolic zero tangent of the value `x`."""
    return Zero(get_aval(x).to_tangent_aval())


# --- The type of a value -----------------------------------------------------------------------

_aval_of: dict[type, Callable[[Any], Any]] = {}


def register_aval(kind: type, function: Callable[[Any], Any]) -> None:
    """Say how to find the aval of values of the type `kind`."""
    _aval_of[kind] = function


def get_aval(x: Any) -> Any:
    """The abstract value of any value that jitted functions accept.

    Raises TypeError for values that are neither arrays, tracers, NumPy arrays nor Python scalars.
    """
    try:
        return _aval_of[type(x)](x)
    except KeyError:
        pass
    for kind in type(x).__mro__:
        if kind in _aval_of:
            _aval_of[type(x)] = _aval_of[kind]
            return _aval_of[kind](x)
    if hasattr(x, "__jax_array__"):
        return get_aval(x.__jax_array__())
    raise TypeError(errors.describe(
        f"Argument '{x!s:.200}' of type {type(x)} is not a valid JAX type",
        fix="pass arrays, NumPy arrays or Python numbers; mark other arguments as static"))


def is_valid(x: Any) -> bool:
    """Whether `x` has an abstract value."""
    return any(kind in _aval_of for kind in type(x).__mro__) or hasattr(x, "__jax_array__")


def check_operands(name: str, args: Sequence[Any]) -> None:
    """TypeError that says which operand of the operation `name` is no array, if one is not."""
    for i, x in enumerate(args):
        try:
            get_aval(x)
        except TypeError:
            raise TypeError(errors.describe(
                f"Error interpreting argument to {name} as a JAX value. The problematic value is "
                f"of type {type(x)} and was passed to {name} at position {i}.",
                fix="convert it first: jnp.asarray(x)")) from None


def _numpy_aval(x: Any) -> ShapedArray:
    dtype = x.dtype
    if dtype == dtypes.float0:
        return ShapedArray(x.shape, dtype)
    if dtype.kind in "OSUMm" or not dtype.isnative:
        raise TypeError(errors.describe(
            f"Value {x!r:.200} with dtype {dtype} is not a valid JAX array type. "
            "Only arrays of numeric types are supported by JAX.",
            fix="convert it to a numeric dtype first, e.g. x.astype('float32')"))
    if type(x) is not np.ndarray and hasattr(x, "mask"):
        raise ValueError(errors.describe(
            "numpy masked arrays are not supported as direct inputs to JAX functions. "
            "Use arr.filled() to convert the value to a standard numpy array.",
            fix="pass x.filled(0)"))
    return ShapedArray(x.shape, dtypes.canonicalize_dtype(dtype))


def _scalar(kind: type, weak: bool) -> Callable[[Any], ShapedArray]:
    avals: dict[Any, ShapedArray] = {}  # by whether x64 is on

    def aval(x: Any) -> ShapedArray:
        wide = enable_x64.value
        found = avals.get(wide)
        if found is None:
            found = avals[wide] = ShapedArray((), dtypes.canonicalize_dtype(kind), weak)
        return found
    return aval


register_aval(Token, operator.attrgetter("aval"))
register_aval(np.ndarray, _numpy_aval)
register_aval(np.generic, _numpy_aval)
for _kind in (bool, int, float, complex, *dtypes.ARRAY_TYPES - {np.ndarray}):
    register_aval(_kind, _scalar(_kind, _kind in (int, float, complex)))
