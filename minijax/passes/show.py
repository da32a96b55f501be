"""Printing jaxprs, in the notation that users of JAX know.

    { lambda ; a:f32[3]. let b:f32[3] = sin a in (b,) }

Invariant: variables get their names here, in the order in which they are printed, and one
variable has one name in the whole text.  A jaxpr that is used more than once, or is long, is
printed in front under a name of its own.  A primitive says with its field `show` which parameters
are worth printing: a dict of values not to mention, or a function of the parameters that returns
those to print.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax.base import config, source
from minijax.base.jaxlib import pretty_printer as pp
from minijax.core.ir import DropVar, Jaxpr, JaxprEqn, Literal, Var, show_scope, subjaxprs
from minijax.core.jit import UNSPECIFIED, jit_p
from minijax.core.structural import broadcast_in_dim_p, convert_element_type_p

_WIDTH = 80
_LONG = 10  # equations; a longer inner jaxpr is printed in front
_LETTERS = "abcdefghijklmnopqrstuvwxyz"

_brk, _concat, _group, _nest, _text = pp.brk, pp.concat, pp.group, pp.nest, pp.text
Doc = pp.Doc


def show(jaxpr: Jaxpr, *, source_info: bool = False, print_shapes: bool = True,
         use_color: bool = False, name_stack: bool = False) -> str:
    """The text of a jaxpr, equal to what JAX prints for the same program.

    source_info: add the user's line to each equation; name_stack: add its named scopes;
    print_shapes: add the types of variables.
    """
    printer = _Printer(source_info, print_shapes, name_stack)
    docs = printer.shared(jaxpr)
    docs.append(printer.jaxpr(jaxpr))
    return _laid_out(_concat(_join(_concat([_brk()]), docs)),
                     use_color and config.pprint_use_color.value)


def _laid_out(doc: Doc, use_color: bool = False) -> str:
    return doc._format(
        _WIDTH, use_color=use_color, output_format=pp.OutputFormat.TEXT, separable_lines=False,
        annotation_prefix=" # ", source_map=None)


def name_variables(jaxpr: Jaxpr) -> "_Printer":
    """A printer that knows the variables of a program by the names that `show` gives them."""
    printer = _Printer(False, True)
    for var in (*jaxpr.constvars, *jaxpr.invars, *[v for e in jaxpr.eqns for v in e.outvars]):
        printer.name(var)
    return printer


def show_eqn(eqn: JaxprEqn, printer: "_Printer | None" = None) -> str:
    """The text of one equation, with names of its own or those of a printer."""
    return _laid_out((printer or _Printer(False, True)).eqn(eqn, set(eqn.outvars)))


def _join(separator: Doc, docs: Sequence[Doc]) -> list[Doc]:
    result: list[Doc] = []
    for i, doc in enumerate(docs):
        if i:
            result.append(separator)
        result.append(doc)
    return result


def _keyword(word: str) -> Doc:
    return pp.color(_text(word), intensity=pp.Intensity.BRIGHT, foreground=pp.Color.BLUE)


def _fill(docs: Sequence[Doc], separator: str = "") -> Doc:
    """The docs side by side, as many on a line as fit."""
    gap = _concat([_text(separator), _group(_brk())])
    return _nest(2, _concat(_join(gap, docs)))


def _in_brackets(opening: str, docs: Sequence[Doc], closing: str) -> Doc:
    """The docs on one line if they fit there, else each on a line of its own."""
    inner = [_brk(""), *_join(_brk(), docs)]
    return _group(_concat([_text(opening), _nest(2, _concat(inner)), _brk(""), _text(closing)]))


class _Printer:
    """Names, and the jaxprs that are printed in front."""

    def __init__(self, source_info: bool, print_shapes: bool, name_stack: bool = False):
        self.source_info = source_info
        self.name_stack = name_stack
        self.print_shapes = print_shapes
        self.names: dict[Var, str] = {}
        self.titles: dict[Jaxpr, str] = {}
        self.taken: set[str] = set()
        self.count = 0

    # --- names ---

    def fresh(self) -> str:
        """The next of a, b, ..., z, ba, bb, ... that is not the title of a shared jaxpr."""
        while True:
            number, name = self.count, ""
            self.count += 1
            while number or not name:
                number, digit = divmod(number, len(_LETTERS))
                name = _LETTERS[digit] + name
            if name not in self.taken:
                return name

    def name(self, var: Var) -> str:
        found = self.names.get(var)
        if found is None:
            found = self.names[var] = "_" if isinstance(var, DropVar) else self.fresh()
        return found

    def atom(self, atom: Any) -> Doc:
        if isinstance(atom, Literal):
            return _concat([_text(_literal_text(atom)), self.type_of(atom)])
        return _text(self.name(atom))

    def binder(self, var: Var, used: set) -> Doc:
        name = self.name(var) if var in used or var in self.names else "_"
        return _concat([_text(name), self.type_of(var)])

    def type_of(self, atom: Any) -> Doc:
        if not self.print_shapes and not isinstance(atom, Literal):
            return pp.nil()
        annotation = _text(f":{atom.aval.str_short(short_dtypes=True)}")
        return pp.color(annotation, foreground=pp.Color.MAGENTA)

    # --- jaxprs ---

    def shared(self, top: Jaxpr) -> list[Doc]:
        """`let f = ... in` for the jaxprs that occur more than once, and for long ones."""
        counts, names = _occurrences(top)
        apart = [j for j, n in counts.items() if j is not top and (n > 1 or len(j.eqns) > _LONG)]
        for jaxpr in apart:
            title, number = names.get(jaxpr, "jaxpr"), 0
            while title in self.taken:
                number += 1
                title = f"{names.get(jaxpr, 'jaxpr')}{number}"
            self.taken.add(title)
            self.titles[jaxpr] = title
        return [_concat([_keyword("let "), _text(f"{self.titles[jaxpr]} = "), self.jaxpr(jaxpr),
                         _keyword(" in")]) for jaxpr in apart]

    def jaxpr(self, jaxpr: Jaxpr) -> Doc:
        """`{ lambda consts ; inputs. let equations in (outputs) }`."""
        used = _used(jaxpr)
        everywhere = {*jaxpr.constvars, *jaxpr.invars}
        constvars = _fill([self.binder(v, everywhere) for v in jaxpr.constvars])
        invars = _fill([self.binder(v, everywhere) for v in jaxpr.invars])
        eqns = [self.eqn(eqn, used) for eqn in jaxpr.eqns]
        outvars = [self.atom(v) for v in jaxpr.outvars]
        results = _fill(outvars, ",")
        return _group(_nest(2, _concat([
            _text("{ "), _keyword("lambda "), constvars, _text("; "), invars, _text(". "),
            _keyword("let"), _nest(2, _concat([_brk(), *_join(_brk("; "), eqns)])), _brk(),
            _keyword("in "), _text("("), results, _text(",)" if len(outvars) == 1 else ")"),
            _text(" }")])))

    # --- equations ---

    def eqn(self, eqn: JaxprEqn, used: set) -> Doc:
        """`outputs = primitive[params] operands`."""
        if "indexer" in eqn.params:
            return self.access(eqn, used)
        if eqn.primitive.name == "jit":
            self.share_names(eqn, used)
        outvars = _fill([self.binder(v, used) for v in eqn.outvars])
        operator = self.annotated(eqn, eqn.primitive.name)
        params = _params_to_show(eqn)
        bracket = pp.nil()
        if params:
            bracket = _in_brackets("[", [self.param(*item) for item in params.items()], "]")
        operands = _fill([self.atom(v) for v in eqn.invars])
        left = [outvars, _text(" = ")] if eqn.outvars else []
        return _concat([*left, operator, bracket, _text(" "), operands])

    def access(self, eqn: JaxprEqn, used: set) -> Doc:
        """`x <- ref[i]`, `ref[i] <- x`, `ref[i] += x`, or `old, ref[i] <- ref[i], new`."""
        name, (ref, *operands) = eqn.primitive.name, eqn.invars
        right = [] if name == "get" else [self.atom(operands.pop(0))]
        left = [self.binder(v, used) for v in eqn.outvars if name == "get" or v in used]
        names = [str(v) if isinstance(v, Literal) else self.name(v) for v in operands]
        texts = [_index_text(index, 0 if i else ref.aval.ndim)
                 for i, index in enumerate(eqn.params["indexer"].indices(names))]
        place = _text(self.name(ref) + ("".join(texts) or "[...]"))
        if left:
            right.insert(0, place)
        if name != "get":
            left.append(place)
        operator = self.annotated(eqn, " += " if name == "addupdate" else " <- ")
        return _concat([*_join(_text(", "), left), operator, *_join(_text(", "), right)])

    def annotated(self, eqn: JaxprEqn, text: str) -> Doc:
        notes = []
        frame = source.user_frame(eqn.source) if self.source_info else None
        if frame is not None:
            notes.append(f"{frame.file}:{frame.line} ({frame.function})")
        if self.name_stack:
            notes.append(f"[{show_scope(eqn.scope)}]")
        first = _text(text, annotation=notes[0]) if notes else _text(text)
        return _concat([first, *[_text("", annotation=note) for note in notes[1:]]])

    def share_names(self, eqn: JaxprEqn, used: set) -> None:
        """Let the variables of an inlined jit have the names that they have outside."""
        inner = eqn.params["jaxpr"]
        if inner in self.titles:
            return
        passed = set()
        # Not strict: the checker prints equations that are wrong.
        for var, operand in zip(inner.invars, eqn.invars, strict=False):
            if isinstance(operand, Var) and operand not in passed:
                passed.add(operand)
                self.names[var] = self.name(operand)
        for var, outvar in zip(inner.outvars, eqn.outvars, strict=False):
            if isinstance(var, Var) and var not in self.names:
                unused = outvar not in used or isinstance(outvar, DropVar)
                self.names[var] = "_" if unused else self.name(outvar)

    def param(self, name: str, value: Any) -> Doc:
        """`name=value`; jaxprs and tuples of them are written out."""
        return _concat([_text(f"{name}="), self.value(value)])

    def value(self, value: Any) -> Doc:
        if isinstance(value, Jaxpr):
            title = self.titles.get(value)
            return self.jaxpr(value) if title is None else _text(title)
        if type(value) is tuple and value and all(isinstance(v, Jaxpr) for v in value):
            return _in_brackets("(", [self.value(v) for v in value], ")")
        return _text(_value_text(value))


def _index_text(index: tuple, ndim: int) -> str:
    """`[0,i,1:3,:]`: an index into a reference, for all dimensions if there are `ndim`."""
    index = index if ... in index else (*index, ...)
    if ndim:
        i, rest = index.index(...), ndim + 1 + index.count(None) - len(index)
        index = (*index[:i], *[slice(None)] * rest, *index[i + 1:])
    return f"[{','.join(map(_entry_text, index))}]"


def _entry_text(e: Any) -> str:
    if isinstance(e, slice):
        parts = (e.start, e.stop) if e.step is None else (e.start, e.stop, e.step)
        return ":".join("" if v is None else str(v) for v in parts)
    if hasattr(e, "size"):  # jax.ds(start, size)
        return f"{e.start}:{e.start}+{e.size}"
    return "..." if e is ... else str(e)


def _occurrences(top: Jaxpr) -> tuple[Counter, dict[Jaxpr, str]]:
    counts: Counter = Counter()
    names: dict[Jaxpr, str] = {}
    queue = [top]
    for jaxpr in queue:
        counts[jaxpr] += 1
        for eqn in jaxpr.eqns:
            inner = subjaxprs(eqn.params)
            name = eqn.params.get("name")
            if isinstance(name, str):
                for one in inner:
                    names.setdefault(one, name.strip("<>"))
            queue.extend(inner)
    return counts, names


def _used(jaxpr: Jaxpr) -> set:
    used = {v for v in jaxpr.outvars if isinstance(v, Var)}
    for eqn in jaxpr.eqns:
        used.update(v for v in eqn.invars if isinstance(v, Var))
    return used


# Parameters of many elementwise operations, which nearly nobody sets.
_UNSAID = {"accuracy": None, "out_dtype": None}


def _params_to_show(eqn: JaxprEqn) -> dict[str, Any]:
    rule = getattr(eqn.primitive, "show", None)
    if callable(rule):
        return rule(eqn.params)
    hidden = _UNSAID if rule is None else {**_UNSAID, **rule}
    shown = [name for name, value in eqn.params.items()
             if not (name in hidden and _same(hidden[name], value))]
    # `name` first: it says what the inner jaxpr is.
    return {name: eqn.params[name] for name in sorted(shown, key=lambda n: (n != "name", n))}


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and a == b)


def _literal_text(literal: Literal) -> str:
    dtype = getattr(literal.aval, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.names is None:
        return str(np.asarray(literal.val).astype(dtype).item())
    return str(literal.val)


def _value_text(value: Any) -> str:
    if isinstance(value, Callable) and not isinstance(value, type):
        return getattr(value, "__name__", None) or str(value)
    return str(value)


# --- the primitives that core declares ---


def _broadcast_params(params: dict[str, Any]) -> dict[str, Any]:
    # The shape is that of the result, which is printed anyway.
    dims = params["broadcast_dimensions"]
    return {"broadcast_dimensions": dims} if dims else {}


_JIT_TUPLES = ("in_shardings", "out_shardings", "in_layouts", "out_layouts", "donated_invars")
_JIT_DEFAULTS = {"ctx_mesh": None, "inline": False, "keep_unused": False,
                 "compiler_options_kvs": ()}


def _jit_params(params: dict[str, Any]) -> dict[str, Any]:
    unsaid = (None, False, UNSPECIFIED)
    shown = {"name": params["name"]}
    for name in sorted(params):
        value = params[name]
        if name in _JIT_TUPLES and all(any(v is u for u in unsaid) for v in value):
            continue
        if name == "name" or (name in _JIT_DEFAULTS and _same(_JIT_DEFAULTS[name], value)):
            continue
        shown[name] = value
    return shown


broadcast_in_dim_p.show = _broadcast_params
convert_element_type_p.show = {"sharding": None}
jit_p.show = _jit_params

Jaxpr.printer = show
Jaxpr.pretty_print = show
