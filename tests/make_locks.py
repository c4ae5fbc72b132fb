"""Resolves both requirements.in into the locks, with hashes; pins that are there stay unless they are named.

Reads requirements.in, tests/requirements.in and the locks. Writes {{cookiecutter.experiment_name}}/requirements.txt and
tests/requirements.txt. Needs the package index.
Command: make lock [UPGRADE=<package>]
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
LOCK = REPOSITORY / "{{cookiecutter.experiment_name}}/requirements.txt"
# The oldest that the lock is for, which Debian 12 has; one version of each package for this one and all newer ones.
PYTHON = "3.11.2"
# What PyPI's torch brings, and its build without CUDA does not need; and what only Windows needs.
LEFT_OUT = re.compile(r"nvidia-|cuda-|triton$|pywin32$")
MADE = "Made by `make lock` of ftexp's repository, whose CONTRIBUTING.md says how a pin moves; not edited by hand."
HEADS = {
    LOCK: f"""\
# The lock: every package of the environment, installed and tested together with Python 3.11 (from 3.11.2 on), 3.12 and 3.13.
# {MADE}
# torch may be PyPI's, or its build without CUDA, whose hash is the last of its entry. What PyPI's brings (CUDA's libraries,
# triton) is not here, since the build without CUDA needs none of it: torch names it, by exact versions but for cuda-bindings,
# cuda-pathfinder and nvidia-nvjitlink.
""",
    REPOSITORY / "tests/requirements.txt": f"# What the tests and the linters need besides the lock.\n# {MADE}\n",
}


def resolve(asked: Path, lock: Path, options: list[str]) -> dict[str, str]:
    """The entries of a new lock by package; versions are those of the present one where nothing speaks against them."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "lock.txt"
        shutil.copy2(lock, made)
        command = [sys.executable, "-m", "uv", "pip", "compile", str(asked), "--output-file", str(made), "--no-config", "--quiet"]
        command += ["--universal", "--python-version", PYTHON, "--fork-strategy", "fewest", "--generate-hashes"]
        command += ["--no-annotate", "--no-header", *options]
        subprocess.run(command, check=True)
        return entries(made.read_text(encoding="utf-8"))


def entries(text: str) -> dict[str, str]:
    """A lock's entries by package: the line of the pin, and those of its hashes."""
    return {match[1]: match[0] for match in re.finditer(r"(?m)^([a-z0-9.-]+)==(?:.*\\\n)*.*\n", text)}


def add_hashes(made: dict[str, str], asked: str) -> None:
    """Add the hashes that the comments of a requirements.in give to the package that stands before them."""
    name = ""
    for line in asked.splitlines():
        name = match[0] if (match := re.match(r"[a-z0-9-]+", line)) else name
        for digest in re.findall(r"#.*(sha256:[0-9a-f]{64})", line):
            if digest not in made[name]:
                made[name] = f"{made[name].rstrip()} \\\n    --hash={digest}\n"


def main() -> int:
    """Make both locks; the second leaves out what is in the first."""
    options = [word for name in os.environ.get("UPGRADE", "").split() for word in ("--upgrade-package", name)]
    first: dict[str, str] = {}
    for lock, head in HEADS.items():
        asked = REPOSITORY / ("requirements.in" if lock == LOCK else "tests/requirements.in")
        made = resolve(asked, lock, [*options, *(["--constraints", str(LOCK)] if first else [])])
        add_hashes(made, asked.read_text(encoding="utf-8"))
        kept = {name: entry for name, entry in made.items() if name not in first and not LEFT_OUT.match(name)}
        lock.write_text(head + "".join(kept.values()), encoding="utf-8")
        first |= made
    return 0


if __name__ == "__main__":
    sys.exit(main())
