"""The record of a stage's last job: where and when it began and how it ended. Written by the job itself; not in git."""

import datetime
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from ftexp import paths
from ftexp.filesystem import read_json, write_json
from ftexp.gpus import gpu_names
from ftexp.slurm import own_job_id, restarts

# When this process began a stage, by a clock that nobody sets.
_BEGAN: dict[tuple[str, str], float] = {}


def begin(run: str, stage: str, input_hash: str) -> dict[str, Any]:
    """Write that the stage has begun, and return what was written.

    Keys: state (running, done, failed, stopped), input_hash, host, gpus, pid, started (seconds since 1970); in a Slurm job
    job_id, submission (empty where a person called sbatch) and restarts; at the end reason and seconds.
    """
    record: dict[str, Any] = {
        "state": "running", "input_hash": input_hash, "host": socket.gethostname(), "gpus": gpu_names(), "pid": os.getpid(),
        "started": round(time.time(), 1),
    }
    if own_job_id():
        record |= {"job_id": own_job_id(), "submission": os.environ.get("FTEXP_SUBMISSION", ""), "restarts": restarts()}
    write_json(paths.RunPaths(run).job(stage), record)
    _BEGAN[run, stage] = time.monotonic()
    where = f"on {record['host']}, {', '.join(record['gpus']) or 'no GPU'}"
    print(f"{stage} of {run} {where}, job {own_job_id() or 'none'}, try {restarts() + 1}", flush=True)
    return record


def end(run: str, stage: str, record: dict[str, Any], state: str, reason: str = "") -> None:
    """Write how a stage that had begun ended; `seconds` is the time since it began."""
    seconds = round(time.monotonic() - _BEGAN[run, stage], 1)
    write_json(paths.RunPaths(run).job(stage), {**record, "state": state, "reason": reason, "seconds": seconds})


def began_at(job: dict[str, Any]) -> str:
    """When a stage began: UTC, ISO 8601, to the second."""
    return datetime.datetime.fromtimestamp(job["started"], datetime.UTC).isoformat(timespec="seconds")


def read_job(run: str, stage: str) -> dict[str, Any] | None:
    """The record of a stage's last job; None where there is none, or it is not whole."""
    return read_mapping(paths.RunPaths(run).job(stage), ("state", "input_hash"))


def read_mapping(path: Path, keys: tuple[str, ...]) -> dict[str, Any] | None:
    """A file that is cut short counts as absent: what it would say is not known."""
    try:
        content = read_json(path)
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    if not isinstance(content, dict) or any(key not in content for key in keys):
        return None
    return content
