"""Generated members through writer and reader, and damaged archives, which may only be refused as such."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from stages.base.errors import ImageError
from stages.images import build
from stages.images.aci import layout
from stages.images.entry import Entry, Extent, Kind
from stages.images.tar import read_entries
from tests.images.tar_maker import ALIKE, ALIKE_PAX, content

parts = st.binary(min_size=1, max_size=255).filter(lambda part: not {0, 0x2F} & set(part) and part not in (b".", b".."))
paths = st.lists(parts, min_size=1, max_size=8).map(b"/".join)
targets = st.binary(min_size=1, max_size=400).filter(lambda target: 0 not in target)
keys = st.binary(max_size=20).filter(lambda key: 0 not in key).map(lambda key: b"user." + b"k" + key)
xattrs = st.dictionaries(keys, st.binary(max_size=300), max_size=3).map(lambda found: tuple(sorted(found.items())))
ids = st.integers(0, 2**32 - 2)
times = st.integers(-(2**63) + 1, 2**63 - 1)


@st.composite
def members(draw: st.DrawFn) -> build.Member:
    kind = draw(st.sampled_from([kind for kind in Kind if kind is not Kind.HARDLINK]))
    common = (draw(paths), kind, draw(st.integers(0, 0o7777)), draw(ids), draw(ids), draw(times))
    attributes = draw(xattrs)
    if kind is Kind.FILE:
        blocks = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=4))
        found, logical, stored = list[Extent](), 0, 0
        for hole, length in blocks:
            logical += hole * 512
            found.append(Extent(logical, stored, length * 512))
            logical, stored = logical + length * 512, stored + length * 512
        size = logical + draw(st.integers(0, 2000))
        return build.Member(Entry(*common, size=size, extents=joined(found), xattrs=attributes), os.urandom(stored))
    if kind is not Kind.DIRECTORY:
        attributes = tuple((b"trusted" + name[4:], value) for name, value in attributes)
    if kind is Kind.SYMLINK:
        return build.Member(Entry(common[0], kind, 0o777, *common[3:], target=draw(targets), xattrs=attributes))
    if kind in (Kind.CHAR, Kind.BLOCK):
        major, minor = draw(st.integers(0, 4095)), draw(st.integers(0, 2**20 - 1))
        return build.Member(Entry(*common, major=major, minor=minor, xattrs=attributes))
    return build.Member(Entry(*common, xattrs=attributes))


def joined(extents: list[Extent]) -> tuple[Extent, ...]:
    result: list[Extent] = []
    for extent in extents:
        if result and result[-1].logical + result[-1].length == extent.logical:
            last = result.pop()
            extent = Extent(last.logical, last.offset, last.length + extent.length)
        result.append(extent)
    return tuple(result)


def plain(entry: Entry) -> tuple[object, ...]:
    lengths = [(extent.logical, extent.length) for extent in entry.extents]
    return (*(getattr(entry, field) for field in Entry.__slots__ if field != "extents"), lengths)


@settings(max_examples=150)
@given(st.lists(members(), max_size=6, unique_by=lambda member: member.entry.name))
def test_what_is_written_is_read(given_members: list[build.Member]) -> None:
    out = io.BytesIO()
    build.write_tar(out, given_members)
    found = {entry.name: entry for entry in read(out.getvalue())}
    assert set(found) == {member.entry.name for member in given_members}
    for member in given_members:
        mine = found[member.entry.name]
        assert plain(mine) == plain(member.entry)
        assert isinstance(member.data, bytes)
        assert content(out.getvalue(), mine) == content(member.data, member.entry)


def read(archive: bytes) -> list[Entry]:
    with tempfile.TemporaryFile() as file:
        file.write(archive)
        file.flush()
        return list(read_entries(file.fileno()))


@cache
def samples() -> tuple[bytes, ...]:
    """One small archive of each format, with everything in it that the format can say."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "rootfs"
        (root / "d").mkdir(parents=True)
        (Path(place) / "manifest").write_bytes(b"{}")
        (root / "d" / "f").write_bytes(b"data")
        os.link(root / "d" / "f", root / "h")
        (root / "l").symlink_to("d")
        (root / ("n" * 150)).write_bytes(b"x")
        with (root / "s").open("wb") as file:
            for at in range(0, 10 << 16, 1 << 16):
                file.seek(at)
                file.write(b"x")
        os.setxattr(root / "d" / "f", "user.a", b"v")
        commands = [["--format=gnu"], ["--format=oldgnu", "-S"]]
        rich = ["--format=posix", *ALIKE_PAX, "--xattrs", "-S"]
        commands += [[*rich, f"--sparse-version={v}"] for v in ("0.0", "0.1", "1.0")]
        made = [["tar", *ALIKE, *options, "-C", place, "-cf", "-", "manifest", "rootfs"] for options in commands]
        return tuple(subprocess.run(command, check=True, capture_output=True).stdout for command in made)


edits = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4)


def read_while_it_grows(archive: bytes, steps: Sequence[int]) -> list[Entry]:
    """Never more than what was asked for is there, or a little more."""
    more = itertools.cycle(steps)
    with tempfile.TemporaryFile() as file:

        def upto(wanted: int) -> int:
            if (there := file.tell()) < wanted:
                file.write(archive[there : wanted + next(more)])
                file.flush()
            return file.tell()

        return list(read_entries(file.fileno(), upto))


def outcome(read: Callable[[], list[Entry]]) -> object:
    try:
        return read()
    except ImageError as error:
        return error.sentence


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A sample with some bytes changed, and maybe with right checksums again, or cut."""
    changes, mend, cut = draw(edits), draw(st.booleans()), draw(st.floats(0, 1))
    sample = draw(st.sampled_from(samples()))
    headers = header_places(sample)
    archive = bytearray(sample)
    for place, value in changes:
        # Half of the damage goes where it means something: into headers and the records after them.
        block = headers[int(place * len(headers))] if mend else int(place * len(archive)) // 512 * 512
        at = block + int(place * 7919 * 512) % (1024 if mend else 512)
        archive[min(at, len(archive) - 1)] = value
        if mend:
            archive[block : block + 512] = mended(archive[block : block + 512])
    return bytes(archive if mend or cut > 0.5 else archive[: int(len(archive) * cut * 2)])


@settings(max_examples=600)
@given(damaged())
def test_a_damaged_archive_is_read_or_refused_and_stays_in_bounds(archive: bytes) -> None:
    with contextlib.suppress(ImageError):
        found = read(archive)
        for entry in found:
            check_bounds(entry, len(archive))
        layout(found)


@settings(max_examples=300)
@given(st.one_of(damaged(), st.sampled_from(samples())), st.lists(st.integers(0, 3000), min_size=1, max_size=5))
def test_an_archive_is_read_alike_while_it_grows(archive: bytes, steps: list[int]) -> None:
    assert outcome(lambda: read_while_it_grows(archive, steps)) == outcome(lambda: read(archive))


def header_places(archive: bytes) -> list[int]:
    return [at for at in range(0, len(archive), 512) if archive[at + 257 : at + 262] == b"ustar"]


def mended(block: bytearray) -> bytes:
    """With a right checksum again, so that the reader looks further."""
    blank = block[:148] + b" " * 8 + block[156:]
    return bytes(block[:148] + b"%06o\0 " % sum(blank) + block[156:])


def check_bounds(entry: Entry, size: int) -> None:
    assert not entry.name.startswith(b"/") and b".." not in entry.name.split(b"/")
    logical = 0
    for extent in entry.extents:
        assert extent.logical >= logical and extent.length > 0
        assert extent.offset > 0 and extent.offset + extent.length <= size
        logical = extent.logical + extent.length
    assert logical <= entry.size
