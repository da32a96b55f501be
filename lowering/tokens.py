"""Ordered effects, and operations that one device runs for all.

The one invariant: `tokens` maps each ordered effect of the program to its last token in the current
block. A region or function with such effects takes their tokens first and gives them first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lowering.build import Body, Builder, Emitter, Type, Value, ir


class TokenEmitter(Emitter):
    """An `Emitter` that knows the devices of the program, and the tokens of its effects."""

    def __init__(self, builder: Builder) -> None:
        super().__init__(builder)
        self.tokens: dict[Any, Value] = {}
        self.devices: Sequence[Any] = ()
        self.manual = False  # inside a region where each device runs its own part
        self.spmd: Any = None  # writes shardings as text; None for one device
        self.mesh: Any = None  # of the manual region
        self.manual_axes: frozenset = frozenset()

    def set_devices(self, devices: Sequence[Any], spmd: Any, manual_mesh: Any) -> None:
        """Say what the program runs on; with `manual_mesh` it is inside a region of that mesh."""
        self.devices, self.spmd, self.mesh = devices, spmd, manual_mesh
        if manual_mesh is not None:
            self.manual, self.manual_axes = True, frozenset(manual_mesh.axis_names)

    @property
    def token_type(self) -> Type:
        """The type of tokens."""
        return self.builder.token

    def ordered(self, *jaxprs: Any) -> list:
        """The ordered effects among those of some jaxprs, in a fixed order."""
        if not self.tokens:
            return []
        return [e for e in self.tokens if any(e in jaxpr.effects for jaxpr in jaxprs)]

    def threaded(self, effects: Sequence[Any], body: Body) -> Body:
        """`body` with the tokens of `effects` as leading arguments and results."""
        if not effects:
            return body

        def with_tokens(*args: Value) -> list[Value]:
            outer = self.tokens
            self.tokens = {**outer, **dict(zip(effects, args))}
            results = body(*args[len(effects):])
            after = [self.tokens[e] for e in effects]
            self.tokens = outer
            return [*after, *results]
        return with_tokens

    def with_tokens(self, effects: Sequence[Any], types: Sequence[Type]) -> list[Type]:
        """The types of the arguments or results of a `threaded` body."""
        return [self.token_type] * len(effects) + list(types)

    def taken(self, effects: Sequence[Any], results: list[Value]) -> list[Value]:
        """The results of what ran a `threaded` body, without the tokens, which are kept."""
        if not effects:
            return results
        self.tokens.update(zip(effects, results))
        return results[len(effects):]

    def add_meshes(self) -> None:
        """Define the meshes that shardings of the program name."""
        for name, axes in reversed(self.spmd.texts.items() if self.spmd is not None else ()):
            self.add_mesh(name, axes)

    def add_mesh(self, name: str, axes: str) -> None:
        """Define a mesh, once per name; `axes` is MLIR text like `<["x"=4]>`."""
        if name not in self.symbols:
            made = ir.Operation.create("sdy.mesh", attributes={
                "sym_name": ir.StringAttr.get(name), "mesh": self.attr(f"#sdy.mesh{axes}"),
            }, loc=self.builder.unknown, ip=ir.InsertionPoint.at_block_begin(self.module.body))
            self.symbols.insert(made)

    def on_one_device(self, sharding: Any, results: int) -> str | None:
        """Shardy text for an operation that one device of several runs; None if all do.

        `sharding` has a `device_set` with that device; None means the first of the program.
        """
        if len(self.devices) < 2 or self.manual:
            return None
        index = 0
        if sharding is not None:
            device, = sharding.device_set
            if device not in self.devices:
                raise ValueError(f"The sharding of a callback specifies a device, {device}, that "
                                 f"is not in the device assignment ({list(self.devices)})")
            index = list(self.devices).index(device)
        self.add_mesh(f"maximal_mesh_{index}", f"<[], device_ids=[{index}]>")
        one = f"<@maximal_mesh_{index}, []>"
        return f"#sdy.sharding_per_value<[{', '.join([one] * max(results, 1))}]>"

    def for_all_devices(self, x: Value) -> Value:
        """A value that one device has computed, made known to all."""
        self.add_mesh("all_devices", f'<["all"={len(self.devices)}]>')
        dims = ", ".join(["{}"] * len(x.type.shape))
        return self.same("sdy.sharding_constraint", x,
                         sharding=f"#sdy.sharding<@all_devices, [{dims}]>")
