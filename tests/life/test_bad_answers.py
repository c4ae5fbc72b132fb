"""Answers that cannot be used: one message, and nothing written."""

from pathlib import Path

import pytest
from conftest import REPOSITORY, Bake
from cookiecutter.exceptions import FailedHookException
from helpers.baking import DESIGN, bake_by_command, files_in, write_words

BAD_ANSWERS: list[tuple[dict[str, str], str]] = [
    *(
        ({"experiment_name": name}, "experiment_name: must be a name of letters")
        for name in ("../x", "a b", "-x", "", ".", "..", ".hidden", "x" * 300, "a/b", "/tmp/x", "naïve", "a\nb", "$(id)", "~")
    ),
    ({"question": " "}, "experiment.yaml: question: must be a sentence"),
    ({"factors": "{lora_rank: [4"}, "factors: line 1, column"),
    ({"factors": "lora_rank"}, "factors: must be a mapping such as {lora_rank: [4, 16]"),
    ({"factors": ""}, "factors: must be a mapping such as"),
    ({"factors": "{lora_ranks: [4]}"}, "experiment.yaml: factors.lora_ranks: unknown factor. Did you mean 'lora_rank'?"),
    ({"factors": "{lora_rank: [4, 4]}"}, "experiment.yaml: factors.lora_rank: has the level 4 twice"),
    ({"factors": "{lora_rank: []}"}, "experiment.yaml: factors.lora_rank: must be a list of at least one level"),
    ({"factors": "{train_size: [99999]}"}, "experiment.yaml: no run is usable"),
    ({"data": "missing.json"}, "data: there is no file 'missing.json' (looked for "),
    ({"data": "x" * 300}, "data: there is no file 'xxx"),
    ({"data": "~nobody-of-this-name/x.json"}, "data: there is no file '~nobody"),
    ({"data": ""}, "data: there is no file ''"),
    (
        {"data": "words.jsonl"},
        "data: words.jsonl has no column 'input' and 'output'; it has word, capital. Write data=words.jsonl:INPUT_COLUMN",
    ),
    ({"data": "words.jsonl:word"}, "data: words.jsonl: column 'word' holds no conversation, a list of turns with role and"),
    ({"data": "words.jsonl:a:b:c"}, "data: must be FILE, FILE:INPUT_COLUMN:OUTPUT_COLUMN, or FILE:COLUMN for"),
    ({"data": "words.jsonl:word:capitals"}, "data: words.jsonl has no column 'capitals'"),
    ({"data": "empty.json"}, "data: empty.json has no rows"),
    ({"data": "broken.json"}, "broken.json: line 1: not readable as JSON"),
    ({"data": "broken.parquet"}, "broken.parquet: not readable as parquet"),
    ({"data": "text.txt"}, "text.txt: must be one of .json, .jsonl, .csv, .parquet"),
    ({"site": "locla"}, "site: there is no profile 'locla'. Did you mean 'local'?"),
    ({"site": "bad-site.yaml"}, "bad-site.yaml: acount: unknown key. Did you mean 'account'?"),
    ({"site": "bytes"}, "bytes: not UTF-8 text"),
    ({"model": "/no/such/model"}, "model: '/no/such/model' is no folder with a config.json"),
    ({"model": "../model"}, "model: '../model' is no folder with a config.json"),
    ({"model": ""}, "model: '' is no folder with a config.json"),
    ({"model": "x" * 300}, "model: 'xxx"),
    ({"design": "missing.yaml"}, "design: there is no file 'missing.yaml'"),
    ({"design": "facctorial"}, "design: there is no file 'facctorial'"),
    ({"design": "bytes"}, "bytes: not UTF-8 text, at byte 0"),
    ({"design": "design.yaml"}, "design: data: there is no file 'gone.json'"),
    ({"design": "bad-design.yaml"}, "bad-design.yaml: factors.lr: must be a number above 0"),
    ({"design": "design.yaml", "factors": "{lr: [1]}"}, "design: design.yaml says factors already. Leave the answer out"),
]


@pytest.fixture
def _bad_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "caller"
    write_words(folder)
    for name, content in {
        "empty.json": b"[]",
        "broken.json": b"[{",
        "broken.parquet": b"PAR1",
        "text.txt": b"",
        "bytes": b"\xff",
        "bad-site.yaml": b"acount: x\n",
        "design.yaml": DESIGN.replace("source: words.jsonl,", "source: gone.json,").encode(),
        "bad-design.yaml": DESIGN.replace("lora_rank: [4, 8]", "lr: [0]").encode(),
    }.items():
        (folder / name).write_bytes(content)
    monkeypatch.chdir(folder)


@pytest.mark.usefixtures("_bad_files")
@pytest.mark.parametrize(
    ("answers", "message"),
    BAD_ANSWERS,
    ids=[f"{k}={v[:20]!r}" for answers, _ in BAD_ANSWERS for k, v in [list(answers.items())[-1]]],
)
def test_a_bad_answer_ends_in_one_message_before_anything_is_written(
    answers: dict[str, str], message: str, bake: Bake, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FailedHookException) as error:
        bake(**answers)
    assert str(error.value).startswith("nothing was written\n") and message in str(error.value), error.value
    assert len(str(error.value).splitlines()) == 2  # "nothing was written", and the message
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("_bad_files")
def test_the_command_prints_the_message_without_a_traceback_and_exits_with_1(tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    result = bake_by_command(REPOSITORY, tmp_path / "caller", "experiment_name=../x")
    text = result.stdout + result.stderr
    assert result.returncode == 1
    assert "nothing was written\nexperiment_name: must be a name" in text and "Traceback" not in text
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_is_there_is_not_touched(bake: Bake, tmp_path: Path) -> None:
    from cookiecutter.exceptions import OutputDirExistsException

    mine = tmp_path / "baked" / "mine"
    mine.mkdir(parents=True)
    (mine / "experiment.yaml").write_text("precious")
    with pytest.raises(OutputDirExistsException):
        bake(experiment_name="mine")
    assert files_in(mine) == {"experiment.yaml"} and (mine / "experiment.yaml").read_text() == "precious"
