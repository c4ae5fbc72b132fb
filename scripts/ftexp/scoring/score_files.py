"""Files of scores, scores/<task>/<run>.parquet: what a run answered in a task, and what each judgement made of it.

Reads and writes these files. A row is an answer; which columns there are, docs/tables.md says.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ftexp.ground import paths
from ftexp.ground.filesystem import write_bytes_if_changed

_METADATA = b"ftexp"
_UNREADABLE = (OSError, pa.ArrowException, ValueError, KeyError, TypeError)


@dataclass
class ScoreFile:
    """The answers of a run in a task, and what they were judged to be.

    Attributes:
        answers: Hash of the logs that they stand in.
        frame: A row an answer.
        keys: Per judgement what its columns follow from, the answers aside; ending in `*` where some answers have to be judged
            again.
        version: The version of an inspect task; else empty.
    """

    answers: str
    frame: pd.DataFrame
    keys: dict[str, str] = field(default_factory=dict)
    version: str = ""


def score_file(task: str, run: str) -> Path:
    """Where the scores of a run in a task lie."""
    return paths.SCORES_DIR / task / f"{run}.parquet"


def read_scores(path: Path) -> ScoreFile | None:
    """A file of scores; None where there is none, or it is not whole, which costs time only."""
    return _read(path, has_rows=True)


def keys_of(path: Path) -> ScoreFile | None:
    """The same without its rows, which are not read."""
    return _read(path, has_rows=False)


def _read(path: Path, *, has_rows: bool) -> ScoreFile | None:
    if not path.is_file():
        return None
    try:
        table = pq.read_table(path) if has_rows else None
        schema = pq.read_schema(path) if table is None else table.schema
        said: Mapping[str, Any] = json.loads(schema.metadata[_METADATA])
        rows = pd.DataFrame() if table is None else table.to_pandas()
        return ScoreFile(said["answers"], rows, dict(said["keys"]), said["version"])
    except _UNREADABLE:
        return None


def write_scores(path: Path, scores: ScoreFile) -> None:
    """Write a file of scores whole; the same scores give the same bytes."""
    table = pa.Table.from_pandas(scores.frame, preserve_index=False)
    said = {"answers": scores.answers, "keys": scores.keys, "version": scores.version}
    content = io.BytesIO()
    metadata = {_METADATA: json.dumps(said, sort_keys=True).encode()}
    pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata}), content, compression="zstd")
    write_bytes_if_changed(path, content.getvalue())
