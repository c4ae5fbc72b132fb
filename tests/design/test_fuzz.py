"""Whatever stands in experiment.yaml, site.yaml or an answer: it is planned, or refused by a message, and never a traceback.

The keys come from the tables that the code itself checks by, so that a new key is tried as soon as it is there. Longer, with
other examples each time: FTEXP_FUZZ=5000 .venv/bin/python -m pytest tests/design/test_fuzz.py
"""

import contextlib
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plan as plan_stage
import pytest
import yaml
from conftest import REPOSITORY
from ftexp.design import sections
from ftexp.design.evaluation_section import EVALUATION_KEYS
from ftexp.design.judging import METRICS, NORMALIZATIONS, SCORERS
from ftexp.design.prompt_section import PROMPT_KEYS
from ftexp.design.settings import SETTINGS
from ftexp.design.spec import TOP_KEYS
from ftexp.design.tasks import TASK_KEYS
from ftexp.design.torchtune_keys import TORCHTUNE_TOP_LEVEL
from ftexp.ground.errors import UserError, run_command
from ftexp.jobs import site
from ftexp.jobs.site import read_site
from ftexp.life.new_experiment import complete_answers
from helpers.bad_inputs import GRAMMAR
from helpers.experiments import tree
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

LONGER = int(os.environ.get("FTEXP_FUZZ", "0"))
quiet = settings(
    deadline=None, derandomize=not LONGER, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
ROWS = [{"input": f"word {n}", "output": f"Word {n % 3}", "who": n % 4} for n in range(24)]
SOURCES = ("data/raw/rows.json", "data/raw/rows.csv", "data/raw/parts.json")
# What begins with a file that the document names.
OF_A_SOURCE = re.compile(r": there is no such file\.|: must be one of \.json, ")
PLANNED = re.compile(r"mine/(runs\.csv|runs(/.*)?|\.scratch(/.*)?|events\.jsonl)")

words = st.sampled_from([
    "", "x", "on", "=", "<<", "3e-4", "1:2", "{input}", "{", "${a.b}", "{{ x }}", "a/b", "../x", "-x", ".x", "a b", "é\n#", "~",
    "null", "$(touch pwned)", "data.source", "x" * 300, "a\0b", "\x1b[31m", "\ud83d", "???", "2026-13-45", "who", "exact",
    *SOURCES,
])
numbers = st.one_of(
    st.integers(-2, 9), st.sampled_from([10**19, -(10**400), 2**31, 2**63]), st.floats(), st.sampled_from([0.5, 1e-4, 1e-300])
)
scalars = st.one_of(st.none(), st.booleans(), numbers, words, st.text(max_size=9), st.dates(), st.binary(max_size=4))
hostile = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(scalars, inner, max_size=3)), max_leaves=5
)
POOL: list[Any] = [
    True, False, None, 1, 2, 3, 8, 0.5, 0.001, "tiny", "bf16", "completion", "full", "exact", "input", "output", "who",
    "linear", "transformers", ["q", "v"], *SOURCES, "lora_finetune_single_device", {"train": 0.5, "test": 0.5}, "2026-01-01",
    "{input}", "say {input} {who}",
]
GOOD: dict[str, list[Any]] = {
    "experiment": ["mine"], "question": ["Does it matter?"], "recipe": ["lora_finetune_single_device"], "design": ["factorial"],
    "source": [*SOURCES], "split": [{"train": 0.5, "validation": 0, "test": 0.5, "seed": 3}, {"train": 0.5, "test": 0.5}],
    "input": ["input"], "output": ["output"], "system": ["Be brief.", None], "user": ["{input}", "{who}: {input}"],
    "date": ["2026-01-01"], "base": [True, False], "scorer": ["exact"], "max_tokens": [8], "primary": ["exact", "test/exact"],
    "metrics": [[], ["macro_f1"], ["bits_per_byte"]], "cluster": ["who", None], "groups": [["who"], []],
    "others": [None, {"older": "models/tiny"}, {"older": "adapters/x"}], "normalization": [*NORMALIZATIONS],
    "choices": [["Word 0", "Word 1", "Word 2"], ["yes", "no"], "output"], "document": ["input"], "data": [*SOURCES],
    "complete": [{"after": {"sentences": 0.5}}, {"after": {"words": 1}}, {"after": {"tokens": 0.5}}], "text": ["input"],
    "inspect": ["asks.py@one", "inspect_evals/arc_easy"], "args": [{"limit": 2}, {}],
    "temperature": [0, 0.7], "top_p": [0.9], "seed": [3], "epochs": [4], "train": ["data/raw/rows.json"],
    "validation": [None, {}, {"every": 0.5, "patience": 1}, {"metric": "exact"}], "select": [None, {"over": "all"}],
    "test": ["data/raw/parts.json"],
    "template": [None, "chat.jinja"],
}


def mostly(good: st.SearchStrategy[Any], *, one_in: int = 20) -> st.SearchStrategy[Any]:
    """A good value, and now and then any."""
    return st.integers(1, one_in).flatmap(lambda dice: hostile if dice == 1 else good)


def good_value(name: str) -> st.SearchStrategy[Any]:
    """A value that a key takes, as far as is known."""
    if name in SETTINGS:
        return st.sampled_from([value for value in POOL if SETTINGS[name].accepts(value)])
    return st.sampled_from(GOOD.get(name.rsplit(".", 1)[-1], POOL))


def mapping(names: list[str], most: int) -> st.SearchStrategy[Any]:
    """Some of these keys with their values."""
    chosen = st.lists(mostly(st.sampled_from(names), one_in=40), max_size=most, unique_by=repr)
    return chosen.flatmap(lambda keys: st.fixed_dictionaries({
        key: mostly(good_value(key)) for key in keys if isinstance(key, str)
    }))


ASSIGNED = [
    *SETTINGS, *TORCHTUNE_TOP_LEVEL, "optimizer.weight_decay", "model.lora_dropout",
    *(f"data.{key}" for key in sections.DATA_KEYS), *(f"prompt.{key}" for key in PROMPT_KEYS),
]
FACTORS = [*SETTINGS, "optimizer.weight_decay", "size", "wording", "corpus"]


def levels(name: str) -> st.SearchStrategy[Any]:
    """Levels of a factor: a list of values, or named levels."""
    if name in FACTORS[:-3]:
        return st.one_of(good_value(name), st.lists(mostly(good_value(name), one_in=30), min_size=1, max_size=3))
    labels = mostly(st.sampled_from(["a", "b", "c"]), one_in=30).filter(_is_key)
    return st.dictionaries(labels, mapping(ASSIGNED, 2), min_size=1, max_size=3)


def _is_key(value: Any) -> bool:
    return not isinstance(value, list | dict)


def section(name: str) -> st.SearchStrategy[Any]:
    """A section, by the table of its keys where there is one."""
    if name == "factors":
        names = st.lists(st.sampled_from(FACTORS), max_size=3, unique=True)
        return names.flatmap(lambda keys: st.fixed_dictionaries({key: mostly(levels(key), one_in=30) for key in keys}))
    if name == "constants":
        return mapping(ASSIGNED, 3).map(lambda held: {"model": "tiny", **held})
    if name == "naming":
        return mapping(FACTORS, 2)
    keys = PROMPT_KEYS if name == "prompt" else getattr(sections, f"{name.upper()}_KEYS", None)
    if name == "data":
        return mapping([*sections.DATA_KEYS], 2).map(lambda held: {"source": SOURCES[0], **held})
    if name == "evaluation":
        return evaluations
    return mapping([*keys], 2) if keys else good_value(name)


options = mapping(sorted({"name", "ignored", *(key for kind in SCORERS.values() for key in kind.options)}), 2)
named_scorers = st.sampled_from([*SCORERS, "judged.py@tone"])
scorers = st.lists(mostly(st.one_of(
    named_scorers, named_scorers.flatmap(lambda name: st.fixed_dictionaries({name: mostly(options, one_in=4)})),
    st.sampled_from([{"match": "[0-9]+"}, {"match": "("}, {"match": "a{99999999999}"}, {"numeric": 0.1}]),
)), min_size=1, max_size=3)
task = st.tuples(mapping([*TASK_KEYS], 3), st.fixed_dictionaries({}, optional={"scorers": mostly(scorers)}))
tasks = st.dictionaries(
    mostly(st.sampled_from(["test", "other", "Test", "arc"]), one_in=30).filter(_is_key),
    mostly(task.map(lambda pair: {**pair[0], **pair[1]})), min_size=1, max_size=3,
)
matrices = st.lists(mostly(st.fixed_dictionaries({
    "runs": mostly(st.sampled_from([{}, "all", {"size": "a"}, {"seed": "all"}, {"corpus": ["a", "b"]}, {"seed": [1]}]), one_in=4),
    "tasks": mostly(st.one_of(st.sampled_from(["all", "test"]), st.lists(st.sampled_from(["test", "other", "arc"]), max_size=2))),
})), max_size=2)
evaluations = st.tuples(
    mapping([key for key in EVALUATION_KEYS if key not in ("tasks", "matrix", "scorers")], 2),
    st.fixed_dictionaries({}, optional={
        "scorers": mostly(scorers), "tasks": mostly(tasks), "matrix": mostly(matrices, one_in=4),
        "metrics": mostly(st.lists(st.sampled_from([*METRICS]), max_size=2, unique=True)),
    }),
).map(lambda pair: {**pair[0], **pair[1]})


NEEDED = ("experiment", "question", "data", "constants")
OF_THE_LEVELS = ("design", "baseline", "exclude")
sectioned = st.fixed_dictionaries(
    {name: mostly(section(name), one_in=50) for name in NEEDED},
    optional={name: mostly(section(name), one_in=30) for name in TOP_KEYS if name not in (*NEEDED, *OF_THE_LEVELS)},
)


def some_levels(factors: dict[Any, Any], *, of_every: bool) -> st.SearchStrategy[Any]:
    """A level of every factor of a document, or of some: what a run list, a baseline and an exclusion hold."""
    labels = {name: st.sampled_from([*held]) for name, held in factors.items() if isinstance(held, list | dict) and held}
    levels_of_all = st.fixed_dictionaries(labels if of_every else {}, optional={} if of_every else labels)
    return mostly(levels_of_all, one_in=30)


def with_a_design(document: Any) -> st.SearchStrategy[Any]:
    """The document, perhaps with a design, a baseline and an exclusion that speak of its own factors and levels."""
    factors = document.get("factors") if isinstance(document, dict) else None
    if not isinstance(factors, dict):
        return st.just(document)
    rows = st.lists(some_levels(factors, of_every=True), min_size=1, max_size=3, unique_by=repr)
    sections_of_levels = st.fixed_dictionaries({}, optional={
        "design": mostly(st.one_of(st.sampled_from(["factorial", "one_at_a_time"]), rows), one_in=30),
        "baseline": some_levels(factors, of_every=True),
        "exclude": mostly(st.lists(some_levels(factors, of_every=False), max_size=2, unique_by=repr), one_in=30),
    })
    return sections_of_levels.map(lambda held: {**document, **held})


documents = sectioned.flatmap(with_a_design)
GOOD_TEXT = yaml.safe_dump({
    "experiment": "mine", "question": "Why?", "data": {"source": SOURCES[0]}, "prompt": {"user": "{input}", "date": "2026-01-01"},
    "factors": {"lr": [1e-4, 1e-3], "size": {"small": {"lora_rank": 2}, "large": {"lora_rank": 8}}},
    "constants": {"model": "tiny", "epochs": 2}, "evaluation": {
        "scorers": ["exact", {"match": "[0-9]+"}, "judged.py@tone"], "max_tokens": 8, "primary": "test/exact",
        "tasks": {"test": {}, "own": {"data": SOURCES[1], "choices": ["Word 0", "Word 1", "Word 2"]}},
        "matrix": [{"runs": {"size": "small"}, "tasks": ["test"]}],
    },
}, sort_keys=False)
FRAGMENTS = [
    "\t", "[", "]", "{", "}", ": ", ":", "- ", "&a ", "*a", "<<: *a\n", "!!binary x", "!!timestamp x", "!!set {a}",
    "!!omap [a: b]", "!!int x", "!!null x", "!x y", "=", "---\n", "...\n", "%YAML 9.9\n", "\ufeff", "\0", "\x85", "\u2028",
    "'", '"',
    '"\\ud83d"',
    "9" * 5000, "1e999", "-.inf", ".nan", "0x10", "2026-13-45", "? ", "| ", ">\n", "#", "@", "`", "\r", "\\", "{}", "${x}",
    "~", ",", "[" * 400, "\n", "  ", "\n\n", "é", "\U0001f600",
]


@st.composite
def mutated_texts(draw: st.DrawFn) -> bytes:
    """A good text with a few places changed, or the bytes of one."""
    text = draw(st.one_of(st.just(GOOD_TEXT), documents.map(_dumped)))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 5, 40])))
        text = text[:start] + draw(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=3))) + text[end:]
    data = text.encode("utf-8", errors="replace")
    return draw(st.sampled_from([data] * 20 + [data[:-3], text.encode("utf-16", errors="replace"), data[::-1]]))


def _dumped(document: Any) -> str:
    return str(yaml.safe_dump(document, sort_keys=False))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that holds an experiment, which is the working folder."""
    parent = tmp_path_factory.mktemp("fuzz")
    raw = parent / "mine/data/raw"
    raw.mkdir(parents=True)
    (raw / "rows.json").write_text(json.dumps(ROWS))
    (raw / "parts.json").write_text(json.dumps({"train": ROWS[:12], "test": ROWS[12:]}))
    table = [",".join(map(str, row.values())) for row in ROWS]
    (raw / "rows.csv").write_text("\n".join(["input,output,who", *table]))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(parent / "mine")
        patch.setattr(sys, "argv", ["plan"])
        yield parent


def planned_or_refused(folder: Path, data: bytes) -> None:
    """`make plan` on these bytes, and what it may do."""
    Path("experiment.yaml").write_bytes(data)
    before, errors = tree(folder), io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()), pytest.raises(SystemExit) as end:
        run_command(plan_stage.main)
    changed = {name for name, held in tree(folder).items() if before.get(name, b"absent") != held}
    messages = errors.getvalue().splitlines()
    event("refused" if messages else "planned")
    assert end.value.code == (1 if messages else end.value.code) and end.value.code in (0, 1)
    for message in messages:
        assert GRAMMAR.fullmatch(message) and message.isprintable() and len(message) < 3000, message
        assert message.startswith(("experiment.yaml: ", "data/raw/")) or OF_A_SOURCE.search(message), message
    assert all(PLANNED.fullmatch(name) for name in changed) and not (messages and changed), changed
    for name in ("runs", ".scratch"):
        shutil.rmtree(name, ignore_errors=True)
    for path in (Path("runs.csv"), Path("events.jsonl")):
        path.unlink(missing_ok=True)


@settings(quiet, max_examples=LONGER or 150)
@given(document=documents)
def test_a_document_is_planned_or_refused(document: Any, folder: Path) -> None:
    planned_or_refused(folder, _dumped(document).encode("utf-8", errors="replace"))


@settings(quiet, max_examples=LONGER or 150)
@given(data=mutated_texts())
def test_a_mutated_text_is_planned_or_refused(data: bytes, folder: Path) -> None:
    planned_or_refused(folder, data)


@settings(quiet, max_examples=LONGER or 50)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_refused(data: bytes, folder: Path) -> None:
    planned_or_refused(folder, data)


SITE_GOOD = [*POOL, "local", "slurm", "auto", "cuda", {"time_min": 60, "mem_gb": 8, "cpus": 1, "gpus": 1}, ["cuda/12"], 60,
             {"7B": {"train": {"gpus": 2}}}, {"queue": "long"}]


sites = st.dictionaries(
    mostly(st.sampled_from([*site._KINDS])).filter(_is_key), mostly(st.sampled_from(SITE_GOOD), one_in=4), max_size=6
)


@settings(quiet, max_examples=LONGER or 150)
@given(document=sites)
def test_a_site_is_read_or_refused(document: Any, folder: Path) -> None:
    path = folder / "site.yaml"
    path.write_bytes(_dumped(document).encode("utf-8", errors="replace"))
    try:
        read_site(path)
    except UserError as error:
        for message in str(error).splitlines():
            assert message.startswith("site.yaml: ") and GRAMMAR.fullmatch(message) and message.isprintable(), message


ANSWERS: dict[str, list[str]] = {
    "experiment_name": ["mine"], "question": ["Why?"], "data": ["data/raw/rows.json", "data/raw/rows.csv:input:output"],
    "model": ["tiny-instruct", "tiny"], "factors": ["{lr: [1e-4, 1e-3]}", "{a: {x: {lr: 1e-3}, y: {lr: 1e-4}}}"],
    "design": ["factorial"], "site": ["local", "slurm"],
}


all_answers = st.fixed_dictionaries({name: mostly(st.sampled_from(good), one_in=6).map(str) for name, good in ANSWERS.items()})


@settings(quiet, max_examples=LONGER or 100)
@given(answers=all_answers)
def test_answers_are_completed_or_refused_and_nothing_is_written(answers: dict[str, str], folder: Path) -> None:
    before = tree(folder)
    try:
        complete_answers(answers, REPOSITORY)
    except UserError as error:
        for message in str(error).splitlines():
            assert GRAMMAR.fullmatch(message) and message.isprintable(), message
    assert tree(folder) == before
