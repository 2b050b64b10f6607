"""Which of the host's name servers a pod is told of."""

from __future__ import annotations

import pytest

from stages.stage1.crun import nameservers

STUB = "# by systemd-resolved\nnameserver 127.0.0.53\noptions edns0\n"
REAL = "nameserver 192.0.2.1\nsearch example.com\n"


@pytest.mark.parametrize(
    ("own", "upstream", "told"),
    [
        (REAL, "", REAL),
        (REAL, "nameserver 192.0.2.9\n", REAL),
        (STUB, REAL, REAL),
        ("", REAL, REAL),
        ("nameserver 127.0.0.1\n" + REAL + "nameserver ::1\n", "", REAL),
        (STUB, "", STUB),
        (STUB, STUB, STUB),
        ("", "", ""),
        ("nameserver\n", "", "nameserver\n"),
    ],
)
def test_servers_on_the_host_s_loopback_are_left_out_where_there_are_others(own: str, upstream: str, told: str) -> None:
    assert nameservers.reachable(own, upstream) == told
