"""x.at[index]: options, derivatives and batching of updates."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp


def test_helper_shows_array_and_index():
    x = jnp.arange(3)
    assert repr(x.at) == f"_IndexUpdateHelper({x!r})"
    assert repr(x.at[1]) == f"_IndexUpdateRef({x!r}, 1)"
    assert x.at[1].array is x and x.at[1].index == 1


def test_updates_leave_the_array_alone():
    x = jnp.arange(3.0)
    x.at[0].set(9.0)
    np.testing.assert_array_equal(x, [0, 1, 2])


@pytest.mark.parametrize("mode, expected", [
    (None, [0, 1, 2, 9]), ("drop", [0, 1, 2, 9]), ("fill", [0, 1, 2, 9]), ("clip", [0, 1, 2, 9]),
    ("promise_in_bounds", [0, 1, 2, 9])])
@pytest.mark.parametrize("index", [3, -1, np.array([3]), slice(3, None)])
def test_modes_agree_within_bounds(mode, expected, index):
    got = jnp.arange(4.0).at[index].set(9.0, mode=mode)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("index", [9, -9, np.array([9]), np.array([-9])])
def test_positions_outside(index):
    x = jnp.arange(4.0)
    np.testing.assert_array_equal(x.at[index].set(7.0), x)
    np.testing.assert_array_equal(x.at[index].add(7.0), x)
    clipped = [7, 1, 2, 3] if np.max(index) < 0 else [0, 1, 2, 7]
    np.testing.assert_array_equal(x.at[index].set(7.0, mode="clip"), clipped)
    assert np.isnan(x.at[index].get(mode="fill")).all()
    assert (np.asarray(x.at[index].get(mode="fill", fill_value=-1.0)) == -1).all()


@pytest.mark.parametrize("name", ["set", "add", "multiply", "min", "max"])
def test_derivative_by_values_is_linear_in_them(name):
    x = jnp.array([1.0, 4.0, 9.0, 16.0])
    index = np.array([2, 0])
    y = jnp.array([5.0, 3.0])

    def f(x, y):
        return getattr(x.at[index], name)(y, unique_indices=True)

    _, vjp = jax.vjp(f, x, y)
    ct = jnp.arange(1.0, 5.0)
    step = 0.25  # exact: f is linear in each of its arguments, and takes small whole numbers
    for argument, found in enumerate(vjp(ct)):
        for i in range(found.size):
            moved = [x, y]
            moved[argument] = moved[argument].at[i].add(step)
            slope = ((f(*moved) - f(x, y)) * ct).sum() / step
            np.testing.assert_array_equal(found[i], slope)


def test_vmap_of_updates():
    x = jnp.arange(12.0).reshape(3, 4)
    index = jnp.array([3, 0, 2])
    expected = np.array(x)
    expected[np.arange(3), np.asarray(index)] += 100
    np.testing.assert_array_equal(jax.vmap(lambda r, i: r.at[i].add(100.0))(x, index), expected)


def test_list_of_values():
    x = jnp.zeros(3)
    np.testing.assert_array_equal(x.at[:2].set([1, 2]), [1, 2, 0])
    traced = jax.jit(lambda y: x.at[:2].set([y, 2.0]))(5.0)
    np.testing.assert_array_equal(traced, [5, 2, 0])


def test_unknown_mode():
    with pytest.raises(ValueError, match='Unknown gather mode "nowhere"'):
        jnp.zeros(3).at[0].set(1.0, mode="nowhere")
