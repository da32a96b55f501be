"""One small transformer trained in five ways: on one device, and in parallel in four.

    JAX_NUM_CPU_DEVICES=8 python -m minijax.examples.parallel_transformer

Data, tensor and fully sharded data parallelism are the same program with other shardings: the
compiler inserts the communication. The pipeline says it all itself, with `shard_map` and
`ppermute`. All give the losses of one device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import minijax as jax
import minijax.numpy as jnp
from minijax import lax, random
from minijax.sharding import AxisType, Mesh, NamedSharding
from minijax.sharding import PartitionSpec as P

LAYERS, WIDTH, HEADS, HIDDEN, WORDS, LENGTH, BATCH = 8, 32, 8, 64, 64, 16, 16
RATE = 0.3


def initial(key: Any) -> dict:
    """Parameters; those of the blocks are stacked along a leading axis of layers."""
    keys = iter(random.split(key, 8))
    size = WIDTH // HEADS

    def normal(*shape: int, fan_in: int) -> Any:
        return random.normal(next(keys), shape) / jnp.sqrt(1.0 * fan_in)

    blocks = {
        "qkv": normal(LAYERS, 3, HEADS, WIDTH, size, fan_in=WIDTH),
        "mix": normal(LAYERS, HEADS, size, WIDTH, fan_in=WIDTH),
        "up": normal(LAYERS, WIDTH, HIDDEN, fan_in=WIDTH),
        "down": normal(LAYERS, HIDDEN, WIDTH, fan_in=HIDDEN),
    }
    return {"words": normal(WORDS, WIDTH, fan_in=1), "blocks": blocks,
            "out": normal(WIDTH, WORDS, fan_in=WIDTH)}


def normalized(x: Any) -> Any:
    return x * lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6)


def block(x: Any, w: dict) -> Any:
    """One layer: causal attention and a perceptron; x is [batch, length, width]."""
    q, k, v = jnp.einsum("btd,chds->cbhts", normalized(x), w["qkv"])
    scores = jnp.einsum("bhts,bhus->bhtu", q, k) / jnp.sqrt(1.0 * q.shape[-1])
    causal = jnp.tril(jnp.ones((x.shape[1], x.shape[1]), bool))
    weights = jax.nn.softmax(jnp.where(causal, scores, -1e9))
    x = x + jnp.einsum("bhtu,bhus,hsd->btd", weights, v, w["mix"]) / LAYERS
    return x + jax.nn.gelu(normalized(x) @ w["up"]) @ w["down"] / LAYERS


def in_order(blocks: dict, x: Any) -> Any:
    """All layers, one after the other."""
    return lax.scan(lambda x, w: (block(x, w), None), x, blocks)[0]


def loss(params: dict, tokens: Any, layers: Callable = in_order) -> Any:
    """The mean cross entropy of each next token."""
    x = layers(params["blocks"], params["words"][tokens[:, :-1]])
    logits = jax.nn.log_softmax(normalized(x) @ params["out"])
    return -jnp.mean(jnp.take_along_axis(logits, tokens[:, 1:, None], axis=-1))


def sentences(key: Any) -> Any:
    """Counting modulo the number of words, from random starts."""
    starts = random.randint(key, (BATCH, 1), 0, WORDS)
    return (starts + jnp.arange(LENGTH + 1)) % WORDS


# --- The strategies -----------------------------------------------------------------------------


class Strategy(NamedTuple):
    """Where parameters and tokens are, and how the layers run."""

    params: Any
    tokens: Any
    layers: Callable = in_order


def _mesh(name: str) -> Mesh:
    return jax.make_mesh((jax.device_count(),), (name,), (AxisType.Auto,))


def _everywhere(mesh: Mesh, **blocks: P) -> dict:
    """Replicated parameters, but for the named ones of the blocks."""
    specs = {name: blocks.get(name, P()) for name in ("qkv", "mix", "up", "down")}
    return jax.tree.map(lambda spec: NamedSharding(mesh, spec),
                        {"words": P(), "blocks": specs, "out": P()})


def single() -> Strategy:
    """One device."""
    device = jax.sharding.make_single_device_sharding(jax.devices()[0])
    return Strategy(device, device)


def data_parallel() -> Strategy:
    """Each device has part of the batch; gradients are summed."""
    mesh = _mesh("data")
    return Strategy(_everywhere(mesh), NamedSharding(mesh, P("data")))


def tensor_parallel() -> Strategy:
    """Each device has some heads and hidden units of every layer; their outputs are summed."""
    mesh = _mesh("model")
    placed = _everywhere(mesh, qkv=P(None, None, "model"), mix=P(None, "model"),
                         up=P(None, None, "model"), down=P(None, "model"))
    return Strategy(placed, NamedSharding(mesh, P()))


def fully_sharded() -> Strategy:
    """Parts of the batch, and of every parameter, which is gathered where it is used."""
    mesh = _mesh("data")
    placed = _everywhere(mesh, qkv=P(None, None, None, "data"), mix=P(None, None, None, "data"),
                         up=P(None, "data"), down=P(None, "data"))
    placed["words"] = placed["out"] = NamedSharding(mesh, P("data"))
    return Strategy(placed, NamedSharding(mesh, P("data")))


def pipeline() -> Strategy:
    """Each device has one layer; pieces of the batch go from device to device."""
    mesh = _mesh("stage")
    stages = mesh.size
    split = P("stage")
    ring = [(i, i + 1) for i in range(stages - 1)]

    @jax.shard_map(mesh=mesh, in_specs=(split, P()), out_specs=P(), check_vma=True)
    def layers(blocks: dict, x: Any) -> Any:
        pieces = x.reshape(BATCH // 2, 2, *x.shape[1:])
        count, stage = len(pieces), lax.axis_index("stage")
        idle = jnp.zeros((stages - 1, *pieces.shape[1:]))

        def tick(arriving: Any, piece: Any) -> tuple:
            done = in_order(blocks, jnp.where(stage == 0, piece, arriving))
            return lax.ppermute(done, "stage", ring), done

        start = lax.pcast(jnp.zeros(pieces.shape[1:]), "stage", to="varying")
        _, done = lax.scan(tick, start, jnp.concatenate([pieces, idle]))
        last = jnp.where(stage == stages - 1, done[stages - 1:stages - 1 + count], 0.0)
        return lax.psum(last, "stage").reshape(x.shape)

    placed = _everywhere(mesh, qkv=split, mix=split, up=split, down=split)
    return Strategy(placed, NamedSharding(mesh, P()), layers)


STRATEGIES = {f.__name__: f for f in (
    single, data_parallel, tensor_parallel, fully_sharded, pipeline)}

# --- Training -----------------------------------------------------------------------------------


def make_step(strategy: Strategy) -> Any:
    """The compiled function of one step of gradient descent."""
    def step(params: dict, tokens: Any) -> tuple:
        value, grads = jax.value_and_grad(loss)(params, tokens, strategy.layers)
        return jax.tree.map(lambda p, g: p - RATE * g, params, grads), value

    return jax.jit(step, in_shardings=(strategy.params, strategy.tokens),
                   out_shardings=(strategy.params, None), donate_argnums=0)


def start(strategy: Strategy) -> tuple[dict, Any]:
    """Parameters and tokens, where the strategy wants them."""
    return (jax.device_put(initial(random.key(0)), strategy.params),
            jax.device_put(sentences(random.key(1)), strategy.tokens))


def train(strategy: Strategy, steps: int) -> list[float]:
    """The loss before each step."""
    step = make_step(strategy)
    params, tokens = start(strategy)
    losses = []
    for _ in range(steps):
        params, value = step(params, tokens)
        losses.append(float(value))
    return losses


def main() -> None:
    for name, strategy in STRATEGIES.items():
        print(f"{name:16}", " ".join(f"{value:.5f}" for value in train(strategy(), 8)))


if __name__ == "__main__":
    main()
