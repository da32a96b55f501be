"""Axes, partitions and memoization."""

import gc

import pytest

from minijax.base import config, util


def test_canonicalize_axis():
    assert [util.canonicalize_axis(i, 3) for i in (0, 2, -1, -3)] == [0, 2, 2, 0]
    with pytest.raises(ValueError, match="axis 3 is out of bounds for array of dimension 3"):
        util.canonicalize_axis(3, 3)
    with pytest.raises(ValueError, match="axis -4 is out of bounds"):
        util.canonicalize_axis(-4, 3)


def test_canonicalize_axes():
    assert util.canonicalize_axes(None, 2) == (0, 1)
    assert util.canonicalize_axes(-1, 2) == (1,)
    assert util.canonicalize_axes((0, -1), 3) == (0, 2)
    with pytest.raises(ValueError, match="duplicate value in 'axis'"):
        util.canonicalize_axes((0, -3), 3)


def test_lists():
    assert util.split_list(range(5), [2, 1]) == [[0, 1], [2], [3, 4]]
    assert util.partition([True, False, True], "abc") == (["b"], ["a", "c"])
    assert util.merge([True, False, True], ["b"], ["a", "c"]) == ["a", "b", "c"]
    assert util.unzip2([]) == ((), ())
    assert util.unzip2([(1, 2), (3, 4)]) == ((1, 3), (2, 4))
    with pytest.raises(ValueError, match="length"):
        util.safe_zip([1], [1, 2])


def test_trace_cache_is_weak_and_follows_the_configuration():
    calls = []

    def make(f, x):
        calls.append(x)
        return x

    cached = util.trace_cache(make)

    def key():
        pass

    assert cached(key, 1) == cached(key, 1) == 1 and calls == [1]
    with config.enable_x64(True):
        cached(key, 1)
    assert calls == [1, 1]
    del key
    gc.collect()
    assert cached.cache_info().currsize == 0


def test_fun_name():
    from functools import partial

    def named():
        pass

    class Callable:
        def __call__(self):
            pass

    assert util.fun_name(partial(partial(named))) == "named"
    assert util.fun_name(Callable()) == "<unnamed function>"
