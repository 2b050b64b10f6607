"""A cache that is missing, damaged, another's or not writable is as good as none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.spec.cache import Cache, Row, stamp
from stages.spec.catalog import Catalog
from tests.spec.samples import UID, spec, text_of

TEXT = text_of(spec())
ROW = Row((1, 2, 3, 4, 5), UID, "plain", None)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / "pods").mkdir(parents=True)
    (tmp_path / "project" / "pods" / "plain.yaml").write_bytes(TEXT)
    return tmp_path / "project"


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    cache = Cache(tmp_path, Path("/project"))
    cache.keep_data(b"text", {"a": [1, "é", None]})
    cache.keep_rows({"a.yaml": ROW})
    again = Cache(tmp_path, Path("/project"))
    assert again.data(b"text") == {"a": [1, "é", None]}
    assert again.rows() == {"a.yaml": ROW}


def test_other_bytes_and_other_projects_have_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path, Path("/project"))
    cache.keep_data(b"text", {})
    cache.keep_rows({"a.yaml": ROW})
    assert cache.data(b"text ") is None
    assert Cache(tmp_path, Path("/other")).rows() == {}


def test_another_schema_or_version_makes_it_a_stranger_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path, Path("/project"))
    cache.keep_data(b"text", {})
    cache.keep_rows({"a.yaml": ROW})
    for target, value in (("stages.spec.cache.VERSION", 99), ("stages.spec.jsonschemas.digest", lambda: "other")):
        with monkeypatch.context() as patch:
            patch.setattr(target, value)
            other = Cache(tmp_path, Path("/project"))
            assert other.data(b"text") is None
            assert other.rows() == {}
    assert Cache(tmp_path, Path("/project")).data(b"text") == {}


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def _flip(path: Path) -> None:
    text = bytearray(path.read_bytes())
    text[-5] ^= 1
    path.write_bytes(text)


def _swap(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"web", b"bew"))


def _open_to_others(path: Path) -> None:
    path.chmod(0o666)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _nonsense(path: Path) -> None:
    path.write_bytes(b'{"a": 1}')


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("harm", [_truncate, _flip, _swap, _open_to_others, _empty, _nonsense, _folder, _fifo])
def test_a_damaged_cache_is_not_believed(tmp_path: Path, project: Path, harm: Callable[[Path], None]) -> None:
    cache = tmp_path / "cache"
    expected = Catalog(project, cache).select("plain")
    for path in (cache / "specs").iterdir():
        harm(path)
    assert Cache(cache, project).data(TEXT) is None
    assert Catalog(project, cache).select("plain") == expected
    if harm is not _folder:
        assert Cache(cache, project).data(TEXT) is not None, "it was not built again"


def test_rows_of_a_strange_shape_are_not_believed(tmp_path: Path) -> None:
    cache = Cache(tmp_path, Path("/project"))
    shapes: list[Any] = [[], {"a": 1}, {"a": []}, {"a": [7]}, {"a": [[1]]}, {"a": [[1], "", "", "", ""]}]
    for odd in shapes:
        cache._write(cache._index, odd)
        assert cache.rows() == {}


def test_a_cache_that_cannot_be_written_is_done_without(project: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", Path("/dev/null/cache"), Path("/proc/cache")):
        assert Catalog(project, folder).select("plain").uid == UID
        assert Catalog(project, folder).entries()[0].problem is None


def test_the_cache_leaves_no_temporary_files(project: Path, tmp_path: Path) -> None:
    Catalog(project, tmp_path / "cache").select("plain")
    assert not [path for path in (tmp_path / "cache" / "specs").iterdir() if path.name.startswith(".")]


def test_the_cache_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.spec.cache._MOST_FILES", 10)
    cache = Cache(tmp_path, Path("/project"))
    for number in range(50):
        cache.keep_data(b"%d" % number, {})
    assert len(list((tmp_path / "specs").iterdir())) <= 11
    assert cache.data(b"49") == {}


def test_a_stamp_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    before = stamp(path.stat())
    assert stamp(path.stat()) == before
    (tmp_path / "b").write_text("x")
    os.replace(tmp_path / "b", path)
    assert stamp(path.stat()) != before
