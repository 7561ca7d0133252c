"""What a run of distillation is: every choice, as checked values, in a YAML file like that of fine-tuning.

A run has a teacher that does not change, a student, and up to three stages: `prepare` (a term that must learn something
from the teacher first), `initialise` (the student learns from the teacher alone), and the main one (with the labels).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from retrieval.errors import UserError
from training.distillation.methods.term import StageName
from training.distillation.sections import (
    ClassifierSection,
    EarlyStageSection,
    MainStageSection,
    PartOfDataSection,
    ScoreSection,
    TeacherSection,
    TermSection,
)
from training.sampling.check import check_batch
from training.sections.images import ImagesSection
from training.sections.loss import LossSection
from training.sections.machine import MachineSection, Precision
from training.sections.network import NetworkSection
from training.sections.optimiser import OptimiserSection
from training.sections.sampler import SamplerSection
from training.sections.section import Factor, Rate, RunSection
from training.sections.whitening import WhiteningSection

Task = Literal["classification", "retrieval"]


def _kind(value: Any) -> Task:
    """Which student is meant, so that a mistake is reported in that one's terms."""
    named = "network" in value if isinstance(value, dict) else isinstance(value, ClassifierSection)
    return "classification" if named else "retrieval"


Student = Annotated[
    Annotated[ClassifierSection, Tag("classification")] | Annotated[NetworkSection, Tag("retrieval")],
    Discriminator(_kind),
]


class DistillationRecipe(RunSection):
    """One run of distillation. Without a teacher and terms it trains a classifier by its labels, such as a teacher.

    inherit: a student that embeds begins with its teacher's weights wherever both have the same block; its other blocks
    as `student.weights` says. One with all its teacher's heads is whitened as that one is, unless `whitening` gives it
    one of its own. regression: before anything learns, the linear layer of a student that embeds is fitted to the
    teacher's embeddings by ridge regression of this strength; null = it starts at random. class_weight: of the loss
    that sees the labels, in the main stage. loss: that loss, for retrieval; a classifier has cross-entropy.
    """

    packaged: ClassVar[Path] = Path(__file__).parent / "recipes"

    data: PartOfDataSection
    teacher: TeacherSection | None = None
    student: Student
    images: ImagesSection = ImagesSection()
    batch: Annotated[int, Field(ge=2, le=100_000)] = 128
    sampler: SamplerSection = SamplerSection()
    inherit: bool = False
    regression: Rate | None = None
    class_weight: Factor = 1.0
    loss: LossSection = LossSection()
    terms: tuple[TermSection, ...] = ()
    prepare: EarlyStageSection | None = None
    initialise: EarlyStageSection | None = None
    schedule: MainStageSection = MainStageSection()
    optimiser: OptimiserSection = OptimiserSection()
    whitening: WhiteningSection | None = None
    score: ScoreSection = ScoreSection()
    precision: Precision = "auto"
    machine: MachineSection = MachineSection()

    @property
    def task(self) -> Task:
        """What the student is for."""
        return _kind(self.student)

    @property
    def main_terms(self) -> tuple[TermSection, ...]:
        """The terms of the main stage."""
        return tuple(term for term in self.terms if term.resolved_stage != "initialise")

    @property
    def early_terms(self) -> tuple[TermSection, ...]:
        """The terms of the stage `initialise`."""
        return tuple(term for term in self.terms if term.resolved_stage != "train")

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> Self:
        if self.terms and self.teacher is None:
            raise ValueError(f"terms need a teacher ({self.terms[0].method} is one); set teacher.model")
        if self.teacher is not None and not self.terms and not self.inherit:
            raise ValueError("teacher has nothing to teach by; give terms, set inherit, or leave out teacher")
        if self.regression is not None and (self.teacher is None or self.task == "classification"):
            raise ValueError("regression fits a network that embeds to its teacher; leave it out")
        if self.inherit and (self.teacher is None or self.task == "classification"):
            raise ValueError("inherit gives a network that embeds its teacher's weights; leave it out")
        if self.class_weight == 0 and not any(term.resolved_weight for term in self.main_terms):
            raise ValueError("class_weight is 0 and the main stage has no terms, so nothing is learned in it")
        return self

    @model_validator(mode="after")
    def _teacher_of_the_task(self) -> Self:
        if self.teacher is None:
            return self
        if self.task == "classification" and self.teacher.mirror is not None:
            raise ValueError("teacher.mirror is for retrieval; a classifier has no embedding to sum")
        if self.task == "retrieval" and self.teacher.weights is not None:
            raise ValueError(
                "teacher.weights goes with a classifier; a network that embeds comes with its own"
            )
        return self

    @model_validator(mode="after")
    def _whitening_of_a_space_of_its_own(self) -> Self:
        if self.whitening is None:
            return self
        if self.task == "classification":
            raise ValueError("whitening is for retrieval; a classifier has no embedding")
        if any(term.leads_into_the_teachers_space for term in self.terms):
            raise ValueError(
                "whitening would take the student out of its teacher's space again; leave it out (a student of a "
                "whitened teacher learns that one's)"
            )
        return self

    @model_validator(mode="after")
    def _stages_have_terms(self) -> Self:
        alone = [term.method for term in self.terms if term.resolved_stage == "initialise"]
        if self.initialise is None and alone:
            raise ValueError(
                f"term {alone[0]} belongs to the stage initialise; set initialise.epochs, or the term's stage to train"
            )
        prepared = [term.method for term in self.terms if term.row.prepares(term.settings)]
        if self.prepare is None and prepared:
            raise ValueError(
                f"term {prepared[0]} learns from the teacher before the student does; set prepare.epochs"
            )
        if self.prepare is not None and not prepared:
            raise ValueError("prepare has nothing to do: no term needs it; leave it out")
        if self.initialise is not None and not self.early_terms:
            raise ValueError("initialise has no term; leave it out, or set a term's stage to initialise")
        if self.initialise is not None and not any(term.resolved_weight for term in self.early_terms):
            raise ValueError("all terms of initialise have the weight 0, so nothing is learned in it")
        return self

    @model_validator(mode="after")
    def _overlap_of_something(self) -> Self:
        if self.score.overlap and self.score.split is None:
            raise ValueError("score.overlap needs images to count activations on; set score.split")
        if self.score.overlap and not any(term.compares_maps for term in self.terms):
            raise ValueError(
                "score.overlap compares features as a term does, such as ab; add one, or leave it out"
            )
        return self

    def batch_statistics(self, stage: StageName) -> bool:
        """Whether the teacher's batch norms use the batch's statistics in a stage: as the recipe says, or else as the
        authors of one of the stage's terms do. What is prepared from the teacher sees it as it is.
        """
        if self.teacher is None or stage == "prepare":
            return False
        if self.teacher.norms is not None:
            return self.teacher.norms == "batch"
        terms = self.main_terms if stage == "main" else self.early_terms
        return any(term.row.teacher_trains for term in terms)

    @model_validator(mode="after")
    def _teacher_stands_still(self) -> Self:
        stages: dict[StageName, tuple[TermSection, ...]] = {
            "initialise": self.early_terms,
            "main": self.main_terms,
        }
        for stage, terms in stages.items():
            steady = [term.method for term in terms if "own_norms" in term.row.needs]
            if steady and self.batch_statistics(stage):
                raise ValueError(
                    f"term {steady[0]} needs a teacher that answers each image alike; set teacher.norms to own"
                )
        return self

    @model_validator(mode="after")
    def _of_the_task(self) -> Self:
        if self.task == "classification":
            if self.sampler != SamplerSection():
                raise ValueError("sampler is for retrieval; a classifier's batches are a plain shuffle")
            if self.loss != LossSection():
                raise ValueError("loss is for retrieval; a classifier has cross-entropy")
            if self.optimiser.block_factors is not None or self.optimiser.stem_factor != 1:
                raise ValueError("block_factors and stem_factor are for retrieval; a classifier has one rate")
        elif self.sampler.hard_classes is not None:
            raise ValueError("sampler.hard_classes goes with hdhe train only; leave it out")
        else:
            try:
                check_batch(self.loss.names, self.sampler, self.batch)
            except UserError as error:
                raise ValueError(str(error)) from error
        return self
