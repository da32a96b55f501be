"""Functions of SciPy on our arrays, by SciPy's module names."""

from minijax.scipy import linalg, special, stats

__all__ = ["linalg", "special", "stats"]
