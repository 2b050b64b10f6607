"""Registries that do not answer, stop midway or send what they did not announce, over a real line that does so.

What a person gets is a sentence in bounded time, Ctrl-C works at once, and no later pull trips over what was left.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from stages.images import build
from tests.images.oci_maker import Image, digest, layer, write_layout
from tests.system import workbench
from tests.system.bad_line import BadLine, bad_line
from tests.system.registry import Registry
from tests.system.workbench import Project

pytestmark = pytest.mark.system

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f19"
FOR_EVER = 10_000  # seconds: a test does not live to see them
LARGE = layer([*workbench.busybox(), build.regular("srv/large", random.Random(1).randbytes(20_000_000))])
SMALL = layer([build.directory("etc"), build.regular("etc/small", b"small\n")])
IMAGE = Image([SMALL, LARGE], "plain", process={"Cmd": ["cat", "/etc/small"]})
MIDWAY = 8_000_000  # bytes: some of the large layer has come by then


@pytest.fixture
def line(registry: Registry) -> Iterator[BadLine]:
    with bad_line(registry.host) as made:
        registry.trust(made.host)
        yield made


@pytest.fixture
def project(registry: Registry, line: BadLine, tmp_path: Path) -> Project:
    """A pod whose image is in the registry, at the other end of the line."""
    (tmp_path / "config").mkdir()
    environment = {**registry.environment, "PODWRIGHT_CONFIG": str(tmp_path / "config"), "CI": ""}
    made = Project(tmp_path / "project", tmp_path / "data", environment=environment)
    write_layout(tmp_path / "layout", {"x": IMAGE})
    registry.push(f"oci:{tmp_path / 'layout'}:x", "team/app:1")
    container = {"name": "app", "image": f"docker://{line.host}/team/app:1", "imagePullPolicy": "IfNotPresent"}
    made.write(workbench.spec("it", UID, [container]))
    patience(made, FOR_EVER)
    return made


def patience(project: Project, seconds: float) -> None:
    """What the host grants a registry that says nothing."""
    (Path(project.environment["PODWRIGHT_CONFIG"]) / "images.json").write_text(json.dumps({"patience": seconds}))


def runs(project: Project) -> None:
    done = project.run("it")
    assert (done.code, done.out) == (0, "small\n"), done.err
    assert os.listdir(project.data / "images/incoming") == []
    assert sorted(os.listdir(project.data / "images/blobs/sha256")) == sorted(
        digest(one).removeprefix("sha256:") for one in IMAGE.layers
    )


def store(project: Project) -> list[str]:
    """What an image of a registry leaves in the store, and pulls at work; stage1 is no such image."""
    patterns = ("incoming/*", "blobs/sha256/*", "oci/*", "manifests/sha256-*", "sources/[0-9a-f]*")
    return [str(path) for one in patterns for path in (project.data / "images").glob(one)]


def refused(project: Project, word: str) -> str:
    """A run ends with one sentence about the image, and the store is as it was."""
    done = project.doit("run", "pod=it")
    assert done.code == 1 and "Traceback" not in done.err, done.err
    (said,) = [one for one in done.err.splitlines() if one.startswith("image:app:")]
    assert word in said and "hint" in done.err, done.err
    assert store(project) == []
    return done.err


def pulling(project: Project, line: BadLine, least: int) -> subprocess.Popen[str]:
    """A run whose pull has got so many bytes."""
    process = project.started("run", "pod=it")
    while line.passed < least:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process


def programs(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Those that fetch for it."""
    found = []
    for one in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # one of those that ask something for a moment
            found += [one] if one.name() == "skopeo" else []
    return found


@pytest.mark.parametrize("until", [0, 150], ids=["no answer", "half an answer"])
def test_a_registry_that_does_not_answer_is_given_up(project: Project, line: BadLine, until: int) -> None:
    line.until = until
    patience(project, 2)
    assert "patience" in refused(project, "no answer")
    done = project.doit("images", "import", f"docker://{line.host}/team/app:1")
    assert done.code == 1 and done.err.count("ERROR: ") == 1 and "no answer" in done.err
    patience(project, FOR_EVER)
    line.repair()
    runs(project)


def test_a_registry_that_stops_midway_is_given_up(project: Project, line: BadLine) -> None:
    line.until = MIDWAY
    patience(project, 10)  # what is asked before the layers is answered in that time, on the slowest of machines
    refused(project, "nothing has come")
    patience(project, FOR_EVER)
    line.repair()
    runs(project)


def test_a_registry_that_hangs_up_midway(project: Project, line: BadLine) -> None:
    line.until, line.cut = MIDWAY, True
    refused(project, line.host)
    line.repair()
    runs(project)


def test_a_slow_registry_is_not_given_up(project: Project, line: BadLine) -> None:
    patience(project, 10)
    line.speed = 1_600_000  # bytes a second: longer than the patience, never as long without a byte
    runs(project)


def test_people_at_a_terminal_see_how_far_it_is(project: Project, line: BadLine) -> None:
    line.speed = 4_000_000
    controller, terminal = pty.openpty()
    try:
        process = project.started("images", "import", f"docker://{line.host}/team/app:1", stderr=terminal)
        os.close(terminal)
        shown = "".join(until_closed(controller))
        out, _ = process.communicate()
        assert process.returncode == 0 and out.startswith("sha256-")
    finally:
        os.close(controller)
    steps = [int(one) for one in re.findall(rf"fetching docker://{line.host}/team/app:1 \[#* *\] +(\d+)%", shown)]
    assert len(steps) > 3 and steps == sorted(steps) and 0 < steps[len(steps) // 2] < 100, shown


def until_closed(controller: int) -> Iterator[str]:
    """What a terminal shows as long as anybody has it."""
    with contextlib.suppress(OSError):
        while piece := os.read(controller, 1 << 16):
            yield piece.decode()


@pytest.mark.parametrize("least", [0, MIDWAY], ids=["asking", "fetching"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_hanging_pull_ends_when_it_is_asked_to(
    project: Project, line: BadLine, least: int, how: signal.Signals
) -> None:
    line.until = least
    process = pulling(project, line, least)
    while not (children := programs(process)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(how)  # to doit alone
    _, err = process.communicate()
    assert process.returncode == 128 + how and "Traceback" not in err, err
    psutil.wait_procs(children)
    line.repair()
    runs(project)


@pytest.mark.parametrize("command", ["lock", "prepare", "import", "bundle"])
def test_other_commands_end_at_once_too(project: Project, line: BadLine, command: str, tmp_path: Path) -> None:
    words = {"import": ["images", "import", f"docker://{line.host}/team/app:1"], "bundle": ["bundle", "pod=it", "out"]}
    if command == "bundle":
        assert project.doit("lock").code == 0
        project.data = tmp_path / "other"
    line.until = 0
    process = project.started(*words.get(command, [command, "pod=it"]))
    while not (children := programs(process)):
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "") and "Traceback" not in err, err
    psutil.wait_procs(children)
    assert not (project.root / "out").exists()


def of_doit(process: subprocess.Popen[str]) -> None:
    process.kill()


def of_skopeo(process: subprocess.Popen[str]) -> None:
    for one in programs(process):
        one.kill()


@pytest.mark.parametrize("kill", [of_doit, of_skopeo])
def test_a_pull_that_is_killed_midway_leaves_nothing_to_trip_over(
    project: Project, line: BadLine, kill: Callable[[subprocess.Popen[str]], None]
) -> None:
    line.until = MIDWAY
    process = pulling(project, line, MIDWAY)
    children = programs(process)
    assert len(children) == 1
    kill(process)
    _, err = process.communicate()
    assert process.returncode != 0 and "Traceback" not in err, err
    # What fetched for a process that is gone does not go on for nobody.
    psutil.wait_procs(children)
    assert kill is of_doit or ("was killed" in err and store(project) == [])
    line.repair()
    runs(project)


def test_what_a_killed_pull_left_is_collected(project: Project, line: BadLine) -> None:
    line.until = MIDWAY
    process = pulling(project, line, MIDWAY)
    process.kill()
    process.communicate()
    (left,) = (project.data / "images/incoming").glob("pull-*")
    line.close()
    while left.exists():  # until its skopeo has ended
        assert project.doit("gc").code == 0
    assert store(project) == []


def test_a_layer_that_is_larger_than_announced_does_not_fill_the_disk(
    registry: Registry, project: Project, line: BadLine, tmp_path: Path
) -> None:
    data = random.Random(2).randbytes(150_000_000)
    document = json.loads(IMAGE.manifest())
    document["layers"][1] |= {"digest": digest(data), "size": 1000}
    config = json.loads(IMAGE.config())
    config["rootfs"]["diff_ids"][1] = digest(data)
    lying = json.dumps(config).encode()
    document["config"] |= {"digest": digest(lying), "size": len(lying)}
    manifest = json.dumps(document).encode()
    registry.upload("team/app", lying, SMALL, data, manifest=manifest, tag="1")
    line.passed, line.speed = 0, 5_000_000
    refused(project, "more than")
    assert line.passed < 100_000_000
