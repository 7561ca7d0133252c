"""The images of a run of distillation."""

from __future__ import annotations

from collections.abc import Callable

from retrieval.datasets import Subset, few_per_class, keep_readable, open_dataset
from retrieval.errors import DataError
from retrieval.left_out import left_out
from training.distillation.recipe import DistillationRecipe


def open_parts(recipe: DistillationRecipe, report: Callable[[str], None]) -> tuple[Subset, Subset | None]:
    """The training images and those that are scored (None where the recipe asks for none).

    A classifier is scored on its own classes, a network for retrieval on others. Files that cannot be decoded are
    reported and left out. Raises DataError: no such data, too few classes or images, classes where they must not be.
    """
    dataset = open_dataset(recipe.data.name, recipe.data.root)
    for problem in dataset.problems:
        report(left_out(problem))
    threads = recipe.machine.threads
    training = dataset.subset(recipe.data.split)
    if recipe.data.share is not None or recipe.data.per_class is not None:
        training = few_per_class(
            training, share=recipe.data.share, count=recipe.data.per_class, seed=recipe.data.part_seed
        )
    training = keep_readable(training, report, threads=threads)
    if len(training.classes) < 2:
        raise DataError(f"{training.name} has {len(training.classes)} class; training needs two or more")
    if len(training) < 2:
        raise DataError(f"{training.name} has {len(training)} image; training needs two or more")
    if recipe.score.split is None:
        return training, None
    scored = keep_readable(dataset.subset(recipe.score.split), report, threads=threads)
    if recipe.task == "classification":
        unknown = sorted(set(scored.classes) - set(training.classes))
        if unknown:
            raise DataError(
                f"{len(unknown)} classes of {scored.name} are not trained on in {training.name} ({unknown[0]!r}, ...); "
                "a classifier is scored on its own classes: set score.split to another split"
            )
        scored = Subset.of(scored.name, scored.records, training.classes)
    else:
        both = sorted(set(training.classes) & set(scored.classes))
        if both:
            raise DataError(
                f"{len(both)} classes of {scored.name} are trained on in {training.name} ({both[0]!r}, ...); "
                "retrieval is scored on other classes: set score.split to another split"
            )
    return training, scored
