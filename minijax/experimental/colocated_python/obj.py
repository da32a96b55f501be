"""Classes of colocated Python: the object lives beside the arrays of its first method call."""

import functools
from collections.abc import Callable
from typing import Any

from minijax.experimental.colocated_python.func import make_callable


def wrap_class(cls: type) -> type:
    """A class whose objects are made when a method is first called, and whose methods run beside
    their arguments."""
    class Wrapped:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            def method(name: str) -> Callable[..., Any]:
                return lambda *xs, **kws: getattr(made(), name)(*xs, **kws)

            made = functools.cache(lambda: cls(*args, **kwargs))
            for name in dir(cls):
                if not name.startswith("__") and callable(getattr(cls, name)):
                    bound = functools.wraps(getattr(cls, name))(method(name))
                    setattr(self, name, make_callable(bound))

    functools.update_wrapper(Wrapped, cls, updated=())
    return Wrapped
