"""The pod manifest: generated from the spec and the images (contract A.2 to A.5), or a ready one taken over (A.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stages.base.errors import PodError
from stages.pod import app_section
from stages.spec.model import EmptyDir, HostPath, PodSpec, Port, Volume

if TYPE_CHECKING:
    from stages.pod.context import Context

# The version of appc's spec that is written down here.
AC_VERSION = "0.8.11"
GRACE_ANNOTATION = "podwright/termination-grace-seconds"

Document = dict[str, Any]


def document(context: Context) -> Document:
    """The pod manifest that belongs to the spec and the images as they are stored.

    Raises PodError for an app without anything to execute, ImageError when an image is not stored.
    """
    return _ready(context) if context.ready else _generated(context)


def check(manifest: Document) -> None:
    """Raise PodError when the manifest breaks a rule of appc."""
    from stages.spec import document as schemas

    if problems := schemas.check("pod-manifest", manifest, "pod manifest"):
        raise PodError(f"the pod manifest is not valid: {'; '.join(problems[:5])}", reason="pod-manifest")
    volumes = {volume["name"] for volume in manifest.get("volumes") or ()}
    for app in manifest["apps"]:
        for mount in app.get("mounts") or ():
            if mount["volume"] not in volumes and not mount.get("appVolume"):
                raise PodError(
                    f"the pod manifest is not valid: app {app['name']} mounts the volume {mount['volume']!r},"
                    " which is not among the volumes",
                    reason="no-volume",
                )


def _ready(context: Context) -> Document:
    """The user's manifest, normalised: whole image ids, and an app section for every app."""
    manifest = dict(context.ready or {})
    apps = []
    for app in manifest["apps"]:
        image_id = context.image_id(app["name"])
        if not app.get("app") and context.images.manifest(image_id).app is None:
            raise PodError(
                f"no app section in the pod manifest or the image manifest of {app['name']}", reason="no-app-section"
            )
        apps.append({**app, "image": {**app["image"], "id": context.images.appc_id(image_id)}})
    return {"acVersion": AC_VERSION, "acKind": "PodManifest", **manifest, "apps": apps}


def _generated(context: Context) -> Document:
    spec = context.spec
    volumes = [_volume(one) for one in spec.volumes]
    apps = []
    for app in spec.apps:
        image_id = context.image_id(app.name)
        image = context.images.manifest(image_id)
        taken = {volume["name"] for volume in volumes}
        made, implied = app_section.runtime_app(spec, app, image_id, image, context.environment, taken)
        made["image"]["id"] = context.images.appc_id(image_id)
        apps.append(made)
        volumes += implied
    _tell_read_only(volumes, apps)
    generated: Document = {"acVersion": AC_VERSION, "acKind": "PodManifest", "apps": apps}
    exposed = [_exposed(port) for app in spec.apps for port in app.ports if port.host_port is not None]
    optional = {"volumes": volumes, "ports": exposed, "annotations": _annotations(spec)}
    optional |= {"userAnnotations": dict(spec.annotations), "userLabels": dict(spec.labels)}
    return generated | {key: value for key, value in optional.items() if value}


def _tell_read_only(volumes: list[Document], apps: list[Document]) -> None:
    """Say of a volume itself that it is read-only where every app has it so.

    rkt's fly asks the volume and the image, never the mount points of the pod manifest: it would let the app write.
    """
    points = [point for app in apps for point in app["app"].get("mountPoints", ())]
    for volume in volumes:
        flags = [point.get("readOnly", False) for point in points if point["name"] == volume["name"]]
        if flags and all(flags):
            volume["readOnly"] = True


def _exposed(port: Port) -> Document:
    """A port of the host, and where it leads: by its name alone it could be one of the image of another app, too."""
    target = {"name": port.name, "port": port.port, "protocol": port.protocol.value}
    made: Document = {"name": port.name, "hostPort": port.host_port, "podPort": target}
    return made | ({"hostIP": port.host_ip} if port.host_ip else {})


def _annotations(spec: PodSpec) -> list[Mapping[str, str]]:
    if spec.termination_grace is None:
        return []
    return [{"name": GRACE_ANNOTATION, "value": str(spec.termination_grace)}]


def _volume(volume: Volume) -> Document:
    match volume.source:
        case HostPath(path, _, recursive):
            return {"name": volume.name, "kind": "host", "source": path, "recursive": recursive}
        case EmptyDir(mode, uid, gid):
            return {"name": volume.name, "kind": "empty", "mode": f"{mode:04o}", "uid": uid, "gid": gid}
