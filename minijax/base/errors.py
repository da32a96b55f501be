"""Errors: the classes of `jax.errors`, and the one way in which messages are written.

    JAXTypeError(TypeError)                 JAXIndexError(IndexError)
      ConcretizationTypeError                 NonConcreteBooleanIndexError
        TracerBoolConversionError           JaxRuntimeError(RuntimeError), jaxlib's
      TracerArrayConversionError            JaxprTypeError(TypeError)
      TracerIntegerConversionError
      UnexpectedTracerError
      KeyReuseError

Every message says what happened, at which line of the user's program, why, and what to write
instead.  Invariant: an error about a tracer builds its text in `__str__` only, because programs
probe tracers (`hasattr`, `try: float(x)`) far more often than they show the failure.

    raise TypeError(describe("dot needs ...; got f32[3]", fix="jnp.dot(x, y.T)"))
"""

from collections.abc import Callable, Iterable
from typing import Any

from minijax.base import dtypes, jaxlib, source

JaxRuntimeError = jaxlib.JaxRuntimeError
_ERRORS_PAGE = "https://docs.jax.dev/en/latest/errors.html"

# Adds to a message the call that it is about; set by the package of jnp.
name_call: Callable[[str], str] | None = None


def describe(what: str, *, because: str | None = None, fix: str | None = None,
             at: source.Frame | str | None = None) -> str:
    """The text of an error: what happened, where (default: the user's current line), why, fix."""
    where = source.current_user_frame() if at is None else at
    lines = [what if name_call is None else name_call(what)]
    if where:
        lines.append(f"  at {where}")
    if because:
        lines.append(f"  because {because}")
    if fix:
        lines.append(f"  fix: {fix}")
    return "\n".join(lines)


class _Described:
    """Adds where, why and how to mend it to a message, when somebody reads the error."""

    fix: str | None = None
    _text: str | None = None  # the whole message, of an error that came from another process

    def __init__(self, message: str):
        super().__init__(message)
        self._message = message
        self._raised = source.capture()

    def __str__(self) -> str:
        if self._text is not None:
            return self._text
        text = describe(
            self._what(), because=self._because(), fix=self._fix(), at=self._where() or "")
        return f"{text}\n  see {_ERRORS_PAGE}#jax.errors.{type(self).__name__}"

    def __reduce__(self) -> tuple:
        # The tracer cannot travel to another process; its description can.
        return _restore, (type(self), str(self))

    def _what(self) -> str:
        return str(self._message)

    def _because(self) -> str | None:
        return None

    def _fix(self) -> str | None:
        return self.fix

    def _where(self) -> source.Frame | None:
        return source.user_frame(self._raised)


class _OfTracer(_Described):
    """A `_Described` error about a tracer, whose text is built from the tracer."""

    static_helps = False  # whether the program would work if the arguments were static

    def __init__(self, tracer: Any, context: str = ""):
        super().__init__(context)
        self.tracer = tracer

    def _because(self) -> str | None:
        return describe_origin(self.tracer)

    def _fix(self) -> str | None:
        names = argument_names(_innermost(self.tracer)) if self.static_helps else []
        if not names:
            return self.fix
        names = list(dict.fromkeys(name.partition("[")[0].partition(".")[0] for name in names))
        static = repr(names[0]) if len(names) == 1 else tuple(names)
        return (f"{self.fix}; or, for few different values, make the argument static: "
                f"jax.jit(f, static_argnames={static})")


def _restore(cls: type, text: str) -> BaseException:
    error = cls.__new__(cls, text)
    error._text = text
    return error


class JAXTypeError(_Described, TypeError):
    """Base class of the TypeErrors about traced values."""


class JAXIndexError(_Described, IndexError):
    """Base class of the IndexErrors about traced values."""


class JaxprTypeError(TypeError):
    """A jaxpr that is not well typed."""


class ConcretizationTypeError(_OfTracer, JAXTypeError):
    """A value that is only known when the program runs was needed while it is traced."""

    fix = "keep the computation on arrays: x.astype(float), jnp.where(c, x, y), jax.lax.cond"
    static_helps = True

    def _what(self) -> str:
        what = (
            "Abstract tracer value encountered where concrete value is expected: "
            f"{name_of(self.tracer)}")
        return f"{what}\n{self._message}" if self._message else what


class TracerBoolConversionError(ConcretizationTypeError):
    """A traced array was used in `if`, `while`, `and`, `or`, `not` or `bool()`."""

    fix = "choose with jnp.where(condition, a, b) or jax.lax.cond(condition, f, g, x)"

    def _what(self) -> str:
        return f"Attempted boolean conversion of {name_of(self.tracer)}."


class TracerArrayConversionError(_OfTracer, JAXTypeError):
    """A traced array was given to NumPy, which needs its values."""

    fix = "use the function of jax.numpy of the same name, e.g. jnp.sin(x) instead of np.sin(x)"

    def _what(self) -> str:
        return (
            "The numpy.ndarray conversion method __array__() was called on "
            f"{name_of(self.tracer)}")


class TracerIntegerConversionError(_OfTracer, JAXTypeError):
    """A traced array was used as a Python integer: an index of a list, a shape, range(n)."""

    fix = "index arrays, not lists: jnp.asarray(items)[i]; loop with jax.lax.fori_loop"
    static_helps = True

    def _what(self) -> str:
        return f"The __index__() method was called on {name_of(self.tracer)}"


class NonConcreteBooleanIndexError(_OfTracer, JAXIndexError):
    """A traced mask was used as an index: the shape of the result would depend on its values."""

    fix = (
        "keep the shape: jnp.where(mask, x, 0), x.at[mask].set(y); or bound it: "
        "x[jnp.nonzero(mask, size=n)]")

    def _what(self) -> str:
        return f"Array boolean indices must be concrete; got {_type_of(self.tracer)}"


class UnexpectedTracerError(JAXTypeError):
    """A tracer was used after the function that it belongs to had returned."""

    fix = (
        "return the value from the transformed function instead of storing it in a global, a "
        "list or self; to find where it was stored: with jax.checking_leaks(): ...")

    def __init__(self, msg: Any):
        """`msg` is a text, or the tracer that the text is to be about."""
        super().__init__(msg if isinstance(msg, str) else "")
        self.tracer = None if isinstance(msg, str) else msg

    def _what(self) -> str:
        if self.tracer is None:
            return self._message
        return (
            "Encountered an unexpected tracer. A function transformed by JAX had a side effect, "
            "allowing for a reference to an intermediate value with type "
            f"{_type_of(self.tracer)} wrapped in a {type(self.tracer).__name__} to escape the "
            "scope of the transformation. Functions must return their results, and not save "
            "intermediate values to global state.")

    def _because(self) -> str | None:
        if self.tracer is None:
            return None
        made = _where_made(self.tracer)
        inside = _traced_function(self.tracer)
        parts = [f"it belongs to {inside}" if inside else None,
                 f"was created on line {made}" if made else None]
        return ", and ".join(filter(None, parts)) or None


class InconclusiveDimensionOperation(_Described, Exception):
    """A question about symbolic dimensions has no answer for all of their values."""

    fix = (
        "give constraints to symbolic_shape; see https://docs.jax.dev/en/latest/export/"
        "shape_poly.html#comparison-of-symbolic-dimensions-is-partially-supported")

    def _because(self) -> str | None:
        return "the answer must be the same for all values of the variables"


class KeyReuseError(JAXTypeError):
    """A random key was used twice; `at` is where a program does so."""

    fix = "split it first: key, subkey = jax.random.split(key)"

    def __init__(self, message: str, at: source.Frame | None = None, fix: str | None = None):
        super().__init__(message)
        self._at = at
        self.fix = fix or self.fix

    def _because(self) -> str | None:
        return "two draws from one key are the same numbers, or correlated"

    def _where(self) -> source.Frame | None:
        return self._at or super()._where()


# --- what is known of a tracer ---


def name_of(tracer: Any) -> str:
    """`traced array with shape float32[3]`, or the repr of anything else."""
    if getattr(tracer, "_trace", None) is None:
        return repr(tracer)
    return f"traced array with shape {_type_of(tracer)}"


def _type_of(tracer: Any) -> str:
    aval = getattr(tracer, "aval", None)
    dtype = getattr(aval, "dtype", None)
    if dtype is None:
        return repr(aval if aval is not None else tracer)
    name = "float0" if dtype == dtypes.float0 else dtype.name
    return f"{name}[{','.join(map(str, aval.shape))}]"


def describe_origin(tracer: Any) -> str | None:
    """Why a value is traced: the function being traced and the arguments it depends on."""
    tracer = _innermost(tracer)
    function = _traced_function(tracer)
    if function is None:
        return None
    axis = getattr(tracer._trace, "axis", None)
    if axis is not None:
        return f"it is another value for each of the {axis.size} elements that vmap maps over"
    names = argument_names(tracer)
    if names:
        few = f"the argument {names[0]}" if len(names) == 1 else f"the arguments {_listed(names)}"
        return f"the value depends on {few} of {function}, known only when it runs"
    made = _where_made(tracer)
    where = f" (made at {made})" if made else ""
    return f"the value is computed inside {function}{where}, and known only when that runs"


def _innermost(tracer: Any) -> Any:
    """The tracer whose value is unknown, behind those that pair a value with its tangent."""
    while hasattr(tracer, "primal"):
        tracer = tracer.primal
    return tracer


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _traced_function(tracer: Any) -> str | None:
    trace = getattr(tracer, "_trace", None)
    if trace is None:
        return None
    debug = getattr(trace, "debug", None)
    if debug is not None and debug.fun_name:
        return f"the traced function {debug.fun_name}"
    describe_trace = getattr(trace, "describe", None)
    return describe_trace() if describe_trace else type(trace).__name__


def argument_names(tracer: Any) -> list[str]:
    """Names of the traced function's arguments that the tracer was computed from, if known.

    Looks for `trace.inputs` (tracers or variables), `trace.eqns` and `trace.debug.arg_names`.
    """
    trace = getattr(tracer, "_trace", None)
    debug = getattr(trace, "debug", None)
    inputs = getattr(trace, "inputs", None)
    names = getattr(debug, "arg_names", None)
    var = getattr(tracer, "atom", None)
    if not inputs or not names or var is None:
        return []
    needed = _roots(var, getattr(trace, "eqns", ()))
    return [
        name
        for name, item in zip(names, inputs, strict=False)
        if id(getattr(item, "atom", item)) in needed]


def _roots(var: Any, eqns: Iterable[Any]) -> set[int]:
    needed = {id(var)}
    for eqn in reversed(list(eqns)):
        if any(id(out) in needed for out in eqn.outvars):
            needed.update(id(v) for v in eqn.invars)
    return needed


def unavailable(values: Iterable[Any]) -> str:
    """A sentence on what keeps a value from being known, or no text."""
    names = [name for x in values for name in argument_names(x)]
    if not names:
        return "".join(f"\nThis {type(x).__name__} with object id {id(x)} stands for the elements "
                       "of an array that is mapped."
                       for x in values if hasattr(x, "_trace") and hasattr(x, "dim"))
    one = f"the value of the argument {names[0]}"
    return ("\nThis concrete value was not available in Python because it depends on "
            + (one if len(names) == 1 else f"the values of the arguments {_listed(names)}") + ".")


def where_from(tracer: Any) -> str:
    """How a value came into a traced function: as an argument, made there, or from outside."""
    trace, var = getattr(tracer, "_trace", None), getattr(tracer, "atom", None)
    inputs = getattr(trace, "inputs", None) or ()
    for name, item in zip(getattr(getattr(trace, "debug", None), "arg_names", None) or (), inputs):
        if getattr(item, "atom", item) is var:
            return f"was passed in as the argument {name}"
    made = _where_made(tracer)
    return f"was created on line {made}" if made else "was closed over"


def _where_made(tracer: Any) -> source.Frame | None:
    var = getattr(tracer, "atom", None)
    for eqn in reversed(getattr(getattr(tracer, "_trace", None), "eqns", None) or ()):
        if any(out is var for out in eqn.outvars):
            return source.user_frame(eqn.source)
    return None


def check_truth(size: int) -> None:
    """Raise what NumPy raises for the truth value of an array that has not just one element."""
    if size > 1:
        raise ValueError(describe(
            "The truth value of an array with more than one element is ambiguous. "
            "Use a.any() or a.all()", fix="use x.any() or x.all()"))
    if size == 0:
        raise ValueError(describe(
            "The truth value of an empty array is ambiguous. Use `array.size > 0` to check that an "
            "array is not empty.", fix="use x.size > 0"))
