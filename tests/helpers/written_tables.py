"""Tables in docs/ that the tests write: a row for everything that was promised, when all of it was tried and passed.

The tests may run in several processes: each row, and what is promised, is a file of its own until the session ends.
"""

import json
import os
import re
import tempfile
from collections.abc import Sequence
from difflib import unified_diff
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
FAULTS = """\
# Faults on a Slurm cluster, and what comes of them

Written by `make test-slurm`, which injects each fault into an experiment on real Slurm daemons. After every one of them
`make submit eval wait report` completed the experiment, and results.csv and the adapter were, byte for byte, those of a local run
that nothing had disturbed. (Of the submit cap: every run was trained once, and scored.)

| fault | how injected | what came of it |
|---|---|---|
"""
MISTAKES = """\
# Mistakes, and what is said of them

Written by `make test`, which makes each mistake in an experiment that has none, and looks for the message; those of the kind
`config` are made in a config of torchtune's, without an experiment. Nothing is trained and nothing lost; a warning does not stop
a run. The last column is what `tune validate` (torchtune 0.6.1) says of the same config. Where ftexp stops before there is a
config there is nothing to ask it about, and of other bad input it is not asked.

| | mistake | what is said | `tune validate` |
|---|---|---|---|
"""
SHIPPED = """\
# The configs that torchtune ships, checked

Written by `make test`: every supervised config of torchtune 0.6.1, pointed at a tiny model of its family, is checked by
`python scripts/validate.py CONFIG`. It passes, or is refused with the reason; a warning says where torchtune's own component does
something else than its name says.

| config | recipe | family | outcome | warning |
|---|---|---|---|---|
"""
MODELS = """\
# Models and recipes

Written by `make test-all`, on a tiny random model of each family in Hugging Face's layout; of the real models no weights were at
hand, and no GPU. A trainer that is not `no` trains such a model in such a way, and this is shown of it: `make validate` passes,
which accounts for every tensor of the checkpoint and every parameter of the model; training and evaluation give the same ids for
every row; after 56 steps in fp32, with LoRA on every layer that can have some, the model as evaluation loads it gives the logits
of the model as trained, and the base does not. *torchtune*: the config that it ships for the nearest shape; a run's config takes
from it only what does not depend on the model (optimizer, loss, ...), so that where torchtune ships none for a family, Llama's
serves. *alike*: both were trained, each step's losses were within 1e-5 of each other and the logits in the end within 1e-4. A
distributed recipe writes its checkpoint by the same code as on one device; two processes are compared with one for Qwen2
(`tests/trainers/test_distributed.py`, `tests/trainers/test_transformers_processes.py`).

| models | recipe | torchtune | transformers | alike | why not |
|---|---|---|---|---|---|
"""
STALENESS = """\
# What becomes stale

Written by `make test`, which makes each change in an experiment of four runs and two controls whose every stage is done, stamps
and splits as `make all` does, and asks for the status. What is `ready` or `stale` is what `make all` does next; nothing
that was done is deleted before its successor is there. The report, which takes seconds, is made again whenever something that it
shows has changed. The rows *under two tests* are of an experiment of two trainings, each evaluated on two test files; those *of
four tasks*, of one of two trainings and a control, each asked four tasks, where an evaluation that is stale asks again what is
named, and keeps the logs of the other tasks; those *validated*, of one of two trainings that are looked at while they go on.

| after a change of | trainings | evaluations | |
|---|---|---|---|
"""
HEADERS = {"models": MODELS, "staleness": STALENESS, "slurm-faults": FAULTS, "mistakes": MISTAKES, "shipped-configs": SHIPPED}
# Tables whose rows are promised by several files of tests, and by how many.
PARTS = {"staleness": 4}
LONGEST = 200
# Set in the first process, and inherited by those that it starts.
ROWS = Path(os.environ.setdefault("FTEXP_TABLE_ROWS", tempfile.mkdtemp(prefix="ftexp-tables-")))


def promise(table: str, keys: Sequence[str], part: int = 1) -> None:
    """Say which rows a table, or a part of it, must have, in their order."""
    (ROWS / f"{table}.{part}.promised").write_text(json.dumps(list(keys)), encoding="utf-8")


def tell(table: str, key: str, cells: Sequence[str]) -> None:
    """Note a row; cells are cut where a reader has read enough."""
    name = re.sub(r"\W+", "-", key)
    short = [cell if len(cell) <= LONGEST else f"{cell[:LONGEST]} ..." for cell in cells]
    row = [cell.replace("|", "\\|").replace("\n", " ") for cell in short]
    (ROWS / f"{table}.{name}.row").write_text(json.dumps([key, row], ensure_ascii=False), encoding="utf-8")


def outdated_tables(*, should_write: bool) -> dict[str, list[str]]:
    """The tables whose page is another; they are written where that is wanted.

    Of a table of which only some rows were tried, as in `make test`, the others are taken to be as they are written.

    Returns:
        By the page's name the lines that differ, as diff shows them.
    """
    outdated = {}
    for table, header in HEADERS.items():
        path = DOCS / f"{table}.md"
        old = path.read_text(encoding="utf-8")
        text = _text(table, header, old)
        if text is None or text == old:
            continue
        if should_write:
            path.write_text(text, encoding="utf-8")
        else:
            lines = unified_diff(old.splitlines(), text.splitlines(), "written", "found", n=0, lineterm="")
            outdated[f"docs/{path.name}"] = list(lines)
    return outdated


def _text(table: str, header: str, old: str) -> str | None:
    """The page; None if the tests have not told every row that they promised, and the page as it is has others."""
    parts = [ROWS / f"{table}.{part}.promised" for part in range(1, 1 + PARTS.get(table, 1))]
    if not all(part.is_file() for part in parts):
        return None
    keys = [key for part in parts for key in json.loads(part.read_text(encoding="utf-8"))]
    rows = dict(json.loads(path.read_text(encoding="utf-8")) for path in ROWS.glob(f"{table}.*.row"))
    written = [line for line in old.splitlines() if line.startswith("| ")][1:]
    told = {key: f"| {' | '.join(cells)} |" for key, cells in rows.items()}
    if not told or not set(told) <= set(keys) or (len(told) < len(keys) and len(written) != len(keys)):
        return None
    before = dict(zip(keys, written, strict=False))
    return header + "".join(f"{told.get(key) or before[key]}\n" for key in keys)
