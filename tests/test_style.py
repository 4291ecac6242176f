"""The house rules that no linter knows: sizes, names, who imports what, and what no file may hold."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = sorted((ROOT / "nachos_jax").rglob("*.py"))
SOURCES = PACKAGE + sorted(p for top in ("launch", "benchmarks") for p in (ROOT / top).rglob("*.py"))
MODULES = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in PACKAGE]
MODULES = [name.removesuffix(".__init__") for name in MODULES]

LINES_A_FILE = 400
LINES_A_FUNCTION = 60
ARGUMENTS = 7
FORBIDDEN_WORDS = {"helper", "helpers", "util", "utils", "manager", "managers"}
ONE_IMPORTER = ("ax", "grain", "jinja2", "matplotlib", "mlflow", "nibabel", "nrrd", "orbax", "tensorboard")
ONE_IMPORTER += ("openpyxl",)
JAX = ("jax", "flax", "optax")
MAY_USE_JAX_IN_CORE = {"nachos_jax.core.rng"}
WITHOUT_JAX = re.compile(
    r"nachos_jax\.(config|core|metrics|report|search|splits|statistics|records\.(rows|schema|store))(\.|$)"
)

# Written so that this file does not hold what it looks for.
MACHINE_PATHS = re.compile(r"(?<![\w.~])/(work|root|home|Users|mnt)/\w")
INDEX_ADDRESSES = re.compile(
    r"--(extra-)?index-ur[l]|--find-link[s]|https?://[^\s)]*(pypi|download\.|/simple)", re.I
)


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@functools.cache
def tree(path: Path) -> ast.Module:
    """Syntax of a file, parsed once for all rules."""
    return ast.parse(read(path))


@functools.cache
def nodes(tree: ast.AST) -> tuple[ast.AST, ...]:
    """All nodes of a file, found once for all rules."""
    return tuple(ast.walk(tree))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    yield from (n for n in nodes(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def defined_names(tree: ast.AST) -> Iterator[str]:
    """Names that a file brings into the world; those of imported things are not its own."""
    for node in nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def words(name: str) -> set[str]:
    """Words of a name in snake_case or CamelCase, in small letters."""
    return {part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def imported_packages(tree: ast.AST) -> set[str]:
    """Top-level packages that a file imports, at any depth of its code."""
    found: set[str] = set()
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def project_files() -> list[Path]:
    """Text files of the project: tracked, or new and not ignored."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip(f"git cannot list the files of the project: {listed.stderr.strip()}")
    paths = [ROOT / line for line in listed.stdout.splitlines()]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


def too_large(path: Path) -> Iterator[str]:
    """What of a file is longer than the house rules allow, or takes too many arguments."""
    text = read(path)
    if len(text.splitlines()) > LINES_A_FILE:
        yield f"{shown(path)} is too long"
    for function in functions(tree(path)):
        place = f"{shown(path)}:{function.lineno} {function.name}"
        if (function.end_lineno or 0) - function.lineno + 1 > LINES_A_FUNCTION:
            yield f"{place} is too long"
        named = function.args
        count = len(named.posonlyargs) + len(named.args) + len(named.kwonlyargs)
        count -= bool(named.args) and named.args[0].arg in ("self", "cls")
        if count > ARGUMENTS:
            yield f"{place} has {count} arguments: group them in a frozen dataclass"


def test_sizes() -> None:
    assert [line for path in SOURCES for line in too_large(path)] == []


def test_sizes_that_are_too_large_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "large.py"
    body = "".join("    pass\n" for _ in range(LINES_A_FUNCTION))
    path.write_text(
        f"class A:\n  def f(self, a, b, c, d, e, g, h): pass\ndef i(a, b, c, d, e, f, *, g, h):\n{body}"
    )
    assert list(too_large(path)) == [
        "large.py:3 i is too long",
        "large.py:3 i has 8 arguments: group them in a frozen dataclass",
    ]
    path = tmp_path / "long.py"
    path.write_text("\n" * (LINES_A_FILE + 1))
    assert list(too_large(path)) == ["long.py is too long"]


def test_a_file_of_tests_is_as_short_as_the_others() -> None:
    lengths = {
        shown(p): len(p.read_text(encoding="utf-8").splitlines()) for p in (ROOT / "tests").rglob("*.py")
    }
    assert {name: count for name, count in lengths.items() if count > LINES_A_FILE} == {}


def test_a_file_opens_with_its_docstring_unless_it_is_the_init_of_a_layer() -> None:
    layers = [path for path in SOURCES if path.name == "__init__.py" and path.parent != ROOT / "nachos_jax"]
    # Else importing one would import others.
    assert [shown(path) for path in layers if read(path) != ""] == [], (
        "the __init__.py of a layer stays empty"
    )
    others = [path for path in SOURCES if path not in layers]
    documented = [
        path
        for path in others
        if read(path).startswith('"""') and (ast.get_docstring(tree(path)) or "").strip()
    ]
    assert [shown(path) for path in others if path not in documented] == [], "line 1 opens the docstring"


def test_names_say_what_things_are() -> None:
    names = [(path, name) for path in SOURCES for name in {path.stem, *defined_names(tree(path))}]
    assert [f"{shown(path)}: {name}" for path, name in names if words(name) & FORBIDDEN_WORDS] == []


def test_words_of_names() -> None:
    assert words("CheckpointManager") == {"checkpoint", "manager"}
    assert words("_io_utils2") == {"io", "utils"}
    assert words("HTTPHelper") == {"http", "helper"}
    assert not words("futile") & FORBIDDEN_WORDS


def test_every_module_imports() -> None:
    for name in MODULES:
        importlib.import_module(name)


def test_heavy_packages_have_one_importer() -> None:
    imported = {shown(path): imported_packages(tree(path)) for path in PACKAGE}
    importers = {name: [path for path in imported if name in imported[path]] for name in ONE_IMPORTER}
    assert {name: paths for name, paths in importers.items() if len(paths) > 1} == {}
    dicom = [path for path in imported if "pydicom" in imported[path]]
    assert [path for path in dicom if not path.startswith("nachos_jax/data/dicom")] == []


@pytest.mark.thorough
def test_these_modules_run_without_jax() -> None:
    """The import contract reads the text of imports; this one sees what is really loaded."""
    names = [name for name in MODULES if WITHOUT_JAX.match(name) and name not in MAY_USE_JAX_IN_CORE]
    assert len(names) > 5
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        f"    print(name, *[p for p in {JAX!r} if p in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line for line in done.stdout.splitlines() if " " in line][:1] == []


def test_files_hold_no_path_of_a_machine_and_no_package_index() -> None:
    found = []
    for path in project_files():
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if MACHINE_PATHS.search(line) or INDEX_ADDRESSES.search(line):
                found.append(f"{shown(path)}:{number}: {line.strip()[:80]}")
    assert found == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("path = '/ro" + "ot/data'", MACHINE_PATHS),
        ("see /Use" + "rs/me/x", MACHINE_PATHS),
        ("pip install --extra-index-" + "url x", INDEX_ADDRESSES),
        ("https://py" + "pi.org/simple", INDEX_ADDRESSES),
    ],
)
def test_the_rules_find_what_they_forbid(text: str, rule: re.Pattern[str]) -> None:
    assert rule.search(text)
