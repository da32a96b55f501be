"""Iterative solutions of linear systems, `scipy.sparse`."""

from minijax.scipy.sparse import linalg

__all__ = ["linalg"]
