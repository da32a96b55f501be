"""`jax.debug.breakpoint`: stop a compiled program, and look at the variables around.

The local variables of the user's frames become arguments of a debug callback; when the program
gets there, a command loop shows their values.

    jax.jit(f)(x)       # f calls jax.debug.breakpoint(); "(jdb) p y" prints y
"""

from __future__ import annotations

import cmd
import inspect
import pprint
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from types import FrameType
from typing import IO, Any, NamedTuple

from minijax.api.callback import pure_callback
from minijax.api.debug import callback
from minijax.base import errors, source, tree
from minijax.core import Tracer

__all__ = ["breakpoint"]


class Place(NamedTuple):
    """A frame as it was when the breakpoint was traced, but for the values of its variables."""

    file: str
    line: int
    code: tuple[str, ...]
    first_line: int
    globals: dict[str, Any]

    def here(self) -> str:
        """The line of the frame, as a traceback shows it."""
        at = self.line - self.first_line
        text = self.code[at].strip() if at < len(self.code) else ""
        return f'  File "{self.file}", line {self.line}\n    {text}'

    def listing(self) -> str:
        """The source of the function, with an arrow at the line."""
        marked = [("->  " if i == self.line else "    ") + text
                  for i, text in enumerate(self.code, self.first_line)]
        return "\n".join([f"> {self.file}({self.line})", *marked])


def breakpoint(*, backend: str | None = None, filter_frames: bool = True,
               num_frames: int | None = None, ordered: bool = False, token: Any = None,
               **kwargs: Any) -> Any:
    """Stop when the program gets here, and take commands from the terminal ("help" lists them).

    backend: "cli", the only one. filter_frames: leave out frames of the library. num_frames: how
    many frames are kept, from here outwards. ordered: in program order with other ordered effects.
    token: arrays; the breakpoint runs when they are known, and they are returned; it does not run
    when the program has no use for the result. stdin, stdout: files in the place of the terminal.
    Command "q" ends the program with SystemExit. Raises ValueError for an unknown backend.
    """
    if backend not in (None, "cli"):
        raise ValueError(errors.describe(f"No debugger backend named {backend!r} is registered.",
                                         fix="jax.debug.breakpoint(backend='cli')"))
    places, variables = _stack(sys._getframe(1), filter_frames, num_frames)
    dynamic, rebuild = _split(variables)

    def stop(values: Sequence[Any], *_: Any) -> None:
        Debugger(places, rebuild(values), **kwargs).cmdloop()

    if token is None:
        callback(stop, dynamic, ordered=ordered)
        return None

    def stop_and_return(token: Any, values: Sequence[Any]) -> Any:
        stop(values)
        return token

    return pure_callback(stop_and_return, token, token, dynamic)


def _stack(frame: FrameType | None, only_user: bool, limit: int | None) -> tuple[list, list]:
    places, variables = [], []
    while frame is not None and (limit is None or len(places) < limit):
        code = frame.f_code
        if not (only_user and source.is_internal(code.co_filename)):
            try:
                lines, first = inspect.getsourcelines(frame)
            except OSError:  # a console, or code made at run time
                lines, first = [], frame.f_lineno
            places.append(Place(code.co_filename, frame.f_lineno,
                                tuple(text.rstrip("\n") for text in lines), max(first, 1),
                                frame.f_globals))
            variables.append(dict(frame.f_locals))
        frame = frame.f_back
    return places, variables


def _split(variables: Sequence[dict[str, Any]]) -> tuple[list, Callable]:
    """The tracers among the variables, and how to put their values in place again."""
    dynamic: list = []
    parts = []
    for frame in variables:
        own = {}
        for name, value in frame.items():
            try:
                with warnings.catch_warnings(action="ignore"):  # of iterators, for one
                    leaves, structure = tree.flatten(value)
            except (TypeError, ValueError):  # a dict whose keys have no order
                continue
            places = [i for i, x in enumerate(leaves) if isinstance(x, Tracer)]
            if places:
                own[name] = (structure, leaves, places)
                dynamic += [leaves[i] for i in places]
        parts.append(own)

    def rebuild(values: Sequence[Any]) -> list[dict[str, Any]]:
        left = iter(values)
        out = [dict(frame) for frame in variables]
        for frame, own in zip(out, parts):
            for name, (structure, leaves, places) in own.items():
                leaves = list(leaves)
                for i in places:
                    leaves[i] = next(left)
                frame[name] = tree.unflatten(structure, leaves)
        return out

    return dynamic, rebuild


class Debugger(cmd.Cmd):
    """The command loop; docstrings of the commands are what "help" shows."""

    prompt = "(jdb) "
    intro = "Entering jdb:"

    def __init__(self, places: Sequence[Place], variables: Sequence[dict[str, Any]],
                 stdin: IO[str] | None = None, stdout: IO[str] | None = None):
        super().__init__(stdin=stdin, stdout=stdout)
        self.use_rawinput = stdin is None
        self.places = places
        self.variables = variables
        self.at = 0

    def show(self, text: Any) -> None:
        print(text, file=self.stdout)

    def value(self, expression: str) -> Any:
        return eval(expression, self.places[self.at].globals, self.variables[self.at])

    def default(self, line: str) -> None:
        self.do_p(line)

    def emptyline(self) -> None:
        """An empty line does nothing, it does not repeat the last command."""

    def do_p(self, arg: str) -> None:
        """p expression: print its value"""
        self._print(arg, repr)

    def do_pp(self, arg: str) -> None:
        """pp expression: print its value over several lines"""
        self._print(arg, pprint.pformat)

    def _print(self, expression: str, form: Callable[[Any], str]) -> None:
        try:
            self.show(form(self.value(expression)))
        except Exception as e:
            self.show("*** " + "".join(traceback.format_exception_only(e)).strip())

    def do_u(self, arg: str) -> None:
        """u(p): go to the frame that called this one"""
        self._go(1, "At topmost frame.")

    def do_d(self, arg: str) -> None:
        """d(own): go back to the frame that this one called"""
        self._go(-1, "At bottommost frame.")

    def _go(self, step: int, otherwise: str) -> None:
        if 0 <= self.at + step < len(self.places):
            self.at += step
            self.do_list("")
        else:
            self.show(otherwise)

    def do_list(self, arg: str) -> None:
        """l(ist): the source of this frame"""
        self.show(self.places[self.at].listing())

    def do_bt(self, arg: str) -> None:
        """bt, w(here): the frames, the current one last"""
        self.show("\n".join(["Traceback:", *[p.here() for p in reversed(self.places)]]))

    def do_c(self, arg: str) -> bool:
        """c(ont, ontinue): go on with the program"""
        return True

    def do_q(self, arg: str) -> None:
        """q(uit), exit: end the program"""
        sys.exit(0)

    do_up, do_down, do_l = do_u, do_d, do_list
    do_w = do_where = do_bt
    do_cont = do_continue = do_c
    do_quit = do_exit = do_EOF = do_q
