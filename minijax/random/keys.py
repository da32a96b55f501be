"""Random keys: their dtype, arrays of them, and the operations on keys.

A typed key is an element of an array of dtype `key<fry>`, which hides the words it is made of; a
raw key is a plain uint32 array with those words in its last axis. Functions accept both and give
back what they got. `passes/physicalize.py` turns typed into raw just before lowering.

    >>> key, subkey = split(jax.random.key(0))
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minijax import core, lax
from minijax.api.jit import jit
from minijax.base import config, dtypes, errors, tree
from minijax.base.jaxlib import Array, ArrayImpl, NamedSharding
from minijax.core import (Primitive, ShapedArray, Tracer, aval_of, nondifferentiable, register_aval,
                          resplit, sharding_of, with_sharding)
from minijax.numpy import methods
from minijax.random import ciphers, rbg, threefry
from minijax.runtime.array import Shard
from minijax.runtime.place import as_array, asarray_const

__all__ = ["PRNGKey", "clone", "fold_in", "key", "key_data", "key_dtype", "key_impl", "split",
           "wrap_key_data"]


class PRNGImpl(NamedTuple):
    """A generator: functions of one key's words, an array of shape `key_shape`."""

    key_shape: tuple[int, ...]
    seed: Callable[..., Any]
    split: Callable[..., Any]
    random_bits: Callable[..., Any]
    fold_in: Callable[..., Any]
    name: str = "<unnamed>"
    tag: str = "?"

    def __str__(self) -> str:
        return self.tag


_IMPLS: dict[str, PRNGImpl] = {}
_DTYPES: dict[PRNGImpl, "KeyDType"] = {}


def register_impl(impl: PRNGImpl) -> None:
    """Make a generator known by its name."""
    if impl.name in _IMPLS:
        raise ValueError(errors.describe(f"PRNG with name {impl.name} already registered: {impl}",
                                         fix="choose another name"))
    _IMPLS[impl.name] = impl


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
        """Keys whose words are 0."""
        return self.full(shape, 0)

    def full(self, shape: tuple[int, ...], value: Any) -> Any:
        """The key `value`, or keys all of whose words are the number `value`."""
        if not is_typed(value):
            words = np.full((*shape, *self.word_shape), value, self.word_dtype)
            return random_wrap_p.bind(words, impl=self._impl)
        own = aval_of(value).shape
        return lax.broadcast_in_dim(value, shape, tuple(range(len(shape) - len(own), len(shape))))

    def __eq__(self, other: object) -> bool:
        return type(other) is KeyDType and self._impl is other._impl

    def __hash__(self) -> int:
        return hash((KeyDType, self._impl.name))

    def __reduce__(self) -> tuple:
        return key_dtype, (self._impl.name,)


def dtype_of_impl(impl: PRNGImpl) -> KeyDType:
    """The one dtype of the keys of a generator."""
    found = _DTYPES.get(impl)
    if found is None:
        found = _DTYPES[impl] = KeyDType(impl)
    return found


def key_dtype(impl_spec: Any = None) -> KeyDType:
    """The dtype of the keys of a generator, given by name (default: the configured one)."""
    return dtype_of_impl(_resolve_impl(impl_spec))


_AVALS: dict[tuple, ShapedArray] = {}  # by generator and shape of the words, for eager calls


def _make_aval(impl: PRNGImpl, shape: tuple[int, ...]) -> ShapedArray:
    """The type of the keys whose words have this shape."""
    aval = ShapedArray(shape[:len(shape) - len(impl.key_shape)], dtype_of_impl(impl))
    if len(_AVALS) < 4096:
        _AVALS[impl, shape] = aval
    return aval


def _of_keys(sharding: Any, ndim: int) -> Any:
    """How the keys are split whose words are split so."""
    if isinstance(sharding, NamedSharding) and len(sharding.spec) > ndim:
        return resplit(sharding, sharding.spec.partitions[:ndim])
    return sharding


class PRNGKeyArray(Array):
    """An array of random keys; `jax.random.key_data` shows the words."""

    __slots__ = ("_impl", "_base_array", "aval", "_consumed", "__weakref__")
    __hash__ = None

    def __init__(self, impl: PRNGImpl, words: Any):
        self._consumed = False  # with jax_debug_key_reuse: which keys have been drawn from
        self._impl = impl
        self._base_array = words
        aval = _AVALS.get((impl, words.shape))
        aval = _make_aval(impl, words.shape) if aval is None else aval
        split = sharding_of(getattr(words, "aval", None))
        self.aval = aval if split is None else with_sharding(
            aval, resplit(split, split.spec.partitions[:aval.ndim]))

    shape = property(operator.attrgetter("aval.shape"))
    dtype = property(operator.attrgetter("aval.dtype"))
    ndim = property(operator.attrgetter("aval.ndim"))
    size = property(operator.attrgetter("aval.size"))
    weak_type = False
    sharding = property(lambda self: _of_keys(self._base_array.sharding, self.ndim))
    committed = property(operator.attrgetter("_base_array.committed"))
    _committed = committed
    device = property(operator.attrgetter("_base_array.device"))
    is_fully_addressable = property(operator.attrgetter("_base_array.is_fully_addressable"))
    is_fully_replicated = property(operator.attrgetter("_base_array.is_fully_replicated"))
    addressable_shards = property(lambda self: self._shards(self._base_array.addressable_shards))
    global_shards = property(lambda self: self._shards(self._base_array.global_shards))

    def _shards(self, shards: Sequence[Any]) -> list[Any]:
        sharding = self._base_array.sharding
        return [Shard(shard.device, sharding, self._base_array.shape,
                      None if shard.data is None else PRNGKeyArray(self._impl, shard.data))
                for shard in shards]

    def unsafe_buffer_pointer(self) -> int:
        return self._base_array.unsafe_buffer_pointer()

    def on_device_size_in_bytes(self) -> int:
        return self._base_array.on_device_size_in_bytes()

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

    def __bool__(self) -> bool:
        raise TypeError(errors.describe("key array cannot be converted to boolean.",
                                        fix="jax.random.bernoulli(key)"))

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

for _impl in (
        PRNGImpl((1,), *ciphers.philox2x32.functions, "philox2x32", "phx2"),
        PRNGImpl((2,), *ciphers.philox4x32.functions, "philox4x32", "phx4"),
        PRNGImpl((2,), threefry.seed, threefry.split, threefry.random_bits, threefry.fold_in,
                 "threefry2x32", "fry"),
        PRNGImpl((4,), rbg.seed, rbg.split, rbg.random_bits, rbg.fold_in, "rbg", "rbg"),
        PRNGImpl((4,), rbg.seed, rbg.unsafe_split, rbg.random_bits, rbg.unsafe_fold_in,
                 "unsafe_rbg", "urbg"),
        PRNGImpl((4,), *ciphers.threefry4x32.functions, "threefry4x32", "fry4")):
    register_impl(_impl)

# --- Primitives --------------------------------------------------------------------------------


def _front(primitive: Primitive) -> Any:
    """The `vmap` rule of an operation that already works on arrays of keys: keys in front."""
    def vmap(axis: Any, args: Sequence[Any], dims: Sequence[Any], **params: Any) -> tuple:
        args = [core.materialize(x, d, axis.size) for x, d in zip(args, dims)]
        return primitive.bind(*args, **params), 0
    return vmap


def _per_key(fun: Callable, words: Any, words_ndim: int = 1) -> Any:
    """Apply a function of one key's words to every key of an array of them."""
    shape = aval_of(words).shape
    for size in reversed(shape[:len(shape) - words_ndim]):
        fun = _mapped(fun, size, [size])
    return fun(words)


def _mapped(fun: Callable, size: int, sizes: Sequence[int | None]) -> Callable:
    """`fun` mapped over the first axis, of which some operands have size 1, or None of it."""
    def mapped(*args: Any) -> Any:
        args = [lax.index_in_dim(x, 0, keepdims=False) if n == 1 != size else x
                for x, n in zip(args, sizes)]
        outs, dims = core.batch(lambda *xs: [fun(*xs)], core.AxisData(None, size), args,
                                [0 if n == size else None for n in sizes])
        return core.materialize(outs[0], dims[0], size)
    return mapped


def _seed_shape(seeds: ShapedArray, *, impl: PRNGImpl) -> ShapedArray:
    return ShapedArray(seeds.shape, dtype_of_impl(impl))


random_seed_p = Primitive(
    "random_seed", shape=_seed_shape, jvp=nondifferentiable,
    physical=lambda avals, seeds, *, impl: _per_key(impl.seed, seeds, words_ndim=0))


def _split_shape(keys: ShapedArray, *, shape: tuple[int, ...]) -> ShapedArray:
    return keys.update(shape=(*keys.shape, *shape))


def _split_words(avals: Sequence[ShapedArray], words: Any, *, shape: tuple[int, ...]) -> Any:
    impl = avals[0].dtype._impl
    return _per_key(lambda w: impl.split(w, shape), words)


random_split_p = Primitive("random_split", shape=_split_shape, jvp=nondifferentiable,
                           physical=_split_words)


def _fold_in_vmap(axis: Any, args: Sequence[Any], dims: Sequence[Any]) -> tuple:
    """Batched operands with the axis in front; those that are not stay as they are."""
    rank = max(aval_of(x).ndim - (d is not None) for x, d in zip(args, dims))
    args = [x if d is None else _with_rank(core.move_axis(x, d, 0), rank + 1)
            for x, d in zip(args, dims)]
    return random_fold_in_p.bind(*args), 0


def _with_rank(x: Any, rank: int) -> Any:
    """`x` with axes of size 1 after its first one."""
    missing = rank - aval_of(x).ndim
    return lax.expand_dims(x, tuple(range(1, 1 + missing))) if missing else x


def _fold_in_words(avals: Sequence[ShapedArray], words: Any, data: Any) -> Any:
    """One key and one integer at a time, in nested maps over what each of them has of the axes."""
    shapes = [a.shape for a in avals]
    out_shape = np.broadcast_shapes(*shapes)
    fun = avals[0].dtype._impl.fold_in
    for i in range(1, len(out_shape) + 1):
        sizes = [shape[-i] if len(shape) >= i else None for shape in shapes]
        fun = _mapped(fun, out_shape[-i], sizes)
    return fun(words, data)


def _fold_in_shape(keys: ShapedArray, data: ShapedArray) -> ShapedArray:
    return keys.update(shape=np.broadcast_shapes(keys.shape, data.shape))


random_fold_in_p = Primitive("random_fold_in", shape=_fold_in_shape, jvp=nondifferentiable,
                             physical=_fold_in_words)


def _bits_shape(keys: ShapedArray, *, bit_width: int, shape: tuple[int, ...]) -> ShapedArray:
    return ShapedArray((*keys.shape, *shape), threefry.UINT[bit_width])


def _bits_of_words(avals: Sequence[ShapedArray], words: Any, *, bit_width: int,
                   shape: tuple[int, ...]) -> Any:
    impl = avals[0].dtype._impl
    return _per_key(lambda w: impl.random_bits(w, bit_width, shape), words)


random_bits_p = Primitive("random_bits", shape=_bits_shape, jvp=nondifferentiable,
                          physical=_bits_of_words)


def _wrap_shape(words: ShapedArray, *, impl: PRNGImpl) -> ShapedArray:
    return ShapedArray(words.shape[:words.ndim - len(impl.key_shape)], dtype_of_impl(impl))


def _wrap(words: Any, *, impl: PRNGImpl) -> PRNGKeyArray:
    if isinstance(words, Tracer):
        raise errors.UnexpectedTracerError(words)
    return PRNGKeyArray(impl, as_array(words))


random_wrap_p = Primitive(
    "random_wrap", shape=_wrap_shape, jvp=nondifferentiable, impl=_wrap,
    physical=lambda avals, words, *, impl: words)

random_unwrap_p = Primitive(
    "random_unwrap", jvp=nondifferentiable,
    shape=lambda keys: ShapedArray((*keys.shape, *keys.dtype.word_shape), keys.dtype.word_dtype),
    physical=lambda avals, words: words, impl=lambda keys: keys._base_array)

random_clone_p = Primitive("random_clone", shape=lambda keys: keys, jvp=nondifferentiable,
                           physical=lambda avals, words: words,
                           impl=lambda keys: PRNGKeyArray(keys._impl, keys._base_array))

for _primitive in (random_seed_p, random_split_p, random_fold_in_p, random_bits_p, random_wrap_p,
                   random_unwrap_p, random_clone_p):
    _primitive.vmap = _front(_primitive)
random_fold_in_p.vmap = _fold_in_vmap

lax.eq_p.physical = lambda avals, x, y: lax.reduce_and(lax.eq(x, y), (aval_of(x).ndim - 1,))
lax.ne_p.physical = lambda avals, x, y: lax.reduce_or(lax.ne(x, y), (aval_of(x).ndim - 1,))

# --- Making keys -------------------------------------------------------------------------------


def _resolve_impl(spec: Any) -> PRNGImpl:
    """The generator that a name, a dtype of keys or a generator stands for."""
    if spec is None:
        return _IMPLS[config.default_prng_impl.value]
    if isinstance(spec, KeyDType):
        return spec._impl
    if isinstance(spec, PRNGImpl):
        return spec
    if not isinstance(spec, str):
        raise TypeError(errors.describe(
            f"unrecognized type {type(spec)} for specifying PRNG implementation.",
            fix="impl='threefry2x32'"))
    if spec not in _IMPLS:
        known = ", ".join(f'"{name}"' for name in _IMPLS)
        raise ValueError(errors.describe(
            f'unrecognized PRNG implementation "{spec}". Did you mean one of: {known}?',
            fix="jax.random.key(0, impl='threefry2x32')"))
    return _IMPLS[spec]


def _impl_or_dtype(name: str, impl: Any, dtype: Any) -> PRNGImpl:
    if dtype is not None and impl is not None:
        raise ValueError(errors.describe(
            f"Cannot specify both `impl` and `dtype` arguments to jax.random.{name}",
            fix="dtype=jax.random.key_dtype(impl)"))
    return _resolve_impl(impl if dtype is None else dtype)


def _seed(name: str, value: Any, impl: PRNGImpl) -> Any:
    """A typed key from an integer; without compiling anything when the integer is known."""
    if is_typed(value):
        raise TypeError(errors.describe(
            f"{name} accepts a scalar seed, but was given a PRNG key.",
            fix="jax.random.split(key), or jax.random.fold_in(key, 1)"))
    if isinstance(value, (int, np.integer)):
        words = _host_words(value, impl)
        if words is not None:
            return PRNGKeyArray(impl, words)
        value = _offset(np.int64(value) if isinstance(value, int) else value)
        return random_seed_p.bind(value.astype(aval_of(value).dtype), impl=impl)
    given = aval_of(value)
    if given.shape:
        raise TypeError(errors.describe(
            f"{name} accepts a scalar seed, but was given an array of shape {given.shape} != (). "
            "Use jax.vmap for batching", fix=f"jax.vmap(jax.random.{name})(seeds)"))
    if not dtypes.issubdtype(given.dtype, np.integer):
        raise TypeError(errors.describe(
            f"PRNG key seed must be an integer; got {value!r:.100}", fix="jax.random.key(0)"))
    return random_seed_p.bind(_offset(value), impl=impl)


def _offset(value: Any) -> Any:
    """The seed moved by the option `jax_random_seed_offset`."""
    offset = config.random_seed_offset.value
    if not offset:
        return value
    if isinstance(value, np.integer):
        return np.add(value, np.asarray(offset).astype(value.dtype), dtype=value.dtype)
    return lax.add(value, np.asarray(offset).astype(aval_of(value).dtype)[()])


_HOST_SEEDS = {threefry.seed: 1, rbg.seed: 2}  # how often a key repeats the words of its seed


def _host_words(value: int | np.integer, impl: PRNGImpl) -> Any:
    """The words of the key of a known seed, for generators that need no program to make them."""
    repeats = _HOST_SEEDS.get(impl.seed)
    if not repeats or core.state.trace.staging:
        return None
    value = np.int64(value) if isinstance(value, int) else value
    wide = config.enable_x64.value and value.itemsize == 8
    value = int(_offset(value)) if config.random_seed_offset.value else int(value)
    upper = (value >> 32) & 0xFFFFFFFF if wide else 0
    words = np.array([upper, value & 0xFFFFFFFF] * repeats, np.uint32)
    return asarray_const(words, ShapedArray(words.shape, words.dtype))


def key(seed: int | Array, *, impl: Any = None, dtype: Any = None) -> Array:
    """A typed key from an integer seed.

    impl: the name of a generator ("threefry2x32", "philox4x32", "rbg", ...); dtype: the same, as
    the dtype of its keys.
    """
    return _seed("key", seed, _impl_or_dtype("key", impl, dtype))


def PRNGKey(seed: int | Array, *, impl: Any = None) -> Array:
    """A raw key, a uint32 array of one axis, from an integer seed."""
    impl = _resolve_impl(impl)
    if config.enable_custom_prng.value:
        return _seed("PRNGKey", seed, impl)
    words = _host_words(seed, impl) if type(seed) is int else None
    return random_unwrap_p.bind(_seed("PRNGKey", seed, impl)) if words is None else words


def is_typed(x: Any) -> bool:
    return isinstance(getattr(x, "dtype", None), KeyDType)


def as_key(name: str, keys: Any, batched: bool = False) -> tuple[Any, bool]:
    """The argument of the function `name` as a typed key, and whether it was one.

    Raises TypeError for anything that is not a key, ValueError for an array of several keys.
    """
    if type(keys) is PRNGKeyArray and (batched or not keys.aval.shape):
        return keys, True
    typed = is_typed(keys)
    if not typed:
        impl = _IMPLS[config.default_prng_impl.value]
        if config.legacy_prng_key.value != "allow":
            _wrap(keys, impl)  # raises if they are no keys at all
            _refuse_raw()
        if type(keys) is ArrayImpl and core.state.trace is core.eval_trace and (
                keys.shape == impl.key_shape and keys.dtype == np.uint32):
            return PRNGKeyArray(impl, keys), False
        keys = _wrap(keys, impl)
    if not batched and aval_of(keys).shape:
        shape = aval_of(keys).shape
        shape = shape if typed else shape + impl.key_shape
        raise ValueError(errors.describe(
            f"{name} accepts a single key, but was given a key array of shape {shape} != (). Use "
            "jax.vmap for batching.", fix=f"jax.vmap(lambda k: jax.random.{name}(k, ...))(keys)"))
    return keys, typed


def _refuse_raw() -> None:
    """What the option `jax_legacy_prng_key` asks for when a raw key is used."""
    message = ("Legacy uint32 key array passed as key to jax.random function. Please create keys "
               "using jax.random.key(). If use of a raw key array was intended, set "
               'jax_legacy_prng_key="allow".')
    if config.legacy_prng_key.value == "error":
        raise ValueError(errors.describe(message, fix="jax.random.wrap_key_data(key)"))
    warnings.warn(message, UserWarning, stacklevel=4)


def wrap_key_data(key_bits_array: Any, *, impl: Any = None, dtype: Any = None) -> Array:
    """Typed keys from the uint32 array of their words, which are in the last axis."""
    return _wrap(key_bits_array, _impl_or_dtype("wrap_key_data", impl, dtype))


def _wrap(key_bits_array: Any, impl: PRNGImpl) -> Any:
    if not all(hasattr(key_bits_array, attr) for attr in ("ndim", "shape", "dtype")):
        raise TypeError(errors.describe(
            "JAX encountered invalid PRNG key data: expected key_data to have ndim, shape, and "
            f"dtype attributes. Got {key_bits_array!r:.100}", fix="jax.random.key(0) makes a key"))
    aval = aval_of(key_bits_array)
    words = len(impl.key_shape)
    if aval.ndim < words or aval.shape[aval.ndim - words:] != impl.key_shape:
        raise TypeError(errors.describe(
            "JAX encountered invalid PRNG key data: expected key_data.shape to end with "
            f"{impl.key_shape}; got shape={aval.shape} for impl={impl!r}",
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
    """The name of the generator of the keys, or itself if it is not known by a name."""
    keys, _ = as_key("key_impl", keys, batched=True)
    impl = aval_of(keys).dtype._impl
    return impl.name if _IMPLS.get(impl.name) is impl else impl


def clone(key: Array) -> Array:
    """A copy of the key that may be used again."""
    typed_key, typed = as_key("clone", key, batched=True)
    return _give_back(random_clone_p.bind(typed_key), typed)


def _give_back(keys: Any, typed: bool) -> Any:
    return keys if typed else random_unwrap_p.bind(keys)


def split(key: Array, num: int | tuple[int, ...] = 2) -> Array:
    """An array of `num` new keys, independent of each other and of `key`.

    key: a single key. num: an int or a shape.
    """
    typed_key, typed = as_key("split", key)
    shape = tuple(map(operator.index, num if isinstance(num, (tuple, list)) else (num,)))
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
