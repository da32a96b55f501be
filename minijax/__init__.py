"""minijax: composable transformations of Python and NumPy programs, compiled by XLA.

    import minijax as jax
    import minijax.numpy as jnp

    gradient = jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(x) ** 2)))
    gradient(jnp.arange(3.0))

This module only forwards names; each is found, and its module loaded, when it is first used.
"""

import importlib
from typing import Any

_HOME = {
    "minijax.api.autodiff": ["ad", "fwd_and_bwd", "grad", "hessian", "jacfwd", "jacobian",
                             "jacrev", "jvp", "linear_transpose", "linearize",
                             "value_and_grad", "vjp"],
    "minijax.api.callback": ["pure_callback"],
    "minijax.api.checkpoint": ["checkpoint", "remat"],
    "minijax.api.custom_jvp": ["custom_jvp"],
    "minijax.api.custom_vjp": ["closure_convert", "custom_gradient", "custom_vjp"],
    "minijax.api.jit": ["jit"],
    "minijax.api.mesh": ["make_mesh"],
    "minijax.api.misc": ["ShapeDtypeStruct", "ensure_compile_time_eval", "eval_shape",
                         "make_jaxpr", "print_environment_info"],
    "minijax.api.naming": ["named_call", "named_scope"],
    "minijax.api.pmap": ["pmap"],
    "minijax.api.policies": ["checkpoint_policies"],
    "minijax.api.shard_map": ["shard_map", "smap"],
    "minijax.api.vmap": ["vmap"],
    "minijax.base.config": [
        "allow_f16_reductions", "array_garbage_collection_guard", "auto_pcast",
        "check_tracer_leaks", "checking_leaks", "config", "debug_infs", "debug_key_reuse",
        "debug_nans", "default_device", "default_matmul_precision", "default_prng_impl",
        "disable_jit", "enable_checks", "enable_custom_prng", "enable_x64", "explain_cache_misses",
        "jax2tf_associative_scan_reductions", "legacy_prng_key", "log_compiles",
        "make_user_context", "no_execution", "no_tracing", "numpy_dtype_promotion",
        "numpy_rank_promotion", "remove_size_one_mesh_axis_from_type", "softmax_custom_jvp",
        "thread_guard", "threefry_partitionable", "transfer_guard",
        "transfer_guard_device_to_device", "transfer_guard_device_to_host",
        "transfer_guard_host_to_device"],
    "minijax.base.dtypes": ["float0"],
    "minijax.base.jaxlib": ["Array", "Device"],
    "minijax.compat.alias": ["install_as_jax", "load_ipython_extension"],
    "minijax.runtime.backend": ["default_backend", "device_count", "devices", "live_arrays",
                                "local_device_count", "local_devices", "process_count",
                                "process_index", "process_indices"],
    "minijax.lax.explicit": ["reshard"],
    "minijax.ref": ["Ref", "empty_ref", "free_ref", "freeze", "new_ref"],
    "minijax.runtime.array": ["Shard"],
    "minijax.runtime.assemble": ["make_array_from_callback", "make_array_from_process_local_data",
                                 "make_array_from_single_device_arrays"],
    "minijax.runtime.dispatch": ["clear_caches"],
    "minijax.runtime.tokens": ["effects_barrier"],
    "minijax.runtime.place": ["block_until_ready", "copy_to_host_async", "device_get",
                              "device_put"],
    "minijax.sharding": ["NamedSharding", "set_mesh"],
    "minijax.version": ["__version__", "__version_info__"],
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}
_RENAMED = {"ds": ("minijax.base.window", "dslice"),
            "P": ("minijax.sharding", "PartitionSpec"), "typeof": ("minijax.core", "get_aval"),
            "host_count": ("minijax.runtime.backend", "process_count"),
            "host_id": ("minijax.runtime.backend", "process_index"),
            "host_ids": ("minijax.runtime.backend", "process_indices")}
_SUBMODULES = ("_src", "ad_checkpoint", "api_util", "core", "custom_batching",
               "custom_derivatives", "debug", "distributed", "dlpack", "dtypes", "errors",
               "experimental", "export", "extend", "ffi", "flatten_util", "image", "interpreters",
               "lax", "lib", "memory", "monitoring", "nn", "numpy", "ops", "profiler", "random",
               "ref", "scipy", "sharding", "stages", "test_util", "tree", "tree_util", "typing",
               "version")

__all__ = sorted([*_WHERE, *_RENAMED])

# Operators and methods of arrays, and the text of printed jaxprs, exist once these have run.
for _hook in ("minijax.numpy.methods", "minijax.passes.show"):
    importlib.import_module(_hook)


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        module, attribute = _RENAMED[name]
        value = getattr(importlib.import_module(module), attribute)
    elif name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f"minijax.{name}")
    else:
        raise AttributeError(f"module 'minijax' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in _SUBMODULES if name != "_src")])
