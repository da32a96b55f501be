"""Random keys: their dtype, arrays of them, and the operations on keys.

A typed key is an element of an array of dtype `key<fry>`, which hides the words it is made of; a
raw key is a plain uint32 array with those words in its last axis. Functions accept both and give
back what they got. `passes/physicalize.py` turns typed into raw just before lowering.

    >>> key, subkey = split(jax.random.key(0))
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minijax import core, lax
from minijax.api.jit import jit
from minijax.base import config, dtypes, errors, tree
from minijax.base.jaxlib import Array
from minijax.core import Primitive, ShapedArray, aval_of, nondifferentiable, register_aval
from minijax.numpy import methods
from minijax.random import threefry
from minijax.runtime.place import as_array, asarray_const

__all__ = ["PRNGKey", "clone", "fold_in", "key", "key_data", "key_dtype", "key_impl", "split",
           "wrap_key_data"]


class PRNGImpl(NamedTuple):
    """A generator: functions of one key's words."""

    name: str
    tag: str
    key_shape: tuple[int, ...]
    seed: Any
    split: Any
    random_bits: Any
    fold_in: Any

    def __repr__(self) -> str:
        return f"PRNGImpl({self.name})"


threefry_impl = PRNGImpl("threefry2x32", "fry", (2,), threefry.seed, threefry.split,
                         threefry.random_bits, threefry.fold_in)
_IMPLS = {threefry_impl.name: threefry_impl}


class KeyDType(dtypes.ExtendedDType):
    """The dtype `key<tag>` of the keys of one generator."""

    type = dtypes.prng_key
    word_dtype = np.dtype(np.uint32)

    def __init__(self, impl: PRNGImpl):
        self._impl = impl
        self.name = f"key<{impl.tag}>"
        self.word_shape = impl.key_shape
        self.itemsize = 4 * int(np.prod(impl.key_shape))

    def wrap(self, words: Any) -> "PRNGKeyArray":
        """The array of keys made of these words."""
        return PRNGKeyArray(self._impl, words)

    def zeros(self, shape: tuple[int, ...]) -> Any:
        words = np.zeros((*shape, *self.word_shape), self.word_dtype)
        return random_wrap_p.bind(words, impl=self._impl)

    def __eq__(self, other: object) -> bool:
        return type(other) is KeyDType and self._impl is other._impl

    def __hash__(self) -> int:
        return hash((KeyDType, self._impl.name))

    def __reduce__(self) -> tuple:
        return key_dtype, (self._impl.name,)


_DTYPES = {impl.name: KeyDType(impl) for impl in _IMPLS.values()}


def key_dtype(impl: Any = None) -> KeyDType:
    """The dtype of the keys of a generator, given by name (default: the configured one)."""
    return _DTYPES[_resolve_impl(impl).name]


class PRNGKeyArray(Array):
    """An array of random keys; `jax.random.key_data` shows the words."""

    __slots__ = ("_impl", "_base_array", "aval", "__weakref__")
    __hash__ = None

    def __init__(self, impl: PRNGImpl, words: Any):
        self._impl = impl
        self._base_array = words
        shape = words.shape[:len(words.shape) - len(impl.key_shape)]
        self.aval = ShapedArray(shape, _DTYPES[impl.name])

    shape = property(operator.attrgetter("aval.shape"))
    dtype = property(operator.attrgetter("aval.dtype"))
    ndim = property(operator.attrgetter("aval.ndim"))
    size = property(operator.attrgetter("aval.size"))
    weak_type = False
    sharding = property(operator.attrgetter("_base_array.sharding"))
    committed = property(operator.attrgetter("_base_array.committed"))
    _committed = committed
    device = property(operator.attrgetter("_base_array.device"))
    is_fully_addressable = property(operator.attrgetter("_base_array.is_fully_addressable"))

    def devices(self) -> Any:
        return self._base_array.devices()

    def block_until_ready(self) -> "PRNGKeyArray":
        self._base_array.block_until_ready()
        return self

    def copy_to_host_async(self) -> None:
        self._base_array.copy_to_host_async()

    def is_deleted(self) -> bool:
        return self._base_array.is_deleted()

    def delete(self) -> None:
        self._base_array.delete()

    def __len__(self) -> int:
        return len(self.aval)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(errors.describe(
            "JAX array with PRNGKey dtype cannot be converted to a NumPy array. Use "
            "jax.random.key_data(arr) if you wish to extract the underlying integer array.",
            fix="jax.random.key_data(key)"))

    def __reduce__(self) -> tuple:
        return _unpickle, (self._impl.name, self._base_array)

    def __deepcopy__(self, memo: dict) -> "PRNGKeyArray":
        return self.__copy__()

    def __copy__(self) -> "PRNGKeyArray":
        return PRNGKeyArray(self._impl, self._base_array.copy())

    def __repr__(self) -> str:
        return f"Array({self.shape}, dtype={self.dtype.name}) overlaying:\n{self._base_array}"

    __str__ = __repr__


def _unpickle(name: str, words: Any) -> PRNGKeyArray:
    return PRNGKeyArray(_IMPLS[name], words)


methods.attach_bodies(PRNGKeyArray)
PRNGKeyArray.copy = PRNGKeyArray.__copy__
register_aval(PRNGKeyArray, operator.attrgetter("aval"))
tree.register_dispatch_node(PRNGKeyArray, lambda k: ((k._base_array,), k._impl),
                            lambda impl, words: PRNGKeyArray(impl, words[0]))

# --- Primitives --------------------------------------------------------------------------------


def _front(primitive: Primitive) -> Any:
    """The `vmap` rule of an operation that already works on arrays of keys: keys in front."""
    def vmap(axis: Any, args: Sequence[Any], dims: Sequence[Any], **params: Any) -> tuple:
        args = [core.materialize(x, d, axis.size) for x, d in zip(args, dims)]
        return primitive.bind(*args, **params), 0
    return vmap


def _per_key(fun: Any, words: Any, *rest: Any, words_ndim: int = 1) -> Any:
    """Apply a function of one key's words to every key of an array of them."""
    lead = aval_of(words).ndim - words_ndim
    for _ in range(lead):
        fun = _mapped(fun)
    return fun(words, *rest)


def _mapped(fun: Any) -> Any:
    def mapped(*args: Any) -> Any:
        size = aval_of(args[0]).shape[0]
        outs, dims = core.batch(lambda *xs: [fun(*xs)], core.AxisData(None, size), args,
                                [0] * len(args))
        return core.materialize(outs[0], dims[0], size)
    return mapped


def _seed_shape(seeds: ShapedArray, *, impl: PRNGImpl) -> ShapedArray:
    return ShapedArray(seeds.shape, _DTYPES[impl.name])


random_seed_p = Primitive(
    "random_seed", shape=_seed_shape, jvp=nondifferentiable,
    physical=lambda seeds, *, impl: _per_key(impl.seed, seeds, words_ndim=0))


def _split_shape(keys: ShapedArray, *, shape: tuple[int, ...]) -> ShapedArray:
    return keys.update(shape=(*keys.shape, *shape))


random_split_p = Primitive(
    "random_split", shape=_split_shape, jvp=nondifferentiable,
    physical=lambda words, *, shape: _per_key(
        lambda w: threefry_impl.split(w, shape), words))


def _fold_in_shape(keys: ShapedArray, data: ShapedArray) -> ShapedArray:
    return keys.update(shape=np.broadcast_shapes(keys.shape, data.shape))


random_fold_in_p = Primitive(
    "random_fold_in", shape=_fold_in_shape, jvp=nondifferentiable,
    physical=lambda words, data: _per_key(threefry_impl.fold_in, words, data))


def _bits_shape(keys: ShapedArray, *, bit_width: int, shape: tuple[int, ...]) -> ShapedArray:
    return ShapedArray((*keys.shape, *shape), threefry.UINT[bit_width])


random_bits_p = Primitive(
    "random_bits", shape=_bits_shape, jvp=nondifferentiable,
    physical=lambda words, *, bit_width, shape: _per_key(
        lambda w: threefry_impl.random_bits(w, bit_width, shape), words))


def _wrap_shape(words: ShapedArray, *, impl: PRNGImpl) -> ShapedArray:
    return ShapedArray(words.shape[:words.ndim - len(impl.key_shape)], _DTYPES[impl.name])


random_wrap_p = Primitive(
    "random_wrap", shape=_wrap_shape, jvp=nondifferentiable,
    physical=lambda words, *, impl: words,
    impl=lambda words, *, impl: PRNGKeyArray(impl, as_array(words)))

random_unwrap_p = Primitive(
    "random_unwrap", jvp=nondifferentiable,
    shape=lambda keys: ShapedArray((*keys.shape, *keys.dtype.word_shape), keys.dtype.word_dtype),
    physical=lambda words: words, impl=lambda keys: keys._base_array)

for _primitive in (random_seed_p, random_split_p, random_fold_in_p, random_bits_p, random_wrap_p,
                   random_unwrap_p):
    _primitive.vmap = _front(_primitive)

lax.eq_p.physical = lambda x, y: lax.reduce_and(lax.eq(x, y), (aval_of(x).ndim - 1,))
lax.ne_p.physical = lambda x, y: lax.reduce_or(lax.ne(x, y), (aval_of(x).ndim - 1,))

# --- Making keys -------------------------------------------------------------------------------


def _resolve_impl(impl: Any) -> PRNGImpl:
    if impl is None:
        impl = config.config.jax_default_prng_impl
    if isinstance(impl, KeyDType):
        return impl._impl
    if isinstance(impl, PRNGImpl):
        return impl
    if impl not in _IMPLS:
        known = ", ".join(f'"{name}"' for name in _IMPLS)
        raise ValueError(errors.describe(
            f'unrecognized PRNG implementation "{impl}". Did you mean one of: {known}?',
            fix="jax.random.key(0, impl='threefry2x32')"))
    return _IMPLS[impl]


def _seed(name: str, value: Any, impl: Any) -> Any:
    """A typed key from an integer; without compiling anything when the integer is known."""
    impl = _resolve_impl(impl)
    if not dtypes.issubdtype(aval_of(value).dtype, np.integer):
        raise TypeError(errors.describe(
            f"PRNG key seed must be an integer; got {value!r:.100}", fix="jax.random.key(0)"))
    if aval_of(value).shape:
        raise TypeError(errors.describe(
            f"{name} accepts a scalar seed, but was given an array of shape "
            f"{aval_of(value).shape} != (). Use jax.vmap for batching",
            fix=f"jax.vmap(jax.random.{name})(seeds)"))
    if isinstance(value, (int, np.integer)) and not core.state.trace.staging:
        wide = int(value) & 0xFFFFFFFFFFFFFFFF
        upper = wide >> 32 if aval_of(np.int64(0)).dtype.itemsize == 8 else 0
        words = np.array([upper, wide & 0xFFFFFFFF], np.uint32)
        return PRNGKeyArray(impl, asarray_const(words, ShapedArray((2,), words.dtype)))
    if isinstance(value, int):
        value = np.int64(value & 0xFFFFFFFFFFFFFFFF if value >= 2 ** 63 else value).astype(
            aval_of(np.int64(0)).dtype)
    return random_seed_p.bind(value, impl=impl)


def key(seed: int | Array, *, impl: Any = None) -> Array:
    """A typed key from an integer seed."""
    return _seed("key", seed, impl)


def PRNGKey(seed: int | Array, *, impl: Any = None) -> Array:
    """A raw key, a uint32 array of shape (2,), from an integer seed."""
    return random_unwrap_p.bind(_seed("PRNGKey", seed, impl))


def is_typed(x: Any) -> bool:
    return isinstance(getattr(x, "dtype", None), KeyDType)


def as_key(name: str, keys: Any, batched: bool = False) -> tuple[Any, bool]:
    """The argument of the function `name` as a typed key, and whether it was one.

    Raises TypeError for anything that is not a key, ValueError for an array of several keys.
    """
    typed = is_typed(keys)
    if not typed:
        keys = wrap_key_data(keys, name=name)
    if not batched and aval_of(keys).shape:
        shape = aval_of(keys).shape if typed else (*aval_of(keys).shape, 2)
        raise ValueError(errors.describe(
            f"{name} accepts a single key, but was given a key array of shape {shape} != (). Use "
            "jax.vmap for batching.", fix=f"jax.vmap(lambda k: jax.random.{name}(k, ...))(keys)"))
    return keys, typed


def wrap_key_data(key_bits_array: Any, *, impl: Any = None, name: str = "") -> Array:
    """Typed keys from the uint32 array of their words, which are in the last axis."""
    impl = _resolve_impl(impl)
    if not all(hasattr(key_bits_array, attr) for attr in ("ndim", "shape", "dtype")):
        raise TypeError(errors.describe(
            "JAX encountered invalid PRNG key data: expected key_data to have ndim, shape, and "
            f"dtype attributes. Got {key_bits_array!r:.100}", fix="jax.random.key(0) makes a key"))
    aval = aval_of(key_bits_array)
    words = len(impl.key_shape)
    if aval.ndim < words or aval.shape[aval.ndim - words:] != impl.key_shape:
        raise TypeError(errors.describe(
            "JAX encountered invalid PRNG key data: expected key_data.shape to end with "
            f"{impl.key_shape}; got shape={aval.shape} for impl={impl}",
            fix="jax.random.key(0) makes a key"))
    if aval.dtype != np.uint32:
        raise TypeError(errors.describe(
            "JAX encountered invalid PRNG key data: expected key_data.dtype = uint32; got "
            f"dtype={aval.dtype}", fix="jax.random.key(0) makes a key"))
    return random_wrap_p.bind(key_bits_array, impl=impl)


def key_data(keys: Array) -> Array:
    """The words of keys, as a uint32 array; raw keys as they are."""
    keys, _ = as_key("key_data", keys, batched=True)
    return random_unwrap_p.bind(keys)


def key_impl(keys: Array) -> Any:
    """The name of the generator of the keys."""
    keys, _ = as_key("key_impl", keys, batched=True)
    return aval_of(keys).dtype._impl.name


def clone(key: Array) -> Array:
    """A copy of the key that may be used again."""
    return key


def _give_back(keys: Any, typed: bool) -> Any:
    return keys if typed else random_unwrap_p.bind(keys)


def split(key: Array, num: int | tuple[int, ...] = 2) -> Array:
    """An array of `num` new keys, independent of each other and of `key`.

    key: a single key. num: an int or a shape.
    """
    typed_key, typed = as_key("split", key)
    shape = tuple(operator.index(n) for n in num) if isinstance(num, tuple) else (
        operator.index(num),)
    return _give_back(_split(typed_key, shape), typed)


def fold_in(key: Array, data: int | Array) -> Array:
    """A new key determined by `key` and the integer `data` (taken modulo 2**32)."""
    typed_key, typed = as_key("fold_in", key)
    if aval_of(data).shape:
        raise TypeError(errors.describe(
            f"fold_in accepts a scalar, but was given an array of shape {aval_of(data).shape} != "
            "(). Use jax.vmap for batching.",
            fix="jax.vmap(jax.random.fold_in, (None, 0))(key, data)"))
    if isinstance(data, int):
        data = np.uint32(data)
    return _give_back(_fold_in(typed_key, data), typed)


def _fold_in_body(key: Any, data: Any) -> Any:
    return random_fold_in_p.bind(key, core.convert_element_type(data, np.dtype(np.uint32)))


def _split_body(key: Any, shape: tuple[int, ...]) -> Any:
    return random_split_p.bind(key, shape=shape)


_split = jit(_split_body, static_argnums=1, inline=True)
_fold_in = jit(_fold_in_body, inline=True)


def bits_of(key: Any, bit_width: int, shape: tuple[int, ...]) -> Any:
    """Random unsigned integers from a typed key."""
    return random_bits_p.bind(key, bit_width=bit_width, shape=shape)
