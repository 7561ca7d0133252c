"""What cannot work between loss, sampler, batch and data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from pydantic import ValidationError

from retrieval.errors import UserError
from training.sampling.check import check_batch, check_sampling
from training.sections.sampler import SamplerSection

CLASSES = ("amber", "blue", "cyan")
LABELS = (0, 0, 0, 1, 1, 2, 2)
NUMBERS = np.array(LABELS, np.int64)


def refusal(loss: str, batch: int, sampler: dict[str, int], labels: Sequence[int] = LABELS) -> str:
    with pytest.raises(UserError) as refused:
        check_sampling([loss], SamplerSection(**sampler), batch, np.array(labels, np.int64), CLASSES)
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_what_works_is_let_through() -> None:
    plain, balanced = SamplerSection(), SamplerSection(images_per_class=2)
    check_sampling(["cross_entropy"], plain, 40, NUMBERS, CLASSES)
    check_sampling(["cross_entropy"], plain, 40, np.array([0, 1, 2]), CLASSES)
    check_sampling(["triplet"], balanced, 6, NUMBERS, CLASSES)
    check_sampling(
        ["proxy_anchor"], balanced, 4, np.array([0, 1, 1, 2]), CLASSES
    )  # one image, but no need of pairs
    check_sampling(["triplet"], SamplerSection(images_per_class=2, hard_classes=2), 6, NUMBERS, CLASSES)


@pytest.mark.parametrize("loss", ["margin", "multi_similarity", "triplet", "contrastive", "supcon"])
def test_a_pair_loss_wants_a_balanced_sampler_and_says_which(loss: str) -> None:
    message = refusal(loss, 40, {})
    assert message.startswith(f"loss {loss} needs several images of a class in a batch")
    assert "set sampler.images_per_class to " in message


def test_a_pair_term_beside_a_class_loss_is_checked_too() -> None:
    with pytest.raises(UserError, match="loss triplet needs several images"):
        check_batch(["proxy_anchor", "triplet"], SamplerSection(), 40)


def test_classes_with_one_image_are_named_and_counted() -> None:
    message = refusal("triplet", 4, {"images_per_class": 2}, [0, 0, 1, 2])
    assert message.startswith(
        "loss triplet needs pairs, but class 'blue' has one image (2 of 3 classes do); leave"
    )


@pytest.mark.parametrize(
    ("batch", "sampler", "message"),
    [
        (5, {"images_per_class": 4}, "a batch of 5 has no room for 2 classes of 4 images; set batch to 8"),
        (10, {"images_per_class": 4}, "cannot be filled with 4 images a class; set batch to 8 or 12"),
        (
            8,
            {"images_per_class": 2},
            "holds 4 classes of 2 images, but only 3 can be trained on; set batch to 6",
        ),
        (6, {"images_per_class": 2, "hard_classes": 3}, "beside a class a batch of 6 has room for 2 others"),
    ],
)
def test_a_batch_that_cannot_be_filled_is_refused(batch: int, sampler: dict[str, int], message: str) -> None:
    assert message in refusal("cross_entropy", batch, sampler)


@pytest.mark.parametrize(
    "values", [{"images_per_class": 1}, {"hard_classes": 2}, {"images_per_class": 4, "hard_temperature": 0}]
)
def test_a_section_that_makes_no_sense_is_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        SamplerSection(**values)
