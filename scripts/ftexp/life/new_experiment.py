"""A new experiment: from the answers to cookiecutter's questions to a folder that stands by itself.

`complete_answers` checks everything in the caller's folder, before a byte is written; `fill_experiment` then cannot fail
for a reason that the answers hold. Only the standard library and PyYAML are imported.
"""

import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

from ftexp.data.splits import VALIDATION
from ftexp.design.combinations import FACTORIAL, ONE_AT_A_TIME
from ftexp.design.in_words import runs_in_words
from ftexp.design.planning import make_plan, plan_runs, write_plan
from ftexp.design.settings import check_setting
from ftexp.design.spec import NAME_PATTERN, check_experiment
from ftexp.ground import paths
from ftexp.ground.errors import UserError, one_line, suggestion
from ftexp.ground.filesystem import write_if_changed, write_json
from ftexp.ground.yaml_line import yaml_line
from ftexp.ground.yamlfile import parse_yaml
from ftexp.jobs.site import read_site
from ftexp.life.data_answer import data_answer
from ftexp.life.given_design import from_design
from ftexp.life.question_answer import default_answers, question_answer
from ftexp.life.readme import renew_readme
from ftexp.life.template_files import files_of_experiment
from ftexp.life.written_answers import require_written
from ftexp.models.hub_cache import COMMIT, hub_snapshots, in_words

DEMO_MODEL = "tiny-instruct"
# What stands where nobody asked: it stays true when the factors change.
_NO_QUESTION = "null          # null: made of the factors, as `make plan` says it; write your own here"
_VALIDATION = """\
validation: {}          # the data's own part for it looks at each training while it goes on, and the best step is kept
"""
_SPLIT = "  split: {train: 0.8, test: 0.2, seed: 0}\n"
_TEMPLATE = """\
# The one file of this experiment that is edited by hand. `make plan` shows what it means before anything is spent.
experiment: {name}
question: {question}
data:
  source: {source}
{split}  input: {input}
  output: {output}
prompt:
  system: null            # null: no system turn of ours
  user: {user}         # any column of the data
  date: "2026-01-01"      # what a chat template that prints today's date gets
factors:
{factors}design: {design}
constants: {constants}
controls: {{base: true}}    # the base model, not fine-tuned
{validation}evaluation: {{scorer: exact, max_tokens: {max_tokens}}}
"""


def complete_answers(answers: dict[str, Any], template_dir: Path) -> dict[str, Any]:
    """Check the answers and say what has to be copied and written.

    Args:
        answers: cookiecutter's context: experiment_name, question, data, model, factors, design, site.
        template_dir: The repository of the template.

    Returns:
        `experiment` (text of experiment.yaml), `site` (text of site.yaml), `data` (pairs of source and name in
        data/raw) and `model` (the folder to copy into data/models, or None).

    Raises:
        UserError: With what is wrong in the answers, the data or the design.
    """
    name = answers["experiment_name"]
    if not NAME_PATTERN.fullmatch(name):
        raise UserError(
            "experiment_name: must be a name of letters, digits, '.', '_' and '-', that begins with a letter or digit, "
            f"at most 80, got {name!r}. Choose another."
        )
    site_path = _site_path(answers["site"], template_dir)
    read_site(site_path)
    model, site_text = _place_model(answers["model"], site_path.read_text(encoding="utf-8"), template_dir)
    if answers["design"] in (FACTORIAL, ONE_AT_A_TIME):
        text, files = _from_answers(answers, template_dir)
    else:
        text, files = from_design(answers, template_dir)
    _check_names(files)
    _try_plan(text, {f"data/raw/{Path(target).name}": source for source, target in files})
    return {"experiment": text, "site": site_text, "data": files, "model": model}


def _from_answers(answers: dict[str, Any], template_dir: Path) -> tuple[str, list[tuple[str, str]]]:
    """experiment.yaml from the answers."""
    data = data_answer(answers["data"], template_dir)
    factors = parse_yaml(answers["factors"], "factors")
    if not isinstance(factors, dict):
        example = "{lora_rank: [4, 16], lr: [1e-4, 1e-3]}"
        raise UserError(f"factors: must be a mapping such as {example}, got '{one_line(answers['factors'])}'.")
    folder = _model_folder(answers["model"])
    model = folder.name if folder else answers["model"]
    is_tiny = model == DEMO_MODEL
    sizes = {"epochs": 2, "batch_size": 32, "dtype": "fp32"} if is_tiny else {"epochs": 1, "batch_size": 8, "dtype": "bf16"}
    constants = {"model": model, **sizes}
    question = question_answer(answers, default_answers(template_dir))
    lines = "".join(f"  {yaml_line(key)}: {yaml_line(value)}\n" for key, value in factors.items())
    source = f"data/raw/{data.file.name}"
    text = _TEMPLATE.format(
        name=yaml_line(answers["experiment_name"]), question=yaml_line(question) if question else _NO_QUESTION,
        source=yaml_line(source), split="" if data.parts else _SPLIT,
        validation=_VALIDATION if VALIDATION in data.parts else "",
        input=yaml_line(data.input), output=yaml_line(data.output), user=yaml_line(data.user), factors=lines or "  {}\n",
        design=answers["design"],
        constants=yaml_line({k: v for k, v in constants.items() if not _is_set_by(factors, k)}), max_tokens=16 if is_tiny else 64,
    )
    require_written(text, "experiment.yaml", {
        "experiment_name": (("experiment",), answers["experiment_name"]), "question": (("question",), question),
        "data": (("data", "source"), source), "data's input": (("data", "input"), data.input),
        "data's output": (("data", "output"), data.output), "factors": (("factors",), factors),
        "design": (("design",), answers["design"]),
        "model": (("constants", "model"), None if _is_set_by(factors, "model") else model),
    })
    return text, [(str(data.file), source)]


def _is_set_by(factors: dict[Any, Any], name: str) -> bool:
    """Whether a factor, or a level of a named one, sets `name`."""
    named = [factor for factor in factors.values() if isinstance(factor, dict)]
    levels = [level for factor in named for level in factor.values() if isinstance(level, dict)]
    return name in factors or any(name in level for level in levels)


def _check_names(files: list[tuple[str, str]]) -> None:
    """Two different files cannot have one name in data/raw."""
    seen: dict[str, str] = {}
    for source, target in files:
        if seen.setdefault(target, source) != source:
            raise UserError(f"data: {seen[target]} and {source} would both be copied to {target}. Rename one.")


def _try_plan(text: str, sources: dict[str, str]) -> None:
    """Plan the experiment with its data where it lies now; whatever is wrong with it comes out here."""
    plan_runs(check_experiment(_with_sources(parse_yaml(text, "experiment.yaml"), sources), "experiment.yaml"))


def _with_sources(document: Any, sources: dict[str, str]) -> Any:
    """The document with every path in data/raw replaced by the file that will be copied there."""
    if isinstance(document, dict):
        return {key: _with_sources(value, sources) for key, value in document.items()}
    if isinstance(document, str):
        return sources.get(document, document)
    return document


def _site_path(answer: str, template_dir: Path) -> Path:
    profiles = {path.stem: path for path in sorted((template_dir / "sites").glob("*.yaml"))}
    if answer in profiles:
        return profiles[answer]
    file = os.path.expanduser(answer)
    if os.path.isfile(file):
        return Path(file).resolve()
    raise UserError(f"site: there is no profile '{one_line(answer)}'. {suggestion(answer, profiles)} Or give a file of your own.")


def _place_model(answer: str, site_text: str, template_dir: Path) -> tuple[str | None, str]:
    """The model to copy (the one that ships), and site.yaml pointed at the folder of a model given by its path."""
    if answer == DEMO_MODEL:
        return str(template_dir / "data" / "models" / DEMO_MODEL), site_text
    folder = _model_folder(answer)
    if folder:
        line = f"models: {yaml_line(str(folder.parent))}"
        text, count = re.subn(r"(?m)^models:.*$", lambda _: line, site_text)
        text = text if count else f"{site_text.rstrip()}\n{line}\n"
        require_written(text, "site.yaml", {"model": (("models",), str(folder.parent))})
        return None, text
    in_hub = hub_snapshots(Path(os.path.abspath(os.path.expanduser(answer))))
    if in_hub:
        raise UserError(f"model: '{one_line(answer)}' {in_words(in_hub)}")
    if check_setting("model", answer):
        what = f"'{one_line(answer)}' is no folder with a config.json"
        raise UserError(f"model: {what}. Give the folder of a model in Hugging Face layout.")
    return None, site_text


def _model_folder(answer: str) -> Path | None:
    """The folder of a model that the answer gives by its path; None for a name in the site's folder of models."""
    folder = os.path.expanduser(answer)
    is_path = answer != DEMO_MODEL and os.path.isfile(os.path.join(folder, "config.json"))
    return Path(os.path.abspath(folder)) if is_path else None  # a link's own name, not that of what it leads to


def fill_experiment(completed: dict[str, Any]) -> str:
    """Write and copy into the working folder, plan, and say what to do next."""
    write_if_changed(paths.EXPERIMENT_YAML, completed["experiment"])
    write_if_changed(paths.SITE_YAML, completed["site"])
    write_json(paths.TEMPLATE_JSON, {**completed["template"], "files": files_of_experiment()})
    for source, target in completed["data"]:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    if completed["model"]:
        shutil.copytree(completed["model"], Path("data/models") / Path(completed["model"]).name, dirs_exist_ok=True)
    experiment, runs = make_plan()
    write_plan(experiment, runs)
    renew_readme(experiment, runs)
    trained = [run for run in runs if not run.is_control]
    controls = len(runs) - len(trained)
    lines = [f"{experiment.name}: planned: {runs_in_words(trained)} and {controls} control{'' if controls == 1 else 's'}."]
    lines += [f"  {run.id}: not usable: {problem}" for run in runs for problem in run.problems]
    commits = sorted({run.settings["model"] for run in runs if COMMIT.fullmatch(str(run.settings["model"]))})
    lines += [f"  {name}: is a commit of the hub's, and the model's name in every table: a link with a name is easier to read"
              for name in commits]
    return "\n".join([*lines, f"Next: cd {shlex.quote(str(Path.cwd()))} && make setup plan, then make all"])
