"""What a training run is: every choice, as checked values. `recipe_file` reads it from YAML.

The defaults are the recipe of Ro & Choi's retrieval papers (HDhE, IEEE Access 2020; AutoLR, AAAI 2021): plain
cross-entropy, SGD with Nesterov momentum 0.9 and weight decay 5e-4 on every parameter, batches of 40, images squashed
to a square and mirrored at random, rates divided by ten half way.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from retrieval.errors import NetworkError
from retrieval.networks import BACKBONES, PRESETS, EnsembleSpec, HeadSpec, preset_spec
from retrieval.networks.spec import SharedGroup
from retrieval.networks.spec_check import check_spec

Factor = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
FrozenGroup = Literal["none", "stem", "B1", "B2", "B3"]


class Section(BaseModel):
    """A part of a recipe: unknown keys are refused and values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSection(Section):
    """Which images. name: a known data set or a folder; root: where a known set lies if not in the usual place."""

    name: Annotated[str, Field(min_length=1)]
    root: Path | None = None
    split: str = "train"


class NetworkSection(Section):
    """Which network, and where its weights come from.

    share_until, heads, mirror: replace that part of the preset where given.
    weights: `imagenet`, `none` (random) or the path of a backbone's state dict.
    freeze_until: the trunk up to and including this group keeps its weights and its batch-norm statistics.
    """

    backbone: str = "resnet50"
    preset: str = "hdhe"
    share_until: SharedGroup | None = None
    heads: Annotated[tuple[HeadSpec, ...], Field(min_length=1)] | None = None
    mirror: bool | None = None
    weights: Annotated[str, Field(min_length=1)] = "imagenet"
    freeze_until: FrozenGroup = "none"

    @field_validator("backbone")
    @classmethod
    def _known_backbone(cls, name: str) -> str:
        if name not in BACKBONES:
            raise ValueError(f"must be one of {', '.join(BACKBONES)}; got {name!r}")
        return name

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, name: str) -> str:
        if name not in PRESETS:
            raise ValueError(f"must be one of {', '.join(PRESETS)}; got {name!r}")
        return name

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        try:
            check_spec(self.spec())
        except NetworkError as error:
            raise ValueError(str(error)) from error
        order = ("none", "stem", "B1", "B2", "B3")
        shared = self.spec().share_until
        if order.index(self.freeze_until) > order.index(shared):
            raise ValueError(
                f"freeze_until {self.freeze_until} reaches into the heads: the trunk is shared until {shared}; "
                f"use {shared} or less"
            )
        return self

    def spec(self) -> EnsembleSpec:
        """The preset with what this section replaces in it."""
        spec = preset_spec(self.preset, self.backbone)
        replaced = {"share_until": self.share_until, "heads": self.heads, "mirror": self.mirror}
        return replace(spec, **{key: value for key, value in replaced.items() if value is not None})  # type: ignore[arg-type]  # each value has its own field's type

    @property
    def source(self) -> Literal["imagenet"] | Path | None:
        """The weights as `build_ensemble` takes them."""
        if self.weights == "none":
            return None
        return "imagenet" if self.weights == "imagenet" else Path(self.weights).expanduser()


class ImagesSection(Section):
    """How images become pixels. Training squashes to pixels x pixels; scoring squashes to `resize` (as `pixels`
    where null) and cuts the centre. mirror: half of the training images are mirrored.
    """

    pixels: Annotated[int, Field(ge=16, le=1024)] = 224
    resize: Annotated[int, Field(ge=16, le=1200)] | None = None
    mirror: bool = True

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.resize is not None and self.resize < self.pixels:
            raise ValueError(
                f"resize {self.resize} is smaller than pixels {self.pixels}, so no crop can be cut"
            )
        return self


class OptimiserSection(Section):
    """SGD. A parameter's rate is `lr` (a classifier's: `classifier_lr`) x its head's factor x its block's factor.

    The trunk takes the first head's factor. block_factors: a list of one factor per block, or a mapping from block
    number (1 = the first after the stem) to factor, 1 where not named. stem_factor: the same for the stem.
    """

    lr: Rate = 1e-3
    classifier_lr: Rate = 1e-2
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = True
    weight_decay: Factor = 5e-4
    block_factors: Annotated[tuple[Factor, ...], Field(min_length=1)] | dict[int, Factor] | None = None
    stem_factor: Factor = 1.0

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs momentum > 0; set nesterov to false or momentum to 0.9")
        return self


class ScheduleSection(Section):
    """How long, and how the rates change. drops: where they are multiplied by `drop_factor`, as parts of the epochs
    (0.5 = half way). warmup_epochs: rates grow in a straight line from zero over this many epochs.
    """

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 40
    shape: Literal["step", "cosine"] = "step"
    drops: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5,)
    drop_factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    warmup_epochs: Annotated[float, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs {self.warmup_epochs:g} leaves nothing of {self.epochs} epochs")
        return self


class ValidationSection(Section):
    """What is scored while training, always on classes that are not trained on.

    split: a split of the data set. holdout: instead, this part of the training classes is set aside.
    keep: which epoch's weights become the bundle. `best` needs `holdout`, because choosing an epoch by a split that
    is reported later would flatter the report.
    """

    split: str | None = None
    holdout: Annotated[float, Field(gt=0, lt=1)] | None = None
    every: Annotated[int, Field(ge=1)] = 1
    k: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (1, 2, 4, 8)
    keep: Literal["last", "best"] = "last"

    @model_validator(mode="after")
    def _honest_choice(self) -> Self:
        if self.split is not None and self.holdout is not None:
            raise ValueError("give split or holdout, not both")
        if self.keep == "best" and self.holdout is None:
            raise ValueError("keep: best chooses among epochs and needs validation.holdout; set holdout: 0.1")
        if self.keep == "best" and 1 not in self.k:
            raise ValueError("keep: best compares recall at 1; add 1 to k")
        return self


class MachineSection(Section):
    """What suits the machine and changes no result: a run may be resumed with other values.

    cache_gb: prepared images are kept in memory if they fit in this; otherwise they are decoded in every epoch.
    workers: decoding threads, 0 = as many as there are cores. checkpoint_minutes: a checkpoint inside an epoch when
    the last is older than this; null = only after each epoch.
    """

    cache_gb: Factor = 4.0
    workers: Annotated[int, Field(ge=0, le=256)] = 0
    checkpoint_minutes: Factor | None = 10.0

    @property
    def threads(self) -> int:
        """Decoding threads."""
        if self.workers:
            return self.workers
        # Where it exists, this knows of taskset and container limits that cpu_count does not.
        allowed = getattr(os, "sched_getaffinity", None)
        return len(allowed(0)) if allowed else os.cpu_count() or 1


class Recipe(Section):
    """One training run.

    precision: `auto` is bf16 on a GPU that has it and fp32 elsewhere (depthwise convolutions are slower in bf16 on
    CPUs); `bf16` and `fp32` insist.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataSection
    network: NetworkSection = NetworkSection()
    images: ImagesSection = ImagesSection()
    batch: Annotated[int, Field(ge=2, le=100_000)] = 40
    optimiser: OptimiserSection = OptimiserSection()
    schedule: ScheduleSection = ScheduleSection()
    validation: ValidationSection = ValidationSection()
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    machine: MachineSection = MachineSection()
