"""experiment.yaml: every mistake is one message that names the key, all of them at once, and none is a crash."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from ftexp.design.evaluation_section import Judging
from ftexp.design.judging import Scorer
from ftexp.design.runs import expand
from ftexp.design.spec import check_experiment
from ftexp.ground.yamlfile import parse_yaml
from helpers.good_document import GOOD, alter, mistakes_of


def test_the_good_document_is_accepted() -> None:
    assert mistakes_of(GOOD) == []


UNKNOWN_KEYS = [
    ("design: factorial", "desing: factorial", "desing: unknown key. Did you mean 'design'?"),
    ("  input: input", "  inputs: input", "data.inputs: unknown key. Did you mean 'input'?"),
    ("seed: 0}", "sed: 0}", "data.split.sed: unknown key. Did you mean 'seed'?"),
    ("{system: null", "{sytem: null", "prompt.sytem: unknown key. Did you mean 'system'?"),
    ("lora_rank: [2", "lora_ranks: [2", "factors.lora_ranks: unknown factor. Did you mean 'lora_rank'?"),
    ("epochs: 3", "epoch: 3", "constants.epoch: unknown key. Did you mean 'epochs'?"),
    ("{base: true}", "{bas: true}", "controls.bas: unknown key. Did you mean 'base'?"),
    ("max_tokens: 16", "max_token: 16", "evaluation.max_token: unknown key. Did you mean 'max_tokens'?"),
    ("max_tokens: 16", "clusters: a", "evaluation.clusters: unknown key. Did you mean 'cluster'?"),
    ("controls:", "baseline: {lora_rnk: 2}\ncontrols:", "baseline.lora_rnk: unknown factor. Did you mean 'lora_rank'?"),
    ("naming: {lora_rank", "naming: {lora_rnk", "naming.lora_rnk: unknown factor. Did you mean 'lora_rank'?"),
    ("json, lr: 1e-4", "json, lrr: 1e-4", "factors.corpus.small.lrr: unknown key. Did you mean 'lr'?"),
    (
        "data.source: data/raw/small.json",
        "data.sorce: a",
        "factors.corpus.small.data.sorce: unknown key. Did you mean 'data.source'?",
    ),
    (
        "data.source: data/raw/small.json",
        "prompt.usr: a",
        "factors.corpus.small.prompt.usr: unknown key. Did you mean 'prompt.user'?",
    ),
    ("question:", "zzz: 1\nquestion:", "zzz: unknown key. Valid here: experiment, question,"),
]


@pytest.mark.parametrize(("old", "new", "message"), UNKNOWN_KEYS)
def test_an_unknown_key_is_refused_and_the_nearest_named(old: str, new: str, message: str) -> None:
    assert any(m.startswith(f"experiment.yaml: {message}") for m in mistakes_of(alter(old, new))), mistakes_of(alter(old, new))


UNUSED = "data: has rows to validate by, and nothing is validated. Add `validation: {}`, or leave them out"
WRONG_VALUES = [
    ("experiment: caps", "experiment: ../caps", "experiment: must be a name"),
    ("experiment: caps", "experiment: 12", "experiment: must be a name"),
    ("question: Does rank matter?", "question: ' '", "question: must be a sentence"),
    ("recipe: lora_finetune_single_device", "recipe: lora", "recipe: must be one of lora_finetune_single_device"),
    ("test: 0.2, seed", "test: 0.3, seed", "data.split: train and test must add up to 1, got 1.1"),
    ("test: 0.2, seed", "test: -0.1, seed", "data.split: train and test must be shares from 0 to 1"),
    ("test: 0.2, seed", "validation: 0.1, test: 0.1, seed", UNUSED),
    ("source: data/raw/words", "validation: v.json\n  source: data/raw/words", UNUSED),
    ("small: {data.source", "small: {data.validation: v.json, data.source", UNUSED),
    ("test: 0.2, seed", "validation: 0.1, test: 0.2, seed", "data.split: train, test and validation must add up to 1, got 1.1"),
    ("train: 0.8, test: 0.2, ", "train: 0.9, ", "data.split: train and test must add up to 1, got 1.1. test is 0.2 where"),
    ("seed: 0}", "seed: zero}", "data.split.seed: must be a whole number, got 'zero'"),
    ("seed: 0}", "stratify: a, group: b}", "data.split: has both stratify and group"),
    ("split: {train: 0.8, test: 0.2, seed: 0}", "split: 0.8", "data.split: must be a mapping"),
    ("  source: data/raw/words.json\n", "  source: a.json\n  train: b.json\n  test: c.json\n", "data: has both source and train"),
    ("  output: output", "  output: [output]", "data.output: must be a text"),
    ("system: null", "system: 5", "prompt.system: must be a text, or null"),
    ('user: "{input}"', 'user: "Capitalise."', "prompt.user: names no column, so every prompt would be the same"),
    ('user: "{input}"', 'user: "{input} {"', "prompt.user: has braces that do not match"),
    ('user: "{input}"', "user: '{\"word\": {input}}'", "prompt.user: has braces around something that is no column's name"),
    ('user: "{input}"', 'user: "{input:d}"', "prompt.user: has braces around something that is no column's name"),
    ('user: "{input}"', 'user: "{input.__class__}"', "prompt.user: has braces around something that is no column's name"),
    ('user: "{input}"', 'user: "{input} {}"', "prompt.user: has braces around something that is no column's name"),
    ("date: 2026-01-01", "date: yesterday", "prompt.date: must be a date"),
    ("[2, 16]", "[]", "factors.lora_rank: must be a list of at least one level, got []"),
    ("[2, 16]", "null", "factors.lora_rank: must be a list of at least one level, got None"),
    ("[2, 16]", "2.5", "factors.lora_rank: must be a whole number above 0, below 2^31, got 2.5"),
    ("lora_rank: [2, 16]", "lora_modules: [q, v]", "factors.lora_modules: must be a list out of q, k, v, o, mlp, output, one of"),
    ("lora_rank: [2, 16]", "lora_modules: q", "factors.lora_modules: must be a list out of q, k, v, o, mlp, output, one"),
    ("lora_rank: [2, 16]", "loss: every", "factors.loss: must be completion or full, got 'every'"),
    ("lora_rank: [2, 16]", "lr: all", "factors.lr: must be a list of levels, got 'all'. Write [first, second]; 'all' stands for"),
    ("epochs: 3", "schedule: all", "constants.schedule: must be one of cosine, linear, constant, got 'all'. For a run of each w"),
    ("[2, 16]", "[2, 2]", "factors.lora_rank: has the level 2 twice"),
    ("lora_rank: [2, 16]", "lr: [1e-4, 0.0001]", "factors.lr: has the level 0.0001 twice"),
    ("[2, 16]", "[2, 16.0]", "factors.lora_rank: must be a whole number above 0"),
    ("[2, 16]", "[2, '16']", "factors.lora_rank: must be a whole number above 0"),
    ("lora_rank: [2, 16]", "train_size: [0.5, 1.5]", "factors.train_size: must be a whole number of rows above 0"),
    ("lora_rank: [2, 16]", "train_size: [16.0]", "factors.train_size: must be a whole number of rows above 0"),
    ("lora_rank: [2, 16]", "train_size: [0.0]", "factors.train_size: must be a whole number of rows above 0"),
    ("lora_rank: [2, 16]", "train_size: [0.5, true]", "factors.train_size: must be a whole number of rows above 0"),
    ("lora_rank: [2, 16]", "train_size: [9, 0.5]", "factors.train_size: mixes numbers of rows with shares"),
    ("lora_rank: [2, 16]", "train_size: [1, 1.0]", "factors.train_size: mixes numbers of rows with shares of them, got 1 and"),
    (
        "json, lr: 1e-4}, large: {", "json, lr: 1e-4, train_size: 9}, large: {train_size: 0.9, ",
        "factors.corpus: mixes numbers of rows with shares of them, got 9 and 0.9 for train_size. Write all as numbers of rows",
    ),
    ("[2, 16]", "[2, true]", "factors.lora_rank: must be a whole number above 0"),
    ("[2, 16]", f"[2, {10**400}]", "factors.lora_rank: must be a whole number above 0, below 2^31"),
    ("lora_rank: [2, 16]", "seed: [1, 4294967296]", "factors.seed: must be a whole number, 0 or above, below 2^31"),
    ("lora_rank: [2, 16]", "loss: [answer]", "factors.loss: must be completion or full, got 'answer'"),
    ("lora_rank: [2, 16]", "lora_modules: [[mlp]]", "factors.lora_modules: must be a list out of"),
    ("[0, 0.1]", "[0, .nan]", "factors.optimizer.weight_decay: must be a finite number"),
    (
        "optimizer.weight_decay: [0, 0.1]",
        "optimizer.lr: [0.1]",
        "factors.optimizer.lr: is a torchtune key that another fact owns. Set 'lr'",
    ),
    ("clip_grad_norm: 1.0", "model.use_dora: true", "constants.model.use_dora: is refused: torchtune 0.6.1 exports a DoRA"),
    ("clip_grad_norm: 1.0", "model.quantize_base: true", "constants.model.quantize_base: is a torchtune key that"),
    ("clip_grad_norm: 1.0", "dataset.rows: 5", "constants.dataset.rows: is a torchtune key that another fact owns"),
    (
        "clip_grad_norm: 1.0",
        "compile: on",
        "constants.compile: is the text 'on', which torchtune would take for true. Write true or false",
    ),
    ("clip_grad_norm: 1.0", "data.input: word", "constants.data.input: belongs into its own section"),
    (
        "{small: {data.source: data/raw/small.json, lr: 1e-4}",
        "{small: 5",
        "factors.corpus.small: must be a mapping of what the level sets, got 5",
    ),
    (
        "corpus: {small: {data.source: data/raw/small.json, lr: 1e-4}, large: {data.source: data/raw/large.json, lr: 1e-3}}",
        "corpus: {}",
        "factors.corpus: has no levels",
    ),
    ("corpus:", "score:", "factors.score: a named factor needs a name of its own"),
    ("corpus:", "epochs:", "factors.epochs: a named factor needs a name of its own"),
    ("epochs: 3", "lora_rank: 3", "factors.lora_rank: sets 'lora_rank', which constants sets too"),
    ("lora_rank: [2, 16]", "lr: [0.1, 0.2]", "factors.corpus: sets 'lr', which factor lr sets too"),
    (
        "epochs: 3", "weight_decay: 0.1",
        "factors.optimizer.weight_decay: sets 'optimizer.weight_decay', and constants sets 'weight_decay', which decides the",
    ),
    ("epochs: 3", "max_grad_norm: null", "constants.clip_grad_norm: stands beside max_grad_norm, which decides the same. Keep"),
    ("epochs: 3", "warmup_steps: 5, warmup_ratio: 0.1", "constants.warmup_ratio: stands beside warmup_steps, which decides"),
    (
        "lr: 1e-4}", "warmup_ratio: 0.1, warmup_steps: 5}",
        "factors.corpus.small.warmup_steps: stands beside warmup_ratio, which decides the same. Keep one.",
    ),
    (
        "lora_rank: [2, 16]", "warmup_steps: [0, 5]\n  warm: {some: {warmup_ratio: 0.1}, none: {warmup_ratio: 0}}",
        "factors.warm: sets 'warmup_ratio', and factor warmup_steps sets 'warmup_steps', which decides the same. Keep one, or",
    ),
    ("lora_rank: [2, 16]", "warmup_ratio: [0, 1]", "factors.warmup_ratio: must be a number from 0, below 1, or null, got 1"),
    ("lora_rank: [2, 16]", "lora_dropout: [1.0]", "factors.lora_dropout: must be a number from 0, below 1, or null, got 1.0"),
    ("lora_rank: [2, 16]", "weight_decay: [-0.1]", "factors.weight_decay: must be a number, 0 or above, or null, got -0.1"),
    ("lora_rank: [2, 16]", "weight_decay: [false]", "factors.weight_decay: must be a number, 0 or above, or null, got False"),
    ("epochs: 3", "max_grad_norm: 0", "constants.max_grad_norm: must be a number above 0, or null, got 0"),
    ("epochs: 3", "schedule: wsd", "constants.schedule: must be one of cosine, linear, constant, got 'wsd'"),
    ("epochs: 3", "lr_scheduler_type: linear", "constants.lr_scheduler_type: unknown key. Did you mean 'schedule'?"),
    ("model: tiny, ", "", "constants.model: is missing"),
    ("model: tiny", "model: /home/me/tiny", "constants.model: must be the name of a folder in models/"),
    ("model: tiny", "model: ../../tiny", "constants.model: must be the name of a folder in models/"),
    ("design: factorial", "design: random", "design: must be factorial, one_at_a_time or a list of runs"),
    ("{base: true}", "{base: on}", "controls.base: must be true or false, got 'on'"),
    ("scorer: exact", "scorer: exakt", "evaluation.scorers: must be scorers' names, or file.py@name of one's own, got 'exakt'."),
    ("scorer: exact", "scorer: match", "evaluation.scorers: match.pattern: must be given"),
    ("max_tokens: 16", "max_tokens: 0", "evaluation.max_tokens: must be a whole number above 0"),
    ("max_tokens: 16", "temperature: -1", "evaluation.temperature: must be 0 for greedy answers, or a number from 0.01 to 100"),
    ("max_tokens: 16", "temperature: 1e-9", "evaluation.temperature: must be 0 for greedy answers, or a number from 0.01 to 100"),
    ("max_tokens: 16", "temperature: warm", "evaluation.temperature: must be 0 for greedy answers, or a number from 0.01 to 100"),
    ("max_tokens: 16", "temperature: true", "evaluation.temperature: must be 0 for greedy answers, or a number from 0.01 to 100"),
    ("max_tokens: 16", "temperature: .nan", "evaluation.temperature: must be 0 for greedy answers, or a number from 0.01 to 100"),
    ("max_tokens: 16", "temperature: 1, top_p: 0", "evaluation.top_p: must be a number above 0, at most 1, got 0"),
    ("max_tokens: 16", "temperature: 1, top_p: 90", "evaluation.top_p: must be a number above 0, at most 1, got 90"),
    ("max_tokens: 16", "temperature: 1, epochs: 0", "evaluation.epochs: must be a whole number above 0, below 2^31, got 0"),
    ("max_tokens: 16", "temperature: 1, seed: -1", "evaluation.seed: must be a whole number, 0 or above, below 2^31"),
    (
        "max_tokens: 16", "epochs: 5",
        "evaluation.epochs: changes nothing, because the answers are greedy, got 5. Set evaluation.temperature above 0, or leave",
    ),
    ("max_tokens: 16", "temperature: 0, top_p: 0.9", "evaluation.top_p: changes nothing, because the answers are greedy"),
    ("max_tokens: 16", "seed: 1", "evaluation.seed: changes nothing, because the answers are greedy, got 1. Set eval"),
    ("max_tokens: 16", "primary: f1", "evaluation.primary: must be task/metric, or a metric alone, got 'f1'. Valid"),
    ("max_tokens: 16", "metrics: [blue]", "evaluation.metrics: must be out of macro_f1, balanced_accuracy, mcc, "),
    ("max_tokens: 16", "metrics: {}", "evaluation.metrics: must be a list of names, got {}"),
    ("max_tokens: 16", "groups: [a, a]", "evaluation.groups: names one twice"),
    ("max_tokens: 16", "groups: [1]", "evaluation.groups: must be a list of names"),
    ("max_tokens: 16", "cluster: [a]", "evaluation.cluster: must be the name of a column, or null"),
    ("controls:", "baseline: {lora_rank: 8}\ncontrols:", "baseline.lora_rank: must be a level of the factor, got 8. Its lev"),
    ("controls:", "baseline: {lora_rank: '16'}\ncontrols:", "baseline.lora_rank: must be a level of the factor, got '16'"),
    ("controls:", "baseline: {corpus: medium}\ncontrols:", "baseline.corpus: must be a level of the factor, got 'medium'"),
    ("controls:", "baseline: {seed: 1}\ncontrols:", "baseline.seed: a seed has no baseline"),
    ("controls:", "baseline: 2\ncontrols:", "baseline: must be a mapping"),
    ("{lora_rank: rank}", "{lora_rank: a_b}", "naming.lora_rank: must be at most 20 letters"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG_VALUES)
def test_a_wrong_value_is_refused_by_its_key(old: str, new: str, message: str) -> None:
    messages = mistakes_of(alter(old, new))
    assert any(m.startswith(f"experiment.yaml: {message}") for m in messages), messages


RATES = "factors: {lr: [1, 2]}\nevaluation: {tasks: {a: {}, b: {}}"
CALLED_ALL = "factors: {x: {all: {lr: 1}, one: {lr: 2}}}\nevaluation: {tasks: {all: {}, b: {}}"
SMALL = "experiment: e\nconstants: {model: tiny}\ndata: {source: a.json}\n"


@pytest.mark.parametrize(("alone", "listed"), [
    ("factors: {lora_rank: 2, lr: 1e-4, loss: full}", "factors: {lora_rank: [2], lr: [1e-4], loss: [full]}"),
    ("factors: {schedule: all, dtype: all, head: all, use_dora: all}",
     "factors: {schedule: [cosine, linear, constant], dtype: [fp32, bf16], head: [null, classification], "
     "use_dora: [false, true]}"),
    ("factors: {compile: true, optimizer.eps: 1e-7}", "factors: {compile: [true], optimizer.eps: [1e-7]}"),
    ("factors: {lora_rank: 2}\ndesign: {lora_rank: 2}", "factors: {lora_rank: [2]}\ndesign: [{lora_rank: 2}]"),
    ("factors: {lora_rank: [2, 4], lr: [1, 2]}\nexclude: {lora_rank: 2, lr: 1}",
     "factors: {lora_rank: [2, 4], lr: [1, 2]}\nexclude: [{lora_rank: 2, lr: 1}]"),
    ("evaluation: {scorers: f1, metrics: macro_f1, groups: language}",
     "evaluation: {scorers: [f1], metrics: [macro_f1], groups: [language]}"),
    ("evaluation: {scorer: [exact, {match: a}]}", "evaluation: {scorers: [exact, {match: a}]}"),
    ("evaluation: {scorers: {match: a}}", "evaluation: {scorers: [{match: a}]}"),
    ("evaluation: {tasks: {a: {metrics: macro_f1}}}", "evaluation: {tasks: {a: {metrics: [macro_f1]}}}"),
    (f"{RATES}, matrix: {{runs: all, tasks: all}}}}", f"{RATES}, matrix: [{{runs: {{}}, tasks: [a, b]}}]}}"),
    (f"{RATES}, matrix: [{{runs: {{lr: all}}, tasks: a}}, {{runs: {{lr: 2}}, tasks: b}}]}}",
     f"{RATES}, matrix: [{{runs: {{lr: [1, 2]}}, tasks: [a]}}, {{runs: {{lr: [2]}}, tasks: [b]}}]}}"),
    (f"{CALLED_ALL}, matrix: [{{runs: {{x: all}}, tasks: all}}]}}",
     f"{CALLED_ALL}, matrix: [{{runs: {{x: [all]}}, tasks: [all]}}]}}"),
])
def test_what_stands_alone_where_a_list_is_wanted_is_a_list_of_it_and_all_is_all_that_there_are(alone: str, listed: str) -> None:
    one, other = (check_experiment(parse_yaml(SMALL + text, "x"), "x") for text in (alone, listed))
    assert one == other and [vars(run) for run in expand(one)] == [vars(run) for run in expand(other)]


def test_how_scores_are_read_has_defaults_and_is_no_part_of_a_run() -> None:
    plain = check_experiment(parse_yaml(GOOD, "experiment.yaml"), "experiment.yaml")
    assert plain.evaluation.judging == {"test": Judging((Scorer("exact", "exact"),), (), "none", None, ())}
    assert plain.evaluation.primary == ("test", "exact") and plain.baseline == {}
    text = alter("max_tokens: 16", "max_tokens: 16, primary: macro_f1, metrics: [macro_f1], cluster: passage, groups: [language]")
    text = text.replace("controls:", "baseline: {lora_rank: 16, optimizer.weight_decay: 0.10, corpus: large}\ncontrols:")
    read = check_experiment(parse_yaml(text, "experiment.yaml"), "experiment.yaml")
    wanted = Judging((Scorer("exact", "exact"),), ("macro_f1",), "none", "passage", ("language",))
    assert (read.evaluation.judging, read.evaluation.primary) == ({"test": wanted}, ("test", "macro_f1"))
    assert read.baseline == {"lora_rank": 16, "optimizer.weight_decay": 0.1, "corpus": "large"}
    assert [vars(run) for run in expand(read)] == [vars(run) for run in expand(plain)]


@pytest.mark.parametrize("said", ["", "temperature: 0", "temperature: 0.0, top_p: 1, epochs: 1, seed: 0"])
def test_greedy_answers_are_the_default_however_they_are_spelt(said: str) -> None:
    read = check_experiment(parse_yaml(alter("max_tokens: 16", said), "experiment.yaml"), "experiment.yaml")
    assert read.evaluation.tasks == {"test": {"kind": "answer", "prompt": {}, "max_tokens": 64}}


@pytest.mark.parametrize("said", ["temperature: 1", "temperature: 1.0, top_p: 1", "seed: 0, temperature: 1, top_p: 1.0"])
def test_sampled_answers_have_defaults_and_one_spelling(said: str) -> None:
    read = check_experiment(parse_yaml(alter("max_tokens: 16", said), "experiment.yaml"), "experiment.yaml")
    drawn = {"max_tokens": 64, "temperature": 1.0, "top_p": 1.0, "seed": 0, "epochs": 1}
    assert repr(read.evaluation.tasks) == repr({"test": {"kind": "answer", "prompt": {}, **drawn}})


def test_all_mistakes_of_a_file_are_reported_at_once() -> None:
    text = GOOD
    for old, new, _ in (
        UNKNOWN_KEYS[0],
        UNKNOWN_KEYS[3],
        UNKNOWN_KEYS[5],
        WRONG_VALUES[4],
        WRONG_VALUES[0],
        ("max_tokens: 16", "max_tokens: x", ""),
    ):
        text = text.replace(old, new)
    keys = [message.split(": ")[1] for message in mistakes_of(text)]
    assert sorted(keys) == ["constants.epoch", "data.split", "desing", "evaluation.max_tokens", "experiment", "prompt.sytem"]


def test_the_order_of_messages_is_the_same_in_every_process() -> None:
    code = (
        "from ftexp.design.spec import check_experiment\nfrom ftexp.ground.errors import UserError\n"
        "sets = {k: 1 for k in ('lr', 'epochs', 'lora_rank', 'seed', 'batch_size', 'warmup_steps')}\n"
        "try:\n    check_experiment({'constants': sets, 'factors': {'a': {'x': sets}}}, 'e')\n"
        "except UserError as error:\n    print(error)\n"
    )
    outputs = {_run_python(code, PYTHONHASHSEED=str(seed)) for seed in range(4)}
    assert len(outputs) == 1 and "which constants sets too" in outputs.pop()


def _run_python(code: str, **environment: str) -> str:
    import os

    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "scripts"), **environment}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout


def test_a_mistake_writes_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data" / "raw"
    data.mkdir(parents=True)
    for name in ("words", "small", "large"):
        (data / f"{name}.json").write_text(str([{"input": f"w{i}", "output": "W"} for i in range(40)]).replace("'", '"'))
    (tmp_path / "experiment.yaml").write_text(alter("[2, 16]", "[2, -16]"))
    before = sorted(tmp_path.rglob("*"))
    result = _plan(tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "experiment.yaml: factors.lora_rank: must be a whole number above 0, below 2^31, got -16.\n"
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "experiment.yaml").write_text(GOOD)
    assert _plan(tmp_path).returncode == 0
    assert (tmp_path / "runs.csv").is_file()


def _plan(folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(REPOSITORY / "scripts" / "plan.py")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
