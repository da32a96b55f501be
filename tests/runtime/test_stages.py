"""Ahead-of-time compilation: trace, lower, compile, call."""

import numpy as np
import pytest

import minijax as jax
from minijax import lax, stages
from minijax.base import config


def f(x, y, *, k=3):
    return {"o": lax.mul(x["a"], lax.broadcast(y, (3,)))}


ARGS = ({"a": np.ones(3, np.float32)}, 2.0)


def test_traced():
    traced = jax.jit(f).trace(*ARGS)
    assert isinstance(traced, stages.Traced)
    assert traced.fun_name == "f"
    assert str(traced.in_tree) == "PyTreeDef((({'a': *}, *), {}))"
    assert str(traced.out_tree) == "PyTreeDef({'o': *})"
    (first, second), kwargs = traced.args_info
    assert first["a"].shape == (3,)
    assert repr(second) == (
        "ArgInfo(_aval=ShapedArray(float32[], weak_type=True), donated=False)"
    )
    assert kwargs == {}
    assert traced.out_info["o"] == jax.ShapeDtypeStruct((3,), np.float32)
    assert traced.out_avals["o"].shape == (3,)
    assert traced.in_avals[0][1].weak_type
    assert traced.donate_argnums == ()
    assert [e.primitive.name for e in traced.jaxpr.eqns] == ["broadcast_in_dim", "mul"]


def test_text():
    lowered = jax.jit(lambda x: lax.add(x, x), donate_argnums=0).lower(np.ones(3, np.float32))
    assert lowered.as_text() == (
        "module @jit__lambda attributes {mhlo.num_partitions = 1 : i32, "
        "mhlo.num_replicas = 1 : i32} {\n"
        "  func.func public @main(%arg0: tensor<3xf32> {tf.aliasing_output = 0 : i32}) -> "
        '(tensor<3xf32> {jax.result_info = "result"}) {\n'
        "    %0 = stablehlo.add %arg0, %arg0 : tensor<3xf32>\n"
        "    return %0 : tensor<3xf32>\n"
        "  }\n"
        "}\n"
    )
    assert lowered.donate_argnums == (0,)
    assert lowered.as_text("stablehlo") == lowered.as_text()
    assert lowered.as_text("hlo").startswith("HloModule jit__lambda, ")
    assert 'loc("x")' in lowered.as_text(debug_info=True)
    with pytest.raises(ValueError, match="unknown dialect: foo"):
        lowered.as_text("foo")
    assert type(lowered.compiler_ir()).__name__ == "Module"
    assert type(lowered.compiler_ir("hlo")).__name__ == "XlaComputation"


def test_names_of_arguments_and_results():
    text = jax.jit(f).lower(*ARGS).as_text(debug_info=True)
    assert """loc("x['a']")""" in text
    assert """jax.result_info = "result['o']\"""" in text


def test_unused_arguments_are_dropped():
    def first(x, y):
        return x

    assert "%arg1" not in jax.jit(first).lower(1.0, 2.0).as_text()
    assert "%arg1" in jax.jit(first, keep_unused=True).lower(1.0, 2.0).as_text()
    compiled = jax.jit(first).lower(1.0, 2.0).compile()
    assert float(compiled(3.0, 4.0)) == 3.0
    assert compiled.input_shardings[0][1] is None


def test_analysis():
    lowered = jax.jit(f).lower(*ARGS)
    assert lowered.cost_analysis()["flops"] > 0
    compiled = lowered.compile()
    assert compiled.cost_analysis()["flops"] > 0
    assert compiled.memory_analysis().argument_size_in_bytes == 16
    assert compiled.as_text().startswith("HloModule jit_f")
    assert type(compiled.runtime_executable()).__name__ == "LoadedExecutable"
    here = jax.devices()[0]
    assert compiled.output_shardings["o"].device_set == {here}
    assert compiled.input_formats[0][0]["a"].layout.major_to_minor == (0,)
    assert compiled.output_formats["o"].sharding.device_set == {here}
    assert compiled.out_info["o"].sharding.device_set == {here}


def test_the_info_of_results_is_that_of_keys():
    info = jax.jit(jax.random.split).lower(jax.random.key(0)).compile().out_info
    assert info.shape == (2,) and jax.dtypes.issubdtype(info.dtype, jax.dtypes.prng_key)


def test_compiled_accepts_what_it_was_compiled_for():
    compiled = jax.jit(f).lower(*ARGS).compile()
    for args in (ARGS, ({"a": np.ones(3)}, 2.0), ({"a": jax.device_put(ARGS[0]["a"])},
                                                  np.float32(2))):
        for _ in range(2):
            np.testing.assert_array_equal(compiled(*args)["o"], [2.0, 2.0, 2.0])


@pytest.mark.parametrize(
    ("args", "kwargs", "lines"),
    [
        ((ARGS[0], 2), {}, ["Argument types differ from the types",
                            "Argument 'y' compiled with float32[] and called with int32[]"]),
        (({"a": np.ones(4, np.float32)}, 2.0), {}, [
            "Argument types differ",
            "Argument 'x['a']' compiled with float32[3] and called with float32[4]"]),
        ((ARGS[0],), {}, ["There are 1 mismatches", "at args, seen tuple of length 2"]),
        (({"b": 1.0}, 2.0), {}, ["There are 1 mismatches", "at args[0]"]),
        (ARGS, {"k": 4}, ["There are 1 mismatches", "at kwargs"]),
        ((ARGS[0], "a"), {}, ["Argument 'a' of type <class 'str'> is not a valid JAX type", ""]),
    ],
)
def test_compiled_refuses_everything_else(args, kwargs, lines):
    compiled = jax.jit(f).lower(*ARGS).compile()
    with pytest.raises(TypeError) as error:
        compiled(*args, **kwargs)
    first, *rest = str(error.value).splitlines()
    assert lines[0] in first
    assert lines[1] in "\n".join(rest)


def test_compiled_refuses_another_configuration():
    compiled = jax.jit(lambda x: x).lower(1.0).compile()
    assert float(compiled(2.0)) == 2.0
    with config.enable_x64(True), pytest.raises(TypeError, match="different enable_x64 mode"):
        compiled(2.0)


def test_compiled_is_no_function_to_transform():
    compiled = jax.jit(lambda x: x).lower(1.0).compile()
    with pytest.raises(TypeError, match="Cannot apply JAX transformations to a function lowered"):
        jax.vmap(compiled)(np.ones(2))


def test_static_arguments_are_gone():
    g = jax.jit(lambda n, x: lax.mul(x, float(n)), static_argnums=0)
    lowered = g.lower(3, jax.ShapeDtypeStruct((2,), np.float32))
    assert str(lowered.in_tree) == "PyTreeDef(((*,), {}))"
    np.testing.assert_array_equal(lowered.compile()(np.ones(2, np.float32)), [3.0, 3.0])
    with pytest.raises(TypeError, match="does not match the input pytree"):
        lowered.compile()(3, np.ones(2, np.float32))


def test_stages_after_donation():
    compiled = jax.jit(lambda x: lax.neg(x), donate_argnums=0).lower(np.ones(8)).compile()
    x = jax.device_put(np.ones(8, np.float32))
    compiled(x)
    assert x.is_deleted()


def test_eval_shape():
    assert jax.jit(f).eval_shape(*ARGS) == {"o": jax.ShapeDtypeStruct((3,), np.float32)}


def test_compile_options():
    lowered = jax.jit(f).lower(*ARGS)
    with pytest.raises(RuntimeError, match="No such compile option: 'xla_foo'"):
        lowered.compile({"xla_foo": 1})
    lowered.compile({"xla_cpu_enable_fast_math": True})


def test_another_platform_can_be_lowered_for():
    text = jax.jit(lambda x: x).trace(1.0).lower(lowering_platforms=("tpu",)).as_text()
    assert "func.func public @main" in text
