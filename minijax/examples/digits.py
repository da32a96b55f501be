"""Train a small convolutional network on the handwritten digits that scikit-learn ships.

    python -m minijax.examples.digits --picture digits.png

1,797 real images of 8 x 8 pixels; a fifth of them is kept for testing. Shows a progress bar with
loss and accuracy, and draws the learning curve and the digits that the network gets wrong.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import minijax as jax

jnp = jax.numpy

Params = dict[str, Any]

CLASSES = 10
TEST_SHARE = 5  # one image in five


def load_images(key: jax.Array) -> tuple[tuple, tuple]:
    """((training images, labels), (test images, labels)), shuffled; images are (n, 1, 8, 8)."""
    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[:, None]
    order = np.asarray(jax.random.permutation(key, len(images)))
    images, labels = images[order], digits.target.astype(np.int32)[order]
    held_out = len(images) // TEST_SHARE
    return (images[held_out:], labels[held_out:]), (images[:held_out], labels[:held_out])


def init_params(key: jax.Array) -> Params:
    """Weights drawn with a variance that keeps the size of activations (He et al., 2015)."""
    shapes = {"conv1": (16, 1, 3, 3), "conv2": (32, 16, 3, 3), "conv3": (64, 32, 3, 3),
              "dense": (64 * 8 * 8, CLASSES)}
    params = {}
    for key, (name, shape) in zip(jax.random.split(key, len(shapes)), shapes.items()):
        fan_in = np.prod(shape[1:]) if len(shape) == 4 else shape[0]
        params[name] = jax.random.normal(key, shape) * jnp.sqrt(2.0 / fan_in)
        params[name + "_bias"] = jnp.zeros(shape[0] if len(shape) == 4 else shape[1])
    return params


def logits(params: Params, images: jax.Array) -> jax.Array:
    """Scores of the ten classes for images of shape (n, 1, 8, 8)."""
    x = images
    for layer in ("conv1", "conv2", "conv3"):
        x = jax.lax.conv_general_dilated(x, params[layer], (1, 1), "SAME")
        x = jax.nn.relu(x + params[layer + "_bias"][:, None, None])
    return x.reshape(x.shape[0], -1) @ params["dense"] + params["dense_bias"]


def loss(params: Params, images: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean cross entropy."""
    log_p = jax.nn.log_softmax(logits(params, images))
    return -jnp.mean(jnp.take_along_axis(log_p, labels[:, None], axis=1))


@jax.jit
def update(params: Params, velocity: Params, images: jax.Array,
           labels: jax.Array) -> tuple[Params, Params, jax.Array]:
    """One step of gradient descent with momentum."""
    value, grads = jax.value_and_grad(loss)(params, images, labels)
    velocity = jax.tree.map(lambda v, g: 0.9 * v - 0.05 * g, velocity, grads)
    return jax.tree.map(lambda p, v: p + v, params, velocity), velocity, value


@jax.jit
def accuracy(params: Params, images: jax.Array, labels: jax.Array) -> jax.Array:
    return jnp.mean(jnp.argmax(logits(params, images), axis=1) == labels)


@jax.jit
def influence(params: Params, images: jax.Array, labels: jax.Array) -> jax.Array:
    """How hard each example alone pulls at the weights: the norm of its own gradient."""
    def one(image: jax.Array, label: jax.Array) -> jax.Array:
        grads = jax.grad(loss)(params, image[None], label[None])
        return jnp.sqrt(sum(jnp.sum(g ** 2) for g in jax.tree.leaves(grads)))
    return jax.vmap(one)(images, labels)


def train(epochs: int, batch_size: int, seed: int = 0) -> tuple[Params, list[float], float, tuple]:
    """Returns the parameters, the loss of every step, the test accuracy and the test set."""
    data_key, init_key, order_key = jax.random.split(jax.random.key(seed), 3)
    (images, labels), test = load_images(data_key)
    params = init_params(init_key)
    velocity = jax.tree.map(jnp.zeros_like, params)
    losses: list[float] = []
    with tqdm(range(epochs), desc="training", unit="epoch") as progress:
        for epoch in progress:
            order = jax.random.permutation(jax.random.fold_in(order_key, epoch), len(images))
            order = np.asarray(order)
            for start in range(0, len(order) - batch_size + 1, batch_size):
                batch = order[start:start + batch_size]
                params, velocity, value = update(params, velocity, images[batch], labels[batch])
                losses.append(float(value))
            progress.set_postfix(loss=f"{losses[-1]:.4f}",
                                 test_accuracy=f"{float(accuracy(params, *test)):.2%}")
    return params, losses, float(accuracy(params, *test)), test


def draw(path: str, params: Params, losses: list[float], test: tuple) -> None:
    """Write a picture: the learning curve, misclassified digits, and the most influential ones."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    images, labels = test
    guesses = np.asarray(jnp.argmax(logits(params, images), axis=1))
    pull = np.asarray(influence(params, images, labels))
    wrong = np.flatnonzero(guesses != labels)[:8]
    hard = np.argsort(-pull)[:8]
    figure = plt.figure(figsize=(10, 7), layout="constrained")
    curve, mistakes, influential = figure.subfigures(3, 1, height_ratios=(2, 1, 1))
    axes = curve.subplots()
    axes.semilogy(losses)
    axes.set(xlabel="step", ylabel="loss", title="Cross entropy on training batches")
    for part, chosen, title in ((mistakes, wrong, "Misclassified test digits: guess (truth)"),
                                (influential, hard, "Largest gradients of a single test digit")):
        part.suptitle(title)
        for axes, i in zip(part.subplots(1, 8), [*chosen, *[None] * (8 - len(chosen))]):
            axes.axis("off")
            if i is not None:
                axes.imshow(images[i, 0], cmap="gray_r")
                axes.set_title(f"{guesses[i]} ({labels[i]})" if chosen is wrong
                               else f"{pull[i]:.1f}")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a network on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", help="where to write the learning curve and the mistakes")
    parser.add_argument("--losses", help="where to write the loss of every step, one a line")
    options = parser.parse_args()
    started = time.perf_counter()
    params, losses, reached, test = train(options.epochs, options.batch_size, options.seed)
    print(f"test accuracy {reached:.2%} after {len(losses)} steps, "
          f"{time.perf_counter() - started:.1f} s")
    if options.losses:
        np.savetxt(options.losses, losses)
    if options.picture:
        draw(options.picture, params, losses, test)
        print(f"picture written to {options.picture}")


if __name__ == "__main__":
    main()
