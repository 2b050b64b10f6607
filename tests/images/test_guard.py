"""Only what a trusted key has signed comes in, where that is demanded: real keys, real signatures, and each refusal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stages.base.errors import ImageError
from stages.base.paths import DataDir
from stages.base.progress import Silent
from stages.images import openpgp
from stages.images.ask import Ask
from stages.images.finder import Finder
from stages.images.keys import Keystore
from stages.images.store import ImageStore
from stages.spec.model import Signatures
from tests.images.signing import Signer
from tests.images.test_store import archive, everything, manifest

Make = Callable[..., Signer]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Makes signers, and ends their agents."""
    found: dict[str, Signer] = {}

    def make(name: str = "signer", **options: bool) -> Signer:
        if name not in found:
            found[name] = Signer(tmp_path_factory.mktemp("gpg") / "home", **options)
        return found[name]

    yield make
    for one in found.values():
        one.close()


@pytest.fixture
def signer(made: Make) -> Signer:
    return made()


@pytest.fixture
def finder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Finder:
    monkeypatch.setenv("PODWRIGHT_CONFIG", str(tmp_path / "config"))
    data = DataDir(tmp_path / "data")
    return Finder(data, ImageStore(data), tmp_path)


def trust(finder: Finder, signer: Signer, prefix: str = "example.com/a") -> None:
    data = signer.public()
    finder.guard.keystore.add(openpgp.key(data, "key"), data, prefix)


def put(finder: Finder, signature: bytes | None, data: bytes | None = None) -> Ask:
    path = finder.project / "a.aci"
    path.write_bytes(data or archive())
    if signature is not None:
        Path(f"{path}.asc").write_bytes(signature)
    return Ask("./a.aci", signatures=Signatures.REQUIRE)


def refused(finder: Finder, ask: Ask, reason: str) -> ImageError:
    """It does not come in, and the store is as it was."""
    with pytest.raises(ImageError) as caught:
        finder.bring(ask, Silent())
    assert caught.value.reason == reason and caught.value.hint
    assert not [one for one in everything(finder.store) if "/manifests/" in one or "/blobs/" in one]
    return caught.value


@pytest.mark.parametrize("prefix", ["", "example.com", "example.com/a"])
@pytest.mark.parametrize("form", ["--armor", "--no-armor"])
def test_a_signed_image_comes_in_and_its_signer_is_remembered(
    finder: Finder, signer: Signer, prefix: str, form: str
) -> None:
    trust(finder, signer, prefix)
    ask = put(finder, signer.sign(archive(), form))
    image_id = finder.bring(ask, Silent())
    assert finder.guard.signer(image_id) == signer.fingerprint
    assert finder.verdict(ask).fresh
    assert finder.bring(ask, Silent()) == image_id


@pytest.mark.contract("L.1 rkt_trust")
def test_an_unsigned_image_is_refused(finder: Finder, signer: Signer) -> None:
    trust(finder, signer)
    assert "gpg --armor --detach-sign" in refused(finder, put(finder, None), "unsigned").hint


def test_a_signature_that_never_ends_is_none(finder: Finder, signer: Signer) -> None:
    os.mkfifo(finder.project / "a.aci.asc")
    with pytest.raises(OSError, match="not a regular file"):
        finder.bring(put(finder, None), Silent())


@pytest.mark.contract("L.1 rkt_trust")
def test_a_key_that_nobody_trusts_is_refused(finder: Finder, signer: Signer) -> None:
    error = refused(finder, put(finder, signer.sign(archive())), "unknown-key")
    assert signer.fingerprint in error.sentence and "doit trust add" in error.hint


@pytest.mark.contract("L.1 rkt_trust", "M 44")
@pytest.mark.parametrize("prefix", ["example.com/b", "example.com/ab", "example.org", "a", "example.com/a/b"])
def test_a_key_for_other_names_is_refused(finder: Finder, signer: Signer, prefix: str) -> None:
    trust(finder, signer, prefix)
    assert "trusted for that name" in refused(finder, put(finder, signer.sign(archive())), "unknown-key").sentence


def test_other_bytes_than_those_that_were_signed_are_refused(finder: Finder, signer: Signer) -> None:
    trust(finder, signer)
    refused(finder, put(finder, signer.sign(archive(content=b"other"))), "bad-signature")


def test_the_packed_file_is_what_is_signed(finder: Finder, signer: Signer) -> None:
    import gzip

    trust(finder, signer)
    packed = gzip.compress(archive())
    refused(finder, put(finder, signer.sign(archive()), packed), "bad-signature")
    finder.bring(put(finder, signer.sign(packed), packed), Silent())


def test_an_expired_key_is_refused(finder: Finder, made: Make) -> None:
    old = made("old", expired=True)
    trust(finder, old)
    assert "expired" in refused(finder, put(finder, old.sign(archive())), "expired-key").sentence


def test_a_revoked_key_is_refused(finder: Finder, tmp_path: Path) -> None:
    one = Signer(tmp_path / "gpg")
    try:
        signature = one.sign(archive())
        trust(finder, one, "")
        one.revoke()
        trust(finder, one)  # the form for the name counts, not the one for every name
        refused(finder, put(finder, signature), "revoked-key")
    finally:
        one.close()


@pytest.mark.parametrize(
    ("options", "reason"),
    [(("--armor", "--digest-algo", "SHA1"), "weak-signature"), (("--armor", "--textmode"), "bad-signature")],
)
def test_signatures_that_could_be_of_something_else_are_refused(
    finder: Finder, signer: Signer, options: tuple[str, ...], reason: str
) -> None:
    trust(finder, signer)
    refused(finder, put(finder, signer.sign(archive(), *options)), reason)


@pytest.mark.parametrize("signature", [b"", b"nothing", b"-----BEGIN PGP SIGNATURE-----\n\n=\n", b"\xff" * 100])
def test_what_is_no_signature_is_refused(finder: Finder, signer: Signer, signature: bytes) -> None:
    trust(finder, signer)
    with pytest.raises(ImageError) as caught:
        finder.bring(put(finder, signature), Silent())
    assert caught.value.reason == "bad-openpgp"


def test_a_signed_message_is_no_detached_signature(finder: Finder, signer: Signer) -> None:
    trust(finder, signer)
    with pytest.raises(ImageError, match="no detached signature"):
        finder.bring(put(finder, signer.gpg("--armor", "--sign", "--output", "-", stdin=archive())), Silent())


def test_a_stricter_policy_makes_the_image_stale_and_a_weaker_one_does_not(finder: Finder, signer: Signer) -> None:
    trust(finder, signer)
    ask = put(finder, None)
    off = ask._replace(signatures=None)
    image_id = finder.bring(off, Silent())
    assert finder.verdict(off).fresh
    (reason,) = finder.verdict(ask).reasons
    assert reason.text() == "signature of ./a.aci: not looked at -> require"
    (finder.project / "a.aci.asc").write_bytes(signer.sign(archive()))
    assert finder.bring(ask, Silent()) == image_id
    assert finder.verdict(ask).fresh and finder.verdict(off).fresh


def test_a_key_that_is_taken_away_makes_its_images_stale(finder: Finder, signer: Signer) -> None:
    trust(finder, signer)
    ask = put(finder, signer.sign(archive()))
    image_id = finder.bring(ask, Silent())
    finder.guard.keystore.remove(signer.fingerprint, "example.com/a")
    assert not finder.verdict(ask).fresh
    with pytest.raises(ImageError, match="not trusted"):
        finder.bring(ask, Silent())
    stored = Ask(image_id, signatures=Signatures.REQUIRE)
    with pytest.raises(ImageError, match="is in the store, but its signature"):
        finder.bring(stored, Silent())
    assert finder.bring(stored._replace(signatures=Signatures.OFF), Silent()) == image_id


def test_a_warning_is_told_once(finder: Finder, signer: Signer) -> None:
    told: list[str] = []

    class Told(Silent):
        def warn(self, sentence: str) -> None:
            told.append(sentence)

    ask = put(finder, None)._replace(signatures=Signatures.WARN)
    finder.bring(ask, Told())
    assert len(told) == 1 and "is not signed" in told[0]
    assert finder.verdict(ask).fresh
    assert not finder.verdict(ask._replace(signatures=Signatures.REQUIRE)).fresh


def test_the_host_s_word_is_the_least(finder: Finder, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/images.json").write_text('{"signatures": {"local": "require"}}')
    refused(finder, put(finder, None)._replace(signatures=Signatures.OFF), "unsigned")


def test_removing_an_image_forgets_its_signers(finder: Finder, signer: Signer) -> None:
    trust(finder, signer)
    image_id = finder.bring(put(finder, signer.sign(archive())), Silent())
    finder.store.remove(image_id)
    assert finder.guard.signers(image_id) is None


@pytest.mark.parametrize("text", [b"", b"{", b"7", b"[" * 100_000, b"{}", b'{"signers": "x"}', b"\xff"])
def test_damaged_signers_are_as_if_none_had_been_looked_for(finder: Finder, signer: Signer, text: bytes) -> None:
    trust(finder, signer)
    ask = put(finder, signer.sign(archive()))
    image_id = finder.bring(ask, Silent())
    finder.data.images.signer(image_id).write_bytes(text)
    assert finder.guard.signers(image_id) is None and not finder.verdict(ask).fresh
    assert finder.bring(ask, Silent()) == image_id and finder.guard.signer(image_id) == signer.fingerprint


def test_the_keystore_masks_and_its_files_are_what_their_names_say(
    tmp_path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PODWRIGHT_CONFIG", str(tmp_path / "config"))
    host, data = tmp_path / "config/trustedkeys/root.d", DataDir(tmp_path / "data")
    host.mkdir(parents=True)
    (host / signer.fingerprint).write_bytes(signer.public())
    store = Keystore.of(data, {"PODWRIGHT_CONFIG": str(tmp_path / "config")})
    assert list(store.trusted("x.org/a")) == [signer.fingerprint]
    (data.keys.folder("x.org")).mkdir(parents=True)
    (data.keys.folder("x.org") / signer.fingerprint).touch()
    assert not store.trusted("x.org/a") and store.trusted("x.orga")
    assert store.remove(signer.fingerprint, "")
    assert not store.trusted("x.orga") and not store.every()
    finder = Finder(data, ImageStore(data), tmp_path)
    (host / ("0" * 40)).write_bytes(signer.public())
    with pytest.raises(ImageError, match="has the fingerprint"):
        finder.bring(put(finder, signer.sign(archive())), Silent())
    (host / ("0" * 40)).chmod(0o666)
    with pytest.raises(ImageError, match="may be written by others"):
        finder.bring(put(finder, signer.sign(archive())), Silent())


@pytest.mark.parametrize("prefix", ["../x", "a/../b", "a//b", "a/./b", "/a", "a/", "https://a", "A", "a/.../b"])
def test_odd_prefixes_are_refused(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(ImageError):
        Keystore.of(DataDir(tmp_path), {}).trusted(prefix)


def test_secret_keys_and_several_keys_are_refused(signer: Signer, made: Make) -> None:
    with pytest.raises(ImageError, match="secret key"):
        openpgp.key(signer.secret(), "it")
    with pytest.raises(ImageError, match="several armoured blocks"):
        openpgp.key(signer.public() + made("second").public(), "it")
    with pytest.raises(ImageError, match="no public key"):
        openpgp.key(signer.sign(b"x"), "it")
    with pytest.raises(ImageError, match="not armoured"):
        openpgp.key(signer.gpg("--export"), "it")


def test_the_manifest_of_another_image_is_not_let_in_by_its_file_s_name(finder: Finder, signer: Signer) -> None:
    trust(finder, signer)
    data = archive(manifest("example.com/b"))
    refused(finder, put(finder, signer.sign(data), data), "unknown-key")
