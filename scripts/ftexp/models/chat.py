"""The tokens of a prompt and of its answer: the one place, used by training and by evaluation.

With a chat template: the prompt is the template rendered with the generation prompt; the answer is what the
template adds for the assistant's turn, up to and with the first end token. Without one: the user text, the
answer, the end token. The two meet where generation begins: the prompt's tokens are the same with and without an
answer, so that what is trained after the prompt is what generation can produce after it.

A whole document has no template: a token that stands before it, its own, the end token.
"""

import datetime
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftexp.data.conversations import Turn
from ftexp.ground.errors import UserError
from ftexp.models.template import Template, no_place
from ftexp.models.tokenizer_files import load_tokenizer
from ftexp.models.typed_keys import end_ids

Message = Turn
_PROBES = ("qvxa", "qvxb", "qvxc")  # texts that no template has of itself


class Chat:
    """Tokens of a model's prompts and answers, from the files of its folder.

    Attributes:
        stop_ids: Tokens at which generation stops: the end tokens of generation_config.json, config.json and the
            tokenizer, and the special token by which the template ends an answer.
        pad_id: The token that fills up a batch; it is masked, so which one it is changes nothing.
        unended: What the template writes after an answer where none of it stops generation. It is left out: the end token of
            the tokenizer stands in its place, in training and in evaluation.
    """

    def __init__(self, model_dir: str | Path, date: str, template: str | Path | None = None) -> None:
        """Load the tokenizer.

        Args:
            model_dir: Folder in Hugging Face layout.
            date: What a template that prints today's date gets, `YYYY-MM-DD`.
            template: File of a chat template that is used in place of the model's own.

        Raises:
            UserError: If the folder has no usable tokenizer, no end token, or a template that cannot render an answer.
        """
        self._dir = Path(model_dir)
        self.tokenizer: Any = load_tokenizer(self._dir)
        self._date = datetime.date.fromisoformat(date)
        self._template = Template(self.tokenizer, self._dir, self._date, Path(template) if template else None)
        after = self._after_an_answer()
        self.stop_ids = self._find_stop_ids(after)
        self.unended = "" if self.stop_ids & set(self._ids(after)) else after
        pad = self.tokenizer.pad_token_id
        self.pad_id: int = pad if pad is not None else min(self.stop_ids)

    def _find_stop_ids(self, after: str) -> frozenset[int]:
        """Those of the files; and the first special token after an answer: a base model's files may name only another end."""
        special = {number for number, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        ids = set([number for number in self._ids(after) if number in special][:1])
        for name in ("generation_config.json", "config.json"):
            path = self._dir / name
            ids |= set(end_ids(path)) if path.is_file() else set()
        ids |= {self.tokenizer.eos_token_id} - {None}
        if not ids:
            raise UserError(
                f"{self._dir}: names no end token (eos_token), so generation would never stop. Set it in tokenizer_config.json."
            )
        return frozenset(ids)

    def _after_an_answer(self) -> str:
        """What the template writes after an answer.

        Raises:
            UserError: If it leaves the answer out, or what is asked.
        """
        if not self.has_template:
            return ""
        question, answer, _ = _PROBES
        messages = [_user(question)]
        prompt = self._prompt(messages)
        turn = self._turn(messages, answer, prompt)
        for what, text, rendered in (("user's turn", question, prompt), ("answer", answer, turn)):
            if text not in rendered.lower():
                raise UserError(f"{self._template.place}: leaves the {what} out. {self._template.cure}")
        return turn.partition(answer)[2]

    @property
    def identity(self) -> tuple[str, str, str]:
        """What tokens depend on, texts aside: the model's folder, the date, the template."""
        return str(self._dir.resolve()), self._date.isoformat(), str(self.tokenizer.chat_template)

    @property
    def template_place(self) -> str:
        """Where the chat template stands, as a message begins."""
        return self._template.place

    @property
    def has_template(self) -> bool:
        """Whether the model has a chat template."""
        return bool(self.tokenizer.chat_template)

    @property
    def prefix_id(self) -> int:
        """What stands before a text that has nothing before it, as in lm-evaluation-harness: BOS, or else the end token."""
        bos = self.tokenizer.bos_token_id
        return int(bos) if bos is not None else self.end_id

    @property
    def end_id(self) -> int:
        """The token that ends a text of no template: the tokenizer's end token, or else one at which generation stops."""
        eos = self.tokenizer.eos_token_id
        return int(eos) if eos is not None else min(self.stop_ids)

    def document_ids(self, text: str) -> list[int]:
        """Token ids of a whole document: what stands before it, the tokens of the text as it is, the end token."""
        return self.documents_ids([text])[0]

    def documents_ids(self, texts: list[str]) -> list[list[int]]:
        """`document_ids` of many texts."""
        return [[self.prefix_id, *ids, self.end_id] for ids in self._many_ids(texts)]

    def prompt_ids(self, messages: list[Message]) -> list[int]:
        """Token ids that the model sees before it answers; BOS once, where the template or the tokenizer gives it.

        Raises:
            UserError: If there is a system turn and the template has no place for it, or there is no template.
        """
        if self.has_template:
            return self._ids(self._prompt(messages))
        return self._leading_ids() + self._ids(self._plain(messages))

    def answer_ids(self, messages: list[Message], answer: str) -> list[int]:
        """Token ids of the answer, the last of which is the token at which generation stops.

        Raises:
            UserError: If the template renders the prompt differently once there is an answer.
        """
        if not self.has_template:
            return self._cut_after_end(self._ids(answer))
        prompt = self._prompt(messages)
        turn = self._turn(messages, answer, prompt).removesuffix(self.unended)
        return self._ids_of_turn(self._ids(prompt), self._ids(prompt + turn), turn)

    def example_ids(self, examples: Sequence[tuple[list[Message], str]]) -> list[tuple[list[int], list[int]]]:
        """`prompt_ids` and `answer_ids` of many examples, of turns and an answer each: the same in a third of the time."""
        if not self.has_template:
            return [(self.prompt_ids(messages), self.answer_ids(messages, answer)) for messages, answer in examples]
        prompts = self._template.render_many([messages for messages, _ in examples], is_prompt=True)
        fulls = self._template.render_many([_whole(*example) for example in examples], is_prompt=False)
        turns = [
            self._turn_in(full, messages, answer, self._with_system(messages, prompt)).removesuffix(self.unended)
            for full, (messages, answer), prompt in zip(fulls, examples, prompts, strict=True)
        ]
        wholes = self._many_ids([prompt + turn for prompt, turn in zip(prompts, turns, strict=True)])
        begins = self._many_ids(prompts)
        return [(begin, self._ids_of_turn(begin, ids, turn)) for begin, ids, turn in zip(begins, wholes, turns, strict=True)]

    def _ids_of_turn(self, prompt_ids: list[int], ids: list[int], turn: str) -> list[int]:
        """The answer's ids where `ids` are those of prompt and turn; where a token reaches over both, those of the turn alone."""
        is_cut_there = ids[: len(prompt_ids)] == prompt_ids
        return self._cut_after_end(ids[len(prompt_ids):] if is_cut_there else self._ids(turn))

    def own_system_text(self) -> str | None:
        """What the template puts before the first user text where the experiment gives no system text (None: nothing).

        Qwen's default system prompt, for example, or Llama 3.1's dates. It is what stands there and not before a second
        user text: no special token, no name of a role.
        """
        if not self.has_template:
            return None
        first, answer, second = _PROBES
        turns = [_user(first), {"role": "assistant", "content": answer}, _user(second)]
        head, _, rest = self._template.render(turns, is_prompt=True).partition(first)
        frame = rest.rpartition(second)[0].partition(answer)[2]
        own = self._without_special(head).removesuffix(self._without_special(frame)).strip()
        return re.sub(r"^system(\n|$)", "", own) or None

    def trims(self) -> tuple[str, ...]:
        """Which texts do not keep the blanks at their ends, of `user` (on the way in) and `answer` (there and back)."""
        word = _PROBES[0]
        blank = [text for blank in " \n" for text in (blank + word, word + blank)]
        bare_ids = self.prompt_ids([_user(word)])
        changed = {
            "user": any(self.prompt_ids([_user(text)]) == bare_ids for text in blank),
            "answer": any(self.decode(self.answer_ids([_user(word)], text)) != text for text in blank),
        }
        return tuple(name for name, is_changed in changed.items() if is_changed)

    def decode(self, ids: list[int]) -> str:
        """Text of generated ids, without special tokens; Llama 3's own settings would turn `Yes .` into `Yes.`."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def render(self, ids: list[int]) -> str:
        """Text of ids with special tokens, for a person to look at."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _cut_after_end(self, ids: list[int]) -> list[int]:
        for position, token in enumerate(ids):
            if token in self.stop_ids:
                return ids[: position + 1]
        return [*ids, self.end_id]

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _many_ids(self, texts: list[str]) -> list[list[int]]:
        return list(self.tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"])

    def _leading_ids(self) -> list[int]:
        """What the tokenizer puts before a text by itself (BOS, or nothing)."""
        bos = self.tokenizer.bos_token_id
        begins = self.tokenizer("a")["input_ids"][:1]
        return [bos] if bos is not None and begins == [bos] else []

    def _without_special(self, text: str) -> str:
        """The text's pieces between special tokens, a line each, without outer blanks."""
        special = [re.escape(str(token)) for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        pieces = re.split("|".join(special), text) if special else [text]
        return "\n".join(piece.strip() for piece in pieces if piece.strip())

    def _plain(self, messages: list[Message]) -> str:
        if len(messages) > 1 and messages[-2]["role"] == "assistant":
            what = "has no chat template, so there is no place for the turns before the last question"
            raise UserError(f"{self._dir}: {what}. Use a model with a template, or data without conversations.")
        if len(messages) != 1 or messages[0]["role"] != "user":
            raise no_place(f"{self._dir} has no chat template, so there is no place for a system turn")
        return messages[0]["content"]

    def _prompt(self, messages: list[Message]) -> str:
        return self._with_system(messages, self._template.render(messages, is_prompt=True))

    def _with_system(self, messages: list[Message], text: str) -> str:
        """A rendered prompt, if it holds the system turn."""
        if messages[0]["role"] == "system" and messages[0]["content"].strip() not in text:
            raise no_place(f"{self._template.called} leaves the system turn out")
        return text

    def _turn(self, messages: list[Message], answer: str, prompt: str) -> str:
        """What the template adds to the prompt for the assistant's turn."""
        full = self._template.render(_whole(messages, answer), is_prompt=False)
        return self._turn_in(full, messages, answer, prompt)

    def _turn_in(self, full: str, messages: list[Message], answer: str, prompt: str) -> str:
        if full.startswith(prompt):
            return full[len(prompt):]
        if messages[0]["role"] == "system":  # Mistral's print it in the last turn only, so not once there is an answer
            turn = self._turn(messages[1:], answer, self._prompt(messages[1:]))
            if full.endswith(turn):
                return turn
        raise UserError(
            f"{self._template.place}: renders another prompt before an answer than for generation, "
            f"so training and evaluation would differ: {prompt[-60:]!r} is not in {full[:len(prompt) + 20][-80:]!r}. "
            "Use a template in which the generation prompt begins the assistant's turn."
        )


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _whole(messages: list[Message], answer: str) -> list[Message]:
    return [*messages, {"role": "assistant", "content": answer}]
