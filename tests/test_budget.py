"""The house stays small enough to read: sizes of files, functions and packages."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("minijax", "lowering")
FILES = sorted(f for p in PACKAGES for f in (ROOT / p).rglob("*.py"))
TEST_FILES = sorted((ROOT / "tests").rglob("*.py")) + sorted((ROOT / "benchmarks").rglob("*.py"))

# Code lines (no comments, docstrings, blank lines) that a package may have.
CEILINGS = {"lowering": 3691, "minijax/base": 1770, "minijax/sharding": 880,
            "minijax/distributed": 200, "minijax/core": 1890,
            "minijax/passes": 1223, "minijax/lax": 9062, "minijax/runtime": 3446,
            "minijax/api": 3640, "minijax/numpy": 8350, "minijax/random": 1680,
            "minijax/nn": 740, "minijax/image": 170, "minijax/scipy": 3600, "minijax/examples": 300,
            "minijax/extend": 500, "minijax/interpreters": 530, "minijax/compat": 410,
            "minijax/experimental": 3870, "minijax/example_libraries": 380,
            "minijax/export": 1360}


def lines(path: Path) -> int:
    return path.read_text().count("\n")


def code_lines(path: Path) -> int:
    """Lines that carry a token which is neither a comment nor part of a docstring."""
    source = path.read_text()
    docstrings = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(
                node) is not None:
            docstrings.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    skip = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
            tokenize.ENDMARKER, tokenize.ENCODING}
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in skip:
            found.update(range(token.start[0], token.end[0] + 1))
    return len(found - docstrings)


@pytest.mark.parametrize("path", FILES + TEST_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_short(path):
    assert lines(path) <= 800


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_functions_are_short_and_modules_say_what_they_are_for(path):
    module = ast.parse(path.read_text())
    assert ast.get_docstring(module), "a module begins with what it is for"
    long = [f"{n.name}: {n.end_lineno - n.lineno + 1}" for n in ast.walk(module)
            if isinstance(n, ast.FunctionDef) and n.end_lineno - n.lineno + 1 > 60]
    assert not long


def test_core_is_at_most_2960_lines():
    assert sum(lines(f) for f in FILES if f.is_relative_to(ROOT / "minijax/core")) <= 2960


@pytest.mark.parametrize("package", CEILINGS)
def test_packages_stay_below_their_ceiling(package):
    total = sum(code_lines(f) for f in FILES if f.is_relative_to(ROOT / package))
    print(f"{package}: {total} code lines of at most {CEILINGS[package]}")
    assert 0 < total <= CEILINGS[package]


def test_every_package_has_a_ceiling():
    packages = {f.relative_to(ROOT).parts[:2] for f in FILES if len(f.relative_to(ROOT).parts) > 2}
    named = {"/".join(p) for p in packages if p[0] == "minijax"}
    assert named <= set(CEILINGS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_lines_are_at_most_100_columns(path):
    wide = [i for i, line in enumerate(path.read_text().splitlines(), 1) if len(line) > 100]
    assert not wide


def test_no_unfinished_work_is_marked():
    marked = [f"{f.relative_to(ROOT)}:{i}" for f in FILES + TEST_FILES if f != Path(__file__)
              for i, line in enumerate(f.read_text().splitlines(), 1)
              if any(word in line for word in ("TODO", "FIXME", "XXX", "HACK"))]
    assert not marked
