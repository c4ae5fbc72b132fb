"""Runs with a head: labels from the data, a classifier that is asked as it was trained, and what it cannot do."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import inspect_ai
import pytest
import torch
from ftexp.design.planning import make_plan
from ftexp.evaluation import provider
from ftexp.evaluation.loaded_model import LoadedModel
from ftexp.ground import paths
from ftexp.ground.errors import UserError
from ftexp.ground.filesystem import sha256_file
from ftexp.ground.yamlfile import load_yaml
from ftexp.models.chat import Chat
from ftexp.state.publishing import publish_checkpoint
from ftexp.trainers.choice import config_of, trainer_of
from ftexp.trainers.transformers import train as training
from ftexp.trainers.transformers.resume import kept_product
from helpers.tiny_models import TinyExperiment, enter, make_experiment
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

WORDS = [first + second for first in ("apple", "brick", "chalk", "drum", "eel", "fig") for second in ("s", "pot", "er", "ish")]
ROWS = [{"input": word, "output": "vowel" if word[0] in "ae" else "consonant"} for word in WORDS]
WAY = {"way": {"text": {"head": None}, "head": {"head": "classification"}}, "seed": [1, 2]}
TASKS = {"tasks": {"chosen": {"choices": ["vowel", "consonant"]}, "free": {"max_tokens": 8}}}


def make(root: Path, **overrides: Any) -> TinyExperiment:
    given = {"factors": WAY, "constants": {"lr": 1e-2, "epochs": 3}, "evaluation": TASKS, "rows": ROWS, **overrides}
    return make_experiment(root, given.pop("family", "phi3"), "chatml", **given)


def train_run(run: str, output_dir: str) -> Any:
    """Train in this process, in the working folder."""
    path = paths.RunPaths(run).finetune_yaml
    return training.train({**load_yaml(path, str(path)), "device": "cpu", "output_dir": output_dir})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyExperiment, Any]:
    """An experiment whose run way-head_s1 is trained, and its model as trained: q, k and v of it are one matrix."""
    experiment = make(tmp_path_factory.mktemp("heads"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(experiment.root)
        run = experiment.document("way-head_s1")
        scratch = paths.RunPaths(run.id).scratch_dir("train")
        trainer = train_run(run.id, str(scratch))
        publish_checkpoint(run, kept_product(scratch, 3))
    return experiment, trainer.model.eval()


@pytest.fixture
def experiment(made: tuple[TinyExperiment, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[TinyExperiment]:
    monkeypatch.setattr(provider, "MODEL", LoadedModel())
    yield enter(made[0], monkeypatch)


def asked(experiment: TinyExperiment, task: str, log_dir: Path) -> Any:
    """The log of a task of the run with the head."""
    [log] = inspect_ai.eval(f"runs/way-head_s1/eval.py@{task}", log_dir=str(log_dir), display="none", score_display=False)
    assert log.status == "success", log.error
    return log


def test_what_is_asked_gives_the_logits_of_what_was_trained(
    experiment: TinyExperiment, made: tuple[TinyExperiment, Any], tmp_path: Path
) -> None:
    run, chat = experiment.document("way-head_s1"), Chat("models/tiny", "2001-02-03")
    log = asked(experiment, "free", tmp_path)
    assert len(log.samples) == 12
    for sample in log.samples:
        said = sample.metadata["likelihood"]
        tokens = torch.tensor([chat.prompt_ids([{"role": "user", "content": f"say: {sample.metadata['row']['input']}"}])])
        with torch.no_grad():
            trained = made[1](input_ids=tokens).logits[0]
        assert said["options"] == run.labels == ["consonant", "vowel"]
        assert [said["logits"][label] for label in run.labels] == pytest.approx(trained.tolist(), abs=1e-4)
        assert said["conditional"] == pytest.approx(trained.log_softmax(-1).tolist(), abs=1e-4)
        assert sample.output.completion == run.labels[trained.argmax()]


def test_where_a_task_has_choices_the_answer_is_one_of_them_in_their_order(experiment: TinyExperiment, tmp_path: Path) -> None:
    free = {sample.id: sample.metadata["likelihood"] for sample in asked(experiment, "free", tmp_path).samples}
    for sample in asked(experiment, "chosen", tmp_path).samples:
        said = sample.metadata["likelihood"]
        assert said["options"] == ["vowel", "consonant"] and said["unconditional"] == [0.0, 0.0]
        assert said["conditional"] == free[sample.id]["conditional"][::-1]


@pytest.mark.usefixtures("experiment")
def test_the_adapter_is_pefts_own_and_loads_by_the_library_alone(made: tuple[TinyExperiment, Any]) -> None:
    folder = paths.RunPaths("way-head_s1").checkpoint_dir
    said = json.loads((folder / "adapter_config.json").read_text())
    assert said["task_type"] == "SEQ_CLS" and said["modules_to_save"] == ["score"]
    weights = load_file(folder / "adapter_model.safetensors")
    assert weights["base_model.model.score.weight"].shape == (2, 64)
    base = AutoModelForSequenceClassification.from_pretrained("models/tiny", num_labels=2, pad_token_id=0)
    loaded: Any = PeftModel.from_pretrained(base, folder).eval()
    tokens = torch.randint(5, 100, (3, 40), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(loaded(input_ids=tokens).logits, made[1](input_ids=tokens).logits, atol=1e-4)


@pytest.mark.usefixtures("experiment")
def test_the_same_seed_gives_the_same_bytes_and_another_one_another_head(tmp_path: Path) -> None:
    trained = [train_run(run, str(tmp_path / name)) for run, name in (("way-head_s1", "again"), ("way-head_s2", "other"))]
    assert trained[0].state.global_step == 18
    files = [kept_product(tmp_path / name, 3) / "adapter_model.safetensors" for name in ("again", "other")]
    published = sha256_file(paths.RunPaths("way-head_s1").checkpoint_dir / "adapter_model.safetensors")
    assert sha256_file(files[0]) == published != sha256_file(files[1])


def test_whole_weights_with_a_head_are_asked_as_they_were_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ftexp.evaluation.tuned_model import load_model
    from ftexp.models.loading import Classifier

    full = {"recipe": "full_finetune_single_device", "lr": 1e-3, "dtype": "fp32"}
    experiment = make(tmp_path / "full", family="qwen2", constants=full)
    monkeypatch.chdir(experiment.root)
    trainer = train_run("way-head_s1", "out")
    product, classifier = kept_product(Path("out"), 1), Classifier(("consonant", "vowel"), trainer.train_dataset.pad_id)
    model = load_model(Path("models/tiny"), product, "fp32", "cpu", classifier=classifier)
    tokens = torch.randint(5, 100, (3, 40), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(model(input_ids=tokens).logits, trainer.model.eval()(input_ids=tokens).logits, atol=1e-5)


def test_labels_are_those_of_all_training_rows_whatever_train_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make(tmp_path, factors={"train_size": [4, 12], "seed": [1]}, constants={"head": "classification"})
    monkeypatch.chdir(experiment.root)
    runs = [experiment.document(run) for run in ("n4_s1", "n12_s1")]
    assert [run.labels for run in runs] == [["consonant", "vowel"]] * 2
    assert trainer_of(runs[0]).config(runs[0])["model"]["labels"] == ["consonant", "vowel"]


@pytest.mark.parametrize(("change", "message"), [
    ({"constants": {"head": "regression"}}, "constants.head: must be classification or null, got 'regression'"),
    ({"evaluation": {"scorers": ["exact", "perplexity"]}}, "evaluation.scorers: rates the tokens of a text, got perplexity"),
    ({"constants": {"trainer": "torchtune"}}, "trainer: torchtune 0.6.1 trains no classifier. Set trainer: transformers"),
    ({"constants": {"lora_modules": ["q", "output"]}}, "lora_modules: a classifier has a last layer of its own"),
    ({"rows": [{**row, "output": "one"} for row in ROWS]}, "column 'output': has 1 different answers in 12 training rows"),
], ids=["value", "perplexity", "torchtune", "output", "one-label"])
def test_what_a_head_cannot_do_is_said_before_anything_is_trained(
    change: dict[str, Any], message: str, made: tuple[TinyExperiment, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import yaml

    shutil.copytree(made[0].root, tmp_path / "copy", symlinks=True, ignore=shutil.ignore_patterns(".scratch", "runs"))
    monkeypatch.chdir(tmp_path / "copy")
    document = yaml.safe_load(Path("experiment.yaml").read_text())
    document |= {"factors": {"seed": [1]}, "evaluation": change.get("evaluation", {})}
    document["constants"] |= {"head": "classification", **change.get("constants", {})}
    Path("experiment.yaml").write_text(yaml.safe_dump(document))
    if "rows" in change:
        Path("data/raw/rows.json").write_text(json.dumps(change["rows"]))
    with pytest.raises(UserError) as caught:
        _, runs = make_plan()
        config_of(runs[-1])
    assert message in str(caught.value)
