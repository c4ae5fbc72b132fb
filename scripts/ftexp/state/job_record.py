"""The record of a stage's last job: where and when it began and how it ended. Written by the job itself; not in git."""

import datetime
import errno
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from ftexp.ground import paths
from ftexp.ground.filesystem import read_json, read_mapping, write_json
from ftexp.ground.own_job import own_job

# When this process began a stage, by a clock that nobody sets.
_BEGAN: dict[tuple[str, str], float] = {}


def begin(run: str, stage: str, input_hash: str) -> dict[str, Any]:
    """Write that the stage has begun, and return what was written.

    Keys: state (running, done, failed, stopped), input_hash, host, pid, started (seconds since 1970); in a Slurm job job_id,
    submission (empty where a person called sbatch) and restarts; at the end reason, seconds and, where it is done, device: what
    it computed on, as torch calls it.
    """
    record: dict[str, Any] = {
        "state": "running", "input_hash": input_hash, "host": socket.gethostname(), "pid": os.getpid(),
        "started": round(time.time(), 1),
    }
    job = own_job()
    if job.id:
        record |= {"job_id": job.id, "submission": job.submission or "", "restarts": job.restarts}
    print(f"{stage} of {run} on {record['host']}, job {job.id or 'none'}, try {job.restarts + 1}", flush=True)
    write_json(paths.RunPaths(run).job(stage), record)
    _BEGAN[run, stage] = time.monotonic()
    return record


def end(run: str, stage: str, record: dict[str, Any], state: str, reason: str = "") -> None:
    """Write how a stage that had begun ended; `seconds` is the time since it began."""
    seconds = round(time.monotonic() - _BEGAN[run, stage], 1)
    _write_end(paths.RunPaths(run).job(stage), {**record, "state": state, "reason": reason, "seconds": seconds})


def end_killed(run: str, stage: str, signal_name: str) -> None:
    """Write how a stage ended whose process was killed before it could; the time is that of the clock."""
    path = paths.RunPaths(run).job(stage)
    record = read_json(path)
    reason = f"killed by {signal_name}" + (" (out of memory?)" if signal_name == "SIGKILL" else "")
    seconds = round(max(0.0, time.time() - record["started"]), 1)
    _write_end(path, {**record, "state": "failed", "reason": reason, "seconds": seconds})


def _write_end(path: Path, record: dict[str, Any]) -> None:
    """Over the record of the beginning where a full disk has no room for a second file, but still for this one's first block."""
    try:
        write_json(path, record)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        with path.open("r+b") as file:
            file.write(json.dumps(record, ensure_ascii=False).encode("utf-8"))
            file.truncate()


def began_at(job: dict[str, Any]) -> str:
    """When a stage began: UTC, ISO 8601, to the second."""
    return datetime.datetime.fromtimestamp(job["started"], datetime.UTC).isoformat(timespec="seconds")


def read_job(run: str, stage: str) -> dict[str, Any] | None:
    """The record of a stage's last job; None where there is none, or it is not whole."""
    return read_mapping(paths.RunPaths(run).job(stage), ("state", "input_hash"))
