"""Python functions that run on the hosts of devices, given arrays in the memory of those hosts.

    @colocated_python
    def total(x):                     # x is an array on CPU devices
        return jnp.asarray(np.asarray(x).sum())

    total(jax.device_put(x, colocated_cpu_devices(jax.devices())[0]))

A call runs where the devices of its arguments are, or those named by `specialize`.  Here every
process is a controller of its own devices, so that host is always this one.
"""

from minijax.experimental.colocated_python.func import colocated_cpu_devices, make_callable
from minijax.experimental.colocated_python.obj import wrap_class

__all__ = ["colocated_cpu_devices", "colocated_python", "colocated_python_class"]

colocated_python = make_callable
colocated_python_class = wrap_class
