"""Barriers around values that are stored, kept until XLA has chosen its kernels.

    settle(module)        # give each stored value one name, before XLA sees it
    is_mixed_up(hlo)      # whether the compiled program may be wrong for having two

A barrier gives its operand a second name.  XLA's CPU backend takes a kernel that reads both for
one that reads two arrays, may write the result in place of the one, and overwrites what it still
reads of the other.  Equal operations become one, so both names meet where nobody wrote them down.
"""

from __future__ import annotations

import re
from typing import Any

from lowering.build import Module, PassManager, ir

# The attribute of a barrier around a stored value: whether results depend on it, not speed alone.
STORED = "stored"


def settle(module: Module, needed_only: bool = False) -> bool:
    """Put calls in line, merge equal operations, and let all read a stored value from its barrier.

    needed_only: without barriers that make a program faster, or smaller, and no more than that.
    Returns whether a stored value is left.
    """
    with module.context:
        _run("inline,cse", module)
        is_stored = False
        for op in _barriers(module):
            if STORED in op.attributes and (op.attributes[STORED].value or not needed_only):
                is_stored = True
                _read_only_through(op)
            elif needed_only:
                for x, same in zip(op.operands, op.results):
                    same.replace_all_uses_with(x)
                op.erase()
        _run("cse", module)
    return is_stored


def _run(passes: str, module: Module) -> None:
    PassManager.parse(f"builtin.module({passes})").run(module.operation)


def _barriers(module: Module) -> list[Any]:
    found = []

    def visit(op: Any) -> Any:
        if op.name == "stablehlo.optimization_barrier":
            found.append(op.operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return found


def _read_only_through(barrier: Any) -> None:
    value = barrier.operands[0]
    if not isinstance(value.owner, ir.Block):
        barrier.move_after(value.owner)
        value.replace_all_uses_except(barrier.results[0], [barrier])


_INSTRUCTION = re.compile(
    r"^ *(?:ROOT )?%(\S+) = .*? ([a-z][\w-]*)\(([^)]*)\)(?:, index=(\d+))?", re.M)
_NAME = re.compile(r"%([\w.-]+)")


def is_mixed_up(hlo: str) -> bool:
    """Whether an operation of a compiled program reads one array under two names."""
    arrays: dict[str, Any] = {}  # what each name stands for
    for name, kind, operands, index in _INSTRUCTION.findall(hlo):
        read = _NAME.findall(operands)
        found = [arrays.get(x, x) for x in read]
        if kind in ("bitcast", "opt-barrier"):
            arrays[name] = found[0]
        elif kind == "get-tuple-element" and isinstance(found[0], tuple):
            arrays[name] = found[0][int(index)]
        elif kind == "tuple":
            arrays[name] = tuple(found)
        elif len(set(found)) < len(set(read)):
            return True
    return False
