"""Modules for sizes that are not known: rules write static operations, dynamic ones come out.

A symbolic size has a stand-in, an integer that no real size has, wherever a type or an attribute
wants an integer. An operation whose result it shapes is appended in its dynamic form, with operands
that compute the sizes; in the end stand-ins in types become `?`. The one invariant: `env` has the
dimension variables as values of the function that is being made; they are the first arguments of
all functions but `main`, which finds them from the shapes of its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lowering.build import Attribute, Body, Type, Value, ir
from lowering.module import DYNAMIC, IS_TOKEN, Context
from lowering.rules import rule

_FIRST_STAND_IN = 1 << 40
_UNKNOWN = ir.ShapedType.get_dynamic_size()
_SIZE = np.dtype(np.int64)
_INNER_MAIN = "_wrapped_jax_export_main"  # a name that other readers of such modules know


class Number:
    """An integer scalar of the module, with the operators that expressions for sizes need."""

    def __init__(self, ctx: DynamicContext, value: Value):
        self.ctx = ctx
        self.value = value

    def _op(self, name: str, other: Any) -> Number:
        x, y = self.value, self.ctx.number(other).value
        return Number(self.ctx, self.ctx.same(f"stablehlo.{name}", x, y))

    def __add__(self, other: Any) -> Number:
        return self._op("add", other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Number:
        return self._op("subtract", other)

    def __mul__(self, other: Any) -> Number:
        return self._op("multiply", other)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Number:
        other = self.ctx.number(other)
        return (self - self % other)._op("divide", other)

    def __mod__(self, other: Any) -> Number:
        other = self.ctx.number(other)
        left = self._op("remainder", other)  # has the sign of self
        return (left + other)._op("remainder", other)

    def operate(self, name: str, x: Any, y: Any) -> Number:
        """An operation of which this is one operand: "floordiv", "mod", "max" or "min"."""
        x, y = self.ctx.number(x), self.ctx.number(y)
        if name in ("max", "min"):
            return x._op("maximum" if name == "max" else "minimum", y)
        return x // y if name == "floordiv" else x % y


class DynamicContext(Context):
    """A Context for a jaxpr with symbolic sizes, which are objects with `evaluate(env)`.

    shapes: finds the dimension variables, `names`, with `solve(size, check)`.
    """

    def __init__(self, shapes: Any, *args: Any):
        super().__init__(*args)
        self.shapes = shapes
        self.env: dict[str, Number] = {}
        self.stand_ins: dict[Any, int] = {}
        self.sizes: dict[int, Any] = {}
        self.mine: set[str] = set()  # functions that take the dimension variables
        self.tensor = self._tensor

    # --- stand-ins --------------------------------------------------------------------------

    def stand_in(self, size: Any) -> int:
        """The integer in the place of a size."""
        if not hasattr(size, "evaluate"):
            return int(size)
        found = self.stand_ins.get(size)
        if found is None:
            found = self.stand_ins[size] = _FIRST_STAND_IN + len(self.stand_ins)
            self.sizes[found] = size
        return found

    def _tensor(self, shape: Sequence[Any], dtype: Any) -> Type:
        return self.builder.tensor(tuple(map(self.stand_in, shape)), dtype)

    def shape_of(self, x: Value) -> tuple:
        return self.shape_of_type(x.type)

    def shape_of_type(self, kind: Type) -> tuple:
        """The shape, with symbolic sizes, of a tensor type."""
        return tuple([self.sizes.get(n, n) for n in kind.shape])

    def _is_dynamic(self, kind: Type) -> bool:
        return isinstance(kind, ir.RankedTensorType) and any([n in self.sizes for n in kind.shape])

    def _is_symbolic(self, value: Any) -> bool:
        """Whether an attribute mentions symbolic sizes: in a tuple, or in pairs."""
        return isinstance(value, (tuple, list)) and any(
            [isinstance(n, tuple) or hasattr(n, "evaluate") for n in value])

    def pairs(self, values: Sequence[Sequence[Any]]) -> Any:
        if any([hasattr(n, "evaluate") for row in values for n in row]):
            return tuple(map(tuple, values))
        return super().pairs(values)

    # --- sizes as values --------------------------------------------------------------------

    def number(self, size: Any) -> Number:
        """A size as a value."""
        if isinstance(size, Number):
            return size
        if hasattr(size, "evaluate"):
            found = self._constants.get(("size", size))
            if found is None:
                found = self._constants["size", size] = size.evaluate(self.env)
            return found
        return Number(self, self.const(size, _SIZE))

    def vector(self, sizes: Sequence[Any]) -> Value:
        """Sizes as a vector."""
        if not any([hasattr(n, "evaluate") for n in sizes]):
            return self.const(np.array(sizes, _SIZE))
        found = self._constants.get(("sizes", tuple(sizes)))
        if found is None:
            found = self.concatenate([self.reshape(self.number(n).value, (1,)) for n in sizes], 0)
            self._constants["sizes", tuple(sizes)] = found
        return found

    def const(self, value: Any, dtype: Any = None, shape: tuple | None = None) -> Value:
        if hasattr(value, "evaluate"):
            found = self.convert(self.number(value).value, dtype or _SIZE)
            return found if shape is None else self.broadcast(found, shape)
        if shape is None or not any([hasattr(n, "evaluate") for n in shape]):
            return super().const(value, dtype, shape)
        return self.broadcast(super().const(value, dtype), shape)

    # --- functions --------------------------------------------------------------------------

    def function(self, name: str, inputs: Sequence[Type], outputs: Sequence[Type], body: Body, *,
                 public: bool, arg_locs: Sequence[Any] | None = None) -> ir.Operation:
        names = self.shapes.names
        sizes = [self.tensor((), _SIZE)] * len(names)
        made = super().function(_INNER_MAIN if public else name, sizes + list(inputs), outputs,
                                self._with_variables(body), public=False,
                                arg_locs=arg_locs and [self.loc] * len(names) + list(arg_locs))
        callee = made.attributes["sym_name"].value
        made.attributes["arg_attrs"] = ir.ArrayAttr.get(
            [ir.DictAttr.get({"jax.global_constant": ir.StringAttr.get(key)}) for key in names]
            + [ir.DictAttr.get({IS_TOKEN: ir.BoolAttr.get(True)} if kind == self.token_type
                               else {}) for kind in inputs])
        if not public:
            self.mine.add(callee)
            return made

        def call(*args: Value) -> list[Value]:
            env = self._solve([x for x in args if x.type != self.token_type])
            return super(DynamicContext, self).call_function(
                ir.FlatSymbolRefAttr.get(callee), [*[env[key].value for key in names], *args],
                outputs)
        return super().function(name, inputs, outputs, call, public=True, arg_locs=arg_locs)

    def call_function(self, callee: Attribute, operands: Sequence[Value],
                      results: Sequence[Type]) -> list[Value]:
        if callee.value in self.mine:
            operands = [*[self.env[key].value for key in self.shapes.names], *operands]
        return super().call_function(callee, operands, results)

    def _with_variables(self, body: Body) -> Body:
        """`body` with the dimension variables as leading arguments."""
        names = self.shapes.names

        def with_variables(*args: Value) -> Any:
            outer, self.env = self.env, {key: Number(self, x) for key, x in zip(names, args)}
            results = body(*args[len(names):])
            self.env = outer
            return results
        return with_variables

    def sealed(self, args: Sequence[Value], types: Sequence[Type],
               body: Body) -> tuple[Sequence[Value], Sequence[Type], Body]:
        sizes = [self.env[key].value for key in self.shapes.names]
        return ([*sizes, *args], [*[x.type for x in sizes], *types], self._with_variables(body))

    def _solve(self, args: Sequence[Value]) -> dict[str, Number]:
        def size(argument: int, axis: int) -> Number:
            found = self.op("stablehlo.get_dimension_size", (args[argument],),
                            (self.tensor((), np.dtype(np.int32)),),
                            dimension=ir.IntegerAttr.get(ir.IntegerType.get_signless(64), axis))
            return Number(self, self.convert(found, _SIZE))
        return self.shapes.solve(size, self._assert)

    def _assert(self, value: Any, least: int | None, text: str, shown: Sequence[Any]) -> None:
        limit = self.const(least or 0, _SIZE)
        holds = self.compare("EQ" if least is None else "GE", self.number(value).value, limit)
        self.op("stablehlo.custom_call", [holds, *[self.number(n).value for n in shown]], [],
                call_target_name=ir.StringAttr.get("shape_assertion"),
                api_version=ir.IntegerAttr.get(ir.IntegerType.get_signless(32), 2),
                error_message=ir.StringAttr.get(text), has_side_effect=True)

    # --- operations -------------------------------------------------------------------------

    def op(self, name: str, operands: Sequence[Value], result_types: Sequence[Type],
           **attributes: Any) -> Any:
        symbolic = [key for key, value in attributes.items() if self._is_symbolic(value)]
        rule = _DYNAMIC.get(name)
        if rule is not None and (symbolic or any(map(self._is_dynamic, result_types))):
            return rule(self, operands, result_types, symbolic, **attributes)
        if symbolic:
            raise self._cannot(name, symbolic)
        return super().op(name, operands, result_types, **attributes)

    def region_op(self, name: str, operands: Sequence[Value], result_types: Sequence[Type],
                  bodies: Sequence[tuple[Sequence[Type], Body]], **attributes: Any) -> list[Value]:
        symbolic = [k for k, v in attributes.items() if self._is_symbolic(v)]
        if symbolic and name == "stablehlo.reduce_window":
            return self._reduce_window(operands, result_types, *bodies[0], **attributes)
        if symbolic:
            raise self._cannot(name, symbolic)
        return super().region_op(name, operands, result_types, bodies, **attributes)

    def _reduce_window(self, operands: Sequence[Value], result_types: Sequence[Type],
                       types: Sequence[Type], body: Body, padding: Any,
                       **attributes: Any) -> list[Value]:
        """StableHLO has no such operation, but this name for it; the body is a function."""
        scalars = list(types)[:len(types) // 2]
        reducer = super().function("reducer", types, scalars, body, public=False)
        vectors = [self.vector(attributes[key]) for key in (
            "window_dimensions", "window_strides", "base_dilations", "window_dilations")]
        amounts = padding if isinstance(padding, tuple) else np.array(padding).tolist()
        pads = self.reshape(self.vector([n for row in amounts for n in row]), (len(amounts), 2))
        return super().region_op(
            "stablehlo.custom_call", [*operands, *vectors, pads], result_types, (),
            call_target_name=ir.StringAttr.get("stablehlo.dynamic_reduce_window"),
            called_computations=ir.ArrayAttr.get(
                [ir.FlatSymbolRefAttr.get(reducer.attributes["sym_name"].value)]))

    def _cannot(self, name: str, attributes: Sequence[str]) -> NotImplementedError:
        return NotImplementedError(
            f"{name.partition('.')[2]} with symbolic {', '.join(attributes)}, for the primitive "
            f"'{self.eqn.primitive.name}', cannot be exported\n"
            "  fix: export it for known sizes of these dimensions")

    # --- the end ----------------------------------------------------------------------------

    def finish(self) -> None:
        """Put `?` in the place of stand-ins in all types."""
        super().finish()
        self.module.operation.attributes[DYNAMIC] = ir.BoolAttr.get(True)
        for function in self.module.body.operations:
            if "function_type" in function.attributes:
                kind = ir.FunctionType(function.attributes["function_type"].value)
                function.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(
                    list(map(self._final, kind.inputs)), list(map(self._final, kind.results))))
            self._finish(function.operation)

    def _final(self, kind: Type) -> Type:
        if not self._is_dynamic(kind):
            return kind
        return ir.RankedTensorType.get(
            [_UNKNOWN if n in self.sizes else n for n in kind.shape], kind.element_type)

    def _finish(self, operation: ir.Operation) -> None:
        for value in operation.results:
            if self._is_dynamic(value.type):
                value.set_type(self._final(value.type))
        for region in operation.regions:
            for block in region:
                for value in block.arguments:
                    if self._is_dynamic(value.type):
                        value.set_type(self._final(value.type))
                for inner in block.operations:
                    self._finish(inner.operation)


@rule("dim_as_value")
def dim_as_value(ctx: DynamicContext, *, dim: Any) -> Value:
    return ctx.convert(ctx.number(dim).value, ctx.out_avals[0].dtype)


# --- Operations whose result is shaped by an operand --------------------------------------------

_DYNAMIC: dict[str, Callable] = {}


def dynamic(*names: str) -> Callable:
    """Register how to append an operation with symbolic sizes in its results or attributes."""
    def register(function: Callable) -> Callable:
        _DYNAMIC.update({f"stablehlo.{name}": function for name in names})
        return function
    return register


def _append(ctx: DynamicContext, name: str, operands: Sequence[Value], results: Sequence[Type],
            **attributes: Any) -> Any:
    return Context.op(ctx, f"stablehlo.{name}", operands, results, **attributes)


@dynamic("broadcast_in_dim")
def _broadcast(ctx: DynamicContext, operands: Any, results: Any, symbolic: Any,
               **attributes: Any) -> Value:
    shape = ctx.vector(ctx.shape_of_type(results[0]))
    return _append(ctx, "dynamic_broadcast_in_dim", [*operands, shape], results, **attributes)


@dynamic("iota")
def _iota(ctx: DynamicContext, operands: Any, results: Any, symbolic: Any,
          **attributes: Any) -> Value:
    shape = ctx.vector(ctx.shape_of_type(results[0]))
    return _append(ctx, "dynamic_iota", [shape], results, **attributes)


@dynamic("reshape")
def _reshape(ctx: DynamicContext, operands: Any, results: Any, symbolic: Any) -> Value:
    shape = ctx.vector(ctx.shape_of_type(results[0]))
    return _append(ctx, "dynamic_reshape", [*operands, shape], results)


@dynamic("slice")
def _slice(ctx: DynamicContext, operands: Any, results: Any, symbolic: Any, **places: Any) -> Value:
    if not symbolic:
        return _append(ctx, "slice", operands, results, **places)
    vectors = [ctx.vector(places[k]) for k in ("start_indices", "limit_indices", "strides")]
    return _append(ctx, "real_dynamic_slice", [*operands, *vectors], results)


@dynamic("dynamic_slice")
def _dynamic_slice(ctx: DynamicContext, operands: Any, results: Any, symbolic: Any,
                   slice_sizes: Sequence[Any]) -> Value:
    if not symbolic:
        return _append(ctx, "dynamic_slice", operands, results, slice_sizes=slice_sizes)
    x, *given = operands
    starts = []
    for start, size, whole in zip(given, slice_sizes, ctx.shape_of(x)):
        first = Number(ctx, ctx.convert(start, _SIZE))
        first = first.operate("min", first, ctx.number(whole) - size)
        starts.append(first.operate("max", first, 0))
    # From the sum of starts and sizes the compiler learns the shape of the result.
    begin = ctx.concatenate([ctx.reshape(n.value, (1,)) for n in starts], 0)
    end = ctx.same("stablehlo.add", begin, ctx.vector(slice_sizes))
    return _append(ctx, "real_dynamic_slice", [x, begin, end, ctx.vector([1] * len(starts))],
                   results)


@dynamic("pad")
def _pad(ctx: DynamicContext, operands: Any, results: Any, symbolic: Any, **amounts: Any) -> Value:
    if not symbolic:
        return _append(ctx, "pad", operands, results, **amounts)
    names = ("edge_padding_low", "edge_padding_high", "interior_padding")
    return _append(ctx, "dynamic_pad", [*operands, *[ctx.vector(amounts[k]) for k in names]],
                   results)


@dynamic("gather")
def _gather(ctx: DynamicContext, operands: Any, results: Any, symbolic: Any,
            slice_sizes: Sequence[Any], **attributes: Any) -> Value:
    if not symbolic:
        return _append(ctx, "gather", operands, results, slice_sizes=slice_sizes, **attributes)
    return _append(ctx, "dynamic_gather", [*operands, ctx.vector(slice_sizes)], results,
                   **attributes)


@dynamic("convolution")
def _convolution(ctx: DynamicContext, operands: Any, results: Any, symbolic: Any,
                 padding: Any, **attributes: Any) -> Value:
    if not symbolic:
        return _append(ctx, "convolution", operands, results, padding=padding, **attributes)
    amounts = ctx.reshape(ctx.vector([n for row in padding for n in row]), (len(padding), 2))
    return _append(ctx, "dynamic_conv", [*operands, amounts], results, **attributes)


def _top_k(ctx: DynamicContext, operands: Any, results: Any, symbolic: Any, k: Any) -> Any:
    if not hasattr(k, "evaluate"):
        return Context.op(ctx, "chlo.top_k", operands, results, k=k)
    count = ctx.convert(ctx.number(k).value, np.dtype(np.int32))
    return ctx.op("stablehlo.custom_call", [*operands, count], results,
                  call_target_name=ir.StringAttr.get("stablehlo.dynamic_top_k"))


_DYNAMIC["chlo.top_k"] = _top_k


@dynamic("custom_call")
def _custom_call(ctx: DynamicContext, operands: Any, results: Any, symbolic: Any,
                 **attributes: Any) -> Any:
    """The shapes of the results are more operands, until they are known."""
    shapes = [ctx.vector(ctx.shape_of_type(kind)) for kind in results]
    places = np.arange(len(operands), len(operands) + len(shapes))
    attributes["indices_of_shape_operands"] = ctx.builder.constant(places, places.shape)
    if "operand_layouts" in attributes:
        index = ir.DenseElementsAttr.get(np.zeros(1, np.int64), type=ir.IndexType.get(), shape=[1])
        attributes["operand_layouts"] = ir.ArrayAttr.get(
            [*ir.ArrayAttr(ctx.attr(attributes["operand_layouts"])), *[index] * len(shapes)])
    return _append(ctx, "custom_call", [*operands, *shapes], results, **attributes)
