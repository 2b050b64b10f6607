"""Every path of the data directory has its owner here; nothing else joins path strings.

<data>/
  version               the format's number
  images/               blobs by digest, manifests, the index of names, what was imported from where
  trustedkeys/          whose signatures count
  trees/<tree id>/      rendered trees
  pods/<uuid>/          pod directories, as rkt lays them out, and doit's database
  garbage/              on its way out
  cache/                specs parsed before, probes of the host; may be deleted at any time
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from stages.base.image_paths import ConfigDir, ImagePaths, KeyPaths
from stages.base.place import data_root
from stages.base.records import NamedTuple

FORMAT = "1"
_VENDOR, _ADMIN = Path("/usr/lib/podwright"), Path("/etc/podwright")


def configuration(environment: Mapping[str, str]) -> tuple[ConfigDir, ...]:
    """Where this host is configured, the strongest last: the packager's, the administrator's; PODWRIGHT_CONFIG alone
    where it is set.
    """
    chosen = environment.get("PODWRIGHT_CONFIG")
    return (ConfigDir(Path(os.path.realpath(chosen))),) if chosen else (ConfigDir(_VENDOR), ConfigDir(_ADMIN))


class PodPaths(NamedTuple):
    """One pod's directory (contract B.1), and our own files in it."""

    root: Path

    @property
    def manifest(self) -> Path:
        return self.root / "pod"

    @property
    def database(self) -> Path:
        return self.root / "doit.db"

    @property
    def name(self) -> Path:
        return self.root / "name"

    @property
    def phase(self) -> Path:
        return self.root / "phase"

    def status(self, stage1_tree: str | None) -> Path:
        """Where the apps' exit codes are read: with overlay in stage1's upper, which stays when nothing is mounted."""
        root = self.upper(stage1_tree) if stage1_tree else self.stage1_rootfs
        return root / "rkt" / "status"

    @property
    def records(self) -> Path:
        return self.root / "records"

    def record(self, task: str) -> Path:
        return self.records / f"{task.replace(':', '-')}.json"

    @property
    def appsinfo(self) -> Path:
        return self.root / "appsinfo"

    def app_info(self, app: str) -> Path:
        return self.appsinfo / app

    def app_manifest(self, app: str) -> Path:
        return self.app_info(app) / "manifest"

    def app_tree_id(self, app: str) -> Path:
        return self.app_info(app) / "treeStoreID"

    @property
    def stage1(self) -> Path:
        return self.root / "stage1"

    @property
    def stage1_manifest(self) -> Path:
        return self.stage1 / "manifest"

    @property
    def stage1_rootfs(self) -> Path:
        return self.stage1 / "rootfs"

    @property
    def stage1_tree_id(self) -> Path:
        return self.root / "stage1TreeStoreID"

    def stage2(self, app: str) -> Path:
        return self.stage1_rootfs / "opt" / "stage2" / app

    def stage2_rootfs(self, app: str) -> Path:
        return self.stage2(app) / "rootfs"

    @property
    def overlay(self) -> Path:
        return self.root / "overlay"

    def upper(self, tree_id: str, app: str = "") -> Path:
        """The writable layer; stage1's own (app == "") is `upper` itself, as stage1's status is read there."""
        return self.overlay / tree_id / "upper" / app if app else self.overlay / tree_id / "upper"

    def work(self, tree_id: str, app: str = "") -> Path:
        return self.overlay / tree_id / "work" / app if app else self.overlay / tree_id / "work"

    @property
    def mount_plan(self) -> Path:
        return self.overlay / "plan.json"

    @property
    def overlay_prepared(self) -> Path:
        return self.root / "overlay-prepared"

    @property
    def private_users_prepared(self) -> Path:
        return self.root / "private-users-prepared"

    @property
    def pid(self) -> Path:
        return self.root / "pid"

    @property
    def net_info(self) -> Path:
        return self.root / "net-info.json"

    @property
    def ppid(self) -> Path:
        return self.root / "ppid"

    @property
    def shift(self) -> Path:
        return self.root / "shift"

    @property
    def init(self) -> Path:
        return self.root / "init"

    @property
    def mds_registered(self) -> Path:
        return self.root / "mds-registered"

    @property
    def remembered_start(self) -> Path:
        return self.root / "start.json"

    @property
    def local_config(self) -> Path:
        return self.root / "local-config"

    @property
    def selinux_level(self) -> Path:
        return self.root / "selinux-level"


class TreePaths(NamedTuple):
    """One rendered tree."""

    root: Path

    @property
    def rootfs(self) -> Path:
        return self.root / "rootfs"

    @property
    def record(self) -> Path:
        return self.root / "record"

    @property
    def listing(self) -> Path:
        return self.root / "listing"

    @property
    def contents(self) -> Path:
        return self.root / "contents"

    @property
    def image(self) -> Path:
        return self.root / "index.erofs"

    @property
    def side(self) -> Path:
        return self.root / "side"

    @property
    def rendered(self) -> Path:
        return self.root / "rendered"

    def rendered_in(self, boot: str) -> Path:
        """The marker of a tree that may not have reached the disk: it counts in one boot of the host."""
        return self.root / f"rendered.{boot}"


class DataDir(NamedTuple):
    """The data directory: what podwright keeps on a host."""

    root: Path

    @classmethod
    def of(cls, environment: Mapping[str, str], uid: int) -> DataDir:
        """PODWRIGHT_DIR, else /var/lib/podwright for root, else $XDG_DATA_HOME/podwright."""
        return cls(Path(data_root(environment, uid)))

    @property
    def version(self) -> Path:
        return self.root / "version"

    @property
    def images(self) -> ImagePaths:
        return ImagePaths(self.root / "images")

    @property
    def keys(self) -> KeyPaths:
        """The keys that `doit trust` keeps."""
        return KeyPaths(self.root / "trustedkeys")

    @property
    def trees(self) -> Path:
        return self.root / "trees"

    def tree(self, tree_id: str) -> TreePaths:
        return TreePaths(self.trees / tree_id)

    def image_index(self, image_id: str) -> TreePaths:
        """The index of an image by itself, laid out as a tree is."""
        return TreePaths(self.images.indexes / image_id)

    @property
    def tree_locks(self) -> Path:
        return self.root / "locks" / "trees"

    @property
    def image_locks(self) -> Path:
        return self.root / "locks" / "images"

    @property
    def shifts(self) -> Path:
        return self.root / "shifts"

    @property
    def level_lock(self) -> Path:
        return self.root / "locks" / "levels"

    @property
    def kvm(self) -> Path:
        return self.root / "kvm"

    @property
    def pods(self) -> Path:
        return self.root / "pods"

    def pod(self, uuid: str) -> PodPaths:
        return PodPaths(self.pods / uuid)

    @property
    def prepare_lock(self) -> Path:
        return self.root / "locks" / "prepare"

    @property
    def garbage(self) -> Path:
        return self.root / "garbage"

    @property
    def cache(self) -> Path:
        return self.root / "cache"
