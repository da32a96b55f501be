"""Mistakes in calls of jax.numpy: class and beginning of the message are JAX's.

The first line names the function called and the shapes of all arrays given to it, and is the same
whether the call is made on arrays or inside of a function that is being compiled.
"""

import re

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp

x, m, z = jnp.arange(3.0), jnp.ones((2, 3)), jnp.ones((2, 3, 4))
ARRAYS = {"x": x, "m": m, "z": z, "i": jnp.arange(3), "b": x > 0, "c": x + 1j}

# call | class | how the first line begins
CALLS = """
jnp.sum(m, axis=7) | ValueError | axis 7 is out of bounds for array of dimension 2
jnp.mean(m, axis=2) | IndexError | axis 2 is out of bounds for ar
jnp.max(m, axis=(0,0)) | ValueError | duplicate value in 'axis': (0, 0)
jnp.argmax(m, axis=2) | IndexError | axis 2 is out of bounds for ar
jnp.argmin(x, axis=-2) | IndexError | axis -2 is out of bounds for a
jnp.sort(x, axis=1) | ValueError | axis 1 is out of bounds for array of dimension 1
jnp.cumsum(m, axis=3) | ValueError | axis 3 is out of bounds for array of dimension 2
jnp.flip(x, 7) | ValueError | axis 7 is out of bounds for array of dimension 1
jnp.expand_dims(x, 5) | ValueError | axis 5 is out of bounds for array of dimension 2
jnp.squeeze(m, 0) | ValueError | cannot select an axis to squeeze out which has size not
jnp.squeeze(m, 4) | ValueError | axis 4 is out of bounds for array of dimension 2
jnp.swapaxes(m, 0, 5) | IndexError | axis 5 is out of bounds for ar
jnp.moveaxis(m, 0, 5) | ValueError | axis 5 is out of bounds for array of dimension 2
jnp.moveaxis(m, (0,1), (0,)) | ValueError | Inconsistent number of elements: 2 vs 1
jnp.transpose(m, (0,)) | TypeError | transpose permutation isn't a permutation of operand di
jnp.transpose(m, (0,0)) | TypeError | transpose permutation isn't a permutation of operand di
jnp.rollaxis(m, 4) | ValueError | axis 4 is out of bounds for array of dimension 2
jnp.roll(m, 1, axis=9) | ValueError | axis 9 is out of bounds for array of dimension 2
jnp.roll(m, (1,2), axis=(0,1,0)) | ValueError | shape mismatch: objects cannot be broadcast to a single
jnp.rot90(x) | ValueError | rot90 requires its first argument to have ndim at least
jnp.stack([x, m]) | ValueError | Cannot stack arrays with different numbers of dimension
jnp.stack([x, x], axis=4) | ValueError | axis 4 is out of bounds for array of dimension 2
jnp.stack([]) | ValueError | Need at least one array to stack.
jnp.concatenate([x, m]) | TypeError | Cannot concatenate arrays with different numbers of dim
jnp.concatenate([m, z]) | TypeError | Cannot concatenate arrays with different numbers of dim
jnp.concatenate([m, jnp.ones((2,4))]) | TypeError | Cannot concatenate arrays with shapes that differ in di
jnp.concatenate(x, x) | ValueError | jnp.concatenate takes one sequence of arrays; got 2
jnp.stack(x, m) | TypeError | jnp.stack takes one sequence of arrays; got 2
jnp.hstack(x, x) | ValueError | jnp.hstack takes one sequence of arrays; got 2
jnp.concatenate([]) | ValueError | Need at least one array to concatenate.
jnp.concatenate([jnp.float32(1)]) | ValueError | Zero-dimensional arrays cannot be concatenated.
jnp.concatenate(3.0) | TypeError | concatenate needs a sequence o
jnp.vstack([x, jnp.ones(4)]) | TypeError | Cannot concatenate arrays with shapes that differ in di
jnp.hstack([m, x]) | TypeError | Cannot concatenate arrays with different numbers of dim
jnp.split(m, 2, axis=1) | ValueError | array split does not result in an equal division: rest
jnp.split(m, 2, axis=5) | IndexError | axis 5 is out of bounds for ar
jnp.vsplit(x, 2) | ValueError | array split does not result in an equal division: rest
jnp.hsplit(jnp.float32(1), 2) | IndexError | axis 1 is out of bounds for ar
jnp.dsplit(m, 2) | IndexError | axis 2 is out of bounds for ar
jnp.reshape(m, (4, 2)) | TypeError | cannot reshape array of shape (2, 3) (size 6) into shap
jnp.broadcast_to(m, (3, 3)) | ValueError | Incompatible types for broadcasting: input type=float32
jnp.broadcast_to(m, (3,)) | ValueError | Cannot broadcast to shape with fewer dimensions: arr_sh
jnp.broadcast_arrays(m, jnp.ones(4)) | ValueError | Incompatible shapes for broadcasting: shapes=[(2, 3), (
jnp.broadcast_shapes((2,), (3,)) | ValueError | Incompatible shapes for broadcasting: shapes=[(2,), (3,
jnp.add(m, jnp.ones(4)) | ValueError | Incompatible shapes for broadcasting: shapes=[(2, 3), (
jnp.where(b, m, jnp.ones(4)) | ValueError | Incompatible shapes for broadcasting: shapes=[(3,), (2,
jnp.where(b, x) | TypeError | where requires ndarray or scalar arguments, got <class
jnp.matmul(m, m) | TypeError | dot_general requires contracting dimensions to have the
jnp.matmul(m, 3.0) | ValueError | matmul input operand 1 must have ndim at least 1, but i
jnp.dot(m, m) | TypeError | dot_general requires contracting dimensions to have the
jnp.vdot(x, m) | TypeError | dot_general requires contracting dimensions to have the
jnp.inner(m, x[:2]) | TypeError | dot_general requires contracting dimensions to have the
jnp.tensordot(m, m, 1) | TypeError | dot_general requires contracting dimensions to have the
jnp.tensordot(m, m, ((0,), (1, 2))) | TypeError | tensordot requires axes lists to have equal length, got
jnp.einsum('ij,jk', m, m) | ValueError | Size of label 'j' for operand 1 (3) does not match prev
jnp.einsum('ij', x) | ValueError | Einstein sum subscript 'ij' does not contain the correc
jnp.einsum('ij->k', m) | ValueError | Output character 'k' did not appear in the input
jnp.einsum('i,i', x) | ValueError | Number of einsum subscripts, 2, must be equal to the nu
jnp.cross(jnp.ones(4), jnp.ones(4)) | ValueError | Dimension must be either 2 or 3 for cross product
jnp.kron(x, [1]) | TypeError | kron requires ndarray or scalar arguments, got <class '
jnp.outer([1], x) | TypeError | outer requires ndarray or scalar arguments, got <class
jnp.trace(x) | ValueError | axis 1 is out of bounds for array of dimension 1
jnp.diag(z) | ValueError | diag input must be 1d or 2d
jnp.diagonal(x) | ValueError | diagonal requires an array of at least two dimensions.
jnp.tril(x[0]) | ValueError | Argument to jax.numpy.tril must be at least 2D
jnp.take(m, i, axis=4) | ValueError | axis 4 is out of bounds for array of dimension 2
jnp.take(m, x) | ValueError | indices must have an integer type
jnp.take_along_axis(m, i, axis=0) | ValueError | indices and arr must have the same number of dimensions
jnp.take_along_axis(m, x[None], axis=0) | TypeError | take_along_axis indices must be of integer type, got fl
jnp.searchsorted(m, x) | ValueError | a should be 1-dimensional
jnp.searchsorted(x, x, side='middle') | ValueError | invalid argument side='middle', expected 'left' or 'rig
jnp.interp(x, x, i[:2]) | ValueError | xp and fp must be one-dimensional arrays of equal size
jnp.interp(x, m, m) | ValueError | xp and fp must be one-dimensional arrays of equal size
jnp.pad(m, ((1, 1),) * 3) | ValueError | jnp.pad: pad_width with nd=2 has unsupported shape (3,
jnp.pad(m, 1, mode='nope') | NotImplementedError | Unimplemented padding mode 'nope' for np.pad.
jnp.pad(m, -1) | ValueError | index can't contain negative values
jnp.pad(m, 1.5) | TypeError | `pad_width` must be of integral type.
jnp.clip(c, 0, 1) | ValueError | Clip received a complex value either through the input
jnp.linspace(0, 1, -1) | ValueError | Number of samples, -1, must be non-negative.
jnp.eye(-1) | ValueError | negative dimensions are not allowed, got -1 and None
jnp.zeros(-1) | TypeError | broadcast_in_dim shape must have every element be nonne
jnp.zeros('a') | TypeError | Shapes must be 1D sequences of concrete values of integ
jnp.ones((2, 1.5)) | TypeError | Shapes must be 1D sequences of concrete values of integ
jnp.full((2,), jnp.ones(3)) | ValueError | Incompatible
jnp.array([[1, 2], [3]]) | ValueError | setting an array element with a sequence. The requested
jnp.array('abc') | TypeError | Value 'abc' with dtype <U3 is not a valid JAX array typ
jnp.array([None]) | ValueError | None is not a valid value for jnp.array
jnp.tile(x, 1.5) | TypeError | Shapes must be 1D sequences of concrete values of integ
jnp.tile(x, (1, 2.0)) | TypeError | Shapes must be 1D sequences of concrete values of integ
jnp.insert(x, i[None], 1.0) | ValueError | obj must be a slice, a one-dimensional array, or a scal
jnp.broadcast_to(x, (-1,)) | ValueError | Incompatible types for broadcasting: input type=float32
jnp.zeros(3, object) | TypeError | JAX only supports number, bool, and string dtypes, got
jnp.zeros(3, 'datetime64') | TypeError | JAX only supports number, bool, and string dtypes, got
jnp.sin([1.0]) | TypeError | sin requires ndarray or scalar arguments, got <class 'l
jnp.sin('a') | TypeError | sin requires ndarray or scalar
jnp.sin(None) | TypeError | sin requires ndarray or scalar arguments, got <class 'N
jnp.add(x, [1, 2, 3]) | TypeError | add requires ndarray or scalar arguments, got <class 'l
jnp.sum([1, 2]) | TypeError | sum requires ndarray or scalar arguments, got <class 'l
jnp.bitwise_and(x, 1) | TypeError | and does not accept dtype float32 at position 0. Accept
jnp.gcd(x, 2) | ValueError | Arguments to jax.numpy.gcd must be integers.
jnp.bitwise_count(x) | TypeError | population_count does not accept dtype float32. Accepte
jnp.maximum(c, [1]) | TypeError | maximum requires ndarray or scalar arguments, got <clas
jnp.floor(c) | TypeError | floor does not accept dtype complex64. Accepted dtypes
jnp.fmod(c, 2) | TypeError | rem does not accept dtype complex64 at position 0. Acce
jnp.cbrt(c) | TypeError | cbrt does not accept dtype complex64. Accepted dtypes a
jnp.sign('1') | TypeError | sign requires ndarray or scala
jnp.median(c) | ValueError | quantile does not support complex input, as the operati
jnp.quantile(x, 0.5, method='nope') | ValueError | method can only be 'linear', 'lower', 'higher', 'midpoi
jnp.percentile(c, 3) | ValueError | quantile does not support complex input, as the operati
jnp.bincount(x) | TypeError | x argument to bincount must have an integer type; got f
jnp.bincount(m) | TypeError | x argument to bincount must have an integer type; got f
jnp.digitize(x, m) | ValueError | digitize: bins must be a 1-dimensional array; got bins
jnp.average(m, weights=jnp.ones(4)) | ValueError | Axis must be specified when shapes of a and weights dif
jnp.average(m, axis=0, weights=jnp.ones(4)) | ValueError | Shape of weights must be consistent with shape of a alo
jnp.cov(z) | ValueError | m has more than 2 dimensions
jnp.polyval([1], x) | TypeError | polyval requires ndarray or scalar arguments, got <clas
jnp.polyfit(x, m, 1) | TypeError | expected x and y to have same length
jnp.vander(m) | ValueError | x must be a one-dimensional array
jnp.gradient(x[:1]) | ValueError | Shape of array too small to calculate a numerical gradi
jnp.gradient(m, 1.0, 2.0, 3.0) | TypeError | Invalid number of spacing arguments 3 for axis=None
jnp.diff(x, -1) | ValueError | order must be non-negative but got -1
jnp.diff(3.0) | ValueError | diff requires input that is at least one dimensional; g
jnp.convolve(m, x) | ValueError | convolve() only support 1-dimensional inputs.
jnp.convolve(x, x, mode='nope') | ValueError | mode must be one of ['full', 'same', 'valid']
jnp.select([b], [x, x]) | ValueError | condlist must have length equal to choicelist (1 vs 2)
jnp.piecewise(x, [b], [1, 2, 3]) | ValueError | with 1 condition(s), either 1 or 2 functions are expect
jnp.apply_along_axis(jnp.sum, 4, m) | ValueError | axis 4 is out of bounds for array of dimension 2
jnp.delete(x, 7) | ValueError | axis 7 is out of bounds for array of dimension 3
jnp.append(m, x, axis=0) | TypeError | Cannot concatenate arrays with different numbers of dim
jnp.block([[m], [z[0]]]) | TypeError | Cannot concatenate arrays with shapes that differ in di
jnp.compress(m, x) | ValueError | condition must be a 1D array
jnp.fill_diagonal(m, 0) | NotImplementedError | JAX arrays are immutable, must use inplace=False
jnp.fill_diagonal(x, 0, inplace=False) | ValueError | array must be at least 2-d
jnp.put(x, 0, 1) | ValueError | jax.numpy.put cannot modify arrays in-place, because JA
jnp.place(x, b, x) | ValueError | jax.numpy.place cannot modify arrays in-place, because
jnp.packbits(x) | TypeError | Expected an input array of integer or boolean data type
jnp.unpackbits(i) | TypeError | Expected an input array of unsigned byte data type
jnp.fft.fft(x, norm='n') | ValueError | Invalid norm value n; should be "backward","ortho" or "
jnp.fft.fft(x, axis=4) | ValueError | axis 4 is out of bounds for array of dimension 1
jnp.fft.rfft(c) | ValueError | only real valued inputs supported for rfft
jnp.fft.fft2(x) | ValueError | axis -2 is out of bounds for array of dimension 1
jnp.fft.fftn(m, (1, 2, 3)) | ValueError | jax.numpy.fft.fftn got 3 lengt
jnp.linalg.inv(m) | ValueError | Argument to inv must have shape [..., n, n], got (2, 3)
jnp.linalg.norm(z, axis=(0, 1, 2)) | ValueError | Improper number of axes for norm: axis=(0, 1, 2). Pass
jnp.meshgrid(m) | ValueError | Arguments to jax.numpy.meshgrid must be 1D, got shapes
jnp.meshgrid(x, x, indexing='ab') | ValueError | Valid values for indexing are 'xy' and 'ij', got ab
jnp.ix_(m) | ValueError | Arguments to jax.numpy.ix_ must be 1-dimensional, got s
jnp.tri(-1) | TypeError | broadcast_in_dim shape must ha
jnp.isin(x, None) | TypeError | isin requires ndarray or scalar arguments, got <class '
jnp.partition(x, 9) | ValueError | axis 9 is out of bounds for array of dimension 3
jnp.partition(x, 1, axis=3) | ValueError | axis 3 is out of bounds for array of dimension 1
jnp.lexsort(3) | TypeError | iteration over a 0-d array
jnp.ldexp(x, x) | ValueError | ldexp not supported for input types (dtype('float32'),
jnp.frexp(c) | TypeError | frexp does not support complex-valued inputs
jnp.sinc([0]) | TypeError | sinc requires ndarray or scalar arguments, got <class '
jnp.nan_to_num('a') | TypeError | nan_to_num requires ndarray or
jnp.copysign(c, c) | TypeError | copysign does not support complex-valued inputs
jnp.reshape(m, (2, 3), order='A') | NotImplementedError | np.reshape order=A is not implemented.
jnp.ravel(m, order='K') | NotImplementedError | Ravel not implemented for order='K'.
jnp.sum(m, out=m) | NotImplementedError | The 'out' argument to jnp.sum is not supported.
jnp.sum(m, where=x[:2]) | ValueError | jnp.sum: where must be None or a boolean array; got whe
jnp.sum(m, where=i) | ValueError | jnp.sum: where must be None or a boolean array; got whe
jnp.max(m, where=b) | ValueError | reduction operation max does not have an identity, so t
jnp.max(jnp.ones((0,))) | ValueError | zero-size array to reduction operation max which has no
jnp.argmax(1j * m) | TypeError | argmin and argmax do not accept dtype complex64
jnp.argmax(jnp.ones((0,))) | ValueError | attempt to get argmax of an empty sequence
"""

# Reading and updating at an index: the first line ends with what was indexed.
INDICES = """
m[0, 0, 0] | IndexError | Too many indices: array is 2-dimensional, but 3 were in
m[x] | TypeError | Indexer must have integer or boolean type, got indexer
m['a'] | TypeError | JAX does not support string indexing; got idx='a'
m[[0, 1]] | TypeError | Using a non-tuple sequence for multidimensional indexin
m[..., ...] | IndexError | an index can only have a single ellipsis ('...')
x[1.0] | TypeError | Indexer must have integer or boolean type, got indexer
x.at[x].set(0) | TypeError | Indexer must have integer or boolean type, got indexer
x.at[0].set(jnp.ones(2)) | ValueError | Incompatible types for broadca
m.at[0, 0, 0].add(1) | IndexError | Too many indices: array is 2-dimensional, but 3 were in
m[0, 1.5] | TypeError | Indexer must have integer or boolean type, got indexer
m[np.ones(3, bool)] | IndexError | boolean index did not match shape of indexed array in i
m[:, None, :, :] | IndexError | Too many indices: array is 2-dimensional, but 3 were in
z[i, i[:2]] | ValueError | Incompatible shapes for broadcasting: shapes=[(3,), (2
x.at[np.ones(3, bool)].add(m) | ValueError | Incompatible types for broadcasting
m.at['a'].mul(x) | TypeError | JAX does not support string indexing; got idx='a'
m.at[i, i].max(z) | ValueError | Incompatible types for broadcasting
"""

# Operators and methods: their messages name operations and shapes as JAX does.
EXPRESSIONS = """
m.std(axis=5) | IndexError | axis 5 is out of bounds for ar
m.transpose(0,2) | ValueError | axis 2 is out of bounds for array of dimension 2
m.reshape(5, -1) | TypeError | cannot reshape array of shape (2, 3) (size 6) into shap
m.reshape(-1, -1) | TypeError | can only specify one unknown axis size with a `-1` valu
m + jnp.ones((3, 3)) | TypeError | add got incompatible shapes for broadcasting: (2, 3), (
m @ x[:2] | TypeError | dot_general requires contracting dimensions to have the
x.astype('S1') | TypeError | JAX only supports number, bool, and string dtypes, got
x + [1, 2, 3] | TypeError | unsupported operand type(s) for +: 'ArrayImpl' and 'lis
x + 'a' | TypeError | unsupported operand type(s) for +: 'jaxlib._jax.ArrayIm
x + None | TypeError | unsupported operand type(s) for +: 'jaxlib._jax.ArrayIm
x & 1 | TypeError | and does not accept dtype float32 at position 0. Accept
x << 1 | TypeError | shift_left does not accept dtype float32 at position 0.
~x | TypeError | not does not accept dtype float32. Accepted dtypes are
-b | TypeError | neg does not accept dtype bool. Accepted dtypes are sub
b - b | TypeError | sub does not accept dtype bool at position 0. Accepted
jnp.zeros(3, x) | ValueError | Passing an array as a dtype argument is no longer sup
x.astype(x) | ValueError | Passing an array as a dtype argument is no longer sup
jnp.tril(m, 1.5) | TypeError | 'float' object cannot be interpreted as an integer
jnp.triu_indices(1.5) | TypeError | 'float' object cannot be interpreted as an integer
jax.nn.one_hot(i, 2.0) | TypeError | only integer scalar arrays can be converted to a scalar
"""


def cases(table: str) -> list[list[str]]:
    return [line.split(" | ") for line in table.strip().splitlines()]


def first_line(text: str, compiled: bool) -> tuple[str, str]:
    """Class and first line of the error of an expression over ARRAYS."""
    def run(arrays):
        return eval(text, {"jnp": jnp, "np": np, "jax": jax, **arrays})

    with pytest.raises(Exception) as raised:
        jax.jit(run)(ARRAYS) if compiled else run(ARRAYS)
    return raised.type.__name__, str(raised.value).splitlines()[0]


@pytest.mark.parametrize("text, cls, begins", cases(CALLS), ids=lambda part: part[:50])
def test_names_the_function_and_all_shapes(text, cls, begins):
    found, line = first_line(text, False)
    assert found == cls and line.startswith(begins), line
    called = text[4:text.index("(")].rpartition(".")[2]
    assert called in line
    for name in set(re.findall(r"(?<![\w.'])[xmzibc](?![\w'(\[])", text)):
        shape = ARRAYS[name].shape
        assert str(shape) in line or f"[{','.join(map(str, shape))}]" in line, line
    assert first_line(text, True) == (cls, line)


@pytest.mark.parametrize("text, cls, begins", cases(INDICES), ids=lambda part: part[:50])
def test_names_the_index_and_all_shapes(text, cls, begins):
    found, line = first_line(text, False)
    assert found == cls and line.startswith(begins), line
    for name in set(re.findall(r"(?<![\w.'])[xmzib](?![\w'(])", text)):
        array = ARRAYS[name]
        assert f"{array.dtype}[{','.join(map(str, array.shape))}]" in line, line
    assert first_line(text, True) == (cls, line)


@pytest.mark.parametrize("text, cls, begins", cases(EXPRESSIONS), ids=lambda part: part[:50])
def test_operators_and_methods(text, cls, begins):
    found, line = first_line(text, False)
    assert found == cls and line.startswith(begins), line
    assert found == first_line(text, True)[0]


def test_there_are_many():
    assert len(cases(CALLS)) > 140 and len(cases(INDICES) + cases(EXPRESSIONS)) > 25


def test_the_call_shows_only_what_was_given():
    _, line = first_line("jnp.sum(m, axis=7, keepdims=False)", False)
    assert line.endswith(" in jnp.sum(float32[2,3], axis=7)")
    _, line = first_line("jnp.apply_along_axis(jnp.sum, 4, m)", True)
    assert line.endswith("in jnp.apply_along_axis(func1d=sum, axis=4, float32[2,3])")
    _, line = first_line("jnp.vstack([x, (m, 2)[0][:, :2]])", False)
    assert line.endswith("In jnp.vstack([float32[3], float32[2,2]])")


SIZES = {
    "the 'num' argument": [lambda n: jnp.linspace(0, 1, n), lambda n: jnp.logspace(0, 1, n),
                           lambda n: jnp.geomspace(1, 2, n)],
    "the 'length' argument of jnp.bincount": [
        lambda n: jnp.bincount(jnp.arange(3), length=n)],
    "the 'minlength' argument of jnp.bincount": [
        lambda n: jnp.bincount(jnp.arange(3), minlength=n, length=3)],
    "the number of points of a window": [
        jnp.bartlett, jnp.blackman, jnp.hamming, jnp.hanning, lambda n: jnp.kaiser(n, 2.0)],
    "the 'size' argument of jnp.nonzero": [lambda n: jnp.nonzero(x, size=n)],
    "the 'size' argument of jnp.unique": [lambda n: jnp.unique(x, size=n)],
    "the 'size' argument of jnp.union1d": [lambda n: jnp.union1d(x, x, size=n)],
    "the 'n' argument": [jnp.tril_indices, jnp.triu_indices],
    "the 'x' argument of jax.random.permutation": [
        lambda n: jax.random.permutation(jax.random.key(0), n)],
}


@pytest.mark.parametrize("what, fun", [(what, fun) for what in SIZES for fun in SIZES[what]])
def test_traced_sizes_are_refused_by_name(what, fun):
    with pytest.raises(jax.errors.ConcretizationTypeError, match=f"It arose in {what}\\."):
        jax.jit(fun)(3)
    fun(3)
    fun(jnp.asarray(3))
