"""Imports point one way, and heavy modules are loaded only when needed."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Each layer may import itself and the layers named; lowering knows nothing of minijax.
BASE = {"base", "version"}
CORE = BASE | {"core"}
LAX = CORE | {"sharding", "passes", "lax"}
RUNTIME = LAX | {"runtime", "lowering"}
API = RUNTIME | {"api"}
NUMPY = API | {"numpy"}
ALLOWED = {
    "base": BASE, "sharding": BASE | {"sharding"}, "core": CORE, "passes": CORE | {"passes"},
    "lax": LAX, "runtime": RUNTIME, "api": API, "numpy": NUMPY, "random": NUMPY | {"random"},
    "nn": NUMPY | {"random", "nn"}, "scipy": NUMPY | {"random", "nn", "scipy"},
    "image": NUMPY | {"image"}, "distributed": BASE | {"runtime", "distributed"},
}
# Imports inside functions: modules that are slow to load and rarely needed.
LAZY = {"opt_einsum", "rich", "rich.console", "rich.style", "rich.table", "rich.text",
        "lowering", "scipy", "scipy.sparse.linalg", "matplotlib", "matplotlib.pyplot",
        "jaxlib.lapack", "jaxlib.mlir", "absl"}
FILES = sorted((ROOT / "minijax").rglob("*.py"))
LOWERING = sorted((ROOT / "lowering").rglob("*.py"))


def imported(tree: ast.AST) -> list[tuple[str, bool]]:
    """(module, inside a function?) for each import."""
    inner = {id(n) for f in ast.walk(tree) if isinstance(f, (ast.FunctionDef, ast.Lambda))
             for n in ast.walk(f)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(a.name, id(node) in inner) for a in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            base = node.module
            if base in ("minijax", "minijax.base", "minijax.runtime", "minijax.lax"):
                found += [(f"{base}.{a.name}", id(node) in inner) for a in node.names]
            else:
                found.append((base, id(node) in inner))
    return found


def layer(module: str) -> str:
    parts = module.split(".")
    return parts[0] if parts[0] == "lowering" else parts[1] if len(parts) > 1 else ""


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [f for f in FILES if len(f.relative_to(ROOT).parts) > 2
                                  and f.relative_to(ROOT).parts[1] in ALLOWED], ids=relative)
def test_layers_import_downwards_only(path):
    allowed = ALLOWED[path.relative_to(ROOT).parts[1]]
    wrong = [m for m, _ in imported(ast.parse(path.read_text()))
             if m.split(".")[0] in ("minijax", "lowering") and layer(m) not in allowed]
    assert not wrong


@pytest.mark.parametrize("path", FILES + LOWERING, ids=relative)
def test_imports_inside_functions_are_the_lazy_ones(path):
    inner = [m for m, inside in imported(ast.parse(path.read_text())) if inside]
    assert set(inner) <= LAZY or "examples" in path.parts


@pytest.mark.parametrize("path", LOWERING, ids=relative)
def test_lowering_stands_alone(path):
    roots = {m.split(".")[0] for m, _ in imported(ast.parse(path.read_text()))}
    assert roots - set(sys.stdlib_module_names) <= {"lowering", "jaxlib", "numpy", "ml_dtypes"}


@pytest.mark.parametrize("path", FILES + LOWERING, ids=relative)
def test_jaxlib_has_two_doors(path):
    doors = {ROOT / "minijax/base/jaxlib.py", ROOT / "lowering/build.py"}
    roots = {m.split(".")[0] for m, _ in imported(ast.parse(path.read_text()))}
    assert "jaxlib" not in roots or path in doors
    assert "jax" not in roots


def loaded_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                         check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return set(out.stdout.split())


def test_importing_minijax_is_light():
    loaded = loaded_after("import minijax")
    heavy = {"jaxlib.mlir", "lowering", "scipy", "opt_einsum", "matplotlib", "jax"}
    assert not loaded & heavy


def test_importing_lowering_loads_no_front_end():
    assert not {m for m in loaded_after("import lowering") if m.split(".")[0] == "minijax"}


def test_running_never_imports_jax():
    loaded = loaded_after(
        "import minijax as jax, minijax.numpy as jnp, numpy as np\n"
        "x = jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(x) * x)))(jnp.arange(3.0))\n"
        "np.from_dlpack(x), jax.device_put(np.ones(3)), jax.random.normal(jax.random.key(0))")
    assert "jax._src.api" not in loaded
    assert "jax" not in loaded
