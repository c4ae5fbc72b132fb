"""What a person answers arrives in experiment.yaml unchanged, or nothing is written."""

from pathlib import Path
from typing import Any

import pytest
from conftest import Bake
from ftexp.design.spec import read_experiment
from ftexp.ground.errors import UserError
from ftexp.ground.yaml_line import yaml_line
from ftexp.ground.yamlfile import load_yaml, parse_yaml
from ftexp.life.written_answers import require_written
from helpers.baking import DESIGN, write_words
from hypothesis import example, given, settings
from hypothesis import strategies as st

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.text(
    st.sampled_from("a \n\t\r\"'\\{}%#:,-?|>&*!@`\x85\u2028\u2029\ufeff\x00é\u0301"), max_size=12
)
VALUES = st.recursive(
    TEXTS | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8,
)


@settings(deadline=None)
@example("0?")  # within brackets a question mark ends a plain text
@example({"": "a?"})
@given(VALUES)
def test_a_value_on_one_line_of_yaml_reads_back_as_itself_at_every_place_of_a_file(value: Any) -> None:
    line = yaml_line(value)
    assert len(line.splitlines()) <= 1
    for text in (f"a: {line}", f"a: {line}    # a remark\nb: 1", f"- [{line}, 1]", f"a: {{b: {line}, c: 1}}"):
        read = parse_yaml(text, "x.yaml")
        while isinstance(read, dict | list) and read is not value and repr(read) != repr(value):
            read = read["a" if "a" in read else "b"] if isinstance(read, dict) else read[0]
        assert repr(read) == repr(value)


PROMPTS = [
    "Question: {input}\nAnswer:", "ab -> AB\n\ncd -> CD\n\n{input} ->", "  {input}\t\n", '"{input}" \'x\' \\n',
    "{input}: #1 - [x], {{}}",
    "\u2028{input}\x85", 'Write {{"a": 1}} or {{{{b}}}} for {input}', "{input} {{% if x %}} {{# a #}}", "é e\u0301 {input}",
]


def test_prompts_of_a_factor_are_the_prompts_that_were_answered(bake: Bake) -> None:
    levels = {f"p{number}": {"prompt.user": text, "prompt.system": text} for number, text in enumerate(PROMPTS)}
    folder = bake(factors=yaml_line({"wording": levels, "seed": [1]}))
    assert load_yaml(folder / "experiment.yaml")["factors"]["wording"] == levels
    read = {level.label: level.sets for level in read_experiment(folder / "experiment.yaml").factors["wording"]}
    assert read == levels


def test_a_block_of_lines_in_the_answer_keeps_its_lines(bake: Bake) -> None:
    folder = bake(factors="wording:\n  asked:\n    prompt.user: |\n      Question: {input}\n\n      Answer:\nseed: [1]\n")
    asked = load_yaml(folder / "experiment.yaml")["factors"]["wording"]["asked"]
    assert asked == {"prompt.user": "Question: {input}\n\nAnswer:\n"}


def test_a_data_file_and_columns_of_any_name_are_those_that_were_answered(
    bake: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "my {{ data }} #1: é.csv"
    Path(name).write_text("the\u2028word,{{b}}\n" + "".join(f"w{n},W{n}\n" for n in range(40)), encoding="utf-8")
    data = read_experiment(bake(data=f"{name}:the\u2028word:{{{{b}}}}") / "experiment.yaml").data
    assert (data["source"], data["input"], data["output"]) == (f"data/raw/{name}", "the\u2028word", "{{b}}")


def test_texts_of_a_given_design_stay_and_only_its_name_and_files_change(
    bake: Bake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_words(tmp_path)
    monkeypatch.chdir(tmp_path)
    prompts = "prompt:\n  user: |\n    few.jsonl: {input}\n\n    A:\n  system: \"two\\nlines\"\n"
    Path("design.yaml").write_text(DESIGN + prompts)
    written = load_yaml(bake(design="design.yaml", experiment_name="n") / "experiment.yaml")
    given_design = load_yaml(Path("design.yaml"))
    assert written["prompt"] == given_design["prompt"] == {"user": "few.jsonl: {input}\n\nA:\n", "system": "two\nlines"}
    assert written["data"]["source"] == "data/raw/words.jsonl" and written["question"] == given_design["question"]


def test_what_would_be_read_back_otherwise_is_not_written() -> None:
    with pytest.raises(UserError, match="question: cannot be written to experiment.yaml as it is: 'a b' would be read back as"):
        require_written("question: a", "experiment.yaml", {"question": (("question",), "a b")})
