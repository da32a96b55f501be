"""The name `jax`: an import finder that answers every `jax[.sub]` with `minijax[.sub]` itself.

There is one module object under two names, so nothing is loaded twice.  What minijax lacks is not
found, also where a real jax is installed: mixing both in one process cannot work.  Importing this
file loads neither minijax nor jaxlib, so that start-up hooks may use it.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterable
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

_OLD, _NEW = "jax", "minijax"
_PACKAGE = Path(__file__).resolve().parent.parent
_REQUIRES = ("jaxlib<0.13,>=0.10", "ml_dtypes>=0.5", "numpy>=2.0", "opt_einsum>=3.3", "scipy>=1.13")


def _version() -> str:
    scope: dict[str, str] = {}
    exec((_PACKAGE / "version.py").read_text(), scope)
    return scope["__version__"]


class _Distribution(importlib.metadata.Distribution):
    """What `importlib.metadata` says of the distribution `jax`, installed or not."""

    def read_text(self, filename: str) -> str | None:
        if filename == "top_level.txt":
            return _OLD
        if filename != "METADATA":
            return None
        lines = ["Metadata-Version: 2.1", f"Name: {_OLD}", f"Version: {_version()}",
                 "Summary: minijax under the name of jax", "Requires-Python: >=3.11"]
        return "\n".join([*lines, *(f"Requires-Dist: {name}" for name in _REQUIRES), ""])

    def locate_file(self, path: str | os.PathLike) -> Path:
        return _PACKAGE.parent / path


class _Existing(Loader):
    """Hands out a module of minijax, and leaves its own `__spec__` in place."""

    def __init__(self, real: str) -> None:
        self.real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self.real)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec
        if self.real == _NEW:
            importlib.import_module("minijax.compat.claim").claim()

    def get_code(self, fullname: str) -> object:
        """For runpy: `python -m jax.x` runs the code of `minijax.x`."""
        return importlib.util.find_spec(self.real).loader.get_code(self.real)


class _Finder:
    """First in `sys.meta_path`, so that an installed jax is never reached."""

    claims = _OLD

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != _OLD and not name.startswith(_OLD + "."):
            return None
        real = _NEW + name[len(_OLD):]
        spec = importlib.util.find_spec(real)
        if spec is None:
            return None
        return ModuleSpec(name, _Existing(real), origin=spec.origin,
                          is_package=spec.submodule_search_locations is not None)

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context | None = None
    ) -> Iterable[importlib.metadata.Distribution]:
        """For `importlib.metadata`."""
        name = getattr(context, "name", None)
        return [_Distribution()] if name is None or name.lower() == _OLD else []

    def invalidate_caches(self) -> None:
        """Nothing is remembered here."""


def install_finder() -> None:
    """Let the next `import jax` give minijax."""
    other = sys.modules.get(_OLD)
    if other is not None and other is not sys.modules.get(_NEW):
        raise ImportError(
            "minijax cannot take the name 'jax': the package jax is loaded in this process "
            f"({getattr(other, '__file__', None) or other!r}).\n"
            "  because both attach their methods to the same C++ array classes of jaxlib.\n"
            "  fix: call minijax.install_as_jax() before anything imports jax, or run the program "
            "with `python -m minijax script.py`."
        )
    if not any(getattr(finder, "claims", None) == _OLD for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def install_as_jax() -> None:
    """From now on `import jax`, and of any submodule, gives minijax in this process.

    `jax.numpy` is the module object `minijax.numpy`; what minijax lacks raises
    ModuleNotFoundError or AttributeError, also where a real jax is installed.  Raises ImportError
    when the real jax is loaded already.
    """
    install_finder()
    importlib.import_module(_OLD)


def load_ipython_extension(shell: object) -> None:
    """`%load_ext minijax` in a notebook: `import jax` gives minijax from then on."""
    install_as_jax()


def stay_importable() -> None:
    """Keep minijax and lowering reachable when the program changes the search path."""
    root = _PACKAGE.parent
    if not any(Path(path or ".").resolve() == root for path in sys.path):
        sys.path.append(str(root))


def inherit() -> None:
    """Let Python processes that this one starts take the name as well."""
    site = str(_PACKAGE / "compat" / "site")
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join([site, *(p for p in paths if p and p != site)])
    os.environ["MINIJAX_AS_JAX"] = "1"
