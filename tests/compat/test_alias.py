"""`jax` means minijax: in this process, in programs run by `python -m minijax`, and in pytest."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from minijax.compat import alias

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, cwd: Path, stdin: str | None = None,
        **env: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if k != "MINIJAX_AS_JAX"}
    environment.update(PYTHONPATH=str(ROOT), JAX_PLATFORMS="cpu", **env)
    return subprocess.run([sys.executable, "-W", "error", *arguments], cwd=cwd, env=environment,
                          input=stdin, capture_output=True, text=True, timeout=120)


PROGRAM = """\
import importlib.metadata, importlib.util, json, subprocess, sys
import helper
import jax
loaded = "jax.tree_util" in sys.modules  # libraries look
import jax, jax.numpy as jnp, jax.scipy.special
import jax._src.core
from jax import lax, tree_util as jtu
from jax._src import traceback_util
import minijax

def error(code):
    try:
        exec(code)
    except Exception as e:
        return type(e).__name__, str(e)

child = subprocess.run([sys.executable, "-c", "import sys; early = 'minijax' in sys.modules\\n"
                        "import jax; print(early, jax.__name__)"], capture_output=True, text=True)
print(json.dumps(dict(
    same=[jax is minijax, jnp is minijax.numpy, lax is minijax.lax, jtu is minijax.tree_util,
          jax._src.core.ShapedArray is minijax.core.ShapedArray, jax.core is minijax.core, loaded],
    spec=[jax.__spec__.name, jnp.__spec__.name], found=importlib.util.find_spec("jax") is not None,
    version=[jax.__version__, jax.version.__version__, importlib.metadata.version("jax")],
    info=jax.__version_info__, requires=importlib.metadata.requires("jax"),
    array=jax.Array.__module__,
    excluded=callable(traceback_util.register_exclusion), argv=sys.argv, name=__name__,
    path=sys.path[0], file=__file__, helper=helper.VALUE,
    value=float(jax.jit(jax.grad(lambda x: jnp.sum(x ** 2)))(jnp.arange(3.0))[2]),
    module=error("import jax.no_such_module"), name_error=error("from jax import no_such_name"),
    pallas=importlib.util.find_spec("jax.no_such_module"),
    private=error("from jax._src.core import no_such_name"),
    private_module=error("import jax._src.no_such_module"), secret=error("import jax.secret"),
    child=child.stdout.split() or child.stderr)))
"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    """What a script sees, where a package that calls itself jax is installed as well."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "helper.py").write_text("VALUE = 42\n")
    (folder / "train.py").write_text(PROGRAM)
    other = folder / "site" / "jax"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise RuntimeError('the other jax was imported')\n")
    (other / "secret.py").write_text("")
    out = subprocess.run(
        [sys.executable, "-m", "minijax", str(folder / "train.py"), "--steps", "3"], cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder / "site"), "JAX_PLATFORMS": "cpu"},
        capture_output=True, text=True, timeout=120)
    assert out.returncode == 0, out.stderr
    return {**json.loads(out.stdout), "folder": str(folder)}


def test_modules_are_those_of_minijax(facts):
    assert facts["same"] == [True] * 7
    assert facts["spec"] == ["minijax", "minijax.numpy"]
    assert facts["found"]
    assert facts["value"] == 4.0


def test_versions(facts):
    assert facts["version"] == ["0.10.2"] * 3
    assert facts["info"] == [0, 10, 2]
    assert any(line.startswith("jaxlib") for line in facts["requires"])


def test_arrays_say_that_they_are_of_jax(facts):
    assert facts["array"] == "jax"


def test_the_script_runs_as_python_runs_it(facts):
    script = os.path.join(facts["folder"], "train.py")
    assert facts["argv"] == [script, "--steps", "3"]
    assert (facts["name"], facts["file"]) == ("__main__", script)
    assert facts["path"] == facts["folder"]
    assert facts["helper"] == 42


def test_what_is_missing_is_not_found(facts):
    assert facts["module"] == ["ModuleNotFoundError", "No module named 'jax.no_such_module'"]
    assert facts["secret"] == ["ModuleNotFoundError", "No module named 'jax.secret'"]
    assert facts["pallas"] is None
    assert facts["name_error"][0] == "ImportError"
    assert facts["private"][0] == "ImportError"
    assert facts["private_module"] == [
        "ModuleNotFoundError", "No module named 'jax._src.no_such_module'"]


def test_children_take_the_name_when_they_need_it(facts):
    assert facts["child"] == ["False", "minijax"]


def test_modules_and_code(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "tool.py").write_text(
        "import sys, jax\nprint(__name__, jax.__name__, sys.argv[1:])\n")
    out = run("-m", "minijax", "-m", "package.tool", "a", cwd=tmp_path)
    assert out.stdout == "__main__ minijax ['a']\n", out.stderr
    out = run("-m", "minijax", "-c", "import sys, jax; print(__name__, sys.argv)", "b",
              cwd=tmp_path)
    assert out.stdout == "__main__ ['-c', 'b']\n", out.stderr
    out = run("-m", "minijax", "-", "b", cwd=tmp_path,
              stdin="import sys, jax\nprint(__name__, jax.__name__, sys.argv)")
    assert out.stdout == "__main__ minijax ['-', 'b']\n", out.stderr


def test_variables_that_a_program_sets_before_it_imports_jax(tmp_path):
    (tmp_path / "precise.py").write_text(
        "import os\nos.environ['JAX_ENABLE_X64'] = '1'\n"
        "os.environ['JAX_DEFAULT_MATMUL_PRECISION'] = 'highest'\n"
        "os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=3'\n"
        "import jax\nimport jax.numpy as jnp\n"
        "print(jnp.ones(2).dtype, jax.config.jax_default_matmul_precision, jax.device_count())\n")
    out = run("-m", "minijax", "precise.py", cwd=tmp_path)
    assert out.stdout == "float64 highest 3\n", out.stderr
    (tmp_path / "conftest.py").write_text("import os\nos.environ['JAX_ENABLE_X64'] = '1'\n")
    (tmp_path / "test_precise.py").write_text(
        "import jax.numpy as jnp\ndef test_it():\n    assert jnp.ones(2).dtype == 'float64'\n")
    out = run("-m", "pytest", "-q", "-p", "minijax.pytest_plugin", "-p", "no:cacheprovider",
              "test_precise.py", cwd=tmp_path)
    assert out.returncode == 0, out.stdout


def test_the_main_module_lives_until_the_end(tmp_path):
    (tmp_path / "ends.py").write_text(
        "import atexit, os, pickle, sys, jax\nclass Here: pass\n"
        "atexit.register(lambda: print(os.path.isabs(__file__), sys.argv[0], "
        "type(pickle.loads(pickle.dumps(Here()))) is sys.modules['__main__'].Here))\n")
    out = run("-m", "minijax", "ends.py", cwd=tmp_path)
    assert out.stdout == "True ends.py True\n", out.stderr
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__main__.py").write_text("import jax\nprint(__name__)\n")
    assert run("-m", "minijax", "package", cwd=tmp_path).stdout == "__main__\n"


@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_workers_of_a_pool(context, tmp_path):
    (tmp_path / "pool.py").write_text(
        "import multiprocessing as mp\n"
        "def work(x):\n    import jax\n    return jax.__name__, float((x * 2).sum())\n"
        "if __name__ == '__main__':\n    import jax.numpy as jnp\n"
        f"    with mp.get_context({context!r}).Pool(1) as pool:\n"
        "        print(pool.map(work, [jnp.arange(3.0)]))\n")
    out = run("-m", "minijax", "pool.py", cwd=tmp_path)
    assert out.stdout == "[('minijax', 6.0)]\n", out.stderr


@pytest.mark.parametrize("arguments, status, text", [
    ((), 2, "usage"), (("--help",), 0, "usage"), (("-m",), 2, "Argument expected"),
    (("--nonsense",), 2, "Unknown option"), (("none.py",), 2, "can't open file")])
def test_wrong_calls(arguments, status, text, tmp_path):
    out = run("-m", "minijax", *arguments, cwd=tmp_path)
    assert out.returncode == status
    assert text in out.stdout + out.stderr and "Traceback" not in out.stderr


def test_exit_status_and_errors_are_the_program_s(tmp_path):
    (tmp_path / "ends.py").write_text("import sys\nsys.exit(7)\n")
    assert run("-m", "minijax", "ends.py", cwd=tmp_path).returncode == 7
    (tmp_path / "fails.py").write_text("import jax\n\nraise KeyError('mine')\n")
    out = run("-m", "minijax", "fails.py", cwd=tmp_path)
    assert out.returncode == 1
    first = f'Traceback (most recent call last):\n  File "{tmp_path}/fails.py", line 3, in <module>'
    assert out.stderr.startswith(first)
    assert out.stderr.rstrip().endswith("KeyError: 'mine'")


def test_pytest_plugin(tmp_path):
    (tmp_path / "test_mine.py").write_text(
        "import jax\ndef test_it():\n    assert jax.__name__ == 'minijax'\n")
    (tmp_path / "conftest.py").write_text("import jax\n")
    out = run("-m", "pytest", "-q", "-p", "minijax.pytest_plugin", "-p", "no:cacheprovider",
              cwd=tmp_path)
    assert "1 passed" in out.stdout, out.stdout + out.stderr


def test_another_sitecustomize_runs_as_well(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.marked = True\n")
    site = ROOT / "minijax" / "compat" / "site"
    out = subprocess.run(
        [sys.executable, "-c", "import sys, jax; print(sys.marked, jax.__name__)"], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{tmp_path}", "MINIJAX_AS_JAX": "1"},
        capture_output=True, text=True)
    assert out.stdout == "True minijax\n", out.stderr


def test_notebooks(tmp_path):
    out = run("-c", "import minijax; minijax.load_ipython_extension(None); import jax\n"
              "print(jax is minijax)", cwd=tmp_path)
    assert out.stdout == "True\n", out.stderr


def test_a_loaded_jax_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", types.ModuleType("jax"))
    before = list(sys.meta_path)
    with pytest.raises(ImportError, match="cannot take the name 'jax'.*\n.*because"):
        alias.install_as_jax()
    assert sys.meta_path == before


def test_installing_twice_is_once(tmp_path):
    out = run("-c", "import minijax, sys; minijax.install_as_jax(); minijax.install_as_jax()\n"
              "print(sum(getattr(f, 'claims', '') == 'jax' for f in sys.meta_path))", cwd=tmp_path)
    assert out.stdout == "1\n", out.stderr


def test_the_distribution_is_not_offered_under_other_names():
    finder = alias._Finder()
    context = types.SimpleNamespace(name="numpy")
    assert list(finder.find_distributions(context)) == []
    assert [d.version for d in finder.find_distributions(None)] == ["0.10.2"]
