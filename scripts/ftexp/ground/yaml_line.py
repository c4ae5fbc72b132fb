"""A value as YAML on one line, which reads back as that value: what a person answers is written into a file by this."""

import re
from typing import Any

from ftexp.ground.yamlfile import dump_yaml, parse_yaml

_PLAIN = re.compile(r"[A-Za-z0-9][^:#{}\[\],&*!|>'\"%@`?]*")
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def yaml_line(value: Any) -> str:
    """A value of mappings, lists, texts, numbers, dates, truth values and null as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{yaml_line(key)}: {yaml_line(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(yaml_line, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    return dump_yaml(value).replace("\n...", "").strip()


def _text(value: str) -> str:
    """A text: plain where it reads back as itself, else in double quotes, all that has no picture of its own by its number."""
    if _PLAIN.fullmatch(value) and value.isprintable() and parse_yaml(value, "text") == value:
        return value
    return '"' + "".join(_SHORT.get(char) or (char if char.isprintable() else _by_number(char)) for char in value) + '"'


def _by_number(char: str) -> str:
    number = ord(char)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
