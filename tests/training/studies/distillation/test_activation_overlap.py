"""What the rows of `activation-overlap` learn from, by hand."""

from __future__ import annotations

import pytest
import torch

from tests.training.distillation.methods.feature_steps import setup, step, term
from training.studies.catalogue import study_of

ROWS = {row.name: row for row in study_of("activation-overlap", None, data="cifar10").rows}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Beneath the ReLU there is nothing to tell apart: 0 for the first neuron; 0 against 4, and 5 against 4.
        ("L2", 16 + 1),
        ("L1", 4 + 1),
        ("L0.5", 2 + 1),
        ("L2 before the ReLU", 4 + 36 + 1),
        # One neuron is beyond the margin, one on the wrong side by 2 and so 3 from it, and one beyond it again.
        ("marginal L2 (AB)", 9),
    ],
)
def test_a_row_compares_what_it_says(name: str, expected: float) -> None:
    teacher = torch.tensor([[[[-1.0, 4.0, 4.0]]]])
    student = torch.tensor([[[[-3.0, -2.0, 5.0]]]])
    (section,) = ROWS[name].overrides["terms"]
    assert section["method"] == "ab"
    built = term("ab", setup([1], [1]), **section["settings"])
    # L0.5 is smoothed at 0, by less than this.
    assert built(step([teacher], [student])).item() == pytest.approx(expected, abs=0.03)


def test_only_what_the_slides_print_is_published() -> None:
    assert ROWS["L2"].published == {"overlap B1": 56.1, "overlap B2": 67.3, "overlap B3": 56.0}
    assert ROWS["L2 before the ReLU"].published == {}
