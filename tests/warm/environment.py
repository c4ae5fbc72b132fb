"""The environments that tests give an experiment: the real one, and a warm one, in which a command costs no imports.

The warm one looks like the real one, and all in it is a link there but for `python`, `dvc`, `tune` and `inspect` (launcher.py).
One server serves a run of pytest with all its workers. The first test that asks for the environment starts it, and it ends
with the process that pytest was started as. A command in the warm environment is a child of the server and not of whoever
called it, so tests of kills, signals and process trees want the real one.
"""

import fcntl
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

REAL_ENVIRONMENT = Path(sys.prefix)
PROGRAMS = ("python", "python3", "dvc", "tune", "inspect")
_TESTS = Path(__file__).resolve().parents[1]
_NAME = "FTEXP_WARM_ENVIRONMENT"
_LONGEST_SOCKET = 100  # bytes of a Unix socket's path
_START = """
import socket, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from warm.server import main
main(Path({folder!r}), socket.socket(fileno={listener}), {owner})
"""
# Arrow's allocator would start a thread, and the server must have none when it forks.
_WITHOUT_THREADS = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}

# The process that comes first, pytest's controller or its only one, gives the name; the workers inherit it.
os.environ.setdefault(_NAME, f"{os.getpid()}:{tempfile.gettempdir()}/ftexp-warm-{secrets.token_hex(4)}")
_OWNER, _, _FOLDER = os.environ[_NAME].partition(":")
_started: list[subprocess.Popen[bytes]] = []


def warm_environment() -> Path:
    """The warm environment; where there can be none (no Linux, a GPU, too long a path), the real one.

    Importing torchtune 0.6.1 asks CUDA for the device's capability, and no fork could use CUDA after that.
    """
    folder = Path(_FOLDER)
    has_gpu = Path("/dev/nvidiactl").exists() or Path("/dev/kfd").exists()
    if sys.platform != "linux" or has_gpu or len(os.fsencode(folder / "socket")) > _LONGEST_SOCKET:
        return REAL_ENVIRONMENT
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "socket").exists():
            _build(folder)
            _start(folder)
    return folder


def _build(folder: Path) -> None:
    """Links to all that the real environment has, and the launchers."""
    for path in REAL_ENVIRONMENT.iterdir():
        if path.name != "bin":
            (folder / path.name).symlink_to(path.resolve())
    (folder / "real").symlink_to(REAL_ENVIRONMENT.resolve())
    programs = folder / "bin"
    programs.mkdir()
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    launcher = f"#!{base} -IS\n{Path(__file__).with_name('launcher.py').read_text(encoding='utf-8')}"
    for path in (REAL_ENVIRONMENT / "bin").iterdir():
        if path.name in PROGRAMS:
            (programs / path.name).write_text(launcher, encoding="utf-8")
            (programs / path.name).chmod(0o755)
        elif path.name != "__pycache__":
            (programs / path.name).symlink_to(path.resolve())


def _start(folder: Path) -> None:
    """Start the server, and do not wait: a command connects at once, and the server answers when it has imported."""
    (folder / "home").mkdir()
    left_out = ("PYTHONPATH", "XDG_CACHE_HOME", "OMP_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    with socket.socket(socket.AF_UNIX) as listener, (folder / "server.log").open("wb") as log:
        listener.bind(str(folder / "socket"))
        listener.listen(1024)
        code = _START.format(tests=str(_TESTS), folder=str(folder), listener=listener.fileno(), owner=int(_OWNER))
        process = subprocess.Popen(
            [str(REAL_ENVIRONMENT / "bin/python"), "-c", code], pass_fds=[listener.fileno()], cwd="/", start_new_session=True,
            env={**environment, "HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1", **_WITHOUT_THREADS},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )
    _started.append(process)


def use(environment: Path, folder: Path) -> Path:
    """Let the experiment in `folder` use another environment; the folder again."""
    (folder / ".venv").unlink(missing_ok=True)
    (folder / ".venv").symlink_to(environment)
    return folder
