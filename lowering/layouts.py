"""The order of elements in memory that a program asks for."""

from __future__ import annotations

from typing import Any

from lowering.build import Value
from lowering.custom_call import custom_call
from lowering.module import Context
from lowering.rules import rule


@rule("layout_constraint")
def layout_constraint(ctx: Context, x: Value, *, layout: Any) -> Value:
    minor_to_major = layout.major_to_minor[::-1]
    with ctx.loc:
        return custom_call("LayoutConstraint", result_types=[ctx.out], operands=[x],
                           operand_layouts=[minor_to_major],
                           result_layouts=[minor_to_major]).result
