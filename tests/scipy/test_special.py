"""Special functions against SciPy over their domains, derivatives against differences."""

import numpy as np
import pytest
import scipy.special

import minijax as jax
import minijax.numpy as jnp
from minijax.scipy import special

RNG = np.random.default_rng(0)
POSITIVE, OTHER, THIRD = RNG.uniform(0.1, 20, (3, 60))
ANY, ELSE = RNG.normal(size=(2, 60)) * 4
LINE = np.concatenate([np.linspace(-30, 30, 121), np.geomspace(1e-30, 1e5, 71),
                       -np.geomspace(1e-30, 1e5, 71), [np.inf, -np.inf, np.nan, 0.0, -0.0]])
HALF = np.concatenate([np.linspace(0, 60, 121), np.geomspace(1e-30, 1e5, 71), [np.inf, np.nan]])
PLANE = RNG.normal(size=200) * 5 + 1j * RNG.normal(size=200) * 5
UNIT = np.concatenate([np.linspace(0, 1, 51), np.geomspace(1e-300, 0.5, 50), [-0.1, 1.1]])

# name: (arguments, relative tolerance)
CASES = {
    "bernoulli": [((20,), 1e-11)],
    "beta": [((POSITIVE, OTHER), 1e-12), ((ANY, ELSE), 1e-12)],
    "betainc": [((POSITIVE, OTHER, UNIT[:60]), 1e-11)],
    "betaln": [((POSITIVE, OTHER), 1e-11), ((POSITIVE * 1e10, OTHER), 1e-12)],
    "boxcox": [((POSITIVE, ANY), 1e-13), ((POSITIVE, 0 * ANY), 1e-13)],
    "boxcox1p": [((POSITIVE, ANY), 1e-12), ((POSITIVE * 1e-10, ANY), 1e-12)],
    "comb": [((POSITIVE, OTHER), 1e-11), ((np.arange(5.0), 2.0), 1e-12)],
    "dawsn": [((LINE,), 1e-13)],
    "digamma": [((POSITIVE,), 1e-12)],
    "entr": [((LINE,), 1e-15)],
    "erf": [((LINE,), 1e-15)],
    "erfc": [((LINE[LINE < 26],), 1e-13)],
    "erfcx": [((LINE,), 1e-13), ((PLANE,), 1e-12)],
    "erfinv": [((2 * UNIT - 1,), 1e-12)],
    "exp1": [((LINE,), 1e-13)],
    "expi": [((LINE,), 1e-12)],
    "expit": [((LINE,), 1e-15)],
    "expn": [((n, HALF), 1e-13) for n in (0.0, 1.0, 2.0, 5.0, 40.0)],
    "factorial": [((POSITIVE,), 1e-12), ((np.array([-2.0, 0.0, 5.0]),), 1e-13)],
    "fresnel": [((LINE[np.abs(LINE) < 50],), 1e-11), ((np.array([np.inf, -np.inf]),), 1e-15)],
    "gamma": [((LINE[np.abs(LINE) < 31],), 1e-12), ((PLANE,), 1e-12)],
    "gammainc": [((POSITIVE, OTHER), 1e-12)],
    "gammaincc": [((POSITIVE, OTHER), 1e-12)],
    "gammasgn": [((LINE[np.abs(LINE) < 100],), 0)],
    "hyp1f1": [((POSITIVE, OTHER, THIRD), 1e-12)],
    "hyp2f1": [((POSITIVE, OTHER, THIRD, ANY / 20), 1e-8),
               ((ANY / 2, ELSE / 2, THIRD, np.linspace(-3, 0.95, 60)), 1e-10)],
    "i0": [((LINE[np.abs(LINE) < 31],), 1e-14)],
    "i0e": [((LINE,), 1e-14)],
    "i1": [((LINE[np.abs(LINE) < 31],), 1e-14)],
    "i1e": [((LINE,), 1e-14)],
    "kl_div": [((POSITIVE, OTHER), 1e-12), ((ANY, ELSE), 1e-12)],
    "log_ndtr": [((LINE,), 1e-13)],
    "loggamma": [((LINE[LINE > 0],), 1e-12), ((PLANE,), 1e-12)],
    "logit": [((UNIT,), 1e-14)],
    "multigammaln": [((POSITIVE + 2, 4), 1e-13)],
    "ndtr": [((LINE[LINE > -37],), 1e-13)],
    "ndtri": [((UNIT,), 1e-14)],
    "owens_t": [((ANY, ELSE), 1e-12), ((POSITIVE, OTHER), 1e-11),
                ((np.array([0.0, 1.0, 1.0, np.inf]), np.array([1.0, 0.0, np.inf, 1.0])), 1e-15)],
    "poch": [((POSITIVE, OTHER), 1e-11), ((ANY, ELSE), 1e-11), ((-3.0, 2.0), 1e-13)],
    "polygamma": [((np.arange(4)[:, None], POSITIVE), 1e-12)],
    "rel_entr": [((POSITIVE, OTHER), 1e-11), ((ANY, ELSE), 1e-11)],
    "sici": [((LINE,), 1e-12)],
    "spence": [((HALF[np.isfinite(HALF)],), 1e-12)],
    "wofz": [((PLANE,), 1e-12)],
    "xlog1py": [((ANY, POSITIVE), 1e-13), ((0.0, -1.0), 0)],
    "xlogy": [((ANY, POSITIVE), 1e-13), ((0.0, np.array([0.0, np.nan])), 0)],
    "zeta": [((POSITIVE + 1.1, OTHER), 1e-12)],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_as_scipy(name):
    for args, rtol in CASES[name]:
        with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
            found = getattr(special, name)(*args)
        expected = getattr(scipy.special, name)(*args)
        expected = expected if isinstance(expected, tuple) else (expected,)
        for a, b in zip(jax.tree.leaves(found), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-300)


def test_every_function_is_compared():
    elsewhere = {"bessel_jn", "log_softmax", "logsumexp", "lpmn", "lpmn_values", "softmax",
                 "sph_harm_y", "gammaln"}
    assert set(CASES) | elsewhere == set(special.__all__)


@pytest.mark.parametrize("name, args", [("hyp1f1", (1.5, 2.0, 0.5)), ("hyp2f1", (0.5, 1.0, 2.0, 0.25))])
def test_series_in_bfloat16(name, args):
    found = getattr(special, name)(*[jnp.asarray(x, jnp.bfloat16) for x in args])
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(float(found), getattr(scipy.special, name)(*args), rtol=2 ** -7)


@pytest.mark.parametrize("x, dtype, weak", [
    (0.3, "float32", True), (1, "float32", True), (True, "float32", False),
    *[(np.zeros(2, d), "float32", False) for d in (bool, "i1", "i2", "i4", "u1", "u4", "f4")],
    (np.zeros(2, "f2"), "float16", False), (jnp.zeros(2, jnp.bfloat16), "bfloat16", False),
    (np.zeros(2, "c8"), "complex64", False)])
def test_logit_has_the_dtypes_of_jax(x, dtype, weak):
    found = special.logit(x)
    assert (found.dtype.name, found.weak_type) == (dtype, weak)


def test_gammaln_at_its_poles():
    found = special.gammaln(np.float32([0, -1, 0.5, 30.5, np.inf]))
    expected = scipy.special.gammaln(np.float32([0, -1, 0.5, 30.5, np.inf]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_bessel_functions_by_recurrence():
    z = np.linspace(0, 30, 40)
    expected = np.array([scipy.special.jv(k, z) for k in range(6)])
    with jax.enable_x64(True):
        np.testing.assert_allclose(special.bessel_jn(z, v=5, n_iter=80), expected, atol=1e-14)
    np.testing.assert_allclose(special.bessel_jn(z.astype("f"), v=5, n_iter=80), expected,
                               atol=2e-6)


def test_legendre_functions_and_their_derivatives():
    z = np.linspace(-0.9, 0.9, 7)
    expected, slopes = scipy.special.assoc_legendre_p_all(5, 5, z, diff_n=1)
    with jax.enable_x64(True):
        values, derivatives = special.lpmn(5, 5, z)
    np.testing.assert_allclose(values, np.swapaxes(expected, 0, 1)[:6], atol=1e-11)
    np.testing.assert_allclose(derivatives, np.swapaxes(slopes, 0, 1)[:6], atol=1e-10)


def test_spherical_harmonics():
    n, m = np.array([0, 1, 2, 5, 5, 40]), np.array([0, -1, 2, -3, 4, 33])
    theta, phi = np.linspace(0.1, 3, 6), np.linspace(0.1, 6, 6)
    expected = scipy.special.sph_harm_y(n, m, theta, phi)
    with jax.enable_x64(True):
        np.testing.assert_allclose(special.sph_harm_y(n, m, theta, phi), expected, atol=1e-13)
        jitted = jax.jit(special.sph_harm_y, static_argnames="n_max")(n, m, theta, phi, n_max=40)
        np.testing.assert_allclose(jitted, expected, atol=1e-13)
    with pytest.raises(jax.errors.ConcretizationTypeError, match="n_max"):
        jax.jit(special.sph_harm_y)(n, m, theta, phi)


DIFFERENTIABLE = {
    "beta": (1.3, 2.2), "betaln": (1.3, 9.2), "boxcox": (1.3, 0.4), "boxcox1p": (1.3, 0.0),
    "comb": (7.3, 2.2), "dawsn": (1.3,), "entr": (0.4,), "erfcx": (0.7,), "exp1": (1.3,),
    "expi": (1.3,), "fresnel": (1.7,), "gamma": (-1.3,), "hyp1f1": (1.3, 2.2, -0.7),
    "hyp2f1": (0.3, 0.6, 1.2, -0.7), "i0": (1.3,), "i1": (1.3,), "kl_div": (1.3, 0.4),
    "log_ndtr": (-3.0,), "loggamma": (1.3,), "logit": (0.3,), "ndtri": (0.3,),
    "owens_t": (0.7, 1.6), "poch": (1.3, 2.2), "rel_entr": (1.3, 0.4), "sici": (5.3,),
    "spence": (0.3,), "xlog1py": (1.3, 0.4), "xlogy": (1.3, 0.4),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_derivatives(name):
    args, fun, step = DIFFERENTIABLE[name], getattr(special, name), 1e-5
    with jax.enable_x64(True):
        jacobian = jax.jit(jax.jacfwd(fun, tuple(range(len(args)))))(*args)
        for i in range(len(args)):
            ahead, behind = [fun(*[a + s * step * (i == j) for j, a in enumerate(args)])
                             for s in (1, -1)]
            for out, (p, q) in enumerate(zip(jax.tree.leaves(ahead), jax.tree.leaves(behind))):
                slope = jacobian[out][i] if isinstance(ahead, tuple) else jacobian[i]
                np.testing.assert_allclose(slope, (p - q) / (2 * step), rtol=1e-7, atol=1e-8)


def test_complex_derivatives():
    z, step = 0.7 + 0.4j, 1e-6
    with jax.enable_x64(True):
        for fun in (special.wofz, special.loggamma, special.erfcx, special.gamma):
            slope = jax.grad(fun, holomorphic=True)(z)
            difference = (fun(z + step) - fun(z - step)) / (2 * step)
            np.testing.assert_allclose(slope, difference, rtol=1e-8)


def test_derivatives_at_the_edges():
    assert jax.grad(special.xlogy)(0.0, 3.0) == np.log(np.float32(3))
    assert jax.grad(special.xlog1py, 1)(0.0, 3.0) == 0
    assert jax.grad(special.entr)(0.0) == np.inf
    assert jax.grad(special.spence)(1.0) == -1
    np.testing.assert_allclose(jax.grad(special.betaln)(np.float32(1e20), 1.0), -1e-20, atol=1e-9)
    assert np.isfinite(jax.grad(special.log_ndtr)(-1e10))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_single(dtype):
    x = jnp.asarray([0.3, 1.7, 4.0], dtype)
    for name in ("dawsn", "erfcx", "expi", "exp1"):
        found = getattr(special, name)(x)
        assert found.dtype == dtype
        expected = getattr(scipy.special, name)(np.asarray(x, np.float64))
        np.testing.assert_allclose(np.asarray(found, np.float64), expected,
                                   rtol=float(jnp.finfo(dtype).eps))


@pytest.mark.parametrize("text, error, message", [
    ("ndtr(1)", TypeError, "x.dtype=int32 is not supported, see docstring"),
    ("polygamma(1.5, 2.0)", ValueError, "must be of integer type. Got dtype float32"),
    ("zeta(2.0)", NotImplementedError, "Riemann zeta function not implemented"),
    ("factorial(3, exact=True)", NotImplementedError, "factorial with exact=True"),
    ("log_ndtr(1.0, 31)", ValueError, "series_order must be <= 30"),
    ("lpmn(2, 3, jnp.zeros(2))", NotImplementedError, "Computations for m!=n"),
    ("sici(1j)", ValueError, "must be real-valued"),
    ("fresnel(1j)", NotImplementedError, "complex-valued inputs"),
    ("dawsn(1j)", ValueError, "dawsn does not support complex"),
])
def test_mistakes(text, error, message):
    with pytest.raises(error, match=message):
        eval(f"special.{text}", {"special": special, "jnp": jnp})
