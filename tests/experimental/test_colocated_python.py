"""Functions that run on the hosts of devices."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.experimental import colocated_python as colocated
from minijax.experimental import multihost_utils


def test_functions_run_beside_their_arguments():
    @colocated.colocated_python
    def total(x, scale):
        """Adds up."""
        return jnp.asarray(np.asarray(x).sum() * np.asarray(scale))

    assert (total.__name__, total.__doc__) == ("total", "Adds up.")
    assert float(total(jnp.arange(4.0), scale=jnp.float32(2))) == 12.0


def test_specialized_functions():
    device = jax.devices()[0]
    assert colocated.colocated_python(lambda: 3).specialize(devices=[device])() == 3
    spec = jax.ShapeDtypeStruct((2,), jnp.float32, sharding=jax.NamedSharding(
        jax.make_mesh((1,), ("x",)), jax.P("x")))
    double = colocated.colocated_python(lambda x: x * 2)
    out = double.specialize(out_specs_fn=lambda x: spec)(jnp.ones(2))
    assert out.sharding == spec.sharding
    with pytest.raises(ValueError, match="returned float32.3. where out_specs_fn says float32.2."):
        double.specialize(out_specs_fn=lambda x: spec)(jnp.ones(3))
    with pytest.raises(ValueError, match="same pytree structure"):
        double.specialize(in_specs=((spec, spec), {}))(jnp.ones(2))
    with pytest.raises(ValueError, match="No devices found. colocated_python function without"):
        colocated.colocated_python(lambda: 3)()


def test_objects_are_made_at_the_first_call():
    made = []

    @colocated.colocated_python_class
    class Counter:
        """Counts."""

        def __init__(self, start):
            made.append(start)
            self.value = start

        def add(self, x):
            self.value = self.value + x
            return self.value

    counter = Counter(2)
    assert made == [] and Counter.__name__ == "Counter" and Counter.__doc__ == "Counts."
    assert float(counter.add(jnp.float32(1))) == 3.0
    assert float(counter.add(jnp.float32(4))) == 7.0
    assert made == [2]


def test_cpu_devices_beside_devices():
    devices = jax.devices("cpu")
    assert colocated.colocated_cpu_devices(devices) == devices
    mesh = jax.make_mesh((len(devices),), ("x",))
    found = colocated.colocated_cpu_devices(mesh)
    assert found == mesh


def test_a_process_alone_is_never_asked_to_save():
    assert multihost_utils.reached_preemption_sync_point(3) is False
