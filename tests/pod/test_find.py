"""Which pod a word means, with and without a project."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.base.errors import PodError, SpecError
from stages.base.paths import DataDir
from stages.pod import find

ONE, TWO = "abcd1111-0000-4000-8000-000000000001", "abcd2222-0000-4000-8000-000000000002"
SPEC = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, uid: {uid}}}
spec: {{containers: [{{name: a, image: a.aci}}]}}
"""


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    made = DataDir(tmp_path / "data")
    for uid, name in ((ONE, b"one"), (TWO, b"two")):
        made.pod(uid).root.mkdir(parents=True)
        made.pod(uid).name.write_bytes(name)
    return made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / "pods").mkdir(parents=True)
    return tmp_path / "project"


def write(project: Path, name: str, uid: str) -> None:
    (project / "pods" / f"{name}.yaml").write_text(SPEC.format(name=name, uid=uid))


@pytest.mark.parametrize("word", [ONE, ONE.upper(), "abcd1", "abcd1111-00", "abcd11110000", "one"])
def test_a_pod_without_a_spec_is_found_by_its_directory(data: DataDir, project: Path, word: str) -> None:
    assert find.one(data, None, word) == find.Found(ONE, "one", data.pod(ONE))
    assert find.one(data, project, word).uuid == ONE


def test_what_means_none_or_two(data: DataDir, project: Path) -> None:
    for word in ("", "abc", "nope", "1111"):
        with pytest.raises(PodError):
            find.one(data, None, word)
    with pytest.raises(PodError) as ambiguous:
        find.one(data, None, "abcd")
    assert ambiguous.value.reason == "ambiguous" and ONE in ambiguous.value.sentence
    with pytest.raises(SpecError):
        find.one(data, project, "nope")


def test_a_spec_is_believed_before_a_directory(data: DataDir, project: Path) -> None:
    other = "ef000000-0000-4000-8000-000000000003"
    write(project, "one", other)
    assert find.one(data, project, "one").uuid == other
    assert find.one(data, project, ONE).uuid == ONE


def test_another_pod_of_the_name_is_told_by_its_uuid(data: DataDir, project: Path) -> None:
    """As of a spec that had another UUID when it was run: by the name it cannot be stopped or removed."""
    write(project, "one", "abcd9999-0000-4000-8000-000000000009")
    assert (
        find.namesakes(data, find.one(data, project, "one")) == f"another pod is called one, name it by its UUID: {ONE}"
    )
    assert find.namesakes(data, find.one(data, project, "two")) == ""


def test_a_pod_with_a_faulty_spec_can_still_be_looked_at(data: DataDir, project: Path) -> None:
    write(project, "one", ONE)
    path = project / "pods" / "one.yaml"
    path.write_text(path.read_text() + "nonsense: 1\n")
    assert find.one(data, project, "one").uuid == ONE


def test_only_uuids_are_pods(data: DataDir) -> None:
    for name in ("lost+found", ONE.upper(), "abcd"):
        (data.pods / name).mkdir()
    assert [pod.uuid for pod in find.every(data)] == [ONE, TWO]
    assert set(find.strangers(data)) == {"lost+found", ONE.upper(), "abcd"}


def test_a_name_that_cannot_be_read_is_none(data: DataDir) -> None:
    data.pod(ONE).name.write_bytes(b"\xff")
    data.pod(TWO).name.write_bytes(b"x" * 5000)
    assert [pod.called for pod in find.every(data)] == [ONE, TWO]
