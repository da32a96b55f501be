"""Derivatives of functions, functions of modules and whole modules, as libraries ask for them."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import core
from minijax.extend.core import Primitive, jaxpr_as_fun
from minijax.extend.mlir import ir
from minijax.extend.mlir.dialects import func
from minijax.interpreters import ad, mlir

F32 = core.ShapedArray((), np.dtype("float32"))


def mixed(a, b):
    return {"count": 3, "fixed": jax.lax.stop_gradient(a), "product": jnp.sin(a) * b}


def test_linearize_gives_a_jaxpr_with_the_residuals_as_constants():
    value, is_zero, jaxpr, consts = ad.linearize(mixed, (1.0, 2.0))
    assert value["count"] == 3 and value["fixed"] == 1.0
    np.testing.assert_allclose(value["product"], 2 * np.sin(1), rtol=1e-6)
    assert is_zero == [True, True, False]
    assert len(jaxpr.constvars) == len(consts) and len(jaxpr.invars) == 2
    product, = core.eval_jaxpr(jaxpr, consts, 10.0, 100.0)
    np.testing.assert_allclose(product, 20 * np.cos(1) + 100 * np.sin(1), rtol=1e-6)


def test_linearize_has_an_input_for_every_leaf_and_gives_aux():
    value, is_zero, jaxpr, consts, aux = ad.linearize(
        lambda pair, n: (pair[0] * pair[1] * n, {"n": n}), ((3.0, 4.0), 5), has_aux=True)
    assert value == 60.0 and aux == {"n": 5} and is_zero == [False]
    assert [v.aval.dtype for v in jaxpr.invars] == ["float32", "float32", jax.dtypes.float0]
    out, = core.eval_jaxpr(jaxpr, consts, 1.0, 10.0, None)
    assert out == 1 * 20 + 10 * 15


@pytest.mark.parametrize("zero", [True, False])
def test_jvp_takes_and_gives_zeros(zero):
    tangents = (1.0, ad.Zero(F32) if zero else 1.0)
    value, kept = ad.jvp(mixed, (1.0, 2.0), tangents, instantiate=False)
    assert value["count"] == 3 and value["fixed"] == 1.0
    np.testing.assert_allclose(kept["product"], 2 * np.cos(1) + (not zero) * np.sin(1), rtol=1e-6)
    assert isinstance(kept["fixed"], ad.Zero) and isinstance(kept["count"], ad.Zero)
    _, whole, aux = ad.jvp(lambda *xs: (mixed(*xs), xs[1]), (1.0, 2.0), tangents, has_aux=True)
    assert whole["fixed"] == 0.0 and whole["count"].dtype == jax.dtypes.float0 and aux == 2.0


@pytest.mark.parametrize("plain", [True, False])
def test_jvp_names_operations_after_itself(plain):
    def push(x):
        return ad.jvp(jnp.sin, (x,), (x,), transform_stack=not plain)
    scopes = [str(e.source_info.name_stack) for e in jax.make_jaxpr(push)(1.0).eqns]
    assert ("jvp()" in scopes[0]) is not plain


TABLE = jnp.array([1.0, 2.0, 3.0])
CALLED = jax.make_jaxpr(lambda x: jnp.sin(x) * 2 + TABLE)(jnp.ones(3))


def make_caller(**options):
    p = Primitive("caller")
    p.def_abstract_eval(lambda x: x)

    def rule(ctx, x):
        made = mlir.lower_jaxpr_to_fun(ctx.module_context, "helper", CALLED, [],
                                       num_const_args=0, in_avals=ctx.avals_in, **options)
        return func.CallOp(made.type.results, ir.FlatSymbolRefAttr.get(made.name.value),
                           [x]).results

    mlir.register_lowering(p, rule)
    return p


def test_rules_may_make_functions_of_jaxprs():
    x = np.float32([1, 2, 3])
    lowered = jax.jit(make_caller().bind).lower(x)
    assert "func.func private @helper" in lowered.as_text()
    np.testing.assert_allclose(lowered.compile()(x), jaxpr_as_fun(CALLED)(x)[0], rtol=1e-6)
    public = jax.jit(make_caller(main_function=True).bind).lower(x)
    assert "func.func public @helper" in public.as_text()


def test_a_function_of_a_jaxpr_takes_all_of_its_inputs():
    p = Primitive("wrong")
    p.def_abstract_eval(lambda x: x)
    mlir.register_lowering(p, lambda ctx, x: mlir.lower_jaxpr_to_fun(
        ctx.module_context, "helper", CALLED, [], num_const_args=1, in_avals=ctx.avals_in))
    with pytest.raises(ValueError, match=r"1 types are given for 1 constants and 1 inputs"):
        jax.jit(p.bind)(np.ones(3, np.float32))


def test_modules_are_merged_under_names_that_are_free():
    text = str(jax.jit(make_caller().bind).lower(np.ones(3, np.float32)).compiler_ir())
    context = mlir.make_ir_context()
    target, source = ir.Module.parse(text, context), ir.Module.parse(text, context)
    assert mlir.merge_mlir_modules(target, "merged", source) == "merged"
    assert mlir.merge_mlir_modules(target, "merged", ir.Module.parse(text, context)) == "merged_0"
    target.operation.verify()
    names = [op.name.value for op in target.body]
    assert names == ["main", "helper", "merged", "helper_0", "merged_0", "helper_1"]
    assert {op.name.value: op.sym_visibility.value for op in target.body}["merged"] == "private"
    bodies = {op.name.value: str(op) for op in target.body}
    assert "@helper_1(" in bodies["merged_0"] and "@helper(" in bodies["main"]


def test_values_of_a_librarys_own_class_become_constants():
    class Half:
        pass

    p = Primitive("half")
    p.def_abstract_eval(lambda: F32)
    mlir.register_constant_handler(Half, lambda val, aval: mlir.ir_constant(np.float32(0.5)))
    mlir.register_lowering(p, lambda ctx: [mlir.ir_constant(Half())])
    assert jax.jit(p.bind)() == 0.5
