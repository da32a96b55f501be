"""jit: caching, static and donated arguments, nesting, and what users are told."""

import functools
import warnings

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax
from minijax.base import config, errors
from minijax.extend.core import Primitive


def array(*values):
    return jax.device_put(np.array(values, np.float32))


def counting(fun):
    """fun, and a list that grows by one each time that Python runs it."""
    calls = []

    @functools.wraps(fun)
    def wrapped(*args, **kwargs):
        calls.append(1)
        return fun(*args, **kwargs)

    return wrapped, calls


def test_traced_once_per_type():
    f, calls = counting(lambda x: lax.sin(x))
    jitted = jax.jit(f)
    for _ in range(3):
        jitted(array(1.0, 2.0))
    assert len(calls) == 1
    jitted(array(1.0))
    jitted(1.0)
    assert len(calls) == 3
    assert jitted._cache_size() == 3
    jitted.clear_cache()
    assert jitted._cache_size() == 0
    jitted(1.0)
    assert len(calls) == 4  # traced anew: what the function closes over may have changed


def test_two_jits_of_one_function_share_its_trace():
    f, calls = counting(lambda x: lax.sin(x))
    jax.jit(f)(array(1.0))
    jax.jit(f)(array(1.0))
    assert len(calls) == 1


def test_configuration_is_part_of_the_key():
    f, calls = counting(lambda x: lax.sin(x))
    jitted = jax.jit(f)
    jitted(1.0)
    with config.enable_x64(True):
        assert jitted(1.0).dtype == np.float64
    with config.default_matmul_precision("float32"):
        jitted(1.0)
    assert len(calls) == 3


def test_trees_in_and_out():
    jitted = jax.jit(lambda d, *rest, **more: {"sum": lax.add(d["a"], rest[0]), "k": more["z"]})
    out = jitted({"a": array(1.0)}, array(2.0), z=3)
    np.testing.assert_array_equal(out["sum"], [3.0])
    assert out["k"].weak_type
    assert jax.jit(lambda x: (x, None, [3]))(1.0)[1] is None


def test_constants_in_results():
    x = array(1.0, 2.0)
    out = jax.jit(lambda a: (x, 3, np.ones(2)))(1.0)
    np.testing.assert_array_equal(out[0], x)
    assert out[1].weak_type
    assert out[2].dtype == np.float32


# --- static arguments ---


def scaled(x, n=4, *, m=1):
    return lax.mul(x, float(n * m))


@pytest.mark.parametrize(
    ("options", "args", "kwargs"),
    [
        ({"static_argnums": 1}, (3,), {}),
        ({"static_argnums": (1,)}, (), {"n": 3}),
        ({"static_argnums": -1}, (3,), {}),
        ({"static_argnames": "n"}, (3,), {}),
        ({"static_argnames": "n"}, (), {"n": 3}),
        ({"static_argnames": ("m", "n")}, (3,), {"m": 1}),
    ],
)
def test_static_arguments(options, args, kwargs):
    jitted = jax.jit(scaled, **options)
    np.testing.assert_array_equal(jitted(array(2.0), *args, **kwargs), [6.0])


def test_static_default():
    np.testing.assert_array_equal(jax.jit(scaled, static_argnums=1)(array(2.0)), [8.0])


def test_static_values_of_different_types_differ():
    f, calls = counting(lambda x, n: lax.mul(x, float(n)))
    jitted = jax.jit(f, static_argnums=1)
    for n in (1, 1.0, True, 1):
        jitted(array(2.0), n)
    assert len(calls) == 3


def test_static_argument_must_be_hashable():
    with pytest.raises(ValueError, match="Non-hashable static arguments are not supported"):
        jax.jit(scaled, static_argnums=1)(array(1.0), [1])


def test_as_decorator():
    @functools.partial(jax.jit, static_argnums=0)
    def one(n, x):
        return lax.mul(x, float(n))

    @jax.jit(static_argnums=0)
    def two(n, x):
        return lax.mul(x, float(n))

    assert one.__name__ == "one"
    np.testing.assert_array_equal(one(3, array(1.0)), two(3, array(1.0)))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (
            {"static_argnums": 5},
            ValueError,
            "Jitted function has static_argnums=(5,), but only accepts 1 positional arguments.",
        ),
        (
            {"static_argnames": "foo"},
            ValueError,
            "Jitted function has invalid argnames {'foo'} in static_argnames. "
            "Function does not take these args.",
        ),
        (
            {"donate_argnums": 0, "static_argnums": 0},
            ValueError,
            "cannot intersect",
        ),
        ({"static_argnums": "a"}, TypeError, "'str' object cannot be interpreted as an integer"),
        (
            {"static_argnums": (1.5,)},
            TypeError,
            "'float' object cannot be interpreted as an integer",
        ),
        ({"static_argnames": 3}, TypeError, "'int' object is not iterable"),
        ({"foo": 1}, TypeError, "unexpected keyword argument 'foo'"),
    ],
)
def test_wrong_options(options, error, text):
    with pytest.raises(error) as found:
        jax.jit(lambda x: x, **options)
    assert text in str(found.value)


def test_only_functions():
    with pytest.raises(TypeError, match="Expected a callable value, got 3"):
        jax.jit(3)

    def generator(x):
        yield x

    with pytest.raises(TypeError, match="Expected a function, got a generator function"):
        jax.jit(generator)


# --- callables of other kinds ---


class Scaler:
    """Jitted methods and instances."""

    def __init__(self):
        self.bound = jax.jit(self.scale)

    def scale(self, x):
        return lax.mul(x, 2.0)

    @functools.partial(jax.jit, static_argnums=0)
    def static_self(self, x):
        return lax.mul(x, 3.0)

    @jax.jit
    def traced_self(self, x):
        return x

    def __call__(self, x):
        return lax.mul(x, 4.0)


class Unhashable(Scaler):
    __hash__ = None


def test_methods_and_instances():
    s = Scaler()
    assert float(s.bound(1.0)) == 2.0
    assert float(s.static_self(1.0)) == 3.0
    assert float(jax.jit(s)(1.0)) == 4.0
    assert float(jax.jit(Unhashable())(1.0)) == 4.0
    assert float(jax.jit(functools.partial(scaled, n=5))(1.0)) == 5.0
    with pytest.raises(TypeError, match="passed to the function at path self"):
        s.traced_self(1.0)


# --- bad values ---


@pytest.mark.parametrize(
    ("args", "kwargs", "path"),
    [
        (("a",), {}, "x"),
        ((1,), {"abc": "a"}, "abc"),
        (({"k": [1, "a"]},), {}, "x['k'][1]"),
        ((1, 2, "s"), {}, "rest[1]"),
    ],
)
def test_argument_that_is_no_array(args, kwargs, path):
    def f(x, *rest, **more):
        return x

    with pytest.raises(TypeError) as error:
        jax.jit(f)(*args, **kwargs)
    lines = str(error.value).splitlines()
    assert lines[0].startswith(f"Error interpreting argument to {f} as an abstract array.")
    assert lines[0].endswith(f"was passed to the function at path {path}.")
    assert "static_argnums or static_argnames" in lines[1]


def test_result_that_is_no_array():
    with pytest.raises(TypeError, match="returned a value of type <class 'str'>, which is not a"):
        jax.jit(lambda x: "a")(1)
    with pytest.raises(TypeError, match=r"at output component \[1\]\['b'\], which is not a valid"):
        jax.jit(lambda x: (1, {"b": object()}))(1)


def test_wrong_number_of_arguments():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        jax.jit(lambda x: x)()


def test_overflow_names_the_argument():
    with pytest.raises(OverflowError) as error:
        jax.jit(lambda x, y: y)(1, 2**40)
    assert "whose argument path is y. Got <class 'int'> with value 1099511627776" in str(
        error.value
    )


def test_exception_does_not_spoil_later_calls():
    def f(x):
        if x.shape == (3,):
            raise ValueError("no")
        return x

    jitted = jax.jit(f)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            jitted(array(1.0, 2.0, 3.0))
        jitted(1.0)
        jitted(1.0)
        assert jitted._cache_size() == 1


def test_leaked_tracer():
    leaked = []
    jax.jit(lambda x: leaked.append(x) or x)(1.0)
    for use in (lax.sin, jax.jit(lambda x: x), jax.jit(lambda x: lax.add(x, leaked[0]))):
        with pytest.raises(errors.UnexpectedTracerError, match="unexpected tracer"):
            use(leaked[0] if use is not None else 1.0)


# --- nesting ---


def test_nested_in_other_transformations():
    inner = jax.jit(lambda a: lax.sin(a))
    outer = jax.jit(lambda a: lax.mul(inner(a), a))
    x = array(0.0, 1.0, 2.0)
    expected = np.sin(np.asarray(x)) * np.asarray(x)
    np.testing.assert_allclose(outer(x), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(outer)(x), expected, rtol=1e-6)
    _, tangent = jax.jvp(outer, (x,), (x,))
    slope = np.cos(np.asarray(x)) * np.asarray(x) + np.sin(np.asarray(x))
    np.testing.assert_allclose(tangent, slope * np.asarray(x), rtol=1e-5)
    grad = jax.grad(lambda a: lax.reduce_sum(outer(a), (0,)))
    np.testing.assert_allclose(grad(x), slope, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(grad)(x), slope, rtol=1e-5)


def test_jit_is_one_equation_and_inline_is_none():
    def f(x):
        return lax.sin(lax.cos(x))

    (eqn,) = jax.make_jaxpr(jax.jit(f))(1.0).eqns
    assert eqn.primitive.name == "jit"
    assert eqn.params["name"] == "f"
    assert eqn.params["donated_invars"] == (False,)
    names = [e.primitive.name for e in jax.make_jaxpr(jax.jit(f, inline=True))(1.0).eqns]
    assert names == ["cos", "sin"]


def test_closing_over_tracers():
    def f(s):
        return lax.reduce_sum(jax.jit(lambda a: lax.mul(a, lax.broadcast(s, (3,))))(ones), (0,))

    ones = array(1.0, 1.0, 1.0)
    assert float(jax.grad(f)(2.0)) == 3.0
    assert float(jax.jit(jax.grad(f))(2.0)) == 3.0
    out = jax.vmap(lambda s: jax.jit(lambda a: lax.add(a, s))(1.0))(ones)
    np.testing.assert_array_equal(out, [2.0, 2.0, 2.0])


def test_vmapped_jit_of_one_function_is_compiled_once():
    inner = jax.jit(lambda a: lax.sin(a))
    x = array(1.0, 2.0)
    first = jax.vmap(inner)(x)
    np.testing.assert_array_equal(first, jax.vmap(inner)(x))


def test_disable_jit():
    seen = []

    @jax.jit
    def f(x):
        seen.append(float(x))
        return lax.sin(x)

    with config.disable_jit():
        f(1.0)
        assert float(jax.grad(lambda x: lax.mul(x, x))(3.0)) == 6.0
    assert seen == [1.0]


def test_debug_nans():
    f = jax.jit(lambda x: lax.log(x))
    assert np.isnan(f(-1.0))
    with config.debug_nans(True):
        for _ in range(2):
            with pytest.raises(FloatingPointError, match=r"invalid value \(nan\) encountered in"):
                f(-1.0)
        with pytest.raises(FloatingPointError, match=r"encountered in log"):
            lax.log(-1.0)
    assert np.isnan(f(-1.0))


# --- donation ---


def test_donation_reuses_the_buffer():
    f = jax.jit(lambda x, y: lax.add(x, y), donate_argnums=0)
    x, y = array(*range(64)), array(*range(64))
    where = x.unsafe_buffer_pointer()
    out = f(x, y)
    assert out.unsafe_buffer_pointer() == where
    assert x.is_deleted()
    assert not y.is_deleted()
    f(array(*range(64)), y)
    with pytest.raises((RuntimeError, ValueError), match="deleted"):
        f(x, y)


def test_donation_by_name():
    f = jax.jit(lambda x, y: lax.add(x, y), donate_argnames="y")
    x, y = array(1.0), array(2.0)
    f(x, y=y)
    assert y.is_deleted()
    assert not x.is_deleted()


def test_unusable_donation_warns():
    f = jax.jit(lambda x: lax.reduce_sum(x, (0,)), donate_argnums=0)
    x = array(1.0, 2.0, 3.0)
    with pytest.warns(UserWarning, match=r"Some donated buffers were not usable: float32\[3\]"):
        f(x)
    assert not x.is_deleted()


def test_unused_donation_is_silent():
    f = jax.jit(lambda x, y: x, donate_argnums=(0, 1))
    x, y = array(1.0), array(1.0, 2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f(x, y)
    assert not y.is_deleted()


# --- placement ---


def test_device_and_backend_are_deprecated():
    with pytest.warns(DeprecationWarning, match="backend and device argument on jit is deprecated"):
        f = jax.jit(lambda x: x, backend="cpu")
    assert f(1.0).committed
    with pytest.warns(DeprecationWarning), pytest.raises(ValueError, match="can't specify both"):
        jax.jit(lambda x: x, backend="cpu", device=jax.devices()[0])
    with pytest.warns(DeprecationWarning):
        g = jax.jit(lambda x: x, backend="foo")
    with pytest.raises(RuntimeError, match="Unknown backend foo. Available backends are"):
        g(1.0)


def test_compiler_options():
    f = jax.jit(lambda x: lax.sin(x), compiler_options={"xla_foo": 1})
    with pytest.raises(errors.JaxRuntimeError, match="No such compile option: 'xla_foo'"):
        f(1.0)
    g = jax.jit(lambda x: lax.sin(x), compiler_options={"xla_cpu_enable_fast_math": True})
    assert float(g(0.0)) == 0.0


# --- options that forbid or report ---


def test_no_tracing_and_no_execution():
    f = jax.jit(lambda x: lax.sin(x))
    f(1.0)
    with config.no_tracing(True):
        f(1.0)
        with pytest.raises(RuntimeError, match="for `jit`, but 'no_tracing' is set"):
            f(array(1.0))
    with config.no_execution(True):
        with pytest.raises(RuntimeError, match="but the no_execution config option is set"):
            f(1.0)
        f.lower(1.0).compile()
    f(1.0)


def test_checking_leaks():
    kept = []

    def leaks(x):
        kept.append(x)
        return x

    with config.checking_leaks():
        assert float(jax.jit(lambda x: lax.sin(x))(0.0)) == 0.0
        with pytest.raises(Exception, match=r"Leaked trace .* Leaked tracer\(s\):"):
            jax.jit(leaks)(1.0)


def test_log_compiles(caplog):
    with config.log_compiles(True):
        jax.jit(lambda x: lax.add(x, 0.375))(1.0)
    text = "\n".join(r.message for r in caplog.records)
    assert "Compiling jit(<lambda>) with global shapes and types" in text
    assert "Finished XLA compilation of jit(<lambda>) in" in text


@pytest.mark.parametrize("program", [
    lambda f: lax.scan(lambda c, x: (f(c), x), 1.0, jnp.arange(3.0)),
    lambda f: lax.while_loop(lambda c: c < 3, f, 0.0),
    lambda f: lax.cond(True, f, lambda x: x, 1.0),
    lambda f: jax.checkpoint(f)(1.0),
    lambda f: jax.vmap(f)(jnp.arange(3.0)),
])
def test_leaks_out_of_loops_branches_and_vmap(program):
    kept = []

    def leak(x):
        kept.append(x * 2)
        return x + 1

    with config.checking_leaks():
        program(lambda x: x + 1)
        with pytest.raises(Exception, match="Leaked trace"):
            program(leak)
    program(leak)


def test_a_primitive_without_rules():
    empty = Primitive("empty")
    with pytest.raises(NotImplementedError, match="Evaluation rule for 'empty' not implemented"):
        empty.bind(1.0)
    with pytest.raises(NotImplementedError, match="Abstract evaluation for 'empty'"):
        jax.jit(empty.bind)(1.0)


def test_what_is_missing_for_a_shape():
    with pytest.raises(TypeError, match="depends on the values of the arguments n and m"):
        jax.jit(lambda n, m: jnp.zeros((2, n + m)))(1, 2)


def test_devices_are_counted_before_they_exist():
    jax.devices()
    with pytest.raises(RuntimeError, match="jax_num_cpu_devices config should be updated before"):
        jax.config.update("jax_num_cpu_devices", 17)


def test_tokens_come_and_go():
    token = jax.lax.create_token()
    with pytest.raises(TypeError, match="Arguments to after_all must be tokens"):
        jax.lax.after_all(token, 2.5)
    later = jax.jit(lambda x, t: (x + 2, jax.lax.after_all(t, token)))
    for _ in range(2):
        out, token_out = later(7, token)
        assert out == 9 and isinstance(token_out, type(token))
    assert isinstance(jax.jit(lambda: token)(), type(token))
    assert jax.vjp(lambda x: (x, token)[0], 1.0)[1](2.0) == (2.0,)
