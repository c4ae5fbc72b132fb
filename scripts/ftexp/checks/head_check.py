"""The rows that a classifier trains on, as its config's own data set makes them: the prompts of evaluation, and their labels."""

from collections.abc import Callable, Sequence

from ftexp.design.run import Run
from ftexp.ground import paths
from ftexp.ground.yamlfile import load_yaml
from ftexp.models.chat import Chat
from ftexp.models.token_table import TokenTable
from ftexp.trainers.choice import trainer_of


def check_labelled_rows(run: Run, prompts: TokenTable, answers: Sequence[str], where: Callable[[list[int]], str]) -> list[str]:
    """Every row has the tokens of evaluation's prompt, as many as the model takes, and its answer's number among run.labels.

    Args:
        prompts: Per row of the training set the tokens that evaluation would give.
        answers: Per row its answer.
    """
    from ftexp.trainers.labelled_rows import LabelledRows
    from ftexp.trainers.prompted_rows import chat_of

    path = paths.RunPaths(run.training).finetune_yaml
    config = load_yaml(path, str(path))
    most = trainer_of(run).longest_row(config)
    rows = LabelledRows(chat_of(config["tokenizer"]), config["model"]["labels"], config["dataset"])
    for position, index in enumerate(rows.order):
        row = rows[position]
        problem = ""
        if len(row["tokens"]) > most:
            problem = f"has {len(row['tokens'])} tokens, and the model takes {most}. Shorten or remove it"
        elif row["tokens"] != prompts[index]:
            problem = "its tokens are not those of evaluation. Report it"
        elif run.labels[row["labels"] :][:1] != [answers[index]]:
            problem = f"trains label {row['labels']}, which is not its answer where the run is evaluated. Report it"
        if problem:
            return [f"{where([index])}: {problem}"]
    return []


def labelled(chat: Chat, prompt: list[int], answer: str) -> str:
    """Text of a training row, and between `⟦` and `⟧` the label that is trained."""
    return f"{chat.render(prompt)} ⟦label {answer!r}⟧"
