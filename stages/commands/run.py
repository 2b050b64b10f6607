"""`doit run`: doit's own, and then the hand-over, once doit's state is saved."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from doit import get_var
from doit.cmd_base import tasks_and_deps_iter
from doit.cmd_run import Run as DoitRun
from doit.cmdparse import CmdParseError
from doit.control import TaskControl
from doit.exceptions import InvalidCommand, InvalidDodoFile, InvalidTask

from stages.base import streams
from stages.base.errors import worded
from stages.commands import common, has_dodo, locked, nowhere, only_pod, replacing, spare_loaded
from stages.pod import again

# Commands of docker, podman and kubectl, and what does the same here.
_RUN, _STOP = "did you mean `doit run pod=NAME`?", "did you mean `doit stop pod=NAME`?"
_ELSEWHERE = {
    **dict.fromkeys(("up", "start", "apply", "play"), _RUN),
    **dict.fromkeys(("down", "kill"), _STOP),
    **dict.fromkeys(("restart", "replace"), "did you mean `doit run --replace pod=NAME`?"),
    **dict.fromkeys(("ls", "get", "pods", "pod", "container"), "did you mean `doit ps`? `doit` lists the project's"),
    **dict.fromkeys(("load", "import"), "did you mean `doit images import REF`?"),
    **dict.fromkeys(
        ("save", "export"), "did you mean `doit bundle pod=NAME FILE`, or `doit images export IMAGE FILE`?"
    ),
    "image": "did you mean `doit images`?",
    "build": "images are not built here; `dir:DIR` takes a root file system as it is",
    "init": "did you mean `doit new`?",
    "exec": "did you mean `doit enter pod=NAME -- COMMAND`?",
    "logs": "what apps write goes to the terminal of `doit run`; keep it there, or start the pod from a systemd unit",
    "pull": "did you mean `doit prepare pod=NAME`, or `doit lock --update pod=NAME`?",
    "create": "did you mean `doit prepare pod=NAME`?",
    "describe": "did you mean `doit status pod=NAME`?",
    **dict.fromkeys(("inspect", "top", "stats"), "did you mean `doit status pod=NAME --format json`?"),
    **dict.fromkeys(("prune", "system"), "did you mean `doit gc`, or `doit images gc`?"),
    "wait": "did you mean `doit status --wait pod=NAME`?",
    "attach": "did you mean `doit enter pod=NAME`?",
    "port": "a port of the host is a `hostPort` of the spec",
    "cp": "mount a directory of the host; or `doit enter pod=NAME -- cat PLACE > FILE`",
    "diff": "did you mean `doit why pod=NAME`?",
    "config": "did you mean `doit check`?",
    "login": "did you mean `skopeo login HOST`?",
    "rmi": "did you mean `doit images rm`?",
    "delete": "did you mean `doit rm pod=NAME`?",
    "version": "did you mean `podwright --version`?",
    "validate": "did you mean `doit check`?",
}
# The same of their options to `run`.
_BACKGROUND = "`run` stays in the foreground: let a unit of systemd start it, or `doit run pod=NAME &`"
_TERMINAL = "the terminal is the app's with `stage0: {interactive: true}` in the spec"
_OPTIONS = {
    **dict.fromkeys(("-d", "--detach"), _BACKGROUND),
    **dict.fromkeys(("-i", "-t", "--interactive", "--tty"), _TERMINAL),
    **dict.fromkeys(("-e", "--env"), "variables are said in the spec: `env: [{name: NAME, value: VALUE}]`"),
    **dict.fromkeys(("-p", "--publish"), "ports are said in the spec: `ports: [{containerPort: 80, hostPort: 8080}]`"),
    **dict.fromkeys(
        ("--volume", "--mount"), "volumes are said in the spec: `volumes`, and `volumeMounts` of a container"
    ),
    "--rm": "a run clears what the one before has left; `doit rm pod=NAME` takes the pod away",
    "--force-recreate": "did you mean `--replace`?",
}


class Run(DoitRun):  # type: ignore[misc]
    """Prepare a pod and become it."""

    doc_purpose = "prepare a pod and start it (pod=NAME or UUID)"
    doc_usage = "pod=NAME [--locked] [--replace] [TASK...]"
    cmd_options = (*DoitRun.cmd_options, locked.LOCKED, replacing.REPLACE)

    def parse_execute(self, in_args: list[str]) -> int:
        """As doit's; but a start that was made before, by nothing but `pod=`, is made again without loading tasks."""
        streams.ensure()
        if self._is_plain() and has_dodo():
            code = again.start(os.getcwd(), get_var("pod"), known_dodo=True)
            if code is not None:
                return code
        try:
            nowhere.refuse_spec(in_args, self.opt_vals)
            if code := self._make_way(in_args):
                return code
            with nowhere.explained():
                return int(super().parse_execute(in_args))
        except CmdParseError as error:
            # doit goes on to list all options as its code has them.
            sentence = str(error).partition(" (parsing options")[0]
            meant = next((hint for one, hint in _OPTIONS.items() if f"option {one} " in sentence), "")
            raise CmdParseError(f"{sentence}; see `doit help run`" + (f"\n  hint: {meant}" if meant else "")) from error

    def _make_way(self, words: list[str]) -> int:
        """With --replace: end the pod, if it runs, before the tasks are loaded, which takes its lock. Exit code."""
        params, args = self.cmdparser.parse(words)
        params.update(self.opt_vals)
        pod = get_var("pod")

        def work() -> int:
            dodo = common.dodo(params)
            understood = functools.partial(self._understood, params, args)
            return replacing.make_way(pod, str(dodo.parent), params["locked"], understood) if dodo else 0

        return common.guarded(work) if params["replace"] and pod else 0

    def _understood(self, params: Any, args: list[str]) -> int:
        """Load the tasks, in a process of its own, as one who only looks does, and find those that are asked for.

        Exit code; what is wrong has been told.
        """
        from stages.graph import session

        session.HANDOVER.only_reading = True
        self._execute = self._found
        try:
            with nowhere.explained():
                return int(super().execute(params, args) or 0)
        except (CmdParseError, InvalidCommand, InvalidDodoFile, InvalidTask) as error:
            print(f"ERROR: {self._explained(error) if isinstance(error, InvalidCommand) else error}", file=sys.stderr)
            return 3

    def _found(self, auto_delayed_regex: bool) -> int:
        """In the place of doit's, which would go on to run them."""
        TaskControl(self.task_list, auto_delayed_regex=auto_delayed_regex).process(self.sel_tasks)
        return 0

    def _is_plain(self) -> bool:
        """Whether nothing was asked for but the start of one pod, on the command line and in doit's configuration."""
        return only_pod(sys.argv[1:]) is not None and not any(self.config.values())

    def execute(self, params: Any, args: list[str]) -> int:
        """doit's exit code, or that of a hand-over that failed; does not return where it succeeds."""
        from stages.graph import session

        spare_loaded()
        session.HANDOVER.by_command = True
        session.HANDOVER.hold = locked.hold(params)
        # What would not be remembered anyway need not be seen.
        session.WITNESS.spoiled = not self._is_plain()
        session.unwind_when_terminated()
        try:
            code = self._prepare(params, args)
            tasks = getattr(self, "task_list", [])
            if code == 0 and not session.HANDOVER.plans:
                session.prepared(tasks)
            if code == 0 and session.HANDOVER.plans and all(map(_is_known, self._asked())):
                session.remember(get_var("pod"), session.HANDOVER.plans[0], dodo=True)
            return code or session.HANDOVER.perform()
        except InvalidCommand as error:
            session.abandon()
            raise InvalidCommand(self._explained(error)) from error
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
        except OSError as error:
            print(f"podwright: {worded(error).text()}", file=sys.__stderr__)
            return 1

    def _asked(self) -> Iterator[Any]:
        """The tasks of the run: those that were asked for, and those that these wait for."""
        return iter(tasks_and_deps_iter(self.control.tasks, self.control.selected_tasks))

    def _explained(self, error: InvalidCommand) -> str:
        """doit's sentence, or a better one for a word that means nothing where it stands."""
        word = error.not_found
        if word is None:
            return str(error)
        import difflib
        import shlex
        from importlib.metadata import entry_points

        from stages.graph import asked

        commands = asked.stock() | {one.name for one in entry_points(group="doit.COMMAND")}
        if word in commands:
            others = [one for one in sys.argv[1:] if one != word]
            return f"{word} is a command, and comes before its options\n  hint: `{shlex.join(['doit', word, *others])}`"
        known = {name: name for name in (*(task.name for task in self.task_list), *commands)}
        if get_var("pod") is None:
            from stages.spec.catalog import FOLDER, Catalog

            entries = [entry for entry in Catalog(Path.cwd()).entries() if entry.name]
            known |= {entry.name: f"pod={entry.name}" for entry in entries}
            known |= {f"{FOLDER}/{entry.path.name}": f"pod={entry.name}" for entry in entries}
        close = difflib.get_close_matches(word, known, 1)
        hint = f"did you mean {known[close[0]]!r}?" if close else "`doit list pod=NAME` lists the tasks"
        hint = _ELSEWHERE.get(word, hint)
        return f"no task {word!r}\n  hint: {hint}"

    def _prepare(self, params: Any, args: list[str]) -> int:
        """doit's exit code. That it cannot save its state (a full disk) stops no pod: the truth is elsewhere."""
        try:
            return int(super().execute(params, args) or 0)
        except Exception as error:
            import sqlite3

            from stages.graph import session

            if not isinstance(error, sqlite3.Error):
                raise
            print(f"podwright: doit's database cannot be written: {error}", file=sys.__stderr__)
            return 0 if session.HANDOVER.plans else 1


def _is_known(task: Any) -> bool:
    """Whether a task is one of a pod's steps or a group of them: somebody else's was not looked at."""
    return len(task.actions) == 1 if "step" in (task.meta or {}) else not task.actions
