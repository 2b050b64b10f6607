"""A prepared pod of two apps, and what a row of the table of changes may do to it."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stages.images import build
from stages.images.build import Member
from tests.system import workbench
from tests.system.workbench import Project

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f10"
BASE = ({"imageName": "example.com/base"},)


class Bench:
    """`web`, which depends on an image that the spec names, and `side`. until: the task that a run goes up to.

    Without overlay the pod is prepared and not run: a run dirties the roots, and everything in them is made again.
    """

    def __init__(self, folder: Path, overlay: bool) -> None:
        self.folder = folder
        self.project = Project(folder / "project", folder / "data")
        (folder / "srv").mkdir()
        (folder / "srv2").mkdir()
        self.stage1("stage1.aci")
        self.base(b"base\n")
        self.web(b"web\n")
        self._image("side", [build.directory("etc"), build.regular("etc/side", b"side\n")])
        self.spec = workbench.spec(
            "shop",
            UID,
            [self._rich_app(), {"name": "side", "image": "images/side.aci"}],
            overlay=overlay,
            stage1="images/stage1.aci",
            dependencies=["images/base.aci"],
            net=["default"],
        )
        self.spec["spec"]["volumes"] = [
            {"name": "data", "hostPath": {"path": str(folder / "srv")}},
            {"name": "scratch", "emptyDir": {"mode": "0755"}},
        ]
        self.project.write(self.spec)

    def _rich_app(self) -> dict[str, Any]:
        """An app that says something of everything."""
        return {
            "name": "web",
            "image": "images/web.aci",
            "command": ["/bin/true"],
            "env": [{"name": "A", "value": "1"}],
            "ports": [{"name": "http", "containerPort": 80, "hostPort": 8080}],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            "resources": {"limits": {"memory": "64Mi"}},
            "securityContext": {"capabilities": {"drop": ["KILL"]}},
        }

    @property
    def overlay(self) -> bool:
        return bool(self.spec["stage0"]["overlay"])

    @property
    def until(self) -> str:
        return "init" if self.overlay else "manifest"

    @property
    def pod(self) -> Path:
        return self.project.pod(self.spec["metadata"]["uid"])

    @property
    def store(self) -> Path:
        return self.project.data / "images"

    def run(self) -> frozenset[str]:
        """The tasks that a run executes; it ends well."""
        done = self.project.run(self.spec["metadata"]["uid"], self.until)
        assert done.code == 0, done.err + done.out
        return done.tasks

    # ---- images

    def stage1(self, file: str, words: str = "exit 0") -> None:
        """An image of a stage1 whose programs are one line of shell: nothing here needs the apps to run."""
        programs = ("run", "gc", "stop")
        annotations = [{"name": f"coreos.com/rkt/stage1/{name}", "value": f"/{name}"} for name in programs]
        members = [build.directory(name) for name in ("etc", "rkt", "rkt/status")]
        members += [build.regular(name, f"#!/bin/sh\n{words}\n".encode(), 0o755) for name in programs]
        self.project.image(file, workbench.manifest("example.com/stage1", annotations=annotations), members)

    def base(self, content: bytes, **more: Any) -> None:
        self._image("base", [build.directory("etc"), build.regular("etc/base", content)], **more)

    def web(self, content: bytes, **more: Any) -> None:
        members = [build.directory("etc"), build.regular("etc/web", content)]
        self._image("web", members, **{"dependencies": list(BASE), **more})

    def _image(self, name: str, members: list[Member], **more: Any) -> None:
        described = workbench.manifest(f"example.com/{name}", app=["/bin/true"], **more)
        self.project.image(f"{name}.aci", described, members)

    def archive(self, name: str) -> Path:
        """An image file of the project."""
        return self.project.root / "images" / name

    def image_id(self, app: str) -> str:
        """The image of an app, by the pod manifest."""
        apps = json.loads((self.pod / "pod").read_text())["apps"]
        return str(next(one["image"]["id"] for one in apps if one["name"] == app))

    def blob(self, app: str) -> Path:
        """The stored archive of an app's image."""
        return self.store / "blobs" / self.image_id(app).replace("-", "/")

    # ---- the spec

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        self.spec = copy.deepcopy(self.spec)
        change(self.spec)
        self.project.write(self.spec)

    def container(self, **fields: Any) -> None:
        """Fields of web."""
        self.edit(lambda spec: spec["spec"]["containers"][0].update(fields))

    def stage0(self, **fields: Any) -> None:
        self.edit(lambda spec: spec["stage0"].update(fields))

    def metadata(self, **fields: Any) -> None:
        self.edit(lambda spec: spec["metadata"].update(fields))

    def put(self, path: str, value: Any) -> None:
        """Set one field. path: as `spec.volumes[1].name`; what is missing on the way is made."""

        def change(spec: dict[str, Any]) -> None:
            place: Any = spec
            *above, last = re.findall(r"[^.\[\]]+", path)
            for step in above:
                place = place[int(step)] if step.isdigit() else place.setdefault(step, {})
            place[last] = value

        self.edit(change)

    # ---- the code, and what lies on disk

    def source(self, path: str, old: str, new: str) -> None:
        """Edit a file of the code, in a copy that the project has of its own from now on."""
        if not self.project.own_code:
            self.project = Project(self.project.root, self.project.data, own_code=True)
        file = self.project.root / path
        text = file.read_text()
        assert old in text, f"{path} has no {old!r} any more"
        file.write_text(text.replace(old, new))

    def tree(self, app: str) -> Path:
        """The tree of an app in the store, or of stage1."""
        name = self.pod / "stage1TreeStoreID" if app == "stage1" else self.pod / "appsinfo" / app / "treeStoreID"
        return self.project.data / "trees" / name.read_text()

    def root(self, app: str) -> Path:
        """An app's root in the pod, where it was copied."""
        return self.pod / "stage1/rootfs/opt/stage2" / app / "rootfs"

    def lose(self, *names: str) -> None:
        """Delete files or folders below the data directory."""
        for path in (self.project.data / name for name in names):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def move(self, **folders: Path) -> None:
        """Rename the project's folder, or the data directory."""
        for name, target in folders.items():
            getattr(self.project, name).rename(target)
            setattr(self.project, name, target)
