"""What a student reached, and the student itself on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate import Accelerator

from retrieval.bundle import save_bundle
from retrieval.datasets import Subset
from retrieval.networks import Ensemble
from retrieval.transforms import Preprocessing
from training.batches import ImageSource
from training.distillation.opening import Teacher, seed_of
from training.distillation.recipe import DistillationRecipe
from training.distillation.saved_classifier import save_classifier
from training.distillation.score import score_classifier
from training.distillation.sides import Network
from training.validation import pretraining, validate


def score(
    recipe: DistillationRecipe,
    network: Network,
    subset: Subset,
    images: ImageSource,
    preprocessing: Preprocessing,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """Errors of a classifier, or leave-one-out recall of a network that embeds. Leaves the network in eval mode."""
    if isinstance(network, Ensemble):
        return validate(
            network,
            subset,
            images,
            preprocessing,
            accelerator,
            batch=recipe.batch,
            ks=recipe.score.k,
            weights=recipe.student.weights,
        )
    return score_classifier(network, subset, images, preprocessing, accelerator, batch=recipe.batch)


def export(
    recipe: DistillationRecipe,
    folder: Path,
    network: Network,
    preprocessing: Preprocessing,
    classes: tuple[str, ...],
    teacher: Teacher | None,
    scores: list[dict[str, Any]],
) -> None:
    """Write the student. classes: names, in the order of the logits."""
    resolved = recipe.model_dump(mode="json")
    network.eval()
    if isinstance(network, Ensemble):
        space = shared_space(recipe, network, teacher)
        start = pretraining(recipe.student.weights)
        save_bundle(
            folder, network, preprocessing, recipe=resolved, scores=scores, pretraining=start, space=space
        )
    else:
        save_classifier(
            folder,
            network,
            preprocessing,
            classes=classes,
            recipe=resolved,
            scores=scores,
            seed=seed_of(recipe, teacher),
        )


def shared_space(recipe: DistillationRecipe, network: Ensemble, teacher: Teacher | None) -> str | None:
    """The teacher's fingerprint, if the student has learned to give the teacher's very embeddings: queries by the one
    then find what the other put into a gallery.
    """
    if teacher is None or teacher.side.embedding_size != network.embedding_size:
        return None
    matched = any(term.method == "embedding_matching" and term.resolved_weight for term in recipe.main_terms)
    return teacher.fingerprint if matched else None
