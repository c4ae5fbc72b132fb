"""SemScore by a tiny random BERT: what sentence-transformers makes of the same folder; what is refused; what is computed once."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ftexp.ground.errors import UserError
from ftexp.scoring import embeddings, semscore
from ftexp.scoring.verdicts import Verdict
from helpers.questions import judged, question, random_questions, value
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, BertTokenizerFast, PreTrainedTokenizerFast

QUESTIONS = random_questions(150, seed=4)
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'-&;<>()éß日本語мир"
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "##at")
VOCABULARY = [*WORDS, *CHARACTERS, *(f"##{char}" for char in CHARACTERS)]
Edit = Callable[[Path], None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models/bert, as sentence-transformers saves it, and models/plain, as transformers does."""
    root = tmp_path_factory.mktemp("made")
    plain = root / "models/plain"
    plain.mkdir(parents=True)
    (plain / "vocab.txt").write_text("\n".join(VOCABULARY), encoding="utf-8")
    BertTokenizerFast(str(plain / "vocab.txt"), model_max_length=40).save_pretrained(plain)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    BertModel(BertConfig(len(VOCABULARY), **shape, max_position_embeddings=64, initializer_range=0.3)).save_pretrained(plain)
    layers = [Transformer(str(plain), max_seq_length=20), Pooling(32, "mean"), Normalize()]
    SentenceTransformer(modules=layers, device="cpu").save(str(root / "models/bert"))
    return root


@pytest.fixture
def bert(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of models/bert in the working folder, in double precision, so that batches of other shapes differ in nothing."""
    shutil.copytree(made / "models", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(embeddings, "DTYPE", torch.float64)
    yield tmp_path / "models/bert"
    embeddings.embedder_of.cache_clear()
    semscore._kept.clear()


def oracle(folder: Path, pairs: list[tuple[str, str]]) -> list[float]:
    """Cosines by sentence-transformers."""
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float64})
    ours, theirs = (model.encode([pair[place] for pair in pairs], batch_size=1) for place in (0, 1))
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return list((ours * theirs).sum(axis=1) / lengths)


@pytest.mark.parametrize("model", ["bert", "plain"])
@pytest.mark.parametrize("compare", ["continuation", "text"])
def test_semscore_is_the_cosine_of_sentence_transformers(bert: Path, model: str, compare: str) -> None:
    before = [each.prompt if compare == "text" else "" for each in QUESTIONS]
    pairs = [(prompt + each.answer, prompt + each.target) for prompt, each in zip(before, QUESTIONS, strict=True)]
    found = [verdict.value for verdict in judged("semscore", QUESTIONS, model=model, compare=compare)]
    assert found == pytest.approx(oracle(bert.parent / model, pairs), abs=1e-9)
    assert min(number for number in found if number is not None) < 0.95


def test_long_texts_are_cut_where_the_folder_says(bert: Path) -> None:
    ends = {"bert": 18, "plain": 38}  # of 20 and 40 tokens, [CLS] and [SEP] aside
    for model, end in ends.items():
        same, other = "a " * end, "a " * (end - 1)
        assert value("semscore", same + "b c", same + "d", model=model) == pytest.approx(1, abs=1e-12)
        assert value("semscore", other + "b c", other + "d", model=model) != pytest.approx(1, abs=1e-12)
    embeddings.embedder_of.cache_clear()
    edit(bert / "sentence_bert_config.json", max_seq_length=12)
    assert value("semscore", "a " * 10 + "b", "a " * 10 + "c", model="bert") == pytest.approx(1, abs=1e-12)


def test_a_folder_that_says_lower_case_has_it(bert: Path) -> None:
    edit(bert / "tokenizer_config.json", do_lower_case=False)
    tokenizer = json.loads((bert / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (bert / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert value("semscore", "CAT", "cat", model="bert") != pytest.approx(1)
    embeddings.embedder_of.cache_clear()
    semscore._kept.clear()
    edit(bert / "sentence_bert_config.json", do_lower_case=True)
    assert value("semscore", "CAT", "cat", model="bert") == pytest.approx(1)


def test_in_single_precision_it_is_the_same_to_six_digits(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "DTYPE", torch.float32)
    found = [verdict.value for verdict in judged("semscore", QUESTIONS, model="bert")]
    assert found == pytest.approx(oracle(bert, [(each.answer, each.target) for each in QUESTIONS]), abs=1e-5)


def test_an_empty_text_is_the_special_tokens_and_without_these_a_gap(bert: Path) -> None:
    assert value("semscore", "", " ", model="bert") == pytest.approx(1)
    word_level = Tokenizer(models.WordLevel({word: number for number, word in enumerate(VOCABULARY)}, "[UNK]"))
    word_level.pre_tokenizer = pre_tokenizers.Whitespace()
    for path in bert.glob("tokenizer*"):
        path.unlink()
    PreTrainedTokenizerFast(tokenizer_object=word_level, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(bert)
    embeddings.embedder_of.cache_clear()
    questions = [question("", "cat"), question("cat", "cat"), question("cat", " ")]
    answer, same, target = judged("semscore", questions, model="bert")
    assert answer == Verdict(None, "the answer has no token to embed") and same.value == pytest.approx(1)
    assert target == Verdict(None, "the target has no token to embed")


def test_a_text_is_computed_once(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []
    original = embeddings.Embedder.embed

    def embed(self: embeddings.Embedder, texts: Any) -> Any:
        computed.extend(texts)
        return original(self, list(texts))

    monkeypatch.setattr(embeddings.Embedder, "embed", embed)
    first = judged("semscore", [question("cat", "sat"), question("cat", "the cat")], model="bert")
    second = judged("semscore", [question("sat", "sat"), question("at", "the cat"), question("cat", "sat")], model="bert")
    assert sorted(computed) == ["at", "cat", "sat", "the cat"] and second[2] == first[0]
    monkeypatch.setattr(semscore, "MOST_KEPT", 2)
    assert judged("semscore", [question("cat", "sat"), question("a", "b")], model="bert")[0] == first[0]
    assert [text for _, text in semscore._kept] == ["cat", "sat"]


def edit(path: Path, **changes: Any) -> None:
    """Set keys of a JSON file, which need not be there."""
    document = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**document, **changes}))


def with_dense(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    dense = {"idx": 3, "name": "3", "path": "3_Dense", "type": "sentence_transformers.models.Dense"}
    (folder / "modules.json").write_text(json.dumps([*modules, dense]))


def without_pooling(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:1]))


def cls_as_older_versions_say(folder: Path) -> None:
    modes = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": False}
    (folder / "1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": 32, **modes}))


MISTAKES: dict[str, tuple[Edit, str]] = {
    "dense": (with_dense, "models/bert/modules.json: must hold Transformer, Pooling and Normalize only, got Dense. Name an"),
    "no pooling": (without_pooling, "models/bert/modules.json: must hold Transformer and Pooling, got Transformer. Name an"),
    "old cls": (cls_as_older_versions_say, "models/bert/1_Pooling/config.json: pooling_mode: must be mean, got cls. Name an"),
    "two": (
        lambda folder: edit(folder / "1_Pooling/config.json", pooling_mode=["mean", "max"]),
        "models/bert/1_Pooling/config.json: pooling_mode: must be mean, got mean, max. Name an",
    ),
    "prompt": (
        lambda folder: edit(folder / "config_sentence_transformers.json", default_prompt_name="query"),
        "models/bert/config_sentence_transformers.json: default_prompt_name: must be none, got query. Name another",
    ),
    "no model": (
        lambda folder: (folder / "config.json").unlink(),
        "experiment.yaml: evaluation.scorers: semscore: model must be a folder in models/ with an embedding model, got bert. Put",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_an_embedding_that_is_no_mean_over_the_tokens_is_refused(bert: Path, name: str) -> None:
    change, message = MISTAKES[name]
    change(bert)
    with pytest.raises(UserError) as raised:
        value("semscore", "a", "b", model="bert")
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value)


def test_the_mean_as_older_versions_say_it_is_taken(bert: Path) -> None:
    before = value("semscore", "the cat", "sat", model="bert")
    modes = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (bert / "1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": 32, **modes}))
    embeddings.embedder_of.cache_clear()
    assert value("semscore", "the cat", "sat", model="bert") == before
