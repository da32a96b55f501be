"""Rotations of space as unit quaternions (x, y, z, w), `scipy.spatial.transform`.

Invariant: `Rotation.quat` [4] or [n, 4] has length 1; both classes are named tuples, so trees.

    Rotation.from_euler("zyx", angles, degrees=True).apply(vectors)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minijax import numpy as jnp, random
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.runtime.call import fused

__all__ = ["Rotation", "Slerp"]


class Rotation(NamedTuple):
    """One rotation, or a row of them."""

    quat: Any

    @classmethod
    def concatenate(cls, rotations: Sequence["Rotation"]) -> "Rotation":
        """The rotations one after the other."""
        return cls(jnp.concatenate([jnp.atleast_2d(r.quat) for r in rotations]))

    @classmethod
    def from_euler(cls, seq: str, angles: Any, degrees: bool = False) -> "Rotation":
        """Turns about axes: "xyz" about fixed axes, "XYZ" about those of the turned body."""
        axes = _axes(seq)
        angles = jnp.asarray(angles)
        angles = _radians(angles) if degrees else angles
        if angles.ndim == 0:
            angles = angles[None]
        if angles.ndim == 1 and len(axes) == 1:
            quat = _about(axes[0], angles) if angles.shape[0] > 1 else _about(axes[0], angles[0])
            return cls(quat)
        parts = [_about(axis, angles[..., i]) for i, axis in enumerate(axes)]
        total = parts[0]
        for part in parts[1:]:
            total = _product(total, part) if seq.isupper() else _product(part, total)
        return cls(_unit(total))

    @classmethod
    def from_matrix(cls, matrix: Any) -> "Rotation":
        """From orthogonal matrices [3, 3] or [n, 3, 3]."""
        return cls(_from_matrix(jnp.asarray(matrix)))

    @classmethod
    def from_mrp(cls, mrp: Any) -> "Rotation":
        """From modified Rodrigues parameters: the axis times tan(angle / 4)."""
        mrp = jnp.asarray(mrp)
        square = jnp.sum(mrp * mrp, axis=-1, keepdims=True)
        return cls(jnp.concatenate([2 * mrp, 1 - square], axis=-1) / (1 + square))

    @classmethod
    def from_quat(cls, quat: Any) -> "Rotation":
        """From quaternions (x, y, z, w) of any length but 0."""
        return cls(_unit(jnp.asarray(quat)))

    @classmethod
    def from_rotvec(cls, rotvec: Any, degrees: bool = False) -> "Rotation":
        """From the axis times the angle."""
        rotvec = jnp.asarray(rotvec)
        return cls(_from_rotvec(_radians(rotvec) if degrees else rotvec))

    @classmethod
    def identity(cls, num: int | None = None, dtype: Any = float) -> "Rotation":
        """No rotation, or `num` of them."""
        one = jnp.asarray([0.0, 0.0, 0.0, 1.0], dtype)
        return cls(one if num is None else jnp.tile(one, (num, 1)))

    @classmethod
    def random(cls, random_key: Any, num: int | None = None) -> "Rotation":
        """Uniformly distributed rotations."""
        shape = (4,) if num is None else (num, 4)
        return cls.from_quat(random.normal(random_key, shape))

    def __getitem__(self, indexer: Any) -> "Rotation":
        if self.single:
            raise TypeError("Single rotation is not subscriptable.")
        return Rotation(self.quat[indexer])

    def __len__(self) -> int:
        if self.single:
            raise TypeError("Single rotation has no len().")
        return self.quat.shape[0]

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator["Rotation"]:
        return iter([self[i] for i in range(len(self))])

    def __mul__(self, other: "Rotation") -> "Rotation":
        return Rotation.from_quat(_product(self.quat, other.quat))

    def apply(self, vectors: Any, inverse: bool = False) -> Array:
        """The rotated vectors [3] or [n, 3]."""
        return _apply(self.as_matrix(), jnp.asarray(vectors), bool(inverse))

    def as_euler(self, seq: str, degrees: bool = False) -> Array:
        """The three angles about the axes of `seq`; the last is 0 where they are not unique."""
        angles = _as_euler(self.quat, _axes(seq), seq.isupper())
        return angles * (180 / math.pi) if degrees else angles

    def as_matrix(self) -> Array:
        """The orthogonal matrices."""
        return _as_matrix(self.quat)

    def as_mrp(self) -> Array:
        """Modified Rodrigues parameters of length at most 1."""
        return _as_mrp(self.quat)

    def as_rotvec(self, degrees: bool = False) -> Array:
        """The axis times the angle, which is at most pi."""
        rotvec = _as_rotvec(self.quat)
        return rotvec * (180 / math.pi) if degrees else rotvec

    def as_quat(self, canonical: bool = False, scalar_first: bool = False) -> Array:
        """The quaternions; `canonical` ones have w > 0, or if w is 0 a positive first number."""
        quat = _canonical(self.quat) if canonical else self.quat
        return jnp.roll(quat, 1, axis=-1) if scalar_first else quat

    def inv(self) -> "Rotation":
        """The rotations back."""
        return Rotation(self.quat * np.array([-1, -1, -1, 1], self.quat.dtype).reshape(
            (1,) * (self.quat.ndim - 1) + (4,)))

    def magnitude(self) -> Array:
        """The angles, from 0 to pi."""
        return _magnitude(self.quat)

    def mean(self, weights: Any = None) -> "Rotation":
        """The rotation whose weighted squared distances to these add up to least."""
        quat = jnp.atleast_2d(self.quat)
        weights = jnp.ones(quat.shape[0], quat.dtype) if weights is None else jnp.asarray(weights)
        if weights.ndim != 1 or weights.shape[0] != quat.shape[0]:
            raise ValueError(errors.describe(
                "Expected `weights` to be 1 dimensional with one entry per rotation, got shape "
                f"{tuple(weights.shape)}.", fix="jnp.ones(len(rotations))"))
        spread = (quat * weights.astype(quat.dtype)[:, None]).T @ quat
        return Rotation.from_quat(jnp.linalg.eigh(spread)[1][:, -1])

    @property
    def single(self) -> bool:
        """Whether this is one rotation rather than a row."""
        return self.quat.ndim == 1


class Slerp(NamedTuple):
    """Spherical linear interpolation between rotations at ascending times."""

    times: Any
    timedelta: Any
    rotations: Rotation
    rotvecs: Any

    @classmethod
    def init(cls, times: Any, rotations: Rotation) -> "Slerp":
        """Between rotations [n] at times [n]."""
        if not isinstance(rotations, Rotation):
            raise TypeError("`rotations` must be a `Rotation` instance.")
        if rotations.single or len(rotations) < 2:
            raise ValueError("`rotations` must be a sequence of at least 2 rotations.")
        times = jnp.asarray(times, rotations.quat.dtype)
        if times.ndim != 1:
            raise ValueError("Expected times to be specified in a 1 dimensional array, got "
                             f"{times.ndim} dimensions.")
        if times.shape[0] != len(rotations):
            raise ValueError("Expected number of rotations to be equal to number of timestamps "
                             f"given, got {len(rotations)} rotations and {times.shape[0]} "
                             "timestamps.")
        quat = rotations.quat
        first, last = Rotation(quat[:-1]), Rotation(quat[1:])
        return cls(times, jnp.diff(times), first, (first.inv() * last).as_rotvec())

    def __call__(self, times: Any) -> Rotation:
        """The rotations at the given times."""
        times = jnp.asarray(times, self.times.dtype)
        if times.ndim > 1:
            raise ValueError("`times` must be at most 1-dimensional.")
        cell = jnp.clip(jnp.searchsorted(self.times, times) - 1, 0, self.timedelta.shape[0] - 1)
        share = (times - self.times[cell]) / self.timedelta[cell]
        step = Rotation.from_rotvec(self.rotvecs[cell] * share[..., None])
        return Rotation(self.rotations.quat[cell]) * step


# --- Quaternions -------------------------------------------------------------------------------


def _axes(seq: str) -> tuple[int, ...]:
    if not 1 <= len(seq) <= 3 or set(seq.lower()) - set("xyz") or not (
            seq.isupper() or seq.islower()):
        raise ValueError(errors.describe(
            "Expected axes from `seq` to be from ['x', 'y', 'z'] or ['X', 'Y', 'Z'], got "
            f"{seq}", fix="seq='xyz'"))
    axes = tuple("xyz".index(c) for c in seq.lower())
    if any(a == b for a, b in zip(axes, axes[1:])):
        raise ValueError(f"Expected consecutive axes to be different, got {seq}")
    return axes


def _radians(x: Any) -> Any:
    return x * (math.pi / 180)


def _about(axis: int, angle: Any) -> Any:
    """The quaternions of turns about a coordinate axis."""
    zero = jnp.zeros_like(angle)
    parts = [zero, zero, zero, jnp.cos(angle / 2)]
    parts[axis] = jnp.sin(angle / 2)
    return jnp.stack(parts, axis=-1)


@fused
def _unit(quat: Any) -> Any:
    return quat / jnp.linalg.norm(quat, axis=-1, keepdims=True)


@fused
def _product(p: Any, q: Any) -> Any:
    """The rotation q followed by p."""
    p, q = jnp.broadcast_arrays(p, q)
    a, b = p[..., :3], q[..., :3]
    s, t = p[..., 3:], q[..., 3:]
    vector = s * b + t * a + jnp.cross(a, b)
    return jnp.concatenate([vector, s * t - jnp.sum(a * b, axis=-1, keepdims=True)], axis=-1)


def _canonical(quat: Any) -> Any:
    x, y, z, w = [quat[..., i] for i in range(4)]
    flip = (w < 0) | ((w == 0) & ((x < 0) | ((x == 0) & ((y < 0) | ((y == 0) & (z < 0))))))
    return jnp.where(flip[..., None], -quat, quat)


@fused
def _as_matrix(quat: Any) -> Any:
    x, y, z, w = [quat[..., i] for i in range(4)]
    rows = [[x * x - y * y - z * z + w * w, 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), y * y - x * x - z * z + w * w, 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), z * z - x * x - y * y + w * w]]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


@fused
def _from_matrix(m: Any) -> Any:
    """Shepperd's method: divide by the largest of the four numbers."""
    diagonal = jnp.stack([m[..., i, i] for i in range(3)], axis=-1)
    trace = jnp.sum(diagonal, axis=-1, keepdims=True)
    sizes = jnp.concatenate([diagonal, trace], axis=-1)
    choices = []
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        parts = [None] * 4
        parts[i] = 1 - trace[..., 0] + 2 * m[..., i, i]
        parts[j] = m[..., j, i] + m[..., i, j]
        parts[k] = m[..., k, i] + m[..., i, k]
        parts[3] = m[..., k, j] - m[..., j, k]
        choices.append(jnp.stack(parts, axis=-1))
    choices.append(jnp.stack([m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0],
                              m[..., 1, 0] - m[..., 0, 1], 1 + trace[..., 0]], axis=-1))
    best = jnp.argmax(sizes, axis=-1)[..., None, None]
    stacked = jnp.stack(choices, axis=-2)
    return _unit(jnp.take_along_axis(stacked, best, axis=-2)[..., 0, :])


@fused
def _from_rotvec(rotvec: Any) -> Any:
    square = jnp.sum(rotvec * rotvec, axis=-1, keepdims=True)
    small = square < 1e-6
    angle = jnp.sqrt(jnp.where(small, 1, square))
    factor = jnp.where(small, 0.5 - square / 48 + square * square / 3840,
                       jnp.sin(angle / 2) / angle)
    cosine = jnp.where(small, 1 - square / 8 + square * square / 384, jnp.cos(angle / 2))
    return jnp.concatenate([factor * rotvec, cosine], axis=-1)


@fused
def _as_rotvec(quat: Any) -> Any:
    quat = _canonical(quat)
    vector, w = quat[..., :3], quat[..., 3:]
    square = jnp.sum(vector * vector, axis=-1, keepdims=True)
    small = square < 1e-6
    length = jnp.sqrt(jnp.where(small, 1, square))
    ratio = square / (w * w)
    # 2 atan(t) / t by its series in t = length / w
    series = 2 / w * (1 - ratio / 3 + ratio * ratio / 5)
    return vector * jnp.where(small, series, 2 * jnp.arctan2(length, w) / length)


@fused
def _as_mrp(quat: Any) -> Any:
    sign = jnp.where(quat[..., 3:] < 0, -1, 1).astype(quat.dtype)
    return quat[..., :3] / (sign + quat[..., 3:])


@fused
def _magnitude(quat: Any) -> Any:
    return 2 * jnp.arctan2(jnp.linalg.norm(quat[..., :3], axis=-1), jnp.abs(quat[..., 3]))


@fused(static_argnums=2)
def _apply(matrix: Any, vectors: Any, inverse: bool) -> Any:
    matrix = jnp.swapaxes(matrix, -1, -2) if inverse else matrix
    return jnp.einsum("...ij,...j->...i", matrix.astype(vectors.dtype), vectors)


@fused(static_argnums=(1, 2))
def _as_euler(quat: Any, axes: tuple[int, ...], intrinsic: bool) -> Any:
    """E. Bernardes, S. Viollet, Quaternion to Euler angles conversion, PLoS ONE 17 (2022)."""
    if len(axes) != 3:
        raise ValueError(f"Expected 3 axes, got {len(axes)}.")
    i, j, k = axes[::-1] if intrinsic else axes
    symmetric = i == k
    k = 3 - i - j if symmetric else k
    sign = (i - j) * (j - k) * (k - i) // 2
    a, b, c, d = quat[..., 3], quat[..., i], quat[..., j], quat[..., k] * sign
    if not symmetric:
        a, b, c, d = a - c, b + d, c + a, d - b
    middle = 2 * jnp.arctan2(jnp.hypot(c, d), jnp.hypot(a, b))
    half_sum, half_difference = jnp.arctan2(b, a), jnp.arctan2(d, c)
    none = jnp.abs(middle) <= 1e-7
    turned = jnp.abs(middle - math.pi) <= 1e-7
    first, last = half_sum - half_difference, half_sum + half_difference
    if intrinsic:
        last = jnp.where(none, 2 * half_sum, jnp.where(turned, 2 * half_difference, last))
        first = jnp.where(none | turned, 0, first)
    else:
        first = jnp.where(none, 2 * half_sum, jnp.where(turned, -2 * half_difference, first))
        last = jnp.where(none | turned, 0, last)
    if not symmetric:
        last, middle = last * sign, middle - math.pi / 2
    ordered = [last, middle, first] if intrinsic else [first, middle, last]
    angles = jnp.stack(ordered, axis=-1)
    return angles - 2 * math.pi * jnp.round(angles / (2 * math.pi))
