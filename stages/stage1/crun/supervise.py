"""The loop of the init: starts every app's parts, passes signals on, notes exit statuses, decides when the pod ends."""

from __future__ import annotations

import os
import time

from stages.stage1.crun import foretell
from stages.stage1.lib import init, sockets, syscalls
from stages.stage1.lib.errors import NOT_EXECUTABLE, NOT_FOUND
from stages.stage1.lib.signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stages.stage1.crun.anchor import Anchor
    from stages.stage1.crun.runtime import Runtime
    from stages.stage1.lib.command import Trouble

_ENDING = (signal.SIGTERM, signal.SIGINT)
# Seconds after which whoever pressed Ctrl-C is told what is being waited for.
_SILENCE = 1.0
# Bytes that a runtime writes at the most before an app begins: its state, the filter, the log.
_ROOM = 1 << 20


class Task:
    """One app on its way through its `parts`, (part, container id) in order: "pre-start", "main", "post-stop".

    `running` is the current one and `monitor` its runtime; `trouble` is why the main part cannot be run at all;
    `sockets` are the descriptors that the main part gets, `attempts` how often it may still be tried,
    `pending` whether it has not begun yet; `stop_signal` is what the main part gets for SIGTERM.
    """

    __slots__ = (
        "attempts",
        "code",
        "monitor",
        "name",
        "parts",
        "pending",
        "running",
        "sockets",
        "stop_signal",
        "trouble",
    )

    def __init__(self, name: str, parts: list[tuple[str, str]], trouble: Trouble | None, sockets: list[int]) -> None:
        self.name = name
        self.parts = parts
        self.trouble = trouble
        self.sockets = sockets
        self.stop_signal = int(signal.SIGTERM)
        self.attempts = foretell.ATTEMPTS
        self.pending = bool(sockets)
        self.running: tuple[str, str] | None = None
        self.monitor = 0
        self.code: int | None = None


class Supervisor:
    """Runs the tasks of one pod to their end. `say` gets sentences for people."""

    def __init__(self, runtime: Runtime, anchor: Anchor, status_directory: str, say: Callable[[str], None]) -> None:
        self._runtime = runtime
        self._anchor = anchor
        self._statuses = status_directory
        self._say = say
        self._tasks: list[Task] = []
        self._waiting: list[Task] = []
        self._stdin = 0
        self._first_failure = 0
        self._interrupted = False
        self._deadline: float | None = None
        self._untold: float | None = None  # until when somebody who pressed Ctrl-C may wait without a word
        self.grace = 10.0

    def run(self, tasks: list[Task], signals: set[signal.Signals], stdin: int) -> int:
        """Start `tasks` side by side and return the pod's exit code when all have ended.

        `signals` and SIGCHLD must be blocked by the caller; `stdin` is what the apps read from.
        """
        self._tasks, self._stdin = tasks, stdin
        # As long as nothing else runs, the process ids to come can be foretold: those that need it start first.
        self._waiting = sorted(tasks, key=lambda task: not task.sockets)
        self._start_waiting()
        while any(task.monitor for task in tasks):
            self._wait(signals | {signal.SIGCHLD})
            self._reap()
            self._start_waiting()
            if self._untold is not None and time.monotonic() >= self._untold:
                self._tell()
            if self._deadline is not None and time.monotonic() >= self._deadline:
                self._kill()
        return self._first_failure

    def _start_waiting(self) -> None:
        """Start the apps; those without sockets not before those with sockets have begun, or will not any more."""
        while self._waiting:
            if not self._waiting[0].sockets and any(task.monitor and task.pending for task in self._tasks):
                return
            self._start_next(self._waiting.pop(0))

    def _wait(self, signals: set[signal.Signals]) -> None:
        """Sleep until a signal or the deadline, and act on the signal."""
        until = [one for one in (self._deadline, self._untold) if one is not None]
        left = max(0.0, min(until) - time.monotonic()) if until else 3600.0
        received = signal.sigtimedwait(signals, left)
        if received is None or received.si_signo == signal.SIGCHLD:
            return
        number = received.si_signo
        if number == signal.SIGINT and self._interrupted:
            self._say("killing the pod")
            self._deadline = time.monotonic()
            return
        if number == signal.SIGINT:
            self._interrupted = True
            self._untold = time.monotonic() + _SILENCE
        self._end_with(number) if number in _ENDING else self._forward(number)

    def _end_with(self, number: int) -> None:
        """Ask every app to end, start nothing but post-stop handlers any more, and set the deadline."""
        self._waiting = []
        for task in self._tasks:
            task.parts = [part for part in task.parts if part[0] == "post-stop"]
        if self._deadline is None:
            self._deadline = time.monotonic() + self.grace
        self._forward(number)

    def _tell(self) -> None:
        """An app that heeds no Ctrl-C looks like a terminal that hangs."""
        self._untold = None
        left = [task.name for task in self._tasks if task.monitor]
        if left and self._deadline is not None:
            seconds = max(0.0, self._deadline - time.monotonic())
            self._say(f"waiting {seconds:.0f} s more for {', '.join(left)} to end; Ctrl-C once more kills")

    def _forward(self, number: int) -> None:
        for task in self._tasks:
            if not task.monitor or not task.running or task.running[0] == "post-stop":
                continue
            if number == signal.SIGWINCH and os.isatty(self._stdin):
                self._resize(task.running[1])
            stops = number == signal.SIGTERM and task.running[0] == "main"
            os.kill(task.monitor, task.stop_signal if stops else number)

    def _resize(self, container: str) -> None:
        from stages.stage1.lib import terminal

        if process := self._runtime.process(container):
            terminal.follow(self._stdin, process)

    def _kill(self) -> None:
        """The apps had their time. A runtime killed with its app must not hold the pod up."""
        self._deadline = None
        self._start_nothing()
        self._anchor.kill()

    def _start_nothing(self) -> None:
        """The namespaces are gone, or on their way: by the anchor's number others could be joined, of anybody's."""
        self._waiting = []
        for task in self._tasks:
            task.parts = []

    def _start_next(self, task: Task) -> None:
        if not task.parts:
            return
        task.running = task.parts.pop(0)
        if task.running[0] == "main" and task.trouble:
            self._say(f"app {task.name}: {task.trouble.sentence}")
            self._note(task, task.trouble.code)
            self._start_next(task)
        elif task.running[0] == "main" and task.sockets:
            self._start_with_sockets(task, task.running[1])
        else:
            task.monitor = spawn(self._runtime.run(task.running[1]), self._stdin)

    def _start_with_sockets(self, task: Task, container: str) -> None:
        command = self._runtime.run(container, len(task.sockets))

        def attempt() -> None:
            wait_for(spawn(command, self._stdin, quiet=True, passed=task.sockets))
            self._clean_up(container)

        task.attempts -= 1
        foretell.aim(self._runtime.bundle(container), attempt, self._anchor.skip_ids)
        task.monitor = spawn(command, self._stdin, passed=task.sockets)
        task.pending = not foretell.came_true(self._runtime.bundle(container), task.monitor)

    def _clean_up(self, container: str) -> None:
        """The runtime died before it could, or never came so far."""
        if os.path.lexists(self._runtime.state(container)):
            wait_for(spawn(self._runtime.delete(container), self._stdin, quiet=True))

    def _reap(self) -> None:
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if process == 0:
                return
            if process == self._anchor.pid:
                self._anchor.alive = False
                self._start_nothing()
            for task in self._tasks:
                if task.monitor == process:
                    self._ended(task, init.exit_code(status), os.WIFSIGNALED(status))

    def _ended(self, task: Task, code: int, monitor_killed: bool) -> None:
        assert task.running is not None
        part, container = task.running
        task.monitor = 0
        if complaint := self._runtime.complaint(container) if code else "":
            code = _judge(code, complaint)
            if code == NOT_EXECUTABLE and _is_full("."):
                self._say(f"{os.getcwd()}: No space left on device, or hardly any")
        if monitor_killed:
            wait_for(spawn(self._runtime.delete(container), self._stdin, quiet=True))
        self._clean_up(container)
        if part == "main" and task.sockets and task.attempts and foretell.missed(self._runtime.bundle(container)):
            task.parts.insert(0, task.running)
            self._start_next(task)
            return
        if part != "main" and code:
            self._say(f"app {task.name}: its {part} handler failed with {code}")
        if part == "pre-start" and code:
            task.parts = [step for step in task.parts if step[0] == "post-stop"]
        if task.code is None and (part == "main" or (part == "pre-start" and code)):
            self._note(task, code)
        self._start_next(task)

    def _note(self, task: Task, code: int) -> None:
        """Write the app's status; the first failure ends the pod."""
        task.code = code
        init.publish(os.path.join(self._statuses, task.name), str(code))
        if code and not self._first_failure:
            self._first_failure = code
            others = [other for other in self._tasks if other is not task and other.monitor]
            if (others or self._waiting) and self._deadline is None:
                self._end_with(signal.SIGTERM)


def spawn(command: list[str], stdin: int, quiet: bool = False, passed: Sequence[int] = ()) -> int:
    """Start `command` in a session of its own, with default signals, to die with this process; returns its pid.

    `passed` become its descriptors 3 and following.
    """
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        syscalls.die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        init.default_signals()
        os.dup2(stdin, 0)
        if quiet:
            os.dup2(os.open(os.devnull, os.O_RDWR), 2)
        sockets.put(passed)
        path = os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        os.execve(command[0], command, {"PATH": path})
    except OSError as error:
        init.say(f"{command[0]}: {error.strerror}")
    finally:
        os._exit(NOT_FOUND)


def wait_for(process: int) -> int:
    """Wait for one child and return its exit code."""
    return init.exit_code(os.waitpid(process, 0)[1])


def _is_full(directory: str) -> bool:
    """Whether there is so little room that a runtime may have failed for it, which not all that it says tells."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize < _ROOM


def _judge(code: int, complaint: str) -> int:
    """Turn a runtime's own failure, which it has told the user, into the code that shells use for it."""
    lowered = complaint.lower()
    if code != 1:
        return code
    return NOT_FOUND if "not found" in lowered or "no such file" in lowered else NOT_EXECUTABLE
