"""Pages that name tests and code name what is there, and the generated page is the one that would be generated."""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
SEED = (ROOT / "docs" / "seed.md").read_text()
PLACES = re.findall(r"`(stages/[\w/]+\.py): ([\w.]+)`((?:, `[\w.]+`)*)", SEED)
NAMED = sorted({(file, name) for file, first, more in PLACES for name in (first, *re.findall(r"`([\w.]+)`", more))})
TESTS = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", SEED)))


@functools.cache
def names(path: Path) -> frozenset[str]:
    """Functions, classes, constants and `Class.member`s of a file."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
    return frozenset(found)


@functools.cache
def compatibility() -> ModuleType:
    """tools/compatibility.py, which is no package's."""
    spec = importlib.util.spec_from_file_location("compatibility", ROOT / "tools" / "compatibility.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_the_seed_names_code_and_tests() -> None:
    assert len(NAMED) > 40 and len(TESTS) > 30


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_code_that_the_page_of_the_seed_names_is_there(file: str, name: str) -> None:
    assert name in names(ROOT / file)


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_tests_that_the_page_of_the_seed_names_are_there(file: str, name: str) -> None:
    assert name in names(ROOT / "tests" / file)


def test_every_function_and_field_of_the_seed_has_a_row() -> None:
    fields = "Store Stage1Image UUID Debug MountLabel ProcessLabel Apps InheritEnv ExplicitEnv Ports UseOverlay"
    fields += " PodManifest PrivateUsers Net LockFd Interactive MDSRegister LocalConfig RktGid"
    functions = "init InitDebug debug MergeEnvs imageNameToAppName deduplicateMPs MergeMounts generatePodManifest"
    functions += " validatePodManifest Prepare preparedWithOverlay preparedWithPrivateUsers Run prepareAppImage"
    functions += " setupAppImage prepareStage1Image setupStage1Image writeManifest copyAppManifest overlayRender"
    firsts = " ".join(line.split("|")[1] for line in SEED.splitlines() if line.startswith("| `"))
    missing = [name for name in f"{fields} {functions}".split() if not re.search(rf"[`.]{name}[` ]", firsts)]
    assert not missing


def test_the_table_of_compatibility_is_what_the_marks_say() -> None:
    written = (ROOT / "docs" / "compatibility.md").read_text()
    assert written == compatibility().page(), "run: python tools/compatibility.py"


def test_a_row_has_a_summary_and_no_empty_reason() -> None:
    import json

    rows = json.loads(compatibility().ROWS.read_text())
    assert all(row["what"] and row.get("reason", "x") for row in rows.values())


def test_the_page_of_commands_has_every_command() -> None:
    import tomllib

    page = (ROOT / "docs" / "commands.md").read_text()
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["doit.COMMAND"]
    rows = " ".join(line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `doit"))
    assert not [name for name in known if not re.search(rf"`doit {name}[ `]", rows)]
    words = ("import", "rm", "cat-manifest", "verify", "export", "gc", "df")
    assert not [word for word in words if f"doit images {word}" not in rows and f"`{word} " not in rows]
