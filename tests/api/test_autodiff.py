"""Derivatives: every parameter of grad, value_and_grad, jvp, vjp, linearize and their kin."""

import functools

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax

from ..helpers import assert_close, error_of, types

FLOAT0 = np.zeros((), jax.dtypes.float0)
x3 = np.array([0.5, 1.0, 2.0], np.float32)


def product(x, y):
    return x * y


# --- grad and value_and_grad -------------------------------------------------------------------


@pytest.mark.parametrize(("argnums", "expected"), [
    (0, 3.0), (1, 2.0), (-1, 2.0), (-2, 3.0), ((0,), (3.0,)), ((1, 0), (2.0, 3.0)),
    ((0, -1), (3.0, 2.0)), ([0, 1], (3.0, 2.0)),
])
def test_argnums(argnums, expected):
    got = jax.grad(product, argnums)(2.0, 3.0)
    assert_close(got, expected)
    assert type(got) is type(expected) or isinstance(got, jax.Array)
    assert_close(jax.value_and_grad(product, argnums)(2.0, 3.0), (6.0, expected))


def test_argnums_may_be_numpy_integers():
    assert_close(jax.grad(product, np.int64(1))(2.0, 3.0), 2.0)


@pytest.mark.parametrize("argnums", [2, (0, 2)])
def test_argnums_out_of_range(argnums):
    text = error_of(TypeError, jax.grad(product, argnums), 2.0, 3.0)
    assert text.startswith(f"differentiating with respect to argnums={argnums} requires at least "
                           "3 positional arguments to be passed by the caller, but got only 2 "
                           "positional arguments.")
    error_of(ValueError, jax.grad(product, -3), 2.0, 3.0)


def test_argnums_count_positional_arguments_only():
    text = error_of(TypeError, jax.grad(product), x=2.0, y=3.0)
    assert "requires at least 1 positional arguments" in text
    assert_close(jax.grad(product)(2.0, y=3.0), 3.0)


def test_argnums_of_another_type():
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        jax.grad(product, "x")(1.0, 2.0)


@pytest.mark.parametrize("transform", [
    jax.grad, jax.value_and_grad, jax.jacfwd, jax.jacrev, jax.hessian, jax.vmap, jax.jit])
def test_what_is_not_callable(transform):
    assert error_of(TypeError, transform, 3).startswith("Expected a callable value, got 3")


def test_gradients_of_trees():
    params = {"w": x3, "b": (np.float32(1.0), [np.float32(2.0)])}

    def loss(p, scale):
        return scale * jnp.sum(p["w"] ** 2) * p["b"][0] + p["b"][1][0] ** 3

    got = jax.grad(loss)(params, 2.0)
    assert_close(got, {"w": 4.0 * x3, "b": (2 * np.sum(x3 ** 2), [12.0])})
    got = jax.grad(loss, (0, 1))(params, 2.0)
    assert_close(got[1], np.sum(x3 ** 2))


def test_an_argument_that_does_not_matter():
    assert_close(jax.grad(lambda x, y: x, 1)(1.0, np.ones((2, 3), np.float32)), np.zeros((2, 3)))
    assert_close(jax.grad(lambda x: 1.0)(3.0), 0.0)


def test_none_is_a_tree_without_leaves():
    assert jax.grad(lambda x, y: x, 1)(1.0, None) is None
    assert jax.grad(lambda x, y: x, 1)(1.0, {"a": None}) == {"a": None}


@pytest.mark.parametrize("aux", ["text", {"n": 3, "o": object()}, None, (), [lambda: 1]])
def test_aux_is_any_tree(aux):
    got, found = jax.grad(lambda x: (x ** 2, aux), has_aux=True)(3.0)
    assert_close(got, 6.0)
    assert found == aux
    (value, found), got = jax.value_and_grad(lambda x: (x ** 2, aux), has_aux=True)(3.0)
    assert_close((value, got), (9.0, 6.0))
    assert found == aux


def test_aux_may_hold_values_of_the_computation():
    gradient, aux = jax.grad(lambda x: (x ** 2, {"twice": 2 * x, "name": "x"}), has_aux=True)(3.0)
    assert_close((gradient, aux["twice"]), (6.0, 6.0))
    assert not isinstance(aux["twice"], jax.core.Tracer) if hasattr(jax, "core") else True
    nested = jax.grad(lambda y: jax.grad(lambda x: (x * y, x), has_aux=True)(y)[0])(3.0)
    assert_close(nested, 1.0)


def test_aux_must_be_the_second_of_a_pair():
    for fun in (lambda x: x, lambda x: (x, x, x), lambda x: {"value": x}):
        text = error_of(TypeError, jax.grad(fun, has_aux=True), 3.0)
        assert text.startswith(
            "expected function with aux output to return a two-element tuple, but got type")


def test_has_aux_by_position():
    assert_close(jax.grad(lambda x: (x, 1.0), 0, True)(2.0)[0], 1.0)


def test_keyword_arguments_are_passed_on():
    def f(x, *, power, scale=1.0):
        return scale * x ** power

    assert_close(jax.grad(f)(3.0, power=2), 6.0)
    assert_close(jax.grad(f)(3.0, power=2, scale=jnp.float32(2.0)), 12.0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_gradients_have_the_dtype_of_the_argument(dtype):
    x = jnp.asarray(x3, dtype)
    value, gradient = jax.value_and_grad(lambda x: jnp.sum(x * x))(x)
    assert types((value, gradient)) == [(dtype, (), False), (dtype, (3,), False)]


def test_weak_types():
    assert types(jax.value_and_grad(jnp.sin)(1.0)) == [("float32", (), True)] * 2
    assert types(jax.grad(jnp.sin)(np.float32(1.0))) == [("float32", (), False)]


def test_gradients_of_integers():
    f = lambda n, x: n * x  # noqa: E731
    text = error_of(TypeError, jax.grad(f), 3, 2.0)
    assert text.startswith(
        "grad requires real- or complex-valued inputs (input dtype that is a sub-dtype of "
        "np.inexact), but got int32. If you want to use Boolean- or integer-valued inputs, use "
        "vjp or set allow_int to True.")
    got = jax.grad(f, allow_int=True)(3, 2.0)
    assert got.dtype == jax.dtypes.float0 and got.shape == ()
    got, other = jax.grad(f, (0, 1), allow_int=True)(np.arange(1)[0], 2.0)
    assert got.dtype == jax.dtypes.float0
    assert_close(other, 0.0)
    mask = np.array([True, False, True])
    got = jax.grad(lambda m: jnp.sum(jnp.where(m, x3, 0)), allow_int=True)(mask)
    assert got.dtype == jax.dtypes.float0 and got.shape == (3,)
    assert type(jax.grad(lambda m: (1.0, m), allow_int=True, has_aux=True)(mask)[1]) is np.ndarray


def test_gradients_by_real_functions_of_complex_numbers():
    z = jnp.complex64(3 - 4j)
    assert_close(jax.grad(lambda z: z.real ** 2 + z.imag ** 2)(z), 6 + 8j)
    assert_close(jax.grad(jnp.abs)(z), 0.6 + 0.8j)


def test_holomorphic():
    z = jnp.complex64(1 + 2j)
    assert_close(jax.grad(lambda z: z ** 3, holomorphic=True)(z), 3 * (1 + 2j) ** 2)
    value, gradient = jax.value_and_grad(lambda z: z * z, holomorphic=True)(2j)
    assert_close((value, gradient), (-4 + 0j, 4j))
    assert error_of(TypeError, jax.grad(lambda z: z, holomorphic=True), 3.0).startswith(
        "grad with holomorphic=True requires inputs with complex dtype, but got float32.")
    assert error_of(TypeError, jax.grad(lambda z: z.real, holomorphic=True), z).startswith(
        "grad with holomorphic=True requires outputs with complex dtype, but got float32.")


def test_outputs_that_have_no_gradient():
    vector = jax.grad(lambda x: 2 * x)
    assert error_of(TypeError, vector, x3).startswith(
        "Gradient only defined for scalar-output functions. Output had shape: (3,).")
    for out, shown in (((1.0, 2.0), "(1.0, 2.0)"), (None, "None"), ([3.0], "[3.0]")):
        text = error_of(TypeError, jax.grad(lambda x, out=out: out), 1.0)
        assert text.startswith(
            f"Gradient only defined for scalar-output functions. Output was {shown}")
    integer = ("grad requires real-valued outputs (output dtype that is a sub-dtype of "
               "np.floating), but got int32. For differentiation of functions with integer "
               "outputs, use jax.vjp directly.")
    assert error_of(TypeError, jax.grad(lambda x: 1), 1.0).startswith(integer)
    assert error_of(TypeError, jax.grad(lambda x: x.astype(int)), 1.0).startswith(integer)
    assert error_of(TypeError, jax.grad(lambda x: x * 1j), 1.0).startswith(
        "grad requires real-valued outputs (output dtype that is a sub-dtype of np.floating), "
        "but got complex64. For holomorphic differentiation, pass holomorphic=True. For "
        "differentiation of non-holomorphic functions involving complex outputs, use jax.vjp "
        "directly.")


def test_values_that_are_no_arrays():
    text = error_of(TypeError, jax.grad(lambda x: x), "text")
    assert text.startswith("Argument 'text' of type <class 'str'> is not a valid JAX type")
    text = error_of(TypeError, jax.grad(lambda x: "text"), 1.0)
    assert text.startswith("Argument 'text' of type <class 'str'> is not a valid JAX type")


def test_derived_functions_keep_their_names():
    def loss(x):
        """How wrong we are."""
        return x

    for transform in (jax.grad, jax.value_and_grad, jax.jacfwd, jax.jacrev, jax.vmap, jax.jit):
        got = transform(loss)
        assert got.__doc__ == loss.__doc__ or transform is not jax.jit
        assert got.__wrapped__ is loss
        assert "loss" in got.__name__


def test_functions_without_a_name():
    class Model:
        def __init__(self, scale):
            self.scale = scale

        def __call__(self, x):
            return self.scale * x ** 2

        def method(self, x):
            return self(x) * 2

    model = Model(3.0)
    assert_close(jax.grad(model)(2.0), 12.0)
    assert_close(jax.grad(model.method)(2.0), 24.0)
    assert_close(jax.grad(functools.partial(product, 5.0))(2.0), 5.0)
    assert_close(jax.jit(jax.grad(model))(2.0), 12.0)
    assert_close(jax.vmap(functools.partial(product, 5.0))(x3), 5 * x3)


def test_python_sees_values_under_grad():
    def f(x):
        if x > 1.0:
            return x ** 2
        return x * 3 if not x == 0.5 else -x

    assert_close([jax.grad(f)(v) for v in (3.0, 0.5, -2.0)], [6.0, -1.0, 3.0])


def test_reduce_axes_is_accepted():
    assert_close(jax.grad(jnp.sin, reduce_axes=())(0.0), 1.0)


# --- jvp ---------------------------------------------------------------------------------------


def test_jvp():
    out, tangent = jax.jvp(lambda x, y: {"p": x * y, "x": x}, (2.0, 3.0), (1.0, 10.0))
    assert_close((out, tangent), ({"p": 6.0, "x": 2.0}, {"p": 23.0, "x": 1.0}))
    assert_close(jax.jvp(jnp.sin, [0.0], [2.0]), (0.0, 2.0))


def test_jvp_of_trees():
    out, tangent = jax.jvp(lambda d: d["a"] * d["b"][0], ({"a": x3, "b": [2.0]},),
                           ({"a": np.ones(3, np.float32), "b": [1.0]},))
    assert_close((out, tangent), (2 * x3, 2 + x3))


def test_jvp_with_aux():
    out, tangent, aux = jax.jvp(lambda x: (x ** 2, {"x": x, "name": "x"}), (3.0,), (1.0,),
                                has_aux=True)
    assert_close((out, tangent, aux["x"]), (9.0, 6.0, 3.0))
    assert aux["name"] == "x"


def test_jvp_of_constants_and_integers():
    assert_close(jax.jvp(lambda x: 4.0, (1.0,), (1.0,)), (4.0, 0.0))
    out, tangent = jax.jvp(lambda n: n * 2, (3,), (FLOAT0,))
    assert out == 6 and tangent.dtype == jax.dtypes.float0
    out, tangent = jax.jvp(lambda n, x: n * x, (3, 2.0), (FLOAT0, 1.0))
    assert_close((out, tangent), (6.0, 3.0))
    out, tangent = jax.jvp(lambda x: x.astype(int), (np.float32(2.5),), (np.float32(1.0),))
    assert out == 2 and tangent.dtype == jax.dtypes.float0


def test_what_a_function_hands_through_is_as_it_was_given():
    assert jax.jvp(lambda x: (x, 2.0), (1.0,), (3.0,)) == ((1.0, 2.0), (3.0, 0.0))
    for x in (1.0, np.float32(1), np.ones(2, np.float32)):
        out, push = jax.linearize(lambda x: x, x)
        assert all(y is x for y in (*jax.jvp(lambda x: x, (x,), (x,)), out, push(x)))
    out = jax.vmap(lambda x: jax.jvp(lambda x: (x, 2.0), (x,), (1.0,)))(x3)
    assert_close(out, ((x3, np.full(3, 2.0)), (np.ones(3), np.zeros(3))))
    assert types(out)[0] == types(out)[2] == ("float32", (3,), False)


def test_zeros_of_weak_values_are_weak():
    assert types(jax.linearize(lambda x: 2.0, 1.0)[1](1.0)) == [("float32", (), True)]
    seen = []
    f = jax.custom_vjp(lambda x: (x, x))
    f.defvjp(lambda x: ((x, x), None), lambda _, cts: (seen.extend(types(cts)), (cts[0],))[1])
    jax.grad(lambda x: f(x)[0])(1.0)
    jax.grad(lambda x: f(x)[0].sum())(x3)
    assert seen == [("float32", (), True)] * 2 + [("float32", (3,), False)] * 2


def test_jvp_mistakes():
    assert error_of(TypeError, jax.jvp, jnp.sin, 1.0, 1.0).startswith(
        "primal and tangent arguments to jax.jvp must be tuples or lists; found float and float.")
    assert error_of(TypeError, jax.jvp, jnp.sin, (1.0,), (1.0, 2.0)).startswith(
        "primal and tangent arguments to jax.jvp must have the same tree structure; primals have "
        "tree structure PyTreeDef((*,)) whereas tangents have tree structure PyTreeDef((*, *)).")
    assert error_of(TypeError, jax.jvp, jnp.sin, [1.0], (1.0,)).startswith(
        "primal and tangent arguments to jax.jvp must have the same tree structure")
    assert error_of(ValueError, jax.jvp, jnp.sin, (x3,), (np.ones(2, np.float32),)).startswith(
        "jvp called with different primal and tangent shapes;Got primal shape (3,) and tangent "
        "shape as (2,)")
    assert error_of(TypeError, jax.jvp, jnp.sin, (1.0,), (1,)).startswith(
        "primal and tangent arguments to jax.jvp do not match; dtypes must be equal, or in case "
        "of int/bool primal dtype the tangent dtype must be float0.Got primal dtype float32 and "
        "so expected tangent dtype float32, but got tangent dtype int32 instead.")
    assert "so expected tangent dtype [('float0', 'V')]" in error_of(
        TypeError, jax.jvp, jnp.sin, (1,), (1,))


def test_jvp_of_jvp_keeps_perturbations_apart():
    def inner(x):
        return jax.jvp(lambda y: x * y, (2.0,), (1.0,))[1]

    assert_close(jax.jvp(lambda x: x * inner(x), (3.0,), (1.0,)), (9.0, 6.0))
    assert_close(jax.grad(lambda x: x * jax.grad(lambda y: x + y)(2.0))(1.0), 1.0)


# --- vjp ---------------------------------------------------------------------------------------


def test_vjp():
    out, pullback = jax.vjp(lambda x, y: (x * y, {"s": x}), 2.0, 3.0)
    assert_close(out, (6.0, {"s": 2.0}))
    assert_close(pullback((1.0, {"s": 10.0})), (13.0, 2.0))
    assert_close(pullback((0.0, {"s": 1.0})), (1.0, 0.0))


def test_vjp_with_aux():
    out, pullback, aux = jax.vjp(lambda x: (x ** 2, (x, "text")), 3.0, has_aux=True)
    assert_close((out, pullback(1.0), aux[0]), (9.0, (6.0,), 3.0))
    assert aux[1] == "text"


def test_vjp_of_integers():
    out, pullback = jax.vjp(lambda x, n: x * n, 2.0, 3)
    gradient, nothing = pullback(1.0)
    assert_close(gradient, 3.0)
    assert nothing.dtype == jax.dtypes.float0
    out, pullback = jax.vjp(lambda x: (x, x.astype(int)), jnp.float32(2.5))
    for nothing in (FLOAT0, 0, 1.5, jnp.int32(7)):  # a value of the right shape says as little
        assert_close(pullback((1.0, nothing)), (1.0,))
    assert "got int32[2], but expected float0[]" in error_of(
        ValueError, pullback, (1.0, np.zeros(2, np.int32)))


def test_vjp_without_arguments():
    out, pullback = jax.vjp(lambda: 3.0)
    assert_close(out, 3.0)
    assert pullback(1.0) == ()


def test_a_pullback_is_a_tree_that_jit_may_return():
    out, pullback = jax.jit(lambda x: jax.vjp(jnp.sin, x))(x3)
    assert_close(pullback(jnp.ones(3)), (np.cos(x3),))
    assert_close(jax.vmap(jax.vjp(jnp.sin, x3)[1])(jnp.eye(3)), (np.diag(np.cos(x3)),))


def test_a_pullback_under_jit():
    _, pullback = jax.vjp(lambda x: x ** 3, x3)
    assert_close(jax.jit(pullback)(jnp.ones(3)), (3 * x3 ** 2,))


def test_pullback_mistakes():
    _, pullback = jax.vjp(lambda x, y: (x * y, x), 2.0, 3.0)
    assert "with 2 arguments, but functions returned by `jax.vjp` must be called with a single " \
        "argument" in error_of(TypeError, pullback, 1.0, 1.0).replace("\n", " ")
    assert error_of(ValueError, pullback, 1.0).startswith("unexpected tree structure.")
    for wrong, shown in ((1, "int32[]"), (np.ones(2, np.float32), "float32[2]")):
        assert error_of(ValueError, pullback, (wrong, 1.0)).startswith(
            f"unexpected JAX type (e.g. shape/dtype) for argument to VJP function: got {shown}, "
            "but expected float32[] because the corresponding output of the differentiated "
            "function had JAX type float32[]")


# --- linearize and linear_transpose ------------------------------------------------------------


def test_linearize():
    calls = []

    def f(x, y):
        calls.append(1)
        return jnp.sin(x) * y["a"], x

    out, push = jax.linearize(f, x3, {"a": 2.0})
    assert_close(out, (2 * np.sin(x3), x3))
    one = np.ones(3, np.float32)
    for dy in (0.0, 1.0):
        assert_close(push(one, {"a": dy}), (2 * np.cos(x3) + dy * np.sin(x3), one))
    assert len(calls) == 1


def test_linearize_with_aux():
    out, push, aux = jax.linearize(lambda x: (x ** 2, (x, "text")), 3.0, has_aux=True)
    assert_close((out, push(1.0), aux[0]), (9.0, 6.0, 3.0))
    assert aux[1] == "text"


def test_the_linear_function_can_be_transformed():
    _, push = jax.linearize(jnp.sin, 2.0)
    assert_close(jax.vmap(push)(x3), np.cos(2.0) * x3)
    assert_close(jax.jit(push)(2.0), 2 * np.cos(2.0))
    assert_close(jax.grad(push)(1.0), np.cos(2.0))
    _, push = jax.jit(lambda x: jax.linearize(jnp.sin, x))(2.0)
    assert_close(push(1.0), np.cos(2.0))


def test_linearize_of_integers_and_constants():
    out, push = jax.linearize(lambda x, n: (x * n, 5.0), 2.0, 3)
    assert_close(push(1.0, FLOAT0), (3.0, 0.0))


def test_linear_function_mistakes():
    _, push = jax.linearize(jnp.sin, 2.0)
    for wrong, shown in ((np.ones(2, np.float32), "float32[2]"), (1, "int32[]")):
        text = error_of(ValueError, push, wrong)
        assert text.startswith(
            "linearized function called on tangent values inconsistent with the original primal "
            "values:")
        assert shown in text
    assert "expected PyTreeDef((*,))" in error_of(TypeError, push, 1.0, 2.0)


def test_linear_transpose():
    shape = jax.ShapeDtypeStruct((3,), np.float32)
    assert_close(jax.linear_transpose(lambda x: 2 * x, shape)(x3), (2 * x3,))
    transposed = jax.linear_transpose(lambda x, y: {"s": x + y, "x": 3 * x}, 1.0, 1.0)
    assert_close(transposed({"s": 1.0, "x": 2.0}), (7.0, 1.0))
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    transposed = jax.linear_transpose(lambda v: matrix @ v, shape)
    assert_close(jax.jit(transposed)(np.array([1, 2], np.float32)), (matrix.T @ [1, 2],))
    assert_close(jax.linear_transpose(lambda x: jnp.cumsum(x), shape)(jnp.ones(3)),
                 (np.array([3, 2, 1]),))


def test_a_transposed_function_is_a_tree():
    transposed = jax.jit(lambda w: jax.linear_transpose(lambda x: w * x, 1.0))(jnp.float32(2))
    assert_close(jax.jit(lambda f, ct: f(ct))(transposed, 3.0), (6.0,))


def test_linear_transpose_mistakes():
    double = jax.linear_transpose(lambda x: 2 * x, 1.0)
    assert error_of(TypeError, double, (1.0, 2.0)).startswith(
        "cotangent tree does not match function output, expected PyTreeDef(*) but got "
        "PyTreeDef((*, *))")
    assert error_of(TypeError, double, x3).startswith(
        "cotangent type does not match function output, expected")
    with pytest.raises(NotImplementedError, match="Transpose rule .* for 'sin' not implemented"):
        jax.linear_transpose(jnp.sin, 1.0)(1.0)
    assert error_of(TypeError, jax.linear_transpose, lambda x: x.astype(float), 1).startswith(
        "linear_transpose only supports [float or complex] -> [float or complex], and integer -> "
        "integer functions, but got [dtype('int32')] -> [dtype('float32')].")
    assert_close(jax.linear_transpose(lambda n: 2 * n, 1)(3), (6,))
    with pytest.raises((TypeError, AssertionError)):
        jax.linear_transpose(lambda x, y: x * y, 1.0, 1.0)(1.0)


# --- Jacobians and Hessians --------------------------------------------------------------------


@pytest.mark.parametrize("jacobian", [jax.jacfwd, jax.jacrev, jax.jacobian])
class TestJacobians:
    def test_structure(self, jacobian):
        got = jacobian(lambda x, y: {"a": x * y, "b": jnp.sum(x)}, (0, 1))(x3, 2.0)
        assert_close(got, {"a": (2 * np.eye(3), x3), "b": (np.ones(3), 0.0)})

    def test_shapes(self, jacobian):
        m = np.arange(6, dtype=np.float32).reshape(2, 3)
        got = jacobian(lambda d: (d["m"] @ d["v"], jnp.outer(d["v"], d["v"])))({"m": m, "v": x3})
        eye = np.eye(2)[:, :, None] * x3
        outer = np.eye(3)[:, None] * x3[:, None] + np.eye(3) * x3[:, None, None]
        assert_close(got, ({"m": eye, "v": m}, {"m": np.zeros((3, 3, 2, 3)), "v": outer}))

    @pytest.mark.parametrize(("argnums", "expected"), [
        (0, 3.0), (-1, 2.0), ((0,), (3.0,)), ((-1, 0), (2.0, 3.0))])
    def test_argnums(self, jacobian, argnums, expected):
        assert_close(jacobian(product, argnums)(2.0, 3.0), expected)
        assert "value 2 for len(args) == 2" in error_of(ValueError, jacobian(product, 2), 1., 2.)

    def test_aux(self, jacobian):
        got, aux = jacobian(lambda x: (x ** 2, {"sum": jnp.sum(x)}), has_aux=True)(x3)
        assert_close((got, aux), (np.diag(2 * x3), {"sum": 3.5}))

    def test_keyword_arguments(self, jacobian):
        assert_close(jacobian(lambda x, *, k: x * k)(x3, k=3), 3 * np.eye(3))

    def test_holomorphic(self, jacobian):
        z = jnp.complex64(1 + 2j)
        assert_close(jacobian(lambda z: z * z, holomorphic=True)(z), 2 + 4j)
        assert "requires inputs with complex dtype, but got float32." in error_of(
            TypeError, jacobian(lambda z: z, holomorphic=True), 1.0)
        assert "requires outputs with complex dtype, but got float32." in error_of(
            TypeError, jacobian(lambda z: z.real, holomorphic=True), z)

    def test_of_no_elements(self, jacobian):
        assert jacobian(lambda x: x)(jnp.zeros((0,))).shape == (0, 0)

    def test_inside_other_transformations(self, jacobian):
        batch = np.stack([x3, 2 * x3])
        expected = np.stack([np.diag(np.cos(v)) for v in batch])
        assert_close(jax.vmap(jacobian(jnp.sin))(batch), expected)
        assert_close(jax.jit(jacobian(jnp.sin))(x3), expected[0])
        assert_close(jax.grad(lambda x: jnp.sum(jacobian(jnp.sin)(x)))(x3), -np.sin(x3))


def test_jacobians_of_integers():
    assert error_of(TypeError, jax.jacfwd(jnp.sin), 3).startswith(
        "jacfwd requires real-valued inputs (input dtype that is a sub-dtype of np.floating), but "
        "got int32.")
    assert error_of(TypeError, jax.jacrev(jnp.sin), 3).startswith(
        "jacrev requires real- or complex-valued inputs (input dtype that is a sub-dtype of "
        "np.inexact), but got int32.")
    assert jax.jacrev(lambda n, x: n * x, 1, allow_int=True)(3, 2.0) == 3.0
    assert error_of(TypeError, jax.jacrev(lambda x: x > 1), x3).startswith(
        "jacrev requires real-valued outputs (output dtype that is a sub-dtype of np.floating), "
        "but got bool.")


def test_jacobian_of_complex_values_by_real_ones():
    assert_close(jax.jacfwd(lambda x: x * 1j)(x3), 1j * np.eye(3))
    assert "use jax.vjp directly" in error_of(TypeError, jax.jacrev(lambda x: x * 1j), x3)


def test_hessian():
    got = jax.hessian(lambda x, y: jnp.sum(x * x * y), (0, 1))(x3, x3)
    zero, diagonal = np.zeros((3, 3)), np.diag(2 * x3)
    assert_close(got, ((diagonal, diagonal), (diagonal, zero)))
    got = jax.hessian(lambda d: d["a"] ** 2 * d["b"])({"a": 2.0, "b": 3.0})
    assert_close(got, {"a": {"a": 6.0, "b": 4.0}, "b": {"a": 4.0, "b": 0.0}})


def test_hessian_with_aux():
    got, aux = jax.hessian(lambda x: (jnp.sum(x ** 3), {"x": x}), has_aux=True)(x3)
    assert_close((got, aux), (np.diag(6 * x3), {"x": x3}))


def test_hessian_orders_agree():
    f = lambda x: jnp.prod(jnp.sin(x))  # noqa: E731
    orders = [outer(inner(f))(x3) for outer in (jax.jacfwd, jax.jacrev)
              for inner in (jax.jacfwd, jax.jacrev)]
    for got in orders[1:]:
        assert_close(got, orders[0])
    assert_close(jax.hessian(f)(x3), orders[0])


def test_holomorphic_hessian():
    assert_close(jax.hessian(lambda z: z ** 3, holomorphic=True)(jnp.complex64(1j)), 6j)


# --- Operations without a derivative -----------------------------------------------------------


def test_stop_gradient():
    assert_close(jax.grad(lambda x: lax.stop_gradient(x) * x)(3.0), 3.0)
    assert_close(jax.grad(lambda d: lax.stop_gradient(d)["a"] * d["b"])({"a": 2.0, "b": 3.0}),
                 {"a": 0.0, "b": 2.0})


def test_flat_functions_have_zero_gradients():
    assert_close(jax.grad(lambda x: jnp.sum(jnp.floor(x) + jnp.sign(x)))(x3), np.zeros(3))
    assert_close(jax.grad(lambda x: jnp.sum(jnp.argmax(x) * x))(x3), np.full(3, 2.0))
