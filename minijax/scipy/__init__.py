"""Functions of SciPy on our arrays, by SciPy's module names."""

from minijax.scipy import special

__all__ = ["special"]
