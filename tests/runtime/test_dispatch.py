"""Eager operations."""

import numpy as np
import pytest

import minijax as jax
from minijax import core, lax
from minijax.base import errors
from minijax.runtime import dispatch


def test_weak_types_survive():
    assert lax.neg(2.0).weak_type
    assert not lax.neg(np.float32(2)).weak_type
    x = lax.add(np.float32(1), 2.0)
    assert x.dtype == np.float32
    assert not x.weak_type


def test_numpy_arguments():
    np.testing.assert_array_equal(lax.neg(np.arange(3)), [0, -1, -2])
    np.testing.assert_array_equal(lax.reshape(np.arange(4), (2, 2)), [[0, 1], [2, 3]])


def test_several_results():
    p = core.Primitive("pair_for_test", shape=lambda x: [x, x], multiple_results=True,
                       decompose=lambda x: [lax.neg(x), x])
    out = p.bind(np.float32(3))
    assert [float(x) for x in out] == [-3.0, 3.0]


def test_one_function_per_primitive_and_parameters():
    dispatch.clear_caches()
    x = jax.device_put(np.ones((2, 3), np.float32))
    lax.reshape(x, (6,))
    count = len(dispatch._functions)
    for _ in range(3):
        lax.reshape(x, (6,))
    assert len(dispatch._functions) == count
    lax.reshape(x, (3, 2))
    assert len(dispatch._functions) == count + 1


def test_table_is_bounded(monkeypatch):
    dispatch.clear_caches()
    monkeypatch.setattr(dispatch, "_LIMIT", 3)
    x = jax.device_put(np.ones(6, np.float32))
    for shape in [(1, 6), (2, 3), (3, 2), (6, 1), (1, 6)]:
        assert lax.reshape(x, shape).shape == shape
    assert len(dispatch._functions) == 3
    dispatch.clear_caches()


def test_leaked_tracer():
    leaked = []
    jax.jit(lambda x: leaked.append(x) or x)(1.0)
    with pytest.raises(errors.UnexpectedTracerError):
        lax.sin(leaked[0])


def test_impl_is_preferred():
    p = core.Primitive("impl_for_test", shape=lambda x: x, impl=lambda x: ("ran", x))
    assert p.bind(1) == ("ran", 1)
