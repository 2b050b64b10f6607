"""One run of one pod: its spec, its directory, the stores, and the few things derived from them that steps share."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from stages.base import files
from stages.base.errors import HostError, ImageError, PodError
from stages.base.host_dir import HostDir
from stages.base.paths import DataDir, PodPaths
from stages.base.progress import Progress, Silent
from stages.images import manifest as manifests
from stages.images.ask import Ask, not_stored
from stages.images.dependencies import flatten
from stages.images.finder import Finder
from stages.images.flavors import Flavors
from stages.images.lockfile import Hold
from stages.images.manifest import Dependency
from stages.images.store import ImageStore
from stages.linux import overlay
from stages.pod import labels, pins, ready, shifts, stage1
from stages.pod.labels import Labels
from stages.pod.pins import Pins
from stages.spec import names
from stages.spec.model import OverlayMode, PodSpec, Range, Users
from stages.trees.recipe import Recipe
from stages.trees.store import TreeStore

# Words that tasks use where others have an app's name; no app may be called so.
STAGE1, DEPENDENCIES = names.RESERVED


class Context:
    """What the steps of one pod work with. project: the folder of dodo.py. environment: the caller's.

    reading: only questions are asked, and nothing may be changed to answer them. hold: what the lock file counts for.
    """

    def __init__(
        self,
        project: Path,
        data: DataDir,
        spec: PodSpec,
        environment: Mapping[str, str],
        progress: Progress | None = None,
        reading: bool = False,
        hold: Hold = Hold.AUTO,
    ) -> None:
        self.project, self.data, self.spec, self.environment = project, data, spec, environment
        self.progress, self.reading, self.hold = progress or Silent(), reading, hold

    @cached_property
    def pod(self) -> PodPaths:
        """The pod's directory."""
        return self.data.pod(self.spec.uid)

    @cached_property
    def images(self) -> ImageStore:
        return ImageStore(self.data)

    @cached_property
    def trees(self) -> TreeStore:
        return TreeStore(self.data, self.images)

    @cached_property
    def finder(self) -> Finder:
        return Finder(self.data, self.images, self.project, self.environment)

    @cached_property
    def flavors(self) -> Flavors:
        return Flavors(self.data, self.images)

    @cached_property
    def labels(self) -> Labels:
        """The pod's SELinux labels. Raises PodError, OSError."""
        return labels.held(self.data, self.pod)

    @cached_property
    def ready(self) -> dict[str, Any] | None:
        """The ready pod manifest that the spec names instead of containers, or None. Raises PodError."""
        if self.spec.stage0.pod_manifest is None:
            return None
        path = self.project / self.spec.stage0.pod_manifest
        data = files.read_or_none(path)
        if data is None:
            raise PodError(f"no pod manifest {self.spec.stage0.pod_manifest}", reason="no-ready-manifest")
        return ready.read(data, self.spec.stage0.pod_manifest)

    @cached_property
    def apps(self) -> dict[str, str]:
        """The apps' names and image references, in order."""
        if self.ready is not None:
            return {app["name"]: app["image"]["id"] for app in self.ready["apps"]}
        return {app.name: app.image for app in self.spec.apps}

    @cached_property
    def app_names(self) -> tuple[str, ...]:
        """The apps' names, in order."""
        return tuple(self.apps)

    @cached_property
    def overlay(self) -> bool:
        """Whether the pod uses overlay mounts. Raises HostError when the spec insists and the kernel has none."""
        mode = self.spec.stage0.overlay
        if mode is OverlayMode.FALSE:
            return False
        refusal = overlay.refusal(self.data.root)
        if mode is OverlayMode.TRUE and refusal:
            raise HostError(
                f"the spec wants overlay and {refusal}",
                hint="`stage0: {overlay: auto}` uses it where it can",
                reason="no-overlay",
            )
        return not refusal

    def check(self) -> None:
        """Raise now what would keep the tasks from being listed. Raises HostError, PodError."""
        assert self.overlay in (True, False) and self.app_names is not None

    @cached_property
    def image_rows(self) -> tuple[str, ...]:
        """The rows of the image task: every app, stage1, and the dependencies if the spec names any."""
        more = (DEPENDENCIES,) if self.spec.stage0.dependencies else ()
        return (*more, STAGE1, *self.app_names)

    @cached_property
    def tree_rows(self) -> tuple[str, ...]:
        """The rows of the tree task: without overlay apps are rendered into the pod, not into the store (A.11)."""
        return (STAGE1, *self.app_names) if self.overlay else (STAGE1,)

    def image_tasks(self, name: str) -> list[str]:
        """The image tasks that a tree waits for: all, as a dependency by name may be the image of any of them."""
        return [f"image:{name}", *(f"image:{one}" for one in self.image_rows if one != name)]

    def tree_tasks(self, name: str) -> list[str]:
        """What comes before an app is put into the pod: its tree (without overlay its images), and stage1."""
        return [*([f"tree:{name}"] if name in self.tree_rows else self.image_tasks(name)), "stage1"]

    def references(self, name: str) -> tuple[str, ...]:
        """The image references behind a row of the image task."""
        if name == DEPENDENCIES:
            return self.spec.stage0.dependencies
        if name == STAGE1:
            return (self.spec.stage0.stage1,)
        return (self.apps[name],)

    def asks(self, name: str) -> list[Ask]:
        """The references behind a row, with all that decides which image they mean."""
        return [self.pins.held(name, ask) for ask in self._bare(name)]

    def _bare(self, name: str) -> list[Ask]:
        """As asks, by the spec alone."""
        demanded = self.spec.stage0.signatures
        app = next((one for one in self.spec.apps if one.name == name), None)
        if app is None or self.ready is not None:
            return [Ask(text, signatures=demanded) for text in self.references(name)]
        return [Ask(app.image, app.pull, app.platform, signatures=demanded)]

    @cached_property
    def pins(self) -> Pins:
        """What the pod's lock file makes of its references. Raises ImageError when it cannot be read."""
        return pins.of(self.spec, self.hold, self.environment)

    def check_lock(self) -> None:
        """Raise ImageError for a lock file that cannot be read, and for images that are not in it and must be."""
        pinned = self.pins
        pinned.check([(name, ask) for name in self.image_rows for ask in self._bare(name)] if pinned.strict else [])

    def locked_images(self, name: str) -> frozenset[str]:
        """All images that the lock file has for a row, where only those will do."""
        return frozenset(one for ask in self._bare(name) for one in self.pins.tree(name, ask))

    def resolve(self, ask: Ask) -> str:
        """The stored image that a reference means, without importing anything. Raises ImageError."""
        found = self.finder.known(ask)
        if found is None:
            raise not_stored(ask.text, self.finder.project)
        return found

    def image_id(self, name: str) -> str:
        """The image of an app, or of stage1, as it was last imported. Raises ImageError when it was not."""
        (ask,) = self.asks(name)
        if name == STAGE1 and self.flavors.is_flavor(ask.text):
            return ask.image_id if ask.strict else self.flavors.image_id(ask.text)
        return self.resolve(ask)

    def recipe(self, name: str, image_id: str = "") -> Recipe:
        """What the tree of an app, or of stage1, is made of; of that image, if one is given. Raises ImageError."""
        image_id = image_id or self.image_id(name)
        manifests.check_platform(self.images.manifest(image_id), f"image of {name}", said=name != STAGE1)
        (ask,) = self._bare(name)
        find = functools.partial(self._find, among=self.pins.tree(name, ask))
        recipe = Recipe(flatten(image_id, self.images.manifest, find), plain=name == STAGE1)
        self.pins.check_tree(name, ask, recipe.image_ids)
        return recipe

    def placement(self, name: str) -> dict[str, Any]:
        """What decides how an image is put into the pod: the inputs of the stage1 and app steps."""
        recipe = self.recipe(name)
        inputs = {"image": recipe.image_id, "tree": recipe.tree_id, "overlay": self.overlay}
        return {**inputs, "private users": self.private_users_text() or "off"}

    def way(self) -> str:
        """How trees get into the pod, in a word."""
        return "overlay" if self.overlay else "copy"

    def shift_pair(self) -> tuple[int, int] | None:
        """First id and number of ids of the pod's user namespace, or None."""
        match self.spec.stage0.private_users:
            case Users.OFF:
                return None
            case Users.AUTO:
                return shifts.held(self.data, self.pod, HostDir.of(self.environment))
            case Range(shift, count):
                if not self.reading:
                    shifts.reserve(self.data, self.pod, (shift, count), HostDir.of(self.environment))
                return (shift, count)

    def private_users_text(self) -> str:
        """The same as rkt writes it: SHIFT:COUNT, or "" (contract G)."""
        if self.reading and self.spec.stage0.private_users is Users.AUTO and not shifts.known(self.data, self.pod):
            return "a range that is still to be chosen"
        pair = self.shift_pair()
        return f"{pair[0]}:{pair[1]}" if pair else ""

    def options(self) -> stage1.Options:
        """What this run tells stage1."""
        own = self.spec.stage0
        return stage1.Options(
            uuid=self.spec.uid,
            net=own.net,
            debug=own.debug,
            interactive=own.interactive,
            private_users=self.private_users_text(),
            local_config=own.local_config or "",
            hostname=self.spec.hostname or "",
        )

    def _find(self, dependency: Dependency, who: str, among: tuple[str, ...] = ()) -> str:
        """The stored image of a dependency: one that is locked, or that the spec names, else the store's newest."""
        if dependency.image_id:
            found = self.images.resolve(dependency.image_id)
            self._check(found, dependency, who)
            return found
        declared = [self.resolve(ask) for ask in self.asks(DEPENDENCIES)]
        for image_id in (*filter(self.images.has, among), *declared):
            if self._fits(image_id, dependency):
                return image_id
        found_by_name = self.images.find(dependency.name, dict(dependency.labels))
        if found_by_name is None:
            labels = "".join(f",{name}={value}" for name, value in dependency.labels)
            raise ImageError(
                f"{who} depends on {dependency.name}{labels}, which is not in the store",
                hint="name its file in `stage0: {dependencies: [...]}`, or `doit images import FILE`",
                reason="missing-dependency",
            )
        return found_by_name

    def _fits(self, image_id: str, dependency: Dependency) -> bool:
        manifest = self.images.manifest(image_id)
        return manifest.name == dependency.name and set(dependency.labels) <= set(manifest.labels)

    def _check(self, image_id: str, dependency: Dependency, who: str) -> None:
        if not self._fits(image_id, dependency):
            raise ImageError(
                f"{who} depends on {dependency.name} by the id of another image, {self.images.manifest(image_id).name}",
                reason="wrong-dependency",
            )
