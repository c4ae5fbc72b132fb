"""Turn the 1996 American National Election Study into text: who a respondent is, and whom they expected to vote for.

Reads:   anes96.csv of the installed package statsmodels (944 respondents, codes; its NOTE explains them)
Writes:  data/survey.csv (id, party, ideology, age, education, income, profile, vote; one respondent a row, in the source's order)
Command: python data/make_survey.py
"""

import csv
import io
import os
from importlib.resources import files
from pathlib import Path

SURVEY_PATH = Path(__file__).resolve().parent / "survey.csv"
NUM_RESPONDENTS = 944
VOTES = ("Clinton", "Dole")
PARTIES = (
    "strong Democrat", "weak Democrat", "independent leaning Democrat", "independent", "independent leaning Republican",
    "weak Republican", "strong Republican",
)
IDEOLOGIES = (
    "extremely liberal", "liberal", "slightly liberal", "moderate", "slightly conservative", "conservative",
    "extremely conservative",
)
EDUCATIONS = ("grade school", "some high school", "high school", "some college", "college", "master's", "PhD")
# Lower ends of income codes 1 to 24, in dollars a year.
INCOMES = (
    0, 3000, 5000, 7000, 9000, 10000, 11000, 12000, 13000, 14000, 15000, 17000, 20000, 22000, 25000, 30000, 35000, 40000, 45000,
    50000, 60000, 75000, 90000, 105000,
)
COLUMNS = ("id", "party", "ideology", "age", "education", "income", "profile", "vote")


def read_source() -> list[dict[str, int]]:
    """Returns the codes of every respondent, under the source's names.

    Raises:
        ValueError: If there are not as many respondents as there were.
    """
    text = files("statsmodels.datasets.anes96").joinpath("anes96.csv").read_text(encoding="ascii")
    header, *lines = text.splitlines()
    names = [name.strip("'") for name in header.split()]
    rows = [dict(zip(names, map(int, line.split()), strict=True)) for line in lines if line.strip()]
    if len(rows) != NUM_RESPONDENTS:
        raise ValueError(f"anes96.csv: must have {NUM_RESPONDENTS} respondents, got {len(rows)}")
    return rows


def respondent(number: int, codes: dict[str, int]) -> dict[str, str]:
    """A respondent's row; `profile` is all that is said of them, terse."""
    said = {
        "party": PARTIES[codes["PID"]], "ideology": IDEOLOGIES[codes["selfLR"] - 1], "age": str(codes["age"]),
        "education": EDUCATIONS[codes["educ"] - 1], "income": f"${INCOMES[codes['income'] - 1]:,}",
    }
    return {"id": str(number), **said, "profile": ", ".join(said.values()), "vote": VOTES[codes["vote"]]}


def write_rows(rows: list[dict[str, str]], path: Path) -> None:
    """Writes the rows as CSV, aside first, so that no half of it is ever taken for the whole."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    aside_path = path.with_suffix(".partial")
    aside_path.write_text(text.getvalue(), encoding="ascii")
    os.replace(aside_path, path)


def main() -> None:
    write_rows([respondent(number, codes) for number, codes in enumerate(read_source(), start=1)], SURVEY_PATH)


if __name__ == "__main__":
    main()
