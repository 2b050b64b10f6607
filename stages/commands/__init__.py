"""The doit commands of our own."""

from gc import freeze, set_threshold

# What we make by the ten thousand, entries and nodes of a tree, has no cycles: a tenth of an import went into looking.
set_threshold(100_000)


def spare_doit() -> None:
    """Have the collector leave alone what is loaded by now: looking through doit, and at the end again, took 15 ms."""
    freeze()
