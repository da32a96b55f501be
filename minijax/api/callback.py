"""Calling Python from compiled programs: `pure_callback` and `io_callback`.

The host function gets JAX arrays and gives anything that NumPy can make arrays of, checked against
the types it promised. Without `jit` it is simply called, so its exceptions arrive as they are; out
of a compiled program they arrive as `JaxRuntimeError`, and are logged.

    >>> jax.jit(lambda x: jax.pure_callback(np.sin, x, x))(jnp.float32(1.0))
    Array(0.84147096, dtype=float32)
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import config, dtypes, errors, jaxlib, tree
from minijax.core import (AxisData, Dims, Primitive, ShapedArray, Values, aval_of, entered,
                          eval_trace, io_effect, materialize, move_axis, ordered_io_effect)
from minijax.lax.rules import no_rule
from minijax.runtime import backend, place
from minijax.sharding.single import single_device

__all__ = ["io_callback", "pure_callback"]

logger = logging.getLogger(__name__)

_METHODS = ("sequential", "sequential_unrolled", "expand_dims", "broadcast_all",
            "legacy_vectorized")


def pure_callback(callback: Callable[..., Any], result_shape_dtypes: Any, *args: Any,
                  sharding: Any = None, vmap_method: str | None = None, **kwargs: Any) -> Any:
    """`callback(*args, **kwargs)`, computed by Python while the program runs.

    callback: a function without side effects; it may be called any number of times, or never.
    result_shape_dtypes: the shapes and dtypes of its result, a pytree. sharding: a single device
    whose host runs it. vmap_method: "sequential" (one call per element), "sequential_unrolled",
    or one call on whole batches, where operands without the batch axis get one of size 1
    ("expand_dims"), of full size ("broadcast_all"), or none ("legacy_vectorized").
    No derivative: wrap it in `jax.custom_jvp`.
    """
    check_vmap_method(vmap_method)
    avals, out_tree = result_types(result_shape_dtypes)
    leaves, in_tree = tree.flatten((args, kwargs))
    outs = pure_callback_p.bind(
        *leaves, callback=_FlatCallback(callback, in_tree, "pure_callback"), result_avals=avals,
        sharding=_one_device(sharding, "pure_callback"), vmap_method=vmap_method)
    return tree.unflatten(out_tree, outs)


def io_callback(callback: Callable[..., Any], result_shape_dtypes: Any, *args: Any,
                sharding: Any = None, ordered: bool = False, **kwargs: Any) -> Any:
    """`callback(*args, **kwargs)`, called by Python each time that the program comes by.

    As `pure_callback`, for functions with side effects. Calls with `ordered` happen in program
    order; they cannot be mapped by `vmap`.
    """
    avals, out_tree = result_types(result_shape_dtypes)
    leaves, in_tree = tree.flatten((args, kwargs))
    outs = io_callback_p.bind(
        *leaves, callback=_FlatCallback(callback, in_tree, "io_callback"), result_avals=avals,
        sharding=_one_device(sharding, "io_callback"), ordered=ordered)
    return tree.unflatten(out_tree, outs)


def check_vmap_method(vmap_method: str | None) -> None:
    """ValueError for anything but a method of mapping calls of foreign functions."""
    if vmap_method is not None and vmap_method not in _METHODS:
        raise ValueError(errors.describe(
            f"vmap_method must be on of the allowed methods {[*_METHODS, None]}, but got: "
            f"{vmap_method}", fix="vmap_method='sequential'"))


def result_types(shape_dtypes: Any) -> tuple[tuple[ShapedArray, ...], Any]:
    """The avals of the results that a user announces, and their tree."""
    leaves, treedef = tree.flatten(shape_dtypes)
    avals = []
    for leaf in leaves:
        dtype = dtypes.to_numpy_dtype(leaf.dtype)
        if dtypes.canonicalize_dtype(dtype) != dtype:
            raise ValueError(errors.describe(
                "result_shape_dtypes cannot specify 64-bit types when `jax_enable_x64` is "
                f"disabled, but got {dtype}",
                fix="jax.ShapeDtypeStruct(shape, 'float32'), or jax.config.update("
                    "'jax_enable_x64', True)"))
        avals.append(ShapedArray(tuple(leaf.shape), dtype))
    return tuple(avals), treedef


def _one_device(sharding: Any, name: str) -> Any:
    if sharding is not None and not isinstance(sharding, jaxlib.SingleDeviceSharding):
        raise NotImplementedError(errors.describe(
            f"{name} only supports SingleDeviceSharding, but got {type(sharding)}",
            fix="sharding=jax.sharding.SingleDeviceSharding(jax.devices()[0])"))
    return sharding


# --- the host's side ---------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _FlatCallback:
    """The user's function on flat arrays; two of the same function and tree are equal."""

    callback_func: Callable[..., Any]
    in_tree: Any
    name: str = dataclasses.field(repr=False)
    wide: bool = dataclasses.field(default_factory=config.x64_enabled, repr=False)

    def __call__(self, *args: np.ndarray) -> list[np.ndarray]:
        """Called by a compiled program, perhaps in another thread, with arrays it may reuse."""
        try:
            with entered(eval_trace):
                return self.call([on_host(x) for x in args])
        except BaseException:
            logger.exception("jax.%s failed", self.name)
            raise

    def call(self, leaves: Sequence[Any]) -> list[np.ndarray]:
        """Leaves of the result as NumPy arrays, of 32 bits unless x64 was on."""
        args, kwargs = tree.unflatten(self.in_tree, leaves)
        outs = [np.asarray(x) for x in tree.leaves(self.callback_func(*args, **kwargs))]
        if self.wide:
            return outs
        return [x.astype(dtypes.canonicalize_dtype(x.dtype), copy=False) for x in outs]


def on_host(x: Any) -> Any:
    """`x` as an array on a CPU that shares no memory with it; arrays that are there stay."""
    if isinstance(x, jaxlib.ArrayImpl):
        device = next(iter(x.sharding.device_set))
        if device.platform == "cpu" and len(x.sharding.device_set) == 1:
            return x
        x = np.asarray(x)
    elif isinstance(x, jaxlib.Array):  # random keys
        return x
    aval = aval_of(x)
    if isinstance(x, np.ndarray):
        aval = ShapedArray(x.shape, x.dtype)
    return place.from_numpy(np.asarray(x, aval.dtype), aval, single_device(_cpu()))


def _cpu() -> Any:
    device = backend.default_device()
    return device if device.platform == "cpu" else backend.local_devices(backend="cpu")[0]


def _run_now(*args: Any, callback: _FlatCallback, result_avals: Sequence[ShapedArray],
             **_: Any) -> list:
    """The operation on arrays, outside of any program."""
    outs = callback.call([on_host(x) for x in args])
    if len(outs) != len(result_avals):
        raise RuntimeError(f"Mismatched number of outputs from callback. Expected: "
                           f"{len(result_avals)}, Actual: {len(outs)}")
    for i, (x, aval) in enumerate(zip(outs, result_avals)):
        for what, actual, wanted in (("shape", x.shape, aval.shape),
                                     ("dtype", x.dtype, aval.dtype)):
            if actual != wanted:
                raise RuntimeError(errors.describe(
                    f"Incorrect output {what} for return value #{i}: Expected: {wanted}, "
                    f"Actual: {actual}", fix="return what result_shape_dtypes promises"))
    committed = [x.sharding for x in args if isinstance(x, jaxlib.ArrayImpl) and x.committed]
    where = committed[0] if committed and len(committed[0].device_set) == 1 else None
    return [place.from_numpy(x, aval, where, where is not None)
            for x, aval in zip(outs, result_avals)]


# --- rules -------------------------------------------------------------------------------------


def call_on_batch(primitive: Primitive, axis: AxisData, args: Values, dims: Dims,
                  vmap_method: str | None, params: dict) -> tuple[list, list]:
    """The vmap rule of a call of a foreign function, whose parameter `result_avals` is known.

    Methods that call it once give it operands and results with the mapped axis in front.
    """
    if vmap_method is None:
        raise NotImplementedError(errors.describe(
            f"vmap is only supported for the {primitive.name} primitive when vmap_method is one of "
            "'sequential', 'sequential_unrolled', 'expand_dims', 'broadcast_all', or "
            "'legacy_vectorized'. Got vmap_method=None.", fix="pass vmap_method='sequential'"))
    args = [x if d is None else move_axis(x, d, 0) for x, d in zip(args, dims)]
    if vmap_method.startswith("sequential"):
        outs = _one_by_one(primitive, args, dims, axis.size,
                           axis.size if vmap_method == "sequential_unrolled" else 1, params)
        return outs, [0] * len(outs)
    if vmap_method != "legacy_vectorized":
        size = axis.size if vmap_method == "broadcast_all" else 1
        args = [materialize(x, None, size) if d is None else x for x, d in zip(args, dims)]
    batched = tuple(a.update(shape=(axis.size, *a.shape)) for a in params["result_avals"])
    outs = primitive.bind(*args, **{**params, "result_avals": batched})
    return outs, [0] * len(outs)


def _one_by_one(primitive: Primitive, args: Values, dims: Dims, size: int, unroll: int,
                params: dict) -> list:
    def body(_: tuple, elements: list) -> tuple:
        rest = iter(elements)
        return (), primitive.bind(
            *[x if d is None else next(rest) for x, d in zip(args, dims)], **params)

    batched = [x for x, d in zip(args, dims) if d is not None]
    return lax.scan(body, (), batched, length=size, unroll=unroll)[1]


def _pure_vmap(axis: AxisData, args: Values, dims: Dims, **params: Any) -> tuple[list, list]:
    return call_on_batch(pure_callback_p, axis, args, dims, params["vmap_method"], params)


def _io_vmap(axis: AxisData, args: Values, dims: Dims, *, ordered: bool,
             **params: Any) -> tuple[list, list]:
    if ordered:
        raise ValueError(errors.describe(
            "Cannot `vmap` ordered IO callback.", because="the elements of a batch have no order",
            fix="io_callback(..., ordered=False), or a loop: jax.lax.map"))
    return call_on_batch(io_callback_p, axis, args, dims, "sequential",
                         {**params, "ordered": False})


pure_callback_p = Primitive(
    "pure_callback", multiple_results=True, shape=lambda *_, result_avals, **__: result_avals,
    impl=_run_now, vmap=_pure_vmap,
    jvp=no_rule(ValueError, "Pure callbacks do not support JVP. Please use `jax.custom_jvp` to use "
                "callbacks while taking gradients.", "wrap the function in jax.custom_jvp"),
    transpose=no_rule(ValueError, "Pure callbacks do not support transpose. Please use "
                      "`jax.custom_vjp` to use callbacks while taking gradients.",
                      "wrap the function in jax.custom_vjp"))


def _io_shape(*_: Any, result_avals: Sequence[ShapedArray], ordered: bool, **__: Any) -> tuple:
    return result_avals, {ordered_io_effect if ordered else io_effect}


io_callback_p = Primitive(
    "io_callback", multiple_results=True, effectful=True, shape=_io_shape, impl=_run_now,
    vmap=_io_vmap,
    jvp=no_rule(ValueError, "IO callbacks do not support JVP.",
                "jax.lax.stop_gradient(x) around operands"),
    transpose=no_rule(ValueError, "IO callbacks do not support transpose.",
                      "take the callback out"))
