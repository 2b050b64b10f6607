"""What a run derives from its spec before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.base.errors import HostError
from stages.base.paths import DataDir
from stages.linux import overlay
from stages.pod.context import Context
from stages.spec.model import App, OverlayMode, PodSpec, Stage0

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f10"


def context(tmp_path: Path, mode: OverlayMode) -> Context:
    spec = PodSpec("shop", UID, (App("web", "web.aci"), App("side", "side.aci")), stage0=Stage0(overlay=mode))
    return Context(tmp_path, DataDir(tmp_path / "data"), spec, {})


@pytest.mark.parametrize(
    ("mode", "kernel", "expected"),
    [
        (OverlayMode.AUTO, True, True),
        (OverlayMode.AUTO, False, False),
        (OverlayMode.TRUE, True, True),
        (OverlayMode.FALSE, True, False),
        (OverlayMode.FALSE, False, False),
    ],
)
@pytest.mark.contract("A.8 markers", "B.4 SupportsOverlay")
def test_overlay_is_used_where_the_spec_and_the_kernel_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: OverlayMode, kernel: bool, expected: bool
) -> None:
    monkeypatch.setattr(overlay, "refusal", lambda _: "" if kernel else "this kernel has no overlayfs")
    assert context(tmp_path, mode).overlay is expected


@pytest.mark.contract("A.8 markers")
def test_a_spec_that_insists_on_overlay_is_refused_by_a_kernel_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlay, "supported", lambda: False)
    with pytest.raises(HostError) as refused:
        _ = context(tmp_path, OverlayMode.TRUE).overlay
    assert refused.value.reason == "no-overlay"


@pytest.mark.contract("A.11 prepareAppImage")
def test_without_overlay_only_stage1_has_a_tree_in_the_store(tmp_path: Path) -> None:
    assert context(tmp_path, OverlayMode.FALSE).tree_rows == ("stage1",)
    assert context(tmp_path, OverlayMode.TRUE).tree_rows == ("stage1", "web", "side")
