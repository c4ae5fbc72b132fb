"""Real Slurm daemons on this one machine, for tests: munged, slurmctld and one slurmd for each pretended node.

Everything that they write lies in one folder of the test, their ports are free ones chosen at start, and leaving the `with`
block ends every process that the cluster started, its jobs included. Written for Slurm 22.05 (Debian 12), run as root.

    with Cluster(tmp_path / "slurm", nodes=2) as cluster:
        cluster.run("sbatch", "--wrap", "hostname")
        cluster.wait_until(lambda: cluster.states("1") == ["COMPLETED"])
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from helpers.slurm_configuration import CONFIGURATION, LUA_SCRIPT, free_ports

REQUIRED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
START_TIMEOUT_S = 60
# Prefixes of variables that steer Slurm's programs; left out here, for tests may themselves run inside a job of another cluster.
SLURM_VARIABLES = ("SLURM", "SBATCH_", "SQUEUE_", "SINFO_", "SCANCEL_", "SCONTROL_")
SOCKET_PATH_MAX = 107  # bytes of a Unix socket's path (sun_path less its final zero)
CGROUPS = Path("/sys/fs/cgroup")
CONTROLLERS = ("freezer", "memory")  # proctrack/cgroup needs the first, ConstrainRAMSpace the second


class Job(NamedTuple):
    """One job or array task as squeue shows it: id like "12" or "12_3", state like "PENDING", reason, comment ("" for none)."""

    id: str
    state: str
    reason: str
    comment: str


def _program(name: str) -> str | None:
    """Path of a program, looked for on PATH and among the administrator's programs; None where it is not installed."""
    return shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")


def missing_packages() -> list[str]:
    """What a cluster lacks here: the programs of REQUIRED that are not installed, and "root" for another user."""
    return [name for name in REQUIRED if _program(name) is None] + (["root"] if os.geteuid() != 0 else [])


def _environment_of(pid: int) -> list[bytes]:
    """Environment a process started with, as NAME=value; empty once it has gone, or where root itself may not look (pid 1)."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []


class Cluster:
    """A running Slurm: partition "main" on nodes n1, n2 and so on, all of them this machine."""

    def __init__(
        self,
        root: Path,
        *,
        nodes: int = 2,
        cpus_per_node: int = 2,
        submit_cap: int | None = None,
        min_job_age_s: int = 300,
        memory_cgroup: bool = False,
        gpus_per_node: int = 0,
        memory_mb: int = 8000,
        message_timeout_s: int = 10,
    ) -> None:
        """Describes a cluster; nothing starts yet.

        Args:
            root: folder for everything the daemons write; made if missing, left in place at the end for its logs
            nodes: how many slurmd, called n1, n2 and so on
            cpus_per_node: CPUs each node claims, whatever this machine has
            submit_cap: most jobs a user may have pending and running, array tasks counted singly; None for no cap
            min_job_age_s: seconds after its end at which Slurm may forget a job (it looks every 10 s below 60, else every 60)
            memory_cgroup: enforce --mem by cgroup v1, so that a job over it ends OUT_OF_MEMORY
            gpus_per_node: GPUs each node claims, whatever this machine has; jobs get CUDA_VISIBLE_DEVICES for theirs
            memory_mb: memory each node claims, in MB; a job that asks for none gets its CPUs' share
            message_timeout_s: seconds for which clients try to reach a controller that does not answer
        """
        self.root = root.resolve()
        self.nodes = [f"n{number}" for number in range(1, nodes + 1)]
        self.cpus_per_node, self.memory_mb, self.gpus_per_node = cpus_per_node, memory_mb, gpus_per_node
        self.submit_cap, self.min_job_age_s, self.message_timeout_s = submit_cap, min_job_age_s, message_timeout_s
        self.memory_cgroup = memory_cgroup
        outer = {name: value for name, value in os.environ.items() if not name.startswith(SLURM_VARIABLES)}
        self.environment: dict[str, str] = {**outer, "SLURM_CONF": str(self.configuration)}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._cgroup = f"slurm_test_{os.getpid()}_{random.SystemRandom().randrange(10**9)}"

    @property
    def configuration(self) -> Path:
        """The slurm.conf of this cluster."""
        return self.root / "etc" / "slurm.conf"

    def __enter__(self) -> "Cluster":
        """Starts the daemons and waits until every node is idle; stops them all again if that fails."""
        if missing := missing_packages():
            raise RuntimeError(f"a Slurm cluster cannot start here without: {', '.join(missing)}")
        try:
            self._write_configuration()
            self._start_munge()
            self._start_slurmctld("-c")
            for name in self.nodes:
                self._start_slurmd(name)
            self.wait_until(lambda: all(self.node_state(name) == "idle" for name in self.nodes), START_TIMEOUT_S, "idle nodes")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Ends every process of the cluster."""
        self._stop()

    # What the tests ask and do

    def run(self, *command: str, check: bool = True, cwd: Path | None = None) -> str:
        """Runs a Slurm command, or any other, against this cluster.

        Args:
            command: program and arguments
            check: whether an exit status other than 0 raises a RuntimeError with what the command printed
            cwd: folder to run in, where a job's slurm-%j.out goes too; the cluster's own when None

        Returns:
            The command's standard output.
        """
        done = subprocess.run(command, cwd=cwd or self.root, env=self.environment, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def jobs(self, states: str = "all") -> list[Job]:
        """Jobs and array tasks, one each, that the controller knows in these states (names with commas between, or "all")."""
        lines = self.run("squeue", "-h", "-r", "-t", states, "-o", "%i|%T|%r|%k").splitlines()
        rows = [line.split("|", 3) for line in lines]
        return [Job(id_, state, reason, "" if comment == "(null)" else comment) for id_, state, reason, comment in rows]

    def states(self, job_id: str) -> list[str]:
        """States of a job, or of all the tasks of an array, in the order of their tasks; empty once Slurm has forgotten it."""
        mine = [job for job in self.jobs() if job.id.split("_")[0] == job_id or job.id == job_id]
        return [job.state for job in sorted(mine, key=lambda job: int(job.id.partition("_")[2] or 0))]

    def node_state(self, name: str) -> str:
        """State of a node, like "idle" or "down+not_responding"; "" without a controller."""
        return self.run("scontrol", "-o", "show", "node", name, check=False).partition(" State=")[2].partition(" ")[0].lower()

    def stop_controller(self) -> None:
        """Ends slurmctld as an administrator does: it saves its state, and running jobs go on."""
        self._end("slurmctld", signal.SIGTERM)

    def start_controller(self) -> None:
        """Starts slurmctld again with its saved state, and waits until squeue answers."""
        self._start_slurmctld()
        self.run("squeue", "-h")

    def node_down(self, name: str, reason: str = "test") -> None:
        """Has the controller take a node as failed: its jobs are requeued."""
        self.run("scontrol", "update", f"NodeName={name}", "State=DOWN", f"Reason={reason}")

    def node_up(self, name: str) -> None:
        """Takes a node back into service, and waits until it may run jobs."""
        self.run("scontrol", "update", f"NodeName={name}", "State=RESUME")
        self.wait_until(lambda: self._usable(name), what=f"node {name} up")

    def kill_node(self, name: str, *, jobs: bool = False) -> None:
        """Kills a node's slurmd at once (the controller notices about 30 s later); with `jobs`, its jobs as well."""
        self._end(name, signal.SIGKILL)
        if jobs:
            self._kill_leftovers(b"SLURMD_NODENAME=" + name.encode())

    def start_node(self, name: str, *, without: Path | None = None) -> None:
        """Starts a killed node's slurmd again, for which a folder is empty, and waits until the node may run jobs."""
        self._start_slurmd(name, without)
        self.wait_until(lambda: self._usable(name), what=f"node {name} up")

    def hasten(self, job_id: str) -> None:
        """Lets a pending job that waits for its begin time (a requeued one, say) start now."""
        self.run("scontrol", "update", f"JobId={job_id}", "StartTime=now")

    def expire(self, job_id: str, in_s: int = 1) -> None:
        """Has the walltime of a running job end in_s seconds from now.

        Slurm looks for ended walltimes every 30 s since its start (fixed in its source), so that a job goes on for up to 30 s
        after its end; and it sends the signal of --signal=...@N at the first look less than N + 30 s before the end.
        """
        self.run("scontrol", "update", f"JobId={job_id}", f"EndTime=now+{in_s}")

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 60, what: str = "", *, poll_s: float = 0.2) -> None:
        """Waits for a condition, asking every poll_s seconds.

        Raises:
            TimeoutError: with the ends of the daemons' logs, once timeout_s seconds have passed
            RuntimeError: likewise, as soon as a daemon has ended that nobody stopped
        """
        end = time.monotonic() + timeout_s
        while not condition():
            if ended := [name for name, daemon in self._daemons.items() if daemon.poll() is not None]:
                raise RuntimeError(f"{', '.join(ended)} ended while waiting for {what or 'a condition'}\n{self.log_tails()}")
            if time.monotonic() > end:
                raise TimeoutError(f"not within {timeout_s} s: {what or 'the condition'}\n{self.log_tails()}")
            time.sleep(poll_s)

    def log_tails(self, lines: int = 15) -> str:
        """The last lines of every daemon's log, for messages."""
        prints = sorted((self.root / "log").glob("*.out"))
        logs = [log if (log := path.with_suffix(".log")).exists() else path for path in prints]
        return "\n".join(f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-lines:]) for log in logs)

    # Start and stop

    def _write_configuration(self) -> None:
        """Makes the folders and writes slurm.conf and the files beside it."""
        socket_path = self.root / "spool" / self.nodes[-1] / f"{self.nodes[-1]}_1000000.4294967291"  # slurmstepd's, the longest
        if len(os.fsencode(socket_path)) > SOCKET_PATH_MAX:
            raise ValueError(f"{self.root} is too long a path: sockets below it may have {SOCKET_PATH_MAX} bytes at most")
        for folder in ("etc", "munge", "state", "run", "log", *(f"spool/{name}" for name in self.nodes)):
            (self.root / folder).mkdir(parents=True, exist_ok=True, mode=0o755)
        ports = free_ports(1 + len(self.nodes))
        text = CONFIGURATION.format(
            host=socket.gethostname(), port=ports[0], root=self.root, min_job_age=self.min_job_age_s,
            message_timeout=self.message_timeout_s, memory_per_cpu=max(1, self.memory_mb // self.cpus_per_node),
            proctrack="proctrack/cgroup" if self.memory_cgroup else "proctrack/linuxproc",
            task="task/cgroup" if self.memory_cgroup else "task/none",
        )  # fmt: skip
        if self.submit_cap is not None:
            text += "JobSubmitPlugins=lua\n"
            script = self.root / "etc" / "job_submit.lua"
            script.write_text(LUA_SCRIPT % {"script": script, "cap": self.submit_cap})
        if self.memory_cgroup:
            self._make_cgroups()
        self.configuration.write_text(text + self._node_lines(ports[1:]))

    def _node_lines(self, ports: list[int]) -> str:
        """The lines of slurm.conf for nodes and partition; writes gres.conf where there are GPUs."""
        gres = ""
        lines = []
        if self.gpus_per_node:
            gres = f" Gres=gpu:{self.gpus_per_node}"
            lines.append("GresTypes=gpu")
            for number in range(self.gpus_per_node):
                link = self.root / "run" / f"gpu{number}"
                link.unlink(missing_ok=True)
                link.symlink_to("/dev/null")  # Slurm leaves out GPUs that are no device files
            device = f"{self.root}/run/gpu[0-{self.gpus_per_node - 1}]"
            (self.root / "etc" / "gres.conf").write_text(f"AutoDetect=off\nName=gpu Flags=nvidia_gpu_env File={device}\n")
        address = f"NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1"
        size = f"CPUs={self.cpus_per_node} RealMemory={self.memory_mb}{gres} State=UNKNOWN"
        lines += [f"NodeName={name} {address} Port={port} {size}" for name, port in zip(self.nodes, ports, strict=True)]
        lines.append(f"PartitionName=main Nodes={','.join(self.nodes)} Default=YES MaxTime=INFINITE State=UP")
        return "\n".join(lines) + "\n"

    def _make_cgroups(self) -> None:
        """Makes cgroups of this cluster alone and has Slurm put its own under them, by links in place of its mount point."""
        for controller in CONTROLLERS:
            folder = CGROUPS / controller / self._cgroup
            folder.mkdir()
            link = self.root / "cgroup" / controller
            link.parent.mkdir(exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(folder)
        conf = f"CgroupPlugin=cgroup/v1\nCgroupMountpoint={self.root}/cgroup\nIgnoreSystemd=yes\nConstrainRAMSpace=yes\n"
        (self.root / "etc" / "cgroup.conf").write_text(conf)

    def _start_munge(self) -> None:
        """Starts a munged with a key and a socket of its own (--force: a test's folder may have parents it finds too open)."""
        folder = self.root / "munge"
        key = folder / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        paths = [f"--key-file={key}", f"--pid-file={folder}/pid", f"--seed-file={folder}/seed"]
        self._start("munged", "munged", "--foreground", "--force", f"--socket={folder}/socket", *paths)
        self.wait_until((folder / "socket").exists, START_TIMEOUT_S, "munged's socket")

    def _start_slurmctld(self, *options: str) -> None:
        """Starts the controller, and waits until it answers."""
        self._start("slurmctld", "slurmctld", "-D", "-f", str(self.configuration), *options)
        self.wait_until(self._controller_answers, START_TIMEOUT_S, "an answer of slurmctld")

    def _start_slurmd(self, name: str, without: Path | None = None) -> None:
        """Starts the slurmd of a node, in whose environment, and in that of its slurmstepd and jobs, the node's name stands."""
        words = ("slurmd", "-D", "-N", name, "-f", str(self.configuration))
        if without is not None:  # a namespace of its own, in which another file system lies over the folder
            hide = f'mount -t tmpfs tmpfs "$0" && exec {_program("slurmd")} "$@"'
            words = ("unshare", "--mount", "sh", "-c", hide, str(without), *words[1:])
        self._start(name, *words, variables={"SLURMD_NODENAME": name})

    def _start(self, name: str, program: str, *arguments: str, variables: dict[str, str] | None = None) -> None:
        """Starts a daemon in the foreground, in a session of its own, with what it prints in log/<name>.out."""
        path = _program(program)
        if path is None or name in self._daemons:
            raise RuntimeError(f"{name}: already running, or {program} is not installed")
        with (self.root / "log" / f"{name}.out").open("ab") as out:
            self._daemons[name] = subprocess.Popen(
                [path, *arguments], cwd=self.root, env={**self.environment, **(variables or {})}, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip

    def _end(self, name: str, number: signal.Signals, patience_s: float = 30) -> None:
        """Ends a daemon by a signal, and by SIGKILL if it is still there after patience_s seconds."""
        daemon = self._daemons.pop(name)
        daemon.send_signal(number)
        try:
            daemon.wait(patience_s)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def _stop(self) -> None:
        """Ends all daemons, jobs and other processes of this cluster and removes its cgroups; the files in root stay."""
        with contextlib.ExitStack() as steps:  # every step is taken, whatever another raises, and the last one here comes first
            if self.memory_cgroup:
                steps.callback(self._remove_cgroups)
            steps.callback(self._kill_leftovers)
            for name in self._daemons:
                steps.callback(self._end, name, signal.SIGTERM if name == "munged" else signal.SIGKILL, patience_s=5)

    def _controller_answers(self) -> bool:
        """Whether slurmctld is up, by scontrol ping, which does not retry."""
        return " is UP" in self.run("scontrol", "ping", check=False)

    def _usable(self, name: str) -> bool:
        """Whether a node answers and may run jobs."""
        base, *flags = self.node_state(name).split("+")
        return base in ("idle", "mixed", "allocated") and not {"not_responding", "drain"} & set(flags)

    def _processes(self, mark: bytes | None) -> set[int]:
        """Processes of this cluster but this one, and among them those with `mark` in their environment, if it is given.

        Its daemons, jobs and the tests' own commands have its slurm.conf in their environment; what runs in its cgroups is its
        as well, whatever it did to its environment.
        """
        known = b"SLURM_CONF=" + os.fsencode(self.configuration)
        numbers = {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()} - {os.getpid()}
        environments = {pid: _environment_of(pid) for pid in numbers}
        ours = {pid for pid, environment in environments.items() if known in environment}
        if mark is not None:
            return {pid for pid in ours if mark in environments[pid]}
        folders = [CGROUPS / controller / self._cgroup for controller in CONTROLLERS]
        return ours | {int(line) for top in folders for tasks in top.rglob("cgroup.procs") for line in tasks.read_text().split()}

    def _kill_leftovers(self, mark: bytes | None = None) -> None:
        """Kills this cluster's processes (those with `mark` in their environment) until there are none.

        Raises:
            RuntimeError: when one is still there after 20 s
        """
        end = time.monotonic() + 20
        while left := self._processes(mark):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > end:
                raise RuntimeError(f"processes of {self.root} do not end: {sorted(left)}")
            time.sleep(0.05)

    def _remove_cgroups(self) -> None:
        """Removes this cluster's cgroups, the innermost first, and the links to them."""
        for controller in CONTROLLERS:
            for inner, _, _ in os.walk(CGROUPS / controller / self._cgroup, topdown=False):
                os.rmdir(inner)
            (self.root / "cgroup" / controller).unlink(missing_ok=True)
