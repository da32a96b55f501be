"""Element types: promotion, the 64-bit switch, and the types that NumPy does not know.

Promotion is a table: for two dtypes (or weak types, those of Python scalars: `i*`, `f*`, `c*`)
it gives the smallest type above both.  Narrow types (int4, float8, ...) are outside of it and
accept only operands that cannot change their meaning.  Invariant: whatever leaves this module is
canonical, that is, no 64-bit type while x64 is off, unless the option
jax_explicit_x64_dtypes allows what the user asked for.

    promote_types("int8", "float16")        # float16
    lattice_result_type(x, 2.0)             # (dtype, weak)
"""

import functools
from collections.abc import Iterable
from typing import Any

import ml_dtypes
import numpy as np

from minijax.base import config, jaxlib, source
from minijax.base.dims import SymbolicDim

bfloat16: type = ml_dtypes.bfloat16
float4_e2m1fn: type = ml_dtypes.float4_e2m1fn
float6_e2m3fn: type = ml_dtypes.float6_e2m3fn
float6_e3m2fn: type = ml_dtypes.float6_e3m2fn
float8_e3m4: type = ml_dtypes.float8_e3m4
float8_e4m3: type = ml_dtypes.float8_e4m3
float8_e4m3b11fnuz: type = ml_dtypes.float8_e4m3b11fnuz
float8_e4m3fn: type = ml_dtypes.float8_e4m3fn
float8_e4m3fnuz: type = ml_dtypes.float8_e4m3fnuz
float8_e5m2: type = ml_dtypes.float8_e5m2
float8_e5m2fnuz: type = ml_dtypes.float8_e5m2fnuz
float8_e8m0fnu: type = ml_dtypes.float8_e8m0fnu
int1: type | None = getattr(ml_dtypes, "int1", None)
int2: type = ml_dtypes.int2
int4: type = ml_dtypes.int4
uint1: type | None = getattr(ml_dtypes, "uint1", None)
uint2: type = ml_dtypes.uint2
uint4: type = ml_dtypes.uint4

finfo = ml_dtypes.finfo
iinfo = ml_dtypes.iinfo

# The tangent type of integers: arrays of it hold no data at all.
float0: np.dtype = np.dtype([("float0", np.void, 0)])


class TypePromotionError(ValueError):
    """Operands whose dtypes have no common type that would be safe to choose."""


class extended(np.generic):
    """The category of dtypes that are not NumPy's, as `np.floating` is that of floats."""


class prng_key(extended):
    """The category of the dtypes of random keys."""


class ExtendedDType:
    """Base class of dtypes that NumPy does not know, such as `key<fry>`.

    A subclass has `name`, `type` (a subclass of `extended`), `itemsize` and `_rules`.
    """

    name: str
    type: type
    itemsize: int
    _rules: Any

    def __repr__(self) -> str:
        return self.name

    def __str__(self) -> str:
        return self.name


DType = np.dtype | ExtendedDType
DTypeLike = Any

_NARROW_INTS = [np.dtype(t) for t in (uint1, uint2, uint4, int1, int2, int4) if t is not None]
_NARROW_FLOATS = [
    np.dtype(t)
    for t in (float4_e2m1fn, float6_e2m3fn, float6_e3m2fn, float8_e3m4, float8_e4m3)
    + (float8_e8m0fnu, float8_e4m3b11fnuz, float8_e4m3fn, float8_e4m3fnuz, float8_e5m2)
    + (float8_e5m2fnuz,)]
_BFLOAT16 = np.dtype(bfloat16)

# Categories of the types that NumPy's own class tree does not contain.
_CATEGORY: dict[type, type] = {
    **{d.type: np.unsignedinteger for d in _NARROW_INTS if d.name.startswith("u")},
    **{d.type: np.signedinteger for d in _NARROW_INTS if d.name.startswith("i")},
    **{d.type: np.floating for d in [*_NARROW_FLOATS, _BFLOAT16]}}

_TABLE = """
     b1  u1  u2  u4  u8  i1  i2  i4  i8  bf  f2  f4  f8  c8  c16 i*  f*  c*
b1   b1  u1  u2  u4  u8  i1  i2  i4  i8  bf  f2  f4  f8  c8  c16 i*  f*  c*
u1   u1  u1  u2  u4  u8  i2  i2  i4  i8  bf  f2  f4  f8  c8  c16 u1  f*  c*
u2   u2  u2  u2  u4  u8  i4  i4  i4  i8  bf  f2  f4  f8  c8  c16 u2  f*  c*
u4   u4  u4  u4  u4  u8  i8  i8  i8  i8  bf  f2  f4  f8  c8  c16 u4  f*  c*
u8   u8  u8  u8  u8  u8  f*  f*  f*  f*  bf  f2  f4  f8  c8  c16 u8  f*  c*
i1   i1  i2  i4  i8  f*  i1  i2  i4  i8  bf  f2  f4  f8  c8  c16 i1  f*  c*
i2   i2  i2  i4  i8  f*  i2  i2  i4  i8  bf  f2  f4  f8  c8  c16 i2  f*  c*
i4   i4  i4  i4  i8  f*  i4  i4  i4  i8  bf  f2  f4  f8  c8  c16 i4  f*  c*
i8   i8  i8  i8  i8  f*  i8  i8  i8  i8  bf  f2  f4  f8  c8  c16 i8  f*  c*
bf   bf  bf  bf  bf  bf  bf  bf  bf  bf  bf  f4  f4  f8  c8  c16 bf  bf  c8
f2   f2  f2  f2  f2  f2  f2  f2  f2  f2  f4  f2  f4  f8  c8  c16 f2  f2  c8
f4   f4  f4  f4  f4  f4  f4  f4  f4  f4  f4  f4  f4  f8  c8  c16 f4  f4  c8
f8   f8  f8  f8  f8  f8  f8  f8  f8  f8  f8  f8  f8  f8  c16 c16 f8  f8  c16
c8   c8  c8  c8  c8  c8  c8  c8  c8  c8  c8  c8  c8  c16 c8  c16 c8  c8  c8
c16  c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16
i*   i*  u1  u2  u4  u8  i1  i2  i4  i8  bf  f2  f4  f8  c8  c16 i*  f*  c*
f*   f*  f*  f*  f*  f*  f*  f*  f*  f*  bf  f2  f4  f8  c8  c16 f*  f*  c*
c*   c*  c*  c*  c*  c*  c*  c*  c*  c*  c8  c8  c8  c16 c8  c16 c*  c*  c*
"""
# A node of the lattice: a dtype, or one of the Python types for the weak ones.
_Node = np.dtype | type
_WEAK: dict[str, type] = {"i*": int, "f*": float, "c*": complex}


def _node(code: str) -> _Node:
    if code in _WEAK:
        return _WEAK[code]
    return _BFLOAT16 if code == "bf" else np.dtype(code)


def _read_table(text: str) -> dict[tuple[_Node, _Node], _Node]:
    header, *rows = (line.split() for line in text.strip().splitlines())
    return {
        (_node(row), _node(column)): _node(code)
        for row, *codes in rows
        for column, code in zip(header, codes, strict=True)}


_promotion: dict[tuple[_Node, _Node], _Node] = _read_table(_TABLE)
_REGULAR = [node for node, other in _promotion if node is other and isinstance(node, np.dtype)]
_INTEGERS = [d for d in _REGULAR if d.kind in "ui"]
for _narrow in _NARROW_INTS:
    for _other in (_narrow, np.dtype(bool), int):
        _promotion[_narrow, _other] = _promotion[_other, _narrow] = _narrow
for _narrow in _NARROW_FLOATS:
    for _other in (_narrow, np.dtype(bool), *_INTEGERS, int, float):
        _promotion[_narrow, _other] = _promotion[_other, _narrow] = _narrow

# Without implicit promotion only a Python scalar adapts, and only to a type of its kind or above.
_WEAK_RANK = {int: 0, float: 1, complex: 2}
_KIND_RANK = {"u": 0, "i": 0, "f": 1, "c": 2}
_KNOWN = {*_REGULAR, *_NARROW_INTS, *_NARROW_FLOATS}
_NARROW = {*_NARROW_INTS, *_NARROW_FLOATS}
ARRAY_TYPES = {np.ndarray, np.longlong, *[dtype.type for dtype in _KNOWN]}  # NumPy's classes

_TO_32 = {
    np.dtype("int64"): np.dtype("int32"),
    np.dtype("uint64"): np.dtype("uint32"),
    np.dtype("float64"): np.dtype("float32"),
    np.dtype("complex128"): np.dtype("complex64")}
_SCALARS: dict[type, np.dtype] = {
    bool: np.dtype("bool"),
    int: np.dtype("int64"),
    float: np.dtype("float64"),
    complex: np.dtype("complex128")}


# --- one dtype ---


def to_numpy_dtype(dtype: DTypeLike) -> DType:
    """The dtype object for anything that names one; extended dtypes stay what they are."""
    if isinstance(dtype, (np.dtype, ExtendedDType)):
        return dtype
    inner = getattr(dtype, "dtype", None)
    if isinstance(inner, (np.dtype, ExtendedDType)):
        return inner
    return np.dtype(dtype)


def canonicalize_dtype(dtype: DTypeLike, allow_extended_dtype: bool = False) -> DType:
    """The dtype that arrays really get: 64-bit types become 32-bit ones while x64 is off."""
    dtype = to_numpy_dtype(dtype)
    if isinstance(dtype, ExtendedDType):
        if allow_extended_dtype:
            return dtype
        raise ValueError(f"canonicalize_dtype called on extended dtype {dtype} "
                         "with allow_extended_dtype=False")
    if config.enable_x64.value:
        return dtype
    return _TO_32.get(dtype, dtype)


_canonicalize = functools.partial(canonicalize_dtype, allow_extended_dtype=True)


def check_user_dtype(dtype: DTypeLike, fun_name: str = "") -> DType:
    """The canonical dtype for one that the user asked for (None: the default float).

    Warns (or raises, or obeys: option jax_explicit_x64_dtypes) when it has 64 bits and x64 is
    off; TypeError for dtypes that arrays cannot have.
    """
    if dtype is None:
        return default_float()
    if hasattr(dtype, "aval"):
        raise ValueError("Passing an array as a dtype argument is no longer supported; "
                         "instead of dtype=arr use dtype=arr.dtype.")
    wanted = to_numpy_dtype(dtype)
    if isinstance(wanted, ExtendedDType) or wanted is float0 or wanted == float0:
        return wanted
    if wanted not in _KNOWN:
        raise TypeError(f"JAX only supports number, bool, and string dtypes, got dtype {dtype}"
                        + (f" in {fun_name}" if fun_name else ""))
    if wanted not in _TO_32 or config.enable_x64.value:
        return wanted
    narrow = _TO_32[wanted]
    if isinstance(dtype, type) and dtype in _SCALARS:
        return narrow
    mode = config.explicit_x64_dtypes.value
    if mode == config.ExplicitX64Mode.ALLOW:
        return wanted
    where = f" requested in {fun_name}" if fun_name else ""
    what = f"Explicitly requested dtype {wanted.name}{where} is not available"
    if mode == config.ExplicitX64Mode.ERROR:
        raise ValueError(
            f"{what}. To enable more dtypes, set the jax_enable_x64 or jax_explicit_x64_dtypes "
            "configuration options. See https://github.com/jax-ml/jax#current-gotchas for more.")
    source.warn(
        f"{what}, and will be truncated to dtype {narrow.name}. To enable more dtypes, set the "
        "jax_enable_x64 configuration option or the JAX_ENABLE_X64 shell environment variable. "
        "See https://github.com/jax-ml/jax#current-gotchas for more.")
    return narrow


def default_float() -> np.dtype:
    """float32, or float64 with x64."""
    return np.dtype("float64") if config.enable_x64.value else np.dtype("float32")


def default_int() -> np.dtype:
    """int32, or int64 with x64."""
    return np.dtype("int64") if config.enable_x64.value else np.dtype("int32")


def default_uint() -> np.dtype:
    """uint32, or uint64 with x64."""
    return np.dtype("uint64") if config.enable_x64.value else np.dtype("uint32")


def scalar_dtype(pytype: type) -> np.dtype:
    """The dtype of Python scalars of this type, e.g. int32 for int while x64 is off."""
    return _canonicalize(_SCALARS[pytype])


def short_name(dtype: DType) -> str:
    """The name that jaxprs show: f32, bf16, u8, bool, key<fry>."""
    if dtype == float0:
        return "float0"
    name = dtype.name
    for long, short in (("float", "f"), ("uint", "u"), ("int", "i"), ("complex", "c")):
        name = name.replace(long, short)
    return name


def itemsize_bits(dtype: DTypeLike) -> int:
    """Bits per element: 4 for int4, 8 for bool, 32 for float32."""
    if dtype is None:
        raise ValueError("dtype cannot be None.")
    dtype = to_numpy_dtype(dtype)
    if dtype in _NARROW_INTS:
        return int(dtype.name.lstrip("uint"))
    if dtype in _NARROW_FLOATS:
        return int(dtype.name[5])
    return dtype.itemsize * 8


# --- categories ---


def issubdtype(a: DTypeLike, b: DTypeLike) -> bool:
    """NumPy's issubdtype, which also knows bfloat16, the narrow types and extended dtypes."""
    try:
        return _issubdtype(a, b)
    except TypeError:
        # Something unhashable, or no dtype at all: say what NumPy says.
        return _issubdtype.__wrapped__(a, b)


@functools.lru_cache(maxsize=1024)
def _issubdtype(a: DTypeLike, b: DTypeLike) -> bool:
    a, b = _scalar_class(a), _scalar_class(b)
    if a is b:
        return True
    if a in _CATEGORY and b not in _CATEGORY:
        a = _CATEGORY[a]
    return issubclass(a, b)


def _scalar_class(dtype: DTypeLike) -> type:
    if isinstance(dtype, type) and issubclass(dtype, np.generic):
        return dtype
    return to_numpy_dtype(dtype).type


_KINDS: dict[str, tuple[type, ...]] = {
    "bool": (np.bool_,),
    "signed integer": (np.signedinteger,),
    "unsigned integer": (np.unsignedinteger,),
    "integral": (np.integer,),
    "real floating": (np.floating,),
    "complex floating": (np.complexfloating,),
    "numeric": (np.integer, np.floating, np.complexfloating)}


def isdtype(dtype: DTypeLike, kind: str | DTypeLike | tuple[str | DTypeLike, ...]) -> bool:
    """Whether a dtype is of a kind ("real floating", ...), or is a given dtype, or any of these."""
    the_dtype = to_numpy_dtype(dtype)
    for one in kind if isinstance(kind, tuple) else (kind,):
        if isinstance(one, str) and one in _KINDS:
            if any(issubdtype(the_dtype, category) for category in _KINDS[one]):
                return True
        elif isinstance(one, str):
            raise ValueError(f"Unrecognized {kind=} expected one of {list(_KINDS)}")
        elif the_dtype == to_numpy_dtype(one):
            return True
    return False


def to_inexact(dtype: DTypeLike) -> DType:
    """The float for an integer or bool (64-bit for 64-bit ones), else the dtype itself."""
    dtype = to_numpy_dtype(dtype)
    if isinstance(dtype, ExtendedDType) or issubdtype(dtype, np.inexact):
        return dtype
    wide = dtype.kind in "ui" and dtype.itemsize == 8
    return np.dtype("float64") if wide else np.dtype("float32")


def to_complex(dtype: DTypeLike) -> np.dtype:
    """The complex dtype that holds values of this dtype."""
    dtype = to_inexact(dtype)
    if dtype.kind == "c":
        return dtype
    return np.dtype("complex128") if dtype == np.float64 else np.dtype("complex64")


def to_real(dtype: DTypeLike) -> DType:
    """The dtype of the real part: float32 for complex64; others as they are."""
    dtype = to_numpy_dtype(dtype)
    if isinstance(dtype, np.dtype) and dtype.kind == "c":
        return np.dtype(f"float{dtype.itemsize * 4}")
    return dtype


def to_numeric(dtype: DTypeLike) -> DType:
    """int32 for bool, else the dtype itself."""
    dtype = to_numpy_dtype(dtype)
    return np.dtype("int32") if dtype == np.bool_ else dtype


def supports_inf(dtype: DTypeLike) -> bool:
    """Whether values of this dtype can be infinite."""
    dtype = to_numpy_dtype(dtype)
    if isinstance(dtype, ExtendedDType) or not issubdtype(dtype, np.inexact):
        return False
    return not dtype.name.endswith(("e4m3fn", "fnuz"))


# --- the dtype of values ---


def is_python_scalar(x: Any) -> bool:
    """Whether x is a plain Python bool, int, float or complex."""
    return type(x) in _SCALARS


def is_weak(x: Any) -> bool:
    """Whether the dtype of x gives way to that of the other operand."""
    return dtype_and_weak(x)[1]


def dtype(x: Any) -> DType:
    """The canonical dtype of a value, or of something that names a dtype."""
    return dtype_and_weak(x)[0]


def dtype_and_weak(x: Any) -> tuple[DType, bool]:
    """The canonical dtype of a value (or dtype, or scalar type) and whether it is weak."""
    kind = type(x)
    if kind in _SCALARS:
        return _canonicalize(_SCALARS[kind]), kind is not bool
    if kind is type and x in _SCALARS:
        return _canonicalize(_SCALARS[x]), x is not bool
    if kind is jaxlib.ArrayImpl:
        aval = x.aval
        return aval.dtype, aval.weak_type
    if isinstance(x, (str, np.dtype, type, ExtendedDType)):
        return _checked(check_user_dtype_of(x), x), False
    inner = getattr(x, "dtype", None)
    if isinstance(inner, (np.dtype, ExtendedDType)):
        return _canonicalize(inner), bool(getattr(x, "weak_type", False))
    for pytype in _SCALARS:
        if isinstance(x, pytype):
            return _canonicalize(_SCALARS[pytype]), pytype is not bool
    if isinstance(x, SymbolicDim):
        return _canonicalize(_SCALARS[int]), True
    if x is None:
        raise ValueError(f"Invalid argument to dtype: {x}.")
    raise TypeError(f"Cannot determine dtype of {x}")


def check_user_dtype_of(x: DTypeLike) -> DType:
    """`check_user_dtype`, but types that arrays cannot have pass as they are."""
    wanted = to_numpy_dtype(x)
    return check_user_dtype(x, "dtype") if wanted in _TO_32 else wanted


def _checked(dtype: DType, x: Any) -> DType:
    if isinstance(dtype, ExtendedDType) or dtype in _KNOWN or dtype == float0:
        return dtype
    raise TypeError(
        f"Value {x!r} with dtype {dtype} is not a valid JAX array type. "
        "Only arrays of numeric types are supported by JAX.")


def scalar_type_of(x: Any) -> type:
    """The Python scalar type (bool, int, float, complex) for the dtype of a value."""
    the_dtype = dtype_and_weak(x)[0]
    for category, pytype in (
        (np.bool_, bool),
        (np.integer, int),
        (np.floating, float),
        (np.complexfloating, complex),
    ):
        if issubdtype(the_dtype, category):
            return pytype
    raise TypeError(f"Invalid scalar value {x}")


# --- promotion ---


def promote_types(a: DTypeLike, b: DTypeLike) -> DType:
    """The smallest dtype that both convert to; Python's int, float, complex count as weak."""
    a, b = _promotable(a), _promotable(b)
    weak = isinstance(a, type) and isinstance(b, type)
    bound = _upper_bound([a, b], strict=_is_strict())
    return _SCALARS[bound] if weak or isinstance(bound, type) else bound


def _promotable(dtype: DTypeLike) -> _Node:
    if isinstance(dtype, type) and dtype in _WEAK_RANK:
        return dtype
    node = to_numpy_dtype(dtype)
    if isinstance(node, ExtendedDType):
        raise TypeError(f"Cannot interpret '{node}' as a data type")
    return _checked_node(node)


def _checked_node(node: np.dtype) -> np.dtype:
    if node in _KNOWN:
        return node
    raise ValueError(f"dtype={node!r} is not a valid dtype for JAX type promotion.")


def result_type(*args: Any, return_weak_type_flag: bool = False) -> DType | tuple[DType, bool]:
    """The canonical dtype of an operation on these values or dtypes.

    A weak result has the default dtype of its kind.  None stands for the default float.
    """
    if not args:
        raise ValueError("at least one array or dtype is required")
    found, weak = lattice_result_type(*(default_float() if x is None else x for x in args))
    if weak:
        found = _default_of_kind(found)
    return (found, weak) if return_weak_type_flag else found


def _default_of_kind(dtype: np.dtype) -> np.dtype:
    if dtype.kind == "u":
        return default_uint()
    return scalar_dtype(scalar_type_of(dtype))


def lattice_result_type(*args: Any) -> tuple[DType, bool]:
    """(dtype, weak) of an operation on these values or dtypes."""
    return _join(tuple(dtype_and_weak(x) for x in args))


_pair_caches: tuple[dict, ...] = ({}, {}, {}, {})


def promote_avals(avals: Iterable[Any]) -> tuple[DType, bool]:
    """(dtype, weak) of an operation on operands with `.dtype` and `.weak_type`."""
    strict = config.numpy_dtype_promotion.value is config.NumpyDtypePromotion.STRICT
    cache = _pair_caches[2 * strict + config.enable_x64.value]
    try:
        a, b = avals
        key = (a.dtype, a.weak_type, b.dtype, b.weak_type)
    except ValueError:
        key = tuple([(aval.dtype, aval.weak_type) for aval in avals])
    found = cache.get(key)
    if found is None:
        found = _join(tuple((_canonicalize(a.dtype), a.weak_type) for a in avals))
        cache[key] = found
    return found


def _is_strict() -> bool:
    return config.numpy_dtype_promotion.value is config.NumpyDtypePromotion.STRICT


def _join(operands: tuple[tuple[DType, bool], ...]) -> tuple[DType, bool]:
    first, weak = operands[0]
    if len(operands) == 1:
        return first, weak
    all_weak = all(weak for _, weak in operands)
    if not all_weak and all(dtype == first for dtype, _ in operands):
        return first, False
    if all_weak and not _is_strict():
        # Of two weak arrays the dtypes count: a weak int16 must not become a default int.
        bound = _upper_bound([_checked_operand(dtype) for dtype, _ in operands], strict=False)
        is_scalar = isinstance(bound, type)
        return (_canonicalize(_SCALARS[bound]) if is_scalar else _canonicalize(bound)), True
    bound = _upper_bound([_node_of(*operand) for operand in operands], strict=_is_strict())
    if isinstance(bound, type):
        return scalar_dtype(bound), True
    return _canonicalize(bound), False


def _checked_operand(dtype: DType) -> np.dtype:
    if isinstance(dtype, ExtendedDType):
        raise ValueError(f"dtype={dtype} is not a valid dtype for JAX type promotion.")
    return _checked_node(dtype)


def _node_of(dtype: DType, weak: bool) -> _Node:
    dtype = _checked_operand(dtype)
    if not weak or dtype.kind == "b":
        return dtype
    return scalar_type_of(dtype)


def _upper_bound(nodes: list[_Node], strict: bool) -> _Node:
    bound = nodes[0]
    for node in nodes[1:]:
        found = _promotion.get((bound, node))
        if found is None or (strict and not _is_adaptation(bound, node)):
            raise TypePromotionError(_no_promotion(nodes, strict))
        bound = found
    return bound


def _is_adaptation(a: _Node, b: _Node) -> bool:
    if a is b or a == b:
        return True
    if isinstance(b, type):
        a, b = b, a
    if not isinstance(a, type):
        return False
    if isinstance(b, type):
        return True
    rank = _KIND_RANK.get(b.kind)
    if rank is None:
        rank = 0 if b in _NARROW_INTS else (1 if b in _NARROW or b == _BFLOAT16 else -1)
    return rank >= _WEAK_RANK[a]


def _no_promotion(nodes: list[_Node], strict: bool) -> str:
    names = tuple(dict.fromkeys(n.name if isinstance(n, np.dtype) else str(n) for n in nodes))
    what = f"Input dtypes {names} have no available implicit dtype promotion path"
    at = source.current_user_frame()
    where = f"\n  at {at}" if at else ""
    narrow = next((n for n in nodes if n in _NARROW), None)
    if narrow is None:
        return (
            f"{what} when jax_numpy_dtype_promotion=strict.{where}\n"
            "  because strict mode never changes the dtype of an array\n"
            "  fix: convert the operands, e.g. x.astype(y.dtype), or set "
            "jax_numpy_dtype_promotion=standard")
    integer = narrow in _NARROW_INTS
    kinds = "1-bit, 2-bit and 4-bit integers" if integer else f"{itemsize_bits(narrow)}-bit floats"
    target = "int32" if integer else "float32"
    return (
        f"{what}. To avoid unintended promotion, {kinds} do not support implicit promotion.{where}"
        "\n  because either result would be a surprise\n"
        f"  fix: convert the operands, e.g. x.astype('{target}')")
