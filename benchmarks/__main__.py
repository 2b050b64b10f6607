"""The command line: `python -m benchmarks [MEASURE...]` measures, prints the table, and keeps the figures."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import disk, machine, measures, report
from benchmarks.findings import Finding
from benchmarks.sampling import BenchmarkError, NotHere
from benchmarks.workshop import CHECKOUT, Workshop, compile_all

RESULTS = CHECKOUT / "benchmarks" / "results"
PAGE = CHECKOUT / "docs" / "performance.md"
# Where the file is that becomes this run's disk, and where archives stay from run to run.
PLACE = Path("/var/tmp/podwright-bench")


def main(arguments: list[str]) -> int:
    """Measure, or show what was measured. 1: a measure failed. 2: this machine or the words will not do."""
    options = _parser().parse_args(arguments)
    if options.source:
        results = report.load(options.source)
    elif os.geteuid() != 0:
        print("podwright: benchmarks mount things: run them as root", file=sys.stderr)
        return 2
    else:
        results = _measure(options.names or list(measures.ALL), options, arguments)
        kept = report.save(results, RESULTS)
        print(f"kept in {kept.relative_to(CHECKOUT)}", file=sys.stderr)
    print(report.text(results))
    if options.write:
        report.write(results, PAGE)
    return 1 if any(why.startswith("failed") for why in results.missing.values()) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="MEASURE", help=f"one of {', '.join(measures.ALL)}; all by default")
    parser.add_argument("-n", dest="rounds", type=int, default=5, help="samples of each thing (5)")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    parser.add_argument("--in", dest="place", type=Path, metavar="DIR", help="work in DIR, not on a disk of its own")
    parser.add_argument(
        "--from", dest="source", type=Path, metavar="FILE", help="show a run that was kept; measure nothing"
    )
    return parser


def _measure(names: list[str], options: argparse.Namespace, arguments: list[str]) -> report.Results:
    if unknown := sorted(set(names) - set(measures.ALL)):
        raise SystemExit(f"podwright: there is no measure {', '.join(unknown)}; there are {', '.join(measures.ALL)}")
    now = datetime.now(UTC)
    scratch = (options.place or PLACE).absolute() / now.strftime("%H%M%S")
    PLACE.mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True) if options.place else disk.mount(scratch)
    workshop = Workshop(scratch, PLACE, options.rounds)
    findings: list[Finding] = []
    missing: dict[str, str] = {}
    try:
        compile_all(workshop.bench, CHECKOUT / "stages", CHECKOUT / "dodo.py")
        for name in names:
            _one(name, workshop, findings, missing)
        facts = machine.facts(scratch)
    finally:
        print("removing what was made", file=sys.stderr)
        shutil.rmtree(scratch) if options.place else disk.unmount(scratch)
    command = shlex.join(["python", "-m", "benchmarks", *arguments])
    return report.Results(now.strftime("%Y-%m-%d %H:%M"), command, options.rounds, facts, findings, missing)


def _one(name: str, workshop: Workshop, findings: list[Finding], missing: dict[str, str]) -> None:
    print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
    start = time.monotonic()
    try:
        findings.append(measures.ALL[name](workshop))
    except NotHere as reason:
        missing[name] = str(reason)
    except BenchmarkError as error:
        missing[name] = f"failed: {str(error).splitlines()[0]}".replace(f"{CHECKOUT}/", "")
        print(error, file=sys.stderr)
    print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
