"""Shape operations: results, equations recorded, and the first lines of their errors."""

from __future__ import annotations

import numpy as np
import pytest

import minijax as jax
from minijax import lax

F32 = np.dtype("float32")
I32 = np.dtype("int32")


def spec(*shape, dtype=F32):
    return jax.ShapeDtypeStruct(shape, dtype)


X23 = np.arange(6, dtype=np.float32).reshape(2, 3)
X13 = X23[:1]


def names(fun, *args):
    return [e.primitive.name for e in jax.make_jaxpr(fun)(*args).eqns]


@pytest.mark.parametrize("fun, recorded", [
    (lambda x: lax.broadcast(x, ()), []),
    (lambda x: lax.broadcast(x, (4,)), ["broadcast_in_dim"]),
    (lambda x: lax.broadcast_in_dim(x, (2, 3), (0, 1)), []),
    (lambda x: lax.broadcast_in_dim(x, (3, 2), (1, 0)), ["transpose", "broadcast_in_dim"]),
    (lambda x: lax.broadcast_to_rank(x, 2), []),
    (lambda x: lax.broadcast_to_rank(x, 4), ["broadcast_in_dim"]),
    (lambda x: lax.reshape(x, (2, 3)), []),
    (lambda x: lax.reshape(x, 6), ["reshape"]),
    (lambda x: lax.reshape(x, (6,), (0, 1)), ["reshape"]),
    (lambda x: lax.reshape(x, (6,), (1, 0)), ["transpose", "reshape"]),
    (lambda x: lax.transpose(x, (0, 1)), []),
    (lambda x: lax.transpose(x, np.array([1, 0])), ["transpose"]),
    (lambda x: lax.squeeze(x, ()), []),
    (lambda x: lax.expand_dims(x, (0, -1)), ["broadcast_in_dim"]),
    (lambda x: lax.concatenate([x], 0), []),
    (lambda x: lax.collapse(x, 1), []),
    (lambda x: lax.full_like(x, 2), ["broadcast_in_dim"]),
    (lambda x: lax.full((), 1.0), []),
    (lambda x: lax.stage(1.0), []),
])
def test_only_what_changes_is_recorded(fun, recorded):
    assert names(fun, spec(2, 3)) == recorded


@pytest.mark.parametrize("fun, error, text", [
    (lambda x: lax.broadcast(x, (-1,)), TypeError,
     "broadcast_in_dim shape must have every element be nonnegative, got (-1, 2, 3)."),
    (lambda x: lax.full((1.5,), x), TypeError,
     "Shapes must be 1D sequences of concrete values of integer type, got (1.5,)."),
    (lambda x: lax.broadcast_in_dim(x, (2.0, 3), (0, 1)), TypeError,
     "broadcast_in_dim shape must have every element be an integer type, got (<class 'float'>, "
     "<class 'int'>)."),
    (lambda x: lax.broadcast_in_dim(x, (2, 4), (0, 1)), TypeError,
     "broadcast_in_dim operand dimension sizes must either be 1, or be equal to their "
     "corresponding dimensions in the target broadcast shape; got operand of shape (2, 3), "
     "target broadcast shape (2, 4), broadcast_dimensions (0, 1) "),
    (lambda x: lax.broadcast_in_dim(x, (2, 3), (0,)), TypeError,
     "broadcast_in_dim broadcast_dimensions must have length equal to operand ndim; got "
     "broadcast_dimensions (0,) for operand ndim 2."),
    (lambda x: lax.broadcast_in_dim(x, (2, 3), (0, 5)), TypeError,
     "broadcast_in_dim broadcast_dimensions must be a subset of output dimensions, got (0, 5) "
     "for operand ndim 2 and shape (2, 3)."),
    (lambda x: lax.reshape(x, (-1,)), TypeError,
     "reshape new_sizes must all be positive, got (-1,)."),
    (lambda x: lax.reshape(x, (7,)), TypeError,
     "reshape total size must be unchanged, got new_sizes (7,) (total size 7) for shape (2, 3) "
     "(total size 6)."),
    (lambda x: lax.reshape(x, (6,), (1, 1)), TypeError,
     "reshape dimensions must be a permutation of operand dimensions, got dimensions (1, 1) for "
     "shape (2, 3)."),
    (lambda x: lax.transpose(x, (0, 0)), TypeError,
     "transpose permutation isn't a permutation of operand dimensions, got permutation (0, 0) "
     "for operand shape (2, 3)."),
    (lambda x: lax.squeeze(x, (0,)), ValueError,
     "cannot select an axis to squeeze out which has size not equal to one, got shape=(2, 3) and "
     "dimensions=(0,)"),
    (lambda x: lax.squeeze(x, (5,)), ValueError,
     "axis 5 is out of bounds for array of dimension 2"),
    (lambda x: lax.expand_dims(x, (0, 0)), ValueError,
     "repeated axis in lax.expand_dims: (0, 0)"),
    (lambda x: lax.concatenate([], 0), ValueError,
     "concatenate requires a non-empty sequences of arrays"),
    (lambda x: lax.concatenate([x, x], -1), TypeError,
     "concatenate dimension out of bounds: dimension -1 for shapes (2, 3), (2, 3)."),
    (lambda x: lax.concatenate([x, lax.transpose(x, (1, 0))], 0), TypeError,
     "Cannot concatenate arrays with shapes that differ in dimensions other than the one being "
     "concatenated: concatenating along dimension 0 for shapes (2, 3), (3, 2)."),
    (lambda x: lax.concatenate([x, lax.reshape(x, 6)], 0), TypeError,
     "Cannot concatenate arrays with different numbers of dimensions: got (2, 3), (6,)."),
    (lambda x: lax.concatenate([x, np.ones((2, 3), I32)], 0), TypeError,
     "lax.concatenate requires arguments to have the same dtypes, got float32, int32. (Tip: "
     "jnp.concatenate is a similar function that does automatic type promotion on inputs)."),
    (lambda x: lax.pad(x, 0, [(1, 1, 0)] * 2), TypeError,
     "pad operand and padding_value must be same dtype: got float32 and int32."),
    (lambda x: lax.pad(x, 0.0, [(1, 1, 0)]), ValueError,
     "length of padding_config must equal the number of axes of operand, got padding_config "
     "((1, 1, 0),) for operand shape (2, 3)"),
    (lambda x: lax.pad(x, 0.0, [(-2, -1, 0), (0, 0, 0)]), ValueError,
     "Dimension size after padding is not at least 0, got result shape (-1, 3), for "
     "padding_config ((-2, -1, 0), (0, 0, 0)) and operand shape (2, 3)"),
    (lambda x: lax.rev(x, (2,)), TypeError,
     "rev dimensions must all be less than operand ndim, got dimensions (2,) for operand ndim 2."),
    (lambda x: lax.split(x, (1, 2)), ValueError,
     "Sum of sizes 3 must be equal to dimension 0 of the operand shape [2, 3]"),
    (lambda x: lax.split(x, (3, -1)), ValueError,
     "Sizes passed to split must be nonnegative, got [3, -1]"),
    (lambda x: lax.tile(x, (2,)), TypeError,
     "reps length must be equal to the ndim of x, got len(reps)=1 and x.ndim=2."),
    (lambda x: lax.stack([x, lax.reshape(x, 6)]), ValueError,
     "All input arrays must have the same shape. Got (2, 3), (6,)."),
    (lambda x: lax.collapse(x, 2, 1), ValueError,
     "Invalid dimension range passed to collapse: (2, 3)[2:1]"),
    (lambda x: lax.full((2,), x), TypeError,
     "full must be called with scalar fill_value, got fill_value.shape (2, 3)."),
    (lambda x: lax.broadcasted_iota(np.int32, (2, 3), 2), ValueError,
     "iota dimension must be between 0 and len(shape), got dimension=2 for shape=(2, 3)"),
    (lambda x: lax.broadcasted_iota(bool, (2, 3), 1), TypeError,
     "iota does not accept dtype bool. Accepted dtypes are subtypes of integer, floating, "
     "complexfloating."),
    (lambda x: lax.broadcast_like(x, np.ones(3, F32)), ValueError,
     "Cannot broadcast to shape with fewer dimensions: arr_shape=(2, 3) shape=(3,)"),
    (lambda x: lax.broadcast_like(x, np.ones((2, 4), F32)), ValueError,
     "Incompatible types for broadcasting: input type=float32[2,3] and requested "
     "type=float32[2,4]"),
])
def test_first_line_of_errors(fun, error, text):
    with pytest.raises(error) as caught:
        jax.make_jaxpr(fun)(spec(2, 3))
    assert str(caught.value).split("\n")[0] == text


@pytest.mark.parametrize("fun, expected", [
    (lambda: lax.broadcast(X23, (2,)), np.stack([X23, X23])),
    (lambda: lax.broadcast_in_dim(X23, (3, 2), (1, 0)), X23.T),
    (lambda: lax.broadcast_in_dim(X13, (3, 2), (1, 0)), np.broadcast_to(X13.T, (3, 2))),
    (lambda: lax.reshape(X23, (6,), (1, 0)), X23.T.ravel()),
    (lambda: lax.rev(X23, (1,)), X23[:, ::-1]),
    (lambda: lax.tile(X23, (2, 1)), np.tile(X23, (2, 1))),
    (lambda: lax.concatenate(X23, 0), X23.ravel()),
    (lambda: lax.stack([X23, X23], -1), np.stack([X23, X23], -1)),
    (lambda: lax.pad(X13[0], 9.0, [(1, -1, 1)]), np.float32([9, 0, 9, 1, 9])),
    (lambda: lax.pad(np.zeros(0, F32), 1.0, [(1, 1, 2)]), np.ones(2, F32)),
    (lambda: lax.iota(np.int32, 3), np.arange(3, dtype=np.int32)),
    (lambda: lax.broadcasted_iota(np.float32, (2, 3), 0), np.float32([[0] * 3, [1] * 3])),
    (lambda: lax.full((2,), 3, np.float32), np.float32([3, 3])),
    (lambda: lax.full_like(X13, 2.7, dtype=np.int32), np.int32([[2, 2, 2]])),
    (lambda: lax.broadcast_like(X13, X23), np.broadcast_to(X13, (2, 3))),
    (lambda: lax.expand_dims(X23, (1,)), X23[:, None]),
    (lambda: lax.collapse(X23[None], 0, 2), X23),
])
def test_values(fun, expected):
    out = fun()
    assert isinstance(out, jax.Array) and out.dtype == expected.dtype
    np.testing.assert_array_equal(np.asarray(out), expected)


def test_split_and_unstack():
    first, rest = lax.split(X23, (1, 2), axis=-1)
    assert first.shape == (2, 1) and rest.shape == (2, 2)
    rows = lax.unstack(X23)
    assert type(rows) is tuple and [r.shape for r in rows] == [(3,), (3,)]
    assert lax.unstack(np.ones((0, 2), F32)) == ()


@pytest.mark.parametrize("shapes, result", [
    (((2, 3), (3,)), (2, 3)), (((), ()), ()), (((2, 1), (1, 3)), (2, 3)), (((0, 1), (1,)), (0, 1)),
])
def test_broadcast_shapes(shapes, result):
    assert lax.broadcast_shapes(*shapes) == result


def test_broadcast_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"Incompatible shapes for broadcasting: shapes=\[\(2, 3"):
        lax.broadcast_shapes((2, 3), (4,))


@pytest.mark.parametrize("fun, weak", [
    (lambda x: lax.broadcast(x, (2,)), True), (lambda x: lax.full((2,), x), True),
    (lambda x: lax.full((2,), 1), True), (lambda x: lax.full((2,), x, np.float32), False),
    (lambda x: lax.full_like(x, 1), True), (lambda x: lax.full_like(x, 1, dtype=float), False),
    (lambda x: lax.stack([x, x]), True), (lambda x: lax.stack([x, np.float32(1)]), False),
    (lambda x: lax.pad(x, 0.0, []), True), (lambda x: lax.reshape(x, (1,)), True),
    (lambda x: lax.iota(int, 3), False),
])
def test_weak_types(fun, weak):
    assert jax.make_jaxpr(fun)(1.0).out_avals[0].weak_type is weak


def test_pad_cuts_exactly_what_it_added_when_transposed():
    def total(x, value):
        y = lax.pad(x, value, [(1, -1, 2), (0, 2, 1)])
        weight = lax.broadcasted_iota(np.float32, y.shape, 1)
        return lax.reduce_sum(lax.mul(y, weight), (0, 1))
    gx, gv = jax.grad(total, (0, 1))(X23, np.float32(0))
    np.testing.assert_array_equal(np.asarray(gx), [[0, 2, 4], [0, 0, 0]])
    assert float(gv) == 4 * sum(range(7)) - 6


def test_unused_pieces_of_a_split_have_zero_gradient():
    def last(x):
        return lax.reduce_sum(lax.split(x, (1, 2), 1)[1], (0, 1))
    np.testing.assert_array_equal(np.asarray(jax.grad(last)(X23)), [[0, 1, 1], [0, 1, 1]])


def test_full_of_a_traced_value_converts_it():
    assert names(lambda x: lax.full((2,), x, np.float32), spec(dtype=I32)) == [
        "convert_element_type", "broadcast_in_dim"]
    assert float(jax.grad(lambda x: lax.reduce_sum(lax.full((4,), x), (0,)))(2.0)) == 4.0


def test_empty():
    x = lax.empty((2, 3), np.int32)
    assert x.shape == (2, 3) and x.dtype == I32


def test_shape_as_value_of_sizes_that_are_no_numbers():
    made = jax.export.export(jax.jit(lambda x: lax.shape_as_value(x.shape)))(
        jax.ShapeDtypeStruct(jax.export.symbolic_shape("a, b, 3"), np.float32))
    np.testing.assert_array_equal(made.call(np.ones((2, 5, 3), np.float32)), [2, 5, 3])
