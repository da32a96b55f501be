"""`jax.errors`: the classes of errors about traced values and failing programs."""

from minijax.base.errors import ConcretizationTypeError as ConcretizationTypeError
from minijax.base.errors import InconclusiveDimensionOperation as InconclusiveDimensionOperation
from minijax.base.errors import JAXIndexError as JAXIndexError
from minijax.base.errors import JaxprTypeError as JaxprTypeError
from minijax.base.errors import JaxRuntimeError as JaxRuntimeError
from minijax.base.errors import JAXTypeError as JAXTypeError
from minijax.base.errors import KeyReuseError as KeyReuseError
from minijax.base.errors import NonConcreteBooleanIndexError as NonConcreteBooleanIndexError
from minijax.base.errors import TracerArrayConversionError as TracerArrayConversionError
from minijax.base.errors import TracerBoolConversionError as TracerBoolConversionError
from minijax.base.errors import TracerIntegerConversionError as TracerIntegerConversionError
from minijax.base.errors import UnexpectedTracerError as UnexpectedTracerError

__all__ = [
    "ConcretizationTypeError",
    "InconclusiveDimensionOperation",
    "JAXIndexError",
    "JAXTypeError",
    "JaxRuntimeError",
    "JaxprTypeError",
    "KeyReuseError",
    "NonConcreteBooleanIndexError",
    "TracerArrayConversionError",
    "TracerBoolConversionError",
    "TracerIntegerConversionError",
    "UnexpectedTracerError",
]
