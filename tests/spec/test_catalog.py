"""Which file is the pod that a person means, what its neighbours cost, and that nothing stale is ever handed out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.base.errors import SpecError
from stages.spec.catalog import Catalog, Entry
from stages.spec.problems import SpecProblems
from tests.spec.samples import spec, text_of

A = "aaaa1111-0000-4000-8000-000000000001"
B = "aaaa2222-0000-4000-8000-000000000002"
C = "cccc3333-0000-4000-8000-000000000003"

OLD = 1_500_000_000


def put(project: Path, file: str, name: str, uid: str, *, settled: bool = True, **more: Any) -> Path:
    """A spec file. settled: with times of long ago, as far as a test can set them (the time of change it cannot)."""
    path = project / "pods" / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text_of(spec(metadata={"name": name, "uid": uid}, **more)))
    if settled:
        os.utime(path, (OLD, OLD))
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    here = tmp_path / "project"
    here.mkdir()
    put(here, "web.yaml", "web", A)
    put(here, "shop.yml", "shop", B)
    put(here, "db.yaml", "db", C)
    return here


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "data" / "cache"


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that a test has just written count as old enough to be known by their times."""
    monkeypatch.setattr("stages.spec.cache._RACY_NS", -10_000_000_000)


def reason(act: Callable[[], object]) -> str:
    with pytest.raises(SpecError) as caught:
        act()
    return caught.value.reason


@pytest.mark.parametrize(
    ("word", "name"),
    [
        (A, "web"),
        (A.upper(), "web"),
        (A.replace("-", ""), "web"),
        ("web", "web"),
        ("shop", "shop"),
        ("aaaa1", "web"),
        ("AAAA2", "shop"),
        ("cccc", "db"),
        ("cccc3333-00", "db"),
        ("cccc333300", "db"),
    ],
)
@pytest.mark.parametrize("times", [1, 3])
def test_a_pod_is_chosen_by_uuid_name_and_prefix(project: Path, cache: Path, word: str, name: str, times: int) -> None:
    for _ in range(times):
        found = Catalog(project, cache).select(word)
        assert found.name == name
        assert found.path.parent == project / "pods"


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("aaaa", "ambiguous-pod"),
        ("ccc", "unknown-pod"),
        ("", "unknown-pod"),
        ("-", "unknown-pod"),
        ("----", "unknown-pod"),
        ("nosuch", "unknown-pod"),
        ("dddd1111-0000-4000-8000-000000000001", "unknown-pod"),
        ("WEB", "unknown-pod"),
        ("../web", "unknown-pod"),
        ("web.yaml", "unknown-pod"),
    ],
)
def test_other_words_mean_no_pod(project: Path, cache: Path, word: str, why: str) -> None:
    assert reason(lambda: Catalog(project, cache).select(word)) == why


def test_a_name_wins_over_the_beginning_of_another_s_uuid(project: Path) -> None:
    put(project, "x.yaml", "cccc", "dddd1111-0000-4000-8000-000000000001")
    assert Catalog(project).select("cccc").name == "cccc"


def test_a_miss_names_what_is_close(project: Path) -> None:
    with pytest.raises(SpecError) as caught:
        Catalog(project).select("shpo")
    assert "did you mean 'shop'?" in caught.value.hint
    with pytest.raises(SpecError) as caught:
        Catalog(project).select("zzzzzz")
    assert caught.value.hint == "the pods are: db, shop, web"


def test_ambiguous_prefixes_name_the_pods(project: Path) -> None:
    with pytest.raises(SpecError) as caught:
        Catalog(project).select("aaaa")
    assert f"shop ({B})" in caught.value.sentence
    assert f"web ({A})" in caught.value.sentence


@pytest.mark.parametrize(("name", "uid"), [("web", C.replace("c", "d")), ("other", A)])
@pytest.mark.parametrize("word", ["web", A, "aaaa1"])
def test_a_twin_of_the_chosen_pod_is_an_error_that_names_both(
    project: Path, cache: Path, settled: None, name: str, uid: str, word: str
) -> None:
    Catalog(project, cache).select("web")
    put(project, "twin.yaml", name, uid)
    for _ in range(2):
        with pytest.raises(SpecError) as caught:
            Catalog(project, cache).select(word)
        assert caught.value.reason == "duplicate-pod"
        assert "twin.yaml" in caught.value.sentence
        assert "web.yaml" in caught.value.sentence
    assert Catalog(project, cache).select("db").uid == C


def test_the_twin_gone_all_is_well_again(project: Path, cache: Path, settled: None) -> None:
    twin = put(project, "twin.yaml", "web", B.replace("a", "d"))
    assert reason(lambda: Catalog(project, cache).select("web")) == "duplicate-pod"
    put(project, "twin.yaml", "twin", B.replace("a", "d"))
    assert Catalog(project, cache).select("web").uid == A
    twin.unlink()
    assert reason(lambda: Catalog(project, cache).select("twin")) == "unknown-pod"


@pytest.mark.parametrize(
    "broken",
    [b"", b"a: [", b"\xff\xfe", b"[]", b"- 1", b"metadata: 7", b"metadata: {name: [], uid: {}}", b"x" * (2 << 20)],
)
def test_broken_neighbours_do_not_hurt(project: Path, cache: Path, broken: bytes) -> None:
    (project / "pods" / "aa.yaml").write_bytes(broken)
    for _ in range(2):
        assert Catalog(project, cache).select("web").uid == A
    assert reason(lambda: Catalog(project, cache).select("nosuch")) == "unknown-pod"
    assert Catalog(project, cache).entries()[0].problem


def test_unusual_neighbours_do_not_hurt(project: Path, cache: Path) -> None:
    pods = project / "pods"
    (pods / "folder.yaml").mkdir()
    (pods / "gone.yaml").symlink_to("nowhere")
    (pods / "round.yaml").symlink_to("round.yaml")
    (pods / ".hidden.yaml").write_text("a: [")
    (pods / "web.yaml~").write_text("a: [")
    (pods / "README.md").write_text("hello")
    os.mkfifo(pods / "pipe.yaml")
    assert Catalog(project, cache).select("web").uid == A
    assert [path.name for path in Catalog(project, cache).paths()] == ["db.yaml", "shop.yml", "web.yaml"]


def test_a_chosen_file_with_faults_is_told_with_all_of_them(project: Path, cache: Path) -> None:
    put(project, "bad.yaml", "bad", B.replace("a", "d"), app={"image": "", "odd": 1})
    for word in ("bad", "dddd"):
        with pytest.raises(SpecProblems) as caught:
            Catalog(project, cache).select(word)
        assert len(caught.value.problems) == 2


def test_a_file_that_is_no_yaml_is_told_when_its_own_name_is_asked_for(project: Path, cache: Path) -> None:
    (project / "pods" / "bad.yaml").write_text("a: [\n")
    with pytest.raises(SpecProblems) as caught:
        Catalog(project, cache).select("bad")
    assert caught.value.reason == "syntax"
    with pytest.raises(SpecError) as other:
        Catalog(project, cache).select("bat")
    assert "bad.yaml" in other.value.hint


@pytest.mark.parametrize("word", ["pods/web.yaml", "web.yaml", "web"])
def test_a_file_in_place_of_a_pod_is_told_which_pod_it_has(
    project: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.chdir(project)
    put(project, "web.yaml", "shop-front", A)
    with pytest.raises(SpecError) as caught:
        Catalog(project).select(word)
    assert "the pod in pods/web.yaml is 'shop-front'" in caught.value.hint


def test_a_file_that_is_not_taken_for_a_spec_is_told_when_its_name_is_asked_for(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    put(project, "loud.YAML", "loud", "dddd4444-0000-4000-8000-000000000004")
    (project / "pods/gone.yaml").symlink_to("nowhere")
    for word, said in (("loud", "does not end in .yaml or .yml"), ("gone", "pods/gone.yaml leads to no file")):
        with pytest.raises(SpecError) as caught:
            Catalog(project).select(word)
        assert said in caught.value.hint


def test_a_project_without_pods_says_so(tmp_path: Path) -> None:
    assert reason(lambda: Catalog(tmp_path).select("web")) == "unknown-pod"
    assert Catalog(tmp_path).entries() == []


# ---- listing


def test_every_file_is_listed_with_what_is_wrong_with_it(project: Path, cache: Path, settled: None) -> None:
    pods = project / "pods"
    put(project, "bad.yaml", "bad", A.replace("a", "e"), app={"odd": 1})
    put(project, "twin.yaml", "twin", C)
    (pods / "worse.yaml").write_text("a: [")
    for _ in range(2):
        bad, db, shop, twin, web, worse = Catalog(project, cache).entries()
        assert (shop, web) == (Entry("shop", B, pods / "shop.yml"), Entry("web", A, pods / "web.yaml"))
        assert (bad.name, bad.uid) == ("bad", A.replace("a", "e"))
        assert bad.problem is not None
        assert "unknown field" in bad.problem
        assert db.problem == f"the UUID {C} is also that of twin.yaml"
        assert twin.problem == f"the UUID {C} is also that of db.yaml"
        assert worse.problem is not None
        assert (worse.name, worse.uid) == ("", "")
        assert all("\n" not in (entry.problem or "") for entry in (bad, db, worse))


# ---- what it costs, and what it believes


def modules_after_selecting(project: Path, cache: Path, word: str) -> set[str]:
    program = """
import sys
from pathlib import Path
from stages.spec.catalog import Catalog
Catalog(Path(sys.argv[1]), Path(sys.argv[2])).select(sys.argv[3])
print(*sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(project), str(cache), word], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_what_was_seen_before_needs_neither_yaml_nor_schemas(project: Path, cache: Path, settled: None) -> None:
    Catalog(project, cache).select("web")
    assert not {"yaml", "jsonschema", "difflib"} & modules_after_selecting(project, cache, "web")


def test_neighbours_that_were_seen_before_are_not_opened(project: Path, cache: Path, settled: None) -> None:
    Catalog(project, cache).select("web")
    opened: list[str] = []
    watch(opened)
    Catalog(project, cache).select("web")
    ours = [path for path in opened if path.startswith(str(project))]
    assert ours == [str(project / "pods" / "web.yaml")]


_WATCHERS: list[list[str]] = []


def watch(opened: list[str]) -> None:
    """From now on note every file that is opened (audit hooks cannot be taken out, so there is one for all tests)."""
    if not _WATCHERS:
        sys.addaudithook(_audit)
    _WATCHERS[:] = [opened]


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _WATCHERS:
        _WATCHERS[0].append(str(arguments[0]))


def test_a_file_rewritten_within_one_tick_is_read_anew(project: Path, cache: Path, settled: None) -> None:
    path = put(project, "web.yaml", "web", A, app={"args": ["one"]})
    Catalog(project, cache).select("web")
    before = path.stat()
    text = path.read_bytes().replace(b"one", b"two")
    with path.open("r+b") as file:
        file.write(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert Catalog(project, cache).select("web").apps[0].args == ("two",)


def disguise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every file's stat the same whatever happens to it: the worst that a coarse clock can do."""
    monkeypatch.setattr("stages.spec.catalog.stamp", lambda found: (1, 1, 1, 1, 1))


def test_an_index_that_is_wrong_about_the_chosen_file_is_not_believed(
    project: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disguise(monkeypatch)
    Catalog(project, cache).select("web")
    put(project, "web.yaml", "renamed", A)
    put(project, "db.yaml", "web", C)
    assert Catalog(project, cache).select(A).name == "renamed"
    assert Catalog(project, cache).select("web").uid == C


def test_an_index_that_is_wrong_about_a_twin_is_not_believed(
    project: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disguise(monkeypatch)
    put(project, "twin.yaml", "web", B.replace("a", "d"))
    assert reason(lambda: Catalog(project, cache).select("web")) == "duplicate-pod"
    put(project, "twin.yaml", "twin", B.replace("a", "d"))
    assert Catalog(project, cache).select("web").uid == A


def test_a_file_that_has_just_changed_is_not_known_by_its_times(project: Path, cache: Path) -> None:
    Catalog(project, cache).select("web")
    (index,) = (cache / "specs").glob("index-*.json")
    assert json.loads(index.read_bytes().partition(b"\n")[2]) == {}


def test_without_a_cache_everything_works(project: Path) -> None:
    assert Catalog(project, None).select("web").uid == A
    assert len(Catalog(project, None).entries()) == 3
