"""Archives we write: the same bytes for the same members, and readable by others."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from stages.base.errors import ImageError
from stages.images import build
from stages.images.aci import layout
from stages.images.entry import Entry, Extent, Kind
from stages.images.tar import read_entries
from tests.images.tar_maker import content

MANIFEST = {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/a"}
MEMBERS = [
    build.directory("d", 0o750),
    build.regular("d/f", b"hello", 0o4755, uid=1000, gid=7, mtime_ns=-1_500_000_000),
    build.symlink("a", "d/f"),
    build.Member(Entry(b"b", Kind.HARDLINK, target=b"d/f")),
]


def written(members: list[build.Member], *, mtime_ns: int = 0, compress: bool = False) -> bytes:
    out = io.BytesIO()
    build.write_archive(out, MANIFEST, members, mtime_ns=mtime_ns, compress=compress)
    return out.getvalue()


def test_the_same_members_in_any_order_give_the_same_bytes() -> None:
    assert written(MEMBERS) == written(MEMBERS[::-1])
    assert written(MEMBERS, compress=True) == written(MEMBERS[::-1], compress=True)


def test_what_is_written_is_an_image(tmp_path: Path) -> None:
    path = tmp_path / "a.aci"
    path.write_bytes(written(MEMBERS))
    found = layout(read_entries(path))
    assert json.loads(content(path.read_bytes(), found.manifest)) == MANIFEST
    assert [entry.name for entry in found.members] == [b"", b"a", b"d", b"d/f", b"b"]
    assert found.members[3].mode == 0o4755 and found.members[3].mtime_ns == -1_500_000_000
    assert found.members[4].target == b"d/f"


def test_gzip_holds_nothing_but_the_archive() -> None:
    packed = written(MEMBERS, compress=True)
    assert gzip.decompress(packed) == written(MEMBERS)
    assert packed[3:8] == bytes(5)  # no name, no time


def test_times_of_ours_are_the_callers_to_set(tmp_path: Path) -> None:
    path = tmp_path / "a.aci"
    path.write_bytes(written([], mtime_ns=5 * 10**9))
    found = layout(read_entries(path))
    assert found.manifest.mtime_ns == found.members[0].mtime_ns == 5 * 10**9


def test_simple_members_need_no_pax(tmp_path: Path) -> None:
    out = io.BytesIO()
    build.write_tar(out, [build.regular("f", b"x"), build.directory("d"), build.symlink("l", "t")])
    assert len(out.getvalue()) == 512 * 6


def test_two_members_of_one_name_are_refused() -> None:
    with pytest.raises(ImageError) as caught:
        written([build.regular("a", b""), build.directory("a")])
    assert caught.value.reason == "duplicate"


def test_a_source_that_shrinks_is_refused() -> None:
    entry = Entry(b"f", Kind.FILE, size=10, extents=(Extent(0, 0, 10),))
    with pytest.raises(ImageError) as caught:
        written([build.Member(entry, b"short")])
    assert caught.value.reason == "changed"


def test_gnu_tar_and_python_read_it_alike(tmp_path: Path) -> None:
    long, odd = b"n" * 150, b"\xff" * 120
    members = [
        *MEMBERS,
        build.regular(long, b"1", uid=3_000_000_000, mtime_ns=1_500_000_000),
        build.regular(odd, b"2", xattrs=((b"user.a", b"\0\n"),)),
        build.Member(Entry(b"holes", Kind.FILE, size=9000, extents=(Extent(4096, 0, 512),)), b"x" * 512),
        build.Member(Entry(b"hole", Kind.FILE, size=9000)),
    ]
    path = tmp_path / "a.aci"
    path.write_bytes(written(members))
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "--no-same-owner", "-xf", path, "-C", tmp_path / "out"], check=True, capture_output=True)
    root = tmp_path / "out" / "rootfs"
    assert (root / long.decode()).stat().st_mtime_ns == 1_500_000_000
    assert (root / "holes").read_bytes() == bytes(4096) + b"x" * 512 + bytes(9000 - 4608)
    assert (root / "hole").read_bytes() == bytes(9000)
    assert (root / "b").samefile(root / "d" / "f")
    assert (root / "b").stat().st_mtime_ns == -1_500_000_000
    with tarfile.open(path) as archive:
        ours = [entry.name for entry in read_entries(path)]
        assert [member.name.encode("utf-8", "surrogateescape") for member in archive] == ours
        holes = archive.extractfile("rootfs/holes")
        assert holes is not None and holes.read() == (root / "holes").read_bytes()
