"""Samples of operations that call Python or foreign functions, of tokens, checks and calls."""

import numpy as np

import minijax as jax
from minijax import core, export, lax
from minijax import numpy as jnp
from minijax.experimental import checkify, io_callback
from minijax.experimental.buffer_callback import buffer_callback
from minijax.extend.core.primitives import call_p, closed_call_p
from minijax.extend.linear_util import wrap_init

from .sample import Sample, Samples

_ANY = ("f", "c", "i", "u", "b")
_FOREIGN = "a foreign function has no derivative"


def _square(x):
    return np.asarray(x) & np.asarray(x) if x.dtype == bool else np.asarray(x) * np.asarray(x)


def _result(x):
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


def _pure(method):
    return lambda bind: lambda x: [jax.pure_callback(_square, _result(x), x, vmap_method=method)]


def _io(bind):
    return lambda x: [io_callback(_square, _result(x), x)]


def _shown(show):
    """`show` called on the operand on the way."""
    def around(bind):
        def fun(x):
            show(x)
            return [x]
        return fun
    return around


def _called(primitive):
    return lambda bind: lambda x: primitive.bind(
        x, subfuns=(wrap_init(lambda y: [lax.mul(y, y)]),))


def _checked(bind):
    def square(x):
        checkify.check(jnp.all(x == x), "not a number")
        return lax.mul(x, x)
    return lambda x: [checkify.checkify(square)(x)[1]]


def _exported(bind):
    """An exported program has one shape, hence no vmap; tests/export runs and differentiates it."""
    return lambda x: [export.export(jax.jit(lambda y: lax.mul(y, y)))(_result(x)).call(x)]


def _on_buffers(method):
    def doubled(x):
        def write(_, out, x):
            np.asarray(out)[...] = np.asarray(x) + np.asarray(x)
        return [buffer_callback(write, x, vmap_method=method)(x)]
    return lambda bind: doubled


def _sized(bind):
    """Symbolic sizes are known when the program that has them is called."""
    def scaled(x):
        spec = jax.ShapeDtypeStruct(export.symbolic_shape("b, 3"), x.dtype)
        return [export.export(jax.jit(lambda y: y * y.shape[0]))(spec).call(x)]
    return scaled


SAMPLES: Samples = {
    "pure_callback": [
        Sample(((2, 3),), around=_pure(method), dtypes=_ANY, grad=False, reason=_FOREIGN)
        for method in ("sequential", "sequential_unrolled", "expand_dims", "broadcast_all",
                       "legacy_vectorized")],
    "io_callback": [Sample(((2, 3),), around=_io, dtypes=_ANY, grad=False, reason=_FOREIGN)],
    "debug_callback": [
        Sample(((2, 3),), around=_shown(lambda x: jax.debug.callback(lambda y: None, x)),
               dtypes=_ANY)],
    "debug_print": [
        Sample(((2, 3),), around=_shown(lambda x: jax.debug.print("{}", x)), dtypes=_ANY)],
    "inspect_sharding": [
        Sample(((2, 3),), dtypes=_ANY, around=_shown(
            lambda x: jax.debug.inspect_array_sharding(x, callback=lambda s: None)))],
    "create_token": [Sample(((3,),), around=_shown(lambda x: lax.create_token(x)), dtypes=_ANY)],
    "after_all": [
        Sample(((3,),), around=_shown(lambda x: lax.after_all(lax.create_token())), dtypes=_ANY)],
    "ffi_call": [
        Sample(((3,),), dict(result_avals=(core.ShapedArray((), np.dtype("float32")),),
                             vmap_method=None, target_name="unknown", has_side_effect=False,
                             input_layouts=((0,),), output_layouts=((),),
                             input_output_aliases=(), custom_call_api_version=4,
                             legacy_backend_config=None, attributes=()),
               dtypes=_ANY, runs=False, grad=False, reason=_FOREIGN)],
    "buffer_callback": [
        Sample(((2, 3),), around=_on_buffers(method), dtypes=_ANY, grad=False, reason=_FOREIGN)
        for method in ("sequential", "expand_dims", "broadcast_all")],
    "check": [Sample(((2, 3),), around=_checked, dtypes=_ANY[:4])],
    "call_exported": [Sample(((2, 3),), around=_exported, dtypes=_ANY[:4], runs=False,
                             grad=False, reason="its derivative is a custom rule around it")],
    "dim_as_value": [Sample(((2, 3),), around=_sized, dtypes=("f",), runs=False, grad=False,
                            reason="its derivative is a custom rule around it")],
    "call": [Sample(((2, 3),), around=_called(call_p), dtypes=("f", "c", "i"))],
    "closed_call": [Sample(((2, 3),), around=_called(closed_call_p), dtypes=("f", "c", "i"))],
}
