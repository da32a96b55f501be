"""Optimisers as triples of functions on trees of parameters.

    init, update, get_params = optimizers.adam(1e-3)
    state = init(params)
    for i, batch in enumerate(batches):
        state = update(i, jax.grad(loss)(get_params(state), batch), state)

An optimiser is written for one array; `optimizer` makes it work on trees.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minijax import numpy as jnp
from minijax.base import errors, tree as trees

Step = int
Schedule = Callable[[Any], Any]


class Optimizer(NamedTuple):
    """What an optimiser consists of."""

    init_fn: Callable[[Any], Any]
    update_fn: Callable[[Any, Any, Any], Any]
    params_fn: Callable[[Any], Any]


class OptimizerState(NamedTuple):
    """The state of all parameters: the leaves of each one's state, and the structures."""

    packed_state: Any
    tree_def: Any
    subtree_defs: Any


trees.register_pytree_node(
    OptimizerState, lambda state: ((state.packed_state,), (state.tree_def, state.subtree_defs)),
    lambda structure, packed: OptimizerState(packed[0], *structure))


def optimizer(opt_maker: Callable[..., tuple]) -> Callable[..., Optimizer]:
    """Let an optimiser for one array work on trees of arrays."""
    @functools.wraps(opt_maker)
    def maker(*args: Any, **kwargs: Any) -> Optimizer:
        init, update, get_params = opt_maker(*args, **kwargs)

        def tree_init(params: Any) -> OptimizerState:
            leaves, structure = trees.flatten(params)
            return _pack([init(x) for x in leaves], structure)

        def tree_update(i: Any, gradient: Any, state: OptimizerState) -> OptimizerState:
            leaves, structure = trees.flatten(gradient)
            if structure != state.tree_def:
                raise TypeError(errors.describe(
                    "optimizer update function was passed a gradient tree that did not match the "
                    "parameter tree structure with which it was initialized: parameter tree "
                    f"{state.tree_def} and grad tree {structure}.",
                    fix="take the gradient with respect to get_params(state)"))
            new = [update(i, g, one) for g, one in zip(leaves, _unpack(state))]
            for before, after in zip(state.subtree_defs, map(trees.structure, new)):
                if before != after:
                    raise TypeError(errors.describe(
                        "optimizer update function produced an output structure that did not "
                        f"match its input structure: input {before} and output {after}.",
                        fix="return a state like the one init returns"))
            return _pack(new, structure)

        def tree_params(state: OptimizerState) -> Any:
            return trees.unflatten(state.tree_def, [get_params(one) for one in _unpack(state)])
        return Optimizer(tree_init, tree_update, tree_params)
    return maker


def _pack(states: Sequence[Any], structure: Any) -> OptimizerState:
    flat = [trees.flatten(state) for state in states]
    return OptimizerState(tuple(tuple(leaves) for leaves, _ in flat), structure,
                          tuple(inner for _, inner in flat))


def _unpack(state: OptimizerState) -> list:
    return [trees.unflatten(inner, leaves)
            for leaves, inner in zip(state.packed_state, state.subtree_defs)]


class JoinPoint:
    """Where the state of one parameter begins, in an unpacked state: a leaf that holds a tree."""

    def __init__(self, subtree: Any):
        self.subtree = subtree

    def __iter__(self) -> Any:
        yield self.subtree


def unpack_optimizer_state(opt_state: OptimizerState) -> Any:
    """The tree of parameters with the state of each in a JoinPoint: for storing."""
    return trees.unflatten(opt_state.tree_def, list(map(JoinPoint, _unpack(opt_state))))


def pack_optimizer_state(marked_pytree: Any) -> OptimizerState:
    """The way back from `unpack_optimizer_state`."""
    points, structure = trees.flatten(marked_pytree)
    return _pack([point.subtree for point in points], structure)


# --- Optimisers ---------------------------------------------------------------------------------


@optimizer
def sgd(step_size: float | Schedule) -> tuple:
    """x - step * g."""
    step = make_schedule(step_size)
    return lambda x0: x0, lambda i, g, x: x - step(i) * g, lambda x: x


def _velocity(step_size: float | Schedule, mass: float, ahead: bool) -> tuple:
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: tuple) -> tuple:
        x, velocity = state
        velocity = mass * velocity + g
        return x - step(i) * (mass * velocity + g if ahead else velocity), velocity
    return lambda x0: (x0, jnp.zeros_like(x0)), update, lambda state: state[0]


@optimizer
def momentum(step_size: float | Schedule, mass: float) -> tuple:
    """Gradient descent with momentum."""
    return _velocity(step_size, mass, False)


@optimizer
def nesterov(step_size: float | Schedule, mass: float) -> tuple:
    """Nesterov's accelerated gradient descent."""
    return _velocity(step_size, mass, True)


def _inverse_root(x: Any) -> Any:
    """1 / sqrt(x), and 0 where x is 0."""
    return jnp.where(x > 0, 1.0 / jnp.sqrt(jnp.where(x > 0, x, 1)), 0.0)


@optimizer
def adagrad(step_size: float | Schedule, momentum: float = 0.9) -> tuple:
    """Duchi et al., "Adaptive subgradient methods", 2011, with momentum."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: tuple) -> tuple:
        x, squares, mean = state
        squares = squares + jnp.square(g)
        mean = (1.0 - momentum) * g * _inverse_root(squares) + momentum * mean
        return x - step(i) * mean, squares, mean
    return (lambda x0: (x0, jnp.zeros_like(x0), jnp.zeros_like(x0)), update,
            lambda state: state[0])


@optimizer
def rmsprop(step_size: float | Schedule, gamma: float = 0.9, eps: float = 1e-8) -> tuple:
    """Steps divided by the root of a running mean of squares."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: tuple) -> tuple:
        x, squares = state
        squares = gamma * squares + (1.0 - gamma) * jnp.square(g)
        return x - step(i) * g / jnp.sqrt(squares + eps), squares
    return lambda x0: (x0, jnp.zeros_like(x0)), update, lambda state: state[0]


@optimizer
def rmsprop_momentum(step_size: float | Schedule, gamma: float = 0.9, eps: float = 1e-8,
                     momentum: float = 0.9) -> tuple:
    """`rmsprop` with momentum."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: tuple) -> tuple:
        x, squares, velocity = state
        squares = gamma * squares + (1.0 - gamma) * jnp.square(g)
        velocity = momentum * velocity + step(i) * g / jnp.sqrt(squares + eps)
        return x - velocity, squares, velocity
    return (lambda x0: (x0, jnp.zeros_like(x0), jnp.zeros_like(x0)), update,
            lambda state: state[0])


@optimizer
def adam(step_size: float | Schedule, b1: float = 0.9, b2: float = 0.999,
         eps: float = 1e-8) -> tuple:
    """Kingma and Ba, "Adam", 2014."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: tuple) -> tuple:
        x, mean, squares = state
        mean = b1 * mean + (1 - b1) * g
        squares = b2 * squares + (1 - b2) * jnp.square(g)
        unbiased = mean / (1 - jnp.asarray(b1, mean.dtype) ** (i + 1))
        spread = squares / (1 - jnp.asarray(b2, mean.dtype) ** (i + 1))
        return x - step(i) * unbiased / (jnp.sqrt(spread) + eps), mean, squares
    return (lambda x0: (x0, jnp.zeros_like(x0), jnp.zeros_like(x0)), update,
            lambda state: state[0])


@optimizer
def adamax(step_size: float | Schedule, b1: float = 0.9, b2: float = 0.999,
           eps: float = 1e-8) -> tuple:
    """`adam` with the largest gradient in place of the mean square."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: tuple) -> tuple:
        x, mean, largest = state
        mean = b1 * mean + (1 - b1) * g
        largest = jnp.maximum(b2 * largest, jnp.abs(g))
        unbiased = mean / (1 - jnp.asarray(b1, mean.dtype) ** (i + 1))
        return x - step(i) * unbiased / (largest + eps), mean, largest
    return (lambda x0: (x0, jnp.zeros_like(x0), jnp.zeros_like(x0)), update,
            lambda state: state[0])


@optimizer
def sm3(step_size: float | Schedule, momentum: float = 0.9) -> tuple:
    """Anil et al., "Memory-efficient adaptive optimization", 2019: one vector for each axis."""
    step = make_schedule(step_size)

    def init(x0: Any) -> tuple:
        x0 = jnp.asarray(x0)
        return x0, jnp.zeros_like(x0), [jnp.zeros(n, x0.dtype) for n in x0.shape or (1,)]

    def update(i: Any, g: Any, state: tuple) -> tuple:
        x, mean, per_axis = state
        axes = range(max(1, x.ndim))
        spread = [v.reshape([-1 if a == axis else 1 for a in axes])
                  for axis, v in zip(axes, per_axis)]
        squares = functools.reduce(jnp.minimum, spread) + jnp.square(g)
        mean = (1.0 - momentum) * g * _inverse_root(squares).reshape(x.shape) + momentum * mean
        largest = [squares.max(tuple(a for a in axes if a != axis)) for axis in axes]
        return x - step(i) * mean, mean, largest
    return init, update, lambda state: state[0]


# --- Schedules and helpers ----------------------------------------------------------------------


def constant(step_size: float) -> Schedule:
    """The same step always."""
    return lambda i: step_size


def exponential_decay(step_size: float, decay_steps: float, decay_rate: float) -> Schedule:
    """The step times `decay_rate` every `decay_steps`."""
    return lambda i: step_size * decay_rate ** (i / decay_steps)


def inverse_time_decay(step_size: float, decay_steps: float, decay_rate: float,
                       staircase: bool = False) -> Schedule:
    """step / (1 + decay_rate * i / decay_steps), in whole steps with `staircase`."""
    def schedule(i: Any) -> Any:
        past = jnp.floor(i / decay_steps) if staircase else i / decay_steps
        return step_size / (1 + decay_rate * past)
    return schedule


def polynomial_decay(step_size: float, decay_steps: float, final_step_size: float,
                     power: float = 1.0) -> Schedule:
    """From one step to another within `decay_steps`."""
    def schedule(i: Any) -> Any:
        left = (1 - jnp.minimum(i, decay_steps) / decay_steps) ** power
        return left * (step_size - final_step_size) + final_step_size
    return schedule


def piecewise_constant(boundaries: Any, values: Any) -> Schedule:
    """values[k] after k of the boundaries."""
    limits, steps = jnp.array(boundaries), jnp.array(values)
    if not limits.ndim == steps.ndim == 1:
        raise ValueError("boundaries and values must be sequences")
    if limits.shape[0] != steps.shape[0] - 1:
        raise ValueError("boundaries length must be one shorter than values length")
    return lambda i: steps[jnp.sum(i > limits)]


def make_schedule(scalar_or_schedule: float | Schedule) -> Schedule:
    """A schedule as it is; a number as a constant one."""
    if callable(scalar_or_schedule):
        return scalar_or_schedule
    if jnp.ndim(scalar_or_schedule) == 0:
        return constant(scalar_or_schedule)
    raise TypeError(type(scalar_or_schedule))


def l2_norm(tree: Any) -> Any:
    """The Euclidean norm of all leaves together."""
    return jnp.sqrt(sum(jnp.vdot(x, x) for x in trees.leaves(tree)))


def clip_grads(grad_tree: Any, max_norm: float) -> Any:
    """The gradients, shortened to `max_norm` if they are longer."""
    norm = l2_norm(grad_tree)
    return trees.map(lambda g: jnp.where(norm < max_norm, g, g * (max_norm / norm)), grad_tree)
