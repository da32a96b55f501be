"""Times of one implementation, as JSON lines; `compare.py` runs two implementations in turns.

    python benchmarks/rows.py dispatch --impl minijax
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Row = tuple[str, float, str]  # name, value, unit


def fastest(fun: Callable[[], Any], seconds: float = 0.6) -> float:
    """Seconds per call: the minimum over short windows, which a busy machine disturbs least."""
    fun()
    started = time.perf_counter()
    fun()
    once = max(time.perf_counter() - started, 1e-7)
    calls = max(1, int(0.002 / once))
    best, stop = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < stop:
        started = time.perf_counter()
        for _ in range(calls):
            fun()
        best = min(best, (time.perf_counter() - started) / calls)
    return best


def dispatch(jax: Any) -> Iterator[Row]:
    """Cost of a call, in microseconds."""
    jnp, lax = jax.numpy, jax.lax
    x, y, m = jnp.ones(10), jnp.ones(10), jnp.ones((8, 8))
    index = jnp.array([1, 2, 3])
    weights = [jnp.ones((16, 16)) for _ in range(3)]
    batch = jnp.ones((8, 16))
    key = jax.random.PRNGKey(0)
    tree = {f"k{i}": jnp.ones(10) for i in range(100)}

    def network(ws: list, h: Any) -> Any:
        for w in ws:
            h = jnp.tanh(h @ w)
        return (h ** 2).mean()

    jitted = jax.jit(lambda a, b: a + b)
    on_tree = jax.jit(lambda d: {k: v + 1 for k, v in d.items()})
    calls: dict[str, Callable[[], Any]] = {
        "jit of two small arrays": lambda: jitted(x, y),
        "jit dict of 100 -> 100": lambda: on_tree(tree),
        "eager x + y": lambda: x + y,
        "eager x + 1": lambda: x + 1,
        "eager lax.add": lambda: lax.add(x, y),
        "eager jnp.sin": lambda: jnp.sin(x),
        "eager x.sum()": lambda: x.sum(),
        "eager m @ m": lambda: m @ m,
        "eager reshape": lambda: x.reshape(2, 5),
        "eager x[3]": lambda: x[3],
        "eager x[1:3]": lambda: x[1:3],
        "eager x[index]": lambda: x[index],
        "eager x.at[3].set(1.)": lambda: x.at[3].set(1.0),
        "eager where": lambda: jnp.where(x > 0, x, y),
        "eager einsum": lambda: jnp.einsum("ij,jk->ik", m, m),
        "zeros": lambda: jnp.zeros(10),
        "array of NumPy": lambda: jnp.array(np.ones(10, np.float32)),
        "eager grad of sin-sum": bound(jax.grad(lambda a: jnp.sin(a).sum()), x),
        "eager grad of 3 layers": bound(jax.grad(network), weights, batch),
        "eager vmap of sin * 2": bound(jax.vmap(lambda a: jnp.sin(a) * 2), x),
        "random.split": lambda: jax.random.split(key),
        "random.normal": lambda: jax.random.normal(key, (10,)),
    }
    for name, call in calls.items():
        yield name, fastest(call) * 1e6, "us"


def fresh(jax: Any) -> Iterator[Row]:
    """Loops, branches and `jit` of functions that are new at each call, in microseconds."""
    jnp, lax = jax.numpy, jax.lax
    x = jnp.ones(10)
    calls: dict[str, Callable[[], Any]] = {
        "scan": lambda: lax.scan(lambda c, _: (c + 1.0, None), x, None, length=10),
        "fori_loop": lambda: lax.fori_loop(0, 10, lambda i, c: c + 1.0, x),
        "while_loop of a number": lambda: lax.while_loop(lambda c: c < 5, lambda c: c + 1, 0),
        "while_loop of an array": lambda: lax.while_loop(lambda c: c[0] < 5, lambda c: c + 1.0, x),
        "while_loop of a pair": lambda: lax.while_loop(
            lambda s: s[0] < 5, lambda s: (s[0] + 1, s[1] * 2.0), (0, x)),
        "cond": lambda: lax.cond(True, lambda c: c + 1.0, lambda c: c - 1.0, x),
        "cond of x[0] > 0": lambda: lax.cond(x[0] > 0, lambda c: c + 1.0, lambda c: c - 1.0, x),
        "switch": lambda: lax.switch(1, [lambda c: c + 1.0, lambda c: c - 1.0, jnp.sin], x),
        "jit": lambda: jax.jit(lambda c: c * 2 + 1)(x),
    }
    for name, call in calls.items():
        yield name, fastest(lambda call=call: jax.block_until_ready(call()), 1.0) * 1e6, "us"


def bound(fun: Callable, *args: Any) -> Callable[[], Any]:
    return lambda: fun(*args)


def transformer(jax: Any, layers: int, width: int = 64, heads: int = 4) -> tuple[Callable, tuple]:
    """A training step of a small transformer, layers unrolled, and its arguments."""
    jnp = jax.numpy
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) * 0.02).astype(np.float32)

    def norm(x: Any, p: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        return centred / jnp.sqrt((centred ** 2).mean(-1, keepdims=True) + 1e-5) * p[0] + p[1]

    def attention(x: Any, p: Any) -> Any:
        time_steps = x.shape[0]
        q, k, v = (jnp.transpose((x @ p[n]).reshape(time_steps, heads, -1), (1, 0, 2))
                   for n in ("q", "k", "v"))
        scores = jnp.einsum("htd,hsd->hts", q, k) / np.sqrt(width // heads)
        mask = jnp.tril(jnp.ones((time_steps, time_steps), bool))
        weights = jax.nn.softmax(jnp.where(mask, scores, -1e9), -1)
        out = jnp.transpose(jnp.einsum("hts,hsd->htd", weights, v), (1, 0, 2))
        return out.reshape(time_steps, width) @ p["o"]

    def model(params: Any, tokens: Any) -> Any:
        x = params["embedding"][tokens]
        for p in params["layers"]:
            x = x + attention(norm(x, p["n1"]), p)
            inner = jax.nn.gelu(norm(x, p["n2"]) @ p["up"] + p["up bias"])
            x = x + inner @ p["down"] + p["down bias"]
        return x @ params["embedding"].T

    def loss(params: Any, tokens: Any) -> Any:
        scores = jax.vmap(model, (None, 0))(params, tokens[:, :-1])
        log_p = jax.nn.log_softmax(scores)
        return -jnp.mean(jnp.take_along_axis(log_p, tokens[:, 1:, None], -1))

    def step(params: Any, moment: Any, tokens: Any) -> tuple:
        value, grads = jax.value_and_grad(loss)(params, tokens)
        moment = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moment, grads)
        return jax.tree.map(lambda p, m: p - 1e-3 * m, params, moment), moment, value

    ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
    layer = {"q": weight(width, width), "k": weight(width, width), "v": weight(width, width),
             "o": weight(width, width), "n1": (ones, zeros), "n2": (ones, zeros),
             "up": weight(width, 4 * width), "up bias": weight(4 * width),
             "down": weight(4 * width, width), "down bias": weight(width)}
    params = {"embedding": weight(256, width), "layers": [dict(layer) for _ in range(layers)]}
    params = jax.tree.map(jnp.asarray, params)
    tokens = jnp.asarray(rng.integers(0, 256, (8, 33)).astype(np.int32))
    return step, (params, jax.tree.map(jnp.zeros_like, params), tokens)


def trace(jax: Any, layers: int = 24, repeats: int = 4) -> Iterator[Row]:
    """Tracing and lowering a training step, in CPU milliseconds."""
    times: dict[str, list[float]] = {"trace": [], "lower": []}
    for _ in range(repeats):
        step, args = transformer(jax, layers)
        gc.collect()
        begun = time.process_time()
        traced = jax.jit(step).trace(*args)
        middle = time.process_time()
        traced.lower()
        times["trace"].append(middle - begun)
        times["lower"].append(time.process_time() - middle)
    for name, found in times.items():
        yield f"{name} transformer of {layers} layers", min(found) * 1e3, "ms CPU"


def step(jax: Any, layers: int = 8) -> Iterator[Row]:
    """Compiling and running a training step, in milliseconds."""
    fun, args = transformer(jax, layers)
    lowered = jax.jit(fun).lower(*args)
    begun = time.process_time()
    compiled = lowered.compile()
    yield f"compile transformer of {layers} layers", (time.process_time() - begun) * 1e3, "ms CPU"
    yield (f"step transformer of {layers} layers",
           fastest(lambda: jax.block_until_ready(compiled(*args)), 4.0) * 1e3, "ms")


def start(jax: Any, repeats: int = 4) -> Iterator[Row]:
    """Importing the package in a fresh process, in CPU milliseconds."""
    code = (f"import time, sys; begun = time.process_time(); import {jax.__name__}; "
            "print(time.process_time() - begun)")
    found = [float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                                  check=True).stdout) for _ in range(repeats)]
    yield "import", min(found) * 1e3, "ms CPU"


GROUPS = {"dispatch": dispatch, "fresh": fresh, "trace": trace, "step": step, "start": start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("group", choices=GROUPS)
    parser.add_argument("--impl", default="minijax")
    parser.add_argument("--layers", type=int, help="of the transformer in trace and step")
    options = parser.parse_args()
    jax = importlib.import_module(options.impl)
    size = {"layers": options.layers} if options.layers else {}
    for name, value, unit in GROUPS[options.group](jax, **size):
        print(json.dumps([name, value, unit]), flush=True)


if __name__ == "__main__":
    main()
