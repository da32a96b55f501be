"""`vectorize`: a function of scalars (or of small core arrays) made one of arrays of any rank.

Invariant: the function is traced once, on core arrays; the other axes are added by nested `vmap`s,
and an argument that has size 1 (or nothing) along an axis is not repeated there.

    dot = vectorize(jnp.dot, signature="(n),(n)->()")
    dot(x, y)       # shapes (2, 1, 3) and (4, 3) give (2, 4)
"""

import re
import warnings
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from minijax import lax
from minijax.api.vmap import vmap
from minijax.base import config, errors
from minijax.numpy.promotion import array_operand, as_array, keep_axes

_NAME = r"\w+"
_CORE = rf"\((?:{_NAME}(?:,{_NAME})*)?\)"
_SIGNATURE = re.compile(rf"^(?:{_CORE}(?:,{_CORE})*)?->{_CORE}(?:,{_CORE})*$")

CoreDims = tuple[str, ...]


class _Signature(NamedTuple):
    """The core dimensions of the arguments, and of the results (None: unknown)."""

    inputs: tuple[CoreDims, ...]
    outputs: tuple[CoreDims, ...] | None


def vectorize(pyfunc: Callable[..., Any], *, excluded: Collection[int | str] = frozenset(),
              signature: str | None = None) -> Callable[..., Any]:
    """A function that applies `pyfunc` along the core dimensions of a signature.

    "(m,n),(n)->(m)" names the last axes of arguments and results, by default none.  The axes
    before these broadcast.  Arguments in `excluded` (positions and keywords) are passed as they
    are.
    """
    if any(not isinstance(x, (int, str)) for x in excluded):
        raise TypeError(errors.describe(
            "jax.numpy.vectorize can only exclude integer or string arguments, but "
            f"excluded={excluded!r}", fix="excluded={0, 'name'}"))
    if any(isinstance(x, int) and x < 0 for x in excluded):
        raise ValueError(errors.describe(f"excluded={excluded!r} contains negative numbers"))
    about = f"on vectorized function with excluded={excluded!r} and signature={signature!r}"
    parsed = None if signature is None else _parse(signature)

    def vectorized(*args: Any, **kwargs: Any) -> Any:
        used = [i for i in range(len(args)) if i not in excluded and args[i] is not None]
        if parsed is not None:
            missing = {i for i in range(len(args)) if args[i] is None and i not in excluded}
            if missing:
                raise ValueError(errors.describe(
                    f"Cannot pass None at locations {missing} with {signature=}"))
            if len(used) != len(parsed.inputs):
                raise TypeError(
                    f"wrong number of positional arguments: expected {len(parsed.inputs)}, "
                    f"got {len(used)} {about}")
        cores = parsed or _Signature(((),) * len(used), None)

        def core_function(*xs: Any) -> Any:
            full = list(args)
            for i, x in zip(used, xs):
                full[i] = x
            return pyfunc(*full, **kwargs)

        xs = [array_operand("vectorize", args[i], i) for i in used]
        return _apply(core_function, xs, cores, about)

    vectorized.__name__ = getattr(pyfunc, "__name__", "vectorized")
    vectorized.__doc__ = pyfunc.__doc__
    vectorized.__wrapped__ = pyfunc
    return vectorized


def _parse(signature: str) -> _Signature:
    text = signature.replace(" ", "")
    if not _SIGNATURE.match(text):
        raise ValueError(errors.describe(f"not a valid gufunc signature: {signature}",
                                         fix="signature='(m,n),(n)->(m)'"))
    sides = [tuple(tuple(re.findall(_NAME, core)) for core in re.findall(_CORE, side))
             for side in text.split("->")]
    return _Signature(*sides)


def _apply(function: Callable, xs: list, cores: _Signature, about: str) -> Any:
    sizes = _core_sizes(xs, cores.inputs, about)
    loops = [x.shape[:x.ndim - len(core)] for x, core in zip(xs, cores.inputs)]
    shape = lax.broadcast_shapes(*loops) if loops else ()
    _check_ranks(loops)
    mapped = _checked(function, cores.outputs, sizes, about)
    squeezed = [_without_ones(x, loop) for x, loop in zip(xs, loops)]
    single = []  # axes of the result along which all arguments have size 1
    for axis in reversed(range(len(shape))):
        back = axis - len(shape)
        in_axes = tuple(0 if -back <= len(loop) and loop[back] != 1 else None for loop in loops)
        if any(i is not None for i in in_axes):
            mapped = vmap(mapped, in_axes=in_axes)
        else:
            single.insert(0, axis)
    out = mapped(*squeezed)
    if not single:
        return out
    return tuple(_with_ones(x, single) for x in out) if isinstance(out, tuple) else _with_ones(
        out, single)


def _core_sizes(xs: list, inputs: Sequence[CoreDims], about: str) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for x, core in zip(xs, inputs):
        if x.ndim < len(core):
            raise ValueError(f"input with shape {x.shape} does not have enough dimensions for all "
                             f"core dimensions {core} {about}")
        _match_sizes(x.shape[x.ndim - len(core):], core, sizes, about)
    return sizes


def _match_sizes(shape: tuple[int, ...], core: CoreDims, sizes: dict[str, int],
                 about: str) -> None:
    for size, name in zip(shape, core):
        if sizes.setdefault(name, size) != size:
            raise ValueError(
                f"inconsistent size for core dimension {name!r}: {size} vs {sizes[name]} {about}")


def _check_ranks(loops: Sequence[tuple[int, ...]]) -> None:
    mode = config.numpy_rank_promotion.value
    if mode == "allow" or len({len(loop) for loop in loops if loop}) < 2:
        return
    shapes = ", ".join(str(loop) for loop in loops if loop)
    message = f"operands with shapes {shapes} require rank promotion"
    if mode == "raise":
        raise ValueError(errors.describe(message, fix="give the arguments equal ranks"))
    warnings.warn(message, stacklevel=4)


def _without_ones(x: Any, loop: tuple[int, ...]) -> Any:
    axes = tuple(i for i, size in enumerate(loop) if size == 1)
    return lax.squeeze(x, axes) if axes else x


def _with_ones(x: Any, axes: Sequence[int]) -> Any:
    return keep_axes(as_array(x), axes, np.ndim(x) + len(axes))


def _checked(function: Callable, outputs: Sequence[CoreDims] | None, sizes: dict[str, int],
             about: str) -> Callable:
    """The function on core arrays, with its results compared with the signature."""
    def core(*xs: Any) -> Any:
        out = function(*xs)
        if outputs is None:
            return out
        results = (out,) if len(outputs) == 1 else out
        if not isinstance(results, tuple):
            raise TypeError(f"output must be a tuple when multiple outputs are expected, got: "
                            f"{out} {about}")
        if len(results) != len(outputs):
            raise TypeError(f"wrong number of output arguments: expected {len(outputs)}, got "
                            f"{len(results)} {about}")
        found = dict(sizes)
        for x, dims in zip(results, outputs):
            shape = np.shape(x)  # also of a container that has a shape
            if len(shape) != len(dims):
                raise ValueError(
                    f"output shape {shape} does not match core dimensions {dims} {about}")
            _match_sizes(shape, dims, found, about)
        return out

    return core
