"""`debug.breakpoint`: commands in, values of the variables out; and pictures of shardings."""

import io
import sys

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp


def session(f, *args, commands, **kwargs):
    """What the debugger writes when the breakpoint in `f(pause, *args)` gets the commands."""
    out = io.StringIO()

    def pause(**more):
        return jax.debug.breakpoint(stdin=io.StringIO(commands), stdout=out, **kwargs, **more)

    result = f(pause, *args)
    jax.effects_barrier()
    return result, out.getvalue()


def doubled(pause, x):
    y = {"twice": x * 2}
    name = "here"
    pause()
    return y["twice"], name


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit])
def test_values_of_the_variables(wrap):
    def f(pause, x):
        return wrap(lambda x: doubled(pause, x)[0])(x)

    result, out = session(f, jnp.float32(3), num_frames=2,
                          commands="u\np x\np y['twice'] + 1\nname\npp y\nc\n")
    assert result == 6
    assert out.startswith("Entering jdb:\n(jdb) ")
    assert "->      pause()" in out
    assert "(jdb) Array(3., dtype=float32)\n(jdb) Array(7., dtype=float32)\n(jdb) 'here'\n" in out
    assert "(jdb) {'twice': Array(6., dtype=float32)}\n(jdb) " in out


def test_frames_and_mistakes():
    _, out = session(doubled, 1., num_frames=2,
                     commands="d\nbt\nu\nu\nnope\n1 +\nl\n\nhelp p\nc\n")
    assert "(jdb) At bottommost frame.\n" in out and "(jdb) At topmost frame.\n" in out
    trace = out[out.index("Traceback:"):]
    assert trace.index("    pause()") < trace.index("return jax.debug.breakpoint(")
    assert "*** NameError: name 'nope' is not defined\n" in out
    assert "SyntaxError: invalid syntax\n" in out
    assert out.count("->      pause()") == 2
    assert "(jdb) (jdb) p expression: print its value\n" in out


def test_every_element_of_a_batch_stops():
    _, out = session(lambda pause, x: jax.vmap(lambda x: doubled(pause, x)[0])(x), jnp.arange(2.),
                     commands="u\nx\nc\n" * 2, num_frames=2)
    assert out.count("Entering jdb:") == 2
    assert out.index("Array(0., dtype=float32)") < out.index("Array(1., dtype=float32)")


def test_quit_ends_the_program():
    with pytest.raises(SystemExit):
        session(doubled, 1., commands="q\n")


def test_token_orders_by_data():
    @jax.jit
    def used(x):
        return jax.debug.breakpoint(token=x * 2, stdin=io.StringIO("c\n"), stdout=out) + 1

    @jax.jit
    def unused(x):
        jax.debug.breakpoint(token=x * 2, stdin=io.StringIO("c\n"), stdout=out)
        return x

    out = io.StringIO()
    assert unused(1.) == 1 and out.getvalue() == ""
    assert used(1.) == 3 and out.getvalue() == "Entering jdb:\n(jdb) "


def test_unknown_backend():
    with pytest.raises(ValueError, match="No debugger backend named 'web' is registered."):
        jax.debug.breakpoint(backend="web")


def test_picture_of_one_device(capsys):
    x = jnp.zeros((4, 4))
    jax.debug.visualize_array_sharding(x, use_color=False)
    eager = capsys.readouterr().out
    jax.jit(lambda x: jax.debug.visualize_array_sharding(x, use_color=False))(x)
    assert capsys.readouterr().out == eager
    lines = eager.splitlines()
    assert len(lines) == 11 and {len(line) for line in lines} == {25}
    assert lines[5].strip("│ ") == "CPU 0" and lines[0] == "┌" + "─" * 23 + "┐"


def test_picture_of_a_vector_is_one_line(capsys):
    jax.debug.visualize_array_sharding(jnp.zeros(4), scale=3.)
    assert capsys.readouterr().out.splitlines()[1] == "│ CPU 0 │"


def test_pictures_need_two_dimensions_and_rich(monkeypatch):
    sharding = jnp.zeros(1).sharding
    with pytest.raises(ValueError, match="only works for shapes with 1 and 2 dimensions"):
        jax.debug.visualize_sharding((2, 2, 2), sharding)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(ValueError, match="requires `rich` to be installed"):
        jax.debug.visualize_array_sharding(np.zeros((2, 2)))
