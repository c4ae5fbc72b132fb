"""The environment: an existing one that satisfies the lock, or `.venv`, made from it.

Only the standard library, and Python 3.8's, so that any Python can begin; the environment needs a tested one.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from ftexp.life import pip_options

TESTED_PYTHONS = ((3, 11), (3, 12), (3, 13))
VENV = Path(".venv")
# There while packages are installed: a killed installation leaves packages behind that look whole and are not.
UNFINISHED = VENV / "setup-unfinished"
# Run inside an environment: prints its Python version, then every pin of the locks that it does not meet.
_PROBE = """
import importlib.metadata, re, sys
print("%d.%d" % sys.version_info[:2])
try:
    from packaging.markers import Marker
except ImportError:
    Marker = None  # packaging is in the lock: that alone is missing, then
for line in [line for lock in sys.argv[1:] for line in open(lock, encoding="utf-8")]:
    pin = re.match(r"([A-Za-z0-9._-]+)==([^ ;#\\\\]+)\\s*(?:;([^#\\\\]+))?", line)
    if pin is None or (pin[3] and Marker and not Marker(pin[3].strip()).evaluate()):
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
    if (environment / UNFINISHED.name).exists():
        stop("venv: %s: its set-up is not finished. Run `make setup` again where it is made." % environment)
    version, missing = found
    if version not in tested():
        stop("venv: %s has Python %s, but the lock was tested with %s." % (environment, version, ", ".join(tested())))
    if missing:
        more = " and %d more" % (len(missing) - 5) if len(missing) > 5 else ""
        stop("venv: %s does not satisfy %s: %s.\nInstall the lock there (uv pip install --python %s/bin/python -r %s), or "
             "leave venv out and a .venv is made." % (environment, lock, ", ".join(missing[:5]) + more, environment, lock))
    target = environment.resolve()
    if VENV.is_symlink() and VENV.resolve() == target:
        return
    if VENV.is_symlink():
        VENV.unlink()
    elif VENV.exists():
        stop(".venv: is a folder, and another environment is named. Remove .venv, or do not name one.")
    VENV.symlink_to(os.path.relpath(str(target)))


def make_environment(locks, pip_args):
    """Make .venv from the locks, or finish one that was interrupted; `pip_args` says as to pip where packages are."""
    found = probe(VENV, locks)
    if found is not None and not found[1] and not UNFINISHED.exists():
        return
    begun_s = time.monotonic()
    try:
        pip_words = pip_options.for_pip(pip_args)
    except pip_options.Mistake as mistake:
        stop(str(mistake))
    if not _can_go_on(found):
        _make_venv(tested_python())
    _get_uv(locks, pip_words)
    _install(locks, *pip_options.for_uv(pip_args, _configured()))
    say("setup: .venv is ready, after %d s" % round(time.monotonic() - begun_s))


def say(message):
    """Progress, which is no product."""
    print(message, file=sys.stderr, flush=True)


def _can_go_on(found):
    """Whether packages can be installed into what is there: nothing, or all of a package, and not a part of one."""
    if found is None or found[0] not in tested() or not (VENV / "bin" / "pip").exists():  # pip comes last
        return False
    return not UNFINISHED.exists() or UNFINISHED.read_text(encoding="utf-8") == "\n".join(found[1])


def _make_venv(python):
    if VENV.is_symlink():
        VENV.unlink()
    say("setup: making .venv with %s" % python)
    if subprocess.call([python, "-m", "venv", "--clear", str(VENV)]) != 0:
        stop("setup: %s could not make .venv. Its message is above; VENV=<folder> uses an existing environment." % python)


def _get_uv(locks, pip_words):
    """Install uv as the lock pins it, by pip."""
    entry = re.search(r"(?m)^uv==(?:.*\\\n)*.*\n", Path(locks[0]).read_text(encoding="utf-8"))
    if entry is None:
        stop("%s: uv: is missing, and it installs the rest. Take the lock from the template again." % locks[0])
    alone = VENV / "uv.txt"
    alone.write_text(entry[0], encoding="utf-8")
    command = [str(VENV / "bin" / "pip"), "install", "--disable-pip-version-check", "-qq", "--no-deps", "--require-hashes"]
    if subprocess.call([*command, "-r", str(alone), *pip_words]) != 0:
        stop("setup: pip could not install uv, which installs the lock. Its message is above; pip_args in site.yaml passes an "
             "index or a proxy.")


def _configured():
    """What pip's configuration on this machine says, as words of a command of pip's."""
    listed = subprocess.run([str(VENV / "bin" / "pip"), "config", "list"], stdout=subprocess.PIPE, text=True, check=True).stdout
    words, unknown = pip_options.configuration(listed)
    if unknown:
        say("setup: left out of pip's configuration on this machine, since uv has no counterpart: %s" % ", ".join(unknown))
    return words


def _install(locks, options, environment):
    """Install the locks by uv."""
    missing = probe(VENV, locks)[1]
    UNFINISHED.write_text("\n".join(missing), encoding="utf-8")
    say("setup: installing %d packages of the lock, and what they bring (about 2 GB; CUDA's libraries, where torch brings "
        "them, several more)" % len(missing))
    command = [str(VENV / "bin" / "uv"), "pip", "install", "--python", str(VENV / "bin" / "python"), "--compile-bytecode"]
    command += [*(word for lock in locks for word in ("-r", str(lock))), *options]
    if _call_uv(command, environment) != 0:
        stop("setup: uv could not install the lock. Its message is above. In site.yaml, pip_args passes an index or a proxy; "
             "with --no-verify-hashes it takes a build that the lock does not know the hash of.")
    UNFINISHED.unlink()


def _call_uv(command, environment):
    """Run uv, with its bars on a terminal; elsewhere without its line for every package. Gives its exit status."""
    if sys.stderr.isatty():
        return subprocess.call(command, env=environment)
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if not re.match(r" [+~-] ", line):
                print(line, end="", file=sys.stderr, flush=True)
    return process.returncode


def tested_python():
    """A Python whose version the lock was tested with: the one that runs this, else one on the path."""
    if sys.version_info[:2] in TESTED_PYTHONS:
        return sys.executable
    found = next(filter(None, (shutil.which("python" + version) for version in tested())), None)
    if found is None:
        stop("Python %s is needed (the lock was tested with it); this is %d.%d. Install it, then: make setup PYTHON=python%s"
             % (" or ".join(tested()), sys.version_info[0], sys.version_info[1], tested()[0]))
    return found
