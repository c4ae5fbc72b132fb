"""The second example: a real survey as text, its design, and one run of it end to end."""

import csv
import importlib.util
from collections import Counter
from pathlib import Path

import pytest
from conftest import Bake
from ftexp.data.held_out import TrainingSet, training_items
from ftexp.data.splits import Sources
from ftexp.ground.yamlfile import load_yaml
from helpers.experiments import make, results
from warm.environment import warm_environment

DATA = Path(__file__).resolve().parents[2] / "data"
RUNS = ["base_short", "base_prose", *(f"{style}_n{n}_s{s}" for style in ("short", "prose") for n in (160, 640) for s in (1, 2))]


def survey() -> list[dict[str, str]]:
    with (DATA / "survey.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_script_gives_the_committed_file_byte_for_byte(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_survey", DATA / "make_survey.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows = [module.respondent(number, codes) for number, codes in enumerate(module.read_source(), start=1)]
    module.write_rows(rows, tmp_path / "survey.csv")
    assert (tmp_path / "survey.csv").read_bytes() == (DATA / "survey.csv").read_bytes()


def test_the_words_of_a_respondent_are_those_of_the_sources_codes() -> None:
    from statsmodels.datasets import anes96

    source = anes96.load_pandas().data
    rows = survey()
    assert len(rows) == len(source) == 944
    for column, code, words in (
        ("party", 0, "strong Democrat"), ("party", 3, "independent"), ("party", 6, "strong Republican"),
        ("ideology", 1, "extremely liberal"), ("ideology", 4, "moderate"), ("ideology", 7, "extremely conservative"),
        ("education", 1, "grade school"), ("education", 5, "college"), ("education", 7, "PhD"),
        ("income", 1, "$0"), ("income", 2, "$3,000"), ("income", 18, "$40,000"), ("income", 24, "$105,000"),
        ("vote", 0, "Clinton"), ("vote", 1, "Dole"),
    ):
        codes = source[{"party": "PID", "ideology": "selfLR", "education": "educ"}.get(column, column)]
        assert [row[column] == words for row in rows] == list(codes == code), (column, code)
    assert [float(row["age"]) for row in rows] == list(source["age"])


def test_what_is_said_of_the_split_is_so() -> None:
    document = load_yaml(DATA / "survey.yaml")["data"]
    half = {**document, "source": str(DATA / "survey.csv"), "split": {"group": None, **document["split"]}}
    styles = load_yaml(DATA / "survey.yaml")["factors"]["prompt_style"].values()
    sources, templates = Sources(), tuple(style["prompt.user"] for style in styles)
    kept = training_items(sources, TrainingSet(half, templates, (half,)))
    test = sources.test_items(half)
    assert (len(kept.items), sum(kept.removed.values()), len(test)) == (657, 4, 283)
    votes = Counter(item["row"]["vote"] for item in test)
    assert votes == {"Clinton": 165, "Dole": 118}


def test_its_design_is_stamped_with_its_data(bake: Bake) -> None:
    folder = bake(experiment_name="mine", design=str(DATA / "survey.yaml"))
    with (folder / "runs.csv").open(encoding="utf-8", newline="") as file:
        assert [row["run"] for row in csv.DictReader(file)] == RUNS
    assert (folder / "data/raw/survey.csv").read_bytes() == (DATA / "survey.csv").read_bytes()


@pytest.mark.slow
def test_from_640_respondents_the_model_learns_more_than_the_majority_and_the_base_knows_nothing(bake: Bake) -> None:
    folder = bake(experiment_name="survey", design=str(DATA / "survey.yaml"))
    make(folder, "setup", f"VENV={warm_environment()}")
    make(folder, "all", "ONLY=base_short short_n160_s1 short_n640_s1")
    table = results(folder)
    scores = {run: float(table[run]["score"]) for run in ("base_short", "short_n160_s1", "short_n640_s1")}
    assert scores["base_short"] == 0 < scores["short_n160_s1"] < scores["short_n640_s1"] > 165 / 283
    assert {row["eval_status"] for run, row in table.items() if run not in scores} == {"ready", "waiting"}
    assert (folder / "report.html").is_file()
