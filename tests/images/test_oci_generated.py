"""Documents of OCI images with something wrong in them: a sentence and an unchanged store, or a whole image; no bug."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from stages.base.errors import PodwrightError
from stages.base.paths import DataDir
from stages.base.progress import Silent
from stages.images import build
from stages.images.ask import Ask
from stages.images.finder import Finder
from stages.images.store import ImageStore
from tests.images import oci_maker
from tests.images.oci_maker import Image, digest, layer, put, write_layout

LAYERS = [
    layer([build.directory("etc"), build.regular("etc/passwd", b"web:x:1000:1001::/:\n")]),
    layer([build.regular("b", b"2")]),
]
PROCESS = {
    "Entrypoint": ["/x"],
    "Cmd": ["y"],
    "Env": ["A=b"],
    "User": "web",
    "WorkingDir": "/w",
    "Volumes": {"/v": {}},
    "ExposedPorts": {"80/tcp": {}},
    "Labels": {"a": "b"},
    "StopSignal": "SIGQUIT",
}
KEYS = ["config", "data", "layers", "manifests", "mediaType", "platform", "rootfs", "schemaVersion", "subject", "urls"]
odd = st.one_of(
    st.sampled_from([None, True, 0, -1, 1.5, 10**30, float("inf"), [], {}, [None], [[]], {"": None}]),
    st.sampled_from(["", "\0", "\ud800", "..", "/", "\n\x1b[31m", "a" * 70_000, "sha256:" + "0" * 64, "sha256:../x"]),
    st.sampled_from(["linux", "windows", "amd64", ["a"] * 600]),
    st.text(max_size=5),
    st.integers(),
)
Change = tuple[int, str, Any]
changes = st.lists(st.tuples(st.integers(0, 200), st.sampled_from(["put", "put", "drop", *KEYS]), odd), max_size=3)


def places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in it with each of its keys."""
    keys = list(document) if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else []
    for key in keys:
        yield document, key
        yield from places(document[key])


def changed(document: Any, wanted: list[Change]) -> Any:
    document = copy.deepcopy(document)
    for number, what, value in wanted:
        known = list(places(document))
        if not known:
            return value
        holder, key = known[number % len(known)]
        if what == "drop":
            del holder[key]
        elif what != "put" and isinstance(holder, dict):
            holder[what] = copy.deepcopy(value)
        else:
            holder[key] = copy.deepcopy(value)
    return document


def made(folder: Path, which: str, wanted: list[Change]) -> str:
    """Write the image with one of its documents changed, all digests right again; the reference to it."""
    image = Image(LAYERS, process=PROCESS)
    write_layout(folder / "it", {"x": image})
    config, manifest = json.loads(image.config()), json.loads(image.manifest())
    index = json.loads((folder / "it/index.json").read_bytes())
    if which.startswith("docker"):
        listed = [{"Config": "c", "RepoTags": ["a/b:1"], "Layers": ["0", "1"]}]
        documents = [changed(listed, wanted), config] if which == "docker" else [listed, changed(config, wanted)]
        files = {"0": LAYERS[0], "1": LAYERS[1], "manifest.json": dumped(documents[0]), "c": dumped(documents[1])}
        oci_maker.tar_of(folder / "it.tar", files)
        return "docker-archive:it.tar"
    if which == "config":
        data = dumped(changed(config, wanted))
        put(folder / "it", data)
        manifest["config"] |= {"digest": digest(data), "size": len(data)}
    data = dumped(changed(manifest, wanted) if which == "manifest" else manifest)
    put(folder / "it", data)
    index["manifests"][0] |= {"digest": digest(data), "size": len(data)}
    (folder / "it/index.json").write_bytes(dumped(changed(index, wanted) if which == "index" else index))
    return "oci:it:x"


def dumped(document: Any) -> bytes:
    return json.dumps(document).encode()


@settings(max_examples=300)
@given(which=st.sampled_from(["config", "manifest", "index", "docker", "docker config"]), wanted=changes)
@example(which="docker", wanted=[(3, "put", "\ud800")])
@example(which="docker", wanted=[(4, "put", {"a": "b"})])
@example(which="docker", wanted=[(2, "put", {"a": "b"})])
@example(which="config", wanted=[(0, "put", "\n\x1b[31m")])
@example(which="config", wanted=[(0, "put", "plan9")])
@example(which="index", wanted=[(7, "put", "\0")])
@example(which="index", wanted=[(7, "put", "a\nb")])
def test_whatever_the_documents_say(which: str, wanted: list[Change]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        data = DataDir(folder / "data")
        store = ImageStore(data)
        reference = made(folder, which, wanted)
        try:
            image_id = Finder(data, store, folder).bring(Ask(reference), Silent())
        except PodwrightError as error:
            # What is in the hint, too, has its control characters in another form in the text.
            assert error.text().count("\n") == bool(error.hint) and len(error.text()) < 15_000
            assert store.ids() == [] and store.blobs.ids() == []
            assert not list(data.images.root.rglob("*.config"))
            return
        assert store.has(image_id) and store.rehash(image_id) and store.manifest(image_id).name
        store.remove(image_id)
        assert store.blobs.ids() == []
