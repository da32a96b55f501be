"""The type of lists of devices, by the name under which libraries pickle them."""

from minijax.base import jaxlib

DeviceList = jaxlib.DeviceList

__all__ = ["DeviceList"]
