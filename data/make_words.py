"""Draw the demo's words: each English word in lower case, and the same word in capitals.

Reads:   data/scowl/american-english.txt (one word of 4 to 8 letters a line, sorted)
Writes:  data/words.json (a list of {"input": "ribbon", "output": "RIBBON"}, in alphabetical order)
Command: python data/make_words.py
"""

import json
import os
import random
from pathlib import Path

DATA_DIR = Path(__file__).resolve().parent
SOURCE_PATH = DATA_DIR / "scowl" / "american-english.txt"
WORDS_PATH = DATA_DIR / "words.json"
NUM_WORDS = 2500
SEED = 1


def read_source(path: Path) -> list[str]:
    """Returns the words of the source list; none occurs twice.

    Raises:
        ValueError: If a line is not 4 to 8 lower-case ASCII letters, or occurs twice.
    """
    words = path.read_text(encoding="ascii").split()
    bad = [word for word in words if not (word.isalpha() and word.islower() and 4 <= len(word) <= 8)]
    if bad:
        raise ValueError(f"{path.name}: not 4 to 8 lower-case letters: {bad[:5]}")
    if len(set(words)) < len(words):
        raise ValueError(f"{path.name}: a word occurs twice")
    return words


def draw_rows(words: list[str]) -> list[dict[str, str]]:
    """Returns NUM_WORDS rows drawn without replacement, sorted by input."""
    drawn = random.Random(SEED).sample(words, NUM_WORDS)
    return [{"input": word, "output": word.upper()} for word in sorted(drawn)]


def write_rows(rows: list[dict[str, str]], path: Path) -> None:
    """Writes one row a line, so that a change shows as a change of lines."""
    lines = ",\n".join(json.dumps(row) for row in rows)
    aside_path = path.with_suffix(".partial")
    aside_path.write_text(f"[\n{lines}\n]\n", encoding="ascii")
    os.replace(aside_path, path)


def main() -> None:
    write_rows(draw_rows(read_source(SOURCE_PATH)), WORDS_PATH)


if __name__ == "__main__":
    main()
