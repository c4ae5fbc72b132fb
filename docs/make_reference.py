"""Copies the demo's tables and plots to where the README shows them.

Reads demo/capitalization/{results.csv, effects.csv, report.html, figures/}. Writes docs/reference/ and, between the marks in
README.md, the table of results and the sentences that the report begins with.
Command: python docs/make_reference.py (the last step of the stage `reference` in dvc.yaml)
"""

import csv
import html
import re
import shutil
from pathlib import Path

DEMO = Path("demo/capitalization")
REFERENCE = Path("docs/reference")
FILES = ("results.csv", "effects.csv", "figures/effect-lora_rank.svg", "figures/effect-lr.svg", "figures/score-lora_rank.svg")
BEGIN, END = "<!-- table: docs/make_reference.py -->", "<!-- end of table -->"
COLUMNS = ("run", "n", "score", "score_se", "majority", "diff_control", "diff_control_se", "train_loss")


def main() -> None:
    """Copy tables and plots, and put table and sentences into the README."""
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(DEMO / name, REFERENCE / Path(name).name)
    table = markdown_table((DEMO / "results.csv").read_text(encoding="utf-8"))
    said = sentences((DEMO / "report.html").read_text(encoding="utf-8"))
    readme = Path("README.md")
    readme.write_text(with_results(readme.read_text(encoding="utf-8"), f"{table}\n\n{said}"), encoding="utf-8")


def markdown_table(results: str) -> str:
    """results.csv as a Markdown table, numbers to three decimals."""
    rows = list(csv.DictReader(results.splitlines()))
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "|".join("---" if c == "run" else "--:" for c in COLUMNS) + "|"]
    for row in rows:
        cells = [row[c] if c in ("run", "n") or not row[c] else f"{float(row[c]):.3f}" for c in COLUMNS]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def sentences(page: str) -> str:
    """The report's answers as a quotation."""
    found = re.findall(r'<(?:li class="(?:claim|open)"|p class="first")>(.*?)</(?:li|p)>', page)
    return "\n>\n".join("> " + html.unescape(text) for text in found)


def with_results(readme: str, results: str) -> str:
    """The README with the results between its marks."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{results}\n{END}{after}"


if __name__ == "__main__":
    main()
