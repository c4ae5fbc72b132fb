"""The environment: an existing one that satisfies the lock, or `.venv`, made from it.

Only the standard library, and Python 3.8's, so that any Python can begin; the environment needs a tested one.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

TESTED_PYTHONS = ((3, 11),)
VENV = Path(".venv")
# Run inside an environment: prints its Python version, then every pin of the locks that it does not meet.
_PROBE = """
import importlib.metadata, re, sys
print("%d.%d" % sys.version_info[:2])
for line in [line for lock in sys.argv[1:] for line in open(lock, encoding="utf-8")]:
    pin = re.match(r"([A-Za-z0-9._-]+)==([^ ;#]+)", line)
    if pin is None:
        continue
    try:
        have = importlib.metadata.version(pin[1])
    except importlib.metadata.PackageNotFoundError:
        have = "nothing"
    if have.split("+")[0] != pin[2].strip():
        print("%s==%s (has %s)" % (pin[1], pin[2].strip(), have))
"""


def stop(message):
    """End with one message and exit status 1."""
    print(message, file=sys.stderr)
    sys.exit(1)


def probe(environment, locks):
    """Python version of an environment, and the pins of the locks that it does not meet; None where it has no Python."""
    python = environment / "bin" / "python"
    if not python.exists():
        return None
    result = subprocess.run([str(python), "-c", _PROBE, *map(str, locks)], stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        return None
    version, *missing = result.stdout.splitlines()
    return version, missing


def tested():
    """The Python versions that the lock was tested with, as text."""
    return ["%d.%d" % version for version in TESTED_PYTHONS]


def conda_environment(named):
    """The folder of a conda environment, given by its name or its folder."""
    if "/" in named:
        return Path(named).expanduser()
    try:
        listed = subprocess.check_output(["conda", "env", "list"], text=True)
    except (OSError, subprocess.CalledProcessError):
        stop("site.yaml: conda: is %s, and `conda env list` does not answer here. Load conda's module first, or give the folder."
             % named)
    lines = [line.split() for line in listed.splitlines() if not line.startswith("#")]
    found = [words[-1] for words in lines if len(words) > 1 and words[0] == named]
    if not found:
        stop("site.yaml: conda: there is no environment '%s'. Those there are: %s" % (named, ", ".join(w[0] for w in lines if w)))
    return Path(found[0])


def link_environment(environment, lock):
    """Use an existing environment, if it satisfies the lock."""
    found = probe(environment, [lock])
    if found is None:
        stop("venv: there is no environment with a bin/python in %s. Correct VENV= or site.yaml." % environment)
    version, missing = found
    if version not in tested():
        stop("venv: %s has Python %s, but the lock was tested with %s." % (environment, version, ", ".join(tested())))
    if missing:
        stop("venv: %s does not satisfy %s: %s.\nInstall the lock there, or leave venv out and a .venv is made."
             % (environment, lock, ", ".join(missing[:5]) + (" and %d more" % (len(missing) - 5) if len(missing) > 5 else "")))
    target = environment.resolve()
    if VENV.is_symlink() and VENV.resolve() == target:
        return
    if VENV.is_symlink():
        VENV.unlink()
    elif VENV.exists():
        stop(".venv: is a folder, and another environment is named. Remove .venv, or do not name one.")
    VENV.symlink_to(os.path.relpath(str(target)))


def make_environment(locks, pip_args):
    """Make .venv from the locks, or finish one that was interrupted; `pip_args` is added to pip's command."""
    found = probe(VENV, locks)
    if found is not None and not found[1]:
        return
    python = tested_python()
    if found is None or found[0] not in tested() or not (VENV / "bin" / "pip").exists():  # pip comes last: interrupted before
        if VENV.is_symlink():
            VENV.unlink()
        print("setup: making .venv with %s" % python, file=sys.stderr)
        if subprocess.call([python, "-m", "venv", "--clear", str(VENV)]) != 0:
            stop("setup: %s could not make .venv. Its message is above; VENV=<folder> uses an existing environment." % python)
    print("setup: installing the lock into .venv (about 2 GB, some minutes)", file=sys.stderr)
    command = [str(VENV / "bin" / "pip"), "install", "--disable-pip-version-check", "-qq"]
    command += [word for lock in locks for word in ("-r", str(lock))] + shlex.split(pip_args)
    if subprocess.call(command) != 0:
        stop("setup: pip could not install the lock. Its message is above; pip_args in site.yaml passes an index or a proxy.")


def tested_python():
    """A Python whose version the lock was tested with: the one that runs this, else one on the path."""
    if sys.version_info[:2] in TESTED_PYTHONS:
        return sys.executable
    found = next(filter(None, (shutil.which("python" + version) for version in tested())), None)
    if found is None:
        stop("Python %s is needed (the lock was tested with it); this is %d.%d. Install it, then: make setup PYTHON=python%s"
             % (" or ".join(tested()), sys.version_info[0], sys.version_info[1], tested()[0]))
    return found
