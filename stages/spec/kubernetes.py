"""What people who know Kubernetes or compose write in a spec and this has not: for each, what to write here instead."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from stages.spec.problems import Path

_CLUSTER = "that is for a cluster, and there is none: leave it out"
_FILES = "put the files into a directory of the host, and say `hostPath: {path: ...}`"
_PROBE = "nobody asks apps how they are; one that fails ends the pod"
_NO_ROOT = "say who it is, for example `runAsUser: 1000`"
_GROUP = "`emptyDir` has `gid` and `mode`, a hostPath keeps its owner, `supplementalGroups` gives apps further groups"
_HOOK = "let the app's command do it; `spec.terminationGracePeriodSeconds` says how long the end may take"
_NO_RESTART = "a pod ends with its apps; a systemd unit with Restart= and `doit run pod=NAME` starts it again"
_TERMINAL = "the terminal is the app's with `stage0: {interactive: true}`"
_TEMPLATE = "a pod is what stands in `spec.template`, with `apiVersion: v1` and `kind: Pod`"
_LOCALHOST = (
    "leave the profile out, and name the system calls in "
    "`stage0.apps.NAME.isolators: [{name: os/linux/seccomp-retain-set, value: {set: [...]}}]`"
)
_PRIVILEGED = (
    "leave it out, or say what is needed: `capabilities: {add: [ALL]}`, `seccompProfile: {type: Unconfined}`, "
    "devices as hostPath volumes"
)

_STAGE0 = dict.fromkeys("stage1 net privateUsers overlay inheritEnv".split(), "it belongs into `stage0`, beside `spec`")

FIELDS = {
    "": {
        **dict.fromkeys("containers volumes hostname restartPolicy".split(), "it belongs into `spec`: indent it"),
        **_STAGE0,
        "status": "that is what a cluster tells of a pod: leave it out",
        "version": "a compose file has one, a pod has `apiVersion: v1`",
        "services": "a compose file is none; a service is an element of `spec.containers`",
    },
    "metadata": {
        "namespace": "names are the project's: leave it out",
        "generateName": "every pod has its own `name` and `uid`",
        **dict.fromkeys(("creationTimestamp", "ownerReferences", "resourceVersion", "managedFields"), _CLUSTER),
    },
    "spec": {
        **_STAGE0,
        **dict.fromkeys(("template", "replicas", "selector", "strategy"), _TEMPLATE),
        "hostNetwork": "the host's network is `stage0: {net: [host]}`",
        "hostPID": "apps see the pod's processes only; `stage0: {stage1: fly}` runs one app in the host's namespaces",
        "hostIPC": "`stage0: {stage1: fly}` runs one app in the host's namespaces",
        "hostUsers": "`stage0: {privateUsers: auto}` gives the pod user ids of its own",
        "shareProcessNamespace": "the apps of a pod share one already: leave it out",
        "initContainers": "apps start together: what comes first is a pod of its own, or begins an app's command",
        "ephemeralContainers": "`doit enter pod=NAME` runs a command in an app",
        "imagePullSecrets": "passwords of registries are kept by `skopeo login HOST`",
        "runtimeClassName": "what runs the pod is `stage0: {stage1: ...}`",
        "dnsPolicy": "apps have the host's resolv.conf where the image has none; a file mounted there is taken instead",
        "dnsConfig": "apps have the host's resolv.conf where the image has none; a file mounted there is taken instead",
        "hostAliases": "mount a file of the host at /etc/hosts",
        "activeDeadlineSeconds": "`timeout 60 doit run pod=NAME` ends the pod after a minute",
        **dict.fromkeys(
            "serviceAccountName serviceAccount automountServiceAccountToken nodeSelector nodeName affinity tolerations "
            "priority priorityClassName schedulerName topologySpreadConstraints enableServiceLinks subdomain "
            "setHostnameAsFQDN readinessGates preemptionPolicy overhead schedulingGates".split(),
            _CLUSTER,
        ),
    },
    "spec.securityContext": {
        "fsGroup": _GROUP,
        "fsGroupChangePolicy": _GROUP,
        "runAsNonRoot": _NO_ROOT,
        "sysctls": "an app has them as `os/unix/sysctl` in `stage0.apps.NAME.isolators`",
        "seLinuxOptions": "an app has them as `os/linux/selinux-context` in `stage0.apps.NAME.isolators`",
    },
    "spec.volumes": dict.fromkeys(
        "configMap secret projected downwardAPI persistentVolumeClaim nfs csi ephemeral image".split(), _FILES
    ),
    "spec.volumes.emptyDir": {
        "medium": "an emptyDir is on the host's disk; what must be in memory has /dev/shm",
        "sizeLimit": "an emptyDir has the room that the host's disk has",
    },
    "spec.containers": {
        "envFrom": "name the variables in `env`, or for all apps in `stage0.env`",
        "lifecycle": _HOOK,
        "livenessProbe": _PROBE,
        "readinessProbe": _PROBE,
        "startupProbe": _PROBE,
        "restartPolicy": _NO_RESTART,
        "restart": _NO_RESTART,
        "stdin": _TERMINAL,
        "stdinOnce": _TERMINAL,
        "tty": _TERMINAL,
        "volumeDevices": "a device is a volume too: `hostPath: {path: /dev/...}`, mounted where the app looks for it",
        "devices": "a device is a volume: `hostPath: {path: /dev/...}`, mounted where the app looks for it",
        "privileged": f"in `securityContext` {_PRIVILEGED}",
        "environment": "did you mean 'env'?",
        "entrypoint": "did you mean 'command'?",
        "user": "did you mean 'securityContext: {runAsUser: ...}'?",
        "cap_add": "did you mean 'securityContext: {capabilities: {add: [...]}}'?",
        "cap_drop": "did you mean 'securityContext: {capabilities: {drop: [...]}}'?",
        "mem_limit": "did you mean 'resources: {limits: {memory: ...}}'?",
        "pids_limit": "did you mean 'resources: {limits: {pids: ...}}'?",
        "cpus": "did you mean 'resources: {limits: {cpu: ...}}'?",
        "read_only": "did you mean 'securityContext: {readOnlyRootFilesystem: true}'?",
        "container_name": "did you mean 'name'?",
        "hostname": "the pod has one for all its apps: `spec.hostname`",
        "labels": "the pod has them: `metadata.labels`",
        "group_add": "did you mean `spec.securityContext.supplementalGroups`?",
        "platform": "did you mean `stage0.apps.NAME.platform`?",
        "stop_grace_period": "did you mean `spec.terminationGracePeriodSeconds`?",
        "stop_signal": "it is `podwright/stop-signal` in `stage0.apps.NAME.annotations`",
        "sysctls": "an app has them as `os/unix/sysctl` in `stage0.apps.NAME.isolators`",
        "healthcheck": _PROBE,
        "tmpfs": "an emptyDir of `spec.volumes` is empty when the pod starts",
        "logging": "what apps write goes to the streams of `doit run`: leave it out",
        **dict.fromkeys(("env_file", "environments"), "name the variables in `env`, or for all apps in `stage0.env`"),
        **dict.fromkeys(
            ("network_mode", "networks"), "the pod has the networks, for all its apps: `stage0: {net: [...]}`"
        ),
        **dict.fromkeys(("expose", "links"), "the apps of a pod share its network: leave it out"),
        **dict.fromkeys(("secrets", "configs"), "a file of the host is a volume: `hostPath: {path: ...}`"),
        "build": "images are not built here; `dir:DIR` takes a root file system as it is",
        "depends_on": "apps start together: let the one that needs another wait for it",
        "terminationMessagePath": _CLUSTER,
        "terminationMessagePolicy": _CLUSTER,
    },
    "spec.containers.resources": {one: f"did you mean 'limits: {{{one}: ...}}'?" for one in ("cpu", "memory", "pids")},
    "spec.containers.env": {
        "valueFrom": "write the value; `stage0: {inheritEnv: true}` gives apps the variables that doit has",
    },
    "spec.containers.volumeMounts": {
        "subPath": "make it a volume of its own, whose hostPath is that directory or file",
        "subPathExpr": "make it a volume of its own, whose hostPath is that directory or file",
        "mountPropagation": "what the host mounts below a volume comes to the app, and nothing goes back: leave it out",
        "recursiveReadOnly": "`readOnly: true` holds for what is mounted below, too",
    },
    "spec.containers.securityContext": {
        "privileged": _PRIVILEGED,
        "runAsNonRoot": _NO_ROOT,
        "fsGroup": _GROUP,
        "seLinuxOptions": "it is `os/linux/selinux-context` in `stage0.apps.NAME.isolators`",
    },
    "spec.securityContext.seccompProfile": {"localhostProfile": _LOCALHOST},
    "spec.containers.securityContext.seccompProfile": {"localhostProfile": _LOCALHOST},
}

_VALUES = {
    **{("kind", one): _TEMPLATE for one in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")},
    ("restartPolicy", "Always"): _NO_RESTART,
    ("restartPolicy", "OnFailure"): _NO_RESTART,
    ("type", "DirectoryOrCreate"): "nothing is created on the host: make the directory, and say Directory",
    ("type", "FileOrCreate"): "nothing is created on the host: make the file, and say File",
    ("type", "Localhost"): _LOCALHOST,
}
# [[IP:]HOST:]CONTAINER[/PROTOCOL]
_PORT = r"(?:(?:(\d+\.\d+\.\d+\.\d+):)?(\d+):)?(\d+)(?:/(tcp|udp))?"
_SHELL = re.compile(r"[|&;<>$`*?]")


def field(path: Path, name: str) -> str:
    """The hint for the field `name` that the mapping at `path` cannot have, or ""."""
    place = ".".join(step for step in path if isinstance(step, str))
    return FIELDS.get(place, {}).get(name, "")


def value(path: Path, written: Any) -> str:
    """The hint for a value that the field at `path` cannot have, or ""."""
    if not path or not isinstance(written, str):
        return ""
    if path[-1] in ("path", "mountPath", "workingDir") and not written.startswith("/"):
        return "write the whole path, from / on; nothing is expanded"
    amount = path[-1] == "memory" and re.fullmatch(r"([0-9.]+) ?([kmgt])i?b?", written, re.IGNORECASE)
    if amount:  # docker's, of 1024 each
        return f"did you mean '{amount[1]}{amount[2].upper()}i'?"
    return _VALUES.get((str(path[-1]), written), "")


def shape(path: Path, written: Any) -> str:
    """The hint for a value at `path` that is no list or no mapping, as compose writes many; or ""."""
    last = next((step for step in reversed(path) if isinstance(step, str)), "")
    if path and isinstance(path[-1], int):
        return _item(last, written)
    if last in ("command", "args") and isinstance(written, str):
        return f"write {json.dumps(_command(last, written), ensure_ascii=False)}"
    if last == "env" and isinstance(written, dict):
        return "write [{name: NAME, value: VALUE}]; `stage0.env` is a mapping, for all apps"
    if last in ("runAsUser", "runAsGroup") and isinstance(written, str) and not written.isdecimal():
        return f"a name is written into `stage0.apps.NAME.{last.removeprefix('runAs').lower()}`"
    if last in ("add", "drop", "net", "dependencies") and isinstance(written, str):
        return f"write [{written}]"
    if last == "capabilities" and isinstance(written, list):
        return f"write {{add: [{', '.join(map(str, written))}]}}"
    if last == "hostPath" and isinstance(written, str):
        return f"write {{path: {written}}}"
    if last in ("containers", "volumes", "volumeMounts", "ports") and isinstance(written, dict):
        return "each element begins with `- `"
    return ""


def _command(last: str, written: str) -> list[str]:
    if last == "command" and _SHELL.search(written):
        return ["/bin/sh", "-c", written]
    try:
        return shlex.split(written)
    except ValueError:  # a quote is open
        return [written]


def _item(last: str, written: Any) -> str:
    if last == "env" and isinstance(written, str) and "=" in written:
        name, _, what = written.partition("=")
        return f"write {{name: {name}, value: {json.dumps(what, ensure_ascii=False)}}}"
    number = re.fullmatch(_PORT, str(written)) if last == "ports" else None
    if number:
        more = {"hostPort": number[2], "hostIP": number[1], "protocol": number[4] and number[4].upper()}
        said = "".join(f", {name}: {value}" for name, value in more.items() if value)
        return f"write {{containerPort: {number[3]}{said}}}"
    if last == "volumes":
        return "write {name: VOLUME, hostPath: {path: PATH}}, and where it is in the app into its volumeMounts"
    if last == "volumeMounts":
        return "write {name: VOLUME, mountPath: PATH}, and the volume into spec.volumes"
    return ""
