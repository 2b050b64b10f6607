"""The one blob store: uncompressed archives and layers, each there once, under the digest of its bytes.

<images>/blobs/<algorithm>/<hex>   the bytes; sha512 for appc archives, sha256 for OCI layers (their diff ids)
<images>/seals/<blob id>           the blob's stamp when its digest was last checked: unmoved means whole;
                                   with it, where there is fs-verity, what the kernel holds every read to
<images>/inventories/<blob id>     see images.inventory
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from stages.base import files
from stages.base.digest import canonical
from stages.base.errors import FULL, HostError
from stages.base.paths import DataDir
from stages.base.progress import Progress
from stages.base.records import NamedTuple
from stages.linux import locks, verity

if TYPE_CHECKING:
    from stages.images.compression import Stream
    from stages.images.intake import Beside

CHUNK = 1 << 20
_HEX_DIGITS = {"sha256": 64, "sha512": 128}
_OF_LENGTH = {length: algorithm for algorithm, length in _HEX_DIGITS.items()}


def _go_on(count: int) -> bool:
    return True


class Blobs(NamedTuple):
    """The blobs of one data directory. A blob id is `sha512-<hex>` or `sha256-<hex>`."""

    data: DataDir

    def path(self, blob_id: str) -> Path:
        """Where the blob is, if it is there."""
        return self.data.images.blob(blob_id)

    def has(self, blob_id: str) -> bool:
        """Whether the blob is stored whole; a look, no content is read."""
        sealed = files.read_or_none(self.data.images.seal(blob_id))
        return sealed is not None and sealed == _seal(self.path(blob_id), measured=b'"verity"' in sealed)

    def heal(self, blob_id: str) -> bool:
        """Whether the blob is whole after all: one that moved is read again, and sealed if it is right."""
        if self.has(blob_id):
            return True
        with self.lock(blob_id):
            if not self.rehash(blob_id):
                return False
            self.seal(blob_id)
            return True

    def rehash(self, blob_id: str, told: Callable[[int], bool] = _go_on) -> bool:
        """Read the whole blob: is it what its id says?

        told: gets the bytes of every piece, and says whether to go on; a blob not read to its end is not whole.
        """
        algorithm, _, digits = blob_id.partition("-")
        try:
            with open(self.path(blob_id), "rb", buffering=0) as file:
                return _digest(file, algorithm, told) == digits
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno == errno.EIO:  # the disk's word, or fs-verity's: these bytes are not those that were stored
                return False
            raise

    def lock(self, blob_id: str) -> contextlib.AbstractContextManager[None]:
        """Hold this while the blob comes or goes."""
        return locks.held(self.data.image_locks / blob_id)

    def keep(self, spool: BinaryIO, blob_id: str) -> None:
        """Make a spool, checked by the caller, the blob of this id. The caller holds the lock."""
        os.fsync(spool.fileno())
        blob = self.path(blob_id)
        blob.unlink(missing_ok=True)  # whatever vouched for it does no more
        _link(spool.fileno(), blob)
        _read_only(spool)
        files.sync_directory(blob.parent)
        self.seal(blob_id)

    def seal(self, blob_id: str) -> None:
        """Freeze the blob where the kernel does that, and remember its stamp; the caller has checked the digest.

        What the stamp says after a crash is checked by reading, so no sync is needed.
        """
        verity.enable(self.path(blob_id))
        sealed = _seal(self.path(blob_id), measured=True)
        files.publish(self.data.images.seal(blob_id), sealed or b"", durable=False)

    def unseal(self, blob_id: str) -> None:
        """Trust the blob no more: it is read again before it is used. The caller holds the lock."""
        self.data.images.seal(blob_id).unlink(missing_ok=True)

    def drop(self, blob_id: str) -> int:
        """Take the blob out; returns the bytes given back. The caller holds the lock of all layers, exclusively."""
        size = self.gives_back(blob_id)
        self.data.images.inventory(blob_id).unlink(missing_ok=True)
        self.data.images.seal(blob_id).unlink(missing_ok=True)
        self.path(blob_id).unlink(missing_ok=True)
        return size

    def size(self, blob_id: str) -> int:
        """The bytes of the blob; a missing one has none."""
        return _size(self.path(blob_id))

    def gives_back(self, blob_id: str) -> int:
        """The bytes that are free without the blob: its own, and what is kept of its headers."""
        return self.size(blob_id) + _size(self.data.images.inventory(blob_id))

    def ids(self) -> list[str]:
        """All blobs that there are, whole or not, sorted."""
        found = []
        for algorithm in _HEX_DIGITS:
            with contextlib.suppress(FileNotFoundError):
                found += [f"{algorithm}-{name}" for name in os.listdir(self.data.images.blobs / algorithm)]
        return sorted(found)

    @contextlib.contextmanager
    def spool(self, where: str) -> Iterator[BinaryIO]:
        """A file without a name on the store's file system: a killed import leaves nothing behind.

        It takes no more than an import may. Raises HostError, with `where`, when it is full, or the disk is.
        """
        from stages.images import intake
        from stages.linux import memory

        memory.large_apart()  # what is read of an archive takes much of it, and then no more
        paths = self.data.images
        for directory in (paths.incoming, paths.seals, *(paths.blobs / name for name in _HEX_DIGITS)):
            files.make_directory(directory)
        descriptor = os.open(paths.incoming, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o440)
        try:
            with intake.Spool(descriptor, "r+") as raw, io.BufferedRandom(raw) as spool:
                try:
                    yield spool
                except BaseException:
                    raw.close()  # what is not written yet would be refused once more
                    raise
        except OSError as error:
            if error.errno not in FULL or str(error.filename or "").startswith("/"):  # which says where
                raise
            raise no_space(where) from error


def _size(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return os.stat(path).st_size
    return 0


def blob_id(digits: str) -> str:
    """The id of the blob whose file has this name."""
    return f"{_OF_LENGTH[len(digits)]}-{digits}"


def receive(
    file: BinaryIO,
    spool: BinaryIO,
    algorithm: str,
    progress: Progress,
    beside: Beside[Any] | None = None,
) -> str:
    """Copy the archive in `file`, plain or compressed, into `spool` uncompressed; returns the digest of that, in hex.

    Reports the bytes taken from `file` to progress, which has begun. beside: who reads the spool meanwhile. Raises
    ImageError for damaged input.
    """
    from stages.images import compression, intake

    digest = hashlib.new(algorithm)
    begin = file.tell()
    kind = compression.detect(file.read(compression.HEAD))
    file.seek(begin)
    with contextlib.closing(compression.open_stream(file, kind)) as stream:
        write = intake.Writer(spool.fileno(), beside.grow if beside else None).take
        intake.pump(_pieces(stream, file, progress), (digest.update, write))
    if beside:
        beside.end()
    return digest.hexdigest()


def _pieces(stream: Stream, file: BinaryIO, progress: Progress) -> Iterator[bytes]:
    before = file.tell()
    while chunk := stream.read(CHUNK):
        yield chunk
        after = file.tell()
        progress.advance(after - before)
        before = after


def no_space(where: str) -> HostError:
    """What an import says when the disk is full."""
    return HostError(
        f"no space left while importing {where}",
        hint="make room in the data directory; the store is as it was",
        reason="no-space",
    )


def _digest(file: io.FileIO, algorithm: str, told: Callable[[int], bool]) -> str:
    """In hex, of all the file; "" when it was told to stop."""
    digest, piece = hashlib.new(algorithm), bytearray(CHUNK)
    view = memoryview(piece)
    while count := file.readinto(piece):
        digest.update(view[:count])
        if not told(count):
            return ""
    return digest.hexdigest()


def _link(descriptor: int, path: Path) -> None:
    """Give a file without a name its name. Only with a directory descriptor does os.link follow the link in /proc."""
    own = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.link(str(descriptor), path, src_dir_fd=own, follow_symlinks=True)
    finally:
        os.close(own)


def _read_only(spool: BinaryIO) -> None:
    """Give up the right to write to the file: as long as anybody has it, the kernel does not freeze the file."""
    spool.flush()
    reopened = os.open(f"/proc/self/fd/{spool.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.dup2(reopened, spool.fileno(), inheritable=False)
    finally:
        os.close(reopened)


def _seal(blob: Path, *, measured: bool) -> bytes | None:
    found = verity.stamped(blob, measured)
    return None if found is None else canonical(found)
