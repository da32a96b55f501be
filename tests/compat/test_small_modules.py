"""Small public modules: typing, dlpack, profiler, hijax, attention with known masks."""

import gzip
import typing

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.experimental import hijax
from minijax.experimental.pallas.ops.tpu.splash_attention import (splash_attention_kernel as kernel,
                                                                  splash_attention_mask as masks)


def test_typing():
    assert set(typing.get_args(jax.typing.ArrayLike)) == {
        jax.Array, np.ndarray, np.bool_, np.number, bool, int, float, complex}
    assert isinstance(1.5, jax.typing.ArrayLike) and isinstance(jnp.ones(1), jax.typing.ArrayLike)
    assert str in typing.get_args(jax.typing.DTypeLike)


def test_dlpack():
    np.testing.assert_array_equal(jax.dlpack.from_dlpack(np.arange(4)), np.arange(4))
    supported = ["bool", "int8", "uint64", "bfloat16", "complex128"]
    assert all(map(jax.dlpack.is_supported_dtype, supported))
    assert not jax.dlpack.is_supported_dtype(jnp.float8_e4m3fn)
    with pytest.raises(TypeError):
        jax.dlpack.is_supported_dtype("nothing")


def test_methods_are_found_on_the_class_of_arrays():
    assert callable(jax.Array.sum) and callable(jax.Array.__add__)
    assert isinstance(jax.Array.shape, property | type(type(jnp.ones(1)).shape))


def test_profiler(tmp_path):
    with jax.profiler.trace(tmp_path, create_perfetto_trace=True):
        with jax.profiler.StepTraceAnnotation("step", step_num=1):
            jnp.ones(3).block_until_ready()
        assert jax.profiler.annotate_function(lambda x: x + 1, name="one")(1) == 2
        assert jax.profiler.TraceAnnotation("two", kind="test")(lambda: 5)() == 5
        with pytest.raises(RuntimeError, match="already been started"):
            jax.profiler.start_trace(tmp_path)
    assert list(tmp_path.rglob("*.xplane.pb"))
    jax.profiler.save_device_memory_profile(tmp_path / "memory.prof")
    assert gzip.decompress((tmp_path / "memory.prof").read_bytes())
    with pytest.raises(RuntimeError, match="No profile started"):
        jax.profiler.stop_trace()
    with pytest.raises(ValueError, match="No active profiler server"):
        jax.profiler.stop_server()


class Double(hijax.HiPrimitive):
    def abstract_eval(self, x):
        return x, set()

    def to_lojax(self, x):
        return x + x

    impl = to_lojax

    def jvp(self, primals, tangents):
        return double_p.bind(*primals), double_p.bind(*map(hijax.instantiate_zeros, tangents))

    def transpose(self, ct, x):
        assert hijax.is_undefined_primal(x)
        return (double_p.bind(ct),)

    def batch(self, axis, args, dims):
        return double_p.bind(*args), dims[0]


double_p = Double("double")


def test_primitives_with_rules_as_methods():
    x = jnp.arange(3.0)
    assert double_p.bind(x).tolist() == [0, 2, 4]
    assert jax.jit(double_p.bind)(x).tolist() == [0, 2, 4]
    assert jax.vmap(double_p.bind)(x).tolist() == [0, 2, 4]
    assert jax.grad(double_p.bind)(1.0) == 2
    assert jax.jit(jax.grad(lambda x: double_p.bind(x) ** 2))(3.0) == 24


def test_types_of_other_classes():
    class Box:
        pass

    class BoxType(hijax.HiType):
        pass
    hijax.register_hitype(Box, lambda box: BoxType())
    assert isinstance(jax.typeof(Box()), BoxType)


def test_masks():
    causal = masks.CausalMask((3, 4))
    assert causal.shape == (3, 4)
    np.testing.assert_array_equal(causal[:, :], np.tri(3, 4, dtype=bool))
    local = masks.LocalMask((3, 3), (1, 0), 0)
    np.testing.assert_array_equal(local.array(), np.tri(3, dtype=bool) & ~np.tri(3, k=-2,
                                                                                dtype=bool))
    assert (causal | masks.FullMask((3, 4))).array().all()
    assert masks.MultiHeadMask([local, local]).shape == (2, 3, 3)
    with pytest.raises(ValueError, match="boolean"):
        masks.NumpyMask(np.ones((2, 2)))


def test_attention_with_a_known_mask():
    q, k, v = jax.random.normal(jax.random.key(0), (3, 2, 5, 4))
    mask = masks.MultiHeadMask([masks.CausalMask((5, 5))] * 2)
    found = kernel.make_splash_mha(mask, head_shards=1, q_seq_shards=1)(q, k, v)
    wanted = jax.nn.dot_product_attention(
        *[x.transpose(1, 0, 2) for x in (q, k, v)], scale=1.0, is_causal=True).transpose(1, 0, 2)
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-6)
    parts = kernel.SegmentIds(jnp.array([0, 0, 0, 1, 1]), jnp.array([0, 0, 0, 1, 1]))
    split = kernel.make_splash_mha(mask, head_shards=1, q_seq_shards=1)(q, k, v, parts)
    np.testing.assert_allclose(split[:, :3], found[:, :3], rtol=2e-5, atol=1e-6)
    shared = kernel.make_splash_mqa(mask, head_shards=1, q_seq_shards=1)(q, k[0], v[0])
    np.testing.assert_allclose(shared[0], found[0], rtol=2e-5, atol=1e-6)


def test_known_values_are_computed_while_tracing():
    def f(x):
        with jax.ensure_compile_time_eval():
            size = jnp.arange(3).sum()
            assert int(size) == 3
            chosen = jnp.where(x > 0, x, size)  # a tracer: part of the program
        return chosen + size
    assert jax.jit(f)(2.0) == 5 and jax.grad(f)(2.0) == 1
    assert jax.vmap(f)(jnp.array([-1.0, 2.0])).tolist() == [6, 5]


def test_the_namespace_describes_itself():
    info = jnp.__array_namespace_info__()
    assert jnp.__array_api_version__ == "2024.12"
    assert info.capabilities()["boolean indexing"]
    assert info.default_dtypes()["real floating"] == np.float32
    assert set(info.dtypes(kind="real floating")) == {"float32"}
    assert "int64" not in info.dtypes() and "uint8" in info.dtypes()
    assert set(jax.devices()) <= set(info.devices())
    with jax.enable_x64(True):
        assert info.default_dtypes()["integral"] == np.int64
