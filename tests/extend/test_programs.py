"""Programs from outside: interpreters over jaxprs, tracing flat functions, the tracing state."""

import copy

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import api_util, core
from minijax.extend import core as jex
from minijax.extend import linear_util as lu
from minijax.extend import source_info_util
from minijax.extend.core import (ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, jaxpr_as_fun,
                                 primitives, subjaxprs)
from minijax.interpreters import partial_eval as pe

F32 = core.ShapedArray((3,), np.dtype("float32"))
x = np.float32([1, 2, 3])


def interpret(jaxpr, consts, *args):
    """The evaluator that every text on jaxprs begins with."""
    env = dict(zip(jaxpr.constvars, consts))
    env.update(zip(jaxpr.invars, args))

    def read(v):
        return v.val if isinstance(v, Literal) else env[v]

    for eqn in jaxpr.eqns:
        functions, params = eqn.primitive.get_bind_params(eqn.params)
        out = eqn.primitive.bind(*functions, *map(read, eqn.invars), **params)
        env.update(zip(eqn.outvars, out if eqn.primitive.multiple_results else [out]))
    return [read(v) for v in jaxpr.outvars]


def program(x):
    y, ys = jax.lax.scan(lambda c, v: (c + jnp.sin(v), jax.nn.relu(c)), 0.0, x + np.ones(3, "f"))
    return jax.jit(lambda z: z * 2)(y) + jnp.sum(ys), jax.lax.cond(y > 0, jnp.cos, jnp.exp, y)


def test_a_users_evaluator_agrees_under_all_transformations():
    closed = jax.make_jaxpr(program)(x)
    run = lambda x: interpret(closed.jaxpr, closed.consts, x)  # noqa: E731
    wanted = program(x)
    for found in (run(x), jax.jit(run)(x), jaxpr_as_fun(closed)(x),
                  core.eval_jaxpr(closed.jaxpr, closed.consts, x)):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(lambda x: run(x)[0])(x),
                               jax.grad(lambda x: program(x)[0])(x), rtol=1e-6)


def test_programs_can_be_taken_apart_and_put_together():
    closed = jax.make_jaxpr(lambda x: jnp.sin(x) * 2)(x)
    assert isinstance(closed, ClosedJaxpr) and isinstance(closed.jaxpr, Jaxpr)
    sine, times = closed.eqns
    assert isinstance(sine, JaxprEqn) and isinstance(sine.invars[0], Var)
    assert sine.primitive is primitives.sin_p and isinstance(times.invars[1], Literal)
    new = core.gensym()(F32)
    swapped = core.new_jaxpr_eqn(sine.invars, [new], primitives.cos_p, sine.params, sine.effects,
                                 sine.source_info)
    rest = times.replace(invars=[new, times.invars[1]])
    made = ClosedJaxpr(Jaxpr([], closed.jaxpr.invars, closed.jaxpr.outvars, [swapped, rest]), [])
    core.check_jaxpr(made)
    np.testing.assert_allclose(jaxpr_as_fun(made)(x)[0], 2 * np.cos(x), rtol=1e-6)
    again = closed.replace(jaxpr=made.jaxpr.replace(debug_info=closed.jaxpr.debug_info))
    assert again.eqns == [swapped, rest] and again.jaxpr.debug_info is closed.jaxpr.debug_info
    held = jax.make_jaxpr(lambda y: y + x)(x)
    assert held.replace(jaxpr=held.jaxpr).consts == held.consts != []
    inner = jax.make_jaxpr(jax.jit(program))(x)
    assert len(list(subjaxprs(inner))) == 1
    assert list(core.jaxprs_in_params(inner.eqns[0].params)) == list(subjaxprs(inner))


def test_tracing_flat_functions():
    outer = jnp.float32([4, 5, 6])
    jaxpr, avals, consts = pe.trace_to_jaxpr_dynamic(lu.wrap_init(lambda a: [a + outer]), [F32])
    assert avals == [F32] and consts[0] is outer and len(jaxpr.constvars) == len(jaxpr.invars) == 1
    np.testing.assert_array_equal(core.eval_jaxpr(jaxpr, consts, x)[0], x + np.asarray(outer))

    unknown, known = pe.PartialVal.unknown(F32), pe.PartialVal.known(jnp.asarray(x))
    fun = lu.wrap_init(lambda a, b: [a + 2 * b, 3 * b])
    jaxpr, outs, consts = pe.trace_to_jaxpr_nounits(fun, [unknown, known])
    assert [p.is_known() for p in outs] == [False, True] and len(jaxpr.eqns) == 1
    np.testing.assert_array_equal(outs[1].get_known(), 3 * x)
    np.testing.assert_array_equal(core.eval_jaxpr(jaxpr, consts, x)[0], 3 * x)
    jaxpr, outs, _ = pe.trace_to_jaxpr_nounits(fun, [unknown, known], instantiate=True)
    assert len(jaxpr.outvars) == 2

    two = jax.make_jaxpr(lambda a, b: (jnp.sin(a), jnp.cos(b)))(x, x)
    smaller, used = pe.dce_jaxpr(two.jaxpr, [True, False])
    assert used == [True, False] and len(smaller.eqns) == 1


# --- functions with transformations ------------------------------------------------------------


@lu.transformation2
def doubled(f, factor, *args):
    return [factor * x for x in f(*args)]


@lu.transformation_with_aux
def counting(*args):
    out = yield (args[0], *args[1:]), {}
    yield out, len(out)


def test_transformations_of_wrapped_functions():
    fun, count = counting(doubled(lu.wrap_init(lambda a, b: [a, b], {}), 10))
    with pytest.raises(lu.StoreException):
        count()
    assert fun.call_wrapped(1, 2) == [10, 20] and count() == 2
    with pytest.raises(lu.StoreException):
        fun.call_wrapped(1, 2)
    one = lu.transformation_with_aux2(lambda f, store, *a: store.store("kept") or f(*a))
    first, aux1 = one(lu.wrap_init(lambda: 1))
    _, aux2 = one(lu.wrap_init(lambda: 2))
    assert first.call_wrapped() == 1 and lu.merge_linear_aux(aux1, aux2) == (True, "kept")


def test_caching_by_the_function_inside():
    calls = []

    @lu.cache
    def count(fun, key):
        calls.append(key)
        return fun.call_wrapped(key)

    def f(x):
        return x + 1

    assert [count(lu.wrap_init(f), k) for k in (1, 1, 2)] == [2, 2, 3] and calls == [1, 2]
    one, aux1 = api_util.flatten_fun_nokwargs(lu.wrap_init(lambda d: d["a"]),
                                              jax.tree.structure(({"a": 1},)))
    assert one.call_wrapped(5) == [5] and aux1() == jax.tree.structure(1)


def test_api_util():
    tree = jax.tree.structure(((1, [2]), {"k": 3}))
    fun, out_tree = api_util.flatten_fun(lu.wrap_init(lambda a, b, k: {"r": (a, b[0], k)}), tree)
    assert fun.call_wrapped(7, 8, 9) == [7, 8, 9]
    assert out_tree() == jax.tree.structure({"r": (0, 0, 0)})
    part, args = api_util.argnums_partial(lu.wrap_init(lambda a, b, c: (a, b, c)), (2, 0), "xyz")
    assert args == ["x", "z"] and part.call_wrapped(1, 2) == (1, "y", 2)
    with pytest.raises(ValueError, match="Non-hashable static arguments"):
        api_util.argnums_partial(lu.wrap_init(print), 0, (1, []))
    assert api_util.donation_vector((1,), ("k",), tree) == (False, True, True)
    assert api_util.rebase_donate_argnums((2, 3), (0, 1)) == (0, 1)
    with pytest.raises(ValueError, match="cannot intersect"):
        api_util.rebase_donate_argnums((0,), (0,))
    assert api_util.debug_info("jit", lambda a, b: 0, (1, [2, 3]), {}).arg_names == (
        "a", "b[0]", "b[1]")
    assert api_util.flatten_axes("axes", jax.tree.structure({"a": [1, 2], "b": 3}),
                                 {"a": 0, "b": 1}) == [0, 0, 1]


# --- the tracing state -------------------------------------------------------------------------


def test_what_is_being_traced():
    before = core.get_opaque_trace_state()
    seen = []

    def look(x):
        seen.append((core.unsafe_am_i_under_a_jit_DO_NOT_USE(),
                     core.unsafe_am_i_under_a_vmap_DO_NOT_USE(),
                     core.unsafe_get_axis_names_DO_NOT_USE(),
                     core.get_opaque_trace_state() == before))
        return x

    look(1)
    jax.jit(look)(1)
    jax.vmap(look, axis_name="i")(x)
    assert seen == [(False, False, [], True), (True, False, [], False), (False, True, ["i"], False)]
    assert core.get_opaque_trace_state() == before


def test_leaving_a_trace():
    @jax.jit
    def f(x):
        with core.take_current_trace() as trace:
            value = jnp.sin(jnp.float32(1)).item()
            with core.set_current_trace(trace):
                y = x * value
        with core.eval_context():
            assert (jnp.ones(3) * 2).sum() == 6
        return y

    np.testing.assert_allclose(f(x), x * np.sin(np.float32(1)), rtol=1e-6)


def test_a_trace_of_a_library():
    """It names the trace below `parent_trace`, and wraps values in tracers with its tag."""
    class Doubling(jax.core.Trace):
        def __init__(self, parent_trace, tag):
            super().__init__()
            self.parent_trace, self.tag = parent_trace, tag

        def process_primitive(self, primitive, args, params):
            avals = list(map(jax.typeof, args))
            out = primitive.bind_with_trace(self.parent_trace, list(args), avals, params)
            with core.set_current_trace(self.parent_trace):
                return out * 2

    def run(x):
        with core.take_current_trace() as trace:
            with core.set_current_trace(Doubling(trace, core.TraceTag())):
                return jnp.sin(x)

    np.testing.assert_allclose(run(x), 2 * np.sin(x), rtol=1e-6)
    np.testing.assert_allclose(jax.jit(run)(x), 2 * np.sin(x), rtol=1e-6)
    assert core.TraceTag() != core.TraceTag()


def test_calls_shrink():
    def f(x, y):
        return core.call(x, y, subfuns=(lu.wrap_init(lambda a, b: [jnp.sin(a), b * 2]),))

    eqn = jax.make_jaxpr(f)(1.0, 2.0).eqns[0]
    used, smaller = pe.dce_jaxpr_call_rule([False, True], eqn)
    assert used == [False, True]
    assert [e.primitive.name for e in smaller.params["call_jaxpr"].eqns] == ["mul"]
    assert smaller.invars == eqn.invars[1:] and len(smaller.outvars) == 1
    assert pe.dce_jaxpr_closed_call_rule([False, False], eqn) == ([False, False], None)


def test_names_of_a_jaxpr():
    jaxpr = jax.make_jaxpr(jax.jit(lambda x: jnp.sin(x)))(1.0)
    assert jaxpr.jaxpr.debug_info.func_name == "<lambda>"
    assert jaxpr.debug_info.arg_names == ("x",)
    info = jaxpr.debug_info
    copied = core.DebugInfo(info.traced_for, info.func_src_info, info.arg_names, info.result_paths)
    assert copied.traced_for == "jit" and copied.func_name == "<lambda>"
    assert copied._replace(func_src_info="f at train.py:3").func_name == "f"
    for keep in (True, False):
        again = jax.make_jaxpr(lambda x: core.eval_jaxpr(
            jaxpr, jaxpr.consts, x, propagate_source_info=keep))(1.0)
        assert (again.eqns[0].source is jaxpr.eqns[0].source) == keep


def test_values_and_types():
    assert core.concrete_or_error(int, 3.7) == 3
    with pytest.raises(jax.errors.ConcretizationTypeError, match="as a size"):
        jax.jit(lambda n: core.concrete_or_error(int, n, "as a size"))(3)
    assert core.mapped_aval(3, 0, F32).shape == () and core.unmapped_aval(2, 1, F32).shape == (3, 2)
    assert core.primal_dtype_to_tangent_dtype(np.dtype("int32")) == jax.float0
    assert isinstance(F32, core.AbstractValue) and copy.copy(core.abstract_token) is not None


def test_where_operations_come_from():
    def f(x):
        with jax.named_scope("scope"):
            return jnp.sin(x)

    eqn, = jax.make_jaxpr(f)(x).eqns
    assert str(eqn.source_info.name_stack) == "scope"
    assert "test_programs.py" in source_info_util.summarize(eqn.source_info)
    with source_info_util.extend_name_stack("a"), source_info_util.transform_name_stack("vmap"):
        assert str(source_info_util.new_name_stack("b")) == "b"
        eqn, = jax.make_jaxpr(lambda x: jax.lax.sin_p.bind(x, accuracy=None))(x).eqns
    with source_info_util.user_context(eqn.source_info.traceback):
        again, = jax.make_jaxpr(lambda x: jax.lax.cos_p.bind(x, accuracy=None))(x).eqns


def test_calls_are_equations_in_jaxprs_and_calls_elsewhere():
    def call(x):
        return primitives.call_p.bind(x, subfuns=(lu.wrap_init(lambda y: [y * y]),))[0]

    assert call(3.0) == 9
    assert [e.primitive.name for e in jax.make_jaxpr(call)(3.0).eqns] == ["call"]
    np.testing.assert_allclose(jax.jit(jax.vmap(jax.grad(jax.jit(call))))(x), 2 * x)


def test_a_primitive_whose_rules_are_methods_of_its_class():
    class First(core.Primitive):
        """Gives its first operands back."""

        multiple_results = True

        def __init__(self):
            super().__init__("first")

        def impl(self, *args, count):
            return args[:count]

        def abstract_eval(self, *avals, count):
            return avals[:count], set()

    first = First()
    assert [float(x) for x in first.bind(1.0, 2.0, 3.0, count=2)] == [1.0, 2.0]
    jaxpr = jax.make_jaxpr(lambda x, y: first.bind(x, y, count=1))(1.0, jnp.ones(3))
    assert [v.aval.str_short() for v in jaxpr.jaxpr.outvars] == ["f32[]"]


def test_array_types_are_the_classes_of_numpy_values():
    types = jex.array_types
    assert {np.ndarray, np.float32, np.bool_, np.longlong, jnp.bfloat16.dtype.type} <= types
    assert not types & {int, float, complex, bool, str, np.str_, np.object_}
    assert all(jex.valid_jaxtype(kind(0)) for kind in types - {np.ndarray, np.longlong})
