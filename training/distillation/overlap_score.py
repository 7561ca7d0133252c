"""How far a trained student's neurons fire together with its teacher's, on the images that are scored."""

from __future__ import annotations

import numpy as np
import torch
from accelerate import Accelerator

from retrieval.datasets import Subset
from retrieval.networks import Ensemble
from retrieval.transforms import Preprocessing
from training.batches import ImageSource
from training.distillation.distiller import Distiller, use_batch_statistics
from training.distillation.methods.features.activation_overlap import overlap
from training.distillation.methods.features.feature_term import FeatureTerm
from training.distillation.methods.term import Step
from training.distillation.opening import Teacher
from training.distillation.recipe import DistillationRecipe
from training.distillation.sides import ClassifierSide, EnsembleSide, Network
from training.distillation.views import Views

_PLAIN = {"mirror": False, "crop": None, "pad": None, "colour": None}


@torch.inference_mode()
def overlap_score(
    recipe: DistillationRecipe,
    model: Distiller,
    network: Network,
    teacher: Teacher,
    subset: Subset,
    preprocessing: Preprocessing,
    accelerator: Accelerator,
) -> dict[str, dict[str, float]]:
    """`overlap`: share of equal activations, 0 to 1, behind each tap of the recipe's first term that compares maps (Heo
    et al., AAAI 2019), by the name of the student's tap. `overlap_of_silence`: that of a student none of whose neurons
    ever fires, which is the share of the teacher's that do not.

    model: as it was trained; its connectors are used where teacher and student differ in channels. network: the
    student as it is scored. Images are squashed as in training, not augmented. Leaves both networks in eval mode.
    """
    weighted = next(
        each for section, each in zip(recipe.terms, model.weighted, strict=True) if section.compares_maps
    )
    term, own_teacher = weighted.term.eval(), model.teacher
    assert isinstance(term, FeatureTerm)
    assert own_teacher is not None
    use_batch_statistics(own_teacher, on=False)
    student = (
        EnsembleSide(network, mirror=False) if isinstance(network, Ensemble) else ClassifierSide(network)
    )
    student.eval()
    section = recipe.images.model_copy(update=_PLAIN | {"pixels": recipe.images.scored_side})
    views = Views(section, preprocessing, teacher.preprocessing)
    # Each image is needed once, so none is kept.
    images = ImageSource(
        subset.paths, views.source, cache_bytes=0, workers=recipe.machine.threads, label="scored images"
    )
    names = [own.name for _, own in weighted.taps[term.layers]]
    reached, silent = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    groups = np.split(np.arange(len(images)), range(recipe.batch, len(images), recipe.batch))
    for group, pixels in zip(groups, images.batches(groups), strict=True):
        seen, shown = views.make(pixels, accelerator.device, seed=0, for_teacher=True)
        with accelerator.autocast():
            step = Step(
                teacher=own_teacher(shown, [theirs for theirs, _ in weighted.taps]),
                student=student(seen, [own for _, own in weighted.taps]),
                labels=torch.from_numpy(subset.labels[group]).to(accelerator.device),
                student_images=seen,
                teacher_images=shown,
                forward_student=student,
                forward_teacher=own_teacher,
                progress=0.0,
            )
        for name, (theirs, own) in zip(names, term.pairs(step), strict=True):
            reached[name] += len(group) / len(images) * overlap(theirs, own)
            silent[name] += len(group) / len(images) * overlap(theirs, torch.zeros_like(theirs))
    return {"overlap": reached, "overlap_of_silence": silent}
