"""`jax.ffi`: calling compiled functions of other languages from programs.

    jax.ffi.register_ffi_target("rms_norm", jax.ffi.pycapsule(library.RmsNorm))
    jax.ffi.ffi_call("rms_norm", jax.ShapeDtypeStruct(x.shape, x.dtype))(x, eps=np.float32(1e-5))
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minijax.api.callback import call_on_batch, check_vmap_method
from minijax.base import dtypes, errors, jaxlib
from minijax.core import (AbstractToken, AxisData, Effect, Primitive, ShapedArray, abstract_token,
                          aval_of, checkpoint_effects, control_flow_effects, lowerable_effects)
from minijax.interpreters import mlir
from minijax.lax.composite import Elements

__all__ = ["ffi_call", "ffi_lowering", "include_dir", "pycapsule", "register_ffi_target",
           "register_ffi_target_as_batch_partitionable", "register_ffi_type",
           "register_ffi_type_id"]

TYPED = 4  # from this calling convention on, attributes are typed


# --- registration ------------------------------------------------------------------------------


def register_ffi_target(name: str, fn: Any, platform: str = "cpu", api_version: int = 1,
                        **kwargs: Any) -> None:
    """Make the function behind a capsule (or a dict of them, by stage) callable as `name`."""
    jaxlib.xc.register_custom_call_target(name, fn, platform, api_version, **kwargs)


def register_ffi_type(name: str, type_registration: Mapping[str, Any],
                      platform: str = "cpu") -> None:
    """Make a type of state known: a dict of capsules with its id and what deals with it."""
    jaxlib.xc.register_custom_type(name, dict(type_registration), platform=platform)


def register_ffi_type_id(name: str, obj: Any, platform: str = "cpu") -> None:
    """Make a type of state known by the capsule of its id."""
    register_ffi_type(name, {"type_id": obj}, platform)


def register_ffi_target_as_batch_partitionable(name: str) -> None:
    """Say that a function may be applied to parts of its operands, cut along leading axes."""
    jaxlib.xc.register_custom_call_as_batch_partitionable(name)


def pycapsule(funcptr: Any) -> Any:
    """A ctypes function, or anything that ctypes can cast to a pointer, as a capsule."""
    destructor = ctypes.CFUNCTYPE(None, ctypes.py_object)
    make = ctypes.pythonapi.PyCapsule_New
    make.restype = ctypes.py_object
    make.argtypes = (ctypes.c_void_p, ctypes.c_char_p, destructor)
    return make(ctypes.cast(funcptr, ctypes.c_void_p), None, destructor(0))


def include_dir() -> str:
    """The folder of the C++ headers that such functions are written with."""
    return str(Path(jaxlib.load("version").__file__).parent / "include")


# --- calls -------------------------------------------------------------------------------------


class FfiEffect(Effect):
    """A call with side effects."""

    def __repr__(self) -> str:
        return "FfiEffect()"


_effect = FfiEffect()
for _accepted in (lowerable_effects, control_flow_effects, checkpoint_effects):
    _accepted.add_type(FfiEffect)


class HashableArray(Elements):
    """An array that can be a parameter."""

    def __repr__(self) -> str:
        return f"HashableArray({self.array!r})"


class FrozenDict(Mapping):
    """A dict that can be a parameter."""

    def __init__(self, items: Mapping):
        self._items = {key: hashable(value) for key, value in items.items()}

    def __getitem__(self, key: Any) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(tuple(sorted(self._items.items(), key=str)))

    def __repr__(self) -> str:
        return f"FrozenDict({self._items})"


def hashable(value: Any) -> Any:
    """An attribute as a parameter."""
    if isinstance(value, np.ndarray):
        return HashableArray(value)
    if isinstance(value, Mapping):
        return FrozenDict(value)
    if isinstance(value, (list, tuple)):
        return tuple(map(hashable, value))
    return value


def ffi_call(target_name: str, result_shape_dtypes: Any, *, has_side_effect: bool = False,
             vmap_method: str | None = None, input_layouts: Sequence[Any] | None = None,
             output_layouts: Any = None, input_output_aliases: Mapping[int, int] | None = None,
             custom_call_api_version: int = TYPED,
             legacy_backend_config: Any = None) -> Callable[..., Any]:
    """A function that calls the registered function `target_name`.

    Its positional arguments are arrays, its keyword arguments attributes: numbers, strings, NumPy
    arrays, dicts. result_shape_dtypes: shape and dtype of the result, or a list for several.
    vmap_method: see `jax.pure_callback`. Layouts are major-to-minor permutations of axes, None for
    row-major. input_output_aliases: which result may overwrite which operand.
    """
    check_vmap_method(vmap_method)
    if custom_call_api_version >= TYPED and legacy_backend_config is not None:
        raise ValueError(errors.describe(
            "The use of the legacy_backend_config parameter requires custom_call_api_version < 4; "
            f"got {custom_call_api_version}.", fix="pass attributes as keyword arguments"))
    several = isinstance(result_shape_dtypes, Sequence)
    out_avals = tuple(_result_aval(x, i) for i, x in enumerate(
        result_shape_dtypes if several else (result_shape_dtypes,)))
    if output_layouts is not None and not several:
        output_layouts = (output_layouts,)

    def call(*args: Any, **attributes: Any) -> Any:
        if attributes and custom_call_api_version < TYPED:
            raise ValueError(errors.describe(
                "The use of ffi_call attributes requires a custom call API version of at least 4; "
                f"got api_version={custom_call_api_version}.", fix="legacy_backend_config=..."))
        avals = [aval_of(x) for x in args]
        ins = _minor_to_major("input", input_layouts, avals)
        outs = _minor_to_major("output", output_layouts, out_avals)
        found = ffi_call_p.bind(
            *args, result_avals=out_avals, vmap_method=vmap_method, target_name=target_name,
            has_side_effect=has_side_effect, input_layouts=ins, output_layouts=outs,
            input_output_aliases=checked_aliases(input_output_aliases, avals, out_avals, ins, outs),
            custom_call_api_version=custom_call_api_version,
            legacy_backend_config=legacy_backend_config,
            attributes=tuple((k, hashable(v)) for k, v in sorted(attributes.items())))
        return found if several else found[0]

    return call


def _result_aval(x: Any, position: int) -> Any:
    if isinstance(x, AbstractToken):
        return abstract_token
    if not (hasattr(x, "shape") and hasattr(x, "dtype")):
        raise ValueError(errors.describe(
            "All elements of result_shape_dtypes must have 'shape' and 'dtype' attributes. Got "
            f"{x} at position {position}.", fix="jax.ShapeDtypeStruct((3,), 'float32')"))
    return ShapedArray(tuple(x.shape), dtypes.to_numpy_dtype(x.dtype))


def _minor_to_major(what: str, layouts: Sequence[Any] | None, avals: Sequence[Any]) -> tuple:
    if layouts is None:
        return tuple(tuple(range(a.ndim - 1, -1, -1)) for a in avals)
    if len(layouts) != len(avals):
        raise ValueError(errors.describe(
            f"The number of {what} arguments ({len(avals)}) must equal the number of {what} "
            f"layouts ({len(layouts)}).", fix="give a layout, or None, for each"))
    return tuple(_one_layout(one, a.ndim) for one, a in zip(layouts, avals))


def _one_layout(layout: Any, ndim: int) -> tuple[int, ...]:
    if layout is None:
        return tuple(range(ndim - 1, -1, -1))
    return tuple(getattr(layout, "major_to_minor", layout))[::-1]


def checked_aliases(given: Mapping[int, int] | None, ins: Sequence[Any], outs: Sequence[Any],
                    in_layouts: Sequence[Any] | None = None,
                    out_layouts: Sequence[Any] | None = None) -> tuple[tuple[int, int], ...]:
    """Pairs of an operand and a result that may share memory; ValueError if they differ in type."""
    for i, o in (given or {}).items():
        what = f"input_output_aliases contains the mapping '{i}:{o}'"
        if not 0 <= i < len(ins):
            what += f" with input index {i} outside the range [0, {len(ins)})."
        elif not 0 <= o < len(outs):
            what += f" with output index {o} outside the range [0, {len(outs)})."
        elif (ins[i].shape, ins[i].dtype) != (outs[o].shape, outs[o].dtype):
            what += (f" referring to an input with abstract value {ins[i].str_short(False)} and an "
                     f"output with a different abstract value {outs[o].str_short(False)}.")
        elif in_layouts is not None and in_layouts[i] != out_layouts[o]:
            what += (f" referring to an input with layout {in_layouts[i]} and an output with a "
                     f"different layout {out_layouts[o]}.")
        else:
            continue
        raise ValueError(errors.describe(what, fix="alias an operand and a result of one type"))
    return tuple((given or {}).items())


def _shape(*avals: Any, result_avals: tuple, has_side_effect: bool, **_: Any) -> tuple:
    return result_avals, {_effect} if has_side_effect else set()


def _vmap(axis: AxisData, args: Sequence[Any], dims: Sequence[int | None],
          **params: Any) -> tuple[list, list]:
    method = params["vmap_method"]
    if method is not None and not method.startswith("sequential"):
        kept = [method == "legacy_vectorized" and d is None for d in dims]
        params["input_layouts"] = tuple(one if k else _with_leading(one)
                                        for one, k in zip(params["input_layouts"], kept))
        params["output_layouts"] = tuple(map(_with_leading, params["output_layouts"]))
    return call_on_batch(ffi_call_p, axis, args, dims, method, params)


def _with_leading(layout: tuple[int, ...]) -> tuple[int, ...]:
    """The layout of a batch of arrays, one after the other."""
    return tuple(i + 1 for i in layout) + (0,)


_NO_DERIVATIVE = "wrap the call in jax.custom_jvp or jax.custom_vjp"


def _refuse_derivative(*args: Any, target_name: str, **_: Any) -> Any:
    raise ValueError(errors.describe(
        f"The FFI call to `{target_name}` cannot be differentiated. You can use `jax.custom_jvp` "
        "or `jax.custom_jvp` to add support.", fix=_NO_DERIVATIVE))


ffi_call_p = Primitive(
    "ffi_call", multiple_results=True, effectful=True, shape=_shape, vmap=_vmap,
    jvp=_refuse_derivative, transpose=_refuse_derivative,
    physical=lambda avals, *words, **params: ffi_call_p.bind(
        *words, **_for_words(words, params)))


def _for_words(words: Sequence[Any], params: dict) -> dict:
    layouts = tuple(tuple(range(aval_of(x).ndim - 1, -1, -1)) if aval_of(x).ndim != len(one)
                    else one for x, one in zip(words, params["input_layouts"]))
    return {**params, "input_layouts": layouts}


# --- lowering rules ----------------------------------------------------------------------------


def ffi_lowering(call_target_name: str, *, operand_layouts: Sequence[Any] | None = None,
                 result_layouts: Sequence[Any] | None = None, backend_config: Any = None,
                 skip_ffi_layout_processing: bool = False,
                 **lowering_args: Any) -> Callable[..., Any]:
    """A lowering rule, for a primitive of one's own, that calls `call_target_name`.

    Layouts are minor-to-major permutations, or Layout objects. The parameters of the equation are
    the attributes; other arguments go to the operation as they are.
    """
    def rule(ctx: Any, *operands: Any, **params: Any) -> Sequence[Any]:
        config = backend_config
        args = {"api_version": TYPED, **lowering_args}
        if config is None and args["api_version"] >= TYPED:
            config = {key: mlir.ir_attribute(value) for key, value in params.items()}
        made = mlir.custom_call(
            call_target_name, operands=mlir.flatten_ir_values(operands), backend_config=config,
            result_types=[mlir.aval_to_ir_type(a) for a in ctx.avals_out],
            operand_layouts=_given_layouts(operand_layouts, ctx.avals_in),
            result_layouts=_given_layouts(result_layouts, ctx.avals_out), **args)
        return made.results
    return rule


def _given_layouts(layouts: Sequence[Any] | None, avals: Sequence[Any]) -> list | None:
    if layouts is None:
        return None
    return [_one_layout(one, a.ndim) if one is None or hasattr(one, "major_to_minor") else one
            for one, a in zip(layouts, avals)]
