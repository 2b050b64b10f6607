"""The console script: the same steps and verdicts as doit's, without doit where the graph is the one we know."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from stages.graph import direct
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


PREPARED = {"image:app", "image:stage1", "tree:app", "tree:stage1", "stage1", "app:app", "manifest"}
BY_DOIT = "by doit"


def done(project: Project) -> set[str]:
    """The tasks that `podwright run` did, and whether it had to become doit: what python says of its imports."""
    project.program = [sys.executable, "-X", "importtime", str(PODWRIGHT)]
    ran = project.doit("run", "pod=web")
    assert ran.code == 0, ran.err
    return workbench.told(ran.err) | ({BY_DOIT} if "doit.doit_cmd" in ran.err else set())


def test_a_run_needs_no_doit(project: Project) -> None:
    assert done(project) == PREPARED
    assert done(project) == set()


@pytest.mark.parametrize("script", ["podwright", "doit"])
@pytest.mark.parametrize("words", [("gc", "--help"), ("run", "pod=web", "-h"), ("enter", "--help", "--", "sh")])
def test_a_command_with_help_behind_it_tells_of_itself(project: Project, script: str, words: tuple[str, ...]) -> None:
    project.program = [str(PODWRIGHT.with_name(script))]
    told = project.doit(*words)
    assert told.code == 0 and told.out == project.doit("help", words[0]).out and "OPTIONS" in told.out
    assert not project.pod(UID).exists()


def test_the_version_is_podwright_s_own_and_doit_s(project: Project) -> None:
    told = project.doit("--version").out.splitlines()
    assert told[0] == f"podwright {metadata.version('podwright')}" and told[1].startswith("doit "), told
    assert project.doit("version").err == "ERROR: no task 'version'\n  hint: did you mean `podwright --version`?\n"


def test_help_is_the_command_s_own_behind_dashes(project: Project) -> None:
    assert "isn't currently running" in project.doit("enter", "pod=web", "--", "ls", "--help").err


def test_every_change_is_seen_once(project: Project) -> None:
    assert done(project) == PREPARED
    os.utime(project.root / "images/web.aci")
    assert done(project) == {"image:app"} and not done(project)
    (project.pod(UID) / "pod").unlink()
    assert done(project) == {"manifest"} and not done(project)
    project.image("web.aci", workbench.manifest("example.com/web", app=["/bin/false"]), workbench.busybox())
    assert done(project) == {"image:app", "tree:app", "app:app", "manifest"} and not done(project)


def test_two_apps_of_one_image_bring_and_render_it_once(project: Project) -> None:
    project.image("other.aci", workbench.manifest("example.com/other", app=["/bin/true"]), workbench.busybox())
    images = {"app": "web", "twin": "web", "other": "other"}
    apps = [{"name": name, "image": f"images/{image}.aci"} for name, image in images.items()]
    project.write(workbench.spec("web", UID, apps, stage1="stub"))
    by_doit = Project(project.root, project.root.parent / "other-data").doit("run", "pod=web")
    assert by_doit.code == 0, by_doit.err
    did = done(project)
    assert did == workbench.told(by_doit.err)
    assert {"image:app", "image:other", "tree:app", "app:twin"} <= did and not {"image:twin", "tree:twin"} & did


# `podwright`, whose process that prepares is killed when it begins, or those that have a share of its work.
KILLING = f"""
import os, signal, sys
sys.path.insert(0, {str(CHECKOUT)!r})
from stages.commands import apart, podwright
from stages.graph import direct
prepare, ours = apart._prepare, []
apart._prepare = lambda *words: ours.append(os.getpid()) or prepare(*words)
%s = lambda *_: os.kill(os.getpid(), signal.SIGKILL) if os.getpid() not in ours else 0
sys.exit(podwright.main())
"""


@pytest.mark.parametrize("killing", ["direct._one_by_one", "apart._prepare"])
def test_a_process_that_is_killed_is_a_sentence(project: Project, killing: str) -> None:
    project.program = [sys.executable, "-c", KILLING % killing]
    ran = project.doit("run", "pod=web")
    assert ran.code == direct.FAILED and "ended early (signal 9)" in ran.err and "Traceback" not in ran.err


def test_a_graph_of_the_projects_own_is_doits(project: Project) -> None:
    dodo = project.root / "dodo.py"
    ours = dodo.read_text()
    dodo.write_text(ours + "\n\ndef task_more():\n    return {'actions': ['touch more']}\n")
    assert done(project) == {*PREPARED, BY_DOIT}
    dodo.write_text(ours)
    (project.root / "doit.cfg").write_text("[GLOBAL]\nverbosity = 2\n")
    os.utime(project.root / "images/web.aci")
    assert done(project) == {"image:app", BY_DOIT}
    (project.root / "doit.cfg").unlink()
    (project.root / "pyproject.toml").write_text("[tool.doit]\nverbosity = 2\n")
    os.utime(project.root / "images/web.aci")
    assert done(project) == {"image:app", BY_DOIT}
    (project.root / "pyproject.toml").write_text("[project]\nname = 'web'\n")
    os.utime(project.root / "images/web.aci")
    assert done(project) == {"image:app"}


def test_a_start_that_waits_for_a_task_of_somebody_elses_is_never_made_without_it(project: Project) -> None:
    dodo = project.root / "dodo.py"
    ours = dodo.read_text()
    more = "\n\ndef task_more():\n    return {'actions': ['echo >>%s more']}\n" % (project.root / "log")
    dodo.write_text(ours + more)
    assert all(project.doit("run", "pod=web").code == 0 for _ in range(5))
    assert (project.pod(UID) / "start.json").exists() and not (project.root / "log").exists()
    dodo.write_text(ours.replace('after=["overlay"]', 'after=["overlay", "more"]') + more)
    assert all(project.doit("run", "pod=web").code == 0 for _ in range(5))
    assert len((project.root / "log").read_text().splitlines()) == 5


def _no_archive(project: Project) -> None:
    (project.root / "images/web.aci").unlink()


def _no_image(project: Project) -> None:
    (project.root / "images/web.aci").write_bytes(b"no image\n")


def _other_pod(project: Project) -> None:
    (project.root / "pods/web.yaml").rename(project.root / "pods/other.yaml")
    project.write(workbench.spec("other", UID, [{"name": "app", "image": "images/web.aci"}], stage1="stub"))


def _no_pods_directory(project: Project) -> None:
    shutil.rmtree(project.data / "pods", ignore_errors=True)
    project.data.mkdir(exist_ok=True)
    (project.data / "pods").write_text("")


@pytest.mark.parametrize("trouble", [_no_archive, _no_image, _other_pod, _no_pods_directory])
@pytest.mark.parametrize("prepared", [False, True], ids=["new", "prepared"])
def test_trouble_is_told_as_doit_tells_it(project: Project, trouble: Callable[[Project], None], prepared: bool) -> None:
    if prepared:
        assert project.doit("run", "pod=web").code == 0
    trouble(project)
    by_doit = Project(project.root, project.data).doit("run", "pod=web")
    assert by_doit.code, by_doit
    done = project.doit("run", "pod=web")
    # What was done before the trouble is not done again.
    assert (done.code, done.out) == (by_doit.code, by_doit.out) and by_doit.err.endswith(done.err) and done.err


@pytest.mark.parametrize(
    ("options", "ours"),
    [
        ('[project]\ndependencies = ["doit==0.37",\n  "doit>=0.37"]\n[project.entry-points."doit.COMMAND"]\n', True),
        ('[tool.mypy]\nmodule = ["doit.*"] # doit\n', True),
        ('[project]\ndependencies = [\n  "podwright", "doit"]\n', True),
        ("[tool.doit]\n", False),
        ("[tool.doit.commands.run]\nalways = true\n", False),
        ('[ tool . "doit" ]\n', False),
        ("[tool]\ndoit = {verbosity = 2}\n", False),
        ("[tool]\n  doit.verbosity = 2\n", False),
        ("tool = {doit = {verbosity = 2}}\n", False),
        ("tool.doit.verbosity = 2\n", False),
    ],
)
def test_options_for_doit_are_known_however_they_are_spelled(project: Project, options: str, ours: bool) -> None:
    (project.root / "pyproject.toml").write_text(options)
    assert direct.is_ours(project.root) is ours
    assert ("doit" in tomllib.loads(options).get("tool", {})) is not ours


def test_options_for_doit_count_for_a_start_that_was_made_before_too(project: Project) -> None:
    assert done(project) == PREPARED
    while not (project.pod(UID) / "start.json").exists():
        assert done(project) == set()
    (project.root / "doit.cfg").write_text("[run]\nalways = True\n")
    assert done(project) == {*PREPARED, BY_DOIT}


def test_a_project_that_cannot_be_read_is_refused_in_a_sentence(project: Project) -> None:
    (project.root / "pyproject.toml").mkdir()
    refused = project.doit("run", "pod=web")
    assert refused.code == 1 and "pyproject.toml: Is a directory" in refused.err, refused


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
    assert done(project) == set()


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


def script_of_a_checkout(folder: Path, name: str) -> Path:
    """As tools/setup.sh writes it, in a folder where the modules are to be put."""
    (folder / ".venv" / "bin").mkdir(parents=True)
    function = {"podwright": "main", "doit": "doit"}[name]
    writer = f"eval \"$(sed -n '/^quick_script()/,/^}}/p' {CHECKOUT}/tools/setup.sh)\"; quick_script {name} {function}"
    subprocess.run(["sh", "-euc", writer], cwd=folder, check=True)
    return folder / ".venv" / "bin" / name


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("name", ["podwright", "doit"])
def test_an_interrupt_while_a_script_of_a_checkout_loads_is_no_traceback(
    tmp_path: Path, name: str, ignored: bool
) -> None:
    script = script_of_a_checkout(tmp_path, name)
    (tmp_path / "stages" / "commands").mkdir(parents=True)
    interrupts = f"import os, sys\nos.kill(os.getpid(), {signal.SIGINT:d})\n"
    interrupts += "main = doit = lambda: print('goes on') or 0\n"
    (tmp_path / "stages" / "commands" / "podwright.py").write_text(interrupts)
    command = ["env", "--ignore-signal=INT" if ignored else "--default-signal=INT", sys.executable, "-S", script]
    done = subprocess.run(command, capture_output=True, check=False)
    expected = (0, b"goes on\n", b"") if ignored else (-signal.SIGINT, b"", b"")
    assert (done.returncode, done.stdout, done.stderr) == expected


@pytest.mark.parametrize("name", ["podwright", "doit"])
def test_the_scripts_of_a_checkout_can_be_imported_by_workers(tmp_path: Path, name: str) -> None:
    """multiprocessing does, where it does not fork: from Python 3.14 on `doit -n 2` would be started once more."""
    script = script_of_a_checkout(tmp_path, name)
    os.symlink(CHECKOUT / "stages", tmp_path / "stages")
    program = f"import runpy; runpy.run_path({str(script)!r}, run_name='__mp_main__')"
    done = subprocess.run([sys.executable, "-c", program, "help"], cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    done = subprocess.run([sys.executable, script, "help"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0 and b"run" in done.stdout, done.stderr


@pytest.mark.parametrize("script", ["main", "doit"])
def test_the_collector_leaves_alone_what_is_loaded(tmp_path: Path, script: str) -> None:
    start = "import atexit, gc, sys; atexit.register(lambda: print(gc.get_freeze_count(), len(gc.get_objects()))); "
    start += f"sys.path.insert(0, {str(CHECKOUT)!r}); "
    start += f"from stages.commands.podwright import {script}; sys.exit({script}())"
    environment = {**os.environ, "PODWRIGHT_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", start, "ps"], cwd=tmp_path, env=environment, capture_output=True)
    spared, looked_through = map(int, done.stdout.splitlines()[-1].split())
    assert spared > looked_through, done


@pytest.mark.parametrize("script", ["podwright", "doit"])
def test_a_stage1_in_python_goes_on_in_the_process_that_has_loaded_little(tmp_path: Path, script: str) -> None:
    program = str(PODWRIGHT.with_name(script))
    made = Project(tmp_path / "project", tmp_path / "data", program=[program])
    app = ["/bin/busybox", "sh", "-c", "/bin/busybox tr '\\0' ' ' </proc/$PPID/cmdline; exit 7"]
    made.image("web.aci", workbench.manifest("example.com/web", app=app), workbench.busybox())
    made.write(workbench.spec("web", UID, [{"name": "app", "image": "images/web.aci"}], stage1="fly"))
    ran = [made.doit("run", "pod=web") for _ in range(5)]
    assert {one.code for one in ran} == {7}, ran[-1].err
    # doit is too much to stay: what was loaded for it goes with the exec.
    first = f"{made.pod(UID)}/stage1/rootfs/run " if script == "doit" else f"{program} run pod=web"
    assert first in ran[0].out
    assert f"{program} run pod=web" in ran[-1].out
