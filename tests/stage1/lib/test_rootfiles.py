"""What is written into an app's root."""

from __future__ import annotations

import os
from pathlib import Path

from stages.stage1.lib import arguments, rootfiles

UUID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f10"


ME = (os.getuid(), os.getgid())


def defaults(root: int, tmp_path: Path, *flags: str, covered: tuple[str, ...] = ()) -> None:
    shift = f"--private-users={ME[0]}:65536" if ME[0] == ME[1] and ME[0] else ""
    options = arguments.parse([*filter(None, [shift]), *flags, UUID])
    rootfiles.write_defaults(root, options, rootfiles.covering(list(covered)), str(tmp_path))


def test_usual_files_are_written_where_missing(root: int, tree: Path, tmp_path: Path) -> None:
    defaults(root, tmp_path, "--net=none", "--hostname=shop")
    assert "127.0.0.1" in (tree / "etc/hosts").read_text() and "shop" in (tree / "etc/hosts").read_text()
    assert (tree / "etc/hostname").read_text() == "shop\n"
    assert os.readlink(tree / "etc/mtab") == "../proc/self/mounts"
    assert not (tree / "etc/resolv.conf").exists()


def test_usual_files_of_the_image_and_of_volumes_are_left(root: int, tree: Path, tmp_path: Path) -> None:
    (tree / "etc/hosts").symlink_to("/nowhere")
    defaults(root, tmp_path, "--net=none", covered=("/etc/mtab", "/etc/hostname"))
    assert (tree / "etc/hosts").is_symlink()
    assert not os.path.lexists(tree / "etc/mtab") and not (tree / "etc/hostname").exists()


def test_a_link_for_etc_does_not_lead_out(root: int, tree: Path, tmp_path: Path) -> None:
    (tree / "etc").rmdir()
    (tree / "etc").symlink_to("../../outside")
    defaults(root, tmp_path, "--net=none")
    assert sorted(path.name for path in (tmp_path / "outside").iterdir()) == ["file"]
    assert (tree / "outside/hostname").exists()


def test_stage0s_resolver_and_hosts(root: int, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/rkt-resolv.conf").write_text("nameserver 1.2.3.4\n")
    (tmp_path / "etc/rkt-hosts").write_text("1.1.1.1 one\n")
    defaults(root, tmp_path, "--net=none", "--dns-conf-mode=resolv=stage0,hosts=stage0")
    assert (tree / "etc/resolv.conf").read_text() == "nameserver 1.2.3.4\n"
    assert (tree / "etc/hosts").read_text() == "1.1.1.1 one\n"
