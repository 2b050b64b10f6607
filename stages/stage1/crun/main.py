"""The init of a pod: sets the scene, runs the apps, cleans up. It is what stage0 becomes."""

from __future__ import annotations

import os
import stat

from stages.stage1.crun import anchor, cgroups, delegation, leftovers, netconf, network, runtime, staging, streams
from stages.stage1.lib import arguments, init, manifest, syscalls
from stages.stage1.lib.errors import Stage1Error
from stages.stage1.lib.signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

    from stages.stage1.crun import plan

METADATA_PORT = 18112  # contract B.3


def main(argv: list[str]) -> int:
    """The `run` entrypoint (contract H.3): `argv` without the program's name, cwd is the pod; returns the exit code."""
    return init.guarded(lambda: _run(arguments.parse(argv), os.getcwd()))


def _run(options: arguments.Arguments, pod_directory: str) -> int:
    signals = init.block_signals()
    init.keep_lock()
    # The caller's may let others write to what is made here and in /run, by network plugins too, or keep the pod's own
    # users from it. Apps have the runtime's.
    os.umask(0o022)
    pod = manifest.load(pod_directory)
    _check(options, pod)
    syscalls.become_subreaper()
    ended = os.path.join(pod_directory, init.ENDED)
    init.forget(ended)
    leftovers.sweep(pod_directory, options.uuid)
    code = _run_swept(options, pod, pod_directory, signals)
    # Everything is swept away again, without an error: gc would find nothing.
    if not os.path.lexists(os.path.join(pod_directory, network.RECORD)):
        init.publish(ended, "")
    return code


def _run_swept(
    options: arguments.Arguments, pod: manifest.Pod, pod_directory: str, signals: set[signal.Signals]
) -> int:
    owners = streams.owners()
    program = runtime.find(dict(os.environ))
    layout = cgroups.look(runtime.kind(program))
    layout.parent = delegation.settle(layout)
    oci = runtime.Runtime(program, pod_directory, layout.usable)
    _own_mount_namespace(options, layout)
    empty = os.path.join(pod_directory, runtime.RUN_DIRECTORY, "empty")
    os.makedirs(empty, mode=0o711)
    holder: anchor.Anchor | None = None
    try:
        runtime.remember(oci, layout)
        holder = anchor.begin(_held(options), options.hostname, options.private_users, empty)
        # While the kernel makes the namespaces, Python loads what the apps need.
        from stages.stage1.crun import plan
        from stages.stage1.lib import sockets

        setting = plan.Setting(options, pod, pod_directory, oci, layout, holder)
        setting.listeners = sockets.assign(pod, sockets.taken_over(os.environ), init.say)
        holder.ready()
        leftovers.note_anchor(pod_directory, holder.pid)
        if not (options.host_network or options.no_network):
            return _run_connected(setting, signals)
        if options.host_network:
            _use_network(setting, "127.0.0.1", b"")
        return _run_apps(setting, signals)
    finally:
        if holder:
            holder.end()
        streams.give_back(owners)
        leftovers.sweep(pod_directory, options.uuid, "; the next run tries it again, and gc")


def _run_connected(setting: plan.Setting, signals: set[signal.Signals]) -> int:
    """Run the apps with the pod's network namespace connected, which needs it to outlive them."""
    from stages.stage1.crun import nameservers
    from stages.stage1.lib import hostports

    with open(setting.anchor.path("network"), "rb") as namespace:
        path = f"/proc/{os.getpid()}/fd/{namespace.fileno()}"
        held: list[socket] = []
        try:
            # To a port whose socket the caller has passed nothing of the host's is forwarded.
            served = frozenset(one.name for one in setting.listeners if one.handle >= 0)
            mappings = netconf.port_mappings(setting.pod, served)
            held = hostports.taken(mappings)
            connection = network.set_up(setting.arguments, mappings, setting.pod_directory, path)
            _use_network(setting, connection.gateway, connection.nameservers or nameservers.of_host())
            return _run_apps(setting, signals)
        finally:
            setting.anchor.end()
            # What fails now is tried once more, and told, by the sweep.
            network.tear_down(setting.pod_directory, setting.arguments.uuid, path)
            for one in held:
                one.close()


def _use_network(setting: plan.Setting, gateway: str, nameservers: bytes) -> None:
    setting.nameservers = nameservers
    if setting.arguments.mds_token and gateway:
        setting.metadata_url = f"http://{gateway}:{METADATA_PORT}/{setting.arguments.mds_token}"


def _run_apps(setting: plan.Setting, signals: set[signal.Signals]) -> int:
    from stages.stage1.crun import plan, supervise
    from stages.stage1.lib import sockets

    sockets.open_missing(setting.listeners, "" if setting.arguments.host_network else setting.anchor.path("network"))
    tasks = [plan.write_bundles(setting, app, init.say) for app in setting.pod.apps]
    for name in setting.pod.isolators:
        init.say(f"the pod's isolator {name[0]} is not applied: only isolators of apps are")
    status_directory = os.path.join(setting.stage1_root, "rkt/status")
    for app in setting.pod.apps:
        init.forget(os.path.join(status_directory, app.name))
    _write_pid(setting)
    supervisor = supervise.Supervisor(setting.runtime, setting.anchor, status_directory, init.say)
    supervisor.grace = setting.pod.grace()
    return supervisor.run(tasks, signals, _stdin(setting.arguments))


def _check(options: arguments.Arguments, pod: manifest.Pod) -> None:
    if "mutable" in options.switches:
        raise Stage1Error("mutable pods are not supported")
    if "interactive" in options.switches and len(pod.apps) > 1:
        raise Stage1Error("an interactive pod can have one app only")


def _held(options: arguments.Arguments) -> tuple[str, ...]:
    held = ["pid", "uts"]
    if options.private_users:
        held.append("user")
    if not options.host_network:
        held.append("network")
    if options.ipc != "parent":
        held.append("ipc")
    return tuple(held)


def _own_mount_namespace(options: arguments.Arguments, layout: cgroups.Layout) -> None:
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", "none", syscalls.MS_SLAVE | syscalls.MS_REC)
    for path in layout.hide:
        syscalls.unmount(path)
    if options.private_users:
        staging.prepare()
        streams.take_own_null()


def _write_pid(setting: plan.Setting) -> None:
    """`subcgroup` has to be there before `pid` says that the pod runs (contract H.3)."""
    for name, content in (("subcgroup", setting.cgroup), ("pid", str(os.getpid()))):
        if content:
            init.publish(os.path.join(setting.pod_directory, name), content)


def _stdin(options: arguments.Arguments) -> int:
    """The caller's stdin; but a terminal is for interactive pods only (L.1, rkt_interactive)."""
    try:
        terminal = stat.S_ISCHR(os.fstat(0).st_mode) and os.isatty(0)
    except OSError:
        terminal = True
    if terminal and "interactive" not in options.switches:
        return os.open(os.devnull, os.O_RDONLY)
    return 0
