"""Which images a lock file lets a pod have."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.base.errors import ImageError
from stages.images import lockfile
from stages.images.ask import Ask
from stages.images.lockfile import Hold, Lock, Locked
from stages.pod import pins
from stages.pod.pins import Pins
from stages.spec.model import PodSpec

ACI, BASE = f"sha512:{'a' * 128}", f"sha512:{'b' * 128}"
WEB = Locked("web.aci", "", ACI, 1, tree=(ACI, BASE))
WEB_ID, BASE_ID = WEB.image_ids
INDEX = f"sha256:{'d' * 64}"
FOREIGN = Locked("docker://host/app", "linux/s390x", f"sha256:{'c' * 64}", 1, index_digest=INDEX)


def made(tmp_path: Path, hold: Hold, environment: dict[str, str], *, lock: bool = True) -> Pins:
    if lock:
        (tmp_path / "shop.lock").write_bytes(lockfile.text(Lock({"web": (WEB,), "app": (FOREIGN,)})))
    return pins.of(PodSpec("shop", "", (), path=tmp_path / "file.yaml"), hold, environment)


@pytest.mark.parametrize(
    ("hold", "ci", "lock", "strict"),
    [
        (Hold.AUTO, "", True, False),
        (Hold.AUTO, "false", True, False),
        (Hold.AUTO, "0", True, False),
        (Hold.AUTO, "true", True, True),
        (Hold.AUTO, "1", True, True),
        (Hold.AUTO, "true", False, False),
        (Hold.ALL, "", True, True),
        (Hold.ALL, "", False, True),
        (Hold.REGISTRIES, "true", True, False),
        (Hold.NOTHING, "true", True, False),
    ],
)
def test_ci_makes_a_lock_binding_that_is_there(tmp_path: Path, hold: Hold, ci: str, lock: bool, strict: bool) -> None:
    found = made(tmp_path, hold, {"CI": ci}, lock=lock)
    assert found.strict is strict and (found.lock is None) == (hold is Hold.NOTHING or not lock)


def test_a_binding_lock_must_be_there_and_have_all(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"there is no lock file shop\.lock") as refused:
        made(tmp_path, Hold.ALL, {}, lock=False).check([])
    assert refused.value.hint == "`doit lock pod=shop` writes it"
    found = made(tmp_path, Hold.ALL, {})
    found.check([("web", Ask("web.aci"))])
    with pytest.raises(ImageError) as refused:
        found.check(
            [
                ("web", Ask("other.aci")),
                ("web", Ask("web.aci")),
                ("side", Ask("web.aci")),
                ("app", Ask(FOREIGN.reference)),
            ]
        )
    assert refused.value.sentence == (
        "not in the lock file shop.lock: other.aci of web, web.aci of side, "
        "docker://host/app of app for this platform (it is for linux/s390x)"
    )
    with pytest.raises(ImageError, match=r"other\.aci of web"):
        found.held("web", Ask("other.aci"))
    made(tmp_path, Hold.REGISTRIES, {}).check([("web", Ask("other.aci"))])


def test_what_is_locked_is_asked_for_by_its_digest(tmp_path: Path) -> None:
    assert made(tmp_path, Hold.ALL, {}).held("web", Ask("web.aci")) == Ask(
        "web.aci", image_id=WEB_ID, digest=ACI, strict=True, pod="shop"
    )
    loose = made(tmp_path, Hold.AUTO, {})
    assert loose.held("web", Ask("web.aci")) == Ask("web.aci", image_id=WEB_ID, digest=ACI, pod="shop")
    assert loose.held("web", Ask("other.aci")) == Ask("other.aci", pod="shop")
    # Of another platform's lock the index is good for this host too.
    assert loose.held("app", Ask(FOREIGN.reference)) == Ask(FOREIGN.reference, digest=INDEX, pod="shop")
    assert made(tmp_path, Hold.NOTHING, {}).held("web", Ask("web.aci")) == Ask("web.aci")


def test_a_tree_is_made_of_what_is_locked(tmp_path: Path) -> None:
    found, ask = made(tmp_path, Hold.ALL, {}), Ask("web.aci")
    assert found.tree("web", ask) == (WEB_ID, BASE_ID)
    found.check_tree("web", ask, (WEB_ID, BASE_ID))
    with pytest.raises(ImageError, match="the images that web depends on"):
        found.check_tree("web", ask, (WEB_ID, WEB_ID))
    loose = made(tmp_path, Hold.AUTO, {})
    assert loose.tree("web", ask) == ()
    loose.check_tree("web", ask, (BASE_ID,))
