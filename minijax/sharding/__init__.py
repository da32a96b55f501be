"""Where arrays live: shardings, meshes and their algebra."""

from minijax.sharding.single import Sharding, SingleDeviceSharding

__all__ = ["Sharding", "SingleDeviceSharding"]
