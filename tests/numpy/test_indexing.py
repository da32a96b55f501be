"""x[index] and functions that pick elements: against NumPy, and against what JAX answered."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import minijax as jax
import minijax.numpy as jnp
from minijax.base import config
from minijax.numpy import indexing
from tests.data import record_results
from tests.numpy import recorded

RECORDED = recorded.load("indexing")
SCOPE = recorded.scope()


@pytest.mark.parametrize("text", RECORDED)
def test_as_jax(text):
    recorded.check(text, RECORDED[text], record_results.evaluate(text, SCOPE))


# --- Any index, against NumPy ------------------------------------------------------------------


@st.composite
def shapes_and_indices(draw):
    shape = draw(st.sampled_from([(5,), (3, 4), (2, 3, 4), (2, 1, 3), (0, 3), ()]))
    used = draw(st.integers(0, len(shape)))
    lead = draw(st.integers(0, used))
    batch = draw(st.sampled_from([(2,), (3,), (2, 3), ()]))
    axes = [*range(lead), *range(len(shape) - (used - lead), len(shape))]
    entries = []
    for place, axis in enumerate(axes):
        if place == lead and used < len(shape):
            entries.append(Ellipsis)
        entries.extend(draw(st.lists(st.none(), max_size=1)))
        entries.append(draw(entry_for(shape[axis], batch)))
    if used < len(shape) and lead == used and draw(st.booleans()):
        entries.append(Ellipsis)
    return shape, tuple(entries)


def entry_for(size, batch):
    bounds = st.none() | st.integers(-size - 1, size + 1)
    options = [st.builds(slice, bounds, bounds, st.sampled_from([None, 1, 2, 3, -1, -2]))]
    if size:
        options.append(st.integers(-size, size - 1))
        options.append(st.integers(0, 10 ** 6).map(
            lambda seed: np.random.default_rng(seed).integers(-size, size, batch)))
    options.append(st.lists(st.booleans(), min_size=size, max_size=size).map(
        lambda flags: np.array(flags, bool)))
    return st.one_of(options)


def numpy_result(x, index):
    try:
        return x[index]
    except IndexError:
        hypothesis.reject()


@hypothesis.settings(max_examples=80, deadline=None, derandomize=True)
@hypothesis.given(shapes_and_indices())
def test_get_as_numpy(case):
    shape, index = case
    x = np.arange(np.prod(shape, dtype=int), dtype=np.int32).reshape(shape)
    expected = numpy_result(x, index)
    np.testing.assert_array_equal(jnp.asarray(x)[index], expected)
    np.testing.assert_array_equal(jax.jit(lambda x: x[index])(x), expected)


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(shapes_and_indices(), st.sampled_from(
    ["set", "add", "subtract", "multiply", "min", "max"]))
def test_update_as_numpy(case, name):
    shape, index = case
    x = np.arange(np.prod(shape, dtype=int), dtype=np.int32).reshape(shape)
    values = np.full(numpy_result(x, index).shape, 3, np.int32)
    expected = x.copy()
    if name == "set":
        expected[index] = values
    else:
        ufunc = {"min": np.minimum, "max": np.maximum}.get(name) or getattr(np, name)
        ufunc.at(expected, index, values)
    got = getattr(jnp.asarray(x).at[index], name)(values)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(
        jax.jit(lambda x: getattr(x.at[index], name)(values))(x), expected)


# --- How it is done ----------------------------------------------------------------------------


def primitives(fun, *args):
    return [eqn.primitive.name for eqn in jax.make_jaxpr(fun)(*args).eqns]


def test_static_index_makes_no_gather():
    x = jnp.zeros((3, 4, 5))
    assert primitives(lambda x: x[1], x) == ["slice", "squeeze"]
    assert primitives(lambda x: x[:, 1:3], x) == ["slice"]
    assert primitives(lambda x: x[::-2], x) == ["slice", "rev"]
    assert primitives(lambda x: x[-7], x) == ["slice", "squeeze"]
    assert primitives(lambda x: x[..., None], x) == ["broadcast_in_dim"]
    assert primitives(lambda x: x[:], x) == []
    assert primitives(lambda x: x.at[1].set(0.0), x)[-1] == "dynamic_update_slice"


def test_traced_position_is_one_dynamic_slice():
    steps = ["lt", "add", "select_n", "dynamic_slice", "squeeze"]
    x = jnp.zeros((3, 4))
    assert primitives(lambda x, i: x[i], x, jnp.int32(1)) == steps
    assert primitives(lambda x, i: x[i], x, 1) == ["convert_element_type", *steps]


def test_known_indices_are_wrapped_before_tracing():
    assert primitives(lambda x: x[np.array([0, -1])], jnp.zeros((3, 4))) == ["gather"]


def test_positions_do_not_compile_again(monkeypatch):
    x = jnp.arange(10.0)
    x[0], x[1:3], x.at[0].set(1.0), x[2, None]
    traced = []
    monkeypatch.setattr(indexing, "get", lambda *a, **k: traced.append(a))
    monkeypatch.setattr(indexing, "getitem_traced", lambda *a, **k: traced.append(a))
    for i in range(-5, 5):
        x[i], x[4:6], x[5:7], x[i, None]
    assert not traced


def test_masks_of_any_content_are_one_program():
    x = jnp.arange(6.0).reshape(2, 3)
    for threshold in range(7):
        mask = np.asarray(x) >= threshold
        np.testing.assert_array_equal(x[mask], np.asarray(x)[mask])
        np.testing.assert_array_equal(x.at[mask].set(-1.0), np.where(mask, -1.0, x))


@pytest.mark.parametrize("update", [
    lambda x, m: x.at[m].set(7.0), lambda x, m: x.at[m].add(1.0), lambda x, m: x.at[m].divide(2.0),
    lambda x, m: x.at[m].apply(jnp.sin), lambda x, m: x.at[..., m[0]].min(1.0),
    lambda x, m: x.at[m[:, 0]].multiply(jnp.arange(4.0))])
def test_traced_mask_updates(update):
    x = jnp.arange(12.0).reshape(3, 4)
    mask = np.asarray(x) % 5 < 2
    np.testing.assert_allclose(jax.jit(update)(x, mask), update(x, mask), rtol=1e-6)


def test_traced_mask_with_values_per_element_is_refused():
    x = jnp.arange(4.0)
    with pytest.raises(jax.errors.NonConcreteBooleanIndexError):
        jax.jit(lambda x, m: x.at[m].set(jnp.arange(2.0)))(x, x > 1)
    with pytest.raises(jax.errors.NonConcreteBooleanIndexError):
        jax.jit(lambda x, m: x[m])(x, x > 1)


def test_known_mask_on_traced_array():
    x = jnp.arange(4.0)
    gradient = jax.grad(lambda x: (x[x > 1] ** 2).sum())(x)
    np.testing.assert_array_equal(gradient, [0, 0, 4, 6])


def test_errors_say_what_to_write():
    x = jnp.zeros((3, 4))
    with pytest.raises(TypeError, match=r"non-tuple sequence(.|\n)*fix: x\[jnp.array"):
        x[[0, 1]]
    with pytest.raises(IndexError, match=r"Too many indices: array is 2-dimensional, but 3"):
        x[0, 0, 0]
    with pytest.raises(IndexError, match=r"static integers(.|\n)*fix: jax.lax.dynamic_slice"):
        jax.jit(lambda x, i: x[i:])(x, 1)


def test_unsafe_update_warns():
    with pytest.warns(FutureWarning, match="scatter inputs have incompatible types"):
        jax.make_jaxpr(lambda x: x.at[0].set(1.5))(jnp.arange(3))


def test_weak_type_and_commitment_survive():
    weak = jnp.broadcast_to(jnp.asarray(1.0), (3,))
    assert weak[0].weak_type and weak.at[0].set(2.0).weak_type
    placed = jax.device_put(jnp.arange(3.0), jax.devices()[0])
    assert placed[np.array([True, False, True])].committed


@pytest.mark.parametrize("index, position, axis", [
    (5, "5", 0), ((0, -6), "-6", 1), ((slice(None, 9), [1, 2], 7), "7", 2)])
def test_option_refuses_known_positions_outside(index, position, axis):
    x = jnp.zeros((3, 4, 5))
    for look in (lambda x: x[index], jax.jit(lambda x: x[index]), lambda x: x.at[index].get(),
                 lambda x: x.at[index].set(0.0)):
        look(x)  # clamped, or dropped
        with config.check_static_indices(True):
            with pytest.raises(IndexError, match=f"index {position} out of bounds for axis {axis}"):
                look(x)


# --- jax.ds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [4, 9, -3])
def test_windows_at_a_traced_start(start):
    x = jnp.arange(24).reshape(12, 2)
    wanted = jax.lax.dynamic_slice(x, (start, 1), (4, 1))[:, 0]
    for look in (lambda x, i: x[jax.ds(i, 4), 1], jax.jit(lambda x, i: x[jax.ds(i, 4), 1])):
        np.testing.assert_array_equal(look(x, start), wanted)
        np.testing.assert_array_equal(look(x, jnp.int8(start)), wanted)
    each = jax.vmap(lambda i: x[jax.ds(i, 4), 1])(jnp.array([0, start]))
    np.testing.assert_array_equal(each, jnp.stack([x[:4, 1], wanted]))


def test_windows_in_other_indices():
    x, i = jnp.arange(24).reshape(4, 6), jnp.int32(2)
    np.testing.assert_array_equal(x[jax.ds(i, 2), jax.ds(3)], x[2:4, :3])
    np.testing.assert_array_equal(x[..., None, jax.ds(i, 2, 3)], x[:, None, 2::3])
    np.testing.assert_array_equal(x[np.array([0, 3]), jax.ds(i, 2)], x[jnp.array([0, 3]), 2:4])
    np.testing.assert_array_equal(x[jax.ds(None), 1], x[:, 1])
    np.testing.assert_array_equal(x.at[1, jax.ds(i, 2)].add(7), x.at[1, 2:4].add(7))
    gradient = jax.grad(lambda x: (x[0, jax.ds(i, 3)] ** 2).sum())(x.astype(float))
    np.testing.assert_array_equal(gradient[0], [0, 0, 4, 6, 8, 0])


@pytest.mark.parametrize("window, kind", [
    ((3, -1), TypeError), ((3, 2.5), TypeError), ((3, 11), TypeError), ((3, 2, -1), ValueError),
    ((1.5, 2), TypeError), ((np.array([1, 2]), 2), TypeError)])
def test_windows_that_are_none(window, kind):
    with pytest.raises(kind, match="fix:"):
        jnp.arange(10)[jax.ds(*window)]
