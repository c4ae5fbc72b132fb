"""A good experiment.yaml, changes of it, and the messages that it is refused with."""

from ftexp.design.runs import expand
from ftexp.design.spec import check_experiment
from ftexp.ground.errors import UserError
from ftexp.ground.yamlfile import parse_yaml

GOOD = """\
experiment: caps
question: Does rank matter?
recipe: lora_finetune_single_device
data:
  source: data/raw/words.json
  split: {train: 0.8, test: 0.2, seed: 0}
  input: input
  output: output
prompt: {system: null, user: "{input}", date: 2026-01-01}
factors:
  lora_rank: [2, 16]
  optimizer.weight_decay: [0, 0.1]
  corpus: {small: {data.source: data/raw/small.json, lr: 1e-4}, large: {data.source: data/raw/large.json, lr: 1e-3}}
design: factorial
constants: {model: tiny, epochs: 3, clip_grad_norm: 1.0}
controls: {base: true}
evaluation: {scorer: exact, max_tokens: 16}
naming: {lora_rank: rank}
"""


def mistakes_of(text: str) -> list[str]:
    """The messages for a document; none where it is accepted."""
    try:
        expand(check_experiment(parse_yaml(text, "experiment.yaml"), "experiment.yaml"))
    except UserError as error:
        return str(error).splitlines()
    return []


def alter(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)
