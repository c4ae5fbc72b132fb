"""Train the demo's base model from scratch: a Qwen2-shaped model that rewrites letter strings as told.

Reads:   data/scowl/american-english.txt (words that it must never be trained on)
Writes:  data/models/tiny-instruct/ (Hugging Face layout; the same bytes at every run on one machine)
Command: python data/make_tiny_instruct.py (about 7 minutes on 2 slow cores)
"""

import json
import os
import random
import shutil
import string
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import AddedToken
from tokenizers.pre_tokenizers import ByteLevel
from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM, Qwen2TokenizerFast

DATA_DIR = Path(__file__).resolve().parent
WORDS_PATH = DATA_DIR / "scowl" / "american-english.txt"
MODEL_DIR = DATA_DIR / "models" / "tiny-instruct"

SEED = 1
NUM_THREADS = 2  # sums depend on the number of threads; fixed so that the bytes do not
STEPS = 1600
WARMUP_STEPS = 40
BATCH_SIZE = 32
PEAK_LR = 3e-3
MIN_LETTERS, MAX_LETTERS = 3, 9

SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]  # ids 256 to 258

# Several tasks, not copying alone: after copying alone LoRA cannot teach a second task.
TASKS: dict[str, Callable[[str], str]] = {
    "": str,
    "copy: ": str,
    "upper: ": str.upper,
    "lower: ": str.lower,
    "reverse: ": lambda text: text[::-1],
}

# As Qwen2's, but without a default system prompt.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def special(token: str) -> AddedToken:
    """Returns a token that is never split and that decoding can skip."""
    return AddedToken(token, normalized=False, special=True)


def write_vocabulary(folder: Path) -> None:
    """Writes the 256 byte tokens, ids 0 to 255, and an empty list of merges."""
    vocabulary = {symbol: i for i, symbol in enumerate(sorted(ByteLevel.alphabet()))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")


def build_tokenizer(folder: Path) -> Qwen2TokenizerFast:
    """Returns a byte-level tokenizer of 259 tokens, the last three of them special as in Qwen2."""
    write_vocabulary(folder)
    tokenizer = Qwen2TokenizerFast(
        vocab_file=str(folder / "vocab.json"),
        merges_file=str(folder / "merges.txt"),
        unk_token=None,
        bos_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=512,
        additional_special_tokens=SPECIAL_TOKENS[1:],
        added_tokens_decoder={256 + i: special(token) for i, token in enumerate(SPECIAL_TOKENS)},
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def build_model(tokenizer: Qwen2TokenizerFast) -> Qwen2ForCausalLM:
    """Returns an untrained model of about 0.82 million parameters."""
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        rope_theta=1e4,
        initializer_range=0.08,  # about 1/sqrt(hidden_size); 0.02 learns far more slowly
        rms_norm_eps=1e-6,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    return Qwen2ForCausalLM(config)


def draw_text(draw: random.Random, forbidden: set[str]) -> str:
    """Returns a random string of letters that reads as no forbidden word in either direction.

    Half of the strings are in lower case, the others mix lower and upper case.
    """
    letters = draw.choice([string.ascii_lowercase, string.ascii_letters])
    text = "".join(draw.choices(letters, k=draw.randint(MIN_LETTERS, MAX_LETTERS)))
    if text.lower() in forbidden or text.lower()[::-1] in forbidden:
        return draw_text(draw, forbidden)
    return text


def render_prompt(tokenizer: Qwen2TokenizerFast, user: str) -> str:
    """Returns the chat up to where the assistant's answer begins."""
    messages = [{"role": "user", "content": user}]
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def draw_example(
    tokenizer: Qwen2TokenizerFast, draw: random.Random, forbidden: set[str]
) -> tuple[list[int], list[int]]:
    """Returns tokens and labels of one example; only the answer and its end token are trained."""
    instruction = draw.choice(list(TASKS))
    text = draw_text(draw, forbidden)
    prompt = tokenizer.encode(render_prompt(tokenizer, instruction + text))
    answer = [*tokenizer.encode(TASKS[instruction](text)), tokenizer.eos_token_id]
    return prompt + answer, [-100] * len(prompt) + answer


def draw_batch(
    tokenizer: Qwen2TokenizerFast, draw: random.Random, forbidden: set[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns tokens and labels, each [BATCH_SIZE, length], padded on the right."""
    examples = [draw_example(tokenizer, draw, forbidden) for _ in range(BATCH_SIZE)]
    length = max(len(tokens) for tokens, _ in examples)
    tokens = [t + [tokenizer.pad_token_id] * (length - len(t)) for t, _ in examples]
    labels = [y + [-100] * (length - len(y)) for _, y in examples]
    return torch.tensor(tokens), torch.tensor(labels)


def print_progress(step: int, loss: float, started: float) -> None:
    """Prints step, loss and time left to stderr, every 50 steps."""
    if step % 50 == 0 or step == STEPS:
        left_s = (time.monotonic() - started) / step * (STEPS - step)
        print(f"step {step}/{STEPS}  loss {loss:.3f}  {left_s:.0f} s left", file=sys.stderr)


def train(model: Qwen2ForCausalLM, tokenizer: Qwen2TokenizerFast, forbidden: set[str]) -> None:
    """Trains all weights with AdamW, a linear warm-up and a linear decay to zero."""
    draw = random.Random(SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LR, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARMUP_STEPS, (STEPS - step) / (STEPS - WARMUP_STEPS))
    )
    model.train()
    started = time.monotonic()
    for step in range(1, STEPS + 1):
        tokens, labels = draw_batch(tokenizer, draw, forbidden)
        loss = model(input_ids=tokens, labels=labels, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        print_progress(step, loss.item(), started)


def save(model: Qwen2ForCausalLM, tokenizer: Qwen2TokenizerFast, folder: Path) -> None:
    """Writes model and tokenizer into folder."""
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder, save_jinja_files=False)
    (folder / "added_tokens.json").unlink()  # says again what tokenizer_config.json says


@torch.no_grad()
def print_scores(
    model: Qwen2ForCausalLM, tokenizer: Qwen2TokenizerFast, forbidden: set[str], num_texts: int = 200
) -> None:
    """Prints, for each instruction, the share of fresh strings answered exactly right."""
    model.eval()
    tokenizer.padding_side = "left"
    for instruction, task in TASKS.items():
        draw = random.Random(SEED + 1)
        texts = [draw_text(draw, forbidden) for _ in range(num_texts)]
        prompts = [render_prompt(tokenizer, instruction + text) for text in texts]
        batch = tokenizer(prompts, return_tensors="pt", padding=True)
        output = model.generate(**batch, max_new_tokens=16)[:, batch.input_ids.shape[1] :]
        answers = tokenizer.batch_decode(output, skip_special_tokens=True)
        right = sum(answer == task(text) for answer, text in zip(answers, texts, strict=True))
        print(f"{instruction or '(none)':10s} {right / num_texts:.2f}", file=sys.stderr)


def main() -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(NUM_THREADS)
    torch.use_deterministic_algorithms(True)
    forbidden = set(WORDS_PATH.read_text(encoding="ascii").split())
    aside_dir = MODEL_DIR.with_name(MODEL_DIR.name + ".partial")
    shutil.rmtree(aside_dir, ignore_errors=True)
    aside_dir.mkdir(parents=True)
    tokenizer = build_tokenizer(aside_dir)
    model = build_model(tokenizer)
    train(model, tokenizer, forbidden)
    save(model, tokenizer, aside_dir)
    if MODEL_DIR.exists():
        shutil.rmtree(MODEL_DIR)
    os.replace(aside_dir, MODEL_DIR)
    print_scores(model, tokenizer, forbidden)


if __name__ == "__main__":
    main()
