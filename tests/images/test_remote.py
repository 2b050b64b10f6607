"""Images over the web: real transfers from a TLS server on loopback, by address and by name."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.base.errors import HostError, ImageError
from stages.base.paths import DataDir
from stages.base.progress import Silent
from stages.images import blobs, discovery, intake, openpgp, transfer
from stages.images.ask import Ask
from stages.images.finder import Finder
from stages.images.store import ImageStore
from stages.images.transfer import Fetched
from stages.images.web import Web
from stages.spec.model import PullPolicy, Signatures
from tests.images.signing import Signer
from tests.images.test_store import archive, everything, manifest
from tests.images.web_server import NAME, Page, Server

ALWAYS, NEVER = PullPolicy.ALWAYS, PullPolicy.NEVER
HOST_LABELS = {"version": "1.0"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("web") / "server")
    yield made
    made.close()


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    running.pages.clear()
    running.asked.clear()
    for key, value in running.environment.items():
        monkeypatch.setenv(key, value)
    return running


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    made = Signer(tmp_path_factory.mktemp("gpg") / "home")
    yield made
    made.close()


@pytest.fixture
def finder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Finder:
    monkeypatch.setenv("PODWRIGHT_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(transfer, "_PAUSE", 0.001)
    data = DataDir(tmp_path / "data")
    return Finder(data, ImageStore(data), tmp_path)


def trust(finder: Finder, signer: Signer, prefix: str = "") -> None:
    finder.guard.keystore.add(openpgp.key(signer.public(), "key"), signer.public(), prefix)


def serve(server: Server, signer: Signer, data: bytes, path: str = "/a.aci", **headers: str) -> str:
    server.pages[path] = Page(data, **headers)
    server.pages[f"{path}.asc"] = Page(signer.sign(data))
    return server.url + path


def refused(finder: Finder, ask: Ask, reason: str) -> ImageError:
    with pytest.raises(ImageError) as caught:
        finder.bring(ask, Silent())
    assert caught.value.reason == reason, caught.value
    assert not [one for one in everything(finder.store) if "/trustedkeys/" not in one]
    return caught.value


@pytest.mark.contract("L.1 rkt_fetch", "L.1 rkt_trust")
def test_a_signed_image_is_fetched_once(finder: Finder, server: Server, signer: Signer) -> None:
    trust(finder, signer)
    ask = Ask(serve(server, signer, archive()))
    assert not finder.verdict(ask).fresh
    image_id = finder.bring(ask, Silent())
    assert sorted(server.paths()) == ["/a.aci", "/a.aci.asc"]
    assert finder.verdict(ask).fresh
    assert finder.bring(ask, Silent()) == image_id and finder.guard.signer(image_id) == signer.fingerprint
    assert server.paths() == []


def test_an_image_without_a_signature_is_not_even_fetched(finder: Finder, server: Server, signer: Signer) -> None:
    ask = Ask(serve(server, signer, archive()))
    del server.pages["/a.aci.asc"]
    assert "signatures: off" in refused(finder, ask, "unsigned").hint
    assert server.paths() == ["/a.aci.asc"]
    finder.bring(ask._replace(signatures=Signatures.OFF), Silent())


def test_another_key_or_other_bytes_are_refused(finder: Finder, server: Server, signer: Signer) -> None:
    ask = Ask(serve(server, signer, archive()))
    refused(finder, ask, "unknown-key")
    trust(finder, signer)
    server.pages["/a.aci"] = Page(archive(content=b"other"))
    refused(finder, ask, "bad-signature")


def test_a_signature_that_is_made_later_is_asked_for_again(finder: Finder, server: Server, signer: Signer) -> None:
    trust(finder, signer)
    ask = Ask(serve(server, signer, archive()))
    good = server.pages["/a.aci.asc"]

    class Later(Silent):
        def begin(self, title: str, total: int) -> None:
            server.pages["/a.aci.asc"] = good

    server.pages["/a.aci.asc"] = Page(b"wait", status=202)
    finder.bring(ask, Later())
    assert server.paths() == ["/a.aci.asc", "/a.aci", "/a.aci.asc"]


@pytest.mark.contract("L.1 rkt_fetch")
def test_always_asks_whether_it_changed(finder: Finder, server: Server, signer: Signer) -> None:
    trust(finder, signer)
    ask = Ask(serve(server, signer, archive(), ETag='"1"'), ALWAYS)
    first = finder.bring(ask, Silent())
    assert not finder.verdict(ask).fresh
    server.paths()
    assert finder.bring(ask, Silent()) == first
    assert server.asked[-1][1]["If-None-Match"] == '"1"' and server.paths() == ["/a.aci"]
    serve(server, signer, archive(content=b"new"), ETag='"2"', Cache_Control="max-age=3600")
    assert finder.bring(ask, Silent()) != first
    server.paths()
    finder.bring(ask, Silent())  # the server asked not to be asked again yet
    assert server.paths() == []


def test_an_image_that_is_gone_from_the_store_is_fetched_whole(finder: Finder, server: Server, signer: Signer) -> None:
    trust(finder, signer)
    ask = Ask(serve(server, signer, archive(), ETag='"1"', Cache_Control="max-age=3600"), ALWAYS)
    finder.store.remove(finder.bring(ask, Silent()))
    assert finder.store.has(finder.bring(ask, Silent()))


@pytest.mark.contract("L.1 rkt_fetch")
def test_never_means_never_and_the_store_answers_offline(finder: Finder, server: Server, signer: Signer) -> None:
    trust(finder, signer)
    ask = Ask(serve(server, signer, archive()), NEVER)
    assert "Never" in refused(finder, ask, "not-stored").sentence
    image_id = finder.bring(ask._replace(pull=PullPolicy.IF_NOT_PRESENT), Silent())
    server.pages.clear()
    server.paths()
    assert finder.bring(ask, Silent()) == image_id and server.paths() == []


@pytest.mark.contract("L.1 rkt_fetch")
@pytest.mark.parametrize("tag", ['"strong"', "", 'W/"weak"'])
def test_a_broken_transfer_goes_on_or_begins_again(finder: Finder, server: Server, signer: Signer, tag: str) -> None:
    trust(finder, signer)
    data = archive(content=os.urandom(300_000))
    ask = Ask(serve(server, signer, data, **({"ETag": tag} if tag else {})))
    server.pages["/a.aci"].cut = 100_000
    finder.bring(ask, Silent())
    again = [headers for path, headers in server.asked if path == "/a.aci"][-1]
    assert again.get("Range") == ("bytes=100000-" if tag == '"strong"' else None)


def test_a_line_that_always_breaks_is_given_up(finder: Finder, server: Server, signer: Signer) -> None:
    class Short(Page):
        @property
        def cut(self) -> int:
            return 10

        @cut.setter
        def cut(self, value: int) -> None:
            pass

    trust(finder, signer)
    ask = Ask(serve(server, signer, archive()))
    server.pages["/a.aci"] = Short(archive())
    refused(finder, ask, "unreachable")


def test_a_server_that_does_not_answer_is_given_up(finder: Finder, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/images.json").write_text('{"patience": 1}')
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, nobody answers
        ask = Ask(f"https://127.0.0.1:{silent.getsockname()[1]}/a.aci")
        error = refused(finder, ask, "unreachable")
    assert "does not answer" in error.sentence and "patience" in error.hint


def test_a_server_that_stops_midway_is_given_up(
    finder: Finder, server: Server, signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").mkdir()
    # The server, a few threads of this process, always says something in that time.
    (tmp_path / "config/images.json").write_text('{"patience": 10}')
    monkeypatch.setattr(transfer, "_RETRIES", 1)
    trust(finder, signer)
    data = archive(content=os.urandom(300_000))
    ask = Ask(serve(server, signer, data, ETag='"1"'))
    server.pages["/a.aci"].stall = 100_000
    assert "sends no more" in refused(finder, ask, "unreachable").sentence
    server.pages["/a.aci"].stall = 0
    finder.bring(ask, Silent())


SLOW = Web(patience=1.0, least=5000)  # and the server, a few threads of this process, is never silent for so long


def dripping(server: Server, path: str, size: int) -> str:
    server.pages[path] = Page(os.urandom(size), ETag='"1"')
    server.pages[path].drip = 0.005
    return server.url + path


def test_a_server_that_trickles_is_given_up(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_RETRIES", 1)
    monkeypatch.setattr(transfer, "_PAUSE", 0.001)
    url = dripping(server, "/slow", 10_000)
    with open(tmp_path / "spool", "w+b") as spool, pytest.raises(ImageError) as caught:
        transfer.fetch(SLOW, url, spool, Fetched(""), Silent())
    assert "less than 5000 bytes in 1 seconds" in caught.value.sentence and "patience" in caught.value.hint
    assert server.paths() == ["/slow", "/slow"]
    with pytest.raises(ImageError, match="less than 5000 bytes") as caught:
        SLOW.small(url, 20_000)
    assert caught.value.reason == "unreachable" and "patience" in caught.value.hint


def test_a_server_that_is_fast_enough_may_take_its_time(server: Server, tmp_path: Path) -> None:
    url = dripping(server, "/slow", 400)
    with open(tmp_path / "spool", "w+b") as spool:
        transfer.fetch(SLOW._replace(least=20), url, spool, Fetched(""), Silent())
        assert spool.read() == server.pages["/slow"].body


def test_a_reader_that_takes_its_time_is_not_the_server_s_fault(server: Server, tmp_path: Path) -> None:
    server.pages["/fast"] = Page(os.urandom(3000))

    with SLOW.open(f"{server.url}/fast") as response:
        found = [response.read(1000)]
        time.sleep(SLOW.patience + 0.1)
        found += [response.read(1000), response.read()]
    assert b"".join(found) == server.pages["/fast"].body


@pytest.mark.parametrize(
    ("first", "then", "pause", "told"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.005, "less than 5000 bytes in 1 seconds"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 0, "more than 1048576 bytes before its answer"),
    ],
)
def test_headers_may_neither_trickle_nor_go_on_for_ever(first: bytes, then: bytes, pause: float, told: str) -> None:
    def answer() -> None:
        with listening.accept()[0] as client, contextlib.suppress(OSError):
            client.sendall(first)
            while True:
                client.sendall(then)
                time.sleep(pause)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer)
        thread.start()
        host = f"127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(ImageError, match=told):
            SLOW._replace(plain=frozenset({host})).open(f"http://{host}/a.aci")
        thread.join()


def test_limits(server: Server, tmp_path: Path) -> None:
    server.pages["/big"] = Page(b"x" * 1000)
    with open(tmp_path / "spool", "w+b") as spool, pytest.raises(ImageError, match="larger than 999"):
        transfer.fetch(Web(), f"{server.url}/big", spool, Fetched(""), Silent(), limit=999)
    with pytest.raises(ImageError, match="larger than 999"):
        Web().small(f"{server.url}/big", 999)


@pytest.mark.parametrize("size", [10, 1 << 20])
def test_the_disk_is_not_filled(
    finder: Finder, server: Server, signer: Signer, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    trust(finder, signer)
    monkeypatch.setattr(intake, "_too_full", lambda room, size: size > 0)
    monkeypatch.setattr(blobs, "receive", None)  # it is refused before that
    with pytest.raises(HostError, match=f"no space left while importing {server.url}"):
        finder.bring(Ask(serve(server, signer, bytes(size))), Silent())


def test_redirections(finder: Finder, server: Server, signer: Signer) -> None:
    trust(finder, signer)
    serve(server, signer, archive())
    for name in ("/a.aci", "/a.aci.asc"):
        server.pages[f"/old{name}"] = Page(status=302, Location=server.url + name)
    finder.bring(Ask(f"{server.url}/old/a.aci"), Silent())
    for target in (f"http://{server.plain_host}/a.aci", "file:///etc/passwd", "ftp://127.0.0.1/x"):
        server.pages["/bad.aci"] = Page(status=302, Location=target)
        with pytest.raises(ImageError, match=r"not https|nowhere"):
            Web(frozenset({server.plain_host})).open(f"{server.url}/bad.aci")
    server.pages["/loop"] = Page(status=302, Location=f"{server.url}/loop")
    with pytest.raises(ImageError, match="circle"):
        Web().open(f"{server.url}/loop")


def test_of_a_page_that_redirects_nothing_is_read(server: Server) -> None:
    """One that never ended filled the memory."""
    server.pages["/old"] = Page(b"more", status=302, stall=1, Location=f"{server.url}/new")
    server.pages["/new"] = Page(b"found")
    assert SLOW.small(f"{server.url}/old", 10) == (200, b"found")


def test_a_piece_of_less_than_nothing_is_the_end(server: Server, tmp_path: Path) -> None:
    server.pages["/odd"] = Page(b"-5\r\nabc", Transfer_Encoding="chunked")
    with open(tmp_path / "spool", "w+b") as spool, pytest.raises(ImageError, match="cut off"):
        transfer.fetch(Web(), f"{server.url}/odd", spool, Fetched(""), Silent())
    with pytest.raises(ImageError) as caught:
        Web().small(f"{server.url}/odd", 999)
    assert caught.value.reason == "unreachable"


@pytest.mark.contract("M 43")
def test_without_tls_only_where_the_host_allows_it(
    finder: Finder, server: Server, signer: Signer, tmp_path: Path
) -> None:
    trust(finder, signer)
    serve(server, signer, archive())
    ask = Ask(f"http://{server.plain_host}/a.aci")
    with pytest.raises(ImageError, match="over https only"):
        finder.bring(ask, Silent())
    assert server.paths() == []
    (tmp_path / "config").mkdir()
    (tmp_path / "config/images.json").write_text(f'{{"http": ["{server.plain_host}"]}}')
    finder.bring(ask, Silent())


def test_a_server_without_tls_is_told_from_one_that_nobody_knows(finder: Finder, server: Server) -> None:
    failed = refused(finder, Ask(f"https://{server.plain_host}/a.aci"), "tls")
    assert "no TLS" in failed.sentence and '{"http": ["HOST:PORT"]}' in failed.hint


def test_a_server_that_nobody_vouches_for(finder: Finder, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "SSL_CERT_FILE" in refused(finder, Ask(f"{server.url}/a.aci"), "tls").hint


@pytest.mark.parametrize(("status", "reason"), [(404, "unsigned"), (401, "unauthorized"), (500, "unreachable")])
def test_what_servers_say(finder: Finder, server: Server, status: int, reason: str) -> None:
    server.pages["/a.aci.asc"] = Page(status=status)
    refused(finder, Ask(f"{server.url}/a.aci"), reason)


def page(*tags: str) -> Page:
    return Page(f"<html><head>{''.join(tags)}</head></html>".encode())


def tag(kind: str, content: str) -> str:
    return f'<meta name="{kind}" content="{content}">'


def test_a_name_is_discovered(finder: Finder, server: Server, signer: Signer) -> None:
    name = f"{NAME}/team/app"
    trust(finder, signer, f"{NAME}/team")
    data = archive(manifest(name, **HOST_LABELS))
    serve(server, signer, data, "/files/app-1.0-linux.aci")
    template = f"{NAME}/team https://{NAME}/files/app-{{version}}-{{os}}.{{ext}}"
    server.pages["/team?ac-discovery=1"] = page(tag("ac-discovery", template))
    ask = Ask(f"{name}:1.0")
    image_id = finder.bring(ask, Silent())
    assert server.paths()[:2] == ["/team/app?ac-discovery=1", "/team?ac-discovery=1"]
    assert finder.verdict(ask).fresh and finder.bring(ask, Silent()) == image_id
    assert server.paths() == []
    assert not finder.verdict(ask._replace(pull=ALWAYS)).fresh


@pytest.mark.contract("L.1 rkt_fetch")
@pytest.mark.parametrize(
    ("labels", "reason"), [({"version": "2.0"}, "label"), ({}, "label"), ({"name": "other.test/x"}, "name")]
)
def test_discovery_must_lead_to_what_was_asked_for(
    finder: Finder, server: Server, signer: Signer, labels: dict[str, str], reason: str
) -> None:
    trust(finder, signer)
    name = labels.pop("name", f"{NAME}/app")
    serve(server, signer, archive(manifest(name, **labels)), "/app.aci")
    server.pages["/app?ac-discovery=1"] = page(tag("ac-discovery", f"{NAME}/app https://{NAME}/app.{{ext}}"))
    refused(finder, Ask(f"{NAME}/app:1.0"), reason)


def test_the_next_place_is_asked_where_the_first_has_nothing(finder: Finder, server: Server, signer: Signer) -> None:
    trust(finder, signer)
    serve(server, signer, archive(manifest(f"{NAME}/app")), "/second.aci")
    places = [tag("ac-discovery", f"{NAME} https://{NAME}/{word}.{{ext}}") for word in ("first", "second")]
    server.pages["/app?ac-discovery=1"] = page(*places)
    finder.bring(Ask(f"{NAME}/app")._replace(signatures=Signatures.WARN), Silent())


def test_a_name_that_leads_nowhere(finder: Finder, server: Server) -> None:
    assert "discovery" in refused(finder, Ask(f"{NAME}/app"), "not-stored").sentence
    assert server.paths() == ["/app?ac-discovery=1", "/?ac-discovery=1"]
    refused(finder, Ask("busybox"), "not-stored")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("nginx", "docker://nginx"),
        ("127.0.0.1:5000/team/web:1.25", "docker://127.0.0.1:5000/team/web:1.25"),
        ("./root", "dir:./root"),
        ("root", "dir:root"),
        ("saved.tar", "docker-archive:saved.tar"),
        ("nginx,os=linux", "`doit images import ./FILE` brings one in"),
    ],
)
def test_a_word_that_podman_takes_is_told_how_it_is_written(
    finder: Finder, server: Server, tmp_path: Path, text: str, hint: str
) -> None:
    (finder.project / "root").mkdir()
    (finder.project / "saved.tar").touch()
    with pytest.raises(ImageError) as caught:
        finder.bring(Ask(text, pull=PullPolicy.NEVER), Silent())
    assert caught.value.hint.endswith(hint) or f"{hint}," in caught.value.hint


def test_an_id_is_no_image_of_a_registry(finder: Finder) -> None:
    ask = Ask("sha512-" + "0" * 128, image_id="sha512-" + "0" * 128, strict=True)
    assert "docker://" not in refused(finder, ask, "not-stored").hint


@pytest.mark.parametrize("url", ["https://[1]/x.aci", "https://[x/y", "https://[::1/x"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ImageError) as caught:
        Web().open(url)
    assert caught.value.reason == "web" and url in caught.value.sentence


def test_a_page_that_leads_to_no_address(finder: Finder, server: Server) -> None:
    server.pages["/app?ac-discovery=1"] = page(tag("ac-discovery", f"{NAME}/app https://[x/{{name}}.{{ext}}"))
    refused(finder, Ask(f"{NAME}/app"), "web")


def test_keys_are_discovered(server: Server) -> None:
    server.pages["/app?ac-discovery=1"] = page(
        tag("ac-discovery-pubkeys", f"{NAME} https://{NAME}/keys.asc"),
        tag("ac-discovery-pubkeys", f"{NAME}/ap https://{NAME}/wrong.asc"),
    )
    assert discovery.keys(Web(), f"{NAME}/app") == [f"https://{NAME}/keys.asc"]
