"""The measures, each a module that says what it compares with what; here is their order."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.findings import Finding
from benchmarks.measures import (
    check,
    cold_prepare,
    cold_start,
    commands,
    many,
    noop,
    oci,
    pod2,
    podwright,
    read,
    render,
    start,
    ten,
    userns,
)
from benchmarks.workshop import Workshop

ALL: dict[str, Callable[[Workshop], Finding]] = {
    module.__name__.rpartition(".")[2]: module.measure
    for module in (
        noop,
        podwright,
        start,
        cold_prepare,
        cold_start,
        oci,
        render,
        check,
        pod2,
        commands,
        userns,
        many,
        ten,
        read,
    )
}
