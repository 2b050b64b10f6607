"""From a committed spec to a running pod and back, through the real command, on images of real size and shape."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.images import build, tar
from stages.images.build import Member
from tests.system import workbench
from tests.system.workbench import CHECKOUT, Project, Result

pytestmark = pytest.mark.system

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f10"
BOTH_WAYS = pytest.mark.parametrize("overlay", [True, False], ids=["overlay", "copy"])


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with one small image, box.aci."""
    made = Project(tmp_path / "project", tmp_path / "data")
    made.image("box.aci", workbench.manifest("example.com/box", app=["/bin/true"]), workbench.busybox())
    return made


def app(name: str, script: str, image: str = "images/box.aci", **fields: Any) -> dict[str, Any]:
    """An app that runs a shell script."""
    return {"name": name, "image": image, "command": ["/bin/sh", "-c", script], **fields}


def write(project: Project, *apps: dict[str, Any], volumes: tuple[dict[str, Any], ...] = (), **stage0: Any) -> None:
    """The spec of the pod `shop`."""
    document = workbench.spec("shop", UID, list(apps), **stage0)
    document["spec"]["volumes"] = list(volumes)
    project.write(document)


def done(result: Result) -> set[str]:
    """The tasks that did work, as people are told of them: a line each."""
    return {line.split()[0] for line in result.err.splitlines()}


def sentences(result: Result) -> str:
    """stderr of a command that failed, if it is fit for people."""
    assert result.code != 0 and result.out == "" and "Traceback" not in result.err, result
    return result.err


# ---- images


@pytest.fixture
def debian_members(minbase: Path) -> list[Member]:
    """A small Debian: what mmdebstrap makes."""
    return [Member(entry, lambda: open(minbase, "rb")) for entry in tar.read_entries(minbase)]


@BOTH_WAYS
def test_debian_runs_and_its_package_manager_finds_every_file_right(
    project: Project, debian_members: list[Member], overlay: bool
) -> None:
    project.image("debian.aci", workbench.manifest("example.com/debian", app=["/bin/true"]), debian_members)
    script = (
        ". /etc/os-release; echo $ID; dpkg --verify; dpkg-query -W -f '${Status}\\n' | sort | uniq -c | wc -l;"
        "stat -c '%a %U:%G %n' /usr/bin/passwd /etc/shadow /usr/bin/chage /tmp; perl -e 'print 6 * 7, chr 10'"
    )
    write(project, app("os", script, "images/debian.aci"), overlay=overlay)
    first = project.run("shop")
    expected = [
        "debian",
        "1",
        "4755 root:root /usr/bin/passwd",
        "640 root:shadow /etc/shadow",
        "2755 root:shadow /usr/bin/chage",
        "1777 root:root /tmp",
        "42",
    ]
    assert (first.code, first.out.splitlines()) == (0, expected), first.err
    if overlay:
        assert project.run("shop").tasks == {"overlay", "init"}


def dependent(project: Project) -> list[str]:
    """top -> one, two (version 2), three by its id; two -> nested. Each says its name in /etc/<own> and /etc/who."""

    def image(name: str, *more: Member, version: str = "1", **fields: Any) -> str:
        members = [
            build.directory("etc"),
            build.regular(f"etc/{name}", f"{name} {version}\n".encode()),
            build.regular("etc/who", f"{name}\n".encode()),
            *more,
        ]
        path = project.image(
            f"{name}-{version}.aci",
            workbench.manifest(f"example.com/{name}", labels={"version": version}, **fields),
            members,
        )
        imported = project.doit("images", "import", str(path))
        assert imported.code == 0, imported.err
        (found,) = [word for word in (imported.out + imported.err).split() if word.startswith("sha512-")][:1]
        return found

    image("nested", *[one for one in workbench.busybox() if one.entry.name != b"etc"])
    image("one", build.regular("etc/hidden", b"not on the list\n"), pathWhitelist=["/etc/one", "/etc/who"])
    image("two", version="3")
    image("two", version="2", dependencies=[{"imageName": "example.com/nested"}])
    three = image("three")
    top = workbench.manifest(
        "example.com/top",
        app=["/bin/sh", "-c", "cat /etc/who /etc/one /etc/two /etc/three /etc/nested; ls /etc"],
        dependencies=[
            {"imageName": "example.com/one"},
            {"imageName": "example.com/two", "labels": [{"name": "version", "value": "2"}]},
            {"imageName": "example.com/three", "imageID": three},
        ],
    )
    project.image("top.aci", top, [build.directory("etc"), build.regular("etc/top", b"top\n")])
    return ["who", "one", "two", "three", "nested", "top"]


@pytest.mark.contract("L.1 rkt_image_dependencies", "M 30")
@BOTH_WAYS
def test_an_image_with_three_dependencies(project: Project, overlay: bool) -> None:
    names = dependent(project)
    write(project, {"name": "top", "image": "images/top.aci"}, overlay=overlay)
    ended = project.run("shop")
    assert ended.code == 0, ended.err
    # The dependency listed last is over the ones before it; what is not on a whitelist is not there.
    *content, listed = [*ended.out.split("\n", 5)]
    assert content == ["three", "one 1", "two 2", "three 1", "nested 1"]
    assert sorted(set(listed.split()) - {"hosts", "hostname", "resolv.conf", "mtab"}) == sorted(names)


# ---- pods


@pytest.mark.contract("L.2 host volume", "L.2 shared volume", "L.3 write to a volume")
def test_two_apps_over_a_shared_volume_and_a_host_directory(project: Project, tmp_path: Path) -> None:
    (tmp_path / "srv").mkdir()
    mounts = [{"name": "box", "mountPath": "/box"}, {"name": "srv", "mountPath": "/srv"}]
    write(
        project,
        app("writer", "echo a letter > /box/.l; mv /box/.l /box/letter", volumeMounts=mounts),
        app(
            "reader",
            "until [ -e /box/letter ]; do sleep 0.02; done; cat /box/letter > /srv/read",
            volumeMounts=mounts,
        ),
        volumes=({"name": "box", "emptyDir": {}}, {"name": "srv", "hostPath": {"path": str(tmp_path / "srv")}}),
    )
    ended = project.run("shop")
    assert (ended.code, ended.out, (tmp_path / "srv/read").read_text()) == (0, "", "a letter\n"), ended.err


@BOTH_WAYS
def test_a_pod_that_has_run_starts_with_its_images_again(project: Project, overlay: bool) -> None:
    write(project, app("web", "ls /new 2>/dev/null; echo x > /new; rm /etc/motd; echo ran"), overlay=overlay)
    assert [project.run("shop").out for _ in range(2)] == ["ran\n", "ran\n"]


@pytest.mark.contract("L.1 rkt_exit")
@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_the_exit_code_is_the_pods(project: Project, code: int) -> None:
    write(project, app("web", f"exit {code}"))
    assert project.run("shop").code == code


def test_stdout_is_the_pods_alone(project: Project) -> None:
    write(project, app("web", "echo from the app; echo its error >&2"))
    first = project.doit("run", "pod=shop")
    assert (first.code, first.out) == (0, "from the app\n")
    # One line for each task that did work, and nothing else.
    told = [line.split()[0] for line in first.err.splitlines()]
    assert told == ["image:stage1", "image:web", "tree:web", "tree:stage1", "stage1", "app:web", "manifest", "its"]
    again = project.doit("run", "pod=shop")
    assert (again.code, again.out, again.err) == (0, "from the app\n", "its error\n")


def broken_stage1(project: Project, mode: int, content: bytes) -> None:
    """stage1.aci, whose run entrypoint is a file with this mode and content; mode 0: it is not there."""
    annotations = [{"name": "coreos.com/rkt/stage1/run", "value": "/init"}]
    members = [build.directory("rkt"), build.directory("rkt/status")]
    members += [build.regular("init", content, mode)] if mode else []
    project.image("stage1.aci", workbench.manifest("example.com/stage1", annotations=annotations), members)


@BOTH_WAYS
@pytest.mark.parametrize(
    ("mode", "content", "code"),
    [(0, b"", 127), (0o755, b"#!/no/such/interpreter\n", 127), (0o644, b"#!/bin/sh\n", 126), (0o755, b"\x7fELF", 126)],
    ids=["missing", "interpreter missing", "not executable", "no program"],
)
def test_an_init_that_cannot_be_started(project: Project, overlay: bool, mode: int, content: bytes, code: int) -> None:
    broken_stage1(project, mode, content)
    write(project, app("web", "true"), stage1="images/stage1.aci", overlay=overlay)
    ended = project.doit("run", "pod=shop")
    assert (ended.code, ended.out) == (code, "")
    assert "cannot start stage1's init" in ended.err and "Traceback" not in ended.err
    # It has been mended: the pod starts, although the failed start counts as a run.
    broken_stage1(project, 0o755, b"#!/bin/sh\necho started\n")
    again = project.run("shop")
    assert (again.code, again.out) == (0, "started\n"), again.err


def test_what_stage1_is_handed(project: Project) -> None:
    write(project, app("web", "true"), stage1="stub", debug=True, net=["none"])
    told = json.loads(project.run("shop").out)
    pod = project.pod(UID)
    assert told["argv"] == [f"{pod}/stage1/rootfs/run", "--debug", "--net=none", UID]
    assert told["cwd"] == str(pod)
    lock = told["environment"]["RKT_LOCK_FD"]
    assert set(told["descriptors"]) == {"0", "1", "2", lock}
    assert told["descriptors"][lock] == {"target": str(pod), "locked": True}
    assert (told["ignored_signals"], told["blocked_signals"]) == ([], [])
    assert told["environment"]["RKT_SELINUX_CONTEXT"] == ""
    assert len(told["mounts"]) >= 2


@pytest.mark.parametrize("workers", [["-n", "2"], ["-n", "2", "-P", "thread"]], ids=["processes", "threads"])
@BOTH_WAYS
def test_workers_prepare_and_the_pod_still_is_this_process(project: Project, workers: list[str], overlay: bool) -> None:
    write(project, app("one", "true"), app("two", "true"), stage1="stub", overlay=overlay)
    first = project.doit("run", *workers, "pod=shop")
    assert first.code == 0, first.err
    told = json.loads(first.out)
    assert set(told["descriptors"]) == {"0", "1", "2", told["environment"]["RKT_LOCK_FD"]}
    assert (told["ignored_signals"], told["blocked_signals"]) == ([], [])
    again = project.doit("run", *workers, "pod=shop")
    assert done(again) == (set() if overlay else {"stage1", "app:one", "app:two"})


def test_the_states_are_saved_before_the_process_is_given_away(project: Project) -> None:
    write(project, app("web", "true"))
    assert project.run("shop").code == 0
    with sqlite3.connect(project.pod(UID) / "doit.db") as database:
        saved = {name for (name,) in database.execute("select task_id from doit")}
    assert {"image:web", "tree:web", "app:web", "manifest", "init"} <= saved


# ---- signals and locks


def until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "ready\n", (line, process.communicate())


def test_sigterm_reaches_the_app(project: Project) -> None:
    write(project, app("web", "trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.02; done"))
    process = project.started("run", "pod=shop")
    until_ready(process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert (process.returncode, out) == (7, "asked\n"), err


def test_ctrl_c_reaches_the_app(project: Project) -> None:
    write(project, app("web", "trap 'echo asked; exit 7' INT; echo ready; while :; do sleep 0.02; done"))
    assert project.run("shop", "manifest").code == 0
    pid, terminal = pty.fork()
    if pid == 0:  # in the child nothing but the exec
        os.chdir(project.root)
        os.execve(workbench.DOIT, ["doit", "run", "pod=shop"], {**os.environ, "PODWRIGHT_DIR": str(project.data)})
    try:
        seen = read_until(terminal, b"ready")
        os.write(terminal, b"\x03")
        seen += read_until(terminal, None)
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 7, seen
    assert b"asked" in seen


def read_until(terminal: int, word: bytes | None) -> bytes:
    """What the terminal shows until `word`, or until everybody has closed it."""
    seen = b""
    while word is None or word not in seen:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the other side is closed
            return seen
        if not piece:
            return seen
        seen += piece
    return seen


@pytest.mark.contract("M 18")
def test_a_second_run_of_a_running_pod_fails_at_once(project: Project) -> None:
    write(project, app("web", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.02; done"))
    process = project.started("run", "pod=shop")
    until_ready(process)

    def names() -> list[str]:
        """All but what the runtime has: it goes on writing after the app has begun."""
        found = (path.relative_to(project.pod(UID)) for path in project.pod(UID).rglob("*"))
        return sorted(str(path) for path in found if path.parts[0] != "stage1-run")

    before = names()
    second = project.doit("run", "pod=shop")
    third = project.doit("run", "pod=shop", "manifest")
    assert names() == before
    process.terminate()
    process.communicate()
    for refused in (second, third):
        assert refused.code != 0 and refused.out == ""
        assert "pod shop is running" in refused.err and "Traceback" not in refused.err
    assert process.returncode == 0
    assert project.run("shop", "manifest").code == 0


def test_two_data_directories_may_run_a_pod_of_one_uuid(project: Project, tmp_path: Path) -> None:
    write(project, app("web", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done"))
    process = project.started("run", "pod=shop")
    until_ready(process)
    other = Project(project.root, tmp_path / "other")
    write(other, app("web", "exit 3"))
    assert other.doit("run", "pod=shop").code == 3
    assert other.doit("gc", "--grace-period", "0s").code == 0
    assert process.poll() is None
    process.terminate()
    process.communicate()
    assert process.returncode == 7


@pytest.mark.contract("M 10")
def test_a_running_pod_mounts_nothing_on_the_host(project: Project) -> None:
    write(project, app("web", "echo ready; while :; do sleep 0.02; done"))
    before = Path("/proc/self/mountinfo").read_text()
    process = project.started("run", "pod=shop")
    until_ready(process)
    during = Path("/proc/self/mountinfo").read_text()
    process.terminate()
    process.communicate()
    assert during == before


@pytest.mark.contract("M 8")
def test_an_aborted_prepare_is_picked_up(project: Project) -> None:
    write(project, app("web", "echo ran"), app("late", "true", "images/late.aci"))
    assert "no image file images/late.aci" in sentences(project.doit("run", "pod=shop"))
    project.image("late.aci", workbench.manifest("example.com/late", app=["/bin/true"]), workbench.busybox())
    again = project.run("shop")
    assert (again.code, again.out) == (0, "ran\n"), again.err
    assert not {"image:web", "image:stage1"} & again.tasks  # trees wait for all images


# ---- ways to call it


def test_from_another_directory(project: Project, tmp_path: Path) -> None:
    write(project, app("web", "echo ran"))
    project.away = tmp_path
    ended = project.doit("run", "-f", str(project.root / "dodo.py"), "pod=shop")
    assert (ended.code, ended.out) == (0, "ran\n"), ended.err


@pytest.mark.contract("L.1 rkt_rm_nspawn")
@pytest.mark.parametrize("word", ["shop", UID, UID[:8], UID.upper()])
def test_a_pod_is_named_by_name_uuid_or_the_beginning_of_it(project: Project, word: str) -> None:
    write(project, app("web", "echo ran"))
    assert project.doit("run", f"pod={word}").out == "ran\n"


def test_doit_alone_lists_the_pods_and_runs_nothing(project: Project) -> None:
    write(project, app("web", "echo ran"))
    listed = project.doit()
    assert listed.code == 0 and "shop" in listed.out and UID in listed.out
    assert not project.data.exists() or not list(project.data.glob("pods/*"))


@pytest.fixture
def bare_clone(tmp_path: Path) -> Iterator[list[str]]:
    """doit as it runs where podwright was cloned and not installed: its dependencies, and no plugin of ours."""
    site = tmp_path / "site"
    site.mkdir()
    for found in Path(sysconfig.get_path("purelib")).iterdir():
        if "podwright" not in found.name:
            (site / found.name).symlink_to(found)
    start = f"import sys; sys.path[:0] = [{str(CHECKOUT)!r}, {str(site)!r}]; from doit.__main__ import main; main()"
    yield [sys.executable, "-S", "-c", f"{start.removesuffix('main()')}sys.exit(main())"]


@pytest.mark.parametrize("words", [["run", "pod=shop"], ["pod=shop"], ["-n", "2", "pod=shop"]], ids=" ".join)
@BOTH_WAYS
def test_a_bare_clone(project: Project, bare_clone: list[str], words: list[str], overlay: bool) -> None:
    project.program = bare_clone
    write(project, app("web", "echo ran; exit 42"), overlay=overlay)
    assert "why" not in project.doit("help").out
    first = project.doit(*words)
    assert (first.code, first.out) == (42, "ran\n"), first.err
    again = project.doit(*words)
    assert (again.code, again.out) == (42, "ran\n")
    assert done(again) == (set() if overlay else {"stage1", "app:web"})


PLAIN = (["list"], ["info", "manifest"], ["clean"], ["forget"], ["list", "--all", "-s"])


@pytest.mark.parametrize("command", PLAIN, ids=" ".join)
def test_plain_doit_commands_of_a_pod(project: Project, command: list[str]) -> None:
    write(project, app("web", "echo ran"))
    assert project.run("shop").code == 0
    done = project.doit(*command, "pod=shop")
    assert done.code == 0 and "Traceback" not in done.err, done.err
    again = project.run("shop")
    assert (again.code, again.out) == (0, "ran\n")
    assert again.tasks == {"overlay", "init"} | ({"stage1", "app:web", "manifest"} if command == ["clean"] else set())


@pytest.mark.contract("M 26")
def test_a_word_that_means_no_pod(project: Project) -> None:
    write(project, app("web", "true"))
    assert "did you mean 'shop'" in sentences(project.doit("run", "pod=shpo"))
    sentences(project.doit("run", "pod="))
    assert not list(project.data.glob("pods/*"))
