"""Libraries that compiled programs call: registered with XLA when a program first needs them.

Invariant: a program that names a LAPACK target is never run before the kernels are loaded, because
that would crash the process.
"""

import functools
from typing import Any

import numpy as np

from minijax.base import errors, jaxlib

_GPU_LIBRARIES = ("gpu_solver", "gpu_linalg", "gpu_sparse", "gpu_prng")


def prepare(code: bytes) -> None:
    """Make the targets known that a program (MLIR bytecode) calls on the CPU."""
    if b"lapack_" in code or b"tridiagonal_solve_perturbed" in code:
        _prepare_lapack()
    if b"cpu_csr_sparse" in code:
        _prepare_sparse()


@functools.cache
def _prepare_lapack() -> None:
    lapack = jaxlib.load("lapack")
    _register(lapack.registrations()["cpu"], "cpu")
    for name in lapack.batch_partitionable_targets():
        jaxlib._jax.register_custom_call_as_batch_partitionable(name)
    try:
        lapack.prepare_lapack_call("potrf_ffi", np.dtype(np.float32))  # finds SciPy's kernels
    except ImportError as error:
        raise ImportError(errors.describe(
            "Linear algebra on the CPU needs SciPy, whose LAPACK it calls.",
            because=str(error), fix="pip install scipy")) from error


@functools.cache
def _prepare_sparse() -> None:
    _register(jaxlib.load("cpu_sparse").registrations()["cpu"], "cpu")


@functools.cache
def prepare_gpu(platform: str) -> None:
    """Register the solvers of a GPU plugin ("CUDA" or "ROCM"), once there is such a device."""
    for library in _GPU_LIBRARIES:
        _register(jaxlib.load(library).registrations().get(platform, ()), platform)


def _register(targets: Any, platform: str) -> None:
    for name, function, version in targets:
        jaxlib.xc.register_custom_call_target(
            name, function, platform=platform, api_version=version)
