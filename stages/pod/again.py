"""A start that was made before, made again: when nothing it depended on moved, there is nothing to find out.

stages/graph/remember.py wrote down, after a run in which every step was fresh, the identity of every file that was
looked at to find that out, and what the run then did. Here the identities are looked at again and the same is done;
in every other case nothing is done, and the steps are asked. Light: it imports nothing that Python's start does not
have already, but for what the mounts need.
"""

from __future__ import annotations

import os
import stat
import sys

from stages.base import entries, place, quickjson
from stages.base.errors import PodwrightError, placed, worded
from stages.linux import flock, process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORMAT = 1
PLACE = 3
# The directory of the code: what other code remembered counts for nothing.
CODE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_STARTED = ("run\n", "prepared\n")
# What only a run leaves in a pod's directory. The phase is not synced: after a crash it may not tell of the run.
_TRACES = ("init", "pid", "ppid", "sharedVolumes", "net-info.json", "stage1-run")


def start(project: str, word: str, *, known_dodo: bool = False, light: bool = False) -> int | None:
    """Become the init of the pod that `word` means. None when that is not as it was before: nothing was done then.

    known_dodo: only a start that doit itself found fresh will do, with the dodo.py that is there. light: nothing but
    this has been loaded, so that a stage1 in Python may have this process as it is. Returns an exit code when the pod
    cannot be started.
    """
    try:
        record = _recall(project, word)
    except (OSError, ValueError):
        return None
    if record is None or (known_dodo and not record["dodo"]):
        return None
    held = _held(record)
    if held is None:
        return None
    try:
        try:
            forget_process(record["pod"])
        except OSError:
            return None  # as whoever goes on will tell
        if is_fresh(record):
            return _go(record, held[1], light)
    finally:
        for descriptor in held:
            os.close(descriptor)
    return None


def _recall(project: str, word: str) -> dict[str, Any] | None:
    """What is remembered of the start, if we wrote it, for this word in this folder, in these circumstances."""
    link = place.start_link(place.data_root(os.environ, os.geteuid()), project, word)
    if link is None:
        return None
    with open(link, encoding="utf-8", errors="surrogateescape", opener=_at_once) as file:
        status = os.fstat(file.fileno())
        if os.geteuid() != 0 or status.st_uid != 0 or status.st_mode & 0o022 or not stat.S_ISREG(status.st_mode):
            return None
        record = quickjson.loads(file.read())
    known = isinstance(record, dict) and record.get("circumstances") == circumstances(project, word)
    return record if known else None


def circumstances(project: str, word: str) -> list[Any]:
    """What a start depends on that is neither file nor variable; as JSON has it."""
    return [FORMAT, CODE, project, word, sys.version, list(os.uname())]


def _held(record: dict[str, Any]) -> tuple[int, int] | None:
    """The store's lock and the pod's, in the order of every run; None when somebody has the pod, or nobody made it."""
    try:
        store = flock.shared(record["store lock"])
    except OSError:
        return None
    try:
        pod = flock.try_lock(record["pod"])
    except OSError:
        pod = None
    if pod is None:
        os.close(store)
        return None
    return store, pod


def is_fresh(record: dict[str, Any]) -> bool:
    """Whether everything that was looked at is what it was. Reads no file but a few of /proc and the pod's phase."""
    return (
        all(os.environ.get(name) == value for name, value in record["variables"].items())
        and (record["environment"] is None or record["environment"] == dict(os.environ))
        and all(is_still(path, True, found) for path, found in record["files"].items())
        and all(is_still(path, False, found) for path, found in record["names"].items())
        and all(text(path) == found for path, found in record["texts"].items())
        and all(fits(path, kind) for path, kind in record["volumes"])
        and text(f"{record['pod']}/phase") in _STARTED
        and not os.path.lexists(f"{record['pod']}/mds-registered")
        and not entries.mounted(os.path.realpath(record["pod"]))
    )


def identity(path: str, follow: bool) -> list[int]:
    """What tells one state of a file from another without reading it; the error's number alone without a file.

    The first PLACE of the numbers tell a place: that there is this directory, whatever is in it.
    """
    try:
        found = os.stat(path, follow_symlinks=follow)
    except OSError as error:
        return [error.errno or 0]
    return [found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def is_still(path: str, follow: bool, found: list[int]) -> bool:
    """Whether a file, or a place, is what was found."""
    now = identity(path, follow)
    return (now[:PLACE] if len(found) == PLACE else now) == found


def text(path: str) -> str | None:
    """A small file that has no identity, those of /proc; None where it cannot be read. A FIFO is not waited for."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", opener=_at_once) as file:
            return file.read(1 << 20)
    except OSError:
        return None


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def fits(path: str, kind: str) -> bool:
    """Whether a host volume is there, and of its kind: the value of a spec's PathType."""
    return {"": os.path.exists, "Directory": os.path.isdir, "File": os.path.isfile}[kind](path)


def _go(record: dict[str, Any], lock_fd: int, light: bool) -> int:
    """Clear the old run away, make the layers, and make the start. Returns only an exit code."""
    from stages.linux import acts

    try:
        clear(record)
        acts.do(record["furniture"])
    except (PodwrightError, OSError) as error:
        return _told(error)
    return make(record, lock_fd, light=light)


def make(start: dict[str, Any], lock_fd: int, *, light: bool) -> int:
    """Mount the layers and become stage1, with the pod's lock. light: as in start(). Returns only an exit code.

    start: of a record the part that graph/remember.py makes by start().
    """
    from stages.linux import acts

    try:
        acts.mount_privately(start["mounts"], _ids(start))
        for line in start["lines"]:
            _say(line)
        pod = start["pod"]
        for path, content in start["published"]:
            _publish(path, content, 0o640)
        _publish(f"{pod}/init", f"{os.getpid()} {process.started(os.getpid())}", 0o640)
        _publish(f"{pod}/phase", "run\n", 0o644)
    except (PodwrightError, OSError) as error:
        return _told(error)
    return _become(start, lock_fd, light)


def clear(record: dict[str, Any]) -> None:
    """Take away what the run before left, as pod/lifecycle.py does; without a phase the pod is being prepared.

    Raises OSError.
    """
    pod, garbage, kept = record["pod"], record["garbage"], frozenset(record["kept"])
    if has_run(pod):
        if not (record["mark"] and os.path.isfile(f"{pod}/{record['mark']}")):
            code = run_gc(record["gc"], record["gc argv"], pod, record["gc mounts"], _ids(record))
            if code:
                os.write(2, f"warning: stage1's gc ended with {code}\n".encode())
        os.makedirs(garbage, mode=0o700, exist_ok=True)
        for name in os.listdir(pod):
            if name not in kept:
                doomed = f"{garbage}/{name}.{os.urandom(4).hex()}"
                os.rename(f"{pod}/{name}", doomed)
                entries.tree(doomed)
    entries.tree(f"{pod}/phase")


def has_run(pod: str) -> bool:
    """Whether there is a run to be cleared away: by the phase, or by what only a run leaves."""
    phase = text(f"{pod}/phase") or ""
    return phase.strip() == "run" or any(os.path.lexists(f"{pod}/{name}") for name in _TRACES)


def forget_process(pod: str) -> None:
    """Whoever finds the lock held by us must not take the old run's process, or its number's new owner, for the pod."""
    for name in ("pid", "ppid"):
        entries.tree(f"{pod}/{name}")


def run_gc(program: str, argv: list[str], pod: str, shown: list[Any], ids: tuple[int, int] | None) -> int:
    """Run stage1's gc in the pod's directory; how it ended, 127 when it could not be executed.

    shown: the acts that mount stage1's root as the run that is over had it; where it cannot be mounted any more, gc
    does without.
    """
    child = os.fork()
    if child == 0:
        try:
            _mount(shown, ids)
            os.chdir(pod)
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 0)
            os.dup2(null, 1)
            os.closerange(3, 1 << 16)
            process.default_signals()
            os.execv(program, argv)
        finally:
            os._exit(127)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _mount(shown: list[Any], ids: tuple[int, int] | None) -> None:
    from stages.linux import acts

    try:
        acts.mount_privately(shown, ids)
    except (PodwrightError, OSError):
        return


def _ids(record: dict[str, Any]) -> tuple[int, int] | None:
    return tuple(record["ids"]) if record["ids"] else None


def _become(record: dict[str, Any], lock_fd: int, light: bool) -> int:
    program, argv, pod = record["program"], record["argv"], record["pod"]
    added = {**record["added"], record["lock variable"]: str(lock_fd)}
    try:
        if light and record["python"]:
            process.go_on(program, argv, added, pod, lock_fd)
        process.become(program, argv, {**os.environ, **added}, pod, lock_fd)
    except PodwrightError as error:
        return _told(error)


def _publish(path: str, text: str, mode: int) -> None:
    """As base/files.py, not synced, like everything of a run: a reader sees the old text or the new one."""
    temporary, descriptor = entries.begun(path, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            os.rename(temporary, path)
    except OSError as error:
        os.unlink(temporary)
        raise placed(error, path) from None


def _say(line: str) -> None:
    try:  # noqa: SIM105 - contextlib is not loaded here
        os.write(2, f"podwright: {line}\n".encode("utf-8", "surrogateescape"))
    except OSError:
        pass  # what nobody can be told is no reason to stop


def _told(error: PodwrightError | OSError) -> int:
    _say(worded(error).text())
    return worded(error).exit_code
