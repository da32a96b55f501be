"""Programs that are stored: calls, types, platforms, derivatives, bytes."""

import collections
import re

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import export
from minijax.export import program

X = jnp.arange(6.0).reshape(2, 3)


def f(x, y):
    return {"product": x * y}, (x.sum(), None)


@pytest.fixture(scope="module")
def exported():
    return export.export(jax.jit(f))(jax.ShapeDtypeStruct((2, 3), np.float32), jnp.float32(2))


@pytest.mark.parametrize("wrap", [lambda g: g, jax.jit], ids=["eager", "jit"])
def test_calls_give_what_the_function_gives(exported, wrap):
    found, wanted = wrap(exported.call)(X, jnp.float32(3)), f(X, 3.0)
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


def test_what_it_says_of_itself(exported):
    assert exported.fun_name == "f"
    assert exported.platforms == ("cpu",) and exported.nr_devices == 1
    assert [a.str_short() for a in exported.in_avals] == ["f32[2,3]", "f32[]"]
    assert [a.str_short() for a in exported.out_avals] == ["f32[2,3]", "f32[]"]
    assert exported.module_kept_var_idx == (0, 1)
    assert exported.has_vjp()
    assert "stablehlo.multiply" in exported.mlir_module()
    assert str(exported) == "Exported(fun_name=f, ...)"


@pytest.mark.parametrize("args, text", [
    ((jnp.ones((2, 4)), jnp.float32(3)), "Shape mismatch for args[0].shape[1] (expected same "
     "constant): expected (2, 3) and called with (2, 4)"),
    ((jnp.ones(2), jnp.float32(3)), "Rank mismatch for args[0]: expected (2, 3) and called with "
     "(2,)"),
    ((jnp.ones((2, 3), int), jnp.float32(3)), "Dtype mismatch for args[0]: expected float32 and "
     "called with int32"),
    ((X,), "The invocation args and kwargs must have the same pytree structure as when the "
     "function 'f' was exported")])
def test_other_arguments_are_refused(exported, args, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        exported.call(*args)


def test_mistakes():
    with pytest.raises(ValueError, match="must be the result of `jit`"):
        export.export(f)
    with pytest.raises(ValueError, match="at least one platform"):
        export.export(jax.jit(f), platforms=())
    with pytest.raises(ValueError, match="not a program that"):
        export.deserialize(b"something else")
    with pytest.raises(NotImplementedError, match="effects"):
        export.export(jax.jit(lambda x: jax.debug.print("{}", x)))(1.0)


def test_other_platforms():
    tpu = export.export(jax.jit(jnp.sin), platforms=("tpu", "cuda"))(1.0)
    assert tpu.platforms == ("tpu", "cuda")
    with pytest.raises(ValueError, match=re.escape(
            "Function 'sin' was exported for platforms '('tpu', 'cuda')' but it is used on "
            "'('cpu',)'.")):
        tpu.call(1.0)
    both = export.export(jax.jit(jnp.linalg.cholesky), platforms=("cuda", "cpu"))(jnp.eye(2))
    assert both.uses_global_constants  # its code differs, and the platform is an argument
    np.testing.assert_array_equal(both.call(4 * jnp.eye(2)), 2 * jnp.eye(2))


def test_bytes_and_derivatives(exported):
    plain = export.deserialize(exported.serialize())
    np.testing.assert_array_equal(plain.call(X, 3.0)[0]["product"], 3 * X)
    with pytest.raises(ValueError, match="No VJP is available"):
        jax.grad(lambda x: plain.call(x, 3.0)[1][0])(X)
    twice = export.deserialize(exported.serialize(vjp_order=2))
    assert twice.vjp().has_vjp() and not twice.vjp().vjp().has_vjp()

    def loss(call):
        return lambda x, y: (call(x, y)[0]["product"] ** 2).sum()
    for order in (jax.grad(loss(twice.call), (0, 1)), jax.jit(jax.grad(loss(twice.call), (0, 1)))):
        found, wanted = order(X, jnp.float32(3)), jax.grad(loss(f), (0, 1))(X, jnp.float32(3))
        jax.tree.map(np.testing.assert_allclose, found, wanted)


def test_programs_within_programs():
    inner = export.export(jax.jit(lambda x: jnp.sin(x)))(X)
    outer = export.export(jax.jit(lambda x: inner.call(inner.call(x)) + jnp.sin(x)))(X)
    again = export.deserialize(outer.serialize())
    np.testing.assert_allclose(again.call(X), np.sin(np.sin(X)) + np.sin(X), rtol=1e-6)


def test_constants_travel_along():
    table = jax.random.normal(jax.random.key(0), (100, 100))
    again = export.deserialize(export.export(jax.jit(lambda i: table[i]))(0).serialize())
    np.testing.assert_array_equal(again.call(7), table[7])


def test_integers_and_unused_arguments():
    g = export.export(jax.jit(lambda n, x, unused: (n + 1, x * n)))(2, 3.0, X)
    assert g.module_kept_var_idx == (0, 1)
    assert jax.grad(lambda x: g.call(2, x, X)[1])(3.0) == 2


Pair = collections.namedtuple("Pair", "a b")


@jax.tree_util.register_pytree_node_class
class Scaled:
    def __init__(self, value, unit):
        self.value, self.unit = value, unit

    def tree_flatten(self):
        return (self.value,), self.unit

    @classmethod
    def tree_unflatten(cls, unit, children):
        return cls(children[0], unit)


def test_nodes_of_other_types():
    made = export.export(jax.jit(lambda p, s: Pair(p.b, Scaled(s.value + p.a, s.unit))))(
        Pair(1.0, [2.0]), Scaled(3.0, "m"))
    with pytest.raises(ValueError, match="Cannot serialize PyTreeDef with node type"):
        made.serialize()
    export.register_namedtuple_serialization(Pair, serialized_name="tests.Pair")
    export.register_pytree_node_serialization(
        Scaled, serialized_name="tests.Scaled", serialize_auxdata=str.encode,
        deserialize_auxdata=bytes.decode)
    out = export.deserialize(made.serialize()).call(Pair(1.0, [2.0]), Scaled(3.0, "m"))
    assert type(out) is Pair and out.a == [2.0] and (out.b.value, out.b.unit) == (4.0, "m")
    with pytest.raises(ValueError, match="Duplicate serialization registration"):
        export.register_namedtuple_serialization(Pair, serialized_name="tests.Other")


def test_calls_without_guarantees():
    check = export.DisabledSafetyCheck.custom_call("mine")
    assert check.is_custom_call() == "mine"
    assert export.DisabledSafetyCheck.platform().is_custom_call() is None
    text = 'stablehlo.custom_call @mine(%0)'
    with pytest.raises(ValueError, match="no compatibility guarantees: mine"):
        program._check_calls(text, ())
    assert program._check_calls(text, (check,)) is None
    assert program._check_calls("stablehlo.custom_call @lapack_spotrf_ffi(%0)", ()) is None


def test_weak_types_of_results_survive():
    made = export.export(jax.jit(jnp.cos))(1.0)
    assert made.out_avals[0].weak_type and made.call(1.0).weak_type
    assert export.deserialize(made.serialize()).call(1.0).weak_type
    assert not export.export(jax.jit(jnp.cos))(jnp.float32(1)).call(1.0).weak_type
