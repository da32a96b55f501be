"""vmap: every parameter, checked against a Python loop, and what it says when it is misused."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax

from ..helpers import assert_close, error_of

x3 = np.array([0.5, 1.0, 2.0], np.float32)
m23 = np.arange(6, dtype=np.float32).reshape(2, 3)


def loop(fun, in_axes, args):
    """What vmap means: call `fun` on slices, stack the results."""
    sizes = [np.shape(a)[d] for a, d in zip(args, in_axes) if d is not None]
    outs = [fun(*[a if d is None else np.take(a, i, d) for a, d in zip(args, in_axes)])
            for i in range(sizes[0])]
    return np.stack([np.asarray(o) for o in outs])


# --- in_axes and out_axes ----------------------------------------------------------------------


@pytest.mark.parametrize(("in_axes", "args"), [
    ((0, 0), (m23, m23)), ((0, None), (m23, x3)), ((1, 0), (m23, x3)), ((-1, 0), (m23, x3)),
    ((None, 0), (m23, x3)), ((1, 1), (m23, m23)), ((0, 1), (m23, m23.T)),
])
def test_in_axes(in_axes, args):
    def f(x, y):
        return jnp.sum(jnp.outer(x, y), axis=0) - y

    expected = loop(f, in_axes, args)
    assert_close(jax.vmap(f, in_axes)(*args), expected)
    assert_close(jax.vmap(f, list(in_axes))(*args), expected)
    assert_close(jax.jit(jax.vmap(f, in_axes))(*args), expected)


@pytest.mark.parametrize(("out_axes", "axis"), [(0, 0), (1, 1), (-1, 1), (-2, 0)])
def test_out_axes(out_axes, axis):
    got = jax.vmap(lambda x: 2 * x, out_axes=out_axes)(m23)
    assert_close(got, np.moveaxis(2 * m23, 0, axis))


def test_in_axes_of_trees():
    def f(d, scale):
        return d["a"] * d["b"][0] + d["b"][1] * scale

    d = {"a": x3, "b": (2.0, m23)}
    axes = ({"a": 0, "b": (None, 1)}, None)
    expected = np.stack([x3[i] * 2 + m23[:, i] * 10 for i in range(3)])
    assert_close(jax.vmap(f, axes)(d, 10.0), expected)
    assert_close(jax.vmap(lambda p: p["x"] + p["y"][0], ({"x": 0, "y": None},))(
        {"x": x3, "y": [1.0]}), x3 + 1)


def test_a_none_argument_has_no_axis():
    assert_close(jax.vmap(lambda x, y: x if y is None else y)(x3, None), x3)
    out = jax.vmap(lambda x: (x, None))(x3)
    assert out[1] is None


def test_out_axes_of_trees():
    def f(x):
        return {"x": x, "sum": jnp.sum(x), "pair": (x, 1.0)}

    got = jax.vmap(f, out_axes={"x": 1, "sum": 0, "pair": (0, None)})(m23)
    assert_close(got, {"x": m23.T, "sum": m23.sum(1), "pair": (m23, 1.0)})
    got = jax.vmap(f, out_axes={"x": 1, "sum": 0, "pair": -1})(m23)
    assert_close(got["pair"], (m23.T, np.ones(2)))


def test_results_that_are_the_same_for_all():
    assert_close(jax.vmap(lambda x: 5.0)(x3), np.full(3, 5.0))
    assert_close(jax.vmap(lambda x: m23, out_axes=1)(x3), np.repeat(m23[:, None], 3, 1))
    assert_close(jax.vmap(lambda x: m23, out_axes=None)(x3), m23)


def test_keyword_arguments_are_mapped_over_axis_0():
    assert_close(jax.vmap(lambda x, k: x * k)(x3, k=x3), x3 * x3)
    assert_close(jax.vmap(lambda x, *, k: x[0] * k["a"], in_axes=1)(m23, k={"a": x3}),
                 m23[0] * x3)


# --- axis_size and axis_name -------------------------------------------------------------------


def test_axis_size():
    assert_close(jax.vmap(lambda: 1.0, axis_size=5)(), np.ones(5))
    assert_close(jax.vmap(lambda x: x, in_axes=None, axis_size=2)(x3), np.stack([x3, x3]))
    assert_close(jax.vmap(lambda x: x, in_axes=None, axis_size=2, out_axes=None)(x3), x3)
    assert_close(jax.vmap(lambda x: x, axis_size=3)(x3), x3)


def test_an_axis_of_size_0():
    assert jax.vmap(lambda x: x + 1)(jnp.zeros((0, 2))).shape == (0, 2)


def test_axis_name():
    assert_close(jax.vmap(lambda x: x / lax.psum(x, "i"), axis_name="i")(x3), x3 / 3.5)
    assert_close(jax.vmap(lambda x: lax.pmax(x, "i") - x, axis_name="i")(x3), 2 - x3)
    got = jax.vmap(lambda x: lax.axis_index("i") + x * lax.axis_size("i"), axis_name="i")(x3)
    assert_close(got, np.arange(3) + 3 * x3)


def test_two_named_axes():
    f = jax.vmap(jax.vmap(lambda x: lax.psum(x, ("i", "j")) + lax.psum(x, "j"), axis_name="j"),
                 axis_name="i")
    assert_close(f(m23), np.broadcast_to(m23.sum() + m23.sum(1)[:, None], (2, 3)))


def test_the_inner_of_two_axes_of_one_name():
    f = jax.vmap(jax.vmap(lambda x: lax.psum(x, "i"), axis_name="i"), axis_name="i")
    assert_close(f(m23), np.broadcast_to(m23.sum(1)[:, None], (2, 3)))


def test_names_under_other_transformations():
    normalize = jax.vmap(lambda x: x / lax.psum(x, "i"), axis_name="i")
    expected = x3 / 3.5
    assert_close(jax.jit(normalize)(x3), expected)
    assert_close(jax.vmap(jax.jit(lambda x: x / lax.psum(x, "i")), axis_name="i")(x3), expected)
    jacobian = np.eye(3) / 3.5 - np.outer(x3, np.ones(3)) / 3.5 ** 2
    assert_close(jax.jacrev(normalize)(x3), jacobian)
    assert_close(jax.jacfwd(normalize)(x3), jacobian)
    # The derivative of a sum over the axis is a sum over the axis of derivatives.
    got = jax.vmap(jax.grad(lambda x: lax.psum(x ** 2, "i")), axis_name="i")(x3)
    assert_close(got, 3 * 2 * x3)


def test_an_unbound_axis_name():
    text = error_of(NameError, jax.vmap(lambda x: lax.psum(x, "j"), axis_name="i"), x3)
    assert text.startswith("Found an unbound axis name: j.")
    error_of(NameError, jax.vmap(lambda x: lax.psum(x, "i")), x3)


def test_spmd_axis_name_is_accepted():
    assert_close(jax.vmap(lambda x: x + 1, spmd_axis_name="devices")(x3), x3 + 1)


# --- What may stand inside ---------------------------------------------------------------------


def test_closed_over_arrays_and_tracers():
    assert_close(jax.vmap(lambda i: jnp.asarray(m23)[i])(np.array([1, 0, 1])), m23[[1, 0, 1]])
    got = jax.vmap(lambda x: jax.vmap(lambda y: x * y)(x3))(x3)
    assert_close(got, np.outer(x3, x3))


def test_nested_maps_in_all_orders():
    f = lambda x, y: x[0] * y  # noqa: E731
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    b = np.arange(6, dtype=np.float32).reshape(3, 2)
    got = jax.vmap(jax.vmap(f, (1, None)), (0, 1))(a, b[:2].T[:, :2] if False else b[:, :2])
    expected = np.stack([np.stack([a[i, 0, j] * b[:, i] for j in range(4)]) for i in range(2)])
    assert_close(got, expected)


def test_python_sees_values_that_are_not_mapped():
    def f(x, n):
        return sum(x for _ in range(int(n))) if n > 1 else x

    assert_close(jax.vmap(f, (0, None))(x3, 3), 3 * x3)


def test_dtypes_and_weak_types():
    out = jax.vmap(lambda x: (x * 1, 2.0, x > 1, x.astype(jnp.bfloat16)))(x3)
    assert [o.dtype.name for o in out] == ["float32", "float32", "bool", "bfloat16"]
    assert [o.weak_type for o in out] == [False, True, False, False]


def test_a_function_that_is_called_once():
    calls = []
    assert_close(jax.vmap(lambda x: calls.append(x.shape) or x)(m23), m23)
    assert calls == [(3,)]


# --- Misuse ------------------------------------------------------------------------------------


def test_in_axes_of_another_kind():
    for axes in ("0", {"a": 0}):
        assert error_of(TypeError, jax.vmap, lambda x: x, in_axes=axes).startswith(
            "vmap in_axes must be an int, None, or a tuple of entries corresponding to the "
            f"positional arguments passed to the function, but got {axes}.")
    assert error_of(TypeError, jax.vmap, lambda x: x, in_axes=(0.5,)).startswith(
        "vmap in_axes must be an int, None, or (nested) container with those types as leaves, "
        "but got (0.5,).")


def test_in_axes_of_another_length():
    assert error_of(ValueError, jax.vmap(lambda x, y: x, in_axes=(0,)), x3, x3).startswith(
        "vmap in_axes must be an int, None, or a tuple of entries corresponding to the positional "
        "arguments passed to the function, but got len(in_axes)=1, len(args)=2")


def test_in_axes_that_are_no_prefix():
    f = jax.vmap(lambda d: d["a"], in_axes=({"a": 0},))
    assert error_of(ValueError, f, {"a": x3, "b": x3}).startswith(
        "vmap in_axes specification must be a tree prefix of the corresponding value")
    f = jax.vmap(lambda x: (x, x), out_axes=(0, 0, 0))
    assert error_of(ValueError, f, x3).startswith(
        "vmap out_axes specification must be a tree prefix of the corresponding value")


@pytest.mark.parametrize(("axis", "needed"), [(2, 3), (-3, 3)])
def test_axes_out_of_range(axis, needed):
    assert error_of(ValueError, jax.vmap(lambda x: x, in_axes=axis), m23).startswith(
        f"vmap was requested to map its argument along axis {axis}, which implies that its rank "
        f"should be at least {needed}, but is only 2 (its shape is (2, 3))")
    assert error_of(ValueError, jax.vmap(lambda x: x, out_axes=axis), m23).startswith(
        f"axis {axis} is out of bounds for array of dimension 2")


def test_scalars_cannot_be_mapped():
    assert error_of(ValueError, jax.vmap(lambda x, k: x), x3, 3.0).startswith(
        "vmap was requested to map its argument along axis 0, which implies that its rank should "
        "be at least 1, but is only 0 (its shape is ())")


def test_sizes_that_differ():
    text = error_of(ValueError, jax.vmap(lambda a, b: a), m23, x3)
    assert text.startswith(
        "vmap got inconsistent sizes for array axes to be mapped:\n"
        "  * one axis had size 2: axis 0 of argument a of type float32[2,3];\n"
        "  * one axis had size 3: axis 0 of argument b of type float32[3]")
    text = error_of(ValueError, jax.vmap(lambda a, b: a), m23, {"k": x3, "l": (x3, x3)})
    assert text.startswith(
        "vmap got inconsistent sizes for array axes to be mapped:\n"
        "  * most axes (3 of them) had size 3, e.g. axis 0 of argument b['k'] of type float32[3];\n"
        "  * one axis had size 2: axis 0 of argument a of type float32[2,3]")
    text = error_of(ValueError, jax.vmap(lambda a: a, axis_size=5), m23)
    assert text.startswith(
        "vmap got inconsistent sizes for array axes to be mapped:\n"
        "  * the `axis_size` argument was 5;\n"
        "  * one axis had size 2: axis 0 of argument a of type float32[2,3]")


def test_nothing_to_map():
    assert error_of(ValueError, jax.vmap(lambda: 1.0)).startswith(
        "vmap wrapped function must be passed at least one argument containing an array or "
        "axis_size must be specified, got empty *args=() and **kwargs={}")
    assert error_of(ValueError, jax.vmap(lambda x: x, in_axes=None), x3).startswith(
        "vmap must have at least one non-None value in in_axes or axis_size must be specified")


def test_out_axes_none_for_a_mapped_result():
    assert error_of(ValueError, jax.vmap(lambda x: x, out_axes=None), x3).startswith(
        "at vmap out_axes, got axis spec None but output was batched on axis 0")
    nested = jax.vmap(lambda x: {"a": x, "b": (1.0, x)}, out_axes={"a": 0, "b": None})
    assert error_of(ValueError, nested, x3).startswith(
        "at vmap out_axes['b'][1], got axis spec None but output was batched on axis 0")


def test_results_that_are_no_arrays():
    assert error_of(TypeError, jax.vmap(lambda x: "text"), x3).startswith(
        "Output from batched function 'text' with type <class 'str'> is not a valid JAX type")
    assert error_of(TypeError, jax.vmap(lambda x: x), "text").startswith(
        "Argument 'text' of type <class 'str'> is not a valid JAX type")
