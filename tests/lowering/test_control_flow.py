"""Loops and branches, against the same loop in Python."""

import numpy as np
import pytest

from tests.lowering.fakes import Literal, Program, aval, check, inner, one, run, text

I32, F32 = aval("int32"), aval("float32", 3)


def counting(condition_on=lambda p, i, n: p.bind("lt", [i, n], ("bool",))):
    cond = inner(lambda p, n, i, x: condition_on(p, i, n), I32, I32, F32)
    body = inner(
        lambda p, y, i, x: [p.bind("add", [i, Literal(1, "int32")], ("int32",)),
                            p.bind("add", [x, y], ("float32", 3))], F32, I32, F32)
    return one("while", [I32, F32, I32, F32], ("int32",), ("float32", 3), cond_jaxpr=cond,
               body_jaxpr=body, cond_nconsts=1, body_nconsts=1)


def test_while_carries_only_its_state():
    check(text(counting()), """
        CHECK: stablehlo.while(%iterArg = %arg2, %iterArg_0 = %arg3)
        CHECK: compare LT, %iterArg, %arg0
        CHECK: stablehlo.add %iterArg_0, %arg1
    """)


def test_while_counts():
    i, x = run(counting(), 5, [1, 2, 3], 2, [0, 0, 0])
    assert i == 5
    np.testing.assert_array_equal(x, [3, 6, 9])


def test_batched_predicate_freezes_lanes_that_are_done():
    lanes, rows = aval("int32", 3), aval("float32", 3, 2)
    cond = inner(lambda p, n, i, x: p.bind("lt", [i, n], ("bool", 3)), lanes, lanes, rows)
    body = inner(
        lambda p, i, x: [p.bind("add", [i, Literal(1, "int32")], ("int32", 3)),
                         p.bind("mul", [x, Literal(2.0, "float32")], ("float32", 3, 2))],
        lanes, rows)
    jaxpr = one("while", [lanes, lanes, rows], ("int32", 3), ("float32", 3, 2), cond_jaxpr=cond,
                body_jaxpr=body, cond_nconsts=1, body_nconsts=0)
    i, x = run(jaxpr, [0, 3, 1], [0, 0, 0], np.ones((3, 2)))
    np.testing.assert_array_equal(i, [0, 3, 1])
    np.testing.assert_array_equal(x, [[1, 1], [8, 8], [2, 2]])


def switch(count):
    branches = tuple(
        inner(lambda p, x, k=k: p.bind("add", [x, Literal(float(k), "float32")], ("float32", 3)),
              F32) for k in range(count))
    return one("cond", [I32, F32], ("float32", 3), branches=branches)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_cond_takes_the_branch(count):
    for k in range(count):
        np.testing.assert_array_equal(run(switch(count), k, [0, 0, 0])[0], [k, k, k])


def test_cond_captures_its_operands():
    check(text(switch(2)), """
        CHECK: "stablehlo.case"(%arg0)
        CHECK: stablehlo.add %arg1
        CHECK: stablehlo.add %arg1
    """)


def test_platform_branches_are_chosen_while_lowering():
    names = (("cuda", "rocm"), ("cpu",), None)
    branches = tuple(inner(lambda p, x, n=n: p.bind(n, [x], ("float32", 3)), F32)
                     for n in ("sin", "cos", "tan"))
    program = Program()
    x = program.input("float32", 3)
    i = program.bind("platform_index", [], ("int32",), platforms=names)
    y = program.bind("cond", [i, x], ("float32", 3), branches=branches, branches_platforms=names)
    for platform, op in [("cuda", "sine"), ("cpu", "cosine"), ("tpu", "tan")]:
        found = text(program.jaxpr(y), platform=platform)
        check(found, f"CHECK: stablehlo.{op}")
        assert "case" not in found


def scan(length, reverse, unroll):
    """carry: (sum, count); x: row of xs; y: (carry before) * x + const."""
    def body(p, c, total, count, x):
        y = p.bind("add", [p.bind("mul", [total, x], ("float32", 2)), c], ("float32", 2))
        return [p.bind("add", [total, x], ("float32", 2)),
                p.bind("add", [count, Literal(1, "int32")], ("int32",)), y]

    row = aval("float32", 2)
    return one("scan", [row, row, I32, aval("float32", length, 2)], ("float32", 2), ("int32",),
               ("float32", length, 2), jaxpr=inner(body, row, row, I32, row), length=length,
               reverse=reverse, linear=None, unroll=unroll, num_consts=1, num_carry=2,
               _split_transpose=False)


@pytest.mark.parametrize("unroll", [1, 2, 3, 7, 9])
@pytest.mark.parametrize("reverse", [False, True])
def test_scan(reverse, unroll):
    xs = np.arange(14, dtype=np.float32).reshape(7, 2)
    total, count, ys = run(scan(7, reverse, unroll), [1, 2], [0, 0], 0, xs)
    want, carry = np.zeros((7, 2), np.float32), np.zeros(2, np.float32)
    for i in reversed(range(7)) if reverse else range(7):
        want[i] = carry * xs[i] + [1, 2]
        carry = carry + xs[i]
    assert count == 7
    np.testing.assert_array_equal(total, carry)
    np.testing.assert_array_equal(ys, want)


def test_empty_scan_gives_its_carry():
    total, count, ys = run(scan(0, False, 1), [1, 2], [3, 4], 5, np.zeros((0, 2)))
    assert (total.tolist(), count, ys.shape) == ([3, 4], 5, (0, 2))


def test_scan_is_one_while_or_none():
    assert text(scan(7, False, 1)).count("stablehlo.while") == 1
    assert text(scan(7, False, 2)).count("stablehlo.while") == 1
    assert "stablehlo.while" not in text(scan(7, False, 7))
