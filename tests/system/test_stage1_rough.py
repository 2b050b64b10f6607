"""The inits under rough callers: nobody who reads what they say, and a Ctrl-C before they are ready for one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.system.stage1_pod import HandMadePod, filtered, sh

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
FLAVORS = pytest.mark.parametrize("flavor", ["crun", "fly"])
# What goes before the program, so that whatever it says on stderr fails.
UNHEARD = pytest.mark.parametrize("stderr", ["2>/dev/full", "2> >(exit)"])


def unheard(stderr: str) -> list[str]:
    return ["bash", "-c", f'exec "$0" "$@" {stderr}']


@FLAVORS
@UNHEARD
def test_what_nobody_can_be_told_stops_no_pod(tmp_path: Path, flavor: str, stderr: str) -> None:
    pod = HandMadePod(tmp_path, flavor)
    # Each flavor has something to say of it before the app starts.
    pod.add("web", sh("echo ran; exit 3"), isolators=[{"name": "os/linux/unheard-of", "value": 1}])
    ended = pod.run("--net=none", prefix=unheard(stderr))
    assert (ended.returncode, ended.stdout, pod.status("web")) == (3, "ran\n", "3"), ended


@FLAVORS
@UNHEARD
def test_a_command_that_is_not_there_has_its_code_whether_or_not_that_can_be_told(
    tmp_path: Path, flavor: str, stderr: str
) -> None:
    pod = HandMadePod(tmp_path, flavor)
    pod.add("web", ["/bin/nosuch"])
    assert pod.run(prefix=unheard(stderr)).returncode == 127
    assert pod.status("web") == "127"


@FLAVORS
@pytest.mark.parametrize("entry", ["run", "enter", "stop", "gc"])
@UNHEARD
def test_a_refusal_that_nobody_hears_has_its_code(tmp_path: Path, flavor: str, entry: str, stderr: str) -> None:
    pod = HandMadePod(tmp_path, flavor)
    words = {"run": ["--nosuch"], "enter": ["--nosuch"], "stop": [pod.uuid], "gc": ["no-uuid"]}[entry]
    heard = subprocess.run([pod.entrypoint(entry), *words], cwd=pod.path, capture_output=True, check=False)
    unheard_of = subprocess.run([*unheard(stderr), pod.entrypoint(entry), *words], cwd=pod.path, check=False)
    assert unheard_of.returncode == heard.returncode and b"Traceback" not in heard.stderr


@FLAVORS
def test_a_caller_that_has_a_seccomp_filter_can_start_pods(tmp_path: Path, flavor: str) -> None:
    pod = HandMadePod(tmp_path, flavor)
    pod.add("web", sh("exit 3"))
    assert pod.run(prefix=filtered()).returncode == 3


def test_a_filter_that_forbids_what_a_pod_takes_is_told(tmp_path: Path) -> None:
    pod = HandMadePod(tmp_path, "crun")
    pod.add("web", sh("true"))
    sethostname = {"x86_64": 170, "aarch64": 161}[os.uname().machine]
    ended = pod.run(prefix=filtered(sethostname))
    assert ended.returncode == 254 and "filter of system calls" in ended.stderr


def test_the_process_that_holds_the_namespaces_is_confined_beside_another_filter() -> None:
    confined = "import os; from stages.stage1.lib import syscalls; syscalls.only_read_and_write(); "
    for then, code in (("os.write(1, b'x'); os._exit(3)", 3), ("os.open('/', 0)", -signal.SIGSYS)):
        command = [*filtered(), sys.executable, "-c", confined + then]
        assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == code


def loading(pod: HandMadePod) -> None:
    """Have the programs of a pod be interrupted, as from the terminal, while they load their first module."""
    package = pod.path / "stage1/rootfs/usr/lib/podwright/stages"
    shutil.rmtree(package / "__pycache__")
    (package / "__init__.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")


@FLAVORS
@pytest.mark.parametrize("entry", ["run", "enter", "stop", "gc"])
def test_an_interrupt_while_a_program_loads_is_no_traceback(tmp_path: Path, flavor: str, entry: str) -> None:
    pod = HandMadePod(tmp_path, flavor)
    pod.add("web", sh("exit 0"))
    loading(pod)
    if entry == "run":
        ended = pod.run()
    else:
        words = ["--appname=web"] if entry == "enter" else [pod.uuid]
        command = [pod.entrypoint(entry), *words]
        ended = subprocess.run(command, cwd=pod.path, capture_output=True, text=True, check=False)
    # gc of fly has nothing to do, and loads nothing for it.
    expected = 0 if (flavor, entry) == ("fly", "gc") else -signal.SIGINT
    assert (ended.returncode, ended.stdout, ended.stderr) == (expected, "", "")


@FLAVORS
def test_an_interrupt_that_the_caller_ignores_is_ignored_from_the_first_moment(tmp_path: Path, flavor: str) -> None:
    pod = HandMadePod(tmp_path, flavor)
    pod.add("web", sh("exit 5"))
    loading(pod)
    ended = pod.run(prefix=["sh", "-c", 'trap "" INT; exec "$0" "$@"'])
    assert ended.returncode == 5, ended.stderr


@FLAVORS
def test_a_terminal_that_goes_is_told_to_the_app(tmp_path: Path, flavor: str) -> None:
    """The kernel tells the first process of the session alone, as which `ssh -t HOST doit run` or a window has us."""
    pod = HandMadePod(tmp_path, flavor)
    pod.add("web", sh("trap 'exit 7' HUP; touch /tmp/up; sleep 60 & wait; exit 9"))
    mine, terminal = os.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    running = pod.start(prefix=["setsid", "--ctty"], **streams)
    os.close(terminal)
    while not (pod.root("web") / "tmp/up").exists():
        assert running.poll() is None
        time.sleep(0.01)
    os.close(mine)
    assert (running.wait(), pod.status("web")) == (7, "7")
