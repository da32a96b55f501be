"""A jaxpr as a StableHLO module.

`lower` makes the public function `main`; the equations of inner jaxprs go inline, or into private
functions that are emitted once per jaxpr. The one invariant: `Context.eqn` is the equation whose
rule is running, so `ctx.in_avals` and `ctx.out` are its types whatever the rule calls in between.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lowering import rules
from lowering.build import (Attribute, Body, Module, Type, Value, builder, bytecode, ir, moved,
                            portable_bytes, stripped_bytecode)
from lowering.tokens import TokenEmitter

# The attribute of a module in which some shapes are not known.
DYNAMIC = "jax.uses_shape_polymorphism"
# The attribute of arguments and results that are tokens.
IS_TOKEN = "jax.token"

# A jit of at most this many equations is copied to its caller: a call and a function cost more.
INLINE_EQUATIONS = 6


class Lowered(NamedTuple):
    """What `lower` gives.

    `aliases` maps an argument (counted with the leading constants) to the output whose buffer it
    donates; `unused_donations` are donated arguments that fit no output.
    """

    module: Module
    aliases: dict[int, int]
    unused_donations: tuple[int, ...]
    host_callbacks: list

    def text(self, *, debug_info: bool = False) -> str:
        """The module as MLIR text."""
        return self.module.operation.get_asm(enable_debug_info=debug_info)

    def bytecode(self) -> bytes:
        """The module as MLIR bytecode without locations: equal programs give equal bytes."""
        return stripped_bytecode(self.module)

    def portable(self) -> bytes:
        """The module as a portable artifact, for programs that are stored."""
        return portable_bytes(self.module)

    def plain_bytecode(self) -> bytes:
        """The module as MLIR bytecode, as it is."""
        return bytecode(self.module)

    @property
    def is_dynamic(self) -> bool:
        """Whether some shapes in the module are not known."""
        return DYNAMIC in self.module.operation.attributes

    def for_compiler(self) -> Module:
        """A copy of the module that a compiler may work on while other threads lower programs.

        Shapes within that are not known get known, from those of the arguments.
        """
        return moved(self.module, refine=self.is_dynamic)


class Context(TokenEmitter):
    """What rules see: the verbs of `Emitter`, the types of the equation, and inner jaxprs."""

    def __init__(self, platform: str, expand: Callable[[Any], Any] | None,
                 code_to_filename: Callable[[Any], str | None] | None,
                 show_scope: Callable[[tuple[str, ...]], str] = "/".join) -> None:
        super().__init__(builder())
        self.platform = platform
        self.expand = expand
        self.table = rules.table(platform)
        self.eqn: Any = None
        self.scope = ""
        self.show_scope = show_scope
        self.host_callbacks: list = []
        self.pins: dict[Any, bool] = {}
        self.functions: dict[Any, str] = {}
        self._locate = None
        if code_to_filename is not None:
            self._locate = self.builder.traceback_locations(code_to_filename).get

    # --- the equation being lowered ---------------------------------------------------------

    @property
    def in_avals(self) -> list:
        """The types of the operands, as avals."""
        return [v.aval for v in self.eqn.invars]

    @property
    def out_avals(self) -> list:
        """The types of the results, as avals."""
        return [v.aval for v in self.eqn.outvars]

    @property
    def out(self) -> Type:
        """The type of the first result."""
        aval = self.eqn.outvars[0].aval
        return self.tensor(aval.shape, aval.dtype)

    @property
    def outs(self) -> list[Type]:
        """The types of the results."""
        return [self.tensor(v.aval.shape, v.aval.dtype) for v in self.eqn.outvars]

    def type(self, aval: Any) -> Type:
        """The tensor type of an aval."""
        return self.tensor(aval.shape, aval.dtype)

    def sealed(self, args: Sequence[Value], types: Sequence[Type],
               body: Body) -> tuple[Sequence[Value], Sequence[Type], Body]:
        """Operands, their types and the body of a region that sees no values around it."""
        return args, types, body

    def finish(self) -> None:
        """Whatever is to be done when the module has all of its operations."""
        self.add_meshes()

    # --- jaxprs -----------------------------------------------------------------------------

    def within(self, scope: str) -> str:
        """What the names begin with of operations in the part `scope` of the equation in hand."""
        outer = self.eqn.scope if self.eqn is not None else ()
        if not outer:
            return self.scope + scope
        if scope.startswith("jit("):
            return f"{self.scope}{self.show_scope((*outer, scope[:-1]))}/"
        return f"{self.scope}{self.show_scope(outer)}/{scope}"

    def call(self, jaxpr: Any, operands: Sequence[Value], scope: str | None = "",
             consts: Sequence[Any] | None = None) -> list[Value]:
        """Append the equations of `jaxpr` here; returns its results.

        Their names begin with those of the equation in hand and `scope`; if that is None, anew.
        """
        env = dict(zip(jaxpr.invars, operands))
        for var, value in zip(jaxpr.constvars, jaxpr.consts if consts is None else consts):
            env[var] = value if isinstance(value, Value) else self.const(value, var.aval.dtype)
        outer = self.eqn, self.loc, self.scope
        self.scope = "" if scope is None else self.within(scope)
        self._equations(jaxpr.eqns, env)
        self.eqn, self.loc, self.scope = outer
        return [self._read(env, v) for v in jaxpr.outvars]

    def _equations(self, eqns: Sequence[Any], env: dict) -> None:
        """The hot loop: the commonest rules, one elementwise operation, are run right here."""
        table, locate, unknown, tensor = self.table, self._locate, self.builder.unknown, self.tensor
        pins = self.pins
        named, create, scope = ir.Location.name, ir.Operation.create, self.scope
        for eqn in eqns:
            name, source, outvars = eqn.primitive.name, eqn.source, eqn.outvars
            where = unknown if source is None or locate is None else locate(source)
            inner, attributes = scope, None
            if eqn.scope:
                inner = f"{scope}{self.show_scope(eqn.scope)}/"
                attributes = attributes_in(eqn.scope)
            self.loc = loc = named(inner + name, where)
            self.eqn = eqn
            rule = table.get(name)
            if rule is None:
                results = self._expand(eqn, [self._read(env, v) for v in eqn.invars])
                describe(results, attributes)
                env.update(zip(outvars, self._located(results, outvars)))
                continue
            if not rule.spread:
                operands = [self._read(env, v) for v in eqn.invars]
            else:
                out = outvars[0].aval
                shape = out.shape
                operands = []
                for v in eqn.invars:
                    value = env.get(v)
                    if value is None:
                        value = self._literal(v, shape)
                    elif v.aval.shape != shape:
                        value = self.spread(value, v.aval, shape)
                    operands.append(value)
                if (rule.op_name is not None and self.spmd is None and not attributes
                        and eqn.params.get("accuracy") is None and outvars[0] not in pins):
                    types = (tensor(shape, out.dtype),)
                    env[outvars[0]] = create(rule.op_name, types, operands, None, None, 0,
                                             loc).result
                    continue
            results = rule.function(self, *operands, **eqn.params)
            if type(results) is not list:
                results = [results]
            describe(results, attributes)
            if pins and outvars and outvars[0] in pins:
                results = [self.barrier(x, stored=pins[outvars[0]])[0] for x in results]
            env.update(zip(outvars, self._located(results, outvars)))

    def barrier(self, *xs: Value, **attributes: bool) -> list[Value]:
        """The values behind a barrier: what reads them does not compute them again."""
        return self.region_op("stablehlo.optimization_barrier", xs, [x.type for x in xs], (),
                              **attributes)

    def _located(self, results: list[Value], outvars: Sequence[Any]) -> list[Value]:
        """Results where their types, or a parameter of the equation, say that they are."""
        if self.spmd is None:
            return results
        params = self.eqn.params  # the rule of `sharding_constraint` demands by itself
        asked = None if "unconstrained_dims" in params else params.get("sharding")
        if hasattr(asked, "mesh") and len(results) == 1:
            return [self._constrained(results[0], outvars[0].aval, asked)]
        if not any(getattr(v.aval, "placement", None) for v in outvars):
            return results
        return [self._constrained(x, v.aval) for x, v in zip(results, outvars)]

    def _constrained(self, x: Value, aval: Any, asked: Any = None) -> Value:
        sharding = getattr(getattr(aval, "placement", None), "sharding", None) or asked
        if sharding is None:
            return x
        whole = sharding is asked or not sharding.mesh.auto_axes
        free = () if whole else range(len(aval.shape))
        text = self.spmd.text(sharding, len(aval.shape), free)
        return self.same("sdy.sharding_constraint", x, sharding=text)

    def _read(self, env: dict, atom: Any) -> Value:
        value = env.get(atom)
        return self._literal(atom, atom.aval.shape) if value is None else value

    def _literal(self, atom: Any, shape: tuple[int, ...]) -> Value:
        """The constant of a Literal, repeated to `shape`; one per block and value."""
        val, aval = atom.val, atom.aval
        if aval.shape:
            return self.spread(self.const(val, aval.dtype), aval, shape)
        if isinstance(val, np.ndarray) or not val:  # zeros: 0.0 == -0.0, yet they differ
            return self.const(val, aval.dtype, shape)
        key = (val, aval.dtype, shape)
        found = self._constants.get(key)
        if found is None:
            found = self._constants[key] = self.const(val, aval.dtype, shape)
        return found

    def spread(self, x: Value, aval: Any, shape: tuple[int, ...]) -> Value:
        """`x` of type `aval` repeated along its axes of size 1, or everywhere if it is rank 0."""
        if aval.shape == shape:
            return x
        return self.op("stablehlo.broadcast_in_dim", (x,), (self.tensor(shape, aval.dtype),),
                       broadcast_dimensions=tuple(range(len(aval.shape))))

    def _expand(self, eqn: Any, operands: list[Value]) -> list[Value]:
        jaxpr = self.expand(eqn) if self.expand is not None else None
        if jaxpr is None:
            raise rules.missing(eqn.primitive.name, self.platform)
        return self.call(jaxpr, operands, scope=f"{eqn.primitive.name}/")

    def decomposed(self, *operands: Value) -> list[Value]:
        """The equation in hand written in other operations, for rules that decline it."""
        return self._expand(self.eqn, list(operands))

    def outline(self, jaxpr: Any, operands: Sequence[Value], name: str) -> list[Value]:
        """Call `jaxpr` as a private function, emitted the first time that this jaxpr is met."""
        effects = self.ordered(jaxpr)
        inputs = self.with_tokens(effects, [self.type(v.aval) for v in jaxpr.invars])
        outputs = self.with_tokens(effects, [self.type(v.aval) for v in jaxpr.outvars])
        self.loc = ir.Location.name(self.within(f"jit({name})/")[:-1], self.loc.child_loc)
        # XLA puts the caller's name in front.
        body = self.threaded(effects, lambda *args: self.call(jaxpr, args, None))
        operands = [*[self.tokens[e] for e in effects], *operands]
        return self.taken(effects, self.helper(jaxpr, name, inputs, outputs, body, operands))

    def helper(self, key: Any, name: str, inputs: Sequence[Type], outputs: Sequence[Type],
               body: Callable[..., Sequence[Value]], operands: Sequence[Value]) -> list[Value]:
        """Call the private function made by `body` the first time that `key` is met."""
        return self.call_function(self.helper_name(key, name, inputs, outputs, body), operands,
                                  outputs)

    def call_function(self, callee: Attribute, operands: Sequence[Value],
                      results: Sequence[Type]) -> list[Value]:
        """Call a function of the module by its symbol."""
        return self.region_op("func.call", operands, results, (), callee=callee)

    def helper_name(self, key: Any, name: str, inputs: Sequence[Type], outputs: Sequence[Type],
                    body: Callable[..., Sequence[Value]]) -> Attribute:
        """The symbol of the private function made by `body` the first time that `key` is met."""
        found = self.functions.get(key)
        if found is None:
            outer = self.eqn, self.loc
            made = self.function(symbol(name), inputs, outputs, body, public=False)
            self.eqn, self.loc = outer
            found = self.functions[key] = made.attributes["sym_name"].value
        return ir.FlatSymbolRefAttr.get(found)


def lower(jaxpr: Any, *, platform: str = "cpu", name: str = "main", donated: Sequence[bool] = (),
          const_args: Sequence[bool] = (), const_shardings: Sequence[str | None] = (),
          in_shardings: Sequence[str | None] = (), out_shardings: Sequence[str | None] = (),
          in_layouts: Sequence[str | None] = (), out_layouts: Sequence[str | None] = (),
          spmd: Any = None, num_partitions: int = 1, num_replicas: int = 1,
          expand: Callable | None = None, arg_names: Sequence[str] = (),
          result_names: Sequence[str] = (), scope: str | None = None,
          code_to_filename: Callable[[Any], str | None] | None = None,
          show_scope: Callable[[tuple[str, ...]], str] = "/".join, manual_mesh: Any = None,
          ordered_effects: Sequence[Any] = (), devices: Sequence[Any] = (),
          pins: dict[Any, bool] | None = None, context: Any = Context) -> Lowered:
    """A verified module whose public function `main` computes `jaxpr`.

    Arguments of `main`: the constants of `jaxpr` marked in `const_args` (one bool per constvar),
    then its inputs, after a token for each of `ordered_effects`. Sequences have one entry per
    input, constant or output. Shardings are MLIR text, `#sdy.sharding<@mesh, [{"x"}, {}]>`; `spmd`
    makes it, and knows the meshes. Layouts are "auto" or dimensions, fastest first, like "{0,1}".
    `expand(eqn)` gives the jaxpr of an equation without a rule, or None; `code_to_filename(code)`
    which frames of `eqn.source` become locations. Operations are named `scope` (default: `name`),
    `show_scope(eqn.scope)`, primitive. All is in a manual region of `manual_mesh`. For `pins` see
    fusion.py.
    """
    ctx = context(platform, expand, code_to_filename, show_scope)
    ctx.set_devices(devices, spmd, manual_mesh)
    ctx.pins = pins or {}
    tokens = [_Token] * len(ordered_effects)
    as_args = list(const_args) or [False] * len(jaxpr.constvars)
    leading = tokens + [v for v, is_arg in zip(jaxpr.constvars, as_args) if is_arg]
    inputs = leading + list(jaxpr.invars)
    n_in, outputs = len(jaxpr.invars), tokens + list(jaxpr.outvars)
    donors = [False] * len(leading) + (list(donated) or [False] * n_in)
    shardings = [None] * len(tokens) + (list(const_shardings) or [None] * sum(as_args))
    shardings += list(in_shardings) or [None] * n_in
    results = [None] * len(tokens) + (list(out_shardings) or [None] * len(jaxpr.outvars))
    result_names = result_names and ["token"] * len(tokens) + list(result_names)
    modes = [None] * len(leading) + (list(in_layouts) or [None] * n_in)
    out_modes = [None] * len(tokens) + (list(out_layouts) or [None] * len(jaxpr.outvars))
    donations = _donations(donors, inputs, outputs, list(zip(shardings, modes)),
                           list(zip(results, out_modes)), spmd is not None)

    def body(*args: Value) -> list[Value]:
        args = (None,) * len(tokens) + args
        return ctx.call(jaxpr, args[len(leading):], f"{scope or name}/",
                        _bind_consts(jaxpr, as_args, args[len(tokens):]))

    with ctx.builder.context, ctx.builder.unknown:
        _describe_module(ctx, name, num_partitions, num_replicas)
        made = ctx.function(
            "main", [ctx.type(v.aval) for v in inputs], [ctx.type(v.aval) for v in outputs],
            ctx.threaded(ordered_effects, body), public=True,
            arg_locs=_argument_locations(ctx, arg_names, len(inputs)))
        made.attributes["arg_attrs"] = _attributes_per_value(ctx, len(tokens), [
            _argument_attributes(inputs[i], i, donations, shardings[i], modes[i])
            for i in range(len(tokens), len(inputs))])
        made.attributes["res_attrs"] = _attributes_per_value(ctx, len(tokens), [
            _result_attributes(outputs[i], i, result_names, results[i], out_modes[i])
            for i in range(len(tokens), len(outputs))])
        ctx.finish()
        ctx.module.operation.verify()
    return Lowered(ctx.module, donations.aliases, donations.unused, ctx.host_callbacks)


class _Token:
    """In place of a variable: an argument or result that is a token."""

    class aval:  # noqa: N801  (the attribute of a variable)
        shape: tuple[int, ...] = ()
        dtype = None


class _Donations(NamedTuple):
    """Donated arguments: with the output that they become, left to the compiler, of no use."""

    aliases: dict[int, int]
    given: list[int]
    unused: tuple[int, ...]


def _donations(donors: Sequence[bool], inputs: Sequence[Any], outputs: Sequence[Any],
               ins: Sequence[tuple], outs: Sequence[tuple], is_spmd: bool) -> _Donations:
    """`ins` and `outs` are pairs of sharding and layout, None where the compiler chooses."""
    aliases, unused = match_donations(
        donors, [v.aval for v in inputs], [v.aval for v in outputs], ins, outs)
    if any(layout for _, layout in (*ins, *outs)) or (
            is_spmd and any(sharding is None for sharding, _ in outs)):
        return _Donations(aliases, unused, ())
    return _Donations(aliases, (), unused)


def match_donations(donors: Sequence[bool], inputs: Sequence[Any], outputs: Sequence[Any],
                    in_shardings: Sequence[Any], out_shardings: Sequence[Any],
                    ) -> tuple[dict[int, int], tuple[int, ...]]:
    """Pair each donated input with the first free output of its shape, dtype and sharding."""
    free: dict[tuple, list[int]] = {}
    for i, (aval, sharding) in enumerate(zip(outputs, out_shardings)):
        free.setdefault((aval.shape, aval.dtype, _on_host(aval), sharding), []).append(i)
    aliases, unused = {}, []
    for i, (donor, aval, sharding) in enumerate(zip(donors, inputs, in_shardings)):
        if donor:
            places = free.get((aval.shape, aval.dtype, _on_host(aval), sharding))
            if places:
                aliases[i] = places.pop(0)
            else:
                unused.append(i)
    return aliases, tuple(unused)


@functools.lru_cache(maxsize=1024)
def attributes_in(scope: tuple[str, ...]) -> dict[str, str]:
    """The attributes among the parts of a scope: the last one of a name holds."""
    found: dict[str, str | None] = {}
    for part in scope:
        if part.startswith("\0"):
            key, given, value = part[1:].partition("=")
            found[key] = value if given else None
    where = found.pop("@compute", None)
    return {**{key: value for key, value in found.items() if value is not None},
            **(compute_attributes(where) if where else {})}


def compute_attributes(where: str) -> dict[str, str]:
    """The attributes of operations that `compute_on` moves elsewhere."""
    stream = where.removeprefix("gpu_stream:")
    if stream != where:
        return {"_xla_stream_annotation": stream, "inlineable": "false"}
    names = {"device_host": "host", "device": "dense", "tpu_sparsecore": "sparseoffload"}
    return {"_xla_compute_type": names[where]}


def describe(results: Sequence[Value], attributes: dict[str, str] | None,
             replace: bool = False) -> None:
    """Give the operations that made `results` attributes for the compiler.

    Those that an operation has already stay, unless `replace`.
    """
    for owner in [x.owner for x in results if attributes]:
        if not isinstance(owner, ir.Block):
            name = "mhlo.frontend_attributes"
            both = {key: ir.StringAttr.get(value) for key, value in attributes.items()}
            if name in owner.attributes:
                before = {a.name: a.attr for a in owner.attributes[name]}
                both = {**before, **both} if replace else {**both, **before}
            owner.attributes[name] = ir.DictAttr.get(both)


def symbol(name: str) -> str:
    """`name` as it may stand after an @ in MLIR and in the names of HLO computations."""
    return re.sub(r"[^\w.]", "_", name) or "_"


def _describe_module(ctx: Context, name: str, num_partitions: int, num_replicas: int) -> None:
    attributes = ctx.module.operation.attributes
    attributes["sym_name"] = ir.StringAttr.get(symbol(name))
    attributes["mhlo.num_partitions"] = ctx.attr(f"{num_partitions} : i32")
    attributes["mhlo.num_replicas"] = ctx.attr(f"{num_replicas} : i32")


def _bind_consts(jaxpr: Any, as_args: Sequence[bool], args: Sequence[Value]) -> list:
    leading = iter(args)
    return [next(leading) if is_arg else value
            for value, is_arg in zip(jaxpr.consts, as_args)]


def _argument_locations(ctx: Context, names: Sequence[str], count: int) -> list:
    named = [ir.Location.name(name, ctx.builder.unknown) for name in names]
    return [ctx.builder.unknown] * (count - len(named)) + named


def _on_host(aval: Any) -> bool:
    """Whether a type says that values are in the host's memory; foreign types say nothing."""
    return getattr(getattr(aval, "memory_space", None), "name", "") == "Host"


def _memory_attribute(v: Any) -> dict[str, str]:
    return {"mhlo.memory_kind": '"pinned_host"'} if _on_host(v.aval) else {}


def _argument_attributes(v: Any, index: int, donations: _Donations, sharding: str | None,
                         layout: str | None) -> dict[str, str]:
    attributes = _memory_attribute(v)
    if index in donations.given:
        attributes["jax.buffer_donor"] = "true"
    if layout is not None:
        attributes["mhlo.layout_mode"] = f'"{layout}"'
    if index in donations.aliases:
        attributes["tf.aliasing_output"] = f"{donations.aliases[index]} : i32"
    if sharding is not None:
        attributes["sdy.sharding"] = sharding
    return attributes


def _result_attributes(v: Any, index: int, names: Sequence[str], sharding: str | None,
                       layout: str | None) -> dict[str, str]:
    attributes = _memory_attribute(v)
    if layout is not None:
        attributes["mhlo.layout_mode"] = f'"{layout}"'
    if names:
        attributes["jax.result_info"] = ir.StringAttr.get(names[index])
    if sharding is not None:
        attributes["sdy.sharding"] = sharding
    return attributes


def _attributes_per_value(ctx: Context, tokens: int, attributes: Sequence[dict]) -> Any:
    return ir.ArrayAttr.get([
        ir.DictAttr.get({k: v if isinstance(v, ir.Attribute) else ctx.attr(v)
                         for k, v in one.items()})
        for one in [{IS_TOKEN: "true"}] * tokens + list(attributes)])
