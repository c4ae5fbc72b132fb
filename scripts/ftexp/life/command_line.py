"""What may stand on make's command line: the variables that a target's line in `make help` names as NAME=, and no others.

Called by scripts/command_line.mk as a program, which prints `ok` or what is wrong. Only the standard library, and Python 3.8's.
"""

import difflib
import re
import sys
from pathlib import Path

_LINE = re.compile(r"(?m)^([a-z][a-z-]*):.*?## (.*)$")
_NAME = re.compile(r"\b([A-Z][A-Z_]*)=")


def variables(makefile):
    """By target the variables that it reads, as its line says."""
    return {target: _NAME.findall(said) for target, said in _LINE.findall(Path(makefile).read_text(encoding="utf-8"))}


def forwarded(own, experiments):
    """The targets of the repository's Makefile, with those that it hands to an experiment's: these read EXP too."""
    return {**{target: [*names, "EXP"] for target, names in experiments.items()}, **own}


def mistake(targets, goals, said, empty):
    """What is wrong with these variables for these goals; None where nothing is.

    Args:
        targets: By target the variables that it reads.
        said: Names that stand on the command line.
        empty: Those of them that have no value.
    """
    goals = goals or ["help"]
    read = [name for goal in goals for name in targets.get(goal, [])]
    call = "make " + " ".join(goals)
    for name in said:
        users = [target for target, names in targets.items() if name in names]
        if not users:
            return "%s: is no variable of `%s`. %s" % (name, call, _suggestion(name, read, targets))
        if name not in read:
            return "%s: is not read by `%s`, but by make %s. Leave it out" % (name, call, ", ".join(users))
        if name in empty:
            return "%s: is empty. Give it a value, or leave it out" % name
    return None


def _suggestion(name, read, targets):
    known = dict.fromkeys([*read, *(other for names in targets.values() for other in names)])
    close = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.6)
    if close:
        return "Did you mean '%s'?" % close[0]
    return "It reads %s" % ", ".join(dict.fromkeys(read)) if read else "It reads none: leave it out"


def main(arguments):
    """Print the verdict on goals, names and names without a value, each a word with blanks between, by one or two Makefiles."""
    goals, said, empty = (word.split() for word in arguments[:3])
    tables = [variables(makefile) for makefile in arguments[3:]]
    targets = tables[0] if len(tables) == 1 else forwarded(*tables)
    print(mistake(targets, goals, said, empty) or "ok")


if __name__ == "__main__":
    main(sys.argv[1:])
