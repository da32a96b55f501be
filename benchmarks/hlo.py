"""Which compiled programs are JAX's own: optimized HLO of the throughput programs, compared.

    python benchmarks/hlo.py --jax-python ../jax-env/bin/python [--show maxpool]

"same" means equal up to names, metadata, attributes that only partitioning reads, and the order of
lines; such a program takes the same time, whatever a busy machine measures.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
BIG, MATRIX, SQUARE, SMALL = (4_000_000,), (2048, 1024), (1024, 1024), (256, 256)
IMAGES, BLOCKS = (32, 28, 28, 16), (4096, 8, 8)
POOL = (1, 2, 2, 1)


def elementwise(jax: Any) -> dict[str, tuple]:
    jnp, lax = jax.numpy, jax.lax

    def black_scholes(s: Any) -> Any:
        def cdf(z: Any) -> Any:
            return .5 * (1 + lax.erf(z * np.float32(.70710678)))
        d = jnp.log(s / 1.1) + .5 * .04
        return s * cdf(d / .2) - 1.1 * cdf(d / .2 - .2)

    def mandelbrot(c: Any) -> Any:
        def body(state: tuple) -> tuple:
            i, z, n = state
            z = jnp.where(jnp.abs(z) <= 2, z * z + c, z)
            return i + 1, z, n + (jnp.abs(z) <= 2)
        start = (0, c, jnp.zeros(c.shape, jnp.int32))
        return lax.while_loop(lambda state: state[0] < 50, body, start)[2]
    return {
        "black-scholes": (black_scholes, BIG), "selu": (jax.nn.selu, BIG),
        "polynomial": (lambda x: ((x * 2 + 1) * x + 3) * x - 5, BIG),
        "tanh": (jnp.tanh, BIG), "exp": (jnp.exp, BIG),
        "transpose": (lambda x: x.T + 1, MATRIX),
        "mandelbrot": (mandelbrot, ((256, 256), np.complex64)),
    }


def reductions(jax: Any) -> dict[str, tuple]:
    jnp, lax, nn = jax.numpy, jax.lax, jax.nn

    def layer_norm(x: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        return centred / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return {
        "sum": (jnp.sum, BIG), "sum axis0": (lambda x: x.sum(0), MATRIX),
        "sum axis1": (lambda x: x.sum(1), MATRIX), "softmax": (lambda x: nn.softmax(x, -1), MATRIX),
        "logsumexp": (lambda x: nn.logsumexp(x, -1), MATRIX), "layer norm": (layer_norm, MATRIX),
        "maxpool": (lambda x: lax.reduce_window(x, -np.inf, lax.max, POOL, POOL, "VALID"), IMAGES),
        "cumsum": (jnp.cumsum, (1_000_000,)), "cumsum axis1": (lambda x: jnp.cumsum(x, 1), MATRIX),
        "argmax": (lambda x: x.argmax(-1), MATRIX), "top_k": (lambda x: lax.top_k(x, 8), MATRIX),
        "sort": (jnp.sort, (1_000_000,)), "argsort": (jnp.argsort, (100_000,)),
        "normal": (lambda k: jax.random.normal(k, (1_000_000,)), ((2,), np.uint32)),
    }


def products(jax: Any) -> dict[str, tuple]:
    jnp, lax, linalg = jax.numpy, jax.lax, jax.numpy.linalg
    layout = ("NHWC", "HWIO", "NHWC")
    index = ((200_000,), np.int32)

    def scan(w: Any, xs: Any) -> Any:
        return lax.scan(lambda h, x: (jnp.tanh(h @ w + x), None), jnp.zeros((32, 128)), xs)[0]
    return {
        "matmul 1024": (jnp.matmul, SQUARE, SQUARE), "matmul 256": (jnp.matmul, SMALL, SMALL),
        "matmul AT": (lambda a: a.T @ a, SQUARE), "matmul 8x8": (jnp.matmul, BLOCKS, BLOCKS),
        "solve 8x8": (linalg.solve, BLOCKS, (4096, 8, 1)),
        "cholesky": (linalg.cholesky, (512, 512)),
        "fft2": (jnp.fft.fft2, (SQUARE, np.complex64)),
        "conv": (lambda x, k: lax.conv_general_dilated(x, k, (1, 1), "SAME",
                                                       dimension_numbers=layout),
                 IMAGES, (3, 3, 16, 32)),
        "gather": (lambda x, i: x[i], (10_000,), index),
        "scatter-add": (lambda x, i, u: x.at[i].add(u), (10_000,), index, (200_000,)),
        "scan": (scan, (128, 128), (100, 32, 128)),
        "mlp step": (training(jax, lambda ws, x: dense(jax, ws, x)),
                     [(784, 256), (256, 256), (256, 10)], (128, 784), ((128,), np.int32)),
        "cnn step": (training(jax, lambda ws, x: convolutions(jax, layout, ws, x)),
                     [(3, 3, 1, 16), (3, 3, 16, 32), (1568, 10)], (64, 28, 28, 1),
                     ((64,), np.int32)),
    }


def dense(jax: Any, ws: list, x: Any) -> Any:
    for w in ws[:-1]:
        x = jax.nn.relu(x @ w)
    return x @ ws[-1]


def convolutions(jax: Any, layout: tuple, ws: list, x: Any) -> Any:
    lax = jax.lax
    for w in ws[:-1]:
        x = lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=layout)
        x = lax.reduce_window(jax.nn.relu(x), -np.inf, lax.max, POOL, POOL, "VALID")
    return x.reshape(x.shape[0], -1) @ ws[-1]


def training(jax: Any, model: Callable) -> Callable:
    def loss(ws: list, x: Any, y: Any) -> Any:
        scores = jax.nn.log_softmax(model(ws, x))
        return -jax.numpy.take_along_axis(scores, y[:, None], 1).mean()

    def step(ws: list, x: Any, y: Any) -> tuple:
        value, slopes = jax.value_and_grad(loss)(ws, x, y)
        return [w - .01 * d for w, d in zip(ws, slopes)], value
    return step


def struct(jax: Any, spec: Any) -> Any:
    """A shape, (shape, dtype), or a list of shapes as types of arguments."""
    if isinstance(spec, list):
        return [struct(jax, one) for one in spec]
    shape, dtype = spec if isinstance(spec[0], tuple) else (spec, np.float32)
    return jax.ShapeDtypeStruct(shape, dtype)


def normalized(text: str) -> list[str]:
    """The lines of a compiled program without what does not run."""
    text = re.sub(r"^(HloModule .*|(FileNames|FunctionNames|FileLocations|StackFrames)\n(\d.*\n)*)",
                  "", text, flags=re.M)
    text = re.sub(r', (metadata|frontend_attributes)=\{([^{}"]|"[^"]*")*\}', "", text)
    text = re.sub(r"backend_config=\{(.*)\}", lambda found: "".join(sorted(found[1])), text)
    text = re.sub(r"%[\w.\-]+|\b[A-Za-z_][\w\-]*\.\d+\b|\bparam_\d+\b", "%", text)
    return sorted(line.strip() for line in text.splitlines() if line.strip())


def compile_all(impl: str) -> None:
    jax = importlib.import_module(impl)
    for group in (elementwise, reductions, products):
        for name, (fun, *specs) in group(jax).items():
            args = [struct(jax, spec) for spec in specs]
            print(json.dumps([name, normalized(jax.jit(fun).lower(*args).compile().as_text())]))


def lines_of(python: str, impl: str) -> dict[str, list[str]]:
    env = {**os.environ, "PYTHONPATH": str(HERE.parent) if impl == "minijax" else ""}
    out = subprocess.run([python, __file__, "--impl", impl], env=env, capture_output=True,
                         text=True)
    if out.returncode:
        sys.exit(f"{impl} failed:\n{out.stderr[-2000:]}")
    return dict(map(json.loads, out.stdout.splitlines()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--impl", help="only print the programs of this package")
    parser.add_argument("--python", default=sys.executable, help="with minijax's dependencies")
    parser.add_argument("--jax-python", default=sys.executable, help="with jax installed")
    parser.add_argument("--show", help="print the difference of one program")
    options = parser.parse_args()
    if options.impl:
        return compile_all(options.impl)
    theirs, ours = lines_of(options.jax_python, "jax"), lines_of(options.python, "minijax")
    for name, expected in theirs.items():
        verdict = "same" if ours[name] == expected else "differs"
        print(f"{name:14s} {verdict:8s} {len(expected):4d} lines, ours {len(ours[name])}")
    if options.show:
        print("\n".join(difflib.unified_diff(theirs[options.show], ours[options.show],
                                             lineterm="", n=0)))


if __name__ == "__main__":
    main()
