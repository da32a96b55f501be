"""Record what JAX answers to the calls of table.txt: the truth for tests/numpy/test_table.py.

    python tests/data/record_table.py           # needs jax, writes table.json

For each call the types of all results are kept ("float32[3,4]", with a star if weak), or the class
of the error.  Values are kept only where NumPy, called in the same way, answers otherwise than JAX
or not at all; everywhere else NumPy is the truth.
"""

from __future__ import annotations

import importlib
import io
import json
import pathlib
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

HERE = pathlib.Path(__file__).parent
SCIPY = ("cluster.vq fft integrate interpolate linalg ndimage optimize signal sparse.linalg "
         "spatial.transform special stats").split()


def arrays(asarray: Callable[[Any], Any]) -> dict[str, Any]:
    """The variables of the calls, made by `asarray` from NumPy's arrays."""
    bfloat16 = importlib.import_module("ml_dtypes").bfloat16
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    plain = dict(
        x=x, y=(x - 6) / 7, z=np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        v=np.array([3.0, 1.0, -2.5, 4.0, 0.5, -1.0], np.float32),
        w=np.array([1.0, 2.0, 3.0], np.float32), e=np.zeros((3, 0), np.float32),
        i=np.array([3, 1, 2], np.int32), n=np.arange(3, dtype=np.int32),
        k=np.array([[3, 1, 2], [1, 0, 3], [2, 2, 0]], np.int32),
        j=np.array([-128, 5, 3], np.int8), u=np.array([200, 3, 7], np.uint8),
        b=np.array([True, False, True]), c=np.array([1 + 1j, 2 - 1j, -0.5j], np.complex64),
        q=np.array([2.5, -0.75, np.nan, np.inf, -np.inf, -0.0], np.float32),
        h=x.astype(bfloat16), f=np.array([1.5, -2.0, 0.25], np.float16))
    return {name: asarray(value) for name, value in plain.items()}


def scope(jnp: Any) -> dict[str, Any]:
    """All variables of the calls, for NumPy or for jax.numpy."""
    saved = io.BytesIO()
    np.save(saved, np.arange(3, dtype=np.int32))
    weak = np.float32(2.0) if jnp is np else jnp.asarray(2.0)
    front = "" if jnp is np else jnp.__name__.removesuffix("numpy")
    for name in SCIPY:
        importlib.import_module(f"{front}scipy.{name}")
    root = sys.modules[front.rstrip(".") or "scipy"]
    return {"jnp": jnp, "np": np, "io": io, "saved": saved.getvalue(), "s": weak,
            "scipy": root if jnp is np else root.scipy, "nn": getattr(root, "nn", None),
            **arrays(jnp.asarray)}


def calls(path: pathlib.Path = HERE / "table.txt") -> Iterator[tuple[str, str]]:
    """Pairs of a function's name and the text of a call of it."""
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, listed = line.partition(":")
            for given in listed.split(" ; "):
                space = "" if name.startswith(("nn.", "scipy.")) else "jnp."
                yield name, f"{space}{name}({given.strip()})"


def leaves(value: Any) -> list[Any]:
    """The arrays and other objects in nested tuples, lists and dicts."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [leaf for part in value for leaf in leaves(part)]
    return [value]


def evaluate(text: str, names: dict[str, Any]) -> list[Any] | Exception:
    """The leaves of what a call gives, or its error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return leaves(eval(text, names))
    except Exception as error:
        return error


def type_of(leaf: Any) -> str:
    """The type of a result, as text: of other objects than arrays, their class."""
    if not hasattr(leaf, "dtype"):
        return type(leaf).__name__
    weak = "*" if getattr(leaf, "weak_type", False) else ""
    return f"{leaf.dtype.name}[{','.join(map(str, leaf.shape))}]{weak}"


def is_array(leaf: Any) -> bool:
    return isinstance(leaf, (bool, int, float, complex)) or hasattr(leaf, "dtype")


def same(found: list[Any], wanted: list[Any]) -> bool:
    """Whether two lists of leaves hold the same values, dtypes aside."""
    return len(found) == len(wanted) and all(map(_close, found, wanted))


def _close(found: Any, wanted: Any) -> bool:
    if not is_array(found):
        return is_array(wanted) is False
    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.shape != wanted.shape or found.dtype.kind in "SU":
        return False
    rough = any(a.dtype.itemsize <= 2 and a.dtype.kind in "fV" for a in (found, wanted))
    wide = [a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)
            for a in (found, wanted)]
    tolerance = 2e-2 if rough else 3e-5
    return np.allclose(*wide, rtol=tolerance, atol=tolerance / 10, equal_nan=True)


def as_json(leaf: Any) -> Any:
    """The values of a leaf as numbers (complex ones as pairs), of other objects nothing."""
    if not is_array(leaf):
        return None
    value = np.asarray(leaf)
    if value.dtype.kind == "c":
        return [[float(e.real), float(e.imag)] for e in value.ravel()]
    plain = value if value.dtype.kind in "biu" else value.astype(np.float64)
    return plain.ravel().tolist()


def main() -> None:
    jnp = importlib.import_module("jax.numpy")
    importlib.import_module("jax.numpy.fft")
    theirs, numpys = scope(jnp), scope(np)
    found = {}
    for _, text in calls():
        out, plain = evaluate(text, theirs), evaluate(text, numpys)
        if isinstance(out, Exception):
            found[text] = type(out).__name__
            continue
        found[text] = [[type_of(leaf) for leaf in out]]
        if isinstance(plain, Exception) or not same(out, plain):
            found[text].append([as_json(leaf) for leaf in out])
    rows = [f"{json.dumps(text)}: {json.dumps(entry)}" for text, entry in found.items()]
    (HERE / "table.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
