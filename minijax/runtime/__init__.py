"""Clients, arrays, compiling and dispatch: where abstract programs meet devices.

Importing it sets the hooks of `core` (`EvalTrace.run`, `jit_p.impl`) and gives jaxlib's array
class its methods; it makes no client and does not load the lowering package.
"""

from minijax.runtime import array, assemble, backend, call, compile, dispatch, place

__all__ = ["array", "assemble", "backend", "call", "compile", "dispatch", "place"]
