"""The text of an eval.py: a file of Python for any tasks, of which what one asking follows from is its own part."""

import ast
import builtins
from typing import Any

import pytest
from ftexp.design.evaluation_section import check_evaluation
from ftexp.design.run import Run
from ftexp.evaluation.eval_file import eval_text, text_of_asking
from ftexp.ground.errors import Findings
from helpers.runs import a_run

QUOTES = 'say: {input} \'"""\' \\ {"ä"}\n'
KINDS: dict[str, dict[str, Any]] = {
    "test": {},
    "sampled": {"temperature": 0.7, "top_p": 0.9, "seed": 3, "epochs": 2, "max_tokens": 5},
    "foreign-rows": {
        "data": "data/raw/it.csv", "input": "name", "output": "gender", "prompt.system": "Rispondi.", "prompt.user": QUOTES,
    },
    "pick": {"choices": ["yes", 'n"o']},
    "vote": {"choices": "options"},
    "letters": {"data": "data/raw/letters.jsonl", "document": "text"},
    "arc": {"inspect": "tasks/arc.py@arc_easy", "args": {"limit": 2, "name": QUOTES}},
    "installed": {"inspect": "package/task"},
}


def run_of(tasks: dict[str, dict[str, Any]], **given: Any) -> Run:
    """A run that is asked these tasks, by the rules of experiment.yaml."""
    found = Findings("experiment.yaml")
    checked = check_evaluation(found, {"tasks": tasks, **given}, {})
    found.raise_if_any()
    return a_run("r4", settings={"model": "tiny", "dtype": "fp32"}, tasks=checked.tasks)


@pytest.mark.parametrize("scorers", [["exact"], ["exact", "perplexity"]], ids=["plain", "with references"])
@pytest.mark.parametrize("names", [*([name] for name in KINDS), list(KINDS)], ids=lambda names: "+".join(names))
def test_it_compiles_and_imports_what_it_names_and_no_more(names: list[str], scorers: list[str]) -> None:
    of_answers = {} if names == ["letters"] else {"scorers": scorers}  # documents have no answers
    run = run_of({name: KINDS[name] for name in names}, **of_answers)
    tree = ast.parse(eval_text(run))
    compile(tree, "eval.py", "exec")
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = [alias.name for node in imports for alias in node.names]
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    own = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)} | {"RUN", "date"}
    assert len(set(imported)) == len(imported) and set(imported) <= named
    assert named <= {*imported, *own, *dir(builtins), "__file__"}


def test_every_asking_is_a_task_of_its_own_by_its_name() -> None:
    run = run_of(KINDS, scorers=["exact", "perplexity"])
    tree = ast.parse(eval_text(run))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list]
    said = [ast.literal_eval(node.decorator_list[0].keywords[0].value) for node in functions]  # type: ignore[attr-defined]
    assert said == list(run.askings) and len({node.name for node in functions}) == len(said) == 13


def test_texts_of_a_person_come_through_whole() -> None:
    text = eval_text(run_of(KINDS))
    constants = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    assert constants.count(QUOTES) == 2 and 'n"o' in constants


@pytest.mark.parametrize("name", KINDS)
def test_what_an_asking_follows_from_is_no_other_task_and_no_judgement(name: str) -> None:
    alone = run_of({name: KINDS[name]})
    others = {other: KINDS[other] for other in KINDS if other != name}
    judged = {"scorers": ["exact", "f1", "perplexity", {"semscore": {"model": "bert"}}], "metrics": ["macro_f1"]}
    text = text_of_asking(eval_text(alone), name)
    for run in (run_of({name: KINDS[name], **others}), run_of({**others, name: KINDS[name]}, **judged)):
        assert text_of_asking(eval_text(run), name) == text
    changed = [
        a_run("r5", settings=alone.settings, tasks=alone.tasks),
        a_run("r4", settings={**alone.settings, "dtype": "bf16"}, tasks=alone.tasks),
        a_run("r4", settings=alone.settings, tasks=alone.tasks, prompt={**alone.prompt, "date": "2002-02-02"}),
        a_run("r4", settings={**alone.settings, "model": "other"}, tasks=alone.tasks),
    ]
    for run in changed:
        assert text_of_asking(eval_text(run), name) != text


def test_a_file_without_the_asking_says_so() -> None:
    with pytest.raises(ValueError, match=r"has no task named 'more'"):
        text_of_asking(eval_text(run_of(KINDS)), "more")
