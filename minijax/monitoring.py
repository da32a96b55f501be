"""`jax.monitoring`: listen to what is traced, lowered and compiled (see base/monitoring.py)."""

from minijax.base import monitoring as _monitoring
from minijax.base.monitoring import (
    clear_event_listeners, record_event, record_event_duration_secs, record_event_time_span,
    record_scalar, register_event_duration_secs_listener, register_event_listener,
    register_event_time_span_listener, register_scalar_listener,
    unregister_event_duration_listener, unregister_event_listener,
    unregister_event_time_span_listener, unregister_scalar_listener)

__all__ = list(_monitoring.__all__)
