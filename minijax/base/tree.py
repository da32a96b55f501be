"""Trees of containers: take apart, put together, map, and name every leaf by its key path.

Two registries of jaxlib know how to take nodes apart: `registry`, the public one, and
`dispatch_registry`, which the C++ jit uses.  Invariant: what is registered in the first is also
in the second; only types that the user must see as leaves while C++ must not (random keys) are in
the second alone.

    leaves, treedef = flatten({"w": x, "b": [y, None]})
    unflatten(treedef, leaves)
    map(jnp.zeros_like, params)
"""

import builtins
import dataclasses
import functools
import operator
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

from minijax.base import jaxlib
from minijax.base.util import safe_zip

PyTreeDef = jaxlib.PyTreeDef
SequenceKey = jaxlib.pytree.SequenceKey
DictKey = jaxlib.pytree.DictKey
GetAttrKey = jaxlib.pytree.GetAttrKey
FlattenedIndexKey = jaxlib.pytree.FlattenedIndexKey

KeyEntry = TypeVar("KeyEntry", bound=Hashable)
KeyPath = tuple[KeyEntry, ...]
IsLeaf = Callable[..., bool] | None
T = TypeVar("T")

registry = jaxlib.pytree.default_registry()
# Pickled structures name their registry by module and attribute, and find it again there.
registry.__module__ = __name__
registry.__name__ = "registry"
default_registry = registry

dispatch_registry = jaxlib.PyTreeRegistry(
    enable_none=True, enable_tuple=True, enable_namedtuple=True, enable_list=True, enable_dict=True)
dispatch_registry.__module__ = __name__
dispatch_registry.__name__ = "dispatch_registry"

_required = object()


# --- taking apart and putting together ---


def flatten(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[Any], PyTreeDef]:
    """(list of leaves, structure)."""
    return registry.flatten(tree, is_leaf)


def unflatten(treedef: PyTreeDef, leaves: Iterable[Any]) -> Any:
    """The tree of a structure with these leaves; ValueError when their number is wrong."""
    return treedef.unflatten(leaves)


def leaves(tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """The leaves, in order."""
    return registry.flatten(tree, is_leaf)[0]


def structure(tree: Any, is_leaf: IsLeaf = None) -> PyTreeDef:
    """The structure without the leaves."""
    return registry.flatten(tree, is_leaf)[1]


def flatten_with_path(
    tree: Any, is_leaf: IsLeaf = None, is_leaf_takes_path: bool = False
) -> tuple[list[tuple[KeyPath, Any]], PyTreeDef]:
    """(list of (key path, leaf), structure)."""
    predicate = is_leaf
    if is_leaf is not None and not is_leaf_takes_path:
        predicate = lambda path, x: is_leaf(x)  # noqa: E731
    return registry.flatten_with_path(tree, predicate)


def leaves_with_path(tree: Any, is_leaf: IsLeaf = None,
                     is_leaf_takes_path: bool = False) -> list[tuple[KeyPath, Any]]:
    """The leaves with their key paths."""
    return flatten_with_path(tree, is_leaf, is_leaf_takes_path)[0]


def flatten_one_level(tree: Any) -> tuple[Iterable[Any], Hashable]:
    """(children, metadata) of the outermost node; ValueError for a leaf."""
    found = registry.flatten_one_level(tree)
    if found is None:
        raise ValueError(f"can't tree-flatten type: {type(tree)}")
    return found


def flatten_one_level_with_keys(tree: Any) -> tuple[Iterable[tuple[Any, Any]], Hashable]:
    """((key, child) pairs, metadata) of the outermost node; ValueError for a leaf."""
    found = registry.flatten_one_level_with_keys(tree)
    if found is None:
        raise ValueError(f"can't tree-flatten type: {type(tree)}")
    return found


def is_tree_node(typ: type) -> bool:
    """Whether values of this type are nodes (not leaves)."""
    return registry.is_node(typ) or (
        isinstance(typ, type) and issubclass(typ, tuple) and hasattr(typ, "_fields"))


def all_leaves(iterable: Iterable[Any], is_leaf: IsLeaf = None) -> bool:
    """Whether all the elements are leaves."""
    if is_leaf is None:
        return jaxlib.pytree.all_leaves(registry, iterable)
    items = list(iterable)
    found = leaves(items, is_leaf)
    return len(found) == len(items) and builtins.all(a is b for a, b in safe_zip(found, items))


# --- maps and reductions ---


def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf = None) -> Any:
    """The tree of f(leaf, *leaves of the rest); each of the rest has `tree` as a prefix."""
    first, treedef = registry.flatten(tree, is_leaf)
    if not rest:
        return treedef.unflatten([f(x) for x in first])
    columns = [first, *_columns("tree_map tree", treedef, tree, rest, is_leaf)]
    return treedef.unflatten([f(*xs) for xs in zip(*columns, strict=True)])


def map_with_path(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf = None,
                  is_leaf_takes_path: bool = False) -> Any:
    """`map`, with the key path of the leaf as the first argument of f."""
    pairs, treedef = flatten_with_path(tree, is_leaf, is_leaf_takes_path)
    paths = [path for path, _ in pairs]
    first = [leaf for _, leaf in pairs]
    others = _columns("tree_map_with_path tree", treedef, tree, rest, is_leaf)
    return treedef.unflatten([f(*xs) for xs in zip(paths, first, *others, strict=True)])


def _columns(name: str, treedef: PyTreeDef, tree: Any, rest: Sequence[Any],
             is_leaf: IsLeaf) -> list[list[Any]]:
    columns = []
    for other in rest:
        try:
            columns.append(treedef.flatten_up_to(other))
        except ValueError as error:
            for explain in prefix_errors(tree, other, is_leaf):
                raise explain(name) from None
            raise error
    return columns


def reduce(function: Callable[[T, Any], T], tree: Any, initializer: Any = _required,
           is_leaf: IsLeaf = None) -> T:
    """functools.reduce over the leaves."""
    if initializer is _required:
        return functools.reduce(function, leaves(tree, is_leaf))
    return functools.reduce(function, leaves(tree, is_leaf), initializer)


def reduce_associative(operation: Callable[[T, T], T], tree: Any, *, identity: Any = _required,
                       is_leaf: IsLeaf = None) -> T:
    """Combine the leaves in a balanced tree of operations; `identity` is for no leaves at all."""
    items = leaves(tree, is_leaf)
    if not items:
        if identity is _required:
            raise TypeError("Must specify identity for parallel reduction of empty sequence.")
        return identity
    return _halves(operation, items)


def _halves(operation: Callable[[T, T], T], items: list[T]) -> T:
    if len(items) == 1:
        return items[0]
    middle = len(items) // 2
    return operation(_halves(operation, items[:middle]), _halves(operation, items[middle:]))


def all(tree: Any, *, is_leaf: IsLeaf = None) -> bool:
    """Whether all the leaves are true."""
    return builtins.all(leaves(tree, is_leaf))


def transpose(outer_treedef: PyTreeDef, inner_treedef: PyTreeDef | None,
              pytree_to_transpose: Any) -> Any:
    """A tree of trees turned inside out: [{"a": 1}, {"a": 2}] becomes {"a": [1, 2]}.

    With inner_treedef None, the structure of the first subtree is taken.
    """
    items, treedef = flatten(pytree_to_transpose)
    if inner_treedef is None:
        inner_treedef = structure(outer_treedef.flatten_up_to(pytree_to_transpose)[0])
    inner_size, outer_size = inner_treedef.num_leaves, outer_treedef.num_leaves
    if treedef.num_leaves != inner_size * outer_size:  # nodes may hold structures, which differ
        raise TypeError(f"Mismatch\n{treedef}\n != \n{outer_treedef.compose(inner_treedef)}")
    columns = [
        [items[row * inner_size + column] for row in range(outer_size)]
        for column in range(inner_size)]
    return inner_treedef.unflatten([outer_treedef.unflatten(column) for column in columns])


# --- prefixes ---


def broadcast(prefix_tree: Any, full_tree: Any, is_leaf: IsLeaf = None) -> Any:
    """A tree like full_tree whose leaves are those of the prefix, repeated where it is short."""
    return structure(full_tree).unflatten(broadcast_prefix(prefix_tree, full_tree, is_leaf))


def broadcast_prefix(prefix_tree: Any, full_tree: Any, is_leaf: IsLeaf = None,
                     name: str = "broadcast_prefix prefix_tree") -> list[Any]:
    """One leaf of the prefix, where `is_leaf` counts, for each leaf of full_tree."""
    result: list[Any] = []
    found, treedef = flatten(prefix_tree, is_leaf)
    try:
        subtrees = treedef.flatten_up_to(full_tree)
    except ValueError as error:
        for explain in prefix_errors(prefix_tree, full_tree, is_leaf):
            raise explain(name) from None
        raise error
    for leaf, subtree in safe_zip(found, subtrees):
        result.extend([leaf] * structure(subtree).num_leaves)
    return result


def prefix_errors(prefix_tree: Any, full_tree: Any,
                  is_leaf: IsLeaf = None) -> list[Callable[[str], ValueError]]:
    """The places where prefix_tree is no prefix of full_tree, each a function name -> error."""
    found = list(_mismatches((), prefix_tree, full_tree, is_leaf))
    return [functools.partial(_mismatch_error, prefix_tree, full_tree, *one) for one in found]


def prefix_mismatches(name: str, prefix_tree: Any, full_tree: Any, is_leaf: IsLeaf = None) -> str:
    """The text of an error: where the tree `name` is no prefix of the value."""
    found = [str(explain(name)) for explain in prefix_errors(prefix_tree, full_tree, is_leaf)]
    return (f"{name} specification must be a tree prefix of the corresponding value; \n"
            f"  Mismatch details ({len(found)} found):\n  " + "\n  ".join(found))


def _mismatch_error(prefix_tree: Any, full_tree: Any, path: KeyPath, kind: str, because: str,
                    name: str) -> ValueError:
    return ValueError(
        f"pytree structure error: {kind} at key path\n    {name}{keystr(path)}\n"
        f"  because there {because}\n"
        f"  first structure: {structure(prefix_tree)}\n"
        f"  other structure: {structure(full_tree)}")


def _mismatches(path: KeyPath, prefix: Any, full: Any, is_leaf: IsLeaf) -> Iterable[tuple]:
    if is_leaf is not None and is_leaf(prefix):
        return
    if prefix is not None and not is_tree_node(type(prefix)):
        return
    if type(prefix) is not type(full):
        because = (
            f"the first tree has a {type(prefix).__name__} ({prefix!r:.60}), "
            f"the other has a {type(full).__name__} ({full!r:.60})")
        yield path, "different types", because
        return
    if prefix is None:
        return
    pairs, data = flatten_one_level_with_keys(prefix)
    other_pairs, other_data = flatten_one_level_with_keys(full)
    pairs, other_pairs = list(pairs), list(other_pairs)
    if len(pairs) != len(other_pairs):
        because = (
            f"the first tree has length {len(pairs)} (keys {_keys(pairs)}), "
            f"the other has length {len(other_pairs)} (keys {_keys(other_pairs)})")
        yield path, f"different lengths of {type(prefix).__name__}", because
        return
    if data != other_data:
        because = f"the first tree has {data!r}, the other has {other_data!r}"
        yield path, "different pytree metadata", because
        return
    for (key, child), (_, other) in safe_zip(pairs, other_pairs):
        yield from _mismatches((*path, key), child, other, is_leaf)


def _keys(pairs: list[tuple[Any, Any]]) -> str:
    return " ".join(str(key) for key, _ in pairs) or "none"


def describe_difference(first: PyTreeDef, other: PyTreeDef) -> str:
    """Where two structures differ, in one line with the key path, or the two structures."""
    a = first.unflatten([0] * first.num_leaves)
    b = other.unflatten([0] * other.num_leaves)
    for explain in prefix_errors(a, b) or prefix_errors(b, a):
        return str(explain(""))
    return f"{first} != {other}"


# --- structures ---


def treedef_tuple(treedefs: Iterable[PyTreeDef]) -> PyTreeDef:
    """The structure of a tuple of trees with these structures."""
    return jaxlib.pytree.treedef_tuple(registry, list(treedefs))


def treedef_children(treedef: PyTreeDef) -> list[PyTreeDef]:
    """The structures of the children of the outermost node."""
    return treedef.children()


def treedef_is_leaf(treedef: PyTreeDef) -> bool:
    """Whether this is the structure of a single leaf."""
    return treedef.num_nodes == 1 and treedef.num_leaves == 1


def keystr(keys: KeyPath, *, simple: bool = False, separator: str = "") -> str:
    """A key path as text: `['w'][0].x`, or, simple with separator "/", `w/0/x`."""
    to_text = _simple_key if simple else str
    return separator.join([to_text(key) for key in keys])


def _simple_key(key: Any) -> str:
    if isinstance(key, (DictKey, FlattenedIndexKey)):
        return str(key.key)
    if isinstance(key, SequenceKey):
        return str(key.idx)
    if isinstance(key, GetAttrKey):
        return key.name
    return str(key)


# --- registering ---


def register_pytree_node(
    nodetype: type[T],
    flatten_func: Callable[[T], tuple[Iterable[Any], Hashable]],
    unflatten_func: Callable[[Any, Any], T],
    flatten_with_keys_func: Callable[[T], tuple[Iterable[Any], Hashable]] | None = None,
) -> None:
    """Make a type a node: flatten_func(x) -> (children, metadata), and the way back."""
    for one in (registry, dispatch_registry):
        one.register_node(nodetype, flatten_func, unflatten_func, flatten_with_keys_func)


def register_dispatch_node(nodetype: type[T],
                           flatten_func: Callable[[T], tuple[Iterable[Any], Hashable]],
                           unflatten_func: Callable[[Any, Any], T]) -> None:
    """Make a type a node for the C++ jit only; for the user it stays a leaf."""
    dispatch_registry.register_node(nodetype, flatten_func, unflatten_func)


def register_pytree_node_class(cls: type[T]) -> type[T]:
    """Class decorator: a node by its methods tree_flatten and (class) tree_unflatten."""
    register_pytree_node(cls, operator.methodcaller("tree_flatten"), cls.tree_unflatten)
    return cls


def register_pytree_with_keys(
    nodetype: type[T],
    flatten_with_keys: Callable[[T], tuple[Iterable[tuple[Any, Any]], Hashable]],
    unflatten_func: Callable[[Any, Any], T],
    flatten_func: Callable[[T], tuple[Iterable[Any], Hashable]] | None = None,
) -> None:
    """Make a type a node whose children have keys: flatten_with_keys(x) -> (pairs, metadata)."""

    def without_keys(x: T) -> tuple[Iterable[Any], Hashable]:
        pairs, metadata = flatten_with_keys(x)
        return [child for _, child in pairs], metadata

    register_pytree_node(nodetype, flatten_func or without_keys, unflatten_func, flatten_with_keys)


def register_pytree_with_keys_class(cls: type[T]) -> type[T]:
    """Class decorator: a node by tree_flatten_with_keys and (class) tree_unflatten."""
    plain = operator.methodcaller("tree_flatten") if hasattr(cls, "tree_flatten") else None
    keyed = operator.methodcaller("tree_flatten_with_keys")
    register_pytree_with_keys(cls, keyed, cls.tree_unflatten, plain)
    return cls


def register_dataclass(nodetype: type[T], data_fields: Sequence[str] | None = None,
                       meta_fields: Sequence[str] | None = None,
                       drop_fields: Sequence[str] = ()) -> type[T]:
    """Make a dataclass a node: data fields are children, meta fields are static metadata.

    Without field lists, fields made by `static()` (metadata {"static": True}) are the meta ones.
    """
    if data_fields is None or meta_fields is None:
        data_fields, meta_fields = _dataclass_fields(nodetype, data_fields, meta_fields)
        data_fields = [name for name in data_fields if name not in drop_fields]
        meta_fields = [name for name in meta_fields if name not in drop_fields]
    elif dataclasses.is_dataclass(nodetype):
        _check_fields(nodetype, {*data_fields, *meta_fields}, set(drop_fields))
    _check_apart(data_fields, meta_fields)
    for one in (registry, dispatch_registry):
        one.register_dataclass_node(nodetype, list(data_fields), list(meta_fields))
    return nodetype


def _dataclass_fields(nodetype: type, data_fields: Sequence[str] | None,
                      meta_fields: Sequence[str] | None) -> tuple[list[str], list[str]]:
    if data_fields is not None or meta_fields is not None:
        raise TypeError(
            "register_dataclass: data_fields and meta_fields must both be specified when either "
            f"is specified. Got {data_fields=} {meta_fields=}.")
    if not dataclasses.is_dataclass(nodetype):
        raise TypeError(
            "register_dataclass: data_fields and meta_fields are required when nodetype is not a "
            f"dataclass. Got {nodetype=}.")
    fields = [field for field in dataclasses.fields(nodetype) if field.init]
    data = [field.name for field in fields if not field.metadata.get("static", False)]
    meta = [field.name for field in fields if field.metadata.get("static", False)]
    return data, meta


def _check_apart(data_fields: Sequence[str], meta_fields: Sequence[str]) -> None:
    both = set(data_fields) & set(meta_fields)
    if both:
        raise ValueError(
            f"data_fields and meta_fields must not overlap. Overlapping fields: {both}.")


def _check_fields(nodetype: type, given: set[str], dropped: set[str]) -> None:
    every = {field.name for field in dataclasses.fields(nodetype) if field.init} - dropped
    what = "data_fields and meta_fields must include all dataclass fields with ``init=True`` and "
    if given - every:
        raise ValueError(f"{what}only them. Unexpected fields: {given - every}.")
    if every - given:
        raise ValueError(
            f"{what}only them. Missing fields: {every - given}. "
            "Add them to drop_fields to suppress this error.")


def register_static(cls: type[T]) -> type[T]:
    """Class decorator: a node without children; the object itself is static metadata."""
    register_pytree_node(cls, lambda x: ((), x), lambda x, _: x, lambda x: ((), x))
    return cls


def static(**kwargs: Any) -> Any:
    """dataclasses.field for a field that `register_dataclass` takes as static metadata."""
    metadata = {"static": True, **(kwargs.pop("metadata", None) or {})}
    return dataclasses.field(metadata=metadata, **kwargs)


class _Opaque:
    """A partial that functools.partial must not look into: it would merge the two."""

    def __init__(self, fun: functools.partial):
        self.fun = fun
        self.func, self.args, self.keywords = fun.func, fun.args, fun.keywords

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.fun(*args, **kwargs)

    def __hash__(self) -> int:
        return hash(self.fun)

    def __eq__(self, other: object) -> bool:
        return self.fun == (other.fun if isinstance(other, _Opaque) else other)

    def __repr__(self) -> str:
        return repr(self.fun)


class Partial(functools.partial):
    """functools.partial as a node: the bound arguments are children, the function is static."""

    def __new__(cls, func: Callable[..., Any], *args: Any, **kw: Any) -> "Partial":
        if isinstance(func, functools.partial):
            opaque = _Opaque(func)
            functools.update_wrapper(opaque, func)
            return super().__new__(cls, opaque, *args, **kw)
        return super().__new__(cls, func, *args, **kw)


register_pytree_node(
    Partial, lambda partial: ((partial.args, partial.keywords), partial.func),
    lambda func, bound: Partial(func, *bound[0], **bound[1]))
register_pytree_node(
    OrderedDict, lambda x: (tuple(x.values()), tuple(x)),
    lambda keys, values: OrderedDict(safe_zip(keys, list(values))),
    lambda x: (tuple((DictKey(key), value) for key, value in x.items()), tuple(x)))


def _flatten_defaultdict(x: defaultdict) -> tuple[tuple[Any, ...], tuple]:
    keys = tuple(sorted(x))
    return tuple(x[key] for key in keys), (x.default_factory, keys)


def _flatten_defaultdict_with_keys(x: defaultdict) -> tuple[tuple[Any, ...], tuple]:
    values, data = _flatten_defaultdict(x)
    return tuple((DictKey(key), value) for key, value in safe_zip(data[1], values)), data


register_pytree_node(
    defaultdict, _flatten_defaultdict,
    lambda data, values: defaultdict(data[0], safe_zip(data[1], list(values))),
    _flatten_defaultdict_with_keys)
