"""podwright as pip installs it, without its checkout: a wheel, and a project that `new` makes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system import workbench
from tests.system.workbench import CHECKOUT, Project

pytestmark = pytest.mark.system

UID = "44444444-0000-4000-8000-000000000004"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with the one of a wheel in it."""
    built, installed = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("packages")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    wheel = [*pip, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built), str(CHECKOUT)]
    subprocess.run(wheel, check=True)
    subprocess.run(
        [*pip, "install", "--no-index", "--no-deps", "--target", str(installed), *built.glob("*.whl")], check=True
    )
    return installed


@pytest.fixture
def project(packages: Path, tmp_path: Path) -> Project:
    """A folder that is no project yet. Whatever is run there has the code of the wheel, not that of the checkout."""
    start = "import sys; from stages.commands.podwright import main; sys.exit(main())"
    made = Project(tmp_path / "project", tmp_path / "data", program=[sys.executable, "-c", start])
    made.environment["PYTHONPATH"] = str(packages)
    (made.root / "dodo.py").unlink()
    (made.root / "pods").rmdir()
    return made


def test_it_is_the_code_of_the_wheel(packages: Path) -> None:
    program = "import stages.commands.podwright as ours, stages.spec.jsonschemas as s; print(ours.__file__, s.FOLDER)"
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, cwd="/", capture_output=True, text=True)
    assert done.stdout.split() == [f"{packages}/stages/commands/podwright.py", f"{packages}/stages/schemas"], (
        done.stderr
    )


def test_a_folder_becomes_a_project_that_runs(project: Project) -> None:
    refused = project.doit("check")
    assert refused.code == 3 and "`doit new` makes a folder one" in refused.err
    made = project.doit("new")
    assert (made.code, made.err) == (0, "") and str(project.root) in made.out
    assert (project.root / "dodo.py").read_bytes() == (CHECKOUT / "dodo.py").read_bytes()
    assert project.doit("check").out == "0 of 0 specs are right\n"
    project.image("web.aci", workbench.manifest("example.com/web", app=["/bin/true"]), workbench.busybox())
    app = {"name": "app", "image": "images/web.aci", "command": ["/bin/sh", "-c", "echo said"]}
    spec = project.write(workbench.spec("web", UID, [app]))
    first, again = project.doit("run", "pod=web"), project.doit("run", "pod=web")
    assert (first.code, first.out) == (0, "said\n") and "manifest" in workbench.told(first.err), first.err
    assert (again.code, again.out, again.err) == (0, "said\n", "")
    spec.write_text(spec.read_text().replace("image:", "imge:"))
    wrong = project.doit("check")
    assert wrong.code == 1 and "did you mean 'image'?" in wrong.err


def test_new_takes_nothing_away(project: Project) -> None:
    dodo = project.root / "sub" / "dodo.py"
    assert project.doit("new", "sub").code == 0 and dodo.exists() and (dodo.parent / "pods").is_dir()
    assert project.doit("new", "sub").code == 0
    dodo.write_text("own = 1\n")
    refused = project.doit("new", "sub")
    assert refused.code == 1 and "--overwrite" in refused.err and dodo.read_text() == "own = 1\n"
    assert project.doit("new", "--overwrite", "sub").code == 0
    assert dodo.read_bytes() == (CHECKOUT / "dodo.py").read_bytes()
    assert project.doit("new", "pod=web").code == 1 and project.doit("new", "a", "b").code == 1
    (project.root / "file").write_text("")
    blocked = project.doit("new", "file")
    assert blocked.code == 1 and "Traceback" not in blocked.err, blocked.err
