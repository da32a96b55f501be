"""`custom_partitioning`: an operation whose author says how it is split over devices.

The compiler propagates shardings through it by a rule in the manner of einsum, then asks the
author's `partition` for the program that each device runs on its parts.

    @custom_partitioning
    def f(x): return jnp.fft.fft(x)
    f.def_partition(partition=partition, sharding_rule="i j -> i j")
"""

from __future__ import annotations

import functools
import inspect
import itertools
import re
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax.api.misc import ShapeDtypeStruct
from minijax.base import errors, tree
from minijax.base.jaxlib import xc
from minijax.core import (Jaxpr, Primitive, aval_of, batch, eval_jaxpr, trace_closed,
                          trace_to_jaxpr)
from minijax.lax.shard_map import scope
from minijax.runtime import spmd
from minijax.runtime.compile import expand, lowering_package, platform_of
from minijax.sharding import NamedSharding

__all__ = ["ArrayMapping", "BATCHING", "CompoundFactor", "SdyShardingRule", "custom_partitioning",
           "custom_partitioning_p"]

BATCHING = "…"  # leading dimensions, each a factor of its own
_CALL = "CustomSPMDPartitioning"


class CompoundFactor(tuple):
    """Factors whose product is one dimension, the slowest first."""

    def __new__(cls, *factors: str) -> "CompoundFactor":
        if len(factors) < 2:
            raise ValueError("A compound factor should contain at least two factors")
        if any(map(_is_batching, factors)):
            raise ValueError("Ellipsis can't be used in a compound factor")
        return super().__new__(cls, _named("CompoundFactor must be a str", factors, str))


class ArrayMapping(tuple):
    """The factors of each dimension of one array."""

    def __new__(cls, *dims: Any) -> "ArrayMapping":
        if any(map(_is_batching, dims[1:])):
            raise ValueError("Ellipsis can only be used at the beginning of a dimension")
        return super().__new__(cls, _named("ArrayMapping must be a str or CompoundFactor", dims,
                                           (str, CompoundFactor)))


def _is_batching(dim: Any) -> bool:
    return isinstance(dim, str) and dim.startswith(BATCHING)


def _named(what: str, dims: tuple, kinds: Any) -> tuple:
    """The factors, after a look at their names."""
    for dim in dims:
        if not isinstance(dim, kinds):
            raise ValueError(f"Each element of {what}, but got {type(dim)}")
        if isinstance(dim, str) and not (dim[:1].isalpha() or _is_batching(dim)):
            raise ValueError(f"Factor names have to start with a letter, but got {dim!r}")
    return dims


class SdyShardingRule:
    """Which dimensions of operands and results are one: those of the same factor are split alike.

    factor_sizes: sizes of the factors that occur only in compound ones.
    """

    def __init__(self, operand_mappings: Sequence[Any], result_mappings: Sequence[Any], *,
                 reduction_factors: tuple = (), need_replication_factors: tuple = (),
                 permutation_factors: tuple = (), **factor_sizes: int):
        self.operand_mappings = tuple(ArrayMapping(*dims) for dims in operand_mappings)
        self.result_mappings = tuple(ArrayMapping(*dims) for dims in result_mappings)
        self.special = {"reduction": tuple(reduction_factors),
                        "need_replication": tuple(need_replication_factors),
                        "permutation": tuple(permutation_factors)}
        self.factor_sizes = factor_sizes
        dims = set(itertools.chain(*self.operand_mappings, *self.result_mappings))
        used = {f for dim in dims for f in (dim if isinstance(dim, CompoundFactor) else (dim,))}
        for factor in (*factor_sizes, *itertools.chain(*self.special.values())):
            if factor not in used:
                raise ValueError(f"Factor {factor} is not used in the rule")
        for factor in used:
            if factor in dims and factor in factor_sizes:
                raise ValueError(
                    f"Factor {factor} represents a whole dimension; do not specify its size")
            if factor not in dims and factor not in factor_sizes:
                raise ValueError(
                    f"Factor {factor} is only used in compound factors; must specify its size")

    def __repr__(self) -> str:
        return (f"SdyShardingRule({self.operand_mappings}, {self.result_mappings}, "
                f"{self.factor_sizes})")

    @staticmethod
    def parse(rule: str, **options: Any) -> "SdyShardingRule":
        """From text like "... i, (j k) -> ... j"."""
        sides = rule.split("->")
        if len(sides) != 2:
            raise ValueError(f"There is no -> in rule: {rule!r}")
        return SdyShardingRule(*[[_dims(part) for part in side.split(",")] if side.strip() or i
                                 else [] for i, side in enumerate(sides)], **options)

    def text(self, operands: Sequence[Any], results: Sequence[Any]) -> str:
        """The attribute of an operation with these (ranked) shapes."""
        names: dict[Any, str] = {}
        sizes: dict[str, int] = dict(self.factor_sizes)
        groups = [self._side(self.operand_mappings, operands, names, sizes),
                  self._side(self.result_mappings, results, names, sizes)]
        listed = ", ".join(f"{short}={sizes[factor]}" for factor, short in names.items())
        special = "".join(
            f" {kind}={{{', '.join(names[f] for f in factors)}}}"
            for kind, factors in self.special.items() if factors)
        return f"#sdy.op_sharding_rule<({groups[0]})->({groups[1]}) {{{listed}}}{special}, custom>"

    def _side(self, mappings: Sequence[tuple], shapes: Sequence[tuple], names: dict,
              sizes: dict) -> str:
        arrays = []
        for mapping, shape in zip(mappings, shapes, strict=True):
            extra = len(shape) - len([d for d in mapping if not _is_batching(d)])
            dims = list(itertools.chain.from_iterable(
                [(d, i) for i in range(extra)] if _is_batching(d) else [d] for d in mapping))
            texts = []
            for dim, size in zip(dims, shape, strict=True):
                factors = dim if isinstance(dim, CompoundFactor) else [dim]
                if len(factors) == 1:
                    sizes[factors[0]] = size
                texts.append("".join(names.setdefault(f, _short(len(names))) for f in factors))
            arrays.append(f"[{', '.join(texts)}]")
        return ", ".join(arrays)


def _short(i: int) -> str:
    """The name of factor i in MLIR: i, j, ..., z, then z_1, z_2, ..."""
    return chr(ord("i") + i) if i < 18 else f"z_{i - 17}"


def _dims(text: str) -> list:
    found = re.findall(r"\([^)]*\)|\.\.\.\d*|\w+", text)
    return [CompoundFactor(*d[1:-1].split()) if d[0] == "(" else
            BATCHING + (d[3:] or "0") if d[0] == "." else d for d in found]


class custom_partitioning:  # noqa: N801  (the public name)
    """A function of arrays to which `def_partition` gives a way to be split over devices."""

    def __init__(self, fun: Callable, static_argnums: Sequence[int] = ()):
        functools.update_wrapper(self, fun)
        self.fun = fun
        self.static_argnums = tuple(static_argnums)
        self.partition: Callable | None = None

    def def_partition(self, partition: Callable,
                      infer_sharding_from_operands: Callable | None = None,
                      propagate_user_sharding: Callable | None = None,
                      decode_shardings: bool = True, sharding_rule: Any = None, *,
                      reduction_factors: tuple = (), need_replication_factors: tuple = (),
                      permutation_factors: tuple = (), **factor_sizes: int) -> Callable:
        """Set `partition(*static, mesh, arg_shapes, result_shape)` and the rule of propagation.

        `partition` gives the mesh, the function of one device's parts, and the shardings of
        result and arguments. sharding_rule: text, an SdyShardingRule, or a function of static
        arguments, mesh, and shapes that gives either. Returns `partition`.
        """
        self.partition = partition
        self.infer = infer_sharding_from_operands
        self.rule = sharding_rule
        self.options = dict(
            reduction_factors=reduction_factors, permutation_factors=permutation_factors,
            need_replication_factors=need_replication_factors, **factor_sizes)
        return partition

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.partition is None:
            raise ValueError(errors.describe(
                f"custom_partitioning function {self.__name__} has no partition",
                fix="call f.def_partition(...) first"))
        bound = inspect.signature(self.fun).bind(*args, **kwargs)
        bound.apply_defaults()
        args = bound.args
        if bound.kwargs:
            raise TypeError(errors.describe(
                f"custom_partitioning function {self.__name__} has arguments that can only be "
                f"given by keyword: {', '.join(bound.kwargs)}", fix="make them positional"))
        static = tuple(args[i] for i in self.static_argnums)
        dynamic = tuple(x for i, x in enumerate(args) if i not in self.static_argnums)
        leaves, in_tree = tree.flatten(dynamic)
        found: list = []

        def flat(*values: Any) -> list:
            given = iter(in_tree.unflatten(values))
            out = self.fun(*[args[i] if i in self.static_argnums else next(given)
                             for i in range(len(args))])
            outs, out_tree = tree.flatten(out)
            found.append(out_tree)
            return outs

        jaxpr, captured = trace_to_jaxpr(flat, tuple(map(aval_of, leaves)))
        if captured:
            raise ValueError(errors.describe(
                f"custom_partitioning function {self.__name__} closes over arrays",
                fix="pass them as arguments"))
        split = _Split(self, static, in_tree, found[0])
        return found[0].unflatten(custom_partitioning_p.bind(*leaves, call=jaxpr, split=split))


class _Split:
    """What the compiler needs of one call; `describe` is asked by the lowering rule."""

    def __init__(self, owner: custom_partitioning, static: tuple, in_tree: Any, out_tree: Any):
        self.owner, self.static = owner, static
        self.in_tree, self.out_tree = in_tree, out_tree

    def describe(self, mesh: Any, devices: Sequence[Any], operands: Sequence[Any],
                 results: Sequence[Any]) -> tuple[str, str | None]:
        """The key under which the compiler finds this call, and its rule of propagation."""
        _register()
        key = uuid.uuid4().hex
        _calls[key] = self, mesh, tuple(devices)
        rule = self.owner.rule
        shapes = [ShapeDtypeStruct(a.shape, a.dtype) for a in (*operands, *results)]
        if callable(rule):
            n = len(operands)
            rule = rule(*self.static, mesh, self.in_tree.unflatten(shapes[:n]),
                        self.out_tree.unflatten(shapes[n:]))
        if isinstance(rule, str):
            rule = SdyShardingRule.parse(rule, **self.owner.options)
        return key, None if rule is None else rule.text(
            [a.shape for a in operands], [a.shape for a in results])


_calls: dict[str, tuple] = {}


@functools.cache
def _register() -> None:
    xc.register_custom_call_partitioner(_CALL, _from_user, _partition, _infer, True)


def _described(shape: Any, sharding: Any, mesh: Any, devices: tuple) -> ShapeDtypeStruct:
    rank = len(shape.dimensions())
    if sharding is not None:
        sharding = spmd.from_hlo(sharding.to_proto(), rank, [mesh], devices)
        if isinstance(sharding, NamedSharding):  # one entry per dimension is easier to use
            spec = sharding.spec
            sharding = sharding.update(
                spec=spec.update((*spec.partitions, *[None] * (rank - len(spec)))))
    return ShapeDtypeStruct(shape.dimensions(), shape.numpy_dtype(), sharding=sharding)


def _parts(shape: Any, sharding: Any) -> list[tuple]:
    if not shape.is_tuple():
        return [(shape, sharding)]
    shardings = sharding.tuple_elements() if sharding is not None else None
    return list(zip(shape.tuple_shapes(), shardings or itertools.repeat(None)))


def _hlo(shardings: Any, treedef: Any, shapes: Sequence[Any]) -> list:
    leaves = tree.leaves(shardings)
    if len(leaves) != treedef.num_leaves:
        leaves = tree.broadcast_prefix(shardings, treedef.unflatten(range(treedef.num_leaves)))
    return [s._to_xla_hlo_sharding(len(shape.dimensions())) for s, shape in zip(leaves, shapes)]


def _packed(shape: Any, shardings: list) -> Any:
    return xc.HloSharding.tuple_sharding(shape, shardings) if shape.is_tuple() else shardings[0]


def _from_user(sharding: Any, shape: Any, key: Any) -> Any:
    """A sharding that users of the result ask for is taken as it is."""
    return sharding


def _infer(arg_shapes: Sequence[Any], arg_shardings: Sequence[Any], result_shape: Any,
           key: Any) -> Any:
    split, mesh, devices = _calls[_text(key)]
    args = [_described(*pair, mesh, devices) for pair in zip(arg_shapes, arg_shardings)]
    results = _parts(result_shape, None)
    found = split.owner.infer(
        *split.static, mesh, split.in_tree.unflatten(args),
        split.out_tree.unflatten([_described(*pair, mesh, devices) for pair in results]))
    return _packed(result_shape, _hlo(found, split.out_tree, [s for s, _ in results]))


def _text(key: Any) -> str:
    return key.decode() if isinstance(key, bytes) else str(key)


def _partition(arg_shapes: Sequence[Any], arg_shardings: Sequence[Any], result_shape: Any,
               result_sharding: Any, key: Any) -> tuple:
    """The program of one device, with the shardings of arguments and result that it is for."""
    split, mesh, devices = _calls[_text(key)]
    args = [_described(*pair, mesh, devices) for pair in zip(arg_shapes, arg_shardings)]
    results = _parts(result_shape, result_sharding)
    mesh, lower_fn, out_shardings, in_shardings = split.owner.partition(
        *split.static, mesh, split.in_tree.unflatten(args),
        split.out_tree.unflatten([_described(*pair, mesh, devices) for pair in results]))
    ins = _hlo(in_shardings, split.in_tree, arg_shapes)
    outs = _hlo(out_shardings, split.out_tree, [s for s, _ in results])
    local = [s.tile(shape) for s, shape in zip(ins, arg_shapes)]
    wanted = [s.tile(shape) for s, (shape, _) in zip(outs, results)]
    jaxpr = _traced(lower_fn, split.in_tree, local, mesh)
    given = [(a.shape, a.dtype) for a in jaxpr.out_avals]
    if given != [(tuple(w.dimensions()), np.dtype(w.numpy_dtype())) for w in wanted]:
        raise ValueError(f"Mismatch in result shapes. {jaxpr.out_avals} vs {wanted}")
    lowered = lowering_package().lower(
        jaxpr, platform=platform_of(devices[0]), name="partitioned", expand=expand,
        spmd=spmd.Meshes(), num_partitions=len(devices), manual_mesh=mesh)
    return lowered.plain_bytecode(), ins, _packed(result_shape, outs)


def _traced(lower_fn: Callable, in_tree: Any, shapes: Sequence[Any], mesh: Any) -> Jaxpr:
    avals = tuple(aval_of(np.empty(s.dimensions(), s.numpy_dtype())) for s in shapes)
    params = {"mesh": mesh, "newly_manual_axes": frozenset(mesh.axis_names), "check_vma": False}
    with scope(params):
        return trace_closed(lambda *xs: tree.leaves(lower_fn(*in_tree.unflatten(xs))), avals)


def _vmap(axis: Any, args: Sequence[Any], dims: Sequence[Any], *, call: Jaxpr,
          split: _Split) -> tuple:
    """The operation on a batch is another one, of which its author has said nothing."""
    return batch(lambda *xs: eval_jaxpr(call, call.consts, *xs), axis, args, dims)


custom_partitioning_p = Primitive(
    "custom_partitioning", shape=lambda *avals, call, split: call.out_avals,
    multiple_results=True, vmap=_vmap,
    decompose=lambda *args, call, split: eval_jaxpr(call, call.consts, *args))
