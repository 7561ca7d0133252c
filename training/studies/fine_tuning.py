"""Studies whose rows are recipes of fine-tuning: networks that embed, scored on other classes than they learn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retrieval.networks import spec_from_dict, spec_to_dict
from retrieval.networks.cost import cost
from training.loop import train
from training.recipe import Recipe
from training.studies.base import count_images
from training.studies.kind import Kind, Trained
from training.studies.memory import averages, training_bytes
from training.studies.study import Study
from training.validation import pretraining

_MIB = 2**20

_IN_SPEC = (
    "backbone",
    "preset",
    "share_until",
    "heads",
    "mirror",
    "pool",
    "norm",
    "reduction",
    "prune_until",
)
"""What of a recipe's network its spec holds, however it was written."""


@dataclass(frozen=True)
class RowCost:
    """What the row's network costs. gmacs: one image, one view, at the pixels that are scored. training_mib: see
    `memory.py`; of one model where there are several, since they are trained one by one.
    """

    parameters: int
    gmacs: float
    embedding_size: int
    mirror: bool
    pixels: int
    training_mib: float | None

    def cells(self, study: Study) -> dict[str, str]:
        """As `Facts.cells`."""
        return {
            "embedding": str(self.embedding_size),
            "parameters": f"{self.parameters / 1e6:.2f} M",
            "GMACs": f"{self.gmacs:.3f}",
            "mirrored": "yes" if self.mirror else "no",
        }


def identity(recipe: Recipe) -> str:
    """The same for recipes that give the same weights, although one names a preset and the other its parts."""
    values = recipe.model_dump(mode="json", exclude={"name", "machine"})
    network = {key: value for key, value in values["network"].items() if key not in _IN_SPEC}
    if recipe.network.prune_until == "auto":
        network["prune_until"] = "auto"
    return json.dumps(
        values | {"network": network, "spec": spec_to_dict(recipe.network.spec())}, sort_keys=True
    )


def recall_scores(score: Mapping[str, Any]) -> dict[str, float]:
    """Recall at each K from the smallest on, and MAP@R."""
    recall = {int(k): float(value) for k, value in score["recall"].items()}
    return {f"R@{k}": recall[k] for k in sorted(recall)} | {"MAP@R": float(score["map_at_r"])}


def row_cost(trained: Trained[Recipe]) -> RowCost:
    """The cost of the network as it was trained, or, where no run has finished, as the recipe says."""
    recipe, models = trained.recipe, trained.models
    spec = recipe.network.spec() if trained.document is None else spec_from_dict(trained.document["spec"])
    pixels = recipe.images.scored_side
    counted = cost(spec, pixels)
    kept = training_bytes(spec, recipe.images.pixels, recipe.batch, averages(recipe.optimiser))
    return RowCost(
        parameters=models * counted.parameters,
        gmacs=models * counted.gmacs,
        embedding_size=models * counted.embedding_size,
        mirror=spec.mirror,
        pixels=pixels,
        training_mib=kept / _MIB,
    )


def _settings(recipe: Recipe) -> str:
    precision = "" if recipe.precision == "auto" else f", {recipe.precision}"
    return (
        f"{recipe.network.backbone}, weights: {pretraining(recipe.network.weights)}; "
        f"{recipe.images.pixels} x {recipe.images.pixels} pixels, {recipe.schedule.epochs} epochs, batch {recipe.batch}"
        f"{precision}, where a row does not say otherwise. Classes of a test split are neither trained on nor scored."
    )


def _about(recipe: Recipe) -> str:
    return (
        f"{recipe.data.name}, {recipe.network.backbone}, {recipe.images.pixels} px, "
        f"{recipe.schedule.epochs} epochs"
    )


FINE_TUNING: Kind[Recipe] = Kind(
    recipe=Recipe,
    mark="network",
    train=train,
    identity=identity,
    scores=recall_scores,
    facts=row_cost,
    count_images=count_images,
    settings=_settings,
    about=_about,
    legend=(
        "Parameters without classifiers; GMACs of one image in one view at the row's pixels, the mirror doubles them."
    ),
)
