"""Values kept in programs that nothing uses, and values of the current trace."""

import numpy as np
import pytest

import minijax as jax
from minijax import lax


def keep(x, **options):
    lax.dce_sink({"a": x * 2}, **options)
    return x * x


def names(jaxpr):
    return [eqn.primitive.name for eqn in jaxpr.eqns]


def test_sinks_stay_in_jaxprs():
    assert names(jax.make_jaxpr(keep)(1.0)) == ["mul", "dce_sink", "mul"]
    assert "dce_sink" in names(jax.make_jaxpr(jax.grad(keep))(1.0))
    assert names(jax.make_jaxpr(jax.vmap(keep))(np.ones(3))) == ["mul"]
    looped = jax.make_jaxpr(lambda x: lax.fori_loop(0, 3, lambda _, c: keep(c), x))(1.0)
    assert names(looped.eqns[0].params["jaxpr"]).count("dce_sink") == 1


@pytest.mark.parametrize("prevent", [False, True])
def test_sinks_in_programs(prevent):
    def fun(x):
        return keep(x, prevent_mlir_dce=prevent)
    assert ("custom_call @dce_sink" in jax.jit(fun).lower(1.0).as_text()) == prevent
    assert fun(3.0) == jax.jit(fun)(3.0) == 9
    assert jax.jit(jax.grad(fun))(3.0) == jax.jit(jax.grad(jax.checkpoint(fun)))(3.0) == 6


def test_stage_makes_values_of_the_trace():
    out = lax.stage(2.0)
    assert isinstance(out, jax.Array) and out.weak_type
    assert names(jax.make_jaxpr(lambda x: lax.stage(2.0) + x)(1.0)) == ["add"]
    assert jax.grad(lambda x: lax.stage(2.0) * lax.stage_p.bind(x))(3.0) == 2
    assert jax.vmap(lambda x: lax.stage(2.0) * x)(np.ones(3)).tolist() == [2, 2, 2]
