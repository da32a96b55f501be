"""Programs for symbolic sizes: exported once, then called with several shapes."""

import re

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import export, lax
from minijax.export.dims import UnexpectedDimVar

S = jax.ShapeDtypeStruct


def matrix(m, n=3):
    return np.arange(1.0, m * n + 1, dtype=np.float32).reshape(m, n)


def specs(args, shapes, constraints=()):
    return export.symbolic_args_specs(args, shapes, constraints=constraints)


UNARY = {
    "elementwise": lambda x: jnp.sin(x) * 2 + x,
    "broadcast": lambda x: x[:, :1] + jnp.zeros((2, *x.shape)),
    "softmax": lambda x: jax.nn.softmax(x) + x.sum() + x.max(0),
    "mean and variance": lambda x: (x.mean(0), jnp.var(x)),
    "products": lambda x: (x @ x.T, jnp.einsum("ij,ik->jk", x, x)),
    "reshape": lambda x: (x.reshape(-1), x.reshape(-1, 1, x.shape[1]), x.T),
    "slices": lambda x: (x[1:], x[:-1, ::2], x[::-1], x[-1], x[: x.shape[0] - 1]),
    "padding": lambda x: (jnp.pad(x, 1), jnp.roll(x, 1, 0), jnp.tile(x, (2, 1))),
    "joining": lambda x: (jnp.concatenate([x, x]), jnp.stack([x, x]), jnp.split(x, 3, 1)),
    "making": lambda x: (jnp.arange(x.shape[0]), jnp.full((x.shape[0], 2), 3.0), jnp.tril(x)),
    "sorting": lambda x: (jnp.sort(x, 0), jnp.argmax(x, 0), jnp.argsort(-x, 0)),
    "prefix sums": lambda x: jnp.cumsum(x, 0),
    "sizes as values": lambda x: (
        x * x.shape[0], jnp.array(x.shape), x / x.size, 2.0 ** x.shape[0]),
    "loop": lambda x: lax.fori_loop(0, x.shape[0], lambda i, s: s + x[i], jnp.zeros(3)),
    "scan": lambda x: lax.scan(lambda s, r: (s + r, s), jnp.zeros(3), x),
    "recurrence": lambda x: lax.scan(
        lambda h, r: (jnp.tanh(h + r), h), jnp.zeros(x.shape[0]), x.T),
    "contraction": lambda x: jnp.einsum("ti,si,sj->tj", x, x, x),
    "while and cond": lambda x: lax.while_loop(
        lambda s: s[0, 0] < 100,
        lambda s: lax.cond(s[0, 0] > 4, jnp.square, lambda s: s + 1, s), x),
    "vmap": lambda x: jax.vmap(lambda r: jnp.outer(r, r) @ r)(x),
    "grad": lambda x: jax.grad(lambda x: (jnp.sin(x) ** 2).mean())(x),
    "nested jit": lambda x: jax.jit(lambda y: jax.jit(jnp.cumsum)(y.reshape(-1)) + y.size)(x),
    "windows": lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2, 2), (2, 2), "SAME"),
    "convolution": lambda x: lax.conv_general_dilated(
        x[None, None], jnp.ones((1, 1, 2, 2)), (2, 2), "SAME"),
    "updates": lambda x: (x.at[0].set(1.0), lax.dynamic_update_slice(x, jnp.ones((1, 2)), (1, 0))),
    "dynamic slice": lambda x: lax.dynamic_slice(x, (1, 0), (x.shape[0] - 1, 2)),
    "random": lambda x: jax.random.normal(jax.random.key(0), x.shape),
    "special functions": lambda x: (lax.erf(x), jax.nn.gelu(x), lax.top_k(x, 2)),
}


@pytest.mark.parametrize("name", UNARY)
def test_operations(name):
    f = jax.jit(UNARY[name])
    made = export.export(f)(S((*export.symbolic_shape("b"), 3), np.float32))
    made = export.deserialize(made.serialize())
    for x in (matrix(4), matrix(7)):
        wanted, found = f(x), made.call(x)
        assert jax.tree.structure(found) == jax.tree.structure(wanted)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-6, atol=1e-6), found,
                     wanted)


def test_gather_and_scatter():
    f = jax.jit(lambda x, i: (x[i], x.at[i].add(1.0)))
    x, i = matrix(4), np.array([2, 0, 2, 1, 3], np.int32)
    made = export.export(f)(*specs((x, i), ("b, _", "c")))
    jax.tree.map(np.testing.assert_array_equal, made.call(x, i), f(x, i))


def test_what_it_says_of_itself():
    a, b = export.symbolic_shape("a, b")
    made = export.export(jax.jit(lambda x, y: jnp.concatenate([x, y[1:]])))(
        S((2 * a, b), np.float32), S((a, b), np.float32))
    assert [x.str_short() for x in made.in_avals] == ["f32[2*a,b]", "f32[a,b]"]
    assert [x.str_short() for x in made.out_avals] == ["f32[3*a - 1,b]"]
    assert made.uses_global_constants
    text = made.mlir_module()
    assert "jax.uses_shape_polymorphism = true" in text and "shape_assertion" in text
    assert 'jax.global_constant = "a"' in text and "tensor<?x?xf32>" in text
    again = export.deserialize(made.serialize())
    assert str(again.in_avals) == str(made.in_avals) and str(again.out_avals) == str(made.out_avals)
    assert again.in_avals[0].shape[0].scope is again.out_avals[0].shape[0].scope


def test_jaxprs_show_sizes():
    b, = export.symbolic_shape("b")
    text = str(jax.make_jaxpr(lambda x: x.reshape(-1) * x.shape[0])(S((b, 2), np.float32)))
    assert "a:f32[b,2]" in text and "new_sizes=(2*b,)" in text and "dim_as_value[dim=b]" in text


WRONG = "Input shapes do not match the polymorphic shapes specification. "


@pytest.mark.parametrize("shapes, sizes, text", [
    ("a, 3", (4, 4), "Shape mismatch for args[0].shape[1] (expected same constant)"),
    ("a, a", (4, 5), f"{WRONG}Found inconsistency between dimension size args[0].shape[1] (= 5) "
     "and the specification 'a' (= 4)"),
    ("5*a, b", (12, 1), f"{WRONG}Division had remainder 2 when computing the value of 'a'"),
    ("a + 4, b", (4, 1), f"{WRONG}Expected value >= 1 for dimension variable 'a'. Using the "
     "following polymorphic shapes specifications: args[0].shape = (a + 4, b). Obtained dimension "
     "variables: 'a' = 0 from specification 'a + 4' for dimension args[0].shape[0] (= 4), "),
    ("a, b", (1, 1), "Input shapes do not match the symbolic shape constraint 2*a + b >= 4. "
     "Expected 'b + 2*a - 4' to be greater or equal to 0, but found -1"),
    ("a*b, c", (4, 1), "Cannot solve for values of dimension variables {'a', 'b'}")])
def test_shapes_that_do_not_fit(shapes, sizes, text):
    constraints = ["2*a + b >= 4"] if shapes == "a, b" else []
    spec = S(export.symbolic_shape(shapes, constraints=constraints), np.float32)
    with pytest.raises(ValueError) as caught:
        export.export(jax.jit(lambda x: x))(spec).call(np.zeros(sizes, np.float32))
    text = text.replace("{'a', 'b'}", "")
    assert text in str(caught.value)


def test_equal_variables_and_unknown_ones():
    x = np.ones(4, np.int32)
    made = export.export(jax.jit(jnp.add))(*specs((x, x), ("2*a", "2*b"), ["a == b"]))
    assert made.in_avals[0] == made.in_avals[1]
    np.testing.assert_array_equal(made.call(x, x), 2 * x)
    with pytest.raises(ValueError, match="Encountered dimension variable 'm1'"):
        export.export(jax.jit(lambda x: x))(*specs((x,), ("m",), ["m >= m1"]))
    b, = export.symbolic_shape("b")
    d, = export.symbolic_shape("d")
    with pytest.raises(ValueError, match=r"(?s)scopes when exporting f.*from args\[0\].*'d'"):
        def f(x, y):
            return x, y
        export.export(jax.jit(f))(S((b,), np.float32), S((d,), np.float32))


def test_arguments_that_are_not_used_still_tell_sizes():
    f = jax.jit(lambda x, y, z: y + x.shape[0])
    args = matrix(4), np.ones(3, np.float32), np.ones(2, np.float32)
    made = export.export(f)(*specs(args, ("b, _", "c", None)))
    assert made.module_kept_var_idx == (0, 1)
    np.testing.assert_array_equal(made.call(*args), f(*args))


def test_calls_within_programs():
    inner = export.export(jax.jit(lambda x: x.reshape(-1, x.shape[1]) * 2))(
        S(export.symbolic_shape("3, a, a + b"), np.float32))
    x = np.arange(144.0, dtype=np.float32).reshape(3, 4, 12)
    fixed = export.export(jax.jit(lambda x: inner.call(x) + 1))(x)
    assert fixed.uses_global_constants and fixed.out_avals[0].shape == (36, 4)
    np.testing.assert_array_equal(fixed.call(x), x.reshape(-1, 4) * 2 + 1)
    outer = export.export(jax.jit(inner.call))(
        S(export.symbolic_shape("3, c, c + d + 4"), np.float32))
    assert str(outer.out_avals[0].shape) == "(3*d + 3*c + 12, c)"
    np.testing.assert_array_equal(outer.call(x), x.reshape(-1, 4) * 2)
    with pytest.raises(ValueError, match=re.escape("'b' = c - 4 from specification 'b + a'")):
        export.export(jax.jit(inner.call))(S(export.symbolic_shape("3, 4, c"), np.float32))


def test_derivatives():
    f = jax.jit(lambda n, x: (2 * n.T, jnp.sin(x.T) * x.shape[0]))
    n, x = np.ones((2, 3), np.int32), matrix(3, 4)
    made = export.export(f)(*specs((n, x), ("2, a", "a, 4")))
    made = export.deserialize(made.serialize(vjp_order=2))
    found = jax.grad(lambda x: made.call(n, x)[1].sum())(x)
    np.testing.assert_allclose(found, 3 * np.cos(x), rtol=1e-6)
    found = jax.grad(lambda x: jax.grad(lambda x: made.call(n, x)[1].sum())(x).sum())(x)
    np.testing.assert_allclose(found, -3 * np.sin(x), rtol=1e-6)


def test_several_platforms():
    f = jax.jit(lambda x: lax.platform_dependent(x, cpu=lambda x: x[1:], default=lambda x: x[:-1]))
    made = export.export(f, platforms=("tpu", "cpu"))(S(export.symbolic_shape("b"), np.float32))
    np.testing.assert_array_equal(made.call(np.arange(4, dtype=np.float32)), [1, 2, 3])


def test_what_cannot_be_exported_is_named():
    b, = export.symbolic_shape("b")
    with pytest.raises(TypeError, match=re.escape("incompatible shapes for broadcasting")):
        export.export(jax.jit(lambda x: x[1:] + x))(S((b,), np.float32))
    with pytest.raises(InconclusiveError, match="'b' < '2' is inconclusive"):
        export.export(jax.jit(lambda x: jnp.convolve(x, jnp.ones(2))))(S((b,), np.float32))
    with pytest.raises(ValueError, match="Cannot solve for values of dimension variables {'b'}"):
        export.export(jax.jit(lambda x: x.shape[0]))(S((b * b,), np.float32))
    a, b = export.symbolic_shape("a, b")
    with pytest.raises(UnexpectedDimVar, match=r"'a' that is not appearing(.|\n)*\['b'\]"):
        export.export(jax.jit(lambda x: jnp.zeros((a,)) + x[0]))(S((b,), np.float32))


@pytest.mark.parametrize("axis", [-1, 0])
def test_top_k_of_a_number_that_is_a_size(axis):
    k, = export.symbolic_shape("k", constraints=["k <= 4"])
    x = matrix(4, 5)
    made = export.export(jax.jit(lambda d, x: lax.top_k(x, d.shape[1], axis=axis)))(
        S((0, k), np.int32), x)
    for found, wanted in zip(made.call(np.zeros((0, 3), np.int32), x),
                             lax.top_k(x, 3, axis=axis)):
        np.testing.assert_array_equal(found, wanted)


InconclusiveError = jax.errors.InconclusiveDimensionOperation
