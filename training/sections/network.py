"""Which network a run trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from retrieval.errors import NetworkError
from retrieval.networks import BACKBONES, PRESETS, EnsembleSpec, HeadSpec, preset_spec
from retrieval.networks.pruning import kept_blocks, pruned_spec
from retrieval.networks.spec import Norm, Pool, Reduction, SharedGroup
from retrieval.networks.spec_check import check_spec
from training.sections.section import Section

FrozenGroup = Literal["none", "stem", "B1", "B2", "B3"]


class NetworkSection(Section):
    """Which network, and where its weights come from.

    share_until, heads, mirror: replace that part of the preset where given. pool, norm, reduction: replace that field
    in every head. prune_until: take away this block (counted from 1 after the stem) and those above it, or `auto`; for
    one head only.
    weights: `imagenet`, `none` (random) or the path of a backbone's state dict.
    freeze_until: the trunk up to and including this group keeps its weights and its batch-norm statistics.
    freeze_norms: every batch norm of the network keeps its statistics, and uses them.
    """

    backbone: str = "resnet50"
    preset: str = "hdhe"
    share_until: SharedGroup | None = None
    heads: Annotated[tuple[HeadSpec, ...], Field(min_length=1)] | None = None
    mirror: bool | None = None
    pool: Pool | None = None
    norm: Norm | None = None
    reduction: Reduction | None = None
    prune_until: int | Literal["auto"] | None = None
    weights: Annotated[str, Field(min_length=1)] = "imagenet"
    freeze_until: FrozenGroup = "none"
    freeze_norms: bool = False

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
            if self.prune_until is not None:
                kept_blocks(self.spec())
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
        """The preset with what this section replaces in it; for `auto`, before anything is pruned."""
        spec = preset_spec(self.preset, self.backbone)
        every = {"pool": self.pool, "norm": self.norm, "reduction": self.reduction}
        fields = {key: value for key, value in every.items() if value is not None}
        heads = tuple(replace(head, **fields) for head in self.heads or spec.heads)  # type: ignore[arg-type]  # each value has its own field's type
        replaced = {"share_until": self.share_until, "heads": heads, "mirror": self.mirror}
        spec = replace(spec, **{key: value for key, value in replaced.items() if value is not None})  # type: ignore[arg-type]  # each value has its own field's type
        return pruned_spec(spec, self.prune_until) if isinstance(self.prune_until, int) else spec

    @property
    def source(self) -> Literal["imagenet"] | Path | None:
        """The weights as `build_ensemble` takes them."""
        if self.weights == "none":
            return None
        return "imagenet" if self.weights == "imagenet" else Path(self.weights).expanduser()
