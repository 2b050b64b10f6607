"""A pod's spec as frozen records: what the rest of the program knows of the YAML.

Mappings are sorted tuples of pairs, lists are tuples, and a choice is a class that carries its data. All are named
tuples: every run imports this module.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from stages.base.records import NamedTuple

Pairs = tuple[tuple[str, str], ...]

ALL = "ALL"
# Isolators of which an app has at most one (contract K.5), and two names of one thing.
EXCLUSIVE = (
    ("os/linux/capabilities-retain-set", "os/linux/capabilities-remove-set"),
    ("os/linux/seccomp-retain-set", "os/linux/seccomp-remove-set"),
    ("resource/pids", "os/linux/pids-limit"),
)


class PathType(Enum):
    """What a host path must be when the pod starts."""

    ANY = ""
    DIRECTORY = "Directory"
    FILE = "File"


class Protocol(Enum):
    """A port's transport, as appc spells it."""

    TCP = "tcp"
    UDP = "udp"


class PullPolicy(Enum):
    """When a registry is asked (Kubernetes' imagePullPolicy). A digest that is stored is never asked for."""

    IF_NOT_PRESENT = "IfNotPresent"
    ALWAYS = "Always"
    NEVER = "Never"


class Signatures(Enum):
    """What becomes of an appc image that nobody trusted has signed: refused, told of, taken."""

    REQUIRE = "require"
    WARN = "warn"
    OFF = "off"


class Seccomp(Enum):
    """Which filter of system calls an app gets: stage1's own, none."""

    RUNTIME_DEFAULT = "RuntimeDefault"
    UNCONFINED = "Unconfined"


class OverlayMode(Enum):
    """Whether trees are put into the pod by overlay mounts: where the kernel can, always, never."""

    AUTO = "auto"
    TRUE = "true"
    FALSE = "false"


class HostPath(NamedTuple):
    """A volume that is a file or directory of the host. recursive: with the mounts below it (appc, contract F.3)."""

    path: str
    type: PathType = PathType.ANY
    recursive: bool = True


class EmptyDir(NamedTuple):
    """A volume that begins empty. mode: permission bits of its root; uid, gid: its owner (contract F.3)."""

    mode: int = 0o755
    uid: int = 0
    gid: int = 0


class Volume(NamedTuple):
    """A volume of the pod."""

    name: str
    source: HostPath | EmptyDir


class Mount(NamedTuple):
    """A volume in an app. path: absolute, inside the app's root, without `.`, `..` and empty parts."""

    volume: str
    path: str
    read_only: bool = False


class Port(NamedTuple):
    """A port of an app. host_port: where the host forwards from, or None; host_ip: "" for every address.

    socket_activated: the app gets a socket that listens there (sd_listen_fds(3)).
    """

    name: str
    port: int
    protocol: Protocol = Protocol.TCP
    host_port: int | None = None
    host_ip: str = ""
    socket_activated: bool = False


class Env(NamedTuple):
    """An environment variable."""

    name: str
    value: str


class Resources(NamedTuple):
    """What an app asks for and may use: cpu in thousandths of a core, memory in bytes, processes; None: not said."""

    cpu_request: int | None = None
    cpu_limit: int | None = None
    memory_request: int | None = None
    memory_limit: int | None = None
    pids_limit: int | None = None


class Capabilities(NamedTuple):
    """A change to the default capabilities; names as CAP_CHOWN, sorted, or ALL alone."""

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()

    def applied(self, default: frozenset[str], every: frozenset[str]) -> frozenset[str]:
        """The set that results: what is dropped goes first, then what is added comes, as in Kubernetes."""
        kept = frozenset[str]() if self.drop == (ALL,) else default - set(self.drop)
        return every if self.add == (ALL,) else kept | set(self.add)


class Security(NamedTuple):
    """Who an app is and what it may. None (and False for no_new_privileges): what the image says holds.

    user, group: a number, a name, or an absolute path whose owner counts (contract K.3).
    """

    user: str | None = None
    group: str | None = None
    supplementary_gids: tuple[int, ...] | None = None
    capabilities: Capabilities | None = None
    read_only_root: bool = False
    no_new_privileges: bool = False
    seccomp: Seccomp | None = None


class Isolator(NamedTuple):
    """An appc isolator as it goes into the manifest. value: canonical JSON, one line."""

    name: str
    value: str


class App(NamedTuple):
    """One app of the pod.

    command: replaces the image's exec, or None. args: appended to it. working_dir: absolute, or None for the image's.
    platform: os/architecture[/variant] of the image, "" for the host's.
    """

    name: str
    image: str
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] = ()
    env: tuple[Env, ...] = ()
    working_dir: str | None = None
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    resources: Resources = Resources()
    security: Security = Security()
    isolators: tuple[Isolator, ...] = ()
    annotations: Pairs = ()
    pull: PullPolicy = PullPolicy.IF_NOT_PRESENT
    platform: str = ""


class Users(Enum):
    """No user namespace, or one with a free range of ids, which the pod keeps."""

    OFF = "off"
    AUTO = "auto"


class Range(NamedTuple):
    """A user namespace whose id 0 is the host's `shift`, with `size` ids."""

    shift: int
    size: int


PrivateUsers = Users | Range


class Stage0(NamedTuple):
    """How the pod is prepared and started: rkt's PrepareConfig and RunConfig (contract A.1).

    stage1: a built-in flavor or an image reference. dependencies: references of images that others depend on.
    env: set in every app, over the image's. net: as rkt's --net takes it, at least one element.
    pod_manifest: path of a ready manifest, relative to the project, or None. local_config: absolute, or None.
    signatures: of all appc images, stage1's too; None: what the host says.
    """

    stage1: str = "crun"
    dependencies: tuple[str, ...] = ()
    overlay: OverlayMode = OverlayMode.AUTO
    private_users: PrivateUsers = Users.OFF
    inherit_env: bool = False
    env: tuple[Env, ...] = ()
    net: tuple[str, ...] = ("default",)
    interactive: bool = False
    mds_register: bool = False
    local_config: str | None = None
    pod_manifest: str | None = None
    debug: bool = False
    signatures: Signatures | None = None


class PodSpec(NamedTuple):
    """A pod. uid: its UUID in lower case. termination_grace: seconds between TERM and KILL, or None for stage1's own.

    apps is empty exactly when stage0.pod_manifest is given. path: the file it was read from.
    """

    name: str
    uid: str
    apps: tuple[App, ...]
    volumes: tuple[Volume, ...] = ()
    hostname: str | None = None
    labels: Pairs = ()
    annotations: Pairs = ()
    termination_grace: int | None = None
    stage0: Stage0 = Stage0()
    path: Path = Path()
