"""Which control groups a runtime may use, judged from what hosts of each kind show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from stages.stage1.crun.cgroups import decide, own

ROOT = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
TMPFS = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
CPU = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
MEMORY = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
NAMED = "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n"
UNIFIED = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
V2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"


def test_pure_v2_uses_what_the_root_holds() -> None:
    layout = decide(ROOT + V2, "cpuset cpu io memory hugetlb pids\n", "crun")
    assert (layout.version, layout.roots, layout.hide) == (2, ("/sys/fs/cgroup",), ())
    assert {"cpu", "memory", "pids"} <= layout.controllers and layout.usable


def test_v2_without_a_controller_does_not_claim_it() -> None:
    assert "memory" not in decide(ROOT + V2, "cpu pids\n", "crun").controllers


def test_pure_v1() -> None:
    layout = decide(ROOT + TMPFS + CPU + MEMORY + NAMED, "", "crun")
    assert layout.version == 1 and layout.controllers == {"cpu", "memory"} and layout.hide == ()
    assert len(layout.roots) == 3


def test_hybrid_with_a_controller_left_on_v2_is_hidden_from_crun_only() -> None:
    text = ROOT + TMPFS + CPU + MEMORY + NAMED + UNIFIED
    assert decide(text, "hugetlb\n", "crun").hide == ("/sys/fs/cgroup/unified",)
    runc = decide(text, "hugetlb\n", "runc")
    assert runc.hide == () and "/sys/fs/cgroup/unified" in runc.roots


def test_hybrid_with_nothing_on_v2_needs_no_hiding() -> None:
    assert decide(ROOT + TMPFS + CPU + UNIFIED, "", "crun").hide == ()


def test_no_control_groups_or_read_only_ones_are_not_usable() -> None:
    assert not decide(ROOT, "", "crun").usable
    assert not decide(ROOT + V2.replace("rw,nosuid", "ro,nosuid"), "cpu memory\n", "crun").usable
    assert not decide(ROOT + TMPFS + UNIFIED, "cpu\n", "crun").usable


def test_own_groups_are_found_where_they_can_be_written() -> None:
    mountinfo = ROOT + TMPFS + CPU + MEMORY.replace(" rw,relatime", " ro,relatime") + NAMED + UNIFIED
    groups = "9:name=systemd:/\n4:memory:/a\n2:cpu,cpuacct:/user:1/b\n0::/c\n"
    assert list(own(mountinfo, groups)) == [
        "/sys/fs/cgroup/cpu,cpuacct/user:1/b",
        "/sys/fs/cgroup/systemd",
        "/sys/fs/cgroup/unified/c",
    ]
    assert list(own(ROOT + V2, "0::/session\n")) == ["/sys/fs/cgroup/session"]
    assert not list(own(ROOT, groups)) and not list(own(ROOT + V2, ""))


def test_hastening_holds_nothing_moves_nobody_and_says_nothing() -> None:
    program = (
        f"import os, sys; sys.path.insert(0, {str(Path.cwd())!r}); from stages.stage1.crun import cgroups\n"
        "before, (ours, theirs) = open('/proc/self/cgroup').read(), os.pipe()\n"
        "cgroups.hasten(); os.close(theirs); assert os.read(ours, 1) == b''\n"
        "assert os.wait()[1] == 0 and open('/proc/self/cgroup').read() == before"
    )
    done = subprocess.run([sys.executable, "-IS", "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
