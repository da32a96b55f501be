"""The only file that talks to the MLIR bindings.

Every type, attribute and constant is made once per MLIR context and found again by a Python key,
because making one costs as much as making an operation. The one invariant: an `Emitter` inserts at
the end of the block that was entered last, and its constant cache holds only values of that block.

    >>> emitter = Emitter(builder())
    >>> vector = emitter.tensor((3,), np.dtype("float32"))
    >>> str(vector)
    'tensor<3xf32>'
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from typing import Any

import jaxlib.mlir.ir as ir
import ml_dtypes
import numpy as np
from jaxlib import _jax
from jaxlib.mlir._mlir_libs import _chlo, _jax_mlir_ext, _sdy, _stablehlo
from jaxlib.mlir.passmanager import PassManager

Value = ir.Value
Type = ir.Type
Attribute = ir.Attribute
Module = ir.Module

# The result of a region: what its body returns, given the block arguments.
Body = Callable[..., Sequence[Value]]

# A context interns types, attributes and locations and never frees them, so it is replaced after
# this many modules. Making one costs about half a millisecond.
MODULES_PER_CONTEXT = 500

FRAMES_PER_LOCATION = 10

float0 = np.dtype([("float0", np.void, 0)])

_FLOATS = {
    "bfloat16": ir.BF16Type,
    "float16": ir.F16Type,
    "float32": ir.F32Type,
    "float64": ir.F64Type,
    "float4_e2m1fn": ir.Float4E2M1FNType,
    "float6_e2m3fn": ir.Float6E2M3FNType,
    "float6_e3m2fn": ir.Float6E3M2FNType,
    "float8_e3m4": ir.Float8E3M4Type,
    "float8_e4m3": ir.Float8E4M3Type,
    "float8_e4m3b11fnuz": ir.Float8E4M3B11FNUZType,
    "float8_e4m3fn": ir.Float8E4M3FNType,
    "float8_e4m3fnuz": ir.Float8E4M3FNUZType,
    "float8_e5m2": ir.Float8E5M2Type,
    "float8_e5m2fnuz": ir.Float8E5M2FNUZType,
    "float8_e8m0fnu": ir.Float8E8M0FNUType,
}
_SIGNED = {"int2": 2, "int4": 4, "int8": 8, "int16": 16, "int32": 32, "int64": 64}
_UNSIGNED = {f"u{name}": width for name, width in _SIGNED.items()}


def _dtype(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name, name))


# `dtype.name` is computed anew each time (over 1 us), so families are sets of dtypes.
FLOATS = frozenset(map(_dtype, _FLOATS))
SIGNED = frozenset(map(_dtype, _SIGNED))
UNSIGNED = frozenset(map(_dtype, _UNSIGNED))

_registry = ir.DialectRegistry()
_jax_mlir_ext.register_dialects(_registry)


def new_context() -> Any:
    """An MLIR context with the dialects that modules here are made of, and no more: 0.3 ms."""
    context = ir.Context()
    context.append_dialect_registry(_registry)
    _stablehlo.register_dialect(context)
    _chlo.register_dialect(context)
    _sdy.register_dialect(context)
    context.get_dialect_descriptor("func")  # loads it
    return context


class Builder:
    """One MLIR context and everything interned in it.

    The context keeps its own locks, so modules of one context may be compiled by one thread while
    another thread builds.
    """

    def __init__(self) -> None:
        self.context = context = new_context()
        self.unknown = ir.Location.unknown(context)
        self.modules = 0
        self.elements = _element_types(context)
        self.dtypes = {element: dtype for dtype, element in self.elements.items()}
        self.elements[float0] = self.elements[np.dtype(bool)]
        self.token = ir.Type.parse("!stablehlo.token", context)
        self.tensors: dict[tuple, Type] = {((), None): self.token}  # a token has no dtype
        self.attributes: dict[tuple, Attribute] = {}
        self.dense: dict[tuple, Attribute] = {}
        self.locations: dict[Any, Any] = {}

    def tensor(self, shape: Sequence[int], dtype: np.dtype) -> Type:
        """The ranked tensor type; remembers the Python key in front of MLIR's own table."""
        key = (shape, dtype)
        found = self.tensors.get(key)
        if found is None:
            element = self.elements[np.dtype(dtype)]
            with self.context, self.unknown:
                found = ir.RankedTensorType.get([int(n) for n in shape], element)
            self.tensors[key] = found
        return found

    def attribute(self, value: Any) -> Attribute:
        """An int is i64, a bool i1, a tuple an i64 (or i1) array, a str is MLIR text."""
        key = (type(value), value)
        found = self.attributes.get(key)
        if found is None:
            with self.context:
                found = _new_attribute(value)
            self.attributes[key] = found
        return found

    def constant(self, value: np.ndarray, shape: tuple[int, ...]) -> Attribute:
        """Dense elements of `shape`; a rank-0 `value` is repeated without storing the copies."""
        key = (shape, value.dtype, value.tobytes()) if value.size <= 16 else None
        found = self.dense.get(key) if key is not None else None
        if found is None:
            with self.context, self.unknown:
                found = self._new_dense(value, shape)
            if key is not None:
                self.dense[key] = found
        return found

    def _new_dense(self, value: np.ndarray, shape: tuple[int, ...]) -> Attribute:
        value = np.ascontiguousarray(value).reshape(value.shape)
        dtype = value.dtype
        if dtype == float0:
            value = np.zeros(value.shape, bool)
        elif dtype.kind == "V":  # bfloat16, float8, int4: MLIR wants their bits
            value = value.view(f"u{dtype.itemsize}")
        if value.dtype == bool:
            return ir.DenseElementsAttr.get(value, shape=list(shape))
        return ir.DenseElementsAttr.get(value, type=self.elements[dtype], shape=list(shape))

    def traceback_locations(self, code_to_filename: Callable[[Any], str | None]) -> Any:
        """`get(traceback) -> Location`, showing the frames that `code_to_filename` gives a name."""
        found = self.locations.get(code_to_filename)
        if found is None:
            found = _jax_mlir_ext.TracebackToLocationCache(
                code_to_filename=code_to_filename,
                frame_limit=FRAMES_PER_LOCATION,
                context=self.context,
            )
            self.locations[code_to_filename] = found
        return found


def _element_types(context: ir.Context) -> dict[np.dtype, Type]:
    """NumPy dtype -> MLIR element type, for every dtype that StableHLO knows."""
    elements: dict[np.dtype, Type] = {np.dtype(bool): ir.IntegerType.get_signless(1, context)}
    for name, kind in _FLOATS.items():
        elements[_dtype(name)] = kind.get(context)
    for name, width in _SIGNED.items():
        elements[_dtype(name)] = ir.IntegerType.get_signless(width, context)
    for name, width in _UNSIGNED.items():
        elements[_dtype(name)] = ir.IntegerType.get_unsigned(width, context)
    for part, dtype in (("float32", "complex64"), ("float64", "complex128")):
        elements[np.dtype(dtype)] = ir.ComplexType.get(elements[np.dtype(part)])
    return elements


def _new_attribute(value: Any) -> Attribute:
    if isinstance(value, str):
        return ir.Attribute.parse(value)
    if isinstance(value, bool):
        return ir.BoolAttr.get(value)
    if isinstance(value, (int, np.integer)):
        return ir.IntegerAttr.get(ir.IntegerType.get_signless(64), int(value))
    if value and all(isinstance(v, bool) for v in value):
        return ir.DenseBoolArrayAttr.get(list(value))
    return ir.DenseI64ArrayAttr.get([int(v) for v in value])


_current: Builder | None = None


def builder() -> Builder:
    """The shared builder; a fresh one after every `MODULES_PER_CONTEXT` modules."""
    global _current
    if _current is None or _current.modules >= MODULES_PER_CONTEXT:
        _current = Builder()
    _current.modules += 1
    return _current


def moved(module: Module, refine: bool = False) -> Module:
    """The module in a context of its own, for a compiler that works on it without the GIL.

    refine: find all shapes from those of the arguments; ValueError if an assertion fails.

    XLA loads dialects into the context of what it compiles; while another thread builds a module
    in the same context, that crashes the process.
    """
    code = bytecode(module)
    if refine:
        code = _jax.mlir.refine_polymorphic_shapes(
            code, enable_shape_assertions=True, validate_static_shapes=True, enable_shardy=True)
    return Module.parse(code, context=new_context())


def bytecode(module: Module) -> bytes:
    """The module's bytecode."""
    buffer = io.BytesIO()
    module.operation.write_bytecode(buffer)
    return buffer.getvalue()


def stripped_bytecode(module: Module) -> bytes:
    """The module's bytecode without locations; the module itself keeps them."""
    buffer = io.BytesIO()
    with module.context:
        copy = module.operation.clone()
        PassManager.parse("builtin.module(strip-debuginfo)").run(copy)
        copy.write_bytecode(buffer)
    return buffer.getvalue()


def portable_bytes(module: Module) -> bytes:
    """The module without locations, as a StableHLO artifact that other versions of XLA read."""
    version = _stablehlo.get_version_from_compatibility_requirement(
        _stablehlo.StablehloCompatibilityRequirement.WEEK_4)
    with module.context:
        copy = Module.parse(str(module))
        PassManager.parse("builtin.module(strip-debuginfo)").run(copy.operation)
        return _jax.mlir.serialize_portable_artifact(copy, version, use_mixed_serialization=True)


def from_portable(code: bytes, context: Any) -> Module:
    """The module of a portable artifact."""
    return _stablehlo.deserialize_portable_artifact(context, code)


def portable_text(code: bytes) -> str:
    """The text of a portable artifact."""
    return from_portable(code, new_context()).operation.get_asm(enable_debug_info=True)


class Emitter:
    """Appends operations to the current block of one module."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.tensor = builder.tensor
        self.loc = builder.unknown
        self.module = ir.Module.create(loc=builder.unknown)
        self.symbols = ir.SymbolTable(self.module.operation)
        self._constants: dict[Any, Value] = {}

    # --- operations -------------------------------------------------------------------------

    def op(self, name: str, operands: Sequence[Value], result_types: Sequence[Type],
           **attributes: Any) -> Any:
        """Append an operation; returns its result, or the list of them unless there is one."""
        if attributes:
            attributes = self._attributes(attributes)
        made = ir.Operation.create(name, result_types, operands, attributes, None, 0, self.loc)
        if len(result_types) == 1:
            return made.result
        return list(made.results)

    def region_op(self, name: str, operands: Sequence[Value], result_types: Sequence[Type],
                  bodies: Sequence[tuple[Sequence[Type], Body]], **attributes: Any) -> list[Value]:
        """Append an operation with one region per (argument types, body); always gives a list."""
        made = ir.Operation.create(name, result_types, operands, self._attributes(attributes),
                                   None, len(bodies), self.loc)
        for region, (types, body) in zip(made.regions, bodies):
            block = region.blocks.append(*types, arg_locs=[self.loc] * len(types))
            self.fill(block, body, "stablehlo.return")
        return list(made.results)

    def _attributes(self, values: dict[str, Any]) -> dict[str, Attribute]:
        attribute = self.builder.attribute
        return {key: value if isinstance(value, Attribute) else attribute(value)
                for key, value in values.items()}

    def fill(self, block: ir.Block, body: Body, terminator: str) -> None:
        """Let `body` append to `block` and end it; constants of the outer block stay there."""
        outer = self._constants
        self._constants = {}
        with ir.InsertionPoint(block):
            results = body(*block.arguments)
            ir.Operation.create(terminator, (), list(results), None, None, 0, self.loc)
        self._constants = outer

    def function(self, name: str, inputs: Sequence[Type], outputs: Sequence[Type], body: Body, *,
                 public: bool, arg_locs: Sequence[Any] | None = None) -> ir.Operation:
        """Add a `func.func` with its body at the end of the module; renames on a clash."""
        kind = ir.FunctionType.get(list(inputs), list(outputs))
        made = ir.Operation.create("func.func", attributes={
            "sym_name": ir.StringAttr.get(name),
            "function_type": ir.TypeAttr.get(kind),
            "sym_visibility": ir.StringAttr.get("public" if public else "private"),
        }, regions=1, loc=self.loc, ip=ir.InsertionPoint(self.module.body))
        self.symbols.insert(made)
        locs = arg_locs or [self.loc] * len(inputs)
        block = made.regions[0].blocks.append(*inputs, arg_locs=locs)
        self.fill(block, body, "func.return")
        return made

    # --- types and attributes ---------------------------------------------------------------

    def attr(self, value: Any) -> Attribute:
        """See `Builder.attribute`."""
        return self.builder.attribute(value)

    def pairs(self, values: Sequence[Sequence[int]]) -> Attribute:
        """An N x 2 tensor attribute, as padding wants it."""
        table = np.array(values, np.int64).reshape(len(values), 2)
        return self.builder.constant(table, table.shape)

    def attrs(self, values: Sequence[Any]) -> Attribute:
        """An array attribute of `attr(value)` for each value."""
        return ir.ArrayAttr.get([self.builder.attribute(v) for v in values])

    def shape_of(self, x: Value) -> tuple[int, ...]:
        """The shape of a value; prefer `in_avals` where there is one."""
        return tuple(x.type.shape)

    def dtype_of(self, x: Value) -> np.dtype:
        """The dtype of a value; prefer `in_avals` where there is one."""
        return self.builder.dtypes[x.type.element_type]

    # --- constants --------------------------------------------------------------------------

    def const(self, value: Any, dtype: Any = None, shape: tuple[int, ...] | None = None) -> Value:
        """A constant; with `shape`, a scalar `value` repeated. One per block and value."""
        value = np.asarray(value, dtype)
        dense = self.builder.constant(value, value.shape if shape is None else tuple(shape))
        found = self._constants.get(dense)
        if found is None:
            found = ir.Operation.create(
                "stablehlo.constant", [dense.type], (), {"value": dense}, None, 0, self.loc).result
            self._constants[dense] = found
        return found

    def const_like(self, value: Any, x: Value) -> Value:
        """The scalar `value` with the type of `x`."""
        return self.const(value, self.dtype_of(x), self.shape_of(x))

    # --- the verbs that rules share ---------------------------------------------------------

    def same(self, name: str, x: Value, *others: Value, **attributes: Any) -> Value:
        """An operation whose result has the type of its first operand."""
        return self.op(name, (x, *others), (x.type,), **attributes)

    def parts(self, z: Value) -> tuple[Value, Value]:
        """The real and the imaginary part of complex numbers."""
        part = (self.tensor(self.shape_of(z), real_dtype(self.dtype_of(z))),)
        return self.op("stablehlo.real", (z,), part), self.op("stablehlo.imag", (z,), part)

    def compare(self, direction: str, x: Value, y: Value, *, total: bool = False) -> Value:
        """`x <direction> y` elementwise: EQ NE LT LE GT GE; `total` orders NaN and -0.0 too."""
        dtype = self.dtype_of(x)
        return self.op(
            "stablehlo.compare", (x, y), (self.tensor(self.shape_of(x), np.dtype(bool)),),
            comparison_direction=f"#stablehlo<comparison_direction {direction}>",
            compare_type=f"#stablehlo<comparison_type {comparison_type(dtype, total)}>")

    def select(self, predicate: Value, yes: Value, no: Value) -> Value:
        """`yes` where `predicate`, else `no`."""
        return self.op("stablehlo.select", (predicate, yes, no), (yes.type,))

    def broadcast(self, x: Value, shape: Sequence[int], dimensions: Sequence[int] = ()) -> Value:
        """`x` with its axes placed at `dimensions` of `shape`."""
        return self.op("stablehlo.broadcast_in_dim", (x,),
                       (self.tensor(tuple(shape), self.dtype_of(x)),),
                       broadcast_dimensions=tuple(dimensions))

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """`x` with another shape; nothing is emitted when it has it already."""
        if self.shape_of(x) == tuple(shape):
            return x
        return self.op("stablehlo.reshape", (x,), (self.tensor(tuple(shape), self.dtype_of(x)),))

    def transpose(self, x: Value, permutation: Sequence[int]) -> Value:
        """`x` with its axes permuted; nothing is emitted for the identity."""
        if tuple(permutation) == tuple(range(len(permutation))):
            return x
        shape = self.shape_of(x)
        return self.op("stablehlo.transpose", (x,),
                       (self.tensor(tuple(shape[i] for i in permutation), self.dtype_of(x)),),
                       permutation=tuple(permutation))

    def iota(self, dtype: Any, shape: Sequence[int], dimension: int) -> Value:
        """0, 1, 2 ... along `dimension`."""
        return self.op("stablehlo.iota", (), (self.tensor(tuple(shape), np.dtype(dtype)),),
                       iota_dimension=dimension)

    def slice(self, x: Value, start: Sequence[int], limit: Sequence[int],
              strides: Sequence[int] | None = None) -> Value:
        """`x[start:limit:strides]`, one entry per axis."""
        strides = tuple(strides) if strides is not None else (1,) * len(start)
        shape = tuple(-(-(b - a) // s) for a, b, s in zip(start, limit, strides))
        return self.op("stablehlo.slice", (x,), (self.tensor(shape, self.dtype_of(x)),),
                       start_indices=tuple(start), limit_indices=tuple(limit), strides=strides)

    def concatenate(self, xs: Sequence[Value], dimension: int) -> Value:
        """`xs` joined along `dimension`."""
        if len(xs) == 1:
            return xs[0]
        shape = list(self.shape_of(xs[0]))
        shape[dimension] = sum(self.shape_of(x)[dimension] for x in xs)
        return self.op("stablehlo.concatenate", xs,
                       (self.tensor(tuple(shape), self.dtype_of(xs[0])),), dimension=dimension)

    def pad(self, x: Value, value: Value, low: Sequence[int], high: Sequence[int],
            interior: Sequence[int] | None = None) -> Value:
        """`x` with `value` around (and between) its elements; negative amounts crop."""
        interior = tuple(interior) if interior is not None else (0,) * len(low)
        shape = tuple(
            n + a + b + max(n - 1, 0) * i
            for n, a, b, i in zip(self.shape_of(x), low, high, interior))
        return self.op("stablehlo.pad", (x, value), (self.tensor(shape, self.dtype_of(x)),),
                       edge_padding_low=tuple(low), edge_padding_high=tuple(high),
                       interior_padding=interior)

    def convert(self, x: Value, dtype: Any) -> Value:
        """`x.astype(dtype)` with JAX's meaning: != 0 for bool, the real part of a complex."""
        source, target = self.dtype_of(x), np.dtype(dtype)
        if source == target:
            return x
        shape = self.shape_of(x)
        if target == float0:
            return self.const(False, bool, shape)
        if target == bool:
            return self.compare("NE", x, self.const(0, source, shape))
        if source.kind == "c" and target.kind != "c":
            x = self.parts(x)[0]
            if real_dtype(source) == target:
                return x
        return self.op("stablehlo.convert", (x,), (self.tensor(shape, target),))


def comparison_type(dtype: np.dtype, total: bool = False) -> str:
    """FLOAT, TOTALORDER, SIGNED or UNSIGNED, as `stablehlo.compare` wants for a dtype."""
    if dtype in FLOATS:
        return "TOTALORDER" if total else "FLOAT"
    if dtype.kind == "c":
        return "FLOAT"
    return "SIGNED" if dtype in SIGNED else "UNSIGNED"


def is_float(dtype: np.dtype) -> bool:
    """Whether the dtype is a real floating type, ml_dtypes' included."""
    return dtype in FLOATS


def is_signed(dtype: np.dtype) -> bool:
    """Whether the dtype is a signed integer, int2 and int4 included."""
    return dtype in SIGNED


def is_unsigned(dtype: np.dtype) -> bool:
    """Whether the dtype is an unsigned integer (bool is not one)."""
    return dtype in UNSIGNED


def is_complex(dtype: np.dtype) -> bool:
    """Whether the dtype is complex."""
    return dtype.kind == "c"


def real_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of the parts of a complex dtype."""
    return np.dtype(np.float32 if dtype == np.complex64 else np.float64)


def highest(dtype: np.dtype) -> Any:
    """The greatest value: inf where there is one."""
    return _extreme(dtype, 1)


def lowest(dtype: np.dtype) -> Any:
    """The least value: -inf where there is one."""
    return _extreme(dtype, -1)


@functools.cache
def _extreme(dtype: np.dtype, sign: int) -> Any:
    if dtype == bool:
        return sign > 0
    if is_float(dtype):
        infinity = np.array(sign * np.inf).astype(dtype)
        if np.isinf(infinity):
            return infinity
        info = ml_dtypes.finfo(dtype)
        return info.max if sign > 0 else info.min
    if is_complex(dtype):
        return dtype.type(sign * np.inf)
    info = ml_dtypes.iinfo(dtype)
    return info.max if sign > 0 else info.min
