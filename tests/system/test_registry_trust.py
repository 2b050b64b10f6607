"""The host's policy for images of registries: real signatures, and a registry that cheats."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.images import build, oci
from tests.images.oci_maker import Image, descriptor, digest, layer, write_layout
from tests.images.signing import Signer
from tests.system import workbench
from tests.system.registry import Registry
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f20"
LAYER = layer([*workbench.busybox(), build.regular("it", b"it\n")])


def image(*words: str, **more: Any) -> Image:
    return Image([LAYER], process={"Cmd": list(words), **more})


@pytest.fixture
def project(registry: Registry, tmp_path: Path) -> Project:
    return Project(tmp_path / "project", tmp_path / "data", environment={**registry.environment, "CI": ""})


def demand(registry: Registry, signer: Signer, host: str) -> None:
    """Images of the host must be signed by the signer; signatures are in a folder (containers-registries.d(5))."""
    key = registry.folder / "key.asc"
    key.write_bytes(signer.public())
    rule = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(key)}
    anything = [{"type": "insecureAcceptAnything"}]
    registry.policy({"default": anything, "transports": {"docker": {host: [rule]}}})
    places = registry.folder / "home/.config/containers/registries.d"
    places.mkdir()
    store = f"file://{registry.folder}/signatures"
    one = {"sigstore": store, "sigstore-staging": store}
    (places / "tests.yaml").write_text(json.dumps({"docker": dict.fromkeys({host, registry.host}, one)}))


def push(registry: Registry, folder: Path, made: Image, tag: str, signer: Signer | None = None, *words: str) -> str:
    """Push an image, signed if there is a signer; its reference."""
    write_layout(folder / f"layout-{tag}", {"x": made})
    signed = ["--sign-by", signer.fingerprint, *words] if signer else []
    if signer:
        os.environ["GNUPGHOME"] = str(signer.home)
    try:
        return registry.push(f"oci:{folder / f'layout-{tag}'}:x", f"team/app:{tag}", *signed)
    finally:
        os.environ.pop("GNUPGHOME", None)


def write(project: Project, reference: str) -> None:
    project.write(workbench.spec("it", UID, [{"name": "app", "image": reference}]))


def refused(project: Project, word: str, *, hinted: bool = True) -> None:
    done = project.doit("run", "pod=it")
    assert done.code == 1 and "Traceback" not in done.err and len(done.err) < 2000, done.err
    assert "hint: " in done.err or not hinted
    (line,) = [one for one in done.err.splitlines() if one.startswith("image:app:")]
    assert word in line.replace('"', ""), done.err
    assert not list((project.data / "images/manifests").glob("sha256-*"))
    assert not list((project.data / "images/blobs/sha256").glob("*"))


def test_only_what_the_right_key_signed_comes_in(
    registry: Registry, project: Project, signer: Signer, tmp_path: Path
) -> None:
    other = Signer(tmp_path / "other-gpg", "Other <other@example.com>")
    try:
        demand(registry, signer, registry.host)
        write(project, push(registry, tmp_path, image("echo", "unsigned"), "unsigned"))
        refused(project, "A signature was required, but no signature exists")
        write(project, push(registry, tmp_path, image("echo", "other"), "other", other))
        refused(project, f"Invalid GPG signature: by the key {other.fingerprint.upper()}")
        good = push(registry, tmp_path, image("echo", "good"), "good", signer)
        # Signed as another name: what is called so here was never meant.
        elsewhere = image("echo", "elsewhere")
        write(project, push(registry, tmp_path, elsewhere, "2", signer, "--sign-identity", f"{registry.host}/x/y:2"))
        refused(project, f"Signature for identity {registry.host}/x/y:2 is not accepted")
        write(project, good)
        done = project.run("it")
        assert (done.code, done.out) == (0, "good\n"), done.err
    finally:
        other.close()


class Cheat:
    """A registry that says what it likes. lies: what it says of a path, the first time first; always: every time."""

    def __init__(self, server: str) -> None:
        self.lies: dict[str, list[bytes]] = {}
        self.always: dict[str, bytes] = {}
        cheat = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer()

            def do_HEAD(self) -> None:
                self._answer()

            def _answer(self) -> None:
                headers = {"Accept": ",".join(self.headers.get_all("Accept") or ["*/*"])}
                lies = cheat.lies.get(self.path)
                try:
                    request = urllib.request.Request(f"http://{server}{self.path}", headers=headers)
                    with urllib.request.urlopen(request) as found:
                        status, said, body = found.status, dict(found.headers), found.read()
                except urllib.error.HTTPError as error:
                    status, said, body = error.code, dict(error.headers), error.read()
                if self.command == "GET" and (lies or self.path in cheat.always):
                    status, body = 200, lies.pop(0) if lies else cheat.always[self.path]
                    said |= {"Docker-Content-Digest": digest(body), "Content-Type": KINDS["oci"]}
                self.send_response(status)
                for key in ("Content-Type", "Docker-Content-Digest", "Docker-Distribution-Api-Version"):
                    if key in said:
                        self.send_header(key, said[key])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def cheat(registry: Registry) -> Iterator[Cheat]:
    made = Cheat(registry.host)
    registry.trust(made.host)
    yield made
    made.close()


@pytest.mark.parametrize("form", ["oci", "v2s2"])
@pytest.mark.parametrize("field", ["Cmd", "User", "Env"])
def test_a_configuration_that_nobody_signed_is_not_slipped_in(
    registry: Registry, project: Project, signer: Signer, cheat: Cheat, tmp_path: Path, form: str, field: str
) -> None:
    """The layers are the signed image's; what is to be executed in them is not."""
    good = image("echo", "good")
    evil = image("echo", "good", **{field: {"Cmd": ["echo", "evil"], "User": "1000", "Env": ["A=evil"]}[field]})
    demand(registry, signer, cheat.host)
    options = ("--sign-identity", f"{cheat.host}/team/app:1", "--format", form)
    push(registry, tmp_path, good, "1", signer, *options)
    write_layout(tmp_path / "evil", {"x": evil})
    registry.push(f"oci:{tmp_path / 'evil'}:x", "team/app:evil", "--format", form)
    lie = subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/team/app:evil"],
        capture_output=True,
        check=True,
    ).stdout
    assert KINDS[form].encode() in lie
    write(project, f"docker://{cheat.host}/team/app:1")
    cheat.lies["/v2/team/app/manifests/1"] = [lie]
    refused(project, "changed while it was fetched")
    assert not cheat.lies["/v2/team/app/manifests/1"]
    done = project.run("it")
    assert (done.code, done.out) == (0, "good\n"), done.err


KINDS = {
    "oci": "application/vnd.oci.image.manifest.v1+json",
    "v2s2": "application/vnd.docker.distribution.manifest.v2+json",
}


def listing(*entries: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": list(entries), **more}).encode()


GOOD = image("echo", "good")
HERE = {"os": "linux", "architecture": "amd64"}
INNER = listing(descriptor(GOOD.manifest(), platform=HERE))
CHART = {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": digest(b"{}"), "size": 2}
LIES: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"hello", "is not good JSON"),
    "nothing": (b"", "is not good JSON"),
    "too large": (GOOD.manifest(more="x" * (5 << 20)), "exceeded maximum allowed size"),
    "deep": (b"[" * 100_000, "is not good JSON"),
    "index and manifest": (GOOD.manifest(manifests=[]), "is an index and a manifest at once"),
    "docker's first format": (b'{"schemaVersion": 1, "fsLayers": []}', "is no OCI image"),
    "a chart": (GOOD.manifest(config=CHART), "is no image"),
    "no layers": (GOOD.manifest(layers=[]), "the manifest has 0 layers, the configuration 1"),
    "a text for a layer": (GOOD.manifest(layers=[{**descriptor(LAYER), "mediaType": "text/plain"}]), "media type"),
    "another machine's": (listing(descriptor(GOOD.manifest(), platform={**HERE, "os": "plan9"})), "linux/amd64"),
    "an index that lies": (
        listing({**descriptor(GOOD.manifest(), platform=HERE), "size": 7}),
        "its descriptor says 7",
    ),
    "an index of an index": (listing({**descriptor(INNER, platform=HERE), "mediaType": oci.INDEX}), "index of indexes"),
    "an index that says manifest": (listing(descriptor(INNER, platform=HERE)), "calls itself"),
    "a size for the configuration": (
        GOOD.manifest(config={"mediaType": oci.CONFIG, "digest": digest(GOOD.config()), "size": 7}),
        "its descriptor says 7",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_whatever_a_registry_says(
    registry: Registry, project: Project, cheat: Cheat, tmp_path: Path, name: str
) -> None:
    lie, word = LIES[name]
    layers = [data for _, data in GOOD.blobs()]
    registry.upload("team/app", GOOD.config(), *layers, manifest=GOOD.manifest(), tag="1")
    for body, tag in ((lie, "1"), (lie, digest(lie)), (INNER, digest(INNER))):
        cheat.always[f"/v2/team/app/manifests/{tag}"] = body
    write(project, f"docker://{cheat.host}/team/app:1")
    refused(project, word, hinted=False)
    cheat.always.clear()
    done = project.run("it")
    assert (done.code, done.out) == (0, "good\n"), done.err
