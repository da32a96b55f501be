"""Every primitive, in every class of dtypes it takes, obeys its own rules."""

from __future__ import annotations

import pytest

import minijax as jax

from . import harness


@pytest.fixture(autouse=True)
def wide_types():
    with jax.enable_x64(True):
        yield


def names(case: tuple) -> str:
    return "-".join(map(str, case))


COMMON = list(harness.cases(harness.COMMON))
EVERY = [c for c in harness.cases(harness.ALL) if c not in COMMON]
WIDEST = list(harness.cases({k: [v] for k, v in harness.WIDEST.items()}))
INEXACT = [c for c in WIDEST if c[2] in ("float64", "complex128")]


def test_every_primitive_has_a_sample():
    missing = sorted(set(harness.primitives()) - set(harness.samples()))
    assert not missing, f"primitives without a sample: {missing}"


def test_every_sample_names_a_primitive():
    unknown = sorted(set(harness.samples()) - set(harness.primitives()))
    assert not unknown, f"samples of unknown primitives: {unknown}"


def test_every_unchecked_derivative_has_a_reason():
    bare = [f"{name}-{i}" for name, entries in harness.samples().items()
            for i, _ in enumerate(entries)
            if not (s := harness.pick(name, i)[1]).grad and not s.reason
            and set(s.dtypes) & {"f", "l", "c"}]
    assert not bare, f"samples with grad=False and no reason: {bare}"


# Classes that a shape rule lets through because it looks at one operand only: the combining
# jaxpr of a scatter decides, and the functions that users call refuse bools as its addition does.
DECIDED_ELSEWHERE = {("scatter-add", "b"), ("scatter-sub", "b"), ("scatter-mul", "b"),
                     ("cond", "i")}


def test_samples_cover_every_class_of_dtypes_that_shape_rules_accept():
    missing = [(name, letter) for name in sorted(harness.samples())
               for letter in harness.uncovered(name)]
    assert set(missing) <= DECIDED_ELSEWHERE


@pytest.mark.parametrize("case", COMMON, ids=names)
def test_execution(case):
    harness.check_execution(*harness.pick(*case[:2]), case[2])


@pytest.mark.slow
@pytest.mark.parametrize("case", EVERY, ids=names)
def test_execution_in_every_dtype(case):
    harness.check_execution(*harness.pick(*case[:2]), case[2])


@pytest.mark.parametrize("case", INEXACT, ids=names)
def test_derivatives(case):
    primitive, sample = harness.pick(*case[:2])
    if sample.grad:
        harness.check_derivatives(primitive, sample, case[2])
    else:
        assert sample.reason


TWICE = [c for c in INEXACT if (s := harness.pick(*c[:2])[1]).grad and s.order == 2]


@pytest.mark.slow
@pytest.mark.parametrize("case", TWICE, ids=names)
def test_third_derivatives(case):
    harness.check_derivatives(*harness.pick(*case[:2]), case[2], highest=3)


@pytest.mark.parametrize("case", [c for c in COMMON if c[2] in ("float32", "int32")] , ids=names)
def test_vmap(case):
    primitive, sample = harness.pick(*case[:2])
    dtype = "float64" if case[2] == "float32" else case[2]
    harness.check_vmap(primitive, sample, dtype)


@pytest.mark.parametrize("case", [c for c in WIDEST if c[2] not in ("float64", "int64")],
                         ids=names)
@pytest.mark.slow
def test_vmap_of_other_classes(case):
    primitive, sample = harness.pick(*case[:2])
    harness.check_vmap(primitive, sample, case[2])


@pytest.mark.parametrize("case", WIDEST, ids=names)
@pytest.mark.slow
def test_nested_vmap(case):
    primitive, sample = harness.pick(*case[:2])
    harness.check_nested_vmap(primitive, sample, case[2])
