"""Whether a command can be run at all."""

from __future__ import annotations

from pathlib import Path

from stages.stage1.lib import command, rootfiles


def executable(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)


def trouble(root: int, name: str, mounted: tuple[str, ...] = ()) -> tuple[int, str] | None:
    found = command.trouble(root, name, "/dir1", "/bin:/usr/bin", rootfiles.covering(list(mounted)))
    return (found.code, found.sentence) if found else None


def test_commands_that_can_be_run(root: int, tree: Path) -> None:
    executable(tree / "usr/bin/tool", b"#! /usr/bin/helper -x\n")
    executable(tree / "usr/bin/helper", b"anything")
    executable(tree / "dir1/own", b"")
    assert trouble(root, "tool") is trouble(root, "/usr/bin/tool") is trouble(root, "./own") is None


def test_commands_that_cannot(root: int, tree: Path) -> None:
    executable(tree / "usr/bin/tool", b"#!/no/shell\n")
    (tree / "bin").mkdir()
    (tree / "bin/plain").write_text("")
    assert trouble(root, "ghost") == (127, 'Unable to open "ghost": No such file or directory')
    assert trouble(root, "plain") == (126, 'Unable to run "plain": Permission denied')
    assert trouble(root, "/dir2") == (126, 'Unable to run "/dir2": Permission denied')
    assert trouble(root, "tool") == (127, 'Unable to run "tool": its interpreter /no/shell is not there')


def test_scripts_that_are_each_other_s_interpreters(root: int, tree: Path) -> None:
    executable(tree / "bin/one", b"#!/bin/two\n")
    executable(tree / "bin/two", b"#!/bin/one\n")
    assert trouble(root, "/bin/one") == (126, 'Unable to run "/bin/one": its interpreter /bin/two cannot be run')


def test_as_many_interpreters_as_the_kernel_goes_through(root: int, tree: Path) -> None:
    for number in range(5):
        executable(tree / f"bin/{number}", b"#!/bin/%d\n" % (number + 1))
    executable(tree / "bin/5", b"anything")
    assert trouble(root, "0") is None


def test_a_name_ends_at_a_zero_byte(root: int, tree: Path) -> None:
    executable(tree / "bin/tool", b"#!/no/sh\0ell -x\n")
    assert trouble(root, "tool") == (127, 'Unable to run "tool": its interpreter /no/sh is not there')
    image = Path("/usr/bin/python3").resolve().read_bytes()[:4096]
    executable(tree / "bin/python", image.replace(b"/ld-linux", b"/\0d-linux"))
    found = trouble(root, "python")
    assert found is not None and found[1].endswith(" is not there")


def test_the_interpreter_of_an_elf_file_is_found(root: int, tree: Path) -> None:
    executable(tree / "bin/python", Path("/usr/bin/python3").resolve().read_bytes()[:4096])
    found = trouble(root, "python")
    assert found is not None and found[0] == 127 and "/ld" in found[1]


def test_what_a_mount_hides_is_left_to_the_run(root: int) -> None:
    assert trouble(root, "/data/ghost", ("/data",)) is None
    assert trouble(root, "/proc/self/exe") is None
