"""The table, against figures worked out by hand."""

from __future__ import annotations

from dataclasses import replace

from training.studies.fine_tuning import RowCost
from training.studies.results import Outcome, RowResult, Spread
from training.studies.study import Study
from training.studies.table import markdown, row_in_words

COST = RowCost(
    parameters=1_234_567, gmacs=0.12345, embedding_size=192, mirror=True, pixels=96, training_mib=320.4
)
STUDY = Study("tiny", "Does it?", "It does.", ())


def outcome(seed: int, r1: float, r2: float, map_at_r: float, peak: float | None = 900.0) -> Outcome:
    scores = {"R@1": r1, "R@2": r2, "MAP@R": map_at_r}
    return Outcome(seed, scores, minutes=1.5 + seed, peak_mib=peak)


# R@1: mean 52, deviations -2, 0, 2, so variance (4 + 0 + 4) / 2 = 4. R@2: mean 70, variance (1 + 1) / 2 = 1.
THREE = RowResult(
    "three",
    COST,
    (outcome(0, 0.50, 0.69, 0.10), outcome(1, 0.52, 0.70, 0.10), outcome(2, 0.54, 0.71, 0.10)),
)
ONE = RowResult("one", COST, (outcome(0, 0.4567, 0.6, 0.1234, None),))
FAILED = RowResult("bad", COST, (), ("the loss became nan",))


def cells(text: str, row: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {row} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_spread_is_the_sample_deviation_and_none_for_one() -> None:
    assert Spread.of([1.0, 2.0, 3.0, 4.0]) == Spread(2.5, (5 / 3) ** 0.5)
    assert Spread.of([7.0]) == Spread(7.0, None)


def test_rows_are_mean_and_spread_in_per_cent() -> None:
    text = markdown(STUDY, [THREE, ONE], [])
    assert cells(text, "tiny") == [
        "tiny", "R@1", "R@2", "MAP@R", "seeds", "embedding", "parameters", "GMACs", "mirrored", "minutes",
    ]  # fmt: skip
    assert cells(text, "three") == [
        "three", "52.0 ± 2.0", "70.0 ± 1.0", "10.0 ± 0.0", "3", "192", "1.23 M", "0.123", "yes", "2.5",
    ]  # fmt: skip
    assert cells(text, "one")[1:5] == ["45.7", "60.0", "12.3", "1"]


def test_a_failed_row_says_so_and_why() -> None:
    text = markdown(STUDY, [FAILED, THREE], [])
    assert cells(text, "bad")[1:5] == ["failed", "failed", "failed", "0 (1 failed)"]
    assert "* bad failed: the loss became nan" in text
    assert row_in_words(STUDY, FAILED) == "bad: failed (the loss became nan)"


def test_a_row_that_failed_at_one_seed_shows_the_others() -> None:
    partly = replace(THREE, failures=("out of memory",))
    assert cells(markdown(STUDY, [partly], []), "three")[1:5] == [
        "52.0 ± 2.0", "70.0 ± 1.0", "10.0 ± 0.0", "3 (1 failed)",
    ]  # fmt: skip
    assert "3 seeds, 1 failed, 2.5 min each" in row_in_words(STUDY, partly)


def test_a_row_in_words() -> None:
    assert row_in_words(STUDY, ONE) == "one: R@1 45.7, R@2 60.0, MAP@R 12.3; 1 seed, 1.5 min each"
    assert (
        row_in_words(STUDY, THREE)
        == "three: R@1 52.0 ± 2.0, R@2 70.0 ± 1.0, MAP@R 10.0 ± 0.0; 3 seeds, 2.5 min each"
    )


def test_memory_is_shown_where_the_study_is_about_it() -> None:
    text = markdown(replace(STUDY, memory=True), [THREE, ONE], [])
    assert cells(text, "three")[-2:] == ["320 MiB", "900 MiB"]
    assert cells(text, "one")[-2:] == ["320 MiB", "-"]


def test_question_claim_and_caption_are_there() -> None:
    text = markdown(STUDY, [THREE], ["On made-up data.", "By hand."])
    assert text.startswith("# Study: tiny\n\nDoes it?\n\nWhat is claimed: It does.\n\n| tiny |")
    assert "\n\nOn made-up data.\n\nBy hand.\n\n" in text


def test_published_figures_stand_beside_ours() -> None:
    study = replace(STUDY, source="a paper.", note="Read with care.")
    beside = replace(THREE, published={"R@1": 63.49})
    text = markdown(study, [beside, ONE], [])
    assert cells(text, "tiny")[1:4] == ["R@1", "R@1, published", "R@2"]
    assert cells(text, "three")[1:4] == ["52.0 ± 2.0", "63.49", "70.0 ± 1.0"]
    assert cells(text, "one")[1:4] == ["45.7", "-", "60.0"]
    assert "Published: a paper. Read with care." in text
    assert "Published" not in markdown(study, [ONE], [])
    assert row_in_words(study, beside).startswith("three: R@1 52.0 ± 2.0 (published 63.49), R@2 ")


def test_a_study_shows_the_scores_that_it_is_about() -> None:
    study = replace(STUDY, scores=("overlap B1", "MAP@R"))
    there = replace(ONE, name="there", outcomes=(Outcome(0, {"overlap B1": 0.963, "MAP@R": 0.5}, 1.0, None),))
    text = markdown(study, [there, ONE], [])
    assert cells(text, "tiny")[1:4] == ["overlap B1", "MAP@R", "seeds"]
    assert cells(text, "there")[1:3] == ["96.3", "50.0"]
    assert cells(text, "one")[1:3] == ["-", "12.3"]
    without = replace(study, scores=("overlap B1",))
    assert row_in_words(without, ONE) == "one: R@1 45.7; 1 seed, 1.5 min each"
