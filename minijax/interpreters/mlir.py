"""Lowering rules of primitives, written with the MLIR bindings.

A rule is `rule(ctx, *operands, **params)` and returns the results; within it the insertion point
and the location are set. `ctx` is a `LoweringRuleContext`.

    def twice(ctx, x):
        return hlo.AddOp(x, x).results

    mlir.register_lowering(twice_p, twice)
"""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

import lowering
from lowering.build import Value, builder, bytecode, ir, new_context
from lowering.callbacks import python_callback
from lowering.custom_call import attribute, custom_call
from minijax.base import dtypes, errors
from minijax.core import lowerable_effects, ordered_effects, trace_closed
from minijax.passes.discharge import discharge

__all__ = [
    "LoweringRuleContext", "ModuleContext", "Token", "TokenSet", "Value", "aval_to_ir_type",
    "aval_to_ir_types", "core_call_lowering", "custom_call", "dense_int_array",
    "dense_int_elements", "dtype_to_ir_type", "emit_python_callback", "flatten_ir_types",
    "flatten_ir_values", "i32_attr", "i64_attr", "ir", "ir_attribute", "ir_constant",
    "ir_constants", "jaxpr_subcomp", "lower_fun", "lower_jaxpr_to_fun", "lowerable_effects",
    "make_ir_context", "merge_mlir_modules", "module_to_bytecode", "module_to_string",
    "register_constant_handler", "register_lowering", "shape_tensor", "token_type"]

Token = Value
LoweringRule = Callable[..., Sequence[Value | Sequence[Value]]]
ConstantHandler = Callable[[Any, Any], Value | Sequence[Value]]
_PLATFORMS = ("METAL", "cpu", "cuda", "gpu", "rocm", "tpu")


class _Current(threading.local):
    emitter: Any = None  # the lowering.Context of the rule that is running


_current = _Current()


# --- contexts ----------------------------------------------------------------------------------


class ModuleContext:
    """What is known of the module that is being built."""

    def __init__(self, emitter: lowering.Context):
        self.emitter = emitter
        self.context = emitter.builder.context
        self.module = emitter.module
        self.symbol_table = emitter.symbols
        self.platforms = (emitter.platform,)
        self.host_callbacks = emitter.host_callbacks
        self.ip = ir.InsertionPoint(emitter.module.body)

    def replace(self, **changes: Any) -> "ModuleContext":
        """The same with some attributes changed."""
        new = ModuleContext(self.emitter)
        vars(new).update(vars(self), **changes)
        return new


class TokenSet:
    """The tokens of ordered effects, in order."""

    def __init__(self, tokens: Mapping[Any, Value] | None = None):
        self._tokens = dict(tokens or {})

    @classmethod
    def create(cls, effects: Iterable[Any]) -> "TokenSet":
        """New tokens, made at the current insertion point."""
        make = ir.Operation.create
        return cls({e: make("stablehlo.create_token", [token_type()]).result for e in effects})

    def __len__(self) -> int:
        return len(self._tokens)

    def get(self, effect: Any) -> Value:
        """The token of an effect; KeyError if it has none."""
        return self._tokens[effect]

    def items(self) -> tuple:
        """The pairs of effects and tokens."""
        return tuple(self._tokens.items())

    def effects(self) -> set:
        """The effects that have a token."""
        return set(self._tokens)

    def subset(self, effects: Iterable[Any]) -> "TokenSet":
        """The tokens of these effects."""
        return TokenSet({e: self._tokens[e] for e in effects})

    def update_tokens(self, tokens: "TokenSet") -> "TokenSet":
        """The same effects, with the tokens that are in `tokens` replaced."""
        if not tokens:
            return self
        return TokenSet({e: tokens._tokens.get(e, t) for e, t in self._tokens.items()})


@dataclasses.dataclass
class LoweringRuleContext:
    """What a rule knows of the equation in hand."""

    module_context: ModuleContext
    primitive: Any
    avals_in: Sequence[Any]
    avals_out: Sequence[Any]
    tokens_in: TokenSet
    tokens_out: TokenSet | None = None
    name_stack: Any = None
    traceback: Any = None
    platforms: Sequence[str] | None = None
    axis_size_env: Any = None
    dim_var_values: Sequence[Any] = ()
    jaxpr_eqn_ctx: Any = None
    const_lowering: Any = dataclasses.field(default_factory=dict)

    def set_tokens_out(self, tokens_out: TokenSet) -> None:
        """Say which tokens come after the operation."""
        self.tokens_out = tokens_out

    def replace(self, **changes: Any) -> "LoweringRuleContext":
        """The same with some fields changed."""
        return dataclasses.replace(self, **changes)

    def is_forward_compat(self) -> bool:
        """Whether older runtimes must be able to run the program."""
        return False


# --- registration ------------------------------------------------------------------------------


def register_lowering(prim: Any, rule: Callable, platform: str | None = None, inline: bool = True,
                      cacheable: bool = True) -> Callable:
    """Give a primitive a lowering rule, for all platforms or for one; returns the rule."""
    if platform is not None and platform not in _PLATFORMS:
        raise NotImplementedError(errors.describe(
            f"Registering an MLIR lowering rule for primitive {prim} for an unknown platform "
            f"{platform}. Known platforms are: {', '.join(_PLATFORMS)}.",
            fix="mlir.register_lowering(p, rule, platform='cpu')"))
    lowering.set_object_rule(prim, lambda *args, **params: _run_rule(rule, *args, **params),
                             platform)
    return rule


def _run_rule(rule: Callable, emitter: lowering.Context, *operands: Value,
              **params: Any) -> list[Value]:
    eqn = emitter.eqn
    ordered = ordered_effects.filter_in(eqn.effects)
    tokens = TokenSet({e: emitter.tokens[e] for e in ordered})
    ctx = LoweringRuleContext(
        ModuleContext(emitter), eqn.primitive, emitter.in_avals, emitter.out_avals, tokens,
        name_stack=eqn.source_info.name_stack, traceback=eqn.source,
        platforms=(emitter.platform,))
    outer, _current.emitter = _current.emitter, emitter
    try:
        with emitter.loc:
            results = flatten_ir_values(rule(ctx, *operands, **params))
    finally:
        _current.emitter = outer
    if ctx.tokens_out is not None:
        emitter.tokens.update(ctx.tokens_out.items())
    if len(results) != len(eqn.outvars):
        raise ValueError(errors.describe(
            f"The lowering rule of '{eqn.primitive.name}' returned {len(results)} values for "
            f"{len(eqn.outvars)} results.", fix="return a list with a value for each result"))
    return results


def lower_fun(fun: Callable, multiple_results: bool = True) -> Callable:
    """The rule that does what `fun(*operands, **params)` does."""
    def rule(ctx: LoweringRuleContext, *operands: Any, **params: Any) -> list[Value]:
        def flat(*xs: Any) -> list:
            out = fun(*xs, **params)
            return list(out) if multiple_results else [out]

        jaxpr = discharge(trace_closed(flat, list(ctx.avals_in)))
        return _emitter(ctx).call(jaxpr, flatten_ir_values(operands))
    return rule


def _emitter(ctx: Any) -> lowering.Context:
    if isinstance(ctx, lowering.Context):
        return ctx
    return getattr(ctx, "module_context", ctx).emitter


def core_call_lowering(ctx: LoweringRuleContext, *args: Value, call_jaxpr: Any, name: str = "f",
                       **_: Any) -> list[Value]:
    """The rule of an operation that calls the jaxpr `call_jaxpr`."""
    return _emitter(ctx).outline(call_jaxpr, flatten_ir_values(args), name)


def jaxpr_subcomp(ctx: ModuleContext, jaxpr: Any, name_stack: Any, tokens: TokenSet,
                  consts_for_constvars: Sequence[Any], *args: Value,
                  **_: Any) -> tuple[list[Value], TokenSet]:
    """Append the equations of `jaxpr`; returns its results and the tokens after them."""
    emitter = _emitter(ctx)
    results = emitter.call(jaxpr, flatten_ir_values(args), "",
                           flatten_ir_values(consts_for_constvars))
    return results, TokenSet({e: emitter.tokens.get(e, t) for e, t in tokens.items()})


def lower_jaxpr_to_fun(ctx: ModuleContext, name: str, jaxpr: Any, effects: Sequence[Any], *,
                       num_const_args: int, in_avals: Sequence[Any], main_function: bool = False,
                       ) -> ir.OpView:
    """A new `func.func` of the module that computes `jaxpr`; calls take its symbol, `name.value`.

    It has a token for each of the ordered `effects`, then the inputs, first the `num_const_args`
    for the leading constants. ValueError if `in_avals` are not as many as these.
    """
    if len(in_avals) != num_const_args + len(jaxpr.in_avals):
        raise ValueError(errors.describe(
            f"lower_jaxpr_to_fun: {len(in_avals)} types are given for {num_const_args} constants "
            f"and {len(jaxpr.in_avals)} inputs of the jaxpr.",
            fix="in_avals = [*types of constants, *jaxpr.in_avals]"))
    emitter = _emitter(ctx)
    jaxpr = discharge(jaxpr)
    inputs, outputs = [emitter.with_tokens(effects, list(map(emitter.type, avals)))
                       for avals in (in_avals, jaxpr.out_avals)]

    def body(*args: Value) -> list[Value]:
        return emitter.call(jaxpr, args[num_const_args:], None,
                            [*args[:num_const_args], *jaxpr.consts[num_const_args:]])

    return emitter.function(name, inputs, outputs, emitter.threaded(effects, body),
                            public=main_function).opview


def emit_python_callback(
        ctx: LoweringRuleContext, callback: Callable, token: Any, operands: Sequence[Value],
        operand_avals: Sequence[Any], result_avals: Sequence[Any], *, has_side_effect: bool,
        returns_token: bool = True, partitioned: bool = False,
        sharding: Any = None) -> tuple[list[Value], Any, Any]:
    """Call `callback` with NumPy arrays; returns its results, the new token, and None.

    The callback returns a tuple of arrays of the types `result_avals`.
    """
    results, token = python_callback(
        _emitter(ctx), callback, flatten_ir_values(operands), result_avals, token=token,
        has_side_effect=has_side_effect, partitioned=partitioned, sharding=sharding)
    return results, token, None


# --- values, types, attributes -----------------------------------------------------------------


def flatten_ir_values(xs: Iterable[Any]) -> list[Value]:
    """Values out of values, operations, and sequences of them."""
    found: list[Value] = []
    for x in xs:
        if isinstance(x, Value):
            found.append(x)
        elif isinstance(x, (ir.OpView, ir.Operation)):
            found.extend(x.results)
        else:
            found.extend(flatten_ir_values(x))
    return found


def flatten_ir_types(xs: Iterable[Any]) -> list[Any]:
    """Types out of types and sequences of them."""
    return [t for x in xs for t in ([x] if isinstance(x, ir.Type) else x)]


def _builder() -> Any:
    return builder() if _current.emitter is None else _current.emitter.builder


def dtype_to_ir_type(dtype: Any) -> Any:
    """The element type of a dtype."""
    return _builder().elements[np.dtype(dtype)]


def aval_to_ir_type(*ctx_and_aval: Any) -> Any:
    """The type of values of an aval; takes the aval, or a context and the aval."""
    aval = ctx_and_aval[-1]
    return _builder().tensor(aval.shape, aval.dtype)


def aval_to_ir_types(*ctx_and_aval: Any) -> tuple:
    """The same as a tuple."""
    return (aval_to_ir_type(*ctx_and_aval),)


_constant_handlers: dict[type, ConstantHandler] = {}


def register_constant_handler(type_: type, handler_fun: ConstantHandler) -> None:
    """Say how `ir_constant` makes constants of values of a class: `handler_fun(value, aval)`."""
    _constant_handlers[type_] = handler_fun


def ir_constant(val: Any, *, aval: Any = None, **_: Any) -> Value:
    """A constant, made at the current insertion point."""
    handler = _constant_handlers.get(type(val))
    if handler is not None:
        return handler(val, aval)
    value = np.asarray(val, dtypes.canonicalize_dtype(np.asarray(val).dtype))
    dense = _builder().constant(value, value.shape)
    return ir.Operation.create("stablehlo.constant", [dense.type],
                               attributes={"value": dense}).result


def ir_constants(val: Any, **_: Any) -> tuple[Value, ...]:
    """The same as a tuple."""
    return (ir_constant(val),)


def shape_tensor(sizes: Sequence[int], ctx: Any = None) -> Value:
    """A shape as a vector of int32."""
    return ir_constant(np.asarray(sizes, np.int32))


def i32_attr(i: int) -> Any:
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(32), i)


def i64_attr(i: int) -> Any:
    return ir.IntegerAttr.get(ir.IntegerType.get_signless(64), i)


def dense_int_array(xs: Sequence[int]) -> Any:
    """An array attribute of int64."""
    return ir.DenseI64ArrayAttr.get(list(xs))


def dense_int_elements(xs: Sequence[int]) -> Any:
    """A dense tensor attribute of int64."""
    return ir.DenseIntElementsAttr.get(np.asarray(xs, np.int64))


def ir_attribute(val: Any) -> Any:
    """The attribute that says what a Python or NumPy value says."""
    return attribute(_builder(), val)


def token_type() -> Any:
    """The type of tokens."""
    return ir.Type.parse("!stablehlo.token")


# --- modules -----------------------------------------------------------------------------------


def make_ir_context() -> Any:
    """An MLIR context in which modules can be built."""
    return new_context()


def module_to_string(module: Any, enable_debug_info: bool | None = None) -> str:
    """A module as text."""
    return module.operation.get_asm(enable_debug_info=bool(enable_debug_info))


def module_to_bytecode(module: Any) -> bytes:
    """A module as bytes."""
    return bytecode(module)


def merge_mlir_modules(dst_module: Any, sym_name: str, src_module: Any,
                       dst_symtab: Any = None) -> str:
    """Move the functions of a module of the same context into another; returns the name of `main`.

    They are private there. `main` gets the name `sym_name`, and every name that is taken a number.
    """
    target = dst_symtab or ir.SymbolTable(dst_module.operation)
    table = ir.SymbolTable(src_module.operation)
    operations, names = list(src_module.body), {}
    for op in operations:  # all get their names before one is moved: they call each other
        old = ir.StringAttr(op.attributes["sym_name"]).value
        wanted = new = sym_name if old == "main" else old
        for number in itertools.count():
            if new not in target and (new == old or new not in table):
                break
            new = f"{wanted}_{number}"
        ir.SymbolTable.replace_all_symbol_uses(old, new, src_module.operation)
        table.set_symbol_name(op, new)
        names[old] = new
    for op in operations:
        op.attributes["sym_visibility"] = ir.StringAttr.get("private", dst_module.context)
        target.insert(op.operation.clone(ir.InsertionPoint(dst_module.body)))
    return names["main"]
