"""Public names are those of JAX: nothing under another name, nothing that JAX does not have.

tests/data/public_names.json lists the public names of JAX's modules. What is missing is printed
(`pytest -s -k missing`), not failed on: a name that is absent says so when it is used.
"""

import importlib
import importlib.util
import json
import types
from pathlib import Path

import numpy as np
import pytest

import minijax as jax

DATA = Path(__file__).parent / "data" / "public_names.json"
PUBLIC = {module: set(names.split()) for module, names in json.loads(DATA.read_text()).items()}

# Names of ours that JAX keeps in private modules or lacks, and why they are public here.
EXTRA: dict[str, set[str]] = {
    "minijax": {"install_as_jax", "load_ipython_extension"},
    # Primitives, which are listed as all the others are.
    "minijax.lax": {"custom_root_p", "empty_p", "reduce_scatter_p", "scaled_dot_p"},
    "minijax.version": {"minijax_version"},  # __version__ is the release of JAX we follow
}
# Packages that exist under JAX's name but are internal; their front has another home.
INTERNAL = {"minijax.core"}


def modules() -> list[str]:
    """JAX's modules that we have."""
    found = []
    for name in PUBLIC:
        if "Array" in name or name in INTERNAL:
            continue
        try:
            if importlib.util.find_spec(name) is not None:
                found.append(name)
        except ModuleNotFoundError:
            pass
    return found


MODULES = modules()


def public(module: types.ModuleType) -> list[str]:
    names = getattr(module, "__all__", None)
    return list(names) if names is not None else [n for n in dir(module) if n[0] != "_"]


def test_there_are_modules():
    assert {"minijax", "minijax.lax", "minijax.numpy", "minijax.random", "minijax.nn",
            "minijax.tree_util"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_one_of_jax(name):
    module = importlib.import_module(name)
    ours = [n for n in public(module) if not isinstance(getattr(module, n), types.ModuleType)]
    assert sorted(set(ours) - PUBLIC[name] - EXTRA.get(name, set())) == []


@pytest.mark.parametrize("name", MODULES)
def test_every_listed_name_exists_once(name):
    module = importlib.import_module(name)
    listed = public(module)
    assert len(listed) == len(set(listed))
    assert [n for n in listed if not hasattr(module, n)] == []


@pytest.mark.parametrize("name", MODULES)
def test_names_that_are_listed_are_imported_by_a_star(name):
    scope: dict = {}
    exec(f"from {name} import *", scope)
    assert set(getattr(importlib.import_module(name), "__all__", ())) <= set(scope)


def test_what_is_missing():
    """Prints the names that JAX has in the modules that we have."""
    total = 0
    for name in MODULES:
        module = importlib.import_module(name)
        missing = sorted(n for n in PUBLIC[name] if not hasattr(module, n))
        total += len(missing)
        if missing:
            print(f"\n{name} lacks {len(missing)}: {' '.join(missing)}")
    absent = sorted(set(PUBLIC) - set(MODULES) - {n for n in PUBLIC if "Array" in n})
    print(f"\nmodules that are absent: {' '.join(absent)}\n{total} names are missing in the others")
    assert total < 1000


def test_an_absent_name_raises():
    for module in (jax, jax.numpy, jax.lax, jax.random, jax.nn):
        with pytest.raises(AttributeError, match="has no attribute 'a_name_that_nobody_has'"):
            module.a_name_that_nobody_has


def test_modules_show_their_names():
    for name in MODULES:
        module = importlib.import_module(name)
        assert set(public(module)) <= set(dir(module))


# --- Arrays ------------------------------------------------------------------------------------


def test_methods_of_arrays_and_tracers():
    """Arrays and tracers have the methods and attributes that NumPy's arrays share with JAX's."""
    expected = {n for n in PUBLIC["minijax.Array"] if n in dir(np.ndarray) and n[0] != "_"}
    array = jax.numpy.ones(2)
    assert sorted(n for n in expected if not hasattr(type(array), n)) == []
    # What is known only when the program runs, tracers lack.
    concrete = {"base", "ctypes", "data", "device", "flags", "flat", "strides", "to_device",
                "tobytes"}
    found = []
    jax.make_jaxpr(lambda x: found.append(x) or x)(array)
    assert sorted(n for n in expected - concrete if not hasattr(type(found[0]), n)) == []


def test_missing_attributes_of_arrays():
    """Prints what arrays lack."""
    array = jax.numpy.ones(2)
    missing = sorted(n for n in PUBLIC["minijax.Array"] if not hasattr(type(array), n))
    print(f"\narrays lack {len(missing)}: {' '.join(missing)}")
    assert len(missing) < 20


def test_methods_of_at():
    at = jax.numpy.ones(2).at[0]
    assert sorted(n for n in PUBLIC["minijax.Array.at"] if not hasattr(at, n)) == []
