"""What people do wrong, and that each error says what, at which of their lines, and what to write.

Every function here makes one mistake, on the line marked `# !` (else on its last line). The class
and the first line of the message are JAX's; the line of the program and the fix are ours.
"""

import inspect
import math
import re

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax

x3 = jnp.arange(3.0)
m23 = jnp.arange(6.0).reshape(2, 3)
MISTAKES: list[tuple] = []


def mistake(cls, first_line, fix="", at=True, because=""):
    """Register a function: its error's class, the beginning of its text, parts of the rest.

    Without `at` the message names no line, because Python or C++ raises it.
    """
    def register(fun):
        MISTAKES.append((fun, cls, first_line, fix, at, because))
        return fun
    return register


def line_of(fun) -> int:
    lines, first = inspect.getsourcelines(fun)
    marked = [i for i, line in enumerate(lines) if line.rstrip().endswith("# !")]
    return first + (marked[0] if marked else len(lines) - 1)


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case[0].__name__)
def test_what_the_user_reads(case):
    fun, cls, first_line, fix, at, because = case
    with pytest.raises(cls) as raised:
        fun()
    text = str(raised.value)
    assert raised.type is cls
    assert text.startswith(first_line)
    if at:
        assert re.search(rf"\n  at \S*test_mistakes\.py:{line_of(fun)} in ", text), text
        assert "\n  fix: " in text
    assert fix in text.partition("\n  fix: ")[2]
    assert because in text


def test_there_are_many():
    assert len(MISTAKES) > 80


def wrong(x):
    return x + jnp.ones(2)  # !


@pytest.mark.parametrize("call", [
    lambda: jax.jit(wrong)(x3), lambda: jax.jvp(wrong, (x3,), (x3,)), lambda: jax.vjp(wrong, x3),
    lambda: jax.grad(lambda x: jnp.sum(wrong(x)))(x3), lambda: jax.vmap(wrong)(m23),
    lambda: jax.make_jaxpr(wrong)(x3), lambda: jax.eval_shape(wrong, x3),
    lambda: jax.vmap(jax.jit(jax.jacrev(wrong)))(m23), lambda: jax.hessian(wrong)(x3)])
def test_tracebacks_show_the_lines_of_the_user(call):
    with pytest.raises(TypeError) as raised:
        call()
    entries = [(entry.path.name, entry.lineno + 1) for entry in raised.traceback]
    assert entries[-1] == ("test_mistakes.py", line_of(wrong))
    internal = [name for name, _ in entries if name != "test_mistakes.py"]
    assert len(internal) <= 2, internal
    assert raised.value.__cause__ is None and (
        raised.value.__context__ is None or raised.value.__suppress_context__)


# --- Values that are not known while a function is traced --------------------------------------

BOOL = "Attempted boolean conversion of traced array with shape bool[]."
CONCRETE = ("Abstract tracer value encountered where concrete value is expected: traced array "
            "with shape ")
BoolError = jax.errors.TracerBoolConversionError
ConcreteError = jax.errors.ConcretizationTypeError
ArrayError = jax.errors.TracerArrayConversionError
IntegerError = jax.errors.TracerIntegerConversionError


@mistake(BoolError, BOOL, "jax.jit(f, static_argnames='b')",
         because="depends on the argument b of the traced function <lambda>")
def if_on_a_traced_value():
    jax.jit(lambda a, b: a if b > 0 else -a)(1.0, 2.0)


@mistake(BoolError, BOOL, "jax.lax.cond", because="depends on the argument params['w'] of")
def if_on_a_leaf_of_a_tree():
    jax.jit(lambda params: 1.0 if params["w"] > 0 else 2.0)({"w": 1.0, "b": 2.0})


@mistake(BoolError, BOOL, "static_argnames=('x', 'y')", because="depends on the arguments x and y")
def while_on_a_traced_value():
    @jax.jit
    def f(x, y):
        while x < y:  # !
            x = x * 2
        return x
    f(1.0, 8.0)


@mistake(BoolError, BOOL, "jnp.where", because="depends on the argument x")
def and_of_traced_values():
    jax.jit(lambda x: (x > 0) and (x < 1))(1.0)


@mistake(BoolError, BOOL, because="depends on the argument x")
def assert_on_a_traced_value():
    @jax.jit
    def f(x):
        assert x > 0  # !
        return x
    f(1.0)


@mistake(BoolError, BOOL, because="depends on the argument x")
def in_a_list():
    jax.jit(lambda x: 1.0 if x in [1.0, 2.0] else 2.0)(1.0)


@mistake(BoolError, BOOL, "jnp.where",
         because="it is another value for each of the 3 elements that vmap maps over")
def if_under_vmap():
    jax.vmap(lambda x: x if x > 0 else -x)(x3)


@mistake(BoolError, BOOL, "static_argnames='x'", because="depends on the argument x of")
def if_under_grad_under_jit():
    jax.jit(jax.grad(lambda x: x if x > 0 else -x))(1.0)


@mistake(BoolError, BOOL, "jax.lax.cond", because="computed inside the traced function body")
def if_in_the_body_of_a_loop():
    def body(carry, x):
        return (carry if x > 0 else -carry), None  # !
    lax.scan(body, 1.0, x3)


@mistake(ValueError, "The truth value of an array with more than one element is ambiguous. Use "
         "a.any() or a.all()", "x.any()")
def if_on_an_array():
    print("positive" if x3 > 0 else "negative")


@mistake(ValueError, "The truth value of an array with more than one element is ambiguous. Use "
         "a.any() or a.all()", "x.any()")
def if_on_a_traced_array():
    jax.jit(lambda x: 1 if x > 0 else 2)(x3)


@mistake(ArrayError, "The numpy.ndarray conversion method __array__() was called on traced array "
         "with shape float32[3]", "jnp.sin", because="depends on the argument x")
def numpy_function_of_a_tracer():
    jax.jit(lambda x: np.sin(x))(x3)


@mistake(ArrayError, "The numpy.ndarray conversion method __array__() was called on traced array "
         "with shape float32[3]", because="depends on the argument x")
def asarray_of_a_tracer():
    jax.jit(lambda x: np.asarray(x))(x3)


@mistake(ConcreteError, CONCRETE + "float32[]", "x.astype", because="depends on the argument x")
def math_function_of_a_tracer():
    jax.jit(lambda x: math.sin(x))(1.0)


@mistake(ConcreteError, CONCRETE + "float32[]", "static_argnames='x'")
def float_of_a_tracer():
    jax.jit(lambda x: float(x))(1.0)


@mistake(ConcreteError, CONCRETE + "int32[]", "static_argnames='n'")
def int_of_a_tracer():
    jax.jit(lambda n: int(n))(1)


@mistake(ConcreteError, CONCRETE + "float32[]")
def item_of_a_tracer():
    jax.jit(lambda x: x.item())(1.0)


@mistake(ConcreteError, CONCRETE + "float32[3]")
def tolist_of_a_tracer():
    jax.jit(lambda x: x.tolist())(x3)


@mistake(IntegerError, "The __index__() method was called on traced array with shape int32[]",
         "jnp.asarray(items)[i]", because="depends on the argument i")
def a_tracer_as_the_index_of_a_list():
    jax.jit(lambda i: [1, 2, 3][i])(1)


@mistake(IntegerError, "The __index__() method was called on traced array with shape int32[]",
         "jax.lax.fori_loop", because="depends on the argument n")
def a_tracer_as_a_number_of_iterations():
    jax.jit(lambda n: sum(range(n)))(3)


# --- Shapes that depend on values --------------------------------------------------------------

SHAPES = "Shapes must be 1D sequences of concrete values of integer type, got ("


@mistake(jax.errors.NonConcreteBooleanIndexError,
         "Array boolean indices must be concrete; got bool[3]", "jnp.where(mask, x, 0)",
         because="depends on the argument x")
def a_boolean_mask_under_jit():
    jax.jit(lambda x: x[x > 0])(x3)


@mistake(TypeError, SHAPES, "static")
def zeros_of_a_traced_size():
    jax.jit(lambda n: jnp.zeros(n))(3)


@mistake(TypeError, SHAPES, "static")
def reshape_to_a_traced_size():
    jax.jit(lambda x, n: x.reshape(n, -1))(x3, 3)


@mistake(ConcreteError, "Abstract tracer value encountered where concrete value is expected:",
         "static", because="depends on the argument n")
def arange_of_a_traced_size():
    jax.jit(lambda n: jnp.arange(n))(3)


@mistake(ConcreteError, "Abstract tracer value encountered where concrete value is expected:",
         because="depends on the argument x")
def nonzero_under_jit():
    jax.jit(lambda x: jnp.nonzero(x))(x3)


@mistake(ConcreteError, "Abstract tracer value encountered where concrete value is expected:",
         because="depends on the argument x")
def where_with_one_argument_under_jit():
    jax.jit(lambda x: jnp.where(x > 0))(x3)


@mistake(ConcreteError, "Abstract tracer value encountered where concrete value is expected:",
         because="depends on the argument x")
def unique_under_jit():
    jax.jit(lambda x: jnp.unique(x))(x3)


@mistake(IndexError, "Slice entries must be static integers. Got slice(None, ",
         "jax.lax.dynamic_slice")
def a_slice_of_traced_length():
    jax.jit(lambda x, n: x[:n])(x3, 2)


# --- Arrays that cannot be changed -------------------------------------------------------------

IMMUTABLE = ("JAX arrays are immutable and do not support in-place item assignment. Instead of "
             "x[idx] = y, use x = x.at[idx].set(y) or another .at[] method")


@mistake(TypeError, IMMUTABLE, "x.at[index].set(value)")
def item_assignment():
    x3[0] = 1.0


@mistake(TypeError, IMMUTABLE, "x.at[index].set(value)")
def item_increment():
    x3[0] += 1.0


@mistake(TypeError, IMMUTABLE, "x.at[index].set(value)")
def item_assignment_under_jit():
    @jax.jit
    def f(x):
        x[0] = 1.0  # !
        return x
    f(x3)


@mistake(RuntimeError, "Array has been deleted with shape=float32[4].", "x = f(x)",
         because="it was donated to a jitted function")
def a_donated_array_used_again():
    x = jnp.arange(4.0) + 1
    jax.jit(lambda x: x + 1, donate_argnums=0)(x)
    jax.jit(lambda x: x - 3)(x)


@mistake(RuntimeError, "Array has been deleted with shape=float32[4].", "x.copy()")
def a_donated_array_printed():
    x = jnp.arange(4.0) + 1
    jax.jit(lambda x: x + 1, donate_argnums=0)(x)
    str(x)


# --- Tracers that outlive their function -------------------------------------------------------

LEAK = ("Encountered an unexpected tracer. A function transformed by JAX had a side effect, "
        "allowing for a reference to an intermediate value with type float32[] wrapped in a ")


@mistake(jax.errors.UnexpectedTracerError, LEAK, "checking_leaks",
         because="it belongs to the traced function f, and was created on line ")
def a_leaked_tracer():
    kept = []

    @jax.jit
    def f(x):
        kept.append(x * 2)
        return x
    f(1.0)
    kept[0] + 1


@mistake(jax.errors.UnexpectedTracerError, LEAK, "checking_leaks", because="belongs to grad")
def a_tracer_leaked_from_grad():
    kept = []
    jax.grad(lambda x: kept.append(x) or x)(1.0)
    jax.jit(lambda y: jnp.sin(kept[0]) * y)(2.0)


# --- Derivatives -------------------------------------------------------------------------------


@mistake(TypeError, "Gradient only defined for scalar-output functions. Output had shape: (3,).",
         ".sum()")
def grad_of_a_vector():
    jax.grad(lambda x: x * 2)(x3)


@mistake(TypeError, "Gradient only defined for scalar-output functions. Output was (", "has_aux")
def grad_of_a_pair():
    jax.grad(lambda x: (x, x))(1.0)


@mistake(TypeError, "grad requires real- or complex-valued inputs (input dtype that is a sub-dtype "
         "of np.inexact), but got int32.", "x.astype(float)")
def grad_by_an_integer():
    jax.grad(lambda n: n * 2.0)(3)


@mistake(TypeError, "differentiating with respect to argnums=1 requires at least 2 positional "
         "arguments to be passed by the caller, but got only 1 positional arguments.", "argnums")
def grad_by_an_argument_that_is_missing():
    jax.grad(lambda x: x, argnums=1)(1.0)


@mistake(TypeError, "expected function with aux output to return a two-element tuple, but got",
         "return loss, aux")
def aux_that_is_missing():
    jax.grad(lambda x: x, has_aux=True)(1.0)


@mistake(TypeError, "grad requires real-valued outputs (output dtype that is a sub-dtype of "
         "np.floating), but got int32.", "astype(float)")
def grad_of_an_integer():
    jax.grad(lambda x: jnp.argmax(x))(x3)


@mistake(TypeError, "primal and tangent arguments to jax.jvp must have the same tree structure",
         "one tangent for each primal")
def too_few_tangents():
    jax.jvp(lambda x, y: x * y, (1.0, 2.0), (1.0,))


@mistake(TypeError, "primal and tangent arguments to jax.jvp do not match; dtypes must be equal",
         "astype('float32')")
def a_tangent_of_another_dtype():
    jax.jvp(jnp.sin, (1.0,), (1,))


@mistake(ValueError, "jvp called with different primal and tangent shapes", "shape of its primal")
def a_tangent_of_another_shape():
    jax.jvp(jnp.sin, (x3,), (jnp.ones(2),))


@mistake(ValueError, "unexpected JAX type (e.g. shape/dtype) for argument to VJP function: got "
         "float32[2], but expected float32[3]", "jnp.ones_like(out)")
def a_cotangent_of_another_shape():
    jax.vjp(jnp.sin, x3)[1](jnp.ones(2))


@mistake(ValueError, "unexpected tree structure.", "jax.tree.map")
def a_cotangent_of_another_structure():
    jax.vjp(lambda x: (x, x), 1.0)[1](1.0)


@mistake(ValueError, "Reverse-mode differentiation does not work for lax.while_loop or "
         "lax.fori_loop with dynamic start/stop values.", "scan")
def reverse_mode_of_a_while_loop():
    jax.grad(lambda x: lax.while_loop(lambda c: c < 10, lambda c: c * 2, x))(1.0)


@mistake(ValueError, "Reverse-mode differentiation does not work for lax.while_loop or "
         "lax.fori_loop with dynamic start/stop values.", "scan")
def reverse_mode_of_a_loop_of_traced_length():
    jax.jit(jax.grad(lambda x, n: lax.fori_loop(0, n, lambda i, c: c * x, x)))(1.0, 3)


@mistake(AttributeError, "No JVP defined for custom_jvp function f using defjvp.", "@f.defjvp")
def a_custom_rule_that_is_missing():
    @jax.custom_jvp
    def f(x):
        return x
    f(1.0)


@mistake(TypeError, "can't apply forward-mode autodiff (jvp) to a custom_vjp function.")
def forward_mode_of_custom_vjp():
    f = jax.custom_vjp(lambda x: x)
    f.defvjp(lambda x: (x, None), lambda _, ct: (ct,))
    jax.jvp(f, (1.0,), (1.0,))


# --- vmap --------------------------------------------------------------------------------------


@mistake(ValueError, "vmap got inconsistent sizes for array axes to be mapped:\n  * one axis had "
         "size 3: axis 0 of argument a of type float32[3]", "in_axes=None")
def sizes_that_differ():
    jax.vmap(lambda a, b: a + b)(x3, jnp.ones(4))


@mistake(ValueError, "vmap in_axes specification must be a tree prefix of the corresponding value",
         "one int for a whole subtree")
def in_axes_that_are_no_prefix():
    jax.vmap(lambda d: d["a"], in_axes=({"b": 0},))({"a": x3})


@mistake(ValueError, "vmap in_axes must be an int, None, or a tuple of entries corresponding to "
         "the positional arguments passed to the function, but got len(in_axes)=3, len(args)=2",
         "one entry")
def too_many_in_axes():
    jax.vmap(lambda a, b: a, in_axes=(0, 0, 0))(x3, x3)


@mistake(ValueError, "at vmap out_axes, got axis spec None but output was batched on axis 0",
         "the same for every element")
def out_axes_none():
    jax.vmap(lambda x: x, out_axes=None)(x3)


@mistake(ValueError, "vmap was requested to map its argument along axis 0, which implies that its "
         "rank should be at least 1, but is only 0 (its shape is ())", "in_axes=None")
def a_scalar_that_is_mapped():
    jax.vmap(lambda a, b: a * b)(x3, 2.0)


@mistake(NameError, "Found an unbound axis name: batch. To fix this, please call",
         "axis_name='batch'")
def an_axis_without_a_name():
    jax.vmap(lambda x: lax.psum(x, "batch"))(x3)


# --- jit ---------------------------------------------------------------------------------------


@mistake(ValueError, "Non-hashable static arguments are not supported.", at=False)
def a_static_argument_that_cannot_be_hashed():
    jax.jit(lambda x, sizes: x, static_argnums=1)(1.0, [1, 2])


@mistake(ValueError, "Jitted function has invalid argnames {'m'} in static_argnames. Function does "
         "not take these args.", "n, x")
def a_static_argument_that_does_not_exist():
    jax.jit(lambda x, n: x, static_argnames="m")


@mistake(ValueError, "Jitted function has static_argnums=(5,), but only accepts 2 positional "
         "arguments.", "static_argnames")
def a_static_argument_out_of_range():
    jax.jit(lambda x, n: x, static_argnums=5)


@mistake(TypeError, "Error interpreting argument to <function", "static_argnames='mode'",
         because="was passed to the function at path mode")
def a_text_as_an_argument():
    jax.jit(lambda x, mode: x)(1.0, "fast")


@mistake(TypeError, "function <lambda> at ", "arrays and numbers only",
         because="returned a value of type <class 'str'> at output component [1], which is not a")
def a_text_as_a_result():
    jax.jit(lambda x: (x, "done"))(1.0)


@mistake(TypeError, "Expected a callable value, got 0.84", "the function itself")
def jit_of_a_value():
    jax.jit(jnp.sin(1.0))


@mistake(TypeError, "Expected a function, got a generator function", "a tuple or a list")
def jit_of_a_generator():
    def f(x):
        yield x
    jax.jit(f)


@mistake(TypeError, "Argument types differ from the types for which this computation was compiled.",
         at=False)
def other_arguments_than_compiled_for():
    jax.jit(lambda x: x).lower(x3).compile()(jnp.ones(2))


@mistake(FloatingPointError, "invalid value (nan) encountered in log")
def a_nan_where_none_may_be():
    with jax.debug_nans(True):
        jnp.log(-1.0)


# --- Loops and branches ------------------------------------------------------------------------


@mistake(TypeError, "scan body function carry input and carry output must have equal types, but "
         "they differ:\n\nThe input carry total has type int32[] but the corresponding output carry "
         "component has type float32[], so the dtypes do not match.", "float32")
def a_carry_of_another_dtype():
    lax.scan(lambda total, x: (total + x, None), jnp.int32(0), x3)


@mistake(TypeError, "scan body function carry input and carry output must have equal types",
         "shapes")
def a_carry_of_another_shape():
    lax.scan(lambda c, x: (jnp.append(c, x), None), jnp.zeros(1), x3)


@mistake(TypeError, "scan body function carry input and carry output must have the same pytree "
         "structure", "structure")
def a_carry_of_another_structure():
    lax.scan(lambda c, x: ((c, x), None), 0.0, x3)


@mistake(TypeError, "scan body output must be a pair, got ", "return")
def a_scan_without_results():
    lax.scan(lambda c, x: c + x, 0.0, x3)


@mistake(ValueError, "scan got values with different leading axis sizes: 3, 2.", "one length")
def arrays_of_different_lengths():
    lax.scan(lambda c, x: (c, None), 0.0, (x3, jnp.ones(2)))


@mistake(TypeError, "cond branches must have equal output types but they differ.")
def branches_of_different_types():
    lax.cond(True, lambda x: x, lambda x: x.astype(int), 1.0)


@mistake(TypeError, "cond branch outputs must have the same pytree structure, but they differ:")
def branches_of_different_structures():
    lax.cond(True, lambda x: (x, x), lambda x: x, 1.0)


@mistake(TypeError, "Pred must be a scalar, got [0. 1. 2.] of shape (3,).", "jnp.where")
def a_condition_that_is_an_array():
    lax.cond(x3, lambda x: x, lambda x: -x, 1.0)


@mistake(TypeError, "cond_fun must return a boolean scalar, but got output type(s) [")
def a_loop_condition_that_is_no_bool():
    lax.while_loop(lambda c: c, lambda c: c + 1, 0.0)


# --- Shapes and dtypes of operations -----------------------------------------------------------


@mistake(TypeError, "add got incompatible shapes for broadcasting: (3,), (2,).")
def shapes_that_do_not_broadcast():
    x3 + jnp.ones(2)


@mistake(TypeError, "add got incompatible shapes for broadcasting: (3,), (2,).")
def shapes_that_do_not_broadcast_under_jit():
    jax.jit(lambda x: x + jnp.ones(2))(x3)


@mistake(TypeError, "add got incompatible shapes for broadcasting: (3,), (2,).")
def shapes_that_do_not_broadcast_under_vmap():
    jax.vmap(lambda x: x + jnp.ones(2))(jnp.ones((4, 3)))


@mistake(TypeError, "dot_general requires contracting dimensions to have the same shape, got (3,) "
         "and (2,).")
def dot_of_wrong_shapes():
    jnp.dot(x3, jnp.ones(2))


@mistake(TypeError, "dot_general requires contracting dimensions to have the same shape, got (3,) "
         "and (2,).")
def matmul_of_wrong_shapes():
    m23 @ m23


@mistake(ValueError, "Einstein sum subscript 'ij' does not contain the correct number of "
         "indices for operand 0.", "one label per axis")
def einsum_of_wrong_ranks():
    jnp.einsum("ij,jk->ik", x3, m23)


@mistake(ValueError, "Size of label 'j' for operand 1 (3) does not match previous terms (2).")
def einsum_of_wrong_sizes():
    jnp.einsum("ij,jk->ik", m23, m23)


@mistake(TypeError, "Cannot concatenate arrays with different numbers of dimensions: got (2, 3), "
         "(3,).")
def concatenate_of_wrong_ranks():
    jnp.concatenate([m23, x3])


@mistake(TypeError, "Cannot concatenate arrays with shapes that differ in dimensions other than "
         "the one being concatenated: concatenating along dimension 0 for shapes (2, 3), (2, 2).")
def concatenate_of_wrong_sizes():
    jnp.concatenate([m23, jnp.ones((2, 2))])


@mistake(ValueError, "All input arrays must have the same shape. Got (3,), (2,).", "concatenate")
def stack_of_wrong_shapes():
    jnp.stack([x3, jnp.ones(2)])


@mistake(TypeError, "cannot reshape array of shape (3,) (size 3) into shape (2, 2) (size 4)")
def reshape_to_a_wrong_size():
    x3.reshape(2, 2)


@mistake(ValueError, "axis 2 is out of bounds for array of dimension 2", "between -2 and 1")
def an_axis_that_does_not_exist():
    m23.sum(axis=2)


@mistake(ValueError, "Incompatible types for broadcasting: input type=float32[3] and requested "
         "type=float32[2,2]")
def broadcast_to_a_wrong_shape():
    jnp.broadcast_to(x3, (2, 2))


@mistake(IndexError, "Too many indices: array is 2-dimensional, but 3 were indexed")
def too_many_indices():
    m23[0, 0, 0]


@mistake(TypeError, "Indexer must have integer or boolean type, got indexer with type ")
def an_index_that_is_no_integer():
    x3[1.5]


@mistake(TypeError, "Using a non-tuple sequence for multidimensional indexing is not allowed; use "
         "`arr[array(seq)]` instead of `arr[seq]`.", "jnp.array")
def a_list_as_an_index():
    x3[[0, 1]]


@mistake(IndexError, "boolean index did not match shape of indexed array in index 0: got (2,), "
         "expected [3]")
def a_mask_of_another_size():
    x3[jnp.array([True, False])]


@mistake(ValueError, "Incompatible types for broadcasting: input type=float32[3] and requested "
         "type=float32[2]")
def an_update_of_another_shape():
    x3.at[:2].set(jnp.ones(3))


@mistake(TypeError, "sum requires ndarray or scalar arguments, got <class 'list'> at position 0.",
         "jnp.asarray")
def sum_of_a_list():
    jnp.sum([1.0, 2.0])


@mistake(TypeError, "sin requires ndarray or scalar arguments, got <class 'list'> at position 0.",
         "jnp.asarray")
def sin_of_a_list():
    jnp.sin([1.0, 2.0])


@mistake(TypeError, "lax.add requires arguments to have the same dtypes, got float32, int32.")
def dtypes_that_differ_in_lax():
    lax.add(x3, jnp.arange(3))


SIN = ("Error interpreting argument to sin as a JAX value. The problematic value is of type "
       "<class 'list'> and was passed to sin at position 0.")


@mistake(TypeError, SIN, "jnp.asarray")
def a_list_as_an_operand_in_lax():
    lax.sin([1.0, 2.0])


@mistake(TypeError, SIN, "jnp.asarray")
def a_list_as_an_operand_in_lax_under_jit():
    jax.jit(lambda x: lax.sin([x, x]))(1.0)


@mistake(ValueError, "array split does not result in an equal division: rest is 1",
         "jnp.array_split")
def split_into_unequal_parts():
    jnp.split(x3, 2)


@mistake(OverflowError, "Python integer 300 out of bounds for int8", at=False)
def a_number_that_is_too_large():
    jnp.int8(300)


@mistake(ValueError, "Operands could not be broadcast together for add on shapes (2, 3) (3,) and "
         "with the config option jax_numpy_rank_promotion='raise'.", "equal ranks")
def ranks_that_differ_where_they_may_not():
    with jax.numpy_rank_promotion("raise"):
        m23 + x3


# --- Names, keys, trees ------------------------------------------------------------------------


@mistake(AttributeError, "module '", at=False)
def a_name_that_does_not_exist():
    jnp.sinn(1.0)


@mistake(AttributeError, "'jaxlib._jax.ArrayImpl' object has no attribute 'numpy'", at=False)
def a_method_that_does_not_exist():
    x3.numpy()


@mistake(TypeError, "unhashable type: 'jaxlib._jax.ArrayImpl'", at=False)
def an_array_as_a_key_of_a_dict():
    print({x3: 1})


@mistake(TypeError, "JAX encountered invalid PRNG key data: expected key_data to have ndim, shape, "
         "and dtype attributes. Got 0", "jax.random.key(0)")
def a_seed_instead_of_a_key():
    jax.random.normal(0)


@mistake(ValueError, "normal accepts a single key, but was given a key array of shape (2,) != (). "
         "Use jax.vmap for batching.", "jax.vmap")
def many_keys_instead_of_one():
    jax.random.normal(jax.random.split(jax.random.key(0)))


@mistake(TypeError, "PRNG key seed must be an integer; got ", "jax.random.key(0)")
def a_seed_that_is_no_integer():
    jax.random.key(1.5)


@mistake(ValueError, "pytree structure error: different ", at=False)
def trees_of_different_structures():
    jax.tree.map(lambda a, b: a, {"a": 1}, {"b": 1})


@mistake(TypeError, "Argument 'text' of type <class 'str'> is not a valid JAX type", "arrays")
def device_put_of_a_text():
    jax.device_put("text")
