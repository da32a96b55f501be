"""The private names of JAX that published libraries touch, and where each lives here.

`jax._src.core.ShapedArray` is `minijax.core.ShapedArray`: a name is listed with the module of ours
that has it, as "module" or "module:name", and beside it the libraries that need it.  Nothing else
of `jax._src` exists: other modules are not found, other names raise AttributeError.

Pickles name a public function or class by the private module that defines it, so `PUBLIC` lists
those modules with the public one of ours that has their names.
"""

import importlib
import importlib.util
import sys
from functools import reduce
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType

from minijax.base import jaxlib

_PACKAGE = "minijax._src"
_SHIMS = "minijax.compat.shims"

NAMES: dict[str, dict[str, str]] = {
    "ad_util": {"stop_gradient_p": "minijax.lax.identity"},  # lineax
    "api_util": {"infer_argnums_and_argnames": _SHIMS},  # e3nn-jax
    "array": {"_reconstruct_array": _SHIMS},  # pickles of arrays
    "checkify": {  # flax
        "Error": "minijax.experimental.checkify",
        "JaxException": "minijax.experimental.checkify_errors",
        "Out": "minijax.experimental.checkify",
        "checkify": "minijax.experimental.checkify",
        "user_checks": "minijax.experimental.checkify",
    },
    "compiler": {"backend_compile_and_load": "minijax.runtime.compile"},  # chex
    "config": {"config": "minijax.base.config"},  # older programs
    "core": {
        "AbstractValue": "minijax.core",  # quax
        "Primitive": "minijax.core",  # jax-md
        "ShapedArray": "minijax.core",  # flax, jax-md, quax
        "Trace": _SHIMS,  # quax
        "TraceTag": "minijax.core",  # quax
        "Tracer": "minijax.core",  # quax
        "concrete_or_error": "minijax.core",  # dynamiqs
        "jaxpr_as_fun": "minijax.core",  # quax
        "physical_aval": _SHIMS,  # flax
        "set_current_trace": "minijax.core",  # quax
        "take_current_trace": "minijax.core",  # quax
        "trace_state_clean": _SHIMS,  # numpyro
    },
    "dispatch": {"wait_for_tokens": "minijax:effects_barrier"},  # equinox
    "distributed": {"global_state": _SHIMS},  # orbax
    "dtypes": {
        "DType": _SHIMS,  # flax
        "ExtendedDType": "minijax.base.dtypes",  # flax
        "TypePromotionError": "minijax.base.dtypes",  # equinox
        "extended": "minijax.base.dtypes",  # flax
        "finfo": "minijax.base.dtypes",  # flax
        "supports_inf": "minijax.base.dtypes",  # flax
        "to_complex_dtype": "minijax.base.dtypes:to_complex",  # tinygp
    },
    "flatten_util": {"ravel_pytree": "minijax.flatten_util"},  # blackjax
    "interpreters.pxla": {"global_result_handlers": _SHIMS},  # flax
    "lib": {
        "_jax": "minijax.base.jaxlib",  # qwix
        "jaxlib_extension_version": _SHIMS,  # grain
        "xla_client": "minijax.base.jaxlib:xc",  # dynamiqs
    },
    "lib.mlir.dialects": {"hlo": "minijax.extend.mlir.dialects:stablehlo"},  # JAX's own pages
    "literals": dict.fromkeys(  # quax, equinox
        ("TypedComplex", "TypedFloat", "TypedInt", "TypedNdArray"), _SHIMS),
    "named_sharding": {},  # jaxlib
    "pjit": {"jit_p": "minijax.core"},  # quax
    "public_test_util": {"check_close": _SHIMS},  # tinygp
    "random": {},
    "random.threefry2x32": {  # quax
        "threefry_random_bits": "minijax.random.threefry:random_bits",
        "threefry_seed": "minijax.random.threefry:seed",
        "threefry_split": "minijax.random.threefry:split",
    },
    "sharding_impls": {},  # jaxlib
    "state.types": {"AbstractRef": "minijax.core"},  # flax
    "traceback_util": {
        "_exclude_paths": "minijax.base.source:_internal_folders",  # flax
        "api_boundary": _SHIMS,  # flax
        "include_frame": _SHIMS,  # equinox
        "register_exclusion": "minijax.base.source",  # equinox, flax, jaxtyping
    },
    "tree_util": {
        "_registry": _SHIMS,  # flax, jaxlie
        "default_registry": "minijax.base.tree",  # pickles of tree structures
        "flatten_one_level": "minijax.base.tree",  # orbax
    },
    "util": {"safe_map": "minijax.base.util", "safe_zip": "minijax.base.util"},  # JAX's own pages
    "xla_bridge": {"_backends": "minijax.runtime.backend:_state.clients",  # chex
                   "get_backend": "minijax.extend.backend"},  # JAX's own pages
}

PUBLIC: dict[str, str] = {
    **dict.fromkeys(("api",), "minijax"),
    **dict.fromkeys(("lax", "lax.control_flow", "lax.control_flow.conditionals",
                     "lax.control_flow.loops", "lax.control_flow.solves", "lax.convolution",
                     "lax.fft", "lax.lax", "lax.parallel", "lax.slicing", "lax.special",
                     "lax.windowed_reductions"), "minijax.lax"),
    "lax.linalg": "minijax.lax.linalg",
    **dict.fromkeys(("nn", "nn.functions"), "minijax.nn"),
    **{f"interpreters.{name}": f"minijax.interpreters.{name}"
       for name in ("ad", "batching", "mlir", "partial_eval")},
    "lib.mlir": "minijax.extend.mlir",
    "lib.mlir.dialects": "minijax.extend.mlir.dialects",
    "nn.initializers": "minijax.nn.initializers",
    **dict.fromkeys(("numpy", "numpy.einsum", "numpy.lax_numpy", "numpy.reductions",
                     "numpy.ufuncs"), "minijax.numpy"),
    "numpy.fft": "minijax.numpy.fft",
    "numpy.linalg": "minijax.numpy.linalg",
    **dict.fromkeys(("random", "random.core"), "minijax.random"),
}


class PrivateModule(ModuleType):
    """A module whose names are read from, and written to, where the table says they live."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{_PACKAGE}.{name}", __doc__)
        vars(self).update(__path__=[], _own=name, _names=NAMES.get(name, {}),
                          **vars(jaxlib.standin(f"jax._src.{name}")))

    def _home(self, name: str) -> tuple[object, str]:
        public = None if name.startswith("_") else PUBLIC.get(self._own)
        module, _, path = (self._names.get(name) or public or "").partition(":")
        *outer, last = (path or name).split(".")
        return reduce(getattr, outer, importlib.import_module(module)), last

    def __getattr__(self, name: str) -> object:
        if _known(f"{self._own}.{name}"):
            return importlib.import_module(f"{_PACKAGE}.{self._own}.{name}")
        try:
            return getattr(*self._home(name))
        except (ValueError, ModuleNotFoundError, AttributeError):
            message = f"module 'jax._src.{self._own}' has no attribute {name!r}"
            raise AttributeError(message) from None

    def __setattr__(self, name: str, value: object) -> None:
        if name in self._names:
            setattr(*self._home(name), value)
        else:
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._names})


def _known(name: str) -> bool:
    return name in NAMES or name in PUBLIC or any(n.startswith(f"{name}.") for n in NAMES)


class _Loader(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return PrivateModule(spec.name.removeprefix(f"{_PACKAGE}."))

    def exec_module(self, module: ModuleType) -> None:
        """Names are looked up as they are used."""


class _Finder:
    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name.startswith(f"{_PACKAGE}.") and _known(name.removeprefix(f"{_PACKAGE}.")):
            return ModuleSpec(name, _Loader(), is_package=True)
        return None

    def invalidate_caches(self) -> None:
        """Nothing is remembered here."""


def install_finder() -> None:
    """Make the modules of the table importable; called once, by `minijax._src`."""
    sys.meta_path.insert(0, _Finder())


def find_module(name: str) -> ModuleType:
    """`minijax._src.<name>`, for `jax._src.core` written as an attribute."""
    if not _known(name):
        raise AttributeError(f"module 'jax._src' has no attribute {name!r}")
    return importlib.import_module(f"{_PACKAGE}.{name}")
