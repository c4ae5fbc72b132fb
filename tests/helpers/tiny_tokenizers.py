"""Minute tokenizers in Hugging Face layout: special tokens, BOS, ends and chat templates as those of the real models.

Two kinds of vocabulary, both of single bytes and letters. `bytes` cuts as Llama 3, Qwen and Mistral Nemo do. `pieces` cuts as
SentencePiece models do: a blank is `▁`, and one is put before every text (Llama 2, Mistral, Phi-3) or not (Gemma), so that
a text cut in two pieces has other tokens than the whole.
"""

import string
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from transformers import GenerationConfig, PreTrainedTokenizerFast

TEMPLATES = Path(__file__).parent / "chat_templates"
BOS = "<|begin_of_text|>"

# As Qwen2's, but without a default system prompt.
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Llama 3.2's, without tools: begins with BOS, dates itself, trims.
LLAMA3 = (
    "{{- bos_token }}"
    "{%- if not date_string is defined %}{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}"
    "{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content'] | trim %}{%- set messages = messages[1:] %}"
    "{%- else %}{%- set system = '' %}{%- endif %}"
    "{{- '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + date_string + '\n\n' + system + '<|eot_id|>' }}"
    "{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
)


@dataclass(frozen=True)
class TinyTokenizer:
    """What a model's tokenizer files say.

    Attributes:
        special: Its special tokens, in the order of their ids.
        stops: The end tokens that generation_config.json names.
        template: The chat template: a text, or the name of a file in tests/chat_templates/ without its ending.
        puts_bos: Whether the tokenizer itself puts BOS before a text.
        kind: bytes, pieces (a blank before every text) or pieces without a blank.
        swallows: Special tokens that take the blanks after them away.
    """

    special: tuple[str, ...]
    bos: str | None
    eos: str
    pad: str | None
    stops: tuple[str, ...]
    template: str | None
    puts_bos: bool = True
    kind: str = "bytes"
    swallows: tuple[str, ...] = ()

    @property
    def text(self) -> str | None:
        """The chat template's text."""
        path = TEMPLATES / f"{self.template}.jinja"
        if self.template is None or "{" in self.template:
            return self.template
        return path.read_bytes().decode("utf-8")


_LLAMA3 = (BOS, "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
_LLAMA3_1 = (*_LLAMA3[:4], "<|eom_id|>", "<|eot_id|>", "<|python_tag|>")
_CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_LLAMA2 = ("<unk>", "<s>", "</s>")
_MISTRAL = (*_LLAMA2, "[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]")
_GEMMA = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
_PHI3_TURNS = ("<|assistant|>", "<|system|>", "<|end|>", "<|user|>")
_PHI3_STOPS = ("<|endoftext|>", "<|assistant|>", "<|end|>")
_PHI3 = (*_LLAMA2, "<|endoftext|>", *_PHI3_TURNS)


def _phi3(template: str, puts_bos: bool) -> TinyTokenizer:
    return TinyTokenizer(
        _PHI3, "<s>", "<|endoftext|>", "<|endoftext|>", _PHI3_STOPS, template, puts_bos, "pieces", swallows=_PHI3_TURNS
    )


TOKENIZERS: dict[str | None, TinyTokenizer] = {
    "chatml": TinyTokenizer(_CHATML, None, "<|im_end|>", "<|endoftext|>", ("<|im_end|>",), CHATML),
    "llama3": TinyTokenizer(_LLAMA3, BOS, "<|eot_id|>", None, ("<|end_of_text|>", "<|eot_id|>"), LLAMA3),
    None: TinyTokenizer(_LLAMA3[:2], BOS, "<|end_of_text|>", None, ("<|end_of_text|>",), None),
    "llama2": TinyTokenizer(_LLAMA2, "<s>", "</s>", None, ("</s>",), "llama2", kind="pieces"),
    "llama3-instruct": TinyTokenizer(_LLAMA3, BOS, "<|eot_id|>", None, ("<|end_of_text|>", "<|eot_id|>"), "llama3"),
    "llama3.1": TinyTokenizer(
        _LLAMA3_1, BOS, "<|eot_id|>", None, ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"), "llama3_1"
    ),
    "llama3.2": TinyTokenizer(
        _LLAMA3_1, BOS, "<|eot_id|>", None, ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"), "llama3_2"
    ),
    "mistral-v0.2-first": TinyTokenizer(_LLAMA2, "<s>", "</s>", None, ("</s>",), "mistral_v0_2_first", kind="pieces"),
    "mistral-v0.2": TinyTokenizer(_LLAMA2, "<s>", "</s>", None, ("</s>",), "mistral_v0_2", kind="pieces"),
    "mistral-v0.3": TinyTokenizer(_MISTRAL, "<s>", "</s>", None, ("</s>",), "mistral_v0_3", kind="pieces"),
    "mistral-nemo": TinyTokenizer(_MISTRAL, "<s>", "</s>", None, ("</s>",), "mistral_nemo"),
    "gemma": TinyTokenizer(_GEMMA, "<bos>", "<eos>", "<pad>", ("<eos>",), "gemma2", kind="pieces without a blank"),
    "gemma2": TinyTokenizer(
        _GEMMA, "<bos>", "<eos>", "<pad>", ("<eos>", "<end_of_turn>"), "gemma2", kind="pieces without a blank"
    ),
    "qwen2": TinyTokenizer(_CHATML, None, "<|im_end|>", "<|endoftext|>", ("<|im_end|>", "<|endoftext|>"), "qwen2"),
    "qwen2.5": TinyTokenizer(_CHATML, None, "<|im_end|>", "<|endoftext|>", ("<|im_end|>", "<|endoftext|>"), "qwen2_5"),
    "qwen2.5-base": TinyTokenizer(_CHATML, None, "<|endoftext|>", "<|endoftext|>", ("<|endoftext|>",), "qwen2_5"),
    "phi3-first": _phi3("phi3_first", puts_bos=True),
    "phi3": _phi3("phi3", puts_bos=False),
    "phi3.5": _phi3("phi3_5", puts_bos=False),
}


def save_tokenizer(folder: Path, name: str | None) -> PreTrainedTokenizerFast:
    """Write a tokenizer's files into `folder`, and return it.

    Args:
        name: A key of TOKENIZERS.
    """
    made = TOKENIZERS[name]
    backend = _bytes() if made.kind == "bytes" else _pieces(puts_blank=made.kind == "pieces")
    backend.add_special_tokens(
        [AddedToken(token, normalized=False, special=True, rstrip=token in made.swallows) for token in made.special]
    )
    if made.bos and made.puts_bos:
        backend.post_processor = processors.TemplateProcessing(
            single=f"{made.bos} $A", special_tokens=[(made.bos, backend.token_to_id(made.bos))]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=made.bos, eos_token=made.eos, pad_token=made.pad,
        clean_up_tokenization_spaces=True,  # as Llama 3's own; it turns "a ." into "a."
    )
    tokenizer.chat_template = made.text
    tokenizer.save_pretrained(folder)
    return tokenizer


def generation_config(tokenizer: PreTrainedTokenizerFast, name: str | None) -> GenerationConfig:
    """The generation_config.json that belongs to it."""
    ends = sorted(tokenizer.convert_tokens_to_ids(token) for token in TOKENIZERS[name].stops)
    return GenerationConfig(eos_token_id=ends, pad_token_id=tokenizer.pad_token_id)


def _bytes() -> Tokenizer:
    vocabulary = {symbol: number for number, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return backend


def _pieces(*, puts_blank: bool) -> Tokenizer:
    letters = string.ascii_letters + string.digits + string.punctuation + "\n"
    symbols = [*(f"<0x{byte:02X}>" for byte in range(256)), "▁", *letters, *(f"▁{letter}" for letter in letters)]
    merges = [("▁", letter) for letter in letters]
    vocabulary = {symbol: number for number, symbol in enumerate(symbols)}
    backend = Tokenizer(BPE(vocab=vocabulary, merges=merges, byte_fallback=True))
    blanks = normalizers.Replace(" ", "▁")
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), blanks]) if puts_blank else blanks
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if puts_blank else steps)
    return backend
