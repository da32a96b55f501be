"""minijax works next to an installed JAX, which it never imports.

A package named `jax` that refuses to be imported stands for the installed one.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

WALKS = {
    "jit of grad": """
        f = jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(x) * x)))
        assert np.allclose(f(jnp.arange(3.0)), np.sin(np.arange(3)) + np.arange(3) *
                           np.cos(np.arange(3)), atol=1e-5)
    """,
    "vmap": """
        f = jax.vmap(lambda m, v: m @ v, in_axes=(None, 0))
        assert f(jnp.ones((2, 3)), jnp.ones((5, 3))).shape == (5, 2)
    """,
    "eager": """
        x = jnp.arange(3) + 1
        assert (x.at[0].set(5) * 2).tolist() == [10, 4, 6]
        assert repr(x) == "Array([1, 2, 3], dtype=int32)"
    """,
    "control flow": """
        total, steps = lax.scan(lambda c, x: (c + x, c), 0.0, jnp.arange(4.0))
        assert float(lax.cond(total > 5, lambda: total, lambda: 0.0)) == 6.0
        assert int(lax.while_loop(lambda n: n < 10, lambda n: n * 2, 1)) == 16
    """,
    "random": """
        key, subkey = jax.random.split(jax.random.key(0))
        assert jax.random.normal(subkey, (3,)).shape == (3,)
    """,
    "rules of the user": """
        f = jax.custom_jvp(lambda x: x ** 2)
        f.defjvp(lambda p, t: (f(*p), 7 * t[0]))
        assert jax.grad(f)(1.0) == 7.0
        assert jax.grad(jax.checkpoint(lambda x: x ** 3))(2.0) == 12.0
    """,
    "ahead of time": """
        compiled = jax.jit(lambda x: x + 1).lower(jax.ShapeDtypeStruct((2,), "float32")).compile()
        assert compiled(jnp.ones(2)).tolist() == [2.0, 2.0]
        assert "add" in str(jax.make_jaxpr(lambda x: x + 1)(1.0))
    """,
    "trees and layers": """
        params = {"w": jnp.ones((2, 2)), "b": jnp.zeros(2)}
        loss = lambda p, x: jnp.mean(jax.nn.relu(x @ p["w"] + p["b"]) ** 2)
        assert jax.tree.structure(jax.grad(loss)(params, jnp.ones((3, 2)))) == jax.tree.structure(
            params)
    """,
    "exchange": """
        x = jax.device_put(np.ones(3))
        assert np.from_dlpack(x).tolist() == [1.0, 1.0, 1.0]
        assert jax.device_get({"x": x})["x"].dtype == np.float32
    """,
}

HEAD = """
import sys
import numpy as np
import minijax as jax
import minijax.numpy as jnp
from minijax import lax
"""
TAIL = """
import minijax.scipy, minijax.tree_util, minijax.sharding, minijax.errors, minijax.dtypes
bad = [m for m in sys.modules if m.split(".")[0] == "jax"]
assert not bad, bad
print("ok")
"""


@pytest.fixture(scope="module")
def beside_jax(tmp_path_factory):
    """Runs a program in a process in which `import jax` fails."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "jax").mkdir()
    (folder / "jax" / "__init__.py").write_text(
        "raise RuntimeError('the installed jax was imported')\n")
    (folder / "jax" / "numpy.py").write_text("raise RuntimeError('jax.numpy was imported')\n")
    path = os.pathsep.join([str(folder), str(ROOT)])

    def run(program: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                              env={**os.environ, "PYTHONPATH": path})
    return run


def test_the_stand_in_refuses_to_be_imported(beside_jax):
    result = beside_jax("import jax")
    assert result.returncode and "the installed jax was imported" in result.stderr


def test_everything_runs_without_importing_jax(beside_jax):
    walks = [f"def walk():{body}\nwalk()\n" for body in WALKS.values()]
    result = beside_jax(HEAD + "".join(walks) + TAIL)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["ok"]


def test_programs_may_call_minijax_jax(beside_jax):
    """With our modules under JAX's names, programs written for JAX run unchanged."""
    result = beside_jax(
        "import sys, minijax, minijax.numpy\n"
        "sys.modules['jax'], sys.modules['jax.numpy'] = minijax, minijax.numpy\n"
        "import jax, jax.numpy as jnp\n"
        "assert jax is minijax and float(jax.grad(jnp.sin)(0.0)) == 1.0\n"
        "print('ok')")
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["ok"]


def test_after_jax_itself_was_imported(beside_jax):
    """Two front-ends in one process would share jaxlib's state: refused, with the reason."""
    result = beside_jax(
        "import sys, types\nsys.modules['jax'] = types.ModuleType('jax')\nimport minijax.numpy")
    assert result.returncode
    assert "ImportError" in result.stderr and "jax" in result.stderr.splitlines()[-1]
