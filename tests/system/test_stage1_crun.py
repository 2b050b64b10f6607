"""The crun flavor for real, under every OCI runtime of the host: what an app finds, may do, and how its pod ends."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import signal
import stat
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.system.stage1_pod import HandMadePod, filtered, sh

pytestmark = pytest.mark.system


@pytest.fixture(params=["crun", "runc"])
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name = str(request.param)
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    monkeypatch.setenv("PODWRIGHT_RUNTIME", name)
    return name


@pytest.fixture
def pod(tmp_path: Path, runtime: str) -> HandMadePod:
    return HandMadePod(tmp_path)


def isolator(name: str, value: Any) -> dict[str, Any]:
    return {"name": name, "value": value}


# ---- how a pod ends


@pytest.mark.contract("L.1 rkt_exit", "M 27")
def test_exit_code_of_the_only_app_is_the_pods(pod: HandMadePod) -> None:
    pod.add("web", sh("echo out; echo err >&2; exit 3"))
    ended = pod.run()
    assert (ended.returncode, ended.stdout, ended.stderr, pod.status("web")) == (3, "out\n", "err\n", "3")


@pytest.mark.contract("L.1 rkt_exit", "M 27")
def test_first_failure_ends_the_pod_and_is_its_code(pod: HandMadePod) -> None:
    # The pod may end before the first app has: it is asked to, and has heard nothing else by then.
    pod.add("one", sh("trap 'exit 0' TERM; touch /shared/one"))
    pod.add("two", sh("while [ ! -e /shared/one -o ! -e /shared/go ]; do sleep 0.01; done; exit 5"))
    pod.add("three", sh("trap 'exit 6' TERM; touch /shared/go; sleep 1000 & wait"))
    pod.manifest["volumes"] = [{"name": "shared", "kind": "empty"}]
    for app in pod.manifest["apps"]:
        app["mounts"] = [{"volume": "shared", "path": "/shared"}]
    ended = pod.run()
    assert ended.returncode == 5, ended
    assert [pod.status(name) for name in ("one", "two", "three")] == ["0", "5", "6"]


@pytest.mark.contract("L.1 rkt_exit", "M 27")
def test_an_app_that_cannot_be_run_ends_the_pod_wherever_it_stands(pod: HandMadePod) -> None:
    pod.add("one", ["/not-there"])
    pod.add("two", sh("exec sleep 1000"))
    pod.manifest["apps"][1]["app"]["eventHandlers"] = [{"name": "post-stop", "exec": sh("echo stopped")}]
    ended = pod.run()
    assert (ended.returncode, ended.stdout) == (127, ""), ended
    assert pod.status("one") == "127"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_signals_reach_the_app(pod: HandMadePod, number: signal.Signals) -> None:
    short = number.name.removeprefix("SIG")
    pod.add("web", sh(f"trap 'exit 9' {short}; echo up; while :; do sleep 0.02; done"))
    process = pod.start()
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    process.send_signal(number)
    process.communicate()
    assert process.returncode == 9


def test_an_app_that_does_not_mind_is_killed_by_sigterm(pod: HandMadePod) -> None:
    pod.add("web", sh("echo up; exec sleep 1000"))
    process = pod.start()
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    process.terminate()
    process.communicate()
    assert (process.returncode, pod.status("web")) == (143, "143")


@pytest.mark.parametrize(("name", "number"), [("SIGQUIT", 3), ("usr1", 10), ("RTMIN+3", 37), ("12", 12)])
def test_sigterm_becomes_the_stop_signal_of_the_image(pod: HandMadePod, name: str, number: int) -> None:
    annotations = [{"name": "podwright/stop-signal", "value": name}]
    script = f"trap 'exit 9' {number}; trap 'exit 8' TERM; echo up; while :; do sleep 0.02; done"
    pod.add("web", sh(script), runtime={"annotations": annotations})
    process = pod.start()
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    subprocess.run([pod.entrypoint("stop"), pod.uuid], cwd=pod.path, check=True)
    process.communicate()
    assert process.returncode == 9


def test_an_app_that_ignores_sigterm_is_killed_after_its_grace(pod: HandMadePod) -> None:
    pod.manifest["annotations"] = [{"name": "podwright/termination-grace-seconds", "value": "0.1"}]
    pod.add("web", sh("trap '' TERM; echo up; while :; do sleep 0.02; done"))
    process = pod.start()
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    process.terminate()
    process.communicate()
    assert (process.returncode, pod.status("web")) == (137, "137")


@pytest.mark.parametrize("seconds", ["1e12", "inf"])
def test_a_grace_that_no_clock_can_hold_is_a_long_one(pod: HandMadePod, seconds: str) -> None:
    pod.manifest["annotations"] = [{"name": "podwright/termination-grace-seconds", "value": seconds}]
    pod.add("web", sh("trap 'sleep 0.2; exit 3' TERM; echo up; while :; do sleep 0.02; done"))
    process = pod.start()
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    process.terminate()
    assert (process.communicate()[1], process.returncode, pod.status("web")) == ("", 3, "3")


def test_second_interrupt_kills_at_once(pod: HandMadePod) -> None:
    pod.manifest["annotations"] = [{"name": "podwright/termination-grace-seconds", "value": "3600"}]
    pod.add("web", sh("trap 'echo heard' INT; echo up; while :; do sleep 0.02; done"))
    process = pod.start()
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "heard\n"
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert (process.returncode, pod.status("web")) == (137, "137")


def test_what_an_interrupt_waits_for_is_told(pod: HandMadePod) -> None:
    pod.manifest["annotations"] = [{"name": "podwright/termination-grace-seconds", "value": "3600"}]
    pod.add("quick", sh("trap 'exit 0' INT; echo up; while :; do sleep 0.02; done"))
    pod.add("deaf", sh("trap '' INT; echo up; while :; do sleep 0.02; done"))
    process = pod.start()
    assert process.stdout is not None and [process.stdout.readline() for _ in range(2)] == ["up\n", "up\n"]
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    told = process.stderr.readline()
    assert re.search(r"waiting 3\d\d\d s more for deaf to end; Ctrl-C once more kills$", told), told
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert (process.returncode, pod.status("quick"), pod.status("deaf")) == (137, "0", "137")


def test_no_handler_is_started_when_the_namespaces_are_gone(pod: HandMadePod) -> None:
    handlers = [{"name": "post-stop", "exec": sh("echo stopped")}]
    pod.add("web", sh("echo up; sleep 1000"), eventHandlers=handlers)
    process = pod.start()
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    os.kill(int((pod.path / "stage1-run/anchor").read_text().split()[0]), signal.SIGKILL)
    assert (process.communicate(), process.returncode) == (("", ""), 137)


@pytest.mark.contract("L.1 rkt_gc_nspawn")
def test_nothing_survives_a_killed_init_and_gc_clears_what_it_left(pod: HandMadePod) -> None:
    pod.add("web", sh("sleep 1000 & sleep 1000 & echo up; wait"))
    pod.add("side", sh("echo up; exec sleep 1000"))
    process = pod.start()
    assert process.stdout is not None and [process.stdout.readline() for _ in range(2)] == ["up\n", "up\n"]
    running = psutil.Process(process.pid).children(recursive=True)
    assert len(running) >= 5
    process.kill()
    process.communicate()
    psutil.wait_procs(running)
    for _ in range(2):
        subprocess.run([pod.entrypoint("gc"), "--debug", pod.uuid], cwd=pod.path, check=True)
    assert not (pod.path / "stage1-run").exists()
    assert not pod.locked()


def test_what_a_killed_runtime_left_frozen_does_not_outlive_gc(pod: HandMadePod) -> None:
    pod.add("web", sh("echo up; exec sleep 1000"))
    process = pod.start()
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    frozen = 0
    for top in ("/sys/fs/cgroup", "/sys/fs/cgroup/freezer", "/sys/fs/cgroup/unified"):
        for group in Path(top).glob(f"podwright-{pod.uuid}-*/web"):
            for name, word in (("freezer.state", "FROZEN"), ("cgroup.freeze", "1")):
                if (group / name).exists():
                    (group / name).write_text(word)
                    frozen += 1
    assert frozen
    process.kill()
    process.wait()
    subprocess.run([pod.entrypoint("gc"), pod.uuid], cwd=pod.path, check=True)
    process.communicate()
    assert not pod.locked()


def test_a_pod_whose_init_was_killed_runs_again(pod: HandMadePod) -> None:
    pod.add("web", sh("echo up; sleep ${SECONDS_TO_SLEEP:-1000}"))
    process = pod.start()
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    process.kill()
    process.communicate()
    pod.manifest["apps"][0]["app"]["environment"] = [{"name": "SECONDS_TO_SLEEP", "value": "0"}]
    ended = pod.run()
    assert (ended.returncode, ended.stdout) == (0, "up\n"), ended


def test_what_an_app_leaves_running_ends_with_the_pod(pod: HandMadePod) -> None:
    pod.add("web", sh("sleep 1000 </dev/null >/dev/null 2>&1 & exit 0"))
    ended = pod.run()
    assert ended.returncode == 0


def test_the_lock_is_held_while_the_pod_runs_and_no_app_has_it(pod: HandMadePod) -> None:
    pod.add("web", sh("ls /proc/self/fd | grep -vc '^[0-3]$'; env | grep -c RKT_; read line"))
    process = pod.start(stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["0\n", "0\n"]
    assert pod.locked()
    assert (pod.path / "pid").read_text() == str(process.pid)
    process.communicate("\n")
    assert not pod.locked()


# ---- commands that cannot be run


@pytest.mark.contract("L.1 rkt_diagnostic")
@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (["/foo-not-there", "x"], 127, 'Unable to open "/foo-not-there": No such file or directory'),
        (["/foo not there"], 127, 'Unable to open "/foo not there": No such file or directory'),
        (["foo-not-there"], 127, 'Unable to open "foo-not-there": No such file or directory'),
        (["/etc/passwd"], 126, 'Unable to run "/etc/passwd": Permission denied'),
        (["/script"], 127, "its interpreter /lib/no-shell is not there"),
    ],
)
def test_a_command_that_cannot_be_run_is_named(pod: HandMadePod, command: list[str], code: int, words: str) -> None:
    script = pod.add("web", command) / "script"
    script.write_text("#!/lib/no-shell\n")
    script.chmod(0o755)
    ended = pod.run()
    assert (ended.returncode, pod.status("web")) == (code, str(code))
    assert words in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_missing_command_on_a_volume_is_noticed_by_the_runtime(pod: HandMadePod, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pod.manifest["volumes"] = [{"name": "data", "kind": "host", "source": str(tmp_path / "data")}]
    pod.add("web", ["/data/program"], runtime={"mounts": [{"volume": "data", "path": "/data"}]})
    assert pod.run().returncode == 127


def test_a_runtime_that_is_not_there_is_one_sentence(pod: HandMadePod) -> None:
    pod.add("web", sh("exit 0"))
    ended = pod.run(environment={"PODWRIGHT_RUNTIME": "/no/runtime"})
    assert (ended.returncode, ended.stderr.count("\n")) == (254, 1) and "/no/runtime" in ended.stderr


# ---- what stage1 refuses


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"apps": []}, "pod must contain at least one application"),
        ({"volumes": [{"name": "a", "kind": "empty"}] * 2}, "duplicate volume name"),
        ({"volumes": [{"name": "a", "kind": "host", "source": "x"}]}, "absolute source"),
    ],
)
def test_a_manifest_that_cannot_be_run_is_one_sentence(pod: HandMadePod, change: dict[str, Any], words: str) -> None:
    pod.add("web", sh("exit 0"))
    pod.manifest.update(change)
    ended = pod.run()
    assert ended.returncode == 254
    assert words in ended.stderr and ended.stderr.startswith("stage1: ") and ended.stderr.count("\n") == 1


@pytest.mark.contract("L.3 missing source", "M.5 volume source")
def test_a_missing_volume_source_is_named(pod: HandMadePod) -> None:
    pod.manifest["volumes"] = [{"name": "data", "kind": "host", "source": "/no/such/place"}]
    pod.add("web", sh("exit 0"), runtime={"mounts": [{"volume": "data", "path": "/data"}]})
    ended = pod.run()
    assert ended.returncode == 254
    assert "Failed to stat /no/such/place: No such file or directory" in ended.stderr


# ---- who the app is


@pytest.mark.contract("L.1 rkt_run_user_group", "L.2 user and group", "M.5 numeric users")
@pytest.mark.parametrize(
    ("user", "group", "ids"),
    [
        ("0", "0", "0 0"),
        ("1000", "100", "1000 100"),
        ("user1", "group1", "1000 100"),
        ("root", "root", "0 0"),
        ("/etc/passwd", "/etc/group", "0 0"),
        ("/owned", "/owned", "400 500"),
    ],
)
def test_user_and_group_by_name_number_and_path(pod: HandMadePod, user: str, group: str, ids: str) -> None:
    root = pod.add("web", sh("echo $(id -u) $(id -g)"), user=user, group=group)
    (root / "owned").touch()
    os.chown(root / "owned", 400, 500)
    assert pod.run().stdout == f"{ids}\n"


@pytest.mark.contract("L.2 unknown user or group")
@pytest.mark.parametrize(
    ("user", "group", "words"),
    [
        ("user2", "0", '"user2" user not found'),
        ("0", "group2", '"group2" group not found'),
        ("/etc/nofile", "0", "no such file or directory"),
    ],
)
def test_an_unknown_user_or_group_is_named(pod: HandMadePod, user: str, group: str, words: str) -> None:
    pod.add("side", sh("exit 0"))
    pod.add("web", sh("exit 0"), user=user, group=group)
    ended = pod.run()
    assert ended.returncode == 254 and words in ended.stderr
    assert ended.stderr.startswith("stage1: app web: ")


@pytest.mark.contract(
    "L.1 rkt_supplementary_gids",
    "L.2 working directory",
    "M.5 container variable",
    "M.5 environment order",
)
def test_supplementary_groups_working_directory_and_environment(pod: HandMadePod) -> None:
    variables = [{"name": "VAR", "value": "a 'quoted'\n$value"}]
    script = 'grep Groups /proc/self/status; pwd; echo "$VAR|$AC_APP_NAME|$container|$PATH|$HOME|$USER|$SHELL"'
    gids = [400, 500, 1200]
    pod.add("web", sh(script), supplementaryGIDs=gids, workingDirectory="/dir1", environment=variables)
    out = pod.run().stdout
    assert out.startswith("Groups:\t0 400 500 1200 \n")
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert out.endswith(f"/dir1\na 'quoted'\n$value|web|podwright|{path}|/root|root|/bin/sh\n")
    saved = (pod.path / "stage1/rootfs/rkt/env/web").read_text().split("\0")
    assert "VAR=a 'quoted'\n$value" in saved and saved[-1] == ""


def bounding(pod: HandMadePod, *flags: str) -> int:
    return int(pod.run(*flags).stdout.split()[-1], 16)


CAPS = "grep CapBnd /proc/self/status"
DEFAULT = 0xA80425FB


@pytest.mark.contract("L.1 rkt_caps", "M.5 capability sets")
@pytest.mark.parametrize(
    ("isolators", "mask"),
    [
        ([], DEFAULT),
        ([isolator("os/linux/capabilities-retain-set", {"set": ["CAP_NET_ADMIN"]})], 1 << 12),
        ([isolator("os/linux/capabilities-remove-set", {"set": ["CAP_CHOWN"]})], DEFAULT & ~1),
        ([isolator("os/linux/capabilities-remove-set", {"set": ["CAP_NET_ADMIN"]})], DEFAULT),
    ],
)
def test_capabilities_are_the_defaults_or_what_the_isolator_says(
    pod: HandMadePod, isolators: list[dict[str, Any]], mask: int
) -> None:
    pod.add("web", sh(CAPS), isolators=isolators)
    assert bounding(pod) == mask


def test_a_capability_that_the_host_has_not_is_reported(pod: HandMadePod) -> None:
    status = Path("/proc/self/status").read_text()
    mine = int(next(line for line in status.splitlines() if line.startswith("CapBnd")).split()[1], 16)
    retain = {"set": ["CAP_CHOWN", "CAP_SYS_RESOURCE"]}
    pod.add("web", sh(CAPS), isolators=[isolator("os/linux/capabilities-retain-set", retain)])
    ended = pod.run()
    assert int(ended.stdout.split()[-1], 16) == (1 | 1 << 24) & mine
    assert ("cannot give CAP_SYS_RESOURCE" in ended.stderr) == (not mine >> 24 & 1)


def test_private_users_without_the_right_to_make_a_device_are_refused_in_a_sentence(pod: HandMadePod) -> None:
    """As in a unit of systemd with PrivateDevices."""
    pod.add("web", sh("true"))
    ended = pod.run("--private-users=1000000:65536", prefix=("setpriv", "--bounding-set=-mknod"))
    assert ended.returncode == 254 and "CAP_MKNOD" in ended.stderr and "PrivateDevices" in ended.stderr


def test_other_users_have_no_capability_in_effect(pod: HandMadePod) -> None:
    pod.add("web", sh("grep -E 'CapEff|CapPrm|CapBnd' /proc/self/status"), user="1000", group="100")
    masks = [int(line.split()[1], 16) for line in pod.run().stdout.splitlines()]
    assert masks == [0, 0, DEFAULT]


@pytest.mark.contract("L.1 rkt_no_new_privs")
@pytest.mark.parametrize(("values", "expected"), [([], "0"), ([True], "1"), ([True, False], "0"), ([False, True], "1")])
def test_no_new_privileges_last_wins(pod: HandMadePod, values: list[bool], expected: str) -> None:
    isolators = [isolator("os/linux/no-new-privileges", value) for value in values]
    pod.add("web", sh("grep NoNewPrivs /proc/self/status"), isolators=isolators)
    assert pod.run().stdout.split()[-1] == expected


@pytest.mark.contract("L.1 rkt_seccomp")
@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        (("os/linux/seccomp-remove-set", {"set": ["sethostname"], "errno": "EXFULL"}), 1, "Exchange full"),
        (("os/linux/seccomp-remove-set", {"set": ["sethostname"]}), 159, ""),
        (("os/linux/seccomp-retain-set", {"set": ["@appc.io/all"]}), 0, ""),
        (("os/linux/seccomp-remove-set", {"set": ["@appc.io/empty"]}), 0, ""),
        (("os/linux/seccomp-remove-set", {"set": ["@rkt/default-blacklist"]}), 0, ""),
        (("os/linux/seccomp-retain-set", {"set": ["@rkt/default-whitelist"], "errno": "EXFULL"}), 1, "Exchange full"),
        (("os/linux/seccomp-retain-set", {"set": ["@docker/default-whitelist", "sethostname"]}), 0, ""),
    ],
)
def test_seccomp_sets_block_with_errno_or_kill(
    pod: HandMadePod, value: tuple[str, dict[str, Any]], code: int, words: str
) -> None:
    retain = isolator("os/linux/capabilities-retain-set", {"set": ["CAP_SYS_ADMIN"]})
    pod.add("web", ["/bin/hostname", "other"], isolators=[isolator(*value), retain])
    ended = pod.run()
    assert ended.returncode == code, ended
    assert words in ended.stderr


# Prints the error of each call, 0 when it is let through: a new user namespace by clone and by unshare, a mount, a
# keyring's number, io_uring, clone3; sockets of two families that are refused, of one with bits that the kernel
# does not look at, and of an ordinary one.
REMOVE_NOTHING = ("os/linux/seccomp-remove-set", {"set": ["@appc.io/empty"]})
CALLS = r"""
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
static void tell(const char *name, long result) { printf("%s=%d\n", name, result < 0 ? errno : 0); fflush(stdout); }
int main(void) {
    long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    tell("clone", child);
    tell("mount", syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, 0));
    tell("unshare", syscall(SYS_unshare, CLONE_NEWUSER));
    tell("keyctl", syscall(SYS_keyctl, 0, -3, 0));
    tell("io_uring", syscall(SYS_io_uring_setup, 1, 0));
    tell("clone3", syscall(SYS_clone3, 0, 0));
    tell("alg", syscall(SYS_socket, AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    tell("vsock", syscall(SYS_socket, AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    tell("vsock.wide", syscall(SYS_socket, 1L << 32 | AF_VSOCK, 1L << 32 | SOCK_STREAM, 0));
    tell("local", syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    tell("getpid", syscall(SYS_getpid));
    return 0;
}
"""


@pytest.mark.contract("L.1 rkt_seccomp")
@pytest.mark.parametrize(
    ("isolators", "refused", "absent"),
    [
        ([], {"clone", "unshare", "keyctl", "mount"}, {"io_uring", "clone3"}),
        ([REMOVE_NOTHING], {"clone", "unshare", "keyctl", "mount"}, {"io_uring", "clone3"}),
        ([("os/linux/capabilities-retain-set", {"set": ["CAP_SYS_ADMIN"]})], {"keyctl"}, {"io_uring"}),
        ([("os/linux/seccomp-retain-set", {"set": ["@appc.io/all"]})], {"mount"}, set()),
    ],
    ids=["default", "asked for", "admin", "none"],
)
def test_without_a_seccomp_set_calls_that_no_app_needs_are_refused(
    pod: HandMadePod, tmp_path: Path, isolators: list[tuple[str, Any]], refused: set[str], absent: set[str]
) -> None:
    (tmp_path / "calls.c").write_text(CALLS)
    pod.add("web", ["/calls"], isolators=[isolator(*one) for one in isolators])
    subprocess.run(["gcc", "-static", "-o", pod.root("web") / "calls", tmp_path / "calls.c"], check=True)
    ended = pod.run()
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    told = {name: int(number) for name, number in (line.split("=") for line in ended.stdout.split())}
    assert {name for name, number in told.items() if number == errno.EPERM} == refused, told
    assert {name for name, number in told.items() if number == errno.ENOSYS} == absent, told
    families = {name for name, number in told.items() if number == errno.EAFNOSUPPORT}
    assert families >= {"alg", "vsock", "vsock.wide"} if "io_uring" in absent else "vsock" not in families, told
    assert told["local"] == told["getpid"] == 0


# The exit code is the number of what failed: a socket by the call of its own, and by the one for all of them.
CALLS_OF_32_BITS = r"""
static int call(int number, int first, int second, int third) {
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(third) : "memory");
    return result;
}
void _start(void) {
    int local[3] = {1, 1, 0}, failed = 0;
    if (call(359, 1, 1, 0) < 0) failed = 1;
    if (call(102, 1, (int)local, 0) < 0) failed = 2;
    if (call(359, 40, 1, 0) != -97) failed = 3;
    if (call(310, 0x10000000, 0, 0) != -1) failed = 4;
    call(1, failed, 0, 0);
}
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="a processor with calls of 32 bits")
def test_the_default_filter_lets_programs_of_32_bits_have_sockets(pod: HandMadePod, tmp_path: Path) -> None:
    (tmp_path / "calls.c").write_text(CALLS_OF_32_BITS)
    pod.add("web", ["/calls"])
    how = ["-m32", "-nostdlib", "-static", "-fno-pic", "-no-pie", "-fno-stack-protector"]
    subprocess.run(["gcc", *how, "-o", pod.root("web") / "calls", tmp_path / "calls.c"], check=True)
    ended = pod.run()
    assert (ended.returncode, ended.stderr) == (0, ""), ended


@pytest.mark.contract("L.1 rkt_seccomp")
def test_seccomp_retain_set_allows_only_its_calls(pod: HandMadePod) -> None:
    calls = (
        "execve brk arch_prctl set_tid_address set_robust_list rseq prlimit64 readlink readlinkat mprotect getrandom"
    )
    calls += " getuid setuid setgid write exit_group uname prctl rt_sigaction ioctl newfstatat fstat writev"
    retain = isolator("os/linux/seccomp-retain-set", {"set": calls.split(), "errno": "EPERM"})
    pod.add("web", ["/bin/mkdir", "/made"], isolators=[retain])
    ended = pod.run()
    assert ended.returncode == 1 and "Operation not permitted" in ended.stderr, ended


# ---- limits


@pytest.mark.contract("L.1 rkt_app_isolator", "L.2 isolators replace")
def test_memory_cpu_and_pids_limits_are_those_of_the_manifest(pod: HandMadePod) -> None:
    script = (
        "cat $(grep -o '/podwright.*' /proc/self/cgroup | head -1 >/dev/null; echo"
        " /cg/memory/$ID/web/memory.limit_in_bytes /cg/cpu/$ID/web/cpu.cfs_quota_us /cg/cpu/$ID/web/cpu.shares"
        " /cg/pids/$ID/web/pids.max)"
    )
    if not Path("/sys/fs/cgroup/memory").is_dir():
        script = "cat /cg/$ID/web/memory.max /cg/$ID/web/cpu.max /cg/$ID/web/cpu.weight /cg/$ID/web/pids.max"
    isolators = [
        isolator("resource/memory", {"request": "4Mi", "limit": "25Mi"}),
        isolator("resource/cpu", {"request": "50m", "limit": "800m"}),
        isolator("os/linux/cpu-shares", 2048),
        isolator("resource/pids", {"limit": 50}),
    ]
    variables = [{"name": "ID", "value": f"podwright-{pod.uuid}-*"}]
    pod.manifest["volumes"] = [{"name": "cg", "kind": "host", "source": "/sys/fs/cgroup", "readOnly": True}]
    mounts = {"mounts": [{"volume": "cg", "path": "/cg"}]}
    pod.add("web", sh(script), isolators=isolators, environment=variables, runtime=mounts)
    ended = pod.run()
    values = ended.stdout.split()
    assert values[0] == str(25 << 20), ended
    assert values[1] == "80000"
    assert values[-1] == "50"


@pytest.mark.contract("M.5 unknown isolators", "M.6 unknown isolators")
def test_an_unknown_isolator_is_reported_by_name(pod: HandMadePod) -> None:
    pod.add("web", sh("exit 0"), isolators=[isolator("example.com/magic", {}), isolator("resource/block-iops", {})])
    ended = pod.run()
    assert ended.returncode == 0
    assert "example.com/magic" in ended.stderr and "resource/block-iops" in ended.stderr


@pytest.mark.contract("L.1 rkt_oom_score_adj")
@pytest.mark.parametrize("wish", [99, -50, 0])
def test_oom_score_adj_is_set_or_clamped_and_reported(pod: HandMadePod, wish: int) -> None:
    pod.add("web", sh("cat /proc/self/oom_score_adj"), isolators=[isolator("os/linux/oom-score-adj", wish)])
    ended = pod.run()
    now = int(Path("/proc/self/oom_score_adj").read_text())
    got = int(ended.stdout)
    assert got == wish or (got == now and "oom-score-adj" in ended.stderr)


# ---- what the app sees


@pytest.mark.contract("L.1 rkt_ipcns", "L.1 rkt_mountns")
def test_namespaces_of_the_pod_are_shared_by_its_apps_and_not_the_hosts(pod: HandMadePod) -> None:
    script = "for n in pid net ipc uts; do stat -L -c %i /proc/self/ns/$n; done; stat -L -c %i /proc/self/ns/mnt"
    pod.manifest["volumes"] = [{"name": "out", "kind": "empty"}]
    # The number of a namespace that is gone is another one's: both are there before either looks.
    both = "until [ -e /out/ready-one ] && [ -e /out/ready-two ]; do sleep 0.02; done"
    for name in ("one", "two"):
        command = sh(f": >/out/ready-{name}; {both}; ({script}) >/out/{name}")
        pod.add(name, command, runtime={"mounts": [{"volume": "out", "path": "/out"}]})
    assert pod.run().returncode == 0
    one, two = ((pod.path / "sharedVolumes/out" / name).read_text().split() for name in ("one", "two"))
    host = [str(os.stat(f"/proc/self/ns/{name}").st_ino) for name in ("pid", "net", "ipc", "uts", "mnt")]
    assert one[:4] == two[:4] and one[4] != two[4]
    assert not set(one) & set(host)


@pytest.mark.contract("L.1 rkt_ipcns", "L.1 rkt_net")
def test_host_network_and_parent_ipc_are_the_hosts(pod: HandMadePod) -> None:
    pod.add("web", sh("stat -L -c %i /proc/self/ns/net /proc/self/ns/ipc; test -s /etc/resolv.conf; echo $?"))
    out = pod.run("--net=host", "--ipc=parent").stdout.split()
    assert out[:2] == [str(os.stat(f"/proc/self/ns/{name}").st_ino) for name in ("net", "ipc")]
    assert out[2] == ("0" if Path("/etc/resolv.conf").exists() else "1")


@pytest.mark.contract("L.1 rkt_net")
def test_without_network_there_is_loopback_and_it_is_up(pod: HandMadePod) -> None:
    pod.add(
        "web", sh("ip -o link | grep -c .; ip link show lo | grep -c LOOPBACK,UP; test -e /etc/resolv.conf; echo $?")
    )
    assert pod.run().stdout.split() == ["1", "1", "1"]


@pytest.mark.contract("L.1 rkt_etc_hosts", "L.1 rkt_hostname")
def test_hostname_and_the_files_that_name_it(pod: HandMadePod) -> None:
    pod.add("web", sh("hostname; cat /etc/hostname; stat -c %A /etc/hostname; cat /etc/hosts; readlink /etc/mtab"))
    lines = pod.run("--hostname=shop").stdout.splitlines()
    assert lines[:3] == ["shop", "shop", "-rw-r--r--"]
    assert lines[3].split() == ["127.0.0.1", "shop", "localhost", "localhost.localdomain"]
    assert lines[-1] == "../proc/self/mounts"


@pytest.mark.contract("L.1 rkt_hostname")
def test_default_hostname_is_of_the_uuid(pod: HandMadePod) -> None:
    pod.add("web", ["/bin/hostname"])
    assert pod.run().stdout == f"rkt-{pod.uuid}\n"


@pytest.mark.contract("L.1 rkt_etc_hosts")
def test_the_images_hosts_file_is_left_alone(pod: HandMadePod) -> None:
    root = pod.add("web", sh("cat /etc/hosts"))
    (root / "etc/hosts").write_text("10.0.0.1 mine\n")
    assert pod.run().stdout == "10.0.0.1 mine\n"


def test_devices_and_file_systems_of_the_specification(pod: HandMadePod) -> None:
    names = "null zero full random urandom tty ptmx shm pts"
    script = f"for d in {names}; do test -e /dev/$d || echo no $d; done; stat -f -c %T /proc /sys /dev/pts /dev/shm"
    pod.add("web", sh(script))
    lines = pod.run().stdout.splitlines()
    assert not [line for line in lines if line.startswith("no ")]
    assert len(lines) == 4


@pytest.mark.contract("L.1 rkt_paths")
def test_kernel_settings_cannot_be_written_unless_the_restriction_is_off(pod: HandMadePod) -> None:
    pod.add("web", sh("cat /proc/sys/vm/swappiness > /proc/sys/vm/swappiness"))
    ended = pod.run()
    assert ended.returncode != 0 and "ead-only file system" in ended.stderr
    assert pod.run("--disable-paths").returncode == 0


def test_read_only_root(pod: HandMadePod) -> None:
    pod.manifest["volumes"] = [{"name": "data", "kind": "empty"}]
    runtime = {"readOnlyRootFS": True, "mounts": [{"volume": "data", "path": "/dir1"}]}
    pod.add("web", sh("touch /dir1/x && echo written; touch /x"), runtime=runtime)
    ended = pod.run()
    assert ended.stdout == "written\n" and "ead-only file system" in ended.stderr and ended.returncode == 1


@pytest.mark.contract("L.1 rkt_devices")
def test_devices_other_than_the_usual_cannot_be_opened(pod: HandMadePod) -> None:
    pod.add("web", sh("mknod /dev/own c 1 3 && echo x > /dev/own && echo null; mknod /own b 7 0; cat /own"))
    ended = pod.run()
    assert ended.stdout == "null\n" and "Operation not permitted" in ended.stderr


# As in a container of somebody else's: crun then does without control groups.
NO_CONTROL_GROUPS = """
umount -R /sys/fs/cgroup
mount -t tmpfs none /sys/fs/cgroup
mount -o remount,ro /sys/fs/cgroup
exec "$@"
"""


@pytest.mark.parametrize("runtime", ["crun"], indirect=True)  # runc does not run without control groups
def test_without_control_groups_an_app_cannot_make_itself_a_device_of_the_host(pod: HandMadePod) -> None:
    pod.add("web", sh("mknod /made b 7 0; echo x > /dev/null && echo null; test -e /made || echo none"))
    ended = pod.run(prefix=("unshare", "--mount", "sh", "-ec", NO_CONTROL_GROUPS, "sh"))
    assert (ended.stdout.split(), ended.returncode) == (["null", "none"], 0), ended
    assert "this host cannot give CAP_MKNOD" in ended.stderr and "Operation not permitted" in ended.stderr


@pytest.mark.parametrize("runtime", ["crun"], indirect=True)
@pytest.mark.parametrize("flags", [(), ("--private-users=1000000:65536",)])
def test_without_control_groups_no_device_that_an_image_brings_can_be_opened(
    pod: HandMadePod, flags: tuple[str, ...]
) -> None:
    script = "for one in /kmsg /dir1/kmsg; do (exec 3<$one) && echo open; test -c $one && echo there; done"
    pod.manifest["volumes"] = [{"name": "data", "kind": "empty"}]
    annotations = [{"name": "podwright/image-volumes", "value": "data"}]
    mounts = [{"volume": "data", "path": "/dir1"}]
    root = pod.add("web", sh(script), runtime={"annotations": annotations, "mounts": mounts})
    for place in (root, root / "dir1"):
        os.mknod(place / "kmsg", stat.S_IFCHR | 0o666, os.makedev(1, 11))
        os.chmod(place / "kmsg", 0o666)
    if flags:
        subprocess.run(["chown", "-Rh", "1000000:1000000", str(root)], check=True)
    ended = pod.run(*flags, prefix=("unshare", "--mount", "sh", "-ec", NO_CONTROL_GROUPS, "sh"))
    assert (ended.stdout.split(), ended.returncode) == (["there", "there"], 0), ended


@pytest.mark.parametrize(("caller", "mode"), [((), "1"), (filtered(), "2")], ids=["free", "filtered"])
def test_the_process_that_holds_the_namespaces_gives_nothing_away(
    pod: HandMadePod, caller: tuple[str, ...], mode: str
) -> None:
    script = (
        "cat /proc/1/environ; ls /proc/1/root/; kill -9 1; kill -TERM 1; grep -E '^(CapPrm|Seccomp):' /proc/1/status"
    )
    pod.add("web", sh(script))
    ended = pod.run(environment={"SECRET": "of-the-caller"}, prefix=caller)
    # 1 is the strict mode: it can read and write what it has open, whoever traces it. 2 is a filter that says the same.
    assert ended.stdout.split() == ["CapPrm:", "0000000000000000", "Seccomp:", mode], ended
    assert ended.stderr.count("Permission denied") == 2


def test_what_an_app_leaves_behind_is_reaped(pod: HandMadePod) -> None:
    seen = "while ps -o comm | grep -q sleep; do :; done"
    pod.add("web", sh(f"(sleep 0.1 &); (sleep 0.2 &); {seen}; kill -CHLD 1; echo end"))
    ended = pod.run()
    assert (ended.stdout, ended.returncode) == ("end\n", 0), ended


def test_nothing_of_the_host_lies_above_the_root_of_the_process_that_holds_the_namespaces(pod: HandMadePod) -> None:
    root, here = (f"/proc/1/{one}" + "/.." * 20 for one in ("root", "cwd"))
    script = f"cd /proc/1/root/ && echo in; ls -A {root} {here} | grep etc; cat {root}/etc/passwd"
    capabilities = {"set": ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SYS_CHROOT"]}
    pod.add("web", sh(script), isolators=[isolator("os/linux/capabilities-retain-set", capabilities)])
    ended = pod.run()
    assert (ended.stdout, ended.returncode) == ("in\n", 1), ended
    assert ended.stderr.count("No such file or directory") == 1


# ---- interactive


def test_stdin_of_the_caller_is_the_apps(pod: HandMadePod) -> None:
    pod.add("web", sh("read line; echo got $line"))
    process = pod.start(stdin=subprocess.PIPE)
    assert process.communicate("word\n")[0] == "got word\n"


@pytest.mark.contract("L.1 rkt_interactive")
@pytest.mark.parametrize(("flags", "terminal"), [(("--interactive",), "yes"), ((), "no")])
def test_only_an_interactive_pod_has_a_terminal(pod: HandMadePod, flags: tuple[str, ...], terminal: str) -> None:
    pod.add("web", sh("if test -t 0; then echo yes; else echo no; fi; read line; echo got $line"))
    master, slave = os.openpty()
    process = pod.start(*flags, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    os.write(master, b"Saluton\n")
    heard = b""
    try:
        while chunk := os.read(master, 4096):
            heard += chunk
    except OSError:
        pass
    os.close(master)
    assert process.wait() == 0
    assert terminal in heard.decode().split()
    assert ("got Saluton" in heard.decode()) == (terminal == "yes")


@pytest.mark.parametrize("flags", [(), ("--private-users=1000000:65536",)], ids=["", "shifted"])
def test_the_terminal_of_an_interactive_app_has_the_size_of_the_caller_s(
    pod: HandMadePod, flags: tuple[str, ...]
) -> None:
    size = "busybox stty size"
    root = pod.add(
        "web", sh(f"{size}; until test $({size} | cut -c1-2) = 31; do sleep 0.02; done; {size}"), user="user1"
    )
    (root / "bin/cut").symlink_to("busybox")
    if flags:
        subprocess.run(["chown", "-Rh", "1000000:1000000", str(root)], check=True)
    master, slave = os.openpty()
    resize(master, 24, 80)
    process = pod.start("--interactive", *flags, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    heard = heard_of(process, master)
    assert process.wait() == 0
    assert heard.split("\r\n") == ["24 80", "31 101", ""]


def test_the_terminal_of_an_entered_command_follows_the_caller_s(pod: HandMadePod) -> None:
    size = "busybox stty size"
    root = pod.add("web", sh("echo up; exec sleep 1000"))
    (root / "bin/cut").symlink_to("busybox")
    running = pod.start()
    assert running.stdout is not None and running.stdout.readline() == "up\n"
    waiting = f"{size}; until test $({size} | cut -c1-2) = 31; do sleep 0.02; done; {size}; exit 5"
    master, slave = os.openpty()
    resize(master, 24, 80)
    command = [pod.entrypoint("enter"), f"--pid={running.pid}", "--appname=web", "--", "/bin/sh", "-c", waiting]
    entered = subprocess.Popen(command, cwd=pod.path, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    heard = heard_of(entered, master)
    assert (entered.wait(), heard.split("\r\n")) == (5, ["24 80", "31 101", ""])
    running.terminate()
    running.communicate()


def heard_of(process: subprocess.Popen[Any], master: int) -> str:
    """What is written to the terminal until nobody has it any more; behind its first line it is resized."""
    heard = b""
    try:
        while b"\n" not in heard:
            heard += os.read(master, 4096)
        resize(master, 31, 101)
        process.send_signal(signal.SIGWINCH)  # the kernel's, to those whose terminal it is
        while True:
            heard += os.read(master, 4096)
    except OSError:
        pass
    os.close(master)
    return heard.decode()


def resize(terminal: int, lines: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


# ---- event handlers


@pytest.mark.contract("L.1 rkt_run")
def test_handlers_run_before_and_after_as_root(pod: HandMadePod) -> None:
    handlers = [
        {"name": "pre-start", "exec": sh("echo before $(id -u)")},
        {"name": "post-stop", "exec": sh("echo after $(id -u)")},
    ]
    pod.add("web", sh("echo main $(id -u); exit 4"), user="1000", group="100", eventHandlers=handlers)
    ended = pod.run()
    assert (ended.returncode, ended.stdout) == (4, "before 0\nmain 1000\nafter 0\n"), ended


def test_a_failing_pre_start_keeps_the_app_from_starting(pod: HandMadePod) -> None:
    pod.add("web", sh("echo main"), eventHandlers=[{"name": "pre-start", "exec": sh("exit 3")}])
    ended = pod.run()
    assert (ended.returncode, ended.stdout, pod.status("web")) == (3, "", "3")
    assert "app web: its pre-start handler failed with 3" in ended.stderr


# ---- enter and stop


@pytest.mark.contract("M.5 enter")
def test_enter_gives_the_apps_own_confinement(pod: HandMadePod) -> None:
    script = "id -u; pwd; echo $AC_APP_NAME; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; stat -L -c %i"
    script += " /proc/self/ns/mnt /proc/self/ns/pid; grep -o 'pids:.*' /proc/self/cgroup; echo \"$0|$1\""
    isolators = [isolator("os/linux/no-new-privileges", True)]
    pod.add(
        "web",
        sh(f"{script}; echo up; sleep 1000"),
        user="1000",
        group="100",
        workingDirectory="/dir1",
        isolators=isolators,
    )
    process = pod.start()
    assert process.stdout is not None
    own = []
    while (line := process.stdout.readline()) != "up\n":
        own.append(line)
    command = [pod.entrypoint("enter"), f"--pid={process.pid}", "--appname=web", "--", *sh(f"{script}; exit 7")]
    entered = subprocess.run([*command, "a=b", "--"], cwd=pod.path, capture_output=True, text=True, check=False)
    process.terminate()
    process.communicate()
    assert entered.returncode == 7, entered
    assert entered.stdout.splitlines()[:-1] == "".join(own).splitlines()[:-1]
    assert entered.stdout.splitlines()[-1] == "a=b|--"


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("nosuch", 127, 'Unable to open "nosuch": No such file or directory'),
        ("/etc/passwd", 126, 'Unable to run "/etc/passwd": Permission denied'),
    ],
)
@pytest.mark.parametrize("flags", [(), ("--private-users=1000000:65536",)], ids=["", "shifted"])
def test_a_command_that_cannot_be_entered_with_has_the_code_of_shells(
    pod: HandMadePod, flags: tuple[str, ...], command: str, code: int, words: str
) -> None:
    root = pod.add("web", sh("echo up; sleep 1000"))
    if flags:
        subprocess.run(["chown", "-Rh", "1000000:1000000", str(root)], check=True)
    process = pod.start(*flags)
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    while not any(path.read_text() for path in (pod.path / "stage1-run").rglob("pid")):
        time.sleep(0.01)  # runc says it after the app has begun
    line = [pod.entrypoint("enter"), f"--pid={process.pid}", "--appname=web", "--", command]
    entered = subprocess.run(line, cwd=pod.path, capture_output=True, text=True, check=False)
    process.terminate()
    process.communicate()
    assert (entered.returncode, entered.stderr) == (code, f"stage1: app web: {words}\n")


def test_enter_into_nothing_is_one_sentence(pod: HandMadePod) -> None:
    pod.add("web", sh("exit 0"))
    pod.run()
    command = [pod.entrypoint("enter"), "--pid=1", "--appname=web", "--", "/bin/true"]
    entered = subprocess.run(command, cwd=pod.path, capture_output=True, text=True, check=False)
    assert (entered.returncode, entered.stderr) == (254, "stage1: the pod is not running\n")


@pytest.mark.contract("L.1 rkt_stop")
@pytest.mark.parametrize(("flags", "code"), [((), 0), (("--force",), -9)])
def test_stop_ends_the_pod(pod: HandMadePod, flags: tuple[str, ...], code: int) -> None:
    pod.add("web", sh("trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done"))
    process = pod.start()
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    subprocess.run([pod.entrypoint("stop"), *flags, pod.uuid], cwd=pod.path, check=True)
    process.communicate()
    assert process.returncode == code
    again = subprocess.run([pod.entrypoint("stop"), pod.uuid], cwd=pod.path, capture_output=True, text=True, check=True)
    assert "already stopped" in again.stderr
    subprocess.run([pod.entrypoint("gc"), pod.uuid], cwd=pod.path, check=True)


# ---- private users


@pytest.mark.contract("L.1 rkt_userns")
def test_private_users_see_the_images_owners_and_are_shifted_outside(pod: HandMadePod, tmp_path: Path) -> None:
    pod.manifest["volumes"] = [{"name": "data", "kind": "empty", "uid": 7, "mode": "0711"}]
    script = "id -u; stat -c '%u %a' / /data; touch /made; stat -c %u /etc/hosts /made; cat /proc/self/uid_map"
    root = pod.add("web", sh(script), runtime={"mounts": [{"volume": "data", "path": "/data"}]})
    subprocess.run(["chown", "-Rh", "1000000:1000000", str(root)], check=True)
    ended = pod.run("--private-users=1000000:65536")
    assert ended.returncode == 0, ended
    assert ended.stdout.split() == ["0", "0", "755", "7", "711", "0", "0", "0", "1000000", "65536"]
    assert (root / "made").stat().st_uid == 1000000


@pytest.mark.contract("L.2 empty volume's mode")
def test_modes_of_shared_directories_are_what_the_volume_says(pod: HandMadePod) -> None:
    pod.manifest["volumes"] = [{"name": "data", "kind": "empty", "mode": "0123", "uid": 9991, "gid": 9992}]
    pod.add("web", sh("stat -c '%a %u %g' /dir1"), runtime={"mounts": [{"volume": "data", "path": "/dir1"}]})
    assert pod.run().stdout == "123 9991 9992\n"
    assert stat.S_IMODE((pod.path / "sharedVolumes/data").stat().st_mode) == 0o123


@pytest.mark.parametrize("flags", [(), ("--private-users=1000000:65536",)])
def test_the_callers_streams_and_devices_stay_the_callers(
    pod: HandMadePod, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    script = "echo said >/dev/stdout; test -w /dev/null && cat </dev/null"
    root = pod.add("web", sh(script), user="1000", group="100")
    if flags:
        subprocess.run(["chown", "-Rh", "1000000:1000000", str(root)], check=True)
    null = os.stat("/dev/null")
    with open(tmp_path / "out", "w") as out, open(tmp_path / "err", "w") as error:
        process = pod.start(*flags, stdout=out, stderr=error)
        process.communicate()
    assert (process.returncode, (tmp_path / "out").read_text()) == (0, "said\n"), (tmp_path / "err").read_text()
    assert {(tmp_path / name).stat().st_uid for name in ("out", "err")} == {0}
    after = os.stat("/dev/null")
    assert (after.st_uid, after.st_gid, after.st_mode) == (null.st_uid, null.st_gid, null.st_mode) == (0, 0, 0o20666)


@pytest.mark.parametrize("flags", [(), ("--private-users=1000000:65536",)])
def test_the_host_s_null_device_is_nobody_else_s_while_an_app_runs(pod: HandMadePod, flags: tuple[str, ...]) -> None:
    """Not even for a moment: a pod that begins then would give it back to this one's user when it ends."""
    root = pod.add("web", sh("echo up; until test -e /tmp/go; do sleep 0.02; done"), user="1000", group="100")
    if flags:
        subprocess.run(["chown", "-Rh", "1000000:1000000", str(root)], check=True)
    before = os.stat("/dev/null")
    process = pod.start(*flags, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    during = os.stat("/dev/null")
    (root / "tmp/go").touch()
    process.communicate()
    after = os.stat("/dev/null")
    assert process.returncode == 0
    assert {(one.st_uid, one.st_gid, one.st_mode) for one in (before, during, after)} == {(0, 0, 0o20666)}


def entered(pod: HandMadePod, process: subprocess.Popen[str], *command: str) -> list[str]:
    return [pod.entrypoint("enter"), f"--pid={process.pid}", "--appname=web", "--", *command]


@pytest.mark.parametrize("text", ["{", "[1]", "7", "{}"])
def test_damaged_notes_of_a_run_end_nothing_with_a_traceback(pod: HandMadePod, text: str) -> None:
    pod.add("web", sh("trap 'exit 3' TERM; echo up; while :; do sleep 0.02; done"))
    process = pod.start()
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    told = []
    for file in ("bundles/web/config.json", "runtime.json"):
        path = pod.path / "stage1-run" / file
        whole = path.read_text()
        path.write_text(text)
        done = subprocess.run(entered(pod, process, "true"), cwd=pod.path, capture_output=True, text=True, check=False)
        path.write_text(whole)
        told.append((done.returncode, done.stderr))
    (pod.path / "net-info.json").write_text(text)
    process.terminate()
    said = process.communicate()[1]
    words = ("the configuration of app web is damaged", "the pod is not running")
    assert told == [(254, f"stage1: {word}\n") for word in words]
    assert process.returncode == 3 and "Traceback" not in said and not (pod.path / "net-info.json").exists()


@pytest.mark.parametrize("user", ["0", "1000"])
def test_what_the_caller_of_enter_gives_stays_the_caller_s(pod: HandMadePod, tmp_path: Path, user: str) -> None:
    """The app's root could else close the host's /dev/null to everybody, and a user have root's files for good."""
    pod.add("web", sh("echo up; sleep 1000"), user=user, group="100")
    process = pod.start()
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    script = "chmod 600 /proc/self/fd/0; chmod 600 /proc/self/fd/2; echo said >/dev/stdout; exit 7"
    before = os.stat("/dev/null")
    try:
        with open(tmp_path / "out", "w") as out:
            os.fchown(out.fileno(), 65534, 65534)
            command = entered(pod, process, *sh(script))
            code = subprocess.call(
                command, cwd=pod.path, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL
            )
        after = os.stat("/dev/null")
    finally:
        os.chown("/dev/null", before.st_uid, before.st_gid)
        os.chmod("/dev/null", 0o666)
        process.terminate()
        process.communicate()
    assert (code, (tmp_path / "out").read_text(), (tmp_path / "out").stat().st_uid) == (7, "said\n", 65534)
    assert (after.st_uid, after.st_gid, after.st_mode) == (0, 0, 0o20666)


def test_a_signal_for_enter_arrives_though_it_waits_for_the_runtime(pod: HandMadePod, tmp_path: Path) -> None:
    pod.add("web", sh("echo up; sleep 1000"), user="1000", group="100")
    process = pod.start()
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    command = entered(pod, process, *sh("trap 'echo heard; exit 5' TERM; echo up; while :; do sleep 0.02; done"))
    with open(tmp_path / "err", "w") as error:
        inside = subprocess.Popen(command, cwd=pod.path, stdout=subprocess.PIPE, stderr=error, text=True)
        assert inside.stdout is not None and inside.stdout.readline() == "up\n"
        inside.terminate()
        out = inside.communicate(timeout=20)[0]
    process.terminate()
    process.communicate()
    assert (inside.returncode, out, (tmp_path / "err").stat().st_uid) == (5, "heard\n", 0)


@pytest.mark.parametrize("replaced", ["rm /dev/null", "rm /dev/null; mkfifo /dev/null", "ln -sf /etc/passwd /dev/null"])
def test_an_app_without_a_null_device_gets_not_the_host_s_by_enter(pod: HandMadePod, replaced: str) -> None:
    root = pod.add("web", sh(f"{replaced}; echo up; exec sleep 1000"))
    for applet in ("rm", "mkfifo", "ln"):
        (root / "bin" / applet).symlink_to("busybox")
    process = pod.start()
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    command = entered(pod, process, "/bin/id")
    done = subprocess.run(
        command, cwd=pod.path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=20
    )
    process.terminate()
    process.communicate()
    sentence = "stage1: app web has no /dev/null to put in place of the host's\n"
    assert (done.returncode, done.stdout, done.stderr) == (254, "", sentence)


# ---- prepared by stage0 with overlays


def test_a_pod_on_overlays_of_its_own_mount_namespace_writes_to_the_uppers(pod: HandMadePod, tmp_path: Path) -> None:
    pod.add("web", sh("cat /dir1/file; echo changed >/dir1/file; exit 3"))
    tree = tmp_path / "tree"
    (pod.path / "stage1/rootfs").rename(tree)
    places = {"stage1": pod.path / "stage1/rootfs", "web": pod.root("web")}
    lowers = {"stage1": tree, "web": tree / "opt/stage2/web/rootfs"}
    script = ["set -e"]
    for name, place in places.items():
        upper = tmp_path / f"{name}-upper"
        for directory in (upper, tmp_path / f"{name}-work"):
            directory.mkdir()
        options = f"lowerdir={lowers[name]},upperdir={upper},workdir={tmp_path}/{name}-work"
        script += [f"mkdir -p {place}", f"mount -t overlay overlay -o {options} {place}"]
    prepare = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", "\n".join([*script, 'exec "$0" "$@"'])]
    ended = pod.run(prefix=prepare)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "dir1", "")
    assert (tmp_path / "web-upper/dir1/file").read_text() == "changed\n"
    assert (tmp_path / "stage1-upper/rkt/status/web").read_text() == "3"
    assert (lowers["web"] / "dir1/file").read_text() == "dir1"
    assert not list((tmp_path / "stage1-upper").rglob("*.pyc"))
