"""The sections `validation` and `select`: what may stand there, and one message for each mistake."""

import pytest
from ftexp.design.in_words import design_in_words
from ftexp.design.runs import derive_steps, expand
from ftexp.design.select_section import tokens_differ, without_choice
from ftexp.design.spec import check_experiment
from ftexp.design.validation_section import never_act
from ftexp.ground.yamlfile import parse_yaml
from helpers.good_document import GOOD, mistakes_of


@pytest.mark.parametrize(("section", "message"), [
    ("[]", "validation: must be a mapping such as {every: 1}, got []. Write {} for the defaults."),
    ("{evry: 1}", "validation.evry: unknown key. Did you mean 'every'?"),
    *((f"{{every: {value}}}", "validation.every: must be a whole number of epochs, or a share of one above 0 and below 1, got")
      for value in ("0", "1.5", "-1", "true", "often")),
    *((f"{{patience: {value}}}", "validation.patience: must be a whole number of times above 0, or null for no early stop, got")
      for value in ("0", "1.5", "true")),
    *((f"{{threshold: {value}}}", "validation.threshold: must be a finite number, 0 or above, got")
      for value in ("-0.1", ".inf", ".nan")),
    ("{keep: first}", "validation.keep: must be best or last, got 'first'"),
    ("{metric: 5}", "validation.metric: must be loss, or the name of a scorer, got 5"),
    ("{metric: exakt}", "validation.metric: must be loss, or the name of a scorer, got 'exakt'. Did you mean 'exact'?"),
    ("{metric: perplexity}", "validation.metric: must compare two texts while a model is trained, got 'perplexity'. Choose loss"),
    ("{metric: macro_f1}", "validation.metric: must say what one answer is worth, and macro_f1 is of all answers together."),
    ("{metric: zzz}", "validation.metric: must be loss, or the name of a scorer, got 'zzz'. Valid here: loss, exact, "
     "ignore_case, includes, f1, rouge_1, rouge_2, rouge_l, chrf, numeric."),
    ("{metric: match}", "validation.metric: is a scorer with an option that must be given, got 'match'. Add {match: {pattern: "
     "...}} to evaluation.scorers."),
    ("{metric: {match: '[a-z]+'}}", "validation.metric: must be loss, or the name of a scorer, got {'match': '[a-z]+'}. Write it "
     "among evaluation.scorers, and here its name alone."),
    ("{metric: judged.py@tone}", "validation.metric: must compare two texts while a model is trained, got 'judged.py@tone'."),
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
    ("{by: validation}", "select.over: is missing. Name the factors that are chosen, as in over: [lr, epochs], or write all."),
    ("{over: [lora_rank, corpus, lora_rank]}", "select.over: names lora_rank twice. Remove one."),
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
    heads = GOOD.replace("lora_rank: [2", "way: {text: {head: null}, head: {head: classification}}\n  lora_rank: [2")
    found = mistakes_of(f"{heads}\nvalidation: {{}}\nselect: {{over: [way]}}\n")
    assert any("runs with a head and runs without are validated by the loss of a label and of a token" in each for each in found)
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


@pytest.mark.parametrize(("section", "epochs", "said"), [
    ("{every: 1, patience: 1}", 3, []),
    ("{every: 0.5, patience: 4}", 3, []),
    ("{every: 0.5, patience: 5}", 3, ["patience: 5 stops nothing before its end where there are 6 looks, as in run. Lower it"]),
    ("{patience: 1}", 1, ["patience: 1 stops nothing before its end where there is 1 look, as in run."]),
    ("{every: 4}", 3, ["every: 4 is more than the epochs (3) of run, which is looked at at its end alone. Lower it"]),
    ("{threshold: 0.1}", 3, ["threshold: 0.1 changes nothing: it says what is better to patience, which is not set."]),
    ("{threshold: 0.1, patience: 1}", 3, []), ("{}", 1, []),
])
def test_what_can_never_act_is_warned_of(section: str, epochs: int, said: list[str]) -> None:
    text = f"data: {{source: a.json}}\nconstants: {{model: m, batch_size: 4, epochs: {epochs}}}\nvalidation: {section}\n"
    runs = [run for run in expand(check_experiment(parse_yaml(f"experiment: e\n{text}", "e"), "e")) if not run.is_control]
    derive_steps(runs[0], 40)
    found = never_act(runs)
    assert len(found) == len(said)
    assert all(line.startswith(f"experiment.yaml: validation.{words}") for line, words in zip(found, said, strict=True)), found


def test_a_factor_of_one_level_that_is_chosen_is_warned_of() -> None:
    text = GOOD.replace("lora_rank: [2, 16]", "lora_rank: [2]")
    experiment = check_experiment(parse_yaml(f"{text}\nvalidation: {{}}\nselect: {{over: [lora_rank, corpus]}}\n", "e"), "e")
    (said,) = without_choice(experiment.select, experiment.factors)
    assert said.startswith("experiment.yaml: select.over: lora_rank has one level, so that nothing is chosen.")
