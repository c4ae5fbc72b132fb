"""The evaluation section: tasks, scorers in each notation, metrics, matrix, primary; every mistake is one clear message."""

from typing import Any

import pytest
from ftexp.design.evaluation_section import Evaluation, Judging, check_evaluation
from ftexp.design.judging import METRICS, SCORERS, Scorer, check_scorers
from ftexp.design.spec import check_experiment
from ftexp.ground.errors import Findings, UserError
from ftexp.ground.yamlfile import parse_yaml

DOCUMENT = """\
experiment: e
data: {source: a.json}
factors: {corpus: {A: {lr: 1e-4}, B: {lr: 1e-3}}, lora_rank: [2, 16]}
constants: {model: tiny}
evaluation:
"""


def read(text: str) -> Evaluation:
    """The evaluation section of this text, the rest of the experiment around it."""
    lines = "".join(f"  {line}\n" for line in text.splitlines())
    return check_experiment(parse_yaml(DOCUMENT + lines, "experiment.yaml"), "experiment.yaml").evaluation


def mistakes(text: str) -> list[str]:
    with pytest.raises(UserError) as refused:
        read(text)
    return str(refused.value).splitlines()


def test_without_a_section_there_is_one_task_judged_by_equality() -> None:
    wanted = {"test": {"kind": "answer", "prompt": {}, "max_tokens": 64}}
    judging = {"test": Judging((Scorer("exact", "exact"),), (), "none", None, ())}
    assert read("max_tokens: 64") == check_evaluation(Findings("x"), {}, {}) == Evaluation(wanted, judging, (), ("test", "exact"))


def test_a_task_may_have_each_of_its_keys() -> None:
    found = read("""\
max_tokens: 8
scorers: [exact]
tasks:
  test:
  italian: {data: data/raw/it.csv, input: name, output: gender, max_tokens: 4, cluster: who, groups: [place]}
  polite: {prompt.user: "Please: {input}", prompt.system: Be kind., prompt.date: 2024-02-03, scorers: [f1], metrics: [macro_f1]}
  drawn: {temperature: 1, top_p: 0.9, seed: 3, epochs: 5}
  stance: {choices: [agree, disagree], normalization: bytes, metrics: [brier]}
  listed: {choices: options, data: o.json}
  text: {document: body, data: d.jsonl}
  arc: {inspect: tasks/arc.py@arc_easy, args: {limit: 200, deep: {a: [1, null]}}, max_tokens: 99}
  evals: {inspect: inspect_evals/arc_easy}""")
    answer = {"kind": "answer", "prompt": {}, "max_tokens": 8}
    assert found.tasks == {
        "test": answer,
        "italian": {**answer, "data": {"data": "data/raw/it.csv", "input": "name", "output": "gender"}, "max_tokens": 4},
        "polite": {**answer, "prompt": {"system": "Be kind.", "user": "Please: {input}", "date": "2024-02-03"}},
        "drawn": {**answer, "temperature": 1.0, "top_p": 0.9, "seed": 3, "epochs": 5},
        "stance": {"kind": "options", "prompt": {}, "choices": ["agree", "disagree"]},
        "listed": {"kind": "options", "prompt": {}, "data": {"data": "o.json"}, "choices": "options"},
        "text": {"kind": "document", "prompt": {}, "data": {"data": "d.jsonl"}, "document": "body"},
        "arc": {
            "kind": "inspect", "inspect": "tasks/arc.py@arc_easy", "args": {"limit": 200, "deep": {"a": [1, None]}},
            "max_tokens": 99,
        },
        "evals": {"kind": "inspect", "inspect": "inspect_evals/arc_easy", "args": {}, "max_tokens": 8},
    }
    exact, perplexity = Scorer("exact", "exact"), Scorer("perplexity", "perplexity")
    assert found.judging["italian"] == Judging((exact,), (), "none", "who", ("place",))
    assert found.judging["polite"] == Judging((Scorer("f1", "f1"),), ("macro_f1",), "none", None, ())
    assert found.judging["stance"] == Judging((exact,), ("brier",), "bytes", None, ())
    assert found.judging["text"] == Judging((perplexity,), (), "none", None, ()), "of a text nothing else can be said"
    assert found.judging["arc"] == Judging((), (), "none", None, ()), "its scorers are its own"
    assert found.own_files == ["tasks/arc.py"]


def test_a_task_has_what_the_section_says_unless_it_says_otherwise() -> None:
    found = read("""\
max_tokens: 8
temperature: 0.7
epochs: 3
scorers: [ignore_case]
metrics: [mcc]
normalization: characters
cluster: who
groups: [place]
tasks:
  as_all: {}
  greedy: {temperature: 0}
  warmer: {temperature: 2, scorers: [exact], metrics: [], cluster: null, groups: []}
  chosen: {choices: [a, b], normalization: none}""")
    assert found.tasks["as_all"] == {
        "kind": "answer", "prompt": {}, "max_tokens": 8, "temperature": 0.7, "top_p": 1.0, "seed": 0, "epochs": 3,
    }
    assert found.tasks["greedy"] == {"kind": "answer", "prompt": {}, "max_tokens": 8}
    assert (found.tasks["warmer"]["temperature"], found.tasks["warmer"]["epochs"]) == (2.0, 3)
    own = Scorer("ignore_case", "ignore_case")
    assert found.judging["as_all"] == Judging((own,), ("mcc",), "characters", "who", ("place",))
    assert found.judging["warmer"] == Judging((Scorer("exact", "exact"),), (), "characters", None, ())
    assert found.judging["chosen"].normalization == "none"
    assert found.metrics == ["ignore_case", "mcc", "exact"]


def test_what_only_one_task_draws_the_section_may_say_for_it() -> None:
    found = read("epochs: 3\ntasks: {test: {}, drawn: {temperature: 1}}")
    assert "epochs" not in found.tasks["test"] and found.tasks["drawn"]["epochs"] == 3


@pytest.mark.parametrize(("said", "is_asked"), [
    ("scorers: [exact, perplexity]", True), ("scorers: [exact]\nmetrics: [bits_per_byte]", True), ("scorers: [f1]", False),
    ("tasks: {test: {scorers: [perplexity]}}", True), ("tasks: {test: {choices: [a, b], metrics: [bits_per_byte]}}", True),
    ("scorers: [perplexity]\ntasks: {test: {scorers: [exact]}}", False),
])
def test_the_likelihood_of_the_references_is_asked_only_where_something_is_judged_by_it(said: str, is_asked: bool) -> None:
    assert read(said).tasks["test"].get("reference", False) is is_asked


EMBEDDED = {"model": "all-mpnet-base-v2", "compare": "continuation"}
NOTATIONS: list[tuple[Any, Scorer]] = [
    *((name, Scorer(name, name, dict(kind.options))) for name, kind in SCORERS.items() if ... not in kind.options.values()),
    ({"match": r"[-+]?\d+"}, Scorer("match", "match", {"pattern": r"[-+]?\d+", "which": "first"})),
    ({"match": {"pattern": "a(b)", "which": "last", "name": "ab"}}, Scorer("ab", "match", {"pattern": "a(b)", "which": "last"})),
    ({"numeric": 0.5}, Scorer("numeric", "numeric", {"tolerance": 0.5, "which": "first"})),
    ({"includes": {"ignore_case": True, "name": "held"}}, Scorer("held", "includes", {"ignore_case": True})),
    ({"exact": None}, Scorer("exact", "exact")),
    ({"semscore": {"model": "all-mpnet-base-v2"}}, Scorer("semscore", "semscore", EMBEDDED)),
    ({"semscore": {"model": "m", "compare": "text"}}, Scorer("semscore", "semscore", {"model": "m", "compare": "text"})),
    (
        {"model_graded_qa": {"model": "judge", "instructions": "Be strict."}},
        Scorer("model_graded_qa", "model_graded_qa", {
            "model": "judge", "template": None, "instructions": "Be strict.", "partial_credit": False,
        }),
    ),
    ("judged.py@tone", Scorer("tone", "own", {"file": "judged.py", "function": "tone"})),
    ({"lib/judged.py@tone": {"name": "mood", "pattern": 5}},
     Scorer("mood", "own", {"file": "lib/judged.py", "function": "tone", "pattern": 5})),
]


@pytest.mark.parametrize(("entry", "wanted"), NOTATIONS, ids=str)
def test_a_scorer_is_a_name_or_a_name_with_its_options(entry: Any, wanted: Scorer) -> None:
    found = Findings("x")
    assert check_scorers(found, "scorers", [entry]) == (wanted,)
    assert found.messages == [] and wanted.is_own == (".py@" in str(entry))


def test_one_scorer_may_stand_alone_and_the_same_kind_twice_under_two_names() -> None:
    assert read("scorer: f1") == read("scorers: [f1]")
    found = read("scorers: [{match: {pattern: a, name: first}}, {match: {pattern: b, name: second}}]")
    assert found.judging["test"].names == ("first", "second")


@pytest.mark.parametrize(("said", "wanted"), [
    ("scorers: [f1, exact]", ("test", "f1")), ("scorers: [f1, exact]\nprimary: exact", ("test", "exact")),
    ("metrics: [mcc]\nprimary: test/mcc", ("test", "mcc")),
    ("tasks: {a: {scorers: [f1]}, b: {scorers: [chrf]}}", ("a", "f1")),
    ("tasks: {a: {scorers: [f1]}, b: {scorers: [chrf, f1]}}\nprimary: chrf", ("b", "chrf")),
    ("tasks: {a: {scorers: [f1]}, b: {scorers: [chrf, f1]}}\nprimary: f1", ("a", "f1")),
    ("tasks: {a: {scorers: [f1]}, b: {scorers: [chrf, f1]}}\nprimary: b/f1", ("b", "f1")),
    ("tasks: {a: {}, arc: {inspect: x/y}}\nprimary: arc/accuracy", ("arc", "accuracy")),
])
def test_primary_is_a_metric_of_a_task_and_by_default_the_first(said: str, wanted: tuple[str, str]) -> None:
    assert read(said).primary == wanted


def test_the_matrix_names_levels_as_they_are_said_and_any_number_of_them() -> None:
    found = read("""\
tasks: {test: {}, other: {data: o.json}}
matrix: [{runs: {corpus: A, lora_rank: [2, 16.0]}, tasks: [other]}, {runs: {}, tasks: [test]}]""")
    assert found.matrix == (({"corpus": ["A"], "lora_rank": ["2", "16"]}, ["other"]), ({}, ["test"]))


NAMES = "must be scorers' names, or file.py@name of one's own, got"
TASKS = "tasks: {t: {"
MISTAKES = [  # what the section says, and how the message begins after the file's name and `evaluation.`
    ("taks: {}", "taks: unknown key. Did you mean 'tasks'?"),
    ("tasks: [test]", "tasks: must be a mapping of names to tasks, got ['test']. Write {test: {}}."),
    ("tasks: {}", "tasks: must be a mapping of names to tasks, got {}. Write {test: {}}."),
    ("tasks: {a b: {}}", "tasks: must have names of letters, digits, '_' and '-', at most 40, got 'a b'."),
    ("tasks: {1: {}}", "tasks: must have names of letters, digits, '_' and '-', at most 40, got 1."),
    ("tasks: {a.reference: {}}", "tasks: must have names of letters, digits, '_' and '-', at most 40, got 'a.reference'."),
    ("tasks: {" + "a" * 41 + ": {}}", "tasks: must have names of letters, digits, '_' and '-', at most 40, got 'aaa"),
    ("tasks: {t: [a]}", "tasks.t: must be a mapping, got ['a']. Write {} for the rows of data."),
    ("tasks: {Test: {}, test: {}}", "tasks: has two names that differ in case only. Rename one: each is a file's name."),
    (TASKS + "prompt.usr: x}}", "tasks.t.prompt.usr: unknown key. Did you mean 'prompt.user'?"),
    (TASKS + "choises: [a, b]}}", "tasks.t.choises: unknown key. Did you mean 'choices'?"),
    (TASKS + "scorer: exact}}", "tasks.t.scorer: unknown key. Did you mean 'scorers'?"),
    (TASKS + "data: 5}}", "tasks.t.data: must be a text, got 5."),
    (TASKS + "input: name}}", "tasks.t: has input and no data. Name the file as data, or remove them"),
    (TASKS + "data: a.csv, output: [x]}}", "tasks.t.output: must be a text, got ['x']."),
    (TASKS + "prompt.user: Hello}}", "tasks.t.prompt.user: names no column, so every prompt would be the same"),
    (TASKS + "prompt.date: soon}}", "tasks.t.prompt.date: must be a date such as 2026-01-01, got 'soon'."),
    (TASKS + "choices: [yes]}}", "tasks.t.choices: must be a list of two or more different texts, or the name of a column"),
    (TASKS + "choices: [a]}}", "tasks.t.choices: must be a list of two or more different texts, or the name of a column"),
    (TASKS + "choices: [a, 'a ']}}", "tasks.t.choices: must be a list of two or more different texts"),
    (TASKS + "choices: [a, ' ']}}", "tasks.t.choices: must be a list of two or more different texts"),
    (TASKS + "choices: {a: b}}}", "tasks.t.choices: must be a list of two or more different texts"),
    (TASKS + "choices: [a, b], max_tokens: 4}}", "tasks.t.max_tokens: changes nothing, because nothing is generated. Rem"),
    (TASKS + "choices: [a, b], document: x}}", "tasks.t: is of several kinds: options, document. Keep one of them."),
    (TASKS + "document: ''}}", "tasks.t.document: must be the name of a column, got ''."),
    (TASKS + "document: [x]}}", "tasks.t.document: must be the name of a column, got ['x']."),
    (TASKS + "document: x, prompt.user: '{x}'}}", "tasks.t.prompt.user: changes nothing, because a document is read as it"),
    (TASKS + "document: x, input: y}}", "tasks.t.input: changes nothing, because a document is read as it stands, without"),
    (TASKS + "inspect: arc}}", "tasks.t.inspect: must be file.py@task, package/task or module@task, got 'arc'."),
    (TASKS + "inspect: a/b, data: x.json}}", "tasks.t.data: changes nothing, because inspect's task says it itself."),
    (TASKS + "inspect: a/b, scorers: [exact]}}", "tasks.t.scorers: changes nothing, because inspect's task says it itself."),
    (TASKS + "inspect: a/b, args: [1]}}", "tasks.t.args: must be a mapping of the task's arguments, got [1]."),
    (TASKS + "inspect: a/b, args: {since: 2026-01-01}}}", "tasks.t.args: must be a mapping of the task's arguments, got"),
    (TASKS + "inspect: a/b, max_tokens: few}}", "tasks.t.max_tokens: must be a whole number above 0"),
    (TASKS + "args: {limit: 3}}}", "tasks.t.args: changes nothing, because only a task of inspect-ai's has arguments."),
    (TASKS + "normalization: bytes}}", "tasks.t.normalization: changes nothing, because there are no choices. Remove it."),
    (TASKS + "epochs: 5}}", "tasks.t.epochs: changes nothing, because the answers are greedy, got 5. Set evaluation.temperatu"),
    ("temperature: 1\n" + TASKS + "temperature: 0, seed: 3}}", "tasks.t.seed: changes nothing, because the answers are gre"),
    (TASKS + "max_tokens: 0}}", "tasks.t.max_tokens: must be a whole number above 0, below 2^31, got 0."),
    (TASKS + f"temperature: {10**400}}}}}", "tasks.t.temperature: must be 0 for greedy answers, or a number from 0.01 to"),
    (f"temperature: 1\ntop_p: {10**400}", "top_p: must be a number above 0, at most 1, got 1000"),
    ("scorers: 5", "scorers: must be a list of scorers, got 5. Write [exact]."),
    ("scorers: exakt", "scorers: must be scorers' names, or file.py@name of one's own, got 'exakt'. Did you mean 'exact'?"),
    ("scorers: []", "scorers: must be a list of scorers, got []. Write [exact]."),
    ("scorers: [exakt]", f"scorers: {NAMES} 'exakt'. Did you mean 'exact'?"),
    ("scorers: [{exakt: {a: 1}}]", f"scorers: {NAMES} {{'exakt': {{'a': 1}}}}. Did you mean 'exact'?"),
    ("scorers: [5]", f"scorers: {NAMES} 5. Write a name, or {{name: options}}."),
    ("scorers: [{exact: {}, f1: {}}]", f"scorers: {NAMES} {{'exact': {{}}, 'f1': {{}}}}. Write a name, or"),
    ("scorers: [judged.py]", f"scorers: {NAMES} 'judged.py'."),
    ("scorers: [judged.py@a-b]", f"scorers: {NAMES} 'judged.py@a-b'."),
    ("scorers: [{exact: 5}]", "scorers: exact: must have a mapping of options, got 5."),
    ("scorers: [{match: {pattrn: a}}]", "scorers: match.pattrn: unknown option. Did you mean 'pattern'?"),
    ("scorers: [{match: '('}]", "scorers: match.pattern: must be a regular expression of Python's with at most one group"),
    ("scorers: [{match: '(a)(b)'}]", "scorers: match.pattern: must be a regular expression of Python's with at most one"),
    ("scorers: [{match: 'a{99999999999}'}]", "scorers: match.pattern: must be a regular expression of Python's with at"),
    ("scorers: [{match: {pattern: a, which: middle}}]", "scorers: match.which: must be first or last, got 'middle'."),
    ("scorers: [{numeric: -1}]", "scorers: numeric.tolerance: must be a number, 0 or above, got -1."),
    ("scorers: [{numeric: .inf}]", "scorers: numeric.tolerance: must be a number, 0 or above, got inf."),
    ("scorers: [{includes: {ignore_case: 1}}]", "scorers: includes.ignore_case: must be true or false, got 1."),
    ("scorers: [semscore]", "scorers: semscore.model: must be given."),
    ("scorers: [{semscore: {model: m, compare: both}}]", "scorers: semscore.compare: must be continuation or text, got 'both'"),
    ("scorers: [{exact: {name: a b}}]", "scorers: exact: name must be of letters, digits and '_', got 'a b'."),
    ("scorers: [{j.py@f: {file: x}}]", "scorers: j.py@f.file: is what stands before and after the '@'. Give the option anoth"),
    ("scorers: [{j.py@f: {since: 2026-01-01}}]", "scorers: j.py@f: must have options that JSON can hold, with words as"),
    ("scorers: [exact, exact]", "scorers: gives two the name 'exact'. Give one another: {match: {pattern: ..., name: ...}}."),
    (TASKS + "scorers: [f1, f1]}}", "tasks.t.scorers: gives two the name 'f1'."),
    ("scorers: [../judged.py@tone]", "scorers: must be a file of the experiment, got '../judged.py@tone'. Copy it there."),
    ("scorers: [/srv/judged.py@tone]", "scorers: must be a file of the experiment, got '/srv/judged.py@tone'. Copy it there."),
    (
        "tasks: {t: {inspect: ../arc.py@arc}}",
        "tasks.t.inspect: must be a file of the experiment, got '../arc.py@arc'. Copy it there.",
    ),
    ("scorers: [{exact: {name: mcc}}]", "scorers: exact: name is that of another scorer or metric, got 'mcc'."),
    ("scorers: [{exact: {name: f1}}]", "scorers: exact: name is that of another scorer or metric, got 'f1'."),
    ("scorers: [{match: {pattern: a, name: completion}}]", "scorers: match: name is that of a column of the tables, got 'comp"),
    ("scorers: [{match: {pattern: a, name: bleu_match_1}}]", "scorers: match: name is that of a column of the tables, got 'bl"),
    ("scorers: [judged.py@number]", "scorers: judged.py@number: name is that of a column of the tables, got 'number'. Give"),
    (
        "tasks: {test: {}, t: {scorers: [{includes: {ignore_case: true}}]}}\nscorers: [includes]",
        "tasks.t.scorers: includes has other options than in another task. Give one of them another name by the option `name`.",
    ),
    ("scorer: exact\nscorers: [f1]", "scorer: stands beside scorers. Keep scorers."),
    ("metrics: [bleu, blue]", "metrics: must be out of macro_f1, "),
    (TASKS + "metrics: 1}}", "tasks.t.metrics: must be a list of names, got 1."),
    (TASKS + "metrics: all}}", "tasks.t.metrics: must be out of "),
    ("normalization: words", "normalization: must be one of none, characters, bytes, unconditional, got 'words'."),
    ("normalization: 0", "normalization: must be one of none, characters, bytes, unconditional, got 0."),
    ("scorers: [exakt]\ntasks: {arc: {inspect: a/b}}", f"scorers: {NAMES} 'exakt'. Did you mean 'exact'?"),
    ("scorers: [exakt]\ntasks: {a: {}, b: {}, c: {scorers: [f1]}}", f"scorers: {NAMES} 'exakt'. Did you mean 'exact'?"),
    ("primary: f2", "primary: must be task/metric, or a metric alone, got 'f2'. Valid here: test/exact."),
    ("primary: tset/exact", "primary: must be task/metric, or a metric alone, got 'tset/exact'. Did you mean 'test/exact'?"),
    ("primary: [test/exact]", "primary: must be task/metric, or a metric alone, got ['test/exact']. Did you mean"),
    ("matrix: {}", "matrix: must be a list of {runs: ..., tasks: [...]}, got {}."),
    ("matrix: [{runs: {}}]", "matrix: must be a list of {runs: ..., tasks: [...]}, got [{'runs': {}}]."),
    ("matrix: [{runs: {}, tasks: [tset]}]", "matrix, entry 1: tasks: must be out of test, got 'tset'."),
    ("matrix: [{runs: {}, tasks: []}]", "matrix, entry 1: tasks: must name a task, got []. A run that is asked nothing"),
    ("matrix: [{runs: A, tasks: [test]}]", "matrix, entry 1: runs: must be a mapping of factors to levels, got 'A'. Write all,"),
    ("matrix: [{runs: {corpsu: A}, tasks: [test]}]", "matrix, entry 1: runs.corpsu: is no factor. Did you mean 'corpus'?"),
    ("matrix: [{runs: {corpus: C}, tasks: [test]}]", "matrix, entry 1: runs.corpus: must be one of its levels, got C."),
    ("matrix: [{runs: {lora_rank: {a: 1}}, tasks: [test]}]", "matrix, entry 1: runs.lora_rank: must be one of its levels, got"),
]


@pytest.mark.parametrize(("said", "message"), MISTAKES, ids=[said[:60] for said, _ in MISTAKES])
def test_a_mistake_is_one_message_that_names_its_key(said: str, message: str) -> None:
    wanted = f"experiment.yaml: evaluation.{message}"
    assert [line[: len(wanted)] for line in mistakes(said)] == [wanted]


def test_all_mistakes_of_all_tasks_are_said_at_once() -> None:
    found = mistakes("scorers: [exakt]\ntasks: {a: {choices: [x]}, b: {epochs: 2}}\nprimary: c/exact")
    assert [line.split(": ")[1] for line in found] == [
        "evaluation.scorers", "evaluation.tasks.a.choices", "evaluation.tasks.b.epochs", "evaluation.primary",
    ]


def test_every_metric_and_scorer_says_what_it_is() -> None:
    needs = ("labels", "numbers", "probabilities", "texts", "references")
    assert all(kind.meaning and kind.needs in needs for kind in METRICS.values())
    assert all(kind.meaning for kind in SCORERS.values()) and not set(SCORERS) & set(METRICS)
