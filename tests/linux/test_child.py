"""Work in a process that ends with this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stages.linux import child

ROOT = Path(__file__).parents[2]


def ended_by(number: int) -> int:
    os.kill(os.getpid(), number)
    return 0


@pytest.mark.parametrize("code", [0, 3, 255])
def test_its_exit_code(code: int) -> None:
    assert child.run(lambda: code) == code


@pytest.mark.parametrize(("end", "code", "told"), [((), 0, ""), ((7,), 7, ""), (("words",), 1, "words\n")])
def test_it_may_exit_as_any_program(capfd: pytest.CaptureFixture[str], end: Any, code: int, told: str) -> None:
    assert child.run(lambda: sys.exit(*end)) == code
    assert capfd.readouterr().err == told


def test_a_signal_is_told_as_a_shell_tells_it() -> None:
    assert child.run(lambda: ended_by(signal.SIGKILL)) == 128 + signal.SIGKILL


def test_our_bug_there_is_a_traceback_and_an_exit_code(capfd: pytest.CaptureFixture[str]) -> None:
    assert child.run(lambda: 1 // 0) == 1
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_what_was_planned_for_our_end_is_not_done_twice() -> None:
    program = "import atexit; from stages.linux import child; atexit.register(print, 'end'); "
    program += "print('begin', flush=True); child.run(lambda: print('work') or 0)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "begin\nwork\nend\n"


@pytest.mark.parametrize("deaf", [False, True])
def test_an_interrupt_ends_both(deaf: bool) -> None:
    """One that does not heed it is asked to end by SIGTERM a little later."""
    program = "import os, signal, sys, time\nfrom stages.linux import child\n"
    program += "def work():\n"
    program += f"    signal.signal(signal.SIGINT, signal.{'SIG_IGN' if deaf else 'default_int_handler'})\n"
    program += "    print(os.getpid(), flush=True); time.sleep(1000); return 0\n"
    program += "try:\n    child.run(work)\nexcept KeyboardInterrupt:\n    sys.exit(9)\n"
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, process_group=0
    ) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait() == 9
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_who_asks_us_to_end_asks_both() -> None:
    """The process has the time that it takes to leave things as they should be."""
    program = "import os, signal, sys, time\nfrom stages.linux import child\n"
    program += "def work():\n"
    program += "    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
    program += "    try:\n        print(os.getpid(), flush=True)\n        while True:\n            time.sleep(0.02)\n"
    program += "    finally:\n        time.sleep(0.1); print('left', flush=True)\n"
    program += "child.run(work)\n"
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline()
        process.terminate()
        assert (process.stdout.read(), process.wait()) == ("left\n", 128 + signal.SIGTERM)


def test_what_is_done_meanwhile() -> None:
    ours, theirs = os.pipe()
    assert child.run(lambda: os.read(ours, 1)[0], lambda: os.write(theirs, b"\3")) == 3


def test_who_asks_us_to_end_at_the_very_beginning_asks_both() -> None:
    program = "import os, signal, time\nfrom stages.linux import child\n"
    program += "os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
    program += "try:\n    child.run(lambda: time.sleep(1000))\nfinally:\n    print('left')\n"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("left\n", 128 + signal.SIGTERM)
