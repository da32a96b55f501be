"""Numerical integration, `scipy.integrate`."""

from minijax.numpy import trapezoid

__all__ = ["trapezoid"]
