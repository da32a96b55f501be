"""Operations that are objects: their methods are the rules of every transformation."""

from dataclasses import dataclass

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.experimental import hijax
from minijax.experimental.hijax import VJPHiPrimitive


class Power(VJPHiPrimitive):
    """x ** power, with derivatives that are wrong by a factor, to be recognised."""

    def __init__(self, aval, power):
        self.in_avals, self.out_aval, self.params = (aval,), aval, dict(power=power)
        super().__init__()

    def expand(self, x):
        return x ** self.power


class Both(Power):
    def jvp(self, primals, tangents):
        return self(*primals), 10 * tangents[0]

    def vjp_fwd(self, nzs_in, x):
        assert nzs_in == (True,)
        return self(x), {"x": x}

    def vjp_bwd_retval(self, res, ct):
        return (100 * ct * res["x"],)

    def batch_dim_rule(self, axis_data, dims):
        return dims[0]


class Accumulated(Power):
    def vjp_fwd(self, nzs_in, x):
        return self(x), x

    def vjp_bwd(self, res, ct, accum):
        accum.accum(ct * res)
        accum.accum(ct)


class Split(Power):
    def lin(self, nzs_in, x):
        return self(x), x

    def linearized(self, x, t):
        return 7 * t * x


def call(cls, x, power=3):
    return cls(jax.typeof(x), power)(x)


def test_evaluation_and_text():
    assert call(Power, 2.0) == 8.0 == jax.jit(lambda x: call(Power, x))(2.0)
    assert "call_hi_primitive[_prim=Power[{'power': 3}]] a" in str(
        jax.make_jaxpr(lambda x: call(Power, x))(2.0))
    aval = jax.typeof(2.0)
    assert Power(aval, 2) == Power(aval, 2) != Power(aval, 3) != Both(aval, 3)
    assert hash(Power(aval, 2)) == hash(Power(aval, 2))


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.checkpoint])
def test_its_own_derivatives(wrap):
    both = wrap(lambda x: call(Both, x))
    assert jax.jvp(both, (2.0,), (1.0,)) == (8.0, 10.0)
    assert jax.grad(both)(2.0) == 200.0
    assert jax.grad(wrap(lambda x: call(Accumulated, x)))(2.0) == 3.0
    split = wrap(lambda x: call(Split, x))
    assert jax.linearize(split, 2.0)[1](1.0) == 14.0 == jax.grad(split)(2.0)


def test_mapped_it_keeps_its_derivatives():
    xs, f = jnp.arange(6.0).reshape(2, 3), lambda x: call(Both, x)
    np.testing.assert_array_equal(jax.vmap(f)(xs), xs ** 3)
    np.testing.assert_array_equal(jax.vmap(f, 1, 1)(xs), xs ** 3)
    np.testing.assert_array_equal(jax.vmap(jax.vmap(f))(xs), xs ** 3)
    np.testing.assert_array_equal(jax.grad(lambda x: jax.vmap(f)(x).sum())(xs), 100 * xs)
    np.testing.assert_array_equal(jax.vmap(jax.vmap(jax.grad(f)))(xs), 100 * xs)
    np.testing.assert_array_equal(jax.jvp(jax.vmap(f), (xs,), (xs,))[1], 10 * xs)


class Product(VJPHiPrimitive):
    def __init__(self, aval, wanted):
        self.in_avals, self.out_aval, self.params = (aval, aval), aval, dict(wanted=wanted)
        super().__init__()

    def expand(self, x, y):
        return x * y

    def vjp_fwd(self, nzs_in, x, y):
        assert nzs_in == self.wanted
        return self(x, y), (x, y)

    def vjp_bwd_retval(self, res, ct):
        return ct * res[1], ct * res[0]


@pytest.mark.parametrize("argnum, wanted", [(0, (True, False)), (1, (False, True))])
def test_rules_know_which_arguments_have_tangents(argnum, wanted):
    f = lambda x, y: Product(jax.typeof(x), wanted)(x, y)  # noqa: E731
    assert jax.grad(f, argnum)(2.0, 3.0) == (3.0, 2.0)[argnum]


def test_missing_rules_are_named():
    f = lambda x: call(Power, x)  # noqa: E731
    for transformed, text in [
            (jax.grad(f), "for grad support, subclass .*Power.* must implement `vjp_fwd`"),
            (lambda x: jax.jvp(f, (x,), (x,)), "for jvp support, .* must implement `jvp`"),
            (lambda x: jax.vmap(f)(jnp.stack([x, x])),
             "for vmap support, .* must implement `batch` or `batch_dim_rule`"),
            (lambda x: jax.linearize(lambda x: call(Accumulated, x), x)[1](x),
             "for linearize support, .* must implement `lin` and `linearized`")]:
        with pytest.raises(NotImplementedError, match=text):
            transformed(2.0)


def test_mistakes_in_a_class():
    class NoTypes(VJPHiPrimitive):
        pass

    class Twice(Accumulated):
        def vjp_bwd_retval(self, res, ct):
            return (ct,)

    with pytest.raises(AttributeError, match="subclass __init__ should set `self.in_avals`"):
        NoTypes()
    with pytest.raises(AttributeError, match="both `vjp_bwd` and `vjp_bwd_retval`"):
        call(Twice, 2.0)
    with pytest.raises(TypeError, match="takes arguments of the structure"):
        Power(jax.typeof(2.0), 2)(2.0, 3.0)


@dataclass(frozen=True)
class Pair:
    """A value that is not a pytree."""

    first: object
    second: object


@dataclass(frozen=True)
class PairType(hijax.HiType):
    shape: tuple

    def to_tangent_aval(self):
        return hijax.ShapedArray(self.shape, np.dtype(np.float32))


hijax.register_hitype(Pair, lambda pair: PairType(pair.first.shape))


class MakePair(VJPHiPrimitive):
    def __init__(self, aval):
        self.in_avals, self.out_aval, self.params = (aval,), PairType(aval.shape), {}
        super().__init__()

    def expand(self, x):
        return Pair(x, 2 * x)

    def vjp_fwd(self, nzs_in, x):
        return self(x), None

    def vjp_bwd_retval(self, res, ct):
        return (5 * ct,)


class SumPair(VJPHiPrimitive):
    def __init__(self, aval):
        self.in_avals, self.params = (aval,), {}
        self.out_aval = hijax.ShapedArray(aval.shape, np.dtype(np.float32))
        super().__init__()

    def expand(self, pair):
        return pair.first + pair.second

    def vjp_fwd(self, nzs_in, pair):
        return self(pair), None

    def vjp_bwd_retval(self, res, ct):
        return (ct,)


def test_values_of_other_types_pass_through_operations():
    def f(x):
        pair = MakePair(jax.typeof(x))(x)
        return SumPair(jax.typeof(pair))(pair)
    x = jnp.arange(3.0)
    assert jax.typeof(Pair(x, x)) == PairType((3,))
    np.testing.assert_array_equal(f(x), 3 * x)
    np.testing.assert_array_equal(jax.grad(lambda x: f(x).sum())(x), [5, 5, 5])


# --- Values of other types in compiled functions, derivatives and loops --------------------------


@dataclass(frozen=True)
class Scaled:
    """A vector of small integers, and the size of one."""

    steps: jax.Array
    size: jax.Array


@dataclass(frozen=True)
class ScaledType(hijax.HiType):
    shape: tuple

    def lo_ty(self):
        return [hijax.ShapedArray(self.shape, np.dtype(np.int8)),
                hijax.ShapedArray((), np.dtype(np.float32))]

    def lower_val(self, x):
        return [x.steps, x.size]

    def raise_val(self, steps, size):
        return Scaled(steps, size)

    def to_tangent_aval(self):
        return self

    def vspace_zero(self):
        return Scaled(jnp.zeros(self.shape, np.int8), jnp.float32(1))

    def vspace_add(self, x, y):
        return scaled_p.bind(array_p.bind(x) + array_p.bind(y))


hijax.register_hitype(Scaled, lambda x: ScaledType(x.steps.shape))


class ToScaled(hijax.HiPrimitive):
    def abstract_eval(self, x):
        return ScaledType(x.shape), set()

    def to_lojax(self, x):
        return Scaled(jnp.round(x * 4).astype(np.int8), jnp.float32(0.25))

    def jvp(self, primals, tangents):
        return scaled_p.bind(*primals), scaled_p.bind(*tangents)

    def transpose(self, ct, x):
        return [array_p.bind(ct)]


class ToArray(hijax.HiPrimitive):
    def abstract_eval(self, x):
        return hijax.ShapedArray(x.shape, np.dtype(np.float32)), set()

    def to_lojax(self, x):
        return x.steps.astype(np.float32) * x.size

    def jvp(self, primals, tangents):
        return array_p.bind(*primals), array_p.bind(*tangents)

    def transpose(self, ct, x):
        return [scaled_p.bind(ct)]


scaled_p, array_p = ToScaled("to_scaled"), ToArray("to_array")
ONE = Scaled(jnp.array([4, 8], np.int8), jnp.float32(0.25))


def double(x):
    return scaled_p.bind(array_p.bind(x) * 2)


def check_scaled(x, expected):
    assert isinstance(x, Scaled) and x.steps.dtype == np.int8
    np.testing.assert_array_equal(x.steps * x.size, expected)


@pytest.mark.parametrize("run", [
    double, jax.jit(double), jax.jit(lambda x: jax.jit(double)(x)), jax.remat(double),
    lambda x: jax.jit(double).lower(x).compile()(x),
    jax.jit(lambda x: jax.lax.cond(x.size > 0 if isinstance(x, Scaled) else True, double,
                                   lambda x: x, x)),
    lambda x: jax.lax.fori_loop(0, 1, lambda i, x: double(x), x),
    lambda x: jax.jit(lambda: double(x))(),
    jax.jit(lambda x: jax.lax.scan(lambda c, t: (double(c), t), x, jnp.ones(1))[0]),
    jax.jit(lambda x: jax.lax.while_loop(lambda c: c[0] < 1, lambda c: (c[0] + 1, double(c[1])),
                                         (0, x))[1]),
])
def test_values_of_other_types_in_programs(run):
    for _ in range(2):
        check_scaled(run(ONE), [2, 4])


def test_a_program_shows_their_types():
    jaxpr = jax.make_jaxpr(jax.jit(double))(ONE)
    assert jaxpr.in_avals == jaxpr.out_avals == [ScaledType((2,))]
    assert "ScaledType(shape=(2,)) = to_scaled" in str(jaxpr)
    lowered = jax.jit(double).lower(ONE)
    assert "%arg0: tensor<2xi8>" in lowered.as_text() and lowered.out_info == ScaledType((2,))


@pytest.mark.parametrize("jit", [lambda f: f, jax.jit])
def test_derivatives_by_values_of_other_types(jit):
    def loss(x, unused):
        y = array_p.bind(x)
        return jnp.sum(3 * y + array_p.bind(jit(double)(x)))

    used, unused = jit(jax.grad(loss, argnums=(0, 1)))(ONE, ONE)
    check_scaled(used, [5, 5])
    check_scaled(unused, [0, 0])
    out, tangent = jax.jvp(jit(double), (ONE,), (ONE,))
    check_scaled(out, [2, 4])
    check_scaled(tangent, [2, 4])
    check_scaled(jax.vjp(jit(double), ONE)[1](ONE)[0], [2, 4])


@pytest.mark.parametrize("jit", [lambda f: f, jax.jit])
def test_references_to_values_of_other_types(jit):
    check_scaled(jit(lambda: jax.freeze(jax.empty_ref(jax.typeof(ONE))))(), [0, 0])
    check_scaled(jit(lambda x: jax.new_ref(x)[...])(ONE), [1, 2])
    ref = jax.new_ref(ONE)

    def write(ref, x):
        before = jax.ref.swap(ref, slice(0, 2), double(x))
        return before, ref[:]

    for found, expected in zip(jit(write)(ref, ONE), ([1, 2], [2, 4])):
        check_scaled(found, expected)
    check_scaled(ref[...], [2, 4])
    for index in (0, slice(1), (slice(None), 0)):
        with pytest.raises(NotImplementedError, match="read and written as a whole"):
            ref[index]


def test_loops_do_not_run_along_values_of_other_types():
    for run in (lambda: jax.lax.scan(lambda c, t: (c, scaled_p.bind(t)), 0, jnp.ones(3)),
                lambda: jax.vmap(scaled_p.bind)(jnp.ones(3)), lambda: jax.vmap(double)(ONE)):
        with pytest.raises(NotImplementedError):
            run()
    with pytest.raises(TypeError, match="scan body function carry|carry input and carry output"):
        jax.lax.scan(lambda c, t: (array_p.bind(c), None), ONE, jnp.ones(3))
