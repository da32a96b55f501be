"""Programs and executables: pruning, constants, options."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import core, lax
from minijax.base import config
from minijax.core import ShapedArray
from minijax.runtime import backend, compile
from minijax.runtime.compile import Placement

F32 = np.dtype(np.float32)


def program(fun, *shapes, **options):
    jaxpr = core.trace_closed(fun, [ShapedArray(shape, F32) for shape in shapes])
    return compile.lower_jaxpr(jaxpr, "test", Placement((backend.default_device(),)), **options)


def put(x):
    return jax.device_put(np.asarray(x, np.float32))


def test_unused_inputs_are_dropped():
    made = program(lambda x, y, z: [lax.neg(y)], (), (2,), (3,))
    assert made.kept == (False, True, False)
    executable = made.compile()
    assert executable.kept == (False, True, False)
    inputs = executable.arguments([put(0), put([1, 2]), put([1, 2, 3])])
    (out,) = executable.run(inputs)
    np.testing.assert_array_equal(out, [-1, -2])
    assert all(program(lambda x, y: [x], (), (), keep_unused=True).kept)


def test_small_constants_are_embedded_and_large_ones_passed():
    small, large = np.ones(4, np.float32), np.ones(4096, np.float32)
    made = program(lambda x: [lax.add(x, small)], (4,))
    assert made.const_args == []
    made = program(lambda x: [lax.add(x, large)], (4096,))
    (const,) = made.const_args
    assert isinstance(const, jax.Array)
    assert "dense<" not in made.lowered.text()
    executable = made.compile()
    (out,) = executable.run(executable.arguments([put(large)]))
    np.testing.assert_array_equal(out, 2 * large)


def test_large_constants_on_the_fast_path():
    large = np.arange(5000, dtype=np.float32)
    f = jax.jit(lambda unused, x: lax.add(x, large))
    x = put(large)
    for _ in range(3):
        np.testing.assert_array_equal(f(1.0, x), 2 * large)
    assert f._cache_size() == 1


def test_results_have_the_types_of_the_jaxpr():
    made = program(lambda x: [x, lax.eq(x, x)], (2,)).compile()
    x, same = made.run(made.arguments([put([1, 2])]))
    assert (x.dtype, same.dtype) == (np.float32, np.bool_)
    assert not x.committed


def test_options_from_the_configuration():
    devices = [backend.default_device()]
    plain = compile.compile_options(devices)
    assert plain.executable_build_options.use_shardy_partitioner
    assert plain.executable_build_options.use_spmd_partitioning
    assert plain.num_partitions == 1
    given = compile.compile_options(devices, [("xla_cpu_enable_fast_math", True)])
    assert given.env_option_overrides == [("xla_cpu_enable_fast_math", True)]
    assert given.SerializeAsString() != plain.SerializeAsString()


def test_optimization_level():
    before = config.config.jax_optimization_level
    config.config.update("jax_optimization_level", "O1")
    try:
        assert float(jax.jit(lambda x: lax.sin(lax.cos(x)))(0.0)) == pytest.approx(np.sin(1.0))
    finally:
        config.config.update("jax_optimization_level", before)


def test_log_compiles(caplog):
    with config.log_compiles(True):
        jax.jit(lambda x: lax.add(lax.cos(x), 0.125))(0.0)
    assert any("Finished XLA compilation of jit(<lambda>)" in r.message for r in caplog.records)


def test_files_are_named_as_asked_for():
    lowered = jax.jit(lambda x: jnp.sin(x)).lower(1.0)
    assert "/test_compile.py" in lowered.as_text(debug_info=True)
    with config.hlo_source_file_canonicalization_regex(".*/"):
        text = jax.jit(lambda x: jnp.sin(x)).lower(1.0).as_text(debug_info=True)
    assert '"test_compile.py":' in text and "/test_compile.py" not in text


def test_primitives_without_a_lowering_rule_are_decomposed():
    twice_p = core.Primitive(
        "twice_for_test", shape=lambda x: x, decompose=lambda x: lax.add(x, x))
    assert float(twice_p.bind(2.0)) == 4.0
    assert float(jax.jit(lambda x: twice_p.bind(x))(2.0)) == 4.0


@pytest.mark.parametrize("modes, info, kinds", [
    ("stablehlo", True, ["mlir"]), ("stablehlo,jaxpr", False, ["mlir", "txt"]),
    ("jaxpr", True, ["txt"])])
def test_programs_are_written_to_a_folder(tmp_path, modes, info, kinds):
    def added(x):
        return x + 41.5

    states = [config.dump_ir_to(str(tmp_path / "new")), config.dump_ir_modes(modes),
              config.include_debug_info_in_dumps(info)]
    with states[0], states[1], states[2]:
        jax.jit(added).lower(1.0)
    files = sorted((tmp_path / "new").iterdir(), key=lambda path: path.suffix)
    assert [path.suffix[1:] for path in files] == kinds
    assert all("added" in path.name and "41.5" in path.read_text().replace("4.150000e+01", "41.5")
               for path in files)
    if "mlir" in kinds:
        assert ("loc(" in files[0].read_text()) == info


def test_much_captured_data_is_told():
    large = jnp.ones((3, 1024))
    config.config.update("jax_captured_constants_warn_bytes", 12000)
    try:
        with pytest.warns(UserWarning, match=r"captured during lowering \(12288 bytes total\): "
                          r"float32\[3,1024\]\.\nPass such arrays as arguments"):
            jax.jit(lambda x: x + large).lower(1.0)
    finally:
        config.config.update("jax_captured_constants_warn_bytes", 2_000_000_000)
