"""Promotion, the 64-bit switch and dtype categories, against JAX's stored answers."""

import itertools
import json
import warnings
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from minijax import dtypes as public
from minijax.base import config, dtypes

DATA = json.loads((Path(__file__).parents[1] / "data" / "promotion.json").read_text())


class Operand:
    def __init__(self, name):
        self.weak_type = name.endswith("*")
        name = name.rstrip("*")
        self.dtype = np.dtype(getattr(dtypes, name, name))

    @property
    def wide(self):
        return self.dtype.itemsize == 8 and self.dtype.kind != "c" or self.dtype == np.complex128


def answer(operands):
    try:
        found, weak = dtypes.promote_avals(operands)
        result = dtypes.result_type(*operands)
    except dtypes.TypePromotionError:
        return None
    other = "" if result == found else f"={result.name}"
    return found.name + ("*" if weak else "") + other


@pytest.mark.parametrize("mode", DATA["results"])
def test_every_pair_promotes_as_in_jax(mode):
    promotion, width = mode.split("-")
    operands = {name: Operand(name) for name in DATA["operands"]}
    pairs = itertools.combinations_with_replacement(DATA["operands"], 2)
    with config.numpy_dtype_promotion(promotion), config.enable_x64(width == "x64"):
        for (a, b), expected in zip(pairs, DATA["results"][mode], strict=True):
            x, y = operands[a], operands[b]
            if width == "x32" and x.weak_type and y.weak_type and (x.wide or y.wide):
                continue  # weak 64-bit arrays do not exist while x64 is off
            assert answer((x, y)) == expected, (mode, a, b)
            assert answer((y, x)) == expected, (mode, b, a)


# Each type and the types just above it; the table must be the least upper bounds of this order.
ABOVE = {
    "b1": "i*", "i*": "u1 i1", "u1": "u2 i2", "u2": "u4 i4", "u4": "u8 i8", "i1": "i2",
    "i2": "i4", "i4": "i8", "u8": "f*", "i8": "f*", "f*": "bf f2 c*", "bf": "f4", "f2": "f4",
    "f4": "f8 c8", "f8": "c16", "c*": "c8", "c8": "c16", "c16": "",
}  # fmt: skip


def upward_closure():
    above = {}
    for name in reversed(ABOVE):
        above[name] = {name}
    changed = True
    while changed:
        sizes = sum(map(len, above.values()))
        for name, parents in ABOVE.items():
            for parent in parents.split():
                above[name] |= above[parent]
        changed = sum(map(len, above.values())) != sizes
    return above


def test_table_is_the_lattice():
    above = upward_closure()
    for a, b in itertools.product(ABOVE, repeat=2):
        common = above[a] & above[b]
        least = [c for c in common if common <= above[c]]
        assert len(least) == 1
        node = dtypes._node
        assert dtypes._promotion[node(a), node(b)] == node(least[0]), (a, b)


def test_python_scalars():
    assert dtypes.lattice_result_type(1, 2.0) == (np.float32, True)
    assert dtypes.lattice_result_type(1, True) == (np.int32, True)
    assert dtypes.lattice_result_type(True) == (np.bool_, False)
    assert dtypes.lattice_result_type(np.int8(1), 3) == (np.int8, False)
    assert dtypes.lattice_result_type(np.float16(1), 3j) == (np.complex64, False)
    assert dtypes.result_type(1, 2.0, return_weak_type_flag=True) == (np.float32, True)
    assert dtypes.result_type(None) == np.float32
    with config.enable_x64(True):
        assert dtypes.result_type(1) == np.int64
        assert dtypes.result_type(1.0, np.int8) == np.float64


def test_three_operands():
    assert dtypes.lattice_result_type(np.int8(1), np.uint8(1), 1.0) == (np.float32, True)
    assert dtypes.promote_avals([Operand(n) for n in ("int8", "float16", "bfloat16")]) == (
        np.float32, False)


def test_promote_types():
    assert dtypes.promote_types("int8", "float16") == np.float16
    assert dtypes.promote_types(int, "float32") == np.float32
    assert dtypes.promote_types(float, int) == np.float64
    assert dtypes.promote_types("float64", "float32") == np.float64


def test_narrow_types_are_not_promoted():
    with pytest.raises(public.TypePromotionError) as error:
        dtypes.promote_types("int4", "float32")
    text = str(error.value)
    assert text.startswith("Input dtypes ('int4', 'float32') have no available implicit dtype "
                           "promotion path.")
    assert "4-bit integers" in text and "fix: " in text and "test_dtypes.py" in text


def test_strict_mode_error():
    with config.numpy_dtype_promotion("strict"):
        assert dtypes.result_type(1, np.float32) == np.float32
        with pytest.raises(public.TypePromotionError, match="jax_numpy_dtype_promotion=strict"):
            dtypes.result_type(np.int8, np.int32)


def test_caches_follow_the_configuration():
    pair = (Operand("int32"), Operand("uint32"))
    assert dtypes.promote_avals(pair) == (np.int32, False)
    with config.enable_x64(True):
        assert dtypes.promote_avals(pair) == (np.int64, False)
    assert dtypes.promote_avals(pair) == (np.int32, False)


def test_explicit_64_bits_warn():
    expected = ("Explicitly requested dtype float64 requested in zeros is not available, and will "
                "be truncated to dtype float32. To enable more dtypes, set the jax_enable_x64 "
                "configuration option or the JAX_ENABLE_X64 shell environment variable. See "
                "https://github.com/jax-ml/jax#current-gotchas for more.")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert dtypes.check_user_dtype("float64", "zeros") == np.float32
    assert [str(w.message) for w in caught] == [expected]
    assert caught[0].category is UserWarning and caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dtypes.check_user_dtype(float, "zeros") == np.float32
        assert dtypes.check_user_dtype(None, "zeros") == np.float32
        with config.enable_x64(True):
            assert dtypes.check_user_dtype("float64", "zeros") == np.float64
        with config.explicit_x64_dtypes("allow"):
            assert dtypes.check_user_dtype("float64", "zeros") == np.float64
        with config.explicit_x64_dtypes("error"), pytest.raises(ValueError, match="float64"):
            dtypes.check_user_dtype("float64", "zeros")


@pytest.mark.parametrize("bad", [str, object, "datetime64[s]", ">f4", np.longdouble, "S4"])
def test_impossible_dtypes(bad):
    with pytest.raises(TypeError, match="JAX only supports number, bool, and string dtypes"):
        dtypes.check_user_dtype(bad, "zeros")
    with pytest.raises(TypeError, match="not understood"):
        dtypes.check_user_dtype("foo", "zeros")


def test_canonicalize():
    assert dtypes.canonicalize_dtype("int64") == np.int32
    assert dtypes.canonicalize_dtype(complex) == np.complex64
    assert dtypes.canonicalize_dtype("uint8") == np.uint8
    with config.enable_x64(True):
        assert dtypes.canonicalize_dtype(float) == np.float64


class KeyType(dtypes.ExtendedDType):
    type = dtypes.prng_key
    name = "key<test>"
    itemsize = 8


def test_extended_dtypes():
    key = KeyType()
    assert repr(key) == "key<test>"
    assert dtypes.issubdtype(key, dtypes.prng_key)
    assert dtypes.issubdtype(key, dtypes.extended)
    assert not dtypes.issubdtype(key, np.inexact)
    assert dtypes.canonicalize_dtype(key, allow_extended_dtype=True) is key
    with pytest.raises(ValueError, match="allow_extended_dtype=False"):
        dtypes.canonicalize_dtype(key)
    assert dtypes.short_name(key) == "key<test>"


@pytest.mark.parametrize(("a", "b", "expected"), [
    (np.float32, np.floating, True), (dtypes.bfloat16, np.floating, True),
    (dtypes.bfloat16, np.inexact, True), (float, np.floating, True), ("int4", np.integer, True),
    ("int4", np.signedinteger, True), ("uint4", np.unsignedinteger, True), (int, np.integer, True),
    (dtypes.bfloat16, dtypes.bfloat16, True), (np.floating, np.inexact, True),
    (np.float32, np.float64, False), (dtypes.bfloat16, float, False), (dtypes.float0, bool, False),
    (dtypes.float0, np.generic, True), (np.float64, float, True), (np.float32, float, False),
    (dtypes.prng_key, dtypes.extended, True), ("float8_e4m3fn", np.floating, True),
    (np.int32, np.floating, False),
])  # fmt: skip
def test_issubdtype(a, b, expected):
    assert dtypes.issubdtype(a, b) is expected


def test_issubdtype_of_nonsense():
    with pytest.raises(TypeError):
        dtypes.issubdtype(3, int)


@pytest.mark.parametrize(("dtype", "inexact", "cplx"), [
    ("bool", "float32", "complex64"), ("int8", "float32", "complex64"),
    ("int64", "float64", "complex128"), ("uint4", "float32", "complex64"),
    ("bfloat16", "bfloat16", "complex64"), ("float64", "float64", "complex128"),
    ("complex64", "complex64", "complex64"), ("float8_e5m2", "float8_e5m2", "complex64"),
])  # fmt: skip
def test_to_inexact_and_complex(dtype, inexact, cplx):
    assert dtypes.to_inexact(dtype).name == inexact
    assert dtypes.to_complex(dtype).name == cplx


def test_small_facts():
    assert dtypes.to_real("complex64") == np.float32
    assert dtypes.to_real("int8") == np.int8
    assert [dtypes.itemsize_bits(d) for d in ("int4", "uint2", "float4_e2m1fn", bool, "float32")
            ] == [4, 2, 4, 8, 32]
    names = [dtypes.short_name(np.dtype(d)) for d in (
        "bfloat16", "uint8", "bool", "float8_e4m3fn", "complex64", "int4")]
    assert names == ["bf16", "u8", "bool", "f8_e4m3fn", "c64", "i4"]
    assert dtypes.short_name(dtypes.float0) == "float0"
    assert dtypes.scalar_type_of(np.int8(3)) is int
    assert dtypes.scalar_type_of(1.0) is float
    assert dtypes.is_python_scalar(3) and not dtypes.is_python_scalar(np.float64(3))
    assert dtypes.is_weak(3) and not dtypes.is_weak(True) and not dtypes.is_weak(np.ones(3))
    assert dtypes.isdtype("float32", "real floating")
    assert dtypes.isdtype("int8", ("bool", "signed integer"))
    assert not dtypes.isdtype("int8", "complex floating")
    assert dtypes.supports_inf("float32") and not dtypes.supports_inf("float8_e4m3fn")
    assert public.finfo("bfloat16").bits == 16 and public.iinfo("int4").max == 7
    assert public.bfloat16 is ml_dtypes.bfloat16
    with pytest.raises(TypeError, match="Cannot determine dtype of"):
        dtypes.dtype([1, 2])


def test_promotion_of_avals_is_one_cheap_call():
    import cProfile
    import pstats

    pair = (Operand("float32"), Operand("float32*"))
    dtypes.promote_avals(pair)
    profile = cProfile.Profile()
    profile.enable()
    dtypes.promote_avals(pair)
    profile.disable()
    assert pstats.Stats(profile).total_calls <= 4
