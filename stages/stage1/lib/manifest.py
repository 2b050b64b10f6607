"""The pod manifest as stage1 reads it: appc JSON becomes apps, volumes and mounts, checked where it is used."""

from __future__ import annotations

import os

from stages.stage1.lib import quickjson
from stages.stage1.lib.errors import Stage1Error, explain
from stages.stage1.lib.signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
HANDLERS = ("pre-start", "post-stop")
STOP_SIGNAL = "podwright/stop-signal"  # stage0 writes what an OCI image calls its StopSignal
GRACE = "podwright/termination-grace-seconds"
_MOST_GRACE = 86400.0
IMAGE_VOLUMES = "podwright/image-volumes"  # stage0 writes which volumes start with the image's content


class Volume:
    """One volume of the pod. `read_only` is None where the manifest leaves it to the mount point."""

    __slots__ = ("gid", "kind", "mode", "name", "read_only", "recursive", "source", "uid")

    def __init__(self, fields: dict[str, Any]) -> None:
        self.name = app_name(fields.get("name"), "a volume")
        self.kind = str(fields.get("kind", ""))
        self.source = str(fields.get("source", ""))
        self.read_only: bool | None = fields.get("readOnly")
        self.recursive = fields.get("recursive") is not False
        self.mode = int(str(fields.get("mode") or "0755"), 8)
        self.uid = int(fields.get("uid") or 0)
        self.gid = int(fields.get("gid") or 0)
        if self.kind not in ("host", "empty"):
            raise Stage1Error(f"volume {self.name} has the unknown kind {self.kind!r}")
        if self.kind == "host" and not self.source.startswith("/"):
            raise Stage1Error(f"volume {self.name} needs an absolute source, not {self.source!r}")


class App:
    """One app of the pod: the pod manifest's app section, or the image's where the pod has none."""

    __slots__ = (
        "annotations",
        "command",
        "environment",
        "group",
        "handlers",
        "image_name",
        "image_volumes",
        "isolators",
        "mount_points",
        "mounts",
        "name",
        "ports",
        "read_only_root",
        "stop_signal",
        "supplementary_gids",
        "user",
        "working_directory",
    )

    def __init__(self, runtime: dict[str, Any], image: dict[str, Any]) -> None:
        section = runtime.get("app") or image.get("app")
        self.name = app_name(runtime.get("name"), "an app")
        if not section:
            raise Stage1Error(f"app {self.name} has no app section, neither in the pod manifest nor in its image")
        self.image_name = str(image.get("name", ""))
        self.annotations = {pair["name"]: pair["value"] for pair in image.get("annotations") or ()}
        said = {pair["name"]: pair["value"] for pair in runtime.get("annotations") or ()}
        annotations = self.annotations | said
        self.image_volumes = frozenset(str(said.get(IMAGE_VOLUMES, "")).split())
        self.stop_signal = _stop_signal(self.name, str(annotations.get(STOP_SIGNAL, "TERM")))
        self.command = [str(word) for word in section.get("exec") or ()]
        self.user = str(section.get("user") or "0")
        self.group = str(section.get("group") or "0")
        gids = section.get("supplementaryGIDs") or section.get("supplementaryGids") or ()
        self.supplementary_gids = [int(gid) for gid in gids]
        self.working_directory = str(section.get("workingDirectory") or "/")
        self.environment = [(str(pair["name"]), str(pair["value"])) for pair in section.get("environment") or ()]
        self.mount_points: list[dict[str, Any]] = list(section.get("mountPoints") or ())
        self.mounts: list[dict[str, Any]] = list(runtime.get("mounts") or ())
        self.ports: list[dict[str, Any]] = list(section.get("ports") or ())
        self.isolators = [(str(pair["name"]), pair.get("value")) for pair in section.get("isolators") or ()]
        handlers = section.get("eventHandlers") or ()
        self.handlers = {str(pair["name"]): [str(word) for word in pair["exec"]] for pair in handlers}
        self.read_only_root = bool(runtime.get("readOnlyRootFS"))
        if not self.command:
            raise Stage1Error(f"app {self.name} has an empty exec")
        for name in self.handlers:
            if name not in HANDLERS:
                raise Stage1Error(f"app {self.name} has the unknown event handler {name!r}")


class Pod:
    """The whole pod: its apps in order, its volumes by name, its exposed ports and its annotations."""

    __slots__ = ("annotations", "apps", "isolators", "ports", "volumes")

    def __init__(self, manifest: dict[str, Any], images: dict[str, dict[str, Any]]) -> None:
        apps = manifest.get("apps") or []
        self.apps = [App(runtime, images[runtime["name"]]) for runtime in apps]
        self.volumes: dict[str, Volume] = {}
        for fields in manifest.get("volumes") or ():
            volume = Volume(fields)
            if volume.name in self.volumes:
                raise Stage1Error(f"duplicate volume name {volume.name!r}")
            self.volumes[volume.name] = volume
        self.ports: list[dict[str, Any]] = list(manifest.get("ports") or ())
        self.isolators = [(str(pair["name"]), pair.get("value")) for pair in manifest.get("isolators") or ()]
        self.annotations = {str(pair["name"]): str(pair["value"]) for pair in manifest.get("annotations") or ()}

    def grace(self) -> float:
        """Seconds between the request to end and the kill, at most a day. Raises Stage1Error."""
        text = self.annotations.get(GRACE, "10")
        try:
            return min(max(0.0, float(text)), _MOST_GRACE)
        except ValueError as error:
            raise Stage1Error(f"annotation {GRACE} is {text!r}, not a number of seconds") from error


def _stop_signal(app: str, text: str) -> int:
    """The signal that asks an app to end: a number, or a name as docker takes it (`SIGQUIT`, `quit`, `RTMIN+3`)."""
    number = _signal_number(text.upper().removeprefix("SIG"))
    if number not in signal.valid_signals():
        raise Stage1Error(f"app {app}: its stop signal {text[:40]!r} is no signal")
    return int(number)


def _signal_number(name: str) -> int:
    """0 where there is no such signal."""
    if not name.isascii() or len(name) > len("RTMIN+99"):
        return 0
    if name.isdecimal():
        return int(name)
    if name.startswith(("RTMIN", "RTMAX")):
        base, offset = getattr(signal, f"SIG{name[:5]}"), name[5:]
        return int(base + int(offset or 0)) if not offset or _is_signed(offset) else 0
    return int(getattr(signal, f"SIG{name}", 0)) if name.isalnum() else 0


def _is_signed(text: str) -> bool:
    return text[0] in "+-" and text[1:].isdecimal()


def app_name(value: object, what: str) -> str:
    """`value` as an AC Name, which is safe as a file name; Stage1Error when it is none (contract K.1)."""
    text = value if isinstance(value, str) else ""
    if not text or not _NAME_CHARACTERS.issuperset(text) or text[0] == "-" or text[-1] == "-":
        raise Stage1Error(f"{value!r} cannot be the name of {what}")
    return text


def load(pod_directory: str) -> Pod:
    """Read `<pod>/pod` and the image manifest of every app in it. Raises Stage1Error."""
    manifest = _read(os.path.join(pod_directory, "pod"))
    runtimes = manifest.get("apps") or []
    if not runtimes:
        raise Stage1Error("pod must contain at least one application")
    images: dict[str, dict[str, Any]] = {}
    try:
        for runtime in runtimes:
            name = app_name(runtime.get("name"), "an app")
            if name in images:
                raise Stage1Error(f"duplicate apps of name {name!r}")
            images[name] = _read(os.path.join(pod_directory, "stage1/rootfs/opt/stage2", name, "manifest"))
        return Pod(manifest, images)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Stage1Error(f"the pod manifest is malformed: {error!r}") from error


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            document = quickjson.loads(file.read().decode("utf-8", "surrogatepass"))
    except OSError as error:
        raise Stage1Error(f"cannot read the manifest {explain(error)}") from error
    except ValueError as error:
        raise Stage1Error(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise Stage1Error(f"{path} is not a JSON object")
    return document
