"""A ready pod manifest, which a spec names instead of containers (contract A.6): what the graph needs of it."""

from __future__ import annotations

from typing import Any

from stages.base import strictjson
from stages.base.errors import PodError


def read(data: bytes, where: str) -> dict[str, Any]:
    """The manifest, if its apps have names and image ids. where: its file, for messages. Raises PodError."""
    from stages.spec import names

    try:
        found = strictjson.loads(data)
    except ValueError as error:
        raise PodError(f"{where} is not a pod manifest: {error}", reason="ready-manifest") from error
    apps = found.get("apps", "") if isinstance(found, dict) else ""
    if not isinstance(apps, list | None) or not all(isinstance(app, dict) for app in apps or ()):
        raise PodError(f"{where} is not a pod manifest: it has no list of apps", reason="ready-manifest")
    if not apps:
        raise PodError(f"{where}: pod must contain at least one application", reason="no-apps")
    seen: set[str] = set()
    for app in apps:
        name, image = app.get("name"), app.get("image")
        if not isinstance(name, str) or not names.is_name(name):
            raise PodError(f"{where}: {name!r} is not an app name", reason="app-name")
        if name in names.RESERVED:
            hint = "choose another name for the app"
            raise PodError(f"{where}: the app name {name} is taken, tasks use it", hint=hint, reason="app-name")
        image_id = image.get("id") if isinstance(image, dict) else None
        if not image_id or not isinstance(image_id, str):
            raise PodError(f'{where}: no image ID for app "{name}"', reason="no-image-id")
        if name in seen:
            raise PodError(f"{where}: multiple apps with same name {name}", reason="twice")
        seen.add(name)
    return dict(found)
