"""Small changes to a tiny experiment in the working folder, out of which mistakes are made."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from ftexp.ground import paths
from safetensors.torch import load_file, save_file

Change = Callable[[], None]
MODEL = Path("models/tiny")


def edit_yaml(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")


def edit_json(name: str, **changes: Any) -> None:
    path = MODEL / name
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def experiment(**sections: Any) -> Change:
    """Lay sections over experiment.yaml; `factors` are put in place of the old; None removes a key of a section."""

    def change(document: dict[str, Any]) -> None:
        for key, value in sections.items():
            old = document.get(key)
            is_laid_over = isinstance(old, dict) and isinstance(value, dict) and key != "factors"
            laid = {**old, **value} if is_laid_over else value  # type: ignore[dict-item]
            document[key] = {name: held for name, held in laid.items() if held is not None} if is_laid_over else laid

    return lambda: edit_yaml(paths.EXPERIMENT_YAML, change)


def constants(**values: Any) -> Change:
    return experiment(constants={key.replace("__", "."): value for key, value in values.items()})


def free(*names: str) -> Change:
    """Take constants out, for a factor to set."""
    return constants(**dict.fromkeys(names))


def site(**values: Any) -> Change:
    return lambda: edit_yaml(paths.SITE_YAML, lambda document: document.update(values))


def rows(change: Callable[[list[dict[str, Any]]], Any]) -> Change:
    """Edit the rows of the data."""

    def edit() -> None:
        path = Path("data/raw/rows.json")
        document = json.loads(path.read_text(encoding="utf-8"))
        change(document)
        path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")

    return edit


def in_every_row(**values: Any) -> Change:
    return rows(lambda document: [row.update(values) for row in document])


def template(text: str) -> Change:
    return lambda: (MODEL / "chat_template.jinja").write_text(text, encoding="utf-8") and None


def both(*changes: Change) -> Change:
    return lambda: [change() for change in changes] and None


def tensors(change: Callable[[dict[str, Any]], Any]) -> Change:
    def edit() -> None:
        held = load_file(MODEL / "model.safetensors")
        change(held)
        save_file(held, MODEL / "model.safetensors", metadata={"format": "pt"})

    return edit


def document(content: str | bytes) -> Change:
    """experiment.yaml as a whole."""
    data = content if isinstance(content, bytes) else content.encode("utf-8")
    return lambda: paths.EXPERIMENT_YAML.write_bytes(data) and None


def more(text: str) -> Change:
    """Text after the end of experiment.yaml."""
    return lambda: paths.EXPERIMENT_YAML.write_bytes(paths.EXPERIMENT_YAML.read_bytes() + text.encode()) and None


def encoded(encoding: str) -> Change:
    def change() -> None:
        text = paths.EXPERIMENT_YAML.read_text(encoding="utf-8")
        paths.EXPERIMENT_YAML.write_bytes(text.encode(encoding))

    return change


def data_file(name: str, content: bytes) -> Change:
    """Another data file, named as the source."""

    def change() -> None:
        path = Path("data/raw") / name
        path.write_bytes(content)
        experiment(data={"source": str(path)})()

    return change


def parquet(columns: dict[str, Any]) -> Change:
    def change() -> None:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.table(columns), "data/raw/rows.parquet")
        experiment(data={"source": "data/raw/rows.parquet"})()

    return change


def source(name: str) -> Change:
    return experiment(data={"source": name})


def levels(**factors: Any) -> Change:
    return experiment(factors=factors)


def without(name: str) -> Change:
    return lambda: (MODEL / name).unlink()


def weights(edit: Callable[[bytes], bytes]) -> Change:
    path = MODEL / "model.safetensors"
    return lambda: path.write_bytes(edit(path.read_bytes())) and None


def shards(change: Callable[[dict[str, Any]], Any]) -> Change:
    """The weights as two files and an index, which is changed."""

    def edit() -> None:
        held = load_file(MODEL / "model.safetensors")
        names = sorted(held)
        index: dict[str, Any] = {"metadata": {}, "weight_map": {}}
        for number, part in enumerate((names[: len(names) // 2], names[len(names) // 2 :]), 1):
            file = f"model-{number:05}-of-00002.safetensors"
            save_file({name: held[name] for name in part}, MODEL / file, metadata={"format": "pt"})
            index["weight_map"] |= dict.fromkeys(part, file)
        (MODEL / "model.safetensors").unlink()
        change(index)
        (MODEL / "model.safetensors.index.json").write_text(json.dumps(index))

    return edit


def model_named(name: str) -> Change:
    return constants(model=name)


def bomb(depth: int) -> str:
    lines = ["b0: &b0 [x]"] + [f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 10)}]" for n in range(1, depth)]
    return "\n".join(lines) + "\n"


def file(name: str, content: str | bytes) -> Change:
    """A file of the model's folder."""
    return lambda: (MODEL / name).write_bytes(content if isinstance(content, bytes) else content.encode()) and None


def written(word: str, text: str) -> Change:
    """Put what YAML would write otherwise in the place of a word."""

    def change() -> None:
        old = paths.EXPERIMENT_YAML.read_text(encoding="utf-8")
        assert old.count(word) == 1
        paths.EXPERIMENT_YAML.write_text(old.replace(word, text), encoding="utf-8")

    return change
