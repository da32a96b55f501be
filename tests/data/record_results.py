"""Record what JAX answers to the expressions of a file, as the truth that tests compare with.

    python tests/data/record_results.py tests/data/indexing.txt    # needs jax, writes .json

Every line of the file is one expression over `jnp`, `np`, `jax`, `nn`, `lax` and the arrays that
`names` makes.  An entry holds dtype, weak type, shape and values of each array of the result, or
the class of the error and the first line of its text.
"""

from __future__ import annotations

import importlib
import json
import pathlib
import sys
import warnings

import numpy as np


def names(jax, jnp) -> dict:
    """The variables that expressions use."""
    numbers = np.array([3.0, 1.0, -2.5, 4.0, 0.5, -0.0], np.float32)
    return dict(
        jax=jax, jnp=jnp, np=np, lax=jax.lax, nn=getattr(jax, "nn", None), scipy=_scipy(jax),
        v=jnp.asarray(numbers),
        i=jnp.asarray(np.array([3, 1, 2], np.int32)),
        b=jnp.asarray(np.array([True, False, True])),
        x=jnp.asarray(np.arange(12, dtype=np.float32).reshape(3, 4)),
        z=jnp.asarray(np.arange(24, dtype=np.float32).reshape(2, 3, 4)),
        c=jnp.asarray(np.array([1 + 1j, 2 - 1j, -0.5j], np.complex64)),
        h=jnp.asarray(np.arange(12).reshape(3, 4)).astype(jnp.bfloat16),
        s=jnp.asarray(2.0),
        w=jnp.arange(1.0, 4.0),
        m=jnp.arange(6.0).reshape(2, 3),
        n=jnp.arange(3),
        nan=float("nan"),
        held=type("Held", (), {"__init__": lambda self, array: setattr(self, "array", array),
                               "__jax_array__": lambda self: jnp.asarray(self.array)}),
    )


def _scipy(jax):
    """`jax.scipy`, with its modules loaded."""
    for name in ("cluster.vq", "fft", "integrate", "interpolate", "linalg", "ndimage", "optimize",
                 "signal", "sparse.linalg", "spatial.transform", "special", "stats"):
        importlib.import_module(f"{jax.__name__}.scipy.{name}")
    return jax.scipy


def expressions(path: pathlib.Path) -> list[str]:
    """The lines of the file, without comments."""
    lines = path.read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def evaluate(text: str, scope: dict) -> dict:
    """What an expression gives, as JSON."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = eval(text, dict(scope))
            leaves = scope["jax"].tree_util.tree_leaves(value)
            return {"arrays": [_array(leaf) for leaf in leaves]}
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        return {"error": type(error).__name__, "text": first}


def _array(leaf) -> dict:
    value = np.asarray(leaf)
    if value.dtype.kind == "c":
        flat = [[float(e.real), float(e.imag)] for e in value.ravel()]
    elif value.dtype.kind in "biu":
        flat = [int(e) for e in value.ravel()]
    else:
        flat = [float(e) for e in value.astype(np.float64).ravel()]
    return {"dtype": value.dtype.name, "weak": bool(getattr(leaf, "weak_type", False)),
            "shape": list(value.shape), "values": flat}


def main(path: str) -> None:
    jax = importlib.import_module("jax")
    scope = names(jax, importlib.import_module("jax.numpy"))
    source = pathlib.Path(path)
    found = {text: evaluate(text, scope) for text in expressions(source)}
    lines = [f"{json.dumps(text)}: {json.dumps(entry)}" for text, entry in found.items()]
    source.with_suffix(".json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1])
