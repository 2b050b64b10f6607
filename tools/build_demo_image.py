"""Builds the demo's image from this machine's busybox, the same bytes from the same busybox."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from stages.base import files
from stages.images import build
from stages.linux import host

GREETING = r"""#!/bin/sh
# Says where this runs, as seen from inside.
. /etc/os-release
set -- /proc/[0-9]*
echo "Hello from app $AC_APP_NAME in pod $(hostname)."
echo
echo "What this app sees:"
echo "  root        $PRETTY_NAME, $(ls / | wc -l) names in /"
echo "  processes   $#, and this one is number $$"
echo "  network     $(ls /sys/class/net 2>/dev/null | tr '\n' ' ')"
echo "  user        $(id -un)"
echo "  kernel      $(uname -sr), shared with the host"
"""

FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/os-release": 'ID=hello\nNAME=Hello\nPRETTY_NAME="the demo image (busybox)"\n',
}
DIRECTORIES = ("bin", "dev", "etc", "mailbox", "proc", "root", "sys", "tmp", "usr")


def manifest() -> dict[str, object]:
    """The image manifest of appc, schema 0.8.11."""
    return {
        "acKind": "ImageManifest",
        "acVersion": "0.8.11",
        "name": "podwright.dev/hello",
        "labels": [{"name": "os", "value": host.OS}, {"name": "arch", "value": host.arch()}],
        "app": {
            "exec": ["/bin/greet"],
            "user": "0",
            "group": "0",
            "environment": [{"name": "PATH", "value": "/bin"}],
        },
    }


def members(busybox: Path) -> Iterator[build.Member]:
    """The image's files: busybox under all its names, the libraries it wants, and the greeting."""
    libraries = _libraries(busybox)
    for name in sorted({*DIRECTORIES, *(above for library in libraries for above in _parents(library))}):
        yield build.directory(name, 0o1777 if name == "tmp" else 0o755)
    for name, text in FILES.items():
        yield build.regular(name, text.encode())
    yield build.regular("bin/greet", GREETING.encode(), 0o755)
    yield build.regular("bin/busybox", busybox.read_bytes(), 0o755)
    for applet in _output(str(busybox), "--list"):
        if applet != "busybox":
            yield build.symlink(f"bin/{applet}", "busybox")
    for library in libraries:
        yield build.regular(library.strip("/"), Path(library).read_bytes(), 0o755)


def _libraries(program: Path) -> list[str]:
    """Absolute names of the shared libraries it loads; none for a static program. ldd says `name => path (address)`."""
    words = [word for line in _output("ldd", str(program), may_fail=True) for word in line.split()]
    return sorted({word for word in words if word.startswith("/") and not word.endswith(":")})


def _parents(name: str) -> list[str]:
    parts = name.strip("/").split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


def _output(*command: str, may_fail: bool = False) -> list[str]:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=not may_fail)
    return done.stdout.splitlines() if done.returncode == 0 else []


def main() -> int:
    """Writes the image named on the command line; 1 when there is no busybox to make it from."""
    target = Path(sys.argv[1])
    busybox = shutil.which("busybox", path=os.environ.get("PATH", "") + ":/bin:/usr/bin")
    if busybox is None:
        print("podwright: no busybox here to build the demo image from (Debian: busybox-static)", file=sys.stderr)
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.writing(target, 0o644) as out:
        build.write_archive(out, manifest(), members(Path(busybox)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
