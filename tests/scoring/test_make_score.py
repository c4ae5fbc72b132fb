"""`make score` on finished evaluations: what is new is judged, what is there is left alone, what did not come is asked again."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import score
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.scoring import graders, run_scores
from ftexp.scoring.score_files import ScoreFile, read_scores, score_file
from helpers.experiments import edit, tree
from helpers.fake_results import finish_eval, finish_training, ids, make_report, plan, read_csv
from helpers.tiny_models import make_tiny_model
from inspect_ai.model import ChatMessage, ModelAPI, ModelOutput, modelapi

EXPERIMENT = """\
experiment: caps
question: Does rank matter?
data: {source: data/raw/rows.jsonl, split: {train: 0.5, test: 0.5, seed: 0}}
prompt: {user: "say: {input}"}
factors: {lora_rank: [2, 4]}
constants: {model: tiny, batch_size: 2}
evaluation:
  max_tokens: 8
  tasks: {test: {}, again: {prompt.user: "again: {input}"}}
  scorers: [exact, f1]
"""
OWN = """
from inspect_ai.scorer import Score, scorer, mean

@scorer(metrics=[mean()])
def length(factor=1):
    async def score(state, target):
        row = state.metadata["row"]
        return Score(value=factor * len(state.output.completion), explanation=f"{row['note']} for {state.input_text}")
    return score
"""
ITEMS, RUNS, TASKS = 8, ("base", "r2", "r4"), ("test", "again")
FAILING: set[str] = set()
ASKED: list[str] = []


class Told(ModelAPI):
    """A grader that is at the address that site.yaml says, and does not answer some questions."""

    async def generate(self, input: list[ChatMessage], **_: Any) -> ModelOutput:
        ASKED.append(input[-1].text)
        assert self.base_url == "http://there/v1"
        if any(word in input[-1].text for word in FAILING):
            raise ConnectionError("nobody there")
        return ModelOutput.from_content("told", "As it should be.\nGRADE: C")


@modelapi(name="told")
def told() -> type[ModelAPI]:
    return Told


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs and a control that were asked two tasks; nothing is judged."""
    root = tmp_path_factory.mktemp("evaluated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        make_tiny_model(Path("models/tiny"), "qwen2", "chatml")
        make_tiny_model(Path("models/judge"), "llama3_2", "llama3")
        Path("data/raw").mkdir(parents=True)
        rows = [{"input": f"w{n}", "output": f"W{n}", "note": f"note {n}"} for n in range(2 * ITEMS)]
        Path("data/raw/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        Path("judged.py").write_text(OWN)
        plan(EXPERIMENT)
        for number, run in enumerate(ids()):
            if run != "base":
                finish_training(run)
            finish_eval(run, lambda i, k=number: i < 2 * k)  # type: ignore[misc]
    return root


@pytest.fixture
def judged(evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, the working folder, whose answers are judged."""
    monkeypatch.chdir(shutil.copytree(evaluated, tmp_path / "mine"))
    monkeypatch.delenv("DVC_ROOT", raising=False)
    FAILING.clear()
    assert score.main([]) == 0
    ASKED.clear()
    return Path.cwd()


def scores(task: str, run: str) -> ScoreFile:
    found = read_scores(score_file(task, run))
    assert found is not None
    return found


def all_scores() -> dict[tuple[str, str], ScoreFile]:
    return {(task, run): scores(task, run) for task in TASKS for run in RUNS}


def scorers(*names: str) -> None:
    """Let the answers be judged by these, too."""
    edit(paths.EXPERIMENT_YAML, "scorers: [exact, f1", "scorers: [exact, f1, " + ", ".join(names))


def no_log_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_scores, "read_answers", lambda *_, **__: pytest.fail("a log was read again"))


def test_every_answer_is_judged_by_every_scorer(judged: Path) -> None:
    for task in TASKS:
        for number, run in enumerate(RUNS):
            frame = scores(task, run).frame
            assert len(frame) == ITEMS and frame["exact"].sum() == 2 * number == (frame["f1"] == 1).sum()


def test_judged_once_there_is_nothing_to_do(judged: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = tree(Path("scores"))
    assert score.main([]) == 0 and tree(Path("scores")) == before
    assert capfd.readouterr().err == "score: nothing to do: 6 evaluations of tasks are judged\n"


@pytest.mark.parametrize(("scorer", "columns"), [
    ("ignore_case", {"ignore_case"}), ("judged.py@length", {"length", "length:says"}), ("{match: 'W(.*)'}", {"match"}),
])
def test_another_scorer_adds_its_columns_and_nothing_else_is_touched(
    scorer: str, columns: set[str], judged: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    before, runs = all_scores(), tree(Path("runs"))
    no_log_is_read(monkeypatch)
    scorers(scorer)
    capfd.readouterr()
    assert score.main([]) == 0 and tree(Path("runs")) == runs
    name = min(columns)
    assert capfd.readouterr().err.splitlines() == [f"score: {task}: {name}: 3 runs" for task in TASKS]
    for key, after in all_scores().items():
        assert set(after.frame) - set(before[key].frame) == columns
        pd.testing.assert_frame_equal(after.frame[list(before[key].frame)], before[key].frame)
        assert after.answers == before[key].answers and {**after.keys, **before[key].keys} == after.keys


def test_a_scorer_of_ones_own_sees_prompt_and_row_and_is_asked_again_when_its_file_is_edited(judged: Path) -> None:
    scorers("{judged.py@length: {factor: 3}}")
    assert score.main([]) == 0
    before = all_scores()
    frame = before["again", "base"].frame
    assert frame["length"].tolist() == [3 * len(answer) for answer in frame["completion"]]
    assert all(says.startswith("note ") and " for again: w" in says for says in frame["length:says"])
    edit(Path("judged.py"), "len(state.output.completion)", "(1 + len(state.output.completion))")
    assert score.main([]) == 0
    for key, after in all_scores().items():
        assert {name for name in after.frame if not after.frame[name].equals(before[key].frame[name])} == {"length"}
        assert (after.frame["length"] == before[key].frame["length"] + 3).all()
        assert {name for name in after.keys if after.keys[name] != before[key].keys[name]} == {"length"}


def test_a_scorer_that_cannot_be_used_is_one_message_and_what_was_judged_before_it_is_kept(judged: Path) -> None:
    before = all_scores()
    scorers("chrf", "judged.py@width")
    with pytest.raises(UserError, match=r"experiment\.yaml: evaluation\.scorers: judged\.py has no function width\. "):
        score.main([])
    after = all_scores()
    assert [key for key in after if "chrf" in after[key].frame] == [("test", "base")]
    for key, found in after.items():
        pd.testing.assert_frame_equal(found.frame.drop(columns="chrf", errors="ignore"), before[key].frame)


def test_what_a_grader_did_not_answer_is_a_gap_and_asked_again_alone(
    judged: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scorers("{model_graded_qa: {model: told/judge}}")
    paths.SITE_YAML.write_text("backend: local\ngraders: {told/judge: http://there/v1}\n")
    make_report()
    assert "not judged yet: `make score`" in reasons("model_graded_qa")
    no_log_is_read(monkeypatch)
    FAILING.update({"w1\n", "w2\n", "w3\n"})
    lost = sum(question.endswith(tuple(word.strip() for word in FAILING)) for question in prompts("test"))
    assert lost > 0
    capfd.readouterr()
    assert score.main([]) == 1 and len(ASKED) == ITEMS * len(RUNS) * len(TASKS)
    said = capfd.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("  ")] == [
        f"  {lost * len(RUNS)} answers not judged: {task}: ConnectionError: nobody there. To judge them again: make score"
        for task in TASKS
    ]
    before = all_scores()
    for found in before.values():
        frame = found.frame
        gaps = frame["model_graded_qa"].isna()
        assert gaps.sum() == lost and (frame.loc[gaps, "model_graded_qa:why"] == "ConnectionError: nobody there").all()
        assert (frame.loc[~gaps, "model_graded_qa"] == 1).all()
        assert (frame.loc[~gaps, "model_graded_qa:says"] == "As it should be.\nGRADE: C").all()
    make_report()
    assert f"{lost} answers have no model_graded_qa: ConnectionError" in reasons("model_graded_qa")
    FAILING.clear()
    ASKED.clear()
    assert score.main([]) == 0 and len(ASKED) == lost * len(RUNS) * len(TASKS)
    for key, found in all_scores().items():
        assert (found.frame["model_graded_qa"] == 1).all() and "model_graded_qa:why" not in found.frame
        others = [name for name in before[key].frame if not name.startswith("model_graded_qa")]
        pd.testing.assert_frame_equal(found.frame[others], before[key].frame[others])
    make_report()
    assert reasons("model_graded_qa") == ""


def prompts(task: str) -> list[str]:
    """What the items of a task were asked."""
    [file] = Path("data/splits").glob("*/test.jsonl")
    return [json.loads(line)["row"]["input"] for line in file.read_text().splitlines()]


def reasons(metric: str) -> str:
    """What results.csv says of why a metric has no value."""
    return "; ".join(sorted({row["reason"] for row in read_csv(paths.RESULTS_CSV) if row["metric"] == metric} - {""}))


def test_a_grader_in_models_is_asked_by_our_own_provider(judged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graders, "MOST_TOKENS", 4)
    graders._in_models.cache_clear()
    edit(paths.EXPERIMENT_YAML, "again: {prompt", "again: {scorers: [exact, {model_graded_qa: {model: judge}}], prompt")
    assert score.main([]) == 0
    for run in RUNS:
        frame = scores("again", run).frame
        assert np.isnan(frame["model_graded_qa"]).all() and set(frame["model_graded_qa:why"]) == {"the grader gave no grade"}
        assert all(frame["model_graded_qa:says"]) and "model_graded_qa" not in scores("test", run).frame
    known = tree(Path("scores"))
    assert score.main([]) == 0 and tree(Path("scores")) == known  # what a grader said is final, a grade or none


def test_only_some_runs_are_judged_where_a_person_says_so(judged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorers("chrf")
    monkeypatch.setenv("ONLY", "r*")
    assert score.main([]) == 0
    judged_by_it = {key for key, found in all_scores().items() if "chrf" in found.frame}
    assert judged_by_it == {(task, run) for task in TASKS for run in ("r2", "r4")}


def test_other_answers_are_judged_anew_and_those_of_other_runs_are_not(judged: Path) -> None:
    before = all_scores()
    finish_eval("r2", lambda i: True)
    assert score.main([]) == 0
    assert scores("test", "r2").frame["exact"].sum() == ITEMS
    for key in ((task, run) for task in TASKS for run in ("base", "r4")):
        pd.testing.assert_frame_equal(scores(*key).frame, before[key].frame)


def test_a_file_of_scores_that_is_cut_short_is_made_again(judged: Path) -> None:
    path = score_file("test", "r2")
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert score.main([]) == 0 and path.read_bytes() == whole
