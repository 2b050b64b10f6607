"""What appc's ACE validator asks of an executor, asked by a program of our own in the images (contract L.1).

Two apps, `main` and `sidekick`, meet in a volume; `main` has handlers before and after, looks at what it finds around
itself, and asks the metadata service about its pod.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.images import build
from tests.pod.mds_server import Asked, serving
from tests.system import workbench
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID = "0d6a3d52-31e0-4c8e-9e6c-6a5cf2f5ad01"
PORT = 18112  # contract B.3
KEY = b"a key of this service"

PROBE = rb"""#!/bin/sh
# The parts of the validator: prestart, main, sidekick, poststop. The first thing that is not as it must be is told.
die() { echo "$1" >&2; exit 70; }
same() { [ "$2" = "$3" ] || die "$1: '$2', not '$3'"; }
wait_for() { until [ -e "$1" ]; do sleep 0.02; done; }
metadata() { wget -q -O - "$AC_METADATA_URL/acMetadata/v1$1" || die "no answer to $1"; }

prestart() {
    same "user of the handler" "$(id -u)" 0
    [ ! -e /prestart ] || die "the handler has run before"
    [ ! -e /db/main ] || die "the app has run before its handler"
    touch /prestart && echo prestart OK
}
environment() {
    same IN_ACE_VALIDATOR "$IN_ACE_VALIDATOR" correct
    same PATH "$PATH" /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    same AC_APP_NAME "$AC_APP_NAME" "$1"
    for name in HOME USER LOGNAME SHELL container; do eval "[ -n \"\$$name\" ]" || die "no $name"; done
    same "working directory" "$(pwd -P)" /opt/acvalidator
}
filesystem() {
    for name in null zero full random urandom tty; do [ -c /dev/$name ] || die "no /dev/$name"; done
    [ -e /dev/ptmx ] && [ -d /dev/pts ] && [ -d /dev/shm ] || die "no terminals or shared memory"
    while read -r _ point kind _; do eval "kind$(echo "$point" | tr / _)=$kind"; done </proc/mounts
    same "/proc" "$kind_proc" proc
    same "/sys" "$kind_sys" sysfs
    same "/dev/pts" "$kind_dev_pts" devpts
    same "/dev/shm" "$kind_dev_shm" tmpfs
    [ "$(readlink /proc/self)" != "" ] || die "no processes in /proc"
}
network() {
    grep -q "^ *lo:" /proc/net/dev || die "no loopback"
}
asked() {
    same "annotation of the pod" "$(metadata /pod/annotations/ip-address)" 10.1.2.3
    same "UUID of the pod" "$(metadata /pod/uuid)" "$UUID"
    metadata /pod/manifest | grep -q '"PodManifest"' || die "no manifest of the pod"
    same "annotation of the app" "$(metadata /apps/main/annotations/created)" "2015-07-30T12:00:00Z"
    metadata /apps/main/image/manifest | grep -q '"ImageManifest"' || die "no manifest of the image"
    metadata /apps/main/image/id | grep -q '^sha512-' || die "no id of the image"
    signature=$(wget -q -O - --post-data content=secret "$AC_METADATA_URL/acMetadata/v1/pod/hmac/sign")
    wget -q -O /dev/null --post-data "uuid=$UUID&content=secret&signature=$signature" \
        "$AC_METADATA_URL/acMetadata/v1/pod/hmac/verify" || die "the signature is not accepted"
    ! wget -q -O /dev/null --post-data "uuid=$UUID&content=other&signature=$signature" \
        "$AC_METADATA_URL/acMetadata/v1/pod/hmac/verify" 2>/dev/null || die "a wrong signature is accepted"
}
main() {
    [ -e /prestart ] || die "the handler has not run"
    environment main; filesystem; network; asked
    touch /db/main || die "the database cannot be written"
    wait_for /db/sidekick
    echo main OK
}
sidekick() {
    environment sidekick; filesystem; network
    wait_for /db/main
    [ ! -e /prestart ] || die "the root of the other app is mine"
    touch /db/sidekick && echo sidekick OK
}
poststop() {
    same "user of the handler" "$(id -u)" 0
    [ -e /db/main ] && [ -e /db/sidekick ] || die "the apps have not met"
    echo poststop OK
}
"$1"
"""


class PublicService(http.server.ThreadingHTTPServer):
    """rkt's metadata service to apps (contract I.2), of what was registered with its private half."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, asked: list[Asked]) -> None:
        super().__init__(("127.0.0.1", PORT), _Handler)
        self.asked = asked

    def registered(self, token: str) -> tuple[str, Any, dict[str, Any]]:
        """UUID, manifest and image manifests of the pod with this token."""
        (pod,) = [one for one in self.asked if one.path.endswith(f"?token={token}")]
        uuid = pod.path.split("/")[2].partition("?")[0]
        images = [one for one in self.asked if one.method == "PUT" and one.path.startswith(f"/pods/{uuid}/")]
        return uuid, json.loads(pod.body), {one.path.rpartition("/")[2]: json.loads(one.body) for one in images}


class _Handler(http.server.BaseHTTPRequestHandler):
    server: PublicService

    def do_GET(self) -> None:
        token, path = self._asked()
        uuid, manifest, images = self.server.registered(token)
        apps = {app["name"]: app for app in manifest["apps"]}
        match path:
            case ["pod", "uuid"]:
                self._answer(uuid)
            case ["pod", "manifest"]:
                self._answer(json.dumps(manifest))
            case ["pod", "annotations", name]:
                self._answer(manifest["userAnnotations"][name])
            case ["apps", app, "annotations", name]:
                listed = {one["name"]: one["value"] for one in images[app]["annotations"]}
                self._answer(listed[name])
            case ["apps", app, "image", "manifest"]:
                self._answer(json.dumps(images[app]))
            case ["apps", app, "image", "id"]:
                self._answer(apps[app]["image"]["id"])

    def do_POST(self) -> None:
        token, path = self._asked()
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(part.split("=", 1) for part in body.split("&"))
        uuid = form.get("uuid") or self.server.registered(token)[0]
        signed = base64.urlsafe_b64encode(hmac.digest(KEY, (uuid + form["content"]).encode(), hashlib.sha512)).decode()
        if path[-1] == "sign":
            self._answer(signed)
        else:
            self._answer("", 200 if signed == form["signature"] else 403)

    def _asked(self) -> tuple[str, list[str]]:
        token, api, version, *path = urllib.parse.unquote(self.path).strip("/").split("/")
        assert (api, version) == ("acMetadata", "v1")
        return token, path

    def _answer(self, text: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """The images of the validator, and a metadata service."""
    made = Project(tmp_path / "project", tmp_path / "data")
    made.environment["PODWRIGHT_MDS_SOCKET"] = str(tmp_path / "mds.sock")
    applets = [build.symlink(f"bin/{name}", "busybox") for name in ("readlink", "grep", "wget", "tr")]
    common = [build.directory(name) for name in ("opt", "opt/acvalidator", "db")]
    common += [build.regular("ace-validator", PROBE, 0o755), *applets]
    for name in ("main", "sidekick"):
        section: dict[str, Any] = {
            "exec": ["/ace-validator", name],
            "user": "0",
            "group": "0",
            "workingDirectory": "/opt/acvalidator",
            "environment": [{"name": "IN_ACE_VALIDATOR", "value": "correct"}, {"name": "UUID", "value": UID}],
            "mountPoints": [{"name": "database", "path": "/db", "readOnly": False}],
            "isolators": [{"name": "resource/memory", "value": {"limit": "100M"}}],
        }
        if name == "main":
            handlers = [("pre-start", "prestart"), ("post-stop", "poststop")]
            section["eventHandlers"] = [{"name": one, "exec": ["/ace-validator", part]} for one, part in handlers]
        annotations = [{"name": "created", "value": "2015-07-30T12:00:00Z"}]
        manifest = workbench.manifest(f"example.com/ace-{name}", annotations=annotations) | {"app": section}
        made.image(f"{name}.aci", manifest, workbench.busybox(*common))
    with serving(tmp_path / "mds.sock") as private, PublicService(private.asked) as public:
        thread = threading.Thread(target=public.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield made
        finally:
            public.shutdown()
            thread.join()


@pytest.mark.parametrize("overlay", [True, False], ids=["overlay", "copy"])
@pytest.mark.contract("L.1 rkt_ace_validator", "L.1 rkt_metadata_service", "I.1 registration")
def test_the_pod_of_the_ace_validator(project: Project, overlay: bool) -> None:
    containers = [{"name": name, "image": f"images/{name}.aci"} for name in ("main", "sidekick")]
    spec = workbench.spec("ace", UID, containers, net=["host"], mdsRegister=True, overlay=overlay)
    spec["metadata"]["annotations"] = {"ip-address": "10.1.2.3"}
    spec["spec"]["volumes"] = [{"name": "database", "emptyDir": {}}]
    project.write(spec)
    for _ in range(2):
        ran = project.doit("run", "pod=ace")
        lines = ran.out.splitlines()
        assert ran.code == 0, (ran.out, ran.err)
        assert lines[0] == "prestart OK" and lines[-1] == "poststop OK"
        assert sorted(lines[1:-1]) == ["main OK", "sidekick OK"]
