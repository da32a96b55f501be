"""Events that programs can listen to."""

import pytest

import minijax as jax
from minijax import monitoring


@pytest.fixture(autouse=True)
def forget_listeners():
    yield
    monitoring.clear_event_listeners()


def test_listeners_hear_events_until_they_are_taken_away():
    heard = []
    for kind, register, unregister, record, values in [
            ("event", monitoring.register_event_listener, monitoring.unregister_event_listener,
             monitoring.record_event, ()),
            ("seconds", monitoring.register_event_duration_secs_listener,
             monitoring.unregister_event_duration_listener,
             monitoring.record_event_duration_secs, (1.5,)),
            ("span", monitoring.register_event_time_span_listener,
             monitoring.unregister_event_time_span_listener, monitoring.record_event_time_span,
             (1.0, 2.0)),
            ("number", monitoring.register_scalar_listener, monitoring.unregister_scalar_listener,
             monitoring.record_scalar, (3,))]:
        def listener(event, *values, kind=kind, **about):
            heard.append((kind, event, *values, about))
        register(listener)
        record("/a", *values, who="me")
        unregister(listener)
        record("/b", *values)
        assert heard == [(kind, "/a", *values, {"who": "me"})]
        heard.clear()
        with pytest.raises(ValueError):
            unregister(listener)


def test_compiling_is_recorded():
    heard = []
    monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **about: heard.append((event.rpartition("/")[2], about)))
    f = jax.jit(lambda x: x * 5.5)
    f(1.0)
    f(2.0)
    assert heard == [("jaxpr_trace_duration", {"fun_name": "<lambda>"}),
                     ("jaxpr_to_mlir_module_duration", {"fun_name": "jit(<lambda>)"}),
                     ("backend_compile_duration", {"fun_name": "jit(<lambda>)"})]
