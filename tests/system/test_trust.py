"""Signed images from the network become running pods, through the real command; and what is not signed does not."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.images import build
from tests.images.signing import Signer
from tests.images.web_server import NAME, Page, Server
from tests.system import workbench
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f31"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "server")
    yield made
    made.close()


@pytest.fixture
def project(tmp_path: Path, server: Server) -> Project:
    environment = {**server.environment, "PODWRIGHT_CONFIG": str(tmp_path / "config")}
    return Project(tmp_path / "project", tmp_path / "data", environment=environment)


def archive(project: Project, text: str = "hello", name: str = f"{NAME}/app") -> bytes:
    document = workbench.manifest(name, app=["/bin/cat", "/it"])
    members = workbench.busybox(build.regular("it", f"{text}\n".encode()))
    return project.image("made.aci", document, members, compress=True).read_bytes()


def serve(server: Server, signer: Signer, data: bytes) -> str:
    server.pages["/app.aci"] = Page(data)
    server.pages["/app.aci.asc"] = Page(signer.sign(data))
    return f"{server.url}/app.aci"


def write(project: Project, image: str, **stage0: object) -> None:
    project.write(workbench.spec("it", UID, [{"name": "app", "image": image}], **stage0))


def trust(project: Project, signer: Signer, *words: str) -> None:
    (project.root / "key.asc").write_bytes(signer.public())
    done = project.doit("trust", "add", *words, "--yes", "key.asc")
    assert (done.code, done.out) == (0, f"{signer.fingerprint}\n"), done.err


def refused(project: Project, word: str) -> None:
    done = project.doit("run", "pod=it")
    assert done.code != 0 and "Traceback" not in done.err and "hint:" in done.err
    (line,) = [one for one in done.err.splitlines() if one.startswith("image:app")]
    assert word in line, done.err


@pytest.mark.contract("L.1 rkt_trust")
def test_a_signed_image_from_the_network_runs(project: Project, server: Server, signer: Signer) -> None:
    write(project, serve(server, signer, archive(project)))
    refused(project, "is not trusted")
    trust(project, signer, "--prefix", f"{NAME}/other")
    refused(project, "not trusted for that name")
    trust(project, signer, "--prefix", NAME)
    done = project.run("it")
    assert (done.code, done.out) == (0, "hello\n"), done.err
    locked = project.doit("lock", "pod=it")
    assert locked.code == 0, locked.err
    server.pages.clear()
    project.environment["CI"] = "true"
    for _ in range(2):
        again = project.run("it")
        assert (again.out, again.tasks) == ("hello\n", {"overlay", "init"}), again.err
    listed = json.loads(project.doit("images", "--format", "json").out)
    assert signer.fingerprint in [one["signer"] for one in listed]
    assert f'"signer": "{signer.fingerprint}"' in (project.root / "pods/it.lock").read_text()


@pytest.mark.parametrize("pull", ["IfNotPresent", "Always"])
def test_a_lock_holds_an_address_to_what_it_had(
    project: Project, server: Server, signer: Signer, tmp_path: Path, pull: str
) -> None:
    """Other content under the address, signed by the same key, is another image."""

    def told(done: workbench.Result, out: str) -> None:
        assert (done.code, done.out) == (0, f"{out}\n"), done.err

    app = {"name": "app", "image": serve(server, signer, archive(project, "first")), "imagePullPolicy": pull}
    project.write(workbench.spec("it", UID, [app]))
    trust(project, signer, "--prefix", NAME)
    assert project.doit("lock", "pod=it").code == 0
    told(project.doit("run", "pod=it"), "first")
    before = (project.root / "pods/it.lock").read_text()
    serve(server, signer, archive(project, "second"))
    told(project.doit("run", "pod=it"), "first")
    # A machine that has not got it does not take what is there now.
    project.data = tmp_path / "other"
    trust(project, signer, "--prefix", NAME)
    refused(project, "the lock file says sha512-")
    (project.root / "pods/it.lock").unlink()
    told(project.doit("run", "pod=it"), "second")
    (project.root / "pods/it.lock").write_text(before)
    refused(project, "the lock file says sha512-")
    updated = project.doit("lock", "pod=it", "--update")
    assert updated.code == 0 and updated.out.startswith("it.lock: app: https://") and " -> sha512-" in updated.out
    told(project.doit("run", "pod=it", "--locked"), "second")


def test_a_start_that_is_remembered_still_asks_for_the_key(project: Project, server: Server, signer: Signer) -> None:
    """`podwright run` starts a fresh pod from a record; a key that is gone makes the record worthless."""
    write(project, serve(server, signer, archive(project)))
    trust(project, signer, "--root")
    project.program = [str(workbench.DOIT.with_name("podwright"))]
    for _ in range(3):
        done = project.doit("run", "pod=it")
        assert (done.code, done.out) == (0, "hello\n"), done.err
    assert project.doit("trust", "remove", "--root", signer.fingerprint).code == 0
    assert "not trusted" in project.doit("why", "pod=it").out
    refused(project, "is not trusted")


@pytest.mark.contract("M 45")
def test_a_stage1_is_checked_like_every_image(project: Project, server: Server, signer: Signer) -> None:
    write(project, "made.aci", stage1=serve(server, signer, archive(project)))
    done = project.doit("run", "pod=it")
    assert done.code != 0 and "image:stage1" in done.err and "is not trusted" in done.err


def test_a_stricter_spec_makes_a_local_image_stale(project: Project, signer: Signer) -> None:
    data = archive(project)
    write(project, "images/made.aci")
    assert project.run("it").out == "hello\n"
    write(project, "images/made.aci", signatures="require")
    assert "signature of images/made.aci: not looked at -> require" in project.doit("why", "pod=it").out
    refused(project, "is not signed")
    trust(project, signer, "--root")
    (project.root / "images/made.aci.asc").write_bytes(signer.sign(data))
    done = project.run("it")
    assert (done.out, done.tasks) == ("hello\n", {"image:app", "overlay", "init"}), done.err
    write(project, "images/made.aci", signatures="off")
    assert project.run("it").tasks == {"overlay", "init"}
    (project.root / "images/made.aci.asc").unlink()
    write(project, "images/made.aci", signatures="warn")
    assert project.run("it").tasks == {"overlay", "init"}


def test_a_name_is_discovered_and_its_key_too(project: Project, server: Server, signer: Signer) -> None:
    serve(server, signer, archive(project))
    server.pages["/keys.asc"] = Page(signer.public())
    tags = {
        "ac-discovery": f"{NAME} https://{NAME}/app.{{ext}}",
        "ac-discovery-pubkeys": f"{NAME} https://{NAME}/keys.asc",
    }
    head = "".join(f'<meta name="{key}" content="{value}">' for key, value in tags.items())
    server.pages["/?ac-discovery=1"] = Page(head.encode())
    write(project, f"{NAME}/app")
    refused(project, "is not trusted")
    added = project.doit("trust", "add", "--prefix", NAME, "--skip-fingerprint-review")
    assert (added.code, added.out) == (0, f"{signer.fingerprint}\n"), added.err
    done = project.run("it")
    assert (done.code, done.out) == (0, "hello\n"), done.err


def test_a_key_is_not_trusted_unseen(project: Project, signer: Signer) -> None:
    (project.root / "key.asc").write_bytes(signer.public())
    done = project.doit("trust", "add", "--root", "key.asc")
    assert done.code == 1 and "no terminal" in done.err and "fingerprint" in done.err
    for answer, code in ((b"n\n", 1), (b"yes\n", 0)):
        controller, terminal = pty.openpty()
        process = project.started("trust", "add", "--root", "key.asc", stdin=terminal, stdout=subprocess.DEVNULL)
        os.write(controller, answer)
        process.communicate()
        os.close(controller)
        os.close(terminal)
        assert process.returncode == code
    (row,) = json.loads(project.doit("trust", "--format", "json").out)
    assert (row["prefix"], row["fingerprint"], row["masked"]) == ("", signer.fingerprint, False)
    assert "signer@example.com" in project.doit("trust").out


def test_a_key_of_the_host_is_masked(project: Project, signer: Signer, tmp_path: Path) -> None:
    folder = tmp_path / "config/trustedkeys/root.d"
    folder.mkdir(parents=True)
    (folder / signer.fingerprint).write_bytes(signer.public())
    done = project.doit("trust", "remove", "--root", signer.fingerprint)
    assert done.code == 0 and "masked" in done.out, done.err
    assert [row["masked"] for row in json.loads(project.doit("trust", "--format", "json").out)] == [False, True]
    assert project.doit("trust", "remove", "--root", signer.fingerprint).code == 1


@pytest.mark.parametrize(
    "words",
    [
        ("add", "key.asc"),
        ("add", "--root", "--prefix", "a", "key.asc"),
        ("add", "--root"),
        ("add", "--root", "--yes", "nothing.asc"),
        ("add", "--prefix", "https://a.org", "key.asc"),
        ("add", "--prefix", "../a", "key.asc"),
        ("remove", "--root", "abcd"),
        ("remove", "--root"),
        ("what",),
    ],
)
def test_mistakes_are_a_sentence(project: Project, words: tuple[str, ...]) -> None:
    (project.root / "key.asc").write_bytes(b"no key")
    done = project.doit("trust", *words)
    assert done.code == 1 and done.err.startswith("ERROR: ") and "Traceback" not in done.err
    assert not (project.data / "trustedkeys").exists()


def test_an_import_by_hand_says_what_it_demands(project: Project, server: Server, signer: Signer) -> None:
    url = serve(server, signer, archive(project))
    done = project.doit("images", "import", url)
    assert done.code == 1 and "is not trusted" in done.err
    assert project.doit("images", "import", "--signatures", "off", url).code == 0
    done = project.doit("images", "import", "--signatures=require", "images/made.aci")
    assert done.code == 1 and "is not signed" in done.err
    assert project.doit("images", "import", "--signatures=what", url).code != 0


def test_a_configuration_that_cannot_be_understood_is_a_sentence(project: Project, tmp_path: Path) -> None:
    archive(project)
    write(project, "images/made.aci")
    (tmp_path / "config").mkdir()
    (tmp_path / "config/images.json").write_text('{"signatures": {"netwrok": "off"}}')
    done = project.doit("run", "pod=it")
    assert done.code != 0 and "unknown field 'netwrok'" in done.err and "Traceback" not in done.err


def test_where_local_files_must_be_signed_bundles_are_local_files(
    project: Project, server: Server, signer: Signer, tmp_path: Path
) -> None:
    """A bundle's own lock file says who signed its images; that is no evidence of anything."""
    write(project, serve(server, signer, archive(project)))
    trust(project, signer, "--prefix", NAME)
    assert project.doit("run", "pod=it").code == 0
    assert project.doit("lock", "pod=it").code == 0
    assert project.doit("bundle", "pod=it", "it.tar").code == 0
    there = Project(tmp_path / "there", tmp_path / "elsewhere", environment=project.environment)
    bundle = there.root / "it.tar"
    bundle.write_bytes((project.root / "it.tar").read_bytes())
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "images.json").write_text(json.dumps({"signatures": {"local": "require"}}))
    trust(there, signer, "--prefix", NAME)
    ended = there.doit("unbundle", "it.tar")
    assert ended.code != 0 and "is not signed" in ended.err, ended.err
    Path(f"{bundle}.asc").write_bytes(signer.sign(bundle.read_bytes()))
    ended = there.doit("unbundle", "it.tar")
    assert ended.code != 0 and "not trusted for every name" in ended.err, ended.err
    trust(there, signer, "--root")
    ended = there.doit("unbundle", "it.tar")
    assert ended.code == 0, ended.err
    ended = there.doit("run", "pod=it", "--locked")
    assert (ended.code, ended.out) == (0, "hello\n"), ended.err
