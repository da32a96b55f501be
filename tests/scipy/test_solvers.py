"""Minimization, iterative solvers and rotations; differential equations."""

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
from scipy.spatial import transform as scipy_transform

import minijax as jax
import minijax.numpy as jnp
from minijax.experimental.ode import odeint
from minijax.scipy.optimize import minimize
from minijax.scipy.sparse import linalg
from minijax.scipy.spatial.transform import Rotation, Slerp

RNG = np.random.default_rng(0)
LBFGS = "l-bfgs-experimental-do-not-rely-on-this"


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


@pytest.mark.parametrize("method", ["BFGS", LBFGS])
def test_minima(method):
    with jax.enable_x64(True):
        found = jax.jit(lambda x: minimize(rosenbrock, x, method=method, options=dict(
            gtol=1e-8, **({"ftol": 0.0} if method == LBFGS else {}))))(np.zeros(6))
        np.testing.assert_allclose(found.x, np.ones(6), atol=1e-7)
        assert found.success and found.status == 0 and found.nit < 80
        assert np.abs(found.jac).max() < 1e-8
        scaled = minimize(lambda x, s: jnp.sum((s * x) ** 2), np.ones(3), (1e4,), method=method)
        np.testing.assert_allclose(scaled.x, 0, atol=1e-6)
    stopped = minimize(rosenbrock, np.zeros(6, "f"), method=method, options=dict(maxiter=3))
    assert not stopped.success and stopped.status == 1 and stopped.nit == 3


@pytest.mark.parametrize("method", ["BFGS", LBFGS])
def test_complex_unknowns(method):
    target = np.array([1 + 2j, -3j, 0.5])
    with jax.enable_x64(True):
        found = minimize(lambda z: jnp.sum(jnp.abs(z - target) ** 2), np.zeros(3, complex),
                         method=method)
    np.testing.assert_allclose(found.x, target, atol=1e-6)


def test_same_minimum_as_scipy():
    def himmelblau(p):
        x, y = p
        return (x ** 2 + y - 11) ** 2 + (x + y ** 2 - 7) ** 2

    for start in ([92.0, 0.001], [1.0, 1.0], [-3.0, 2.0]):
        with jax.enable_x64(True):
            ours = minimize(himmelblau, np.array(start), method="bfgs", tol=1e-8).x
        theirs = scipy.optimize.minimize(himmelblau, start, method="BFGS", tol=1e-8).x
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_mistakes_of_minimize():
    with pytest.raises(TypeError, match="args argument to jax.scipy.optimize.minimize must be"):
        minimize(rosenbrock, np.zeros(2), args=1, method="BFGS")
    with pytest.raises(ValueError, match="Method other not recognized"):
        minimize(rosenbrock, np.zeros(2), method="other")


def systems(complex_):
    a = RNG.normal(size=(6, 6)) + (1j * RNG.normal(size=(6, 6)) if complex_ else 0)
    return a, a @ a.conj().T + np.eye(6), RNG.normal(size=6) + 0 * a[0]


@pytest.mark.parametrize("complex_", [False, True])
def test_linear_systems(complex_):
    a, positive, b = systems(complex_)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        rough = np.linalg.inv(positive + 0.1 * np.eye(6))
        for m in (None, rough, lambda x: x):
            x, info = linalg.cg(positive, b, tol=1e-12, M=m)
            np.testing.assert_allclose(positive @ x, b, atol=1e-9)
            assert info is None
        for method in ("batched", "incremental"):
            x, info = linalg.gmres(a, b, tol=1e-12, solve_method=method)
            np.testing.assert_allclose(a @ x, b, atol=1e-9)
            assert info == 0
            few, _ = linalg.gmres(positive, b, tol=1e-10, restart=3, solve_method=method)
            np.testing.assert_allclose(positive @ few, b, atol=1e-7)
        x, _ = linalg.bicgstab(positive, b, tol=1e-11)
        np.testing.assert_allclose(positive @ x, b, atol=1e-8)


def test_systems_of_trees_and_their_derivatives():
    _, positive, b = systems(False)

    def solve(scale, b):
        def operator(x):
            return {"u": scale * (positive @ x["u"]) + x["v"], "v": x["u"] + 40 * x["v"]}
        return linalg.cg(operator, {"u": b, "v": b[::-1]}, tol=1e-13)[0]["u"]

    with jax.enable_x64(True):
        whole = np.block([[2 * positive, np.eye(6)], [np.eye(6), 40 * np.eye(6)]])
        np.testing.assert_allclose(solve(2.0, b), np.linalg.solve(whole, [*b, *b[::-1]])[:6],
                                   rtol=1e-9)
        slope = jax.grad(lambda s: jnp.sum(solve(s, b)))(2.0)
        difference = np.sum(solve(2.0 + 1e-5, b) - solve(2.0 - 1e-5, b)) / 2e-5
        np.testing.assert_allclose(slope, difference, rtol=1e-6)
        jacobian = jax.jacrev(lambda b: linalg.cg(positive, b, tol=1e-13)[0])(b)
        np.testing.assert_allclose(jacobian, np.linalg.inv(positive), atol=1e-9)


@pytest.mark.parametrize("solver", [linalg.cg, linalg.bicgstab, linalg.gmres])
def test_operands_of_solvers(solver):
    x, _ = solver(lambda x: 2 * x, 1.0)
    assert x.weak_type and x == 0.5
    with pytest.raises(ValueError, match="x0 and b must have matching tree structure"):
        solver(lambda x: x, {"x": 1.0}, {"y": 1.0})
    with pytest.raises(ValueError, match="x0 and b must have matching shape"):
        solver(lambda x: x, np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="linear operator must be a square matrix"):
        solver(np.ones((2, 3)), np.ones(2))
    with pytest.raises(TypeError, match="linear operator must be either a function or ndarray"):
        solver([[1]], np.ones(1))


QUATS, VECTORS = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 3))
METHODS = {
    "as_quat": lambda r: r.as_quat(canonical=True),
    "as_quat scalar first": lambda r: r.as_quat(canonical=True, scalar_first=True),
    "as_rotvec": lambda r: r.as_rotvec(degrees=True),
    "as_matrix": lambda r: r.as_matrix(),
    "as_mrp": lambda r: r.as_mrp(),
    "as_euler xyz": lambda r: r.as_euler("xyz"),
    "as_euler ZXZ": lambda r: r.as_euler("ZXZ", degrees=True),
    "as_euler zxz": lambda r: r.as_euler("zxz"),
    "as_euler YXZ": lambda r: r.as_euler("YXZ"),
    "apply": lambda r: r.apply(VECTORS),
    "apply inverse": lambda r: r.apply(VECTORS, inverse=True),
    "product": lambda r: (r * r[::-1].inv()).as_matrix(),
    "mean": lambda r: r.mean(np.arange(1.0, 7)).as_matrix(),
    "magnitude": lambda r: r.magnitude(),
    "len": len,
    "iteration": lambda r: [x.as_matrix() for x in r],
}


@pytest.mark.parametrize("name", METHODS)
def test_rotations(name):
    with jax.enable_x64(True), jax.numpy_rank_promotion("raise"):
        found = METHODS[name](Rotation.from_quat(QUATS))
    expected = METHODS[name](scipy_transform.Rotation.from_quat(QUATS))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_making_rotations():
    theirs = scipy_transform.Rotation
    with jax.enable_x64(True):
        for seq in ("x", "zy", "xyz", "ZXZ"):
            angles = RNG.normal(size=(5, len(seq)))
            np.testing.assert_allclose(Rotation.from_euler(seq, angles).as_matrix(),
                                       theirs.from_euler(seq, angles).as_matrix(), atol=1e-12)
        for name in ("from_rotvec", "from_mrp"):
            found = getattr(Rotation, name)(VECTORS)
            again = getattr(found, name.replace("from", "as"))()
            np.testing.assert_allclose(getattr(Rotation, name)(again).as_matrix(),
                                       getattr(theirs, name)(VECTORS).as_matrix(), atol=1e-12)
        matrices = theirs.from_quat(QUATS).as_matrix()
        np.testing.assert_allclose(Rotation.from_matrix(matrices).as_matrix(), matrices,
                                   atol=1e-12)
        joined = Rotation.concatenate([Rotation.identity(), Rotation.from_quat(QUATS)])
        assert len(joined) == 7 and not joined.single and Rotation.identity().single
        lengths = jnp.linalg.norm(Rotation.random(jax.random.key(0), 3).as_quat(), axis=-1)
        np.testing.assert_allclose(lengths, 1)
        tiny = Rotation.from_rotvec(np.array([1e-12, 0, 0]))
        assert jax.grad(lambda v: Rotation.from_rotvec(v).as_rotvec()[0])(np.zeros(3))[0] == 1
        np.testing.assert_allclose(tiny.as_rotvec()[0], 1e-12)
    with pytest.raises(TypeError, match="Single rotation has no len"):
        len(Rotation.identity())
    with pytest.raises(ValueError, match="Expected consecutive axes to be different"):
        Rotation.from_euler("xxy", np.zeros(3))


def test_interpolated_rotations():
    times, wanted = np.array([0.0, 1, 3, 4, 6, 7]), np.array([0.0, 0.5, 3.5, 7])
    theirs = scipy_transform.Slerp(times, scipy_transform.Rotation.from_quat(QUATS))
    with jax.enable_x64(True):
        ours = Slerp.init(times, Rotation.from_quat(QUATS))
        np.testing.assert_allclose(ours(wanted).as_matrix(), theirs(wanted).as_matrix(), atol=1e-9)
        np.testing.assert_allclose(ours(0.5).as_matrix(), theirs(0.5).as_matrix(), atol=1e-9)
    with pytest.raises(TypeError, match="`rotations` must be a `Rotation` instance"):
        Slerp.init(times, QUATS)


def pendulum(y, t, friction, gravity):
    return jnp.stack([y[1], -friction * y[1] - gravity * jnp.sin(y[0]) + 0.1 * t])


def test_differential_equations():
    start, times = np.array([3.0, 0.0]), np.linspace(0, 1, 4)
    expected = scipy.integrate.solve_ivp(
        lambda t, y: [y[1], -0.25 * y[1] - 9.8 * np.sin(y[0]) + 0.1 * t], (0, 1), start,
        t_eval=times, rtol=1e-12, atol=1e-12).y.T
    with jax.enable_x64(True):
        found = odeint(pendulum, start, times, 0.25, 9.8)
        np.testing.assert_allclose(found, expected, atol=2e-7)
        turned = odeint(lambda y, t: {"a": 1j * y["a"]}, {"a": 1 + 0j}, times)["a"]
        np.testing.assert_allclose(turned, np.exp(1j * times), atol=1e-7)
        short = odeint(lambda y, t: -y, 1.0, np.array([0.0, 1.0]), hmax=0.05)
        np.testing.assert_allclose(short[1], np.exp(-1), rtol=1e-8)


def test_derivatives_of_differential_equations():
    start, times, step = np.array([3.0, 0.0]), np.linspace(0, 1, 4), 1e-5

    @jax.jit
    def loss(start, times, friction, gravity):
        return jnp.sum(odeint(pendulum, start, times, friction, gravity) ** 2)

    with jax.enable_x64(True):
        args = start, times, 0.25, 9.8
        gradients = jax.jit(jax.grad(loss, (0, 1, 2, 3)))(*args)
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 2), (1, 3), (2, ()), (3, ())):
            def moved(sign):
                arg = np.array(args[i])
                arg[j] += sign * step
                return loss(*args[:i], arg, *args[i + 1:])
            difference = (moved(1) - moved(-1)) / (2 * step)
            np.testing.assert_allclose(gradients[i][j], difference, rtol=1e-5, atol=1e-5)
    with pytest.raises(TypeError, match="t must be an array of floats"):
        odeint(pendulum, start, np.arange(3), 0.25, 9.8)
    with pytest.raises(TypeError, match="contents of odeint .args must be arrays or scalars"):
        odeint(pendulum, start, times, "friction", 9.8)
