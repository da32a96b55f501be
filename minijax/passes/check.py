"""The type checker of jaxprs: every equation is typed again through its primitive.

What it enforces is what every other pass may rely on: a variable is bound once and before it is
used, equations have the types that their primitives say, constants fit their variables, and an
inner jaxpr holds no tracer.  Weak types may differ: passes may lose them.

    check_jaxpr(jaxpr)      # raises JaxprTypeError, or returns nothing
"""

from typing import Any

from minijax.base import source
from minijax.base.errors import JaxprTypeError, describe
from minijax.core.avals import get_aval
from minijax.core.ir import DropVar, Jaxpr, JaxprEqn, Literal, Var, subjaxprs
from minijax.core.jit import jit_p
from minijax.core.primitive import infer
from minijax.core.trace import is_tracer
from minijax.passes.show import name_variables, show_eqn


def check_jaxpr(jaxpr: Jaxpr) -> None:
    """Raise JaxprTypeError when a jaxpr (or one inside it) is not well typed."""
    _check(jaxpr, "", set())


def _check(jaxpr: Jaxpr, where: str, done: set[Jaxpr]) -> None:
    if jaxpr in done:
        return
    done.add(jaxpr)
    bound = _check_inputs(jaxpr, where)
    for number, eqn in enumerate(jaxpr.eqns):
        try:
            _check_eqn(eqn, bound, jaxpr)
        except JaxprTypeError as error:
            raise JaxprTypeError(_located(str(error), number, eqn, where,
                                          jaxpr)) from error.__cause__
        inside = f"{where} in the body of equation {number} ({eqn.primitive.name})"
        for inner in subjaxprs(eqn.params):
            _check(inner, inside, done)
        missing = eqn.effects - jaxpr.effects
        if missing:
            what = f"Equation effect not present in jaxpr effects. Missing: {_listed(missing)}"
            raise JaxprTypeError(_located(what, number, eqn, where, jaxpr))
    for position, atom in enumerate(jaxpr.outvars):
        problem = _atom_problem(atom, bound)
        if problem:
            raise JaxprTypeError(f"output {position} of the jaxpr{where} {problem}")


def _located(what: str, number: int, eqn: JaxprEqn, where: str, jaxpr: Jaxpr) -> str:
    frame = source.user_frame(eqn.source)
    shown = show_eqn(eqn, name_variables(jaxpr))
    return describe(
        f"{what}\n\nin equation:\n\n{shown}\n\n(equation {number}{where})", at=frame or "",
        because="the rules of an operation and the program that holds it must agree",
        fix="make equations by tracing, jax.make_jaxpr(f)(x), or mend the operation's rule")


def _listed(items: Any) -> str:
    return ", ".join(sorted(map(str, items)))


def _check_inputs(jaxpr: Jaxpr, where: str) -> set[Var]:
    bound: set[Var] = set()
    for var in (*jaxpr.constvars, *jaxpr.invars):
        if not isinstance(var, Var):
            raise JaxprTypeError(f"an input of the jaxpr{where} is {var!r}, not a variable")
        if var in bound and not isinstance(var, DropVar):
            raise JaxprTypeError(f"an input variable of the jaxpr{where} occurs twice")
        bound.add(var)
    if jaxpr.consts and len(jaxpr.consts) != len(jaxpr.constvars):
        raise JaxprTypeError(
            f"the jaxpr{where} has {len(jaxpr.constvars)} constant variables "
            f"and {len(jaxpr.consts)} constants")
    for var, const in zip(jaxpr.constvars, jaxpr.consts, strict=False):
        if where and is_tracer(const):
            raise JaxprTypeError(
                f"a constant of the jaxpr{where} is a tracer\n"
                "  because a value from an outer trace must be an operand of the equation")
        if not _same_type(get_aval(const), var.aval):
            raise JaxprTypeError(
                f"a constant of the jaxpr{where} has type {_type(get_aval(const))}, "
                f"its variable {_type(var.aval)}")
    return bound


def _check_eqn(eqn: JaxprEqn, bound: set[Var], jaxpr: Jaxpr) -> None:
    for position, atom in enumerate(eqn.invars):
        problem = _atom_problem(atom, bound)
        if problem:
            raise JaxprTypeError(f"operand {position} {problem}")
    if eqn.primitive is jit_p:
        _check_call(eqn)
    _check_results(eqn, jaxpr)
    for position, var in enumerate(eqn.outvars):
        if isinstance(var, DropVar):
            continue
        if var in bound:
            raise JaxprTypeError(f"result {position} was bound before")
        bound.add(var)


def _atom_problem(atom: Any, bound: set[Var]) -> str | None:
    if isinstance(atom, Literal):
        found = get_aval(atom.val)
        if found.shape != atom.aval.shape:
            return f"is a literal of shape {found.shape} with the type {_type(atom.aval)}"
        return None
    if not isinstance(atom, Var):
        return f"is {atom!r}, neither a variable nor a literal"
    if isinstance(atom, DropVar):
        return "is a variable that stands for an unused result"
    return None if atom in bound else "is a variable that is not defined before its use"


def _check_call(eqn: JaxprEqn) -> None:
    wanted = eqn.params["jaxpr"].in_avals
    given = [atom.aval for atom in eqn.invars]
    if len(wanted) != len(given):
        raise JaxprTypeError(f"{len(given)} operands are given, its jaxpr has {len(wanted)} inputs")
    for position, (aval, operand) in enumerate(zip(wanted, given, strict=True)):
        if not _same_type(aval, operand):
            raise JaxprTypeError(
                f"operand {position} has type {_type(operand)}, its jaxpr takes {_type(aval)}")


def _check_results(eqn: JaxprEqn, jaxpr: Jaxpr) -> None:
    avals = tuple(atom.aval for atom in eqn.invars)
    try:
        wanted, effects = infer(eqn.primitive, avals, eqn.params)
    except (TypeError, ValueError) as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise JaxprTypeError(f"{eqn.primitive.name} refuses its operands: {what}") from error
    given = [var.aval for var in eqn.outvars]
    if len(wanted) != len(given):
        raise JaxprTypeError(f"{eqn.primitive.name} has {len(wanted)} results, not {len(given)}")
    for var, aval in zip(eqn.outvars, wanted, strict=True):
        if not _same_type(aval, var.aval):
            raise JaxprTypeError(
                f"Value for variable '{name_variables(jaxpr).name(var)}' inconsistently typed as "
                f"{_type(aval)} for let-binder of type {_type(var.aval)}")
    if effects - eqn.effects:
        raise JaxprTypeError(f"it does not declare the effects {_listed(effects - eqn.effects)}")


def _same_type(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    return a.shape == b.shape and a.dtype == b.dtype


def _type(aval: Any) -> str:
    return aval.str_short(short_dtypes=True)
