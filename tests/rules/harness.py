"""The checks that every primitive passes, and the search for primitives and their samples."""

from __future__ import annotations

import functools
import importlib
import itertools
import pkgutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import minijax as jax
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
            importlib.import_module(module.name)
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


# --- shape, jaxpr, module, execution -----------------------------------------------------------


def check_execution(primitive: Primitive, sample: Sample, dtype: str) -> None:
    """The shape rule tells what running gives; jaxpr and module are well formed."""
    args = operands(sample, numpy_dtype(dtype))
    fun = function(primitive, sample)
    jaxpr = jax.make_jaxpr(fun)(*args)
    check_jaxpr(jaxpr)
    if not sample.runs:
        return
    lowered = jax.jit(fun).lower(*args)
    assert "func.func public @main" in lowered.as_text()
    eager = fun(*args)
    compiled = lowered.compile()(*args)
    assert len(eager) == len(jaxpr.out_avals)
    for aval, out, again in zip(jaxpr.out_avals, eager, compiled):
        assert (out.shape, out.dtype) == (aval.shape, aval.dtype), (aval, out.shape, out.dtype)
        assert (again.shape, again.dtype) == (aval.shape, aval.dtype)
        if not isinstance(aval.dtype, np.dtype):
            continue
        assert_close(out, again, what="eager and compiled results differ")


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


def check_derivatives(primitive: Primitive, sample: Sample, dtype: str) -> None:
    """JVP against central differences and VJP against JVP, up to the sample's order."""
    args = operands(sample, numpy_dtype(dtype))
    fun, xs = split_inexact(args, function(primitive, sample))
    if not xs:
        return
    rng = np.random.default_rng(1)
    for order in range(1, sample.order + 1):
        us = directions(rng, xs)
        check_jvp(fun, xs, us, f"order {order}")
        check_vjp(fun, xs, us, rng, f"order {order}")
        fun = tangent_map(fun, us)


def tangent_map(fun: Callable, us: Sequence[Any]) -> Callable[..., list]:
    return lambda *xs: jax.jvp(fun, tuple(xs), tuple(us))[1]


def check_jvp(fun: Callable, xs: Sequence[Any], us: Sequence[Any], what: str) -> None:
    step = 1e-6
    run = jax.jit(fun)
    tangents = jax.jit(tangent_map(fun, us))(*xs)
    plus = run(*[x + step * u for x, u in zip(xs, us)])
    minus = run(*[x - step * u for x, u in zip(xs, us)])
    for t, p, m in zip(tangents, plus, minus):
        difference = (np.asarray(p) - np.asarray(m)) / (2 * step)
        assert_close(t, difference, 2e-6, f"jvp against differences, {what}")


def check_vjp(fun: Callable, xs: Sequence[Any], us: Sequence[Any], rng: np.random.Generator,
              what: str) -> None:
    outs, tangents = jax.jit(lambda *p: jax.jvp(fun, p, tuple(us)))(*xs)
    cts = directions(rng, outs)
    pulled = jax.jit(lambda *p: jax.vjp(fun, *p)[1](list(cts)))(*xs)
    left = sum(float(np.real(np.sum(np.asarray(c) * np.asarray(t))))
               for c, t in zip(cts, tangents))
    right = sum(float(np.real(np.sum(np.asarray(c) * np.asarray(u))))
                for c, u in zip(pulled, us))
    size = sum(float(np.sum(np.abs(c) * np.abs(np.asarray(t)))) for c, t in zip(cts, tangents))
    assert abs(left - right) <= 1e-9 * max(1.0, size), (what, left, right)
    for x, c in zip(xs, pulled):
        assert (c.shape, c.dtype) == (x.shape, x.dtype)


# --- vmap --------------------------------------------------------------------------------------


def check_vmap(primitive: Primitive, sample: Sample, dtype: str) -> None:
    """Mapping any subset of operands, over the first or the last axis, equals a loop."""
    if not sample.runs:
        return
    size = 3
    stacks = [operands(sample, numpy_dtype(dtype), seed) for seed in range(size)]
    fun = function(primitive, sample)
    count = len(sample.args)
    for mapped in subsets(count):
        for last in (False, True):
            dims = [None if i not in mapped else stacks[0][i].ndim if last else 0
                    for i in range(count)]
            args = [np.stack([s[i] for s in stacks], axis=d) if d is not None else stacks[0][i]
                    for i, d in enumerate(dims)]
            rows = [fun(*[s[i] if i in mapped else stacks[0][i] for i in range(count)])
                    for s in stacks]
            outs = jax.vmap(fun, in_axes=tuple(dims))(*args)
            compare_rows(outs, rows, f"vmap with in_axes {dims}")


def check_nested_vmap(primitive: Primitive, sample: Sample, dtype: str) -> None:
    """A batch of batches, of all operands, equals two loops; its jaxpr is well formed."""
    stacks = [[operands(sample, numpy_dtype(dtype), 2 * i + j) for j in range(2)]
              for i in range(2)]
    fun = function(primitive, sample)
    args = [np.stack([np.stack([s[k] for s in row]) for row in stacks])
            for k in range(len(sample.args))]
    if not args or not sample.runs:
        return
    twice = jax.vmap(jax.vmap(fun))
    check_jaxpr(jax.make_jaxpr(twice)(*args))
    outs = twice(*args)
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
