"""`sparsify`: functions of dense arrays, applied to sparse ones.

A `SparseTracer` looks like the dense array and holds the sparse one; the rules below say what
operations do to it.  An operation without a rule raises NotImplementedError that names it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from minijax import lax, numpy as jnp
from minijax.api.misc import eval_shape
from minijax.base import errors, tree
from minijax.core import (Jaxpr, Primitive, ShapedArray, Trace, Tracer, aval_of, close, entered,
                          eval_jaxpr, jaxpr_as_fun, state, subjaxprs, trace_to_jaxpr)
from minijax.experimental.sparse import bcoo, bcsr
from minijax.experimental.sparse.arrays import BCOO, BCSR, Batched, is_sparse
from minijax.experimental.sparse.coo import as_bcoo
from minijax.experimental.sparse.places import whole

__all__ = ["SparseTrace", "SparseTracer", "sparsify"]

# Elementwise functions with f(0) == 0; of the first ones also f(x + y) == f(x) + f(y).
_ADDITIVE = frozenset(("conj", "convert_element_type", "copy", "imag", "neg", "real"))
_KEEP_ZERO = _ADDITIVE | frozenset((
    "abs", "asin", "asinh", "atan", "atanh", "bessel_i1e", "cbrt", "ceil", "erf", "expm1", "floor",
    "log1p", "round", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh"))
_DENSIFY = frozenset((
    "acos", "acosh", "bessel_i0e", "cos", "cosh", "digamma", "eq", "erf_inv", "erfc", "exp", "exp2",
    "ge", "gt", "le", "lgamma", "log", "logistic", "lt", "ne", "not", "rsqrt", "xor"))


def sparsify(f: Callable[..., Any], use_tracer: bool = False) -> Callable[..., Any]:
    """`f`, able to take sparse arrays where it takes dense ones, and to return them.

    With `use_tracer`, `f` is run on sparse tracers; without, it is traced first as for dense
    arrays, and then run.
    """
    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = tree.flatten((args, kwargs), is_leaf=is_sparse)
        result = None

        def flat(*arrays: Any) -> list:
            nonlocal result
            given, keywords = tree.unflatten(structure, arrays)
            outs, result = tree.flatten(f(*given, **keywords))
            return outs

        if use_tracer:
            outs = _run(flat, leaves)
        else:
            outs = _run_jaxpr(close(*trace_to_jaxpr(flat, [_dense_aval(x) for x in leaves])),
                              leaves)
        return tree.unflatten(result, outs)
    return wrapped


def _run(fun: Callable[..., Sequence[Any]], values: Sequence[Any]) -> list:
    """The flat function `fun` on values of which some are sparse."""
    trace = SparseTrace(state.trace, state.trace.staging)
    with entered(trace):
        outs = fun(*[SparseTracer(trace, x) for x in values])
    return [trace.value_of(x) for x in outs]


def _run_jaxpr(jaxpr: Jaxpr, values: Sequence[Any]) -> list:
    return _run(lambda *xs: eval_jaxpr(jaxpr, jaxpr.consts, *xs), values)


def _dense_aval(x: Any) -> Any:
    """The type of the dense array with the shape and dtype of `x`."""
    return ShapedArray(x.shape, x.dtype) if is_sparse(x) else aval_of(x)


class SparseTracer(Tracer):
    """A sparse (or dense) array, that looks like a dense one."""

    __slots__ = ("value",)

    def __init__(self, trace: Trace, value: Any):
        super().__init__(trace, _dense_aval(value))
        self.value = value


class SparseTrace(Trace):
    """Applies the rules of operations to sparse operands; all else is its parent's affair."""

    __slots__ = ()

    def value_of(self, x: Any) -> Any:
        """What a tracer of this trace holds; other values as they are."""
        return x.value if type(x) is SparseTracer and x._trace is self else x

    def process_primitive(self, primitive: Primitive, args: Sequence[Any], params: dict) -> Any:
        values = [self.value_of(x) for x in args]
        if not any(map(is_sparse, values)) and primitive.name != "todense":
            return self.parent.process_primitive(primitive, values, params)
        if primitive.name in _CALLS:
            with entered(self):
                return list(_callee(params)(*args))
        outer = state.trace
        state.trace = self.parent
        try:
            out = _apply(primitive, values, params)
        finally:
            state.trace = outer
        if primitive.multiple_results:
            return [SparseTracer(self, x) if is_sparse(x) else x for x in out]
        return SparseTracer(self, out) if is_sparse(out) else out

    def describe(self) -> str:
        return "sparsify"


def _apply(primitive: Primitive, args: list, params: dict) -> Any:
    name = primitive.name
    if name in _KEEP_ZERO or (name == "integer_pow" and params["y"] > 0):
        x = args[0]
        if name not in _ADDITIVE and not x.unique_indices:
            merge = bcsr.bcsr_sum_duplicates if type(x) is BCSR else bcoo.bcoo_sum_duplicates
            x = merge(x, x.nse)
        return x.like(primitive.bind(x.data, **params))
    rule = _RULES.get(name)
    if rule is None:
        raise _no_rule(name, params)
    return rule(*[_as_bcoo(x) for x in args], **params)


def _callee(params: dict) -> Callable:
    """What an operation calls; outside of programs, a function takes the place of a jaxpr."""
    found = subjaxprs(params)
    return jaxpr_as_fun(found[0]) if found else params["call_jaxpr"]


def _as_bcoo(x: Any) -> Any:
    if not is_sparse(x) or type(x) is BCOO:
        return x
    return bcsr.to_bcoo(x) if isinstance(x, Batched) else as_bcoo(x)


def _no_rule(name: str, params: dict) -> NotImplementedError:
    if name == "integer_pow":
        return NotImplementedError(
            f"sparse rule for integer_pow with non-positive exponent {params['y']} is not "
            "implemented because it would result in dense output. If this is your intent, use "
            "sparse.todense() to convert your argument to a dense array.")
    if name in _DENSIFY:
        return NotImplementedError(
            f"sparse rule for {name} is not implemented because it would result in dense output. "
            "If this is your intent, use sparse.todense() to convert your arguments to dense "
            "matrices.")
    return NotImplementedError(f"sparse rule for {name} is not implemented.")


# --- Arithmetic ---------------------------------------------------------------------------------


def _add(x: Any, y: Any, **_: Any) -> Any:
    if not (is_sparse(x) and is_sparse(y)):
        sparse, dense = (x, y) if is_sparse(x) else (y, x)
        if jnp.shape(dense) == sparse.shape:
            return sparse.todense() + dense
        raise NotImplementedError(errors.describe(
            "Addition between a sparse array X and a dense array Y is not implemented when the "
            "output shape is larger than Y.shape. This is to prevent silent densification of a "
            "large sparse array. If this is your intent, you can explicitly cast the sparse array "
            "to a dense matrix.", fix="x.todense() + y"))
    if x.shape != y.shape:
        raise TypeError(errors.describe(
            f"addition between sparse arrays of shapes {x.shape} and {y.shape}",
            fix="broadcast one of them with bcoo_broadcast_in_dim"))
    if (x.n_batch, x.n_dense) != (y.n_batch, y.n_dense):
        raise NotImplementedError(errors.describe(
            "Addition between sparse matrices with different batch/dense dimensions.",
            fix="x.update_layout(n_batch=y.n_batch, n_dense=y.n_dense)"))
    return BCOO([lax.concatenate(pair, x.n_batch) for pair in zip(whole(x), whole(y))],
                shape=x.shape)


def _sub(x: Any, y: Any, **params: Any) -> Any:
    if not (is_sparse(x) and is_sparse(y)):
        raise NotImplementedError(errors.describe("Subtraction between sparse and dense array.",
                                                  fix="x.todense() - y"))
    return _add(x, y.like(-y.data), **params)


def _mul(x: Any, y: Any, **_: Any) -> Any:
    if is_sparse(x) and is_sparse(y):
        return bcoo.bcoo_multiply_sparse(x, y)
    sparse, dense = (x, y) if is_sparse(x) else (y, x)
    return sparse.like(bcoo.bcoo_multiply_dense(sparse, dense))


def _div(x: Any, y: Any, **_: Any) -> Any:
    if is_sparse(y):
        raise NotImplementedError(errors.describe(
            "Division by a sparse array is not implemented because it would result in dense "
            "output. If this is your intent, use sparse.todense() to convert your arguments to a "
            "dense array.", fix="x / y.todense()"))
    return _mul(x, 1 / y)


def _dot_general(x: Any, y: Any, *, dimension_numbers: Any, preferred_element_type: Any = None,
                 **_: Any) -> Any:
    return bcoo.bcoo_dot_general(x, y, dimension_numbers=dimension_numbers,
                                 preferred_element_type=preferred_element_type)


def _reduce_sum(x: BCOO, *, axes: Sequence[int], **_: Any) -> Any:
    out = bcoo.bcoo_reduce_sum(x, axes=axes)
    return out.todense() if not out.ndim else out


def _stack(*args: Any, axis: int) -> BCOO:
    shape = [*args[0].shape[:axis], 1, *args[0].shape[axis:]]
    dims = [d for d in range(len(shape)) if d != axis]
    return _concatenate(*[bcoo.bcoo_broadcast_in_dim(x, shape=shape, broadcast_dimensions=dims)
                          for x in args], dimension=axis)


def _concatenate(*args: Any, dimension: int) -> BCOO:
    if not all(map(is_sparse, args)):
        raise NotImplementedError(errors.describe("Concatenation of sparse and dense arrays.",
                                                  fix="make all of them sparse, or all dense"))
    return bcoo.bcoo_concatenate(args, dimension=dimension)


# --- Control flow -------------------------------------------------------------------------------


def _while(*args: Any, cond_jaxpr: Jaxpr, body_jaxpr: Jaxpr, cond_nconsts: int,
           body_nconsts: int) -> list:
    start = cond_nconsts + body_nconsts
    first, second = args[:cond_nconsts], args[cond_nconsts:start]

    def body(carry: list) -> list:
        return _alike(_run_jaxpr(body_jaxpr, [*second, *carry]), carry)

    return lax.while_loop(lambda carry: _run_jaxpr(cond_jaxpr, [*first, *carry])[0], body,
                          [_unflagged(x) for x in args[start:]])


def _scan(*args: Any, jaxpr: Jaxpr, num_consts: int, num_carry: int, length: int, reverse: bool,
          unroll: Any, **_: Any) -> list:
    start = num_consts + num_carry

    def body(carry: list, xs: list) -> tuple:
        outs = _run_jaxpr(jaxpr, [*args[:num_consts], *carry, *xs])
        return _alike(outs[:num_carry], carry), outs[num_carry:]

    carry = [_unflagged(x) for x in args[num_consts:start]]
    last, ys = lax.scan(body, carry, list(args[start:]), length, reverse, unroll)
    return [*last, *ys]


def _unflagged(x: Any) -> Any:
    """Without what is known of the indices: a loop cannot promise it."""
    if not is_sparse(x):
        return x
    return BCOO((x.data, x.indices), shape=x.shape)


def _alike(outs: Sequence[Any], carry: Sequence[Any]) -> list:
    return [_unflagged(_as_bcoo(x)) if is_sparse(c) else x for x, c in zip(outs, carry)]


def _cond(index: Any, *args: Any, branches: Sequence[Jaxpr], **_: Any) -> list:
    def branch(jaxpr: Jaxpr) -> Callable:
        return lambda *xs: _run_jaxpr(jaxpr, xs)

    types = [tree.structure(eval_shape(branch(jaxpr), *args)) for jaxpr in branches]
    if len(set(types)) > 1:
        raise TypeError(errors.describe(
            "sparsified true_fun output must have same type structure as sparsified false_fun "
            f"output, got {types[-1]} and {types[0]}.", fix="make both results sparse or dense"))
    return lax.switch(index, [branch(jaxpr) for jaxpr in branches], *args)


# --- The table ----------------------------------------------------------------------------------

_CALLS = frozenset(("jit", "closed_call", "custom_jvp_call", "custom_vjp_call", "remat2"))
_RULES: dict[str, Callable] = {
    "add": _add, "add_any": _add, "sub": _sub, "mul": _mul, "div": _div, "while": _while,
    "dot_general": _dot_general, "reduce_sum": _reduce_sum, "stack": _stack, "scan": _scan,
    "concatenate": _concatenate, "cond": _cond,
    "conv_general_dilated": lambda x, y, *, out_sharding=None, **params:
        bcoo.bcoo_conv_general_dilated(x, y, **params),
    "broadcast_in_dim": bcoo.bcoo_broadcast_in_dim,
    "dynamic_slice": lambda x, *starts, slice_sizes: bcoo.bcoo_dynamic_slice(
        x, starts, slice_sizes),
    "gather": bcoo.bcoo_gather, "reshape": bcoo.bcoo_reshape, "rev": bcoo.bcoo_rev,
    "slice": bcoo.bcoo_slice, "squeeze": bcoo.bcoo_squeeze, "transpose": bcoo.bcoo_transpose,
    "todense": lambda x, *, tree: x.todense() if is_sparse(x) else x}
