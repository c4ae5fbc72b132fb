"""The warm environment does what the real one does: bytes, exit statuses, signals, streams; its server is fit to be forked."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.experiments import adapter, bake_small, edit, make
from warm import preload
from warm.environment import REAL_ENVIRONMENT, use, warm_environment

BOTH = pytest.mark.parametrize("environment", [lambda: REAL_ENVIRONMENT, warm_environment], ids=["real", "warm"])
Environment = Callable[[], Path]
TRACEBACK = 'Traceback (most recent call last):\n  File "HERE/script.py"'
# Of a process that is told to begin and to end by files.
# The file is closed by name: an exit that a signal asks for while one is closed by being forgotten would be ignored.
BEGUN = "with open('begun', 'w') as begun: begun.write(str(os.getpid()))\n"
HELD = f"import os, time\n{BEGUN}while not os.path.exists('end'): time.sleep(0.01)\n"

RUNS = ("r2_s1", "r4_s1")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def server() -> int:
    """Process id of the server, which has imported when it can be asked."""
    said = run(warm_environment(), "import os; print(os.getppid())").stdout
    return int(said)


def command(environment: Path, text: str, *words: str) -> list[str]:
    Path("script.py").write_text(text, encoding="utf-8")
    return [str(environment / "bin/python"), "script.py", *words]


def run(environment: Path, text: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    line = command(environment, text, *words)
    return subprocess.run(line, env={**os.environ, **variables}, input="asked\n", capture_output=True, text=True, check=False)


def start(environment: Path, text: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(command(environment, text), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: Path("begun").is_file() and bool(Path("begun").read_text()))
    return process


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process has not ended; a zombie has."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def is_warm() -> bool:
    return warm_environment() != REAL_ENVIRONMENT


def test_a_script_is_run_by_a_fork_of_the_server() -> None:
    if not is_warm():
        pytest.skip("no warm environment here")
    assert Path(f"/proc/{server()}/cmdline").read_bytes().count(b"warm.server") == 1


def test_the_server_has_one_thread_and_nothing_of_an_experiments_own() -> None:
    if not is_warm():
        pytest.skip("no warm environment here")
    assert len(list(Path(f"/proc/{server()}/task").iterdir())) == 1
    found = run(warm_environment(), "import sys; print([n for n in sys.modules if n.split('.')[0] in ('ftexp', 'warm')])")
    assert found.stdout == "[]\n"
    assert "ftexp" not in " ".join(preload.ALL)


FACTS = """
import os, sys, signal, resource
print(sys.argv, sys.executable.removeprefix(sys.prefix), sys.path[0], sys.path[1], __file__, __name__)
print(sys.stdin.readline(), sys.stdin.encoding, sys.stdout.encoding, sys.stdout.errors, sys.stderr.errors)
print(sys.stdout.line_buffering, sys.stdout.write_through, sys.stderr.line_buffering, sys.stderr.write_through)
print(sys.dont_write_bytecode, os.getcwd(), sorted(os.environ.items()), os.umask(0))
print([signal.getsignal(number) for number in sorted(signal.valid_signals())])
print([resource.getrlimit(limit) for limit in range(16)], os.sched_getaffinity(0))
import torch, numpy
print(torch.get_num_threads(), torch.manual_seed(1).initial_seed(), torch.rand(3))
print((torch.ones(300, 300) @ torch.ones(300, 300)).sum(), numpy.linalg.eigvalsh(numpy.eye(200)).sum())
"""


@pytest.mark.parametrize("variables", [{}, {"PYTHONUNBUFFERED": "1"}, {"OMP_NUM_THREADS": "1"}], ids=str)
def test_a_script_sees_what_it_would_see_in_a_process_of_its_own(variables: dict[str, str]) -> None:
    Path("more").mkdir()
    given = {"PYTHONPATH": "more", "A": "b c", "PYTHONUNBUFFERED": "", **variables}
    environments = REAL_ENVIRONMENT, warm_environment()
    real, warm = (run(environment, FACTS, "--one", "two words", **given) for environment in environments)
    assert real.returncode == 0 and real.stdout == warm.stdout
    assert (real.stderr, real.returncode) == (warm.stderr, warm.returncode)


def test_what_a_shell_ignores_stays_ignored() -> None:
    command(warm_environment(), "import signal\nprint(signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN)")
    line = f"trap '' USR1; ulimit -c 0; exec {warm_environment()}/bin/python script.py"
    assert subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout == "True\n"


@BOTH
@pytest.mark.parametrize(("text", "code", "error"), [
    ("import sys; sys.exit(3)", 3, ""), ("raise SystemExit", 0, ""), ("import sys; sys.exit('a message')", 1, "a message\n"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
    ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -15, ""), ("import os; os._exit(7)", 7, ""),
    ("raise KeyboardInterrupt", -2, f"{TRACEBACK}, line 1, in <module>\n    raise KeyboardInterrupt\nKeyboardInterrupt\n"),
    ("def fail():\n    return 1 / 0\nfail()", 1, f'{TRACEBACK}, line 3, in <module>\n    fail()\n  File "HERE/script.py", '
     "line 2, in fail\n    return 1 / 0\n           ~~^~~\nZeroDivisionError: division by zero\n"),
    ("if", 1, '  File "HERE/script.py", line 1\n    if\n      ^\nSyntaxError: invalid syntax\n'),
])
def test_a_script_ends_as_python_ends_it(environment: Environment, text: str, code: int, error: str) -> None:
    ended = run(environment(), text)
    assert (ended.returncode, ended.stderr) == (code, error.replace("HERE", os.getcwd()))


@BOTH
def test_what_is_left_to_the_end_is_done_at_the_end(environment: Environment) -> None:
    text = (
        "import atexit, sys, threading, time\natexit.register(print, 'exit handler')\nsys.stdout.write('no line end')\n"
        "threading.Thread(target=lambda: (time.sleep(0.1), print(' thread'))).start()\n"
        "file = open('unclosed', 'w')\nfile.write('x')\n"
    )
    ended = run(environment(), text)
    assert ended.stdout == "no line end thread\nexit handler\n" and Path("unclosed").read_text() == "x"


@BOTH
def test_a_reader_that_goes_away_is_a_broken_pipe(environment: Environment) -> None:
    words = " ".join(command(environment(), "for n in range(100_000): print(n)"))
    line = f"{words} | head -1; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "0\n") and "BrokenPipeError" in ended.stderr


@BOTH
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT])
def test_a_signal_reaches_the_script(environment: Environment, number: signal.Signals) -> None:
    handled = f"import signal, sys\nsignal.signal({int(number)}, lambda n, f: (print('got', n), sys.exit(4)))\n"
    process = start(environment(), handled + HELD)
    process.send_signal(number)
    assert process.communicate(timeout=60) == (f"got {int(number)}\n", "") and process.returncode == 4


@BOTH
def test_a_signal_that_is_not_handled_ends_it(environment: Environment) -> None:
    process = start(environment(), HELD)
    process.terminate()
    assert process.wait(timeout=60) == -signal.SIGTERM


def test_a_launcher_that_is_killed_takes_along_what_it_stood_for() -> None:
    forks = "import os, time\nif os.fork() == 0:\n    open('grandchild', 'w').write(str(os.getpid()))\n    time.sleep(600)\n"
    process = start(warm_environment(), forks + HELD)
    until(lambda: Path("grandchild").is_file() and bool(Path("grandchild").read_text()))
    pids = [int(Path(name).read_text()) for name in ("begun", "grandchild")]
    assert all(map(is_alive, pids))
    process.kill()
    process.wait()
    if is_warm():
        until(lambda: not any(map(is_alive, pids)))
    else:
        os.kill(pids[1], signal.SIGKILL)


def test_two_scripts_share_no_random_numbers() -> None:
    text = "import random, numpy, uuid, torch\nprint(random.random(), numpy.random.rand(), uuid.uuid4(), torch.initial_seed())"
    first, second = (run(warm_environment(), text).stdout.split() for _ in range(2))
    assert len(first) == 4 and not {*first} & {*second}


@pytest.mark.parametrize(
    "variables", [{"PYTHONHASHSEED": "7"}, {"MKL_NUM_THREADS": "1"}, {"HF_HUB_OFFLINE": "0"}, {"PYTHONPATH": "own"}], ids=str
)
def test_what_a_fork_could_not_do_is_done_by_a_process_of_its_own(variables: dict[str, str]) -> None:
    Path("own").mkdir()
    Path("own/sitecustomize.py").write_text("print('customized')")
    if not is_warm():
        pytest.skip("no warm environment here")
    text = "import os, sys; print(os.getppid(), 'torch' in sys.modules)"
    said = run(warm_environment(), text, **variables).stdout.splitlines()
    assert said[-1] == f"{os.getpid()} False" and ("customized" in said) == ("PYTHONPATH" in variables)


def test_options_of_pythons_own_are_for_a_process_of_its_own() -> None:
    line = [str(warm_environment() / "bin/python"), "-c", "import os, sys; print(os.getppid(), sys.argv, sys.executable)", "word"]
    said = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert said == f"{os.getpid()} ['-c', 'word'] {warm_environment()}/bin/python\n"


@BOTH
def test_the_programs_are_there(environment: Environment) -> None:
    for name, said in {"dvc": r"\d+\.\d+", "inspect": r"\d+\.\d+", "tune": "usage: tune", "ruff": "ruff"}.items():
        words = [str(environment() / "bin" / name), "--help" if name == "tune" else "--version"]
        ended = subprocess.run(words, capture_output=True, text=True, check=True)
        assert re.search(said, ended.stdout), name


@pytest.mark.slow
def test_make_all_gives_the_same_bytes_in_both_environments(tmp_path: Path) -> None:
    folders = []
    for name, environment in {"real": REAL_ENVIRONMENT, "warm": warm_environment()}.items():
        (tmp_path / name).mkdir()
        folder = bake_small(tmp_path / name, factors="{lora_rank: [2, 4], seed: [1]}")
        edit(folder / "experiment.yaml", "epochs: 2, batch_size: 32", "epochs: 3, batch_size: 16, lr: 3.0e-3")
        make(folder, "setup", f"VENV={environment}")
        make(use(environment, folder), "all")
        folders.append(folder)
    real, warm = folders
    for table in ("results.csv", "effects.csv", "runs.csv"):
        assert (real / table).read_bytes() == (warm / table).read_bytes()
    assert [adapter(real, run) for run in RUNS] == [adapter(warm, run) for run in RUNS]
