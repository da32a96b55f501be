"""Samples of the primitives of lax/elementwise.py, lax/logic.py and lax/identity.py."""

from __future__ import annotations

import numpy as np

from minijax.lax import RoundingMethod

from .sample import Sample, Samples

V = (3,)
M = (2, 3)
INEXACT = ("f", "c")
NUMBER = ("f", "c", "i", "u")
REAL = ("f", "i", "u")
INTEGER = ("i", "u")
BITWISE = ("i", "u", "b")
EVERY = ("f", "c", "i", "u", "b")
NO_RULE = "no derivative is declared, as in JAX"
ACCURACY = {"accuracy": None}


def smooth(domain: tuple[float, float] = (-2.0, 2.0), dtypes: tuple = INEXACT,
           accuracy: bool = False) -> list[Sample]:
    """Samples of a differentiable unary operation: a matrix and a scalar."""
    params = ACCURACY if accuracy else {}
    return [Sample((M,), params, dtypes=dtypes, domain=domain),
            Sample(((),), params, dtypes=dtypes, domain=domain, order=3)]


def pairs(dtypes: tuple, domain: tuple[float, float] | None = None,
          params: dict | None = None, **rest) -> list[Sample]:
    """Samples of a binary operation: equal shapes, a scalar on either side, stretched axes."""
    shapes = [(M, M), (M, ()), ((), M), ((2, 1), (1, 3)), ((), ())]
    return [Sample(s, params or {}, dtypes=dtypes, domain=domain, **rest) for s in shapes]


ARITHMETIC: Samples = {
    "neg": smooth(dtypes=NUMBER),
    "add": pairs(NUMBER),
    "sub": pairs(NUMBER),
    "mul": [*pairs(NUMBER, params={"out_dtype": None}),
            Sample((V, ()), {"out_dtype": np.dtype("float64")}, dtypes=REAL)],
    "mulhi": pairs(INTEGER),
    "div": pairs(NUMBER, (0.5, 2.0)),
    "rem": [*pairs(REAL, (0.5, 3.0)), Sample((np.array([5.3, -5.3, 4.6]), np.array([2., 2., -3.])),
                                             dtypes=("f",))],
    "max": pairs(EVERY),
    "min": pairs(EVERY),
    "sign": [Sample((M,), dtypes=REAL),
             Sample((M,), dtypes=("c",), grad=False, reason="taken to be 0, as in JAX")],
    "floor": smooth(dtypes=("f",)),
    "ceil": smooth(dtypes=("f",)),
    "round": [Sample((M,), {"rounding_method": m}, dtypes=("f",)) for m in RoundingMethod],
    "nextafter": [Sample((M, M), grad=False, reason=NO_RULE)],
    "square": smooth(dtypes=NUMBER),
    "integer_pow": [*[Sample((M,), {"y": y}, dtypes=NUMBER) for y in (0, 1, 2, 3, 7)],
                    *[Sample((M,), {"y": y}, dtypes=INEXACT, domain=(0.5, 2.0)) for y in (-1, -3)]],
    "sqrt": smooth((0.5, 2.0), accuracy=True),
    "rsqrt": smooth((0.5, 2.0), accuracy=True),
    "cbrt": smooth((0.5, 2.0), ("f",), accuracy=True),
    "pow": [*pairs(INEXACT, (0.5, 2.0)), Sample((V, np.array([3, 0, -2])), dtypes=("f",),
                                                domain=(0.5, 2.0))],
}

COMPLEX: Samples = {
    "real": [Sample((M,), dtypes=("c",))],
    "imag": [Sample((M,), dtypes=("c",))],
    # There are no complex numbers of half precision, so the parts are kept in float64.
    "complex": [Sample(s, keep=(0, 1)) for s in ((M, M), (M, ()), ((2, 1), (1, 3)))],
    "conj": [Sample((M,), {"input_dtype": np.dtype("float64")}, keep=(0,)),
             Sample((M,), {"input_dtype": np.dtype("complex64")}, dtypes=("c",), grad=False,
                    reason="not complex differentiable; its own transpose is tested by hand")],
    "abs": [Sample((M,), dtypes=("f", "i")),
            Sample((M,), dtypes=("c",))],
}

TRANSCENDENTAL: Samples = {
    "exp": smooth(accuracy=True),
    "exp2": smooth(accuracy=True),
    "expm1": smooth(accuracy=True),
    "log": smooth((0.5, 2.0), accuracy=True),
    "log1p": smooth((-0.5, 2.0), accuracy=True),
    "logistic": smooth(accuracy=True),
    "sin": smooth(accuracy=True),
    "cos": smooth(accuracy=True),
    "tan": smooth((-1.0, 1.0), accuracy=True),
    "asin": smooth((-0.8, 0.8)),
    "acos": smooth((-0.8, 0.8)),
    "atan": smooth((-0.8, 0.8)),
    "atan2": pairs(("f",), (0.5, 2.0)) + pairs(("c",), (2.5, 4.0)),
    "sinh": smooth(),
    "cosh": smooth(),
    "tanh": smooth(accuracy=True),
    "asinh": smooth((-0.8, 0.8)),
    "acosh": smooth((1.5, 3.0)),
    "atanh": smooth((-0.7, 0.7)),
}

COMPARISON: Samples = {
    **{name: pairs(EVERY) for name in ("eq", "ne", "eq_to")},
    **{name: pairs(REAL + ("b",)) for name in ("ge", "gt", "le", "lt", "le_to", "lt_to")},
    "is_finite": [Sample((np.array([1.0, np.inf, np.nan]),), dtypes=("f",))],
}

BITS: Samples = {
    "not": [Sample((M,), dtypes=BITWISE)],
    **{name: pairs(BITWISE) for name in ("and", "or", "xor")},
    **{name: [Sample((M, np.array([[0.0, 0.4, 1.0], [2.0, 3.0, 0.7]])), dtypes=INTEGER),
              Sample((M, np.float64(1.0)), dtypes=INTEGER)]
       for name in ("shift_left", "shift_right_arithmetic", "shift_right_logical")},
    "population_count": [Sample((M,), dtypes=INTEGER)],
    "clz": [Sample((M,), dtypes=INTEGER)],
}

WHICH = np.array([[True, False, True], [False, False, True]])
INDEX = np.array([[0, 2, 1], [1, 1, 0]], np.int32)

CHOICE: Samples = {
    "select_n": [Sample((WHICH, M, M), dtypes=EVERY), Sample((np.bool_(True), M, M), dtypes=EVERY),
                 Sample((np.bool_(False), (), ()), dtypes=("f",)),
                 Sample((INDEX, M, M, M), dtypes=("f", "c")),
                 Sample((np.int32(2), M, M, M), dtypes=("f",)), Sample((WHICH, M), dtypes=("f",))],
    "clamp": [Sample((np.full(M, -0.5), M, np.full(M, 0.7)), dtypes=("f",)),
              Sample((np.float64(-0.5), M, np.float64(0.7)), dtypes=REAL),
              Sample((np.float64(-0.5), M, np.full(M, 0.7)), dtypes=("f",)),
              Sample((np.float64(-0.5), (), np.float64(0.7)), dtypes=("f",))],
}

IDENTITY: Samples = {
    "copy": [Sample((M,), dtypes=EVERY)],
    "stage": [Sample((M,), dtypes=EVERY)],
    "dce_sink": [Sample((M,), dict(prevent_mlir_dce=keep), dtypes=EVERY)
                 for keep in (False, True)],
    "stop_gradient": [Sample((M,), dtypes=EVERY, grad=False, reason="hides the derivative")],
    "optimization_barrier": [Sample((M, V), dtypes=EVERY), Sample((M,), dtypes=("f",))],
}

SAMPLES: Samples = {**ARITHMETIC, **COMPLEX, **TRANSCENDENTAL, **COMPARISON, **BITS, **CHOICE,
                    **IDENTITY}
