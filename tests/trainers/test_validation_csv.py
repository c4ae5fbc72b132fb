"""By what a step is kept and a training stopped, of looks alone; validation.csv; what a person is told of them."""

import math
from pathlib import Path

import pytest
from ftexp.trainers.looks_in_words import looks_so_far, why_kept
from ftexp.trainers.validation_csv import VALIDATION_CSV, Look, Rule, read_looks, write_looks

NAN, INF = math.nan, math.inf
LOSS = {"metric": "loss", "patience": None, "threshold": 0.0, "keep": "best"}


def _looks(*losses: float) -> list[Look]:
    return [Look(10 * place, place / 2, {"loss": loss}) for place, loss in enumerate(losses, 1)]


def _scored(*pairs: tuple[float, float]) -> list[Look]:
    return [Look(place, place, {"loss": loss, "f1": score}) for place, (score, loss) in enumerate(pairs, 1)]


@pytest.mark.parametrize(("losses", "step"), [
    ((3, 2, 1), 30), ((3, 1, 2), 20), ((1, 1, 1), 10), ((NAN, 2, 1, NAN), 30), ((NAN, 5), 20), ((INF, 5, -INF), 20),
])
def test_the_least_loss_is_the_best_and_no_number_never(losses: tuple[float, ...], step: int) -> None:
    kept = Rule.of(LOSS).kept(_looks(*losses))
    assert (kept.step, kept.kept) == (step, "best")


@pytest.mark.parametrize("losses", [(NAN,), (NAN, INF), (INF, NAN, NAN)])
def test_where_no_value_is_a_number_the_last_is_kept(losses: tuple[float, ...]) -> None:
    looks = _looks(*losses)
    assert Rule.of(LOSS).best(looks) is None
    assert (Rule.of(LOSS).kept(looks).step, Rule.of(LOSS).kept(looks).kept) == (10 * len(losses), "last")


def test_of_a_scorer_more_is_better_and_between_equal_scores_the_loss_decides() -> None:
    rule = Rule.of({**LOSS, "metric": "f1"})
    assert rule.kept(_scored((0.1, 1), (0.9, 5), (0.5, 0))).step == 2
    assert rule.kept(_scored((0.9, 3), (0.9, 2), (0.9, 2))).step == 2
    assert rule.kept(_scored((NAN, 0), (0.1, 2))).step == 2
    assert rule.kept(_scored((0.5, 2), (0.5, NAN))).step == 1
    assert rule.kept(_scored((0.5, NAN), (0.5, 2))).step == 2


def test_keep_last_keeps_the_last_whatever_is_best() -> None:
    kept = Rule.of({**LOSS, "keep": "last"}).kept(_looks(1, 2, 3))
    assert (kept.step, kept.kept) == (30, "last")


@pytest.mark.parametrize(("losses", "patience", "threshold", "is_over"), [
    ((3, 2, 2), 1, 0.0, True), ((3, 2, 2), 2, 0.0, False), ((3, 2, 2, 1), 2, 0.0, False), ((3, 2, 2, 2.5), 2, 0.0, True),
    ((3, 2, 4, 5, 6), None, 0.0, False), ((3,), 1, 0.0, False),
    ((3, 2.9), 1, 0.2, True), ((3, 2.7), 1, 0.2, False), ((3, 2.9, 2.8), 2, 0.2, True),
    ((3, NAN), 1, 0.0, True), ((NAN, NAN, 5), 2, 0.0, True), ((3, NAN, 2), 2, 0.0, False), ((NAN, 5), 2, 0.0, False),
])
def test_it_is_over_after_so_many_looks_that_are_not_better_by_the_threshold(
    losses: tuple[float, ...], patience: int | None, threshold: float, is_over: bool
) -> None:
    """A loss that is no number is not better than anything, so that it counts as waiting; what comes after it may be better."""
    seen = _looks(*losses)
    rule = Rule.of({**LOSS, "patience": patience, "threshold": threshold})
    assert any(rule.is_over(seen[:count]) for count in range(1, len(seen) + 1)) == is_over


def test_a_file_of_looks_is_read_as_it_was_written(tmp_path: Path) -> None:
    looks = [Look(2, 0.4, {"loss": 1 / 3, "f1": NAN}), Look(4, 0.8, {"loss": 0.1, "f1": 0.5}, "best")]
    write_looks(tmp_path, looks)
    again = read_looks(tmp_path / VALIDATION_CSV)
    assert (tmp_path / VALIDATION_CSV).read_text().splitlines()[0] == "step,epoch,loss,f1,kept"
    assert again[1] == looks[1] and again[0].values["loss"] == 1 / 3 and math.isnan(again[0].values["f1"])
    assert read_looks(tmp_path / "none.csv") == []


@pytest.mark.parametrize(("section", "losses", "text"), [
    (LOSS, (4, 3, 3.5), "best validation loss 3 of 3 looks; stopped early at step 30 of 112"),
    (LOSS, (4,), "best validation loss 4 of 1 look; stopped early at step 10 of 112"),
    ({**LOSS, "keep": "last"}, (4, 3, 3.76), "the last of 3 looks, as keep: last asks; validation loss 3.76; stopped"),
    (LOSS, (NAN, NAN), "the last of 2 looks, because no validation loss is a number; stopped early"),
])
def test_why_a_step_was_kept_is_said(section: dict[str, object], losses: tuple[float, ...], text: str) -> None:
    looks = _looks(*losses)
    kept = Rule.of(section).kept(looks)
    assert why_kept(section, [kept if look.step == kept.step else look for look in looks], 112).startswith(text)
    assert "stopped" not in why_kept(section, [kept], kept.step)


@pytest.mark.parametrize(("pairs", "text"), [
    (((0.5, 3), (0.9, 2), (0.1, 1)), "best validation f1 0.9 of 3 looks"),
    (((0.9, 3), (0.9, 2)), "best validation f1 0.9 of 2 looks, 1 other as good: the lower validation loss decided"),
    (((0.9, 2), (0.9, 2), (0.9, 2)), "best validation f1 0.9 of 3 looks, 2 others as good: the first was kept"),
    (((0.9, 3), (0.9, 2), (0.9, 2)), "best validation f1 0.9 of 3 looks, 2 others as good: the lower validation loss decided, "
     "then the order"),
])
def test_between_equal_scores_it_is_said_what_decided(pairs: tuple[tuple[float, float], ...], text: str) -> None:
    looks, section = _scored(*pairs), {**LOSS, "metric": "f1"}
    kept = Rule.of(section).kept(looks)
    assert why_kept(section, [kept if look.step == kept.step else look for look in looks], len(pairs)) == text


@pytest.mark.parametrize(("losses", "text"), [
    ((), ""), ((3.5,), "validation loss 3.5 (epoch 0.5; the best so far)"),
    ((3.5, 2.25, 4), "validation loss 4 (epoch 1.5; best 2.25, epoch 1)"),
    ((NAN,), "validation loss nan (epoch 0.5; none yet is a number)"),
])
def test_while_it_trains_the_last_look_and_the_best_are_told(losses: tuple[float, ...], text: str) -> None:
    assert looks_so_far(LOSS, _looks(*losses)) == text
