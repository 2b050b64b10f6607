"""An OCI configuration as an appc image manifest: what the rest of podwright, and any stage1, reads of the image."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterable
from typing import Any

from stages.base.digest import canonical
from stages.base.errors import ImageError
from stages.images import accounts, platform
from stages.images.manifest import ENTRYPOINT
from stages.images.oci import Config
from stages.spec import names

# By the names that rkt's own converter gave them; how command and args replace one or both depends on the split.
CMD = "appc.io/docker/cmd"
STOP_SIGNAL = "podwright/stop-signal"

# The number of the rules by which all of this module, accounts, contents and platform translate. Who changes what
# comes out raises it: images that are stored already are translated again then (images/translation.py).
RULES = 3
TRANSLATION = "podwright/translation"

_AC_VERSION = "0.8.11"
_LONGEST_NAME = 150  # it becomes a directory's, with the app's before it
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/([a-z]+))?\Z")
# The first three have a form that appc gives them, the others are ours.
_RESERVED = ("created", "homepage", "documentation", ENTRYPOINT, CMD, STOP_SIGNAL, TRANSLATION)

Section = dict[str, Any]


def manifest(
    config: Config, name: str, version: str, read: Callable[[bytes], bytes], warn: Callable[[str], None]
) -> bytes:
    """The appc manifest of an image, canonical JSON.

    name, version: what the image is called, from the reference; version "" for none. read: the content of a file of
    the image by its path, b"" if there is none. warn: told what appc has no room for. Raises ImageError for a
    configuration whose fields are not what they should be.
    """
    process = _Process(config.process)
    labels = {"arch": platform.appc_arch(config.platform), "os": config.platform.os}
    if version:
        labels["version"] = version
    document: Section = {
        "acKind": "ImageManifest",
        "acVersion": _AC_VERSION,
        "name": names.sanitise_identifier(name),
        "labels": _listed(labels),
        "app": _app(process, read, warn),
        "annotations": [*_listed(_annotations(process)), _rules()],
    }
    return canonical(document)


def is_current(appc: bytes) -> bool:
    """Whether a manifest was made here, by today's rules: it says so in one piece, which no other text in it can be."""
    return canonical(_rules()).rstrip() in appc


def _rules() -> dict[str, str]:
    return {"name": TRANSLATION, "value": str(RULES)}


class _Process:
    """The `config` object, read field by field, each checked."""

    def __init__(self, fields: Section) -> None:
        self.fields = fields

    def text(self, key: str) -> str:
        found = str(self._typed(key, str, ""))
        if "\0" in found:
            raise _wrong(key)
        return found

    def texts(self, key: str) -> list[str]:
        found: list[Any] = self._typed(key, list, [])
        if not all(isinstance(one, str) and "\0" not in one for one in found):
            raise _wrong(key)
        return found

    def mapping(self, key: str) -> Section:
        found: Section = self._typed(key, dict, {})
        return found

    def _typed(self, key: str, kind: type, default: Any) -> Any:
        found = self.fields.get(key)
        if not isinstance(found, kind | None):
            raise _wrong(key)
        return default if found is None else found


def _app(process: _Process, read: Callable[[bytes], bytes], warn: Callable[[str], None]) -> Section:
    who = accounts.account(process.text("User"), read)
    section: Section = {
        "exec": [*process.texts("Entrypoint"), *process.texts("Cmd")],
        "user": who.user,
        "group": who.group,
        "supplementaryGIDs": list(who.supplementary),
        "environment": _listed(_environment(process.texts("Env"), warn)),
        "mountPoints": _mount_points(process.mapping("Volumes")),
        "ports": _ports(process.mapping("ExposedPorts")),
    }
    if directory := process.text("WorkingDir"):
        section["workingDirectory"] = posixpath.normpath("/" + directory.lstrip("/"))
    return {key: value for key, value in section.items() if value or key == "exec"}


def _environment(words: Iterable[str], warn: Callable[[str], None]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals and names.is_variable(name):
            found[name] = value
        else:
            warn(f"the image's variable {word[:40]!r} has no name that appc allows; it is left out")
    return found


def _mount_points(volumes: Iterable[str]) -> list[Section]:
    """One for every path; of paths that would have the same name the later ones get a number."""
    found: dict[str, str] = {}
    for clean in sorted({posixpath.normpath("/" + path.lstrip("/")) for path in volumes}):
        if clean == "/" or "\0" in clean:
            raise _wrong("Volumes")
        name = wish = names.sanitise_name(f"volume{clean}"[:_LONGEST_NAME])
        number = 2
        while name in found:
            name, number = f"{wish}-{number}", number + 1
        found[name] = clean
    return [{"name": name, "path": path} for name, path in found.items()]


def _ports(texts: Iterable[str]) -> list[Section]:
    """One for every port and protocol, however often it is said."""
    found = {port["name"]: port for port in map(_port, sorted(texts))}
    return list(found.values())


def _port(text: str) -> Section:
    """OCI knows PORT and PORT/PROTOCOL; podman and buildah write what EXPOSE says, ranges and capitals too."""
    match = _PORT.match(text.lower())
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if match is None or not 0 < first <= last < 65536:
        raise ImageError(f"the configuration exposes {text!r}, which is no port", reason="config")
    protocol = match[3] or "tcp"
    port = {"name": f"{protocol}-{first}", "protocol": protocol, "port": first}
    return port if first == last else {**port, "name": f"{protocol}-{first}-{last}", "count": last - first + 1}


def _annotations(process: _Process) -> dict[str, str]:
    """The image's labels under names that appc allows, and what has no field in appc."""
    found = {}
    for key, value in sorted(process.mapping("Labels").items()):
        if not isinstance(value, str):
            raise _wrong("Labels")
        if re.search(r"[A-Za-z0-9]", key) and (name := names.sanitise_identifier(key)) not in _RESERVED:
            found[name] = value
    found[ENTRYPOINT] = json.dumps(process.texts("Entrypoint"), ensure_ascii=False)
    found[CMD] = json.dumps(process.texts("Cmd"), ensure_ascii=False)
    if signal := process.text("StopSignal"):
        found[STOP_SIGNAL] = signal
    return found


def _listed(pairs: dict[str, str]) -> list[Section]:
    return [{"name": name, "value": value} for name, value in pairs.items()]


def _wrong(key: str) -> ImageError:
    return ImageError(f"the configuration's {key} is not what OCI says it is", reason="config")
