"""manifest: write the pod manifest, which is all that stage1 reads of the spec, and the markers of a prepared pod.

Reads the spec and the images' manifests. Leaves pod, overlay-prepared and private-users-prepared, and takes out what
apps that are no longer in the spec left. Fresh when the bytes on disk are those that would be written: the same spec
and images give the same bytes (canonical JSON).
"""

from __future__ import annotations

import json
from typing import Any

from stages.base import files
from stages.base.digest import canonical
from stages.base.verdict import Reason, Verdict, compare
from stages.pod import manifest
from stages.pod.context import Context


def verdict(context: Context) -> Verdict:
    """Compares what is on disk with what belongs there, field by field."""
    pod, document = context.pod, manifest.document(context)
    found = files.read_small(pod.manifest)
    if found is None:
        return Verdict.stale("the pod manifest is not written yet")
    return Verdict((*_changed(found, document), *_markers(context), *_left_over(context)))


def run(context: Context) -> dict[str, Any]:
    """Write them, the markers after the manifest. Raises PodError when the manifest breaks a rule of appc."""
    pod, document = context.pod, manifest.document(context)
    manifest.check(document)
    for app in _strangers(context):
        for path in (pod.record(f"app:{app}"), pod.app_info(app), pod.stage2(app)):
            files.discard(path, context.data.garbage)
    files.publish(pod.manifest, canonical(document), durable=False)
    _mark(context, pod.overlay_prepared, b"" if context.overlay else None)
    _mark(context, pod.private_users_prepared, context.private_users_text().encode() or None)
    apps = len(document["apps"])
    return {"did": f"{apps} app{'s' if apps != 1 else ''}"}


def clean(context: Context) -> None:
    """Take them out of the pod."""
    for path in (context.pod.manifest, context.pod.overlay_prepared, context.pod.private_users_prepared):
        files.discard(path, context.data.garbage)


def _changed(found: bytes, document: manifest.Document) -> tuple[Reason, ...]:
    if found == canonical(document):
        return ()
    # Python finds values equal that others do not, as 1 and true.
    return compare(_read(found), document, "pod manifest") or (Reason("the pod manifest is in other bytes"),)


def _read(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return "(damaged)"


def _markers(context: Context) -> list[Reason]:
    pod, reasons = context.pod, []
    if pod.overlay_prepared.exists() != context.overlay:
        reasons.append(Reason("overlay", str(not context.overlay).lower(), str(context.overlay).lower()))
    held = (files.read_small(pod.private_users_prepared) or b"").decode(errors="replace")
    if held != context.private_users_text():
        reasons.append(Reason("private users", held or "off", context.private_users_text() or "off"))
    return reasons


def _left_over(context: Context) -> list[Reason]:
    return [Reason(f"app {app} is no longer in the spec") for app in _strangers(context)]


def _strangers(context: Context) -> list[str]:
    """Apps that the pod directory knows and the spec does not."""
    return [path.name for path in files.listed(context.pod.appsinfo) if path.name not in context.app_names]


def _mark(context: Context, marker: Any, content: bytes | None) -> None:
    if content is None:
        files.discard(marker, context.data.garbage)
    else:
        # The range keeps others from it as long as files may have its owners.
        files.publish(marker, content, durable=bool(content))
