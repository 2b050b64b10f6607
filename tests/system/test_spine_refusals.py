"""What a run says and leaves when it cannot be: bad words, bad archives, no rights, no space, odd paths."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.images import build
from tests.system import workbench
from tests.system.workbench import CHECKOUT, DOIT, Project, Result

pytestmark = pytest.mark.system

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f10"
NOBODY = 65534
BOTH_WAYS = pytest.mark.parametrize("overlay", [True, False], ids=["overlay", "copy"])


def make(folder: Path, data: Path, **stage0: Any) -> Project:
    """A project with the pod `shop`, which says `ran`."""
    project = Project(folder, data)
    project.image("box.aci", workbench.manifest("example.com/box", app=["/bin/true"]), workbench.busybox())
    containers = [{"name": "web", "image": "images/box.aci", "command": ["/bin/echo", "ran"]}]
    project.write(workbench.spec("shop", UID, containers, **stage0))
    return project


def sentence(result: Result) -> str:
    """What a command that failed says, if it is fit for people."""
    assert result.code != 0 and result.out == "" and "Traceback" not in result.err, result
    return result.err


def stored(data: Path) -> set[str]:
    """Everything below the data directory that outlives a run: images and trees."""
    kept = [path for folder in ("images", "trees") for path in (data / folder).rglob("*")]
    return {str(path.relative_to(data)) for path in kept if not path.is_dir()}


# ---- words


@BOTH_WAYS
def test_a_start_alone_of_what_is_not_prepared_is_a_sentence(tmp_path: Path, overlay: bool) -> None:
    """`-s`: a task without those that come before it."""
    project = make(tmp_path / "project", tmp_path / "data", overlay=overlay)
    said = sentence(project.doit("run", "-s", "init", "pod=shop"))
    assert said == "init: the pod has no stage1 yet\n  hint: `doit run pod=NAME` prepares the pod\n"
    assert project.doit("run", "pod=shop", "manifest").code == 0
    if overlay:
        said = sentence(project.doit("run", "-s", "init", "pod=shop"))
        assert said.startswith("init: the mounts of this run are not planned\n  hint: `doit run pod=NAME`")
    assert project.doit("run", "pod=shop").out == "ran\n"


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("crnu", "the built-in ones are crun and fly; `doit images import FILE` brings another one in"),
        ("images", "a root file system is written dir:images"),
        ("images/stage1.aci", "there are box.aci"),
        ("sha512-0123456789abcdef", "import it first"),
    ],
)
def test_a_stage1_that_is_not_there_has_the_hint_of_its_word(tmp_path: Path, word: str, hint: str) -> None:
    project = make(tmp_path / "project", tmp_path / "data", stage1=word)
    said = sentence(project.doit("run", "pod=shop"))
    (told,) = [line for line in said.splitlines() if line.startswith("  hint: ")]
    assert hint in told and (word == "crnu") == ("built-in" in told), said


@pytest.mark.parametrize(
    "line", ["run pod=shop pod=other", "pod=other pod=shop", "list pod=other pod=shop", "rm pod=other pod=shop"]
)
def test_one_pod_at_a_time(tmp_path: Path, line: str) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    said = sentence(project.doit(*line.split()))
    assert said.startswith("ERROR: pod= names one pod, and is there 2 times\n  hint: one command for each")
    assert "as `doit prepare " in said and said.count("\n") == 2
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("words", [("pod=shop", "pods=other"), ("POD=other", "pod=shop")])
def test_nearly_pod_beside_pod_is_not_passed_over(tmp_path: Path, words: tuple[str, ...]) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    assert "did you mean pod=?" in sentence(project.doit("run", *words))


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("-n 2 run pod=shop", "run -n 2 pod=shop"),
        ("pod=shop -a run", "run pod=shop -a"),
        ("-v2 list pod=shop", "list -v2 pod=shop"),
        ("-n 2 why pod=shop", "why -n 2 pod=shop"),
    ],
)
def test_options_before_the_command_are_told_their_place(tmp_path: Path, line: str, right: str) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    said = sentence(project.doit(*line.split()))
    (command,) = {"run", "list", "why"} & {*line.split()}
    assert said == f"ERROR: {command} is a command, and comes before its options\n  hint: `doit {right}`\n"
    assert not project.pod(UID).exists()


def test_an_option_without_its_value_is_one_line(tmp_path: Path) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    said = sentence(project.doit("run", "pod=shop", "-n"))
    assert said.count("\n") == 1 and "option -n requires argument" in said and "CmdOption" not in said


@BOTH_WAYS
@pytest.mark.parametrize("word", ["manifes", "image:webb", "rum"])
def test_a_misspelt_task_costs_nothing_of_the_last_run(tmp_path: Path, word: str, overlay: bool) -> None:
    project = make(tmp_path / "project", tmp_path / "data", overlay=overlay)
    assert project.run("shop").code == 0

    def names() -> list[str]:
        """All but the number of the process that ended, which who has the lock forgets at once."""
        return sorted(str(path) for path in project.pod(UID).rglob("*") if path != project.pod(UID) / "pid")

    before = names()
    said = sentence(project.doit(*([word] if word == "rum" else ["run", word]), "pod=shop"))
    assert f"no task {word!r}" in said and "did you mean" in said
    assert names() == before
    assert "state=exited" in project.doit("status", "pod=shop").out


@pytest.mark.parametrize("word", ["shop", "shpo"])
def test_a_pod_named_without_pod_is_told_how(tmp_path: Path, word: str) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    assert "did you mean 'pod=shop'?" in sentence(project.doit("run", word))


@pytest.mark.parametrize(
    ("word", "here"),
    [
        ("up", "doit run pod=NAME"),
        ("exec", "doit enter pod=NAME"),
        ("down", "doit stop"),
        ("logs", "terminal"),
        ("restart", "doit run --replace pod=NAME"),
        ("get", "doit ps"),
        ("describe", "doit status pod=NAME"),
    ],
)
def test_a_command_of_compose_is_told_what_it_is_called_here(tmp_path: Path, word: str, here: str) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    said = sentence(project.doit(word, "pod=shop"))
    assert f"no task {word!r}" in said and here in said


@pytest.mark.parametrize(("option", "here"), [("-d", "foreground"), ("--detach", "foreground"), ("-it", "interactive")])
def test_an_option_of_podman_s_run_is_told_what_is_here(tmp_path: Path, option: str, here: str) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    assert here in sentence(project.doit("run", option, "pod=shop")).partition("hint: ")[2]


@pytest.mark.parametrize("words", [["run", "-f"], ["-f"], ["why", "-f"], ["list", "--file"], ["check", "-f"]])
def test_a_spec_in_place_of_dodo_py_is_told_that_pods_have_names(tmp_path: Path, words: list[str]) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    said = sentence(project.doit(*words, "pods/shop.yaml"))
    assert "pods/shop.yaml is no dodo.py" in said and "pod=NAME" in said


def test_a_spec_in_place_of_a_task_is_told_which_pod_it_is(tmp_path: Path) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    assert "did you mean 'pod=shop'?" in sentence(project.doit("run", "pods/shop.yaml"))


@pytest.mark.parametrize("command", ["prepare", "lock"])
def test_a_project_without_pods_says_so(tmp_path: Path, command: str) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    for file in (project.root / "pods").iterdir():
        file.unlink()
    assert project.doit(command).out == "no pods: put a spec into pods/\n"


@pytest.mark.parametrize("command", ["check", "why"])
def test_a_pod_named_without_pod_is_told_how_by_commands_of_one_pod(tmp_path: Path, command: str) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    assert f"`doit {command} pod=shop`" in sentence(project.doit(command, "shop"))


def test_a_pod_that_does_not_run_is_not_entered_but_told_how_to_start(tmp_path: Path) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    assert project.run("shop").code == 0
    said = sentence(project.doit("enter", "pod=shop"))
    assert "isn't currently running" in said and "`doit run pod=shop`" in said


def test_a_run_outside_of_a_project_is_told_what_a_project_is(tmp_path: Path) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    (project.root / "dodo.py").unlink()
    said = sentence(project.doit("run", "pod=shop"))
    assert "there is no project here" in said and "`doit new`" in said and "-f" not in said
    assert "Could not find dodo file" in sentence(project.doit("run", "-f", "other.py", "pod=shop"))


@pytest.mark.parametrize(
    "words", [["run", "pod=shop"], ["why", "pod=shop"], ["list"], ["info", "pod=shop", "init"], []]
)
def test_below_a_project_its_place_is_told(tmp_path: Path, words: list[str]) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    project.away = project.root / "pods"
    said = sentence(project.doit(*words))
    assert "there is no project here" in said and f"there is one above: go to {project.root}, or let -k" in said
    assert project.doit("why", "-k", "pod=shop").code == 0


def test_a_stage1_of_rkt_by_a_short_name_is_told_which_are_built_in(tmp_path: Path) -> None:
    project = make(tmp_path / "project", tmp_path / "data", overlay=False, stage1="systemd")
    said = project.doit("run", "pod=shop").err
    assert "no image 'systemd'" in said and "crun and fly" in said and "docker://" not in said


def test_no_name_is_asked_for_whatever_else_is_wrong(tmp_path: Path) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    (project.root / "pods" / "bad.yaml").write_text("metadata: {}\n")
    said = sentence(project.doit("run", "pod="))
    assert "which pod?" in said and "shop" in said


def test_a_misspelt_task_makes_no_pod(tmp_path: Path) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    sentence(project.doit("run", "pod=shop", "manifes"))
    assert "state=absent" in project.doit("status", "pod=shop").out
    assert not list(project.data.glob("pods/*"))


@pytest.mark.parametrize("word", ["pods=shop", "POD=shop", "pdo=shop"])
def test_a_misspelt_pod_is_no_list_of_pods(tmp_path: Path, word: str) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    assert "did you mean pod=" in sentence(project.doit("run", word))


@pytest.mark.parametrize("command", [["list"], ["prepare", "shop"]], ids=" ".join)
def test_a_projects_own_variable_may_be_nearly_called_pod(tmp_path: Path, command: list[str]) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    assert "nothing called prod=" in sentence(project.doit(*command, "prod=1"))
    with open(project.root / "dodo.py", "a") as dodo:
        dodo.write('\nprint("prod is", get_var("prod"))\n')
    done = project.doit(*command, "prod=1")
    assert done.code == 0 and "prod is 1" in done.out + done.err, done
    assert "nothing called pdo=" in sentence(project.doit(*command, "pdo=shop"))


# ---- archives


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def nothing_of_ours(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(5000))


def damaged_manifest(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"acKind":"ImageManifest"', b'"acKind":"ImageMaNifest"'))


@pytest.mark.contract("M 37")
@pytest.mark.parametrize("damage", [cut, nothing_of_ours, damaged_manifest, Path.unlink])
def test_a_bad_archive_is_refused_and_the_store_stays_as_it_was(tmp_path: Path, damage: Any) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    assert project.doit("run", "pod=shop").code == 0
    before = stored(project.data)
    image = project.root / "images/box.aci"
    good = image.read_bytes()
    image.write_bytes(good)
    damage(image)
    assert "box.aci" in sentence(project.doit("run", "pod=shop"))
    assert stored(project.data) == before
    image.write_bytes(good)
    assert project.run("shop").tasks == {"image:web", "overlay", "init"}


@pytest.mark.contract("L.1 rkt_os_arch")
@pytest.mark.parametrize(
    "labels", [{"os": "freebsd"}, {"arch": "aarch64" if workbench.LABELS["arch"] == "amd64" else "amd64"}], ids=str
)
def test_an_image_for_another_host_is_not_run(tmp_path: Path, labels: dict[str, str]) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    other = workbench.manifest("example.com/box", app=["/bin/true"], labels=labels)
    project.image("box.aci", other, workbench.busybox())
    assert next(iter(labels)) in sentence(project.doit("run", "pod=shop"))


@pytest.mark.contract("M 29")
def test_dependencies_that_form_a_cycle(tmp_path: Path) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    for name, other in (("box", "two"), ("two", "box")):
        needs = [{"imageName": f"example.com/{other}"}]
        described = workbench.manifest(f"example.com/{name}", app=["/bin/true"], dependencies=needs)
        project.image(f"{name}.aci", described, workbench.busybox())
    containers = [{"name": "web", "image": "images/box.aci"}]
    project.write(workbench.spec("shop", UID, containers, dependencies=["images/two.aci"]))
    said = sentence(project.doit("run", "pod=shop"))
    assert "example.com/box -> example.com/two -> example.com/box" in said


@pytest.mark.contract("M 30")
def test_a_dependency_that_is_not_there(tmp_path: Path) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    needs = [{"imageName": "example.com/base", "labels": [{"name": "version", "value": "9"}]}]
    described = workbench.manifest("example.com/box", app=["/bin/true"], dependencies=needs)
    project.image("box.aci", described, workbench.busybox())
    assert "example.com/base,version=9" in sentence(project.doit("run", "pod=shop"))


# ---- specs


def test_all_faults_of_a_spec_are_told_before_anything_is_touched(tmp_path: Path) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    path = project.root / "pods/shop.yaml"
    path.write_text(path.read_text().replace("command:", "comand:").replace("net:", "nett:"))
    said = sentence(project.doit("run", "pod=shop"))
    assert "comand" in said and "nett" in said and said.count("pods/shop.yaml:") == 2
    assert not list(project.data.glob("pods/*"))


# ---- rights


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="podwright-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def as_nobody(project: Project) -> None:
    for path in (CHECKOUT, *CHECKOUT.parents):
        if not path.stat().st_mode & 0o001:
            pytest.skip(f"nobody cannot read {path}")
    project.wrapper = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


@pytest.mark.contract("L.1 rkt_non_root", "L.1 rkt_root_commands")
def test_somebody_who_may_not_write_the_data_directory(open_folder: Path) -> None:
    project = make(open_folder / "project", open_folder / "data")
    as_nobody(project)
    said = sentence(project.doit("run", "pod=shop"))
    assert "needs root" in said and f"hint: `sudo {DOIT} run pod=shop`; " in said, said
    assert project.doit().out.startswith("shop ")
    assert not project.data.exists()


def test_somebody_who_may_not_read_what_root_prepared(open_folder: Path) -> None:
    project = make(open_folder / "project", open_folder / "data")
    assert project.doit("run", "pod=shop").code == 0
    as_nobody(project)
    said = sentence(project.doit("run", "pod=shop"))
    promised = said.partition("`; ")[2].partition(" work without")[0].replace(" and ", ", ").split(", ")
    assert len(promised) > 1, said
    assert [word for word in promised if project.doit(word).code] == []


@BOTH_WAYS
def test_somebody_with_a_data_directory_but_without_rights(open_folder: Path, overlay: bool) -> None:
    project = make(open_folder / "project", open_folder / "data", overlay=overlay)
    project.data.mkdir()
    os.chown(project.data, NOBODY, NOBODY)
    as_nobody(project)
    sentence(project.doit("run", "pod=shop"))


# ---- space


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system whose size the test sets."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "small", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def resize(disk: Path, kilobytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", disk], check=True)


@BOTH_WAYS
def test_a_full_disk_at_any_point(small_disk: Path, tmp_path: Path, overlay: bool) -> None:
    project = make(tmp_path / "project", small_disk / "data", overlay=overlay)
    need = None
    size = 64
    while need is None:
        ended = project.doit("run", "pod=shop")
        if ended.code == 0:
            need = size
        else:
            assert "space" in sentence(ended), ended.err
            listed = project.doit("images", "verify")
            assert listed.code == 0, (size, listed)
            size += 220
            resize(small_disk, size)
    resize(small_disk, 65536)
    assert need > 1000
    ended = project.doit("run", "pod=shop")
    assert (ended.code, ended.out) == (0, "ran\n"), ended.err


# ---- odd paths


@pytest.mark.contract("L.1 rkt_mount_overlay", "M 11")
@BOTH_WAYS
@pytest.mark.parametrize(
    "name", ["a,b", "a:b", "a b", "a\\b", "a\\,b:c d", 'a"b', "ü", "%s", "a#b", "x" * 200], ids=lambda name: name[:9]
)
def test_a_data_directory_with_an_odd_name(tmp_path: Path, name: str, overlay: bool) -> None:
    project = make(tmp_path / f"project {name}", tmp_path / name, overlay=overlay)
    ended = project.doit("run", "pod=shop")
    assert (ended.code, ended.out) == (0, "ran\n"), ended.err


def test_a_data_directory_named_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    project = make(tmp_path / "project", tmp_path / "link")
    ended = project.doit("run", "pod=shop")
    assert (ended.code, ended.out) == (0, "ran\n"), ended.err
    assert project.run("shop").tasks == {"overlay", "init"}


def test_a_data_directory_on_another_file_system(small_disk: Path, tmp_path: Path) -> None:
    resize(small_disk, 65536)
    project = make(tmp_path / "project", small_disk)
    ended = project.doit("run", "pod=shop")
    assert (ended.code, ended.out) == (0, "ran\n"), ended.err


def test_a_data_directory_of_another_format(tmp_path: Path) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    project.data.mkdir()
    (project.data / "version").write_text("99\n")
    assert "99" in sentence(project.doit("run", "pod=shop"))
    assert os.listdir(project.data) == ["version"]


def test_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    project.data.write_text("")
    sentence(project.doit("run", "pod=shop"))


@pytest.mark.contract("M 34")
def test_a_name_in_the_image_where_stage1_puts_the_apps_is_not_followed(tmp_path: Path) -> None:
    """A stage1 image whose opt/stage2 is a link must not lead us out of the pod."""
    project = make(tmp_path / "project", tmp_path / "data", overlay=False, stage1="images/stage1.aci")
    (tmp_path / "outside").mkdir()
    annotations = [{"name": "coreos.com/rkt/stage1/run", "value": "/init"}]
    members = [build.directory("opt"), build.symlink("opt/stage2", str(tmp_path / "outside"))]
    project.image("stage1.aci", workbench.manifest("example.com/stage1", annotations=annotations), members)
    assert "stage1" in sentence(project.doit("run", "pod=shop"))
    assert not os.listdir(tmp_path / "outside")


IN_A_CHROOT = """
top=$0 project=$1; shift
for name in $(ls /); do [ -d "/$name" ] && mkdir -p "$top/$name" && mount --rbind "/$name" "$top/$name"; done
exec chroot "$top" sh -c 'cd "$0" && exec "$@"' "$project" "$@"
"""


def test_a_chroot_that_is_no_mount_point_is_told(tmp_path: Path) -> None:
    project = make(tmp_path / "project", tmp_path / "data")
    (tmp_path / "chroot").mkdir()
    project.wrapper = ["unshare", "--mount", "sh", "-c", IN_A_CHROOT, str(tmp_path / "chroot"), str(project.root)]
    assert "mount --bind DIR DIR" in sentence(project.doit("run", "pod=shop"))
    project.wrapper = []
    assert project.doit("run", "pod=shop").out == "ran\n"
