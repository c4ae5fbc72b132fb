"""Texts that look alike and differ in their Unicode normal form: the message names the form and the cure."""

import json
from pathlib import Path

import pytest
from conftest import Bake
from cookiecutter.exceptions import FailedHookException
from ftexp.data.cell_text import Row, cell_text
from ftexp.data.tables import load_rows
from ftexp.ground.errors import UserError, suggestion
from ftexp.ground.normal_forms import alike, difference

NFC, NFD = "caf\u00e9", "cafe\u0301"
NAMED = (
    r"'cafe\u0301' differs in its Unicode normal form only "
    r"\(NFD, letter and accent apart; the other is NFC, letter and accent in one\)"
)


def test_texts_that_look_alike_are_told_apart_and_named() -> None:
    assert alike(NFC, ["x", NFC, NFD]) == NFD and alike(NFC, ["x", NFC]) is None
    assert difference(NFC, NFD).endswith("Write both in NFC") and "neither" in difference(NFC, NFD + "\u00e9")
    assert suggestion(NFC, ["x", NFD]).startswith(f"'{NFD}' differs in its Unicode normal form only (NFD")


def test_a_column_and_a_file_of_another_form_are_named(tmp_path: Path, bake: Bake, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=f"row 3: has no column '{NFC}'. Its columns: {NFD}. {NAMED}. Write both in NFC."):
        cell_text(Row({NFD: "a"}, "x.json", 3), NFC)
    rows = [{NFD: f"w{number}", "output": f"W{number}"} for number in range(40)]
    monkeypatch.chdir(tmp_path)
    Path(f"{NFD}.json").write_text(json.dumps(rows))
    with pytest.raises(UserError, match=f"{NFC}.json: there is no such file; 'cafe\u0301.json' beside it differs in its Unicode"):
        load_rows(Path(f"{NFC}.json"))
    with pytest.raises(FailedHookException, match=f"it has {NFD}, output; {NAMED}"):
        bake(data=f"{NFD}.json:{NFC}:output")
    prompt = 'factors={w: {a: {prompt.user: "{' + NFC + '}"}}, seed: [1]}'
    with pytest.raises(FailedHookException, match=f"prompt.user: {{{NFC}}}: unknown column. {NAMED}"):
        bake(data=f"{NFD}.json:{NFD}:output", factors=prompt.removeprefix("factors="))
