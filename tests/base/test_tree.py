"""Trees: what JAX's tree_util answers, key paths, errors that name the place, pickling."""

import dataclasses
import functools
import pickle
from collections import OrderedDict, defaultdict, namedtuple

import pytest

from minijax import tree as T
from minijax import tree_util as tu
from minijax.base import tree as base

TREE = {"b": [1, (2, None)], "a": 3}
Point = namedtuple("Point", "x y")


def test_flatten_and_back():
    leaves, treedef = tu.tree_flatten(TREE)
    assert leaves == [3, 1, 2]
    assert str(treedef) == "PyTreeDef({'a': *, 'b': [*, (*, None)]})"
    assert tu.tree_unflatten(treedef, leaves) == TREE
    assert tu.tree_leaves(TREE) == leaves and tu.tree_structure(TREE) == treedef
    assert T.leaves(TREE, is_leaf=lambda x: isinstance(x, tuple)) == [3, 1, (2, None)]
    with pytest.raises(ValueError, match="Too few leaves for PyTreeDef; expected 2, got 1"):
        tu.tree_unflatten(tu.tree_structure([1, 2]), [1])


def test_containers_of_the_standard_library():
    ordered = OrderedDict([("b", 1), ("a", 2)])
    assert tu.tree_leaves(ordered) == [1, 2]
    assert list(tu.tree_map(lambda x: x + 1, ordered).items()) == [("b", 2), ("a", 3)]
    default = defaultdict(list, {"b": 1, "a": 2})
    result = tu.tree_map(lambda x: x + 1, default)
    assert result == {"a": 3, "b": 2} and result.default_factory is list
    paths = [path for path, _ in tu.tree_leaves_with_path(default)]
    assert paths == [(tu.DictKey("a"),), (tu.DictKey("b"),)]
    assert tu.tree_map(lambda x: -x, Point(1, [2])) == Point(-1, [-2])


def test_map():
    assert tu.tree_map(lambda x, y: x + y, [1, {"a": 2}], [10, {"a": 20}]) == [11, {"a": 22}]
    assert tu.tree_map(lambda x, y: (x, y), [1, 2], [[1], 2]) == [(1, [1]), (2, 2)]
    assert T.map(lambda x: x, None) is None
    assert T.map_with_path(lambda p, x, y: (tu.keystr(p), x, y), [1], [[2]]) == [("[0]", 1, [2])]


@pytest.mark.parametrize(("tree", "other", "first_line", "path", "because"), [
    ({"a": 1}, {"b": 2}, "different pytree metadata", "tree_map tree", "has ('a',), the other"),
    ([1, 2], [1], "different lengths of list", "tree_map tree", "length 2 (keys [0] [1])"),
    ([1, 2], (1, 2), "different types", "tree_map tree", "has a list ([1, 2]), the other has a tu"),
    ({"a": [1, (2,)]}, {"a": [1, 2]}, "different types", "tree_map tree['a'][1]", "has a tuple"),
    ([1, None], [1, 2], "different types", "tree_map tree[1]", "has a NoneType (None)"),
])
def test_map_of_different_structures(tree, other, first_line, path, because):
    with pytest.raises(ValueError) as error:
        tu.tree_map(lambda x, y: x, tree, other)
    text = str(error.value)
    assert text.startswith(f"pytree structure error: {first_line} at key path\n    {path}\n")
    assert because in text
    assert f"first structure: {tu.tree_structure(tree)}" in text
    assert f"other structure: {tu.tree_structure(other)}" in text


def test_an_error_of_the_node_itself_comes_through():
    class Broken:
        pass

    def flatten(x):
        raise ValueError("cannot flatten Broken")

    tu.register_pytree_node(Broken, flatten, lambda aux, children: Broken())
    with pytest.raises(ValueError, match="cannot flatten Broken"):
        tu.tree_leaves([Broken()])


def test_reductions():
    assert tu.tree_reduce(lambda a, b: a + b, TREE) == 6
    assert tu.tree_reduce(lambda a, b: a + [b], [1, 2], []) == [1, 2]
    with pytest.raises(TypeError, match="empty iterable with no initial value"):
        T.reduce(lambda a, b: a, [])
    pair = lambda a, b: f"({a}{b})"  # noqa: E731
    assert tu.tree_reduce_associative(pair, list("abcde")) == "((ab)(c(de)))"
    assert T.reduce_associative(pair, [], identity=3) == 3
    with pytest.raises(TypeError, match="Must specify identity"):
        T.reduce_associative(pair, [])
    assert tu.tree_all([True, {"a": 1}]) and not T.all([True, 0]) and T.all([])


def test_transpose():
    outer, inner = tu.tree_structure([0, 0]), tu.tree_structure({"a": 0, "b": 0})
    rows = [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    assert tu.tree_transpose(outer, inner, rows) == {"a": [1, 3], "b": [2, 4]}
    assert T.transpose(outer, None, rows) == {"a": [1, 3], "b": [2, 4]}
    with pytest.raises(TypeError, match="Mismatch"):
        tu.tree_transpose(outer, tu.tree_structure([0]), rows)


def test_broadcast():
    assert tu.tree_broadcast([1, 2], [{"a": 1}, (2, 3)]) == [{"a": 1}, (2, 2)]
    assert T.broadcast([None, 1], [None, [2]]) == [None, [1]]
    assert base.broadcast_prefix([1, 2], [{"a": 1}, (2, 3)]) == [1, 2, 2]
    is_list = lambda x: isinstance(x, list)  # where the prefix ends; the full tree has its leaves
    assert T.broadcast((5, 0), ([1, 2], [[3], 4]), is_leaf=is_list) == ([5, 5], [[0], 0])
    found = base.broadcast_prefix((None, 0), ((None, 1), (2, None)), lambda x: x is None)
    assert found == [None, 0]
    with pytest.raises(ValueError, match=r"broadcast_prefix prefix_tree\[1\]"):
        T.broadcast([1, (2,)], [1, [2]])


def test_is_leaf_with_path():
    found = tu.tree_leaves_with_path(
        {"a": [1]}, is_leaf=lambda path, x: len(path) == 1, is_leaf_takes_path=True)
    assert found == [((tu.DictKey("a"),), [1])]
    found, treedef = T.flatten_with_path({"a": [1]}, is_leaf=lambda x: isinstance(x, list))
    assert found == [((tu.DictKey("a"),), [1])] and str(treedef) == "PyTreeDef({'a': *})"


def test_keystr():
    path = (tu.SequenceKey(1), tu.DictKey("a"), tu.GetAttrKey("x"), tu.FlattenedIndexKey(3))
    assert tu.keystr(path) == "[1]['a'].x[<flat index 3>]"
    assert tu.keystr(path, simple=True, separator="/") == "1/a/x/3"
    assert tu.keystr((*path[:1], "foo", 4), simple=True, separator=".") == "1.foo.4"


def test_one_level():
    assert tu.flatten_one_level({"b": 1, "a": [2]}) == (([2], 1), ("a", "b"))
    pairs, _ = tu.flatten_one_level_with_keys({"b": 1})
    assert tuple(pairs) == ((tu.DictKey("b"), 1),)
    with pytest.raises(ValueError, match="can't tree-flatten type: <class 'int'>"):
        tu.flatten_one_level(3)


def test_questions_about_structures():
    assert tu.all_leaves([1, 2]) and not tu.all_leaves([1, [2]])
    pair = tu.treedef_tuple([tu.tree_structure(1), tu.tree_structure([1])])
    assert str(pair) == "PyTreeDef((*, [*]))"
    assert [str(t) for t in tu.treedef_children(pair)] == ["PyTreeDef(*)", "PyTreeDef([*])"]
    assert tu.treedef_is_leaf(tu.tree_structure(1))
    assert not tu.treedef_is_leaf(tu.tree_structure(None))
    answers = [tu.is_tree_node(t) for t in (dict, int, Point, type(None), OrderedDict, [1])]
    assert answers == [True, False, True, True, True, False]


def test_structures_are_hashable_and_picklable():
    treedef = tu.tree_structure([TREE, OrderedDict(a=1), tu.Partial(max, 1)])
    again = pickle.loads(pickle.dumps(treedef))
    assert again == treedef and hash(again) == hash(treedef)
    assert again.unflatten([0] * again.num_leaves)


def test_difference_of_structures():
    text = base.describe_difference(tu.tree_structure([1, (2,)]), tu.tree_structure([1, [2]]))
    assert "[1]" in text and "tuple" in text and "list" in text


class Pair:
    def __init__(self, a, b):
        self.a, self.b = a, b

    def tree_flatten(self):
        return (self.a, self.b), None

    def tree_flatten_with_keys(self):
        return ((tu.GetAttrKey("a"), self.a), (tu.GetAttrKey("b"), self.b)), None

    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*children)


def test_classes_with_methods():
    plain = tu.register_pytree_node_class(type("Plain", (Pair,), {}))
    assert [tu.keystr(p) for p, _ in tu.tree_leaves_with_path(plain(1, [2]))] == [
        "[<flat index 0>]", "[<flat index 1>][0]"]
    keyed = tu.register_pytree_with_keys_class(type("Keyed", (Pair,), {}))
    assert [tu.keystr(p) for p, _ in tu.tree_leaves_with_path(keyed(1, [2]))] == [".a", ".b[0]"]
    assert tu.tree_map(lambda x: x + 1, keyed(1, 2)).b == 3
    for cls in (plain, keyed):
        assert base.dispatch_registry.flatten(cls(1, 2))[0] == [1, 2]
    with pytest.raises(ValueError, match="Duplicate custom PyTreeDef type registration"):
        tu.register_pytree_node_class(plain)


def test_register_with_keys_needs_no_plain_flatten():
    cls = type("Only", (Pair,), {})
    tu.register_pytree_with_keys(
        cls, Pair.tree_flatten_with_keys, lambda aux, children: cls(*children))
    assert tu.tree_leaves(cls(1, 2)) == [1, 2]


def test_dispatch_nodes_are_leaves_for_the_user():
    cls = type("Hidden", (Pair,), {})
    base.register_dispatch_node(cls, lambda x: ((x.a,), x.b), lambda b, a: cls(a[0], b))
    value = cls(1, 2)
    assert tu.tree_leaves([value]) == [value]
    assert base.dispatch_registry.flatten([value])[0] == [1]


def test_dataclasses():
    @tu.register_dataclass
    @dataclasses.dataclass
    class Model:
        w: int
        b: list
        name: str = T.static(default="m")

    found, treedef = tu.tree_flatten_with_path(Model(1, [2], "q"))
    assert [(tu.keystr(p), x) for p, x in found] == [(".w", 1), (".b[0]", 2)]
    assert treedef.unflatten([5, 6]) == Model(5, [6], "q")
    assert base.dispatch_registry.flatten(Model(1, [2]))[0] == [1, 2]
    assert dataclasses.fields(Model)[2].metadata["static"] is True
    with pytest.raises(ValueError, match="Duplicate custom dataclass PyTreeDef type"):
        tu.register_dataclass(Model)


def test_dataclasses_with_field_lists():
    @dataclasses.dataclass
    class Model:
        x: int
        y: int
        z: int = dataclasses.field(init=False, default=3)

    with pytest.raises(ValueError, match=r"Missing fields: \{'y'\}. Add them to drop_fields"):
        tu.register_dataclass(Model, ["x"], [])
    with pytest.raises(ValueError, match=r"Unexpected fields: \{'w'\}"):
        tu.register_dataclass(Model, ["x"], ["y", "w"])
    with pytest.raises(TypeError, match="must both be specified when either is specified"):
        tu.register_dataclass(Model, ["x"])
    with pytest.raises(TypeError, match="required when nodetype is not a dataclass"):
        tu.register_dataclass(int)
    tu.register_dataclass(Model, ["x"], [], drop_fields=["y"])
    assert tu.tree_leaves(Model(1, 2)) == [1]


def test_static_classes():
    @tu.register_static
    @dataclasses.dataclass(frozen=True)
    class Mode:
        name: str

    assert tu.tree_leaves([Mode("a"), 1]) == [1]
    assert tu.tree_map(lambda x: x, Mode("a")) == Mode("a")


def test_partial():
    partial = tu.Partial(divmod, 7)
    assert partial(2) == (3, 1)
    assert tu.tree_leaves(partial) == [7]
    doubled = tu.tree_map(lambda x: 2 * x, partial)
    assert isinstance(doubled, tu.Partial) and doubled(4) == (3, 2)
    nested = tu.Partial(functools.partial(divmod, 9), 2)
    assert nested() == (4, 1) and tu.tree_leaves(nested) == [2]
    assert tu.tree_structure(nested) != tu.tree_structure(partial)
    inner = functools.partial(divmod, 9)
    same = [tu.tree_structure(tu.Partial(inner, x)) for x in (1, 2)]
    assert same[0] == same[1] and hash(same[0]) == hash(same[1])


def test_public_names():
    for module in (T, tu):
        assert module.__all__ == sorted(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)
