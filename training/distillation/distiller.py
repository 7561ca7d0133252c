"""A student, its teacher and the terms between them as one module: what is trained, and checkpointed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrieval.networks import Ensemble
from retrieval.networks.taps import Tap
from training.batch_part import BatchPart, whole
from training.distillation.methods.precision import single
from training.distillation.methods.term import Output, Stage, StageName, Step, Term
from training.distillation.sides import Side
from training.objective import Objective


@dataclass(frozen=True)
class WeightedTerm:
    """A term as a recipe wants it. taps: pairs of the teacher's and the student's that it compares."""

    name: str
    term: Term
    weight: float
    stage: Stage
    taps: tuple[tuple[Tap, Tap], ...]

    def counts_in(self, stage: StageName) -> bool:
        """Whether it is part of a stage's loss."""
        if stage == "prepare":
            return bool(self.term.preparation_parameters())
        return self.stage in ("both", "initialise" if stage == "initialise" else "train")


@dataclass(frozen=True)
class Losses:
    """Of many processes, the mean of their totals and parts is the whole batch's.

    total: scalar with gradient. parts: float[1 + terms], what the class loss and each term add to it, weighted; zero
    where it is no part of the stage. right: float[heads], how many of the images seen here each classifier got right,
    NaN where there is none to ask.
    """

    total: Tensor
    parts: Tensor
    right: Tensor


class Distiller(nn.Module):
    """student: what becomes the model. objective: of a student that embeds, thrown away with the training classes; None
    for one that classifies. The teacher is no part of the module: it does not learn and is not checkpointed.
    """

    def __init__(
        self,
        student: Side,
        teacher: Side | None,
        terms: Sequence[WeightedTerm],
        *,
        objective: Objective | None,
        class_weight: float,
    ) -> None:
        super().__init__()
        self.student = student
        self.objective = objective
        self.terms = nn.ModuleList(each.term for each in terms)
        self.class_weight = class_weight
        self.weighted = tuple(terms)
        # In a list, because a module that is an attribute would be trained, saved and moved with this one.
        self._teacher = [] if teacher is None else [teacher.requires_grad_(False).eval()]

    @property
    def teacher(self) -> Side | None:
        """The teacher, without gradients."""
        return self._teacher[0] if self._teacher else None

    def forward(
        self,
        images: Tensor,
        teacher_images: Tensor,
        labels: Tensor,
        stage: StageName,
        progress: float,
        part: BatchPart | None = None,
    ) -> Losses:
        """images, teacher_images: float[n, 3, h, w], one view as each side expects it. labels: int64[n]. progress:
        share of the stage that is done. part: which images of a batch these are; None: all.
        """
        part = part or whole(len(labels))
        active = [each for each in self.weighted if each.counts_in(stage)]
        taps = [pair for each in active for pair in each.taps]
        taught = None
        if self.teacher is not None and active:
            with torch.no_grad():
                taught = self.teacher(teacher_images, [theirs for theirs, _ in taps])
        if stage == "prepare":
            return self._prepare(taught, labels, part)

        learned: Output = self.student(images, [own for _, own in taps])
        # The precision of the terms, which compute in float32 or, in tests, in float64.
        parts = single(learned.feature).new_zeros(1 + len(self.weighted))
        right = learned.feature.new_full((self._classifiers,), float("nan"), dtype=torch.float32)
        if stage == "main":
            loss, right = self._class_loss(learned, labels, part)
            parts = _placed(parts, 0, self.class_weight * loss)
        start = 0
        for place, each in enumerate(self.weighted):
            if each not in active or taught is None:
                continue
            own = slice(start, start + len(each.taps))
            start = own.stop
            step = Step(
                teacher=replace(taught, taps=taught.taps[own]),
                student=replace(learned, taps=learned.taps[own]),
                labels=labels,
                student_images=images,
                teacher_images=teacher_images,
                forward_student=partial(self.student, taps=[mine for _, mine in each.taps]),
                forward_teacher=partial(
                    self.teacher or self.student, taps=[theirs for theirs, _ in each.taps]
                ),
                progress=progress,
                part=part,
            )
            share = 1.0 if each.term.compares_images else part.share
            parts = _placed(parts, 1 + place, share * each.weight * each.term(step).to(parts.dtype))
        return Losses(parts.sum(), parts.detach(), right.detach())

    def _prepare(self, taught: Output | None, labels: Tensor, part: BatchPart) -> Losses:
        """What the terms minimise before the student learns."""
        parts = torch.zeros(1 + len(self.weighted), device=labels.device)
        start = 0
        for place, each in enumerate(self.weighted):
            if not each.counts_in("prepare") or taught is None:
                continue
            maps = taught.taps[start : start + len(each.taps)]
            start += len(each.taps)
            error = each.term.preparation(replace(taught, taps=maps))
            if error is not None:
                # Without the term's weight, which is for what it adds to the student's loss.
                parts = _placed(parts, 1 + place, part.share * error.float())
        unknown = torch.full((self._classifiers,), float("nan"), device=labels.device)
        return Losses(parts.sum(), parts.detach(), unknown)

    @property
    def _classifiers(self) -> int:
        network = self.student.network
        return len(network.spec.heads) if isinstance(network, Ensemble) else 1

    def _class_loss(self, learned: Output, labels: Tensor, part: BatchPart) -> tuple[Tensor, Tensor]:
        """The loss of the whole batch that sees the labels, and how many of these images each classifier gets right."""
        labels = part.gather(labels)
        # Without gradients where it does not count and is for the report alone.
        with nullcontext() if self.class_weight else torch.no_grad():
            if self.objective is None:
                assert learned.logits is not None
                said = part.gather(single(learned.logits))
                logits: tuple[Tensor | None, ...] = (said,)
                loss = F.cross_entropy(said, labels)
            else:
                network = self.student.network
                assert isinstance(network, Ensemble)
                feature = part.gather(learned.feature)
                features = torch.split(feature, list(network.feature_sizes), dim=1)
                result = self.objective(features, labels)
                loss, logits = result.loss, result.logits
        unknown = labels.new_full((), float("nan"), dtype=torch.float32)
        right = [
            unknown if each is None else (each.argmax(1) == labels)[part.own].sum().float() for each in logits
        ]
        return loss, torch.stack(right)


def _placed(parts: Tensor, place: int, value: Tensor) -> Tensor:
    """The parts with one more value, and its gradient."""
    return parts.index_add(0, torch.tensor([place], device=parts.device), value[None])


def use_batch_statistics(teacher: nn.Module, *, on: bool) -> None:
    """Let a frozen network's batch norms use the batch's statistics, or their own again.

    While on they are not remembered: the network gives afterwards what it gave before.
    """
    for module in teacher.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.0
            module.train(on)
