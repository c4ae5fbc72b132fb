"""The README of a stamped experiment: what is written follows the design, what a person writes stays."""

from pathlib import Path

import pytest
from conftest import Bake
from ftexp.design.planning import make_plan
from ftexp.ground import paths
from ftexp.life.readme import BEGIN, END, renew_readme


def _written(text: str) -> str:
    return text.partition(BEGIN)[2].partition(END)[0]


def test_a_new_readme_says_question_design_and_naming(bake: Bake) -> None:
    folder = bake(question="Does rank matter, at all?", factors="{lora_rank: [4, 16]}")
    text = (folder / "README.md").read_text()
    written = _written(text)
    assert text.startswith("# capitalization\n") and text.count(BEGIN) == text.count(END) == 1
    assert "\nDoes rank matter, at all?\n" in written
    assert "2 runs (2 lora_rank) and 1 control\nvaries: lora_rank: 4, 16\n" in written
    assert "Here `r4` is lora_rank 4." in written


@pytest.mark.parametrize("target", ["stamp", "plan"])
def test_the_written_part_follows_the_design_and_the_persons_part_stays(experiment: Path, target: str) -> None:
    import plan
    import stamp

    before = paths.README.read_bytes().replace(b"## Notes\n", b"## Notes\n\nWe expected 0.8, and \xff is no UTF-8.\n")
    paths.README.write_bytes(before)
    document = paths.EXPERIMENT_YAML.read_text().replace("lora_rank: [4, 16]", "lora_rank: [4, 16, 32]")
    paths.EXPERIMENT_YAML.write_text(document)
    assert {"stamp": stamp, "plan": plan}[target].main([]) == 0
    after = paths.README.read_bytes()
    assert b"6 runs (3 lora_rank x 2 lr) and 1 control" in after and b"6 runs" not in before
    assert after.partition(BEGIN.encode())[0] == before.partition(BEGIN.encode())[0]
    assert after.partition(END.encode())[2] == before.partition(END.encode())[2]
    assert b"\xff is no UTF-8" in after


def test_a_readme_without_the_marks_is_left_alone(experiment: Path) -> None:
    planned = make_plan()
    for text in ("# Mine\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\nold\n"):
        paths.README.write_text(text)
        assert not renew_readme(*planned)
        assert paths.README.read_text() == text
    paths.README.unlink()
    assert not renew_readme(*planned) and not paths.README.exists()


def test_renewing_twice_changes_nothing(experiment: Path) -> None:
    planned = make_plan()
    before = paths.README.read_bytes()
    assert not renew_readme(*planned), "what the hook wrote is what stamp writes"
    assert paths.README.read_bytes() == before
