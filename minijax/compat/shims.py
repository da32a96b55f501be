"""Small stand-ins for private names of JAX that nothing here corresponds to; see private.py."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from traceback import FrameSummary
from types import FrameType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minijax import core
from minijax.base import dtypes, jaxlib, source, tree
from minijax.core import ShapedArray, eval_trace, state
from minijax.passes import physicalize
from minijax.runtime import backend
from minijax.runtime.array import _make_from_pickle

F = TypeVar("F", bound=Callable[..., Any])

DType = np.dtype


class TypedNdArray(np.ndarray):
    """A class of constants that no value of ours has, like the three below."""


class TypedInt(int):
    """Never made."""


class TypedFloat(float):
    """Never made."""


class TypedComplex(complex):
    """Never made."""


class Trace(core.Trace):
    """A base for the traces of libraries, which keep the trace below by themselves."""

    __slots__ = ()

    def full_raise(self, x: Any) -> Any:
        """A value as one of this trace; `process_primitive` takes any."""
        return x


def _reconstruct_array(
    make: Callable[..., np.ndarray], args: tuple, state: tuple, properties: dict[str, Any]
) -> jaxlib.Array:
    """An array from its pickle: of `make(*args)`, which has then the given state."""
    value = make(*args)
    value.__setstate__(state)
    return _make_from_pickle(value, properties["weak_type"])


global_result_handlers: dict[type, Callable[..., Any]] = {}
jaxlib_extension_version: int = getattr(jaxlib.xc, "_version", 0)


def physical_aval(aval: ShapedArray) -> ShapedArray:
    """The type of the words that an array of an extended dtype consists of."""
    rules = getattr(aval.dtype, "_rules", None)
    if not hasattr(rules, "physical_element_aval"):
        return physicalize.physical_aval(aval)
    element = rules.physical_element_aval(aval.dtype)
    return ShapedArray((*aval.shape, *element.shape), element.dtype)


def trace_state_clean() -> bool:
    """Whether nothing is being traced or transformed."""
    return state.trace is eval_trace


class _GlobalState:
    """What `jax.distributed.initialize` has set up; None, or process 0, before."""

    def __getattr__(self, name: str) -> Any:
        if name not in ("client", "coordinator_address", "num_processes", "process_id", "service"):
            raise AttributeError(name)
        default = 0 if name == "process_id" else None
        return getattr(backend.distributed(), name, default)


global_state = _GlobalState()


def check_close(xs: Any, ys: Any, atol: Any = None, rtol: Any = None, err_msg: str = "") -> None:
    """AssertionError unless two trees are equal up to tolerances, or the precision of dtypes.

    A tolerance is a number, or one for each dtype in a dict.
    """
    def at(tolerance: Any, default: float, *values: Any) -> float:
        if isinstance(tolerance, dict):
            found = {np.dtype(kind): number for kind, number in tolerance.items()}
            return max(found.get(v.dtype, default) for v in values)
        return default if tolerance is None else tolerance

    def close(x: Any, y: Any) -> None:
        x, y = np.asarray(x), np.asarray(y)
        digits = min(dtypes.finfo(dtypes.to_inexact(v.dtype)).precision for v in (x, y))
        default = 10.0 ** -digits
        np.testing.assert_allclose(
            x.astype(np.result_type(x, np.float32)), y.astype(np.result_type(y, np.float32)),
            rtol=at(rtol, default, x, y), atol=at(atol, default, x, y), err_msg=err_msg)
    tree.map(close, xs, ys)


def api_boundary(fun: F, **options: Any) -> F:
    """`fun` itself: our own frames are hidden where the program calls us."""
    return fun


def include_frame(frame: FrameType | FrameSummary) -> bool:
    """Whether a traceback shows this frame."""
    code = getattr(frame, "f_code", None)
    return not source.is_internal(code.co_filename if code else frame.filename)


def infer_argnums_and_argnames(
    signature: inspect.Signature, argnums: Any, argnames: Any
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Positions and names of the same parameters, from either of them."""
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    names = (argnames,) if isinstance(argnames, str) else argnames
    positional = [name for name, parameter in signature.parameters.items()
                  if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    if names is None:
        names = [positional[i] for i in numbers or () if i < len(positional)]
    if numbers is None:
        numbers = [i for i, name in enumerate(positional) if name in names]
    return tuple(numbers), tuple(names)


class _Node(NamedTuple):
    """How to take apart and rebuild nodes of one type: the metadata is the node's structure."""

    to_iter: Callable[[Any], tuple[Any, Any]]
    from_iter: Callable[[Any, Any], Any]


class _Registry(Mapping):
    """Node types of pytrees, as a mapping that can be asked but not listed."""

    _node = _Node(lambda node: (tree.flatten_one_level(node)[0],
                                tree.structure(node, is_leaf=lambda x: x is not node)),
                  tree.unflatten)

    def __contains__(self, typ: object) -> bool:
        return tree.is_tree_node(typ)

    def __getitem__(self, typ: type) -> _Node:
        if typ not in self:
            raise KeyError(typ)
        return self._node

    def __iter__(self) -> Iterator[type]:
        raise TypeError("the registry of pytree nodes cannot be listed")

    def __len__(self) -> int:
        raise TypeError("the registry of pytree nodes cannot be listed")


_registry = _Registry()
