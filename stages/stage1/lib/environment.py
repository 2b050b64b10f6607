"""The environment an app starts with, and the file that keeps it for later entries."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stages.stage1.lib.accounts import Account
    from stages.stage1.lib.manifest import App

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def of(app: App, account: Account, term: str, metadata_url: str = "") -> list[tuple[str, str]]:
    """Names and values in the order they are handed over: defaults, the app's own, ours (contract H.7, K.9)."""
    variables = {
        "PATH": PATH,
        "SHELL": account.shell,
        "USER": account.name,
        "LOGNAME": account.name,
        "HOME": account.home,
        "TERM": term,
    }
    variables.update(app.environment)
    variables["AC_APP_NAME"] = app.name
    variables["container"] = "podwright"
    if metadata_url:
        variables["AC_METADATA_URL"] = metadata_url
    return list(variables.items())


def save(path: str, variables: list[tuple[str, str]]) -> None:
    """Write `NAME=VALUE` records, each ended by a NUL, to `path` (contract B.1, rkt/env/<app>)."""
    content = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in variables)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(handle, "wb") as file:
        file.write(content)
