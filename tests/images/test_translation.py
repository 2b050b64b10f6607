"""Stored OCI images are translated again, from what is stored, when the rules of translation are others."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from stages.base.paths import DataDir
from stages.base.progress import Silent
from stages.images import build, oci_app
from stages.images.ask import Ask
from stages.images.entry import Entry, Kind
from stages.images.finder import Finder
from stages.images.oci import Config, Platform
from stages.images.store import ImageStore
from tests.images.oci_maker import Image, layer, write_layout

PASSWD = b"root:x:0:0::/:/bin/sh\nweb:x:1000:1001::/:\n"
GROUP = b"web:x:1001:\nvideo:x:44:web\n"
PROCESS = {
    "Entrypoint": ["/bin/app"],
    "Cmd": ["serve"],
    "Env": ["PATH=/bin", "X=1"],
    "WorkingDir": "srv/app",
    "User": "web",
    "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
    "Volumes": {"/var/lib/data": {}},
    "StopSignal": "SIGQUIT",
    "Labels": {"org.opencontainers.image.title": "t"},
}
# What the rules of each number make of the configuration above.
MADE = {
    1: "040e0bb2a3be5139de2249b41fedfc51461a51fba32154ee12a09680c66237d7",
    2: "aac55c8a3627bca5c73d1f9cdbcdfefcb5203c82c7be77584515ca67da7bc9ad",
    3: "3e6f93048f3500f5ab02c96024bc0d820ff5119557cd786dccd8283ae42b3fd7",
}


@pytest.fixture
def finder(tmp_path: Path) -> Finder:
    data = DataDir(tmp_path / "data")
    parts = [build.directory("etc"), build.regular("etc/passwd", PASSWD), build.regular("etc/group", GROUP)]
    write_layout(tmp_path / "it", {"1.0": Image([layer(parts)], process=PROCESS)})
    return Finder(data, ImageStore(data), tmp_path)


def test_who_changes_the_rules_changes_their_number() -> None:
    files = {b"etc/passwd": PASSWD, b"etc/group": GROUP}
    config = Config(Platform("linux", "arm", "v7"), (), PROCESS, "")
    made = oci_app.manifest(config, "Host:5000/team/app", "1.2", lambda path: files.get(path, b""), lambda words: None)
    digest = hashlib.sha256(made).hexdigest()
    assert digest == MADE[oci_app.RULES], "the translation is another one: raise oci_app.RULES, enter the digest here"


def hard(name: str, target: str) -> build.Member:
    return build.Member(Entry(name.encode(), Kind.HARDLINK, 0o644, target=target.encode()))


FILES = [build.regular("lib/passwd", PASSWD), build.regular("lib/group", GROUP)]
LINKS = [hard("etc/passwd", "lib/passwd"), hard("etc/group", "lib/group")]
SYMLINKS = [build.symlink("etc/passwd", "../lib/passwd"), build.symlink("etc/group", "/lib/group")]


@pytest.mark.parametrize(
    "layers",
    [
        [[*FILES, *LINKS]],
        [FILES, LINKS],
        [FILES, [hard("more/passwd", "lib/passwd"), hard("more/group", "lib/group")],
         [hard("etc/passwd", "more/passwd"), hard("etc/group", "more/group")]],
        [[*FILES, *SYMLINKS]],
        [FILES, SYMLINKS],
        [SYMLINKS, FILES],
        [FILES, [build.symlink("etc", "../../lib")]],
        [[*FILES, SYMLINKS[1]], [build.symlink("more/p", "../lib/passwd"), hard("etc/passwd", "more/p")]],
    ],
    ids=["in one layer", "into the layer below", "through a layer", "symlinks", "symlinks into the layer below",
         "symlinks into the layer above", "a symlink to the directory", "a hard link to a symlink"],
)  # fmt: skip
def test_accounts_are_found_behind_links(finder: Finder, layers: list[list[build.Member]]) -> None:
    write_layout(finder.project / "linked", {"x": Image([layer(one) for one in layers], process={"User": "web"})})
    app = finder.store.manifest(finder.bring(Ask("oci:linked:x"), Silent())).app
    assert app and (app["user"], app["group"], app["supplementaryGIDs"]) == ("web", "1001", [44])


@pytest.mark.parametrize("target", ["passwd", "/nowhere", "../..", "/proc/self/root/etc/passwd", "../lib/passwd/"])
def test_a_link_to_no_file_of_the_image_is_no_accounts(finder: Finder, target: str) -> None:
    parts = [*FILES, build.symlink("etc/passwd", target)]
    write_layout(finder.project / "odd", {"x": Image([layer(parts)], process={"User": "1"})})
    app = finder.store.manifest(finder.bring(Ask("oci:odd:x"), Silent())).app
    assert app and (app["user"], app["group"]) == ("1", "0") and "supplementaryGIDs" not in app


@pytest.mark.parametrize("text", ["oci:it:1.0", "it:1.0", "id"])
def test_other_rules_translate_a_stored_image_again(
    finder: Finder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    image_id = finder.bring(Ask("oci:it:1.0"), Silent())
    ask, path = Ask(text.replace("id", image_id)), finder.data.images.manifest(image_id)
    before = json.loads(path.read_bytes())
    os.utime(path, ns=(1_000_000_007, 1_000_000_007))
    assert finder.verdict(ask).fresh
    # Nothing but the store has the image any more, except for the file that tells whether the layout moved.
    shutil.rmtree(tmp_path / "it/blobs")

    monkeypatch.setattr(oci_app, "RULES", oci_app.RULES + 1)
    (reason,) = finder.verdict(ask).reasons
    assert "translated by other rules" in reason.what
    assert finder.bring(ask, Silent()) == image_id
    assert finder.verdict(ask).fresh

    after = json.loads(path.read_bytes())
    assert {"name": oci_app.TRANSLATION, "value": str(oci_app.RULES)} in after["annotations"]
    assert {**after, "annotations": []} == {**before, "annotations": []}
    assert (after["app"]["user"], after["app"]["supplementaryGIDs"]) == ("web", [44])
    assert path.stat().st_mtime_ns == 1_000_000_007, "the time of its import is what it was"


def test_an_image_that_was_stored_without_a_number_is_translated_again(finder: Finder) -> None:
    image_id = finder.bring(Ask("oci:it:1.0"), Silent())
    path = finder.data.images.manifest(image_id)
    made = path.read_bytes()
    old = json.loads(made)
    old["annotations"] = [one for one in old["annotations"] if one["name"] != oci_app.TRANSLATION]
    path.write_text(json.dumps(old))
    assert not finder.verdict(Ask("oci:it:1.0")).fresh
    finder.bring(Ask("oci:it:1.0"), Silent())
    assert path.read_bytes() == made


def test_an_image_cannot_say_itself_that_it_was_translated(finder: Finder, monkeypatch: pytest.MonkeyPatch) -> None:
    other = str(oci_app.RULES + 1)
    said = f'{{"name":"{oci_app.TRANSLATION}","value":"{other}"}}'
    process = {"Labels": {oci_app.TRANSLATION: other, "x": said}, "Env": [f"X={said}"], "Cmd": [said]}
    write_layout(finder.project / "liar", {"x": Image([layer([])], process=process)})
    image_id = finder.bring(Ask("oci:liar:x"), Silent())
    monkeypatch.setattr(oci_app, "RULES", oci_app.RULES + 1)
    assert not oci_app.is_current(finder.store.manifest_bytes(image_id))
