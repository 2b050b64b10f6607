"""Small archives that unpack to more than the disk has."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.images import build, oci
from stages.images.compression import _zstd_module
from tests.images.oci_maker import Image, layer, pack, write_layout
from tests.system.workbench import Project

pytestmark = pytest.mark.system

# Runs the command over a small data directory, and says how much was free at the worst, in tenths of a percent.
SMALL = """
mount -t tmpfs -o size=64m none "$0" || exit 9
"$@" & command=$!
least=1000
while kill -0 $command 2>/dev/null; do
  set -- $(stat -f -c '%a %b' "$0"); now=$(($1 * 1000 / $2)); test $now -lt $least && least=$now
done
wait $command; code=$?; echo "$least" >"$0.least"; find "$0/images/blobs" -type f >"$0.left"; exit $code
"""


def header() -> bytes:
    """Of a tar archive with one file of a gigabyte."""
    fields = bytearray(512)
    fields[:4], fields[100:107], fields[124:135] = b"zero", b"0000644", b"%011o" % (1 << 30)
    fields[148:156], fields[156:157], fields[257:265] = b" " * 8, b"0", b"ustar\x0000"
    fields[148:155] = b"%06o\0" % sum(fields)
    return bytes(fields)


def packed(kind: str) -> bytes:
    pieces = [header(), *[bytes(1 << 20)] * 1024, bytes(1024)]
    if kind == "gzip":
        return b"".join(gzip.compress(piece, 1, mtime=0) for piece in pieces)
    return b"".join(_zstd_module().compress(piece, 1) for piece in pieces)


class Bomb(Image):
    """A good layer, and one that is a bomb whatever its diff id says."""

    def blobs(self) -> list[tuple[str, bytes]]:
        return [pack(self.layers[0], self.kind), (f"{oci.LAYER}+{self.kind}", packed(self.kind))]


def as_aci(folder: Path, kind: str) -> str:
    (folder / "bomb.aci").write_bytes(packed(kind))
    return "images/bomb.aci"


def as_layer(folder: Path, kind: str) -> str:
    write_layout(folder / "bomb", {"x": Bomb([layer([build.regular("good", b"")]), b"bomb"], kind)})
    return "oci:images/bomb"


def as_archive(folder: Path, kind: str) -> str:
    """A packed archive of a layout, which has to be unpacked to be looked at."""
    (folder / "bomb.tar").write_bytes(packed(kind))
    return "oci-archive:images/bomb.tar"


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@pytest.mark.parametrize("made", [as_aci, as_layer, as_archive])
def test_a_bomb_is_refused_before_the_disk_is_full(tmp_path: Path, kind: str, made: Callable[[Path, str], str]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    wrapper = ["unshare", "--mount", "--propagation", "private", "sh", "-c", SMALL, str(data)]
    project = Project(tmp_path / "project", data, wrapper=wrapper)
    done = project.doit("images", "import", made(project.root / "images", kind))
    assert done.code == 1 and "no space left while importing" in done.err and "Traceback" not in done.err, done.err
    assert int((tmp_path / "data.least").read_text()) >= 50
    assert (tmp_path / "data.left").read_text() == ""
