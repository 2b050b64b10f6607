"""The console script: the same verdicts as doit's, without doit where there is nothing to prepare."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system import workbench
from tests.system.workbench import CHECKOUT, Project

pytestmark = pytest.mark.system

UID = "33333333-0000-4000-8000-000000000003"
PODWRIGHT = Path(sys.executable).parent / "podwright"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project", tmp_path / "data", program=[str(PODWRIGHT)])
    made.image("web.aci", workbench.manifest("example.com/web", app=["/bin/true"]), workbench.busybox())
    made.write(workbench.spec("web", UID, [{"name": "app", "image": "images/web.aci"}], stage1="stub"))
    return made


def loaded_doit(project: Project) -> bool:
    """Whether `podwright run` had to become doit: what python says of its imports."""
    made = Project(project.root, project.data, program=[sys.executable, "-X", "importtime", str(PODWRIGHT)])
    done = made.doit("run", "pod=web")
    assert done.code == 0, done.err
    return "doit.doit_cmd" in done.err


def test_the_first_run_is_doits_and_the_next_one_is_not(project: Project) -> None:
    assert loaded_doit(project)
    assert not loaded_doit(project)


def test_every_change_brings_doit_back_once(project: Project) -> None:
    assert loaded_doit(project)
    os.utime(project.root / "images/web.aci")
    assert loaded_doit(project) and not loaded_doit(project)
    (project.pod(UID) / "pod").unlink()
    assert loaded_doit(project) and not loaded_doit(project)
    project.image("web.aci", workbench.manifest("example.com/web", app=["/bin/false"]), workbench.busybox())
    assert loaded_doit(project) and not loaded_doit(project)


def test_a_word_before_the_command_counts_too(project: Project) -> None:
    assert project.doit("run", "pod=web").code == 0
    for words in (["--locked", "run", "pod=web"], ["--locked", "pod=web"]):
        refused = project.doit(*words)
        assert refused.code == 3 and "no lock file web.lock" in refused.err and refused.out == "", refused


def test_other_words_and_mistakes_are_doits(project: Project) -> None:
    assert project.doit("check").out == "1 of 1 specs are right\n"
    refused = project.doit("run", "pod=wbe")
    assert refused.code == 3 and "did you mean" in refused.err
    prepared = project.doit("run", "pod=web", "manifest")
    assert prepared.code == 0 and (project.pod(UID) / "phase").read_text() == "prepared\n"
    assert not loaded_doit(project)


def test_the_steps_are_the_tasks_of_dodo(project: Project) -> None:
    listed = {line.split()[0] for line in project.doit("list", "--all", "pod=web").out.splitlines()}
    named = {"image:app", "image:stage1", "tree:app", "tree:stage1", "stage1", "app:app", "manifest", "overlay", "init"}
    assert listed - {"pods", "image", "tree", "app"} == named


@pytest.mark.parametrize("script", ["main", "doit"])
def test_an_interrupt_while_doit_is_loaded_is_no_traceback(tmp_path: Path, script: str) -> None:
    (tmp_path / "doit").mkdir()
    (tmp_path / "doit" / "__init__.py").write_text("raise KeyboardInterrupt\n")
    start = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(CHECKOUT)!r}]; "
    start += f"from stages.commands.podwright import {script}; sys.exit({script}())"
    done = subprocess.run([sys.executable, "-c", start, "list"], cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (130, b"")


@pytest.mark.parametrize(("name", "function"), [("podwright", "main"), ("doit", "doit")])
def test_the_scripts_of_a_checkout_can_be_imported_by_workers(tmp_path: Path, name: str, function: str) -> None:
    """multiprocessing does, where it does not fork: from Python 3.14 on `doit -n 2` would be started once more."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    writer = f"eval \"$(sed -n '/^quick_script()/,/^}}/p' {CHECKOUT}/tools/setup.sh)\"; quick_script {name} {function}"
    subprocess.run(["sh", "-euc", writer], cwd=tmp_path, check=True)
    script = tmp_path / ".venv" / "bin" / name
    os.symlink(CHECKOUT / "stages", tmp_path / "stages")
    program = f"import runpy; runpy.run_path({str(script)!r}, run_name='__mp_main__')"
    done = subprocess.run([sys.executable, "-c", program, "help"], cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    done = subprocess.run([sys.executable, script, "help"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0 and b"run" in done.stdout, done.stderr


@pytest.mark.parametrize("script", ["main", "doit"])
def test_the_collector_leaves_doit_alone(tmp_path: Path, script: str) -> None:
    start = "import atexit, gc, sys; atexit.register(lambda: print(gc.get_freeze_count(), len(gc.get_objects()))); "
    start += f"sys.path.insert(0, {str(CHECKOUT)!r}); "
    start += f"from stages.commands.podwright import {script}; sys.exit({script}())"
    environment = {**os.environ, "PODWRIGHT_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", start, "ps"], cwd=tmp_path, env=environment, capture_output=True)
    spared, looked_through = map(int, done.stdout.splitlines()[-1].split())
    assert spared > looked_through, done


@pytest.mark.parametrize("script", ["podwright", "doit"])
def test_a_stage1_in_python_goes_on_in_the_process_that_made_the_start_again(tmp_path: Path, script: str) -> None:
    program = str(PODWRIGHT.with_name(script))
    made = Project(tmp_path / "project", tmp_path / "data", program=[program])
    app = ["/bin/busybox", "sh", "-c", "/bin/busybox tr '\\0' ' ' </proc/$PPID/cmdline; exit 7"]
    made.image("web.aci", workbench.manifest("example.com/web", app=app), workbench.busybox())
    made.write(workbench.spec("web", UID, [{"name": "app", "image": "images/web.aci"}], stage1="fly"))
    ran = [made.doit("run", "pod=web") for _ in range(5)]
    assert {one.code for one in ran} == {7}, ran[-1].err
    # doit is too much to stay: what was loaded for it goes with the exec.
    assert f"{made.pod(UID)}/stage1/rootfs/run " in ran[0].out
    assert f"{program} run pod=web" in ran[-1].out
