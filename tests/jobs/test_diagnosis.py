"""Why a job died: the kernel's counts, and signs in its log."""

from pathlib import Path

import pytest
from ftexp.jobs import diagnosis

CGROUPS = [
    # lines of /proc/self/cgroup, the file in the tree, its text; how many were killed
    ("0::/slurm/job_7/step_batch\n", "slurm/job_7/step_batch/memory.events", "low 0\nhigh 0\nmax 4\noom 2\noom_kill 3\n", 3),
    ("0::/\n", "memory.events", "oom_kill 1\noom_group_kill 0\n", 1),
    ("0::/a:b\n", "a:b/memory.events", "oom_kill 2\n", 2),
    ("0::/a\n", "b/memory.events", "oom_kill 2\n", 0),
    ("0::/a\n", "a/memory.events", "low 0\n", 0),
    (
        "11:cpu,cpuacct:/\n4:memory:/slurm/uid_0/job_7\n1:name=systemd:/\n0::/system.slice\n",
        "memory/slurm/uid_0/job_7/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n", 5,
    ),
    ("4:memory:/job_7\n", "memory/job_7/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n", 0),  # before Linux 4.13
    ("4:hugetlb,memory:/job_7\n", "memory/job_7/memory.oom_control", "oom_kill 2\n", 2),
    ("4:cpuset:/job_7\n", "memory/job_7/memory.oom_control", "oom_kill 2\n", 0),
    ("", "memory.events", "oom_kill 2\n", 0),
]  # fmt: skip


@pytest.mark.parametrize(("own", "file", "text", "kills"), CGROUPS)
def test_processes_that_the_kernel_killed_for_memory_are_counted(
    own: str, file: str, text: str, kills: int, tmp_path: Path
) -> None:
    (tmp_path / "own").write_text(own)
    path = tmp_path / "tree" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert diagnosis.cgroup_kills(tmp_path / "tree", tmp_path / "own") == kills


def test_this_machines_own_groups_can_be_read() -> None:
    assert diagnosis.cgroup_kills() >= 0


SIGNS = [
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "out of GPU memory"),
    ("OSError: [Errno 28] No space left on device", "disk full"),
    ("OSError: [Errno 122] Disk quota exceeded", "disk full"),
    ("RuntimeError: [enforce fail at inline_container.cc:603] . PytorchStreamWriter failed writing file data/3", "disk full"),
    ("ValueError: something else", None),
]


@pytest.mark.parametrize(("line", "sign"), SIGNS)
def test_a_sign_in_a_log_counts_from_where_this_try_began(line: str, sign: str | None, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    assert diagnosis.sign_in_log(log, 0) is None
    former = f"a former try: é \xff\n{line}\n"
    log.write_text(former, encoding="utf-8")
    begun = log.stat().st_size
    assert diagnosis.sign_in_log(log, 0) == sign
    assert diagnosis.sign_in_log(log, begun) is None
    with log.open("ab") as file:
        file.write(b"\xff\xfe" + line.encode())
    assert diagnosis.sign_in_log(log, begun) == sign
    assert diagnosis.sign_in_text(line) == sign
    assert sign is None or sign in diagnosis.ADVICE
