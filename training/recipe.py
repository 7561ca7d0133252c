"""What a training run is: every choice, as checked values. `recipe_file` reads it from YAML.

The defaults are the recipe of Ro & Choi's retrieval papers (HDhE, IEEE Access 2020; AutoLR, AAAI 2021): plain
cross-entropy, SGD with Nesterov momentum 0.9 and weight decay 5e-4 on every parameter, batches of 40, images squashed
to a square and mirrored at random, rates divided by ten half way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from retrieval.errors import UserError
from retrieval.networks.pruning import deepest_block
from training.block_factors import block_factors
from training.sampling.check import check_batch
from training.sections.auto_lr import AutoLRSection
from training.sections.data import DataSection
from training.sections.images import ImagesSection
from training.sections.loss import SUM, LossSection
from training.sections.machine import MachineSection, Precision
from training.sections.network import NetworkSection
from training.sections.optimiser import OptimiserSection
from training.sections.pruning import PruningSection
from training.sections.sampler import SamplerSection
from training.sections.schedule import ScheduleSection
from training.sections.section import RunSection
from training.sections.validation import ValidationSection
from training.sections.whitening import WhiteningSection


class Recipe(RunSection):
    """One run of fine-tuning."""

    packaged: ClassVar[Path] = Path(__file__).parent / "recipes"

    data: DataSection
    network: NetworkSection = NetworkSection()
    images: ImagesSection = ImagesSection()
    batch: Annotated[int, Field(ge=2, le=100_000)] = 40
    sampler: SamplerSection = SamplerSection()
    loss: LossSection = LossSection()
    optimiser: OptimiserSection = OptimiserSection()
    schedule: ScheduleSection = ScheduleSection()
    auto_lr: AutoLRSection | None = None
    pruning: PruningSection = PruningSection()
    whitening: WhiteningSection | None = None
    validation: ValidationSection = ValidationSection()
    precision: Precision = "auto"
    machine: MachineSection = MachineSection()

    @model_validator(mode="after")
    def _batches_can_be_filled(self) -> Self:
        try:
            check_batch(self.loss.names, self.sampler, self.batch)
        except UserError as error:
            raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _a_factor_for_each_block(self) -> Self:
        # Of `auto`, only the search knows how many blocks are left.
        if self.network.prune_until != "auto":
            try:
                block_factors(self.optimiser.block_factors, deepest_block(self.network.spec()))
            except UserError as error:
                raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _heads_to_join(self) -> Self:
        heads = len(self.network.spec().heads)
        joined = self.loss.combine if self.loss.combine != SUM else "distil_heads"
        if heads == 1 and (self.loss.combine != SUM or self.loss.distil_heads is not None):
            raise ValueError(f"loss.{joined} joins heads, and this network has one; leave it out")
        return self

    @model_validator(mode="after")
    def _rates_of_one_chain(self) -> Self:
        heads = len(self.network.spec().heads)
        if self.auto_lr is not None and heads != 1:
            raise ValueError(
                f"auto_lr finds the rates of one chain of blocks, and this network has {heads} heads; "
                "set network.preset to single or pruned, or auto_lr to null"
            )
        if self.auto_lr is not None and self.schedule.average is not None:
            raise ValueError(
                "auto_lr trains epochs again, which schedule.average would count; set one to null"
            )
        return self
