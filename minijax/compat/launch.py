"""Runs a program written for JAX: in it, and in Python processes it starts, `jax` is minijax.

usage: python -m minijax script.py [argument ...]
       python -m minijax -m module [argument ...]
       python -m minijax -c code [argument ...]
       python -m minijax - [argument ...]          (the program is read from standard input)

`python -m minijax.doctor` shows what this machine has.
"""

import builtins
import io
import os
import runpy
import sys
import zipfile
from types import ModuleType, TracebackType

from minijax.compat.alias import inherit, install_finder, stay_importable


def main(arguments: list[str]) -> int:
    """Run a program as Python itself would; returns the exit status of a wrong call."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if arguments else 2
    kind, rest = arguments[0], arguments[1:]
    if kind in ("-m", "-c") and not rest:
        print(f"Argument expected for the {kind} option\n{__doc__}", file=sys.stderr)
        return 2
    install_finder()
    inherit()
    if kind == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        _execute(rest[0], "<string>", {})
    elif kind == "-":
        sys.argv = arguments
        _execute(sys.stdin.read(), "<stdin>", {})
    elif kind.startswith("-"):
        print(f"Unknown option: {kind}\n{__doc__}", file=sys.stderr)
        return 2
    else:
        sys.argv = arguments
        path = os.path.abspath(kind)
        if not os.path.exists(path):
            print(f"can't open file {path!r}: No such file or directory", file=sys.stderr)
            return 2
        sys.path[0] = os.path.dirname(path)
        stay_importable()
        if os.path.isfile(path) and not zipfile.is_zipfile(path):
            with io.open_code(path) as file:
                _execute(file.read(), path, {"__file__": path, "__cached__": None})
        else:
            runpy.run_path(kind, run_name="__main__")
    return 0


def _execute(code: str | bytes, name: str, names: dict[str, object]) -> None:
    """Run code as the module `__main__`, which then stays for what runs at exit."""
    sys.modules["__main__"] = module = ModuleType("__main__")
    vars(module).update(names, __builtins__=builtins)
    sys.excepthook = _show
    exec(compile(code, name, "exec", dont_inherit=True), vars(module))


def _show(kind: type, error: BaseException, tb: TracebackType | None) -> None:
    """Print a traceback that begins with the program's own first line, as Python's do."""
    rest = tb
    while rest is not None and rest.tb_frame.f_code is not _execute.__code__:
        rest = rest.tb_next
    rest = tb if rest is None else rest.tb_next
    sys.__excepthook__(kind, error.with_traceback(rest), rest)
