"""The table of changes once more, by both console scripts with a remembered start: they do again what doit does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import doit
import pytest

from tests.system import workbench
from tests.system.test_changes import ONLY_OVERLAY, RUN, TABLE, Bench, Row, stage0

pytestmark = pytest.mark.system

MOST_RUNS = 5


class Ran(NamedTuple):
    """tasks: those that did work. asked: whether the steps were; by_doit: whether doit was loaded for it."""

    tasks: set[str]
    asked: bool
    by_doit: bool


def run(bench: Bench, *wrapper: str, script: str = "main", **variables: str) -> Ran:
    """`podwright run`, or this checkout's `doit run`, with the project's own code."""
    project = bench.project
    start = f"import sys; sys.path.insert(0, {str(project.root)!r}); sys.argv[0] = 'podwright'; "
    start += f"from stages.commands.podwright import {script}; sys.exit({script}())"
    inherited = {name: value for name, value in os.environ.items() if name != "CI"}
    environment = {**inherited, "PODWRIGHT_DIR": str(project.data), **variables}
    done = subprocess.run(
        [*wrapper, sys.executable, "-X", "importtime", "-c", start, "run", "pod=shop"],
        cwd=project.root,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    imports = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    return Ran(workbench.told(done.stderr), "stages.graph.session" in imports, "doit.doit_cmd" in imports)


def remembered(folder: Path, script: str = "main") -> Bench:
    """A pod whose start is remembered."""
    bench = Bench(folder, overlay=True)
    run(bench, script="doit")  # leaves doit's database
    for _ in range(MOST_RUNS):
        if not run(bench, script=script).asked:
            return bench
    pytest.fail(f"after {MOST_RUNS} runs with nothing to do the steps are still asked")


@pytest.mark.parametrize("script", ["main", "doit"])
@pytest.mark.parametrize("row", (TABLE | ONLY_OVERLAY).values(), ids=(TABLE | ONLY_OVERLAY).keys())
def test_a_remembered_start_is_never_fresher_than_the_steps(tmp_path: Path, row: Row, script: str) -> None:
    bench = remembered(tmp_path, script)
    row.change(bench)
    again = run(bench, script=script)
    assert again.tasks == row.tasks(overlay=True) - RUN[True]
    assert again.by_doit == (script == "doit" and again.asked)


@pytest.mark.parametrize("name", ["doit.cfg", "pyproject.toml"])
def test_options_of_doit_are_noticed_before_doit_is_loaded(tmp_path: Path, name: str) -> None:
    bench = remembered(tmp_path, "doit")
    section = "GLOBAL" if name == "doit.cfg" else "tool.doit"
    (bench.project.root / name).write_text(f"[{section}]\nverbosity = 2\n")
    for _ in range(2):
        assert run(bench, script="doit") == Ran(set(), asked=True, by_doit=True)
    (bench.project.root / name).unlink()
    assert any(not run(bench, script="doit").asked for _ in range(MOST_RUNS))


def test_doits_own_packages_are_noticed_before_doit_is_loaded(tmp_path: Path) -> None:
    bench = remembered(tmp_path, "doit")
    start = json.loads((bench.pod / "start.json").read_text())
    assert start["dodo"] and str(Path(doit.__file__).parent.parent) in start["files"]


def test_what_podwright_found_out_is_not_enough_for_doit(tmp_path: Path) -> None:
    bench = remembered(tmp_path)
    assert run(bench, script="doit").by_doit
    assert not run(bench, script="doit").by_doit
    assert not run(bench).asked


def test_a_variable_counts_where_the_pod_inherits_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path, overlay=True)
    stage0(bench, inheritEnv=True)
    assert any(not run(bench, COLOUR="red").asked for _ in range(MOST_RUNS))
    assert run(bench, COLOUR="blue").tasks == {"manifest"}


def test_a_variable_does_not_count_where_nothing_asked_for_it(tmp_path: Path) -> None:
    bench = remembered(tmp_path)
    assert not run(bench, COLOUR="blue").asked
    assert bench.project.doit("lock", "pod=shop").code == 0
    assert any(not run(bench).asked for _ in range(MOST_RUNS))
    assert run(bench, CI="true").asked


def test_another_pod_of_the_same_name_is_noticed(tmp_path: Path) -> None:
    bench = remembered(tmp_path)
    twin = bench.project.root / "pods" / "twin.yaml"
    twin.write_text((bench.project.root / "pods" / "shop.yaml").read_text())
    refused = bench.project.doit("run", "pod=shop")
    assert refused.code == 3 and "twin.yaml" in refused.err
    twin.unlink()
    assert run(bench).tasks == set()


def test_another_boot_asks_the_steps(tmp_path: Path) -> None:
    """A power failure may leave a file that was not synced with its inode and its times, and without its bytes."""
    bench = remembered(tmp_path)
    other = tmp_path / "boot_id"
    other.write_text("00000000-0000-4000-8000-000000000000\n")
    place = "/proc/sys/kernel/random/boot_id"
    script = f'mount --bind {other} {place} && exec "$@"'
    booted = ("unshare", "-m", "--propagation", "private", "/bin/sh", "-c", script, "-")
    # Trees that were not synced are read once.
    read = {"tree:stage1", "tree:web", "tree:side"}
    assert run(bench, *booted) == Ran(read, asked=True, by_doit=False)
    assert any(not run(bench, *booted).asked for _ in range(MOST_RUNS))
    assert run(bench) == Ran(set(), asked=True, by_doit=False)


@pytest.mark.parametrize("script", ["main", "doit"])
def test_a_file_system_that_went_read_only_is_a_sentence(tmp_path: Path, script: str) -> None:
    bench = remembered(tmp_path, script)
    data = bench.project.data
    mount = f'mount --bind {data} {data} && mount -o remount,bind,ro {data} && exec "$@"'
    start = f"import sys; sys.path.insert(0, {str(bench.project.root)!r}); "
    start += f"from stages.commands.podwright import {script}; sys.exit({script}())"
    done = subprocess.run(
        ["unshare", "-m", "/bin/sh", "-c", mount, "-", sys.executable, "-c", start, "run", "pod=shop"],
        cwd=bench.project.root,
        env={**os.environ, "PODWRIGHT_DIR": str(data)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (1, 3), done.stderr
    assert "Read-only file system" in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_selinux_that_appears_is_noticed(tmp_path: Path) -> None:
    bench = remembered(tmp_path)
    script = 'mount -t tmpfs none /sys/fs && {}exec "$@"'
    plain, selinux = (
        ("unshare", "-m", "--propagation", "private", "/bin/sh", "-c", script.format(words), "-")
        for words in ("", "mkdir /sys/fs/selinux && echo 1 > /sys/fs/selinux/enforce && ")
    )
    assert not run(bench, *plain).asked
    assert run(bench, *selinux) == Ran(set(), asked=True, by_doit=False)
    assert not run(bench, *selinux).asked
    assert run(bench, *plain).asked
