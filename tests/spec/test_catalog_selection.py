"""Which file a word means, when others are broken, are twins, or the cache tells nonsense."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.base.errors import SpecError
from stages.spec.catalog import Catalog

ALPHA = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f10"
BETA = "7f0c1111-6a0e-4f5e-9a57-0d5b0d2f7f10"


def text(name: str, uid: str) -> str:
    return (
        f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, uid: {uid}}}\n"
        "spec: {containers: [{name: web, image: images/web.aci}]}\n"
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pods").mkdir()
    (tmp_path / "pods" / "a.yaml").write_text(text("alpha", ALPHA))
    (tmp_path / "pods" / "b.yml").write_text(text("beta", BETA))
    return tmp_path


def catalog(project: Path) -> Catalog:
    return Catalog(project, project / "cache")


def reason(project: Path, word: str) -> str:
    with pytest.raises(SpecError) as caught:
        catalog(project).select(word)
    return caught.value.reason


@pytest.mark.parametrize("word", ["alpha", ALPHA, ALPHA.upper(), ALPHA.replace("-", ""), "7f0c0", "7f0c0a3e6a0e"])
def test_a_name_a_uuid_and_the_beginning_of_one_mean_the_pod(project: Path, word: str) -> None:
    assert catalog(project).select(word).uid == ALPHA


@pytest.mark.parametrize(("word", "why"), [("7f0c", "ambiguous-pod"), ("7f0", "unknown-pod"), ("gamma", "unknown-pod")])
def test_a_word_that_does_not_mean_one_pod_is_refused(project: Path, word: str, why: str) -> None:
    assert reason(project, word) == why


def test_a_misspelled_name_is_answered_with_the_right_one(project: Path) -> None:
    with pytest.raises(SpecError) as caught:
        catalog(project).select("alpa")
    assert "alpha" in caught.value.hint


def test_broken_files_do_not_hurt_the_others_but_are_listed(project: Path) -> None:
    (project / "pods" / "bad.yaml").write_text("a: [")
    (project / "pods" / "gone.yaml").symlink_to("nowhere")
    (project / "pods" / "folder.yaml").mkdir()
    assert catalog(project).select("alpha").uid == ALPHA
    assert [entry.path.name for entry in catalog(project).entries() if entry.problem] == ["bad.yaml"]


def test_twins_are_refused_with_both_files_and_others_are_not(project: Path) -> None:
    (project / "pods" / "c.yaml").write_text(text("gamma", ALPHA))
    with pytest.raises(SpecError) as caught:
        catalog(project).select("alpha")
    assert caught.value.reason == "duplicate-pod"
    assert "a.yaml" in caught.value.sentence and "c.yaml" in caught.value.sentence
    assert catalog(project).select("beta").uid == BETA


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b'{"a.yaml": 1}', b"\xff", b"null", b"[" * 100_000])
def test_a_damaged_cache_is_as_good_as_none(project: Path, damage: bytes) -> None:
    catalog(project).select("alpha")
    kept = [path for path in (project / "cache").rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        path.write_bytes(damage)
    assert catalog(project).select("alpha").uid == ALPHA


def test_a_cache_that_cannot_be_made_is_as_good_as_none(project: Path) -> None:
    (project / "cache").write_text("not a folder")
    assert catalog(project).select("alpha").uid == ALPHA
    assert Catalog(project, None).select("beta").uid == BETA


def test_a_file_rewritten_at_once_with_the_same_size_is_read_again(project: Path) -> None:
    catalog(project).select("alpha")
    (project / "pods" / "a.yaml").write_text(text("omega", ALPHA))
    assert catalog(project).select("omega").name == "omega"
    assert reason(project, "alpha") == "unknown-pod"


def test_two_files_that_lack_the_same_are_no_twins(project: Path) -> None:
    for name in ("gamma", "delta"):
        (project / "pods" / f"{name}.yaml").write_text(text(name, "x").replace(", uid: x", ""))
    with pytest.raises(SpecError, match="uid") as caught:
        catalog(project).select("gamma")
    assert "delta" not in caught.value.text()
