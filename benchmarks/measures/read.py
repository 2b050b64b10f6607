"""What an app reads from its root, warm and cold: an index over the stored archive, against a directory tree.

The same Debian root both ways, under an overlay as a pod has it; the directory is unpacked by tar on the same disk.
Every file is read once from beginning to end, in the order of the names, by one process. Warm: it was read just
before. Cold: a new mount, and the pages of the archive, or of every file of the directory, given back to the kernel
first; what the kernel remembers of the directory's names and inodes stays, as that could only be dropped for the whole
host, so the directory has that much of an advantage.
"""

from __future__ import annotations

import json
import sys

from benchmarks.findings import Finding, Line, Sample
from benchmarks.measures.render import imported, rendered
from benchmarks.sampling import NotHere, in_turn
from benchmarks.workshop import Workshop
from stages.trees.forms import Lower


def measure(workshop: Workshop) -> Finding:
    """See above."""
    made = imported(workshop, workshop.minbase)
    rendered(workshop, made)
    lower = made.trees.lower(made.recipe.tree_id)
    if not lower.image:
        raise NotHere("this machine has trees as directories only")
    plain = lower._replace(path=str(workshop.minbase_root), image="", blobs=())

    def reading(tree: Lower, cold: bool) -> Sample:
        order = json.dumps({"lower": tree._asdict(), "cold": cold, "place": str(workshop.fresh("mount"))})
        told = workshop.bench.said([sys.executable, "-m", "benchmarks.reader", order])
        found: Sample = json.loads(told)
        return found

    series = in_turn(
        workshop.rounds,
        {
            "index, warm": lambda: reading(lower, False),
            "directory, warm": lambda: reading(plain, False),
            "index, cold": lambda: reading(lower, True),
            "directory, cold": lambda: reading(plain, True),
        },
        warm=True,
    )
    lines = [
        Line(f"index, {heat}", f"index, {heat}", "rate", f"directory, {heat}", factor=1.0, at_least=True)
        for heat in ("warm", "cold")
    ]
    return Finding("read", __doc__ or "", series, lines)
