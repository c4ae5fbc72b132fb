"""The question of an experiment whose owner gave none is made of its factors, and follows them."""

import pytest
from ftexp.design.spec import check_experiment
from ftexp.ground.errors import UserError
from ftexp.ground.yamlfile import parse_yaml

BASE = "experiment: caps\ndata: {source: data/raw/words.json}\nconstants: {model: tiny}\n"


def question(text: str) -> str:
    return check_experiment(parse_yaml(BASE + text, "experiment.yaml"), "experiment.yaml").question


@pytest.mark.parametrize(("text", "expected"), [
    ("factors: {lora_rank: [2, 16], lr: [1.0e-4, 3.0e-3], seed: [1, 2]}",
     "How do lora_rank (2, 16) and lr (1e-4, 3e-3) change the score (exact) on words?"),
    ("question: null\nfactors: {lora_rank: [2, 4], seed: [1]}", "How does lora_rank (2, 4) change the score (exact) on words?"),
    ("factors: {seed: [1, 2], lr: [1.0e-4]}", "What does fine-tuning tiny change in the score (exact) on words?"),
    ("factors: {lr: [1.0e-4, 2.0e-4], epochs: [1, 2], lora_rank: [2, 4]}\nevaluation: {metrics: [macro_f1], primary: macro_f1}",
     "How do lr (1e-4, 2e-4), epochs (1, 2) and lora_rank (2, 4) change the score (macro_f1) on words?"),
    ("factors: {lora_rank: [1, 2, 3, 4, 5, 6, 7, 8]}",
     "How does lora_rank (1, 2, 3, 4, 5, 6 and 2 more) change the score (exact) on words?"),
    ("factors: {corpus: {a: {data.source: a.json}, b: {data.source: b.json}}}",
     "How does corpus (a, b) change the score (exact)?"),
    ("question: Why?\nfactors: {lora_rank: [2, 4]}", "Why?"),
])
def test_it_names_the_factors_and_their_levels(text: str, expected: str) -> None:
    assert question(text) == expected


@pytest.mark.parametrize("given", ["' '", "5", "[a]", "''"])
def test_what_is_no_sentence_is_refused(given: str) -> None:
    with pytest.raises(UserError, match="question: must be a sentence, got"):
        question(f"question: {given}\n")
