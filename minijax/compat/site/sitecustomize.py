"""Run by Python at start-up: `jax` means minijax in processes that a `python -m minijax` starts.

It stands before any other `sitecustomize` in the search path, hence runs that one afterwards.
"""

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

_HERE = Path(__file__).resolve().parent


def _load(name: str, spec: importlib.machinery.ModuleSpec | None) -> ModuleType | None:
    if spec is None:
        return None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if os.environ.get("MINIJAX_AS_JAX") == "1":
    _file = _HERE.parent / "alias.py"
    # By path: importing it as a submodule would load all of minijax, and jaxlib with it.
    _alias = _load("_minijax_alias",
                   importlib.util.spec_from_file_location("_minijax_alias", _file))
    _alias.stay_importable()
    _alias.install_finder()

_elsewhere = [path for path in sys.path if Path(path).resolve() != _HERE]
_load("sitecustomize", importlib.machinery.PathFinder.find_spec("sitecustomize", _elsewhere))
