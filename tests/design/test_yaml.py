"""YAML as we read and write it: as a scientist reads it, and a mistake with its place."""

from pathlib import Path

import pytest
from conftest import REPOSITORY
from ftexp.design.planning import HEADER
from ftexp.design.spec import read_experiment
from ftexp.ground.errors import UserError
from ftexp.ground.yamlfile import dump_yaml, parse_yaml
from helpers.good_document import GOOD, mistakes_of


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2\nb: 3\n", "experiment.yaml: line 2, column 2: not readable as YAML"),
        ("a: 1\nb: 2\na: 3\n", "experiment.yaml: line 3, column 1: not readable as YAML: key 'a' stands twice."),
        ("a: {b: 1, b: 2}\n", "experiment.yaml: line 1, column 11: not readable as YAML: key 'b' stands twice."),
        ("? [a]\n: b\n", "experiment.yaml: line 1, column 3: not readable as YAML: found unhashable key."),
        ("a: !!python/object:os.system x\n", "experiment.yaml: line 1, column 4: not readable as YAML"),
        ("a: &x [*x]\n", "experiment.yaml: not readable as YAML: an alias holds itself"),
        ('a: "\\ud83d"\n', "experiment.yaml: not readable as YAML: 'utf-8' codec"),
        ("- a\n", "experiment.yaml: must be a mapping of keys such as question, data, factors, got a list."),
        ("", "experiment.yaml: must be a mapping of keys such as question, data, factors, got nothing."),
    ],
)
def test_malformed_yaml_is_reported_with_its_place(text: str, message: str) -> None:
    assert mistakes_of(text)[0].startswith(message), mistakes_of(text)


def test_bytes_that_are_no_text_and_a_missing_file_are_one_message(tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    with pytest.raises(UserError, match="^experiment.yaml: there is no such file"):
        read_experiment(path)
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(UserError, match="^experiment.yaml: not UTF-8 text, at byte 3"):
        read_experiment(path)


def test_yaml_is_read_as_a_scientist_reads_it() -> None:
    text = "{a: 3e-4, b: on, c: no, d: 12:30:00, e: 010, f: 1E3, g: -.5, h: 2026-01-01, i: y, j: null, k: 0x10, l: 1_000}"
    read = parse_yaml(text, "x")
    assert read["a"] == 3e-4 and isinstance(read["a"], float)
    assert [read["b"], read["c"], read["d"], read["i"], read["k"], read["l"]] == ["on", "no", "12:30:00", "y", "0x10", "1_000"]
    assert (read["e"], read["f"], read["g"], read["j"]) == (10, 1000.0, -0.5, None)
    assert read["h"].isoformat() == "2026-01-01"


@pytest.mark.parametrize(
    "value", ["3e-4", "on", "no", "12:30:00", "1_000", "null", "~", "", "true", "2026-01-01", "a: b", "=", "<<", "é\n#"]
)
def test_a_text_that_we_write_is_read_back_by_us_and_by_omegaconf(value: str) -> None:
    from omegaconf import OmegaConf

    text = dump_yaml({"key": value})
    assert parse_yaml(text, "x") == {"key": value}
    assert OmegaConf.to_container(OmegaConf.create(text)) == {"key": value}


def test_what_we_write_is_read_by_a_fast_parser_to_the_same_values() -> None:
    import yaml
    from ftexp.ground.yamlfile import OUR_FIRST_LINE, _FastLoader, _Loader

    assert issubclass(_FastLoader, yaml.CSafeLoader), "the lock's PyYAML has libyaml"
    assert OUR_FIRST_LINE.match(HEADER)
    texts = [GOOD, *(path.read_text(encoding="utf-8") for path in sorted((REPOSITORY / "sites").glob("*.yaml")))]
    texts += ["{a: 3e-4, b: on, c: 12:30:00, d: 010, e: -.5, f: 2026-01-01, g: ~, h: 'x\\n'}"]
    for text in texts:
        assert repr(yaml.load(HEADER + text, Loader=_FastLoader)) == repr(yaml.load(text, Loader=_Loader))
    assert mistakes_of(HEADER + "a: [1, 2\nb: 3\n")[0].startswith("experiment.yaml: line 3, column 2: not readable as YAML")
    for text in ("[" * 100_000, "- " * 50_000, "{" * 5_000):
        assert mistakes_of(text)[0].startswith("experiment.yaml:")
