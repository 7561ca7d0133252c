"""The images of a run: what is trained on, and the classes apart from it that are scored meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from retrieval.datasets import ImageDataset, Subset, holdout_classes, keep_readable, open_dataset
from retrieval.errors import DataError
from retrieval.left_out import left_out
from training.recipe import Recipe


def open_subsets(recipe: Recipe, report: Callable[[str], None]) -> tuple[Subset, Subset | None]:
    """The training images and the validation images (None where the recipe asks for none).

    Files that cannot be decoded are reported, one line each, and left out now, rather than stopping the run in the
    middle. Raises DataError: no such data, fewer than two classes, fewer images than a batch, or validation classes
    that are trained on too.
    """
    return choose_subsets(open_dataset(recipe.data.name, recipe.data.root), recipe, report)


def choose_subsets(
    dataset: ImageDataset, recipe: Recipe, report: Callable[[str], None]
) -> tuple[Subset, Subset | None]:
    """`open_subsets` of a data set that is open already."""
    for problem in dataset.problems:
        report(left_out(problem))
    threads = recipe.machine.threads
    training = keep_readable(dataset.subset(recipe.data.split), report, threads=threads)
    validation = None
    if recipe.validation.holdout is not None:
        drawn = recipe.validation.holdout_seed
        seed = recipe.seed if drawn is None else drawn
        training, validation = holdout_classes(training, recipe.validation.holdout, seed)
    elif recipe.validation.split is not None:
        validation = keep_readable(dataset.subset(recipe.validation.split), report, threads=threads)
        both = sorted(set(training.classes) & set(validation.classes))
        if both:
            raise DataError(
                f"{len(both)} classes of {validation.name} are trained on in {training.name} ({both[0]!r}, ...); "
                "validation needs classes of its own: set validation.holdout instead"
            )
    if len(training.classes) < 2:
        raise DataError(f"{training.name} has {len(training.classes)} class; training needs two or more")
    if len(training) < recipe.batch:
        raise DataError(
            f"batch is {recipe.batch}, but {training.name} has {len(training)} images; "
            f"set batch to {len(training)} or less"
        )
    if validation is not None and len(validation) < 2:
        raise DataError(f"{validation.name} has {len(validation)} image; recall needs two or more")
    return training, validation


def digest(subset: Subset) -> str:
    """16 hexadecimal digits that change with the images' names, labels or order: a run goes on with the same ones."""
    names = "\n".join(f"{record.path.name}\t{record.label}" for record in subset.records)
    return hashlib.sha256(names.encode()).hexdigest()[:16]
