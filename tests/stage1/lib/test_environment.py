"""The environment of an app."""

from __future__ import annotations

from pathlib import Path

from stages.stage1.lib import accounts, environment
from stages.stage1.lib.manifest import App


def app(**section: object) -> App:
    return App({"name": "web", "app": {"exec": ["x"], **section}}, {})


def test_the_apps_variables_win_over_defaults_but_not_over_the_contracts(tmp_path: Path) -> None:
    pairs = [{"name": "PATH", "value": "/p"}, {"name": "AC_APP_NAME", "value": "liar"}, {"name": "A", "value": "1=2"}]
    account = accounts.Account(0, 0, "root", "/root", "/bin/sh")
    variables = environment.of(app(environment=pairs), account, "dumb", "http://h/t")
    assert dict(variables)["PATH"] == "/p" and dict(variables)["AC_APP_NAME"] == "web"
    assert dict(variables)["AC_METADATA_URL"] == "http://h/t" and dict(variables)["container"] == "podwright"
    environment.save(str(tmp_path / "env"), variables)
    assert b"A=1=2\0" in (tmp_path / "env").read_bytes() and (tmp_path / "env").stat().st_mode & 0o777 == 0o600
