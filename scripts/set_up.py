"""Makes an experiment ready to run: environment, link to the models, git, dvc, stamp. Never commits. Call it again at will.

Reads site.yaml (venv, conda, pip_args, models), requirements.txt, pip's configuration. Writes .venv, models, .git and .dvc where
they are missing.
Runs under any Python 3.8 or newer with the standard library only; the environment needs a Python the lock was tested with.
Command: make setup [VENV=<an existing environment>] [PYTHON=<program>] (python scripts/set_up.py, VENV in the environment)
         python scripts/set_up.py --only-environment LOCK ... makes .venv alone, in the template's own folder.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from ftexp.life.environment import VENV, conda_environment, link_environment, make_environment, stop

LOCK = Path("requirements.txt")


def main(arguments):
    """Set up; VENV names an existing environment, which otherwise site.yaml may do."""
    if arguments[:1] == ["--only-environment"]:
        make_environment(arguments[1:], "")
        return 0
    if not Path("experiment.yaml").is_file() or not Path("site.yaml").is_file():
        stop("experiment.yaml or site.yaml: is missing here. Run this from an experiment's folder.")
    named = os.environ.get("VENV") or site_value("venv")
    if named:
        link_environment(Path(named).expanduser(), LOCK)
    elif site_value("conda"):
        link_environment(conda_environment(site_value("conda")), LOCK)
    else:
        make_environment([LOCK], site_value("pip_args") or "")
    link_models(Path(site_value("models") or "data/models").expanduser())
    init_git()
    init_dvc()
    python = str(VENV / "bin" / "python")
    return subprocess.call([python, "scripts/stamp.py"]) or subprocess.call([python, "scripts/validate.py", "--surroundings"])


def site_value(key):
    """A flat text of site.yaml, read before there is a YAML parser; `make stamp` checks the file as a whole."""
    match = re.search(r"(?m)^%s:[ \t]*(.*?)[ \t]*(?:[ \t]#.*)?$" % key, Path("site.yaml").read_text(encoding="utf-8"))
    value = match.group(1) if match else ""
    if value[:1] in "\"'" and value[-1:] == value[:1] and len(value) > 1:
        value = value[1:-1]
    return None if value in ("", "null", "~") else value


def link_models(folder):
    """Point the git-ignored link `models` at the site's folder of models."""
    if not folder.is_dir():
        stop("site.yaml: models: there is no folder %s. Make it and put your models there, or correct the path." % folder)
    link = Path("models")
    if link.is_symlink():
        if link.resolve() == folder.resolve():
            return
        link.unlink()
    elif link.exists():
        stop("models: is a folder of its own, and must be a link that setup makes. Move it, and name it in site.yaml as models.")
    link.symlink_to(folder)


def git(*arguments):
    """Run git; its exit status and output decide what is done. A repository that it refuses to look at is none to build on."""
    command, environment = ["git", *arguments], dict(os.environ, LC_ALL="C")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    if done.returncode > 1 and "not a git repository" not in done.stderr:
        stop("git: %s. Cure that, and run the same command again." % " ".join(done.stderr.split()))
    return done


def call(*command):
    """Run a command that has to end well; its own message is above ours."""
    if subprocess.call(command) != 0:
        stop("setup: `%s` failed. Its message is above; when that is cured, run the same command again." % " ".join(command))


def init_git():
    """Make a repository where the folder is in no work tree, or is ignored by the one around it."""
    is_inside = git("rev-parse", "--is-inside-work-tree").stdout.strip() == "true"
    top = git("rev-parse", "--show-toplevel").stdout.strip()
    is_own = is_inside and Path(top).resolve() == Path.cwd()
    if not is_inside or (not is_own and git("check-ignore", "--quiet", str(Path.cwd())).returncode == 0):
        call("git", "init", "--quiet")


def init_dvc():
    """Make the folder a DVC repository, below another git repository where it lies in one."""
    if Path(".dvc/config").is_file():
        return
    is_own = Path(git("rev-parse", "--show-toplevel").stdout.strip()).resolve() == Path.cwd()
    dvc = str(VENV / "bin" / "dvc")
    call(dvc, "init", "--quiet", "--force", *([] if is_own else ["--subdir"]))
    call(dvc, "config", "core.analytics", "false")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        stop("interrupted; the same command goes on from here")
    except OSError as error:
        stop("%s: %s. When that is cured, run the same command again." % (error.filename or "disk", error.strerror))
