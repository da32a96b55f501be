"""Functions of arrays on generated operands: shapes, dtypes, axes, masks, empty and wrong ones.

NumPy and SciPy say the values, and which calls are mistakes; JAX says dtypes and weak types
(tests/data/numpy_dtypes.json, by function and dtypes of the operands).
"""

import json
import operator
import types
import warnings

import hypothesis
import numpy as np
import pytest
import scipy.fft
import scipy.integrate
import scipy.linalg
import scipy.signal
import scipy.special
import scipy.stats
from hypothesis import strategies as st

import minijax as jax
from tests.data import record_dtypes, record_table
from tests.numpy.draws import CALLS, Draw
from tests.numpy.test_table import public_functions

RECORDED = json.loads((record_table.HERE / "numpy_dtypes.json").read_text())["x32"]


def softplus(x):
    return np.logaddexp(x, 0)


def ramp(x):
    return np.clip(x + 3, 0, 6) / 6


# The functions of jax.nn, said in NumPy.
NN = types.SimpleNamespace(
    celu=lambda x: np.where(x > 0, x, np.expm1(x)),
    elu=lambda x: np.where(x > 0, x, np.expm1(x)),
    gelu=lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    glu=lambda x, axis: operator.mul(*[f(part) for f, part in zip(
        (np.array, scipy.special.expit), np.split(x, 2, axis))]),
    hard_sigmoid=ramp,
    hard_silu=lambda x: x * ramp(x),
    hard_swish=lambda x: x * ramp(x),
    hard_tanh=lambda x: np.clip(x, -1, 1),
    identity=np.array,
    leaky_relu=lambda x: np.where(x > 0, x, 0.01 * x),
    log1mexp=lambda x: np.log(-np.expm1(-x)),
    log_sigmoid=lambda x: -softplus(-x),
    log_softmax=scipy.special.log_softmax,
    logmeanexp=lambda x, axis: scipy.special.logsumexp(x, axis) - np.log(x.shape[axis]),
    logsumexp=scipy.special.logsumexp,
    mish=lambda x: x * np.tanh(softplus(x)),
    relu=lambda x: np.maximum(x, 0),
    relu6=lambda x: np.clip(x, 0, 6),
    selu=lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    sigmoid=scipy.special.expit,
    silu=lambda x: x * scipy.special.expit(x),
    soft_sign=lambda x: x / (1 + abs(x)),
    softmax=scipy.special.softmax,
    softplus=softplus,
    sparse_plus=lambda x: np.where(x < -1, 0, np.where(x > 1, x, (x + 1) ** 2 / 4)),
    sparse_sigmoid=lambda x: np.clip((x + 1) / 2, 0, 1),
    squareplus=lambda x: (x + np.sqrt(x * x + 4)) / 2,
    standardize=lambda x, axis: (x - x.mean(axis, keepdims=True)) / np.sqrt(
        x.var(axis, keepdims=True) + 1e-5),
    swish=lambda x: x * scipy.special.expit(x),
    tanh=np.tanh)
THEIRS = types.SimpleNamespace(numpy=np, nn=NN, scipy=scipy)

# What no generated call fits: creation, files, Python functions, dtypes, results that are unique up
# to signs or order only.  Fixed calls compare these, and nn.initializers (tests/data/table.txt).
FIXED = """
apply_along_axis apply_over_axes arange argpartition array array_repr array_str asarray astype
bartlett blackman block broadcast_shapes can_cast choose diag_indices einsum_path empty empty_like
eye fft.fftfreq fft.rfftfreq fill_diagonal from_dlpack frombuffer fromfile fromfunction fromiter
frompyfunc fromstring full geomspace get_printoptions hamming hanning histogram2d histogramdd
identity indices isdtype isscalar issubdtype iterable ix_ kaiser lexsort linalg.eig linalg.eigh
linalg.eigvals linalg.lstsq linalg.multi_dot linalg.qr linalg.svd linalg.tensorinv
linalg.tensorsolve linspace load logspace mask_indices meshgrid nn.dot_product_attention
nn.get_scaled_dot_general_config nn.one_hot nn.scaled_dot_general nn.scaled_matmul ones packbits
place poly polydiv polyfit printoptions promote_types put put_along_axis ravel_multi_index
result_type roots save savez scipy.cluster.vq.vq scipy.interpolate.RegularGridInterpolator
scipy.linalg.cho_factor scipy.linalg.cho_solve scipy.linalg.companion
scipy.linalg.convolution_matrix scipy.linalg.eigh scipy.linalg.eigh_tridiagonal
scipy.linalg.expm_frechet scipy.linalg.fiedler_companion scipy.linalg.funm scipy.linalg.hessenberg
scipy.linalg.leslie scipy.linalg.lu scipy.linalg.lu_solve scipy.linalg.polar scipy.linalg.qr
scipy.linalg.qr_multiply scipy.linalg.rsf2csf scipy.linalg.schur scipy.linalg.solve_sylvester
scipy.linalg.sqrtm scipy.linalg.svd scipy.ndimage.map_coordinates scipy.optimize.OptimizeResults
scipy.optimize.minimize scipy.signal.csd scipy.signal.istft scipy.signal.stft scipy.signal.welch
scipy.sparse.linalg.bicgstab scipy.sparse.linalg.cg scipy.sparse.linalg.gmres
scipy.spatial.transform.Rotation scipy.spatial.transform.Slerp scipy.special.bernoulli
scipy.special.bessel_jn scipy.special.expn scipy.special.hyp2f1 scipy.special.lpmn
scipy.special.lpmn_values scipy.special.multigammaln scipy.special.polygamma
scipy.special.sph_harm_y scipy.special.zeta scipy.stats.bernoulli.cdf scipy.stats.bernoulli.logpmf
scipy.stats.bernoulli.pmf scipy.stats.bernoulli.ppf scipy.stats.betabinom.logpmf
scipy.stats.betabinom.pmf scipy.stats.binom.logpmf scipy.stats.binom.pmf
scipy.stats.dirichlet.logpdf scipy.stats.dirichlet.pdf scipy.stats.gaussian_kde
scipy.stats.geom.logpmf scipy.stats.geom.pmf scipy.stats.mode scipy.stats.multinomial.logpmf
scipy.stats.multinomial.pmf scipy.stats.multivariate_normal.logpdf
scipy.stats.multivariate_normal.pdf scipy.stats.nbinom.logpmf scipy.stats.nbinom.pmf
scipy.stats.poisson.cdf scipy.stats.poisson.entropy scipy.stats.poisson.logpmf
scipy.stats.poisson.pmf scipy.stats.rankdata scipy.stats.sem set_printoptions tri tril_indices
triu_indices unpackbits unravel_index vectorize zeros
""".split()


def find(root, name):
    other = name.startswith(("nn.", "scipy."))
    return operator.attrgetter(name)(root if other else root.numpy)


def widened(value):
    """An operand as NumPy gets it: of 64 bits, if it is not of integers."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(widened, value))
    value = np.asarray(value) if isinstance(value, jax.Array) else value
    if isinstance(value, np.ndarray) and value.dtype.kind not in "biu":
        return value.astype(np.complex128 if value.dtype.kind == "c" else np.float64)
    return value


def answer(function, args, kwargs):
    """The leaves of what a call gives, or its error."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return record_table.leaves(function(*args, **kwargs))
    except Exception as error:
        return error


def recorded(name, dtypes):
    """The dtype that JAX gives, or the class of its error; None where it is not recorded."""
    row = RECORDED.get(" ".join([name, *dtypes[:-1]]))
    return row and row.split(" ")[record_dtypes.DTYPES.index(dtypes[-1])]


def check(name, dtypes, args, kwargs):
    """Ours is an error where theirs is one, else of JAX's dtypes and of NumPy's values."""
    theirs = answer(find(THEIRS, name), widened(args), kwargs)
    ours, wanted = answer(find(jax, name), args, kwargs), recorded(name, dtypes)
    shown = f"{name}{args} {kwargs}: {ours!r} for {wanted} {theirs!r}"
    if isinstance(ours, Exception):
        mistakes = (ValueError, TypeError, IndexError, NotImplementedError, AssertionError)
        assert isinstance(ours, mistakes), shown
        assert isinstance(theirs, Exception) or type(ours).__name__ == wanted, shown
        return
    if wanted:
        types_of = [record_table.type_of(leaf) for leaf in ours]
        found = [text.partition("[")[0] + "*" * text.endswith("*") for text in types_of]
        assert found == wanted.split(","), shown
    if isinstance(theirs, Exception):
        assert isinstance(theirs, TypeError), shown  # NumPy has no such function of the dtype
        return
    theirs = [np.asarray(b).astype(a.dtype) if getattr(a, "dtype", np.dtype("O")).kind in "iu"
              else b for a, b in zip(ours, theirs, strict=True)]
    assert record_table.same(ours, theirs), shown


SETTINGS = hypothesis.settings(  # raise max_examples to look for more
    max_examples=2, deadline=None, derandomize=True, database=None,
    phases=[hypothesis.Phase.generate], suppress_health_check=list(hypothesis.HealthCheck))


def marked(name):
    slow = name.startswith("scipy.stats.")  # compared on grids in tests/scipy
    return pytest.param(name, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize("name", list(map(marked, CALLS)))
@SETTINGS
@hypothesis.given(data=st.data())
def test_as_numpy(name, data):
    draw = Draw(data)
    args, kwargs = CALLS[name](draw)
    check(name, draw.dtypes, args, kwargs)


def test_every_function_is_compared():
    rest = {name for name in public_functions() - set(CALLS) if "initializers" not in name}
    assert CALLS.keys() <= public_functions() and rest == set(FIXED)
