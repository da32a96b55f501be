"""What loops and branches say when they are used wrongly: the first line, and how to mend it."""

from __future__ import annotations

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax

X = np.float32(0.7)
V = np.linspace(-1, 1, 5).astype(np.float32)

ERRORS = [
    (lambda: lax.scan(lambda c, x: ((c[0], V), c), (X, X), V), TypeError,
     "scan body function carry input and carry output must have equal types, but they differ:",
     "The input carry component c[1] has type float32[] but the corresponding output carry "
     "component has type float32[5], so the shapes do not match."),
    (lambda: lax.scan(lambda c, x: (c.astype(int), c), X, V), TypeError,
     "scan body function carry input and carry output must have equal types, but they differ:",
     "fix: start from a carry of dtype int32, or return x.astype('float32')"),
    (lambda: lax.scan(lambda c, x: ({"a": c}, c), X, V), TypeError,
     "scan body function carry input and carry output must have the same pytree structure, but "
     "they differ:", "The input carry c is a pytree leaf but the corresponding component of the "
     "carry output is a <class 'dict'>, so their Python types differ."),
    (lambda: lax.scan(lambda c, x: c, X, V), TypeError,
     "scan body output must be a pair, got float32[].", "fix: return carry, y"),
    (lambda: lax.scan(lambda c, x: (c, "a"), X, V), TypeError, "function <lambda> at ",
     "traced for scan returned a value of type <class 'str'> at output component [1], which is "
     "not a valid JAX type"),
    (lambda: lax.scan(lambda c, x: (c, c), X), ValueError,
     "scan got no values to scan over and `length` not provided.", "fix:"),
    (lambda: lax.scan(lambda c, x: (c, c), X, (V, V[:2])), ValueError,
     "scan got values with different leading axis sizes: 5, 2.", "fix:"),
    (lambda: lax.scan(lambda c, x: (c, c), X, V, length=4), ValueError,
     "scan got `length` argument of 4 which disagrees with leading axis sizes [5].", "fix:"),
    (lambda: lax.scan(lambda c, x: (c, c), X, (V, X)), ValueError,
     "scan got value with no leading axis to scan over: float32[] at [1].", "fix:"),
    (lambda: lax.scan(lambda c, x: (c, c), X, V, unroll=-1), ValueError,
     "`unroll` must be a `bool` or a non-negative `int`.", "fix:"),
    (lambda: lax.scan(3, X, V), TypeError, "lax.scan: f argument should be a callable.", "fix:"),
    (lambda: lax.while_loop(lambda c: c, lambda c: c, X), TypeError,
     "cond_fun must return a boolean scalar, but got output type(s) [ShapedArray(float32[])].",
     "fix:"),
    (lambda: lax.while_loop(lambda c: (c < 1, 1), lambda c: c, X), TypeError,
     "cond_fun must return a boolean scalar, but got pytree PyTreeDef((*, *)).", "fix:"),
    (lambda: lax.while_loop(lambda c: c < 1, lambda c: (c, c), X), TypeError,
     "while_loop body function carry input and carry output must have the same pytree structure, "
     "but they differ:", "fix:"),
    (lambda: lax.while_loop(lambda c: c[0] < 1, lambda c: (c[0], V), (X, X)), TypeError,
     "while_loop body function carry input and carry output must have equal types, but they "
     "differ:", "The input carry component c[1] has type float32[]"),
    (lambda: lax.fori_loop(0, 3, lambda i, c: (c, c), X), TypeError,
     "scan body function carry input and carry output must have the same pytree structure, but "
     "they differ:", "The input carry component loop_carry[1] is a pytree leaf"),
    (lambda: lax.fori_loop(0, 3.0, lambda i, c: c, X), TypeError,
     "lower and upper arguments to fori_loop must have equal types, got int32 and float32",
     "fix:"),
    (lambda: jax.jit(lambda n: lax.fori_loop(0, n, lambda i, c: c, X, unroll=2))(3), ValueError,
     "Can only use `unroll` in `fori_loop` if the loop bounds are statically known.", "fix:"),
    (lambda: lax.cond(V > 0, lambda x: x, lambda x: x, X), TypeError, "Pred must be a scalar, got",
     "of shape (5,)"),
    (lambda: lax.cond("a", lambda x: x, lambda x: x, X), TypeError,
     "Pred must be a scalar, got a of type <class 'str'>", "fix:"),
    (lambda: lax.cond(None, lambda x: x, lambda x: x, X), TypeError, "cond predicate is None",
     "fix:"),
    (lambda: lax.cond(True, 3, lambda x: x, X), TypeError,
     "lax.cond: true_fun and false_fun arguments should be callable.", "fix:"),
    (lambda: lax.cond(True, lambda x: x, lambda x: x, X, operand=X), TypeError,
     "if 'operand' keyword is passed then no positional operands can be passed", "fix:"),
    (lambda: lax.cond(True, lambda x: x, lambda x: (x, x), X), TypeError,
     "cond branch outputs must have the same pytree structure, but they differ:",
     "true_fun output is a pytree leaf but false_fun output is a <class 'tuple'>"),
    (lambda: lax.cond(True, lambda x: (x, 1), lambda x: (x, V), X), TypeError,
     "cond branches must have equal output types but they differ.",
     "The output of true_fun at path [1] has type int32[] but the corresponding output of "
     "false_fun has type float32[5], so the dtypes do not match, and the shapes do not match."),
    (lambda: lax.switch(0, [lambda x: x, lambda x: V], X), TypeError,
     "switch branches must have equal output types but they differ.",
     "branch 0 has type float32[]"),
    (lambda: lax.switch(1.5, [lambda x: x] * 2, X), TypeError,
     "Index type must be an integer, got 1.5 as float32", "fix:"),
    (lambda: lax.switch(V, [lambda x: x] * 2, X), TypeError, "Branch index must be scalar, got",
     "fix:"),
    (lambda: lax.switch((1.0, 2.0), [lambda x: x] * 2, X), TypeError,
     "Branch index must be scalar, got (1.0, 2.0) of shape (2,).", "fix:"),
    (lambda: lax.switch(lambda: 1, [lambda x: x] * 2, X), TypeError,
     "Index type must be an integer, got <function", "fix:"),
    (lambda: lax.switch(0, [lambda x: x, lambda x: x, lambda x: {"a": x}], X), TypeError,
     "switch branch outputs must have the same pytree structure, but they differ:",
     "branch 0 output is a pytree leaf but branch2 output is a <class 'dict'>"),
    (lambda: lax.scan(lambda c, _: ((c[0] > 0, c[1] > 0), None), (X, X), V), TypeError,
     "scan body function carry input and carry output must have equal types, but they differ:",
     "  * the input carry component c[0] has type float32[] but the corresponding output carry "
     "component has type bool[], so the dtypes do not match;\n  * the input carry component c[1]"),
    (lambda: lax.switch(1, []), ValueError, "Empty branch sequence", "fix:"),
    (lambda: lax.associative_scan(lambda a, b: a, (V, V[:2])), ValueError,
     "Array inputs to associative_scan must have the same first dimension. (saw: [(5,), (2,)])",
     "fix:"),
    (lambda: lax.custom_linear_solve(lambda z: z[:2], V, lambda mv, b: b), ValueError,
     "matvec() output shapes must match b, got [(2,)] and [(5,)]", "fix:"),
    (lambda: lax.custom_linear_solve(lambda z: [z], V, lambda mv, b: b), TypeError,
     "matvec() output pytree structure must match b, got PyTreeDef([*]) and PyTreeDef(*).", "fix:"),
    (lambda: lax.custom_linear_solve(lambda z: z, V, lambda mv, b: b, lambda mv, b: b[:1]),
     ValueError, "transpose_solve() output shapes must match b, got [(1,)] and [(5,)]", "fix:"),
    (lambda: lax.custom_linear_solve(lambda z: z, V, lambda mv, b: b, lambda mv, b: [b]), TypeError,
     "transpose_solve() output pytree structure must match b, got PyTreeDef([*])", "fix:"),
    (lambda: jax.grad(lambda b: jnp.sum(lax.custom_linear_solve(
        lambda z: z, b, lambda mv, b: b)))(V), TypeError,
     "transpose_solve required for backwards mode automatic differentiation of "
     "custom_linear_solve", "fix: pass transpose_solve="),
    (lambda: lax.custom_root(lambda x: x, X, lambda f, x: (x, 1), lambda g, y: y), TypeError,
     "solve() output pytree structure must match initial_guess", "fix:"),
]


@pytest.mark.parametrize("call, kind, first, later", ERRORS)
def test_errors(call, kind, first, later):
    with pytest.raises(kind) as error:
        call()
    text = str(error.value)
    assert text.startswith(first)
    assert later in text
    assert "fix: " in text
