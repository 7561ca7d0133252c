"""A distance between transformed features of teacher and student, layer by layer: L = sum w_i d(T_t(F_t), T_s(F_s)).

Heo et al., "A Comprehensive Overhaul of Feature Distillation", ICCV 2019, eq. 1: a method of feature distillation is
its teacher transform, its student transform, its distance and the positions of its features, and any of the four can
be exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from retrieval.errors import UserError
from training.distillation.methods.features.distances import DISTANCES
from training.distillation.methods.features.maps import to_smaller
from training.distillation.methods.features.paraphraser import Paraphraser
from training.distillation.methods.features.student_transforms import STUDENT_TRANSFORMS
from training.distillation.methods.features.teacher_transforms import TEACHER_TRANSFORMS
from training.distillation.methods.precision import single, without_autocast
from training.distillation.methods.term import Output, Setup, Step, Term
from training.setting import Settings

# Transforms that make something else than a map of a map; a student must make the same of it.
_COUNTERPARTS = {"attention": "attention", "paraphraser": "translator"}


# Which of so many positions, shallow to deep, are compared; of an even number the shallower is in the middle.
_LAYERS: Mapping[str, Callable[[int], slice]] = {
    "all": lambda count: slice(0, count),
    "middle": lambda count: slice((count - 1) // 2, (count - 1) // 2 + 1),
    "last": lambda count: slice(count - 1, count),
}


class FeatureTerm(Term):
    """Built for pairs of taps from the settings and choices of `feature_methods.aspects`.

    A pair of maps is brought to the smaller's size before it is transformed. Layers count `layer_decay` times the
    next deeper one, the deepest 1. Raises UserError where there are no taps, and where the transforms do not go
    together or not with the taps.
    """

    def __init__(self, setup: Setup, settings: Settings, choices: Mapping[str, str]) -> None:
        super().__init__()
        _check(setup, choices)
        self.layers = _LAYERS[choices["layers"]](len(setup.taps))
        taps = setup.taps[self.layers]
        teacher = TEACHER_TRANSFORMS[choices["teacher_transform"]]
        student = STUDENT_TRANSFORMS[choices["student_transform"]]
        self.teacher_transforms = nn.ModuleList(teacher(tap, settings, choices) for tap, _ in taps)
        self.student_transforms = nn.ModuleList(student(*pair, settings) for pair in taps)
        self.distance = DISTANCES[choices["distance"]](settings)
        self.per_image = choices["reduction"] == "per_image"
        self.weights = [float(settings["layer_decay"]) ** i for i in reversed(range(len(taps)))]

    def forward(self, step: Step) -> Tensor:
        """The weighted sum over layers, a scalar."""
        terms = [
            weight * self._reduced(self.distance(teacher, student))
            for weight, (teacher, student) in zip(self.weights, self.pairs(step), strict=True)
        ]
        return torch.stack(terms).sum()

    def pairs(self, step: Step) -> list[tuple[Tensor, Tensor]]:
        """What the distance compares, (teacher's, student's) of one shape a layer, shallow to deep; the student's with
        gradients. Signs survive all transforms that make maps of maps, so activations can be counted in these too.
        """
        teachers, students = step.teacher.taps[self.layers], step.student.taps[self.layers]
        result = []
        with without_autocast(step.labels):
            for teacher, student, transform, answer in zip(
                teachers, students, self.teacher_transforms, self.student_transforms, strict=True
            ):
                target, response = to_smaller(single(teacher), single(student))
                with torch.no_grad():
                    target = transform(target)
                result.append((target, answer(response)))
        return result

    def preparation(self, teacher: Output) -> Tensor | None:
        """The paraphrasers' reconstruction errors, summed over layers; None for methods without."""
        with without_autocast(teacher.feature):
            errors = [
                transform.reconstruction(single(maps))
                for maps, transform in zip(teacher.taps[self.layers], self.teacher_transforms, strict=True)
                if isinstance(transform, Paraphraser)
            ]
        return torch.stack(errors).sum() if errors else None

    def preparation_parameters(self) -> list[Parameter]:
        """The paraphrasers'."""
        return [
            parameter
            for transform in self.teacher_transforms
            if isinstance(transform, Paraphraser)
            for parameter in transform.parameters()
        ]

    def _reduced(self, distances: Tensor) -> Tensor:
        return distances.sum() / len(distances) if self.per_image else distances.mean()


def _check(setup: Setup, choices: Mapping[str, str]) -> None:
    if not setup.taps:
        raise UserError("there are no features to compare: name at least one position of teacher and student")
    teacher, student = choices["teacher_transform"], choices["student_transform"]
    wanted = _COUNTERPARTS.get(teacher)
    if wanted is not None and student != wanted:
        raise UserError(f"teacher_transform {teacher} needs student_transform {wanted}; got {student}")
    if wanted is None and student in _COUNTERPARTS.values():
        needed = next(ours for ours, theirs in _COUNTERPARTS.items() if theirs == student)
        raise UserError(f"student_transform {student} needs teacher_transform {needed}; got {teacher}")
