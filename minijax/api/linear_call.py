"""`linear_call`: a linear function together with its transpose.

    divide = lambda x, y: linear_call(lambda r, x: x / r, lambda r, ct: ct / r, y, x)
    jax.grad(divide)(1.0, 2.0)      # runs the second function
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minijax.api.flatten import fun_name
from minijax.base import errors, tree
from minijax.core import (AxisData, Dims, Jaxpr, Primitive, Values, Zero, aval_of, batch,
                          eval_jaxpr, instantiate, is_linear, materialize, reduce_sum, zero_tangent)
from minijax.lax.control_flow.common import trace_body

__all__ = ["linear_call"]


def linear_call(fun: Callable, fun_transpose: Callable, residual_args: Any,
                linear_args: Any) -> Any:
    """`fun(residual_args, linear_args)`, whose transpose is given instead of derived.

    `fun` must be linear in its second argument; `fun_transpose(residual_args, ct)` maps a
    cotangent of its result to one of `linear_args`. Neither is differentiated by the residuals.
    """
    res, res_tree = tree.flatten(residual_args)
    lin, lin_tree = tree.flatten(linear_args)
    body = trace_body(fun, tree.treedef_tuple((res_tree, lin_tree)),
                      [aval_of(x) for x in (*res, *lin)], "linear_call")
    pair = _Pair(fun, fun_transpose, res_tree, lin_tree, body.result)
    outs = linear_call_p.bind(*body.captured, *res, *lin, callee=body.jaxpr, transpose_thunk=pair,
                              num_callee_consts=len(body.captured), num_res=len(res))
    return tree.unflatten(body.result, outs)


class _Pair:
    """The two functions, and the structures of what they take and give."""

    def __init__(self, fun: Callable, transpose: Callable, res_tree: Any, lin_tree: Any,
                 out_tree: Any):
        self.fun = fun
        self.transpose = transpose
        self.res_tree = res_tree
        self.lin_tree = lin_tree
        self.out_tree = out_tree
        self.__name__ = fun_name(transpose)

    def __repr__(self) -> str:
        return self.__name__

    def forward(self, res: Sequence[Any], lin: Sequence[Any]) -> list:
        """`fun` on flat values."""
        return tree.leaves(self.fun(tree.unflatten(self.res_tree, list(res)),
                                    tree.unflatten(self.lin_tree, list(lin))))

    def backward(self, res: Sequence[Any], cts: Values) -> list:
        """The transpose on flat values, itself a linear call."""
        found, given = tree.flatten(linear_call(
            self.transpose, self.fun, tree.unflatten(self.res_tree, list(res)),
            tree.unflatten(self.out_tree, list(cts))))
        if given != self.lin_tree:
            raise TypeError(errors.describe(
                "transpose output pytree structure must match that of linear inputs, got output "
                f"structure {given} and input structure {self.lin_tree}.",
                fix="return a cotangent for each linear argument"))
        return found


def _shape(*avals: Any, callee: Jaxpr, **_: Any) -> list:
    return callee.out_avals


def _impl(*args: Any, callee: Jaxpr, **_: Any) -> list:
    return eval_jaxpr(callee, callee.consts, *args)


def _jvp(primals: Values, tangents: Values, **params: Any) -> tuple[list, list]:
    start = params["num_callee_consts"] + params["num_res"]
    if any(type(t) is not Zero for t in tangents[:start]):
        raise NotImplementedError(errors.describe(
            "linear_call cannot be differentiated with respect to its residual arguments",
            fix="jax.lax.stop_gradient(residual), or pass the value in linear_args"))
    outs = linear_call_p.bind(*primals, **params)
    if all(type(t) is Zero for t in tangents):
        return outs, [zero_tangent(o) for o in outs]
    return outs, linear_call_p.bind(
        *primals[:start], *[instantiate(t) for t in tangents[start:]], **params)


def _transpose(cts: Values, *args: Any, transpose_thunk: _Pair, num_callee_consts: int,
               num_res: int, **_: Any) -> list:
    start = num_callee_consts + num_res
    found = transpose_thunk.backward(args[num_callee_consts:start],
                                     [instantiate(c) for c in cts])
    return [None] * start + [c if is_linear(x) else None for c, x in zip(found, args[start:])]


def _vmap(axis: AxisData, args: Values, dims: Dims, *, transpose_thunk: _Pair,
          num_callee_consts: int, num_res: int, **_: Any) -> tuple[list, list]:
    if any(d is not None for d in dims[:num_callee_consts]):
        raise NotImplementedError(errors.describe(
            "a function given to linear_call closes over a value that vmap maps",
            fix="pass the value in residual_args"))
    args, dims = args[num_callee_consts:], dims[num_callee_consts:]
    pair, n = transpose_thunk, num_res

    def forward(res: tuple, lin: tuple) -> list:
        outs, out_dims = batch(lambda *xs: pair.forward(xs[:n], xs[n:]), axis, [*res, *lin], dims)
        return [materialize(x, d, axis.size) for x, d in zip(outs, out_dims)]

    def backward(res: tuple, cts: list) -> tuple:
        found, found_dims = batch(lambda *xs: pair.backward(xs[:n], xs[n:]), axis, [*res, *cts],
                                  [*dims[:n], *[0] * len(cts)])
        return tuple([
            materialize(x, d, axis.size, dim) if dim is not None
            else reduce_sum(materialize(x, d, axis.size), (0,))
            for x, d, dim in zip(found, found_dims, dims[n:])])

    outs = linear_call(forward, backward, tuple(args[:n]), tuple(args[n:]))
    return outs, [0] * len(outs)


linear_call_p = Primitive("linear_call", shape=_shape, multiple_results=True, impl=_impl, jvp=_jvp,
                          transpose=_transpose, vmap=_vmap, decompose=_impl)
