"""Where libraries give rules to their own primitives.

The tables here are views of the fields of `Primitive`: `ad.primitive_jvps[p] = rule` sets `p.jvp`.

    p = jax.extend.core.Primitive("twice")
    p.def_impl(lambda x: 2 * x)
    p.def_abstract_eval(lambda x: x)
    mlir.register_lowering(p, mlir.lower_fun(lambda x: 2 * x, multiple_results=False))
    ad.deflinear2(p, lambda ct, x: [p.bind(ct)])
    batching.defvectorized(p)
"""

from minijax.interpreters import ad, batching, mlir, partial_eval, pxla, xla

__all__ = ["ad", "batching", "mlir", "partial_eval", "pxla", "xla"]
