"""Slurm without Slurm: small programs stand for its commands, so that every answer of theirs, and every silence, can be had."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from ftexp.ground import paths
from ftexp.ground.filesystem import write_json
from ftexp.jobs.slurm import claims
from ftexp.jobs.slurm.submission import Batch, Task

TIMED_OUT = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
AT_LIMIT = (
    "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy "
    "(job submit limit, user's size and/or time limits)"
)
# What a program does next is the first line of PLAN, which it takes out; without one it answers.
_HEAD = """\
#!/bin/sh
{ printf '%s' NAME; printf '\\037%s' "$@"; echo; } >>"FOLDER/calls"
word=; [ -s "FOLDER/NAME.plan" ] && { word=$(head -n 1 "FOLDER/NAME.plan"); sed -i 1d "FOLDER/NAME.plan"; }
case $word in
  hang) exec sleep 30 ;;
  empty) exit 0 ;;
  env) env >"FOLDER/env"; exit 0 ;;
  mutter*) echo "${word#mutter }" >&2; exit 0 ;;
  fail*) echo "${word#fail }" >&2; exit 1 ;;
esac
"""
_PROGRAMS = {
    "squeue": 'cat "FOLDER/queue"\n',
    "sacct": '[ -e "FOLDER/sacct" ] || { echo "Slurm accounting storage is disabled" >&2; exit 1; }\ncat "FOLDER/sacct"\n',
    "scancel": "exit 0\n",
    "scontrol": '[ ! -e "FOLDER/job" ] || cat "FOLDER/job"\n',
}
# Takes at most so many tasks in all as LIMIT says; a word of the plan ending in "-taken" fails after the job was taken.
_SBATCH = """\
#!PYTHON -IS
import os, pathlib, re, sys, time
folder = pathlib.Path("FOLDER")
with (folder / "calls").open("a") as file:
    file.write("\\37".join(["sbatch", *sys.argv[1:]]) + "\\n")
plan = (folder / "sbatch.plan").read_text().splitlines() if (folder / "sbatch.plan").exists() else []
word = plan.pop(0) if plan else "ok"
(folder / "sbatch.plan").write_text("".join(line + "\\n" for line in plan))
said = dict(word.split("=", 1) for word in sys.argv[1:] if word.startswith("--") and "=" in word)
tasks = []
for part in said["--array"].split("%")[0].split(","):
    first, _, last = part.partition("-")
    tasks += range(int(first), int(last or first) + 1)
if word.startswith("fail "):
    sys.exit(word[5:].replace("\\\\n", "\\n"))
queue = (folder / "queue").read_text().splitlines()
if len(queue) + len(tasks) > int((folder / "limit").read_text()):
    sys.exit(AT_LIMIT)
number = int((folder / "next").read_text())
(folder / "next").write_text(str(number + 1))
rows = [f"{number}_{task}|PENDING|Priority|0:00|{os.getcwd()}|{said['--comment']}" for task in tasks]
(folder / "queue").write_text("".join(line + "\\n" for line in [*queue, *rows]))
if word == "hang-taken":
    time.sleep(30)
if word.startswith("print "):
    print(word[6:].replace("\\\\n", "\\n").replace("%s", str(number)), end="")
    sys.exit(0)
if word == "timeout-taken":
    sys.exit(TIMED_OUT)
print(f"{number};cluster" if word == "named" else number)
"""


@dataclass
class Cluster:
    """The programs of a cluster, and what they are to answer."""

    folder: Path

    def show(self, *rows: str) -> None:
        """What squeue prints."""
        (self.folder / "queue").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")

    def queue(self) -> list[str]:
        return (self.folder / "queue").read_text(encoding="utf-8").splitlines()

    def account(self, *rows: str) -> None:
        """What sacct prints; until then accounting is disabled."""
        (self.folder / "sacct").write_text("".join(f"{row}\n" for row in rows))

    def plan(self, program: str, *words: str) -> None:
        """What the next calls of a program do, instead of what it always does."""
        (self.folder / f"{program}.plan").write_text("".join(f"{word}\n" for word in words))

    def limit(self, tasks: int) -> None:
        (self.folder / "limit").write_text(str(tasks))

    def calls(self, program: str) -> list[list[str]]:
        """The arguments of every call so far."""
        path = self.folder / "calls"
        words = [line.split("\37") for line in path.read_text().splitlines()] if path.is_file() else []
        return [arguments for name, *arguments in words if name == program]


def install_programs(programs: Path, folder: Path) -> Cluster:
    """Write the programs, which remember in `folder`; their queue is empty."""
    folder.mkdir()
    programs.mkdir()
    texts = {name: (_HEAD + text).replace("NAME", name) for name, text in _PROGRAMS.items()}
    constants = {"AT_LIMIT": repr(AT_LIMIT), "TIMED_OUT": repr(TIMED_OUT), "PYTHON": os.path.realpath(sys.executable)}
    texts["sbatch"] = _SBATCH
    for name, value in constants.items():
        texts["sbatch"] = texts["sbatch"].replace(name, value)
    for name, text in texts.items():
        (programs / name).write_text(text.replace("FOLDER", str(folder)), encoding="utf-8")
        (programs / name).chmod(0o755)
    made = Cluster(folder)
    made.show()
    made.limit(10**6)
    (folder / "next").write_text("100")
    return made


def queue_row(job: str, state: str, comment: str = "", *, reason: str = "None", folder: Path | None = None) -> str:
    """A line of squeue's."""
    return f"{job}|{state}|{reason}|1:02|{folder or Path.cwd()}|{comment}"


def take_claim(run: str = "r1", stage: str = "train", *, task: int = 0, job: str | None = "12", submission: str = "s") -> None:
    """A stage's claim; with the id of its job unless that is None."""
    assert claims.take(run, stage, submission=submission, task=task, input_hash="hash")
    if job:
        claims.record_job(submission, job_id=job)


def write_record(
    word: str, *, job: str = "12_0", stage: str = "train", submission: str = "s", started: float = 1.0
) -> None:
    """What the job itself noted down of run r1."""
    reason = "its own words"
    facts = {"input_hash": "x", "job_id": job, "submission": submission, "started": started, "restarts": 0}
    write_json(paths.RunPaths("r1").job(stage), {**facts, "state": word, "reason": "" if word == "running" else reason})


def write_script(run: str, *directives: str, stage: str = "train") -> None:
    """A run's script that does nothing."""
    path = paths.RunPaths(run).script(stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/bash", *directives, "true", ""]))


def batch_of(*runs: str, stage: str = "train", first: int = 0) -> Batch:
    """Runs of one array, numbered from `first`."""
    return Batch(stage, (), {number: Task(run, "hash") for number, run in enumerate(runs, start=first)})
