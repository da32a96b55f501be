"""Samples of the operations on random keys, given and taken as words."""

import numpy as np

from minijax.random.keys import key_dtype, random_unwrap_p, random_wrap_p

from .sample import Sample, Samples

_THREEFRY = key_dtype("threefry2x32")._impl
_WORDS = np.array([[1, 2], [3, 4], [0, 2 ** 32 - 1]], np.uint32)
_SCALARS = tuple(np.array(v, np.uint32) for v in ([1, 2, 3], [4, 5, 6], [7, 8, 9], [0, 1, 2]))


def _wrap(words):
    return random_wrap_p.bind(words, impl=_THREEFRY)


def _of_words(bind):
    """Typed keys in."""
    return lambda words, *rest: bind(_wrap(words), *rest)


def _keys_as_words(bind):
    """Typed keys in and out."""
    return lambda words, *rest: [random_unwrap_p.bind(k) for k in bind(_wrap(words), *rest)]


def _to_words(bind):
    """Typed keys out."""
    return lambda *args: [random_unwrap_p.bind(k) for k in bind(*args)]


SAMPLES: Samples = {
    "threefry2x32": [Sample(_SCALARS, dtypes=("u",))],
    "philox2x32": [Sample(_SCALARS[:3], dtypes=("u",))],
    "philox4x32": [Sample(_SCALARS + _SCALARS[:2], dtypes=("u",))],
    "threefry4x32": [Sample(_SCALARS + _SCALARS, dtypes=("u",))],
    "random_clone": [Sample((_WORDS,), dtypes=("u",), around=_keys_as_words)],
    "random_gamma": [Sample((_WORDS, np.array([0.5, 1.5, 20.0])), dict(log_space=log_space),
                            grad=False, around=_of_words,
                            reason="the derivative is at a fixed probability of lesser values")
                     for log_space in (False, True)],
    "random_seed": [Sample((np.array([5, -1, 2 ** 31 - 1], np.int32),), dict(impl=_THREEFRY),
                           dtypes=("i",), around=_to_words)],
    "random_wrap": [Sample((_WORDS,), dict(impl=_THREEFRY), dtypes=("u",), around=_to_words)],
    "random_unwrap": [Sample((_WORDS,), dtypes=("u",), around=_of_words)],
    "random_split": [Sample((_WORDS,), dict(shape=shape), dtypes=("u",), around=_keys_as_words)
                     for shape in ((2,), (2, 3))],
    "random_fold_in": [Sample((_WORDS, np.array([0, 1, 2 ** 31], np.uint32)), dtypes=("u",),
                              around=_keys_as_words)],
    "random_bits": [Sample((_WORDS,), dict(bit_width=width, shape=(4,)), dtypes=("u",),
                           around=_of_words) for width in (8, 16, 32, 64)],
}
