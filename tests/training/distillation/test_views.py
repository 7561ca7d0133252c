"""The same view for both networks."""

from __future__ import annotations

import numpy as np
import torch

from retrieval.transforms import Preprocessing
from training.distillation.views import Views
from training.sections.images import CropSection, ImagesSection

PIXELS = np.random.default_rng(3).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
CPU = torch.device("cpu")


def test_networks_of_one_kind_share_the_tensor() -> None:
    views = Views(ImagesSection(pixels=32), Preprocessing(32), Preprocessing(32))
    student, teacher = views.make(PIXELS, CPU, seed=1, for_teacher=True)
    assert student is teacher


def test_each_gets_its_own_normalisation_of_the_same_view() -> None:
    other = Preprocessing(32, None, (0.5, 0.4, 0.3), (0.3, 0.2, 0.1))
    views = Views(ImagesSection(pixels=32), Preprocessing(32), other)
    student, teacher = views.make(PIXELS, CPU, seed=1, for_teacher=True)

    def pixels(images: torch.Tensor, stated: Preprocessing) -> torch.Tensor:
        return images * torch.tensor(stated.std).view(1, 3, 1, 1) + torch.tensor(stated.mean).view(1, 3, 1, 1)

    torch.testing.assert_close(pixels(student, Preprocessing(32)), pixels(teacher, other))


def test_the_smaller_view_is_the_larger_one_shrunk() -> None:
    section = ImagesSection(pixels=16, crop=CropSection(source=32))
    views = Views(section, Preprocessing(16), Preprocessing(32))
    student, teacher = views.make(PIXELS, CPU, seed=5, for_teacher=True)
    assert student.shape == (4, 3, 16, 16)
    assert teacher.shape == (4, 3, 32, 32)
    # A halved picture is about the mean of its quarters, even one of noise.
    means = torch.nn.functional.avg_pool2d(teacher, 2)
    for mean, shrunk in zip(means, student, strict=True):
        assert torch.corrcoef(torch.stack([mean.flatten(), shrunk.flatten()]))[0, 1] > 0.9
    assert torch.corrcoef(torch.stack([means[0].flatten(), student[1].flatten()]))[0, 1] < 0.5


def test_a_step_without_a_teacher_makes_one_view() -> None:
    views = Views(ImagesSection(pixels=32), Preprocessing(32), None)
    student, teacher = views.make(PIXELS, CPU, seed=1, for_teacher=False)
    assert student is teacher
    assert views.source.pixels == 32
