"""JOBS, ONLY, DRY, YES and FORCE: what they mean, and what is none."""

import re
import sys

import pytest
from ftexp.ground.errors import UserError
from ftexp.ground.options import Options, confirm, read_options
from helpers.stand_in_stages import SURE

BAD_OPTIONS = [
    *((("JOBS", value), "JOBS: must be a whole number above 0, got ") for value in ("0", "-1", "two", "1.5", " 2", "²", "1e3")),
    *(((name, value), f"{name}: must be 1 or 0, got ") for name in ("DRY", "YES", "FORCE") for value in ("yes", "2", " ")),
]


@pytest.fixture
def _no_options(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JOBS", "ONLY", "DRY", "YES", "FORCE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_no_options")
@pytest.mark.parametrize(("option", "message"), BAD_OPTIONS)
def test_an_option_that_is_none_is_one_message(option: tuple[str, str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(*option)
    with pytest.raises(UserError, match=f"^{re.escape(message + repr(option[1]))}"):
        read_options()


@pytest.mark.usefixtures("_no_options")
def test_options_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_options() == Options()
    for name, value in {"JOBS": "3", "ONLY": "r16_*", "DRY": "1", "YES": "0", "FORCE": "1"}.items():
        monkeypatch.setenv(name, value)
    assert read_options() == Options(3, "r16_*", is_dry=True, is_sure=False, is_forced=True)
    for name in ("JOBS", "DRY", "YES", "FORCE"):
        monkeypatch.setenv(name, "")
    assert read_options() == Options(only="r16_*")
    for nothing in ("", "  "):
        monkeypatch.setenv("ONLY", nothing)
        with pytest.raises(UserError, match="ONLY: is empty"):
            read_options()


def test_only_means_runs_by_a_pattern_and_has_to_mean_one() -> None:
    runs = [f"r{number}_a" for number in range(7)]
    assert [run for run in runs if Options(only="r[1-2]_*").picks(run)] == runs[1:3]
    assert not Options(only="R1_a").picks("r1_a")
    assert [run for run in runs if Options(only="r*", names=frozenset(runs[:1])).picks(run)] == runs[:1]
    with pytest.raises(UserError, match=re.escape("ONLY: no run's id matches 'r9*'. Runs are r0_a, r1_a, r2_a, r3_a, r4_a, ...")):
        Options(only="r9*").require_picked(runs)
    Options(names=frozenset()).require_picked(runs)


def test_only_takes_several_patterns_each_of_which_has_to_mean_a_run() -> None:
    runs = [f"r{number}_a" for number in range(4)]
    assert [run for run in runs if Options(only=" r1_*  r3_a ").picks(run)] == [runs[1], runs[3]]
    Options(only="r1_* r3_a").require_picked(runs)
    with pytest.raises(UserError, match=re.escape("ONLY: no run's id matches 'r9_a'. Runs are r0_a, r1_a, r2_a, r3_a")):
        Options(only="r1_* r9_a").require_picked(runs)


def test_only_a_terminal_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def __init__(self, answer: str) -> None:
            self.answer = answer

        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return self.answer

        def write(self, text: str) -> None:
            pass

        def flush(self) -> None:
            pass

    assert confirm("Submit?", Options()), "there is none here"
    monkeypatch.setattr(sys, "stderr", Terminal(""))
    for answer, is_yes in {"y\n": True, " YES\n": True, "n\n": False, "\n": False, "": False}.items():
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        assert confirm("Submit?", Options()) == is_yes
        assert confirm("Submit?", SURE)
