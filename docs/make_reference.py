"""Copies the demo's table and plots to where the README shows them.

Reads demo/capitalization/{results.csv, report.html}. Writes docs/reference/{results.csv, lora_rank.svg, lr.svg} and the
table between the marks in README.md.
Command: python docs/make_reference.py (the last step of the stage `reference` in dvc.yaml)
"""

import csv
import re
from pathlib import Path

DEMO = Path("demo/capitalization")
REFERENCE = Path("docs/reference")
BEGIN, END = "<!-- table: docs/make_reference.py -->", "<!-- end of table -->"
COLUMNS = ("run", "n", "score", "score_se", "diff_control", "diff_control_se", "train_loss")


def main() -> None:
    """Copy table and plots, and put the table into the README."""
    REFERENCE.mkdir(parents=True, exist_ok=True)
    text = (DEMO / "results.csv").read_text(encoding="utf-8")
    (REFERENCE / "results.csv").write_text(text, encoding="utf-8")
    svgs = re.findall(r"<svg.*?</svg>", (DEMO / "report.html").read_text(encoding="utf-8"), flags=re.DOTALL)
    for name, svg in zip(("lora_rank", "lr"), svgs, strict=False):
        (REFERENCE / f"{name}.svg").write_text(standalone(svg), encoding="utf-8")
    readme = Path("README.md")
    readme.write_text(with_table(readme.read_text(encoding="utf-8"), markdown_table(text)), encoding="utf-8")


def standalone(svg: str) -> str:
    """An SVG out of a page as a file of its own, on white."""
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" style="background: white"'
    return svg.replace("<svg ", f"<svg {spaces} ", 1) + "\n"


def markdown_table(results: str) -> str:
    """results.csv as a Markdown table, numbers to three decimals."""
    rows = list(csv.DictReader(results.splitlines()))
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "|".join("---" if c == "run" else "--:" for c in COLUMNS) + "|"]
    for row in rows:
        cells = [row[c] if c in ("run", "n") or not row[c] else f"{float(row[c]):.3f}" for c in COLUMNS]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def with_table(readme: str, table: str) -> str:
    """The README with the table between its marks."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


if __name__ == "__main__":
    main()
