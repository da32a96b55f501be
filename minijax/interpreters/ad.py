"""Derivatives of primitives: forward rules and transposes.

A forward rule is `rule(primals, tangents, **params) -> (out, tangent_out)`, where a tangent may be
a `Zero`; a transpose `rule(ct, *args, **params)` gives a cotangent for each operand, and sees an
`UndefinedPrimal` for each that the operation is linear in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minijax import core
from minijax.api.flatten import Call
from minijax.base import tree
from minijax.core import JVPTrace, JVPTracer, Primitive, UndefinedPrimal, Zero, add_tangents
from minijax.core import add_any_p as add_jaxvals_p
from minijax.core import instantiate as instantiate_zeros
from minijax.core import is_linear as is_undefined_primal
from minijax.core import zeros as zeros_like_aval
from minijax.interpreters.tables import RuleTable

__all__ = [
    "JVPTrace", "JVPTracer", "UndefinedPrimal", "Zero", "add_jaxvals", "add_jaxvals_p",
    "add_tangents", "defbilinear", "defjvp", "defjvp2", "deflinear", "deflinear2",
    "get_primitive_transpose", "instantiate_zeros", "is_undefined_primal", "jvp", "linearize",
    "primitive_jvps", "primitive_transposes", "zeros_like_aval"]


def _on_tuples(rule: Callable) -> Callable:
    def jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple:
        return rule(tuple(primals), tuple(tangents), **params)
    return jvp


Zero.instantiate = instantiate_zeros

primitive_jvps = RuleTable("jvp", _on_tuples)
primitive_transposes = RuleTable("transpose")


def add_jaxvals(x: Any, y: Any) -> Any:
    """The sum of two tangents of one type."""
    return add_jaxvals_p.bind(x, y)


def get_primitive_transpose(p: Primitive) -> Callable:
    """The transpose rule of `p`; NotImplementedError if it has none."""
    if p.transpose is None:
        raise core.missing_rule(p, "transpose", "Transpose",
                                "ad.primitive_transposes[p] = lambda ct, *args: ...")
    return p.transpose


# --- ways to write rules -----------------------------------------------------------------------


def defjvp(primitive: Primitive, *jvprules: Callable | None) -> None:
    """`jvprules[i](g, *primals, **params)` is what the tangent `g` of operand i contributes."""
    terms = [rule and (lambda g, out, *xs, _rule=rule, **params: _rule(g, *xs, **params))
             for rule in jvprules]
    defjvp2(primitive, *terms)


def defjvp2(primitive: Primitive, *jvprules: Callable | None) -> None:
    """As `defjvp`, for rules that also take the result: `(g, out, *primals, **params)`."""
    primitive.jvp = core.each_operand(*jvprules).make(primitive)


def deflinear(primitive: Primitive, transpose_rule: Callable) -> None:
    """The operation is linear in all operands; `transpose_rule(ct, **params)` is its transpose."""
    deflinear2(primitive, lambda ct, *args, **params: transpose_rule(ct, **params))


def deflinear2(primitive: Primitive, transpose_rule: Callable) -> None:
    """The same with `transpose_rule(ct, *args, **params)`."""
    primitive.jvp = core.linear.make(primitive)
    primitive.transpose = transpose_rule


def defbilinear(prim: Primitive, lhs_rule: Callable, rhs_rule: Callable) -> None:
    """The operation is linear in each of two operands.

    `lhs_rule(ct, x, y, **params)` is the cotangent of x, which is an UndefinedPrimal, and
    `rhs_rule` that of y.
    """
    defjvp(prim, lambda g, x, y, **params: prim.bind(g, y, **params),
           lambda g, x, y, **params: prim.bind(x, g, **params))

    def transpose(ct: Any, x: Any, y: Any, **params: Any) -> tuple:
        if is_undefined_primal(x):
            return lhs_rule(ct, x, y, **params), None
        return None, rhs_rule(ct, x, y, **params)

    prim.transpose = transpose


# --- functions ---------------------------------------------------------------------------------


def jvp(fun: Callable, primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False,
        instantiate: bool = True, transform_stack: bool = True) -> tuple:
    """The value and the tangent of `fun(*primals)`, both as trees; with `has_aux` a third, aux.

    Leaves of `tangents` may be a `Zero`; leaves of the result are, unless `instantiate`. Without
    `transform_stack` operations are not named after the transformation.
    """
    call, leaves = _flat(fun, primals, has_aux)
    given, _ = tree.flatten(tuple(tangents), lambda t: type(t) is Zero)
    outs, found = core.jvp(call, leaves, given, call.count_aux,
                           ("jvp(",) if transform_stack else ())
    if instantiate:
        found = list(map(instantiate_zeros, found))
    n = len(found)
    trees = tree.unflatten(call.out_tree, outs[:n]), tree.unflatten(call.out_tree, found)
    return (*trees, tree.unflatten(call.aux_tree, outs[n:])) if has_aux else trees


def linearize(traceable: Callable, primals_ft: Sequence[Any], has_aux: bool = False,
              is_vjp: bool = False) -> tuple:
    """The value of `traceable(*primals_ft)` and its derivative there, as a jaxpr.

    Returns the value as a tree, for each of its leaves whether the tangent is zero, the jaxpr from
    the tangents of all leaves of the arguments to those that are not, the values of the jaxpr's
    `constvars`, and with `has_aux` aux. With `is_vjp` the jaxpr is meant for transposition alone;
    it is the same one.
    """
    call, leaves = _flat(traceable, primals_ft, has_aux)
    lin = core.linearize(call, leaves, num_aux=call.count_aux, scope=("jvp(",))
    n, split = len(lin.out_nonzero), len(lin.residuals)
    live = iter(lin.jaxpr.invars[split:])
    inputs = [next(live) if nz else core.Var(core.aval_of(x).to_tangent_aval())
              for x, nz in zip(leaves, lin.in_nonzero)]
    jaxpr = lin.jaxpr.replace(constvars=[*lin.jaxpr.constvars, *lin.jaxpr.invars[:split]],
                              invars=inputs, consts=())
    found = (tree.unflatten(call.out_tree, lin.outs[:n]), [not nz for nz in lin.out_nonzero],
             jaxpr, [*lin.jaxpr.consts, *lin.residuals])
    return (*found, tree.unflatten(call.aux_tree, lin.outs[n:])) if has_aux else found


def _flat(fun: Callable, primals: Sequence[Any], has_aux: bool) -> tuple[Call, list]:
    leaves, in_tree = tree.flatten(tuple(primals))
    return Call(fun, in_tree, (), None, {}, has_aux), leaves
