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
