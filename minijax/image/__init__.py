"""Images of any rank in other sizes.

    jax.image.resize(x, (224, 224, 3), "linear")
"""

from minijax.image.scale import ResizeMethod, resize, scale_and_translate

__all__ = ["ResizeMethod", "resize", "scale_and_translate"]
