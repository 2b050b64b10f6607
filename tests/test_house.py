"""The rules of the house: linters, which way imports point, how long things may get, what no file may say."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "stages").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
TOOLS = sorted((ROOT / "tools").rglob("*.py"))
DODO = ROOT / "dodo.py"

# Who may import whom: its own layer and those before it. A verb is a module of `stages` itself.
LAYERS = ("base", "linux", "spec", "images", "trees", "pod", "verbs", "graph", "commands", "dodo")
# stage1 is another program: it imports nothing of ours, and only what builds its images may ask it what they hold.
STAGE1 = "stage1"
STAGE1_BUILDER = ROOT / "stages" / "images" / "flavors.py"

# What only some layers may import.
CONFINED = {"doit": ("graph", "commands", "dodo"), "ctypes": ("linux", STAGE1)}

MODULE_LINES = 300
FUNCTION_LINES = 60
NESTING = 3
DODO_LINES = 80


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def layer(path: Path) -> str:
    if path == DODO:
        return "dodo"
    inside = path.relative_to(ROOT / "stages").parts
    return "verbs" if len(inside) == 1 else inside[0]


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported anywhere in the file: modules, and names out of them."""
    package = list(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def imported_layer(name: str) -> str | None:
    """The layer an imported name belongs to; None for what is not ours."""
    first, *inside = name.split(".")
    if first != "stages":
        return first if first == "dodo" else None
    if inside and (ROOT / "stages" / inside[0]).is_dir():
        return inside[0]
    return "verbs"


def test_ruff_finds_nothing() -> None:
    run(sys.executable, "-m", "ruff", "check", "--no-cache", ".")


def test_mypy_strict_finds_nothing() -> None:
    run(sys.executable, "-m", "mypy", "--strict", "stages", "dodo.py", "benchmarks")


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_package_of_ours_has_a_layer() -> None:
    packages = {path.name for path in (ROOT / "stages").iterdir() if (path / "__init__.py").exists()}
    assert packages - {STAGE1} <= set(LAYERS)


def test_imports_point_down() -> None:
    wrong = []
    for path in [*SOURCES, DODO]:
        for line, name in imports(path):
            theirs = imported_layer(name)
            if theirs is not None and not may_import(path, theirs):
                wrong.append(f"{relative(path)}:{line}: {layer(path)} imports {name}")
    assert not wrong, "\n".join(wrong)


def may_import(path: Path, theirs: str) -> bool:
    mine = layer(path)
    if mine == theirs:
        return True
    if STAGE1 in (mine, theirs):
        return path == STAGE1_BUILDER
    return LAYERS.index(theirs) < LAYERS.index(mine)


def test_stage1_needs_only_the_standard_library() -> None:
    programs = [path for path in SOURCES if layer(path) == STAGE1]
    neighbours = {path.stem for path in programs} | {path.parent.name for path in programs}
    foreign = [
        f"{relative(path)}:{line}: {name}"
        for path in programs
        for line, name in imports(path)
        if name.split(".")[0] not in sys.stdlib_module_names | neighbours and imported_layer(name) != STAGE1
    ]
    assert not foreign, "\n".join(foreign)


@pytest.mark.parametrize(("module", "places"), CONFINED.items())
def test_confined_modules_stay_where_they_belong(module: str, places: tuple[str, ...]) -> None:
    escaped = [
        f"{relative(path)}:{line}: {name}"
        for path in [*SOURCES, DODO]
        for line, name in imports(path)
        if name.split(".")[0] == module and layer(path) not in places
    ]
    assert not escaped, "\n".join(escaped)


def test_a_module_begins_with_its_reason_to_exist() -> None:
    for path in [*SOURCES, DODO, *TESTS, *TOOLS]:
        if path.name == "__init__.py" and path in TESTS:
            continue
        first = next(line for line in path.read_text().splitlines() if not line.startswith("#!"))
        assert first.startswith('"""') and len(first) > len('"""?"""'), relative(path)


def test_modules_functions_and_nesting_stay_small() -> None:
    too_much = []
    for path in [*SOURCES, DODO]:
        lines = len(path.read_text().splitlines())
        if lines > MODULE_LINES:
            too_much.append(f"{relative(path)} has {lines} lines: split it by reason")
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                too_much += [f"{relative(path)}:{node.lineno}: {node.name} {why}" for why in excesses(node)]
    assert not too_much, "\n".join(too_much)


def excesses(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    length = (function.end_lineno or function.lineno) - function.lineno + 1
    if length > FUNCTION_LINES:
        yield f"has {length} lines"
    if nesting(function) > NESTING:
        yield f"nests {nesting(function)} deep"


def nesting(node: ast.AST) -> int:
    """How many blocks (if, for, while, with, try, match) are open at the deepest line. An elif opens none."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        opens = isinstance(child, ast.If | ast.For | ast.While | ast.With | ast.Try | ast.Match)
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, nesting(child) + (opens and not is_elif))
    return deepest


def test_nothing_is_defined_for_nobody() -> None:
    """A name at the top of a module stands somewhere else too: in the code, the benchmarks, or as an entry point."""
    users = [*SOURCES, DODO, *TOOLS, *sorted((ROOT / "benchmarks").rglob("*.py")), ROOT / "pyproject.toml"]
    words = Counter(re.findall(r"\w+", "\n".join(path.read_text() for path in users)))
    for path in SOURCES:
        for node in parsed(path).body:
            names = [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
            if isinstance(node, ast.Assign):
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            for name in names:
                assert words[name] > 1 or name == "__getattr__", f"{relative(path)}:{node.lineno}: nobody uses {name}"


def test_directories_are_made_with_a_mode() -> None:
    """Else the caller's umask decides who may write to them. A project is a person's own."""
    theirs = {ROOT / "stages" / "commands" / name for name in ("unbundle.py", "doctor_probes.py")}
    for path in SOURCES:
        if path in theirs:
            continue
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            given = {word.arg for word in node.keywords}
            place = f"{relative(path)}:{node.lineno}"
            if node.func.attr in ("mkdir", "makedirs"):
                of_os = isinstance(node.func.value, ast.Name) and node.func.value.id == "os"
                assert "mode" in given or len(node.args) > of_os, f"{place}: no mode"
                assert "parents" not in given, f"{place}: what is above gets no mode: files.make_directory"


def test_dodo_is_a_table_of_contents() -> None:
    assert len(DODO.read_text().splitlines()) < DODO_LINES
    tasks = [node.name for node in parsed(DODO).body if isinstance(node, ast.FunctionDef)]
    steps = ["image", "tree", "stage1", "app", "manifest", "overlay", "init"]
    assert [name for name in tasks if name.removeprefix("task_") in steps] == [f"task_{step}" for step in steps]


def test_tests_under_system_are_marked_and_no_other_file_is() -> None:
    for path in TESTS:
        if not path.name.startswith("test_") or path == Path(__file__):
            continue
        marked = re.search(r"^pytestmark = .*pytest\.mark\.system", path.read_text(), re.MULTILINE) is not None
        assert marked == (path.parent.name == "system"), relative(path)


def test_every_test_module_mirrors_a_module() -> None:
    """tests/images/test_tar*.py tests stages/images/tar.py; a longer name says which part of it."""
    for path in TESTS:
        place = path.relative_to(ROOT / "tests").parent
        if not path.name.startswith("test_") or not (ROOT / "stages" / place).is_dir() or place == Path():
            continue
        words = path.stem.removeprefix("test_")
        modules = {module.stem for module in (ROOT / "stages" / place).iterdir()}
        assert any(words == module or words.startswith(f"{module}_") for module in modules), relative(path)


# Spelled in two halves, so that this file does not say them either.
UNSAID = ("../" + "shared", "/work/" + "shared", "/work/" + "main", "pypi" + ".org", "python" + "hosted")
NOT_OURS = {".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}


def test_no_file_points_out_of_the_project() -> None:
    for path in sorted(ROOT.rglob("*")):
        if NOT_OURS & set(path.relative_to(ROOT).parts) or not path.is_file() or path.suffix == ".aci":
            continue
        text = path.read_text(errors="replace")
        assert not [word for word in UNSAID if word in text], relative(path)
