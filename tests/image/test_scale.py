"""jax.image: results of JAX, and properties of resampling."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from tests.data import record_results
from tests.numpy import recorded

RECORDED = recorded.load("image")
SCOPE = recorded.scope()
METHODS = ["linear", "cubic", "lanczos3", "lanczos5", "cubic-pytorch", "area"]


@pytest.mark.parametrize("text", RECORDED)
def test_as_jax(text):
    recorded.check(text, RECORDED[text], record_results.evaluate(text, SCOPE))


@pytest.mark.parametrize("method", METHODS)
def test_constant_images_stay_constant(method):
    out = jax.image.resize(jnp.full((5, 3), 2.5), (3, 7), method)
    np.testing.assert_allclose(out, np.full((3, 7), 2.5), rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_size_changes_nothing(method):
    image = jnp.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(jax.image.resize(image, (2, 3), method), image)
    one = jnp.ones(2)
    out = jax.image.scale_and_translate(image, (2, 3), (0, 1), one, 0 * one, method)
    np.testing.assert_allclose(out, image, atol=2e-6)


def test_area_is_the_mean_of_blocks():
    image = jnp.arange(24.0).reshape(4, 6)
    np.testing.assert_allclose(jax.image.resize(image, (2, 3), "area"),
                               image.reshape(2, 2, 3, 2).mean((1, 3)), rtol=1e-6)


def test_translation_by_whole_pixels_moves_them():
    image = jnp.arange(1.0, 6.0)[:, None]
    out = jax.image.scale_and_translate(image, (5, 1), (0,), jnp.ones(1), jnp.array([2.0]),
                                        "linear")
    np.testing.assert_allclose(out[:, 0], [0, 0, 1, 2, 3], atol=1e-6)


def test_under_transformations():
    images = jnp.arange(24.0).reshape(2, 3, 4)
    each = jax.vmap(lambda x: jax.image.resize(x, (5, 2), "cubic"))(images)
    together = jax.image.resize(images, (2, 5, 2), "cubic")
    np.testing.assert_allclose(each, together, rtol=1e-6)
    scales = jax.jacobian(lambda s: jax.image.scale_and_translate(
        images[0], (3, 4), (0,), s, jnp.zeros(1), "linear"))(jnp.array([1.2]))
    assert np.isfinite(scales).all() and np.abs(scales).max() > 0.1


@pytest.mark.parametrize("call,error,text", [
    (lambda x: jax.image.resize(x, (2, 2), "sinc"), ValueError, 'Unknown resize method "sinc"'),
    (lambda x: jax.image.resize(x, (2,), "linear"), ValueError, "shape must have length equal to"),
    (lambda x: jax.image.scale_and_translate(x, (2, 2), (0,), jnp.ones(1), jnp.ones(1), "nearest"),
     ValueError, "Nearest neighbor resampling is not currently supported"),
])
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call(jnp.ones((3, 3)))
