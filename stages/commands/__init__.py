"""The doit commands of our own."""

import gc

# What is loaded by now is doit, and stays: looking through it for garbage, again and again and at the end, took 15 ms.
gc.freeze()
# What we make by the ten thousand, entries and nodes of a tree, has no cycles: a tenth of an import went into looking.
gc.set_threshold(100_000)
