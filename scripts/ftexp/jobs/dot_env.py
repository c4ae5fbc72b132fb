"""Secrets: lines of KEY=value in the git-ignored .env beside experiment.yaml, which jobs put into their environment.

Values are never printed, logged or copied; a message about the file names a line, and no more.
"""

import os
import re
import subprocess

from ftexp.ground import paths
from ftexp.ground.errors import Findings, UserError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_secrets() -> dict[str, str]:
    """What .env says, verbatim: `${...}` is no reference. Empty where there is no such file.

    Raises:
        UserError: If it cannot be read, with every line that is not of the form KEY=value.
    """
    from dotenv.parser import parse_stream

    try:
        with paths.DOT_ENV.open(encoding="utf-8") as file:
            bindings = list(parse_stream(file))
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise UserError(f"{paths.DOT_ENV}: not UTF-8 text, at byte {error.start}. Save it as UTF-8.") from None
    except OSError as error:
        raise UserError(f"{paths.DOT_ENV}: cannot be read: {error.strerror}. Make it a file that you can read.") from None
    found, secrets = Findings(str(paths.DOT_ENV)), dict[str, str]()
    for key, value, original, is_error in bindings:
        if is_error or (key is not None and (value is None or "\0" in value or not _NAME.fullmatch(key))):
            blank = len(original.string) - len(original.string.lstrip())  # a statement begins with the blank lines before it
            line = original.line + original.string[:blank].count("\n")
            cure = "Write one KEY=value a line; a value with quotes or '#' in it goes in quotes."
            found.add(f"line {line}", "is not of the form KEY=value", cure)
        elif key is not None and value is not None:
            secrets[key] = value
    found.raise_if_any()
    return secrets


def load_secrets() -> None:
    """Put what .env says into this process's environment; a variable that is set already stays.

    Raises:
        UserError: As `read_secrets`.
    """
    for name, value in read_secrets().items():
        os.environ.setdefault(name, value)


def check_secrets() -> list[str]:
    """Who else can read .env, as warnings."""
    if not paths.DOT_ENV.is_file():
        return []
    warnings = []
    mode = paths.DOT_ENV.stat().st_mode & 0o777
    if mode & 0o077:
        warnings.append(f"{paths.DOT_ENV}: others may read it (mode {mode:o}). Run: chmod 600 {paths.DOT_ENV}")
    listed = subprocess.run(["git", "ls-files", "--error-unmatch", str(paths.DOT_ENV)], capture_output=True, check=False)
    if listed.returncode == 0:
        what = "git tracks it, and whoever gets a commit gets the secrets"
        warnings.append(f"{paths.DOT_ENV}: {what}. Run: git rm --cached {paths.DOT_ENV}, and renew keys that were committed")
    return warnings
