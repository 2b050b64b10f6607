"""The fly and stub flavors for real."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.system.stage1_pod import HandMadePod, sh

pytestmark = pytest.mark.system


@pytest.fixture
def fly(tmp_path: Path) -> HandMadePod:
    return HandMadePod(tmp_path, "fly")


def pid_of(pod: HandMadePod) -> str:
    """What `enter` takes; the app may have said something before it is written."""
    while not (pod.path / "pid").exists():
        time.sleep(0.01)
    return (pod.path / "pid").read_text()


@pytest.mark.contract("L.1 rkt_fly")
def test_fly_runs_its_app_in_a_chroot_of_the_hosts_namespaces(fly: HandMadePod) -> None:
    script = "stat -L -c %i /proc/self/ns/net /proc/self/ns/pid /proc/self/ns/ipc; id -u; id -g; pwd; exit 4"
    fly.add("web", sh(script), user="user1", group="group1", workingDirectory="/dir1")
    ended = fly.run("--net=host")
    host = [str(os.stat(f"/proc/self/ns/{name}").st_ino) for name in ("net", "pid", "ipc")]
    assert ended.stdout.split() == [*host, "1000", "100", "/dir1"]
    assert (ended.returncode, fly.status("web")) == (4, "4")


def test_fly_mounts_volumes_where_the_app_sees_them(fly: HandMadePod, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    fly.manifest["volumes"] = [
        {"name": "ro", "kind": "host", "source": str(tmp_path / "data"), "readOnly": True},
        {"name": "rw", "kind": "empty"},
    ]
    mounts = [{"volume": "ro", "path": "/a/b"}, {"volume": "rw", "path": "/dir1/link"}]
    runtime = {"mounts": mounts, "readOnlyRootFS": True}
    root = fly.add("web", sh("touch /dir2/x && echo rw; touch /a/b/x; touch /x; test -c /dev/null"), runtime=runtime)
    (root / "dir1/link").symlink_to("/../dir2")
    ended = fly.run("--net=host")
    assert ended.stdout == "rw\n" and ended.returncode == 0
    assert ended.stderr.count("ead-only file system") == 2


def test_fly_names_a_working_directory_that_is_not_there(fly: HandMadePod) -> None:
    fly.add("web", sh("exit 0"), workingDirectory="/dir3")
    ended = fly.run("--net=host")
    assert (ended.returncode, ended.stderr) == (127, "stage1: app web: /dir3: No such file or directory\n")


def test_fly_names_the_app_whose_user_is_not_there(fly: HandMadePod) -> None:
    fly.add("web", sh("exit 0"), user="user2")
    ended = fly.run("--net=host")
    assert (ended.returncode, ended.stderr) == (254, 'stage1: app web: "user2" user not found\n')


def test_fly_looks_for_a_command_without_a_slash_on_the_apps_path(fly: HandMadePod) -> None:
    path = [{"name": "PATH", "value": "/nowhere:/dir1/file:/bin"}]
    fly.add("web", ["sh", "-c", "echo up; exec sleep 1000"], user="1000", group="100", environment=path)
    process = fly.start("--net=host")
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    enter = [fly.entrypoint("enter"), f"--pid={pid_of(fly)}", "--appname=web", "--"]
    found = subprocess.run([*enter, "id", "-u"], cwd=fly.path, capture_output=True, text=True, check=False)
    missing = subprocess.run([*enter, "nothing"], cwd=fly.path, capture_output=True, text=True, check=False)
    subprocess.run([fly.entrypoint("stop"), fly.uuid], cwd=fly.path, check=True)
    process.communicate()
    assert (found.returncode, found.stdout) == (0, "1000\n"), found.stderr
    assert (missing.returncode, missing.stderr) == (127, "stage1: app web: nothing: No such file or directory\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_fly_passes_signals_on(fly: HandMadePod, number: signal.Signals) -> None:
    fly.add("web", ["/bin/sh", "-c", "echo up; exec sleep 1000"])
    process = fly.start("--net=host")
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    process.send_signal(number)
    process.communicate()
    assert process.returncode == 128 + number


def test_fly_gives_its_app_the_stop_signal_and_the_time_to_end(fly: HandMadePod) -> None:
    fly.manifest["annotations"] = [{"name": "podwright/termination-grace-seconds", "value": "600"}]
    said = {"annotations": [{"name": "podwright/stop-signal", "value": "SIGUSR1"}]}
    fly.add("web", sh("trap '' TERM; trap 'exit 7' USR1; echo up; while :; do sleep 0.01; done"), runtime=said)
    process = fly.start("--net=host")
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    subprocess.run([fly.entrypoint("stop"), fly.uuid], cwd=fly.path, check=True)
    process.communicate()
    assert (process.returncode, fly.status("web")) == (7, "7")


def test_fly_kills_its_app_when_the_time_to_end_is_over(fly: HandMadePod) -> None:
    fly.manifest["annotations"] = [{"name": "podwright/termination-grace-seconds", "value": "1"}]
    fly.add("web", sh("trap '' TERM; echo up; while :; do sleep 0.01; done"))
    process = fly.start("--net=host")
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    subprocess.run([fly.entrypoint("stop"), fly.uuid], cwd=fly.path, check=True)
    process.communicate()
    assert (process.returncode, fly.status("web")) == (137, "137")


def test_the_app_of_fly_dies_with_a_killed_init(fly: HandMadePod) -> None:
    fly.add("web", ["/bin/sh", "-c", "echo $$; exec sleep 1000"])
    process = fly.start("--net=host")
    assert process.stdout is not None
    app = int(process.stdout.readline())
    watch = os.pidfd_open(app)
    process.kill()
    process.communicate()
    # Readable once the process has ended; waits for as long as the test may take.

    assert select.select([watch], [], [], 30)[0]
    os.close(watch)


def test_fly_drops_capabilities_only_when_asked(fly: HandMadePod) -> None:
    retain = {"name": "os/linux/capabilities-retain-set", "value": {"set": ["CAP_CHOWN"]}}
    fly.add("web", sh("grep -E 'CapEff|CapBnd' /proc/self/status"), isolators=[retain])
    assert [int(line.split()[1], 16) for line in fly.run("--net=host").stdout.splitlines()] == [1, 1]


def test_what_the_app_has_at_proc_does_not_matter_to_fly(fly: HandMadePod, tmp_path: Path) -> None:
    retain = {"name": "os/linux/capabilities-retain-set", "value": {"set": ["CAP_CHOWN"]}}
    fly.manifest["volumes"] = [{"name": "own", "kind": "empty"}]
    oom = {"name": "os/linux/oom-score-adj", "value": 500}
    runtime = {"mounts": [{"volume": "own", "path": "/proc"}]}
    fly.add("web", sh("exit 7"), isolators=[retain, oom], runtime=runtime)
    ended = fly.run("--net=host")
    assert (ended.returncode, ended.stderr) == (7, "")


def test_what_fly_cannot_do_is_said(fly: HandMadePod) -> None:
    memory = {"name": "resource/memory", "value": {"limit": "1M"}}
    fly.add("web", sh("exit 0"), isolators=[memory], eventHandlers=[{"name": "pre-start", "exec": ["/bin/true"]}])
    ended = fly.run("--net=none")
    assert ended.returncode == 0
    assert all(word in ended.stderr for word in ("resource/memory", "pre-start", "--net"))


def test_fly_takes_one_app(fly: HandMadePod) -> None:
    fly.add("one", sh("exit 0"))
    fly.add("two", sh("exit 0"))
    assert fly.run().returncode == 254


def test_entering_a_fly_pod_gives_the_apps_root_and_user(fly: HandMadePod) -> None:
    variables = [{"name": "VAR", "value": "x"}]
    fly.add("web", sh("echo up; exec sleep 1000"), user="1000", group="100", environment=variables)
    process = fly.start("--net=host")
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    command = [
        fly.entrypoint("enter"),
        f"--pid={pid_of(fly)}",
        "--appname=web",
        "--",
        *sh("id -u; cat /dir1/file; echo $VAR"),
    ]
    entered = subprocess.run(command, cwd=fly.path, capture_output=True, text=True, check=False)
    subprocess.run([fly.entrypoint("stop"), fly.uuid], cwd=fly.path, check=True)
    process.communicate()
    assert entered.stdout == "1000\ndir1x\n", entered
    assert process.returncode == 143


def test_stub_tells_what_it_was_given(tmp_path: Path) -> None:
    pod = HandMadePod(tmp_path, "stub")
    pod.add("web", ["/x"])
    ended = pod.run("--debug", environment={"STUB_EXIT": "7", "MINE": "a b"})
    told = json.loads(ended.stdout)
    assert ended.returncode == 7
    assert told["argv"] == [pod.entrypoint("run"), "--net=none", "--debug", pod.uuid]
    assert told["environment"]["MINE"] == "a b" and told["cwd"] == str(pod.path)
    lock = told["environment"]["RKT_LOCK_FD"]
    assert set(told["descriptors"]) == {"0", "1", "2", lock}
    assert told["descriptors"][lock] == {"target": str(pod.path), "locked": True}
    assert told["ignored_signals"] == [] and told["blocked_signals"] == []
    assert (pod.path / "pid").read_text() == str(told["pid"])


def test_stub_sees_an_ignored_signal(tmp_path: Path) -> None:
    pod = HandMadePod(tmp_path, "stub")
    pod.add("web", ["/x"])
    before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        told = json.loads(pod.run().stdout)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert told["ignored_signals"] == ["SIGUSR2"]
