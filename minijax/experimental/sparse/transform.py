"""`sparsify`: functions of dense arrays, applied to sparse ones.

The function is traced with arrays of the same shapes, and its jaxpr is run with the sparse
operands: an operation that keeps zeros works on the stored elements, and one that has no sparse
form here raises NotImplementedError that names it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from minijax.api.misc import ShapeDtypeStruct
from minijax.base import errors, tree
from minijax.core import Jaxpr, JaxprEqn, Literal, close, get_aval, trace_to_jaxpr
from minijax.experimental.sparse import bcoo
from minijax.experimental.sparse.bcoo import BCOO, JAXSparse

# f(0) == 0, and f works element by element.
_KEEPS_ZERO = frozenset((
    "abs", "asin", "asinh", "atan", "atanh", "cbrt", "ceil", "conj", "convert_element_type", "copy",
    "expm1", "floor", "imag", "log1p", "neg", "real", "round", "sign", "sin", "sinh", "sqrt",
    "square", "tan", "tanh"))


def sparsify(f: Callable[..., Any], use_tracer: bool = False) -> Callable[..., Any]:
    """`f`, able to take sparse arrays where it takes dense ones, and to return them."""
    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = tree.flatten((args, kwargs), is_leaf=_is_sparse)
        arrays = [i for i, x in enumerate(leaves) if _is_sparse(x)]
        result = None

        def flat(*dense: Any) -> list:
            nonlocal result
            filled = list(leaves)
            for i, x in zip(arrays, dense):
                filled[i] = x
            given, keywords = tree.unflatten(structure, filled)
            outs, result = tree.flatten(f(*given, **keywords))
            return outs

        avals = [get_aval_of(leaves[i]) for i in arrays]
        jaxpr = close(*trace_to_jaxpr(flat, avals))
        return tree.unflatten(result, run(jaxpr, [leaves[i] for i in arrays]))
    return wrapped


def _is_sparse(x: Any) -> bool:
    return isinstance(x, JAXSparse)


def get_aval_of(x: JAXSparse) -> Any:
    """The type of the dense array with the shape and dtype of `x`."""
    made = ShapeDtypeStruct(x.shape, x.dtype)
    return get_aval(bcoo.jnp.zeros((), x.dtype)).update(shape=made.shape, weak_type=False)


def run(jaxpr: Jaxpr, args: Sequence[Any]) -> list:
    """The results of a program, some of whose operands are sparse."""
    env: dict = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*jaxpr.consts, *args], strict=True))

    def read(atom: Any) -> Any:
        return atom.val if type(atom) is Literal else env[atom]

    for eqn in jaxpr.eqns:
        operands = [read(v) for v in eqn.invars]
        if any(map(_is_sparse, operands)):
            outs = _apply(eqn, operands)
        else:
            outs = eqn.primitive.bind(*operands, **eqn.params)
            outs = outs if eqn.primitive.multiple_results else [outs]
        env.update(zip(eqn.outvars, outs, strict=True))
    return [read(v) for v in jaxpr.outvars]


def _apply(eqn: JaxprEqn, args: list) -> list:
    name, params, x = eqn.primitive.name, eqn.params, args[0]
    match name:
        case "jit" | "custom_jvp_call" | "custom_vjp_call" | "remat2":
            inner = params["jaxpr"] if "jaxpr" in params else params["call_jaxpr"]
            return run(inner, args)
        case "add" | "add_any":
            return [_add(*args)]
        case "sub":
            return [_add(x, -args[1])]
        case "mul":
            return [_multiply(*args)]
        case "div" if not _is_sparse(args[1]):
            return [_multiply(x, 1 / bcoo.jnp.asarray(args[1]))]
        case "dot_general":
            kept = {key: params[key] for key in ("dimension_numbers", "preferred_element_type")}
            return [bcoo.bcoo_dot_general(*args, **kept)]
        case "reduce_sum":
            return [bcoo.bcoo_reduce_sum(x, axes=params["axes"])]
        case "transpose":
            return [bcoo.bcoo_transpose(x, permutation=params["permutation"])]
        case "reshape":
            return [bcoo.bcoo_reshape(x, new_sizes=params["new_sizes"])]
        case "squeeze":
            return [bcoo.bcoo_squeeze(x, dimensions=params["dimensions"])]
        case "broadcast_in_dim":
            return [bcoo.bcoo_broadcast_in_dim(
                x, shape=params["shape"], broadcast_dimensions=params["broadcast_dimensions"])]
        case "concatenate" if all(map(_is_sparse, args)):
            return [bcoo.bcoo_concatenate(args, dimension=params["dimension"])]
        case "integer_pow" if params["y"] > 0:
            return [_elementwise(eqn, x)]
    if name in _KEEPS_ZERO and len(args) == 1:
        return [_elementwise(eqn, x)]
    raise NotImplementedError(errors.describe(
        f"sparse rule for {name} is not implemented.",
        fix="use x.todense() for this part of the function"))


def _elementwise(eqn: JaxprEqn, x: BCOO) -> BCOO:
    if eqn.primitive.name not in ("neg", "real", "imag", "conj", "copy", "convert_element_type"):
        x = x if x.unique_indices else bcoo.bcoo_sum_duplicates(x, x.nse)
    return x.like(eqn.primitive.bind(x.data, **eqn.params))


def _add(x: Any, y: Any) -> Any:
    if _is_sparse(x) and _is_sparse(y):
        return x + y
    raise NotImplementedError(errors.describe(
        "Addition between sparse and dense array is not implemented.",
        fix="add x.todense() if the result is to be dense"))


def _multiply(x: Any, y: Any) -> Any:
    if not _is_sparse(x):
        x, y = y, x
    return x * y
