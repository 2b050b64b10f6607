"""From manifest to bundles: everything about each app is found out and written down before any of them starts."""

from __future__ import annotations

import os
import sys

from stages.stage1.crun import config, isolators, seccomp, staging
from stages.stage1.crun.runtime import control_group
from stages.stage1.crun.supervise import Task
from stages.stage1.lib import (
    accounts,
    capabilities,
    command,
    environment,
    init,
    quickjson,
    rootfiles,
    sockets,
    terminal,
    volumes,
)
from stages.stage1.lib.errors import Stage1Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from stages.stage1.crun.anchor import Anchor
    from stages.stage1.crun.cgroups import Layout
    from stages.stage1.crun.isolators import Host
    from stages.stage1.crun.runtime import Runtime
    from stages.stage1.lib.arguments import Arguments
    from stages.stage1.lib.manifest import App, Pod
    from stages.stage1.lib.sockets import Listener


class Setting:
    """What all apps of one run share."""

    __slots__ = (
        "anchor",
        "arguments",
        "host",
        "layout",
        "listeners",
        "metadata_url",
        "nameservers",
        "pod",
        "pod_directory",
        "runtime",
    )

    def __init__(
        self,
        arguments: Arguments,
        pod: Pod,
        pod_directory: str,
        runtime: Runtime,
        layout: Layout,
        anchor: Anchor,
    ) -> None:
        self.arguments = arguments
        self.pod = pod
        self.pod_directory = pod_directory
        self.runtime = runtime
        self.layout = layout
        self.host: Host = isolators.look(layout.controllers)
        self.anchor = anchor
        self.listeners: list[Listener] = []
        self.metadata_url = ""
        self.nameservers = b""

    @property
    def stage1_root(self) -> str:
        """The root of stage1's own image."""
        return os.path.join(self.pod_directory, "stage1/rootfs")

    @property
    def shift(self) -> int:
        """The first host id of the pod."""
        return self.arguments.private_users[0] if self.arguments.private_users else 0

    @property
    def cgroup(self) -> str:
        """The pod's control group, from the top of every hierarchy; "" where there is none."""
        if not self.layout.usable:
            return ""
        return control_group(self.layout.parent, self.pod_directory, self.arguments.uuid)


def write_bundles(setting: Setting, app: App, warn: Callable[[str], None]) -> Task:
    """Prepare `app`'s root and write the bundles of its parts. Raises Stage1Error."""
    root_path = os.path.join(setting.stage1_root, "opt/stage2", app.name, "rootfs")
    try:
        root = os.open(root_path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Stage1Error(f"app {app.name}: cannot open {root_path}: {error.strerror}") from error
    try:
        place = _placement(setting, app, root, root_path, warn)
        covered = rootfiles.covering([target for _, target, _ in place.volumes])
        rootfiles.write_defaults(root, setting.arguments, covered, setting.stage1_root, setting.nameservers)
        identity = _identity(setting, app, root, warn)
        search = dict(identity.variables)["PATH"]
        trouble = command.trouble(root, app.command[0], app.working_directory, search, covered)
    finally:
        os.close(root)
    environment.save(os.path.join(setting.stage1_root, "rkt/env", app.name), identity.variables)
    listeners = [one for one in setting.listeners if one.app == app.name]
    identity.variables = [*identity.variables, *sockets.variables(listeners)]
    configuration = config.build(app, identity, isolators.read(app, setting.host, warn), place)
    parts = _write_parts(setting, app, configuration)
    task = Task(app.name, parts, trouble, [one.handle for one in listeners])
    task.stop_signal = app.stop_signal
    return task


def _write_parts(setting: Setting, app: App, configuration: dict[str, Any]) -> list[tuple[str, str]]:
    parts: list[tuple[str, str]] = []
    for part in ("pre-start", "main", "post-stop"):
        container = app.name if part == "main" else f"{app.name}.{part}"
        if part == "main":
            _write_bundle(setting, container, configuration)
        elif part in app.handlers:
            cgroup = f"{setting.cgroup}/{container}" if setting.cgroup else ""
            _write_bundle(setting, container, config.for_handler(configuration, app.handlers[part], cgroup))
        else:
            continue
        parts.append((part, container))
    return parts


def _placement(setting: Setting, app: App, root: int, root_path: str, warn: Callable[[str], None]) -> config.Placement:
    join = {namespace: setting.anchor.path(namespace) for namespace in setting.anchor.held}
    cgroup = f"{setting.cgroup}/{app.name}" if setting.cgroup else ""
    if setting.arguments.private_users:
        root_path = staging.bind(root_path, f"{app.name}.root", recursive=True)
    if not setting.layout.usable:
        staging.without_devices(root_path)
    place = config.Placement(root_path, join, cgroup, setting.arguments.private_users)
    place.mask_paths = "disable-paths" not in setting.arguments.switches
    mounts = volumes.mounts_of(app, setting.pod, warn)
    if setting.arguments.private_users:
        volumes.check_owners(mounts, setting.arguments.private_users[1])
    for mount in rootfiles.place_mounts(app.name, root, mounts, setting.pod_directory, setting.shift):
        source = mount.source
        if place.private_users:
            source = staging.bind(source, f"{app.name}.volume{len(place.volumes)}", mount.recursive)
        place.volumes.append((source, mount.target, mount.options(setting.layout.usable)))
        if mount.device:
            place.devices.append(mount.device)
    rootfiles.fill_volumes(app, root, mounts, setting.pod_directory)
    return place


def _identity(setting: Setting, app: App, root: int, warn: Callable[[str], None]) -> config.Identity:
    account = accounts.of(app, root, setting.shift)
    switches = setting.arguments.switches
    interactive = "interactive" in switches and sys.stdin is not None and os.isatty(0)
    term = os.environ.get("TERM", "xterm") if interactive else "dumb"
    variables = environment.of(app, account, term, setting.metadata_url)
    identity = config.Identity(account, app.supplementary_gids, variables)
    restricted = "disable-capabilities-restriction" not in switches
    wanted = capabilities.wanted(app.name, app.isolators, restricted)
    # A user namespace starts with every capability, whatever the host's bounding set has lost.
    bounding = frozenset(capabilities.NAMES) if setting.arguments.private_users else setting.host.bounding
    if restricted and not setting.layout.usable:
        # Which devices an app may open is said by control groups alone: without them it shall not make any.
        bounding -= {"CAP_MKNOD"}
    identity.capabilities = capabilities.available(app.name, wanted, bounding, warn)
    if "disable-seccomp" not in switches:
        identity.seccomp = seccomp.profile(app.name, app.isolators, identity.capabilities, warn)
    identity.terminal = interactive
    identity.size = terminal.size(0) if interactive else {}
    return identity


def _write_bundle(setting: Setting, container: str, configuration: dict[str, Any]) -> None:
    bundle = setting.runtime.bundle(container)
    os.makedirs(bundle, mode=0o700)
    init.publish(os.path.join(bundle, "config.json"), quickjson.dumps(configuration))
