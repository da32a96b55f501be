"""The checks that every primitive passes, and the search for primitives and their samples."""

from __future__ import annotations

import functools
import importlib
import itertools
import pkgutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

import minijax as jax
import minijax.numpy as jnp
from minijax import core
from minijax.core import Primitive
from minijax.passes.check import check_jaxpr

from .sample import Sample, operands

COMMON = {"f": ["float32"], "l": ["float32"], "c": ["complex64"], "i": ["int32"], "u": ["uint8"],
          "b": ["bool"]}
ALL = {"f": ["float16", "bfloat16", "float32", "float64"], "l": ["float32", "float64"],
       "c": ["complex64", "complex128"],
       "i": ["int8", "int16", "int32", "int64"], "u": ["uint8", "uint16", "uint32", "uint64"],
       "b": ["bool"]}
WIDEST = {"f": "float64", "l": "float64", "c": "complex128", "i": "int64", "u": "uint64",
          "b": "bool"}


@functools.cache
def primitives() -> dict[str, Primitive]:
    """All primitives declared in the package, by name."""
    package = importlib.import_module("minijax")
    for module in pkgutil.walk_packages(package.__path__, "minijax."):
        if "examples" not in module.name and not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:  # an optional package of others
                if error.name.startswith("minijax"):
                    raise
    found = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("minijax"):
            found.update({p.name: p for p in vars(module).values() if isinstance(p, Primitive)})
    return found


@functools.cache
def samples() -> dict[str, list]:
    """The samples of all `samples_*.py` beside this file."""
    found: dict[str, list] = {}
    for path in sorted(Path(__file__).parent.glob("samples_*.py")):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        for name, entries in module.SAMPLES.items():
            found.setdefault(name, []).extend(entries)
    return found


def cases(widths: dict[str, list[str]]) -> Iterator[tuple[str, int, str]]:
    """(primitive, index of sample, dtype) for every dtype of the classes a sample takes."""
    for name, entries in samples().items():
        for index, entry in enumerate(entries):
            sample = entry() if callable(entry) else entry
            for letter in sample.dtypes:
                for dtype in widths[letter]:
                    yield name, index, dtype


def pick(name: str, index: int) -> tuple[Primitive, Sample]:
    entry = samples()[name][index]
    return primitives()[name], entry() if callable(entry) else entry


def uncovered(name: str) -> Iterator[str]:
    """Classes of dtypes that no sample of a primitive has but its shape rule accepts."""
    primitive = primitives()[name]
    entries = [pick(name, i)[1] for i in range(len(samples()[name]))]
    classes = {letter for s in entries for letter in s.dtypes}
    if "l" in classes:  # linear algebra: float32 and float64 only
        classes |= {"f"}
    for letter in set("fciub") - classes:
        dtype = numpy_dtype(COMMON[letter][0])
        if any(accepts(primitive, s, dtype) for s in entries):
            yield letter


def accepts(primitive: Primitive, sample: Sample, dtype: np.dtype) -> bool:
    """Whether the shape rule takes the sample's operands cast to `dtype`."""
    if sample.around is not None:
        return False
    args = operands(sample, dtype)
    if all(x.dtype != dtype for x in args):
        return False
    try:
        core.trace_to_jaxpr(function(primitive, sample), [core.get_aval(x) for x in args])
    except (TypeError, ValueError, AttributeError, NotImplementedError, OverflowError):
        return False
    return True


def numpy_dtype(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name)) if name == "bfloat16" else np.dtype(name)


def as_list(primitive: Primitive, out: Any) -> list:
    return list(out) if primitive.multiple_results else [out]


def function(primitive: Primitive, sample: Sample) -> Callable[..., list]:
    def bind(*args: Any) -> list:
        return as_list(primitive, primitive.bind(*args, **sample.params))
    return bind if sample.around is None else sample.around(bind)


def tolerance(dtype: Any) -> float:
    name = np.dtype(dtype).name
    return {"float16": 4e-3, "bfloat16": 4e-2, "float32": 2e-5, "complex64": 2e-5,
            "float64": 1e-11, "complex128": 1e-11}.get(name, 0.0)


def assert_close(actual: Any, expected: Any, tol: float | None = None, what: str = "") -> None:
    """Equal shapes and dtypes, and values equal up to `tol` of the largest value."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, (what, actual.shape, expected.shape)
    assert actual.dtype == expected.dtype, (what, actual.dtype, expected.dtype)
    tol = tolerance(actual.dtype) if tol is None else tol
    if not tol:
        np.testing.assert_array_equal(actual, expected, what)
        return
    wide = np.complex128 if actual.dtype.kind == "c" else np.float64
    actual, expected = actual.astype(wide), expected.astype(wide)
    finite = np.abs(expected[np.isfinite(expected)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    np.testing.assert_allclose(actual, expected, rtol=tol, atol=tol * scale, err_msg=what)


@functools.cache
def quick_options() -> dict[str, Any]:
    """What makes XLA compile three times as fast; later jaxlibs know fewer options."""
    options = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
    try:
        jax.jit(lambda x: x + 1, compiler_options=options)(1.0)
    except jax.errors.JaxRuntimeError:
        del options["xla_cpu_use_fusion_emitters"]
    return options


def quick_jit(fun: Callable) -> Callable:
    """jit for programs that run once: these checks are about rules, not about XLA's code."""
    quick = jax.jit(fun, compiler_options=quick_options())

    @functools.wraps(fun)
    def run(*args: Any) -> Any:
        try:
            return quick(*args)
        except jax.errors.JaxRuntimeError as e:
            if "UNIMPLEMENTED" not in str(e):
                raise
            return jax.jit(fun)(*args)  # XLA's quick way knows fewer operations
    return run


# --- shape, jaxpr, module, execution -----------------------------------------------------------


def check_execution(primitive: Primitive, sample: Sample, dtype: str) -> None:
    """The shape rule tells what running gives; jaxpr and module are well formed."""
    args = operands(sample, numpy_dtype(dtype))
    fun = function(primitive, sample)
    jaxpr = jax.make_jaxpr(fun)(*args)
    check_jaxpr(jaxpr)
    if not sample.runs:
        return
    assert "func.func public @main" in jax.jit(fun).lower(*args).as_text()
    outs = fun(*args)
    assert len(outs) == len(jaxpr.out_avals)
    for aval, out in zip(jaxpr.out_avals, outs):
        assert (out.shape, out.dtype) == (aval.shape, aval.dtype), (aval, out.shape, out.dtype)


# --- derivatives -------------------------------------------------------------------------------


def split_inexact(args: Sequence[Any], fun: Callable) -> tuple[Callable, list]:
    """`fun` as a function of its inexact operands, and these; inexact results only."""
    places = [i for i, x in enumerate(args) if x.dtype.kind in "fc"]

    def of_inexact(*xs: Any) -> list:
        full = list(args)
        for i, x in zip(places, xs):
            full[i] = x
        return [o for o in fun(*full) if np.issubdtype(o.dtype, np.inexact)]
    return of_inexact, [args[i] for i in places]


def directions(rng: np.random.Generator, xs: Sequence[Any]) -> list[np.ndarray]:
    out = []
    for x in xs:
        d = rng.standard_normal(x.shape)
        if np.dtype(x.dtype).kind == "c":
            d = d + 1j * rng.standard_normal(x.shape)
        out.append(np.asarray(d, x.dtype))
    return out


def check_derivatives(primitive: Primitive, sample: Sample, dtype: str,
                      highest: int | None = None) -> None:
    """JVP against central differences and VJP against JVP, up to the sample's order or `highest`.

    All orders and both modes are one program: compiling many small ones is what takes time.
    """
    order = highest or sample.order
    args = operands(sample, numpy_dtype(dtype))
    fun, xs = split_inexact(args, function(primitive, sample))
    if not xs:
        return
    rng = np.random.default_rng(1)
    results = jax.eval_shape(fun, *xs)
    us = [directions(rng, xs) for _ in range(order)]
    cts = [directions(rng, results) for _ in range(order)]
    found = quick_jit(functools.partial(derivatives, fun))(xs, us, cts)
    for one, u, ct, number in zip(found, us, cts, itertools.count(1)):
        check_jvp(one, f"jvp against differences, order {number}")
        check_vjp(one, u, ct, f"order {number}")
        for x, c in zip(xs, one.pulled):
            assert (c.shape, c.dtype) == (x.shape, x.dtype)


STEP = 1e-6


class Derivatives(NamedTuple):
    """Of one order: values a step in a direction ahead and behind, tangents, and cotangents."""

    ahead: list
    behind: list
    tangents: list
    pulled: tuple


def derivatives(fun: Callable, xs: Sequence[Any], us: Sequence, cts: Sequence) -> list:
    """The `Derivatives` of `fun`, of its tangents in the direction us[0], of theirs in us[1] ..."""
    out = []
    for u, ct in zip(us, cts):
        tangents = jax.jvp(fun, tuple(xs), tuple(u))[1]
        pulled = jax.vjp(fun, *xs)[1](list(ct))
        out.append(Derivatives(fun(*[x + STEP * d for x, d in zip(xs, u)]),
                               fun(*[x - STEP * d for x, d in zip(xs, u)]), tangents, pulled))
        fun = tangent_map(fun, u)
    return out


def tangent_map(fun: Callable, us: Sequence[Any]) -> Callable[..., list]:
    return lambda *xs: jax.jvp(fun, tuple(xs), tuple(us))[1]


def check_jvp(found: Derivatives, what: str) -> None:
    for t, p, m in zip(found.tangents, found.ahead, found.behind):
        assert_close(t, (np.asarray(p) - np.asarray(m)) / (2 * STEP), 2e-6, what)


def check_vjp(found: Derivatives, us: Sequence[Any], cts: Sequence[Any], what: str) -> None:
    left, right = dot(cts, found.tangents), dot(found.pulled, us)
    size = sum(float(np.sum(np.abs(c) * np.abs(np.asarray(t))))
               for c, t in zip(cts, found.tangents))
    assert abs(left - right) <= 1e-9 * max(1.0, size), (what, left, right)


def dot(xs: Sequence[Any], ys: Sequence[Any]) -> float:
    return sum(float(np.real(np.sum(np.asarray(x) * np.asarray(y)))) for x, y in zip(xs, ys))


# --- vmap --------------------------------------------------------------------------------------


def check_vmap(primitive: Primitive, sample: Sample, dtype: str) -> None:
    """Mapping any subset of operands, over the first or the last axis, equals a loop.

    All ways of mapping are one program.
    """
    if not (sample.runs and sample.maps):
        return
    size, count = 3, len(sample.args)
    stacks = [operands(sample, numpy_dtype(dtype), seed) for seed in range(size)]
    fun = function(primitive, sample)
    ways = {mapped: [tuple(None if i not in mapped else x.ndim if last else 0
                           for i, x in enumerate(stacks[0])) for last in (False, True)]
            for mapped in subsets(count)}

    def program(*stacked: Any) -> list:
        return [jax.vmap(fun, in_axes=dims)(*[
            stacked[i][0] if d is None else jnp.moveaxis(stacked[i], 0, d)
            for i, d in enumerate(dims)]) for pair in ways.values() for dims in pair]

    args = [np.stack(column) for column in zip(*stacks)]
    check_jaxpr(jax.make_jaxpr(program)(*args))
    found = iter(quick_jit(program)(*args))
    for mapped, pair in ways.items():
        rows = [fun(*[s[i] if i in mapped else stacks[0][i] for i in range(count)])
                for s in stacks]
        for dims in pair:
            compare_rows(next(found), rows, f"vmap with in_axes {dims}")


def check_nested_vmap(primitive: Primitive, sample: Sample, dtype: str) -> None:
    """A batch of batches, of all operands, equals two loops; its jaxpr is well formed."""
    stacks = [[operands(sample, numpy_dtype(dtype), 2 * i + j) for j in range(2)]
              for i in range(2)]
    fun = function(primitive, sample)
    args = [np.stack([np.stack([s[k] for s in row]) for row in stacks])
            for k in range(len(sample.args))]
    if not (args and sample.runs and sample.maps):
        return
    twice = jax.vmap(jax.vmap(fun))
    check_jaxpr(jax.make_jaxpr(twice)(*args))
    outs = quick_jit(twice)(*args)
    rows = [[np.stack([np.asarray(o) for o in column])
             for column in zip(*[fun(*s) for s in row])] for row in stacks]
    compare_rows(outs, rows, "nested vmap")


def subsets(count: int) -> list[tuple[int, ...]]:
    """All non-empty subsets of up to 3 operands; for more, each single one and all together."""
    if count <= 3:
        sizes = range(1, count + 1)
        return [c for n in sizes for c in itertools.combinations(range(count), n)]
    return [(i,) for i in range(count)] + [tuple(range(count))]


def compare_rows(outs: Sequence[Any], rows: Sequence[Sequence[Any]], what: str) -> None:
    for k, out in enumerate(outs):
        if isinstance(core.aval_of(out).dtype, np.dtype):
            assert_close(out, np.stack([np.asarray(r[k]) for r in rows]), what=what)
