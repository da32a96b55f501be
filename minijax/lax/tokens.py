"""Tokens: values that only order operations with side effects.

    token = lax.create_token()
    token = lax.after_all(token, other)
"""

from __future__ import annotations

from typing import Any

from minijax.base import errors
from minijax.core import Primitive, Token, abstract_token, aval_of, nondifferentiable


def create_token(_: Any = None) -> Token:
    """A new token."""
    return create_token_p.bind()


def after_all(*operands: Token) -> Token:
    """A token that comes after all the operands."""
    if any(aval_of(x) is not abstract_token for x in operands):
        raise TypeError(errors.describe("Arguments to after_all must be tokens",
                                        fix="jax.lax.create_token() makes one"))
    return after_all_p.bind(*operands)


create_token_p = Primitive("create_token", shape=lambda: abstract_token, impl=lambda: Token(None))
after_all_p = Primitive("after_all", shape=lambda *tokens: abstract_token,
                        impl=lambda *tokens: Token(None), jvp=nondifferentiable)
