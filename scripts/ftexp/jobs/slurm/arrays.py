"""Arrays: which runs can share one, and the script whose tasks look up which run they are."""

import re
import shlex
from pathlib import Path

from ftexp.jobs.job_script import NOT_THE_LABS

_SAID_BY_SUBMIT = (*NOT_THE_LABS, "--job-name", "--comment", "-J")
_ARRAY = """\
#!/usr/bin/env bash
# Tasks of submission {submission}: each does the run that its line of the list names, by that run's own script.
{directives}
trap '' USR1
set -euo pipefail
cd {root}
IFS=$'\\t' read -r run input_hash < <(awk -F'\\t' -v task="$SLURM_ARRAY_TASK_ID" '$1 == task {{print $2 "\\t" $3}}' {list})
if [ "${{SLURM_RESTART_COUNT:-0}}" = 0 ]; then : >"runs/$run/{stage}.log"; fi
exec >>"runs/$run/{stage}.log" 2>&1
# The id of the task: SLURM_JOB_ID of an array's last task is that of the whole array.
scontrol update "JobId=${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}" "Comment=ftexp:{experiment}:$run:{stage}:$input_hash" ||
  echo "Slurm did not take the job's comment; the list of the submission has the same"
export FTEXP_SUBMISSION={submission} FTEXP_INPUT_HASH="$input_hash"
export FTEXP_TASK="$SLURM_JOB_ID ${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
exec bash "runs/$run/{script}"
"""


def shape(script: str) -> tuple[str, ...]:
    """The options of a script's `#SBATCH` lines that decide what it asks for: runs of one shape can share an array.

    Like sbatch, it reads up to the first line that is a command.
    """
    found = []
    for line in script.splitlines():
        if line.strip() and not line.startswith("#"):
            break
        words = shlex.split(line.removeprefix("#SBATCH")) if re.match(r"#SBATCH\s", line) else []
        kept = _without_ours(words)
        text = line.strip() if kept == words else f"#SBATCH {shlex.join(kept)}"
        found += [text] if kept else []
    return tuple(found)


def _without_ours(words: list[str]) -> list[str]:
    """Options of sbatch less those that submit gives."""
    kept: list[str] = []
    is_value_of_ours = False
    for word in words:
        long = word.split("=")[0]
        is_ours = long in _SAID_BY_SUBMIT or (word[:2] in _SAID_BY_SUBMIT and not word.startswith("--"))
        if not is_ours and not (is_value_of_ours and not word.startswith("-")):
            kept.append(word)
        is_value_of_ours = is_ours and word in _SAID_BY_SUBMIT
    return kept


def array_script(
    directives: tuple[str, ...], *, root: Path, submission: str, stage: str, experiment: str, list_path: Path, script: str
) -> str:
    """The script of an array: task n does the run in the line of `list_path` that begins with n.

    Args:
        list_path: Lines of task, run and input hash, parted by tabs; never changed once it is written.
        script: Name of the script in a run's folder.
    """
    return _ARRAY.format(
        submission=submission, directives="\n".join(directives), root=shlex.quote(str(root)), list=shlex.quote(str(list_path)),
        stage=stage, experiment=experiment, script=script,
    )


def task_ranges(tasks: list[int]) -> str:
    """Numbers as sbatch's --array takes them: `0-3,7`."""
    ranges: list[list[int]] = []
    for task in sorted(tasks):
        if ranges and task == ranges[-1][1] + 1:
            ranges[-1][1] = task
        else:
            ranges.append([task, task])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
