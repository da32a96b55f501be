"""Random programs, for any package that is called like JAX.

    f = Programs(jax).make(seed)
    s, v, m = f(scalar, vector_of_3, matrix_3x3)

A program is 5 to 40 steps on a scalar, a vector and a matrix. A step is an operation, or a loop, a
branch, a derivative rule or another transformation around a smaller program. The same seed gives
the same program in every package. Programs are smooth at almost all points and have derivatives in
both modes.
"""

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

Program = Callable[[Any, Any, Any], tuple]


class Programs:
    """The generator over one package."""

    def __init__(self, jax: Any):
        self.jax, self.jnp, self.lax = jax, jax.numpy, jax.lax
        nests = [name for name in sorted(vars(Programs)) if name.startswith("nest_")]
        self.nests = [getattr(self, name) for name in nests]
        self.operations = [*self.of_vectors(), *self.of_matrices(), *self.of_all()]

    def make(self, seed: int) -> Program:
        choose = random.Random(seed)
        budget = SimpleNamespace(left=choose.randint(5, 40))
        steps = []
        while budget.left > 0:
            steps.append(self.step(choose, 2, budget))
        return self.chain(steps)

    def step(self, choose: random.Random, depth: int, budget: Any) -> Program:
        budget.left -= 1
        if depth == 0 or choose.random() < 0.6:
            return choose.choice(self.operations)
        inner = [self.step(choose, depth - 1, budget) for _ in range(choose.randint(1, 3))]
        return choose.choice(self.nests)(self.chain(inner))

    def chain(self, steps: list[Program]) -> Program:
        tanh = self.jnp.tanh

        def run(s: Any, v: Any, m: Any) -> tuple:
            for step in steps:
                s, v, m = step(s, v, m)
                s, v, m = tanh(s), tanh(v), tanh(m)  # numbers stay small
            return s, v, m
        return run

    # --- operations -------------------------------------------------------------------------

    def of_vectors(self) -> list[Program]:
        jax, jnp, lax = self.jax, self.jnp, self.lax
        changes = [
            jnp.sin, lambda v: v * v, lambda v: 2 * v + 1.5, lambda v: jnp.exp(-v * v),
            lambda v: jnp.where(v > 0.1, v, 0.5 * v), jnp.cumsum, lambda v: v[::-1],
            lambda v: jnp.roll(v, 1), jnp.sort, lambda v: v - v.mean(), lambda v: v.at[0].set(1.0),
            lambda v: v.at[jnp.array([0, 2])].add(v[1]),
            lambda v: jnp.concatenate([v[1:], v[:1]]), lambda v: jnp.pad(v, 1)[:-2] + v,
            lambda v: v[jnp.array([2, 0, 1])], lambda v: jnp.dot(v, v) * v, jax.nn.softmax,
            lambda v: lax.dynamic_slice(jnp.concatenate([v, v]), (jnp.argmax(v),), (3,)),
            lambda v: jnp.maximum(v, v[::-1]), lambda v: lax.cummax(v) + lax.cumprod(v),
            lambda v: jnp.sqrt(1 + v * v), lambda v: jnp.log1p(jnp.abs(v) + 0.5),
            lambda v: jnp.convolve(v, v, "same"), lambda v: jax.nn.logsumexp(v) - v,
            lambda v: v.astype(jnp.int32) + v, lambda v: lax.stop_gradient(jnp.sign(v)) * v,
            lambda v: lax.associative_scan(jnp.add, v), lambda v: jnp.clip(v, -0.3, 0.8) + 0.1 * v,
            lambda v: jnp.take(v, jnp.argsort(v)) + v, lambda v: lax.rsqrt(2 + v),
        ]
        return [lambda s, v, m, f=f: (s, f(v), m) for f in changes]

    def of_matrices(self) -> list[Program]:
        jnp, lax = self.jnp, self.lax
        eye = jnp.eye(3)
        changes = [
            lambda m: m @ m, lambda m: m.T, lambda m: jnp.triu(m) - jnp.tril(m),
            lambda m: jnp.linalg.solve(4 * eye + m, m), lambda m: jnp.linalg.inv(3 * eye + m),
            lambda m: jnp.linalg.cholesky(m @ m.T + eye), lambda m: m[jnp.array([2, 0, 1])],
            lambda m: m.at[1].set(m[0] * m[2]), lambda m: jnp.sort(m, 0),
            lambda m: jnp.cumsum(m, 1), lambda m: m.reshape(9)[::-1].reshape(3, 3),
            lambda m: jnp.einsum("ij,kj->ik", m, m), lambda m: m - m.mean(0, keepdims=True),
            lambda m: jnp.diag(jnp.diag(m)) + m, lambda m: lax.rev(m, (0, 1)),
            lambda m: jnp.where(m > m.T, m, 0.5 * m), lambda m: m / (1 + jnp.linalg.norm(m)),
            lambda m: lax.dynamic_update_slice(m, m[:1] + 1, (jnp.argmax(m[0]), 0)),
            lambda m: jnp.tensordot(m, m, 1) + jnp.kron(m[0], m[1]).reshape(3, 3),
        ]
        return [lambda s, v, m, f=f: (s, v, f(m)) for f in changes]

    def of_all(self) -> list[Program]:
        jnp, lax = self.jnp, self.lax

        def count(s: Any, v: Any, m: Any) -> tuple:
            start = lax.stop_gradient(jnp.abs(s)) + 0.1
            steps, _ = lax.while_loop(lambda c: c[1] < 2.0, lambda c: (c[0] + 1, c[1] * 1.7),
                                      (0, start))
            return s + 0.1 * steps, v, m
        return [
            lambda s, v, m: (s, m @ v, m), lambda s, v, m: (v.sum() - s, v, m),
            lambda s, v, m: (s, v, m + jnp.outer(v, v)), lambda s, v, m: (jnp.trace(m), v * s, m),
            lambda s, v, m: (s * s, v + s, m * s), lambda s, v, m: (m[1, 2], m[:, 0] - v, m),
            lambda s, v, m: (jnp.arctan2(s, 1 + v[0] ** 2), v, m * v), count,
            lambda s, v, m: (s, v, m.at[:, 2].set(v)), lambda s, v, m: (s - v[1], m.max(1), m),
            lambda s, v, m: (jnp.vdot(v, m[0]), jnp.where(s > v, v, s), m),
        ]

    # --- programs around programs -----------------------------------------------------------

    def nest_jit(self, g: Program) -> Program:
        return self.jax.jit(g)

    def nest_jit_of_closure(self, g: Program) -> Program:
        return lambda s, v, m: self.jax.jit(lambda a: g(s, a, m))(v)

    def nest_checkpoint(self, g: Program) -> Program:
        return self.jax.checkpoint(g)

    def nest_checkpoint_dots(self, g: Program) -> Program:
        return self.jax.checkpoint(g, policy=self.jax.checkpoint_policies.dots_saveable)

    def nest_scan(self, g: Program) -> Program:
        return lambda s, v, m: self.lax.scan(lambda c, _: (g(*c), None), (s, v, m), None,
                                             length=2)[0]

    def nest_scan_rows(self, g: Program) -> Program:
        def run(s: Any, v: Any, m: Any) -> tuple:
            (s, v), rows = self.lax.scan(lambda c, row: (g(c[0], row + c[1], m)[:2], row * c[0]),
                                         (s, v), m, reverse=True)
            return s, v, rows
        return run

    def nest_cond(self, g: Program) -> Program:
        return lambda s, v, m: self.lax.cond(v[0] > m[0, 1], g, lambda s, v, m: (s, v * s, m.T),
                                             s, v, m)

    def nest_switch(self, g: Program) -> Program:
        branches = [g, lambda s, v, m: (v[0], v * v, m), lambda s, v, m: (s, m[0], m + 0.1)]
        return lambda s, v, m: self.lax.switch(
            (v[0] > 0).astype(int) + (v[1] > 0), branches, s, v, m)

    def nest_fori(self, g: Program) -> Program:
        return lambda s, v, m: self.lax.fori_loop(0, 2, lambda i, c: g(c[0] + 0.1 * i, *c[1:]),
                                                  (s, v, m))

    def nest_vmap(self, g: Program) -> Program:
        def run(s: Any, v: Any, m: Any) -> tuple:
            out = self.jax.vmap(g, (None, 0, None))(s, self.jnp.stack([v, 2 * v]), m)
            return tuple(x.mean(0) for x in out)
        return run

    def nest_vmap_collective(self, g: Program) -> Program:
        def run(s: Any, v: Any, m: Any) -> tuple:
            def lane(row: Any) -> tuple:
                a, b, c = g(s, row, m)
                return a - self.lax.pmean(a, "rows"), b, c
            out = self.jax.vmap(lane, axis_name="rows")(m)
            return out[0].max(), out[1].sum(1), out[2][0]
        return run

    def nest_map(self, g: Program) -> Program:
        return lambda s, v, m: tuple(
            x.sum(0) for x in self.lax.map(lambda row: g(s, row, m), m))

    def nest_jvp(self, g: Program) -> Program:
        return lambda s, v, m: self.jax.jvp(lambda a: g(s, a, m), (v,), (m[0],))[1]

    def nest_grad(self, g: Program) -> Program:
        def run(s: Any, v: Any, m: Any) -> tuple:
            loss = lambda a, b: sum(x.sum() for x in g(s, a, b))  # noqa: E731
            return (s, *self.jax.grad(loss, (0, 1))(v, m))
        return run

    def nest_custom_jvp(self, g: Program) -> Program:
        def run(s: Any, v: Any, m: Any) -> tuple:
            fun = self.jax.custom_jvp(lambda *xs: g(*xs))
            fun.defjvp(lambda primals, tangents: self.jax.jvp(g, primals, tangents))
            return fun(s, v, m)
        return run

    def nest_grad_of_custom_vjp(self, g: Program) -> Program:
        fun = self.jax.custom_vjp(lambda *xs: g(*xs))
        fun.defvjp(lambda *xs: self.jax.vjp(g, *xs), lambda pullback, ct: pullback(ct))
        return self.nest_grad(fun)

    def nest_linearize(self, g: Program) -> Program:
        def run(s: Any, v: Any, m: Any) -> tuple:
            out, push = self.jax.linearize(lambda a, b: g(a, v, b), s, m)
            return self.jax.tree.map(self.jnp.add, out, push(s, m.T))
        return run

    def nest_scope(self, g: Program) -> Program:
        return self.jax.named_call(g, name="part")
