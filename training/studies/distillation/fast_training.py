"""How few epochs a student needs."""

from __future__ import annotations

from training.studies.distillation.asked import Asked
from training.studies.distillation.methods import METHODS, STUDENT, Pair, course, usual_teacher
from training.studies.study import Row, Study

PAIRS: tuple[Pair, ...] = ((1, 1), (1, 5), (3, 12), (5, 25), (10, 50), (20, 100))

# Slides, part II, "Fast training": error in per cent at PAIRS.
_PUBLISHED: dict[str, tuple[float, ...]] = {
    "none": (43.37, 17.72, 11.76, 8.63, 7.41, 6.47),
    "KD": (48.42, 19.80, 12.09, 8.66, 6.80, 6.19),
    "FitNet + KD": (48.16, 19.82, 11.10, 8.38, 7.02, 6.28),
    "FSP + KD": (43.51, 19.29, 11.15, 8.48, 6.87, 6.22),
    "AT + KD": (37.66, 14.14, 8.35, 6.68, 5.94, 5.80),
    "Jacobian + KD": (38.46, 14.29, 8.37, 6.98, 5.98, 5.77),
    "AB + KD": (16.39, 11.16, 6.95, 6.08, 5.72, 5.58),
}


def fast_training(asked: Asked) -> Study:
    """Every method at every pair of epochs; rows are named `AB + KD at 1+1`."""
    teacher = usual_teacher(asked)
    rows = [teacher]
    for column, (first, second) in enumerate(PAIRS):
        for method in METHODS:
            figures = _PUBLISHED.get(method.name) if asked.data == "cifar10" else None
            rows.append(
                Row(
                    f"{method.name} at {first}+{second}",
                    course(method, (first, second)),
                    teacher=teacher.name if method.first or method.main else None,
                    published={"error": figures[column]} if figures else {},
                )
            )
    return Study(
        name="fast-training",
        question="How few epochs does a student need, when a teacher helps?",
        claim=(
            "Activation boundaries handed down first (AB) speed training up most: AB + KD at 1+1 (16.39 %) is below "
            "KD at 1+5 (19.80 %), and at 3+12 (6.95 %) near KD at 10+50 (6.80 %) (slides, part II, fast training; "
            "Heo et al., AAAI 2019)."
        ),
        rows=tuple(rows),
        base={"student.network": asked.student or STUDENT},
        kind="distillation",
        file="cifar10",
        scores=("error",),
        source="slides, part II (Heo et al., AAAI 2019): CIFAR-10, WRN 22-4 of 4.51 % error teaches WRN 16-2.",
        note=(
            "A row's name ends with its epochs, distillation + classification. Methods of one stage have "
            "the second alone. FT's paraphraser learns for the first number's epochs, at most 5."
        ),
    )
