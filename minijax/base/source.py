"""Where in the user's program something happened.

`capture()` is cheap enough for every traced operation: it keeps code addresses only, which are
looked up when somebody asks.  Invariant: a frame is the user's when its file lies outside the
folders of minijax and lowering.

    tb = capture()
    user_frame(tb)          # Frame(file='train.py', line=12, function='loss', column=9)
"""

import os
import sys
import warnings
from collections.abc import Iterator
from types import CodeType, FrameType, TracebackType
from typing import NamedTuple

from minijax.base import config, jaxlib

Traceback = jaxlib.Traceback
capture = jaxlib.Traceback.get_traceback

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_internal_folders: list[str] = [
    _PACKAGE + os.sep,
    os.path.join(os.path.dirname(_PACKAGE), "lowering") + os.sep]
_internal_files: dict[str, bool] = {}


class Frame(NamedTuple):
    """One line of the user's program, and the column at which the call begins where known."""

    file: str
    line: int
    function: str
    column: int = 0

    def __str__(self) -> str:
        return f"{shorten(self.file)}:{self.line} in {self.function}"


def register_exclusion(path: str) -> None:
    """Count the files under `path` (a file or a folder) as internal, not the user's."""
    if path not in _internal_folders:  # libraries register twice, and remove once
        _internal_folders.append(path)
    _internal_files.clear()


def is_internal(file: str) -> bool:
    """Whether a file belongs to minijax, lowering, or another registered library."""
    known = _internal_files.get(file)
    if known is None:
        known = file.startswith(("<frozen ", *_internal_folders))
        _internal_files[file] = known
    return known


def shorten(file: str) -> str:
    """A path relative to the working directory where that is shorter."""
    try:
        relative = os.path.relpath(file)
    except (ValueError, OSError):
        return file
    return relative if len(relative) < len(file) else file


def user_frames(tb: Traceback | None, within: CodeType | None = None) -> Iterator[Frame]:
    """The user's frames in a captured traceback, innermost first; with `within`, only those that
    this function called."""
    if tb is None:
        return
    codes, offsets = tb.raw_frames()
    for code, offset in zip(codes, offsets, strict=True):
        if code is within:
            return
        if not is_internal(code.co_filename):
            line, column, *_ = Traceback.code_addr2location(code, offset)
            yield Frame(code.co_filename, line, _function_name(code), column)


def user_frame(tb: Traceback | None, within: CodeType | None = None) -> Frame | None:
    """(file, line, function) of the innermost frame outside minijax, or None."""
    return next(user_frames(tb, within), None)


def current_user_frame() -> Frame | None:
    """(file, line, function) of the user's line that runs now, or None."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if not is_internal(code.co_filename):
            return Frame(code.co_filename, frame.f_lineno, _function_name(code))
        frame = frame.f_back
    return None


def _function_name(code: CodeType) -> str:
    return getattr(code, "co_qualname", code.co_name)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """A warning that points at the user's line."""
    depth = 2
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_internal(frame.f_code.co_filename):
        depth += 1
        frame = frame.f_back
    warnings.warn(message, category, stacklevel=depth)


def hide_internal_frames(exception: BaseException) -> BaseException:
    """Drop minijax's own frames from an exception's traceback; the innermost one stays.

    Does nothing when the option jax_traceback_filtering is "off".
    """
    if config.traceback_filtering.value == "off":
        return exception
    frames = []
    tb = exception.__traceback__
    while tb is not None:
        frames.append(tb)
        tb = tb.tb_next
    shown = [tb for tb in frames if not is_internal(tb.tb_frame.f_code.co_filename)]
    if not shown or len(shown) == len(frames):
        return exception
    chain: TracebackType | None = None
    for tb in reversed(shown):
        chain = TracebackType(chain, tb.tb_frame, tb.tb_lasti, tb.tb_lineno)
    return exception.with_traceback(chain)
