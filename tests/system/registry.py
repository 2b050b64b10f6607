"""A real registry on loopback, and a home directory whose configuration lets skopeo talk to it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

USER, PASSWORD = "alice", "open sesame"


class Registry:
    """docker-registry. secret: wants USER and PASSWORD."""

    def __init__(self, folder: Path, *, secret: bool = False) -> None:
        self.folder, self.secret = folder, secret
        folder.mkdir(parents=True)
        # Nobody else is given a port that is bound, though nobody listens there; the registry may bind it as well.
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._port.bind(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._port.getsockname()[1]}"
        self.environment = self._home()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        config = {
            "version": "0.1",
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}, "delete": {"enabled": True}},
            "http": {"addr": self.host},
            "validation": {"manifests": {"urls": {"allow": ["^http://"]}}},
        }
        if self.secret:
            made = subprocess.run(["htpasswd", "-Bbn", USER, PASSWORD], capture_output=True, check=True)
            (self.folder / "htpasswd").write_bytes(made.stdout)
            config["auth"] = {"htpasswd": {"realm": "tests", "path": str(self.folder / "htpasswd")}}
        (self.folder / "config.yml").write_text(json.dumps(config))  # which is YAML
        with open(self.folder / "log", "ab") as log:
            command = ["docker-registry", "serve", str(self.folder / "config.yml")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._wait()

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()
            self.process = None

    def push(self, source: str, name: str, *words: str) -> str:
        """Copy an image (as skopeo names it) to the registry; returns the reference, docker://…"""
        target = f"docker://{self.host}/{name}"
        login = [f"--dest-creds={USER}:{PASSWORD}"] if self.secret else []
        self.skopeo("copy", *words, *login, source, target)
        return target

    def skopeo(self, *words: str) -> None:
        done = subprocess.run(
            ["skopeo", *words], env={**os.environ, **self.environment}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    def policy(self, document: dict[str, object]) -> None:
        """The policy for images of this home."""
        (self.folder / "home/.config/containers/policy.json").write_text(json.dumps(document))

    def trust(self, host: str) -> None:
        """Another way to the registry: skopeo speaks to it without TLS too."""
        with open(self.folder / "home/.config/containers/registries.conf", "a") as out:
            out.write(f'[[registry]]\nlocation = "{host}"\ninsecure = true\n')

    def upload(self, name: str, *blobs: bytes, manifest: bytes, tag: str) -> None:
        """Put blobs and a manifest there as they are, which no tool does when they do not fit each other."""
        for data in blobs:
            opened = self._asked("POST", f"http://{self.host}/v2/{name}/blobs/uploads/")
            self._asked("PUT", f"{opened}&digest=sha256:{hashlib.sha256(data).hexdigest()}", data)
        media_type = json.loads(manifest)["mediaType"]
        self._asked("PUT", f"http://{self.host}/v2/{name}/manifests/{tag}", manifest, media_type)

    def forget(self, digest: str) -> None:
        """Lose a blob."""
        algorithm, _, digits = digest.partition(":")
        blobs = self.folder / "data/docker/registry/v2/blobs"
        (blobs / algorithm / digits[:2] / digits / "data").unlink()

    def _asked(self, method: str, url: str, data: bytes = b"", kind: str = "application/octet-stream") -> str:
        """Where the answer leads."""
        request = urllib.request.Request(url, data, {"Content-Type": kind}, method=method)
        with urllib.request.urlopen(request) as answer:
            return str(answer.headers["Location"])

    def _home(self) -> dict[str, str]:
        configuration = self.folder / "home/.config/containers"
        configuration.mkdir(parents=True)
        (configuration / "registries.conf").write_text(f'[[registry]]\nlocation = "{self.host}"\ninsecure = true\n')
        (configuration / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        return {"HOME": str(self.folder / "home"), "REGISTRY_AUTH_FILE": str(self.folder / "auth.json")}

    def _wait(self) -> None:
        while True:
            assert self.process is not None and self.process.poll() is None, (self.folder / "log").read_text()
            try:
                urllib.request.urlopen(f"http://{self.host}/v2/").close()
                return
            except urllib.error.HTTPError:
                return  # it wants a password, so it is there
            except OSError:
                continue
