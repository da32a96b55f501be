"""minijax: composable transformations of Python and NumPy programs, compiled by XLA.

    import minijax as jax
    import minijax.numpy as jnp

    gradient = jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(x) ** 2)))
    gradient(jnp.arange(3.0))
"""

import importlib
from typing import Any

_HOME = {
    "minijax.api.autodiff": ["grad", "hessian", "jacfwd", "jacobian", "jacrev", "jvp",
                             "linear_transpose", "linearize", "value_and_grad", "vjp"],
    "minijax.api.jit": ["jit"],
    "minijax.api.vmap": ["vmap"],
    "minijax.api.misc": ["ShapeDtypeStruct", "eval_shape", "make_jaxpr"],
    "minijax.api.custom_jvp": ["custom_jvp"],
    "minijax.api.custom_vjp": ["custom_vjp"],
    "minijax.api.checkpoint": ["checkpoint", "remat"],
    "minijax.base.config": ["config"],
    "minijax.base.jaxlib": ["Array", "Device"],
    "minijax.runtime.place": ["block_until_ready", "copy_to_host_async", "device_get",
                              "device_put"],
    "minijax.runtime.backend": ["default_backend", "device_count", "devices",
                                "local_device_count", "local_devices", "process_count",
                                "process_index"],
    "minijax.version": ["__version__", "__version_info__"],
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}
_SUBMODULES = ("lax", "numpy", "random", "nn", "scipy", "tree", "tree_util", "dtypes", "errors",
               "sharding", "stages")


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f"minijax.{name}")
    else:
        raise AttributeError(f"module 'minijax' has no attribute '{name}'")
    globals()[name] = value
    return value
