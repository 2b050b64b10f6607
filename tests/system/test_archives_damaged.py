"""Malformed archives: refused with a sentence, or what the kernel shows of their index is what is written as files."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
import struct
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.base.errors import ImageError, TreeError
from stages.images import aci, layer
from stages.images.entry import Kind
from stages.images.tar import read_entries
from stages.linux.erofs import Way
from stages.trees import directory
from stages.trees.erofs_probe import probe
from stages.trees.merge import Layer, merge, size
from stages.trees.model import Tree
from tests.images import tar_maker
from tests.system import workbench
from tests.system.erofs_host import look, make_index, opened

pytestmark = pytest.mark.system

BLOCK = 512
LARGE = 32 << 20
# What only the file system of the files has no room for: long attributes, and sizes beyond its own.
NO_ROOM = {errno.ENOSPC, errno.E2BIG, errno.EFBIG}
# What only the index has no room for; files are written instead.
NO_INDEX = {"file-size", "index-size", "side-size"}
FIELDS = {"mode": (100, 8), "uid": (108, 8), "gid": (116, 8), "size": (124, 12), "mtime": (136, 12)} | {
    "sparse": (386, 12), "sparse length": (398, 12), "more": (482, 1), "real size": (483, 12),
    "major": (329, 8), "minor": (337, 8), "flag": (156, 1), "magic": (257, 8),
}  # fmt: skip
NUMBERS = [
    0,
    1,
    511,
    512,
    513,
    1024,
    4096,
    0o7777,
    65_536,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 33,
    -1,
    -(1 << 40),
]
NAMES = [
    b"rootfs",
    b"rootfs/d",
    b"rootfs/d/f",
    b"rootfs/link/x",
    b"rootfs/f/x",
    b"rootfs/d/.wh.f",
    b"rootfs/.wh..wh..opq",
]
NAMES += [
    b"rootfs/" + b"n" * 255,
    b"rootfs/..",
    b"manifest",
    b".",
    b"",
    b"rootfs/new",
    b"rootfs/d/hard",
    b"/",
    b"rootfs/a//b",
]
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
VALUES = [b"", b"0", b"1", b"512", b"513", b"99999999999", b"-1", b"0.5", b"-0.000000001", b"\xff\0", b"x" * 300]
VALUES += [b"0,512", b"0,512,1024,512", b"1,511", b"512,100,700,13", CAPABILITY, CAPABILITY[:12], CAPABILITY + bytes(4)]
VALUES += [b"\0\0\0\x03" + CAPABILITY[4:] + b"\1\0\0\0", b"user::rw-,user:7:r--,group::r--,mask::rwx,other::r--"]
VALUES += [
    b"user::rwx,group::---,other::---",
    b"user::r--,group::rwx,mask::-w-,other::---",
    b"rootfs/d/f",
    b"rootfs/link",
    b"../../x",
]
ACLS = [one for one in VALUES if one.startswith(b"user::")]
KEYS = [b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime"] * 2 + [b"SCHILY.acl.access", b"SCHILY.acl.default"]
KEYS += [b"SCHILY.xattr." + name for name in (b"user.a", b"trusted.b", b"security.capability", b"system.x", b"odd")]
KEYS += [b"LIBARCHIVE.xattr.com.apple.quarantine"]
KEYS += [b"GNU.sparse." + name for name in (b"map", b"size", b"realsize", b"major", b"minor", b"name", b"numblocks")]


@dataclass
class Record:
    """A header and what its size says that follows, in whole blocks."""

    header: bytearray
    data: bytes

    def put(self, at: int, value: bytes) -> None:
        self.header[at : at + len(value)] = value

    def resize(self, data: bytes) -> None:
        """Other data, and the truth about it."""
        self.put(124, tar_maker.octal(len(data), 12))
        self.data = tar_maker.padded(data)


def parsed(archive: bytes) -> list[Record]:
    found, at = [], 0
    while archive[at : at + BLOCK].strip(b"\0"):
        header = bytearray(archive[at : at + BLOCK])
        end = at + BLOCK + -(-int(header[124:135] or b"0", 8) // BLOCK) * BLOCK
        if header[156:157] == b"S" and header[482]:  # a second part of the map
            end += BLOCK
        found.append(Record(header, archive[at + BLOCK : end]))
        at = end
    return found


def joined(records: list[Record]) -> bytes:
    """The archive again, with right checksums: whoever lies can add up."""
    parts = []
    for record in records:
        blank = bytes(record.header[:148]) + b" " * 8 + bytes(record.header[156:])
        parts += [blank[:148] + b"%06o\0 " % sum(blank) + blank[156:], record.data]
    return b"".join(parts) + tar_maker.END


# ---- the samples


@cache
def samples() -> tuple[bytes, ...]:
    """An archive with one of everything in each format that can hold it."""
    with tempfile.TemporaryDirectory(prefix="podwright-test-", dir="/var/tmp") as place:
        root = Path(place) / "rootfs"
        (root / "d").mkdir(parents=True)
        (Path(place) / "manifest").write_text(json.dumps(workbench.manifest("example.com/x")))
        (root / "d/f").write_bytes(b"f" * 700)
        (root / "empty").touch()
        os.link(root / "d/f", root / "d/hard")
        (root / "link").symlink_to("d")
        (root / ("l" * 120)).symlink_to("t" * 200)
        os.mkfifo(root / "fifo")
        os.mknod(root / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        with (root / "sparse").open("wb") as file:
            for number in range(8):
                os.pwrite(file.fileno(), b"s" * 4096, number * 9 * 4096)
            file.truncate(80 * 4096 + 7)
        os.setxattr(root / "d/f", "user.a", b"v")
        os.setxattr(root / "d/f", "security.capability", CAPABILITY)
        subprocess.run(["setfacl", "-m", "u:7:rwx", root / "d", root / "empty"], check=True)
        subprocess.run(["setfacl", "-d", "-m", "u:7:rx", root / "d"], check=True)
        rich = ["--format=posix", *tar_maker.ALIKE_PAX, "--xattrs", "--xattrs-include=*", "--acls", "-S"]
        options = [
            ["--format=gnu"],
            ["--format=oldgnu", "-S"],
            ["--format=v7", *(f"--exclude={name}" for name in ("ll*", "fifo", "null"))],
        ]
        options += [[*rich, f"--sparse-version={one}"] for one in ("0.0", "0.1", "1.0")]
        made = [["tar", *tar_maker.ALIKE, *words, "-C", place, "-cf", "-", "manifest", "rootfs"] for words in options]
        return tuple(subprocess.run(command, check=True, capture_output=True).stdout for command in made)


# ---- the damage: what to do, where (a part of the whole), with what


Damage = tuple[str, float, int, int]


def damaged(sample: bytes, steps: list[Damage]) -> bytes:
    records, after = parsed(sample), list[Callable[[bytes], bytes]]()
    for what, place, one, other in steps:
        number = int(place * len(records))
        if what == "cut":
            after.append(lambda data, place=place: data[: int(place * len(data))])
        elif what == "byte":
            after.append(lambda data, place=place, other=other: flipped(data, int(place * len(data)), other))
        elif what == "drop":
            del records[number]
        elif what in ("copy", "move"):
            found = records[number] if what == "copy" else records.pop(number)
            records.insert(one % (len(records) + 1), Record(bytearray(found.header), found.data))
        else:
            EDITS[what](records[number], records, number, one, other)
        if not records:
            break
    archive = joined(records)
    for change in after:
        archive = change(archive)
    return archive


def flipped(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + bytes([value % 256]) + data[at + 1 :]


def lie(record: Record, records: list[Record], number: int, one: int, other: int) -> None:
    """A field of the header says something else."""
    at, length = list(FIELDS.values())[one % len(FIELDS)]
    if length == 1:
        record.put(at, b"01234567LKxgSVD\0"[other % 16 : other % 16 + 1])
        return
    value = NUMBERS[other % len(NUMBERS)]
    if 0 <= value < 8 ** (length - 1):
        record.put(at, tar_maker.octal(value, length))
    else:
        record.put(at, (value % (1 << 8 * length)).to_bytes(length, "big"))
        record.header[at] = 0xFF if value < 0 else 0x80


def poke(record: Record, records: list[Record], number: int, one: int, other: int) -> None:
    record.header[one % BLOCK] = other % 256


def rename(record: Record, records: list[Record], number: int, one: int, other: int) -> None:
    at = 157 if one % 3 == 0 else 0
    record.put(at, NAMES[other % len(NAMES)][:100].ljust(100, b"\0"))


def extend(record: Record, records: list[Record], number: int, one: int, other: int) -> None:
    """A record of an extended header before the member says something else, or something new."""
    header = next((it for it in records[max(number - 1, 0) : number + 1] if it.header[156:157] in b"xg"), None)
    if header is None:
        block = tar_maker.pax()
        header = Record(bytearray(block[:BLOCK]), block[BLOCK:])
        records.insert(number, header)
    digits = bytes(header.header[124:135])
    length = int(digits, 8) if digits.isdigit() and not set(digits) & set(b"89") else 0
    found = split(header.data[:length])
    key, value = KEYS[one % len(KEYS)], VALUES[other % len(VALUES)]
    value = ACLS[other % len(ACLS)] if b".acl." in key and other % 9 else value
    if found and one % 2:
        at = other % len(found)
        found[at] = (found[at][0], ACLS[other % len(ACLS)] if b".acl." in found[at][0] and other % 9 else value)
    else:
        found.append((key, value))
    header.resize(b"".join(tar_maker.record(*pair) for pair in found))


def split(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 0
    while at < len(data):
        digits = data[at : at + 9].partition(b" ")[0]
        if not digits.isdigit() or not int(digits):
            break
        key, _, value = data[at + len(digits) + 1 : at + int(digits) - 1].partition(b"=")
        found.append((key, value))
        at += int(digits)
    return found


def garble(record: Record, records: list[Record], number: int, one: int, other: int) -> None:
    """A byte of what follows the header: of a map, of an extended header, of content."""
    if record.data:
        record.data = flipped(record.data, one % min(len(record.data), 600), b"0123456789,\n =\0\xff"[other % 16])


def shorten(record: Record, records: list[Record], number: int, one: int, other: int) -> None:
    """Blocks of data are missing, or too many, while the size stays."""
    blocks = one % 4 * BLOCK
    record.data = record.data[blocks:] if other % 2 else record.data + record.data[:blocks]


EDITS = {
    "lie": lie, "poke": poke, "rename": rename, "extend": extend, "garble": garble, "shorten": shorten,
}  # fmt: skip
steps = st.tuples(
    st.sampled_from([*EDITS, "extend", "rename", "lie", "copy", "move", "drop", "cut", "byte"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
)


# ---- what comes of it


def read(archive: Path, as_layer: bool) -> Tree:
    """As an import and a render do."""
    if not as_layer:
        return merge([Layer(str(archive), aci.layout(read_entries(archive)).members)])
    made = layer.changes(read_entries(archive))
    return merge([Layer(str(archive), made.members, None, (), True, made.whiteouts, made.opaque)])


def outcome(archive: Path, as_layer: bool, memory: Path, way: Way | None) -> str:
    """What became of it, after a check that it is one of the few things that may become of it."""
    try:
        tree = read(archive, as_layer)
    except (ImageError, TreeError) as error:
        assert error.sentence.isprintable(), repr(error.sentence)
        return f"refused: {error.reason}"
    try:
        made = make_index(tree, archive.parent / "index")
    except TreeError as error:
        assert error.reason in NO_INDEX, error
        return f"no index: {error.reason}"
    if way is None:
        return "no index here"
    (memory / "files").mkdir()
    with made.mounted(way) as mount, opened(memory / "files") as target:
        large = size(tree) > LARGE
        shown = look(mount, content=not large)
        try:
            directory.write(tree, target, shift=None, progress=lambda _: None, jobs=1)
        except TreeError as error:
            return f"no files: {error.reason}"
        except OSError as error:
            assert error.errno in NO_ROOM, error
            return f"no files: {error.strerror}"
        written = look(target, content=not large)
    wrong = {path: (shown.get(path), written.get(path)) for path in shown.keys() | written.keys()}
    assert [it for it in wrong.items() if it[1][0] != it[1][1]] == []
    return "equal, large" if large else "equal"


@pytest.fixture(scope="module")
def way() -> Iterator[Way | None]:
    with tempfile.TemporaryDirectory(prefix="podwright-test-", dir="/var/tmp") as place:
        yield probe(Path(place)).way


def attempt(sample: bytes, damage: list[Damage], as_layer: bool, way: Way | None) -> str:
    with (
        tempfile.TemporaryDirectory(prefix="podwright-test-", dir="/var/tmp") as disk,
        tempfile.TemporaryDirectory(prefix="podwright-test-", dir="/dev/shm") as memory,
    ):
        archive = Path(disk) / "archive"
        archive.write_bytes(damaged(sample, damage))
        return outcome(archive, as_layer, Path(memory), way)


def test_the_samples_themselves_are_equal(way: Way | None) -> None:
    for sample in samples():
        assert {attempt(sample, [], as_layer, way) for as_layer in (False, True)} <= {"equal", "no index here"}


@settings(max_examples=1500)
@given(sample=st.integers(0, 5), damage=st.lists(steps, min_size=1, max_size=4), as_layer=st.booleans())
def test_a_malformed_archive_is_refused_or_shown_as_it_is_written(
    way: Way | None, sample: int, damage: list[Damage], as_layer: bool
) -> None:
    attempt(samples()[sample], damage, as_layer, way)


@settings(max_examples=1500)
@given(sample=st.integers(0, 5), damage=st.lists(steps, min_size=1, max_size=3))
def test_what_is_accepted_has_the_bytes_that_another_reader_finds(sample: int, damage: list[Damage]) -> None:
    """Python's tarfile, where it finds the same members: it stops at what it does not understand, and says nothing."""
    archive = damaged(samples()[sample], damage)
    with tempfile.TemporaryFile() as file:
        file.write(archive)
        file.flush()
        try:
            ours = list(read_entries(file.fileno()))
            with tarfile.open(fileobj=io.BytesIO(archive)) as other:
                theirs = [(one, file_of(other, one)) for one in other.getmembers()]
        except (ImageError, tarfile.TarError, ValueError):
            return
    if [kept_name(one.name) for one, _ in theirs] != [entry.name for entry in ours]:
        return
    # An empty value takes a record back (POSIX, pax), and the header counts; tarfile takes it for 0.
    if any("" in one.pax_headers.values() for one, _ in theirs):
        return
    for entry, (one, data) in zip(ours, theirs, strict=True):
        if entry.kind is Kind.FILE and entry.size < LARGE and one.size >= 0:
            assert (one.size, data) == (entry.size, tar_maker.content(archive, entry))


def file_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """Its bytes, or none if they are too many, or not there."""
    file = archive.extractfile(member) if member.isreg() and 0 <= member.size < LARGE else None
    return file.read() if file else b""


def kept_name(name: str) -> bytes:
    return b"/".join(part for part in os.fsencode(name).split(b"/") if part not in (b"", b"."))
