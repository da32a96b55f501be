"""Einstein summation: subscripts to a short list of pairwise contractions.

`read` turns all ways of writing the subscripts into labels per operand, `_plan` turns these into
a program of axis numbers along a path (found by opt_einsum for three operands or more), which is
remembered.  The invariant is that an axis no later step needs is summed as early as possible.

    einsum("bqhd,bkhd->bhqk", q, k)
    einsum(q, [0, 1], k, [1, 2], [0, 2])
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minijax import lax
from minijax.base import errors
from minijax.core import structural
from minijax.lax.explicit import left_to_compiler, split_as
from minijax.numpy import promotion
from minijax.numpy.products import Contraction, Dot, Label, contract, contraction, factors
from minijax.runtime.call import fused

_DOTS = "..."


def einsum(subscripts: Any, /, *operands: Any, out: None = None, optimize: Any = "auto",
           precision: Any = None, preferred_element_type: Any = None,
           _dot_general: Callable[..., Any] = lax.dot_general, out_sharding: Any = None) -> Any:
    """Sums of products over labelled axes; repeated, broadcast and implicit labels as in NumPy."""
    promotion.refuse_out("einsum", out)
    if not isinstance(subscripts, str):
        subscripts, operands = _from_lists((subscripts, *operands))
    if type(optimize) is list:
        optimize = tuple(optimize)
    options = (precision, preferred_element_type, out_sharding)
    if _dot_general is not lax.dot_general:
        return _einsum.body(subscripts, optimize, options, _dot_general, *operands)
    return _einsum(subscripts, optimize, options, None, *operands)


@fused(static_argnums=(0, 1, 2, 3))
def _einsum(subscripts: Any, optimize: Any, options: tuple, dot_general: Any,
            *operands: Any) -> Any:
    precision, preferred, out_sharding = options
    if not operands:
        read(subscripts, ())
    arrays, dot = factors("einsum", operands, preferred, precision, out_sharding)
    if dot_general is not None:
        dot = dot._replace(dot_general=dot_general)
    return _run(_plan(subscripts, tuple([x.shape for x in arrays]), optimize), arrays, dot)


def einsum_path(subscripts: Any, /, *operands: Any, optimize: Any = "auto") -> tuple[list, Any]:
    """The order of contractions that `einsum` would use, and opt_einsum's report on it."""
    opt_einsum = importlib.import_module("opt_einsum")
    if isinstance(optimize, bool):
        optimize = "optimal" if optimize else []
    return opt_einsum.contract_path(subscripts, *operands, optimize=optimize)


# --- Reading subscripts ------------------------------------------------------------------------


class Subscripts(NamedTuple):
    """Labels of the operands, and of the result (None: NumPy's rule); _DOTS stands for many."""

    inputs: tuple[tuple[Label, ...], ...]
    output: tuple[Label, ...] | None


def _from_lists(args: tuple) -> tuple[Subscripts, tuple]:
    """Subscripts and operands from `operand, labels, operand, labels, ..., [output labels]`."""
    pairs, rest = divmod(len(args), 2)
    output = _sublist(args[-1]) if rest else None
    inputs = tuple(_sublist(args[2 * i + 1]) for i in range(pairs))
    return Subscripts(inputs, output), tuple(args[2 * i] for i in range(pairs))


def _sublist(labels: Any) -> tuple[Label, ...]:
    try:
        found = tuple(_DOTS if label is Ellipsis else label for label in labels)
        hash(found)
        return found
    except TypeError:
        raise TypeError(errors.describe(
            "For this input type lists must contain either Ellipsis or hashable and comparable "
            "object (e.g. int, str).", fix="einsum(x, [0, 1], y, [1, 2], [0, 2])")) from None


def _from_text(text: str) -> Subscripts:
    text = text.replace(" ", "")
    if "-" in text or ">" in text:
        if text.count("-") != 1 or text.count(">") != 1 or "->" not in text:
            raise ValueError(errors.describe("Subscripts can only contain one '->'.",
                                             fix="einsum('ij,jk->ik', x, y)"))
    left, arrow, right = text.partition("->")
    return Subscripts(tuple(_term(term) for term in left.split(",")),
                      _term(right) if arrow else None)


def _term(text: str) -> tuple[str, ...]:
    first, dots, last = text.partition(_DOTS)
    if "." in first or "." in last:
        raise ValueError(errors.describe("Invalid Ellipses.", fix="write '...' once per operand"))
    return (*first, *([_DOTS] if dots else []), *last)


def read(subscripts: Any, shapes: Sequence[tuple[int, ...]]) -> tuple[list, list]:
    """The labels of every axis of every operand, and of the result.

    An axis under an ellipsis has the label ("...", i), i counting from the ellipsis' end.
    """
    if isinstance(subscripts, str):
        subscripts = _from_text(subscripts)
    inputs, output = subscripts
    if len(inputs) != len(shapes):
        raise ValueError(errors.describe(
            f"Number of einsum subscripts, {len(inputs)}, must be equal to the number of "
            f"operands, {len(shapes)}.", fix="one term, between commas, for each operand"))
    labels = [_spread(term, len(shape), i) for i, (term, shape) in enumerate(zip(inputs, shapes))]
    dots = max((label for term in labels for label in term if type(label) is tuple),
               default=(_DOTS, 0))[1]
    hidden = [(_DOTS, i) for i in range(dots, 0, -1)]
    if output is None:
        flat = [label for term in labels for label in term]
        names = sorted({label for label in flat if label not in hidden})
        return labels, hidden + [name for name in names if flat.count(name) == 1]
    result = [label for name in output for label in (hidden if name == _DOTS else [name])]
    _check_output(result, labels)
    return labels, result


def _spread(term: tuple[Label, ...], ndim: int, position: int) -> list:
    """The labels of one operand, with its ellipsis spelled out."""
    named = len(term) - term.count(_DOTS)
    if named > ndim or (named != ndim and _DOTS not in term):
        raise ValueError(errors.describe(
            f"Einstein sum subscript '{''.join(map(str, term))}' does not contain the correct "
            f"number of indices for operand {position}.",
            because=f"the operand has {ndim} axes", fix="one label per axis, or an ellipsis"))
    hidden = [(_DOTS, i) for i in range(ndim - named, 0, -1)]
    return [label for name in term for label in (hidden if name == _DOTS else [name])]


def _check_output(output: Sequence[Label], inputs: Sequence[Sequence[Label]]) -> None:
    for label in output:
        name = label[0] if type(label) is tuple else label
        if output.count(label) > 1:
            raise ValueError(errors.describe(
                f"Output character '{name}' appeared more than once in the output.",
                fix="a label can name one axis of the result"))
        if not any(label in term for term in inputs):
            raise ValueError(errors.describe(
                f"Output character '{name}' did not appear in the input",
                fix="every label of the result must name an axis of an operand"))


# --- Contracting -------------------------------------------------------------------------------


class _Prepare(NamedTuple):
    """What happens to one operand first: axes squeezed, then diagonals taken one by one."""

    squeezed: tuple[int, ...]
    diagonals: tuple[tuple[int, ...], ...]


class _Step(NamedTuple):
    """The contraction of two of the values so far; axes that nothing else needs are summed."""

    first: int
    first_summed: tuple[int, ...]
    second: int
    second_summed: tuple[int, ...]
    how: Contraction


class _Program(NamedTuple):
    """An einsum in terms of axis numbers. Values are the operands, then the steps' results."""

    prepare: tuple[_Prepare, ...]
    steps: tuple[_Step, ...]
    last: int
    summed: tuple[int, ...]
    permutation: tuple[int, ...] | None


def _run(program: _Program, arrays: Sequence[Any], dot: Dot) -> Any:
    if dot.out_sharding is not None and len(program.steps) > 1:
        inner = dot._replace(out_sharding=None)
        return left_to_compiler("einsum", lambda *xs: _run(program, xs, inner), dot.out_sharding,
                                *arrays)
    values = [x if prepare is None else _prepared(x, prepare)
              for x, prepare in zip(arrays, program.prepare)]
    inner = dot
    if dot.out_sharding is not None:  # of the result, not of what leads to it
        dot = dot if program.permutation is None else dot.before(program.permutation)
        inner = dot._replace(out_sharding=None)
    for first, first_summed, second, second_summed, how in program.steps:
        a, b = values[first], values[second]
        a = _sum(a, first_summed) if first_summed else a
        b = _sum(b, second_summed) if second_summed else b
        is_last = len(values) == program.last and not program.summed
        values.append(contract(a, b, how, dot if is_last else inner))
    out = values[program.last]
    if program.summed:
        out = _sum(out, program.summed, dot.out_sharding)
    elif not program.steps and dot.out_sharding is not None:
        out = split_as(out, dot.out_sharding, "einsum")
    if program.permutation is not None:
        out = structural.transpose(out, program.permutation)
    return structural.convert_element_type(promotion.convert(out, dot.dtype, dot.weak), dot.dtype,
                                           dot.weak)


def _prepared(x: Any, prepare: _Prepare) -> Any:
    if prepare.squeezed:
        x = lax.squeeze(x, prepare.squeezed)
    for axes in prepare.diagonals:
        x = _diagonal(x, axes)
    return x


def _diagonal(x: Any, axes: Sequence[int]) -> Any:
    """The elements at equal positions along `axes`; the last of these axes is kept."""
    plane = tuple(x.shape[a] for a in axes)
    rows = [lax.broadcasted_iota(np.dtype(np.uint32), plane, i) for i in range(len(axes))]
    mask = lax.eq(rows[0], rows[-1])
    for row in rows[1:-1]:
        mask = lax.bitwise_and(mask, lax.eq(row, rows[-1]))
    mask = structural.broadcast_in_dim(mask, x.shape, tuple(axes))
    zeros = structural.broadcast_in_dim(np.zeros((), x.dtype)[()], x.shape, ())
    return _sum(lax.select(mask, x, zeros), tuple(axes[:-1]))


def _sum(x: Any, axes: tuple[int, ...], out_sharding: Any = None) -> Any:
    if x.dtype == np.bool_:
        out = lax.reduce_or(x, axes)
        return out if out_sharding is None else split_as(out, out_sharding, "einsum")
    if out_sharding is not None:
        return lax.reduce_sum(x, axes, out_sharding=out_sharding)
    return structural.reduce_sum(x, axes)


# --- Planning ----------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def _plan(subscripts: Any, shapes: tuple[tuple[int, ...], ...], optimize: Any) -> _Program:
    """The program for operands of these shapes."""
    inputs, output = read(subscripts, shapes)
    sizes = _sizes(shapes, inputs)
    prepare, terms = zip(*[_prepare(labels, shape, sizes)
                           for labels, shape in zip(inputs, shapes)])
    steps: list[_Step] = []
    open_terms = list(enumerate(terms))  # (number of the value, its labels)
    for group in _path(terms, output, sizes, optimize):
        if len(group) > 2:
            raise NotImplementedError(errors.describe(
                "jax.numpy.einsum does not support simultaneous contraction of 3 or more "
                "operands.", because=f"the step {tuple(group)} of the path names {len(group)}",
                fix="a path of pairs, as jnp.einsum_path gives"))
        chosen = [open_terms.pop(i) for i in sorted(group, reverse=True)][::-1]
        while len(chosen) > 1:
            others = [labels for _, labels in (*open_terms, *chosen[2:])]
            step, labels = _step(chosen[0], chosen[1], others, output)
            steps.append(step)
            chosen[:2] = [(len(terms) + len(steps) - 1, labels)]
        open_terms.append(chosen[0])
    last, labels = open_terms[0]
    summed = tuple(i for i, label in enumerate(labels) if label not in output)
    labels = [label for label in labels if label in output]
    permutation = tuple(labels.index(label) for label in output)
    in_order = permutation == tuple(range(len(output)))
    return _Program(prepare, tuple(steps), last, summed, None if in_order else permutation)


def _sizes(shapes: Sequence[tuple[int, ...]], inputs: Sequence[list]) -> dict[Label, int]:
    """The size of every label: axes of size 1 are stretched to the others."""
    sizes: dict[Label, int] = {}
    for position, (shape, labels) in enumerate(zip(shapes, inputs)):
        for label, size in zip(labels, shape):
            known = sizes.get(label, 1)
            if known != size and 1 not in (known, size):
                raise ValueError(errors.describe(
                    f"Size of label '{label}' for operand {position} ({known}) does not match "
                    f"previous terms ({size}).", fix="equal labels need axes of equal size"))
            sizes[label] = size if known == 1 else known
    return sizes


def _prepare(labels: list, shape: tuple[int, ...],
             sizes: dict[Label, int]) -> tuple[_Prepare | None, tuple]:
    """How to drop stretched axes and to make repeated labels diagonals; the labels then."""
    stretched = tuple(i for i, label in enumerate(labels) if shape[i] != sizes[label])
    labels = [label for i, label in enumerate(labels) if i not in stretched]
    diagonals = []
    for label in dict.fromkeys(labels):
        axes = tuple(i for i, other in enumerate(labels) if other == label)
        if len(axes) > 1:
            diagonals.append(axes)
            labels = [other for i, other in enumerate(labels) if i not in axes[:-1]]
    needed = stretched or diagonals
    return (_Prepare(stretched, tuple(diagonals)) if needed else None), tuple(labels)


def _step(first: tuple, second: tuple, others: Sequence[tuple],
          output: Sequence[Label]) -> tuple[_Step, tuple]:
    """The contraction of two values over all labels that nothing else needs."""
    (i, a), (j, b) = first, second
    needed = {label for labels in others for label in labels}.union(output)
    a_summed = tuple(n for n, label in enumerate(a) if label not in needed and label not in b)
    b_summed = tuple(n for n, label in enumerate(b) if label not in needed and label not in a)
    a_left = tuple(label for n, label in enumerate(a) if n not in a_summed)
    b_left = tuple(label for n, label in enumerate(b) if n not in b_summed)
    both = dict.fromkeys(label for label in (*a_left, *b_left) if label in needed)
    if others:
        shared = [label for label in both if label in a_left and label in b_left]
        labels = (*shared, *[label for label in both if label not in shared])
    else:
        labels = tuple(label for label in output if label in both)
    return _Step(i, a_summed, j, b_summed, contraction(a_left, b_left, labels)), labels


_TYPICAL = 64  # a guess for symbolic sizes


def _path(inputs: Sequence[tuple], output: list, sizes: dict[Label, int],
          optimize: Any) -> Sequence[tuple[int, ...]]:
    """Which values to contract in what order; results go to the end of the list."""
    if len(inputs) < 3:
        return [tuple(range(len(inputs)))]
    if optimize is False:
        return [(0, 1)] + [(0, len(inputs) - 2 - i) for i in range(len(inputs) - 2)]
    if isinstance(optimize, tuple):
        return [step for step in optimize if not isinstance(step, str)]
    sets = [frozenset(labels) for labels in inputs]
    if not callable(optimize):
        paths = importlib.import_module("opt_einsum.paths")
        optimize = paths.get_path_fn("optimal" if optimize is True else optimize)
    sizes = {label: n if isinstance(n, int) else _TYPICAL for label, n in sizes.items()}
    return optimize(sets, frozenset(output), sizes, None)
