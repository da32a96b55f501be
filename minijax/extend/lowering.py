"""`jax.extend.lowering`: what lowering rules are given."""

from minijax.interpreters.mlir import LoweringRuleContext, ModuleContext

__all__ = ["LoweringRuleContext", "ModuleContext"]
