"""The methods at a pair of epochs, against what the slides and their authors say."""

from __future__ import annotations

import pytest

from training.studies.distillation.methods import BY_NAME, course


def total(values: dict[str, object]) -> object:
    stages = ("prepare.epochs", "initialise.epochs", "schedule.epochs")
    return tuple(values[stage] for stage in stages if stage in values)


@pytest.mark.parametrize(
    ("name", "short", "long"),
    [
        ("none", (2,), (120,)),
        ("KD", (2,), (120,)),
        ("AT + KD", (2,), (120,)),
        ("Jacobian + KD", (2,), (120,)),
        ("BSS", (2,), (120,)),
        ("OFD", (2,), (120,)),
        ("FitNet + KD", (1, 1), (20, 100)),
        ("FSP + KD", (1, 1), (20, 100)),
        ("AB + KD", (1, 1), (20, 100)),
        ("FT + KD", (1, 2), (5, 115)),
    ],
)
def test_epochs_go_to_the_stages(name: str, short: tuple[int, ...], long: tuple[int, ...]) -> None:
    assert total(course(BY_NAME[name], (1, 1))) == short
    assert total(course(BY_NAME[name], (20, 100))) == long


def test_labels_are_seen_where_no_teachers_logits_take_their_place() -> None:
    weights = {name: course(method, (3, 12))["class_weight"] for name, method in BY_NAME.items()}
    assert {name for name, weight in weights.items() if weight == 1} == {"none", "BSS", "OFD"}
    assert {weight for name, weight in weights.items() if name.endswith("KD")} == {0}


def test_what_teaches_first_is_gone_in_the_main_stage() -> None:
    assert course(BY_NAME["FitNet + KD"], (1, 5))["terms"] == [
        {"method": "fitnets", "stage": "initialise", "weight": 1.0},
        {"method": "kd"},
    ]
