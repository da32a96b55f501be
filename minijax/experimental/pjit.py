"""`jax.experimental.pjit`: `jax.jit` whose shardings may be positional arguments."""

from collections.abc import Callable
from typing import Any

from minijax.api.jit import jit, with_stages
from minijax.core import UNSPECIFIED

__all__ = ["pjit"]


def pjit(fun: Callable, in_shardings: Any = UNSPECIFIED, out_shardings: Any = UNSPECIFIED,
         **options: Any) -> Any:
    """`jax.jit(fun, in_shardings=in_shardings, out_shardings=out_shardings, **options)`.

    Under `with mesh:` it runs on that mesh, over which PartitionSpecs are; there None means P().
    """
    made = jit(fun, in_shardings=in_shardings, out_shardings=out_shardings, **options)
    return with_stages(made._body, made._options._replace(in_mesh=True))
