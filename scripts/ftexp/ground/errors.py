"""A user's mistake is one message; anything else is a bug and keeps its traceback."""

import difflib
import errno
import os
import re
import sys
from collections.abc import Callable, Iterable

from ftexp.ground.normal_forms import alike, difference

# Characters of one part of a message.
_LONGEST = 600


class UserError(Exception):
    """A mistake that the user can cure. The text follows `<file>: <key>: <what>, got <value>. <cure>.`"""


class Findings:
    """Mistakes gathered so that all of them are reported at once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.messages: list[str] = []

    def add(self, key: str, what: str, cure: str = "") -> None:
        """Add one finding: `key` is a dotted path in the file, `cure` says what to do."""
        where = f"{self.file}: {one_line(key)}: " if key else f"{self.file}: "
        self.messages.append(f"{where}{one_line(what)}." + (f" {one_line(cure)}" if cure else ""))

    def unknown(self, key: str, known: Iterable[str], noun: str = "key") -> None:
        """Add an unknown key, and name the nearest valid one."""
        self.add(key, f"unknown {noun}", suggestion(re.split(r"[.{]", key.rstrip("}"))[-1], known))

    def raise_if_any(self) -> None:
        """Raise one `UserError` with every message.

        Raises:
            UserError: If anything was found.
        """
        if self.messages:
            raise UserError("\n".join(self.messages))


def one_line(text: str) -> str:
    """A user's text as a message shows it: on one line, nothing that a terminal obeys, its middle left out where it is long."""
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST * 3 // 4]} ... {text[-_LONGEST // 4 :]}"
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def sentence(text: str) -> str:
    """A message with one full stop at its end."""
    return text if text.endswith(("?", "...")) else f"{text.rstrip('.')}."


def suggestion(word: str, known: Iterable[str]) -> str:
    """The nearest valid word, or the list of them where none is near."""
    names = list(known)
    other = alike(word, names)
    if other is not None:
        return f"'{other}' {difference(word, other)}."
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Valid here: {', '.join(names)}." if names else "None is valid here."


_CURES = {
    errno.ENOSPC: "Make room on this file system", errno.EDQUOT: "Make room, or ask for a larger quota",
    errno.EACCES: "Get the permission", errno.EROFS: "Make the file system writable",
}


def of_the_system(error: OSError, where: str = "disk") -> str | None:
    """The message for what the system refused and a person can cure (no room, no permission); None for any other error.

    Args:
        where: What to name where the error names no file, as one from a stream does.
    """
    if error.errno not in _CURES:
        return None
    return f"{error.filename or where}: {error.strerror}. {_CURES[error.errno]}, and run the same command again."


def run_command(main: Callable[[list[str]], int]) -> None:
    """Run a stage's `main(arguments)` and exit: 0 done, 1 the user's mistake, 130 interrupted."""
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except UserError as error:
        print(error, file=sys.stderr)
        code = 1
    except BrokenPipeError:  # `| head`, which has read enough; what is still to be printed goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except OSError as error:
        message = of_the_system(error)
        if message is None:
            raise
        print(message, file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        code = 130
    sys.exit(code)
