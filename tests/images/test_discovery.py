"""What discovery reads in a page, whatever the page is."""

from __future__ import annotations

import pytest

from stages.images.discovery import ARCHIVES, MAX_PAGE, contents, expanded

GOOD = '<meta name="ac-discovery" content="a.org https://a.org/{name}.{ext}">'
FOUND = ["https://a.org/{name}.{ext}"]


@pytest.mark.parametrize(
    "page",
    [
        GOOD,
        f"<!DOCTYPE html><html><head>{GOOD}</head>",
        GOOD.replace('"', "'"),
        GOOD.upper()
        .replace("A.ORG", "a.org")
        .replace("HTTPS", "https")
        .replace("NAME}", "name}")
        .replace("EXT", "ext"),
        "<META CONTENT='a.org https://a.org/{name}.{ext}' NAME=ac-discovery />",
        f"<script>if (a < b) '<meta'</script>{GOOD}",
        f"1 < 2 {GOOD}",
        f"<meta charset=utf-8><link rel=x>{GOOD}<meta name=ac-discovery content='b.org https://b.org/{{ext}}'>",
        GOOD.replace("/{name}", "&#47;{name}"),
    ],
)
def test_pages_that_say_it(page: str) -> None:
    assert contents(page, ARCHIVES, "a.org/x") == FOUND


@pytest.mark.parametrize(
    "page",
    [
        "",
        f"<!-- {GOOD} -->",
        f"<!-- {GOOD}",
        f"<script>{GOOD}</script>",
        f"<script>{GOOD}",
        f"<body>{GOOD}",
        f"</head>{GOOD}",
        f'<a title="{GOOD}',
        GOOD.replace("a.org ", "a.or "),
        GOOD.replace("a.org ", "a.org/xy "),
        GOOD.replace("a.org ", "a.org b "),
        GOOD.replace("ac-discovery", "ac-discoverys"),
    ],
)
def test_pages_that_do_not(page: str) -> None:
    assert contents(page, ARCHIVES, "a.org/x") == []


def test_a_character_by_a_number_that_nobody_reads_is_none() -> None:
    assert contents(f"<meta name=ac-discovery content='&#{'9' * 5000};'>{GOOD}", ARCHIVES, "a.org") == contents(
        GOOD, ARCHIVES, "a.org"
    )


@pytest.mark.parametrize(
    "unit",
    ["<", "<a", "<a ", '<a "', "<a '", "<!--", "<meta ", "<meta a", "<script>", "</script", "<script></script", "< ",
     "<a =", "<meta a='\">", '<meta "a=>', "<meta a =   ", "{", "\0", "<meta a b=c>"],
)  # fmt: skip
def test_hostile_pages_are_read_to_their_end(unit: str) -> None:
    for head in ("", "<script>", "<meta ", '<meta x="'):
        contents((head + unit * MAX_PAGE)[:MAX_PAGE], ARCHIVES, "a.org")


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("https://h/{name}-{version}-{os}-{arch}.{ext}", "https://h/a.org/x-1%2B2%3Fq-linux-amd64.aci"),
        ("https://h/{name}", None),
        ("https://h/{nothing}.{ext}", None),
        ("https://h/x.{ext}", "https://h/x.aci"),
    ],
)
def test_templates(template: str, found: str | None) -> None:
    labels = {"version": "1+2?q", "os": "linux", "arch": "amd64"}
    assert expanded(template, "a.org/x", labels) == found
