"""Where in a bash text a character stands: plain, in quotes, in a comment, in a here-document."""

import functools
import re

_HERE = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_NAMES = {"'": "quotes", '"': "quotes", "`": "quotes", "$(": "plain"}


@functools.lru_cache(maxsize=4)  # one template makes the scripts of a thousand runs
def shell_contexts(text: str) -> tuple[str, ...]:
    """Per character its context: plain, comment, quotes (of the three kinds) or a here-document.

    `$(` begins a plain context of its own, in double quotes too, as bash has it; `${` does not.
    """
    contexts: list[str] = []
    stack = ["plain"]
    position, delimiters = 0, list[str]()
    while position < len(text):
        if delimiters and (position == 0 or text[position - 1] == "\n"):
            position = _here_document(text, position, delimiters.pop(0), contexts)
            continue
        here = _HERE.match(text, position) if stack[-1] in ("plain", "$(") and text[position - 1 : position] != "<" else None
        if here and text[here.start() : here.start() + 3] != "<<<":
            delimiters.append(here[2])
            contexts += ["plain"] * (here.end() - position)
            position = here.end()
            continue
        taken = _step(text, position, stack)
        contexts += [_NAMES.get(stack[-1], stack[-1])] * taken
        position += taken
    return tuple(contexts)


def _step(text: str, position: int, stack: list[str]) -> int:
    """Read what stands at `position`, changing the stack of contexts; return how many characters that was."""
    here, top = text[position], stack[-1]
    if top == "comment":
        if here == "\n":
            stack.pop()
    elif top == "'":
        if here == "'":
            stack.pop()
    elif here == "\\":
        return min(2, len(text) - position)
    elif here == top or (top == "$(" and here == ")"):
        stack.pop()
    elif text.startswith("$(", position):
        stack.append("$(")
        return 2
    elif here == "`" or (here in "'\"" and top != '"'):
        stack.append(here)
    elif here == "#" and top in ("plain", "$(") and (position == 0 or text[position - 1] in " \t\n;|&("):
        stack.append("comment")
    return 1


def _here_document(text: str, position: int, delimiter: str, contexts: list[str]) -> int:
    """Read up to the line that ends a here-document; return where it ends."""
    match = re.compile(rf"^\t*{re.escape(delimiter)}$", re.MULTILINE).search(text, position)
    end = match.end() if match else len(text)
    contexts += ["a here-document"] * (end - position)
    return end
