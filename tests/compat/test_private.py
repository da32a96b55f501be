"""The private names of JAX that libraries touch."""

import importlib
import inspect
import pickle
import sys
import traceback

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import _src
from minijax.base import source
from minijax.compat import private, shims
from minijax.runtime import compile as ours


@pytest.mark.parametrize("module", private.NAMES)
def test_every_name_of_the_table_is_there(module):
    loaded = importlib.import_module(f"minijax._src.{module}")
    missing = [name for name in private.NAMES[module] if not hasattr(loaded, name)]
    assert not missing
    assert set(private.NAMES[module]) <= set(dir(loaded))


def test_names_are_written_where_they_live():
    before, marker = ours.backend_compile_and_load, object()
    _src.compiler.backend_compile_and_load = marker
    try:
        assert ours.backend_compile_and_load is marker
        assert _src.compiler.backend_compile_and_load is marker
    finally:
        _src.compiler.backend_compile_and_load = before
    assert ours.backend_compile_and_load is before


def test_other_names_are_absent():
    with pytest.raises(AttributeError, match=r"'jax._src.core' has no attribute 'Nothing'"):
        _src.core.Nothing
    with pytest.raises(AttributeError, match=r"'jax._src' has no attribute 'nothing'"):
        _src.nothing
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("minijax._src.nothing")
    assert _src.interpreters.pxla.global_result_handlers == {}


def test_modules_that_are_public_under_another_name():
    assert _src.interpreters.mlir.register_lowering is jax.interpreters.mlir.register_lowering
    assert _src.lib.mlir.ir is jax.extend.mlir.ir
    assert _src.lib.mlir.dialects.hlo is jax.extend.mlir.dialects.stablehlo


def test_threefry_on_words():
    threefry = _src.random.threefry2x32
    assert _src.random.split is jax.random.split
    words, key = threefry.threefry_seed(np.int32(5)), jax.random.key(5)
    for ours, public in [
        (words, jax.random.key_data(key)),
        (threefry.threefry_split(words, (3,)), jax.random.key_data(jax.random.split(key, 3))),
        (threefry.threefry_random_bits(words, 8, (4,)), jax.random.bits(key, (4,), np.uint8)),
    ]:
        np.testing.assert_array_equal(ours, public)
        assert ours.dtype == public.dtype


def test_registry_of_nodes():
    registry = _src.tree_util._registry
    assert tuple in registry and dict in registry and int not in registry
    node = {"b": 2, "a": (1, 3)}
    children, data = registry[dict].to_iter(node)
    assert list(children) == [(1, 3), 2]
    assert registry[dict].from_iter(data, ["x", "y"]) == {"a": "x", "b": "y"}
    assert data == registry[dict].to_iter({"a": 0, "b": None})[1]
    with pytest.raises(KeyError):
        registry[int]


def test_dtypes():
    supports_inf = _src.dtypes.supports_inf
    assert supports_inf(np.float32) and supports_inf(jnp.bfloat16) and not supports_inf(np.int32)
    assert supports_inf(jnp.float8_e5m2) and not supports_inf(jnp.float8_e4m3fn)
    key = jax.typeof(jax.random.split(jax.random.key(0), 3))
    assert shims.physical_aval(key).str_short() == "u32[3,2]"
    plain = jax.typeof(jnp.ones((2, 3)))
    assert shims.physical_aval(plain) == plain
    with pytest.raises(_src.dtypes.TypePromotionError), jax.numpy_dtype_promotion("strict"):
        jnp.ones(2, np.float32) + jnp.ones(2, np.int32)


def test_the_type_of_references():
    ref = jax.new_ref(jnp.ones(3))
    assert isinstance(jax.typeof(ref), _src.state.types.AbstractRef)


def test_state_of_tracing():
    assert shims.trace_state_clean()
    seen = []
    jax.make_jaxpr(lambda x: seen.append(shims.trace_state_clean()) or x)(1.0)
    assert seen == [False]


@pytest.mark.parametrize("numbers, names, expected", [
    ((1,), None, ((1,), ("b",))), (0, None, ((0,), ("a",))), (None, "c", ((2,), ("c",))),
    ((0,), ("c",), ((0,), ("c",))), (None, None, ((), ()))])
def test_argument_numbers_and_names(numbers, names, expected):
    signature = inspect.signature(lambda a, b, c=1, *rest, d=2: None)
    assert shims.infer_argnums_and_argnames(signature, numbers, names) == expected


def test_frames():
    frame = traceback.extract_stack()[-1]
    assert shims.include_frame(frame)
    folder = str(__file__)
    source.register_exclusion(folder)
    try:
        assert not shims.include_frame(frame)
    finally:
        _src.traceback_util._exclude_paths.remove(folder)
        source._internal_files.clear()


def test_check_close():
    shims.check_close({"a": jnp.ones(2)}, {"a": np.ones(2, np.float32) + 1e-7})
    with pytest.raises(AssertionError, match="mine"):
        shims.check_close(jnp.ones(2), jnp.ones(2) * 1.01, err_msg="mine")
    shims.check_close(jnp.ones(2), jnp.ones(2) * 1.01, rtol=0.1)


def test_one_process_is_process_zero():
    assert (shims.global_state.process_id, shims.global_state.client) == (0, None)
    with pytest.raises(AttributeError):
        shims.global_state.nothing


class _Named:
    """Stands for a function of another module when it is pickled."""

    def __init__(self, module, name, *arguments):
        self.target, self.arguments = (module, name), arguments

    def __reduce__(self):
        return _call, (*self.target, self.arguments)


def _call(module, name, arguments):
    __import__(module)
    return getattr(sys.modules[module], name)(*arguments)


@pytest.mark.parametrize("value", [
    np.arange(6, dtype=np.float32).reshape(2, 3), np.array(True), np.ones((2,), jnp.bfloat16)])
@pytest.mark.parametrize("weak", [False, True])
def test_arrays_pickled_by_jax(value, weak):
    """The layout of such a pickle: a function, how NumPy rebuilds the array, its weak type."""
    make, arguments, state = value.__reduce__()
    pickled = pickle.dumps(_Named("minijax._src.array", "_reconstruct_array", make, arguments,
                                  state, {"weak_type": weak}))
    found = pickle.loads(pickled)
    assert isinstance(found, jax.Array)
    assert (found.dtype, found.weak_type) == (value.dtype, weak)
    np.testing.assert_array_equal(found, value)


def test_structures_and_specs_pickled_by_jax():
    structure = jax.tree.structure({"a": 1, "b": (2, [3, None])})
    assert pickle.loads(pickle.dumps(structure)) == structure
    assert _src.tree_util.default_registry is jax.base.tree.registry
    # Copies of a spec are made by __new__, as `copyreg` asks for a class implemented in C++.
    spec = jax.P.__new__(jax.P, "x", None, unreduced=frozenset(), reduced=frozenset("y"))
    assert spec == jax.P("x", None, reduced={"y"})


@pytest.mark.parametrize("module, name, expected", [
    ("api", "grad", jax.grad), ("nn.functions", "gelu", jax.nn.gelu),
    ("lax.control_flow.conditionals", "cond", jax.lax.cond),
    ("lax.lax", "Precision", jax.lax.Precision), ("random.core", "normal", jax.random.normal),
    ("lax.slicing", "GatherDimensionNumbers", jax.lax.GatherDimensionNumbers),
    ("numpy.lax_numpy", "where", jnp.where), ("numpy.linalg", "norm", jnp.linalg.norm)])
def test_public_names_by_the_private_module_that_defines_them(module, name, expected):
    assert getattr(importlib.import_module(f"minijax._src.{module}"), name) is expected


def test_private_names_of_those_modules_are_absent():
    lax = importlib.import_module("minijax._src.lax.lax")
    with pytest.raises(AttributeError, match=r"'jax._src.lax.lax' has no attribute '_secret'"):
        lax._secret
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        lax.nothing
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("minijax._src.lax.nothing")


def test_a_trace_of_a_library():
    """Operations come to `process_primitive` while the trace of a library is the current one."""
    core = _src.core
    seen = []

    class Counting(core.Trace):
        def process_primitive(self, primitive, args, params):
            seen.append(primitive.name)
            with core.set_current_trace(self.outer):
                return primitive.bind(*args, **params)

    with core.take_current_trace() as outer:
        trace = Counting()
        trace.outer = outer
        with core.set_current_trace(trace):
            out = jax.lax.mul(jax.lax.sin(2.0), 3.0)
    assert seen == ["sin", "mul"]
    assert trace.full_raise(out) is out
    np.testing.assert_allclose(out, 3 * np.sin(2.0), rtol=1e-6)


def test_old_names_for_processes():
    assert (jax.host_id(), jax.host_count(), jax.host_ids()) == (0, 1, [0])
    assert jax.lib.__version__ == importlib.import_module("jaxlib").__version__
