"""The study of losses: each key of the table of losses on one plain network."""

from __future__ import annotations

from typing import Any

from training.losses import LOSSES, LossRow
from training.studies.study import Row, Study

_MOST_IMAGES_PER_CLASS = 5
"""NormSoftmax's authors put 25 images of a class into batches of 75 on CUB and Cars, and 5 elsewhere; batches of 20
or 40 have no room for 25."""


def losses(backbone: str) -> Study:
    """Each loss with its authors' settings and batches, the optimiser being the same for all."""
    return Study(
        name="losses",
        question="What does the loss do, all else being equal?",
        claim=(
            "Plain cross-entropy is enough: HDhE, trained with it alone, is above methods with losses of their own, "
            "as Multi-Similarity, Margin, SoftTriple and Proxy-Anchor, on backbones that differ (slides, results). "
            "The slides do not compare losses on one network."
        ),
        base={"network.preset": "single"},
        rows=tuple(Row(name, _overrides(name, row)) for name, row in LOSSES.items()),
    )


def _overrides(name: str, row: LossRow) -> dict[str, Any]:
    chosen: dict[str, Any] = {"loss.name": name}
    if row.images_per_class:
        chosen["sampler.images_per_class"] = min(row.images_per_class, _MOST_IMAGES_PER_CLASS)
    return chosen
