"""docs/slurm-faults.md: a row for every fault that the tests inject, written when all of them were tried and passed.

The tests may run in several processes: each row is a file of its own until the session ends.
"""

import json
import os
import re
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent
FAULTS_MD = TESTS.parent / "docs/slurm-faults.md"
HEADER = """\
# Faults on a Slurm cluster, and what comes of them

Written by `make test-slurm`, which injects each fault into an experiment on real Slurm daemons. After every one of them
`make submit eval wait report` completed the experiment, and results.csv and the adapter were, byte for byte, those of a local run
that nothing had disturbed. (Of the submit cap: every run was trained once, and scored.)

| fault | how injected | what came of it |
|---|---|---|
"""
# Set in the first process, and inherited by those that it starts.
ROWS = Path(os.environ.setdefault("FTEXP_FAULT_ROWS", tempfile.mkdtemp(prefix="ftexp-faults-")))


def tell(fault: str, how: str, outcome: str) -> None:
    """Note a row of the table; job ids and paths, which differ from run to run, are left out."""
    outcome = re.sub(r"\b\d+_\d+\b", "N", re.sub(r"/\S+/(?=runs|\.scratch)", "", outcome))
    name = re.sub(r"\W+", "-", fault)
    (ROWS / f"{name}.json").write_text(json.dumps([fault, how, outcome]), encoding="utf-8")


def write_table() -> bool:
    """Write the table, in the order of the tests, if there is a row for every fault; return whether it was written."""
    source = (TESTS / "test_slurm.py").read_text(encoding="utf-8")
    wanted = re.findall(r'tell\("([^"]+)"', source)
    rows = {row[0]: row for row in (json.loads(path.read_text(encoding="utf-8")) for path in ROWS.glob("*.json"))}
    if set(rows) != set(wanted):
        return False
    FAULTS_MD.write_text(HEADER + "".join(f"| {' | '.join(rows[fault])} |\n" for fault in wanted), encoding="utf-8")
    return True
