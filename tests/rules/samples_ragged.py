"""Samples for minijax/lax/ragged.py, random_bits.py and composite.py."""

import numpy as np

from minijax import lax
from minijax.lax.ragged import RaggedDotDimensionNumbers

from .sample import Sample


def ragged(x, y, sizes, contracting, dims, groups=(), batch=((), ()), **options):
    numbers = RaggedDotDimensionNumbers((contracting, batch), dims, groups)
    params = dict(ragged_dot_dimension_numbers=numbers, precision=None,
                  preferred_element_type=None, group_offset=None, out_sharding=None)
    return Sample((x, y, np.array(sizes, np.int32)), params, **options)


def named_square(bind):
    """A composite traced for the operand's dtype; it has no rules but the call itself."""
    square = lax.composite(lambda x, scale: [lax.mul(x, x), x], name="my.square", version=1)
    return lambda x: square(x, scale=2)


WORDS = np.arange(4, dtype=np.uint32)
RANDOM = dict(grad=False, reason="random bits", dtypes=("u",), maps=False)

SAMPLES = {
    "ragged_dot_general": [
        ragged((7, 3), (2, 3, 4), (2, 4), ((1,), (1,)), (0,), (0,), dtypes=("f", "c", "i", "u", "b")),
        ragged((2, 4, 5, 3), (3, 2, 6, 2), (3, 1), ((3,), (0,)), (2,), (3,), ((0,), (1,))),
        ragged((2, 4, 3), (2, 2, 3, 5), ((1, 3), (2, 1)), ((2,), (2,)), (1,), (0,), ((0,), (1,))),
        ragged((7, 3), (7, 4), (2, 4), ((0,), (0,)), (0,)),
        ragged((2, 3, 5, 4), (5, 2, 3, 2), (3, 1, 1), ((1, 2), (2, 0)), (2,), (), ((0,), (1,))),
        ragged((4, 2, 3), (4, 3, 2), (1, 3), ((2,), (1,)), (0,), (), ((0,), (0,))),
    ],
    "rng_bit_generator": [
        Sample((WORDS,), dict(shape=(2, 3), dtype=np.dtype(np.uint32), out_sharding=None,
                              algorithm=lax.RandomAlgorithm.RNG_DEFAULT), **RANDOM),
        Sample((WORDS,), dict(shape=(5,), dtype=np.dtype(np.uint8), out_sharding=None,
                              algorithm=lax.RandomAlgorithm.RNG_PHILOX), **RANDOM)],
    "rng_uniform": [Sample(((), ()), dict(shape=(2, 3)), runs=False, grad=False,
                           reason="random numbers", dtypes=("f", "i", "u", "c", "b"))],
    "composite": [Sample(((2, 3),), dtypes=("u",), around=named_square, maps=False)],
}
