"""`make setup`, killed anywhere and called again, with stand-ins for what needs a network or minutes; what uv is told."""

import hashlib
import importlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import ENVIRONMENT, REPOSITORY
from ftexp.life import environment, pip_options

LOCK = Path("requirements.txt")
LOCKS = {
    REPOSITORY / "{{cookiecutter.experiment_name}}/requirements.txt": REPOSITORY / "requirements.in",
    REPOSITORY / "tests/requirements.txt": REPOSITORY / "tests/requirements.in",
}
PIP = """#!/bin/sh
echo "pip $1" >> called
case $1 in
config) cat listed ;;
install) cp uv.sh .venv/bin/uv ;;
esac
"""
# Killed at its first call: after the download, amid the packages, or while it compiles what is installed.
UV = """#!/bin/sh
echo "uv $2" >> called
echo "$@" > arguments
env > told
echo "Downloading torch (182.9MiB)" >&2
test -e killed || { touch killed; cp before installed; kill -9 $$; }
echo "Installed 2 packages in 1s" >&2
echo " + torch==2.13.0" >&2
printf 'torch numpy' > installed
"""


class StandIn:
    """Stands in for `python -m venv`: makes so many of the files that it makes, and then is killed; the next time all."""

    FILES = ("pyvenv.cfg", "bin/python", "bin/pip")

    def __init__(self, files: int = len(FILES), before: str = "") -> None:
        self.files, self.calls = files, 0
        LOCK.write_text("uv==0.13.9 \\\n    --hash=sha256:00\ntorch==2.13.0\nnumpy==2.4.6\n")
        Path("uv.sh").write_text(UV)
        Path("uv.sh").chmod(0o755)
        Path("listed").write_text("global.find-links='/opt/ours'\n")
        Path("before").write_text(before)

    def call(self, command: list[str], **options: Any) -> int:
        if command[1:3] != ["-m", "venv"]:
            return subprocess.run(command, check=False, **options).returncode
        shutil.rmtree(".venv", ignore_errors=True)
        Path("installed").write_text("")
        for name in self.FILES[: self.files if self.calls == 0 else None]:
            path = Path(".venv") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(PIP)
            path.chmod(0o755)
        self.calls += 1
        if self.calls == 1 and self.files < len(self.FILES):
            raise KeyboardInterrupt
        return 0


def probe(folder: Path, locks: list[Path]) -> tuple[str, list[str]] | None:
    """As the real one, of a stand-in's environment."""
    if not (folder / "bin/python").exists():
        return None
    return environment.tested()[0], [name for name in ("torch", "numpy") if name not in Path("installed").read_text()]


@pytest.fixture
def stand_in(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """One that is in the place of what it stands for, in an empty working folder; its arguments are the parameter."""
    monkeypatch.chdir(tmp_path)
    made = StandIn(**getattr(request, "param", {}))
    monkeypatch.setattr(environment, "probe", probe)
    monkeypatch.setattr(environment.subprocess, "call", made.call)
    return made


@pytest.mark.parametrize("stand_in", [{"files": files} for files in (0, 1, 2)], indirect=True)
def test_an_environment_that_was_interrupted_while_it_was_made_is_made_again(stand_in: StandIn) -> None:
    with pytest.raises(KeyboardInterrupt):
        environment.make_environment([LOCK], "")
    Path("killed").touch()  # uv is not killed here
    environment.make_environment([LOCK], "")
    assert stand_in.calls == 2 and Path("installed").read_text() == "torch numpy"


def test_an_installation_that_was_killed_goes_on_without_a_new_environment(
    stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of packages nothing was installed yet, as while they are downloaded."""
    with pytest.raises(SystemExit) as end:
        environment.make_environment([LOCK], "")
    assert end.value.code == 1 and "setup: uv could not install the lock." in capsys.readouterr().err
    environment.make_environment([LOCK], "")
    called = "pip install\npip config\nuv install\n" * 2
    assert (stand_in.calls, Path("called").read_text()) == (1, called)
    environment.make_environment([LOCK], "")
    assert Path("called").read_text() == called


@pytest.mark.parametrize("stand_in", [{"before": before} for before in ("torch", "torch numpy")], indirect=True)
def test_where_packages_may_be_there_in_part_the_environment_is_made_again(stand_in: StandIn) -> None:
    """A package that was half written, or not compiled, looks whole."""
    with pytest.raises(SystemExit):
        environment.make_environment([LOCK], "")
    environment.make_environment([LOCK], "")
    assert (stand_in.calls, Path("called").read_text()) == (2, "pip install\npip config\nuv install\n" * 2)
    environment.make_environment([LOCK], "")
    assert stand_in.calls == 2


def test_a_venv_that_cannot_be_made_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment.subprocess, "call", lambda command: 1)
    with pytest.raises(SystemExit) as end:
        environment.make_environment([LOCK], "")
    assert end.value.code == 1 and "could not make .venv. Its message is above" in capsys.readouterr().err


def test_what_is_done_and_how_long_it_took_is_said_without_a_line_for_every_package(
    stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("killed").touch()
    environment.make_environment([LOCK], "--extra-index-url https://index.lab/simple")
    said = capsys.readouterr().err
    parts = ["setup: making .venv with", "setup: installing 2 packages", "Downloading torch", "Installed 2", "setup: .venv is"]
    assert re.search(".*".join(map(re.escape, parts)), said, flags=re.DOTALL) and " + torch" not in said
    told = Path("told").read_text().splitlines()
    assert any(line.startswith("UV_FIND_LINKS=") and line.endswith("/opt/ours") for line in told)
    assert any(line.startswith("UV_EXTRA_INDEX_URL=") and line.endswith("https://index.lab/simple") for line in told)
    assert "--compile-bytecode" in Path("arguments").read_text() and "index.lab" not in Path("arguments").read_text()


def test_an_environment_whose_set_up_was_killed_is_not_linked(stand_in: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        environment.make_environment([LOCK], "")
    other = Path(".venv").rename("other")
    Path("installed").write_text("torch numpy")
    with pytest.raises(SystemExit):
        environment.link_environment(other, LOCK)
    assert "venv: other: its set-up is not finished." in capsys.readouterr().err and not Path(".venv").exists()
    (other / environment.UNFINISHED.name).unlink()
    environment.link_environment(other, LOCK)
    assert Path(".venv").resolve() == other.resolve()


def test_a_lock_without_uv_is_one_message(stand_in: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    LOCK.write_text("torch==2.13.0\n")
    with pytest.raises(SystemExit):
        environment.make_environment([LOCK], "")
    assert "requirements.txt: uv: is missing, and it installs the rest." in capsys.readouterr().err and stand_in.calls == 1


BEST = ["--index-strategy", "unsafe-best-match"]


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the environment that pip or uv reads."""
    for name in list(os.environ):
        if re.match(r"(UV|PIP)_|SSL_|\w+_CA_BUNDLE|\w+_PROXY", name):
            monkeypatch.delenv(name)


@pytest.mark.usefixtures("no_variables")
@pytest.mark.parametrize(
    ("pip_args", "words", "variables"),
    [
        ("", [], {}),
        ("-i https://a/simple", [], {"UV_INDEX_URL": "https://a/simple"}),
        ("--index-url=https://a/s --extra-index-url https://b/s --extra-index-url=https://c/s", [],
         {"UV_INDEX_URL": "https://a/s", "UV_EXTRA_INDEX_URL": "https://b/s https://c/s"}),
        ("--no-index -f /wheels --find-links '/more wheels'", ["--no-index"], {"UV_FIND_LINKS": "/wheels,/more wheels"}),
        ("--trusted-host a --trusted-host b", [], {"UV_INSECURE_HOST": "a b"}),
        ("--proxy http://p:80", [], dict.fromkeys(("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"), "http://p:80")),
        ("--cert /ca.pem --client-cert /c.pem", [], {"SSL_CERT_FILE": "/ca.pem", "SSL_CLIENT_CERT": "/c.pem"}),
        ("--cert /", [], {"SSL_CERT_DIR": "/"}),
        ("--timeout 15.5 --retries 9", [], {"UV_HTTP_TIMEOUT": "16", "UV_HTTP_RETRIES": "9"}),
        ("--cache-dir ~/c --no-cache-dir", [], {"UV_CACHE_DIR": os.path.expanduser("~/c"), "UV_NO_CACHE": "1"}),
        ("-c c.txt -r more.txt --no-binary numpy --pre", ["--requirement", "more.txt", "--no-binary", "numpy", "--pre"],
         {"UV_CONSTRAINT": "c.txt"}),
        ("--use-feature truststore -qq --prefer-binary --progress-bar off", [], {"UV_SYSTEM_CERTS": "1"}),
        ("--no-verify-hashes", ["--no-verify-hashes"], {}),
    ],
)  # fmt: skip
def test_each_option_of_pip_args_reaches_uv_as_what_means_the_same(
    pip_args: str, words: list[str], variables: dict[str, str]
) -> None:
    given, told = pip_options.for_uv(pip_args, [])
    assert given == [*words, *BEST]
    assert {name: value for name, value in told.items() if os.environ.get(name) != value} == variables


def test_packages_in_pip_args_are_installed_too() -> None:
    assert pip_options.for_uv("flash-attn==2.9 -f /wheels einops", [])[0] == [*BEST, "flash-attn==2.9", "einops"]


def test_pip_gets_uv_from_where_pip_args_says() -> None:
    words = pip_options.for_pip("-i https://a/s --no-index --proxy http://p -r more.txt --no-verify-hashes einops")
    assert words == ["--index-url=https://a/s", "--proxy=http://p", "--no-index"]


@pytest.mark.parametrize(
    ("pip_args", "message"),
    [
        ("-i https://a/s --target=/x", "has no counterpart of this option of pip's, got --target. Leave it out, or"),
        ("--find-links", "argument --find-links/-f: expected one argument. It must hold options of `pip install`."),
        ("-f '/wheels", "no closing quotation, got -f '/wheels. Close it."),
    ],
)
@pytest.mark.usefixtures("stand_in")
def test_an_option_that_uv_cannot_be_told_is_one_message(
    pip_args: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        environment.make_environment([LOCK], pip_args)
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("site.yaml: pip_args: ") and message in said and not Path(".venv").exists()


@pytest.mark.usefixtures("no_variables")
def test_pips_own_configuration_reaches_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By pip itself: a file, whose [install] counts more than [global], and variables, which count more than both."""
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://global/s\nfind-links =\n    /one\n    /two\ncert = /ca.pem\ntimeout = 5\ntarget = /x\n"
        "[install]\nindex-url = https://install/s\nno-index = true\npre = false\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "180")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://b/s https://c/s")
    shown = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    words, unknown = pip_options.configuration(shown)
    given, told = pip_options.for_uv("--find-links /three", words)
    assert given == ["--no-index", *BEST] and "target" in unknown
    expected = {
        "UV_INDEX_URL": "https://install/s", "UV_EXTRA_INDEX_URL": "https://b/s https://c/s", "UV_FIND_LINKS": "/one,/two,/three",
        "SSL_CERT_FILE": "/ca.pem", "UV_HTTP_TIMEOUT": "180",
    }  # fmt: skip
    assert {name: told.get(name) for name in expected} == expected


@pytest.mark.usefixtures("no_variables")
def test_a_certificate_that_pip_heeds_in_a_variable_reaches_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/ca.pem")
    assert pip_options.for_uv("", [])[1]["SSL_CERT_FILE"] == "/ca.pem"
    monkeypatch.setenv("SSL_CERT_FILE", "/other.pem")
    assert pip_options.for_uv("", [])[1]["SSL_CERT_FILE"] == "/other.pem"


def make_wheel(folder: Path, version: str) -> str:
    """A wheel of the package `ours`; gives its hash."""
    folder.mkdir(exist_ok=True)
    path = folder / f"ours-{version}-py3-none-any.whl"
    about = f"ours-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("ours.py", f"VERSION = '{version}'\n")
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: ours\nVersion: {version}\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", f"ours.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def install(folder: Path, pip_args: str) -> "subprocess.CompletedProcess[str]":
    """By the real uv, into a folder of the test's."""
    words, told = pip_options.for_uv(pip_args, [])
    command = [str(ENVIRONMENT / "bin/uv"), "pip", "install", "--python", sys.executable, "--target", str(folder)]
    return subprocess.run([*command, "-r", str(LOCK), *words], env=told, capture_output=True, text=True, check=False)


@pytest.mark.usefixtures("no_variables")
def test_a_build_of_the_locks_version_is_taken_from_a_folder_and_a_file_with_another_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    plain, build = make_wheel(Path("index"), "1.0"), make_wheel(Path("builds"), "1.0+cpu")
    everywhere = "--no-index --find-links index --find-links builds"
    LOCK.write_text(f"ours==1.0 \\\n    --hash=sha256:{plain} \\\n    --hash=sha256:{build}\n")
    made = install(Path("good"), everywhere)
    assert made.returncode == 0 and "1.0+cpu" in Path("good/ours.py").read_text(), made.stderr
    LOCK.write_text(f"ours==1.0 \\\n    --hash=sha256:{plain}\n")
    refused = install(Path("bad"), everywhere)
    assert refused.returncode != 0 and "ash" in refused.stderr and not Path("bad/ours.py").exists(), refused.stderr
    assert install(Path("unchecked"), f"{everywhere} --no-verify-hashes").returncode == 0


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.parent.name)
def test_every_package_of_a_lock_has_a_hash_and_no_address(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    entries = re.findall(r"(?m)^([a-z0-9.-]+)==([^ \\\n]+)(.*\n(?: .*\n)*)", text)
    assert len(entries) > 20 and len(re.findall("(?m)^[^# ]", text)) == len(entries)
    hashed = re.compile(r"(?: ;.*)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n")
    assert not [name for name, _, rest in entries if not hashed.fullmatch(rest)]
    assert "://" not in text and "/opt" not in text and "index-url" not in text


@pytest.mark.parametrize(("lock", "asked"), LOCKS.items(), ids=["experiment", "tests"])
def test_a_lock_holds_what_is_asked_for(lock: Path, asked: Path) -> None:
    pins = dict(re.findall(r"(?m)^([a-z0-9.-]+)==([^ \\\n]+)", lock.read_text(encoding="utf-8")))
    wanted = re.findall(r"(?m)^([a-z0-9-]+)(?:==(\S+))?", asked.read_text(encoding="utf-8"))
    assert len(wanted) > 5
    assert not [name for name, version in wanted if pins.get(name) is None or (version and pins[name] != version)]
    hashes = re.findall("sha256:[0-9a-f]{64}", asked.read_text(encoding="utf-8"))
    assert all(f"--hash={found}" in lock.read_text(encoding="utf-8") for found in hashes)


def test_the_probe_reads_hashes_markers_and_names_in_any_spelling(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(
        "# a comment\nPyYAML==1.0 \\\n    --hash=sha256:00\nno-such==1.0 ; python_version < '3' \\\n    --hash=sha256:00\n"
        "not-there==2.0 ; python_version >= '3' \\\n    --hash=sha256:00\nneither==3.0  # why\n"
    )
    found = environment.probe(ENVIRONMENT, [lock])
    assert found is not None
    assert [re.sub(r"\(has \d.*\)", "(has another)", line) for line in found[1]] == [
        "PyYAML==1.0 (has another)", "not-there==2.0 (has nothing)", "neither==3.0 (has nothing)",
    ]  # fmt: skip


def test_the_environment_of_the_tests_satisfies_the_locks() -> None:
    assert environment.probe(ENVIRONMENT, list(LOCKS)) == (environment.tested()[0], [])


@pytest.mark.parametrize("half", [".git", ".dvc"])
def test_a_repository_that_was_killed_while_it_was_made_is_finished(
    half: str, experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git and dvc for real: a folder without what they write last is made whole by the next call."""
    set_up: Any = importlib.import_module("set_up")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(experiment.parent))
    if half == ".dvc":
        set_up.init_git()
    (experiment / half / "tmp").mkdir(parents=True)
    (experiment / half / "objects").mkdir()
    set_up.init_git()
    set_up.init_dvc()
    top = subprocess.run(["git", "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=True).stdout.strip()
    assert Path(top) == experiment and "analytics = false" in Path(".dvc/config").read_text()
    before = Path(".dvc/config").read_bytes()
    set_up.init_dvc()
    assert Path(".dvc/config").read_bytes() == before
