"""Real keys and signatures, made by gpg in a home directory of its own."""

from __future__ import annotations

import contextlib
import os
import re
import select
import subprocess
from pathlib import Path

MADE, LATER = "20200101T000000", "20200201T000000"


class Signer:
    """One key. expired: it was made, and signs, in a year that is over."""

    def __init__(self, home: Path, user: str = "Signer <signer@example.com>", *, expired: bool = False) -> None:
        self.home = home
        home.mkdir(mode=0o700)
        self._when = ["--faked-system-time", LATER] if expired else []
        made = ["--faked-system-time", MADE] if expired else []
        self.gpg(*made, "--quick-gen-key", user, "ed25519", "sign", "1y" if expired else "never")
        rows = self.gpg("--with-colons", "--list-keys").decode().splitlines()
        self.fingerprint = next(row.split(":")[9] for row in rows if row.startswith("fpr:")).lower()

    def gpg(self, *words: str, stdin: bytes = b"") -> bytes:
        secret = ["--pinentry-mode", "loopback", "--passphrase", ""]
        command = ["gpg", "--homedir", str(self.home), "--batch", "--no-tty", "--quiet", *secret, *words]
        done = subprocess.run(command, input=stdin, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def public(self) -> bytes:
        return self.gpg("--armor", "--export")

    def secret(self) -> bytes:
        return self.gpg("--armor", "--export-secret-keys")

    def sign(self, data: bytes, *options: str) -> bytes:
        return self.gpg(*self._when, *(options or ("--armor",)), "--detach-sign", "--output", "-", stdin=data)

    def revoke(self) -> None:
        (made,) = (self.home / "openpgp-revocs.d").iterdir()
        self.gpg("--import", stdin=made.read_bytes().replace(b":-----", b"-----"))

    def close(self) -> None:
        """End the agent that gpg started, which may have become a child of ours."""
        home = ["--homedir", str(self.home)]
        said = subprocess.run(
            ["gpg-connect-agent", *home, "--no-autostart", "getinfo pid", "/bye"], capture_output=True
        )
        found = re.match(rb"D (\d+)\n", said.stdout)
        if found is None:
            return
        agent = os.pidfd_open(int(found[1]))
        subprocess.run(["gpgconf", *home, "--kill", "all"], check=True, capture_output=True)
        select.select([agent], [], [])
        os.close(agent)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(int(found[1]), 0)
