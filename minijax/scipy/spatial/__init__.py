"""Rotations in space, `scipy.spatial`."""

from minijax.scipy.spatial import transform

__all__ = ["transform"]
