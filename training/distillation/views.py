"""One random view of each training image, as the student and as the teacher expect it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from retrieval.transforms import Preprocessing
from training.augmentation import augment
from training.batch_part import BatchPart
from training.sections.images import ImagesSection


class Views:
    """Makes the views at the side of whichever network sees more, and shrinks them for the other: what the two see
    differs in nothing else (Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", 2022).
    """

    def __init__(self, images: ImagesSection, student: Preprocessing, teacher: Preprocessing | None) -> None:
        """images: of the recipe, whose `pixels` are the student's. teacher: its pixels, mean and deviation."""
        larger = max(images.pixels, teacher.pixels if teacher is not None else 0)
        self._section = images.model_copy(update={"pixels": larger, "scored_pixels": None, "resize": None})
        self._pixels = images.pixels
        self._teacher = teacher
        self._mean, self._std = student.mean, student.std
        self.source = Preprocessing(self._section.training_source, None, student.mean, student.std)
        """How images are prepared once and for all."""

    def make(
        self,
        pixels: NDArray[np.uint8],
        device: torch.device,
        *,
        seed: int,
        for_teacher: bool,
        part: BatchPart | None = None,
    ) -> tuple[Tensor, Tensor]:
        """From prepared images uint8[n, s, s, 3] to the student's and the teacher's float[n, 3, h, w]; a function of
        its arguments alone. for_teacher: where False, the second is the first. part: as of `augment`.
        """
        view = augment(self.source.normalise(pixels, device), self._section, seed=seed, part=part)
        student = _shrunk(view, self._pixels)
        if self._teacher is None or not for_teacher:
            return student, student
        teacher = _shrunk(view, self._teacher.pixels)
        if (self._teacher.mean, self._teacher.std) != (self._mean, self._std):
            teacher = (_channels(self._std, teacher) * teacher + _channels(self._mean, teacher)).sub(
                _channels(self._teacher.mean, teacher)
            ) / _channels(self._teacher.std, teacher)
        return student, teacher


def _shrunk(images: Tensor, pixels: int) -> Tensor:
    if images.shape[-1] == pixels:
        return images
    shrunk = F.interpolate(images, size=(pixels, pixels), mode="bilinear", antialias=True)
    return shrunk.contiguous(memory_format=torch.channels_last)


def _channels(values: tuple[float, float, float], like: Tensor) -> Tensor:
    return torch.tensor(values, device=like.device).view(1, 3, 1, 1)
