"""The reader's own archives, made block by block: what it accepts, and what it refuses and why."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from stages.base.errors import ImageError
from stages.images import acl, bounds, tar
from stages.images.entry import Entry, Extent, Kind
from tests.images.tar_maker import END, content, entries, header, member, octal, only, padded, pax

GNU = b"ustar  \0"


def gnu_long(data: bytes, flag: bytes) -> bytes:
    return member(b"././@LongLink", data + b"\0", flag, magic=GNU)


def test_a_file_points_to_its_bytes(tmp_path: Path) -> None:
    archive = member(b"./a//b/./c", b"hello", mode=b"0104755\0", uid=b"0001750\0", mtime=b"00000000017\0") + END
    found = only(archive, tmp_path)
    assert found == Entry(b"a/b/c", Kind.FILE, 0o4755, 1000, 0, 15 * 10**9, 5, (Extent(0, 512, 5),))
    assert content(archive, found) == b"hello"


def test_every_type_is_told(tmp_path: Path) -> None:
    archive = (
        header(b"f") + header(b"d/", b"5") + header(b"l", b"2", target=b"../x") + header(b"h", b"1", target=b"./f")
    )
    archive += header(b"c", b"3", major=octal(1, 8), minor=octal(3, 8)) + header(b"b", b"4", major=octal(8, 8))
    archive += header(b"p", b"6") + END
    kinds = [(e.name, e.kind, e.target, e.major, e.minor) for e in entries(archive, tmp_path)]
    assert kinds == [
        (b"f", Kind.FILE, b"", 0, 0),
        (b"d", Kind.DIRECTORY, b"", 0, 0),
        (b"l", Kind.SYMLINK, b"../x", 0, 0),
        (b"h", Kind.HARDLINK, b"f", 0, 0),
        (b"c", Kind.CHAR, b"", 1, 3),
        (b"b", Kind.BLOCK, b"", 8, 0),
        (b"p", Kind.FIFO, b"", 0, 0),
    ]


def test_the_archives_own_root_has_the_empty_name(tmp_path: Path) -> None:
    assert only(header(b"./", b"5") + END, tmp_path).name == b""


def test_v7_directories_are_files_with_a_slash(tmp_path: Path) -> None:
    assert only(header(b"d/", b"\0", magic=b"") + END, tmp_path).kind is Kind.DIRECTORY


def test_a_ustar_prefix_comes_first_and_gnu_has_none(tmp_path: Path) -> None:
    for version in (b"00", b"\0\0", b"  "):  # which tar programs do not look at
        assert only(header(b"b", magic=b"ustar\0" + version, prefix=b"a") + END, tmp_path).name == b"a/b"
    assert only(header(b"b", magic=GNU, tail=b"00000000000\0") + END, tmp_path).name == b"b"


def test_gnu_long_names_and_targets(tmp_path: Path) -> None:
    name, target = b"d/" * 100 + b"n", b"t" * 300
    archive = gnu_long(target, b"K") + gnu_long(name, b"L") + header(b"short", b"2", target=b"short", magic=GNU) + END
    found = only(archive, tmp_path)
    assert (found.name, found.target) == (name, target)


def test_base_256_numbers_reach_beyond_octal_and_below_zero(tmp_path: Path) -> None:
    uid, mtime = b"\x80" + (3_000_000_000).to_bytes(7, "big"), (-5).to_bytes(12, "big", signed=True)
    found = only(header(uid=uid, mtime=mtime) + END, tmp_path)
    assert (found.uid, found.mtime_ns) == (3_000_000_000, -5 * 10**9)


def test_pax_overrides_the_header(tmp_path: Path) -> None:
    records = [(b"path", b"n" * 200), (b"uid", b"4294967294"), (b"gid", b"7"), (b"mtime", b"-1.5"), (b"size", b"3")]
    archive = pax(*records) + header(b"short", size=b"\0" * 12) + padded(b"abc") + member(b"next") + END
    first, second = entries(archive, tmp_path)
    assert (first.name, first.uid, first.gid, first.mtime_ns) == (b"n" * 200, 2**32 - 2, 7, -1_500_000_000)
    assert content(archive, first) == b"abc"
    assert (second.name, second.uid) == (b"next", 0)


def test_a_global_header_holds_until_a_member_takes_it_back(tmp_path: Path) -> None:
    archive = pax((b"uid", b"5"), (b"comment", b"x"), flag=b"g") + member(b"a")
    archive += pax((b"uid", b"")) + member(b"b") + pax((b"uid", b"6")) + member(b"c") + member(b"d") + END
    assert [e.uid for e in entries(archive, tmp_path)] == [5, 0, 6, 5]


def test_extended_attributes_keep_every_byte(tmp_path: Path) -> None:
    value = b"\0\n=\xff"
    archive = pax((b"SCHILY.xattr.user.b", value), (b"SCHILY.xattr.user.empty", b"")) + member() + END
    assert only(archive, tmp_path).xattrs == ((b"user.b", value), (b"user.empty", b""))


def test_libarchives_attributes_are_decoded(tmp_path: Path) -> None:
    archive = pax((b"LIBARCHIVE.xattr.user.a%20b", b"AP8"), (b"RHT.security.selinux", b"x")) + member() + END
    assert only(archive, tmp_path).xattrs == ((b"user.a b", b"\0\xff"),)


def test_attributes_that_linux_gives_to_no_such_file_are_left_out(tmp_path: Path) -> None:
    names = (b"user.a", b"trusted.b", b"system.posix_acl_access", b"system.posix_acl_default", b"com.apple.quarantine")
    value = acl.from_text(b"user::rw-,group::r--,mask::rwx,other::---", acl.ACCESS) or b""
    records = pax(*((b"SCHILY.xattr." + name, value) for name in names))
    wanted = {b"0": [0, 1, 2], b"5": [0, 1, 2, 3], b"2": [1], b"3": [1, 2], b"6": [1, 2]}
    for flag, indices in wanted.items():
        found = only(records + header(b"f", flag, target=b"t") + END, tmp_path).xattrs
        assert {name for name, _ in found} == {names[index] for index in indices}, flag


def test_a_list_of_rights_is_stronger_than_the_mode(tmp_path: Path) -> None:
    masked = pax((b"SCHILY.acl.access", b"user::r--,user:5:rwx,group::rwx,mask::-w-,other::--x"))
    assert only(masked + header(mode=b"0004777\0") + END, tmp_path).mode == 0o4421
    named = pax((b"SCHILY.xattr.system.posix_acl_access", acl.from_text(b"u::rwx,g::r,m::r,o::-", acl.ACCESS) or b""))
    assert only(named + header() + END, tmp_path).mode == 0o740


def test_a_symlink_has_the_one_mode_that_it_can_have(tmp_path: Path) -> None:
    assert only(header(b"a", b"2", target=b"t", mode=b"0004600\0") + END, tmp_path).mode == 0o777


CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
NAMESPACED = struct.pack("<I", 0x03000000) + CAPABILITY[4:]


@pytest.mark.parametrize("value", [CAPABILITY, NAMESPACED + struct.pack("<I", 100_000)])
def test_file_capabilities_of_both_revisions_are_kept(value: bytes, tmp_path: Path) -> None:
    archive = pax((b"SCHILY.xattr.security.capability", value)) + header() + END
    assert only(archive, tmp_path).xattrs == ((b"security.capability", value),)


def test_a_signed_checksum_of_old_tars_is_right(tmp_path: Path) -> None:
    block = header(b"\xe9\xe8")
    blank = block[:148] + b" " * 8 + block[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in blank)
    assert only(block[:148] + b"%06o\0 " % signed + block[156:] + END, tmp_path).name == b"\xe9\xe8"


@pytest.mark.parametrize("end", [b"", bytes(512), END, END + b"garbage"])
def test_the_end_may_be_bare_marked_or_followed_by_anything(end: bytes, tmp_path: Path) -> None:
    assert len(entries(member(b"a", b"x") + end, tmp_path)) == 1


def test_an_archive_without_members_is_one(tmp_path: Path) -> None:
    assert entries(END, tmp_path) == []


def test_a_descriptor_is_read_without_moving_it(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"12345" + bytes(3))
    with open(path, "wb") as file:
        file.write(member(b"a", b"x" * 6000) + member(b"b") + END)
    with open(path, "rb") as file:
        os.lseek(file.fileno(), 3, os.SEEK_SET)
        found = list(tar.read_entries(file.fileno()))
        assert [e.name for e in found] == [b"a", b"b"]
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 3
        assert tar.read_data(file.fileno(), found[0], 6000) == b"x" * 6000
        with pytest.raises(ImageError) as caught:
            tar.read_data(file.fileno(), found[0], 5999)
        assert caught.value.reason == "limit"


def test_only_the_stated_size_is_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(member(b"a") + member(b"b") + END)
    assert [e.name for e in tar.read_entries(path, 512)] == [b"a"]


BAD = {
    "parent": (header(b"../x"), "escapes"),
    "parent inside": (header(b"a/../b"), "escapes"),
    "parent at the end": (header(b"a/..", b"5"), "escapes"),
    "absolute": (header(b"/etc/passwd"), "escapes"),
    "absolute in pax": (pax((b"path", b"/x")) + header(), "escapes"),
    "hard link out": (header(b"a", b"1", target=b"../../etc/shadow"), "escapes"),
    "absolute hard link": (header(b"a", b"1", target=b"/etc/shadow"), "escapes"),
    "no name": (header(b""), "name"),
    "NUL in a pax name": (pax((b"path", b"a\0b")) + header(), "name"),
    "long part": (pax((b"path", b"a" * 256)) + header(), "name"),
    "long name": (pax((b"path", b"a/" * 2048 + b"b")) + header(), "name"),
    "hard link to nothing": (header(b"a", b"1"), "name"),
    "symlink to nothing": (header(b"a", b"2"), "name"),
    "long symlink": (pax((b"linkpath", b"t" * 4096)) + header(b"a", b"2"), "name"),
    "NUL in a symlink": (pax((b"linkpath", b"t\0t")) + header(b"a", b"2"), "name"),
    "file with a slash": (header(b"a/"), "name"),
    "contiguous file": (header(b"a", b"7"), "type"),
    "GNU dumpdir": (header(b"a/", b"D"), "type"),
    "volume": (header(b"a", b"M"), "type"),
    "dumpdir in pax": (pax((b"GNU.dumpdir", b"Yx\0")) + header(b"a/", b"5"), "type"),
    "checksum": (header(b"a")[:-1] + b"x", "checksum"),
    "no tar at all": (b"x" * 1024, "checksum"),
    "bad number": (header(mode=b"000064x\0"), "header"),
    "negative size": (header(size=(-512).to_bytes(12, "big", signed=True)), "header"),
    "huge size": (header(size=b"\x80" + b"\x7f" * 11), "truncated"),
    "huge pax size": (pax((b"size", b"9" * 20)) + header(), "truncated"),
    "pax size is no number": (pax((b"size", b"-1")) + header(), "pax"),
    "negative owner": (header(uid=b"\xff" * 8), "header"),
    "owner beyond 32 bits": (pax((b"uid", b"4294967295")) + header(), "header"),
    "time beyond 64 bits": (header(mtime=b"\x80" + b"\x7f" * 11), "header"),
    "symlink with data": (header(b"a", b"2", size=5, target=b"x") + bytes(512), "header"),
    "hard link with data": (header(b"a", b"1", size=5, target=b"x") + bytes(512), "header"),
    "device out of range": (header(b"a", b"3", major=b"7777777\0"), "header"),
    "v7 device": (header(b"a", b"3", magic=b""), "header"),
    "goes on after one end mark": (bytes(512) + header(), "header"),
    "data cut off": (header(size=513) + bytes(512), "truncated"),
    "padding cut off": (header(size=5) + b"hello", "truncated"),
    "header cut off": (header() + bytes(511), "truncated"),
    "empty": (b"", "truncated"),
    "ends after pax": (pax((b"uid", b"1")), "truncated"),
    "ends after a long name": (gnu_long(b"x", b"L") + END, "truncated"),
    "two pax headers": (pax((b"uid", b"1")) + pax((b"uid", b"2")) + header(), "pax"),
    "two names": (gnu_long(b"x", b"L") + pax((b"path", b"y")) + header(), "pax"),
    "two targets": (gnu_long(b"x", b"K") + pax((b"linkpath", b"y")) + header(b"a", b"2"), "pax"),
    "path for all": (pax((b"path", b"x"), flag=b"g") + header(), "pax"),
    "size for all": (pax((b"size", b"0"), flag=b"g") + header(), "pax"),
    "record too long": (member(b"x", b"99 path=x\n", b"x") + header(), "pax"),
    "record too short": (member(b"x", b"3 path=x\n", b"x") + header(), "pax"),
    "record without length": (member(b"x", b"path=x\n", b"x") + header(), "pax"),
    "record without key": (pax((b"", b"x")) + header(), "pax"),
    "unknown character set": (pax((b"hdrcharset", b"EBCDIC")) + header(), "pax"),
    "bad time": (pax((b"mtime", b"1e9")) + header(), "pax"),
    "bad base64": (pax((b"LIBARCHIVE.xattr.user.a", b"!")) + header(), "pax"),
    "too much for all": (pax((b"SCHILY.acl.access", b"\n" * 5000), flag=b"g") + header(), "limit"),
    "too much for all, in parts": (
        b"".join(pax(*((b"k%d" % n, b"x" * 40) for n in range(n, n + 60)), flag=b"g") for n in (0, 60)) + header(),
        "limit",
    ),
    "pax too long": (header(b"x", b"x", size=(1 << 20) + 1) + bytes(1 << 20) + bytes(512), "limit"),
    "long name too long": (header(b"x", b"L", size=8192) + bytes(8192), "limit"),
    "attribute without a name": (pax((b"SCHILY.xattr.", b"x")) + header(), "xattr"),
    "attribute without a class": (pax((b"SCHILY.xattr.user", b"x")) + header(), "xattr"),
    "attribute too long": (pax((b"SCHILY.xattr.user.a", b"x" * 65537)) + header(), "xattr"),
    **{
        f"capability {number}": (pax((b"SCHILY.xattr.security.capability", value)) + header(), "xattr")
        for number, value in enumerate(
            [b"", CAPABILITY[:12], CAPABILITY[:-1], CAPABILITY + bytes(4), NAMESPACED, NAMESPACED + b"\xff" * 4]
            + [struct.pack("<I", 0x01000000) + CAPABILITY[4:12], struct.pack("<I", 0x02000002) + CAPABILITY[4:]]
        )
    },
    "ACL of nobody known": (pax((b"SCHILY.acl.access", b"user::rw-,user:joe:rw-,group::r--,other::---")), "acl"),
}


@pytest.mark.parametrize(("archive", "reason"), BAD.values(), ids=BAD.keys())
def test_what_is_refused(archive: bytes, reason: str, tmp_path: Path) -> None:
    whole = archive + (header() if reason == "acl" else b"")
    ends_itself = len(whole) % 512 or not whole or reason == "truncated"
    with pytest.raises(ImageError) as caught:
        entries(whole if ends_itself else whole + END, tmp_path)
    assert caught.value.reason == reason
    assert caught.value.sentence.isprintable()


def test_more_entries_than_allowed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_ENTRIES", 2)
    assert len(entries(header(b"a") + header(b"b") + END, tmp_path)) == 2
    with pytest.raises(ImageError) as caught:
        entries(header(b"a") + header(b"b") + header(b"c") + END, tmp_path)
    assert caught.value.reason == "limit"


def test_more_names_and_attributes_than_allowed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_TEXT", 13)
    entries(header(b"a") + header(b"b", b"2", target=b"t" * 11) + END, tmp_path)
    attribute = pax((b"SCHILY.xattr.user.b", b"1234567")) + header(b"f")
    for archive in (header(b"a" * 14), header(b"b" * 3, b"2", target=b"t" * 11), attribute):
        with pytest.raises(ImageError) as caught:
            entries(archive + END, tmp_path)
        assert caught.value.reason == "limit"


def test_what_stands_before_the_damage_is_yielded(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(header(b"a") + b"x" * 512)
    reading = tar.read_entries(path)
    assert next(reading).name == b"a"
    with pytest.raises(ImageError):
        next(reading)
