"""A fork of the server becomes the process that was asked for, and runs its script as Python would."""

import atexit
import ctypes
import gc
import io
import multiprocessing
import os
import signal
import sys
import threading
import types
from pathlib import Path
from typing import Any, NoReturn

from warm.request import PYTHONS, Request, take_limits

_SHELLS_INTERRUPT = 128 + signal.SIGINT


def run(request: Request, environment: Path, library_path: list[str]) -> NoReturn:
    """Be the command, in a process just forked; its end is the process's end.

    Args:
        environment: The real environment.
        library_path: sys.path without the script's own folder and PYTHONPATH.
    """
    _take_streams(request)
    _take_surroundings(request)
    script, words = _script(request, environment)
    _take_python_settings(request, script, words, environment, library_path)
    _forget_the_server()
    _follow_what_libraries_read()
    code = _run_script(script)
    _end(code)


def _take_streams(request: Request) -> None:
    """The launcher's streams as 0, 1 and 2, and Python's objects for them as Python makes them."""
    for number, stream in enumerate(request.streams):
        os.dup2(stream, number)
        os.close(stream)
    is_unbuffered = bool(request.environment.get("PYTHONUNBUFFERED"))
    kept = sys.stdin, sys.stdout, sys.stderr  # handlers that libraries made at import write to these
    sys.stdin = sys.__stdin__ = _text_stream(0, kept[0], "<stdin>")
    sys.stdout = sys.__stdout__ = _text_stream(1, kept[1], "<stdout>", is_unbuffered=is_unbuffered)
    sys.stderr = sys.__stderr__ = _text_stream(2, kept[2], "<stderr>", is_unbuffered=is_unbuffered)


def _text_stream(number: int, like: Any, name: str, *, is_unbuffered: bool = False) -> io.TextIOWrapper:
    """What Python's start makes of a descriptor, in the encoding of the server's own (the same locale, see request.py)."""
    buffer = open(number, "rb" if number == 0 else "wb", 0 if is_unbuffered else -1, closefd=False)  # noqa: SIM115
    raw: Any = buffer if is_unbuffered else buffer.raw  # type: ignore[attr-defined]
    raw.name = name
    is_line_buffered = not is_unbuffered and (number == 2 or raw.isatty())
    stream = io.TextIOWrapper(buffer, like.encoding, like.errors, "\n", is_line_buffered, is_unbuffered)
    stream.mode = "r" if number == 0 else "w"  # type: ignore[misc]
    return stream


def _take_surroundings(request: Request) -> None:
    """Folder, environment, limits, and what signals do."""
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    take_limits(request.peer)
    for number in request.ignored:
        signal.signal(number, signal.SIG_IGN)


def _script(request: Request, environment: Path) -> tuple[str, list[str]]:
    """The file that is run, and sys.argv."""
    if request.program in PYTHONS:
        return request.words[0], request.words
    return str(environment / "bin" / request.program), [request.called, *request.words]


def _take_python_settings(
    request: Request, script: str, words: list[str], environment: Path, library_path: list[str]
) -> None:
    """What Python's start derives from its command line and its environment."""
    is_python = request.program in PYTHONS
    sys.executable = os.path.abspath(request.called) if is_python else str(environment / "bin" / "python3")
    sys.prefix = sys.exec_prefix = str(Path(sys.executable).parent.parent)
    multiprocessing.set_executable(sys.executable)
    sys.argv = list(words)
    sys.orig_argv = [request.called, *request.words]
    entries = [os.path.abspath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.path[:] = [os.path.dirname(os.path.realpath(script)), *dict.fromkeys(entries), *library_path]
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))


def _forget_the_server() -> None:
    """Our own modules do not stand in the way of the command's; random numbers are its own (`random` sees to that itself)."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "warm"]:
        del sys.modules[name]
    import numpy
    import torch

    numpy.random.seed()
    torch.default_generator.seed()


def _follow_what_libraries_read() -> None:
    """Where libraries keep what they read at import: the caches of Hugging Face, and the number of threads."""
    import datasets
    import huggingface_hub.constants as hub

    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    hub.HF_HOME, hub.HF_HUB_CACHE, hub.HF_XET_CACHE = (str(caches / name) for name in ("", "hub", "xet"))
    datasets.config.HF_CACHE_HOME = str(caches)
    datasets.config.HF_DATASETS_CACHE = caches / "datasets"
    datasets.config.HF_MODULES_CACHE = caches / "modules"
    datasets.config.DOWNLOADED_DATASETS_PATH = caches / "datasets" / "downloads"
    datasets.config.EXTRACTED_DATASETS_PATH = caches / "datasets" / "downloads" / "extracted"
    if "OMP_NUM_THREADS" in os.environ:
        _compute_with(int(os.environ["OMP_NUM_THREADS"].split(",")[0]))


def _compute_with(threads: int) -> None:
    """What OMP_NUM_THREADS does to OpenMP and OpenBLAS at their load; MKL reads it when it is first used."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    for path in {line.split(maxsplit=5)[-1] for line in maps if ".so" in line}:
        name = os.path.basename(path)
        if name.startswith("libgomp"):
            ctypes.CDLL(path).omp_set_num_threads(threads)
        elif name.startswith("libscipy_openblas"):
            library = ctypes.CDLL(path)
            suffix = "64_" if "openblas64" in name else ""
            getattr(library, f"scipy_openblas_set_num_threads{suffix}")(threads)


def _run_script(path: str) -> int:
    """Run a file as __main__; the exit status, or -SIGINT where an interrupt ended it."""
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=os.path.join(os.getcwd(), path), __builtins__=__builtins__, __annotations__={})
    sys.modules["__main__"] = module
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        print(f"{sys.executable}: can't open file {module.__file__!r}: [Errno {error.errno}] {error.strerror}", file=sys.stderr)
        return 2
    try:
        exec(compile(content, str(module.__file__), "exec", dont_inherit=True), module.__dict__)
    except SystemExit as end:
        return _status(end)
    except BaseException as error:  # as at the top of any Python program
        own = error.__traceback__.tb_next if error.__traceback__ else None
        sys.excepthook(type(error), error.with_traceback(own), own)
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _status(end: SystemExit) -> int:
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def _end(code: int) -> NoReturn:
    """Python's end without the taking apart of what the server imported: threads, exit handlers, objects, streams."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.modules["__main__"].__dict__.clear()
    gc.collect()
    for stream in {id(stream): stream for stream in (sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__)}.values():
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except OSError as error:
            print(f"Exception ignored in: {stream!r}\n{type(error).__name__}: {error}", file=sys.stderr)
            code = 120
    if code == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        code = _SHELLS_INTERRUPT
    os._exit(code)
