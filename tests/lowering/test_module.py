"""`lower`: functions, constants, donation, shardings, locations, expansion, errors."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from jaxlib.xla_client import Traceback

import lowering
from lowering import build, module
from tests.lowering.fakes import (
    Literal,
    Program,
    aval,
    check,
    inner,
    one,
    run,
    text,
)

F32 = ("float32", 3)


def chain(length, name="sin"):
    """A jaxpr of `length` equations, f32[3] -> f32[3]."""
    def body(program, x):
        for _ in range(length):
            x = program.bind(name, [x], F32)
        return x

    return inner(body, aval(*F32))


def test_import_makes_no_client_and_does_not_load_minijax():
    code = ("import sys, lowering; assert not any(m.split('.')[0] in ('minijax', 'jax')"
            " for m in sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_module_and_main():
    found = text(one("sin", [aval(*F32)], F32), name="jit_f(x)", num_partitions=2)
    check(found, """
        CHECK: module @jit_f_x_ attributes {mhlo.num_partitions = 2 : i32, mhlo.num_replicas = 1
        CHECK: func.func public @main(%arg0: tensor<3xf32>) -> tensor<3xf32>
        CHECK: %0 = stablehlo.sine %arg0 : tensor<3xf32>
        CHECK: return %0 : tensor<3xf32>
    """)


def test_results_may_be_inputs_literals_or_nothing():
    program = Program()
    x = program.input(*F32)
    got = run(program.jaxpr(x, Literal(3, "int32"), x), np.float32([1, 2, 3]))
    np.testing.assert_array_equal(got[0], [1, 2, 3])
    assert got[1] == 3
    assert run(Program().jaxpr()) == []


def test_equal_constants_are_emitted_once_per_block():
    program = Program()
    x = program.input(*F32)
    for _ in range(3):
        x = program.bind("add", [x, Literal(1.5, "float32")], F32)
    assert text(program.jaxpr(x)).count("stablehlo.constant") == 1


@pytest.mark.parametrize("dtype", [
    "bool", "int4", "uint4", "int8", "uint16", "int32", "uint64", "bfloat16", "float16",
    "float32", "float64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2"])
def test_constants_of_every_dtype(dtype):
    value = np.array([1, 0, 3]).astype(aval(dtype).dtype)
    program = Program()
    got, = run(program.jaxpr(program.const(value)))
    assert got.dtype == value.dtype
    np.testing.assert_array_equal(got.astype("complex64"), value.astype("complex64"))


def test_float0_is_bool():
    program = Program()
    x = program.input(build.float0, 2)
    check(text(program.jaxpr(x)), "CHECK: @main(%arg0: tensor<2xi1>) -> tensor<2xi1>")
    assert "tensor<2xi1>" in text(one(
        "convert_element_type", [aval("int32", 2)], (build.float0, 2), new_dtype=build.float0))


def test_consts_are_constants_or_leading_arguments():
    program = Program()
    x, a, b = program.input(*F32), program.const(np.float32([1, 2, 3])), program.const(
        np.float32([4, 5, 6]))
    y = program.bind("sub", [program.bind("add", [x, a], F32), b], F32)
    jaxpr = program.jaxpr(y)
    check(text(jaxpr), """
        CHECK: @main(%arg0: tensor<3xf32>) ->
        CHECK: constant dense<[1.000000e+00, 2.000000e+00, 3.000000e+00]>
    """)
    check(text(jaxpr, const_args=[False, True]), """
        CHECK: @main(%arg0: tensor<3xf32>, %arg1: tensor<3xf32>)
        CHECK: stablehlo.add %arg1, %cst
        CHECK: stablehlo.subtract %0, %arg0
    """)
    got, = run(jaxpr, np.float32([4, 5, 6]), np.zeros(3), const_args=[False, True])
    np.testing.assert_array_equal(got, [-3, -3, -3])


def test_donation_pairs_inputs_with_outputs_of_their_type():
    program = Program()
    x, y, z = program.input(*F32), program.input("int32"), program.input(*F32)
    jaxpr = program.jaxpr(z, program.bind("neg", [x], F32))
    lowered = lowering.lower(jaxpr, donated=(True, True, True))
    assert lowered.aliases == {0: 0, 2: 1}
    assert lowered.unused_donations == (1,)
    check(lowered.text(), "CHECK: @main(%arg0: tensor<3xf32> {tf.aliasing_output = 0 : i32}, "
                          "%arg1: tensor<i32>, %arg2: tensor<3xf32> {tf.aliasing_output = 1 : i32}")


def test_shardings_and_names():
    sharding = '#sdy.sharding<@mesh, [{"x"}]>'
    found = text(one("sin", [aval("float32", 4)], ("float32", 4)), in_shardings=[sharding],
                 out_shardings=[sharding], spmd=SimpleNamespace(texts={"mesh": '<["x"=2]>'}),
                 num_partitions=2, result_names=["result"])
    check(found, """
        CHECK: sdy.mesh @mesh = <["x"=2]>
        CHECK: -> (tensor<4xf32> {jax.result_info = "result", sdy.sharding = #sdy.sharding<@mesh
    """)


def test_donation_needs_equal_shardings():
    one_way, other = '#sdy.sharding<@mesh, [{"x"}]>', '#sdy.sharding<@mesh, [{}]>'
    jaxpr = one("sin", [aval("float32", 4)], ("float32", 4))
    lowered = lowering.lower(jaxpr, in_shardings=[one_way], out_shardings=[other], donated=[True],
                             spmd=SimpleNamespace(texts={"mesh": '<["x"=2]>'}))
    assert lowered.unused_donations == (0,)


def jit_twice(jaxpr, **params):
    program = Program()
    x = program.input(*F32)
    for _ in range(2):
        x = program.bind("jit", [x], F32, jaxpr=jaxpr, name="body", **params)
    return program.jaxpr(x)


def test_small_or_inline_jits_are_copied():
    assert "call" not in text(jit_twice(chain(module.INLINE_EQUATIONS)))
    assert "call" not in text(jit_twice(chain(20), inline=True))


def test_large_jit_is_one_private_function():
    found = text(jit_twice(chain(20)))
    check(found, """
        CHECK: %0 = call @body(%arg0)
        CHECK: %1 = call @body(%0)
        CHECK: func.func private @body(%arg0: tensor<3xf32>) -> tensor<3xf32>
        CHECK-NOT: func.func
    """)


def test_different_jits_of_one_name_get_two_functions():
    program = Program()
    x = program.input(*F32)
    for jaxpr in (chain(20), chain(20, "cos")):
        x = program.bind("jit", [x], F32, jaxpr=jaxpr, name="body")
    found = text(program.jaxpr(x))
    check(found, """
        CHECK: func.func private @body(
        CHECK: func.func private @body_0(
    """)


def test_missing_rule_is_expanded_or_named():
    jaxpr = one("twice", [aval(*F32)], F32)
    body = inner(lambda p, x: p.bind("add", [x, x], F32), aval(*F32))
    got, = run(jaxpr, [1, 2, 3], expand=lambda eqn: body)
    np.testing.assert_array_equal(got, [2, 4, 6])
    message = r"translation rule for primitive 'twice' not found for platform cpu\n.*\n?.*fix: "
    with pytest.raises(NotImplementedError, match=message):
        lowering.lower(jaxpr, expand=lambda eqn: None)


def test_platform_rule_shadows_the_default():
    @lowering.rule("thrice")
    def thrice(ctx, x):
        return ctx.same("stablehlo.add", ctx.same("stablehlo.add", x, x), x)

    @lowering.rule("thrice", platform="gpu")
    def thrice_gpu(ctx, x):
        return ctx.same("stablehlo.multiply", x, ctx.const_like(3, x))

    jaxpr = one("thrice", [aval(*F32)], F32)
    assert "multiply" not in text(jaxpr)
    for platform in ("cuda", "rocm"):
        check(text(jaxpr, platform=platform), "CHECK: stablehlo.multiply")


def test_missing_rule_lists_the_platforms_that_have_one():
    lowering.set_rule("gpu_only", lambda ctx, x: x, "cuda")
    with pytest.raises(NotImplementedError, match="it has a rule for: cuda"):
        lowering.lower(one("gpu_only", [aval(*F32)], F32))


def test_locations_point_at_the_source():
    def here():
        return Traceback.get_traceback()

    program = Program()
    x = program.input(*F32)
    y = program.bind("sin", [x], F32, source=here())
    mine = lambda code: code.co_filename if code.co_filename == __file__ else None  # noqa: E731
    lowered = lowering.lower(program.jaxpr(y), name="f", code_to_filename=mine)
    shown = lowered.text(debug_info=True)
    assert '"f/sin"' in shown
    assert f'"{__file__}":{here.__code__.co_firstlineno + 1}:' in shown


def test_bytecode_ignores_locations():
    jaxpr = one("sin", [aval(*F32)], F32)
    other = one("sin", [aval(*F32)], F32)
    other.eqns[0] = other.eqns[0]._replace(source=Traceback.get_traceback())
    lowered = lowering.lower(other, code_to_filename=lambda code: code.co_filename)
    assert lowered.bytecode() == lowering.lower(jaxpr).bytecode()
    assert "test_module" in lowered.text(debug_info=True)  # the module still has them


def test_contexts_are_reused_and_replaced(monkeypatch):
    monkeypatch.setattr(build, "MODULES_PER_CONTEXT", 3)
    monkeypatch.setattr(build, "_current", None)
    jaxpr = one("sin", [aval(*F32)], F32)
    contexts = [lowering.lower(jaxpr).module.context for _ in range(4)]
    assert contexts[0] == contexts[2] != contexts[3]


def test_an_invalid_module_is_refused():
    lowering.set_rule("wrong", lambda ctx, x: ctx.op("stablehlo.add", (x,), ctx.outs))
    with pytest.raises(Exception, match="operand"):
        lowering.lower(one("wrong", [aval(*F32)], F32))


def test_after_an_error_the_next_module_is_sound():
    with pytest.raises(NotImplementedError):
        lowering.lower(jit_twice(chain(20, "unheard_of")))
    assert run(jit_twice(chain(20, "neg")), [1, 2, 3])[0].tolist() == [1, 2, 3]


def test_inner_consts():
    program = Program()
    x = program.input(*F32)
    body = inner(lambda p, x: p.bind("add", [x, p.const(np.float32([1, 2, 3]))], F32), aval(*F32))
    y = program.bind("custom_jvp_call", [x], F32, call_jaxpr=body, num_consts=0)
    np.testing.assert_array_equal(run(program.jaxpr(y), [0, 0, 0])[0], [1, 2, 3])


def test_checkpoint_has_a_barrier_only_when_differentiated():
    body = chain(2)
    for differentiated in (True, False):
        found = text(one("remat2", [aval(*F32)], F32, jaxpr=body, prevent_cse=True,
                         differentiated=differentiated, policy=None))
        assert ("optimization_barrier" in found) == differentiated


def test_custom_linear_solve_runs_the_solve():
    solve = inner(lambda p, a, b: p.bind("div", [b, a], F32), aval(*F32), aval(*F32))
    lengths = SimpleNamespace(matvec=1, vecmat=1, solve=1, transpose_solve=1)
    jaxpr = one("custom_linear_solve", [aval(*F32)] * 5, F32, const_lengths=lengths,
                jaxprs=SimpleNamespace(solve=solve))
    ones, twos = np.ones(3), np.full(3, 2.0)
    np.testing.assert_array_equal(run(jaxpr, ones, ones, twos, ones, twos)[0], ones)
