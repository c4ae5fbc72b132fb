"""A command that a launcher hands over, and whether a fork of the server can do it as a fresh process would."""

import marshal
import os
import resource
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

PYTHONS = ("python", "python3")
# Libraries read these when they are imported, so a command whose value differs from the server's needs a process of its own.
# A trailing * stands for any rest. Not here: HOME and XDG_CACHE_HOME, OMP_NUM_THREADS and Python's switches below, which
# `child.py` follows; what is read when it is needed (TOKENIZERS_PARALLELISM, TORCHINDUCTOR_CACHE_DIR, WANDB_*, DVC_*,
# INSPECT_*); PYTHON, a variable of our Makefiles; CUDA_*, since the server is for machines without a GPU; offline, below.
_READ_AT_IMPORT = (
    "PYTHON*", "LC_*", "LANG", "LANGUAGE", "TZ", "LD_*", "MALLOC_*", "GLIBC_TUNABLES", "OMP_*", "MKL_*", "KMP_*", "OPENBLAS_*",
    "GOTO_*", "NPY_*", "NUMPY_*", "SCIPY_*", "ARROW_*", "MPL*", "HF_*", "HUGGINGFACE_*", "TRANSFORMERS_*", "TORCH*", "PYTORCH_*",
    "ATEN_*", "DNNL_*", "ONEDNN_*",
)
_FOLLOWED = ("PYTHON", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "OMP_NUM_THREADS", "TORCHINDUCTOR_CACHE_DIR")
# The libraries go offline where one of them is true.
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
_TRUE = ("1", "ON", "YES", "TRUE")
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
_CREDENTIALS = ("Uid:", "Gid:", "Umask:", "CapEff:", "NoNewPrivs:", "Seccomp:")
_LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]


@dataclass(frozen=True)
class Request:
    """A command.

    Attributes:
        program: Name of the program in bin/.
        called: Its path as it was called.
        streams: Descriptors of its stdin, stdout and stderr, here.
        ignored: Signals that it starts with ignoring.
        peer: Process id of its launcher.
    """

    program: str
    called: str
    words: list[str]
    folder: str
    environment: dict[str, str]
    ignored: list[int]
    streams: list[int]
    peer: int


def receive(connection: socket.socket) -> Request | None:
    """The request of a launcher; None if it went away meanwhile, or has a stream closed."""
    peer, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    header, streams, _, _ = socket.recv_fds(connection, 4, 3)
    content = connection.recv(int.from_bytes(header, "big"), socket.MSG_WAITALL) if len(header) == 4 else b""
    if not content or len(streams) != 3:
        close(streams)
        return None
    return Request(*marshal.loads(content), streams=streams, peer=peer)


def close(descriptors: list[int]) -> None:
    """Close all of them."""
    for descriptor in descriptors:
        os.close(descriptor)


def why_no_fork(request: Request, own: dict[str, str], set_by_imports: dict[str, str]) -> str | None:
    """What a fork would do otherwise than a fresh process; None if nothing.

    Args:
        own: The environment in which the server has imported.
        set_by_imports: What packages set in it while they were imported (inspect-ai does), as they have in a caller that
            has imported them too.
    """
    theirs = request.environment
    differing = sorted(
        name for name in {*own, *theirs}
        if _is_read_at_import(name) and theirs.get(name) not in (own.get(name), set_by_imports.get(name, own.get(name)))
    )
    if differing:
        return f"reads another {', '.join(differing)} at import"
    if not any(theirs.get(name, "").upper() in _TRUE for name in _OFFLINE):
        return "is not offline"
    if _has_customization(request):
        return "has a sitecustomize of its own"
    return None if _is_like_us(request.peer) else "has another user, umask, cgroup, namespace or root"


def _is_read_at_import(name: str) -> bool:
    if name in (*_FOLLOWED, *_OFFLINE):
        return False
    return any(name == known or (known.endswith("*") and name.startswith(known[:-1])) for known in _READ_AT_IMPORT)


def _has_customization(request: Request) -> bool:
    """Whether Python would import a sitecustomize of the command's own at its start."""
    folders = [Path(request.folder, entry) for entry in request.environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return any((folder / f"{name}.py").exists() for folder in folders for name in ("sitecustomize", "usercustomize"))


def _is_like_us(peer: int) -> bool:
    """Whether a process has our user, our cgroup, our namespaces and our root."""
    links = [f"ns/{name}" for name in _NAMESPACES] + ["root"]
    return (
        all(os.readlink(f"/proc/{peer}/{link}") == os.readlink(f"/proc/self/{link}") for link in links)
        and _credentials(peer) == _credentials("self")
        and Path(f"/proc/{peer}/cgroup").read_bytes() == Path("/proc/self/cgroup").read_bytes()
    )


def _credentials(process: int | str) -> tuple[list[str], set[str]]:
    """What the kernel asks about, and the groups: a job of Slurm's names its user's own among the further ones as well."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    words = {line.split(":")[0]: line.split()[1:] for line in lines if line.startswith(("Gid:", "Groups:"))}
    return [line for line in lines if line.startswith(_CREDENTIALS)], {words["Gid"][1], *words["Groups"]}


def take_limits(peer: int) -> None:
    """Let this process have the limits and the cores of another."""
    for limit in _LIMITS:
        resource.setrlimit(limit, resource.prlimit(peer, limit))
    os.sched_setaffinity(0, os.sched_getaffinity(peer))
