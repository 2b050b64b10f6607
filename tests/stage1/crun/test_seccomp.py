"""Seccomp isolators as OCI filters, and the filter of an app without any."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from stages.stage1.crun import seccomp
from stages.stage1.lib.errors import Stage1Error


def test_seccomp_errno_and_kill() -> None:
    remove = {"set": ["reboot"], "errno": "ENOSYS"}
    assert seccomp.profile("a", [(seccomp.REMOVE, remove)], (), print) == {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["reboot"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS}],
    }
    profile = seccomp.profile("a", [(seccomp.RETAIN, {"set": ["read"]})], (), lambda _: None)
    assert profile is not None and profile["defaultAction"] == "SCMP_ACT_KILL_PROCESS"
    assert "read" in profile["syscalls"][0]["names"] and "reboot" not in profile["syscalls"][0]["names"]


def test_what_a_retain_set_gets_on_top_is_told() -> None:
    told: list[str] = []
    seccomp.profile("web", [(seccomp.RETAIN, {"set": ["read", "write"]})], (), told.append)
    assert len(told) == 1 and "execve" in told[0] and " read " not in told[0]


def test_retaining_all_means_no_filter() -> None:
    assert seccomp.profile("a", [(seccomp.RETAIN, {"set": ["@appc.io/all"]})], (), print) is None


@pytest.mark.contract("L.1 rkt_seccomp")
@pytest.mark.parametrize("isolators", [[], [(seccomp.REMOVE, {"set": ["@appc.io/empty"]})]])
def test_without_a_set_and_with_nothing_removed_there_is_the_default(isolators: list[tuple[str, object]]) -> None:
    found = seccomp.profile("a", isolators, (), print)
    assert found is not None and found["defaultAction"] == "SCMP_ACT_ALLOW"
    assert {"mount", "keyctl", "unshare", "bpf"} <= refused(found, errno.EPERM)
    assert refused(found, errno.ENOSYS) == {"clone3", "io_uring_enter", "io_uring_register", "io_uring_setup"}
    assert not {"ptrace", "read", "execve", "name_to_handle_at"} & refused(found, errno.EPERM)


@pytest.mark.parametrize(
    ("capability", "calls"),
    [
        ("CAP_SYS_ADMIN", {"mount", "unshare", "setns", "bpf", "perf_event_open", "syslog", "clone", "open_tree_attr"}),
        ("CAP_BPF", {"bpf"}),
        ("CAP_SYSLOG", {"syslog"}),
        ("CAP_SYS_TIME", {"clock_settime", "settimeofday"}),
        ("CAP_SYS_MODULE", {"init_module"}),
    ],
)
def test_a_capability_brings_its_calls(capability: str, calls: set[str]) -> None:
    without, having = (seccomp.profile("a", [], given, print) for given in ((), (capability,)))
    assert without is not None and having is not None
    assert calls <= refused(without, errno.EPERM) and not calls & refused(having, errno.EPERM)
    assert {"keyctl", "userfaultfd"} <= refused(having, errno.EPERM)
    assert ("clone3" in refused(having, errno.ENOSYS)) is (capability != "CAP_SYS_ADMIN")


def refused(profile: dict[str, Any], number: int) -> set[str]:
    """The calls that end with this error."""
    rules = [rule for rule in profile["syscalls"] if rule["errnoRet"] == number]
    return {name for rule in rules for name in rule["names"]}


def test_an_unknown_group_is_told() -> None:
    told: list[str] = []
    for group in ("@rkt/other", "@other/default-whitelist", "@"):
        default = seccomp.profile("a", [], (), print)
        assert seccomp.profile("a", [(seccomp.REMOVE, {"set": [group]})], (), told.append) == default
        assert f" {group} " in told.pop()


@pytest.mark.parametrize("scope", ["@rkt", "@docker"])
@pytest.mark.contract("L.1 rkt_seccomp")
def test_rkt_s_own_groups_stand_for_their_calls(scope: str) -> None:
    told: list[str] = []
    kept = seccomp.profile("a", [(seccomp.RETAIN, {"set": [f"{scope}/default-whitelist", "reboot"]})], (), told.append)
    assert kept is not None and {"stat", "statx", "clone", "reboot"} <= set(kept["syscalls"][0]["names"])
    removed = seccomp.profile("a", [(seccomp.REMOVE, {"set": [f"{scope}/default-blacklist"]})], (), told.append)
    assert removed is not None and {"mount", "keyctl"} <= set(removed["syscalls"][0]["names"])
    assert not told  # Nothing had to be added for the runtime: the list is one that programs run under.


def test_systemd_s_groups_stand_for_their_calls() -> None:
    removed = seccomp.profile("a", [(seccomp.REMOVE, {"set": ["@systemd/clock", "@systemd/raw-io"]})], (), print)
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
        seccomp.profile("a", found, (), print)
