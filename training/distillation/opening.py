"""From a recipe to its teacher, its student and the terms between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.bundle import load_bundle
from retrieval.errors import UserError
from retrieval.networks import build_ensemble
from retrieval.networks.classifiers import build_classifier
from retrieval.networks.taps import Tap, find_taps
from retrieval.networks.weights import Weights
from retrieval.transforms import Preprocessing
from training.distillation.distiller import WeightedTerm
from training.distillation.inheritance import inherited_spec
from training.distillation.methods.term import Setup
from training.distillation.recipe import DistillationRecipe
from training.distillation.saved_classifier import load_classifier
from training.distillation.sections import ClassifierSection, TeacherSection, TermSection
from training.distillation.sides import ClassifierSide, EnsembleSide, Side

_IMAGENET_CLASSES = 1000


_OTHER_SEEDS = 2**31
"""More than any recipe's seed."""


@dataclass(frozen=True)
class Teacher:
    """preprocessing: of its images. classes: names of its logits' classes; None for a network that embeds and for
    ImageNet's. fingerprint: of a network that embeds, None of a classifier. seed: of the random numbers that a
    classifier began with; None where that is not known.
    """

    side: Side
    preprocessing: Preprocessing
    classes: tuple[str, ...] | None
    fingerprint: str | None
    seed: int | None = None


def open_teacher(recipe: DistillationRecipe) -> Teacher | None:
    """The recipe's teacher; None without one. Raises UserError where there is no such model, or of another kind."""
    section = recipe.teacher
    if section is None:
        return None
    if recipe.task == "retrieval":
        return _open_bundle(section)
    if section.weights is not None:
        weights = section.weights
        source: Weights = "imagenet" if weights == "imagenet" else Path(weights).expanduser()
        network = build_classifier(section.model, _IMAGENET_CLASSES, weights=source)
        stated = Preprocessing(section.pixels or network.pixels, None, network.mean, network.std)
        return Teacher(ClassifierSide(network), stated, None, None)
    saved = load_classifier(Path(section.model).expanduser())
    side = ClassifierSide(saved.network)
    return Teacher(side, _sized(saved.preprocessing, section.pixels), saved.classes, None, saved.seed)


def _open_bundle(section: TeacherSection) -> Teacher:
    bundle = load_bundle(section.model)
    mirror = bundle.network.spec.mirror if section.mirror is None else section.mirror
    side = EnsembleSide(bundle.network, mirror=mirror)
    return Teacher(side, _sized(bundle.preprocessing, section.pixels), None, bundle.fingerprint)


def _sized(stated: Preprocessing, pixels: int | None) -> Preprocessing:
    """What a teacher sees of a training view: all of it, at its own or the recipe's size."""
    return Preprocessing(pixels or stated.pixels, None, stated.mean, stated.std)


def seed_of(recipe: DistillationRecipe, teacher: Teacher | None) -> int:
    """The seed of the student's first weights: the recipe's, unless a teacher of the same network began with it. The
    student would begin as its teacher began then, and find much of the teacher where it stands.
    """
    if teacher is None or teacher.seed != recipe.seed or not isinstance(teacher.side, ClassifierSide):
        return recipe.seed
    alike = (
        isinstance(recipe.student, ClassifierSection) and recipe.student.network == teacher.side.network.name
    )
    return recipe.seed + (_OTHER_SEEDS if alike else 0)


def build_student(recipe: DistillationRecipe, teacher: Teacher | None, classes: int) -> Side:
    """The recipe's student, for so many training classes. One that embeds learns from views that are not mirrored and
    summed; whether it does so when it is used, its spec says. It has room for what it inherits, and has not inherited.
    """
    section = recipe.student
    if isinstance(section, ClassifierSection):
        return ClassifierSide(build_classifier(section.network, classes, weights=section.source))
    spec = section.spec()
    if recipe.inherit and teacher is not None and recipe.whitening is None:
        spec = inherited_spec(spec, teacher.side.network)
    return EnsembleSide(build_ensemble(spec, weights=section.source), mirror=False)


def build_terms(
    recipe: DistillationRecipe, teacher: Teacher | None, student: Side, classes: Sequence[str]
) -> list[WeightedTerm]:
    """The recipe's terms. classes: names of the training classes. Raises UserError where a term does not fit the two
    networks, and for taps that are not there or do not pair.
    """
    if teacher is None:
        return []
    terms = []
    for section in recipe.terms:
        row = section.row
        _check_needs(section, teacher, student, tuple(classes))
        taps = _pairs(section, teacher.side, student) if row.takes_taps(section.settings) else ()
        setup = Setup(
            taps=taps,
            teacher_feature=teacher.side.feature_size,
            student_feature=student.feature_size,
            teacher_classes=teacher.side.classes,
            student_classes=student.classes,
            teacher_embedding=teacher.side.embedding_size,
            student_embedding=student.embedding_size,
        )
        term = row.build(setup, *row.resolve(section.settings))
        terms.append(
            WeightedTerm(section.method, term, section.resolved_weight, section.resolved_stage, taps)
        )
    return terms


def _check_needs(section: TermSection, teacher: Teacher, student: Side, classes: tuple[str, ...]) -> None:
    needs, method = section.row.needs, section.method
    if "embedding" in needs and not (teacher.side.embedding_size and student.embedding_size):
        raise UserError(f"term {method} compares embeddings, which classifiers do not have; leave it out")
    if ("logits" in needs or "teacher_logits" in needs) and not teacher.side.classes:
        raise UserError(
            f"term {method} needs the teacher's logits, which a model for retrieval does not have; leave it out, or "
            "take embedding_matching or relations"
        )
    if "logits" not in needs:
        return
    if teacher.classes is None:
        raise UserError(
            f"term {method} compares logits, and the teacher's are of ImageNet's classes; take dtl instead"
        )
    if teacher.classes != classes:
        other = sorted(set(teacher.classes) ^ set(classes))
        what = f"{other[0]!r} is known to one of them only" if other else "they stand in another order"
        raise UserError(
            f"term {method} compares logits, but the teacher knows {len(teacher.classes)} classes and the data have "
            f"{len(classes)}: {what}; give a teacher of the same classes"
        )


def _pairs(section: TermSection, teacher: Side, student: Side) -> tuple[tuple[Tap, Tap], ...]:
    position = section.position or section.row.position or "end"
    theirs = find_taps(teacher.network, position, section.teacher_taps)
    own = find_taps(student.network, position, section.student_taps)
    if len(theirs) != len(own):
        raise UserError(
            f"term {section.method} has no pairs to compare: the teacher's features are "
            f"{', '.join(tap.name for tap in theirs)}, the student's {', '.join(tap.name for tap in own)}; "
            "set teacher_taps and student_taps, as many of the one as of the other"
        )
    return tuple(zip(theirs, own, strict=True))
