"""`doit lock` and runs that are held to it, through `doit` and `podwright`, with a registry and with files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from stages.images import build
from tests.images.oci_maker import Image, digest, layer, write_layout, write_platforms
from tests.system import workbench
from tests.system.registry import Registry
from tests.system.workbench import DOIT, Project, Result

pytestmark = pytest.mark.system

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f14"
PODWRIGHT = DOIT.parent / "podwright"
BASE = layer([*workbench.busybox(), build.directory("srv")])


def image(text: str) -> Image:
    return Image([BASE, layer([build.regular("srv/it", f"{text}\n".encode())])], process={"Cmd": ["cat", "/srv/it"]})


@pytest.fixture
def project(registry: Registry, tmp_path: Path) -> Project:
    """A pod of an OCI app from the registry, and an ACI app with a dependency."""
    made = Project(tmp_path / "project", tmp_path / "data", environment={**registry.environment, "CI": ""})
    base(made, "base")
    aci(made, "first")
    push(registry, tmp_path, "first")
    write(made, registry)
    return made


def base(project: Project, text: str, file: str = "base") -> None:
    described = workbench.manifest("example.com/base")
    project.image(f"{file}.aci", described, workbench.busybox(build.regular("etc/base", text.encode())))


def aci(project: Project, text: str) -> None:
    described = workbench.manifest(
        "example.com/web", app=["/bin/cat", "/etc/it"], dependencies=[{"imageName": "example.com/base"}]
    )
    project.image("web.aci", described, [build.directory("etc"), build.regular("etc/it", f"aci {text}\n".encode())])


def push(registry: Registry, folder: Path, text: str) -> str:
    made = image(text)
    write_layout(folder / text, {"x": made})
    registry.push(f"oci:{folder / text}:x", "team/app:1")
    return digest(made.manifest())


def reference(registry: Registry) -> str:
    return f"docker://{registry.host}/team/app:1"


def write(project: Project, registry: Registry, *more: dict[str, Any], **stage0: Any) -> None:
    containers = [
        {"name": "oci", "image": reference(registry), "imagePullPolicy": "Always"},
        {"name": "aci", "image": "images/web.aci"},
    ]
    stage0 = {"dependencies": ["images/base.aci"], "stage1": "crun", **stage0}
    project.write(workbench.spec("shop", UID, [*containers, *more], **stage0))


def lock(project: Project, *words: str) -> list[str]:
    done = project.doit("lock", "pod=shop", *words)
    assert done.code == 0 and "Traceback" not in done.err, done.err
    return done.out.splitlines()


def locked(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project.root / "pods/shop.lock").read_text())
    return found


def ran(done: Result, *lines: str) -> None:
    assert (done.code, sorted(done.out.split("\n")[:-1])) == (0, sorted(lines)), done.err


def refused(project: Project, word: str, *words: str, code: int | None = None) -> None:
    """A locked run, by doit and by podwright, ends with the same sentence, and starts nothing."""
    for program in (DOIT, PODWRIGHT):
        project.program = [str(program)]
        done = project.doit("run", "pod=shop", *(words or ("--locked",)))
        assert done.code not in (0, 2) and done.out == "" and "Traceback" not in done.err, done
        assert word in done.err and "hint: " in done.err, done.err
        assert code is None or done.code == code
    project.program = None


def test_a_lock_file_says_of_every_image_what_it_is(project: Project, registry: Registry, tmp_path: Path) -> None:
    told = lock(project)
    assert len(told) == 4 and all(one.startswith("shop.lock: ") for one in told)
    text = (project.root / "pods/shop.lock").read_bytes()
    found = locked(project)["images"]
    assert found.keys() == {"oci", "aci", "stage1", "dependencies"}
    for (one,) in found.values():
        assert one["platform"] == "linux/amd64" and one["size"] > 1000 and one["signer"] == ""
        assert one["digest"].startswith(("sha256:", "sha512:"))
    assert found["oci"][0]["reference"] == reference(registry)
    assert found["oci"][0]["digest"] == digest(image("first").manifest())
    assert found["aci"][0]["tree"] == [found["aci"][0]["digest"], found["dependencies"][0]["digest"]]
    assert str(tmp_path).encode() not in text and b"/var" not in text
    assert lock(project) == ["shop.lock is as it was"] and lock(project, "--update") == ["shop.lock is as it was"]
    # Made elsewhere it is the same, byte for byte.
    project.data = tmp_path / "other"
    (project.root / "pods/shop.lock").unlink()
    lock(project)
    assert (project.root / "pods/shop.lock").read_bytes() == text


def test_a_moved_tag_is_seen_by_an_update_only(project: Project, registry: Registry, tmp_path: Path) -> None:
    lock(project)
    ran(project.doit("run", "pod=shop"), "first", "aci first")
    old, new = locked(project)["images"]["oci"][0]["digest"], push(registry, tmp_path, "second")
    ran(project.doit("run", "pod=shop"), "first", "aci first")
    ran(project.doit("run", "pod=shop", "--locked"), "first", "aci first")
    assert lock(project) == ["shop.lock is as it was"]
    # On another machine too, which has never seen the first.
    project.data = tmp_path / "other"
    ran(project.doit("run", "pod=shop"), "first", "aci first")
    before = (project.root / "pods/shop.lock").read_text().splitlines()
    (line,) = lock(project, "--update")
    short = [one.replace(":", "-")[:19] for one in (old, new)]
    assert line == f"shop.lock: oci: {reference(registry)} (linux/amd64): {short[0]} -> {short[1]}"
    after = (project.root / "pods/shop.lock").read_text().splitlines()
    assert {a.split('"')[1] for a, b in zip(before, after, strict=True) if a != b} == {"digest"}
    ran(project.doit("run", "pod=shop", "--locked"), "second", "aci first")


def test_a_locked_run_needs_a_lock_with_every_image(project: Project, registry: Registry) -> None:
    refused(project, "there is no lock file shop.lock", code=3)
    assert not (project.data / "images").exists()
    lock(project)
    write(project, registry, {"name": "more", "image": "images/base.aci"}, dependencies=[])
    refused(project, "not in the lock file shop.lock: images/base.aci of more", code=3)
    assert not project.pod(UID).exists()
    assert "images/base.aci of more" in project.doit("why", "pod=shop", "--locked").out
    assert lock(project)[0].startswith("shop.lock: dependencies: images/base.aci (linux/amd64): removed")
    write(project, registry, {"name": "more", "image": "images/base.aci", "command": ["true"]})
    lock(project)
    ran(project.doit("run", "pod=shop", "--locked"), "first", "aci first")


@pytest.mark.parametrize("binding", ["ci", "word"])
def test_a_changed_file_is_refused_where_the_lock_binds(project: Project, binding: str) -> None:
    lock(project)
    words = ("--locked",) if binding == "word" else ("-n0",)
    project.environment["CI"] = "" if binding == "word" else "true"
    ran(project.doit("run", "pod=shop", *words), "first", "aci first")
    aci(project, "second")
    refused(project, "the lock file says sha512-", *words)
    project.environment["CI"] = ""
    ran(project.doit("run", "pod=shop"), "first", "aci second")
    project.environment["CI"] = "true"
    ran(project.doit("run", "pod=shop", "--no-locked"), "first", "aci second")
    (line,) = lock(project, "--update")
    assert line.startswith("shop.lock: aci: images/web.aci (linux/amd64): sha512-")
    ran(project.doit("run", "pod=shop", *words), "first", "aci second")
    base(project, "another")
    refused(project, "images/base.aci is sha512-", *words)
    (project.root / "pods/shop.lock").unlink()  # CI alone asks for no lock that nobody made
    ran(project.doit("run", "pod=shop", *(words if binding == "ci" else ())), "first", "aci second")


def test_a_dependency_is_the_locked_one_though_the_store_has_a_newer(project: Project, registry: Registry) -> None:
    write(project, registry, dependencies=[])
    assert project.doit("images", "import", "images/base.aci").code == 0
    lock(project)
    base(project, "newer", "newer")
    assert project.doit("images", "import", "images/newer.aci").code == 0
    assert project.doit("prepare", "pod=shop", "--locked").code == 0
    tree = (project.pod(UID) / "appsinfo/aci/treeStoreID").read_text()
    assert project.doit("prepare", "pod=shop").code == 0
    assert (project.pod(UID) / "appsinfo/aci/treeStoreID").read_text() != tree
    assert project.doit("images", "rm", locked(project)["images"]["aci"][0]["tree"][1].replace(":", "-")).code == 0
    refused(project, "the images that aci depends on are not those of the lock file")


def test_files_that_are_gone_come_from_the_store(project: Project, registry: Registry) -> None:
    lock(project)
    for name in ("base", "web"):
        (project.root / f"images/{name}.aci").unlink()
    registry.stop()
    ran(project.doit("run", "pod=shop", "--locked"), "first", "aci first")
    assert project.doit("run", "pod=shop").code == 1


@pytest.mark.parametrize("text", ["", "{", "<<<<<<< HEAD\n", '{"lock": 7, "images": {}}'])
def test_a_damaged_lock_is_told_and_written_anew(project: Project, text: str) -> None:
    lock(project)
    sound = (project.root / "pods/shop.lock").read_bytes()
    (project.root / "pods/shop.lock").write_text(text)
    refused(project, "shop.lock is no lock file", code=3)
    refused(project, "shop.lock is no lock file", "-n0", code=3)
    assert project.doit("lock", "pod=shop").code == 1
    checked = project.doit("check")
    assert (checked.code, checked.out) == (1, "0 of 1 specs are right\n") and "no lock file" in checked.err
    lock(project, "--update")
    assert (project.root / "pods/shop.lock").read_bytes() == sound


def test_a_lock_that_lies_is_not_believed(project: Project, registry: Registry) -> None:
    lock(project)
    path, sound = project.root / "pods/shop.lock", (project.root / "pods/shop.lock").read_text()
    found = locked(project)["images"]
    path.write_text(sound.replace(found["oci"][0]["digest"], f"sha256:{'0' * 64}"))
    refused(project, f"@sha256:{'0' * 64}")
    assert "doit lock pod=shop --update" in project.doit("run", "pod=shop").err
    path.write_text(sound.replace(f'"{found["stage1"][0]["digest"]}', f'"sha512:{"0" * 128}'))
    refused(project, "stage1 crun is sha512-")
    # The image of something else: it is in the store, but not what the registry has under the digest of the index.
    path.write_text(sound.replace(found["aci"][0]["digest"], found["dependencies"][0]["digest"]))
    refused(project, "images/web.aci is sha512-")
    assert "doit lock pod=shop --update" in project.doit("run", "pod=shop", "--locked").err
    path.write_text(sound)
    ran(project.doit("run", "pod=shop", "--locked"), "first", "aci first")


def test_check_and_prepare_are_held_to_the_lock(project: Project, registry: Registry) -> None:
    assert project.doit("check").code == 0
    missing = project.doit("check", "--locked")
    assert missing.code == 1 and "there is no lock file shop.lock" in missing.err
    lock(project)
    assert project.doit("check", "--locked").code == 0
    write(project, registry, {"name": "more", "image": "images/base.aci"})
    assert project.doit("check").code == 0
    for words, ci in (("--locked",), ""), ((), "true"):
        project.environment["CI"] = ci
        for command in ("check", "prepare"):
            done = project.doit(command, *words)
            assert done.code == 1 and "images/base.aci of more" in done.err and "Traceback" not in done.err
    assert project.doit("check", "--no-locked").code == 0


def test_a_lock_of_another_platform_pins_the_index_and_gets_a_second_entry(
    project: Project, registry: Registry, tmp_path: Path
) -> None:
    mine, other = image("mine"), image("other")
    other.platform = {"os": "linux", "architecture": "s390x"}
    index = write_platforms(tmp_path / "many", {"b": other, "a": mine})
    registry.push(f"oci:{tmp_path / 'many'}:x", "team/app:1", "--all")
    lock(project)
    foreign = locked(project)
    (here,) = foreign["images"]["oci"]
    assert (here["digest"], here["index_digest"]) == (digest(mine.manifest()), digest(index))
    foreign["images"]["oci"] = [{**here, "platform": "linux/s390x", "digest": digest(other.manifest())}]
    (project.root / "pods/shop.lock").write_text(json.dumps(foreign))
    push(registry, tmp_path, "second")
    refused(project, "for this platform (it is for linux/s390x)", code=3)
    ran(project.doit("run", "pod=shop"), "mine", "aci first")
    assert lock(project) == [
        f"shop.lock: oci: {reference(registry)} (linux/amd64): {digest(mine.manifest())[:19]}".replace(
            "sha256:", "sha256-"
        )
    ]
    assert [one["platform"] for one in locked(project)["images"]["oci"]] == ["linux/amd64", "linux/s390x"]
    ran(project.doit("run", "pod=shop", "--locked"), "mine", "aci first")
    told = lock(project, "--update")
    assert len(told) == 2 and told[1].endswith("(linux/s390x): removed")


def by_podwright(project: Project, *words: str) -> frozenset[str]:
    """The tasks that `podwright run` did, without doit."""
    made = Project(
        project.root,
        project.data,
        environment=project.environment,
        program=[sys.executable, "-X", "importtime", str(PODWRIGHT)],
    )
    done = made.doit("run", *words)
    assert done.code == 0 and "doit.doit_cmd" not in done.err, done.err
    return workbench.told(done.err)


def test_a_locked_run_needs_no_doit(project: Project, registry: Registry) -> None:
    lock(project)
    assert "manifest" in by_podwright(project, "pod=shop", "--locked")
    assert not by_podwright(project, "pod=shop", "--locked") and not by_podwright(project, "--locked", "pod=shop")
    project.environment["CI"] = "true"
    assert not by_podwright(project, "pod=shop")
    assert project.doit("why", "pod=shop", "--locked").out.count("fresh") == 11


def test_all_pods_of_a_project_are_locked_and_one_failure_does_not_keep_the_others(project: Project) -> None:
    one = [{"name": "app", "image": "images/nowhere.aci"}]
    project.write(workbench.spec("broken", UID.replace("7f14", "7f15"), one))
    done = project.doit("lock")
    assert done.code == 1 and done.err.count("ERROR: ") == 1
    assert done.err.startswith("ERROR: broken.lock: ") and "nowhere.aci" in done.err
    assert (project.root / "pods/shop.lock").exists() and not (project.root / "pods/broken.lock").exists()
