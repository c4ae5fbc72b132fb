"""The tokenizer component: the model's own tokenizer and chat template, as evaluation uses them."""

from ftexp.models.chat import Chat


class ChatTokenizer(Chat):
    """`Chat` under the arguments that a torchtune config gives; the recipe asks of it only `pad_id`."""

    def __init__(self, path: str, date: str, template: str | None = None) -> None:
        """Load from the model's folder `path`; `date` is what a template gets that prints today's, `template` one's own file."""
        super().__init__(path, date, template)
