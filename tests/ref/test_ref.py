"""References: in place without jit, in programs, loops and branches, under transformations."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax

x3 = np.float32([0.5, 1.5, 2.5])


def values(x):
    """The same steps as in `cells`, on values."""
    x = jnp.asarray(x)
    r = x.at[0].set(jnp.sin(x[0]))
    r = r.at[1:].add(r[:2])
    y, z = r[1], r.at[0].add(3.0)
    r = x * 2
    return (r * y * z).sum() + r[0]


def cells(x):
    ref = jax.new_ref(x)
    ref[0] = jnp.sin(ref[0])
    ref[1:] += ref[:2]
    y = ref[1]
    jax.ref.addupdate(ref, 0, 3.0)
    z = jax.ref.swap(ref, slice(None), x * 2)
    return (ref[...] * y * z).sum() + jax.freeze(ref)[0]


TRANSFORMS = {
    "itself": lambda f: f, "jit": jax.jit, "grad": jax.grad,
    "jit of grad": lambda f: jax.jit(jax.grad(f)), "grad of jit": lambda f: jax.grad(jax.jit(f)),
    "jacfwd": jax.jacfwd, "hessian": jax.hessian,
    "grad of checkpoint": lambda f: jax.grad(jax.checkpoint(f)),
    "vmap": jax.vmap, "jit of vmap": lambda f: jax.jit(jax.vmap(f)),
    "vmap of grad": lambda f: jax.vmap(jax.grad(f)), "vmap of jit": lambda f: jax.vmap(jax.jit(f)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_references_inside_of_a_function_are_as_good_as_values(name):
    x = np.stack([x3, x3 + 1]) if "vmap" in name else x3
    transform = TRANSFORMS[name]
    np.testing.assert_allclose(transform(cells)(x), transform(values)(x), rtol=2e-6)


def test_methods_of_traced_references():
    def f(x):
        ref = jax.new_ref(x)
        ref.set(5, 1)
        part = ref.at[2:]
        part.addupdate(10)
        return ref.swap(ref.get() * 2), ref.get(0), part.swap(0, 0), part.get()

    for got, expected in zip(jax.jit(f)(jnp.arange(4)), ([0, 5, 12, 13], 0, 24, [0, 26])):
        np.testing.assert_array_equal(got, expected)
    assert not any(hasattr(x, name) for x in (jnp.arange(4), jax.new_ref(1.0))
                   for name in ("get", "set", "swap"))
    with pytest.raises(AttributeError, match="no attribute 'swap'"):
        jax.jit(lambda x: x.swap(1))(1.0)


def test_reading_and_writing_without_jit():
    ref = jax.new_ref(jnp.arange(6.0).reshape(2, 3))
    assert (ref.shape, ref.dtype, ref.ndim, ref.size, len(ref)) == ((2, 3), np.float32, 2, 6, 2)
    ref[0, 1] = 10
    ref[1] *= 2
    ref[:, jnp.array([0, 2])] += 1
    assert ref[...].tolist() == [[1, 10, 3], [7, 8, 11]]
    part = ref.at[1].at[1:]
    jax.ref.set(part, ..., 0)
    jax.ref.addupdate(part, 0, 5)
    assert jax.ref.get(part).tolist() == [5, 0] and jax.ref.swap(ref, (0, 0), -1).item() == 1
    assert repr(ref).startswith("Ref([[-1., 10.,  3.],")
    assert isinstance(ref, jax.Ref) and repr(jax.typeof(ref)) == "Ref{float32[2,3]}"


def test_arrays_that_went_in_or_came_out_do_not_change():
    x = jnp.zeros(3)
    ref = jax.new_ref(x)
    before = ref[...]
    ref[...] = 1
    jax.jit(lambda r: r.__setitem__(0, 5.0))(ref)
    assert x.tolist() == before.tolist() == [0, 0, 0] and ref[...].tolist() == [5, 1, 1]


def test_references_as_arguments_and_in_closures_of_jit():
    ref, other = jax.new_ref(jnp.zeros(3)), jax.new_ref(jnp.ones(2))

    @jax.jit
    def f(r, y):
        r[0] += y
        other[...] *= 2
        return r[0] + other[1]

    assert f(ref, 2.0) == 4 and f(ref, 3.0) == 9
    assert ref[...].tolist() == [5, 0, 0] and other[...].tolist() == [4, 4]
    assert jax.jit(f)(ref, 1.0) == 14
    jaxpr = jax.make_jaxpr(f)(ref, 1.0)
    assert {repr(e) for e in jaxpr.effects} == {"Read", "Write"}
    assert "Ref{f32[3]}" in str(jaxpr)


def test_ahead_of_time():
    ref = jax.new_ref(jnp.zeros(2))
    inside = jax.jit(lambda: ref.__setitem__(0, ref[0] + 1)).lower().compile()
    inside()
    inside()
    given = jax.jit(lambda r, y: (r.__setitem__(1, y), r[0])[1]).lower(ref, 1.0).compile()
    assert given(ref, 7.0) == 2 and ref[...].tolist() == [2, 7]


# --- control flow ------------------------------------------------------------------------------


def program(x):
    ref = jax.new_ref(jnp.zeros(3))
    lax.fori_loop(0, 3, lambda i, _: ref.__setitem__(i, x * i), None)
    lax.cond(x > 0, lambda: ref.__setitem__(0, x * 10), lambda: jax.ref.addupdate(ref, 1, 1.0))

    def body(c, i):
        ref[i] += c
        return c * 2, ref[0]

    c, ys = lax.scan(body, x, jnp.arange(3))
    return c + ys.sum() + jnp.sum(ref[...] ** 2)


def program_on_values(x):
    r = jnp.arange(3.0) * x
    r = jnp.where(x > 0, r.at[0].set(x * 10), r.at[1].add(1.0))
    c, ys = x, []
    for i in range(3):
        r = r.at[i].add(c)
        c = c * 2
        ys.append(r[0])
    return c + sum(ys) + jnp.sum(r ** 2)


@pytest.mark.parametrize("wrap", [
    lambda f: f, jax.jit, jax.grad, lambda f: jax.jit(jax.grad(f)), lambda f: jax.grad(jax.jit(f)),
    jax.hessian], ids=["itself", "jit", "grad", "jit-grad", "grad-jit", "hessian"])
def test_loops_and_branches(wrap):
    for x in (1.5, -0.5):
        np.testing.assert_allclose(wrap(program)(x), wrap(program_on_values)(x), rtol=1e-6)


def test_loops_and_branches_under_vmap():
    xs = jnp.float32([1.5, 0.5])
    def f(x):  # the predicate must not be mapped
        ref = jax.new_ref(jnp.zeros(2))
        lax.while_loop(lambda i: i < 2, lambda i: (ref.__setitem__(i, x + i), i + 1)[1], 0)
        return ref[...]
    np.testing.assert_allclose(jax.vmap(f)(xs), [[1.5, 2.5], [0.5, 1.5]])
    np.testing.assert_allclose(jax.jit(jax.vmap(f))(xs), [[1.5, 2.5], [0.5, 1.5]])


def test_a_predicate_that_reads_what_the_body_writes():
    @jax.jit
    def f(n):
        ref, twin = jax.new_ref(0), jax.new_ref(0)
        lax.while_loop(lambda _: ref[...] + twin[...] < n,
                       lambda k: (ref.__setitem__((), ref[...] + 2), k + 1)[1], 0)
        return ref[...], twin[...]
    assert f(7)[0] == 8 and f(7)[1] == 0


def test_references_outside_of_loops_and_as_what_is_scanned():
    total, rows = jax.new_ref(0), jax.new_ref(jnp.arange(4))

    def body(_, row):
        row[...] *= 2
        total[...] += row[...]
        return None, total[...]

    _, sums = lax.scan(body, None, rows)
    assert sums.tolist() == [0, 2, 6, 12] and total[...] == 12
    assert rows[...].tolist() == [0, 2, 4, 6]


# --- mapping and derivatives -------------------------------------------------------------------


def test_vmap_of_arguments_and_of_what_becomes_mapped():
    ref = jax.new_ref(jnp.zeros((2, 3)))
    jax.vmap(lambda r, x: r.__setitem__(1, x))(ref, jnp.float32([4, 5]))
    assert ref[...].tolist() == [[0, 4, 0], [0, 5, 0]]

    def f(x):
        cell = jax.new_ref(1.0)
        before = cell[...]
        cell[...] += x
        return before, cell[...]

    before, after = jax.vmap(f, out_axes=(None, 0))(jnp.arange(3.0))
    assert before == 1 and after.tolist() == [1, 2, 3]


def test_values_that_a_reference_from_outside_cannot_hold():
    ref = jax.new_ref(jnp.zeros(3))
    with pytest.raises(Exception, match="vmapped value on an unbatched array reference"):
        jax.vmap(lambda x: ref.__setitem__(0, x))(jnp.arange(2.0))
    with pytest.raises(Exception, match="performing an addupdate operation with vmapped value"):
        jax.vmap(lambda x: jax.ref.addupdate(ref, 0, x))(jnp.arange(2.0))
    with pytest.raises(Exception, match="differentiated value on a non-differentiated array ref"):
        jax.grad(lambda x: (ref.__setitem__(0, x), x)[1])(1.0)
    with pytest.raises(Exception, match="vmapped value on an unbatched array reference"):
        jax.vmap(lambda x: ref.__setitem__(0, 2.0))(jnp.arange(2.0))  # once, or twice?
    assert jax.vmap(lambda i: ref[i])(jnp.arange(2)).tolist() == [1, 0]


WRAPPED = {
    "jit": lambda f: jax.jit(f),
    "checkpoint": lambda f: jax.checkpoint(f),
    "scan": lambda f: lambda x: jax.lax.scan(lambda c, _: (f(c), None), x, length=1)[0],
    "while": lambda f: lambda x: jax.lax.while_loop(
        lambda c: c[0] < 1, lambda c: (c[0] + 1, f(c[1])), (0, x))[1],
    "cond": lambda f: lambda x: jax.lax.cond(True, f, lambda x: x, x)}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_a_reference_that_is_not_mapped_is_only_read(wrap):
    shared, mapped = jax.new_ref(5.0), jax.new_ref(jnp.zeros(3))

    def f(x, own):
        def body(x):
            own[...] += shared[...]
            return x + shared[...]
        return wrap(body)(x)

    assert jax.vmap(f)(jnp.arange(3.0), mapped).tolist() == [5, 6, 7]
    assert mapped[...].tolist() == [5, 5, 5]

    def g(x):
        def body(x):
            shared[...] += 1.0
            return x
        return wrap(body)(x)

    with pytest.raises(Exception, match="unbatched array reference"):
        jax.vmap(g)(jnp.arange(3.0))
    assert shared[...] == 5


def test_custom_rules_with_references_inside():
    f = jax.custom_vjp(lambda x: cells(x))
    f.defvjp(lambda x: (cells(x), None), lambda _, g: (g * jnp.float32([1, 2, 3]),))
    np.testing.assert_allclose(jax.jit(f)(x3), values(x3), rtol=1e-6)
    assert jax.grad(jax.jit(f))(x3).tolist() == [1, 2, 3]


def test_a_custom_rule_holds_for_a_differentiated_reference():
    f = jax.custom_vjp(lambda ref: ref[...] ** 2)
    f.defvjp(lambda ref: (f(ref), None), lambda _, g: (g,))

    def twice(x):
        ref = jax.new_ref(x)
        first = f(ref)
        ref[...] = 2 * x
        return first + f(ref) + ref[...]

    assert jax.grad(twice)(3.0) == jax.grad(jax.jit(twice))(3.0) == 1 + 2 + 2
    assert jax.vmap(jax.grad(twice))(jnp.ones(2)).tolist() == [5, 5]


def test_references_that_derivatives_pass_by():
    ref = jax.new_ref(1.0, kind="no_grad")

    def f(x):
        ref[...] += x * x
        jax.ref.addupdate(ref, ..., x)
        return x * x

    np.testing.assert_allclose(jax.grad(f)(2.0), 4.0)
    assert ref[...] == 7
    np.testing.assert_allclose(jax.grad(jax.checkpoint(f))(2.0), 4.0)
    assert ref[...] == 13


# --- mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("use, error, message", [
    (lambda r: jax.jit(lambda r: r)(r), ValueError,
     r"traced for jit returned a mutable array reference of type Ref\{float32\[3\]\}"),
    (lambda r: lax.cond(True, lambda: jax.new_ref(1.0), lambda: jax.new_ref(2.0)), ValueError,
     "traced for cond returned a mutable array reference"),
    (lambda r: jax.jit(lambda a, b: a[...])(r, r), ValueError, "appeared at both a and b"),
    (lambda r: jax.jit(lambda a: a[...] + r[...])(r), ValueError,
     "both closed over and passed as the argument a"),
    (lambda r: lax.scan(lambda c, _: (c + r[...] + c[...], None), r, None, length=1), ValueError,
     "both closed over and passed as the argument c"),
    (lambda r: jax.new_ref(r), TypeError, "new_ref of a reference"),
    (lambda r: jax.ref.get(jnp.ones(3)), TypeError, "expected a reference"),
    (lambda r: r.__setitem__(slice(1, None), jnp.ones(3)), ValueError,
     "Invalid shape for `swap`. Ref shape: \\(3,\\). Expected shape: \\(2,\\)"),
    (lambda r: r[3], ValueError, "Out of bound indexer: idx=3, dim=3"),
    (lambda r: r.__setitem__((..., np.int64(-4)), 1.0), ValueError, "idx=-4, dim=3"),
    (lambda r: r.at[1:].at[2][...], ValueError, "idx=2, dim=2"),
    (lambda r: (jax.free_ref(r), r[...]), RuntimeError, "frozen or freed"),
    (lambda r: jax.jit(lambda x: (lambda c: (jax.freeze(c), c[...]))(jax.new_ref(x)))(1.0),
     RuntimeError, "frozen or freed")])
def test_mistakes(use, error, message):
    with pytest.raises(error, match=message):
        use(jax.new_ref(jnp.zeros(3)))


def test_empty_references_have_a_type():
    ref = jax.empty_ref(jax.ShapeDtypeStruct((2,), np.int32))
    ref[...] = jnp.array([3, 4])
    assert jax.freeze(ref).tolist() == [3, 4] and repr(ref) == "Ref(Ref{int32[2]}, freed)"


# --- functions with derivatives of their own ---------------------------------------------------


@jax.custom_vjp
def stash(ref, x):
    return x


def _stash_back(ref, g):
    ref[...] = g
    return None, g


stash.defvjp(lambda ref, x: (x, ref), _stash_back)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("remat", [False, True])
@pytest.mark.parametrize("length", [1, 3])
def test_a_rule_writes_on_the_way_back_through_loops(jit, remat, length):
    def body(x, ref):
        return jnp.sin(stash(ref, jnp.sin(x)))

    def whole(ref, x):
        step = jax.checkpoint(body) if remat else body
        return jax.lax.scan(lambda x, _: (step(x, ref), None), x, None, length=length)[0]

    x, gradient = 1.0, 1.0
    values = [x]
    for _ in range(length):
        values += [np.sin(values[-1]), np.sin(np.sin(values[-1]))]
    for i in reversed(range(length)):
        stashed = gradient * np.cos(values[2 * i + 1])
        gradient = stashed * np.cos(values[2 * i])
    ref = jax.new_ref(jnp.float32(0.))
    got = jax.grad(jax.jit(whole) if jit else whole, argnums=1)(ref, jnp.float32(1.0))
    np.testing.assert_allclose(got, gradient, rtol=1e-5)
    np.testing.assert_allclose(ref[...], stashed, rtol=1e-5)


@pytest.mark.parametrize("jit", [False, True])
def test_a_differentiated_reference_as_argument_of_a_function_with_a_rule(jit):
    @jax.custom_vjp
    def double(ref):
        return 2 * ref[...]

    double.defvjp(lambda ref: (double(ref), None), lambda _, g: (10 * g,))
    fun = jax.jit(double) if jit else double
    value, pull = jax.vjp(lambda x: fun(jax.new_ref(x)), 3.0)
    assert value == 6.0
    assert pull(1.0)[0] == 10.0


@pytest.mark.parametrize("wrap", [
    lambda f: f, jax.jit, jax.checkpoint, lambda f: jax.jit(jax.jit(f)),
    lambda f: jax.jit(jax.checkpoint(f)), lambda f: jax.checkpoint(jax.jit(f))])
@pytest.mark.parametrize("reads_too", [False, True])
def test_the_rule_counts_whether_the_reference_is_differentiated_or_not(wrap, reads_too):
    @jax.custom_vjp
    def scale(x, ref):
        return x * ref[...]

    scale.defvjp(lambda x, ref: (x * ref[...], ref[...]), lambda r, g: (100 * g * r, None))
    fun = wrap((lambda x, ref: scale(x, ref) + ref[...]) if reads_too else scale)
    assert jax.grad(fun)(2.0, jax.new_ref(3.0)) == 300.0
    assert jax.vjp(fun, 2.0, jax.new_ref(3.0))[1](1.0)[0] == 300.0
    value, pull = jax.vjp(lambda x, r: fun(x, jax.new_ref(r)), 2.0, 3.0)
    assert value == 6.0 + 3.0 * reads_too
    assert pull(1.0) == (300.0, 1.0 * reads_too)
    inside = wrap(lambda x: fun(x, jax.new_ref(3 * x)))
    assert jax.grad(inside)(2.0) == 600.0 + 3.0 * reads_too
    assert jax.vmap(jax.grad(inside))(jnp.ones(2)).tolist() == [300.0 + 3.0 * reads_too] * 2


def test_a_reference_that_is_used_both_ways_in_a_loop_is_refused():
    def f(ref, x):
        def body(x, _):
            ref[...] += 1.0
            return stash(ref, x), None
        return jax.lax.scan(body, x, None, length=2)[0]

    with pytest.raises(NotImplementedError, match="two references"):
        jax.grad(f, argnums=1)(jax.new_ref(0.0), 1.0)


def test_a_rule_returns_no_reference_but_its_own():
    @jax.custom_vjp
    def f(x, ref):
        return x

    f.defvjp(lambda x, ref: (x, jax.new_ref(0.0)), lambda ref, g: (g, None))
    for fun in (f, jax.jit(f)):
        with pytest.raises(ValueError, match="<lambda>.*custom_vjp fwd function returned a mut"):
            jax.vjp(fun, 3.0, jax.new_ref(0.0))
    ref = jax.new_ref(0.0)
    with pytest.raises(ValueError, match="at both x and ref"):
        f(ref, ref)


# --- one reference in two places; references that get out ---------------------------------------


@pytest.mark.parametrize(("use", "names"), [
    (lambda r: jax.jit(lambda a, b: a[...])(r, r), "both a and b"),
    (lambda r: lax.cond(True, lambda a, b: a[...], lambda a, b: b[...], r, r), "both a and b"),
    (lambda r: lax.scan(lambda c, _: (None, None), (r, r), None, length=1), "both c[0] and c[1]"),
    (lambda r: jax.vmap(lambda a, b: a[...])(r, r), "both a and b"),
    (lambda r: jax.vjp(lambda a, b: stash_two(a, b), r, r), "both a and b"),
    (lambda r: lax.cond(True, lambda a: a[...] + r[...], lambda a: a[...], r),
     "closed over and passed as the argument a"),
])
def test_a_reference_comes_once(use, names):
    with pytest.raises(ValueError, match="mutable array reference of type") as error:
        use(jax.new_ref(jnp.zeros(2)))
    assert names in str(error.value)


stash_two = jax.custom_vjp(lambda a, b: a[...])
stash_two.defvjp(lambda a, b: (a[...], None), lambda _, g: (None, None))


def test_a_returned_reference_is_told_by_its_origin():
    with pytest.raises(ValueError, match="cannot be returned.\n\n.*was created on line .*test_ref"):
        jax.jit(lambda x: jax.new_ref(x))(1.0)
    with pytest.raises(ValueError, match="was passed in as the argument cell"):
        jax.jit(lambda x, cell: cell)(1.0, jax.new_ref(1.0))


def test_traced_references_are_references_and_no_arrays():
    ref = jax.new_ref(jnp.zeros(3))

    @jax.jit
    def f(ref):
        assert isinstance(ref, jax.Ref)
        assert not isinstance(ref, jax.Array)
        assert isinstance(ref[...], jax.Array)
        ref.addupdate(1.0, 0)
        assert not hasattr(ref[...], "addupdate")

    f(ref)
    ref.addupdate(2.0)
    assert isinstance(ref, jax.Ref)
    jax.vmap(lambda r: r.addupdate(1.0))(ref)
    assert ref[...].tolist() == [4, 3, 3]


def test_ahead_of_time_with_the_type_of_a_reference():
    kind = jax.ShapeDtypeStruct((3,), np.float32, is_ref=True)
    assert kind != kind.update(is_ref=False)

    def f(ref):
        ref[...] += 1

    ref = jax.new_ref(jnp.zeros(3))
    jax.jit(f).lower(kind).compile()(ref)
    assert ref[...].tolist() == [1, 1, 1]


def test_cotangents_are_added_without_reading():
    total = jax.new_ref(jnp.ones(3))

    def pull_back(x):
        jax.vjp(jnp.sin, x)[1].with_refs(total)(jnp.ones(3))

    program = jax.make_jaxpr(pull_back)(jnp.zeros(3))
    names = [e.primitive.name for e in program.eqns]
    assert names[-1] == "addupdate" and "get" not in names
    pull_back(jnp.zeros(3))
    assert total[...].tolist() == [2, 2, 2]


def test_windows_at_a_traced_start():
    ref = jax.new_ref(jnp.arange(6.0))

    @jax.jit
    def f(i):
        ref[jax.ds(i, 2)] = jnp.ones(2)
        ref[jax.ds(0, 3, 2)] += 5
        return ref[jax.ds(i - 1, 3)]

    assert f(3).tolist() == [7, 1, 6]
    assert ref[...].tolist() == [5, 1, 7, 1, 6, 5]


def test_a_whole_reference_is_read_as_it_is_split():
    mesh = jax.make_mesh((1, 1), ("x", "y"), axis_types=(jax.sharding.AxisType.Explicit,) * 2)
    with jax.set_mesh(mesh):
        ref = jax.new_ref(jnp.zeros((2, 3), device=jax.NamedSharding(mesh, jax.P("x", "y"))))

        @jax.jit
        def f(ref):
            assert jax.typeof(ref[...]).sharding.spec == jax.P("x", "y")
            assert jax.typeof(ref[0]).sharding.spec == jax.P(None)
            ref[...] += 1
            return ref[...]

        out = f(ref)
        assert jax.typeof(out).sharding.spec == jax.P("x", "y")
        np.testing.assert_array_equal(out, np.ones((2, 3)))


def test_where_a_reference_is():
    ref = jax.new_ref(jnp.zeros(3))
    before = ref.unsafe_buffer_pointer()
    assert isinstance(before, int) and ref.sharding == ref[...].sharding
