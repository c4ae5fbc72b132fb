"""The sections `validation` and `select`: what may stand there, and one message for each mistake."""

import pytest
from ftexp.design.in_words import design_in_words
from ftexp.design.runs import expand
from ftexp.design.select_section import tokens_differ
from ftexp.design.spec import check_experiment
from ftexp.ground.yamlfile import parse_yaml
from helpers.good_document import GOOD, mistakes_of


@pytest.mark.parametrize(("section", "message"), [
    ("[]", "validation: must be a mapping such as {every: 1}, got []. Write {} for the defaults."),
    ("{evry: 1}", "validation.evry: unknown key. Did you mean 'every'?"),
    *((f"{{every: {value}}}", "validation.every: must be a whole number of epochs, or a share of one above 0 and below 1, got")
      for value in ("0", "1.5", "-1", "true", "often")),
    *((f"{{patience: {value}}}", "validation.patience: must be a whole number of times above 0, or null for no early stop, got")
      for value in ("0", "1.5", "true")),
    ("{threshold: -0.1}", "validation.threshold: must be a number, 0 or above, got -0.1"),
    ("{keep: first}", "validation.keep: must be best or last, got 'first'"),
    ("{metric: 5}", "validation.metric: must be loss, or the name of a scorer, got 5"),
    ("{metric: exakt}", "validation.metric: must be loss, or the name of a scorer, got 'exakt'. Did you mean 'exact'?"),
    ("{metric: perplexity}", "validation.metric: must compare two texts while a model is trained, got 'perplexity'. Choose loss"),
    ("{metric: macro_f1}", "validation.metric: must be loss, or the name of a scorer, got 'macro_f1'"),
])
def test_a_wrong_section_is_refused_by_its_key(section: str, message: str) -> None:
    found = mistakes_of(f"{GOOD}\nvalidation: {section}\n")
    assert any(each.startswith(f"experiment.yaml: {message}") for each in found), found


@pytest.mark.parametrize("section", [
    "{}", "{every: 0.25}", "{every: 3, patience: 2, threshold: 0.01, keep: last}", "{metric: f1}", "{metric: exact}",
    "{metric: numeric}", "null",
])
def test_what_may_stand_there_is_taken(section: str) -> None:
    assert mistakes_of(f"{GOOD}\nvalidation: {section}\n") == []


def test_a_scorer_comes_with_its_options_and_the_longest_answer_that_is_read() -> None:
    text = GOOD.replace("scorer: exact", "scorers: [{match: {pattern: '[a-z]+', name: letters}}, exact]")
    runs = expand(check_experiment(parse_yaml(f"{text}\nvalidation: {{metric: letters}}\n", "e"), "e"))
    said = runs[-1].validation
    assert said["scorer"]["kind"] == "match" and said["scorer"]["options"]["pattern"] == "[a-z]+" and said["max_tokens"] == 16
    assert not any(run.validation for run in runs if run.is_control)


@pytest.mark.parametrize(("section", "message"), [
    ("[lr]", "select: must be a mapping such as {by: validation, over: [lr]}, got ['lr']"),
    ("{by: validation}", "select.over: must be a list of factors, or all, got None. Write [lr, epochs]."),
    ("{over: []}", "select.over: must be a list of factors, or all, got []"),
    ("{over: [5]}", "select.over: must be a list of factors, or all, got [5]"),
    ("{by: test, over: [corpus]}", "select.by: must be validation, got 'test'. A level chosen by its test score"),
    ("{ovr: [corpus]}", "select.ovr: unknown key. Did you mean 'over'?"),
    ("{over: [lora_rnk]}", "select.over: lora_rnk: unknown factor. Did you mean 'lora_rank'?"),
    ("{over: [seed]}", "select.over: a seed is not chosen: runs that differ in their seed alone are replicates. Remove it."),
    ("{over: [corpus]}", "select.over: runs that differ in corpus are validated by different rows, so that none of them"),
])
def test_a_wrong_choice_is_refused_by_its_key(section: str, message: str) -> None:
    found = mistakes_of(f"{GOOD}\nvalidation: {{}}\nselect: {section}\n")
    assert any(each.startswith(f"experiment.yaml: {message}") for each in found), found


def test_what_is_chosen_among_is_validated_by_one_metric_on_the_same_tokens() -> None:
    assert any("select: chooses by validation, and" in each for each in mistakes_of(f"{GOOD}\nselect: {{over: [lora_rank]}}\n"))
    by_two = GOOD.replace("small: {data.source", "small: {validation.metric: exact, data.source")
    found = mistakes_of(f"{by_two}\nvalidation: {{}}\nselect: {{over: [lora_rank]}}\n")
    assert any("validated by different metrics, got exact, loss. Set one validation.metric" in each for each in found), found
    losses = GOOD.replace("lora_rank: [2", "loss: [completion, full]\n  lora_rank: [2")
    found = mistakes_of(f"{losses}\nvalidation: {{}}\nselect: {{over: [loss]}}\n")
    assert any("validated by the loss of different tokens. Choose by a scorer" in each for each in found), found
    assert mistakes_of(f"{losses}\nvalidation: {{metric: f1}}\nselect: {{over: [loss]}}\n") == []
    one_file = GOOD.replace("data:", "data:\n  validation: v.json", 1)
    assert mistakes_of(f"{one_file}\nvalidation: {{}}\nselect: {{over: all}}\n") == []


def test_the_plan_says_what_is_chosen_and_warns_of_losses_of_different_tokenizers() -> None:
    models = GOOD.replace("model: tiny, ", "").replace("lora_rank: [2", "model: [tiny, other]\n  lora_rank: [2")
    experiment = check_experiment(parse_yaml(f"{models}\nvalidation: {{}}\nselect: {{over: [model, lora_rank]}}\n", "e"), "e")
    runs = expand(experiment)
    assert experiment.select == ("model", "lora_rank")
    line = "chosen on validation, by loss, in each cell of optimizer.weight_decay and corpus: model and lora_rank, of whose"
    assert f"{line} effects nothing is claimed" in design_in_words(experiment, runs)
    assert "chooses among base models by the loss of a token" in tokens_differ(experiment.select, runs)[0]
    assert tokens_differ(("lora_rank",), runs) == []
