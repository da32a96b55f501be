"""The printer against texts that JAX printed for the same programs (tests/data/jaxprs.json)."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.base import dtypes, source
from minijax.core import ShapedArray
from minijax.core.ir import NO_EFFECTS, DropVar, Jaxpr, JaxprEqn, Literal, Var
from minijax.core.primitive import Primitive
from minijax.passes.show import show, show_eqn

DATA = json.loads((Path(__file__).parents[1] / "data" / "jaxprs.json").read_text())
CASES = DATA["cases"]


class Key(dtypes.ExtendedDType):
    type = dtypes.prng_key
    itemsize = 8
    name = "key<fry>"


KEY = Key()


class Text:
    """A parameter that prints as JAX printed it."""

    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text


def aval(data):
    shape, name = data
    dtype = KEY if name == "key<fry>" else np.dtype(getattr(dtypes, name, name))
    return ShapedArray(tuple(shape), dtype)


def literal_value(text):
    return eval(text, {"nan": math.nan, "inf": math.inf, "nanj": complex(0, math.nan)})


class Builder:
    def __init__(self, jaxprs):
        self.jaxprs = jaxprs
        self.built = {}

    def jaxpr(self, number):
        if number not in self.built:
            self.built[number] = self.build(self.jaxprs[number])
        return self.built[number]

    def build(self, data):
        variables = {}

        def atom(v):
            if "lit" in v:
                return Literal(literal_value(v["lit"]), aval(v["aval"]))
            if "drop" in v:
                return DropVar(aval(v["drop"]))
            return variables.setdefault(v["var"], Var(aval(v["aval"])))

        def param(p):
            if "jaxpr" in p:
                return self.jaxpr(p["jaxpr"])
            if "jaxprs" in p:
                return tuple(self.jaxpr(n) for n in p["jaxprs"])
            return Text(p["text"])

        def eqn(e):
            params = {name: param(p) for name, p in e["params"].items()}
            if "name" in params:
                params["name"] = str(params["name"])
            primitive = Primitive(e["primitive"], shape=None, multiple_results=True)
            return JaxprEqn(primitive, [atom(v) for v in e["invars"]],
                            [atom(v) for v in e["outvars"]], params, NO_EFFECTS, None)

        constvars = [atom(v) for v in data["constvars"]]
        invars = [atom(v) for v in data["invars"]]
        eqns = [eqn(e) for e in data["eqns"]]
        return Jaxpr(constvars, invars, [atom(v) for v in data["outvars"]], eqns,
                     [None] * len(constvars))


def build(name):
    return Builder(CASES[name]["jaxprs"]).jaxpr(0)


@pytest.mark.parametrize("name", CASES)
def test_text_equals_jax(name):
    assert show(build(name)) == CASES[name]["text"]


@pytest.mark.parametrize("name", ["one_line", "scan", "jit"])
def test_text_without_shapes_equals_jax(name):
    assert show(build(name), print_shapes=False) == CASES[name]["no_shapes"]


def test_str_of_a_jaxpr_is_its_text():
    jaxpr = build("one_line")
    assert str(jaxpr) == repr(jaxpr) == jaxpr.pretty_print() == show(jaxpr)


def test_references_are_read_and_written_with_arrows():
    def f(ref, i, x):
        x = ref[...] + ref[0] + ref[i] + ref[:, 1].sum() + ref[..., ::2].sum()
        ref[...] = x
        ref[i, 1] = 2.
        jax.ref.addupdate(ref, (slice(1, 3),), x[:2])
        old = jax.ref.swap(ref, (0,), x[0])
        return old, ref.at[1:3].at[0][...]

    text = str(jax.make_jaxpr(f)(jax.new_ref(jnp.ones((3, 3))), 1, 1.))
    for line in ("<- b[...]\n", "<- b[0,:]\n", "<- b[c,:]\n", "<- b[:,1]\n", "<- b[:,::2]\n",
                 "    b[...] <- ", "    b[c,1] <- ", "    b[1:3,:] += ", ", b[0,:] <- b[0,:], ",
                 "<- b[1:3,:][0,...]\n"):
        assert line in text, (line, text)


def test_show_field_hides_and_computes_parameters():
    x = Var(ShapedArray((), np.dtype("float32")))
    params = {"axis": 0, "mode": None, "accuracy": None}

    def text(**field):
        eqn = JaxprEqn(Primitive("op", shape=None, **field), [x], [Var(x.aval)], params,
                       NO_EFFECTS, None)
        return show_eqn(eqn)

    assert text() == "a:f32[] = op[axis=0 mode=None] b"
    assert text(show={"mode": None}) == "a:f32[] = op[axis=0] b"
    assert text(show=lambda params: {"dims": params["axis"] + 1}) == "a:f32[] = op[dims=1] b"


def test_source_info_names_the_users_line():
    x = Var(ShapedArray((), np.dtype("float32")))
    y = Var(x.aval)
    eqn = JaxprEqn(Primitive("op", shape=None), [x], [y], {}, NO_EFFECTS, source.capture())
    text = show(Jaxpr([], [x], [y], [eqn]), source_info=True)
    assert "test_show.py:" in text and "test_source_info" in text


def test_color_is_escape_codes_only():
    jaxpr = build("one_line")
    colored = show(jaxpr, use_color=True)
    assert "\x1b[" in colored and colored != show(jaxpr)
