"""The methods at a pair of epochs, against what the slides and their authors say."""

from __future__ import annotations

import pytest
import torch

from tests.training.distillation.methods.feature_steps import setup, step, term
from training.distillation.methods.table import METHODS
from training.studies.distillation.asked import Asked
from training.studies.distillation.methods import BY_NAME, course
from training.studies.distillation.small_data import small_data


def total(values: dict[str, object]) -> object:
    stages = ("prepare.epochs", "initialise.epochs", "schedule.epochs")
    return tuple(values[stage] for stage in stages if stage in values)


@pytest.mark.parametrize(
    ("name", "short", "long"),
    [
        ("none", (1,), (100,)),
        ("KD", (1,), (100,)),
        ("AT + KD", (1,), (100,)),
        ("Jacobian + KD", (1,), (100,)),
        ("BSS", (1,), (100,)),
        ("OFD", (1,), (100,)),
        ("FitNet + KD", (1, 1), (20, 100)),
        ("FSP + KD", (1, 1), (20, 100)),
        ("AB + KD", (1, 1), (20, 100)),
        ("FT + KD", (1, 1), (5, 100)),
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
    first, second = course(BY_NAME["FitNet + KD"], (1, 5))["terms"]
    assert (first["method"], first["stage"], first["weight"]) == ("fitnets", "initialise", 1.0)
    assert first["position"] == "pre_relu"
    assert second == {"method": "kd"}


def test_fitnet_compares_what_relus_let_through_in_the_middle() -> None:
    """Slides, part II: |sigma(T) - sigma(S)|^2; the overhaul's table: mid layer."""
    settings = course(BY_NAME["FitNet + KD"], (1, 5))["terms"][0]["settings"] | {"always_connect": False}
    built = term("fitnets", setup([1, 1, 1], [1, 1, 1]), **settings)
    far, teacher, student = (torch.tensor([[[values]]]) for values in ([9.0], [-1.0, 4.0], [-3.0, -2.0]))
    assert built(step([far, teacher, far], [-far, student, -far])).item() == pytest.approx((0 + 16) / 2)


def test_fsp_correlates_what_relus_let_through() -> None:
    section = course(BY_NAME["FSP + KD"], (1, 5))["terms"][0]
    assert (section["method"], section["stage"], section["position"]) == ("fsp", "initialise", "pre_relu")
    built = term("fsp", setup([1, 1], [1, 1]), **section["settings"])
    teacher, student = (torch.tensor([[[values]]]) for values in ([-1.0, 4.0], [-3.0, 2.0]))
    assert built(step([teacher, teacher], [student, student])).item() == pytest.approx((16 / 2 - 4 / 2) ** 2)


def test_what_stands_beside_kd_without_its_factor_keeps_the_proportion_of_its_authors() -> None:
    """AT: 1000 beside KD times T^2 (authors' code), so 1000 / 9 beside KD at T = 3 without it."""
    at, kd = course(BY_NAME["AT + KD"], (1, 5))["terms"]
    assert (at["method"], kd) == ("at", {"method": "kd"})
    assert at["weight"] == pytest.approx(1000 / 9)
    assert METHODS["kd"].resolve({})[0]["temperature"] ** 2 == pytest.approx(9)
    assert not METHODS["kd"].resolve({})[0]["squared"]


def test_what_stands_beside_the_labels_keeps_its_weight() -> None:
    assert course(BY_NAME["OFD"], (1, 5))["terms"] == [{"method": "ofd"}]


def test_one_image_in_a_hundred_still_makes_more_than_a_dozen_steps_an_epoch() -> None:
    rows = {row.name: row.overrides for row in small_data(Asked("cifar10", None, {})).rows}
    for method in BY_NAME:
        few = rows[f"{method} at 1 %"]
        assert 50_000 * few["data.share"] / few["batch"] > 12
        assert "batch" not in rows[f"{method} at 5 %"]
