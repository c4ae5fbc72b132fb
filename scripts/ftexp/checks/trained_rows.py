"""The rows that a config's own data set makes, one by one, beside what evaluation makes of the same data."""

from collections.abc import Callable

from ftexp.design.run import Run
from ftexp.ground import paths
from ftexp.ground.yamlfile import load_yaml
from ftexp.models.chat import Chat
from ftexp.models.token_table import TokenTable
from ftexp.trainers.choice import trainer_of
from ftexp.trainers.training_row import TrainingRow


def check_training_rows(
    run: Run, chat: Chat, prompts: TokenTable, answers: TokenTable, where: Callable[[list[int]], str]
) -> list[str]:
    """The config's own data set, row by row: the tokens of evaluation, the mask, the end."""
    trainer, path = trainer_of(run), paths.RunPaths(run.training).finetune_yaml
    most, loss = trainer.longest_row(load_yaml(path, str(path))), run.settings["loss"]
    for row in trainer.training_rows(run):
        if len(row.tokens) > most:
            problem: str | None = f"has {len(row.tokens)} tokens, and the model takes {most}. Shorten or remove it"
        else:
            problem = _problem_of_row(row, prompts[row.index], answers[row.index], loss, chat)
        if problem:
            return [f"{where([row.index])}: {problem}"]
    return []


def _problem_of_row(row: TrainingRow, prompt: list[int], answer: list[int], loss: str, chat: Chat) -> str | None:
    """What is wrong with one row of the data set."""
    if row.tokens[: len(prompt)] != prompt:
        return "its tokens do not begin with those of evaluation. Report it"
    if row.tokens[len(prompt) :] != answer or row.tokens[-1] not in chat.stop_ids or row.labels[-1] != row.tokens[-1]:
        return "the token at which generation stops is not trained. Report it"
    masked = _masked(prompt, loss)
    if row.labels != [None] * masked + row.tokens[masked:]:
        return f"its mask does not cover what loss: {loss} says. Report it"
    return None


def _masked(prompt: list[int], loss: str) -> int:
    """Tokens at a row's beginning that are not trained; the first never is, since none predicts it."""
    return max(1, len(prompt)) if loss == "completion" else 1


def marked(chat: Chat, prompt: list[int], answer: list[int], loss: str) -> str:
    """Text of a training row, `⟦` and `⟧` around what is trained."""
    tokens, masked = prompt + answer, _masked(prompt, loss)
    return f"{chat.render(tokens[:masked])}⟦{chat.render(tokens[masked:])}⟧"


def too_long(run: Run, lengths: list[int]) -> tuple[Callable[[int], bool], Callable[[int], str]]:
    """Which rows have more tokens than the model takes, or max_seq_len lets pass; and what is said of one."""
    limits = [trainer_of(run).longest_text(paths.model_dir(run.settings["model"])), run.settings["max_seq_len"]]
    most = min(limit for limit in limits if limit is not None)
    what = "the model takes" if most == limits[0] else "max_seq_len is"
    return (lambda n: lengths[n] > most), (lambda n: f"has {lengths[n]} tokens, and {what} {most}. Shorten or remove it")
