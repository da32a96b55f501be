"""Every public function of arrays, called as in tests/data/table.txt, against NumPy and JAX.

Dtypes, weak types and shapes are those that JAX gave (tests/data/table.json); values are NumPy's
or SciPy's, or JAX's where the two differ.  `python tests/data/record_table.py` (needs jax) writes
the file.  A function without a line in the table fails the suite.  The first two calls of each
function are made always, the others in the slow run.
"""

import functools
import importlib
import json
import re
import types

import numpy as np
import pytest

import minijax.numpy as jnp
from tests.data import record_table as table

RECORDED = json.loads((table.HERE / "table.json").read_text())
SPACES = """
numpy numpy.linalg numpy.fft nn nn.initializers scipy.cluster.vq scipy.fft scipy.integrate
scipy.interpolate scipy.linalg scipy.ndimage scipy.optimize scipy.signal scipy.sparse.linalg
scipy.spatial.transform scipy.special scipy.stats
""".split()
CALLS: dict[str, list[str]] = {}
for _name, _text in table.calls():
    CALLS.setdefault(_name, []).append(_text)


@functools.cache
def scopes():
    return table.scope(jnp), table.scope(np)


def wrong(text: str) -> str | None:
    """What is wrong with our answer to a call, or None."""
    ours, numpys = scopes()
    entry, found = RECORDED[text], table.evaluate(text, ours)
    if isinstance(entry, str) or isinstance(found, Exception):
        got = type(found).__name__ if isinstance(found, Exception) else "an answer"
        return None if got == entry else f"{text}: {got} ({found}) for {entry}"
    types = [table.type_of(leaf) for leaf in found]
    if types != entry[0]:
        return f"{text}: types {types} for {entry[0]}"
    if len(entry) == 1:
        same = table.same(found, table.evaluate(text, numpys))
    else:
        same = all(a is None or table.same([np.asarray(table.as_json(leaf), float)],
                                           [np.asarray(a, float)])
                   for leaf, a in zip(found, entry[1]))
    truth = "NumPy" if len(entry) == 1 else entry[1]
    return None if same else f"{text}: {found} is not the value of {truth}"


def check(name: str, calls: slice) -> None:
    found = [wrong(text) for text in CALLS[name][calls]]
    assert not any(found), "\n".join(filter(None, found))


@pytest.mark.parametrize("name", CALLS)
def test_as_numpy_and_jax(name):
    check(name, slice(2))


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_all_other_calls(name):
    check(name, slice(2, None))


def public_functions() -> set[str]:
    """Names of all public functions, as in the table: those of jax.numpy without their module."""
    found, spaces = set(), list(SPACES)
    for space in spaces:
        module = importlib.import_module(f"minijax.{space}")
        for name in getattr(module, "__all__", None) or [n for n in dir(module) if n[0] != "_"]:
            value = getattr(module, name)
            if isinstance(value, types.ModuleType):
                spaces += [f"{space}.{name}"] if space == "scipy.stats" else []
            elif callable(value) and not (space == "numpy" and isinstance(value, type)):
                found.add(f"{space}.{name}".removeprefix("numpy."))
    return found


def test_every_public_function_is_in_the_table():
    texts = [(table.HERE / f"{name}.txt").read_text() for name in ("linalg", "nn", "scipy")]
    called = set(re.findall(r"((?:linalg|nn|scipy)\.[\w.]+)\(", "".join(texts)))
    assert public_functions() - set(CALLS) - called == set()


def test_the_table_is_recorded():
    texts = {text for _, text in table.calls()}
    assert texts == set(RECORDED) and len(texts) > 1000
