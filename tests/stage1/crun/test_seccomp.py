"""Seccomp isolators as OCI filters."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from stages.stage1.crun import seccomp
from stages.stage1.lib.errors import Stage1Error


def test_seccomp_errno_and_kill() -> None:
    remove = {"set": ["reboot"], "errno": "ENOSYS"}
    assert seccomp.profile("a", [(seccomp.REMOVE, remove)], print) == {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["reboot"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS}],
    }
    profile = seccomp.profile("a", [(seccomp.RETAIN, {"set": ["read"]})], lambda _: None)
    assert profile is not None and profile["defaultAction"] == "SCMP_ACT_KILL_PROCESS"
    assert "read" in profile["syscalls"][0]["names"] and "reboot" not in profile["syscalls"][0]["names"]


def test_what_a_retain_set_gets_on_top_is_told() -> None:
    told: list[str] = []
    seccomp.profile("web", [(seccomp.RETAIN, {"set": ["read", "write"]})], told.append)
    assert len(told) == 1 and "execve" in told[0] and " read " not in told[0]


@pytest.mark.parametrize(
    "isolator", [(seccomp.RETAIN, {"set": ["@appc.io/all"]}), (seccomp.REMOVE, {"set": ["@appc.io/empty"]})]
)
def test_the_groups_that_mean_no_filter(isolator: tuple[str, Any]) -> None:
    assert seccomp.profile("a", [isolator], print) is None


def test_an_unknown_group_is_told() -> None:
    told: list[str] = []
    for group in ("@rkt/other", "@other/default-whitelist", "@"):
        assert seccomp.profile("a", [(seccomp.REMOVE, {"set": [group]})], told.append) is None
        assert f" {group} " in told.pop()


@pytest.mark.parametrize("scope", ["@rkt", "@docker"])
@pytest.mark.contract("L.1 rkt_seccomp")
def test_rkt_s_own_groups_stand_for_their_calls(scope: str) -> None:
    told: list[str] = []
    kept = seccomp.profile("a", [(seccomp.RETAIN, {"set": [f"{scope}/default-whitelist", "reboot"]})], told.append)
    assert kept is not None and {"stat", "statx", "clone", "reboot"} <= set(kept["syscalls"][0]["names"])
    removed = seccomp.profile("a", [(seccomp.REMOVE, {"set": [f"{scope}/default-blacklist"]})], told.append)
    assert removed is not None and {"mount", "keyctl"} <= set(removed["syscalls"][0]["names"])
    assert not told  # Nothing had to be added for the runtime: the list is one that programs run under.


def test_systemd_s_groups_stand_for_their_calls() -> None:
    removed = seccomp.profile("a", [(seccomp.REMOVE, {"set": ["@systemd/clock", "@systemd/raw-io"]})], print)
    assert removed is not None and {"clock_settime", "iopl"} <= set(removed["syscalls"][0]["names"])


@pytest.mark.parametrize(
    "found",
    [
        [(seccomp.REMOVE, {"set": []})],
        [(seccomp.REMOVE, {"set": ["x"], "errno": "EODD"})],
        [(seccomp.REMOVE, {"set": ["x"]}), (seccomp.RETAIN, {"set": ["x"]})],
        [(seccomp.REMOVE, {"set": ["@appc.io/all"]})],
        [(seccomp.RETAIN, None)],
    ],
)
def test_a_malformed_seccomp_isolator_is_refused(found: list[tuple[str, object]]) -> None:
    with pytest.raises(Stage1Error):
        seccomp.profile("a", found, print)
