"""Images from a registry: pulled once, by tag or by digest, with the host's credentials and policy, and never half."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import pytest

from stages.images import build, oci
from tests.images.oci_maker import Image, digest, layer, write_layout, write_platforms
from tests.system import workbench
from tests.system.bad_line import bad_line
from tests.system.registry import PASSWORD, USER, Registry
from tests.system.workbench import Project, Result

pytestmark = pytest.mark.system

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f12"
BASE = layer([*workbench.busybox(), build.directory("srv"), build.regular("srv/it", b"base\n")])


def image(text: str, kind: str = "gzip") -> Image:
    return Image(
        [BASE, layer([build.regular("srv/it", f"{text}\n".encode())])], kind, process={"Cmd": ["cat", "/srv/it"]}
    )


@pytest.fixture
def project(registry: Registry, tmp_path: Path) -> Project:
    return Project(tmp_path / "project", tmp_path / "data", environment=registry.environment)


def push(registry: Registry, folder: Path, text: str, tag: str = "1", **options: str) -> tuple[str, str]:
    """An image whose app prints the text; its reference and its digest."""
    made = image(text)
    write_layout(folder / text, {"x": made})
    return registry.push(f"oci:{folder / text}:x", f"team/app:{tag}"), digest(made.manifest())


def write(project: Project, reference: str, pull: str = "IfNotPresent", **stage0: object) -> None:
    container = {"name": "app", "image": reference, "imagePullPolicy": pull}
    project.write(workbench.spec("it", UID, [container], **stage0))


def ran(done: Result, out: str) -> Result:
    assert (done.code, done.out) == (0, f"{out}\n"), done.err
    return done


def refused(project: Project, word: str) -> None:
    """A run ends with one sentence about the image."""
    done = project.doit("run", "pod=it")
    assert done.code != 0 and "Traceback" not in done.err
    (line,) = [one for one in done.err.splitlines() if one.startswith("image:app:")]
    assert word in line, done.err


def incoming(project: Project) -> list[str]:
    return os.listdir(project.data / "images/incoming")


def images(project: Project) -> set[str]:
    return {one for one in os.listdir(project.data / "images/manifests") if one.startswith("sha256-")}


def test_a_pulled_image_runs_again_without_its_registry(registry: Registry, project: Project, tmp_path: Path) -> None:
    reference, number = push(registry, tmp_path, "first")
    write(project, reference)
    assert "image:app" in ran(project.run("it"), "first").tasks
    assert images(project) == {number.replace(":", "-")} and incoming(project) == []
    registry.stop()
    assert ran(project.run("it"), "first").tasks == {"overlay", "init"}


def test_docker_s_manifests_keep_their_digest(registry: Registry, project: Project, tmp_path: Path) -> None:
    reference, _ = push(registry, tmp_path, "first")
    docker = registry.push(reference, "team/docker:1", "--format", "v2s2")
    write(project, docker)
    ran(project.run("it"), "first")
    (image_id,) = images(project)
    stored = (project.data / f"images/oci/{image_id}.manifest").read_bytes()
    assert digest(stored).replace(":", "-") == image_id
    assert json.loads(stored)["mediaType"].startswith("application/vnd.docker")


@pytest.mark.parametrize("kind", ["plain", "zstd"])
def test_layers_come_as_they_are_packed_or_not(registry: Registry, project: Project, kind: str) -> None:
    made = image("first", kind)
    layers = [data for _, data in made.blobs()]
    registry.upload("team/app", made.config(), *layers, manifest=made.manifest(), tag=kind)
    write(project, f"docker://{registry.host}/team/app:{kind}")
    ran(project.run("it"), "first")
    assert images(project) == {digest(made.manifest()).replace(":", "-")}


@pytest.mark.contract("L.1 rkt_fetch")
def test_a_moved_tag_is_seen_when_the_policy_is_always(registry: Registry, project: Project, tmp_path: Path) -> None:
    reference, _ = push(registry, tmp_path, "first")
    write(project, reference)
    ran(project.run("it"), "first")
    push(registry, tmp_path, "second")
    assert ran(project.run("it"), "first").tasks == {"overlay", "init"}
    write(project, reference, "Always")
    # The layer that both have is not fetched again: the registry does not have it any more.
    registry.forget(digest(image("second").blobs()[0][1]))
    assert ran(project.run("it"), "second").tasks == {"image:app", "tree:app", "app:app", "manifest", "overlay", "init"}
    assert ran(project.run("it"), "second").tasks == {"image:app", "overlay", "init"}
    registry.stop()
    refused(project, "refused")


@pytest.mark.contract("L.1 rkt_fetch")
def test_a_digest_that_is_stored_is_not_asked_for(registry: Registry, project: Project, tmp_path: Path) -> None:
    reference, number = push(registry, tmp_path, "first")
    push(registry, tmp_path, "second")
    pinned = f"{reference}@{number}"
    write(project, pinned, "Always")
    ran(project.run("it"), "first")
    registry.stop()
    for path in (project.data / "images/sources").glob("*.json"):
        path.unlink()
    write(project, pinned.replace("team/app:1", "team/app"), "Always")
    ran(project.run("it"), "first")


@pytest.mark.contract("L.1 rkt_fetch")
def test_never_means_never(registry: Registry, project: Project, tmp_path: Path) -> None:
    reference, number = push(registry, tmp_path, "first")
    write(project, reference, "Never")
    refused(project, "Never")
    write(project, f"{reference.rpartition(':')[0]}@{number}")
    ran(project.run("it"), "first")
    write(project, f"{reference.rpartition(':')[0]}@{number}", "Never")
    ran(project.run("it"), "first")


@pytest.mark.parametrize(("name", "word"), [("team/app:2", "unknown"), ("nobody/nothing:1", "unknown")])
def test_what_is_not_there(registry: Registry, project: Project, tmp_path: Path, name: str, word: str) -> None:
    push(registry, tmp_path, "first")
    write(project, f"docker://{registry.host}/{name}")
    refused(project, word)
    assert incoming(project) == []


def test_no_registry(registry: Registry, project: Project) -> None:
    registry.stop()
    write(project, f"docker://{registry.host}/team/app:1")
    refused(project, "connection refused")


def test_a_layer_that_the_registry_lost(registry: Registry, project: Project, tmp_path: Path) -> None:
    reference, _ = push(registry, tmp_path, "first")
    registry.forget(digest(image("first").blobs()[1][1]))
    write(project, reference)
    refused(project, reference)
    assert images(project) == set() and incoming(project) == []


def test_a_layer_that_lies_elsewhere_is_not_fetched(registry: Registry, project: Project) -> None:
    made = image("first")
    document = json.loads(made.manifest())
    elsewhere = {"mediaType": f"{oci.SHARED}+gzip", "urls": ["http://127.0.0.1:1/layer"]}
    document["layers"][-1] |= elsewhere
    layers = [data for _, data in made.blobs()]
    registry.upload("team/app", made.config(), *layers, manifest=json.dumps(document).encode(), tag="elsewhere")
    reference = f"docker://{registry.host}/team/app:elsewhere"
    write(project, reference)
    refused(project, f"{reference}: the registry does not have layer {len(layers)}, only where it is")
    assert images(project) == set() and incoming(project) == []


def test_a_registry_that_lies(registry: Registry, project: Project, tmp_path: Path) -> None:
    reference, _ = push(registry, tmp_path, "first")
    wanted = digest(image("first").blobs()[1][1]).removeprefix("sha256:")
    data = registry.folder / "data/docker/registry/v2/blobs/sha256" / wanted[:2] / wanted / "data"
    data.write_bytes(b"x" * data.stat().st_size)
    write(project, reference)
    refused(project, reference)
    assert images(project) == set() and incoming(project) == []


def test_the_host_s_platform_is_taken_or_the_one_that_the_spec_names(
    registry: Registry, project: Project, tmp_path: Path
) -> None:
    mine, other = image("mine"), image("other")
    other.platform = {"os": "linux", "architecture": "386"}
    write_platforms(tmp_path / "many", {"b": other, "a": mine})
    reference = registry.push(f"oci:{tmp_path / 'many'}:x", "team/app:many", "--all")
    write(project, reference)
    ran(project.run("it"), "mine")
    write(project, reference, apps={"app": {"platform": "linux/386"}})
    ran(project.run("it"), "other")
    assert images(project) == {digest(one.manifest()).replace(":", "-") for one in (mine, other)}
    registry.stop()
    write(project, f"{reference.rpartition(':')[0]}@{digest(mine.manifest())}")
    ran(project.run("it"), "mine")


def test_an_image_without_an_index_is_not_taken_for_another_platform(
    registry: Registry, project: Project, tmp_path: Path
) -> None:
    reference, _ = push(registry, tmp_path, "first")
    write(project, reference, apps={"app": {"platform": "linux/386"}})
    refused(project, "the image is for linux/amd64, linux/386 was asked for")
    assert images(project) == set() and incoming(project) == []
    write(project, reference)
    ran(project.run("it"), "first")
    write(project, reference, apps={"app": {"platform": "linux/386"}})
    refused(project, "the image is for linux/amd64, linux/386 was asked for")


@pytest.mark.contract("L.1 rkt_auth")
def test_a_password_is_taken_from_where_skopeo_keeps_it(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry", secret=True)
    try:
        project = Project(tmp_path / "project", tmp_path / "data", environment=registry.environment)
        reference, _ = push(registry, tmp_path, "first")
        write(project, reference)
        refused(project, "authentication required")
        registry.skopeo("login", "--username", USER, "--password", PASSWORD, registry.host)
        ran(project.run("it"), "first")
        assert PASSWORD not in "".join(path.read_text() for path in (project.data / "images/sources").glob("*.json"))
    finally:
        registry.stop()


def test_a_credential_helper_is_asked(tmp_path: Path) -> None:
    """As `credHelpers` of containers-auth.json(5) names it: a program that tells the password."""
    registry = Registry(tmp_path / "registry", secret=True)
    try:
        (tmp_path / "bin").mkdir()
        helper = tmp_path / "bin/docker-credential-tests"
        answer = json.dumps({"ServerURL": registry.host, "Username": USER, "Secret": PASSWORD})
        helper.write_text(f"#!/bin/sh\necho \"$@\" >>{tmp_path}/asked\necho '{answer}'\n")
        helper.chmod(0o755)
        Path(registry.environment["REGISTRY_AUTH_FILE"]).write_text(
            json.dumps({"credHelpers": {registry.host: "tests"}})
        )
        environment = {**registry.environment, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
        project = Project(tmp_path / "project", tmp_path / "data", environment=environment)
        reference, _ = push(registry, tmp_path, "first")
        write(project, reference)
        ran(project.run("it"), "first")
        assert "get" in (tmp_path / "asked").read_text().split()
    finally:
        registry.stop()


def test_a_mirror_is_asked_in_place_of_the_registry(registry: Registry, project: Project, tmp_path: Path) -> None:
    push(registry, tmp_path, "first")
    configuration = registry.folder / "home/.config/containers/registries.conf"
    configuration.write_text(
        f'[[registry]]\nlocation = "images.example.test"\n'
        f'[[registry.mirror]]\nlocation = "{registry.host}"\ninsecure = true\n'
    )
    write(project, "docker://images.example.test/team/app:1")
    ran(project.run("it"), "first")
    listed = json.loads(project.doit("images", "--format", "json").out)
    assert "images.example.test/team/app" in [one["name"] for one in listed]


def test_two_pods_that_want_one_image_at_once(registry: Registry, project: Project, tmp_path: Path) -> None:
    reference, _ = push(registry, tmp_path, "first")
    uids = [UID.replace("7f12", f"7f{number}") for number in (60, 61, 62)]
    for uid in uids:
        project.write(workbench.spec(f"it-{uid[-2:]}", uid, [{"name": "app", "image": reference}]))
    running = [project.started("run", f"pod={uid}") for uid in uids]
    for one in running:
        assert one.communicate()[0] == "first\n" and one.returncode == 0
    assert len(images(project)) == 1 and incoming(project) == []


def test_a_damaged_layer_is_all_that_is_fetched_again(registry: Registry, project: Project, tmp_path: Path) -> None:
    reference, _ = push(registry, tmp_path, "first")
    write(project, reference)
    ran(project.run("it"), "first")
    _, own = image("first").layers
    path = project.data / "images/blobs/sha256" / digest(own).removeprefix("sha256:")
    path.unlink()
    path.write_bytes(own[:-1] + b"!")
    told = project.doit("images", "verify")
    assert told.code == 1 and f"sha256-{path.name[:12]}" in told.out
    registry.forget(digest(image("first").blobs()[0][1]))  # of the sound one
    assert "image:app" in ran(project.run("it"), "first").tasks
    assert path.read_bytes() == own and project.doit("images", "verify").code == 0


def test_the_host_s_policy_holds(registry: Registry, project: Project, tmp_path: Path) -> None:
    reference, _ = push(registry, tmp_path, "first")
    write(project, reference)
    registry.policy({"default": [{"type": "reject"}]})
    refused(project, "rejected by policy")
    assert images(project) == set() and incoming(project) == []
    registry.policy(
        {"default": [{"type": "reject"}], "transports": {"docker": {"": [{"type": "insecureAcceptAnything"}]}}}
    )
    ran(project.run("it"), "first")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_pull_leaves_nothing_to_trip_over(
    registry: Registry, project: Project, tmp_path: Path, how: signal.Signals
) -> None:
    large = layer([*workbench.busybox(), build.regular("srv/large", random.Random(1).randbytes(60_000_000))])
    write_layout(tmp_path / "large", {"x": Image([large], "plain", process={"Cmd": ["ls", "/srv"]})})
    registry.push(f"oci:{tmp_path / 'large'}:x", "team/large:1")
    with bad_line(registry.host) as line:
        registry.trust(line.host)
        write(project, f"docker://{line.host}/team/large:1")
        line.until = 20_000_000
        process = project.started("run", "pod=it", start_new_session=True)
        while line.passed < line.until:
            assert process.poll() is None, process.communicate()
        os.killpg(process.pid, how)
        process.communicate()
        line.repair()
        ran(project.run("it"), "large")
    assert incoming(project) == []
    assert len(images(project)) == 1
