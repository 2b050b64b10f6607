"""The command line of the run entrypoint."""

from __future__ import annotations

import pytest

from stages.stage1.lib import arguments
from stages.stage1.lib.errors import Stage1Error

UUID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f10"


def test_every_flag_of_the_interface_is_understood() -> None:
    flags = "--debug --net=none --interactive --private-users=1000:65536 --mds-token=ab --local-config=/etc/rkt"
    flags += " --hostname=shop --disable-capabilities-restriction --disable-paths --disable-seccomp"
    flags += " --dns-conf-mode=resolv=host,hosts=stage0 --ipc=parent"
    parsed = arguments.parse([*flags.split(), UUID])
    assert parsed.uuid == UUID and parsed.hostname == "shop" and parsed.ipc == "parent" and parsed.mds_token == "ab"
    assert parsed.private_users == (1000, 65536) and parsed.no_network and not parsed.host_network
    assert parsed.dns == {"resolv": "host", "hosts": "stage0"}
    assert {"debug", "interactive", "disable-seccomp"} <= parsed.switches


def test_defaults_without_flags() -> None:
    parsed = arguments.parse([UUID])
    assert parsed.net == [("default", "")] and parsed.hostname == f"rkt-{UUID}" and parsed.private_users is None


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--debug"],
        ["--nonsense", UUID],
        ["--net", UUID],
        ["stray", UUID],
        ["not-a-uuid"],
        ["--net=", UUID],
        ["--net=a,a", UUID],
        ["--net=a:b:c", UUID],
        ["--net=host:x", UUID],
        ["--private-users=5", UUID],
        ["--private-users=5:0", UUID],
        ["--private-users=4294967295:1", UUID],
        ["--ipc=junk", UUID],
        ["--dns-conf-mode=resolv=junk", UUID],
        ["--debug=maybe", UUID],
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(argv: list[str]) -> None:
    with pytest.raises(Stage1Error):
        arguments.parse(argv)


def test_network_arguments_are_kept() -> None:
    assert arguments.parse(["--net=one:IP=1.2.3.4;X=y,two", UUID]).net == [("one", "IP=1.2.3.4;X=y"), ("two", "")]
